"""Convolutional layers, and the layers that fold and unfold windows."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..creation import zeros
from ..functional._arguments import check_integer, pair
from . import init
from .module import Module, Parameter


class _Convolution(Module):
    """What the three kinds share: sizes, weight, bias, and their checks."""

    axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        transposed: bool = False,
    ) -> None:
        name = type(self).__name__
        check_integer(name, "groups", groups, 1)
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            check_integer(name, what, channels)
            if channels < 1 or channels % groups:
                raise ValueError(f"{name}: {what} (={channels}) must be divisible by {groups=}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = self._lengths("kernel_size", kernel_size, 1)
        self.stride = self._lengths("stride", stride, 1)
        self.padding = padding if isinstance(padding, str) else self._lengths("padding", padding, 0)
        self.dilation = self._lengths("dilation", dilation, 1)
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = Parameter(zeros(first, second // groups, *self.kernel_size))
        self.register_parameter("bias", Parameter(zeros(out_channels)) if bias else None)
        init.default_(self.weight, self.bias)

    def _lengths(self, name: str, value: Any, least: int) -> tuple[int, ...]:
        """One number an axis, from an int or from a tuple of as many as there are axes."""
        kind = type(self).__name__
        if self.axes == 2:
            return pair(kind, name, value, least)
        if isinstance(value, tuple | list) and len(value) == 1:
            value = value[0]
        return (check_integer(kind, name, value, least),)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        none = (0,) * self.axes
        if self.padding != none:
            text += f", padding={self.padding}"
        if getattr(self, "output_padding", none) != none:
            text += f", output_padding={self.output_padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


class Conv2d(_Convolution):
    """(N, in_channels, H, W) → (N, out_channels, oh, ow); see `functional.conv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv1d(_Convolution):
    """(N, in_channels, L) → (N, out_channels, length); see `functional.conv1d`."""

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: Any = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.conv1d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class ConvTranspose2d(_Convolution):
    """(N, in_channels, H, W) → (N, out_channels, oh, ow); see `functional.conv_transpose2d`.

    The weight is (in_channels, out_channels/groups, kh, kw), and PyTorch's initial spread counts
    its second axis as fan_in.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, True
        )
        self.output_padding = self._lengths("output_padding", output_padding, 0)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )


class Unfold(Module):
    """Every window as a column; see `functional.unfold`."""

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        self.options = (kernel_size, dilation, padding, stride)

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, *self.options)


class Fold(Module):
    """Columns added back to their windows; see `functional.fold`."""

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        self.options = (output_size, kernel_size, dilation, padding, stride)

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, *self.options)
