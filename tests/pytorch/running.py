"""Runs one case in one library: outputs, gradients, and gradients of gradients."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import minitorch7 as mt

from .cases import Case

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


class Ours:
    """minitorch7, as `run` wants to see a library."""

    F = mt.functional
    grad = staticmethod(partial(mt.grad, allow_unused=True))

    @staticmethod
    def tensor(array: np.ndarray, requires_grad: bool = False) -> mt.Tensor:
        return mt.tensor(array.copy(), requires_grad=requires_grad)

    @staticmethod
    def array(t: mt.Tensor) -> np.ndarray:
        return t.detach().numpy()


def run(library: Any, case: Case, arrays: list[np.ndarray], order: int = 1) -> dict[str, Any]:
    """Everything that the case gives, by name, as arrays.

    output i, and which outputs are recorded; gradient i, with respect to input i, with random
    cotangents on every output; for order 2 also second i, the gradient of those gradients.
    """
    inputs = [
        library.tensor(a, a.dtype.kind == "f" and i not in case.constants)
        for i, a in enumerate(arrays)
    ]
    wanted = [(i, t) for i, t in enumerate(inputs) if t.requires_grad]
    outputs = _flat(case.run(library.F, *inputs))
    results: dict[str, Any] = {f"output {i}": library.array(t) for i, t in enumerate(outputs)}
    results["recorded"] = [t.requires_grad for t in outputs]
    grads = _gradients(library, outputs, wanted, 1, order > 1)
    results |= {f"gradient {i}": g for i, g in grads.items()}
    if order > 1:
        seconds = _gradients(library, list(grads.values()), wanted, 2, False)
        results |= {f"second {i}": g for i, g in seconds.items()}
    return {k: library.array(v) if hasattr(v, "requires_grad") else v for k, v in results.items()}


def _flat(outputs: Any) -> list[Any]:
    if isinstance(outputs, tuple | list):
        return [t for o in outputs for t in _flat(o)]
    return [outputs]


def _gradients(
    library: Any, outputs: list[Any], inputs: list[Any], seed: int, create_graph: bool
) -> dict[int, Any]:
    """The gradient for each input by its number; None where nothing depends on it."""
    live = [(k, t) for k, t in enumerate(outputs) if t is not None and t.requires_grad]
    if not live:
        return dict.fromkeys(i for i, _ in inputs)
    cotangents = [
        library.tensor(cotangent((seed, k), tuple(t.shape), library.array(t).dtype))
        for k, t in live
    ]
    found = library.grad(
        [t for _, t in live], [t for _, t in inputs], cotangents, create_graph=create_graph
    )
    return {i: g for (i, _), g in zip(inputs, found, strict=True)}


def cotangent(seed: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What a gradient is weighted with: normal numbers, the same in both libraries."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def check_close(got: Any, expected: Any, tolerance: float, what: str) -> None:
    """Same shape, same dtype, and |got − expected| ≤ tolerance·(1 + |expected|) everywhere."""
    got, expected = np.asarray(got), np.asarray(expected)
    found = (got.shape, got.dtype)
    assert found == (expected.shape, expected.dtype), (
        f"{what}: {found} is not {expected.shape}, {expected.dtype}"
    )
    np.testing.assert_allclose(
        got.astype("float64"), expected.astype("float64"), tolerance, tolerance, err_msg=what
    )


def check_same(got: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    """Every result by its name; no gradient at all counts as zeros only in the second order."""
    assert got["recorded"] == expected["recorded"]
    for name, value in expected.items():
        if name == "recorded":
            continue
        mine = got[name]
        if name.startswith("second") and (mine is None or value is None):
            mine, value = (0.0 if v is None else v for v in (mine, value))
            np.testing.assert_allclose(mine, value, tolerance, tolerance, err_msg=name)
            continue
        assert (mine is None) == (value is None), f"{name}: {mine} against {value}"
        if value is not None:
            check_close(mine, value, tolerance, name)
