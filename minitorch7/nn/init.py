"""Initial values for weights.

A layer sums fan_in products, so its output varies fan_in times as much as one product does. Each
rule here picks the spread of the weights so that the signal (fan_in), or its gradient (fan_out),
keeps its size from layer to layer. Numbers come from the host's stream: see `manual_seed`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import backend
from ..autograd import Tensor
from ..functional._arguments import check_integer, check_tensor


def calculate_fan(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel): in·k·k and out·k·k.

    A transposed convolution keeps its weight as (in, out, k, k) and is counted in PyTorch's way
    all the same: its fan_in is out·k·k.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"calculate_fan: a weight needs at least two axes (out, in, ...), got {tensor.shape}"
        )
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much a nonlinearity shrinks a signal, made good: √2 for relu, √(2/(1+a²)) for leaky."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope * slope))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    if nonlinearity not in gains:
        known = ", ".join([*gains, "leaky_relu"])
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known: {known}")
    return gains[nonlinearity]


def _library(function: str, tensor: Tensor) -> Any:
    return backend.library(check_tensor(function, "tensor", tensor).backend)


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.data[...] = values
    tensor.mark_changed()
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with U(a, b)."""
    xp = _library("uniform_", tensor)
    return _fill(tensor, a + (b - a) * backend.uniform(xp, tensor.shape, tensor.dtype))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with N(mean, std²)."""
    xp = _library("normal_", tensor)
    if std < 0:
        raise ValueError(f"normal_: std must be at least 0, got {std}")
    return _fill(tensor, mean + std * backend.normal(xp, tensor.shape, tensor.dtype))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _fill(check_tensor("constant_", "tensor", tensor), val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _fill(check_tensor("zeros_", "tensor", tensor), 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _fill(check_tensor("ones_", "tensor", tensor), 1.0)


def _fan(function: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{function}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan_in, fan_out = calculate_fan(check_tensor(function, "tensor", tensor))
    return max(1, fan_in if mode == "fan_in" else fan_out)  # a weight of nothing has no spread


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """N(0, gain²/fan): with a = 0, variance 2/fan_in (He et al. 2015)."""
    fan = _fan("kaiming_normal_", tensor, mode)
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """U(−b, b) with b = gain·√(3/fan) (He et al. 2015)."""
    fan = _fan("kaiming_uniform_", tensor, mode)
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / fan)
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """N(0, gain²·2/(fan_in + fan_out)) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(calculate_fan(tensor))))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U(−b, b) with b = gain·√(6/(fan_in + fan_out)) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(calculate_fan(tensor)))
    return uniform_(tensor, -bound, bound)


def icnr_(
    weight: Tensor, scale: int = 2, init: Callable[[Tensor], Any] = kaiming_normal_
) -> Tensor:
    """Fill (nf·s², ni, *kernel) with s² copies of each kernel of an (nf, ni, *kernel) from `init`.

    After `pixel_shuffle` each s×s block of the picture is then one colour: it starts as
    nearest-neighbour upsampling, where a random start is a checkerboard (Aitken et al. 2017,
    arXiv 1707.02937). ValueError where the outputs are not divisible by s².
    """
    xp = _library("icnr_", weight)
    copies = check_integer("icnr_", "scale", scale, 1) ** 2
    if weight.ndim < 2 or weight.shape[0] % copies:
        raise ValueError(
            f"icnr_: the outputs of weight {weight.shape} must be divisible by scale² = {copies}"
        )
    kernel = Tensor(xp.zeros((weight.shape[0] // copies, *weight.shape[1:]), dtype=weight.dtype))
    init(kernel)
    return _fill(weight, xp.repeat(kernel.data, copies, axis=0))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for linear layers and convolutions: both from U(−1/√fan_in, 1/√fan_in)."""
    kaiming_uniform_(weight, a=math.sqrt(5))  # the bound is then 1/√fan_in
    if bias is not None:
        bound = 1 / math.sqrt(max(1, calculate_fan(weight)[0]))
        uniform_(bias, -bound, bound)
