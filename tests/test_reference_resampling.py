"""Pixel shuffles and interpolation against the loops of ``reference/resampling.py``."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import resampling as ref
from reference.arguments import pair
from reference.checking import agree, examples, normal, rngs

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7.kernels.resampling import turns

batches = st.tuples(st.integers(0, 2), st.integers(1, 2))
lengths = st.integers(1, 6)
sizes = st.tuples(lengths, lengths)
factors = st.sampled_from([0.5, 1, 1.5, 2, 2.5, 3])
wanted_sizes = st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9))


@examples
@given(batch=batches, size=sizes, r=st.integers(1, 3), rng=rngs)
def test_pixel_shuffle(backend, batch, size, r, rng):
    n, c = batch
    agree(backend, F.pixel_shuffle, ref.pixel_shuffle, normal(rng, n, c * r * r, *size), r)


@examples
@given(batch=batches, size=sizes, r=st.integers(1, 3), rng=rngs)
def test_pixel_unshuffle(backend, batch, size, r, rng):
    x = normal(rng, *batch, size[0] * r, size[1] * r)
    agree(backend, F.pixel_unshuffle, ref.pixel_unshuffle, x, r)


@examples
@given(batch=batches, size=sizes, wanted=wanted_sizes, rng=rngs)
def test_nearest_to_a_size(backend, batch, size, wanted, rng):
    agree(backend, F.interpolate, ref.interpolate, normal(rng, *batch, *size), wanted)


@examples
@given(batch=batches, size=sizes, wanted=wanted_sizes, corners=st.booleans(), rng=rngs)
def test_bilinear_to_a_size(backend, batch, size, wanted, corners, rng):
    options = {"mode": "bilinear", "align_corners": corners}
    agree(backend, F.interpolate, ref.interpolate, normal(rng, *batch, *size), wanted, **options)


@examples
@given(batch=batches, size=sizes, factor=factors | st.tuples(factors, factors), rng=rngs)
def test_nearest_by_a_factor(backend, batch, size, factor, rng):
    assume(all(n * f >= 1 for n, f in zip(size, pair(factor), strict=True)))
    x = normal(rng, *batch, *size)
    agree(backend, F.interpolate, ref.interpolate, x, scale_factor=factor)


@examples
@given(
    batch=batches,
    size=sizes,
    factor=factors | st.tuples(factors, factors),
    corners=st.sampled_from([None, False, True]),
    rng=rngs,
)
def test_bilinear_by_a_factor(backend, batch, size, factor, corners, rng):
    assume(all(n * f >= 1 for n, f in zip(size, pair(factor), strict=True)))
    x = normal(rng, *batch, *size)
    options = {"scale_factor": factor, "mode": "bilinear", "align_corners": corners}
    agree(backend, F.interpolate, ref.interpolate, x, **options)


def test_nearest_at_every_pair_of_lengths(backend):
    """⌊i·n/m⌋ where the quotient is whole: rounding must not lose a pixel."""
    for n in range(1, 34):
        x = mt.tensor(np.arange(float(n)).reshape(1, 1, 1, n))
        for m in range(1, 34):
            got = F.interpolate(x, (1, m)).numpy().ravel()
            assert got.tolist() == [i * n // m for i in range(m)], f"from {n} to {m}"


@given(st.lists(st.integers(0, 9), max_size=30).map(sorted))
def test_turns_name_every_place_once_and_no_source_twice(source: list[int]) -> None:
    found = turns(np.array(source, np.int64))
    assert sorted(int(i) for turn in found for i in turn) == list(range(len(source)))
    for turn in found:
        assert len({source[i] for i in turn}) == len(turn) > 0
    assert len(found) == max((source.count(s) for s in source), default=0)


@pytest.mark.numpy_only("CuPy lays out its results in C order")
@pytest.mark.parametrize("out", [3, 5, 8])
def test_nearest_keeps_the_order_in_memory(out: int) -> None:
    laid = np.ascontiguousarray(np.random.default_rng(0).normal(size=(2, 5, 4, 3)))  # C, H, W, N
    x = mt.tensor(laid).permute(3, 0, 1, 2).requires_grad_()
    y = F.interpolate(x, size=(out, 4))
    assert y.data.transpose(1, 2, 3, 0).flags.c_contiguous
    (dx,) = mt.grad((y * y).sum(), x)
    assert dx.data.transpose(1, 2, 3, 0).flags.c_contiguous
