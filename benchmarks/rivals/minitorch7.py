"""minitorch7 on NumPy: networks and operations as a reader of the lesson would write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import digits, grid, networks, start


def available() -> str | None:
    """None, or the reason why minitorch7 cannot run here."""
    return start.missing("minitorch7")


def set_threads(n: int) -> None:
    """`n` threads, by minitorch7's own switch."""
    import minitorch7 as mt

    mt.set_num_threads(n)


def make(model: str, seed: int) -> Any:
    """The network with its initial weights."""
    import minitorch7 as mt

    net = camvid_unet() if model == start.CAMVID_UNET else _net(model)
    networks.fill(net, mt.tensor, model, seed)
    return net


def _net(model: str) -> Any:
    from models import RECIPES

    from minitorch7 import functional as F
    from minitorch7 import nn

    return RECIPES[model].make() if model in RECIPES else networks.make(model, nn, F.cat)


def camvid_unet() -> Any:
    """The package's own U-Net around a ResNet-18: 31.0 million parameters."""
    from minitorch7.vision import DynamicUnet, create_body, resnet18

    s = start.spec(start.CAMVID_UNET)
    encoder = create_body(resnet18, pretrained=False)
    return DynamicUnet(encoder, s.classes, (s.pixels, s.wide), bottle=True, norm_type=None)


def optimizer(parameters: Any) -> Any:
    """AdamW with everybody's settings."""
    from minitorch7 import optim

    options = dict(lr=start.LR, betas=start.BETAS, eps=start.EPS, weight_decay=start.WEIGHT_DECAY)
    return optim.AdamW(parameters, **options)


def trainer(model: str, seed: int) -> Callable[[Any, Any], Any]:
    """A function of a batch that performs one training step and returns the loss."""
    from minitorch7 import functional as F

    net = make(model, seed)
    adamw = optimizer(net.parameters())

    def train(x: Any, target: Any) -> Any:
        adamw.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        adamw.step()
        return loss.detach()

    return train


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss."""
    import minitorch7 as mt

    x, target = (mt.tensor(array) for array in start.batch_of(model, batch, seed))
    train = trainer(model, seed)
    return lambda: train(x, target)


def build_inference(model: str, batch: int, seed: int) -> Callable[[], np.ndarray]:
    """A function that computes the scores of one batch in evaluation mode."""
    import minitorch7 as mt
    from minitorch7 import nn

    net = make(model, seed).eval()
    networks.fill_running(net, nn, mt.tensor, model, seed)
    x = mt.tensor(start.batch_of(model, batch, seed)[0])

    def forward() -> np.ndarray:
        with mt.no_grad():
            return net(x).numpy()

    return forward


def build_segmenter(seed: int) -> tuple[Callable, Callable, Any]:
    """(step, classes, AdamW) of fast.ai's U-Net with weights as it starts from.

    step(x, y)  one step of training on a batch of our loader; its loss
    classes(x)  the likeliest class of each pixel as a NumPy array (N, H, W)
    """
    import minitorch7 as mt
    from minitorch7 import functional as F

    mt.manual_seed(seed)
    net = camvid_unet()
    adamw = optimizer(net.parameters())

    def step(x: Any, y: Any) -> float:
        adamw.zero_grad()
        loss = F.cross_entropy(net.train()(x), y.squeeze(1))
        loss.backward()
        adamw.step()
        return float(loss)

    def classes(x: Any) -> np.ndarray:
        with mt.no_grad():
            return net.eval()(x).numpy().argmax(1)

    return step, classes, adamw


def build_operation(name: str, backward: bool, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): the operation once, and its results as NumPy arrays."""
    import minitorch7 as mt
    from minitorch7 import functional as F

    case = grid.CASES[name]
    values, target = grid.inputs(case, seed)
    inputs = [mt.tensor(v) for v in values]
    if not case.first:
        inputs[0] = _as_layers_leave(inputs[0])
    f = grid.function(F, case, None if target is None else mt.tensor(target))
    wanted = inputs[case.first :]
    with mt.no_grad():
        y = f(*inputs)
    dy = mt.tensor(grid.gradient(y.shape, seed)) if y.ndim else None
    if y.ndim == 4:
        dy = _as_layers_leave(dy)

    def forward() -> list[Any]:
        with mt.no_grad():
            return [f(*inputs)]

    def both() -> list[Any]:
        y = f(*inputs)
        return [y, *mt.grad(y, wanted, dy)]

    for t in wanted:
        t.requires_grad = backward
    return both if backward else forward, lambda found: [t.detach().numpy() for t in found]


def _as_layers_leave(x: Any) -> Any:
    """The same numbers, in the memory order that a convolution, or a flatten after it, leaves.

    minitorch7 keeps pictures batch-last in memory inside a network, and an operation there never
    meets anything else. A convolution with the identity is how to ask for that from outside.
    """
    import minitorch7 as mt
    from minitorch7 import functional as F

    channels = x.shape[1]
    identity = np.eye(channels, dtype=np.float32).reshape(channels, channels, 1, 1)
    with mt.no_grad():
        if x.ndim == 4:
            return F.conv2d(x, mt.tensor(identity))
        return F.conv2d(x.reshape(*x.shape, 1, 1), mt.tensor(identity)).flatten(1)


def build_adam(model: str, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): one AdamW step over a network's parameters, whose gradients stay."""
    import minitorch7 as mt

    params = [mt.tensor(v, requires_grad=True) for v in start.parameters(model, seed)]
    for p, g in zip(params, grid.gradients_of(params, seed), strict=True):
        p.grad = mt.tensor(g)
    adamw = optimizer(params)
    return adamw.step, lambda _: [p.detach().numpy() for p in params]


def build_loader(source: str, batch: int, seed: int, prefetch: int) -> Callable[[], Any]:
    """A function that returns the next training batch (x, target) of digits, epoch after epoch."""
    from minitorch7.data import rand_pad

    sets = digits.labelled(source).transform((rand_pad(3, 28, mode="zeros"), []))
    bunch = sets.databunch(bs=batch, seed=seed, prefetch=prefetch).normalize()
    return digits.endless(bunch.train_dl)
