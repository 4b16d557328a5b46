"""Where dtypes meet: every pair of them, with and without axes, and Python's numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F

from .comparing import Theirs, torch

DTYPES = ("bool", "uint8", "int32", "int64", "float16", "float32", "float64")
NUMBERS = (True, 3, 2.5)
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda f, a, b: a + b,
    "sub": lambda f, a, b: a - b,
    "mul": lambda f, a, b: a * b,
    "div": lambda f, a, b: a / b,
    "div floor": lambda f, a, b: f.div(a, b, rounding_mode="floor"),
    "div trunc": lambda f, a, b: f.div(a, b, rounding_mode="trunc"),
    "pow": lambda f, a, b: a**b,
    "where": lambda f, a, b: f.where(a > 1, a, b),
    "lt": lambda f, a, b: a < b,
    "eq": lambda f, a, b: a == b,
}
OF_TENSORS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "maximum": lambda f, a, b: f.maximum(a, b),
    "minimum": lambda f, a, b: f.minimum(a, b),
    "clamp": lambda f, a, b: f.clamp(a, b),
    "logical_or": lambda f, a, b: f.logical_or(a, b),
    "cat": lambda f, a, b: f.cat([a.reshape((-1,)), b.reshape((-1,))]),
    "stack": lambda f, a, b: f.stack([a.reshape((-1,))[:1], b.reshape((-1,))[:1]]),
}
UNARY: dict[str, Callable[[Any, Any], Any]] = {
    name: lambda f, a, name=name: getattr(f, name)(a)
    for name in "abs neg exp log sqrt sin cos erf tanh sigmoid relu sum logical_not isnan isfinite "
    "all any argmax max min clone softplus gelu silu".split()
} | {
    "clamp ints": lambda f, a: f.clamp(a, 1, 2),
    "clamp floats": lambda f, a: f.clamp(a, 0.5, 1.5),
    "sum dim": lambda f, a: f.sum(a, 0),
    "cumsum": lambda f, a: f.cumsum(a, 0),
    "mean": lambda f, a: f.mean(a),
    "var": lambda f, a: f.var(a),
    "softmax": lambda f, a: f.softmax(a, 0),
    "logsumexp": lambda f, a: f.logsumexp(a, 0),
    "leaky_relu": lambda f, a: f.leaky_relu(a),
    "pad": lambda f, a: f.pad(a, (1, 0)),
    "index": lambda f, a: a[1:],
    "max dim": lambda f, a: f.max(a, 0)[0],
}


def _array(dtype: str, axes: int) -> np.ndarray:
    return np.asarray([3, 1, 2] if axes else 2).astype(dtype)


def _result(function: Callable[..., Any], *operands: Any) -> Any:
    """The array, or what kind of thing went wrong."""
    try:
        with np.errstate(all="ignore"):
            t = function(*operands)
    except (TypeError, RuntimeError, ValueError, NotImplementedError):
        return None
    return t.numpy(force=True) if isinstance(t, torch.Tensor) else t.numpy()


def _disagreement(what: str, got: Any, expected: Any) -> list[str]:
    """Nothing, or one line. Where PyTorch refuses there is nothing to agree with."""
    if expected is None:
        return []
    if got is None:
        return [f"{what}: refused, PyTorch gives {expected.dtype}"]
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return [f"{what}: {got.dtype}{got.shape}, PyTorch {expected.dtype}{expected.shape}"]
    # Half precision is rounded once by either library, at places of its own.
    near = 2e-3 if expected.dtype == np.float16 else 1e-6
    if not np.allclose(got.astype(float), expected.astype(float), near, near, equal_nan=True):
        return [f"{what}: {got.tolist()}, PyTorch {expected.tolist()}"]
    return []


def _both(what: str, function: Callable[..., Any], *arrays: Any) -> list[str]:
    """Arrays become tensors; Python's numbers stay."""

    def tensors(make: Callable[[Any], Any]) -> list[Any]:
        return [make(a) if isinstance(a, np.ndarray | np.generic) else a for a in arrays]

    got = _result(function, F, *tensors(lambda a: mt.tensor(np.asarray(a))))
    expected = _result(function, Theirs.F, *tensors(lambda a: torch.tensor(np.asarray(a))))
    return _disagreement(what, got, expected)


@pytest.mark.parametrize("name", [*BINARY, *OF_TENSORS])
def test_two_tensors(name: str) -> None:
    function = (BINARY | OF_TENSORS)[name]
    wrong = []
    for first in DTYPES:
        for second in DTYPES:
            for axes in ((1, 1), (1, 0), (0, 1), (0, 0)):
                a, b = _array(first, axes[0]), _array(second, axes[1])
                wrong += _both(f"{first}{a.shape} {second}{b.shape}", function, a, b)
    assert wrong == []


@pytest.mark.parametrize("name", BINARY)
def test_tensor_and_number(name: str) -> None:
    wrong = []
    for dtype in DTYPES:
        for number in NUMBERS:
            for axes in (1, 0):
                a = _array(dtype, axes)
                wrong += _both(f"{dtype}{a.shape} {number}", BINARY[name], a, number)
                if name != "where":  # there the first operand is compared
                    wrong += _both(f"{number} {dtype}{a.shape}", BINARY[name], number, a)
    assert wrong == []


@pytest.mark.parametrize("name", UNARY)
def test_one_tensor(name: str) -> None:
    wrong = []
    for dtype in DTYPES:
        if (name, dtype) in (("all", "uint8"), ("any", "uint8")):
            continue  # uint8 for uint8: a leftover, from before PyTorch had bools
        for axes in (1, 0) if name not in ("pad", "index") else (1,):
            wrong += _both(f"{dtype} of {axes} axes", UNARY[name], _array(dtype, axes))
    assert wrong == []


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "where"])
def test_gradients_keep_their_tensor_s_dtype(name: str) -> None:
    """A float32 tensor gets a float32 gradient from a float64 computation, and the other way."""
    function = (BINARY | OF_TENSORS)[name]
    for first, second in (("float32", "float64"), ("float64", "float32")):
        grads = []
        for make, f in ((mt.tensor, F), (torch.tensor, Theirs.F)):
            a = make(np.array([3, 1, 2.5], first), requires_grad=True)
            b = make(np.array([2, 4, 0.5], second), requires_grad=True)
            function(f, a, b).sum().backward()
            grads.append([a.grad.numpy(), b.grad.numpy()])
        for got, expected in zip(*grads, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, 1e-6)
