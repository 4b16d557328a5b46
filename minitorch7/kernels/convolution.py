"""Convolution and its two gradients as matrix products, by im2col.

A convolution multiplies every window of the picture with the same weights and adds up:

    y[o, i, j] = Σ_{c,u,v} w[o, c, u, v] · x[c, i·s + u·d − p, j·s + v·d − p]

Lay each window out as a column (`im2col`) and that is one product of two matrices,
``w (O, C·kh·kw) @ col (C·kh·kw, oh·ow·N)``. Both gradients are products too:

    dcol = wᵀ @ dy, added back onto the picture by `col2im`         (the input's gradient)
    dw   = dy @ colᵀ                                               (the weight's gradient)

What makes it fast on a processor:

* memory is batch-last (see ``windows.py``), so the product's result is the next layer's input;
* the products are cut so that OpenBLAS runs them at full speed (see ``products.py``);
* columns are laid out for a few output rows at a time, about `BLOCK_BYTES`, in one piece of memory
  that is used again, so that they are still in the cache when the product reads them;
* at stride 1 the input's gradient is itself a convolution, of dy with the weights turned by 180°,
  and the columns of dy that it needs serve the weight's gradient as well: one im2col for both, and
  no adding back.

On CuPy there is one block: fewer, larger launches. `windows.im2col` and `windows.col2im` without
blocks are the readable form; ``tests/reference/convolution.py`` has the seven loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .products import product, transposed_product
from .windows import Window, batch_first, batch_last, col2im, im2col

BLOCK_BYTES = 1024 * 1024  # about a second-level cache


def conv2d(
    xp: Any,
    x: Any,
    w: Any,
    bias: Any,
    window: Window,
    groups: int,
    places: tuple[int, int] | None = None,
) -> Any:
    """x (N, C, H, W), w (O, C/groups, kh, kw), bias (O,) or None → y (N, O, oh, ow).

    places  (oh, ow); as many as fit by default. Fewer, or more (which see only padding), come up
            in the gradients of a transposed convolution with output_padding.
    """
    x = batch_last(xp, x)
    batch = x.shape[3]
    oh, ow = window.output_size(x.shape[1:3]) if places is None else places
    weights = w.reshape(groups, w.shape[0] // groups, -1)  # (G, O/G, C/G·kh·kw)
    y = xp.empty((w.shape[0], oh, ow, batch), dtype=x.dtype)
    by_group = y.reshape(groups, weights.shape[1], -1)
    for rows, memory in _row_blocks(xp, x, window, oh, ow):
        col = _columns(xp, x, window, rows, ow, memory).reshape(groups, weights.shape[2], -1)
        part = by_group[:, :, rows.start * ow * batch : rows.stop * ow * batch]
        product(xp, weights, col, part)
        if bias is not None:
            part += bias.reshape(groups, -1, 1)
    return batch_first(y)


def conv2d_input_grad(
    xp: Any, g: Any, w: Any, size: tuple[int, int], window: Window, groups: int
) -> Any:
    """dy (N, O, oh, ow), w (O, C/groups, kh, kw) → dx (N, C, *size): a transposed convolution."""
    turned = _turned_window(window)
    if turned is not None:
        return conv2d(xp, g, _turned_weights(w, groups), None, turned, groups, size)
    g = batch_last(xp, g)
    outputs, oh, ow, batch = g.shape
    weights = w.reshape(groups, outputs // groups, -1)
    dx = xp.zeros((w.shape[1] * groups, *size, batch), dtype=g.dtype)
    by_group = g.reshape(groups, outputs // groups, -1)
    for rows, memory in _row_blocks(xp, dx, window, oh, ow):
        part = by_group[:, :, rows.start * ow * batch : rows.stop * ow * batch]
        shape = (dx.shape[0], *window.kernel, len(rows), ow, batch)
        dcol = _workspace(xp, memory, shape, g.dtype)
        product(xp, weights.transpose(0, 2, 1), part, dcol.reshape(groups, weights.shape[2], -1))
        col2im(xp, dcol, window, rows, dx)
    return batch_first(dx)


def conv2d_weight_grad(xp: Any, x: Any, g: Any, window: Window, groups: int) -> Any:
    """x (N, C, H, W), dy (N, O, oh, ow) → dw (O, C/groups, kh, kw)."""
    x, g = batch_last(xp, x), batch_last(xp, g)
    channels, batch = x.shape[0], x.shape[3]
    outputs, oh, ow, _ = g.shape
    by_group = g.reshape(groups, outputs // groups, -1)
    taps = channels // groups * window.kernel[0] * window.kernel[1]
    dw = xp.zeros((groups, outputs // groups, taps), dtype=x.dtype)
    for rows, memory in _row_blocks(xp, x, window, oh, ow):
        col = _columns(xp, x, window, rows, ow, memory).reshape(groups, taps, -1)
        part = by_group[:, :, rows.start * ow * batch : rows.stop * ow * batch]
        dw += transposed_product(xp, part, col)
    return dw.reshape(outputs, channels // groups, *window.kernel)


def conv2d_grads(xp: Any, g: Any, x: Any, w: Any, window: Window, groups: int) -> tuple[Any, Any]:
    """Both gradients, (dx, dw); at stride 1 from one set of columns of dy.

    With q = d(k−1) − p, the columns of dy hold col[o, u', v', r, c] = dy[o, r + u'd − q, …]. The
    output place i = r + u'd − q is the one that saw picture row r through tap u = k−1−u'. So

        dx[c, r, …] = Σ w[o, c, k−1−u', …] · col[o, u', …, r, …]
        dw[o, c, k−1−u', …] = Σ x[c, r, …] · col[o, u', …, r, …]
    """
    turned = _turned_window(window)
    size = x.shape[2:]
    if turned is None:
        return (
            conv2d_input_grad(xp, g, w, size, window, groups),
            conv2d_weight_grad(xp, x, g, window, groups),
        )
    x, g = batch_last(xp, x), batch_last(xp, g)
    channels, height, width, batch = x.shape
    outputs = g.shape[0]
    weights = _turned_weights(w, groups).reshape(groups, channels // groups, -1)
    dx = xp.empty(x.shape, dtype=x.dtype)
    dw = xp.zeros(weights.shape, dtype=x.dtype)
    x_groups = x.reshape(groups, channels // groups, -1)
    dx_groups = dx.reshape(x_groups.shape)
    for rows, memory in _row_blocks(xp, g, turned, height, width):
        col = _columns(xp, g, turned, rows, width, memory).reshape(groups, weights.shape[2], -1)
        part = slice(rows.start * width * batch, rows.stop * width * batch)
        product(xp, weights, col, dx_groups[:, :, part])
        dw += transposed_product(xp, x_groups[:, :, part], col)
    dw = dw.reshape(channels, outputs // groups, *window.kernel)
    return batch_first(dx), xp.ascontiguousarray(_turned_weights(dw, groups))


# ---------------------------------------------------------------------------------------- pieces


def _turned_window(window: Window) -> Window | None:
    """The window of the convolution that is the input's gradient; None at a stride above 1."""
    padding = tuple(
        d * (k - 1) - p
        for k, p, d in zip(window.kernel, window.padding, window.dilation, strict=True)
    )
    if window.stride != (1, 1) or min(padding) < 0:
        return None
    return window._replace(padding=padding)


def _turned_weights(w: Any, groups: int) -> Any:
    """(O, C/G, kh, kw) → (C, O/G, kh, kw), the taps turned by 180°; applied twice it is undone."""
    outputs, inputs, kh, kw = w.shape
    turned = w.reshape(groups, outputs // groups, inputs, kh, kw)[..., ::-1, ::-1]
    return turned.transpose(0, 2, 1, 3, 4).reshape(groups * inputs, outputs // groups, kh, kw)


def _row_blocks(xp: Any, x: Any, window: Window, oh: int, ow: int) -> Iterator[tuple[range, Any]]:
    """(output rows, memory for their columns), a block at a time; on CuPy all rows in one block."""
    row_bytes = x.shape[0] * window.kernel[0] * window.kernel[1] * ow * x.shape[3] * x.itemsize
    if xp is not np or row_bytes * oh <= BLOCK_BYTES or not row_bytes:
        if oh > 0:
            yield range(oh), None
        return
    step = max(1, BLOCK_BYTES // row_bytes)
    memory = xp.empty(step * row_bytes // x.itemsize, dtype=x.dtype)
    for start in range(0, oh, step):
        yield range(start, min(start + step, oh)), memory


def _is_pointwise(window: Window) -> bool:
    """Whether the columns are the picture itself: a 1×1 window that visits every place."""
    return window.kernel == (1, 1) and window.stride == (1, 1) and window.padding == (0, 0)


def _columns(xp: Any, x: Any, window: Window, rows: range, ow: int, memory: Any) -> Any:
    """im2col, but for a 1×1 convolution the picture's own rows."""
    if _is_pointwise(window) and ow == x.shape[2] and rows.stop <= x.shape[1]:
        return x if len(rows) == x.shape[1] else xp.ascontiguousarray(x[:, rows.start : rows.stop])
    return im2col(xp, x, window, rows, ow, memory)


def _workspace(xp: Any, memory: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if memory is None:
        return xp.empty(shape, dtype=dtype)
    n = 1
    for length in shape:
        n *= length
    return memory[:n].reshape(shape)
