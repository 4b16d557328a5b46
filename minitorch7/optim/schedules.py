"""Schedules: how the learning rate and the momentum change over a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def annealing_no(start: float, end: float, pct: float) -> float:
    """`start` throughout."""
    return start


def annealing_linear(start: float, end: float, pct: float) -> float:
    """A straight line from start (pct 0) to end (pct 1)."""
    return start + pct * (end - start)


def annealing_exp(start: float, end: float, pct: float) -> float:
    """A straight line on a logarithmic scale, between two positive numbers."""
    if not (start > 0 and end > 0):
        raise ValueError(f"annealing_exp: needs positive ends, got {start} and {end}")
    return start * (end / start) ** pct


def annealing_cos(start: float, end: float, pct: float) -> float:
    """Half a cosine: end + (start − end)/2·(cos(π·pct) + 1); level at both ends."""
    return end + (start - end) / 2 * (math.cos(math.pi * pct) + 1)


class OneCycle:
    """Smith's 1cycle as fastai v1 runs it: up, then down further; the momentum the other way.

    n_steps     batches in the whole run
    max_lr      the highest learning rate; a list gives one for each parameter group
    moms        (momentum at the ends, momentum at the top): Adam's β₁
    div_factor  the run starts at max_lr/div_factor and ends at max_lr/(div_factor·10⁴)
    pct_start   the share of the steps that goes up

    ``at(k)`` is what batch k runs with, k = 0 … n_steps − 1; ``at(n_steps)`` is what would follow.
    (Smith 2018, arXiv 1803.09820)
    """

    def __init__(
        self,
        n_steps: int,
        max_lr: float | Sequence[float],
        moms: tuple[float, float] = (0.95, 0.85),
        div_factor: float = 25.0,
        pct_start: float = 0.3,
    ) -> None:
        if isinstance(n_steps, bool) or not isinstance(n_steps, int):
            raise TypeError(f"OneCycle: n_steps must be an integer, got {n_steps!r}")
        if n_steps < 1:
            raise ValueError(f"OneCycle: needs at least 1 step, got {n_steps}")
        if not div_factor > 0:
            raise ValueError(f"OneCycle: div_factor must be positive, got {div_factor}")
        if min(max_lr if isinstance(max_lr, Sequence) else [max_lr]) < 0:
            raise ValueError(f"OneCycle: max_lr must be at least 0, got {max_lr}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycle: pct_start must be between 0 and 1, got {pct_start}")
        self.n_steps, self.max_lr, self.moms = n_steps, max_lr, moms
        self.div_factor, self.pct_start = div_factor, pct_start
        self.up = int(n_steps * pct_start)

    def at(self, k: int) -> tuple[Any, float]:
        """(learning rate, momentum) for batch k; the rate a list where max_lr is one."""
        if isinstance(self.max_lr, Sequence):
            return [self._lr(k, top) for top in self.max_lr], self._momentum(k)
        return self._lr(k, self.max_lr), self._momentum(k)

    def _lr(self, k: int, top: float) -> float:
        if k < self.up:
            return annealing_cos(top / self.div_factor, top, k / self.up)
        return annealing_cos(top, top / (self.div_factor * 1e4), self._down(k))

    def _momentum(self, k: int) -> float:
        ends, middle = self.moms
        if k < self.up:
            return annealing_cos(ends, middle, k / self.up)
        return annealing_cos(middle, ends, self._down(k))

    def _down(self, k: int) -> float:
        steps = self.n_steps - self.up
        return (k - self.up) / steps if steps else 1.0
