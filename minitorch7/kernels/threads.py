"""Work shared among processor threads, and the memory they work in.

NumPy lets go of Python's lock while it copies or multiplies, so threads that spend their time in a
few large NumPy calls do run side by side. Waking a sleeping thread takes a while, and so does
waiting for the lock where calls are short, so only work that takes several times as long is shared.

**The work is cut the same way whatever the number of threads.** A kernel cuts it into parts by the
shapes alone, and threads only decide who does which part. Every sum is therefore added up in the
same order, and a result is the same to the last bit on one thread and on many.

The matrix products inside the parts run on one BLAS thread each. BLAS has a pool of its own, but
its threads keep spinning for a while after each product in case another comes, and take the core
from the work that does. So the first operation holds BLAS to one thread (`backend.hold_blas`).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import backend

IDLE_SECONDS = 2.0  # a helper thread that has waited so long for work ends
MOST_WAITING = 2  # pieces of work put aside for each helper, beyond which the caller does its own
KEPT_BYTES = 6 * 1024 * 1024  # the most that a thread keeps as its workspace

_helpers: list[_Helper] = []
_busy = threading.Lock()  # held by the one caller whose work is being shared


def share(work: Callable[[int], None], parts: int, alone: bool = False) -> None:
    """Run work(0), …, work(parts − 1) on the threads there are, and return when all are done.

    alone  this thread is to do all parts: there is too little work to wake another

    The parts must write to different memory. The first error that a part raises is raised here,
    after all have ended. Inside a part, or while another thread shares work, everything runs on the
    calling thread.
    """
    if parts == 1:
        work(0)
        return
    threads = 1 if alone or _local.helping else min(backend.get_num_threads(), parts)
    if threads <= 1 or not _busy.acquire(blocking=False):
        for part in range(parts):
            work(part)
        return
    try:
        job = _Job(work, parts)
        for helper in _awake(threads - 1):
            helper.jobs.put(job)
        job.finish(job.run())
    finally:
        _busy.release()


def later(work: Callable[[], None]) -> None:
    """Have work() done by another thread while the calling one goes on; `settle` waits for it.

    What work() reads must not change, and what it writes must not be read, before that. Where there
    is no other thread, or the others have enough to do, it is done at once.
    """
    helpers = 0 if _local.helping else backend.get_num_threads() - 1
    waiting = _local.waiting
    waiting[:] = [job for job in waiting if job.done.empty() or job.error is not None]
    if len(waiting) >= MOST_WAITING * helpers:
        work()
        return
    job = _Job(lambda part: work(), 1)
    waiting.append(job)
    _awake(helpers)[len(waiting) % helpers].jobs.put(job)


def settle() -> None:
    """Return when all that this thread has put aside by `later` is done, and raise its error."""
    waiting, errors = _local.waiting, []
    while waiting:
        job = waiting.pop()
        try:
            job.finish(job.run())  # what no helper has begun is done here, the last first
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]


@contextlib.contextmanager
def unshared() -> Iterator[None]:
    """Inside, this thread does all of its work itself, and so arrays die where they would then."""
    before, _local.helping = _local.helping, True
    try:
        yield
    finally:
        _local.helping = before


class _Local(threading.local):
    """What each thread has to itself."""

    helping = False  # is it a helper, or `unshared`? Then the work inside its work is its own
    memory: np.ndarray | None = None  # see `workspace`

    def __init__(self) -> None:
        self.waiting: list[_Job] = []  # put aside by `later`, and not known to be done


_local = _Local()


class _Job:
    """One piece of work: its parts are taken one after the other by whoever is free."""

    def __init__(self, work: Callable[[int], None], parts: int) -> None:
        self.work, self.parts = work, parts
        self.take = itertools.count().__next__
        self.done: queue.SimpleQueue[None] = queue.SimpleQueue()  # one entry a helper's part
        self.errstate = np.geterr()  # NumPy's warnings are each thread's own: helpers do as told
        self.error: BaseException | None = None

    def run(self, helping: bool = False) -> int:
        """Do parts until none is left; returns how many."""
        mine = 0
        while (part := self.take()) < self.parts:
            mine += 1
            try:
                if self.error is None:
                    self.work(part)
            except BaseException as error:  # raised again on the thread that asked for the work
                self.error = error
            if helping:
                self.done.put(None)
        return mine

    def finish(self, mine: int) -> None:
        """Wait for the parts that helpers took. A helper that woke too late is not waited for."""
        for _ in range(self.parts - mine):
            self.done.get()
        if self.error is not None:
            raise self.error


class _Helper(threading.Thread):
    """A thread that sleeps until there is a job, and ends when none has come for a while."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"minitorch7-{number}", daemon=True)
        self.jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()

    def run(self) -> None:
        _local.helping = True
        while True:
            try:
                job = self.jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                return
            with np.errstate(**job.errstate):
                job.run(helping=True)
            del job  # a sleeping thread must not keep the arrays of its last job alive


def _awake(count: int) -> list[_Helper]:
    """`count` running helpers; those that have ended are replaced."""
    while len(_helpers) < count:
        _helpers.append(_start(len(_helpers)))
    for i in range(count):
        if not _helpers[i].is_alive():
            _helpers[i] = _start(i)
    return _helpers[:count]


def _start(number: int) -> _Helper:
    helper = _Helper(number)
    helper.start()
    return helper


def _forget() -> None:
    """In a forked process: the helpers stayed with the parent."""
    global _busy
    _helpers.clear()
    _local.waiting.clear()
    _busy = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


# ---------------------------------------------------------------------------------- cutting, memory


@functools.lru_cache(1024)
def cut(length: int, parts: int) -> tuple[range, ...]:
    """range(length) in at most `parts` consecutive ranges of nearly equal length."""
    parts = max(1, min(parts, length))
    edges = [length * i // parts for i in range(parts + 1)]
    return tuple(range(a, b) for a, b in itertools.pairwise(edges))


def steps(span: range, step: int) -> Iterator[range]:
    """`span` in consecutive ranges of at most `step`."""
    for start in range(span.start, span.stop, step):
        yield range(start, min(start + step, span.stop))


def workspace(count: int, dtype: Any) -> np.ndarray:
    """`count` elements of memory with anything in them, this thread's own.

    The next call on the same thread may hand out the same memory. It is kept from call to call, up
    to `KEPT_BYTES`: fresh memory comes from the system page by page (see `backend.keep_memory`).
    """
    n_bytes = count * np.dtype(dtype).itemsize
    memory = _local.memory
    if memory is None or memory.nbytes < n_bytes:
        memory = np.empty(n_bytes, dtype=np.uint8)
        if n_bytes <= KEPT_BYTES:
            _local.memory = memory
    return memory[:n_bytes].view(dtype)
