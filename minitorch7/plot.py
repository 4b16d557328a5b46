"""Every picture the project draws: grids of images, curves, schedules, matrices, bars.

The functions take arrays and lists and return a matplotlib ``Figure``. They know nothing of
learners and data sets, so that any room may call them. Figures are made without pyplot: nothing is
registered globally, no window opens, no figure outlives its last reference, and a machine without
a screen draws as well as one with. matplotlib is imported by the first drawing, not before.

    figure = plot.image_grid(images, titles=names)
    plot.save(figure, "out/batch.png")

In a notebook a figure that ends a cell is shown by itself.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
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

MASK_COLORS = 20  # the colours of matplotlib's tab20; class k is drawn in colour k mod 20
DOTS_PER_INCH = 110


# ------------------------------------------------------------------------------------ the canvas


def plot_multi(
    f: Callable[[int, int, Axes], Any],
    r: int = 1,
    c: int = 1,
    figsize: tuple[float, float] = (12, 6),
) -> Figure:
    """A grid of `r` rows and `c` columns whose cells ``f(i, j, ax)`` draws."""
    if r < 1 or c < 1:
        raise ValueError(f"plot_multi: needs at least one row and one column, got r={r}, c={c}")
    figure, axes = _canvas(r, c, figsize)
    for i in range(r):
        for j in range(c):
            f(i, j, axes[i, j])
    return figure


def _canvas(r: int, c: int, figsize: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure and its r×c axes, outside pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=figsize, layout="constrained", dpi=DOTS_PER_INCH)
    # What a notebook asks of an object in order to show it as a picture.
    figure._repr_png_ = lambda: _png(figure)
    return figure, figure.subplots(r, c, squeeze=False)


def _png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write `figure` as a PNG to `path`, making the folders on the way; returns the path.

    The file appears whole or not at all. OSError, naming the file, where it cannot be written.
    """
    from .files import write_atomically

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"plot.save: figures are written as PNG, got {path.name!r}; use a .png name"
        )
    write_atomically(path, _png(figure), "plot.save")
    return path


