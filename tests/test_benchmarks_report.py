"""The benchmarks' own arithmetic: turns, ratios, tables, options, what a machine says of itself."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import camvid_accuracy  # noqa: E402
import human_numbers_accuracy  # noqa: E402
import import_time  # noqa: E402
import mnist_accuracy  # noqa: E402
import train_step  # noqa: E402
from rivals import jax_jit, machine, report, rounds, start  # noqa: E402

# ------------------------------------------------------------------------- times and their table


class MadeUp:
    """A worker that answers without working."""

    def __init__(self, rival: str) -> None:
        self.rival = rival


def made_up_rows() -> list[dict]:
    answer = {"check": [2.0], "peak": 60.0, "growth": None}
    turns = {"minitorch7": ([10, 30, 20], [40, 40, 40]), "pytorch": ([10, 10, 99], [80, 80, 80])}
    found = [
        rounds.Found(
            rounds.Entry(MadeUp(name), "train", {}),
            answer,
            [{"ms": ms, "cores": 1.0} for ms in times],
        )
        for name, times in turns.items()
    ]
    return report.rows_of({"model": "basic", "batch": 128, "threads": 1}, found)


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


def test_a_turn_is_as_long_as_it_may_be():
    pace = rounds.Pace(sample_ms=5, turn_ms=1000, least=2, most=10)
    assert pace.turn(0.01) == {"lead_in": 500, "samples": 10, "repeats": 500}
    assert pace.turn(50) == {"lead_in": 2, "samples": 10, "repeats": 1}
    assert pace.turn(300) == {"lead_in": 1, "samples": 3, "repeats": 1}
    assert pace.turn(5000) == {"lead_in": 1, "samples": 2, "repeats": 1}


def test_options():
    plain, quick = train_step.parse([]), train_step.parse(["--quick", "--steps", "2"])
    assert (plain.models, plain.threads) == ([*start.MODELS, start.CAMVID_UNET, start.GRU], [1, 2])
    assert (quick.models, quick.threads, quick.rounds, quick.steps) == (["resnet"], [1], 3, 2)
    assert train_step.parse(["--rivals", "pytorch"]).rivals == ["minitorch7", "pytorch"]
    assert train_step.parse(["--threads", "2", "1", "2"]).threads == [2, 1]


def test_a_taste_does_not_replace_results():
    plain, quick = train_step.parse([]), train_step.parse(["--quick"])
    assert plain.out == BENCHMARKS / "results" / "train_step.json"
    assert plain.picture == BENCHMARKS / "pictures" / "train_step.png"
    assert quick.out.parent == quick.picture.parent == BENCHMARKS / "out"
    here = train_step.parse(["--out", "here/a.json"])
    assert here.picture == Path("here/a.png")


def test_command_repeats_the_run():
    chosen = train_step.parse(["--models", "basic", "--threads", "2", "--out", "here.json"])
    command = train_step.command_of(chosen)
    assert "here." not in command
    again = train_step.parse(command.split()[2:])
    files = {"out": None, "picture": None}
    assert {**vars(again), **files} == {**vars(chosen), **files}


BAD = {
    "--rounds 0": "--rounds: must be at least 1, got 0",
    "--threads two": "--threads: must be a whole number, got 'two'",
    "--seed -1": "--seed: must be at least 0, got -1",
    "--rivals caffe": "--rivals: invalid choice: 'caffe'",
    "--models vgg": "--models: invalid choice: 'vgg'",
    "--out rows.txt": "--out: must end in .json, got 'rows.txt'",
    "--picture bars.jpg": "--picture: must end in .png, got 'bars.jpg'",
}


@pytest.mark.parametrize("arguments", BAD)
def test_bad_arguments_are_explained(arguments, capsys):
    with pytest.raises(SystemExit):
        train_step.parse(arguments.split())
    assert BAD[arguments] in capsys.readouterr().err


def test_a_worker_measures_itself(tmp_path):
    flags = ["--models", "basic", "--rivals", "minitorch7", "--threads", "1", "--rounds", "2"]
    chosen = train_step.parse([*flags, "--steps", "2", "--batch", "8"])
    (rows,) = train_step.measure(["minitorch7"], chosen, rounds.progress(0))
    (row,) = rows
    assert [len(turn) for turn in row["rounds_ms"]] == [2, 2]
    assert 0 < row["min_ms"] <= row["median_ms"]
    report.save(tmp_path / "new" / "rows.json", "a command", {}, [row])
    assert mnist_accuracy.load(tmp_path / "new" / "rows.json")["rows"] == [row]


def test_a_worker_that_fails_is_told_apart(monkeypatch):
    before = machine.environment(1)
    monkeypatch.setattr(machine, "environment", lambda n: {**before, "PATH": ""})
    with rounds.crew(["minitorch7"], 1) as workers:
        arguments = {"model": "no-such-model", "batch": 8, "seed": 0}
        entry = rounds.Entry(workers["minitorch7"], "train", arguments)
        with pytest.raises(RuntimeError, match="(?s)minitorch7 stopped.*no-such-model"):
            rounds.compete([entry], 1, rounds.progress(0), "a step")


def test_rivals_that_differ_are_not_timed():
    arguments = {"model": "basic", "batch": 8}
    with rounds.crew(["minitorch7"], 1) as workers:
        worker = workers["minitorch7"]
        entries = [
            rounds.Entry(worker, "train", {**arguments, "seed": seed}, f"seed {seed}")
            for seed in (0, 1)
        ]
        with pytest.raises(RuntimeError, match="(?s)not the same computation.*seed 1"):
            rounds.compete(entries, 1, rounds.progress(0), "a step")


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
    big = mmap.mmap(-1, 128 * 2**20)  # from the system, not from memory that was freed and kept
    for _ in range(128):
        big.write(bytes(2**20))
    assert machine.peak() > before + 100
    big.close()
    assert machine.forget_peak() and machine.peak() < before + 100


def test_busy_cores_are_counted():
    found = machine.busy_cores(0.05)
    assert found is None or 0 <= found


# ---------------------------------------------------------------------------- imports, accuracies


def test_import_table_takes_differences_turn_by_turn():
    text = import_time.table({"numpy": [10.0, 20.0, 30.0], "minitorch7": [15.0, 26.0, 99.0]})
    assert "| minitorch7 | 26.0 | 15.0 | 6.0 |" in text


def test_own_files_of_an_import_report():
    text = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1500 |       1500 |   minitorch7.backend\n"
        "import time:      9000 |       9000 |   numpy\n"
        "import time:      2500 |      13000 | minitorch7\n"
        "import time:       100 |        100 | minitorch7_other\n"
    )
    assert import_time.own_files(text) == [("minitorch7", 2.5), ("minitorch7.backend", 1.5)]


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


def test_language_models_accuracies_are_kept_and_tabled(tmp_path):
    path = tmp_path / "rows.json"
    for model, seed, last, peak in [(5, 0, 0.8, 0.9), (2, 1, 0.4, 0.4), (2, 0, 0.2, 0.3)]:
        row = {"model": model, "seed": seed, "accuracy": last, "peak": peak}
        human_numbers_accuracy.keep(path, row)
    for seed, last in [(0, 0.9), (0, 0.3), (1, 0.5)]:  # the second replaces the first, and no other
        row = {"rival": "pytorch", "model": 2, "seed": seed, "accuracy": last, "peak": last}
        human_numbers_accuracy.keep(path, row)
    kept = human_numbers_accuracy.load(path)
    ours, theirs = [(2, 0), (2, 1), (5, 0)], [(2, 0), (2, 1)]
    assert [(r["model"], r["seed"]) for r in kept] == ours + theirs
    assert [r["rival"] for r in kept] == ["minitorch7"] * 3 + ["pytorch"] * 2
    lines = human_numbers_accuracy.table(kept).splitlines()
    ours = "| 2 | 10 | 2 | 0.3000 | 0.1414 | 0.4000 | 0.3500 | 0.3498 | 0.3498 |"
    assert lines[2:] == [
        f"{ours} 0.4000 ± 0.1414 |",
        "| 5 | 10 | 1 | 0.8000 | - | 0.8000 | 0.9000 | 0.8071 | 0.8139 | - |",
    ]
    theirs = human_numbers_accuracy.table(kept[-1:]).splitlines()[2]
    assert theirs == "| 2 | 10 | 0 | - | - | - | - | 0.3498 | 0.3498 | 0.5000 ± - |"


def segmented(rival: str, seed: int, accuracies: list[float], loss: float = 2.5) -> dict:
    """A run of camvid_accuracy as its file keeps it."""
    known = {"epochs": 2, "batch": 8, "threads": 1, "quick": False, "varied": False}
    known["first_loss"] = loss
    curves = {"train_loss": [2.0, 1.0], "accuracy": accuracies, "seconds": [2.0, 4.0]}
    return {"rival": rival, "seed": seed, **known, **curves}


def test_segmentations_are_tabled_and_drawn(tmp_path):
    ours = [segmented("minitorch7", 0, [0.5, 0.7]), segmented("minitorch7", 1, [0.9, 0.8])]
    theirs = {**segmented("pytorch", 0, [0.5, 0.6]), "seconds": [6.0, 6.0]}
    lines = camvid_accuracy.table([*ours, theirs]).splitlines()
    assert "| minitorch7 | 1 | 2 | mirrored | 2 | 0.7500 | 0.8000 | 3.0 | - |" in lines[2]
    assert "| PyTorch eager | 1 | 1 | mirrored | 2 | 0.6000 | 0.6000 | 6.0 | 0.50 × |" in lines[3]
    camvid_accuracy.picture([*ours, theirs], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_segmentations_that_started_apart_are_named():
    rows = [segmented("minitorch7", 0, [0.5, 0.7]), segmented("pytorch", 0, [0.5, 0.6], 2.5005)]
    assert camvid_accuracy.differing(rows) == []
    (line,) = camvid_accuracy.differing([rows[0], segmented("pytorch", 0, [0.5, 0.6], 2.51)])
    assert "2.50000 in minitorch7 but 2.51000 in PyTorch eager" in line


def test_only_pixels_that_are_not_void_count():
    import minitorch7 as mt

    y = np.array([[[[0, 1], [11, 2]]], [[[11, 11], [11, 3]]]])  # four pixels have a class

    class Loader:
        @staticmethod
        def batches(epoch):
            return [(None, mt.tensor(y))]

    said = np.array([[[0, 1], [11, 0]], [[11, 0], [11, 0]]])  # right at two of them
    assert camvid_accuracy.accuracy(lambda x: said, Loader, rounds.progress(1)) == 0.5
