"""Weight norm, spectral norm and what is built on them, beside PyTorch's hooks of those names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn, optim

from .comparing import torch
from .running import TOLERANCE, check_close, cotangent

IMAGE = (2, 4, 5, 6)
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "Linear": (lambda n: n.Linear(5, 3), (4, 5)),
    "Conv1d": (lambda n: n.Conv1d(4, 6, 3, bias=False), (2, 4, 9)),
    "Conv2d": (lambda n: n.Conv2d(4, 6, 3, groups=2), IMAGE),
    "Conv2d 1x1": (lambda n: n.Conv2d(4, 6, 1), IMAGE),
    "ConvTranspose2d": (lambda n: n.ConvTranspose2d(4, 6, 3, 2), IMAGE),
}
WRAPS: dict[str, tuple[str, dict[str, Any]]] = {
    "weight": ("weight_norm", {}),
    "weight, axis 1": ("weight_norm", {"dim": 1}),
    "weight, one length": ("weight_norm", {"dim": None}),
    "spectral": ("spectral_norm", {}),
    "spectral, 3 steps": ("spectral_norm", {"n_power_iterations": 3}),
    "spectral, axis 1": ("spectral_norm", {"dim": 1}),
    "spectral, eps": ("spectral_norm", {"eps": 0.5}),
}


def _theirs(wrap: str, layer: Any, options: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer names exist; these are the ones fastai used
        return getattr(torch.nn.utils, wrap)(layer, **options)


def _pair(label: str, layer: str, dtype: str) -> tuple[nn.Module, Any, tuple[int, ...]]:
    """The same wrapped layer in both libraries, with the same state."""
    make, shape = LAYERS[layer]
    wrap, options = WRAPS[label]
    ours = getattr(nn, wrap)(make(nn), **options).to(dtype)
    theirs = _theirs(wrap, make(torch.nn), options).to(getattr(torch, dtype))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(
        {k: torch.tensor(t.detach().numpy().copy()) for k, t in ours.state_dict().items()}
    )
    return ours, theirs, shape


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("label", WRAPS)
def test_training_steps(label: str, layer: str, dtype: str) -> None:
    """Four steps of SGD and one evaluation: outputs, gradients, parameters, u and v."""
    ours, theirs, shape = _pair(label, layer, dtype)
    tolerance = 10 * TOLERANCE[dtype]
    opt = optim.SGD(list(ours.parameters()), lr=0.05)
    their_opt = torch.optim.SGD(theirs.parameters(), lr=0.05)
    for step, training in enumerate((True, True, True, True, False)):
        ours.train(training)
        theirs.train(training)
        x = cotangent(step, shape, dtype)
        a, b = mt.tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        check_close(y.detach().numpy(), z.detach().numpy(), tolerance, f"output {step}")
        g = cotangent((step, 1), y.shape, dtype)
        opt.zero_grad()
        their_opt.zero_grad()
        y.backward(mt.tensor(g))
        z.backward(torch.tensor(g))
        check_close(a.grad.numpy(), b.grad.numpy(), tolerance, f"input's gradient {step}")
        gradients = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            theirs_grad = gradients[name].grad
            scale = np.float32(max(1, float(theirs_grad.abs().max()))).astype(dtype)
            what = f"{name}'s gradient {step}"
            check_close(p.grad.numpy() / scale, theirs_grad.numpy() / scale, tolerance, what)
        opt.step()
        their_opt.step()
        for name, t in theirs.state_dict().items():
            check_close(ours.state_dict()[name].detach().numpy(), t.numpy(), tolerance, name)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("label", WRAPS)
def test_their_state_loads_here(label: str, layer: str) -> None:
    """And gives what theirs gives; the test above loads ours there."""
    ours, _, shape = _pair(label, layer, "float64")
    make = LAYERS[layer][0]
    wrap, options = WRAPS[label]
    theirs = _theirs(wrap, make(torch.nn).double(), options)
    x = cotangent(0, shape, "float64")
    theirs(torch.tensor(x))
    ours.load_state_dict({k: t.detach().numpy() for k, t in theirs.state_dict().items()})
    y, z = ours.eval()(mt.tensor(x)), theirs.eval()(torch.tensor(x))
    check_close(y.detach().numpy(), z.detach().numpy(), 1e-9, "output")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("label", WRAPS)
def test_removing(label: str, layer: str) -> None:
    ours, theirs, shape = _pair(label, layer, "float64")
    x = cotangent(0, shape, "float64")
    ours(mt.tensor(x))
    theirs(torch.tensor(x))
    remove = f"remove_{WRAPS[label][0]}"
    getattr(nn, remove)(ours)
    getattr(torch.nn.utils, remove)(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    check_close(ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-9, "weight")


@pytest.mark.parametrize("label", ["weight", "spectral"])
def test_gradients_of_gradients(label: str) -> None:
    """The penalty ‖∂y/∂x‖² of a wrapped convolution, differentiated by its parts."""
    ours, theirs, shape = _pair(label, "Conv2d", "float64")
    x = cotangent(0, shape, "float64")
    found = []
    for module, make, grad in (
        (ours, mt.tensor, mt.grad),
        (theirs, torch.tensor, torch.autograd.grad),
    ):
        a = make(x.copy(), requires_grad=True)
        (g,) = grad((module(a) ** 3).sum(), a, create_graph=True)
        (g * g).sum().backward()
        found.append({n: p.grad.numpy() for n, p in module.named_parameters()})
    for name in found[0]:
        scale = np.abs(found[1][name]).max()
        check_close(found[0][name] / scale, found[1][name] / scale, 1e-9, name)


class TheirAttention(torch.nn.Module):
    """The lesson's self-attention in PyTorch's words."""

    def __init__(self, n: int) -> None:
        super().__init__()
        for name, channels in (("query", n // 8), ("key", n // 8), ("value", n)):
            conv = torch.nn.Conv1d(n, channels, 1, bias=False)
            setattr(self, name, _theirs("spectral_norm", conv, {}))
        self.gamma = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Any) -> Any:
        flat = x.flatten(2)
        scores = torch.einsum("nci,ncj->nij", self.query(flat), self.key(flat))
        mixed = torch.einsum("nci,nij->ncj", self.value(flat), scores.softmax(1))
        return (self.gamma * mixed + flat).reshape(x.shape)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_self_attention(dtype: str) -> None:
    ours, theirs = nn.SelfAttention(16).to(dtype), TheirAttention(16).to(getattr(torch, dtype))
    ours.gamma.data[...] = 0.6
    theirs.load_state_dict(
        {k: torch.tensor(t.detach().numpy().copy()) for k, t in ours.state_dict().items()}
    )
    tolerance = 10 * TOLERANCE[dtype]
    for step in range(3):
        x = cotangent(step, (2, 16, 3, 4), dtype)
        a, b = mt.tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        check_close(y.detach().numpy(), z.detach().numpy(), tolerance, f"output {step}")
        g = cotangent((step, 1), y.shape, dtype)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(mt.tensor(g))
        z.backward(torch.tensor(g))
        check_close(a.grad.numpy(), b.grad.numpy(), tolerance, f"input's gradient {step}")
        gradients = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            scale = np.float32(max(1, float(gradients[name].grad.abs().max()))).astype(dtype)
            theirs_grad = gradients[name].grad.numpy()
            check_close(p.grad.numpy() / scale, theirs_grad / scale, tolerance, name)
        for name, t in theirs.state_dict().items():
            check_close(ours.state_dict()[name].detach().numpy(), t.numpy(), tolerance, name)
