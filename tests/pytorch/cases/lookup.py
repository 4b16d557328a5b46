"""Indexing in all its forms, tables, gather and one-hot."""

from __future__ import annotations

import numpy as np

from . import Case, case, given, ids, mask


def _with(label: str, run, *more) -> Case:
    """``run(x, *more)`` on x (3, 4, 5)."""
    return case(f"index {label}", lambda F, x, *rest: run(x, *rest), (3, 4, 5), *more)


CASES = [
    _with("integer", lambda x: [x[1], x[-1], x[1, 2], x[-1, -2, -3], x[np.int64(2)]]),
    _with("slices", lambda x: [x[1:], x[:-1, ::2], x[:, 1:3, 1:5:2], x[5:], x[:, 2:2]]),
    _with("negative slices", lambda x: [x[-2:], x[:, -3:-1], x[..., :-9]]),
    _with("none", lambda x: [x[None], x[:, None], x[..., None], x[None, 1, None]]),
    _with("ellipsis", lambda x: [x[..., 1], x[1, ...], x[0, ..., 2], x[...], x[..., 1:, None]]),
    _with("nothing", lambda x: x[()]),
    _with("bool", lambda x: [x[True], x[False]]),
    _with("lists", lambda x: [x[[0, 2, 0]], x[:, [1, -1]], x[[True, False, True]]]),
    _with("empty list", lambda x: x[[]]),
    _with("tensor", lambda x, i: [x[i], x[:, i], x[..., i]], ids(3, 4)),
    _with("negative tensor", lambda x, i: [x[i], x[:, i]], given([-1, 0, -3, -1])),
    _with("small integers", lambda x, i: [x[i], x[:, i]], given([0, 2, -1], "int32")),
    _with("tensor of two axes", lambda x, i: [x[i], x[:, i]], ids(3, 2, 4)),
    _with("tensor without axes", lambda x, i: [x[i], x[:, i]], given(1)),
    _with("empty tensor", lambda x, i: x[i], given([])),
    _with("pairs", lambda x, i, j: [x[i, j], x[:, i, j], x[i, j, 1:]], ids(3, 6), ids(4, 6)),
    _with("pairs broadcast", lambda x, i, j: x[i, j], ids(3, 2, 1), ids(4, 5)),
    _with("pairs apart", lambda x, i, j: x[i, :, j], ids(3, 6), ids(5, 6)),
    _with("pairs with none", lambda x, i, j: x[i, None, j], ids(3, 6), ids(4, 6)),
    _with("triples", lambda x, i, j: x[i, j, i], ids(3, 6), ids(4, 6)),
    _with("integer beside tensor", lambda x, i: [x[1, i], x[i, 1], x[:, i, 2]], ids(3, 6)),
    _with("integer apart from tensor", lambda x, i: x[1, :, i], ids(5, 6)),
    _with("tensor apart from integer", lambda x, i: x[i, :, 1], ids(3, 6)),
    _with("slice beside tensor", lambda x, i: [x[1:, i], x[i, 1:3], x[i, ..., 0:2]], ids(3, 6)),
    _with("mask", lambda x, m: [x[m], x[m] * 2], mask(3, 4, 5)),
    _with("mask of first axis", lambda x, m: [x[m], x[m, 1], x[m, ..., 2:]], mask(3)),
    _with("mask of two axes", lambda x, m: [x[m], x[m, 1:]], mask(3, 4)),
    _with("mask in the middle", lambda x, m: [x[:, m], x[1, m], x[..., m, :]], mask(4)),
    _with("mask of nothing", lambda x, m: x[m], given([False] * 3, "bool")),
    _with(
        "mask and tensor", lambda x, m, i: x[m, i], given([True, False, True], "bool"), ids(4, 2)
    ),
    _with("mask compared", lambda x: x[x > 0]),
    _with("twice", lambda x, i: x[i][:, 1:][..., 0], ids(3, 7)),
    case("index empty", lambda F, x: [x[:, 1:], x[..., None], x[:0]], (0, 3)),
    case("index function", lambda F, x: F.index(x, (slice(None), 1)), (3, 4)),
    *(
        case(f"gather {dim}", lambda F, x, i, d=dim: F.gather(x, d, i), (3, 4, 5), ids(3, 2, 3, 4))
        for dim in (0, 1, 2, -1)
    ),
    case("gather longer", lambda F, x, i: F.gather(x, 1, i), (3, 4), ids(4, 2, 9)),
    case("gather no axes", lambda F, x, i: F.gather(x, 0, i), (), given(0)),
    case("gather nothing", lambda F, x, i: F.gather(x, 0, i), (3, 4), ids(3, 0, 4)),
    case("index_select", lambda F, x, i: F.index_select(x, 0, i), (3, 4), ids(3, 6)),
    case("index_select last", lambda F, x, i: F.index_select(x, -1, i), (3, 4), ids(4, 6)),
    case("index_select nothing", lambda F, x, i: F.index_select(x, 1, i), (3, 4), ids(4, 0)),
    case("embedding", lambda F, i, w: F.embedding(i, w), ids(5, 7), (5, 3)),
    case("embedding of two axes", lambda F, i, w: F.embedding(i, w), ids(5, 2, 7), (5, 3)),
    case("embedding no axes", lambda F, i, w: F.embedding(i, w), given(2), (5, 3)),
    case("embedding nothing", lambda F, i, w: F.embedding(i, w), ids(5, 0), (5, 3)),
    case("embedding padding", lambda F, i, w: F.embedding(i, w, padding_idx=1), ids(3, 9), (3, 2)),
    case("embedding padding last", lambda F, i, w: F.embedding(i, w, -1), ids(3, 9), (3, 2)),
    case("one_hot", lambda F, i: F.one_hot(i), given([0, 3, 1])),
    case("one_hot classes", lambda F, i: F.one_hot(i, num_classes=6), ids(5, 2, 3)),
    case("one_hot no axes", lambda F, i: F.one_hot(i, 4), given(2)),
    case("one_hot empty", lambda F, i: F.one_hot(i, 4), ids(4, 0)),
]
