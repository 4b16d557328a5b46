"""Mixed precision beside PyTorch's: torch.autocast on the processor, and its GradScaler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim

from .comparing import Theirs, torch

U, TINY = 2.0**-11, 2.0**-25  # rounding to float16: at most U·|y| + TINY


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "matmul": (lambda f, a, b: f.matmul(a, b), [(5, 40), (40, 7)]),
    "bmm": (lambda f, a, b: f.bmm(a, b), [(2, 5, 30), (2, 30, 7)]),
    "linear": (lambda f, x, w, b: f.linear(x, w, b), [(6, 30), (5, 30), (5,)]),
    "conv1d": (lambda f, x, w, b: f.conv1d(x, w, b), [(2, 3, 20), (4, 3, 3), (4,)]),
    "conv2d": (
        lambda f, x, w, b: f.conv2d(x, w, b, stride=2, padding=1),
        [(2, 3, 9, 9), (4, 3, 3, 3), (4,)],
    ),
    "conv_transpose2d": (
        lambda f, x, w, b: f.conv_transpose2d(x, w, b, stride=2),
        [(2, 4, 5, 5), (4, 3, 3, 3), (3,)],
    ),
}


def _run(make: Any, f: Any, block: Any, case: str) -> list[np.ndarray]:
    """Output and gradients of one library, with their dtypes."""
    function, shapes = CASES[case]
    tensors = [make(numbers(*s, seed=i), requires_grad=True) for i, s in enumerate(shapes)]
    with block:
        y = function(f, *tensors)
    y.backward(make(numbers(*y.shape, seed=9).astype(np.float16)))
    found = [y, *[t.grad for t in tensors]]
    return [t.detach().numpy() for t in found]


@pytest.mark.parametrize("case", CASES)
def test_products(case: str) -> None:
    """Either library rounds its float32 sum once, and with a bias once more.

    The gradients of conv's input and weight may be sums of a few parts that oneDNN rounds.
    """
    ours = _run(mt.tensor, F, mt.autocast(), case)
    block = torch.autocast("cpu", dtype=torch.float16)
    theirs = _run(torch.tensor, Theirs.F, block, case)
    for got, expected in zip(ours, theirs, strict=True):
        assert got.dtype == expected.dtype
        got, expected = got.astype(np.float64), expected.astype(np.float64)
        largest = np.abs(expected).max()
        assert np.all(np.abs(got - expected) <= 2 * U * (np.abs(expected) + largest) + TINY)


@pytest.mark.parametrize("function", ["mse_loss", "l1_loss", "smooth_l1_loss"])
def test_losses_are_float32(function: str) -> None:
    a, b = numbers(5, 4).astype(np.float16), numbers(5, 4, seed=1).astype(np.float16)
    with mt.autocast():
        ours = getattr(F, function)(mt.tensor(a), mt.tensor(b))
    with torch.autocast("cpu", dtype=torch.float16):
        theirs = getattr(torch.nn.functional, function)(torch.tensor(a), torch.tensor(b))
    assert ours.dtype == np.float32 and theirs.dtype == torch.float32
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_a_step_of_a_net() -> None:
    """Gradients of a convolution, a batch norm and a linear layer, through one loss."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                        nn.Linear(8 * 36, 5))  # fmt: skip
    T = torch.nn
    other = T.Sequential(T.Conv2d(3, 8, 3), T.BatchNorm2d(8), T.ReLU(), T.Flatten(),
                         T.Linear(8 * 36, 5))  # fmt: skip
    other.load_state_dict(
        {k: torch.tensor(v.detach().numpy()) for k, v in net.state_dict().items()}
    )
    x, y = numbers(16, 3, 8, 8), np.arange(16) % 5
    with mt.autocast():
        ours = F.cross_entropy(net(mt.tensor(x)), mt.tensor(y))
    with torch.autocast("cpu", dtype=torch.float16):
        theirs = T.functional.cross_entropy(other(torch.tensor(x)), torch.tensor(y))
    ours.backward()
    theirs.backward()
    assert float(ours) == pytest.approx(theirs.item(), rel=4 * U)
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        if name == "0.bias":  # batch norm takes it out: the gradient is rounding only
            continue
        got, expected = p.grad.numpy(), q.grad.numpy()
        assert got.dtype == expected.dtype == np.float32
        # each of the net's five stages rounds what it hands back
        assert np.linalg.norm(got - expected) <= 2 * 5 * U * np.linalg.norm(expected), name


