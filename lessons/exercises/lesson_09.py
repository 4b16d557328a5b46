"""Lesson 9: why pixels blur, Gram matrices, a layer's two terms, turned photos."""

from __future__ import annotations

from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.vision import FeatureLoss, gram_matrix
from minitorch7.vision.turned import turned

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip

DARK, BRIGHT = 0.2, 0.9


@exercise("9.1")
def errors(answer: Any) -> None:
    expect_function(answer, "errors", "p")
    for p in (0.1, float(np.random.default_rng().uniform(0.2, 0.45))):
        values, chances = np.array([DARK, BRIGHT]), np.array([1 - p, p])
        off = values[:, None] - values  # the true fur's pixel, another's
        pairs = chances[:, None] * chances
        mean = values @ chances
        wanted = [
            ((values - mean) ** 2) @ chances,
            (off**2 * pairs).sum(),
            np.abs(values - DARK) @ chances,
            (np.abs(off) * pairs).sum(),
        ]
        found = answer(p)
        expect(np.shape(found) == (4,), f"errors({p:.3g}) must be four numbers.")
        gap = BRIGHT - DARK
        slips: list[dict[str, Any]] = [
            {
                "The mean of all furs is not 0.2 but a little brighter: 0.2 + 0.7·p.": (
                    p * gap**2
                ),
                "Where there is no hair the mean is too bright, too.": (
                    p * (1 - p) ** 2 * gap**2
                ),
            },
            {
                "The hair that is where the true fur has none costs as much as the one "
                "that is missing: that makes two.": p * (1 - p) * gap**2,
                "Where both have a hair, and where neither has, nothing is off.": (
                    2 * p * gap**2
                ),
            },
            {
                "This is the mean's absolute error. The median is what more than half "
                "of the furs have there.": 2 * p * (1 - p) * gap,
                "Above a half, the median would be bright. Here p is below.": (1 - p)
                * gap,
            },
            {
                "Where both have a hair, and where neither has, nothing is off.": (
                    2 * p * gap
                ),
                "The hair that is where the true fur has none costs as much as the one "
                "that is missing: that makes two.": p * (1 - p) * gap,
            },
        ]
        names = (
            "the mean's squared error",
            "another fur's squared error",
            "the median's absolute error",
            "another fur's absolute error",
        )
        for k, name in enumerate(names):
            expect_no_slip(found[k], wanted[k], slips[k])
            expect_close(found[k], wanted[k], f"For p = {p:.3g}, {name}", 1e-6)


@exercise("9.2")
def gram(answer: Any) -> None:
    expect_function(answer, "gram", "x")
    rng = np.random.default_rng()
    for n, c, h, w in ((1, 2, 2, 2), (3, 4, 5, 6)):
        x = rng.normal(0.5, 1, (n, c, h, w))
        wanted = gram_matrix(mt.tensor(x)).numpy()
        rows = x.reshape(n, c, h * w)
        together = x.transpose(1, 0, 2, 3).reshape(c, -1)
        centred = rows - rows.mean(2, keepdims=True)
        slips = {
            "The division is missing. It is by channels times places, so that layers "
            "of different sizes can be compared.": wanted * c * h * w,
            "This divides by the places only, and not by the channels too.": wanted * c,
            "This is one matrix for the whole batch. Each picture has its own.": (
                together @ together.T / (n * c * h * w)
            ),
            "These are places times places: it says which places look alike. Which "
            "channels go together is channels times channels.": (
                rows.transpose(0, 2, 1) @ rows / (c * h * w)
            ),
            "The channels' means are taken off here: that is a covariance. The Gram "
            "matrix keeps them.": centred @ centred.transpose(0, 2, 1) / (c * h * w),
        }
        found = answer(x.copy())
        if n > 1:
            expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"gram(x) for x of shape {x.shape}")


CHANGES = {
    "mirror": (lambda x: x[..., ::-1], "it moves all channels' pixels alike"),
    "turn": (lambda x: np.rot90(x, axes=(2, 3)), "it moves all channels' pixels alike"),
    "shuffle all": (
        lambda x: x.reshape(1, 3, 36)[:, :, np.arange(36) * 5 % 36].reshape(x.shape),
        "it moves all channels' pixels alike",
    ),
    "shuffle one": (
        lambda x: np.concatenate([x[:, :1, ::-1, ::-1], x[:, 1:]], 1),
        "channels that were active together now are in different places",
    ),
    "negate all": (lambda x: -x, "the two signs of each product cancel out"),
    "negate one": (
        lambda x: x * np.array([-1, 1, 1.0])[:, None, None],
        "its products with the other channels change their sign",
    ),
    "swap": (
        lambda x: x[:, [1, 0, 2]],
        "rows and columns are the channels, and change places with them",
    ),
    "double": (lambda x: 2 * x, "each product becomes four times as large"),
    "tile": (
        lambda x: np.concatenate([x, x], 3),
        "twice the sum, divided by twice the places, is what it was",
    ),
}


