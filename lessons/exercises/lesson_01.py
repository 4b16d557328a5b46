"""Lesson 1: slopes, the walk, broadcasting undone, second derivatives, a Function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7.autograd import Function

from . import NotYet, exercise, expect, expect_close, expect_function


@exercise("1.1")
def _four_values(answer: Any) -> None:
    expect_function(answer, "slope", "f, x, h")
    errors = np.zeros(
        2
    )  # over several functions: of one, a derivative may be 0 by chance
    for a, b, x in np.random.default_rng().uniform(0.5, 1.5, (12, 3)):

        def f(t: float, a: float = a, b: float = b) -> float:
            return math.exp(a * t) * math.sin(b * t + 1)

        true = math.exp(a * x) * (a * math.sin(b * x + 1) + b * math.cos(b * x + 1))
        errors += [abs(_number(answer(f, x, h)) - true) for h in (0.08, 0.04)]
    expect(errors[0] < 6, "At h = 0.08 it is far from the slope.")
    order = math.log2(errors[0] / errors[1])
    expect(
        order > 1.5,
        f"Halving h divides the error by {errors[0] / errors[1]:.1f} only, as a "
        "forward difference does. Step to both sides.",
    )
    expect(
        order > 3.3,
        f"Halving h divides the error by {errors[0] / errors[1]:.1f}: that is h², one "
        "central difference. Of the two with steps h and 2h, the second has 4 times "
        "the error; which multiples of them add up to one slope, and to no error?",
    )
    calls = []
    answer(lambda t: calls.append(t) or f(t), x, 0.1)
    places = {round((t - x) / 0.1, 6) for t in calls}
    expect(
        places <= {-2, -1, 1, 2},
        "It is exact enough, but use f at x ± h and x ± 2h only.",
    )


@exercise("1.2")
def _visits(answer: Any) -> None:
    visits = 1
    for _ in range(10):
        product = 1 + 2 * visits
        visits = 1 + product + visits
    answer = _number(answer)
    expect(
        answer not in (2047, 2**11),
        "That is the number for doubling. Here x is used three times in each step: "
        "twice by the product, and once by the sum.",
    )
    expect(
        answer != 21,
        "That is how many numbers there are; `send` comes back to most of them.",
    )
    expect(
        answer not in (3**10, 3**11),
        "Three paths a step, that is right. But a visit is paid for every number on "
        "the way, the products and sums in between too.",
    )
    expect(
        answer == visits,
        "Let V be the visits that x costs. The product costs 1 + 2V; the sum costs 1, "
        "the product, and V once more. Start at V = 1 for the first x, and go on ten "
        "times.",
    )


@exercise("1.3")
def _undo(answer: Any) -> None:
    expect_function(answer, "undo", "gradient, shape")
    rng = np.random.default_rng()
    for small, large, hint in (
        ((4, 3), (4, 3), "Where nothing was stretched, nothing is to be summed."),
        ((3,), (4, 3), "An axis that `shape` lacks comes first in the gradient."),
        ((4, 1), (4, 3), "An axis of length 1 stays, as length 1: keepdims=True."),
        (
            (2, 1, 3),
            (5, 2, 4, 3),
            "Both at once: an axis is missing, and one has length 1.",
        ),
        ((), (4, 3), "A number has no axes: all are summed."),
        ((1, 3), (1, 3), "An axis of length 1 that was not stretched stays."),
    ):
        gradient = rng.integers(-9, 10, large).astype(float)
        kept = gradient.copy()
        t = mt.tensor(np.zeros(small), requires_grad=True, backend="numpy")
        (t + mt.tensor(np.zeros(large), backend="numpy")).backward(
            mt.tensor(gradient, backend="numpy")
        )
        found = answer(gradient, small)
        expect(
            np.shape(found) == small,
            f"From {large} to {small} the answer has shape {np.shape(found)}. {hint}",
        )
        expect_close(found, t.grad, f"From {large} to {small} the answer")
        expect(
            np.array_equal(gradient, kept),
            "Leave the gradient that was given as it is.",
        )


@exercise("1.4")
def _accumulated(answer: Any) -> None:
    answer = _number(answer)
    expect(
        answer != 33, "`x.detach()` is a constant to the walk: z is 3·y there, not x·y."
    )
    expect(
        answer not in (18, 27),
        "The second walk brings that, more or less; but what did the first one leave "
        "in .grad?",
    )
    expect(answer != 6, "That is after the first walk. The second adds to it.")
    expect(
        answer == 24,
        "dy/dx is 2x. Then z = y·3, with the 3 a constant. Add the two gradients.",
    )


@exercise("1.5")
def _hessian_times(answer: Any) -> None:
    expect_function(answer, "hessian_times", "f, x, v")
    rng = np.random.default_rng()

    def tensor(array: np.ndarray) -> mt.Tensor:
        return mt.tensor(array, requires_grad=False)

    n = 5
    A = rng.standard_normal((n, n))
    H = A + A.T
    x, v = rng.standard_normal(n), rng.standard_normal(n)

    def square(t: mt.Tensor) -> mt.Tensor:
        return (t @ tensor(A)) @ t

    found = _tried(answer, square, x, v)
    expect(
        not np.allclose(found, H @ x) and not np.allclose(found, (H @ x) * v),
        "That is the first gradient (perhaps times v). Multiply it by v, sum, and "
        "differentiate once more.",
    )
    expect_close(found, H @ v, "For f = xᵀ·A·x the answer")

    def waves(t: mt.Tensor) -> mt.Tensor:
        return (t.sin() * t[0]).sum()

    H = np.diag(-np.sin(x) * x[0])
    H[0] += np.cos(x)
    H[:, 0] += np.cos(x)
    expect_close(_tried(answer, waves, x, v), H @ v, "For f = x₀·Σ sin xᵢ the answer")

    runs = []
    many = rng.standard_normal(300)

    def counted(t: mt.Tensor) -> mt.Tensor:
        t = _Counted(runs)(t)
        return (t * t * t).sum()

    expect_close(
        _tried(answer, counted, many, many), 6 * many * many, "For f = Σ x³ the answer"
    )
    expect(
        len(runs) <= 10,
        f"It is right, but with 300 elements it walked {len(runs)} times: it makes the "
        "rows of the matrix one by one. The gradient of the *number* g·v is the whole "
        "product.",
    )


class _Counted(Function):
    """y = x; counts the walks that pass through it, at every order."""

    def __init__(self, runs: list[int]) -> None:
        self.runs = runs

    def forward(self, xp: Any, x: Any) -> Any:
        return x.copy()

    def backward(self, grad: mt.Tensor) -> mt.Tensor:
        self.runs.append(1)
        return _Counted(self.runs)(grad)


def _tried(answer: Any, f: Any, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The answer at tensors, with the errors that most get explained."""
    point = mt.tensor(x, requires_grad=True)
    try:
        found = answer(f, point, mt.tensor(v))
    except RuntimeError as error:
        if "does not depend" in str(error):
            raise NotYet(
                "The first gradient was not recorded, so it cannot be differentiated: "
                "create_graph=True."
            ) from None
        raise
    expect(
        not isinstance(found, tuple | list),
        "mt.grad gives a tuple; the answer is its first.",
    )
    expect(
        isinstance(found, mt.Tensor), f"The answer must be a tensor, not {type(found)}."
    )
    expect(point.grad is None, "Leave x.grad alone: mt.grad does, backward() does not.")
    return found.detach().cpu().numpy()


