"""`DataParallel`: the callback that makes a Learner one of several that train one model."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Function, Tensor
from ..learner import Callback
from ..learner.metrics import metric_name
from ..learner.progress import Progress
from ..learner.resume import Checkpointer
from ..learner.tally import Tally, total
from ..text.state import states
from . import buckets
from .group import DistributedError, current, gather
from .shard import EveryNth, Shard, makes_parts
from .sync_batchnorm import convert_sync_batchnorm, revert_sync_batchnorm

APART = 0x9E3779B97F4A7C15F39CC0605CEDC835  # draws between two processes' streams: 2¹²⁸/φ


class DataParallel(Callback):
    """Trains with all processes of the run: ``Learner(..., callbacks=[DataParallel()])``.

    sync_batchnorm  batch norm over the whole batch, see `convert_sync_batchnorm`. Without, each
                    process normalises by its own part, and the running statistics are averaged
    same_draws      random transforms as one process would draw them, see `Shard`
    bucket_bytes    how much is sent in one message

    During a fit, and in every process: training batches are cut into equal parts; the loss is the
    mean over the processes, so that all record the same, and stop and search for a learning rate
    together; gradients are averaged before the step and before other callbacks look at them.
    Dropout draws from a stream of the process's own, which is part of the first's in a checkpoint.
    The validation set's batches are shared out, and losses and metrics gathered; a set of fewer
    batches than processes, or of texts that go on from batch to batch, is gone through by each.

    At the start all processes get rank 0's weights, and at the end of each epoch they are compared.
    Only rank 0 prints the table and writes the fit's checkpoint, which every process must be able
    to read. In a run of one, and without `init`, it does nothing at all.

    The mean over the processes is the mean over the batch where the loss is a mean over items. It
    is not quite that for a loss whose divisor differs between parts, such as cross entropy with an
    `ignore_index`.
    """

    order = -30

    def __init__(
        self,
        sync_batchnorm: bool = True,
        same_draws: bool = True,
        bucket_bytes: int = buckets.BUCKET_BYTES,
    ) -> None:
        if isinstance(bucket_bytes, bool) or not isinstance(bucket_bytes, int) or bucket_bytes < 1:
            raise ValueError(
                f"DataParallel: bucket_bytes must be an integer above 0, got {bucket_bytes!r}"
            )
        self.sync_batchnorm, self.same_draws = sync_batchnorm, same_draws
        self.bucket_bytes = bucket_bytes
        self._data: Any = None  # the learner's own, while ours is in its place
        self._metrics: list[Any] = []
        self._rows = 0

    # ---- what happens when

    def on_train_begin(self) -> None:
        learn, group = self.learn, current()
        if group.size == 1:
            return
        buckets.check_same_model(learn.model)
        _check_no_state(learn.model)
        _check_same_place(learn)
        data = ShardedData(learn.data, self.same_draws)
        if self.sync_batchnorm:
            convert_sync_batchnorm(learn.model)
        buckets.broadcast(learn.model, bucket_bytes=self.bucket_bytes)
        self._data, learn.data = learn.data, data
        self._metrics, learn.metrics = learn.metrics, [_Watched(m) for m in learn.metrics]
        _move_stream(group.rank)
        if group.rank:
            others = (Progress, Checkpointer)
            # in place: the loop is on its way through this very list, and these come later
            learn.running[:] = [c for c in learn.running if not isinstance(c, others)]

    @property
    def when_captured(self) -> str | None:
        """A run of one process may capture its steps; between several, they speak amid a step."""
        return "after" if current().size == 1 else None

    @property
    def active(self) -> bool:
        """Whether a fit with several processes is under way."""
        return self._data is not None

    def on_epoch_begin(self) -> None:
        self._rows = 0
        if self.active:
            for metric in self.learn.metrics:
                metric.tallies.clear()

    def on_backward_begin(self) -> None:
        if self.active:
            self.learn.loss = MeanLoss()(self.learn.loss)

    def on_backward_end(self) -> None:
        """Average the gradients, and without synchronised batch norm the running statistics."""
        if not self.active:
            return
        groups = self.learn.opt.param_groups
        moved = [p for g in groups for p in g["params"] if p.grad is not None]
        kept = [] if self.sync_batchnorm else self._float_buffers()
        arrays = [p.grad.data for p in moved] + [b.data for b in kept]
        means = buckets.all_reduce(arrays, "mean", self.bucket_bytes)
        for p, mean in zip(moved, means, strict=False):
            p.grad = Tensor(mean)
        for b, mean in zip(kept, means[len(moved) :], strict=True):
            b.data[...] = mean
            b.mark_changed()

    def _float_buffers(self) -> list[Tensor]:
        return [b for b in self.learn.model.buffers() if b.is_floating_point()]

    def on_batch_end(self) -> None:
        if self.active and not self.learn.training and self.learn.loss is not None:
            self._rows += len(self.learn.yb)

    def on_epoch_end(self) -> None:
        if not self.active:
            return
        buckets.check_same_weights(self.learn.model)
        if self.learn.validation:
            self.learn.validation = self._gathered(self.learn.validation)

    def _gathered(self, own: list[float]) -> list[float]:
        """The loss and the metrics of the whole set: Σ n_r·v_r / Σ n_r, and tallies' totals."""
        if not isinstance(self.learn.data.valid_dl, EveryNth):
            return own  # each process went through all of it
        table = gather([self._rows, *(self._rows * value for value in own)])
        means = (table[:, 1:].sum(axis=0) / table[:, 0].sum()).tolist()
        for i, metric in enumerate(self.learn.metrics):
            if metric.tallies:
                means[1 + i] = metric.score()
        return means

    def on_train_end(self) -> None:
        if not self.active:
            return
        self.learn.data, self.learn.metrics = self._data, self._metrics
        self._data, self._metrics = None, []
        revert_sync_batchnorm(self.learn.model)
        _move_stream(-current().rank)

    def __repr__(self) -> str:
        options = ("sync_batchnorm", "same_draws")
        return f"DataParallel({', '.join(f'{name}={getattr(self, name)}' for name in options)})"


