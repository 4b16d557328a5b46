"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rivals

from .rounds import say

HERE = Path(__file__).resolve().parents[1]


def known(function: str, model: str | None = None) -> list[str]:
    """The rivals that offer a function, for a network."""
    return [name for name in rivals.NAMES if rivals.takes_part(name, function, model)]


def parser(doc: str, names: list[str]) -> argparse.ArgumentParser:
    """A parser with the flags of every benchmark, and the rivals that can be chosen."""
    made = argparse.ArgumentParser(
        description=doc,
        epilog=f"rivals: {', '.join(names)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--rivals", nargs="+", choices=names, metavar="RIVAL")
    made.set_defaults(known=names)
    made.add_argument("--threads", nargs="+", type=positive, help="default: 1 2")
    made.add_argument("--rounds", type=positive, help="turns of each rival (default 5)")
    made.add_argument("--seed", type=natural, default=0)
    made.add_argument("--out", type=Path, help="the JSON file (default: in benchmarks/results/)")
    made.add_argument(
        "--picture",
        type=Path,
        help="the PNG file (default: pictures/, or by --out)",
    )
    made.add_argument("--quick", action="store_true", help="a taste, in well under a minute")
    return made


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {value}")
    return value


def parse(
    made: argparse.ArgumentParser,
    name: str,
    arguments: Sequence[str] | None,
    full: dict[str, Any],
    quick: dict[str, Any],
) -> argparse.Namespace:
    """The options. `full` and `quick` are the defaults without and with --quick."""
    options = made.parse_args(arguments)
    defaults = {"rivals": options.known, "threads": [1, 2], "rounds": 5, **full}
    del options.known
    if options.quick:
        defaults |= {"threads": [1], "rounds": 3, **quick}
    for key, value in defaults.items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    for key, value in vars(options).items():
        if isinstance(value, list):
            setattr(options, key, list(dict.fromkeys(value)))  # each once
    if rivals.OURS not in options.rivals:
        options.rivals.insert(0, rivals.OURS)  # there is no ratio without us
    _choose_files(made, options, name)
    return options


def _choose_files(made: argparse.ArgumentParser, options: argparse.Namespace, name: str) -> None:
    """Where the results go. A taste must not replace them, so it has a folder of its own."""
    if options.out is None:
        folder = HERE / "out" if options.quick else HERE / "results"
        options.out = folder / f"{name}.json"
        pictures = HERE / "out" if options.quick else HERE / "pictures"
        options.picture = options.picture or pictures / f"{name}.png"
    options.picture = options.picture or options.out.with_suffix(".png")
    for flag, path, suffix in (("out", options.out, ".json"), ("picture", options.picture, ".png")):
        if path.suffix.lower() != suffix:
            made.error(f"argument --{flag}: must end in {suffix}, got {path.name!r}")


def command(name: str, options: argparse.Namespace, *flags: str) -> str:
    """The command that repeats the run, without the places of files."""
    parts = [f"python benchmarks/{name}.py"]
    for flag in (*flags, "rivals", "threads", "rounds", "seed"):
        value = getattr(options, flag)
        if value is None:
            continue
        words = value if isinstance(value, list) else [value]
        parts.append(f"--{flag} " + " ".join(str(word) for word in words))
    return " ".join(parts)


def present(options: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """(the rivals that can run here, the reasons why others cannot), and a line about those."""
    reasons = {name: rivals.load(name).available() for name in options.rivals}
    absent = {name: reason for name, reason in reasons.items() if reason}
    for name, reason in absent.items():
        say(f"without {rivals.TITLES[name]}: {reason}")
    return [name for name in options.rivals if name not in absent], absent
