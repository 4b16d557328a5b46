"""The two rates that bound what a card can do, measured: bytes copied and products, a second."""

from __future__ import annotations

from statistics import median
from typing import Any

from . import gpu_count
from .gpu_crew import EAGER, OURS, TITLES, Crew
from .gpu_report import Rows, rounded
from .jobs import TOLERANCE

NBYTES, SIZE = 2**30, 8192  # far more than any cache; enough rows to keep all processors busy
TINY_NBYTES, TINY_SIZE = 2**16, 16
WAYS = (OURS, EAGER)
COPY = "copy"


def kind_name(kind: str, tf32: bool) -> str:
    """How a product's arithmetic is called."""
    return "TF32" if tf32 and kind == "float32" else kind


def measure(crew: Crew, kinds: tuple[str, ...], turns: int, copies: bool = True) -> Rows:
    """Rows of the copy and of products of each kind; `rate` in GB/s or GFLOP/s.

    A copy reads and writes, so it moves its array's bytes twice.
    """
    nbytes, n = (TINY_NBYTES, TINY_SIZE) if crew.standin else (NBYTES, SIZE)
    ways = [way for way in WAYS if way in crew.ways]
    rows: Rows = []
    if copies:
        what, arguments = f"{COPY} of {nbytes / 2**20:g} MiB", {"nbytes": nbytes}
        found = crew.compete(what, "copy", arguments, turns, TOLERANCE, ways=ways)
        rows += [_row(COPY, what, way, of, 2 * nbytes, "GB/s") for way, of in found.items()]
    for kind in kinds:
        name = kind_name(kind, crew.tf32)
        what, arguments = f"product of {n} × {n}, {name}", {"n": n, "kind": kind}
        found = crew.compete(what, "product", arguments, turns, TOLERANCE, ways=ways)
        amount = gpu_count.product(n)
        rows += [_row(name, what, way, of, amount, "GFLOP/s") for way, of in found.items()]
    return rows


def _row(
    name: str, what: str, way: str, of: dict[str, Any], amount: int, unit: str
) -> dict[str, Any]:
    """`amount` bytes or operations a run; millions a ms are thousands of millions a second."""
    ms = median(t for turn in of["turns"] for t in turn["ms"])
    rate = rounded(amount / (max(ms, 1e-6) * 1e6))
    about = {"ceiling": name, "what": what, "way": way, "median_ms": rounded(ms)}
    return {**about, "rate": rate, "unit": unit}


def best(rows: Rows) -> dict[str, float]:
    """{ceiling: the best rate that any way reached}."""
    found: dict[str, float] = {}
    for r in rows:
        found[r["ceiling"]] = max(found.get(r["ceiling"], 0.0), r["rate"])
    return found


def cells(r: dict[str, Any]) -> list[str]:
    """A row for a table."""
    return [r["what"], TITLES[r["way"]], f"{r['median_ms']:.4g}", f"{r['rate']:,.0f} {r['unit']}"]
