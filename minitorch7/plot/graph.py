"""A graph of computation in layers: what goes in above, what comes out below.

    nodes = {"a": ("leaf", "a"), "b": ("operation", "Add"), "c": ("output", "loss")}
    edges = [("a", "b", "(3,)"), ("a", "b", "(3,)"), ("b", "c", "(3,)")]
    figure = draw_graph((nodes, edges))

`autograd.graph_of` makes such a pair of a tensor. The layout is that of Sugiyama, Tagawa and Toda
(*Methods for visual understanding of hierarchical system structures*, 1981), in four steps:

1. layers  a node stands one layer above the lowest node that it goes into
2. rows    an edge is cut where it crosses a row, and each piece is given a place of its own. So is
           every label. Nothing can lie over anything else, since all of it stands in some row
3. order   in a row, by the mean place of the neighbours, to and fro; then any two that stand side
           by side change places where that saves a crossing
4. places  as near to their neighbours as the widths allow (least squares, one row at a time), long
           edges the most, so that they are straight
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .canvas import ORANGE, SKY
from .diagram import FONT, Diagram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {"leaf": SKY, "operation": "white", "output": ORANGE}
LINE, PADDING = 0.15, 0.11  # inches: a line of text; from the text to the edge of its box
BETWEEN, GAP = 0.16, 0.15  # inches between neighbours in a row, and between rows
LABEL_COLOR, LINE_COLOR = "0.3", "0.35"
SWEEPS = 40

Nodes = Mapping[str, tuple[str, str]]
Edges = Sequence[tuple[str, str, str]]


def draw_graph(graph: tuple[Nodes, Edges], title: str | None = None, most: int = 40) -> Figure:
    """A figure of a graph without cycles: boxes, and arrows with labels.

    graph  (nodes, edges): {name: (kind, text)} with the kinds "leaf", "operation" and "output", and
           [(from, to, label)]
    most   how many nodes it may have

    Raises ValueError for more nodes, an unknown kind, an edge to nowhere, or a cycle.
    """
    nodes, edges = _checked(graph, most)
    return diagram_of(nodes, edges).figure(title)


def diagram_of(nodes: Nodes, edges: Edges) -> Diagram:
    """The drawing of a graph, before it is put on a figure."""
    rows, routes = _rows(nodes, edges)
    _put_in_order(rows)
    _put_in_place(rows)
    _straighten(rows, routes)
    diagram, heights = Diagram(), _heights(rows)
    for row, y in zip(rows, heights, strict=True):
        for item in row:
            item.y = y
            if item.name is not None:
                kind, text = nodes[item.name]
                diagram.box(item.name, (item.x, y), text, COLORS[kind], item.width, item.height)
    for route in routes:
        _draw_route(diagram, route)
    return diagram


def _checked(graph: Any, most: int) -> tuple[Nodes, Edges]:
    try:
        nodes, edges = graph
    except (TypeError, ValueError):
        raise TypeError(
            f"draw_graph: needs a pair (nodes, edges), got {graph!r:.60}; "
            "graph_of(tensor) makes one of a tensor"
        ) from None
    if not nodes:
        raise ValueError("draw_graph: the graph is empty")
    if len(nodes) > most:
        raise ValueError(
            f"draw_graph: the graph has {len(nodes)} nodes, and more than {most} are hard to read; "
            f"draw a part of it (one block, one step), or pass most={len(nodes)}"
        )
    for name, (kind, _) in nodes.items():
        if kind not in COLORS:
            known = ", ".join(map(repr, COLORS))
            raise ValueError(f"draw_graph: node {name!r} has kind {kind!r}; the kinds are {known}")
    for start, end, _ in edges:
        for name in (start, end):
            if name not in nodes:
                raise ValueError(f"draw_graph: an edge names {name!r}, and no node is called that")
    return nodes, edges


# ------------------------------------------------------------------------------------ layers, rows


@dataclass(eq=False)
class _Item:
    """What stands in a row: a box (with a `name`), a label, or an edge on its way through."""

    width: float
    height: float = 0.0
    name: str | None = None
    label: str = ""
    x: float = 0.0
    y: float = 0.0
    above: list[_Item] = field(default_factory=list)
    below: list[_Item] = field(default_factory=list)

    @property
    def straight(self) -> float:
        """How much it wants to be above or below its neighbours: a bent long edge is ugly."""
        return 1.0 if self.name is not None else 2.0 if self.label else 8.0


def _rows(nodes: Nodes, edges: Edges) -> tuple[list[list[_Item]], list[list[_Item]]]:
    """The rows from the top, boxes in the even ones; and for each edge the items on its way."""
    layers = _layers(nodes, edges)
    deepest = max(layers.values())
    rows: list[list[_Item]] = [[] for _ in range(2 * deepest + 1)]
    boxes = {}
    for name in _by_search(nodes, edges):
        text = nodes[name][1]
        height = LINE * (text.count("\n") + 1) + 1.3 * PADDING
        boxes[name] = _Item(max(0.5, _text_width(text) + 2 * PADDING), height, name)
        rows[2 * layers[name]].append(boxes[name])
    routes = []
    for start, end, label in edges:
        first, last = 2 * layers[start] + 1, 2 * layers[end]
        between = [_Item(_text_width(label), LINE, None, label)]
        between += [_Item(0.02) for _ in range(first + 1, last)]
        for row, item in zip(range(first, last), between, strict=True):
            rows[row].append(item)
        route = [boxes[start], *between, boxes[end]]
        for upper, lower in zip(route, route[1:], strict=False):
            upper.below.append(lower)
            lower.above.append(upper)
        routes.append(route)
    return rows, routes


def _layers(nodes: Nodes, edges: Edges) -> dict[str, int]:
    """For each node its layer, 0 on top: as low as what it goes into allows."""
    users: dict[str, list[str]] = {name: [] for name in nodes}
    uses = dict.fromkeys(nodes, 0)  # how many edges are still to be followed back to it
    for start, end, _ in edges:
        users[end].append(start)
        uses[start] += 1
    ready = [name for name in nodes if not uses[name]]
    up = dict.fromkeys(ready, 0)  # layers, counted from the bottom
    done = 0
    while ready:
        name = ready.pop()
        done += 1
        for before in users[name]:
            up[before] = max(up.get(before, 0), up[name] + 1)
            uses[before] -= 1
            if not uses[before]:
                ready.append(before)
    if done < len(nodes):
        raise ValueError("draw_graph: the graph has a cycle, and so no order from top to bottom")
    return {name: max(up.values()) - layer for name, layer in up.items()}


def _by_search(nodes: Nodes, edges: Edges) -> list[str]:
    """The names, depth first from the bottom: what belongs together is near to begin with."""
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for start, end, _ in edges:
        sources[end].append(start)
    starts = {start for start, _, _ in edges}
    found: dict[str, None] = {}
    stack = [name for name in reversed(nodes) if name not in starts]
    while stack:
        name = stack.pop()
        if name not in found:
            found[name] = None
            stack += reversed(sources[name])
    return list(found)


def _text_width(text: str) -> float:
    """Inches that the widest line of a text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=FONT)
    widths = [
        text_to_path.get_text_width_height_descent(line, font, ismath=False)[0]
        for line in text.split("\n")
    ]
    return max(widths) / 72 + 0.02


