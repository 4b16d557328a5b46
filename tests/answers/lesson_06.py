from __future__ import annotations

from functools import partial

import numpy as np


def crossings(sizes):
    return [i for i in range(len(sizes) - 1) if sizes[i] != sizes[i + 1]]


def block(up, across, half=2, norm=True, bias=1, times=2, made=2, ks=1, div=1):
    ni = up // half + across
    shuffle = up * made * up * ks + bias * made * up
    convolutions = times * (9 * ni * ni + bias * ni)
    return ni // div, shuffle + 2 * across * norm + convolutions


def misfits(h, w, up=1, top=True):
    grids = [(h, w)]
    for _ in range(5):
        h, w = (h + up) // 2, (w + up) // 2
        grids.append((h, w))
    pairs = list(zip(grids, grids[1:], strict=False))[0 if top else 1 :]
    return [a for a, b in pairs[::-1] if a != (2 * b[0], 2 * b[1])]


def mean_iou(counts, missed=1, claimed=1, both=1, absent=False):
    right, rows, columns = np.diagonal(counts), counts.sum(1), counts.sum(0)
    there = (rows > 0) | absent
    union = missed * (rows - right) + claimed * (columns - right) + both * right
    return (right[there] / union[there]).mean()


def attended(h, w, power=2, step=8, up=True):
    places = (-(-h // step) * -(-w // step)) if up else (h // step) * (w // step)
    return places**power


def rates(start, stop, n):
    if start is None:
        return [stop / 10] * (n - 1) + [stop]
    return [start * (stop / start) ** (i / (n - 1)) for i in range(n)]


ANSWERS = {
    "6.1": (
        crossings,
        [
            (lambda sizes: [i + 1 for i in crossings(sizes)], "before the grid shrinks"),
            (lambda sizes: [*crossings(sizes), len(sizes) - 1], "what goes up"),
            (lambda sizes: [0, *(i + 1 for i in crossings(sizes))], "where a size begins"),
            (lambda sizes: [], "was expected"),
        ],
    ),
    "6.2": (
        block,
        [
            (partial(block, half=1), "leaves half"),
            (partial(block, half=4), "twice as many first"),
            (partial(block, div=2), "final_div"),
            (partial(block, norm=False), "learns too"),
            (partial(block, bias=0), "has biases"),
            (partial(block, times=1), "two 3 × 3"),
            (partial(block, made=0.5), "gives four channels"),
            (partial(block, ks=9), "is 1 × 1"),
            (lambda up, across: 640, "two numbers"),
            (lambda up, across: (up // 2 + across, 7), "was expected"),
        ],
    ),
    "6.3": (
        misfits,
        [
            (partial(misfits, up=0), "rounds up"),
            (lambda h, w: misfits(h, w)[::-1], "from the top down"),
            (lambda h, w: [(h, w)], "was expected"),
            (partial(misfits, top=False), "picture itself is a grid"),
        ],
    ),
    "6.4": (
        mean_iou,
        [
            (lambda counts: np.trace(counts) / counts.sum(), "rules it"),
            (partial(mean_iou, claimed=0), "Right over what is there"),
            (partial(mean_iou, missed=0), "Right over what is claimed"),
            (partial(mean_iou, both=2), "counted twice"),
            (partial(mean_iou, absent=True), "leave it out"),
            (lambda counts: 0.5, "was expected"),
        ],
    ),
    "6.5": (
        attended,
        [
            (partial(attended, power=1), "Each looks at each"),
            (partial(attended, step=1), "an eighth of it"),
            (partial(attended, up=False), "rounded up"),
            (lambda h, w: 7, "was expected"),
        ],
    ),
    "6.6": (
        rates,
        [
            (lambda a, b, n: np.linspace(a or b, b, n), "same factor"),
            (lambda a, b, n: rates(a, b, n)[::-1], "wrong way round"),
            (lambda a, b, n: rates(a, b, n) if a else [b] * n, "a tenth of it"),
            (lambda a, b, n: rates(a, b, n + 1)[:-1] if a else rates(a, b, n), "n − 1 steps"),
            (lambda a, b, n: b, "a list of"),
            (lambda a, b, n: [b] * n, "was expected"),
        ],
    ),
}
