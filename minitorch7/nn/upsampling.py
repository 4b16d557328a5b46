"""Upsampling by pixel shuffle, without checkerboards at the start."""

from __future__ import annotations

from functools import partial

from ..autograd import Tensor
from ..functional._arguments import check_integer
from .activation import LeakyReLU, ReLU
from .blocks import NormType, conv_layer
from .init import icnr_
from .module import Module
from .pooling import AvgPool2d, PixelShuffle, ReplicationPad2d


class PixelShuffle_ICNR(Module):
    """(N, ni, H, W) → (N, nf, H·scale, W·scale): 1×1 convolution, ReLU, pixel shuffle.

    ni, nf     channels in and out; nf defaults to ni
    blur       then average each 2×2 window, after one more column on the left and row on top, which
               takes away checkerboards that training puts back (Sugawara et al. 2018, 1806.02658)
    norm_type  of the convolution; None, Batch, Weight or Spectral
    leaky      slope of a leaky ReLU; None for a plain one

    The weight starts from `init.icnr_`, so that a new layer is nearest-neighbour upsampling of a
    convolution, under each norm: the norm is put around the layer *after* its weight is set. (In
    fastai v1 weight norm recomputed the weight from parts that had not heard of ICNR.)
    """

    def __init__(
        self,
        ni: int,
        nf: int | None = None,
        scale: int = 2,
        blur: bool = False,
        norm_type: NormType | None = NormType.Weight,
        leaky: float | None = None,
    ) -> None:
        nf = ni if nf is None else check_integer("PixelShuffle_ICNR", "nf", nf, 1)
        check_integer("PixelShuffle_ICNR", "scale", scale, 1)
        self.do_blur = bool(blur)
        self.conv = conv_layer(
            ni,
            nf * scale**2,
            ks=1,
            norm_type=norm_type,
            use_activ=False,
            init_func=partial(icnr_, scale=scale),
        )
        self.shuf = PixelShuffle(scale)
        if self.do_blur:
            self.pad = ReplicationPad2d((1, 0, 1, 0))
            self.blur = AvgPool2d(2, stride=1)
        self.relu = ReLU(inplace=True) if leaky is None else LeakyReLU(leaky, inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        x = self.shuf(self.relu(self.conv(input)))
        return self.blur(self.pad(x)) if self.do_blur else x
