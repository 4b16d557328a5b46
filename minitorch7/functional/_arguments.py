"""What the functions do to their arguments before an operation sees them: checks and dtypes.

The rules are PyTorch's. Of two tensors of different kinds (bool < integer < float) the higher kind
wins whatever the widths; within a kind the wider wins, except that a tensor without axes never
widens one that has axes. A Python number never changes a tensor's dtype, unless a float meets
integers: then they become float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor, state

_KIND = {"b": 0, "u": 1, "i": 1, "f": 2}


class Cast(Function):
    """y = x in another dtype; the gradient is cast back."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, xp, x):
        self.source = x.dtype
        return x.astype(self.dtype)

    def backward(self, grad):
        return cast(grad, self.source)


def cast(t: Tensor, dtype: Any) -> Tensor:
    """`t` in the dtype given; `t` itself where it has that dtype already."""
    return t if t.dtype == np.dtype(dtype) else Cast(dtype)(t)


def check_tensor(function: str, name: str, value: Any) -> Tensor:
    """`value`, or a TypeError that says how to make a tensor of it.

    Inside mt.autocast: `value` in the dtype in which `function` takes its arguments.
    """
    if isinstance(value, Tensor):
        return value if state.autocast is None else state.autocast.cast(function, value)
    hint = "wrap it with minitorch7.tensor(...)"
    raise TypeError(f"{function}: {name} must be a Tensor, got {type(value).__name__}; {hint}")


def check_float(function: str, name: str, value: Any) -> Tensor:
    """`value` as a floating-point tensor, or a TypeError."""
    t = check_tensor(function, name, value)
    if t.dtype.kind != "f":
        raise TypeError(
            f"{function}: {name} must be floating point, got {t.dtype}; convert it with .float()"
        )
    return t


def check_same_dtype(function: str, first: Tensor, **others: Tensor | None) -> None:
    """TypeError unless every tensor given has the dtype of `first` (the input)."""
    dtype, kind = first.data.dtype, type(first.data)
    for name, t in others.items():
        if t is None:
            continue
        check_tensor(function, name, t)
        if t.data.dtype is dtype and type(t.data) is kind:
            continue
        mixed = state.autocast is not None and state.autocast.may_meet(dtype, t.dtype)
        if t.dtype != dtype and not mixed:
            raise TypeError(
                f"{function}: input is {first.dtype} but {name} is {t.dtype}; "
                "convert one of them with .to(dtype)"
            )
        check_same_backend(function, first, t)


def check_same_backend(function: str, *tensors: Any) -> None:
    """BackendError unless all tensors given (None and numbers aside) are on one backend."""
    arrays = tuple([t.data for t in tensors if isinstance(t, Tensor)])
    if len(set(map(type, arrays))) > 1 and len({backend.name_of(a) for a in arrays}) > 1:
        raise backend.BackendError(backend.mixed_message(function, arrays))


def check_integer(function: str, name: str, value: Any, least: int | None = None) -> int:
    """`value` as an int of at least `least`; TypeError or ValueError otherwise."""
    if type(value) is int and (least is None or value >= least):
        return value  # nearly always; asking for Integral is slow
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{function}: {name} must be an integer, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{function}: {name} must be at least {least}, got {value}")
    return int(value)


def check_shape(function: str, shape: Any) -> tuple[int, ...]:
    """A shape given as ``f(2, 3)`` or as ``f((2, 3))``: whole numbers of at least 0."""
    if len(shape) == 1 and isinstance(shape[0], Sequence) and not isinstance(shape[0], str):
        shape = shape[0]
    return tuple(check_integer(function, f"each length of {tuple(shape)!r}", n, 0) for n in shape)


def as_float(function: str, value: Any) -> Tensor:
    """`value` as a float tensor: integers and bools become float32, as in PyTorch."""
    t = check_tensor(function, "input", value)
    return t if t.dtype.kind == "f" else cast(t, backend.DEFAULT_FLOAT)


def is_number(value: Any) -> bool:
    """Whether `value` is a Python or NumPy scalar."""
    return isinstance(value, Real | np.generic)


