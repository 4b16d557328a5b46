"""Images a second through the data pipeline, and how many of them training takes.

    python benchmarks/pipeline.py                        # 1 and 2 threads, PyTorch's loaders too
    python benchmarks/pipeline.py --quick                # minitorch7 and one loader, 3 short rounds
    python benchmarks/pipeline.py --data DIR             # a folder with MNIST

The pipeline is the lesson's: 28×28 digits in batches of 128, shuffled, each padded by 3 pixels and
cut out at random, put on one scale. Training is the lesson's ResNet, first on one and the same
batch, then on what the pipeline serves. A pipeline should serve at least twice what training takes,
so that training never waits for it.

MNIST is looked for in --data, $MINITORCH7_DATA, the user's cache and shared/data beside the
checkout; otherwise drawn digits are served, and the output says so. PyTorch's DataLoader does the
same work picture by picture, with 0 and more worker processes, and a batch at a time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import rivals
from rivals import digits, machine, options, pictures, report, rounds, script

from minitorch7.data import DataNotFound

NAME = "pipeline"
HEAD = ("library", "threads", "what", "images a second", "× its training", "range")
BATCH, MODEL = 128, "resnet"
TRAINING = "training on one batch"
WANTED = 2.0  # images served for each that training takes
PACE = rounds.Pace(sample_ms=150, turn_ms=450, least=2, most=3)
QUICK_PACE = rounds.Pace(sample_ms=40, turn_ms=80, least=2, most=2)


def work_of(rival: str, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """{what: (job, how)} of one library."""
    if rival == rivals.OURS:
        ours = {"loading, 2 batches ahead": ("load", {"prefetch": 2})}
        ours |= {"loading, none ahead": ("load", {"prefetch": 0})}
        return ours | {"training on what is loaded": ("fed", {"prefetch": 2})}
    found = {}
    for workers in (0,) if quick else (0, *doubling(machine.cores())):
        what = f"loading, {workers} worker{'s' * (workers != 1)}"
        found[what] = ("load", {"workers": workers})
    found["loading, whole batches"] = ("load", {"workers": 0, "whole": True})
    workers = 0 if quick else 1
    fed = f"training on what is loaded, {workers} worker{'s' * (workers != 1)}"
    return found | {fed: ("fed", {"workers": workers})}


def doubling(most: int) -> list[int]:
    """1, 2, 4, … up to `most`, which is always there."""
    return sorted({min(2**k, most) for k in range(most.bit_length() + 1)})


def entries_of(workers: dict[str, rounds.Worker], chosen: argparse.Namespace) -> list[rounds.Entry]:
    """Everything that takes turns: training on one batch, and all that loads."""
    found = []
    same = {"batch": BATCH, "seed": chosen.seed}
    for name, worker in workers.items():
        found.append(rounds.Entry(worker, "train", {"model": MODEL, **same}, TRAINING))
        for what, (job, how) in work_of(name, chosen.quick).items():
            arguments = {"source": chosen.source, **same, **how}
            found.append(rounds.Entry(worker, job, arguments, what))
    return found


def measure(names: list[str], chosen: argparse.Namespace, bar: Any) -> Iterator[list[dict]]:
    """The rows of one number of threads at a time."""
    for threads in chosen.threads:
        with rounds.crew(names, threads) as workers:
            what = f"digits, {pictures.threads_text(threads)}"
            entries = entries_of(workers, chosen)
            pace = QUICK_PACE if chosen.quick else PACE
            found = rounds.compete(entries, chosen.rounds, bar, what, pace)
        yield rows_of(threads, found)


def rows_of(threads: int, found: list[rounds.Found]) -> list[dict[str, Any]]:
    """A row a job, with its images a second over those of the same library's training."""
    rows = [report.row({"what": f.entry.key, "threads": threads}, f) for f in found]
    training = {r["rival"]: r["rounds_ms"] for r in rows if r["what"] == TRAINING}
    for r in rows:
        r["images_a_second"] = round(1e3 * BATCH / r["median_ms"])
        r["ratios"] = report.ratios(training[r["rival"]], r["rounds_ms"])
        r["ratio"] = round(median(r["ratios"]), 3)
        if r["rival"] != rivals.OURS:
            r["cores"] = None  # of this process only: a loader's workers are not in it
    return rows


def turns(names: list[str], chosen: argparse.Namespace) -> int:
    """Turns and preparations of the whole run."""
    jobs = sum(1 + len(work_of(name, chosen.quick)) for name in names)
    return jobs * len(chosen.threads) * (chosen.rounds + 1)


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table, and whether our pipeline keeps ahead of our training."""
    lines = []
    for r in rows:
        between = f"{min(r['ratios']):.2f} to {max(r['ratios']):.2f}"
        cells = [rivals.TITLES[r["rival"]], r["threads"], r["what"], f"{r['images_a_second']:,}"]
        lines.append([*cells, f"{r['ratio']:.2f}", between])
    return report.table(HEAD, lines) + "\n\n" + verdict(rows)


def verdict(rows: list[dict]) -> str:
    """A line a number of threads."""
    said = []
    for r in rows:
        if r["rival"] == rivals.OURS and r["what"].startswith("loading, 2"):
            enough = "enough" if r["ratio"] >= WANTED else "TOO LITTLE"
            text = f"{pictures.threads_text(r['threads'])}: the pipeline serves {r['ratio']:.1f} "
            said.append(text + f"times what training takes; wanted: {WANTED:g}; {enough}")
    return "\n".join(said)


def picture(rows: list[dict], chosen: argparse.Namespace) -> None:
    """A panel a number of threads; a bar a pipeline."""
    panels: dict[str, list[tuple[str, str, float, str]]] = {}
    for r in rows:
        if r["what"] != TRAINING:
            text = f"{r['ratio']:.2f}  ({r['images_a_second']:,}/s)"
            bar = (r["rival"], f"{rivals.TITLES[r['rival']]}:\n{r['what']}", r["ratio"], text)
            panels.setdefault(pictures.threads_text(r["threads"]), []).append(bar)
    title = f"Images served ({served_of(chosen)}) beside images that the ResNet trains on"
    pictures.multiples(chosen.picture, panels, title, WANTED)


def served_of(chosen: argparse.Namespace) -> str:
    """Which digits they are."""
    if not chosen.source.startswith(digits.DRAWN):
        return "MNIST"
    return "drawn digits" if chosen.drawn else "drawn digits: MNIST was not found"


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the run, without the places of files."""
    drawn = " --drawn" if chosen.source.startswith(digits.DRAWN) else ""
    quick = " --quick" if chosen.quick else ""
    return options.command(NAME, chosen) + drawn + quick


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick leaves out worker processes."""
    parser = options.parser(__doc__, options.known("build_loader"))
    parser.add_argument("--data", metavar="DIR", help="a folder with MNIST")
    parser.add_argument("--drawn", action="store_true", help="serve drawn digits")
    return options.parse(parser, NAME, arguments, {}, {})


def main() -> int:
    """Measure, print the table, write file and picture."""
    chosen = parse()
    try:
        count = (10 if chosen.quick else 100) * BATCH  # where digits have to be drawn
        chosen.source = digits.source_of(chosen.data, count, chosen.drawn)
    except DataNotFound as error:
        rounds.say(f"{error}")
        return 1
    rounds.say(f"serving {served_of(chosen)}")
    command, data = command_of(chosen), served_of(chosen)
    return script.run(chosen, command, measure, turns, table, picture, data=data)


if __name__ == "__main__":
    sys.exit(main())
