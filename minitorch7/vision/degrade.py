"""Photos made worse on purpose: what a network is to mend is made from what it should answer.

    recipe = crappify(path / "crappy", path / "images")
    parallel(recipe, ImageList.from_folder(path / "images").items)       the lesson's two lines
    print(degrade_folder(path / "images", path / "crappy"))              the same, and it can go on

A recipe is called with a photo's file and its number in the list, which it does not use. It writes
a JPEG at the same place below `path_lr` as the photo has below `path_hr`. What it draws by chance
depends on its seed and the photo's name below `path_hr` alone: any number of processes, in any
order, today or tomorrow, writes the same bytes (with one release of Pillow).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.errors import DataError, DataNotFound, check_count, check_path
from ..data.photos import read_rgb, upright_size
from ..files import write_atomically

JPEG = (".jpg", ".jpeg")  # other suffixes get .jpg added: a.png becomes a.png.jpg
LONGEST = 65_500  # pixels: no side of a JPEG is longer


def resize_to(img: Any, targ_sz: int, use_min: bool = False) -> tuple[int, int]:
    """(w·r, h·r) rounded down, r = targ_sz / max(w, h), or / min(w, h) with `use_min`.

    A picture smaller than that is enlarged, as in the lesson. fastai multiplies by a rounded r, and
    so gives 95 for a side of 47 that should become 96; here the side is exact, and at least 1.
    """
    check_count("resize_to", "targ_sz", targ_sz, least=1)
    size = getattr(img, "size", None)  # an array's is one number
    if not isinstance(size, tuple) or min(size, default=0) < 1:
        met = f"one of size {size}" if isinstance(size, tuple) else type(img).__name__
        raise DataError(
            f"resize_to: img must be a Pillow image of at least one pixel, got {met}; open a file "
            "with PIL.Image.open, or make one of an array with PIL.Image.fromarray"
        )
    return _scaled(*img.size, targ_sz, use_min)


def _scaled(width: int, height: int, target: int, use_min: bool) -> tuple[int, int]:
    side = (min if use_min else max)(width, height)
    return max(1, width * target // side), max(1, height * target // side)


# --------------------------------------------------------------------------------------- recipes


@dataclass
class Recipe:
    """How photos are made worse; by itself it makes them small. A subclass says more in `change`.

    path_lr   the folder that is written     size     of the shorter side; None keeps the photo's
    path_hr   the folder of the photos       quality  of the JPEG, 1..100; a pair (low, high)
                                                      draws one for each photo

    Neither folder may be in the other (DataError), so that no photo can be written over.
    """

    path_lr: Path
    path_hr: Path
    size: int | None = None
    quality: int | tuple[int, int] = 95
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        self.path_lr = check_path(self._name, "path_lr", self.path_lr)
        self.path_hr = check_path(self._name, "path_hr", self.path_hr)
        _check_apart(self._name, self.path_lr, self.path_hr)
        if self.size is not None:
            check_count(self._name, "size", self.size, least=1)
        check_count(self._name, "seed", self.seed)
        pair = (self.quality,) * 2 if isinstance(self.quality, int) else self.quality
        _check_range(self._name, "quality", pair, 1, 100)

    @property
    def _name(self) -> str:
        """What messages call it."""
        return type(self).__name__

    def __call__(self, fn: str | Path, i: int | None = None) -> None:
        """Write the changed photo. DataError where `fn` is no photo, OSError where it cannot."""
        place = self.destination(fn)
        image, quality = self.change(self.resized(read_rgb(fn, self._name)), self.rng(fn))
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality)
        write_atomically(place, content.getvalue(), self._name)

    def change(self, image: Any, rng: np.random.Generator) -> tuple[Any, int]:
        """(what becomes of an RGB image that is resized already, the JPEG's quality)."""
        return image, self.drawn_quality(rng)

    def drawn_quality(self, rng: np.random.Generator) -> int:
        """The quality, or one of its range by chance, both ends among them."""
        low, high = (self.quality,) * 2 if isinstance(self.quality, int) else self.quality
        return int(rng.integers(low, high, endpoint=True))

    def resized(self, image: Any) -> Any:
        """The image with its shorter side `size`, bilinear; averaged where it shrinks."""
        from PIL import Image

        size = self.size_of(*image.size)
        return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) that a photo of this size gets."""
        if self.size is not None:
            width, height = _scaled(width, height, self.size, use_min=True)
        return min(width, LONGEST), min(height, LONGEST)

    def rng(self, fn: str | Path) -> np.random.Generator:
        """The photo's own stream: of the seed and its name below `path_hr`."""
        name = os.fsencode(self._below(fn).as_posix())
        return np.random.default_rng([self.seed, *hashlib.sha256(name).digest()])

    def destination(self, fn: str | Path) -> Path:
        """Where the changed photo goes: ``path_lr/x/a.jpg`` for ``path_hr/x/a.jpg``."""
        name = self._below(fn)
        kept = name.suffix.lower() in JPEG
        return self.path_lr / (name if kept else name.with_name(name.name + ".jpg"))

    def original_of(self, lr_file: str | Path) -> Path:
        """The photo that a changed one was made from; see the function `original_of`."""
        return original_of(lr_file, self.path_lr, self.path_hr)

    def description(self) -> dict[str, Any]:
        """The recipe without its folders, as JSON knows it."""
        said = {k: v for k, v in asdict(self).items() if k not in ("path_lr", "path_hr")}
        return json.loads(json.dumps({"recipe": type(self).__name__, **said}))

    def _below(self, fn: str | Path) -> Path:
        file = check_path(self._name, "fn", fn)
        below = file.is_relative_to(self.path_hr)
        if not below or ".." in file.relative_to(self.path_hr).parts:  # it could lead to a photo
            raise DataError(
                f"{self._name}: {fn} is not below {self.path_hr}, so it has no place below "
                f"{self.path_lr}; list the photos from the folder that the recipe was given, and "
                "without '..'"
            )
        return file.relative_to(self.path_hr)


