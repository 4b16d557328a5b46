"""The residual networks for small pictures, and the same without shortcuts (He et al. 2015, §4.2).

    plain, residual = cifar_resnet(56, shortcuts=False), cifar_resnet(56)

The two have the same parameters in the same order, so from one seed they start with the same
weights. All that tells them apart is the sum.
"""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..functional._arguments import check_integer

STAGES = 3  # of the network: pictures of full size, of half and of a quarter


class PairOfConvs(nn.Module):
    """relu(f(x) + shortcut(x)), or relu(f(x)) without one; f = norm ∘ conv ∘ relu ∘ norm ∘ conv.

    x (N, ni, H, W) → (N, nf, ⌈H/stride⌉, ⌈W/stride⌉). The shortcut is x itself; where the size
    changes, every second pixel of it, and where the channels grow, zeros in the new ones. It has no
    parameters: the paper's option A.
    """

    def __init__(
        self, ni: int, nf: int, stride: int = 1, shortcut: bool = True, norm: bool = True
    ) -> None:
        self.body = nn.Sequential(*_conv(ni, nf, stride, norm), nn.ReLU(), *_conv(nf, nf, 1, norm))
        self.new, self.stride, self.shortcut = nf - ni, stride, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.shortcut:
            if self.stride > 1:
                x = x[:, :, :: self.stride, :: self.stride]
            if self.new:
                x = F.pad(x, (0, 0, 0, 0, 0, self.new))
            y = y + x
        return y.relu()

    def extra_repr(self) -> str:
        return f"shortcut={self.shortcut}"


class CifarResNet(nn.Module):
    """One convolution, three stages of n pairs, the mean over the picture, a linear classifier.

    x (N, ni, H, W) → (N, num_classes). The children, in order: stem, stage0, stage1, stage2,
    avgpool, fc. Stages 1 and 2 halve the picture and double the channels at their first pair.

    depth      the layers with weights, 6n + 2: 20, 32, 44, 56, 110
    shortcuts  whether each pair of convolutions is added to its input; without, a plain network
    width      channels of the stem and of stage 0; 16 in the paper
    norm       whether a batch norm follows each convolution; without, a bias is part of it

    Convolutions start from Kaiming's normal distribution by fan_out, as in `resnet`. ValueError for
    a depth that is not 6n + 2.
    """

    def __init__(
        self,
        depth: int,
        shortcuts: bool = True,
        width: int = 16,
        num_classes: int = 10,
        ni: int = 3,
        norm: bool = True,
    ) -> None:
        check_integer("CifarResNet", "depth", depth, 8)
        check_integer("CifarResNet", "width", width, 1)
        pairs, rest = divmod(depth - 2, 2 * STAGES)
        if rest:
            near = 2 + 6 * pairs
            raise ValueError(
                f"CifarResNet: depth must be 6n + 2 (three stages of n pairs of convolutions, one "
                f"before them and a linear layer after), got {depth}; try {near} or {near + 6}"
            )
        self.stem = nn.Sequential(*_conv(ni, width, 1, norm), nn.ReLU())
        for i in range(STAGES):
            nf = width * 2**i
            first = PairOfConvs(nf if i == 0 else nf // 2, nf, 1 + (i > 0), shortcuts, norm)
            later = (PairOfConvs(nf, nf, 1, shortcuts, norm) for _ in range(pairs - 1))
            self.add_module(f"stage{i}", nn.Sequential(first, *later))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(nf, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (N, width, H, W)
        x = self.stage2(self.stage1(self.stage0(x)))  # (N, 4·width, H/4, W/4)
        return self.fc(self.avgpool(x).flatten(1))


def _conv(ni: int, nf: int, stride: int, norm: bool) -> list[nn.Module]:
    """A 3×3 convolution and its batch norm; without one it has a bias, which starts at 0."""
    conv = nn.Conv2d(ni, nf, 3, stride=stride, padding=1, bias=not norm)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return [conv, nn.BatchNorm2d(nf)] if norm else [conv]


def cifar_resnet(
    depth: int,
    shortcuts: bool = True,
    width: int = 16,
    num_classes: int = 10,
    ni: int = 3,
    norm: bool = True,
) -> CifarResNet:
    """ResNet-20, -32, -44, -56 or -110 for small pictures; see `CifarResNet` for the arguments."""
    return CifarResNet(depth, shortcuts, width, num_classes, ni, norm)
