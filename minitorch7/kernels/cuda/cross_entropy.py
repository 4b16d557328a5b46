"""Softmax and cross-entropy on the GPU in one launch (``cross_entropy.cu``)."""

from __future__ import annotations

from typing import Any

from . import load

FILE = "cross_entropy.cu"
load.declare(FILE, "cross_entropy", load.STORED)
load.declare(FILE, "cross_entropy_rows", load.STORED)

WARPS = 8  # of a block of cross_entropy_rows


def cross_entropy(xp: Any, x: Any, target: Any, shares: Any) -> tuple[Any, Any]:
    """x (N, C, …), t and s (N, …) → (s·losses, in some order (P,); their slope (N, C, …)).

    The slope is ∂ Σ s·losses / ∂x = s·(softmax(x) − onehot(t)), and lies in memory as x does:
    batch-last, or with the classes of a place side by side.
    """
    rows = x.ndim == 2 and x.flags.c_contiguous
    axes = range(x.ndim) if rows else (*range(1, x.ndim), 0)  # batch last
    x = xp.ascontiguousarray(x.transpose(*axes))
    places = target.transpose(*range(1, target.ndim), 0) if not rows else target
    target = xp.ascontiguousarray(places.astype("int64", copy=False)).reshape(-1)
    total = load.sum_type(x.dtype)
    shares = shares if rows else shares.transpose(*range(1, shares.ndim), 0)
    shares = xp.ascontiguousarray(shares.astype(total, copy=False)).reshape(-1)
    losses, slope = xp.empty(len(target), dtype=total), xp.empty(x.shape, dtype=x.dtype)
    classes = x.shape[1] if rows else x.shape[0]
    arguments = (x, target, shares, losses, slope, len(target), classes)
    if rows:
        function = load.kernel(xp, FILE, "cross_entropy_rows", x.dtype)
        grid = (1, min(-(-len(target) // WARPS), load.MOST_BLOCKS))
        load.launch(function, grid, (32, WARPS), *arguments)
        return losses, slope
    function = load.kernel(xp, FILE, "cross_entropy", x.dtype)
    load.over(function, (len(target),), *arguments)
    return losses, slope.transpose(slope.ndim - 1, *range(slope.ndim - 1))
