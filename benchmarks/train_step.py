"""Time one training step of the lesson's networks, in minitorch7 and in its rivals.

    python benchmarks/train_step.py                      # 7 networks, 1 and 2 threads, all rivals
    python benchmarks/train_step.py --quick              # the ResNet, 1 thread, 3 short rounds
    python benchmarks/train_step.py --check              # do all compute the same? no timing
    python benchmarks/train_step.py --models resnet --rivals pytorch --threads 2 --rounds 20

The networks: the three of the lesson's MNIST part (basic, refactored, resnet; batches of 128), a
ResNet-34 for 128×128 pictures, a plain U-Net for 64×64, and fast.ai's U-Net around a ResNet-18 for
street scenes of 96×128 pixels in 12 classes (batches of 8); and the lesson's model 5 for human
numbers, a GRU of two layers (64 sequences of 20 words). A step is forward, cross entropy,
backward and AdamW with betas (0.9, 0.99) and weight decay 0.01.

Every rival works in a process of its own, with the number of threads set for every library it may
use. The processes take turns, A B C A B C …, so that a machine that slows down slows all of them;
the others sleep meanwhile. Before anything is timed, the first losses are compared: whoever
computes something else is not timed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import rivals
from rivals import jobs, options, pictures, report, rounds, script, start

NAME = "train_step"
MODELS = (*start.MODELS, start.CAMVID_UNET, start.GRU)
HEAD = ("network", "threads", "rival", "median ms", "least ms", "minitorch7 takes", "range")
HEAD += ("cores busy", "peak MiB", "growth MiB")


def taking_part(model: str, names: list[str]) -> list[str]:
    """Those of the rivals in which the network is written."""
    return [name for name in names if rivals.takes_part(name, "build", model)]


def measure(names: list[str], chosen: argparse.Namespace, bar: Any) -> Iterator[list[dict]]:
    """The rows, a network at a time."""
    for threads in chosen.threads:
        for model in chosen.models:
            yield compare(model, threads, taking_part(model, names), chosen, bar)


def turns(names: list[str], chosen: argparse.Namespace) -> int:
    """Turns and preparations of the whole run."""
    workers = sum(len(taking_part(model, names)) for model in chosen.models)
    return workers * len(chosen.threads) * (chosen.rounds + 1)


def compare(
    model: str, threads: int, names: list[str], chosen: argparse.Namespace, bar: Any
) -> list[dict[str, Any]]:
    """The rows of one network at one number of threads: every rival's, in the order of `names`."""
    batch = chosen.batch or start.spec(model).batch
    arguments = {"model": model, "batch": batch, "seed": chosen.seed}
    pace = rounds.Pace(most=60, lead=10)  # as in training, one step comes right after the other
    if chosen.steps:
        pace = rounds.Pace(least=chosen.steps, most=chosen.steps)
    with rounds.crew(names, threads) as workers:
        entries = [rounds.Entry(workers[name], "train", arguments) for name in names]
        what = f"{model}, {pictures.threads_text(threads)}"
        found = rounds.compete(entries, chosen.rounds, bar, what, pace)
    rows = report.rows_of({"model": model, "batch": batch, "threads": threads}, found)
    for row, f in zip(rows, found, strict=True):
        row["losses"] = f.ready["check"]
    return rows


def losses_of(rival: str, model: str, batch: int, seed: int) -> list[float]:
    """The first losses, computed in this process."""
    return jobs.train(rivals.load(rival), model, batch, seed).check()


def check(chosen: argparse.Namespace) -> int:
    """Compare the first losses of every network; 1 where two rivals differ."""
    names, _ = options.present(chosen)
    chosen.rounds, failed = 0, 0
    with rounds.progress(turns(names, chosen)) as bar:
        for model in chosen.models:
            try:
                rows = compare(model, chosen.threads[0], taking_part(model, names), chosen, bar)
                print(f"{model}: {len(rows)} rivals agree")
            except RuntimeError as error:
                failed = 1
                print(error)
    return failed


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = []
    for r in rows:
        cells = [r["model"], r["threads"], rivals.TITLES[r["rival"]]]
        cells += [report.shown(r["median_ms"], 1), report.shown(r["min_ms"], 1)]
        cells += report.ratio_cells(r)
        cells += [report.shown(r["cores"], 2)]
        lines.append([*cells, report.shown(r["peak_mib"]), report.shown(r["growth_mib"])])
    return report.table(HEAD, lines)


def picture(rows: list[dict], chosen: argparse.Namespace) -> None:
    """A panel a number of threads, a group of bars a network."""
    panels: dict[str, dict[str, list[dict]]] = {}
    for r in rows:
        panel = panels.setdefault(pictures.threads_text(r["threads"]), {})
        panel.setdefault(f"{r['model']}\nbatch {r['batch']}", []).append(r)
    pictures.bars(chosen.picture, panels, "One training step: time beside PyTorch eager's")


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the run, without the place of the file."""
    return options.command(NAME, chosen, "models", "steps", "batch")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick only changes what is not given."""
    parser = options.parser(__doc__, options.known("build"))
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument(
        "--steps", type=options.positive, help="timed steps a turn (default: 2 to 60, in a second)"
    )
    parser.add_argument(
        "--batch",
        type=options.positive,
        help="default: 128, 8 for the larger networks, 64 for words",
    )
    parser.add_argument("--check", action="store_true", help="compare the losses, time nothing")
    full = {"models": list(MODELS)}
    return options.parse(parser, NAME, arguments, full, {"models": ["resnet"], "steps": 5})


def main() -> int:
    """Measure, print the table, write file and picture; 1 where two rivals differ."""
    chosen = parse()
    if chosen.check:
        return check(chosen)
    return script.run(chosen, command_of(chosen), measure, turns, table, picture)


if __name__ == "__main__":
    sys.exit(main())
