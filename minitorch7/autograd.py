"""Reverse-mode automatic differentiation: `Tensor`, `Function`, and the walk backward.

A computation is a graph. Its nodes are `Function` objects, one for every operation performed; its
edges are `Tensor` objects, each remembering the node that made it. To differentiate, the walk
visits the nodes in the reverse of the order in which they depend on one another and applies the
chain rule at each: a node is handed the gradient of the final value with respect to its outputs
and answers with the gradient with respect to its inputs.

Two rules make everything else follow:

* ``Function.forward`` takes and returns **arrays**; ``Function.backward`` takes and returns
  **tensors**. Backward is therefore itself a differentiable computation, and with
  ``create_graph=True`` it is recorded like any other: gradients of gradients need no further code.
* Nodes keep only what they `save`, and the walk drops even that as soon as it has been used, unless
  ``retain_graph=True`` asks for it to be kept.

Reading order: the switches, `Tensor`, `Function`, the walk, and last how errors find their layer.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import backend

# --------------------------------------------------------------------------------- the switches


class _State(threading.local):
    """What is switched on in this thread."""

    recording = True  # are operations recorded for a later backward()?
    anomaly = False  # is every result checked for NaN and infinity?

    def __init__(self) -> None:
        self.layers: list[Any] = []  # the nn.Modules whose forward is running, outermost first


state = _State()


class _Switch(contextlib.ContextDecorator):
    """Sets one attribute of `state` inside a ``with`` block or a decorated function."""

    def __init__(self, name: str, value: bool) -> None:
        self.name, self.value, self.before = name, value, []

    def __enter__(self) -> None:
        self.before.append(getattr(state, self.name))
        setattr(state, self.name, self.value)

    def __exit__(self, *exc: object) -> None:
        setattr(state, self.name, self.before.pop())


def no_grad() -> _Switch:
    """Record nothing inside: ``with mt.no_grad(): ...`` or ``@mt.no_grad()``."""
    return _Switch("recording", False)


def enable_grad() -> _Switch:
    """Record inside, even where an outer `no_grad` switched recording off."""
    return _Switch("recording", True)


def set_grad_enabled(mode: bool) -> _Switch:
    """`enable_grad` or `no_grad`, as `mode` says."""
    return _Switch("recording", bool(mode))


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return state.recording


def detect_anomaly() -> _Switch:
    """Check every result, forward and backward, and stop at the first NaN or infinity.

    The FloatingPointError names the operation and, inside a model, the layer. Every check waits
    for the device, so switch it on to look for a fault and not for training.
    """
    return _Switch("anomaly", True)


# --------------------------------------------------------------------------------------- Tensor


class Tensor:
    """An array, and what is needed to differentiate with respect to it.

    data           the array: numpy.ndarray or cupy.ndarray
    requires_grad  whether gradients with respect to it are wanted
    grad           the gradient that the last `backward` left here, a Tensor, or None
    grad_fn        the Function that made it, or None for a leaf
    index          which of that Function's outputs it is

    The arithmetic, the comparison and the named methods (``t.exp()``, ``t.sum(dim=1)``, ``t @ w``)
    are the functions of `minitorch7.functional`, bound in ``functional/methods.py``.
    """

    __array_ufunc__ = None  # so that numpy_array * tensor asks the tensor, which explains

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        backend.name_of(data)  # raises where it is not an array
        if requires_grad:
            _check_differentiable(data.dtype)
        self.data = data
        self.requires_grad = requires_grad
        self.grad: Tensor | None = None
        self.grad_fn: Function | None = None
        self.index = 0
        self.version = 0  # how often the data was changed in place; see Function.saved
        self._hooks: dict[int, Callable[[Tensor], Tensor | None]] = {}

    # ---- what it looks like

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def backend(self) -> str:
        """``"numpy"`` or ``"cupy"``."""
        return backend.name_of(self.data)

    @property
    def is_leaf(self) -> bool:
        """Whether it was given, rather than computed from tensors that require a gradient."""
        return self.grad_fn is None

    def dim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of axis `dim`."""
        return self.data.shape if dim is None else self.data.shape[dim]

    def numel(self) -> int:
        """The number of elements."""
        return self.data.size

    def is_floating_point(self) -> bool:
        """Whether its dtype is a float of any width."""
        return self.data.dtype.kind == "f"

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a tensor with no axes has no length")
        return self.data.shape[0]

    def __repr__(self) -> str:
        text = np.array2string(backend.to_numpy(self.data), separator=", ", prefix="tensor(")
        extra = ""
        if self.data.dtype not in (np.float32, np.int64, np.bool_):
            extra += f", dtype={self.data.dtype}"
        if self.backend != "numpy":
            extra += f", backend={self.backend!r}"
        if self.grad_fn is not None:
            extra += f", grad_fn=<{self.grad_fn.name}>"
        elif self.requires_grad:
            extra += ", requires_grad=True"
        return f"tensor({text}{extra})"

    # ---- its values on the host (each of these waits for a GPU)

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array; shares memory where the tensor is on the NumPy backend.

        RuntimeError where it requires a gradient: what NumPy does to it would not be recorded.
        """
        if self.requires_grad:
            raise RuntimeError(
                "numpy: the tensor requires a gradient, and NumPy's operations are not recorded; "
                "use t.detach().numpy()"
            )
        return backend.to_numpy(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if copy or (dtype is not None and array.dtype != np.dtype(dtype)):
            return np.array(array, dtype=dtype)
        return array

    def item(self) -> Any:
        """The only element, as a Python number. ValueError where there are more or none."""
        if self.data.size != 1:
            raise ValueError(f"item: needs exactly one element, got shape {self.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        """The values as (nested lists of) Python numbers."""
        return self.data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu":
            raise TypeError(f"an index must be an integer, got a tensor of {self.dtype}")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                f"bool: the truth of a tensor of shape {self.shape} is ambiguous; "
                "use .any() or .all()"
            )
        return bool(self.data.item())

    def __contains__(self, value: Any) -> bool:
        other = value.data if isinstance(value, Tensor) else value
        return bool((self.data == other).any())

    __hash__ = object.__hash__  # == compares element by element, yet tensors serve as keys

    # ---- differentiation

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add d(self)/d(leaf) to ``leaf.grad`` for every leaf that requires a gradient.

        gradient       what the result is multiplied by, in self's shape; 1 for a single element
        retain_graph   keep the graph for another backward; default: the value of create_graph
        create_graph   record this computation too, so that the gradients can be differentiated
        """
        _check_roots("backward", [self])
        roots = [_root_gradient("backward", self, gradient)]
        keep = create_graph if retain_graph is None else retain_graph
        Walk([self], roots, None, keep, create_graph).run()

    def detach(self) -> Tensor:
        """The same array without its history: nothing flows back through it."""
        return Tensor(self.data)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask (or stop asking) for gradients with respect to this leaf; returns it."""
        if self.grad_fn is not None and not requires_grad:
            raise RuntimeError(
                "requires_grad_: only leaves can stop requiring a gradient; use t.detach()"
            )
        if requires_grad:
            _check_differentiable(self.dtype)
        self.requires_grad = requires_grad
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call ``hook(gradient)`` when this tensor's whole gradient is known.

        What the hook returns, unless None, replaces the gradient from there on. The handle removes
        the hook: ``handle.remove()``, or ``with t.register_hook(f): ...``.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        hooks = self._hooks
        if self.grad_fn is not None:
            hooks = self.grad_fn.hooks.setdefault(self.index, {})
        return HookHandle(hooks, hook)

    def retain_grad(self) -> None:
        """Keep ``.grad`` for this tensor too, although it is not a leaf."""
        if self.grad_fn is not None:
            self.register_hook(functools.partial(setattr, self, "grad"))

    def copy_(self, source: Any) -> Tensor:
        """Overwrite the values in place, in this tensor's dtype and place; returns it.

        Not recorded: for weights outside a graph. RuntimeError for a tensor that was computed.
        """
        array = source.data if isinstance(source, Tensor) else source
        if self.grad_fn is not None:
            raise RuntimeError("copy_: cannot overwrite a tensor that a recorded operation made")
        if tuple(array.shape) != self.shape:
            raise ValueError(f"copy_: shape {tuple(array.shape)} does not fit {self.shape}")
        self.data[...] = backend.to(array, self.backend)
        self.version += 1
        return self


class HookHandle:
    """Removes a hook: by ``remove()``, or at the end of a ``with`` block."""

    _next_key = 0

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks, self.key = hooks, HookHandle._next_key
        HookHandle._next_key += 1
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook out; a second call does nothing."""
        self.hooks.pop(self.key, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def _check_differentiable(dtype: np.dtype) -> None:
    if dtype.kind != "f":
        raise RuntimeError(
            f"requires_grad: only floating-point tensors have gradients, got {dtype}; "
            "convert with .float()"
        )


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, backend: str | None = None
) -> Tensor:
    """A leaf Tensor from an array, a number, nested lists, or another tensor's values.

    An array keeps its dtype; Python floats become float32, ints int64, bools bool. The values go to
    the active backend (``mt.use``), or to `backend` where that is given.
    """
    from . import backend as library_of

    array = data.data if isinstance(data, Tensor) else data
    if not library_of.is_array(array):
        array = _from_python(array)
    array = library_of.to(array, backend or library_of.active())
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return Tensor(array, requires_grad)


