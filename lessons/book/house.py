"""The rooms of the house and who imports whom, drawn from the README's table and the imports.

The table says which rooms there are and on which floor; the code says what each imports. An import
from a higher floor, and a room that the table has forgotten, are errors: the drawing cannot rot.
"""

from __future__ import annotations

import ast
import html
import re
from dataclasses import dataclass
from pathlib import Path

from . import ROOT

PACKAGE = ROOT / "minitorch7"
OUTSIDE = {
    "__init__": "gathers the names",
    "creation": "gathers the functions that make tensors",
    "doctor": "looks at the machine, not at tensors",
}
WIDTH, BOX, FLOOR, TOP = 820, 112, 96, 30


@dataclass(frozen=True)
class Room:
    """A file or folder of the package."""

    name: str
    floor: int
    about: str

    @property
    def path(self) -> Path:
        folder = PACKAGE / self.name
        return folder if folder.is_dir() else PACKAGE / f"{self.name}.py"

    @property
    def files(self) -> list[Path]:
        return sorted(self.path.rglob("*.py")) if self.path.is_dir() else [self.path]

    @property
    def lines(self) -> int:
        return sum(len(file.read_text("utf-8").splitlines()) for file in self.files)


def rooms(readme: str | None = None) -> list[Room]:
    """The rooms of the README's table, a file or a folder each."""
    text = readme if readme is not None else (ROOT / "README.md").read_text("utf-8")
    found = []
    for floor, names, about in re.findall(r"^\| (\d) \| (`[^|]+`) \| ([^|]+) \|$", text, re.M):
        for name in re.findall(r"`([^`]+)`", names):
            stem = name.removeprefix("minitorch7/").removesuffix(".py").strip("/")
            found.append(Room(stem, int(floor), about))
    return found


def imports(of: list[Room]) -> dict[tuple[str, str], int]:
    """(importing room, imported room) → in how many files."""
    names = {room.name for room in of}
    found: dict[tuple[str, str], int] = {}
    for room in of:
        for file in room.files:
            targets = _imported(file) & names - {room.name}
            for target in targets:
                found[room.name, target] = found.get((room.name, target), 0) + 1
    return found


def _imported(file: Path) -> set[str]:
    """The package's rooms that a file imports when it is read, not inside a function."""
    tree = ast.parse(file.read_text("utf-8"))
    inside = file.relative_to(PACKAGE).parts[:-1]
    found: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = inside[: len(inside) - node.level + 1]
            path = [*base, *(node.module or "").split(".")]
            path = [part for part in path if part]
        elif (node.module or "").split(".")[0] == "minitorch7":
            path = (node.module or "").split(".")[1:]
        else:
            continue
        found |= {path[0]} if path else {alias.name for alias in node.names}
    return found


def faults(of: list[Room], edges: dict[tuple[str, str], int]) -> list[str]:
    """Rooms that the table lacks, or names and the code does not have; imports that climb."""
    floors = {room.name: room.floor for room in of}
    there = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    found = [
        f"{name} is a room, and not in the README's table"
        for name in sorted(there - set(floors) - set(OUTSIDE))
    ]
    found += [
        f"the README's table has a room {name}, which is not there"
        for name in sorted(set(floors) - there)
    ]
    found += [
        f"{a} (floor {floors[a]}) imports from {b} (floor {floors[b]})"
        for a, b in sorted(edges)
        if floors[a] < floors[b]
    ]
    return found


def direct(edges: dict[tuple[str, str], int]) -> set[tuple[str, str]]:
    """The imports that no way over other rooms replaces."""
    below: dict[str, set[str]] = {}
    for a, b in edges:
        below.setdefault(a, set()).add(b)

    def reach(room: str, seen: frozenset[str] = frozenset()) -> set[str]:
        found = set()
        for other in below.get(room, set()) - seen:
            found |= {other} | reach(other, seen | {room})
        return found

    return {
        (a, b) for a, b in edges if not any(b in reach(c, frozenset({a})) for c in below[a] - {b})
    }


