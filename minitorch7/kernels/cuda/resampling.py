"""Nearest and bilinear resampling on the GPU (``resampling.cu``), rows and columns in one launch.

Which input an output reads is worked out on the host, in NumPy arrays, as for the processor; here
it goes to the GPU once for each pair of sizes.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ..windows import batch_first, batch_last
from . import load

FILE = "resampling.cu"
for _name in ("nearest", "nearest_grad", "bilinear", "bilinear_grad"):
    load.declare(FILE, _name, load.STORED)


class Axis(NamedTuple):
    """How the outputs along one axis read n inputs; tuples, so that it can be kept by value.

    low     for each output, the input it reads, or the lower of two; ascending
    weight  for each output, the weight of input low + 1; 0 where one input is read
    """

    n: int
    low: tuple[int, ...]
    weight: tuple[float, ...]

    @classmethod
    def of(cls, n: int, low: np.ndarray, weight: np.ndarray | None = None) -> Axis:
        """From arrays. ValueError unless 0 ≤ low < n and low ascends."""
        if len(low) and (low[0] < 0 or low[-1] >= n or np.any(np.diff(low) < 0)):
            raise ValueError(f"resampling: the inputs read must ascend from 0 to {n - 1}: {low}")
        weight = np.zeros(len(low)) if weight is None else weight
        return cls(n, tuple(low.tolist()), tuple(weight.tolist()))


class _OnDevice(NamedTuple):
    low: Any
    weight: Any
    first: Any  # (n + 1,): how many outputs read below each input


@functools.lru_cache(256)
def _on_device(xp: Any, device: int, axis: Axis, dtype: Any) -> _OnDevice:
    low = np.array(axis.low, dtype=np.int32)
    first = np.searchsorted(low, np.arange(axis.n + 1)).astype(np.int32)
    weight = np.array(axis.weight, dtype=dtype)
    return _OnDevice(*(xp.asarray(a) for a in (low, weight, first)))


def nearest(xp: Any, x: Any, rows: Axis, columns: Axis) -> Any:
    """x (N, C, H, W) → (N, C, h, w), each element copied from one of x's."""
    down, across = _axes(xp, x, rows, columns)
    return _resample(xp, "nearest", x, rows, columns, True, down.low, across.low)


def nearest_grad(xp: Any, g: Any, rows: Axis, columns: Axis) -> Any:
    """g (N, C, h, w) → (N, C, H, W): `nearest`'s adjoint."""
    down, across = _axes(xp, g, rows, columns)
    return _resample(xp, "nearest_grad", g, rows, columns, False, down.first, across.first)


def bilinear(xp: Any, x: Any, rows: Axis, columns: Axis) -> Any:
    """x (N, C, H, W) → (N, C, h, w), each element a weighted mean of four of x's."""
    down, across = _axes(xp, x, rows, columns)
    tables = (down.low, down.weight, across.low, across.weight)
    return _resample(xp, "bilinear", x, rows, columns, True, *tables)


def bilinear_grad(xp: Any, g: Any, rows: Axis, columns: Axis) -> Any:
    """g (N, C, h, w) → (N, C, H, W): `bilinear`'s adjoint."""
    tables = (table for axis in _axes(xp, g, rows, columns) for table in axis)
    return _resample(xp, "bilinear_grad", g, rows, columns, False, *tables)


def _axes(xp: Any, x: Any, rows: Axis, columns: Axis) -> tuple[_OnDevice, _OnDevice]:
    device, dtype = xp.cuda.runtime.getDevice(), load.sum_type(x.dtype)
    return _on_device(xp, device, rows, dtype), _on_device(xp, device, columns, dtype)


def _resample(
    xp: Any, name: str, x: Any, rows: Axis, columns: Axis, forward: bool, *tables: Any
) -> Any:
    """Launch; forward reads inputs and writes outputs, backward the other way round."""
    x = batch_last(xp, x)
    inputs, outputs = (rows.n, columns.n), (len(rows.low), len(columns.low))
    read, written = (inputs, outputs) if forward else (outputs, inputs)
    if x.shape[1:3] != read:
        raise ValueError(f"{name}: the picture {x.shape[1:3]} is not of the size {read} expected")
    y = xp.empty((len(x), *written, x.shape[3]), dtype=x.dtype)
    extent = (math.prod(y.shape[1:]), len(y))
    function = load.kernel(xp, FILE, name, x.dtype)
    load.over(function, extent, x, y, *tables, len(x), *inputs, *outputs, x.shape[3])
    return batch_first(y)
