"""A convolution and the batch norms and ReLUs right after it, as one operation without a gradient.

In evaluation a batch norm is one scale and one shift a channel. Right after the convolution, it can
be put into the weights and the bias, which are few; after a ReLU it cannot. Done as layers, each of
these walks over the whole map, which by then has left the processor's cache. Here, what remains to
be done to the convolution's result is done to each part of it as soon as it is there, by the thread
that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..kernels.convolution import conv2d
from ..kernels.normalisation import fixed_scale
from ..kernels.windows import Window


class Norm(NamedTuple):
    """A batch norm by running statistics: arrays (C,), the last two of which may be None."""

    eps: float
    mean: Any
    variance: Any
    weight: Any
    bias: Any


RELU = None  # what stands for max(y, 0) among the layers that follow
FEW_WEIGHTS = 1 / 4  # of the result's elements: then scaling weights costs less than scaling it


def folded_conv2d(
    x: Tensor, w: Any, bias: Any, window: Window, then: Sequence[Norm | None]
) -> Tensor:
    """`conv2d` of x (N, C, H, W) with arrays w and bias, then each Norm or RELU; not recorded.

    The caller has seen to it that shapes, dtypes and libraries go together.
    """
    xp = backend.library(x.backend)
    with np.errstate(all="ignore"):  # as in every operation, see `Function`
        if then[0] is not RELU and _few(w, x, window):
            w, bias = _into_weights(xp, w, bias, then[0])
            then = then[1:]
        steps = [_step(xp, layer) for layer in then]
        return Tensor(conv2d(xp, x.data, w, bias, window, 1, None, steps))


def _few(w: Any, x: Tensor, window: Window) -> bool:
    oh, ow = window.output_size(x.shape[2:])
    return w.size <= FEW_WEIGHTS * len(w) * oh * ow * x.shape[0]


def _into_weights(xp: Any, w: Any, bias: Any, norm: Norm) -> tuple[Any, Any]:
    """(w·scale, b·scale + shift), so that one convolution with them is convolution and norm."""
    scale, shift = _scale_and_shift(xp, norm)
    return w * scale[:, None, None, None], shift if bias is None else bias * scale + shift


def _step(xp: Any, layer: Norm | None) -> Any:
    """What changes a part (O, …) of the result in place, for `kernels.convolution.conv2d`."""
    if layer is RELU:
        return partial(_relu, xp)
    scale, shift = (a.reshape(-1, 1, 1, 1) for a in _scale_and_shift(xp, layer))
    return partial(_scale, scale, shift)


def _relu(xp: Any, y: Any) -> None:
    xp.clip(y, 0, np.inf, out=y)  # not maximum: see `kernels.elementwise.relu`


def _scale(scale: Any, shift: Any, y: Any) -> None:
    y *= scale
    y += shift


def _scale_and_shift(xp: Any, norm: Norm) -> tuple[Any, Any]:
    return fixed_scale(xp, norm.mean, norm.variance, norm.weight, norm.bias, norm.eps)[:2]
