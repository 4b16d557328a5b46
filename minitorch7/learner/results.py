"""Pictures of a batch's results: what went in, what came out, what was wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .interpret import host

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .learner import Learner

RIGHT, WRONG = "black", "#D55E00"


def show_results(learn: Learner, rows: int = 3, dl: Any = "valid", cmap: str = "binary") -> Figure:
    """The first items of `dl` with the model's answers, drawn as their kind asks for.

    classes  a square of rows×rows items titled actual / predicted, mistakes in red
    masks    `rows` rows: the target and the prediction laid over the image
    images   `rows` rows: input (unless that is noise), prediction, target
    """
    xb, yb = next(iter(learn.loader(dl).batches(0)))
    if yb is None:
        raise ValueError(
            f"show_results: the loader {dl!r} has no targets to show beside the answers; use "
            "learn.pred_batch, or a loader with labels"
        )
    out = learn.pred_batch((xb, yb))
    if out.ndim == 2:
        return _classes(learn, xb, yb, out, rows * rows, cmap)
    if out.ndim == 4 and yb.dtype.kind in "iu":
        return _masks(learn, xb, yb, out, rows)
    if out.ndim == 4 and out.shape == yb.shape:
        return _images(learn, xb, yb, out, rows)
    raise ValueError(
        f"show_results: no picture is known for predictions of shape {out.shape} with targets of "
        f"shape {yb.shape}; it draws classes (N, classes), masks (N, classes, H, W) and images"
    )


def _classes(learn: Learner, xb: Any, yb: Any, out: Any, n: int, cmap: str) -> Figure:
    from .. import plot

    n = min(n, len(xb))
    names = learn.data.classes or [str(i) for i in range(out.shape[1])]
    actual, guessed = host(yb)[:n].reshape(-1), host(out)[:n].argmax(1)
    titles = [f"{names[a]} / {names[g]}" for a, g in zip(actual, guessed, strict=True)]
    colors = [RIGHT if a == g else WRONG for a, g in zip(actual, guessed, strict=True)]
    images = host(learn.data.denorm(xb))[:n]
    return plot.image_grid(
        images, titles, cmap=cmap, title_colors=colors, suptitle="actual / predicted"
    )


def _masks(learn: Learner, xb: Any, yb: Any, out: Any, rows: int) -> Figure:
    from .. import plot

    images, wanted = host(learn.data.denorm(xb))[:rows], host(yb)[:rows]
    classes = getattr(learn.data, "classes", None) or None
    return plot.segmentation_grid(images, wanted, host(out)[:rows], classes)


def _images(learn: Learner, xb: Any, yb: Any, out: Any, rows: int) -> Figure:
    from .. import plot

    columns = {"Prediction": learn.images_of(out), "Target": learn.images_of(yb)}
    if xb.shape[2:] == yb.shape[2:]:  # not noise
        columns = {"Input": np.clip(host(learn.data.denorm(xb)), 0, 1), **columns}
    grid = [column[i] for i in range(min(rows, len(xb))) for column in columns.values()]
    titles = [*columns] + [""] * (len(grid) - len(columns))
    return plot.image_grid(grid, titles, cols=len(columns))
