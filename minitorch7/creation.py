"""New tensors of a given shape, on the active backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import backend
from .autograd import Tensor


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3) from ``zeros(2, 3)`` as well as from ``zeros((2, 3))``."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape


def _xp() -> Any:
    return backend.library(backend.active())


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return Tensor(_xp().zeros(_shape(shape), dtype=dtype), requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return Tensor(_xp().ones(_shape(shape), dtype=dtype), requires_grad)


def full(
    shape: Sequence[int], value: float, dtype: Any = np.float32, requires_grad: bool = False
) -> Tensor:
    """A tensor filled with `value`."""
    return Tensor(_xp().full(tuple(shape), value, dtype=dtype), requires_grad)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros in the shape, dtype and place of `t`."""
    return Tensor(backend.library(t.backend).zeros_like(t.data))


def ones_like(t: Tensor) -> Tensor:
    """Ones in the shape, dtype and place of `t`."""
    return Tensor(backend.library(t.backend).ones_like(t.data))


def eye(n: int, dtype: Any = np.float32) -> Tensor:
    """The identity matrix (n, n)."""
    return Tensor(_xp().eye(n, dtype=dtype))


def arange(start: float, end: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """start, start + step, … below end (or 0, 1, … below start); int64, or float32 for floats."""
    if end is None:
        start, end = 0, start
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, end, step))
        dtype = np.int64 if whole else np.float32
    return Tensor(_xp().arange(start, end, step, dtype=dtype))


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1) from the stream that `manual_seed` starts."""
    return Tensor(backend.uniform(_xp(), _shape(shape), dtype), requires_grad)


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Standard-normal numbers from the stream that `manual_seed` starts."""
    return Tensor(backend.normal(_xp(), _shape(shape), dtype), requires_grad)
