"""The `.cu` kernels, compiled for the processor, against what they stand for on NumPy.

``cuda_on_cpu`` runs them thread by thread behind the same launchers that a GPU would be given. What
it cannot show: speed, and what a GPU's own sin, exp or tensor cores round to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cuda_on_cpu
import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.resampling import interpolate

from minitorch7.functional.resampling import _copied, _mixed
from minitorch7.kernels import (
    convolution,
    cuda,
    indexing,
    normalisation,
    philox,
    pooling,
    recurrent,
    windows,
)
from minitorch7.kernels.cuda import load
from minitorch7.kernels.windows import Window
from minitorch7.optim import Adam, AdamW

PROBES = """
template <class T> __global__ void divide(const T* a, const T* d, T* quotient, T* rest, int n) {
    for (unsigned i : along_x(n)) {
        unsigned left = a[i];
        quotient[i] = Divider(d[i]).split(left);
        rest[i] = left;
    }
}
template <class T> __global__ void round_trip(const T* x, Half* half, T* back, int n) {
    for (unsigned i : along_x(n)) half[i] = Half(x[i]), back[i] = half[i];
}
template <class T> __global__ void reverse(const T* x, T* y, int barrier) {
    __shared__ T shared[256];
    shared[threadIdx.x] = x[threadIdx.x];
    if (barrier) __syncthreads();
    y[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}
template <class T> __global__ void half_wait(T* x) {
    if (threadIdx.x < 7) __syncthreads();
    x[threadIdx.x] = 1;
}
template <class T> __global__ void sum_twice(const T* x, T* once, T* again) {
    once[threadIdx.x] = over_block(Two<T>{x[threadIdx.x], 1}).a;
    again[threadIdx.x] = over_block(Two<T>{3 * x[threadIdx.x], 1}).a;
}
template <class T> __global__ void philox_of(const T* counter, const T* key, T* words) {
    Words found = philox({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
    for (int i = 0; i < 4; i++) words[i] = found.w[i];
}
template <class T> __global__ void beyond(T* x, int n) { x[n] = 1; }
"""
PROBE_NAMES = tuple(
    "divide<unsigned> round_trip<float> reverse<float> half_wait<float> sum_twice<double> "
    "beyond<float> philox_of<Word>".split()
)
EPS = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-11}
DTYPES = st.sampled_from(["float32", "float64", "float16"])
FLOATS = st.sampled_from(["float32", "float64"])
few = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture(scope="session")
def xp(library_with_kernels) -> cuda_on_cpu.Library:
    return library_with_kernels


@pytest.fixture(scope="session")
def probes(xp, tmp_path_factory) -> dict[str, cuda_on_cpu.RawKernel]:
    sources = {"probes.cu": load.source("noise.cu") + PROBES}
    names, folder = {"probes.cu": PROBE_NAMES}, tmp_path_factory.mktemp("probes")
    return cuda_on_cpu.compile_all(sources, names, folder)["probes.cu"]


@pytest.fixture
def probe(probes) -> Callable[..., None]:
    """Launches one of the kernels above, made to test the harness with."""

    def launch(name: str, *args: Any, grid: int = 1, block: int = 32) -> None:
        load.launch(probes[name], (grid,), (block,), *args)

    return launch


def close(found: Any, expected: np.ndarray, dtype: str, size: float = 1.0) -> None:
    """`found` is of this dtype and equal to rounding; `size` is how large the summands are."""
    found = found._a
    assert found.shape == expected.shape and found.dtype == dtype
    eps = EPS[dtype] * size
    np.testing.assert_allclose(found.astype(float), expected.astype(float), eps, eps)


def draw(seed: int, *shape: int, dtype: str = "float64") -> np.ndarray:
    """Normal numbers that float16 holds exactly where it is asked for."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@st.composite
def pictures(draw: Any, most_padding: int = 3) -> tuple[tuple[int, ...], Window]:
    """The shape (N, C, H, W) of a picture and a window that fits it."""
    one_to_three = st.integers(1, 3)
    kernel, stride = draw(st.tuples(*[one_to_three] * 2)), draw(st.tuples(*[one_to_three] * 2))
    dilation = draw(st.tuples(*[st.integers(1, 2)] * 2))
    padding = tuple(draw(st.integers(0, min(most_padding, k // 2))) for k in kernel)
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 5))
        for k, p, d in zip(kernel, padding, dilation, strict=True)
    )
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 4)), *size)
    return shape, Window(kernel, stride, padding, dilation)


# ------------------------------------------------------------------------------ the harness itself


def test_the_harness_notices_a_missing_barrier(xp, probe) -> None:
    x = xp.asarray(draw(0, 64, dtype="float32"))
    good, bad = xp.zeros_like(x), xp.zeros_like(x)
    probe("reverse<float>", x, good, 1, block=64)
    probe("reverse<float>", -x, bad, 0, block=64)
    assert (good == x[::-1]).all() and not (bad == -good).all()


def test_the_harness_notices_a_barrier_that_not_all_reach(xp, probe) -> None:
    with pytest.raises(RuntimeError, match="half_wait.*different barriers"):
        probe("half_wait<float>", xp.zeros(32, dtype="float32"))


def test_the_harness_notices_writing_beyond_an_array_and_wrong_arguments(xp, probe) -> None:
    x = xp.zeros(5, dtype="float32")
    with pytest.raises(RuntimeError, match="wrote outside"):
        probe("beyond<float>", x, 5)
    probe("beyond<float>", x, 3)
    with pytest.raises(TypeError, match="argument 1 has 8 bytes, its parameter 4"):
        probe("beyond<float>", x, np.int64(3))
    with pytest.raises(ValueError, match="not contiguous"):
        probe("beyond<float>", xp.zeros((4, 4), dtype="float32").T, 3)


def test_half_is_numpys(xp, probe) -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):  # too large for float16; signalling NaNs
        x = np.concatenate([every, draw(1, 4000) * 10.0 ** draw(2, 4000)]).astype(np.float32)
        expected = x.astype(np.float16)
    half, back = xp.empty(len(x), dtype="float16"), xp.empty(len(x), dtype="float32")
    probe("round_trip<float>", xp.asarray(x), half, back, len(x), grid=64)
    np.testing.assert_array_equal(half._a, expected)
    np.testing.assert_array_equal(back._a, expected.astype(np.float32))


