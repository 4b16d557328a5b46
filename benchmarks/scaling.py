"""Time a training step as batch, pixels, channels or depth grow, in minitorch7 and in its rivals.

    python benchmarks/scaling.py                         # 13 networks, 1 and 2 threads, all rivals
    python benchmarks/scaling.py --quick                 # 5 small ones, 1 thread, 2 short rounds
    python benchmarks/scaling.py --axes channels --rivals pytorch --threads 2

One family of networks: a 3×3 convolution, n residual blocks of c channels at p×p pixels (He's basic
block, nothing shrinks on the way), the mean over the pixels, a linear layer. One of the four sizes
varies at a time; the others keep the values that all four lines share.

What a step is, processes, turns and the check of the losses are as in `train_step.py`. Memory is
what the process grew by during steps, see README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import rivals
from rivals import options, pictures, report, rounds, script
from rivals.large import FAMILY, Residual

NAME = "scaling"
HEAD = ("batch", "pixels", "channels", "depth", "threads", "rival", "median ms")
HEAD += ("minitorch7 takes", "range", "growth MiB")
AXES = {
    "batch": ("pictures in a batch", (8, 16, 32, 64)),
    "pixels": ("pixels of a side", (14, 28, 56, 112)),
    "channels": ("channels", (8, 16, 32, 64)),
    "depth": ("depth in residual blocks", (2, 4, 8, 16)),
}
PACE = rounds.Pace(turn_ms=500, most=8)


class Point(NamedTuple):
    """One network of the family, and its batch."""

    batch: int = 32
    pixels: int = 28
    channels: int = 16
    depth: int = 4


BASE, QUICK_BASE = Point(), Point(8, 8, 4, 1)


def points_of(axis: str, quick: bool) -> list[Point]:
    """The base, and its like with other values on one axis, in the order of size."""
    base = QUICK_BASE if quick else BASE
    value = getattr(base, axis)
    values = (value, 2 * value) if quick else AXES[axis][1]
    return [base._replace(**{axis: v}) for v in values]


def every_point(chosen: argparse.Namespace) -> list[Point]:
    """The points of all chosen axes, each once."""
    found = [point for axis in chosen.axes for point in points_of(axis, chosen.quick)]
    return list(dict.fromkeys(found))


def measure(names: list[str], chosen: argparse.Namespace, bar: Any) -> Iterator[list[dict]]:
    """The rows, a network at a time."""
    for threads in chosen.threads:
        for point in every_point(chosen):
            model = Residual(point.channels, point.depth, point.pixels).name
            arguments = {"model": model, "batch": point.batch, "seed": chosen.seed}
            what = f"{model}, batch {point.batch}, {pictures.threads_text(threads)}"
            with rounds.crew(names, threads) as workers:
                entries = [rounds.Entry(workers[name], "train", arguments) for name in names]
                found = rounds.compete(entries, chosen.rounds, bar, what, PACE)
            yield report.rows_of({**point._asdict(), "threads": threads}, found)


def turns(names: list[str], chosen: argparse.Namespace) -> int:
    """Turns and preparations of the whole run."""
    return len(names) * len(every_point(chosen)) * len(chosen.threads) * (chosen.rounds + 1)


def rows_at(rows: list[dict], point: Point, threads: int) -> list[dict]:
    """The rows of one comparison."""
    wanted = {**point._asdict(), "threads": threads}
    return [r for r in rows if all(r[key] == value for key, value in wanted.items())]


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = []
    for r in rows:
        cells = [*[r[name] for name in Point._fields], r["threads"], rivals.TITLES[r["rival"]]]
        cells += [report.milliseconds(r["median_ms"]), *report.ratio_cells(r)]
        lines.append([*cells, report.shown(r["growth_mib"], 1)])
    return report.table(HEAD, lines)


def picture(rows: list[dict], chosen: argparse.Namespace) -> None:
    """A panel an axis, time above and the ratio below."""
    panels = {
        threads: {
            AXES[axis][0]: {
                getattr(point, axis): rows_at(rows, point, threads)
                for point in points_of(axis, chosen.quick)
            }
            for axis in chosen.axes
        }
        for threads in chosen.threads
    }
    base = QUICK_BASE if chosen.quick else BASE
    about = f"batch {base.batch}, {base.pixels}×{base.pixels} pixels, "
    about += f"{base.channels} channels, depth {base.depth}"
    pictures.lines(chosen.picture, panels, f"A training step of a residual network ({about})")


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the run, without the place of the file."""
    quick = " --quick" if chosen.quick else ""
    return options.command(NAME, chosen, "axes") + quick


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick takes two small sizes an axis, and leaves out what compiles longest."""
    names = options.known("build", FAMILY)
    parser = options.parser(__doc__, names)
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    fast = [name for name in names if name != "pytorch_compile"]
    return options.parse(parser, NAME, arguments, {}, {"rounds": 2, "rivals": fast})


def main() -> int:
    """Measure, print the table, write file and picture; 1 where two rivals differ."""
    chosen = parse()
    return script.run(chosen, command_of(chosen), measure, turns, table, picture)


if __name__ == "__main__":
    sys.exit(main())
