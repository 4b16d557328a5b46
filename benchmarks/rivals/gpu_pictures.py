"""The pictures of the GPU's benchmarks: bars in panels, with what they were measured on below."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minitorch7 import plot
from minitorch7.plot.canvas import dress

from . import gpu_card
from .gpu_crew import CAPTURED, COLUMNS, COMPILED, EAGER, GRAPH, IMPLICIT, OURS, TITLES

COLORS = {
    OURS: plot.VERMILLION,
    CAPTURED: plot.PURPLE,
    EAGER: plot.BLUE,
    COMPILED: plot.SKY,
    GRAPH: plot.GREEN,
    IMPLICIT: plot.BLUE,  # these two stand beside no other library
    COLUMNS: plot.GREEN,
}


class Bar(NamedTuple):
    """One bar: whose, how long, and what stands at its end."""

    way: str
    value: float
    text: str


Panel = dict[str, list[Bar]]  # {label: the bars of one comparison}


def bars(
    path: Path,
    panels: dict[str, Panel],
    title: str,
    facts: dict[str, Any],
    line: float | None = None,
) -> None:
    """A PNG of panels below each other, bars from 0; none where there is nothing to show.

    facts  the card and the versions, which stand below. line  where a bar should end, or end before
    """
    from matplotlib.figure import Figure

    if not panels:
        return
    counts = [sum(len(of) + 0.6 for of in panel.values()) for panel in panels.values()]
    high = 1.6 + sum(0.7 + 0.26 * count for count in counts)
    figure = Figure(figsize=(9.5, high), layout="constrained", dpi=110)
    heights = {"height_ratios": [count + 2 for count in counts]}
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw=heights)[:, 0]
    for ax, (name, panel) in zip(axes, panels.items(), strict=True):
        _draw(ax, panel)
        if line is not None:
            ax.axvline(line, color="black", linewidth=1.2)
        dress(ax, "", "", name)
    handles: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.suptitle(title, fontsize=13)
    options = dict(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.legend(handles.values(), handles.keys(), title=gpu_card.line(facts), **options)
    plot.save(figure, path)


def _draw(ax: Any, panel: Panel) -> None:
    y, places = 0.0, []
    for found in panel.values():
        places.append(y + (len(found) - 1) / 2)
        for bar in found:
            ax.barh(y, bar.value, 0.85, color=COLORS[bar.way], label=TITLES[bar.way])
            ax.annotate(
                bar.text,
                (bar.value, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
            y += 1
        y += 0.6
    longest = max((bar.value for found in panel.values() for bar in found), default=1.0)
    ax.set_xlim(0, 1.2 * longest or 1.0)
    ax.set_yticks(places, list(panel), fontsize=9)
    ax.set_ylim(y - 0.3, -0.8)