def test_two_sums_over_a_block_do_not_meet(xp, probe) -> None:
    x = draw(3, 256)
    once, again = xp.zeros(256), xp.zeros(256)
    probe("sum_twice<double>", xp.asarray(x), once, again, block=256)
    np.testing.assert_allclose(once._a, np.full(256, x.sum()), 1e-12)
    np.testing.assert_allclose(again._a, np.full(256, 3 * x.sum()), 1e-12)


def test_division(xp, probe) -> None:
    bits = np.random.default_rng(0).integers(0, 31, (20000, 2))  # of numbers of every length
    pairs = np.random.default_rng(1).integers(1, 2 << bits).clip(max=2**31 - 1).tolist()
    edges = [(a, d) for a in (0, 1, 2**31 - 1) for d in (1, 2, 3, 7, 641, 2**30, 2**31 - 1)]
    a, d = (np.array(v, dtype=np.uint32) for v in zip(*pairs, *edges, strict=True))
    quotient, rest = xp.empty(len(a), dtype="uint32"), xp.empty(len(a), dtype="uint32")
    probe("divide<unsigned>", xp.asarray(a), xp.asarray(d), quotient, rest, len(a), grid=8)
    np.testing.assert_array_equal(quotient._a, a // d)
    np.testing.assert_array_equal(rest._a, a % d)


# ---------------------------------------------------------------------------- windows and pooling


@few
@given(pictures(), DTYPES, st.data())
def test_columns(xp, picture, dtype, data) -> None:
    (batch, channels, *size), window = picture
    oh, ow = window.output_size(tuple(size))
    start = data.draw(st.integers(0, oh - 1))
    rows = range(start, data.draw(st.integers(start + 1, oh)))
    ow = data.draw(st.integers(1, ow + 2))  # more than fit see only padding
    x = draw(1, channels, *size, batch, dtype=dtype)
    expected = windows.im2col(np, x, window, rows, ow)
    with standin.count() as count:
        col = cuda.columns.im2col(xp, xp.asarray(x), window, rows, ow)
    np.testing.assert_array_equal(col._a, expected)
    g, onto = draw(2, *col.shape, dtype=dtype), draw(3, *x.shape, dtype=dtype)
    found = xp.asarray(onto)
    cuda.columns.col2im(xp, xp.asarray(g), window, rows, found)
    total = onto.astype(float)
    windows.col2im(np, g.astype(float), window, rows, total)
    close(found, total, dtype, 4)
    assert (count.launches, count.syncs) == (1, 0)


@few
@given(pictures(1), DTYPES, st.booleans())
def test_max_pooling(xp, picture, dtype, nans) -> None:
    shape, window = picture
    rng = np.random.default_rng(4)
    x = rng.integers(-3, 3, shape).astype(dtype)  # ties
    x[rng.random(shape) < 0.5] = -np.inf
    if nans:
        x[rng.random(shape) < 0.2] = np.nan
    out = window.output_size(shape[2:])
    expected, taps = pooling.max_pool2d(np, x, window, out)
    y, found = cuda.pooling.max_pool2d(xp, xp.asarray(x), window, out)
    np.testing.assert_array_equal(y._a, expected)
    np.testing.assert_array_equal(found._a, taps)
    assert found.dtype == taps.dtype
    g = rng.integers(-9, 9, y.shape).astype(dtype)
    dx = cuda.pooling.unpool_max(xp, xp.asarray(g), found, window, shape[2:])
    np.testing.assert_array_equal(dx._a, pooling.unpool_max(np, g, taps, window, shape[2:]))
    x = rng.integers(-9, 9, shape).astype(dtype)
    picked = cuda.pooling.pick_max(xp, xp.asarray(x), found, window)
    np.testing.assert_array_equal(picked._a, pooling.pick_max(np, x, taps, window))


def test_taps_of_a_large_window_take_more_bytes(xp) -> None:
    x, window = draw(0, 2, 1, 17, 18), Window((16, 16))
    expected, taps = pooling.max_pool2d(np, x, window, (2, 3))
    y, found = cuda.pooling.max_pool2d(xp, xp.asarray(x), window, (2, 3))
    assert found.dtype == "int32" and (found._a == taps).all() and (y._a == expected).all()


@few
@given(pictures(1), DTYPES)
def test_sum_pooling(xp, picture, dtype) -> None:
    shape, window = picture
    out = tuple(n + 1 for n in window.output_size(shape[2:]))  # a last window may hang over
    x, g = draw(5, *shape, dtype=dtype), draw(6, *shape[:2], *out, dtype=dtype)
    y = cuda.pooling.sum_pool2d(xp, xp.asarray(x), window, out)
    close(y, pooling.sum_pool2d(np, x.astype(float), window, out), dtype, 4)
    dx = cuda.pooling.spread_sum(xp, xp.asarray(g), window, shape[2:])
    close(dx, pooling.spread_sum(np, g.astype(float), window, shape[2:]), dtype, 4)


# ----------------------------------------------------------------------------------- normalisation


@few
@given(st.integers(1, 5), st.integers(1, 70), DTYPES, st.booleans(), st.integers(16, 80))
def test_standardising(xp, rows, length, dtype, affine, per_part) -> None:
    x, g = draw(7, rows, length, dtype=dtype), draw(8, rows, length, dtype=dtype)
    scale, shift = (draw(9, rows), draw(10, rows)) if affine else (None, None)
    total = load.sum_type(dtype).name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda.normalisation, "PER_PART", per_part)
        on = [None if a is None else xp.asarray(a.astype(total)) for a in (scale, shift)]
        found = cuda.normalisation.standardise(xp, xp.asarray(x), 1e-3, *on)
        wide = [None if a is None else a.astype(total).astype(float) for a in (scale, shift)]
        expected = normalisation.standardise(np, x.astype(float), 1e-3, *wide)
        for mine, theirs, kind in zip(found, expected, (dtype, *[total] * 3), strict=True):
            close(mine, theirs, kind, 10)
        mean, inverse = found[1], found[3]
        on = (xp.asarray(g), xp.asarray(x), mean, inverse, on[0])
        found = cuda.normalisation.standardise_grad(xp, *on)
    expected = normalisation.standardise_grad(
        np, g.astype(float), x.astype(float), expected[1], expected[3], wide[0]
    )
    for mine, theirs, kind in zip(found, expected, (dtype, total, total), strict=True):
        close(mine, theirs, kind, 50 + 5 * length)


