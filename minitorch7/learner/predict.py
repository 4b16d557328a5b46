"""Asking a trained model: over a whole data set, over one batch, about one item.

`Answers` is the half of the Learner that only looks: nothing here changes a weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import functional as F
from .. import nn
from ..autograd import Tensor, no_grad, tensor
from . import results
from .interpret import host, interpret, plot_top_losses
from .metrics import read_all
from .summary import Summary, summarize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOADERS = {"train": "fix_dl", "valid": "valid_dl", "test": "test_dl"}


def activation_of(loss_func: Any) -> Callable[[Tensor], Tensor]:
    """What turns the model's scores into probabilities: the part that the loss has inside.

    Softmax for cross-entropy (over the axis that it compares), sigmoid for binary cross-entropy
    with logits, nothing otherwise. A loss with an ``activation`` of its own decides itself.
    """
    if hasattr(loss_func, "activation"):
        return loss_func.activation
    name = getattr(loss_func, "__name__", type(loss_func).__name__).lower().replace("_", "")
    if name.startswith("crossentropy"):
        return lambda scores: F.softmax(scores, dim=getattr(loss_func, "axis", 1))
    if name.startswith(("bcewithlogits", "binarycrossentropywithlogits")):
        return F.sigmoid
    return lambda scores: scores


class Answers:
    """What a model answers, and pictures of it. Reads data, model and loss_func."""

    data: Any
    model: nn.Module
    loss_func: Any

    def loader(self, dl: Any = "valid") -> Any:
        """A loader itself, or the data's: 'train' (in order, not varied), 'valid' or 'test'."""
        if not isinstance(dl, str):
            return dl
        if dl not in LOADERS:
            raise ValueError(f"loader: {dl!r} is none of {', '.join(map(repr, LOADERS))}")
        found = getattr(self.data, LOADERS[dl], None)
        if not found:
            raise ValueError(f"loader: the data has no {dl!r} part; add one, or choose another")
        return found

    # ---- numbers

    def get_preds(self, dl: Any = "valid", with_loss: bool = False) -> list[Tensor | None]:
        """[predictions, targets], and each item's loss with `with_loss`, as Tensors on the host.

        dl is a loader or 'train', 'valid' or 'test'. Scores have become probabilities where the
        loss does that inside (see `activation_of`). Targets are None where the data has none.
        """
        activation = activation_of(self.loss_func)
        parts: list[list[np.ndarray | None]] = []
        with nn.evaluating(self.model), no_grad():
            for xb, yb in self.loader(dl).batches(0):
                scores = self.model(xb)
                parts.append([host(activation(scores)), None if yb is None else host(yb)])
                if with_loss:
                    parts[-1].append(_loss_of_each(self.loss_func, scores, yb))
        return [
            None if column[0] is None else tensor(np.concatenate(column), backend="numpy")
            for column in zip(*parts, strict=True)
        ]

    def pred_batch(self, batch: tuple[Tensor, Any] | None = None, reconstruct: bool = False) -> Any:
        """The answers for one batch (default: of the validation set), as `get_preds` has them.

        With `reconstruct`, of a model that makes images: (N, C, H, W) arrays in [0, 1].
        """
        xb = (batch or next(iter(self.loader("valid").batches(0))))[0]
        with nn.evaluating(self.model), no_grad():
            answers = activation_of(self.loss_func)(self.model(xb))
        return self.images_of(answers) if reconstruct else answers

    def images_of(self, targets: Tensor) -> np.ndarray:
        """Targets or predictions that are images, as arrays in [0, 1]."""
        undo = getattr(self.data, "denorm_y", lambda y: y)
        return np.clip(host(undo(targets)), 0, 1)

    def predict(self, item: Any) -> tuple[Any, Any, np.ndarray]:
        """(class name, class number, probabilities (classes,)) for one item.

        Of a model that answers for every pixel: (the names of the classes it found, class numbers
        (H, W), probabilities (classes, H, W)). An item is what `data.one_item` takes, such as a
        path or a picture; a Tensor (C, H, W) is taken as it is, ready for the model.
        """
        if not getattr(self.data, "classes", None):
            raise ValueError("predict: the data has no classes; use learn.pred_batch")
        xb = item[None] if isinstance(item, Tensor) else self.data.one_item(item)
        probabilities, classes = host(self.pred_batch((xb, None)))[0], self.data.classes
        if len(probabilities) != len(classes):
            raise ValueError(
                f"predict: the model answers {probabilities.shape} for one item, but the data has "
                f"{len(classes)} classes; use learn.pred_batch"
            )
        if probabilities.ndim > 1:
            numbers = probabilities.argmax(0)
            return [str(classes[i]) for i in np.unique(numbers)], numbers, probabilities
        index = int(probabilities.argmax())
        return str(classes[index]), index, probabilities

    # ---- tables and pictures

    def summary(self) -> Summary:
        """The table of layers, from one batch: ``print(learn.summary())``."""
        return summarize(self.model, self.data.one_batch()[0])

    def show_results(self, rows: int = 3, dl: Any = "valid", cmap: str = "binary") -> Figure:
        """The first items with the model's answers; see `results.show_results`."""
        return results.show_results(self, rows, dl, cmap)

    def confusion_matrix(self, dl: Any = "valid") -> np.ndarray:
        """counts[i, j]: how many items of class i were taken for class j."""
        return interpret(self, dl).confusion_matrix()

    def plot_confusion_matrix(self, dl: Any = "valid", normalize: bool = False) -> Figure:
        """The confusion matrix, drawn; with `normalize` each row divided by its sum."""
        from .. import plot

        found = interpret(self, dl)
        return plot.confusion(found.confusion_matrix(), found.classes, normalize)

    def most_confused(self, min_val: int = 1, dl: Any = "valid") -> list[tuple[str, str, int]]:
        """(actual, predicted, count) for each mistake made at least `min_val` times."""
        return interpret(self, dl).most_confused(min_val)

    def top_losses(self, k: int | None = None, dl: Any = "valid") -> tuple[np.ndarray, np.ndarray]:
        """The k largest losses of single items, and the items' numbers."""
        return interpret(self, dl, with_loss=True).top_losses(k)

    def plot_top_losses(self, k: int = 9, dl: Any = "valid", cmap: str = "binary") -> Figure:
        """The k items with the largest losses, drawn."""
        return plot_top_losses(self, k, dl, cmap)


def _loss_of_each(loss_func: Any, scores: Tensor, targets: Tensor) -> np.ndarray:
    """The loss of each item: that of a batch which holds nothing else, whatever the loss is."""
    items = [slice(i, i + 1) for i in range(len(targets))]
    return np.array(read_all([loss_func(scores[item], targets[item]) for item in items]))
