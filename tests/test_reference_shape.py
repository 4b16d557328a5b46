"""Operations that move elements about against the loops of ``reference/shape.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import shape as ref
from reference.checking import agree, examples, many, normal, rngs

from minitorch7 import functional as F

shapes = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def permutations(draw):
    """(shape, dims): dims a permutation of the axes, some counted from the end."""
    shape = draw(shapes)
    dims = draw(st.permutations(range(len(shape))))
    return shape, tuple(d - len(shape) if draw(st.booleans()) else d for d in dims)


@st.composite
def pictures_and_pads(draw, mode):
    """(shape, pad) with one or two padded axes at the end; what the mode allows."""
    axes = draw(st.integers(1, 2))
    shape = draw(st.lists(st.integers(0, 2), min_size=2, max_size=4 - axes))
    pad = []
    for _ in range(axes):
        n = draw(st.integers(1, 5))
        shape.append(n)
        most = n - 1 if mode == "reflect" else 4
        pad = [draw(st.integers(0, most)), draw(st.integers(0, most)), *pad]
    return tuple(shape), tuple(pad)


@st.composite
def constant_pads(draw):
    """(shape, pad): any number of axes from the end, widths that may also crop."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    pad = []
    for n in shape[::-1][: draw(st.integers(1, len(shape)))]:
        before = draw(st.integers(-n, 3))
        pad += [before, draw(st.integers(-min(n, n + before), 3))]
    return tuple(shape), tuple(pad)


@examples
@given(case=permutations(), rng=rngs)
def test_permute(backend, case, rng):
    shape, dims = case
    agree(backend, F.permute, ref.permute, normal(rng, *shape), dims)


@examples
@given(case=permutations(), rng=rngs)
def test_transpose(backend, case, rng):
    shape, dims = case
    agree(backend, F.transpose, ref.transpose, normal(rng, *shape), dims[0], dims[-1])


@examples
@given(case=permutations(), count=st.integers(0, 4), rng=rngs)
def test_flip(backend, case, count, rng):
    shape, dims = case
    agree(backend, F.flip, ref.flip, normal(rng, *shape), dims[:count])


@examples
@given(shape=shapes, front=st.lists(st.integers(1, 3), max_size=2), data=st.data(), rng=rngs)
def test_expand(backend, shape, front, data, rng):
    shape = tuple(data.draw(st.sampled_from([n, 1])) for n in shape)
    longer = [data.draw(st.integers(0, 3)) if n == 1 else n for n in shape]
    kept = [
        data.draw(st.sampled_from([n, -1])) if n == m else n
        for n, m in zip(longer, shape, strict=True)
    ]
    agree(backend, F.expand, ref.expand, normal(rng, *shape), (*front, *kept))


@examples
@given(shape=shapes, front=st.lists(st.integers(1, 2), max_size=1), data=st.data(), rng=rngs)
def test_repeat(backend, shape, front, data, rng):
    times = [data.draw(st.integers(0, 3)) for _ in shape]
    agree(backend, F.repeat, ref.repeat, normal(rng, *shape), (*front, *times))


