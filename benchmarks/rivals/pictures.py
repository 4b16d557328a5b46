"""The benchmarks' pictures: how long each library takes beside PyTorch eager, whose time is 1."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from minitorch7 import plot

from . import NAMES, OURS, PYTORCH, TITLES, machine
from .report import ratios

COLORS = dict(
    zip(NAMES, (plot.VERMILLION, plot.BLUE, plot.SKY, plot.GREEN, plot.PURPLE), strict=True)
)
MARKERS = dict(zip(NAMES, "oDs^v", strict=True))
SMALL, NORMAL, LARGE = 9, 10.5, 13  # points
MARKS = {  # for axes whose ends are further apart than this factor
    12: (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500),
    3.5: (0.25, 0.33, 0.5, 0.7, 1, 1.5, 2, 3, 4),
    0: (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.6, 2, 2.5),
}


Rows = list[dict[str, Any]]  # of one comparison: the same work, by every rival
Points = dict[float, Rows]  # {size: the rows of one comparison}


class Bar(NamedTuple):
    """A time as a multiple of PyTorch's, with the range over the rounds."""

    rival: str
    ratio: float
    low: float
    high: float


def beside(rows: Rows, base: str = PYTORCH) -> list[Bar]:
    """The rows' times over those of `base`, which is not among the bars; [] where it is absent."""
    bases = [r["rounds_ms"] for r in rows if r["rival"] == base]
    if not bases:
        return []
    found = []
    for r in rows:
        if r["rival"] != base:
            every = ratios(r["rounds_ms"], bases[0])
            found.append(Bar(r["rival"], median(every), min(every), max(every)))
    return found


def bars(
    path: Path,
    panels: dict[str, dict[str, Rows]],
    title: str,
    only: tuple[str, ...] = NAMES,
) -> None:
    """Bars to the left of 1 (faster than PyTorch eager) or to the right of it (slower).

    panels  {panel's title: {label: the rows of one comparison}}, side by side on the same axes
    only    the rivals that get a bar; the others get a mark
    """
    from matplotlib.figure import Figure

    every = [rows for groups in panels.values() for rows in groups.values()]
    labels = list(dict.fromkeys(label for groups in panels.values() for label in groups))
    shown = {r["rival"] for rows in every for r in rows if r["rival"] != PYTORCH}
    thick = [name for name in NAMES if name in shown and name in only]
    letters = max(len(line) for label in labels for line in label.split("\n"))
    width = 1 + 0.085 * letters + (3.4 if len(panels) < 3 else 2.8) * len(panels)
    height = 1.7 + len(labels) * (0.22 * len(thick) + 0.1)
    figure = Figure(figsize=(max(7.0, width), height), layout="constrained", dpi=110)
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    known = any(beside(rows) for rows in every)
    for ax, (name, groups) in zip(axes, panels.items(), strict=True):
        for label, rows in groups.items():
            (_draw_ratios if known else _draw_times)(ax, labels.index(label), rows, thick)
        if known:
            ax.axvline(1, color="black", linewidth=1.3, label="PyTorch eager = 1", zorder=3)
            _ratio_axis(ax, ax.xaxis, _reach(every))
        ax.set_title(name, fontsize=NORMAL + 1)
        _dress(ax, "x")
    axes[0].set_yticks(range(len(labels)), labels, fontsize=NORMAL)
    axes[0].set_ylim(len(labels) - 0.4, -0.6)
    along = "× PyTorch eager's time (left of 1: faster; thin lines: range of the rounds)"
    along = along if known else "milliseconds (there was no PyTorch to compare with)"
    _finish(figure, path, title, _legend(axes), along)


def _draw_ratios(ax: Any, k: int, rows: Rows, thick: list[str]) -> None:
    """One comparison: bars from 1, and marks for those that get no bar."""
    for bar in beside(rows):
        if bar.rival in thick:
            _draw_bar(ax, k + _offset(bar.rival, thick), bar, 0.8 / len(thick))
        else:
            style = dict(color=COLORS[bar.rival], markersize=7, markeredgecolor="white", zorder=4)
            ax.plot(bar.ratio, k, MARKERS[bar.rival], label=TITLES[bar.rival], **style)


