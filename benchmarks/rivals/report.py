"""From times to rows, ratios, a table and a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from minitorch7.files import write_atomically

from . import OURS, machine
from .rounds import Found


def row(about: dict[str, Any], found: Found) -> dict[str, Any]:
    """One rival's figures over all rounds; `about` says of what, and comes first."""
    every = [ms for turn in found.turns for ms in turn["ms"]]
    return {
        **about,
        "rival": found.entry.worker.rival,
        "median_ms": rounded(median(every)) if every else None,
        "min_ms": rounded(min(every)) if every else None,
        "cores": round(median(t["cores"] for t in found.turns), 2) if found.turns else None,
        "peak_mib": found.ready["peak"],
        "growth_mib": found.ready["growth"],
        "rounds_ms": [[rounded(ms) for ms in turn["ms"]] for turn in found.turns],
    }


def rounded(ms: float) -> float:
    """Three digits behind the point for steps, and enough for an operation of microseconds."""
    return round(ms, 3 if ms >= 1 else 5)


def rows_of(about: dict[str, Any], found: list[Found]) -> list[dict[str, Any]]:
    """The rows of all that competed, with our ratios."""
    rows = [row(about, f) for f in found]
    add_ratios(rows)
    return rows


def ratios(one: list[list[float]], other: list[list[float]]) -> list[float]:
    """The first's median over the second's, a number for every round."""
    return [round(median(a) / median(b), 3) for a, b in zip(one, other, strict=True)]


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """To each row, minitorch7's time over the rival's: one for every round, and their median."""
    ours = next((r["rounds_ms"] for r in rows if r["rival"] == OURS), None)
    for r in rows:
        r["ratios"] = [] if ours is None else ratios(ours, r["rounds_ms"])
        r["ratio"] = round(median(r["ratios"]), 3) if r["ratios"] else None


# ------------------------------------------------------------------------------------- the table


def table(head: tuple[str, ...], rows: list[list[Any]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def shown(value: float | None, digits: int = 0) -> str:
    """A number for the table; a dash for one that is not known."""
    return "-" if value is None else f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """A time with about three digits."""
    return "-" if value is None else f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3}f}"


def ratio_cells(r: dict[str, Any]) -> list[str]:
    """(our time over the rival's, the smallest to the largest of the rounds); dashes for us."""
    if r["ratio"] is None or r["rival"] == OURS:
        return ["-", "-"]
    return [f"{r['ratio']:.2f} ×", f"{min(r['ratios']):.2f} to {max(r['ratios']):.2f}"]


# -------------------------------------------------------------------------------------- the file


def save(path: Path, command: str, absent: dict[str, str], rows: list[dict], **more: Any) -> None:
    """Write the JSON file, a line a row; it is replaced in one step."""
    result = {"command": command, "machine": machine.facts(), "absent": absent, **more}
    lines = ",\n".join("  " + json.dumps(r) for r in rows)
    text = json.dumps(result, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n ]\n}\n"
    write_atomically(path, text.encode(), path.stem)
