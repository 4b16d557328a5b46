"""Lesson 5: prints that overlap, stamps that copy and mix, and ICNR."""

from __future__ import annotations

from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import functional as F

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip, like


@exercise("5.1")
def prints(answer: Any) -> None:
    expect_function(answer, "prints", "k, s")
    rng = np.random.default_rng()
    for k, s in [(3, 2), (4, 2), (5, 3), *rng.integers(1, 9, (3, 2)).tolist()]:
        s = min(s, k)
        middle = _stamped(np.ones((1, 1, 1, 15)), np.ones((1, 1, 1, k)), s)
        wanted = middle[0, 0, 0, 7 * s : 8 * s]
        found = answer(k, s)
        what = f"prints({k}, {s})"
        slips = {
            "This counts both ways at once. Along one row a print has k taps, s places "
            "apart from the next print's.": wanted**2,
            "The first of the s places gets the first tap of a print, and every tap "
            "that lies a whole number of steps of s behind it.": wanted[::-1],
        }
        if k % s:
            slips["k/s is right on average; but half a print cannot be made."] = [
                k / s
            ] * s
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, what)


@exercise("5.2")
def two_steps(answer: Any) -> None:
    once = _stamped(np.ones((1, 1, 1, 12)), np.ones((1, 1, 1, 3)), 2)
    twice = _stamped(once, np.ones((1, 1, 1, 3)), 2)[0, 0, 0]
    wanted = twice[20:24].astype(int).tolist()
    try:
        found = [int(number) for number in answer]
    except (TypeError, ValueError):
        found = []
    expect(len(found) == 4, "The answer is a list of the four numbers that repeat.")
    turns = [wanted[i:] + wanted[:i] for i in range(4)]
    expect(
        sorted(found) != [1, 2, 2, 4],
        "These are products of the counts of one step. But a print of the second step "
        "is as heavy as the pixel that makes it, and where two meet their counts add "
        "up.",
    )
    expect(sorted(found) != [1, 1, 2, 2], "That is the first step's pattern, twice.")
    expect(
        found in turns,
        f"{found} is not what repeats. Number the pixels of the first step 2, 1, 2, 1, "
        "…, let each stamp three pixels with its number, two places apart, and add.",
    )


@exercise("5.3")
def bilinear_stamp(answer: Any) -> None:
    expect_function(answer, "bilinear_stamp", "s")
    x = np.random.default_rng().normal(0, 1, (1, 1, 6, 6))
    for s in (2, 3, 4, 5):
        kernel = _square(answer(s), f"bilinear_stamp({s})")
        k = len(kernel)
        expect(
            k >= s and (k - s) % 2 == 0,
            f"bilinear_stamp({s}) is {k} × {k}. Of what the stamps print, (k − {s})/2 "
            f"pixels are taken off at each side, so k − {s} must be even.",
        )
        padding, total = (k - s) // 2, s**2
        expect(
            abs(kernel.sum() - total) < 1e-4 * total,
            f"The taps of bilinear_stamp({s}) add up to {kernel.sum():.4g}. A grey "
            f"wall stays as grey as it was only if they add up to {total}: one for "
            f"each of the {s} × {s} pixels that a pixel becomes.",
        )
        found = _stamped(x, kernel[None, None], s, padding)
        wanted = _host(F.interpolate(mt.tensor(x), scale_factor=s, mode="bilinear"))
        inside = (..., slice(s, -s), slice(s, -s))  # at the edge nothing is repeated
        copied = _host(F.interpolate(mt.tensor(x), scale_factor=s))
        expect(
            not like(found[inside], copied[inside]),
            f"bilinear_stamp({s}) copies: that is nearest. To mix, a pixel must reach "
            "as far as the middles of its neighbours.",
        )
        gap = np.abs(found[inside] - wanted[inside]).max()
        expect(
            gap < 1e-4,
            f"With bilinear_stamp({s}) a random picture is off by {gap:.2g}. Along one "
            "row a tap weighs 1 − d, with d how far its new pixel's middle is from the "
            f"old pixel's, in old pixels: new ones are 1/{s} apart. How many have d < "
            "1?",
        )


