"""Elementwise work on large arrays: in pieces that stay in the cache, shared among threads.

NumPy walks over its arrays once for every operation. Where a formula takes two or three, pieces of
`PIECE` elements are still in the processor's cache on the second walk; and large arrays have pieces
enough for several threads. On CuPy, and for small arrays, everything is one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import threads

PIECE = 128 * 1024  # elements: a few arrays' pieces fit a second-level cache
LARGE = 512 * 1024  # elements from which another thread is worth waking


def in_pieces(xp: Any, work: Callable[..., None], *arrays: Any) -> None:
    """Run work(*pieces) on matching pieces of arrays of one shape; `work` writes into some of them.

    Arrays that lie in memory in different orders are worked on as they are, in one piece.
    """
    flat = lines(arrays) if xp is np and arrays[0].size > PIECE else None
    if flat is None:
        work(*arrays)
        return
    size = arrays[0].size
    pieces = [(a, min(a + PIECE, size)) for a in range(0, size, PIECE)]
    parts = threads.cut(len(pieces), min(8, 1 + size // LARGE))

    def part(i: int) -> None:
        for number in parts[i]:
            start, stop = pieces[number]
            work(*[a[start:stop] for a in flat])

    threads.share(part, len(parts))


def lines(arrays: Sequence[Any]) -> list[Any] | None:
    """The arrays as views of one axis, in one and the same order; None where there is none."""
    first = arrays[0]
    order = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
    sorted_arrays = [a.transpose(order) for a in arrays]
    if not all(a.flags.c_contiguous for a in sorted_arrays):
        return None
    return [a.reshape(-1) for a in sorted_arrays]


def relu(xp: Any, x: Any) -> Any:
    """max(x, 0)."""
    if x.dtype.kind != "f":
        return xp.maximum(x, 0)
    y = xp.empty_like(x)

    # NumPy's clip has a vectorised loop for bounds that are numbers, its maximum has none: half the
    # time (``python benchmarks/kernels.py --match ReLU``)
    def piece(x: Any, y: Any) -> None:
        xp.clip(x, 0, np.inf, out=y)

    in_pieces(xp, piece, x, y)
    return y


def masked(xp: Any, g: Any, mask: Any) -> Any:
    """g where the mask is positive, else 0."""
    if g.shape != mask.shape:
        return g * (mask > 0)
    y = xp.empty_like(g)

    def piece(g: Any, mask: Any, y: Any) -> None:
        xp.multiply(g, mask > 0, out=y)

    in_pieces(xp, piece, g, mask, y)
    return y


def add_(shift: Any, y: Any) -> None:
    """y += shift, in place."""
    y += shift
