"""The weight's gradient without columns: a product for each tap, on the picture where it lies.

    dw[o, c, u, v] = Σ_{i,j,n} dy[o, i, j, n] · x[c, i·s + u·d − p, j·s + v·d − p, n]

For one tap (u, v) and one output row i this is a product of two matrices that are in memory
already: dy's row, (O, ow·N), and the part of the picture's row that the tap sees, (C, ow·N), which
at stride 1 and with the batch last is one run of numbers a channel. Nothing is copied nine times,
and nothing is laid out but the picture once, with zeros around it:

    laid[c, r, f, q, n] = x[c, r − p, q·s + f − p, n]            (C, rows, s, columns, N)

The picture's columns are sorted by their remainder f when divided by the stride, so that at stride
2, too, the places that a tap sees are neighbours. NumPy's `matmul` takes all rows and taps as one
stack of products. So this is a handful of calls, in which Python's lock is hardly ever held: the
work can go on beside another thread's (see `threads.later`), which many short calls would not let.

It pays where each product of the stack is small enough for OpenBLAS's kernel for small ones
(``products.py``) and still has a few channels: in the lesson's networks, at stride 2, where it
takes 0.8 of the time by columns (``python benchmarks/kernels.py --match "gradient by" --threads
1``). At stride 1 one set of columns serves both gradients, and that is as fast.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import threads
from .products import SMALL
from .windows import Window, reach

FEWEST_CHANNELS = 8  # of the picture: a product with fewer is over before it is at full speed


def pay(xp: Any, g: Any, channels: int) -> bool:
    """Whether `weight_grad` is the faster way for dy (N, O, oh, ow) and so many channels of x."""
    batch, outputs, _, ow = g.shape
    product = channels * outputs * ow * batch
    return xp is np and channels >= FEWEST_CHANNELS and g.size > 0 and product <= SMALL


def weight_grad(x: Any, g: Any, window: Window) -> Any:
    """x (C, H, W, N), dy (O, oh, ow, N) → dw (O, C, kh, kw)."""
    (kh, kw), stride = window.kernel, window.stride
    outputs, oh, ow, batch = g.shape
    laid = _laid(x, window, oh, ow)
    by_channel, by_row, by_phase, by_column, by_number = laid.strides
    rows = g.reshape(outputs, oh, ow * batch).transpose(1, 0, 2)  # (oh, O, ow·N)
    dw = np.empty((outputs, len(x), kh, kw), dtype=x.dtype)
    at_once = kw if stride[1] == 1 else 1  # neighbouring taps are as far apart as their columns
    for v in range(0, kw, at_once):
        column, phase = divmod(v * window.dilation[1], stride[1])
        seen = np.ndarray(
            (kh, at_once, oh, len(x), ow * batch),
            x.dtype,
            laid,
            phase * by_phase + column * by_column,
            (
                window.dilation[0] * by_row,
                window.dilation[1] * by_column,
                stride[0] * by_row,
                by_channel,
                by_number,
            ),
        )
        sums = np.matmul(rows, seen.swapaxes(-1, -2)).sum(axis=2)  # (kh, taps, O, C)
        dw[..., v : v + at_once] = sums.transpose(2, 3, 0, 1)
    return dw


def _laid(x: Any, window: Window, oh: int, ow: int) -> Any:
    """The picture (C, H, W, N) with zeros around it, its columns sorted: see above."""
    _, height, width, _ = x.shape
    shape = laid_shape(x.shape, window, oh, ow)
    laid = threads.workspace(math.prod(shape), x.dtype).reshape(shape)
    down = reach(height, 0, 1, window.padding[0], 1, range(shape[1]))
    laid[:, : down.places.start] = 0
    laid[:, down.places.stop :] = 0
    for phase in range(window.stride[1]):
        columns = reach(width, phase, window.stride[1], window.padding[1], 1, range(shape[3]))
        inside = laid[:, down.places, phase]
        inside[:, :, : columns.places.start] = 0
        inside[:, :, columns.places.stop :] = 0
        inside[:, :, columns.places] = x[:, down.source, columns.source]
    return laid


def laid_shape(x: tuple[int, ...], window: Window, oh: int, ow: int) -> tuple[int, ...]:
    """The shape in which a picture of shape (C, H, W, N) is laid out for `weight_grad`."""
    (kh, kw), stride, _, dilation = window
    rows = (oh - 1) * stride[0] + (kh - 1) * dilation[0] + 1
    columns = ow + (kw - 1) * dilation[1] // stride[1]
    return x[0], rows, stride[1], columns, x[3]
