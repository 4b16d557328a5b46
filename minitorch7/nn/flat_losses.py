"""Losses that look at every place of an answer, whatever its shape: fastai's "flat" losses.

A classifier answers (N, classes), a language model (N, T, classes), a segmentation network
(N, classes, H, W). Each place is a question of its own, and the loss is the mean over all of them.
"""

from __future__ import annotations

import math

from .. import functional as F
from ..autograd import Tensor
from .loss import CrossEntropyLoss
from .module import Module


class CrossEntropyFlat(CrossEntropyLoss):
    """Cross entropy with the classes along `axis`, averaged over all other axes.

    input   scores, the classes along `axis`: (N, classes, H, W) with ``axis=1``
    target  class numbers, the same shape without that axis or with 1 there: (N, 1, H, W)

    The other arguments are those of `CrossEntropyLoss`. ValueError where the shapes do not fit:
    flattening would pair scores with the wrong targets.
    """

    def __init__(self, axis: int = -1, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        axis = _class_axis(input, self.axis)
        places = input.shape[:axis] + input.shape[axis + 1 :]  # one question each
        one = (*input.shape[:axis], 1, *input.shape[axis + 1 :])
        if target.shape not in (places, one):
            raise ValueError(
                f"CrossEntropyFlat: scores {input.shape} with the classes along axis {axis} need "
                f"targets of shape {places} or {one}, got {target.shape}; choose the axis with "
                "CrossEntropyFlat(axis=...), or resize the targets as the pictures are"
            )
        target = target.reshape(places)
        if axis == 0:
            input, target = input.unsqueeze(0), target.unsqueeze(0)
        elif axis > 1:  # the axes before the classes are samples alike
            samples = math.prod(places[:axis])
            input = input.reshape(samples, *input.shape[axis:])
            target = target.reshape(samples, *places[axis:])
        loss = super().forward(input, target)
        return loss.reshape(places) if self.reduction == "none" else loss

    def extra_repr(self) -> str:
        """What stands between the brackets."""
        return f"axis={self.axis}"


def _class_axis(input: Tensor, axis: int) -> int:
    if not -input.ndim <= axis < input.ndim:
        raise ValueError(
            f"CrossEntropyFlat: scores {input.shape} have no axis {axis} for the classes"
        )
    return axis % input.ndim


class _Flat(Module):
    """A loss of two tensors with as many elements, in any two shapes that differ by unit axes."""

    def _flattened(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        one, other = ([n for n in t.shape if n != 1] for t in (input, target))
        if one != other:
            raise ValueError(
                f"{type(self).__name__}: predictions {input.shape} and targets {target.shape} must "
                "have the same shape, unit axes aside; reshape one of them"
            )
        return input.reshape(-1), target.to(input.dtype).reshape(-1)


class BCEWithLogitsFlat(_Flat):
    """Binary cross entropy of scores, averaged over all places; targets may be whole numbers."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(*self._flattened(input, target))


class MSELossFlat(_Flat):
    """The squared error, averaged over all places."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(*self._flattened(input, target))
