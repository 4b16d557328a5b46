"""The networks for JAX: functions of a list of parameters, channels last in memory.

A forward pass takes the parameters one after the other, in the order in which the other libraries'
modules list them, so `Walk` hands them out and collects the running statistics on the way.
"""

from __future__ import annotations

from typing import Any

from . import start
from .large import LEVELS, STAGES, residual_of

LAYOUT = ("NHWC", "HWIO", "NHWC")


def laid_out(values: Any) -> Any:
    """A convolution's weight (O, I, kh, kw) → (kh, kw, I, O); a linear one's (O, I) → (I, O)."""
    return values.transpose(2, 3, 1, 0) if values.ndim == 4 else values.T


def forward(model: str, params: Any, running: Any, x: Any, training: bool) -> tuple[Any, Any]:
    """(scores, the running statistics after the batch) of pictures x (N, H, W, C)."""
    walk = Walk(params, running, training)
    sizes = residual_of(model)
    if model in start.SMALL:
        scores = _lesson_net(walk, model, x)
    elif sizes:
        scores = _residual(walk, sizes.depth, x)
    else:
        scores = _unet(walk, x) if model == "unet" else _resnet34(walk, x)
    return scores, walk.moved


class Walk:
    """The layers, each of which takes the next parameters of the list."""

    def __init__(self, params: Any, running: Any, training: bool) -> None:
        self.params, self.running = iter(params), iter(running)
        self.training, self.moved = training, []

    def conv(self, x: Any, stride: int = 1, bias: bool = False) -> Any:
        """A convolution whose padding keeps the size at stride 1."""
        from jax import lax

        weight = next(self.params)
        pads = [(k // 2, k // 2) for k in weight.shape[:2]]
        y = lax.conv_general_dilated(x, weight, (stride, stride), pads, dimension_numbers=LAYOUT)
        return y + next(self.params) if bias else y

    def norm(self, x: Any) -> Any:
        """Batch norm over all axes but the last; moves the running mean and unbiased variance."""
        gamma, beta, (mean, variance) = next(self.params), next(self.params), next(self.running)
        if not self.training:
            return norm(x - mean, variance, gamma, beta)
        batch_mean = x.mean((0, 1, 2))
        centred = x - batch_mean
        batch_variance = (centred * centred).mean((0, 1, 2))
        count, k = x.size // x.shape[-1], start.NORM_MOMENTUM
        unbiased = batch_variance * (count / (count - 1))
        self.moved.append(((1 - k) * mean + k * batch_mean, (1 - k) * variance + k * unbiased))
        return norm(centred, batch_variance, gamma, beta)

    def conv_norm(self, x: Any, stride: int = 1, relu: bool = True) -> Any:
        """Convolution → batch norm → ReLU, or without the last."""
        import jax

        y = self.norm(self.conv(x, stride))
        return jax.nn.relu(y) if relu else y

    def linear(self, x: Any) -> Any:
        """x @ W + b."""
        return x @ next(self.params) + next(self.params)

    def block(self, x: Any, same: bool) -> Any:
        """He's basic block."""
        import jax

        y = self.conv_norm(self.conv_norm(x, 1 if same else 2), relu=False)
        return jax.nn.relu(y + (x if same else self.conv_norm(x, 2, relu=False)))


def norm(centred: Any, variance: Any, gamma: Any, beta: Any) -> Any:
    """(x − μ) · γ/√(σ² + ε) + β"""
    from jax import lax

    return centred * (lax.rsqrt(variance + start.NORM_EPS) * gamma) + beta


def pool(x: Any, ks: int, stride: int, padding: int) -> Any:
    """The largest of every window."""
    from jax import lax

    pads = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
    return lax.reduce_window(
        x, -float("inf"), lax.max, (1, ks, ks, 1), (1, stride, stride, 1), pads
    )


def pixel_shuffle(x: Any, r: int) -> Any:
    """(N, H, W, C·r²) → (N, H·r, W·r, C), channel c·r² + i·r + j to place (i, j)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, c // (r * r), r, r).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, h * r, w * r, c // (r * r))


def _lesson_net(walk: Walk, model: str, x: Any) -> Any:
    import jax

    kept = x
    for unit in start.plan(model):
        kept = x if unit.opens else kept
        x = walk.conv(x, unit.stride, unit.bias)
        for name in unit.then:
            x = jax.nn.relu(x) if name == "relu" else walk.norm(x)
        x = kept + x if unit.closes else x
    return x.reshape(x.shape[0], -1)


def _resnet34(walk: Walk, x: Any) -> Any:
    x = pool(walk.conv_norm(x, 2), 3, 2, 1)
    for nf, blocks in STAGES:
        for i in range(blocks):
            x = walk.block(x, same=i > 0 or nf == STAGES[0][0])
    return walk.linear(x.mean((1, 2)))


def _residual(walk: Walk, depth: int, x: Any) -> Any:
    x = walk.conv_norm(x)
    for _ in range(depth):
        x = walk.block(x, same=True)
    return walk.linear(x.mean((1, 2)))


def _unet(walk: Walk, x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    crossing = []
    for i in range(len(LEVELS)):
        x = pool(x, 2, 2, 0) if i else x
        x = walk.conv_norm(walk.conv_norm(x))
        crossing.append(x)
    for kept in crossing[-2::-1]:
        x = pixel_shuffle(jax.nn.relu(walk.conv(x, bias=True)), 2)
        x = walk.conv_norm(walk.conv_norm(jnp.concatenate([kept, x], -1)))
    return walk.conv(x, bias=True)
