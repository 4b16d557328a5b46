"""One library in a process of its own: it prepares jobs, and works when it is its turn.

    python -m rivals.worker pytorch 2

A line of JSON on standard input asks, a line of JSON on standard output answers; `rounds.Worker`
is the other end.

    {"key": k, "job": name, "arguments": {...}}                 prepare a job, keep it as k
    {"key": k, "lead_in": l, "samples": n, "repeats": r}        n times r runs, after l untimed ones
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import rivals
from rivals import machine
from rivals.jobs import JOBS, Job


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    name, threads = sys.argv[1:]
    rival = rivals.load(name)
    rival.set_threads(int(threads))
    kept: dict[Any, Job] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = request.pop("key")
        if "job" in request:
            kept.pop(key, None)  # before the next one takes its memory
            kept[key] = JOBS[request["job"]](rival, **request["arguments"])
            answer = prepared(kept[key])
        else:
            answer = turn(kept[key].run, **request)
        print(json.dumps(answer), file=answers, flush=True)


def prepared(job: Job) -> dict[str, Any]:
    """Warm up, and say what was computed, how long a run takes, and what memory it wants."""
    before = machine.resident()
    check = job.check()
    return {"check": check, "tolerance": job.tolerance, **trial(job.run, before)}


def trial(run: Callable[[], Any], before: float | None) -> dict[str, float | None]:
    """The time of a warm run, in ms; the peak of a few, and how far that is above `before`.

    At least three runs, and as many as fill 30 ms: what a loader has made ahead of time is soon
    used up, and a run of microseconds needs more than three looks.
    """
    known = before is not None and machine.forget_peak()
    count, began, passed = 0, time.perf_counter(), 0.0
    while count < 3 or passed < 0.03:
        run()
        count, passed = count + 1, time.perf_counter() - began
    peak = machine.peak() if known else None
    growth = round(peak - before, 1) if known else None
    return {"ms": passed * 1e3 / count, "peak": round(peak, 1) if known else None, "growth": growth}


def turn(run: Callable[[], Any], lead_in: int, samples: int, repeats: int) -> dict[str, Any]:
    """Time `samples` groups of `repeats` runs, in ms a run; count the cores that were busy."""
    for _ in range(lead_in):
        run()
    times, busy, began = [], cpu_seconds(), time.perf_counter()
    for _ in range(samples):
        tick = time.perf_counter()
        for _ in range(repeats):
            run()
        times.append((time.perf_counter() - tick) * 1e3 / repeats)
    passed = time.perf_counter() - began
    return {"ms": [round(t, 5) for t in times], "cores": round((cpu_seconds() - busy) / passed, 2)}


def cpu_seconds() -> float:
    """Processor time that this process has used, on all cores together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
