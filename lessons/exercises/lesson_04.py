"""The checks of lesson 4's exercises: depth, identity, ways, directions, curvature."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.vision.cifar_resnet import PairOfConvs, cifar_resnet

from . import exercise, expect, expect_close, expect_function


def count(model: nn.Module) -> int:
    """The number of a model's parameters."""
    return sum(p.numel() for p in model.parameters())


@exercise("4.1")
def parameters(answer: Any) -> None:
    """parameters(depth, width): one channel in, ten classes, with batch norm."""
    expect_function(answer, "parameters", "depth, width")
    rng = np.random.default_rng()
    for depth, width in ((20, 4), (56, 4), (32, 16), (8, int(rng.integers(3, 9)))):
        net = cifar_resnet(depth, width=width, ni=1)
        found = answer(depth, width)
        convs = sum(count(m) for m in net.modules() if isinstance(m, nn.Conv2d))
        expect(
            found != convs,
            f"{convs:,} are the convolutions of {depth} layers alone. A γ and a β for "
            "every channel, and the linear layer, are parameters too.",
        )
        expect_close(found, count(net), f"parameters({depth}, {width})", 1e-9)


@exercise("4.2")
def do_nothing(answer: Any) -> None:
    """do_nothing(pair): a plain pair's weights set so that it returns what it gets."""
    expect_function(answer, "do_nothing", "pair")
    rng = np.random.default_rng()
    for nf in (2, int(rng.integers(3, 7))):
        pair = PairOfConvs(nf, nf, shortcut=False).eval()
        answer(pair)
        x = mt.randn(2, nf, 5, 4).abs()
        y = pair(x).detach()
        expect(
            y.abs().max().item() > 0,
            "Zero weights give zeros: this pair has no shortcut that would bring x "
            "past them. Each convolution must hand x on.",
        )
        one = mt.zeros(1, nf, 5, 4)
        one.data[:, 0] = 1.0
        others = pair(one).detach()[:, 1:]
        expect(
            others.abs().max().item() < 1e-3,
            "Channel 0 alone has something in it, and it comes out of other channels "
            "too. weight[j, i] is what output j takes from input i.",
        )
        off = (y - x).abs().max().item()
        expect(off < 1e-3, f"The answer is off by up to {off:.2g} from what went in.")


