"""Batch, layer, group and instance normalisation.

All of them standardise, x̂ = (x − μ)/√(σ² + ε), and then scale and shift: y = γ·x̂ + β. They differ
in what μ and σ² are taken over. Batch norm, where the training time goes, is one operation with a
fused gradient; the others are `standardise` on rows, followed by ordinary arithmetic.

The gradient of a standardisation uses one projection, here called P:

    P(a) = a − mean(a) − x̂·mean(a·x̂)          dx = P(dŷ)/√(σ² + ε)

P takes out of a the part that moving the mean or stretching the spread would undo. It is symmetric,
⟨a, P(b)⟩ = ⟨P(a), b⟩, and that is what makes the second derivative short enough to write out.
"""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd import Function, Tensor
from ..kernels import cuda
from ..kernels import normalisation as kernel
from ._arguments import check_float, check_integer, check_same_dtype
from .arithmetic import sqrt
from .reductions import mean, sum


class BatchNorm(Function):
    """y = γ·(x − μ)/√(σ² + ε) + β, with μ and σ² over all axes but the channels'

    x (N, C, …), γ and β (C,) → y, μ, σ², both (C,) and for the running statistics only: constants.
    (Ioffe & Szegedy 2015, algorithm 1)
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, xp, x, gamma, beta):
        rows = kernel.channel_rows(xp, x)
        y, mu, variance, inverse = kernel.standardise(xp, rows, self.eps, gamma, beta)
        self.save(x, gamma)
        self.statistics = mu, inverse
        self.batch = mu[:, 0], variance[:, 0]
        return kernel.from_channel_rows(y, x.shape)

    def backward(self, grad):
        x, gamma = self.saved
        return BatchNormGrad(self.eps, *self.statistics)(grad, x, gamma)


class BatchNormGrad(Function):
    """(dx, dγ, dβ) from dy:  dx = γ·s·P(dy),  dγ = Σ dy·x̂,  dβ = Σ dy,  with s = 1/√(σ² + ε)

    Its own gradient, given u, v and w for the three results, differentiates

        L = γ·s·Σ dy·P(u) + v·Σ dy·x̂ + w·Σ dy

    with respect to dy, γ, and x, which is in x̂ and in s:

        ∂L/∂dy = γ·s·P(u) + v·x̂ + w
        ∂L/∂γ  = s·Σ dy·P(u)
        ∂L/∂x  = s·P(h) − s²·x̂/M · γ·Σ dy·P(u),
                 h = v·dy − γ·s·(dy·mean(u·x̂) + u·mean(dy·x̂))

    where M is the number of elements a channel.
    """

    def __init__(self, eps: float, mu: Any, inverse: Any) -> None:
        self.eps, self.mu, self.inverse = eps, mu, inverse

    def forward(self, xp, g, x, gamma):
        self.save(g, x, gamma)
        rows = kernel.channel_rows(xp, x)
        dx, dgamma, dbeta = kernel.standardise_grad(
            xp, kernel.channel_rows(xp, g), rows, self.mu, self.inverse, gamma
        )
        return kernel.from_channel_rows(dx, x.shape), dgamma[:, 0], dbeta[:, 0]

    def backward(self, u, v, w):
        g, x, gamma = self.saved
        axes = tuple(i for i in range(x.ndim) if i != 1)
        count = max(x.numel() // x.shape[1], 1)
        gamma, v, w = (_by_channel(t, x.ndim) for t in (gamma, v, w))
        x_hat, s = standardised(x, axes, self.eps)

        def project(a: Tensor) -> Tensor:
            return a - mean(a, axes, True) - x_hat * mean(a * x_hat, axes, True)

        pu = project(u)
        agreement = sum(g * pu, axes, True)
        h = v * g - gamma * s * (g * mean(u * x_hat, axes, True) + u * mean(g * x_hat, axes, True))
        return (
            gamma * s * pu + v * x_hat + w,
            s * project(h) - s * s * x_hat * (gamma * agreement / count),
            sum(s * agreement, axes),
        )


class FixedNorm(Function):
    """y = γ·s·(x − r) + β with constants r (C,) and s = 1/√(v + ε), γ and β (C,) or None

    dx = γ·s·dy,  dγ = Σ dy·s·(x − r),  dβ = Σ dy. Batch norm in evaluation: one scale and one
    shift a channel.
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, xp, x, running_mean, running_var, gamma, beta):
        scale, shift, s = kernel.fixed_scale(xp, running_mean, running_var, gamma, beta, self.eps)
        self.save(x, gamma, running_mean.copy(), s)  # later training moves the statistics
        y = kernel.scale_rows(xp, kernel.channel_rows(xp, x), scale, shift)
        return kernel.from_channel_rows(y, x.shape)

    def backward(self, grad):
        x, gamma, mu, s = self.saved
        axes = tuple(i for i in range(x.ndim) if i != 1)
        scale = s if gamma is None else gamma * s
        needs, grad = self.needs_input_grad, grad.to(s.dtype)  # of float16 in mixed precision
        return (
            (grad * _by_channel(scale, x.ndim)).to(x.dtype) if needs[0] else None,
            None,
            None,
            s * sum(grad * (x - _by_channel(mu, x.ndim)), axes) if needs[3] else None,
            sum(grad, axes) if needs[4] else None,
        )


