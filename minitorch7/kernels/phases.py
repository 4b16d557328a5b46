"""The input's gradient at a stride above 1, without adding back: a convolution for each phase.

Along one axis, picture element r is seen by tap u from place i where r + p = i·s + u. So the s-th
neighbours r, r + s, r + 2s, …, one *phase* of the picture, are seen by the same taps, those with
u ≡ r + p modulo s, and from places that follow one another. Their gradient is a convolution of dy
with these taps, turned round, at stride 1:

    dx[r + m·s] = Σ_t dy[m + t − q] · w[u + (T − 1 − t)·s],    t = 0 … T − 1

where u is the first of the T taps and q = T − 1 − ⌊(r + p)/s⌋. At stride 2 a 3×3 window comes apart
into windows of 1, 2, 2 and 4 taps: as many multiplications as `col2im` follows, but each element of
dx is written once, where adding back reads and writes it for every tap.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .windows import Window

FEWEST_CHANNELS = 8  # of the picture
FEWEST_PLACES = 2048  # of dy, in all pictures of a batch: windows of few taps have short columns


class Phase(NamedTuple):
    """Every s-th element along one axis, and the convolution that is its gradient.

    elements  of the picture
    taps      of the window, turned round; there may be none
    padding   of dy
    """

    elements: slice
    taps: slice
    count: int
    padding: int


def pay(xp: Any, g: Any, channels: int, window: Window) -> bool:
    """Whether phases are faster than adding back, for dy (N, O, oh, ow) and so many channels of x.

    They take 0.78 of the time for 8 and 16 channels of the lesson's sizes (``python
    benchmarks/kernels.py --match "gradient by" --threads 1``); with few channels or places it would
    be more.
    """
    many = channels >= FEWEST_CHANNELS and len(g) * g.shape[2] * g.shape[3] >= FEWEST_PLACES
    return xp is np and many and min(window.kernel) > 1


@functools.lru_cache(1024)
def of(window: Window, size: tuple[int, int]) -> tuple[list[Phase], list[Phase]] | None:
    """The phases of a picture's rows and of its columns; None for windows that have none."""
    if window.dilation != (1, 1):
        return None
    found = []
    for n, k, s, p in zip(size, window.kernel, window.stride, window.padding, strict=True):
        phases = []
        for first in range(min(s, n)):
            place, tap = divmod(first + p, s)
            count = len(range(tap, k, s))
            if count and place >= count:  # dy would have to be cut, not padded
                return None
            taps = slice(tap + (count - 1) * s, None, -s)
            phases.append(Phase(slice(first, None, s), taps, count, count - 1 - place))
        found.append(phases)
    return found[0], found[1]
