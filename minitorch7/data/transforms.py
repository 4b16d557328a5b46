"""Varying pictures: a transform first draws its chances for a batch, then acts on all of it.

    params = transform.draw(rng, n, shape)      one draw for each of the n pictures
    batch = transform.apply(batch, params)      (n, C, H, W) → (n, C, H', W')

Drawing apart from acting lets one set of draws move a picture and its mask alike, and lets whole
batches be varied by a few array operations instead of a loop over pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import DataError, check_count

# fastai's words for what lies beyond the edge, and NumPy's
PAD_MODES = {"zeros": "constant", "reflection": "reflect", "border": "edge"}


class Transform:
    """One way to vary a batch, uint8 in 0..255 or float32 in [0, 1]; low `order` goes first."""

    order = 0

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Any:
        """The chances for n pictures of `shape` (C, H, W); None where there are none."""
        return None

    def apply(self, batch: np.ndarray, params: Any) -> np.ndarray:
        """The batch (n, C, H, W) varied as drawn; its dtype stays."""
        raise NotImplementedError(f"{type(self).__name__}.apply")


class Pad(Transform):
    """Add `padding` rows and columns on all four sides."""

    order = -10

    def __init__(self, padding: int, mode: str = "reflection") -> None:
        self.padding = check_count("Pad", "padding", padding)
        if mode not in PAD_MODES:
            raise DataError(f"Pad: mode must be one of {', '.join(PAD_MODES)}, got {mode!r}")
        self.mode = mode

    def apply(self, batch: np.ndarray, params: Any) -> np.ndarray:
        n, c, h, w = batch.shape
        p = self.padding
        if self.mode == "reflection" and p >= min(h, w):
            raise DataError(
                f"Pad: cannot reflect {p} pixels of pictures {h} high and {w} wide; padding must be"
                " smaller than both, or mode 'border' or 'zeros'"
            )
        if self.mode == "zeros":  # as np.pad does, at a third of its overhead
            padded = np.zeros((n, c, h + 2 * p, w + 2 * p), batch.dtype)
            padded[:, :, p : p + h, p : p + w] = batch
            return padded
        return np.pad(batch, ((0, 0), (0, 0), (p, p), (p, p)), mode=PAD_MODES[self.mode])

    def __repr__(self) -> str:
        return f"Pad({self.padding}, mode={self.mode!r})"


class RandomCrop(Transform):
    """Cut out a square of `size` pixels at a random place.

    row = int((H - size + 1) · u), column = int((W - size + 1) · v), with u, v ~ U(0, 1): each place
    is as likely as any other.
    """

    order = 10

    def __init__(self, size: int) -> None:
        self.size = check_count("RandomCrop", "size", size, least=1)

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Top row and left column of each crop: (2, n)."""
        _, h, w = shape
        if self.size > min(h, w):
            raise DataError(
                f"RandomCrop: size {self.size} does not fit in pictures {h} high and {w} wide; "
                "pad them first, as rand_pad does, or crop less"
            )
        places = np.array([[h - self.size + 1], [w - self.size + 1]])
        return (places * rng.random((2, n))).astype(np.intp)

    def apply(self, batch: np.ndarray, params: np.ndarray) -> np.ndarray:
        rows, columns = params
        # every window is a view; picking one for each picture is the only copy
        windows = np.lib.stride_tricks.sliding_window_view(
            batch, (self.size, self.size), axis=(2, 3)
        )  # (n, C, rows, columns, size, size)
        return windows[np.arange(len(batch)), :, rows, columns]  # (n, C, size, size)

    def __repr__(self) -> str:
        return f"RandomCrop({self.size})"


def rand_pad(padding: int, size: int, mode: str = "reflection") -> list[Transform]:
    """Shift pictures at random: pad all sides, then crop `size` back out.

    The lesson's ``rand_pad(3, 28, mode="zeros")`` puts a 28 x 28 digit in one of 7 x 7 places. The
    modes are 'reflection', 'zeros' and 'border' (the edge repeated).
    """
    return [Pad(padding, mode), RandomCrop(size)]


def vary(batch: np.ndarray, tfms: Sequence[Transform], rng: np.random.Generator) -> np.ndarray:
    """The batch after all transforms, each with its own draws from `rng`."""
    for transform in tfms:
        params = transform.draw(rng, len(batch), batch.shape[1:])
        batch = transform.apply(batch, params)
        if batch.dtype not in (np.uint8, np.float32) or batch.ndim != 4:
            raise DataError(
                f"transform {transform!r} made a batch of {batch.dtype} and shape {batch.shape}; "
                "transforms give uint8 in 0..255 or float32 in [0, 1] of shape (n, C, H, W)"
            )
    return batch


def checked_transforms(tfms: Any) -> tuple[list[Transform], list[Transform]]:
    """(training, validation) lists of transforms, each sorted by `order`."""
    if tfms is None:
        return [], []
    if not isinstance(tfms, tuple | list) or len(tfms) != 2:
        raise DataError(
            "transform: tfms must be a pair (training transforms, validation transforms), as in "
            f"(rand_pad(3, 28), []), got {tfms!r}"
        )
    for side in tfms:
        for transform in side or []:
            if not isinstance(transform, Transform):
                raise DataError(
                    f"transform: {transform!r} is not a Transform; derive it from "
                    "minitorch7.data.Transform, with draw and apply"
                )
    train, valid = (sorted(side or [], key=lambda t: t.order) for side in tfms)
    return train, valid
