"""A loss that is no number any more: stop at once, and say which layer made it.

A NaN spreads: one in the loss puts one into every gradient, and the next step into every weight.
So the loss is looked at before the step wherever looking costs nothing, which is on NumPy. On a GPU
it is looked at every few batches, and the weights may be lost by then; a checkpoint is not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .. import autograd, backend
from ..autograd import Tensor
from .callbacks import Callback

if TYPE_CHECKING:
    from .learner import Learner

READ_EVERY = 50  # batches between two looks at the losses on a GPU


class NonFiniteLoss(FloatingPointError):
    """The training loss became NaN or infinite."""


class StopAtNaN(Callback):
    """Reads the losses every `read_every` batches and stops at the first that is no number.

    It comes right after the recorder, before backward and step: where every loss is read (the
    default on NumPy) the weights are still those that the last good batch left. With capture=True a
    step is done as a whole, and its loss is looked at after it.
    """

    order = -9
    when_captured = "after"

    def __init__(self, read_every: int | None = None) -> None:
        self.read_every = read_every

    def on_backward_begin(self) -> None:
        on_host = self.learn.loss.backend == "numpy"
        every = self.read_every or (1 if on_host else READ_EVERY)
        if (self.learn.done + 1) % every == 0:
            stop_at_nan(self.learn)

    def on_epoch_end(self) -> None:
        stop_at_nan(self.learn)


def stop_at_nan(learn: Learner) -> None:
    """Read the losses that are still on the device; NonFiniteLoss where one is no number."""
    recorder = learn.recorder
    first = len(recorder.raw_losses)
    recorder.read()
    for i, loss in enumerate(recorder.raw_losses[first:], first):
        if not math.isfinite(loss):
            raise _explained(learn, i, loss)


def _explained(learn: Learner, index: int, loss: float) -> NonFiniteLoss:
    """The error for the loss of training batch `index`, counted from the start of the fit."""
    recorder = learn.recorder
    late = len(recorder.raw_losses) - 1 - index
    before = recorder.losses[index - 1] if index else float("nan")
    lines = [
        f"fit: the training loss became {loss} in epoch {learn.epoch}, batch "
        f"{recorder.last_batch - late} (learning rate {recorder.lrs[index]:.3g}, smoothed loss "
        f"before it {before:.4g}).",
        _where(learn, late),
        "Usual causes: a learning rate that is too high (learn.lr_find() shows how high it may "
        "be), inputs that are not normalised, a logarithm or a division that meets 0.",
        "No checkpoint has been written since; learn.load(name) goes back to one.",
    ]
    return NonFiniteLoss("\n".join(lines))


def _where(learn: Learner, late: int) -> str:
    """Which operation and layer made it: the batch is run again with every result checked."""
    if not _finite(learn.xb):
        return "The inputs of the batch hold NaN or infinity already: look at the data."
    sick = [name for name, p in learn.model.named_parameters() if not _finite(p)]
    if sick and (late or learn.captured is not None):
        when = f"{late} batches late" if late else "after the step, as capture=True does it"
        return (
            f"By now the weights hold NaN or infinity too, first in {sick[0]!r}: the loss was read "
            f"{when}. To see the layer, set learn.read_every = 1 and go on, without capture, from "
            "the last checkpoint: the same batches follow, and the first bad one is caught."
        )
    if sick:
        return (
            f"The weights hold NaN or infinity, first in {sick[0]!r}: the loss of the batch before "
            "was still a number, but its gradients were not, and the step took them in."
        )
    try:
        with autograd.detect_anomaly():
            learn.pred = learn.forward()
            learn.get_loss()
    except FloatingPointError as error:
        return "First made by " + " ".join([str(error), *getattr(error, "__notes__", [])]) + "."
    return "Running the batch again gave a number: something random, such as dropout, decides."


def _finite(value: Tensor) -> bool:
    array = backend.to_numpy(value.data)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
