"""The third link: what each item is, and the labelled sets that a model learns from.

A set is a `LabelList`: pictures `x`, labels `y`, and the transforms that vary them. Classes live in
a `CategoryList` (`categories`), masks in a `SegmentationLabelList` (`segmentation`), pictures in an
`ImageLabelList` (`image_image`); all have `make`, `take`, `gather`, `loss_func` and indexing, and
say by `kind` what they are.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .bunch import DataBunch
from .errors import DataError, check_count
from .lighting import Lighting
from .normalize import as_floats
from .resample import check_mode
from .sizes import ResizeMethod, Size, checked_size
from .transforms import Transform, checked_transforms, vary, vary_both


class LabelList:
    """A set to learn from or be judged by: pictures `x`, labels `y` (None in a test set).

    ``ds[i]`` is (picture float32 (C, H, W) in [0, 1], label), varied by the transforms: look three
    times and see three versions. With `tfm_y` the same draws vary labels that are pictures. Where
    pictures are cropped to their size, `random_crop` draws the places, which else are the middle.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        tfms: Sequence[Transform] = (),
        tfm_y: bool = False,
        random_crop: bool = False,
    ) -> None:
        self.x, self.y, self.tfms = x, y, list(tfms)
        self.tfm_y, self.random_crop = tfm_y, random_crop
        self._looks = np.random.default_rng(0)  # of `ds[i]` alone; loaders bring their own stream

    def __len__(self) -> int:
        return len(self.x)

    @property
    def kind(self) -> str:
        """What the labels are: "none", "class", "mask" or "picture"."""
        return "none" if self.y is None else self.y.kind

    def gather(
        self, indices: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(pictures uint8 or float32 (n, C, H, W), labels or None), varied by draws from `rng`.

        Labels are int64: classes (n,), or masks (n, 1, H, W); or pictures as the inputs are.
        """
        size = self.x.pixels.size
        draws = self.random_crop and size is not None and size.crops
        places = rng.random((2, len(indices))) if draws else None
        x = self.x.gather(indices, places)
        if self.kind in ("none", "class"):
            return vary(x, self.tfms, rng), None if self.y is None else self.y.gather(indices)
        y = self.y.gather(indices, places)
        if self.tfm_y:
            x, y = vary_both(x, y, self.tfms, rng, mask=self.kind == "mask")
        else:
            x = vary(x, self.tfms, rng)
        if x.shape[2:] != y.shape[2:]:
            raise DataError(
                f"LabelList: the transforms {self.tfms} made pictures {x.shape[2:]} beside "
                f"{self.kind}s {y.shape[2:]} (height, width); use transform(..., tfm_y=True)"
            )
        return x, y.astype(np.int64) if self.kind == "mask" else y

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int | np.integer):  # a slice, an array: a smaller set
            return self.take(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"LabelList: item {index} of {len(self):,}")
        index = index % len(self)
        x, y = self.gather(np.array([index]), self._looks)
        if self.kind == "class":
            y = [self.y[index]]
        if self.kind == "picture":
            y = np.ascontiguousarray(as_floats(y))
        return np.ascontiguousarray(as_floats(x)[0]), None if y is None else y[0]

    def take(self, indices: np.ndarray) -> LabelList:
        """The items at `indices`, in that order, varied in the same way."""
        y = None if self.y is None else self.y.take(indices)
        return self.with_pictures(self.x.take(indices), y)

    def with_pictures(self, x: Any, y: Any) -> LabelList:
        """The same set with its pictures, and labels, from elsewhere."""
        return type(self)(x, y, self.tfms, self.tfm_y, self.random_crop)

    def __repr__(self) -> str:
        y = "no labels" if self.y is None else repr(self.y)
        tfms = f"\ntransforms: {self.tfms}" if self.tfms else ""
        x, path = repr(self.x).rsplit("\n", 1)
        return f"LabelList ({len(self)} items)\nx: {x}\ny: {y}{tfms}\n{path}"


class LabelLists:
    """The labelled sets: `train`, `valid`, and `test`, which is None until one is added."""

    def __init__(self, train: LabelList, valid: LabelList, test: LabelList | None = None) -> None:
        self.train, self.valid, self.test = train, valid, test
        self._valid_tfms: list[Transform] = []
        self.size: Size | None = None  # that pictures are resized to

    @property
    def path(self) -> Path:
        """The folder that the items are in."""
        return self.train.x.path

    @property
    def classes(self) -> list[Any]:
        """The names of the classes, by number."""
        return self.train.y.classes

    @property
    def c(self) -> int:
        """The number of classes; of labels that are pictures, their channels."""
        return self.train.y.c

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__};\n\nTrain: {self.train!r};\n\nValid: {self.valid!r};\n\n"
            f"Test: {self.test!r}"
        )

    def add_test(self, items: Any) -> LabelLists:
        """Add a test set without labels: an ImageList, or the paths of image files.

        It is a third set: it does not stand in for the validation set.
        """
        train = self.train.x
        if hasattr(train, "noise"):
            raise DataError(
                f"add_test: the inputs of a {type(train).__name__} are noise, so there is nothing "
                "to be told from test pictures; leave them out"
            )
        if not hasattr(items, "pixels"):
            items = type(train).from_files(list(items), self.path, train.pixels.mode)
        if not len(items):
            raise DataError("add_test: the list is empty; a test set needs at least one picture")
        if self.size is not None:
            items = items.with_pixels(items.pixels.resized(self.size))
        self.test = LabelList(items, None, self._valid_tfms)
        return self

    def add_test_folder(self, test_folder: str = "test") -> LabelLists:
        """Add the images in `test_folder`, below the items' folder, as the test set."""
        folder, mode = self.path / test_folder, self.train.x.pixels.mode
        return self.add_test(type(self.train.x).from_folder(folder, convert_mode=mode))

    def transform(
        self,
        tfms: tuple[Sequence[Transform], Sequence[Transform]] | None = None,
        size: int | tuple[int, int] | None = None,
        tfm_y: bool = False,
        resize_method: ResizeMethod | str | None = None,
        padding_mode: str | None = None,
    ) -> LabelLists:
        """Vary the training set by ``tfms[0]``, and the validation and test sets by ``tfms[1]``.

        Transforms run by their `order`, not their place in the list. With `tfm_y` the labels, which
        must be masks or pictures, are moved by the same draws.

        `size` comes first, and is the labels' too. A pair (height, width) is what pictures are
        resized to, whatever their shape (fastai's SQUISH). One number is a square (its CROP):
        pictures keep their proportions, are made to cover it, and are cropped to it, at a random
        place in training, else in the middle. `resize_method` chooses for either. fastai crops
        after the other transforms; here it comes before, so that they work on whole batches.

        `padding_mode` is what transforms that turn, zoom and warp find beyond the edge: another
        than their own, 'reflection', 'zeros' or 'border'.
        """
        train_tfms, valid_tfms = checked_transforms(tfms)
        if size is None and resize_method is not None:
            raise DataError("transform: resize_method says how to reach a size; pass size= as well")
        target = None if size is None else checked_size(size, resize_method)
        if padding_mode is not None:
            mode = check_mode("transform", padding_mode)
            train_tfms, valid_tfms = (
                [_padded(tfm, mode) for tfm in side] for side in (train_tfms, valid_tfms)
            )
        self._check_tfm_y(tfm_y, [*train_tfms, *valid_tfms])
        self.train.tfms, self.valid.tfms, self._valid_tfms = train_tfms, valid_tfms, valid_tfms
        self.train.tfm_y = self.valid.tfm_y = tfm_y
        if self.test is not None:
            self.test.tfms = valid_tfms
        if target is not None:
            self._resize(target)
        return self

    def _check_tfm_y(self, tfm_y: bool, tfms: Sequence[Transform]) -> None:
        kind = self.train.kind
        if tfm_y and kind == "class":
            raise DataError(
                "transform: tfm_y=True moves labels that are pictures, but these are classes; "
                "leave it out"
            )
        if tfms and not tfm_y and kind == "mask":
            raise DataError(
                f"transform: {tfms} would vary the pictures and leave their masks as they are; pass"
                " tfm_y=True to move both alike"
            )
        moving = [t for t in tfms if not isinstance(t, Lighting)]
        if moving and not tfm_y and kind == "picture" and type(self.train) is LabelList:
            raise DataError(
                f"transform: {moving} would move the pictures and leave their targets where they "
                "are; pass tfm_y=True to move both alike"
            )

    def _resize(self, size: Size) -> None:
        from .image_image import paired

        self.size = size
        self.train.random_crop = True
        resized: dict[int, Any] = {}  # sets that share pixels go on sharing them

        def at_size(of: Any) -> Any:
            if id(of.pixels) not in resized:
                resized[id(of.pixels)] = of.pixels.resized(size)
            return of.with_pixels(resized[id(of.pixels)])

        with_targets = [p for p in (self.train, self.valid) if p.kind == "picture"]
        if with_targets and type(self.train) is LabelList:  # the originals lead, see image_image
            resized[id(self.train.x.pixels)] = paired(with_targets, size)
        for part in (self.train, self.valid, self.test):
            if part is not None:
                part.x = at_size(part.x)
                if part.kind in ("mask", "picture"):
                    part.y = at_size(part.y)

    def databunch(
        self,
        bs: int = 64,
        val_bs: int | None = None,
        path: str | Path | None = None,
        seed: int = 0,
        prefetch: int = 2,
        num_workers: int | None = None,
    ) -> DataBunch:
        """The sets behind loaders of `bs` items a batch (`val_bs` where nothing is learned).

        `seed` fixes the order and the variation of every batch; `prefetch` is how many batches a
        thread makes ahead, and `num_workers` how many threads decode files for it (one a core
        unless given, 16 at most): neither changes a batch. `path` is where a learner keeps its
        models; the items' folder unless given. Another `transform` of these lists later leaves the
        databunch as it is.
        """
        if num_workers is not None:
            check_count("databunch", "num_workers", num_workers)
            for part in (self.train, self.valid, self.test):
                for side in () if part is None else (part.x, part.y):
                    if hasattr(side, "pixels"):
                        side.pixels.workers = num_workers
        return DataBunch(self._copied(), bs, val_bs, path, seed, prefetch)

    def _copied(self) -> LabelLists:
        """The same sets in lists of their own, which share the pixels."""
        sets = (self.train, self.valid, self.test)
        own = LabelLists(*[s if s is None else s.with_pictures(s.x, s.y) for s in sets])
        own.size, own._valid_tfms = self.size, self._valid_tfms
        return own


def _padded(transform: Transform, mode: str) -> Transform:
    """The transform, or where it moves pixels about, a copy of it with `mode` beyond the edge."""
    from .geometry import Geometric

    if not isinstance(transform, Geometric):
        return transform
    transform = copy.copy(transform)
    transform.mode = mode
    return transform
