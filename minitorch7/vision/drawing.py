"""A U-Net drawn as the U that it is, from the model itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..plot import ORANGE, SKY, plot_multi
from .body import checked_img_size, first_convolution, output_shapes
from .unet import DynamicUnet, UnetBlock


@dataclass(frozen=True)
class Stage:
    """One box of the drawing: what it is, the shape (C, H, W) it gives out, where it stands.

    floor   0 for the picture's own size, 1 for the next smaller grid, …
    climbs  whether it is on the right side of the U
    cross   the stage on the left whose activations it takes, by its place in the list
    """

    name: str
    shape: tuple[int, int, int]
    floor: int
    climbs: bool
    cross: int | None = None


def unet_stages(model: DynamicUnet, img_size: tuple[int, int] = (256, 256)) -> list[Stage]:
    """The stages of `model` for a picture of `img_size`: down the encoder, up the decoder."""
    if not isinstance(model, DynamicUnet):
        raise TypeError(f"unet_stages: needs a DynamicUnet, got {type(model).__name__}")
    img_size = checked_img_size("unet_stages", img_size)
    encoder, *rest = model
    children = list(encoder.children())
    shapes = output_shapes([*children, *rest], model, img_size)
    down, up = shapes[: len(children)], shapes[len(children) :]
    picture = (first_convolution(encoder).in_channels, *img_size)
    left = [("picture", picture)]
    left += [(f"encoder[{i}]", down[i][1:]) for i in [*model.crossings, len(children) - 1]]
    floors: dict[tuple[int, ...], int] = {}
    for _, shape in left:
        floors.setdefault(shape[1:], len(floors))
    stages = [Stage(name, shape, floors[shape[1:]], False) for name, shape in left]
    place = len(model.crossings)
    for layer, shape in zip(rest, up, strict=True):
        name, cross = _name(layer), None
        if name is None:
            continue
        if isinstance(layer, UnetBlock):
            cross, place = place, place - 1
        elif isinstance(layer, nn.MergeLayer):
            cross = 0
        _, *grid = shape[1:]
        stages.append(Stage(name, shape[1:], floors.get(tuple(grid), 0), True, cross))
    return stages


def _name(layer: nn.Module) -> str | None:
    """What the drawing calls a child of the model; None for those too small to draw."""
    if isinstance(layer, UnetBlock):
        return "block"
    if isinstance(layer, nn.PixelShuffle_ICNR):
        return "pixel shuffle"
    if isinstance(layer, nn.MergeLayer):
        return "merge"
    if isinstance(layer, nn.SequentialEx):
        return "res_block"
    if not isinstance(layer, nn.Sequential):
        return None
    convolutions = [m for m in layer.modules() if isinstance(m, nn.Conv2d)]
    return "middle" if len(convolutions) > 1 else "1×1 conv"


def draw_unet(
    model: DynamicUnet,
    img_size: tuple[int, int] = (256, 256),
    figsize: tuple[float, float] | None = None,
) -> Any:
    """A figure of `model`: a box a stage, wider with more channels (by their logarithm) and lower
    on each smaller grid. Dashed arrows are the cross connections.
    """
    stages = unet_stages(model, img_size)
    depth = max(stage.floor for stage in stages)
    total = sum(p.numel() for p in model.parameters())

    def draw(i: int, j: int, axes: Any) -> None:
        _draw(axes, stages, depth)
        axes.set_title(f"{total:,} parameters; under each box: channels, rows × columns", size=9)

    size = (0.95 * len(stages), 1.15 * (depth + 1)) if figsize is None else figsize
    return plot_multi(draw, figsize=size)


def _draw(axes: Any, stages: list[Stage], depth: int) -> None:
    boxes = [_draw_box(axes, stage, x, depth) for x, stage in enumerate(stages)]
    for i, stage in enumerate(stages):
        if i:
            _arrow(axes, boxes[i - 1], boxes[i])
        if stage.cross is not None:
            _cross_arrow(
                axes, boxes[stage.cross], boxes[i], over=stages[i - 1].floor == stage.floor
            )
    axes.set(xlim=(-0.6, len(stages) - 0.4), ylim=(-depth - 0.75, 0.9))
    axes.axis("off")


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    height: float


def _draw_box(axes: Any, stage: Stage, x: float, depth: int) -> _Box:
    from matplotlib.patches import Rectangle

    channels, h, w = stage.shape
    width = 0.08 + 0.07 * math.log2(1 + channels)
    height = 0.6 - 0.38 * stage.floor / max(depth, 1)
    y = -stage.floor
    colour, corner = ORANGE if stage.climbs else SKY, (x - width / 2, y - height / 2)
    axes.add_patch(Rectangle(corner, width, height, facecolor=colour, edgecolor="k"))
    axes.text(x, y + height / 2 + 0.04, stage.name, ha="center", va="bottom", fontsize=8)
    text = f"{channels}\n{h}×{w}"
    axes.text(x, y - height / 2 - 0.04, text, ha="center", va="top", fontsize=8, linespacing=1.2)
    return _Box(x, y, width, height)


def _arrow(axes: Any, a: _Box, b: _Box) -> None:
    """From one stage to the next."""
    style = dict(arrowstyle="->", color="k", shrinkA=1, shrinkB=1)
    axes.annotate("", (b.x - b.width / 2, b.y), (a.x + a.width / 2, a.y), arrowprops=style)


def _cross_arrow(axes: Any, a: _Box, b: _Box, over: bool) -> None:
    """From the left of the U to its right; `over` the boxes that stand between."""
    style = dict(arrowstyle="->", color="0.4", linestyle="--", shrinkA=2, shrinkB=2)
    start, end = (a.x + a.width / 2, a.y), (b.x - b.width / 2, b.y)
    if over:
        start, end = (a.x + a.width / 2, a.y + a.height / 2), (b.x, b.y + b.height / 2 + 0.17)
        style["connectionstyle"] = "arc3,rad=-0.07"
    axes.annotate("", end, start, arrowprops=style)
