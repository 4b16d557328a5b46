"""Ways to do the same work on one GPU, each in a process of its own, taking turns.

A way is a library and how it is used. One that cannot run here, fails, or computes something else
is left out with its reason; the others go on.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from . import machine, rounds

OURS, CAPTURED = "minitorch7", "minitorch7_captured"
EAGER, COMPILED, GRAPH = "pytorch", "pytorch_compile", "pytorch_graph"
WAYS = {  # library, mode
    OURS: ("minitorch7", "eager"),
    CAPTURED: ("minitorch7", "captured"),
    EAGER: ("torch", "eager"),
    COMPILED: ("torch", "compiled"),
    GRAPH: ("torch", "graph"),
}
IMPLICIT, COLUMNS = "minitorch7_implicit", "minitorch7_columns"
FORCED = {IMPLICIT: "implicit", COLUMNS: "columns"}  # MINITORCH7_CONVOLUTION: see gpu_ops.py
TITLES = {
    IMPLICIT: "minitorch7, implicit GEMM",
    COLUMNS: "minitorch7, columns",
    OURS: "minitorch7",
    CAPTURED: "minitorch7 captured",
    EAGER: "PyTorch eager",
    COMPILED: "PyTorch torch.compile",
    GRAPH: "PyTorch CUDA graph",
}
PACE = rounds.Pace(sample_ms=20, turn_ms=400, least=3, most=15, lead=5)
WAKE_MS = 100.0
STANDIN_PACE = rounds.Pace(least=1, most=1, lead=1)


class WorkerError(RuntimeError):
    """A way cannot do what it was asked."""


class Worker(rounds.Worker):
    """One way's process."""

    def __init__(self, way: str, tf32: bool = False, standin: bool = False) -> None:
        self.rival = self.way = way
        self.errors = tempfile.TemporaryFile("w+")
        forced = {"MINITORCH7_CONVOLUTION": FORCED[way]} if way in FORCED else {}
        flags = ["--tf32"] * tf32 + ["--standin"] * standin
        environment = machine.environment(1) if standin else machine.environment(machine.cores())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rivals.gpu_worker", way, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=rounds.HERE,
            env=environment | {"CUPY_TF32": str(int(tf32))} | forced,
        )

    def ask(self, ask: str, **request: Any) -> dict[str, Any]:
        """The answer to a request. WorkerError where there is none, or it is an error."""
        try:
            answer = super().ask(ask=ask, **request)
        except RuntimeError as error:
            raise WorkerError(str(error)) from error
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process; one that hangs in the driver is killed."""
        with contextlib.suppress(BrokenPipeError, OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class Crew:
    """The workers of some ways, started when they are first needed.

    start  how a way's worker is made; the tests put something of their own here
    """

    def __init__(
        self, ways: Sequence[str], tf32: bool = False, standin: bool = False, start: Any = Worker
    ) -> None:
        self.ways, self.tf32, self.standin, self._start = list(ways), tf32, standin, start
        self.workers: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.absent: dict[str, str] = {}  # those that cannot run at all
        self.failed: dict[str, str] = {}  # those that stopped or differ, by what they were doing

    def worker(self, way: str) -> Any:
        """The way's process. WorkerError where the way cannot run here."""
        if way in self.absent:
            raise WorkerError(self.absent[way])
        if way not in self.workers:
            self.workers[way] = self._start(way, self.tf32, self.standin)
            facts = self.workers[way].ask("facts")
            if facts.get("lacks"):
                self.absent[way] = facts["lacks"]
                rounds.say(f"without {TITLES[way]}: {facts['lacks']}")
                self.drop(way)
                raise WorkerError(self.absent[way])
            self.facts = {**facts, **self.facts}
        return self.workers[way]

    def drop(self, way: str) -> None:
        """End the way's process; a later job starts another."""
        worker = self.workers.pop(way, None)
        if worker is not None:
            worker.close()

    def fail(self, way: str, what: str, why: object) -> None:
        """Note that a way failed, and end its process: an error of CUDA's can stay for good."""
        self.drop(way)
        if way not in self.absent:
            self.failed[f"{TITLES[way]}: {what}"] = str(why)
            rounds.say(f"{TITLES[way]}: {what}: {why}")

    def close(self) -> None:
        """End all."""
        for way in list(self.workers):
            self.drop(way)

    # ---- work

    def compete(
        self,
        what: str,
        job: str,
        arguments: dict[str, Any],
        turns: int,
        tolerance: float,
        alone: bool = False,
        extra: Sequence[str] = (),
        ways: Sequence[str] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """{way: {check, turns, …}} of those that agree with the first that works.

        alone  one process on the card at a time, each with all its turns; else A B C A B C …
        extra  what else to ask each for, after its last turn: "launches", "memory"
        """
        found: dict[str, dict[str, Any]] = {}
        for way in ways or self.ways:
            ready = self._prepared(way, what, job, arguments, found, tolerance)
            if ready is not None:
                found[way] = {**ready, "turns": []}
            if alone:
                self._rounds([way] * (way in found), what, turns, found, extra)
                self.drop(way)
        if not alone:
            self._rounds(list(found), what, turns, found, extra)
            for way in list(self.workers):
                with contextlib.suppress(WorkerError):
                    self.workers[way].ask("forget")
        return found

    def _prepared(
        self, way: str, what: str, job: str, arguments: Any, found: dict, tolerance: float
    ) -> dict[str, Any] | None:
        try:
            ready = self.worker(way).ask("prepare", job=job, arguments=arguments)
        except WorkerError as error:
            return self.fail(way, what, error)
        if found:
            first = next(iter(found))
            checks = {TITLES[first]: found[first]["check"], TITLES[way]: ready["check"]}
            wrong = rounds.disagreements(checks, tolerance)
            if wrong:
                return self.fail(way, what, f"not the same computation, so not timed\n{wrong}")
        return ready

    def _rounds(
        self, ways: list[str], what: str, turns: int, found: dict, extra: Sequence[str]
    ) -> None:
        for _ in range(turns):
            for way in [w for w in ways if w in found]:
                self._asked(way, what, "turn", found, **self._pace(found[way]["ms"]))
        for way in [w for w in ways if w in found]:
            for ask in extra:
                self._asked(way, what, ask, found)

    def _pace(self, run_ms: float) -> dict[str, int]:
        """What to ask for in a turn; an idle card has lowered its clocks, and has to be woken."""
        if self.standin:
            return STANDIN_PACE.turn(run_ms)
        asked = PACE.turn(run_ms)
        wake = math.ceil(WAKE_MS / max(run_ms, 1e-3))
        return {**asked, "lead_in": max(asked["lead_in"], wake)}

    def _asked(self, way: str, what: str, ask: str, found: dict, **more: int) -> None:
        if way not in found:
            return
        try:
            answer = self.worker(way).ask(ask, **more)
        except WorkerError as error:
            found.pop(way)
            self.fail(way, f"{what}, {ask}", error)
            return
        if ask == "turn":
            found[way]["turns"].append(answer)
        else:
            found[way][ask] = answer


@contextlib.contextmanager
def crew(
    ways: Sequence[str], tf32: bool = False, standin: bool = False, start: Any = None
) -> Iterator[Crew]:
    """A crew, ended on the way out."""
    made = Crew(ways, tf32, standin, start or Worker)
    try:
        yield made
    finally:
        made.close()
