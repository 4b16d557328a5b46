"""Looking at what a classifier gets wrong: which classes it confuses, which items cost most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .learner import Learner


@dataclass(frozen=True)
class Interpretation:
    """The answers of a classifier over a data set, on the host.

    probabilities (N, classes), targets (N,), losses (N,) or None
    """

    probabilities: np.ndarray
    targets: np.ndarray
    losses: np.ndarray | None
    classes: Sequence[str]

    @property
    def predicted(self) -> np.ndarray:
        """The class number of the highest probability of each item."""
        return self.probabilities.argmax(1)

    def confusion_matrix(self) -> np.ndarray:
        """counts[i, j]: how many items of class i were taken for class j."""
        n = len(self.classes)
        pairs = self.targets * n + self.predicted
        return np.bincount(pairs, minlength=n * n).reshape(n, n)

    def most_confused(self, min_val: int = 1) -> list[tuple[str, str, int]]:
        """(actual, predicted, count) for each mistake made `min_val` times or more, worst first."""
        counts = self.confusion_matrix()
        np.fill_diagonal(counts, 0)
        found = [
            (str(self.classes[i]), str(self.classes[j]), int(counts[i, j]))
            for i, j in zip(*np.nonzero(counts >= max(min_val, 1)), strict=True)
        ]
        return sorted(found, key=lambda mistake: -mistake[2])

    def top_losses(self, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The `k` largest losses (all of them without k) and the numbers of their items."""
        order = np.argsort(-self.losses, kind="stable")[:k]
        return self.losses[order], order


def interpret(learn: Learner, dl: Any = "valid", with_loss: bool = False) -> Interpretation:
    """Run `learn` over a data set and keep its answers.

    ValueError where the model is no classifier of whole items, with one row of scores for each.
    """
    if getattr(getattr(learn.loader(dl), "dataset", None), "kind", "") == "mask":
        raise ValueError(
            "interpret: every pixel of these pictures has an answer of its own; "
            "segmentation_confusion(learn, dl) counts them"
        )
    probabilities, targets, *losses = learn.get_preds(dl, with_loss=with_loss)
    shape = None if targets is None else targets.shape
    if probabilities.ndim != 2 or shape not in [(len(probabilities),), (len(probabilities), 1)]:
        raise ValueError(
            f"interpret: predictions of shape {probabilities.shape} for targets of shape "
            f"{shape}; it needs (N, classes) and N class numbers, one for each item"
        )
    classes = learn.data.classes or [str(i) for i in range(probabilities.shape[1])]
    return Interpretation(
        probabilities.numpy(),
        targets.numpy().reshape(-1),
        losses[0].numpy() if losses else None,
        classes,
    )


def plot_top_losses(learn: Learner, k: int, dl: Any = "valid", cmap: str = "binary") -> Figure:
    """The `k` items with the largest losses: predicted / actual / loss / probability of actual."""
    from .. import plot

    found = interpret(learn, dl, with_loss=True)
    losses, items = found.top_losses(k)
    titles = [
        f"{found.classes[found.predicted[i]]} / {found.classes[found.targets[i]]}\n"
        f"{loss:.2f} / {found.probabilities[i, found.targets[i]]:.2f}"
        for loss, i in zip(losses, items, strict=True)
    ]
    return plot.image_grid(
        inputs_at(learn, dl, items),
        titles,
        cmap=cmap,
        suptitle="predicted / actual\nloss / probability of actual",
    )


def inputs_at(learn: Learner, dl: Any, items: Sequence[int]) -> list[np.ndarray]:
    """The inputs of the items numbered so in the data set, denormalised, on the host."""
    wanted = {int(i) for i in items}
    found: dict[int, np.ndarray] = {}
    first = 0
    for xb, _ in learn.loader(dl).batches(0):
        here = [i for i in wanted if first <= i < first + len(xb)]
        if here:
            images = host(learn.data.denorm(xb))
            found |= {i: images[i - first] for i in here}
        first += len(xb)
    return [found[int(i)] for i in items]


def host(value: Any) -> np.ndarray:
    """A Tensor or an array as a NumPy array."""
    return backend.to_numpy(getattr(value, "data", value) if not backend.is_array(value) else value)
