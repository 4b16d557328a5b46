"""Boxes, circles and triangles with arrows between them: drawings of networks.

    d = Diagram()
    d.box("x", (0, 0), "word 1")
    d.circle("h", (0, 1.5), "64")
    d.arrow("x", "h", "i_h", GREEN)
    d.loop("h", "h_h", ORANGE)
    figure = d.figure()

Places and sizes are in inches, x to the right and y upwards; the figure takes the room it needs.
Nothing here knows what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from .canvas import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, float]

FONT, GAP, MARGIN = 9, 0.07, 0.12  # points; inches between line and label, and around it all
SIDES = {  # of a line: where its label stands, and how the text is aligned there
    "right": (1, 0, "left", "center"),
    "left": (-1, 0, "right", "center"),
    "above": (0, 1, "center", "bottom"),
    "below": (0, -1, "center", "top"),
}


@dataclass(frozen=True)
class Node:
    """A shape with its text. `corners` are those of its outline, seen from its place."""

    name: str
    kind: str
    at: Point
    text: str
    color: str
    corners: tuple[Point, ...]

    def edge(self, towards: Point) -> Point:
        """Where the line from the middle towards a point leaves the shape."""
        dx, dy = towards[0] - self.at[0], towards[1] - self.at[1]
        length = math.hypot(dx, dy) or 1.0
        reach = _reach(self.corners, (dx / length, dy / length))
        return self.at[0] + reach * dx / length, self.at[1] + reach * dy / length

    @property
    def outline(self) -> list[Point]:
        """The corners where they stand in the drawing."""
        return [(self.at[0] + x, self.at[1] + y) for x, y in self.corners]


@dataclass(frozen=True)
class Arrow:
    """A line from `start` to `end`, names of nodes or points; a loop where both are one node."""

    start: str | Point
    end: str | Point
    label: str
    color: str
    dashed: bool
    side: str


@dataclass(frozen=True)
class Curve:
    """A line through points, vertical at each of them; with an arrow's head at its end, or not."""

    points: tuple[Point, ...]
    color: str
    head: bool


@dataclass(frozen=True)
class Frame:
    """A dashed rectangle around some nodes, with a label on top."""

    around: tuple[str, ...]
    label: str
    room: tuple[float, float, float, float]


