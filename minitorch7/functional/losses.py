"""Losses: how wrong a prediction is, as one number (or one an element, with reduction='none')."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ..kernels import cuda
from ._arguments import (
    broadcast_shape,
    check_float,
    check_reduction,
    check_same_backend,
    check_same_dtype,
    check_tensor,
)
from .activations import softplus
from .arithmetic import abs, exp
from .comparison import where
from .reductions import log_softmax, mean, sum


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return mean(loss) if reduction == "mean" else sum(loss)


# ------------------------------------------------------------------------------------- categories


class Pick(Function):
    """y[n, …] = x[n, t[n, …], …]: one class's element a place;  dx = dy there, 0 elsewhere

    x (N, C, …), t (N, …) whole numbers → (N, …). The gradient is written as a comparison with all
    classes rather than as a write at indices: every place names one class, so nothing is added up.
    A target that is not a class gives NaN, which no later step can hide.
    """

    def __init__(self, target: Any) -> None:
        self.target = target

    def forward(self, xp, x):
        hot = self._one_hot(xp, x.shape[1], x.dtype)
        self.save(hot)
        picked = xp.sum(xp.where(hot > 0, x, xp.zeros_like(x)), axis=1)
        valid = (self.target >= 0) & (self.target < x.shape[1])
        return xp.where(valid, picked, xp.asarray(float("nan"), dtype=x.dtype))

    def _one_hot(self, xp: Any, classes: int, dtype: Any) -> Any:
        return one_hot_places(xp, self.target, classes).astype(dtype)

    def backward(self, grad):
        (hot,) = self.saved
        return grad.unsqueeze(1) * hot


def one_hot_places(xp: Any, target: Any, classes: int) -> Any:
    """Class numbers (N, …) → (N, classes, …): true where the class is the target."""
    steps = xp.arange(classes).reshape((1, -1) + (1,) * (target.ndim - 1))
    return xp.expand_dims(target, 1) == steps


class CrossEntropy(Function):
    """y = −Σ s·ln softmax(x)[t] over all places;  dx = dy·s·(softmax(x) − onehot(t))

    x (N, C, …), t (N, …) whole numbers, s (N, …) what each place counts. One operation for what
    `log_softmax`, `Pick`, a product and a sum do in five. A target that is not a class gives NaN.

    extra  a number added to the loss, or None
    """

    def __init__(self, target: Any, shares: Any, extra: Any = None) -> None:
        self.target, self.shares, self.extra = target, shares, extra

    def forward(self, xp, x):
        self.save(x)
        way = cuda.cross_entropy.cross_entropy if cuda.takes(xp, x) else losses_and_slope
        losses, self.slope = way(xp, x, self.target, self.shares)
        loss = xp.sum(losses).astype(x.dtype, copy=False)
        return loss if self.extra is None else loss + self.extra

    def backward(self, grad):
        (x,) = self.saved
        return CrossEntropyGrad(self.target, self.shares, self.slope)(grad, x)


def losses_and_slope(xp: Any, x: Any, target: Any, shares: Any) -> tuple[Any, Any]:
    """x (N, C, …), t and s (N, …) → (s·losses (N, …), their slope s·(softmax(x) − onehot(t)))."""
    hot = one_hot_places(xp, target, x.shape[1])
    z = x - xp.max(x, axis=1, keepdims=True)
    p = xp.exp(z)
    total = xp.sum(p, axis=1, keepdims=True)
    p /= total  # softmax(x)
    picked = xp.sum(xp.where(hot, z, xp.zeros_like(z)), axis=1)
    valid = (target >= 0) & (target < x.shape[1])
    losses = xp.where(valid, xp.log(total[:, 0]) - picked, xp.asarray(float("nan"), x.dtype))
    p -= hot
    p *= xp.expand_dims(shares, 1)
    return losses * shares, p


class CrossEntropyGrad(Function):
    """d = g·s·(softmax(x) − onehot(t)), the slope known from the loss itself

    With p = softmax(x):  dg = Σ u·s·(p − onehot(t)),  dx = g·s·p·(u − Σ_C p·u)
    """

    def __init__(self, target: Any, shares: Any, slope: Any) -> None:
        self.target, self.shares, self.slope = target, shares, slope

    def forward(self, xp, g, x):
        self.save(g, x)
        return g * self.slope

    def backward(self, u):
        g, x = self.saved
        xp = backend.library(x.backend)
        p, s = exp(log_softmax(x, 1)), Tensor(xp.expand_dims(self.shares, 1))
        need_g, need_x = self.needs_input_grad
        hot = Tensor(one_hot_places(xp, self.target, x.shape[1]).astype(x.dtype))
        return (
            sum(u * s * (p - hot)) if need_g else None,
            g * s * p * (u - sum(p * u, 1, keepdim=True)) if need_x else None,
        )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−w[t]·x[t]: the negative log-likelihood of the right class t.

    input   log-probabilities (N, C) or (N, C, …); or (C,) for one sample
    target  class numbers (N,) or (N, …), integers
    weight  (C,), a weight a class; the mean divides by the weights' sum
    ignore_index  targets with this number count for nothing

    IndexError for a target that is no class (on CuPy, where a look would wait, the loss is NaN).
    """
    return _class_loss("nll_loss", input, target, weight, ignore_index, reduction, 0.0, False)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−w[t]·ln softmax(x)[t]: `log_softmax` over the classes, then `nll_loss`.

    input   scores (N, C) or (N, C, …), any real numbers
    target  as for `nll_loss`, or a probability for every class, in the shape of the input
    label_smoothing ε: the wanted distribution is 1 − ε on the target plus ε/C on every class
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"cross_entropy: label_smoothing must be between 0 and 1, got {label_smoothing}"
        )
    if isinstance(target, Tensor) and target.is_floating_point():
        return _probability_loss(input, target, weight, reduction, label_smoothing)
    return _class_loss(
        "cross_entropy", input, target, weight, ignore_index, reduction, label_smoothing, True
    )