def test_standardising_far_from_zero_and_nothing(xp) -> None:
    """A mean 10⁴ times the spread leaves the variance four of float32's seven digits."""
    x = (1e4 + draw(11, 2, 9000)).astype("float32")
    y, mean, variance, _ = cuda.normalisation.standardise(xp, xp.asarray(x), 1e-5)
    wide = x.astype(float)
    np.testing.assert_allclose(variance._a[:, 0], wide.var(1), 1e-4)
    np.testing.assert_allclose(mean._a[:, 0], wide.mean(1), 1e-6)
    expected = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    np.testing.assert_allclose(y._a, expected, 2e-3, 2e-3)
    empty = xp.asarray(np.zeros((3, 0), np.float32))
    y, mean, variance, inverse = cuda.normalisation.standardise(xp, empty, 0.25)
    assert y.shape == (3, 0) and (mean == 0).all() and (inverse == 2).all()
    assert cuda.normalisation.standardise(xp, empty.T, 0.25)[1].shape == (0, 1)


# ------------------------------------------------------------------------------- losses and tables


@few
@given(st.integers(1, 5), st.integers(1, 70), st.booleans(), DTYPES)
def test_cross_entropy(xp, batch, classes, segmentation, dtype) -> None:
    places = (batch, 3, 2) if segmentation else (batch,)
    x = 5 * draw(12, classes, *places[1:], batch, dtype=dtype)
    x = np.moveaxis(x, -1, 0) if segmentation else np.ascontiguousarray(x.T)
    rng = np.random.default_rng(13)
    target, shares = rng.integers(0, classes, places), rng.random(places)
    shares = shares.astype(load.sum_type(dtype))
    losses, slope = cuda.cross_entropy.cross_entropy(
        xp, xp.asarray(x), xp.asarray(target), xp.asarray(shares)
    )
    wide = x.astype(float)
    probability = np.exp(wide - wide.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    hot = np.moveaxis(np.eye(classes)[target], -1, 1)
    expected = -shares * np.log((probability * hot).sum(1))
    if segmentation:
        expected = np.moveaxis(expected, 0, -1)
    close(losses, expected.reshape(-1), load.sum_type(dtype).name, 5)
    close(slope, (probability - hot) * shares[:, None], dtype)


@pytest.mark.parametrize("batch_last", [False, True])
def test_cross_entropy_of_no_class_and_of_minus_infinity(xp, batch_last) -> None:
    x = draw(14, 4, 40, dtype="float32")
    x[1, :39] = -np.inf
    x = xp.asarray(x)
    x = xp.ascontiguousarray(x.T).T if batch_last else x
    target = xp.asarray(np.array([-1, 39, 40, 0]))
    losses, slope = cuda.cross_entropy.cross_entropy(xp, x, target, xp.ones(4, dtype="float32"))
    assert np.isnan(losses._a).tolist() == [True, False, True, False]
    assert losses._a[1] == 0 and (slope._a[1] == 0).all()


@few
@given(st.booleans(), FLOATS, st.sampled_from([0.0, 0.3]))
def test_adam_is_the_optimisers(xp, decoupled, dtype, decay) -> None:
    kind = AdamW if decoupled else Adam
    shapes = [(3,), (5, 7), (0,), (70, 70), (1,)]
    group = dict(lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=decay)
    params = [draw(i, *s, dtype=dtype) for i, s in enumerate(shapes)]
    on_gpu = [xp.asarray(p) for p in params]
    means, squares = [[xp.zeros_like(p) for p in on_gpu] for _ in range(2)]
    states: list[dict[str, Any]] = [{} for _ in params]
    optimizer = SimpleNamespace(decoupled=decoupled)
    for step in (1, 2, 3):
        grads = [draw(10 * step + i, *s, dtype=dtype) for i, s in enumerate(shapes)]
        for p, g, state in zip(params, grads, states, strict=True):
            kind.update(optimizer, np, p, g, group, state)
        numbers = cuda.adam.options_of(0.1, (0.8, 0.95), 1e-6, decay, step)
        options, grads = xp.asarray(numbers), [xp.asarray(g) for g in grads]
        with standin.count() as count:
            cuda.adam.adam(xp, on_gpu, grads, means, squares, options, decoupled)
        assert (count.launches, count.syncs) == (1, 0)
    for i, state in enumerate(states):
        close(on_gpu[i], params[i], dtype, 10)
        close(means[i], state["exp_avg"], dtype)
        close(squares[i], state["exp_avg_sq"], dtype)


def test_adam_uploads_a_table_once(xp) -> None:
    arrays = [[xp.ones(9, dtype="float32")] for _ in range(4)]
    options = xp.asarray(cuda.adam.options_of(0.1, (0.9, 0.99), 1e-8, 0, 1))
    cuda.adam.adam(xp, *arrays, options, False)
    with standin.count() as count:
        cuda.adam.adam(xp, *arrays, options, False)
    assert count.uploads == 0
    with pytest.raises(ValueError, match="adam: .*contiguous and float32"):
        cuda.adam.adam(xp, [xp.ones((3, 2), dtype="float32").T], *arrays[1:], options, False)


@few
@given(st.integers(1, 6), st.integers(0, 20), st.integers(1, 40), DTYPES, st.booleans())
def test_embedding_gradient(xp, rows, places, width, dtype, padded) -> None:
    ids = np.random.default_rng(15).integers(0, rows, (places, 2))
    g = draw(16, places, 2, width, dtype=dtype)
    expected = indexing.add_at(np, (rows, width), (ids,), g.astype(float))
    padding = rows - 1 if padded else None
    if padded:
        expected[padding] = 0
    on = xp.asarray(g), xp.asarray(ids - rows)  # negative ones wrap around
    close(cuda.embedding.embedding_grad(xp, *on, (rows, width), padding), expected, dtype, 4)


@few
@given(st.tuples(*[st.integers(1, 6)] * 2), st.tuples(*[st.integers(1, 9)] * 2), DTYPES,
       st.booleans())  # fmt: skip
def test_resampling(xp, size, out, dtype, align) -> None:
    x, g = draw(17, 3, 2, *size, dtype=dtype), draw(18, 3, 2, *out, dtype=dtype)
    nearest, bilinear, matrices, ones = [], [], [], []
    for n, m in zip(size, out, strict=True):
        every = np.eye(n).reshape(n, 1, n, 1)  # pictures of one pixel each: a matrix's columns
        nearest.append(_copied(n, m, None))
        ones.append(interpolate(every, (m, 1))[:, 0, :, 0].T)
        bilinear.append(_mixed(n, m, n / m, align))
        options = {"mode": "bilinear", "align_corners": align}
        matrices.append(interpolate(every, (m, 1), **options)[:, 0, :, 0].T)
    for name, axes, (a, b) in (("nearest", nearest, ones), ("bilinear", bilinear, matrices)):
        forward = getattr(cuda.resampling, name)(xp, xp.asarray(x), *axes)
        close(forward, np.einsum("ir,jq,ncrq->ncij", a, b, x.astype(float)), dtype)
        backward = getattr(cuda.resampling, f"{name}_grad")(xp, xp.asarray(g), *axes)
        close(backward, np.einsum("ir,jq,ncij->ncrq", a, b, g.astype(float)), dtype, 9)


# ------------------------------------------------------------------------------- recurrent layers


def layer(gates: int, dtype: str, length: int, batch: int, width: int, biased: bool) -> list[Any]:
    """x, W_ih, W_hh, b_ih, b_hh, h of a layer with inputs of 3."""
    shapes = [(length, batch, 3), (gates * width, 3), (gates * width, width)]
    arrays = [draw(20 + i, *s, dtype=dtype) for i, s in enumerate(shapes)]
    biases = [draw(30 + i, gates * width, dtype=dtype) if biased else None for i in range(2)]
    return [*arrays, *biases, draw(40, batch, width, dtype=dtype)]


sizes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5))


