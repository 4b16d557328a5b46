"""VGG-16 with batch norm (Simonyan & Zisserman 2014), with torchvision's names and weights.

The feature loss looks at a picture through `features`: see the layers before each pooling, 5, 12,
22, 32 and 42.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import nn
from ..autograd import Tensor
from .pretrained import pretrain

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG(nn.Module):
    """Stages of (3×3 convolution → batch norm → ReLU), each halved by max pooling; a classifier.

    x (N, 3, H, W) → (N, num_classes), for H and W from 2^stages on. stages: the channels of each
    convolution, stage by stage; hidden: the width of the classifier's two hidden layers.

    Convolutions start from Kaiming's normal distribution by fan_out, with bias 0; batch norm from
    γ = 1, β = 0; the classifier from N(0, 0.01²), with bias 0.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]] = VGG16,
        num_classes: int = 1000,
        hidden: int = 4096,
    ) -> None:
        layers: list[nn.Module] = []
        ni = 3
        for stage in stages:
            for nf in stage:
                layers += [
                    nn.Conv2d(ni, nf, 3, padding=1),
                    nn.BatchNorm2d(nf),
                    nn.ReLU(inplace=True),
                ]
                ni = nf
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(ni * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )
        self.apply(_start)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.01)
        nn.init.zeros_(layer.bias)


def vgg16_bn(pretrained: bool | str | Path = False, num_classes: int = 1000) -> VGG:
    """VGG-16 with batch norm: 138,365,992 parameters, 14,723,136 of them in its 44 `features`.

    pretrained: False, True for the weights published for ImageNet (see `pretrained.weights_of`), or
    the path of a .pth or .safetensors file. WeightsError where the weights do not fit.
    """
    return pretrain(VGG(VGG16, num_classes), "vgg16_bn", pretrained)
