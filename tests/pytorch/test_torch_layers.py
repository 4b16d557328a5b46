"""Every layer with PyTorch's weights: outputs, gradients, running statistics, initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn

from . import models
from .comparing import torch
from .running import TOLERANCE, check_close, cotangent

IMAGE = (2, 4, 6, 8)
# label: (the layer, in either library, and the shape of what it is given)
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Linear": (lambda n: n.Linear(5, 3), (4, 5)),
    "Linear no bias": (lambda n: n.Linear(5, 3, bias=False), (2, 4, 5)),
    "Conv1d": (lambda n: n.Conv1d(4, 6, 3, 2, 1, 2, 2), (2, 4, 9)),
    "Conv1d same": (lambda n: n.Conv1d(4, 6, 3, padding="same", bias=False), (2, 4, 9)),
    "Conv2d": (lambda n: n.Conv2d(4, 6, 3), IMAGE),
    "Conv2d options": (lambda n: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2, False), IMAGE),
    "Conv2d same": (lambda n: n.Conv2d(4, 6, 3, padding="same"), IMAGE),
    "ConvTranspose2d": (lambda n: n.ConvTranspose2d(4, 6, 2, 2), IMAGE),
    "ConvTranspose2d options": (
        lambda n: n.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 2),
        IMAGE,
    ),
    "BatchNorm1d": (lambda n: n.BatchNorm1d(4), (5, 4)),
    "BatchNorm1d lines": (lambda n: n.BatchNorm1d(4, eps=1e-3, momentum=0.3), (3, 4, 5)),
    "BatchNorm2d": (lambda n: n.BatchNorm2d(4), IMAGE),
    "BatchNorm2d not affine": (lambda n: n.BatchNorm2d(4, affine=False), IMAGE),
    "BatchNorm2d no statistics": (lambda n: n.BatchNorm2d(4, track_running_stats=False), IMAGE),
    "BatchNorm2d cumulative": (lambda n: n.BatchNorm2d(4, momentum=None), IMAGE),
    "InstanceNorm2d": (lambda n: n.InstanceNorm2d(4), IMAGE),
    "InstanceNorm2d affine": (lambda n: n.InstanceNorm2d(4, affine=True), IMAGE),
    "InstanceNorm2d statistics": (
        lambda n: n.InstanceNorm2d(4, momentum=0.3, track_running_stats=True),
        IMAGE,
    ),
    "GroupNorm": (lambda n: n.GroupNorm(2, 4), IMAGE),
    "GroupNorm not affine": (lambda n: n.GroupNorm(4, 4, eps=1e-2, affine=False), IMAGE),
    "LayerNorm": (lambda n: n.LayerNorm(8), IMAGE),
    "LayerNorm axes": (lambda n: n.LayerNorm((6, 8), eps=1e-2), IMAGE),
    "LayerNorm not affine": (lambda n: n.LayerNorm([8], elementwise_affine=False), IMAGE),
    "ReLU": (lambda n: n.ReLU(), IMAGE),
    "LeakyReLU": (lambda n: n.LeakyReLU(0.2), IMAGE),
    "ELU": (lambda n: n.ELU(0.5), IMAGE),
    "GELU": (lambda n: n.GELU(), IMAGE),
    "GELU tanh": (lambda n: n.GELU("tanh"), IMAGE),
    "SiLU": (lambda n: n.SiLU(), IMAGE),
    "Softplus": (lambda n: n.Softplus(2.0, 1.0), IMAGE),
    "Tanh": (lambda n: n.Tanh(), IMAGE),
    "Sigmoid": (lambda n: n.Sigmoid(), IMAGE),
    "Softmax": (lambda n: n.Softmax(dim=1), IMAGE),
    "LogSoftmax": (lambda n: n.LogSoftmax(dim=-1), IMAGE),
    "Dropout none": (lambda n: n.Dropout(0.0), IMAGE),
    "Dropout2d none": (lambda n: n.Dropout2d(0.0), IMAGE),
    "Identity": (lambda n: n.Sequential(n.Identity(), n.Tanh()), IMAGE),
    "Flatten": (lambda n: n.Flatten(), IMAGE),
    "Flatten dims": (lambda n: n.Flatten(0, 2), IMAGE),
    "MaxPool2d": (lambda n: n.MaxPool2d(3, 2, 1), IMAGE),
    "MaxPool2d ceil": (lambda n: n.MaxPool2d(2, stride=3, dilation=2, ceil_mode=True), IMAGE),
    "AvgPool2d": (lambda n: n.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "AvgPool2d default": (lambda n: n.AvgPool2d(2), IMAGE),
    "AdaptiveAvgPool2d": (lambda n: n.AdaptiveAvgPool2d((2, 3)), IMAGE),
    "AdaptiveAvgPool2d 1": (lambda n: n.AdaptiveAvgPool2d(1), IMAGE),
    "AdaptiveMaxPool2d": (lambda n: n.AdaptiveMaxPool2d((4, 3)), IMAGE),
    "ZeroPad2d": (lambda n: n.ZeroPad2d((1, 0, 2, 1)), IMAGE),
    "ReflectionPad2d": (lambda n: n.ReflectionPad2d(2), IMAGE),
    "ReplicationPad2d": (lambda n: n.ReplicationPad2d((1, 0, 1, 0)), IMAGE),
    "PixelShuffle": (lambda n: n.PixelShuffle(2), IMAGE),
    "PixelUnshuffle": (lambda n: n.PixelUnshuffle(2), IMAGE),
    "Upsample": (lambda n: n.Upsample(scale_factor=2), IMAGE),
    "Upsample bilinear": (
        lambda n: n.Upsample((9, 5), mode="bilinear", align_corners=True),
        IMAGE,
    ),
    "Unfold": (lambda n: n.Unfold(3, 1, 1, 2), IMAGE),
    "Fold": (lambda n: n.Fold((5, 6), 2), (2, 8, 20)),
    "Sequential": (
        lambda n: n.Sequential(n.Conv2d(4, 3, 3), n.BatchNorm2d(3), n.ReLU(), n.Flatten()),
        IMAGE,
    ),
}
BLOCKS: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "conv_layer": (lambda m, norm: m.conv_layer(4, 6, **norm(True)), IMAGE),
    "conv_layer stride": (lambda m, norm: m.conv_layer(4, 6, ks=5, stride=2), IMAGE),
    "conv_layer no norm": (lambda m, norm: m.conv_layer(4, 6, **norm(False)), IMAGE),
    "conv_layer bias": (lambda m, norm: m.conv_layer(4, 6, 1, bias=True, use_activ=False), IMAGE),
    "conv_layer leaky": (lambda m, norm: m.conv_layer(4, 6, leaky=0.2, padding=0), IMAGE),
    "conv_layer 1d": (lambda m, norm: m.conv_layer(4, 6, is_1d=True), (2, 4, 9)),
    "conv_layer transpose": (lambda m, norm: m.conv_layer(4, 6, 2, 2, transpose=True), IMAGE),
    "res_block": (lambda m, norm: m.res_block(4), IMAGE),
    "res_block dense": (lambda m, norm: m.res_block(4, dense=True), IMAGE),
    "res_block bottle": (lambda m, norm: m.res_block(4, bottle=True, **norm(False)), IMAGE),
    "res_block leaky": (lambda m, norm: m.res_block(4, leaky=0.1, **norm(True)), IMAGE),
}


def _steps(ours: nn.Module, theirs: Any, shape: tuple[int, ...], dtype: str) -> None:
    """Three batches in training mode and one in evaluation: everything the same after each."""
    models.like(ours, theirs, dtype)
    tolerance = TOLERANCE[dtype]
    for step, training in enumerate((True, True, True, False)):
        ours.train(training)
        theirs.train(training)
        x = (cotangent(step, shape, dtype) * 2 + 1).astype(dtype)
        a, b = mt.tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        check_close(y.detach().numpy(), z.detach().numpy(), tolerance, f"output {step}")
        g = cotangent((step, 1), y.shape, dtype)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(mt.tensor(g))
        z.backward(torch.tensor(g))
        check_close(a.grad.numpy(), b.grad.numpy(), tolerance, f"input's gradient {step}")
        for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            # A sum over all places: where it cancels, its rounding is that of its large terms, and
            # against float64 ours and PyTorch's are off by as much.
            scale = np.float32(max(1, float(q.grad.abs().max()))).astype(dtype)
            what = f"{name}'s gradient {step}"
            check_close(p.grad.numpy() / scale, q.grad.numpy() / scale, tolerance, what)
        for name, t in theirs.state_dict().items():
            check_close(ours.state_dict()[name].detach().numpy(), t.numpy(), tolerance, name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("label", LAYERS)
def test_layer(label: str, dtype: str) -> None:
    make, shape = LAYERS[label]
    _steps(make(nn), make(torch.nn), shape, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("label", BLOCKS)
def test_block(label: str, dtype: str) -> None:
    make, shape = BLOCKS[label]
    ours = make(nn, lambda batch: {"norm_type": nn.NormType.Batch if batch else None})
    _steps(ours, make(models, lambda batch: {"norm": batch}), shape, dtype)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx: int | None) -> None:
    ours = nn.Embedding(5, 3, padding_idx)
    theirs = torch.nn.Embedding(5, 3, padding_idx)
    models.like(ours, theirs, "float64")
    ids = np.random.default_rng(0).integers(0, 5, (4, 6))
    y, z = ours(mt.tensor(ids)), theirs(torch.tensor(ids))
    check_close(y.detach().numpy(), z.detach().numpy(), 1e-10, "rows")
    g = cotangent(0, y.shape, "float64")
    y.backward(mt.tensor(g))
    z.backward(torch.tensor(g))
    check_close(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), 1e-10, "gradient")


LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "CrossEntropyLoss": ("classes", {"label_smoothing": 0.1, "ignore_index": 1}),
    "CrossEntropyLoss weighted": ("classes", {"weight": [0.5, 2.0, 1.0], "reduction": "sum"}),
    "NLLLoss": ("classes", {"weight": [0.5, 2.0, 1.0]}),
    "BCEWithLogitsLoss": ("numbers", {"pos_weight": [0.5, 2.0, 1.0]}),
    "BCEWithLogitsLoss weighted": ("numbers", {"weight": [0.5, 2.0, 1.0], "reduction": "none"}),
    "MSELoss": ("numbers", {}),
    "L1Loss": ("numbers", {"reduction": "sum"}),
    "SmoothL1Loss": ("numbers", {"beta": 0.5}),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("label", LOSSES)
def test_loss(label: str, dtype: str) -> None:
    kind, options = LOSSES[label]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 3)).astype(dtype)
    target = rng.integers(0, 3, 6) if kind == "classes" else rng.random((6, 3)).astype(dtype)
    results = []
    for make, library in ((mt.tensor, nn), (torch.tensor, torch.nn)):
        given = {
            k: make(np.asarray(v, dtype)) if isinstance(v, list) else v for k, v in options.items()
        }
        loss = getattr(library, label.split()[0])(**given)
        scores = make(x.copy(), requires_grad=True)
        y = loss(scores, make(target))
        y.sum().backward()
        results.append((list(loss.state_dict()), y.detach().numpy(), scores.grad.numpy()))
    assert results[0][0] == results[1][0]
    check_close(results[0][1], results[1][1], TOLERANCE[dtype], "loss")
    check_close(results[0][2], results[1][2], TOLERANCE[dtype], "gradient")


@pytest.mark.parametrize(("kind", "kept"), [("Dropout", (8, 30)), ("Dropout2d", (1, 1))])
def test_dropout_drops_as_much(kind: str, kept: tuple[int, int]) -> None:
    """Elements, or whole channels, are 0 or x/(1 − p), in PyTorch's proportion; so is the slope."""
    for library, make in ((nn, mt.tensor), (torch.nn, torch.tensor)):
        torch.manual_seed(0)
        x = make(np.full((64, 40, 8, 30), 3.0), requires_grad=True)
        layer = getattr(library, kind)(0.3)
        y = layer(x)
        y.sum().backward()
        values, slopes = y.detach().numpy(), x.grad.numpy()
        assert np.allclose(np.unique(values), [0, 3 / 0.7])
        assert np.allclose(slopes * 3, values)
        blocks = values.reshape(64, 40, -1)
        whole = (blocks == blocks[..., :1]).all()
        assert whole == (kind == "Dropout2d")
        drawn = values[:, :, : kept[0], : kept[1]]
        spread = math.sqrt(0.3 * 0.7 / drawn.size)
        assert abs((drawn == 0).mean() - 0.3) < 5 * spread
        assert layer.eval()(x) is x or np.array_equal(layer(x).detach().numpy(), x.detach().numpy())


