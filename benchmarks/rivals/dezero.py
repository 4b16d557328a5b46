"""DeZero, the package itself (`pip install dezero`), not a copy in its style.

The networks are made of DeZero's own operations: memory is (N, C, H, W), a convolution is an
im2col by a loop over the kernel's taps and a tensordot, batch norm's gradient is composed of
elementary operations. DeZero's Adam has no weight decay; three lines below add it. DeZero 0.0.13
reads the name ``np.int``, which NumPy has dropped, while it is imported, though not in what is
timed; `_import` lends it that name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from . import start

MODELS = start.SMALL  # the larger networks are not written out in DeZero


def available() -> str | None:
    """None, or the reason why DeZero cannot run here: missing, or too old for this NumPy."""
    reason = start.missing("dezero")
    if reason:
        return reason
    try:
        float(build("basic", 2, 0)())
    except Exception as error:  # a name that a newer NumPy has dropped, for one
        return f"dezero does not run under NumPy {np.__version__}: {error}"
    return None


def set_threads(n: int) -> None:
    """`n` BLAS threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=n, user_api="blas")


def _import() -> None:
    lend = not hasattr(np, "int")
    if lend:
        np.int = int
    try:
        importlib.import_module("dezero")
    finally:
        if lend:
            del np.int


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss."""
    _import()
    import dezero.functions as F
    from dezero import Parameter

    units = start.plan(model)
    params = [
        {k: Parameter(v) for k, v in w._asdict().items() if v is not None}
        for w in start.weights(model, seed)
    ]
    running = [(np.zeros(u.nf, np.float32), np.ones(u.nf, np.float32)) for u in units]
    every = [p for unit in params for p in unit.values()]
    optimizer = _adamw(every)
    x, target = start.batch_of(model, batch, seed)

    def step() -> Any:
        for p in every:
            p.cleargrad()
        loss = F.softmax_cross_entropy(_forward(units, params, running, x), target)
        loss.backward()
        optimizer.update()
        return loss.data

    return step


def _forward(units: list[start.Unit], params: Any, running: Any, x: Any) -> Any:
    import dezero.functions as F

    kept = x
    for unit, p, (mean, variance) in zip(units, params, running, strict=True):
        kept = x if unit.opens else kept
        x = F.conv2d(x, p["conv"], p.get("bias"), unit.stride, 1)
        for name in unit.then:
            if name == "relu":
                x = F.relu(x)
            else:
                options = dict(decay=1 - start.NORM_MOMENTUM, eps=start.NORM_EPS)
                x = F.batch_nrom(x, p["gamma"], p["beta"], mean, variance, **options)
        x = kept + x if unit.closes else x
    return x.reshape(x.shape[0], -1)


def _adamw(params: list[Any]) -> Any:
    """DeZero's Adam over `params`, with true weight decay before each step."""
    from dezero.optimizers import Adam

    class AdamW(Adam):
        def update_one(self, param: Any) -> None:
            param.data *= 1 - self.alpha * start.WEIGHT_DECAY
            super().update_one(param)

    class Target:
        def params(self) -> list[Any]:
            return params

    return AdamW(start.LR, *start.BETAS, start.EPS).setup(Target())
