"""Functions that rearrange elements."""

from __future__ import annotations

from . import case, ids

PADS = {
    "last": ((1, 2), (2, 3, 4)),
    "two": ((1, 2, 0, 1), (2, 3, 4, 5)),
    "crop": ((-1, 2, 1, -1), (2, 3, 4, 5)),
    "all": ((1, 0, 2, 1, 0, 1), (2, 3, 4)),
    "nothing": ((0, 0), (2, 3)),
}


def _outer_edges(F, x, mode):
    return F.pad(x, (2, 1, 1, 2), mode=mode)


def _methods(F, x):
    return [
        x.view(3, -1),
        x.reshape((4, 6)),
        x.view_as(x.flatten().reshape(6, 4)),
        x.transpose(0, 1),
        x.permute(2, 0, 1),
        x.unsqueeze(-1).expand(-1, -1, -1, 2),
        x[:, :1].expand_as(x),
        x.repeat(1, 2, 1),
        x.mT,
        x.flip(0, 2),
        x.split(2, 2),
        x.chunk(2, -1),
        x.narrow(2, 1, 2),
        x.unbind(1),
        x[0].T,
        x.masked_fill(x > 0, -1.0),
        *x,
    ]


CASES = [
    *(
        case(f"reshape {shape}", lambda F, x, s=shape: F.reshape(x, s), (2, 3, 4))
        for shape in ((6, 4), (-1,), (2, -1, 2), (24, 1), (1, 2, 3, 4))
    ),
    case("reshape to no axes", lambda F, x: F.reshape(x, ()), (1, 1)),
    case("reshape from no axes", lambda F, x: F.reshape(x, (1, 1)), ()),
    case("reshape empty", lambda F, x: F.reshape(x, (3, 0, 2)), (0, 4)),
    case("reshape methods", _methods, (2, 3, 4)),
    case("flatten", lambda F, x: [F.flatten(x), F.flatten(x, 1), F.flatten(x, -2, -1)], (2, 3, 4)),
    case("flatten middle", lambda F, x: F.flatten(x, start_dim=1, end_dim=2), (2, 3, 4, 2)),
    case("flatten no axes", lambda F, x: F.flatten(x), ()),
    case("permute", lambda F, x: F.permute(x, (2, 0, 1)), (2, 3, 4)),
    case("permute negative", lambda F, x: F.permute(x, (-1, 0, -2)), (2, 3, 4)),
    case("permute no axes", lambda F, x: F.permute(x, ()), ()),
    case("transpose", lambda F, x: F.transpose(x, 0, -1), (2, 3, 4)),
    case("squeeze", lambda F, x: [F.squeeze(x), F.squeeze(x, 0), F.squeeze(x, 1)], (1, 2, 1, 3)),
    case("squeeze dims", lambda F, x: F.squeeze(x, (0, -2)), (1, 2, 1, 3)),
    case("squeeze no axes", lambda F, x: F.squeeze(x, 0), ()),
    *(
        case(f"unsqueeze {dim}", lambda F, x, d=dim: F.unsqueeze(x, d), (2, 3))
        for dim in (0, 1, 2, -1, -3)
    ),
    case("unsqueeze no axes", lambda F, x: F.unsqueeze(x, -1), ()),
    case("flip", lambda F, x: [F.flip(x, (0,)), F.flip(x, (0, -1))], (2, 3, 4)),
    case("expand", lambda F, x: F.expand(x, 2, 3, 4), (3, 1)),
    case("expand keep", lambda F, x: F.expand(x, (2, -1, 4)), (3, 1)),
    case("expand no axes", lambda F, x: F.expand(x, 2, 3), ()),
    case("expand nothing", lambda F, x: F.expand(x, 0, 3), (1, 3)),
    case("repeat", lambda F, x: F.repeat(x, 2, 3), (2, 3)),
    case("repeat in front", lambda F, x: F.repeat(x, (2, 1, 3)), (2, 3)),
    case("repeat never", lambda F, x: F.repeat(x, 0, 1), (2, 3)),
    case("repeat no axes", lambda F, x: F.repeat(x, 3), ()),
    case("cat", lambda F, a, b, c: F.cat([a, b, c]), (2, 3), (1, 3), (0, 3)),
    case("cat dim", lambda F, a, b: F.cat((a, b), -1), (2, 3), (2, 1)),
    case("cat twice", lambda F, a: F.cat([a, a * 2, a], dim=1), (2, 3)),
    case("cat dtypes", lambda F, a, b: F.cat([b, a]), (3,), ids(5, 2)),
    case("cat empty one", lambda F, a, b: F.cat([a, b]), (2, 3), (0,)),
    *(
        case(f"stack {dim}", lambda F, a, b, d=dim: F.stack([a, b], d), (2, 3), (2, 3))
        for dim in (0, 1, 2, -1, -2)
    ),
    case("stack no axes", lambda F, a, b: F.stack([a, b]), (), ()),
    case("split", lambda F, x: F.split(x, 2), (5, 3)),
    case("split sections", lambda F, x: F.split(x, [1, 0, 2], dim=-1), (5, 3)),
    case("split one", lambda F, x: F.split(x, 10, 1)[0] * 2, (2, 3)),
    case("split empty", lambda F, x: F.split(x, 2), (0, 3)),
    *(case(f"chunk {n}", lambda F, x, n=n: F.chunk(x, n, 1), (2, 5)) for n in (1, 2, 3, 4, 5, 7)),
    case("chunk empty", lambda F, x: F.chunk(x, 3), (0, 2)),
    case("narrow", lambda F, x: F.narrow(x, -1, 1, 2), (2, 4)),
    case("narrow nothing", lambda F, x: F.narrow(x, 0, 1, 0), (2, 4)),
    case("unbind", lambda F, x: F.unbind(x, 1), (2, 3)),
    case("unbind last", lambda F, x: F.unbind(x, -1)[1], (2, 3)),
    *(
        case(f"pad {label}", lambda F, x, w=widths: F.pad(x, w, "constant", 1.5), shape)
        for label, (widths, shape) in PADS.items()
    ),
    case("pad zeros", lambda F, x: F.pad(x, (1, 1, 2, 0)), (2, 1, 3, 4)),
    case("pad empty", lambda F, x: F.pad(x, (1, 1)), (2, 0)),
    *(
        case(f"pad {mode} {len(shape)} axes", lambda F, x, m=mode: _outer_edges(F, x, m), shape)
        for mode in ("reflect", "replicate")
        for shape in ((2, 2, 3, 4), (2, 3, 4))
    ),
    case("pad reflect line", lambda F, x: F.pad(x, (3, 2), "reflect"), (2, 3, 4)),
    case("pad replicate line", lambda F, x: F.pad(x, (3, 5), "replicate"), (2, 3, 4)),
    case("pad replicate crop", lambda F, x: F.pad(x, (-1, 2), "replicate"), (2, 3, 4)),
    case("pad reflect crop", lambda F, x: F.pad(x, (2, -1), "reflect"), (2, 3, 4)),
]
