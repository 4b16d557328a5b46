"""The GPU's benchmarks: what is counted, who takes turns, the report, and runs without a GPU."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import functional as F

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import gpu_all  # noqa: E402
import gpu_memory  # noqa: E402
import gpu_ops  # noqa: E402
import gpu_roofline  # noqa: E402
import gpu_train  # noqa: E402
from rivals import (  # noqa: E402
    gpu_card,
    gpu_ceilings,
    gpu_count,
    gpu_crew,
    gpu_launches,
    gpu_ours,
    gpu_report,
    gpu_start,
    gpu_worker,
    grid,
    machine,
)

SCRIPTS = ("gpu_roofline", "gpu_ops", "gpu_train", "gpu_memory", "gpu_all")
OURS, CAPTURED, EAGER = gpu_crew.OURS, gpu_crew.CAPTURED, gpu_crew.EAGER
PNG = b"\x89PNG"
no_cupy = pytest.mark.skipif(gpu_card.missing() is None, reason="this machine has a GPU")
no_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="no torch")


def run(script: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """A script in a process of its own."""
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *map(str, arguments)]
    env = machine.environment(1) | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def own_grid(monkeypatch):
    """The table of operations, to be changed at will."""
    monkeypatch.setattr(grid, "CASES", dict(grid.CASES))


# ---------------------------------------------------------------------------------- the counting

CONV = grid.Case("conv2d", "made up", (2, 3, 5, 5), (4, 3, 3, 3), {"stride": 2, "padding": 1})
BY_HAND = [  # case, operations and bytes forward, with gradients
    # 2·4·3·3 outputs of 27 products each; 150 + 108 + 72 elements
    (CONV, (2 * 72 * 27, 4 * 330), (3 * 2 * 72 * 27, 3 * 4 * 330)),
    # the first layer's input needs no gradient
    (CONV._replace(first=True), (3888, 1320), (2 * 3888, 2 * 1320)),
    # 2·3·2·2 inputs, each into 4·4·4 outputs; 24 + 192 + 2·4·4·4 elements
    (
        grid.Case("conv_transpose2d", "", (2, 3, 2, 2), (3, 4, 4, 4), {"stride": 2, "padding": 1}),
        (2 * 24 * 64, 4 * (24 + 192 + 128)),
        (6 * 24 * 64, 3 * 4 * (24 + 192 + 128)),
    ),
    # 2·5 outputs of 7 products; input 14, weight 35, shift 5, output 10
    # back: input, its gradient's 10 twice, weight twice and both gradients of weight and shift
    (
        grid.Case("linear", "", (2, 7), (5, 7)),
        (140, 4 * (14 + 35 + 5 + 10)),
        (420, 4 * (64 + (14 + 10 + 35 + 5) + (10 + 35 + 14))),
    ),
    (grid.Case("relu", "", (2, 3, 4, 4)), (None, 4 * 192), (None, 4 * (192 + 288))),
    (
        grid.Case("max_pool2d", "", (2, 3, 4, 4), None, {"kernel_size": 2, "stride": 2}),
        (None, 4 * (96 + 24)),
        (None, 8 * (96 + 24)),
    ),
    (
        grid.Case("adaptive_avg_pool2d", "", (2, 3, 4, 4), None, {"output_size": 1}),
        (None, 4 * (96 + 6)),
        (None, 8 * (96 + 6)),
    ),
    (
        grid.Case("batch_norm", "", (2, 3, 4, 4)),
        (None, 4 * (3 * 96 + 6)),
        (None, 4 * (8 * 96 + 6 + 9)),
    ),
    # 6 classes of int64, read both ways
    (
        grid.Case("cross_entropy", "", (6, 10)),
        (None, 4 * 61 + 48),
        (None, 4 * (61 + 121) + 96),
    ),
]


@pytest.mark.parametrize("case, forward, both", BY_HAND, ids=lambda of: getattr(of, "kind", ""))
def test_work_is_what_a_hand_counts(case, forward, both):
    assert gpu_count.work(case, backward=False) == forward
    assert gpu_count.work(case, backward=True) == both


def test_output_shapes_are_the_operations_own(own_grid):
    gpu_start.add_wide()
    for case in grid.CASES.values():
        if np.prod(case.x) * (np.prod(case.w) if case.w else 1) > 5e8:
            continue  # too much to compute here; of a kind with the others
        case = case._replace(x=(2, *case.x[1:]))
        values, target = grid.inputs(case, 0)
        f = grid.function(F, case, None if target is None else mt.tensor(target))
        with mt.no_grad():
            assert f(*map(mt.tensor, values)).shape == gpu_count.output_shape(case), case.name


def test_products_and_adam():
    assert gpu_count.product(10) == 2000
    assert gpu_count.adam(100) == (None, 2800)


def test_the_least_time_is_the_later_of_two():
    work = gpu_count.Work(flops=4_000_000, nbytes=1_000_000)
    assert work.least_ms(gbytes=1, gflops=1000) == 1  # 1 MB at 1 GB/s; the products take 4 µs
    assert work.least_ms(gbytes=1000, gflops=1) == 4
    assert gpu_count.Work(None, 1_000_000).least_ms(2, 1) == 0.5


def test_rates_and_share_of_a_row():
    r = {"median_ms": 2.0}
    gpu_ops.add_rates(r, gpu_count.Work(6_000_000, 2_000_000), gbytes=4, gflops=6)
    assert (r["gb_s"], r["gflop_s"], r["share"]) == (1, 3, 0.5)
    gpu_ops.add_rates(r, gpu_count.Work(None, 2_000_000), gbytes=4, gflops=None)
    assert (r["gflop_s"], r["share"]) == (None, 0.25)
    gpu_ops.add_rates(r, gpu_count.Work(6, 2), gbytes=None, gflops=None)
    assert r["share"] is None


def test_wide_operations_have_names_of_their_own(own_grid):
    before = len(grid.CASES)
    gpu_start.add_wide()
    assert len(grid.CASES) == before + 7
    assert "conv2d 3×3 s1 96→96 180×240 batch 8" in grid.CASES
    assert grid.CASES["conv2d 7×7 s2 3→64 360×480 batch 8"].first


def test_tiny_operations_are_one_of_each_kind(own_grid):
    names = gpu_start.make_tiny()
    kinds = [grid.CASES[name].kind for name in names]
    assert sorted(kinds) == sorted(set(grid.KINDS) - {"adam"})
    assert all(case.x[0] == 2 for case in grid.CASES.values())


# ------------------------------------------------------------------------------- the U-Net's start


def test_the_unet_is_the_published_one(monkeypatch):
    monkeypatch.setattr(gpu_start, "_TINY_PIXELS", 64)
    arrays = gpu_start.parameters(gpu_start.UNET34, seed=0, tiny=True)
    assert sum(a.size for a in arrays) == 41_133_018  # the published table's total
    again = gpu_start.parameters(gpu_start.UNET34, seed=0, tiny=True)
    assert all((a == b).all() for a, b in zip(arrays, again, strict=True))
    s = gpu_start.spec(gpu_start.UNET34)
    assert (s.batch, gpu_start.size(gpu_start.UNET34)) == (8, (360, 480))
    x, y = gpu_start.batch_of(gpu_start.UNET34, 1, 0)
    assert (x.shape, y.shape) == ((1, 3, 360, 480), (1, 360, 480))


# -------------------------------------------------------------------------------- turns and ways


class Pretender:
    """A worker that answers without working: `script` has what it answers, by way."""

    script: dict[str, dict] = {}
    log: list[tuple] = []

    def __init__(self, way: str, tf32: bool, standin: bool) -> None:
        self.way = way
        self.log.append((way, "start"))

    def ask(self, ask: str, **request: object) -> dict:
        self.log.append((self.way, ask))
        answer = self.script[self.way].get(ask, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.log.append((self.way, "close"))


def pretended(monkeypatch, **answers: dict) -> gpu_crew.Crew:
    usual = {
        "facts": {"card": "A card"},
        "prepare": {"check": [1.0, 2.0], "ms": 10.0},
        "turn": {"ms": [10.0, 20.0, 30.0], "issue_ms": 1.0},
    }
    script = {way: usual | answers.get(way, {}) for way in gpu_crew.WAYS}
    monkeypatch.setattr(Pretender, "script", script)
    monkeypatch.setattr(Pretender, "log", [])
    return gpu_crew.Crew([OURS, EAGER], start=Pretender)


def test_ways_take_turns(monkeypatch):
    team = pretended(monkeypatch)
    found = team.compete("net", "train", {}, 2, 1e-3, extra=["launches"])
    turns = [way for way, ask in Pretender.log if ask == "turn"]
    assert turns == [OURS, EAGER, OURS, EAGER]
    assert [way for way, ask in Pretender.log if ask == "launches"] == [OURS, EAGER]
    assert len(found[OURS]["turns"]) == 2 and not team.failed
    rows = gpu_report.rows_of({"model": "net"}, found)
    assert [(r["way"], r["median_ms"], r["min_ms"]) for r in rows] == [
        (OURS, 20, 10),
        (EAGER, 20, 10),
    ]


def test_the_large_have_the_card_to_themselves(monkeypatch):
    team = pretended(monkeypatch)
    team.compete("net", "train", {}, 1, 1e-3, alone=True)
    assert Pretender.log.index((OURS, "close")) < Pretender.log.index((EAGER, "start"))
    assert not team.workers


def test_who_computes_something_else_is_not_timed(monkeypatch):
    team = pretended(monkeypatch, **{EAGER: {"prepare": {"check": [1.0, 2.1], "ms": 1.0}}})
    assert list(team.compete("net", "train", {}, 1, 1e-3)) == [OURS]
    assert "not the same computation" in team.failed["PyTorch eager: net"]
    assert (EAGER, "turn") not in Pretender.log and (EAGER, "close") in Pretender.log


@pytest.mark.parametrize("ask", ["prepare", "turn"])
def test_who_fails_is_left_out_and_the_others_go_on(monkeypatch, ask):
    team = pretended(monkeypatch, **{OURS: {ask: gpu_crew.WorkerError("out of memory")}})
    assert list(team.compete("net", "train", {}, 2, 1e-3)) == [EAGER]
    assert "out of memory" in next(iter(team.failed.values()))
    assert OURS not in team.workers


def test_who_cannot_run_here_is_absent_and_no_failure(monkeypatch):
    team = pretended(monkeypatch, **{EAGER: {"facts": {"lacks": "torch is not installed"}}})
    assert list(team.compete("net", "train", {}, 1, 1e-3)) == [OURS]
    assert team.absent == {EAGER: "torch is not installed"} and not team.failed


def test_the_pace_wakes_the_card():
    asked = gpu_crew.Crew([OURS])._pace(0.5)
    assert asked["repeats"] == 40 and asked["lead_in"] == 200  # 20 ms a look, 100 ms before
    assert gpu_crew.Crew([OURS])._pace(200)["lead_in"] == 1


def test_ratios_of_captured_and_uncaptured():
    def of(ms: float) -> dict:
        return {"turns": [{"ms": [ms], "issue_ms": ms}]}

    rows = gpu_report.rows_of({}, {OURS: of(3), CAPTURED: of(1), EAGER: of(2)})
    assert [(r["ratio"], r["captured_ratio"]) for r in rows] == [(1, 0.333), (3, 1), (1.5, 0.5)]
    alone = gpu_report.rows_of({}, {EAGER: of(2)})
    assert (alone[0]["ratio"], alone[0]["captured_ratio"]) == (None, None)


def test_memory_is_compared_like_with_like():
    rows = [
        {"way": OURS, "peak_mib": 50.0, "reserved_mib": 80.0},
        {"way": EAGER, "peak_mib": 100.0, "reserved_mib": 100.0},
        {"way": gpu_crew.GRAPH, "peak_mib": None, "reserved_mib": 160.0},
    ]
    gpu_memory.add_ratios(rows)
    assert [(r["ratio"], r["ratio_of"]) for r in rows] == [
        (1, "peak"),
        (0.5, "peak"),
        (0.5, "reserved"),
    ]


def test_tf32_and_who_takes_part():
    assert gpu_train.with_tf32(gpu_start.UNET34, "auto") and not gpu_train.with_tf32("gru", "auto")
    assert gpu_train.with_tf32("gru", "on") and not gpu_train.with_tf32(gpu_start.UNET34, "off")
    ways = [OURS, gpu_crew.COMPILED]
    assert gpu_train.ways_of("gru", ways) == [OURS] and gpu_train.ways_of("basic", ways) == ways


# ------------------------------------------------------------------------------------ the worker


class Slow:
    """A device of which each run takes 2 ms, whatever the host does."""

    def __init__(self) -> None:
        self.clock, self.waits = 0.0, 0

    def run(self) -> None:
        self.clock += 2

    def mark(self) -> float:
        return self.clock

    def elapsed(self, first: float, last: float) -> float:
        return last - first

    def wait(self) -> None:
        self.waits += 1

    def forget(self) -> None: ...

    def free_mib(self) -> float:
        return 1000 - self.clock

    def memory(self, run) -> dict:
        run()
        return {"peak": 1.0, "reserved": 2.0}

    def job(self, fails: bool = False) -> tuple:
        if fails:
            raise ValueError("no such\nthing")
        return self.run, lambda: [0.5]


def test_a_turn_is_timed_by_the_devices_marks():
    side = Slow()
    found = gpu_worker.turn(side, side.run, lead_in=3, samples=2, repeats=5)
    assert found["ms"] == [2, 2] and found["issue_ms"] < 2
    assert side.clock == 2 * (3 + 10 + 1)  # 2 ms are not short: the host is timed once


def test_a_worker_answers_errors_too():
    asked = [
        {"ask": "turn", "lead_in": 0, "samples": 1, "repeats": 1},
        {"ask": "prepare", "job": "job", "arguments": {"fails": True}},
        {"ask": "prepare", "job": "job", "arguments": {}},
        {"ask": "memory"},
        {"ask": "forget"},
        {"ask": "memory"},
    ]
    answers = io.StringIO()
    gpu_worker.serve(gpu_worker.Server(Slow()), map(json.dumps, asked), answers)
    first, second, third, fourth, fifth, sixth = map(json.loads, answers.getvalue().splitlines())
    assert first == sixth == {"error": "RuntimeError: no job is prepared"}
    assert second == {"error": "ValueError: no such thing"}
    assert third == {"check": [0.5], "ms": 2}
    assert fourth["taken"] == 2 * 8  # a run, the trial's lead and five, and that of `memory`
    assert fifth == {}


# ------------------------------------------------------------------------------ PyTorch's side


class Cuda:
    """What `torch.cuda` offers, as far as the jobs use it, over the processor."""

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            self.at = 0.0

        def record(self) -> None:
            import time

            self.at = time.perf_counter()

        def synchronize(self) -> None: ...

        def elapsed_time(self, other) -> float:
            return (other.at - self.at) * 1e3

    class Stream:
        def wait_stream(self, other) -> None: ...

    class CUDAGraph:
        replays = 0

        def replay(self) -> None:
            Cuda.CUDAGraph.replays += 1

    @staticmethod
    @contextlib.contextmanager
    def stream(of):
        yield

    graph = stream

    @staticmethod
    def current_stream() -> Cuda.Stream:
        return Cuda.Stream()

    @staticmethod
    def synchronize() -> None: ...

    empty_cache = reset_peak_memory_stats = synchronize

    @staticmethod
    def max_memory_allocated() -> int:
        return 3 * 2**20

    @staticmethod
    def memory_reserved() -> int:
        return 4 * 2**20

    @staticmethod
    def mem_get_info() -> tuple[int, int]:
        return 2**30, 2**31

    @staticmethod
    def is_available() -> bool:
        return True


@pytest.fixture
def tf32_as_before():
    import torch

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def ours(own_grid, monkeypatch):
    """Our side on the stand-in, and everything as before afterwards."""
    import standin
    from rivals.gpu_ours import Ours

    for name in ("CUPY_TF32", "MINITORCH7_KERNELS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(sys, "path", list(sys.path))
    active = mt.backend.active()
    with standin.installed():
        yield Ours(standin=True)
        mt.use(active)


def torch_side(mode: str = "eager"):
    from rivals.gpu_torch import Torch

    return Torch(mode, device="cpu", cuda=Cuda)


@no_torch
@pytest.mark.parametrize("model", ["resnet", "gru", gpu_start.UNET34])
def test_both_sides_start_from_the_same(ours, tf32_as_before, model):
    count, tolerance = gpu_start.checks(model)
    batch = gpu_start.spec(model, tiny=True).batch
    mine, check = ours.train(model, batch, seed=0)
    with contextlib.ExitStack() as inside:
        theirs = torch_side().train(model, batch, seed=0, tiny=True)[1]()
        assert len(theirs) == count
        assert check() == pytest.approx(theirs, abs=tolerance)
        inside.enter_context(ours.counter.no_sync())
        mine()


@no_torch
def test_both_sides_operations_agree(ours, tf32_as_before):
    side = torch_side()
    for name in grid.CASES:
        for backward in (False, True):
            mine = ours.operation(name, backward, seed=0)[1]()
            theirs = side.operation(name, backward, seed=0)[1]()
            assert mine == pytest.approx(theirs, abs=1e-3), name
    name = next(iter(grid.ADAM))
    assert ours.adam(name, 0)[1]() == pytest.approx(side.adam(name, 0)[1](), abs=1e-3)


@no_torch
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_products_of_ones_are_exact_on_both_sides(ours, tf32_as_before, kind):
    for side in (ours, torch_side()):
        assert side.product(16, kind)[1]() == [1, 1]
        side.copy(64)[0]()


@no_torch
def test_a_captured_step_starts_from_the_first_weights(tf32_as_before):
    """Warming up and capturing move weights and moments; they are put back in place."""
    import torch

    side = torch_side()
    net, adamw, steps = _small(side)
    before = [p.detach().clone() for p in net.parameters()]
    Cuda.CUDAGraph.replays = 0
    replay = side._captured(steps, net, adamw)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    assert all(not v.any() for state in adamw.state.values() for v in state.values())
    replay()
    assert Cuda.CUDAGraph.replays == 1


def _small(side):
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    adamw = side._optimizer(net.parameters())
    train = gpu_start.trainer(net, adamw, torch.nn.functional.cross_entropy)
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])
    return net, adamw, lambda: train(x, y)


@no_torch
def test_pytorchs_side_works_for_a_worker(tf32_as_before):
    server = gpu_worker.Server(torch_side())
    assert server.answer({"ask": "facts"})["torch"]
    ready = {"ask": "prepare", "job": "copy", "arguments": {"nbytes": 64}}
    assert server.answer(ready)["check"] == []
    asked = {"ask": "turn", "lead_in": 1, "samples": 2, "repeats": 3}
    assert len(server.answer(asked)["ms"]) == 2
    assert server.answer({"ask": "memory"}) == {"peak": 3, "reserved": 4, "taken": 0}
    assert server.answer({"ask": "launches"}) == {}  # a profiler that sees no device says nothing


def test_without_torch_its_ways_say_so(monkeypatch):
    from rivals import gpu_torch

    monkeypatch.setattr(gpu_torch.start, "missing", lambda *names: f"{names[0]} is not installed")
    assert gpu_torch.Torch("graph").lacks() == "torch is not installed"


def test_a_mode_that_this_minitorch7_lacks(ours, monkeypatch):
    ours.mode = "captured"
    monkeypatch.delattr(mt, "capture", raising=False)
    assert ours.lacks() == "this minitorch7 has no mt.capture"
    monkeypatch.setattr(mt, "capture", lambda step, *like: step, raising=False)
    assert ours.lacks() is None
    assert len(ours.train("basic", 4, 0)[1]()) == 5
    assert ours.memory(lambda: None)["peak"] is None


def test_launches_are_told_from_waits():
    seen = [("cudaLaunchKernel", False), ("cupy_add", True), ("Memcpy DtoD", True)]
    seen += [("cudaStreamSynchronize", False), ("cudaMemcpyAsync", False), ("aten::add", False)]
    seen += [("cudaMemcpy", False), ("cuMemcpyDtoH_v2", False), ("cuMemcpyDtoHAsync_v2", False)]
    assert gpu_launches.counts(seen) == {"kernels": 1, "copies": 1, "syncs": 3}


# ------------------------------------------------------------------------------- card and report


def test_the_cards_own_figures():
    names = ["card", "driver", "sm_mhz", "watt"]
    said = "NVIDIA Made Up 1, 570.10, 1980, [N/A]\nNVIDIA Another, 570.10, 5, 5\n"
    assert gpu_card.parsed(said, names) == {
        "card": "NVIDIA Made Up 1",
        "driver": "570.10",  # not 570.1
        "sm_mhz": 1980.0,
    }
    assert gpu_card.parsed("No devices were found", names) == {}
    assert gpu_card.version(12040) == "12.4" and gpu_card.version(13000) == "13.0"
    assert gpu_card.line({"card": "A", "cuda": "12.4"}) == "A, CUDA 12.4"


def test_targets_are_met_missed_or_not_measured():
    rows = [
        {"model": "resnet", "way": way, "median_ms": ms, "launches": {"syncs": waits}}
        for way, ms, waits in ((OURS, 3.0, 0), (CAPTURED, 1.0, 0), (EAGER, 2.5, 9))
    ]
    lines = gpu_all.target_lines({"train": {"rows": rows}})
    assert [line[2:] for line in lines[:3]] == [
        ["0.40", "met"],
        ["-", "not measured"],
        ["1.20", "met"],
    ]
    assert lines[-1][2:] == ["0", "met"]  # of ours; PyTorch's waits are its own business
    rows[0] |= {"median_ms": 5.0, "launches": {"syncs": 2}}
    lines = gpu_all.target_lines({"train": {"rows": rows}})
    assert lines[2][2:] == ["2.00", "missed"] and lines[-1][2:] == ["2", "missed"]


def test_a_part_that_runs_out_of_time_is_ended_and_named(monkeypatch, tmp_path):
    began = []

    class Endless(subprocess.Popen):
        def __init__(self, command, **how):
            super().__init__([sys.executable, "-c", "import time; time.sleep(60)"], **how)
            began.append(self)

    monkeypatch.setattr(gpu_all.subprocess, "Popen", Endless)
    why = gpu_all.run_part("roofline", tmp_path, 0.2, standin=True)
    assert "no time was left" in why and began[0].returncode < 0


def test_the_report_goes_on_without_a_part_that_fails(monkeypatch, tmp_path, capsys):
    """What it had written before is in the report; what an older run left is not."""
    rows = [{"ceiling": "copy", "what": "a copy", "way": OURS, "median_ms": 1.0, "rate": 5.0}]
    part = {"command": "the command", "card": {"card": "A card"}, "absent": {}, "failed": {}}

    def fail(name: str, folder: Path, seconds: float, standin: bool) -> str | None:
        if name == "ops":
            return "ended with status 1"
        text = json.dumps({**part, "rows": [{**r, "unit": "GB/s"} for r in rows]})
        (folder / f"{name}.json").write_text(text)
        return None

    monkeypatch.setattr(gpu_all, "run_part", fail)
    (tmp_path / "ops.json").write_text("an older run's")
    status = gpu_all.main(["--standin", "--out", str(tmp_path), "--only", "ops", "roofline"])
    text = (tmp_path / "report.md").read_text()
    assert status == 1 and text.strip() == capsys.readouterr().out.strip()
    assert "**Operations: ended with status 1**" in text and "## Operations" not in text
    assert "| a copy | minitorch7 | 1 | 5 GB/s |" in text and "A card." in text
    assert (tmp_path / "report.png").read_bytes().startswith(PNG)


def test_time_that_a_part_leaves_is_the_later_ones():
    names = list(gpu_all.PARTS)
    assert sum(part.share for part in gpu_all.PARTS.values()) <= 1.1
    assert gpu_all.time_for(names[-1], names, 50) == 50
    assert gpu_all.time_for("memory", ["roofline", "memory", "ops"], 50) == pytest.approx(25)
    assert gpu_all.parse(["--standin"]).minutes < 8


def test_ceilings_take_the_best_of_all():
    rows = [{"ceiling": "copy", "rate": 5.0}, {"ceiling": "copy", "rate": 7.0}]
    assert gpu_ceilings.best(rows) == {"copy": 7.0}
    assert gpu_ceilings.kind_name("float32", True) == "TF32"
    assert gpu_ceilings.kind_name("float16", True) == "float16"
    of = {"turns": [{"ms": [2.0]}, {"ms": [2.0]}]}
    r = gpu_ceilings._row("copy", "a copy", OURS, of, 4_000_000, "GB/s")
    assert (r["rate"], r["median_ms"]) == (2, 2)


# ---------------------------------------------------------------------------------- whole scripts


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    done = run(script, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout
    assert "--standin" not in done.stdout


@no_cupy
@pytest.mark.parametrize("script", SCRIPTS)
def test_without_a_gpu_one_line_says_what_to_install(script, tmp_path):
    done = run(script, "--out", tmp_path / ("all" if script == "gpu_all" else "rows.json"))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"{script}: nothing to measure")
    assert "pip install" in done.stderr or "driver" in done.stderr
    assert not list(tmp_path.iterdir())


def test_wrong_options_are_refused(tmp_path):
    done = run("gpu_train", "--standin", "--out", tmp_path / "rows.txt")
    assert done.returncode == 2 and "must end in .json" in done.stderr
    done = run("gpu_all", "--standin", "--minutes", "0")
    assert done.returncode == 2 and "must be above 0" in done.stderr


def test_operations_are_listed_without_a_gpu():
    names = run("gpu_ops", "--list").stdout.splitlines()
    assert len(names) == len(set(names)) == len(grid.CASES) + 7 + len(grid.ADAM)


def test_both_ways_to_convolve_on_the_standin(tmp_path):
    """Without kernels there is one way, whatever is asked for: the figures say nothing."""
    out = tmp_path / "ops.json"
    done = run("gpu_ops", "--standin", "--convolutions", "--out", out)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "    python benchmarks/gpu_ops.py --kinds conv2d conv_transpose2d" in done.stdout
    found = json.loads(out.read_text())["rows"]
    assert {r["way"] for r in found} == {OURS, *gpu_crew.FORCED}
    assert {r["chosen"] for r in found} == {"columns"}
    operations = {(r["operation"], r["pass"]) for r in found}
    assert sum(line.endswith(("| yes |", "| no |")) for line in lines) == len(operations) == 4
    assert "chooses the faster way in" in lines[-1] and lines[-1].endswith("of 4 cases.")


def test_the_faster_way_and_the_one_chosen():
    def rows(implicit, columns, chosen):
        about = {"operation": "conv2d", "net": "a net", "pass": "forward", "chosen": chosen}
        turns = ({"turns": [{"ms": [ms], "issue_ms": ms}]} for ms in (1.0, implicit, columns))
        return gpu_report.rows_of(about, dict(zip((OURS, *gpu_crew.FORCED), turns, strict=True)))

    said = gpu_ops.choices(rows(2.0, 5.0, "columns"))
    assert "| 2 | 5 | implicit | 2.50 × | columns | no |" in said and "in 0 of 1 cases" in said
    said = gpu_ops.choices(rows(6.0, 3.0, "columns"))
    assert "| 6 | 3 | columns | 2.00 × | columns | yes |" in said and "in 1 of 1 cases" in said
    assert "in 0 of 0 cases" in gpu_ops.choices(rows(6.0, 3.0, "columns")[:2])  # one has failed
    head, _, line = gpu_ops.choices(rows(1.0, 2.0, None)).splitlines()[:3]
    assert head.count("|") == line.count("|") == len(gpu_ops.CHOICES) + 1


@pytest.mark.parametrize("way", ["implicit", "columns"])
def test_a_forced_way_reaches_its_worker(monkeypatch, way):
    seen = {}

    def popen(command, env, **options):
        seen.update(env=env, way=command[3])
        raise OSError("enough")

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(OSError, match="enough"):
        gpu_crew.Worker(f"{OURS}_{way}", standin=True)
    assert seen["env"]["MINITORCH7_CONVOLUTION"] == way and seen["way"] == f"{OURS}_{way}"


def test_what_a_gpu_would_choose(own_grid):
    """As `without_columns` says it of each operation, with kernels."""
    gpu_start.add_wide()
    ours = object.__new__(gpu_ours.Ours)
    ours.xp = standin.CountedKernels()
    with standin.installed(ours.xp):
        found = {name: ours.chooses(name) for name, case in grid.CASES.items()
                 if case.kind in gpu_ops.CONVOLUTIONS}  # fmt: skip
    many = next(case.name for case in grid.CASES.values() if case.x == (8, 96, 180, 240))
    assert found[many] == "implicit" and set(found.values()) == {"implicit", "columns"}


def test_everything_runs_on_the_standin(tmp_path):
    """Every script's own table, file and picture, and the report made of them."""
    done = run("gpu_all", "--standin", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.md").read_text()
    assert done.stdout.strip() == text.strip() and "no figure of a GPU" in text
    assert text.count("not measured") == len(gpu_all.TARGETS)
    for part in gpu_all.PARTS.values():
        assert f"## {part.title}\n" in text
    whole = json.loads((tmp_path / "report.json").read_text())
    assert whole["problems"] == {} and list(whole["parts"]) == list(gpu_all.PARTS)
    assert all(part["standin"] and part["rows"] for part in whole["parts"].values())
    step = whole["parts"]["train"]["rows"][0]
    counted = step["on_standin"]
    assert counted["syncs"] == 0 < counted["kernels"] < counted["plain"]
    assert (tmp_path / "report.png").read_bytes().startswith(PNG)
    assert str(tmp_path) not in text and str(BENCHMARKS.parent) not in text


def test_tables_have_as_many_cells_as_heads():
    about = {"model": "basic", "batch": 4, "tf32": True, "launches": {}, "on_standin": {}}
    turns = {"turns": [{"ms": [1.0], "issue_ms": 1.0}]}
    rows = gpu_report.rows_of(about, {OURS: turns, EAGER: turns})
    for table, head in (
        (gpu_train.table(rows), gpu_train.HEAD),
        (gpu_memory.table([]), gpu_memory.HEAD),
        (gpu_roofline.table([]), gpu_roofline.HEAD),
    ):
        assert {line.count("|") for line in table.splitlines()} == {len(head) + 1}
    assert "basic, batch 4, TF32 | PyTorch eager | 1 | 1 | 1 | 1.00 × | - |" in gpu_train.table(
        rows
    )
