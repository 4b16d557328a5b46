from __future__ import annotations

import math
from functools import partial

import numpy as np

from minitorch7 import nn


def parameters(ni, nf, ks, norm):
    return ni * nf * ks**2 + (2 * nf if norm else nf)


def batch_norm(x, gamma, beta, axes=(0, 2, 3), ddof=0, eps=1e-5, root=True):
    var = x.var(axis=axes, keepdims=True, ddof=ddof) + eps
    y = (x - x.mean(axis=axes, keepdims=True)) / (np.sqrt(var) if root else var)
    return y * gamma[:, None, None] + beta[:, None, None]


def rate(k, n, top, pct=0.3, low=25, share=lambda p: (1 - math.cos(math.pi * p)) / 2, last=25e4):
    up = int(pct * n)
    if k < up:
        return top / low + (top - top / low) * share(k / up)
    return top + (top / last - top) * share((k - up) / (n - up))


def late(k, n, top):
    up = int(0.3 * n)
    return rate(k, n, top) if k <= up else top / 25e4 + (top - top / 25e4) * (1 - k / n)


def smoothed(losses, divide=True):
    m, found = 0.0, []
    for k, loss in enumerate(losses, 1):
        m = 0.98 * m + 0.02 * loss
        found.append(m / (1 - 0.98**k) if divide else m)
    return found


def from_first(losses):
    found = [losses[0]]
    for loss in losses[1:]:
        found.append(0.98 * found[-1] + 0.02 * loss)
    return found


def do_nothing(block):
    norm = block[1][2]
    norm.weight.data[...] = 0
    norm.bias.data[...] = 0


def zero_convolution(block):
    block[1][0].weight.data[...] = 0
    block[1][2].bias.data[...] = 0


def dense_net(wide=False, dense=True):
    layers, ni = [], 1
    for nf in (8, 16, 32, 16):
        layers.append(nn.conv_layer(ni, nf, stride=2))
        layers.append(nn.res_block(nf, dense=dense))
        ni = 2 * nf if dense else nf
        if wide:
            layers.append(nn.conv_layer(ni, nf, 1))
            ni = nf
    return nn.Sequential(*layers, nn.conv_layer(ni, 10, stride=2), nn.Flatten())


ANSWERS = {
    "3.1": (
        parameters,
        [
            (lambda ni, nf, ks, norm: ni * nf * ks**2 + nf + 2 * nf * norm, "no bias"),
            (lambda ni, nf, ks, norm: ni * nf * ks**2 + nf * (not norm), "learns too"),
            (lambda ni, nf, ks, norm: ni * nf * ks**2 + nf, "two numbers a channel"),
            (lambda ni, nf, ks, norm: ni * nf * ks**2 + (4 if norm else 1) * nf, "not learned"),
            (lambda ni, nf, ks, norm: ni * nf * ks**2 + 2 * nf * norm, "nothing undoes"),
            (lambda ni, nf, ks, norm: nf * ks**2 + (2 if norm else 1) * nf, "looks at all inputs"),
            (lambda ni, nf, ks, norm: 7, "was expected"),
        ],
    ),
    "3.2": (
        batch_norm,
        [
            (partial(batch_norm, axes=(0,)), "each pixel has its own"),
            (partial(batch_norm, axes=(2, 3)), "instance norm"),
            (partial(batch_norm, axes=(1, 2, 3)), "layer norm"),
            (partial(batch_norm, axes=(0, 1, 2, 3)), "share one mean"),
            (partial(batch_norm, ddof=1), "unbiased"),
            (partial(batch_norm, eps=0), "ε = 1e-5 is missing"),
            (partial(batch_norm, root=False), "divides by the variance"),
            (lambda x, g, b: batch_norm(x, np.ones_like(g), np.zeros_like(b)), "neither scaled"),
            (lambda x, g, b: x, "was expected"),
        ],
    ),
    "3.3": (
        rate,
        [
            (partial(rate, low=1e9), "not with nothing"),
            (partial(rate, pct=0.5), "go up"),
            (partial(rate, share=lambda p: p), "straight line"),
            (late, "go down"),
            (partial(rate, last=25), "go down"),
        ],
    ),
    "3.4": (
        smoothed,
        [
            (partial(smoothed, divide=False), "Divide by that"),
            (from_first, "starts from the first loss"),
            (lambda losses: losses, "was expected"),
        ],
    ),
    "3.5": (
        do_nothing,
        [
            (lambda block: None, "still adds"),
            (lambda block: block[0][0].weight.data.fill(0), "still adds"),
            (zero_convolution, "in evaluation"),
            (lambda block: block[1].append(nn.Lambda(lambda x: 0 * x)), "must keep its layers"),
        ],
    ),
    "3.6": (
        dense_net,
        [
            (partial(dense_net, dense=False), "needs four dense blocks"),
            (partial(dense_net, wide=True), "give [8, 8, 8, 8,"),
            (7, "a function dense_net()"),
            (lambda: nn.Sequential(dense_net(), nn.Linear(10, 9)), "not (2, 9)"),
        ],
    ),
}
