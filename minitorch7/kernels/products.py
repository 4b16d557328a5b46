"""Matrix products in the shapes that convolutions make: a few rows, and a very long side.

For such shapes OpenBLAS, NumPy's library of products, is at its worst: ``(8, 72) @ (72, 25088)``
runs at less than half the speed of the same arithmetic in square matrices. It has a second, faster
kernel for *small* products, up to about m·n·k = 10⁶. So the long side is cut into pieces that are
small in that sense, and `matmul` runs the stack of them:

    a @ b    = [a @ b₁, a @ b₂, …]               the long side is cut and stays
    a @ bᵀ   = b₁'s product + b₂'s product + …   the long side is summed over

One training step of the lesson's residual network takes 26 ms instead of 31 ms for it on one core
(``benchmarks/train_step.py --models resnet --threads 1``, least of 5 rounds of 10 steps, before and
after). On CuPy, and for grouped convolutions, both are one plain `matmul`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL = 1_000_000  # m·n·k up to which OpenBLAS takes its kernel for small products


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
    piece = _piece(m * k, n, 512, 128)
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
    piece = _piece(m * k, n, 256, 256)
    if piece is None:
        return (b @ a.T).T[None]  # the same, and the taller operand first is faster
    b_pieces = b.reshape(k, -1, piece).transpose(1, 0, 2)  # (n/piece, k, piece), a view
    a_pieces = np.ascontiguousarray(a.T).reshape(-1, piece, m)
    return (b_pieces @ a_pieces).sum(axis=0).T[None]


def _piece(rows: int, n: int, longest: int, shortest: int) -> int | None:
    """How long the pieces are: they must be small and divide n; None where one product is best."""
    piece = longest
    while piece > shortest and rows * piece > SMALL:
        piece //= 2
    if rows * piece > SMALL or n % piece or n <= piece:
        return None
    return piece