def _draw_times(ax: Any, k: int, rows: Rows, thick: list[str]) -> None:
    """Milliseconds, where PyTorch is not there to be compared with."""
    for r in rows:
        if r["rival"] in thick:
            y, height = k + _offset(r["rival"], thick), 0.8 / len(thick)
            label, color = TITLES[r["rival"]], COLORS[r["rival"]]
            ax.barh(y, r["median_ms"], height, color=color, label=label)
            _beside_axes(ax, y, f"{r['median_ms']:.3g}", r["rival"])


def _draw_bar(ax: Any, y: float, bar: Bar, height: float) -> None:
    color = COLORS[bar.rival]
    ax.barh(y, bar.ratio - 1, height, left=1, color=color, label=TITLES[bar.rival], zorder=2)
    ax.plot([bar.low, bar.high], [y, y], color="0.25", linewidth=1.1, zorder=3)
    _beside_axes(ax, y, f"{bar.ratio:.2f}", bar.rival)


def _beside_axes(ax: Any, y: float, text: str, rival: str) -> None:
    """A figure to the right of the panel, where no bar and no mark can lie over it."""
    weight = "bold" if rival == OURS else "normal"
    options = dict(transform=ax.get_yaxis_transform(), va="center", weight=weight, fontsize=SMALL)
    ax.text(1.01, y, text, color=COLORS[rival] if rival != OURS else "black", **options)


def _offset(rival: str, thick: list[str]) -> float:
    """Where a rival's bar stands around the middle of its group."""
    return (thick.index(rival) - (len(thick) - 1) / 2) * 0.8 / len(thick)


def _reach(every: list[Rows]) -> tuple[float, float]:
    """The least and the largest ratio of all comparisons, with some room beside them."""
    found = [end for rows in every for bar in beside(rows) for end in (bar.low, bar.high)]
    low, high = min([0.75, *found]), max([1.3, *found])
    room = (high / low) ** 0.06
    return low / room, high * room


def _ratio_axis(ax: Any, axis: Any, limits: tuple[float, float]) -> None:
    """A logarithmic axis, marked with the ratios a reader thinks in."""
    from matplotlib.ticker import NullFormatter, NullLocator

    horizontal = axis is ax.xaxis
    (ax.set_xscale if horizontal else ax.set_yscale)("log")
    (ax.set_xlim if horizontal else ax.set_ylim)(*limits)
    marks = next(m for span, m in MARKS.items() if limits[1] / limits[0] > span)
    axis.set_ticks([mark for mark in marks if limits[0] <= mark <= limits[1]])
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=NORMAL)


def multiples(
    path: Path, panels: dict[str, list[tuple[str, str, float, str]]], title: str, wanted: float
) -> None:
    """Plain bars of (rival, label, value, text), with lines at 1 and at what is wanted."""
    from matplotlib.figure import Figure

    tall = max(len(values) for values in panels.values())
    size = (7.4 * len(panels), 1.9 + 0.42 * tall)
    figure = Figure(figsize=size, layout="constrained", dpi=110)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    every = [wanted, 1.0, *[value for values in panels.values() for _, _, value, _ in values]]
    for ax, (name, values) in zip(axes, panels.items(), strict=True):
        for k, (rival, _, value, text) in enumerate(values):
            ax.barh(k, value - 1, 0.7, left=1, color=COLORS[rival], label=TITLES[rival], zorder=2)
            _beside_axes(ax, k, text, rival)
        ax.axvline(1, color="black", linewidth=1.3, label="as many as training takes", zorder=3)
        label = f"wanted: {wanted:g} times as many"
        ax.axvline(wanted, color="black", linewidth=1.3, linestyle="--", label=label, zorder=3)
        ax.set_title(name, fontsize=NORMAL + 1)
        ax.set_yticks(range(len(values)), [label for _, label, *_ in values], fontsize=NORMAL)
        ax.set_ylim(len(values) - 0.4, -0.6)
        _ratio_axis(ax, ax.xaxis, (min(every) / 1.3, max(every) * 1.2))
        ax.set_xlabel("images served for each that training takes", fontsize=NORMAL)
        _dress(ax, "x")
    _finish(figure, path, title, _legend(axes))


# ------------------------------------------------------------------------------------------ lines


