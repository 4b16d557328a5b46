"""minitorch7 on NumPy: the models of `models.py`, trained as a reader of the lesson would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import start


def available() -> str | None:
    """None, or the reason why minitorch7 cannot run here."""
    return start.missing("minitorch7")


def set_threads(n: int) -> None:
    """`n` threads, by minitorch7's own switch."""
    import minitorch7 as mt

    mt.set_num_threads(n)


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss."""
    from models import RECIPES

    import minitorch7 as mt
    from minitorch7 import functional as F
    from minitorch7 import optim

    net = RECIPES[model].make()
    for p, values in zip(net.parameters(), start.parameters(model, seed), strict=True):
        p.copy_(values)
    options = dict(lr=start.LR, betas=start.BETAS, eps=start.EPS, weight_decay=start.WEIGHT_DECAY)
    optimizer = optim.AdamW(net.parameters(), **options)
    x, target = (mt.tensor(array) for array in start.batch_of(batch, seed))

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
