"""Every benchmark's --quick run leaves a JSON file and a picture, or says why it did not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import all as everything  # noqa: E402
import operations  # noqa: E402
import pipeline  # noqa: E402
import scaling  # noqa: E402
from rivals import machine, pictures  # noqa: E402

SCRIPTS = ("all", "train_step", "inference", "operations", "scaling", "pipeline")
SCRIPTS += ("import_time", "mnist_accuracy", "camvid_accuracy", "human_numbers_accuracy")
TASTES = {  # what makes a quick run quicker still
    "train_step": ["--models", "basic"],
    "inference": ["--models", "basic", "--batches", "2"],
    "operations": ["--kinds", "relu", "adam"],
    "scaling": ["--axes", "batch"],
    "pipeline": ["--drawn"],
}
PNG = b"\x89PNG"
RUNS = [(script, "minitorch7") for script in TASTES]
RUNS += [("pipeline", "pytorch")]  # in the others PyTorch does what test_benchmarks.py has it do


def run(script: str, *arguments: object) -> subprocess.CompletedProcess:
    """A script in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *map(str, arguments)]
    return subprocess.run(
        command, env=machine.environment(1), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


@pytest.mark.parametrize("script, rival", RUNS)
def test_quick_run(script, rival, tmp_path):
    if rival == "pytorch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    out = tmp_path / "new" / "rows.json"
    flags = [*TASTES[script], "--rivals", rival, "--rounds", 1, "--out", out]
    done = run(script, "--quick", *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["command"].startswith(f"python benchmarks/{script}.py ")
    assert found["machine"]["versions"]["minitorch7"] and found["absent"] == {}
    assert {r["rival"] for r in found["rows"]} == {"minitorch7", rival}
    assert all(r["median_ms"] > 0 and len(r["rounds_ms"]) == 1 for r in found["rows"])
    assert str(tmp_path) not in out.read_text() and str(BENCHMARKS.parent) not in out.read_text()
    assert out.with_suffix(".png").read_bytes().startswith(PNG)
    assert sorted(p.name for p in out.parent.iterdir()) == ["rows.json", "rows.png"]
    assert "| minitorch7" in done.stdout


def test_quick_segmentation(real_data, tmp_path):
    """Both libraries start from one loss; what is measured is kept, and a table is made of it."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    if not (real_data / "camvid").is_dir():
        pytest.skip("no CamVid in the folder with the real data")
    out = tmp_path / "new" / "rows.json"
    flags = ["--threads", 1, "--data", real_data, "--out", out]
    done = run("camvid_accuracy", "--quick", *flags)
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(out.read_text())["rows"]
    assert (ours["rival"], theirs["rival"]) == ("minitorch7", "pytorch")
    assert ours["first_loss"] == pytest.approx(theirs["first_loss"], abs=1e-4)
    assert all(len(r["accuracy"]) == len(r["seconds"]) == 2 for r in (ours, theirs))
    assert str(tmp_path) not in out.read_text() and str(real_data) not in out.read_text()
    assert out.with_suffix(".png").read_bytes().startswith(PNG)
    again = run("camvid_accuracy", "--quick", "--table", *flags)
    assert again.stdout == done.stdout and "| PyTorch eager | 1 |" in again.stdout


def test_without_camvid_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.delenv("MINITORCH7_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = run("camvid_accuracy", "--out", tmp_path / "rows.json", "--data", tmp_path)
    assert done.returncode == 0 and "skipped: camvid: not found" in done.stderr
    assert not list(tmp_path.glob("rows*"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "rows.json"
    done = run("operations", "--quick", "--kinds", "relu", "--rivals", "minitorch7", "--out", out)
    assert done.returncode == 1
    assert "cannot write" in done.stderr and "Traceback" not in done.stderr


def test_points_share_their_base():
    for quick, base in ((False, scaling.BASE), (True, scaling.QUICK_BASE)):
        for axis in scaling.AXES:
            points = scaling.points_of(axis, quick)
            assert base in points and points == sorted(points)
    chosen = scaling.parse([])
    assert len(scaling.every_point(chosen)) == 13


def test_operations_are_listed_once():
    names = run("operations", "--list").stdout.splitlines()
    assert len(names) == len(set(names)) == 36
    some = operations.cases_of(operations.parse(["--kinds", "adam", "relu"]))
    assert [which for _, which in some] == ["forward", "with gradients"] * 2 + ["step"] * 2


def test_worker_processes_double():
    assert pipeline.doubling(1) == [1]
    assert pipeline.doubling(2) == [1, 2]
    assert pipeline.doubling(6) == [1, 2, 4, 6]
    assert pipeline.doubling(8) == [1, 2, 4, 8]


def test_the_pipeline_is_judged():
    row = {"rival": "minitorch7", "threads": 2, "what": "loading, 2 batches ahead", "ratio": 1.9}
    assert pipeline.verdict([row]).endswith("wanted: 2; TOO LITTLE")
    assert pipeline.verdict([{**row, "ratio": 2.0}]).endswith("wanted: 2; enough")


def test_times_beside_pytorchs():
    times = {"minitorch7": [[1, 3], [4, 4]], "pytorch": [[4, 4], [4, 4]], "jax_jit": [[8], [8]]}
    rows = [{"rival": name, "rounds_ms": ms} for name, ms in times.items()]
    ours, jax = pictures.beside(rows)
    assert ours == ("minitorch7", 0.75, 0.5, 1.0)
    assert jax == ("jax_jit", 2.0, 2.0, 2.0)
    assert pictures.beside(rows[:1]) == []


@pytest.mark.parametrize("names", [["minitorch7", "pytorch", "jax_jit"], ["minitorch7"]])
def test_pictures_are_drawn_with_pytorch_and_without(names, tmp_path):
    chosen = scaling.parse(["--quick", "--out", str(tmp_path / "rows.json")])
    rows = [
        {**p._asdict(), "threads": 1, "rival": name, "median_ms": 2.0 + k, "rounds_ms": [[2.0 + k]]}
        for p in scaling.every_point(chosen)
        for k, name in enumerate(names)
    ]
    scaling.picture(rows, chosen)
    assert chosen.picture.read_bytes().startswith(PNG)
    chosen.picture = tmp_path / "bars.png"
    rows = [{**r, "operation": "relu", "net": "", "pass": "forward"} for r in rows[: len(names)]]
    operations.picture(rows, chosen)
    assert chosen.picture.read_bytes().startswith(PNG)


def test_everything_hands_its_flags_on():
    chosen = everything.parse(["--quick", "--threads", "1", "--rivals", "minitorch7", "dezero"])
    found = {script: everything.command_of(script, chosen) for script in everything.SCRIPTS}
    assert "--rivals minitorch7 dezero --threads 1 --quick" in " ".join(found["train_step"])
    assert "--rivals minitorch7 --threads 1 --quick" in " ".join(found["scaling"])
    assert "--rivals" not in found["import_time"]
    alone = everything.parse(["--rivals", "dezero"])
    assert everything.command_of("operations", alone) is None
