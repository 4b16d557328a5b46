"""The critics and the generator: layers in the lesson's order, sizes, parameter counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.learner import summarize
from minitorch7.nn import NormType
from minitorch7.vision.gan_models import AvgFlatten, basic_critic, basic_generator, gan_critic


def host(t):
    return mt.backend.to_numpy(t.data)


def count(model):
    return sum(p.numel() for p in model.parameters())


def table(model, *shape):
    """(layer, output shape without the batch, parameters of weight and bias) for each layer."""
    return [(r.layer, r.shape[1:], r.params) for r in summarize(model, mt.zeros(*shape)).rows]


def convolutions(model):
    return [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d)]


# -------------------------------------------------------------------------------------- gan_critic


def test_gan_critic_at_its_defaults():
    critic = gan_critic()
    assert count(critic) == 44_705_665
    parts = [count(layer) for layer in critic]
    attention = 327_681
    assert parts == [
        *(6_272, 0, 2 * 147_584),
        *(0, 2_097_664 + attention, 0, 8_389_632, 0, 33_556_480),
        *(32_768, 0),
    ]
    assert count(critic[4][2]) == attention and isinstance(critic[4][2], nn.SelfAttention)
    assert critic[4][2].gamma.shape == (1,)  # beside the weights, a scalar


def test_gan_critic_layer_by_layer():
    """The sizes of 128×128 pictures, and the order: convolution, leaky ReLU, then attention."""
    nf, conv = 2, 4 * 4
    assert table(gan_critic(nf=nf), 1, 3, 128, 128) == [
        ("Conv2d", [nf, 64, 64], 3 * nf * conv + nf),
        ("LeakyReLU", [nf, 64, 64], 0),
        ("Dropout2d", [nf, 64, 64], 0),
        ("Conv2d", [nf, 64, 64], nf * nf * 9 + nf),
        ("LeakyReLU", [nf, 64, 64], 0),
        ("Conv2d", [nf, 64, 64], nf * nf * 9 + nf),
        ("LeakyReLU", [nf, 64, 64], 0),
        ("MergeLayer", [2 * nf, 64, 64], 0),
        ("Dropout2d", [2 * nf, 64, 64], 0),
        ("Conv2d", [4 * nf, 32, 32], 2 * nf * 4 * nf * conv + 4 * nf),
        ("LeakyReLU", [4 * nf, 32, 32], 0),
        ("Conv1d", [1, 1024], 8),
        ("Conv1d", [1, 1024], 8),
        ("Conv1d", [8, 1024], 64),
        ("Dropout2d", [4 * nf, 32, 32], 0),
        ("Conv2d", [8 * nf, 16, 16], 4 * nf * 8 * nf * conv + 8 * nf),
        ("LeakyReLU", [8 * nf, 16, 16], 0),
        ("Dropout2d", [8 * nf, 16, 16], 0),
        ("Conv2d", [16 * nf, 8, 8], 8 * nf * 16 * nf * conv + 16 * nf),
        ("LeakyReLU", [16 * nf, 8, 8], 0),
        ("Conv2d", [1, 5, 5], 16 * nf * conv),
        ("Flatten", [25], 0),
    ]


def test_gan_critic_norms_slopes_and_dropout():
    critic = gan_critic(nf=2)
    assert all("weight_orig" in dict(conv.named_parameters()) for conv in convolutions(critic))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in critic.modules())
    slopes = {m.negative_slope for m in critic.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}
    assert [m.p for m in critic.modules() if isinstance(m, nn.Dropout2d)] == [0.075] + 3 * [0.15]
    assert [m.p for m in gan_critic(nf=2, p=0.4).modules() if isinstance(m, nn.Dropout2d)][:2] == [
        0.2,
        0.4,
    ]
    merges = [m for m in critic.modules() if isinstance(m, nn.MergeLayer)]
    assert [m.dense for m in merges] == [True]
    assert [conv.bias is None for conv in convolutions(critic) if conv.kernel_size == (4, 4)] == [
        *(False, False, False, False),
        True,
    ]


@pytest.mark.parametrize(("side", "answers"), [(64, 1), (65, 1), (80, 4), (128, 25), (192, 81)])
def test_answers_of_a_gan_critic(side, answers):
    assert gan_critic(nf=2)(mt.randn(2, 3, side, side)).shape == (2, answers)


def test_answers_of_a_gan_critic_for_the_largest_pictures():
    shapes = table(gan_critic(nf=2), 1, 3, 256, 256)
    assert shapes[-1] == ("Flatten", [169], 0)
    assert gan_critic(1, nf=2)(mt.randn(1, 1, 64, 112)).shape == (1, 4)  # not square


def test_fewer_blocks_judge_smaller_pictures():
    assert gan_critic(1, nf=4, n_blocks=1)(mt.randn(2, 1, 28, 28)).shape == (2, 16)
    assert gan_critic(1, nf=4, n_blocks=2)(mt.randn(2, 1, 32, 32)).shape == (2, 1)


@pytest.mark.parametrize("shape", [(1, 3, 63, 64), (1, 3, 64, 32), (3, 64, 64)])
def test_pictures_too_small_for_a_gan_critic(shape):
    with pytest.raises(ValueError, match=r"gan_critic: needs pictures .* at least 64×64, got \("):
        gan_critic(nf=2)(mt.zeros(*shape))
    with pytest.raises(ValueError, match="at least 32×32"):
        gan_critic(nf=2, n_blocks=2)(mt.zeros(1, 3, 31, 40))


def test_gan_critic_on_both_backends(backend):
    mt.manual_seed(3)
    critic = gan_critic(1, nf=2, n_blocks=1)
    out = critic(mt.randn(2, 1, 24, 24))
    out.sum().backward()
    assert out.backend == backend and out.shape == (2, 9)
    assert all(p.grad is not None for p in critic.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nf": 1}, "nf must be at least 2, got 1"),
        ({"n_blocks": 0}, "n_blocks must be at least 1, got 0"),
        ({"n_channels": 0}, "n_channels must be at least 1, got 0"),
        ({"p": "a"}, "p, of dropout, must be a number from 0 to 1, got 'a'"),
        ({"p": -1}, "p, of dropout, must be a number from 0 to 1, got -1"),
    ],
)
def test_impossible_gan_critics(options, message):
    with pytest.raises(ValueError, match=f"gan_critic: {message}"):
        gan_critic(**options)


# ------------------------------------------------------------------------------------ basic_critic


def test_basic_critic_of_the_lesson():
    critic = basic_critic(64, 3, n_extra_layers=1)
    assert count(critic) == 2_802_624
    params = (3_136, 36_992, 131_328, 524_800, 2_098_176, 8_192, 0)
    assert [count(part) for part in critic] == list(params)
    one_layer = ("Conv2d", "LeakyReLU", "BatchNorm2d")
    rows = table(critic, 2, 3, 64, 64)
    assert [row[0] for row in rows] == [
        "Conv2d",
        "LeakyReLU",
        *4 * one_layer,
        "Conv2d",
        *["AvgFlatten"],
    ]
    sides = [shape[1] for layer, shape, _ in rows if layer == "Conv2d"]
    assert sides == [32, 32, 16, 8, 4, 1]
    assert rows[-1][1] == []  # one number for the batch
    assert count(basic_critic(32, 1)) == 661_312


def test_biases_of_a_basic_critic():
    """A bias where no batch norm follows, and none in the last convolution."""
    biases = [conv.bias is not None for conv in convolutions(basic_critic(32, 1))]
    assert biases == [True, False, False, False]
    free = basic_critic(32, 1, norm_type=None)
    assert [conv.bias is not None for conv in convolutions(free)] == [True, True, True, False]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in free.modules())


def test_kwargs_reach_the_layers_of_a_basic_critic():
    spectral = basic_critic(32, 1, 8, n_extra_layers=1, norm_type=NormType.Spectral, leaky=0.1)
    assert {m.negative_slope for m in spectral.modules() if isinstance(m, nn.LeakyReLU)} == {0.1}
    wrapped = ["weight_orig" in dict(conv.named_parameters()) for conv in convolutions(spectral)]
    assert wrapped == [False, True, True, True, False]  # the first and the last never have a norm
    slopes = {
        m.negative_slope for m in basic_critic(16, 1).modules() if hasattr(m, "negative_slope")
    }
    assert slopes == {0.2}


def test_the_last_convolution_of_a_basic_critic_is_kaiming_normal():
    mt.manual_seed(0)
    weight = host(basic_critic(32, 1)[-2].weight)  # 256·4·4 inputs
    assert weight.std() == pytest.approx(np.sqrt(2 / 4096), rel=0.05)


def test_a_basic_critic_answers_with_the_mean_over_the_batch():
    mt.manual_seed(0)
    critic = basic_critic(16, 2, 4, norm_type=None)
    x = mt.randn(5, 2, 16, 16)
    answer = critic(x)
    alone = [critic(x[i : i + 1]).item() for i in range(5)]
    assert answer.shape == (1,)
    assert answer.item() == pytest.approx(np.mean(alone), rel=1e-4)
    scores = mt.tensor(np.array([1.0, 2.0, 6.0]).reshape(3, 1, 1, 1))
    assert AvgFlatten()(scores).tolist() == [3.0]


def test_pictures_of_another_size_than_a_basic_critic_was_made_for():
    critic = basic_critic(16, 1, 4)
    message = r"basic_critic: was made with n_channels=1, in_size=16 .*\(N, 1, 16, 16\), got \("
    for shape in ((2, 1, 32, 32), (2, 3, 16, 16), (2, 1, 16, 8), (1, 16, 16), ()):
        with pytest.raises(ValueError, match=message):
            critic(mt.zeros(*shape))
    with pytest.raises(ValueError, match=r"needs one score a picture, .* got \(2, 1, 5, 5\)"):
        AvgFlatten()(mt.zeros(2, 1, 5, 5))


@pytest.mark.parametrize("shape", [(2, 4, 1, 1), (2, 5, 2, 1), (2, 5), ()])
def test_other_noise_than_a_basic_generator_was_made_for(shape):
    message = r"basic_generator: was made with noise_sz=5 and needs noise \(N, 5, 1, 1\), got \("
    with pytest.raises(ValueError, match=message):
        basic_generator(8, 1, 5, 2)(mt.zeros(*shape))


def test_inputs_that_are_no_tensors_or_have_other_channels():
    networks = {
        "gan_critic": gan_critic(1, nf=2, n_blocks=1),
        "basic_critic": basic_critic(8, 1, 2),
        "basic_generator": basic_generator(8, 1, 5, 2),
    }
    for name, network in networks.items():
        for inputs, got in (([None], "NoneType"), ([np.zeros((1, 1, 8, 8))], "ndarray"), ([], "")):
            with pytest.raises(TypeError, match=f"{name}: input must be a Tensor, got {got}"):
                network(*inputs)
    with pytest.raises(ValueError, match=r"gan_critic: was made for 1 channels.*n_channels=3"):
        networks["gan_critic"](mt.zeros(2, 3, 16, 16))


# --------------------------------------------------------------------------------- basic_generator


def test_basic_generator_of_the_lesson():
    generator = basic_generator(64, 3, n_extra_layers=1)
    assert count(generator) == 3_613_696
    params = (820_224, 2_097_664, 524_544, 131_200, 36_992, 3_072, 0)
    assert [count(part) for part in generator] == list(params)
    rows = table(generator, 2, 100, 1, 1)
    shapes = [shape for layer, shape, _ in rows if layer == "ConvTranspose2d"]
    assert shapes == [
        [512, 4, 4],
        [256, 8, 8],
        [128, 16, 16],
        [64, 32, 32],
        [64, 32, 32],
        [3, 64, 64],
    ]
    one_layer = ("ConvTranspose2d", "ReLU", "BatchNorm2d")
    assert [row[0] for row in rows] == [*5 * one_layer, "ConvTranspose2d", "Tanh"]
    assert all(conv.bias is None for conv in convolutions(generator))
    assert count(basic_generator(32, 1)) == 1_066_880


def test_the_last_convolution_of_a_basic_generator_is_pytorchs():
    """U(−b, b), b = 1/√fan_in, where PyTorch counts a transposed weight's outputs as fan_in."""
    mt.manual_seed(0)
    generator = basic_generator(16, 3, n_features=64)
    last, bound = host(generator[-2].weight), 1 / np.sqrt(3 * 4 * 4)
    assert np.abs(last).max() < bound
    assert last.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    first, fan_in = host(generator[0][0].weight), 128 * 4 * 4
    assert first.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.05)  # Kaiming normal


