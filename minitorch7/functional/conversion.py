"""The same values with another dtype, or on another backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ._arguments import cast, check_tensor


class Move(Function):
    """y = x on another backend; the gradient is moved back."""

    def __init__(self, name: str) -> None:
        self.target = name

    def forward(self, xp, x):
        self.source = backend.name_of(x)
        return backend.to(x, self.target)

    def __call__(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().__call__(x)

    def backward(self, grad):
        return to(grad, self.source)


class Clone(Function):
    """y = a copy of x;  dx = dy"""

    def forward(self, xp, x):
        return x.copy()

    def backward(self, grad):
        return grad


def clone(input: Tensor) -> Tensor:
    """A copy that gradients flow back through."""
    return Clone()(check_tensor("clone", "input", input))


def to(input: Tensor, target: Any) -> Tensor:
    """`input` on the backend ('numpy', 'cupy') or in the dtype given; itself where it is so."""
    check_tensor("to", "input", input)
    if isinstance(target, Tensor):
        return to(to(input, target.dtype), target.backend)
    if isinstance(target, str) and target in (*backend.NAMES, "cpu", "cuda"):
        name = {"cpu": "numpy", "cuda": "cupy"}.get(target, target)
        return input if input.backend == name else Move(name)(input)
    try:
        dtype = np.dtype(target)
    except TypeError:
        raise backend.BackendError(
            f"to: {target!r} is neither a backend ('numpy', 'cupy') nor a dtype"
        ) from None
    return cast(input, dtype)


def cpu(input: Tensor) -> Tensor:
    """`input` on the processor."""
    return to(input, "numpy")


def cuda(input: Tensor) -> Tensor:
    """`input` on the GPU."""
    return to(input, "cupy")


def float(input: Tensor) -> Tensor:
    """`input` in float32."""
    return cast(input, np.float32)


def double(input: Tensor) -> Tensor:
    """`input` in float64."""
    return cast(input, np.float64)


def half(input: Tensor) -> Tensor:
    """`input` in float16."""
    return cast(input, np.float16)


def long(input: Tensor) -> Tensor:
    """`input` in int64, fractions cut off."""
    return cast(input, np.int64)


def bool(input: Tensor) -> Tensor:
    """`input` in bool: whether each element is not zero."""
    return cast(input, np.bool_)
