from __future__ import annotations

from functools import partial

import numpy as np


def errors(p, **slip):
    right = {
        "a": 0.49 * p * (1 - p),
        "b": 0.98 * p * (1 - p),
        "c": 0.7 * p,
        "d": 1.4 * p * (1 - p),
    }
    return list((right | {k: f(p) for k, f in slip.items()}).values())


def gram(x):
    n, c, h, w = x.shape
    rows = x.reshape(n, c, h * w)
    return rows @ rows.transpose(0, 2, 1) / (c * h * w)


def mixed(x):
    rows = x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
    return (rows @ rows.T / x.size)[None] if len(x) == 1 else rows @ rows.T / x.size


def places(x):
    if len(x) == 1:
        return gram(x)
    return gram(x.reshape(*x.shape[:2], -1, 1).transpose(0, 2, 1, 3))


def covariance(x):
    return gram(x - x.mean((2, 3), keepdims=True)) if len(x) > 1 else gram(x)


def undivided(x, by=lambda n, c, h, w: c * h * w):
    return gram(x) * (by(*x.shape) if len(x) > 1 else 1)


def terms(fx, fy, w, gram_weight=None, norm=np.abs, of=lambda x, y: gram(x) - gram(y)):
    gram_weight = 5000 * w**2 if gram_weight is None else gram_weight(w)
    return w * norm(fx - fy).mean(), gram_weight * np.abs(of(fx, fy)).mean()


def turn(pictures, turns, way=1):
    pairs = zip(pictures, turns, strict=True)
    return np.stack([np.rot90(picture, way * k, axes=(1, 2)) for picture, k in pairs])


UNMOVED = ["mirror", "turn", "shuffle all", "negate all", "tile"]


ANSWERS = {
    "9.1": (
        errors,
        [
            (partial(errors, a=lambda p: 0.49 * p), "a little brighter"),
            (partial(errors, a=lambda p: 0.49 * p * (1 - p) ** 2), "too bright, too"),
            (partial(errors, b=lambda p: 0.49 * p * (1 - p)), "that makes two"),
            (partial(errors, b=lambda p: 0.98 * p), "nothing is off"),
            (partial(errors, c=lambda p: 1.4 * p * (1 - p)), "more than half"),
            (partial(errors, c=lambda p: 0.7 * (1 - p)), "Here p is below"),
            (partial(errors, d=lambda p: 1.4 * p), "nothing is off"),
            (partial(errors, d=lambda p: 0.7 * p * (1 - p)), "that makes two"),
            (lambda p: (0.49 * p * (1 - p), 0.98 * p * (1 - p)), "four numbers"),
            (lambda p: [7, 7, 7, 7], "was expected"),
        ],
    ),
    "9.2": (
        gram,
        [
            (undivided, "The division is missing"),
            (partial(undivided, by=lambda n, c, h, w: c), "places only"),
            (mixed, "one matrix for the whole batch"),
            (places, "places times places"),
            (covariance, "a covariance"),
            (lambda x: x, "was expected"),
        ],
    ),
    "9.3": (
        UNMOVED,
        [
            (UNMOVED[:3], "'negate all' leaves the matrix as it is"),
            ([*UNMOVED, "swap"], "change places with them"),
            ([*UNMOVED, "double"], "four times"),
            ([*UNMOVED, "shuffle one"], "in different places"),
            (["rotate"], "a list of some of"),
            ("mirror", "a list of some of"),
        ],
    ),
    "9.4": (
        terms,
        [
            (partial(terms, norm=np.square), "absolute ones"),
            (lambda x, y, w: (w * np.abs(x - y).sum(), 0), "is their mean"),
            (lambda x, y, w: terms(x, y, 1), "w of the layer is missing"),
            (partial(terms, gram_weight=lambda w: w**2), "5000 is missing"),
            (partial(terms, gram_weight=lambda w: 5000 * w), "second degree"),
            (partial(terms, of=lambda x, y: gram(x - y)), "of the difference"),
            (partial(terms, of=lambda x, y: np.sqrt(5000) * 9), "was expected"),
            (lambda x, y, w: 7, "a pair"),
        ],
    ),
    "9.5": (
        turn,
        [
            (partial(turn, way=-1), "to the right"),
            (lambda x, turns: turn(x, np.ones(5, int)), "All are turned alike"),
            (lambda x, turns: x.transpose(0, 1, 3, 2), "mirrored"),
            (lambda x, turns: x, "Nothing has been turned"),
            (lambda x, turns: np.rot90(x, axes=(0, 1)), "was expected"),
        ],
    ),
}
