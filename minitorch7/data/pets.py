"""The Oxford-IIIT Pet photos: 7,390 cats and dogs of 37 breeds, JPEGs of many sizes.

O. M. Parkhi, A. Vedaldi, A. Zisserman and C. V. Jawahar, "Cats and Dogs", CVPR 2012
(https://www.robots.ox.ac.uk/~vgg/data/pets/). Licence: CC BY-SA 4.0. The lesson uses the photos
alone: it makes them worse and learns to restore them.

A photo's name is its breed and a number, ``Egyptian_Mau_139.jpg``; a capital first letter is a cat.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import places

CATS = tuple(
    "Abyssinian Bengal Birman Bombay British_Shorthair Egyptian_Mau Maine_Coon Persian Ragdoll "
    "Russian_Blue Siamese Sphynx".split()
)
DOGS = tuple(
    "american_bulldog american_pit_bull_terrier basset_hound beagle boxer chihuahua english_setter "
    "english_cocker_spaniel german_shorthaired great_pyrenees havanese japanese_chin keeshond "
    "leonberger miniature_pinscher newfoundland pomeranian pug saint_bernard samoyed "
    "scottish_terrier shiba_inu staffordshire_bull_terrier wheaten_terrier "
    "yorkshire_terrier".split()
)
BREEDS = frozenset(CATS + DOGS)
SUBFOLDERS = ("", "images", "pets/images", "pets", "oxford-iiit-pet/images", "oxford-iiit-pet")


def pets(path: str | Path | None = None, download: bool | None = None) -> Path:
    """The folder that has the photos; fetched if it is not found.

        path_hr = pets()
        ImageList.from_folder(path_hr)

    Looked for in `path`, in ``$MINITORCH7_DATA`` and in the user's cache, each with its subfolders
    ``images``, ``pets/images``, ``pets`` and ``oxford-iiit-pet/images``; a part of the photos will
    do. Then all are fetched into the cache (some 790 MB), unless `download` is False or, where it
    is not given, ``$MINITORCH7_OFFLINE`` is set. Raises DataNotFound, which names every place that
    was tried.
    """
    found = places.look_for("Pets", path, SUBFOLDERS, has_pets)
    fix = "set MINITORCH7_DATA to a folder that has pets/images/, or use drawn_photos()"
    return places.found_or_fetched("Pets", found, _fetch, download, fix)


def has_pets(folder: Path) -> bool:
    """Whether there is a photo in `folder` that has the name of one of the 37 breeds."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(breed_of(entry.name) for entry in entries)


def breed_of(name: str | Path) -> str | None:
    """The breed that a photo's name starts with; None for other names."""
    name = Path(name)
    breed, _, number = name.stem.rpartition("_")
    known = breed in BREEDS and number.isdigit() and name.suffix.lower() == ".jpg"
    return breed if known else None


def _fetch(folder: Path) -> Path:
    from .fetch_pets import fetch_pets

    return fetch_pets(folder)
