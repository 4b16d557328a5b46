"""Checks of lesson 2's exercises: convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import functional as F

from . import exercise, expect, expect_close, expect_function

rng = np.random.default_rng()


def _tensor(array: Any) -> mt.Tensor:
    return mt.tensor(np.asarray(array, np.float64), backend="numpy")


def _conv(x: Any, w: Any, **how: Any) -> np.ndarray:
    """One picture (H, W), one kernel (kh, kw)."""
    x, w = np.asarray(x, float)[None, None], np.asarray(w, float)[None, None]
    return F.conv2d(_tensor(x), _tensor(w), **how).numpy()[0, 0]


def _array(value: Any, what: str, *axes: int) -> np.ndarray:
    """The answer as an array with one of these numbers of axes."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = np.asarray(None)
    expect(array.ndim in axes, f"{what} is an array of numbers; this is {value!r:.80}.")
    return array


@exercise("2.1")
def unread_pixels(answer: Any) -> None:
    expect_function(answer, "unread", "n, k, s, p")
    cases = [(8, 3, 2, 0), (28, 3, 1, 1), (29, 1, 2, 0), (8, 3, 2, 1), (11, 2, 4, 1)]
    for _ in range(20):
        k, s = (int(i) for i in rng.integers(1, 6, 2))
        p = int(rng.integers(0, k // 2 + 1))
        cases.append((int(rng.integers(k, 30)), k, s, p))
    for n, k, s, p in cases:
        line = _tensor(np.arange(1.0, n + 1).reshape(1, 1, 1, n))
        read = F.unfold(line, (1, k), 1, (0, p), (1, s)).numpy()
        wanted = n - len(np.setdiff1d(read, [0]))
        found = answer(n, k, s, p)
        why = (
            "The last window ends before the last pixel."
            if s <= k
            else "The windows have gaps between them, where s is larger than k."
        )
        expect(
            np.ndim(found) == 0 and found == wanted,
            f"unread({n}, {k}, {s}, {p}) is {found!r}; the columns of F.unfold leave "
            f"out {wanted}. {why if wanted else 'Here each pixel is read.'}",
        )


@exercise("2.2")
def shift(answer: Any) -> None:
    w = _array(answer, "The answer", 2, 4)
    expect(w.size == 9, f"Nine numbers, (3, 3), were asked for; this is {w.shape}.")
    w = w.reshape(3, 3)
    x = rng.normal(size=(6, 7))
    wanted = np.zeros_like(x)
    wanted[:, 1:] = x[:, :-1]
    found = _conv(x, w, padding=1)
    expect(
        not np.allclose(found[:, :-1], x[:, 1:]),
        "That moves pictures to the left. Result j takes what is to be there, and "
        "tap v of its window reads pixel j + v − 1.",
    )
    expect(
        not np.allclose(found[1:], x[:-1]) and not np.allclose(found[:-1], x[1:]),
        "That moves pictures up or down. The first index of a kernel counts rows.",
    )
    expect(not np.allclose(found, x), "That leaves every picture where it is.")
    expect_close(found, wanted, "A random picture, convolved with it,")


@exercise("2.3")
def as_matrix(answer: Any) -> None:
    expect_function(answer, "matrix", "w, n")
    for n, k in ((4, 3), (5, 3), (5, 2), (6, 1), (7, 4)):
        w, x = rng.normal(size=(k, k)), rng.normal(size=(n, n))
        found = _array(answer(w, n), f"matrix(w, {n})", 2)
        places = (n - k + 1) ** 2
        expect(
            found.shape == (places, n * n),
            f"For a kernel of {k} × {k} and {n} × {n} pixels the matrix is "
            f"{(places, n * n)}: a row for each result, a column for each pixel. "
            f"Yours is {found.shape}.",
        )
        wanted, turned = _conv(x, w).ravel(), _conv(x, w[::-1, ::-1]).ravel()
        got = found @ x.ravel()
        expect(
            k == 1 or not np.allclose(got, turned),
            "Yours convolves with the kernel turned by half a turn: the first weight "
            "belongs to the first pixel of the window.",
        )
        expect(
            k == 1 or not np.allclose(got, _conv(x, w.T).ravel()),
            "Yours convolves with the transposed kernel: rows and columns of w are "
            "exchanged.",
        )
        expect_close(got, wanted, f"A·x, for {n} × {n} pixels and a kernel of {k},")


@exercise("2.4")
def two_are_one(answer: Any) -> None:
    expect_function(answer, "both", "first, second")
    for k in (1, 2, 3, 3, 4):
        first, second = rng.normal(size=(2, k, k))
        x = rng.normal(size=(3 * k + 2, 3 * k + 4))
        found = _array(answer(first, second), "both(first, second)", 2)
        side = 2 * k - 1
        expect(
            found.shape == (side, side),
            f"A result of the second sees {k} results of the first along one axis, "
            f"each of which sees {k} pixels: {side} together. Your kernel is "
            f"{found.shape}.",
        )
        wanted, got = _conv(_conv(x, first), second), _conv(x, found)
        one = np.pad(second, k - 1)
        expect(
            k == 1 or not np.allclose(got, _conv(x, _conv(one, first))),
            "Nearly: a tap of the second moves the first by as much, in the *same* "
            "direction, so the taps' places add up. Which of the two must be turned "
            "for that, if a convolution is to do the adding?",
        )
        expect_close(got, wanted, f"A picture, convolved with yours for k = {k},")


@exercise("2.5")
def column_times_row(answer: Any) -> None:
    expect_function(answer, "split", "w")
    sobel = np.outer([1, 2, 1], [-1, 0, 1])
    empty_row = np.outer([0.0, 1, 0], [3, -2, 1])
    random = [np.outer(*rng.normal(size=(2, k))) for k in (2, 3, 5)]
    for w in (sobel, empty_row, *random):
        k = len(w)
        found = answer(w.copy())
        pair = isinstance(found, tuple | list) and len(found) == 2
        expect(pair, f"split(w) returns two arrays; yours returned {found!r:.60}.")
        column, row = (
            _array(a, what, 2) for a, what in zip(found, ("column", "row"), strict=True)
        )
        expect(
            (column.shape, row.shape) == ((k, 1), (1, k)),
            f"The column is ({k}, 1) and the row (1, {k}); these are {column.shape} "
            f"and {row.shape}.",
        )
        finite = np.isfinite(column).all() and np.isfinite(row).all()
        expect(
            finite,
            "There is a NaN or infinity in it. A kernel may have zeros in its first "
            "row or column: what do you divide by?",
        )
        x = rng.normal(size=(9, 8))
        got = _conv(_conv(x, column), row)
        expect_close(
            got, _conv(x, w), f"A picture, convolved with the two for {k} × {k},"
        )


@exercise("2.6")
def receptive_field(answer: Any) -> None:
    expect_function(answer, "field", "layers")
    cases = [[(3, 2, 1)] * 5, [(3, 1, 1), (3, 1, 2), (3, 1, 4)], [(7, 2, 1), (3, 2, 2)]]
    for _ in range(4):
        depth = int(rng.integers(1, 4))
        cases.append(
            [tuple(int(i) for i in rng.integers(1, 4, 3)) for _ in range(depth)]
        )
    for layers in cases:
        wanted, found = _seen(layers), answer(list(layers))
        expect(
            np.ndim(found) == 0 and found == wanted,
            f"field({layers}) is {found!r}; one result's gradient reaches from the "
            f"first pixel to the {wanted}th. A layer's window covers d(k − 1) + 1 "
            "results of the layer before, which lie as far apart as the strides before "
            "it say, and not its own.",
        )


def _seen(layers: list[tuple[int, int, int]]) -> int:
    """By the gradient: of one result of a picture that is large enough, in one row."""
    size = 1
    for k, s, d in reversed(layers):
        size = (size - 1) * s + d * (k - 1) + 1
    x = _tensor(np.zeros((1, 1, 1, 2 * size))).requires_grad_()
    y = x
    for k, s, d in layers:
        y = F.conv2d(y, _tensor(np.ones((1, 1, 1, k))), None, (1, s), 0, (1, d))
    (grad,) = mt.grad(y[0, 0, 0, 0], x)
    reached = np.flatnonzero(grad.numpy())
    return int(reached[-1] - reached[0] + 1)
