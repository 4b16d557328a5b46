"""Measure what bounds everything on this GPU: its copy bandwidth and its rate of products.

    python benchmarks/gpu_roofline.py
    python benchmarks/gpu_roofline.py --ways minitorch7       # without PyTorch

An array of a GiB is copied to another on the device; two matrices of 8192 × 8192 are multiplied
in float32, in float32 through TF32, and in float16 with sums in float32. By CuPy and, where it is
installed, by PyTorch: both ask cuBLAS, so the two rates should be close. CuPy takes TF32 where
CUPY_TF32=1 was set before it was imported, which is done here.

Times are CUDA's events over many runs at a time, after a warm-up; medians.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rivals import gpu_card, gpu_ceilings, gpu_pictures, gpu_report, gpu_script, report
from rivals.gpu_crew import Crew, crew

NAME = "gpu_roofline"
HEAD = ("what", "by", "median ms", "rate")


def measure(team: Crew, tf32_team: Crew, turns: int) -> gpu_report.Rows:
    """Copies and products; TF32 needs processes of its own."""
    rows = gpu_ceilings.measure(team, ("float32", "float16"), turns)
    return rows + gpu_ceilings.measure(tf32_team, ("float32",), turns, copies=False)


def table(rows: gpu_report.Rows) -> str:
    """Markdown."""
    return report.table(HEAD, [gpu_ceilings.cells(r) for r in rows])


def panels(rows: gpu_report.Rows) -> dict[str, gpu_pictures.Panel]:
    """Bars of rates: a panel for bytes, one for operations."""
    found: dict[str, gpu_pictures.Panel] = {}
    for r in rows:
        bar = gpu_pictures.Bar(r["way"], r["rate"], f"{r['rate']:,.0f}")
        found.setdefault(r["unit"], {}).setdefault(r["what"], []).append(bar)
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    made = gpu_script.parser(__doc__, gpu_ceilings.WAYS)
    return gpu_script.parse(made, NAME, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write file and picture; 1 where something failed, 2 without a GPU."""
    chosen = parse(arguments)
    with (
        crew(chosen.ways, False, chosen.standin) as team,
        crew(chosen.ways, True, chosen.standin) as tf32_team,
    ):
        rows = measure(team, tf32_team, chosen.rounds)
        team.failed.update({f"TF32, {what}": why for what, why in tf32_team.failed.items()})
        clocks = {} if chosen.standin else gpu_card.clocks(team.facts.get("place"))
    command = gpu_script.command(chosen)
    gpu_report.save(chosen.out, command, team, rows, clocks=clocks)
    gpu_pictures.bars(chosen.picture, panels(rows), "What the card can do", team.facts)
    print(f"{gpu_report.head('Ceilings', command, team)}\n\n{table(rows)}")
    return gpu_script.status(team, rows)


if __name__ == "__main__":
    sys.exit(main())
