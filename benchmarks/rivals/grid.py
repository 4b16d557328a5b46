"""The operations that `operations.py` times, with the shapes that the lesson's nets give them.

minitorch7.functional has the names and arguments of torch.nn.functional, so one table of calls
serves both; `jax_operations.py` follows the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MNIST, RESNET, UNET, WGAN = "MNIST", "ResNet-34", "U-Net", "WGAN"
ADAM = {"adam: 41 thousand": "resnet", "adam: 21.8 million": "resnet34"}  # whose parameters


class Case(NamedTuple):
    """One operation on one shape."""

    kind: str  # its name in functional
    net: str  # the network that it comes from
    x: tuple[int, ...]  # the shape of what comes in
    w: tuple[int, ...] | None = None  # the shape of the weight
    options: dict[str, int] = {}  # arguments that have to be given
    first: bool = False  # the network's first layer, whose input needs no gradient

    @property
    def name(self) -> str:
        """Operation, kernel and stride, channels, pixels and batch: unique, and fit for a table."""
        pixels = f"{self.x[2]}²" if len(self.x) == 4 else ""
        parts = [self.kind, self._kernel(), self._channels(), pixels, f"batch {self.x[0]}"]
        return " ".join(filter(None, parts))

    def _kernel(self) -> str:
        ks = self.w[-1] if self.w and len(self.w) == 4 else self.options.get("kernel_size")
        return f"{ks}×{ks} s{self.options.get('stride', 1)}" if ks else ""

    def _channels(self) -> str:
        if self.w is None:
            return str(self.x[1])
        out = self.w[1] if self.kind == "conv_transpose2d" else self.w[0]
        return f"{self.x[1]}→{out}"


def _conv(net: str, n: int, ni: int, nf: int, pixels: int, ks: int, stride: int) -> Case:
    options = {"stride": stride, "padding": ks // 2}
    return Case("conv2d", net, (n, ni, pixels, pixels), (nf, ni, ks, ks), options, ni in (1, 3))


def _up(n: int, ni: int, nf: int, pixels: int) -> Case:
    options = {"stride": 2, "padding": 1}
    return Case("conv_transpose2d", WGAN, (n, ni, pixels, pixels), (ni, nf, 4, 4), options)


def _plain(kind: str, net: str, n: int, c: int, pixels: int, **options: int) -> Case:
    return Case(kind, net, (n, c, pixels, pixels), None, options)


_LIST = [
    _conv(MNIST, 128, 1, 8, 28, 3, 2),
    _conv(MNIST, 128, 8, 16, 14, 3, 2),
    _conv(MNIST, 128, 16, 32, 7, 3, 2),
    _conv(MNIST, 128, 8, 8, 14, 3, 1),
    _conv(MNIST, 128, 16, 16, 7, 3, 1),
    _conv(MNIST, 128, 32, 32, 4, 3, 1),
    _conv(RESNET, 8, 3, 64, 128, 7, 2),
    _conv(RESNET, 8, 64, 64, 32, 3, 1),
    _conv(RESNET, 8, 128, 128, 16, 3, 1),
    _conv(RESNET, 8, 256, 256, 8, 3, 1),
    _conv(RESNET, 8, 512, 512, 4, 3, 1),
    _conv(RESNET, 8, 64, 128, 32, 3, 2),
    _conv(RESNET, 8, 256, 512, 8, 3, 2),
    _conv(RESNET, 8, 64, 128, 32, 1, 2),
    _conv(UNET, 8, 64, 64, 64, 3, 1),
    _conv(UNET, 8, 128, 64, 64, 3, 1),
    _conv(UNET, 8, 128, 256, 32, 1, 1),
    _conv(UNET, 8, 512, 1024, 8, 1, 1),
    _up(64, 512, 256, 4),
    _up(64, 128, 64, 16),
    _plain("batch_norm", MNIST, 128, 8, 14),
    _plain("batch_norm", RESNET, 8, 64, 32),
    _plain("batch_norm", UNET, 8, 64, 64),
    _plain("max_pool2d", RESNET, 8, 64, 64, kernel_size=3, stride=2, padding=1),
    _plain("max_pool2d", UNET, 8, 64, 64, kernel_size=2, stride=2),
    _plain("avg_pool2d", RESNET, 8, 64, 64, kernel_size=2, stride=2),
    _plain("adaptive_avg_pool2d", RESNET, 8, 512, 4, output_size=1),
    _plain("relu", MNIST, 128, 8, 14),
    _plain("relu", UNET, 8, 64, 64),
    _plain("pixel_shuffle", UNET, 8, 256, 32, upscale_factor=2),
    Case("cross_entropy", MNIST, (128, 10)),
    _plain("cross_entropy", UNET, 8, 32, 64),
    Case("linear", RESNET, (8, 512), (1000, 512)),
    Case("linear", RESNET, (128, 512), (512, 512)),
]
CASES = {case.name: case for case in _LIST}
KINDS = tuple(dict.fromkeys(case.kind for case in _LIST)) + ("adam",)
QUICK = tuple(case.name for case in _LIST if np.prod(case.x) < 220_000 and case.net == MNIST)


def inputs(case: Case, seed: int) -> tuple[list[np.ndarray], np.ndarray | None]:
    """The arrays that the operation is given, and the classes for a loss."""
    rng = np.random.default_rng(seed)

    def normal(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    made, target = [normal(case.x)], None
    if case.w is not None:
        made.append(normal(case.w, np.prod(case.w[1:]) ** -0.5))
    if case.kind == "linear":
        made.append(normal(case.w[:1]))
    elif case.kind == "batch_norm":
        made += [1 + normal(case.x[1:2], 0.1), normal(case.x[1:2], 0.1)]
    elif case.kind == "cross_entropy":
        target = rng.integers(0, case.x[1], (case.x[0], *case.x[2:]))
    return made, target


def gradient(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A random gradient to arrive at an output of this shape."""
    return np.random.default_rng(seed + 1).standard_normal(shape, dtype=np.float32)


def gradients_of(arrays: list[Any], seed: int) -> list[np.ndarray]:
    """A random gradient for every parameter of a list."""
    return [gradient(tuple(p.shape), seed + i) for i, p in enumerate(arrays)]


def function(F: Any, case: Case, target: Any = None) -> Callable[..., Any]:
    """The call itself, where `F` is minitorch7.functional or torch.nn.functional."""
    if case.kind == "batch_norm":
        return lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, True)
    if case.kind == "cross_entropy":
        return lambda x: F.cross_entropy(x, target)
    f = getattr(F, case.kind)
    return lambda *given: f(*given, **case.options)
