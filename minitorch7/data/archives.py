"""Fetching a data set that comes as one archive: whole and checked, or not at all."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import DataNotFound

# what a cut or damaged archive raises, at the latest when it is unpacked
DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
)
TIMEOUT = (5, 60)  # seconds to connect, and between two pieces of the file


def fetch_archive(
    urls: Sequence[str],
    name: str,
    folder: Path,
    unpack: Callable[[Path, Path], None],
    whole: Callable[[Path], bool],
) -> Path:
    """The first of `urls` that gives a good archive, unpacked: `folder`, not there or empty so far.

    name    of the archive while it is there, such as 'archive.zip'
    unpack  called with the archive and a folder to make of it; raises one of `DAMAGED` where the
            archive or what it holds is not what it should be
    whole   whether a folder has all of it: another process may have been faster

    All is done in a hidden folder beside `folder`, which goes in any case. Raises DataNotFound,
    which says what was wrong with each, where none is good, or that nothing can be written there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataNotFound(
            f"cannot write {folder.parent} ({type(error).__name__}: {error.strerror})"
        ) from error
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    refusals = []
    for url in urls:
        try:
            partial.mkdir()
            _download(url, partial / name)
            unpack(partial / name, partial / "unpacked")
            if folder.exists():
                folder.rmdir()  # empty
            (partial / "unpacked").rename(folder)
            return folder
        except DAMAGED as error:
            if whole(folder):
                return folder
            refusals.append(f"{url}: {type(error).__name__}: {error}")
        finally:  # Ctrl-C too: leave nothing half fetched
            shutil.rmtree(partial, ignore_errors=True)
    raise DataNotFound("Tried to fetch\n  " + "\n  ".join(refusals))


def _download(url: str, file: Path) -> None:
    import pooch

    pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)(url, str(file), None)
