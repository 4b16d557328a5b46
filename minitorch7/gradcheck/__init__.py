"""Gradients against finite differences: is a backward rule right?

For a function f and a random cotangent v, let L(x) = Σ v·f(x). The walk backward gives ∂L/∂x; so
does the definition, one element at a time:

    ∂L/∂xᵢ ≈ (L(x + ε·eᵢ) − L(x − ε·eᵢ)) / (2ε)

in float64, with an error of the order ε². The cotangent must be random: with v = 1 everywhere the
gradient of a softmax or of a batch norm is zero, and a rule that is deleted outright would pass.

`gradgradcheck` does the same to the gradient as a function of x and of v: second derivatives.

    from minitorch7 import gradcheck
    gradcheck(lambda x, w: (x @ w).tanh(), (x, w))        # True, or an error that shows where

``python -m minitorch7.gradcheck`` checks every operation of the library and prints a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..autograd import grad as gradients

EPS, ATOL, RTOL = 1e-6, 1e-7, 1e-5


class GradcheckError(AssertionError):
    """A gradient that differs from the finite difference."""


class Report(NamedTuple):
    """The worst place of a check. `error` is |analytic − numeric|/(atol + rtol·|numeric|)."""

    error: float
    analytic: float
    numeric: float
    input: int
    place: tuple[int, ...]
    value: float


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = EPS,
    atol: float = ATOL,
    rtol: float = RTOL,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with finite differences.

    inputs   a tensor or several; those that are float64 and require a gradient are checked
    agree    |analytic − numeric| ≤ atol + rtol·|numeric|, for every element of every input

    Raises GradcheckError, or returns False with raise_exception=False. ValueError where there is
    nothing to check or the function is random.
    """
    report = worst_place(func, inputs, eps=eps, atol=atol, rtol=rtol, seed=seed)
    if report.error <= 1:
        return True
    if not raise_exception:
        return False
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    culprit = inputs[report.input]
    values = np.array2string(backend.to_numpy(culprit.data), threshold=20, precision=5)
    raise GradcheckError(
        f"gradcheck: the gradient of input {report.input} at {report.place} is "
        f"{report.analytic:.10g} by backward but {report.numeric:.10g} by finite differences "
        f"(off by {abs(report.analytic - report.numeric):.3g}, {report.error:.3g} times the "
        f"tolerance atol={atol:g} + rtol={rtol:g}·|numeric|), where the input is "
        f"{report.value:.10g}.\nThe input, of shape {culprit.shape}:\n{values}"
    )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = EPS,
    atol: float = ATOL,
    rtol: float = RTOL,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """`gradcheck` of the gradient: of ∂(Σ v·func)/∂inputs as a function of inputs and of v."""
    first_order, arguments = gradient_function(func, inputs, seed)
    return gradcheck(
        first_order,
        arguments,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        seed=seed + 1,
    )


def gradient_function(
    func: Callable[..., Any], inputs: Tensor | Sequence[Any], seed: int = 0
) -> tuple[Callable[..., Any], list[Any]]:
    """(g, arguments) with g(*inputs, *v) = ∂(Σ v·func)/∂inputs, recorded for another derivative."""
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    outputs = _outputs(func, inputs)
    rng = np.random.default_rng(seed + 100)
    v = [_cotangent(rng, t, requires_grad=True) for t in outputs]

    def first_order(*arguments: Any) -> tuple[Tensor, ...]:
        points, cotangents = arguments[: len(inputs)], arguments[len(inputs) :]
        variables = [t for t in points if _checked(t)]
        found = gradients(
            _outputs(func, points),
            variables,
            list(cotangents),
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in found if g is not None)

    return first_order, inputs + v


def worst_place(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = EPS,
    atol: float = ATOL,
    rtol: float = RTOL,
    seed: int = 0,
) -> Report:
    """Compare every element of every checked input; the report of the worst."""
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    variables = [(i, t) for i, t in enumerate(inputs) if _checked(t)]
    if not variables:
        raise ValueError("gradcheck: no input is a float64 tensor with requires_grad=True")
    outputs = _outputs(func, inputs)
    rng = np.random.default_rng(seed)
    v = [_cotangent(rng, t) for t in outputs]
    recorded = [(t, c) for t, c in zip(outputs, v, strict=True) if t.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(variables)
    if recorded:
        roots, cotangents = zip(*recorded, strict=True)
        found = gradients(roots, [t for _, t in variables], list(cotangents), allow_unused=True)

    def loss() -> float:
        values = _outputs(func, inputs)  # recorded, for `func` may itself take gradients
        return float(sum((a.data * b.data).sum() for a, b in zip(values, v, strict=True)))

    if loss() != loss():
        raise ValueError(
            "gradcheck: the function gives another result each time; fix its randomness, e.g. "
            "with manual_seed inside it"
        )
    worst = Report(0.0, 0.0, 0.0, -1, (), 0.0)
    for (i, t), g in zip(variables, found, strict=True):
        analytic = np.zeros(t.shape) if g is None else backend.to_numpy(g.data)
        for place in np.ndindex(t.shape):
            numeric = _difference(loss, t, place, eps)
            error = abs(analytic[place] - numeric) / (atol + rtol * abs(numeric))
            if not error <= worst.error:  # a NaN is the worst of all
                value = float(backend.to_numpy(t.data)[place])
                worst = Report(
                    error if error == error else float("inf"),
                    float(analytic[place]),
                    numeric,
                    i,
                    place,
                    value,
                )
    return worst


def _difference(loss: Callable[[], float], t: Tensor, place: tuple[int, ...], eps: float) -> float:
    """The central difference of `loss` in one element of `t`, which is left as it was."""
    before = t.data[place].copy()
    t.data[place] = before + eps
    above = loss()
    t.data[place] = before - eps
    below = loss()
    t.data[place] = before
    return (above - below) / (2 * eps)


def _checked(t: Any) -> bool:
    if not isinstance(t, Tensor) or not t.requires_grad:
        return False
    if t.dtype != np.float64:
        raise ValueError(
            f"gradcheck: inputs must be float64, got {t.dtype}: in float32 the rounding error is "
            "larger than the difference; make them with mt.tensor(x, dtype='float64')"
        )
    return True


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The function's floating-point results."""
    result = func(*inputs)
    results = result if isinstance(result, tuple | list) else (result,)
    return [t for t in results if isinstance(t, Tensor) and t.is_floating_point()]


def _cotangent(rng: np.random.Generator, t: Tensor, requires_grad: bool = False) -> Tensor:
    array = backend.to(rng.standard_normal(t.shape), t.backend)
    return Tensor(array, requires_grad)
