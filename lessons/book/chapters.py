"""Which lessons there are, what they are called, and in what order they are read.

Nothing here is a list of lessons: a file ``lessons/NN_name.py`` is one as soon as it exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import LESSONS


@dataclass(frozen=True)
class Lesson:
    """One lesson's file and what its first cell says of it."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name without its ending: ``05_upsampling``."""
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.name[:2])

    @property
    def title(self) -> str:
        """The first heading, without its number: ``Making a picture larger``."""
        return re.sub(r"^\d+\.\s*", "", self._first_cell()[0])

    @property
    def summary(self) -> str:
        """What the README's table of lessons says it is about, or else its first sentence."""
        readme = (self.path.parents[1] / "README.md").read_text(encoding="utf-8")
        row = re.search(rf"^\| \[`lessons/{self.path.name}`\]\S* \| (.+) \|$", readme, re.M)
        if row:
            return row[1][0].upper() + row[1][1:]
        paragraphs = self._first_cell()[1:]
        return re.split(r"(?<=[.!?:])\s+(?=[A-Z*`])", paragraphs[0])[0] if paragraphs else ""

    def _first_cell(self) -> list[str]:
        """The heading and the paragraphs of the first cell, each on one line."""
        lines = []
        for line in self.path.read_text(encoding="utf-8").splitlines()[1:]:
            if not line.startswith("#") or line.startswith("# %%"):
                break
            lines.append(line[2:])
        blocks = [b for b in re.split(r"\n\s*\n", "\n".join(lines)) if b.strip()]
        text = [" ".join(b.split()) for b in blocks if not b.startswith("    ")]
        return [text[0].lstrip("# "), *text[1:]] if text else [self.name]


def lessons(folder: Path = LESSONS) -> list[Lesson]:
    """All lessons in reading order."""
    return [Lesson(path) for path in sorted(folder.glob("[0-9][0-9]_*.py"))]


def chosen(wanted: list[str], among: list[Lesson]) -> list[Lesson]:
    """The lessons named by number or name; ValueError for one that does not exist."""
    found = []
    for word in wanted:
        hits = [x for x in among if word == x.name or (word.isdecimal() and int(word) == x.number)]
        if not hits:
            known = ", ".join(x.name for x in among)
            raise ValueError(f"there is no lesson {word!r}; there are {known}")
        found += [x for x in hits if x not in found]
    return sorted(found, key=lambda lesson: lesson.name)
