"""What every picture stands on: colours, a figure with its axes, and the way to a PNG file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any common colour blindness can tell apart
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, GREY = "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)

DOTS_PER_INCH = 110


def plot_multi(
    f: Callable[[int, int, Axes], Any],
    r: int = 1,
    c: int = 1,
    figsize: tuple[float, float] = (12, 6),
) -> Figure:
    """A grid of `r` rows and `c` columns whose cells ``f(i, j, ax)`` draws."""
    if r < 1 or c < 1:
        raise ValueError(f"plot_multi: needs at least one row and one column, got r={r}, c={c}")
    figure, axes = canvas(r, c, figsize)
    for i in range(r):
        for j in range(c):
            f(i, j, axes[i, j])
    return figure


def canvas(r: int, c: int, figsize: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure and its r×c axes, outside pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained", dpi=DOTS_PER_INCH)
    # What a notebook asks of an object in order to show it as a picture.
    figure._repr_png_ = lambda: png(figure)
    return figure, figure.subplots(r, c, squeeze=False)


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write `figure` as a PNG to `path`, making the folders on the way; returns the path.

    The file appears whole or not at all. OSError, naming the file, where it cannot be written.
    """
    from ..files import write_atomically

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"plot.save: figures are written as PNG, got {path.name!r}; use a .png name"
        )
    write_atomically(path, png(figure), "plot.save")
    return path


def dress(ax: Axes, xlabel: str, ylabel: str, title: str | None = None) -> None:
    """Labels, a light grid, and no box around the curve."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    ax.grid(True, color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def check_one_each(function: str, n: int, **given: Any) -> None:
    """ValueError in the name of `function` where one of the lists `given` has not n entries."""
    for name, values in given.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{function}: {n} images but {len(values)} {name}; give one for each")
