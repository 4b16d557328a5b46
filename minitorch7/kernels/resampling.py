"""Nearest and bilinear resampling of pictures (N, C, H, W), and their adjoints.

An `Axis` says which elements each output reads along the rows or the columns. Nearest copies and
adds back, bilinear multiplies with a matrix of two weights a row; on a GPU each is one launch
(``cuda/resampling.cu``). Copying keeps the order in which the array lies in memory (see
``windows.py``), so that a picture with its batch last stays so.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import cuda
from .cuda.resampling import Axis


def nearest(xp: Any, x: Any, rows: Axis, columns: Axis) -> Any:
    """x (N, C, H, W) → (N, C, h, w), each element copied from one of x's."""
    if cuda.takes(xp, x):
        return cuda.resampling.nearest(xp, x, rows, columns)
    for axis, along in ((2, rows), (3, columns)):
        if not _copies_all(along):
            x = take_along(xp, x, np.array(along.low), axis)
    return x


def nearest_grad(xp: Any, g: Any, rows: Axis, columns: Axis) -> Any:
    """g (N, C, h, w) → (N, C, H, W): `nearest`'s adjoint."""
    if cuda.takes(xp, g):
        return cuda.resampling.nearest_grad(xp, g, rows, columns)
    for axis, along in ((3, columns), (2, rows)):
        if not _copies_all(along):
            g = add_along(xp, g, np.array(along.low), axis, along.n)
    return g


def _copies_all(along: Axis) -> bool:
    """Whether the outputs are the inputs."""
    return along.low == tuple(range(along.n))


def bilinear(xp: Any, x: Any, rows: Axis, columns: Axis) -> Any:
    """x (N, C, H, W) → (N, C, h, w), each element a weighted mean of four of x's."""
    if cuda.takes(xp, x):
        return cuda.resampling.bilinear(xp, x, rows, columns)
    for axis, along in ((2, rows), (3, columns)):
        x = _mix(xp, x, weights(along), axis)
    return x


def bilinear_grad(xp: Any, g: Any, rows: Axis, columns: Axis) -> Any:
    """g (N, C, h, w) → (N, C, H, W): `bilinear`'s adjoint."""
    if cuda.takes(xp, g):
        return cuda.resampling.bilinear_grad(xp, g, rows, columns)
    for axis, along in ((3, columns), (2, rows)):
        g = _mix(xp, g, weights(along).T, axis)
    return g


@functools.lru_cache(256)
def weights(along: Axis) -> np.ndarray:
    """(outputs, n): how each output mixes the inputs."""
    matrix, outputs = np.zeros((len(along.low), along.n)), np.arange(len(along.low))
    low, weight = np.array(along.low, dtype=np.int64), np.array(along.weight)
    matrix[outputs, low] = 1 - weight
    matrix[outputs, np.minimum(low + 1, along.n - 1)] += weight
    return matrix


def _mix(xp: Any, x: Any, matrix: np.ndarray, axis: int) -> Any:
    """The matrix (out, in) applied to every line of x along an axis."""
    last = xp.moveaxis(x, axis, -1)
    product = xp.matmul(last, xp.asarray(matrix.T.astype(x.dtype)))
    return xp.moveaxis(product, -1, axis)


def memory_order(x: Any) -> list[int]:
    """The axes of x, those with the longest steps in memory first."""
    return sorted(range(x.ndim), key=lambda axis: -x.strides[axis])


def take_along(xp: Any, x: Any, source: np.ndarray, axis: int) -> Any:
    """y[…, i, …] = x[…, source[i], …] along an axis."""
    order = memory_order(x)
    y = xp.take(x.transpose(order), xp.asarray(source), axis=order.index(axis))
    return y.transpose([order.index(a) for a in range(x.ndim)])


def add_along(xp: Any, g: Any, source: np.ndarray, axis: int, length: int) -> Any:
    """dx[…, s, …] = Σ g[…, i, …] over all i with source[i] = s, which ascends: the adjoint of
    `take_along`.

    One addition for the first output of each source, one for the second, and so on: in each, no
    place is named twice. NumPy's ``add.at``, which allows it, takes several times as long.
    """
    order = memory_order(g)
    laid, at = g.transpose(order), order.index(axis)
    shape = list(laid.shape)
    shape[at] = length
    dx = xp.zeros(tuple(shape), dtype=g.dtype)
    before = (slice(None),) * at
    for places in turns(source):
        dx[(*before, xp.asarray(source[places]))] += laid[(*before, xp.asarray(places))]
    return dx.transpose([order.index(a) for a in range(g.ndim)])


def turns(source: np.ndarray) -> list[np.ndarray]:
    """The places of `source`, which ascends, parted so that no part has two of one source.

    turns([0, 0, 1, 2, 2]) = [[0, 2, 3], [1, 4]]
    """
    rank = np.arange(len(source)) - np.searchsorted(source, source)  # the how manieth of its run
    return [np.flatnonzero(rank == r) for r in range(rank.max(initial=-1) + 1)]
