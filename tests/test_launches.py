"""How many kernels one training step of each lesson's net starts, and that it never waits.

Counted by the stand-in, a lower bound of what CuPy would start: an operation of CuPy's counts one
launch, though some need several. Kernels of our own are counted and not run (`CountedKernels`), so
these steps compute nothing that could be compared; that they compute what they should is in
``test_cuda_wired.py`` and in the tests of each net. A step is forward, loss, backward, and the
optimiser's step, at small sizes; sizes matter only where a convolution chooses its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim, text, vision
from minitorch7.vision.vgg import VGG


class Launches(NamedTuple):
    """The most that a step may start: with kernels of our own, and by CuPy's operations alone."""

    kernels: int
    plain: int


STATED = {  # to be lowered where a change lowers it
    "basic": Launches(97, 622),
    "refactored": Launches(95, 610),
    "resnet": Launches(235, 1518),
    "unet": Launches(446, 1674),
    "gan, generator": Launches(477, 1551),
    "gan, critic": Launches(934, 2135),
    "wgan, clipped": Launches(104, 728),
    "wgan, gradient penalty": Launches(162, 1068),
    "feature loss": Launches(408, 1363),
    "words, model 0": Launches(112, 275),
    "words, model 1": Launches(113, 276),
    "words, model 2": Launches(831, 1691),
    "words, model 3": Launches(660, 1520),
    "words, model 4": Launches(153, 296),
    "words, model 5": Launches(336, 1401),
}

RNG = np.random.default_rng(0)
Step = Callable[[], Any]


def pictures(*shape: int) -> mt.Tensor:
    return mt.tensor(RNG.standard_normal(shape).astype("float32"))


def classes(count: int, *shape: int) -> mt.Tensor:
    return mt.tensor(RNG.integers(0, count, shape))


def step_of(model: nn.Module, loss: Callable[[], mt.Tensor], **options: Any) -> Step:
    """A training step of `model` with AdamW."""
    opt = optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=0.01, **options)

    def step() -> None:
        loss().backward()
        opt.step()
        opt.zero_grad()

    return step


def classifier(model: nn.Module, x: mt.Tensor, y: mt.Tensor) -> Step:
    return step_of(model, lambda: F.cross_entropy(model(x), y))


def digits(*layers: nn.Module) -> Step:
    return classifier(nn.Sequential(*layers), pictures(16, 1, 28, 28), classes(10, 16))


def basic() -> Step:
    sizes = (1, 8, 16, 32, 16, 10)
    layers = []
    for ni, nf in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Conv2d(ni, nf, 3, 2, 1), nn.BatchNorm2d(nf), nn.ReLU()]
    return digits(*layers[:-1], nn.Flatten())


def refactored() -> Step:
    sizes = (1, 8, 16, 32, 16, 10)
    layers = [nn.conv_layer(a, b, stride=2) for a, b in zip(sizes, sizes[1:], strict=False)]
    return digits(*layers, nn.Flatten())


def resnet() -> Step:
    layers = []
    for ni, nf in ((1, 8), (8, 16), (16, 32), (32, 16)):
        layers += [nn.conv_layer(ni, nf, stride=2), nn.res_block(nf)]
    return digits(*layers, nn.conv_layer(16, 10, stride=2), nn.Flatten())


def unet() -> Step:
    """A small encoder under fast.ai's decoder, with blur and attention."""
    sizes = (3, 8, 16, 16, 32)
    pairs = zip(sizes, sizes[1:], strict=False)
    encoder = nn.Sequential(*(nn.conv_layer(a, b, stride=2) for a, b in pairs))
    model = vision.DynamicUnet(encoder, 4, (32, 32), blur=True, self_attention=True)
    x, y = pictures(2, 3, 32, 32), classes(4, 2, 32, 32)
    return classifier(model, x, y)


