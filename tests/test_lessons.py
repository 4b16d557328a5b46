"""Every lesson runs in --quick, on NumPy and on the stand-in, and what it prints still holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PICTURES = (
    "1_batch 2_moves 3_lr_find 4_one_cycle 5_losses 6_lr_find_resnet 7_accuracy 8_confusion "
    "9_top_losses"
).split()

RUNNER = """
import runpy, sys
sys.path[:0] = [{root!r}, {tests!r}, {lessons!r}]
import standin
standin.install()
sys.argv = [{lesson!r}, *{arguments!r}]
runpy.run_path({lesson!r}, run_name="__main__")
"""


def run(name: str, out: Path, *arguments: str, backend: str = "numpy") -> str:
    """What a lesson prints, run as a script in a process of its own, without network or MNIST."""
    lesson, arguments = str(ROOT / "lessons" / name), (*arguments, "--out", str(out))
    nowhere = str(out.parent / "nowhere")
    environment = {
        **{k: v for k, v in os.environ.items() if k != "MINITORCH7_DATA"},
        "PYTHONPATH": str(ROOT),
        "MINITORCH7_OFFLINE": "1",
        "XDG_CACHE_HOME": nowhere,
        "MPLCONFIGDIR": nowhere,
    }
    command = [sys.executable, lesson, *arguments]
    if backend == "cupy":
        code = RUNNER.format(
            root=str(ROOT),
            tests=str(ROOT / "tests"),
            lessons=str(ROOT / "lessons"),
            lesson=lesson,
            arguments=[*arguments, "--backend", "cupy"],
        )
        command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_03_resnet_mnist(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    arguments = ["--quick"] if backend == "numpy" else ["--quick", "--epochs", "1"]
    text = run("03_resnet_mnist.py", out, *arguments, backend=backend)
    assert "MNIST was neither found nor fetched: training on drawn digits instead." in text
    assert "Total params:  12126" in text
    assert "parameters: 12044" in text
    assert "44 rows, 41,132 parameters" in text
    assert "differences: [0.0, 0.0]" in text
    without, with_sum = re.findall(r"the sum: gradient norm (\S+)", text)
    assert float(without) < 1e-12 and 10 < float(with_sum) < 100
    assert abs(float(re.search(r"before training: loss ([\d.]+)", text)[1]) - 2.8) < 0.3
    accuracies = [float(a) for a in re.findall(r": accuracy ([\d.]+)", text)]
    assert len(accuracies) == 3 and min(accuracies) > 0.7
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in PICTURES)


def test_a_second_run_loads_what_the_first_trained(tmp_path: Path) -> None:
    first = run("03_resnet_mnist.py", tmp_path / "out", "--quick", "--epochs", "1")
    again = run("03_resnet_mnist.py", tmp_path / "out", "--quick", "--epochs", "1")
    assert again.count("training had finished") == 3
    found = [re.findall(r": accuracy ([\d.]+)", text) for text in (first, again)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "tpu"], "invalid choice: 'tpu'"),
        (["--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--data", "no/such/folder"], "no/such/folder"),
    ],
)
def test_flags_that_make_no_sense(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, str(ROOT / "lessons" / "03_resnet_mnist.py"), *arguments]
    command += ["--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINITORCH7_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_lessons_fit_a_narrow_column() -> None:
    for path in sorted((ROOT / "lessons").glob("*.py")):
        long = [n for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 88]
        assert not long, f"{path.name}: lines {long} are longer than 88 columns"
