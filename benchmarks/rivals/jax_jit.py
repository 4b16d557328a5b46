"""JAX on the processor: the whole step, AdamW included, is one compiled function.

Weights and optimiser state are donated, so that they are updated where they lie.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from . import start

LAYOUT = ("NHWC", "HWIO", "NHWC")


def available() -> str | None:
    """None, or the reason why JAX cannot run here."""
    return start.missing("jax", "jaxlib")


def set_threads(n: int) -> None:
    """JAX reads the environment, before its first operation; this adds what it needs there."""
    os.environ.update(environment(n))


def environment(n: int) -> dict[str, str]:
    """Variables that hold XLA's thread pool to `n` threads."""
    eigen = "false" if n == 1 else "true"
    return {
        "JAX_PLATFORMS": "cpu",
        "NPROC": str(n),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={n}",
    }


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss; the first call compiles."""
    import jax
    import jax.numpy as jnp

    units = start.plan(model)
    params = [
        {k: jnp.asarray(_laid_out(k, v)) for k, v in w._asdict().items() if v is not None}
        for w in start.weights(model, seed)
    ]
    running = [(jnp.zeros(u.nf), jnp.ones(u.nf)) for u in units]
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = params, running, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32)
    x, target = start.batch_of(batch, seed)
    x, target = jnp.asarray(x.transpose(0, 2, 3, 1)), jnp.asarray(target)

    def loss_of(params: Any, running: Any, x: Any, target: Any) -> Any:
        logits, moved = _forward(units, params, running, x)
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, target[:, None], 1).mean(), moved

    def update(state: Any, x: Any, target: Any) -> Any:
        params, running, m, v, t = state
        (loss, running), g = jax.value_and_grad(loss_of, has_aux=True)(params, running, x, target)
        params, m, v = _adamw(params, g, m, v, t + 1)
        return (params, running, m, v, t + 1), loss

    compiled = jax.jit(update, donate_argnums=0)

    def step() -> Any:
        nonlocal state
        state, loss = compiled(state, x, target)
        return loss

    return step


def _laid_out(name: str, values: Any) -> Any:
    """The convolution's weight (O, I, kh, kw) → (kh, kw, I, O); the rest as it is."""
    return values.transpose(2, 3, 1, 0) if name == "conv" else values


def _forward(units: list[start.Unit], params: Any, running: Any, x: Any) -> tuple[Any, Any]:
    """(logits (N, 10), the running statistics after the batch)."""
    import jax
    from jax import lax

    kept, moved = x, []
    for unit, p, r in zip(units, params, running, strict=True):
        kept = x if unit.opens else kept
        pads, strides = [(1, 1), (1, 1)], (unit.stride, unit.stride)
        x = lax.conv_general_dilated(x, p["conv"], strides, pads, dimension_numbers=LAYOUT)
        x = x + p["bias"] if unit.bias else x
        for name in unit.then:
            if name == "relu":
                x = jax.nn.relu(x)
            else:
                x, r = _norm(x, p, r)
        moved.append(r)
        x = kept + x if unit.closes else x
    return x.reshape(x.shape[0], -1), moved


def _norm(x: Any, p: Any, running: Any) -> tuple[Any, Any]:
    """Batch norm over all axes but the last, and the running mean and unbiased variance."""
    from jax import lax

    axes, count = (0, 1, 2), x.size // x.shape[-1]
    mean = x.mean(axes)
    centred = x - mean
    variance = (centred * centred).mean(axes)
    y = centred * (lax.rsqrt(variance + start.NORM_EPS) * p["gamma"]) + p["beta"]
    new = mean, variance * (count / (count - 1))
    k = start.NORM_MOMENTUM
    return y, tuple((1 - k) * old + k * now for old, now in zip(running, new, strict=True))


def _adamw(params: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, Any, Any]:
    """Adam with true weight decay, as PyTorch writes it."""
    import jax
    import jax.numpy as jnp

    (b1, b2), lr = start.BETAS, start.LR
    m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, g)
    v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
    c1, c2 = 1 - b1**t, 1 - b2**t

    def moved(p: Any, m: Any, v: Any) -> Any:
        decayed = p * (1 - lr * start.WEIGHT_DECAY)
        return decayed - lr / c1 * m / (jnp.sqrt(v / c2) + start.EPS)

    return jax.tree.map(moved, params, m, v), m, v
