"""The benchmarks: every rival computes the same, and what is computed from the times is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import import_time  # noqa: E402
import mnist_accuracy  # noqa: E402
import rivals  # noqa: E402
import train_step  # noqa: E402
from models import RECIPES  # noqa: E402
from rivals import jax_jit, machine, start  # noqa: E402

SCRIPTS = ("train_step.py", "import_time.py", "mnist_accuracy.py")
COMPARED = [("pytorch", "basic"), ("pytorch", "refactored"), ("pytorch", "resnet")]
COMPARED += [("dezero", "basic"), ("dezero", "resnet"), ("jax_jit", "basic")]


# ------------------------------------------------------------------------- all compute the same


@pytest.mark.parametrize("model", start.MODELS)
def test_plan_is_the_lessons_network(model):
    shapes = [p.shape for p in RECIPES[model].make().parameters()]
    assert shapes == [w.shape for w in start.parameters(model, seed=0)]


def test_plans_have_the_lessons_numbers_of_parameters():
    sizes = [sum(w.size for w in start.parameters(m, seed=0)) for m in start.MODELS]
    assert sizes == [12_126, 12_044, 41_132]


@pytest.fixture
def one_torch_thread():
    """PyTorch's threads wait for one another in a loop: dear where the tests share the cores."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rival, model", COMPARED)
