"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor
from ..creation import ones, zeros
from ..functional._arguments import check_integer, check_tensor
from .module import Module, Parameter


class _BatchNorm(Module):
    """γ and β for each channel, and the running statistics that evaluation uses.

    momentum=None makes the running statistics the plain average of all batches.
    """

    axes: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.num_features = check_integer(type(self).__name__, "num_features", num_features, 0)
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features)) if affine else None)
        track = track_running_stats
        self.register_buffer("running_mean", zeros(num_features) if track else None)
        self.register_buffer("running_var", ones(num_features) if track else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype=np.int64) if track else None)

    def forward(self, input: Tensor) -> Tensor:
        check_tensor(type(self).__name__, "input", input)
        if input.ndim not in self.axes:
            raise ValueError(
                f"{type(self).__name__}: input must have "
                f"{' or '.join(str(n) for n in self.axes)} axes, got shape {input.shape}"
            )
        momentum = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.data += 1
            if momentum is None:  # the plain average of all batches so far; reading it waits
                momentum = 1 / self.num_batches_tracked.item()
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """(N, C) or (N, C, L), standardised over all axes but C; see `functional.batch_norm`."""

    axes = (2, 3)


class BatchNorm1dFlat(BatchNorm1d):
    """(…, C): `BatchNorm1d` of all rows, whatever axes they are arranged in.

    fastai v1's layer for the outputs of recurrent layers: every word of every sequence is one row,
    in either order of the axes. ValueError for an input without axes before C.
    """

    def forward(self, input: Tensor) -> Tensor:
        check_tensor("BatchNorm1dFlat", "input", input)
        if input.ndim < 2 or input.shape[-1] != self.num_features:
            raise ValueError(
                f"BatchNorm1dFlat: input must be (…, {self.num_features}) with at least one axis "
                f"of rows, got shape {input.shape}"
            )
        if input.ndim == 2:
            return super().forward(input)
        return super().forward(input.flatten(0, -2)).reshape(input.shape)


class BatchNorm2d(_BatchNorm):
    """(N, C, H, W), standardised over N, H and W; see `functional.batch_norm`."""

    axes = (4,)


class LayerNorm(Module):
    """Standardised over the last axes; see `functional.layer_norm`."""

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True
    ) -> None:
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps = eps
        affine, shape = elementwise_affine, self.normalized_shape
        self.register_parameter("weight", Parameter(ones(*shape)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(*shape)) if affine else None)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class GroupNorm(Module):
    """Each group of channels of each sample standardised; see `functional.group_norm`."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        check_integer("GroupNorm", "num_groups", num_groups, 1)
        check_integer("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels (={num_channels}) must be divisible by "
                f"num_groups (={num_groups})"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.register_parameter("weight", Parameter(ones(num_channels)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels)) if affine else None)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={affine}"


class InstanceNorm2d(_BatchNorm):
    """Each channel of each sample standardised; neither affine nor tracking unless asked."""

    axes = (4,)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)

    def forward(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )
