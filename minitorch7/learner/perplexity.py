"""Perplexity: among how many words a language model hesitates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from .. import functional as F
from ..autograd import Tensor, no_grad
from ..functional._arguments import check_tensor
from .tally import Tally

IGNORED = -100  # the target that cross entropy leaves out


def perplexity(pred: Tensor, target: Tensor) -> Tally:
    """exp(mean of −ln p of the right word), over all positions of a set but targets of −100.

    pred    scores (n, …, words), logarithms of odds, not probabilities
    target  word numbers, n×…

    A model that knows nothing has as many as there are words; one that is certain and right has 1.
    The mean of the batches' perplexities would be another, larger number, so batches are tallied.
    """
    check_tensor("perplexity", "pred", pred)
    check_tensor("perplexity", "target", target)
    if pred.ndim < 2 or not pred.shape[-1] or pred.shape[:-1] != target.shape:
        raise ValueError(
            f"perplexity: predictions {pred.shape} and targets {target.shape} do not fit; the "
            "words must be the last axis of the predictions, the others those of the targets"
        )
    with no_grad():
        scores = pred.detach().double().reshape(-1, pred.shape[-1])
        nats = F.cross_entropy(scores, target.reshape(-1), reduction="sum").data
    xp: Any = backend.of(nats)
    counted = (target.data != IGNORED).sum().astype(np.float64)
    return Tally(xp.stack([nats, counted]), _perplexity)


def _perplexity(counts: np.ndarray) -> float:
    nats, positions = counts
    if not positions:
        return math.nan
    return float(np.exp(min(nats / positions, 709.0)))  # e^709 is the largest that a float holds
