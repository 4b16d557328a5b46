"""Curves: losses, metrics, learning rates, and any lines over one axis."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import BLUE, GREEN, PALETTE, VERMILLION, canvas, check_one_each, dress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    figure, axes = canvas(1, 1, (7, 4.5))
    ax = axes[0, 0]
    ax.plot(lrs, losses, color=BLUE, linewidth=1.8)
    ax.set_xscale("log")
    if suggestion is not None:
        height = np.interp(np.log(suggestion), np.log(lrs), losses)
        label = f"steepest descent: {suggestion:.2e}"
        ax.plot([suggestion], [height], "o", color=VERMILLION, markersize=9, label=label)
        ax.legend(frameon=False)
    dress(ax, "learning rate (log scale)", "smoothed training loss", "Learning-rate finder")
    return figure


def schedule(lrs: Any, moms: Sequence[float] | None = None) -> Figure:
    """Learning rate, and beside it momentum, batch by batch.

    lrs is (batches,), or (batches, groups) where layer groups have rates of their own.
    """
    lrs = np.asarray(lrs, float)
    lines = lrs[:, None] if lrs.ndim == 1 else lrs
    panels = 1 if moms is None else 2
    figure, axes = canvas(1, panels, (6 * panels, 4))
    ax = axes[0, 0]
    for group in range(lines.shape[1]):
        color = PALETTE[group % len(PALETTE)]
        ax.plot(lines[:, group], color=color, linewidth=1.8, label=f"layer group {group}")
    if lines.shape[1] > 1:
        ax.legend(frameon=False)
    dress(ax, "Batches processed", "learning rate")
    if moms is not None:
        axes[0, 1].plot(np.asarray(moms, float), color=VERMILLION, linewidth=1.8)
        dress(axes[0, 1], "Batches processed", "momentum")
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
    figure, axes = canvas(1, 1, (7, 4.5))
    ax = axes[0, 0]
    positions = np.arange(1, len(train) + 1)
    ax.plot(positions[skip_start:], train[skip_start:], color=BLUE, linewidth=1.3, label="train")
    if valid is not None and len(valid):
        where = _epoch_ends(len(train), len(valid)) if valid_at is None else valid_at
        check_one_each("loss_curves", len(valid), positions=where)
        ax.plot(where, valid, "o-", color=VERMILLION, linewidth=1.8, label="validation")
    ax.legend(frameon=False)
    dress(ax, "Batches processed", "loss")
    return figure


def curves(
    x: Any,
    ys: Mapping[str, Any],
    xlabel: str = "",
    ylabel: str = "",
    title: str | None = None,
    log_y: bool = False,
) -> Figure:
    """One line for each name over the same axis: ys are arrays as long as x.

    x may also be a mapping of the same names, where lines have axes of their own. With `log_y` each
    step up is ten times as much, and what is not above 0 is not drawn.
    """
    if not isinstance(ys, Mapping):
        raise TypeError(
            "curves: ys must be a mapping of names to arrays, such as {'loss': losses}, got "
            f"{type(ys).__name__}"
        )
    if not ys:
        raise ValueError("curves: needs at least one line to draw")
    figure, axes = canvas(1, 1, (7, 4.5))
    for k, (name, y) in enumerate(ys.items()):
        if isinstance(x, Mapping) and name not in x:
            raise ValueError(
                f"curves: x has no axis for line {name!r}, only for {list(x)}; give it one of the "
                "same name"
            )
        at = _numbers("the axis of line", name, x[name] if isinstance(x, Mapping) else x)
        y = _numbers("line", name, y)
        if at.shape != y.shape or y.ndim != 1:
            raise ValueError(
                f"curves: line {name!r} has shape {y.shape} over an axis of shape {at.shape}; both "
                "must be flat and as long as each other"
            )
        axes[0, 0].plot(at, y, color=PALETTE[k % len(PALETTE)], linewidth=1.8, label=name)
    if all((line.get_xdata() % 1 == 0).all() for line in axes[0, 0].lines):
        axes[0, 0].xaxis.get_major_locator().set_params(integer=True)  # no batch 2.5
    if log_y:
        axes[0, 0].set_yscale("log", nonpositive="mask")
    axes[0, 0].legend(frameon=False)
    dress(axes[0, 0], xlabel, ylabel, title)
    return figure


def _numbers(what: str, name: str, values: Any) -> np.ndarray:
    """Values as floats; None, which stands for a number not known, becomes NaN."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "SU":  # NumPy would read numbers in them
            raise TypeError
        return array.astype(float)
    except (TypeError, ValueError):
        raise TypeError(
            f"curves: {what} {name!r} must be a flat list or NumPy array of numbers, got "
            f"{reprlib.repr(values)}"
        ) from None


def metric_curves(
    metrics: Mapping[str, Sequence[float]],
    at: Sequence[float] | None = None,
    xlabel: str = "epoch",
) -> Figure:
    """One panel a metric, all against the same axis (`at`, by default 0, 1, 2, …)."""
    if not metrics:
        raise ValueError("metric_curves: there are no metrics to draw; give the Learner metrics=")
    figure, axes = canvas(len(metrics), 1, (7, 3.2 * len(metrics)))
    for ax, (name, values) in zip(axes[:, 0], metrics.items(), strict=True):
        where = range(len(values)) if at is None else at
        ax.plot(where, values, "o-", color=GREEN, linewidth=1.8)
        if at is None:
            ax.xaxis.get_major_locator().set_params(integer=True)
        dress(ax, xlabel, name)
    return figure


def _epoch_ends(n_batches: int, n_epochs: int) -> np.ndarray:
    return n_batches * np.arange(1, n_epochs + 1) / n_epochs
