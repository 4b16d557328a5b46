"""Callbacks: what happens around a training step, without touching the loop.

The loop announces what it is about to do or has done, always in this order:

    train_begin
        epoch_begin
            batch_begin       xb and yb are here and may be replaced
            loss_begin        the model has answered: pred
            backward_begin    the loss is computed
            backward_end      the gradients are there
            step_end          the weights have moved; then the gradients are zeroed
            batch_end
        epoch_end             after the validation set
    train_end

Validation batches announce batch_begin, loss_begin and batch_end only, with ``learn.training``
False. A callback defines the ``on_...`` methods it cares for and finds everything else on
``self.learn``: xb, yb, pred, loss, model, opt, training, epoch, epochs, batch, done, recorder.

To steer the loop a callback assigns (``self.learn.xb = ...``) or raises one of three exceptions.
fastai v1 returned dictionaries of state to overwrite; an assignment says the same in plain Python,
and an exception cannot be forgotten on its way through the callbacks that come after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .learner import Learner

EVENTS = (
    "train_begin",
    "epoch_begin",
    "batch_begin",
    "loss_begin",
    "backward_begin",
    "backward_end",
    "step_end",
    "batch_end",
    "epoch_end",
    "train_end",
)


class CancelBatch(Exception):
    """Skip what is left of this batch, up to batch_end.

    From on_backward_end it skips the step and the zeroing: gradients of several batches add up.
    """


class CancelEpoch(Exception):
    """Take no more batches of this pass over the data; after a training pass validation follows."""


class CancelFit(Exception):
    """Stop training here; train_end follows, and the fit counts as finished."""


class Callback:
    """Something that listens to the loop. Subclasses define the events they need.

    `order` decides who is called first: low before high, and those given first among equals.
    `when_captured` says what becomes of the events amid a step in a fit with capture=True: "inside"
    or "after" it; see ``captured.py``.
    """

    order = 0
    when_captured: str | None = None
    learn: Learner

    def on_train_begin(self) -> None: ...

    def on_epoch_begin(self) -> None: ...

    def on_batch_begin(self) -> None: ...

    def on_loss_begin(self) -> None: ...

    def on_backward_begin(self) -> None: ...

    def on_backward_end(self) -> None: ...

    def on_step_end(self) -> None: ...

    def on_batch_end(self) -> None: ...

    def on_epoch_end(self) -> None: ...

    def on_train_end(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold for this callback to go on as if never stopped.

        Numbers, strings, lists, dictionaries, arrays and Tensors; nothing, for most callbacks.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; called before on_train_begin."""


def in_order(callbacks: Iterable[Any]) -> list[Callback]:
    """The callbacks sorted by `order`; TypeError for anything that is not one."""
    listed = list(callbacks)
    for callback in listed:
        if isinstance(callback, type):
            raise TypeError(f"callbacks: got the class {callback.__name__}; make one: add ()")
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks: {callback!r} is not a Callback; derive its class from it")
    return sorted(listed, key=lambda callback: callback.order)
