"""Photos from anywhere, read one by one as Pillow images: always RGB, upright, laid over white."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .decode import converted, height_width, unreadable

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # what a photo may be inside


def read_rgb(fn: str | Path, function: str = "read_rgb") -> Any:
    """The photo in a file as a Pillow image in RGB; see `to_rgb`.

    What the file holds counts, not its suffix. DataError for a file that holds no whole picture, or
    one of so many pixels (Pillow's limit) that it is taken for an attack.
    """
    from PIL import Image

    try:
        with Image.open(fn, formats=FORMATS) as image:
            return to_rgb(image)
    except Exception as error:  # Pillow's decoders raise a dozen types for a damaged file
        raise unreadable(function, fn, error) from error


def to_rgb(image: Any) -> Any:
    """A Pillow image of any kind as a new one in RGB; see `decode.converted`."""
    return converted(image, "RGB")


def upright_size(fn: str | Path, function: str = "upright_size") -> tuple[int, int]:
    """(width, height) of a photo as `read_rgb` gives it; see `height_width`."""
    height, width = height_width(fn, function, FORMATS)
    return width, height
