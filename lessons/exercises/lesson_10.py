"""Lesson 10: what the readers read, perplexity, a GRU by hand, its size, its memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import learner, nn
from minitorch7.data.streams import TokenLoader
from minitorch7.learner.tally import Tally, total

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip, like


@exercise("10.1")
def batches(answer: Any) -> None:
    expect_function(answer, "batches", "n, bs, bptt")
    for n, bs, bptt in ((50_079, 64, 20), (1_280, 64, 20), _sizes()):
        wanted = len(_loader(n, bs, bptt))
        slips = {
            "The last batch is full too, with the text's beginning: round up.": (
                n // (bs * bptt)
            ),
            "A batch has bptt words of each of the bs readers.": -(-n // bptt),
            "There are bs readers, and each reads bptt words in a batch.": -(-n // bs),
            "A whole number of batches, please.": n / (bs * bptt),
        }
        found = answer(n, bs, bptt)
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"batches({n}, {bs}, {bptt})")


@exercise("10.2")
def word(answer: Any) -> None:
    expect_function(answer, "word", "n, bs, bptt, k, b, t")
    rng = np.random.default_rng()
    for n, bs, bptt in ((50_079, 64, 20), _sizes()):
        loader = _loader(n, bs, bptt)
        last = len(loader) - 1
        for k, b in (
            (bs - 1, 0),
            (int(rng.integers(1, bs)), last // 2),
            (bs - 1, last),
        ):
            t = bptt - 1 if b == last else int(rng.integers(bptt))
            wanted = int(loader.arrays(0, b)[0][k, t])
            start = k * n // bs
            slips = {
                "The readers start at places evenly spread over the whole text, not "
                "one batch's width apart.": k * bptt + b * bs * bptt + t,
                "At the text's end a reader goes on at its beginning.": (
                    start + b * bptt + t
                ),
                "n/bs need not be a whole number: round down after multiplying by k, "
                "so that the starts are spread evenly.": (k * (n // bs) + b * bptt + t)
                % n,
                "Reader k begins at its own place. This is what reader 0 reads.": (
                    b * bptt + t
                ),
                "In each batch the reader goes on by bptt words, not by one.": (
                    start + b + t
                )
                % n,
            }
            found = answer(n, bs, bptt, k, b, t)
            expect_no_slip(found, wanted, slips)
            expect_close(found, wanted, f"word({n}, {bs}, {bptt}, {k}, {b}, {t})", 0)


@exercise("10.3")
def perplexity(answer: Any) -> None:
    expect_function(answer, "perplexity", "batches")
    rng = np.random.default_rng()
    same = float(rng.uniform(0.5, 3))
    cases = [[(100, same)]]
    cases += [[(1280, 0.5), (64, 3.0), (int(rng.integers(100, 900)), same)]]
    for batches in cases:
        counts, losses = np.array(batches).T
        mean = (counts * losses).sum() / counts.sum()
        wanted = total([_hesitation(*batch) for batch in batches])
        powers = np.exp(losses)
        slips = {
            "That is the mean loss. Perplexity is e to it.": mean,
            "The loss is in natural logarithms, so it is e that is raised, and not "
            "2.": (2**mean),
            "This averages the batches' perplexities. The mean is taken of the losses, "
            "and then e is raised to it.": (counts * powers).sum() / counts.sum(),
            "A batch counts by its words: the last one may be short.": np.exp(
                losses.mean()
            ),
            "This averages the batches' perplexities, and each alike besides.": (
                powers.mean()
            ),
            "This is below 1: among less than one word nobody hesitates. The loss is "
            "minus the logarithm.": 1 / wanted,
        }
        found = answer(list(batches))
        if len(batches) > 1 or not like(found, wanted):
            expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"perplexity({batches})")


@exercise("10.4")
def gru(answer: Any) -> None:
    expect_function(answer, "gru", "x, h, w_ih, w_hh, b_ih, b_hh")
    rng = np.random.default_rng()
    n, ni, nh = 3, int(rng.integers(2, 6)), int(rng.integers(2, 6))
    shapes = [(n, ni), (n, nh), (3 * nh, ni), (3 * nh, nh), (3 * nh,), (3 * nh,)]
    given = [rng.normal(0, 1, shape) for shape in shapes]
    wanted = F.gru_cell(*map(mt.tensor, given)).numpy()
    x, h, w_ih, w_hh, b_ih, b_hh = given
    from_x, from_h = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    (xr, xz, xn), (hr, hz, hn) = (np.split(a, 3, axis=1) for a in (from_x, from_h))
    r, z = 1 / (1 + np.exp(-xr - hr)), 1 / (1 + np.exp(-xz - hz))
    new = np.tanh(xn + r * hn)
    w_hn, b_hn = w_hh[2 * nh :], b_hh[2 * nh :]
    slips = {
        "z and 1 − z are exchanged: where z is 1 the old state stays.": (
            z * new + (1 - z) * h
        ),
        "The rows of weights and biases are r, z, n, in this order. Yours begin with "
        "z.": ((1 - r) * np.tanh(xn + z * hn) + r * h),
        "r is multiplied with the old state before W_hn here. In the formula, and in "
        "the library, it is multiplied with W_hn·h (and its bias).": (
            (1 - z) * np.tanh(xn + (r * h) @ w_hn.T + b_hn) + z * h
        ),
        "r stands before all that comes of h, the bias b_hn too.": (
            (1 - z) * np.tanh(xn + r * (h @ w_hn.T) + b_hn) + z * h
        ),
        "r is not used: it says how much of the old state the new one gets to see.": (
            (1 - z) * np.tanh(xn + hn) + z * h
        ),
        "This is what is new, n. What comes out is a mixture of it and h.": new,
    }
    found = answer(*[array.copy() for array in given])
    expect_no_slip(found, wanted, slips)
    expect_close(found, wanted, f"The state after one step, for x {x.shape}")


@exercise("10.5")
def parameters(answer: Any) -> None:
    expect_function(answer, "parameters", "ni, nh, layers")
    rng = np.random.default_rng()
    drawn = (*rng.integers(2, 40, 2).tolist(), int(rng.integers(2, 5)))
    for ni, nh, layers in ((64, 64, 2), (10, 20, 1), (10, 20, 3), drawn):
        wanted = sum(p.numel() for p in nn.GRU(ni, nh, layers).parameters())
        first, more = ni * nh + nh * nh, (layers - 1) * 2 * nh * nh
        biases = 2 * nh * layers
        slips = {
            "A GRU has three of everything: for r, for z and for n.": wanted // 3,
            "Four of everything is an LSTM. A GRU has three: r, z and n.": wanted
            // 3
            * 4,
            "There are two biases for each: one beside the word's weights, one beside "
            "the state's.": 3 * (first + more + biases // 2),
            "The biases are missing.": 3 * (first + more),
            "Each layer has weights of its own.": 3 * (first + 2 * nh),
            "What the second layer reads are the first one's states: nh numbers, not "
            "ni.": 3 * (layers * first + biases),
            "The state's weights are missing: nh numbers make nh.": wanted
            - 3 * layers * nh * nh,
        }
        found = answer(ni, nh, layers)
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"parameters({ni}, {nh}, {layers})")


@exercise("10.6")
def gate(answer: Any) -> None:
    expect_function(answer, "gate", "share, steps")
    rng = np.random.default_rng()
    for share, steps in ((0.5, 20), (0.25, 2), (float(rng.uniform(0.05, 0.9)), 7)):
        z = answer(share, steps)
        expect(
            np.ndim(z) == 0 and 0 < z < 1,
            f"gate({share:.3g}, {steps}) is {z!r}; a gate is between 0 and 1.",
        )
        arrived = _arrives(float(z), steps)
        other = _arrives(1 - float(z), steps)
        expect(
            arrived == share or abs(other - share) > 1e-6 or abs(z - 0.5) < 1e-6,
            "That is 1 − z. Where z is 1, the state goes through unchanged.",
        )
        expect(
            abs(arrived - share) < 1e-6,
            f"With z = {z:.6g} in each of {steps} steps, {arrived:.4g} of the gradient "
            f"arrives, and not {share:.4g}. Each step multiplies what is left.",
        )


def _arrives(z: float, steps: int) -> float:
    """How much of the gradient passes a GRU of one number whose z is always this."""
    x, w = mt.zeros(1, 1), mt.zeros(3, 1)
    b_ih = mt.tensor(np.array([0.0, np.log(z / (1 - z)), 0.0]))
    x, w = x.double(), w.double()
    first = mt.tensor(np.ones((1, 1)), requires_grad=True)
    h = first
    for _ in range(steps):
        h = F.gru_cell(x, h, w, w, b_ih, mt.zeros(3).double())
    return mt.grad(h.sum(), first)[0].item()


def _hesitation(n: int, loss: float) -> Tally:
    """What the library counts in a batch of n answers that have this loss each."""
    right = -loss, np.log1p(-np.exp(-loss))  # logarithms of p and 1 − p
    words = mt.tensor(np.zeros(n, np.int64))
    return learner.perplexity(mt.tensor(np.tile(right, (n, 1))), words)


def _loader(n: int, bs: int, bptt: int) -> TokenLoader:
    """A loader of a text whose words are 0, 1, 2, …"""
    text = SimpleNamespace(documents=[np.arange(n)], tokens=n)
    return TokenLoader(text, bs, bptt)


def _sizes() -> tuple[int, int, int]:
    rng = np.random.default_rng()
    bs, bptt = int(rng.integers(3, 20)), int(rng.integers(3, 30))
    return int(rng.integers(5, 9)) * bs * bptt + int(rng.integers(2, bs)), bs, bptt
