"""Standardising rows on the GPU (``normalisation.cu``), in two launches each way."""

from __future__ import annotations

from typing import Any

from . import load

FILE = "normalisation.cu"
for _name in ("row_moments", "standardise", "row_agreement", "standardise_grad"):
    load.declare(FILE, _name, load.STORED)
load.declare(FILE, "move_running", load.FLOATS)

PER_PART = 4096  # elements of a row that one block walks over
MOST_PARTS = load.BLOCK  # a block merges them, one a thread


def standardise(
    xp: Any, x: Any, eps: float, scale: Any = None, shift: Any = None
) -> tuple[Any, Any, Any, Any]:
    """As ``kernels.normalisation.standardise``: x (R, M) → (y, mean, variance, 1/√(…)).

    The last three are (R, 1), and float32 where x is float16.
    """
    x, total = xp.ascontiguousarray(x), load.sum_type(x.dtype)
    y = xp.empty(x.shape, dtype=x.dtype)
    mean, variance, inverse = (xp.empty((len(x), 1), dtype=total) for _ in range(3))
    parts, per_part = _parts(xp, x)
    sizes = (x.shape[1], per_part)
    _launch(xp, "row_moments", parts, x.dtype, x, parts, *sizes)
    scale, shift = (_as(xp, a, total) for a in (scale, shift))
    results = (y, mean, variance, inverse)
    _launch(xp, "standardise", parts, x.dtype, x, parts, scale, shift, *results, *sizes, float(eps))
    return results


def standardise_grad(
    xp: Any, g: Any, x: Any, mean: Any, inverse: Any, scale: Any
) -> tuple[Any, Any, Any]:
    """As ``kernels.normalisation.standardise_grad``: → (dx, Σ g·x̂, Σ g), the sums (R, 1)."""
    g, x, total = xp.ascontiguousarray(g), xp.ascontiguousarray(x), load.sum_type(x.dtype)
    dx = xp.empty(x.shape, dtype=x.dtype)
    sum_gx, sum_g = (xp.empty((len(x), 1), dtype=total) for _ in range(2))
    parts, per_part = _parts(xp, x)
    sizes = (x.shape[1], per_part)
    mean, inverse, scale = (_as(xp, a, total) for a in (mean, inverse, scale))
    _launch(xp, "row_agreement", parts, x.dtype, g, x, mean, parts, *sizes)
    arrays = (g, x, mean, inverse, scale, parts, dx, sum_gx, sum_g)
    _launch(xp, "standardise_grad", parts, x.dtype, *arrays, *sizes)
    return dx, sum_gx, sum_g


def move_running(
    xp: Any, running: tuple[Any, Any], batch: tuple[Any, Any], momentum: float, unbiased: float
) -> None:
    """r ← (1 − momentum)·r + momentum·batch for (mean, variance), each (R,), in one launch.

    unbiased  M/(M − 1), by which the batch's variance is multiplied

    ValueError unless the running ones are contiguous: a copy would be changed in their place.
    """
    if not all(a.flags.c_contiguous for a in running):
        raise ValueError("move_running: running statistics must be contiguous, to change in place")
    batch = tuple(_as(xp, a, running[0].dtype) for a in batch)
    function = load.kernel(xp, FILE, "move_running", running[0].dtype)
    size = running[0].size
    load.over(function, (size,), *running, *batch, float(momentum), float(unbiased), size)


def _parts(xp: Any, x: Any) -> tuple[Any, int]:
    """(room for two numbers a part of each row (R, P, 2), elements a part)."""
    length = x.shape[1]
    load.check_count(length)
    count = max(1, min(MOST_PARTS, -(-length // PER_PART)))
    per_part = max(1, -(-length // count))
    return xp.empty((len(x), count, 2), dtype=load.sum_type(x.dtype)), per_part


def _launch(xp: Any, name: str, parts: Any, dtype: Any, *args: Any) -> None:
    function = load.kernel(xp, FILE, name, dtype)
    load.launch(function, parts.shape[:2], (load.BLOCK,), *args)


def _as(xp: Any, a: Any, dtype: Any) -> Any:
    return None if a is None else xp.ascontiguousarray(a.astype(dtype, copy=False))
