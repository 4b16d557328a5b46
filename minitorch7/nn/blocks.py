"""The lesson's building blocks: `conv_layer`, `res_block` and `batchnorm_2d`."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from . import init
from .activation import LeakyReLU, ReLU
from .attention import SelfAttention
from .containers import MergeLayer, Sequential, SequentialEx
from .convolution import Conv1d, Conv2d, ConvTranspose2d
from .module import Module
from .normalisation import BatchNorm1d, BatchNorm2d
from .reparametrise import spectral_norm, weight_norm

NormType = Enum("NormType", "Batch BatchZero Weight Spectral")
BATCH = (NormType.Batch, NormType.BatchZero)


def conv_layer(
    ni: int,
    nf: int,
    ks: int = 3,
    stride: int = 1,
    padding: int | None = None,
    bias: bool | None = None,
    is_1d: bool = False,
    norm_type: NormType | None = NormType.Batch,
    use_activ: bool = True,
    leaky: float | None = None,
    transpose: bool = False,
    init_func: Callable[[Any], Any] = init.kaiming_normal_,
    self_attention: bool = False,
) -> Sequential:
    """Convolution → activation → batch norm → attention, in that order, as fastai v1 builds it.

    ni, nf          channels in and out
    padding         default (ks − 1)//2, or 0 for a transposed convolution
    bias            default: only where no batch norm follows, whose shift would make it idle
    norm_type       Batch, BatchZero (the same here, see below); Weight, Spectral: around the
                    convolution, once its weight is set; or None
    leaky           slope of a leaky ReLU; None for a plain one
    init_func       for the weight; the bias starts at 0
    self_attention  whether `SelfAttention` comes last

    The lesson says "conv, batch norm, ReLU"; the code it shows runs the ReLU first. And BatchZero,
    meant to start a residual branch at 0, had lost its effect inside conv_layer by the time the
    library was final. Both are kept: the accuracies that the lesson prints were reached so.
    """
    _check_norm("conv_layer", norm_type)
    if is_1d and transpose:
        raise ValueError("conv_layer: there is no transposed 1-D convolution here")
    if padding is None:
        padding = 0 if transpose else (ks - 1) // 2
    if bias is None:
        bias = norm_type not in BATCH
    kind = ConvTranspose2d if transpose else Conv1d if is_1d else Conv2d
    conv = kind(ni, nf, ks, stride=stride, padding=padding, bias=bias)
    init_func(conv.weight)
    if conv.bias is not None:
        init.zeros_(conv.bias)
    if norm_type is NormType.Weight:
        weight_norm(conv)
    elif norm_type is NormType.Spectral:
        spectral_norm(conv)
    layers: list[Module] = [conv]
    if use_activ:
        layers.append(ReLU(inplace=True) if leaky is None else LeakyReLU(leaky, inplace=True))
    if norm_type in BATCH:
        layers.append((BatchNorm1d if is_1d else BatchNorm2d)(nf))
    if self_attention:
        layers.append(SelfAttention(nf))
    return Sequential(*layers)


def batchnorm_2d(nf: int, norm_type: NormType = NormType.Batch) -> BatchNorm2d:
    """A `BatchNorm2d` that starts with β = 1e-3 and γ = 1, or 0 for BatchZero, as in the U-Net."""
    if norm_type not in BATCH:
        raise ValueError(f"batchnorm_2d: norm_type must be Batch or BatchZero, got {norm_type!r}")
    layer = BatchNorm2d(nf)
    init.constant_(layer.bias, 1e-3)
    init.constant_(layer.weight, 0.0 if norm_type is NormType.BatchZero else 1.0)
    return layer


def _check_norm(function: str, norm_type: Any) -> None:
    if norm_type is not None and not isinstance(norm_type, NormType):
        raise TypeError(f"{function}: norm_type must be a NormType or None, got {norm_type!r}")


def res_block(
    nf: int,
    dense: bool = False,
    norm_type: NormType | None = NormType.Batch,
    bottle: bool = False,
    **conv_kwargs: Any,
) -> SequentialEx:
    """Two 3×3 `conv_layer`s of nf channels and a merge with what came in.

    dense   concatenate instead of adding: 2·nf channels come out
    bottle  nf//2 channels between the two

    No activation follows the sum (He et al. have one): the block's last layer was already one.
    """
    inner = nf // 2 if bottle else nf
    second = NormType.BatchZero if not dense and norm_type is NormType.Batch else norm_type
    return SequentialEx(
        conv_layer(nf, inner, norm_type=norm_type, **conv_kwargs),
        conv_layer(inner, nf, norm_type=second, **conv_kwargs),
        MergeLayer(dense),
    )
