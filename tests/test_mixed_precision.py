"""Mixed precision: what is cast, how exact it is, the scaling of losses, and training with both.

The bounds are the format's. Rounding to float16 moves y by at most U·|y| + TINY, with U = 2⁻¹¹ and
TINY = 2⁻²⁵, half a step of the smallest numbers; a sum of n products in float32 is off by at most
n·2⁻²⁴·Σ|a·b| beside that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from test_learner_toy import same_bits, toy_learner, weights_of

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.autograd import state
from minitorch7.data import drawn_digits
from minitorch7.functional import autocast as tables
from minitorch7.learner import Callback, CancelBatch, Learner, MixedPrecision, accuracy, to_fp16
from minitorch7.learner.learner import default_opt
from minitorch7.text.models import Model3

U, TINY, U32 = 2.0**-11, 2.0**-25, 2.0**-24


def numbers(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def host(t: Any) -> np.ndarray:
    return mt.backend.to_numpy(t.data).astype(np.float64)


def halved(array: np.ndarray) -> np.ndarray:
    """The values after rounding to float16, in float64."""
    return array.astype(np.float16).astype(np.float64)


# -------------------------------------------------------------------------------------- the tables

IMAGE, FILTERS = (2, 4, 6, 6), (4, 4, 3, 3)
CALLS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "matmul": (F.matmul, [(3, 4), (4, 5)]),
    "bmm": (F.bmm, [(2, 3, 4), (2, 4, 5)]),
    "linear": (F.linear, [(3, 4), (5, 4), (5,)]),
    "einsum": (lambda a, b: F.einsum("ij,kj->ik", a, b), [(3, 4), (5, 4)]),
    "conv1d": (F.conv1d, [(2, 4, 6), (4, 4, 3), (4,)]),
    "conv2d": (F.conv2d, [IMAGE, FILTERS, (4,)]),
    "conv_transpose2d": (F.conv_transpose2d, [IMAGE, FILTERS, (4,)]),
    "rnn_cell": (F.rnn_cell, [(2, 3), (2, 4), (4, 3), (4, 4), (4,), (4,)]),
    "gru_cell": (F.gru_cell, [(2, 3), (2, 4), (12, 3), (12, 4), (12,), (12,)]),
    "lstm_cell": (
        lambda x, h, c, *w: F.lstm_cell(x, (h, c), *w)[1],
        [(2, 3), (2, 4), (2, 4), (16, 3), (16, 4), (16,), (16,)],
    ),
    "sweep": (
        lambda *t: F.gru_sweep(*t)[0],
        [(5, 2, 3), (2, 4), (12, 3), (12, 4), (12,), (12,)],
    ),
    **{name: (getattr(F, name), [(3, 4)]) for name in ("exp", "log", "sum", "mean", "var", "std")},
    "pow": (lambda a: a**2, [(3, 4)]),
    "softplus": (lambda a: F.activations.softplus(a), [(3, 4)]),
    **{
        name: (lambda a, name=name: getattr(F, name)(a, 1), [(3, 4)])
        for name in ("cumsum", "softmax", "log_softmax", "logsumexp")
    },
    "layer_norm": (lambda a, w: F.layer_norm(a, 4, w), [(3, 4), (4,)]),
    "group_norm": (lambda a, w: F.group_norm(a, 2, w), [IMAGE, (4,)]),
    "instance_norm": (lambda a, w: F.instance_norm(a, weight=w), [IMAGE, (4,)]),
    **{
        name: (lambda a, name=name: getattr(F, name)(a, mt.tensor([0, 1, 2])), [(3, 4)])
        for name in ("cross_entropy", "nll_loss")
    },
    **{
        name: (getattr(F, name), [(3, 4), (3, 4)])
        for name in (
            "mse_loss l1_loss smooth_l1_loss binary_cross_entropy_with_logits".split()
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [*tables.LOWER, *tables.FLOAT32])
def test_each_function_computes_in_the_dtype_of_its_table(name: str, backend: str) -> None:
    function, shapes = CALLS[name]
    lower = name in tables.LOWER
    arrays = [np.abs(numbers(*s, seed=i)) for i, s in enumerate(shapes)]
    tensors = [mt.tensor(a, requires_grad=True) for a in arrays]
    with mt.autocast():
        taken = tensors if lower else [tensors[0].half(), *tensors[1:]]
        y = function(*taken)
    assert y.dtype == (np.float16 if lower else np.float32)
    y.float().sum().backward()
    assert [t.grad.dtype for t in tensors] == [np.dtype(np.float32)] * len(tensors)


@pytest.mark.parametrize("name", [*tables.LOWER, *tables.FLOAT32])
def test_float64_is_never_touched(name: str) -> None:
    function, shapes = CALLS[name]
    arrays = [np.abs(numbers(*s, seed=i, dtype=np.float64)) for i, s in enumerate(shapes)]
    plain = function(*map(mt.tensor, arrays))
    with mt.autocast():
        inside = function(*map(mt.tensor, arrays))
    assert inside.dtype == np.float64
    np.testing.assert_array_equal(host(inside), host(plain))


def test_gradcheck_inside_a_block() -> None:
    def net(x: Any, w: Any) -> Any:
        return F.batch_norm(F.conv2d(x, w), None, None, training=True)

    with mt.using("numpy"):
        shapes = ((2, 2, 4, 4), (2, 2, 3, 3))
        inputs = [mt.tensor(numbers(*s, dtype=np.float64), requires_grad=True) for s in shapes]
        with mt.autocast():
            assert mt.gradcheck(net, tuple(inputs))


def test_other_functions_take_what_comes_and_the_wider_wins(backend: str) -> None:
    half, full = mt.tensor(numbers(3, 4)).half(), mt.tensor(numbers(3, 4, seed=1))
    with mt.autocast():
        assert F.relu(half).dtype == (half + half).dtype == np.float16
        assert (half + full).dtype == F.cat([half, full]).dtype == np.float32


# --------------------------------------------------------------------------------------- exactness


def check_product(function: Callable[..., Any], *arrays: np.ndarray, count: int) -> None:
    """Result and gradients against float64, within one float16 rounding and float32 sums.

    count  how many products the longest of all these sums has
    """
    tensors = [mt.tensor(a, requires_grad=True) for a in arrays]
    with mt.autocast():
        y = function(*tensors)
    weight = halved(numbers(*y.shape, seed=9))
    y.backward(mt.tensor(weight.astype(np.float16)))

    def exactly(transform: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
        with mt.using("numpy"):
            wide = [mt.tensor(transform(halved(a)), requires_grad=True) for a in arrays]
            z = function(*wide)
            z.backward(mt.tensor(transform(weight)))
            return [host(z), *[host(t.grad) for t in wide]]

    right, sizes = exactly(lambda a: a), exactly(np.abs)
    got = [host(y), *[host(t.grad) for t in tensors]]
    for value, exact, size in zip(got, right, sizes, strict=True):
        bound = U * np.abs(exact) + TINY + 2 * count * U32 * size
        assert np.all(np.abs(value - exact) <= bound)


@settings(max_examples=20, deadline=None)
@given(m=st.integers(1, 9), k=st.integers(1, 300), n=st.integers(1, 9))
def test_products_are_rounded_once(m: int, k: int, n: int) -> None:
    for name in ("numpy", "cupy"):
        with standin.installed(), mt.using(name):
            check_product(F.matmul, numbers(m, k), numbers(k, n, seed=1), count=max(m, k, n))


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2, "groups": 2}],
    ids=["plain", "strided", "grouped"],
)
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
def test_convolutions_are_rounded_once(options: dict[str, Any], transposed: bool) -> None:
    groups = options.get("groups", 1)
    shape = (4, 6 // groups, 3, 3) if transposed else (6, 4 // groups, 3, 3)
    function = F.conv_transpose2d if transposed else F.conv2d
    x, w = numbers(3, 4, 9, 8), numbers(*shape, seed=1)
    with mt.using("numpy"):
        check_product(lambda x, w: function(x, w, **options), x, w, count=3 * 17 * 17)


def test_float16_columns_on_a_device_add_up_nearly_as_well() -> None:
    """There col2im adds the up to 9 products a place, each rounded, in float16."""
    x, w = numbers(2, 4, 7, 7), numbers(5, 4, 3, 3, seed=1)
    found = []
    for name in ("numpy", "cupy"):
        with standin.installed(), mt.using(name):
            tensors = [mt.tensor(a, requires_grad=True) for a in (x, w)]
            with mt.autocast():
                y = F.conv2d(*tensors, stride=2, padding=1)
            y.backward(mt.tensor(numbers(*y.shape, seed=2, dtype=np.float16)))
            found.append([host(t) for t in (y, *[t.grad for t in tensors])])
    for one, other in zip(*found, strict=True):
        largest = np.abs(one).max()
        assert np.abs(one - other).max() <= 2 * 9 * U * 9 * largest


def test_long_sums_of_float16_outside_a_block(backend: str) -> None:
    """Bias gradients are such sums. Added up in float16, ones would stop at 2048."""
    ones = mt.tensor(np.ones((5000, 3), np.float16))
    assert host(ones.sum(0)).tolist() == [5000] * 3
    assert ones.sum(0).dtype == np.float16
    assert host(F.cumsum(ones, 0))[-1].tolist() == [5000] * 3
    with mt.autocast():
        assert float(mt.tensor(np.full(10, 60000, np.float16)).sum()) == 600_000
    assert float(mt.tensor(np.full(10, 60000, np.float16)).sum()) == np.inf


def test_batch_norm_stores_float16_and_reckons_in_float32(backend: str) -> None:
    layer = nn.BatchNorm2d(3)
    values = (1000 + 30 * numbers(16, 3, 8, 8)).astype(np.float16)
    x = mt.tensor(values, requires_grad=True)
    with mt.autocast():
        y = layer(x)
    assert y.dtype == np.float16 and layer.running_mean.dtype == np.float32
    wide = values.astype(np.float64)
    mean, spread = wide.mean((0, 2, 3)), wide.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(host(layer.running_mean), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(host(layer.running_var), 0.9 + 0.1 * spread, rtol=1e-4)
    exact = (wide - mean[:, None, None]) / np.sqrt(wide.var((0, 2, 3)) + 1e-5)[:, None, None]
    # float32 loses 2⁻²⁴ of values near 1000, which is that over the deviation, 30, of the result
    assert np.all(np.abs(host(y) - exact) <= U * np.abs(exact) + TINY + 4 * 1000 / 30 * U32 * 4)
    y.backward(mt.tensor(np.full(y.shape, 100, np.float16)))
    assert x.grad.dtype == np.float16
    assert host(layer.bias.grad).tolist() == [102_400] * 3  # float16 ends at 65504


def test_batch_norm_in_evaluation_gives_gradients_their_dtypes(backend: str) -> None:
    """A product before it takes dy and its own float16 input; γ and β are float32."""
    mt.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).eval()
    with mt.autocast():
        loss = net(mt.tensor(numbers(4, 5))).sum()
    loss.backward()
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    half = {name: host(p.grad) for name, p in net.named_parameters()}
    net.zero_grad()
    net(mt.tensor(numbers(4, 5))).sum().backward()
    for name, p in net.named_parameters():
        np.testing.assert_allclose(half[name], host(p.grad), rtol=8 * U, atol=8 * U, err_msg=name)


def test_cross_entropy_counts_more_places_than_float16_can() -> None:
    scores, target = numbers(1, 3, 300, 300, dtype=np.float16), np.zeros((1, 300, 300), np.int64)
    x = mt.tensor(scores, requires_grad=True)
    with mt.autocast():
        loss = F.cross_entropy(x, mt.tensor(target))
    exact = F.cross_entropy(mt.tensor(scores.astype(np.float64)), mt.tensor(target))
    assert float(loss) == pytest.approx(float(exact), rel=1e-5)
    loss.backward()
    assert x.grad.dtype == np.float16 and host(x.grad).any()


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_sweep_is_as_exact_as_its_inputs(layer: Any, backend: str) -> None:
    """Against float64 on the rounded weights: states are rounded where they are stored, only."""
    net = layer(6, 8)
    for p in net.parameters():
        p.copy_(mt.tensor(halved(numbers(*p.shape) / 4)))
    x = mt.tensor(halved(numbers(20, 3, 6)).astype(np.float32), requires_grad=True)
    with mt.autocast():
        y, last = net(x)
    c = numbers(*y.shape, seed=3, dtype=np.float16)
    y.backward(mt.tensor(c))
    got = [host(y), host(x.grad), *[host(p.grad) for p in net.parameters()]]
    assert y.dtype == np.float16 and net.weight_hh_l0.grad.dtype == np.float32
    net.zero_grad()
    z = mt.tensor(host(x), requires_grad=True)
    exact, _ = net.double()(z)
    exact.backward(mt.tensor(c.astype(np.float64)))
    right = [host(exact), host(z.grad), *[host(p.grad) for p in net.parameters()]]
    assert np.all(np.abs(got[0] - right[0]) <= U * np.abs(right[0]) + 1e-6)
    for value, expected in zip(got[1:], right[1:], strict=True):
        # 20 steps of gates, each off by U: of the largest gradient, as they add up
        assert (
            np.abs(value - expected).max()
            <= 20 * U * np.abs(right[1]).max() + U * np.abs(expected).max() * 4
        )


def test_kept_sweeps_take_half(backend: str) -> None:
    net, x = nn.LSTM(6, 8), mt.tensor(numbers(20, 3, 6))
    sizes = []
    for enabled in (False, True):
        with mt.autocast(enabled=enabled):
            y, _ = net(x)
        sizes.append(sum(a.nbytes for a in y.grad_fn.kept))
    assert sizes[0] == 2 * sizes[1]


# ------------------------------------------------------------------------------------- the weights


def test_a_weight_is_cast_once_until_it_changes(backend: str) -> None:
    w, x = nn.Parameter(mt.tensor(numbers(4, 4))), mt.tensor(numbers(3, 4))
    with mt.autocast():
        first = state.autocast.cast("linear", w)
        assert state.autocast.cast("matmul", w) is first and first.dtype == np.float16
        with mt.autocast():
            assert state.autocast.cast("linear", w) is first
        F.linear(F.linear(x, w), w).float().sum().backward()
        assert state.autocast.cast("linear", w) is not first  # its graph is gone
        F.linear(x, w).float().sum().backward()
        second = state.autocast.cast("linear", w)
        w.copy_(mt.tensor(np.zeros((4, 4), np.float32)))
        assert state.autocast.cast("linear", w) is not second
        assert not host(state.autocast.cast("linear", w)).any()
    with mt.autocast():
        with mt.no_grad():
            F.linear(x, w)
        assert F.linear(x, w).requires_grad
    with mt.autocast(cache_enabled=False):
        assert state.autocast.cast("linear", w) is not state.autocast.cast("linear", w)


def test_shared_weights_get_the_sum_of_their_gradients() -> None:
    """0.5 and 3 are exact in float16, and so is everything made of them here."""
    w, x = nn.Parameter(mt.tensor(np.full((2, 2), 0.5, np.float32))), mt.tensor([[3.0, 1.0]])
    grads = []
    for enabled in (False, True):
        with mt.autocast(enabled=enabled):
            y = F.linear(F.linear(x, w), w)
        y.float().sum().backward()
        grads.append(host(w.grad))
        w.grad = None
    np.testing.assert_array_equal(*grads)


# --------------------------------------------------------------------------------------- the block


def test_blocks_nest_and_end() -> None:
    a = mt.tensor(numbers(2, 2))
    assert not mt.is_autocast_enabled()
    with mt.autocast():
        half = a @ a
        with mt.autocast(enabled=False):
            assert not mt.is_autocast_enabled() and (a @ a).dtype == np.float32
            with pytest.raises(TypeError, match="float16 but other is float32"):
                half @ a
            assert (half.float() @ a).dtype == np.float32
        assert (a @ a).dtype == np.float16
        seen = []
        thread = threading.Thread(target=lambda: seen.append(mt.is_autocast_enabled()))
        thread.start()
        thread.join()
        assert seen == [False]
    with pytest.raises(ZeroDivisionError), mt.autocast():
        1 / 0  # noqa: B018
    assert not mt.is_autocast_enabled() and (a @ a).dtype == np.float32


def test_as_a_decorator() -> None:
    @mt.autocast()
    def product(a: Any, depth: int = 2) -> Any:
        return product(a, depth - 1) if depth else a @ a

    assert product(mt.tensor(numbers(2, 2))).dtype == np.float16
    assert not mt.is_autocast_enabled()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", np.int8, None, "half-baked"])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match="dtype must be 'float16', got"):
        mt.autocast(dtype)


def test_switches_must_be_bools() -> None:
    with pytest.raises(TypeError, match=r"enabled must be True or False, got 'float16'"):
        mt.autocast("float16", "float16")
    a = mt.tensor(numbers(2, 2))
    with mt.autocast(), pytest.raises(TypeError, match="float16 but other is float64"):
        a @ a.double()


def test_activations_take_half_of_the_memory() -> None:
    """Of what grows with the batch: a residual block's net, before its loss in float32."""
    blocks = [nn.res_block(8) for _ in range(6)]
    head = [nn.conv_layer(8, 10, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(nn.conv_layer(1, 8, stride=2), *blocks, *head)
    model.to("numpy")  # what a step takes can be foretold where it makes the same arrays always
    with mt.using("numpy"):
        x, y = mt.tensor(numbers(128, 1, 28, 28)), mt.tensor(np.zeros(128, np.int64))
        full = mt.predict_memory(model, F.cross_entropy, x, y)
        with mt.autocast():
            mixed = mt.predict_memory(model, F.cross_entropy, x, y)
    assert 0.49 * full.graph <= mixed.graph <= 0.56 * full.graph


# --------------------------------------------------------------------------------- scaling a loss


def regression(scaled: bool, steps: int = 40) -> tuple[float, float]:
    """(first gradient, loss at the end): activations' gradients are about 10⁻⁹."""
    mt.manual_seed(0)
    x = mt.tensor(numbers(64, 8))
    y = mt.tensor((host(x) @ np.arange(8) / 8).astype(np.float32)[:, None])
    net, small = nn.Linear(8, 1), 1e-8
    opt = optim.SGD(net.parameters(), lr=0.1 / small)
    scaler = optim.GradScaler(init_scale=2.0**24, enabled=scaled)
    for step in range(steps):
        opt.zero_grad()
        with mt.autocast():
            loss = F.mse_loss(net(x), y)
        scaler.scale(loss * small).backward()
        scaler.unscale_(opt)
        if step == 0:
            first = float(abs(net.weight.grad).max())
        scaler.step(opt)
        scaler.update()
    return first, float(loss)


def test_what_underflows_without_scaling_trains_with_it(backend: str) -> None:
    first, loss = regression(scaled=False)
    assert first == 0 and loss > 1
    first, loss = regression(scaled=True)
    assert 0 < first < 1e-6 and loss < 0.01


RULES: dict[str, Callable[..., Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=0.1),
}


def make_step(scaler: Any, opt: Any, params: list[Any], gradient: float, size: float = 1.0) -> None:
    for p in params:
        p.grad = None
    scaler.scale(sum((p * size).sum() for p in params)).backward()
    params[0].grad.data[...] *= gradient
    scaler.step(opt)
    scaler.update()


def bits(params: list[Any], opt: Any) -> list[bytes]:
    arrays = [p.data for p in params]
    arrays += [v for s in opt.state.values() for v in s.values() if mt.backend.is_array(v)]
    return [mt.backend.to_numpy(a).tobytes() for a in arrays]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_an_infinity_skips_the_step_and_halves_the_scale(
    rule: str, bad: float, backend: str
) -> None:
    params = [nn.Parameter(mt.tensor(numbers(*s))) for s in ((3,), (4, 2), (200, 200))]
    opt, scaler = RULES[rule](params), optim.GradScaler(init_scale=1024)
    begin = [host(p) for p in params]
    make_step(scaler, opt, params, bad)  # before the optimiser remembers anything
    for p, first in zip(params, begin, strict=True):
        np.testing.assert_array_equal(host(p), first)
    assert scaler.get_scale() == 512
    make_step(scaler, opt, params, 1.0)
    before = bits(params, opt)
    make_step(scaler, opt, params, bad)
    assert bits(params, opt) == before and scaler.get_scale() == 256
    make_step(scaler, opt, params, 1.0)
    assert bits(params, opt) != before and scaler.get_scale() == 256
    assert all(np.isfinite(host(p)).all() for p in params)


def test_a_first_step_undone_leaves_no_trace(backend: str) -> None:
    ends = []
    for skip in (False, True):
        params = [nn.Parameter(mt.tensor(numbers(*s))) for s in ((3,), (4, 2))]
        opt, scaler = RULES["sgd"](params), optim.GradScaler(1024)
        for gradient in ([np.inf] if skip else []) + [1.0, 2.0]:
            make_step(scaler, opt, params, gradient)
        ends.append(bits(params, opt))
    assert ends[0] == ends[1]


def test_scaling_by_powers_of_two_changes_no_bit(backend: str) -> None:
    ends = []
    for enabled in (False, True):
        params = [nn.Parameter(mt.tensor(numbers(5, 4)))]
        opt, scaler = RULES["adam"](params), optim.GradScaler(enabled=enabled)
        for gradient in (1.0, -0.3, 2.7):
            make_step(scaler, opt, params, gradient)
        ends.append(bits(params, opt))
    assert ends[0] == ends[1]


def test_the_scale_grows_after_good_steps_and_never_to_infinity(backend: str) -> None:
    params = [nn.Parameter(mt.tensor(numbers(3)))]
    opt, scaler = RULES["sgd"](params), optim.GradScaler(8, 4.0, 0.25, growth_interval=2)
    scales = []
    for gradient in (1, 1, 1, np.inf, 1, 1, 1):
        make_step(scaler, opt, params, gradient)
        scales.append(scaler.get_scale())
    assert scales == [8, 32, 32, 8, 8, 32, 32]
    kept = scaler.state_dict()
    assert kept["_growth_tracker"] == 1
    other = optim.GradScaler(2.0)
    other.load_state_dict(kept)
    make_step(other, opt, params, 1.0)
    assert other.get_scale() == 128
    other.update(2.0**127)
    assert other.get_scale() == 2.0**127
    for _ in range(3):
        make_step(other, opt, params, 1.0, size=2.0**-100)
    assert other.get_scale() == 2.0**127


def test_two_optimisers_each_look_at_their_own_gradients(backend: str) -> None:
    one, two = (nn.Parameter(mt.tensor(numbers(3))) for _ in range(2))
    opts, scaler = [RULES["sgd"]([p]) for p in (one, two)], optim.GradScaler(64)
    begin = host(one)
    scaler.scale([one.sum(), two.sum()])[0].backward()
    scaler.scale(two.sum()).backward()
    two.grad.data[...] = np.inf
    for opt in opts:
        scaler.step(opt)
    scaler.update()
    assert scaler.get_scale() == 32
    assert (host(one) != begin).all() and (host(two) == begin).all()


def test_nothing_waits_for_the_device() -> None:
    with standin.installed(), mt.using("cupy"):
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                            nn.Linear(144, 3))  # fmt: skip
        opt, scaler = optim.Adam(net.parameters()), optim.GradScaler()
        x, y = mt.tensor(numbers(5, 1, 8, 8)), mt.tensor(np.array([0, 1, 2, 0, 1]))
        for _ in range(3):
            with standin.no_sync():
                opt.zero_grad()
                with mt.autocast():
                    loss = F.cross_entropy(net(x), y)
                scaler.scale(loss).backward()
                scaler.step(opt)
                scaler.update()
        assert scaler.state_dict()["_growth_tracker"] == 3


def test_scaler_mistakes() -> None:
    for name, value, error in [
        ("init_scale", 0, ValueError),
        ("init_scale", "1", TypeError),
        ("growth_factor", 1.0, ValueError),
        ("backoff_factor", 1.0, ValueError),
        ("growth_interval", 0, ValueError),
        ("growth_interval", 2.5, TypeError),
        ("init_scale", float("inf"), ValueError),
    ]:
        with pytest.raises(error, match=f"GradScaler: {name} must be"):
            optim.GradScaler(**{name: value})
    p = nn.Parameter(mt.tensor(numbers(3)))
    opt, scaler = RULES["sgd"]([p]), optim.GradScaler()
    with pytest.raises(TypeError, match="needs a Tensor or a list of them, got float"):
        scaler.scale(1.0)
    with pytest.raises(ValueError, match="none of the optimiser's parameters has a gradient"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="no optimiser has made a step"):
        scaler.update()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="have been unscaled since the last"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match="has made its step since the last"):
        scaler.step(opt)
    with pytest.raises(KeyError, match="lacks growth_factor"):
        scaler.load_state_dict({"scale": 1.0})
    half = nn.Parameter(mt.tensor(numbers(3, dtype=np.float16)))
    scaler.scale(half.sum()).backward()
    with pytest.raises(ValueError, match="a gradient is float16"):
        scaler.unscale_(RULES["sgd"]([half]))
    off = optim.GradScaler(enabled=False)
    assert off.scale(1.0) == 1.0 and off.get_scale() == 1 and off.state_dict() == {}


