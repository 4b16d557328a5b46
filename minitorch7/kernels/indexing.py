"""Reading and adding at indices."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_at(xp: Any, shape: tuple[int, ...], where: tuple[Any, ...], values: Any) -> Any:
    """Zeros of `shape` with `values` added at the index `where`; a place named twice gets both.

    ``y[where] += values`` would keep only one of several values for the same place. Only integer
    arrays can name a place twice, so slices and masks take the plain, faster way.
    """
    y = xp.zeros(shape, dtype=values.dtype)
    if not any(_is_integer_array(item) for item in where):
        y[where] = values
    elif xp is np and len(where) == 1:
        _add_rows(y, where[0], values)
    else:
        xp.add.at(y, where, values)
    return y


def _add_rows(y: Any, ids: Any, values: Any) -> None:
    """``np.add.at(y, ids, values)``: the gradient of an embedding.

    `np.add.at` goes element by element. Here the rows are sorted, so that those of one place lie
    side by side, and `np.add.reduceat` adds up each such stretch: a fifth of the time for 1,280
    rows of 64 (``python benchmarks/kernels.py --match embedding``).
    """
    if ids.size == 0:
        return
    rows = ids.reshape(-1) % len(y)  # −1 is the last one
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    values = values.reshape(ids.size, *y.shape[1:])
    y[rows[starts]] = np.add.reduceat(values[order], starts, axis=0)


def _is_integer_array(item: Any) -> bool:
    return hasattr(item, "dtype") and item.dtype.kind in "iu"


def along_axis(xp: Any, at: Any, axis: int) -> tuple[Any, ...]:
    """The index that reads place ``at[i, j, …]`` along `axis` and (i, j, …) along the others."""
    parts = []
    for i, n in enumerate(at.shape):
        steps = xp.arange(n).reshape([n if k == i else 1 for k in range(at.ndim)])
        parts.append(at if i == axis else steps)
    return tuple(parts)


def integers_first(where: tuple[Any, ...]) -> tuple[Any, Any]:
    """(index, index) that, one after the other, read `where` as PyTorch does; (None, where) if one.

    NumPy takes plain integers beside index arrays for arrays, and may move their axes to the
    front: x[0, :, ids] is (ids, :) there. PyTorch selects the integers first: (:, ids).
    """
    arrays = any(hasattr(item, "dtype") for item in where)
    if not arrays or not any(_is_integer(item) for item in where):
        return None, where
    first: list[Any] = []
    for item in where:
        if _is_integer(item) or item is Ellipsis:
            first.append(item)
        else:
            first.extend([slice(None)] * _axes_used(item))
    return tuple(first), tuple(item for item in where if not _is_integer(item))


def _is_integer(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def check_index(shape: tuple[int, ...], where: tuple[Any, ...], look: bool) -> None:
    """IndexError where a part of the index lies outside its axis, or there are too many parts.

    look  also at the values of index arrays; on a GPU that would wait, and they wrap around there
    """
    if sum(item is Ellipsis for item in where) > 1:
        raise IndexError("index: '...' can stand only once in an index")
    used = sum(_axes_used(item) for item in where)
    if used > len(shape):
        raise IndexError(f"index: {used} indices for a tensor of {len(shape)} axes, shape {shape}")
    lengths = [item.shape for item in where if _is_integer_array(item)]
    try:
        np.broadcast_shapes(*lengths)
    except ValueError:
        listed = " and ".join(map(str, lengths))
        raise IndexError(f"index: index tensors of shapes {listed} do not fit together") from None
    axis = 0
    for item in where:
        if item is Ellipsis:
            axis += len(shape) - used
            continue
        if look or not _is_integer_array(item):
            _check_item(shape, axis, item)
        axis += _axes_used(item)


def _axes_used(item: Any) -> int:
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if hasattr(item, "dtype") and item.dtype.kind == "b":
        return item.ndim
    return 1


def _check_item(shape: tuple[int, ...], axis: int, item: Any) -> None:
    if hasattr(item, "dtype") and item.dtype.kind == "b":
        if item.shape != shape[axis : axis + item.ndim]:
            raise IndexError(
                f"index: a mask of shape {item.shape} does not fit axes {axis} to "
                f"{axis + item.ndim - 1} of a tensor of shape {shape}"
            )
        return
    if item is None or isinstance(item, slice | bool):
        return
    n = shape[axis]
    if hasattr(item, "dtype"):
        if item.size == 0:
            return
        low, high = int(item.min()), int(item.max())
    else:
        low = high = int(item)
    if low < -n or high >= n:
        bad = low if low < -n else high
        raise IndexError(f"index: {bad} is out of range for axis {axis} of length {n}")
