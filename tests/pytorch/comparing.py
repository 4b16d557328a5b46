"""PyTorch beside minitorch7: its functions under our names, and the comparison of one case."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from .cases import Case
from .running import TOLERANCE, Ours, check_same, run

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed; tests/test_stored_values.py stands in"
)

METHODS = {"expand": "expand", "repeat": "repeat", "sum_to": "sum_to_size", "index": "__getitem__"}


class _Functions:
    """`torch.nn.functional` and `torch` as one; what is only a method there is one here."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in METHODS:
            return lambda x, *options: getattr(x, METHODS[name])(*options)
        for home in (torch.nn.functional, torch):
            if hasattr(home, name):
                return getattr(home, name)
        raise AttributeError(f"PyTorch has no {name!r}")


class Theirs:
    """PyTorch, as `run` wants to see a library."""

    F = _Functions()
    grad = staticmethod(partial(torch.autograd.grad, allow_unused=True))

    @staticmethod
    def tensor(array: np.ndarray, requires_grad: bool = False) -> Any:
        return torch.tensor(array, requires_grad=requires_grad)

    @staticmethod
    def array(t: Any) -> np.ndarray:
        return t.detach().numpy(force=True).copy()


def compare(case: Case, dtype: str, order: int = 1) -> None:
    """Fails unless both libraries give the same for the case."""
    arrays = case.arrays(dtype)
    expected = run(Theirs, case, arrays, order)
    check_same(run(Ours, case, arrays, order), expected, TOLERANCE[dtype])
