"""What moves in a drawn street: cars, people, bicycles; and the paint on the road.

As in `street_parts`, each function draws one thing on a `Page`, at a place given in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .street_page import BICYCLIST, CAR, PEDESTRIAN, ROAD, Page
from .street_parts import PAINTS, pick

CLOTHES = [*PAINTS, (60, 60, 80), (200, 100, 60), (230, 200, 190), (110, 70, 50)]
SKINS = [(224, 182, 158), (188, 140, 110), (120, 82, 62), (92, 62, 48)]
NEAR_MARK = 1.6  # metres ahead; nearer paint is below the picture


@dataclass
class Body:
    """A car's measures in metres, and its colours; `side` is +1 right of the camera, -1 left."""

    x: float  # of its middle
    z: float  # of the end that is nearer
    side: int
    wide: float  # half its width
    long: float
    waist: float  # where the windows begin
    roof: float
    lean: float  # how far they slope
    paint: np.ndarray
    glass: np.ndarray

    @property
    def inner(self) -> float:
        """Where the flank is that is turned to the camera."""
        return self.x - self.side * self.wide


def car(page: Page, x: float, z: float, coming: bool, shade: float) -> None:
    """A car, or now and then a van; its near end at `z`, its middle at `x`."""
    rng, paint = page.rng, pick(page.rng, PAINTS)
    van = rng.random() < 0.15
    wide, long = (1.0, 5.2) if van else (0.86, rng.uniform(3.7, 4.6))
    waist, roof = (1.15, 2.3) if van else (0.92, rng.uniform(1.38, 1.6))
    lean = 0.1 if van else rng.uniform(0.5, 0.8)
    glass = np.array([38, 46, 54]) * rng.uniform(0.8, 1.8)
    body = Body(x, z, 1 if x > 0 else -1, wide, long, waist, roof, lean, paint, glass)
    shadow = (x - 1.15 * wide, x + 1.15 * wide), (z - 0.15, z + long + 0.1)
    page.ground(*shadow, (12, 12, 16, 150), None)
    _flank(page, body, shade)
    _near_end(page, body, shade)
    _lamps(page, x, wide, waist, z, coming)


def _flank(page: Page, body: Body, shade: float) -> None:
    """The side that is seen, from below the doors to the roof, and its wheels."""
    x, z, long = body.inner, body.z, body.long
    colour = page.colour(body.paint, z + 1, 0.82 * shade)
    page.wall(x, (0.22, body.waist), (z, z + long), colour, CAR)
    top = x + 0.12 * body.side
    cabin = [
        (x, body.waist, z),
        (x, body.waist, z + 0.78 * long),
        (top, body.roof, z + 0.6 * long),
        (top, body.roof, z + body.lean),
    ]
    page.quad(cabin, colour, CAR)
    low, high = body.waist + 0.06, body.roof - 0.1
    pane = [
        (x, low, z + 0.45 * body.lean),
        (x, low, z + 0.7 * long),
        (top, high, z + 0.57 * long),
        (top, high, z + body.lean + 0.12),
    ]
    page.quad(pane, page.colour(body.glass, z + 1, shade), None)
    for axle in (0.18, 0.8):
        _wheel(page, x, z + axle * long, 0.33)


def _near_end(page: Page, body: Body, shade: float) -> None:
    """The end that is turned to the camera: a sloping window, the panel below, tyres."""
    x, z, wide = body.x, body.z, body.wide
    colour, narrow = page.colour(body.paint, z, shade), wide - 0.12

    def slope(part: float, y: tuple[float, float], far: tuple[float, float]) -> list:
        a, b = part * wide, part * narrow
        return [
            (x - a, y[0], far[0]),
            (x + a, y[0], far[0]),
            (x + b, y[1], far[1]),
            (x - b, y[1], far[1]),
        ]

    page.quad(slope(1, (body.waist, body.roof), (z, z + body.lean)), colour, CAR)
    heights = body.waist + 0.06, body.roof - 0.1
    pane = slope(0.82, heights, (z + 0.02, z + 0.9 * body.lean))
    page.quad(pane, page.colour(body.glass * 1.2, z, shade), None)
    page.front((x - wide, x + wide), (0.3, body.waist), z, colour, CAR)
    dark = page.colour(body.paint * 0.45, z, shade)
    page.front((x - wide, x + wide), (0.2, 0.42), z, dark, CAR)
    rubber = page.colour((22, 22, 24), z)
    for tyre in (-0.72, 0.72):
        page.front((x + (tyre - 0.14) * wide, x + (tyre + 0.14) * wide), (0, 0.3), z, rubber, CAR)


def _wheel(page: Page, x: float, z: float, r: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 13)
    for size, colour in ((r, (24, 24, 26)), (0.55 * r, (120, 122, 126))):
        rim = [page.at(x, r + size * np.sin(t), z + size * np.cos(t)) for t in turn]
        page.polygon(rim, page.colour(colour, z), CAR)


