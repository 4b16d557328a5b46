"""What stands in a drawn street: houses, trees, fences, poles, signs.

Each function draws one thing on a `Page`, at a place given in metres. What is further away must be
drawn before what is nearer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .street_page import BUILDING, FENCE, POLE, SIGN, TREE, VOID, Page

BRICKS = [(150, 82, 62), (176, 120, 88), (205, 190, 160), (222, 216, 204), (140, 132, 124)]
BRICKS += [(188, 160, 120), (120, 92, 80), (200, 178, 168), (168, 160, 150)]
PAINTS = [
    (170, 28, 30),
    (30, 50, 110),
    (20, 22, 26),
    (190, 192, 196),
    (235, 235, 232),
    (90, 94, 98),
]
PAINTS += [(40, 80, 60), (120, 30, 60), (60, 110, 160), (200, 170, 60)]
LEAVES = [(58, 92, 38), (82, 112, 44), (44, 74, 40), (104, 116, 52), (120, 92, 44)]


def pick(rng: np.random.Generator, colours: Sequence[tuple[int, ...]], jitter: float = 14.0):
    """One of the colours, a little changed."""
    return np.asarray(colours[rng.integers(len(colours))]) + rng.normal(0, jitter, 3)


# ------------------------------------------------------------------------------------------ houses


def house(page: Page, side: int, x: float, z: tuple[float, float], shade: float) -> None:
    """A house along the street: its wall faces the road at `x`, from z[0] to z[1]."""
    rng, wall = page.rng, pick(page.rng, BRICKS)
    floor = rng.uniform(2.7, 3.4)
    floors = rng.integers(2, 5)
    top = floors * floor + rng.uniform(0.2, 0.9)
    page.front((x, x + side * 9), (0, top), z[0], page.colour(wall, z[0], 0.72 * shade), BUILDING)
    if rng.random() < 0.6:
        _roof(page, side, x, top, z, shade)
    bays = max(1, round((z[1] - z[0]) / rng.uniform(2.2, 3.2)))
    edges = np.linspace(z[0], z[1], bays + 1)
    glass, frame = rng.uniform(25, 90, 3) * (0.9, 1, 1.15), rng.uniform(150, 240)
    shop = rng.random() < 0.5
    sign = pick(rng, PAINTS)
    for far, near in zip(edges[:0:-1], edges[-2::-1], strict=True):  # from the far end
        middle = (near + far) / 2
        page.wall(x, (0, top), (near, far), page.colour(wall, middle, shade), BUILDING)
        if rng.random() < 0.9 and shop:
            _shop(page, x, (near, far), floor, sign, shade)
        for level in range(1 if shop else 0, floors):
            sill = level * floor + 0.28 * floor
            _window(page, x, (near, far), (sill, sill + 0.52 * floor), glass, frame, shade)
    eaves = page.colour(wall * 0.6, z[0], shade)
    page.wall(x, (top - 0.25, top), z, eaves, BUILDING)


def _roof(
    page: Page, side: int, x: float, top: float, z: tuple[float, float], shade: float
) -> None:
    rise, tiles = page.rng.uniform(1.2, 2.6), pick(page.rng, [(96, 70, 62), (84, 84, 92)])
    back = x + side * 3.0
    colour = page.colour(tiles, sum(z) / 2, 1.05 * shade)
    corners = [(x, top, z[0]), (x, top, z[1]), (back, top + rise, z[1]), (back, top + rise, z[0])]
    page.quad(corners, colour, BUILDING)
    gable = [(x, top, z[0]), (back, top + rise, z[0]), (x + side * 6, top, z[0])]
    page.quad(gable, page.colour(tiles * 0.8, z[0], 0.7 * shade), BUILDING)


def _window(page, x, z, y, glass, frame, shade) -> None:
    width = z[1] - z[0]
    a, b = z[0] + 0.25 * width, z[1] - 0.25 * width
    middle = (a + b) / 2
    rim = 0.1
    page.wall(
        x, (y[0] - rim, y[1] + rim), (a - rim, b + rim), page.colour([frame] * 3, a, shade), None
    )
    bright = page.rng.uniform(0.6, 1.7)  # each reflects another bit of sky
    page.wall(x, y, (a, b), page.colour(glass * bright, middle, shade), None)
    page.line(
        [page.at(x, y[0], middle), page.at(x, y[1], middle)],
        page.colour([frame] * 3, middle, 0.9 * shade),
        None,
        0.05,
        middle,
    )


def _shop(page, x, z, floor, sign, shade) -> None:
    width, middle = z[1] - z[0], sum(z) / 2
    inside = page.rng.uniform(20, 70, 3)
    a, b = z[0] + 0.08 * width, z[1] - 0.08 * width
    page.wall(x, (0.4, 0.72 * floor), (a, b), page.colour(inside, middle, shade), None)
    page.wall(x, (0.76 * floor, 0.94 * floor), z, page.colour(sign, middle, shade), None)


# ------------------------------------------------------------------------------- beside the street


def tree(page: Page, x: float, z: float, shade: float) -> None:
    """A trunk and a crown of leaves."""
    rng = page.rng
    height, spread = rng.uniform(4, 8.5), rng.uniform(1.3, 2.8)
    if not page.sees(x, z, spread):
        return
    bark = page.colour((78, 62, 50), z, shade)
    page.line([page.at(x, 0, z), page.at(x, height * 0.6, z)], bark, TREE, 0.3, z)
    green = pick(rng, LEAVES)
    n = 26 if z < 25 else 10  # blobs of leaves
    angle, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.random(n))
    size = rng.uniform(0.3, 0.6, n) * spread
    up = height * 0.72 + radius * np.sin(angle) * spread * 0.95
    for i in np.argsort(up):  # light falls from above: the upper leaves are brighter
        bright = shade * (0.72 + 0.5 * (up[i] - height * 0.5) / height + rng.uniform(-0.1, 0.1))
        u, v = page.at(x + radius[i] * np.cos(angle[i]) * spread, up[i], z)
        r = size[i] * page.f / z
        page.ellipse((u - r, v - r, u + r, v + r), page.colour(green, z, bright), TREE)


def hedge(page: Page, x: float, z: tuple[float, float], height: float, shade: float) -> None:
    """Bushes in a row along the street."""
    green = pick(page.rng, LEAVES)
    for near in np.arange(z[1], z[0], -0.8):
        for _ in range(3):
            u, v = page.at(x, page.rng.uniform(0.25, 0.85) * height, near)
            r = page.rng.uniform(0.4, 0.7) * height * 0.6 * page.f / near
            bright = shade * page.rng.uniform(0.75, 1.1)
            page.ellipse((u - r, v - r, u + r, v + r), page.colour(green, near, bright), TREE)


def fence(page: Page, x: float, z: tuple[float, float], height: float, shade: float) -> None:
    """Boards, or railings that one sees through only a little."""
    wood = pick(page.rng, [(120, 96, 72), (70, 74, 76), (150, 146, 138), (48, 62, 52)])
    for near in np.arange(z[1], z[0], -0.5):
        bright = shade * page.rng.uniform(0.85, 1.1)
        piece = (max(near - 0.42, z[0]), near)
        page.wall(
            x, (0, height), (piece[0] - 0.1, near), page.colour(wood * 0.55, near, shade), FENCE
        )
        page.wall(x, (0, height), piece, page.colour(wood, near, bright), FENCE)
    rail = page.colour(wood * 0.7, z[0], shade)
    page.wall(x, (height * 0.8, height * 0.88), z, rail, FENCE)


def lamp_post(page: Page, side: int, x: float, z: float) -> None:
    """A post with an arm over the road."""
    height, grey = page.rng.uniform(5.5, 8), page.colour((96, 100, 102), z)
    arm = x - side * page.rng.uniform(0.8, 1.6)
    page.line(
        [page.at(x, 0, z), page.at(x, height, z), page.at(arm, height + 0.2, z)],
        grey,
        POLE,
        0.15,
        z,
    )
    page.line([page.at(x, 0, z), page.at(x, 1.0, z)], grey, POLE, 0.24, z)
    u, v = page.at(arm, height + 0.2, z)
    r = 0.3 * page.f / z
    page.ellipse((u - r, v - r / 2, u + r, v + r / 2), page.colour((220, 220, 210), z), POLE)


def sign_post(page: Page, x: float, z: float) -> None:
    """A traffic sign, or lights, on a pole."""
    rng, height = page.rng, page.rng.uniform(2.2, 3.2)
    page.line(
        [page.at(x, 0, z), page.at(x, height, z)], page.colour((120, 122, 124), z), POLE, 0.1, z
    )
    u, v = page.at(x, height, z)
    r = rng.uniform(0.32, 0.5) * page.f / z
    kind = rng.integers(4)
    red, white, blue = (page.colour(c, z) for c in ((196, 30, 36), (238, 238, 236), (30, 70, 160)))
    if kind == 0:  # a ban
        page.ellipse((u - r, v - r, u + r, v + r), red, SIGN)
        page.ellipse((u - 0.65 * r, v - 0.65 * r, u + 0.65 * r, v + 0.65 * r), white, SIGN)
    elif kind == 1:  # a danger
        page.polygon(
            [(u, v - 1.2 * r), (u - 1.1 * r, v + 0.8 * r), (u + 1.1 * r, v + 0.8 * r)], red, SIGN
        )
        page.polygon(
            [(u, v - 0.6 * r), (u - 0.6 * r, v + 0.5 * r), (u + 0.6 * r, v + 0.5 * r)], white, SIGN
        )
    elif kind == 2:  # a board
        page.polygon([(u - r, v - r), (u + r, v - r), (u + r, v + r), (u - r, v + r)], white, SIGN)
        s = 0.85 * r
        page.polygon([(u - s, v - s), (u + s, v - s), (u + s, v + s), (u - s, v + s)], blue, SIGN)
    else:  # lights
        black = page.colour((24, 24, 26), z)
        page.polygon(
            [
                (u - 0.5 * r, v - 1.5 * r),
                (u + 0.5 * r, v - 1.5 * r),
                (u + 0.5 * r, v + r),
                (u - 0.5 * r, v + r),
            ],
            black,
            SIGN,
        )
        lit = rng.integers(3)
        for i, lamp in enumerate([(255, 50, 40), (255, 190, 40), (60, 230, 120)]):
            y = v + (i - 1.3) * 0.75 * r
            colour = page.colour(np.array(lamp) * (1 if i == lit else 0.22), z)
            page.ellipse((u - 0.3 * r, y - 0.3 * r, u + 0.3 * r, y + 0.3 * r), colour, SIGN)


def litter_bin(page: Page, x: float, z: float) -> None:
    """Something that nobody gave a class."""
    colour, high = pick(page.rng, PAINTS), page.rng.uniform(0.9, 1.3)
    page.front((x - 0.35, x + 0.35), (0, high), z, page.colour(colour * 0.7, z), VOID)
    page.front((x - 0.38, x + 0.38), (high * 0.85, high), z, page.colour(colour * 0.4, z), VOID)