def generator() -> Step:
    """The restorer's turn: a U-Net whose pictures the critic judges."""
    encoder = nn.Sequential(nn.conv_layer(3, 8, stride=2), nn.conv_layer(8, 16, stride=2))
    model, critic = vision.DynamicUnet(encoder, 3, (64, 64)), vision.gan_critic(nf=8)
    critic.requires_grad_(False)
    x, y = pictures(2, 3, 64, 64), pictures(2, 3, 64, 64)

    def loss() -> mt.Tensor:
        fake = model(x)
        judged = critic(fake)
        return F.binary_cross_entropy_with_logits(judged, judged * 0 + 1) + F.l1_loss(fake, y)

    return step_of(model, loss)


def critic() -> Step:
    model = vision.gan_critic(nf=8)
    real, fake = pictures(2, 3, 64, 64), pictures(2, 3, 64, 64)

    def loss() -> mt.Tensor:
        judged = [model(x) for x in (real, fake)]
        wanted = [judged[0] * 0 + 1, judged[1] * 0]
        both = (F.binary_cross_entropy_with_logits(*p) for p in zip(judged, wanted, strict=True))
        return sum(both)

    return step_of(model, loss)


def wgan(penalty: bool) -> Step:
    """A WGAN's critic: held by clipped weights, or by a penalty on its gradient."""
    model = vision.basic_critic(16, 3, 8, **({"norm_type": None} if penalty else {}))
    real, fake = pictures(4, 3, 16, 16), pictures(4, 3, 16, 16)

    def loss() -> mt.Tensor:
        loss = vision.WassersteinLoss()(model(real), model(fake))
        return loss + vision.gradient_penalty(model, real, fake) if penalty else loss

    step = step_of(model, loss)

    def clipped() -> None:
        step()
        for p in model.parameters():
            p.data.clip(-0.01, 0.01, out=p.data)

    return step if penalty else clipped


def feature_loss() -> Step:
    features = VGG(((8, 8), (16, 16), (16, 16), (16, 16)), 10, 8).features
    loss = vision.FeatureLoss(features, vision.layers_before_pooling(features)[1:4], (5, 15, 2))
    model = nn.Sequential(nn.conv_layer(3, 8), nn.Conv2d(8, 3, 3, padding=1))
    x, y = pictures(2, 3, 32, 32), pictures(2, 3, 32, 32)
    return step_of(model, lambda: loss(model(x), y))


def words(number: int) -> Step:
    """A language model for human numbers: 16 sequences, of 3 words for models 0 and 1, else 20."""
    model = getattr(text, f"Model{number}")(*((38, 64, 16) if number > 2 else (38, 64)))
    length = 3 if number < 2 else 20
    x = classes(38, 16, length)
    y = classes(38, 16) if number < 2 else classes(38, 16, length)
    return step_of(model, lambda: F.cross_entropy(model(x).flatten(0, -2), y.flatten()))


NETS = {
    "basic": basic,
    "refactored": refactored,
    "resnet": resnet,
    "unet": unet,
    "gan, generator": generator,
    "gan, critic": critic,
    "wgan, clipped": lambda: wgan(False),
    "wgan, gradient penalty": lambda: wgan(True),
    "feature loss": feature_loss,
    **{f"words, model {i}": lambda i=i: words(i) for i in range(6)},
}


def launches(net: str, library: standin.WithKernels | None) -> int:
    """Those of the third step; the first makes what is kept."""
    with standin.installed(library), mt.using("cupy"):
        mt.manual_seed(0)
        step = NETS[net]()
        step()
        step()
        with standin.count() as count, standin.no_sync():
            step()
        assert count.syncs == 0
        return count.launches


@pytest.mark.parametrize("net", NETS)
def test_a_step_starts_no_more_than_stated(net) -> None:
    found = Launches(launches(net, standin.CountedKernels()), launches(net, None))
    stated = STATED[net]
    assert found.kernels <= stated.kernels and found.plain <= stated.plain, f"{found} now"
    assert stated.kernels < 1.2 * found.kernels, f"{found} now: the table is out of date"
