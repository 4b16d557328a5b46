"""Every lesson runs in --quick, on NumPy and on the stand-in, and what it prints still holds."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

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


ENGINE = (
    "1_step 2_neuron 3_doubled 4_paths 5_broadcast 6_orders 7_newton 8_graph 9_residual 10_both"
).split()


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_01_tensors_and_gradients(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    text = run("01_tensors_and_gradients.py", out, "--quick", backend=backend)
    # a slope, and the step that is best for it
    rows = re.findall(r"^float(\d\d) (forward|central) +(\S+) +(\S+) +(\S+)$", text, re.M)
    steps = {(kind, rule): [float(x) for x in found] for kind, rule, *found in rows}
    assert len(steps) == 4
    assert all(0.1 < best / expected < 10 for best, _, expected in steps.values())
    error = {key: found[1] for key, found in steps.items()}
    assert 1e-4 < error["32", "forward"] < 1e-3 and error["64", "central"] < 1e-10
    # the scalar engine, and the order it needs
    found = re.findall(r"^[wxb]: (\S+), finite difference (\S+)$", text, re.M)
    assert len(found) == 3 and all(abs(float(a) - float(b)) < 2e-8 for a, b in found)
    long, short, both = re.search(r"long way (\S+) \+ short way (\S+) = (\S+)", text).groups()
    assert abs(float(long) + float(short) - float(both)) < 2e-4 and found[0][0].startswith(both[:5])
    visits = re.findall(r"^doubled +(\d+) times: +(\d+) numbers, (\d+) visits$", text, re.M)
    assert [(int(n), int(v)) for _, n, v in visits] == [
        (n + 1, 2 ** (n + 1) - 1) for n in (1, 2, 3, 4, 10)
    ]
    assert "every path: 4.0\n" in text and "in topological order: 4.0\n" in text
    assert "pass on what is there: 6.0\n" in text and "visit once: 2.0\n" in text
    slow, fast = re.search(r"every path (\S+) s, in order (\S+) s", text).groups()
    assert float(slow) > 10 * float(fast)
    assert "calling itself: RecursionError: maximum recursion depth exceeded" in text
    assert "with a list: 1.0\n" in text and "the library: 1.0\n" in text
    # arrays
    neuron = [float(x) for x in re.search(r"again: \[(.*)\]", text)[1].split(", ")]
    assert all(abs(a - float(b)) < 1e-5 for a, (b, _) in zip(neuron, found, strict=True))
    assert "Jacobian: 321,126,400 numbers; gradient: 50,176" in text
    summed, columns = re.search(r"gradient of b: (.*\]) +columns of G: (.*)$", text, re.M).groups()
    assert summed == columns
    assert "(1, 8, 1, 1)  (16, 8, 7, 7) (0, 2, 3)" in text
    gaps = re.findall(r"^d[XW] = .*differs by (\S+), differences by (\S+)$", text, re.M)
    assert len(gaps) == 2 and all(float(a) < 1e-14 and float(b) < 1e-7 for a, b in gaps)
    # a second backward
    grown = re.findall(r"^gradient: (.*)$", text, re.M)
    assert grown == ["[2.0, 4.0]", "[4.0, 8.0]", "[6.0, 12.0]"]
    assert float(re.search(r"whole differ by (\S+)", text)[1]) < 1e-5
    joined = " ".join(text.split())
    assert "walked and freed already; pass retain_graph=True the first time" in joined
    assert "with retain_graph=True: [4.0, 8.0]" in text
    assert "it should be 8, and is 12.0" in text
    assert "requires_grad = False" in text and "equals w: [1.0, 2.0]" in text
    assert "was changed in place after it was used" in joined
    # second derivatives
    orders = [float(x) for x in re.findall(r"^order \d: off by (\S+)$", text, re.M)]
    assert len(orders) == 4 and max(orders) < 1e-13
    newton = [float(x) for x in re.findall(r"^Newton, step \d: .* value (\S+)$", text, re.M)]
    assert len(newton) == 7 and newton[-2] < 1e-8 and newton[-1] < 1e-15
    assert float(re.search(r"descent, \d+ steps: value (\S+)", text)[1]) > 0.1
    # an operation of one's own, and which check notices what
    assert float(re.search(r"differs from the library's by (\S+)", text)[1]) < 1e-14
    assert "gradcheck: True\ngradgradcheck: True\n" in text
    assert re.search(r"^Softmax +passes +passes$", text, re.M)
    for wrong in ("Nothing", "NoFactor", "PlainMean"):
        assert re.search(rf"^{wrong} +passes +fails$", text, re.M)
    blind, random = re.findall(r"^batch norm, .*: largest gradient (\S+)$", text, re.M)
    assert float(blind) < 1e-12 and float(random) > 0.1
    assert re.search(r"gradcheck: the gradient of input 0 at .* is \S+ by backward but", text)
    # the graph, and a network trained by both engines
    assert "8 operations, 4 leaves" in text
    lasts = re.findall(r"^(?:library|Number) +100 steps in +\S+ s, last loss (\S+)$", text, re.M)
    assert len(lasts) == 2 and lasts[0] == lasts[1] and float(lasts[0]) < 0.5
    assert float(re.search(r"all 105 weights agree to (\S+)", text)[1]) < 1e-12
    assert float(re.search(r"on the right side: (\S+)%", text)[1]) > 85
    times = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+)$", text, re.M)
    assert [row[0] for row in times] == ["15", "37", "105", "337"]
    assert float(times[-1][1]) > 2 * float(times[0][1])
    if backend == "numpy":
        assert float(times[-1][1]) > 2 * float(times[-1][2])
    assert all((out / f"{name}.png").stat().st_size > 3_000 for name in ENGINE)


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


CONVOLUTIONS = "1_edges 2_windows 3_columns 4_matrix 5_speed 6_fields".split()
FILMS = {"plain": 9, "padding": 25, "stride": 9, "dilation": 9, "transposed": 9}  # frames


@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_02_convolutions(tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    text = run("02_convolutions.py", out, "--quick", backend=backend)
    assert "result: (1, 2, 26, 26)" in text
    gaps = re.findall(r"(?:differs|differs from the (?:layer|last frame)) by (\S+)", text)
    assert len(gaps) == 16 and all(float(gap.rstrip(",")) < 1e-4 for gap in gaps)
    assert float(re.search(r"on an even grey: at most (\S+)", text)[1]) < 1e-6

    # sizes, and what is never read
    films = re.findall(r"gif: (\d) → (\d), (\d+) pixels never read; .* the same: True$", text, re.M)
    assert films == [("5", "3", "0"), ("5", "5", "0"), ("8", "3", "15"), ("7", "3", "0")]
    sizes = re.findall(r"^ *\d+ +\d +\d +\d +\d +(\d+) +(\d+) +(\d+)$", text, re.M)
    assert [int(size) for size, _, _ in sizes] == [26, 28, 14, 4, 3, 3, 28, 28, 14, 14, 15, 112]
    assert all(size == rule for size, rule, _ in sizes)
    assert [int(unread) for _, _, unread in sizes] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 14, 0]
    assert "630 convolutions of every kind; the rule is wrong for 0" in text
    found = re.search(r"(\d+) transposed ones; the rule is wrong for (\d+), .* for (\d+)", text)
    assert int(found[1]) > 300 and found[2] == found[3] == "0"

    # one product, one matrix, and the gradients
    assert "[[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]" in text
    assert "padding 1: columns are 9 times larger" in text
    assert "same size: (25, 25)  stride 2: (9, 49)" in text
    assert "A is (196, 784), 1.09 % of it is not 0" in text
    rows = re.findall(r"^ +\d +\d +(\S+) +(\S+) +(\S+) +(\S+)$", text, re.M)
    assert len(rows) == 4 and all(float(gap) < 1e-8 for row in rows for gap in row)
    both = re.search(r"from one set of columns: (\S+) (\S+)", text)
    assert max(float(both[1]), float(both[2])) < 1e-12

    # speed: what must hold on any machine
    assert "28,901,376 products" in text
    ms = {name: table(text, name)[0] for name in ("seven loops", "nine slices")}
    ms["library"] = table(text, "the library")[0]
    assert ms["seven loops"] > 1000 * ms["library"] and ms["nine slices"] > ms["library"]
    assert "four loops over arrays after seven loops: faster" in text
    assert len(re.findall(r"^.* after .*: (?:faster|NOT faster here)$", text, re.M)) == 6

    # parameters, products, receptive fields
    rows = re.findall(r"^(\S.{19}) +([\d,]+) +([\d,]+) +([\d.]+) +[\d.]+$", text, re.M)
    counts = {name.strip(): int(n.replace(",", "")) for name, n, _, _ in rows}
    assert counts == {
        "5 × 5": 102400,
        "3 × 3": 36864,
        "3 × 3 twice": 73728,
        "3 × 1, then 1 × 3": 24576,
        "3 × 3, 4 groups": 9216,
        "depthwise + 1 × 1": 64 * 9 + 64 * 64,
        "1 × 1": 4096,
    }
    assert all(int(p.replace(",", "")) == 196 * counts[n.strip()] for n, _, p, _ in rows)
    fields = re.findall(r"^ +\d +(\d+) +(\d+) +(\d+) +(\d+) .* agree$", text, re.M)
    assert [[int(n) for n in row] for row in fields] == [
        [14, 3, 2, 14],
        [7, 7, 4, 12],
        [4, 15, 8, 16],
        [2, 31, 16, 16],
        [1, 63, 32, 0],
    ]
    assert "DIFFER" not in text
    assert all((out / f"{name}.png").stat().st_size > 5_000 for name in CONVOLUTIONS)
    for name, frames in FILMS.items():
        with Image.open(out / f"{name}.gif") as film:
            assert film.n_frames == frames and film.info["loop"] == 0
        assert 10_000 < (out / f"{name}.gif").stat().st_size < 300_000


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
