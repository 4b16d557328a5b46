"""Comparing elements, and choosing among them: where, maximum, clamp."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ._arguments import (
    array_of,
    as_float,
    broadcast_shape,
    cast,
    check_tensor,
    common_dtype,
    is_number,
    library_of,
    pair_of_operands,
    shape_of,
)
from .broadcasting import sum_to

# --------------------------------------------------------------------------------------- choosing


class Where(Function):
    """y = a where the condition holds, else b;  each gets dy where it was chosen"""

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def forward(self, xp, a, b):
        self.shapes = shape_of(a), shape_of(b)
        return xp.where(self.condition, a, b)

    def backward(self, grad):
        need_a, need_b = self.needs_input_grad
        chosen = Tensor(self.condition)
        return (
            sum_to(where(chosen, grad, 0.0), self.shapes[0]) if need_a else None,
            sum_to(where(chosen, 0.0, grad), self.shapes[1]) if need_b else None,
        )


class Extreme(Function):
    """y = max(a, b) or min(a, b);  dy goes to the one chosen, half to each at a tie

    Beside a NaN neither is the smaller, and both receive dy: PyTorch's rule.
    """

    def __init__(self, largest: bool) -> None:
        self.largest = largest

    def forward(self, xp, a, b):
        self.shapes = a.shape, b.shape
        a_loses, b_loses = (a < b, a > b) if self.largest else (a > b, a < b)
        half = (a == b).astype(a.dtype) * 0.5
        self.save(1 - a_loses.astype(a.dtype) - half, 1 - b_loses.astype(a.dtype) - half)
        return (xp.maximum if self.largest else xp.minimum)(a, b)

    def backward(self, grad):
        share_a, share_b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            sum_to(grad * share_a, self.shapes[0]) if need_a else None,
            sum_to(grad * share_b, self.shapes[1]) if need_b else None,
        )


class Clamp(Function):
    """y = min(max(x, low), high);  dx = dy where low ≤ x ≤ high, else 0"""

    def __init__(self, low: float | None, high: float | None) -> None:
        self.low, self.high = low, high

    def forward(self, xp, x):
        inside = xp.ones(x.shape, dtype=bool)
        if self.low is not None:
            inside &= x >= self.low
        if self.high is not None:
            inside &= x <= self.high
        self.save(inside.astype(x.dtype))
        return xp.clip(x, self.low, self.high)

    def backward(self, grad):
        (inside,) = self.saved
        return grad * inside


def where(condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor:
    """`input` where `condition` is true, `other` elsewhere; all three are broadcast."""
    mask = check_tensor("where", "condition", condition)
    if mask.dtype.kind != "b":
        raise TypeError(f"where: condition must be bool, got {mask.dtype}; compare first")
    if is_number(input) and is_number(other):
        input = _filled(mask, input)
    a, b = pair_of_operands("where", input, other)
    broadcast_shape("where", mask.shape, shape_of(a), shape_of(b))
    return _choose(mask, a, b)


def _choose(mask: Tensor, a: Any, b: Any) -> Tensor:
    """Where, once the operands have one dtype; a number takes the tensor's dtype."""
    xp = backend.library(mask.backend)
    dtype = (a if isinstance(a, Tensor) else b).dtype
    a = a if isinstance(a, Tensor) else Tensor(xp.asarray(a, dtype=dtype))
    b = b if isinstance(b, Tensor) else Tensor(xp.asarray(b, dtype=dtype))
    for t in (a, b):
        if t.backend != mask.backend:
            raise backend.BackendError(backend.mixed_message("where", (mask.data, a.data, b.data)))
    return Where(mask.data)(a, b)


def _filled(like: Tensor, number: Any) -> Tensor:
    dtype = np.int64 if isinstance(number, int) else backend.DEFAULT_FLOAT
    return Tensor(backend.library(like.backend).full((), number, dtype=dtype))


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of each pair, broadcast; at a tie each gets half the gradient."""
    return Extreme(True)(*_two_tensors("maximum", input, other))


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of each pair, broadcast; at a tie each gets half the gradient."""
    return Extreme(False)(*_two_tensors("minimum", input, other))


