"""Reads ``cupy_names.txt``: which names CuPy has, and which arguments each of them accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple


class Parameters:
    """The parameters of one CuPy function, as ``make_names.py`` wrote them down."""

    __slots__ = ("positional", "required", "accepted", "star", "double_star")

    def __init__(self, text: str) -> None:
        self.star = self.double_star = False
        positional, required, keyword = [], set(), []
        target = positional
        for part in filter(None, text.strip("()").split(", ")):
            if part.startswith("**"):
                self.double_star = True
            elif part.startswith("*"):
                self.star = self.star or part != "*"
                target = keyword
            else:
                name = part.rstrip("=")
                target.append(name)
                if part == name:
                    required.add(name)
        self.positional = tuple(positional)
        self.required = frozenset(required)
        self.accepted = frozenset(positional + keyword)

    def check(self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """TypeError for more positional or other keyword arguments than CuPy's function takes."""
        if len(args) > len(self.positional) and not self.star:
            raise TypeError(
                f"{function}() takes {len(self.positional)} positional arguments "
                f"but {len(args)} were given"
            )
        if kwargs and not self.double_star:
            for keyword in kwargs:
                if keyword not in self.accepted:
                    raise TypeError(f"{function}() got an unexpected keyword argument {keyword!r}")


class Entry(NamedTuple):
    """One line of the table."""

    kind: str  # same, ufunc, function, method, property, class, module or value
    syncs: bool
    detail: str  # parameters in parentheses, or a ufunc's numbers of inputs and outputs

    @property
    def parameters(self) -> Parameters:
        """The parameters that both versions of CuPy accept."""
        return Parameters(self.detail)


def read() -> dict[str, Entry]:
    """The table: ``"cupy.sum"`` -> its entry."""
    entries = {}
    for line in Path(__file__).with_name("cupy_names.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        path, kind, detail = (*line.split(" ", 2), "")[:3]
        kind, _, sync = kind.partition("+")
        entries[path] = Entry(kind, sync == "sync", detail)
    return entries


TABLE = read()
