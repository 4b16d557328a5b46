"""Writes values.json: what PyTorch gives for a few small cases, where PyTorch is at hand.

    PYTHONPATH=.:tests python -m pytorch.make_values

``tests/test_stored_values.py`` compares with it where PyTorch is not. Inputs are kept to three
decimals and results to 12 digits, so that the file stays small.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .cases import Case, every_case
from .comparing import Theirs, torch
from .running import run

PLACE = Path(__file__).parent / "values.json"
LARGEST = (130, 40)  # elements of all inputs together, of a function's first and second case


def encoded(array: np.ndarray) -> dict[str, Any]:
    """Shape, dtype and numbers; NaN and infinities are Python's JSON extension."""
    flat = array.ravel().tolist()
    if array.dtype.kind == "f":
        flat = [float(f"{v:.12g}") for v in flat]
    return {"shape": list(array.shape), "dtype": str(array.dtype), "values": flat}


def chosen() -> list[Case]:
    """The first small case of every function, and a second that is smaller still."""
    found: dict[str, list[Case]] = {}
    for c in every_case():
        few = found.setdefault(c.function, [])
        size = sum(a.size for a in c.arrays("float64"))
        if len(few) < len(LARGEST) and 1 < size <= LARGEST[len(few)]:
            few.append(c)
    return [c for few in found.values() for c in few]


def stored(c: Case) -> dict[str, Any]:
    """One case's inputs and PyTorch's answers."""
    arrays = [np.round(a, 3) if a.dtype.kind == "f" else a for a in c.arrays("float64")]
    results = run(Theirs, c, arrays)
    return {
        "inputs": [encoded(a) for a in arrays],
        "results": {k: encoded(v) if isinstance(v, np.ndarray) else v for k, v in results.items()},
    }


def main() -> None:
    cases = {c.name: stored(c) for c in chosen()}
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(c, separators=(',', ':'))}" for name, c in cases.items()
    )
    PLACE.write_text(f'{{"torch": "{torch.__version__}", "cases": {{\n{lines}\n}}}}\n')
    print(f"{len(cases)} cases, {PLACE.stat().st_size:,} bytes: {PLACE}")


if __name__ == "__main__":
    main()