# ---------------------------------------------------------------------------------- initial weights

BIG: dict[str, Callable[[Any], Any]] = {
    "Linear": lambda n: n.Linear(300, 400),
    "Conv1d": lambda n: n.Conv1d(60, 200, 5),
    "Conv2d": lambda n: n.Conv2d(40, 100, 5),
    "Conv2d groups": lambda n: n.Conv2d(40, 200, 5, groups=2),
    "ConvTranspose2d": lambda n: n.ConvTranspose2d(40, 100, 5),
    "ConvTranspose2d groups": lambda n: n.ConvTranspose2d(40, 200, 5, groups=2),
    "Embedding": lambda n: n.Embedding(400, 300),
}


@pytest.mark.parametrize("label", BIG)
def test_default_weights_are_spread_alike(label: str) -> None:
    """Mean, spread, fourth moment and range of weight and bias: as close as samples can be."""
    torch.manual_seed(0)
    ours, theirs = BIG[label](nn), BIG[label](torch.nn)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        _check_spread(p.detach().numpy(), q.detach().numpy(), name)


INITS: dict[str, tuple[str, dict[str, Any]]] = {
    "kaiming_normal_": ("kaiming_normal_", {}),
    "kaiming_normal_ relu fan_out": (
        "kaiming_normal_",
        {"mode": "fan_out", "nonlinearity": "relu"},
    ),
    "kaiming_normal_ a": ("kaiming_normal_", {"a": 0.5}),
    "kaiming_uniform_": ("kaiming_uniform_", {}),
    "kaiming_uniform_ a": ("kaiming_uniform_", {"a": 5**0.5, "mode": "fan_out"}),
    "kaiming_uniform_ tanh": ("kaiming_uniform_", {"nonlinearity": "tanh"}),
    "kaiming_uniform_ sigmoid": ("kaiming_uniform_", {"nonlinearity": "sigmoid"}),
    "kaiming_uniform_ linear": ("kaiming_uniform_", {"nonlinearity": "linear"}),
    "xavier_normal_": ("xavier_normal_", {"gain": 2.0}),
    "xavier_uniform_": ("xavier_uniform_", {}),
    "normal_": ("normal_", {"mean": 1.0, "std": 0.2}),
    "uniform_": ("uniform_", {"a": -1.0, "b": 3.0}),
    "constant_": ("constant_", {"val": 0.7}),
    "ones_": ("ones_", {}),
    "zeros_": ("zeros_", {}),
}


