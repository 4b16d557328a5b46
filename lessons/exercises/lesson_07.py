"""Lesson 7: decibels, a critic's patches, its norm, attention, the generator's loss."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.learner.quality import psnr
from minitorch7.vision import gan_critic
from minitorch7.vision.gan_losses import AdaptiveLoss, gan_loss_from_func

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip


@exercise("7.1")
def decibels(answer: Any) -> None:
    expect_function(answer, "decibels", "made, originals")
    rng = np.random.default_rng()
    originals = rng.uniform(0, 1, (4, 3, 8, 8))
    off = rng.normal(0, 1, originals.shape) * rng.uniform(0.01, 0.2, (4, 1, 1, 1))
    made = originals + off
    wanted = psnr(made, originals)
    errors = (off**2).mean((1, 2, 3))
    slips = {
        "This is one number for all pictures. The errors of the worst would rule it: "
        "give one a picture.": -10 * np.log10(errors.mean()),
        "One number a picture is asked for, not their mean.": wanted.mean(),
        "Ten decibels are ten times, and that is the decimal logarithm.": (
            -10 * np.log(errors)
        ),
        "The sign: the smaller the error, the higher the PSNR.": -wanted,
        "This takes 20·log₁₀ of the squared error, which is 10·log₁₀ of its square.": (
            2 * wanted
        ),
        "This is of the absolute error. PSNR is the squared error on another scale.": (
            -10 * np.log10(np.abs(off).mean((1, 2, 3)))
        ),
    }
    found = answer(made.copy(), originals.copy())
    expect_no_slip(found, wanted, slips)
    expect_close(found, wanted, "The answer for four pictures")


@exercise("7.2")
def answers(answer: Any) -> None:
    expect_function(answer, "answers", "side")
    critic = gan_critic(nf=2, n_channels=1)
    rng = np.random.default_rng()
    for side in [64, 96, 128, *rng.integers(65, 160, 2).tolist()]:
        with mt.no_grad(), nn.evaluating(critic):
            wanted = critic(mt.zeros(1, 1, side, side)).shape[1]
        found, k = answer(side), side // 16
        slips = {
            "That is how many along one side.": k - 3,
            "The last convolution, too, has a kernel of 4 by 4, and it has no padding: "
            "of n places it leaves n − 3.": k**2,
            "The last convolution has a kernel of 4, and of n places it leaves n − 3, "
            "not n − 4.": (k - 4) ** 2,
            "There are four convolutions of stride 2: one, and three blocks.": (
                (side // 8 - 3) ** 2
            ),
        }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"answers({side})")


@exercise("7.3")
def patch(answer: Any) -> None:
    found, wanted = answer() if callable(answer) else answer, _width_of_a_patch()
    expect(
        isinstance(found, int | np.integer), "The answer is a whole number of pixels."
    )
    expect(
        found != 94,
        "94 is right but for the dense block: it is two 3 × 3 convolutions, and they, "
        "too, look at their neighbours, on a grid of half the size.",
    )
    expect(
        found not in (46, 64),
        "Go backward from the one answer: a layer of kernel k and stride s needs, for "
        "n of its outputs, (n − 1)·s + k inputs.",
    )
    expect(
        found == wanted,
        f"Not {found}. A layer of kernel k and stride s needs (n − 1)·s + k inputs for "
        "n outputs. Start from the last, which needs 4 for 1; print(gan_critic()) "
        "shows all.",
    )


@exercise("7.4")
def spectral(answer: Any) -> None:
    expect_function(answer, "spectral", "w")
    rng = np.random.default_rng()
    for shape in ((5, 7), (6, 3, 3, 3), (4, 8, 2, 2)):
        w = rng.normal(0, 1, shape)
        rows = w.reshape(len(w), -1)
        values = np.linalg.svd(rows, compute_uv=False)
        wanted = w / values[0]
        slips = {
            "This divides by the Frobenius norm, the root of all squares' sum. It is "
            "larger than the largest singular value and makes the layer needlessly "
            "tame.": (w / np.sqrt((w**2).sum())),
            "This divides by the largest weight, which does not say how much longer a "
            "vector can come out.": w / np.abs(w).max(),
            "This divides by the smallest singular value.": w / values[-1],
            "This divides by the sum of the singular values.": w / values.sum(),
            "This divides each output's weights by their own length: that is weight "
            "norm with g = 1.": (
                w / np.linalg.norm(rows, axis=1).reshape(-1, *[1] * (w.ndim - 1))
            ),
            "This divides by the square of the largest singular value.": (
                w / values[0] ** 2
            ),
        }
        found = answer(w.copy())
        if w.ndim == 4:
            expect(
                np.shape(found) == shape,
                f"A weight {shape} must come back in its shape, not {np.shape(found)}.",
            )
            each = np.linalg.svd(w, compute_uv=False)[..., :1, None]
            slips[
                "Each small kernel has its own singular values here. The layer is one "
                "matrix: outputs by (inputs times taps)."
            ] = w / each
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"spectral(w) for w of shape {shape}")


@exercise("7.5")
def attend(answer: Any) -> None:
    expect_function(answer, "attend", "x, query, key, value, gamma")
    rng = np.random.default_rng()
    n, places, gamma = 8, int(rng.integers(4, 9)), float(rng.uniform(0.5, 2))
    layer = nn.SelfAttention(n)
    x = rng.normal(0, 1, (2, n, places)).astype(np.float32)
    parts = [layer.query, layer.key, layer.value]
    with mt.no_grad():
        for _ in range(20):
            layer(mt.tensor(x))  # so that the spectral norm has found its vectors
        layer.eval().gamma.data[...] = gamma
        wanted = layer(mt.tensor(x)).numpy()
    query, key, value = (part.weight.numpy()[:, :, 0] for part in parts)
    found = answer(x.copy(), query.copy(), key.copy(), value.copy(), gamma)

    f, g, h = query @ x, key @ x, value @ x  # (N, 1, L), (N, 1, L), (N, n, L)
    scores = f.transpose(0, 2, 1) @ g
    beta, other = _softmax(scores, 1), _softmax(scores, 2)
    slips = {
        "The weights with which one place gathers must add up to 1. In h @ β, place j "
        "gathers with column j of β: the softmax runs down the columns, not along the "
        "rows.": x + gamma * h @ other,
        "In h @ β, place j gathers with column j of β. Here it gathers with row j.": (
            x + gamma * h @ beta.transpose(0, 2, 1)
        ),
        "What was gathered is there, but x itself was not added to it.": gamma
        * h
        @ beta,
        "γ is missing: it says how much of what was gathered is added.": x + h @ beta,
        "Without a softmax the weights need not be positive, nor add up to 1.": (
            x + gamma * h @ scores
        ),
        "What is gathered is not x but value @ x.": x + gamma * x @ beta,
        "fᵀg is divided by a root here, as in a transformer. This layer does not.": (
            x + gamma * h @ _softmax(scores / np.sqrt(n), 1)
        ),
    }
    expect_no_slip(found, wanted, slips)
    expect_close(found, wanted, f"attend for x of shape {x.shape}", 1e-4)


@exercise("7.6")
def generator_loss(answer: Any) -> None:
    expect_function(answer, "generator_loss", "scores, made, originals")
    rng = np.random.default_rng()
    scores = rng.normal(0, 2, (3, 9)) * np.array([[1], [1], [6.0]])
    originals = rng.normal(0, 1, (3, 3, 4, 4))
    made = originals + rng.normal(0, 0.2, originals.shape)
    loss, _ = gan_loss_from_func(
        nn.MSELossFlat(), AdaptiveLoss(nn.BCEWithLogitsLoss()), weights_gen=(1.0, 50.0)
    )
    wanted = loss(mt.tensor(scores), mt.tensor(originals), mt.tensor(made)).item()
    error = float(((made - originals) ** 2).mean())
    real, fake = np.logaddexp(0, -scores).mean(), np.logaddexp(0, scores).mean()
    slips = {
        "This is small if the critic is *not* deceived. The generator wants its "
        "pictures to be called real: the target is 1.": fake + 50 * error,
        "The 50 stands before the other part.": 50 * real + error,
        "The 50 is missing: it brings the second part up to the size of the first.": (
            real + error
        ),
        "The critic's part is missing.": 50 * error,
        "The original's part is missing: any convincing dog would do.": real,
        "The critic is asked with both targets. That is its own loss, not the "
        "generator's.": (real + fake) / 2 + 50 * error,
        "The minus of the logarithm is missing.": -real + 50 * error,
    }
    found = answer(scores.copy(), made.copy(), originals.copy())
    expect_no_slip(found, wanted, slips)
    expect_close(found, wanted, "The generator's loss", 1e-4)


@cache
def _width_of_a_patch() -> int:
    """How many pixels of a row reach the middle answer of a new critic (γ is 0)."""
    critic = gan_critic(n_channels=1, nf=2).eval()
    for p in critic.parameters():
        p.requires_grad_(False)
    for layer in critic.modules():  # nothing may cancel, and no unit may be dead
        if isinstance(layer, nn.Conv2d):
            layer.weight_orig.data[...] = 1.0 / layer.weight_orig.data.size
            for part in (layer.weight_u, layer.weight_v):
                part.data[...] = 1.0
            layer.bias is None or layer.bias.data.fill(0)
    x = mt.ones(1, 1, 160, 160)
    x.requires_grad_(True)
    out = critic(x)  # 7 × 7 answers
    (reached,) = mt.grad(out[0, 24], x)
    return int((np.abs(reached.numpy()[0, 0]).max(0) > 0).sum())


def _softmax(scores: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
