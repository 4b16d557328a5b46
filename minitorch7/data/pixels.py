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

from .decode import MODES, cores, decode, in_threads, resize_array
from .errors import DataError
from .progress import progress
from .sizes import Size

GIB = 1 << 30


class ArrayPixels:
    """Pictures that are one uint8 array already: (N, H, W), or (N, C, H, W)."""

    nearest = False  # how pixels are resized; class numbers cannot be averaged

    def __init__(
        self, array: np.ndarray, size: Size | None = None, original: np.ndarray | None = None
    ) -> None:
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
        self.size = size  # that the pictures are cropped to, if they are
        self.original = self.array if original is None else original  # before any resizing
        self.workers = 1  # nothing here takes long enough for a thread

    def __len__(self) -> int:
        return len(self.array)

    @property
    def mode(self) -> str:
        """Pillow's name for the kind of picture."""
        return {1: "L", 3: "RGB", 4: "RGBA"}.get(self.array.shape[1], "L")

    def shape(self, row: int) -> tuple[int, ...]:
        """(C, H, W) of one picture."""
        cut = self.array if self.size is None else self.size.cut(self.array)
        return cut.shape[1:]

    def source(self, row: int) -> tuple[int, int]:
        """(H, W) of one picture as it came."""
        return self.original.shape[2:]

    def gather(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """The pictures `rows` (n,) as a new uint8 array (n, C, H, W).

        `places` (2, n) in [0, 1) is where each is cropped: how far down and across of the ways
        there are. In the middle without them.
        """
        if self.size is None or not self.size.crops:
            return self.array[rows]
        return _cropped([self.array[row] for row in rows], self.size, places)

    def load(self) -> None:
        """Nothing to do: the pixels are in memory."""

    def resized(self, size: Size) -> ArrayPixels:
        """All pictures at `size`, made from the originals."""
        return type(self)(resize_array(self.original, size, self.nearest), size, self.original)


class FilePixels:
    """Pictures in image files, decoded when first asked for, by `workers` threads.

    Decoded pictures are kept while they fit in `cache_bytes`; the others are decoded again whenever
    they are asked for. `size` resizes while decoding; without it all must have one size. Raises
    DataError for a file that cannot be decoded, and where two pictures differ in size.
    """

    def __init__(
        self,
        files: Sequence[Path],
        mode: str = "RGB",
        size: Size | None = None,
        cache_bytes: int = GIB,
        workers: int | None = None,
    ) -> None:
        if mode not in MODES:
            raise DataError(
                f"ImageList: convert_mode must be one of {', '.join(MODES)}, got {mode!r}; "
                "'L' reads grey pictures (1 channel), 'RGB' colour (3 channels)"
            )
        self.files, self.mode, self.size, self.cache_bytes = list(files), mode, size, cache_bytes
        self.workers = cores() if workers is None else workers
        self._lock = threading.Lock()  # two loaders' threads may decode at once
        self._kept: list[np.ndarray | None] = [None] * len(self.files)  # (C, h, w), not cropped
        self._used = self._last = 0  # bytes that they take, and that the last one decoded takes

    def __len__(self) -> int:
        return len(self.files)

    def shape(self, row: int) -> tuple[int, ...]:
        """(C, H, W) of one picture."""
        picture = self._picture(int(row))
        return (picture if self.size is None else self.size.cut(picture)).shape

    def source(self, row: int) -> Path:
        """The file that one picture is in."""
        return self.files[row]

    def gather(self, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """The pictures `rows` (n,) as a new uint8 array (n, C, H, W); see ArrayPixels.gather."""
        rows = np.asarray(rows).tolist()
        missing = [row for row in dict.fromkeys(rows) if self._kept[row] is None]
        fresh = dict(zip(missing, in_threads(self._picture, missing, self.workers), strict=True))
        pictures = [fresh[row] if row in fresh else self._kept[row] for row in rows]
        if self.size is None:
            self._check_shapes(rows, pictures)
            return np.stack(pictures)
        return _cropped(pictures, self.size, places)

    def load(self) -> None:
        """Decode pictures now, with a progress bar, as many as fit in the cache."""
        step = 4 * max(self.workers, 1)
        for start in progress(range(0, len(self), step), "decoding images"):
            if self._used + self._last > self.cache_bytes:
                break
            in_threads(self._picture, range(start, min(start + step, len(self))), self.workers)

    def resized(self, size: Size) -> FilePixels:
        """The same files, resized to `size` while they are decoded."""
        return FilePixels(self.files, self.mode, size, self.cache_bytes, self.workers)

    def _picture(self, row: int) -> np.ndarray:
        """Picture `row` (C, h, w): kept, or decoded and kept if it fits."""
        kept = self._kept[row]
        if kept is not None:
            return kept
        picture = self._decode(row)
        with self._lock:
            self._last = picture.nbytes
            if self._kept[row] is None and self._used + picture.nbytes <= self.cache_bytes:
                self._kept[row] = picture
                self._used += picture.nbytes
        return picture

    def _decode(self, row: int) -> np.ndarray:
        return decode(self.files[row], self.mode, self.size)

    def _check_shapes(self, rows: Sequence[int], pictures: Sequence[np.ndarray]) -> None:
        """Pictures that are to be stacked must have one shape."""
        for row, picture in zip(rows, pictures, strict=True):
            if picture.shape != pictures[0].shape:
                (_, h, w), (_, eh, ew) = picture.shape, pictures[0].shape
                raise DataError(
                    "ImageList: pictures must have one size to be stacked in a batch, but "
                    f"{self.files[rows[0]]} is {eh} high and {ew} wide, and {self.files[row]} is "
                    f"{h} high and {w} wide; resize them with .transform(tfms, size=({eh}, {ew}))"
                )


def _cropped(pictures: list[Any], size: Size, places: np.ndarray | None) -> np.ndarray:
    """One uint8 array (n, C, H, W) of pictures (C, h, w), each cut at its own place."""
    if places is None:
        places = np.full((2, len(pictures)), 0.5)
    cuts = [size.cut(*picture) for picture in zip(pictures, *places, strict=True)]
    return np.stack(cuts)
