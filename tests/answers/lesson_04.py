"""Answers to lesson 4's exercises."""

from __future__ import annotations

from math import comb

import numpy as np

import minitorch7 as mt


def convolutions(depth, width):
    n, nf = (depth - 2) // 6, width
    first = 9 * nf
    stage0 = 2 * n * 9 * nf**2
    later = sum(9 * (w // 2 * w) + (2 * n - 1) * 9 * w**2 for w in (2 * nf, 4 * nf))
    return first + stage0 + later


def parameters(depth, width):
    n = (depth - 2) // 6
    norms = 2 * (width + 2 * n * 7 * width)
    return convolutions(depth, width) + norms + 10 * 4 * width + 10


def _set_kernels(pair, value):
    for conv in (pair.body[0], pair.body[3]):
        conv.weight.data[...] = value(conv.weight.data)


def do_nothing(pair):
    def value(weight):
        kernel = weight * 0
        for j in range(len(kernel)):
            kernel[j, j, 1, 1] = 1
        return kernel

    _set_kernels(pair, value)


def all_channels(pair):
    def value(weight):
        kernel = weight * 0
        kernel[:, :, 1, 1] = 1
        return kernel

    _set_kernels(pair, value)


def halves(pair):
    do_nothing(pair)
    pair.body[0].weight.data[...] *= 0.5


def share_of_ways(pairs, low, high):
    return sum(comb(pairs, k) for k in range(low, high + 1)) / 2**pairs


def lengths(a):
    return np.sqrt((a**2).sum(tuple(range(1, a.ndim)), keepdims=True))


def filter_normalised(direction, weight):
    return direction / (lengths(direction) + 1e-10) * lengths(weight)


def curvature(f, x, v):
    (g,) = mt.grad(f(x), x, create_graph=True)
    (h,) = mt.grad((g * v).sum(), x)
    return (h * v).sum()


def slope(f, x, v):
    (g,) = mt.grad(f(x), x)
    return (g * v).sum()


def product(f, x, v):
    (g,) = mt.grad(f(x), x, create_graph=True)
    return mt.grad((g * v).sum(), x)[0]


def dense_parameters(nf, blocks):
    return sum(2 * (9 * n**2 + 2 * n) for n in (nf * 2**j for j in range(blocks)))


ANSWERS = {
    "4.1": (
        parameters,
        [
            (convolutions, "are the convolutions"),
            (lambda depth, width: parameters(depth, width) - 10, "was expected"),
            (17254, "a function parameters(depth, width)"),
        ],
    ),
    "4.2": (
        do_nothing,
        [
            (lambda pair: _set_kernels(pair, lambda w: w * 0), "Zero weights give zeros"),
            (all_channels, "weight[j, i] is what output j takes from input i"),
            (halves, "off by up to"),
        ],
    ),
    "4.3": (
        share_of_ways,
        [
            (lambda n, a, b: share_of_ways(n, a, b) * 2**n, "a share is at most 1"),
            (lambda n, a, b: share_of_ways(n, a, b - 1), "range(a, b) ends before b"),
            (lambda n, a, b: (b - a + 1) / (n + 1), "was expected"),
        ],
    ),
    "4.4": (
        filter_normalised,
        [
            (
                lambda d, w: d / np.linalg.norm(d) * np.linalg.norm(w),
                "each filter must be as long as its own",
            ),
            (lambda d, w: d / lengths(d), "The lengths of the filters"),
            (lambda d, w: w, "changed its sign"),
            (lambda d, w: lengths(w), "the answer"),
        ],
    ),
    "4.5": (
        curvature,
        [(slope, "the slope along v"), (product, "one number"), (lambda f, x, v: 0.0, "expected")],
    ),
    "4.6": (
        dense_parameters,
        [
            (lambda nf, blocks: blocks * dense_parameters(nf, 1), "twice as many channels"),
            (lambda nf, blocks: dense_parameters(2 * nf, blocks), "was expected"),
        ],
    ),
}