# ------------------------------------------------------------------------------------------- order


def _put_in_order(rows: list[list[_Item]]) -> None:
    """Sort every row so that few edges cross."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for i in range(1, len(rows)) if down else reversed(range(len(rows) - 1)):
            places = {item: k for k, item in enumerate(rows[i - 1 if down else i + 1])}
            _sort_by_neighbours(rows[i], places, down)
        _swap_neighbours(rows, ties=sweep % 4 > 1)
        crossings = _crossings(rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _sort_by_neighbours(row: list[_Item], places: Mapping[_Item, int], down: bool) -> None:
    """By the mean place of the neighbours in the row that is settled; who has none stays."""

    def wanted(k: int, item: _Item) -> float:
        found = [places[n] for n in (item.above if down else item.below)]
        return sum(found) / len(found) if found else k * len(places) / max(len(row), 1)

    keys = {item: wanted(k, item) for k, item in enumerate(row)}
    row.sort(key=keys.__getitem__)


def _swap_neighbours(rows: list[list[_Item]], ties: bool) -> None:
    """Change the places of two that stand side by side, wherever fewer edges cross then.

    With `ties`, also where as many cross: what could not be mended here can be in the next row.
    """
    for i, row in enumerate(rows):
        near = rows[i - 1] if i else [], rows[i + 1] if i + 1 < len(rows) else []
        places = {item: k for other in near for k, item in enumerate(other)}

        def crossing(one: _Item, two: _Item, places: Mapping[_Item, int] = places) -> int:
            """How many of their edges cross if `one` is on the left of `two`."""
            pairs = [(a, b) for a in one.above for b in two.above]
            pairs += [(a, b) for a in one.below for b in two.below]
            return sum(places[a] > places[b] for a, b in pairs)

        for k in range(len(row) - 1):
            as_is, swapped = crossing(row[k], row[k + 1]), crossing(row[k + 1], row[k])
            if as_is > swapped or (ties and as_is == swapped > 0):
                row[k], row[k + 1] = row[k + 1], row[k]


def _crossings(rows: list[list[_Item]]) -> int:
    """How many pairs of edges cross on their way from one row to the next."""
    total = 0
    for upper, lower in zip(rows, rows[1:], strict=False):
        places = {item: k for k, item in enumerate(lower)}
        ends = [[places[n] for n in item.below] for item in upper]
        for k, mine in enumerate(ends):
            for others in ends[k + 1 :]:
                total += sum(a > b for a in mine for b in others)
    return total


# ------------------------------------------------------------------------------------------ places


def _put_in_place(rows: list[list[_Item]]) -> None:
    """Give every item its x: first side by side, then drawn to the neighbours, to and fro."""
    for row in rows:
        _settle(row, [0.0 for _ in row])
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _settle(row, [_mean_place(item, item.above if down else item.below) for item in row])
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _settle(row, [_mean_place(item, item.above + item.below) for item in row])


def _mean_place(item: _Item, neighbours: Sequence[_Item]) -> float:
    """Where it would stand if there were its neighbours only."""
    pulls = [item.straight * n.straight for n in neighbours]
    if not pulls:
        return item.x
    return sum(p * n.x for p, n in zip(pulls, neighbours, strict=True)) / sum(pulls)


def _settle(row: list[_Item], wanted: Sequence[float]) -> None:
    """The places nearest to those wanted (weighted least squares) at which nothing overlaps.

    With the widths taken off, the places must not decrease. Where they would, neighbours form a
    block that stands at the mean of what its members want, until all blocks are in order.
    """
    shifts, at = [], 0.0
    for k, item in enumerate(row):
        at += (row[k - 1].width + item.width) / 2 + BETWEEN if k else 0.0
        shifts.append(at)
    blocks: list[tuple[float, float, int]] = []  # place, weight, members
    for item, want, shift in zip(row, wanted, shifts, strict=True):
        place, weight, members = want - shift, item.straight, 1
        while blocks and blocks[-1][0] > place:
            before, heavy, many = blocks.pop()
            place = (before * heavy + place * weight) / (heavy + weight)
            weight, members = heavy + weight, many + members
        blocks.append((place, weight, members))
    places = [place for place, _, members in blocks for _ in range(members)]
    for item, place, shift in zip(row, places, shifts, strict=True):
        item.x = place + shift


def _straighten(rows: list[list[_Item]], routes: list[list[_Item]]) -> None:
    """Put the pieces of an edge under one another, as far as the neighbours leave room."""
    places = {item: (row, k) for row in rows for k, item in enumerate(row)}

    def room(item: _Item) -> tuple[float, float]:
        row, k = places[item]
        lowest, highest = -math.inf, math.inf
        if k:
            lowest = row[k - 1].x + (row[k - 1].width + item.width) / 2 + BETWEEN
        if k + 1 < len(row):
            highest = row[k + 1].x - (row[k + 1].width + item.width) / 2 - BETWEEN
        return lowest, highest

    for route in routes:
        rest = route[1:-1]
        while rest:
            low, high = room(rest[0])
            count = 1
            for item in rest[1:]:
                lower, higher = room(item)
                if max(low, lower) > min(high, higher):
                    break
                low, high, count = max(low, lower), min(high, higher), count + 1
            mean = sum(item.x for item in rest[:count]) / count
            for item in rest[:count]:
                item.x = min(max(mean, low), high)
            rest = rest[count:]


def _heights(rows: list[list[_Item]]) -> list[float]:
    """The y of every row's middle, the first highest."""
    found, y, before = [], 0.0, 0.0
    for row in rows:
        height = max(item.height for item in row)
        y -= (before + height) / 2 + (GAP if found else 0.0)
        found.append(y)
        before = height
        for item in row:  # an edge goes straight through the whole of its row
            item.height = item.height or height
    return found


