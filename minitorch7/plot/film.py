"""Frames as a film that begins again: an animated GIF."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 655.35  # seconds that a GIF can show one frame: it counts hundredths, in two bytes
DRAWN = 4096  # colours up to which frames are a drawing; photos have more


def save_gif(frames: Sequence[Any], path: str | Path, fps: float = 5, last: float = 1.5) -> Path:
    """Write `frames` as a GIF that plays for ever, making the folders on the way; returns the path.

    frames  of one size: bytes (H, W) or (H, W, 3) each, or Pillow's images
    fps     frames a second
    last    seconds that the last frame stays, so that one sees where it begins anew

    The file appears whole or not at all. ValueError for frames that do not fit together and for
    times that a GIF cannot hold; OSError, naming the file, where it cannot be written.
    """
    from ..files import write_atomically

    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"save_gif: writes a GIF, got {path.name!r}; use a .gif name")
    if not _is_number(fps) or not 0.01 <= fps <= 50:
        raise ValueError(f"save_gif: fps must be a number from 0.01 to 50 a second, got {fps!r}")
    if not _is_number(last) or not 0.02 <= last <= LONGEST:
        raise ValueError(
            f"save_gif: last must be a number of seconds up to {LONGEST}, got {last!r}"
        )
    images = [_as_image(i, frame) for i, frame in enumerate(frames)]
    if not images:
        raise ValueError("save_gif: there are no frames; give at least one")
    sizes = sorted({image.size for image in images})
    if len(sizes) > 1:
        raise ValueError(f"save_gif: the frames differ in size (width, height): {sizes}")
    times = [1000 / fps] * (len(images) - 1) + [1000 * last]
    write_atomically(path, gif(images, times), "save_gif")
    return path


def gif(images: Sequence[Image], times: Sequence[float]) -> bytes:
    """Pillow's images, each shown so many milliseconds, as the bytes of a GIF that plays for ever.

    Greys are kept exactly; colours share one palette of 256, so that they do not flicker.
    """
    if any(image.mode != "L" for image in images):
        images = _with_one_palette([image.convert("RGB") for image in images])
    buffer = io.BytesIO()
    first, *others = images
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=list(times), loop=0)
    return buffer.getvalue()


def _with_one_palette(images: Sequence[Image]) -> list[Image]:
    from PIL import Image

    step = -(-len(images) // 16)  # enough of them to see all colours
    sheet = np.concatenate([np.asarray(image) for image in images[::-step]])
    if len(np.unique(sheet.reshape(-1, 3) @ (1 << 16, 1 << 8, 1))) > DRAWN:
        palette = Image.fromarray(sheet).quantize(256)
        return [image.quantize(palette=palette) for image in images]
    # a drawing: no dots of other colours, and its white stays white, which Pillow's quicker way of
    # matching with a given palette does not promise
    whole = Image.fromarray(np.concatenate([np.asarray(image) for image in images]))
    whole = whole.quantize(256, kmeans=1)
    width, height = images[0].size
    tops = range(0, whole.height, height)
    return [whole.crop((0, top, width, top + height)) for top in tops]


def _as_image(i: int, frame: Any) -> Image:
    from PIL import Image

    if isinstance(frame, Image.Image):
        return frame
    pixels = np.asarray(frame)
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not fits or not pixels.size:
        raise ValueError(
            "save_gif: a frame is bytes (H, W) or (H, W, 3), or a Pillow image, but frame "
            f"{i} is {pixels.dtype} of shape {pixels.shape}"
        )
    return Image.fromarray(pixels)


def _is_number(value: Any) -> bool:
    known = isinstance(value, int | float | np.integer | np.floating)
    return known and not isinstance(value, bool) and math.isfinite(value)
