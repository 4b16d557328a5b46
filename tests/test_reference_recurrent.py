"""Recurrent cells and sweeps against the loops of ``reference/recurrent.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import recurrent as ref
from reference.checking import agree, examples, few, normal, rngs, some, switch

from minitorch7 import functional as F

KINDS = {"rnn": 1, "gru": 3, "lstm": 4}
kinds = pytest.mark.parametrize("kind", KINDS)


def arguments(rng, kind, lead, batch, width, size, biased):
    """Inputs, a state, weights and biases of a layer; `lead` is () for a cell, (T,) for a sweep."""
    rows = KINDS[kind] * size
    states = [normal(rng, batch, size) for _ in range(1 + (kind == "lstm"))]
    biases = [normal(rng, rows) for _ in range(2)] if biased else [None, None]
    hx = states if kind == "lstm" else states[0]
    weights = normal(rng, rows, width), normal(rng, rows, size)
    return normal(rng, *lead, batch, width), hx, *weights, *biases


@kinds
@examples
@given(batch=few, width=few, size=some, biased=switch, rng=rngs)
def test_cells(backend, kind, batch, width, size, biased, rng):
    name = f"{kind}_cell"
    values = arguments(rng, kind, (), batch, width, size, biased)
    agree(backend, getattr(F, name), getattr(ref, name), *values)


@kinds
@examples
@given(length=some, batch=few, width=few, size=some, biased=switch, rng=rngs)
def test_sweeps(backend, kind, length, batch, width, size, biased, rng):
    name = f"{kind}_sweep"
    values = arguments(rng, kind, (length,), batch, width, size, biased)
    agree(backend, getattr(F, name), getattr(ref, name), *values)


@pytest.mark.parametrize("name", ["rnn_cell", "rnn_sweep"])
@examples
@given(data=st.data(), rng=rngs)
def test_relu(backend, name, data, rng):
    lead = () if name == "rnn_cell" else (data.draw(some),)
    values = arguments(rng, "rnn", lead, data.draw(few), data.draw(few), data.draw(some), True)
    agree(backend, getattr(F, name), getattr(ref, name), *values, "relu")


@kinds
@pytest.mark.parametrize("scale", [30, 1e4, 1e30])
@pytest.mark.filterwarnings("error")
def test_gates_far_out_are_nought_or_one(backend, kind, scale):
    """σ(−10⁴) is 0 and no e^10000, whose reciprocal it would be, is formed on the way."""
    rng = np.random.default_rng(0)
    x, hx, *weights = arguments(rng, kind, (2,), 3, 2, 2, True)
    values = x * scale, hx, *weights
    name = f"{kind}_sweep"
    agree(backend, getattr(F, name), getattr(ref, name), *values)
