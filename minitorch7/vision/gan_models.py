"""The networks of the lesson's GANs: critics, and a generator of pictures from noise.

gan_critic       judges patches of a picture; for restoring pictures
basic_critic     judges a batch with one number; for a WGAN
basic_generator  noise in, pictures out
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..functional._arguments import check_integer, check_tensor
from ..nn import NormType, conv_layer, res_block
from .gan_losses import is_finite


def gan_critic(
    n_channels: int = 3, nf: int = 128, n_blocks: int = 3, p: float = 0.15
) -> nn.Sequential:
    """A critic that gives a score to each of many overlapping patches of a picture.

    x (N, n_channels, H, W) → logits (N, k), 25 of them for pictures of 128×128, 81 for 192×192

    nf        channels after the first convolution; dense block and blocks double them
    n_blocks  convolutions of stride 2 after the first; attention follows the first of these
    p         dropout of whole channels before each of them, p/2 after the first convolution

    Every convolution is under spectral norm, which bounds how steep the critic can be, and has a
    leaky ReLU of slope 0.2 after it. There is no batch norm: it would let the critic compare the
    pictures of a batch with one another. ValueError for pictures with a side below
    4·2^(n_blocks + 1), 64 by default, or with other channels.
    """
    check_integer("gan_critic", "n_channels", n_channels, 1)
    check_integer("gan_critic", "nf", nf, 2)
    check_integer("gan_critic", "n_blocks", n_blocks, 1)
    if not is_finite(p) or not 0 <= p <= 1:
        raise ValueError(f"gan_critic: p, of dropout, must be a number from 0 to 1, got {p!r}")
    spectral = {"norm_type": NormType.Spectral, "leaky": 0.2}
    layers: list[nn.Module] = [
        conv_layer(n_channels, nf, ks=4, stride=2, **spectral),
        nn.Dropout2d(p / 2),
        res_block(nf, dense=True, **spectral),
    ]
    nf *= 2  # the dense block gives out its input too
    for block in range(n_blocks):
        down = conv_layer(nf, nf * 2, ks=4, stride=2, self_attention=block == 0, **spectral)
        layers += [nn.Dropout2d(p), down]
        nf *= 2
    last = conv_layer(nf, 1, ks=4, padding=0, bias=False, use_activ=False, **spectral)
    critic = nn.Sequential(*layers, last, nn.Flatten())
    critic.register_forward_pre_hook(partial(_check_side, n_channels, 4 * 2 ** (n_blocks + 1)))
    return critic


def _check_side(n_channels: int, least: int, module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Each convolution of stride 2 halves the side, and the last one needs 4×4."""
    shape = _shape_of("gan_critic", inputs)
    if len(shape) != 4 or min(shape[2:]) < least:
        raise ValueError(
            f"gan_critic: needs pictures (N, C, H, W) of at least {least}×{least}, got {shape}; "
            "use larger pictures, or a critic with a smaller n_blocks"
        )
    if shape[1] != n_channels:
        raise ValueError(
            f"gan_critic: was made for {n_channels} channels, got pictures {shape}; make it with "
            f"n_channels={shape[1]}"
        )


# ---------------------------------------------------------------------------------- from noise


def basic_critic(
    in_size: int,
    n_channels: int,
    n_features: int = 64,
    n_extra_layers: int = 0,
    **conv_kwargs: Any,
) -> nn.Sequential:
    """A critic whose answer for a batch is one number, the mean over its pictures (DCGAN's shape).

    x (N, n_channels, in_size, in_size) → (1,)

    Convolutions 4×4 of stride 2 halve the picture down to 4×4 and double the channels, from
    `n_features` on; `n_extra_layers` of 3×3 stand after the first. conv_kwargs go to every
    `conv_layer` (the first never has a norm): ``norm_type=None`` is a critic without batch norm,
    whose answer is a mean of what it says of each picture *alone*, as a gradient penalty needs.

    ValueError unless in_size is a power of two of at least 8, and for other pictures.
    """
    _check_sizes("basic_critic", in_size, n_channels, n_features, n_extra_layers)
    options = {"leaky": 0.2, **conv_kwargs}
    first = conv_layer(n_channels, n_features, 4, 2, 1, **{**options, "norm_type": None})
    extra = [conv_layer(n_features, n_features, 3, 1, **options) for _ in range(n_extra_layers)]
    layers: list[nn.Module] = [first, nn.Sequential(*extra)]
    size = in_size // 2
    while size > 4:
        layers.append(conv_layer(n_features, n_features * 2, 4, 2, 1, **options))
        n_features, size = n_features * 2, size // 2
    last = nn.Conv2d(n_features, 1, 4, bias=False)
    nn.init.kaiming_normal_(last.weight)
    critic = nn.Sequential(*layers, last, AvgFlatten())
    wanted = {"n_channels": n_channels, "in_size": in_size}
    critic.register_forward_pre_hook(
        partial(_check_input, "basic_critic", "pictures", wanted, (n_channels, in_size, in_size))
    )
    return critic


