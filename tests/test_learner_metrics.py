"""Metrics, averages over batches, and the recorder's running mean."""

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7.learner import SmoothedLoss, accuracy, accuracy_thresh, error_rate
from minitorch7.learner.metrics import WeightedMeans, metric_name, read_all
from minitorch7.learner.segmentation import (
    MeanIoU,
    acc_camvid,
    confusion_counts,
    iou_camvid,
    iou_per_class,
    pixel_accuracy,
    segmentation_confusion,
)


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


# ------------------------------------------------------------------------------------ segmentation


def masks_and_scores(n=5, classes=4, shape=(6, 7), seed=0):
    """Scores (n, classes, H, W) that are right more often than not, and targets (n, 1, H, W)."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, (n, 1, *shape))
    scores = rng.normal(0, 1, (n, classes, *shape)) + 1.2 * (
        target == np.arange(classes)[:, None, None]
    )
    return scores.astype(np.float32), target


def counted(scores, target, void=None):
    """The confusion matrix, pixel by pixel."""
    counts = np.zeros((scores.shape[1],) * 2, np.int64)
    for image, mask in zip(scores, target[:, 0], strict=True):
        for place in np.ndindex(*mask.shape):
            if mask[place] != void:
                counts[mask[place], image[(slice(None), *place)].argmax()] += 1
    return counts


@pytest.mark.parametrize("void", [None, 0, 3, 11])
def test_confusion_counts_and_scores_are_the_pixels_own(backend, void):
    scores, target = masks_and_scores()
    expected = counted(scores, target, void)
    for mask in (target, target[:, 0], target.astype(np.uint8)):
        found = confusion_counts(mt.tensor(scores), mt.tensor(mask), void)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(mt.Tensor(found).to("numpy").numpy(), expected)
    accuracy = float(pixel_accuracy(mt.tensor(scores), mt.tensor(target), void))
    assert accuracy == pytest.approx(np.trace(expected) / expected.sum(), abs=1e-12)
    iou = iou_per_class(expected)
    for k in range(4):
        union = expected[k].sum() + expected[:, k].sum() - expected[k, k]
        assert iou[k] == pytest.approx(expected[k, k] / union)
    there = [k for k in range(4) if expected[k].sum()]
    metric = MeanIoU(void)
    assert float(metric(mt.tensor(scores), mt.tensor(target))) == pytest.approx(iou[there].mean())
    assert metric_name(metric) == "mean_iou" and repr(metric) == f"MeanIoU(void_code={void})"


def test_acc_camvid_leaves_out_class_11():
    """fastai's: target.squeeze(1); mask = target != 11; mean of (argmax == target) on the mask."""
    scores, target = masks_and_scores(classes=12)
    on = target[:, 0] != 11
    expected = (scores.argmax(1)[on] == target[:, 0][on]).mean()
    tally = acc_camvid(mt.tensor(scores), mt.tensor(target))
    assert float(tally) == tally.item() == pytest.approx(expected, abs=1e-12)
    assert expected != pytest.approx((scores.argmax(1) == target[:, 0]).mean(), abs=1e-4)
    assert metric_name(acc_camvid) == "acc_camvid" and metric_name(iou_camvid) == "iou_camvid"
    assert float(iou_camvid(mt.tensor(scores), mt.tensor(target))) == pytest.approx(
        iou_per_class(counted(scores, target, 11))[:11].mean()
    )


def test_a_set_without_labelled_pixels_has_no_score():
    scores, target = masks_and_scores()
    void = mt.tensor(np.full_like(target, 11))
    assert np.isnan(float(acc_camvid(mt.tensor(scores), void)))
    assert np.isnan(float(iou_camvid(mt.tensor(scores), void)))
    assert np.isnan(iou_per_class(np.zeros((3, 3), int))).all()


def test_tallies_of_batches_are_the_whole_sets_score(backend):
    scores, target = masks_and_scores(n=7, classes=12)
    target[:4] = np.where(target[:4] < 8, 11, target[:4])  # the first batch is mostly void
    means, wrong = WeightedMeans(), []
    for cut in (slice(0, 4), slice(4, 7)):
        pair = mt.tensor(scores[cut]), mt.tensor(target[cut])
        means.add([mt.tensor(1.0), acc_camvid(*pair), iou_camvid(*pair)], len(scores[cut]))
        wrong.append([float(acc_camvid(*pair)), float(iou_camvid(*pair))])
    expected = counted(scores, target, 11)
    loss, share, iou = means.read()
    assert loss == 1 and share == pytest.approx(np.trace(expected) / expected.sum(), abs=1e-12)
    assert iou == pytest.approx(iou_per_class(expected)[:11].mean(), abs=1e-12)
    averaged = np.average(wrong, axis=0, weights=[4, 3])
    assert abs(averaged[0] - share) > 1e-3 and abs(averaged[1] - iou) > 1e-3


def test_segmentation_metrics_and_loss_do_not_wait_for_the_device():
    import standin

    from minitorch7.nn.flat_losses import CrossEntropyFlat

    with standin.installed(), mt.using("cupy"):
        scores, target = (mt.tensor(part) for part in masks_and_scores(classes=12))
        scores.requires_grad = True
        means = WeightedMeans()
        with standin.no_sync():
            means.add([acc_camvid(scores, target), iou_camvid(scores, target)], 5)
            CrossEntropyFlat(axis=1)(scores, target).backward()
        with standin.count() as count:
            assert 0 < means.read()[0] < 1
        assert count.syncs == 2  # one for each metric, however many batches


def test_learner_reports_tallies_over_the_set():
    from minitorch7 import nn
    from minitorch7.data import drawn_streets, imagenet_stats
    from minitorch7.learner import Learner

    sets = drawn_streets(4, (18, 24), n_valid=7).labelled()
    data = sets.databunch(bs=4).normalize(imagenet_stats)
    learn = Learner(data, nn.Conv2d(3, 12, 1), metrics=[acc_camvid, iou_camvid], progress=False)
    learn.fit(1, 1e-2)
    counts = segmentation_confusion(learn, void_code=11)
    assert counts.sum() == sum((data.valid_ds.y[i] != 11).sum() for i in range(7))
    _, share, iou = learn.validate()
    assert learn.recorder.metrics == [[share, iou]]
    assert share == pytest.approx(np.trace(counts) / counts.sum(), abs=1e-12)
    there = counts.sum(1) > 0
    assert iou == pytest.approx(iou_per_class(counts)[there].mean())


def test_segmentation_metrics_name_what_does_not_fit():
    scores, target = masks_and_scores()
    for wrong in (target[:3], target[:, :, 1:], target[..., None], np.repeat(target, 2, 1)):
        with pytest.raises(ValueError, match=r"pixel_accuracy: scores \(5, 4, 6, 7\) and targets"):
            pixel_accuracy(mt.tensor(scores), mt.tensor(wrong))
    with pytest.raises(ValueError, match=r"confusion_counts: scores \(5, 4, 6\)"):
        confusion_counts(mt.tensor(scores[..., 0]), mt.tensor(target))
    with pytest.raises(TypeError, match="targets must be class numbers .* got float32"):
        acc_camvid(mt.tensor(scores), mt.tensor(target.astype(np.float32)))
    with pytest.raises(ValueError, match=r"is \(classes, classes\), got shape \(3, 4\)"):
        iou_per_class(np.zeros((3, 4)))
