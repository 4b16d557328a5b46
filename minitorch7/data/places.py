"""Where data sets may be: a folder that is named, ``$MINITORCH7_DATA``, the user's cache."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import DataNotFound


def cache_folder() -> Path:
    """The user's cache, where what is fetched is kept."""
    import pooch

    return Path(pooch.os_cache("minitorch7"))


def downloads_allowed(download: bool | None) -> bool:
    """`download`; where it is not given, whether ``$MINITORCH7_OFFLINE`` is not set."""
    return not os.environ.get("MINITORCH7_OFFLINE") if download is None else download


def found_or_fetched(
    name: str,
    found: tuple[Path | None, list[Path]],
    fetch: Callable[[Path], Path],
    download: bool | None,
    fix: str,
) -> Path:
    """The folder that `look_for` found; else `fetch`ed into the cache's folder of that name.

    DataNotFound, which names every place that was tried and the `fix`, where it cannot be had.
    """
    folder, tried = found
    if folder is not None:
        return folder
    name, looked = name.lower(), "\n  ".join(map(str, tried))
    if not downloads_allowed(download):
        raise DataNotFound(
            f"{name}: not found, and downloads are off. Looked in\n  {looked}\n"
            f"Allow the download, {fix}."
        )
    try:
        return fetch(cache_folder() / name)
    except DataNotFound as error:
        raise DataNotFound(
            f"{name}: not found and not to be fetched. Looked in\n  {looked}\n{error}\n"
            f"Mend the connection, {fix}."
        ) from error


def look_for(
    name: str,
    path: str | Path | None,
    subfolders: Sequence[str],
    is_there: Callable[[Path], bool],
) -> tuple[Path | None, list[Path]]:
    """(the first folder that has the data set `name`, or None; all folders looked in).

    The places are `path`, ``$MINITORCH7_DATA`` and the cache, each with its `subfolders`. Warns
    where `path` was given and the data was found elsewhere.
    """
    if path is not None and not Path(path).expanduser().is_dir():
        raise DataNotFound(
            f"{name.lower()}: {path} is not a folder; check the path, or leave it out"
        )
    tried: list[Path] = []
    for named in (path, os.environ.get("MINITORCH7_DATA"), cache_folder()):
        if not named:
            continue
        place = Path(named).expanduser()
        for subfolder in subfolders:
            tried.append(place / subfolder)
            if is_there(tried[-1]):
                if path is not None and named != path:
                    text = f"no {name} in {path}: using {tried[-1]}"
                    warnings.warn(text, stacklevel=3)
                return tried[-1], tried
    return None, tried
