"""Batch, layer, group and instance normalisation, with all combinations of scale and shift."""

from __future__ import annotations

from . import case, positive

SHAPES = {"2 axes": (5, 3), "3 axes": (4, 3, 5), "4 axes": (2, 3, 4, 5)}


def _batch(F, x, w=None, b=None, **options):
    return F.batch_norm(x, None, None, w, b, training=True, **options)


def _running(F, x, mean, var, w=None, b=None):
    """Training with running statistics, which are looked at as well."""
    y = F.batch_norm(x, mean, var, w, b, True, 0.3)
    return [y, mean, var]


def _running_instances(F, x, mean, var):
    return [F.instance_norm(x, mean, var, momentum=0.3), mean, var]


CASES = [
    *(case(f"batch_norm {label}", _batch, shape, (3,), (3,)) for label, shape in SHAPES.items()),
    case("batch_norm neither", _batch, (4, 3, 2, 2)),
    case("batch_norm weight only", _batch, (4, 3, 2, 2), (3,)),
    case("batch_norm bias", lambda F, x, b: _batch(F, x, None, b), (4, 3, 2), (3,), orders=1),
    case("batch_norm eps", lambda F, x, w, b: _batch(F, x, w, b, eps=0.5), (4, 3, 2), (3,), (3,)),
    case("batch_norm two values", _batch, (2, 3), (3,), (3,)),
    case("batch_norm shifted", lambda F, x, w: _batch(F, x + 50, w), (8, 3, 4, 4), (3,)),
    case(
        "batch_norm running", _running, (4, 3, 2), (3,), positive(3), (3,), (3,), constants=(1, 2)
    ),
    *(
        case(
            f"batch_norm evaluation {label}",
            lambda F, x, m, v, w, b: F.batch_norm(x, m, v, w, b),
            shape,
            (3,),
            positive(3),
            (3,),
            (3,),
            constants=(1, 2),
        )
        for label, shape in (SHAPES | {"empty": (0, 3, 2)}).items()
    ),
    case(
        "batch_norm evaluation neither",
        lambda F, x, m, v: F.batch_norm(x, m, v, eps=0.1),
        (4, 3),
        (3,),
        positive(3),
        constants=(1, 2),
    ),
    case("layer_norm", lambda F, x, w, b: F.layer_norm(x, (4,), w, b), (2, 3, 4), (4,), (4,)),
    case("layer_norm two axes", lambda F, x, w: F.layer_norm(x, [3, 4], w), (2, 3, 4), (3, 4)),
    case("layer_norm all", lambda F, x: F.layer_norm(x, (2, 3)), (2, 3)),
    case(
        "layer_norm eps", lambda F, x, b: F.layer_norm(x, (4,), None, b, 1), (2, 4), (4,), orders=1
    ),
    case("layer_norm empty", lambda F, x: F.layer_norm(x, (4,)), (0, 4)),
    *(
        case(
            f"group_norm {groups} groups",
            lambda F, x, w, b, g=groups: F.group_norm(x, g, w, b),
            (2, 6, 3, 4),
            (6,),
            (6,),
        )
        for groups in (1, 2, 3, 6)
    ),
    case("group_norm 2 axes", lambda F, x: F.group_norm(x, 2, eps=0.5), (3, 6)),
    case("group_norm 3 axes", lambda F, x, w: F.group_norm(x, 3, w), (3, 6, 5), (6,)),
    case(
        "instance_norm",
        lambda F, x, w, b: F.instance_norm(x, None, None, w, b),
        (2, 3, 4, 5),
        (3,),
        (3,),
    ),
    case("instance_norm 3 axes", lambda F, x: F.instance_norm(x, eps=0.5), (2, 3, 4)),
    case(
        "instance_norm running",
        _running_instances,
        (2, 3, 4, 5),
        (3,),
        positive(3),
        constants=(1, 2),
    ),
    case(
        "instance_norm evaluation",
        lambda F, x, m, v, w, b: F.instance_norm(x, m, v, w, b, use_input_stats=False),
        (2, 3, 4, 5),
        (3,),
        positive(3),
        (3,),
        (3,),
        constants=(1, 2),
    ),
]