def test_first_losses_are_the_same(rival, model, request, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # compile fast
    reason = rivals.load(rival).available()
    if reason:
        pytest.skip(reason)
    if rival == "pytorch":
        request.getfixturevalue("one_torch_thread")
    found = {name: train_step.losses_of(name, model, 16, 0) for name in (rivals.OURS, rival)}
    assert not train_step.disagreements(found)


def test_losses_fall_and_depend_on_the_seed():
    one, two = (train_step.losses_of(rivals.OURS, "basic", 16, seed) for seed in (0, 1))
    assert one[-1] < one[0] and two[-1] < two[0]
    assert train_step.disagreements({"one": one, "two": two})


@pytest.mark.parametrize("off", [0.002, float("nan")])
def test_another_loss_is_noticed(off):
    losses = {"a": [2.0, 1.9], "b": [2.0, 1.9], "c": [2.0, 1.9 + off]}
    assert "c " in train_step.disagreements(losses)
    del losses["c"]
    assert train_step.disagreements(losses) == ""


def test_every_rival_says_whether_it_can_run():
    for name in rivals.NAMES:
        reason = rivals.load(name).available()
        assert reason is None or isinstance(reason, str)
        assert rivals.TITLES[name]


# ------------------------------------------------------------------------- times and their table


def made_up_rows() -> list[dict]:
    ready = {"losses": [2.0], "peak": 60.0, "growth": None}
    turns = {"minitorch7": ([10, 30, 20], [40, 40, 40]), "pytorch": ([10, 10, 99], [80, 80, 80])}
    rows = [
        train_step.row("basic", 1, name, ready, [{"ms": ms, "cores": 1.0} for ms in found])
        for name, found in turns.items()
    ]
    train_step.add_ratios(rows)
    return rows


def test_row_and_ratios():
    ours, other = made_up_rows()
    assert (ours["median_ms"], ours["min_ms"], ours["peak_mib"]) == (35, 10, 60.0)
    assert other["ratios"] == [2.0, 0.5]  # of the medians of each round
    assert other["ratio"] == 1.25
    assert ours["ratio"] == 1


def test_table_is_markdown_and_shows_what_is_unknown_as_a_dash():
    lines = train_step.table(made_up_rows()).splitlines()
    assert {line.count("|") for line in lines} == {len(train_step.HEAD) + 1}
    assert "| PyTorch eager | 80.0 | 10.0 | 1.25 × | 0.50 to 2.00 | 1.00 | 60 | - |" in lines[3]
    assert "| minitorch7 | 35.0 | 10.0 | - | - |" in lines[2]


def test_options():
    plain, quick = train_step.parse([]), train_step.parse(["--quick", "--steps", "2"])
    assert (plain.models, plain.threads) == (list(start.MODELS), [1, 2])
    assert (quick.models, quick.threads, quick.rounds, quick.steps) == (["resnet"], [1], 3, 2)
    assert train_step.parse(["--rivals", "pytorch"]).rivals == ["minitorch7", "pytorch"]
    with pytest.raises(SystemExit):
        train_step.parse(["--rounds", "0"])


def test_command_repeats_the_run():
    options = train_step.parse(["--models", "basic", "--threads", "2", "--out", "here.json"])
    command = train_step.command_of(options)
    assert "here.json" not in command
    again = train_step.parse(command.split()[2:])
    assert {**vars(again), "out": None} == {**vars(options), "out": None}


def test_a_worker_measures_itself(tmp_path):
    options = ["--models", "basic", "--rivals", "minitorch7", "--threads", "1", "--rounds", "2"]
    options = train_step.parse([*options, "--steps", "2", "--batch", "8"])
    (row,) = train_step.measure("basic", 1, ["minitorch7"], options)
    assert [len(turn) for turn in row["rounds_ms"]] == [2, 2]
    assert 0 < row["min_ms"] <= row["median_ms"]
    train_step.save(tmp_path / "new" / "rows.json", options, {}, [row])
    assert mnist_accuracy.load(tmp_path / "new" / "rows.json")["rows"] == [row]


def test_a_worker_that_fails_is_told_apart(monkeypatch):
    monkeypatch.setattr(train_step.machine, "environment", lambda n: {"PATH": ""})
    with pytest.raises(RuntimeError, match="(?s)minitorch7 stopped.*no-such-model"):
        train_step.Worker("minitorch7", "no-such-model", 1, 8, 0)


# ----------------------------------------------------------------------------------- the machine


def test_machine_facts_name_no_place():
    facts = machine.facts()
    assert facts["cores"] >= 1 and facts["versions"]["numpy"] == np.__version__
    assert str(Path.home()) not in repr(facts) and str(BENCHMARKS.parent) not in repr(facts)


def test_environment_limits_every_library():
    found = machine.environment(3)
    assert found["OPENBLAS_NUM_THREADS"] == found["OMP_NUM_THREADS"] == found["NPROC"] == "3"
    assert "multi_thread_eigen=false" in jax_jit.environment(1)["XLA_FLAGS"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are Linux's")
def test_peak_can_be_forgotten():
    if not machine.forget_peak():
        pytest.skip("the system does not let the peak be reset")
    before = machine.peak()
    big = np.ones(128 * 2**20, np.uint8)  # too large for memory that was freed and kept
    assert machine.peak() > before + 100
    del big
    assert machine.forget_peak() and machine.peak() < before + 100


# ---------------------------------------------------------------------- imports, accuracies, help


def test_import_table_takes_differences_turn_by_turn():
    text = import_time.table({"numpy": [10.0, 20.0, 30.0], "minitorch7": [15.0, 26.0, 99.0]})
    assert "| minitorch7 | 26.0 | 15.0 | 6.0 |" in text


def test_own_files_of_an_import_report():
    report = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1500 |       1500 |   minitorch7.backend\n"
        "import time:      9000 |       9000 |   numpy\n"
        "import time:      2500 |      13000 | minitorch7\n"
        "import time:       100 |        100 | minitorch7_other\n"
    )
    assert import_time.own_files(report) == [("minitorch7", 2.5), ("minitorch7.backend", 1.5)]


def test_accuracies_are_kept_and_tabled(tmp_path):
    path = tmp_path / "results" / "accuracy.json"
    rows = [("resnet", 0, 0.99), ("basic", 1, 0.98), ("basic", 0, 0.97), ("basic", 1, 0.99)]
    for model, seed, accuracy in rows:
        mnist_accuracy.keep(path, {"model": model, "seed": seed, "accuracy": accuracy})
    kept = mnist_accuracy.load(path)
    assert [(r["model"], r["seed"]) for r in kept] == [("basic", 0), ("basic", 1), ("resnet", 0)]
    assert kept[1]["accuracy"] == 0.99  # the later run replaced the earlier
    lines = mnist_accuracy.table(kept).splitlines()
    assert len(lines) == 4 and "| basic | 3 | 2 | 0.9800 | 0.0141 | 0.9900 |" in lines[2]
    assert "| resnet | 12 | 1 | 0.9900 | - | 0.9900 |" in lines[3]
    assert [path.name] == [p.name for p in path.parent.iterdir()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    command = [sys.executable, str(BENCHMARKS / script), "--help"]
    done = subprocess.run(
        command, env=machine.environment(1), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
