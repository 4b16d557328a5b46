"""Time one training step of the lesson's MNIST networks, in minitorch7 and in its rivals.

    python benchmarks/train_step.py                      # 3 networks, 1 and 2 threads, all rivals
    python benchmarks/train_step.py --quick              # the ResNet, 1 thread, 3 short rounds
    python benchmarks/train_step.py --check              # do all compute the same? no timing
    python benchmarks/train_step.py --models resnet --rivals pytorch --threads 2 --rounds 20

A step is forward, cross entropy, backward and AdamW with betas (0.9, 0.99) and weight decay 0.01.
Every rival works in a process of its own, with the number of threads set for every library it may
use. The processes take turns, A B C A B C …, so that a machine that slows down slows all of them;
the others sleep meanwhile. Before anything is timed, the first five losses are compared: whoever
computes something else is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import rivals
from rivals import machine, start

from minitorch7.files import write_atomically

RESULTS = Path(__file__).parent / "results" / "train_step.json"
CHECKED_STEPS, TOLERANCE = 5, 1e-3
LEAD_IN = 2  # untimed steps at the start of a turn: caches and threads wake up
HEAD = ("network", "threads", "rival", "median ms", "least ms", "minitorch7 takes", "range")
HEAD += ("cores busy", "peak MiB", "growth MiB")


# ------------------------------------------------------------------- in the process of one rival


def work(rival: str, model: str, options: argparse.Namespace) -> None:
    """Build, warm up, say so; then a turn for every line read. One line of JSON answers each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the answers

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    threads = options.threads[0]
    module = rivals.load(rival)
    module.set_threads(threads)
    step = module.build(model, options.batch, options.seed)
    before = machine.resident()
    losses = [float(step()) for _ in range(CHECKED_STEPS)]
    answer(losses=losses, **memory_of(step, before))
    for line in sys.stdin:
        answer(**turn(step, int(line)))


def memory_of(step: Callable[[], Any], before: float | None) -> dict[str, float | None]:
    """The process's peak during three warm steps, and how far that is above `before`; in MiB."""
    if before is None or not machine.forget_peak():
        return {"peak": None, "growth": None}
    for _ in range(3):
        float(step())
    peak = machine.peak()
    return {"peak": round(peak, 1), "growth": round(peak - before, 1)}


def turn(step: Callable[[], Any], steps: int) -> dict[str, Any]:
    """Time `steps` steps, each until its loss is there; and count the cores that were busy."""
    for _ in range(LEAD_IN):
        float(step())
    times, busy, began = [], cpu_seconds(), time.perf_counter()
    for _ in range(steps):
        tick = time.perf_counter()
        float(step())
        times.append((time.perf_counter() - tick) * 1e3)
    passed = time.perf_counter() - began
    return {"ms": [round(t, 3) for t in times], "cores": round((cpu_seconds() - busy) / passed, 2)}


