"""Batch norm over the whole batch, of which each process has a part.

With n_r elements a channel in process r, their mean μ_r and biased variance σ_r², N = Σ n_r:

    μ  = Σ n_r·μ_r / N                σ² = Σ n_r·(σ_r² + (μ_r − μ)²) / N         (Chan et al. 1983)

so one message forward, of each process's n, μ and σ², is enough, and no digits are lost where the
mean is large beside the spread. Backward is batch norm's own formula (`functional.normalisation`),

    dx = γ·s·(dy − Σ dy/N − x̂·Σ dy·x̂/N),      s = 1/√(σ² + ε),

whose two sums are over all processes: the second message. dγ and dβ are sums over the process's own
part, as the gradients of all other parameters are; averaging makes them whole.

Gradients here, and those of `AllReduce`, are of the *sum* of all processes' losses: what one
process does to the statistics is felt in all. The mean of the processes' gradients of a parameter
is then the gradient of their mean loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, nn
from ..autograd import Function, Tensor
from ..functional import sqrt, sum
from ..functional._arguments import check_float
from ..kernels.normalisation import channel_rows, from_channel_rows, row_dots, row_sums
from .group import current


class AllReduce(Function):
    """y = Σ over the processes of x;  dx = Σ over the processes of dy, as every one reads y"""

    def forward(self, xp, x):
        return current().all_reduce(xp.array(x, order="C"))

    def backward(self, grad):
        return AllReduce()(grad)


class SyncBatchNorm(Function):
    """y = γ·(x − μ)/√(σ² + ε) + β, with μ and σ² over all axes but the channels' of all processes

    x (N, C, …), γ and β (C,) → y; `batch` has μ, σ² (C,) and the count, for running statistics.
    """

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, xp, x, gamma, beta):
        rows = channel_rows(xp, x)  # (C, M)
        centred, own_mean, own_variance = _centred(xp, rows)
        table = _table(xp, own_mean, own_variance, rows.shape[1])
        counts, means, variances = table[:, :1], table[:, 1::2], table[:, 2::2]
        count = counts.sum(axis=0)  # (1,), and no number: the host need not know it
        mu = (counts * means).sum(axis=0) / count
        variance = (counts * (variances + (means - mu) ** 2)).sum(axis=0) / count
        inverse = 1 / xp.sqrt(variance + self.eps)
        centred += (own_mean - mu.astype(x.dtype))[:, None]
        centred *= (gamma * inverse.astype(x.dtype))[:, None]
        centred += beta[:, None]
        self.save(x, gamma)
        self.batch = mu, variance, count
        self.statistics = mu.astype(x.dtype), inverse.astype(x.dtype), count.astype(x.dtype)
        return from_channel_rows(centred, x.shape)

    def backward(self, grad):
        x, gamma = self.saved
        return SyncBatchNormGrad(self.eps, *self.statistics)(grad, x, gamma)


class SyncBatchNormGrad(Function):
    """(dx, dγ, dβ) from dy, with the sums over all processes in dx and the process's own in dγ, dβ

    Its own gradient is that of `functional.normalisation.BatchNormGrad`, with every mean over all
    processes.
    """

    def __init__(self, eps: float, mu: Any, inverse: Any, count: Any) -> None:
        self.eps, self.mu, self.inverse, self.count = eps, mu, inverse, count

    def forward(self, xp, g, x, gamma):
        self.save(g, x, gamma)
        rows, g = channel_rows(xp, x), channel_rows(xp, g)
        x_hat = (rows - self.mu[:, None]) * self.inverse[:, None]
        own = xp.stack([row_sums(xp, g)[:, 0], row_dots(xp, g, x_hat)[:, 0]])  # (2, C)
        total = current().all_reduce(own.copy()) / self.count
        x_hat *= -total[1][:, None]
        x_hat += g
        x_hat -= total[0][:, None]
        x_hat *= (gamma * self.inverse)[:, None]
        return from_channel_rows(x_hat, x.shape), own[1], own[0]

    def backward(self, u, v, w):
        g, x, gamma = self.saved
        axes = tuple(i for i in range(x.ndim) if i != 1)
        gamma, v, w = (t.reshape((1, -1) + (1,) * (x.ndim - 2)) for t in (gamma, v, w))
        count = Tensor(self.count)

        def mean(a: Tensor) -> Tensor:
            return AllReduce()(sum(a, axes, True)) / count

        centred = x - mean(x)
        s = 1 / sqrt(mean(centred * centred) + self.eps)
        x_hat = centred * s

        def project(a: Tensor) -> Tensor:
            return a - mean(a) - x_hat * mean(a * x_hat)

        pu = project(u)
        agreement = g * pu
        h = v * g - gamma * s * (g * mean(u * x_hat) + u * mean(g * x_hat))
        return (
            gamma * s * pu + v * x_hat + w,
            s * project(h) - s * s * x_hat * gamma * mean(agreement),
            sum(s * agreement, axes),
        )


def _centred(xp: Any, rows: Any) -> tuple[Any, Any, Any]:
    """(rows − their mean, mean, biased variance) of rows (C, M); the last two (C,)."""
    m = max(rows.shape[1], 1)
    first = row_sums(xp, rows) / m
    centred = rows - first
    rest = row_sums(xp, centred) / m  # what rounding left of the mean
    centred -= rest
    return centred, (first + rest)[:, 0], (row_dots(xp, centred, centred) / m)[:, 0]


def _table(xp: Any, mean: Any, variance: Any, count: int) -> Any:
    """(processes, 1 + 2·C): a row from each process, its count, then mean, variance by channel.

    A process adds its row to zeros, so that one sum over the processes brings all rows to all.
    """
    group = current()
    dtype = xp.promote_types(mean.dtype, np.float32)  # float16 cannot count beyond 2,048
    table = xp.zeros((group.size, 1 + 2 * len(mean)), dtype=dtype)
    table[group.rank, 0] = count
    table[group.rank, 1::2] = mean
    table[group.rank, 2::2] = variance
    return group.all_reduce(table)


def sync_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.batch_norm` in training, over the batch of all processes together.

    All must call it, in the same order. In a run of one it is `batch_norm`. ValueError for an input
    without channels, or with another number of them than weight and bias have.
    """
    x = check_float("sync_batch_norm", "input", input)
    named = dict(running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    channels = x.shape[1] if x.ndim > 1 else 0
    for name, t in named.items():
        if t is not None and (t.shape != (channels,) or t.dtype != x.dtype):
            raise ValueError(
                f"sync_batch_norm: {name} must be {x.dtype} of shape ({channels},) for an input "
                f"with {channels} channels {x.shape}, got {t.dtype} {t.shape}"
            )
    xp = backend.library(x.backend)
    function = SyncBatchNorm(eps)
    y = function(
        x,
        Tensor(xp.ones(channels, dtype=x.dtype)) if weight is None else weight,
        Tensor(xp.zeros(channels, dtype=x.dtype)) if bias is None else bias,
    )
    mu, variance, count = function.batch
    unbiased = variance * (count / xp.maximum(count - 1, 1))
    for running, batch in ((running_mean, mu), (running_var, unbiased)):
        if running is not None:
            running.data *= 1 - momentum
            running.data += (momentum * batch).astype(running.dtype)
    return y


class _Synchronised:
    """What the synchronised layers have instead of batch norm's forward in training."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or input.ndim not in self.axes:
            return super().forward(input)  # which explains what is wrong with the axes
        momentum = self.momentum
        if self.track_running_stats:
            self.num_batches_tracked.data += 1
            if momentum is None:
                momentum = 1 / self.num_batches_tracked.item()
        return sync_batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            0.0 if momentum is None else momentum,
            self.eps,
        )


class SyncBatchNorm1d(_Synchronised, nn.BatchNorm1d):
    """`nn.BatchNorm1d` with the statistics of all processes' parts of the batch, in training."""


class SyncBatchNorm2d(_Synchronised, nn.BatchNorm2d):
    """`nn.BatchNorm2d` with the statistics of all processes' parts of the batch, in training."""


class SyncBatchNorm1dFlat(nn.BatchNorm1dFlat, SyncBatchNorm1d):
    """`nn.BatchNorm1dFlat` with the statistics of all processes' parts, in training."""


_TWINS = {
    nn.BatchNorm1d: SyncBatchNorm1d,
    nn.BatchNorm2d: SyncBatchNorm2d,
    nn.BatchNorm1dFlat: SyncBatchNorm1dFlat,
}


def convert_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Let every batch norm of `model` take its statistics over all processes; returns the model.

    The layers stay the objects that they are, with their parameters, hooks and layer groups; their
    class changes. In evaluation nothing is different. ValueError for a class derived from batch
    norm that this cannot know how to convert.
    """
    _exchange(model, _TWINS)
    for name, module in model.named_modules():
        known = isinstance(module, _Synchronised)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and not known:
            raise ValueError(
                f"convert_sync_batchnorm: {name!r} is a {type(module).__name__}, a class of its "
                "own derived from batch norm; derive it from SyncBatchNorm1d or 2d instead, or "
                "train with DataParallel(sync_batchnorm=False)"
            )
    return model


def revert_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Undo `convert_sync_batchnorm`; returns the model."""
    _exchange(model, {sync: plain for plain, sync in _TWINS.items()})
    return model


def _exchange(model: nn.Module, classes: dict[type, type]) -> None:
    for module in model.modules():
        if type(module) in classes:
            object.__setattr__(module, "__class__", classes[type(module)])
