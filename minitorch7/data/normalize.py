"""From bytes to the numbers a model likes: (x / 255 - mean) / std for each channel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .errors import DataError

imagenet_stats = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
cifar_stats = ([0.491, 0.482, 0.447], [0.247, 0.243, 0.261])
mnist_stats = ([0.131], [0.308])


class Stats(NamedTuple):
    """The mean and the standard deviation of each channel, float32 (C,), on the scale [0, 1]."""

    mean: np.ndarray
    std: np.ndarray


def as_floats(batch: np.ndarray, stats: Stats | None = None) -> np.ndarray:
    """Bytes (or floats in [0, 1]) of shape (n, C, H, W) as float32, normalised if `stats`.

    The result has shape (n, C, H, W) over memory in the order (C, H, W, n). The convolution kernels
    want that: all pictures' values at one pixel lie side by side, so a whole batch is one matrix.
    The values must be written once anyway; to write them in this order takes less time than to
    write them plainly and have the first layer reorder them, and the time is the loader's thread's.
    """
    n, c, h, w = batch.shape
    scale = np.full((c, 1, 1, 1), 1 / 255 if batch.dtype == np.uint8 else 1, np.float32)
    out = np.empty((c, h, w, n), np.float32)
    if stats is None:
        np.multiply(batch.transpose(1, 2, 3, 0), scale, out=out)
    else:  # (x / 255 - mean) / std = x · (1 / (255 std)) - mean / std: one product and one sum
        std = stats.std.reshape(c, 1, 1, 1)
        np.multiply(batch.transpose(1, 2, 3, 0), scale / std, out=out)
        out -= stats.mean.reshape(c, 1, 1, 1) / std
    return out.transpose(3, 0, 1, 2)


def stats_of(batch: np.ndarray) -> Stats:
    """Mean and unbiased (n - 1) standard deviation of each channel, over pictures and pixels."""
    values = as_floats(batch).astype(np.float64)  # (n, C, H, W)
    mean = values.mean(axis=(0, 2, 3))
    std = values.std(axis=(0, 2, 3), ddof=1)
    return checked_stats((mean, std), batch.shape[1])


def checked_stats(stats: Any, channels: int, function: str = "normalize") -> Stats:
    """`stats` as two float32 arrays (channels,); DataError where they do not fit."""
    try:
        mean, std = (np.atleast_1d(np.asarray(part, np.float32)) for part in stats)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{function}: stats must be a pair (means, standard deviations), one number a channel, "
            f"got {stats!r}"
        ) from error
    if mean.shape != (channels,) or std.shape != (channels,):
        raise DataError(
            f"{function}: pictures have {channels} channels, but stats has means of shape "
            f"{mean.shape} and standard deviations of shape {std.shape}; each needs ({channels},)"
        )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise DataError(
            f"{function}: cannot divide by the standard deviations {std.tolist()} (means "
            f"{mean.tolist()}); are all pixels of a channel the same? pass stats=(means, stds)"
        )
    return Stats(mean, std)
