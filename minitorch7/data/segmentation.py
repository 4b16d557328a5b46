"""Pictures whose labels are masks: a class number for every pixel.

    SegmentationItemList.from_folder(path / "images")
        .split_by_files(valid_names)
        .label_from_func(lambda picture: path / "labels" / f"{picture.stem}.png", classes=codes)
        .transform(get_transforms(), size=(90, 120), tfm_y=True)
        .databunch(bs=8)
        .normalize(imagenet_stats)

A mask is a picture that must never be averaged: halfway between a road (3) and a tree (5) there is
no pavement (4). So masks are resized and moved by taking whole pixels, and nothing changes their
values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .decode import height_width, resize, unreadable
from .errors import DataError
from .items import ImageList
from .pixel_labels import PixelLabels
from .pixels import ArrayPixels, FilePixels
from .sizes import Size

MOST_CLASSES = 256  # that a mask's bytes can tell apart


class MaskArrays(ArrayPixels):
    """Masks that are one uint8 array already, (N, H, W)."""

    nearest = True


class MaskFiles(FilePixels):
    """Masks in image files, one grey byte a pixel; each checked when it is decoded.

    `n_classes` is one more than the largest value allowed, and ``size_of(row)`` is the (H, W) that
    mask `row` must have before it is resized: its picture's.
    """

    def __init__(
        self,
        files: Sequence[Path],
        n_classes: int,
        size_of: Callable[[int], tuple[int, int]],
        size: Size | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(files, "L", size, **kwargs)
        self.n_classes, self.size_of = n_classes, size_of
        self._checked = np.zeros(len(self.files), bool)  # once is enough, kept or not

    def resized(self, size: Size) -> MaskFiles:
        """The same masks, resized to `size` after they are checked."""
        return MaskFiles(
            self.files,
            self.n_classes,
            self.size_of,
            size,
            cache_bytes=self.cache_bytes,
            workers=self.workers,
        )

    def _decode(self, row: int) -> np.ndarray:
        from PIL import Image

        file = self.files[row]
        try:
            with Image.open(file) as image:
                mode, values = image.mode, np.asarray(image)
        except Exception as error:
            raise unreadable("SegmentationItemList", f"mask {file}", error) from error
        if values.ndim != 2 or mode not in (
            "L",
            "P",
            "1",
        ):  # P: of a palette
            raise DataError(
                f"SegmentationItemList: mask {file} is a picture of mode {mode}, but a mask has one"
                " byte a pixel, the class number (modes L and P); save it as a grey PNG of class "
                "numbers (a table from its colours to numbers makes one of colours)"
            )
        if not self._checked[row]:
            check_mask(file, values, self.n_classes, self.size_of(row))
            self._checked[row] = True
        return resize(Image.fromarray(values.astype(np.uint8)), self.size, nearest=True)[None]


def check_mask(name: object, values: np.ndarray, n_classes: int, size: tuple[int, int]) -> None:
    """DataError where a mask (H, W) is not of its picture's `size`, or names a class too many."""
    if values.shape != tuple(size):
        (h, w), (ph, pw) = values.shape, size
        raise DataError(
            f"SegmentationItemList: mask {name} is {h} high and {w} wide, but its picture is {ph} "
            f"high and {pw} wide; each pixel needs its class: is it another picture's mask?"
        )
    if values.size and (values.max() >= n_classes or values.min() < 0):
        row, column = np.argwhere((values >= n_classes) | (values < 0))[0].tolist()
        raise DataError(
            f"SegmentationItemList: mask {name} has the value {values[row, column]} at row {row}, "
            f"column {column}, but the {n_classes} classes are 0 to {n_classes - 1}; name all "
            "classes with classes=, or make the mask anew (JPEG changes values: use PNG)"
        )


