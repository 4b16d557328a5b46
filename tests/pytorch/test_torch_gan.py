"""The GAN rooms beside PyTorch: the lesson's networks, the losses, and whole trainings.

The trainings are written out here as fastai v1 runs them: two networks, an AdamW for each, the one
that is not trained without gradients. Ours has one optimiser over both; after a dozen batches in
float64 all weights, statistics and losses must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn, optim
from minitorch7.learner import Learner
from minitorch7.vision.gan import GANLearner
from minitorch7.vision.gan_losses import (
    AdaptiveLoss,
    accuracy_thresh_expand,
    gan_loss_from_func,
    gradient_penalty,
)
from minitorch7.vision.gan_models import basic_critic, basic_generator, gan_critic
from minitorch7.vision.gan_switchers import FixedGANSwitcher, GANDiscriminativeLR

from .comparing import torch

BETAS, LR, WD, EPOCHS, BATCHES = (0.0, 0.99), 0.01, 0.05, 2, 7


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """PyTorch's threads wait for one another in a loop: dear where the tests share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def host(t: Any) -> np.ndarray:
    return t.detach().numpy()


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def hand_over(ours: nn.Module, theirs: Any) -> Any:
    """Our weights and statistics in PyTorch's network of the same names; returns that."""
    state = {name: torch.tensor(host(value)) for name, value in ours.state_dict().items()}
    own = theirs.double().state_dict()
    counts = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in state}
    theirs.load_state_dict({**state, **counts})
    return theirs


def assert_same_state(ours: nn.Module, theirs: Any) -> None:
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        other = host(expected[name])
        np.testing.assert_allclose(host(value), other, rtol=1e-7, atol=1e-9, err_msg=name)


# ------------------------------------------------------------------------------ PyTorch's networks


