"""What is behind the animals and things of drawn photos: meadows, rooms, boards, cloth, bricks."""

from __future__ import annotations

import math

import numpy as np

from .photo_page import TILE, Page, Round, looked_up, pick, rgb, starts, tile

PLACES = np.array(  # red, green, blue
    [
        [0.30, 0.42, 0.16],
        [0.45, 0.50, 0.30],
        [0.52, 0.40, 0.28],
        [0.62, 0.58, 0.52],
        [0.35, 0.40, 0.48],
        [0.70, 0.66, 0.60],
        [0.25, 0.20, 0.17],
        [0.55, 0.22, 0.20],
        [0.30, 0.48, 0.58],
        [0.75, 0.70, 0.50],
    ]
)


def out_of_focus(page: Page) -> None:
    """Coloured patches and discs of light, all blurred."""
    rng = page.rng
    a, b, c = (pick(rng, PLACES) for _ in range(3))
    mix = np.clip(0.5 + 0.45 * page.clouds(1.9), 0, 1)
    page.rgb += a * mix + b * (1 - mix)
    page.cover_all(c, np.clip(page.clouds(1.9) - 0.4, 0, 1))
    for _ in range(rng.integers(0, 14)):
        disc = Round(page, *rng.uniform(-0.6, 0.6, 2), *[rng.uniform(0.02, 0.09)] * 2)
        glow = pick(rng, PLACES) * 0.5 + 0.5
        page.paint(disc.at, glow, disc.cover(soft=5) * rng.uniform(0.15, 0.6))


def meadow(page: Page) -> None:
    """Grass, finer and paler the further away; above it, trees or sky out of focus."""
    rng = page.rng
    out_of_focus(page)
    horizon = rng.uniform(-0.45, 0.0)
    depth = np.clip((page.y - horizon) / (page.y[-1] - horizon), 0.02, 1)  # (H, 1)
    size = (2 + 7 * depth) * page.unit / 384
    blades = 0.0
    for lean in (-0.5, 0.2, 0.6):
        column = (page.x + lean * page.y * (1 + 0.2 * page.clouds(1.5))) * page.unit / (0.6 * size)
        row = page.y * page.unit / (5 * size) + starts()[column.astype(np.int32) & (TILE - 1)]
        blades = blades + 0.6 * looked_up(tile(0.3, 1.2), row, column)
    green = pick(rng, np.array([[0.30, 0.42, 0.14], [0.40, 0.46, 0.18], [0.50, 0.45, 0.24]]))
    lit = 0.85 + (0.2 + 0.18 * depth) * blades + 0.12 * page.clouds(1.4)
    colour = green * np.clip(lit, 0.15, 2) + rgb(0.03, 0.02, 0.0) * blades
    cover = np.clip((page.y - horizon) * 25 + 0.4 * page.clouds(1.2), 0, 1)
    page.cover_all(colour, cover)


def boards(page: Page) -> None:
    """Planks of wood, with their grain and the dark gaps between them."""
    rng = page.rng
    tilt, wide = rng.uniform(-0.5, 0.5) + rng.integers(2) * np.pi / 2, rng.uniform(0.09, 0.25)
    along = page.x * math.cos(tilt) + page.y * math.sin(tilt)
    across = (page.y * math.cos(tilt) - page.x * math.sin(tilt)) / wide
    plank = np.floor(across).astype(np.int32)
    inside = across - plank
    own = starts()[plank & (TILE - 1)]
    rings = looked_up(tile(0.9, 2), along * 60 + own, across * wide * page.unit * 0.9 + own)
    grain = looked_up(tile(0.2, 1), along * 40 + 3 * own, across * wide * page.unit + own)
    wood = pick(rng, np.array([[0.50, 0.35, 0.22], [0.62, 0.52, 0.40], [0.45, 0.42, 0.40]]))
    lit = (0.85 + 0.3 * (own / TILE)) * (1 + 0.12 * rings + 0.06 * grain)
    gap = np.clip(np.minimum(inside, 1 - inside) * wide * page.unit / 2.5, 0.15, 1)
    page.rgb += wood * (lit * gap)


def room(page: Page) -> None:
    """A plain wall, a skirting, and a floor of carpet or cloth."""
    rng = page.rng
    edge, slant = rng.uniform(0.0, 0.35), rng.uniform(-0.15, 0.15)
    below = (page.y - edge - slant * page.x) * page.unit  # pixels under the wall's foot
    wall, floor = pick(rng, PLACES[3:]), pick(rng, PLACES)
    fall = rng.uniform(-0.5, 0.5)
    page.rgb += wall * (1 + fall * page.x + 0.03 * page.clouds(1.2))
    skirting = np.clip(below + 30, 0, 1) * (0.9 + 0.1 * np.sin(below / 3))
    page.cover_all(pick(rng, PLACES[5:6]), skirting)
    pile = floor * (0.95 + 0.14 * page.clouds(0.2) + 0.12 * page.clouds(1.1))
    page.cover_all(pile, np.clip(below, 0, 1))


def cloth(page: Page) -> None:
    """Folds of a blanket, plain or checked."""
    rng = page.rng
    turn = rng.uniform(0, np.pi)
    bend = 0.06 * page.clouds(2.0)
    u = page.x * math.cos(turn) + page.y * math.sin(turn) + bend
    v = page.y * math.cos(turn) - page.x * math.sin(turn) + 0.05 * page.clouds(2.0)
    folds = np.sin(rng.uniform(6, 16) * u + 1.5 * np.sin(4 * v)) * rng.uniform(0.08, 0.3)
    colour = pick(rng, PLACES) * np.ones_like(u)
    if rng.random() < 0.6:
        for axis, many in ((u, rng.uniform(3, 9)), (v, rng.uniform(3, 9))):
            stripe = np.clip(np.sin(axis * many * 2 * np.pi) * 12, 0, 1) * 0.5
            colour += (pick(rng, PLACES) - colour) * stripe
    weave = np.sin(u * page.unit * 1.3) * np.sin(v * page.unit * 1.3)
    page.rgb += colour * (0.9 + folds + 0.06 * weave + 0.05 * page.clouds(0.8))


def bricks(page: Page) -> None:
    """A wall or a pavement of bricks."""
    rng = page.rng
    high = rng.uniform(0.06, 0.13)
    turn = rng.uniform(-0.15, 0.15)
    row = (page.y + turn * page.x) / high
    column = (page.x - turn * page.y) / (2.2 * high) + 0.5 * (np.floor(row) % 2)
    number = (np.floor(row) * 37 + np.floor(column)).astype(np.int32)
    own = starts()[number & (TILE - 1)] / TILE  # each brick's own shade
    dy, dx = row - np.floor(row), column - np.floor(column)
    rim = np.minimum(np.minimum(dy, 1 - dy), 2.2 * np.minimum(dx, 1 - dx)) * high * page.unit
    brick = pick(rng, np.array([[0.55, 0.30, 0.22], [0.60, 0.52, 0.42], [0.45, 0.45, 0.46]]))
    lit = (0.75 + 0.45 * own) * (1 + 0.12 * page.clouds(0.6))
    page.rgb += pick(rng, PLACES[3:6]) * (0.8 + 0.1 * page.clouds(0.4))
    rough = rim + 0.8 * page.clouds(0.8)
    page.cover_all(brick * lit, np.clip(rough / 2.0 - 1.0, 0, 1))


BACKGROUNDS = (out_of_focus, out_of_focus, meadow, meadow, boards, room, room, cloth, bricks)
