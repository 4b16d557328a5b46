"""Recurrent layers and cells: sweep and loop alike, options, long sequences, memory, errors."""

import copy
import gc
import math
import tracemalloc
import warnings

import numpy as np
import pytest
import standin
from hypothesis import given
from hypothesis import strategies as st
from reference import recurrent as ref
from reference.checking import examples, rngs, some, switch
from test_bad_input import array, double, refused, table, whole, x

import minitorch7 as mt
from minitorch7 import backend as libraries
from minitorch7 import functional as F
from minitorch7 import nn

KINDS = {"RNN": {}, "RNN relu": {"nonlinearity": "relu"}, "GRU": {}, "LSTM": {}}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
kinds = pytest.mark.parametrize("kind", KINDS)


def layer(kind, *sizes, **options):
    return getattr(nn, kind.split()[0])(*sizes, **KINDS[kind], **options)


def flat(results):
    """(output, (h, c)) → [output, h, c]"""
    if isinstance(results, tuple):
        return [t for r in results for t in flat(r)]
    return [results]


def normal(rng, *shape, grad=True):
    return mt.tensor(rng.standard_normal(shape), requires_grad=grad)


def states_of(rng, kind, *shape, grad=True):
    if kind != "LSTM":
        return normal(rng, *shape, grad=grad)
    return normal(rng, *shape, grad=grad), normal(rng, *shape, grad=grad)


# --------------------------------------------------------------------------- the sweep and the loop


