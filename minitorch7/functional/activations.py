"""Nonlinearities: what stands between two layers, element by element."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..autograd import Function, Tensor
from ..kernels import cuda, philox
from ..kernels import elementwise as kernel
from ..kernels.special import erf as erf_kernel
from ._arguments import as_float, check_tensor, is_number
from .arithmetic import exp
from .comparison import where


class ReLU(Function):
    """y = max(x, 0);  dx = dy where x > 0, else 0"""

    def forward(self, xp, x):
        y = kernel.relu(xp, x)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return Masked()(grad, y.detach())


class Masked(Function):
    """y = g where the mask is positive, else 0: ReLU's gradient, itself linear in g"""

    def forward(self, xp, g, mask):
        self.save(mask)
        return kernel.masked(xp, g, mask)

    def backward(self, grad):
        (mask,) = self.saved
        return Masked()(grad, mask), None


class LeakyReLU(Function):
    """y = x for x > 0, else slope·x;  dx = dy, else slope·dy"""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, xp, x):
        steepness = xp.where(x > 0, xp.asarray(1, x.dtype), xp.asarray(self.slope, x.dtype))
        self.save(steepness)
        return x * steepness

    def backward(self, grad):
        (steepness,) = self.saved
        return grad * steepness


class ELU(Function):
    """y = x for x > 0, else α(eˣ − 1);  dx = dy, else dy·α·eˣ"""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, xp, x):
        self.save(x)
        return xp.where(x > 0, x, self.alpha * xp.expm1(xp.minimum(x, 0)))

    def backward(self, grad):
        (x,) = self.saved
        below = self.alpha * exp(where(x >= 0, 0.0, x))
        return grad * where(x > 0, 1.0, below)


class Tanh(Function):
    """y = tanh x;  dx = dy·(1 − y²)"""

    def forward(self, xp, x):
        y = xp.tanh(x)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return grad * (1 - y * y)


class Sigmoid(Function):
    """y = 1/(1 + e⁻ˣ);  dx = dy·y·(1 − y)"""

    def forward(self, xp, x):
        y = _logistic(xp, x)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return grad * y * (1 - y)


def _logistic(xp: Any, x: Any) -> Any:
    """1/(1 + e⁻ˣ) of an array."""
    e = xp.exp(-xp.abs(x))  # at most 1: nothing overflows on either side
    return xp.where(x >= 0, 1 / (1 + e), e / (1 + e))


class SiLU(Function):
    """y = x·σ(x), σ(x) = 1/(1 + e⁻ˣ);  dx = dy·σ(x)·(1 + x·(1 − σ(x)))    (arXiv 1606.08415, §2)"""

    def forward(self, xp, x):
        self.save(x)
        return x * _logistic(xp, x)

    def backward(self, grad):
        (x,) = self.saved
        s = sigmoid(x)
        return grad * s * (1 + x * (1 - s))


class Softplus(Function):
    """y = ln(1 + e^(βx))/β, and x itself where βx > threshold;  dx = dy·σ(βx), or dy"""

    def __init__(self, beta: float, threshold: float) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, xp, x):
        self.save(x)
        z = x * self.beta
        soft = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / self.beta
        return xp.where(z > self.threshold, x, soft)

    def backward(self, grad):
        (x,) = self.saved
        z = x * self.beta
        return grad * where(z > self.threshold, 1.0, sigmoid(z))


class GELU(Function):
    """y = x·Φ(x), Φ the normal distribution;  dx = dy·(Φ(x) + x·φ(x))    (arXiv 1606.08415)"""

    def forward(self, xp, x):
        self.save(x)
        return x * (0.5 * (1 + erf_kernel(xp, x / math.sqrt(2))))

    def backward(self, grad):
        (x,) = self.saved
        below = 0.5 * (1 + Erf()(x / math.sqrt(2)))
        density = exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return grad * (below + x * density)


class Erf(Function):
    """y = erf x;  dx = dy·2/√π·e^(−x²)"""

    def forward(self, xp, x):
        self.save(x)
        return erf_kernel(xp, x)

    def backward(self, grad):
        (x,) = self.saved
        return grad * exp(-x * x) * (2 / math.sqrt(math.pi))


