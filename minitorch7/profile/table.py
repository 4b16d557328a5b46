"""A profile's figures as text, and as the bars of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .costs import Cost, LayerCost

if TYPE_CHECKING:
    from .measure import Profile

OTHER = "other: Python, data, optimiser"
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def check_rows(function: str, rows: Any) -> None:
    """ValueError unless `rows` is a whole number of at least 1."""
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ValueError(f"{function}: rows must be an integer of at least 1, got {rows!r}")


def text(p: Profile, rows: int) -> str:
    """Both tables, under a line that says what the time went to."""
    whole = sum_of(p.operations)
    waited = "; the GPU was waited for after every operation" if p.waited else ""
    head = (
        f"{p.wall_ms:.2f} ms: forward {whole.forward_ms:.2f}, backward {whole.backward_ms:.2f}, "
        f"other {p.other_ms:.2f}{waited}"
    )
    return "\n".join([head, "", *_operations(p, rows, whole), "", *_layers(p, rows, whole)])


def _operations(p: Profile, rows: int, whole: Cost) -> list[str]:
    unit, size = _unit(whole)
    lines = [
        ["operation", "calls", "forward", "backward", "total", "share", "made", "made", "saved"],
        ["", "", "ms", "ms", "ms", "%", f"fwd {unit}", f"bwd {unit}", unit],
    ]
    shown, rest = p.operations[:rows], p.operations[rows:]
    named = [(cost.operation, cost) for cost in shown]
    named += [(f"{len(rest)} more", sum_of(rest))] if rest else []
    for name, cost in named:
        lines.append([name, str(cost.calls), *_own(cost, p), *_bytes(cost, size)])
    lines.append([OTHER, "", "", "", _ms(p.other_ms), _share(p.other_ms, p)])
    time = [_ms(whole.forward_ms), _ms(whole.backward_ms), _ms(p.wall_ms), _share(p.wall_ms, p)]
    lines.append(["wall time", str(whole.calls), *time, *_bytes(whole, size)])
    return _aligned(lines)


def _layers(p: Profile, rows: int, whole: Cost) -> list[str]:
    """A tree: the layers inside a layer are indented under it."""
    unit, size = _unit(whole)
    lines = [
        ["layer", "calls", "forward", "backward", "own", "share", "total", "made", "made", "saved"],
        ["", "", "ms", "ms", "ms", "%", "ms", f"fwd {unit}", f"bwd {unit}", unit],
    ]
    shown, rest = _slowest(p.layers, rows)
    paths = ["  " * layer.depth + layer.layer for layer in shown]
    # a model's own line has no class beside its name, which is the class
    width = max((len(path) for path, at in zip(paths, shown, strict=True) if at.depth), default=0)
    for path, layer in zip(paths, shown, strict=True):
        calls = str(layer.calls) if layer.class_name else ""
        name = f"{path:<{width}}  {layer.class_name if layer.depth else ''}".rstrip()
        if not layer.class_name:
            name += " (in no layer)"
        own = _own(layer, p) if layer.ms else [""] * 4
        made = _bytes(layer, size) if layer.ms else []
        lines.append([name, calls, *own, _ms(layer.total_ms), *made])
    if rest:
        cost = sum_of(rest)
        lines.append([f"{len(rest)} more", "", *_own(cost, p), "", *_bytes(cost, size)])
    lines.append([OTHER, "", "", "", _ms(p.other_ms), _share(p.other_ms, p)])
    time = [_ms(whole.forward_ms), _ms(whole.backward_ms), _ms(p.wall_ms), _share(p.wall_ms, p)]
    lines.append(["wall time", "", *time, "", *_bytes(whole, size)])
    return _aligned(lines)


def _slowest(layers: list[LayerCost], rows: int) -> tuple[list[LayerCost], list[LayerCost]]:
    """The `rows` layers with most time of their own, and all layers around them; and the rest.

    The containers come for nothing: they have no time of their own, and the tree needs them.
    """
    working = sorted((i for i, layer in enumerate(layers) if layer.ms), key=lambda i: -layers[i].ms)
    shown = set(working[:rows])
    above = -1  # the depth of the next layer around one that is shown
    for i in reversed(range(len(layers))):
        if layers[i].depth == above:
            shown.add(i)
        if i in shown:
            above = layers[i].depth - 1
    rest = [layers[i] for i in working[rows:] if i not in shown]
    return [layers[i] for i in sorted(shown)], rest


def bars(p: Profile, by: str, rows: int) -> tuple[list[str], dict[str, list[float]]]:
    """(labels, milliseconds forward, backward and other): a bar each, the slowest first."""
    if by == "operation":
        named = [(cost.operation, cost) for cost in p.operations]
    else:
        layers = sorted(p.layers, key=lambda layer: -layer.ms)
        named = [(_label(layer), layer) for layer in layers if layer.ms]
    shown, rest = named[:rows], named[rows:]
    if rest:
        shown.append((f"{len(rest)} more", sum_of(cost for _, cost in rest)))
    parts = {
        "forward": [cost.forward_ms for _, cost in shown] + [0.0],
        "backward": [cost.backward_ms for _, cost in shown] + [0.0],
        "other": [0.0] * len(shown) + [p.other_ms],
    }
    return [name for name, _ in shown] + [OTHER], parts


def _label(layer: LayerCost) -> str:
    if not layer.class_name:
        return "in no layer"
    return f"{layer.layer}  {layer.class_name}" if layer.depth else layer.layer


def sum_of(costs: Iterable[Cost]) -> Cost:
    """All of them together."""
    total = Cost()
    for cost in costs:
        total.add(cost)
    return total


# ------------------------------------------------------------------------------------------- cells


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f}"


def _share(milliseconds: float, p: Profile) -> str:
    return f"{100 * milliseconds / p.wall_ms:.1f}" if p.wall_ms else ""


def _own(cost: Cost, p: Profile) -> list[str]:
    return [_ms(cost.forward_ms), _ms(cost.backward_ms), _ms(cost.ms), _share(cost.ms, p)]


def _unit(whole: Cost) -> tuple[str, int]:
    """The unit in which the table's largest number of bytes has one to four digits."""
    most, power = max(whole.forward_bytes, whole.backward_bytes, whole.saved_bytes), 0
    while most >= 10_000 and power < len(UNITS) - 1:
        most, power = most // 1024, power + 1
    return UNITS[power], 1024**power


def _bytes(cost: Cost, size: int) -> list[str]:
    digits = 2 if size > 1 else 0
    numbers = (cost.forward_bytes, cost.backward_bytes, cost.saved_bytes)
    return [f"{n / size:.{digits}f}" for n in numbers]


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right; rules around the body."""
    columns = len(lines[0])
    padded = [[*line, *[""] * (columns - len(line))] for line in lines]
    widths = [max(len(line[i]) for line in padded) for i in range(columns)]
    texts = [
        f"{line[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{w}}" for cell, w in zip(line[1:], widths[1:], strict=True))
        for line in padded
    ]
    rule = "-" * len(texts[0])
    return [t.rstrip() for t in (*texts[:2], rule, *texts[2:-2], rule, *texts[-2:])]
