from __future__ import annotations

from functools import partial

import numpy as np


def distance(a, b):
    return np.abs(np.sort(a) - np.sort(b)).mean()


def penalty(w):
    return 10 * (np.linalg.norm(w) - 1) ** 2


def score(shares, log=np.log):
    p = np.array(shares)
    return np.exp(-(p * log(p)).sum())


def parameters(side, channels, nf, norm=2, bias=0, kernel=16, last=0):
    wide, total = nf * side // 8, 0
    widths = [100]
    while wide >= nf:
        widths.append(wide)
        wide //= 2
    for a, b in zip(widths, widths[1:], strict=False):
        total += kernel * a * b + (norm + bias) * b
    return total + kernel * widths[-1] * channels + (bias + last) * channels


ANSWERS = {
    "8.1": (
        distance,
        [
            (lambda a, b: np.abs(a - b).mean(), "cheapest"),
            (lambda a, b: abs(a.mean() - b.mean()), "one mean"),
            (lambda a, b: len(a) * distance(a, b), "weighs 1"),
            (lambda a, b: ((np.sort(a) - np.sort(b)) ** 2).mean(), "squares the ways"),
            (lambda a, b: np.abs(a[:, None] - b).mean(), "all pairs"),
            (lambda a, b: np.log(2), "was expected"),
        ],
    ),
    "8.2": (
        lambda real, fake: (real.mean() - fake.mean(), fake.mean()),
        [
            (lambda real, fake: (fake.mean() - real.mean(), fake.mean()), "The critic's sign"),
            (lambda r, f: (r.mean() - f.mean(), -f.mean()), "The generator's sign"),
            (lambda r, f: (r.mean() - f.mean(), f.mean() - r.mean()), "right and idle"),
            (lambda r, f: r.mean() - f.mean(), "a pair"),
            (lambda r, f: (r.mean() - f.mean(), 7), "was expected"),
        ],
    ),
    "8.3": (
        lambda gap, n, c: gap * n * c * c,
        [
            (lambda gap, n, c: gap * c * c, "n of them"),
            (lambda gap, n, c: gap * n * c, "two layers"),
            (lambda gap, n, c: 0.2 * gap * n * c * c, "leaks"),
            (lambda gap, n, c: gap * n * n * c * c, "stands there once"),
            (lambda gap, n, c: gap * n * c * c + n * c * c + c, "they are gone"),
            (lambda gap, n, c: gap, "was expected"),
        ],
    ),
    "8.4": (
        penalty,
        [
            (lambda w: penalty(w) / 10, "factor 10"),
            (lambda w: 10 * ((w**2).sum() - 1) ** 2, "length is squared"),
            (lambda w: 10 * ((w - 1) ** 2).mean(), "Each weight"),
            (lambda w: 10 * (w**2).sum(), "every slope"),
            (lambda w: 10 * max(0, np.linalg.norm(w) - 1) ** 2, "both sides"),
            (lambda w: 10 * (np.abs(w).sum() - 1) ** 2, "root of the sum"),
            (lambda w: 10 * (np.linalg.norm(w) - 1), "The square is missing"),
            (lambda w: 7, "was expected"),
        ],
    ),
    "8.5": (
        score,
        [
            (len, "equally frequent"),
            (lambda shares: np.log(score(shares)), "e to that"),
            (lambda shares: 1 / score(shares), "The sign"),
            (partial(score, log=np.log2), "base of 2"),
            (lambda shares: np.exp(-np.log(shares).mean()), "weighted by"),
            (lambda shares: 10, "was expected"),
        ],
    ),
    "8.6": (
        parameters,
        [
            (partial(parameters, norm=0), "learn a scale"),
            (partial(parameters, bias=1), "No convolution has a bias"),
            (partial(parameters, last=2), "gives out `channels`"),
            (partial(parameters, kernel=9), "4 by 4"),
            (lambda side, channels, nf: 7, "was expected"),
        ],
    ),
}
