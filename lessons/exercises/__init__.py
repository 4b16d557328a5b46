"""Whether an answer to one of the lessons' "Try it" exercises is right.

    from exercises import check
    check("2.1", my_function)   # prints "2.1: right", or what is wrong

An answer is what the exercise asks for: a function, a number, a list of names. It is
tried on cases of which some are random, against the library itself, so there is no
answer here to be read. Each lesson has a file of its own, ``lesson_NN.py``, which is
loaded when its first exercise is checked.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

LESSONS = range(1, 11)

_checks: dict[str, Callable[[Any], None]] = {}


class NotYet(Exception):
    """What is wrong with an answer, as a sentence that helps."""


def check(number: str, answer: Any) -> bool:
    """Print whether `answer` is right, and if not, where it fails; True if it is right.

    number  the exercise's, such as "2.1"; the lessons have them under "Try it"

    Raises KeyError for a number that no lesson has.
    """
    wanted = _check_of(number)
    try:
        wanted(answer)
    except NotYet as hint:
        print(f"{number}: not yet. {hint}")
        return False
    except Exception as error:  # the reader's own function failed: say how, and go on
        print(f"{number}: not yet. Your answer raised {type(error).__name__}: {error}")
        return False
    print(f"{number}: right")
    return True


def numbers() -> list[str]:
    """The numbers of all exercises that can be checked, in reading order."""
    for lesson in LESSONS:
        _load(lesson)
    return sorted(_checks, key=lambda number: [int(part) for part in number.split(".")])


def exercise(number: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Registers the function below: it takes an answer, and raises NotYet if wrong."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        _checks[number] = function
        return function

    return register


def expect(condition: Any, hint: str) -> None:
    """Raise NotYet(hint) unless the condition holds."""
    if not condition:
        raise NotYet(hint)


def expect_close(found: Any, wanted: Any, what: str, tolerance: float = 1e-5) -> None:
    """Raise NotYet, with both values, unless found is wanted but for rounding.

    Tensors, arrays, lists and numbers; the difference may be `tolerance` times the
    largest element.
    """
    found, wanted = _array(found, what), _array(wanted, what)
    expect(
        found.shape == wanted.shape,
        f"{what} has shape {found.shape}; {wanted.shape} was expected.",
    )
    size = max(1.0, float(np.abs(wanted).max(initial=0)))
    gap = float(np.abs(found - wanted).max(initial=0))
    expect(
        gap <= tolerance * size,  # a NaN is not
        f"{what} is {_short(found)}; {_short(wanted)} was expected (off by {gap:.2g}).",
    )


def expect_function(answer: Any, name: str, arguments: str) -> None:
    """Raise NotYet unless the answer can be called."""
    expect(
        callable(answer),
        f"The answer is a function {name}({arguments}); this is {answer!r}.",
    )


def _check_of(number: str) -> Callable[[Any], None]:
    head = str(number).partition(".")[0]
    if head.isdecimal() and int(head) in LESSONS:
        _load(int(head))
    if number not in _checks:
        known = [n for n in _checks if n.partition(".")[0] == head] or [
            "1.1",
            "2.1",
            "…",
        ]
        raise KeyError(
            f"check: there is no exercise {number!r}; there are {', '.join(known)}"
        )
    return _checks[number]


def _load(lesson: int) -> None:
    name = f"{__name__}.lesson_{lesson:02}"
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise


def _array(value: Any, what: str) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{what} is {value!r}, where numbers were expected.") from None


def _short(array: np.ndarray) -> str:
    if array.ndim == 0:
        value = float(array)
        return (
            str(int(value))
            if math.isfinite(value) and value == int(value)
            else f"{value:.6g}"
        )
    text = np.array2string(array, precision=4, threshold=8, edgeitems=2)
    return " ".join(text.split())
