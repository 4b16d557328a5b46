"""When a GAN's training turns from one network to the other, and how fast each learns.

All of them look at training batches only. fastai v1's also switched during validation, so that the
validation loss was a mixture and training went on in whatever mode validation had ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..functional._arguments import check_integer
from ..learner import Callback
from .gan_losses import is_finite

if TYPE_CHECKING:
    from .gan_trainer import GANTrainer

Turns = int | Callable[[int], int]
CRITIC = 1  # the number of the critic's layer group in a GANLearner


class GANCallback(Callback):
    """A callback that works with a GANLearner's trainer."""

    @property
    def trainer(self) -> GANTrainer:
        """The learner's `GANTrainer`; TypeError for a learner that has none."""
        found = getattr(self.learn, "gan_trainer", None)
        if found is None:
            raise TypeError(
                f"{type(self).__name__}: belongs to a GANLearner, which has two networks to switch "
                f"between; this is a {type(self.learn).__name__}"
            )
        return found


class GANSwitcher(GANCallback):
    """What ends the turns by ``self.trainer.switch()``: a switcher of your own derives from it."""


class FixedGANSwitcher(GANSwitcher):
    """Trains the critic for `n_crit` batches, the generator for `n_gen`, and so on.

    Each is a number, or a function of how many batches the *other* network has had in this fit:
    ``n_crit=lambda n: 100 if n < 25 else 5`` gives the critic a long lead at first, as the code of
    the WGAN paper does. (fastai v1 sets both of its counters to 0 at each switch, so that its
    functions are only ever asked about 0.)
    """

    def __init__(self, n_crit: Turns = 1, n_gen: Turns = 1) -> None:
        for name, turns in (("n_crit", n_crit), ("n_gen", n_gen)):
            if not callable(turns):
                check_integer("FixedGANSwitcher", name, turns, 1)
        self.n_crit, self.n_gen = n_crit, n_gen
        self._reset()

    def _reset(self) -> None:
        self.since = 0  # batches since the last switch
        self.had = [0, 0]  # batches of the critic and of the generator in this fit

    def on_train_begin(self) -> None:
        if not self.learn.done:  # else the counts are those of the checkpoint
            self._reset()

    def on_batch_end(self) -> None:
        if not self.learn.training:
            return
        gen_mode = self.trainer.gen_mode
        self.had[gen_mode] += 1
        self.since += 1
        if self.since >= self._wanted(gen_mode):
            self.trainer.switch()
            self.since = 0

    def _wanted(self, gen_mode: bool) -> int:
        """How many batches the network that is being trained gets in a row."""
        name, others = "n_gen" if gen_mode else "n_crit", self.had[not gen_mode]
        turns = getattr(self, name)
        if not callable(turns):
            return turns
        return check_integer("FixedGANSwitcher", f"{name}({others})", turns(others), 1)

    def state_dict(self) -> dict[str, Any]:
        return {"since": self.since, "had": list(self.had)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.since, self.had = state["since"], list(state["had"])

    def __repr__(self) -> str:
        return f"FixedGANSwitcher(n_crit={_named(self.n_crit)}, n_gen={_named(self.n_gen)})"


class AdaptiveGANSwitcher(GANSwitcher):
    """Turns to the other network after a batch whose loss is below a threshold.

    gen_thresh     what the generator's loss must be below; None: after every batch
    critic_thresh  the same for the critic's

    With the lesson's ``critic_thresh=0.65`` the critic trains until it is good again, then the
    generator for one batch. The loss is the batch's own, not the smoothed one, so where there is
    a threshold a GPU is waited for after each batch: nowhere else in a GAN's training.
    """

    def __init__(self, gen_thresh: float | None = None, critic_thresh: float | None = None) -> None:
        for name, thresh in (("gen_thresh", gen_thresh), ("critic_thresh", critic_thresh)):
            if thresh is not None and not is_finite(thresh):
                raise TypeError(
                    f"AdaptiveGANSwitcher: {name} must be a finite number that the loss is "
                    f"compared with, or None to switch after every batch; got {thresh!r}"
                )
        self.gen_thresh, self.critic_thresh = gen_thresh, critic_thresh

    def on_batch_end(self) -> None:
        if not self.learn.training or self.learn.loss is None:  # None: the batch was cancelled
            return
        thresh = self.gen_thresh if self.trainer.gen_mode else self.critic_thresh
        if thresh is None or self.learn.loss.item() < thresh:
            self.trainer.switch()

    def __repr__(self) -> str:
        return (
            f"AdaptiveGANSwitcher(gen_thresh={self.gen_thresh}, critic_thresh={self.critic_thresh})"
        )


class GANDiscriminativeLR(GANCallback):
    """The critic learns `mult_lr` times as fast as the generator.

    Its learning rate is multiplied before each of its batches and put back after the step, so that
    whatever schedules the rate sees its own values.
    """

    order = -6  # puts the rate back before the schedules, which are at -5, choose the next

    def __init__(self, mult_lr: float = 5.0) -> None:
        if not is_finite(mult_lr) or mult_lr <= 0:
            raise ValueError(
                f"GANDiscriminativeLR: mult_lr must be a number above 0, got {mult_lr!r}"
            )
        self.mult_lr = mult_lr
        self._before: list[tuple[dict[str, Any], float]] = []

    def on_batch_begin(self) -> None:
        if self.trainer.gen_mode:  # which includes validation
            return
        for group in self.learn.opt.param_groups:
            if group["layer_group"] == CRITIC:
                self._before.append((group, group["lr"]))
                group["lr"] *= self.mult_lr

    def on_step_end(self) -> None:
        for group, lr in self._before:  # the very number: dividing might round
            group["lr"] = lr
        self._before = []

    on_batch_end = on_train_end = on_step_end  # after a batch that was cancelled, or that failed


def _named(turns: Turns) -> str:
    return getattr(turns, "__name__", type(turns).__name__) if callable(turns) else str(turns)
