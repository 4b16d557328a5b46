"""Metrics, and averages of numbers that may still be on the GPU.

A metric is any function of (predictions, targets), both Tensors, that answers with one number: a
Tensor, an array without axes, or a float; or with a `Tally`, where the score of a set is no mean of
its batches' scores. It need not be differentiable and it should not wait for the device: the
numbers of all batches are read together when the validation set is through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from .. import backend
from ..autograd import Tensor
from ..functional._arguments import check_tensor
from .tally import Tally, total


def accuracy(pred: Tensor, target: Tensor) -> Any:
    """The share of items whose largest score is the target's: mean(argmax(pred, -1) = target).

    pred (n, …, classes), target n×… class numbers; more axes are positions that count equally.
    """
    check_tensor("accuracy", "pred", pred)
    check_tensor("accuracy", "target", target)
    n = target.shape[0] if target.ndim else 0
    if not n or not pred.numel():
        raise ValueError(f"accuracy: nothing to count in {pred.shape} and {target.shape}")
    guesses = pred.data.argmax(-1).reshape(n, -1)
    targets = target.data.reshape(n, -1)
    if guesses.shape != targets.shape:
        raise ValueError(
            f"accuracy: predictions {pred.shape} and targets {target.shape} do not fit; the "
            "classes must be the last axis of the predictions, the others those of the targets"
        )
    return (guesses == targets).mean()


def error_rate(pred: Tensor, target: Tensor) -> Any:
    """1 − accuracy."""
    return 1 - accuracy(pred, target)


def accuracy_thresh(pred: Tensor, target: Tensor, thresh: float = 0.5, sigmoid: bool = True) -> Any:
    """The share of single decisions that are right: mean((σ(pred) > thresh) = target).

    For targets of several yes-or-no answers an item; with ``sigmoid=False`` pred is compared as it
    stands. ValueError for a threshold that no probability, 0 < σ < 1, lies on both sides of.
    """
    if sigmoid and not (isinstance(thresh, Real) and 0 < thresh < 1):
        raise ValueError(
            f"accuracy_thresh: thresh must be a number between 0 and 1, which σ(pred) is compared "
            f"with, got {thresh!r}; for another pass sigmoid=False: it is compared with pred itself"
        )
    # σ(p) > t and p > log(t / (1 − t)) say the same, and the second cannot overflow
    limit = math.log(thresh / (1 - thresh)) if sigmoid else thresh
    return ((pred.data > limit) == (target.data > 0.5)).mean()


def metric_name(metric: Callable[..., Any]) -> str:
    """The column heading of a metric: its ``name`` where it has one, else the function's own."""
    function = getattr(metric, "func", metric)  # what a functools.partial is of
    return getattr(metric, "name", None) or getattr(function, "__name__", type(function).__name__)


def read_all(values: Sequence[Any]) -> list[float]:
    """Tensors, arrays and numbers of one element each, as floats; waits for the device once."""
    arrays = [_one_number(v.data if isinstance(v, Tensor) else v) for v in values]
    on_device = [
        i for i, a in enumerate(arrays) if backend.is_array(a) and backend.name_of(a) != "numpy"
    ]
    if on_device:
        xp = backend.of(*(arrays[i] for i in on_device))
        stacked = xp.stack([arrays[i].reshape(()).astype(float) for i in on_device])
        for i, value in zip(on_device, backend.to_numpy(stacked), strict=True):
            arrays[i] = value
    return [float(a.item() if backend.is_array(a) else a) for a in arrays]


def _one_number(value: Any) -> Any:
    if getattr(value, "size", 1) != 1:
        raise ValueError(
            f"a loss or metric must be one number, got shape {value.shape}; take its .mean()"
        )
    return value


class WeightedMeans:
    """Averages of several numbers over batches, each batch weighted by its size.

    The last batch is often smaller, so the plain mean of the batches' means would be wrong. Tallies
    are added up instead.
    """

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.weights: list[int] = []

    def add(self, values: Sequence[Any], weight: int) -> None:
        """Remember one batch's numbers, without reading them."""
        self.rows.append([v.detach() if isinstance(v, Tensor) else v for v in values])
        self.weights.append(weight)

    def read(self) -> list[float]:
        """Σ weight·value / Σ weight for each number, a tally's own score for each tally.

        [] where nothing was added.
        """
        weight = sum(self.weights)
        if not weight:
            return []
        columns = list(zip(*self.rows, strict=True))
        means = {j: column for j, column in enumerate(columns) if not isinstance(column[0], Tally)}
        flat = iter(read_all([value for column in means.values() for value in column]))
        return [
            sum(w * next(flat) for w in self.weights) / weight if j in means else total(column)
            for j, column in enumerate(columns)
        ]
