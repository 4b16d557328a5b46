"""Losses over all their options, together as well as apart."""

from __future__ import annotations

from itertools import product

from . import Case, between, case, given, ids, positive, ties

REDUCTIONS = ("none", "mean", "sum")
CLASSES = 4
# label: (scores, targets)
TARGETS = {
    "rows": ((6, CLASSES), ids(CLASSES, 6)),
    "pictures": ((2, CLASSES, 3, 2), ids(CLASSES, 2, 3, 2)),
    "lines": ((2, CLASSES, 5), ids(CLASSES, 2, 5)),
    "one": ((CLASSES,), given(2)),
}


def _class_losses() -> list[Case]:
    """Every combination of targets, weights, an ignored class and reduction."""
    found = []
    for (label, (x, t)), weighted, ignore, reduction in product(
        TARGETS.items(), (False, True), (-100, 1), REDUCTIONS
    ):
        options = {"ignore_index": ignore, "reduction": reduction}
        name = f"{label} {'weighted ' if weighted else ''}ignore={ignore} {reduction}"
        inputs = (x, t, positive(CLASSES)) if weighted else (x, t)
        constants = (2,)
        found.append(
            case(
                f"nll_loss {name}",
                lambda F, x, t, w=None, o=options: F.nll_loss(x, t, w, **o),
                *inputs,
                constants=constants,
            )
        )
        found += [
            case(
                f"cross_entropy {name} smoothing={smoothing}",
                lambda F, x, t, w=None, o=options, s=smoothing: F.cross_entropy(
                    x, t, w, **o, label_smoothing=s
                ),
                *inputs,
                constants=constants,
            )
            for smoothing in (0.0, 0.1, 1.0)
        ]
    return found


IGNORED = given([-100, 2, -100, 0])
NOTHING_LEFT = given([-100, -100])

CASES = [
    *_class_losses(),
    case("cross_entropy ignored", lambda F, x, t: F.cross_entropy(x, t), (4, 3), IGNORED),
    case("cross_entropy nothing left", lambda F, x, t: F.cross_entropy(x, t), (2, 3), NOTHING_LEFT),
    case("nll_loss nothing left", lambda F, x, t: F.nll_loss(x, t), (2, 3), NOTHING_LEFT),
    case("cross_entropy no rows", lambda F, x, t: F.cross_entropy(x, t), (0, 3), ids(3, 0)),
    case(
        "cross_entropy no rows sum",
        lambda F, x, t: F.cross_entropy(x, t, reduction="sum"),
        (0, 3),
        ids(3, 0),
    ),
    case(
        "cross_entropy large scores",
        lambda F, x, t: F.cross_entropy(x * 1e3, t, reduction="none"),
        (4, 3),
        ids(3, 4),
    ),
    *(
        case(
            f"{name} {reduction}",
            lambda F, x, y, n=name, r=reduction: getattr(F, n)(x, y, reduction=r),
            (3, 4),
            (3, 4),
        )
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss")
        for reduction in REDUCTIONS
    ),
    *(
        case(f"{name} no axes", lambda F, x, y, n=name: getattr(F, n)(x, y), (), ())
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss")
    ),
    case("mse_loss empty", lambda F, x, y: F.mse_loss(x, y), (0, 3), (0, 3)),
    case("l1_loss ties", lambda F, x, y: F.l1_loss(x, y), ties(4, 5), ties(4, 5)),
    case("smooth_l1_loss ties", lambda F, x, y: F.smooth_l1_loss(x, y), ties(4, 5), ties(4, 5)),
    *(
        case(
            f"smooth_l1_loss beta={beta} {reduction}",
            lambda F, x, y, b=beta, r=reduction: F.smooth_l1_loss(x, y, reduction=r, beta=b),
            (3, 4),
            (3, 4),
        )
        for beta in (0, 0.3, 2.0)
        for reduction in REDUCTIONS
    ),
    *(
        case(
            f"binary_cross_entropy_with_logits {'w ' * weighted}{'p ' * positives}{reduction}",
            lambda F, x, y, a, b, w=weighted, p=positives, r=reduction: (
                F.binary_cross_entropy_with_logits(
                    x, y, weight=a if w else None, pos_weight=b if p else None, reduction=r
                )
            ),
            (3, 4),
            between(0, 1, 3, 4),
            positive(4),
            positive(4),
            constants=(2, 3),
        )
        for weighted in (False, True)
        for positives in (False, True)
        for reduction in REDUCTIONS
    ),
    case(
        "binary_cross_entropy_with_logits far",
        lambda F, x, y: F.binary_cross_entropy_with_logits(x * 200, y, reduction="none"),
        (3, 4),
        between(0, 1, 3, 4),
    ),
    case(
        "binary_cross_entropy_with_logits zeros",
        lambda F, x, y: F.binary_cross_entropy_with_logits(x, y, reduction="sum"),
        ties(3, 4),
        ties(3, 4),
    ),
]
