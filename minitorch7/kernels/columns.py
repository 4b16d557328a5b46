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
Of the plain form's time (``textbook.py``), a 3×3 convolution forward takes 0.40 this way and 0.74
by `Taps`, for 8 channels, 14×14 pixels and a batch of 128; 0.68 and 0.96 for 16 channels at 7×7;
0.57 and 0.75 for 32 at 4×4. From 256 channels on all three are alike on one thread: there the
product is all that counts (``python benchmarks/kernels.py --match conv``, an AMD EPYC). There is
one product a row, which pays while the rows are long: ow·N of `LONG_ROW` and more.

`Picture` copies nothing: a 1×1 window that visits every place sees the picture as it is.

Each lays out a few output rows at a time, about `BLOCK_BYTES` of columns, in memory that is used
again and again, so that they are still in the processor's cache when the product reads them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import cuda, threads, windows
from .windows import Window, reach

BLOCK_BYTES = 1024 * 1024  # of columns at a time: within a second-level cache
ROOM_BYTES = 4 * 1024 * 1024  # of laid rows kept, so that the next block finds those it shares
SKEW = 16  # elements between rows that would otherwise lie a power of two apart
LONG_ROW = 96  # elements of an output row from which one product a row pays
PART = 512 * 1024  # elements of columns worth handing to another thread
FEWEST_COLUMNS = 512  # of a block of `Taps`: fewer make a slow product


def im2col(
    xp: Any, x: Any, window: Window, rows: range | None = None, ow: int | None = None
) -> Any:
    """As ``windows.im2col``; on a GPU in one launch."""
    if cuda.takes(xp, x):
        return cuda.columns.im2col(xp, x, window, rows, ow)
    return windows.im2col(xp, x, window, rows, ow)


