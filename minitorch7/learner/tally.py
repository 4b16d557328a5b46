"""Scores that are no mean of the batches' scores: counts added up over a set, then a formula.

The share of right pixels of a set is not the mean of its batches' shares where some pixels do not
count, and an intersection over union is never a mean of batches'. So such a metric answers with
what it counted in one batch, on the device, and with the formula that turns counts into a score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend

Formula = Callable[[np.ndarray], float]


class Tally:
    """What a metric counted in a batch: an array `counts`, and the `formula` for their sum.

    ``float(tally)``, or ``tally.item()``, is the score of the batch alone; it waits for the device.
    """

    def __init__(self, counts: Any, formula: Formula) -> None:
        self.counts, self.formula = counts, formula

    def __float__(self) -> float:
        return float(self.formula(backend.to_numpy(self.counts)))

    item = __float__

    def __format__(self, spec: str) -> str:
        return format(float(self), spec)

    def __repr__(self) -> str:
        return f"Tally({float(self):.6g})"


def total(tallies: Sequence[Tally]) -> float:
    """The score of several batches together; waits for the device once."""
    counts = tallies[0].counts
    for tally in tallies[1:]:
        counts = counts + tally.counts
    return float(Tally(counts, tallies[0].formula))


def ratio(counts: np.ndarray) -> float:
    """counts = [right, all] → right / all; NaN where there is nothing to count."""
    return float(counts[0] / counts[1]) if counts[1] else float("nan")
