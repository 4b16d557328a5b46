"""Photo-like pictures drawn on the spot, for when the Pet photos are out of reach.

Restoring needs what photos have and flat drawings lack: sharp edges beside smooth gradients, fine
texture that follows a form, and detail at every scale, about as much at one as at the next (a
spectrum of roughly 1/f). So each picture is a furry animal or a few things before a background, lit
from one side, out of focus at the back, and seen through a lens and a sensor. `photo_page` has what
all of it is drawn with, `photo_backgrounds` and `photo_subjects` what there is to see.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import write_atomically
from .errors import check_count, check_path
from .parallel import parallel
from .photo_backgrounds import BACKGROUNDS
from .photo_page import Page, rgb
from .photo_subjects import animal, things
from .sizes import checked_size

FINER = 2  # pixels drawn for one of the picture, each way
QUALITY = 92  # of the JPEGs
ENOUGH = 100  # pictures that are worth starting processes for


def drawn_photos(
    folder: str | Path,
    n: int = 300,
    size: tuple[int, int] = (192, 192),
    seed: int = 0,
    max_workers: int | None = None,
) -> Path:
    """The folder, below `folder`, with `n` drawn photos: ``folder/192x192-seed-0-300/00000.jpg``.

    JPEG in RGB; `size` is (height, width). Picture i depends on the seed, the size and i alone,
    with one release of NumPy and Pillow. Each file is written whole or not at all, and those that
    are there are left alone, so a run that was stopped goes on.
    """
    check_count("drawn_photos", "n", n, least=1)
    check_count("drawn_photos", "seed", seed)
    folder = check_path("drawn_photos", "folder", folder)
    shape = checked_size(size, function="drawn_photos")
    height, width = shape.height, shape.width
    out = folder / f"{height}x{width}-seed-{seed}-{n}"
    todo = [i for i in range(n) if not _file(out, i).exists()]
    few = 1 if max_workers is None and len(todo) < ENOUGH else max_workers
    parallel(_Draw(out, height, width, seed), todo, few, "drawing photos")
    return out


def _file(out: Path, number: int) -> Path:
    return out / f"{number:05d}.jpg"


@dataclass
class _Draw:
    """Draws photo `number` and writes it."""

    out: Path
    height: int
    width: int
    seed: int

    def __call__(self, number: int, place: int) -> None:
        from PIL import Image

        rng = np.random.default_rng([self.seed, number])
        content = io.BytesIO()
        picture = Image.fromarray(draw_photo(rng, self.height, self.width))
        picture.save(content, "JPEG", quality=QUALITY, subsampling=0)
        write_atomically(_file(self.out, number), content.getvalue(), "drawn_photos")


def draw_photo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """One picture, uint8 (height, width, 3)."""
    page = Page(rng, height * FINER, width * FINER)
    BACKGROUNDS[rng.integers(len(BACKGROUNDS))](page)
    if rng.random() < 0.7:
        animal(page)
    else:
        things(page)
    return photograph(page, height, width)


def photograph(page: Page, height: int, width: int) -> np.ndarray:
    """Shrunk to uint8 (height, width, 3): uneven light, dark corners, a lens, a sensor."""
    from PIL import Image, ImageFilter

    rng = page.rng
    y, x = 2 * page.y[::FINER], 2 * page.x[::FINER]
    slope_y, slope_x, dark = (*rng.uniform(-0.12, 0.12, 2).tolist(), rng.uniform(0, 0.15))
    light = (1 + slope_x * x + slope_y * y - dark * (x**2 + y**2)) * rng.uniform(0.85, 1.2)
    warm = rgb(1, 0.2, -1) * rng.uniform(-0.08, 0.08) + 1
    pieces = [page.rgb[:, i::FINER, j::FINER] for i in range(FINER) for j in range(FINER)]
    shown = sum(pieces) * (light * warm / FINER**2)
    shown += rng.uniform(0.0, 0.4) * (shown - 0.45)  # contrast
    exposed = np.clip(255 * shown, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    blurred = Image.fromarray(exposed).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.7)))
    noise = rng.standard_normal((height, width, 3), np.float32) * rng.uniform(0.5, 4)
    return np.clip(np.asarray(blurred) + noise, 0, 255).astype(np.uint8)
