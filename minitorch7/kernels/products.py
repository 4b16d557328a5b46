"""Matrix products in the shapes that convolutions make: a few rows, and a very long side.

For such shapes, ``(8, 72) @ (72, 25088)`` for one, OpenBLAS, NumPy's library of products, is at its
slowest. It has a second, faster kernel for *small* products; and up to about m·n·k = 2¹⁸ it does
not wake its other threads, whose hand-over costs more than so little work. So the long side is cut
into pieces that are small in that sense, and `matmul` runs the stack of them:

    a @ b    = [a @ b₁, a @ b₂, …]               the long side is cut and stays
    a @ bᵀ   = b₁'s product + b₂'s product + …   the long side is summed over

One training step of the lesson's residual network takes 24 to 25 ms instead of 30 ms for it on one
core, and as much on two, instead of 28 (``benchmarks/train_step.py --quick --rivals pytorch
--threads 1 2``, least of 5 or 6 rounds, before and after, on one machine). On CuPy, and for grouped
convolutions, both are one plain `matmul`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL = 2**18  # m·n·k up to which OpenBLAS stays with one thread and its small kernel


def product(xp: Any, a: Any, b: Any, out: Any) -> None:
    """out = a @ b for stacks (G, m, k) @ (G, k, n), n the long side."""
    if a.shape[0] != 1:
        out[...] = xp.matmul(a, b)
        return
    a, b, out = a[0], b[0], out[0]
    if xp is not np:  # CuPy's product writes into contiguous memory only
        out[...] = xp.matmul(a, b)
        return
    (m, k), n = a.shape, b.shape[1]
    piece = _piece(m * k, n, (512, 256, 128, 64))
    if piece is None or not b.flags.c_contiguous:
        np.matmul(a, b, out=out)
        return
    pieces = b.reshape(k, -1, piece).transpose(1, 0, 2)  # (n/piece, k, piece), a view
    np.matmul(a, pieces, out=out.reshape(m, -1, piece).transpose(1, 0, 2))


def transposed_product(xp: Any, a: Any, b: Any) -> Any:
    """a @ bᵀ for stacks (G, m, n) and (G, k, n) → (G, m, k), n the long side."""
    if a.shape[0] != 1:
        return xp.matmul(a, b.transpose(0, 2, 1))
    a, b = a[0], b[0]
    if xp is not np:
        return xp.matmul(a, b.T)[None]
    (m, n), k = a.shape, b.shape[0]
    piece = _piece(m * k, n, (256, 128))
    if piece is None:
        return (b @ a.T).T[None]  # the same, and the taller operand first is faster
    b_pieces = b.reshape(k, -1, piece).transpose(1, 0, 2)  # (n/piece, k, piece), a view
    a_pieces = np.ascontiguousarray(a.T).reshape(-1, piece, m)
    return (b_pieces @ a_pieces).sum(axis=0).T[None]


def _piece(rows: int, n: int, lengths: tuple[int, ...]) -> int | None:
    """The longest of `lengths` whose pieces are small; None where one product is best."""
    for piece in lengths:
        if rows * piece <= SMALL:
            return piece if n % piece == 0 and n > piece else None
    return None
