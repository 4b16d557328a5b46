"""Arithmetic, comparison and the elementary functions, element by element, with broadcasting.

Where a short tensor was stretched to meet a longer one, each of its elements served several times,
so its gradient is the sum over those uses: `sum_to` undoes a broadcast, `broadcast_to` performs it,
and each is the other's derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ._arguments import (
    as_float,
    broadcast_shape,
    cast,
    check_tensor,
    common_dtype,
    is_number,
    pair_of_operands,
)

# ----------------------------------------------------------------------------- broadcast, undone


class BroadcastTo(Function):
    """y = x stretched to `shape`;  dx = dy summed over the stretched axes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, xp, x):
        self.source = x.shape
        return xp.broadcast_to(x, self.shape)

    def backward(self, grad):
        return sum_to(grad, self.source)


class SumTo(Function):
    """y = x summed over the axes that a broadcast from `shape` to x's shape would stretch."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, xp, x):
        self.source = x.shape
        lead = x.ndim - len(self.shape)
        stretched = [
            lead + i for i, n in enumerate(self.shape) if n == 1 and x.shape[lead + i] != 1
        ]
        axes = tuple(range(lead)) + tuple(stretched)
        return xp.sum(x, axis=axes, keepdims=True).reshape(self.shape)

    def backward(self, grad):
        return broadcast_to(grad, self.source)


def broadcast_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`input` stretched to `shape` by NumPy's and PyTorch's rules; a view, no copy."""
    t, shape = check_tensor("broadcast_to", "input", input), tuple(shape)
    if t.shape == shape:
        return t
    if broadcast_shape("broadcast_to", t.shape, shape) != shape:
        raise ValueError(f"broadcast_to: {t.shape} cannot be stretched to {shape}")
    return BroadcastTo(shape)(t)


def sum_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`input` summed down to `shape`: the adjoint of `broadcast_to`."""
    t, shape = check_tensor("sum_to", "input", input), tuple(shape)
    if t.shape == shape:
        return t
    if broadcast_shape("sum_to", t.shape, shape) != t.shape:
        raise ValueError(
            f"sum_to: {t.shape} is not a broadcast of {shape}, so cannot be summed to it"
        )
    return SumTo(shape)(t)


def _shape(value: Any) -> tuple[int, ...]:
    return getattr(value, "shape", ())


# ---------------------------------------------------------------------------- the four operations


class Add(Function):
    """y = a + b;  da = dy, db = dy"""

    def forward(self, xp, a, b):
        self.shapes = _shape(a), _shape(b)
        return a + b

    def backward(self, grad):
        need_a, need_b = self.needs_input_grad
        return (
            sum_to(grad, self.shapes[0]) if need_a else None,
            sum_to(grad, self.shapes[1]) if need_b else None,
        )


class Sub(Function):
    """y = a − b;  da = dy, db = −dy"""

    def forward(self, xp, a, b):
        self.shapes = _shape(a), _shape(b)
        return a - b

    def backward(self, grad):
        need_a, need_b = self.needs_input_grad
        return (
            sum_to(grad, self.shapes[0]) if need_a else None,
            sum_to(-grad, self.shapes[1]) if need_b else None,
        )


class Mul(Function):
    """y = a·b;  da = dy·b, db = dy·a"""

    def forward(self, xp, a, b):
        self.save(a, b)
        return a * b

    def backward(self, grad):
        a, b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            sum_to(grad * b, a.shape) if need_a else None,
            sum_to(grad * a, b.shape) if need_b else None,
        )


class Div(Function):
    """y = a/b;  da = dy/b, db = −dy·a/b²"""

    def forward(self, xp, a, b):
        self.save(a, b)
        return a / b

    def backward(self, grad):
        a, b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            sum_to(grad / b, a.shape) if need_a else None,
            sum_to(-grad * a / (b * b), b.shape) if need_b else None,
        )


class Neg(Function):
    """y = −x;  dx = −dy"""

    def forward(self, xp, x):
        return -x

    def backward(self, grad):
        return -grad


class Pow(Function):
    """y = xᵖ;  dx = dy·p·xᵖ⁻¹, dp = dy·xᵖ·ln x (0 where x = 0)"""

    def forward(self, xp, x, p):
        self.save(x, p)
        return x**p

    def backward(self, grad):
        x, p = self.saved
        need_x, need_p = self.needs_input_grad
        return (
            sum_to(grad * self._slope(x, p), x.shape) if need_x else None,
            sum_to(grad * x**p * self._log(x), p.shape) if need_p else None,
        )

    def _log(self, x: Any) -> Any:
        """ln x, but 0 for x = 0, where xᵖ·ln x tends to 0."""
        if is_number(x):
            return 0.0 if x == 0 else float(np.log(x)) if x > 0 else float("nan")
        return log(where(x == 0, 1.0, x))

    def _slope(self, x: Any, p: Any) -> Any:
        """p·xᵖ⁻¹, and 0 for p = 0, where the formula at x = 0 would be 0·∞."""
        if is_number(p):
            return 0.0 * x if p == 0 else p * x ** (p - 1)
        return where(p == 0, 0.0, p * x ** where(p == 0, 0.0, p - 1))


def add(input: Tensor | float, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """input + alpha·other, broadcast."""
    a, b = pair_of_operands("add", input, other)
    return Add()(a, b if alpha == 1 else b * alpha)


def sub(input: Tensor | float, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """input − alpha·other, broadcast."""
    a, b = pair_of_operands("sub", input, other)
    return Sub()(a, b if alpha == 1 else b * alpha)


def mul(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input·other, broadcast."""
    return Mul()(*pair_of_operands("mul", input, other))


