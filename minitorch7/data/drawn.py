"""Digits drawn on the spot, for when MNIST is out of reach.

Pillow's own font gives ten clean glyphs in four weights. Each picture takes one of them and looks
it up through a warped grid: every output pixel asks where in the glyph its ink comes from. The warp
is what makes two drawn 7s differ: size, place, slant, turn, and a slow wave that bends the strokes.
"""

from __future__ import annotations

import numpy as np

from .errors import check_count
from .items import ImageList
from .progress import progress

SIDE = 28  # of the pictures made
GLYPH = 64  # side of the glyph pictures they are made from
HEIGHT = 40  # of a glyph in them
WEIGHTS = (0, 1, 2, 3)  # stroke widths added to the font's own
CHUNK = 1000  # pictures made at a time: some 40 MB of work space


def drawn_digits(n_train: int = 60_000, n_valid: int = 10_000, seed: int = 0) -> ImageList:
    """Drawn digits under MNIST's names: ``training/7/00015.png``, ``testing/3/00002.png``.

    Grey, 28 x 28, ink 255 on 0, classes as even as the counts allow. One seed draws the same digits
    with the same release of Pillow. A progress bar shows where it takes more than a second.
    """
    check_count("drawn_digits", "n_train", n_train, least=1)
    check_count("drawn_digits", "n_valid", n_valid, least=1)
    check_count("drawn_digits", "seed", seed)
    glyphs = _glyphs()
    parts = {}
    for part, (name, n) in enumerate([("training", n_train), ("testing", n_valid)]):
        labels = np.random.default_rng([seed, part]).permutation(np.arange(n) % 10)
        images = np.empty((n, SIDE, SIDE), np.uint8)
        starts = range(0, n, CHUNK)
        for start in progress(starts, f"drawing {name} digits"):
            chosen = slice(start, start + CHUNK)
            rng = np.random.default_rng([seed, part, 1 + start])
            images[chosen] = _draw(glyphs, labels[chosen], rng)
        parts[name] = images, labels.astype(np.uint8)
    return ImageList.from_arrays(parts)


def _glyphs() -> np.ndarray:
    """The ten digits in each weight, softened, ink 1 on 0: (10, weights, GLYPH, GLYPH)."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    font = ImageFont.load_default(size=1.4 * HEIGHT)  # the digits are 0.7 of a font's size high
    glyphs = np.empty((10, len(WEIGHTS), GLYPH, GLYPH), np.float32)
    for digit in range(10):
        for i, weight in enumerate(WEIGHTS):
            page = Image.new("L", (GLYPH, GLYPH))
            middle = (GLYPH / 2, GLYPH / 2)
            ImageDraw.Draw(page).text(
                middle, str(digit), fill=255, font=font, anchor="mm", stroke_width=weight
            )
            # pictures are half as fine as glyphs: what is finer would break up into dots
            glyphs[digit, i] = np.asarray(page.filter(ImageFilter.GaussianBlur(1.0)))
    return glyphs / 255


def _draw(glyphs: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One picture of each label: (n, SIDE, SIDE) uint8."""
    n = len(labels)

    def between(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)

    # output pixels as offsets from the digit's own place near the middle, in output pixels
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    y, x = axis[:, None] - between(-1.5, 1.5), axis - between(-2, 2)  # (n, SIDE, 1), (n, 1, SIDE)
    # one output pixel is GLYPH / SIDE glyph pixels for a digit 17.5 pixels high
    zoom = GLYPH / SIDE
    scale_y, scale_x = zoom / between(0.8, 1.2), zoom / between(0.75, 1.25)
    turn, slant = between(-0.2, 0.2), between(-0.1, 0.3)  # radians; columns a row
    cos, sin = np.cos(turn), np.sin(turn)
    v = scale_y * (cos * y - sin * x)  # (n, SIDE, SIDE)
    u = scale_x * (sin * y + cos * x) + slant * v
    # a wave along the other axis bends strokes by up to 2 glyph pixels, as a hand does
    bend_u = between(0, 2.2) * np.sin(v * between(0.06, 0.13) + between(0, 2 * np.pi))
    bend_v = between(0, 2.2) * np.sin(u * between(0.06, 0.13) + between(0, 2 * np.pi))
    which = labels * len(WEIGHTS) + rng.integers(len(WEIGHTS), size=n)
    ink = _look_up(glyphs, which, v + bend_v, u + bend_u)
    # pressure: thin the soft rim or fill it; then the grain of a scanner
    ink = np.clip((ink - between(0.0, 0.2)) * between(1.3, 2.5), 0, 1) * between(0.8, 1)
    grain = rng.standard_normal(ink.shape, np.float32) * between(0, 0.06)
    return np.clip(255 * (ink + grain), 0, 255).astype(np.uint8)


def _look_up(glyphs: np.ndarray, which: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Bilinear samples of glyph which[i] at offsets (v[i], u[i]) from its middle: (n, SIDE, SIDE).

    Beyond its edges, where there is no ink, a glyph goes on as it ends.
    """
    side = GLYPH
    v, u = (np.clip(offset + (side - 1) / 2, 0, side - 1.001) for offset in (v, u))
    top, left = v.astype(np.int32), u.astype(np.int32)
    dv, du = v - top, u - left
    flat = glyphs.ravel()
    at = which.astype(np.int32)[:, None, None] * (side * side) + top * side + left
    upper = flat[at] * (1 - du) + flat[at + 1] * du
    lower = flat[at + side] * (1 - du) + flat[at + side + 1] * du
    return upper * (1 - dv) + lower * dv
