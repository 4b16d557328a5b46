"""Bodies: a network without its head, and what sizes its parts give out.

A classifier ends in a head, which turns a small grid of many channels into scores. Cut it off, and
what is left, the body, turns a picture into features: an encoder. A U-Net needs to know at which of
the encoder's parts the grid shrinks, and asks by running a picture through it with hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .. import backend, nn
from ..autograd import Tensor, no_grad
from ..functional._arguments import check_integer

HEAD = 2  # children of a classifier that are its head: pooling, and what gives the scores


def create_body(
    arch: Callable[..., nn.Module] | nn.Module,
    pretrained: bool | str | Path = True,
    cut: int | None = None,
) -> nn.Sequential:
    """The children of a network before its head, one after another.

    arch        a function such as `resnet34`, called as ``arch(pretrained=...)``; or a network, as
                it is. A Sequential is taken for a body already, unless `cut` says otherwise
    pretrained  True for the published weights, a path for those of a file, False for new ones;
                only a function can obey it
    cut         how many children to keep; negative: how many to drop. Default: all but the head,
                which is the last two of the networks here (pooling and the linear layers)

    Where one Sequential is left, as of a VGG, the body is that Sequential.
    """
    if cut is not None:
        check_integer("create_body", "cut", cut)
    if isinstance(arch, nn.Sequential) and cut is None:
        return arch
    if isinstance(arch, nn.Module):
        model = arch
    elif callable(arch):
        model = arch(pretrained=pretrained)
    else:
        raise TypeError(
            "create_body: arch must be a function that makes a network, such as "
            f"minitorch7.vision.resnet34, or a network, got {type(arch).__name__}"
        )
    children = list(model.children())
    body = children[: -HEAD if cut is None else cut]
    if not body:
        raise ValueError(
            f"create_body: cut={cut} leaves nothing of the {len(children)} children of "
            f"{type(model).__name__}"
        )
    if len(body) == 1 and isinstance(body[0], nn.Sequential):
        return body[0]
    return nn.Sequential(*body)


def checked_img_size(function: str, img_size: Any) -> tuple[int, int]:
    """`img_size` as (rows, columns); TypeError or ValueError where it is anything else."""
    if not isinstance(img_size, tuple | list) or len(img_size) != 2:
        raise TypeError(
            f"{function}: img_size must be two whole numbers (rows, columns), got {img_size!r}"
        )
    rows, columns = (check_integer(function, "img_size", n, 1) for n in img_size)
    return rows, columns


def first_convolution(model: nn.Module) -> nn.Conv2d:
    """The convolution that sees the picture; it says how many channels the picture must have."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return module
    raise ValueError(
        f"first_convolution: there is no Conv2d in {type(model).__name__}, so how many channels "
        "its pictures have cannot be told"
    )


@contextmanager
def outputs_of(layers: Sequence[nn.Module]) -> Iterator[list[Any]]:
    """Inside the ``with`` block, the last output of each layer, as soon as it has run.

    The outputs are those that the next layers saw, history and all; None before a layer has run.
    """
    found: list[Any] = [None] * len(layers)

    def keep(place: int) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            found[place] = output

        return hook

    with ExitStack() as stack:
        for place, layer in enumerate(layers):
            stack.enter_context(layer.register_forward_hook(keep(place)))
        yield found


def output_shapes(
    layers: Sequence[nn.Module], model: nn.Module, img_size: tuple[int, int]
) -> list[tuple[int, ...]]:
    """The shape (1, C, H, W) that each of the layers gives out when `model` sees one picture.

    The picture is empty and the model in evaluation mode, so that nothing is learned from it.
    """
    conv = first_convolution(model)
    xp = backend.library(conv.weight.backend)
    picture = Tensor(xp.zeros((1, conv.in_channels, *img_size), dtype=conv.weight.dtype))
    with outputs_of(layers) as outputs, nn.evaluating(model), no_grad():
        model(picture)
    for layer, output in zip(layers, outputs, strict=True):
        if not isinstance(output, Tensor) or output.ndim != 4:
            got = output.shape if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f"output_shapes: {type(layer).__name__} gave {got} for a picture of {img_size}; "
                "the children of an encoder must give grids (N, C, H, W)"
            )
    return [output.shape for output in outputs]
