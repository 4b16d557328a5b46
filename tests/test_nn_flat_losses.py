"""Flat losses against the formula, place by place, along any axis; and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7.gradcheck import gradcheck
from minitorch7.learner.predict import activation_of
from minitorch7.nn.flat_losses import BCEWithLogitsFlat, CrossEntropyFlat, MSELossFlat


def reference(scores, target, axis, weight=None):
    """−Σ w[t]·ln softmax(x)[t] / Σ w[t] over all places, one at a time."""
    scores = np.moveaxis(scores, axis, -1)
    total = count = 0.0
    for place in np.ndindex(*scores.shape[:-1]):
        x, t = scores[place].astype(np.float64), int(target[place])
        w = 1.0 if weight is None else weight[t]
        total -= w * (x[t] - np.log(np.exp(x - x.max()).sum()) - x.max())
        count += w
    return total / count


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cross_entropy_along_any_axis(data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    scores = rng.normal(0, 2, shape)
    one = list(shape)
    one[axis] = 1
    target = rng.integers(0, shape[axis], one)
    expected = reference(scores, target.squeeze(axis), axis)
    loss = CrossEntropyFlat(axis=axis)
    for places in (target, target.squeeze(axis)):
        found = loss(mt.tensor(scores), mt.tensor(places))
        assert found.shape == () and float(found.data) == pytest.approx(expected, rel=1e-9)


def test_cross_entropy_of_masks(backend):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (2, 5, 3, 4)).astype(np.float32)
    target = rng.integers(0, 5, (2, 1, 3, 4))
    weight = np.array([1, 2, 0.5, 0, 3], np.float32)
    for w in (None, weight):
        loss = CrossEntropyFlat(axis=1, weight=None if w is None else mt.tensor(w))
        found = loss(mt.tensor(scores), mt.tensor(target))
        expected = reference(scores, target[:, 0], 1, w)
        np.testing.assert_allclose(found.to("numpy").numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [1, -1])
def test_gradients(axis):
    rng = np.random.default_rng(1)
    scores = mt.tensor(rng.normal(0, 1, (2, 3, 2, 4)), requires_grad=True)
    shape = [2, 3, 2, 4]
    classes, shape[axis] = shape[axis], 1
    target = mt.tensor(rng.integers(0, classes, shape))
    assert gradcheck(lambda x: CrossEntropyFlat(axis=axis)(x, target), [scores])


def test_flat_bce_and_mse_pair_elements_in_order(backend):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 2, (3, 1, 4)).astype(np.float32)
    yes = rng.integers(0, 2, (3, 4))
    p = 1 / (1 + np.exp(-x[:, 0].astype(np.float64)))
    bce = BCEWithLogitsFlat()(mt.tensor(x), mt.tensor(yes)).to("numpy").numpy()
    np.testing.assert_allclose(bce, -np.where(yes, np.log(p), np.log(1 - p)).mean(), rtol=1e-5)
    mse = MSELossFlat()(mt.tensor(x), mt.tensor(yes)).to("numpy").numpy()
    np.testing.assert_allclose(mse, ((x[:, 0] - yes) ** 2).mean(), rtol=1e-5)


def test_shapes_that_do_not_fit():
    x = mt.tensor(np.zeros((2, 5, 3, 4), np.float32))
    for shape in [(2, 1, 4, 3), (2, 5, 3, 4), (2, 1, 3), (3, 4, 2), (1, 2, 3, 4)]:
        with pytest.raises(ValueError, match=r"scores \(2, 5, 3, 4\) .* axis 1 need targets of sh"):
            CrossEntropyFlat(axis=1)(x, mt.tensor(np.zeros(shape, np.int64)))
    with pytest.raises(ValueError, match=r"\(2, 5, 3, 4\) have no axis 4"):
        CrossEntropyFlat(axis=4)(x, x)
    with mt.using("numpy"), pytest.raises(IndexError, match="holds 7, but the classes are 0 to 4"):
        host = x.to("numpy")  # on a device the look would wait; there the loss is NaN
        CrossEntropyFlat(axis=1)(host, mt.tensor(np.full((2, 1, 3, 4), 7)))
    for loss in (BCEWithLogitsFlat(), MSELossFlat()):
        with pytest.raises(
            ValueError, match=r"predictions \(2, 5, 3, 4\) and targets \(2, 5, 4, 3"
        ):
            loss(x, mt.tensor(np.zeros((2, 5, 4, 3), np.float32)))


def test_predictions_become_probabilities_along_the_axis():
    x = mt.tensor(np.random.default_rng(0).normal(0, 1, (2, 5, 3, 4)).astype(np.float32))
    for axis in (1, -1):
        sums = activation_of(CrossEntropyFlat(axis=axis))(x).numpy().sum(axis)
        np.testing.assert_allclose(sums, 1, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_losses_of_single_places_keep_their_places(axis):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 4, 5))
    places = tuple(np.delete(scores.shape, axis))
    target = rng.integers(0, scores.shape[axis], places)
    loss = CrossEntropyFlat(axis=axis, reduction="none")(mt.tensor(scores), mt.tensor(target))
    log_p = scores - np.log(np.exp(scores).sum(axis, keepdims=True))
    expected = -np.take_along_axis(log_p, np.expand_dims(target, axis), axis).squeeze(axis)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)
