"""A matrix of counts as coloured cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(
    matrix: Any, classes: Sequence[str], normalize: bool = False, cmap: str = "Blues"
) -> Figure:
    """A confusion matrix: one row for each actual class, one column for each predicted class.

    With `normalize` each row is divided by its sum. Cells carry their number up to 25 classes.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(
            f"confusion: a matrix of shape {counts.shape} for {len(classes)} classes; "
            f"it must be {len(classes)}×{len(classes)}"
        )
    shown = counts / np.maximum(counts.sum(1, keepdims=True), 1) if normalize else counts
    side = min(14.0, 3.0 + 0.5 * len(classes))
    figure, axes = canvas(1, 1, (side, side))
    ax = axes[0, 0]
    ax.imshow(shown, cmap=cmap)
    names = [str(c) for c in classes]
    ax.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("Predicted")
    ax.set_ylabel("Actual")
    ax.set_title("Confusion matrix")
    if len(classes) <= 25:
        middle = shown.max() / 2
        for (i, j), value in np.ndenumerate(shown):
            text = f"{value:.2f}" if normalize else f"{value}"
            color = "white" if value > middle else "black"
            ax.text(j, i, text, ha="center", va="center", color=color, fontsize=9)
    return figure
