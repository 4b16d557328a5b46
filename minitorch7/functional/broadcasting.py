"""Broadcasting, and its undoing.

Where a short tensor was stretched to meet a longer one, each of its elements served several times,
so its gradient is the sum over those uses: `sum_to` undoes a broadcast, `broadcast_to` performs it,
and each is the other's derivative.
"""

from __future__ import annotations

from ..autograd import Function, Tensor
from ._arguments import broadcast_shape, check_tensor


class BroadcastTo(Function):
    """y = x stretched to `shape`;  dx = dy summed over the stretched axes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, xp, x):
        self.source = x.shape
        return xp.broadcast_to(x, self.shape)

    def backward(self, grad):
        return sum_to(grad, self.source)


class SumTo(Function):
    """y = x summed over the axes that a broadcast from `shape` to x's shape would stretch."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, xp, x):
        self.source = x.shape
        lead = x.ndim - len(self.shape)
        stretched = [
            lead + i for i, n in enumerate(self.shape) if n == 1 and x.shape[lead + i] != 1
        ]
        axes = tuple(range(lead)) + tuple(stretched)
        return xp.sum(x, axis=axes, keepdims=True).reshape(self.shape)

    def backward(self, grad):
        return broadcast_to(grad, self.source)


def broadcast_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`input` stretched to `shape` by NumPy's and PyTorch's rules; a view, no copy."""
    t, shape = check_tensor("broadcast_to", "input", input), tuple(shape)
    if t.shape == shape:
        return t
    if broadcast_shape("broadcast_to", t.shape, shape) != shape:
        raise ValueError(f"broadcast_to: {t.shape} cannot be stretched to {shape}")
    return BroadcastTo(shape)(t)


def sum_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`input` summed down to `shape`: the adjoint of `broadcast_to`."""
    t, shape = check_tensor("sum_to", "input", input), tuple(shape)
    if t.shape == shape:
        return t
    if broadcast_shape("sum_to", t.shape, shape) != t.shape:
        raise ValueError(
            f"sum_to: {t.shape} is not a broadcast of {shape}, so cannot be summed to it"
        )
    return SumTo(shape)(t)
