"""The digits that the data pipelines serve: MNIST where it is found, drawn ones otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import ROOT

DRAWN = "drawn "  # how the source begins that is not a folder; a number follows


def source_of(folder: str | None, count: int, drawn: bool = False) -> str:
    """The folder that has MNIST, or "drawn n" for that many drawn training digits.

    Looked for in `folder`, in $MINITORCH7_DATA, in the user's cache and in shared/data beside the
    checkout; never fetched. DataNotFound where `folder` is given and MNIST is nowhere.
    """
    from minitorch7.data import DataNotFound, find_mnist

    if drawn:
        return f"{DRAWN}{count}"
    beside = ROOT.parent / "shared" / "data"
    for place in [folder] if folder else [None, beside if beside.is_dir() else None]:
        try:
            return str(find_mnist(place, download=False))
        except DataNotFound:
            if folder:
                raise
    return f"{DRAWN}{count}"


@functools.lru_cache(1)  # the pipelines of one process serve the same digits
def _items(source: str) -> Any:
    from minitorch7.data import drawn_digits, mnist

    if source.startswith(DRAWN):
        return drawn_digits(int(source.removeprefix(DRAWN)), 10)
    return mnist(source, download=False)


def labelled(source: str) -> Any:
    """The digits as minitorch7's labelled lists: training and validation."""
    return _items(source).split_by_folder(train="training", valid="testing").label_from_folder()


def arrays(source: str) -> tuple[np.ndarray, np.ndarray]:
    """The training digits as they are: (n, 28, 28) uint8, and their classes (n,) int64."""
    train = labelled(source).train
    every = np.arange(len(train))
    return train.x.gather(every)[:, 0], train.y.gather(every)


def endless(batches: Iterable[Any]) -> Callable[[], Any]:
    """A function that returns the next of `batches`, which start anew when they are through."""
    serving = iter(batches)

    def following() -> Any:
        nonlocal serving
        found = next(serving, None)
        if found is None:
            serving = iter(batches)
            found = next(serving)
        return found

    return following
