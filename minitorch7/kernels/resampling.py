"""Nearest neighbours along one axis: copying elements to where they are wanted, and adding back.

Both keep the order in which the array lies in memory (see ``windows.py``), so that a picture with
its batch last stays so.
"""

from __future__ import annotations

from typing import Any

import numpy as np


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