def start(xp: Any, inputs: list[Any], slopes: list[float], bias: Any) -> tuple[Any, Any]:
    """What x and the bias give to each gate (G, T, N, H), and W_hhᵀ by gate; both times a slope."""
    x, w_ih, w_hh = inputs[:3]
    slope = np.array(slopes, x.dtype).reshape(-1, 1, 1)
    w_in, w = (a.reshape(len(slopes), -1, a.shape[1]).transpose(0, 2, 1) for a in (w_ih, w_hh))
    gates = x @ w_in[:, None]
    if bias is not None:
        gates += bias.reshape(len(slopes), 1, 1, -1)
    return xp.asarray(gates * slope[..., None]), xp.asarray(w * slope)


@few
@given(sizes, FLOATS, st.booleans(), st.booleans())
def test_rnn_steps(xp, size, dtype, biased, relu) -> None:
    inputs = layer(1, dtype, *size, biased)
    (y, _), kept = recurrent.rnn(np, *inputs, relu)
    dy, dh = draw(50, *y.shape, dtype=dtype), draw(51, *y.shape[1:], dtype=dtype)
    *_, db, _, dfirst = recurrent.rnn_grads(np, [True] * 6, kept, (dy, dh), inputs, relu)

    gates, w = start(xp, inputs, [1], inputs[3] + inputs[4] if biased else None)
    states = xp.asarray(kept[0])
    states[1:] = 0
    for t in range(len(y)):
        through = xp.matmul(states[t], w)
        cuda.recurrent.rnn_step(xp, t, gates[0], through, states, relu)
    close(states[1:], y, dtype)
    da, dh, through = xp.empty(y.shape, dtype=dtype), xp.asarray(dh), None
    for t in reversed(range(len(y))):
        cuda.recurrent.rnn_step_grad(xp, t, states, xp.asarray(dy), through, dh, da, relu)
        through = xp.matmul(da[t][None], xp.asarray(inputs[2])[None])
    close(dh + through[0], dfirst, dtype, 10)
    if biased:
        close(da.sum(axis=(0, 1)), db, dtype, 10)


