"""Functions that pick elements by their indices: slices, tables, one-hot.

Picking is linear: reading position i of x is one row of a matrix of noughts and ones. Its adjoint
writes: the gradient is *added* at position i, for one element may have been picked several times.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ..kernels import cuda, indexing
from ._arguments import axis_of, check_integer, check_same_backend, check_tensor


class Index(Function):
    """y = x[index];  dx = zeros with dy added at the index"""

    def __init__(self, where: Any) -> None:
        self.where = where

    def forward(self, xp, x):
        self.source = x.shape
        return x[self.where]

    def backward(self, grad):
        return IndexAdd(self.where, self.source)(grad)


class IndexAdd(Function):
    """y = zeros of a shape with g added at the index;  dg = dy[index]"""

    def __init__(self, where: Any, shape: tuple[int, ...]) -> None:
        self.where, self.shape = where, shape

    def forward(self, xp, g):
        return indexing.add_at(xp, self.shape, self.where, g)

    def backward(self, grad):
        return Index(self.where)(grad)


class IndexSelect(Function):
    """y = x's slices at the places `at` along an axis;  dx = dy's slices added back there"""

    def __init__(self, axis: int, at: Any) -> None:
        self.axis, self.at = axis, at

    def forward(self, xp, x):
        self.source = x.shape
        return xp.take(x, self.at, axis=self.axis)

    def backward(self, grad):
        where = (slice(None),) * self.axis + (self.at,)
        return IndexAdd(where, self.source)(grad)


class Gather(Function):
    """y[i, j] = x[at[i, j], j] for axis 0, and so on;  dx = dy added back there"""

    def __init__(self, axis: int, at: Any) -> None:
        self.axis, self.at = axis, at

    def forward(self, xp, x):
        self.source = x.shape
        self.where = indexing.along_axis(xp, self.at, self.axis)
        return x[self.where]

    def backward(self, grad):
        return IndexAdd(self.where, self.source)(grad)


class Embedding(Function):
    """y = the table's rows at the ids;  dtable = dy added up row by row (none for padding_idx)"""

    def __init__(self, ids: Any, padding_idx: int | None) -> None:
        self.ids, self.padding_idx = ids, padding_idx

    def forward(self, xp, table):
        self.source = table.shape
        return xp.take(table, self.ids, axis=0)

    def backward(self, grad):
        return EmbeddingGrad(self.ids, self.padding_idx, self.source)(grad)


class EmbeddingGrad(Function):
    """table[id] = Σ g over the places where id was read, 0 for padding_idx;  dg = rows of dtable"""

    def __init__(self, ids: Any, padding_idx: int | None, shape: tuple[int, ...]) -> None:
        self.ids, self.padding_idx, self.shape = ids, padding_idx, shape

    def forward(self, xp, g):
        if cuda.takes(xp, g):
            return cuda.embedding.embedding_grad(xp, g, self.ids, self.shape, self.padding_idx)
        table = indexing.add_at(xp, self.shape, (self.ids,), g)
        if self.padding_idx is not None:
            table[self.padding_idx] = 0
        return table

    def backward(self, grad):
        rows = Embedding(self.ids, self.padding_idx)(grad)
        if self.padding_idx is None:
            return rows
        xp = backend.library(grad.backend)
        kept = (self.ids != self.padding_idx)[..., None].astype(grad.dtype)
        return rows * Tensor(xp.asarray(kept))


# -------------------------------------------------------------------------------------- functions


def index(input: Tensor, where: Any) -> Tensor:
    """``input[where]``: integers, slices, None, ``...``, index tensors and masks, as in NumPy."""
    t = check_tensor("index", "input", input)
    xp = backend.library(t.backend)
    items = where if isinstance(where, tuple) else (where,)
    prepared = tuple(_index_item(xp, t, item) for item in items)
    indexing.check_index(t.shape, prepared, look=t.backend == "numpy")
    first, rest = indexing.integers_first(prepared)
    return Index(prepared)(t) if first is None else Index(rest)(Index(first)(t))


def _index_item(xp: Any, t: Tensor, item: Any) -> Any:
    """One part of an index in the form that the array library takes."""
    if isinstance(item, Tensor):
        if item.backend != t.backend:
            raise backend.BackendError(backend.mixed_message("index", (t.data, item.data)))
        item = item.data
    elif isinstance(item, list | np.ndarray):
        item = xp.asarray(_as_index_array(item))
    elif isinstance(item, np.integer):
        return int(item)
    elif isinstance(item, slice):
        return _checked_slice(item)
    elif item is None or item is Ellipsis or isinstance(item, int):
        return item
    elif not backend.is_array(item):
        raise TypeError(
            f"index: cannot index with {type(item).__name__} {item!r:.40}; use integers, slices, "
            "None, ..., or tensors of integers or bools"
        )
    if item.dtype.kind not in "iub":
        raise TypeError(f"index: index tensors must be integers or bools, got {item.dtype}")
    return item


