"""Standardising rows: subtract the mean, divide by the standard deviation; and its gradient.

Every normalisation layer is this on a matrix (R, M) whose rows are what is standardised together:
for batch norm a row is one channel of the whole batch, for layer norm one sample, for group norm
one group of one sample's channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def channel_rows(xp: Any, x: Any) -> Any:
    """(N, C, ...) → (C, M) with the batch last; a view where memory is batch-last already."""
    last = xp.ascontiguousarray(xp.moveaxis(x, 0, -1))
    return last.reshape(x.shape[1], -1)


def from_channel_rows(rows: Any, shape: tuple[int, ...]) -> Any:
    """(C, M) → its view of the shape (N, C, ...): `channel_rows` undone."""
    last = rows.reshape(*shape[1:], shape[0])
    return last.transpose(last.ndim - 1, *range(last.ndim - 1))


def row_dots(xp: Any, a: Any, b: Any) -> Any:
    """Σ a·b along each row, (R, M) and (R, M) → (R, 1)."""
    if xp is np and hasattr(np, "vecdot"):
        return np.vecdot(a, b)[:, None]  # one BLAS dot a row: no product in memory
    return xp.sum(a * b, axis=1, keepdims=True)


def standardise(xp: Any, x: Any, eps: float) -> tuple[Any, Any, Any, Any]:
    """x (R, M) → (x̂, mean, variance, 1/√(variance + eps)); all but x̂ have shape (R, 1).

    The variance is the biased one, of the already centred values: E[x²] − E[x]² would lose every
    digit where the mean is large beside the spread.
    """
    m = max(x.shape[1], 1)  # rows of nothing have mean and variance 0
    mean = xp.sum(x, axis=1, keepdims=True) * (1 / m)
    centred = x - mean
    variance = row_dots(xp, centred, centred) * (1 / m)
    inverse = 1 / xp.sqrt(variance + eps)
    centred *= inverse
    return centred, mean, variance, inverse


def standardise_grad(xp: Any, g: Any, x: Any, mean: Any, inverse: Any, scale: Any) -> Any:
    """The gradient of x̂·scale with respect to x; everything (R, M) or (R, 1).

        dx = scale/σ · (g − mean(g) − x̂·mean(g·x̂))

    The two means are how the mean and the deviation, which depend on every x, answer. Returns
    (dx, Σ g·x̂, Σ g), the sums being the gradients of a scale and a shift that follow.
    """
    m = max(x.shape[1], 1)
    out = x - mean
    out *= inverse  # x̂
    sum_g = xp.sum(g, axis=1, keepdims=True)
    sum_gx = row_dots(xp, g, out)
    out *= sum_gx * (-1 / m)
    out += g
    out -= sum_g * (1 / m)
    out *= inverse * scale
    return out, sum_gx, sum_g
