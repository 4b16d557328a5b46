"""Horizontal bars, plain or made of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .canvas import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, canvas, dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    errors: Sequence[float] | None = None,
    xlabel: str = "",
    title: str | None = None,
    fmt: str = "{:.3g}",
) -> Figure:
    """Horizontal bars, the first on top, each with its value; `errors` are half-widths."""
    if len(labels) != len(values):
        raise ValueError(f"bar_chart: {len(labels)} labels but {len(values)} values")
    figure, axes = canvas(1, 1, (7, 1.2 + 0.42 * len(labels)))
    ax = axes[0, 0]
    bars = ax.barh(range(len(labels)), values, xerr=errors, color=BLUE, height=0.62)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.bar_label(bars, [fmt.format(v) for v in values], padding=4, fontsize=9)
    ax.margins(x=0.12)
    dress(ax, xlabel, "", title)
    return figure


def stacked_bars(
    labels: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    xlabel: str = "",
    title: str | None = None,
    fmt: str = "{:.2f}",
) -> Figure:
    """Horizontal bars made of `parts` end to end, the first on top, each with its sum.

    parts  for each part's name, its length in every bar: {"forward": [3, 1], "backward": [5, 2]}
    """
    if not parts:
        raise ValueError("stacked_bars: there are no parts to draw; give at least one")
    for name, values in parts.items():
        if len(values) != len(labels):
            raise ValueError(
                f"stacked_bars: {len(labels)} labels but {len(values)} values of {name!r}; "
                "give one for each label"
            )
    figure, axes = canvas(1, 1, (8, 1.7 + 0.3 * len(labels)))
    ax = axes[0, 0]
    ends = np.zeros(len(labels))
    colors = (BLUE, ORANGE, GREY, GREEN, PURPLE, SKY)  # the first three differ in brightness too
    for i, (name, values) in enumerate(parts.items()):
        color = colors[i % len(colors)]
        bars = ax.barh(range(len(labels)), values, left=ends, color=color, height=0.7, label=name)
        ends = ends + np.asarray(values, float)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.bar_label(bars, [fmt.format(end) for end in ends], padding=4, fontsize=9)
    ax.set_xlim(0, 1.12 * max(ends, default=0) or 1)  # room for the sums
    dress(ax, xlabel, "", title)
    figure.legend(frameon=False, loc="outside lower center", ncols=len(parts))
    return figure
