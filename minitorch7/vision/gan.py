"""`GANLearner`: a generator and a critic that train against each other.

A generator G makes pictures of its inputs (noise, or damaged pictures). A critic C tells real
pictures from G's. Each learns from the other's work, in turn:

    critic's batch     real pictures x, inputs z:  L_C(C(x), C(G(z))), G without gradient
    generator's batch  inputs z, targets x:        L_G(C(G(z)), x, G(z)), C's weights held

`gan_module` makes one model and one loss of the two, `gan_losses` has the losses, `gan_trainer` the
turns, `gan_switchers` says when they end, and `gan_models` has networks to begin with. (Goodfellow
et al. 2014, 1406.2661)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..learner import Callback, Learner
from ..learner.groups import is_norm
from ..learner.summary import Summary
from .gan_losses import (
    Loss,
    NoopLoss,
    WassersteinLoss,
    check_callable,
    gan_loss_from_func,
    gradient_penalty,
    is_finite,
)
from .gan_module import GANLoss, GANModule
from .gan_switchers import FixedGANSwitcher, GANSwitcher
from .gan_trainer import GANTrainer


class _Default(float):
    """A default that can be told from the same number given."""


class GANLearner(Learner):
    """Trains a generator and a critic in turn; `learn.gan_trainer` has the log and the pictures.

    data            batches (inputs of the generator, real pictures)
    gen_loss_func   (fake_pred, target, output) → a Tensor of one number
    crit_loss_func  (real_pred, fake_pred) → a Tensor of one number
    switcher        a `GANSwitcher`, or what makes one; default: 5 batches for the critic, 1 for the
                    generator
    gen_first, switch_eval, show_img, clip   see `GANTrainer`
    gradient_penalty  the weight of a `gradient_penalty` in the critic's loss, instead of `clip`
    learn_kwargs    for the `Learner`; ``metrics`` are given (generated pictures, targets)

    There is one optimiser over two layer groups, generator and critic, where fastai v1 has two
    optimisers. It comes to the same: all that ours remember (moments, counts of steps) they
    remember for each parameter, and they pass over those without gradient, which are those of the
    network that is not being trained. So learning rates, decay, checkpoints and resuming are the
    `Learner`'s own; ``fit(n, slice(1e-5, 1e-4))`` gives the generator 1e-5 and the critic 1e-4.
    A generator that was partly frozen stays so.

    Outside training the model is the generator: `validate`, `pred_batch` and the like ask it, also
    in the middle of a fit. Validation gives the generator's loss, and leaves turns and counts as
    they were; in fastai v1 the networks took turns there too.
    """

    def __init__(
        self,
        data: Any,
        generator: nn.Module,
        critic: nn.Module,
        gen_loss_func: Loss,
        crit_loss_func: Loss,
        switcher: Any = None,
        gen_first: bool = False,
        switch_eval: bool = True,
        show_img: bool = True,
        clip: float | None = None,
        *,
        gradient_penalty: float | None = None,
        callbacks: Sequence[Callback] | None = None,
        **learn_kwargs: Any,
    ) -> None:
        if {"loss_func", "layer_groups"} & learn_kwargs.keys():
            raise TypeError(
                "GANLearner: loss_func and layer_groups are not for the caller to choose: the "
                "losses are gen_loss_func and crit_loss_func, the layer groups the two networks"
            )
        check_callable("GANLearner", gen_loss_func=gen_loss_func, crit_loss_func=crit_loss_func)
        model = GANModule(generator, critic, gen_mode=True)
        self.gradient_penalty = gradient_penalty
        penalty = _checked_penalty(gradient_penalty, clip, critic)
        self.gan_trainer = GANTrainer(switch_eval, clip, gen_first=gen_first, show_img=show_img)
        self.switcher = _made(switcher)
        super().__init__(
            data,
            model,
            GANLoss(gen_loss_func, crit_loss_func, model, penalty),
            callbacks=[self.gan_trainer, self.switcher, *(callbacks or [])],
            layer_groups=[generator, critic],
            **learn_kwargs,
        )
        self.gan_trainer.learn = self

    @classmethod
    def from_learners(
        cls,
        learn_gen: Learner,
        learn_crit: Learner,
        switcher: Any = None,
        weights_gen: Sequence[float] | None = None,
        **learn_kwargs: Any,
    ) -> GANLearner:
        """A GAN of two learners that were trained alone first: the lesson's pretrained GAN.

        Data, folder and pixel loss are those of `learn_gen`; the critic's loss is `learn_crit`'s;
        `gan_loss_from_func` combines the two with `weights_gen`. The models are the learners' own,
        not copies.
        """
        for name, learn in (("learn_gen", learn_gen), ("learn_crit", learn_crit)):
            if not isinstance(learn, Learner):
                raise TypeError(
                    f"GANLearner.from_learners: {name} must be a Learner, got "
                    f"{type(learn).__name__}; with two models call GANLearner itself"
                )
        losses = gan_loss_from_func(learn_gen.loss_func, learn_crit.loss_func, weights_gen)
        places = {"path": learn_gen.path, "model_dir": learn_gen.model_dir}
        networks = learn_gen.model, learn_crit.model
        return cls(
            learn_gen.data, *networks, *losses, switcher=switcher, **{**places, **learn_kwargs}
        )

    @classmethod
    def wgan(
        cls,
        data: Any,
        generator: nn.Module,
        critic: nn.Module,
        switcher: Any = None,
        clip: float | None = _Default(0.01),
        gradient_penalty: float | None = None,
        **learn_kwargs: Any,
    ) -> GANLearner:
        """A Wasserstein GAN (Arjovsky et al. 2017, 1701.07875).

        The critic minimises mean C(real) − mean C(fake), the generator mean C(fake): real pictures
        get low scores. Clipped weights keep the critic from being arbitrarily steep. With
        `gradient_penalty` (10 in Gulrajani et al. 2017, 1704.00028) its slope is held near 1
        instead, there is no clipping by default, and disc_loss includes the penalty.
        """
        if gradient_penalty is not None and isinstance(clip, _Default):
            clip = None
        return cls(
            data,
            generator,
            critic,
            NoopLoss(),
            WassersteinLoss(),
            switcher=switcher,
            clip=clip,
            gradient_penalty=gradient_penalty,
            **learn_kwargs,
        )

    # ---- the loop

    def get_loss(self) -> Tensor:
        """The loss of the answer; a penalty also looks at the real pictures themselves."""
        return self.loss_func(self.pred, self.yb, self.xb)

    def _saver(self, *arguments: Any, **named: Any) -> Any:
        """A checkpoint belongs to a fit with the same turns and limits."""
        gan = f"{self.gan_trainer}, {_described(self.switcher)}, penalty {self.gradient_penalty}"
        weights = getattr(self.loss_func.loss_funcG, "weights", None)
        gan += f", weights {weights}" if weights else ""
        return super()._saver(*arguments, **named, gan=gan)

    # ---- asking the generator

    def validate(self, dl: Any = None) -> list[float]:
        with self.model.generating():
            return super().validate(dl)

    def get_preds(self, dl: Any = "valid", with_loss: bool = False) -> list[Tensor | None]:
        with self.model.generating():
            return super().get_preds(dl, with_loss)

    def pred_batch(self, batch: tuple[Tensor, Any] | None = None, reconstruct: bool = False) -> Any:
        with self.model.generating():
            return super().pred_batch(batch, reconstruct)

    def summary(self) -> Summary:
        with self.model.generating():
            return super().summary()

    # ---- layer groups

    def split(self, split_on: Any) -> Learner:
        raise _fixed_groups("split")

    def freeze_to(self, n: int) -> None:
        raise _fixed_groups("freeze_to")

    def freeze(self) -> None:
        raise _fixed_groups("freeze")

    def unfreeze(self) -> None:
        raise _fixed_groups("unfreeze")


def _fixed_groups(function: str) -> TypeError:
    return TypeError(
        f"{function}: a GANLearner's layer groups are its two networks, which take turns; freeze "
        "or unfreeze the generator's own Learner before making the GANLearner"
    )


def _made(switcher: Any) -> GANSwitcher:
    """The switcher, from one or from what makes one."""
    if switcher is None:
        return FixedGANSwitcher(n_crit=5, n_gen=1)
    made = switcher() if callable(switcher) else switcher
    if not isinstance(made, GANSwitcher):
        raise TypeError(
            "GANLearner: switcher must be a GANSwitcher, which ends the networks' turns, or what "
            "makes one, such as partial(AdaptiveGANSwitcher, critic_thresh=0.65); got "
            f"{switcher!r}; other callbacks go to callbacks="
        )
    return made


def _described(switcher: Callback) -> str:
    """Its repr, unless that holds an address, which is another one in the next process."""
    plain = type(switcher).__repr__ is object.__repr__
    return type(switcher).__name__ if plain else repr(switcher)


def _checked_penalty(
    weight: float | None, clip: float | None, critic: nn.Module
) -> Callable[..., Tensor] | None:
    if weight is None:
        return None
    if not is_finite(weight) or weight <= 0:
        raise ValueError(f"GANLearner: gradient_penalty must be a number above 0, got {weight!r}")
    if clip is not None:
        raise ValueError(
            f"GANLearner: clip={clip} and gradient_penalty={weight} both bound the critic's slope, "
            "and clipped weights cannot reach the slope of 1 that the penalty asks for; choose one"
        )
    if any(is_norm(module) for module in critic.modules()):
        raise ValueError(
            "GANLearner: with a gradient penalty the critic must not hold batch norm, by which "
            "each picture changes the answers to all; use basic_critic(..., norm_type=None)"
        )
    return partial(gradient_penalty, weight=weight)
