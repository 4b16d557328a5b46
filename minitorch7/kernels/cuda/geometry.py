"""`window.cuh`'s struct Geometry: a picture's sizes and the window that slides over it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..windows import Window
from . import load

_FIELDS = "channels height width batch rows columns kh kw sh sw ph pw dh dw".split()
_LAYOUT = np.dtype([(name, np.int32) for name in _FIELDS])


@functools.lru_cache(4096)  # a training step asks for the same few again and again
def geometry(picture: tuple[int, ...], places: tuple[int, int], window: Window) -> Any:
    """For x (C, H, W, N) and (rows, columns) of places; an array of one element, passed by value.

    ValueError where one channel has more elements than an index can count.
    """
    height, width, batch = picture[1:]
    for rows, columns in ((height, width), places):
        load.check_count(rows * columns * batch)
    numbers = (*picture, *places, *(n for pair in window for n in pair))
    return np.array(numbers, dtype=_LAYOUT)
