"""Drawing a street: a pinhole camera, and a page that holds a picture and its mask.

The camera is `eye` metres above the road and looks along it. A point X metres to the right, Y above
the road and Z ahead is seen at

    column = x0 + f·X / Z        row = y0 + f·(eye − Y) / Z

in pixels, f being the focal length; (x0, y0) is where the street vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE = range(6)
SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, VOID = range(6, 12)
NEAREST = 1.5  # metres ahead of the camera; what is nearer is cut off


class Page:
    """A picture and its mask, drawn on together; and the light that falls on the scene."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        from PIL import Image, ImageDraw

        self.rng, self.height, self.width = rng, height, width
        self.image, self.mask = Image.new("RGB", (width, height)), Image.new("L", (width, height))
        self._ink, self._code = ImageDraw.Draw(self.image, "RGBA"), ImageDraw.Draw(self.mask)
        self.eye = rng.uniform(1.3, 1.9)
        self.f = width * rng.uniform(0.75, 1.0)
        self.x0, self.y0 = width * rng.uniform(0.38, 0.62), height * rng.uniform(0.45, 0.58)
        bright = rng.uniform(0.8, 1.05)
        self.haze = [c * bright for c in (205, 210, 218)]  # what far things fade to
        self.clear = rng.uniform(60, 260)  # metres after which 1/e of a colour is left
        light, warmth = rng.uniform(0.75, 1.1), rng.uniform(-0.06, 0.06)
        self.light = [light + warmth, light + 0.2 * warmth, light - warmth]

    # ---- from metres to pixels

    def at(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Where the point (x, y, z), in metres, is seen: (column, row)."""
        z = max(z, NEAREST)
        return self.x0 + self.f * x / z, self.y0 + self.f * (self.eye - y) / z

    def colour(self, colour: Sequence[float], z: float, shade: float = 1.0) -> Any:
        """A colour 0..255 as it looks z metres away, lit by `shade` of the light."""
        near = math.exp(-z / self.clear)
        return tuple(
            min(255, max(0, int(c * light * shade * near + far * (1 - near))))
            for c, light, far in zip(colour, self.light, self.haze, strict=True)
        )

    def sees(self, x: float, z: float, wide: float) -> bool:
        """Whether something `wide` metres at (x, z) can be in the picture."""
        return abs(x * self.f / z) < self.width + wide * self.f / z

    # ---- ink

    def polygon(self, points: Sequence[tuple[float, float]], colour: Any, code: int | None) -> None:
        """Fill it with a colour, and with the class `code` (None: the classes stay)."""
        self._ink.polygon(points, fill=colour)
        if code is not None:
            self._code.polygon(points, fill=code)

    def ellipse(self, box: Sequence[float], colour: Any, code: int | None) -> None:
        """Fill the ellipse in (left, top, right, bottom)."""
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            self._ink.ellipse(tuple(box), fill=colour)
            if code is not None:
                self._code.ellipse(tuple(box), fill=code)

    def line(self, points: Sequence[Any], colour: Any, code: int | None, metres: float, z: float):
        """A line as wide as so many metres are there, one pixel at least."""
        width = max(1, round(metres * self.f / max(z, NEAREST)))
        self._ink.line(list(points), fill=colour, width=width)
        if code is not None:
            self._code.line(list(points), fill=code, width=width)

    # ---- shapes in the world

    def quad(self, corners: Sequence[Sequence[float]], colour: Any, code: int | None) -> None:
        """A flat piece between points (x, y, z)."""
        self.polygon([self.at(*corner) for corner in corners], colour, code)

    def ground(self, x: Sequence[float], z: Sequence[float], colour: Any, code: int | None) -> None:
        """A piece of the ground from x[0] to x[1] and from z[0] to z[1]."""
        self.quad(
            [(x[0], 0, z[0]), (x[1], 0, z[0]), (x[1], 0, z[1]), (x[0], 0, z[1])], colour, code
        )

    def wall(
        self, x: float, y: Sequence[float], z: Sequence[float], colour: Any, code: int | None
    ) -> None:
        """A piece of a wall that runs along the street, x metres to the right."""
        self.quad(
            [(x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), (x, y[1], z[0])], colour, code
        )

    def front(
        self, x: Sequence[float], y: Sequence[float], z: float, colour: Any, code: int | None
    ) -> None:
        """A piece of a wall across the street, facing the camera."""
        self.quad(
            [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], colour, code
        )
