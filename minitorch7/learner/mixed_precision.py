"""Training in mixed precision, as a callback: fastai's ``learn.to_fp16()``.

    learn = to_fp16(Learner(data, model, ...))
    learn.fit_one_cycle(3)

Forward and loss run inside `autocast`, in training and in validation; the loss is scaled before
backward; the gradients are divided again before anything else sees them, such as a clipping
callback; and a step whose gradients are not finite is left out, its weight decay included. What
that means is explained in ``functional/autocast.py`` and ``optim/grad_scaler.py``.

fastai v1 turned the model itself into float16 and kept a float32 copy of the weights for the
optimiser. Here the weights are float32 and the casts part of the graph: checkpoints, `load` and
`predict` see an ordinary model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..functional.autocast import autocast, check_half
from ..optim.grad_scaler import GradScaler, Step
from .callbacks import Callback, CancelBatch

if TYPE_CHECKING:
    from .learner import Learner


class MixedPrecision(Callback):
    """float16 products and float32 weights while training.

    scaler  the GradScaler; its scale is part of a checkpoint. Default: one with PyTorch's numbers
    dtype   'float16'

    What a gradient-accumulating callback leaves behind (by CancelBatch in on_backward_end) is
    scaled again before the next batch's gradients are added to it.
    """

    order = -8  # after the recorder and the look for NaN, which read the loss; before all others
    when_captured = "inside"  # where an infinity is found, the device itself undoes the step

    def __init__(self, scaler: GradScaler | None = None, dtype: str = "float16") -> None:
        if scaler is not None and not isinstance(scaler, GradScaler):
            raise TypeError(f"MixedPrecision: scaler must be a GradScaler, got {scaler!r:.60}")
        check_half("MixedPrecision", dtype)
        self.scaler, self.dtype = scaler or GradScaler(), dtype
        self._block: autocast | None = None
        self._loss: Tensor | None = None
        self._step: Step | None = None
        self._before_search: dict[str, Any] | None = None

    # ---- the block: from the batch's beginning to its loss

    def on_batch_begin(self) -> None:
        self._leave()
        self._block = autocast(self.dtype)
        self._block.__enter__()

    def on_loss_begin(self) -> None:
        """Metrics, like the loss, are worth float32."""
        self.learn.pred = _to_float(self.learn.pred)

    def on_batch_end(self) -> None:
        self._leave()
        if self._step is not None:  # another callback has cancelled the step
            self._step = None
            self.scaler.discard(self.learn.opt)

    def _leave(self) -> None:
        if self._block is not None:
            self._block.__exit__()
            self._block = None

    # ---- the scale: from the loss to the step

    def on_backward_begin(self) -> None:
        self._leave()
        for group in self.learn.opt.param_groups:
            for p in group["params"]:
                if p.grad is not None:  # of an earlier batch, which made no step
                    p.grad = self.scaler.scale(p.grad)
        self._loss = self.learn.loss
        self.learn.loss = self.scaler.scale(self._loss)

    def on_backward_end(self) -> None:
        self.learn.loss, self._loss = self._loss.detach(), None
        opt = self.learn.opt
        self._step = self.scaler.watch(opt)
        if not self._step.__enter__():
            opt.zero_grad()
            self._finish()
            raise CancelBatch

    def on_step_end(self) -> None:
        self._finish()

    def _finish(self) -> None:
        if self._step is not None:
            self._step.__exit__()
            self._step = None
            self.scaler.update()

    # ---- a fit

    def on_train_begin(self) -> None:
        searching = self.learn._search  # lr_find leaves everything as it was
        self._before_search = self.scaler.state_dict() if searching else None

    def on_train_end(self) -> None:
        self._leave()  # still open after an error
        self._step = self._loss = None
        if self._before_search is not None:
            self.scaler.load_state_dict(self._before_search)

    def state_dict(self) -> dict[str, Any]:
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scaler.load_state_dict(state)


def to_fp16(learn: Learner, **scaling: Any) -> Learner:
    """Let `learn` train in mixed precision from now on; returns it.

    scaling  arguments of `GradScaler`, such as init_scale

    RuntimeError where it does so already.
    """
    if any(isinstance(callback, MixedPrecision) for callback in learn.callbacks):
        raise RuntimeError("to_fp16: the learner trains in mixed precision already; see to_fp32")
    learn.callbacks.append(MixedPrecision(GradScaler(**scaling)))
    return learn


def to_fp32(learn: Learner) -> Learner:
    """Let `learn` train in float32 from now on: `to_fp16` undone; returns it."""
    learn.callbacks = [c for c in learn.callbacks if not isinstance(c, MixedPrecision)]
    return learn


def _to_float(value: Any) -> Any:
    """float16 tensors in float32, also inside tuples and lists."""
    if isinstance(value, list | tuple):
        return type(value)(_to_float(v) for v in value)
    half = isinstance(value, Tensor) and value.dtype == np.float16
    return value.float() if half else value
