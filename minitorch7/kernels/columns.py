"""Three ways to lay a picture's windows out as the columns of a matrix.

A convolution is the product of a matrix of weights with a matrix whose columns are the windows
(see ``convolution.py``). How those columns come to lie in memory decides its speed on a processor:

`Taps` is the textbook's im2col: every element is copied once for each tap that sees it, nine times
for a 3×3 kernel. It does for every convolution.

`SharedRows` copies only three times. Output row i reads the picture's rows i·s … i·s + kh − 1. Lay
each picture row out once, as its windows' kw taps across, one row after the other:

    laid[r, v, c, j·n] = x[c, first + r, j·s + v·d − p, n]            (rows, kw, C, ow·N)

The kh rows that output row i needs lie one after the other, so they *are* its column matrix, of
shape (kh·kw·C, ow·N), already; the next output row's begins s rows further on, in the same memory.
A 3×3 convolution's forward pass with its product took 0.35 ms this way, 0.66 ms by `Taps`, for 8
channels, 14×14 pixels and a batch of 128; 0.30 and 0.47 ms for 16 channels at 7×7; 0.37 and 0.66 ms
for 32 at 4×4 (one core, least of 200). There is one product a row, which pays while the rows are
long: ow·N of `LONG_ROW` and more.

`Picture` copies nothing: a 1×1 window that visits every place sees the picture as it is.

Each lays out a few output rows at a time, about `BLOCK_BYTES`, in the same memory again and again,
so that the columns are still in the processor's cache when the product reads them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import threads
from .windows import Window, im2col, reach

BLOCK_BYTES = 2 * 1024 * 1024
LONG_ROW = 96  # elements of an output row from which one product a row pays
FEWEST_COLUMNS = 512  # of a block of `Taps`: fewer make a slow product


class Layout:
    """How one convolution's columns lie in memory. K = C·kh·kw; S products of n columns each.

    xp, x    the array library, and the picture (C, H, W, N)
    window   what slides over it
    oh, ow   how many places it visits: rows and columns of the output
    """

    def __init__(self, xp: Any, x: Any, window: Window, oh: int, ow: int) -> None:
        self.xp, self.x, self.window, self.oh, self.ow = xp, x, window, oh, ow
        self.depth = x.shape[0] * window.kernel[0] * window.kernel[1]  # K

    def matrix(self, w: Any) -> Any:
        """Weights (O, C, kh, kw) → (O, K), in the order of the columns' elements."""
        return w.reshape(w.shape[0], -1)

    def weights(self, matrix: Any) -> Any:
        """(O, K) → (O, C, kh, kw): `matrix` undone."""
        return matrix.reshape(-1, self.x.shape[0], *self.window.kernel)

    def columns(self, rows: range) -> Any:
        """The columns (S, K, n) of some output rows; the next call may use the same memory."""
        raise NotImplementedError

    def places(self, y: Any, rows: range) -> Any:
        """Of y (O, oh, ow, N), the view (S, O, n) of the places that `columns(rows)` belong to."""
        part = y[:, rows.start : rows.stop]
        return part.reshape(1, y.shape[0], -1)

    def blocks(self, rows: range) -> Iterator[range]:
        """`rows` in pieces whose columns are laid out together."""
        return threads.steps(rows, self.rows_per_block())

    def rows_per_block(self) -> int:
        """How many output rows are laid out together."""
        return max(1, self.oh)

    def row_bytes(self) -> int:
        """Bytes of the columns of one output row."""
        return max(1, self.depth * self.ow * self.x.shape[3] * self.x.itemsize)

    def most_parts(self) -> int:
        """Into how many parts the output's rows may be cut: none with too few columns."""
        return max(1, self.oh * self.ow * self.x.shape[3] // FEWEST_COLUMNS)


class Picture(Layout):
    """For a 1×1 window that visits every place: the picture's own memory."""

    def columns(self, rows):
        return self.places(self.x, rows)


class Taps(Layout):
    """im2col: all taps of each window, (C, kh, kw, rows, ow, N), as one matrix (1, K, n)."""

    def columns(self, rows):
        n = len(rows) * self.ow * self.x.shape[3]
        memory = threads.workspace(self.depth * n, self.x.dtype) if self.xp is np else None
        col = im2col(self.xp, self.x, self.window, rows, self.ow, memory)
        return col.reshape(1, self.depth, n)

    def rows_per_block(self):
        if self.xp is not np:
            return max(1, self.oh)  # one block: fewer, larger launches
        fewest = -(-FEWEST_COLUMNS // max(1, self.ow * self.x.shape[3]))
        return max(1, fewest, BLOCK_BYTES // self.row_bytes())


class SharedRows(Layout):
    """Picture rows laid out once each, and seen by the kh output rows that read them."""

    def matrix(self, w):
        return w.transpose(0, 2, 3, 1).reshape(w.shape[0], -1)  # (O, kh·kw·C)

    def weights(self, matrix):
        kh, kw = self.window.kernel
        return matrix.reshape(-1, kh, kw, self.x.shape[0]).transpose(0, 3, 1, 2)

    def columns(self, rows):
        x, window, ow = self.x, self.window, self.ow
        channels, height, width, batch = x.shape
        count, inside, source, taps = _plan(window, (height, width), rows, ow)
        n = ow * batch
        row = window.kernel[1] * channels * n  # elements of one laid row
        memory = threads.workspace(count * row, x.dtype)
        laid = memory.reshape(count, window.kernel[1], channels, ow, batch)
        if inside.start > 0:
            laid[: inside.start] = 0
        if inside.stop < count:
            laid[inside.stop :] = 0
        lines = x.transpose(1, 0, 2, 3)[source]  # (rows, C, W, N)
        for v, places, read, outside in taps:
            laid[inside, v, :, places] = lines[:, :, read]
            for edge in outside:
                laid[inside, v, :, edge] = 0
        size = x.itemsize
        strides = (window.stride[0] * row * size, n * size, size)
        return np.ndarray((len(rows), self.depth, n), x.dtype, memory, strides=strides)

    def places(self, y, rows):
        part = y[:, rows.start : rows.stop]
        return part.reshape(y.shape[0], len(rows), -1).transpose(1, 0, 2)

    def most_parts(self):
        return max(1, self.oh)

    def rows_per_block(self):
        kh, stride = self.window.kernel[0], self.window.stride[0]
        laid = BLOCK_BYTES // max(1, self.row_bytes() // kh)  # picture rows that fit
        return max(1, (laid - kh) // stride + 1)


def layout(xp: Any, x: Any, window: Window, oh: int, ow: int) -> Layout:
    """The layout that is fastest for this convolution of x (C, H, W, N)."""
    kind: type[Layout] = Taps
    if window.kernel == (1, 1) and window.padding == (0, 0) and (oh, ow) == x.shape[1:3]:
        kind = Picture if window.stride == (1, 1) else Taps
    elif xp is np and window.dilation[0] == 1 and window.kernel[0] >= window.stride[0]:
        kind = SharedRows if ow * x.shape[3] >= LONG_ROW else Taps
    return kind(xp, x, window, oh, ow)


@functools.lru_cache(4096)  # a training step asks for the same few dozen again and again
def _plan(window: Window, size: tuple[int, int], rows: range, ow: int) -> tuple[Any, ...]:
    """What `SharedRows` lays out where, for some output rows of a picture of this size.

    (number of laid rows, those inside the picture, the picture rows they show,
    and for each tap across: (v, the output columns it fills, the picture columns it reads, the
    output columns at the edges that see padding))
    """
    height, width = size
    stride, kh = window.stride[0], window.kernel[0]
    first = rows.start * stride - window.padding[0]  # the picture row of the first laid row
    count = (len(rows) - 1) * stride + kh
    top = min(max(-first, 0), count)
    bottom = max(top, min(height - first, count))
    taps = []
    for v in range(window.kernel[1]):
        across = (window.stride[1], window.padding[1], window.dilation[1])
        places, read = reach(width, v, *across, range(ow))
        edges = [slice(0, places.start), slice(places.stop, ow)]
        taps.append((v, places, read, [e for e in edges if e.start < e.stop]))
    return count, slice(top, bottom), slice(first + top, first + bottom), taps
