"""The losses of a GAN, each written for itself: what the critic is told, what the generator.

A critic gives high scores to real pictures and low ones to generated pictures, and the generator
wants its pictures to be given high ones. In a WGAN, as fastai v1 writes it, it is the other way
round: the critic makes mean C(real) − mean C(fake) small, so real pictures get low scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from .. import backend, nn
from ..autograd import Tensor, grad
from ..functional._arguments import check_float, check_same_backend, check_tensor
from ..learner.metrics import accuracy_thresh
from ..learner.predict import activation_of

Loss = Callable[..., Tensor]
TINY = 1e-12  # under the root of a norm, whose slope at 0 would be infinite


class AdaptiveLoss(nn.Module):
    """A loss for a critic with many answers a picture: each is compared with the one target.

    output (N, …) and targets (N,) or (N, 1), which may be class numbers, go to `crit` in the shape
    and dtype of the output. `get_preds` gives what it would after `crit` itself: probabilities,
    where that is a binary cross-entropy with logits.
    """

    def __init__(self, crit: Loss) -> None:
        check_callable("AdaptiveLoss", crit=crit)
        self.crit = crit
        self.activation = activation_of(crit)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return self.crit(output, _spread("AdaptiveLoss", output, target))


def accuracy_thresh_expand(
    pred: Tensor, target: Tensor, thresh: float = 0.5, sigmoid: bool = True
) -> Any:
    """A critic's accuracy: mean((σ(pred) > thresh) = target) over all answers to all pictures.

    pred (N, …), target (N,) or (N, 1) of 0 and 1; with ``sigmoid=False`` pred is compared as it is.
    """
    return accuracy_thresh(pred, _spread("accuracy_thresh_expand", pred, target), thresh, sigmoid)


def _spread(function: str, output: Tensor, target: Tensor) -> Tensor:
    """One target a picture, repeated for each of the answers to it, in their dtype."""
    n = _pictures_judged(function, output)
    if check_tensor(function, "target", target).shape not in ((n,), (n, 1)):
        raise ValueError(
            f"{function}: answers {output.shape} need one target for each of the {n} pictures, "
            f"({n},) or ({n}, 1), got {target.shape}"
        )
    return target.to(output.dtype).reshape(n, *[1] * (output.ndim - 1)).expand(*output.shape)


def _pictures_judged(function: str, output: Tensor) -> int:
    """N of a critic's answers (N, …)."""
    if not check_tensor(function, "the critic's answer", output).ndim:
        raise ValueError(
            f"{function}: needs the critic's answers to N pictures, (N, …), got shape (); "
            "leave out what takes their mean"
        )
    return output.shape[0]


# ------------------------------------------------------------------------------- generator, critic


def gan_loss_from_func(
    loss_gen: Loss, loss_crit: Loss, weights_gen: Sequence[float] | None = None
) -> tuple[Loss, Loss]:
    """Two losses, the generator's and the critic's, from one of each network trained alone.

    generator(fake_pred, target, output) = w₀·loss_crit(fake_pred, 1) + w₁·loss_gen(output, target)
    critic(real_pred, fake_pred)         = (loss_crit(real_pred, 1) + loss_crit(fake_pred, 0))/2

    weights_gen  (w₀, w₁), by default (1, 1); the lesson takes (1, 50), since a mean squared error
                 of pixels is a small number beside a cross-entropy

    loss_crit is given scores and one target a picture (N,): see `AdaptiveLoss`. fastai v1 hands
    loss_gen its two arguments the wrong way round, target first. Here the output comes first, which
    matters for a loss that is not symmetric.
    """
    check_callable("gan_loss_from_func", loss_gen=loss_gen, loss_crit=loss_crit)
    fool, pixels = _checked_weights(weights_gen)

    def generator_loss(fake_pred: Tensor, target: Tensor, output: Tensor) -> Tensor:
        return fool * loss_crit(fake_pred, _all(1, fake_pred)) + pixels * loss_gen(output, target)

    def critic_loss(real_pred: Tensor, fake_pred: Tensor) -> Tensor:
        real = loss_crit(real_pred, _all(1, real_pred))
        return (real + loss_crit(fake_pred, _all(0, fake_pred))) / 2

    generator_loss.weights = (fool, pixels)  # so that a checkpoint can tell them
    return generator_loss, critic_loss


