"""The fast kernels against their plain forms in ``kernels/textbook.py``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.checking import WAYS, convolving, many, normal, rngs

from minitorch7.kernels import convolution, elementwise, normalisation, pooling, textbook
from minitorch7.kernels.windows import Window


@st.composite
def convolutions(draw):
    """(x, w, window), with a window that fits."""
    rng, (batch, channels, outputs) = draw(rngs), (draw(st.integers(1, 3)) for _ in range(3))
    kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding, dilation = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    size = (draw(st.integers(least, least + 5)), draw(st.integers(least, least + 5)))
    window = Window(*((n, n) for n in (kernel, stride, padding, dilation)))
    x, w = normal(rng, batch, channels, *size), normal(rng, outputs, channels, kernel, kernel)
    return x, w, window


@pytest.mark.parametrize("way", WAYS)
@many
@given(case=convolutions())
def test_convolution_and_its_gradients(way, case):
    x, w, window = case
    y = textbook.conv2d(x, w, window)
    g = np.random.default_rng(0).standard_normal(y.shape)
    dx = textbook.conv2d_input_grad(g, w, x.shape[2:], window)
    dw = textbook.conv2d_weight_grad(x, g, window)
    with convolving(way):
        close(convolution.conv2d(np, x, w, None, window, 1), y)
        close(convolution.conv2d_input_grad(np, g, w, x.shape[2:], window, 1), dx)
        close(convolution.conv2d_weight_grad(np, x, g, window, 1), dw)
        both = convolution.conv2d_grads(np, g, x, w, window, 1)
        close(both[0], dx)
        close(both[1], dw)


def close(found, expected):
    np.testing.assert_allclose(found, expected, 1e-10, 1e-10)


@pytest.mark.parametrize("shape", [(1, 2), (3, 50), (7, 1000)])
@pytest.mark.parametrize("block", [1, 10**9])
def test_standardising_and_its_gradient(monkeypatch, shape, block):
    monkeypatch.setattr(normalisation, "BLOCK_BYTES", block)
    rng = np.random.default_rng(0)
    x, g = 3 + rng.standard_normal(shape), rng.standard_normal(shape)
    y, mean, variance, inverse = normalisation.standardise(np, x, 1e-5)
    close(y, textbook.standardise(x, 1e-5))
    close(mean[:, 0], x.mean(1))
    close(variance[:, 0], x.var(1))
    dx, dot, total = normalisation.standardise_grad(np, g, x, mean, inverse, None)
    close(dx, textbook.standardise_grad(g, x, 1e-5))
    close(dot[:, 0], (g * y).sum(1))
    close(total[:, 0], g.sum(1))


def test_a_mean_far_from_zero_costs_no_digits():
    """float32, mean 1000 and deviation 1: what rounding leaves of the mean is taken out."""
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal((4, 20_000))).astype(np.float32)
    y, mean, variance, inverse = normalisation.standardise(np, x, 1e-5)
    exact = textbook.standardise(x.astype(np.float64), 1e-5)
    np.testing.assert_allclose(y, exact, atol=2e-6)
    np.testing.assert_allclose(variance[:, 0], x.astype(np.float64).var(1), rtol=1e-5)
    g = rng.standard_normal(x.shape).astype(np.float32)
    dx, _, _ = normalisation.standardise_grad(np, g, x, mean, inverse, None)
    exact = textbook.standardise_grad(g.astype(np.float64), x.astype(np.float64), 1e-5)
    np.testing.assert_allclose(dx, exact, atol=2e-6)


@many
@given(case=convolutions())
def test_max_pooling(case):
    x, _, window = case
    window = window._replace(padding=tuple(min(1, k // 2) for k in window.kernel))
    size = window.output_size(x.shape[2:])
    if min(size) > 0:
        found, _ = pooling.max_pool2d(np, x, window, size)
        close(found, textbook.max_pool2d(x, window))


@pytest.mark.parametrize("size", [10, 300_000])
def test_relu_and_its_mask(size):
    x = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    x[:4] = [np.nan, np.inf, -np.inf, 0]
    g = np.random.default_rng(1).standard_normal(size).astype(np.float32)
    np.testing.assert_array_equal(elementwise.relu(np, x), textbook.relu(x))
    np.testing.assert_array_equal(elementwise.masked(np, g, x), textbook.masked(g, x))
