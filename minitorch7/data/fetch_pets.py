"""Fetching the Oxford-IIIT Pet photos: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from .archives import fetch_archive
from .errors import DataNotFound
from .pets import breed_of
from .progress import progress

ARCHIVES = (
    "https://thor.robots.ox.ac.uk/pets/images.tar.gz",
    "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
)
MD5 = "5c4f3ee8e5d25df40f4fd59a7f44e54c"  # of the archive
COUNT = 7390  # photos in it
MOST_BYTES = 4 << 30  # unpacked: the photos have some 800 MB


def fetch_pets(folder: str | Path) -> Path:
    """Fetch the photos; ``folder/images`` appears when all are there (some 790 MB; 1.6 GB while).

    Raises DataNotFound where no address gives the archive of the known MD5, or where the folder has
    an ``images`` that is something else.
    """
    images = Path(folder) / "images"
    if images.exists():
        raise DataNotFound(
            f"fetch_pets: {images} is there and has no photos of pets; delete it, and they are "
            "fetched anew"
        )
    return fetch_archive(ARCHIVES, "images.tar.gz", images, _unpack_checked, _whole)


def _unpack_checked(archive: Path, out: Path) -> None:
    _check_md5(archive)
    unpack(archive, out)


def _check_md5(archive: Path) -> None:
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != MD5:
        raise ValueError(f"it is not the photos' archive: MD5 {found}, expected {MD5}")


def unpack(archive: Path, out: Path) -> None:
    """The photos of the archive, from ``images/NAME.jpg`` to ``out/NAME.jpg``.

    Nothing else is written: ValueError for a path that leads elsewhere, for a link or a device, for
    more than four gigabytes, and for other than 7,390 photos.
    """
    out.mkdir(parents=True)
    size = 0
    with tarfile.open(archive, "r:gz") as packed:
        for member in progress(packed, "unpacking pets", total=COUNT):
            size += member.size
            if size > MOST_BYTES:
                raise ValueError(f"{archive.name} would unpack to {size:,} bytes and more")
            if _is_photo(member):
                target = out / PurePosixPath(member.name).name
                with packed.extractfile(member) as source, open(target, "xb") as file:
                    shutil.copyfileobj(source, file)
    if _photos(out) != COUNT:
        raise ValueError(f"it has {_photos(out):,} photos of pets, where there should be {COUNT:,}")


def _is_photo(member: tarfile.TarInfo) -> bool:
    """Whether a member is one of the photos; ValueError if it is a trap."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
        raise ValueError(f"the archive has a file {member.name!r}, which leads elsewhere")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"the archive has {member.name!r}, which is a link or a device")
    return member.isreg() and path.parts[:-1] == ("images",) and breed_of(path.name) is not None


def _whole(folder: Path) -> bool:
    return _photos(folder) == COUNT


def _photos(folder: Path) -> int:
    return sum(breed_of(name) is not None for name in os.listdir(folder)) if folder.is_dir() else 0
