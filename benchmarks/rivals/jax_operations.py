"""The operations of `grid.py` in JAX: compiled, channels last in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import grid
from .jax_networks import LAYOUT, norm, pixel_shuffle, pool


def build(case: grid.Case, backward: bool, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): the operation once, and its results in PyTorch's order of axes."""
    import jax
    import jax.numpy as jnp

    values, target = grid.inputs(case, seed)
    inputs = [jnp.asarray(_laid_out(i, v)) for i, v in enumerate(values)]
    f = function(case, None if target is None else jnp.asarray(target))
    y = np.broadcast_to(0, jax.eval_shape(f, *inputs).shape)
    dy = _laid_out(0, grid.gradient(_back(0, y).shape, seed)) if y.ndim else np.float32(1)
    dy, first = jnp.asarray(dy), int(case.first)

    def both(inputs: Any, dy: Any) -> Any:
        y, pull = jax.vjp(lambda *wanted: f(*inputs[:first], *wanted), *inputs[first:])
        return [y, *pull(dy)]

    compiled = jax.jit(both) if backward else jax.jit(lambda inputs, dy: [f(*inputs)])

    def arrays(found: Any) -> list[np.ndarray]:
        y, *gradients = (np.asarray(a) for a in found)
        return [_back(0, y), *[_back(first + i, g) for i, g in enumerate(gradients)]]

    return lambda: jax.block_until_ready(compiled(inputs, dy)), arrays


def _laid_out(i: int, array: Any) -> Any:
    """Input `i` as JAX has it: pictures with channels last, a kernel (O, I, kh, kw) turned round.

    With four axes, input 0 is pictures and input 1 a kernel.
    """
    if array.ndim != 4:
        return array
    return array.transpose(2, 3, 1, 0) if i == 1 else array.transpose(0, 2, 3, 1)


def _back(i: int, array: Any) -> Any:
    """The way back from `_laid_out`."""
    if array.ndim != 4:
        return array
    return array.transpose(3, 2, 0, 1) if i == 1 else array.transpose(0, 3, 1, 2)


def function(case: grid.Case, target: Any) -> Callable[..., Any]:
    """The operation on arrays whose channels come last."""
    import jax
    from jax import lax

    o = case.options
    ks, stride, p = o.get("kernel_size", 1), o.get("stride", 1), o.get("padding", 0)

    def transposed(x: Any, w: Any) -> Any:
        """Zeros between the pixels, then the kernel turned by 180°."""
        pads = [(k - 1 - p, k - 1 - p) for k in w.shape[:2]]
        turned = w[::-1, ::-1].swapaxes(2, 3)  # its weight is (I, O, kh, kw)
        options = dict(lhs_dilation=(stride, stride), dimension_numbers=LAYOUT)
        return lax.conv_general_dilated(x, turned, (1, 1), pads, **options)

    def convolved(x: Any, w: Any) -> Any:
        strides, pads = (stride, stride), [(p, p)] * 2
        return lax.conv_general_dilated(x, w, strides, pads, dimension_numbers=LAYOUT)

    def normed(x: Any, gamma: Any, beta: Any) -> Any:
        centred = x - x.mean((0, 1, 2))
        return norm(centred, (centred * centred).mean((0, 1, 2)), gamma, beta)

    def averaged(x: Any) -> Any:
        sums = lax.reduce_window(x, 0.0, lax.add, (1, ks, ks, 1), (1, stride, stride, 1), "VALID")
        return sums / (ks * ks)

    return {
        "conv2d": convolved,
        "conv_transpose2d": transposed,
        "batch_norm": normed,
        "max_pool2d": lambda x: pool(x, ks, stride, p),
        "avg_pool2d": averaged,
        "adaptive_avg_pool2d": lambda x: x.mean((1, 2), keepdims=True),
        "relu": jax.nn.relu,
        "pixel_shuffle": lambda x: pixel_shuffle(x, o["upscale_factor"]),
        "cross_entropy": lambda x: cross_entropy(x, target),
        "linear": lambda x, w, b: x @ w.T + b,
    }[case.kind]


def cross_entropy(scores: Any, target: Any) -> Any:
    """The mean of −ln softmax(scores)[target] over pictures or pixels; classes are last."""
    import jax
    import jax.numpy as jnp

    log_p = jax.nn.log_softmax(scores)
    return -jnp.take_along_axis(log_p, target[..., None], -1).mean()
