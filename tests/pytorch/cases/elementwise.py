"""Arithmetic, comparison, the elementary functions and activations."""

from __future__ import annotations

import math
import operator

from . import Case, between, case, ids, mask, positive, scalar, ties, values

SHAPES = {
    "same": ((3, 4), (3, 4)),
    "row": ((3, 4), (4,)),
    "column": ((3, 1), (3, 4)),
    "both": ((2, 1, 4), (3, 1)),
    "no axes": ((), (2, 3)),
    "neither": ((), ()),
    "empty": ((0, 3), (1, 3)),
}
FOUR = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}
EDGES = (-math.inf, -1e30, -25.0, -1.0, -1e-8, -0.0, 0.0, 1e-8, 1.0, 19.0, 25.0, 1e30, math.inf)


def _positive_second(first: tuple[int, ...], second: tuple[int, ...]) -> tuple:
    return first, positive(*second)


def _numbers(name: str, op) -> list[Case]:
    """The four operations with a Python number on either side."""
    return [
        case(f"{name} number right", lambda F, x: op(x, 2.5), (3, 4)),
        case(f"{name} number left", lambda F, x: op(2.5, x), positive(3, 4)),
        case(f"{name} integer right", lambda F, x: op(x, 3), ()),
        case(f"{name} with itself", lambda F, x: op(x, x), positive(3)),
    ]


def _one(name: str, *inputs, **labels) -> list[Case]:
    def run(F, x):
        return getattr(F, name)(x)

    shapes = {"": inputs, " no axes": (positive(),), " empty": ((0, 2),)} | labels
    return [case(name + label, run, *x) for label, x in shapes.items()]