# ------------------------------------------------------------------------------------------- edges


def _draw_route(diagram: Diagram, route: list[_Item]) -> None:
    """One edge: from its box to its label, and on to the box where it ends."""
    start, label, *between, end = route
    points = [_port(start, label, lambda item: item.below, -1)]
    if label.label:
        points += [(label.x, label.y + label.height / 2)]
        diagram.curve(points, LINE_COLOR, head=False)
        diagram.text((label.x, label.y), label.label, LABEL_COLOR)
        points = [(label.x, label.y - label.height / 2)]
        passed = between
    else:
        passed = [label, *between]
    for item in passed:
        points += [(item.x, item.y + item.height / 2), (item.x, item.y - item.height / 2)]
    points.append(_port(end, route[-2], lambda item: item.above, 1))
    diagram.curve(points, LINE_COLOR)


def _port(
    box: _Item, neighbour: _Item, side: Callable[[_Item], list[_Item]], way: int
) -> tuple[float, float]:
    """Where an edge touches its box: several stand side by side, in the order of their ends."""
    ends = sorted(side(box), key=lambda item: item.x)
    step = min(0.3, 0.75 * box.width / len(ends))
    shift = (ends.index(neighbour) - (len(ends) - 1) / 2) * step
    return box.x + shift, box.y + way * box.height / 2