def _from_python(values: Any) -> np.ndarray:
    """A NumPy array from a number or nested lists; Python floats become float32."""
    if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
        raise TypeError("tensor: got a list of tensors; join them with mt.stack or mt.cat")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"tensor: the nested lists are not of one shape ({error})") from None
    if array.dtype == np.float64 and not isinstance(values, np.generic):
        array = array.astype(backend.DEFAULT_FLOAT)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot make numbers of {type(values).__name__} {values!r:.60}")
    return array


# ------------------------------------------------------------------------------------- Function


class Function:
    """One operation, and one node of the graph once it has been called.

    A subclass takes its options in ``__init__``, computes in `forward` and differentiates in
    `backward`::

        class Exp(Function):
            def forward(self, xp, x):       # arrays in, array (or tuple of arrays) out
                y = xp.exp(x)
                self.save(y)                # the one place that says what backward reads
                return y

            def backward(self, grad):       # tensors in, a tensor (or None) for each input out
                (y,) = self.saved
                return grad * y

    ``Exp()(x)`` runs it. Both methods may look at ``self.needs_input_grad[i]`` and leave out what
    nobody asked for. `backward` receives one gradient per output, zeros where none arrived.
    """

    needs_input_grad: tuple[bool, ...] = ()

    @property
    def name(self) -> str:
        return type(self).__name__

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Arrays in, array or tuple of arrays out."""
        raise NotImplementedError(f"{self.name} defines no forward")

    def backward(self, *grads: Tensor) -> Any:
        """Gradients of the outputs in, gradients of the inputs out, as tensors."""
        raise NotImplementedError(f"{self.name} has no gradient")

    def __call__(self, *inputs: Tensor | float | None) -> Any:
        """Run `forward` on the inputs' arrays; numbers and None are handed on as they are."""
        arrays = [t.data if isinstance(t, Tensor) else t for t in inputs]
        xp = self._library(inputs)
        recording = state.recording
        self.needs_input_grad = tuple(
            [recording and isinstance(t, Tensor) and t.requires_grad for t in inputs]
        )
        self._to_save: tuple[Any, ...] = ()
        with np.errstate(all="ignore"):  # as on a GPU, NaN and infinity are values, not warnings
            raw = self.forward(xp, *arrays)
        several = isinstance(raw, tuple)
        results = [_as_array(xp, r) for r in (raw if several else (raw,))]
        outputs = [Tensor(array) for array in results]
        if state.anomaly:
            _check_finite(self, "output", outputs)
        if any(self.needs_input_grad):
            self._record(inputs, arrays, raw if several else (raw,), outputs)
        self._to_save = ()
        return tuple(outputs) if several else outputs[0]

    def _library(self, inputs: Sequence[Any]) -> Any:
        """The array library of all tensors among the inputs."""
        tensors = [t.data for t in inputs if isinstance(t, Tensor)]
        name = backend.name_of(tensors[0])
        for array in tensors[1:]:
            if backend.name_of(array) != name:
                raise backend.BackendError(backend.mixed_message(self.name.lower(), tuple(tensors)))
        return backend.library(name)

    def _record(self, inputs: Any, arrays: Any, raw: Any, outputs: list[Tensor]) -> None:
        """Make this call a node: remember inputs, what was saved, and the outputs' shapes."""
        self.inputs = tuple(
            t if need else None for t, need in zip(inputs, self.needs_input_grad, strict=True)
        )
        self.output_like = [(o.shape, o.dtype, o.backend) for o in outputs]
        self.hooks: dict[int, dict[int, Any]] = {}
        self.layers = tuple(state.layers) if state.anomaly else ()
        self._saved = [self._keep(a, inputs, arrays, raw) for a in self._to_save]
        for index, out in enumerate(outputs):
            if out.data.dtype.kind == "f":
                out.requires_grad, out.grad_fn, out.index = True, self, index

    # ---- what backward reads

    def save(self, *arrays: Any) -> None:
        """Keep these arrays for `backward`: inputs, outputs, or anything computed on the way.

        In `backward` they come back in the same order as ``self.saved``, as tensors: an input or an
        output with its history, so that second derivatives are right; anything else as a constant.
        """
        self._to_save = arrays

    def _keep(self, value: Any, inputs: Any, arrays: Any, raw: Any) -> Saved:
        """How to hold one saved value: as the input it is, the output it is, or a constant."""
        for t, candidate in zip(inputs, arrays, strict=True):
            if candidate is value and isinstance(t, Tensor):
                return Saved(None, tensor=t, version=t.version)
        for index, candidate in enumerate(raw):
            if candidate is value:
                return Saved(value, output=index)
        return Saved(value)

    @property
    def saved(self) -> list[Any]:
        """The saved arrays as tensors (see `save`); numbers and None as they are."""
        if self._saved is None:
            raise RuntimeError(
                f"{self.name}: the values saved for backward have been freed; to walk through the "
                "same graph twice, pass retain_graph=True the first time"
            )
        return [self._restore(kept) for kept in self._saved]

    def _restore(self, kept: Saved) -> Any:
        if kept.tensor is not None:
            if kept.tensor.version != kept.version:
                raise RuntimeError(
                    f"{self.name}: a tensor of shape {kept.tensor.shape} that backward needs was "
                    "changed in place after it was used (an optimiser's step or copy_ between "
                    "forward and backward); run forward again, or change a clone"
                )
            return kept.tensor
        if kept.value is None or type(kept.value) in (int, float, bool):
            return kept.value
        restored = Tensor(_as_array(backend.library(self.output_like[0][2]), kept.value))
        if kept.output is not None and restored.data.dtype.kind == "f":
            restored.requires_grad, restored.grad_fn, restored.index = True, self, kept.output
        return restored

    def release(self) -> None:
        """Drop what was saved and the edges to the inputs, so that memory can be used again."""
        self._saved = None
        self.inputs = ()


