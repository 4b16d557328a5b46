"""Varying pictures: a transform first draws its chances for a batch, then acts on all of it.

    params = transform.draw(rng, n, shape)          one draw for each of the n pictures
    batch = transform.apply(batch, params)          (n, C, H, W) → (n, C, H', W')
    masks = transform.apply_mask(masks, params)     (n, 1, H, W) → (n, 1, H', W')

Drawing apart from acting lets one set of draws move a picture and its mask alike, lets whole
batches be varied by a few array operations, and lets neighbours act together: the draws of a turn
and of a zoom make one draw of both, so the picture is sampled once (`Transform.family`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from .errors import DataError, check_count

# fastai's words for what lies beyond the edge, and NumPy's
PAD_MODES = {"zeros": "constant", "reflection": "reflect", "border": "edge"}


class Transform:
    """One way to vary a batch, uint8 in 0..255 or float32 in [0, 1]; low `order` goes first.

    Neighbours of one `family` act together: their draws are put into one by `compose`, and the
    first of them applies it. All of a family keep the picture's shape. None: acts alone.
    """

    order = 0
    family: Hashable | None = None

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Any:
        """The chances for n pictures of `shape` (C, H, W); None where there are none."""
        return None

    def apply(self, batch: np.ndarray, params: Any) -> np.ndarray:
        """The batch (n, C, H, W) varied as drawn; its dtype stays."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def apply_mask(self, masks: np.ndarray, params: Any) -> np.ndarray:
        """Class maps uint8 (n, 1, H, W) moved as drawn; a pixel's class is copied, never mixed."""
        raise DataError(
            f"{self!r} does not say what it does to masks; give {type(self).__name__} a method "
            "apply_mask(masks, params), which returns them as they are if no pixel moves"
        )

    @staticmethod
    def compose(first: Any, second: Any) -> Any:
        """One draw that does what `first` and then `second` would, both of this family."""
        raise NotImplementedError("a Transform with a family needs compose")


class Sometimes(Transform):
    """A transform that is done to each picture with probability `p`, on its own.

    Numbers are drawn for every picture, whether it is varied or not, so that how many are drawn
    depends on the number of pictures alone.
    """

    unchanged: np.ndarray  # the draw that leaves a picture as it is

    def __init__(self, p: float = 1.0) -> None:
        self.p = check_number(type(self).__name__, "p", p, 0, 1)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Draws (n, ...) as if p were 1."""
        raise NotImplementedError(f"{type(self).__name__}.draw_all")

    def draw(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Draws (n, ...), `unchanged` for about a share 1 - p of the pictures."""
        left_alone = rng.random(n) >= self.p
        params = self.draw_all(rng, n, shape)
        params[left_alone] = self.unchanged
        return params


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

    def apply_mask(self, masks: np.ndarray, params: Any) -> np.ndarray:
        """As `apply`: with mode 'zeros' the new pixels are of class 0."""
        return self.apply(masks, params)

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

    def apply_mask(self, masks: np.ndarray, params: np.ndarray) -> np.ndarray:
        """The same windows of the masks."""
        return self.apply(masks, params)

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
    for run in _runs(tfms):
        params = _draw(run, rng, batch)
        batch = _checked(run[0].apply(batch, params), run)
    return batch


def vary_both(
    x: np.ndarray, y: np.ndarray, tfms: Sequence[Transform], rng: np.random.Generator, mask: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(pictures, targets) after all transforms, the same draws for a picture and its target.

    With `mask`, y holds class maps uint8 (n, 1, H, W): they move with the pictures, and no value
    changes. Without, y holds pictures of the same height and width, and everything is done to them
    too. The draws are those of `vary`, so x becomes what `vary` alone would make of it.
    """
    _check_targets(x, y, mask)
    for run in _runs(tfms):
        params = _draw(run, rng, x)
        x = _checked(run[0].apply(x, params), run)
        y = run[0].apply_mask(y, params) if mask else _checked(run[0].apply(y, params), run)
    return x, y


def _runs(tfms: Sequence[Transform]) -> list[list[Transform]]:
    """Neighbours of one family together, every other transform alone."""
    runs: list[list[Transform]] = []
    for transform in tfms:
        if runs and transform.family is not None and transform.family == runs[-1][0].family:
            runs[-1].append(transform)
        else:
            runs.append([transform])
    return runs


def _draw(run: list[Transform], rng: np.random.Generator, batch: np.ndarray) -> Any:
    """One draw for the whole run; each of its transforms draws in turn."""
    return reduce(run[0].compose, [t.draw(rng, len(batch), batch.shape[1:]) for t in run])


def _checked(batch: np.ndarray, run: list[Transform]) -> np.ndarray:
    if batch.dtype not in (np.uint8, np.float32) or batch.ndim != 4:
        raise DataError(
            f"transform {', '.join(map(repr, run))} made a batch of {batch.dtype} and shape "
            f"{batch.shape}; transforms give uint8 in 0..255 or float32 in [0, 1] of shape "
            "(n, C, H, W)"
        )
    return batch


def _check_targets(x: np.ndarray, y: np.ndarray, mask: bool) -> None:
    if y.ndim != 4 or len(y) != len(x) or y.shape[2:] != x.shape[2:]:
        raise DataError(
            f"vary_both: pictures of shape {x.shape} and targets of shape {y.shape} cannot be moved"
            " alike; targets must be (n, C, H, W) with the pictures' n, H and W"
        )
    if mask and (y.dtype != np.uint8 or y.shape[1] != 1):
        raise DataError(
            f"vary_both: masks must be class numbers, uint8 (n, 1, H, W), got {y.dtype} {y.shape}; "
            "give mask=False if the targets are pictures"
        )


def check_number(
    function: str, name: str, value: Any, least: float = -np.inf, most: float = np.inf
) -> float:
    """`value` as a float, or a DataError that says what it must be."""
    number = isinstance(value, int | float | np.integer | np.floating) and np.isfinite(value)
    if not number or not least <= value <= most:
        bounds = "" if least == -np.inf and most == np.inf else f" from {least:.4g} to {most:.4g}"
        raise DataError(f"{function}: {name} must be a finite number{bounds}, got {value!r}")
    return float(value)


def check_range(
    function: str, name: str, value: Any, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float]:
    """(low, high) from such a pair, or from one number that is both."""
    if not isinstance(value, tuple | list):
        value = value, value
    if len(value) != 2:
        raise DataError(
            f"{function}: {name} must be one number or a pair (low, high) to draw from, got "
            f"{value!r}"
        )
    low, high = (check_number(function, name, v, least, most) for v in value)
    if low > high:
        raise DataError(
            f"{function}: {name} must be a pair (low, high), the lower number first, got {value!r}"
        )
    return low, high


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
