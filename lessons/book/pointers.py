"""The lessons' pointers into the library: is the line still the one that defines the name?

A pointer has the form `minitorch7/nn/blocks.py:23` `conv_layer`, file and line, then the name, in
the table under "What the library does". The line must define that name: ``def``, ``class`` or an
assignment.

    python lessons/book/pointers.py           # lists those that are wrong
    python lessons/book/pointers.py --mend    # writes the lines that have moved
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "book"

from . import ROOT
from .chapters import lessons

POINTER = re.compile(r"`(?P<file>[\w./-]+\.(?:py|cu|cuh)):(?P<line>\d+)` `(?P<name>[\w.]+)`")


@dataclass(frozen=True)
class Pointer:
    """One pointer, and where in the lesson it stands."""

    lesson: Path
    place: int  # the line in the lesson
    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.lesson.name}:{self.place}: `{self.file}:{self.line}` `{self.name}`"


def pointers(lesson: Path) -> list[Pointer]:
    """All pointers of a lesson, in order."""
    return [
        Pointer(lesson, place, match["file"], int(match["line"]), match["name"])
        for place, text in enumerate(lesson.read_text("utf-8").splitlines(), 1)
        for match in POINTER.finditer(text)
    ]


def fault(pointer: Pointer, root: Path = ROOT) -> str | None:
    """What is wrong with a pointer, or None."""
    file = root / pointer.file
    if not file.is_file():
        return "there is no such file"
    lines = defined(file, pointer.name)
    if pointer.line in lines:
        return None
    if lines:
        return f"it is defined in line {', '.join(map(str, lines))}"
    return f"nothing there defines {pointer.name}"


def defined(file: Path, name: str) -> list[int]:
    """The lines that define `name`: ``conv_layer``, or ``Learner.fit`` for a method."""
    text = file.read_text("utf-8")
    if file.suffix != ".py":  # CUDA: where the name is followed by its parameters
        found = enumerate(text.splitlines(), 1)
        return [n for n, line in found if re.match(rf"(?!\s*//).*\b{name}\s*\(", line)]
    *outer, last = name.split(".")
    scopes: list[ast.AST] = [ast.parse(text)]
    for part in outer:
        scopes = [
            n for s in scopes for n in _body(s) if isinstance(n, ast.ClassDef) and n.name == part
        ]
    if outer:
        return [n.lineno for s in scopes for n in _body(s) if last in _names(n)]
    everything = [n for s in scopes for n in ast.walk(s)]
    top = [n.lineno for s in scopes for n in _body(s) if last in _names(n)]
    return top or sorted(n.lineno for n in everything if last in _names(n))


def _body(node: ast.AST) -> list[ast.AST]:
    """What stands in a module or class, also under its ``if`` and ``try``."""
    found: list[ast.AST] = []
    for child in getattr(node, "body", []):
        found.append(child)
        if isinstance(child, (ast.If, ast.Try, ast.With)):
            found += _body(child)
    return found


def _names(node: ast.AST) -> set[str]:
    """The names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return set()
    names = {n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)}
    return names | {t.attr for t in targets if isinstance(t, ast.Attribute)}


def mended(text: str, root: Path = ROOT) -> str:
    """The lesson's text with the lines that have moved; ambiguous and lost names stay."""

    def mend(match: re.Match[str]) -> str:
        file = root / match["file"]
        lines = defined(file, match["name"]) if file.is_file() else []
        if int(match["line"]) in lines or not lines:
            return match[0]
        nearest = min(lines, key=lambda line: abs(line - int(match["line"])))
        return f"`{match['file']}:{nearest}` `{match['name']}`"

    return POINTER.sub(mend, text)


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where a pointer is wrong and stays so."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mend", action="store_true", help="write the lines that have moved")
    options = parser.parse_args(arguments)
    count = wrong = 0
    for lesson in lessons():
        if options.mend:
            before = lesson.path.read_text("utf-8")
            after = mended(before)
            if after != before:
                lesson.path.write_text(after, "utf-8")
                print(f"{lesson.path.name}: mended")
        for pointer in pointers(lesson.path):
            count += 1
            problem = fault(pointer)
            if problem:
                wrong += 1
                print(f"{pointer}: {problem}")
    print(f"{count} pointers, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
