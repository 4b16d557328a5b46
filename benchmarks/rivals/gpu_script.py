"""The command line that the GPU's benchmarks share, and the line they end with where no GPU is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import gpu_card, gpu_crew, options, rounds

OUT = options.HERE / "out"
NO_GPU = 2  # exit status


def parser(doc: str, ways: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with the flags of all, and the ways that can be chosen."""
    made = argparse.ArgumentParser(
        description=doc,
        epilog=f"ways: {', '.join(ways)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--ways", nargs="+", choices=ways, default=list(ways), metavar="WAY")
    made.add_argument("--rounds", type=options.positive, default=5, help="turns of each way")
    made.add_argument("--seed", type=options.natural, default=0)
    made.add_argument("--out", type=Path, help="the JSON file (default: in benchmarks/out/)")
    made.add_argument("--standin", action="store_true", help=argparse.SUPPRESS)
    return made


def parse(
    made: argparse.ArgumentParser, name: str, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """The options, with a place for the files; our own way is always among the ways.

    SystemExit(2), after one line, where there is no GPU.
    """
    chosen = made.parse_args(arguments)
    chosen.name = name
    chosen.out = chosen.out or OUT / f"{name}.json"
    if chosen.out.suffix != ".json":
        made.error(f"argument --out: must end in .json, got {chosen.out.name!r}")
    chosen.picture = chosen.out.with_suffix(".png")
    if chosen.standin:
        chosen.ways = []  # only ours: it captures nothing, and knows no PyTorch
        chosen.rounds = 1
    chosen.ways = list(dict.fromkeys([gpu_crew.OURS, *chosen.ways]))
    if not chosen.standin:
        need_gpu(name)
    return chosen


def need_gpu(name: str) -> None:
    """SystemExit(2) after one line where minitorch7 cannot run on a GPU here."""
    lacks = gpu_card.missing()
    if lacks:
        rounds.say(f"{name}: nothing to measure on: {lacks}")
        sys.exit(NO_GPU)


def command(chosen: argparse.Namespace, *flags: str) -> str:
    """The command that repeats the run, without the place of the file."""
    parts = [f"python benchmarks/{chosen.name}.py"]
    for flag in (*flags, "ways", "rounds", "seed"):
        value = getattr(chosen, flag)
        words = value if isinstance(value, list) else [value]
        parts.append(f"--{flag} " + " ".join(str(word) for word in words))
    return " ".join(parts) + " --standin" * chosen.standin


def status(team: gpu_crew.Crew, rows: list) -> int:
    """The exit status: 1 where a way failed or nothing was measured."""
    return int(bool(team.failed) or not rows)
