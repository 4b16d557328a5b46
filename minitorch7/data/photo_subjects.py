"""What drawn photos are of: a furry animal that looks at the camera, or a few things."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .photo_backgrounds import PLACES
from .photo_page import Page, Round, Window, looked_up, pick, rgb, tile

FURS = np.array(  # red, green, blue
    [
        [0.78, 0.52, 0.27],
        [0.42, 0.38, 0.35],
        [0.88, 0.84, 0.77],
        [0.24, 0.21, 0.20],
        [0.55, 0.36, 0.21],
        [0.66, 0.60, 0.52],
        [0.83, 0.69, 0.47],
        [0.50, 0.51, 0.55],
    ]
)
EYES = np.array([[0.75, 0.58, 0.12], [0.45, 0.60, 0.20], [0.30, 0.18, 0.08], [0.35, 0.55, 0.70]])


# ---------------------------------------------------------------------------------------- animals


@dataclass
class Coat:
    """A fur: its colours, its pattern, how long and how coarse its hairs are."""

    rng: np.random.Generator

    def __post_init__(self) -> None:
        rng = self.rng
        self.base, self.other = pick(rng, FURS), pick(rng, FURS)
        self.pattern = rng.choice(["plain", "stripes", "patches"])
        self.many = rng.uniform(8, 20)  # stripes
        self.length, self.width = rng.uniform(7, 26), rng.uniform(0.9, 1.6)
        self.strength = rng.uniform(0.10, 0.24)

    def colour(self, part: Round, radial: bool) -> np.ndarray:
        """The fur of a part of the body, lit: (3, h, w)."""
        hairs = part.hairs(radial, self.length, self.width)
        if self.pattern == "plain":
            mix = 0.25 + 0.25 * part.page.clouds(1.6, part.at)
        elif self.pattern == "stripes":
            bend = 0.35 * part.page.clouds(1.8, part.at) + 0.05 * hairs
            mix = 0.5 + 1.5 * np.sin(self.many * (part.u + 0.6 * part.v**2 + bend))
        else:
            mix = 5 * (part.page.clouds(1.8, part.at) + 0.08 * hairs) + 0.5
        mix = np.clip(mix, 0, 1)
        fur = self.base + (self.other - self.base) * mix
        return fur * (part.shade() * (1 + self.strength * hairs))


def animal(page: Page) -> None:
    """A cat-like or dog-like one, looking at the camera."""
    rng = page.rng
    coat, r = Coat(rng), rng.uniform(0.17, 0.30)
    x, y = rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.05)
    tilt, cat = rng.normal(0, 0.15), rng.random() < 0.5
    side = rng.choice([-1, 1])
    shadow = Round(page, x + side * 0.7 * r, y + 3.0 * r, 2.6 * r, 0.7 * r)
    page.paint(shadow.at, rgb(0.05, 0.05, 0.06), 0.6 * shadow.cover(soft=60 * r))
    back = Round(
        page,
        x + side * rng.uniform(0.5, 1.3) * r,
        y + rng.uniform(1.4, 1.9) * r,
        rng.uniform(1.4, 2.0) * r,
        rng.uniform(1.2, 1.6) * r,
        side * rng.uniform(0.1, 0.5),
        0.07,
    )
    chest = Round(page, x, y + 1.7 * r, 1.5 * r, rng.uniform(0.8, 1.0) * r, np.pi / 2, 0.06)
    for part, dim in ((back, 0.85), (chest, 0.95)):
        page.paint(part.at, coat.colour(part, radial=False) * dim, part.cover())
    _head(page, coat, x, y, r, tilt, cat)


def _head(page: Page, coat: Coat, x: float, y: float, r: float, tilt: float, cat: bool) -> None:
    rng = page.rng
    cos, sin = math.cos(tilt), math.sin(tilt)

    def at(u: float, v: float) -> tuple[float, float]:
        """A place on the face, in radii from its middle."""
        return x + r * (u * cos - v * sin), y + r * (u * sin + v * cos)

    floppy = not cat and rng.random() < 0.7
    if not floppy:
        for s in (-1, 1):
            _pointed_ear(page, coat, at, s, cat)
    wide = rng.uniform(1.0, 1.12) if cat else rng.uniform(0.85, 1.0)
    head = Round(page, x, y, wide * r, r, tilt, 0.05)
    page.paint(head.at, coat.colour(head, radial=True), head.cover())
    if floppy:
        drop = rng.uniform(0.1, 0.5)
        for s in (-1, 1):
            ear = Round(page, *at(s * 0.92, drop), 0.3 * r, 0.75 * r, tilt - s * 0.25, 0.04)
            page.paint(ear.at, coat.colour(ear, radial=False) * 0.75, ear.cover())
    pale = coat.base * 0.4 + 0.52
    long = 0.42 if cat else rng.uniform(0.45, 0.6)
    muzzle = Round(page, *at(0, 0.45), 0.48 * r, long * r, tilt, 0.05)
    fur = pale * (muzzle.shade(0.6) * (1 + 0.12 * muzzle.hairs(True, 8, 1.2)))
    page.paint(muzzle.at, fur, np.clip(1.6 * (1 - muzzle.rho), 0, 1) * 0.8)
    _eyes(page, at, r, tilt, cat)
    _nose_and_mouth(page, at, r, tilt, cat)


def _pointed_ear(page: Page, coat: Coat, at: Any, s: int, cat: bool) -> None:
    """A triangle with a paler one in it, drawn by Pillow and cut out of a furry ellipse."""
    high = page.rng.uniform(1.25, 1.5) if cat else page.rng.uniform(1.2, 1.6)
    corners = [at(s * 0.92, -0.25), at(s * 0.25, -0.85), at(s * 0.78, -high)]
    middle = np.mean(corners, axis=0)
    reach = max(np.hypot(*(np.array(corner) - middle)) for corner in corners)
    part = Round(page, *middle, reach, reach, 0.3 * s)
    cover = _polygon(page, part.at, corners, 0.6)
    page.paint(part.at, coat.colour(part, radial=False) * 0.85, cover)
    inner = [middle + 0.6 * (np.array(corner) - middle) for corner in corners]
    skin = rgb(0.72, 0.48, 0.42) * 0.6 + 0.35 * coat.base
    lit = 0.8 + 0.12 * part.hairs(False, 20, 1.5)
    page.paint(part.at, skin * lit, _polygon(page, part.at, inner, 2.5))


def _polygon(page: Page, at: Window, corners: Any, soft: float) -> np.ndarray:
    """How much of each pixel of a window is in a polygon, its edges blurred by `soft` pixels."""
    from PIL import Image, ImageDraw, ImageFilter

    (rows, columns), pixels = at, np.array([_pixel(page, corner) for corner in corners])
    mask = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    inside = [tuple(point) for point in pixels - (columns.start, rows.start)]
    ImageDraw.Draw(mask).polygon(inside, fill=255)
    return _unit(mask.filter(ImageFilter.GaussianBlur(soft)))


def _pixel(page: Page, point: Any) -> tuple[float, float]:
    return point[0] * page.unit + page.width / 2, point[1] * page.unit + page.height / 2


def _eyes(page: Page, at: Any, r: float, tilt: float, cat: bool) -> None:
    rng = page.rng
    iris = pick(rng, EYES if cat else EYES[2:], 0.03)
    apart, size = rng.uniform(0.38, 0.46), rng.uniform(0.14, 0.19) * (1.15 if cat else 0.85)
    slit, glint = rng.uniform(0.25, 0.8) if cat else 0.75, rng.uniform(-0.3, 0.3, 2)
    for s in (-1, 1):
        x, y = at(s * apart, -0.1)
        rim = Round(page, x, y, 1.3 * size * r, 1.12 * size * r, tilt + s * 0.25)
        page.paint(rim.at, rgb(0.06, 0.05, 0.05), rim.cover(2.0))
        ball = Round(page, x, y, 1.05 * size * r, 0.95 * size * r, tilt + s * 0.25)
        ringed = iris * (0.6 + 0.6 * ball.rho)
        page.paint(ball.at, ringed, ball.cover(1.5))
        pupil = Round(page, x, y, slit * 0.75 * size * r, 0.8 * size * r, tilt)
        page.paint(pupil.at, rgb(0.02, 0.02, 0.02), pupil.cover(1.5))
        shine = [0.28 * size * r] * 2
        spot = Round(page, x + glint[0] * size * r, y - 0.4 * size * r, *shine)
        page.paint(spot.at, rgb(0.97, 0.98, 1.0), spot.cover(1.2))


def _nose_and_mouth(page: Page, at: Any, r: float, tilt: float, cat: bool) -> None:
    rng, (x, y) = page.rng, at(0, 0)
    skin = rgb(0.62, 0.38, 0.36) if cat and rng.random() < 0.6 else rgb(0.09, 0.09, 0.09)
    big = 0.11 if cat else rng.uniform(0.14, 0.2)
    nose = Round(page, *at(0, 0.3), 1.25 * big * r, 0.85 * big * r, tilt)
    page.paint(nose.at, skin * nose.shade(0.4), nose.cover(1.5))
    gleam = Round(page, *at(-0.02, 0.3 - 0.35 * big), 0.4 * big * r, 0.18 * big * r, tilt)
    page.paint(gleam.at, rgb(0.8, 0.8, 0.8), 0.5 * gleam.cover(3))
    face = page.window(x, y, 2 * r)
    thick = max(1, round(0.02 * r * page.unit))
    lip = [(0.28 * t, 0.58 + 0.14 * math.sin(math.pi * t)) for t in np.linspace(0, 1, 8).tolist()]
    curves = [[(0, 0.3), (0, 0.58)], lip, [(-u, v) for u, v in lip]]
    page.paint(face, rgb(0.1, 0.07, 0.06), _lines(page, face, at, curves, thick, 200))
    if cat:
        page.paint(face, rgb(0.95, 0.94, 0.9), _lines(page, face, at, _whiskers(rng), 1, 170))


def _whiskers(rng: np.random.Generator) -> list[list[tuple[float, float]]]:
    """Five curves a side, in radii from the middle of the face."""
    curves = []
    for side in (-1, 1):
        for lift, far in zip(rng.uniform(-0.35, 0.35, 5), rng.uniform(0.8, 1.4, 5), strict=True):
            curve = [(0.22 + far * t, 0.48 + lift * t + 0.15 * t * t) for t in np.linspace(0, 1, 7)]
            curves.append([(side * u, v) for u, v in curve])
    return curves


def _lines(page: Page, window: Window, at: Any, curves: Any, thick: int, ink: int) -> np.ndarray:
    """How much of each pixel of a window is under these curves."""
    from PIL import Image, ImageDraw

    rows, columns = window
    mask = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    for curve in curves:
        pixels = np.array([_pixel(page, at(*point)) for point in curve])
        points = [tuple(point) for point in pixels - (columns.start, rows.start)]
        ImageDraw.Draw(mask).line(points, fill=ink, width=thick)
    return _unit(mask)


def _unit(mask: Any) -> np.ndarray:
    return np.asarray(mask, np.float32) / 255


# ----------------------------------------------------------------------------------------- things


def things(page: Page) -> None:
    """A few round things on the ground: fruit, balls, stones, flowers."""
    rng = page.rng
    for y in np.sort(rng.uniform(-0.1, 0.4, rng.integers(2, 7))):  # from the back
        x, r = rng.uniform(-0.45, 0.45), rng.uniform(0.07, 0.2)
        shadow = Round(page, x - 0.3 * page.light[0] * r, y + 0.9 * r, 1.2 * r, 0.4 * r)
        page.paint(shadow.at, rgb(0.04, 0.04, 0.05), 0.65 * shadow.cover(soft=40 * r))
        kind = rng.integers(4)
        if kind == 3:
            _flower(page, x, y, r)
            continue
        ball = Round(page, x, y, r, r * rng.uniform(0.8, 1.05), rng.uniform(-1, 1))
        skin = _skin(page, ball, kind)
        page.paint(ball.at, skin * ball.shade(0.35), ball.cover())
        if kind != 1:
            shine = Round(
                page, x + 0.4 * r * page.light[0], y + 0.5 * r * page.light[1], 0.22 * r, 0.15 * r
            )
            page.paint(shine.at, rgb(1.0, 1.0, 0.98), 0.6 * shine.cover(soft=25 * r))


def _skin(page: Page, ball: Round, kind: int) -> np.ndarray:
    rng = page.rng
    colour = pick(rng, np.array([[0.8, 0.2, 0.15], [0.85, 0.6, 0.15], [0.5, 0.65, 0.2]]), 0.1)
    noise = page.clouds(1.3, ball.at)
    if kind == 0:  # fruit: specks, and a blush
        specks = np.clip(4 * page.clouds(0.4, ball.at) - 6, 0, 1)
        mix = np.clip(0.5 + 0.5 * noise, 0, 1)
        blush = colour * mix + rgb(0.85, 0.7, 0.25) * (1 - mix)
        return blush + 0.2 * specks
    if kind == 1:  # stone
        grey = pick(rng, PLACES[3:6])
        return grey * (1 + 0.2 * noise + 0.15 * page.clouds(0.5, ball.at))
    other = pick(rng, PLACES)  # a ball with stripes
    mix = np.clip(8 * np.sin(rng.uniform(4, 9) * ball.u / (1.2 - 0.5 * ball.v**2)), 0, 1)
    return colour + (other - colour) * mix


def _flower(page: Page, x: float, y: float, r: float) -> None:
    rng = page.rng
    petal = pick(rng, np.array([[0.9, 0.75, 0.2], [0.85, 0.4, 0.5], [0.92, 0.9, 0.88]]), 0.06)
    many, turn = rng.integers(5, 12), rng.uniform(0, np.pi)
    for angle in turn + np.arange(many) * 2 * np.pi / many:
        leaf = Round(
            page, x + 0.6 * r * np.cos(angle), y + 0.6 * r * np.sin(angle), 0.5 * r, 0.22 * r, angle
        )
        veins = 0.07 * looked_up(tile(0.3, 1.2), leaf.u * 4, leaf.v * leaf.pixels / 2)
        lit = leaf.shade(0.6) * (0.75 + 0.3 * np.clip(leaf.u + 0.5, 0, 1) + veins)
        page.paint(leaf.at, petal * lit, leaf.cover())
    heart = Round(page, x, y, 0.25 * r, 0.25 * r)
    seeds = 1 + 0.35 * page.clouds(0.2, heart.at)
    page.paint(heart.at, rgb(0.45, 0.3, 0.1) * seeds, heart.cover())
