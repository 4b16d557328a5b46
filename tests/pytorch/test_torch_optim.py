"""Optimisers against PyTorch's: trajectories, groups, changing options, restarts, clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import optim

from .comparing import torch
from .running import TOLERANCE, check_close

RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD default": ("SGD", {}),
    "SGD momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "SGD dampening": ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    "SGD nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "SGD decay": ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    "SGD all": ("SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1, "nesterov": True}),
    "Adam": ("Adam", {"lr": 0.02}),
    "Adam default": ("Adam", {}),
    "Adam betas": ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}),
    "Adam decay": ("Adam", {"lr": 0.02, "weight_decay": 0.1}),
    "AdamW": ("AdamW", {"lr": 0.02}),
    "AdamW default": ("AdamW", {}),
    "AdamW decay": ("AdamW", {"lr": 0.02, "weight_decay": 0.3, "betas": (0.95, 0.99)}),
}
STEPS = 50


class Fit:
    """tanh(X·A + b)·c fitted to numbers: three parameters, in either library."""

    def __init__(self, library: Any, dtype: str) -> None:
        rng = np.random.default_rng(0)
        make = mt.tensor if library is mt else torch.tensor
        x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 2))
        self.x, self.y = make(x.astype(dtype)), make(y.astype(dtype))
        shapes = ((4, 3), (3,), (3, 2))
        self.params = [
            make(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in shapes
        ]
        self.optim = optim if library is mt else torch.optim

    def backward(self) -> None:
        a, b, c = self.params
        error = (self.x @ a + b).tanh() @ c - self.y
        (error * error).mean().backward()

    def values(self) -> list[np.ndarray]:
        return [p.detach().numpy().copy() for p in self.params]


def _schedule(optimizer: Any, step: int) -> None:
    """Learning rate and momentum as in a cycle: another value at every step, for every group."""
    for i, group in enumerate(optimizer.param_groups):
        group["lr"] *= 1 + 0.05 * np.cos(step + i)
        if "betas" in group:
            group["betas"] = (0.9 - 0.05 * np.sin(step / 9), group["betas"][1])
        elif group["momentum"]:
            group["momentum"] = 0.85 + 0.1 * np.sin(step / 9)


def _train(fit: Fit, optimizer: Any, first: int, last: int, change: bool) -> list[np.ndarray]:
    """The parameters after every step."""
    path = []
    for step in range(first, last):
        if change:
            _schedule(optimizer, step)
        optimizer.zero_grad()
        fit.backward()
        optimizer.step()
        path += fit.values()
    return path


def _same_path(got: list[np.ndarray], expected: list[np.ndarray], dtype: str) -> None:
    assert len(got) == len(expected) > 0
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        check_close(a, b, TOLERANCE[dtype], f"parameter {i % 3} after step {i // 3}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("change", [False, True], ids=["constant", "changing"])
@pytest.mark.parametrize("label", RULES)
def test_trajectory(label: str, change: bool, dtype: str) -> None:
    name, options = RULES[label]
    paths = []
    for library in (mt, torch):
        fit = Fit(library, dtype)
        optimizer = getattr(fit.optim, name)(fit.params, **options)
        paths.append(_train(fit, optimizer, 0, STEPS, change))
    _same_path(*paths, dtype)
    moved = [np.abs(a - b).max() for a, b in zip(paths[0][:3], paths[0][-3:], strict=True)]
    assert min(moved) > 1e-3


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_groups(name: str, dtype: str) -> None:
    """Each group its own options; a third group added on the way; a parameter without gradient."""
    paths = []
    for library in (mt, torch):
        fit = Fit(library, dtype)
        a, b, c = fit.params
        groups = [{"params": [a], "lr": 0.05}, {"params": b, "weight_decay": 0.2}]
        optimizer = getattr(fit.optim, name)(groups, lr=0.01, weight_decay=0.1)
        path = _train(fit, optimizer, 0, 10, True)
        optimizer.add_param_group({"params": [c], "lr": 0.03})
        path += _train(fit, optimizer, 10, 20, True)
        b.requires_grad_(False)
        path += _train(fit, optimizer, 20, 30, True)
        paths.append(path)
    _same_path(*paths, dtype)


@pytest.mark.parametrize("label", ["SGD all", "Adam decay", "AdamW decay"])
def test_state_dict_in_mid_run(label: str) -> None:
    """Half a run, the state carried over to new objects, the other half: PyTorch's whole run."""
    name, options = RULES[label]
    theirs = Fit(torch, "float64")
    optimizer = getattr(torch.optim, name)(theirs.params, **options)
    expected = _train(theirs, optimizer, 0, STEPS, True)
    middle = STEPS // 2

    first = Fit(mt, "float64")
    before = getattr(optim, name)(first.params, **options)
    got = _train(first, before, 0, middle, True)
    second = Fit(mt, "float64")
    for p, q in zip(second.params, first.params, strict=True):
        p.copy_(q.detach())
    after = getattr(optim, name)(second.params)
    after.load_state_dict(before.state_dict())
    _train(first, before, middle, middle + 3, True)  # must not move what was carried over
    got += _train(second, after, middle, STEPS, True)
    _same_path(got, expected, "float64")

    mine, other = after.state_dict(), optimizer.state_dict()
    assert set(mine) == set(other) and list(mine["state"]) == list(other["state"])
    for number, kept in other["state"].items():
        for key, value in kept.items():
            close = np.asarray(getattr(mine["state"][number][key], "data", None))
            if key == "step":
                assert mine["state"][number][key] == int(value)
            else:
                check_close(close, value.numpy(), 1e-10, key)
    for ours, group in zip(mine["param_groups"], other["param_groups"], strict=True):
        assert ours["params"] == group["params"]
        for key, value in ours.items():
            assert value == pytest.approx(group[key]) or value == group[key], key


def _with_gradients(dtype: str, scale: float) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for shape in ((3, 4), (), (5,), (2,)):
        p, g = np.ones(shape, dtype), np.asarray(rng.standard_normal(shape) * scale, dtype)
        ours.append(mt.tensor(p, requires_grad=True))
        theirs.append(torch.tensor(p, requires_grad=True))
        if shape != (2,):  # the last has no gradient
            ours[-1].grad, theirs[-1].grad = mt.tensor(g), torch.tensor(g)
    return ours, theirs


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1.0, 0.01, 100.0, 0.0])
@pytest.mark.parametrize("most", [1.0, 0.1, 7])
@pytest.mark.parametrize("name", ["clip_grad_norm_", "clip_grad_value_"])
def test_clipping(name: str, most: float, scale: float, dtype: str) -> None:
    ours, theirs = _with_gradients(dtype, scale)
    norm = getattr(optim, name)(ours, most)
    expected = getattr(torch.nn.utils, name)(theirs, most)
    if expected is not None:
        check_close(norm.numpy(), expected.numpy(), TOLERANCE[dtype], "norm")
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            check_close(p.grad.numpy(), q.grad.numpy(), TOLERANCE[dtype], "gradient")
