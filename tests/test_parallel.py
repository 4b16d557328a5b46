"""`parallel`: results in order, errors that name the item, no process left behind."""

import multiprocessing
import operator
import os
import pickle
import signal
import subprocess
import sys
import time
import types
from functools import partial
from pathlib import Path

import pytest

from minitorch7.data import DataError
from minitorch7.data.parallel import name_of, parallel

ROOT = Path(__file__).resolve().parents[1]

# what the workers do; a module of its own, which they can import and which imports little
WORK = """
import os, sys, time
from pathlib import Path

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")

def where(item, index):
    time.sleep(0.02)
    main = getattr(sys.modules["__main__"], "__file__", None)
    return item, index, os.getpid(), os.environ["OPENBLAS_NUM_THREADS"], main

def odd(item, index):
    if item == 3:
        raise Odd("one", "two")

def die(item, index):
    if item == "bad":
        os._exit(3)

def no_result(item, index):
    return (lambda: 0) if index == 2 else index

def slow(item, index):
    Path(item, str(os.getpid())).touch()
    time.sleep(0.05)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "parallel_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "parallel_work", raising=False)
    import parallel_work

    yield parallel_work
    assert not multiprocessing.active_children()


# ----------------------------------------------------------------------------------- what it gives


def test_plain_loop():
    seen = []
    assert parallel(lambda item, index: seen.append((item, index)), "abc", max_workers=1) is None
    assert seen == [("a", 0), ("b", 1), ("c", 2)]
    assert parallel(lambda item, index: item * index, [5, 6, 7], max_workers=0) == [0, 6, 14]
    assert parallel(lambda item, index: item or None, iter([0, 1]), max_workers=1) == [None, 1]
    assert parallel(operator.mul, [], max_workers=8) is None
    assert parallel(lambda item, index: os.getpid(), ["one"], max_workers=8) == [os.getpid()]


def test_workers_give_the_results_in_order(work):
    main = sys.modules["__main__"]
    before = dict(os.environ)
    answers = parallel(work.where, range(100, 167), max_workers=3)
    assert [(item, index) for item, index, *_ in answers] == [(100 + i, i) for i in range(67)]
    processes = {pid for _, _, pid, _, _ in answers}
    assert len(processes) == 3 and os.getpid() not in processes
    assert {(blas, main) for *_, blas, main in answers} == {("1", None)}  # the script is not there
    assert dict(os.environ) == before and sys.modules["__main__"] is main


def test_none_where_all_results_are_none():
    assert parallel(partial(setattr, types.SimpleNamespace()), ["a", "b", "c"], 2) is None


def test_within_a_worker_there_are_no_more_workers(monkeypatch):
    daemon = types.SimpleNamespace(daemon=True)
    monkeypatch.setattr(multiprocessing, "current_process", lambda: daemon)
    assert parallel(lambda item, index: os.getpid(), range(9), 4) == [os.getpid()] * 9


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_its_type_and_names_the_item(workers):
    with pytest.raises(ZeroDivisionError, match=r"item 0 of 20: 7") as caught:
        parallel(operator.truediv, [7] * 20, max_workers=workers)
    assert "truediv failed" in caught.value.__notes__[0]
    assert ("In the worker:\nTraceback" in caught.value.__notes__[-1]) == (workers == 2)
    assert not multiprocessing.active_children()


def test_errors_and_results_that_cannot_travel(work):
    with pytest.raises(TypeError):  # what makes it one that cannot
        pickle.loads(pickle.dumps(work.Odd(1, 2)))
    with pytest.raises(RuntimeError, match=r"(?s)Odd: one and two.*odd failed at item 3 of 8"):
        parallel(work.odd, range(8), 2)
    with pytest.raises(Exception, match=r"(?s)pickle.*no_result failed at item 2 of 5"):
        parallel(work.no_result, range(5), 2)


def test_a_worker_that_dies_is_noticed(work):
    rule = r"died \(exit code 3\) at item 9 of 20: 'bad'.*smaller max_workers"
    with pytest.raises(RuntimeError, match=rule):
        parallel(work.die, ["good"] * 9 + ["bad"] + ["good"] * 10, 2)


def test_what_cannot_be_sent_is_said_before_anything_starts(tmp_path, monkeypatch):
    def local(item, index):
        return item

    for func in (local, lambda item, index: item, partial(local)):
        with pytest.raises(TypeError, match=r"local|lambda.*top level of a module.*max_workers=1"):
            parallel(func, range(4), 2)
    with pytest.raises(TypeError, match="items 0 to 0 cannot be sent"):
        parallel(operator.mul, [local, 1, 2, 3], 2)
    assert not multiprocessing.active_children()

    main = types.ModuleType("__main__")  # a notebook
    exec("def crappify(item, index): return item", main.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(TypeError, match=r"crappify is defined in a notebook.*\.py file"):
        parallel(main.crappify, range(4), 2)
    main.__file__ = str(tmp_path / "script.py")  # a script that does things as it is imported
    Path(main.__file__).write_text("print(__name__)")
    with pytest.raises(TypeError, match=r"script\.py, which each worker would run again"):
        parallel(main.crappify, range(4), 2)
    assert parallel(main.crappify, range(4), 1) == [0, 1, 2, 3]


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"func must be callable as func\(item, index\), got 3"):
        parallel(3, [1])
    for workers in (-1, 2.0, True):
        with pytest.raises(DataError, match="max_workers must be a whole number"):
            parallel(operator.mul, [1, 2], workers)


@pytest.mark.parametrize("func", [operator.neg, partial(operator.mul, 2), lambda: 0, lambda x: x])
def test_a_function_of_one_argument_is_told_of_the_index(func):
    rule = r"parallel: .* is called as func\(item, index\), but takes \(.*\).*give it a parameter"
    with pytest.raises(TypeError, match=rule):
        parallel(func, [1, 2], 1)


@pytest.mark.parametrize("arr", [3, None])
def test_items_must_be_a_list(arr):
    with pytest.raises(TypeError, match=f"parallel: arr must be a list of items, got {arr}"):
        parallel(operator.mul, arr)


def test_names():
    assert name_of(partial(partial(operator.mul), 3)) == "mul"
    assert name_of(types.SimpleNamespace()) == "SimpleNamespace"


# ------------------------------------------------------------------------------ as a plain script


def start(tmp_path, text):
    """A script with these lines, in a process group of its own."""
    (tmp_path / "parallel_work.py").write_text(WORK)
    (tmp_path / "script.py").write_text(text)
    return subprocess.Popen(
        [sys.executable, tmp_path / "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_function_of_a_guarded_script(tmp_path):
    text = """
