"""The lesson's three MNIST networks, for every benchmark, and the recipe each is trained with."""

from __future__ import annotations

from typing import NamedTuple

from minitorch7 import nn

CHANNELS = (1, 8, 16, 32, 16, 10)  # 28 → 14 → 7 → 4 → 2 → 1 pixels


def basic_cnn() -> nn.Sequential:
    """Convolution → batch norm → ReLU five times, without the last ReLU: 12,126 parameters."""
    layers: list[nn.Module] = []
    for ni, nf in zip(CHANNELS, CHANNELS[1:], strict=False):
        layers += [nn.Conv2d(ni, nf, 3, stride=2, padding=1), nn.BatchNorm2d(nf), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Flatten())


def refactored_cnn() -> nn.Sequential:
    """Five conv_layers: 12,044 parameters."""
    pairs = zip(CHANNELS, CHANNELS[1:], strict=False)
    return nn.Sequential(*[nn.conv_layer(ni, nf, stride=2) for ni, nf in pairs], nn.Flatten())


def resnetish() -> nn.Sequential:
    """A res_block after each conv_layer but the last: 41,132 parameters."""
    layers: list[nn.Module] = []
    for ni, nf in zip(CHANNELS[:-1], CHANNELS[1:-1], strict=False):
        layers += [nn.conv_layer(ni, nf, stride=2), nn.res_block(nf)]
    return nn.Sequential(*layers, nn.conv_layer(16, 10, stride=2), nn.Flatten())


class Recipe(NamedTuple):
    """How the lesson trains a network, what it printed, and what PyTorch reached."""

    make: object
    epochs: int
    max_lr: float
    lesson: tuple[float, float]  # the accuracy in the notes, and in the later notebook
    pytorch: tuple[float, float]  # mean and best over five seeds, the same recipe
    target: float  # the least mean that counts as reproduced


RECIPES = {
    "basic": Recipe(basic_cnn, 3, 0.1, (0.9864, 0.9886), (0.9874, 0.9883), 0.987),
    "refactored": Recipe(refactored_cnn, 10, 0.1, (0.9911, 0.9916), (0.9907, 0.9914), 0.990),
    "resnet": Recipe(resnetish, 12, 0.05, (0.9954, 0.9952), (0.9945, 0.9951), 0.994),
}
