"""Functions of two variables: as hills above, as contour lines below, all on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = 14  # contour lines from the lowest to the highest value
COLOURS = "viridis"


def surfaces(
    at: Sequence[float],
    values: Mapping[str, Any],
    xlabel: str = "",
    ylabel: str = "",
    zlabel: str = "",
    log: bool = False,
    ceiling: float | None = None,
) -> Figure:
    """A column for each name: its values as a surface, and under it the same as contour lines.

    at       where along either axis, (m,)
    values   for each name an array (m, m); rows go with the x axis, as `learner.landscape` has it
    log      draw the logarithm to the base 10; then all values must be above 0
    ceiling  values above are drawn as this one

    Height and colour mean the same in all columns. ValueError where a shape does not fit.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    at = np.asarray(at, float)
    if not values:
        raise ValueError("surfaces: there is nothing to draw; give at least one surface")
    heights = {name: _height(name, v, len(at), log, ceiling) for name, v in values.items()}
    low = min(h.min() for h in heights.values())
    high = max(h.max() for h in heights.values())
    high = high if high > low else low + 1.0
    levels = np.linspace(low, high, LEVELS)
    scale = {"cmap": COLOURS, "vmin": low, "vmax": high}
    figure, axes = canvas(2, len(heights), (4.4 * len(heights), 8))
    x, y = np.meshgrid(at, at, indexing="ij")
    ends = [at[0], (at[0] + at[-1]) / 2, at[-1]]
    ticks, names = _ticks(low, high, log)
    for j, (name, height) in enumerate(heights.items()):
        axes[0, j].remove()
        hill = figure.add_subplot(2, len(heights), j + 1, projection="3d")
        hill.plot_surface(x, y, height, rcount=80, ccount=80, linewidth=0.15, ec="0.25", **scale)
        hill.set_zlim(low, high)
        hill.set_title(name)
        hill.set_xticks(ends)
        hill.set_yticks(ends)
        hill.set_zticks(ticks, names)
        hill.set_xlabel(xlabel)
        hill.set_ylabel(ylabel)
        hill.view_init(elev=32, azim=-55)
        hill.set_box_aspect((1, 1, 0.75), zoom=0.95)
        hill.tick_params(labelsize=8, pad=0)
        ax = axes[1, j]
        ax.contourf(x, y, height, levels=levels, **scale)
        ax.contour(x, y, height, levels=levels, colors="white", linewidths=0.5, linestyles="-")
        ax.plot([0], [0], "+", color="white", markersize=9)
        ax.set_aspect("equal")
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel if j == 0 else "")
    colours = ScalarMappable(Normalize(low, high), COLOURS)
    bar = figure.colorbar(colours, ax=list(axes[1]), label=zlabel, shrink=0.8)
    bar.set_ticks(ticks, labels=names)
    return figure


def _ticks(low: float, high: float, log: bool) -> tuple[list[float], list[str]]:
    """Five round numbers, or each power of ten, between the two."""
    from matplotlib.ticker import MaxNLocator

    if not log or high - low < 1:
        found = [t for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high]
        return found, [f"{10.0**t if log else t:.3g}" for t in found]
    powers = [float(t) for t in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    return powers, [f"{10.0**t:g}" for t in powers]


def _height(name: str, values: Any, m: int, log: bool, ceiling: float | None) -> np.ndarray:
    height = np.asarray(values, float)
    if height.shape != (m, m):
        raise ValueError(
            f"surfaces: {name!r} has shape {height.shape}; with {m} places along either axis it "
            f"must be {(m, m)}"
        )
    if ceiling is not None:
        height = np.minimum(height, ceiling)
    if not log:
        return height
    if not (height > 0).all():
        raise ValueError(f"surfaces: {name!r} has values of 0 or less, which have no logarithm")
    return np.log10(height)
