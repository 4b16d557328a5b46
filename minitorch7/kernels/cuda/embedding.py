"""The gradient of an embedding's table on the GPU (``embedding.cu``)."""

from __future__ import annotations

from typing import Any

from . import load

FILE = "embedding.cu"
load.declare(FILE, "embedding_grad", load.STORED)


def embedding_grad(
    xp: Any, g: Any, ids: Any, shape: tuple[int, int], padding_idx: int | None = None
) -> Any:
    """g (…, D), ids (…) → the table (V, D) with g added up row by row; 0 at padding_idx.

    Sums are in the order of the places, so the result is the same in every run. Ids beyond the
    table wrap around, as CuPy's own indexing does.
    """
    rows, width = shape
    if 0 in (rows, width):
        return xp.zeros(shape, dtype=g.dtype)
    g = xp.ascontiguousarray(g).reshape(-1, width)
    places = len(g)
    load.check_count(places)
    keys = ids.reshape(-1).astype("int64") % rows * places + xp.arange(places)
    table = xp.empty(shape, dtype=g.dtype)
    padding = -1 if padding_idx is None else padding_idx % rows
    function = load.kernel(xp, FILE, "embedding_grad", g.dtype)
    threads = min(256, max(32, -(-width // 32) * 32))  # a narrow table needs no wide block
    grid = (load.blocks(width, threads), min(rows, load.MOST_BLOCKS))
    arguments = (g, xp.sort(keys), table, places, rows, width, padding)
    load.launch(function, grid, (threads,), *arguments)
    return table
