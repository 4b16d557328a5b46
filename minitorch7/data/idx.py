"""MNIST's own file format, IDX, read with every byte accounted for.

    bytes 0..3    magic: 0, 0, type (8 = unsigned byte), number of dimensions   (big-endian)
    4 bytes each  the dimensions                                               (big-endian)
    the rest      the values, last dimension fastest

So 2051 = 0x0803 opens a file of images (count, rows, columns) and 2049 = 0x0801 a file of labels
(count). Source: http://yann.lecun.com/exdb/mnist/, section "File formats for the MNIST database".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from .errors import DataError, DataNotFound

IMAGES, LABELS = 2051, 2049
FILES = {  # split folder → the stems of its image file and label file
    "training": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "testing": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MEANING = {IMAGES: "a file of images", LABELS: "a file of labels"}
_REFETCH = "delete it and fetch it again"


def find_idx_file(folder: Path, stem: str) -> Path | None:
    """The file called `stem` in `folder`, gzipped or not; None where there is neither."""
    dotted = stem.replace("-idx", ".idx")  # as some copies are named: train-images.idx3-ubyte
    for name in (f"{stem}.gz", stem, f"{dotted}.gz", dotted):
        if (folder / name).is_file():
            return folder / name
    return None


def missing_idx_files(folder: Path) -> list[str]:
    """The names of MNIST's four files that `folder` lacks."""
    stems = [stem for pair in FILES.values() for stem in pair]
    return [f"{stem}.gz" for stem in stems if find_idx_file(folder, stem) is None]


def read_mnist_idx(folder: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """``{"training": (images, labels), "testing": (images, labels)}`` from the four IDX files.

    images (count, rows, columns) uint8, labels (count,) uint8, both read-only. Raises DataNotFound
    where a file is missing, and DataError where one is damaged or two do not belong together.
    """
    folder = Path(folder)
    missing = missing_idx_files(folder)
    if missing:
        raise DataNotFound(
            f"read_mnist_idx: {folder} lacks {', '.join(missing)} (gzipped or not); "
            "minitorch7.data.mnist() finds or fetches all four"
        )
    return {split: _read_pair(folder, *stems) for split, stems in FILES.items()}


def _read_pair(folder: Path, *stems: str) -> tuple[np.ndarray, np.ndarray]:
    image_file, label_file = (find_idx_file(folder, stem) or folder / stem for stem in stems)
    images, labels = read_idx(image_file, IMAGES), read_idx(label_file, LABELS)
    if len(images) != len(labels):
        raise DataError(
            f"read_mnist_idx: {image_file} has {len(images):,} images but {label_file} has "
            f"{len(labels):,} labels; each image needs one label, so fetch both files again"
        )
    if labels.max() > 9:
        at = int(labels.argmax())
        raise DataError(
            f"read_mnist_idx: {label_file}: label {labels[at]} of item {at} is not a digit 0..9; "
            "the file is damaged or not MNIST's: " + _REFETCH
        )
    return images, labels


def read_idx(file: str | Path, magic: int) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, gzipped if its name ends in .gz; read-only.

    `magic` is what the file must open with: 2051 for images, 2049 for labels. Raises DataError
    where it opens otherwise, is cut short, goes on too long, or cannot be unzipped.
    """
    file = Path(file)
    content = _content(file)
    if len(content) < 4:
        raise DataError(
            f"read_idx: {file} has {len(content)} bytes, too few for its 4-byte magic; {_REFETCH}"
        )
    met = int.from_bytes(content[:4], "big")
    if met != magic:
        meaning = _MEANING.get(met, "no IDX file of unsigned bytes that MNIST has")
        raise DataError(
            f"read_idx: {file} opens with magic {met} ({meaning}), expected {magic} "
            f"({_MEANING.get(magic, 'as asked')}); check that the right file has this name"
        )
    start = 4 + 4 * (magic & 0xFF)  # the magic's last byte counts the dimensions
    if len(content) < start:
        raise DataError(
            f"read_idx: {file} is cut short: {len(content)} bytes, but its header alone has "
            f"{start}; {_REFETCH}"
        )
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    # Python's whole numbers cannot overflow, so a damaged header cannot slip past this product
    wanted = start + math.prod(shape)
    if len(content) != wanted:
        fault = "is cut short" if len(content) < wanted else "goes on after its end"
        raise DataError(
            f"read_idx: {file} {fault}: {len(content):,} bytes, but its header {shape} asks for "
            f"{wanted:,}; {_REFETCH}"
        )
    if 0 in shape:
        raise DataError(f"read_idx: {file} is empty: its header says {shape}; {_REFETCH}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(file: Path) -> bytes:
    if file.suffix != ".gz":
        return file.read_bytes()
    try:
        with gzip.open(file) as unzipped:
            return unzipped.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"read_idx: {file} is not a whole gzip file ({type(error).__name__}: {error}); "
            + _REFETCH
        ) from error