# ------------------------------------------------------------------------------------ the callback


class Dies(Exception):
    """Stands for the death of the process."""


class DiesAt(Callback):
    def __init__(self, done: int) -> None:
        self.done = done

    def on_batch_begin(self) -> None:
        if self.learn.training and self.learn.done == self.done:
            raise Dies


def scaler_to_watch() -> optim.GradScaler:
    """Its first steps overflow, and it grows every three good ones until they do again."""
    return optim.GradScaler(2.0**22, growth_interval=3)


@pytest.mark.parametrize("where", ["numpy", "cupy"])
def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Any, where: str) -> None:
    def fit(folder: str, *callbacks: Any) -> Any:
        learn = toy_learner(tmp_path / folder, callbacks=[MixedPrecision(scaler_to_watch())])
        learn.fit_one_cycle(4, 0.1, callbacks=callbacks, checkpoint="toy", checkpoint_every=3)
        return learn

    with standin.installed(), mt.using(where):
        whole = fit("whole")
        with pytest.raises(Dies):
            fit("killed", DiesAt(11))
        assert not mt.is_autocast_enabled()
        resumed = fit("killed")
        assert same_bits(weights_of(whole), weights_of(resumed))
    states = [learn.callbacks[0].state_dict() for learn in (whole, resumed)]
    assert states[0] == states[1]


