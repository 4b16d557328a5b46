"""The lesson's language models beside PyTorch: trained through several batches with a kept state.

`benchmarks/rivals/pytorch_language.py` has the models as the lesson wrote them in PyTorch. In
float64, with the same weights, scores, losses, gradients, statistics, states and the weights after
each step of the optimiser must be the same; and so must whole trainings, by our Learner and by the
benchmark's loop.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn, optim
from minitorch7.data import ItemLists, TextList
from minitorch7.learner import Learner, accuracy, perplexity
from minitorch7.text import human_numbers
from minitorch7.text.losses import acc4, loss4
from minitorch7.text.models import Model0, Model1, Model2, Model3, Model4, Model5, RecurrentModel
from minitorch7.text.reach import gradient_reach

from .comparing import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from rivals import pytorch_language as torch_models

NV, NH, BS, TIME, BATCHES = 38, 6, 5, 7, 4


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """PyTorch's threads wait for one another in a loop: dear where the tests share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


MODELS = {
    "model 0": (lambda: Model0(NV, NH), lambda: torch_models.make(0, NV, NH, BS)),
    "model 1": (lambda: Model1(NV, NH), lambda: torch_models.make(1, NV, NH, BS)),
    "model 2": (lambda: Model2(NV, NH), lambda: torch_models.make(2, NV, NH, BS)),
    "model 3": (lambda: Model3(NV, NH, BS), lambda: torch_models.make(3, NV, NH, BS)),
    "model 4": (lambda: Model4(NV, NH, BS), lambda: torch_models.make(4, NV, NH, BS)),
    "model 5": (lambda: Model5(NV, NH, BS), lambda: torch_models.make(5, NV, NH, BS)),
    "lstm": (
        lambda: RecurrentModel("lstm", NV, NH, BS, layers=2),
        lambda: torch_models.Layers(torch.nn.LSTM, 2, NV, NH, BS),
    ),
}


def host(t: Any) -> np.ndarray:
    return t.detach().numpy()


def pair(name: str) -> tuple[nn.Module, Any]:
    """Our model and PyTorch's, with the same weights, in float64."""
    make, make_theirs = MODELS[name]
    ours, theirs = make().double(), make_theirs().double()
    state = {key: torch.tensor(host(value)) for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return ours, theirs


def batches(time: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    for _ in range(BATCHES):
        yield rng.integers(0, NV, (BS, time)), rng.integers(0, NV, (BS, time))


def assert_same(mine: Any, other: Any, what: str = "") -> None:
    np.testing.assert_allclose(host(mine), host(other), rtol=1e-7, atol=1e-10, err_msg=what)


def assert_same_state(ours: nn.Module, theirs: Any) -> None:
    expected = theirs.state_dict()
    assert set(ours.state_dict()) == set(expected)
    for name, value in ours.state_dict().items():
        assert_same(value, expected[name], name)


@pytest.mark.parametrize("name", MODELS)
def test_a_training(name: str) -> None:
    """Batches in a row, the state kept between them, a step of Adam after each; then evaluation."""
    early = name in ("model 0", "model 1")
    ours, theirs = pair(name)
    opt = optim.Adam(ours.parameters(), lr=0.01)
    their_opt = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for x, y in batches(3 if early else TIME):
        scores, expected = ours(mt.tensor(x)), theirs(torch.tensor(x))
        assert_same(scores, expected)
        if early:
            loss = loss4(scores, mt.tensor(y))
            their_loss = torch.nn.functional.cross_entropy(expected, torch.tensor(y)[:, -1])
        else:
            loss = nn.CrossEntropyFlat()(scores, mt.tensor(y))
            flat = expected.reshape(-1, NV)
            their_loss = torch.nn.functional.cross_entropy(flat, torch.tensor(y).reshape(-1))
            exact = float(perplexity(scores, mt.tensor(y)))
            assert exact == pytest.approx(their_loss.exp().item(), rel=1e-9)
        assert_same(loss, their_loss)
        opt.zero_grad(), their_opt.zero_grad()
        loss.backward(), their_loss.backward()
        grads = {key: p.grad for key, p in theirs.named_parameters()}
        for key, p in ours.named_parameters():
            assert_same(p.grad, grads[key], key)
        opt.step(), their_opt.step()
        assert_same_state(ours, theirs)
    ours.eval(), theirs.eval()
    x, _ = next(batches(3 if early else TIME))
    assert_same(ours(mt.tensor(x)), theirs(torch.tensor(x)))
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("number", range(6))
def test_whole_trainings(number: int) -> None:
    """Two epochs of one cycle with weight decay, validated after each: weights and accuracies."""
    train, valid = ([", ".join(lines[::250])] for lines in human_numbers())
    lists = ItemLists(".", TextList(train), TextList(valid)).label_for_lm()
    data = lists.databunch(bs=BS, bptt=3 if number < 2 else TIME, seed=number)
    assert data.c <= NV and len(data.train_dl) > 2
    ours, theirs = pair(f"model {number}")
    loss, metric = (loss4, acc4) if number < 2 else (None, accuracy)
    learn = Learner(data, ours, loss_func=loss, metrics=metric)
    recipe = {"cyc_len": 2, "max_lr": 0.05, "pct_start": 0.4}
    with learn.no_bar():
        learn.fit_one_cycle(**recipe)
    found = torch_models.fit(theirs, data, **recipe)
    assert [row[0] for row in learn.recorder.metrics] == pytest.approx(found, abs=1e-6)
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("name", ["model 3", "model 4", "model 5", "lstm"])
def test_how_far_gradients_reach(name: str) -> None:
    ours, theirs = pair(name)
    x, y = next(batches(TIME))
    leaves = []

    def as_leaf(module: Any, inputs: Any, output: Any) -> Any:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    theirs.i_h.register_forward_hook(as_leaf)
    scores = theirs.eval()(torch.tensor(x))[:, -1]
    losses = torch.nn.functional.cross_entropy(scores, torch.tensor(y)[:, -1], reduction="sum")
    grads = torch.autograd.grad(losses, leaves)
    whole = grads[0] if len(grads) == 1 else torch.stack(grads, 1)
    expected = whole.norm(dim=2).mean(0).flip(0)
    found = gradient_reach(ours, mt.tensor(x), mt.tensor(y))
    np.testing.assert_allclose(found, host(expected), rtol=1e-8)
