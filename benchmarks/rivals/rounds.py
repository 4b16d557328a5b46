"""Rivals that take turns: A B C A B C …, each in a process of its own, one at work at a time.

So a machine that slows down slows all of them, and a ratio taken within one round compares what
met the same machine. Before anything is timed, the rivals must agree on what they compute.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import TITLES, machine
from .jobs import TOLERANCE

HERE = Path(__file__).resolve().parents[1]  # where `rivals` is a package


class Worker:
    """One rival's process."""

    def __init__(self, rival: str, threads: int) -> None:
        self.rival = rival
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rivals.worker", rival, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=HERE,
            env=machine.environment(threads),
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer. RuntimeError where the process stopped."""
        with contextlib.suppress(BrokenPipeError):  # then there is no answer, and we say why
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        last = self.errors.read()[-2000:]
        raise RuntimeError(f"{self.rival} stopped (status {self.process.returncode}):\n{last}")

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


@contextlib.contextmanager
def crew(names: list[str], threads: int) -> Iterator[dict[str, Worker]]:
    """A worker for every rival, ended on the way out."""
    workers: dict[str, Worker] = {}
    try:
        for name in names:
            workers[name] = Worker(name, threads)
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


class Entry(NamedTuple):
    """What one worker is to do. `key` tells apart the jobs that a worker keeps."""

    worker: Worker
    job: str
    arguments: dict[str, Any]
    key: str = ""

    @property
    def title(self) -> str:
        """The name in messages."""
        return " ".join(filter(None, [TITLES[self.worker.rival], self.key]))


class Pace(NamedTuple):
    """How long a turn is. Long runs get fewer samples, short ones are timed several at once."""

    sample_ms: float = 0.0  # the least time between two looks at the clock
    turn_ms: float = 1000.0  # what a turn should not exceed by much ...
    least: int = 2  # ... but no fewer samples than this,
    most: int = 10  # ... and no more than this
    lead: int = 2  # untimed runs before them, where they are short: caches and threads wake up

    def turn(self, run_ms: float) -> dict[str, int]:
        """What to ask for in a turn, given how long one run takes."""
        run_ms = max(run_ms, 1e-3)
        repeats = max(1, math.ceil(self.sample_ms / run_ms))
        samples = int(self.turn_ms / (run_ms * repeats))
        lead_in = max(repeats, self.lead if run_ms < self.turn_ms / 10 else 1)
        samples = min(max(samples, self.least), self.most)
        return {"lead_in": lead_in, "samples": samples, "repeats": repeats}


class Found(NamedTuple):
    """What one entry answered."""

    entry: Entry
    ready: dict[str, Any]
    turns: list[dict[str, Any]]


def compete(
    entries: list[Entry],
    rounds: int,
    bar: Any,
    what: str,
    pace: Pace = Pace(),  # noqa: B008
) -> list[Found]:
    """Prepare all, compare what those of one job compute, then let each work once in every round.

    RuntimeError where a worker stops, or where two compute something else.
    """
    found = []
    if bar.disable:
        say(what)
    for entry in entries:
        show(bar, f"{what}: {entry.title} gets ready")
        ready = entry.worker.ask(key=entry.key, job=entry.job, arguments=entry.arguments)
        found.append(Found(entry, ready, []))
    for job in dict.fromkeys(entry.job for entry in entries):
        alike = [f for f in found if f.entry.job == job]
        checks = {f.entry.title: f.ready["check"] for f in alike}
        wrong = disagreements(checks, alike[0].ready["tolerance"])
        if wrong:
            raise RuntimeError(f"{what}: not the same computation, so not timed\n{wrong}")
    for k in range(rounds):
        for f in found:
            show(bar, f"{what}: round {k + 1} of {rounds}")
            f.turns.append(f.entry.worker.ask(key=f.entry.key, **pace.turn(f.ready["ms"])))
    return found


def disagreements(checks: dict[str, list[float]], tolerance: float = TOLERANCE) -> str:
    """All the numbers, a line a rival, where one is off the first's by more than the tolerance.

    '' where all agree.
    """
    first, *others = checks.values()
    pairs = [pair for other in others for pair in zip(first, other, strict=True)]
    if all(abs(a - b) <= tolerance for a, b in pairs):  # False for NaN
        return ""
    return "\n".join(
        f"{name:22} " + " ".join(f"{number:.5f}" for number in found)
        for name, found in checks.items()
    )


# --------------------------------------------------------------------------------------- progress


def progress(total: int) -> Any:
    """A bar on stderr, of `total` turns and preparations; only where a person is watching."""
    from tqdm import tqdm

    return tqdm(total=total, unit="turn", leave=False, dynamic_ncols=True, disable=None)


def show(bar: Any, text: str) -> None:
    """What is going on now, and that one more thing is under way."""
    bar.set_description_str(text, refresh=False)
    bar.update()


def say(text: str) -> None:
    """A line beside the table rather than in it."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()
