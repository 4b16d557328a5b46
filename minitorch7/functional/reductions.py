"""Functions that combine the elements along one or more axes into one.

A sum hands its gradient to every element alike; a maximum hands it to the winner; a softmax, to all
of them at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import backend
from ..autograd import Function, Tensor
from ._arguments import as_float, axes_of, axis_of, check_float, check_tensor
from .arithmetic import exp, mul, sqrt
from .broadcasting import broadcast_to
from .comparison import where
from .lookup import gather
from .shape import unsqueeze


class Sum(Function):
    """y = Σ x over the axes;  dx = dy, stretched back"""

    def __init__(self, axes: tuple[int, ...], keepdim: bool) -> None:
        self.axes, self.keepdim = axes, keepdim

    def forward(self, xp, x):
        self.source = x.shape
        self.kept = tuple(1 if i in self.axes else n for i, n in enumerate(x.shape))
        wide = None if x.dtype.kind == "f" else "int64"  # whole numbers of every width add up there
        return xp.sum(x, axis=self.axes, dtype=wide, keepdims=self.keepdim)

    def backward(self, grad):
        return broadcast_to(grad.reshape(self.kept), self.source)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Σ over `dim`: None for all axes, an int or several. Bools and integers add up to int64."""
    t = check_tensor("sum", "input", input)
    return Sum(axes_of("sum", dim, t.ndim), keepdim)(t)


def mean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Σ x/n over `dim`, the arithmetic mean of n elements; NaN over nothing."""
    t = check_float("mean", "input", input)
    axes = axes_of("mean", dim, t.ndim)
    n = _count(t, axes)
    return mul(Sum(axes, keepdim)(t), 1 / n if n else float("nan"))


class Var(Function):
    """y = Σ(x − x̄)²/(n − c) over the axes;  dx = dy·2(x − x̄)/(n − c)

    How x̄ answers to x drops out of the gradient, because Σ(x − x̄) = 0.
    """

    def __init__(self, axes: tuple[int, ...], left: float) -> None:
        self.axes, self.left = axes, left

    def forward(self, xp, x):
        self.save(x)
        n = _count(x, self.axes)
        mean = xp.sum(x, axis=self.axes, keepdims=True) * (1 / n if n else float("nan"))
        squares = xp.sum((x - mean) ** 2, axis=self.axes, keepdims=True)
        return squares * _over(self.left if self.left > 0 else 0)

    def backward(self, grad):
        (x,) = self.saved
        return grad * (2 * _over(self.left)) * (x - mean(x, self.axes, keepdim=True))


def _over(n: float) -> float:
    """1/n, and ∞ for 0."""
    return 1 / n if n else float("inf")


def var(input: Tensor, dim: Any = None, *, correction: int = 1, keepdim: bool = False) -> Tensor:
    """The variance Σ(x − x̄)²/max(0, n − correction) over `dim`; correction 1 is unbiased."""
    return _var("var", input, dim, correction, keepdim)


def _var(function: str, input: Tensor, dim: Any, correction: int, keepdim: bool) -> Tensor:
    t = check_float(function, "input", input)
    axes = axes_of(function, dim, t.ndim)
    y = Var(axes, _count(t, axes) - correction)(t)
    return y if keepdim else y.reshape(tuple(n for i, n in enumerate(t.shape) if i not in axes))


def std(input: Tensor, dim: Any = None, *, correction: int = 1, keepdim: bool = False) -> Tensor:
    """√(Σ(x − x̄)²/(n − c)), the standard deviation over `dim`.

    Where it is 0 its slope, infinite for √, is taken as 0.
    """
    v = _var("std", input, dim, correction, keepdim)
    flat = v.detach() == 0
    return where(flat, 0.0, sqrt(where(flat, 1.0, v)))


def _count(t: Any, axes: tuple[int, ...]) -> int:
    n = 1
    for axis in axes:
        n *= t.shape[axis]
    return n


# ------------------------------------------------------------------------------------- extremes


class Extreme(Function):
    """y = the largest (or smallest) of all elements;  dx = dy in equal shares to all of those"""

    def __init__(self, which: str) -> None:
        self.which = which

    def forward(self, xp, x):
        y = getattr(xp, self.which)(x)
        chosen = (x == y) | (x != x)  # a NaN is every extreme
        self.save(chosen / xp.sum(chosen))
        return y

    def backward(self, grad):
        (share,) = self.saved
        return grad * share.to(grad.dtype)


class Extremes(NamedTuple):
    """The largest or smallest elements along an axis, and where they stand."""

    values: Tensor
    indices: Tensor


def max(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The largest element, or along `dim` the pair (values, indices).

    Along `dim` the gradient goes to the element at the index, the first of equals; without `dim`,
    in equal shares to all that are largest. So it is in PyTorch.
    """
    return _extreme("max", "argmax", input, dim, keepdim)