class Attention(torch.nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        for name, nf in (("query", n // 8), ("key", n // 8), ("value", n)):
            conv = torch.nn.Conv1d(n, nf, 1, bias=False)
            self.add_module(name, torch.nn.utils.spectral_norm(conv))
        self.gamma = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Any) -> Any:
        flat = x.flatten(2)
        beta = torch.bmm(self.query(flat).transpose(1, 2), self.key(flat)).softmax(1)
        return (self.gamma * torch.bmm(self.value(flat), beta) + flat).view_as(x)


class Dense(torch.nn.Sequential):
    """Two layers, and [their answer, what came in]; the merge has no weights."""

    def forward(self, x: Any) -> Any:
        return torch.cat([super().forward(x), x], 1)


class Mean(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x.mean(0).view(1)


def spectral(ni: int, nf: int, ks: int, stride: int, pad: int, last: bool = False) -> list[Any]:
    conv = torch.nn.Conv2d(ni, nf, ks, stride, pad, bias=not last)
    return [torch.nn.utils.spectral_norm(conv)] + [torch.nn.LeakyReLU(0.2)] * (not last)


def torch_gan_critic(channels: int, nf: int, blocks: int) -> Any:
    layer = torch.nn.Sequential
    layers: list[Any] = [layer(*spectral(channels, nf, 4, 2, 1)), torch.nn.Dropout2d(0.0)]
    layers.append(Dense(layer(*spectral(nf, nf, 3, 1, 1)), layer(*spectral(nf, nf, 3, 1, 1))))
    nf *= 2
    for block in range(blocks):
        parts = spectral(nf, 2 * nf, 4, 2, 1)
        layers += [torch.nn.Dropout2d(0.0), layer(*parts, *[Attention(2 * nf)] * (block == 0))]
        nf *= 2
    return layer(*layers, layer(*spectral(nf, 1, 4, 1, 0, last=True)), torch.nn.Flatten())


def torch_basic_critic(size: int, channels: int, nf: int, extra: int, norm: bool = True) -> Any:
    def layer(ni: int, no: int, ks: int, stride: int, norm: bool) -> Any:
        parts = [torch.nn.Conv2d(ni, no, ks, stride, 1, bias=not norm), torch.nn.LeakyReLU(0.2)]
        return torch.nn.Sequential(*parts, *[torch.nn.BatchNorm2d(no)] * norm)

    first = layer(channels, nf, 4, 2, False)
    layers = [first, torch.nn.Sequential(*[layer(nf, nf, 3, 1, norm) for _ in range(extra)])]
    size //= 2
    while size > 4:
        layers.append(layer(nf, 2 * nf, 4, 2, norm))
        nf, size = 2 * nf, size // 2
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(nf, 1, 4, bias=False), Mean())


def torch_basic_generator(size: int, channels: int, noise: int, nf: int, extra: int) -> Any:
    def layer(ni: int, no: int, ks: int, stride: int, pad: int) -> Any:
        conv = torch.nn.ConvTranspose2d(ni, no, ks, stride, pad, bias=False)
        return torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.BatchNorm2d(no))

    width, side = nf * size // 8, 4
    layers = [layer(noise, width, 4, 1, 0)]
    while side < size // 2:
        layers.append(layer(width, width // 2, 4, 2, 1))
        width, side = width // 2, side * 2
    layers += [layer(width, width, 3, 1, 1) for _ in range(extra)]
    last = torch.nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False)
    return torch.nn.Sequential(*layers, last, torch.nn.Tanh())


# ------------------------------------------------------------------------------------ the networks

NETWORKS = {
    "gan_critic": (
        partial(gan_critic, 2, nf=2, n_blocks=2, p=0.0),
        partial(torch_gan_critic, 2, 2, 2),
        (2, 2, 40, 48),
    ),
    "basic_critic": (
        partial(basic_critic, 32, 2, 3, 1),
        partial(torch_basic_critic, 32, 2, 3, 1),
        (3, 2, 32, 32),
    ),
    "basic_critic without norm": (
        partial(basic_critic, 16, 2, 3, 2, norm_type=None),
        partial(torch_basic_critic, 16, 2, 3, 2, norm=False),
        (3, 2, 16, 16),
    ),
    "basic_generator": (
        partial(basic_generator, 32, 2, 5, 2, 1),
        partial(torch_basic_generator, 32, 2, 5, 2, 1),
        (3, 5, 1, 1),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    """Two calls in training, so that spectral norm and statistics move; then all gradients."""
    make, make_theirs, shape = NETWORKS[name]
    ours = make().double()
    for module in ours.modules():
        if isinstance(module, nn.SelfAttention):
            module.gamma.data[...] = 0.7
    theirs = hand_over(ours, make_theirs())
    for call in range(2):
        x = random(*shape, seed=call)
        out, expected = ours(mt.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(host(out), host(expected), rtol=1e-9, atol=1e-11)
    v = random(*out.shape, seed=5)
    (out * mt.tensor(v)).sum().backward()
    (expected * torch.tensor(v)).sum().backward()
    grads = {n: p.grad for n, p in theirs.named_parameters()}
    for n, p in ours.named_parameters():
        np.testing.assert_allclose(host(p.grad), host(grads[n]), rtol=1e-7, atol=1e-10, err_msg=n)
    assert_same_state(ours, theirs)
    ours.eval(), theirs.eval()
    x = random(*shape, seed=9)
    np.testing.assert_allclose(
        host(ours(mt.tensor(x))), host(theirs(torch.tensor(x))), rtol=1e-9, atol=1e-11
    )


# -------------------------------------------------------------------------------------- the losses


def torch_adaptive(scores: Any, targets: Any) -> Any:
    spread = targets[:, None].expand_as(scores).to(scores.dtype)
    return torch.nn.BCEWithLogitsLoss()(scores, spread)


def torch_gan_losses(weights: tuple[float, float], loss_gen: Any) -> tuple[Any, Any]:
    def generator(fake_pred: Any, target: Any, output: Any) -> Any:
        fool = torch_adaptive(fake_pred, torch.ones(len(fake_pred)))
        return weights[0] * fool + weights[1] * loss_gen(output, target)

    def critic(real_pred: Any, fake_pred: Any) -> Any:
        real = torch_adaptive(real_pred, torch.ones(len(real_pred)))
        return (real + torch_adaptive(fake_pred, torch.zeros(len(fake_pred)))) / 2

    return generator, critic


def torch_penalty(critic: Any, real: Any, fake: Any, eps: np.ndarray, weight: float) -> Any:
    """Gulrajani et al.; a critic that means over the batch is asked N times as loudly."""
    mixed = torch.tensor(eps) * real + (1 - torch.tensor(eps)) * fake
    mixed.requires_grad_(True)
    total = critic(mixed).sum() * len(real)
    (slope,) = torch.autograd.grad(total, mixed, create_graph=True)
    return weight * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()


def test_losses_from_functions() -> None:
    fakes, reals = random(3, 5), random(3, 5, seed=1)
    output, target = random(3, 1, 4, 4, seed=2), random(3, 1, 4, 4, seed=3)
    ours = gan_loss_from_func(nn.L1Loss(), AdaptiveLoss(nn.BCEWithLogitsLoss()), (1.5, 20))
    theirs = torch_gan_losses((1.5, 20), torch.nn.L1Loss())
    for mode, arguments in ((0, (fakes, target, output)), (1, (reals, fakes))):
        found = []
        for library, losses in ((mt, ours), (torch, theirs)):
            tensors = [library.tensor(a, requires_grad=True) for a in arguments]
            loss = losses[mode](*tensors)
            loss.backward()
            found.append([host(loss), *(host(t.grad) for t in tensors)])
        for mine, other in zip(*found, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-15)


def test_accuracy_of_a_critic() -> None:
    scores, targets = random(6, 25), np.array([0, 1, 1, 0, 1, 0])
    right = (torch.tensor(scores).sigmoid() > 0.5).eq(torch.tensor(targets)[:, None].bool())
    found = accuracy_thresh_expand(mt.tensor(scores), mt.tensor(targets))
    assert float(found) == pytest.approx(right.double().mean().item())


def test_gradient_penalty() -> None:
    """Its value and, by second derivatives, its gradient for every weight of the critic."""
    critic = basic_critic(16, 2, 3, 1, norm_type=None).double()
    theirs = hand_over(critic, torch_basic_critic(16, 2, 3, 1, norm=False))
    real, fake = random(4, 2, 16, 16), random(4, 2, 16, 16, seed=1)
    mt.manual_seed(8)
    eps = host(mt.rand(4, 1, 1, 1, dtype=np.float64))
    mt.manual_seed(8)
    penalty = gradient_penalty(critic, mt.tensor(real), mt.tensor(fake), 7.0)
    expected = torch_penalty(theirs, torch.tensor(real), torch.tensor(fake), eps, 7.0)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-9)
    penalty.backward()
    expected.backward()
    grads = {n: p.grad for n, p in theirs.named_parameters()}
    for n, p in critic.named_parameters():
        mine, other = (None if g is None else host(g) for g in (p.grad, grads[n]))
        zero = np.zeros(
            p.shape
        )  # of a bias; whether that is None or zeros is each library's affair
        mine, other = (zero if g is None else g for g in (mine, other))
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-11, err_msg=n)


# ----------------------------------------------------------------------------------- the trainings


class Loader:
    """Batches of float64: (noise, or damaged pictures; pictures)."""

    batch_size = 3

    def __init__(self, input_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
        self.input_shape, self.shape = input_shape, shape

    def __len__(self) -> int:
        return BATCHES

    def arrays(self, epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(epoch)
        n = self.batch_size
        draw = rng.standard_normal
        return [(draw((n, *self.input_shape)), draw((n, *self.shape))) for _ in range(BATCHES)]

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        for x, y in self.arrays(epoch)[start:]:
            yield mt.tensor(x), mt.tensor(y)


class Data:
    valid_dl = None
    loss_func = nn.MSELossFlat()

    def __init__(self, input_shape: tuple[int, ...], shape: tuple[int, ...]) -> None:
        self.train_dl = Loader(input_shape, shape)


class Theirs:
    """fastai's GAN training in PyTorch: two optimisers, turns of n_crit and n_gen batches."""

    def __init__(
        self, generator: Any, critic: Any, losses: tuple[Any, Any], **options: Any
    ) -> None:
        self.generator, self.critic = generator, critic
        self.loss_gen, self.loss_crit = losses
        self.options = {
            "clip": None,
            "penalty": None,
            "switch_eval": True,
            "mult_lr": 1.0,
            **options,
        }
        make = partial(torch.optim.AdamW, betas=BETAS, eps=1e-8, weight_decay=WD)
        self.opt_gen = make(generator.parameters(), lr=LR)
        self.opt_crit = make(critic.parameters(), lr=LR * self.options["mult_lr"])

    def fit(self, loader: Loader, n_crit: int, n_gen: int) -> list[float]:
        losses, gen_mode, count = [], False, 0
        for epoch in range(EPOCHS):
            for x, y in loader.arrays(epoch):
                self.ready(gen_mode)
                step = self.generators_batch if gen_mode else self.critics_batch
                losses.append(step(torch.tensor(x), torch.tensor(y)))
                count += 1
                if count == (n_gen if gen_mode else n_crit):
                    gen_mode, count = not gen_mode, 0
        return losses

    def ready(self, gen_mode: bool) -> None:
        self.generator.requires_grad_(gen_mode)
        self.critic.requires_grad_(not gen_mode)
        if self.options["switch_eval"]:
            self.generator.train(gen_mode)
            self.critic.train(not gen_mode)
        if self.options["clip"]:
            for p in self.critic.parameters():
                p.data.clamp_(-self.options["clip"], self.options["clip"])

    def critics_batch(self, x: Any, y: Any) -> float:
        real_pred = self.critic(y)
        with torch.no_grad():
            fake = self.generator(x)
        loss = self.loss_crit(real_pred, self.critic(fake))
        if self.options["penalty"]:
            eps = host(mt.rand(len(y), 1, 1, 1, dtype=np.float64))  # our stream's numbers
            loss = loss + torch_penalty(self.critic, y, fake, eps, self.options["penalty"])
        return self.step(self.opt_crit, loss)

    def generators_batch(self, x: Any, y: Any) -> float:
        output = self.generator(x)
        return self.step(self.opt_gen, self.loss_gen(self.critic(output), y, output))

    def step(self, opt: Any, loss: Any) -> float:
        loss.backward()
        assert all((p.grad is None) != p.requires_grad for p in self.parameters())
        opt.step()
        opt.zero_grad()
        return loss.item()

    def parameters(self) -> list[Any]:
        return [*self.generator.parameters(), *self.critic.parameters()]


OURS = {"opt_func": partial(optim.AdamW, betas=BETAS, eps=1e-8), "wd": WD, "progress": False}


def check_training(learn: GANLearner, theirs: Theirs, n_crit: int, n_gen: int) -> None:
    learn.switcher.n_crit, learn.switcher.n_gen = n_crit, n_gen
    mt.manual_seed(4)
    learn.fit(EPOCHS, LR)
    mt.manual_seed(4)
    losses = theirs.fit(learn.data.train_dl, n_crit, n_gen)
    assert {"critic", "generator"} == set(learn.gan_trainer.log)
    np.testing.assert_allclose(learn.recorder.raw_losses, losses, rtol=1e-6, atol=1e-9)
    if theirs.options["clip"]:
        theirs.ready(True)  # fastai clips what the last step made before the next batch
    assert_same_state(learn.model.generator, theirs.generator)
    assert_same_state(learn.model.critic, theirs.critic)


@pytest.mark.parametrize("switch_eval", [True, False])
@pytest.mark.parametrize("mult_lr", [1.0, 3.0])
def test_training_a_pretrained_gan(switch_eval: bool, mult_lr: float) -> None:
    generator = nn.Sequential(nn.conv_layer(2, 3), nn.Conv2d(3, 2, 3, padding=1)).double()
    critic = gan_critic(2, nf=2, n_blocks=1, p=0.0).double()
    conv = partial(torch.nn.Conv2d, kernel_size=3, padding=1)
    first = torch.nn.Sequential(conv(2, 3, bias=False), torch.nn.ReLU(), torch.nn.BatchNorm2d(3))
    theirs = Theirs(
        hand_over(generator, torch.nn.Sequential(first, conv(3, 2))),
        hand_over(critic, torch_gan_critic(2, 2, 1)),
        torch_gan_losses((1, 5), torch.nn.MSELoss()),
        switch_eval=switch_eval,
        mult_lr=mult_lr,
    )
    data = Data((2, 20, 20), (2, 20, 20))
    learn = GANLearner.from_learners(
        Learner(data, generator),
        Learner(data, critic, AdaptiveLoss(nn.BCEWithLogitsLoss())),
        weights_gen=(1, 5),
        switch_eval=switch_eval,
        switcher=FixedGANSwitcher(),
        callbacks=[GANDiscriminativeLR(mult_lr)],
        **OURS,
    )
    check_training(learn, theirs, 1, 1)


@pytest.mark.parametrize("penalty", [None, 4.0])
def test_training_a_wgan(penalty: float | None) -> None:
    free = {"norm_type": None} if penalty else {}
    generator, critic = basic_generator(8, 2, 4, 3), basic_critic(8, 2, 3, 1, **free)
    clip = None if penalty else 0.3
    theirs = Theirs(
        hand_over(generator.double(), torch_basic_generator(8, 2, 4, 3, 0)),
        hand_over(critic.double(), torch_basic_critic(8, 2, 3, 1, norm=not penalty)),
        (lambda fake, target, output: fake.mean(), lambda real, fake: real.mean() - fake.mean()),
        clip=clip,
        penalty=penalty,
        switch_eval=False,
    )
    data = Data((4, 1, 1), (2, 8, 8))
    learn = GANLearner.wgan(
        data, generator, critic, clip=clip, gradient_penalty=penalty, switch_eval=False, **OURS
    )
    check_training(learn, theirs, 3, 2)