class Diagram:
    """A drawing: `nodes` by name, `arrows`, `frames` and a `key`, in the order they were added."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.arrows: list[Arrow] = []
        self.curves: list[Curve] = []
        self.frames: list[Frame] = []
        self.notes: list[tuple[Point, str, str]] = []
        self.texts: list[tuple[Point, str, str]] = []
        self.key: list[tuple[str, str]] = []

    # ----------------------------------------------------------------------------------- shapes

    def box(
        self,
        name: str,
        at: Point,
        text: str = "",
        color: str = "white",
        width: float = 1.0,
        height: float = 0.4,
    ) -> None:
        """A rectangle: what goes in."""
        x, y = _size("box", "width", width) / 2, _size("box", "height", height) / 2
        self._add(name, "box", at, text, color, [(-x, -y), (x, -y), (x, y), (-x, y)])

    def circle(
        self, name: str, at: Point, text: str = "", color: str = "white", radius: float = 0.36
    ) -> None:
        """A circle: what is computed on the way."""
        _size("circle", "radius", radius)
        turns = [2 * math.pi * k / 72 for k in range(72)]
        corners = [(radius * math.cos(a), radius * math.sin(a)) for a in turns]
        self._add(name, "circle", at, text, color, corners)

    def triangle(
        self, name: str, at: Point, text: str = "", color: str = "white", size: float = 0.8
    ) -> None:
        """A triangle that points upwards: what comes out."""
        x, y = _size("triangle", "size", size) / 2, size * 0.4
        self._add(name, "triangle", at, text, color, [(-x, -y), (x, -y), (0, y * 1.15)])

    def _add(
        self, name: str, kind: str, at: Point, text: str, color: str, corners: list[Point]
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"Diagram.{kind}: name must be a string, got {name!r:.60}")
        _check_point(kind, at)
        if name in self.nodes:
            raise ValueError(f"Diagram.{kind}: there is a node {name!r} already; names are unique")
        self.nodes[name] = Node(name, kind, at, text, color, tuple(corners))

    # ------------------------------------------------------------------------------------ lines

    def arrow(
        self,
        start: str | Point,
        end: str | Point,
        label: str = "",
        color: str = "black",
        dashed: bool = False,
        side: str = "right",
    ) -> None:
        """A straight arrow between two nodes or points, its label on one `side` of the middle."""
        for end_point in (start, end):
            if isinstance(end_point, str):
                self._known("arrow", end_point)
            else:
                _check_point("arrow", end_point)
        if start == end:
            raise ValueError(f"Diagram.arrow: ends where it starts, at {start!r}; loop draws that")
        self._check_side("arrow", side)
        self.arrows.append(Arrow(start, end, label, color, dashed, side))

    def loop(self, node: str, label: str = "", color: str = "black", side: str = "right") -> None:
        """An arrow from a node to itself, on its 'right' or 'left'."""
        self._known("loop", node)
        if side not in ("right", "left"):
            raise ValueError(f"Diagram.loop: side must be 'right' or 'left', got {side!r}")
        self.arrows.append(Arrow(node, node, label, color, False, side))

    def curve(self, points: Iterable[Point], color: str = "black", head: bool = True) -> None:
        """A line from point to point, up or down at each of them; with `head`, an arrow."""
        points = tuple(points)
        for point in points:
            _check_point("curve", point)
        if len(points) < 2:
            raise ValueError(f"Diagram.curve: a line needs two points, got {points!r:.60}")
        self.curves.append(Curve(points, color, head))

    def frame(
        self,
        around: Iterable[str],
        label: str = "",
        room: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.2),
    ) -> None:
        """A dashed rectangle around nodes; `room` on its left, right, bottom and top."""
        if not isinstance(around, Iterable):
            raise TypeError(f"Diagram.frame: around must be names of nodes, got {around!r:.60}")
        names = tuple(around)
        for name in names:
            self._known("frame", name)
        if not names:
            raise ValueError("Diagram.frame: there is nothing to frame; name at least one node")
        if not isinstance(room, tuple | list) or len(room) != 4 or not all(map(_finite, room)):
            raise ValueError(
                f"Diagram.frame: room must be four numbers of inches, got {room!r:.60}"
            )
        self.frames.append(Frame(names, label, room))

    def note(self, at: Point, text: str, side: str = "above") -> None:
        """A text beside a place."""
        _check_point("note", at)
        self._check_side("note", side)
        self.notes.append((at, text, side))

    def text(self, at: Point, text: str, color: str = "black") -> None:
        """A text with its middle at a place."""
        _check_point("text", at)
        self.texts.append((at, text, color))

    def _known(self, function: str, name: str) -> None:
        if not isinstance(name, str) or name not in self.nodes:
            known = ", ".join(map(repr, self.nodes)) or "none"
            raise ValueError(f"Diagram.{function}: there is no node {name!r}; there are: {known}")

    def _check_side(self, function: str, side: str) -> None:
        if not isinstance(side, str) or side not in SIDES:
            known = ", ".join(map(repr, SIDES))
            raise ValueError(f"Diagram.{function}: side must be one of {known}, got {side!r}")

    # ---------------------------------------------------------------------------------- drawing

    def figure(self, title: str | None = None) -> Figure:
        """The drawing, with its `key` (pairs of a colour and what it stands for) underneath."""
        if not self.nodes:
            raise ValueError("Diagram.figure: the drawing is empty; add a box, circle or triangle")
        self._check_colors()
        return _Drawing(self).figure(title)

    def _check_colors(self) -> None:
        from matplotlib.colors import is_color_like

        if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in self.key):
            raise ValueError(f"Diagram.figure: key must be pairs (colour, text): {self.key!r:.60}")
        things = *self.nodes.values(), *self.arrows, *self.curves
        colors = [thing.color for thing in things] + [color for _, _, color in self.texts]
        for color in (*colors, *(color for color, _ in self.key)):
            if not is_color_like(color):
                raise ValueError(f"Diagram.figure: {color!r} is no colour that matplotlib knows")


def _finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _check_point(function: str, at: Any) -> None:
    if not isinstance(at, tuple | list) or len(at) != 2 or not all(map(_finite, at)):
        raise ValueError(f"Diagram.{function}: a place must be two finite numbers, got {at!r:.60}")


def _size(function: str, name: str, value: Any) -> float:
    if not _finite(value) or value <= 0:
        raise ValueError(f"Diagram.{function}: {name} must be inches above 0, got {value!r:.60}")
    return value


def _reach(corners: Sequence[Point], way: Point) -> float:
    """How far it is from the origin along a unit vector to the outline around it."""
    found = 0.0
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        ex, ey = bx - ax, by - ay
        across = way[0] * ey - way[1] * ex
        if abs(across) < 1e-12:
            continue
        reach = (ax * ey - ay * ex) / across
        place = (ax * way[1] - ay * way[0]) / across
        if reach > 0 and -1e-9 <= place <= 1 + 1e-9:
            found = max(found, reach)
    return found


class _Drawing:
    """One diagram put on one figure, on which an inch is a unit until it is cut to size."""

    def __init__(self, diagram: Diagram) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self.diagram = diagram
        self.sheet, axes = canvas(1, 1, (10, 10))
        self.sheet.set_layout_engine("none")
        FigureCanvasAgg(self.sheet)  # measures texts
        self.ax = axes[0, 0]
        self.ax.set_position((0, 0, 1, 1))
        self.ax.set(xlim=(0, 10), ylim=(0, 10))
        self.ax.axis("off")
        self.points: list[Point] = []  # what must be seen

    def figure(self, title: str | None) -> Figure:
        for frame in self.diagram.frames:
            self._frame(frame)
        for arrow in self.diagram.arrows:
            (self._loop if arrow.start == arrow.end else self._arrow)(arrow)
        for curve in self.diagram.curves:
            self._curve(curve)
        for node in self.diagram.nodes.values():
            self._node(node)
        for at, text, side in self.diagram.notes:
            self._beside(at, text, side)
        for at, text, color in self.diagram.texts:
            self._text(at, text, "center", "center", color)
        self._key()
        if title:
            middle = (self._low(0) + self._high(0)) / 2
            self._text((middle, self._high(1) + 0.15), title, "center", "bottom", size=FONT + 1)
        return self._cut()

    def _low(self, axis: int) -> float:
        return min(point[axis] for point in self.points)

    def _high(self, axis: int) -> float:
        return max(point[axis] for point in self.points)

    def _node(self, node: Node) -> None:
        from matplotlib.patches import Polygon

        style = dict(facecolor=node.color, edgecolor="black", linewidth=1.2, zorder=3)
        self.ax.add_patch(Polygon(node.outline, closed=True, **style))
        self.points += node.outline
        lower = 0.1 if node.kind == "triangle" else 0.0  # where it is wide
        self._text((node.at[0], node.at[1] - lower), node.text, "center", "center", zorder=4)

    def _place(self, end: str | Point) -> Point:
        return self.diagram.nodes[end].at if isinstance(end, str) else end

    def _edge(self, end: str | Point, towards: Point) -> Point:
        return self.diagram.nodes[end].edge(towards) if isinstance(end, str) else end

    def _arrow(self, arrow: Arrow) -> None:
        a = self._edge(arrow.start, self._place(arrow.end))
        b = self._edge(arrow.end, self._place(arrow.start))
        self._line([a, b], arrow)
        self._beside(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), arrow.label, arrow.side)

    def _loop(self, arrow: Arrow) -> None:
        node = self.diagram.nodes[arrow.start]
        x, y = node.at
        way = 1 if arrow.side == "right" else -1
        a, b = node.edge((x + way, y + 0.75)), node.edge((x + way, y - 0.75))
        out = x + way * 1.25
        self._line([a, (out, y + 0.85), (out, y - 0.85), b], arrow)
        furthest = (a[0] + b[0] + 6 * out) / 8  # the curve in its middle
        self._beside((furthest, y), arrow.label, arrow.side)

    def _line(self, points: list[Point], arrow: Arrow) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        codes = [Path.MOVETO] + [Path.LINETO if len(points) == 2 else Path.CURVE4] * (
            len(points) - 1
        )
        self.ax.add_patch(
            FancyArrowPatch(
                path=Path(points, codes),
                arrowstyle="-|>,head_length=5,head_width=2.6",
                color=arrow.color,
                linewidth=1.8,
                linestyle="--" if arrow.dashed else "-",
                zorder=2,
            )
        )
        self.points += [points[0], points[-1]]

    def _curve(self, curve: Curve) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        points = list(curve.points)
        way = points[:1]
        for (ax, ay), (bx, by) in zip(points, points[1:], strict=False):
            middle = (ay + by) / 2
            way += [(ax, middle), (bx, middle), (bx, by)]
        style: Any = "-|>,head_length=4.5,head_width=2.2" if curve.head else "-"
        self.ax.add_patch(
            FancyArrowPatch(
                path=Path(way, [Path.MOVETO] + [Path.CURVE4] * (len(way) - 1)),
                arrowstyle=style,
                color=curve.color,
                linewidth=1.2,
                fill=curve.head,
                zorder=2,
            )
        )
        self.points += points

    def _frame(self, frame: Frame) -> None:
        from matplotlib.patches import Rectangle

        corners = [point for name in frame.around for point in self.diagram.nodes[name].outline]
        left, right, bottom, top = frame.room
        x0, x1 = min(x for x, _ in corners) - left, max(x for x, _ in corners) + right
        y0, y1 = min(y for _, y in corners) - bottom, max(y for _, y in corners) + top
        style = dict(facecolor="0.97", edgecolor="0.5", linestyle=(0, (5, 4)), zorder=0)
        self.ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **style))
        self.points += [(x0, y0), (x1, y1)]
        self._text((x0 + 0.08, y0 + 0.06), frame.label, "left", "bottom", "0.3")

    def _key(self) -> None:
        x, y = self._low(0), self._low(1) - 0.28
        for k, (color, text) in enumerate(self.diagram.key):
            line = y - 0.2 * k
            self.ax.plot([x, x + 0.3], [line, line], color=color, linewidth=3)
            self._text((x + 0.4, line), text, "left", "center")

    def _beside(self, at: Point, text: str, side: str) -> None:
        dx, dy, ha, va = SIDES[side]
        self._text((at[0] + GAP * dx, at[1] + GAP * dy), text, ha, va)

    def _text(
        self,
        at: Point,
        text: str,
        ha: str,
        va: str,
        color: str = "black",
        size: float = FONT,
        zorder: float = 5,
    ) -> None:
        if not text:
            return
        style = dict(ha=ha, va=va, color=color, fontsize=size, zorder=zorder, linespacing=1.25)
        drawn = self.ax.text(*at, text, **style, parse_math=False)  # a word may have a $
        extent: Any = drawn.get_window_extent()
        dpi = self.sheet.dpi
        self.points += [(extent.x0 / dpi, extent.y0 / dpi), (extent.x1 / dpi, extent.y1 / dpi)]

    def _cut(self) -> Figure:
        """The sheet cut to what is on it."""
        x0, x1 = self._low(0) - MARGIN, self._high(0) + MARGIN
        y0, y1 = self._low(1) - MARGIN, self._high(1) + MARGIN
        self.sheet.set_size_inches(x1 - x0, y1 - y0)
        self.ax.set(xlim=(x0, x1), ylim=(y0, y1))
        return self.sheet
