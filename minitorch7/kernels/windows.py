"""Sliding windows over pictures: the arithmetic that convolution and pooling share.

A window of kh×kw *taps* slides over a picture. Tap (u, v) of the window at output place (i, j)
lies on picture row i·stride + u·dilation − padding, and likewise for columns. So for one tap, all
windows together read a regular grid of the picture: one strided slice. Every kernel here loops over
the few taps and lets the array library do the many places.

**Batch-last memory.** A tensor's shape is (N, C, H, W), but these kernels keep it in memory as
(C, H, W, N), and hand out views with the axes in PyTorch's order. Then im2col copies runs of
neighbouring numbers (at stride 1 whole rows of ow·N of them), the whole batch is one matrix
product, and that product's result lies in memory as the next layer wants it. Elementwise
operations keep the order by themselves.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple


class Window(NamedTuple):
    """How a window of taps slides: each field is (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many places the window has on a picture: ⌊(n + 2p − d(k−1) − 1)/s⌋ + 1 each way.

        (Dumoulin & Visin 2016, relationship 6.) Zero or less where the window does not fit.
        """
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = self
        return (
            (size[0] + 2 * ph - dh * (kh - 1) - 1) // sh + 1,
            (size[1] + 2 * pw - dw * (kw - 1) - 1) // sw + 1,
        )

    def taps(self) -> list[tuple[int, int]]:
        """All (u, v), row by row."""
        return [(u, v) for u in range(self.kernel[0]) for v in range(self.kernel[1])]


def batch_last(xp: Any, x: Any) -> Any:
    """(N, C, H, W) → the same numbers as a contiguous (C, H, W, N); no copy if it lies so."""
    last = x.transpose(*range(1, x.ndim), 0)
    return last if last.flags.c_contiguous else xp.ascontiguousarray(last)


def batch_first(x: Any) -> Any:
    """(C, H, W, N) → its (N, C, H, W) view."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


class Reach(NamedTuple):
    """Along one axis, the output places whose tap lies inside the picture, and where they read."""

    places: slice  # of the output, counted from the block's first place
    source: slice  # of the picture


def reach(n: int, tap: int, stride: int, padding: int, dilation: int, places: range) -> Reach:
    """Which of the output `places` read inside a picture of length n through one tap."""
    shift = tap * dilation - padding  # place i reads picture index i·stride + shift
    first = max(places.start, -(shift // stride))  # least i with i·stride + shift ≥ 0
    last = min(places.stop, (n - 1 - shift) // stride + 1)
    if last <= first:
        return Reach(slice(0, 0), slice(0, 0))
    start = first * stride + shift
    return Reach(
        slice(first - places.start, last - places.start),
        slice(start, start + (last - first - 1) * stride + 1, stride),
    )


@functools.lru_cache(4096)  # a training step asks for the same few hundred again and again
def tap_slices(
    window: Window, size: tuple[int, int], tap: tuple[int, int], rows: range, columns: range
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """((places), (sources)), each (rows, columns), for one tap of a block of output rows."""
    down, across = (
        reach(n, t, s, p, d, places)
        for n, t, s, p, d, places in zip(
            size,
            tap,
            window.stride,
            window.padding,
            window.dilation,
            (rows, columns),
            strict=True,
        )
    )
    return (down.places, across.places), (down.source, across.source)


def im2col(
    xp: Any,
    x: Any,
    window: Window,
    rows: range | None = None,
    ow: int | None = None,
    out: Any = None,
) -> Any:
    """Lay the windows' contents out as columns:  (C, H, W, N) → (C, kh, kw, rows, ow, N).

    col[c, u, v, i, j, n] = x[c, i·s + u·d − p, j·s + v·d − p, n], and 0 outside the picture.
    Flattened to (C·kh·kw, rows·ow·N), each column is what one window saw.

    rows  the output rows to lay out; all of them by default
    ow    how many output columns; as many as fit by default
    out   memory to use, at least as large as the result
    """
    channels, *size, batch = x.shape
    fitting = window.output_size(tuple(size))
    rows = range(fitting[0]) if rows is None else rows
    ow = fitting[1] if ow is None else ow
    shape = (channels, *window.kernel, len(rows), ow, batch)
    col = xp.empty(shape, dtype=x.dtype) if out is None else out[: _count(shape)].reshape(shape)
    for u, v in window.taps():
        (i, j), (r, c) = tap_slices(window, tuple(size), (u, v), rows, range(ow))
        block = col[:, u, v]
        _zero_outside(block, i, j)
        if i.stop and j.stop:
            block[:, i, j] = x[:, r, c]
    return col


def _zero_outside(block: Any, i: slice, j: slice) -> None:
    """Zero the places (rows, columns) of a tap that lie outside the picture."""
    if i.start > 0:
        block[:, : i.start] = 0
    if i.stop < block.shape[1]:
        block[:, i.stop :] = 0
    if j.start > 0:
        block[:, i, : j.start] = 0
    if j.stop < block.shape[2]:
        block[:, i, j.stop :] = 0


def col2im(xp: Any, col: Any, window: Window, rows: range, onto: Any) -> None:
    """Add columns back to where `im2col` read them: its adjoint. `onto` (C, H, W, N) is changed.

    A picture element that several windows saw receives the sum; what lay outside is dropped.
    """
    size = onto.shape[1:3]
    for u, v in window.taps():
        (i, j), (r, c) = tap_slices(window, size, (u, v), rows, range(col.shape[4]))
        if i.stop and j.stop:
            onto[:, r, c] += col[:, u, v, i, j]


def _count(shape: tuple[int, ...]) -> int:
    n = 1
    for length in shape:
        n *= length
    return n