class AvgFlatten(nn.Module):
    """One score a picture (N, 1, 1, 1) → their mean, (1,). ValueError for any other shape."""

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[1:] != (1, 1, 1):
            raise ValueError(
                f"AvgFlatten: needs one score a picture, (N, 1, 1, 1), got {input.shape}; the "
                "critic was made for pictures of another size: pass theirs as in_size"
            )
        return input.mean(0).reshape(1)


def basic_generator(
    in_size: int,
    n_channels: int,
    noise_sz: int = 100,
    n_features: int = 64,
    n_extra_layers: int = 0,
    **conv_kwargs: Any,
) -> nn.Sequential:
    """A generator that draws pictures from noise (DCGAN's shape; Radford et al. 2015, 1511.06434).

    z (N, noise_sz, 1, 1) → pictures (N, n_channels, in_size, in_size) in [−1, 1]

    A transposed convolution makes 4×4 of the noise, others double the side and halve the channels
    down to `n_features`, `n_extra_layers` of 3×3 follow, and the last doubles once more, to tanh.
    conv_kwargs go to every `conv_layer`.

    ValueError unless in_size is a power of two of at least 8, and for other noise.
    """
    _check_sizes("basic_generator", in_size, n_channels, n_features, n_extra_layers)
    check_integer("basic_generator", "noise_sz", noise_sz, 1)
    options = {"transpose": True, **conv_kwargs}
    channels = n_features * in_size // 8
    layers: list[nn.Module] = [conv_layer(noise_sz, channels, 4, 1, **options)]
    size = 4
    while size < in_size // 2:
        layers.append(conv_layer(channels, channels // 2, 4, 2, 1, **options))
        channels, size = channels // 2, size * 2
    layers += [conv_layer(channels, channels, 3, 1, 1, **options) for _ in range(n_extra_layers)]
    last = nn.ConvTranspose2d(channels, n_channels, 4, stride=2, padding=1, bias=False)
    generator = nn.Sequential(*layers, last, nn.Tanh())
    wanted = {"noise_sz": noise_sz}
    generator.register_forward_pre_hook(
        partial(_check_input, "basic_generator", "noise", wanted, (noise_sz, 1, 1))
    )
    return generator


def _check_input(
    function: str,
    what: str,
    made_with: dict[str, int],
    wanted: tuple[int, ...],
    module: nn.Module,
    inputs: tuple[Any, ...],
) -> None:
    """Before the first layer: an item of the input has the shape that the network was made for."""
    shape = _shape_of(function, inputs)
    if shape[1:] != wanted:
        options = ", ".join(f"{name}={value}" for name, value in made_with.items())
        expected = ", ".join(map(str, ("N", *wanted)))
        raise ValueError(
            f"{function}: was made with {options} and needs {what} ({expected}), got {shape}; "
            "make it anew with the sizes of the data"
        )


def _shape_of(function: str, inputs: tuple[Any, ...]) -> tuple[int, ...]:
    return check_tensor(function, "input", inputs[0] if inputs else None).shape


def _check_sizes(
    function: str, in_size: int, n_channels: int, n_features: int, n_extra_layers: int
) -> None:
    check_integer(function, "n_channels", n_channels, 1)
    check_integer(function, "n_features", n_features, 1)
    check_integer(function, "n_extra_layers", n_extra_layers, 0)
    if check_integer(function, "in_size", in_size) < 8 or in_size & (in_size - 1):
        raise ValueError(
            f"{function}: in_size must be a power of two of at least 8 (every layer halves or "
            f"doubles the side, and 4×4 is the smallest), got {in_size}"
        )
