"""`FeatureLoss`: two pictures compared by what a trained network sees in them.

A pixel loss asks whether each pixel has the right colour. Fur whose hairs lie one pixel to the left
is as wrong to it as no fur at all, so a network that minimises it paints the mean of all fur that
could be there, which is none. A classifier's middle layers have learned what does matter: edges,
textures, parts of things. So let both pictures run through one, and compare there as well:

    pixel      the pictures themselves
    feat_i     the activations of layer i: the same things in the same places
    gram_i     their Gram matrices: the same textures, wherever they are

(Johnson, Alahi & Fei-Fei 2016, arXiv 1603.08155; Gatys, Ecker & Bethge 2015, arXiv 1508.06576)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import backend, nn
from .. import functional as F
from ..autograd import Tensor, no_grad
from ..functional._arguments import check_float, check_integer, check_same_backend, is_number
from .body import first_convolution
from .pretrained import pretrain
from .vgg import VGG, VGG16

GRAM = 5000  # a layer's Gram matrices weigh 5000·w², its activations w
LARGEST_TRIAL = 64  # pixels: up to here a size that fits is looked for, for an error's sake


def gram_matrix(x: Tensor) -> Tensor:
    """How much each two channels are active together: G = X Xᵀ / (C·H·W), X the channels' rows.

    x (N, C, H, W) → (N, C, C). Where things are does not matter: shuffle the pixels of all channels
    alike, and G stays. ValueError for another number of axes, and for no pixels or channels.
    """
    x = check_float("gram_matrix", "x", x)
    if x.ndim != 4:
        raise ValueError(f"gram_matrix: x must be (N, C, H, W), got shape {x.shape}")
    n, c, h, w = x.shape
    if 0 in (c, h, w):
        raise ValueError(
            f"gram_matrix: x of shape {x.shape} has no values to average over; C, H and W must be "
            "at least 1"
        )
    rows = x.reshape(n, c, h * w)
    return rows @ rows.transpose(1, 2) / (c * h * w)


def layers_before_pooling(layers: nn.Sequential) -> list[int]:
    """The numbers of the layers just before each `MaxPool2d`: what is known at each grid size.

    [5, 12, 22, 32, 42] for VGG-16 with batch norm. TypeError for what is no nn.Sequential.
    """
    if not isinstance(layers, nn.Sequential):
        raise TypeError(
            "layers_before_pooling: layers must be an nn.Sequential, got "
            f"{type(layers).__name__}; of a VGG it is model.features"
        )
    return [i - 1 for i, layer in enumerate(layers) if i and isinstance(layer, nn.MaxPool2d)]


class FeatureLoss(nn.Module):
    """base(x, y) + Σ wᵢ·base(Fᵢ(x), Fᵢ(y)) + Σ 5000·wᵢ²·base(G(Fᵢ(x)), G(Fᵢ(y)))

    with Fᵢ(x) what layer i of `m_feat` gives out, G the `gram_matrix`, and base the mean absolute
    error. Call it with predictions x and targets y, both (N, C, H, W) and normalised as the
    pictures were that m_feat has learned from; it answers with one number.

    m_feat      layers one after another; see `vgg_features` and `turned.turn_network`
    layer_ids   numbers of some of its layers, counted from 0
    layer_wgts  the w of each
    base_loss   (predictions, targets) → a Tensor of one number

    m_feat is frozen and stays in evaluation mode, whatever mode the loss is put in. The gradient
    goes through it to x. Nothing is recorded for y, so no gradient reaches it.

    `metrics` holds the terms of the last call, weights included, as detached Tensors by their names
    `metric_names`: pixel, feat_0 …, gram_0 …; their sum is the loss. `LossMetrics` makes columns of
    them.

    TypeError or ValueError for layers that are not there, for weights that are not one a layer, and
    for pictures of two shapes, of other channels than m_feat takes, or too small for it.
    """

    def __init__(
        self,
        m_feat: nn.Sequential,
        layer_ids: Sequence[int],
        layer_wgts: Sequence[float],
        base_loss: Callable[[Tensor, Tensor], Tensor] = F.l1_loss,
    ) -> None:
        if not isinstance(m_feat, nn.Sequential):
            raise TypeError(
                "FeatureLoss: m_feat must be an nn.Sequential, whose layers have numbers, got "
                f"{type(m_feat).__name__}; of a VGG it is model.features"
            )
        if not callable(base_loss) or isinstance(base_loss, type):
            raise TypeError(
                f"FeatureLoss: base_loss must be a function, got {base_loss!r:.80}; of a class "
                "make one by calling it, as nn.MSELoss()"
            )
        self.layer_ids = _checked_ids(layer_ids, len(m_feat))
        self.layer_wgts = _checked_weights(layer_wgts, self.layer_ids)
        self.gram_wgts = [GRAM * w**2 for w in self.layer_wgts]
        self.m_feat, self.base_loss = m_feat, base_loss
        m_feat.requires_grad_(False)
        numbers = range(len(self.layer_ids))
        self.metric_names = ["pixel", *(f"{k}_{i}" for k in ("feat", "gram") for i in numbers)]
        self.metrics: dict[str, Tensor] = {}
        self.train(self.training)

    @classmethod
    def vgg16(
        cls,
        pretrained: bool | str | Path = True,
        layer_wgts: Sequence[float] = (5, 15, 2),
        base_loss: Callable[[Tensor, Tensor], Tensor] = F.l1_loss,
    ) -> FeatureLoss:
        """The lesson's: VGG-16 with batch norm, the layers before its last three poolings.

        Those are 22, 32 and 42, with 256, 512 and 512 channels on grids of a quarter, an eighth and
        a sixteenth of the picture's side. pretrained: see `vgg_features`.
        """
        m_feat = vgg_features(pretrained)
        return cls(m_feat, layers_before_pooling(m_feat)[2:5], layer_wgts, base_loss)

    def train(self, mode: bool = True) -> FeatureLoss:
        """Nothing here depends on the mode: m_feat stays in evaluation mode."""
        super().train(mode)
        self.m_feat.eval()
        return self

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        self._check(input, target)
        self.m_feat.eval()  # a module that holds this loss sets the mode of all that is inside
        target = target.detach()
        wanted, found = self._wanted(target), self._features(input)
        pairs = list(zip(found, wanted, strict=True))
        feats = [self._base(x, y) for x, y in pairs]
        grams = [self._base(gram_matrix(x), gram_matrix(y)) for x, y in pairs]
        weights = [1.0, *self.layer_wgts, *self.gram_wgts]
        terms = [self._base(input, target), *feats, *grams]
        terms = [w * term for w, term in zip(weights, terms, strict=True)]
        self.metrics = {
            name: term.detach() for name, term in zip(self.metric_names, terms, strict=True)
        }
        return sum(terms[1:], start=terms[0])

    def _base(self, x: Tensor, y: Tensor) -> Tensor:
        term = self.base_loss(x, y)
        if not isinstance(term, Tensor) or term.numel() != 1:
            met = f"shape {term.shape}" if isinstance(term, Tensor) else f"{term!r:.60}"
            raise TypeError(
                f"FeatureLoss: base_loss must answer with a Tensor of one number, got {met}; "
                "leave .item() out, and average over all elements"
            )
        return term

    def _features(self, x: Tensor) -> list[Tensor]:
        """What the chosen layers give out, in the order of `layer_ids`; later layers do not run."""
        found, last = {}, max(self.layer_ids)
        for i, layer in zip(range(last + 1), self.m_feat, strict=False):
            x = layer(x)
            if i in self.layer_ids:
                found[i] = x
        return [found[i] for i in self.layer_ids]

    def _wanted(self, target: Tensor) -> list[Tensor]:
        """The target's features, without a history; an error for the size says what would fit."""
        with no_grad():
            try:
                return self._features(target)
            except ValueError as error:
                least = self._least_size(target)
                if least is None or min(target.shape[2:]) >= least:
                    raise
                raise ValueError(
                    f"FeatureLoss: pictures of {target.shape[2:]} are too small for layer "
                    f"{max(self.layer_ids)} of m_feat, which needs at least {least} pixels each "
                    "way; use larger pictures, or layers before more of the pooling"
                ) from error

    def _least_size(self, like: Tensor) -> int | None:
        """The side of the smallest square picture that the layers take, by trying; None: no luck"""
        xp = backend.library(like.backend)
        for side in range(1, LARGEST_TRIAL + 1):
            try:
                self._features(Tensor(xp.zeros((1, like.shape[1], side, side), like.dtype)))
            except ValueError:
                continue
            return side
        return None

    def _check(self, input: Tensor, target: Tensor) -> None:
        for name, t in (("input", input), ("target", target)):
            if check_float("FeatureLoss", name, t).ndim != 4:
                raise ValueError(
                    f"FeatureLoss: {name} must be pictures (N, C, H, W), got shape {t.shape}"
                )
        check_same_backend("FeatureLoss", input, target)
        if input.shape != target.shape:
            raise ValueError(
                f"FeatureLoss: predictions {input.shape} and targets {target.shape} must have one "
                "shape; does the model give out pictures of its targets' size and channels?"
            )
        if 0 in input.shape:
            raise ValueError(
                f"FeatureLoss: pictures of shape {input.shape} have no pixels to compare; give at "
                "least one picture of one pixel"
            )
        channels = first_convolution(self.m_feat).in_channels
        if input.shape[1] != channels:
            raise ValueError(
                f"FeatureLoss: pictures {input.shape} have {input.shape[1]} channels, but the "
                f"first convolution of m_feat expects {channels}; read them with "
                "convert_mode='RGB' (3 channels) or 'L' (1)"
            )

    def extra_repr(self) -> str:
        """What stands between the brackets."""
        return f"layer_ids={self.layer_ids}, layer_wgts={self.layer_wgts}"


