"""The benchmark of lesson 4's networks: its recipe is the lesson's, and its verdicts are right."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))

import skip_connections as bench  # noqa: E402

LESSON = (ROOT / "lessons" / "04_why_skip_connections.py").read_text()


def constant(name):
    """The first value that the lesson gives a name, read without running it."""
    for node in ast.walk(ast.parse(LESSON)):
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return ast.literal_eval(node.value)
            if isinstance(target, ast.Tuple) and name in [t.id for t in target.elts]:
                values = ast.literal_eval(node.value)
                return values[[t.id for t in target.elts].index(name)]
    raise KeyError(name)


def rows(**errors):
    """A run of each network for each seed; errors=(plain 20, plain 56, residual 56)."""
    return [
        {"net": net, "rate": 0.1, "seed": int(seed[1:]), "train_loss": e, "train_error": e}
        for seed, three in errors.items()
        for net, e in zip(bench.NETS, three, strict=True)
    ]


def test_the_recipe_is_the_lessons():
    for name in ("DIGITS", "EPOCHS", "BATCH", "WIDTH"):
        assert constant(name) == getattr(bench, name)
    assert constant("RACE") == bench.NETS
    assert f"momentum={bench.MOMENTUM}" in LESSON
    assert float(re.search(r"wd=([\d.e-]+)", LESSON)[1]) == bench.DECAY


def test_what_is_kept_shows_what_the_lesson_says():
    """Three seeds; each network at its best rate; plain 56 is the worst every time, by far."""
    kept = bench.load(bench.RESULTS)
    assert constant("RATES") == {net: bench.best_rate(kept, net) for net in bench.NETS}
    assert bench.ordered(kept) == []
    best = {}
    for row in kept:
        if row["rate"] == bench.best_rate(kept, row["net"]):
            best[row["net"], row["seed"]] = row
    assert len(best) == 9
    for seed in range(3):
        shallow, deep, residual = (best[net, seed] for net in bench.NETS)
        assert residual["train_error"] < shallow["train_error"] < deep["train_error"]
        assert deep["largest"] > 10 * max(shallow["largest"], residual["largest"])
    ends = {net: [row["not_convex"] for row in kept if row["net"] == net] for net in bench.NETS}
    assert min(ends["plain 56"]) > 0.5 > max(ends["plain 20"] + ends["residual 56"])
    errors = {net: [row["train_error"] for row in kept if row["net"] == net] for net in bench.NETS}
    assert min(errors["plain 56"]) > 5 * max(errors["plain 20"] + errors["residual 56"])


def test_the_verdict():
    assert bench.ordered(rows(s0=(0.01, 0.2, 0.0), s1=(0.02, 0.1, 0.01))) == []
    wrong = bench.ordered(rows(s0=(0.01, 0.2, 0.0), s1=(0.3, 0.1, 0.0)))
    assert wrong == ["seed 1: plain 56 is not the worst (0.1, 0.3, 0.0)"]
    assert bench.ordered([]) == []


def test_the_best_rate_is_that_of_the_lowest_mean_loss():
    found = rows(s0=(0.3, 0.3, 0.3), s1=(0.3, 0.3, 0.3))
    found += [{**row, "rate": 1.0, "train_loss": 0.1 + 0.3 * row["seed"]} for row in found]
    assert bench.best_rate(found, "plain 20") == 1.0  # 0.25 on the mean
    assert bench.best_rate([], "plain 20") is None


def test_rows_are_kept_once_and_in_order(tmp_path):
    path = tmp_path / "rows.json"
    for row in reversed(rows(s0=(1, 2, 3), s1=(4, 5, 6))):
        bench.keep(path, row)
    bench.keep(path, {**rows(s0=(1, 2, 3))[0], "train_error": 9})
    kept = json.loads(path.read_text())
    assert [bench.run_of(row)[::2] for row in kept] == [(n, s) for n in bench.NETS for s in (0, 1)]
    assert kept[0]["train_error"] == 9


def test_a_small_run(real_data, monkeypatch):
    if not (real_data / "mnist").is_dir():
        pytest.skip("no MNIST in the folder with the real data")
    small = {"DIGITS": 256, "EPOCHS": 1, "BATCH": 64, "LOOKED_AT": 64, "LINES": 1, "STEPS": 5}
    for name, value in small.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setitem(bench.NETS, "plain 20", (8, False))
    row = bench.train("plain 20", 0.1, 0, str(real_data), 1)
    assert 0 < row["train_error"] < 1 and row["train_loss"] > 0 and len(row["losses"]) == 1
    assert row["smallest"] < row["largest"] and 0 <= row["not_convex"] <= 1 and row["climb"] >= 0


def test_the_table_needs_no_training():
    command = [sys.executable, str(BENCHMARKS / "skip_connections.py"), "--table"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| residual 56 |") >= 1 and "| λmax |" in done.stdout
