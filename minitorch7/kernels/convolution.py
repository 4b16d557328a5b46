"""Convolution and its two gradients as matrix products, by im2col.

A convolution multiplies every window of the picture with the same weights and adds up:

    y[o, i, j] = Σ_{c,u,v} w[o, c, u, v] · x[c, i·s + u·d − p, j·s + v·d − p]

Lay each window out as a column and that is one product of two matrices, ``w (O, C·kh·kw) @
col (C·kh·kw, oh·ow·N)``. Both gradients are products too:

    dcol = wᵀ @ dy, added back onto the picture by `col2im`         (the input's gradient)
    dw   = dy @ colᵀ                                               (the weight's gradient)

What makes it fast on a processor:

* memory is batch-last (see ``windows.py``), so the product's result is the next layer's input;
* neighbouring windows share their columns' memory, and the columns are laid out and used a block at
  a time (see ``columns.py``);
* the products are cut so that OpenBLAS runs them at full speed (see ``products.py``);
* at stride 1 the input's gradient is itself a convolution, of dy with the weights turned by 180°,
  and the columns of dy that it needs serve the weight's gradient as well: one im2col for both, and
  no adding back;
* at larger strides the input's gradient comes apart into convolutions (see ``phases.py``), and the
  weight's needs no columns where products are small (see ``taps.py``);
* the output's rows are shared among threads (see ``threads.py``); where the products are large,
  another thread computes the weights' gradients while the walk backward goes on without them.

On CuPy there is one block: fewer, larger launches; or no columns at all, see `without_columns`. The
plain forms are in ``textbook.py``, and the seven loops in ``tests/reference/convolution.py``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import backend
from . import cuda, phases, taps, threads
from .columns import Layout, col2im, layout, rows_at_a_time
from .elementwise import add_
from .products import parts_of, product, transposed_product
from .windows import Window, batch_first, batch_last

SIDE_BY_SIDE = 5 * 10**6  # multiplications in each gradient, to be computed at the same time
WORTH_ASIDE = 5 * 10**7  # multiplications in a weight gradient, to be left to another thread
GRADIENT_BYTES = 16 * 1024 * 1024  # the most that the parts of one weight gradient take together
MANY_COLUMNS = 32 * 1024 * 1024  # bytes of columns from which a GPU does without
FEW_PRODUCTS = 1 << 27  # multiplications up to which it does so as well

WAY = os.environ.get("MINITORCH7_CONVOLUTION")  # "implicit", "columns", or by `without_columns`
if WAY not in (None, "implicit", "columns"):
    raise ValueError(f"MINITORCH7_CONVOLUTION={WAY}: set it to implicit or columns, or unset it")


class _Trial(threading.local):
    times = 1.0  # a trial step's batch stands for one so many times as large (profile/memory.py)


trial = _Trial()
Step = Callable[[Any], None]  # changes a part (O, rows, ow, N) of a result in place


def conv2d(
    xp: Any,
    x: Any,
    w: Any,
    bias: Any,
    window: Window,
    groups: int,
    places: tuple[int, int] | None = None,
    then: Sequence[Step] = (),
) -> Any:
    """x (N, C, H, W), w (O, C/groups, kh, kw), bias (O,) or None → y (N, O, oh, ow).

    places  (oh, ow); as many as fit by default. Fewer, or more (which see only padding), come up
            in the gradients of a transposed convolution with output_padding.
    then    steps that change parts (O, …) of the result in place, each while it is in the cache
    """
    oh, ow = window.output_size(x.shape[2:]) if places is None else places
    if without_columns(xp, x, w.shape, len(x) * oh * ow, window, groups):
        y = cuda.convolution.conv2d(xp, x, w, bias, window, groups, (oh, ow))
        for step in then:
            step(batch_last(xp, y))
        return y
    x = batch_last(xp, x)
    y = xp.empty((w.shape[0], oh, ow, x.shape[3]), dtype=x.dtype)
    then = then if bias is None else (partial(add_, bias.reshape(-1, 1, 1, 1)), *then)
    for x_g, w_g, y_g in _by_group(groups, x, w, y):
        lay = layout(xp, x_g, window, oh, ow)
        _multiply(xp, lay, lay.matrix(w_g), y_g, then if groups == 1 else ())
    if groups > 1:
        for step in then:
            step(y)
    return batch_first(y)


def _multiply(xp: Any, lay: Layout, weights: Any, y: Any, then: Sequence[Step] = ()) -> None:
    """y = weights @ columns, and the steps that follow; the output's rows shared among threads."""
    parts = _parts(xp, lay, len(weights))

    def work(i: int) -> None:
        for rows, col in lay.blocks(parts[i]):
            product(xp, weights, col, lay.places(y, rows))
            for step in then:
                step(y[:, rows.start : rows.stop])

    threads.share(work, len(parts))


