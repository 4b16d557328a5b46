"""Training that survives: checkpoints written on the way, and going on from the last of them.

A run killed at any instant and started again ends with the same bits in its weights as one that
was left alone. Three things make that true. The file on the disk is always whole (`files`). It
holds everything that decides what comes next (`state`, the recorder, the callbacks). And it is
written only between two batches, never when a step is half done.
"""

from __future__ import annotations

import time
import zlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from . import checkpoints
from .callbacks import Callback
from .checkpoints import CheckpointError
from .metrics import metric_name
from .numerics import stop_at_nan
from .state import learner_state, load_model, restore_course

if TYPE_CHECKING:
    from .learner import Learner


# what earlier versions did not write down
NEW_KEYS = {"data", "items", "loss", "loss_options", "optimizer_options"}


class Checkpointer(Callback):
    """Writes `path` during a fit, and takes up a fit that an earlier process began.

    call     what was asked for; a checkpoint of a different call is refused
    every    also write after so many batches, or after so much time (datetime.timedelta); without
             it at the end of each epoch, before validation and after
    restart  begin again, whatever the file holds
    """

    order = 100  # last: all others have seen the batch when its state is written

    def __init__(
        self,
        path: Path,
        call: dict[str, Any],
        every: int | timedelta | None = None,
        restart: bool = False,
    ) -> None:
        if isinstance(every, int) and every < 1:
            raise ValueError(f"checkpoint_every: needs at least 1 batch, got {every}")
        self.path, self.call, self.every, self.restart = path, call, every, restart
        self.written_at = time.monotonic()

    # ---- reading

    def resume(self, learn: Learner) -> None:
        """Bring `learn` to where the checkpoint is; nothing where there is none.

        CheckpointError, naming what differs, where the file was written by a different call.
        """
        if self.restart or not self.path.exists():
            return
        state = checkpoints.read(self.path, "fit")
        self._check_same_call(state.get("call"))
        load_model(learn.model, state, "fit")
        self._restore_callbacks(learn, state["callbacks"])  # may bring an optimiser of their own
        restore_course(learn, state)
        learn.epoch, learn.batch, learn.done = state["position"]
        learn.recorder.load_state_dict(state["recorder"])
        where = f"going on at epoch {learn.epoch}, batch {learn.batch}"
        finished = learn.epoch >= learn.epochs
        print(f"{self.path}: {'training had finished' if finished else where}", flush=True)

    def _check_same_call(self, saved: dict[str, Any] | None) -> None:
        if saved is None:
            raise CheckpointError(
                f"fit: {self.path} was written by learn.save, not by a training that can be "
                "resumed; choose another name for checkpoint="
            )
        old = NEW_KEYS - saved.keys()
        names = {**saved, **self.call}.keys() - old
        names = [name for name in names if saved.get(name) != self.call.get(name)]
        if names:
            changes = "; ".join(f"{n} was {saved.get(n)}, now {self.call.get(n)}" for n in names)
            raise CheckpointError(
                f"fit: {self.path} belongs to another training: {changes}. Call fit as before to "
                "go on with it, choose another name for checkpoint=, or pass restart=True to begin "
                "again and write over it"
            )

    def _restore_callbacks(self, learn: Learner, states: dict[str, Any]) -> None:
        own = self._stateful(learn)
        lost = [name for name in states if name not in own]
        if lost:
            raise CheckpointError(
                f"fit: {self.path} holds the state of callbacks that are not here: "
                f"{', '.join(lost)}; call fit with the callbacks that it was written with"
            )
        for name, kept in states.items():
            own[name].load_state_dict(kept)

    # ---- writing

    def on_batch_end(self) -> None:
        if self.learn.training and self._due():
            self.write()

    def on_epoch_end(self) -> None:
        self.write((self.learn.epoch + 1, 0, self.learn.done))

    def on_train_end(self) -> None:
        if self.learn.cancelled:  # by a callback: no batch will follow, a restart included
            self.write((self.learn.epochs, 0, self.learn.done))

    def _due(self) -> bool:
        learn = self.learn
        if learn.batch == len(learn.data.train_dl):
            return True
        if isinstance(self.every, timedelta):
            return time.monotonic() - self.written_at >= self.every.total_seconds()
        return self.every is not None and learn.done % self.every == 0

    def write(self, position: tuple[int, int, int] | None = None) -> None:
        """Store the state between two batches; (epoch, batch, done) is where to go on.

        Never with a NaN in it: a checkpoint like that would be the end of the training.
        """
        learn = self.learn
        stop_at_nan(learn)
        state = {
            **learner_state(learn),
            "call": self.call,
            "position": position or (learn.epoch, learn.batch, learn.done),
            "recorder": learn.recorder.state_dict(),
            "callbacks": {
                n: kept for n, c in self._stateful(learn).items() if (kept := c.state_dict())
            },
        }
        self._check_finite(state["model"])
        checkpoints.write(self.path, state, "fit")
        self.written_at = time.monotonic()

    def _check_finite(self, weights: dict[str, Any]) -> None:
        for name, value in weights.items():
            array = backend.to_numpy(value.data)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise FloatingPointError(
                    f"fit: after batch {self.learn.batch} of epoch {self.learn.epoch} the weights "
                    f"hold NaN or infinity, first in {name!r}; {self.path} was not written and is "
                    "as it was: lower the learning rate (learn.lr_find()) and start again"
                )

    def _stateful(self, learn: Learner) -> dict[str, Callback]:
        """The callbacks by class name and, from a second of a class on, its number.

        The recorder is not among them: it has a place of its own in the file.
        """
        found: dict[str, Callback] = {}
        for callback in learn.running:
            if callback not in (learn.recorder, self):
                name = type(callback).__name__
                same = sum(key.split(" ")[0] == name for key in found)
                found[f"{name} {same + 1}" if same else name] = callback
        return found