def _listed(name: str, values: Any) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise TypeError(
            f"FeatureLoss: {name} must be a list, one entry a layer, got {values!r:.60}; of one "
            f"layer write [{values!r:.60}]"
        ) from None


def _checked_ids(layer_ids: Sequence[int], layers: int) -> list[int]:
    given = _listed("layer_ids", layer_ids)
    ids = [check_integer("FeatureLoss", "each of layer_ids", i) for i in given]
    wrong = [i for i in ids if not 0 <= i < layers]
    if wrong or not ids or len(set(ids)) < len(ids):
        raise ValueError(
            f"FeatureLoss: layer_ids must be different numbers of m_feat's {layers} layers, 0 to "
            f"{layers - 1}, got {ids}"
        )
    return ids


def _checked_weights(layer_wgts: Sequence[float], ids: list[int]) -> list[float]:
    weights = _listed("layer_wgts", layer_wgts)
    for w in weights:
        if not is_number(w) or not 0 <= w < float("inf"):
            raise ValueError(
                f"FeatureLoss: each of layer_wgts must be a number of at least 0, got {w!r}"
            )
    if len(weights) != len(ids):
        raise ValueError(
            f"FeatureLoss: {len(ids)} layers {ids} but {len(weights)} layer_wgts {weights}; give "
            "one weight for each layer"
        )
    return [float(w) for w in weights]


def vgg_features(pretrained: bool | str | Path = True) -> nn.Sequential:
    """The 44 layers of VGG-16 with batch norm before its classifier, which is never built.

    pretrained: as in `vgg16_bn`, with its errors; WeightsNotFound where the published weights can
    neither be found nor fetched.
    """
    features = VGG(VGG16, num_classes=1, hidden=1).features  # not 123 million weights for nothing
    return pretrain(nn.Sequential(OrderedDict(features=features)), "vgg16_bn", pretrained)[0]
