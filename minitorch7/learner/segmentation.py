"""How good masks are: the share of right pixels, and how well each class's region is met.

Predictions are scores (N, classes, H, W), targets class numbers (N, 1, H, W) or (N, H, W). Pixels
that nobody labelled, CamVid's class Void, can be left out by their number. Each metric answers with
a `Tally`, so that the score of a set is that of all its pixels, whatever the batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, nn
from ..autograd import Tensor, no_grad
from ..data.camvid import VOID
from ..functional._arguments import check_tensor
from .tally import Tally, ratio


def pixel_accuracy(pred: Tensor, target: Tensor, void_code: int | None = None) -> Tally:
    """The share of pixels whose largest score is the target's; those of `void_code` left out.

    A number that is no class counts as a mistake.
    """
    guesses, targets = _guesses("pixel_accuracy", pred, target)
    xp = backend.of(guesses)
    right = guesses == targets
    counted = xp.ones_like(right) if void_code is None else targets != void_code
    return Tally(xp.stack([(right & counted).sum(), counted.sum()]), ratio)


def acc_camvid(pred: Tensor, target: Tensor) -> Tally:
    """`pixel_accuracy` without CamVid's unlabelled pixels, class 11.

    Of one batch it is fastai's metric of this name. Over a set fastai averages the batches' shares,
    each with the weight of its pictures, though batches differ in unlabelled pixels; here all
    pixels weigh the same.
    """
    return pixel_accuracy(pred, target, VOID)


def confusion_counts(pred: Tensor, target: Tensor, void_code: int | None = None) -> Any:
    """counts[i, j]: how many pixels of class i were taken for class j; (classes, classes) int64.

    Pixels of `void_code`, and of numbers that are no class, are not counted. The array stays on the
    device. Exact for pictures of up to 2²⁴ pixels.
    """
    guesses, targets = _guesses("confusion_counts", pred, target)
    xp, classes = backend.of(guesses), pred.shape[1]
    numbers = xp.arange(classes)[:, None]
    counts = xp.zeros((classes, classes), np.int64)
    for guess, true in zip(guesses, targets, strict=True):  # an image: (H, W), to keep memory small
        # one row a class, 1 where the pixel is of it: the product counts pairs. Whole numbers up
        # to 2²⁴ are exact in float32, and an image has fewer pixels
        is_true = (true.reshape(1, -1) == numbers).astype(np.float32)  # (classes, H·W)
        is_guess = (guess.reshape(1, -1) == numbers).astype(np.float32)
        counts = counts + (is_true @ is_guess.T).astype(np.int64)
    if void_code is not None and 0 <= void_code < classes:
        counts = counts * (numbers != void_code)
    return counts


def iou_per_class(counts: Any) -> np.ndarray:
    """Intersection over union of each class, from a confusion matrix: (classes,) float64.

    right / (right + missed + wrongly claimed), from counts[i, j] of class i taken for j. NaN for a
    class that is neither there nor claimed.
    """
    counts = backend.to_numpy(counts) if backend.is_array(counts) else np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(
            f"iou_per_class: a confusion matrix is (classes, classes), got shape {counts.shape}"
        )
    right = np.diagonal(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - right
    return np.where(union > 0, right / np.maximum(union, 1), np.nan)


class MeanIoU:
    """The mean over the classes of intersection over union, of a whole set: a metric.

    Classes that are nowhere in the targets are left out of the mean, and so is `void_code`, whose
    pixels count for nothing.
    """

    name = "mean_iou"

    def __init__(self, void_code: int | None = None) -> None:
        self.void_code = void_code

    def __call__(self, pred: Tensor, target: Tensor) -> Tally:
        return Tally(confusion_counts(pred, target, self.void_code), _mean_iou)

    def __repr__(self) -> str:
        return f"MeanIoU(void_code={self.void_code})"


def _mean_iou(counts: np.ndarray) -> float:
    there = counts.sum(1) > 0
    return float(iou_per_class(counts)[there].mean()) if there.any() else float("nan")


def iou_camvid(pred: Tensor, target: Tensor) -> Tally:
    """`MeanIoU` without CamVid's unlabelled pixels."""
    return MeanIoU(VOID)(pred, target)


def segmentation_confusion(learn: Any, dl: Any = "valid", void_code: int | None = None) -> Any:
    """The confusion matrix of pixels over a whole loader: (classes, classes) int64, on the host."""
    counts = None
    with nn.evaluating(learn.model), no_grad():
        for xb, yb in learn.loader(dl).batches(0):
            if yb is None:
                raise ValueError(f"segmentation_confusion: the loader {dl!r} has no masks")
            batch = confusion_counts(learn.model(xb), yb, void_code)
            counts = batch if counts is None else counts + batch
    if counts is None:
        raise ValueError(f"segmentation_confusion: the loader {dl!r} has no batches")
    return backend.to_numpy(counts)


def _guesses(function: str, pred: Tensor, target: Tensor) -> tuple[Any, Any]:
    """(guessed, wanted) class numbers, both (N, H, W); ValueError where the shapes do not fit."""
    check_tensor(function, "pred", pred)
    check_tensor(function, "target", target)
    n, *rest = target.shape or (0,)
    places = tuple(rest[1:] if len(rest) == 3 and rest[0] == 1 else rest)
    if pred.ndim != 4 or (pred.shape[0], *pred.shape[2:]) != (n, *places):
        raise ValueError(
            f"{function}: scores {pred.shape} and targets {target.shape} do not fit; scores are "
            "(N, classes, H, W), targets (N, 1, H, W) or (N, H, W)"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"{function}: targets must be class numbers (integers), got {target.dtype}")
    return pred.data.argmax(1), target.data.reshape(n, *places)
