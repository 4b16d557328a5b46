"""Convolution and its gradients on the GPU without columns (``implicit_gemm.cu``).

They take and give what the functions of ``kernels/convolution.py`` do. `cores` asks for the tensor
cores: TF32 for float32, and float16 multiplied as it is stored; both are added up in float32. By
default float16 goes there always, and float32 where CUPY_TF32=1 in the environment has CuPy's own
products do so too.
"""

from __future__ import annotations

import math
import os
from typing import Any

from ..windows import Window, batch_first, batch_last
from . import load
from .geometry import geometry

FILE = "implicit_gemm.cu"
for _name in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad"):
    load.declare(FILE, _name, load.STORED, ("Plain",))
    load.declare(FILE, _name, ("float16", "float32"), ("Cores",))
load.declare(FILE, "sum_parts", load.STORED)

TILE, DEPTH, THREADS = 64, 16, 128  # those of tile.cuh
BLOCKS = 1024  # that the weight's gradient is cut into, about: a few for each multiprocessor
LEAST_PLACES = 256  # of a part of the weight's gradient


def conv2d(
    xp: Any,
    x: Any,
    w: Any,
    bias: Any,
    window: Window,
    groups: int,
    places: tuple[int, int] | None = None,
    cores: bool | None = None,
) -> Any:
    """x (N, C, H, W), w (O, C/groups, kh, kw), bias (O,) or None → y (N, O, oh, ow)."""
    x, w = batch_last(xp, x), xp.ascontiguousarray(w)
    places = window.output_size(x.shape[1:3]) if places is None else places
    y = xp.empty((len(w), *places, x.shape[3]), dtype=x.dtype)
    outputs = len(w) // groups
    bias = None if bias is None else xp.ascontiguousarray(bias)
    g = _geometry(x, y, w, window)
    grid = _grid(math.prod(y.shape[1:]), outputs, groups)
    function = load.kernel(xp, FILE, "conv2d", x.dtype, _arithmetic(x, cores))
    load.launch(function, grid, (THREADS,), x, w, bias, y, g, outputs)
    return batch_first(y)


def conv2d_input_grad(
    xp: Any,
    g: Any,
    w: Any,
    size: tuple[int, int],
    window: Window,
    groups: int,
    cores: bool | None = None,
) -> Any:
    """dy (N, O, oh, ow), w (O, C/groups, kh, kw) → dx (N, C, *size)."""
    g, w = batch_last(xp, g), xp.ascontiguousarray(w)
    dx = xp.empty((w.shape[1] * groups, *size, g.shape[3]), dtype=g.dtype)
    outputs = len(w) // groups
    grid = _grid(math.prod(dx.shape[1:]), w.shape[1], groups)
    function = load.kernel(xp, FILE, "conv2d_input_grad", g.dtype, _arithmetic(g, cores))
    load.launch(function, grid, (THREADS,), g, w, dx, _geometry(dx, g, w, window), outputs)
    return batch_first(dx)


def conv2d_weight_grad(
    xp: Any, x: Any, g: Any, window: Window, groups: int, cores: bool | None = None
) -> Any:
    """x (N, C, H, W), dy (N, O, oh, ow) → dw (O, C/groups, kh, kw)."""
    x, g = batch_last(xp, x), batch_last(xp, g)
    dw = xp.empty((len(g), len(x) // groups, *window.kernel), dtype=x.dtype)
    if dw.size == 0 or g.size == 0:
        return xp.zeros(dw.shape, dtype=dw.dtype)
    outputs, depth, places = len(g) // groups, math.prod(dw.shape[1:]), math.prod(g.shape[1:])
    tiles = math.prod(_grid(depth, outputs, groups))
    count, per_part = parts_of(places, tiles, groups)
    alone = count == 1 and load.sum_type(x.dtype) == dw.dtype
    parts = dw if alone else xp.empty((count, *dw.shape), dtype=load.sum_type(x.dtype))
    grid = _grid(depth, outputs, groups * count)
    function = load.kernel(xp, FILE, "conv2d_weight_grad", x.dtype, _arithmetic(x, cores))
    shape = _geometry(x, g, dw, window)
    load.launch(function, grid, (THREADS,), x, g, parts, shape, outputs, groups, per_part)
    if alone:
        return dw
    total = load.kernel(xp, FILE, "sum_parts", x.dtype)
    load.over(total, (dw.size,), parts, dw, count, dw.size)
    return dw


def parts_of(places: int, tiles: int, groups: int) -> tuple[int, int]:
    """(parts that the sum over `places` is cut into, places a part): by the shapes alone.

    Were it by the card as well, two cards would round differently.
    """
    most = min(BLOCKS // max(tiles, 1), places // LEAST_PLACES, load.MOST_BLOCKS // groups)
    count = max(1, most)
    per_part = max(1, -(-places // (count * DEPTH))) * DEPTH
    return max(1, -(-places // per_part)), per_part


def _grid(columns: int, rows: int, depth: int) -> tuple[int, int, int]:
    grid = (-(-columns // TILE), -(-rows // TILE), depth)
    if max(grid[1:]) > load.MOST_BLOCKS:
        raise ValueError(f"CUDA convolution: {rows} channels in {depth} groups are too many")
    return grid


def _geometry(x: Any, y: Any, w: Any, window: Window) -> Any:
    """That of one group: w (O, C/groups, kh, kw)."""
    for a in (x, y, w):
        load.check_count(a.size)
    return geometry((w.shape[1], *x.shape[1:]), y.shape[1:3], window)


def _arithmetic(x: Any, cores: bool | None) -> str:
    name = x.dtype.name
    if cores is None:
        cores = name == "float16" or os.environ.get("CUPY_TF32") == "1"
    return "Cores" if cores and name != "float64" else "Plain"
