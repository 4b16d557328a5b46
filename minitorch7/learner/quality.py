"""How close a restored picture comes to the original, and how sharp it is: PSNR, SSIM, sharpness.

Three numbers that disagree, which is the point of measuring all of them. A network trained on the
squared error is unbeatable by PSNR, which is that error on another scale, and blurs. SSIM compares
contrast and structure window by window and forgives less blur. Sharpness does not look at the
original at all: it says how much fine detail is there, right or wrong.

Pictures are arrays (N, C, H, W) of floats in [0, 1], NumPy's or CuPy's; the answers are arrays
(N,), one number a picture, on the same device.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..functional._arguments import check_tensor

WINDOW, SIGMA = 11, 1.5  # pixels: the side of SSIM's window and its Gaussian's deviation
K1, K2 = 0.01, 0.03
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)


def psnr(a: Any, b: Any, peak: float = 1.0) -> Any:
    """Peak signal-to-noise ratio, 10·log₁₀(peak² / mean (a − b)²), in decibels.

    The mean is over a picture's channels and pixels. Equal pictures have +∞. TypeError or
    ValueError where a and b are not pictures of one shape, or peak is no number above 0.
    """
    _check_peak("psnr", peak)
    a, b = _checked("psnr", a=a, b=b)
    error = ((a - b) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):  # equal pictures
        return 10 * backend.of(error).log10(peak**2 / error)


def ssim(a: Any, b: Any, peak: float = 1.0) -> Any:
    """Structural similarity: 1 for equal pictures, less the less they have in common.

        (2·μa·μb + C₁)·(2·σab + C₂) / ((μa² + μb² + C₁)·(σa² + σb² + C₂))

    Means, variances and covariance are those inside a Gaussian window of 11×11 pixels with
    deviation 1.5; C₁ = (0.01·peak)², C₂ = (0.03·peak)². The mean is over all places where the
    window fits into the picture, and over the channels. (Wang, Bovik, Sheikh & Simoncelli 2004)

    TypeError or ValueError where a and b are not pictures of one shape, 11 pixels or more each way,
    or peak is no number above 0.
    """
    _check_peak("ssim", peak)
    a, b = _checked("ssim", least=WINDOW, a=a, b=b)
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    mean_a, mean_b = _windowed(a), _windowed(b)
    var_a = _windowed(a * a) - mean_a * mean_a
    var_b = _windowed(b * b) - mean_b * mean_b
    cov = _windowed(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return (light * structure).mean(axis=(1, 2, 3))


def _windowed(x: Any) -> Any:
    """The Gaussian mean of every window that fits: (N, C, H, W) → (N, C, H − 10, W − 10)."""
    middle = WINDOW // 2
    weights = [math.exp(-((k - middle) ** 2) / (2 * SIGMA**2)) for k in range(WINDOW)]
    for axis in (2, 3):  # the Gaussian of two coordinates is a product of two Gaussians
        places = x.shape[axis] - WINDOW + 1
        before = (slice(None),) * axis
        x = sum(w * x[(*before, slice(k, k + places))] for k, w in enumerate(weights))
        x = x / sum(weights)
    return x


def sharpness(x: Any) -> Any:
    """The root mean square of the slope of brightness, √mean(gx² + gy²), per pixel.

    Slopes are Sobel's, (−1, 0, 1)/2 across and (1, 2, 1)/4 along, of the luminance 0.299 R +
    0.587 G + 0.114 B (or of the only channel), wherever their 3×3 pixels fit into the picture.

    It is the square that makes it a measure of sharpness. Blur an edge: the rise is the same,
    spread over more pixels, and the mean slope stays what it was; the mean squared slope falls.
    Noise has steep slopes too, so compare with the original's figure: more is not better.

    ValueError for pictures smaller than 3×3, or with other than 1 or 3 channels.
    """
    (x,) = _checked("sharpness", least=3, x=x)
    channels = x.shape[1]
    if channels not in (1, 3):
        raise ValueError(
            f"sharpness: pictures must have 1 channel or 3 (red, green, blue), got shape {x.shape}"
        )
    y = x[:, 0] if channels == 1 else sum(w * x[:, c] for c, w in enumerate(LUMA))  # (N, H, W)
    across, down = (y[:, :, 2:] - y[:, :, :-2]) / 2, (y[:, 2:] - y[:, :-2]) / 2
    gx = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 4  # (N, H − 2, W − 2)
    gy = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 4
    return backend.of(y).sqrt((gx * gx + gy * gy).mean(axis=(1, 2)))


def _check_peak(function: str, peak: Any) -> None:
    if not isinstance(peak, Real) or not 0 < peak < math.inf:
        raise ValueError(
            f"{function}: peak must be a number above 0, got {peak!r}; it is the value of "
            "white: 1 for pictures in [0, 1]"
        )


def _checked(function: str, least: int = 1, **pictures: Any) -> list[Any]:
    """The arrays as float64, in which a variance may be a difference of two means."""
    for name, x in pictures.items():
        if not backend.is_array(x):
            raise TypeError(
                f"{function}: {name} must be an array (N, C, H, W), got {type(x).__name__}; a "
                "Tensor's is t.data"
            )
        if x.dtype.kind != "f":
            raise TypeError(
                f"{function}: {name} must hold floats in [0, 1], got {x.dtype}; divide bytes by 255"
            )
        if x.ndim != 4 or min(x.shape[2:]) < least or 0 in x.shape:
            raise ValueError(
                f"{function}: {name} must be pictures (N, C, H, W)"
                + (f" of at least {least} pixels each way" if least > 1 else "")
                + f", got shape {x.shape}"
            )
    first, *others = pictures.values()
    for other in others:
        if other.shape != first.shape:
            raise ValueError(
                f"{function}: needs pictures of one shape to compare, got {first.shape} and "
                f"{other.shape}; resize one of them"
            )
    backend.of(*pictures.values())  # raises where they are on different devices
    return [x.astype(np.float64) for x in pictures.values()]


# ---------------------------------------------------------------------------------------- metrics


class _Quality:
    """A metric of pictures: `measure` of answers and targets on the scale [0, 1], averaged.

    data  has ``denorm_y``, which undoes the targets' normalisation: a DataBunch

    What lies outside [0, 1] is clipped first, as it is when the picture is shown or saved. The
    number stays on the device; a set's is the mean over its pictures.
    """

    name: str
    measure: Any

    def __init__(self, data: Any) -> None:
        if not callable(getattr(data, "denorm_y", None)):
            raise TypeError(
                f"{type(self).__name__}: data must have denorm_y, as a DataBunch of pictures with "
                f"pictures as targets has; got {type(data).__name__}"
            )
        self.data = data

    def __call__(self, pred: Tensor, target: Tensor) -> Any:
        pictures = self._picture("pred", pred), self._picture("target", target)
        return type(self).measure(*pictures).mean()

    def _picture(self, name: str, t: Tensor) -> Any:
        array = self.data.denorm_y(check_tensor(type(self).__name__, name, t).data)
        return backend.of(array).clip(array, 0, 1)


class PSNR(_Quality):
    """`psnr` of answers and targets, averaged over the pictures: decibels, not errors.

    That is not the PSNR of the averaged error, which the worst pictures would rule.
    """

    name, measure = "psnr", staticmethod(psnr)


class SSIM(_Quality):
    """`ssim` of answers and targets, averaged over the pictures."""

    name, measure = "ssim", staticmethod(ssim)