def col2im(xp: Any, col: Any, window: Window, rows: range, onto: Any) -> None:
    """As ``windows.col2im``; on a GPU in one launch."""
    if cuda.takes(xp, col, onto):
        cuda.columns.col2im(xp, col, window, rows, onto)
    else:
        windows.col2im(xp, col, window, rows, onto)


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

    def blocks(self, rows: range) -> Iterator[tuple[range, Any]]:
        """Some of the output's rows, a few at a time: (rows, their columns (S, K, n)).

        The columns hold until the next are asked for, which take their memory.
        """
        raise NotImplementedError

    def places(self, y: Any, rows: range) -> Any:
        """Of y (O, oh, ow, N), the view (S, O, n) of the places that these rows hold."""
        part = y[:, rows.start : rows.stop]
        return part.reshape(1, y.shape[0], -1)

    def room(self, rows: range) -> int:
        """How many elements the columns of these output rows are laid out in."""
        return 0

    def most_parts(self) -> int:
        """Into how many parts the output's rows may be cut: none with too few columns."""
        return max(1, self.oh * self.ow * self.x.shape[3] // FEWEST_COLUMNS)


class Picture(Layout):
    """For a 1×1 window that visits every place: the picture's own memory."""

    def blocks(self, rows):
        yield rows, self.places(self.x, rows)


class Taps(Layout):
    """im2col: all taps of each window, (C, kh, kw, rows, ow, N), as one matrix (1, K, n)."""

    def blocks(self, rows):
        n = self.ow * self.x.shape[3]
        for block in threads.steps(rows, self._step(n)):
            yield block, self._lay(block).reshape(1, self.depth, len(block) * n)

    def _step(self, n: int) -> int:
        return rows_at_a_time(self.xp, self.depth * self.x.itemsize, self.oh, n)

    def room(self, rows):
        n = self.ow * self.x.shape[3]
        return min(self._step(n), len(rows)) * n * self.depth

    def _lay(self, rows: range) -> Any:
        """im2col of some output rows, the channels shared among threads."""
        if self.xp is not np:
            return im2col(self.xp, self.x, self.window, rows, self.ow)
        shape = (len(self.x), *self.window.kernel, len(rows), self.ow, self.x.shape[3])
        col = threads.workspace(math.prod(shape), self.x.dtype).reshape(shape)
        parts = threads.cut(len(self.x), 1 + col.size // PART)

        def channels(i: int) -> None:
            part = slice(parts[i].start, parts[i].stop)
            windows.im2col(np, self.x[part], self.window, rows, self.ow, col[part].reshape(-1))

        threads.share(channels, len(parts))
        return col


class SharedRows(Layout):
    """Picture rows laid out once each, and seen by the kh output rows that read them.

    Rows are counted here from the first row of padding: output row i reads i·s … i·s + kh − 1.
    """

    def matrix(self, w):
        return w.transpose(0, 2, 3, 1).reshape(w.shape[0], -1)  # (O, kh·kw·C)

    def weights(self, matrix):
        kh, kw = self.window.kernel
        return matrix.reshape(-1, kh, kw, self.x.shape[0]).transpose(0, 3, 1, 2)

    def blocks(self, rows):
        (kh, kw), stride, dtype = self.window.kernel, self.window.stride[0], self.x.dtype
        n = self.ow * self.x.shape[3]
        apart, row, step, room = self._sizes(rows)
        memory = threads.workspace(room * row, dtype)
        laid = memory.reshape(room, kw, self.x.shape[0], apart)[..., :n]
        laid = laid.reshape(room, kw, self.x.shape[0], self.ow, self.x.shape[3])
        strides = tuple(dtype.itemsize * s for s in (stride * row, apart, 1))
        begin = end = rows.start * stride  # the memory holds rows begin … end − 1
        for block in threads.steps(rows, step):
            first, last = block.start * stride, (block.stop - 1) * stride + kh
            if last - begin > room:
                begin = end = first  # no room behind: from the top of the memory again
            self._lay(laid[end - begin : last - begin], end)
            end = last
            offset = (first - begin) * row * dtype.itemsize
            shape = (len(block), self.depth, n)
            yield block, np.ndarray(shape, dtype, memory, offset, strides)

    def _sizes(self, rows: range) -> tuple[int, int, int, int]:
        """(elements from one line of a column matrix to the next, elements of one laid row,
        output rows at a time, laid rows that there is room for)"""
        (kh, kw), stride = self.window.kernel, self.window.stride[0]
        n = self.ow * self.x.shape[3]
        apart = n + SKEW if n % 256 == 0 else n
        row = kw * self.x.shape[0] * apart
        row_bytes = row * self.x.itemsize
        step = max(1, (BLOCK_BYTES // row_bytes - kh) // stride + 1)
        room = max(kh + (step - 1) * stride, ROOM_BYTES // row_bytes)
        return apart, row, step, min(room, kh + (len(rows) - 1) * stride)

    def room(self, rows):
        _, row, _, room = self._sizes(rows)
        return room * row

    def _lay(self, laid: Any, first: int) -> None:
        """Fill laid (rows, kw, C, ow, N) with the rows from `first` on."""
        height, top = self.x.shape[1], first - self.window.padding[0]  # top: the picture's row
        above = min(max(-top, 0), len(laid))
        inside = slice(above, max(above, min(height - top, len(laid))))
        if above > 0:
            laid[:above] = 0
        if inside.stop < len(laid):
            laid[inside.stop :] = 0
        lines = self.x.transpose(1, 0, 2, 3)[top + inside.start : top + inside.stop]
        for v, (places, read, edges) in enumerate(across(self.window, self.x.shape[2], self.ow)):
            laid[inside, v, :, places] = lines[:, :, read]  # (rows, C, columns, N)
            for edge in edges:
                laid[inside, v, :, edge] = 0

    def places(self, y, rows):
        part = y[:, rows.start : rows.stop]
        return part.reshape(y.shape[0], len(rows), -1).transpose(1, 0, 2)

    def most_parts(self):
        return max(1, self.oh)


def layout(xp: Any, x: Any, window: Window, oh: int, ow: int) -> Layout:
    """The layout that is fastest for this convolution of x (C, H, W, N)."""
    kind: type[Layout] = Taps
    if window.kernel == (1, 1) and window.padding == (0, 0) and (oh, ow) == x.shape[1:3]:
        kind = Picture if window.stride == (1, 1) else Taps
    elif xp is np and window.dilation[0] == 1 and window.kernel[0] >= window.stride[0]:
        kind = SharedRows if ow * x.shape[3] >= LONG_ROW else Taps
    return kind(xp, x, window, oh, ow)


def rows_at_a_time(xp: Any, column_bytes: int, rows: int, n: int) -> int:
    """How many output rows, of n columns each, are laid out together by im2col."""
    if xp is not np:
        return max(1, rows)  # one block: fewer, larger launches
    fewest = -(-FEWEST_COLUMNS // max(1, n))
    return max(1, fewest, BLOCK_BYTES // max(1, n * column_bytes))


@functools.lru_cache(1024)  # a training step asks for the same few again and again
def across(window: Window, width: int, ow: int) -> list[tuple[slice, slice, list[slice]]]:
    """For each tap across: the output columns that read inside the picture, the picture's columns
    that they read, and the output columns at the edges, which see padding."""
    found = []
    stride, padding, dilation = window.stride[1], window.padding[1], window.dilation[1]
    for v in range(window.kernel[1]):
        places, read = reach(width, v, stride, padding, dilation, range(ow))
        edges = [slice(0, places.start), slice(places.stop, ow)]
        found.append((places, read, [e for e in edges if e.start < e.stop]))
    return found