def cpu_seconds() -> float:
    """Processor time that this process has used, on all cores together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --------------------------------------------------------------------- in the process that leads


class Worker:
    """One rival's process; `ready` holds its first answer."""

    def __init__(self, rival: str, model: str, threads: int, batch: int, seed: int) -> None:
        self.rival = rival
        self.errors = tempfile.TemporaryFile("w+")
        command = [sys.executable, __file__, "--worker", rival, model, "--threads", str(threads)]
        self.process = subprocess.Popen(
            [*command, "--batch", str(batch), "--seed", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=machine.environment(threads),
        )
        self.ready = self._answer()

    def turn(self, steps: int) -> dict[str, Any]:
        """Let it work for one turn."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        last = self.errors.read()[-2000:]
        raise RuntimeError(f"{self.rival} stopped (status {self.process.returncode}):\n{last}")

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def measure(model: str, threads: int, names: list[str], options: argparse.Namespace) -> list[dict]:
    """The rows of one network at one number of threads: every rival's, in the order of `names`."""
    workers: list[Worker] = []
    try:
        for name in names:
            say(f"{model}, threads {threads}: {rivals.TITLES[name]} gets ready")
            workers.append(Worker(name, model, threads, options.batch, options.seed))
        wrong = disagreements({w.rival: w.ready["losses"] for w in workers})
        if wrong:
            raise RuntimeError(f"{model}: not the same computation, so not timed\n{wrong}")
        turns: dict[str, list[dict]] = {name: [] for name in names}
        for k in range(options.rounds):
            say(f"{model}, threads {threads}: round {k + 1} of {options.rounds}")
            for worker in workers:
                turns[worker.rival].append(worker.turn(options.steps))
    finally:
        for worker in workers:
            worker.close()
    found = [row(model, threads, w.rival, w.ready, turns[w.rival]) for w in workers]
    add_ratios(found)
    return found


def row(model: str, threads: int, rival: str, ready: dict, turns: list[dict]) -> dict[str, Any]:
    """One rival's figures over all rounds."""
    every = [ms for t in turns for ms in t["ms"]]
    return {
        "model": model,
        "threads": threads,
        "rival": rival,
        "median_ms": round(median(every), 3) if every else None,
        "min_ms": min(every, default=None),
        "cores": round(median(t["cores"] for t in turns), 2) if turns else None,
        "peak_mib": ready["peak"],
        "growth_mib": ready["growth"],
        "losses": ready["losses"],
        "rounds_ms": [t["ms"] for t in turns],
    }


def add_ratios(rows: list[dict]) -> None:
    """To each row, minitorch7's median over the rival's: one for every round, and their median."""
    ours = next((r["rounds_ms"] for r in rows if r["rival"] == rivals.OURS), [])
    for r in rows:
        pairs = zip(ours, r["rounds_ms"], strict=bool(ours))
        r["ratios"] = [round(median(a) / median(b), 3) for a, b in pairs]
        r["ratio"] = round(median(r["ratios"]), 3) if r["ratios"] else None


def disagreements(losses: dict[str, list[float]]) -> str:
    """The losses of all, a line a rival, where one differs from the first's by more than TOLERANCE.

    '' where all agree.
    """
    first, *others = losses.values()
    pairs = [pair for other in others for pair in zip(first, other, strict=True)]
    if all(abs(a - b) <= TOLERANCE for a, b in pairs):  # False for NaN
        return ""
    return "\n".join(
        f"{name:16} " + " ".join(f"{loss:.5f}" for loss in found) for name, found in losses.items()
    )


def losses_of(rival: str, model: str, batch: int, seed: int) -> list[float]:
    """The first five losses, computed in this process."""
    step = rivals.load(rival).build(model, batch, seed)
    return [float(step()) for _ in range(CHECKED_STEPS)]


def check(names: list[str], options: argparse.Namespace) -> int:
    """Compare the first five losses of every network; 1 where two rivals differ."""
    failed = 0
    for model in options.models:
        found = {}
        for name in names:
            worker = Worker(name, model, options.threads[0], options.batch, options.seed)
            found[name] = worker.ready["losses"]
            worker.close()
        wrong = disagreements(found)
        failed |= bool(wrong)
        print(f"{model}: " + (f"DIFFERENT\n{wrong}" if wrong else f"{len(found)} rivals agree"))
    return failed


# ------------------------------------------------------------------------------------ the answer


def say(text: str) -> None:
    """Progress, beside the table rather than in it."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for r in rows:
        ratio = between = "-"
        if r["ratio"] is not None and r["rival"] != rivals.OURS:
            ratio = f"{r['ratio']:.2f} ×"
            between = f"{min(r['ratios']):.2f} to {max(r['ratios']):.2f}"
        cells = [r["model"], r["threads"], rivals.TITLES[r["rival"]]]
        cells += [shown(r["median_ms"], 1), shown(r["min_ms"], 1), ratio, between]
        cells += [shown(r["cores"], 2), shown(r["peak_mib"]), shown(r["growth_mib"])]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def shown(value: float | None, digits: int = 0) -> str:
    """A number for the table; a dash for one that is not known."""
    return "-" if value is None else f"{value:.{digits}f}"


def command_of(options: argparse.Namespace) -> str:
    """The command that repeats the run, without the place of the file."""
    parts = ["python benchmarks/train_step.py"]
    for name in ("models", "rivals", "threads"):
        parts.append(f"--{name} " + " ".join(str(value) for value in getattr(options, name)))
    parts += [f"--{name} {getattr(options, name)}" for name in ("rounds", "steps", "batch", "seed")]
    return " ".join(parts)


def save(path: Path, options: argparse.Namespace, absent: dict, rows: list[dict]) -> None:
    """Write the JSON file; it is replaced in one step."""
    result = {"command": command_of(options), "machine": machine.facts(), "absent": absent}
    lines = ",\n".join("  " + json.dumps(r) for r in rows)
    text = json.dumps(result, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n ]\n}\n"
    write_atomically(path, text.encode(), "train_step")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick only changes what is not given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=start.MODELS)
    parser.add_argument("--rivals", nargs="+", choices=rivals.NAMES, default=list(rivals.NAMES))
    parser.add_argument("--threads", nargs="+", type=positive, help="default: 1 2")
    parser.add_argument("--rounds", type=positive, help="turns of each rival (default 5)")
    parser.add_argument("--steps", type=positive, help="timed steps a turn (default 10)")
    parser.add_argument("--batch", type=positive, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file to write")
    parser.add_argument("--quick", action="store_true", help="resnet, 1 thread, 3 rounds of 5")
    parser.add_argument("--check", action="store_true", help="compare the losses, time nothing")
    parser.add_argument("--worker", nargs=2, metavar=("RIVAL", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    quick = options.quick
    options.models = options.models or (["resnet"] if quick else list(start.MODELS))
    options.threads = options.threads or ([1] if quick else [1, 2])
    options.rounds = options.rounds or (3 if quick else 5)
    options.steps = options.steps or (5 if quick else 10)
    if rivals.OURS not in options.rivals:
        options.rivals.insert(0, rivals.OURS)  # there is no ratio without us
    return options


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def main() -> int:
    """Measure, print the table, write the file; 1 where two rivals differ."""
    options = parse()
    if options.worker:
        work(*options.worker, options)
        return 0
    absent = {name: rivals.load(name).available() for name in options.rivals}
    absent = {name: reason for name, reason in absent.items() if reason}
    for name, reason in absent.items():
        say(f"without {rivals.TITLES[name]}: {reason}")
    names = [name for name in options.rivals if name not in absent]
    rows = []
    try:
        if options.check:
            return check(names, options)
        for threads in options.threads:
            for model in options.models:
                rows += measure(model, threads, names, options)
                save(options.out, options, absent, rows)
    except RuntimeError as error:  # a worker that stopped, or a rival that computes something else
        say(f"{error}")
        return 1
    print(f"{command_of(options)}\n\n{table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
