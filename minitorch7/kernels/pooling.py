"""Pooling: the largest, or the mean, of every window. Memory is batch-last, see ``windows.py``.

Channels do not meet, so large pictures' channels are shared among threads. On a GPU each is one
launch: ``cuda/pooling.cu``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import cuda, threads
from .windows import Window, batch_first, batch_last, tap_slices

PART = 256 * 1024  # elements of a picture worth handing to another thread


def max_pool2d(xp: Any, x: Any, window: Window, out_size: tuple[int, int]) -> tuple[Any, Any]:
    """x (N, C, H, W) → (y, taps), both (N, C, oh, ow): the maximum and which tap it came from.

    Taps are numbered u·kw + v; the first of equals wins, and the last NaN wins over all. Padding
    counts as −∞.
    """
    if cuda.takes(xp, x):
        return cuda.pooling.max_pool2d(xp, x, window, out_size)
    x = batch_last(xp, x)
    channels, *size, batch = x.shape
    shape = (channels, *out_size, batch)
    y = xp.full(shape, lowest(x.dtype), dtype=x.dtype)
    taps = xp.empty(shape, dtype="uint8" if len(window.taps()) < 256 else "int32")
    taps[...] = xp.asarray(_first_taps(window, tuple(size), out_size).astype(taps.dtype))

    def pool(c: slice) -> None:
        for number, tap in enumerate(window.taps()):
            (i, j), (rows, columns) = _slices(window, size, tap, out_size)
            if not (i.stop and j.stop):
                continue
            best, candidate = y[c, i, j], xp.ascontiguousarray(x[c, rows, columns])
            wins = (candidate > best) | (candidate != candidate)
            # Taps come in rising order: the largest number that won is the last that won.
            won = wins.astype(taps.dtype)
            won *= number
            xp.maximum(taps[c, i, j], won, out=taps[c, i, j])
            xp.maximum(best, candidate, out=best)

    _by_channels(xp, pool, x)
    return batch_first(y), batch_first(taps)


def _first_taps(window: Window, size: tuple[int, int], out_size: tuple[int, int]) -> np.ndarray:
    """(oh, ow, 1): the first tap of each window that lies inside the picture."""
    first = np.zeros((*out_size, 1), dtype=np.int64)
    for number, tap in reversed(list(enumerate(window.taps()))):
        (i, j), _ = _slices(window, size, tap, out_size)
        first[i, j] = number
    return first


def lowest(dtype: Any) -> Any:
    """What no element is below: −∞, or the least integer."""
    return -float("inf") if dtype.kind == "f" else int(np.iinfo(dtype).min)


def unpool_max(xp: Any, g: Any, taps: Any, window: Window, size: tuple[int, int]) -> Any:
    """g (N, C, oh, ow) → (N, C, *size): each element added where its maximum was found."""
    if cuda.takes(xp, g):
        return cuda.pooling.unpool_max(xp, g, taps, window, size)
    g, taps = batch_last(xp, g), batch_last(xp, taps)
    dx = xp.zeros((g.shape[0], *size, g.shape[3]), dtype=g.dtype)

    def unpool(c: slice) -> None:
        for number, tap in enumerate(window.taps()):
            (i, j), (rows, columns) = _slices(window, size, tap, g.shape[1:3])
            if i.stop and j.stop:
                dx[c, rows, columns] += g[c, i, j] * (taps[c, i, j] == number)

    _by_channels(xp, unpool, dx)
    return batch_first(dx)


def pick_max(xp: Any, x: Any, taps: Any, window: Window) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the element at each window's tap; `unpool_max`'s adjoint."""
    if cuda.takes(xp, x):
        return cuda.pooling.pick_max(xp, x, taps, window)
    x, taps = batch_last(xp, x), batch_last(xp, taps)
    y = xp.zeros(taps.shape, dtype=x.dtype)
    for number, tap in enumerate(window.taps()):
        (i, j), (r, c) = _slices(window, x.shape[1:3], tap, taps.shape[1:3])
        if i.stop and j.stop:
            y[:, i, j] += x[:, r, c] * (taps[:, i, j] == number)
    return batch_first(y)


def sum_pool2d(xp: Any, x: Any, window: Window, out_size: tuple[int, int]) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the sum of every window; padding counts as 0."""
    if cuda.takes(xp, x):
        return cuda.pooling.sum_pool2d(xp, x, window, out_size)
    x = batch_last(xp, x)
    y = xp.zeros((x.shape[0], *out_size, x.shape[3]), dtype=x.dtype)

    def pool(c: slice) -> None:
        for tap in window.taps():
            (i, j), (rows, columns) = _slices(window, x.shape[1:3], tap, out_size)
            if i.stop and j.stop:
                y[c, i, j] += x[c, rows, columns]

    _by_channels(xp, pool, x)
    return batch_first(y)


def spread_sum(xp: Any, g: Any, window: Window, size: tuple[int, int]) -> Any:
    """g (N, C, oh, ow) → (N, C, *size): each element added to its whole window."""
    if cuda.takes(xp, g):
        return cuda.pooling.spread_sum(xp, g, window, size)
    g = batch_last(xp, g)
    dx = xp.zeros((g.shape[0], *size, g.shape[3]), dtype=g.dtype)

    def spread(c: slice) -> None:
        for tap in window.taps():
            (i, j), (rows, columns) = _slices(window, size, tap, g.shape[1:3])
            if i.stop and j.stop:
                dx[c, rows, columns] += g[c, i, j]

    _by_channels(xp, spread, dx)
    return batch_first(dx)


def _by_channels(xp: Any, work: Callable[[slice], None], x: Any) -> None:
    """Run work(channels) for all channels of x (C, H, W, N), a part of them at a time."""
    parts = threads.cut(len(x), min(8, 1 + x.size // PART) if xp is np else 1)
    threads.share(lambda i: work(slice(parts[i].start, parts[i].stop)), len(parts))


def _slices(window: Window, size: Any, tap: tuple[int, int], out_size: Any) -> Any:
    return tap_slices(window, tuple(size), tap, range(out_size[0]), range(out_size[1]))
