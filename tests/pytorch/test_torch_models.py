"""Whole models against PyTorch: the lesson's MNIST nets, and gradients of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim

from . import models
from .cases import case, ids
from .comparing import compare, torch
from .running import check_close, cotangent

tF = torch.nn.functional


def _digits(step: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """A batch of pictures and labels."""
    rng = np.random.default_rng(step)
    pictures = rng.standard_normal((32, 1, 28, 28)).astype("float32")  # exact in float64 too
    return pictures.astype(dtype), rng.integers(0, 10, 32)


def _train(model: Any, dtype: str, library: Any, eps: float, steps: int) -> dict[str, np.ndarray]:
    """Logits, loss, gradients, weights and statistics of AdamW steps, then an evaluation.

    Adam's step is m/(√v + eps): a gradient that is rounding alone (a bias in front of a batch norm
    has gradient 0) becomes a step of lr·rounding/eps. So eps is kept well above rounding.
    """
    ours = library is mt
    make, functions, rules = (mt.tensor, F, optim) if ours else (torch.tensor, tF, torch.optim)
    optimizer = rules.AdamW(model.parameters(), lr=3e-3, eps=eps)
    found = {}
    for step in range(steps):
        x, t = _digits(step, dtype)
        y = model(make(x))
        loss = functions.cross_entropy(y, make(t))
        optimizer.zero_grad()
        loss.backward()
        found |= {f"logits {step}": y, f"loss {step}": loss}
        found |= {f"{k}'s gradient {step}": p.grad for k, p in model.named_parameters()}
        optimizer.step()
        found |= {
            f"{k} after step {step}": make(t.detach().numpy().copy())
            for k, t in model.state_dict().items()
        }
    found["evaluation"] = model.eval()(make(_digits(9, dtype)[0]))
    return {k: t.detach().numpy() for k, t in found.items()}


@pytest.mark.parametrize("name", models.MNIST)
def test_mnist_net_in_float64(name: str) -> None:
    """Five steps, everything within 1e-10; and the lesson's numbers of parameters."""
    make, count = models.MNIST[name]
    ours, theirs = make(nn), make(torch.nn)
    models.like(ours, theirs, "float64")
    assert sum(p.numel() for p in ours.parameters()) == count
    assert sum(p.numel() for p in theirs.parameters()) == count
    got = _train(ours, "float64", mt, 1e-5, 5)
    for what, value in _train(theirs, "float64", torch, 1e-5, 5).items():
        check_close(got[what], value, 1e-10, what)


@pytest.mark.parametrize("name", models.MNIST)
def test_mnist_net_in_float32(name: str) -> None:
    """One step, every array within 1e-5, as a root mean square rather than element by element.

    Not five: after a step the weights differ by rounding, which sooner or later tips a ReLU that
    stands at 0, and from there on the gradients differ by more. In float64 that does not happen.

    PyTorch's own float32 logits of the deepest net are up to 2e-5 from its float64 ones: single
    elements of two correct programs need not agree to 1e-5.
    """
    make, _ = models.MNIST[name]
    ours, theirs = make(nn), make(torch.nn)
    models.like(ours, theirs, "float32")
    got = _train(ours, "float32", mt, 1e-2, 1)
    for what, value in _train(theirs, "float32", torch, 1e-2, 1).items():
        assert (got[what].dtype, got[what].shape) == (value.dtype, value.shape)
        assert _rms(got[what] - value) <= 1e-5 * (1 + _rms(value)), what


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


# -------------------------------------------------------------------- gradients of gradients

NETS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "dense": (
        lambda n: n.Sequential(n.Linear(5, 7), n.Tanh(), n.Linear(7, 4), n.Softplus()),
        (3, 5),
    ),
    "convolutions": (
        lambda n: n.Sequential(
            n.Conv2d(2, 4, 3, padding=1), n.BatchNorm2d(4), n.GELU(), n.AvgPool2d(2), n.Flatten()
        ),
        (3, 2, 6, 6),
    ),
    "critic": (
        lambda n: n.Sequential(
            n.Conv2d(2, 4, 4, 2, 1), n.LeakyReLU(0.2), n.Conv2d(4, 1, 4), n.Flatten()
        ),
        (3, 2, 8, 8),
    ),
    "generator": (
        lambda n: n.Sequential(
            n.ConvTranspose2d(3, 4, 4),
            n.BatchNorm2d(4),
            n.Tanh(),
            n.ConvTranspose2d(4, 2, 4, 2, 1, bias=False),
            n.Sigmoid(),
        ),
        (2, 3, 1, 1),
    ),
    "norms": (
        lambda n: n.Sequential(
            n.GroupNorm(2, 4), n.Conv2d(4, 4, 3, groups=2), n.InstanceNorm2d(4), n.LayerNorm(4)
        ),
        (2, 4, 6, 6),
    ),
    "pools": (
        lambda n: n.Sequential(
            n.Conv2d(2, 4, 3), n.ELU(), n.MaxPool2d(2), n.PixelShuffle(2), n.Upsample(5)
        ),
        (2, 2, 8, 8),
    ),
}