@few
@given(sizes, FLOATS, st.booleans())
def test_gru_steps(xp, size, dtype, biased) -> None:
    inputs = layer(3, dtype, *size, biased)
    (y, _), kept = recurrent.gru(np, *inputs)
    dy, dh = draw(50, *y.shape, dtype=dtype), draw(51, *y.shape[1:], dtype=dtype)
    grads = recurrent.gru_grads(np, [True] * 6, kept, (dy, dh), inputs)

    width = y.shape[2]
    bias = inputs[3] + inputs[4] if biased else None
    if biased:
        bias[2 * width :] = inputs[3][2 * width :]  # b_hn is inside r·q
    gates, w = start(xp, inputs, [0.5, 0.5, 1], bias)
    states = xp.asarray(kept[0])
    states[1:] = 0
    inner = xp.asarray(inputs[4][2 * width :]) if biased else None
    q = xp.empty(y.shape, dtype=dtype)
    for t in range(len(y)):
        cuda.recurrent.gru_step(xp, t, gates, xp.matmul(states[t], w), inner, states, q)
    close(states[1:], y, dtype)
    close(gates, kept[1], dtype)
    d, dh, through = xp.zeros((4, *y.shape), dtype=dtype), xp.asarray(dh), None
    w = xp.asarray(inputs[2]).reshape(3, width, width)
    for t in reversed(range(len(y))):
        cuda.recurrent.gru_step_grad(xp, t, gates, q, states, xp.asarray(dy), through, dh, d)
        through = xp.matmul(d[:3, t], w)
    close(dh + through.sum(axis=0), grads[-1], dtype, 10)
    if biased:
        sums = d.sum(axis=(1, 2))
        close(xp.concatenate([sums[0], sums[1], sums[3]]), grads[3], dtype, 10)
        close(sums[:3].reshape(-1), grads[4], dtype, 10)


