"""Pooling: one number for every window, its largest element or its mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ..kernels import pooling as kernel
from ..kernels.windows import Window
from ._arguments import check_float, check_tensor, pair
from .products import along_axis
from .reductions import max as largest
from .shape import stack


class MaxPool2d(Function):
    """y[n,c,i,j] = max_{u,v} x[n,c, i·s+u·d−p, j·s+v·d−p];  dx = dy, added where that maximum is"""

    def __init__(self, window: Window, out_size: tuple[int, int]) -> None:
        self.window, self.out_size = window, out_size

    def forward(self, xp, x):
        self.size = x.shape[2:]
        y, self.taps = kernel.max_pool2d(xp, x, self.window, self.out_size)
        return y

    def backward(self, grad):
        return UnpoolMax(self.taps, self.window, self.size)(grad)


class UnpoolMax(Function):
    """y = zeros with g added where the maxima stand;  dg = dy read there"""

    def __init__(self, taps: Any, window: Window, size: tuple[int, int]) -> None:
        self.taps, self.window, self.size = taps, window, size

    def forward(self, xp, g):
        return kernel.unpool_max(xp, g, self.taps, self.window, self.size)

    def backward(self, grad):
        return PickMax(self.taps, self.window)(grad)


class PickMax(Function):
    """y = x read where the maxima stand;  dx = dy added there"""

    def __init__(self, taps: Any, window: Window) -> None:
        self.taps, self.window = taps, window

    def forward(self, xp, x):
        self.size = x.shape[2:]
        return kernel.pick_max(xp, x, self.taps, self.window)

    def backward(self, grad):
        return UnpoolMax(self.taps, self.window, self.size)(grad)


class SumPool2d(Function):
    """y = Σ over each window;  dx = dy, added to the whole window"""

    def __init__(self, window: Window, out_size: tuple[int, int]) -> None:
        self.window, self.out_size = window, out_size

    def forward(self, xp, x):
        self.size = x.shape[2:]
        return kernel.sum_pool2d(xp, x, self.window, self.out_size)

    def backward(self, grad):
        return SpreadSum(self.window, self.size)(grad)


class SpreadSum(Function):
    """y = g added to the whole of each window;  dg = Σ dy over the window"""

    def __init__(self, window: Window, size: tuple[int, int]) -> None:
        self.window, self.size = window, size

    def forward(self, xp, g):
        self.out_size = g.shape[2:]
        return kernel.spread_sum(xp, g, self.window, self.size)

    def backward(self, grad):
        return SumPool2d(self.window, self.out_size)(grad)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of every window of `input` (N, C, H, W) or (C, H, W).

    stride defaults to kernel_size; padding counts as −∞ and may be at most half the kernel.
    ceil_mode lets a last window hang over the far edge, if it starts inside.
    return_indices adds the place of each maximum, counted along the rows of the picture (int64).
    """
    x, window, size = _prepare(
        "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode
    )
    function = MaxPool2d(window, size)
    batched = x if x.ndim == 4 else x.unsqueeze(0)
    y = function(batched)
    y = y if x.ndim == 4 else y.squeeze(0)
    if not return_indices:
        return y
    return y, _flat_places(function.taps, window, x)


