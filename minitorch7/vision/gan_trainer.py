"""`GANTrainer`: the callback that makes the Learner's loop train two networks in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..learner import SmoothedLoss
from .gan_losses import is_finite
from .gan_switchers import GANCallback


class GANTrainer(GANCallback):
    """Trains the critic or the generator of a `GANModule`, as the mode says; switchers change it.

    switch_eval  the network that is not trained is in evaluation mode meanwhile
    clip         limit every parameter of the critic, its norms' too, to [−clip, clip]
    beta         how slowly the smoothed losses forget
    gen_first    a fit begins with the generator, not the critic
    show_img     keep the first picture generated in the last generator batch of each epoch

    In the critic's batches input and target change places, so that the model, which is the critic
    then, answers to the real pictures. The table gets the columns gen_loss and disc_loss: the
    smoothed losses of each network's own batches. (fastai v1 left them out with show_img=False;
    and at the time of the lesson a hidden validation loss pushed each into the next one's column:
    what the lesson's notes call gen_loss is the validation loss.)

    For the last fit it keeps

    log                      "critic" or "generator" for each batch
    gen_losses, disc_losses  the smoothed losses of each network's batches
    imgs, titles             with show_img, one picture (C, H, W) in [0, 1] an epoch; these are not
                             in a checkpoint, so a resumed fit has them from there on
    """

    order = -20

    def __init__(
        self,
        switch_eval: bool = False,
        clip: float | None = None,
        beta: float = 0.98,
        gen_first: bool = False,
        show_img: bool = True,
    ) -> None:
        if clip is not None and not (is_finite(clip) and clip > 0):
            raise ValueError(f"GANTrainer: clip must be a number above 0, or None; got {clip!r}")
        if not is_finite(beta) or not 0 <= beta < 1:
            raise ValueError(f"GANTrainer: beta must be at least 0 and below 1, got {beta!r}")
        self.switch_eval, self.clip, self.beta = switch_eval, clip, beta
        self.gen_first, self.show_img = gen_first, show_img
        self.imgs: list[np.ndarray] = []
        self.titles: list[str] = []
        self._log: list[bool] = []  # for each loss of the recorder: was it the generator's?
        self._last: Tensor | None = None  # the newest picture, (1, C, H, W)
        self._learns: dict[bool, list[Tensor]] = {}  # gen_mode → the parameters that it trains

    # ---- the mode

    @property
    def gen_mode(self) -> bool:
        """Whether the generator is being trained, rather than the critic."""
        return self.learn.model.gen_mode

    def switch(self, gen_mode: bool | None = None) -> None:
        """Train the other network from the next batch on, or the one that `gen_mode` says.

        Only its parameters require a gradient, which is also what makes the one optimiser move it
        alone.
        """
        model = self.learn.model
        model.switch(gen_mode)
        for mode, parameters in self._learns.items():
            for p in parameters:
                p.requires_grad_(mode == model.gen_mode)
                p.grad = None if mode != model.gen_mode else p.grad
        if self.switch_eval:
            model.generator.train(model.gen_mode)
            model.critic.train(not model.gen_mode)

    # ---- what happens when

    def on_train_begin(self) -> None:
        if self.trainer is not self:  # which raises for other learners
            raise TypeError(
                "GANTrainer: a GANLearner makes its own and has room for no other; change the "
                "options of learn.gan_trainer, or give them to the GANLearner"
            )
        model = self.learn.model
        self._learns = {
            mode: [p for p in network.parameters() if p.requires_grad]
            for mode, network in ((True, model.generator), (False, model.critic))
        }
        if not all(self._learns.values()):
            frozen = "generator" if self._learns[False] else "critic"
            raise ValueError(f"GANLearner: all parameters of the {frozen} are frozen; unfreeze it")
        if not self.learn.done:  # else mode and log are those of the checkpoint
            self._log = []
            model.switch(self.gen_first)
        self.imgs, self.titles = [], []
        self.learn.recorder.add_columns("gen_loss", "disc_loss")
        self._limit_critic()

    def on_epoch_begin(self) -> None:
        self._last = None
        self.switch(self.gen_mode)  # again: the loop has put both networks into training mode

    def on_batch_begin(self) -> None:
        learn = self.learn
        _check_pictures(learn.yb)
        if not self.gen_mode:  # never in validation
            learn.xb, learn.yb = learn.yb, learn.xb

    def on_backward_begin(self) -> None:
        self._log.append(self.gen_mode)
        if self.gen_mode and self.show_img:
            self._last = Tensor(self.learn.pred.data[:1])

    def on_step_end(self) -> None:
        if not self.gen_mode:
            self._limit_critic()

    def on_epoch_end(self) -> None:
        columns = self.learn.recorder.extra
        for name, losses in (("gen_loss", self.gen_losses), ("disc_loss", self.disc_losses)):
            columns[name] = losses[-1] if losses else None
        if self._last is not None:
            self.imgs.append(self.learn.images_of(self._last)[0])
            self.titles.append(f"Epoch {self.learn.epoch}")

    def on_train_end(self) -> None:
        """Generator mode, and everything that could learn before can learn again."""
        if not self._learns:
            return  # training could not begin
        for parameters in self._learns.values():
            for p in parameters:
                p.requires_grad_(True)
        self._learns = {}
        self.learn.model.switch(True)

    def _limit_critic(self) -> None:
        """Clip the critic's weights: before the first batch and after each of its steps.

        fastai v1 clips before each batch, and leaves what the last step made as it is. Here they
        are within the limits after every batch. (Arjovsky et al. 2017, algorithm 1)
        """
        if self.clip is None:
            return
        for p in self.learn.model.critic.parameters():
            xp = backend.library(p.backend)
            p.data[...] = xp.clip(p.data, -self.clip, self.clip)
            p.mark_changed()

    # ---- what is kept

    @property
    def log(self) -> list[str]:
        """Which network each batch of the last fit trained: "critic" or "generator"."""
        return ["generator" if gen else "critic" for gen in self._log]

    @property
    def gen_losses(self) -> list[float]:
        """The generator's smoothed loss after each of its batches."""
        return self._smoothed(True)

    @property
    def disc_losses(self) -> list[float]:
        """The critic's smoothed loss after each of its batches."""
        return self._smoothed(False)

    def _smoothed(self, gen_mode: bool) -> list[float]:
        recorder, smooth = self.learn.recorder, SmoothedLoss(self.beta)
        recorder.read()  # so late that it hardly waits: at an epoch's end, or when asked
        pairs = zip(self._log, recorder.raw_losses, strict=False)
        return [smooth.add(loss) for mode, loss in pairs if mode == gen_mode]

    def state_dict(self) -> dict[str, Any]:
        """Mode and log; the smoothed losses follow from the log and the recorder's losses."""
        return {"gen_mode": self.gen_mode, "log": np.array(self._log, dtype=np.int8)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learn.model.switch(state["gen_mode"])
        self._log = [bool(gen) for gen in state["log"]]

    def __repr__(self) -> str:
        options = ("switch_eval", "clip", "beta", "gen_first")
        return f"GANTrainer({', '.join(f'{name}={getattr(self, name)}' for name in options)})"


def _check_pictures(targets: Any) -> None:
    if not isinstance(targets, Tensor) or targets.ndim != 4 or targets.dtype.kind != "f":
        got = f"{targets.shape} {targets.dtype}" if isinstance(targets, Tensor) else repr(targets)
        raise ValueError(
            "GANLearner: the targets must be pictures (N, C, H, W) of real numbers, which the "
            f"critic takes for real, got {got}; use ImageImageList or GANItemList"
        )
