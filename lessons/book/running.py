"""Lessons run in a notebook's kernel, several at a time; what has not changed does not run again.

A run is kept under the hash of all it depends on: the lesson, `lesson.py`, the package, the
options, Python and NumPy. Each run has a fresh folder of its own, which it finds as its working
directory, so that it neither meets weights that an earlier one left nor prints a machine's paths.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from . import LESSONS, ROOT, notebooks
from .chapters import Lesson

EVERY = 15.0  # seconds between two lines about the same lesson
LAST_LINES = 20  # of what a lesson said before it failed


@dataclass(frozen=True)
class Run:
    """A lesson that has run."""

    lesson: Lesson
    notebook: NotebookNode
    seconds: float
    options: str
    cached: bool


class LessonFailed(Exception):
    """A lesson raised an error, or its kernel died; the message has its last output."""


class ThisPython(KernelSpecManager):
    """The kernel is the Python that builds, whatever kernels the user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


@dataclass
class Runner:
    """Runs lessons with `options`, `jobs` at a time, and keeps what they gave in `cache`."""

    cache: Path
    options: str = "--quick"
    jobs: int = 1
    again: bool = False
    say: Callable[[str], None] = print
    package: str = field(default_factory=lambda: hash_of_package())
    _living: list[AsyncKernelManager] = field(default_factory=list)

    def run(self, lessons: list[Lesson]) -> list[Run]:
        """All runs, in the lessons' order.

        LessonFailed names every lesson that failed, after the others have finished.
        """
        lock, done, failed = threading.Lock(), [], []

        def one(lesson: Lesson) -> Run | None:
            try:
                run = self.one(lesson)
            except LessonFailed as error:
                with lock:
                    failed.append(str(error))
                    self.say(f"{lesson.name}: FAILED")
                return None
            with lock:
                done.append(run)
                how = "as before" if run.cached else f"ran in {clock(run.seconds)}"
                self.say(f"[{len(done)}/{len(lessons)}] {lesson.name}: {how}")
            return run

        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                runs = list(pool.map(one, lessons))
            except BaseException:  # Ctrl-C: a thread cannot be stopped, but its kernel can
                pool.shutdown(wait=False, cancel_futures=True)
                for manager in self._living:
                    if manager.provider is not None and getattr(manager.provider, "pid", None):
                        os.kill(manager.provider.pid, 9)
                raise
        if failed:
            raise LessonFailed("\n\n".join(failed))
        return [run for run in runs if run is not None]

    def one(self, lesson: Lesson) -> Run:
        """One lesson's run, from the cache if nothing that it depends on has changed."""
        before = None if self.again else self.kept(lesson)
        if before is not None:
            return before
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache, prefix=f"{lesson.name}-") as folder:
            started = time.monotonic()
            notebook = self.execute(lesson, Path(folder))
            seconds = round(time.monotonic() - started, 1)
            notebook = notebooks.tidied(notebook, Path(folder))
        notebook.metadata.book = {"seconds": seconds, "options": self.options}
        kept = self.place_of(lesson)
        partial = kept.with_suffix(".partial")
        nbformat.write(notebook, partial)
        for old in self.cache.glob(f"{lesson.name}-*.ipynb"):
            old.unlink()
        partial.replace(kept)
        return Run(lesson, notebook, seconds, self.options, False)

    def kept(self, lesson: Lesson) -> Run | None:
        """The lesson's run from the cache, if nothing that it depends on has changed."""
        place = self.place_of(lesson)
        if not place.is_file():
            return None
        notebook = nbformat.read(place, as_version=4)
        return Run(lesson, notebook, notebook.metadata.book.seconds, self.options, True)

    def place_of(self, lesson: Lesson) -> Path:
        return self.cache / f"{lesson.name}-{self.hash_of(lesson)}.ipynb"

    def hash_of(self, lesson: Lesson) -> str:
        """Of all that the lesson's outputs depend on."""
        facts = [
            self.package,
            hash_of([lesson.path]),
            self.options,
            sys.version,
            version("numpy"),
        ]
        facts += [os.environ.get(f"MINITORCH7_{name}", "") for name in ("DATA", "BACKEND")]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def execute(self, lesson: Lesson, folder: Path) -> NotebookNode:
        """The lesson's notebook, run in `folder`; LessonFailed says where it stopped and why."""
        notebook = notebooks.of_lesson(lesson.path)
        count, started, last = len(notebook.cells), time.monotonic(), time.monotonic()

        def progress(cell: NotebookNode, cell_index: int) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                elapsed = clock(last - started)
                self.say(f"    {lesson.name}: cell {cell_index + 1} of {count}, {elapsed}")

        sockets = tempfile.TemporaryDirectory(prefix="book-")  # a socket's path must be short
        manager = AsyncKernelManager(
            kernel_spec_manager=ThisPython(),
            connection_file=f"{sockets.name}/kernel.json",
        )
        if os.name == "posix":  # elsewhere the kernel listens on the loopback address
            manager.transport, manager.ip = "ipc", f"{sockets.name}/kernel"
        self._living.append(manager)
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=None,
            resources={"metadata": {"path": str(folder)}},
            on_cell_execute=progress,
            shutdown_kernel="immediate",
        )
        client.owns_km = True  # the kernel ends with the notebook
        try:
            client.execute(env=self.environment(folder))
        except (CellExecutionError, DeadKernelError) as error:
            raise LessonFailed(_why(lesson, notebook, error)) from None
        finally:
            self._living.remove(manager)
            sockets.cleanup()
        return notebook

    def environment(self, folder: Path) -> dict[str, str]:
        """What a kernel finds: the lessons and the package, their options, its share of cores."""
        threads = str(max(1, (os.cpu_count() or 1) // self.jobs))
        paths = [str(LESSONS), str(ROOT), os.environ.get("PYTHONPATH", "")]
        own = {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONHASHSEED": "0",
            "MINITORCH7_LESSON": self.options,
            "IPYTHONDIR": str(folder / ".ipython"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a debugger's warning, on every start
            "PYTHONWARNINGS": "ignore:IProgress",  # tqdm misses a notebook's widgets
        }
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            own[name] = os.environ.get(name, threads)
        return {**os.environ, **own}


def _why(lesson: Lesson, notebook: NotebookNode, error: Exception) -> str:
    """The lesson, the cell it stopped in, and the last lines it printed."""
    ran = [i for i, c in enumerate(notebook.cells) if c.get("execution_count") or c.get("outputs")]
    place = ran[-1] if ran else 0
    cell = notebook.cells[place]
    text = notebooks.said(cell.get("outputs", [])).strip() or str(error)
    lines = text.splitlines()[-LAST_LINES:]
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    head = f"{lesson.name} failed in cell {place + 1} of {len(notebook.cells)} ({first!r}):"
    return "\n".join([head, *(f"    {line}" for line in lines)])


def hash_of(files: Iterable[Path]) -> str:
    """Of the files' names and contents."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(file.parents[1])).encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def hash_of_package() -> str:
    """Of everything that all lessons run on."""
    files = (ROOT / "minitorch7").rglob("*.*")
    code = sorted(f for f in files if f.suffix in (".py", ".cu", ".cuh"))
    return hash_of([*code, LESSONS / "lesson.py", Path(notebooks.__file__)])


def clock(seconds: float) -> str:
    """m:ss"""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