def _as_index_array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values) if len(values) else np.zeros(0, np.int64)
    except ValueError:
        raise TypeError("index: a nested list of indices must have rows of one length") from None


def _checked_slice(item: slice) -> slice:
    parts = [p.item() if isinstance(p, Tensor) else p for p in (item.start, item.stop, item.step)]
    for part in parts:
        if part is not None:
            check_integer("index", f"each part of {item}", part)
    if parts[2] is not None and parts[2] == 0:
        raise ValueError(f"index: the step of a slice must not be 0, got {item}")
    return slice(*parts)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of `input` at the places `index` (1-D) along `dim`."""
    t = check_tensor("index_select", "input", input)
    if getattr(index, "ndim", 1) != 1:
        raise ValueError(f"index_select: index must have one axis, got shape {index.shape}")
    at = _check_ids("index_select", "index", index, t.shape[axis_of("index_select", dim, t.ndim)])
    check_same_backend("index_select", t, at)
    return IndexSelect(axis_of("index_select", dim, t.ndim), at.data)(t)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """One element for each element of `index`: y[i,j,k] = input[i, index[i,j,k], k] for dim 1.

    `index` has as many axes as `input`, and is no longer than it along any other axis than `dim`.
    """
    t = check_tensor("gather", "input", input)
    axis = axis_of("gather", dim, t.ndim)
    if t.ndim == 0:
        return gather(t.reshape(1), 0, index.reshape(1)).reshape(())
    at = _check_ids("gather", "index", index, t.shape[axis])
    longer = [i for i in range(min(t.ndim, at.ndim)) if i != axis and at.shape[i] > t.shape[i]]
    if at.ndim != t.ndim or longer:
        raise ValueError(
            f"gather: index of shape {at.shape} does not fit input of shape {t.shape} along "
            f"dim {dim}: as many axes, and no axis but dim longer than the input's"
        )
    check_same_backend("gather", t, at)
    return Gather(axis, at.data)(t)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of the table `weight` (V, D) at the ids `input` (…) → (…, D).

    The row `padding_idx` is read like any other and receives no gradient. IndexError for an id
    outside 0 … V−1 (on CuPy, where a look would wait for the device, such ids wrap around).
    """
    table = check_tensor("embedding", "weight", weight)
    if table.ndim != 2:
        raise ValueError(f"embedding: weight must be (rows, width), got shape {table.shape}")
    ids = _check_ids("embedding", "input", input, table.shape[0])
    check_same_backend("embedding", table, ids)
    if padding_idx is not None:
        padding_idx = check_integer("embedding", "padding_idx", padding_idx)
        if not -table.shape[0] <= padding_idx < table.shape[0]:
            raise IndexError(
                f"embedding: padding_idx {padding_idx} is outside the {table.shape[0]} rows"
            )
        padding_idx %= table.shape[0]
    return Embedding(ids.data, padding_idx)(table)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 tensor (…, num_classes) with a 1 at each id; −1 takes the largest id plus one."""
    t = check_tensor("one_hot", "tensor", tensor)
    if num_classes != -1:
        check_integer("one_hot", "num_classes", num_classes, 1)
    else:
        if t.numel() == 0:
            raise ValueError("one_hot: an empty tensor does not tell num_classes; give it")
        num_classes = int(t.data.max()) + 1
    ids = _check_ids("one_hot", "tensor", t, num_classes)
    xp = backend.library(t.backend)
    hot = ids.data[..., None] == xp.arange(num_classes)
    return Tensor(hot.astype("int64"))


def _check_ids(function: str, name: str, value: Any, n: int) -> Tensor:
    """`value` as an integer tensor whose elements lie in 0 … n−1 (looked at on NumPy only)."""
    ids = check_tensor(function, name, value)
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"{function}: {name} must be integers, got {ids.dtype}; convert it with .long()"
        )
    if ids.backend == "numpy" and ids.numel():
        low, high = int(ids.data.min()), int(ids.data.max())
        if low < 0 or high >= n:
            bad = low if low < 0 else high
            raise IndexError(f"{function}: {name} holds {bad}, outside 0 to {n - 1}")
    return ids
