"""im2col and col2im on the GPU (``columns.cu``), each in one launch instead of one for each tap."""

from __future__ import annotations

import math
from typing import Any

from ..windows import Window
from . import load
from .geometry import geometry

FILE = "columns.cu"
load.declare(FILE, "im2col", load.STORED)
load.declare(FILE, "col2im", load.STORED)


def im2col(
    xp: Any,
    x: Any,
    window: Window,
    rows: range | None = None,
    ow: int | None = None,
    out: Any = None,
) -> Any:
    """As ``kernels.windows.im2col``: (C, H, W, N) → (C, kh, kw, rows, ow, N)."""
    fitting = window.output_size(x.shape[1:3])
    rows = range(fitting[0]) if rows is None else rows
    ow = fitting[1] if ow is None else ow
    x = xp.ascontiguousarray(x)
    shape = (len(x), *window.kernel, len(rows), ow, x.shape[3])
    if out is None:
        col = xp.empty(shape, dtype=x.dtype)
    else:
        col = out[: math.prod(shape)].reshape(shape)
    g = geometry(x.shape, (len(rows), ow), window)
    function = load.kernel(xp, FILE, "im2col", x.dtype)
    extent = (math.prod(shape[3:]), math.prod(shape[:3]))
    load.over(function, extent, x, col, g, rows.start)
    return col


def col2im(xp: Any, col: Any, window: Window, rows: range, onto: Any) -> None:
    """As ``kernels.windows.col2im``: adds columns onto a contiguous `onto` (C, H, W, N)."""
    if not onto.flags.c_contiguous:
        raise ValueError(f"col2im: onto {onto.shape} must be contiguous, to be added to in place")
    col = xp.ascontiguousarray(col)
    g = geometry(onto.shape, (len(rows), col.shape[4]), window)
    function = load.kernel(xp, FILE, "col2im", onto.dtype)
    load.over(function, (math.prod(onto.shape[1:]), len(onto)), col, onto, g, rows.start)
