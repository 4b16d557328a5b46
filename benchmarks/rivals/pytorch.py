"""PyTorch on the processor, eager: networks as nn.Modules, AdamW in its fused form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import grid, networks, start


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

    if model == start.CAMVID_UNET:
        net = camvid_unet()
    else:
        net = _lesson_net(model) if model in start.SMALL else networks.make(model, nn, torch.cat)
    with torch.no_grad():
        networks.fill(net, torch.from_numpy, model, seed)
    return net


def camvid_unet() -> Any:
    """fast.ai's U-Net around a ResNet-18: 31.0 million parameters."""
    from .pytorch_unet import unet

    return unet("resnet18", start.spec(start.CAMVID_UNET).classes, bottle=True)


def _lesson_net(model: str) -> Any:
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

    return Net()


def _unit(unit: start.Unit) -> Any:
    from torch import nn

    layers = [nn.Conv2d(unit.ni, unit.nf, 3, unit.stride, 1, bias=unit.bias)]
    for name in unit.then:
        layers.append(nn.ReLU(inplace=True) if name == "relu" else nn.BatchNorm2d(unit.nf))
    return nn.Sequential(*layers)


def optimizer(parameters: Any) -> Any:
    """AdamW with everybody's settings."""
    import torch

    options = dict(lr=start.LR, betas=start.BETAS, eps=start.EPS, weight_decay=start.WEIGHT_DECAY)
    return torch.optim.AdamW(parameters, **options, fused=True)


def _as_it_is(f: Any) -> Any:
    return f


def trainer(model: str, seed: int, compiled: Callable = _as_it_is) -> Callable[[Any, Any], Any]:
    """A function of a batch that performs one training step and returns the loss."""
    from torch.nn import functional as F

    net = make(model, seed)
    adamw = optimizer(net.parameters())

    def loss_of(x: Any, target: Any) -> Any:
        return F.cross_entropy(net(x), target)

    loss_of = compiled(loss_of)

    def train(x: Any, target: Any) -> Any:
        adamw.zero_grad()
        loss = loss_of(x, target)
        loss.backward()
        adamw.step()
        return loss.detach()

    return train


def build(model: str, batch: int, seed: int, compiled: Callable = _as_it_is) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss."""
    import torch

    x, target = (torch.from_numpy(array) for array in start.batch_of(model, batch, seed))
    train = trainer(model, seed, compiled)
    return lambda: train(x, target)


def build_inference(
    model: str, batch: int, seed: int, compiled: Callable = _as_it_is
) -> Callable[[], np.ndarray]:
    """A function that computes the scores of one batch in evaluation mode."""
    import torch
    from torch import nn

    net = make(model, seed).eval()
    with torch.no_grad():
        networks.fill_running(net, nn, torch.from_numpy, model, seed)
    net = compiled(net)
    x = torch.from_numpy(start.batch_of(model, batch, seed)[0])

    def forward() -> np.ndarray:
        with torch.inference_mode():
            return net(x).numpy()

    return forward


def build_segmenter(seed: int) -> tuple[Callable, Callable, Any]:
    """(step, classes, AdamW) of fast.ai's U-Net, with the weights that minitorch7's starts from.

    step(x, y)  one step of training on a batch of minitorch7's loader; its loss
    classes(x)  the likeliest class of each pixel as a NumPy array (N, H, W)
    """
    import torch
    from torch.nn import functional as F

    import minitorch7 as mt

    from . import minitorch7, pytorch_unet

    def theirs(t: Any) -> Any:
        return torch.from_numpy(np.asarray(t.detach().numpy(), order="C"))

    mt.manual_seed(seed)
    net = camvid_unet()
    pytorch_unet.copy_weights(net, minitorch7.camvid_unet(), theirs)
    adamw = optimizer(net.parameters())

    def step(x: Any, y: Any) -> float:
        adamw.zero_grad()
        loss = F.cross_entropy(net.train()(theirs(x)), theirs(y).squeeze(1))
        loss.backward()
        adamw.step()
        return float(loss.detach())

    def classes(x: Any) -> np.ndarray:
        with torch.inference_mode():
            return net.eval()(theirs(x)).numpy().argmax(1)

    return step, classes, adamw


def build_operation(
    name: str, backward: bool, seed: int, compiled: Callable = _as_it_is
) -> tuple[Callable, Callable]:
    """(run, arrays): the operation once, and its results as NumPy arrays."""
    import torch
    from torch.nn import functional as F

    case = grid.CASES[name]
    values, target = grid.inputs(case, seed)
    inputs = [torch.from_numpy(v) for v in values]
    f = compiled(grid.function(F, case, None if target is None else torch.from_numpy(target)))
    wanted = inputs[case.first :]
    for t in wanted:
        t.requires_grad_(backward)
    with torch.set_grad_enabled(backward):  # as it will run, so that nothing is compiled twice
        shape = tuple(f(*inputs).shape)
    dy = torch.from_numpy(grid.gradient(shape, seed)) if shape else None

    def forward() -> list[Any]:
        with torch.no_grad():
            return [f(*inputs)]

    def both() -> list[Any]:
        y = f(*inputs)
        return [y, *torch.autograd.grad(y, wanted, dy)]

    return both if backward else forward, lambda found: [t.detach().numpy() for t in found]


def build_adam(model: str, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): one AdamW step over a network's parameters, whose gradients stay."""
    import torch

    params = [torch.from_numpy(v).requires_grad_() for v in start.parameters(model, seed)]
    for p, g in zip(params, grid.gradients_of(params, seed), strict=True):
        p.grad = torch.from_numpy(g)
    adamw = optimizer(params)
    return adamw.step, lambda _: [p.detach().numpy() for p in params]


def build_loader(
    source: str, batch: int, seed: int, workers: int, whole: bool = False
) -> Callable[[], Any]:
    """A function that returns the next training batch (x, target) of digits, epoch after epoch."""
    from . import digits, pytorch_data

    return digits.endless(pytorch_data.loader(source, batch, seed, workers, whole))