@pytest.mark.parametrize("label", INITS)
def test_init(label: str) -> None:
    name, options = INITS[label]
    torch.manual_seed(0)
    ours = getattr(nn.init, name)(mt.zeros(200, 60, 3, 3), **options)
    theirs = getattr(torch.nn.init, name)(torch.zeros(200, 60, 3, 3), **options)
    _check_spread(ours.numpy(), theirs.numpy(), name)


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "sigmoid", "leaky_relu"])
def test_gains(name: str) -> None:
    for param in (None,) if name != "leaky_relu" else (None, 0.3, 0):
        expected = torch.nn.init.calculate_gain(name, param)
        assert nn.init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-12)


def _check_spread(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    assert got.shape == expected.shape and got.dtype == expected.dtype
    n, scale = got.size, expected.std()
    if scale == 0:
        np.testing.assert_array_equal(got, expected)
        return
    noise = 6 / math.sqrt(n)  # six standard errors, more for the higher moments
    assert abs(got.mean() - expected.mean()) < 1.5 * noise * scale, what
    assert abs(got.std() / scale - 1) < 1.5 * noise, what
    kurtosis = [((a - a.mean()) ** 4).mean() / a.var() ** 2 for a in (got, expected)]
    assert abs(kurtosis[0] - kurtosis[1]) < 8 * noise, what  # 1.8 if uniform, 3 if normal
    if kurtosis[1] < 2.2:  # uniform: the ends are sharp
        assert abs(np.abs(got).max() / np.abs(expected).max() - 1) < 30 / n + 1e-6, what
