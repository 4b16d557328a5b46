"""The third link: what each item is, and the labelled sets that a model learns from.

A set is a `LabelList`: pictures `x`, labels `y`, and the transforms that vary them. Labels that are
classes live in a `CategoryList`; labels that are pictures themselves (masks, targets) need only the
same few methods: `make`, `take`, `gather`, and indexing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .bunch import DataBunch
from .errors import DataError, listed
from .normalize import as_floats
from .transforms import Transform, checked_transforms, vary


@dataclass(frozen=True)
class Category:
    """One label: its class number `data`, which the model sees, and its name `obj`."""

    data: int
    obj: Any

    def __int__(self) -> int:
        return self.data

    __index__ = __int__

    def __str__(self) -> str:
        return str(self.obj)


class CategoryList:
    """Labels that are classes: `codes` (n,) int64 are places in the list `classes`."""

    loss = "cross_entropy"  # the name in minitorch7.functional of the loss that fits

    def __init__(self, codes: np.ndarray, classes: list[Any]) -> None:
        self.codes, self.classes = codes, classes

    @classmethod
    def make(
        cls, function: str, values: list[Any], items: list[Path], classes: Sequence[Any] | None
    ) -> CategoryList:
        """Labels from the `values` of all `items`, training and validation.

        Without `classes` they are the sorted values. fastai looks at the training values only and
        drops validation items with others, so a rare class can go missing by an unlucky split; here
        both sides count and nothing is dropped.
        """
        kinds = {type(value) for value in values}
        if len(kinds) > 1 or not issubclass(next(iter(kinds)), str | int | np.integer):
            raise DataError(
                f"{function}: class labels must be all strings or all whole numbers, got "
                f"{' and '.join(sorted(kind.__name__ for kind in kinds))} (the first: "
                f"{values[0]!r} for {items[0]})"
            )
        names = sorted(set(values)) if classes is None else list(classes)
        number = {name: code for code, name in enumerate(names)}
        if len(number) < len(names):
            raise DataError(f"{function}: classes has a name twice: {listed(names)}")
        for value, item in zip(values, items, strict=True):
            if value not in number:
                raise DataError(
                    f"{function}: label {value!r} of {item} is not among classes ({listed(names)});"
                    " add it, or leave classes out to have them found"
                )
        return cls(np.array([number[value] for value in values], np.int64), names)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def c(self) -> int:
        """The number of classes, which a classifier has as outputs."""
        return len(self.classes)

    def __getitem__(self, index: int) -> Category:
        code = int(self.codes[index])
        return Category(code, self.classes[code])

    def take(self, indices: np.ndarray) -> CategoryList:
        """The labels at `indices`, of the same classes."""
        return type(self)(self.codes[indices], self.classes)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The class numbers at `indices` (n,) as int64 (n,)."""
        return self.codes[indices]

    def __repr__(self) -> str:
        shown = ",".join(str(self[i]) for i in range(min(5, len(self))))
        more = ",..." if len(self) > 5 else ""
        return f"{type(self).__name__} of {self.c} classes\n{shown}{more}"


class LabelList:
    """A set to learn from or be judged by: pictures `x`, labels `y` (None in a test set).

    ``ds[i]`` is (picture float32 (C, H, W) in [0, 1], label), the picture varied by the transforms:
    look three times and see three versions.
    """

    def __init__(self, x: Any, y: Any, tfms: Sequence[Transform] = ()) -> None:
        self.x, self.y, self.tfms = x, y, list(tfms)
        self._looks = np.random.default_rng(0)  # of `ds[i]` alone; loaders bring their own stream

    def __len__(self) -> int:
        return len(self.x)

    def gather(
        self, indices: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(pictures uint8 or float32 (n, C, H, W), labels or None), varied by draws from `rng`."""
        y = None if self.y is None else self.y.gather(indices)
        return vary(self.x.gather(indices), self.tfms, rng), y

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int | np.integer):  # a slice, an array: a smaller set
            chosen = np.arange(len(self))[index]
            y = None if self.y is None else self.y.take(chosen)
            return LabelList(self.x.take(chosen), y, self.tfms)
        if not -len(self) <= index < len(self):
            raise IndexError(f"LabelList: item {index} of {len(self):,}")
        index = index % len(self)
        x, _ = self.gather(np.array([index]), self._looks)
        return np.ascontiguousarray(as_floats(x)[0]), None if self.y is None else self.y[index]

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
        self.size: tuple[int, int] | None = None  # that pictures are resized to

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
        """The number of classes."""
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
        if not isinstance(items, type(train)):
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
        size: tuple[int, int] | None = None,
    ) -> LabelLists:
        """Vary the training set by ``tfms[0]``, and the validation and test sets by ``tfms[1]``.

        Transforms run by their `order`, not their place in the list. With `size` = (height, width)
        pictures are first resized to it, whatever their shape (fastai's "squish").
        """
        train_tfms, valid_tfms = checked_transforms(tfms)
        self.train.tfms, self.valid.tfms, self._valid_tfms = train_tfms, valid_tfms, valid_tfms
        if self.test is not None:
            self.test.tfms = valid_tfms
        if size is not None:
            self._resize(_checked_size(size))
        return self

    def _resize(self, size: tuple[int, int]) -> None:
        self.size = size
        resized: dict[int, Any] = {}  # sets that share pixels go on sharing them
        for part in (self.train, self.valid, self.test):
            if part is not None:
                pixels = part.x.pixels
                if id(pixels) not in resized:
                    resized[id(pixels)] = pixels.resized(size)
                part.x = part.x.with_pixels(resized[id(pixels)])

    def databunch(
        self,
        bs: int = 64,
        val_bs: int | None = None,
        path: str | Path | None = None,
        seed: int = 0,
        prefetch: int = 2,
    ) -> DataBunch:
        """The sets behind loaders of `bs` items a batch (`val_bs` where nothing is learned).

        `seed` fixes the order and the variation of every batch; `prefetch` is how many batches a
        thread makes ahead. `path` is where a learner keeps its models; the items' folder unless
        given.
        """
        return DataBunch(self, bs, val_bs, path, seed, prefetch)


def _checked_size(size: Any) -> tuple[int, int]:
    pair = tuple(size) if isinstance(size, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in pair):
        raise DataError(
            "transform: size must be a pair (height, width) of positive whole numbers, got "
            f"{size!r}"
        )
    return int(pair[0]), int(pair[1])
