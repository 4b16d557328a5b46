"""Layers run as one operation in evaluation: the same numbers, and never where it would be seen."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.functional import folding as functional
from minitorch7.nn import folding

RNG = np.random.default_rng(7)


def trained(*layers):
    """A chain whose batch norms have seen something, some with negative scales, in evaluation."""
    net = nn.Sequential(*layers)
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            c = layer.num_features
            for t, values in ((layer.running_mean, RNG.normal(size=c)), (layer.running_var, None)):
                t.copy_(mt.tensor(RNG.uniform(0.1, 3, c) if values is None else values).float())
            if layer.affine:
                layer.weight.copy_(mt.tensor(RNG.normal(size=c)).float())
                layer.bias.copy_(mt.tensor(RNG.normal(size=c)).float())
    return net.eval()


def chains(ni, nf):
    conv = nn.Conv2d
    return {
        "conv norm relu": [conv(ni, nf, 3, padding=1), nn.BatchNorm2d(nf), nn.ReLU()],
        "conv_layer": list(nn.conv_layer(ni, nf, stride=2)),
        "norm without weights": [conv(ni, nf, 1), nn.BatchNorm2d(nf, affine=False)],
        "conv relu": [conv(ni, nf, (1, 3), stride=(2, 1), bias=False), nn.ReLU()],
        "two norms": [conv(ni, nf, 3), nn.BatchNorm2d(nf), nn.ReLU(), nn.BatchNorm2d(nf)],
        "norm norm": [conv(ni, nf, 3), nn.BatchNorm2d(nf), nn.BatchNorm2d(nf), nn.ReLU()],
        "dilated": [conv(ni, nf, 3, dilation=2, padding=2), nn.BatchNorm2d(nf), nn.ReLU()],
    }


def picture(*shape):
    return mt.tensor(RNG.normal(size=shape).astype("float32"))


def one_by_one(net, x):
    for layer in net:
        x = layer(x)
    return x


@contextlib.contextmanager
def counted(monkeypatch):
    """Counts how often layers were folded inside the block."""
    calls, folded = [], folding.folded_conv2d

    def count(*arguments):
        calls.append(arguments)
        return folded(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(folding, "folded_conv2d", count)
        yield calls


@pytest.mark.parametrize("name", list(chains(1, 1)))
@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 5), st.integers(1, 9), st.integers(5, 12), st.integers(0, 9)
)
def test_folded_and_one_by_one_agree(name, n, ni, nf, size, seed):
    mt.manual_seed(seed)
    net, x = trained(*chains(ni, nf)[name]), picture(n, ni, size, size + 1)
    with pytest.MonkeyPatch.context() as patch, counted(patch) as calls, mt.no_grad():
        found, wanted = net(x).numpy(), one_by_one(net, x).numpy()
    assert len(calls) == 1
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", list(chains(1, 1)))
def test_on_either_backend(backend, name):
    net, x = trained(*chains(3, 8)[name]), picture(4, 3, 9, 9)
    with mt.no_grad():
        found, wanted = net(x), one_by_one(net, x)
    assert found.backend == backend
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(64, 3, 28, 28), (1, 3, 2, 2)], ids=["weights", "map"])
def test_both_places_for_the_scale(monkeypatch, shape):
    """Few weights take the scale in; many, beside a small map, leave it to the map."""
    net, x = trained(*chains(3, 40)["conv norm relu"]), picture(*shape)
    into_weights, calls = functional._into_weights, []
    monkeypatch.setattr(functional, "_into_weights", lambda *a: calls.append(a) or into_weights(*a))
    with mt.no_grad():
        np.testing.assert_allclose(net(x).numpy(), one_by_one(net, x).numpy(), atol=3e-5)
    assert len(calls) == (shape[0] == 64)


def test_the_same_bits_on_one_and_more_threads(monkeypatch):
    net, x = trained(*chains(16, 32)["conv_layer"], *chains(32, 32)["conv norm relu"]), None
    x = picture(32, 16, 32, 32)
    found = []
    for count in (1, 2, 3):
        monkeypatch.setattr(mt.backend, "_threads", count)
        with mt.no_grad():
            found.append(net(x).numpy().copy())
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


def test_what_follows_a_relu_keeps_every_bit():
    """Scale and shift are then done to the map as the layer does them."""
    net, x = trained(*nn.conv_layer(3, 8)), picture(9, 3, 12, 12)
    with mt.no_grad():
        assert np.array_equal(net(x).numpy(), one_by_one(net, x).numpy())


def test_float64_and_what_is_not_a_number():
    net = trained(*chains(2, 4)["conv norm relu"]).double()
    x = mt.tensor(RNG.normal(size=(3, 2, 6, 6)))
    x.data[1, 0, 2, 2] = np.nan
    with mt.no_grad():
        found, wanted = net(x).numpy(), one_by_one(net, x).numpy()
    assert found.dtype == np.float64 and np.isnan(found).any()
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------ when it must not be


def test_never_while_recording_training_or_measuring(monkeypatch, capsys):
    net, x = trained(*chains(2, 4)["conv norm relu"]), picture(3, 2, 6, 6)
    with counted(monkeypatch) as calls:
        net(x).sum().backward()
        assert net[0].weight.grad is not None
        with mt.no_grad():
            with mt.detect_anomaly():
                net(x)
            with mt.profile():
                net(x)
            net.train()(x)
    assert calls == []
    assert "BatchNorm2d" in capsys.readouterr().out


def test_a_training_batch_norm_moves_its_statistics():
    net = trained(*chains(2, 4)["conv norm relu"])
    before = net[1].running_mean.numpy().copy()
    with mt.no_grad():
        net.train()(picture(3, 2, 6, 6))
    assert not np.array_equal(before, net[1].running_mean.numpy())


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_see_what_they_always_see(position, kind):
    net, x = trained(*chains(2, 4)["conv norm relu"]), picture(3, 2, 6, 6)
    seen = []

    def hook(module, inputs, output=None):
        seen.append((inputs[0] if output is None else output).numpy())

    with getattr(net[position], kind)(hook), mt.no_grad():
        net(x)
        one_by_one(net, x)
    assert len(seen) == 2
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)


def test_a_layer_with_a_forward_of_its_own_is_called():
    net, x = trained(*chains(2, 4)["conv norm relu"]), picture(3, 2, 6, 6)
    net[2].forward = lambda input: input * 0 + 5
    with mt.no_grad():
        assert (net(x).numpy() == 5).all()


def test_weight_and_spectral_norm_are_obeyed():
    """They make the weight in a hook, before the convolution."""
    for norm in (nn.NormType.Weight, nn.NormType.Spectral):
        net = nn.conv_layer(2, 4, norm_type=norm).eval()
        x = picture(3, 2, 6, 6)
        with mt.no_grad():
            np.testing.assert_allclose(net(x).numpy(), one_by_one(net, x).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda net: setattr(net, "x", picture(3, 5, 6, 6)), "channels"),
        (lambda net: setattr(net, "x", picture(3, 2, 1, 1)), "larger than the padded input"),
        (lambda net: setattr(net, "x", picture(2, 6)), "must be"),
        (lambda net: net[1].double(), "dtype"),
        (lambda net: net[0].double(), "dtype"),
        (lambda net: setattr(net[0].double(), "bias", None), "dtype"),
        (lambda net: setattr(net[1], "bias", nn.Parameter(mt.zeros(7))), "must have shape"),
        (lambda net: setattr(net[1], "running_mean", None), "running_mean"),
    ],
)
def test_errors_are_those_of_the_layers(change, says):
    net = trained(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    net.x = picture(3, 2, 6, 6)
    change(net)
    with mt.no_grad():
        with pytest.raises((ValueError, TypeError), match=says) as folded:
            net(net.x)
        with pytest.raises((ValueError, TypeError)) as plain:
            one_by_one(net, net.x)
    assert str(folded.value) == str(plain.value)
    assert "in layer" in "".join(folded.value.__notes__)


@pytest.mark.parametrize("change", [{"stride": 2}, {"padding": "same"}, {"padding": 1}])
def test_a_convolution_changed_by_hand_is_run_as_it_is(change):
    net, x = trained(*chains(2, 4)["conv norm relu"]), picture(3, 2, 7, 7)
    for name, value in change.items():
        setattr(net[0], name, value)
    with mt.no_grad():
        found, wanted = net(x).numpy(), one_by_one(net, x).numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_one_picture_without_a_batch_axis_and_groups():
    net = trained(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU())
    with mt.no_grad():
        for x in (picture(4, 6, 6), picture(2, 4, 6, 6)):
            assert np.array_equal(net(x).numpy(), one_by_one(net, x).numpy())
        with pytest.raises(ValueError, match="expects 4"):
            net(picture(2, 2, 6, 6))