def _gradients(net: Any, loss: Callable[[], Any], block: Any) -> np.ndarray:
    """All gradients of a net end to end, by a loss scaled as float16 needs it."""
    with block:
        value = loss()
    (value * 2.0**16).backward()
    found = [p.grad.numpy().ravel().copy() for p in net.parameters()]
    net.zero_grad()
    return np.concatenate(found)


def test_the_lesson_s_net_is_as_exact_as_pytorch_s() -> None:
    """Seven layers deep float16 is off by some percent, for PyTorch too: a rounding that takes a
    number across 0 turns a ReLU on or off."""
    T = torch.nn

    class Residual(T.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.layers = T.Sequential(conv_layer(n, n, 1), conv_layer(n, n, 1))

        def forward(self, x: Any) -> Any:
            return x + self.layers(x)

    def conv_layer(ni: int, nf: int, stride: int = 2) -> Any:
        conv = T.Conv2d(ni, nf, 3, stride, 1, bias=False)
        return T.Sequential(conv, T.ReLU(), T.BatchNorm2d(nf))

    widths = ((1, 8), (8, 16), (16, 32))
    ours, theirs = (
        lib.Sequential(*[lib.Sequential(conv(i, o, stride=2), block(o)) for i, o in widths],
                       conv(32, 10, stride=2), lib.AdaptiveAvgPool2d(1), lib.Flatten())
        for lib, conv, block in ((nn, nn.conv_layer, nn.res_block), (T, conv_layer, Residual))
    )  # fmt: skip
    for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
        p.data = torch.tensor(q.detach().numpy())
    x, y = numbers(40, 1, 28, 28), np.arange(40) % 10
    errors = []
    for net, lib, make, block in (
        (ours, F, mt.tensor, lambda e: mt.autocast(enabled=e)),
        (theirs, T.functional, torch.tensor, lambda e: torch.autocast("cpu", torch.float16, e)),
    ):
        xx, yy = make(x), make(y)

        def loss(net: Any = net, lib: Any = lib, xx: Any = xx, yy: Any = yy) -> Any:
            return lib.cross_entropy(net(xx), yy)

        full, mixed = (_gradients(net, loss, block(e)) for e in (False, True))
        errors.append(np.linalg.norm(full - mixed) / np.linalg.norm(full))
    assert errors[0] <= 1.5 * errors[1] < 0.3


def test_the_scale_s_course() -> None:
    """The same infinities lead to the same scales and, with SGD, to the same weights."""
    start, bad = numbers(4), {0, 1, 6, 11}
    options = dict(init_scale=512.0, growth_factor=4.0, backoff_factor=0.25, growth_interval=3)
    mine, theirs = nn.Parameter(mt.tensor(start)), torch.nn.Parameter(torch.tensor(start))
    scalers = [optim.GradScaler(**options), torch.amp.GradScaler("cpu", **options)]
    opts = [m.SGD([p], lr=0.1, momentum=0.9) for m, p in ((optim, mine), (torch.optim, theirs))]
    for step in range(20):
        for scaler, opt, p in zip(scalers, opts, (mine, theirs), strict=True):
            opt.zero_grad()
            scaler.scale((p * p).sum()).backward()
            if step in bad:
                p.grad.data[1] = float("inf")
            scaler.step(opt)
            scaler.update()
        assert scalers[0].get_scale() == scalers[1].get_scale()
    assert scalers[0].state_dict() == scalers[1].state_dict()
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-5)
