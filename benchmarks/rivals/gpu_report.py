"""Rows, tables and files of the GPU's benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from minitorch7.files import write_atomically

from . import gpu_card, machine, report
from .gpu_crew import CAPTURED, OURS

Rows = list[dict[str, Any]]
STANDIN = "made on the stand-in for CuPy with tiny sizes: no figure of a GPU"


def rows_of(about: dict[str, Any], found: dict[str, dict[str, Any]]) -> Rows:
    """A row a way: its times, ours over them (`ratio`), our captured ones (`captured_ratio`)."""
    rows = [row(about, way, of) for way, of in found.items()]
    for name, ours in (("ratio", OURS), ("captured_ratio", CAPTURED)):
        base = next((r["rounds_ms"] for r in rows if r["way"] == ours), None)
        for r in rows:
            every = report.ratios(base, r["rounds_ms"]) if base else []
            r[name] = round(median(every), 3) if every else None
            r[f"{name}s"] = every
    return rows


def row(about: dict[str, Any], way: str, of: dict[str, Any]) -> dict[str, Any]:
    """One way's figures over all its turns."""
    every = [ms for turn in of["turns"] for ms in turn["ms"]]
    issued = [turn["issue_ms"] for turn in of["turns"]]
    return {
        **about,
        "way": way,
        "median_ms": rounded(median(every)) if every else None,
        "min_ms": rounded(min(every)) if every else None,
        "issue_ms": rounded(median(issued)) if issued else None,
        "rounds_ms": [[rounded(ms) for ms in turn["ms"]] for turn in of["turns"]],
    }


def rounded(ms: float) -> float:
    """Five digits that count."""
    return float(f"{ms:.5g}")


def percent(share: float | None) -> str:
    """0.873 → '87 %'; a dash for what is not known."""
    return "-" if share is None else f"{100 * share:.0f} %"


def ratio(value: float | None) -> str:
    """0.5 → '0.50 ×'."""
    return "-" if value is None else f"{value:.2f} ×"


def save(path: Path, command: str, crew: Any, rows: Rows, **more: Any) -> None:
    """Write the JSON file, a line a row; it is replaced in one step."""
    result = {
        "command": command,
        "card": {key: value for key, value in crew.facts.items() if key != "place"},
        "machine": machine.facts(),
        "absent": crew.absent,
        "failed": crew.failed,
        **more,
    }
    if crew.standin:
        result["standin"] = STANDIN
    lines = ",\n".join("  " + json.dumps(r) for r in rows)
    text = json.dumps(result, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n ]\n}\n"
    write_atomically(path, text.encode(), path.stem)


def head(title: str, command: str, crew: Any) -> str:
    """What stands over a table: command, card, clocks, who is missing and why."""
    lines = [f"## {title}", "", f"    {command}", "", gpu_card.line(crew.facts) + "."]
    if crew.standin:
        lines += ["", f"**{STANDIN}.**"]
    lines += [f"- without {way}: {why}" for way, why in crew.absent.items()]
    lines += [f"- failed, {what}: {why}" for what, why in crew.failed.items()]
    return "\n".join(lines)