def describe_call(learn: Learner, function: str, **arguments: Any) -> dict[str, Any]:
    """What must be the same for a checkpoint to be taken up again, as strings and numbers."""
    loader = learn.data.train_dl
    trained = sum(p.numel() for p in learn.model.parameters() if p.requires_grad)
    return {
        "function": function,
        **{name: _plain(value) for name, value in arguments.items()},
        "loss": metric_name(learn.loss_func),
        "loss_options": getattr(learn.loss_func, "extra_repr", str)(),
        "optimizer": type(learn.opt).__name__,
        "optimizer_options": str(getattr(learn.opt_func, "keywords", {})),
        "wd": [group["weight_decay"] + group["true_wd"] for group in learn.opt.param_groups],
        "layer_groups": len(learn.layer_groups),
        "trained_parameters": trained,
        "batches": len(loader),
        "batch_size": loader.batch_size,
        "data_seed": getattr(loader, "seed", None),
        "data": _described(loader),
        "items": _items(loader),
    }


def _described(loader: Any) -> str | None:
    """Size, transforms and scale of the training pictures, where the loader knows them.

    A convolutional network's weights fit pictures of any size, so nothing else would notice. A
    loader of texts describes itself.
    """
    if hasattr(loader, "described"):
        return loader.described()
    data = getattr(loader, "dataset", None)
    if not hasattr(data, "tfms"):
        return None
    # object's repr holds an address, which is another one in the next process
    plain = object.__repr__
    tfms = [type(t).__name__ if type(t).__repr__ is plain else repr(t) for t in data.tfms]
    scales = [s and [part.tolist() for part in s] for s in (loader.stats, loader.y_stats)]
    stats = f"stats {scales[0]}" + (f", y_stats {scales[1]}" if scales[1] else "")
    return f"size {data.x.pixels.size}, tfms {tfms}, tfm_y {data.tfm_y}, {stats}"


def _items(loader: Any) -> str | None:
    """How many training items there are, and a checksum of their names."""
    items = getattr(getattr(getattr(loader, "dataset", None), "x", None), "items", None)
    if items is None or hasattr(loader, "described"):
        return None
    names = "\n".join(sorted(Path(item).name for item in items))
    return f"{len(items):,}, {zlib.crc32(names.encode()):08x}"


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else str(value)
