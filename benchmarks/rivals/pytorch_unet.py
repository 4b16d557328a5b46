"""The lesson's U-Net in PyTorch: a ResNet on the way down, pixel shuffles on the way up.

Written from the lesson's description with `torch.nn` alone, to be compared with
`minitorch7.vision`: the same layers, registered in the same order, so that weights can be handed
over by position. What crosses over carries gradients, and upsamplers blur only where asked.

No layer is initialised as the lesson does it: weights always come from elsewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
NORMS = (None, "Batch", "BatchZero", "Weight", "Spectral")  # the names of our NormType


# ------------------------------------------------------------------------------------ the way down


class BasicBlock(nn.Module):
    """relu(shortcut(x) + bn(conv(relu(bn(conv(x))))))."""

    def __init__(self, ni: int, nf: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ni, nf, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(nf)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(nf, nf, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(nf)
        self.downsample = None
        if ni != nf or stride != 1:
            conv = nn.Conv2d(ni, nf, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(nf))

    def forward(self, x: Any) -> Any:
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(kept + self.bn2(self.conv2(x)))


def body(arch: str) -> nn.Sequential:
    """A ResNet without its mean over the pixels and its classifier."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)]
    layers += [nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    ni = 64
    for nf, count in zip(WIDTHS, BLOCKS[arch], strict=True):
        strides = [1 if ni == nf else 2] + [1] * (count - 1)
        blocks = [BasicBlock(ni if i == 0 else nf, nf, s) for i, s in enumerate(strides)]
        layers.append(nn.Sequential(*blocks))
        ni = nf
    return nn.Sequential(*layers)


# ------------------------------------------------------------------------------------- the way up


def conv_layer(
    ni: int,
    nf: int,
    ks: int = 3,
    norm: str | None = None,
    activ: bool = True,
    attention: bool = False,
) -> nn.Sequential:
    """Convolution, ReLU, batch norm, attention; weight and spectral norm wrap the convolution."""
    if norm not in NORMS:
        raise ValueError(f"conv_layer: norm must be one of {NORMS}, got {norm!r}")
    batch = norm in ("Batch", "BatchZero")
    conv = nn.Conv2d(ni, nf, ks, padding=(ks - 1) // 2, bias=not batch)
    layers = [reparametrised(conv, norm)]
    layers += [nn.ReLU(inplace=True)] * activ
    layers += [nn.BatchNorm2d(nf)] * batch
    if attention:
        layers.append(SelfAttention(nf))
    return nn.Sequential(*layers)


def reparametrised(conv: nn.Module, norm: str | None) -> nn.Module:
    """The convolution under weight or spectral norm, in the form that hooks before the forward."""
    if norm == "Weight":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the newer form has other names
            return nn.utils.weight_norm(conv)
    return nn.utils.spectral_norm(conv) if norm == "Spectral" else conv


class SelfAttention(nn.Module):
    """γ · (values · softmax(queryᵀ key, over dim 1)) + x over all pixels of a picture."""

    def __init__(self, n: int) -> None:
        super().__init__()
        sizes = {"query": n // 8, "key": n // 8, "value": n}
        for name, nf in sizes.items():
            self.add_module(name, reparametrised(nn.Conv1d(n, nf, 1, bias=False), "Spectral"))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Any) -> Any:
        flat = x.flatten(2)  # (N, C, L)
        f, g, h = self.query(flat), self.key(flat), self.value(flat)
        weights = torch.bmm(f.transpose(1, 2), g).softmax(1)  # (N, L, L): columns sum to 1
        return (self.gamma * torch.bmm(h, weights) + flat).view_as(x)


class Upsampler(nn.Module):
    """1×1 convolution, ReLU, pixel shuffle, and a blur of 2×2 where asked: twice the pixels."""

    def __init__(self, ni: int, nf: int, blur: bool, norm: str | None) -> None:
        super().__init__()
        self.conv = conv_layer(ni, 4 * nf, 1, norm, activ=False)
        self.shuf = nn.PixelShuffle(2)
        self.blurs = blur
        self.pad, self.blur = nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        x = self.shuf(self.relu(self.conv(x)))
        return self.blur(self.pad(x)) if self.blurs else x


class UnetBlock(nn.Module):
    """Twice the pixels, joined with what crosses over, through two convolutions."""

    def __init__(
        self,
        ni: int,
        crossing: int,
        final_div: bool,
        blur: bool,
        norm: str | None,
        attention: bool,
    ) -> None:
        super().__init__()
        self.shuf = Upsampler(ni, ni // 2, blur, norm)
        self.bn = nn.BatchNorm2d(crossing)
        joined = ni // 2 + crossing
        self.channels = joined if final_div else joined // 2
        self.conv1 = conv_layer(joined, self.channels, norm=norm)
        self.conv2 = conv_layer(self.channels, self.channels, norm=norm, attention=attention)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any, kept: Any) -> Any:
        x = as_large(self.shuf(x), kept)
        return self.conv2(self.conv1(self.relu(torch.cat([x, self.bn(kept)], 1))))


def as_large(x: Any, other: Any) -> Any:
    """Nearest-neighbour resize of `x` to the size of `other`, where it is another."""
    size = other.shape[-2:]
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="nearest")


class ResBlock(nn.Module):
    """x + conv_layer(conv_layer(x)), with half the channels between the two if `bottle`."""

    def __init__(self, nf: int, bottle: bool, norm: str | None) -> None:
        super().__init__()
        inner = nf // 2 if bottle else nf
        self.first = conv_layer(nf, inner, norm=norm)
        self.second = conv_layer(inner, nf, norm=norm)

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x)) + x