def test_a_left_out_step_leaves_the_weights_alone_and_does_not_decay_them(tmp_path: Any) -> None:
    """Whatever the rule; with SGD the decay is the learner's work."""
    moved: dict[str, list[bool]] = {}

    class Watch(Callback):
        order = 50

        def on_batch_begin(self) -> None:
            self.before = host(self.learn.model[0].weight)

        def on_batch_end(self) -> None:
            if self.learn.training:
                now = host(self.learn.model[0].weight)
                moved[name].append(bool((now != self.before).any()))
                assert all(p.grad is None for p in self.learn.model.parameters())

    for name in ("numpy", "cupy"):
        with standin.installed(), mt.using(name):
            moved[name] = []
            learn = toy_learner(tmp_path, opt_func=optim.SGD, wd=0.1, callbacks=[Watch()])
            to_fp16(learn, init_scale=2.0**24)
            learn.fit(2, 0.01)
            scale = learn.callbacks[-1].scaler.get_scale()
            assert moved[name].count(False) == np.log2(2.0**24 / scale) > 0
            assert moved[name][-1]
    assert moved["numpy"] == moved["cupy"]


def test_accumulated_gradients_are_of_one_scale(tmp_path: Any) -> None:
    class EverySecond(Callback):
        def on_backward_end(self) -> None:
            if self.learn.done % 2 == 0:
                raise CancelBatch

    def trained(*callbacks: Any) -> dict[str, np.ndarray]:
        learn = toy_learner(tmp_path, opt_func=optim.SGD, callbacks=[*callbacks, EverySecond()])
        learn.fit(2, 0.05)
        return weights_of(learn)

    plain, mixed = trained(), trained(MixedPrecision(optim.GradScaler(256)))
    for name, value in plain.items():
        np.testing.assert_allclose(mixed[name], value, rtol=0.02, atol=0.003)


