"""ICNR and the layers round it: the proof that no checkerboard is there, and the small layers."""

import copy
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.gradcheck import gradcheck
from minitorch7.learner.summary import summarize
from minitorch7.nn import init

NORMS = [None, *nn.NormType]
norms = pytest.mark.parametrize("norm", NORMS, ids=str)


def host(t):
    return t.detach().cpu().numpy()


def nearest(x, scale):
    return x.repeat(scale, axis=2).repeat(scale, axis=3)


# --------------------------------------------------------------------------------------------- ICNR


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([(), (1,), (3, 3), (1, 1), (2, 3)]),
)
def test_icnr_repeats_one_kernel(nf, ni, scale, kernel):
    """The kernel drawn is the very one that the rule would have drawn for the small layer."""
    weight = nn.Parameter(mt.zeros(nf * scale**2, ni, *kernel))
    mt.manual_seed(5)
    assert init.icnr_(weight, scale) is weight
    mt.manual_seed(5)
    small = host(init.kaiming_normal_(mt.zeros(nf, ni, *kernel)))
    for channel in range(nf):
        for r in range(scale**2):
            assert (host(weight)[scale**2 * channel + r] == small[channel]).all()


def test_icnr_on_both_backends_with_another_rule(backend):
    weight = mt.zeros(8, 3, 1, 1, dtype=np.float64)
    init.icnr_(weight, init=partial(init.constant_, val=2.0))
    assert weight.backend == backend and weight.dtype == np.float64
    assert (host(weight) == 2).all()


@norms
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scale", [2, 3])
def test_a_new_layer_is_nearest_upsampling_of_a_convolution(backend, norm, scale, training):
    """Each block is one colour, and that colour is what the layer's own small convolution gives."""
    layer = nn.PixelShuffle_ICNR(6, 5, scale, norm_type=norm).train(training)
    x = mt.randn(2, 6, 4, 3)
    y = host(layer(x))
    assert y.shape == (2, 5, 4 * scale, 3 * scale) and y.std() > 0.02
    assert (y == nearest(y[:, :, ::scale, ::scale], scale)).all()
    weight = host(layer.conv[0].weight)[:: scale**2, :, 0, 0]
    small = np.einsum("nihw,oi->nohw", host(x), weight)
    if norm in (nn.NormType.Batch, nn.NormType.BatchZero) and training:
        small = small - small.mean((0, 2, 3), keepdims=True)
        small = small / np.sqrt(small.var((0, 2, 3), keepdims=True) + 1e-5)
    assert np.allclose(y, nearest(np.maximum(small, 0), scale), rtol=1e-3, atol=1e-5)


def test_without_icnr_the_blocks_are_checkered():
    """The check above can fail: the same layer with a plain Kaiming start."""
    layer = nn.PixelShuffle_ICNR(6, 5)
    init.kaiming_normal_(layer.conv[0].weight_v)
    y = host(layer(mt.randn(2, 6, 4, 3)))
    assert np.abs(y - nearest(y[:, :, ::2, ::2], 2)).mean() > 0.1


def test_weight_norm_keeps_the_spread_of_icnr():
    """g holds the kernels' lengths: the layer gives what it gives without a norm."""
    layers = []
    for norm in (None, nn.NormType.Weight):
        mt.manual_seed(3)
        layers.append(nn.PixelShuffle_ICNR(6, 5, norm_type=norm))
    x = mt.randn(2, 6, 4, 3)
    assert np.allclose(host(layers[0](x)), host(layers[1](x)), rtol=1e-6, atol=1e-7)


def test_it_can_learn_to_differ_within_a_block():
    layer = nn.PixelShuffle_ICNR(4, 4)
    x = mt.randn(2, 4, 3, 3)
    (layer(x) * mt.randn(2, 4, 6, 6)).sum().backward()
    for p in layer.parameters():
        p.data -= 0.1 * p.grad.data
    y = host(layer(x))
    assert not (y == nearest(y[:, :, ::2, ::2], 2)).all()


