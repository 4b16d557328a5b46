"""Sums, means, variances, extremes, softmax and its family."""

from __future__ import annotations

import math

from . import Case, case, mask, scalar, ties, values

DIMS = (None, 0, -1, (0, 2), (-1, 1), ())


def _over_dims(name: str, dims=DIMS, x=(2, 3, 4)) -> list[Case]:
    """The function over `dims`, with and without keepdim."""

    def run(dim, keepdim):
        return lambda F, x: getattr(F, name)(x, dim, keepdim=keepdim)

    return [
        case(f"{name} dim={dim} keepdim={keepdim}", run(dim, keepdim), x)
        for dim in dims
        for keepdim in (False, True)
    ]


def _along(name: str, dims=(0, 1, -1), x=(2, 3, 4)) -> list[Case]:
    """The function along one axis; for a tensor without axes; for an empty one."""

    def run(dim):
        return lambda F, x: getattr(F, name)(x, dim)

    shapes = {"": x, " no axes": scalar(1.5), " empty": (0, 3), " none across": (3, 0)}
    return [
        case(f"{name}{label} dim={dim}", run(dim), shape)
        for label, shape in shapes.items()
        for dim in (dims if not label else (-1,))
    ]


def _methods(F, x):
    """The methods take what the functions take."""
    return [
        x.sum(),
        x.sum(1, True),
        x.mean(dim=(0, 2)),
        x.var(0),
        x.std(-1, correction=0, keepdim=True),
        x.max(1),
        x.softmax(0),
        x.log_softmax(dim=-1),
        x.logsumexp(1),
        x.cumsum(2),
        x.argmax(1),
        x.argmin(),
        x.min(),
    ]


CASES = [
    *(c for name in ("sum", "mean") for c in _over_dims(name)),
    *(
        case(f"{name} {label}", lambda F, x, name=name: getattr(F, name)(x), shape)
        for name in ("sum", "mean", "var", "std", "max", "min", "argmax", "argmin", "all", "any")
        for label, shape in {"no axes": (), "empty": (0, 3)}.items()
        if not (label == "empty" and name in ("max", "min", "argmax", "argmin"))
        and not (label == "no axes" and name == "var")
    ),
    case("sum empty axis", lambda F, x: F.sum(x, 1), (3, 0)),
    case("mean empty axis", lambda F, x: F.mean(x, 1), (3, 0)),
    case("sum methods", _methods, (2, 3, 4)),
    case("sum named", lambda F, x: F.sum(x, dim=1, keepdim=True), (2, 3)),
    *(
        case(
            f"{name} dim={dim} correction={correction} keepdim={keepdim}",
            lambda F, x, n=name, d=dim, c=correction, k=keepdim: getattr(F, n)(
                x, d, correction=c, keepdim=k
            ),
            (2, 3, 4),
        )
        for name in ("var", "std")
        for dim in DIMS[:-1]
        for correction, keepdim in ((1, False), (0, True))
    ),
    case("var no axes", lambda F, x: F.var(x), (), orders=1),
    case("var of one", lambda F, x: F.var(x, 0), (1, 3)),
    case("var correction too large", lambda F, x: F.var(x, 0, correction=3), (3, 2)),
    case("var correction beyond", lambda F, x: F.var(x, 0, correction=5), (3, 2)),
    case("std of equals", lambda F, x: F.std(x, 0), values([2, 1], [2, 3], [2, 4])),
    *(c for name in ("max", "min") for c in _over_dims(name, (0, 1, -1))),
    *(c for name in ("argmax", "argmin") for c in _over_dims(name, (None, 0, -1))),
    *(
        case(f"{name} ties {label}", lambda F, x, n=name, o=o: getattr(F, n)(x, *o), ties(4, 5))
        for name in ("max", "min", "argmax", "argmin")
        for label, o in {"all": (), "dim=0": (0,), "dim=-1": (-1,)}.items()
    ),
    case("max all", lambda F, x: F.max(x), (3, 4)),
    case("min all", lambda F, x: F.min(x), (3, 4)),
    case("max no axes dim=0", lambda F, x: F.max(x, 0), scalar(2)),
    case("max named", lambda F, x: F.max(x, 1).values * F.max(x, 1).indices, (3, 4)),
    case("max nan", lambda F, x: F.max(x, 1), values([1, math.nan, 3], [4, 5, 6])),
    case("max empty batch", lambda F, x: F.max(x, 1), (0, 3)),
    *(c for name in ("all", "any") for c in _over_dims(name, (0, -1, (0, 1)), mask(2, 3, 2))),
    case("all floats", lambda F, x: [F.all(x, 0), F.any(x, 0), F.all(x), F.any(x)], ties(2, 6)),
    *(c for name in ("softmax", "log_softmax", "cumsum") for c in _along(name)),
    *(c for c in _over_dims("logsumexp", (0, -1, (0, 2), (0, 1, 2)))),
    *_along("logsumexp"),
    *(
        case(f"{name} extreme", lambda F, x, n=name: getattr(F, n)(x, 1), values(*rows))
        for name in ("softmax", "log_softmax", "logsumexp")
        for rows in [([1e4, 0, -1e4], [1e4, 1e4, 1e4], [-1e4, -2e4, -1e4])]
    ),
    *(
        case(
            f"{name} minus infinity",
            lambda F, x, n=name: getattr(F, n)(x, 1),
            values([0, -math.inf, 1]),
        )
        for name in ("softmax", "log_softmax", "logsumexp")
    ),
    case("logsumexp of nothing likely", lambda F, x: F.logsumexp(x, 1), values([-math.inf] * 3)),
    case("logsumexp infinity", lambda F, x: F.logsumexp(x, 1), values([math.inf, 1.0])),
]
