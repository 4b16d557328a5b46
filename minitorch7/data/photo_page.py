"""What drawn photos are made of: noise, a page to lay colours on, ellipses with light and fur.

Lengths are in parts of the picture's shorter side, x to the right and y downwards from the middle.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

TILE = 512  # side of the noise that textures are cut from; it has no seams

Window = tuple[slice, slice]  # rows and columns of a page


@functools.cache
def tile(slope: float, finest: float) -> np.ndarray:
    """Noise (TILE, TILE) of mean 0 and deviation 1, without seams, the same in every process.

    Its amplitude falls as 1/f^slope, and what is finer than `finest` pixels is smoothed away.
    """
    f = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE))
    f[0, 0] = 1.0
    white = np.fft.rfft2(np.random.default_rng(7).standard_normal((TILE, TILE)))
    noise = np.fft.irfft2(white * f**-slope * np.exp(-((finest * f) ** 2)))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def looked_up(noise: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The tile's values at rows and columns of any size: it goes on for ever."""
    wrapped = (row.astype(np.int32) & (TILE - 1)) * TILE + (column.astype(np.int32) & (TILE - 1))
    return noise.ravel().take(wrapped)


class Page:
    """The picture so far, (3, H, W) in 0..1, and where its pixels are."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng, self.height, self.width, self.unit = rng, height, width, min(height, width)
        self.y = ((np.arange(height, dtype=np.float32) - height / 2) / self.unit)[:, None]
        self.x = (np.arange(width, dtype=np.float32) - width / 2) / self.unit
        self.rgb = np.zeros((3, height, width), np.float32)
        self.everywhere = slice(0, height), slice(0, width)
        angle = rng.uniform(0, 2 * np.pi)
        self.light = 0.6 * math.cos(angle), -0.5 - 0.2 * math.sin(angle), 0.6  # x, y, z
        self.top, self.left = rng.integers(TILE, size=2)  # so that no two pictures share noise

    def clouds(self, slope: float, at: Window | None = None) -> np.ndarray:
        """Noise (h, w) with detail at every scale; from another place of the tile each time."""
        self.top, self.left = self.top + 173, self.left + 211
        rows, columns = self.everywhere if at is None else at
        down = np.arange(rows.start, rows.stop) + self.top
        right = np.arange(columns.start, columns.stop) + self.left
        return tile(slope, 1.5).take(down, 0, mode="wrap").take(right, 1, mode="wrap")

    def window(self, x: float, y: float, reach: float) -> Window:
        """The rows and columns within `reach` of a point."""
        ends = []
        for middle, side in ((y, self.height), (x, self.width)):
            first = int((middle - reach) * self.unit + side / 2)
            last = int((middle + reach) * self.unit + side / 2) + 1
            ends.append(slice(min(max(first, 0), side), min(max(last, 0), side)))
        return ends[0], ends[1]

    def paint(self, at: Window, colour: Any, cover: np.ndarray) -> None:
        """Lay `colour`, (3, 1, 1) or (3, h, w), over a window, as far as `cover` (h, w) says."""
        under = self.rgb[:, *at]
        under += (colour - under) * cover

    def cover_all(self, colour: Any, cover: np.ndarray) -> None:
        """`paint` on the whole page."""
        self.paint(self.everywhere, colour, cover)


@dataclass
class Round:
    """An ellipse on a page, tilted, with what is needed to shade and cover it.

    u, v     a pixel's place along its axes, 1 at the rim       rho  its distance, 1 at the rim
    """

    page: Page
    x: float
    y: float
    rx: float
    ry: float
    tilt: float = 0.0
    ragged: float = 0.0  # how far hairs stand out of the rim, in radii

    def __post_init__(self) -> None:
        for name in ("x", "y", "rx", "ry", "tilt"):
            setattr(self, name, float(getattr(self, name)))  # NumPy's would make float64 of all
        page, reach = self.page, max(self.rx, self.ry) * (1.05 + 2 * self.ragged)
        self.at = page.window(self.x, self.y, reach)
        dy, dx = page.y[self.at[0]] - self.y, page.x[self.at[1]] - self.x
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        self.u = (dx * cos + dy * sin) / self.rx
        self.v = (dy * cos - dx * sin) / self.ry
        self.rho = np.sqrt(self.u**2 + self.v**2)

    @property
    def pixels(self) -> float:
        """The mean radius in pixels."""
        return self.page.unit * (self.rx + self.ry) / 2

    def cover(self, soft: float = 1.0) -> np.ndarray:
        """How much of each pixel is inside, the rim `soft` pixels wide, ragged where hairs end."""
        rho = self.rho
        if self.ragged:
            angle = np.arctan2(self.v, self.u)
            hairs = looked_up(tile(0.6, 1.0), self.pixels * rho / 14, self.pixels * angle / 1.6)
            rho = rho - self.ragged * 0.5 * hairs
        return np.clip((1 - rho) * self.pixels / soft + 0.5, 0, 1)

    def shade(self, ambient: float = 0.5) -> np.ndarray:
        """Light on it as on a ball (Lambert), 0..1 and a little more."""
        (lx, ly, lz), cos, sin = self.page.light, math.cos(self.tilt), math.sin(self.tilt)
        lu, lv = lx * cos + ly * sin, ly * cos - lx * sin  # along the ellipse's own axes
        z = np.sqrt(np.clip(1 - self.rho**2, 0, 1))
        return ambient + (1 - ambient) * 1.4 * np.clip(self.u * lu + self.v * lv + z * lz, 0, 1)

    def hairs(self, radial: bool, length: float, width: float) -> np.ndarray:
        """Strands (h, w), deviation about 1: away from the middle, or along u.

        Each column of the tile is one strand, and begins anywhere: none ends beside the next.
        """
        wave = self.page.clouds(1.6, self.at)
        if radial:
            along = self.rho * self.pixels
            across = np.arctan2(self.v, self.u + 0.25) * self.pixels
        else:
            along, across = self.u * self.pixels, self.v * self.pixels
        across = across + 5 * wave
        fine, start = tile(0.3, 1.2), starts()
        total = 0.0
        for scale, strength in ((1.0, 0.75), (2.7, 0.65)):  # hairs, and tufts of them
            column = (across / (width * scale)).astype(np.int32) & (TILE - 1)
            row = along / (length * scale) + start[column]
            total = total + strength * looked_up(fine, row, column)
        return total


@functools.cache
def starts() -> np.ndarray:
    """Where in the tile each strand, board or brick begins, (TILE,): the same in every process."""
    return np.random.default_rng(8).uniform(0, TILE, TILE).astype(np.float32)


# ---------------------------------------------------------------------------------------- colours


def pick(rng: np.random.Generator, colours: np.ndarray, jitter: float = 0.05) -> np.ndarray:
    """One of the colours, a little changed, mostly in how light it is: (3, 1, 1)."""
    changed = colours[rng.integers(len(colours))] + rng.normal(0, jitter)
    changed = np.clip(changed + rng.normal(0, jitter / 3, 3), 0.03, 0.97)
    return changed.astype(np.float32)[:, None, None]


def rgb(red: float, green: float, blue: float) -> np.ndarray:
    """A colour as `pick` gives one."""
    return np.array([red, green, blue], np.float32)[:, None, None]
