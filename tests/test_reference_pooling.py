"""Pooling against the loops of ``reference/pooling.py``."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import pooling as ref
from reference.checking import agree, many, normal, rngs, spread

from minitorch7 import functional as F


@st.composite
def pools(draw, dilated):
    """(size, kernel, stride or None, padding, dilation), each (rows, columns); the window fits."""
    axes = []
    for _ in range(2):
        k, s = draw(st.integers(1, 4)), draw(st.integers(1, 4))
        d = draw(st.integers(1, 3)) if dilated else 1
        p = draw(st.integers(0, k // 2))
        least = max(1, d * (k - 1) + 1 - 2 * p)
        axes.append((draw(st.integers(least, least + 5)), k, s, p, d))
    size, kernel_size, stride, padding, dilation = zip(*axes, strict=True)
    return size, kernel_size, draw(st.sampled_from([stride, stride, None])), padding, dilation


batches = st.tuples(st.integers(0, 2), st.integers(1, 2))


@many
@given(pool=pools(dilated=True), ceil_mode=st.booleans(), batch=batches, rng=rngs)
def test_max_pool2d(backend, pool, ceil_mode, batch, rng):
    size, *window = pool
    x = spread(rng, *batch, *size)
    _, places = ref.max_pool2d(x, *window, ceil_mode, return_indices=True)
    assume(places.size == 0 or places.min() >= 0)  # dilated windows may miss the picture altogether
    agree(backend, F.max_pool2d, ref.max_pool2d, x, *window, ceil_mode)
    agree(backend, F.max_pool2d, ref.max_pool2d, x, *window, ceil_mode, return_indices=True)


@many
@given(pool=pools(dilated=False), batch=batches, rng=rngs)
def test_max_pool2d_takes_the_first_of_equals(backend, pool, batch, rng):
    size, kernel_size, stride, padding, _ = pool
    x = rng.integers(-2, 1, (*batch, *size)).astype(float)  # full of ties; none above the zeros
    options = (kernel_size, stride, padding, 1, False, True)
    agree(backend, F.max_pool2d, ref.max_pool2d, x, *options)


@many
@given(
    pool=pools(dilated=False),
    ceil_mode=st.booleans(),
    count_include_pad=st.booleans(),
    divisor=st.none() | st.integers(1, 5),
    batch=batches,
    rng=rngs,
)
def test_avg_pool2d(backend, pool, ceil_mode, count_include_pad, divisor, batch, rng):
    size, kernel_size, stride, padding, _ = pool
    x = normal(rng, *batch, *size)
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor)
    agree(backend, F.avg_pool2d, ref.avg_pool2d, x, *options)


sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))
outputs = st.one_of(
    st.integers(1, 5),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.none(), st.integers(1, 5)),
    st.tuples(st.integers(1, 5), st.none()),
)


@many
@given(size=sizes, output_size=outputs, batch=batches, rng=rngs)
def test_adaptive_avg_pool2d(backend, size, output_size, batch, rng):
    x = normal(rng, *batch, *size)
    agree(backend, F.adaptive_avg_pool2d, ref.adaptive_avg_pool2d, x, output_size)


@many
@given(size=sizes, output_size=outputs, batch=batches, rng=rngs)
def test_adaptive_max_pool2d(backend, size, output_size, batch, rng):
    x = spread(rng, *batch, *size)
    agree(backend, F.adaptive_max_pool2d, ref.adaptive_max_pool2d, x, output_size)


def test_one_picture_without_a_batch_axis(backend):
    rng = np.random.default_rng(0)
    x = spread(rng, 2, 5, 7)

    def with_batch(function):
        return lambda x, *options: function(x[None], *options)[0]

    agree(backend, F.max_pool2d, with_batch(ref.max_pool2d), x, 3, 2, 1)
    agree(backend, F.avg_pool2d, with_batch(ref.avg_pool2d), x, 3, 2, 1)
    agree(backend, F.adaptive_avg_pool2d, with_batch(ref.adaptive_avg_pool2d), x, 3)
    agree(backend, F.adaptive_max_pool2d, with_batch(ref.adaptive_max_pool2d), x, 3)
