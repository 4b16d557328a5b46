"""The Learner: data, a model, a loss and an optimiser, and the loop that brings them together.

    learn = Learner(data, model, loss_func=F.cross_entropy, metrics=accuracy)
    learn.fit_one_cycle(3, max_lr=0.1)

The loop is `_run`, `_epoch` and `_one_batch`; its steps (`forward`, `get_loss`, `backward`, `step`,
`zero_grad`) are methods to override, and what happens between them is announced to the callbacks
(see `callbacks`). Everything else about training stands in a file of its own in this room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from .. import nn, optim
from ..autograd import Tensor, no_grad
from . import checkpoints, groups, state
from .callbacks import Callback, CancelBatch, CancelEpoch, CancelFit, in_order
from .captured import CapturedBatches
from .interrupt import Interruption, interactive
from .metrics import WeightedMeans
from .numerics import StopAtNaN
from .predict import Answers
from .progress import Progress
from .recorder import Recorder
from .resume import Checkpointer, describe_call
from .schedule import LRFinder, Schedule, unchanged

Rate = float | slice | Sequence[float]
DEFAULT_LR = slice(3e-3)
default_opt = partial(optim.AdamW, betas=(0.9, 0.99), eps=1e-8)


class Learner(Answers):
    """Trains `model` on `data`.

    data          train_dl, valid_dl (or None), classes, loss_func: a DataBunch
    loss_func     (predictions, targets) → a Tensor of one number; default: the data's
    opt_func      (parameter groups, lr=...) → an optimiser; default: Adam with true weight decay
    metrics       one function or several, see `metrics`
    wd            weight decay: each step first multiplies the weights by 1 − lr·wd
    bn_wd         whether batch norm's γ and β, and all biases, decay too
    train_bn      whether batch norm goes on learning in frozen layer groups
    path          checkpoints are in path/model_dir
    layer_groups  parts of the model with learning rates of their own; default: one group
    progress      print the table and, on a terminal, draw the bar
    read_every    batches between two looks at the losses; default: 1 on NumPy, 50 on a GPU
    """

    default_callbacks: list[Callback] = []  # every learner's, such as `distributed.DataParallel`

    def __init__(
        self,
        data: Any,
        model: nn.Module,
        loss_func: Callable[[Tensor, Tensor], Tensor] | None = None,
        opt_func: Callable[..., Any] | None = None,
        metrics: Any = None,
        callbacks: Sequence[Callback] | None = None,
        wd: float = 1e-2,
        bn_wd: bool = True,
        train_bn: bool = True,
        path: str | Path = ".",
        model_dir: str = "models",
        layer_groups: Sequence[Any] | None = None,
        progress: bool = True,
        read_every: int | None = None,
    ) -> None:
        self.data, self.model = data, model
        self.loss_func = loss_func or getattr(data, "loss_func", None)
        self.opt_func = opt_func or default_opt
        if metrics is not None and not callable(metrics) and not isinstance(metrics, list | tuple):
            raise TypeError(
                f"Learner: metrics must be a function or a list of them, got {metrics!r:.60}"
            )
        self.metrics = [metrics] if callable(metrics) else list(metrics or [])
        self.callbacks = in_order(callbacks or [])
        self.wd, self.bn_wd, self.train_bn = wd, bn_wd, train_bn
        self.path, self.model_dir = Path(path), model_dir
        self.layer_groups = groups.as_groups(model, layer_groups or [model])
        self.progress, self.read_every = progress, read_every
        self.opt: Any = None
        self.recorder = Recorder()
        self.recorder.learn = self
        self.running: list[Callback] = []  # the callbacks of the fit that is under way
        self.first_epoch = 0  # epochs drawn from the data by earlier fits: no shuffle comes twice
        self.epoch = self.epochs = self.batch = self.done = 0
        self.training = self.cancelled = False
        self.validation: list[float] = []
        self.captured: CapturedBatches | None = None  # of a fit with capture=True
        self._search = False
        self._between_batches = True  # is the state one that a checkpoint may hold?
        self._interruption = Interruption()

    # ---------------------------------------------------------------------- the steps of a batch

    def forward(self) -> Tensor:
        """The model's answer to the batch."""
        return self.model(self.xb)

    def get_loss(self) -> Tensor:
        """The loss of the answer."""
        return self.loss_func(self.pred, self.yb)

    def backward(self) -> None:
        """The gradients of the loss."""
        self.loss.backward()

    def step(self) -> None:
        """Let the weights decay, and move them."""
        groups.decay_weights(self.opt)
        self.opt.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.opt.zero_grad()

    # ---------------------------------------------------------------------------------- the loop

    def __call__(self, event: str) -> None:
        """Announce an event to all callbacks, in their order."""
        for callback in self.running:
            getattr(callback, f"on_{event}")()

    def take_step(self) -> None:
        """What is done with a batch; while validating, up to its loss."""
        self.pred = self.forward()
        self("loss_begin")
        self.loss = self.get_loss()
        if self.training:
            self("backward_begin")
            self.backward()
            self("backward_end")
            self.step()
            self("step_end")
            self.zero_grad()

    def _one_batch(self) -> None:
        self.pred = self.loss = None
        try:
            if self.training and self.captured is not None:
                self.captured.run()
            else:
                self("batch_begin")
                self.take_step()
        except CancelBatch:
            pass
        if self.training:
            self.batch += 1  # from here on the batch counts as done
            self.done += 1
        self("batch_end")

    def _epoch(self) -> None:
        """One pass over the training batches, from batch `self.batch` on, and one validation."""
        self.model.train()
        self.training = self._between_batches = True
        with suppress(CancelEpoch):
            self("epoch_begin")
            batches = self.data.train_dl.batches(self.first_epoch + self.epoch, start=self.batch)
            for self.xb, self.yb in batches:
                self._interruption.obey()
                self._between_batches = False
                self._one_batch()
                self._between_batches = True
        self._interruption.obey()
        self.training = self._between_batches = False
        self.validation = self.validate() if self.data.valid_dl and not self._search else []
        self("epoch_end")
        self.epoch, self.batch = self.epoch + 1, 0

    def validate(self, dl: Any = None) -> list[float]:
        """[loss, *metrics] over a loader, by default the validation set; batches weigh their size.

        The model is in evaluation mode meanwhile and as before afterwards.
        """
        loader = self.loader("valid" if dl is None else dl)
        means, training = WeightedMeans(), self.training
        self.training = False
        try:
            with nn.evaluating(self.model), no_grad(), suppress(CancelEpoch):
                for self.xb, self.yb in loader.batches(0):
                    self._interruption.obey()
                    self._one_batch()
                    if self.loss is not None:  # unless a callback cancelled the batch
                        scores = [metric(self.pred, self.yb) for metric in self.metrics]
                        means.add([self.loss, *scores], len(self.yb))
        finally:
            self.training = training
            if self.captured is not None:
                self.captured.left()
        return means.read()

    # ------------------------------------------------------------------------------------ fitting

    def fit(
        self,
        epochs: int,
        lr: Rate = DEFAULT_LR,
        wd: float | None = None,
        callbacks: Sequence[Callback] | None = None,
        checkpoint: str | None = None,
        checkpoint_every: int | timedelta | None = None,
        restart: bool = False,
        capture: bool = False,
    ) -> None:
        """Train for some epochs at a constant learning rate.

        lr          a number, slice(stop) or slice(start, stop): see `groups.lr_range`
        wd          weight decay from now on; default: the Learner's
        callbacks   for this fit only, besides the Learner's own
        checkpoint  the name of a file in path/model_dir. It is written at the end of every epoch
                    and every `checkpoint_every` batches (an int) or so often (a timedelta). Where
                    it exists, a call with the same arguments goes on from it, and ends with the
                    same bits as if never stopped; a finished one only loads the result.
                    `restart` begins again and writes over it.
        capture     record the step of the first batch as a CUDA graph and replay it for the others,
                    with the same results and far fewer launches; see ``captured.py`` for what
                    callbacks may do then, and `capture` for what a step may. On NumPy, where there
                    is nothing to record, the step runs as it is, under the same rules.

        Ctrl-C stops after the batch under way, writes the checkpoint if there is one, and keeps
        weights and recorder. At a prompt or in a notebook fit then returns; in a script
        KeyboardInterrupt goes on upwards, since the lines that follow would take a half-trained
        model for a trained one. A NaN in the loss is a NonFiniteLoss that names the layer.
        """
        rates = self._ready(epochs, lr, wd)
        groups.set_hyper(self.opt, rates)  # constant, so once is enough
        saver = self._saver(checkpoint, checkpoint_every, restart, "fit", epochs=epochs, lr=rates)
        self._fit(epochs, callbacks, saver, capture=capture)

    def fit_one_cycle(
        self,
        cyc_len: int,
        max_lr: Rate = DEFAULT_LR,
        moms: tuple[float, float] = (0.95, 0.85),
        div_factor: float = 25.0,
        pct_start: float = 0.3,
        wd: float | None = None,
        callbacks: Sequence[Callback] | None = None,
        checkpoint: str | None = None,
        checkpoint_every: int | timedelta | None = None,
        restart: bool = False,
        capture: bool = False,
    ) -> None:
        """Train for `cyc_len` epochs with one cycle of learning rate and momentum (Smith 2018).

        The rate rises from max_lr/div_factor to max_lr over the first `pct_start` of the batches
        and falls to almost nothing over the others, both along a half cosine; momentum (Adam's β₁)
        goes the other way between the two `moms`. The other arguments are those of `fit`.
        """
        rates = self._ready(cyc_len, max_lr, wd)
        n = cyc_len * len(self.data.train_dl)
        cycle = optim.OneCycle(n, rates, moms, div_factor, pct_start)
        arguments = {"epochs": cyc_len, "max_lr": rates, "moms": moms}
        arguments |= {"div_factor": div_factor, "pct_start": pct_start}
        saver = self._saver(checkpoint, checkpoint_every, restart, "fit_one_cycle", **arguments)
        self._fit(cyc_len, [*(callbacks or []), Schedule(cycle)], saver, capture=capture)

    def lr_find(
        self,
        start_lr: float = 1e-7,
        end_lr: float = 10,
        num_it: int = 100,
        stop_div: bool = True,
    ) -> None:
        """Try learning rates from `start_lr` to `end_lr`, each for one batch (Smith 2015).

        Then ``learn.recorder.plot()`` shows the loss against them. The learner is left as it was.
        """
        finder = LRFinder(start_lr, end_lr, num_it, stop_div)
        self._ready(1, start_lr, None)
        epochs = -(-num_it // len(self.data.train_dl))  # rounded up
        with unchanged(self):
            self._fit(epochs, [finder], search=True)
        print("LR Finder is complete: learn.recorder.plot() shows the graph.")

    def _ready(self, epochs: int, lr: Rate, wd: float | None) -> float | list[float]:
        """Check that training is possible, and prepare the optimiser; the rate of each group."""
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise ValueError(f"fit: epochs must be an integer of at least 1, got {epochs!r}")
        if self.loss_func is None:
            raise ValueError("fit: there is no loss; pass Learner(..., loss_func=F.cross_entropy)")
        if not len(self.data.train_dl):
            raise ValueError(
                "fit: the training loader has no batches; a last batch that is not full is left "
                "out, so the batch size may be larger than the data set"
            )
        rates = groups.lr_range(lr, len(self.layer_groups))
        if self.opt is None:
            self.create_opt(lr)
        groups.set_decay(self.opt, self.wd if wd is None else wd)
        return rates

    def _saver(
        self, name: str | None, every: Any, restart: bool, function: str, **arguments: Any
    ) -> Checkpointer | None:
        if name is None:
            return None
        call = describe_call(self, function, **arguments)
        return Checkpointer(self.checkpoint_path(name), call, every, restart)

    def _fit(
        self,
        epochs: int,
        callbacks: Sequence[Callback] | None,
        saver: Checkpointer | None = None,
        search: bool = False,
        capture: bool = False,
    ) -> None:
        """Run the epochs. A `search` has no validation and no table, and a NaN does not end it."""
        standard = [] if search else [StopAtNaN(self.read_every)]
        if self.progress and not search:
            standard.append(Progress())
        if saver is not None:
            standard.append(saver)
        own = [*self.default_callbacks, *self.callbacks, *(callbacks or [])]
        self.running = in_order([self.recorder, *own, *standard])
        for callback in self.running:
            callback.learn = self
        self.recorder.reset()
        self.epochs, self.epoch, self.batch, self.done = epochs, 0, 0, 0
        self.cancelled, self._search = False, search
        self.model.zero_grad()  # a batch that failed may have left its gradients
        try:
            self.captured = CapturedBatches(self) if capture else None
            # evaluating() puts every module back into the mode that it is in now
            with nn.evaluating(self.model), Interruption() as self._interruption:
                self._run(saver)
        finally:
            self.running, self._interruption, self.captured = [], Interruption(), None

    def _run(self, saver: Checkpointer | None) -> None:
        """The epochs, and the three ways in which they can end early."""
        if saver is not None:
            saver.resume(self)
        try:
            self("train_begin")
            while self.epoch < self.epochs:
                self._epoch()
            self._interruption.obey()  # pressed in the last epoch: not to be lost
        except CancelFit:
            self.cancelled = True
        except KeyboardInterrupt:
            self._stopped(saver)
            if not interactive():
                raise
        finally:
            self("train_end")
            self.first_epoch += self.epochs

    def _stopped(self, saver: Checkpointer | None) -> None:
        """After Ctrl-C: save what can be saved, and say where training stopped."""
        told = f"Stopped by Ctrl-C at epoch {self.epoch}, batch {self.batch}."
        if saver is not None and self._between_batches:
            saver.write()
            told += f" {saver.path} is written; the same call goes on from it."
        elif saver is not None and saver.path.exists():
            told += f" {saver.path} is as it was last written."
        print(told)

    @contextmanager
    def no_bar(self) -> Iterator[None]:
        """Train in silence: neither table nor bar inside the ``with`` block."""
        before, self.progress = self.progress, False
        try:
            yield
        finally:
            self.progress = before

    # ---------------------------------------------------------- layer groups and the optimiser

    def create_opt(self, lr: Rate = DEFAULT_LR) -> None:
        """A new optimiser, without memory, for the parameters that can learn."""
        rates = groups.lr_range(lr, len(self.layer_groups))
        parameters = groups.param_groups(self.layer_groups, self.bn_wd)
        if not parameters:
            raise ValueError("create_opt: no parameter requires a gradient; unfreeze the model")
        self.opt = self.opt_func(parameters, lr=rates if isinstance(rates, float) else rates[-1])
        groups.set_hyper(self.opt, rates)
        groups.set_decay(self.opt, self.wd)

    def split(self, split_on: Any) -> Learner:
        """Cut the model into layer groups: before each of the layers given, or by a function."""
        self.layer_groups = groups.split_model(self.model, split_on)
        self.opt = None
        return self

    def freeze_to(self, n: int) -> None:
        """Stop the layer groups before the n-th from learning; the optimiser starts afresh.

        Batch norm in them goes on learning with `train_bn`.
        """
        if not -len(self.layer_groups) <= n < len(self.layer_groups):
            raise ValueError(
                f"freeze_to: n={n}, but the model has {len(self.layer_groups)} layer groups; "
                "cut it with learn.split(...)"
            )
        groups.freeze_to(self.layer_groups, n, self.train_bn)
        self.create_opt()

    def freeze(self) -> None:
        """Let only the last layer group learn. ValueError where there is only one."""
        if len(self.layer_groups) < 2:
            raise ValueError(
                "freeze: the model has one layer group, and freezing all but the last would freeze "
                "nothing; cut it with learn.split(...) first"
            )
        self.freeze_to(-1)

    def unfreeze(self) -> None:
        """Let all layer groups learn."""
        self.freeze_to(0)

    # --------------------------------------------------------------------------- saving, loading

    def checkpoint_path(self, name: str | Path) -> Path:
        """Where the checkpoint `name` is: path/model_dir/name.safetensors."""
        plain = str(name).removesuffix(checkpoints.SUFFIX)
        return self.path / self.model_dir / f"{plain}{checkpoints.SUFFIX}"

    def save(self, name: str | Path, with_opt: bool = True) -> Path:
        """Write weights and, with `with_opt`, the optimiser's state; returns the file's path.

        The file appears whole or not at all. OSError, naming it, where it cannot be written.
        """
        kept = state.learner_state(self)
        if not with_opt:
            kept["optimizer"] = None
        path = self.checkpoint_path(name)
        checkpoints.write(path, kept, "save")
        return path

    def load(self, name: str | Path, with_opt: bool = True, strict: bool = True) -> Learner:
        """Read weights, and the optimiser's state where it is there and fits; returns the learner.

        CheckpointError where the file is damaged or, with nothing loaded, of another model;
        FileNotFoundError where there is none. Where the optimiser's state is one for other
        parameters (frozen otherwise) the optimiser starts afresh, with a warning.
        """
        kept = checkpoints.read(self.checkpoint_path(name), "load")
        state.load_model(self.model, kept, "load", strict)
        if with_opt and kept["optimizer"] is not None:
            state.load_optimizer(self, kept["optimizer"])
        return self
