"""Every function of `minitorch7.functional` against PyTorch's: values, dtypes and gradients."""

from __future__ import annotations

import pytest

from minitorch7 import functional as F

from .cases import Case, case, every_case
from .comparing import compare

CASES = every_case()
# Compared by tests of their own: dropout draws numbers, bind is ours alone, sigmoid_range fastai's,
# and PyTorch's recurrent functions take their arguments in another form (test_torch_recurrent.py).
RECURRENT = {f"{cell}_{form}" for cell in ("rnn", "gru", "lstm") for form in ("cell", "sweep")}
ELSEWHERE = {"dropout", "dropout2d", "bind", "sigmoid_range"} | RECURRENT


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_values_and_gradients(case: Case, dtype: str) -> None:
    compare(case, dtype)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", [c for c in CASES if c.orders > 1], ids=lambda c: c.name)
def test_second_gradients(case: Case) -> None:
    compare(case, "float64", order=2)


def test_every_function_has_a_case() -> None:
    functions = {name for name in vars(F) if callable(getattr(F, name)) and name[0] != "_"}
    compared = {c.function for c in CASES}
    assert functions - compared - ELSEWHERE == set()
    assert compared - functions == set(), "cases named after no function"


@pytest.mark.parametrize("options", [(0.5, False), (0.0, True), (1.0, True)])
@pytest.mark.parametrize("name", ["dropout", "dropout2d"])
def test_dropout_without_chance(name: str, options: tuple[float, bool]) -> None:
    """Where dropout draws nothing it is the identity, or zero, with PyTorch's gradient."""
    compare(case(name, lambda f, x: getattr(f, name)(x, *options) * 2, (2, 3, 4, 4)), "float64")
