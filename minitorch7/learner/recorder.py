"""The recorder: what a fit looked like, number by number.

Asking a GPU for a number means waiting until it has finished everything asked before. So the losses
of the training batches are kept as they are, on the device, and read later, many at a time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from .callbacks import Callback
from .metrics import metric_name, read_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SmoothedLoss:
    """A running mean that forgets slowly: m ← β·m + (1−β)·x, reported as m / (1 − βⁿ).

    m starts at 0 and would be too small at first; after n numbers the weights in it sum to 1 − βⁿ,
    so dividing by that makes a true average of it. Losses 1, 2, 3 give 1, 1.505051, 2.013468.
    """

    def __init__(self, beta: float = 0.98) -> None:
        self.beta, self.mean, self.count = beta, 0.0, 0

    def add(self, value: float) -> float:
        """Take in one number and return the smoothed value."""
        self.count += 1
        self.mean = self.beta * self.mean + (1 - self.beta) * value
        return self.value

    @property
    def value(self) -> float:
        """The smoothed value; NaN before the first number."""
        return self.mean / (1 - self.beta**self.count) if self.count else float("nan")


class Recorder(Callback):
    """Keeps, for the last fit:

    losses, raw_losses   of every training batch, smoothed and as they were
    lrs, moms            of every training batch; lrs those of the last layer group
    rows                 one dictionary an epoch: the lines of the table
    val_losses, metrics  of every epoch
    """

    order = -10
    when_captured = "after"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the last fit."""
        self.smooth = SmoothedLoss()
        self.losses: list[float] = []
        self.raw_losses: list[float] = []
        self.lrs: list[float] = []
        self.moms: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.extra: dict[str, float | None] = {}  # columns that other callbacks fill
        self._pending: list[Tensor] = []  # losses that have not been read
        self._started = time.perf_counter()
        self._seconds = 0.0  # of this epoch, before a restart
        self.last_batch = -1  # the batch, in its epoch, of the newest loss

    # ---- columns of the table

    @property
    def names(self) -> list[str]:
        """The headings: epoch, losses, metrics, other callbacks' columns, time."""
        plain = [metric_name(m) for m in self.learn.metrics]
        same = [plain[:i].count(name) for i, name in enumerate(plain)]  # of one name, before it
        metrics = [f"{n}_{k + 1}" if k else n for n, k in zip(plain, same, strict=True)]
        return ["epoch", "train_loss", "valid_loss", *metrics, *self.extra, "time"]

    def add_columns(self, *names: str) -> None:
        """For a callback's on_train_begin: columns that it fills by ``recorder.extra[name] = x``.

        A callback of lower order than the recorder's fills them in on_epoch_end.
        """
        self.extra.update(dict.fromkeys(names))

    @property
    def val_losses(self) -> list[float]:
        return [row["valid_loss"] for row in self.rows if row["valid_loss"] is not None]

    @property
    def metrics(self) -> list[list[float]]:
        """One list an epoch: the metrics, then other callbacks' columns."""
        return [[row[name] for name in self.names[3:-1]] for row in self.rows]

    # ---- what is recorded when

    def on_epoch_begin(self) -> None:
        self.extra = dict.fromkeys(self.extra)
        self._started = time.perf_counter() - self._seconds

    def on_backward_begin(self) -> None:
        last = self.learn.opt.param_groups[-1]
        self.lrs.append(last["lr"])
        self.moms.append(momentum_of(last))
        self._pending.append(self.learn.loss.detach())
        self.last_batch = self.learn.batch

    def read(self) -> None:
        """Take the losses off the device that are still there; this waits for it."""
        for loss in read_all(self._pending):
            self.raw_losses.append(loss)
            self.losses.append(self.smooth.add(loss))
        self._pending.clear()

    def on_epoch_end(self) -> None:
        self.read()
        valid_loss, *metrics = self.learn.validation or [None] * (1 + len(self.learn.metrics))
        first = [self.learn.epoch, self.smooth.value, valid_loss]
        values = [*first, *metrics, *self.extra.values(), self.seconds()]
        self.rows.append(dict(zip(self.names, values, strict=True)))
        self._started, self._seconds = time.perf_counter(), 0.0

    def seconds(self) -> float:
        """How long this epoch has been running, restarts included."""
        return time.perf_counter() - self._started

    # ---- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Everything recorded so far, for a checkpoint; reads the losses first."""
        self.read()
        series = ("losses", "raw_losses", "lrs", "moms")
        return {
            **{name: np.array(getattr(self, name), dtype=np.float64) for name in series},
            "rows": self.rows,
            "extra": self.extra,
            "smooth": vars(self.smooth),
            "seconds": self.seconds(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reset()
        for name in ("losses", "raw_losses", "lrs", "moms"):
            setattr(self, name, state[name].tolist())
        self.rows, self.extra = list(state["rows"]), dict(state["extra"])
        vars(self.smooth).update(state["smooth"])
        self._seconds = state["seconds"]

    # ---- pictures

    def plot(self, skip_start: int = 10, skip_end: int = 5, suggestion: bool = False) -> Figure:
        """Loss against learning rate, after `lr_find`; `suggestion` marks the steepest descent."""
        from .. import plot

        at = self.steepest_lr(skip_start, skip_end) if suggestion else None
        return plot.lr_curve(self.lrs, self.losses, skip_start, skip_end, at)

    def steepest_lr(self, skip_start: int = 10, skip_end: int = 5) -> float:
        """The learning rate at which the loss falls fastest: argmin of d loss / d log lr."""
        stop = len(self.losses) - skip_end
        if stop - skip_start < 2:
            raise ValueError(
                f"steepest_lr: {len(self.losses)} batches are recorded, of which {skip_start} and "
                f"{skip_end} are skipped; run lr_find with more iterations, or skip fewer"
            )
        slope = np.gradient(self.losses[skip_start:stop], np.log(self.lrs[skip_start:stop]))
        return self.lrs[skip_start + int(slope.argmin())]

    def plot_lr(self, show_moms: bool = False) -> Figure:
        """The learning rate of every batch; with `show_moms` the momentum beside it."""
        from .. import plot

        return plot.schedule(self.lrs, self.moms if show_moms else None)

    def plot_losses(self, skip_start: int = 0) -> Figure:
        """The smoothed training loss of every batch, and each epoch's validation loss."""
        from .. import plot

        return plot.loss_curves(self.losses, self.val_losses, skip_start=skip_start)

    def plot_metrics(self) -> Figure:
        """One panel a metric, epoch by epoch."""
        from .. import plot

        columns = self.names[3:-1]
        return plot.metric_curves({name: [row[name] for row in self.rows] for name in columns})


def momentum_of(group: dict[str, Any]) -> float:
    """A parameter group's momentum: Adam's β₁, SGD's momentum, or 0 where there is neither."""
    return group["betas"][0] if "betas" in group else group.get("momentum", 0.0)
