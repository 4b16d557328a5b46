"""How much an operation has to compute and to move, counted from its shapes.

Operations   2 for each product of a convolution or a linear layer (a multiplication, an addition);
             padding counts as pixels. None where next to nothing is computed: such an operation
             is as fast as memory lets it be.
Bytes        each array read or written once, as if caches were free: what no program can do
             without. float32 throughout, classes are int64. Batch norm reads its input twice, and
             on the way back its input and its gradient twice: the sums must be known first. What
             an operation keeps for itself (a maximum's place, columns of pixels) is not counted.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from .grid import Case

FLOAT, CLASS = 4, 8  # bytes
ADAM_ARRAYS = 7  # reads weight, gradient, both moments; writes weight and moments


class Work(NamedTuple):
    """What has to be done."""

    flops: int | None
    nbytes: int

    def least_ms(self, gbytes: float, gflops: float) -> float:
        """The time that the card's measured rates allow, in ms: of both bounds, the later."""
        moving = self.nbytes / (gbytes * 1e6)
        return max(moving, (self.flops or 0) / (gflops * 1e6))


def output_shape(case: Case) -> tuple[int, ...]:
    """The shape of the result, by the formulas of the layers."""
    n, rest, get = case.x[0], case.x[1:], case.options.get
    if case.kind in ("relu", "batch_norm"):
        return case.x
    if case.kind == "cross_entropy":
        return ()
    if case.kind == "linear":
        return (*case.x[:-1], case.w[0])
    if case.kind == "adaptive_avg_pool2d":
        return (n, rest[0], get("output_size"), get("output_size"))
    if case.kind == "pixel_shuffle":
        r = get("upscale_factor")
        return (n, rest[0] // r**2, rest[1] * r, rest[2] * r)
    stride, padding = get("stride", 1), get("padding", 0)
    ks = case.w[-1] if case.w else get("kernel_size")
    if case.kind == "conv_transpose2d":
        return (n, case.w[1], *((p - 1) * stride - 2 * padding + ks for p in rest[1:]))
    nf = case.w[0] if case.w else rest[0]
    return (n, nf, *((p + 2 * padding - ks) // stride + 1 for p in rest[1:]))


def work(case: Case, backward: bool) -> Work:
    """The operation alone, or with the gradients of all that it is given."""
    forward = _forward(case)
    if not backward:
        return forward
    extra = _backward(case)
    flops = None if forward.flops is None else forward.flops + extra.flops
    return Work(flops, forward.nbytes + extra.nbytes)


def adam(parameters: int) -> Work:
    """A step of AdamW."""
    return Work(None, FLOAT * ADAM_ARRAYS * parameters)


def product(n: int) -> int:
    """Operations of the product of two n × n matrices."""
    return 2 * n**3


def _sizes(case: Case) -> tuple[int, int, int, int]:
    """Elements of input, weight, its shift (linear only), and output."""
    shift = case.w[0] if case.kind == "linear" else 0
    return prod(case.x), prod(case.w or (0,)), shift, prod(output_shape(case))


def _multiplications(case: Case) -> int | None:
    """2 × products: an output of a convolution has ni·ks², an input of its transpose nf·ks²."""
    x, w, _, y = _sizes(case)
    if case.kind in ("conv2d", "linear"):
        return 2 * y * (w // case.w[0])
    return 2 * x * (w // case.w[0]) if case.kind == "conv_transpose2d" else None


def _forward(case: Case) -> Work:
    x, w, shift, y = _sizes(case)
    if case.kind == "batch_norm":
        return Work(None, FLOAT * (3 * x + 2 * case.x[1]))
    if case.kind == "cross_entropy":
        return Work(None, FLOAT * (x + 1) + CLASS * (x // case.x[1]))
    return Work(_multiplications(case), FLOAT * (x + w + shift + y))


def _backward(case: Case) -> Work:
    x, w, shift, y = _sizes(case)
    flops = _multiplications(case)
    if flops is not None:
        moved = x + y + w + shift  # the weight's gradient
        moved += 0 if case.first else y + w + x  # the input's
        return Work(flops * (1 if case.first else 2), FLOAT * moved)
    if case.kind == "batch_norm":
        return Work(None, FLOAT * (5 * x + 3 * case.x[1]))  # reads γ, writes both gradients
    if case.kind == "cross_entropy":
        return Work(None, FLOAT * (2 * x + 1) + CLASS * (x // case.x[1]))
    if case.kind == "relu":
        return Work(None, FLOAT * 3 * x)
    return Work(None, FLOAT * (x + y))