def conv2d_input_grad(
    xp: Any, g: Any, w: Any, size: tuple[int, int], window: Window, groups: int
) -> Any:
    """dy (N, O, oh, ow), w (O, C/groups, kh, kw) → dx (N, C, *size): a transposed convolution."""
    if without_columns(xp, g, w.shape, _places(g), window, groups):
        return cuda.convolution.conv2d_input_grad(xp, g, w, size, window, groups)
    large = _turning_costs_more(xp, g)
    turned = None if large else _turned_window(window)
    apart = turned is None and not large and phases.pay(xp, g, w.shape[1], window)
    found = phases.of(window, size) if apart else None
    g = batch_last(xp, g)
    make = xp.zeros if turned is None and found is None else xp.empty
    dx = make((w.shape[1] * groups, *size, g.shape[3]), dtype=g.dtype)
    for g_g, w_g, dx_g in _by_group(groups, g, w, dx):
        if turned is not None:
            lay = layout(xp, g_g, turned, *size)
            _multiply(xp, lay, lay.matrix(_turned(w_g)), dx_g)
        elif found is not None:
            _by_phase(xp, g_g, w_g, dx_g, found)
        else:
            _scatter(xp, g_g, w_g, dx_g, window)
    return batch_first(dx)


def _by_phase(xp: Any, g: Any, w: Any, dx: Any, found: Any) -> None:
    """dx (C, H, W, N) from dy (O, oh, ow, N), each phase by a convolution; see ``phases.py``."""
    for down in found[0]:
        for across in found[1]:
            here = dx[:, down.elements, across.elements]
            if not down.count or not across.count:
                here[...] = 0
                continue
            few = w[:, :, down.taps, across.taps].transpose(1, 0, 2, 3)  # (C, O, …)
            window = Window((down.count, across.count), padding=(down.padding, across.padding))
            lay = layout(xp, g, window, *here.shape[1:3])
            apart = xp.empty(here.shape, dtype=dx.dtype)
            _multiply(xp, lay, lay.matrix(few), apart)
            here[...] = apart


def _scatter(xp: Any, g: Any, w: Any, dx: Any, window: Window) -> None:
    """Add col2im(wᵀ @ dy) onto dx (C, H, W, N), a few rows of dy at a time."""
    outputs, oh, ow, batch = g.shape
    matrix = w.reshape(outputs, -1).T  # (C·kh·kw, O)
    step = rows_at_a_time(xp, len(matrix) * g.itemsize, oh, ow * batch)
    for rows in threads.steps(range(oh), step):
        shape = (len(dx), *window.kernel, len(rows), ow, batch)
        dcol = _memory(xp, shape, g.dtype)
        here = g[:, rows.start : rows.stop].reshape(1, outputs, -1)
        product(xp, matrix, here, dcol.reshape(1, len(matrix), -1))
        col2im(xp, dcol, window, rows, dx)