def pair_of_operands(function: str, a: Any, b: Any, to_float: bool = False) -> tuple[Any, Any]:
    """`a` and `b` ready for one operation: tensors of one dtype, or one of them a number.

    With `to_float` integers become float32 first (true division).
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        x, y = a.data, b.data
        if type(x) is type(y) and x.shape == y.shape and x.dtype is y.dtype and x.dtype.kind == "f":
            return a, b  # two alike, as almost always in a training step
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        raise TypeError(f"{function}: at least one operand must be a Tensor")
    for name, value in (("input", a), ("other", b)):
        if not isinstance(value, Tensor) and not is_number(value):
            check_tensor(function, name, value)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        dtype = common_dtype(a, b)
    else:
        t, number = (a, b) if isinstance(a, Tensor) else (b, a)
        dtype = _dtype_with_number(t.dtype, number)
    if to_float and dtype.kind != "f":
        dtype = backend.DEFAULT_FLOAT
    a = cast(a, dtype) if isinstance(a, Tensor) else _plain(a)
    b = cast(b, dtype) if isinstance(b, Tensor) else _plain(b)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        check_same_backend(function, a, b)
        broadcast_shape(function, a.shape, b.shape)
    return a, b


def common_dtype(a: Tensor, b: Tensor) -> np.dtype:
    """The dtype in which two tensors meet."""
    if a.dtype == b.dtype:
        return a.dtype
    kind_a, kind_b = _KIND[a.dtype.kind], _KIND[b.dtype.kind]
    if kind_a != kind_b:
        return a.dtype if kind_a > kind_b else b.dtype
    if (a.ndim == 0) != (b.ndim == 0):
        return b.dtype if a.ndim == 0 else a.dtype
    return np.promote_types(a.dtype, b.dtype)


def _dtype_with_number(dtype: np.dtype, number: Any) -> np.dtype:
    if dtype.kind == "f" or isinstance(number, bool | np.bool_):
        return dtype
    if isinstance(number, Integral):
        return np.dtype(np.int64) if dtype.kind == "b" else dtype
    return backend.DEFAULT_FLOAT


def _plain(number: Any) -> Any:
    """A NumPy scalar as a Python number, which never promotes."""
    return number.item() if isinstance(number, np.generic) else number


def broadcast_shape(function: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape the given shapes broadcast to, or a ValueError that names the axis at fault."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(s) for s in shapes)
        raise ValueError(
            f"{function}: shapes {listed} cannot be broadcast together: aligned from the right, "
            "two lengths must be equal or one of them 1"
        ) from None


def axis_of(function: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front; IndexError where there is no such axis."""
    if isinstance(dim, bool) or not isinstance(dim, Integral):
        raise TypeError(f"{function}: dim must be an integer, got {dim!r}")
    least = max(ndim, 1)  # a tensor without axes answers to dim 0 and -1, as in PyTorch
    if not -least <= dim < least:
        raise IndexError(
            f"{function}: dim {dim} is out of range for {ndim} axes (-{least} to {least - 1})"
        )
    return int(dim) % least


def axes_of(function: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `dim` (an int, or several) names, counted from the front; None and () name all.

    That () names all is PyTorch's rule for reductions.
    """
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(ndim))
    if not isinstance(dim, Sequence):
        return (axis_of(function, dim, ndim),) if ndim else ()
    axes = tuple(axis_of(function, d, ndim) for d in dim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{function}: dim {tuple(dim)} names an axis twice")
    return axes if ndim else ()


def pair(function: str, name: str, value: Any, least: int = 0) -> tuple[int, int]:
    """An int or two of them, as (rows, columns); ValueError below `least`."""
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int:
        if value[0] >= least <= value[1]:
            return value
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    integers = all(isinstance(v, Integral) and not isinstance(v, bool) for v in both)
    if len(both) != 2 or not integers:
        raise TypeError(f"{function}: {name} must be an integer or two of them, got {value!r}")
    if min(both) < least:
        raise ValueError(f"{function}: {name} must be at least {least}, got {value!r}")
    return int(both[0]), int(both[1])


def check_reduction(function: str, reduction: str) -> None:
    """ValueError unless `reduction` is none, mean or sum."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(
            f"{function}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}"
        )


def shape_of(value: Any) -> tuple[int, ...]:
    """A tensor's shape; () for a number."""
    return getattr(value, "shape", ())


def array_of(value: Any) -> Any:
    """A tensor's array, or a plain Python number."""
    if isinstance(value, Tensor):
        return value.data
    return value.item() if isinstance(value, np.generic) else value


def library_of(*values: Any) -> Any:
    """The array library of the first tensor among the values."""
    return backend.library(next(v for v in values if isinstance(v, Tensor)).backend)
