"""For every exercise of the lessons a right answer and some wrong ones, with what they are told.

``ANSWERS[number] = (right, [(wrong, a part of the hint), …])``; one file a lesson.
"""

from __future__ import annotations

import importlib
from typing import Any

ANSWERS: dict[str, tuple[Any, list[tuple[Any, str]]]] = {}

for _lesson in range(1, 11):
    _name = f"{__name__}.lesson_{_lesson:02}"
    try:
        ANSWERS |= importlib.import_module(_name).ANSWERS
    except ModuleNotFoundError as _error:
        if _error.name != _name:
            raise
