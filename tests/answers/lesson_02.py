"""Answers to lesson 2's exercises."""

from __future__ import annotations

import numpy as np


def unread(n, k, s, p):
    read = {i * s + u - p for i in range((n + 2 * p - k) // s + 1) for u in range(k)}
    return n - len(read & set(range(n)))


def only_the_end(n, k, s, p):
    last = (n + 2 * p - k) // s * s + k - p
    return max(0, n - last)


RIGHT = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]])


def matrix(w, n):
    k = len(w)
    o = n - k + 1
    a = np.zeros((o, o, n, n))
    for i, j in np.ndindex(o, o):
        a[i, j, i : i + k, j : j + k] = w
    return a.reshape(o * o, n * n)


def both(first, second):
    k = len(first)
    kernel = np.zeros((2 * k - 1, 2 * k - 1))
    for u, v in np.ndindex(k, k):
        kernel[u : u + k, v : v + k] += second[u, v] * first
    return kernel


def correlated(first, second):
    k = len(first)
    wide = np.pad(second, k - 1)
    windows = np.lib.stride_tricks.sliding_window_view(wide, (k, k))
    return (windows * first).sum((2, 3))


def split(w):
    u, s, v = np.linalg.svd(w)
    return u[:, :1] * s[0], v[:1]


def by_first_row(w):
    with np.errstate(all="ignore"):
        return w[:, :1] / w[0, 0], w[:1]


def field(layers):
    r, j = 1, 1
    for k, s, d in layers:
        r += d * (k - 1) * j
        j *= s
    return r


def stride_first(layers):
    r, j = 1, 1
    for k, s, d in layers:
        j *= s
        r += d * (k - 1) * j
    return r


ANSWERS = {
    "2.1": (
        unread,
        [
            (only_the_end, "gaps between them"),
            (lambda n, k, s, p: 0, "ends before the last pixel"),
            (lambda n, k, s, p: (n + 2 * p - k) % s, "The"),
            (3, "is a function unread(n, k, s, p)"),
        ],
    ),
    "2.2": (
        RIGHT,
        [
            (RIGHT[:, ::-1], "to the left"),
            (RIGHT.T, "up or down"),
            (np.eye(3), "A random picture"),
            ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], "where it is"),
            (np.ones((2, 3)), "Nine numbers"),
            ("left", "array of numbers"),
        ],
    ),
    "2.3": (
        matrix,
        [
            (lambda w, n: matrix(w[::-1, ::-1], n), "half a turn"),
            (lambda w, n: matrix(w.T, n), "exchanged"),
            (lambda w, n: matrix(w, n).T, "a row for each result"),
            (lambda w, n: 2 * matrix(w, n), "was expected"),
            (np.eye(3), "is a function matrix(w, n)"),
        ],
    ),
    "2.4": (
        both,
        [
            (correlated, "must be turned"),
            (lambda first, second: first * second, "together"),
            (lambda first, second: both(first, second.T), "was expected"),
            (0, "is a function both(first, second)"),
        ],
    ),
    "2.5": (
        split,
        [
            (by_first_row, "what do you divide by"),
            (lambda w: (split(w)[0][:, 0], split(w)[1]), "is an array of numbers"),
            (lambda w: split(w)[::-1], "The column is"),
            (lambda w: w, "returns two arrays"),
            (lambda w: (w[:, :1], w[:1]), "was expected"),
        ],
    ),
    "2.6": (
        field,
        [
            (stride_first, "and not its own"),
            (lambda layers: field([(k, s, 1) for k, s, d in layers]), "d(k − 1) + 1"),
            (63, "is a function field(layers)"),
        ],
    ),
}
