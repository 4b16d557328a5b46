"""Random numbers and dropout on the GPU (``noise.cu``): the numbers of ``kernels/philox.py``.

seed   fixes the whole stream; below 2⁶⁴
draw   the number of the call since the seed was set: each has numbers of its own
base   None, or an array (1,) of uint64 on the GPU whose number is added to `draw`, for captured
       graphs, which replay their arguments
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import philox
from . import load

FILE = "noise.cu"
for _name in ("uniform", "normal", "dropout"):
    load.declare(FILE, _name, load.STORED)


def uniform(
    xp: Any, shape: tuple[int, ...], seed: int, draw: int, dtype: Any = "float32", base: Any = None
) -> Any:
    """Uniform numbers in [0, 1); float16 is rounded from float32, and may be 1."""
    return _fill(xp, "uniform", shape, seed, draw, dtype, base)


def normal(
    xp: Any, shape: tuple[int, ...], seed: int, draw: int, dtype: Any = "float32", base: Any = None
) -> Any:
    """Standard-normal numbers."""
    return _fill(xp, "normal", shape, seed, draw, dtype, base)


def _fill(
    xp: Any, name: str, shape: tuple[int, ...], seed: int, draw: int, dtype: Any, base: Any
) -> Any:
    y = xp.empty(shape, dtype=dtype)
    each = 32 // load.sum_type(dtype).itemsize  # numbers that four words make
    function = load.kernel(xp, FILE, name, dtype)
    key = _key(seed, draw, base)
    load.over(function, (-(-y.size // each),), y, np.int64(y.size), *key)
    return y


def dropout(
    xp: Any,
    x: Any,
    p: float,
    seed: int,
    draw: int,
    channels: bool = False,
    base: Any = None,
) -> Any:
    """x/(1 − p) where a uniform number is at least p, else 0; 0 ≤ p < 1.

    channels  one number for each channel of x (N, C, …), not for each element

    No mask is kept: the same call on a gradient draws the same numbers again. Which element gets
    which number depends on its place in x, not on the order in which x lies in memory.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p must be a probability of at least 0 and below 1, got {p}")
    same = math.prod(x.shape[2:]) if channels else 1
    last = x.ndim > 1 and not x.flags.c_contiguous  # else in order of (N, …)
    if last:
        x = xp.ascontiguousarray(x.transpose(*range(1, x.ndim), 0))
    columns = x.shape[-1] if last else 1
    y = xp.empty(x.shape, dtype=x.dtype)
    load.check_count(x.size)
    if x.size:
        function = load.kernel(xp, FILE, "dropout", x.dtype)
        key = _key(seed, draw, base)
        sizes = (x.size // columns, columns, same)
        load.over(function, (x.size,), x, y, *sizes, float(p), *key)
    return y.transpose(y.ndim - 1, *range(y.ndim - 1)) if last else y


def _key(seed: int, draw: int, base: Any) -> tuple[Any, ...]:
    philox.check(seed, draw)
    return np.uint64(seed), np.uint64(draw), base