CASES = [
    *(
        case(f"{name} {label}", lambda F, a, b, op=op: op(a, b), *_positive_second(*pair))
        for name, op in FOUR.items()
        for label, pair in SHAPES.items()
    ),
    *(c for name, op in FOUR.items() for c in _numbers(name, op)),
    case("add alpha", lambda F, a, b: F.add(a, b, alpha=2.5), (3, 4), (4,)),
    case("add alpha number", lambda F, a: F.add(a, 2, alpha=3), (3, 4)),
    case("sub alpha", lambda F, a, b: F.sub(a, b, alpha=-2), (3, 4), (3, 1)),
    case("div by zero", lambda F, a, b: F.div(a, b), values(1, -1, 2), values(0.0, -0.0, 3)),
    case(
        "div floor",
        lambda F, a, b: F.div(a, b, rounding_mode="floor"),
        (3, 4),
        positive(4),
        constants=(0, 1),
    ),
    case(
        "div trunc",
        lambda F, a, b: F.div(a, b, rounding_mode="trunc"),
        (3, 4),
        (4,),
        constants=(0, 1),
    ),
    case(
        "div floor number", lambda F, a: F.div(a, 0.3, rounding_mode="floor"), (3, 4), constants=[0]
    ),
    case("floor_divide", lambda F, a, b: F.floor_divide(a, b), (3, 4), (4,), constants=(0, 1)),
    case("floor_divide operator", lambda F, a: a // 0.25, (3, 4), constants=[0]),
    case("neg", lambda F, a: -F.neg(a) - a, (3, 4)),
    case("pow tensors", lambda F, a, b: F.pow(a, b), positive(3, 1), (3, 4)),
    case("pow number", lambda F, a: a**3, (3, 4)),
    case("pow root", lambda F, a: a**0.5, positive(3, 4)),
    case("pow minus", lambda F, a: a**-2, positive(3, 4)),
    case("pow of number", lambda F, a: 2.5**a, (3, 4)),
    case("pow one", lambda F, a: a**1, ties(6)),
    case("pow two at zero", lambda F, a: a**2, ties(6)),
    case("pow none", lambda F, a: a**0, ties(6)),
    case(
        "pow of zero",
        lambda F, a, b: F.pow(a, b),
        values(0, 0, 0, 2),
        values(0, 1, 2, 0),
        orders=1,
    ),
    # at the second order PyTorch gives NaN (0 times infinity), and the library the limit, 0
    case("pow of number zero", lambda F, a: 0.0**a, values(0, 0.5, 1, 2), orders=1),
    *(c for name in ("exp", "sin", "cos", "erf", "tanh") for c in _one(name, (3, 4))),
    *(c for name in ("log", "sqrt") for c in _one(name, positive(3, 4))),
    case("log edges", lambda F, x: F.log(x), values(0, 1, math.inf)),
    case("sqrt of zero", lambda F, x: F.sqrt(x), values(0, 4)),
    *_one("abs", (3, 4), **{" ties": (ties(3, 4),)}),
    *(
        case(f"clamp {label}", lambda F, x, o=o: F.clamp(x, **o), ties(3, 4))
        for label, o in {
            "both": dict(min=-1, max=0),
            "low": dict(min=0.0),
            "high": dict(max=0.0),
            "crossed": dict(min=1.0, max=-1.0),
            "between": dict(min=-0.5, max=0.5),
        }.items()
    ),
    case("clamp method", lambda F, x: x.clamp(-0.5, 0.5), (3, 4)),
    case("clamp nan", lambda F, x: F.clamp(x, 0, 1), values(math.nan, 2, 0.5)),
    case(
        "clamp tensors", lambda F, x, a, b: F.clamp(x, a, b), (3, 4), between(-1, 0, 4), scalar(1)
    ),
    case("clamp tensor ties", lambda F, x, a: F.clamp(x, a), ties(5, 6), ties(6)),
    case("clamp tensor max ties", lambda F, x, a: F.clamp(x, max=a), ties(5, 6), ties(6)),
    case(
        "clamp tensors ties",
        lambda F, x, a, b: F.clamp(x, a, b),
        ties(5, 6),
        between(-1, 0, 6),
        between(0, 1, 6),
    ),
    case("where", lambda F, m, a, b: F.where(m, a, b), mask(3, 4), (3, 4), (4,)),
    case("where broadcast", lambda F, m, a, b: F.where(m, a, b), mask(3, 1), (4,), ()),
    case("where number", lambda F, m, a: F.where(m, a, 0.5), mask(3, 4), (3, 4)),
    case("where number first", lambda F, m, a: F.where(m, -1.0, a), mask(4), (3, 4)),
    case("where numbers", lambda F, m: F.where(m, 1.5, 0.0), mask(3)),
    case("where integers", lambda F, m: F.where(m, 1, 0), mask(3)),
    case("where compared", lambda F, a: F.where(a > 0, a * a, -a), (3, 4)),
    *(
        case(f"{name} {label}", lambda F, a, b, name=name: getattr(F, name)(a, b), *pair)
        for name in ("maximum", "minimum")
        for label, pair in (SHAPES | {"ties": (ties(4, 5), ties(5))}).items()
    ),
    case("maximum nan", lambda F, a, b: F.maximum(a, b), values(math.nan, 1), values(0, math.nan)),
    *(
        case(f"{name} {label}", lambda F, a, b, name=name: getattr(F, name)(a, b), *pair)
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
        for label, pair in {"": (ties(4, 5), ties(5)), "mixed": (ties(3), ids(2, 3))}.items()
    ),
    case("lt number", lambda F, a: [a < 0, a <= 0, a > 0, a >= 0, a == 0, a != 0], ties(5)),
    case("lt number left", lambda F, a: [0.5 < a, 0 <= a, 1 > a, 0 >= a, 0 == a], ties(5)),
    case("logical_not", lambda F, a, m: [F.logical_not(a), F.logical_not(m), ~m], ties(5), mask(5)),
    case("logical_and", lambda F, a, b: F.logical_and(a, b), ties(5), mask(2, 5)),
    case("logical_and operator", lambda F, a, b: a & b, mask(5), mask(5)),
    case("logical_or", lambda F, a, b: F.logical_or(a, b), ties(5), mask(2, 5)),
    case("logical_or operator", lambda F, a, b: a | b, mask(5), mask(5)),
    case("isnan", lambda F, a: F.isnan(a), values(math.nan, math.inf, 1)),
    case("isfinite", lambda F, a: F.isfinite(a), values(math.nan, math.inf, 1)),
    case("broadcast_to", lambda F, a: F.broadcast_to(a, (2, 3, 4)), (3, 1)),
    case("broadcast_to no axes", lambda F, a: F.broadcast_to(a, (2, 3)), ()),
    case("sum_to", lambda F, a: F.sum_to(a, (3, 1)), (2, 3, 4)),
    case("sum_to no axes", lambda F, a: F.sum_to(a, ()), (2, 3)),
    case("sum_to ones", lambda F, a: F.sum_to(a, (1, 1)), (2, 3)),
    case("to other dtypes", lambda F, a: [a.double() * 2, a.float() * 3], (3, 4)),
    case("to half", lambda F, a: a.half(), ties(3)),
    case("to integers", lambda F, a: [a.long(), a.bool()], values(-1.7, 0, 2.9)),
    case("to another's", lambda F, a, b: a.to(b), (3,), ids(3, 2)),
    case("clone", lambda F, a: F.clone(a) * a, (3,)),
    # activations
    *_one("relu", (3, 4), **{" ties": (ties(3, 4),)}),
    *_one("sigmoid", (3, 4), **{" edges": (values(*EDGES),)}),
    case("tanh edges", lambda F, x: F.tanh(x), values(*EDGES)),
    *_one("leaky_relu", (3, 4), **{" ties": (ties(3, 4),)}),
    case("leaky_relu slope", lambda F, x: F.leaky_relu(x, 0.2), (3, 4)),
    case("leaky_relu positional", lambda F, x: F.leaky_relu(x, negative_slope=0), ties(3, 4)),
    *_one("elu", (3, 4), **{" ties": (ties(3, 4),)}),
    case("elu alpha", lambda F, x: F.elu(x, 2.0), (3, 4)),
    case("elu alpha at zero", lambda F, x: F.elu(x, alpha=0.3), ties(3, 4)),
    case("elu edges", lambda F, x: F.elu(x), values(*EDGES)),
    *_one("gelu", (3, 4), **{" wide": (between(-8, 8, 50),)}),
    case("gelu tanh", lambda F, x: F.gelu(x, approximate="tanh"), (3, 4)),
    *_one("silu", (3, 4), **{" wide": (between(-90, 90, 50),), " edges": (values(*EDGES),)}),
    *_one("softplus", (3, 4), **{" edges": (values(*EDGES),)}),
    case("softplus options", lambda F, x: F.softplus(x, 2.0, 1.0), between(-3, 3, 20)),
    case("softplus steep", lambda F, x: F.softplus(x, beta=5, threshold=0.5), between(-1, 1, 20)),
]
