"""Matrix products and einsum against the loops of ``reference/products.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import products as ref
from reference.checking import agree, examples, few, normal, rngs

from minitorch7 import functional as F


@st.composite
def matmul_shapes(draw):
    """Two shapes that matmul accepts: vectors, matrices, and batches that broadcast."""
    n, k, m = draw(few), draw(few), draw(few)
    left, right = [n, k], [k, m]
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    for shape in (left, right):
        lost = draw(st.integers(0, len(batch)))
        shape[:0] = [draw(st.sampled_from([size, size, 1])) for size in batch[lost:]]
    if draw(st.integers(0, 3)) == 0:
        left = [k]
    if draw(st.integers(0, 3)) == 0:
        right = [k]
    return left, right


@examples
@given(shapes=matmul_shapes(), rng=rngs)
def test_matmul(backend, shapes, rng):
    agree(backend, F.matmul, ref.matmul, *(normal(rng, *shape) for shape in shapes))


@examples
@given(batch=few, n=few, k=few, m=few, rng=rngs)
def test_bmm(backend, batch, n, k, m, rng):
    agree(backend, F.bmm, ref.bmm, normal(rng, batch, n, k), normal(rng, batch, k, m))


@examples
@given(n=few, m=few, rng=rngs)
def test_outer(backend, n, m, rng):
    agree(backend, F.outer, ref.outer, normal(rng, n), normal(rng, m))


@examples
@given(
    lead=st.lists(st.integers(0, 3), max_size=3),
    features=st.integers(1, 3),
    out=few,
    with_bias=st.booleans(),
    rng=rngs,
)
def test_linear(backend, lead, features, out, with_bias, rng):
    x, weight = normal(rng, *lead, features), normal(rng, out, features)
    bias = normal(rng, out) if with_bias else None
    agree(backend, F.linear, ref.linear, x, weight, bias)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_linear_of_no_features_is_the_bias(backend, lead):
    bias = np.array([1.0, 2.0, -1.0, 0.5])
    agree(backend, F.linear, ref.linear, np.zeros((*lead, 0)), np.zeros((4, 0)), bias)


@pytest.mark.parametrize(
    "equation",
    [
        "ij,jk->ik",
        "nij,njk->nik",
        "nij,nkj->nik",
        "ij->ji",
        "ij->",
        "ij->i",
        "ii->i",
        "ii->",
        "i,i->",
        "i,j->ij",
        "ij,ij->ij",
        "ij,jk,kl->il",
        "ij,jk",
        "ji",
        "nij,nik,njk->n",
    ],
)
@examples
@given(sizes=st.lists(st.integers(0, 3), min_size=5, max_size=5), rng=rngs)
def test_einsum(backend, equation, sizes, rng):
    length = dict(zip("ijkln", sizes, strict=True))
    operands = [
        normal(rng, *(length[letter] for letter in names))
        for names in equation.split("->")[0].split(",")
    ]
    agree(
        backend,
        lambda *tensors: F.einsum(equation, *tensors),
        lambda *arrays: ref.einsum(equation, *arrays),
        *operands,
    )
