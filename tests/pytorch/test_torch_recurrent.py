"""RNN, GRU and LSTM against PyTorch's: results, states, all gradients, and each other's weights."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # of the largest element
KINDS = [("RNN", {"nonlinearity": "tanh"}), ("RNN", {"nonlinearity": "relu"})]
KINDS += [("GRU", {}), ("LSTM", {})]
kinds = pytest.mark.parametrize(("name", "kind"), KINDS, ids=["RNN", "RNN relu", "GRU", "LSTM"])
dtypes = pytest.mark.parametrize("dtype", TOLERANCE)
OPTIONS = [
    dict(zip(("num_layers", "bidirectional", "batch_first", "bias"), chosen, strict=True))
    for chosen in itertools.product((1, 2, 3), (False, True), (False, True), (True, False))
]


def same(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    ours, theirs = ours.detach().cpu().numpy(), theirs.detach().numpy()
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, what
    largest = max(abs(theirs).max(initial=0), 1e-3)
    assert abs(ours - theirs).max(initial=0) <= tolerance * largest, what


def pair(name: str, dtype: str, **options: Any) -> tuple[Any, Any]:
    """One layer or cell in both libraries, with PyTorch's weights."""
    theirs = getattr(torch.nn, name)(3, 4, **options).to(getattr(torch, dtype))
    ours = getattr(nn, name)(3, 4, **options).to(dtype)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def flat(results: Any) -> list[Any]:
    """(output, (h, c)) → [output, h, c]"""
    if isinstance(results, tuple):
        return [t for r in results for t in flat(r)]
    return [results]


def compare(ours: Any, theirs: Any, x: np.ndarray, states: Any, dtype: str) -> None:
    """Results, and the gradients of all inputs and parameters for random cotangents."""
    arrays = [x, *(states or ())]
    a = [mt.tensor(v, requires_grad=True) for v in arrays]
    b = [torch.tensor(v, requires_grad=True) for v in arrays]
    one, other = (
        flat(m(t[0]) if states is None else m(t[0], tuple(t[1:]) if len(t) > 2 else t[1]))
        for m, t in ((ours, a), (theirs, b))
    )
    rng = np.random.default_rng(2)
    cotangents = [rng.standard_normal(tuple(t.shape)).astype(dtype) for t in other]
    names = [n for n, _ in theirs.named_parameters()]
    ours_wanted = [*a, *(dict(ours.named_parameters())[n] for n in names)]
    grads = mt.grad(one, ours_wanted, [mt.tensor(c) for c in cotangents])
    expected = torch.autograd.grad(
        other, [*b, *theirs.parameters()], [torch.tensor(c) for c in cotangents]
    )
    tolerance = TOLERANCE[dtype]
    for i, (p, q) in enumerate(zip(one, other, strict=True)):
        same(p, q, tolerance, f"result {i}")
    labels = ["x", "h", "c"][: len(a)] + names
    for label, p, q in zip(labels, grads, expected, strict=True):
        same(p, q, tolerance, f"gradient of {label}")


@dtypes
@kinds
def test_layers(name: str, kind: dict, dtype: str) -> None:
    """All 24 combinations of layers, directions, order of axes and biases; states given or not."""
    rng = np.random.default_rng(0)
    for number, options in enumerate(OPTIONS):
        torch.manual_seed(number)
        ours, theirs = pair(name, dtype, **kind, **options)
        assert repr(ours) == repr(theirs)
        shape = (2, 5, 3) if options["batch_first"] else (5, 2, 3)
        x = rng.standard_normal(shape).astype(dtype)
        rows = options["num_layers"] * (1 + options["bidirectional"])
        count = 1 + (name == "LSTM")
        states = [rng.standard_normal((rows, 2, 4)).astype(dtype) for _ in range(count)]
        compare(ours, theirs, x, states if number % 3 else None, dtype)


@dtypes
@kinds
def test_without_a_batch(name: str, kind: dict, dtype: str) -> None:
    ours, theirs = pair(name, dtype, num_layers=2, bidirectional=True, batch_first=True, **kind)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 3)).astype(dtype)
    states = [rng.standard_normal((4, 4)).astype(dtype) for _ in range(1 + (name == "LSTM"))]
    compare(ours, theirs, x, None, dtype)
    compare(ours, theirs, x, states, dtype)


@dtypes
@pytest.mark.parametrize("shape", [(5, 3), (3,)], ids=["batch", "one row"])
@kinds
def test_cells(name: str, kind: dict, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(3)
    for bias in (True, False):
        ours, theirs = pair(f"{name}Cell", dtype, bias=bias, **kind)
        assert repr(ours) == repr(theirs)
        x = rng.standard_normal(shape).astype(dtype)
        states = [
            rng.standard_normal((*shape[:-1], 4)).astype(dtype) for _ in range(1 + (name == "LSTM"))
        ]
        compare(ours, theirs, x, None, dtype)
        compare(ours, theirs, x, states, dtype)


@kinds
def test_second_gradients(name: str, kind: dict) -> None:
    """d/dW of |d loss/dx|², through the sweep's own second rule."""
    ours, theirs = pair(name, "float64", num_layers=2, bidirectional=True, **kind)
    x = np.random.default_rng(4).standard_normal((4, 2, 3))
    found = []
    for library, model, tensor in ((mt, ours, mt.tensor), (torch.autograd, theirs, torch.tensor)):
        t = tensor(x, requires_grad=True)
        y, _ = model(t)
        (dx,) = library.grad((y * y * y).sum(), [t], create_graph=True)
        weights = list(model.parameters())
        grads = library.grad((dx * dx).sum(), weights, allow_unused=True)
        found.append([0 if g is None else g.detach().cpu().numpy() for g in grads])
    for p, q in zip(*found, strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-12)


@kinds
def test_their_weights_are_ours_and_ours_theirs(name: str, kind: dict) -> None:
    options = dict(num_layers=2, bidirectional=True, **kind)
    ours, theirs = getattr(nn, name)(3, 4, **options), getattr(torch.nn, name)(3, 4, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    values = {k: torch.tensor(v.detach().cpu().numpy()) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(values)
    x = np.random.default_rng(5).standard_normal((4, 2, 3)).astype(np.float32)
    same(ours(mt.tensor(x))[0], theirs(torch.tensor(x))[0], 1e-5, "output")


def test_flat_batch_norm_is_batch_norm_of_the_rows() -> None:
    ours, theirs = nn.BatchNorm1dFlat(4), torch.nn.BatchNorm1d(4)
    x = np.random.default_rng(6).standard_normal((5, 3, 4)).astype(np.float32)
    for _ in range(2):
        y = ours(mt.tensor(x))
        same(y.reshape(-1, 4), theirs(torch.tensor(x.reshape(-1, 4))), 1e-5, "output")
    same(ours.running_var, theirs.running_var, 1e-5, "running variance")
    assert y.shape == x.shape
