"""What size pictures are made: squeezed to it, or made to cover it and cropped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from .errors import DataError


class ResizeMethod(Enum):
    """How a picture of another shape gets its size."""

    CROP = "crop"  # keep its proportions, cover the size, cut off what is too much
    SQUISH = "squish"  # squeeze or stretch each axis by itself


@dataclass(frozen=True)
class Size:
    """Pictures `height` x `width` pixels, made by `method`."""

    height: int
    width: int
    method: ResizeMethod = ResizeMethod.SQUISH

    @property
    def crops(self) -> bool:
        """Whether there is a place to choose: one for each picture."""
        return self.method is ResizeMethod.CROP

    def before_crop(self, h: int, w: int) -> tuple[int, int]:
        """What a picture of `h` x `w` is resized to.

        To be cropped it must just cover the size: both sides are divided by the ratio
        min(h / height, w / width), so that one fits and the other is as long or longer.
        """
        if not self.crops:
            return self.height, self.width
        ratio = min(h / self.height, w / self.width)
        return max(self.height, round(h / ratio)), max(self.width, round(w / ratio))

    def cut(self, picture: np.ndarray, down: float = 0.5, across: float = 0.5) -> np.ndarray:
        """A view (..., height, width) of a picture (..., H, W) at fractions of the ways there are.

        row = int((H - height + 1) · down) and column likewise: with `down` and `across` ~ U(0, 1)
        each place is as likely as any other; 0.5 is the middle.
        """
        top = int((picture.shape[-2] - self.height + 1) * down)
        left = int((picture.shape[-1] - self.width + 1) * across)
        return picture[..., top : top + self.height, left : left + self.width]


def checked_size(size: Any, method: Any = None, function: str = "transform") -> Size:
    """`size` as a `Size`: a pair (height, width) is squished, a number is a square that is cropped.

    `method` says otherwise: a ResizeMethod, or its name.
    """
    square = isinstance(size, int | np.integer) and not isinstance(size, bool)
    pair = (size, size) if square else tuple(size) if isinstance(size, tuple | list) else ()
    if len(pair) != 2 or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in pair
    ):
        raise DataError(
            f"{function}: size must be a pair (height, width) or one number for a square, positive "
            f"whole numbers, got {size!r}"
        )
    if method is None:
        method = ResizeMethod.CROP if square else ResizeMethod.SQUISH
    try:
        method = ResizeMethod(method.lower() if isinstance(method, str) else method)
    except ValueError as error:
        raise DataError(
            f"{function}: resize_method must be ResizeMethod.CROP or ResizeMethod.SQUISH, got "
            f"{method!r}"
        ) from error
    return Size(int(pair[0]), int(pair[1]), method)
