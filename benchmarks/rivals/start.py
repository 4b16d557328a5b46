"""What every rival starts from: the plan of the network, the weights, the batch, the optimiser.

Plain NumPy, so that no rival's process has to load another's library. The plan of the lesson's
three networks repeats `models.py` in a form that any library can follow, `large.py` lists the
larger ones; tests/test_benchmarks.py holds plans and modules together.

One step: forward in training mode (batch statistics, running statistics moved), cross entropy,
backward, AdamW.
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import numpy as np

from . import large

CHANNELS = (1, 8, 16, 32, 16, 10)
SMALL = ("basic", "refactored", "resnet")  # the lesson's, on 28×28 pixels
LARGE = ("resnet34", "unet")
MODELS = SMALL + LARGE  # what every benchmark of networks has
CAMVID_UNET = "camvid_unet"  # fast.ai's, which only the training step's has
GRU = "gru"  # the lesson's model 5 for human numbers, likewise
WORDS, WIDTH, LAYERS = 38, 64, 2  # its vocabulary, and the sizes of its vectors and of its GRU
LR, BETAS, EPS, WEIGHT_DECAY = 3e-4, (0.9, 0.99), 1e-8, 1e-2
NORM_EPS, NORM_MOMENTUM = 1e-5, 0.1


class Spec(NamedTuple):
    """What a network is given, and what is asked of it."""

    channels: int
    pixels: int  # of a side
    classes: int
    batch: int  # pictures (or sequences) a step, unless the command line says otherwise
    per_pixel: bool = False  # a class for every pixel, not one a picture
    wide: int = 0  # pixels of a row, where the picture is not square
    steps: int = 0  # words of a sequence, where there are no pictures


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


SPECS = {
    **dict.fromkeys(SMALL, Spec(1, 28, 10, 128)),
    "resnet34": Spec(3, 128, large.RESNET34_CLASSES, 8),
    "unet": Spec(3, 64, large.UNET_CLASSES, 8, per_pixel=True),
    CAMVID_UNET: Spec(3, 96, large.CAMVID_CLASSES, 8, per_pixel=True, wide=128),
    GRU: Spec(0, 0, WORDS, 64, steps=20),
}


def spec(model: str) -> Spec:
    """The sizes of one network's input and output. ValueError for a name that is not known."""
    family = large.residual_of(model)
    if family:
        return Spec(3, family.pixels, large.RESIDUAL_CLASSES, 32)
    if model not in SPECS:
        raise ValueError(f"there is no network {model!r}; there are {', '.join(SPECS)}")
    return SPECS[model]


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
    """Initial weights of the lesson's networks: Kaiming normal; γ near 1 and the rest near 0.

    So no two are alike, and a rival that mixes them up is found out.
    """
    rng = np.random.default_rng(seed)
    made = []
    for unit in plan(model):
        shape = (unit.nf, unit.ni, 3, 3)
        conv = rng.standard_normal(shape) * np.sqrt(2 / (9 * unit.ni))
        bias = _near(0, unit.nf, rng) if unit.bias else None
        gamma, beta = _near(1, unit.nf, rng), _near(0, unit.nf, rng)
        made.append(Weights(conv.astype(np.float32), bias, gamma, beta))
    return made


def _near(value: float, n: int, rng: np.random.Generator) -> np.ndarray:
    return (value + 0.1 * rng.standard_normal(n)).astype(np.float32)


def parameters(model: str, seed: int) -> list[np.ndarray]:
    """A network's initial weights in one list, in the order in which its modules list them."""
    if model in SMALL:
        return [array for unit in weights(model, seed) for array in unit if array is not None]
    rng = np.random.default_rng(seed)
    if model == GRU:
        return _gru_parameters(rng)
    made = []
    for layer in large.layers(model):
        for i, shape in enumerate(layer.shapes()):
            if len(shape) == 1:  # γ is the first of a norm's two; everything else is a shift
                made.append(_near(layer.kind == "norm" and i == 0, layer.nf, rng))
            else:
                scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
                made.append(rng.standard_normal(shape, dtype=np.float32) * scale)
    return made


def _gru_parameters(rng: np.random.Generator) -> list[np.ndarray]:
    """Embedding, GRU, batch norm, linear."""
    made = [rng.standard_normal((WORDS, WIDTH), dtype=np.float32)]
    for _ in range(LAYERS):
        for shape in [(3 * WIDTH, WIDTH)] * 2 + [(3 * WIDTH,)] * 2:
            made.append(rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(WIDTH**0.5))
    made += [_near(1, WIDTH, rng), _near(0, WIDTH, rng)]
    scale = np.float32(WIDTH**-0.5)
    return [
        *made,
        rng.standard_normal((WORDS, WIDTH), dtype=np.float32) * scale,
        _near(0, WORDS, rng),
    ]


def running(model: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Running means near 0 and variances near 1 of every batch norm, for evaluation."""
    rng = np.random.default_rng(seed + 2)
    if model in SMALL:
        widths = [unit.nf for unit in plan(model)]
    else:
        widths = [layer.nf for layer in large.layers(model) if layer.kind == "norm"]
    return [(_near(0, n, rng), np.abs(_near(1, n, rng))) for n in widths]


def batch_of(model: str, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, C, H, W), standard normal as after normalising, and their classes.

    Of the network for words: the numbers of words (N, T), and those of the next ones, (N·T,).
    """
    rng = np.random.default_rng(seed + 1)
    s = spec(model)
    if s.steps:
        words = rng.integers(0, s.classes, (batch, s.steps + 1))
        return words[:, :-1].copy(), words[:, 1:].reshape(-1)
    size = s.pixels, s.wide or s.pixels
    x = rng.standard_normal((batch, s.channels, *size), dtype=np.float32)
    return x, rng.integers(0, s.classes, (batch, *x.shape[2:]) if s.per_pixel else batch)


def missing(*packages: str) -> str | None:
    """The reason why a rival cannot run: the first package that is not installed, or None."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return None