def svg(of: list[Room], edges: dict[tuple[str, str], int]) -> str:
    """The drawing: a row a floor, the lowest at the bottom; colours are the page's."""
    floors = sorted({room.floor for room in of}, reverse=True)
    height = TOP + FLOOR * len(floors)
    places: dict[str, tuple[float, float]] = {}
    parts = []
    for row, floor in enumerate(floors):
        here = [room for room in of if room.floor == floor]
        y = TOP + FLOOR * row
        parts.append(f'<text class="floor" x="8" y="{y + 22}">{floor}</text>')
        parts.append(f'<path class="ground" d="M0 {y + 56}H{WIDTH}"/>')
        step = (WIDTH - 60) / len(here)
        for i, room in enumerate(here):
            places[room.name] = 50 + step * (i + 0.5), y
    strong = direct(edges)
    for (a, b), count in sorted(edges.items(), key=lambda edge: edge[0] in strong):
        kind = "direct" if (a, b) in strong else "also"
        title = f"{a} imports from {b} in {count} file{'s' if count > 1 else ''}"
        parts.append(
            f'<g class="edge {kind} from-{a} to-{b}"><title>{title}</title>'
            f'<path d="{_curve(places[a], places[b], strong=kind == "direct")}"/></g>'
        )
    for room in of:
        x, y = places[room.name]
        name = room.name + ("/" if room.path.is_dir() else ".py")
        parts.append(
            f'<a href="#room-{room.name}"><g class="room" id="box-{room.name}">'
            f"<title>{html.escape(room.about.replace('`', ''))}</title>"
            f'<rect x="{x - BOX / 2}" y="{y}" width="{BOX}" height="36" rx="7"/>'
            f'<text x="{x}" y="{y + 23}">{name}</text></g></a>'
        )
    hover = "".join(
        f".house:has(#box-{r.name}:hover) .edge:not(.from-{r.name}, .to-{r.name}){{opacity:.06}}"
        f".house:has(#box-{r.name}:hover) .edge.from-{r.name},"
        f".house:has(#box-{r.name}:hover) .edge.to-{r.name}{{opacity:1}}"
        for r in of
    )
    label = "The rooms on their floors, with an arrow from each room to those it imports from"
    return (
        f'<svg class="house" viewBox="0 0 {WIDTH} {height - 44}" role="img" aria-label="{label}" '
        f'xmlns="http://www.w3.org/2000/svg"><style>{STYLE}{hover}</style>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


STYLE = """
.house{--ink:#222;--paper:#fff;--line:#999;--accent:#0072B2}
@media (prefers-color-scheme:dark){.house{--ink:#ddd;--paper:#1b1e22;--line:#777;--accent:#56B4E9}}
body[data-theme="light"] .house{--ink:#222;--paper:#fff;--line:#999;--accent:#0072B2}
body[data-theme="dark"] .house{--ink:#ddd;--paper:#1b1e22;--line:#777;--accent:#56B4E9}
.house text{font:14px system-ui,sans-serif;fill:var(--ink);text-anchor:middle}
.house .floor{text-anchor:start;font-size:13px;opacity:.6}
.house .ground{stroke:var(--line);stroke-width:.5;stroke-dasharray:2 5;fill:none}
.house rect{fill:var(--paper);stroke:var(--accent);stroke-width:1.5}
.house .room:hover rect{stroke-width:3}
.house a{text-decoration:none}
.house .edge path{fill:none;stroke:var(--line);stroke-width:1.2;marker-end:url(#tip)}
.house .direct path{stroke:var(--accent)}
.house marker path{fill:context-stroke}
.house .also{opacity:.22}
.house .direct{opacity:.8}
"""


def _curve(a: tuple[float, float], b: tuple[float, float], strong: bool) -> str:
    (xa, ya), (xb, yb) = a, b
    if ya == yb:  # on one floor: an arc over the boxes
        side = 1 if xb > xa else -1
        one, other, top = (xa + side * 20, ya), (xb - side * 20, ya), ya - 26
        return _path(one, (one[0] + side * 10, top), (other[0] - side * 10, top), other)
    shift = max(-0.4, min(0.4, (xb - xa) / 900)) * BOX
    start, end = (xa + shift, ya + 36), (xb - shift, yb)
    bend = (end[1] - start[1]) * 0.45
    return _path(start, (start[0], start[1] + bend), (end[0], end[1] - bend), end)


def _path(start: tuple[float, float], *bends: tuple[float, float]) -> str:
    """A Bézier curve: where it starts, two points that draw it aside, where it ends."""
    rest = " ".join(f"{x:.1f} {y:.1f}" for x, y in bends)
    return f"M{start[0]:.1f} {start[1]:.1f}C{rest}"


def page() -> str:
    """The drawing and, floor by floor, what lives where; ValueError where the table is wrong."""
    of = rooms()
    edges = imports(of)
    wrong = faults(of, edges)
    if wrong:
        raise ValueError("the house: " + "; ".join(wrong))
    lines = [
        "# The house",
        "A module imports only from its own floor or from below. The drawing is made from the "
        "imports at the head of the files themselves: strong arrows are those that no way over "
        "other rooms replaces. Point at a room to see only its own; choose one to see what lives "
        "in it.",
        f'```{{raw}} html\n<figure class="wide">{svg(of, edges)}</figure>\n```',
    ]
    for floor in sorted({room.floor for room in of}):
        lines.append(f"## Floor {floor}")
        for room in (r for r in of if r.floor == floor):
            name = f"minitorch7/{room.name}" + ("/" if room.path.is_dir() else ".py")
            needs = ", ".join(f"[{b}](#room-{b})" for a, b in sorted(edges) if a == room.name)
            count = f"{len(room.files)} files, " if room.path.is_dir() else ""
            lines.append(f"(room-{room.name})=\n### `{name}`")
            about = room.about[0].upper() + room.about[1:] if room.about[0] != "`" else room.about
            lines.append(f"{about}. {count}{room.lines:,} lines.")
            lines.append(f"Imports from: {needs or 'no other room'}.")
    return "\n\n".join(lines) + "\n"