@kinds
@examples
@given(
    layers=st.integers(1, 3),
    length=some,
    batch=st.integers(0, 3),
    options=st.fixed_dictionaries(dict.fromkeys(("bidirectional", "batch_first", "bias"), switch)),
    dropout=st.sampled_from([0.0, 0.4]),
    given_state=switch,
    rng=rngs,
)
def test_the_sweep_is_the_loop(
    backend, kind, layers, length, batch, options, dropout, given_state, rng
):
    """Results and all gradients, in training with the same chances."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = layer(kind, 2, 3, num_layers=layers, dropout=dropout, **options).double()
    slow = copy.deepcopy(net)
    slow.sweep = False
    shape = (batch, length, 2) if options["batch_first"] else (length, batch, 2)
    inputs = [normal(rng, *shape)]
    if given_state:
        directions = 1 + options["bidirectional"]
        inputs += flat(states_of(rng, kind, layers * directions, batch, 3))
    cotangents, found = None, []
    for model in (net, slow):
        mt.manual_seed(5)
        hx = inputs[1:] and (tuple(inputs[1:]) if kind == "LSTM" else inputs[1])
        results = flat(model(inputs[0], hx) if given_state else model(inputs[0]))
        cotangents = cotangents or [normal(rng, *t.shape, grad=False) for t in results]
        wanted = [*inputs, *model.parameters()]
        grads = mt.grad(results, wanted, cotangents)
        found.append([t.detach().cpu().numpy() for t in (*results, *grads)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@kinds
def test_a_stack_of_layers_is_the_formula(backend, kind):
    """Two layers in two directions, from the loops of tests/reference."""
    net = layer(kind, 2, 3, 2, bidirectional=True).double()
    rng = np.random.default_rng(0)
    inputs, first = rng.standard_normal((4, 2, 2)), rng.standard_normal((2, 4, 2, 3))
    sweep = getattr(ref, kind.split()[0].lower() + "_sweep")
    options = ["relu"] if kind == "RNN relu" else []
    given, last = inputs, []
    for depth in range(2):
        both = []
        for way, suffix in enumerate((f"_l{depth}", f"_l{depth}_reverse")):
            weights = [
                getattr(net, name + suffix).detach().cpu().numpy()
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            h, c = first[:, 2 * depth + way]
            y, *after = sweep(
                given[:: -1 if way else 1], (h, c) if kind == "LSTM" else h, *weights, *options
            )
            both.append(y[:: -1 if way else 1])
            last.append(after)
        given = np.concatenate(both, 2)
    h, c = mt.tensor(first[0]), mt.tensor(first[1])
    y, *found = flat(net(mt.tensor(inputs), (h, c) if kind == "LSTM" else h))
    np.testing.assert_allclose(y.detach().cpu().numpy(), given, rtol=1e-10)
    for t, expected in zip(found, zip(*last, strict=True), strict=True):
        np.testing.assert_allclose(t.detach().cpu().numpy(), np.stack(expected), rtol=1e-10)


@kinds
def test_third_derivatives(kind):
    """The second rule of a sweep gives a graph of its own, with the history of every input."""
    found = []
    for sweep in (True, False):
        rng = np.random.default_rng(0)
        mt.manual_seed(1)
        net = layer(kind, 2, 2, sweep=sweep).double()
        x, hx = normal(rng, 3, 2, 2), normal(rng, 1, 2, 2)
        state = (hx * x[0], hx) if kind == "LSTM" else hx * x[0]  # made from the input, and used
        y, _ = net(x * hx, state)
        for _ in range(2):
            (y,) = mt.grad((y * y).sum(), [x], create_graph=True)
        wanted = [x, hx, net.weight_ih_l0, net.weight_hh_l0, net.bias_hh_l0]
        found.append([g.numpy() for g in mt.grad(y.sum(), wanted)])
    for one, other in zip(*found, strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_the_graph_can_be_kept_and_walked_again(backend):
    net, x = nn.GRU(2, 3), mt.tensor(np.ones((4, 2, 2), np.float32), requires_grad=True)
    y, _ = net(x)
    first = mt.grad(y.sum(), x, retain_graph=True)[0].numpy().copy()
    (again,) = mt.grad(y.sum(), x)
    np.testing.assert_array_equal(again.numpy(), first)
    with pytest.raises(RuntimeError, match="freed"):
        mt.grad(y.sum(), x)


def test_a_weight_changed_between_forward_and_backward_is_noticed(backend):
    net = nn.GRU(2, 3)
    y, _ = net(x(4, 2, 2))
    net.weight_hh_l0.copy_(net.weight_hh_l0.detach() * 2)
    with pytest.raises(RuntimeError, match="GRUSweep.*changed in place"):
        y.sum().backward()


# ------------------------------------------------------------------------------------ what it is


@kinds
def test_weights_are_named_and_drawn_as_in_pytorch(backend, kind):
    net, rows = layer(kind, 5, 9, 2, bidirectional=True), GATES[kind.split()[0]] * 9
    shapes = {}
    for suffix, width in (("_l0", 5), ("_l0_reverse", 5), ("_l1", 18), ("_l1_reverse", 18)):
        shapes |= {f"weight_ih{suffix}": (rows, width), f"weight_hh{suffix}": (rows, 9)}
        shapes |= {f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (rows,)}
    assert {n: p.shape for n, p in net.named_parameters()} == shapes
    assert list(net.state_dict()) == list(shapes)
    for name, p in net.named_parameters():
        values = p.detach().cpu().numpy()
        assert np.abs(values).max() <= 1 / 3 and np.unique(values).size == values.size, name
    every = np.concatenate([p.detach().cpu().numpy().ravel() for p in net.parameters()])
    assert every.max() > 0.32 and every.min() < -0.32 and abs(every.mean()) < 0.05
    plain = layer(kind, 5, 9, bias=False)
    assert [n for n, _ in plain.named_parameters()] == ["weight_ih_l0", "weight_hh_l0"]
    assert plain.bias_ih_l0 is None


def test_the_lesson_models_have_the_lesson_s_sizes():
    assert sum(p.numel() for p in nn.RNN(64, 64).parameters()) == 8_320
    assert sum(p.numel() for p in nn.GRU(64, 64, 2).parameters()) == 49_920


def test_they_say_what_they_are():
    assert (
        repr(nn.GRU(64, 64, 2, batch_first=True)) == "GRU(64, 64, num_layers=2, batch_first=True)"
    )
    long = nn.LSTM(3, 4, 2, bias=False, dropout=0.5, bidirectional=True, sweep=False)
    assert repr(long) == (
        "LSTM(3, 4, num_layers=2, bias=False, dropout=0.5, bidirectional=True, sweep=False)"
    )
    assert repr(nn.RNNCell(3, 4, False, "relu")) == "RNNCell(3, 4, bias=False, nonlinearity=relu)"
    assert repr(nn.LSTMCell(3, 4)) == "LSTMCell(3, 4)"


@kinds
def test_one_sequence_is_a_batch_of_one(backend, kind):
    rng = np.random.default_rng(0)
    for batch_first in (False, True):
        net = layer(kind, 2, 3, 2, batch_first=batch_first).double()
        net.requires_grad_(False)
        x, hx = normal(rng, 4, 2, grad=False), states_of(rng, kind, 2, 3, grad=False)
        y, *last = flat(net(x, hx))
        several = tuple(t.unsqueeze(1) for t in hx) if kind == "LSTM" else hx.unsqueeze(1)
        expected, *others = flat(net(x.unsqueeze(0 if batch_first else 1), several))
        assert y.shape == (4, 3) and all(t.shape == (2, 3) for t in last)
        np.testing.assert_array_equal(y.numpy(), expected.squeeze(0 if batch_first else 1).numpy())
        for one, other in zip(last, others, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.squeeze(1).numpy())


@kinds
def test_a_sequence_in_two_parts_is_the_sequence(backend, kind):
    """The state that comes back is what the next part begins with."""
    net, rng = layer(kind, 2, 3, 2).double().requires_grad_(False), np.random.default_rng(0)
    x = normal(rng, 7, 2, 2, grad=False)
    whole_y, *whole_last = flat(net(x))
    one, state = net(x[:3])
    two, state = net(x[3:], state)
    np.testing.assert_allclose(F.cat([one, two]).numpy(), whole_y.numpy(), rtol=1e-12)
    for found, expected in zip(flat(state), whole_last, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


@kinds
def test_a_cell_is_a_step_of_its_layer(backend, kind):
    rng, net = np.random.default_rng(0), layer(kind, 2, 3).double().requires_grad_(False)
    cell = getattr(nn, kind.split()[0] + "Cell")(2, 3, **KINDS[kind]).double()
    cell.requires_grad_(False)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in net.state_dict().items()})
    x, state, seen = normal(rng, 4, 2, 2, grad=False), None, []
    for step in x:
        state = cell(step, state)
        seen.append(flat(state)[0])
    y, *last = flat(net(x))
    np.testing.assert_allclose(F.stack(seen).numpy(), y.numpy(), rtol=1e-12)
    np.testing.assert_allclose(flat(state)[-1].numpy(), last[-1][0].numpy(), rtol=1e-12)
    one = flat(cell(x[0, 0]))
    for found, expected in zip(one, flat(cell(x[0])), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected[0].numpy())


@kinds
def test_dropout_is_between_layers_and_in_training_only(backend, kind):
    x, net = mt.tensor(np.ones((3, 2, 2), np.float32)), layer(kind, 2, 3, 2, dropout=1.0)
    net.bias_ih_l1.copy_(np.ones(net.bias_ih_l1.shape, np.float32))
    y, *_ = flat(net(x))
    other, *_ = flat(net(x * -5))
    assert not (y - other).detach().cpu().numpy().any(), "the second layer sees noughts"
    assert y.detach().cpu().numpy().any(), "nothing is dropped behind the last layer"
    net.eval()
    plain = layer(kind, 2, 3, 2)
    plain.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(*(m(x)[0].detach().cpu().numpy() for m in (net, plain)))


def test_flatten_parameters_changes_nothing():
    net = nn.LSTM(2, 3)
    before = [p.data for p in net.parameters()]
    assert net.flatten_parameters() is None
    assert all(p.data is b for p, b in zip(net.parameters(), before, strict=True))


def test_flat_batch_norm_takes_rows_in_any_arrangement(backend):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((12, 3)).astype(np.float32)
    expected = nn.BatchNorm1d(3)(mt.tensor(rows)).detach().cpu().numpy()
    for shape in ((12, 3), (4, 3, 3), (2, 3, 2, 3)):
        layer = nn.BatchNorm1dFlat(3)
        y = layer(mt.tensor(rows.reshape(shape)))
        np.testing.assert_array_equal(y.detach().cpu().numpy(), expected.reshape(shape))
        assert layer.num_batches_tracked.item() == 1
    assert repr(layer).startswith("BatchNorm1dFlat(3, eps=1e-05")


# --------------------------------------------------------------------------------- long and large


@pytest.mark.parametrize(
    ("kind", "sweep"), [("RNN", True), ("GRU", True), ("LSTM", True), ("RNN", False)]
)
def test_ten_thousand_steps(kind, sweep):
    """Neither the walk nor the release of the graph recurses; the first input gets its gradient."""
    net = layer(kind, 1, 1, bias=False, sweep=sweep).double()
    for p in net.parameters():
        p.copy_(np.full(p.shape, 1.0) if kind == "RNN" else np.full(p.shape, 0.01))
    t = mt.tensor(np.full((10_000, 1, 1), 1e-3), requires_grad=True)
    y, last = net(t)
    last = flat(last)[0]
    last.sum().backward()
    assert t.grad.shape == t.shape and np.isfinite(t.grad.numpy()).all()
    assert t.grad.numpy()[-1, 0, 0] != 0 and net.weight_hh_l0.grad.numpy().any()
    del y, last
    gc.collect()


KEPT = {  # floats kept for backward beside the inputs: of each step, and of the initial state
    "RNN": (1, 1),
    "GRU": (5, 1),
    "LSTM": (6, 2),
}


@pytest.mark.parametrize("kind", KEPT)
def test_memory_is_the_formula(kind):
    """What a sweep keeps, as `Sweep` says: T·N·H floats a gate and a state."""
    length, batch, size = 50, 16, 40
    net = layer(kind, 24, size)
    with mt.using("numpy"):
        net.cpu()
        values = mt.randn(length, batch, 24)
        net(values)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            y, _ = net(values)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    steps, first = KEPT[kind]
    expected = 4 * batch * size * (steps * length + first)
    assert 0 <= after - before - expected < 0.1 * expected  # the last state, and Python's objects
    assert y.requires_grad


@pytest.mark.parametrize("kind", KEPT)
def test_a_step_of_training_needs_no_more_than_it_must(kind):
    """At the peak: what is kept, and in backward the gates' gradients and those of the inputs."""
    length, batch, size = 50, 16, 40
    with mt.using("numpy"):
        net, values = layer(kind, size, size).cpu(), mt.randn(length, batch, size)
        values.requires_grad_()
        net(values)[0].sum().backward()
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            net(values)[0].sum().backward()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    steps, _ = KEPT[kind]
    within = net.cell.scratch  # da; with dq; with o·(1 − tanh² c)
    passed = 2  # the gradient that arrives, and that of the input
    expected = 4 * batch * size * length * (steps + within + passed)
    assert peak - before < 1.15 * expected


