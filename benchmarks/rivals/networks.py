"""The larger networks as modules, written once for two libraries.

minitorch7's layers carry PyTorch's names and arguments, so what follows is ordinary source for
both: `nn` is minitorch7's or PyTorch's, `cat` joins tensors, `tensor` makes one of an array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import start
from .large import LEVELS, RESIDUAL_CLASSES, RESNET34_CLASSES, STAGES, UNET_CLASSES, residual_of


def make(model: str, nn: Any, cat: Callable[..., Any]) -> Any:
    """One of the larger networks, with whatever weights the library starts from."""
    sizes = residual_of(model)
    if sizes:
        return residual(nn, sizes.channels, sizes.depth)
    if model == start.GRU:
        return words(nn)
    return unet(nn, cat) if model == "unet" else resnet34(nn)


def fill(net: Any, tensor: Callable[..., Any], model: str, seed: int) -> None:
    """Give the network the weights that all rivals start from."""
    for p, values in zip(net.parameters(), start.parameters(model, seed), strict=True):
        p.copy_(tensor(values))


def fill_running(net: Any, nn: Any, tensor: Callable[..., Any], model: str, seed: int) -> None:
    """Give its batch norms running statistics, as a trained network has them."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, (mean, variance) in zip(norms, start.running(model, seed), strict=True):
        norm.running_mean.copy_(tensor(mean))
        norm.running_var.copy_(tensor(variance))


def conv_norm(nn: Any, ni: int, nf: int, ks: int = 3, stride: int = 1, relu: bool = True) -> Any:
    """Convolution → batch norm, and a ReLU unless it has to wait for a sum."""
    conv = nn.Conv2d(ni, nf, ks, stride, ks // 2, bias=False)
    layers = [conv, nn.BatchNorm2d(nf)] + [nn.ReLU(inplace=True)] * relu
    return nn.Sequential(*layers)


def block(nn: Any, ni: int, nf: int, stride: int = 1) -> Any:
    """He's basic block: relu(shortcut(x) + conv(relu(conv(x))))."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = conv_norm(nn, ni, nf, stride=stride)
            self.conv2 = conv_norm(nn, nf, nf, relu=False)
            same = ni == nf and stride == 1
            self.shortcut = None if same else conv_norm(nn, ni, nf, 1, stride, relu=False)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            kept = x if self.shortcut is None else self.shortcut(x)
            return self.relu(kept + self.conv2(self.conv1(x)))

    return Block()


def resnet34(nn: Any) -> Any:
    """(N, 3, H, W) → (N, classes)."""
    ni = STAGES[0][0]
    layers = [conv_norm(nn, 3, ni, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for nf, blocks in STAGES:
        for _ in range(blocks):
            layers.append(block(nn, ni, nf, 1 if ni == nf else 2))
            ni = nf
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ni, RESNET34_CLASSES)]
    return nn.Sequential(*layers, *head)


def residual(nn: Any, channels: int, depth: int) -> Any:
    """(N, 3, H, W) → (N, classes): `depth` blocks, all of `channels` channels and full size."""
    blocks = [block(nn, channels, channels) for _ in range(depth)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, RESIDUAL_CLASSES)]
    return nn.Sequential(conv_norm(nn, 3, channels), *blocks, *head)


def unet(nn: Any, cat: Callable[..., Any]) -> Any:
    """(N, 3, H, W) → (N, classes, H, W); H and W divisible by 8."""

    def double(ni: int, nf: int) -> Any:
        return nn.Sequential(conv_norm(nn, ni, nf), conv_norm(nn, nf, nf))

    class Up(nn.Module):
        """Twice the pixels, joined with what crosses over from the way down."""

        def __init__(self, ni: int, nf: int) -> None:
            super().__init__()
            conv = nn.Conv2d(ni, 4 * nf, 1)
            self.rise = nn.Sequential(conv, nn.ReLU(inplace=True), nn.PixelShuffle(2))
            self.merge = double(2 * nf, nf)

        def forward(self, x: Any, crossing: Any) -> Any:
            return self.merge(cat([crossing, self.rise(x)], 1))

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = (3, *LEVELS)
            self.down = nn.ModuleList([double(*pair) for pair in zip(sizes, LEVELS, strict=False)])
            pairs = zip(LEVELS[:0:-1], LEVELS[-2::-1], strict=True)
            self.up = nn.ModuleList([Up(*pair) for pair in pairs])
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Conv2d(LEVELS[0], UNET_CLASSES, 1)

        def forward(self, x: Any) -> Any:
            crossing = []
            for i, down in enumerate(self.down):
                x = down(self.pool(x) if i else x)
                crossing.append(x)
            for up, kept in zip(self.up, crossing[-2::-1], strict=True):
                x = up(x, kept)
            return self.head(x)

    return UNet()


def words(nn: Any) -> Any:
    """(N, T) numbers of words → (N·T, words): the lesson's model 5, its state nought each time."""
    words, width = start.WORDS, start.WIDTH

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vectors = nn.Embedding(words, width)
            self.gru = nn.GRU(width, width, start.LAYERS, batch_first=True)
            self.norm = nn.BatchNorm1d(width)
            self.head = nn.Linear(width, words)

        def forward(self, x: Any) -> Any:
            y, _ = self.gru(self.vectors(x))
            return self.head(self.norm(y.flatten(0, 1)))

    return Words()
