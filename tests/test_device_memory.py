"""`memory_report` against arithmetic on shapes, and what an out-of-memory error says."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import backend as mt_backend
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.autograd.out_of_memory import (
    OutOfMemoryError,
    bytes_asked_for,
    out_of_memory,
    size_text,
)
from minitorch7.profile import memory_report

N, C, SIDE = 8, 16, 12
MAP = 4 * N * C * SIDE * SIDE  # bytes of one activation


def model():
    """Of each activation it is known who keeps it: see `HELD`."""
    mt.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, C, 3, padding=1),  # keeps the batch, which is none of its making
        nn.ReLU(),  # its result; the convolution's is let go
        nn.Conv2d(C, C, 3, padding=1),  # its input: ReLU's result again
        nn.Sequential(nn.ReLU(), nn.Flatten()),
        nn.Linear(C * SIDE * SIDE, 10),  # its input: a view of ReLU's result
    )


HELD = {"1": MAP, "3.0": MAP}  # for backward, each array once
COUNTED = ["0", "2", "4"]  # the layers with weights


def batch():
    rng = np.random.default_rng(0)
    x = mt.tensor(rng.normal(size=(N, 1, SIDE, SIDE)).astype(np.float32))
    y = mt.tensor(rng.integers(0, 10, N))
    return x.to(mt_backend.active()), y.to(mt_backend.active())


def bytes_of(module):
    return sum(p.data.nbytes for p in module.parameters())


def step(net, opt, x, y):
    F.cross_entropy(net(x), y).backward()
    opt.step()
    opt.zero_grad()


def rows(report):
    return {row.layer: row for row in report.layers}


def test_each_layer_has_its_own(backend):
    net = model()
    opt, (x, y) = optim.AdamW(net.parameters()), batch()
    with memory_report(net, opt) as report:
        step(net, opt, x, y)
    found = rows(report)
    assert list(found) == ["0", "1", "2", "3.0", "4", "(no layer)"]
    for name in COUNTED:
        own = bytes_of(net.get_submodule(name))
        assert found[name][2:5] == (own, own, 2 * own), name
    assert {name: row.activations for name, row in found.items() if row.activations > 2000} == HELD
    # the loss keeps its log-probabilities or the like of N × 10 numbers, a few times at most
    rest = report.activations - 2 * MAP
    assert 0 < rest <= 5 * 4 * N * 10
    assert rest == sum(row.activations for row in report.layers) - 2 * MAP


def test_nothing_is_held_when_the_walk_is_through(backend):
    net, (x, y) = model(), batch()
    with memory_report(net) as report:
        loss = F.cross_entropy(net(x), y)
        assert report._watch.total > 2 * MAP
        loss.backward()
        del loss
        gc.collect()
        assert report._watch.total == 0
    assert report.activations > 2 * MAP, "the most of it is remembered"


def test_without_a_graph_nothing_is_held(backend):
    net, (x, _) = model(), batch()
    with memory_report(net) as report, mt.no_grad():
        net(x)
    assert report.activations == 0 and list(rows(report)) == COUNTED


def test_outside_a_block_weights_and_gradients_are_listed(backend):
    net, (x, y) = model(), batch()
    F.cross_entropy(net(x), y).backward()
    found = rows(memory_report(net))
    assert list(found) == COUNTED
    for name, row in found.items():
        own = bytes_of(net.get_submodule(name))
        assert row[2:] == (own, own, 0, 0)
    net.zero_grad()
    assert all(row.gradients == 0 for row in memory_report(net).layers)


def test_a_weight_in_two_places_counts_once():
    net = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
    net[1].weight = net[0].weight
    found = rows(memory_report(net))
    assert found["0"].weights == 4 * 30 and found["1"].weights == 4 * 5


@pytest.mark.parametrize("activations", [1, 3])
def test_the_peak_on_the_processor_is_what_tracemalloc_saw(activations):
    with memory_report(name="numpy") as report:
        kept = [np.ones(10**6, np.float32) for _ in range(activations)]
        assert len(kept) == activations
        del kept
    assert report.cached is None
    assert 4e6 * activations <= report.peak < 4e6 * activations + 1e5
    assert report.live < 1e5
    assert not tracemalloc.is_tracing()


def test_a_trace_that_was_running_goes_on():
    tracemalloc.start()
    try:
        with memory_report(name="numpy"):
            pass
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_outside_a_block_the_processor_s_figures_are_the_process_s():
    report = memory_report(name="numpy")
    assert 2**20 < report.live <= report.peak and report.layers == []
    assert str(report).startswith("memory on 'numpy': live ")


def test_live_and_cached_on_a_gpu_are_the_pool_s():
    with standin.installed(), mt.using("cupy"):
        pool = standin.cupy.get_default_memory_pool()
        big = standin.cupy.ones(10**6, dtype="float32")
        before = memory_report()
        assert before.live == pool.used_bytes() and before.live >= big.nbytes
        del big
        after = memory_report()
        assert before.live - after.live == 4 * 10**6
        assert after.cached == pool.total_bytes() - pool.used_bytes() >= 4 * 10**6
        assert after.peak is None and "cached" in str(after) and "peak" not in str(after)


def test_without_hooks_the_peak_is_looked_for_after_every_operation():
    with standin.installed(), mt.using("cupy"):
        gc.collect()
        before = mt_backend.memory("cupy")["used"]  # by tests before this one
        net, (x, y) = model(), batch()
        opt = optim.AdamW(net.parameters())
        step(net, opt, x, y)
        with memory_report(net, opt) as report:
            step(net, opt, x, y)
        assert report.peak > report.live + 2 * MAP
        planned = mt.predict_memory(net, F.cross_entropy, x, y)
        columns = 9 * MAP  # of the second convolution: they come and go inside one operation
        seen = planned.peak - columns
        assert abs(report.peak - before - seen) < 0.15 * seen


class Hook:
    """`cupy.cuda.MemoryHook`, as far as it is used; CuPy calls with keywords only."""

    name = "MemoryHook"
    active: list[Hook] = []

    def __enter__(self):
        Hook.active.append(self)
        return self

    def __exit__(self, *error):
        Hook.active.remove(self)


def test_the_hook_counts_the_pool_s_blocks(monkeypatch):
    with standin.installed(), mt.using("cupy"):
        monkeypatch.setitem(standin.cupy.cuda.__dict__, "MemoryHook", Hook)
        started = standin.cupy.get_default_memory_pool().used_bytes()
        with memory_report() as report:
            (hook,) = Hook.active
            assert hook.name != Hook.name, "two hooks of one name are refused"
            told = dict(device_id=0, pmem_id=1)
            hook.malloc_postprocess(size=100, mem_size=512, mem_ptr=7, **told)
            hook.malloc_postprocess(size=3000, mem_size=3072, mem_ptr=8, **told)
            hook.malloc_postprocess(size=9999, mem_size=10240, mem_ptr=0, **told)  # there was none
            hook.free_postprocess(mem_size=512, mem_ptr=7, **told)
            hook.malloc_postprocess(size=512, mem_size=512, mem_ptr=7, **told)
        assert report.peak == started + 512 + 3072 and Hook.active == []


def test_the_table():
    net = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 256, bias=False))
    said = str(memory_report(net)).splitlines()
    assert said[1].split() == ["layer", "weights", "gradients", "optimiser", "activations"]
    assert said[4].split() == ["0", "Linear", "2.00"]
    assert said[5].split() == ["2", "Linear", "1.00"]
    assert said[-1].split() == ["together", "3.00", "0.00", "0.00", "0.00"]


def test_two_reports_at_once_are_refused():
    with memory_report(), pytest.raises(RuntimeError, match="end the outer with block first"):
        with memory_report():
            pass
    with mt.profile(show=False), pytest.raises(RuntimeError, match="running in this thread"):
        with memory_report():
            pass


def test_an_error_in_the_block_ends_the_report():
    net = model()
    with pytest.raises(ZeroDivisionError), memory_report(net):
        raise ZeroDivisionError
    with memory_report(net):
        pass
    assert not any(p._hooks for p in net.parameters())


# --------------------------------------------------------------------------------- out of memory


def test_numpy_s_own_message_is_read():
    with pytest.raises(MemoryError) as caught:
        np.empty((2**20, 2**20, 2**6))
    wanted = bytes_asked_for(str(caught.value))
    assert wanted == pytest.approx(2.0**49, rel=0.01)
    told = str(out_of_memory(caught.value, "conv2d", [np.zeros((3, 4)), None, 2.0]))
    assert told.startswith("conv2d: out of memory: it asked for 512.0 TiB more; its inputs are ")
    assert "(3, 4) float64 (96 bytes)" in told
    assert "The process holds" in told and "smaller batch" in told and "nvidia-smi" not in told


CUPY_SAYS = "Out of memory allocating 1,073,741,824 bytes (allocated so far: 512 bytes"


@pytest.mark.parametrize("limit", [None, 2 * 2**30])
def test_what_is_said_on_a_gpu(limit, monkeypatch):
    said = f"{CUPY_SAYS}, limit set to: {limit:,} bytes)." if limit else f"{CUPY_SAYS})."
    with standin.installed(), mt.using("cupy"):
        info = staticmethod(lambda: (3 * 2**30, 16 * 2**30))
        monkeypatch.setattr(standin.cupy.cuda.runtime, "memGetInfo", info, raising=False)
        pool = {"used": 2**29, "reserved": 2**30}
        monkeypatch.setattr(mt_backend, "memory", lambda name: pool)
        x = standin.cupy.zeros((8, 64, 4, 4), dtype="float32")
        told = str(out_of_memory(MemoryError(said), "BatchNorm", [x]))
    assert "BatchNorm: out of memory: it asked for 1.0 GiB more" in told
    assert "(8, 64, 4, 4) float32 (32.0 KiB)" in told
    assert "Live are 512.0 MiB, cached 512.0 MiB" in told
    assert "of the card's 16.0 GiB, 3.0 GiB are free, and 12.0 GiB are held" in told
    assert ("the pool's limit is 2.0 GiB" in told) == (limit is not None)
    for advice in ("smaller batch", "smaller pictures", "free_all_blocks()", "nvidia-smi"):
        assert advice in told


def test_a_device_that_does_not_answer_hides_nothing():
    with standin.installed(), mt.using("cupy"):
        x = standin.cupy.zeros(3)
        told = str(out_of_memory(MemoryError("cudaErrorMemoryAllocation"), "exp", [x]))
    assert "exp: out of memory: it asked for more memory (cudaErrorMemoryAllocation)" in told
    assert "of the card's" not in told and "smaller batch" in told


def test_the_first_explanation_stays():
    first = out_of_memory(MemoryError("Unable to allocate 1.5 GiB for an array"), "exp", [])
    assert isinstance(first, OutOfMemoryError) and isinstance(first, MemoryError)
    assert out_of_memory(first, "outer", []) is first


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("Out of memory allocating 2,048 bytes (allocated so far: 0 bytes).", 2048),
        ("Unable to allocate 1.50 KiB for an array with shape (384,)", 1536),
        ("Unable to allocate 7.45 GiB for an array", round(7.45 * 2**30)),
        ("Unable to allocate 3 sheep", None),
        ("", None),
    ],
)
def test_how_much_was_asked_for(said, count):
    assert bytes_asked_for(said) == count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 KiB"), (1536, "1.5 KiB"), (2**40, "1.0 TiB")],
)
def test_sizes_as_text(count, text):
    assert size_text(count) == text


def test_an_operation_without_memory_explains():
    x = mt.zeros(3_000_000)
    with pytest.raises(mt.OutOfMemoryError, match=r"Add: out of memory: .* more; its inputs are"):
        x.reshape(-1, 1) + x.reshape(1, -1)
