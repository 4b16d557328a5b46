"""From image files, Pillow images and arrays to uint8 arrays (C, H, W)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError
from .sizes import Size

MODES = ("L", "RGB", "RGBA")  # grey, colour, colour with opacity: 1, 3 and 4 channels
MOST_WORKERS = 16  # threads, however many cores there are


def cores() -> int:
    """How many threads decode at once unless said otherwise: one a core, 16 at most."""
    here = getattr(os, "sched_getaffinity", None)  # cores this process may use; not on all systems
    return min(len(here(0)) if here else os.cpu_count() or 1, MOST_WORKERS)


def in_threads(function: Callable[[Any], Any], items: Sequence[Any], workers: int) -> list[Any]:
    """``[function(item) for item in items]``, by up to `workers` threads.

    Pillow gives up Python's lock while it decodes and resizes, so threads do use several cores. The
    threads end with the call; the first item in order that fails is the one that is raised.
    """
    workers = min(workers, len(items))
    if workers < 2:
        return [function(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers, thread_name_prefix="minitorch7-decode") as pool:
        return list(pool.map(function, items))


def decode(file: Path, mode: str, size: Size | None = None) -> np.ndarray:
    """One image file as uint8 (C, H, W), converted to Pillow's `mode`; see `resize` for `size`."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels = resize(image.convert(mode), size)
    except Exception as error:  # Pillow's decoders raise a dozen types for a damaged file
        raise unreadable("ImageList", file, error) from error
    return channels_first(pixels)


def unreadable(function: str, file: object, error: Exception) -> DataError:
    """What to say of a file that is no picture, or is not there."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{function}: {file} is not there (any more); check its path")
    return DataError(
        f"{function}: {file} cannot be read as an image ({type(error).__name__}: {error}); "
        "replace the file or delete it"
    )


def height_width(file: Path) -> tuple[int, int]:
    """The size of the picture in an image file, read from its first bytes alone."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.height, image.width
    except Exception as error:
        raise unreadable("ImageList", file, error) from error


def picture_of(item: Any, mode: str, size: Size | None = None) -> np.ndarray:
    """An item of any kind as one picture (C, H, W): uint8, or float32 in [0, 1].

    An item is the path of an image file, a Pillow image, or an array (H, W) or (C, H, W) of uint8
    in 0..255 or floats in [0, 1]. Files and Pillow images are made `size`, cropped in the middle.
    DataError for anything else.
    """
    if isinstance(item, str | Path):
        return _middle(decode(Path(item), mode, size), size)
    if hasattr(item, "convert") and hasattr(item, "resize"):
        return _middle(channels_first(resize(item.convert(mode), size)), size)
    if not isinstance(item, np.ndarray) or item.ndim not in (2, 3):
        met = f"an array of shape {item.shape}" if isinstance(item, np.ndarray) else f"{item!r:.60}"
        raise DataError(
            "one_item: an item is a path, a Pillow image or an array (H, W) or (C, H, W), got "
            f"{met}"
        )
    slack = 1e-3  # what normalising and back may add
    if item.dtype != np.uint8 and (
        item.dtype.kind != "f" or item.min() < -slack or item.max() > 1 + slack
    ):
        raise DataError(
            "one_item: an array's values must be uint8 in 0..255 or floats in [0, 1], got "
            f"{item.dtype} from {item.min()} to {item.max()}"
        )
    item = item if item.dtype == np.uint8 else item.astype(np.float32)
    return item[None] if item.ndim == 2 else item


def _middle(picture: np.ndarray, size: Size | None) -> np.ndarray:
    return picture if size is None else size.cut(picture)


def channels_first(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) as (C, H, W)."""
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resize(image: Any, size: Size | None, nearest: bool = False) -> np.ndarray:
    """A Pillow image as an array (H, W[, C]), resized for `size` but not cropped yet.

    Bilinear, and averaging as it shrinks; `nearest` takes single pixels, as class numbers need.
    """
    if size is not None:
        from PIL import Image

        method = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
        height, width = size.before_crop(image.height, image.width)
        if (image.height, image.width) != (height, width):
            image = image.resize((width, height), method)
    return np.asarray(image)


def resize_array(pictures: np.ndarray, size: Size, nearest: bool = False) -> np.ndarray:
    """`resize` for arrays (N, C, H, W): every channel by itself."""
    from PIL import Image

    from .progress import progress

    n, channels, *shape = pictures.shape
    target = size.before_crop(*shape)
    if tuple(shape) == target:
        return pictures
    out = np.empty((n, channels, *target), np.uint8)
    for row in progress(range(n), "resizing"):
        for channel in range(channels):
            image = Image.fromarray(pictures[row, channel])
            out[row, channel] = resize(image, size, nearest)
    return out
