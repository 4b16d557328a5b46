"""Noise to make pictures of: the data of a generator that starts from nothing.

    GANItemList.from_folder(photos, noise_sz=100)
        .split_none()
        .label_from_func(noop)
        .transform(size=64)
        .databunch(bs=128)
        .normalize(([0.5] * 3, [0.5] * 3), do_x=False, do_y=True)

An item is a picture, and the picture is the *label*: what is wanted is something like it. The
input is noise, drawn anew each time from N(0, 1). The scale brings the pictures to [-1, 1], where
the generator's tanh ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, check_count
from .image_image import ImageLabelList
from .items import ImageList
from .labels import LabelList
from .transforms import vary

NOISE_SZ = 100


def noop(x: Any = None) -> Any:
    """What it was given: the label of a picture that is its own label."""
    return x


class NoisyItem:
    """The kind of input: `noise_sz` numbers from N(0, 1), as a picture of one pixel."""

    def __init__(self, noise_sz: int = NOISE_SZ) -> None:
        self.noise_sz = check_count("NoisyItem", "noise_sz", noise_sz, least=1)

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n of them, drawn from `rng`: float32 (n, noise_sz, 1, 1)."""
        return rng.standard_normal((n, self.noise_sz, 1, 1), np.float32)


class OwnPictures(ImageLabelList):
    """Labels that are the listed pictures themselves."""

    @classmethod
    def make(
        cls,
        function: str,
        values: list[Any],
        items: Sequence[Path],
        classes: Sequence[Any] | None,
        pictures: Sequence[ImageList],
    ) -> ImageLabelList:
        """The items' own pixels; `values` must be the items."""
        if list(values) != list(items):
            raise DataError(
                f"{function}: noise is labelled with the listed pictures themselves; use "
                "label_from_func(noop)"
            )
        rows = np.concatenate([part.rows for part in pictures])
        return cls(pictures[0].pixels, rows, items)


class NoiseSet(LabelList):
    """A set whose inputs are noise and whose labels are pictures, which the transforms vary.

    At the lesson's time the library forgot to draw the places of its "random" crops here, and cut
    out the middle. They are drawn.
    """

    def gather(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        """(noise (n, noise_sz, 1, 1), pictures (n, C, H, W)), all drawn from `rng`."""
        size = self.x.pixels.size
        draws = self.random_crop and size is not None and size.crops
        places = rng.random((2, len(indices))) if draws else None
        pictures = vary(self.y.gather(indices, places), self.tfms, rng)
        return self.x.noise.draw(rng, len(indices)), pictures


class GANItemList(ImageList):
    """Pictures to be made from noise: ``il[i]`` is a picture, a batch's input is noise."""

    label_class = OwnPictures
    set_class = NoiseSet
    noise = NoisyItem()

    @classmethod
    def from_folder(
        cls, path: str | Path = ".", noise_sz: int = NOISE_SZ, **kwargs: Any
    ) -> GANItemList:
        """The image files below `path`; the other arguments are those of `ImageList`."""
        return cls.from_pictures(ImageList.from_folder(path, **kwargs), noise_sz)

    @classmethod
    def from_pictures(cls, pictures: ImageList, noise_sz: int = NOISE_SZ) -> GANItemList:
        """The pictures of any list, such as MNIST's."""
        if not isinstance(pictures, ImageList):
            raise TypeError(
                f"GANItemList.from_pictures: pictures must be an ImageList, got {pictures!r:.60}; "
                "of a folder's use from_folder"
            )
        made = cls(pictures.items, pictures.pixels, pictures.path, pictures.rows)
        made.noise = NoisyItem(noise_sz)
        return made

    def take(self, indices: Sequence[int] | np.ndarray) -> GANItemList:
        """The items at `indices`, with noise of the same size."""
        return self._with_my_noise(super().take(indices))

    def with_pixels(self, pixels: Any) -> GANItemList:
        """The same items with their pictures from `pixels`."""
        return self._with_my_noise(super().with_pixels(pixels))

    def _with_my_noise(self, other: Any) -> GANItemList:
        other.noise = self.noise
        return other

    def shape(self) -> tuple[int, ...]:
        """Of an input: (noise_sz, 1, 1)."""
        return self.noise.noise_sz, 1, 1
