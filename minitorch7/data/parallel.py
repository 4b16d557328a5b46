"""`parallel`: a function called for every item of a list, by several processes.

Each worker is a fresh Python (the start method "spawn" on every system), so it inherits no threads,
locks or GPU, and it does not run the caller's script again unless `func` is defined there. A worker
hears its items and answers through a pipe of its own, which also ends it: when the caller stops, or
is killed, the pipe closes and the worker leaves after the item at hand.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import multiprocessing
import os
import pickle
import re
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from .decode import cores
from .errors import check_count
from .progress import progress

MOST_AT_ONCE = 16  # items sent to a worker together, so that it need not wait for each
PATIENCE = 10.0  # seconds that a worker has for the item at hand when the others stop
GUARD = re.compile(rb"""__name__\s*==\s*["']__main__""")
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def parallel(
    func: Callable[[Any, int], Any],
    arr: Iterable[Any],
    max_workers: int | None = None,
    what: str | None = None,
) -> list[Any] | None:
    """``[func(item, index), ...]`` for all items, by `max_workers` processes; None if all are None.

    By default min(16, CPUs) workers; below 2 a plain loop in this process. The results are in the
    order of `arr`, where fastai's come as they are finished. A progress bar, named `what`, appears
    on stderr after a second.

    `func` and the items travel by pickle: TypeError where they cannot, with the fix. An exception
    in one item stops everything and is raised here with a note that names the item. RuntimeError
    where a worker dies, of which the commonest cause is too little memory.
    """
    _check_callable(func)
    if not isinstance(arr, Iterable):
        raise TypeError(f"parallel: arr must be a list of items, got {arr!r:.80}; pass [item]")
    if max_workers is not None:
        check_count("parallel", "max_workers", max_workers)
    items, what = list(arr), what or name_of(func)
    workers = min(cores() if max_workers is None else max_workers, len(items))
    if workers < 2 or multiprocessing.current_process().daemon:  # a worker may not have workers
        arrivals = _one_after_the_other(func, items)
    else:
        arrivals = _by_workers(func, items, workers)
    results: list[Any] = [None] * len(items)
    with contextlib.closing(arrivals):
        for index, result in progress(arrivals, what, total=len(items)):
            results[index] = result
    return None if all(result is None for result in results) else results


def _check_callable(func: Any) -> None:
    """TypeError unless `func` can be called with an item and its index."""
    if not callable(func):
        raise TypeError(f"parallel: func must be callable as func(item, index), got {func!r:.80}")
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some functions written in C have none
        return
    try:
        signature.bind(None, 0)
    except TypeError as error:
        raise TypeError(
            f"parallel: {name_of(func)} is called as func(item, index), but takes {signature} "
            f"({error}); give it a parameter for each, and leave the index unused if need be"
        ) from None


def name_of(func: Any) -> str:
    """What to call a function or a callable object in messages and on the bar."""
    if isinstance(func, functools.partial):
        return name_of(func.func)
    return getattr(func, "__qualname__", None) or type(func).__qualname__


def _note(func: Any, index: int, item: Any, n: int) -> str:
    return f"parallel: {name_of(func)} failed at item {index} of {n}: {item!r:.200}"


