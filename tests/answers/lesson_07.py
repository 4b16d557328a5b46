from __future__ import annotations

from functools import partial

import numpy as np


def errors(made, originals):
    return ((made - originals) ** 2).mean(axis=(1, 2, 3))


def decibels(made, originals):
    return -10 * np.log10(errors(made, originals))


def spectral(w, power=1):
    values = np.linalg.svd(w.reshape(len(w), -1), compute_uv=False)
    return w / values[0] ** power


def weight_norm(w):
    rows = w.reshape(len(w), -1)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).reshape(w.shape)


def each_kernel(w):
    if w.ndim == 2:
        return spectral(w)
    return w / np.linalg.svd(w, compute_uv=False)[..., :1, None]


def softmax(scores, axis):
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def attend(x, query, key, value, gamma, axis=1, turn=False, keep=1, root=1, squash=softmax):
    beta = squash((query @ x).transpose(0, 2, 1) @ (key @ x) / root, axis)
    return keep * x + gamma * (value @ x) @ (beta.transpose(0, 2, 1) if turn else beta)


def generator_loss(scores, made, originals, target=1, fool=1, pixels=50, sign=1):
    signed = scores if target == 1 else -scores
    critic = np.log1p(np.exp(-signed)).mean()
    return sign * fool * critic + pixels * ((made - originals) ** 2).mean()


def both(scores, made, originals):
    one = generator_loss(scores, made, originals)
    return (one + generator_loss(scores, made, originals, 0)) / 2


ANSWERS = {
    "7.1": (
        decibels,
        [
            (lambda a, b: -10 * np.log10(((a - b) ** 2).mean()), "one number for all"),
            (lambda a, b: decibels(a, b).mean(), "not their mean"),
            (lambda a, b: -10 * np.log(errors(a, b)), "decimal logarithm"),
            (lambda a, b: -decibels(a, b), "The sign"),
            (lambda a, b: 2 * decibels(a, b), "20·log₁₀"),
            (lambda a, b: -10 * np.log10(abs(a - b).mean((1, 2, 3))), "absolute error"),
            (lambda a, b: np.zeros(4), "was expected"),
        ],
    ),
    "7.2": (
        lambda side: (side // 16 - 3) ** 2,
        [
            (lambda side: side // 16 - 3 if side > 64 else 1, "along one side"),
            (lambda side: (side // 16) ** 2, "no padding"),
            (lambda side: (side // 16 - 4) ** 2, "not n − 4"),
            (lambda side: (side // 8 - 3) ** 2, "four convolutions"),
            (lambda side: 26, "was expected"),
        ],
    ),
    "7.3": (
        102,
        [
            (94, "the dense block"),
            (46, "Go backward"),
            (70, "Not 70"),
            ("wide", "a whole number"),
        ],
    ),
    "7.4": (
        spectral,
        [
            (lambda w: w / np.sqrt((w**2).sum()), "Frobenius"),
            (lambda w: w / np.abs(w).max(), "largest weight"),
            (partial(spectral, power=2), "the square of"),
            (weight_norm, "weight norm"),
            (each_kernel, "Each small kernel"),
            (lambda w: spectral(w).reshape(len(w), -1), "in its shape"),
            (lambda w: w, "was expected"),
        ],
    ),
    "7.5": (
        attend,
        [
            (partial(attend, axis=2), "down the columns"),
            (partial(attend, turn=True), "with row j"),
            (partial(attend, keep=0), "not added"),
            (lambda x, q, k, v, gamma: attend(x, q, k, v, 1), "γ is missing"),
            (partial(attend, squash=lambda scores, axis: scores), "Without a softmax"),
            (lambda x, q, k, v, gamma: attend(x, q, k, np.eye(8), gamma), "value @ x"),
            (partial(attend, root=np.sqrt(8)), "transformer"),
            (lambda x, q, k, v, gamma: x, "was expected"),
        ],
    ),
    "7.6": (
        generator_loss,
        [
            (partial(generator_loss, target=0), "the target is 1"),
            (partial(generator_loss, fool=50, pixels=1), "stands before the other"),
            (partial(generator_loss, pixels=1), "The 50 is missing"),
            (partial(generator_loss, fool=0), "critic's part is missing"),
            (partial(generator_loss, pixels=0), "original's part is missing"),
            (both, "both targets"),
            (partial(generator_loss, sign=-1), "The minus"),
            (lambda scores, made, originals: 7, "was expected"),
        ],
    ),
}
