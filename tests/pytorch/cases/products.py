"""Matrix products and einsum."""

from __future__ import annotations

from . import case

MATMUL = {
    "matrices": ((2, 3), (3, 4)),
    "vectors": ((3,), (3,)),
    "row": ((3,), (3, 4)),
    "column": ((2, 3), (3,)),
    "batch": ((5, 2, 3), (5, 3, 4)),
    "batch and matrix": ((5, 2, 3), (3, 4)),
    "matrix and batch": ((2, 3), (5, 3, 4)),
    "broadcast": ((2, 1, 2, 3), (5, 3, 4)),
    "batch and column": ((5, 2, 3), (3,)),
    "row and batch": ((3,), (5, 3, 4)),
    "nothing inside": ((2, 0), (0, 3)),
    "no rows": ((0, 2), (2, 3)),
    "empty batch": ((0, 2, 3), (3, 4)),
}
EINSUM = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "ba,cb": ((2, 3), (4, 2)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "i,i->": ((3,), (3,)),
    "i,j->ij": ((3,), (4,)),
    "ij->ji": ((2, 3),),
    "ji": ((2, 3),),
    "ij->": ((2, 3),),
    "ij->j": ((2, 3),),
    "ij,ij->i": ((2, 3), (2, 3)),
    "ij,kj->": ((2, 3), (4, 3)),
    "ii->i": ((3, 3),),
    "ii": ((3, 3),),
    "iij->j": ((3, 3, 2),),
    "iji->ji": ((3, 2, 3),),
    "iii->i": ((3, 3, 3),),
    "ii,ij->j": ((3, 3), (3, 2)),
    "bn,anm,bm->ba": ((2, 3), (4, 3, 5), (2, 5)),
    "Ab,bC->CA": ((2, 3), (3, 4)),
    "aB": ((2, 3),),
    "i , i j -> j": ((3,), (3, 4)),
    "...ij,...jk->...ik": ((2, 5, 3, 4), (2, 5, 4, 2)),
    "...ij,jk->...ik": ((2, 3, 4), (4, 5)),
    "...ij,...jk": ((5, 3, 4), (4, 2)),
    "b...,b...->...": ((2, 3, 4), (2, 3, 4)),
    "...->...": ((2, 3),),
    "...i->...": ((2, 3),),
    "i...->...i": ((2, 3, 4),),
    "...ii->...i": ((2, 3, 3),),
    "...i->i": ((2, 4, 3),),
}

CASES = [
    *(
        case(f"matmul {label}", lambda F, a, b: F.matmul(a, b), *shapes)
        for label, shapes in MATMUL.items()
    ),
    case("matmul operator", lambda F, a: a @ a.mT, (2, 3)),
    case("bmm", lambda F, a, b: F.bmm(a, b), (4, 2, 3), (4, 3, 5)),
    case("bmm empty", lambda F, a, b: F.bmm(a, b), (0, 2, 3), (0, 3, 5)),
    case("outer", lambda F, a, b: F.outer(a, b), (3,), (4,)),
    *(
        case(f"linear {len(shape)} axes", lambda F, x, w, b: F.linear(x, w, b), shape, (4, 3), (4,))
        for shape in ((3,), (2, 3), (2, 5, 3), (2, 1, 5, 3))
    ),
    case("linear no bias", lambda F, x, w: F.linear(x, w), (2, 3), (4, 3)),
    case("linear empty batch", lambda F, x, w, b: F.linear(x, w, b), (0, 3), (4, 3), (4,)),
    case("linear empty sequence", lambda F, x, w, b: F.linear(x, w, b), (2, 0, 3), (4, 3), (4,)),
    *(
        case(f"einsum {equation}", lambda F, *xs, e=equation: F.einsum(e, *xs), *shapes)
        for equation, shapes in EINSUM.items()
    ),
    case("einsum one-long axes", lambda F, a, b: F.einsum("...i,...i->...", a, b), (1, 3), (4, 3)),
    case("einsum one-long letter", lambda F, a, b: F.einsum("ij,ij->ij", a, b), (2, 1), (2, 3)),
    case("einsum list", lambda F, a, b: F.einsum("i,ij", [a, b]), (3,), (3, 2)),
    case("einsum itself", lambda F, a: F.einsum("ij,ik->jk", a, a), (3, 2)),
]
