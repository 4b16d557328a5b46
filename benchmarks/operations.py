"""Time single operations, forward and with their gradients, in minitorch7 and in its rivals.

    python benchmarks/operations.py                      # all operations, 1 and 2 threads
    python benchmarks/operations.py --quick              # some small ones, 1 thread, 3 short rounds
    python benchmarks/operations.py --kinds conv2d linear --rivals pytorch
    python benchmarks/operations.py --list               # the operations and their shapes

Convolutions, transposed convolutions, batch norm, pooling, ReLU, pixel shuffle, cross entropy,
linear layers and the step of AdamW, on shapes that the lesson's MNIST networks, a ResNet-34, a
U-Net and a WGAN's generator give them (`rivals/grid.py`).

*forward* records no graph. *with gradients* is forward and backward, from a random gradient to
those of everything that a network would need; a network's first layer needs none for its input.
Pictures lie in memory as the library itself leaves them between two layers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import rivals
from rivals import grid, options, pictures, report, rounds, script

NAME = "operations"
FORWARD, BOTH, STEP = "forward", "with gradients", "step"
PACE = rounds.Pace(sample_ms=4, turn_ms=150, least=2, most=6)


def cases_of(chosen: argparse.Namespace) -> list[tuple[str, str]]:
    """(operation, pass) in the order of measuring."""
    names = [n for n, case in grid.CASES.items() if case.kind in chosen.kinds]
    if chosen.quick:
        names = [n for n in names if n in grid.QUICK]
    found = [(name, which) for name in names for which in (FORWARD, BOTH)]
    if "adam" in chosen.kinds:
        found += [(name, STEP) for name in list(grid.ADAM)[: 1 if chosen.quick else None]]
    return found


def taking_part(which: str, names: list[str]) -> list[str]:
    """Those of the rivals that offer the operation."""
    function = "build_adam" if which == STEP else "build_operation"
    return [name for name in names if rivals.takes_part(name, function)]


def measure(names: list[str], chosen: argparse.Namespace, bar: Any) -> Iterator[list[dict]]:
    """The rows, an operation at a time; a rival's process stays for all of them."""
    for threads in chosen.threads:
        with rounds.crew(names, threads) as workers:
            for name, which in cases_of(chosen):
                job, arguments = job_of(name, which, chosen.seed)
                some = taking_part(which, names)
                entries = [rounds.Entry(workers[rival], job, arguments) for rival in some]
                what = f"{name}, {which}, {pictures.threads_text(threads)}"
                found = rounds.compete(entries, chosen.rounds, bar, what, PACE)
                net = "" if which == STEP else grid.CASES[name].net
                about = {"operation": name, "net": net, "pass": which, "threads": threads}
                yield report.rows_of(about, found)


def job_of(name: str, which: str, seed: int) -> tuple[str, dict[str, Any]]:
    """What to ask a worker for."""
    if which == STEP:
        return "adam", {"model": grid.ADAM[name], "seed": seed}
    return "operation", {"name": name, "backward": which == BOTH, "seed": seed}


def turns(names: list[str], chosen: argparse.Namespace) -> int:
    """Turns and preparations of the whole run."""
    workers = sum(len(taking_part(which, names)) for _, which in cases_of(chosen))
    return workers * len(chosen.threads) * (chosen.rounds + 1)


def table(rows: list[dict]) -> str:
    """One line an operation: our time, and every rival's with the ratio of ours to it."""
    present = [name for name in rivals.NAMES if any(r["rival"] == name for r in rows)]
    head = ["operation", "net", "pass", "threads", "minitorch7 ms"]
    for name in present[1:]:
        head += [f"{rivals.TITLES[name]} ms", "ratio"]
    lines = []
    for about, of in compared(rows).items():
        cells: list[Any] = [*about, report.milliseconds(of[rivals.OURS]["median_ms"])]
        for name in present[1:]:
            found = of.get(name)
            cells.append(report.milliseconds(found["median_ms"]) if found else "-")
            cells.append(report.ratio_cells(found)[0] if found else "-")
        lines.append(cells)
    return report.table(tuple(head), lines)


def compared(rows: list[dict]) -> dict[tuple, dict[str, dict]]:
    """{(operation, net, pass, threads): {rival: row}}"""
    found: dict[tuple, dict[str, dict]] = {}
    for r in rows:
        key = (r["operation"], r["net"], r["pass"], r["threads"])
        found.setdefault(key, {})[r["rival"]] = r
    return found


def picture(rows: list[dict], chosen: argparse.Namespace) -> None:
    """A panel a pass and a number of threads; our bar and the other rivals' marks."""
    panels: dict[str, dict[str, list[dict]]] = {}
    for (name, net, which, threads), of in compared(rows).items():
        # a step of Adam has no forward pass: it stands where everything is complete
        which = FORWARD if which == FORWARD else BOTH
        panel = panels.setdefault(f"{which}, {pictures.threads_text(threads)}", {})
        panel[f"{name}  ({net})" if net else name] = list(of.values())
    title = "Single operations: time beside PyTorch eager's"
    pictures.bars(chosen.picture, panels, title, only=(rivals.OURS,))


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the run, without the place of the file."""
    quick = " --quick" if chosen.quick else ""
    return options.command(NAME, chosen, "kinds") + quick


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick takes the small shapes."""
    parser = options.parser(__doc__, options.known("build_operation"))
    parser.add_argument("--kinds", nargs="+", choices=grid.KINDS, default=list(grid.KINDS))
    parser.add_argument("--list", action="store_true", help="print the operations and stop")
    return options.parse(parser, NAME, arguments, {}, {})


def main() -> int:
    """Measure, print the table, write file and picture; 1 where two rivals differ."""
    chosen = parse()
    if chosen.list:
        print("\n".join(dict.fromkeys(name for name, _ in cases_of(chosen))))
        return 0
    return script.run(chosen, command_of(chosen), measure, turns, table, picture)


if __name__ == "__main__":
    sys.exit(main())
