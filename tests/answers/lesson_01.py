"""Right and wrong answers to the exercises of lesson 1."""

from __future__ import annotations

import numpy as np

import minitorch7 as mt
from minitorch7.autograd import Function


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def four_values(f, x, h):
    return (4 * central(f, x, h) - central(f, x, 2 * h)) / 3


def undo(gradient, shape):
    lead = gradient.ndim - len(shape)
    ones = [i + lead for i, n in enumerate(shape) if n == 1]
    return gradient.sum((*range(lead), *ones), keepdims=True).reshape(shape)


def undo_in_place(gradient, shape):
    summed = undo(gradient, shape)
    gradient *= 0
    return summed


def hessian_times(f, x, v):
    (g,) = mt.grad(f(x), x, create_graph=True)
    return mt.grad((g * v).sum(), x)[0]


def with_the_matrix(f, x, v):
    (g,) = mt.grad(f(x), x, create_graph=True)
    rows = [mt.grad(g[i], x, retain_graph=True)[0] for i in range(len(x))]
    return mt.stack(rows) @ v


def not_recorded(f, x, v):
    (g,) = mt.grad(f(x), x)
    return mt.grad((g * v).sum(), x)[0]


def by_backward(f, x, v):
    f(x).backward(create_graph=True)
    return mt.grad((x.grad * v).sum(), x)[0]


class CumulativeSum(Function):
    def forward(self, xp, x):
        return xp.cumsum(x, axis=-1)

    def backward(self, grad):
        return type(self)()(grad.flip(-1)).flip(-1)


class FromTheLeft(CumulativeSum):
    def backward(self, grad):
        return CumulativeSum()(grad)


class Unchanged(CumulativeSum):
    def backward(self, grad):
        return grad


class OnArrays(CumulativeSum):
    def backward(self, grad):
        return mt.Tensor(np.cumsum(grad.data[..., ::-1], axis=-1)[..., ::-1].copy())


class FirstAxis(CumulativeSum):
    def forward(self, xp, x):
        return xp.cumsum(x, axis=0)


ANSWERS = {
    "1.1": (
        four_values,
        [
            (central, "that is h², one central difference"),
            (lambda f, x, h: (f(x + h) - f(x)) / h, "as a forward difference does"),
            (lambda f, x, h: f(x), "far from the slope"),
            (
                lambda f, x, h: (4 * central(f, x, h / 2) - central(f, x, h)) / 3,
                "use f at x ± h and x ± 2h only",
            ),
            (3.0, "The answer is a function slope"),
        ],
    ),
    "1.2": (
        2 * 3**10 - 1,
        [
            (2047, "the number for doubling"),
            (21, "`send` comes back"),
            (3**10, "a visit is paid for every number on the way"),
            (1000, "Let V be the visits"),
            ("many", "The answer is a number"),
        ],
    ),
    "1.3": (
        undo,
        [
            (lambda g, shape: g.sum(0), "nothing is to be summed"),
            (lambda g, shape: g, "An axis that `shape` lacks comes first"),
            (
                lambda g, shape: (
                    g if g.shape == shape else g.sum(tuple(range(g.ndim - len(shape))))
                ),
                "An axis of length 1 stays",
            ),
            (undo_in_place, "Leave the gradient that was given as it is"),
            (lambda g, shape: np.zeros(shape), "From (4, 3) to (4, 3) the answer"),
        ],
    ),
    "1.4": (
        24,
        [
            (33, "`x.detach()` is a constant"),
            (18, "what did the first one leave"),
            (6, "after the first walk"),
            (0, "Add the two gradients"),
        ],
    ),
    "1.5": (
        hessian_times,
        [
            (not_recorded, "create_graph=True"),
            (with_the_matrix, "it makes the rows of the matrix one by one"),
            (by_backward, "Leave x.grad alone"),
            (lambda f, x, v: mt.grad(f(x), x)[0], "That is the first gradient"),
            (lambda f, x, v: mt.grad(f(x), x), "mt.grad gives a tuple"),
            (lambda f, x, v: 0.5 * hessian_times(f, x, v), "For f = xᵀ·A·x the answer"),
        ],
    ),
    "1.6": (
        CumulativeSum,
        [
            (FromTheLeft, "all outputs *after* it"),
            (Unchanged, "hands the gradient on unchanged"),
            (OnArrays, "backward left the tensors for arrays"),
            (FirstAxis, "forward along the last axis"),
            (CumulativeSum(), "The answer is a class derived from Function"),
        ],
    ),
}
