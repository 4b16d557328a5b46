"""Time forward passes in evaluation mode, without gradients, in minitorch7 and in its rivals.

    python benchmarks/inference.py                       # 5 networks, 1 and 2 threads, all rivals
    python benchmarks/inference.py --quick               # the ResNet, 1 thread, 3 short rounds
    python benchmarks/inference.py --models unet --batches 1 4 --rivals pytorch

The networks of `train_step.py`, each with one picture and with a batch: 128 of the lesson's
28×28 pixels, 8 of the larger ones. Batch norms use their running statistics. A pass ends when its
scores are there. minitorch7 runs under `no_grad`, PyTorch under `inference_mode`.

Rivals, processes, turns and the check that all compute the same are as in `train_step.py`; what is
compared here is the scores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import rivals
from rivals import options, pictures, report, rounds, script, start

NAME = "inference"
HEAD = ("network", "batch", "threads", "rival", "median ms", "pictures a second")
HEAD += ("minitorch7 takes", "range", "cores busy", "growth MiB")
PACE = rounds.Pace(sample_ms=2, turn_ms=500)


def batches_of(model: str, chosen: argparse.Namespace) -> list[int]:
    """The batch sizes of one network."""
    return chosen.batches or [start.spec(model).batch, 1]


def cases_of(chosen: argparse.Namespace) -> list[tuple[str, int]]:
    """(network, batch) in the order of measuring."""
    return [(model, batch) for model in chosen.models for batch in batches_of(model, chosen)]


def measure(names: list[str], chosen: argparse.Namespace, bar: Any) -> Iterator[list[dict]]:
    """The rows, a network and batch at a time."""
    for threads in chosen.threads:
        for model, batch in cases_of(chosen):
            arguments = {"model": model, "batch": batch, "seed": chosen.seed}
            what = f"{model}, batch {batch}, {pictures.threads_text(threads)}"
            with rounds.crew(names, threads) as workers:
                entries = [rounds.Entry(workers[name], "inference", arguments) for name in names]
                found = rounds.compete(entries, chosen.rounds, bar, what, PACE)
            yield report.rows_of({"model": model, "batch": batch, "threads": threads}, found)


def turns(names: list[str], chosen: argparse.Namespace) -> int:
    """Turns and preparations of the whole run."""
    return len(names) * len(cases_of(chosen)) * len(chosen.threads) * (chosen.rounds + 1)


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = []
    for r in rows:
        a_second = f"{1e3 * r['batch'] / r['median_ms']:,.0f}"
        cells = [r["model"], r["batch"], r["threads"], rivals.TITLES[r["rival"]]]
        cells += [report.milliseconds(r["median_ms"]), a_second, *report.ratio_cells(r)]
        lines.append([*cells, report.shown(r["cores"], 2), report.shown(r["growth_mib"])])
    return report.table(HEAD, lines)


def picture(rows: list[dict], chosen: argparse.Namespace) -> None:
    """A panel a number of threads, a group of bars a network and batch."""
    panels: dict[str, dict[str, list[dict]]] = {}
    for r in rows:
        panel = panels.setdefault(pictures.threads_text(r["threads"]), {})
        panel.setdefault(f"{r['model']}, {r['batch']}", []).append(r)
    title = "One forward pass (network, batch): time beside PyTorch eager's"
    pictures.bars(chosen.picture, panels, title)


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the run, without the place of the file."""
    return options.command(NAME, chosen, "models", "batches")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick only changes what is not given."""
    parser = options.parser(__doc__, options.known("build_inference"))
    parser.add_argument("--models", nargs="+", choices=start.MODELS)
    parser.add_argument(
        "--batches", nargs="+", type=options.positive, help="default: 128 or 8, and 1"
    )
    full = {"models": list(start.MODELS)}
    return options.parse(parser, NAME, arguments, full, {"models": ["resnet"]})


def main() -> int:
    """Measure, print the table, write file and picture; 1 where two rivals differ."""
    chosen = parse()
    return script.run(chosen, command_of(chosen), measure, turns, table, picture)


if __name__ == "__main__":
    sys.exit(main())
