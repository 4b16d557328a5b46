"""PyTorch's results for small cases, from `pytorch/values.json`: no PyTorch needed.

The cases are those of ``tests/pytorch/cases``; ``python -m pytorch.make_values`` writes the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytorch.cases import every_case
from pytorch.running import TOLERANCE, Ours, check_same, run

from minitorch7 import functional as F

STORED = json.loads((Path(__file__).parent / "pytorch" / "values.json").read_text())["cases"]
CASES = {c.name: c for c in every_case()}


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return np.array(value["values"], value["dtype"]).reshape(value["shape"])


@pytest.mark.parametrize("name", STORED)
def test_values_and_gradients(name: str, backend: str) -> None:
    with np.errstate(all="ignore"):  # logarithms of nothing, means of nothing
        stored = STORED[name]
        expected = {k: _decoded(v) for k, v in stored["results"].items()}
        got = run(Ours, CASES[name], [_decoded(v) for v in stored["inputs"]])
    check_same(got, expected, TOLERANCE["float64"])


def test_every_function_is_stored() -> None:
    functions = {n for n in vars(F) if callable(getattr(F, n)) and n[0] != "_"}
    stored = {name.split()[0] for name in STORED}
    recurrent = {f"{cell}_{form}" for cell in ("rnn", "gru", "lstm") for form in ("cell", "sweep")}
    assert functions - stored == {"dropout", "dropout2d", "bind", "sigmoid_range"} | recurrent
