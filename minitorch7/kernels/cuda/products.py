"""Matrix products on the GPU without cuBLAS (``products.cu``), for steps that are captured.

``xp.matmul`` is the faster one wherever it is allowed. Float32 goes through the tensor cores, as
TF32, where ``CUPY_TF32=1`` lets cuBLAS do the same; float16 always does, added up in float32.
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np

from . import convolution, load

FILE = "products.cu"
for _name in ("product", "product_turned"):
    load.declare(FILE, _name, load.STORED, ("Plain",))
    load.declare(FILE, _name, ("float16", "float32"), ("Cores",))

TILE, DEPTH, THREADS = 64, 16, 128  # those of tile.cuh
_STRIDES = np.dtype([(name, np.int32) for name in ("outer", "inner", "row", "column")])
_SIZES = np.dtype([(name, np.int32) for name in ("m", "n", "k", "batches", "inner", "per_part")])


def matmul(xp: Any, a: Any, b: Any, out: Any = None, cores: bool | None = None) -> Any:
    """``xp.matmul(a, b)``: (…, m, k) and (…, k, n) → (…, m, n), leading axes broadcast.

    out    an array of the result's shape in any memory order, written and returned
    cores  whether to use the tensor cores; default: as the text above says

    Both are of one dtype of `load.STORED`. One axis alone is a row on the left and a column on the
    right, as in NumPy. TypeError, ValueError where they do not fit.
    """
    if a.dtype != b.dtype or a.dtype.name not in load.STORED:
        raise TypeError(
            f"matmul: needs two arrays of one dtype of {', '.join(load.STORED)}, got {a.dtype} "
            f"and {b.dtype}"
        )
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: both need an axis, got {a.shape} and {b.shape}")
    if a.ndim == 1:
        y = matmul(xp, a[None], b, None, cores)
        return _into(y[0] if b.ndim == 1 else y[..., 0, :], out)
    if b.ndim == 1:
        return _into(matmul(xp, a, b[:, None], None, cores)[..., 0], out)
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: {a.shape} @ {b.shape}: {a.shape[-1]} is not {b.shape[-2]}")
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if len(lead) > 2:
        a, b = (_one_batch(xp, x, lead) for x in (a, b))
        y = matmul(xp, a, b, None, cores)
        return _into(y.reshape(*lead, *y.shape[1:]), out)
    y = xp.empty((*lead, a.shape[-2], b.shape[-1]), dtype=a.dtype) if out is None else out
    if y.shape != (*lead, a.shape[-2], b.shape[-1]) or y.dtype != a.dtype:
        raise ValueError(
            f"matmul: out is {y.shape} {y.dtype}, the result {(*lead, a.shape[-2], b.shape[-1])} "
            f"{a.dtype}"
        )
    target = y if _in_memory_order(y).flags.c_contiguous else xp.empty(y.shape, dtype=y.dtype)
    _product(xp, a, b, target, _tf32(a.dtype) if cores is None else cores)
    return _into(target, y)


def einsum(xp: Any, subscripts: str, *operands: Any) -> Any:
    """``xp.einsum`` of ``"ij,jk->ik"``: letters, none twice in an operand, and the output's.

    Two operands make one product of matrices; of more, the first two do, and so on.
    """
    left, _, output = subscripts.replace(" ", "").partition("->")
    names, operands = left.split(","), list(operands)
    while len(operands) > 1:
        wanted = set("".join([*names[2:], output]))
        kept = "".join(dict.fromkeys(c for c in names[0] + names[1] if c in wanted))
        operands[:2] = [_contract(xp, names[0], names[1], kept, *operands[:2])]
        names[:2] = [kept]
    return xp.einsum(f"{names[0]}->{output}", operands[0])  # sums and a transpose: no product


def _contract(xp: Any, of_a: str, of_b: str, kept: str, a: Any, b: Any) -> Any:
    """Σ a·b over the letters that are not `kept`."""
    for name, other in ((of_a, of_b), (of_b, of_a)):  # what one has alone is summed beforehand
        alone = tuple(i for i, c in enumerate(name) if c not in other + kept)
        if alone and name is of_a:
            a, of_a = a.sum(axis=alone), "".join(c for c in name if c in other + kept)
        elif alone:
            b, of_b = b.sum(axis=alone), "".join(c for c in name if c in other + kept)
    batch = [c for c in of_a if c in of_b and c in kept]
    summed = [c for c in of_a if c in of_b and c not in kept]
    rows, columns = ([c for c in name if c not in batch + summed] for name in (of_a, of_b))
    sizes = dict(zip(of_a + of_b, a.shape + b.shape, strict=True))

    def matrix(x: Any, name: str, *axes: list[str]) -> Any:
        x = x.transpose([name.index(c) for group in axes for c in group])
        return x.reshape([math.prod(sizes[c] for c in group) for group in axes])

    y = matmul(xp, matrix(a, of_a, batch, rows, summed), matrix(b, of_b, batch, summed, columns))
    made = batch + rows + columns
    y = y.reshape([sizes[c] for c in made])
    return y.transpose([made.index(c) for c in kept])


def _into(y: Any, out: Any) -> Any:
    if out is not None and out is not y:
        out[...] = y
        return out
    return y


def _one_batch(xp: Any, x: Any, lead: tuple[int, ...]) -> Any:
    """x with one leading axis of its own, in memory of its own."""
    whole = x if x.shape[:-2] == lead else xp.broadcast_to(x, (*lead, *x.shape[-2:]))
    return xp.ascontiguousarray(whole).reshape(-1, *x.shape[-2:])


def _product(xp: Any, a: Any, b: Any, y: Any, cores: bool) -> None:
    """y = a @ b, y being one stretch of memory in some order of its axes."""
    a, b = (
        x if _in_memory_order(x).flags.c_contiguous else xp.ascontiguousarray(x) for x in (a, b)
    )
    for x in (a, b, y):
        load.check_count(x.size)
    m, n, k = *y.shape[-2:], a.shape[-1]
    batches = y.size // max(m * n, 1)
    inner = y.shape[-3] if y.ndim > 2 else 1
    tiles = (-(-n // TILE), -(-m // TILE))
    if tiles[1] > load.MOST_BLOCKS:
        raise ValueError(f"CUDA product: {m} rows are too many; at most {TILE * load.MOST_BLOCKS}")
    if y.size == 0:
        return
    count, per_part = convolution.parts_of(k, tiles[0] * tiles[1] * batches, 1)
    parts = None
    if count > 1:
        parts = xp.empty((count, batches, m, n), dtype=load.sum_type(y.dtype))
    of_b = _strides(b, y.ndim)
    name = "product" if of_b["column"] == 1 or of_b["row"] != 1 else "product_turned"
    arithmetic = "Cores" if cores and a.dtype.name != "float64" else "Plain"
    function = load.kernel(xp, FILE, name, a.dtype, arithmetic)
    sizes = _sizes(m, n, k, batches, inner, per_part)
    grid = (*tiles, min(batches * count, load.MOST_BLOCKS))
    arrays = (_in_memory_order(x) for x in (a, b, y))
    strides = (_strides(a, y.ndim), of_b, _strides(y, y.ndim))
    load.launch(function, grid, (THREADS,), *arrays, parts, *strides, sizes)
    if parts is not None:
        total = load.kernel(xp, convolution.FILE, "sum_parts", y.dtype)
        whole = y if y.flags.c_contiguous else xp.empty(y.shape, dtype=y.dtype)
        load.over(total, (y.size,), parts, whole, count, y.size)
        _into(whole, y)


def _in_memory_order(x: Any) -> Any:
    """x with its axes in the order in which they lie in memory, the outermost first."""
    order = sorted(range(x.ndim), key=lambda i: (-x.strides[i], i))
    return x.transpose(order)


def _strides(x: Any, ndim: int) -> Any:
    """Of the kernel's struct Strides: elements between neighbours, 0 along broadcast axes."""
    found = [s // x.itemsize if n > 1 else 0 for n, s in zip(x.shape, x.strides, strict=True)]
    return _packed((0,) * (4 - len(found)) + tuple(found[-4:]))


@functools.lru_cache(4096)
def _packed(numbers: tuple[int, ...]) -> Any:
    return np.array(numbers, dtype=_STRIDES)


@functools.lru_cache(4096)
def _sizes(*numbers: int) -> Any:
    return np.array(numbers, dtype=_SIZES)


def _tf32(dtype: Any) -> bool:
    return dtype == np.float16 or os.environ.get("CUPY_TF32") == "1"
