"""Metrics, averages over batches, and the recorder's running mean."""

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7.learner import SmoothedLoss, accuracy, accuracy_thresh, error_rate
from minitorch7.learner.metrics import WeightedMeans, metric_name, read_all


def scores_for(classes, n_classes=4):
    return mt.tensor(np.eye(n_classes, dtype=np.float32)[classes])


def test_smoothed_loss_check_values():
    smooth = SmoothedLoss()
    values = [smooth.add(x) for x in (1, 2, 3)]
    np.testing.assert_allclose(values, [1, 1.505051, 2.013468], atol=5e-7)


def test_smoothed_loss_is_nan_before_the_first_number():
    assert np.isnan(SmoothedLoss().value)


def test_accuracy_and_error_rate():
    pred, target = scores_for([0, 1, 2, 3]), mt.tensor(np.array([0, 1, 3, 3]))
    assert float(accuracy(pred, target)) == 0.75
    assert float(error_rate(pred, target)) == 0.25


def test_accuracy_over_positions():
    pred = scores_for([[0, 1, 2], [3, 3, 3]])  # (2, 3, 4)
    target = mt.tensor(np.array([[0, 1, 1], [3, 0, 3]]))
    assert float(accuracy(pred, target)) == pytest.approx(4 / 6)


def test_accuracy_names_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"accuracy: predictions \(2, 3, 4\).*last axis"):
        accuracy(scores_for([[0, 1, 2], [3, 3, 3]]), mt.tensor(np.array([0, 1])))


def test_accuracy_thresh_is_the_share_of_right_decisions():
    pred = mt.tensor(np.array([[2.0, -2.0], [0.5, -800.0]], np.float32))  # σ: .88 .12 .62 0
    target = mt.tensor(np.array([[1, 0], [0, 1]]))
    assert float(accuracy_thresh(pred, target)) == 0.5
    assert float(accuracy_thresh(pred, target, thresh=0.7)) == 0.75
    assert float(accuracy_thresh(pred, target, thresh=1.0, sigmoid=False)) == 0.75


def test_means_weigh_batches_by_their_size():
    means = WeightedMeans()
    means.add([mt.tensor(1.0), 10.0], 3)
    means.add([mt.tensor(5.0), np.float64(20.0)], 1)
    assert means.read() == [2.0, 12.5]
    assert WeightedMeans().read() == []


def test_read_all_refuses_more_than_one_number():
    with pytest.raises(ValueError, match=r"one number, got shape \(2,\); take its .mean"):
        read_all([mt.tensor([1.0, 2.0])])


def test_metric_names():
    from functools import partial

    assert metric_name(accuracy) == "accuracy"
    assert metric_name(partial(accuracy_thresh, thresh=0.3)) == "accuracy_thresh"
    named = type("Dice", (), {"__call__": lambda self, p, t: 0.0})()
    assert metric_name(named) == "Dice"
