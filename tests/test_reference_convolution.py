"""Convolutions, unfold and fold against the loops of ``reference/convolution.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import convolution as ref
from reference.checking import WAYS, agree, convolving, many, normal, rngs

from minitorch7 import functional as F


@pytest.fixture(params=WAYS)
def way(request):
    """Long rows, large pictures and much work take other ways through the kernels: take them."""
    with convolving(request.param):
        yield


@st.composite
def windows(draw):
    """(size, kernel, stride, padding, dilation), each (rows, columns); the window fits."""
    axes = []
    for _ in range(2):
        k, s, d = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
        p = draw(st.integers(0, 3))
        least = max(1, d * (k - 1) + 1 - 2 * p)
        axes.append((draw(st.integers(least, least + 4)), k, s, p, d))
    return tuple(zip(*axes, strict=True))


@st.composite
def layers(draw):
    """(rng, batch, groups, channels a group, outputs a group, has a bias)"""
    one_to_three, one_or_two = st.integers(1, 3), st.integers(1, 2)
    return (
        draw(rngs),
        draw(st.integers(0, 2)),
        draw(one_to_three),
        draw(one_or_two),
        draw(one_or_two),
        draw(st.booleans()),
    )


@many
@given(window=windows(), layer=layers())
def test_conv2d(backend, way, window, layer):
    size, kernel_size, stride, padding, dilation = window
    rng, batch, groups, inputs, outputs, has_bias = layer
    x = normal(rng, batch, groups * inputs, *size)
    w = normal(rng, groups * outputs, inputs, *kernel_size)
    b = normal(rng, groups * outputs) if has_bias else None
    agree(backend, F.conv2d, ref.conv2d, x, w, b, stride, padding, dilation, groups)


@many
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel_size=st.sampled_from([1, 3]),
    layer=layers(),
)
def test_conv2d_as_networks_use_it(backend, way, size, kernel_size, layer):
    """1×1 and 3×3 at stride 1, the size kept: the kernels' short cuts; numbers instead of pairs"""
    rng, batch, groups, inputs, outputs, has_bias = layer
    x = normal(rng, batch, groups * inputs, *size)
    w = normal(rng, groups * outputs, inputs, kernel_size, kernel_size)
    b = normal(rng, groups * outputs) if has_bias else None
    options = {"padding": kernel_size // 2, "groups": groups}
    agree(backend, F.conv2d, ref.conv2d, x, w, b, **options)
    same = dict(options, padding="same")
    agree(backend, lambda *a: F.conv2d(*a, **same), lambda *a: ref.conv2d(*a, **options), x, w, b)


@many
@given(window=windows(), layer=layers())
def test_conv1d(backend, way, window, layer):
    length, kernel_size, stride, padding, dilation = (both[0] for both in window)
    rng, batch, groups, inputs, outputs, has_bias = layer
    x = normal(rng, batch, groups * inputs, length)
    w = normal(rng, groups * outputs, inputs, kernel_size)
    b = normal(rng, groups * outputs) if has_bias else None
    agree(backend, F.conv1d, ref.conv1d, x, w, b, stride, padding, dilation, groups)


@many
@given(data=st.data(), layer=layers())
def test_conv_transpose2d(backend, way, data, layer):
    rng, batch, groups, inputs, outputs, has_bias = layer
    axes = []
    for _ in range(2):
        n, k = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
        s, d = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
        extra = data.draw(st.integers(0, max(s, d) - 1))
        full = (n - 1) * s + d * (k - 1) + extra + 1
        axes.append((n, k, s, data.draw(st.integers(0, min(3, (full - 1) // 2))), extra, d))
    size, kernel_size, stride, padding, output_padding, dilation = zip(*axes, strict=True)
    x = normal(rng, batch, groups * inputs, *size)
    w = normal(rng, groups * inputs, outputs, *kernel_size)
    b = normal(rng, groups * outputs) if has_bias else None
    options = (stride, padding, output_padding, groups, dilation)
    agree(backend, F.conv_transpose2d, ref.conv_transpose2d, x, w, b, *options)


@pytest.mark.parametrize(("stride", "dilation", "extra"), [(1, 2, 1), (1, 3, 2), (2, 3, 2)])
@pytest.mark.parametrize("padding", [0, 1])
def test_output_padding_of_a_stride_or_more(backend, stride, dilation, extra, padding):
    """A dilation above the stride allows it; the last rows may then be out of every tap's reach."""
    rng = np.random.default_rng(0)
    x, w, b = normal(rng, 2, 2, 3, 4), normal(rng, 2, 3, 3, 2), normal(rng, 3)
    options = (stride, padding, extra, 1, dilation)
    agree(backend, F.conv_transpose2d, ref.conv_transpose2d, x, w, b, *options)


@many
@given(window=windows(), batch=st.integers(0, 2), channels=st.integers(1, 3), rng=rngs)
def test_unfold(backend, window, batch, channels, rng):
    size, kernel_size, stride, padding, dilation = window
    x = normal(rng, batch, channels, *size)
    agree(backend, F.unfold, ref.unfold, x, kernel_size, dilation, padding, stride)


@many
@given(window=windows(), batch=st.integers(0, 2), channels=st.integers(1, 3), rng=rngs)
def test_fold(backend, window, batch, channels, rng):
    size, kernel_size, stride, padding, dilation = window
    places = 1
    for n, k, s, p, d in zip(*window, strict=True):
        places *= ref.output_length(n, k, s, p, d)
    x = normal(rng, batch, channels * kernel_size[0] * kernel_size[1], places)
    agree(backend, F.fold, ref.fold, x, size, kernel_size, dilation, padding, stride)


def test_one_picture_without_a_batch_axis(backend):
    rng = np.random.default_rng(0)
    x, w, b = normal(rng, 4, 5, 6), normal(rng, 2, 4, 3, 2), normal(rng, 2)
    agree(backend, F.conv2d, lambda x, w, b: ref.conv2d(x[None], w, b)[0], x, w, b)
    w = normal(rng, 4, 2, 3, 2)
    plain = ref.conv_transpose2d
    agree(backend, F.conv_transpose2d, lambda x, w, b: plain(x[None], w, b)[0], x, w, b)
    x, w = normal(rng, 4, 6), normal(rng, 2, 4, 3)
    agree(backend, F.conv1d, lambda x, w, b: ref.conv1d(x[None], w, b)[0], x, w, b)
