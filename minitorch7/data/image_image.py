"""Pictures whose labels are pictures: what went wrong, and what it should have been.

    ImageImageList.from_folder(damaged)
        .split_by_rand_pct(0.1, seed=42)
        .label_from_func(lambda picture: originals / picture.name)
        .transform(get_transforms(), size=128, tfm_y=True)
        .databunch(bs=32)
        .normalize(imagenet_stats, do_y=True)

The two may be of different sizes: a damaged picture is often the smaller one. Both are made the
size asked for as they are decoded, so the network's input has as many pixels as its answer.

A picture 127 pixels wide and its original of 339 do not have quite the same proportions. Each
made to cover 128 pixels by itself, the one would be 169 wide, the other 170, and nothing in the
middle would meet. So the damaged picture is given the size that its original gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .decode import decode, height_width
from .errors import DataError, listed
from .items import ImageList
from .pixel_labels import PixelLabels
from .pixels import ArrayPixels, FilePixels
from .sizes import ResizeMethod, Size


class ImageLabelList(PixelLabels):
    """Labels that are pictures; ``labels[i]`` is picture i, uint8 (C, H, W)."""

    kind = "picture"
    classes: list[Any] = []

    def __init__(
        self, pixels: ArrayPixels | FilePixels, rows: np.ndarray, items: Sequence[Path]
    ) -> None:
        self.pixels, self.rows, self.items = pixels, np.asarray(rows), list(items)

    @classmethod
    def make(
        cls,
        function: str,
        values: list[Any],
        items: Sequence[Path],
        classes: Sequence[Any] | None,
        pictures: Sequence[ImageList],
    ) -> ImageLabelList:
        """The pictures at the paths `values`, one for each of the `items`, all there."""
        if classes is not None:
            raise DataError(f"{function}: labels that are pictures have no classes; leave them out")
        odd = [(v, i) for v, i in zip(values, items, strict=True) if not isinstance(v, str | Path)]
        if odd:
            raise DataError(
                f"{function}: the label of {odd[0][1]} must be the path of a picture, got "
                f"{odd[0][0]!r:.60}; give label_from_func a function from a picture's path to its "
                "target's"
            )
        files = [Path(value) for value in values]
        gone = [(file, item) for file, item in zip(files, items, strict=True) if not file.is_file()]
        if gone:
            raise DataError(
                f"{function}: {len(gone):,} of {len(files):,} targets are not there: "
                f"{listed((str(file) for file, _ in gone), 3)}; the first is to be that of "
                f"{gone[0][1]}"
            )
        source = pictures[0].pixels
        room = getattr(source, "cache_bytes", None)
        bound = {} if room is None else {"cache_bytes": room}
        return cls(FilePixels(files, source.mode, **bound), np.arange(len(files)), files)

    @property
    def c(self) -> int:
        """The channels of a target: what a model has to answer for each pixel."""
        return self.pixels.shape(int(self.rows[0]))[0]

    def loss_func(self) -> Any:
        """The squared error, averaged over all pixels and channels."""
        from ..nn.flat_losses import MSELossFlat

        return MSELossFlat()

    def take(self, indices: np.ndarray) -> ImageLabelList:
        """The pictures at `indices`, in that order; they share these pixels."""
        items = [self.items[i] for i in np.asarray(indices).tolist()]
        return type(self)(self.pixels, self.rows[indices], items)

    def with_pixels(self, pixels: ArrayPixels | FilePixels) -> ImageLabelList:
        """The same labels with their pictures from `pixels`."""
        return type(self)(pixels, self.rows, self.items)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self)} pictures"


class ImageImageList(ImageList):
    """Pictures to be labelled with pictures; see the head of this file for the chain."""

    label_class = ImageLabelList


class PairedPixels(FilePixels):
    """Picture files that are resized as their targets are: see the head of this file.

    targets  the file of the target of each row; rows without one are resized by themselves
    """

    def __init__(
        self, files: Sequence[Path], targets: dict[int, Path], mode: str, size: Size, **kwargs: Any
    ) -> None:
        super().__init__(files, mode, size, **kwargs)
        self.targets = targets

    def _decode(self, row: int) -> np.ndarray:
        if row not in self.targets or not self.size.crops:
            return super()._decode(row)
        whole = Size(*self.size.before_crop(*height_width(self.targets[row])), ResizeMethod.SQUISH)
        return decode(self.files[row], self.mode, whole)

    def resized(self, size: Size) -> PairedPixels:
        """The same pictures for another size."""
        room = {"cache_bytes": self.cache_bytes, "workers": self.workers}
        return PairedPixels(self.files, self.targets, self.mode, size, **room)


def paired(parts: Sequence[Any], size: Size) -> Any:
    """The inputs' pixels for `size`: `parts` are sets that share them, with pictures as targets."""
    pixels = parts[0].x.pixels
    sources = {
        row: part.y.pixels.source(target)
        for part in parts
        for row, target in zip(part.x.rows.tolist(), part.y.rows.tolist(), strict=True)
    }
    if not isinstance(pixels, FilePixels):
        return pixels.resized(size)
    targets = {row: source for row, source in sources.items() if isinstance(source, Path)}
    room = {"cache_bytes": pixels.cache_bytes, "workers": pixels.workers}
    return PairedPixels(pixels.files, targets, pixels.mode, size, **room)
