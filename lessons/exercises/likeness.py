"""Is an answer is what a well-known slip would give? Then a hint can name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import expect


def like(found: Any, value: Any, tolerance: float = 1e-5) -> bool:
    """Whether `found`, if it is numbers at all, has the shape and values of `value`.

    The difference may be `tolerance` times the largest element.
    """
    found, value = _numbers(found), _numbers(value)
    if found is None or value is None or found.shape != value.shape:
        return False
    gap = float(np.abs(found - value).max(initial=0))
    return gap <= tolerance * float(np.abs(value).max(initial=0))


def expect_no_slip(found: Any, wanted: Any, slips: Mapping[str, Any]) -> None:
    """Raise NotYet with the hint of the first slip whose value was found, if any.

    slips  {hint: the value that somebody gets who makes this mistake}
    """
    if not like(found, wanted):
        for hint, value in slips.items():
            expect(not like(found, value), hint)


def _numbers(value: Any) -> np.ndarray | None:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None
