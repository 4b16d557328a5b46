"""The lesson's blocks and its three MNIST nets, in PyTorch, built by hand."""

from __future__ import annotations

from typing import Any

from minitorch7 import nn

from .comparing import torch

tnn = torch.nn


class Merge(tnn.Module):
    """Marks the place where the block's input comes back."""

    def __init__(self, dense: bool = False) -> None:
        super().__init__()
        self.dense = dense


class Residual(tnn.Sequential):
    """Layers one after another; `Merge` adds or appends what came in."""

    def forward(self, x: Any) -> Any:
        original = x
        for layer in self:
            if not isinstance(layer, Merge):
                x = layer(x)
            else:
                x = torch.cat([x, original], 1) if layer.dense else x + original
        return x


def conv_layer(
    ni: int,
    nf: int,
    ks: int = 3,
    stride: int = 1,
    padding: int | None = None,
    bias: bool | None = None,
    is_1d: bool = False,
    norm: bool = True,
    use_activ: bool = True,
    leaky: float | None = None,
    transpose: bool = False,
) -> Any:
    """Convolution, activation, batch norm."""
    padding = ((ks - 1) // 2 if not transpose else 0) if padding is None else padding
    kind = tnn.ConvTranspose2d if transpose else tnn.Conv1d if is_1d else tnn.Conv2d
    layers = [kind(ni, nf, ks, stride, padding, bias=not norm if bias is None else bias)]
    if use_activ:
        layers.append(tnn.ReLU() if leaky is None else tnn.LeakyReLU(leaky))
    if norm:
        layers.append((tnn.BatchNorm1d if is_1d else tnn.BatchNorm2d)(nf))
    return tnn.Sequential(*layers)


def res_block(nf: int, dense: bool = False, bottle: bool = False, **options: Any) -> Any:
    """Two `conv_layer`s and a merge."""
    inner = nf // 2 if bottle else nf
    return Residual(
        conv_layer(nf, inner, **options), conv_layer(inner, nf, **options), Merge(dense)
    )


CHANNELS = ((1, 8), (8, 16), (16, 32), (32, 16), (16, 10))


def basic(library: Any) -> Any:
    """Five convolutions with bias, batch norm between, no ReLU at the end. 12,126 parameters."""
    layers = []
    for ni, nf in CHANNELS:
        layers += [
            library.Conv2d(ni, nf, kernel_size=3, stride=2, padding=1),
            library.BatchNorm2d(nf),
            library.ReLU(),
        ]
    return library.Sequential(*layers[:-1], library.Flatten())


def refactored(library: Any) -> Any:
    """Five `conv_layer`s. 12,044 parameters."""
    layer = nn.conv_layer if library is nn else conv_layer
    return library.Sequential(*[layer(i, o, stride=2) for i, o in CHANNELS], library.Flatten())


def resnet(library: Any) -> Any:
    """Each `conv_layer` but the last followed by a `res_block`. 41,132 parameters."""
    layer = nn.conv_layer if library is nn else conv_layer
    block = nn.res_block if library is nn else res_block
    layers = []
    for ni, nf in CHANNELS[:-1]:
        layers += [layer(ni, nf, stride=2), block(nf)]
    return library.Sequential(*layers, layer(*CHANNELS[-1], stride=2), library.Flatten())


MNIST = {"basic": (basic, 12_126), "refactored": (refactored, 12_044), "resnet": (resnet, 41_132)}


def like(ours: nn.Module, theirs: Any, dtype: str, seed: int = 0) -> None:
    """Both models in one dtype with one set of random weights; their state has the same keys."""
    getattr(ours, "double" if dtype == "float64" else "float")()
    theirs.to(getattr(torch, dtype))
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in theirs.parameters():
            if p.ndim < 2:  # else scales of 1 and shifts of 0 would hide a mistake
                p.add_(torch.randn(p.shape, dtype=p.dtype) * 0.3)
    own, other = ours.state_dict(), theirs.state_dict()
    assert list(own) == list(other)
    assert [t.shape for t in own.values()] == [tuple(t.shape) for t in other.values()]
    assert [str(t.dtype) for t in own.values()] == [str(t.dtype)[6:] for t in other.values()]
    ours.load_state_dict({k: t.numpy().copy() for k, t in other.items()})