def lines(path: Path, panels: dict[int, dict[str, Points]], title: str) -> None:
    """Time against size, a column an axis; under each panel, the ratio to PyTorch eager.

    panels  {number of threads: {label of the axis: {size: the rows of one comparison}}}
    """
    from matplotlib.figure import Figure

    across, down = len(next(iter(panels.values()))), len(panels)
    figure = Figure(figsize=(3.7 * across, 4.6 * down + 0.8), layout="constrained", dpi=110)
    heights = {"height_ratios": [1.5, 1] * down}
    axes = figure.subplots(2 * down, across, squeeze=False, sharex="col", gridspec_kw=heights)
    every = [rows for row in panels.values() for points in row.values() for rows in points.values()]
    limits = _reach(every)
    for i, (threads, columns) in enumerate(panels.items()):
        above, below = axes[2 * i], axes[2 * i + 1]
        for j, (label, points) in enumerate(columns.items()):
            _times(above[j], points)
            _ratios(below[j], points, limits)
            above[j].set_title(f"{threads_text(threads)}: {label}", fontsize=NORMAL + 1)
            below[j].set_xlabel(label, fontsize=NORMAL)
        above[0].set_ylabel("ms a step", fontsize=NORMAL)
        below[0].set_ylabel("× PyTorch eager", fontsize=NORMAL)
    _finish(figure, path, title, _legend(axes.ravel()))


def _times(ax: Any, points: Points) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    for rival in NAMES:
        mine = [(x, r) for x, rows in points.items() for r in rows if r["rival"] == rival]
        _line(ax, rival, [(x, r["median_ms"]) for x, r in mine])
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(list(points), [f"{x:g}" for x in points])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if _span(points) > 5 else (1, 1.5, 2, 3, 5, 7))
    )
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter("{x:g}")
    _dress(ax, "both")


def _span(points: Points) -> float:
    """The longest time over the shortest."""
    every = [r["median_ms"] for rows in points.values() for r in rows]
    return max(every) / min(every)


def _ratios(ax: Any, points: Points, limits: tuple[float, float]) -> None:
    for rival in NAMES:
        mine = [(x, b) for x, rows in points.items() for b in beside(rows) if b.rival == rival]
        _line(ax, rival, [(x, b.ratio) for x, b in mine])
    ax.axhline(1, color="black", linewidth=1.3, label="PyTorch eager = 1")
    _ratio_axis(ax, ax.yaxis, limits)
    _dress(ax, "both")


def _line(ax: Any, rival: str, found: list[tuple[float, float]]) -> None:
    if found:
        style = dict(color=COLORS[rival], marker=MARKERS[rival], markersize=5)
        width = 2.2 if rival == OURS else 1.4
        ax.plot(*zip(*found, strict=True), linewidth=width, label=TITLES[rival], **style)


# ---------------------------------------------------------------------------------- what all share


def _dress(ax: Any, grid: str) -> None:
    ax.grid(True, axis=grid, color="0.9", zorder=0)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=NORMAL)


def threads_text(n: int) -> str:
    """1 thread, 2 threads."""
    return f"{n} thread" + "s" * (n > 1)


def _legend(axes: Any) -> dict[str, Any]:
    """One handle a label over all panels, our own first."""
    found: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    libraries = list(TITLES.values())
    places = {label: libraries.index(label) if label in libraries else 99 for label in found}
    return {label: found[label] for label in sorted(found, key=places.__getitem__)}


def _finish(figure: Any, path: Path, title: str, legend: dict[str, Any], along: str = "") -> None:
    """Title, legend, what the axis shows, what it was measured on; and the file, in one step."""
    facts = machine.facts()
    versions = facts["versions"]
    known = [f"{name} {versions[name]}" for name in ("numpy", "torch", "jax") if name in versions]
    below = f"{along}\n{facts['cpu']}, {facts['cores']} cores; {', '.join(known)}"
    figure.suptitle(title, fontsize=LARGE)
    columns = max(1, int(figure.get_size_inches()[0] / 2.2))
    options = dict(loc="outside lower center", ncols=columns, frameon=False, fontsize=NORMAL)
    text = below.strip()
    drawn = figure.legend(legend.values(), legend.keys(), title=text, **options)
    drawn.get_title().set(multialignment="center", fontsize=NORMAL)
    plot.save(figure, path)