def test_nothing_in_a_step_waits_for_the_device():
    with standin.installed(), mt.using("cupy"):
        net, t = nn.GRU(2, 3, 2, batch_first=True, bidirectional=True), mt.randn(2, 4, 2)
        with standin.no_sync():
            y, _ = net(t)
            y.sum().backward()
        assert libraries.name_of(net.weight_hh_l0.grad.data) == "cupy"


# -------------------------------------------------------------------------------------- bad input


def gru(*shape, hx=None, **options):
    return nn.GRU(3, 4, **options)(x(*shape), hx)


class Packed:
    batch_sizes = None


@table(
    [
        (lambda: gru(5, 2, 7), ValueError, "GRU:", "7 features", "takes 3", "(T, N, in)"),
        (lambda: gru(5, 2, 7, batch_first=True), ValueError, "GRU:", "(N, T, in)"),
        (lambda: gru(3), ValueError, "GRU:", "(3,)"),
        (lambda: gru(1, 5, 2, 3), ValueError, "GRU:", "(1, 5, 2, 3)"),
        (lambda: gru(0, 2, 3), ValueError, "GRU:", "empty", "(0, 2, 3)"),
        (lambda: gru(2, 0, 3, batch_first=True), ValueError, "GRU:", "empty", "(2, 0, 3)"),
        (lambda: gru(5, 2, 3, hx=x(1, 5, 4)), ValueError, "GRU:", "(1, 2, 4)", "(1, 5, 4)"),
        (lambda: gru(5, 2, 3, hx=x(1, 2, 4), num_layers=2), ValueError, "GRU:", "(2, 2, 4)"),
        (lambda: gru(5, 2, 3, hx=x(2, 4)), ValueError, "GRU:", "(1, 2, 4)", "(2, 4)"),
        (lambda: gru(5, 3, hx=x(1, 1, 4)), ValueError, "GRU:", "(1, 4)", "(1, 1, 4)"),
        (lambda: gru(5, 2, 3, hx=double(1, 2, 4)), TypeError, "GRU:", "float64"),
        (lambda: gru(5, 2, 3, hx=(x(1, 2, 4),)), TypeError, "GRU:", "hx", "tuple"),
        (lambda: gru(5, 2, 3, hx=array(1, 2, 4)), TypeError, "GRU:", "hx", "ndarray"),
        (lambda: nn.GRU(3, 4)(double(5, 2, 3)), TypeError, "GRU:", "float64", "weight_hh_l0"),
        (lambda: nn.GRU(3, 4)(whole(5, 2, 3)), TypeError, "GRU:", "int64"),
        (lambda: nn.GRU(3, 4)([x(5, 3)]), TypeError, "GRU:", "lists", "ignore_index"),
        (lambda: nn.GRU(3, 4)(Packed()), TypeError, "GRU:", "packed", "ignore_index"),
        (lambda: nn.LSTM(3, 4)(x(5, 2, 3), x(1, 2, 4)), TypeError, "LSTM:", "(h, c)"),
        (
            lambda: nn.LSTM(3, 4)(x(5, 2, 3), (x(1, 2, 4), x(1, 1, 4))),
            ValueError,
            "LSTM:",
            "c must",
            "(1, 1, 4)",
        ),
        (lambda: nn.LSTM(3, 4, proj_size=2), ValueError, "LSTM:", "proj_size", "nn.Linear(4, 2)"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), ValueError, "RNN:", "'sin'", "'relu'"),
        (lambda: nn.RNN(3, 0), ValueError, "RNN:", "hidden_size", "0"),
        (lambda: nn.RNN(3.0, 2), TypeError, "RNN:", "input_size", "3.0"),
        (lambda: nn.RNN(3, 2, 0), ValueError, "RNN:", "num_layers", "0"),
        (lambda: nn.GRU(3, 4, 2, dropout=1.5), ValueError, "GRU:", "dropout", "1.5"),
        (lambda: nn.GRU(3, 4, 2, dropout="a"), ValueError, "GRU:", "dropout", "'a'"),
        (lambda: nn.GRUCell(3, 4)(x(5, 2, 3)), ValueError, "GRUCell:", "(N, 3)", "(5, 2, 3)"),
        (lambda: nn.GRUCell(3, 4)(x(2, 3), x(3, 4)), ValueError, "GRUCell:", "(2, 4)", "(3, 4)"),
        (lambda: nn.LSTMCell(3, 4)(x(2, 3), x(2, 4)), TypeError, "LSTMCell:", "(h, c)"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="sin"), ValueError, "RNNCell:", "'sin'"),
        (lambda: F.gru_sweep(x(2, 3), x(2, 4), x(12, 3), x(12, 4)), ValueError, "gru_sweep:"),
        (lambda: F.gru_cell(x(2, 3), x(2, 4), x(9, 3), x(12, 4)), ValueError, "gru_cell:", "w_ih"),
        (lambda: F.gru_cell(x(2, 3), x(2, 4), x(12, 3), x(9, 4)), ValueError, "gru_cell:", "w_hh"),
        (
            lambda: F.rnn_cell(x(2, 3), x(2, 4), x(4, 3), x(4, 4), x(4)),
            ValueError,
            "rnn_cell:",
            "both biases",
        ),
        (
            lambda: F.rnn_sweep(x(0, 2, 3), x(2, 4), x(4, 3), x(4, 4)),
            ValueError,
            "rnn_sweep:",
            "empty",
        ),
        (
            lambda: F.rnn_sweep(x(1, 2, 3), x(2, 4), x(4, 3), x(4, 4), nonlinearity="sin"),
            ValueError,
            "rnn_sweep:",
            "'sin'",
        ),
        (lambda: F.lstm_cell(x(2, 3), x(2, 4), x(16, 3), x(16, 4)), TypeError, "lstm_cell:", "(h,"),
        (lambda: nn.BatchNorm1dFlat(3)(x(3)), ValueError, "BatchNorm1dFlat:", "(3,)"),
        (lambda: nn.BatchNorm1dFlat(3)(x(3, 4, 2)), ValueError, "BatchNorm1dFlat:", "(3, 4, 2)"),
        (lambda: nn.BatchNorm1dFlat(3)([1]), TypeError, "BatchNorm1dFlat:", "list"),
    ]
)  # fmt: skip
def test_bad_input(backend, call, error, fragments):
    refused(call, error, fragments)


def test_dropout_of_one_layer_is_warned_of():
    with pytest.warns(UserWarning, match=r"GRU: dropout \(=0.5\) acts between layers"):
        nn.GRU(2, 3, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(2, 3, 2, dropout=0.5)
        nn.GRU(2, 3)


def test_a_state_on_another_backend_is_named():
    with standin.installed():
        net, t = nn.GRU(2, 3).cpu(), mt.tensor(np.ones((4, 2, 2), np.float32), backend="numpy")
        hx = mt.tensor(np.zeros((1, 2, 3), np.float32), backend="cupy")
        with pytest.raises(mt.BackendError, match="cupy"):
            net(t, hx)


def test_an_error_is_told_its_layer():
    model = nn.Sequential(nn.Linear(3, 5), nn.GRU(3, 4))
    with pytest.raises(ValueError) as caught:
        model(x(6, 2, 3))
    assert any("'1' (GRU(3, 4)) of Sequential" in note for note in caught.value.__notes__)
    assert math.isfinite(model[1](x(6, 2, 3))[0].sum().item())
