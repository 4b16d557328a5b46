"""Elementwise functions against the loops of ``reference/elementwise.py``."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import elementwise as ref
from reference.checking import agree, examples, normal, positive, rngs

import minitorch7 as mt
from minitorch7 import functional as F

shapes = st.lists(st.integers(0, 4), max_size=4)


@st.composite
def broadcastable(draw, count=2):
    """`count` shapes that broadcast together: axes of the whole made 1, leading ones left out."""
    whole = draw(shapes)
    parts = []
    for _ in range(count):
        lost = draw(st.integers(0, len(whole)))
        parts.append([draw(st.sampled_from([n, n, 1])) for n in whole[lost:]])
    return parts


@pytest.mark.parametrize(
    "name",
    ["exp", "sin", "cos", "tanh", "erf", "neg", "abs", "sigmoid", "relu", "leaky_relu"]
    + ["elu", "gelu", "silu", "softplus"],
)
@examples
@given(shape=shapes, rng=rngs)
def test_of_any_number(backend, name, shape, rng):
    agree(backend, getattr(F, name), getattr(ref, name), normal(rng, *shape, scale=3))


@pytest.mark.parametrize("name", ["log", "sqrt"])
@examples
@given(shape=shapes, rng=rngs)
def test_of_a_positive_number(backend, name, shape, rng):
    agree(backend, getattr(F, name), getattr(ref, name), positive(rng, *shape))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum"])
@examples
@given(shapes=broadcastable(), rng=rngs)
def test_of_two_numbers(backend, name, shapes, rng):
    a, b = (normal(rng, *shape) for shape in shapes)
    agree(backend, getattr(F, name), getattr(ref, name), a, b)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@examples
@given(shape=shapes, number=st.floats(0.5, 3), rng=rngs)
def test_of_a_tensor_and_a_python_number(backend, name, shape, number, rng):
    x = normal(rng, *shape)
    agree(backend, getattr(F, name), lambda a, b: getattr(ref, name)(a, np.array(b)), x, number)


@examples
@given(shapes=broadcastable(), rng=rngs)
def test_division(backend, shapes, rng):
    agree(backend, F.div, ref.div, normal(rng, *shapes[0]), positive(rng, *shapes[1]))


@examples
@given(shapes=broadcastable(), rng=rngs)
def test_rounded_division(backend, shapes, rng):
    a = rng.integers(-9, 10, shapes[0]).astype(float)
    b = rng.choice([-3.0, -2.0, 1.0, 2.0, 4.0], shapes[1])
    agree(backend, F.floor_divide, ref.floor_divide, a, b)
    for mode, plain in (("floor", ref.floor_divide), ("trunc", ref.trunc_divide)):
        agree(backend, partial(F.div, rounding_mode=mode), plain, a, b)


@examples
@given(shapes=broadcastable(), alpha=st.sampled_from([-1, 0.5, 2]), rng=rngs)
def test_sums_with_alpha(backend, shapes, alpha, rng):
    a, b = (normal(rng, *shape) for shape in shapes)
    agree(backend, partial(F.add, alpha=alpha), lambda a, b: a + alpha * b, a, b)
    agree(backend, partial(F.sub, alpha=alpha), lambda a, b: a - alpha * b, a, b)


@examples
@given(shapes=broadcastable(), rng=rngs)
def test_power(backend, shapes, rng):
    agree(backend, F.pow, ref.pow, positive(rng, *shapes[0]), normal(rng, *shapes[1]))


@pytest.mark.parametrize("exponent", [-2, -0.5, 0, 0.5, 1, 2, 3])
@examples
@given(shape=shapes, rng=rngs)
def test_power_of_a_python_number(backend, exponent, shape, rng):
    x = positive(rng, *shape)
    agree(backend, F.pow, lambda a, b: ref.pow(a, np.array(float(b))), x, exponent)


@examples
@given(shapes=broadcastable(3), rng=rngs)
def test_where(backend, shapes, rng):
    condition, a, b = (normal(rng, *shape) for shape in shapes)
    agree(backend, F.where, ref.where, np.asarray(condition > 0), a, b)


@examples
@given(shape=shapes, low=st.none() | st.floats(-1, 0), high=st.floats(0, 1), rng=rngs)
def test_clamp(backend, shape, low, high, rng):
    agree(backend, F.clamp, ref.clamp, normal(rng, *shape), low, high)


@examples
@given(shape=shapes, slope=st.floats(0, 2), rng=rngs)
def test_leaky_relu_slope(backend, shape, slope, rng):
    agree(backend, F.leaky_relu, ref.leaky_relu, normal(rng, *shape), negative_slope=slope)


@examples
@given(shape=shapes, alpha=st.floats(0.1, 2), rng=rngs)
def test_elu_alpha(backend, shape, alpha, rng):
    agree(backend, F.elu, ref.elu, normal(rng, *shape), alpha=alpha)


@examples
@given(shape=shapes, rng=rngs)
def test_gelu_by_tanh(backend, shape, rng):
    agree(backend, F.gelu, ref.gelu, normal(rng, *shape, scale=3), approximate="tanh")


@examples
@given(shape=shapes, beta=st.floats(0.5, 3), threshold=st.floats(2, 30), rng=rngs)
def test_softplus_beta_and_threshold(backend, shape, beta, threshold, rng):
    x = normal(rng, *shape, scale=10)
    x = np.where(np.abs(x * beta - threshold) < 1e-4, 0.0, x)  # off the step at the threshold
    agree(backend, F.softplus, ref.softplus, x, beta=beta, threshold=threshold)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "erf", "gelu", "silu", "elu"])
def test_far_from_zero(backend, name):
    """Where a careless formula overflows or cancels."""
    x = np.array([-700.0, -90.0, -30.0, -8.0, -1e-6, 0.0, 1e-6, 8.0, 30.0, 90.0, 700.0])
    agree(backend, getattr(F, name), getattr(ref, name), x.astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.8, 1.0])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_dropout(backend, p, precision):
    """Each element is 0 with probability p and x/(1 - p) otherwise; unchanged in evaluation."""
    x = mt.tensor(np.arange(1, 4001).reshape(40, 100).astype(precision))
    y = F.dropout(x, p).numpy()
    dropped = y == 0
    assert y.dtype == precision
    assert abs(dropped.mean() - p) <= 5 * np.sqrt(p * (1 - p) / dropped.size)
    kept = x.numpy()[~dropped]
    np.testing.assert_allclose(y[~dropped], kept / max(1 - p, 0.1), rtol=1e-6)
    np.testing.assert_array_equal(F.dropout(x, p, training=False).numpy(), x.numpy())


@pytest.mark.parametrize("p", [0.25, 0.8])
def test_dropout2d_drops_whole_channels(backend, p):
    x = np.arange(1.0, 60 * 50 * 4 + 1).reshape(60, 50, 2, 2)
    y = F.dropout2d(mt.tensor(x), p).numpy()
    dropped = (y == 0).all(axis=(2, 3))
    assert abs(dropped.mean() - p) <= 5 * np.sqrt(p * (1 - p) / dropped.size)
    np.testing.assert_allclose(y, np.where(dropped[:, :, None, None], 0, x / (1 - p)), rtol=1e-12)
    np.testing.assert_array_equal(F.dropout2d(mt.tensor(x), p, training=False).numpy(), x)
