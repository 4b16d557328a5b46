"""Pooling on the GPU (``pooling.cu``), each in one launch; as ``kernels/pooling.py``."""

from __future__ import annotations

import math
from typing import Any

from ..windows import Window, batch_first, batch_last
from . import load
from .geometry import geometry

FILE = "pooling.cu"
TAPS = ("uint8", "int32")
for _name in ("max_pool", "unpool_max", "pick_max"):
    load.declare(FILE, _name, load.STORED, TAPS)
for _name in ("sum_pool", "spread_sum"):
    load.declare(FILE, _name, load.STORED)


def max_pool2d(xp: Any, x: Any, window: Window, out_size: tuple[int, int]) -> tuple[Any, Any]:
    """x (N, C, H, W) → (y, taps), both (N, C, oh, ow)."""
    x = batch_last(xp, x)
    shape = (len(x), *out_size, x.shape[3])
    y = xp.empty(shape, dtype=x.dtype)
    taps = xp.empty(shape, dtype="uint8" if math.prod(window.kernel) < 256 else "int32")
    function = load.kernel(xp, FILE, "max_pool", x.dtype, taps.dtype)
    load.over(function, _extent(y), x, y, taps, geometry(x.shape, out_size, window))
    return batch_first(y), batch_first(taps)


def unpool_max(xp: Any, g: Any, taps: Any, window: Window, size: tuple[int, int]) -> Any:
    """g (N, C, oh, ow) → (N, C, *size): each element added where its maximum was found."""
    g, taps = batch_last(xp, g), batch_last(xp, taps)
    dx = xp.empty((len(g), *size, g.shape[3]), dtype=g.dtype)
    function = load.kernel(xp, FILE, "unpool_max", g.dtype, taps.dtype)
    load.over(function, _extent(dx), g, taps, dx, geometry(dx.shape, g.shape[1:3], window))
    return batch_first(dx)


def pick_max(xp: Any, x: Any, taps: Any, window: Window) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the element at each window's tap."""
    x, taps = batch_last(xp, x), batch_last(xp, taps)
    y = xp.empty(taps.shape, dtype=x.dtype)
    function = load.kernel(xp, FILE, "pick_max", x.dtype, taps.dtype)
    load.over(function, _extent(y), x, taps, y, geometry(x.shape, taps.shape[1:3], window))
    return batch_first(y)


def sum_pool2d(xp: Any, x: Any, window: Window, out_size: tuple[int, int]) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the sum of every window; padding counts as 0."""
    x = batch_last(xp, x)
    y = xp.empty((len(x), *out_size, x.shape[3]), dtype=x.dtype)
    function = load.kernel(xp, FILE, "sum_pool", x.dtype)
    load.over(function, _extent(y), x, y, geometry(x.shape, tuple(out_size), window))
    return batch_first(y)


def spread_sum(xp: Any, g: Any, window: Window, size: tuple[int, int]) -> Any:
    """g (N, C, oh, ow) → (N, C, *size): each element added to its whole window."""
    g = batch_last(xp, g)
    dx = xp.empty((len(g), *size, g.shape[3]), dtype=g.dtype)
    function = load.kernel(xp, FILE, "spread_sum", g.dtype)
    load.over(function, _extent(dx), g, dx, geometry(dx.shape, g.shape[1:3], window))
    return batch_first(dx)


def _extent(written: Any) -> tuple[int, int]:
    """Threads over the elements of a channel, and over channels."""
    return math.prod(written.shape[1:]), len(written)
