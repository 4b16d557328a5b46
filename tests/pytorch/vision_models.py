"""torchvision's ResNets and VGG nets in PyTorch, with its names, from the papers' descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .comparing import torch

tnn = torch.nn


class BasicBlock(tnn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, ni: int, nf: int, stride: int) -> None:
        super().__init__()
        self.conv1 = tnn.Conv2d(ni, nf, 3, stride, 1, bias=False)
        self.bn1 = tnn.BatchNorm2d(nf)
        self.conv2 = tnn.Conv2d(nf, nf, 3, 1, 1, bias=False)
        self.bn2 = tnn.BatchNorm2d(nf)
        self.downsample = None
        if (ni, stride) != (nf, 1):
            self.downsample = tnn.Sequential(
                tnn.Conv2d(ni, nf, 1, stride, bias=False), tnn.BatchNorm2d(nf)
            )

    def forward(self, x: Any) -> Any:
        around = self.downsample(x) if self.downsample else x
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + around)


class ResNet(tnn.Module):
    """Stem, four stages, classifier."""

    def __init__(self, layers: Sequence[int], num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = tnn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = tnn.BatchNorm2d(64)
        ni = 64
        for i, blocks in enumerate(layers):
            nf = 64 * 2**i
            stride = 1 if i == 0 else 2
            stage = [BasicBlock(ni, nf, stride)]
            stage += [BasicBlock(nf, nf, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{i + 1}", tnn.Sequential(*stage))
            ni = nf
        self.fc = tnn.Linear(ni, num_classes)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = tnn.functional.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


class VGG(tnn.Module):
    """Stages of convolution, batch norm and ReLU before each pooling; three linear layers."""

    def __init__(self, stages: Any, num_classes: int, hidden: int) -> None:
        super().__init__()
        layers, ni = [], 3
        for stage in stages:
            for nf in stage:
                layers += [tnn.Conv2d(ni, nf, 3, 1, 1), tnn.BatchNorm2d(nf), tnn.ReLU()]
                ni = nf
            layers.append(tnn.MaxPool2d(2, 2))
        self.features = tnn.Sequential(*layers)
        self.classifier = tnn.Sequential(
            tnn.Linear(49 * ni, hidden),
            tnn.ReLU(),
            tnn.Dropout(),
            tnn.Linear(hidden, hidden),
            tnn.ReLU(),
            tnn.Dropout(),
            tnn.Linear(hidden, num_classes),
        )

    def forward(self, x: Any) -> Any:
        x = tnn.functional.adaptive_avg_pool2d(self.features(x), (7, 7))
        return self.classifier(x.flatten(1))


def lived_in(model: Any, seed: int = 0) -> Any:
    """The model as if trained: batch norms have statistics, scales and shifts of their own."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, tnn.BatchNorm2d):
            tnn.init.uniform_(module.weight, 0.5, 1.5)
            tnn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(7)
    return model
