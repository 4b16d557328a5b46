"""From image files, Pillow images and arrays to uint8 arrays (C, H, W)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError
from .sizes import Size

MODES = ("L", "RGB", "RGBA")  # grey, colour, colour with opacity: 1, 3 and 4 channels
MOST_WORKERS = 16  # threads, however many cores there are
SIXTEEN_BITS = 257  # 65535 / 255
TURNS = {  # what makes a picture of EXIF's orientation upright; 1 is upright
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# where Pillow keeps an orientation, and the names that a PNG file has for the same
ORIENTED = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
ORIENTED_PNG = re.compile(rb"eXIf|Raw profile type exif|XML:com\.adobe\.xmp")


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
    """One image file as uint8 (C, H, W); see `converted` for `mode`, `resize` for `size`."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels = resize(converted(image, mode), size)
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


def height_width(
    file: str | Path, function: str = "ImageList", formats: Sequence[str] | None = None
) -> tuple[int, int]:
    """The size of the picture in an image file as `decode` gives it.

    The file is not decoded, but for a PNG with EXIF or XMP tags. DataError, in the name of
    `function`, for a file that is no picture or of none of `formats`.
    """
    from PIL import ExifTags, Image

    try:
        with Image.open(file, formats=formats) as image:
            width, height = image.size
            if image.format == "TIFF":  # Pillow swaps these sides by itself, but not every release
                width = image.tag_v2[ExifTags.Base.ImageWidth]
                height = image.tag_v2[ExifTags.Base.ImageLength]
            # a PNG may have its tags at the end; Pillow would decode all of it to see
            bare = image.format == "PNG" and not ORIENTED_PNG.search(Path(file).read_bytes())
            turned = width != height and not bare and _orientation(image) >= 5
    except Exception as error:
        raise unreadable(function, file, error) from error
    return (width, height) if turned else (height, width)


# ----------------------------------------------------------------------- from one kind to another


def converted(image: Any, mode: str) -> Any:
    """A new Pillow image, 'L', 'RGB' or 'RGBA', of one of any kind: upright, and laid over white.

    Upright is as its EXIF or XMP tag says. 'RGBA' keeps its opacity instead. 16-bit greys keep
    their range, which Pillow's own conversion would clip.
    """
    image = _upright(image)
    if image.mode[0] in "IF":  # 16-bit or 32-bit integers, or floats: always grey
        image = _eight_bits(image)
    elif mode != "RGBA" and image.has_transparency_data:
        image = _over_white(image)
    return image.convert(mode)


def _upright(image: Any) -> Any:
    from PIL import Image

    image.load()  # some files have their tags after the pixels
    orientation = _orientation(image)
    if orientation == 1:
        return image
    turned = image.transpose(Image.Transpose[TURNS[orientation]])
    for key in ORIENTED:  # or the next who looks turns it again
        turned.info.pop(key, None)
    return turned


def _orientation(image: Any) -> int:
    """EXIF's number, 1 to 8; 1 where tags are damaged or senseless, as the pixels need not be."""
    from PIL import ExifTags

    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises half a dozen types
        return 1
    return found if found in TURNS else 1


def _eight_bits(image: Any) -> Any:
    """Integers on the scale of 0..65535, and floats on that of 0..1 or 0..255, as mode 'L'."""
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, np.float32))
    if image.mode[0] == "I":
        values = values / SIXTEEN_BITS
    elif values.max() <= 1:
        values = values * 255
    return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))


def _over_white(image: Any) -> Any:
    from PIL import Image

    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


# ------------------------------------------------------------------------------ to arrays, resized


def picture_of(item: Any, mode: str, size: Size | None = None) -> np.ndarray:
    """An item of any kind as one picture (C, H, W): uint8, or float32 in [0, 1].

    An item is the path of an image file, a Pillow image, or an array (H, W) or (C, H, W) of uint8
    in 0..255 or floats in [0, 1]. Files and Pillow images are made `size`, cropped in the middle.
    DataError for anything else.
    """
    if isinstance(item, str | Path):
        return _middle(decode(Path(item), mode, size), size)
    if hasattr(item, "convert") and hasattr(item, "resize"):
        return _middle(channels_first(resize(converted(item, mode), size)), size)
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
