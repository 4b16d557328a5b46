"""Where pixels come from: an array in memory, or image files that Pillow decodes.

Both kinds answer ``gather(rows)`` with one uint8 array (n, C, H, W). Lists, splits and labels deal
in row numbers only, so a split or a shuffle never copies a picture.

Pixels stay bytes until the last step before the model: a quarter of the memory of floats, and a
quarter of the bytes to move while padding and cropping.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError
from .progress import progress

MODES = ("L", "RGB", "RGBA")  # grey, colour, colour with opacity: 1, 3 and 4 channels
GIB = 1 << 30


class ArrayPixels:
    """Pictures that are one uint8 array already: (N, H, W), or (N, C, H, W)."""

    def __init__(self, array: np.ndarray) -> None:
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
            met = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise DataError(
                f"ArrayPixels: pixels must be a NumPy array of uint8 (0..255), got {met}; "
                "for floats in [0, 1] use (255 * array).round().astype('uint8')"
            )
        if array.ndim not in (3, 4) or 0 in array.shape[1:]:
            raise DataError(
                "ArrayPixels: pixels must have shape (N, H, W) or (N, C, H, W) with no empty "
                f"axis after the first, got {array.shape}"
            )
        self.array = array[:, None] if array.ndim == 3 else array  # (N, C, H, W)

    def __len__(self) -> int:
        return len(self.array)

    @property
    def mode(self) -> str:
        """Pillow's name for the kind of picture."""
        return {1: "L", 3: "RGB", 4: "RGBA"}.get(self.array.shape[1], "L")

    def shape(self, row: int) -> tuple[int, ...]:
        """(C, H, W) of one picture."""
        return self.array.shape[1:]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The pictures `rows` (n,) as a new uint8 array (n, C, H, W)."""
        return self.array[rows]

    def load(self) -> None:
        """Nothing to do: the pixels are in memory."""

    def resized(self, size: tuple[int, int]) -> ArrayPixels:
        """All pictures at height, width = `size`."""
        if self.array.shape[2:] == size:
            return self
        out = np.empty((*self.array.shape[:2], *size), np.uint8)
        for row in progress(range(len(out)), "resizing"):
            for channel in range(out.shape[1]):
                out[row, channel] = _resize(_to_picture(self.array[row, channel]), size)
        return ArrayPixels(out)


class FilePixels:
    """Pictures in image files, all of one size, decoded when first asked for.

    Decoded pictures are kept in one uint8 array if all of them fit in `cache_bytes`; otherwise each
    is decoded again whenever it is asked for. `size` (height, width) resizes while decoding.
    Raises DataError for a file that cannot be decoded, and where two pictures differ in size.
    """

    def __init__(
        self,
        files: Sequence[Path],
        mode: str = "RGB",
        size: tuple[int, int] | None = None,
        cache_bytes: int = GIB,
    ) -> None:
        if mode not in MODES:
            raise DataError(
                f"ImageList: convert_mode must be one of {', '.join(MODES)}, got {mode!r}; "
                "'L' reads grey pictures (1 channel), 'RGB' colour (3 channels)"
            )
        self.files, self.mode, self.size, self.cache_bytes = list(files), mode, size, cache_bytes
        self._lock = threading.Lock()  # two loaders' threads may ask for the first picture at once
        self._first: tuple[int, tuple[int, ...]] | None = None  # row and shape all must agree with
        self._cache: np.ndarray | None = None  # (N, C, H, W)
        self._decoded = np.zeros(len(self.files), bool)

    def __len__(self) -> int:
        return len(self.files)

    def shape(self, row: int) -> tuple[int, ...]:
        """(C, H, W) of one picture."""
        return self._picture(row).shape

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The pictures `rows` (n,) as a new uint8 array (n, C, H, W)."""
        rows = np.asarray(rows)
        if self._first is None and len(rows):
            self._set_first(int(rows[0]))
        if self._cache is None:
            return np.stack([self._picture(row) for row in rows])
        for row in rows[~self._decoded[rows]]:
            self._cache[row] = self._picture(row)
            self._decoded[row] = True  # after the pixels: another thread may be looking
        return self._cache[rows]

    def load(self) -> None:
        """Decode every picture now, with a progress bar, if all of them fit in the cache."""
        self._set_first(0)
        if self._cache is not None:
            for row in progress(range(len(self)), "decoding images"):
                self.gather(np.array([row]))

    def resized(self, size: tuple[int, int]) -> FilePixels:
        """The same files, resized to height, width = `size` while they are decoded."""
        return FilePixels(self.files, self.mode, size, self.cache_bytes)

    def _set_first(self, row: int) -> None:
        with self._lock:
            if self._first is None:
                shape = decode(self.files[row], self.mode, self.size).shape
                if len(self) * int(np.prod(shape)) <= self.cache_bytes:
                    self._cache = np.empty((len(self), *shape), np.uint8)
                self._first = row, shape  # last: a thread that sees it needs no lock

    def _picture(self, row: int) -> np.ndarray:
        if self._decoded[row]:
            return self._cache[row]  # type: ignore[index]
        if self._first is None:
            self._set_first(int(row))
        first, expected = self._first  # type: ignore[misc]
        picture = decode(self.files[row], self.mode, self.size)
        if picture.shape != expected:
            (_, h, w), (_, eh, ew) = picture.shape, expected
            raise DataError(
                "ImageList: pictures must have one size to be stacked in a batch, but "
                f"{self.files[first]} is {eh} high and {ew} wide, and {self.files[row]} is {h} "
                f"high and {w} wide; resize them with .transform(tfms, size=({eh}, {ew}))"
            )
        return picture


def decode(file: Path, mode: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """One image file as uint8 (C, H, W), converted to Pillow's `mode`, resized if `size`."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels = _resize(image.convert(mode), size)
    except FileNotFoundError as error:
        raise DataError(f"ImageList: {file} is not there (any more); check its path") from error
    except Exception as error:  # Pillow's decoders raise a dozen types for a damaged file
        raise DataError(
            f"ImageList: {file} cannot be read as an image ({type(error).__name__}: {error}); "
            "replace the file or delete it"
        ) from error
    return _channels_first(pixels)


def picture_of(item: Any, mode: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An item of any kind as one picture (C, H, W): uint8, or float32 in [0, 1].

    An item is the path of an image file, a Pillow image, or an array (H, W) or (C, H, W) of uint8
    in 0..255 or floats in [0, 1]. DataError for anything else.
    """
    if isinstance(item, str | Path):
        return decode(Path(item), mode, size)
    if hasattr(item, "convert") and hasattr(item, "resize"):
        return _channels_first(_resize(item.convert(mode), size))
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


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) as (C, H, W)."""
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _to_picture(pixels: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _resize(image: Any, size: tuple[int, int] | None) -> np.ndarray:
    """A Pillow image as an array (H, W[, C]); at `size`, bilinear and averaging as it shrinks."""
    if size is not None and image.size != (size[1], size[0]):
        from PIL import Image

        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)
