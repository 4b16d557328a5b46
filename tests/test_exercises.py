"""The lessons' exercises: right answers are accepted, wrong ones told why, none lacks a check."""

from __future__ import annotations

import re
from pathlib import Path

import exercises
import pytest
from answers import ANSWERS

LESSONS = Path(__file__).resolve().parents[1] / "lessons"


@pytest.mark.numpy_only("the answers that are tried are written with NumPy")
@pytest.mark.parametrize("number", exercises.numbers())
def test_right_is_right_and_wrong_is_told_why(number: str, capsys: pytest.CaptureFixture) -> None:
    right, wrong = ANSWERS[number]
    for _ in range(3):  # cases are random
        assert exercises.check(number, right), capsys.readouterr().out
    assert capsys.readouterr().out.count(f"{number}: right") == 3
    assert wrong, "an exercise that accepts everything teaches nothing"
    for answer, part in wrong:
        assert not exercises.check(number, answer)
        said = capsys.readouterr().out
        assert said.startswith(f"{number}: not yet. ") and part in said, said


def test_every_numbered_exercise_of_a_lesson_has_its_check() -> None:
    asked = []
    for lesson in sorted(LESSONS.glob("[0-9][0-9]_*.py")):
        asked += re.findall(r"^# \*\*(\d+\.\d+)\*\*", lesson.read_text(), re.M)
    assert asked and asked == exercises.numbers()
    assert set(ANSWERS) == set(asked)


def test_a_number_that_no_lesson_has() -> None:
    with pytest.raises(KeyError, match="no exercise '99.1'"):
        exercises.check("99.1", 0)


def test_an_answer_that_fails_is_told_how(capsys: pytest.CaptureFixture) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("by zero")

    number = next(n for n in exercises.numbers() if callable(ANSWERS[n][0]))
    assert not exercises.check(number, broken)
    assert "raised ZeroDivisionError: by zero" in capsys.readouterr().out
