"""One library on the GPU, in a process of its own: it prepares a job, and works when asked to.

    python -m rivals.gpu_worker pytorch_graph --tf32

A line of JSON on standard input asks, a line on standard output answers; `gpu_crew.Worker` is the
other end. What goes wrong is an answer too: {"error": …}.

    {"ask": "facts"}                                        card and versions
    {"ask": "prepare", "job": name, "arguments": {...}}     the job's checked numbers, and its time
    {"ask": "turn", "lead_in": l, "samples": n, "repeats": r}   n times r runs, after l untimed
    {"ask": "launches"} {"ask": "memory"}                   of one run
    {"ask": "chooses", "name": operation}                   how a convolution would be done
    {"ask": "forget"}                                       the job and its memory

Times are CUDA's events: recorded before and after `repeats` runs, so the host does not wait in
between and the device is never idle but where the host cannot keep up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from rivals import ROOT

ISSUED = 10  # runs of which the host's own time is taken, where they are short
SHORT_MS = 1.0
TRIAL = 5


def side_of(way: str, tf32: bool, standin: bool) -> Any:
    """The library of a way, ready to work."""
    from rivals import gpu_crew

    library, mode = gpu_crew.WAYS[gpu_crew.OURS if way in gpu_crew.FORCED else way]
    if library == "torch":
        from rivals.gpu_torch import Torch

        return Torch(mode, tf32)
    from rivals.gpu_ours import Ours

    return Ours(mode, tf32, standin)


class Server:
    """Answers for one library; keeps one job at a time."""

    def __init__(self, side: Any) -> None:
        self.side, self.run = side, None
        self.free: float | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a request asks for, or {"error": …} where that fails."""
        try:
            return getattr(self, request.pop("ask"))(**request)
        except Exception as error:  # CUDA, CuPy, PyTorch and we have many kinds of our own
            self.run = None
            said = " ".join(str(error).replace(f"{ROOT}{os.sep}", "").split())[:1500]
            return {"error": f"{type(error).__name__}: {said}"}

    def facts(self) -> dict[str, Any]:
        """Card and versions; or why this way cannot run."""
        lacks = self.side.lacks()
        return {"lacks": lacks} if lacks else self.side.facts()

    def prepare(self, job: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make a job, warm up, and say what it computed and how long a warm run takes."""
        self.forget()
        self.side.wait()  # the device is set up before its free memory is looked at
        self.free = self.side.free_mib()
        self.run, check = getattr(self.side, job)(**arguments)
        found = check()
        return {"check": found, "ms": trial(self.side, self.run)}

    def turn(self, lead_in: int, samples: int, repeats: int) -> dict[str, Any]:
        """Times of the job."""
        return turn(self.side, self._ready(), lead_in, samples, repeats)

    def launches(self) -> dict[str, Any]:
        """Kernels and synchronisations of a run."""
        return self.side.launches(self._ready())

    def memory(self) -> dict[str, Any]:
        """Live peak, pool, and all that left the card's free memory since before the job."""
        found = self.side.memory(self._ready())
        left = self.side.free_mib()
        taken = None if left is None or self.free is None else self.free - left
        return {**found, "taken": taken}

    def chooses(self, name: str) -> dict[str, Any]:
        """The way of our own two that a convolution takes by itself."""
        return {"way": self.side.chooses(name)}

    def forget(self) -> dict[str, Any]:
        """Drop the job and its memory."""
        self.run = None
        gc.collect()
        self.side.forget()
        return {}

    def _ready(self) -> Callable[[], Any]:
        if self.run is None:
            raise RuntimeError("no job is prepared")
        return self.run


def trial(side: Any, run: Callable[[], Any]) -> float:
    """The time of a warm run, in ms."""
    run()
    return turn(side, run, 1, 1, TRIAL, issue=False)["ms"][0]


def turn(
    side: Any,
    run: Callable[[], Any],
    lead_in: int,
    samples: int,
    repeats: int,
    issue: bool = True,
) -> dict[str, Any]:
    """Milliseconds a run: `ms` on the device, and `issue_ms` that the host needs to ask for it.

    The latter is taken on an empty queue: a full one would make the host wait for the device.
    """
    for _ in range(lead_in):
        run()
    side.wait()
    times = []
    for _ in range(samples):
        first = side.mark()
        for _ in range(repeats):
            run()
        times.append(side.elapsed(first, side.mark()) / repeats)
    if not issue:
        return {"ms": times}
    few = min(repeats, ISSUED) if times[0] < SHORT_MS else 1
    side.wait()
    began = time.perf_counter()
    for _ in range(few):
        run()
    issued = (time.perf_counter() - began) * 1e3 / few
    side.wait()
    return {"ms": times, "issue_ms": issued}


def serve(server: Server, requests: Iterable[str], answers: TextIO) -> None:
    """Answer until the input ends."""
    for line in requests:
        print(json.dumps(server.answer(json.loads(line))), file=answers, flush=True)


def main() -> None:
    """Serve the way that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--standin", action="store_true")
    chosen = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    serve(Server(side_of(chosen.way, chosen.tf32, chosen.standin)), sys.stdin, answers)


if __name__ == "__main__":
    main()