@exercise("1.6")
def _cumulative_sum(answer: Any) -> None:
    expect(
        isinstance(answer, type) and issubclass(answer, Function),
        f"The answer is a class derived from Function; this is {answer!r:.80}.",
    )
    rng = np.random.default_rng()
    x = mt.tensor(rng.standard_normal((2, 5)), requires_grad=True)
    values = x.detach().cpu().numpy()
    y = answer()(x)
    expect_close(y, np.cumsum(values, -1), "forward along the last axis")
    g = rng.standard_normal((2, 5))
    (found,) = mt.grad(y, x, mt.tensor(g))
    found = found.detach().cpu().numpy()
    expect(
        not np.allclose(found, np.cumsum(g, -1)),
        "backward sums the gradients from the left, as forward does. But xⱼ occurs in "
        "yⱼ and in all outputs *after* it.",
    )
    expect(
        not np.allclose(found, g),
        "backward hands the gradient on unchanged. But xⱼ occurs in yⱼ and in all "
        "outputs after it, and all of them send something.",
    )
    expect_close(found, np.cumsum(g[:, ::-1], -1)[:, ::-1], "the gradient")
    expect(
        mt.gradcheck(lambda t: answer()(t), x, raise_exception=False),
        "gradcheck disagrees.",
    )
    try:
        second = mt.gradgradcheck(lambda t: answer()(t * t), x, raise_exception=False)
    except RuntimeError:
        second = False
    expect(
        second,
        "The first derivative is right, the second is not: backward left the tensors "
        "for arrays, so it was not recorded. Build it from operations on tensors, "
        "such as grad.flip(-1) and the class itself.",
    )


def _number(answer: Any) -> float:
    if isinstance(answer, mt.Tensor) and answer.numel() == 1:
        return float(answer.detach().item())
    try:
        return float(answer)
    except (TypeError, ValueError):
        raise NotYet(f"The answer is a number; this is {answer!r:.80}.") from None
