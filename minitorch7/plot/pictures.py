"""Images side by side, and masks of classes laid over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import check_one_each, plot_multi

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MASK_COLORS = 20  # the colours of matplotlib's tab20; class k is drawn in colour k mod 20


def image_grid(
    images: Any,
    titles: Sequence[str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    figsize: tuple[float, float] | None = None,
    cmap: str | None = None,
    title_colors: Sequence[str] | None = None,
    suptitle: str | None = None,
    masks: Any = None,
    classes: Sequence[Any] | None = None,
) -> Figure:
    """Images side by side, row after row; near-square unless `rows` or `cols` says otherwise.

    images  (N, C, H, W) with 1 or 3 channels, or (N, H, W), values in [0, 1] (outside: clipped);
            a list of (C, H, W) or (H, W) may mix sizes
    cmap    the colour map of one-channel images; 'binary' draws digits as ink on paper
    masks   N×H×W class numbers laid over the images: tab20, half transparent
    classes their names: the colours are then spread over these, and a legend says which is which
    """
    pictures = [_as_picture(np.asarray(image)) for image in images]
    if not pictures:
        raise ValueError("image_grid: there are no images to draw")
    titles = titles or None  # pictures without labels have an empty list of names
    check_one_each("image_grid", len(pictures), titles=titles, colors=title_colors, masks=masks)
    rows, cols = _grid_shape(len(pictures), rows, cols)
    if figsize is None:
        height, width = pictures[0].shape[:2]
        lines = max((title.count("\n") + 1 for title in titles or ()), default=0)
        figsize = (2.0 * cols, (2.0 * height / width + 0.2 * lines) * rows + 0.4 * bool(suptitle))

    def draw(i: int, j: int, ax: Axes) -> None:
        ax.axis("off")
        k = i * cols + j
        if k >= len(pictures):
            return
        ax.imshow(pictures[k], cmap=cmap or "gray", vmin=0, vmax=1)
        if masks is not None:
            _overlay(ax, np.asarray(masks[k]), classes)
        if titles is not None:
            color = title_colors[k] if title_colors is not None else "black"
            ax.set_title(titles[k], color=color, fontsize=10)

    if masks is not None and classes is not None:
        names = math.ceil(len(classes) / _legend_columns(figsize[0]))
        figsize = (figsize[0], figsize[1] + 0.3 + 0.2 * names)
    figure = plot_multi(draw, rows, cols, figsize)
    if suptitle:
        figure.suptitle(suptitle)
    if masks is not None and classes is not None:
        _class_legend(figure, classes)
    return figure


def segmentation_grid(
    images: Any,
    truth: Any,
    predictions: Any = None,
    classes: Sequence[Any] | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """One row an image: the image, its mask laid over it, and beside that the predicted mask.

    images       (N, C, H, W) in [0, 1]
    truth        N×H×W class numbers
    predictions  N×H×W class numbers, or scores (N, classes, H, W), of which the largest counts
    classes      names for the legend
    """
    images, truth = [np.asarray(image) for image in images], list(np.asarray(truth))
    columns = {"Image": None, "Target": truth}
    if predictions is not None:
        predictions = np.asarray(predictions)
        if predictions.ndim == 4 and predictions.shape[1] > 1:
            predictions = predictions.argmax(1)
        columns["Prediction"] = list(predictions)
    check_one_each("segmentation_grid", len(images), truth=truth, predictions=predictions)
    cells = [image for image in images for _ in columns]
    masks = [part and part[i] for i in range(len(images)) for part in columns.values()]
    titles = [*columns, *[""] * (len(cells) - len(columns))]
    if figsize is None and images:
        height, width = images[0].shape[-2:]
        figsize = (3.0 * len(columns), 3.0 * height / width * len(images) + 0.4)
    return image_grid(
        cells, titles, cols=len(columns), figsize=figsize, masks=masks, classes=classes
    )


def _as_picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) or (H, W) in [0, 1] → what imshow takes: (H, W) or (H, W, 3)."""
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(
            "image_grid: an image must be (H, W), (1, H, W) or (3, H, W), "
            f"got shape {image.shape}; the channel axis comes first"
        )
    picture = np.clip(image.astype(np.float32), 0, 1)
    return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)


def _overlay(ax: Axes, mask: np.ndarray, classes: Sequence[Any] | None = None) -> None:
    """Class numbers over the picture in `ax`; one class has one colour in every picture."""
    if mask.dtype == object:  # None: a picture shown as it is
        return
    mask, last = mask.reshape(mask.shape[-2:]) % MASK_COLORS, MASK_COLORS - 1
    if classes is not None and len(classes) <= MASK_COLORS:
        last = max(len(classes) - 1, 1)
    ax.imshow(mask, cmap="tab20", alpha=0.5, vmin=0, vmax=last, interpolation="nearest")


def _legend_columns(width: float) -> int:
    """How many class names fit side by side in so many inches."""
    return max(1, int(width / 1.3))


def _class_legend(figure: Figure, classes: Sequence[Any]) -> None:
    """Below the pictures: each class's name beside its colour, as `_overlay` draws it."""
    import matplotlib
    from matplotlib.patches import Patch

    colors, n = matplotlib.colormaps["tab20"], len(classes)
    last = max(n - 1, 1) if n <= MASK_COLORS else MASK_COLORS - 1
    patches = [
        Patch(facecolor=colors((k % MASK_COLORS) / last), alpha=0.7, label=str(name))
        for k, name in enumerate(classes)
    ]
    columns = min(_legend_columns(figure.get_figwidth()), n)
    figure.legend(
        handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def _grid_shape(n: int, rows: int | None, cols: int | None) -> tuple[int, int]:
    """Rows and columns that hold `n` cells, keeping what the caller fixed."""
    if rows is None and cols is None:
        cols = math.ceil(math.sqrt(n))
    if cols is None:
        cols = math.ceil(n / rows)
    if rows is None:
        rows = math.ceil(n / cols)
    if rows * cols < n:
        raise ValueError(f"image_grid: {n} images do not fit {rows} rows of {cols}; leave one out")
    return rows, cols
