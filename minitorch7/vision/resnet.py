"""ResNet-18 and ResNet-34 (He et al. 2015), with torchvision's names, order and weights.

from minitorch7.vision import resnet34
model = resnet34(pretrained=True)
model(x)          # (N, 3, H, W) → (N, 1000)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import nn
from ..autograd import Tensor
from ..functional._arguments import check_integer
from .pretrained import pretrain


def _conv(ni: int, nf: int, ks: int, stride: int, padding: int = 0) -> nn.Conv2d:
    """A convolution without a bias, which the batch norm after it would make idle."""
    return nn.Conv2d(ni, nf, ks, stride=stride, padding=padding, bias=False)


class BasicBlock(nn.Module):
    """relu(bn(conv3×3(relu(bn(conv3×3(x))))) + x)        (He et al. 2015, fig. 5 left)

    x (N, ni, H, W) → (N, nf, ⌈H/stride⌉, ⌈W/stride⌉). Where channels or size change, x goes through
    `downsample`, a 1×1 convolution with batch norm and no activation (the paper's option B).
    """

    def __init__(self, ni: int, nf: int, stride: int = 1) -> None:
        self.conv1 = _conv(ni, nf, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(nf)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv(nf, nf, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(nf)
        if stride != 1 or ni != nf:
            self.downsample = nn.Sequential(_conv(ni, nf, 1, stride), nn.BatchNorm2d(nf))
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + identity)


class ResNet(nn.Module):
    """A stem that quarters the picture, four stages of `BasicBlock`s, and a linear classifier.

    x (N, 3, H, W) → (N, num_classes). layers: how many blocks each stage has; width: the channels
    of the stem and the first stage, 64 in the paper, doubled by each later stage. The children, in
    torchvision's order: conv1, bn1, relu, maxpool, layer1 … layer4, avgpool, fc; a body without the
    classifier is all but the last two.

    Convolutions start from Kaiming's normal distribution by fan_out, batch norm from γ = 1, β = 0.
    """

    def __init__(self, layers: Sequence[int], num_classes: int = 1000, width: int = 64) -> None:
        if len(layers) != 4:
            raise ValueError(f"ResNet: layers must count the blocks of 4 stages, got {layers}")
        check_integer("ResNet", "width", width, 1)
        self.conv1 = _conv(3, width, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(width, width, layers[0], stride=1)
        self.layer2 = _stage(width, 2 * width, layers[1], stride=2)
        self.layer3 = _stage(2 * width, 4 * width, layers[2], stride=2)
        self.layer4 = _stage(4 * width, 8 * width, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, width, H/4, W/4)
        x = self.layer2(self.layer1(x))  # (N, 2·width, H/8, W/8)
        x = self.layer4(self.layer3(x))  # (N, 8·width, H/32, W/32)
        return self.fc(self.avgpool(x).flatten(1))


def _stage(ni: int, nf: int, blocks: int, stride: int) -> nn.Sequential:
    """The first block changes the channels and the size, the others keep both."""
    later = (BasicBlock(nf, nf) for _ in range(blocks - 1))
    return nn.Sequential(BasicBlock(ni, nf, stride), *later)


def resnet18(
    pretrained: bool | str | Path = False, num_classes: int = 1000, width: int = 64
) -> ResNet:
    """ResNet-18: two blocks a stage, 11,689,512 parameters with 1000 classes.

    pretrained: False, True for the weights published for ImageNet (see `pretrained.weights_of`), or
    the path of a .pth or .safetensors file. WeightsError where the weights do not fit.
    width: see `ResNet`; published weights have 64.
    """
    return pretrain(ResNet((2, 2, 2, 2), num_classes, width), "resnet18", pretrained)


def resnet34(
    pretrained: bool | str | Path = False, num_classes: int = 1000, width: int = 64
) -> ResNet:
    """ResNet-34: 3, 4, 6 and 3 blocks, 21,797,672 parameters with 1000 classes.

    pretrained, width: as in `resnet18`.
    """
    return pretrain(ResNet((3, 4, 6, 3), num_classes, width), "resnet34", pretrained)
