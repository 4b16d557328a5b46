"""JAX on the processor: the whole step, AdamW included, is one compiled function.

Weights and optimiser state are donated, so that they are updated where they lie.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from . import grid, jax_operations, large, start
from .jax_networks import forward, laid_out

MODELS = (*start.MODELS, large.FAMILY)  # fast.ai's U-Net is not written out in JAX


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


def _parameters(model: str, seed: int) -> list[Any]:
    import jax.numpy as jnp

    return [jnp.asarray(laid_out(values)) for values in start.parameters(model, seed)]


def _batch(model: str, batch: int, seed: int) -> tuple[Any, Any]:
    import jax.numpy as jnp

    x, target = start.batch_of(model, batch, seed)
    return jnp.asarray(x.transpose(0, 2, 3, 1)), jnp.asarray(target)


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss; the first call compiles."""
    import jax
    import jax.numpy as jnp

    params = _parameters(model, seed)
    running = [(jnp.zeros(len(v)), jnp.ones(len(v))) for v, _ in start.running(model, seed)]
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = params, running, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32)
    x, target = _batch(model, batch, seed)

    def loss_of(params: Any, running: Any, x: Any, target: Any) -> Any:
        scores, moved = forward(model, params, running, x, training=True)
        return jax_operations.cross_entropy(scores, target), moved

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


def build_inference(model: str, batch: int, seed: int) -> Callable[[], np.ndarray]:
    """A function that computes the scores of one batch; the first call compiles."""
    import jax
    import jax.numpy as jnp

    params = _parameters(model, seed)
    running = jax.tree.map(jnp.asarray, start.running(model, seed))
    x, _ = _batch(model, batch, seed)
    compiled = jax.jit(lambda params, running, x: forward(model, params, running, x, False)[0])

    def scores() -> np.ndarray:
        found = np.asarray(compiled(params, running, x))
        return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found

    return scores


def build_operation(name: str, backward: bool, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): the operation once, and its results as NumPy arrays."""
    return jax_operations.build(grid.CASES[name], backward, seed)


def build_adam(model: str, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): one AdamW step over a network's parameters, whose gradients stay."""
    import jax
    import jax.numpy as jnp

    params = [jnp.asarray(v) for v in start.parameters(model, seed)]
    g = [jnp.asarray(v) for v in grid.gradients_of(params, seed)]
    m, v = ([jnp.zeros_like(p) for p in params] for _ in range(2))
    state = params, m, v, jnp.zeros((), jnp.int32)

    def update(state: Any, g: Any) -> Any:
        params, m, v, t = state
        return *_adamw(params, g, m, v, t + 1), t + 1

    compiled = jax.jit(update, donate_argnums=0)

    def step() -> Any:
        nonlocal state
        state = jax.block_until_ready(compiled(state, g))
        return state[0]

    return step, lambda params: [np.asarray(p) for p in params]


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
