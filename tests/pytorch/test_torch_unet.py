"""The U-Net beside PyTorch's: outputs, all gradients and statistics, with every option.

A small encoder in float64 meets all options and odd sizes; there, what differs differs by rounding
alone. A ResNet-18 in float32 shows the same for the lesson's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.nn import NormType
from minitorch7.vision.body import create_body
from minitorch7.vision.resnet import BasicBlock, resnet18
from minitorch7.vision.unet import DynamicUnet

from .comparing import torch
from .running import cotangent

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from rivals import pytorch_unet

TOTALS = [  # LESSON 7: what the published table and the lesson's other U-Nets have
    ("resnet34", 12, {"bottle": True}, 41_133_018),
    ("resnet34", 12, {}, 41_222_168),
    ("resnet34", 12, {"norm": "Batch"}, 41_230_122),
    ("resnet34", 3, {}, 41_221_268),
    ("resnet34", 3, {"norm": "Weight"}, 41_229_213),
    ("resnet34", 3, {"norm": "Weight", "self_attention": True}, 41_413_534),
    ("resnet18", 12, {"bottle": True}, 31_024_858),
]
EVERYTHING = {"blur": True, "self_attention": True, "bottle": True, "y_range": (-1.5, 3.0)}
CASES: list[tuple[tuple[int, int], dict[str, Any]]] = [
    ((32, 64), {}),
    ((33, 47), {}),
    ((33, 47), {"bottle": True}),
    ((33, 47), {"blur": True}),
    ((33, 47), {"blur": True, "blur_final": False}),
    ((33, 47), {"self_attention": True}),
    ((33, 47), {"last_cross": False}),
    ((33, 47), {"last_cross": False, "norm": "Batch"}),
    ((33, 47), {"y_range": (-1.5, 3.0)}),
    ((33, 47), {"norm": "Batch"}),
    ((33, 47), {"norm": "Weight"}),
    ((33, 47), {"norm": "Spectral"}),
    ((64, 40), {**EVERYTHING, "norm": "Batch"}),
    ((49, 33), {**EVERYTHING, "norm": "Weight"}),
    ((37, 51), {**EVERYTHING, "norm": "Spectral"}),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    """PyTorch's threads wait for one another in a loop: dear where the tests share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("arch", "classes", "options", "total"), TOTALS)
def test_rival_has_the_known_numbers_of_parameters(
    arch: str, classes: int, options: dict[str, Any], total: int
) -> None:
    model = pytorch_unet.unet(arch, classes, **options)
    assert sum(p.numel() for p in model.parameters()) == total


# ------------------------------------------------------------------------------ a small encoder


def small_encoder(library: Any, block: Any) -> Any:
    """The shape of a ResNet with few channels: a stem, and stages that halve the grid."""
    layers = [library.Conv2d(3, 8, 7, 2, 3, bias=False), library.BatchNorm2d(8), library.ReLU()]
    layers.append(library.MaxPool2d(3, 2, 1))
    for ni, nf in ((8, 8), (8, 16), (16, 32), (32, 64)):
        layers.append(library.Sequential(block(ni, nf, 1 if ni == nf else 2)))
    return library.Sequential(*layers)


def both(
    encoders: tuple[Any, Any], classes: int, options: dict[str, Any], size: tuple[int, int]
) -> tuple[Any, Any]:
    """Our U-Net and PyTorch's with the same weights, of which none is left as it starts."""
    theirs = pytorch_unet.Unet(encoders[1], classes, **options)
    options = dict(options)
    norm = options.pop("norm", None)
    kind = None if norm is None else NormType[norm]
    ours = DynamicUnet(encoders[0], classes, img_size=size, norm_type=kind, **options)
    rng = np.random.default_rng(0)
    for p in ours.parameters():
        if p.ndim < 2:  # scales of 1, shifts of 0 and a silent attention would hide a mistake
            p.data = p.data + 0.2 * rng.standard_normal(p.shape).astype(p.data.dtype)
    return ours, theirs


def same_weights(ours: Any, theirs: Any) -> None:
    """Hand ours over, buffers too."""
    pytorch_unet.copy_weights(theirs, ours, lambda t: torch.from_numpy(t.detach().numpy()))


