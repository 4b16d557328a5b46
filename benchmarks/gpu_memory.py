"""The memory that one training step takes on a GPU: minitorch7's beside PyTorch's.

    python benchmarks/gpu_memory.py
    python benchmarks/gpu_memory.py --models camvid_unet34 --ways minitorch7 pytorch

The networks and the ways of `gpu_train.py`, one process on the card at a time, after the first
steps. *Live* is the most that arrays held at one moment of a step: for minitorch7 counted by a
hook on CuPy's pool, for PyTorch its max_memory_allocated. A captured step asks for nothing when it
is replayed, so there is none for it. *Pool* is what the library keeps of the card, free blocks
included. *Taken* is by how much the card's free memory fell from before the network was made:
workspaces of cuBLAS and cuDNN, loaded kernels and graphs included. It is right where nothing else
uses the card.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import gpu_train
from rivals import gpu_pictures, gpu_report, gpu_script, gpu_start, report, rounds
from rivals.gpu_crew import OURS, TITLES, WAYS, Crew, crew

NAME = "gpu_memory"
HEAD = ("network", "by", "live MiB", "pool MiB", "taken MiB", "minitorch7 takes")
FIGURES = ("peak", "reserved", "taken")


def measure(team: Crew, model: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one network."""
    batch = gpu_start.spec(model, chosen.standin).batch
    arguments = {"model": model, "batch": batch, "seed": chosen.seed}
    tolerance = gpu_start.checks(model)[1]
    ways = gpu_train.ways_of(model, team.ways)
    what, extra = f"{model}, batch {batch}", ("memory",)
    found = team.compete(what, "train", arguments, 0, tolerance, True, extra, ways)
    about = {"model": model, "batch": batch, "tf32": team.tf32}
    rows = []
    for way, of in found.items():
        figures = {f"{key}_mib": in_mib(of["memory"].get(key)) for key in FIGURES}
        rows.append({**about, "way": way, **figures})
    add_ratios(rows)
    return rows


def in_mib(value: float | None) -> float | None:
    """A tenth of a MiB is enough."""
    return None if value is None else round(value, 1)


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """To each row, our bytes over its: of the live ones where both know them, else of the pool."""
    ours = next((r for r in rows if r["way"] == OURS), {})
    for r in rows:
        key = "peak_mib" if ours.get("peak_mib") and r["peak_mib"] else "reserved_mib"
        known = ours.get(key) and r[key]
        r["ratio"] = round(ours[key] / r[key], 3) if known else None
        r["ratio_of"] = key.removesuffix("_mib") if known else None


def table(rows: gpu_report.Rows) -> str:
    """A line a network and a way."""
    lines = []
    for r in rows:
        of = " (pool)" if r["ratio_of"] == "reserved" else ""
        ratio = "-" if r["way"] == OURS else gpu_report.ratio(r["ratio"]) + of
        sizes = [report.shown(r[f"{key}_mib"], 1) for key in FIGURES]
        lines.append([f"{r['model']}, batch {r['batch']}", TITLES[r["way"]], *sizes, ratio])
    return report.table(HEAD, lines)


def panels(rows: gpu_report.Rows) -> dict[str, gpu_pictures.Panel]:
    """A panel a network; the live bytes, and the pool where they are not known."""
    found: dict[str, gpu_pictures.Panel] = {}
    for r in rows:
        value, kind = r["peak_mib"], "live"
        if value is None:
            value, kind = r["reserved_mib"], "pool"
        bar = gpu_pictures.Bar(r["way"], value, f"{value:,.0f} {kind}")
        panel = found.setdefault(f"{r['model']}, batch {r['batch']}: MiB a step", {})
        panel[TITLES[r["way"]]] = [bar]
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    made = gpu_script.parser(__doc__, tuple(WAYS))
    made.add_argument(
        "--models", nargs="+", choices=gpu_start.MODELS, default=list(gpu_start.MODELS)
    )
    return gpu_script.parse(made, NAME, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write file and picture; 1 where something failed, 2 without a GPU."""
    chosen = parse(arguments)
    command = gpu_script.command(chosen, "models")
    rows: gpu_report.Rows = []
    whole = Crew(chosen.ways, standin=chosen.standin)
    for model in chosen.models:
        rounds.say(model)
        with crew(chosen.ways, model in gpu_start.TF32, chosen.standin) as team:
            team.facts, team.absent, team.failed = whole.facts, whole.absent, whole.failed
            rows += measure(team, model, chosen)
            whole.facts = team.facts
        gpu_report.save(chosen.out, command, whole, rows)
    gpu_pictures.bars(chosen.picture, panels(rows), "Memory of one training step", whole.facts)
    print(f"{gpu_report.head('Memory', command, whole)}\n\n{table(rows)}")
    return gpu_script.status(whole, rows)


if __name__ == "__main__":
    sys.exit(main())
