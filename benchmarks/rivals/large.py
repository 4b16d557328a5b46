"""The larger networks, layer by layer: which weights they have, in the order they run.

resnet34     He et al. 2016, table 1, at 128×128 pixels; a stage's first block halves the picture
unet         Ronneberger et al. 2015 with batch norm, and pixel shuffles on the way up, at 64×64
residual     n blocks of c channels at p pixels: the family whose four sizes `scaling.py` varies
camvid_unet  fast.ai's U-Net around a ResNet-18, with a bottleneck at the end, at 96×128

Plain data: `networks.py` builds the modules for minitorch7 and PyTorch, `jax_networks.py` the
functions for JAX, and each has to list its parameters in this order. Of the last, ours is the
package's own, PyTorch's is in `pytorch_unet.py`, and there is none for JAX.
"""

from __future__ import annotations

import re
from typing import NamedTuple

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # ResNet-34: channels, blocks
LEVELS = (64, 128, 256, 512)  # the U-Net's channels on the way down
RESNET34_CLASSES, UNET_CLASSES, RESIDUAL_CLASSES = 1000, 32, 10
ENCODER = ((64, 2), (128, 2), (256, 2), (512, 2))  # ResNet-18
CAMVID_CLASSES, PICTURE = 12, 3  # the picture itself crosses over to the last block
RESIDUAL = re.compile(r"residual-c([1-9]\d*)-d([1-9]\d*)-p([1-9]\d*)")


class Layer(NamedTuple):
    """A layer that has weights. A convolution is nf × ni × ks × ks, a linear layer nf × ni."""

    kind: str  # "conv", "norm" or "linear"
    ni: int
    nf: int
    ks: int = 1
    bias: bool = False

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of its weights; of a norm's γ and β."""
        if self.kind == "norm":
            return [(self.nf,), (self.nf,)]
        weight = (self.nf, self.ni) + (self.ks, self.ks) * (self.kind == "conv")
        return [weight, (self.nf,)] if self.bias else [weight]


class Residual(NamedTuple):
    """One network of the family."""

    channels: int
    depth: int
    pixels: int

    @property
    def name(self) -> str:
        """The name that `start.spec` and every rival know it by."""
        return f"residual-c{self.channels}-d{self.depth}-p{self.pixels}"


FAMILY = Residual(16, 4, 28).name  # one for all: whoever has this network has the others


def residual_of(model: str) -> Residual | None:
    """The sizes in the name of a network of the family; None for another name."""
    found = RESIDUAL.fullmatch(model)
    return Residual(*map(int, found.groups())) if found else None


def layers(model: str) -> list[Layer]:
    """The layers of one network. ValueError for a name that is not known."""
    sizes = residual_of(model)
    if sizes:
        return _residual(sizes)
    made = {"resnet34": _resnet34, "unet": _unet, "camvid_unet": _camvid_unet}
    if model not in made:
        raise ValueError(f"there is no network {model!r} among the larger ones")
    return made[model]()


def _conv_norm(ni: int, nf: int, ks: int = 3) -> list[Layer]:
    return [Layer("conv", ni, nf, ks), Layer("norm", nf, nf)]


def _block(ni: int, nf: int) -> list[Layer]:
    """Two convolutions, and a third of one pixel for the shortcut where the shape changes."""
    made = _conv_norm(ni, nf) + _conv_norm(nf, nf)
    return made if ni == nf else made + _conv_norm(ni, nf, 1)


def _resnet(stages: tuple[tuple[int, int], ...]) -> list[Layer]:
    """All but the classifier."""
    ni = stages[0][0]
    made = _conv_norm(PICTURE, ni, 7)
    for nf, blocks in stages:
        for _ in range(blocks):
            made += _block(ni, nf)
            ni = nf
    return made


def _resnet34() -> list[Layer]:
    return [*_resnet(STAGES), Layer("linear", STAGES[-1][0], RESNET34_CLASSES, bias=True)]


def _unet() -> list[Layer]:
    made, ni = [], 3
    for nf in LEVELS:
        made += _conv_norm(ni, nf) + _conv_norm(nf, nf)
        ni = nf
    for nf in LEVELS[-2::-1]:
        made.append(Layer("conv", ni, 4 * nf, bias=True))  # then the shuffle: nf channels
        made += _conv_norm(2 * nf, nf) + _conv_norm(nf, nf)
        ni = nf
    return [*made, Layer("conv", ni, UNET_CLASSES, bias=True)]


def _biased(ni: int, nf: int, ks: int = 3) -> Layer:
    return Layer("conv", ni, nf, ks, bias=True)


def _camvid_unet() -> list[Layer]:
    widths = [nf for nf, _ in ENCODER]
    ni = widths[-1]
    made = [*_resnet(ENCODER), Layer("norm", ni, ni), _biased(ni, 2 * ni), _biased(2 * ni, ni)]
    crossing = [*widths[-2::-1], widths[0]]  # three stages and the stem
    for k, kept in enumerate(crossing):
        joined = ni // 2 + kept
        nf = joined if k < len(crossing) - 1 else joined // 2
        made += [_biased(ni, 4 * (ni // 2), 1), Layer("norm", kept, kept)]
        made += [_biased(joined, nf), _biased(nf, nf)]
        ni = nf
    made.append(_biased(ni, 4 * ni, 1))
    ni += PICTURE
    made += [_biased(ni, ni // 2), _biased(ni // 2, ni)]
    return [*made, _biased(ni, CAMVID_CLASSES, 1)]


def _residual(sizes: Residual) -> list[Layer]:
    made = _conv_norm(3, sizes.channels)
    for _ in range(sizes.depth):
        made += _block(sizes.channels, sizes.channels)
    return [*made, Layer("linear", sizes.channels, RESIDUAL_CLASSES, bias=True)]