def _dress(ax: Axes, xlabel: str, ylabel: str, title: str | None = None) -> None:
    """Labels, a light grid, and no box around the curve."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(title)
    ax.grid(True, color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


# ----------------------------------------------------------------------------------------- images


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
    _check_one_each("image_grid", len(pictures), titles=titles, colors=title_colors, masks=masks)
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
    _check_one_each("segmentation_grid", len(images), truth=truth, predictions=predictions)
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


def _check_one_each(function: str, n: int, **given: Any) -> None:
    for name, values in given.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{function}: {n} images but {len(values)} {name}; give one for each")


# ----------------------------------------------------------------------------------------- curves


def lr_curve(
    lrs: Sequence[float],
    losses: Sequence[float],
    skip_start: int = 10,
    skip_end: int = 5,
    suggestion: float | None = None,
) -> Figure:
    """The learning-rate finder's picture: loss against learning rate, the latter logarithmic.

    The first points are noise and the last the explosion, so both ends are skipped, unless fewer
    than two points would be left. `suggestion` marks a learning rate on the curve.
    """
    lrs, losses = np.asarray(lrs, float), np.asarray(losses, float)
    if len(lrs) != len(losses) or not len(lrs):
        raise ValueError(
            f"lr_curve: {len(lrs)} learning rates and {len(losses)} losses; "
            "needs as many of one as of the other, and at least one (run learn.lr_find() first)"
        )
    if len(lrs) >= skip_start + skip_end + 2:
        stop = len(lrs) - skip_end
        lrs, losses = lrs[skip_start:stop], losses[skip_start:stop]
    figure, axes = _canvas(1, 1, (7, 4.5))
    ax = axes[0, 0]
    ax.plot(lrs, losses, color=BLUE, linewidth=1.8)
    ax.set_xscale("log")
    if suggestion is not None:
        height = np.interp(np.log(suggestion), np.log(lrs), losses)
        label = f"steepest descent: {suggestion:.2e}"
        ax.plot([suggestion], [height], "o", color=VERMILLION, markersize=9, label=label)
        ax.legend(frameon=False)
    _dress(ax, "learning rate (log scale)", "smoothed training loss", "Learning-rate finder")
    return figure


def schedule(lrs: Any, moms: Sequence[float] | None = None) -> Figure:
    """Learning rate, and beside it momentum, batch by batch.

    lrs is (batches,), or (batches, groups) where layer groups have rates of their own.
    """
    lrs = np.asarray(lrs, float)
    lines = lrs[:, None] if lrs.ndim == 1 else lrs
    panels = 1 if moms is None else 2
    figure, axes = _canvas(1, panels, (6 * panels, 4))
    ax = axes[0, 0]
    for group in range(lines.shape[1]):
        color = PALETTE[group % len(PALETTE)]
        ax.plot(lines[:, group], color=color, linewidth=1.8, label=f"layer group {group}")
    if lines.shape[1] > 1:
        ax.legend(frameon=False)
    _dress(ax, "Batches processed", "learning rate")
    if moms is not None:
        axes[0, 1].plot(np.asarray(moms, float), color=VERMILLION, linewidth=1.8)
        _dress(axes[0, 1], "Batches processed", "momentum")
    return figure


def loss_curves(
    train: Sequence[float],
    valid: Sequence[float] | None = None,
    valid_at: Sequence[float] | None = None,
    skip_start: int = 0,
) -> Figure:
    """The training loss of every batch, and the validation losses where they were measured.

    valid_at counts in training batches; without it the validation losses are spread evenly, the
    last of them at the end.
    """
    train = np.asarray(train, float)
    figure, axes = _canvas(1, 1, (7, 4.5))
    ax = axes[0, 0]
    positions = np.arange(1, len(train) + 1)
    ax.plot(positions[skip_start:], train[skip_start:], color=BLUE, linewidth=1.3, label="train")
    if valid is not None and len(valid):
        where = _epoch_ends(len(train), len(valid)) if valid_at is None else valid_at
        _check_one_each("loss_curves", len(valid), positions=where)
        ax.plot(where, valid, "o-", color=VERMILLION, linewidth=1.8, label="validation")
    ax.legend(frameon=False)
    _dress(ax, "Batches processed", "loss")
    return figure


def curves(
    x: Any, ys: Mapping[str, Any], xlabel: str = "", ylabel: str = "", title: str | None = None
) -> Figure:
    """One line for each name over the same axis: ys are arrays as long as x.

    x may also be a mapping of the same names, where lines have axes of their own.
    """
    if not ys:
        raise ValueError("curves: needs at least one line to draw")
    figure, axes = _canvas(1, 1, (7, 4.5))
    for k, (name, y) in enumerate(ys.items()):
        at, y = np.asarray(x[name] if isinstance(x, Mapping) else x, float), np.asarray(y, float)
        if at.shape != y.shape or y.ndim != 1:
            raise ValueError(
                f"curves: line {name!r} has shape {y.shape} over an axis of shape {at.shape}; both "
                "must be flat and as long as each other"
            )
        axes[0, 0].plot(at, y, color=PALETTE[k % len(PALETTE)], linewidth=1.8, label=name)
    axes[0, 0].legend(frameon=False)
    _dress(axes[0, 0], xlabel, ylabel, title)
    return figure


def metric_curves(
    metrics: Mapping[str, Sequence[float]],
    at: Sequence[float] | None = None,
    xlabel: str = "epoch",
) -> Figure:
    """One panel a metric, all against the same axis (`at`, by default 0, 1, 2, …)."""
    if not metrics:
        raise ValueError("metric_curves: there are no metrics to draw; give the Learner metrics=")
    figure, axes = _canvas(len(metrics), 1, (7, 3.2 * len(metrics)))
    for ax, (name, values) in zip(axes[:, 0], metrics.items(), strict=True):
        where = range(len(values)) if at is None else at
        ax.plot(where, values, "o-", color=GREEN, linewidth=1.8)
        if at is None:
            ax.xaxis.get_major_locator().set_params(integer=True)
        _dress(ax, xlabel, name)
    return figure


def _epoch_ends(n_batches: int, n_epochs: int) -> np.ndarray:
    return n_batches * np.arange(1, n_epochs + 1) / n_epochs


# ----------------------------------------------------------------------------- matrices and bars


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
    figure, axes = _canvas(1, 1, (side, side))
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
    figure, axes = _canvas(1, 1, (7, 1.2 + 0.42 * len(labels)))
    ax = axes[0, 0]
    bars = ax.barh(range(len(labels)), values, xerr=errors, color=BLUE, height=0.62)
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.bar_label(bars, [fmt.format(v) for v in values], padding=4, fontsize=9)
    ax.margins(x=0.12)
    _dress(ax, xlabel, "", title)
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
    figure, axes = _canvas(1, 1, (8, 1.7 + 0.3 * len(labels)))
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
    _dress(ax, xlabel, "", title)
    figure.legend(frameon=False, loc="outside lower center", ncols=len(parts))
    return figure
