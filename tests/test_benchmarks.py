"""The benchmarks' rivals: each has the planned networks, and all compute the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import rivals  # noqa: E402
import train_step  # noqa: E402
from models import RECIPES  # noqa: E402
from rivals import grid, jobs, large, networks, options, rounds, start  # noqa: E402

COMPARED = [("pytorch", "basic"), ("pytorch", "refactored"), ("pytorch", "resnet")]
COMPARED += [("pytorch", "resnet34"), ("pytorch", "unet"), ("pytorch", "residual-c4-d2-p8")]
COMPARED += [("pytorch", "camvid_unet"), ("dezero", "basic"), ("dezero", "resnet")]
COMPARED += [("pytorch", "gru")]
COMPARED += [("jax_jit", "basic"), ("jax_jit", "residual-c4-d2-p8")]
OPERATIONS = {  # one of each kind, with two pictures
    case.kind: case._replace(x=(2, *case.x[1:])) for case in grid.CASES.values()
}


# ------------------------------------------------------------------------- all compute the same


@pytest.mark.parametrize("model", start.SMALL)
def test_plan_is_the_lessons_network(model):
    shapes = [p.shape for p in RECIPES[model].make().parameters()]
    assert shapes == [w.shape for w in start.parameters(model, seed=0)]


@pytest.mark.parametrize("model", [*start.LARGE, "residual-c8-d3-p16"])
def test_plan_is_the_larger_network(model):
    from minitorch7 import functional as F
    from minitorch7 import nn

    net = networks.make(model, nn, F.cat)
    planned = [shape for layer in large.layers(model) for shape in layer.shapes()]
    assert [p.shape for p in net.parameters()] == planned
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [len(mean) for mean, _ in start.running(model, 0)] == [m.num_features for m in norms]


@pytest.mark.parametrize("rival", ["minitorch7", "pytorch"])
def test_plan_is_fastais_unet(rival):
    if rivals.load(rival).available():
        pytest.skip(rivals.load(rival).available())
    net = rivals.load(rival).camvid_unet()
    planned = [shape for layer in large.layers(start.CAMVID_UNET) for shape in layer.shapes()]
    assert [tuple(p.shape) for p in net.parameters()] == planned
    assert sum(int(np.prod(shape)) for shape in planned) == 31_024_858
    x, target = start.batch_of(start.CAMVID_UNET, 2, seed=0)
    assert (x.shape, target.shape) == ((2, 3, 96, 128), (2, 96, 128))


def test_plan_is_the_lessons_network_for_words():
    from minitorch7 import functional as F
    from minitorch7 import nn

    planned = [p.shape for p in start.parameters(start.GRU, 0)]
    assert [p.shape for p in networks.make(start.GRU, nn, F.cat).parameters()] == planned
    assert sum(int(np.prod(shape)) for shape in planned) == 54_950
    x, target = start.batch_of(start.GRU, 3, seed=0)
    assert (x.shape, target.shape) == ((3, 20), (60,))
    assert (x[:, 1:] == target.reshape(3, 20)[:, :-1]).all()  # each word's target is the next


def test_plans_have_the_known_numbers_of_parameters():
    sizes = [sum(w.size for w in start.parameters(m, seed=0)) for m in start.SMALL]
    assert sizes == [12_126, 12_044, 41_132]
    shapes = [shape for layer in large.layers("resnet34") for shape in layer.shapes()]
    assert sum(int(np.prod(shape)) for shape in shapes) == 21_797_672  # torchvision's resnet34


@pytest.mark.parametrize("name", ["resnet35", "residual-c0-d1-p8", "residual-c8-d1"])
def test_unknown_networks_are_named(name):
    with pytest.raises(ValueError, match=f"no network '{name}'"):
        start.spec(name)
    with pytest.raises(ValueError, match=f"no network '{name}'"):
        large.layers(name)


@pytest.fixture
def one_torch_thread():
    """PyTorch's threads wait for one another in a loop: dear where the tests share the cores."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ready(rival: str, request, monkeypatch) -> None:
    """Skip where the rival cannot run, and hold it to one thread."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # compile fast
    reason = rivals.load(rival).available()
    if reason:
        pytest.skip(reason)
    if rival == "pytorch":
        request.getfixturevalue("one_torch_thread")


@pytest.fixture
def small_pictures(monkeypatch):
    """The larger networks on few pixels and with few channels, but with all their layers."""
    sizes = {name: start.SPECS[name]._replace(pixels=32) for name in start.LARGE}
    sizes[start.CAMVID_UNET] = start.SPECS[start.CAMVID_UNET]._replace(pixels=32, wide=48)
    monkeypatch.setattr(start, "SPECS", {**start.SPECS, **sizes})
    stages = [(nf // 8, blocks) for nf, blocks in large.STAGES]
    levels = tuple(nf // 8 for nf in large.LEVELS)
    for module in (large, networks):
        monkeypatch.setattr(module, "STAGES", stages)
        monkeypatch.setattr(module, "LEVELS", levels)


@pytest.mark.parametrize("rival, model", COMPARED)
def test_first_losses_are_the_same(rival, model, request, monkeypatch, small_pictures):
    ready(rival, request, monkeypatch)
    made = {name: jobs.train(rivals.load(name), model, 16, 0) for name in (rivals.OURS, rival)}
    found = {name: job.check() for name, job in made.items()}
    assert not rounds.disagreements(found, made[rival].tolerance)


@pytest.mark.parametrize("model", ["basic", "resnet", "resnet34", "unet", "residual-c4-d2-p8"])
@pytest.mark.parametrize("rival", ["pytorch", "jax_jit"])
def test_scores_are_the_same(rival, model, request, monkeypatch, small_pictures):
    ready(rival, request, monkeypatch)
    found = {n: jobs.inference(rivals.load(n), model, 2, 0).check() for n in (rivals.OURS, rival)}
    assert not rounds.disagreements(found)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("rival", ["pytorch", "jax_jit"])
def test_operations_are_the_same(rival, name, request, monkeypatch):
    ready(rival, request, monkeypatch)
    monkeypatch.setattr(grid, "CASES", OPERATIONS)
    both = (rivals.OURS, rival)
    for backward in (False, True):
        found = {n: jobs.operation(rivals.load(n), name, backward, 0).check() for n in both}
        assert not rounds.disagreements(found)


@pytest.mark.parametrize("rival", ["pytorch", "jax_jit"])
def test_adam_is_the_same(rival, request, monkeypatch):
    ready(rival, request, monkeypatch)
    found = {n: jobs.adam(rivals.load(n), "basic", 0).check() for n in (rivals.OURS, rival)}
    assert not rounds.disagreements(found)


def test_losses_fall_and_depend_on_the_seed():
    one, two = (train_step.losses_of(rivals.OURS, "basic", 16, seed) for seed in (0, 1))
    assert one[-1] < one[0] and two[-1] < two[0]
    assert rounds.disagreements({"one": one, "two": two})


@pytest.mark.parametrize("off", [0.002, float("nan")])
def test_another_loss_is_noticed(off):
    losses = {"a": [2.0, 1.9], "b": [2.0, 1.9], "c": [2.0, 1.9 + off]}
    assert "c " in rounds.disagreements(losses)
    del losses["c"]
    assert rounds.disagreements(losses) == ""


def test_fingerprints_see_size_and_place():
    a = np.random.default_rng(0).standard_normal((3, 4, 5))
    one = jobs.fingerprints([a])
    assert jobs.fingerprints([a.astype(np.float32)]) == pytest.approx(one, abs=1e-5)
    louder, elsewhere = jobs.fingerprints([1.01 * a]), jobs.fingerprints([a.transpose(0, 2, 1)])
    assert rounds.disagreements({"a": one, "b": louder})
    assert rounds.disagreements({"a": one, "b": elsewhere})


def test_every_rival_says_whether_it_can_run():
    for name in rivals.NAMES:
        reason = rivals.load(name).available()
        assert reason is None or isinstance(reason, str)
        assert rivals.TITLES[name]


def test_who_takes_part():
    assert rivals.takes_part("dezero", "build", "resnet")
    assert not rivals.takes_part("dezero", "build", "unet")
    assert not rivals.takes_part("dezero", "build", start.CAMVID_UNET)
    assert rivals.takes_part("pytorch_compile", "build", start.CAMVID_UNET)
    assert rivals.takes_part("pytorch_compile", "build", large.FAMILY)
    taking_part = [n for n in rivals.NAMES if rivals.takes_part(n, "build", start.GRU)]
    assert taking_part == ["minitorch7", "pytorch"]
    assert options.known("build_segmenter") == ["minitorch7", "pytorch"]
    assert not rivals.takes_part("dezero", "build_operation")
    assert rivals.takes_part("jax_jit", "build", large.FAMILY)
    assert not rivals.takes_part("jax_jit", "build", start.CAMVID_UNET)
    assert not rivals.takes_part("jax_jit", "build_loader")