# ---------------------------------------------------------------------- the layer and its blur


@norms
def test_the_steps_one_by_one(backend, norm):
    layer = nn.PixelShuffle_ICNR(4, 3, blur=True, norm_type=norm, leaky=0.1).eval()
    for p in layer.parameters():  # away from ICNR, where the order of the steps shows
        p.data += mt.randn(*p.shape).data * 0.3
    x = mt.randn(2, 4, 3, 5)
    y = host(F.pixel_shuffle(F.leaky_relu(layer.conv(x), 0.1), 2))
    padded = np.concatenate([y[:, :, :1], y], 2)
    padded = np.concatenate([padded[..., :1], padded], 3)
    blurred = sum(padded[:, :, i : i + 6, j : j + 10] for i in (0, 1) for j in (0, 1)) / 4
    assert np.allclose(host(layer(x)), blurred, rtol=1e-5, atol=1e-6)


def test_the_order_of_registration_is_fastais():
    """The summary lists layers as they were registered: the ReLU last, though it runs first."""
    names = {False: ["conv", "shuf", "relu"], True: ["conv", "shuf", "pad", "blur", "relu"]}
    for blur, expected in names.items():
        layer = nn.PixelShuffle_ICNR(8, blur=blur)
        assert [name for name, _ in layer.named_children()] == expected
        rows = summarize(layer, mt.zeros(1, 8, 2, 2)).rows
        assert [row.layer for row in rows][:2] == ["Conv2d", "PixelShuffle"]
        assert [row.layer for row in rows][-1] == "ReLU" and len(rows) == len(expected)
        assert rows[0].params == 8 * 32 + 32 and rows[-1].shape == [1, 32, 2, 2]
        if blur:
            assert rows[2].shape == [1, 8, 5, 5] and rows[3].shape == [1, 8, 4, 4]


def test_it_keeps_the_channels_unless_told():
    assert nn.PixelShuffle_ICNR(8)(mt.randn(1, 8, 2, 3)).shape == (1, 8, 4, 6)
    assert nn.PixelShuffle_ICNR(8, 2, scale=4)(mt.randn(1, 8, 2, 3)).shape == (1, 2, 8, 12)


@norms
def test_gradients(norm):
    mt.manual_seed(1)
    layer = nn.PixelShuffle_ICNR(2, 3, blur=True, norm_type=norm, leaky=0.2).double().eval()
    x = mt.randn(1, 2, 2, 3).double().requires_grad_()
    assert gradcheck(lambda *_: layer(x), [x, *layer.parameters()])


# --------------------------------------------------------------------------------- small neighbours


def test_norms_in_a_conv_layer(backend):
    kinds = {
        None: ["weight", "bias"],
        nn.NormType.Weight: ["bias", "weight_g", "weight_v"],
        nn.NormType.Spectral: ["bias", "weight_orig", "weight_u", "weight_v"],
    }
    for norm, names in kinds.items():
        layer = nn.conv_layer(3, 8, norm_type=norm)
        assert list(layer.state_dict()) == [f"0.{name}" for name in names] and len(layer) == 2
        assert (host(layer[0].bias) == 0).all()
        assert layer(mt.randn(2, 3, 4, 4)).shape == (2, 8, 4, 4)
    turned = nn.conv_layer(3, 8, 4, 2, 1, norm_type=nn.NormType.Weight, transpose=True)
    assert turned[0].weight_g.shape == (3, 1, 1, 1)
    turned = nn.conv_layer(3, 8, 4, 2, 1, norm_type=nn.NormType.Spectral, transpose=True)
    assert turned[0].weight_u.shape == (8,)
    without = nn.conv_layer(3, 8, norm_type=nn.NormType.Weight, bias=False)
    assert list(without.state_dict()) == ["0.weight_g", "0.weight_v"]