def _flat_places(taps: Any, window: Window, x: Tensor) -> Tensor:
    """Tap numbers as places row·W + column in the picture."""
    xp = backend.library(x.backend)
    taps = taps.astype("int64")
    oh, ow = taps.shape[2:]
    (sh, sw), (ph, pw), (dh, dw) = window.stride, window.padding, window.dilation
    rows = xp.arange(oh)[:, None] * sh - ph + (taps // window.kernel[1]) * dh
    columns = xp.arange(ow) * sw - pw + (taps % window.kernel[1]) * dw
    places = rows * x.shape[-1] + columns
    return Tensor(places if x.ndim == 4 else places[0])


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window of `input` (N, C, H, W) or (C, H, W).

    y[n,c,i,j] = Σ_{u,v} x[n,c, i·s+u−p, j·s+v−p]/(kh·kw)

    The sum is divided by the number of elements of the window that lie in the padded picture; in
    the picture itself with count_include_pad=False; by divisor_override where that is given.
    """
    x, window, size = _prepare("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise ValueError("avg_pool2d: divisor_override must not be 0")
    batched = x if x.ndim == 4 else x.unsqueeze(0)
    total = SumPool2d(window, size)(batched)
    y = total * _share(x, window, size, count_include_pad, divisor_override)
    return y if x.ndim == 4 else y.squeeze(0)


def _share(
    x: Tensor, window: Window, size: tuple[int, int], with_pad: bool, divisor: int | None
) -> Any:
    """One over the number of elements of each window: a number where all agree, else (oh, ow)."""
    if divisor is not None:
        return 1 / divisor
    counts = []
    for n, out, k, s, p in zip(x.shape[-2:], size, *window[:3], strict=True):
        start = np.arange(out) * s - p
        end = np.minimum(start + k, n + p)
        if not with_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        counts.append(end - start)
    shares = 1 / np.outer(*counts)
    if np.all(shares == shares.flat[0]):
        return float(shares.flat[0])
    return Tensor(backend.library(x.backend).asarray(shares.astype(x.dtype)))


def _prepare(
    function: str,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[Tensor, Window, tuple[int, int]]:
    """The checked input, its window, and the output's size."""
    x = check_tensor(function, "input", input)
    if x.dtype.kind == "b":
        raise TypeError(f"{function}: input must hold numbers, got bools; use input.float()")
    if x.ndim not in (3, 4):
        raise ValueError(f"{function}: input must be (N, C, H, W) or (C, H, W), got {x.shape}")
    kernel_size = pair(function, "kernel_size", kernel_size, least=1)
    window = Window(
        kernel_size,
        pair(function, "stride", kernel_size if stride is None else stride, least=1),
        pair(function, "padding", padding),
        pair(function, "dilation", dilation, least=1),
    )
    for k, p in zip(kernel_size, window.padding, strict=True):
        if 2 * p > k:
            raise ValueError(
                f"{function}: padding {window.padding} must be at most half of the kernel "
                f"{kernel_size}, or some windows would lie wholly outside"
            )
    size = tuple(
        _places(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(x.shape[-2:], *window, strict=True)
    )
    if min(size) <= 0:
        raise ValueError(f"{function}: {window} does not fit an input of shape {x.shape}")
    return x, window, size


def _places(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    span = n + 2 * p - d * (k - 1) - 1
    if not ceil_mode:
        return span // s + 1
    places = -(-span // s) + 1
    starts_outside = (places - 1) * s >= n + p  # such a window would see padding only
    return places - 1 if starts_outside else places


# -------------------------------------------------------------------------------------- adaptive


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of output_size cells, whatever the input's size: (…, H, W) → (…, oh, ow).

    Cell i of o spans ⌊i·n/o⌋ to ⌈(i+1)·n/o⌉. Along each axis this is a matrix, applied in turn.
    """
    x = check_float("adaptive_avg_pool2d", "input", input)
    size = _adaptive_size("adaptive_avg_pool2d", x, output_size)
    if size == (1, 1):
        return x.mean((-2, -1), keepdim=True)
    for axis, out in zip((-2, -1), size, strict=True):
        matrix = np.zeros((out, x.shape[axis]))
        for i, (start, end) in enumerate(_cells(x.shape[axis], out)):
            matrix[i, start:end] = 1 / (end - start)
        x = along_axis(x, matrix, axis)
    return x


def adaptive_max_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Maxima over a grid of output_size cells, whatever the input's size."""
    x = check_float("adaptive_max_pool2d", "input", input)
    oh, ow = _adaptive_size("adaptive_max_pool2d", x, output_size)
    height, width = x.shape[-2:]
    if height % oh == 0 and width % ow == 0:
        return max_pool2d(x, (height // oh, width // ow))
    rows = []
    for top, bottom in _cells(height, oh):
        cells = [x[..., top:bottom, left:right] for left, right in _cells(width, ow)]
        rows.append(stack([largest(c.flatten(-2), -1).values for c in cells], -1))
    return stack(rows, -2)


def _adaptive_size(function: str, x: Tensor, output_size: Any) -> tuple[int, int]:
    if x.ndim not in (3, 4) or min(x.shape[-2:]) == 0:
        raise ValueError(
            f"{function}: input must be (N, C, H, W) or (C, H, W) with H and W above 0, "
            f"got {x.shape}"
        )
    both = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(both) != 2:
        raise TypeError(f"{function}: output_size must be an integer or two, got {output_size!r}")
    given = [n if wanted is None else wanted for wanted, n in zip(both, x.shape[-2:], strict=True)]
    return pair(function, "output_size", given, least=1)


def _cells(n: int, out: int) -> list[tuple[int, int]]:
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
