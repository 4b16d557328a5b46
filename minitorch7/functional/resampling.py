"""Pictures made larger or smaller: pixel shuffle, nearest and bilinear interpolation."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..autograd import Function, Tensor
from ..kernels import resampling as kernel
from ..kernels.resampling import Axis
from ._arguments import check_float, check_tensor


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(…, C·r², H, W) → (…, C, H·r, W·r): y[c, h·r+i, w·r+j] = x[c·r²+i·r+j, h, w].

    Channels become places: the cheapest way to make a picture larger. (Shi et al. 2016)
    """
    x = check_tensor("pixel_shuffle", "input", input)
    r = _factor("pixel_shuffle", upscale_factor)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ValueError(
            f"pixel_shuffle: the channels of input {x.shape} must be divisible by "
            f"upscale_factor² = {r * r}"
        )
    *lead, channels, height, width = x.shape
    k = len(lead)
    split = x.reshape(*lead, channels // (r * r), r, r, height, width)  # (…, C, i, j, h, w)
    mixed = split.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)  # (…, C, h, i, w, j)
    return mixed.reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(…, C, H·r, W·r) → (…, C·r², H, W): `pixel_shuffle` undone."""
    x = check_tensor("pixel_unshuffle", "input", input)
    r = _factor("pixel_unshuffle", downscale_factor)
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(
            f"pixel_unshuffle: height and width of input {x.shape} must be divisible by {r}"
        )
    *lead, channels, height, width = x.shape
    k = len(lead)
    split = x.reshape(*lead, channels, height // r, r, width // r, r)  # (…, C, h, i, w, j)
    mixed = split.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3)  # (…, C, i, j, h, w)
    return mixed.reshape(*lead, channels * r * r, height // r, width // r)


def _factor(function: str, factor: int) -> int:
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1:
        raise ValueError(f"{function}: the factor must be an integer of at least 1, got {factor!r}")
    return factor


class Nearest(Function):
    """y[n, c, i, j] = x[n, c, rows[i], columns[j]];  dx = NearestGrad of dy"""

    def __init__(self, rows: Axis, columns: Axis) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, xp, x):
        return kernel.nearest(xp, x, self.rows, self.columns)

    def backward(self, grad):
        return NearestGrad(self.rows, self.columns)(grad)


class NearestGrad(Function):
    """dx = Σ dy over all places that copied from one;  its gradient is Nearest"""

    def __init__(self, rows: Axis, columns: Axis) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, xp, g):
        return kernel.nearest_grad(xp, g, self.rows, self.columns)

    def backward(self, grad):
        return Nearest(self.rows, self.columns)(grad)


class Bilinear(Function):
    """y = A·x·Bᵀ for each map, A and B the weights of the rows and columns;  dx = Aᵀ·dy·B"""

    def __init__(self, rows: Axis, columns: Axis) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, xp, x):
        return kernel.bilinear(xp, x, self.rows, self.columns)

    def backward(self, grad):
        return BilinearGrad(self.rows, self.columns)(grad)


class BilinearGrad(Function):
    """dx = Aᵀ·dy·B;  its gradient is Bilinear"""

    def __init__(self, rows: Axis, columns: Axis) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, xp, g):
        return kernel.bilinear_grad(xp, g, self.rows, self.columns)

    def backward(self, grad):
        return Bilinear(self.rows, self.columns)(grad)


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resamples `input` (N, C, H, W) to `size`, or to ⌊H·scale_factor⌋ and so on.

    mode 'nearest'   y[i] = x[⌊i·n/m⌋], or ⌊i/scale_factor⌋
    mode 'bilinear'  the weighted mean of the two nearest elements each way, where output i lies at
                     (i + ½)·n/m − ½ in the input; with align_corners at i·(n−1)/(m−1)

    Both work on rows and columns separately.
    """
    x = check_float("interpolate", "input", input)
    if x.ndim != 4 or min(x.shape[2:]) == 0:
        raise ValueError(
            f"interpolate: input must be (N, C, H, W) with H and W above 0, got shape {x.shape}"
        )
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"interpolate: mode must be 'nearest' or 'bilinear', got {mode!r}")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners belongs to mode 'bilinear'")
    sizes, steps = _sizes_and_steps(x, size, scale_factor)
    lines = list(zip(x.shape[2:], sizes, steps, strict=True))
    if mode == "bilinear":
        return Bilinear(*(_mixed(*line, bool(align_corners)) for line in lines))(x)
    if all((out, step) == (n, 1) for n, out, step in lines):
        return x
    return Nearest(*(_copied(n, out, step if scale_factor else None) for n, out, step in lines))(x)


@functools.lru_cache(1024)  # a training step asks for the same few again and again
def _copied(n: int, out: int, step: float | None) -> Axis:
    return Axis.of(n, _nearest_places(n, out, step))


def _nearest_places(n: int, out: int, step: float | None) -> np.ndarray:
    """Which input element each output element copies: ⌊i·n/out⌋, or ⌊i·step⌋ for a given factor.

    The first is computed in whole numbers. PyTorch rounds n/out to float32 first, and for a few
    pairs of sizes picks the element before.
    """
    if step is None:
        return np.arange(out) * n // out
    return np.minimum(np.floor(np.arange(out) * step).astype(np.int64), n - 1)


def _sizes_and_steps(
    x: Tensor, size: Any, scale_factor: Any
) -> tuple[tuple[int, int], tuple[float, float]]:
    """The output's size, and how far one output element goes in the input, for rows and columns."""
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    given = size if scale_factor is None else scale_factor
    both = tuple(given) if isinstance(given, tuple | list) else (given, given)
    numbers = all(isinstance(v, int if scale_factor is None else int | float) for v in both)
    if not numbers or any(isinstance(v, bool) for v in both):
        kind = "integers" if scale_factor is None else "numbers"
        raise TypeError(f"interpolate: needs one or two {kind}, got {given!r}")
    if len(both) != 2 or min(both) <= 0:
        raise ValueError(f"interpolate: needs one or two positive numbers, got {given!r}")
    if scale_factor is None:
        sizes = (int(both[0]), int(both[1]))
        return sizes, (x.shape[2] / sizes[0], x.shape[3] / sizes[1])
    sizes = (int(x.shape[2] * both[0]), int(x.shape[3] * both[1]))
    if min(sizes) < 1:
        raise ValueError(f"interpolate: scale_factor {scale_factor} leaves nothing of {x.shape}")
    return sizes, (1 / both[0], 1 / both[1])


@functools.lru_cache(1024)
def _mixed(n: int, out: int, step: float, align_corners: bool) -> Axis:
    """Which two inputs each output lies between, and the weight of the upper one."""
    if align_corners:
        at = np.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0.0)
    else:
        at = np.maximum((np.arange(out) + 0.5) * step - 0.5, 0)
    low = np.minimum(np.floor(at).astype(np.int64), n - 1)
    return Axis.of(n, low, np.where(low < n - 1, at - low, 0.0))