class SegmentationLabelList(PixelLabels):
    """Labels that are masks; ``labels[i]`` is mask i, uint8 (1, H, W). `classes` by number."""

    kind = "mask"

    def __init__(
        self, pixels: MaskArrays | MaskFiles, rows: np.ndarray, classes: list[Any]
    ) -> None:
        self.pixels, self.rows, self.classes = pixels, rows, classes

    @classmethod
    def make(
        cls,
        function: str,
        values: list[Any],
        items: Sequence[Path],
        classes: Sequence[Any] | None,
        pictures: Sequence[ImageList],
    ) -> SegmentationLabelList:
        """Masks from their paths, or from arrays (H, W) of whole numbers: one a picture.

        `items` are all pictures, those of the lists `pictures` one after the other. Arrays are
        checked here, files when they are decoded; that they are there is checked at once.
        """
        names = _checked_classes(function, classes)
        size_of = _sizes(pictures)
        rows = np.arange(len(values))
        if all(isinstance(value, str | Path) for value in values):
            files = [Path(value) for value in values]
            _check_there(function, files, items)
            room = getattr(pictures[0].pixels, "cache_bytes", None)
            bound = {} if room is None else {"cache_bytes": room}
            return cls(MaskFiles(files, len(names), size_of, **bound), rows, names)
        return cls(MaskArrays(_stacked(function, values, items, len(names), size_of)), rows, names)

    @property
    def c(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def loss_func(self) -> Any:
        """Cross entropy over axis 1, averaged over all pixels."""
        from ..nn.flat_losses import CrossEntropyFlat

        return CrossEntropyFlat(axis=1)

    def take(self, indices: np.ndarray) -> SegmentationLabelList:
        """The masks at `indices`, in that order; they share these pixels."""
        return type(self)(self.pixels, self.rows[indices], self.classes)

    def with_pixels(self, pixels: MaskArrays | MaskFiles) -> SegmentationLabelList:
        """The same labels with their masks from `pixels`."""
        return type(self)(pixels, self.rows, self.classes)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.c} classes\n{', '.join(map(str, self.classes))}"


class SegmentationItemList(ImageList):
    """Pictures to be labelled with masks; see the head of this file for the chain."""

    label_class = SegmentationLabelList


def _checked_classes(function: str, classes: Sequence[Any] | None) -> list[Any]:
    names = [] if classes is None else list(classes)
    if not 1 <= len(names) <= MOST_CLASSES or len(set(map(str, names))) < len(names):
        met = "none" if classes is None else f"{len(names)}, {len(set(map(str, names)))} different"
        raise DataError(
            f"{function}: a mask's numbers need the names of their classes, name 0 first: pass "
            f"classes= with 1 to {MOST_CLASSES} different names (got {met})"
        )
    return names


def _check_there(function: str, files: list[Path], items: Sequence[Path]) -> None:
    gone = [i for i, file in enumerate(files) if not file.is_file()]
    if gone:
        more = f" ({len(gone):,} of {len(files):,} masks are not there)" if len(gone) > 1 else ""
        raise DataError(
            f"{function}: there is no mask {files[gone[0]]} for the picture {items[gone[0]]}{more};"
            " the function must give the path of each picture's mask"
        )


def _sizes(pictures: Sequence[ImageList]) -> Callable[[int], tuple[int, int]]:
    """The function from an item's number to its picture's (H, W) before any resizing."""
    # files, not their pixels, which would be kept in memory with them
    sources = [part.pixels.source(row) for part in pictures for row in part.rows.tolist()]

    def size_of(i: int) -> tuple[int, int]:
        return height_width(sources[i]) if isinstance(sources[i], Path) else sources[i]

    return size_of


def _stacked(
    function: str,
    values: list[Any],
    items: Sequence[Path],
    n_classes: int,
    size_of: Callable[[int], tuple[int, int]],
) -> np.ndarray:
    """Masks given as arrays: checked, and as one uint8 array (N, H, W)."""
    for value, item in zip(values, items, strict=True):
        whole = isinstance(value, np.ndarray) and value.dtype.kind in "iub"
        if not whole or value.ndim != 2:
            array = isinstance(value, np.ndarray)
            met = f"{value.dtype} of shape {value.shape}" if array else f"{value!r:.60}"
            raise DataError(
                f"{function}: the mask of {item} must be the path of its file or an array (H, W) of"
                f" whole numbers, and all of one kind, got {met}"
            )
    for i, (value, item) in enumerate(zip(values, items, strict=True)):
        check_mask(f"of {item}", value, n_classes, size_of(i))
    if len({value.shape for value in values}) > 1:
        raise DataError(f"{function}: masks given as arrays must be of one size; write them as PNG")
    return np.stack(values).astype(np.uint8)
