"""Standardising rows: subtract the mean, divide by the standard deviation; and its gradient.

Every normalisation layer is this on a matrix (R, M) whose rows are what is standardised together:
for batch norm a row is one channel of the whole batch, for layer norm one sample, for group norm
one group of one sample's channels. On a GPU it takes two launches each way:
``cuda/normalisation.cu``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import cuda, threads
from .windows import batch_first, batch_last

BLOCK_BYTES = 4 * 1024 * 1024  # of rows walked over together, and worth another thread
KEPT_ONES = 32 * 1024  # elements of the longest vector of ones that is kept for the next sum


def channel_rows(xp: Any, x: Any) -> Any:
    """(N, C, ...) → (C, M) with the batch last; a view where memory is batch-last already."""
    return batch_last(xp, x).reshape(x.shape[1], -1)


def from_channel_rows(rows: Any, shape: tuple[int, ...]) -> Any:
    """(C, M) → its view of the shape (N, C, ...): `channel_rows` undone."""
    return batch_first(rows.reshape(*shape[1:], shape[0]))


def row_sums(xp: Any, x: Any) -> Any:
    """Σ x along each row, (R, M) → (R, 1)."""
    if xp is np and x.shape[1] > 64:
        ones = _ones if x.shape[1] > KEPT_ONES else _kept_ones
        return (x @ ones(x.shape[1], x.dtype))[:, None]  # by BLAS, faster than np.sum
    return xp.sum(x, axis=1, keepdims=True)


def _ones(count: int, dtype: Any) -> Any:
    return np.ones(count, dtype=dtype)


_kept_ones = functools.lru_cache(32)(_ones)


def row_dots(xp: Any, a: Any, b: Any) -> Any:
    """Σ a·b along each row, (R, M) and (R, M) → (R, 1)."""
    if xp is np and hasattr(np, "vecdot"):
        return np.vecdot(a, b)[:, None]  # one BLAS dot a row: no product in memory
    return xp.sum(a * b, axis=1, keepdims=True)


def standardise(
    xp: Any, x: Any, eps: float, scale: Any = None, shift: Any = None
) -> tuple[Any, Any, Any, Any]:
    """x (R, M) → (x̂·scale + shift, mean, variance, 1/√(variance + eps)); the last three (R, 1).

    scale, shift  (R,), or None for 1 and 0

    The variance is the biased one, of the already centred values: E[x²] − E[x]² would lose every
    digit where the mean is large beside the spread. What rounding left of the mean in the centred
    values, `rest`, is taken out as well; it costs one more fast sum.
    """
    if cuda.takes(xp, x):
        return cuda.normalisation.standardise(xp, x, eps, scale, shift)
    out = xp.empty(x.shape, dtype=x.dtype)
    mean, variance, inverse = (xp.empty((len(x), 1), dtype=x.dtype) for _ in range(3))

    def rows(r: slice) -> None:
        centred, m = out[r], max(x.shape[1], 1)  # rows of nothing have mean and variance 0
        first = row_sums(xp, x[r]) * (1 / m)
        xp.subtract(x[r], first, out=centred)
        rest = row_sums(xp, centred) * (1 / m)
        spread = row_dots(xp, centred, centred) * (1 / m) - rest * rest
        factor = 1 / xp.sqrt(spread + eps)
        mean[r], variance[r], inverse[r] = first + rest, spread, factor
        if scale is not None:
            factor *= scale[r, None]
        centred *= factor
        centred += -rest * factor if shift is None else shift[r, None] - rest * factor

    over_rows(xp, rows, x)
    return out, mean, variance, inverse


def standardise_grad(xp: Any, g: Any, x: Any, mean: Any, inverse: Any, scale: Any) -> Any:
    """The gradient of x̂·scale with respect to x; g and x (R, M), mean and inverse (R, 1).

        dx = scale/σ · (g − mean(g) − x̂·mean(g·x̂))

    scale  (R,), or None for 1

    The two means are how the mean and the deviation, which depend on every x, answer. Returns
    (dx, Σ g·x̂, Σ g), the sums being the gradients of a scale and a shift that follow.
    """
    if cuda.takes(xp, g, x):
        return cuda.normalisation.standardise_grad(xp, g, x, mean, inverse, scale)
    dx = xp.empty(x.shape, dtype=x.dtype)
    sum_gx, sum_g = (xp.empty((len(x), 1), dtype=x.dtype) for _ in range(2))

    def rows(r: slice) -> None:
        out, g_r, s, m = dx[r], g[r], inverse[r], max(x.shape[1], 1)
        xp.subtract(x[r], mean[r], out=out)  # σ·x̂, but for what rounding left of the mean:
        rest = row_sums(xp, out) * (1 / m)
        total = row_sums(xp, g_r)
        agreement = (row_dots(xp, g_r, out) - rest * total) * s
        sum_g[r], sum_gx[r] = total, agreement
        slope = agreement * s * (1 / m)
        out *= -slope
        out += g_r
        out += rest * slope - total * (1 / m)
        out *= s if scale is None else s * scale[r, None]

    over_rows(xp, rows, x)
    return dx, sum_gx, sum_g


def fixed_scale(
    xp: Any, mean: Any, variance: Any, gamma: Any, beta: Any, eps: float
) -> tuple[Any, Any, Any]:
    """(scale, shift, s) with x·scale + shift = γ·s·(x − mean) + β and s = 1/√(variance + eps).

    All (C,); γ and β may be None, for 1 and 0.
    """
    s = 1 / xp.sqrt(variance + eps)
    scale = s if gamma is None else gamma * s
    shift = -mean * scale
    return scale, shift if beta is None else shift + beta, s


def scale_rows(xp: Any, x: Any, scale: Any, shift: Any) -> Any:
    """x (R, M), scale and shift (R,) → x·scale + shift, row by row."""
    out = xp.empty(x.shape, dtype=x.dtype)

    def rows(r: slice) -> None:
        xp.multiply(x[r], scale[r, None], out=out[r])
        out[r] += shift[r, None]

    over_rows(xp, rows, x)
    return out


def over_rows(xp: Any, work: Callable[[slice], None], x: Any) -> None:
    """Run work(rows) for all rows of x (R, M), `BLOCK_BYTES` at a time, shared among threads.

    Standardising walks over each row six times and its gradient eight, faster in memory that the
    processor's last cache still holds. Smaller blocks would mean more calls than they save.
    """
    blocks = threads.cut(len(x), -(-x.nbytes // BLOCK_BYTES) if xp is np else 1)
    threads.share(lambda i: work(slice(blocks[i].start, blocks[i].stop)), len(blocks))
