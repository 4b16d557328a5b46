"""New tensors of a given shape, on the active backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import backend
from .autograd import Tensor
from .functional._arguments import check_integer, check_shape, check_tensor


def _xp() -> Any:
    return backend.library(backend.active())


def _library_of(function: str, t: Any) -> Any:
    return backend.library(check_tensor(function, "t", t).backend)


def _check_float(function: str, dtype: Any) -> None:
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"{function}: random numbers are floating point, got dtype {dtype}")


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return Tensor(_xp().zeros(check_shape("zeros", shape), dtype=dtype), requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return Tensor(_xp().ones(check_shape("ones", shape), dtype=dtype), requires_grad)


def full(
    shape: Sequence[int], value: float, dtype: Any = np.float32, requires_grad: bool = False
) -> Tensor:
    """A tensor filled with `value`."""
    if not isinstance(shape, Sequence):
        raise TypeError(f"full: shape must be a tuple such as (2, 3), got {shape!r}")
    return Tensor(_xp().full(check_shape("full", (shape,)), value, dtype=dtype), requires_grad)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros in the shape, dtype and place of `t`."""
    return Tensor(_library_of("zeros_like", t).zeros_like(t.data))


def ones_like(t: Tensor) -> Tensor:
    """Ones in the shape, dtype and place of `t`."""
    return Tensor(_library_of("ones_like", t).ones_like(t.data))


def eye(n: int, dtype: Any = np.float32) -> Tensor:
    """The identity matrix (n, n)."""
    check_integer("eye", "n", n, 0)
    return Tensor(_xp().eye(n, dtype=dtype))


def arange(start: float, end: float | None = None, step: float = 1, dtype: Any = None) -> Tensor:
    """start, start + step, … below end (or 0, 1, … below start); int64, or float32 for floats."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError(f"arange: step must not be 0, got arange({start}, {end}, {step})")
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, end, step))
        dtype = np.int64 if whole else np.float32
    return Tensor(_xp().arange(start, end, step, dtype=dtype))


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1) from the stream that `manual_seed` starts."""
    _check_float("rand", dtype)
    return Tensor(backend.uniform(_xp(), check_shape("rand", shape), dtype), requires_grad)


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Standard-normal numbers from the stream that `manual_seed` starts."""
    _check_float("randn", dtype)
    return Tensor(backend.normal(_xp(), check_shape("randn", shape), dtype), requires_grad)
