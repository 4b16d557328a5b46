"""PyTorch on the processor, eager: the lesson's networks as nn.Modules, AdamW in its fused form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import start


def available() -> str | None:
    """None, or the reason why PyTorch cannot run here."""
    return start.missing("torch")


def set_threads(n: int) -> None:
    """`n` threads inside an operation, one between operations."""
    import torch

    torch.set_num_threads(n)
    try:
        torch.set_num_interop_threads(1)
    except RuntimeError:  # it can be set once in a process
        pass


def make(model: str, seed: int) -> Any:
    """The network with its initial weights."""
    import torch
    from torch import nn

    class Net(nn.Module):
        """The units of a plan, one after the other."""

        def __init__(self) -> None:
            super().__init__()
            self.plan = start.plan(model)
            self.units = nn.ModuleList(_unit(unit) for unit in self.plan)

        def forward(self, x: Any) -> Any:
            kept = x
            for unit, layers in zip(self.plan, self.units, strict=True):
                kept = x if unit.opens else kept
                x = layers(x)
                if unit.closes:
                    x = kept + x
            return x.flatten(1)

    net = Net()
    with torch.no_grad():
        for p, values in zip(net.parameters(), start.parameters(model, seed), strict=True):
            p.copy_(torch.from_numpy(values))
    return net


def _unit(unit: start.Unit) -> Any:
    from torch import nn

    layers = [nn.Conv2d(unit.ni, unit.nf, 3, unit.stride, 1, bias=unit.bias)]
    for name in unit.then:
        layers.append(nn.ReLU(inplace=True) if name == "relu" else nn.BatchNorm2d(unit.nf))
    return nn.Sequential(*layers)


def build(model: str, batch: int, seed: int, compiled: bool = False) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss."""
    import torch
    from torch.nn import functional as F

    net = make(model, seed)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        lr=start.LR,
        betas=start.BETAS,
        eps=start.EPS,
        weight_decay=start.WEIGHT_DECAY,
        fused=True,
    )
    x, target = (torch.from_numpy(array) for array in start.batch_of(batch, seed))

    def loss_of(x: Any, target: Any) -> Any:
        return F.cross_entropy(net(x), target)

    if compiled:
        loss_of = torch.compile(loss_of)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(x, target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
