"""Streets drawn on the spot, with the class of every pixel, for when CamVid is out of reach.

Each is a street in perspective (`street_page`), furnished by chance (`street_parts` and
`street_traffic`) from the far end to the near one, then given what flat colours lack: the grain of
asphalt, bricks and leaves, clouds, shadows, a lens and a sensor. It is drawn larger than asked for,
and shrunk, as a camera sees it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from . import street_parts as parts
from . import street_traffic as traffic
from .camvid import CAMVID_CODES, SegmentationSource
from .errors import check_count
from .pixels import ArrayPixels
from .progress import progress
from .segmentation import SegmentationItemList
from .sizes import checked_size
from .street_page import BUILDING, PAVEMENT, ROAD, SKY, TREE, Page

FINER = 3  # pixels drawn for one of the picture, each way
FAR = 90.0  # metres to the end of the street
# how much the surface of each class varies: by the single pixel, by patches; in parts of its colour
GRAIN = np.array([0.0, 0.05, 0.03, 0.06, 0.05, 0.2, 0.02, 0.08, 0.02, 0.05, 0.05, 0.05])
PATCHES = np.array([0.0, 0.06, 0.03, 0.045, 0.06, 0.3, 0.02, 0.06, 0.04, 0.08, 0.08, 0.08])


def drawn_streets(
    n: int = 300,
    size: tuple[int, int] = (90, 120),
    seed: int = 0,
    n_valid: int | None = None,
) -> SegmentationSource:
    """`n` drawn streets to train on and `n_valid` (a quarter as many) to validate on, with masks.

    The source is used as CamVid's is, and has its 12 classes: ``drawn_streets().labelled()``. RGB,
    `size` is (height, width). Picture i depends on the seed, the size and i alone, with one release
    of Pillow; a progress bar shows where it takes more than a second.
    """
    check_count("drawn_streets", "n", n, least=1)
    check_count("drawn_streets", "seed", seed)
    n_valid = -(-n // 4) if n_valid is None else n_valid
    check_count("drawn_streets", "n_valid", n_valid)
    shape = checked_size(size, function="drawn_streets")
    names = [Path(f"train/{i:05d}.png") for i in range(n)]
    names += [Path(f"valid/{i:05d}.png") for i in range(n_valid)]
    pictures = np.empty((len(names), 3, shape.height, shape.width), np.uint8)
    masks = np.empty((len(names), shape.height, shape.width), np.uint8)
    for i in progress(range(len(names)), "drawing streets"):
        part, number = (0, i) if i < n else (1, i - n)
        rng = np.random.default_rng([seed, part, number])
        pictures[i], masks[i] = draw_street(rng, shape.height, shape.width)
    make = partial(SegmentationItemList, names, ArrayPixels(pictures))
    known = dict(zip(names, masks, strict=True))
    return SegmentationSource(Path("."), make, names[n:], known.__getitem__, list(CAMVID_CODES))


def draw_street(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """One street: (picture (3, height, width), class numbers (height, width)), uint8."""
    page = Page(rng, FINER * height, FINER * width)
    sky(page)
    street(page)
    classes = np.asarray(page.mask)
    picture = _surfaces(page, np.asarray(page.image, np.float32), classes)
    middle = FINER // 2  # of each block of pixels
    return _photograph(rng, picture, height, width), classes[middle::FINER, middle::FINER]


def sky(page: Page) -> None:
    """From the top of the picture to the horizon, clouds included; all else is drawn over it."""
    from PIL import Image

    rng = page.rng
    cover = rng.uniform(0, 1)
    top = np.array([70, 120, 195]) * (1 - cover) + np.array([165, 170, 178]) * cover
    down = np.linspace(0, page.height / page.y0, page.height)[:, None, None]
    haze = np.array(page.haze) * 1.08
    colour = top + (haze - top) * np.clip(down, 0, 1) ** 0.8  # (height, 1, 3)
    clouds = _blobs(rng, page.height, page.width, 5) + 0.6 * _blobs(
        rng, page.height, page.width, 11
    )
    white = np.clip(0.5 * clouds + cover - 0.4, 0, 1)[:, :, None] * rng.uniform(0.3, 0.9)
    shown = (colour * (1 - white) + 245 * white) * page.light
    page.image.paste(Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8)))
    page.mask.paste(SKY, (0, 0, page.width, page.height))


def street(page: Page) -> None:
    """Everything on the ground, from the far end on."""
    rng = page.rng
    left, right = -rng.uniform(2.0, 5.5), rng.uniform(2.0, 5.5)  # the kerbs
    walks = {-1: rng.uniform(1.8, 4.5), 1: rng.uniform(1.8, 4.5)}  # how wide the pavements are
    walls = {-1: left - walks[-1], 1: right + walks[1]}
    sunny = int(rng.choice([-1, 1]))
    shade = {sunny: 1.05, -sunny: rng.uniform(0.6, 0.85)}
    _far_end(page)
    _ground(page, left, right, walls)
    if rng.random() < 0.6:  # the houses' shadow
        reach = rng.uniform(0.5, 3.5)
        edge = walls[-sunny] + sunny * (walks[-sunny] + reach)
        page.ground((walls[-sunny], edge), (1.5, FAR), (10, 12, 30, rng.integers(60, 110)), None)
    behind = _rows(page, walls, shade)  # nothing in the street is hidden by these
    things = _furniture(page, left, right, walks, shade) + _traffic(page, left, right, walks)
    for layer in (behind, things):
        for _, draw in sorted(layer, key=lambda thing: -thing[0]):
            draw()


def _far_end(page: Page) -> None:
    """Roofs and trees where the street ends."""
    rng, u = page.rng, 0.0
    while u < page.width:
        wide, high = rng.uniform(0.04, 0.12) * page.width, rng.uniform(1, 9) * page.f / FAR
        tree = rng.random() < 0.5
        colour = page.colour(parts.pick(rng, parts.LEAVES if tree else parts.BRICKS), FAR)
        box = (u - 0.1 * wide, page.y0 - high, u + wide, page.y0 + 0.03 * page.height)
        if tree:
            page.ellipse((box[0], box[1], box[2], box[3] + high), colour, TREE)
        else:
            corners = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
            page.polygon(corners, colour, BUILDING)
        u += 0.8 * wide


def _ground(page: Page, left: float, right: float, walls: dict[int, float]) -> None:
    rng = page.rng
    stone, asphalt = rng.uniform(130, 175), rng.uniform(78, 118)
    steps = [1.5, 3, 5, 8, 12, 18, 26, 38, 55, FAR, 400]  # in pieces, as the haze thickens
    for near, far in list(zip(steps, steps[1:], strict=False))[::-1]:
        z = (near + min(far, FAR)) / 2
        flags = page.colour([stone, stone * 0.97, stone * 0.93], z)
        page.ground((walls[-1] - 30, walls[1] + 30), (near, far), flags, PAVEMENT)
        tar = page.colour([asphalt, asphalt, asphalt * 1.03], z)
        page.ground((left, right), (near, far), tar, ROAD)
        for kerb in (left, right):
            side = np.sign(kerb)
            pale = page.colour([stone * 1.15] * 3, z)
            page.ground((kerb, kerb + side * 0.18), (near, far), pale, PAVEMENT)
    if right - left > 6:
        traffic.lane_marks(page, (left + right) / 2, FAR, dashed=rng.random() < 0.8)
    if rng.random() < 0.4:
        for kerb in (left + 0.35, right - 0.35):
            traffic.lane_marks(page, kerb, FAR, dashed=False, wide=0.1)
    if rng.random() < 0.25:  # a crossing
        z = rng.uniform(5, 20)
        for x in np.arange(left + 0.3, right - 0.5, 1.0):
            white = page.colour((222, 222, 216), z)
            page.ground((x, x + 0.5), (z, z + 2.5), white, ROAD)


def _rows(page: Page, walls: dict[int, float], shade: dict[int, float]) -> list:
    """Both sides of the street: houses, and gaps with a fence, a hedge, trees behind."""
    rng, things = page.rng, []
    for side in (-1, 1):
        x, z = walls[side], rng.uniform(-6, 1.5)
        leafy = rng.uniform(0.05, 0.5)
        while z < FAR:
            long = rng.uniform(5, 14)
            ends = (max(z, 1.5), z + long)
            if ends[1] > 2.5 and rng.random() > leafy:
                things.append((ends[0], partial(parts.house, page, side, x, ends, shade[side])))
            elif ends[1] > 2.5:
                high, kind = rng.uniform(1.0, 2.0), rng.random()
                row = parts.fence if kind < 0.7 else parts.hedge
                things.append((ends[0], partial(row, page, x, ends, high, shade[side])))
                for at in np.arange(ends[0], ends[1], 3.0):
                    away = x + side * rng.uniform(2.0, 6.0)
                    things.append((at + 0.1, partial(parts.tree, page, away, at + 2, shade[side])))
            z += long
    return things


def _furniture(page, left, right, walks, shade) -> list:
    """Lamp posts, signs, trees and bins along the kerbs."""
    rng, things = page.rng, []
    for side, kerb in ((-1, left), (1, right)):
        x = kerb + side * 0.45
        for z in np.arange(rng.uniform(4, 16), FAR, rng.uniform(14, 24)):
            things.append((z, partial(parts.lamp_post, page, side, x, z)))
        for z in rng.uniform(4, 35, rng.integers(0, 4)):
            things.append((z, partial(parts.sign_post, page, x, z)))
        if rng.random() < 0.45:
            for z in np.arange(rng.uniform(6, 14), FAR, rng.uniform(7, 14)):
                things.append((z, partial(parts.tree, page, x, z, shade[side])))
        for z in rng.uniform(3.5, 20, rng.integers(0, 5)):
            place = kerb + side * rng.uniform(0.6, walks[side])
            things.append((z, partial(parts.litter_bin, page, place, z)))
    return things


def _traffic(page, left, right, walks) -> list:
    """Cars at the kerbs and on the road, people on the pavements, some crossing, some riding."""
    rng, things = page.rng, []
    for side, kerb in ((-1, left), (1, right)):
        if rng.random() < 0.65:  # a row of parked cars
            z = rng.uniform(3, 14)
            while z < 60:
                if rng.random() < 0.7:
                    draw = partial(traffic.car, page, kerb - side * 1.05, z, side < 0, 1.0)
                    things.append((z, draw))
                z += rng.uniform(5.2, 8)
        for z in rng.gamma(2.0, 5.0, rng.integers(1, 8)) + 3.5:
            x = kerb + side * rng.uniform(0.4, walks[side] - 0.3)
            things.append((z, partial(traffic.person, page, x, z)))
    for z in rng.uniform(7, 60, rng.integers(0, 4)):
        lane = rng.uniform(left + 1.3, right - 1.3)
        things.append((z, partial(traffic.car, page, lane, z, lane < 0, 1.0)))
    for z in rng.gamma(2.0, 4.0, rng.integers(0, 3)) + 4:
        things.append((z, partial(traffic.cyclist, page, rng.uniform(left + 0.5, right - 0.5), z)))
    if rng.random() < 0.3:
        z = rng.uniform(8, 25)
        things.append((z, partial(traffic.person, page, rng.uniform(left, right), z)))
    return things


def _surfaces(page: Page, picture: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) with the grain that each class's surface has."""
    rng, shape = page.rng, classes.shape
    fine = rng.standard_normal(shape, np.float32)
    patchy = _blobs(rng, *shape, 60) + _blobs(rng, *shape, 25)
    varied = 1 + GRAIN[classes] * fine + PATCHES[classes] * patchy
    return picture * varied[:, :, None].astype(np.float32)


def _blobs(rng: np.random.Generator, height: int, width: int, across: int) -> np.ndarray:
    """Smooth noise (height, width) of deviation about 1, with `across` bumps side by side."""
    from PIL import Image

    few = rng.standard_normal((max(2, across * height // width), across)).astype(np.float32)
    image = Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _photograph(
    rng: np.random.Generator, picture: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Shrunk to size (3, height, width): the lens darkens the corners, the sensor adds noise."""
    blocks = picture.reshape(height, FINER, width, FINER, 3).mean((1, 3))
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    corners = 1 - rng.uniform(0, 0.2) * (x**2 + y**2)
    noise = rng.normal(0, rng.uniform(1, 5), blocks.shape)
    gamma = rng.uniform(0.85, 1.15)
    shown = 255 * np.clip(blocks * corners[:, :, None] / 255, 0, 1) ** gamma + noise
    return np.clip(shown, 0, 255).astype(np.uint8).transpose(2, 0, 1)