def test_lr_find_leaves_the_scale_as_it_was(tmp_path: Any) -> None:
    learn = to_fp16(toy_learner(tmp_path), init_scale=2.0**30)
    before = learn.callbacks[0].state_dict()
    learn.lr_find(num_it=10)
    assert learn.callbacks[0].state_dict() == before
    with pytest.raises(RuntimeError, match="already; see to_fp32"):
        to_fp16(learn)


def test_predictions_and_metrics_are_float32(tmp_path: Any) -> None:
    seen = set()

    def watching(pred: Any, target: Any) -> Any:
        seen.add((str(pred.dtype), mt.is_autocast_enabled()))
        return accuracy(pred, target)

    learn = to_fp16(toy_learner(tmp_path, metrics=watching))
    learn.fit(1)
    assert {dtype for dtype, _ in seen} == {"float32"}
    assert not mt.is_autocast_enabled()
    assert learn.recorder.losses[-1] < 3  # the loss itself, not the scaled one


def test_callback_mistakes() -> None:
    with pytest.raises(TypeError, match="scaler must be a GradScaler, got 3"):
        MixedPrecision(3)
    with pytest.raises(ValueError, match="MixedPrecision: dtype must be 'float16'"):
        MixedPrecision(dtype="bfloat16")


def test_a_text_model_keeps_its_state() -> None:
    mt.manual_seed(0)
    model = Model3(7, 5, 2)
    x = mt.tensor(np.array([[1, 2, 3], [4, 5, 6]]))
    for _ in range(2):
        with mt.autocast():
            y = model(x)
        assert y.dtype == np.float16 and model.h.dtype == np.float32
    assert model(x).dtype == np.float32


