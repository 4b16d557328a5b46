"""Learning rates that change from batch to batch: the one-cycle policy and the finder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .callbacks import Callback, CancelFit
from .groups import set_hyper
from .state import copied, learner_state, load_model, restore_course

if TYPE_CHECKING:
    from .learner import Learner


class Schedule(Callback):
    """Sets learning rate and momentum before every batch from ``cycle.at(k) → (lr, mom)``.

    k counts the batches of this fit. Everything follows from k alone, so a training that was
    stopped goes on with the right values and nothing has to be remembered.
    """

    order = -5

    def __init__(self, cycle: Any) -> None:
        self.cycle = cycle

    def on_train_begin(self) -> None:
        set_hyper(self.learn.opt, *self.cycle.at(self.learn.done))

    def on_batch_end(self) -> None:
        if self.learn.training:  # after the last batch: the end value, which nothing uses
            set_hyper(self.learn.opt, *self.cycle.at(self.learn.done))


class LRFinder(Callback):
    """Raises the learning rate exponentially, batch by batch, until the loss explodes.

    After k batches lr = start·(end/start)^(k/n). It stops after n batches, or, with `stop_div`,
    where the smoothed loss is above 4 times its best or no number any more. To see that, it reads
    the loss of every batch: the one training loop that waits for the device.
    """

    order = -5

    def __init__(self, start_lr: float, end_lr: float, num_it: int, stop_div: bool) -> None:
        if not 0 < start_lr < end_lr or num_it < 2:
            raise ValueError(
                f"lr_find: needs 0 < start_lr < end_lr and num_it of at least 2, got "
                f"start_lr={start_lr}, end_lr={end_lr}, num_it={num_it}"
            )
        self.start, self.end, self.num_it, self.stop_div = start_lr, end_lr, num_it, stop_div
        self.best = math.inf

    def on_train_begin(self) -> None:
        set_hyper(self.learn.opt, self.start)

    def on_batch_end(self) -> None:
        recorder, k = self.learn.recorder, self.learn.done
        recorder.read()
        loss = recorder.smooth.value
        self.best = min(self.best, loss)
        exploded = math.isnan(loss) or loss > 4 * self.best
        if k >= self.num_it or (self.stop_div and exploded):
            raise CancelFit
        set_hyper(self.learn.opt, self.start * (self.end / self.start) ** (k / self.num_it))


@contextmanager
def unchanged(learn: Learner) -> Iterator[None]:
    """Whatever is trained inside, the learner comes out as it went in.

    Weights, optimiser, random stream and count of epochs are put back, after an error too: a
    training with a search for the learning rate before it is the same as one without.
    """
    before = copied(learner_state(learn))
    try:
        yield
    finally:
        load_model(learn.model, before)
        restore_course(learn, before)
