"""The cases: each a computation that both libraries can do, written once, with its inputs.

`run` is called as ``run(F, *tensors)`` where F is `minitorch7.functional` or PyTorch's functions
under the same names. An input is a shape, filled with normal numbers, or one of the recipes below.
No case imports PyTorch: `tests/test_stored_values.py` runs some of them without it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Recipe = Callable[[np.random.Generator, str], np.ndarray]


class Case(NamedTuple):
    """One computation.

    name       the function's name, then whatever tells the cases of one function apart
    inputs     shapes and recipes, in the order in which `run` takes them
    constants  the numbers of the inputs with respect to which there is no gradient
    orders     how many times PyTorch can differentiate it: 2, or 1 where it fails or gives NaN
    """

    name: str
    run: Callable[..., Any]
    inputs: tuple[Any, ...]
    constants: tuple[int, ...] = ()
    orders: int = 2

    @property
    def function(self) -> str:
        return self.name.split()[0]

    def arrays(self, dtype: str) -> list[np.ndarray]:
        """The inputs; the same numbers in every run."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [
            x(rng, dtype) if callable(x) else np.asarray(rng.standard_normal(x)).astype(dtype)
            for x in self.inputs
        ]


def case(
    name: str, run: Callable[..., Any], *inputs: Any, constants: Any = (), orders: int = 2
) -> Case:
    """A `Case` whose inputs need no brackets around them."""
    return Case(name, run, inputs, tuple(constants), orders)


# ---------------------------------------------------------------------------- recipes for inputs


def positive(*shape: int) -> Recipe:
    """Numbers from 0.5 up."""
    return lambda rng, dtype: (np.abs(rng.standard_normal(shape)) + 0.5).astype(dtype)


def between(low: float, high: float, *shape: int) -> Recipe:
    """Numbers spread evenly over an interval."""
    return lambda rng, dtype: rng.uniform(low, high, shape).astype(dtype)


def ties(*shape: int) -> Recipe:
    """Floats out of −1, 0 and 1: many are equal, and many are 0."""
    return lambda rng, dtype: rng.integers(-1, 2, shape).astype(dtype)


def values(*numbers: Any) -> Recipe:
    """These very numbers, as floats."""
    return lambda rng, dtype: np.asarray(numbers, dtype=dtype)


def scalar(number: float) -> Recipe:
    """A tensor without axes."""
    return lambda rng, dtype: np.asarray(number, dtype=dtype)


def ids(n: int, *shape: int, dtype: str = "int64") -> Recipe:
    """Integers from 0 to n − 1."""
    return lambda rng, _: rng.integers(0, n, shape).astype(dtype)


def given(numbers: Any, dtype: str = "int64") -> Recipe:
    """These very numbers, in a dtype of their own."""
    return lambda rng, _: np.asarray(numbers, dtype=dtype)


def mask(*shape: int) -> Recipe:
    """Bools, half of them true."""
    return lambda rng, _: rng.random(shape) < 0.5


def every_case() -> list[Case]:
    """All cases of all families."""
    from . import (
        convolution,
        elementwise,
        lookup,
        losses,
        normalisation,
        pooling,
        products,
        reductions,
        resampling,
        shape,
    )

    families = (elementwise, reductions, shape, lookup, products, convolution, pooling)
    families += (normalisation, resampling, losses)
    found = [c for family in families for c in family.CASES]
    names = [c.name for c in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"cases of one name: {sorted(twice)}")
    return found