class Saved(NamedTuple):
    """One value that a Function keeps for its backward.

    Outputs are held as bare arrays and get their history back when they are read: the output tensor
    points to its node, and if the node pointed back the two would keep each other alive.
    """

    value: Any
    tensor: Tensor | None = None
    version: int = 0
    output: int | None = None


def _as_array(xp: Any, value: Any) -> Any:
    """`value` as an array: NumPy's reductions answer with scalars where CuPy's give 0-d arrays."""
    return value if isinstance(value, xp.ndarray) else xp.asarray(value)


# --------------------------------------------------------------------------------- the walk back


class Walk:
    """One backward walk from `outputs` (with gradients `grads`) to the leaves, or to `targets`.

    The nodes are sorted once, so that each runs only when every use of its outputs has sent its
    gradient. In ``b = a + a; c = b + b`` a naive recursion would visit b twice and a four times;
    here b's two gradients are added first. The sort keeps its own stack: a recurrent net of 10,000
    steps is a graph 10,000 nodes deep, and Python's recursion stops at 1,000.
    """

    def __init__(
        self,
        outputs: Sequence[Tensor],
        grads: Sequence[Tensor],
        targets: Sequence[Tensor] | None,
        retain_graph: bool,
        create_graph: bool,
    ) -> None:
        self.retain_graph, self.create_graph = retain_graph, create_graph
        self.pending: dict[Any, Tensor] = {}  # gradients so far, by the key of the tensor
        self.leaves: dict[Any, Tensor] = {}
        self.targets = None if targets is None else {_key(t): t for t in targets}
        self.roots = list(zip(outputs, grads, strict=True))
        self.order = _sorted_nodes([t.grad_fn for t in outputs if t.grad_fn is not None])
        self.wanted = self._wanted()

    def _wanted(self) -> set[Function]:
        """The nodes through which a gradient can reach what was asked for."""
        if self.targets is None:
            return set(self.order)
        wanted: set[Function] = set()
        for node in self.order:  # the earliest first, so that its answer is known to the later
            if any(self._leads_to_target(t, wanted) for t in node.inputs):
                wanted.add(node)
        return wanted

    def _leads_to_target(self, t: Tensor | None, wanted: set[Function]) -> bool:
        return t is not None and (_key(t) in self.targets or t.grad_fn in wanted)

    def run(self) -> dict[Any, Tensor]:
        """Walk. Leaves get their ``.grad``; with targets, their gradients are returned by key."""
        found: dict[Any, Tensor] = {}
        for t, grad in self.roots:
            self._send(t, grad)
        with set_grad_enabled(self.create_graph):
            for node in reversed(self.order):
                grads = self._arrived(node, found)
                if grads is not None and node in self.wanted:
                    self._differentiate(node, grads)
                if not self.retain_graph and node in self.wanted:
                    node.release()
            self._finish_leaves(found)
        return found

    def _arrived(self, node: Function, found: dict[Any, Tensor]) -> list[Tensor] | None:
        """The gradients of the node's outputs, after their hooks; None if none has arrived."""
        grads: list[Tensor | None] = []
        for index in range(len(node.output_like)):
            key = (node, index)
            grad = self.pending.pop(key, None)
            if grad is not None:
                grad = _run_hooks(node.hooks.get(index), grad)
                if self.targets is not None and key in self.targets:
                    found[key] = grad
            grads.append(grad)
        if all(g is None for g in grads):
            return None
        return [
            _zeros(like) if g is None else g
            for g, like in zip(grads, node.output_like, strict=True)
        ]

    def _differentiate(self, node: Function, grads: list[Tensor]) -> None:
        """Apply the node's rule and send what it answers to the node's inputs."""
        if self.targets is not None:
            node.needs_input_grad = tuple(
                self._leads_to_target(t, self.wanted) for t in node.inputs
            )
        answers = node.backward(*grads)
        if not isinstance(answers, tuple | list):
            answers = (answers,)
        if len(answers) != len(node.inputs):
            raise RuntimeError(
                f"{node.name}.backward returned {len(answers)} gradients "
                f"for {len(node.inputs)} inputs"
            )
        if state.anomaly:
            _check_finite(node, "gradient", answers)
        for t, needed, grad in zip(node.inputs, node.needs_input_grad, answers, strict=True):
            if t is not None and needed and grad is not None:
                if grad.shape != t.shape:
                    raise RuntimeError(
                        f"{node.name}.backward returned a gradient of shape {grad.shape} "
                        f"for an input of shape {t.shape}"
                    )
                self._send(t, grad)

    def _send(self, t: Tensor, grad: Tensor) -> None:
        """Add `grad` to what has arrived at `t` so far: every use of a tensor contributes."""
        key = _key(t)
        if t.grad_fn is None:
            self.leaves[key] = t
        before = self.pending.get(key)
        self.pending[key] = grad if before is None else before + grad

    def _finish_leaves(self, found: dict[Any, Tensor]) -> None:
        given_out = {id(grad.data) for _, grad in self.roots}
        for key, leaf in self.leaves.items():
            grad = _run_hooks(leaf._hooks, self.pending.pop(key))
            if self.targets is not None:
                if key in self.targets:
                    found[key] = grad
                continue
            if leaf.grad is not None:
                grad = leaf.grad + grad
            elif not self.create_graph:
                grad = _owned(grad, given_out)
            leaf.grad = grad


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients Σ grad_outputs · d(outputs)/d(inputs), one an input; no ``.grad`` changes.

    Only the nodes between the two are visited. An input that the outputs do not depend on is a
    RuntimeError, or None in its place with `allow_unused`.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        if list(grad_outputs) != [None]:
            raise ValueError(f"grad: {len(outputs)} outputs but {len(grad_outputs)} grad_outputs")
        grad_outputs = [None] * len(outputs)
    _check_roots("grad", outputs)
    for i, t in enumerate(inputs):
        if not t.requires_grad:
            raise RuntimeError(
                f"grad: input {i} of shape {t.shape} does not require a gradient; "
                "make it with requires_grad=True"
            )
    roots = [_root_gradient("grad", t, g) for t, g in zip(outputs, grad_outputs, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    found = Walk(outputs, roots, inputs, keep, create_graph).run()
    results = tuple(found.get(_key(t)) for t in inputs)
    if not allow_unused and any(g is None for g in results):
        unused = [i for i, g in enumerate(results) if g is None]
        raise RuntimeError(
            f"grad: the outputs do not depend on inputs {unused}; "
            "pass allow_unused=True to get None for them"
        )
    return results


def _key(t: Tensor) -> Any:
    """What identifies a tensor in a walk: the node and output that made it, or the leaf itself."""
    return t if t.grad_fn is None else (t.grad_fn, t.index)


def _sorted_nodes(roots: list[Function]) -> list[Function]:
    """All nodes that `roots` depend on, each after those it depends on (depth first)."""
    order: list[Function] = []
    seen: set[Function] = set()
    stack: list[tuple[Function, bool]] = [(node, False) for node in roots]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            for t in node.inputs:
                if t is not None and t.grad_fn is not None and t.grad_fn not in seen:
                    stack.append((t.grad_fn, False))
    return order


def _check_roots(function: str, outputs: Sequence[Tensor]) -> None:
    for t in outputs:
        if not t.requires_grad:
            raise RuntimeError(
                f"{function}: the tensor of shape {t.shape} does not depend on anything that "
                "requires a gradient (no leaf with requires_grad=True, or made under no_grad)"
            )
        if t.grad_fn is not None and t.grad_fn._saved is None:
            raise RuntimeError(
                f"{function}: this graph has been walked and freed already; "
                "pass retain_graph=True the first time to walk it again"
            )


def _root_gradient(function: str, t: Tensor, gradient: Tensor | None) -> Tensor:
    """The gradient the walk starts from at `t`."""
    if gradient is None:
        if t.data.size != 1:
            raise RuntimeError(
                f"{function}: the gradient of a tensor of shape {t.shape} needs a weight for each "
                "element: reduce it to one number first (.sum() or .mean()), or pass a gradient"
            )
        return Tensor(backend.library(t.backend).ones_like(t.data))
    if not isinstance(gradient, Tensor):
        raise TypeError(f"{function}: the gradient must be a Tensor, got {type(gradient).__name__}")
    if gradient.shape != t.shape:
        raise ValueError(
            f"{function}: gradient of shape {gradient.shape} for a tensor of shape {t.shape}"
        )
    return gradient


def _run_hooks(hooks: dict[int, Any] | None, gradient: Tensor) -> Tensor:
    for hook in list((hooks or {}).values()):
        replaced = hook(gradient)
        gradient = gradient if replaced is None else replaced
    return gradient


def _zeros(like: tuple[tuple[int, ...], np.dtype, str]) -> Tensor:
    shape, dtype, name = like
    return Tensor(backend.library(name).zeros(shape, dtype=dtype))


def _owned(gradient: Tensor, given_out: set[int]) -> Tensor:
    """`gradient` with an array that nobody else holds.

    The rule of ``a + b`` answers with one and the same tensor for a and for b; were both leaves to
    keep it, clipping one gradient in place would clip the other.
    """
    array = gradient.data
    if array.base is not None or id(array) in given_out:
        array = array.copy()
    given_out.add(id(array))
    return Tensor(array)


# ------------------------------------------------------------- where an error happened: layer paths


def layer_path(layers: Sequence[Any]) -> str:
    """``'3.conv1' (Conv2d(16, 16, ...)) of Sequential``: the innermost of the running layers."""
    names = []
    for outer, inner in zip(layers, layers[1:], strict=False):
        found = [name for name, module in outer.named_modules() if module is inner]
        names.append(found[0] if found else type(inner).__name__)
    first_line = repr(layers[-1]).split("\n")[0]
    described = first_line if len(layers) > 1 or not first_line.endswith("(") else first_line[:-1]
    if not names:
        return described
    return f"'{'.'.join(names)}' ({described}) of {type(layers[0]).__name__}"


def note_layer(error: BaseException) -> None:
    """Add ``in layer '3.conv1' (...)`` to an error, once: the innermost layer knows best."""
    if state.layers and not getattr(error, "_layer_noted", False):
        with contextlib.suppress(AttributeError):  # an exception class may forbid new attributes
            error._layer_noted = True  # type: ignore[attr-defined]
        error.add_note(f"in layer {layer_path(state.layers)}")


def _check_finite(node: Function, what: str, tensors: Sequence[Tensor | None]) -> None:
    """FloatingPointError at the first NaN or infinity, naming the operation and the layer."""
    for index, t in enumerate(tensors):
        if t is None or t.data.dtype.kind != "f":
            continue
        array = backend.to_numpy(t.data)
        if np.isfinite(array).all():
            continue
        nans, infs = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        where = (
            f"{node.name}.backward: the gradient of input"
            if what == "gradient"
            else (f"{node.name}: output")
        )
        error = FloatingPointError(
            f"{where} {index} of shape {t.shape} holds {nans} NaN and {infs} infinite values"
        )
        layers = getattr(node, "layers", ())
        if what == "gradient" and layers:
            error.add_note(f"in layer {layer_path(layers)}")
        raise error


def iterate(t: Tensor) -> Iterator[Tensor]:
    """The slices of `t` along its first axis."""
    if t.ndim == 0:
        raise TypeError("iteration over a tensor with no axes")
    return (t[i] for i in range(len(t)))
