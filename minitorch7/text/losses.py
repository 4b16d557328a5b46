"""What the lesson's first two models are judged by: the word after the last one they read."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..functional._arguments import check_tensor
from ..learner.metrics import accuracy


def loss4(input: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of scores (bs, words) with the last target of each row: target[:, -1].

    A model that reads three words and answers once is asked for the fourth. target (bs, time).
    """
    return F.cross_entropy(input, _last("loss4", input, target))


def acc4(input: Tensor, target: Tensor) -> Any:
    """The share of rows whose last target has the largest score; shapes as in `loss4`."""
    return accuracy(input, _last("acc4", input, target))


def _last(function: str, input: Tensor, target: Tensor) -> Tensor:
    check_tensor(function, "input", input)
    check_tensor(function, "target", target)
    if input.ndim != 2 or target.ndim != 2 or len(input) != len(target) or 0 in target.shape:
        raise ValueError(
            f"{function}: needs scores (bs, words), one answer a row, and targets (bs, time), got "
            f"{input.shape} and {target.shape}; a model that answers at every position takes "
            "nn.CrossEntropyFlat and accuracy"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"{function}: target must be word numbers, integers, got {target.dtype}")
    return target[:, -1]
