"""`DynamicUnet`: any encoder that shrinks its picture, made into a U-Net.

A classifier's body halves the grid again and again: at the end it knows *what* is there and has
forgotten *where*. A U-Net climbs back up, doubling the grid at each step, and on every floor takes
the encoder's activations of that size by a cross connection: they remember where.

    picture ───────────────────────────── ⊕ picture → res_block → 1×1 → classes
      └ H/2 ──────────────────────── block ┘ up
          └ H/4 ─────────────── block ┘ up
              └ H/8 ────── block ┘ up
                  └ H/16 ─ block ┘ up
                      └ H/32 → middle ┘ up

(Ronneberger et al. 2015; here as fastai v1 builds it, for an encoder it has never seen)

fastai's decoder blocks keep a hook on the encoder and read from it what the last picture left
there. Here the model keeps the activations for as long as one call lasts and hands each block its
own, so that nothing outlives the call.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from ..functional._arguments import check_integer
from ..nn import MergeLayer, NormType, PixelShuffle_ICNR, batchnorm_2d, conv_layer, res_block
from .body import checked_img_size, first_convolution, output_shapes, outputs_of


class UnetBlock(nn.Module):
    """One step up: double the grid, take the encoder's activations of that size, convolve twice.

        conv2(conv1(relu([resized(shuf(input)), bn(cross)])))

    input (N, up_in_c, h, w) and cross (N, x_in_c, H, W) → (N, nf, H, W), where nf is
    up_in_c//2 + x_in_c, or half of that without `final_div`, as in the last block.

    blur, leaky, norm_type  as in `PixelShuffle_ICNR` and `conv_layer`
    self_attention          at the end of conv2
    """

    def __init__(
        self,
        up_in_c: int,
        x_in_c: int,
        final_div: bool = True,
        blur: bool = False,
        leaky: float | None = None,
        self_attention: bool = False,
        norm_type: NormType | None = None,
    ) -> None:
        how: dict[str, Any] = {"norm_type": norm_type, "leaky": leaky}
        self.shuf = PixelShuffle_ICNR(up_in_c, up_in_c // 2, blur=blur, **how)
        self.bn = batchnorm_2d(x_in_c)
        ni = up_in_c // 2 + x_in_c
        nf = ni if final_div else ni // 2
        self.conv1 = conv_layer(ni, nf, **how)
        self.conv2 = conv_layer(nf, nf, self_attention=self_attention, **how)
        self.relu = nn.ReLU() if leaky is None else nn.LeakyReLU(leaky)
        self.out_channels = nf

    def forward(self, input: Tensor, cross: Tensor) -> Tensor:
        up = resized(self.shuf(input), cross)
        joined = self.relu(F.cat([up, self.bn(cross)], dim=1))
        return self.conv2(self.conv1(joined))


class DynamicUnet(nn.Sequential):
    """A U-Net over `encoder`, whose children run one after another: (N, C, H, W) → (N, n_classes,
    H, W), for pictures of any size that the encoder takes.

    img_size        of the picture that is run through the encoder to see where its grid shrinks
    blur            average 2×2 after each doubling in the blocks, against checkerboards;
                    `blur_final`: also in the last block
    self_attention  at the end of the block that is third from the top
    y_range         (low, high) between which a sigmoid keeps the outputs
    last_cross      let the picture itself in before the last block
    bottle          half the channels inside the last block
    norm_type, leaky  of every `conv_layer`; no norm, as `unet_learner` has it, means biases instead
                    (fastai's class itself would give convolutions batch norm, shuffles weight norm)
    lesson_time     as the library was when the lesson was given: every doubling is blurred, no
                    gradient passes the cross connections, and attention's γ stays 0 for good

    The children, in the order of the published table: encoder, batch norm, ReLU, middle, a
    `UnetBlock` for each cross connection, the last doubling if the encoder's first layer shrinks
    the picture, then merge, residual block, 1×1 convolution and `SigmoidRange`, as asked for.

    Raises ValueError for an encoder whose grid never shrinks, whose children do not run one after
    another, or which has too few cross connections for `self_attention`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_classes: int,
        img_size: tuple[int, int] = (256, 256),
        blur: bool = False,
        blur_final: bool = True,
        self_attention: bool = False,
        y_range: tuple[float, float] | None = None,
        last_cross: bool = True,
        bottle: bool = False,
        norm_type: NormType | None = None,
        leaky: float | None = None,
        lesson_time: bool = False,
    ) -> None:
        img_size = checked_img_size("DynamicUnet", img_size)
        if check_integer("DynamicUnet", "n_classes", n_classes) < 1:
            raise ValueError(f"DynamicUnet: n_classes must be at least 1, got {n_classes}")
        how: dict[str, Any] = {"norm_type": norm_type, "leaky": leaky}
        shapes = _shapes_of_children(encoder, img_size)
        crossings = crossings_of([shape[2:] for shape in shapes])
        if self_attention and len(crossings) < 3:
            raise ValueError(
                "DynamicUnet: self_attention stands in the block third from the top, but this "
                f"encoder has {len(crossings)} cross connections; use one that shrinks more often"
            )
        ni = shapes[-1][1]
        middle = nn.Sequential(conv_layer(ni, ni * 2, **how), conv_layer(ni * 2, ni, **how))
        layers: list[nn.Module] = [encoder, batchnorm_2d(ni), nn.ReLU(), middle]
        for i, place in enumerate(reversed(crossings)):
            last = i == len(crossings) - 1
            block = UnetBlock(
                ni,
                shapes[place][1],
                final_div=not last,
                blur=(blur and (blur_final or not last)) or lesson_time,
                self_attention=self_attention and i == len(crossings) - 3,
                **how,
            )
            layers.append(block)
            ni = block.out_channels
        if shapes[0][2:] != img_size:
            layers.append(PixelShuffle_ICNR(ni, blur=lesson_time, **how))
        if last_cross:
            ni += first_convolution(encoder).in_channels
            layers += [MergeLayer(dense=True), res_block(ni, bottle=bottle, **how)]
        layers.append(conv_layer(ni, n_classes, ks=1, use_activ=False, **how))
        if y_range is not None:
            layers.append(nn.SigmoidRange(*_checked_range(y_range)))
        super().__init__(*layers)
        self.lesson_time, self.crossings = lesson_time, crossings
        self.options = {  # the arguments, so that the same network can be built again
            "n_classes": n_classes,
            "img_size": img_size,
            "blur": blur,
            "blur_final": blur_final,
            "self_attention": self_attention,
            "y_range": y_range,
            "last_cross": last_cross,
            "bottle": bottle,
            "norm_type": norm_type and norm_type.name,
            "leaky": leaky,
            "lesson_time": lesson_time,
        }
        if lesson_time:
            _drop_gamma(self)

    def forward(self, input: Tensor) -> Tensor:
        encoder, *rest = self
        x, crossing = self._encode(encoder, input)
        for layer in rest:
            if isinstance(layer, UnetBlock):
                x = layer(x, crossing.pop())
            elif isinstance(layer, PixelShuffle_ICNR):
                x = resized(layer(x), input)
            elif isinstance(layer, MergeLayer):
                x = layer(x, input)
            else:
                x = layer(x)
        return x

    def _encode(self, encoder: nn.Module, input: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The encoder's last activations, and those of the cross connections from top to bottom."""
        children = list(encoder.children())
        with outputs_of([children[place] for place in self.crossings]) as crossing:
            x = encoder(input)
        return x, [t.detach() for t in crossing] if self.lesson_time else crossing


def _shapes_of_children(encoder: nn.Module, img_size: tuple[int, int]) -> list[tuple[int, ...]]:
    """What each child of the encoder gives out; ValueError unless the grid shrinks on the way."""
    if not isinstance(encoder, nn.Module):
        got = getattr(encoder, "__name__", type(encoder).__name__)
        raise TypeError(f"DynamicUnet: encoder must be a Module, got {got}; create_body makes one")
    name, children = type(encoder).__name__, list(encoder.children())
    *shapes, out = output_shapes([*children, encoder], encoder, img_size)
    sizes = [img_size, *(shape[2:] for shape in shapes)]
    if not children or shapes[-1] != out or any(b > a for a, b in pairwise(map(prod, sizes))):
        raise ValueError(
            f"DynamicUnet: the children of {name} must run in the order in which it holds them, "
            f"each on a grid no larger than the last; they give {[s[1:] for s in shapes]} for a "
            f"picture of {img_size}, and the encoder {out[1:]}"
        )
    if len(set(sizes[1:])) == 1:
        raise ValueError(
            f"DynamicUnet: the grid of {name} never shrinks: its {len(children)} children all give "
            f"{sizes[1]} for a picture of {img_size}; an encoder needs layers with a stride, or "
            "pooling, after its first"
        )
    return shapes


def crossings_of(sizes: list[tuple[int, ...]]) -> list[int]:
    """The children after which the grid changes: their activations are the last of their size.

    crossings_of([(8, 8), (8, 8), (4, 4), (2, 2)]) == [1, 2]
    """
    return [i for i in range(len(sizes) - 1) if sizes[i] != sizes[i + 1]]


def resized(x: Tensor, like: Tensor) -> Tensor:
    """`x` on the grid of `like`, by nearest neighbour: 24×30 → 23×30, where halving rounded up."""
    return x if x.shape[2:] == like.shape[2:] else F.interpolate(x, size=like.shape[2:])


def _checked_range(y_range: Any) -> tuple[float, float]:
    if not isinstance(y_range, tuple | list) or len(y_range) != 2:
        raise TypeError(f"DynamicUnet: y_range must be two numbers (low, high), got {y_range!r}")
    return tuple(y_range)


def _drop_gamma(model: nn.Module) -> None:
    """Attention's γ, which the library then lost on its way to the optimiser, is no parameter."""
    for module in model.modules():
        if isinstance(module, nn.SelfAttention):
            gamma = module.gamma
            del module.gamma
            module.register_buffer("gamma", gamma.detach())
