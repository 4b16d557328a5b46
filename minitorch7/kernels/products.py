"""Matrix products in the shapes that convolutions make: a few rows, and a very long side.

For such shapes, ``(8, 72) @ (72, 1792)`` for one, OpenBLAS, NumPy's library of products, is at its
slowest: it first copies both matrices into an order of its own, which takes as long as multiplying
where one side is short. For *small* products, up to m·n·k = 10⁶, it has a kernel that copies
nothing. So the long side is cut into pieces that are small in that sense, and `matmul` runs the
stack of them:

    a @ b    = [a @ b₁, a @ b₂, …]               the long side is cut and stays
    a @ bᵀ   = b₁'s product + b₂'s product + …   the long side is summed over

Where one product has many rows, they are shared among threads. What this is worth is in the
convolutions of ``python benchmarks/kernels.py``.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import threads

SMALL = 10**6  # m·n·k up to which OpenBLAS uses its kernel for small products
PART = 12 * 10**6  # m·n·k worth handing to another thread: some 0.3 ms
MOST_PARTS = 8
FEW = 32  # rows of a from which one product is faster than its pieces
FEWEST_ROWS = 128  # of a part of one product: BLAS lays b out anew for each part


def product(xp: Any, a: Any, b: Any, out: Any) -> None:
    """out = a @ b for a (m, k) and a stack b (S, k, n); out is (S, m, n), a view of anything."""
    if xp is not np:  # CuPy's product writes into contiguous memory only
        out[...] = xp.matmul(a, b)
        return
    (m, k), n = a.shape, b.shape[2]
    piece = _piece(m * k, n, 64)
    if piece is not None:
        np.matmul(a, _cut(b, piece), out=_cut(out, piece))
        return
    parts = _row_parts(m, m * k * n * b.shape[0])
    if len(parts) <= 1:
        np.matmul(a, b, out=out)
        return

    def rows(i: int) -> None:
        part = slice(parts[i].start, parts[i].stop)
        np.matmul(a[part], b, out=out[:, part])

    threads.share(rows, len(parts))


def transposed_product(xp: Any, a: Any, b: Any) -> Any:
    """Σ over the stack of b @ aᵀ, for a (S, m, n) and b (S, k, n) → (k, m)."""
    if xp is not np:
        return xp.matmul(b, a.transpose(0, 2, 1)).sum(axis=0)
    m, (_, k, n) = a.shape[1], b.shape
    piece = _piece(m * k, n, 128) if m < FEW else None
    if piece is not None:
        a = _cut(a, piece).swapaxes(2, 3)  # (S, pieces, piece, m)
        if 2 * m >= FEW and k >= 4 * m:
            a = np.ascontiguousarray(a)  # the small kernel is quicker so, if there is much to do
        return np.matmul(_cut(b, piece), a).sum(axis=(0, 1))
    total = np.empty((k, m), dtype=b.dtype)
    parts = _row_parts(k, m * k * n * b.shape[0])

    def rows(i: int) -> None:
        part = slice(parts[i].start, parts[i].stop)
        np.matmul(b[0, part], a[0].T, out=total[part])
        for row in range(1, len(b)):
            total[part] += b[row, part] @ a[row].T

    threads.share(rows, len(parts))
    return total


def parts_of(work: int) -> int:
    """Into how many parts work of so many multiplications is cut: 1, 2, 4 or 8."""
    if work < 2 * PART:
        return 1
    return 2 if work < 16 * PART else 4 if work < 64 * PART else MOST_PARTS


def _row_parts(rows: int, work: int) -> tuple[range, ...]:
    """The rows of one product, cut in two where they are few, in more only where they are many."""
    most = max(rows // (2 * FEWEST_ROWS), min(2, rows // FEWEST_ROWS))
    return threads.cut(rows, min(parts_of(work), most))


def _cut(stack: Any, piece: int) -> Any:
    """(S, k, n) → (S, n/piece, k, piece): a view."""
    return stack.reshape(*stack.shape[:2], -1, piece).swapaxes(1, 2)


@functools.lru_cache(4096)
def _piece(rows: int, n: int, shortest: int) -> int | None:
    """The longest divisor of n, a multiple of 16, whose product is small; None if too short."""
    for count in range(1, n // shortest + 1):
        if n % (16 * count) == 0 and rows * (n // count) <= SMALL:
            return n // count
    return None