@dataclass
class Crappify(Recipe):
    """The lesson's: shrunk, a number written over it, and saved as badly as the number says.

    The number is q ~ U{10..70}, in white, in Pillow's default font, its upper left corner at
    x ~ U{0..w//2}, y ~ U{0..h//2}; q is also the quality of the JPEG. Without `number`, q is not
    written, but drawn all the same.
    """

    size: int | None = 96
    quality: int | tuple[int, int] = (10, 70)
    number: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.number, bool):
            raise DataError(
                f"{self._name}: number, whether it is written, must be True or False, got "
                f"{self.number!r:.60}"
            )

    def change(self, image: Any, rng: np.random.Generator) -> tuple[Any, int]:
        x, y, q = self._drawn(rng, *image.size)
        if self.number:
            _write(image, (x, y), q, (255, 255, 255))
        return image, q

    def number_of(self, fn: str | Path) -> tuple[int, int, int]:
        """(x, y, q): where in the small picture of a photo the number starts, and the number."""
        return self._drawn(self.rng(fn), *self._small(fn))

    def number_mask(self, fn: str | Path) -> np.ndarray:
        """Which pixels of the small picture the number touches: bool (h, w). From the draws alone:
        the small picture need not be there.
        """
        from PIL import Image

        page = Image.new("L", self._small(fn))
        x, y, q = self.number_of(fn)
        if self.number:
            _write(page, (x, y), q, 255)
        return np.asarray(page) > 0

    def _small(self, fn: str | Path) -> tuple[int, int]:
        return self.size_of(*upright_size(fn, "Crappify"))

    def _drawn(self, rng: np.random.Generator, width: int, height: int) -> tuple[int, int, int]:
        x, y = rng.integers(0, [width // 2, height // 2], endpoint=True).tolist()
        return x, y, self.drawn_quality(rng)


def _write(image: Any, place: tuple[int, int], number: int, fill: Any) -> None:
    from PIL import ImageDraw, ImageFont

    ImageDraw.Draw(image).text(place, str(number), fill=fill, font=ImageFont.load_default())


@dataclass
class ToGrey(Recipe):
    """Without its colours: to learn to give them back."""

    def change(self, image: Any, rng: np.random.Generator) -> tuple[Any, int]:
        return image.convert("L").convert("RGB"), self.drawn_quality(rng)


@dataclass
class CutOut(Recipe):
    """With grey rectangles in it, each side 10 to 40% of the picture's: to learn to fill them.

    `holes` is how many, a pair (fewest, most).
    """

    holes: tuple[int, int] = (1, 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("CutOut", "holes", self.holes, 0, 100)

    def change(self, image: Any, rng: np.random.Generator) -> tuple[Any, int]:
        for box in self._boxes(rng, *image.size):
            image.paste((128, 128, 128), box)
        return image, self.drawn_quality(rng)

    def hole_mask(self, fn: str | Path) -> np.ndarray:
        """Which pixels of the changed picture are missing: bool (h, w), from the draws alone."""
        width, height = self.size_of(*upright_size(fn, "CutOut"))
        mask = np.zeros((height, width), bool)
        for left, top, right, bottom in self._boxes(self.rng(fn), width, height):
            mask[top:bottom, left:right] = True
        return mask

    def _boxes(self, rng: np.random.Generator, width: int, height: int) -> list[tuple[int, ...]]:
        boxes, sides = [], np.array([width, height])
        for _ in range(rng.integers(*self.holes, endpoint=True)):
            wide = np.maximum(1, (rng.uniform(0.1, 0.4, 2) * sides).astype(int))
            corner = (rng.random(2) * (sides - wide + 1)).astype(int)
            boxes.append((*corner.tolist(), *(corner + wide).tolist()))
        return boxes


@dataclass
class LineDrawing(Recipe):
    """Its edges as dark lines on white: to learn to paint."""

    def change(self, image: Any, rng: np.random.Generator) -> tuple[Any, int]:
        from PIL import Image, ImageFilter, ImageOps

        width, height = image.size
        smooth = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(1)))
        # the filter leaves the outermost pixels as they are, so they must not be the picture's
        wider = Image.fromarray(np.pad(smooth, 1, mode="edge"))
        edges = wider.filter(ImageFilter.FIND_EDGES).crop((1, 1, width + 1, height + 1))
        lines = ImageOps.invert(ImageOps.autocontrast(edges, cutoff=(0, 1)))
        return lines.convert("RGB"), self.drawn_quality(rng)


# the lesson's names for making one
crappify, to_grey, cut_out, line_drawing = Crappify, ToGrey, CutOut, LineDrawing


class _ResizeOne(Recipe):
    _name = "resize_one"


def resize_one(fn: str | Path, i: int, path: Path, path_hr: Path, size: int) -> None:
    """The lesson's other recipe: the shorter side `size`, JPEG quality 60, nothing written on it.

    ``parallel(partial(resize_one, path=path / "small-96", path_hr=path_hr, size=96), files)``
    """
    _ResizeOne(check_path("resize_one", "path", path), path_hr, size, quality=60)(fn, i)


def original_of(lr_file: str | Path, path_lr: str | Path, path_hr: str | Path) -> Path:
    """The photo below `path_hr` that a changed one below `path_lr` was made from.

    ``a.jpg`` was ``a.jpg``, and ``a.png.jpg`` was ``a.png``. DataNotFound where neither is there.
    """
    lr_file = check_path("original_of", "lr_file", lr_file)
    path_lr = check_path("original_of", "path_lr", path_lr)
    path_hr = check_path("original_of", "path_hr", path_hr)
    if not lr_file.is_relative_to(path_lr):
        raise DataError(f"original_of: {lr_file} is not below {path_lr}; check both paths")
    same = path_hr / lr_file.relative_to(path_lr)
    for candidate in (same, same.with_suffix("")):
        if candidate.is_file():
            return candidate
    raise DataNotFound(
        f"original_of: {lr_file} was made from {same} or {same.with_suffix('').name}, and neither "
        "is there (any more); check path_hr"
    )


def _check_range(function: str, name: str, pair: Any, least: int, most: int) -> None:
    right = isinstance(pair, tuple | list) and [type(end) for end in pair] == [int, int]
    if not right or not least <= pair[0] <= pair[1] <= most:
        raise DataError(
            f"{function}: {name} must be two whole numbers, the lower first, from {least} to "
            f"{most}, got {pair!r}"
        )


def _check_apart(function: str, path_lr: Path, path_hr: Path) -> None:
    low, high = path_lr.resolve(), path_hr.resolve()
    if low.is_relative_to(high) or high.is_relative_to(low):
        raise DataError(
            f"{function}: the pictures would be written to {path_lr}, and the photos are in "
            f"{path_hr}; neither may be in the other, or photos could be written over"
        )