def conv2d_weight_grad(
    xp: Any, x: Any, g: Any, window: Window, groups: int, late: bool = False
) -> Any:
    """x (N, C, H, W), dy (N, O, oh, ow) → dw (O, C/groups, kh, kw).

    late  it need not be there before `threads.settle`: another thread may compute it meanwhile
    """
    w_shape = (g.shape[1], x.shape[1] // groups, *window.kernel)
    if without_columns(xp, x, w_shape, _places(g), window, groups):
        return cuda.convolution.conv2d_weight_grad(xp, x, g, window, groups)
    by_taps = taps.pay(xp, g, w_shape[1])
    late = late and _worth_aside(xp, g, w_shape)
    x, g = batch_last(xp, x), batch_last(xp, g)
    _, oh, ow, _ = g.shape
    dw = xp.empty(w_shape, dtype=x.dtype)

    def work() -> None:
        for x_g, g_g, dw_g in _by_group(groups, x, g, dw):
            if by_taps:
                dw_g[...] = taps.weight_grad(x_g, g_g, window)
                continue
            lay = layout(xp, x_g, window, oh, ow)
            dw_g[...] = lay.weights(_gradients(xp, lay, g_g, None, None))

    if late:
        threads.later(work)
    else:
        work()
    return dw


def _worth_aside(xp: Any, g: Any, w_shape: tuple[int, ...]) -> bool:
    """Whether the gradient of weights of this shape is worth leaving to another thread."""
    work = g.size * math.prod(w_shape[1:])
    return xp is np and work >= WORTH_ASIDE and backend.get_num_threads() > 1


def conv2d_grads(
    xp: Any, g: Any, x: Any, w: Any, window: Window, groups: int, late: bool = False
) -> tuple[Any, Any]:
    """Both gradients, (dx, dw); at stride 1 from one set of columns of dy.

    late  dw need not be there before `threads.settle`: another thread computes it, from columns of
          its own, while this one goes on to the layer below

    With q = d(k−1) − p, the columns of dy hold col[o, u', v', r, c] = dy[o, r + u'd − q, …]. The
    output place i = r + u'd − q is the one that saw picture row r through tap u = k−1−u'. So

        dx[c, r, …] = Σ w[o, c, k−1−u', …] · col[o, u', …, r, …]
        dw[o, c, k−1−u', …] = Σ x[c, r, …] · col[o, u', …, r, …]
    """
    size = x.shape[2:]
    if without_columns(xp, g, w.shape, _places(g), window, groups):
        dx = cuda.convolution.conv2d_input_grad(xp, g, w, size, window, groups)
        return dx, cuda.convolution.conv2d_weight_grad(xp, x, g, window, groups)
    turned = None if _turning_costs_more(xp, g) else _turned_window(window)
    late = late and _worth_aside(xp, g, w.shape)
    if turned is None:
        return _side_by_side(xp, g, x, w, window, groups, late)
    g, x = batch_last(xp, g), batch_last(xp, x)
    dw = xp.empty(w.shape, dtype=w.dtype)
    if late:
        threads.later(lambda: _from_columns_of_g(xp, g, x, w, None, dw, turned, groups))
        return conv2d_input_grad(xp, batch_first(g), w, size, window, groups), dw
    dx = xp.empty_like(x)
    _from_columns_of_g(xp, g, x, w, dx, dw, turned, groups)
    return batch_first(dx), dw


def _from_columns_of_g(
    xp: Any, g: Any, x: Any, w: Any, dx: Any, dw: Any, turned: Window, groups: int
) -> None:
    """dw, and dx (C, H, W, N) unless it is None, from the columns of dy (O, oh, ow, N)."""
    for g_g, x_g, w_g, dx_g, dw_g in _by_group(groups, g, x, w, dx, dw):
        lay = layout(xp, g_g, turned, *x.shape[1:3])
        weights = None if dx is None else lay.matrix(_turned(w_g))
        dw_g[...] = _turned(lay.weights(_gradients(xp, lay, x_g, weights, dx_g)))


def _side_by_side(
    xp: Any, g: Any, x: Any, w: Any, window: Window, groups: int, late: bool
) -> tuple[Any, Any]:
    """(dx, dw), each from columns of its own: large ones on two threads."""
    found: list[Any] = [None, None]

    def gradient(i: int) -> None:
        if i == 0:
            found[0] = conv2d_input_grad(xp, g, w, x.shape[2:], window, groups)
        else:
            found[1] = conv2d_weight_grad(xp, x, g, window, groups, late)

    if late:  # another thread has the second, and the first can be shared
        gradient(1)
        gradient(0)
    else:
        threads.share(gradient, 2, xp is not np or g.size * w[0].size < SIDE_BY_SIDE)
    return found[0], found[1]


def _gradients(xp: Any, lay: Layout, x: Any, weights: Any, dx: Any) -> Any:
    """x @ columnsᵀ → (C, K); on the way also dx = weights @ columns, where weights are given.

    Each part adds up its own rows, and the parts are added in order: the sum does not depend on who
    did which.
    """
    parts = _gradient_parts(xp, lay, len(x), 1 if weights is None else 2)
    sums: list[Any] = [None] * len(parts)
    tall = weights is None and len(x) >= 256  # then the sum comes out as it is wanted, not turned

    def work(i: int) -> None:
        for rows, col in lay.blocks(parts[i]):
            if weights is not None:
                product(xp, weights, col, lay.places(dx, rows))
            here = lay.places(x, rows)
            if tall:
                found = transposed_product(xp, col, here).T
            else:
                found = transposed_product(xp, here, col)
            if sums[i] is None:
                sums[i] = found
            else:
                sums[i] += found

    threads.share(work, len(parts))
    total = xp.zeros((lay.depth, len(x)), dtype=x.dtype) if sums[0] is None else sums[0]
    for found in sums[1:]:
        total += found
    return total.T  # (C, K)


def without_columns(
    xp: Any, x: Any, w_shape: tuple[int, ...], places: int, window: Window, groups: int
) -> bool:
    """Whether a GPU convolves by implicit GEMM (``cuda/implicit_gemm.cu``), which lays out none.

    x        the picture, or dy; only its library and dtype matter
    w_shape  (O, C/groups, kh, kw)
    places   of the window, in all pictures together: oh·ow·N

    It does where the columns are many: beyond a second-level cache (40 MB of an A100, 50 of an
    H100) they are written to memory and read back, and they are what takes the most of it. And
    where the product is small: then it is over before the host has started im2col, the product and
    the addition of the bias, which here are one launch. And with groups, which would be a product
    each. In between, and for a 1×1 window, whose columns are the picture, the library's product has
    the better of ours. This is argued, not measured: no GPU has seen it. MINITORCH7_CONVOLUTION in
    the environment decides otherwise: "implicit", or "columns".
    """
    if not cuda.takes(xp, x) or WAY == "columns":
        return False
    if WAY == "implicit" or groups > 1:
        return True
    places = round(places * trial.times)
    outputs, *depth = w_shape
    column_bytes = math.prod(depth) * places * x.itemsize
    many = column_bytes > MANY_COLUMNS and window != Window((1, 1))
    return many or outputs * math.prod(depth) * places <= FEW_PRODUCTS


def _places(g: Any) -> int:
    """oh·ow·N of dy (N, O, oh, ow)."""
    return len(g) * g.shape[2] * g.shape[3]


def column_bytes(
    xp: Any,
    x: Any,
    w_shape: tuple[int, ...],
    size: tuple[int, int],
    places: tuple[int, int],
    window: Window,
    groups: int,
    turned: bool,
) -> int:
    """Bytes of the columns that a GPU lays out at a time: those of one group, or none.

    x        the picture, or dy: its library, dtype and number of rows matter
    w_shape  (O, C/groups, kh, kw)
    size     (H, W) of the picture, and `places` (oh, ow) of the window
    turned   for the picture's gradient; at stride 1 the columns are those of dy
    """
    if without_columns(xp, x, w_shape, len(x) * math.prod(places), window, groups):
        return 0
    outputs, channels, *_ = w_shape
    over = _turned_window(window) if turned else None
    if over is not None:
        channels, window, size, places = outputs // groups, over, places, size
    if window.kernel == (1, 1) and window.stride == (1, 1) and places == size:
        return 0  # the picture itself
    return channels * math.prod(window.kernel) * len(x) * math.prod(places) * x.itemsize


def workspace_bytes(
    picture: tuple[int, ...], outputs: int, window: Window, batch: int, dtype: Any
) -> int:
    """Bytes in which one thread lays out the columns of a convolution and of its gradients.

    picture (C, H, W) and outputs O are those of one group. On the processor only.
    """

    def of_no_memory(*shape: int) -> Any:
        return np.broadcast_to(np.zeros(1, dtype), (*shape, batch))

    channels, *size = picture
    oh, ow = window.output_size(tuple(size))
    x, g = of_no_memory(*picture), of_no_memory(outputs, oh, ow)
    lay, turned = layout(np, x, window, oh, ow), _turned_window(window)
    cuts = [(lay, _parts(np, lay, outputs)), (lay, _gradient_parts(np, lay, outputs, 1))]
    scattered = 0
    if turned is None or _turning_costs_more(np, batch_first(g)):
        step = rows_at_a_time(np, lay.depth * x.itemsize, oh, ow * batch)
        scattered = min(step, oh) * ow * batch * lay.depth
    else:
        lay = layout(np, g, turned, *size)
        cuts.append((lay, _gradient_parts(np, lay, channels, 2)))
    rooms = [lay.room(part) for lay, parts in cuts for part in parts]
    return max(scattered, *rooms) * x.itemsize


# ---------------------------------------------------------------------------------------- pieces


def _parts(xp: Any, lay: Layout, rows: int, most: int = 8) -> tuple[range, ...]:
    """The output's rows, cut for threads; `rows` of a matrix meet each column."""
    work = rows * lay.depth * lay.oh * lay.ow * lay.x.shape[3]
    parts = min(parts_of(work), most, lay.most_parts()) if xp is np else 1
    return threads.cut(lay.oh, 1 << (parts.bit_length() - 1))  # a power of two: equal shares


def _gradient_parts(xp: Any, lay: Layout, rows: int, products: int) -> tuple[range, ...]:
    """The same for gradients, whose sums (rows, K) must not take too much memory together."""
    matrix_bytes = max(1, rows * lay.depth * lay.x.itemsize)
    return _parts(xp, lay, products * rows, max(1, GRADIENT_BYTES // matrix_bytes))


def _by_group(groups: int, *arrays: Any) -> Iterator[tuple[Any, ...]]:
    """The arrays' slices, group by group, along their first axes."""
    if groups == 1:
        yield arrays
        return
    for i in range(groups):
        yield tuple(
            None if a is None else a[len(a) // groups * i : len(a) // groups * (i + 1)]
            for a in arrays
        )


def _turned_window(window: Window) -> Window | None:
    """The window of the convolution that is the input's gradient; None at a stride above 1."""
    padding = tuple(
        d * (k - 1) - p
        for k, p, d in zip(window.kernel, window.padding, window.dilation, strict=True)
    )
    if window.stride != (1, 1) or min(padding) < 0:
        return None
    return window._replace(padding=padding)


def _turning_costs_more(xp: Any, g: Any) -> bool:
    """Whether dy (N, O, oh, ow) has fewer places than channels, and so the weights are the larger
    matrix: putting them in another order then costs more than adding the columns back."""
    return xp is np and g.size < g.shape[1] ** 2


def _turned(w: Any) -> Any:
    """(O, C, kh, kw) → its view (C, O, kh, kw) with the taps turned by 180°; twice is no change."""
    return w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)


def _memory(xp: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if xp is not np:
        return xp.empty(shape, dtype=dtype)
    return threads.workspace(math.prod(shape), dtype).reshape(shape)
