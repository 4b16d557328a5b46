"""Losses against the loops of ``reference/losses.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import losses as ref
from reference.checking import agree, examples, normal, positive, rngs

from minitorch7 import functional as F

reductions = st.sampled_from(["none", "mean", "sum"])
places = st.lists(st.integers(1, 3), max_size=3)


@st.composite
def classifications(draw, least_batch=1):
    """(scores (N, C, ...), classes (N, ...), weight (C,) or None, ignore_index)

    One target in three or so is to be ignored; at least one is not.
    """
    rng = draw(rngs)
    batch, classes = draw(st.integers(least_batch, 3)), draw(st.integers(2, 4))
    shape = draw(places)
    target = rng.integers(0, classes, (batch, *shape))
    ignore_index = draw(st.sampled_from([-100, -1, 0]))
    lost = rng.random(target.shape) < draw(st.sampled_from([0, 0.3]))
    target = np.where(lost, ignore_index, target)
    if target.size:
        target.flat[0] = classes - 1
    weight = positive(rng, classes) if draw(st.booleans()) else None
    return normal(rng, batch, classes, *shape), target, weight, ignore_index


@examples
@given(case=classifications(), reduction=reductions, smoothing=st.sampled_from([0.0, 0.1, 1.0]))
def test_cross_entropy(backend, case, reduction, smoothing):
    agree(backend, F.cross_entropy, ref.cross_entropy, *case, reduction, label_smoothing=smoothing)


@examples
@given(case=classifications(), reduction=reductions)
def test_nll_loss(backend, case, reduction):
    agree(backend, F.nll_loss, ref.nll_loss, *case, reduction)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_to_learn_from(backend, name, reduction):
    """The mean over no target is NaN, as in PyTorch; the sum is 0."""
    x = np.zeros((2, 3))
    with np.errstate(invalid="ignore"):
        for scores, target in [(x, np.array([-100, -100])), (x[:0], np.zeros(0, int))]:
            operation, plain = getattr(F, name), getattr(ref, name)
            agree(backend, operation, plain, scores, target, reduction=reduction)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_large_scores(backend, smoothing):
    x, target = np.array([[1000.0, 0.0, -1000.0], [5.0, 1000.0, 999.0]]), np.array([2, 1])
    options = {"label_smoothing": smoothing}
    agree(backend, F.cross_entropy, ref.cross_entropy, x, target, **options)


@examples
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    reduction=reductions,
    with_weight=st.booleans(),
    with_pos_weight=st.booleans(),
    rng=rngs,
)
def test_binary_cross_entropy_with_logits(
    backend, shape, reduction, with_weight, with_pos_weight, rng
):
    x = normal(rng, *shape, scale=5)
    target = rng.random(shape).astype(np.float32).astype(np.float64)
    weight = positive(rng, *shape) if with_weight else None
    pos_weight = positive(rng, shape[-1]) if with_pos_weight else None
    agree(
        backend,
        F.binary_cross_entropy_with_logits,
        ref.binary_cross_entropy_with_logits,
        x,
        target,
        weight,
        reduction,
        pos_weight,
    )


def test_binary_cross_entropy_of_large_logits(backend):
    x, target = np.array([-300.0, 300.0, -300.0, 300.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0, 0.5])
    name = "binary_cross_entropy_with_logits"
    agree(backend, getattr(F, name), getattr(ref, name), x, target, reduction="none")


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss"])
@examples
@given(shape=st.lists(st.integers(1, 4), max_size=4), reduction=reductions, rng=rngs)
def test_distances(backend, name, shape, reduction, rng):
    x, target = normal(rng, *shape), normal(rng, *shape)
    agree(backend, getattr(F, name), getattr(ref, name), x, target, reduction)


@examples
@given(shape=places, reduction=reductions, beta=st.sampled_from([0.25, 1.0, 2.0]), rng=rngs)
def test_smooth_l1_beta(backend, shape, reduction, beta, rng):
    x, target = normal(rng, *shape), normal(rng, *shape)
    agree(backend, F.smooth_l1_loss, ref.smooth_l1_loss, x, target, reduction, beta)


@pytest.mark.parametrize(
    "name", ["mse_loss", "l1_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"]
)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_distance_of_an_empty_batch(backend, name, reduction):
    empty = np.zeros((0, 3))
    agree(backend, getattr(F, name), getattr(ref, name), empty, empty, reduction=reduction)
