"""One step of Adam or AdamW for all parameters in one launch (``adam.cu``)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import load

FILE = "adam.cu"
load.declare(FILE, "adam", load.FLOATS)

PER_CHUNK = 4096  # elements that one block updates
_TABLES = 16  # tables kept on the GPU: the pool hands out the same addresses step after step


def adam(
    xp: Any,
    params: Sequence[Any],
    grads: Sequence[Any],
    means: Sequence[Any],
    squares: Sequence[Any],
    options: Any,
    decoupled: bool,
) -> None:
    """Change params, means (exp_avg) and squares (exp_avg_sq) in place.

    options    an array (7,) of float64 on the GPU: `options_of`
    decoupled  true weight decay (AdamW), not one added to the gradient

    All arrays are contiguous and of one dtype. ValueError where one is not: a copy would be changed
    in its place.
    """
    lists = (params, grads, means, squares)
    dtype = params[0].dtype
    for arrays in zip(*lists, strict=True):
        if any(a.dtype != dtype or not a.flags.c_contiguous for a in arrays):
            listed = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
            raise ValueError(
                f"adam: parameter, gradient and their means must be contiguous and {dtype}, "
                f"got {listed}"
            )
    rows, chunks = [], 0
    for arrays in zip(*lists, strict=True):
        if arrays[0].size:
            rows.append((*(a.data.ptr for a in arrays), arrays[0].size, chunks))
            chunks += -(-arrays[0].size // PER_CHUNK)
    if not rows:
        return
    # a captured graph goes on reading its table: none that may be evicted under it
    make = _table.__wrapped__ if getattr(xp, "capturing", False) else _table
    table = make(xp, xp.cuda.runtime.getDevice(), tuple(rows))
    function = load.kernel(xp, FILE, "adam", dtype)
    arguments = (table, len(rows), options, decoupled, PER_CHUNK)
    load.launch(function, (chunks,), (load.BLOCK,), *arguments)


@functools.lru_cache(_TABLES)
def _table(xp: Any, device: int, rows: tuple[tuple[int, ...], ...]) -> Any:
    return xp.asarray(np.array(rows, dtype=np.int64))


def options_of(
    lr: float, betas: tuple[float, float], eps: float, decay: float, step: int
) -> np.ndarray:
    """(lr, β₁, β₂, eps, decay, 1 − β₁ᵗ, 1 − β₂ᵗ) for step t = 1, 2, …: for ``xp.asarray``.

    In a captured step they are written into one array that stays: ``options.set(...)``.
    """
    corrections = [1 - beta**step for beta in betas]
    return np.array([lr, *betas, eps, decay, *corrections], dtype=np.float64)