def _by_channel(t: Tensor, ndim: int) -> Tensor:
    """(C,) → (1, C, 1, …)."""
    return t.reshape((1, -1) + (1,) * (ndim - 2))


def standardised(x: Tensor, axes: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """(x̂, 1/√(σ² + ε)) in ordinary operations, differentiable to any order."""
    centred = x - mean(x, axes, True)
    s = 1 / sqrt(mean(centred * centred, axes, True) + eps)
    return centred * s, s


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Standardises each channel of `input` (N, C, …), then scales by weight and shifts by bias.

    In training the statistics are the batch's: the biased variance normalises. The running
    statistics move by r ← (1 − momentum)·r + momentum·batch, with the unbiased variance, in place.
    In evaluation the running statistics are used, and are constants. All as in PyTorch.
    """
    x = check_float("batch_norm", "input", input)
    if x.ndim < 2:
        raise ValueError(f"batch_norm: input must be (N, C, …), got shape {x.shape}")
    channels = x.shape[1]
    _check_channels("batch_norm", x, running_mean, running_var, weight, bias)
    if not training:
        return _with_running_statistics(
            "batch_norm", x, running_mean, running_var, weight, bias, eps
        )
    count = x.numel() // channels if channels else 0
    if count == 1:
        raise ValueError(
            f"batch_norm: needs more than one value per channel while training, got {x.shape}: "
            "one value has no variance. Use a larger batch, or eval mode"
        )
    xp = backend.library(x.backend)
    function = BatchNorm(eps)
    y = function(
        x,
        Tensor(xp.ones(channels, dtype=x.dtype)) if weight is None else weight,
        Tensor(xp.zeros(channels, dtype=x.dtype)) if bias is None else bias,
    )
    if count:
        _move_both(xp, (running_mean, running_var), function.batch, momentum, count)
    return y


def _check_channels(
    function: str, x: Tensor, running_mean: Any, running_var: Any, weight: Any, bias: Any
) -> None:
    """Each of the four, where given, is a tensor with one element a channel."""
    named = dict(running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    check_same_dtype(function, x, **named)
    channels = x.shape[1] if x.ndim > 1 else 0
    for name, t in named.items():
        if t is not None and t.shape != (channels,):
            raise ValueError(
                f"{function}: {name} must have shape ({channels},) for an input with {channels} "
                f"channels {x.shape}, got {t.shape}"
            )


def _move_both(
    xp: Any, running: tuple[Any, Any], batch: tuple[Any, Any], momentum: float, count: int
) -> None:
    """(mean, variance) of a batch of `count` elements a channel into the running ones, in place."""
    unbiased = count / (count - 1)
    arrays = [t.data for t in running if t is not None]
    if len(arrays) == 2 and cuda.takes(xp, *arrays, types=cuda.load.FLOATS):
        cuda.normalisation.move_running(xp, arrays, batch, momentum, unbiased)
        return
    _move(running[0], batch[0], momentum)
    _move(running[1], batch[1] * unbiased, momentum)


def _move(running: Tensor | None, batch: Any, momentum: float) -> None:
    if running is not None:
        running.data *= 1 - momentum
        running.data += momentum * batch


def _with_running_statistics(
    function: str,
    x: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    eps: float,
) -> Tensor:
    """`FixedNorm`, if there are running statistics."""
    if running_mean is None or running_var is None:
        raise ValueError(
            f"{function}: running_mean and running_var are needed in evaluation; "
            "use the batch's own statistics (training=True) or give them"
        )
    return FixedNorm(eps)(x, running_mean.detach(), running_var.detach(), weight, bias)


# ------------------------------------------------------------------------ layer, group and instance


class Standardise(Function):
    """y = (x − μ)/√(σ² + ε) along each row of x (R, M);  dx = P(dy)/√(σ² + ε)"""

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, xp, x):
        y, self.mu, _, self.inverse = kernel.standardise(xp, xp.ascontiguousarray(x), self.eps)
        self.save(x)
        return y

    def backward(self, grad):
        (x,) = self.saved
        return StandardiseGrad(self.eps, self.mu, self.inverse)(grad, x)


class StandardiseGrad(Function):
    """dx = s·P(g), and its own gradient: `BatchNormGrad` with γ = 1 and v = w = 0"""

    def __init__(self, eps: float, mu: Any, inverse: Any) -> None:
        self.eps, self.mu, self.inverse = eps, mu, inverse

    def forward(self, xp, g, x):
        self.save(g, x)
        g, x = xp.ascontiguousarray(g), xp.ascontiguousarray(x)
        return kernel.standardise_grad(xp, g, x, self.mu, self.inverse, None)[0]

    def backward(self, u):
        g, x = self.saved
        x_hat, s = standardised(x, (1,), self.eps)

        def project(a: Tensor) -> Tensor:
            return a - mean(a, 1, True) - x_hat * mean(a * x_hat, 1, True)

        pu = project(u)
        h = -s * (g * mean(u * x_hat, 1, True) + u * mean(g * x_hat, 1, True))
        return s * pu, s * project(h) - s * s * x_hat * mean(g * pu, 1, True)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardises over the last axes, those of normalized_shape; weight and bias have that shape.

    (Ba, Kiros & Hinton 2016)
    """
    x = check_float("layer_norm", "input", input)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm: the last axes of the input {x.shape} must be normalized_shape {shape}"
        )
    check_same_dtype("layer_norm", x, weight=weight, bias=bias)
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != shape:
            raise ValueError(f"layer_norm: {name} must have shape {shape}, got {t.shape}")
    width = 1
    for n in shape:
        width *= n
    y = Standardise(eps)(x.reshape(x.numel() // width if width else 0, width)).reshape(x.shape)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardises each group of channels of each sample; weight and bias (C,). (Wu & He 2018)"""
    x = check_float("group_norm", "input", input)
    check_integer("group_norm", "num_groups", num_groups, 1)
    if x.ndim < 2 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: the channels of input {x.shape} must be divisible by {num_groups=}"
        )
    rows = x.shape[0] * num_groups
    width = x.numel() // rows if rows else 1
    y = Standardise(eps)(x.reshape(rows, width)).reshape(x.shape)
    return _affine("group_norm", y, weight, bias)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Standardises each channel of each sample of `input` (N, C, …); weight and bias (C,).

    Running statistics, where given, are updated with the mean over the batch of each channel's
    statistics, and used instead of them with use_input_stats=False. (Ulyanov et al. 2016)
    """
    x = check_float("instance_norm", "input", input)
    _check_channels("instance_norm", x, running_mean, running_var, weight, bias)
    if not use_input_stats:
        return _with_running_statistics(
            "instance_norm", x, running_mean, running_var, weight, bias, eps
        )
    count = x.numel() // (x.shape[0] * x.shape[1]) if x.ndim > 2 and x.numel() else 0
    if x.ndim < 3 or (count <= 1 and x.numel()):
        raise ValueError(
            f"instance_norm: input must be (N, C, …) with more than one value a channel, "
            f"got {x.shape}"
        )
    if running_mean is not None and running_var is not None:
        rows = x.data.reshape(x.shape[0], x.shape[1], -1)
        _move(running_mean, rows.mean(axis=2).mean(axis=0), momentum)
        _move(running_var, rows.var(axis=2, ddof=1).mean(axis=0), momentum)
    y = Standardise(eps)(x.reshape(x.shape[0] * x.shape[1], count)).reshape(x.shape)
    return _affine("instance_norm", y, weight, bias)


def _affine(function: str, y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    check_same_dtype(function, y, weight=weight, bias=bias)
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != y.shape[1:2]:
            raise ValueError(f"{function}: {name} must have shape {y.shape[1:2]}, got {t.shape}")
    y = y if weight is None else y * _by_channel(weight, y.ndim)
    return y if bias is None else y + _by_channel(bias, y.ndim)
