"""Every lesson runs in --quick, on NumPy and on the stand-in, and what it prints still holds."""

from __future__ import annotations

import ast
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


SKIPS = "1_gradients 2_race 3_landscape 4_growth 5_memory".split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_04_why_skip_connections(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    arguments = ["--quick"] if backend == "numpy" else ["--quick", "--epochs", "1"]
    text = run("04_why_skip_connections.py", out, *arguments, backend=backend)
    assert "by hand and ready-made differ by 0\n" in text
    for kind in ("plain   ", "residual"):
        assert f"{kind} 20: 20 layers, 17,254 parameters" in text
        assert f"{kind} 56: 56 layers, 54,214 parameters" in text
    assert float(re.search(r"20 layers and these 56 differ by (\S+)", text)[1]) < 1e-5
    signal, back, _ = table(text, "plain, no norm")
    assert signal < 0.01 and back < 0.1
    assert table(text, "residual, no norm")[0] > 100
    signal, back, _ = table(text, "plain, batch norm")
    assert 0.5 < signal < 2 and back > 300
    assert table(text, "residual, batch norm")[1] < 0.1 * back
    agree = {name: rows(text, name)[0] for name in ("plain 56", "residual 56")}
    assert sum(agree["residual 56"]) > 0.3 + sum(agree["plain 56"])  # three parts of the depth
    last = {name: rows(text, name, " %")[-1] for name in agree}  # loss, error, on new digits
    if backend == "numpy":
        assert last["residual 56"][0] < 0.7 * last["plain 56"][0]
        assert last["residual 56"][1] < last["plain 56"][1]
    lengths = [row.split() for row in re.findall(r"^(?:weights|direction) +\[(.+)\]$", text, re.M)]
    assert len(lengths) == 2 and lengths[0] == lengths[1]
    around = rows(text, "residual 56, early")
    assert len(around) == 1 and around[0][1] > around[0][2]  # λ max, λ min
    assert "the last 8 channels are x: True" in text
    assert float(re.search(r"what passes beside differs by (\S+)", text)[1]) < 1e-4
    assert [row[1] for row in rows(text, "adding")] == [8] * 5
    assert [row[1] for row in rows(text, "growing by 8")] == [16, 24, 32, 40, 48]
    doubling = rows(text, "doubling")
    assert [row[1] for row in doubling] == [16, 32, 64, 128, 256]
    assert doubling[-1][3] > 5 * rows(text, "adding")[-1][3]  # MiB
    assert rows(text, "plain 56", " MiB")[-1] == rows(text, "residual 56", " MiB")[-1]
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in SKIPS)


def rows(text: str, name: str, unit: str = "") -> list[list[float]]:
    """The numbers of every line of a table that begins with `name` and ends in `unit`."""
    found = re.findall(rf"^{name} +([-\d.][-\d.,% MiBe+]*{unit})$", text, re.M)
    return [
        [float(c.replace(",", "")) for c in line.split() if c not in "% MiB-"] for line in found
    ]