def _penalised(net: Any, x: Any, g: Any, grad: Callable[..., Any], functions: Any) -> Any:
    """‖d(net)/dx‖ driven to 1, as a WGAN's critic is, plus the squared gradients of all weights."""
    y = net(x)
    params = list(net.parameters())
    grads = grad([y], [x, *params], [g], create_graph=True, allow_unused=True)
    size = functions.sqrt((grads[0] * grads[0]).sum() + 1e-6)
    penalty = (size - 1) * (size - 1) * 10.0
    for slope in grads[1:]:
        penalty = penalty + (slope * slope).sum() * 0.1
    penalty.backward()
    return penalty


@pytest.mark.parametrize("label", NETS)
def test_gradient_penalty(label: str) -> None:
    make, shape = NETS[label]
    ours, theirs = make(nn), make(torch.nn)
    models.like(ours, theirs, "float64")
    x = cotangent(0, shape, "float64")
    a, b = mt.tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    g = cotangent(1, theirs(b).shape, "float64")
    got = _penalised(ours, a, mt.tensor(g), mt.grad, F)
    expected = _penalised(theirs, b, torch.tensor(g), torch.autograd.grad, torch)
    check_close(got.detach().numpy(), expected.detach().numpy(), 1e-10, "penalty")
    check_close(a.grad.numpy(), b.grad.numpy(), 1e-10, "input")
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if q.grad is None:
            assert p.grad is None or not p.grad.numpy().any(), name
        else:
            check_close(p.grad.numpy(), q.grad.numpy(), 1e-10, name)


COMPOSITES = [
    case(
        "attention",
        lambda F, x, q, k, v: F.softmax((x @ q) @ (x @ k).mT * 0.5, -1) @ (x @ v),
        (2, 4, 3),
        (3, 5),
        (3, 5),
        (3, 2),
    ),
    case(
        "recurrent",
        lambda F, x, w, u: sum(
            F.tanh(F.tanh(x[:, i] @ w) @ u) * F.sigmoid(x[:, i] @ w) for i in range(4)
        ),
        (2, 4, 3),
        (3, 5),
        (5, 5),
    ),
    case(
        "classes",
        lambda F, x, w, t: F.cross_entropy(F.relu(x) @ w, t, label_smoothing=0.1),
        (6, 4),
        (4, 3),
        ids(3, 6),
    ),
    case(
        "unet",
        lambda F, x, w, v: (
            F.cat(
                [F.interpolate(F.conv2d(x, w, stride=2, padding=1), scale_factor=2), x * x], 1
            ).mean((2, 3))
            @ v
        ),
        (2, 2, 6, 6),
        (3, 2, 3, 3),
        (5, 2),
    ),
    case(
        "batch norm in a chain",
        lambda F, x, w, g, b: (
            F.batch_norm(F.conv_transpose2d(x, w, None, 2, 1, 1), None, None, g, b, True).tanh() * 2
        ),
        (2, 3, 3, 4),
        (3, 2, 3, 3),
        (2,),
        (2,),
    ),
    case(
        "used twice",
        lambda F, x: [x * F.exp(x), (x * x).sum(0, True) / F.sqrt(x * x + 1), F.logsumexp(x, 1)],
        (4, 3),
    ),
]


@pytest.mark.parametrize("composite", COMPOSITES, ids=lambda c: c.name)
@pytest.mark.parametrize(("dtype", "order"), [("float64", 2), ("float32", 1)])
def test_composite(composite: Any, dtype: str, order: int) -> None:
    compare(composite, dtype, order)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "batch_norm"])
def test_double_backward(name: str, bias: bool) -> None:
    """The gradients of input, weight and bias, differentiated once more with random cotangents."""
    runs = {
        "conv2d": lambda F, x, w, b=None: F.conv2d(x, w, b, (2, 1), (1, 2), (1, 2), 2),
        "conv_transpose2d": lambda F, x, w, b=None: F.conv_transpose2d(x, w, b, 2, 1, 1, 2, 1),
        "batch_norm": lambda F, x, w, b=None: F.batch_norm(x, None, None, w, b, True),
    }
    shapes = {
        "conv2d": [(2, 4, 6, 7), (6, 2, 3, 2), (6,)],
        "conv_transpose2d": [(2, 4, 3, 4), (4, 3, 3, 3), (6,)],
        "batch_norm": [(4, 3, 2, 5), (3,), (3,)],
    }
    compare(case(f"{name} {bias}", runs[name], *shapes[name][: 2 + bias]), "float64", order=2)
