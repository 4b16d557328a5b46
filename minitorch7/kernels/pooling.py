"""Pooling: the largest, or the mean, of every window. Memory is batch-last, see ``windows.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import Window, batch_first, batch_last, tap_slices


def max_pool2d(xp: Any, x: Any, window: Window, out_size: tuple[int, int]) -> tuple[Any, Any]:
    """x (N, C, H, W) → (y, taps), both (N, C, oh, ow): the maximum and which tap it came from.

    Taps are numbered u·kw + v; the first of equals wins. Padding counts as −∞.
    """
    x = batch_last(xp, x)
    channels, *size, batch = x.shape
    shape = (channels, *out_size, batch)
    y = xp.full(shape, lowest(x.dtype), dtype=x.dtype)
    taps = xp.zeros(shape, dtype="uint8" if len(window.taps()) < 256 else "int32")
    seen = xp.zeros(shape, dtype=bool)
    for number, tap in enumerate(window.taps()):
        (i, j), (r, c) = _slices(window, size, tap, out_size)
        if not (i.stop and j.stop):
            continue
        best, candidate = y[:, i, j], x[:, r, c]
        wins = (candidate > best) | (candidate != candidate) | ~seen[:, i, j]  # NaN wins
        taps[:, i, j] = xp.where(wins, xp.asarray(number, dtype=taps.dtype), taps[:, i, j])
        y[:, i, j] = xp.maximum(best, candidate)
        seen[:, i, j] = True
    return batch_first(y), batch_first(taps)


def lowest(dtype: Any) -> Any:
    """What no element is below: −∞, or the least integer."""
    return -float("inf") if dtype.kind == "f" else int(np.iinfo(dtype).min)


def unpool_max(xp: Any, g: Any, taps: Any, window: Window, size: tuple[int, int]) -> Any:
    """g (N, C, oh, ow) → (N, C, *size): each element added where its maximum was found."""
    g, taps = batch_last(xp, g), batch_last(xp, taps)
    dx = xp.zeros((g.shape[0], *size, g.shape[3]), dtype=g.dtype)
    for number, tap in enumerate(window.taps()):
        (i, j), (r, c) = _slices(window, size, tap, g.shape[1:3])
        if i.stop and j.stop:
            dx[:, r, c] += g[:, i, j] * (taps[:, i, j] == number)
    return batch_first(dx)


def pick_max(xp: Any, x: Any, taps: Any, window: Window) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the element at each window's tap; `unpool_max`'s adjoint."""
    x, taps = batch_last(xp, x), batch_last(xp, taps)
    y = xp.zeros(taps.shape, dtype=x.dtype)
    for number, tap in enumerate(window.taps()):
        (i, j), (r, c) = _slices(window, x.shape[1:3], tap, taps.shape[1:3])
        if i.stop and j.stop:
            y[:, i, j] += x[:, r, c] * (taps[:, i, j] == number)
    return batch_first(y)


def sum_pool2d(xp: Any, x: Any, window: Window, out_size: tuple[int, int]) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the sum of every window; padding counts as 0."""
    x = batch_last(xp, x)
    y = xp.zeros((x.shape[0], *out_size, x.shape[3]), dtype=x.dtype)
    for tap in window.taps():
        (i, j), (r, c) = _slices(window, x.shape[1:3], tap, out_size)
        if i.stop and j.stop:
            y[:, i, j] += x[:, r, c]
    return batch_first(y)


def spread_sum(xp: Any, g: Any, window: Window, size: tuple[int, int]) -> Any:
    """g (N, C, oh, ow) → (N, C, *size): each element added to its whole window."""
    g = batch_last(xp, g)
    dx = xp.zeros((g.shape[0], *size, g.shape[3]), dtype=g.dtype)
    for tap in window.taps():
        (i, j), (r, c) = _slices(window, size, tap, g.shape[1:3])
        if i.stop and j.stop:
            dx[:, r, c] += g[:, i, j]
    return batch_first(dx)


def _slices(window: Window, size: Any, tap: tuple[int, int], out_size: Any) -> Any:
    return tap_slices(window, tuple(size), tap, range(out_size[0]), range(out_size[1]))