def min(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest element, or along `dim` the pair (values, indices)."""
    return _extreme("min", "argmin", input, dim, keepdim)


def _extreme(function: str, arg: str, input: Tensor, dim: Any, keepdim: bool) -> Any:
    t = check_tensor(function, "input", input)
    if dim is None:
        if t.numel() == 0:
            raise ValueError(f"{function}: nothing to choose from in shape {t.shape}")
        return Extreme(function)(t)
    indices = _arg(function, arg, t, dim, True)
    values = gather(t, axis_of(function, dim, t.ndim), indices)
    if not keepdim:
        shape = _without(t.shape, axis_of(function, dim, t.ndim))
        values, indices = values.reshape(shape), Tensor(indices.data.reshape(shape))
    return Extremes(values, indices)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element along `dim` (of the flattened tensor for None), int64."""
    return _arg("argmax", "argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element along `dim` (of the flattened tensor for None), int64."""
    return _arg("argmin", "argmin", input, dim, keepdim)


def _arg(function: str, arg: str, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    t = check_tensor(function, "input", input)
    axis = None if dim is None else axis_of(function, dim, t.ndim)
    if (t.numel() if axis is None or t.ndim == 0 else t.shape[axis]) == 0:
        raise ValueError(f"{function}: nothing to choose from along dim {dim} of shape {t.shape}")
    xp = backend.library(t.backend)
    if t.ndim == 0:
        return Tensor(xp.zeros((), dtype="int64"))
    found = xp.asarray(getattr(xp, arg)(t.data, axis=axis)).astype("int64", copy=False)
    if keepdim:
        kept = [1 if axis is None or i == axis else n for i, n in enumerate(t.shape)]
        found = found.reshape(kept)
    return Tensor(found)


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether some element along `dim` is true; a bool tensor."""
    return _truth("any", input, dim, keepdim)


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether every element along `dim` is true; a bool tensor."""
    return _truth("all", input, dim, keepdim)


def _truth(function: str, input: Tensor, dim: Any, keepdim: bool) -> Tensor:
    t = check_tensor(function, "input", input)
    xp = backend.library(t.backend)
    axes = axes_of(function, dim, t.ndim)
    return Tensor(xp.asarray(getattr(xp, function)(t.data, axis=axes, keepdims=keepdim)))


# ------------------------------------------------------------------------------ softmax and family


class LogSumExp(Function):
    """y = ln Σ eˣ along an axis;  dx = dy·softmax(x)

    The largest element is taken out first, y = m + ln Σ e^(x−m), so that no power overflows.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, xp, x):
        m = xp.max(x, axis=self.axis, keepdims=True)
        m = xp.where(xp.isfinite(m), m, xp.zeros_like(m))  # a row of −∞ must not give ∞ − ∞
        y = m + xp.log(xp.sum(xp.exp(x - m), axis=self.axis, keepdims=True))
        self.save(x, y)
        return y

    def backward(self, grad):
        x, y = self.saved
        return grad * exp(x - y)


class Softmax(Function):
    """y = eˣ/Σeˣ along an axis;  dx = y·(dy − Σ dy·y)"""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, xp, x):
        e = xp.exp(x - xp.max(x, axis=self.axis, keepdims=True))
        y = e / xp.sum(e, axis=self.axis, keepdims=True)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return y * (grad - sum(grad * y, self.axis, keepdim=True))


class LogSoftmax(Function):
    """y = x − ln Σ eˣ along an axis;  dx = dy − eʸ·Σ dy"""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, xp, x):
        z = x - xp.max(x, axis=self.axis, keepdims=True)
        y = z - xp.log(xp.sum(xp.exp(z), axis=self.axis, keepdims=True))
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return grad - exp(y) * sum(grad, self.axis, keepdim=True)


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """ln Σ e^input over `dim`, an int or several; finite wherever the result is."""
    t = as_float("logsumexp", input)
    y = t
    axes = axes_of("logsumexp", dim, t.ndim)
    for axis in axes:  # ln Σ over two axes is ln Σ e^(ln Σ): one at a time
        y = LogSumExp(axis)(y) if t.shape[axis] else _log_of_nothing(y, axis)
    return y if keepdim else y.squeeze(axes)


def _log_of_nothing(t: Tensor, axis: int) -> Tensor:
    """ln 0 = −∞ along an axis of length 0, recorded like any other sum."""
    return Sum((axis,), True)(t) - float("inf")


def softmax(input: Tensor, dim: int) -> Tensor:
    """e^input/Σ e^input along `dim`: positive, summing to 1."""
    t = check_float("softmax", "input", input)
    axis = axis_of("softmax", dim, t.ndim)
    if t.numel() == 0:
        return t * 1.0
    return flat0(Softmax, t, axis)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """ln softmax(input) along `dim`, computed without the quotient, so that it stays exact."""
    t = check_float("log_softmax", "input", input)
    axis = axis_of("log_softmax", dim, t.ndim)
    if t.numel() == 0:
        return t * 1.0
    return flat0(LogSoftmax, t, axis)


def flat0(function: type[Function], t: Tensor, axis: int) -> Tensor:
    """``function(axis)(t)``, for a tensor without axes too, which counts as one of length 1."""
    return function(axis)(t) if t.ndim else function(0)(unsqueeze(t, 0)).reshape(())


class CumSum(Function):
    """yᵢ = Σ xⱼ over j ≤ i along an axis;  dxⱼ = Σ dyᵢ over i ≥ j, the same sum from the end"""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, xp, x):
        return xp.cumsum(x, axis=self.axis, dtype=None if x.dtype.kind == "f" else "int64")

    def backward(self, grad):
        return CumSum(self.axis)(grad.flip(self.axis)).flip(self.axis)


def cumsum(input: Tensor, dim: int) -> Tensor:
    """The running sum along `dim`."""
    t = check_tensor("cumsum", "input", input)
    return flat0(CumSum, t, axis_of("cumsum", dim, t.ndim))
