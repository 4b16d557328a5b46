"""The parts of a loss as columns of the table."""

from __future__ import annotations

from .callbacks import Callback
from .metrics import WeightedMeans


class LossMetrics(Callback):
    """Columns for a loss that is a sum of parts, such as `FeatureLoss`.

    The loss says what they are: `metric_names`, and after each call `metrics`, a Tensor for each
    name. The columns hold the means over the validation set, batches weighing their size; the
    numbers of all batches are read together at the epoch's end. TypeError at the beginning of a fit
    whose loss has no such names.

    fastai's class derives from one for Learners; here it is a callback like any other:
    ``Learner(..., callbacks=[LossMetrics()])``.
    """

    order = -20  # before the recorder, which closes the table's row

    def __init__(self) -> None:
        self.means = WeightedMeans()

    def on_train_begin(self) -> None:
        names = getattr(self.learn.loss_func, "metric_names", None)
        if not names:
            loss = self.learn.loss_func
            raise TypeError(
                "LossMetrics: the loss must have metric_names and metrics, as FeatureLoss has, but "
                f"{getattr(loss, '__name__', type(loss).__name__)} has no metric_names; use "
                "another loss, or leave LossMetrics out"
            )
        self.learn.recorder.add_columns(*names)

    def on_epoch_begin(self) -> None:
        self.means = WeightedMeans()

    def on_batch_end(self) -> None:
        learn = self.learn
        if not learn.training and learn.loss is not None:
            found = learn.loss_func.metrics
            self.means.add([found[name] for name in learn.loss_func.metric_names], len(learn.yb))

    def on_epoch_end(self) -> None:
        names, values = self.learn.loss_func.metric_names, self.means.read()
        if values:  # nothing was added without a validation set
            self.learn.recorder.extra.update(zip(names, values, strict=True))
