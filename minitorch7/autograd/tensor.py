"""`Tensor`: an array, and what is needed to differentiate with respect to it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend

if TYPE_CHECKING:
    from .function import Function


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
        self.changes = [0]  # how often the data was changed in place; views share the list
        self._hooks: dict[int, Callable[[Tensor], Tensor | None]] = {}

    @property
    def version(self) -> int:
        """How often the data, or that of a tensor that shares its memory, was changed in place."""
        return self.changes[0]

    def mark_changed(self) -> None:
        """Say that the data was changed in place, so that a backward that needs it complains."""
        self.changes[0] += 1

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
        if dim is None:
            return self.data.shape
        if not -self.ndim <= dim < self.ndim:
            raise IndexError(f"size: dim {dim} is out of range for shape {self.shape}")
        return self.data.shape[dim]

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

    def __format__(self, spec: str) -> str:
        """``f"{loss:.3f}"``: one element is formatted as a number."""
        return format(self.item() if spec and self.numel() == 1 else str(self), spec)

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
        from .walk import backward  # written in terms of Tensor, so it cannot be known earlier

        backward(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same array without its history: nothing flows back through it."""
        detached = Tensor(self.data)
        detached.changes = self.changes
        return detached

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
            self.grad_fn.retained[self.index] = weakref.ref(self)  # the node must not keep it alive

    def copy_(self, source: Any) -> Tensor:
        """Overwrite the values in place, in this tensor's dtype and place; returns it.

        Not recorded: for weights outside a graph. RuntimeError for a tensor that was computed.
        """
        array = source.data if isinstance(source, Tensor) else source
        if not backend.is_array(array):
            raise TypeError(f"copy_: needs a Tensor or an array, got {type(source).__name__}")
        if self.grad_fn is not None:
            raise RuntimeError("copy_: cannot overwrite a tensor that a recorded operation made")
        if tuple(array.shape) != self.shape:
            raise ValueError(f"copy_: shape {tuple(array.shape)} does not fit {self.shape}")
        self.data[...] = backend.to(array, self.backend)
        self.mark_changed()
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
    """A leaf Tensor with a copy of an array, a number, nested lists, or another tensor's values.

    An array keeps its dtype; Python floats become float32, ints int64, bools bool. The values go to
    the active backend (``mt.use``), or to `backend` where that is given.
    """
    made = as_tensor(data, dtype, backend)
    source = data.data if isinstance(data, Tensor) else data
    if made.data is source or made.data.base is not None:
        made = Tensor(made.data.copy(order="K"))
    return made.requires_grad_(requires_grad)


def as_tensor(data: Any, dtype: Any = None, backend: str | None = None) -> Tensor:
    """Like `tensor`, but sharing the memory of an array that is in place already."""
    from .. import backend as libraries

    array = data.data if isinstance(data, Tensor) else data
    if not libraries.is_array(array):
        array = _from_python(array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot make a tensor of {array.dtype}; use real numbers or bools")
    if dtype is not None:
        try:
            array = array.astype(dtype, copy=False)
        except TypeError:
            raise TypeError(f"tensor: {dtype!r} is not a dtype, such as 'float32'") from None
    name = backend or libraries.active()
    if name not in libraries.NAMES:
        raise libraries.BackendError(
            f"tensor: unknown backend {name!r}; the backends are 'numpy' and 'cupy'"
        )
    return Tensor(libraries.to(array, name))


def _from_python(values: Any) -> np.ndarray:
    """A NumPy array from a number or nested lists; Python floats become float32."""
    if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
        raise TypeError("tensor: got a list of tensors; join them with mt.stack or mt.cat")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            "tensor: the nested lists are not of one shape: give rows of equal length"
        ) from None
    if array.dtype == np.float64 and not isinstance(values, np.generic):
        array = array.astype(backend.DEFAULT_FLOAT)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot make numbers of {type(values).__name__} {values!r:.60}")
    return array


def iterate(t: Tensor) -> Iterator[Tensor]:
    """The slices of `t` along its first axis."""
    if t.ndim == 0:
        raise TypeError("iteration over a tensor with no axes")
    return (t[i] for i in range(len(t)))
