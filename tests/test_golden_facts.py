"""What the lesson printed: layer tables and parameter counts."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.learner import summarize

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from models import CHANNELS, RECIPES

GOLDEN = Path(__file__).parent / "golden"


def lessons_basic_cnn() -> nn.Sequential:
    """The basic network as the lesson built it, with a Lambda at the end."""
    layers: list[nn.Module] = []
    for ni, nf in zip(CHANNELS, CHANNELS[1:], strict=False):
        layers += [nn.Conv2d(ni, nf, 3, stride=2, padding=1), nn.BatchNorm2d(nf), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Lambda(lambda x: x.reshape(x.shape[0], -1)))


def test_the_summary_is_the_published_table_row_by_row(backend: str) -> None:
    with open(GOLDEN / "mnist_cnn_summary.csv") as file:
        expected = list(csv.DictReader(file))
    summary = summarize(lessons_basic_cnn(), mt.zeros(128, 1, 28, 28))
    found = [
        {
            "index": str(row.index),
            "layer": row.layer,
            "shape": "x".join(str(n) for n in row.shape),
            "params": str(row.params),
            "trainable": str(row.trainable),
        }
        for row in summary.rows
    ]
    assert found == expected
    assert summary.total == 12_126


@pytest.mark.parametrize(
    ("name", "count", "rows"),
    [("basic", 12_126, 15), ("refactored", 12_044, 16), ("resnet", 41_132, 44)],
)
def test_the_networks_have_the_lessons_parameters(name: str, count: int, rows: int) -> None:
    model = RECIPES[name].make()
    assert sum(p.numel() for p in model.parameters()) == count
    summary = summarize(model, mt.zeros(128, 1, 28, 28))
    assert (len(summary.rows), summary.total) == (rows, count)
    assert model(mt.zeros(128, 1, 28, 28)).shape == (128, 10)


def test_residual_blocks_add_what_the_lesson_says() -> None:
    counts = [sum(p.numel() for p in nn.res_block(n).parameters()) for n in (8, 16, 32, 16)]
    assert counts == [1_184, 4_672, 18_560, 4_672]


def test_the_first_loss_is_that_of_knowing_nothing() -> None:
    mt.manual_seed(0)
    scores = mt.zeros(128, 10)
    target = mt.tensor(np.arange(128) % 10)
    assert nn.CrossEntropyLoss()(scores, target).item() == pytest.approx(2.302585, abs=1e-6)