def _all(value: float, pred: Tensor) -> Tensor:
    """The target `value` for every picture of a batch."""
    n = _pictures_judged("gan_loss_from_func", pred)
    xp = backend.library(pred.backend)
    return Tensor(xp.full((n,), value, dtype=pred.dtype))


def _checked_weights(weights: Sequence[float] | None) -> Sequence[float]:
    weights = (1.0, 1.0) if weights is None else weights
    pair = isinstance(weights, Sequence) and len(weights) == 2 and all(map(is_finite, weights))
    if not pair or min(weights) < 0 or max(weights) == 0:
        raise ValueError(
            "gan_loss_from_func: weights_gen must be two numbers of at least 0, not both 0, for "
            f"the critic's opinion and the generator's own loss, such as (1, 50); got {weights!r}"
        )
    return weights


def is_finite(value: Any) -> bool:
    """Whether `value` is a real number, of Python's or NumPy's: no bool, NaN or infinity."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_callable(function: str, **losses: Any) -> None:
    """TypeError, naming `function` and the argument, for a loss that cannot be called as one."""
    for name, loss in losses.items():
        if not callable(loss) or isinstance(loss, type):
            made = f"the class {loss.__name__}; make one: add ()" if callable(loss) else repr(loss)
            raise TypeError(f"{function}: {name} must be a loss, a function of tensors; got {made}")


# ------------------------------------------------------------------------------------------- WGAN


class NoopLoss(nn.Module):
    """mean(output), whatever else is given: a WGAN's generator wants low scores."""

    def forward(self, output: Tensor, *others: Any) -> Tensor:
        return output.mean()


class WassersteinLoss(nn.Module):
    """mean(real) − mean(fake): what a WGAN's critic makes as small as it can.

    Arjovsky et al. 2017 (1701.07875) have the signs the other way; the game is the same.
    """

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - fake.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: float = 10.0
) -> Tensor:
    """weight · mean((‖∇C(x̂)‖₂ − 1)²), which holds the critic's slope near 1 (1704.00028).

    x̂ = ε·real + (1 − ε)·fake, with ε drawn from [0, 1) for each picture, from minitorch7's random
    stream. C(x̂) is the mean of what the critic answers to a picture. A critic that answers with
    the mean over the batch, (1,), serves as well, as long as nothing in it (no batch norm) lets one
    picture change the answer to another: then N times its answer is the sum over the pictures, and
    the gradient of that sum at a picture is the picture's own.

    real, fake (N, …) → one number; its gradient reaches the critic's weights, not the pictures.
    """
    for name, pictures in (("real", real), ("fake", fake)):
        check_float("gradient_penalty", name, pictures)
    check_same_backend("gradient_penalty", real, fake)
    if not is_finite(weight) or weight <= 0:
        raise ValueError(f"gradient_penalty: weight must be a number above 0, got {weight!r}")
    if not real.ndim or not real.numel():
        raise ValueError(
            f"gradient_penalty: needs pictures (N, …), at least one, got shape {real.shape}"
        )
    if real.shape != fake.shape:
        raise ValueError(
            f"gradient_penalty: the real batch is {real.shape} and the generated one {fake.shape}; "
            "they are mixed picture by picture and must have one shape"
        )
    n, xp = real.shape[0], backend.library(real.backend)
    eps = backend.uniform(xp, (n, *[1] * (real.ndim - 1)), real.dtype)
    mixed = Tensor(eps * real.data + (1 - eps) * fake.data, requires_grad=True)
    total = n * critic(mixed).mean()  # Σ C(x̂), whether the mean over the batch is taken or not
    (slope,) = grad(total, mixed, create_graph=True)
    norms = ((slope * slope).reshape(n, -1).sum(1) + TINY).sqrt()  # (N,)
    return weight * ((norms - 1) ** 2).mean()