@exercise("5.4")
def nearest_and_blur(answer: Any) -> None:
    kernel = _square(answer() if callable(answer) else answer, "The answer")
    k = len(kernel)
    expect(
        k != 4,
        "A 4 × 4 stamp could do it, but a smaller one does. Stamp a single 1: nearest "
        "makes it 2 × 2. How far does a mean over 2 × 2 windows spread that?",
    )
    expect(k == 3, f"This is a stamp of {k} × {k}. Which pixels does a single 1 reach?")
    x = np.random.default_rng().normal(0, 1, (1, 1, 6, 6))
    near = F.interpolate(mt.tensor(x), scale_factor=2)
    wanted = _host(F.avg_pool2d(F.pad(near, (1, 0, 1, 0), "replicate"), 2, 1))
    found = _stamped(x, kernel[None, None], 2)[
        ..., : wanted.shape[2], : wanted.shape[3]
    ]
    inside = (..., slice(2, -2), slice(2, -2))
    expect(
        not like(4 * found[inside], wanted[inside]),
        "Too faint by four: the blur is a mean of four pixels, but the copies of one "
        "pixel are four as well.",
    )
    expect(
        not like(found[inside], 4 * wanted[inside]),
        "Too strong by four: the blur is a mean, and not a sum, of four pixels.",
    )
    expect_close(
        found[inside], wanted[inside], "Away from the edge, a random picture", 1e-5
    )


@exercise("5.5")
def icnr(answer: Any) -> None:
    expect_function(answer, "icnr", "kernel, s")
    rng = np.random.default_rng()
    for s, nf, ni, k in ((2, 3, 2, 1), (3, 2, 4, 3), (2, 4, 1, 3)):
        kernel = rng.normal(0, 1, (nf, ni, k, k))
        weight = answer(kernel.copy(), s)
        wanted_shape = (nf * s * s, ni, k, k)
        expect(
            np.shape(_host(weight)) == wanted_shape,
            f"For kernels {kernel.shape} and s = {s} the weight must be "
            f"{wanted_shape}: {s * s} channels out for each one; yours is "
            f"{np.shape(_host(weight))}.",
        )
        expect(
            nf == 1 or not like(weight, np.tile(kernel, (s * s, 1, 1, 1))),
            "All the copies are there, but in the wrong order. Pixel shuffle takes "
            f"channels that follow one another, 0 to {s * s - 1}, for the first block: "
            "these must be alike. Yours repeat after each round through all channels.",
        )
        expect(
            not like(weight, np.repeat(kernel, s * s, 0) / (s * s)),
            "The copies are divided. They lie side by side and are never added up.",
        )
        x = mt.tensor(rng.normal(0, 1, (2, ni, 5, 5)))
        found = F.pixel_shuffle(F.conv2d(x, mt.tensor(_host(weight))), s)
        wanted = F.interpolate(F.conv2d(x, mt.tensor(kernel)), scale_factor=s)
        expect_close(found, wanted, "A random picture, convolved and shuffled")


@exercise("5.6")
def icnr_stamp(answer: Any) -> None:
    expect_function(answer, "icnr_stamp", "kernel")
    rng = np.random.default_rng()
    ni, nf = rng.integers(1, 4, 2).tolist()
    kernel, x = rng.normal(0, 1, (ni, nf, 2, 2)), rng.normal(0, 1, (1, ni, 5, 5))
    stamp = _host(answer(kernel.copy()))
    expect(
        np.shape(stamp) == (ni, nf, 4, 4),
        f"For small kernels {kernel.shape} the stamps must be {(ni, nf, 4, 4)}; yours "
        f"are {np.shape(stamp)}.",
    )
    expect(
        not like(stamp, np.tile(kernel, (1, 1, 2, 2))),
        "This repeats the small kernel as a whole, so taps 0 and 2 of a row are equal. "
        "They write to the same place of two blocks. Which taps write to the two "
        "places of *one* block?",
    )
    found = _stamped(x, stamp, 2)
    n, c, h, w = found.shape
    blocks = found.reshape(n, c, h // 2, 2, w // 2, 2)
    expect(
        blocks.std((3, 5)).max() < 1e-5,
        "The blocks of the output are not of one colour. A pixel writes its taps 0 and "
        "1 into one block and its taps 2 and 3 into the next.",
    )
    expect_close(
        blocks[:, :, :, 0, :, 0], _stamped(x, kernel, 1), "The colour of the blocks"
    )


def _host(t: Any) -> Any:
    return t.detach().cpu().numpy() if hasattr(t, "detach") else t


def _stamped(x: np.ndarray, kernel: np.ndarray, s: int, padding: int = 0) -> np.ndarray:
    """Stamps, s places apart; a picture of one row stays one."""
    x, kernel = np.asarray(x, float), np.asarray(kernel, float)
    steps = (1, s) if x.shape[2] == 1 else s
    return _host(
        F.conv_transpose2d(mt.tensor(x), mt.tensor(kernel), None, steps, padding)
    )


def _square(kernel: Any, what: str) -> np.ndarray:
    kernel = np.squeeze(np.asarray(_host(kernel), dtype=float))
    expect(
        kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1],
        f"{what} has shape {kernel.shape}; a stamp is a square of taps.",
    )
    return kernel