@few
@given(sizes, FLOATS, st.booleans())
def test_lstm_steps(xp, size, dtype, biased) -> None:
    inputs = layer(4, dtype, *size, biased)
    inputs.append(draw(41, *inputs[5].shape, dtype=dtype))
    (y, *_), kept = recurrent.lstm(np, *inputs)
    dy = draw(50, *y.shape, dtype=dtype)
    dh, dc = (draw(51 + i, *y.shape[1:], dtype=dtype) for i in range(2))
    grads = recurrent.lstm_grads(np, [True] * 7, kept, (dy, dh, dc), inputs)

    gates, w = start(xp, inputs, [0.5, 0.5, 1, 0.5], inputs[3] + inputs[4] if biased else None)
    states, cells = (xp.asarray(a) for a in kept[:2])
    states[1:] = cells[1:] = 0
    for t in range(len(y)):
        cuda.recurrent.lstm_step(xp, t, gates, xp.matmul(states[t], w), cells, states)
    close(states[1:], y, dtype)
    close(cells, kept[1], dtype)
    d, through = xp.zeros((4, *y.shape), dtype=dtype), None
    dh, dc, dy = (xp.asarray(a) for a in (dh, dc, dy))
    w = xp.asarray(inputs[2]).reshape(4, y.shape[2], -1)
    for t in reversed(range(len(y))):
        cuda.recurrent.lstm_step_grad(xp, t, gates, cells, dy, through, dh, dc, d)
        through = xp.matmul(d[:, t], w)
    close(dh + through.sum(axis=0), grads[-2], dtype, 10)
    close(dc, grads[-1], dtype, 10)
    if biased:
        close(d.sum(axis=(1, 2)).reshape(-1), grads[3], dtype, 10)