@pytest.mark.parametrize(("norm", "gamma"), [(nn.NormType.Batch, 1), (nn.NormType.BatchZero, 0)])
def test_batchnorm_2d(norm, gamma):
    layer = nn.batchnorm_2d(4, norm)
    assert (host(layer.weight) == gamma).all() and (host(layer.bias) == np.float32(1e-3)).all()
    assert isinstance(layer, nn.BatchNorm2d)


def test_adaptive_concat_pool(backend):
    x = mt.randn(2, 3, 4, 6)
    assert np.allclose(
        host(nn.AdaptiveConcatPool2d()(x))[:, :, 0, 0],
        np.concatenate([host(x).max((2, 3)), host(x).mean((2, 3))], 1),
        atol=1e-6,
    )
    assert nn.AdaptiveConcatPool2d((2, 3))(x).shape == (2, 6, 2, 3)


def test_pool_flatten(backend):
    x = mt.randn(2, 3, 4, 6)
    assert np.allclose(host(nn.PoolFlatten()(x)), host(x).mean((2, 3)), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(-50, 50), st.floats(0.01, 50), st.floats(-800, 800))
def test_sigmoid_range(low, width, value):
    y = F.sigmoid_range(mt.tensor(np.array([value])), low, low + width)
    expected = low + ((low + width) - low) / (1 + np.exp(np.float64(-value)))
    assert np.isclose(y.item(), expected, rtol=1e-12, atol=1e-12)
    layer = nn.SigmoidRange(low, low + width)
    assert layer(mt.tensor(np.array([value]))).item() == y.item()


def test_the_gradient_of_sigmoid_range():
    x = mt.randn(3, 4).double().requires_grad_()
    assert gradcheck(lambda t: F.sigmoid_range(t, -1.0, 3.0), x)


def test_copies_have_weights_of_their_own():
    layer = nn.PixelShuffle_ICNR(8)
    x = mt.randn(1, 8, 2, 2)
    y = host(layer(x))
    twin = copy.deepcopy(layer)
    twin.conv[0].weight_g.data *= 0.0
    twin(x)
    assert (host(layer(x)) == y).all() and not (host(twin(x)) == y).all()


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match=r"icnr_: the outputs of weight \(6, 2\).*scale² = 4"):
        init.icnr_(mt.zeros(6, 2))
    with pytest.raises(ValueError, match=r"icnr_: .*\(4,\)"):
        init.icnr_(mt.zeros(4))
    with pytest.raises(ValueError, match="icnr_: scale must be at least 1, got 0"):
        init.icnr_(mt.zeros(4, 4), 0)
    with pytest.raises(TypeError, match="icnr_: tensor must be a Tensor"):
        init.icnr_(np.zeros((4, 4)))
    with pytest.raises(TypeError, match="PixelShuffle_ICNR: scale must be an integer, got 2.0"):
        nn.PixelShuffle_ICNR(4, scale=2.0)
    with pytest.raises(ValueError, match="PixelShuffle_ICNR: nf must be at least 1, got 0"):
        nn.PixelShuffle_ICNR(4, 0)
    with pytest.raises(TypeError, match="norm_type must be a NormType or None, got 'Weight'"):
        nn.PixelShuffle_ICNR(4, norm_type="Weight")
    with pytest.raises(ValueError, match="batchnorm_2d: norm_type must be Batch or BatchZero"):
        nn.batchnorm_2d(4, nn.NormType.Weight)
    for name, make in (
        ("SigmoidRange", nn.SigmoidRange),
        ("sigmoid_range", partial(F.sigmoid_range, mt.zeros(2))),
    ):
        with pytest.raises(ValueError, match=f"{name}: low must be below high, got 1 and 1"):
            make(1, 1)
        with pytest.raises(TypeError, match=f"{name}: low and high must be numbers"):
            make(None, 1)