def _lamps(page: Page, x: float, wide: float, waist: float, z: float, coming: bool) -> None:
    lamp = page.colour((250, 246, 220) if coming else (190, 24, 28), z)
    for edge in (-0.8, 0.8):
        page.front(
            (x + (edge - 0.17) * wide, x + (edge + 0.17) * wide),
            (waist - 0.3, waist - 0.1),
            z,
            lamp,
            None,
        )
    plate = page.colour((236, 234, 226) if coming else (222, 190, 60), z)
    page.front((x - 0.26, x + 0.26), (0.46, 0.57), z, plate, None)


def person(page: Page, x: float, z: float, code: int = PEDESTRIAN, seat: float = 0.0) -> None:
    """Someone on foot; with a `seat`, so many metres up, the upper half of someone riding."""
    rng, tall = page.rng, page.rng.uniform(1.5, 1.88)
    coat, trousers, skin = pick(rng, CLOTHES), pick(rng, CLOTHES) * 0.6, pick(rng, SKINS, 6)
    hip, shoulder, chin = (0.48 * tall, 0.83 * tall, 0.87 * tall)
    raised = seat - hip if seat else 0.0
    step = rng.uniform(-0.25, 0.25)
    if not seat:
        page.ground((x - 0.35, x + 0.35), (z - 0.1, z + 0.3), (12, 12, 16, 110), None)
        for leg in (-1, 1):
            foot = x + leg * 0.09 + leg * step
            limb = [page.at(x + leg * 0.08, hip, z), page.at(foot, 0.02, z)]
            page.line(limb, page.colour(trousers, z), code, 0.17, z)
    for arm in (-1, 1):
        limb = [
            page.at(x + arm * 0.2, shoulder + raised - 0.04, z),
            page.at(x + arm * 0.27 - arm * step * 0.4, hip + raised + 0.02, z),
        ]
        page.line(limb, page.colour(coat * 0.85, z), code, 0.12, z)
    body = [
        (x - 0.17, hip + raised - 0.05, z),
        (x + 0.17, hip + raised - 0.05, z),
        (x + 0.23, shoulder + raised, z),
        (x - 0.23, shoulder + raised, z),
    ]
    page.quad(body, page.colour(coat, z), code)
    u, v = page.at(x, chin + raised + 0.11, z)
    r = 0.12 * page.f / z
    page.ellipse((u - r, v - 1.2 * r, u + r, v + 1.2 * r), page.colour(skin, z), code)
    page.ellipse(
        (u - r, v - 1.3 * r, u + r, v - 0.2 * r),
        page.colour(pick(rng, [(40, 30, 24), (90, 66, 40)]), z),
        code,
    )


def cyclist(page: Page, x: float, z: float) -> None:
    """Someone on a bicycle, seen from the side, or from behind."""
    rng, black = page.rng, page.colour((28, 28, 32), z)
    aside = rng.random() < 0.5
    r = 0.36
    page.ground((x - 0.6, x + 0.6), (z - 0.1, z + 0.2), (12, 12, 16, 110), None)
    turn = np.linspace(0, 2 * np.pi, 17)
    for hub in (-0.52, 0.52) if aside else (0.0,):
        squeeze = 1.0 if aside else 0.14
        rim = [page.at(x + hub + squeeze * r * np.cos(t), r + r * np.sin(t), z) for t in turn]
        page.line(rim, black, BICYCLIST, 0.07, z)
    frame = page.colour(pick(rng, PAINTS), z)
    if aside:
        knots = [
            (-0.52, r),
            (-0.15, 0.85),
            (0.4, 0.9),
            (0.0, 0.35),
            (-0.15, 0.85),
            (0.4, 0.9),
            (0.52, r),
        ]
        page.line([page.at(x + a, b, z) for a, b in knots], frame, BICYCLIST, 0.07, z)
    trousers = page.colour(pick(rng, CLOTHES) * 0.6, z)
    for leg in (-1, 1):
        knee = (x + (0.2 if aside else leg * 0.14), 0.68 + leg * 0.08, z)
        limb = [
            page.at(x - (0.1 if aside else 0), 0.95, z),
            page.at(*knee),
            page.at(x + leg * 0.1, 0.3, z),
        ]
        page.line(limb, trousers, BICYCLIST, 0.15, z)
    person(page, x, z, BICYCLIST, seat=0.95)


def lane_marks(page: Page, x: float, far: float, dashed: bool, wide: float = 0.12) -> None:
    """White paint along the road."""
    length, gap = (2.0, page.rng.uniform(2, 4)) if dashed else (4.0, 0.0)
    start = page.rng.uniform(0, length + gap)
    for z in np.arange(NEAR_MARK - start, far, length + gap)[::-1]:
        white = page.colour((226, 226, 220), max(z, 2), page.rng.uniform(0.85, 1))
        if z + length > NEAR_MARK:
            page.ground((x - wide / 2, x + wide / 2), (max(z, NEAR_MARK), z + length), white, ROAD)
