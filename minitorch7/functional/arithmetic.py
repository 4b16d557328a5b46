"""Arithmetic and the elementary functions, element by element, with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, Tensor
from ._arguments import (
    array_of,
    as_float,
    check_tensor,
    is_number,
    library_of,
    pair_of_operands,
    shape_of,
)
from .broadcasting import sum_to
from .comparison import where

# ---------------------------------------------------------------------------- the four operations


class Add(Function):
    """y = a + b;  da = dy, db = dy"""

    def forward(self, xp, a, b):
        self.shapes = shape_of(a), shape_of(b)
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
        self.shapes = shape_of(a), shape_of(b)
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
    x, y = array_of(a), array_of(b)
    if rounding_mode == "floor":
        return Tensor(library_of(a, b).asarray(x // y))
    dtype = (a if isinstance(a, Tensor) else b).dtype
    xp = library_of(a, b)
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
    if isinstance(input, Tensor):
        input = check_tensor("pow", "input", input)
    if isinstance(exponent, Tensor):
        exponent = check_tensor("pow", "exponent", exponent)
    a, b = pair_of_operands("pow", input, exponent)
    t = a if isinstance(a, Tensor) else b
    if t.dtype.kind == "b":  # NumPy would answer in int8
        return Tensor(library_of(t).asarray(array_of(a) | ~_as_bool(b)))
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