# ------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize(
    "counter, key, expected",
    [  # the known answers published with the paper's own library, Random123 (kat_vectors)
        ("0000000000000000 0000000000000000 0000000000000000 0000000000000000",
         "0000000000000000 0000000000000000",
         "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
        ("ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff",
         "ffffffffffffffff ffffffffffffffff",
         "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
        ("243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89",
         "452821e638d01377 be5466cf34e90c6c",
         "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6"),
    ],
)  # fmt: skip
def test_philox_known_answers(xp, probe, counter: str, key: str, expected: str) -> None:
    words = [np.array([int(w, 16) for w in t.split()], np.uint64) for t in (counter, key, expected)]
    found = xp.empty(4, dtype="uint64")
    probe("philox_of<Word>", *map(xp.asarray, words[:2]), found, block=1)
    assert found._a.tolist() == words[2].tolist()


def test_the_twins_numbers_are_philoxs_halves_and_words(xp, probe) -> None:
    """Number by number from the counter's definition, across blocks."""
    seed, number = 2**63 + 5, 2**64 - 1
    words = []
    for block in range(3):
        counter, key = np.array([block, number, 0, 0], np.uint64), np.array([seed, 0], np.uint64)
        found = xp.empty(4, dtype="uint64")
        arrays = (xp.asarray(counter), xp.asarray(key), found)
        probe("philox_of<Word>", *arrays, block=1)
        words += found._a.tolist()
    halves = [h for w in words for h in (w % 2**32, w >> 32)]
    expected = [(h >> 8) / 2**24 for h in halves]
    assert philox.uniform((24,), seed, number).tolist() == expected
    assert philox.uniform((3, 4), seed, number, "float64").ravel().tolist() == [
        (w >> 11) / 2**53 for w in words
    ]


@few
@given(st.integers(0, 300), st.integers(0, 2**64 - 1), st.integers(0, 2**63), DTYPES)
def test_noise_is_the_twins(xp, count, seed, number, dtype) -> None:
    found = cuda.noise.uniform(xp, (count,), seed, number, dtype)
    np.testing.assert_array_equal(found._a, philox.uniform((count,), seed, number, dtype))
    assert found.dtype == dtype
    found = cuda.noise.normal(xp, (count,), seed, number, dtype)
    close(found, philox.normal((count,), seed, number, dtype), dtype)
    base = xp.asarray(np.array([number], np.uint64))
    moved = cuda.noise.uniform(xp, (count,), seed, 7, "float32", base)
    np.testing.assert_array_equal(moved._a, philox.uniform((count,), seed, number + 7))


@few
@given(st.integers(0, 2**64 - 1), st.sampled_from([0.0, 0.3, 0.9]), st.booleans(), DTYPES)
def test_dropout_is_the_twins_in_any_memory_order(xp, seed, p, channels, dtype) -> None:
    x = draw(60, 3, 4, 5, 2, dtype=dtype)
    numbers = philox.uniform(x.shape[:2] + ((1, 1) if channels else x.shape[2:]), seed, 5)
    expected = x.astype(float) * (numbers >= p) / (1 - p)
    y = cuda.noise.dropout(xp, xp.asarray(x), p, seed, 5, channels)
    close(y, expected, dtype)
    batch_last = xp.ascontiguousarray(xp.asarray(x).transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    other = cuda.noise.dropout(xp, batch_last, p, seed, 5, channels)
    assert (other == y).all() and other.strides == batch_last.strides


def test_what_noise_refuses(xp) -> None:
    with pytest.raises(ValueError, match="dropout: p must be .* got 1"):
        cuda.noise.dropout(xp, xp.ones(3), 1, 0, 0)
    with pytest.raises(ValueError, match="philox: draw must be a whole number .* got -1"):
        cuda.noise.uniform(xp, (3,), 0, -1)


def test_the_twins_numbers_are_uniform_and_normal() -> None:
    u, z = philox.uniform((20000,), 1, 2), philox.normal((20001,), 1, 2, "float64")
    assert 0 <= u.min() and u.max() < 1
    counts = np.histogram(u, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # χ² with 19 degrees: above 50 once in 10⁴
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        spread = math.sqrt(math.prod(range(2 * power - 1, 0, -2)) / len(z))
        assert abs((z**power).mean() - moment) < 5 * spread
    assert abs((z[:-1] * z[1:]).mean()) < 5 / math.sqrt(len(z))
    assert not np.array_equal(u, philox.uniform((20000,), 1, 3))
    assert not np.array_equal(u, philox.uniform((20000,), 2, 2))
    with pytest.raises(ValueError, match="philox: seed must be a whole number below 2⁶⁴, got -1"):
        philox.uniform((4,), -1, 0)


# ------------------------------------------------------------------------------------- convolution


@st.composite
def convolutions(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], Window, int]:
    """Shapes of x and w, a window, groups."""
    (batch, _, *size), window = draw(pictures())
    groups, inputs, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    x, w = (batch, groups * inputs, *size), (groups * outputs, inputs, *window.kernel)
    return x, w, window, groups


LARGE = [  # more than one tile of each side, and of the sum
    ((2, 19, 9, 8), (70, 19, 3, 3), Window((3, 3), (1, 1), (1, 1)), 1),
    ((3, 66, 7, 6), (4, 33, 2, 1), Window((2, 1), (2, 1), (1, 0), (1, 2)), 2),
]


@few
@given(convolutions(), DTYPES, st.booleans(), st.booleans())
def test_convolution(xp, shapes, dtype, cores, biased) -> None:
    check_convolution(xp, *shapes, dtype, cores, biased)


@pytest.mark.parametrize("shapes", LARGE)
@pytest.mark.parametrize("dtype, cores", [("float64", False), ("float32", True), ("float16", True)])
def test_convolution_of_many_tiles(xp, shapes, dtype, cores, monkeypatch) -> None:
    monkeypatch.setattr(cuda.convolution, "LEAST_PLACES", 20)  # several parts of the sum
    check_convolution(xp, *shapes, dtype, cores, True)


def check_convolution(xp, x_shape, w_shape, window, groups, dtype, cores, biased) -> None:
    places = window.output_size(x_shape[2:])
    x, w = draw(70, *x_shape, dtype=dtype), draw(71, *w_shape, dtype=dtype)
    bias = draw(72, w_shape[0], dtype=dtype) if biased else None
    g = draw(73, x_shape[0], w_shape[0], *places, dtype=dtype)
    if cores and dtype == "float32":  # numbers that TF32's ten fraction bits hold
        x, w, g = (a.astype("float16").astype(dtype) for a in (x, w, g))
    wide = [None if a is None else a.astype(float) for a in (x, w, bias, g)]
    on = [None if a is None else xp.asarray(a) for a in (x, w, bias, g)]
    size = math.sqrt(max(w[0].size, g[:, 0].size, w[:, 0].size))

    with standin.count() as count:
        y = cuda.convolution.conv2d(xp, *on[:3], window, groups, cores=cores)
    close(y, convolution.conv2d(np, *wide[:3], window, groups), dtype, size)
    assert count.syncs == 0
    dx = cuda.convolution.conv2d_input_grad(
        xp, on[3], on[1], x_shape[2:], window, groups, cores=cores
    )
    expected = convolution.conv2d_input_grad(np, wide[3], wide[1], x_shape[2:], window, groups)
    close(dx, expected, dtype, size)
    dw = cuda.convolution.conv2d_weight_grad(xp, on[0], on[3], window, groups, cores=cores)
    expected = convolution.conv2d_weight_grad(np, wide[0], wide[3], window, groups)
    close(dw, expected, dtype, size)


def test_tf32_rounds_as_the_tensor_cores_do(xp) -> None:
    """1 + 2⁻¹¹ has a bit more than TF32: it is rounded up, away from zero, where Plain keeps it."""
    x, w = (xp.asarray(np.full((1, 1, 1, 1), v, np.float32)) for v in (1 + 2**-11, 1))
    for cores, expected in ((True, 1 + 2**-10), (False, 1 + 2**-11)):
        y = cuda.convolution.conv2d(xp, x, w, None, Window((1, 1)), 1, cores=cores)
        assert float(y._a[0, 0, 0, 0]) == expected


def test_the_sum_over_places_is_cut_by_the_shapes_alone() -> None:
    for places, tiles, groups in ((1, 1, 1), (100352, 1, 1), (172800, 9, 1), (50, 2000, 1)):
        count, per_part = cuda.convolution.parts_of(places, tiles, groups)
        assert per_part % cuda.convolution.DEPTH == 0
        assert (count - 1) * per_part < places <= count * per_part
        assert count == 1 or count * tiles <= cuda.convolution.BLOCKS
    assert cuda.convolution.parts_of(100352, 1, 1)[0] > 300


# ---------------------------------------------------------------------------- loading and launching


def test_empty_batches_launch_nothing(xp) -> None:
    x, w = xp.zeros((0, 2, 5, 5), dtype="float32"), xp.ones((3, 2, 3, 3), dtype="float32")
    window = Window((3, 3))
    assert cuda.convolution.conv2d(xp, x, w, None, window, 1).shape == (0, 3, 3, 3)
    g = xp.zeros((0, 3, 3, 3), dtype="float32")
    assert (cuda.convolution.conv2d_weight_grad(xp, x, g, window, 1) == 0).all()
    assert cuda.pooling.max_pool2d(xp, x, window, (3, 3))[0].shape == (0, 2, 3, 3)
    assert cuda.noise.dropout(xp, x, 0.5, 0, 0).shape == x.shape
    ids = xp.zeros((2,), dtype="int64")
    table = cuda.embedding.embedding_grad(xp, xp.zeros((2, 0), dtype="float32"), ids, (3, 0))
    assert table.shape == (3, 0)
    with standin.count() as count:
        cuda.columns.im2col(xp, xp.zeros((0, 5, 5, 4), dtype="float32"), window)
    assert count.launches == 0


def test_a_kernel_is_compiled_once(xp) -> None:
    first = load.kernel(xp, "pooling.cu", "sum_pool", "float32")
    assert load.kernel(xp, "pooling.cu", "sum_pool", np.dtype("float32")) is first
    assert load.kernel(xp, "pooling.cu", "sum_pool", "float64") is not first


def test_wrong_types_and_failing_compilers_are_named(xp) -> None:
    with pytest.raises(TypeError, match=r"pooling.cu has no sum_pool<int>; it has sum_pool<Half>"):
        load.kernel(xp, "pooling.cu", "sum_pool", "int32")
    with pytest.raises(TypeError, match="no sum_up"):
        load.kernel(xp, "pooling.cu", "sum_up", "float32")
    with pytest.raises(load.KernelError, match="is incomplete"):
        load.source("missing.cu")

    def refuse(**kwargs: Any) -> None:
        raise RuntimeError("line 7: expected a ';'")

    broken = SimpleNamespace(RawModule=refuse, cuda=xp.cuda)
    broken = type("Broken", (), dict(vars(broken), RawModule=staticmethod(refuse)))
    with pytest.raises(
        load.KernelError, match=r"(?s)sum_pool<float> of .*pooling.cu.*line 7.*show"
    ):
        load.kernel(broken, "pooling.cu", "sum_pool", "float32")


def test_when_kernels_are_used(xp, monkeypatch) -> None:
    monkeypatch.delenv("MINITORCH7_KERNELS", raising=False)  # the plain stand-in sets it
    x = xp.zeros(3, dtype="float32")
    assert load.takes(xp, x) and not load.takes(np, np.zeros(3)) and not load.usable(np)
    assert not load.takes(xp, x, xp.zeros(3, dtype="int64"))
    monkeypatch.setenv("MINITORCH7_KERNELS", "0")
    assert not load.takes(xp, x)


def test_too_many_elements_are_refused_before_anything_is_done() -> None:
    with pytest.raises(ValueError, match="2147483648 elements .* use a smaller batch"):
        cuda.geometry.geometry((3, 2**15, 2**15, 2), (1, 1), Window((1, 1)))
    assert load.blocks(2**31 - 1) <= 2**20


def test_headers_are_put_in_once_and_lines_keep_their_numbers() -> None:
    text = load.source("implicit_gemm.cu")
    assert text.count("struct Half {") == 1 and '#include "' not in text
    own = (load.FOLDER / "implicit_gemm.cu").read_text().splitlines()
    after = text.split("#line ")[-1].splitlines()
    number = int(after[0].split()[0])
    assert after[1:3] == own[number - 1 : number + 1]
