"""`unet_learner`: data and an architecture in, a Learner of a U-Net out, as the lesson calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import nn
from ..learner import Learner
from ..nn import NormType
from .body import create_body, first_convolution
from .resnet import BasicBlock
from .unet import DynamicUnet


def unet_learner(
    data: Any,
    arch: Callable[..., nn.Module] | nn.Module,
    pretrained: bool | str | Path = True,
    blur_final: bool = True,
    norm_type: NormType | None = None,
    split_on: Any = None,
    blur: bool = False,
    self_attention: bool = False,
    y_range: tuple[float, float] | None = None,
    last_cross: bool = True,
    bottle: bool = False,
    cut: int | None = None,
    lesson_time: bool = False,
    **learn_kwargs: Any,
) -> Learner:
    """A Learner whose model is a `DynamicUnet` over the body of `arch`, cut into layer groups.

    data        a DataBunch; it says how many outputs a pixel has (`data.c`) and which loss fits
    arch, pretrained, cut   see `create_body`; with pretrained weights the body starts frozen. A
                network given as it is starts unfrozen, since where its weights come from is unknown
    split_on    where the layer groups begin. Default for a ResNet: before the third of its four
                stages and before the decoder; for others: before the decoder
    learn_kwargs  for the `Learner`: metrics, wd, loss_func, ...

    The other arguments are those of `DynamicUnet`. ValueError where the pictures have another
    number of channels than the body's first layer.
    """
    body = create_body(arch, pretrained, cut)
    channels, *size = data.train_ds[0][0].shape
    expected = first_convolution(body).in_channels
    if channels != expected:
        raise ValueError(
            f"unet_learner: the pictures have {channels} channels, but the first convolution of "
            f"{getattr(arch, '__name__', type(arch).__name__)} expects {expected}; read "
            "them with convert_mode='RGB' (3 channels) or 'L' (1), or change that layer"
        )
    model = DynamicUnet(
        body,
        data.c,
        img_size=(256, 256) if lesson_time else tuple(size),
        blur=blur,
        blur_final=blur_final,
        self_attention=self_attention,
        y_range=y_range,
        last_cross=last_cross,
        bottle=bottle,
        lesson_time=lesson_time,
        norm_type=norm_type,
    )
    learn = Learner(data, model, **learn_kwargs)
    learn.split(first_layers_of_groups(model) if split_on is None else split_on)
    if pretrained and not isinstance(arch, nn.Module):
        learn.freeze()
    return learn


def first_layers_of_groups(model: DynamicUnet) -> list[nn.Module]:
    """Where the layer groups of a U-Net begin: at a ResNet's third stage, and at the decoder."""
    encoder, decoder = model[0], model[1]
    stages = [m for m in encoder.children() if _is_stage(m)]
    return [stages[2], decoder] if len(stages) == 4 else [decoder]


def _is_stage(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and any(isinstance(m, BasicBlock) for m in module)
