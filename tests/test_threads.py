"""Sharing work among threads: every part once, errors, nesting, nothing left running, same bits."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import backend, nn
from minitorch7 import functional as F
from minitorch7.kernels import (
    columns,
    convolution,
    elementwise,
    normalisation,
    pooling,
    products,
    threads,
)
from minitorch7.optim import pieces


@pytest.fixture(params=[1, 2, 3])
def count(request, monkeypatch):
    monkeypatch.setattr(backend, "_threads", request.param)
    return request.param


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(backend, "_threads", 2)


@pytest.mark.parametrize("parts", [0, 1, 2, 7, 100])
def test_every_part_runs_once_and_is_done_when_share_returns(count, parts):
    done = np.zeros(parts, int)

    def work(i):
        time.sleep(1e-4)
        done[i] += 1

    threads.share(work, parts)
    assert done.tolist() == [1] * parts


def test_two_threads_run_side_by_side(two):
    """Each part waits for the other: one thread alone would never end."""
    meet = threading.Barrier(2, timeout=20)
    names = [None, None]

    def work(i):
        meet.wait()
        names[i] = threading.current_thread().name

    threads.share(work, 2)
    assert len(set(names)) == 2 and "minitorch7-0" in names


def test_an_error_in_a_part_is_raised_and_the_others_are_waited_for(count):
    ended = []

    def work(i):
        if i == 1:
            raise ValueError("part 1 failed")
        time.sleep(0.01)
        ended.append(i)

    with pytest.raises(ValueError, match="part 1 failed"):
        threads.share(work, 2)
    assert ended in ([0], [])
    threads.share(ended.append, 3)  # and the next work is shared as ever
    assert set(ended) >= {0, 1, 2}


def test_work_inside_a_part_runs_on_its_own_thread(two):
    names = [[] for _ in range(4)]

    def outer(i):
        threads.share(lambda j: names[i].append(threading.current_thread().name), 3)

    threads.share(outer, 4)
    assert all(len(inner) == 3 and len(set(inner)) == 1 for inner in names)


def test_unshared_work_is_the_callers_own(two):
    names = []
    with threads.unshared():
        threads.share(lambda i: names.append(threading.current_thread().name), 50)
        threads.later(lambda: names.append(threading.current_thread().name))
    assert len(names) == 51 and set(names) == {threading.current_thread().name}
    test_two_threads_run_side_by_side(two)


def test_two_callers_at_once_both_get_their_work_done(two):
    totals = np.zeros((2, 50), int)

    def caller(row):
        for _ in range(20):
            threads.share(lambda i: totals.__setitem__((row, i), totals[row, i] + 1), 50)

    others = [threading.Thread(target=caller, args=(row,)) for row in range(2)]
    for t in others:
        t.start()
    for t in others:
        t.join(30)
    assert (totals == 20).all()


def test_work_put_aside_is_done_when_settled(count):
    done = []
    for i in range(20):
        threads.later(lambda i=i: (time.sleep(1e-3), done.append(i)))
    threads.settle()
    assert sorted(done) == list(range(20))
    threads.settle()  # nothing is left
    assert len(done) == 20


def test_work_put_aside_goes_on_meanwhile(two):
    """It waits for the caller to go on: done at once it would never end."""
    gone_on, names = threading.Event(), []

    def work():
        assert gone_on.wait(20)
        names.append(threading.current_thread().name)
        threads.share(lambda part: names.append(threading.current_thread().name), 3)

    threads.later(work)
    gone_on.set()
    for _ in range(2000):
        if len(names) == 4:
            break
        time.sleep(0.005)
    threads.settle()
    assert set(names) == {"minitorch7-0"}  # the work inside it is its own


def test_an_error_in_work_put_aside_is_raised_when_settled(two):
    done = []

    def broken():
        raise ValueError("put aside, and failed")

    threads.later(broken)
    threads.later(lambda: done.append(1))
    with pytest.raises(ValueError, match="put aside, and failed"):
        threads.settle()
    assert done == [1]
    threads.settle()


def test_late_gradients_change_no_bit(monkeypatch):
    """Weights used once, twice, and through another operation; a gradient added to; hooks."""
    monkeypatch.setattr(convolution, "WORTH_ASIDE", 1)

    def gradients(n):
        monkeypatch.setattr(backend, "_threads", n)
        mt.manual_seed(0)
        one, two, three = (
            nn.Conv2d(3, 8, 3, 1, 1),
            nn.Conv2d(8, 8, 3, 2, 1),
            nn.Conv2d(8, 8, 3, 1, 1),
        )
        up = nn.ConvTranspose2d(8, 4, 3, 2, 1)
        seen = []
        two.weight.register_hook(lambda grad: seen.append(grad.numpy().copy()))
        x = mt.tensor(np.random.default_rng(0).standard_normal((4, 3, 12, 12), dtype=np.float32))
        for _ in range(2):
            h = three(three(two(one(x).relu())).relu())
            h = F.conv2d(h, three.weight * 2.0, padding=1)
            (up(h) ** 2).mean().backward()
        layers = (one, two, three, up)
        return [p.grad.numpy() for layer in layers for p in layer.parameters()] + seen

    for alone, shared in zip(gradients(1), gradients(2), strict=True):
        np.testing.assert_array_equal(alone, shared)


def test_a_gradient_of_a_gradient_is_never_late(two, monkeypatch):
    monkeypatch.setattr(convolution, "WORTH_ASIDE", 1)
    monkeypatch.setattr(threads, "later", None)
    x = mt.tensor(np.ones((1, 8, 6, 6)), requires_grad=True)
    w = mt.tensor(np.ones((8, 8, 3, 3)), requires_grad=True)
    (F.conv2d(x, w) ** 2).sum().backward(create_graph=True)
    with mt.detect_anomaly():
        (F.conv2d(x, w) ** 2).sum().backward()


def test_a_helper_ends_when_there_is_nothing_to_do(two, monkeypatch):
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(threads, "_helpers", [])
    threads.share(lambda i: time.sleep(0.001), 8)
    (helper,) = threads._helpers
    helper.join(10)
    assert not helper.is_alive()
    done = []
    threads.share(done.append, 5)  # and another takes its place
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_sleeping_helper_keeps_no_array_alive(two):
    array = np.zeros(1000)
    alive = weakref.ref(array)
    meet = threading.Barrier(2, timeout=20)
    threads.share(lambda i, a=array: (meet.wait(), a.sum()), 2)
    del array
    for _ in range(100):
        gc.collect()
        if alive() is None:
            return
        time.sleep(0.02)
    raise AssertionError("the array of the last job is still alive")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_helpers_of_its_own(two):
    threads.share(lambda i: None, 4)
    child = os.fork()
    if child == 0:
        done = []
        threads.share(done.append, 6)
        os._exit(0 if sorted(done) == list(range(6)) and threads._helpers else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_cut_covers_everything_in_order():
    for length in range(12):
        for parts in range(1, 15):
            found = threads.cut(length, parts)
            assert [i for part in found for i in part] == list(range(length))
            assert len(found) == max(1, min(parts, length))
            lengths = [len(part) for part in found]
            assert max(lengths) - min(lengths) <= 1
    assert list(threads.steps(range(3, 10), 3)) == [range(3, 6), range(6, 9), range(9, 10)]


def test_a_workspace_is_kept_and_belongs_to_its_thread():
    first = threads.workspace(100, np.float32)
    assert first.shape == (100,) and first.dtype == np.float32
    again = threads.workspace(50, np.float64)
    assert np.shares_memory(first, again)
    others = []
    t = threading.Thread(target=lambda: others.append(threads.workspace(100, np.float32)))
    t.start()
    t.join()
    assert not np.shares_memory(first, others[0])


def test_a_very_large_workspace_is_not_kept():
    n = threads.KEPT_BYTES // 4
    kept = threads.workspace(n, np.float32)
    large = threads.workspace(n + 1, np.float32)
    assert not np.shares_memory(kept, large)
    assert np.shares_memory(kept, threads.workspace(n, np.float32))


def test_helpers_warn_as_the_caller_would(two):
    """NumPy sets warnings for each thread alone: a helper must not bring back what was silenced."""
    meet = threading.Barrier(2, timeout=20)
    settings = [None, None]

    def work(i):
        meet.wait()
        settings[i] = np.geterr()

    with np.errstate(all="ignore"):
        threads.share(work, 2)
    assert settings[0] == settings[1] and set(settings[1].values()) == {"ignore"}


# --------------------------------------------------------------------- the same bits on any number


def share_everything(monkeypatch):
    """Small work is cut and shared like large work."""
    for module, name in (
        (products, "PART"),
        (products, "FEWEST_ROWS"),
        (columns, "LONG_ROW"),
        (columns, "FEWEST_COLUMNS"),
        (normalisation, "BLOCK_BYTES"),
        (elementwise, "PIECE"),
        (elementwise, "LARGE"),
        (pooling, "PART"),
        (pieces, "SMALL"),
        (pieces, "PIECE"),
    ):
        monkeypatch.setattr(module, name, 50 if name in ("PIECE", "SMALL") else 1)


def trained(steps=3):
    """The weights of a small network with every kind of layer, after a few steps of Adam."""
    mt.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 6, 3, stride=2, padding=1),
        nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 5),
    )
    opt = mt.optim.Adam(net.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    x = mt.tensor(rng.standard_normal((6, 3, 15, 16), dtype=np.float32))
    target = mt.tensor(rng.integers(0, 5, 6))
    for _ in range(steps):
        opt.zero_grad()
        F.cross_entropy(net(x), target).backward()
        opt.step()
    return [p.detach().numpy().copy() for p in net.parameters()]


def test_training_gives_the_same_bits_on_any_number_of_threads(monkeypatch):
    share_everything(monkeypatch)
    found = {}
    for n in (1, 2, 3):
        monkeypatch.setattr(backend, "_threads", n)
        found[n] = trained()
    for n in (2, 3):
        for a, b in zip(found[1], found[n], strict=True):
            assert np.array_equal(a, b)


def test_cutting_changes_a_result_by_rounding_only(monkeypatch):
    whole = trained()
    share_everything(monkeypatch)
    for a, b in zip(whole, trained(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
