"""Convolutions and the windows under them, over all their options."""

from __future__ import annotations

from . import case

# label: (input, weight, bias?, options)
CONV = {
    "plain": ((2, 3, 6, 7), (4, 3, 3, 3), True, {}),
    "no bias": ((2, 3, 6, 7), (4, 3, 3, 3), False, {}),
    "one picture": ((3, 6, 7), (4, 3, 3, 3), True, {"padding": 1}),
    "stride 2 padding 1": ((2, 3, 7, 8), (4, 3, 3, 3), True, {"stride": 2, "padding": 1}),
    "pairs": ((1, 2, 9, 8), (3, 2, 3, 2), True, {"stride": (2, 3), "padding": (2, 0)}),
    "dilated": ((2, 2, 9, 9), (3, 2, 3, 3), True, {"dilation": 2, "padding": 1}),
    "dilated apart": ((1, 2, 9, 9), (3, 2, 3, 2), True, {"dilation": (1, 4), "stride": (1, 2)}),
    "groups": ((2, 4, 5, 5), (6, 2, 3, 3), True, {"groups": 2, "padding": 1}),
    "depthwise": ((2, 3, 6, 5), (6, 1, 3, 3), True, {"groups": 3, "stride": 2, "padding": 1}),
    "1×1": ((2, 3, 4, 4), (5, 3, 1, 1), True, {}),
    "1×1 stride 2": ((2, 3, 5, 4), (5, 3, 1, 1), True, {"stride": 2}),
    "whole picture": ((2, 3, 4, 5), (2, 3, 4, 5), True, {}),
    "wide padding": ((1, 1, 3, 3), (1, 1, 2, 2), True, {"padding": 3}),
    "4×4 stride 2": ((2, 2, 6, 6), (3, 2, 4, 4), True, {"stride": 2, "padding": 1}),
    "7×7 stride 2": ((1, 3, 11, 10), (2, 3, 7, 7), False, {"stride": 2, "padding": 3}),
    "stride over kernel": ((1, 2, 8, 8), (2, 2, 2, 2), True, {"stride": 3}),
    "all at once": (
        (2, 4, 11, 9),
        (4, 2, 3, 2),
        True,
        {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 3), "groups": 2},
    ),
    "valid": ((1, 2, 5, 5), (3, 2, 3, 3), True, {"padding": "valid", "stride": 2}),
    "same": ((1, 2, 5, 6), (3, 2, 3, 5), True, {"padding": "same"}),
    "same dilated": ((1, 2, 7, 7), (3, 2, 3, 2), True, {"padding": "same", "dilation": (1, 2)}),
    "same even": ((1, 2, 5, 6), (3, 2, 2, 4), True, {"padding": "same"}),
    "empty batch": ((0, 3, 5, 5), (2, 3, 3, 3), True, {"padding": 1}),
}
TRANSPOSE = {
    "plain": ((2, 3, 4, 5), (3, 4, 3, 3), True, {}),
    "no bias": ((2, 3, 4, 5), (3, 4, 3, 3), False, {}),
    "one picture": ((3, 4, 5), (3, 2, 2, 2), True, {"stride": 2}),
    "2×2 stride 2": ((2, 3, 3, 3), (3, 2, 2, 2), True, {"stride": 2}),
    "4×4 stride 2": ((2, 3, 3, 4), (3, 2, 4, 4), True, {"stride": 2, "padding": 1}),
    "output padding": (
        (2, 3, 3, 4),
        (3, 2, 3, 3),
        True,
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    "pairs": (
        (1, 2, 3, 4),
        (2, 3, 3, 2),
        True,
        {"stride": (3, 2), "padding": (1, 0), "output_padding": (2, 0)},
    ),
    "groups": ((2, 4, 3, 3), (4, 3, 3, 3), True, {"groups": 2, "padding": 1}),
    "dilated": (
        (1, 2, 4, 4),
        (2, 3, 3, 3),
        True,
        {"dilation": 2, "padding": 2, "output_padding": 1},
    ),
    "all at once": (
        (2, 4, 4, 3),
        (4, 1, 3, 2),
        True,
        {"stride": 2, "padding": (2, 1), "output_padding": (1, 0), "groups": 2, "dilation": (2, 1)},
    ),
    "empty batch": ((0, 3, 3, 3), (3, 2, 2, 2), True, {"stride": 2}),
}
LINES = {
    "plain": ((2, 3, 8), (4, 3, 3), True, {}),
    "one sequence": ((3, 8), (4, 3, 3), True, {"padding": 1}),
    "options": (
        (2, 4, 11),
        (4, 2, 3),
        True,
        {"stride": 2, "padding": 2, "dilation": 2, "groups": 2},
    ),
    "same": ((2, 3, 8), (4, 3, 5), False, {"padding": "same"}),
    "1": ((2, 3, 8), (4, 3, 1), False, {}),
    "tuples": ((2, 3, 8), (4, 3, 3), True, {"stride": (2,), "padding": (1,), "dilation": (2,)}),
}


def _bias_length(function: str, weight: tuple[int, ...], options: dict) -> int:
    transposed = function == "conv_transpose2d"
    return weight[1] * options.get("groups", 1) if transposed else weight[0]


CASES = [
    *(
        case(
            f"{function} {label}",
            lambda F, x, w, b=None, f=function, o=options: getattr(F, f)(x, w, b, **o),
            x,
            w,
            *([(_bias_length(function, w, options),)] if bias else []),
        )
        for function, table in (
            ("conv2d", CONV),
            ("conv_transpose2d", TRANSPOSE),
            ("conv1d", LINES),
        )
        for label, (x, w, bias, options) in table.items()
    ),
    case(
        "conv2d positions",
        lambda F, x, w, b: F.conv2d(x, w, b, 2, 1, 2, 2),
        (1, 4, 8, 8),
        (2, 2, 3, 3),
        (2,),
    ),
    case(
        "conv_transpose2d positions",
        lambda F, x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2, 2),
        (1, 4, 4, 4),
        (4, 1, 3, 3),
        (2,),
    ),
    case(
        "conv2d of itself", lambda F, x, w: F.conv2d(F.conv2d(x, w), w), (1, 2, 7, 7), (2, 2, 3, 3)
    ),
    case("unfold", lambda F, x: F.unfold(x, 3), (2, 3, 5, 6)),
    case("unfold options", lambda F, x: F.unfold(x, (2, 3), 2, (1, 2), (2, 1)), (2, 3, 6, 7)),
    case("unfold one picture", lambda F, x: F.unfold(x, 2, stride=2), (3, 4, 4)),
    case("fold", lambda F, x: F.fold(x, (4, 5), 3), (2, 18, 6)),
    case("fold options", lambda F, x: F.fold(x, (6, 7), (2, 3), 2, (1, 2), (2, 1)), (2, 18, 21)),
    case("fold one picture", lambda F, x: F.fold(x, 4, 2, stride=2), (12, 4)),
]
