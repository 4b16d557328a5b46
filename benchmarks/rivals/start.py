"""What every rival starts from: the plan of the network, the weights, the batch, the optimiser.

Plain NumPy, so that no rival's process has to load another's library. The plan repeats
`models.py` in a form that any library can follow; tests/test_benchmarks.py holds the two together.

One step: forward in training mode (batch statistics, running statistics moved), cross entropy,
backward, AdamW.
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import numpy as np

CHANNELS = (1, 8, 16, 32, 16, 10)
MODELS = ("basic", "refactored", "resnet")
LR, BETAS, EPS, WEIGHT_DECAY = 3e-4, (0.9, 0.99), 1e-8, 1e-2
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1


class Unit(NamedTuple):
    """A 3×3 convolution with padding 1, and what follows it."""

    ni: int
    nf: int
    stride: int
    bias: bool
    then: tuple[str, ...]  # "norm" and "relu", in the order they run
    opens: bool = False  # this unit's input is kept ...
    closes: bool = False  # ... and added to this unit's output


class Weights(NamedTuple):
    """The arrays of one unit, in the order in which the models list their parameters."""

    conv: np.ndarray  # (nf, ni, 3, 3)
    bias: np.ndarray | None  # (nf,)
    gamma: np.ndarray  # (nf,)
    beta: np.ndarray  # (nf,)


def plan(model: str) -> list[Unit]:
    """The units of one of the lesson's three networks; their output (N, 10, 1, 1) is flattened."""
    pairs = list(zip(CHANNELS, CHANNELS[1:], strict=False))
    if model == "basic":
        units = [Unit(ni, nf, 2, True, ("norm", "relu")) for ni, nf in pairs]
        return [*units[:-1], units[-1]._replace(then=("norm",))]
    units = []
    for ni, nf in pairs:
        units.append(Unit(ni, nf, 2, False, ("relu", "norm")))
        if model == "resnet" and nf != CHANNELS[-1]:
            units.append(Unit(nf, nf, 1, False, ("relu", "norm"), opens=True))
            units.append(Unit(nf, nf, 1, False, ("relu", "norm"), closes=True))
    return units


def weights(model: str, seed: int) -> list[Weights]:
    """Initial weights: Kaiming normal; γ near 1 and the rest near 0, so that no two are alike."""
    rng = np.random.default_rng(seed)

    def near(value: float, n: int) -> np.ndarray:
        return (value + 0.1 * rng.standard_normal(n)).astype(np.float32)

    made = []
    for unit in plan(model):
        shape = (unit.nf, unit.ni, 3, 3)
        conv = rng.standard_normal(shape) * np.sqrt(2 / (9 * unit.ni))
        bias = near(0, unit.nf) if unit.bias else None
        made.append(Weights(conv.astype(np.float32), bias, near(1, unit.nf), near(0, unit.nf)))
    return made


def parameters(model: str, seed: int) -> list[np.ndarray]:
    """The same weights in one list, without the biases that are not there."""
    return [array for unit in weights(model, seed) for array in unit if array is not None]


def batch_of(batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 1, 28, 28), standard normal as MNIST is after normalising, and their classes."""
    rng = np.random.default_rng(seed + 1)
    x = rng.standard_normal((batch, 1, 28, 28), dtype=np.float32)
    return x, rng.integers(0, 10, batch)


def missing(*packages: str) -> str | None:
    """The reason why a rival cannot run: the first package that is not installed, or None."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return None