def _two_tensors(function: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = check_tensor(function, "input", a), check_tensor(function, "other", b)
    return pair_of_operands(function, a, b)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """`input` limited to [min, max]; either may be left out, or be a tensor.

    On the limits themselves the gradient passes, as in PyTorch.
    """
    t = check_tensor("clamp", "input", input)
    if min is None and max is None:
        raise ValueError("clamp: give min, max or both")
    for name, limit in (("min", min), ("max", max)):
        if isinstance(limit, Tensor):
            broadcast_shape("clamp", t.shape, limit.shape)
        elif limit is not None and not is_number(limit):
            raise TypeError(f"clamp: {name} must be a number or a Tensor, got {limit!r}")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        t = t if min is None else where(t < min, min, t)
        return t if max is None else where(t > max, max, t)
    if t.dtype.kind != "f" and (isinstance(min, float) or isinstance(max, float)):
        t = as_float("clamp", t)
    return Clamp(min, max)(t)


# -------------------------------------------------------------------------------------- comparing


def _compare(function: str, symbol: str, a: Any, b: Any) -> Tensor:
    """A bool tensor; comparisons have no gradient, so no Function is needed."""
    for name, value in (("input", a), ("other", b)):
        if not isinstance(value, Tensor) and (name == "input" or not is_number(value)):
            check_tensor(function, name, value)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        broadcast_shape(function, a.shape, b.shape)
        dtype = common_dtype(a, b)
        a, b = cast(a.detach(), dtype), cast(b.detach(), dtype)
        if a.backend != b.backend:
            raise backend.BackendError(backend.mixed_message(function, (a.data, b.data)))
    xp = library_of(a, b)
    result = getattr(xp, symbol)(array_of(a), array_of(b))
    return Tensor(xp.asarray(result))


def eq(input: Tensor, other: Tensor | float) -> Tensor:
    """input = other, element by element; a bool tensor."""
    return _compare("eq", "equal", input, other)


def ne(input: Tensor, other: Tensor | float) -> Tensor:
    """input ≠ other, element by element; a bool tensor."""
    return _compare("ne", "not_equal", input, other)


def lt(input: Tensor, other: Tensor | float) -> Tensor:
    """input < other, element by element; a bool tensor."""
    return _compare("lt", "less", input, other)


def le(input: Tensor, other: Tensor | float) -> Tensor:
    """input ≤ other, element by element; a bool tensor."""
    return _compare("le", "less_equal", input, other)


def gt(input: Tensor, other: Tensor | float) -> Tensor:
    """input > other, element by element; a bool tensor."""
    return _compare("gt", "greater", input, other)


def ge(input: Tensor, other: Tensor | float) -> Tensor:
    """input ≥ other, element by element; a bool tensor."""
    return _compare("ge", "greater_equal", input, other)


def logical_not(input: Tensor) -> Tensor:
    """True where `input` is zero or False."""
    t = check_tensor("logical_not", "input", input)
    xp = library_of(t)
    return Tensor(xp.asarray(xp.logical_not(t.data)))


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """True where both are true (not zero)."""
    return _compare("logical_and", "logical_and", input, other)


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """True where either is true (not zero)."""
    return _compare("logical_or", "logical_or", input, other)


def isnan(input: Tensor) -> Tensor:
    """True where `input` is not a number."""
    xp = library_of(check_tensor("isnan", "input", input))
    return Tensor(xp.asarray(xp.isnan(input.data)))


def isfinite(input: Tensor) -> Tensor:
    """True where `input` is neither NaN nor infinite."""
    xp = library_of(check_tensor("isfinite", "input", input))
    return Tensor(xp.asarray(xp.isfinite(input.data)))
