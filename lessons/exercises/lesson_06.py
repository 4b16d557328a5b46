"""Lesson 6: where a U-Net crosses over, how wide it is, and what its scores mean."""

from __future__ import annotations

from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.learner import iou_per_class
from minitorch7.learner.groups import lr_range
from minitorch7.vision import DynamicUnet, UnetBlock
from minitorch7.vision.body import output_shapes, outputs_of
from minitorch7.vision.unet import crossings_of

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip


@exercise("6.1")
def crossings(answer: Any) -> None:
    expect_function(answer, "crossings", "sizes")
    rng = np.random.default_rng()
    cases = [[(180, 240)] * 3 + [(90, 120)] * 2 + [(45, 60), (23, 30), (12, 15)]]
    for _ in range(3):
        sizes = [(64, 48)]
        while len(sizes) < 8:
            h, w = sizes[-1]
            halves = rng.random() < 0.6 and w > 3
            sizes.append((h // 2, w // 2) if halves else (h, w))
        cases.append([*sizes, (1, 1)])
    for sizes in cases:
        wanted = crossings_of(sizes)
        found = list(answer(list(sizes)))
        what = f"For grids {sizes} you answer {found}."
        expect(
            found != [i + 1 for i in wanted],
            f"{what} These are the first of their size. The last of a size has looked "
            "at the picture longest before detail is lost: take the one before the "
            "grid shrinks.",
        )
        expect(
            found != [*wanted, len(sizes) - 1],
            f"{what} The last child's output needs no way across: it is what goes up.",
        )
        starts = [0, *(i + 1 for i in wanted)]
        expect(
            found != starts,
            f"{what} These are where a size begins. Take where it ends.",
        )
        expect(found == wanted, f"{what} {wanted} was expected.")


@exercise("6.2")
def block(answer: Any) -> None:
    expect_function(answer, "block", "up_in_c, x_in_c")
    rng = np.random.default_rng()
    for up, across in [(512, 128), *(2 * rng.integers(4, 60, (2, 2))).tolist()]:
        layer = UnetBlock(up, across)
        wanted = layer.out_channels, sum(p.numel() for p in layer.parameters())
        found = np.ravel(answer(up, across)).tolist()
        what = f"block({up}, {across})"
        expect(
            len(found) == 2,
            f"{what} must be two numbers, the channels out and the parameters.",
        )
        expect_no_slip(
            found[0],
            wanted[0],
            {
                "A pixel shuffle doubles the grid and leaves half of the channels; "
                "only the encoder's come across as they are.": up + across,
                "A pixel shuffle takes four channels for one, but the convolution "
                "before it has made twice as many first: half are left.": up // 4
                + across,
                "That is the last block's: it alone gives out half (final_div).": (
                    wanted[0] // 2
                ),
            },
        )
        expect_close(found[0], wanted[0], f"{what}, the channels out")
        ni = wanted[0]
        expect_no_slip(
            found[1],
            wanted[1],
            {
                "The batch norm of what comes across learns too: two numbers for each "
                "of its channels.": wanted[1] - 2 * across,
                "Without a norm each of the three convolutions has biases.": (
                    wanted[1] - 2 * up - 2 * ni
                ),
                "There are two 3 × 3 convolutions after the joining.": (
                    wanted[1] - 9 * ni**2 - ni
                ),
                "The convolution before the shuffle gives four channels for each of "
                "the up_in_c/2 that are left.": (
                    wanted[1] - 2 * up * (up + 1) + up // 2 * (up + 1)
                ),
                "The convolution before the shuffle is 1 × 1.": (
                    wanted[1] + 8 * up * 2 * up
                ),
            },
        )
        expect_close(found[1], wanted[1], f"{what}, the parameters")


@exercise("6.3")
def misfits(answer: Any) -> None:
    expect_function(answer, "misfits", "h, w")
    rng = np.random.default_rng()
    for h, w in [(360, 480), (75, 101), *rng.integers(33, 130, (3, 2)).tolist()]:
        encoder = _encoder(1)
        grids = [shape[2:] for shape in output_shapes(list(encoder), encoder, (h, w))]
        wanted = _unlike_doubled([(h, w), *grids])
        down = [(h >> k, w >> k) for k in range(6)]
        found = [tuple(int(n) for n in grid) for grid in answer(h, w)]
        what = f"misfits({h}, {w}) is {found}; {wanted} was expected."
        if found != wanted:
            expect(
                found != _unlike_doubled(down),
                f"{what} Halving rounds up here: ⌊(n + 2 − 3)/2⌋ + 1.",
            )
            expect(
                found != wanted[::-1],
                f"{what} The right ones, from the top down. The decoder comes from "
                "below.",
            )
            full = _unlike_doubled([(h, w), *grids], last=False)
            expect(found != full, f"{what} The picture itself is a grid, too.")
        expect(found == wanted, what)


@exercise("6.4")
def mean_iou(answer: Any) -> None:
    expect_function(answer, "mean_iou", "counts")
    rng = np.random.default_rng()
    for absent in (False, True):
        counts = rng.integers(1, 200, (4, 4)) + np.diag(rng.integers(200, 900, 4))
        if absent:
            counts[2] = 0  # nowhere, but claimed all the same
        there = counts.sum(1) > 0
        wanted = iou_per_class(counts)[there].mean()
        right, rows, columns = np.diagonal(counts), counts.sum(1), counts.sum(0)
        found = answer(counts.copy())
        slips = {
            "This is the share of right pixels. A class that fills the picture rules "
            "it; here each class counts the same.": right.sum() / counts.sum(),
            "Right over what is there: a network that calls everything a car finds "
            "all cars. What it wrongly claims belongs to the union, too.": (
                right[there] / rows[there]
            ).mean(),
            "Right over what is claimed: a network that claims one sure pixel has all "
            "right. What it misses belongs to the union, too.": (
                right[there] / columns[there]
            ).mean(),
            "The right pixels are in the row's sum and in the column's, so they are "
            "counted twice in this union.": (
                right[there] / (rows + columns)[there]
            ).mean(),
            "A class that is nowhere in the masks must not pull the mean down: leave "
            "it out.": np.nan_to_num(iou_per_class(counts)).mean(),
        }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"mean_iou of {counts.tolist()}")


@exercise("6.5")
def attended(answer: Any) -> None:
    expect_function(answer, "attended", "h, w")
    rng = np.random.default_rng()
    for h, w in ((45, 60), rng.integers(40, 110, 2).tolist()):
        encoder = _encoder(16)
        with mt.no_grad():
            model = DynamicUnet(encoder, 2, img_size=(h, w), self_attention=True).eval()
            layers = [m for m in model.modules() if isinstance(m, nn.SelfAttention)]
            with outputs_of(layers) as outputs:
                model(mt.zeros(1, 3, h, w))
        grid = outputs[0].shape[2:]
        count = grid[0] * grid[1]
        found, wanted = answer(h, w), count**2
        slips = {
            "That is how many places there are. Each looks at each.": count,
            "Attention stands not on the picture's own grid, but on an eighth of it "
            "each way.": (h * w) ** 2,
            "The grid is halved three times, and each time rounded up.": (
                (h // 8) * (w // 8)
            )
            ** 2,
        }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"attended({h}, {w}), on a grid of {grid},")


@exercise("6.6")
def rates(answer: Any) -> None:
    expect_function(answer, "rates", "start, stop, n")
    rng = np.random.default_rng()
    stop = float(rng.choice([1e-3, 3e-3, 1e-2]))
    for start, n in (
        (stop / 100, 3),
        (stop / 1000, int(rng.integers(4, 7))),
        (None, 3),
    ):
        wanted = lr_range(slice(start, stop), n)
        found = answer(start, stop, n)
        what = f"rates({start}, {stop}, {n})"
        if start is None:
            slips = {
                "A slice with one number holds the front back: all groups but the last "
                "get a tenth of it.": [stop] * n,
            }
        else:
            slips = {
                "The steps between the groups are equal. But what counts for a rate is "
                "how many times larger it is: each must be the one before times the "
                "same factor.": np.linspace(start, stop, n),
                "The wrong way round: the front, which knows most, moves least.": (
                    wanted[::-1]
                ),
                "With n groups there are n − 1 steps from start to stop.": [
                    start * (stop / start) ** (i / n) for i in range(n)
                ],
            }
        expect_no_slip(found, wanted, slips)
        expect(np.shape(found) == (n,), f"{what} must be a list of {n} rates.")
        gap = np.abs(np.asarray(found, float) / np.asarray(wanted) - 1).max()
        shown = [f"{rate:.3g}" for rate in wanted]
        expect(gap < 1e-4, f"{what} is {found}; {', '.join(shown)} was expected.")


def _encoder(width: int) -> nn.Sequential:
    """Five layers of stride 2, as many halvings as a ResNet has."""
    return nn.Sequential(
        *[nn.conv_layer(width if i else 3, width, stride=2) for i in range(5)]
    )


def _unlike_doubled(grids: list[Any], last: bool = True) -> list[Any]:
    """From the bottom up, the grids that are not the doubled one below."""
    pairs = list(zip(grids, grids[1:], strict=False))[:: -1 if last else 1]
    pairs = pairs if last else pairs[:0:-1]
    return [tuple(a) for a, b in pairs if tuple(a) != (2 * b[0], 2 * b[1])]