class Unet(nn.Module):
    """(N, 3, H, W) → (N, classes, H, W): the lesson's DynamicUnet around an encoder.

    norm  None, "Batch", "Weight" or "Spectral", for all convolutions on the way up
    """

    def __init__(
        self,
        encoder: nn.Sequential,
        classes: int,
        *,
        blur: bool = False,
        blur_final: bool = True,
        self_attention: bool = False,
        y_range: tuple[float, float] | None = None,
        last_cross: bool = True,
        bottle: bool = False,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        self.crossings, channels, ni, whole = probe(encoder)
        self.encoder = encoder
        self.bn, self.relu = nn.BatchNorm2d(ni), nn.ReLU(inplace=True)
        self.middle = nn.Sequential(
            conv_layer(ni, 2 * ni, norm=norm), conv_layer(2 * ni, ni, norm=norm)
        )
        self.blocks = nn.ModuleList()
        for k, crossing in enumerate(channels):
            last = k == len(channels) - 1
            blurs = blur and (blur_final or not last)
            attention = self_attention and k == len(channels) - 3
            block = UnetBlock(ni, crossing, not last, blurs, norm, attention)
            self.blocks.append(block)
            ni = block.channels
        self.rise = nn.Identity() if whole else Upsampler(ni, ni, False, norm)
        self.last_cross, self.y_range = last_cross, y_range
        ni += 3 * last_cross
        self.merge = ResBlock(ni, bottle, norm) if last_cross else nn.Identity()
        self.head = conv_layer(ni, classes, 1, norm, activ=False)

    def forward(self, x: Any) -> Any:
        picture, kept = x, []
        for i, layer in enumerate(self.encoder):
            x = layer(x)
            if i in self.crossings:
                kept.append(x)
        x = self.middle(self.relu(self.bn(x)))
        for block in self.blocks:
            x = block(x, kept.pop())
        x = as_large(self.rise(x), picture)
        if self.last_cross:
            x = self.merge(torch.cat([x, picture], 1))
        x = self.head(x)
        if self.y_range is None:
            return x
        low, high = self.y_range
        return torch.sigmoid(x) * (high - low) + low


def probe(encoder: nn.Sequential, side: int = 64) -> tuple[list[int], list[int], int, bool]:
    """(the layers that cross over, their channels from the last, all channels, is layer 0 whole?).

    A layer crosses over where the next one's output is less wide.
    """
    training = encoder.training
    shapes = []
    with torch.no_grad():
        x = torch.zeros(1, 3, side, side)
        encoder.eval()
        for layer in encoder:
            x = layer(x)
            shapes.append(tuple(x.shape))
    encoder.train(training)
    found = [i for i in range(len(shapes) - 1) if shapes[i][3] != shapes[i + 1][3]]
    channels = [shapes[i][1] for i in reversed(found)]
    return found, channels, shapes[-1][1], shapes[0][3] == side


def unet(arch: str, classes: int, **options: Any) -> Unet:
    """The U-Net around "resnet18" or "resnet34", with whatever weights PyTorch starts from."""
    return Unet(body(arch), classes, **options)


# ---------------------------------------------------------------------------------- handing over


def copy_weights(theirs: nn.Module, ours: Any, tensor: Callable[..., Any]) -> None:
    """Copy our parameters and buffers into PyTorch's model, by position.

    tensor  makes a PyTorch tensor of one of ours. ValueError where the shapes differ somewhere.
    """
    pairs = [(theirs.named_parameters(), ours.named_parameters())]
    pairs.append((theirs.named_buffers(), ours.named_buffers()))
    with torch.no_grad():
        for to, of in pairs:
            to, of = list(to), list(of)
            shapes = [[(tuple(t.shape)) for _, t in named] for named in (to, of)]
            if shapes[0] != shapes[1]:
                raise ValueError(f"copy_weights: {differing(to, of)}")
            for (_, mine), (_, value) in zip(to, of, strict=True):
                mine.copy_(tensor(value))


def differing(to: list[Any], of: list[Any]) -> str:
    """The first place where two lists of named tensors do not have the same shape."""
    for (mine, t), (name, value) in zip(to, of, strict=False):
        if tuple(t.shape) != tuple(value.shape):
            return f"{mine} is {tuple(t.shape)} but {name} is {tuple(value.shape)}"
    return f"{len(to)} tensors here but {len(of)} there"