def div(
    input: Tensor | float, other: Tensor | float, *, rounding_mode: str | None = None
) -> Tensor:
    """input/other, broadcast; integers give float32. `rounding_mode`: None, 'floor' or 'trunc'.

    A rounded quotient is constant almost everywhere: its gradient is zero, and none is recorded.
    """
    if rounding_mode not in (None, "floor", "trunc"):
        raise ValueError(
            f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}"
        )
    if rounding_mode is None:
        return Div()(*pair_of_operands("div", input, other, to_float=True))
    a, b = pair_of_operands("div", input, other)
    x, y = _array(a), _array(b)
    if rounding_mode == "floor":
        return Tensor(_library(a, b).asarray(x // y))
    dtype = (a if isinstance(a, Tensor) else b).dtype
    xp = _library(a, b)
    return Tensor(xp.asarray(xp.trunc(x / y)).astype(dtype))


def floor_divide(input: Tensor | float, other: Tensor | float) -> Tensor:
    """⌊input/other⌋, broadcast; no gradient."""
    return div(input, other, rounding_mode="floor")


def neg(input: Tensor) -> Tensor:
    """−input."""
    t = check_tensor("neg", "input", input)
    if t.dtype.kind == "b":
        raise TypeError("neg: bools have no negative; use ~input, or input.float()")
    return Neg()(t)


def pow(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """input to the power exponent, broadcast."""
    a, b = pair_of_operands("pow", input, exponent)
    t = a if isinstance(a, Tensor) else b
    if t.dtype.kind == "b":  # NumPy would answer in int8
        return Tensor(_library(t).asarray(_array(a) | ~_as_bool(b)))
    if t.dtype.kind != "f" and _has_negative(b):
        raise TypeError(
            f"pow: integers cannot be raised to a negative power ({exponent!r:.40}); "
            "use input.float()"
        )
    return Pow()(a, b)


def _has_negative(exponent: Any) -> bool:
    """Whether a number is below 0, or some element is (looked at on NumPy only)."""
    if not isinstance(exponent, Tensor):
        return exponent < 0
    return exponent.backend == "numpy" and bool((exponent.data < 0).any())


def _as_bool(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else np.bool_(value)


# ----------------------------------------------------------------------- one argument, one formula


class Exp(Function):
    """y = eˣ;  dx = dy·y"""

    def forward(self, xp, x):
        y = xp.exp(x)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return grad * y


class Log(Function):
    """y = ln x;  dx = dy/x"""

    def forward(self, xp, x):
        self.save(x)
        return xp.log(x)

    def backward(self, grad):
        (x,) = self.saved
        return grad / x


class Sqrt(Function):
    """y = √x;  dx = dy/(2y)"""

    def forward(self, xp, x):
        y = xp.sqrt(x)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return grad / (2 * y)


class Abs(Function):
    """y = |x|;  dx = dy·sign x (0 at 0)"""

    def forward(self, xp, x):
        self.save(xp.sign(x))
        return xp.abs(x)

    def backward(self, grad):
        (sign,) = self.saved
        return grad * sign


class Sin(Function):
    """y = sin x;  dx = dy·cos x"""

    def forward(self, xp, x):
        self.save(x)
        return xp.sin(x)

    def backward(self, grad):
        (x,) = self.saved
        return grad * cos(x)


class Cos(Function):
    """y = cos x;  dx = −dy·sin x"""

    def forward(self, xp, x):
        self.save(x)
        return xp.cos(x)

    def backward(self, grad):
        (x,) = self.saved
        return -grad * sin(x)


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


def exp(input: Tensor) -> Tensor:
    """e to the power input."""
    return Exp()(as_float("exp", input))


def log(input: Tensor) -> Tensor:
    """The natural logarithm: −∞ at 0, NaN below."""
    return Log()(as_float("log", input))


def sqrt(input: Tensor) -> Tensor:
    """The square root: NaN below 0; the slope at 0 is infinite."""
    return Sqrt()(as_float("sqrt", input))


def abs(input: Tensor) -> Tensor:
    """The absolute value; its slope at 0 is taken as 0."""
    return Abs()(check_tensor("abs", "input", input))


def sin(input: Tensor) -> Tensor:
    """The sine of an angle in radians."""
    return Sin()(as_float("sin", input))


def cos(input: Tensor) -> Tensor:
    """The cosine of an angle in radians."""
    return Cos()(as_float("cos", input))


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


# ------------------------------------------------------------------------- choosing and comparing


class Where(Function):
    """y = a where the condition holds, else b;  each gets dy where it was chosen"""

    def __init__(self, condition: Any) -> None:
        self.condition = condition

    def forward(self, xp, a, b):
        self.shapes = _shape(a), _shape(b)
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


def where(condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor:
    """`input` where `condition` is true, `other` elsewhere; all three are broadcast."""
    mask = check_tensor("where", "condition", condition)
    if mask.dtype.kind != "b":
        raise TypeError(f"where: condition must be bool, got {mask.dtype}; compare first")
    if is_number(input) and is_number(other):
        input = _filled(mask, input)
    a, b = pair_of_operands("where", input, other)
    broadcast_shape("where", mask.shape, _shape(a), _shape(b))
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


def _array(value: Any) -> Any:
    """A tensor's array, or a plain Python number."""
    if isinstance(value, Tensor):
        return value.data
    return value.item() if isinstance(value, np.generic) else value


def _library(*values: Any) -> Any:
    return backend.library(next(v for v in values if isinstance(v, Tensor)).backend)


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
    xp = _library(a, b)
    result = getattr(xp, symbol)(_array(a), _array(b))
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
    xp = _library(t)
    return Tensor(xp.asarray(xp.logical_not(t.data)))


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """True where both are true (not zero)."""
    return _compare("logical_and", "logical_and", input, other)


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """True where either is true (not zero)."""
    return _compare("logical_or", "logical_or", input, other)


def isnan(input: Tensor) -> Tensor:
    """True where `input` is not a number."""
    xp = _library(check_tensor("isnan", "input", input))
    return Tensor(xp.asarray(xp.isnan(input.data)))


def isfinite(input: Tensor) -> Tensor:
    """True where `input` is neither NaN nor infinite."""
    xp = _library(check_tensor("isfinite", "input", input))
    return Tensor(xp.asarray(xp.isfinite(input.data)))