@exercise("4.3")
def share_of_ways(answer: Any) -> None:
    """share_of_ways(pairs, low, high): of all 2^pairs, those through low … high."""
    expect_function(answer, "share_of_ways", "pairs, low, high")
    rng = np.random.default_rng()
    cases = [(27, 9, 18), (9, 0, 9), (4, 2, 2)]
    cases += [(int(n), 1, int(n) // 2) for n in rng.integers(5, 30, 3)]
    for pairs, low, high in cases:
        ways = [comb(pairs, k) for k in range(low, high + 1)]
        found = answer(pairs, low, high)
        what = f"share_of_ways({pairs}, {low}, {high})"
        expect(
            found <= 1.0,
            f"{what} is {found}: a share is at most 1, and there are 2**{pairs} ways.",
        )
        expect(
            abs(found - sum(ways[:-1]) / 2**pairs) > 1e-9,
            f"{what} leaves out the ways through exactly {high} pairs; range(a, b) "
            "ends before b.",
        )
        expect_close(found, sum(ways) / 2**pairs, what, 1e-9)


@exercise("4.4")
def filter_normalised(answer: Any) -> None:
    """filter_normalised(direction, weight): NumPy arrays (out, in, kh, kw)."""
    expect_function(answer, "filter_normalised", "direction, weight")
    rng = np.random.default_rng()
    for shape in ((4, 3, 3, 3), (2, 1, 5, 5), (10, 16)):
        weight = rng.standard_normal(shape) * rng.uniform(
            0.1, 3, (shape[0],) + (1,) * (len(shape) - 1)
        )
        direction = rng.standard_normal(shape)
        found = np.asarray(answer(direction.copy(), weight.copy()), float)
        expect(
            found.shape == shape,
            f"The direction has shape {shape}, the answer {found.shape}.",
        )
        own = np.linalg.norm(found.reshape(shape[0], -1), axis=1)
        wanted = np.linalg.norm(weight.reshape(shape[0], -1), axis=1)
        total = np.linalg.norm(found) - np.linalg.norm(weight)
        expect(
            abs(total) > 1e-6 or np.allclose(own, wanted, rtol=1e-4),
            "The whole is as long as the whole weight, but each filter must be as long "
            f"as its own: filter 0 is {own[0]:.3f} long, the weight's {wanted[0]:.3f}.",
        )
        expect_close(own, wanted, "The lengths of the filters", 1e-4)
        turned = direction / np.abs(direction).max() * found >= 0
        expect(
            turned.all(), "An element has changed its sign: only lengths may change."
        )
        unit = direction.reshape(shape[0], -1)
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        right = (unit * wanted[:, None]).reshape(shape)
        expect_close(found, right, "filter_normalised(direction, weight)", 1e-4)


def _waves(x: mt.Tensor) -> mt.Tensor:
    return (x.exp() * x).sum() + (x[0] * x[1]) ** 2


@exercise("4.5")
def curvature(answer: Any) -> None:
    """curvature(f, x, v): vᵀHv, the second derivative of f along v at x."""
    expect_function(answer, "curvature", "f, x, v")
    rng = np.random.default_rng()
    matrix = rng.standard_normal((3, 3))
    matrix = matrix + matrix.T
    a = mt.tensor(matrix)

    def bowl(x: mt.Tensor) -> mt.Tensor:
        return 0.5 * (x * (a @ x)).sum()

    for _ in range(3):
        x, v = rng.standard_normal(3), rng.standard_normal(3)
        found = answer(bowl, mt.tensor(x, requires_grad=True), mt.tensor(v))
        slope = v @ matrix @ x
        expect(
            np.shape(found) in ((), (1,)),
            f"A curvature is one number; this has shape {np.shape(found)}. H·v is a "
            "vector still, and vᵀ(H·v) is not.",
        )
        found = float(found.item() if hasattr(found, "item") else found)
        expect(
            abs(found - slope) > 1e-6 * abs(slope),
            "That is ∇f·v, the slope along v. Differentiate it once more "
            "(create_graph=True in the first mt.grad).",
        )
        expect_close(found, v @ matrix @ v, "the curvature of ½ xᵀAx along v", 1e-3)
        found = answer(_waves, mt.tensor(x, requires_grad=True), mt.tensor(v))
        h = np.diag(np.exp(x) * (x + 2))
        h[0, 0] += 2 * x[1] ** 2
        h[1, 1] += 2 * x[0] ** 2
        h[0, 1] += 4 * x[0] * x[1]
        h[1, 0] = h[0, 1]
        found = float(found.item() if hasattr(found, "item") else found)
        what = "the curvature of Σ x·eˣ + (x₀·x₁)² along v"
        expect_close(found, v @ h @ v, what, 1e-3)


@exercise("4.6")
def dense_parameters(answer: Any) -> None:
    """dense_parameters(nf, blocks): dense res_blocks in a row, nf enter the first."""
    expect_function(answer, "dense_parameters", "nf, blocks")
    rng = np.random.default_rng()
    for nf, blocks in ((8, 1), (4, 3), (int(rng.integers(2, 6)), 4)):
        row = [nn.res_block(nf * 2**j, dense=True) for j in range(blocks)]
        residual = blocks * count(nn.res_block(nf))
        found = answer(nf, blocks)
        what = f"dense_parameters({nf}, {blocks})"
        expect(
            blocks == 1 or found != residual,
            f"{what} is {found}: so much have {blocks} blocks that add. These put side "
            "by side: the second block gets twice as many channels as the first.",
        )
        expect_close(found, sum(map(count, row)), what, 1e-9)
