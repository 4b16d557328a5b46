"""The second link: which items to learn from, and which to be judged by.

The rules are plain functions from names or counts to two arrays of indices; `ItemLists` is the pair
of lists that they make, and knows how to label both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DataError, check_path
from .labels import LabelLists

if TYPE_CHECKING:
    from .lm_bunch import LMLists


def by_folder(
    names: Sequence[Path], root: Path, train: str, valid: str
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, valid) of the items whose first folder below the root is `train` or `valid`.

    fastai makes an empty set of a folder name that nothing has; here that is a DataError.
    """
    first = [name.parts[0] if len(name.parts) > 1 else "" for name in names]
    there = Counter(first)
    for asked in (train, valid):
        if not there[asked]:
            folders = ", ".join(f"{name!r} ({n:,} items)" for name, n in sorted(there.items()))
            raise DataError(
                f"split_by_folder: no items in a folder {asked!r} below {root}; the folders there: "
                f"{folders}; name two of them with train= and valid="
            )
    folder = np.array(first)
    return np.flatnonzero(folder == train), np.flatnonzero(folder == valid)


def by_chance(function: str, n: int, pct: float, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Indices (chosen, rest): the first ``int(pct * n)`` of a permutation, the others increasing.

    The permutation is NumPy's legacy one, as in fastai, so that a seed means the same split; but
    from a stream of its own: fastai reseeds the program's.
    """
    if isinstance(pct, bool) or not isinstance(pct, int | float | np.number) or not 0 <= pct <= 1:
        raise DataError(f"{function}: the part must be between 0 and 1 (0.2 is 20%), got {pct!r}")
    try:
        if isinstance(seed, bool):
            raise TypeError("a bool")
        order = np.random.RandomState(seed).permutation(n)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{function}: seed must be None or a whole number from 0 to 2**32 - 1, got {seed!r}"
        ) from error
    cut = int(pct * n)
    return order[:cut], np.sort(order[cut:])


def by_index(n: int, valid_idx: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Indices (all others increasing, valid_idx as given)."""
    valid = np.asarray(valid_idx)
    if valid.size == 0:
        valid = valid.astype(np.intp)
    if valid.ndim != 1 or valid.dtype.kind not in "iu":
        raise DataError(
            "split_by_idx: valid_idx must be a flat list of whole numbers, got "
            f"{valid.dtype} of shape {valid.shape}"
        )
    wrong = valid[(valid < 0) | (valid >= n)]
    if len(wrong) or len(np.unique(valid)) < len(valid):
        met = f"{wrong[0]}" if len(wrong) else "the same index twice"
        raise DataError(
            f"split_by_idx: valid_idx has {met}; it must name items 0..{n - 1}, each at most once"
        )
    return np.setdiff1d(np.arange(n), valid), valid


def by_files(
    names: Sequence[Path], items: Sequence[Path], valid_names: Sequence[str | Path]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, valid), both increasing: valid are the items that `valid_names` name.

    A name may be an item's whole path, its path below the list's root, or its file name, each with
    or without the suffix. DataError for a name that no item has, or more than one.
    """
    known: dict[str, set[int]] = {}
    for i, (name, item) in enumerate(zip(names, items, strict=True)):
        for path in (item, name, Path(name.name)):
            for key in (path, path.with_suffix("")):
                known.setdefault(str(key), set()).add(i)
    wanted = [str(Path(name)) for name in valid_names]
    for name in wanted:
        there = known.get(name, set())
        if len(there) != 1:
            met = ", ".join(str(names[i]) for i in sorted(there)[:3]) or "none"
            raise DataError(
                f"split_by_files: {name!r} must name one of the {len(names):,} items, but fits "
                f"{len(there)} ({met}); give file names, or paths below the list's folder"
            )
    valid = np.zeros(len(names), bool)
    valid[[next(iter(known[name])) for name in wanted]] = True
    return np.flatnonzero(~valid), np.flatnonzero(valid)


def read_names(file: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"split_by_fname_file: {file} cannot be read as a text of names, one a line "
            f"({type(error).__name__}: {error}); check the path"
        ) from error
    return [line.strip() for line in lines if line.strip()]


class ItemLists:
    """A training list and a validation list of items below `path`, not labelled yet."""

    def __init__(self, path: str | Path, train: Any, valid: Any) -> None:
        self.train, self.valid, self.path = train, valid, check_path("ItemLists", "path", path)

    def __repr__(self) -> str:
        return f"{type(self).__name__};\n\nTrain: {self.train!r};\n\nValid: {self.valid!r}"

    def label_from_folder(self, classes: Sequence[str] | None = None) -> LabelLists:
        """The folder that an item is in is its label: ``training/7/00015.png`` is a '7'."""
        return self._label("label_from_folder", lambda path: path.parent.name, classes)

    def label_from_func(
        self, func: Callable[[Path], Any], classes: Sequence[Any] | None = None
    ) -> LabelLists:
        """``func(path)`` is an item's label. `classes`, where given, fixes which ids they get.

        For a SegmentationItemList it is the mask: the path of its file, or an array (H, W); for an
        ImageImageList the path of the picture that it should have been.
        """
        if not callable(func):
            raise TypeError(
                "label_from_func: func must be a function from an item's path to its label, got "
                f"{func!r:.60}"
            )
        return self._label("label_from_func", func, classes)

    def label_for_lm(self) -> LMLists:
        """The texts are their own labels: after each word, the next. For a TextList."""
        if not hasattr(self.train, "label_for_lm"):
            raise DataError(
                f"label_for_lm: a language model learns from texts, got {type(self.train).__name__}"
                "; pass two TextLists: ItemLists(path, TextList(train), TextList(valid))"
            )
        lists = self.train.label_for_lm(self.valid)
        lists.path = self.path
        return lists

    def _label(
        self, function: str, func: Callable[[Path], Any], classes: Sequence[Any] | None
    ) -> LabelLists:
        if not len(self.train):
            raise DataError(
                f"{function}: the training set is empty ({len(self.valid):,} validation items); "
                "split the list so that some items are left to learn from"
            )
        items = self.train.items + self.valid.items
        values, parts = [func(item) for item in items], (self.train, self.valid)
        labels = self.train.label_class.make(function, values, items, classes, parts)
        cut = len(self.train)
        make = self.train.set_class
        train = make(self.train, labels.take(np.arange(cut)))
        valid = make(self.valid, labels.take(np.arange(cut, len(items))))
        return LabelLists(train, valid)