def one_pass(model: Any, library: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Scores, the gradients of all parameters and of the picture, and the buffers afterwards.

    Then the scores in evaluation, with what the pass in training left in the buffers.
    """
    make = mt.tensor if library is mt else torch.tensor
    picture = make(x, requires_grad=True)
    scores = model.train()(picture)
    scores.backward(make(cotangent(1, tuple(scores.shape), x.dtype)))
    found = {"scores": scores, "picture's gradient": picture.grad}
    parameters = enumerate(model.parameters())
    found |= {f"gradient {i} {tuple(p.shape)}": p.grad for i, p in parameters}
    found |= {f"buffer {i}": t for i, t in enumerate(model.buffers())}
    with library.no_grad():
        found["evaluation"] = model.eval()(make(x))
    return {name: np.array(t.detach().numpy()) for name, t in found.items()}


def check_alike(got: dict[str, np.ndarray], expected: dict[str, np.ndarray], most: float) -> None:
    """No element is off by more than `most` of the largest of its array, or of 1."""
    assert list(got) == list(expected)
    for name, value in expected.items():
        assert got[name].shape == value.shape, name
        off = np.abs(got[name].astype("float64") - value.astype("float64")).max()
        assert off <= most * max(1.0, np.abs(value).max()), f"{name}: off by {off}"


@pytest.mark.parametrize(("size", "options"), CASES, ids=str)
def test_every_option(size: tuple[int, int], options: dict[str, Any]) -> None:
    """Within 1e-9 in float64; evaluation before the pass too, with the buffers as they start."""
    encoders = small_encoder(nn, BasicBlock), small_encoder(torch.nn, pytorch_unet.BasicBlock)
    ours, theirs = both(encoders, 5, options, size)
    ours.double()
    theirs.double()
    same_weights(ours, theirs)
    x = np.random.default_rng(2).standard_normal((3, 3, *size))
    with torch.no_grad(), mt.no_grad():
        first = ours.eval()(mt.tensor(x)).numpy(), theirs.eval()(torch.from_numpy(x)).numpy()
    assert first[0].shape == (3, 5, *size)
    check_alike({"evaluation": first[0]}, {"evaluation": first[1]}, 1e-9)
    check_alike(one_pass(ours, mt, x), one_pass(theirs, torch, x), 1e-9)


def test_two_passes_move_spectral_norm_alike() -> None:
    """u and v go on from where the pass before left them, and not in evaluation."""
    encoders = small_encoder(nn, BasicBlock), small_encoder(torch.nn, pytorch_unet.BasicBlock)
    ours, theirs = both(encoders, 2, {"norm": "Spectral", "self_attention": True}, (32, 32))
    ours.double()
    theirs.double()
    same_weights(ours, theirs)
    x = np.random.default_rng(3).standard_normal((2, 3, 32, 32))
    start = {name: t.numpy().copy() for name, t in ours.named_buffers()}
    for _ in range(2):
        ours.zero_grad()
        theirs.zero_grad()
        check_alike(one_pass(ours, mt, x), one_pass(theirs, torch, x), 1e-9)
    moved = [n for n, t in ours.named_buffers() if not np.array_equal(t.numpy(), start[n])]
    assert any(name.endswith("weight_u") for name in moved)


# ---------------------------------------------------------------------------------- a ResNet-18


def test_resnet18_in_float64() -> None:
    """The lesson's encoder, with all gradients, within 1e-9."""
    encoders = create_body(resnet18, pretrained=False), pytorch_unet.body("resnet18")
    ours, theirs = both(encoders, 12, {"bottle": True}, (33, 47))
    ours.double()
    theirs.double()
    same_weights(ours, theirs)
    x = np.random.default_rng(2).standard_normal((2, 3, 33, 47))
    check_alike(one_pass(ours, mt, x), one_pass(theirs, torch, x), 1e-9)


def test_resnet18_in_float32() -> None:
    """Scores and statistics within 1e-4; gradients within 1e-2, as a root mean square.

    Where a ReLU stands at 0, rounding tips it, and the gradients that pass it come or go whole.
    """
    encoders = create_body(resnet18, pretrained=False), pytorch_unet.body("resnet18")
    options = {"norm": "Weight", "self_attention": True}
    ours, theirs = both(encoders, 12, options, (48, 65))
    same_weights(ours, theirs)
    x = np.random.default_rng(2).standard_normal((4, 3, 48, 65)).astype("float32")
    got, expected = one_pass(ours, mt, x), one_pass(theirs, torch, x)
    values = [name for name in expected if "gradient" not in name]
    check_alike({n: got[n] for n in values}, {n: expected[n] for n in values}, 1e-4)
    for name in expected.keys() - values:
        off, size = rms(got[name] - expected[name]), rms(expected[name])
        assert off <= 1e-2 * size + 1e-4, f"{name}: off by {off} of {size}"


def rms(array: np.ndarray) -> float:
    """The root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))


def test_weights_that_do_not_fit_are_named() -> None:
    encoders = small_encoder(nn, BasicBlock), small_encoder(torch.nn, pytorch_unet.BasicBlock)
    ours, _ = both(encoders, 2, {}, (32, 32))
    other = pytorch_unet.Unet(encoders[1], 3)
    with pytest.raises(ValueError, match=r"head.*\(3, 15, 1, 1\) but .* is \(2, 15, 1, 1\)"):
        same_weights(ours, other)