def relu(input: Tensor) -> Tensor:
    """max(input, 0); the slope at 0 is taken as 0."""
    return ReLU()(check_tensor("relu", "input", input))


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """input where it is positive, negative_slope·input elsewhere."""
    return LeakyReLU(negative_slope)(as_float("leaky_relu", input))


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """input where it is positive, alpha·(e^input − 1) elsewhere (arXiv 1511.07289)."""
    return ELU(alpha)(as_float("elu", input))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input·Φ(input); with approximate='tanh', 0.5x(1 + tanh(√(2/π)(x + 0.044715x³)))."""
    x = as_float("gelu", input)
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return GELU()(x)


def silu(input: Tensor) -> Tensor:
    """input·σ(input), σ the sigmoid: a smooth ReLU that dips below 0 (arXiv 1606.08415)."""
    return SiLU()(as_float("silu", input))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta·input))/beta: a smooth ReLU; `input` itself where beta·input > threshold."""
    if beta <= 0:
        raise ValueError(f"softplus: beta must be positive, got {beta}")
    return Softplus(beta, threshold)(as_float("softplus", input))


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return Tanh()(as_float("tanh", input))


def sigmoid(input: Tensor) -> Tensor:
    """1/(1 + e^−input)."""
    return Sigmoid()(as_float("sigmoid", input))


def sigmoid_range(input: Tensor, low: float, high: float) -> Tensor:
    """low + (high − low)·σ(input). TypeError, ValueError unless low < high are two numbers."""
    check_range("sigmoid_range", low, high)
    return sigmoid(input) * (high - low) + low


def check_range(function: str, low: float, high: float) -> None:
    """TypeError, ValueError unless low < high are two numbers."""
    if not (is_number(low) and is_number(high)):
        raise TypeError(f"{function}: low and high must be numbers, got {low!r} and {high!r}")
    if not low < high:
        raise ValueError(f"{function}: low must be below high, got {low} and {high}")


def erf(input: Tensor) -> Tensor:
    """2/√π ∫₀^input e^(−t²) dt."""
    return Erf()(as_float("erf", input))


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes each element with probability p, scales the rest by 1/(1−p); only while training.

    (Srivastava et al. 2014.) The expected value stays what it was, so evaluation needs no change.
    """
    return _drop("dropout", input, p, training, False)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes whole channels of `input` (N, C, H, W), scales the rest by 1/(1−p); only training."""
    t = check_tensor("dropout2d", "input", input)
    if t.ndim not in (3, 4):
        raise ValueError(f"dropout2d: input must be (N, C, H, W) or (C, H, W), got {t.shape}")
    if t.ndim == 3:
        return _drop("dropout2d", t.unsqueeze(0), p, training, True).squeeze(0)
    return _drop("dropout2d", t, p, training, True)


def _drop(function: str, input: Tensor, p: float, training: bool, channels: bool) -> Tensor:
    t = as_float(function, input)
    if not 0 <= p <= 1:
        raise ValueError(f"{function}: p must be a probability between 0 and 1, got {p}")
    if not training or p == 0:
        return t
    return t * 0.0 if p == 1 else Dropout(p, channels, *backend.next_draw())(t)


class Dropout(Function):
    """y = x·m/(1 − p), m = 1 where a uniform number is at least p, else 0;  dx = dy·m/(1 − p)

    The numbers are fixed by (seed, draw), on either backend the same. A GPU makes them again in the
    gradient; NumPy, where that takes longer than reading, keeps the mask.

    channels  one number for each channel of x (N, C, …), not for each element
    """

    def __init__(self, p: float, channels: bool, seed: int, draw: int, mask: Any = None) -> None:
        self.p, self.channels, self.seed, self.draw, self.mask = p, channels, seed, draw, mask

    def forward(self, xp, x):
        if cuda.takes(xp, x):
            base = getattr(xp, "draws_base", None)  # in a captured step: see ``capture/library.py``
            return cuda.noise.dropout(xp, x, self.p, self.seed, self.draw, self.channels, base)
        if self.mask is None:
            shape = x.shape[:2] + (1,) * (x.ndim - 2) if self.channels else x.shape
            keep = philox.uniform(shape, self.seed, self.draw) >= self.p
            self.mask = xp.asarray(keep).astype(x.dtype)
            self.mask *= 1 / (1 - self.p)
        return x * self.mask

    def backward(self, grad):
        return Dropout(self.p, self.channels, self.seed, self.draw, self.mask)(grad)