@exercise("9.3")
def unmoved(answer: Any) -> None:
    names = ", ".join(map(repr, CHANGES))
    hint = f"The answer is a list of some of {names}."
    expect(isinstance(answer, list | tuple | set) and answer, hint)
    expect(all(name in CHANGES for name in answer), hint)
    x = np.random.default_rng().normal(0.5, 1, (1, 3, 6, 6))
    before = gram_matrix(mt.tensor(x)).numpy()
    for name, (change, why) in CHANGES.items():
        after = gram_matrix(mt.tensor(np.ascontiguousarray(change(x)))).numpy()
        same = bool(np.abs(after - before).max() < 1e-9)
        does = "leaves the matrix as it is" if same else "changes the matrix"
        expect((name in answer) == same, f"{name!r} {does}: {why}.")


@exercise("9.4")
def terms(answer: Any) -> None:
    expect_function(answer, "terms", "fx, fy, w")
    rng = np.random.default_rng()
    for w in (1.0, float(rng.uniform(2, 15))):
        layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        loss = FeatureLoss(layers, [1], [w])
        x, y = (
            mt.tensor(rng.normal(0, 1, (2, 3, 6, 6)).astype(np.float32)) for _ in "xy"
        )
        loss(x, y)
        wanted = [loss.metrics[name].item() for name in ("feat_0", "gram_0")]
        with mt.no_grad():
            fx, fy = (layers(t).numpy().astype(float) for t in (x, y))
        found = answer(fx.copy(), fy.copy(), w)
        expect(np.shape(found) == (2,), "The answer is a pair: activations, Gram.")
        squared = w * ((fx - fy) ** 2).mean()
        slips = {
            "The differences are squared. The lesson takes absolute ones.": squared,
            "This adds the differences up. The base loss is their mean.": (
                wanted[0] * fx.size
            ),
        }
        if w != 1:
            slips["The weight w of the layer is missing."] = wanted[0] / w
        expect_no_slip(found[0], wanted[0], slips)
        expect_close(found[0], wanted[0], "The term of the activations", 1e-4)
        gx, gy = (gram_matrix(mt.tensor(f)).numpy() for f in (fx, fy))
        slips = {
            "5000 is missing: entries of Gram matrices are small.": wanted[1] / 5000,
            "The differences are squared. The lesson takes absolute ones.": (
                5000 * w**2 * ((gx - gy) ** 2).mean()
            ),
            "This is the Gram matrix of the difference. What is compared is the "
            "matrices.": (
                5000 * w**2 * np.abs(gram_matrix(mt.tensor(fx - fy)).numpy()).mean()
            ),
        }
        if w != 1:
            slips[
                "A Gram matrix is of second degree in the activations, and so is its "
                "weight in w: 5000·w²."
            ] = wanted[1] / w
        expect_no_slip(found[1], wanted[1], slips)
        expect_close(found[1], wanted[1], "The term of the Gram matrices", 1e-4)


@exercise("9.5")
def turn(answer: Any) -> None:
    expect_function(answer, "turn", "pictures, turns")
    rng = np.random.default_rng()
    pictures = rng.uniform(0, 1, (5, 3, 4, 4))
    turns = np.array([0, 1, 2, 3, int(rng.integers(4))])
    wanted = turned(pictures, turns)
    slips = {
        "These are turned to the right. To the left, the right edge becomes the upper "
        "one.": turned(pictures, -turns % 4),
        "All are turned alike. Each picture has its own number of turns.": (
            turned(pictures, np.full(5, turns[1]))
        ),
        "These are mirrored, not turned: rows and columns have changed places.": (
            pictures.transpose(0, 1, 3, 2)
        ),
        "Nothing has been turned.": pictures,
    }
    found = answer(pictures.copy(), turns.copy())
    expect_no_slip(found, wanted, slips)
    expect_close(found, wanted, f"turns {turns.tolist()}: the pictures")
