"""The first link of the chain: a list of pictures, known by their paths.

    ImageList.from_folder(path, convert_mode="L")     what there is
        .split_by_folder("training", "testing")       what to learn from, what to be judged by
        .label_from_folder()                          what each one is
        .transform(tfms)                              how to vary it
        .databunch(bs=128)                            how to serve it
        .normalize()                                  on what scale

The words are fastai v1's data block, each link a short class in the next file: `splits`, `labels`,
`bunch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .categories import CategoryList
from .errors import DataError, check_places
from .folders import find_images
from .idx import read_mnist_idx
from .labels import LabelList
from .normalize import as_floats
from .pixels import GIB, ArrayPixels, FilePixels
from .splits import ItemLists, by_chance, by_files, by_folder, by_index, read_names


class ImageList:
    """Pictures known by their paths; ``il[i]`` is picture i, float32 (C, H, W) in [0, 1].

    `items` are the paths, below `path`. `pixels` holds or decodes the pictures, and `rows` says
    which of its rows are this list's: a part of a list shares the whole list's pixels.
    """

    label_class: Any = CategoryList  # what a list's labels become; masks and pictures: a subclass's
    set_class: Any = LabelList  # what list and labels become together

    def __init__(
        self,
        items: Sequence[Path],
        pixels: ArrayPixels | FilePixels,
        path: str | Path = ".",
        rows: np.ndarray | None = None,
    ) -> None:
        self.items, self.pixels, self.path = list(items), pixels, Path(path)
        self.rows = np.arange(len(pixels)) if rows is None else np.asarray(rows)
        if len(self.rows) != len(self.items):
            raise DataError(
                f"ImageList: {len(self.items):,} items for {len(self.rows):,} pictures; "
                "each picture needs one path"
            )

    # ------------------------------------------------------------------------- where lists begin

    @classmethod
    def from_folder(
        cls,
        path: str | Path = ".",
        extensions: set[str] | None = None,
        recurse: bool = True,
        presort: bool = True,
        convert_mode: str = "RGB",
        cache_bytes: int = GIB,
    ) -> ImageList:
        """The image files below `path`, decoded when first needed.

        `convert_mode` is Pillow's: 'L' reads grey pictures as one channel, 'RGB' as three. Decoded
        pictures are kept while they fit in `cache_bytes`. See `find_images` for the order
        and the errors.
        """
        files = find_images(path, extensions, recurse, presort)
        return cls.from_files(files, path, convert_mode, cache_bytes)

    @classmethod
    def from_files(
        cls,
        files: Sequence[str | Path],
        path: str | Path = ".",
        convert_mode: str = "RGB",
        cache_bytes: int = GIB,
    ) -> ImageList:
        """A list of these image files, in this order."""
        items = [Path(file) for file in files]
        return cls(items, FilePixels(items, convert_mode, cache_bytes=cache_bytes), path)

    @classmethod
    def from_idx(cls, folder: str | Path) -> ImageList:
        """MNIST from the four IDX files in `folder`, under the paths of its PNG folder.

        Image 15 of the training file is a 7, so its item is ``training/7/00015.png``; the items are
        in the order that `from_folder` gives such a folder, and so are the batches made of them.
        """
        return cls.from_arrays(read_mnist_idx(folder), folder)

    @classmethod
    def from_arrays(
        cls, parts: Mapping[str, tuple[np.ndarray, np.ndarray]], path: str | Path = "."
    ) -> ImageList:
        """A list from arrays: ``{"training": (images, labels), "testing": (images, labels)}``.

        images (n, H, W) or (n, C, H, W) uint8, labels (n,) whole numbers; the item of image i is
        ``part/label/i.png``. All parts have pictures of one shape.
        """
        names = sorted(parts)
        images = [ArrayPixels(parts[name][0]).array for name in names]
        labels = [np.asarray(parts[name][1]) for name in names]
        for name, pictures, given in zip(names, images, labels, strict=True):
            if given.shape != (len(pictures),):
                raise DataError(
                    f"ImageList.from_arrays: part {name!r} has {len(pictures):,} images but labels "
                    f"of shape {given.shape}; each image needs one label"
                )
        if len({pictures.shape[1:] for pictures in images}) != 1:
            shapes = {name: parts[name][0].shape for name in names}
            raise DataError(
                f"ImageList.from_arrays: the parts need pictures of one shape, got {shapes}"
            )
        part = np.repeat(np.arange(len(names)), [len(given) for given in labels])
        label = np.concatenate(labels)
        number = np.concatenate([np.arange(len(given)) for given in labels])
        order = np.lexsort((number, label, part))  # by part, then label, then number: as on disk
        items = [
            Path(f"{names[p]}/{k}/{i:05d}.png")
            for p, k, i in zip(
                part[order].tolist(), label[order].tolist(), number[order].tolist(), strict=True
            )
        ]
        return cls(items, ArrayPixels(np.concatenate(images)), path, order)

    # ------------------------------------------------------------------------ what a list can say

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        """Picture `index` as float32 (C, H, W) in [0, 1]; for a slice or an array, a list."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"{type(self).__name__}: item {index} of {len(self):,}")
            row = np.array([index % len(self)])
            return np.ascontiguousarray(as_floats(self.gather(row))[0])
        return self.take(np.arange(len(self))[index])

    def take(self, indices: Sequence[int] | np.ndarray) -> ImageList:
        """The items at `indices`, in that order, as a list that shares these pixels."""
        indices = check_places(type(self).__name__, indices, len(self))
        items = [self.items[i] for i in indices.tolist()]
        return type(self)(items, self.pixels, self.path, self.rows[indices])

    def gather(self, indices: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """The pictures at `indices` (n,) as uint8 (n, C, H, W), cropped at `places` if they are."""
        return self.pixels.gather(self.rows[indices], places)

    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of the first picture, which the others share."""
        if not self.items:
            raise DataError(f"{type(self).__name__}: an empty list has no pictures, so no shape")
        return self.pixels.shape(int(self.rows[0]))

    def name(self, index: int) -> Path:
        """The path of item `index` below the list's `path`."""
        item = self.items[index]
        return item.relative_to(self.path) if item.is_relative_to(self.path) else item

    def __repr__(self) -> str:
        shown = ", ".join(str(self.name(i)) for i in range(min(3, len(self))))
        more = ", ..." if len(self) > 3 else ""
        kind = f"Image {self.shape()}: " if self.items else ""
        return f"{type(self).__name__} ({len(self)} items)\n{kind}{shown}{more}\nPath: {self.path}"

    # ----------------------------------------------------------------- other lists of the same kind

    def load(self) -> ImageList:
        """Decode all image files now, under a progress bar, not as training asks for them."""
        self.pixels.load()
        return self

    def with_pixels(self, pixels: ArrayPixels | FilePixels) -> ImageList:
        """The same items with their pictures from `pixels`, such as ``il.pixels.resized(size)``."""
        return type(self)(self.items, pixels, self.path, self.rows)

    def use_partial_data(self, sample_pct: float = 0.01, seed: int | None = None) -> ImageList:
        """A random part of the list, ``int(sample_pct * len(self))`` items, for a quick trial."""
        chosen, _ = by_chance("use_partial_data", len(self), sample_pct, seed)
        return self.take(chosen)

    # ------------------------------------------------------------------------------ the next link

    def split_by_folder(self, train: str = "train", valid: str = "valid") -> ItemLists:
        """Train on the items in folder `train`, validate on those in `valid`; leave out others."""
        names = [self.name(i) for i in range(len(self))]
        return self._split(*by_folder(names, self.path, train, valid))

    def split_by_rand_pct(self, valid_pct: float = 0.2, seed: int | None = None) -> ItemLists:
        """Validate on a random part; the same part as fastai's for the same seed and order."""
        valid, train = by_chance("split_by_rand_pct", len(self), valid_pct, seed)
        return self._split(train, valid)

    def split_by_idx(self, valid_idx: Sequence[int]) -> ItemLists:
        """Validate on the items at `valid_idx`, train on all others."""
        return self._split(*by_index(len(self), valid_idx))

    def split_by_files(self, valid_names: Sequence[str | Path]) -> ItemLists:
        """Validate on the items with these file names (with or without folders and suffix)."""
        names = [self.name(i) for i in range(len(self))]
        return self._split(*by_files(names, self.items, valid_names))

    def split_by_fname_file(self, fname: str | Path, path: str | Path | None = None) -> ItemLists:
        """Validate on the items that the text file ``path/fname`` names, one a line."""
        return self.split_by_files(read_names(Path(path or self.path) / fname))

    def split_none(self) -> ItemLists:
        """Train on everything; the validation set is empty."""
        return self._split(np.arange(len(self)), np.arange(0))

    def _split(self, train: np.ndarray, valid: np.ndarray) -> ItemLists:
        return ItemLists(self.path, self.take(train), self.take(valid))