@settings(max_examples=15, deadline=None)
@given(
    power=st.integers(3, 6),
    channels=st.integers(1, 4),
    noise=st.integers(1, 5),
    features=st.integers(1, 5),
    extra=st.integers(0, 2),
    n=st.integers(1, 3),
)
def test_critic_and_generator_fit_each_other(power, channels, noise, features, extra, n):
    size = 2**power
    generator = basic_generator(size, channels, noise, features, extra)
    pictures = generator(mt.randn(n, noise, 1, 1))
    assert pictures.shape == (n, channels, size, size)
    assert np.abs(host(pictures)).max() <= 1
    assert basic_critic(size, channels, features, extra)(pictures).shape == (1,)
    assert len(convolutions(generator)) == power - 1 + extra
    assert generator[0][0].weight.shape == (noise, features * size // 8, 4, 4)


def test_they_learn_on_both_backends(backend):
    mt.manual_seed(0)
    generator, critic = basic_generator(8, 1, 3, 2, 1), basic_critic(8, 1, 2, 1)
    critic(generator(mt.randn(3, 3, 1, 1))).sum().backward()
    grads = [p.grad for model in (generator, critic) for p in model.parameters()]
    assert all(g is not None and g.backend == backend for g in grads)


@pytest.mark.parametrize("make", [basic_critic, basic_generator])
@pytest.mark.parametrize("size", [0, 4, 7, 12, 63])
def test_impossible_sizes(make, size):
    with pytest.raises(
        ValueError, match=f"{make.__name__}: in_size must be a power of two .*{size}$"
    ):
        make(size, 3)


@pytest.mark.parametrize("make", [basic_critic, basic_generator])
def test_other_impossible_arguments(make):
    with pytest.raises(TypeError, match=f"{make.__name__}: in_size must be an integer, got 64.0"):
        make(64.0, 3)
    with pytest.raises(ValueError, match="n_channels must be at least 1"):
        make(16, 0)
    with pytest.raises(ValueError, match="n_features must be at least 1"):
        make(16, 1, n_features=0)
    with pytest.raises(ValueError, match="n_extra_layers must be at least 0"):
        make(16, 1, n_extra_layers=-1)
