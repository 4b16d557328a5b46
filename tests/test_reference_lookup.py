"""Embedding, one-hot, gather and index_select against the loops of ``reference/lookup.py``."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import lookup as ref
from reference.checking import TOLERANCE, agree, compare, examples, normal, rngs

import minitorch7 as mt
from minitorch7 import functional as F


@st.composite
def tables(draw):
    """(ids (...), table (V, D)), the same id often more than once."""
    rng = draw(rngs)
    rows, width = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    return rng.integers(0, rows, shape), normal(rng, rows, width)


@st.composite
def picks(draw):
    """(x, dim, index) for gather: index no longer than x but along dim."""
    rng = draw(rngs)
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    wanted = [draw(st.integers(0, n)) for n in shape]
    wanted[dim] = draw(st.integers(0, 6))
    return normal(rng, *shape), dim, rng.integers(0, shape[dim], wanted)


@examples
@given(case=tables())
def test_embedding(backend, case):
    ids, table = case
    agree(backend, F.embedding, ref.embedding, ids, table)
    agree(backend, F.embedding, ref.embedding, ids, table, padding_idx=len(table) - 1)


@examples
@given(case=tables(), padding=st.booleans(), rng=rngs)
def test_embedding_gradient_leaves_out_the_padding_row(backend, case, padding, rng):
    ids, table = case
    grad = normal(rng, *ids.shape, table.shape[1])
    padding_idx = len(table) - 1 if padding else None
    expected = ref.embedding_weight_grad(grad, ids, table.shape, padding_idx)
    for precision, tolerance in TOLERANCE.items():
        weight = mt.tensor(table.astype(precision), requires_grad=True)
        y = F.embedding(mt.tensor(ids), weight, padding_idx=padding_idx)
        (got,) = mt.grad(y, weight, grad_outputs=mt.tensor(grad.astype(precision)))
        compare(got, expected, precision, tolerance, backend)


@examples
@given(case=tables(), more=st.integers(0, 2))
def test_one_hot(backend, case, more):
    ids, table = case
    agree(backend, F.one_hot, ref.one_hot, ids, len(table) + more)
    if ids.size:
        agree(backend, F.one_hot, ref.one_hot, ids)


@examples
@given(case=picks())
def test_gather(backend, case):
    x, dim, index = case
    agree(backend, F.gather, ref.gather, x, dim, index)


@examples
@given(case=picks())
def test_index_select(backend, case):
    x, dim, index = case
    agree(backend, F.index_select, ref.index_select, x, dim, np.ravel(index))


@examples
@given(
    where=st.sampled_from(
        [
            (1,),
            (-1, 2),
            (slice(None), slice(1, 3)),
            (slice(None, None, 2),),
            (..., 0),
            (..., slice(-2, None)),
            (None, 1),
            (slice(None), None, 0),
            (np.array([2, 0, 2]),),
            (slice(None), np.array([[1, 3], [1, -1]])),
            (np.array([0, 2]), np.array([3, 1])),
            (0, np.array([1, 1]), slice(1, 2)),
        ]
    ),
    rng=rngs,
)
def test_indexing_is_numpys(backend, where, rng):
    agree(backend, lambda x: F.index(x, where), lambda x: x[where], normal(rng, 3, 4, 2))
    agree(backend, lambda x: x[where], lambda x: x[where], normal(rng, 3, 4, 2))


@examples
@given(share=st.sampled_from([0.0, 0.3, 1.0]), rng=rngs)
def test_indexing_by_a_mask(backend, share, rng):
    x, mask = normal(rng, 3, 4, 2), rng.random((3, 4)) < share
    agree(backend, lambda x, mask: x[mask], lambda x, mask: x[mask], x, mask)
