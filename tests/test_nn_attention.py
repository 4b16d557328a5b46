"""Self-attention against the loops of its formula, and where it stands in a `conv_layer`."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.gradcheck import gradcheck


def host(t):
    return t.detach().cpu().numpy()


def opened(n, gamma=0.7):
    """A layer that does something: γ starts at 0."""
    layer = nn.SelfAttention(n).double()
    layer.gamma.data[...] = gamma
    return layer.eval()


def by_loops(layer, x):
    """out[:, j] = γ Σᵢ h[:, i]·β[i, j] + x[:, j], β[:, j] the softmax of f[:, i]·g[:, j] over i."""
    q, k, v = (host(c.weight)[:, :, 0] for c in (layer.query, layer.key, layer.value))
    gamma, flat = host(layer.gamma).item(), x.reshape(*x.shape[:2], -1)
    out = np.empty_like(flat)
    for b, picture in enumerate(flat):
        f, g, h = q @ picture, k @ picture, v @ picture
        for j in range(flat.shape[2]):
            scores = np.array([f[:, i] @ g[:, j] for i in range(flat.shape[2])])
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            gathered = sum(weights[i] * h[:, i] for i in range(flat.shape[2]))
            out[b, :, j] = gamma * gathered + picture[:, j]
    return out.reshape(x.shape)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(8, 19), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_the_formula(batch, n, places):
    mt.manual_seed(n)
    layer = opened(n)
    x = np.random.default_rng(n).standard_normal((batch, n, *places))
    assert np.allclose(host(layer(mt.tensor(x))), by_loops(layer, x), rtol=1e-10, atol=1e-12)


def test_on_both_backends(backend):
    layer = opened(16)
    x = mt.randn(2, 16, 3, 4).double()
    assert np.allclose(host(layer(x)), by_loops(layer, host(x)), rtol=1e-10, atol=1e-12)


def test_it_starts_as_the_identity_and_learns_to_be_more(backend):
    mt.manual_seed(0)
    layer = nn.SelfAttention(8)
    x = mt.randn(2, 8, 4, 4)
    assert (host(layer(x)) == host(x)).all()
    opt = optim.SGD(list(layer.parameters()), lr=0.1)
    query = host(layer.query.weight_orig).copy()
    for _ in range(3):
        opt.zero_grad()
        ((layer(x) - x.flip(3)) ** 2).mean().backward()
        opt.step()
    assert host(layer.gamma).item() != 0 and not (host(layer.query.weight_orig) == query).all()


def test_gradients():
    mt.manual_seed(0)
    layer = opened(8)
    x = mt.randn(2, 8, 2, 3).double().requires_grad_()
    parameters = list(layer.parameters())
    assert len(parameters) == 4
    assert gradcheck(lambda *_: layer(x), [x, *parameters])


def test_gradients_of_gradients():
    """Against the finite difference of the gradient along one random direction."""
    mt.manual_seed(0)
    layer = opened(8)
    x = mt.randn(1, 8, 2, 2).double().requires_grad_()
    v, d = mt.randn(1, 8, 2, 2).double(), mt.randn(1, 8, 2, 2).double()

    def along(at):
        (g,) = mt.grad((layer(at) * v).sum(), at, create_graph=True)
        return (F.tanh(g) * d).sum()

    (second,) = mt.grad(along(x), x)
    step = 1e-6
    ends = [along((x.detach() + s * d).requires_grad_()).item() for s in (step, -step)]
    assert (second * d).sum().item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


@pytest.mark.parametrize(("n", "count"), [(8, 81), (15, 256), (384, 184_321), (512, 327_681)])
def test_how_many_parameters(n, count):
    assert sum(p.numel() for p in nn.SelfAttention(n).parameters()) == count


def test_the_state_has_fastais_names():
    assert list(nn.SelfAttention(8).state_dict()) == ["gamma"] + [
        f"{conv}.weight_{part}" for conv in ("query", "key", "value") for part in ("orig", "u", "v")
    ]


def test_a_conv_layer_puts_it_last(backend):
    for norm in (None, *nn.NormType):
        layer = nn.conv_layer(4, 16, norm_type=norm, self_attention=True)
        assert isinstance(layer[-1], nn.SelfAttention)
        plain = nn.Sequential(*list(copy.deepcopy(layer))[:-1])
        x = mt.randn(2, 4, 5, 5)
        assert (host(layer.eval()(x)) == host(plain.eval()(x))).all()  # γ = 0
    line = nn.conv_layer(4, 16, is_1d=True, self_attention=True)
    assert line(mt.randn(2, 4, 9)).shape == (2, 16, 9)
    assert not any(isinstance(m, nn.SelfAttention) for m in nn.conv_layer(4, 16).modules())


@pytest.mark.parametrize("n", [0, 7, -8])
def test_too_few_channels(n):
    with pytest.raises(ValueError, match="SelfAttention: n must be at least 8"):
        nn.SelfAttention(n)


def test_mistakes_are_explained():
    with pytest.raises(TypeError, match="SelfAttention: n must be an integer, got 8.0"):
        nn.SelfAttention(8.0)
    with pytest.raises(ValueError, match=r"SelfAttention: input must be .*\(2, 8\)"):
        nn.SelfAttention(8)(mt.randn(2, 8))
    with pytest.raises(TypeError, match="SelfAttention: input must be a Tensor"):
        nn.SelfAttention(8)(np.zeros((1, 8, 2, 2)))
    with pytest.raises(ValueError, match="9 channels"):
        nn.SelfAttention(8)(mt.randn(2, 9, 2, 2))
    with pytest.raises(ValueError, match="SelfAttention: n must be at least 8"):
        nn.conv_layer(3, 4, self_attention=True)
