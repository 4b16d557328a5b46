"""Lesson 8: how far piles are apart, and what a critic is told and may be."""

from __future__ import annotations

from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.vision import basic_generator
from minitorch7.vision.gan_losses import NoopLoss, WassersteinLoss, gradient_penalty

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip, like


@exercise("8.1")
def distance(answer: Any) -> None:
    expect_function(answer, "distance", "a, b")
    rng = np.random.default_rng()
    for spread in (1.0, 4.0):
        n = int(rng.integers(5, 30))
        a, b = rng.normal(0, 1, n), rng.normal(0.5, spread, n)
        # the area between the two piles' distribution functions
        points = np.sort(np.concatenate([a, b]))
        below = [(pile[:, None] <= points).mean(0)[:-1] for pile in (a, b)]
        wanted = (np.abs(below[0] - below[1]) * np.diff(points)).sum()
        slips = {
            "This carries each grain to the one that happens to have its number. The "
            "distance is that of the *cheapest* way to carry them.": np.abs(
                a - b
            ).mean(),
            "This is how far the means are apart. Two piles with one mean can still be "
            "of another shape.": abs(a.mean() - b.mean()),
            "This is what all grains are carried together. A pile weighs 1: take the "
            "mean.": n * wanted,
            "This squares the ways. The Wasserstein distance of this lesson is the "
            "mean way itself.": ((np.sort(a) - np.sort(b)) ** 2).mean(),
            "This is the mean over all pairs. A grain is carried to one place, not to "
            "all of them.": np.abs(a[:, None] - b).mean(),
        }
        found = answer(a.copy(), b.copy())
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"The distance of two piles of {n}")


@exercise("8.2")
def losses(answer: Any) -> None:
    expect_function(answer, "losses", "real, fake")
    rng = np.random.default_rng()
    real, fake = rng.normal(-1, 1, 8), rng.normal(2, 1, 8)
    critic = WassersteinLoss()(mt.tensor(real), mt.tensor(fake)).item()
    wanted = [critic, NoopLoss()(mt.tensor(fake)).item()]
    found = answer(real.copy(), fake.copy())
    expect(
        np.shape(found) == (2,),
        "The answer is a pair: (the critic's, the generator's).",
    )
    expect(
        not like(found[0], -critic),
        "The critic's sign. It makes its loss small, and in the lesson's signs that is "
        "to give real pictures *low* scores.",
    )
    expect_close(found[0], wanted[0], "The critic's loss")
    expect(
        not like(found[1], -wanted[1]),
        "The generator's sign. Real pictures get low scores here, so low is what it "
        "wants for its own, and its loss is what it makes small.",
    )
    expect(
        not like(found[1], -critic),
        "The real pictures' part is right and idle: the generator cannot move it. Its "
        "loss is of its own pictures alone.",
    )
    expect_close(found[1], wanted[1], "The generator's loss")


@exercise("8.3")
def says(answer: Any) -> None:
    expect_function(answer, "says", "gap, n, c")
    rng = np.random.default_rng()
    for gap, n, c in ((1.0, 16, 0.3), (2.0, 16, 0.3), (0.5, *_drawn(rng))):
        critic = nn.Sequential(nn.Linear(1, n), nn.LeakyReLU(0.2), nn.Linear(n, 1))
        for layer in (critic[0], critic[2]):
            layer.weight.data[...], layer.bias.data[...] = c, c
        with mt.no_grad():
            points = critic(mt.tensor(np.float32([[0], [gap]])))
        wanted = float(points[1, 0].item() - points[0, 0].item())
        found = answer(gap, n, c)
        slips = {
            "One hidden unit adds c·c to the slope; there are n of them, and their "
            "ways add up.": gap * c * c,
            "The signal goes through two layers, and each multiplies it by c at "
            "most.": (gap * n * c),
            "That is the slope where the leaky ReLU leaks. If the sign of its input is "
            "positive, it lets all through: the bias can see to that.": (
                0.2 * gap * n * c * c
            ),
            "Each hidden unit has one input only. So n stands there once.": (
                gap * n * n * c * c
            ),
            "Biases shift both points' answers alike; in the difference they are "
            "gone.": (gap * n * c * c + n * c * c + c),
        }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"says({gap}, {n}, {c})", 1e-4)