def test_the_lesson_s_net_learns_digits_as_well_as_in_float32(tmp_path: Any) -> None:
    count = 600 if mt.backend.active() == "numpy" else 200  # the stand-in is slow in float16
    images = drawn_digits(count, 200).split_by_folder("training", "testing").label_from_folder()
    data = images.databunch(bs=count // 12).normalize()

    def trained(mixed: bool) -> tuple[float, Any]:
        mt.manual_seed(0)
        block = [nn.Sequential(nn.conv_layer(i, o, stride=2), nn.res_block(o))
                 for i, o in ((1, 8), (8, 16), (16, 32))]  # fmt: skip
        model = nn.Sequential(*block, nn.conv_layer(32, 10, stride=2), nn.AdaptiveAvgPool2d(1),
                              nn.Flatten())  # fmt: skip
        learn = Learner(data, model, F.cross_entropy, default_opt, accuracy, path=tmp_path,
                        progress=False)  # fmt: skip
        learn = to_fp16(learn) if mixed else learn
        learn.fit_one_cycle(4, 0.05)
        return learn.recorder.metrics[-1][0], learn

    full, _ = trained(False)
    mixed, learn = trained(True)
    assert full > (0.9 if count == 600 else 0.7)
    # Eight float32 runs from weights perturbed by 5·10⁻⁴, a rounding to float16, end between 0.925
    # and 0.975.
    assert mixed >= full - 0.05
    assert all(p.dtype == np.float32 for p in learn.model.parameters())