def _one_after_the_other(func: Any, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    for index, item in enumerate(items):
        try:
            result = func(item, index)
        except Exception as error:
            error.add_note(_note(func, index, item, len(items)))
            raise
        yield index, result


# ------------------------------------------------------------------------------- in this process


def _by_workers(func: Any, items: Sequence[Any], workers: int) -> Iterator[tuple[int, Any]]:
    """(index, result) as the workers finish them."""
    packed = _packed(func)
    at_once = max(1, min(MOST_AT_ONCE, len(items) // (4 * workers)))
    pieces = deque(range(i, min(i + at_once, len(items))) for i in range(0, len(items), at_once))
    running: dict[Connection, BaseProcess] = {}
    open_items: dict[Connection, deque[int]] = {}
    try:
        with _clean_start(with_main=b"__main__" in packed):
            for _ in range(workers):
                ours, process = _start()
                running[ours] = process
        for ours in running:
            _send(ours, packed)
            open_items[ours] = _give(ours, items, pieces)
        while open_items:
            for ours in wait(list(open_items)):
                index, result = _answer(ours, running[ours], func, items, open_items[ours])
                if not open_items[ours]:
                    open_items[ours] = _give(ours, items, pieces)
                if not open_items[ours]:  # nothing left for it
                    del open_items[ours]
                yield index, result
    finally:  # Ctrl-C and errors too: no process stays behind
        _end(running)


def _packed(func: Any) -> bytes:
    """`func` as bytes; TypeError for what another process could not read."""
    try:
        packed = pickle.dumps(func)
    except Exception as error:  # pickle raises a dozen types
        raise TypeError(
            f"parallel: {name_of(func)} cannot be sent to another process ({error}); define it "
            "with def (or class) at the top level of a module, or pass max_workers=1"
        ) from error
    if b"__main__" in packed:
        _check_main(func)
    return packed


def _check_main(func: Any) -> None:
    """TypeError where workers could not import `func` from the program that is running."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or not Path(file).is_file():
        raise TypeError(
            f"parallel: {name_of(func)} is defined in a notebook or at a prompt, where another "
            "process cannot find it; put it into a .py file and import it, or pass max_workers=1"
        )
    if not GUARD.search(Path(file).read_bytes()):
        raise TypeError(
            f"parallel: {name_of(func)} is defined in {file}, which each worker would run again "
            'from the top; put what it does under `if __name__ == "__main__":`, or put '
            f"{name_of(func)} into another file and import it, or pass max_workers=1"
        )


@contextlib.contextmanager
def _clean_start(with_main: bool) -> Iterator[None]:
    """While workers start: one BLAS thread each, deaf to Ctrl-C, and the script not run again.

    A spawned process imports the caller's `__main__`, which would repeat a script that has no
    ``if __name__ == "__main__":``. For the moment of starting, an empty module stands there.
    """
    before = {name: os.environ.get(name) for name in BLAS_THREADS}
    main, block = sys.modules["__main__"], getattr(signal, "pthread_sigmask", None)
    if block:
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # it would unblock the signal
        mask = block(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it; ours waits
    try:
        os.environ.update(dict.fromkeys(BLAS_THREADS, "1"))
        if not with_main:
            sys.modules["__main__"] = ModuleType("__main__")
        yield
    finally:
        sys.modules["__main__"] = main
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if block:
            block(signal.SIG_SETMASK, mask)


def _start() -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True, name="minitorch7-worker")
    process.start()
    theirs.close()  # so that the pipe ends when the worker does
    return ours, process


def _send(connection: Connection, message: bytes) -> None:
    with contextlib.suppress(OSError):  # a worker that is dead is found out when it should answer
        connection.send_bytes(message)


def _give(connection: Connection, items: Sequence[Any], pieces: deque[range]) -> deque[int]:
    """Send the next piece; the indices that are in it."""
    if not pieces:
        return deque()
    piece = pieces.popleft()
    try:
        message = pickle.dumps([(index, items[index]) for index in piece])
    except Exception as error:
        raise TypeError(
            f"parallel: one of the items {piece[0]} to {piece[-1]} cannot be sent to another "
            f"process ({error}); pass paths or arrays, or max_workers=1"
        ) from error
    _send(connection, message)
    return deque(piece)


def _answer(
    connection: Connection,
    process: BaseProcess,
    func: Any,
    items: Sequence[Any],
    indices: deque[int],
) -> tuple[int, Any]:
    """The next (index, result) of a worker; raises what went wrong there, or that it is dead."""
    try:
        index, result, error, trace = pickle.loads(connection.recv_bytes())
    except (EOFError, OSError):
        process.join(PATIENCE)
        index = indices[0]
        raise RuntimeError(
            f"parallel: a worker died (exit code {process.exitcode}) at item {index} of "
            f"{len(items)}: {items[index]!r:.200}. If memory is short, pass a smaller max_workers"
        ) from None
    if error is not None:
        index = indices[0] if index is None else index
        error.add_note(_note(func, index, items[index], len(items)))
        error.add_note(f"In the worker:\n{trace}")
        raise error
    indices.remove(index)
    return index, result


def _end(running: dict[Connection, BaseProcess]) -> None:
    for connection in running:
        connection.close()
    for process in running.values():
        process.join(PATIENCE)
        if process.is_alive():
            process.terminate()
            process.join()


# ----------------------------------------------------------------------------------- in a worker


def _work(connection: Connection) -> None:
    """A worker's life: hear the function, then pieces of the list; answer item by item."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's business
    func = None
    with contextlib.suppress(EOFError, OSError):  # the pipe is closed: the end
        packed = connection.recv_bytes()
        while True:
            message = connection.recv_bytes()
            try:
                func = pickle.loads(packed) if func is None else func
                piece = pickle.loads(message)
            except Exception as error:
                connection.send_bytes(_failed(None, error))
                return
            for place, (index, item) in enumerate(piece):
                if place and connection.poll():  # nobody speaks now: the caller is gone
                    return
                connection.send_bytes(_done(func, index, item))


def _done(func: Any, index: int, item: Any) -> bytes:
    """The answer for one item: (index, result, error, the error's traceback), pickled."""
    try:
        return pickle.dumps((index, func(item, index), None, ""))
    except Exception as error:
        return _failed(index, error)


def _failed(index: int | None, error: Exception) -> bytes:
    trace = "".join(traceback.format_exception(error))
    try:
        answer = pickle.dumps((index, None, error, trace))
        pickle.loads(answer)  # an exception with arguments of its own may fail only here
    except Exception:
        replaced = RuntimeError(f"{type(error).__name__}: {error}")
        answer = pickle.dumps((index, None, replaced, trace))
    return answer