@examples
@given(shape=shapes, lengths=st.lists(st.integers(0, 3), min_size=1, max_size=3), data=st.data())
def test_cat(backend, shape, lengths, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = data.draw(rngs)
    parts = []
    for length in lengths:
        part = list(shape)
        part[dim] = length
        parts.append(normal(rng, *part))
    agree(backend, F.cat, ref.cat, parts, dim)


@examples
@given(shape=shapes, count=st.integers(1, 3), data=st.data(), rng=rngs)
def test_stack(backend, shape, count, data, rng):
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    agree(backend, F.stack, ref.stack, [normal(rng, *shape) for _ in range(count)], dim)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@many
@given(data=st.data(), rng=rngs)
def test_pad_from_the_picture(backend, mode, data, rng):
    shape, pad = data.draw(pictures_and_pads(mode))
    agree(backend, F.pad, ref.pad, normal(rng, *shape), pad, mode)


@many
@given(case=constant_pads(), value=st.sampled_from([0.0, 1.5, -2.0]), rng=rngs)
def test_pad_with_a_constant(backend, case, value, rng):
    shape, pad = case
    agree(backend, F.pad, ref.pad, normal(rng, *shape), pad, "constant", value)


@examples
@given(shape=shapes, data=st.data(), rng=rngs)
def test_narrow_split_chunk_unbind(backend, shape, data, rng):
    """Pieces are slices: piece k of a split starts where piece k-1 ended."""
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    axis, n = dim % len(shape), shape[dim]
    start = data.draw(st.integers(0, n))
    length = data.draw(st.integers(0, n - start))
    size, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    x = normal(rng, *shape)

    def piece(x, first, last):
        return x[(slice(None),) * axis + (slice(first, last),)]

    def pieces(x, size):
        return tuple(piece(x, at, min(at + size, n)) for at in range(0, max(n, 1), size))

    def chunks(x, count):
        return pieces(x, -(-n // count)) if n else (x,) * count

    agree(backend, F.narrow, lambda x, *_: piece(x, start, start + length), x, dim, start, length)
    agree(backend, F.split, lambda x, size, _: pieces(x, size), x, size, dim)
    agree(backend, F.split, lambda x, *_: pieces(x, max(start, 1)), x, _lengths(n, start), dim)
    agree(backend, F.chunk, lambda x, k, _: chunks(x, k), x, count, dim)
    one = tuple(x[(slice(None),) * axis + (k,)] for k in range(n))
    agree(backend, F.unbind, lambda *_: one, x, dim)


def _lengths(n, size):
    """The lengths of the pieces when n is cut every max(size, 1) places."""
    size = max(size, 1)
    return [min(size, n - at) for at in range(0, max(n, 1), size)]


@examples
@given(shape=shapes, data=st.data(), rng=rngs)
def test_reshape_keeps_reading_order(backend, shape, data, rng):
    """y[k] = x[k] for the k-th element in reading order, whatever the order in memory."""
    x = normal(rng, *shape)
    first = data.draw(st.integers(0, len(shape) - 1))
    last = data.draw(st.integers(first, len(shape) - 1))
    flat = (*shape[:first], int(np.prod(shape[first : last + 1])), *shape[last + 1 :])
    agree(backend, F.reshape, lambda x, _: _in_order(x, flat), x, flat)
    agree(backend, F.flatten, lambda x, *_: _in_order(x, flat), x, first, last - len(shape))


@examples
@given(shape=st.lists(st.integers(0, 2), min_size=1, max_size=4), data=st.data(), rng=rngs)
def test_squeeze_and_unsqueeze_keep_reading_order(backend, shape, data, rng):
    x = normal(rng, *shape)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    full = tuple(n for n in shape if n != 1)
    agree(backend, F.squeeze, lambda x: _in_order(x, full), x)
    kept = [n for axis, n in enumerate(shape) if n != 1 or axis != dim % len(shape)]
    agree(backend, F.squeeze, lambda x, _: _in_order(x, kept), x, dim)
    dim = data.draw(st.integers(-len(shape) - 1, len(shape)))
    more = list(shape)
    more.insert(dim % (len(shape) + 1), 1)
    agree(backend, F.unsqueeze, lambda x, _: _in_order(x, more), x, dim)


def _in_order(x, shape):
    y = np.zeros(shape)
    for k, value in enumerate(x.flat):
        y.flat[k] = value
    return y


@examples
@given(shape=shapes, front=st.lists(st.integers(1, 3), max_size=2), data=st.data(), rng=rngs)
def test_broadcast_to_and_sum_to(backend, shape, front, data, rng):
    short = tuple(data.draw(st.sampled_from([n, 1])) for n in shape)
    whole = (*front, *shape)
    agree(backend, F.broadcast_to, ref.expand, normal(rng, *short), whole)
    agree(backend, F.sum_to, ref.sum_to, normal(rng, *whole), short)
