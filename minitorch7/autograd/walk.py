"""The walk backward: the chain rule, node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..kernels import threads
from .anomaly import check_finite
from .function import Function
from .state import set_grad_enabled, state
from .tensor import Tensor


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
        measured = state.anomaly or state.profile is not None
        self.late = not (create_graph or measured) and backend.get_num_threads() > 1
        self.order = _sorted_nodes([t.grad_fn for t in outputs if t.grad_fn is not None])
        if targets is None and any(node._saved is None for node in self.order):
            raise _freed("backward")
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
            try:
                for node in reversed(self.order):
                    self._visit(node, found)
            finally:
                threads.settle()
            self._finish_leaves(found)
        return found

    def _visit(self, node: Function, found: dict[Any, Tensor]) -> None:
        grads = self._arrived(node, found)
        if grads is not None and node in self.wanted:
            if state.profile is None:
                self._differentiate(node, grads)
            else:
                state.profile.backward(node, grads, self._differentiate)
        if not self.retain_graph and node in self.wanted:
            node.release()

    def _arrived(self, node: Function, found: dict[Any, Tensor]) -> list[Tensor] | None:
        """The gradients of the node's outputs, after their hooks; None if none has arrived."""
        grads: list[Tensor | None] = []
        for index in range(len(node.output_like)):
            key = (node, index)
            grad = self.pending.pop(key, None)
            if grad is not None:
                if node.hooks:
                    grad = _run_hooks(node.hooks.get(index), grad)
                if node.retained:
                    _retain(node.retained.get(index), grad)
                if self.targets is not None and key in self.targets:
                    found[key] = grad
            grads.append(grad)
        missing = [i for i, g in enumerate(grads) if g is None]
        if len(missing) == len(grads):
            return None
        for i in missing:
            grads[i] = _zeros(node.output_like[i])
        return grads

    def _differentiate(self, node: Function, grads: list[Tensor]) -> None:
        """Apply the node's rule and send what it answers to the node's inputs."""
        everything = self.targets is None
        node.needs_input_grad = tuple(
            [
                t is not None and (everything or self._leads_to_target(t, self.wanted))
                for t in node.inputs
            ]
        )
        node.may_be_late = tuple([self.late and _may_be_late(t) for t in node.inputs])
        watched, state.anomaly = state.anomaly, False  # the answer is checked as a whole, below
        try:
            answers = node.backward(*grads)
        finally:
            state.anomaly = watched
        answers = tuple(answers) if isinstance(answers, tuple | list) else (answers,)
        if len(answers) != len(node.inputs):
            raise RuntimeError(
                f"{node.name}.backward returned {len(answers)} gradients "
                f"for {len(node.inputs)} inputs"
            )
        for grad in answers:
            if grad is not None and not isinstance(grad, Tensor):
                raise TypeError(
                    f"{node.name}.backward must return Tensors or None, got {type(grad).__name__}"
                )
        if watched:
            check_finite(node, "gradient", answers)
        for t, needed, grad in zip(node.inputs, node.needs_input_grad, answers, strict=True):
            if needed and grad is not None:
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
        if before is not None:
            if t.grad_fn is None:
                threads.settle()  # one of the two may be a late one
            grad = before + grad
        self.pending[key] = grad

    def _finish_leaves(self, found: dict[Any, Tensor]) -> None:
        given_out = {id(grad.data) for _, grad in self.roots}
        for key, leaf in self.leaves.items():
            grad = self.pending.pop(key)
            if leaf._hooks:
                grad = _run_hooks(leaf._hooks, grad)
            if self.targets is not None:
                if key in self.targets:
                    found[key] = grad
                continue
            if leaf.grad is not None:
                grad = leaf.grad + grad
            elif self.create_graph:
                grad = grad.clone()
            else:
                grad = _owned(grad, given_out)
            leaf.grad = grad


def backward(
    root: Tensor, gradient: Tensor | None, retain_graph: bool | None, create_graph: bool
) -> None:
    """What `Tensor.backward` does; see there."""
    _check_roots("backward", [root])
    start = _root_gradient("backward", root, gradient)
    keep = create_graph if retain_graph is None else retain_graph
    Walk([root], [start], None, keep, create_graph).run()


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
    outputs = _tensors("outputs", outputs)
    inputs = _tensors("inputs", inputs)
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
    walk = Walk(outputs, roots, inputs, keep, create_graph)
    freed = any(node._saved is None for node in walk.order)
    found = walk.run()
    results = tuple(found.get(_key(t)) for t in inputs)
    if not allow_unused and any(g is None for g in results):
        unused = [i for i, g in enumerate(results) if g is None]
        if freed:
            raise _freed("grad")
        raise RuntimeError(
            f"grad: the outputs do not depend on inputs {unused}; "
            "pass allow_unused=True to get None for them"
        )
    return results


def _tensors(name: str, given: Any) -> list[Tensor]:
    listed = list(given) if isinstance(given, tuple | list) else [given]
    for t in listed:
        if not isinstance(t, Tensor):
            raise TypeError(f"grad: {name} must be Tensors, got {type(t).__name__}")
    return listed


def _key(t: Tensor) -> Any:
    """What identifies a tensor in a walk: the node and output that made it, or the leaf itself."""
    return t if t.grad_fn is None else (t.grad_fn, t.index)


def _may_be_late(t: Any) -> bool:
    """Whether the gradient of an input may still be computed by another thread while the walk goes
    on: a leaf's, for nothing reads that before the walk ends (float16 is rounded at once)."""
    return t is not None and t.grad_fn is None and t.data.dtype.itemsize >= 4


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
            raise _freed(function)


def _freed(function: str) -> RuntimeError:
    return RuntimeError(
        f"{function}: this graph, or a part of it, has been walked and freed already; "
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
    if gradient.backend != t.backend:
        raise backend.BackendError(backend.mixed_message(function, (t.data, gradient.data)))
    return gradient.to(t.dtype)


def _run_hooks(hooks: dict[int, Any] | None, gradient: Tensor) -> Tensor:
    for hook in list((hooks or {}).values()):
        replaced = hook(gradient)
        if replaced is None:
            continue
        if not isinstance(replaced, Tensor) or replaced.shape != gradient.shape:
            got = getattr(replaced, "shape", type(replaced).__name__)
            raise RuntimeError(
                f"hook: returned {got} for a gradient of shape {gradient.shape}; it must return "
                "None or a Tensor of the same shape"
            )
        gradient = replaced
    return gradient


def _retain(reference: Any, gradient: Tensor) -> None:
    """Add to the ``.grad`` of an output that asked for it by `retain_grad`, if it still lives."""
    t = None if reference is None else reference()
    if t is not None:
        t.grad = gradient if t.grad is None else t.grad + gradient


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