from minitorch7.data.parallel import parallel
def twice(item, index):
    return 2 * item
if __name__ == "__main__":
    print(parallel(twice, range(5), 2))
"""
    out, error = start(tmp_path, text).communicate(timeout=60)
    assert (out, error) == ("[0, 2, 4, 6, 8]\n", "")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # an orphan that has ended may wait for its undertaker
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("end", ["ctrl-c", "kill"])
def test_no_process_stays_when_the_caller_stops(tmp_path, end):
    """A script without a guard: it runs once all the same. Ctrl-C reaches the workers too."""
    (tmp_path / "seen").mkdir()
    text = f"""
print("once", flush=True)
from minitorch7.data.parallel import parallel
from parallel_work import slow
parallel(slow, [{str(tmp_path / "seen")!r}] * 2000, 2)
"""
    script = start(tmp_path, text)
    deadline = time.monotonic() + 60
    while len(workers := [int(file.name) for file in (tmp_path / "seen").iterdir()]) < 2:
        assert script.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    assert all(map(alive, workers))
    if end == "ctrl-c":
        os.killpg(script.pid, signal.SIGINT)
    else:
        script.kill()
    out, error = script.communicate(timeout=60)
    assert out == "once\n" and script.returncode != 0
    assert error.count("Traceback") == (1 if end == "ctrl-c" else 0)
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
