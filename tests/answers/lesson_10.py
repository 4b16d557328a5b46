from __future__ import annotations

from functools import partial

import numpy as np


def word(n, bs, bptt, k, b, t):
    return (k * n // bs + b * bptt + t) % n


def perplexity(batches, power=np.exp):
    counts, losses = np.array(batches).T
    return power((counts * losses).sum() / counts.sum())


def gru(x, h, w_ih, w_hh, b_ih, b_hh, order=(0, 1, 2), swap=False, bias=True, inner=False):
    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    parts = np.split(x @ w_ih.T + b_ih, 3, axis=1)
    olds = np.split(h @ w_hh.T + bias * b_hh, 3, axis=1)
    r, z = (sigmoid(parts[i] + olds[i]) for i in order[:2])
    nh = h.shape[1]
    old = r * olds[2]
    if inner:
        old = (r * h) @ w_hh[2 * nh :].T + b_hh[2 * nh :]
    new = np.tanh(parts[2] + old)
    return z * new + (1 - z) * h if swap else (1 - z) * new + z * h


def bias_outside(x, h, w_ih, w_hh, b_ih, b_hh):
    nh = h.shape[1]
    moved, kept = b_ih.copy(), b_hh.copy()
    moved[2 * nh :] += kept[2 * nh :]
    kept[2 * nh :] = 0
    return gru(x, h, w_ih, w_hh, moved, kept)


def without_r(x, h, w_ih, w_hh, b_ih, b_hh):
    nh = h.shape[1]
    b_ih = b_ih.copy()
    b_ih[:nh] = 1e3
    return gru(x, h, w_ih, w_hh, b_ih, b_hh)


def only_new(x, h, w_ih, w_hh, b_ih, b_hh):
    nh = h.shape[1]
    b_ih = b_ih.copy()
    b_ih[nh : 2 * nh] = -1e2
    return gru(x, h, w_ih, w_hh, b_ih, b_hh)


def parameters(ni, nh, layers, gates=3, biases=2, reads=None, state=1):
    total = 0
    for layer in range(layers):
        width = ni if layer == 0 else (reads or nh)
        total += gates * (width * nh + state * nh * nh + biases * nh)
    return total


ANSWERS = {
    "10.1": (
        lambda n, bs, bptt: -(-n // (bs * bptt)),
        [
            (lambda n, bs, bptt: n // (bs * bptt), "round up"),
            (lambda n, bs, bptt: -(-n // bptt), "of each of the bs readers"),
            (lambda n, bs, bptt: -(-n // bs), "reads bptt words"),
            (lambda n, bs, bptt: n / (bs * bptt), "A whole number"),
            (lambda n, bs, bptt: 7, "was expected"),
        ],
    ),
    "10.2": (
        word,
        [
            (lambda n, bs, bptt, k, b, t: k * bptt + b * bs * bptt + t, "evenly spread"),
            (lambda n, bs, bptt, k, b, t: k * n // bs + b * bptt + t, "its beginning"),
            (lambda n, bs, bptt, k, b, t: (k * (n // bs) + b * bptt + t) % n, "whole number"),
            (lambda n, bs, bptt, k, b, t: b * bptt + t, "reader 0 reads"),
            (lambda n, bs, bptt, k, b, t: (k * n // bs + b + t) % n, "not by one"),
            (lambda n, bs, bptt, k, b, t: -1, "was expected"),
        ],
    ),
    "10.3": (
        perplexity,
        [
            (partial(perplexity, power=lambda mean: mean), "e to it"),
            (partial(perplexity, power=lambda mean: 2**mean), "and not 2"),
            (
                lambda batches: sum(n * np.exp(x) for n, x in batches) / sum(n for n, _ in batches),
                "the batches' perplexities",
            ),
            (lambda batches: np.exp(np.mean([x for _, x in batches])), "by its words"),
            (lambda batches: np.mean([np.exp(x) for _, x in batches]), "each alike besides"),
            (lambda batches: 1 / perplexity(batches), "below 1"),
            (lambda batches: 38, "was expected"),
        ],
    ),
    "10.4": (
        gru,
        [
            (partial(gru, swap=True), "are exchanged"),
            (partial(gru, order=(1, 0, 2)), "begin with z"),
            (partial(gru, inner=True), "before W_hn"),
            (bias_outside, "b_hn too"),
            (without_r, "r is not used"),
            (only_new, "This is what is new"),
            (partial(gru, bias=False), "was expected"),
        ],
    ),
    "10.5": (
        parameters,
        [
            (partial(parameters, gates=1), "three of everything"),
            (partial(parameters, gates=4), "LSTM"),
            (partial(parameters, biases=1), "two biases"),
            (partial(parameters, biases=0), "biases are missing"),
            (lambda ni, nh, layers: parameters(ni, nh, 1), "of its own"),
            (lambda ni, nh, layers: parameters(ni, nh, layers, reads=ni), "not ni"),
            (partial(parameters, state=0), "weights are missing"),
            (lambda ni, nh, layers: 7, "was expected"),
        ],
    ),
    "10.6": (
        lambda share, steps: share ** (1 / steps),
        [
            (lambda share, steps: 1 - share ** (1 / steps), "That is 1 − z"),
            (lambda share, steps: 1 - (1 - share) / steps, "multiplies what is left"),
            (lambda share, steps: 20, "between 0 and 1"),
        ],
    ),
}
