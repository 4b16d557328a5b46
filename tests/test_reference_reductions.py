"""Sums, means, extremes, softmax and cumsum against the loops of ``reference/reductions.py``."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import reductions as ref
from reference.checking import agree, examples, normal, rngs, spread

from minitorch7 import functional as F


@st.composite
def reductions(draw, least=0, most=4, several=True, none=True, min_axes=1):
    """(shape, dim): axes of length `least` to 4; dim an axis from either end, several, or None."""
    shape = draw(st.lists(st.integers(least, most), min_size=min_axes, max_size=4))
    one = st.integers(-len(shape), len(shape) - 1)
    kinds = [one]
    if several:
        kinds.append(st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True))
    if none:
        kinds.append(st.none())
    dim = draw(st.one_of(kinds))
    return tuple(shape), tuple(dim) if isinstance(dim, list) else dim


@examples
@given(case=reductions(), keepdim=st.booleans(), rng=rngs)
def test_sum(backend, case, keepdim, rng):
    shape, dim = case
    agree(backend, F.sum, ref.sum, normal(rng, *shape), dim, keepdim)


@examples
@given(case=reductions(), keepdim=st.booleans(), rng=rngs)
def test_mean(backend, case, keepdim, rng):
    shape, dim = case
    agree(backend, F.mean, ref.mean, normal(rng, *shape), dim, keepdim)


@pytest.mark.parametrize("name", ["var", "std"])
@examples
@given(case=reductions(least=1), correction=st.integers(0, 2), keepdim=st.booleans(), rng=rngs)
def test_var_and_std(backend, name, case, correction, keepdim, rng):
    shape, dim = case
    assume(ref.sum(np.ones(shape), dim).flat[0] > correction)
    options = {"correction": correction, "keepdim": keepdim}
    agree(backend, getattr(F, name), getattr(ref, name), spread(rng, *shape), dim, **options)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize(("count", "correction"), [(1, 1), (2, 2), (2, 3)])
def test_var_without_degrees_of_freedom(backend, name, count, correction):
    """0/0 for one value, something/0 for more: NaN and infinity, as in PyTorch"""
    x = np.arange(2.0 * count).reshape(2, count)
    agree(backend, getattr(F, name), getattr(ref, name), x, 1, correction=correction)


def test_var_of_a_large_mean(backend):
    """E[x²] - E[x]² would keep no digit of this one in float32."""
    x = 4096 + np.arange(16.0).reshape(2, 8) / 16  # float32 holds these exactly
    agree(backend, F.var, ref.var, x, 1)


@pytest.mark.parametrize("name", ["max", "min"])
@examples
@given(case=reductions(least=1, several=False, none=False), keepdim=st.booleans(), rng=rngs)
def test_extremes(backend, name, case, keepdim, rng):
    shape, dim = case
    agree(backend, getattr(F, name), getattr(ref, name), spread(rng, *shape), dim, keepdim)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
@examples
@given(case=reductions(least=1), rng=rngs)
def test_extremes_of_the_whole(backend, name, case, rng):
    agree(backend, getattr(F, name), getattr(ref, name), spread(rng, *case[0]))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@examples
@given(case=reductions(least=1, several=False), keepdim=st.booleans(), rng=rngs)
def test_places_of_extremes_and_the_first_of_equals(backend, name, case, keepdim, rng):
    shape, dim = case
    x = rng.integers(0, 3, shape).astype(float)  # full of ties
    agree(backend, getattr(F, name), getattr(ref, name), x, dim, keepdim)


@examples
@given(case=reductions(least=1, none=False), keepdim=st.booleans(), rng=rngs)
def test_logsumexp(backend, case, keepdim, rng):
    shape, dim = case
    agree(backend, F.logsumexp, ref.logsumexp, normal(rng, *shape, scale=3), dim, keepdim)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cumsum"])
@examples
@given(case=reductions(several=False, none=False), rng=rngs)
def test_along_an_axis(backend, name, case, rng):
    shape, dim = case
    agree(backend, getattr(F, name), getattr(ref, name), normal(rng, *shape), dim)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_large_numbers_do_not_overflow(backend, name, shift):
    x = np.array([[0.0, 1.0, -2.0], [0.5, 0.25, 3.0]]) + shift
    agree(backend, getattr(F, name), getattr(ref, name), x, 1)