def _probability_loss(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    """−Σ w·t·ln softmax(x) over the classes, t a distribution; the mean is over samples."""
    x, t = check_float("cross_entropy", "input", input), target
    check_reduction("cross_entropy", reduction)
    check_same_dtype("cross_entropy", x, target=t, weight=weight)
    if x.shape != t.shape or x.ndim == 0:
        raise ValueError(
            f"cross_entropy: a floating-point target holds a probability for every class and must "
            f"have the input's shape {x.shape}, got {t.shape}; class numbers must be integers: "
            "convert them with .long()"
        )
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    if smoothing:
        t = t * (1 - smoothing) + smoothing / classes
    log_p = log_softmax(x, axis)
    if weight is not None:
        log_p = log_p * _class_weights(weight, x)
    loss = -sum(log_p * t, axis)
    return _reduce(loss, reduction)  # the mean is over samples, whatever the weights, as in PyTorch


def _class_weights(weight: Tensor, x: Tensor) -> Tensor:
    """(C,) as (1, C, 1, …) beside x (N, C, …), or as it is beside x (C,)."""
    classes = x.shape[0 if x.ndim == 1 else 1]
    if weight.shape != (classes,):
        raise ValueError(
            f"cross_entropy: weight must have one element a class ({classes}), got {weight.shape}"
        )
    return weight if x.ndim == 1 else weight.reshape((1, -1) + (1,) * (x.ndim - 2))


def _class_loss(
    function: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
    scores: bool,
) -> Tensor:
    x, t = check_float(function, "input", input), check_tensor(function, "target", target)
    check_reduction(function, reduction)
    if x.ndim == 1 and t.ndim == 0:
        loss = _class_loss(
            function,
            x.unsqueeze(0),
            t.unsqueeze(0),
            weight,
            ignore_index,
            reduction,
            smoothing,
            scores,
        )
        return loss.reshape(())
    _check_classes(function, x, t, weight, ignore_index)
    xp = backend.library(x.backend)
    ignored = t.data == ignore_index
    safe = xp.where(ignored, xp.zeros_like(t.data), t.data)
    counts = xp.where(ignored, 0, 1).astype(x.dtype)  # (N, …): how much each place counts
    shares = counts if weight is None else counts * xp.take(weight.data, safe)
    total = xp.sum(shares)
    if reduction == "mean":
        # A place that counts for nothing has share 0 even where all do, and so a gradient of 0;
        # the mean of nothing is then NaN by the term added at the end.
        divisor = xp.where(total == 0, xp.ones_like(total), total)
        shares = shares / divisor
        counts = counts / divisor if smoothing else counts
    nothing = None
    if reduction == "mean":
        with np.errstate(invalid="ignore"):
            nothing = (total - total) / total  # 0, or NaN where total is 0
    if scores and reduction != "none" and not smoothing:
        return CrossEntropy(safe, shares, nothing)(x)
    log_p = log_softmax(x, 1) if scores else x
    loss = -Pick(safe)(log_p) * Tensor(shares)
    if smoothing:
        weighted = log_p if weight is None else log_p * _class_weights(weight.detach(), x)
        every = -sum(weighted, 1) * Tensor(counts)
        loss = loss * (1 - smoothing) + every * (smoothing / x.shape[1])
    if reduction == "none":
        return loss
    return sum(loss) if nothing is None else sum(loss) + Tensor(xp.asarray(nothing))


def _check_classes(
    function: str, x: Tensor, t: Tensor, weight: Tensor | None, ignore_index: int
) -> None:
    if x.ndim < 2 or t.shape != x.shape[:1] + x.shape[2:]:
        wanted = x.shape[:1] + x.shape[2:] if x.ndim >= 2 else "(N,)"
        raise ValueError(
            f"{function}: input {x.shape} is (N, classes, …) and needs a target of shape "
            f"{wanted}, got {t.shape}"
        )
    if t.dtype.kind not in "iu":
        raise TypeError(
            f"{function}: target must hold class numbers (integers), got {t.dtype}; "
            "convert it with .long()"
        )
    check_same_backend(function, x, t)
    check_same_dtype(function, x, weight=weight)
    classes = x.shape[1]
    if weight is not None:
        if weight.shape != (classes,):
            raise ValueError(
                f"{function}: weight must have one element a class ({classes}), got {weight.shape}"
            )
    if x.backend == "numpy" and t.numel():
        bad = (t.data != ignore_index) & ((t.data < 0) | (t.data >= classes))
        if bad.any():
            raise IndexError(
                f"{function}: target holds {int(t.data[bad][0])}, but the classes are 0 to "
                f"{classes - 1} (ignore_index {ignore_index}); is the last layer wide enough?"
            )


# ---------------------------------------------------------------------------------------- yes or no


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """−w·(p·y·ln σ(x) + (1 − y)·ln(1 − σ(x))), from the score x rather than from σ(x).

    input, target  of one shape; target between 0 and 1
    weight         w, broadcast to that shape;  pos_weight  p, likewise

    With ln σ(x) = −softplus(−x) this is (1 − y)·x + (1 + (p − 1)·y)·softplus(−x): finite for every
    score, where the logarithm of a rounded σ would not be.
    """
    function = "binary_cross_entropy_with_logits"
    x, y = _same_shape(function, input, target)
    check_reduction(function, reduction)
    check_same_dtype(function, x, weight=weight, pos_weight=pos_weight)
    for name, t in (("weight", weight), ("pos_weight", pos_weight)):
        if t is not None and broadcast_shape(f"{function}: {name}", x.shape, t.shape) != x.shape:
            raise ValueError(f"{function}: {name} of shape {t.shape} does not fit {x.shape}")
    scale = 1 if pos_weight is None else 1 + (pos_weight - 1) * y
    loss = (1 - y) * x + scale * softplus(-x, threshold=float("inf"))
    return _reduce(loss if weight is None else loss * weight, reduction)


# --------------------------------------------------------------------------------------- distances


def _same_shape(function: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    x, y = check_float(function, "input", input), check_float(function, "target", target)
    check_same_backend(function, x, y)
    if x.shape != y.shape:
        raise ValueError(
            f"{function}: input {x.shape} and target {y.shape} must have one shape "
            "(a silent broadcast would average the wrong pairs); reshape one of them"
        )
    return x, y


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(x − y)²: the squared error."""
    x, y = _same_shape("mse_loss", input, target)
    check_reduction("mse_loss", reduction)
    difference = x - y
    return _reduce(difference * difference, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|x − y|: the absolute error."""
    x, y = _same_shape("l1_loss", input, target)
    check_reduction("l1_loss", reduction)
    return _reduce(abs(x - y), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """(x − y)²/(2β) where |x − y| < β, and |x − y| − β/2 beyond (Girshick 2015)."""
    x, y = _same_shape("smooth_l1_loss", input, target)
    check_reduction("smooth_l1_loss", reduction)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must be at least 0, got {beta}")
    difference = x - y
    size = abs(difference)
    if beta == 0:
        return _reduce(size, reduction)
    near = difference * difference * (0.5 / beta)
    return _reduce(where(size.detach() < beta, near, size - 0.5 * beta), reduction)
