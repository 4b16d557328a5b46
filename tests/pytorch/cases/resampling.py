"""Pixel shuffle and interpolation, over sizes, factors and corners."""

from __future__ import annotations

from . import Case, case

SIZES = (1, 2, 4, 9, (3, 11), (10, 14), (5, 7), (1, 6))
FACTORS = (2, 3, 0.5, 1.5, 2.7, 0.34, (2, 1.25), (0.6, 3))


def _interpolate(label: str, **options) -> list[Case]:
    return [
        case(
            f"interpolate {label} {name}={value}",
            lambda F, x, o={name: value} | options: F.interpolate(x, **o),
            (2, 2, 5, 7),
        )
        for name, given in (("size", SIZES), ("scale_factor", FACTORS))
        for value in given
    ]


CASES = [
    *_interpolate("nearest", mode="nearest"),
    *_interpolate("bilinear", mode="bilinear", align_corners=False),
    *_interpolate("corners", mode="bilinear", align_corners=True),
    case("interpolate default", lambda F, x: F.interpolate(x, scale_factor=2), (1, 2, 3, 4)),
    case(
        "interpolate positions",
        lambda F, x: F.interpolate(x, (4, 6), None, "bilinear"),
        (1, 2, 3, 4),
    ),
    case(
        "interpolate from one",
        lambda F, x: F.interpolate(x, 4, mode="bilinear", align_corners=True),
        (1, 2, 1, 1),
    ),
    *(
        case(f"pixel_shuffle {r}", lambda F, x, r=r: F.pixel_shuffle(x, r), (2, 36, 2, 3))
        for r in (1, 2, 3)
    ),
    case("pixel_shuffle one picture", lambda F, x: F.pixel_shuffle(x, 2), (4, 2, 3)),
    case("pixel_shuffle 5 axes", lambda F, x: F.pixel_shuffle(x, 2), (2, 2, 4, 2, 3)),
    case("pixel_shuffle empty", lambda F, x: F.pixel_shuffle(x, 2), (0, 4, 2, 3), constants=[0]),
    *(
        case(f"pixel_unshuffle {r}", lambda F, x, r=r: F.pixel_unshuffle(x, r), (2, 2, 6, 12))
        for r in (1, 2, 3)
    ),
    case("pixel_unshuffle one picture", lambda F, x: F.pixel_unshuffle(x, 2), (1, 4, 6)),
]
