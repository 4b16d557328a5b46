from __future__ import annotations

import numpy as np


def prints(k, s):
    return [len(range(place, k, s)) for place in range(s)]


def bilinear_stamp(s):
    k = 2 * s if s % 2 == 0 else 2 * s - 1
    row = 1 - np.abs(np.arange(k) - (k - 1) / 2) / s
    return np.outer(row, row)


BLUR = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])


def icnr(kernel, s):
    return np.repeat(kernel, s * s, axis=0)


def icnr_stamp(kernel):
    return kernel.repeat(2, axis=2).repeat(2, axis=3)


ANSWERS = {
    "5.1": (
        prints,
        [
            (lambda k, s: [n**2 for n in prints(k, s)], "both ways at once"),
            (lambda k, s: prints(k, s)[::-1], "whole number of steps"),
            (lambda k, s: [k / s] * s, "half a print"),
            (lambda k, s: [1] * s, "was expected"),
        ],
    ),
    "5.2": (
        [3, 2, 3, 1],
        [
            ([4, 2, 2, 1], "products of the counts"),
            ([2, 1, 2, 1], "first step's pattern, twice"),
            ([3, 3, 2, 1], "is not what repeats"),
            (9, "a list of the four numbers"),
        ],
    ),
    "5.3": (
        bilinear_stamp,
        [
            (lambda s: np.ones((s, s)), "copies: that is nearest"),
            (lambda s: np.ones((s + 1, s + 1)), "must be even"),
            (lambda s: bilinear_stamp(s) / s, "add up to"),
            (lambda s: np.ones((s + 2, s + 2)) * s**2 / (s + 2) ** 2, "a tap weighs 1 − d"),
            (lambda s: np.ones(s), "square of taps"),
        ],
    ),
    "5.4": (
        BLUR,
        [
            (bilinear_stamp(2), "a smaller one does"),
            (np.ones((2, 2)), "Which pixels"),
            (BLUR / 4, "Too faint"),
            (BLUR * 4, "Too strong"),
            (np.ones((3, 3)) * 4 / 9, "was expected"),
        ],
    ),
    "5.5": (
        icnr,
        [
            (lambda kernel, s: np.tile(kernel, (s * s, 1, 1, 1)), "wrong order"),
            (lambda kernel, s: icnr(kernel, s) / s**2, "never added up"),
            (lambda kernel, s: kernel, "channels out for each one"),
            (lambda kernel, s: 0 * icnr(kernel, s), "was expected"),
        ],
    ),
    "5.6": (
        icnr_stamp,
        [
            (lambda kernel: np.tile(kernel, (1, 1, 2, 2)), "taps 0 and 2"),
            (lambda kernel: kernel, "the stamps must be"),
            (lambda kernel: np.pad(kernel, ((0, 0), (0, 0), (1, 1), (1, 1))), "one colour"),
            (lambda kernel: -icnr_stamp(kernel), "was expected"),
        ],
    ),
}
