"""A DenseNet in the lesson's way: residual blocks whose plus has become a concatenation.

Where this differs from Huang et al. (2016): their layers each add a few channels (the growth rate)
to all that came before, and activate first (batch norm → ReLU → convolution). Here a block is
`nn.res_block(nf, dense=True)`: two 3×3 convolutions of nf channels, activated and then normalised,
joined with the block's input to 2·nf. Between stages both do the same: a 1×1 convolution takes the
channels back down, because memory would not last, and 2×2 averages halve the picture, because maps
of different sizes cannot be joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import nn
from ..autograd import Tensor
from .pretrained import pretrain


class DenseNet(nn.Module):
    """A stem, stages of dense blocks with transitions between them, and a linear classifier.

    x (N, ni, H, W) → (N, num_classes), for any H and W from 1 on.

    blocks  how many dense blocks each stage has; each doubles the channels
    nf      channels after the stem, which halves the picture; stage i begins with nf·2^i

    The children, in order: stem, stage0, stage1, …, avgpool, fc; a body is all but the last two.
    A stage after the first begins with its transition.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (2, 2, 2, 2),
        nf: int = 32,
        num_classes: int = 1000,
        ni: int = 3,
    ) -> None:
        if not blocks or min(blocks) < 1:
            raise ValueError(f"DenseNet: blocks must count at least 1 for each stage, got {blocks}")
        self.stem = nn.conv_layer(ni, nf, stride=2)
        self._stages = [f"stage{i}" for i in range(len(blocks))]
        width = nf  # of what arrives
        for i, (name, count) in enumerate(zip(self._stages, blocks, strict=True)):
            start = nf * 2**i
            down = [] if i == 0 else [_transition(width, start)]
            dense = [nn.res_block(start * 2**j, dense=True) for j in range(count)]
            self.add_module(name, nn.Sequential(*down, *dense))
            width = start * 2**count
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for name in self._stages:
            x = getattr(self, name)(x)
        return self.fc(self.avgpool(x).flatten(1))


def _transition(ni: int, nf: int) -> nn.Sequential:
    """1×1 convolution ni → nf, then 2×2 averages; an odd last row or column is averaged alone."""
    return nn.Sequential(nn.conv_layer(ni, nf, ks=1), nn.AvgPool2d(2, stride=2, ceil_mode=True))


def densenet(
    pretrained: bool | str | Path = False,
    num_classes: int = 1000,
    blocks: Sequence[int] = (2, 2, 2, 2),
    nf: int = 32,
    ni: int = 3,
) -> DenseNet:
    """The lesson's dense variant; see `DenseNet`. With the defaults, 9,038,216 parameters.

    pretrained: False or the path of weights; nobody has published any for this variant.
    """
    return pretrain(DenseNet(blocks, nf, num_classes, ni), "densenet", pretrained)
