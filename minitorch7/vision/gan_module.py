"""Two networks as one model, and two losses as one: what lets a Learner train a GAN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import nn
from ..autograd import Tensor, no_grad
from ..learner import Learner
from .gan_losses import Loss, check_callable


class GANModule(nn.Module):
    """Two networks as one model: the generator in generator mode, else the critic."""

    def __init__(self, generator: nn.Module, critic: nn.Module, gen_mode: bool = False) -> None:
        for name, network in (("generator", generator), ("critic", critic)):
            if not isinstance(network, nn.Module):
                raise TypeError(
                    f"GANModule: {name} must be an nn.Module, got {type(network).__name__}"
                    + ("; of a Learner pass its model" if isinstance(network, Learner) else "")
                )
        ours, theirs = ({id(p) for p in network.parameters()} for network in (generator, critic))
        if generator is critic or ours & theirs:
            raise ValueError(
                "GANModule: generator and critic share parameters, but each is to learn while the "
                "other is held; give two networks"
            )
        self.generator, self.critic, self.gen_mode = generator, critic, gen_mode

    def forward(self, *inputs: Any) -> Any:
        return self.generator(*inputs) if self.gen_mode else self.critic(*inputs)

    def switch(self, gen_mode: bool | None = None) -> None:
        """The other mode, or the one that `gen_mode` says."""
        self.gen_mode = not self.gen_mode if gen_mode is None else bool(gen_mode)

    @contextmanager
    def generating(self) -> Iterator[None]:
        """Generator mode inside a ``with`` block; afterwards the mode is as before."""
        before = self.gen_mode
        self.switch(True)
        try:
            yield
        finally:
            self.switch(before)


class GANLoss:
    """The loss of a `GANModule`, in the mode that the module is in; a switch of one is of both.

    generator  loss(output, target)            = loss_funcG(C(output), target, output)
    critic     loss(real_pred, input[, real])  = loss_funcC(real_pred, C(G(input))), G without
               gradient, plus penalty(C, real, G(input)) where there is a penalty
    """

    def __init__(
        self,
        loss_funcG: Loss,
        loss_funcC: Loss,
        gan_model: GANModule,
        penalty: Callable[..., Tensor] | None = None,
    ) -> None:
        check_callable("GANLoss", loss_funcG=loss_funcG, loss_funcC=loss_funcC)
        self.loss_funcG, self.loss_funcC = loss_funcG, loss_funcC
        self.gan_model, self.penalty = gan_model, penalty

    @property
    def gen_mode(self) -> bool:
        """The module's mode."""
        return self.gan_model.gen_mode

    def switch(self, gen_mode: bool | None = None) -> None:
        """Switch the module, and so this."""
        self.gan_model.switch(gen_mode)

    def __call__(self, output: Tensor, target: Tensor, real: Tensor | None = None) -> Tensor:
        if self.gen_mode:
            return self.generator(output, target)
        return self.critic(output, target, real)

    def generator(self, output: Tensor, target: Tensor) -> Tensor:
        """How far the generated pictures are from what is wanted."""
        _check_alike(output, target)
        return self.loss_funcG(self.gan_model.critic(output), target, output)

    def critic(self, real_pred: Tensor, input: Tensor, real: Tensor | None = None) -> Tensor:
        """How badly the critic tells real pictures, scored already, from those made of `input`."""
        with no_grad():
            fake = self.gan_model.generator(input)
        if real is not None:
            _check_alike(fake, real)
        loss = self.loss_funcC(real_pred, self.gan_model.critic(fake))
        if self.penalty is None:
            return loss
        if real is None:
            raise ValueError(
                "GANLoss: a penalty is taken between real and generated pictures; pass the real "
                "ones too: loss(real_pred, input, real)"
            )
        return loss + self.penalty(self.gan_model.critic, real, fake)


def _check_alike(generated: Tensor, real: Tensor) -> None:
    if generated.shape != real.shape:
        raise ValueError(
            f"GANLoss: the generator makes {generated.shape}, but the data's pictures are "
            f"{real.shape}; give the generator the channels and the size of the data"
        )
