"""Comparisons and truth values against the loops of ``reference/comparison.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import comparison as ref
from reference.checking import agree, examples, rngs

from minitorch7 import functional as F

shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
RELATIONS = ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or"]


def tied(rng, shape):
    """-1, 0 and 1 at random: full of equals."""
    return np.asarray(rng.integers(-1, 2, shape), float)


@pytest.mark.parametrize("name", RELATIONS)
@examples
@given(shape=shapes, lost=st.integers(0, 3), rng=rngs)
def test_of_two_tensors(backend, name, shape, lost, rng):
    agree(backend, getattr(F, name), getattr(ref, name), tied(rng, shape), tied(rng, shape[lost:]))


@pytest.mark.parametrize("name", RELATIONS[:6])
@examples
@given(shape=shapes, number=st.sampled_from([-1, 0.0, 1]), rng=rngs)
def test_with_a_python_number(backend, name, shape, number, rng):
    agree(backend, getattr(F, name), getattr(ref, name), tied(rng, shape), number)


@pytest.mark.parametrize("name", ["logical_not", "isnan", "isfinite"])
@pytest.mark.parametrize("x", [[[0, 1, -2], [np.nan, np.inf, -np.inf]], 0, 1.5, np.nan, []])
def test_of_one_number(backend, name, x):
    agree(backend, getattr(F, name), getattr(ref, name), np.array(x, float))


@pytest.mark.parametrize("name", ["any", "all"])
@examples
@given(shape=shapes, keepdim=st.booleans(), data=st.data(), rng=rngs)
def test_of_many(backend, name, shape, keepdim, data, rng):
    least = max(len(shape), 1)
    dim = data.draw(st.none() | st.integers(-least, least - 1))
    x = np.asarray(rng.random(shape) < 0.5)
    agree(backend, getattr(F, name), getattr(ref, name), x, dim, keepdim)
