"""What both libraries start from on a GPU: networks, batches, operations, and their tiny forms.

The lesson's three MNIST networks, the GRU for human numbers, and the lesson's CamVid U-Net at the
published size: a ResNet-34 inside, a bottleneck at its end, 360×480 pixels, batches of 8.
`tiny` sizes serve the tests and the counting of launches on the stand-in for CuPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import grid, jobs, large, start

UNET34 = "camvid_unet34"
MODELS = (*start.SMALL, start.GRU, UNET34)
TF32 = (UNET34,)  # trained with TF32 products by both; the others in plain float32
ALONE = (UNET34,)  # one library at a time on the card: together they may not fit
WIDE = "U-Net 360×480"
_UNET34 = start.Spec(3, 360, large.CAMVID_CLASSES, 8, per_pixel=True, wide=480)
_TINY_PIXELS, _TINY_BATCH = 32, 2


class WideCase(grid.Case):
    """An operation of the CamVid U-Net, whose pictures are not square."""

    @property
    def name(self) -> str:
        """As a square one's, with both sides."""
        return super().name.replace(f"{self.x[2]}²", f"{self.x[2]}×{self.x[3]}")


def _conv(ni: int, nf: int, high: int, wide: int, ks: int = 3, stride: int = 1) -> WideCase:
    options = {"stride": stride, "padding": ks // 2}
    return WideCase("conv2d", WIDE, (8, ni, high, wide), (nf, ni, ks, ks), options, ni == 3)


_WIDE = [
    _conv(3, 64, 360, 480, 7, 2),
    _conv(64, 64, 90, 120),
    _conv(128, 128, 45, 60),
    _conv(256, 256, 23, 30),
    _conv(512, 512, 12, 15),
    _conv(96, 96, 180, 240),
    _conv(99, 49, 360, 480),
]


def add_wide() -> None:
    """Put the U-Net's convolutions among the operations of `grid.py`."""
    grid.CASES.update({case.name: case for case in _WIDE})


def make_tiny() -> list[str]:
    """Leave one operation of each kind in `grid.py`, with two pictures; their names."""
    kept: dict[str, grid.Case] = {}
    for name, case in grid.CASES.items():
        small = case._replace(x=(_TINY_BATCH, *case.x[1:]))
        best = kept.get(case.kind)
        if best is None or np.prod(small.x) < np.prod(best[1].x):
            kept[case.kind] = (name, small)
    grid.CASES.clear()
    grid.CASES.update(dict(kept.values()))
    return list(grid.CASES)


def spec(model: str, tiny: bool = False) -> start.Spec:
    """The sizes of one network's input and output."""
    s = _UNET34 if model == UNET34 else start.spec(model)
    if tiny:
        s = s._replace(batch=_TINY_BATCH if model == UNET34 else 2 * _TINY_BATCH)
    return s._replace(pixels=_TINY_PIXELS, wide=0) if tiny and model == UNET34 else s


def size(model: str, tiny: bool = False) -> tuple[int, int]:
    """Height and width of the pictures."""
    s = spec(model, tiny)
    return s.pixels, s.wide or s.pixels


def batch_of(model: str, batch: int, seed: int, tiny: bool = False) -> tuple[Any, Any]:
    """Pictures (N, 3, H, W) and a class for each pixel; of the others, what `start` has."""
    if model != UNET34:
        return start.batch_of(model, batch, seed)
    rng = np.random.default_rng(seed + 1)
    s, (high, wide) = spec(model, tiny), size(model, tiny)
    x = rng.standard_normal((batch, s.channels, high, wide), dtype=np.float32)
    return x, rng.integers(0, s.classes, (batch, high, wide))


def unet34(pixels: tuple[int, int]) -> Any:
    """The package's own U-Net around a ResNet-34, on the active backend."""
    from minitorch7.vision import DynamicUnet, create_body, resnet34

    body = create_body(resnet34, pretrained=False)
    return DynamicUnet(body, _UNET34.classes, pixels, bottle=True, norm_type=None)


def parameters(model: str, seed: int, tiny: bool = False) -> list[np.ndarray]:
    """A network's initial weights, in the order in which its modules list them."""
    if model != UNET34:
        return start.parameters(model, seed)
    import minitorch7 as mt

    with mt.using("numpy"):
        mt.manual_seed(seed)
        return [p.detach().numpy() for p in unet34(size(model, tiny)).parameters()]


def checks(model: str) -> tuple[int, float]:
    """(how many first losses are compared, how close they must be); why, says `jobs.py`."""
    if model == UNET34:
        return jobs.LARGE_STEPS, jobs.LARGE_TOLERANCE
    return jobs.CHECKED_STEPS, jobs.TOLERANCE


def trainer(net: Any, optimizer: Any, cross_entropy: Callable) -> Callable[[Any, Any], Any]:
    """One training step, which both libraries write alike; nothing in it waits for the device."""

    def train(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return train
