"""Training steps as one CUDA graph: ``learn.fit(..., capture=True)``.

The first full batch is recorded (see ``minitorch7/capture``): forward, loss, backward, weight decay
and the optimiser's step, with whatever callbacks do inside. Every later batch of that shape is one
launch. Nothing of Python runs in a replay, so a callback must say how it gets on with that, by its
attribute `when_captured`:

    "inside"  its events from batch_begin to step_end are recorded with the step and replayed. What
              they do must be the same work on the device for every batch, such as clipping
              gradients; numbers on the host are frozen
    "after"   its events from loss_begin to step_end are announced after the replay, one after the
              other: it may look at pred and loss, and can change nothing; there are no gradients
    None      nothing is said: fine for a callback that defines none of these four events, since the
              others (batch_begin, batch_end, …) come as always; an error for one that does

A batch of another shape, such as a smaller last one, and the validation set run as without capture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..capture import CaptureError, capture
from .callbacks import Callback, CancelBatch, CancelEpoch, CancelFit

if TYPE_CHECKING:
    from ..autograd import Tensor
    from .learner import Learner

AMID = ("loss_begin", "backward_begin", "backward_end", "step_end")  # events amid a step
KINDS = ("inside", "after", None)


class CapturedBatches:
    """The training batches of one fit, by a recorded step.

    CaptureError where a callback acts amid the step and does not say how, see above.
    """

    def __init__(self, learn: Learner) -> None:
        self.learn = learn
        self.inside, self.after = [], []
        for callback in learn.running:
            kind = callback.when_captured
            _check(callback, kind)
            (self.inside if kind == "inside" else self.after).append(callback)
        self._step: Any = None
        self._away = False  # has anything but a replay changed what the graph reads?

    def run(self) -> None:
        """The learner's training batch, up to step_end."""
        learn = self.learn
        with _only(learn, self.after):
            learn("batch_begin")
        x, y = learn.xb, learn.yb
        if not self._fits(x, y):
            self._by_itself()
            return
        if self._away:
            self._step.bring_back()
            self._away = False
        found = self._step(x, y)
        learn.pred = found["pred"]  # until the next batch: the graph writes it there again
        learn.loss = found["loss"].clone()  # the recorder reads it much later
        with _only(learn, self.after):
            for event in AMID:
                learn(event)

    def left(self) -> None:
        """Something else has run: a validation, which may have left a state in other memory."""
        self._away = True

    def _fits(self, x: Tensor, y: Tensor) -> bool:
        """Whether the step is recorded for such a batch; the first, or a larger one, makes it so.

        Larger: a fit that is resumed may begin with the small last batch of an epoch.
        """
        if self._step is None or x.numel() > math.prod(self._step.like[0][0]):
            self._step = None  # first let go of its memory
            self._step = self._recorded(x, y)
            self._away = False
        return [(t.shape, t.dtype) for t in (x, y)] == [like[:2] for like in self._step.like]

    def _recorded(self, x: Tensor, y: Tensor) -> Any:
        learn = self.learn
        try:
            return capture(self._whole, x, y)
        except Exception as error:
            error.add_note("in the step that fit(capture=True) records; capture=False would run it")
            raise
        finally:
            learn.xb, learn.yb = x, y

    def _whole(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        learn = self.learn
        learn.xb, learn.yb = x, y
        try:
            with _only(learn, self.inside):
                learn("batch_begin")
                learn.take_step()
        except (CancelBatch, CancelEpoch, CancelFit) as cancelled:
            raise CaptureError(
                f"fit(capture=True): a callback raised {type(cancelled).__name__} inside the step, "
                "but a recorded one always runs to its end; raise it in on_batch_begin or "
                "on_batch_end of a callback that is not recorded, or train without capture"
            ) from cancelled
        return {"pred": learn.pred, "loss": learn.loss}

    def _by_itself(self) -> None:
        """A batch that the graph does not fit, run as it would be without."""
        learn = self.learn
        with _only(learn, self.inside):
            learn("batch_begin")
        learn.take_step()
        self._away = True


@contextmanager
def _only(learn: Learner, callbacks: Iterable[Callback]) -> Iterator[None]:
    """Only these callbacks hear what is announced."""
    before, learn.running = learn.running, list(callbacks)
    try:
        yield
    finally:
        learn.running = before


def _check(callback: Callback, kind: str | None) -> None:
    name = type(callback).__name__
    if kind not in KINDS:
        raise ValueError(
            f"fit(capture=True): {name}.when_captured must be 'inside', 'after' or None, "
            f"got {kind!r}"
        )
    defined = [f"on_{event}" for event in AMID if _defines(callback, f"on_{event}")]
    if kind is None and defined:
        raise CaptureError(
            f"fit(capture=True): {name} acts amid the step ({', '.join(defined)}), which is "
            "recorded once and replayed without Python; train without capture. If the callback is "
            "yours, say what it does: when_captured = 'inside' in its class if it is the same work "
            "on the device for every batch, 'after' if it only looks at pred and loss"
        )


def _defines(callback: Callback, event: str) -> bool:
    own = getattr(callback, event)
    return getattr(own, "__func__", own) is not getattr(Callback, event)
