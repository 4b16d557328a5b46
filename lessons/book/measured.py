"""The benchmarks' results as tables: every JSON file of `benchmarks/results`, whole."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from . import ROOT

RESULTS = ROOT / "benchmarks" / "results"
# how a column is called, where its name in the file is too short to be understood
NAMES = {
    "median_ms": "median, ms",
    "min_ms": "least, ms",
    "peak_mib": "peak, MiB",
    "growth_mib": "growth, MiB",
    "ratio": "ours takes",
    "ratios": "range",
    "rival": "library",
    "ms": "ms",
}
LEFT_OUT = {"rounds_ms"}  # every single time: they are in the file
SCRIPTS = {"camvid_step": "train_step", "train_step_compiled": "train_step"}


def pages() -> dict[str, str]:
    """Name → Markdown, one a file."""
    return {path.stem: _page(path) for path in sorted(RESULTS.glob("*.json"))}


def _page(path: Path) -> str:
    found = json.loads(path.read_text("utf-8"))
    about = found if isinstance(found, dict) else {}
    rows = about.get("rows", []) if about else found
    script = SCRIPTS.get(path.stem, path.stem)
    title = path.stem.replace("_", " ").capitalize()
    parts = [
        f"# {title}",
        f"`results/{path.name}`, written by `benchmarks/{script}.py`.",
    ]
    if "command" in about:
        parts.append(f"    {about['command']}")
    if "machine" in about:
        parts.append(_machine(about["machine"]))
    if any("ratio" in row for row in rows):
        parts.append(
            "*Ours takes* is minitorch7's time over the library's, *range* the smallest and the "
            "largest of the rounds. Compare ratios, and only within one run: "
            "[how to read a time](index.md)."
        )
    parts.append(f":::{{div}} figures\n{_table(rows)}\n:::")
    return "\n\n".join(parts) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {v}" for name, v in machine.get("versions", {}).items())
    return (
        f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('system')}; {versions}."
    )


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in LEFT_OUT))
    columns = [c for c in columns if any(row.get(c) not in (None, [], "") for row in rows)]
    constant = [
        c for c in columns if len({json.dumps(row.get(c)) for row in rows}) == 1 and len(rows) > 1
    ]
    columns = [c for c in columns if c not in constant]
    same = ", ".join(f"{_name(c)} {_cell(c, rows[0].get(c))}" for c in constant)
    lines = [
        "| " + " | ".join(_name(c) for c in columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    lines += ["| " + " | ".join(_cell(c, row.get(c)) for c in columns) + " |" for row in rows]
    return (f"In all rows: {same}.\n\n" if same else "") + "\n".join(lines)


def _name(column: str) -> str:
    return NAMES.get(column, column.replace("_", " "))


def _cell(column: str, value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column == "ratio":
        return f"{value:.2f} ×"
    if column == "ratios":
        return f"{min(value):.2f} to {max(value):.2f}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, list) and value and all(isinstance(x, (int, float)) for x in value):
        if len(value) <= 6:
            return " ".join(f"{x:.4g}" for x in value)
        return f"{value[0]:.4g} … {value[-1]:.4g} ({len(value)}, median {median(value):.4g})"
    return str(value).replace("|", "\\|")
