"""What goes wrong with data: a fault in it, or none to be found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


class DataError(ValueError):
    """Data, or a request about it, that breaks a rule; the message names both and the fix."""


class DataNotFound(DataError, FileNotFoundError):
    """No data in any of the places that the message lists."""


def listed(values: Iterable[object], most: int = 8) -> str:
    """The values for a message: ``'a', 'b', 'c'``, and how many more after the first `most`."""
    shown = [repr(value) for value in values]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return (", ".join(shown[:most]) or "none") + more


def check_count(function: str, name: str, value: object, least: int = 0) -> int:
    """`value` as an int, or a DataError that says which argument must be at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(
            f"{function}: {name} must be a whole number of at least {least}, got {value!r}"
        )
    return int(value)


def check_path(function: str, name: str, value: object) -> Path:
    """`value` as a Path, or a TypeError that says which argument must be one."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(
            f"{function}: {name} must be a path, a string or pathlib.Path, got {value!r:.60}"
        )
    return Path(value)


def check_places(function: str, indices: object, n: int) -> np.ndarray:
    """`indices` of n items as whole numbers; a mask of all n names those where it is True.

    NumPy alone would cut 1.7 off to 1, and read a mask as items 0 and 1.
    """
    places = np.asarray(indices)
    if places.dtype == bool and places.shape == (n,):
        places = np.flatnonzero(places)
    if places.ndim != 1 or (places.size and places.dtype.kind not in "iu"):
        raise TypeError(
            f"{function}: indices must be a flat list of whole numbers, or a True or False for "
            f"each of the {n:,} items, got {indices!r:.60}"
        )
    if places.size and not -n <= places.min() <= places.max() < n:
        raise IndexError(f"{function}: items {indices!r:.60} of {n:,}")
    return places.astype(np.intp)