class MeanLoss(Function):
    """y = 1/K Σ over the processes of x;  dx = dy: each process differentiates its own part's loss

    The factor 1/K comes in when the gradients are averaged.
    """

    def forward(self, xp, x):
        group = current()
        return group.all_reduce(xp.array(x, order="C")) / group.size

    def backward(self, grad):
        return grad


class ShardedData:
    """A learner's data with the loaders of training and validation cut among the processes."""

    def __init__(self, data: Any, same_draws: bool = True) -> None:
        group = current()
        self._data = data
        self.train_dl = Shard(data.train_dl, group.rank, group.size, same_draws)
        valid = data.valid_dl
        if makes_parts(valid) and len(valid) >= group.size:
            valid = EveryNth(valid, group.rank, group.size)
        self.valid_dl = valid

    def __getattr__(self, name: str) -> Any:
        if name == "_data":  # not there while it is being copied
            raise AttributeError(name)
        return getattr(self._data, name)


class _Watched:
    """A metric, and what it counted in this process's batches where it answers with tallies."""

    def __init__(self, metric: Any) -> None:
        self.metric, self.name = metric, metric_name(metric)
        self.tallies: list[Tally] = []

    def __call__(self, pred: Tensor, target: Tensor) -> Any:
        value = self.metric(pred, target)
        if isinstance(value, Tally):
            self.tallies.append(value)
        return value

    def score(self) -> float:
        """The score of all processes' batches together."""
        counts = self.tallies[0].counts
        for tally in self.tallies[1:]:
            counts = counts + tally.counts
        (counts,) = buckets.all_reduce([counts], "sum")
        return total([Tally(counts, self.tallies[0].formula)])


def _check_no_state(model: Any) -> None:
    """DistributedError for a model that keeps a state for each row of its batches.

    A process would see a part of the rows in training and all of them in validation, and only
    rank 0's part of the state would be in the checkpoint.
    """
    for kept in states(model):
        raise DistributedError(
            f"DataParallel: {type(kept).__name__} keeps a state from batch to batch, one for each "
            "of its texts, and cannot be trained by several processes; start one"
        )


def _check_same_place(learn: Any) -> None:
    """DistributedError unless all processes begin at the same batch: a checkpoint may have failed.

    Only rank 0 writes it, and a machine that cannot see the file begins from nothing.
    """
    table = gather([learn.epoch, learn.batch, learn.done, learn.epochs, len(learn.data.train_dl)])
    for r in range(len(table)):
        if (table[r] != table[0]).any():
            said = [f"epoch {e:.0f}, batch {b:.0f} of {n:.0f}" for e, b, _, _, n in table[[0, r]]]
            raise DistributedError(
                f"DataParallel: rank 0 begins at {said[0]}, rank {r} at {said[1]}. All must read "
                "the same data and the same checkpoint, which rank 0 writes: put it in a folder "
                "that every machine sees, or copy it there"
            )


def _move_stream(rank: int) -> None:
    """Move the host's random stream on (or back) by `rank` times so much that none overlap.

    After as many draws in each, moving back brings all processes' streams together again.
    """
    state = backend.get_rng_state()
    moved = np.random.PCG64()
    moved.state = state
    moved.advance(rank * APART % 2**128)
    noise = {**state["noise"], "draw": (state["noise"]["draw"] + rank * APART) % 2**64}
    backend.set_rng_state({**moved.state, "noise": noise})
