"""Pooling over all its options, with ties for the maxima."""

from __future__ import annotations

from . import case, ties

MAX = {
    "2": ((2, 3, 6, 7), (2,), {}),
    "3 stride 2 padding 1": ((2, 3, 7, 8), (3, 2, 1), {}),
    "stride 1": ((1, 2, 5, 5), (3,), {"stride": 1}),
    "pairs": ((1, 2, 7, 8), ((2, 3),), {"stride": (1, 2), "padding": (1, 0)}),
    "dilated": ((1, 2, 8, 9), (3,), {"stride": 2, "padding": 1, "dilation": 2}),
    "ceil": ((1, 2, 6, 7), (3, 2), {"ceil_mode": True}),
    "ceil padding": ((1, 2, 6, 5), (2, 2, 1), {"ceil_mode": True}),
    "ceil dilated": ((1, 2, 8, 9), (2, 3, 1, 2), {"ceil_mode": True}),
    "one picture": ((2, 5, 6), (2,), {}),
    "empty batch": ((0, 2, 4, 4), (2,), {}),
}
AVERAGE = {
    "2": ((2, 3, 6, 7), (2,), {}),
    "padding": ((1, 2, 6, 7), (3, 2, 1), {}),
    "padding not counted": ((1, 2, 6, 7), (3, 2, 1), {"count_include_pad": False}),
    "stride 1": ((1, 2, 5, 5), (2, 1), {}),
    "pairs": ((1, 2, 7, 8), ((2, 3), (1, 2), (1, 0)), {}),
    "ceil": ((1, 2, 6, 7), (3, 2), {"ceil_mode": True}),
    "ceil padding": ((1, 2, 6, 5), (2, 2, 1, True), {}),
    "ceil padding 3": ((1, 2, 7, 8), (3, 2, 1, True), {}),
    "ceil not counted": ((1, 2, 6, 7), (3, 2, 1, True, False), {}),
    "ceil far": ((1, 1, 7, 9), ((3, 4), (4, 5), 1), {"ceil_mode": True}),
    "divisor": ((1, 2, 6, 7), (3, 2, 1), {"divisor_override": 5}),
    "divisor ceil": ((1, 2, 6, 7), (3, 2), {"divisor_override": -2, "ceil_mode": True}),
    "one picture": ((2, 5, 6), (2,), {}),
    "empty batch": ((0, 2, 4, 4), (2,), {}),
}
SIZES = (1, 2, 3, 5, (2, 3), (None, 2), (7, 4))

CASES = [
    *(
        case(f"max_pool2d {label}", lambda F, x, a=a, o=o: F.max_pool2d(x, *a, **o), x)
        for label, (x, a, o) in MAX.items()
    ),
    *(
        case(
            f"max_pool2d indices {label}",
            lambda F, x, a=a, o=o: F.max_pool2d(x, *a, **o, return_indices=True),
            ties(*x),
        )
        for label, (x, a, o) in MAX.items()
    ),
    *(
        case(f"avg_pool2d {label}", lambda F, x, a=a, o=o: F.avg_pool2d(x, *a, **o), x)
        for label, (x, a, o) in AVERAGE.items()
    ),
    *(
        case(f"{name} {size} of {x}", lambda F, x, n=name, s=size: getattr(F, n)(x, s), x)
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d")
        for size in SIZES
        for x in ((2, 2, 7, 6), (2, 4, 4))
    ),
    case(
        "adaptive_max_pool2d ties", lambda F, x: F.adaptive_max_pool2d(x, (3, 2)), ties(2, 3, 7, 5)
    ),
    case(
        "adaptive_max_pool2d even ties", lambda F, x: F.adaptive_max_pool2d(x, 2), ties(2, 3, 6, 4)
    ),
    case("adaptive_avg_pool2d empty", lambda F, x: F.adaptive_avg_pool2d(x, 2), (0, 3, 5, 5)),
    case("adaptive_max_pool2d empty", lambda F, x: F.adaptive_max_pool2d(x, 2), (0, 3, 5, 5)),
]