@exercise("8.4")
def penalty(answer: Any) -> None:
    expect_function(answer, "penalty", "w")
    rng = np.random.default_rng()
    for scale in (0.1, 1.0):
        w = rng.normal(0, scale, (1, 4, 4))
        weight = mt.tensor(w)
        real, fake = (mt.tensor(rng.normal(0, 1, (3, 1, 4, 4))) for _ in range(2))

        def critic(x: Any, weight: Any = weight) -> Any:
            return (x * weight).sum((1, 2, 3)) + 0.7

        wanted = gradient_penalty(critic, real, fake).item()
        length = float(np.sqrt((w**2).sum()))
        slips = {
            "The factor 10 is missing.": (length - 1) ** 2,
            "The length is squared here. It is the difference of the length itself "
            "from 1 that is squared.": 10 * (length**2 - 1) ** 2,
            "Each weight is compared with 1 here. It is the length of the whole "
            "gradient that should be 1.": 10 * ((w - 1) ** 2).mean(),
            "This punishes every slope. A slope of 1 is what is wanted.": 10
            * length**2,
            "This punishes only slopes above 1. The paper's formula asks for 1, from "
            "both sides.": 10 * max(0.0, length - 1) ** 2,
            "This is the sum of all weights' sizes. Length is the root of the sum of "
            "squares.": 10 * (np.abs(w).sum() - 1) ** 2,
            "The square is missing: too long and too short would cancel out.": (
                10 * (length - 1)
            ),
        }
        found = answer(w.copy())
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"penalty(w) for ‖w‖ = {length:.3g}", 1e-4)


@exercise("8.5")
def score(answer: Any) -> None:
    expect_function(answer, "score", "shares")
    rng = np.random.default_rng()
    for counts in ([1, 3], [1] * 10, [1], rng.integers(1, 9, 6).tolist()):
        n = len(counts)
        answers = np.repeat(np.eye(n), counts, axis=0) + 1e-12  # the judge is sure
        differ = (answers * np.log(answers / answers.mean(0))).sum(1)
        wanted = float(np.exp(differ.mean()))
        p = np.array(counts) / sum(counts)
        shares = p.tolist()
        found = answer(list(shares))
        slips = {
            "How many classes there are is the score only if all are equally "
            "frequent.": (len(p)),
            "That is the mean divergence. The score is e to that.": np.log(wanted),
            "The sign: the answers differ from the average, and so the mean KL is "
            "above 0.": 1 / wanted,
            "This takes logarithms to the base of 2, and then e to that.": np.exp(
                np.log2(wanted)
            ),
            "Each class counts as often as it is drawn: the mean is weighted by the "
            "shares.": np.exp(np.mean(-np.log(p))),
        }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"score({[round(x, 3) for x in shares]})", 1e-4)


@exercise("8.6")
def parameters(answer: Any) -> None:
    expect_function(answer, "parameters", "side, channels, nf")
    rng = np.random.default_rng()
    cases = [(32, 1, 8), (64, 3, 8), (16, 1, int(rng.integers(2, 9)))]
    for side, channels, nf in cases:
        model = basic_generator(side, channels, n_features=nf)
        wanted = sum(p.numel() for p in model.parameters())
        widths, norms = [100], 0
        for layer in model.modules():
            if isinstance(layer, nn.ConvTranspose2d):
                widths.append(layer.out_channels)
            elif isinstance(layer, nn.BatchNorm2d):
                norms += 2 * layer.num_features
        slips = {
            "The batch norms learn a scale and a shift for each channel, after every "
            "layer but the last.": wanted - norms,
            "No convolution has a bias: a batch norm follows, and after the last there "
            "is none either.": wanted + sum(widths[1:]),
            "The last layer gives out `channels`, and has no batch norm.": (
                wanted + 2 * channels
            ),
            "The kernels are 4 by 4.": (wanted - norms) * 9 // 16 + norms,
        }
        found = answer(side, channels, nf)
        expect_no_slip(found, wanted, slips)
        expect(
            like(found, wanted),
            f"parameters({side}, {channels}, {nf}) is {found}; {wanted} was expected. "
            f"From the noise on, the channels are {widths}: 4 pixels wide after the "
            "first layer, then twice as many each time.",
        )


def _drawn(rng: np.random.Generator) -> tuple[int, float]:
    return int(rng.integers(3, 40)), round(float(rng.uniform(0.05, 0.9)), 2)
