"""Indexing as CuPy does it: wrapped indices, no winner among duplicates, masks that wait.

Works on NumPy arrays; ``array.py`` unwraps and wraps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .tally import tally

# Who wins where an assignment names one place twice is anyone's guess on a device; drawn here.
_draw = np.random.default_rng(7)

_BASIC = frozenset((int, slice, type(None), type(Ellipsis)))
_ATOMIC = {  # dtypes that both versions of CuPy can update in place, by the ufunc
    np.add: frozenset(("int32", "uint32", "uint64", "float16", "float32", "float64")),
    np.subtract: frozenset(("int32", "uint32")),
    np.maximum: frozenset(("int32", "uint32", "uint64", "float32", "float64")),
    np.minimum: frozenset(("int32", "uint32", "uint64", "float32", "float64")),
}


class OnHost:
    """An item of an index that is not an array of the device: a slice, a number, a list."""

    __slots__ = ("item",)

    def __init__(self, item: Any) -> None:
        self.item = item


def is_basic(key: Any) -> bool:
    """Whether `key` is only integers, slices, None and Ellipsis, which CuPy answers by a view."""
    if type(key) is tuple:
        return all(type(item) in _BASIC or isinstance(item, np.integer) for item in key)
    return type(key) in _BASIC or isinstance(key, np.integer)


def as_view_key(key: Any) -> Any:
    """`key` so that NumPy answers with a 0-d view, not a scalar, where every axis is indexed."""
    items = key if type(key) is tuple else (key,)
    return items if any(item is Ellipsis for item in items) else (*items, Ellipsis)


def advanced(shape: tuple[int, ...], items: list[Any]) -> tuple[Any, ...]:
    """`items` as NumPy's index into an array of `shape`, integers wrapped into range as in CuPy.

    Lists and NumPy arrays among them are copied to the device; each mask makes the host wait for
    the number of its true elements.
    """
    items = [_as_array(item.item) if isinstance(item, OnHost) else item for item in items]
    for item in items:
        if isinstance(item, np.ndarray) and item.dtype.kind not in "biu":
            raise IndexError(
                "arrays used as indices must be of integer or boolean type. "
                f"(actual: {item.dtype.type})"
            )
    missing = len(shape) - sum(_axes_of(item) for item in items)
    if missing < 0:
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional")
    key, axis = [], 0
    for item in items:
        if isinstance(item, np.ndarray):
            item = _in_range(item, shape, axis)
        key.append(item)
        axis += missing if item is Ellipsis else _axes_of(item)
    return tuple(key)


def _as_array(item: Any) -> Any:
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        return item
    array = np.asarray(item)
    if array.size == 0 and isinstance(item, list | tuple):
        array = array.astype(np.int32)  # an empty list is no indices, not an empty mask
    if array.dtype.kind not in "biu":
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer "
            "or boolean arrays are valid indices"
        )
    tally.uploads += 1
    return array


def _axes_of(item: Any) -> int:
    """How many axes of the array one item of an index uses up."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1


def _in_range(item: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    if item.dtype == bool:
        tally.sync("indexing with a mask")
        return item
    return item % shape[axis] if shape[axis] else item


def gather(array: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    """``array[key]`` as a new array in C order, which is how CuPy lays out what it gathers."""
    result = np.asarray(array[key], order="C")
    return result.copy() if np.may_share_memory(result, array) else result


def scatter(array: np.ndarray, key: tuple[Any, ...], value: Any) -> None:
    """``array[key] = value``; among values for one place, a drawn one wins."""
    if all(not isinstance(item, np.ndarray) or item.dtype == bool for item in key):
        array[key] = value  # a mask names no place twice
        return
    places = np.arange(array.size).reshape(array.shape)[key]
    seen = np.zeros(array.size, bool)
    seen[places] = True
    if np.count_nonzero(seen) == places.size:
        array[key] = value
        return
    values = np.empty(places.shape, array.dtype)
    values[...] = value
    order = _draw.permutation(places.size)
    array.flat[places.ravel()[order]] = values.ravel()[order]


def check_atomic(ufunc: np.ufunc, dtype: np.dtype, items: list[Any]) -> None:
    """TypeError where the device has no atomic update for this dtype (masks need none)."""
    if any(isinstance(item, np.ndarray) and item.dtype == bool for item in items):
        return
    if dtype.name not in _ATOMIC.get(ufunc, ()):
        raise TypeError(f"cupy.{ufunc.__name__}.at does not support {dtype} in every version")


def reshape_in_place(array: np.ndarray, shape: Any) -> np.ndarray:
    """`array` seen in another shape; AttributeError where that needs a copy."""
    result = array.reshape(shape)
    if array.size and not np.may_share_memory(result, array):
        raise AttributeError("incompatible shape")
    return result