UPSAMPLING = "1_places 2_copy_and_mix 3_zeros 4_overlaps 5_new_layers 6_patterns 7_race".split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_05_upsampling(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    text = run("05_upsampling.py", out, "--quick", backend=backend)
    assert "align_corners=False: [1.   1.25 1.75 2.25 2.75 3.25 3.75 4.  ]" in text
    gaps = re.findall(r"differs? by (\S+)", text.replace("but for the edge, by", "differs by"))
    assert len(gaps) == 6 and all(float(gap.rstrip(";")) < 1e-5 for gap in gaps)
    sizes = re.findall(r"(\d+) \(rule: (\d+)\)", text)
    assert len(sizes) == 8 and all(size == rule for size, rule in sizes)
    assert "kernel 3: a 2 × 2 block in the middle gets [[4, 2], [2, 1]]" in text
    assert "kernel 4: a 2 × 2 block in the middle gets [[4, 4], [4, 4]]" in text
    assert "equals the counts for 3: True" in text
    norms = re.findall(r"^(None|NormType\.\w+) +(\S+) +(\S+)$", text, re.M)
    assert len(norms) == 5 and all(float(r) > 0.5 and i == "0.000" for _, r, i in norms)
    assert float(re.search(r"norm first, ICNR second: (\S+)", text)[1]) > 0.5
    rows = re.findall(r"^(\S.{16})((?: +[\d.]+){8})$", text, re.M)
    race = {name.strip(): [float(x) for x in found.split()] for name, found in rows}
    assert len(race) == 7  # digits: first, mean, last; walls: the same; error; cost
    assert race["shuffle, random"][0] > 2 > 0.5 > race["shuffle, ICNR"][0]
    assert race["shuffle, random"][3] > 2 and race["shuffle, ICNR"][3] == 0
    for name in ("ICNR and blur", "nearest + conv", "bilinear + conv"):
        assert race[name][3:6] == [0, 0, 0]
    for name in ("transposed 3 × 3", "transposed 4 × 4", "shuffle, random", "shuffle, ICNR"):
        assert race[name][5] > 0.5
    assert all((out / f"{name}.png").stat().st_size > 2_000 for name in UPSAMPLING)


STREETS = ("1_batch 2_moves 3_the_u 4_lr_find 5_losses 6_accuracy 7_predictions 8_iou").split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_06_unet_camvid(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    text = run("06_unet_camvid.py", out, "--quick", backend=backend)
    assert "CamVid was neither found nor fetched: drawn streets instead." in text
    assert "Total params:  41133018" in text and "152 rows" in text
    assert "Total trainable params:  19865370" in text
    assert "cross connections after children [2, 4, 5, 6]" in text
    assert "shuffled: (1, 256, 46, 60)  across: (1, 128, 45, 60)" in text
    assert "joined: (1, 384, 45, 60)  out: (1, 384, 45, 60)  differs by 0.0" in text
    assert "3 layer groups" in text
    losses = re.findall(r"^\d +([\d.]+) +([\d.]+)", text, re.M)
    assert len(losses) == 5 and float(losses[-1][1]) < float(losses[0][1])
    always = float(re.search(r"always the same answer: ([\d.]+)", text)[1])
    assert float(re.search(r"from nothing: accuracy ([\d.]+)", text)[1]) > always
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in STREETS)


MENDING = (
    "1_pairs 2_generator 3_generator 4_generated_or_real 5_gan_losses 6_progress 7_before_after "
    "8_closer 9_restored"
).split()


def table(text: str, name: str) -> list[float]:
    """The numbers of the last line of a table that begins with `name`."""
    cells = re.findall(rf"^{name} +([-\d.][^\n]*)$", text, re.M)[-1].split()
    return [float(cell.rstrip("%")) for cell in cells]


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_07_superres_gan(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    arguments = ["--quick"] if backend == "numpy" else ["--quick", "--epochs", "2"]
    text = run("07_superres_gan.py", out, *arguments, backend=backend)
    assert "The pets were neither found nor fetched: drawn photos instead." in text
    assert "60 pictures made, 0 failed" in text
    assert "128 → (1, 25); 192 → (1, 81); 256 → (1, 169)" in text
    assert "the lesson's critic: 44,705,665" in text
    assert "54 predictions written" in text
    assert "turns as specified: True" in text
    spoiled, better = table(text, "the spoiled photo"), table(text, "squared error")
    assert spoiled[3] > 3 * spoiled[4]  # what is off: numbers, others
    if backend == "numpy":
        assert better[0] > spoiled[0] and better[3] < 0.7 * spoiled[3]
    assert "restored: (32, 32) → (64, 64)" in text
    assert (out / "progress.gif").stat().st_size > 5_000
    assert all((out / f"{name}.png").stat().st_size > 2_000 for name in MENDING)


DRAWING = (
    "1_real 2_distances 3_distance 4_progress 5_samples 6_classes 7_between 8_penalty "
    "9_distance_photos 10_photos"
).split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_08_wgan(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    arguments = ["--quick"] if backend == "numpy" else ["--quick", "--epochs", "1"]
    text = run("08_wgan.py", out, *arguments, backend=backend)
    one, two = (float(x) for x in re.findall(r"apart: the critic says ([\d.]+)", text))
    assert 1.8 < two / one < 2.8
    assert "64 pixels: generator 3,613,696, critic 2,802,624 parameters" in text
    assert "32 pixels: generator 1,066,880, critic 661,312 parameters" in text
    assert "the first batches: c c c c c g c c c c c g" in text
    assert "the critic's largest weight after any batch: 0.0100" in text
    sure = {name: table(text, name)[0] for name in ("real digits", "drawn by the generator")}
    assert sure["real digits"] > 0.6
    assert all((out / f"{name}.png").stat().st_size > 2_000 for name in DRAWING)


FEATURES = "1_pairs 2_furs 3_turned 4_features 5_losses 6_photo_1 6_photo_2 6_photo_3".split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_09_superres_feature_loss(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    arguments = ["--quick"] if backend == "numpy" else ["--quick", "--epochs", "1"]
    text = run("09_superres_feature_loss.py", out, *arguments, backend=backend)
    assert float(re.search(r"by hand: [\d.]+, differs by (\S+)", text)[1]) < 1e-4
    assert "layers [22, 32, 42], 705 million products a picture" in text
    assert "1,954,165 parameters" in text
    furs = {n: table(text, n) for n in ("one that could be", "the mean", "the median")}
    gram = {name: numbers[-1] for name, numbers in furs.items()}
    assert gram["one that could be"] < 0.5 * min(gram["the mean"], gram["the median"])
    rows = re.findall(r"^features_1: validation loss ([\d.]+) before, ([\d.]+) after", text, re.M)
    assert len(rows) == 1
    if backend == "numpy":
        assert float(rows[0][1]) < float(rows[0][0])
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in FEATURES)


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


NUMBERS = (
    "1_basic 2_three_words 3_loop 4_every_word 5_by_place 6_rnn 7_stacked 8_all_models "
    "9_reach_new 9_reach_trained 10_by_place_in_number"
).split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_10_human_numbers(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    text = run("10_human_numbers.py", out, "--quick", backend=backend)
    assert "38 words; 50,079 and 13,017 tokens" in text
    rows = re.findall(r"^(\d) +([\d.]+) +([\d.]+)$", text, re.M)  # the dictionary
    assert rows[7][1] == "1.000" and max(float(row[2]) for row in rows) < 0.34
    assert re.findall(r"([\d,]+) parameters", text) == ["9,190", "13,350", "54,950"]
    assert "same scores: True" in text
    assert float(re.search(r"difference of a gradient: (\S+)", text)[1]) < 1e-6
    assert float(re.search(r"sweep and loop differ by (\S+)", text)[1]) < 1e-5
    table = re.findall(r"^(\d) +([\d.]+) +([\d.]+) +(0\.\d+)$", text, re.M)
    last = [float(row[1]) for row in table]
    assert [row[3] for row in table] == ["0.409", "0.393", "0.350", "0.443", "0.615", "0.807"]
    assert last[0] == last[1] > 0.25 > last[2] and min(last[3:]) > 0.35 and last[5] > 0.5
    new = re.search(r"new: 20 words back.*model 3 (\S+), RNN (\S+), GRU (\S+), LSTM (\S+)", text)
    assert max(float(new[1]), float(new[2])) < 1e-2 * min(float(new[3]), float(new[4]))
    assert re.search(r"two thousand four hundred ninety eight , (\w+ |, ){29}[\w,]+$", text, re.M)
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in NUMBERS)


def test_lesson_10_and_the_library_have_the_same_models() -> None:
    """The lesson spells its models out; the library has them with docstrings and checks."""
    lesson, library = (
        _classes(ROOT / file)
        for file in ("lessons/10_human_numbers.py", "minitorch7/text/models.py")
    )
    names = [f"Model{i}" for i in range(6)]
    assert [name for name in lesson if name.startswith("Model")] == names
    for name in names:
        assert lesson[name] == library[name]


class _Bare(ast.NodeTransformer):
    """Without type hints, docstrings, and the line that checks the words."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        told = isinstance(node.value, ast.Constant)
        check = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "check_words"
        return None if told or check else node


def _classes(file: Path) -> dict[str, str]:
    tree = ast.parse(file.read_text())
    found = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: ast.unparse(_Bare().visit(node)) for node in found}
