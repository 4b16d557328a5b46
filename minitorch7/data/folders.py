"""Image files in folders: listing them, and writing a list of pictures as such a folder."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, DataNotFound
from .progress import progress

IMAGE_EXTENSIONS = frozenset(".bmp .gif .jpeg .jpg .pbm .pgm .png .ppm .tif .tiff .webp".split())


def find_images(
    path: str | Path,
    extensions: set[str] | frozenset[str] | None = None,
    recurse: bool = True,
    presort: bool = True,
    function: str = "ImageList.from_folder",
) -> list[Path]:
    """The image files below `path`; names that start with a dot, and what is in them, are skipped.

    fastai lists files in whatever order the disk gives, so that a seed means another split on
    another machine. Here they are sorted unless ``presort=False``, numbers by value: 2 before 10.
    Raises DataNotFound where there is no such folder, DataError where it has no images, both in the
    name of `function`.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataNotFound(f"{function}: {root} is not a folder; check the path")
    wanted = IMAGE_EXTENSIONS if extensions is None else {e.lower() for e in extensions}
    found, other = [], Counter()
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if recurse and not name.startswith(".")]
        for name in names:
            extension = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if extension in wanted:
                found.append(os.path.join(folder, name))
            else:
                other[extension or "no extension"] += 1
    if not found:
        met = ", ".join(f"{n:,} {kind}" for kind, n in other.most_common(4)) or "no files"
        others = ", or pass extensions=" if function.endswith("from_folder") else ""
        raise DataError(
            f"{function}: no image files below {root} (there: {met}; looked for "
            f"{' '.join(sorted(wanted))}); check the path{others}"
        )
    return [Path(name) for name in (sorted(found, key=natural_key) if presort else found)]


def natural_key(name: str) -> tuple[list[Any], str]:
    """A sorting key that takes runs of digits as numbers: ['a', 2, '.png'] < ['a', 10, '.png']."""
    pieces: list[Any] = re.split(r"([0-9]+)", name)  # text and digits in turn, text first
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, name  # the name decides between 7.png and 07.png


def write_png_folder(images: Any, out: str | Path) -> Path:
    """Write an ImageList as PNG files under its items' names: ``out/training/7/00015.png``.

    The files go to a temporary folder beside `out`, which takes its name when all are written, so
    that `out` is either whole or not there. Raises DataError where `out` exists already.
    """
    from PIL import Image

    out = Path(out)
    if out.exists():
        raise DataError(
            f"write_png_folder: {out} exists already and would be mixed with the new files; "
            "delete it or choose another name"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        for i in progress(range(len(images)), f"writing {out.name}"):
            name = images.name(i).with_suffix(".png")
            file = partial / name
            if name.is_absolute() or ".." in name.parts or file.exists():
                raise DataError(
                    f"write_png_folder: item {i} ({images.items[i]}) cannot be written as {name}: "
                    f"each item needs a name of its own below the list's path {images.path}"
                )
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = images.gather(np.array([i]))[0].transpose(1, 2, 0)  # (H, W, C)
            picture = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
            Image.fromarray(np.ascontiguousarray(picture)).save(file, compress_level=1)
        partial.rename(out)
    except BaseException:  # Ctrl-C too: leave nothing half written
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out
