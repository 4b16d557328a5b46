"""The profile: whose time it was, how often, how many bytes; by a clock that the test moves."""

import gc
import subprocess
import sys
import threading
import weakref
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim, plot
from minitorch7.autograd import state
from minitorch7.profile import measure

on_numpy = pytest.mark.parametrize("_library", ["numpy"], indirect=True)
on_cupy = pytest.mark.parametrize("_library", ["cupy"], indirect=True)


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(measure, "clock", made)
    return made


class Work(mt.Function):
    """y = 2x, forward and backward taking the seconds they are told to."""

    def __init__(self, clock, forward=0, backward=0):
        self.clock, self.seconds = clock, (forward, backward)

    def forward(self, xp, x):
        self.clock.pass_(self.seconds[0])
        return x * 2

    def backward(self, grad):
        self.clock.pass_(self.seconds[1])
        return grad * 2


class Toil(Work):
    """The same under another name."""


class WorkLayer(nn.Module):
    """A layer that works once."""

    def __init__(self, clock, forward, backward, weight=None):
        self.clock, self.seconds, self.weight = clock, (forward, backward), weight

    def forward(self, x):
        y = Work(self.clock, *self.seconds)(x)
        return y if self.weight is None else y * self.weight


@pytest.fixture(autouse=True)
def _nothing_left():
    yield
    assert state.profile is None


def leaf(*shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return mt.tensor(values, requires_grad=True)


def named(rows, attribute="operation"):
    return {getattr(row, attribute): row for row in rows}


def times(cost):
    return cost.calls, cost.forward_ms, cost.backward_calls, cost.backward_ms


# ----------------------------------------------------------------------------------- whose time


def test_forward_and_backward_are_timed_apart_and_add_up(backend, clock):
    x = leaf(3)
    with mt.profile(show=False) as p:
        clock.pass_(5)
        y = Toil(clock, 3, 4)(Work(clock, 1, 2)(Work(clock, 10, 20)(x)))
        clock.pass_(7)
        y.backward(mt.ones(3))
        clock.pass_(9)
    found = named(p.operations)
    assert list(found) == ["Work", "Toil"]  # the slowest first; Mul, in the rules, is not one
    assert times(found["Work"]) == (2, 11_000, 2, 22_000) and found["Work"].ms == 33_000
    assert times(found["Toil"]) == (1, 3_000, 1, 4_000)
    assert p.wall_ms == 61_000 and p.other_ms == 21_000
    assert p.other_ms + sum(cost.ms for cost in p.operations) == p.wall_ms
    assert [r.operation for r in p.records] == ["Work", "Toil"]  # in the order of their first run


def test_time_before_and_after_the_block_is_not_in_it(backend, clock):
    x = leaf(3)
    Work(clock, 100)(x)
    with mt.profile(show=False) as p:
        Work(clock, 1)(x)
    Work(clock, 100)(x)
    assert p.wall_ms == 1_000 and [times(c) for c in p.operations] == [(1, 1_000, 0, 0)]


def test_operations_inside_a_rule_are_the_rules_time(backend, clock):
    class Composed(Work):
        def backward(self, grad):
            return Toil(clock, 4)(Toil(clock, 8)(grad))

    with mt.profile(show=False) as p:
        y = Composed(clock, 1)(leaf(3))
        y.backward(mt.ones(3))
        clock.pass_(2)
    assert [c.operation for c in p.operations] == ["Composed"]
    assert times(p.operations[0]) == (1, 1_000, 1, 12_000)
    assert (p.wall_ms, p.other_ms) == (15_000, 2_000)


def test_an_operation_inside_a_forward_is_not_counted_twice(backend, clock):
    class Outer(Work):
        def forward(self, xp, x):
            clock.pass_(1)
            y = Toil(clock, 4)(mt.Tensor(x)).data
            clock.pass_(2)
            return y

    with mt.profile(show=False) as p:
        Outer(clock)(leaf(3))
    found = named(p.operations)
    assert times(found["Outer"]) == (1, 3_000, 0, 0) and times(found["Toil"]) == (1, 4_000, 0, 0)
    assert p.wall_ms == 7_000 and p.other_ms == 0


def test_a_walk_inside_a_rule_is_the_rules_time(backend, clock):
    class Recomputed(Work):
        def forward(self, xp, x):
            self.save(x)
            return x * 2

        def backward(self, grad):
            (x,) = self.saved
            with mt.enable_grad():
                again = x.detach().requires_grad_()
                y = WorkLayer(clock, 1, 2)(again)
            return mt.grad(y, again, grad)[0]

    x = leaf(3)
    with mt.profile(show=False) as p:
        Recomputed(clock)(x).backward(mt.ones(3))
    assert [times(c) for c in p.operations] == [(1, 0, 1, 3_000)]
    assert [layer.layer for layer in p.layers] == ["-"]  # the layer in the rule is not one
    np.testing.assert_array_equal(x.grad.cpu().numpy(), [2, 2, 2])


def test_adding_up_the_gradients_of_two_uses_belongs_to_the_rule_that_sends(backend, clock):
    x = leaf(3)
    with mt.profile(show=False) as p:
        y = Work(clock, 1, 2)(x) + Work(clock, 1, 2)(x)
        y.backward(mt.ones(3))
    assert named(p.operations)["Add"].calls == 1  # the one in the text; x's two gradients are not
    assert named(p.operations)["Work"].backward_bytes == 3 * 12  # two products and the sum


def test_adding_to_a_grad_that_is_there_is_an_add_outside_any_layer(backend):
    x = leaf(3)
    (x * 2).sum().backward()
    with mt.profile(show=False) as p:
        nn.Sequential(nn.ReLU())(x).sum().backward()
    (add,) = [r for r in p.records if r.operation == "Add"]
    assert (add.layer, add.calls) == ("-", 1)


def test_gradients_of_gradients_belong_to_the_operation_they_come_from(backend, clock):
    class Square(mt.Function):
        def forward(self, xp, x):
            self.save(x)
            clock.pass_(1)
            return x * x

        def backward(self, grad):
            (x,) = self.saved
            clock.pass_(10)
            return Toil(clock, 100, 1000)(grad * x)

    model = nn.Sequential(nn.Lambda(lambda t: Square()(t)))
    x = mt.tensor(np.array([1.0, 2, 3]), requires_grad=True)
    with mt.profile(show=False) as p:
        (first,) = mt.grad(model(x).sum(), x, create_graph=True)
        (second,) = mt.grad(first.sum(), x)
    np.testing.assert_array_equal(second.cpu().numpy(), [2, 2, 2])
    (square,) = [r for r in p.records if r.ms]
    assert (square.operation, square.layer) == ("Square", "0")
    assert (square.calls, square.forward_ms, square.backward_ms) == (1, 1_000, 1_110_000)
    assert square.backward_calls == 3  # its rule, and the two operations of the rule differentiated
    assert "Toil" not in named(p.operations) and p.other_ms == 0


def test_walking_a_kept_graph_twice_counts_twice(backend, clock):
    with mt.profile(show=False) as p:
        y = Work(clock, 1, 2)(leaf(3))
        y.backward(mt.ones(3), retain_graph=True)
        y.backward(mt.ones(3))
    assert times(named(p.operations)["Work"]) == (1, 1_000, 2, 4_000)


def test_only_what_runs_inside_the_block_counts(backend, clock):
    before = nn.Sequential(WorkLayer(clock, 1, 2))(leaf(3))
    with mt.profile(show=False) as p:
        before.backward(mt.ones(3))
        after = Toil(clock, 4, 8)(leaf(3))
    after.backward(mt.ones(3))
    found = {(r.operation, r.layer): times(r) for r in p.records}
    assert found == {("Work", "-"): (0, 0, 1, 2_000), ("Toil", "-"): (1, 4_000, 0, 0)}


def test_nothing_is_kept_without_gradients(backend, clock):
    x = leaf(3)
    with mt.profile(show=False) as p, mt.no_grad():
        Work(clock, 1, 2)(x) * x
        assert not p._nodes
    assert [(c.calls, c.backward_calls, c.saved_bytes) for c in p.operations] == [(1, 0, 0)] * 2


# ---------------------------------------------------------------------------------------- layers


def test_layers_have_their_own_time_and_a_total(backend, clock):
    inner = nn.Sequential(OrderedDict(a=WorkLayer(clock, 1, 2), b=WorkLayer(clock, 3, 4)))
    model = nn.Sequential(WorkLayer(clock, 10, 20), inner)
    with mt.profile(show=False) as p:
        y = Toil(clock, 100, 200)(model(leaf(3)))
        y.backward(mt.ones(3))
    rows = [
        (r.layer, r.class_name, r.depth, r.calls, r.forward_ms, r.backward_ms, r.total_ms)
        for r in p.layers
    ]
    assert rows == [  # a layer before its inside, and the slowest first
        ("-", "", 0, 0, 100_000, 200_000, 300_000),
        ("Sequential", "Sequential", 0, 1, 0, 0, 40_000),
        ("0", "WorkLayer", 1, 1, 10_000, 20_000, 30_000),
        ("1", "Sequential", 1, 1, 0, 0, 10_000),
        ("1.b", "WorkLayer", 2, 1, 3_000, 4_000, 7_000),
        ("1.a", "WorkLayer", 2, 1, 1_000, 2_000, 3_000),
    ]
    assert sum(layer.ms for layer in p.layers) + p.other_ms == p.wall_ms == 340_000
    assert {(r.operation, r.layer) for r in p.records} == {
        ("Work", "0"),
        ("Work", "1.a"),
        ("Work", "1.b"),
        ("Toil", "-"),
    }


def test_a_layer_with_operations_and_layers_keeps_them_apart(backend, clock):
    class Block(nn.Module):
        def __init__(self):
            self.inside = WorkLayer(clock, 1, 2)

        def forward(self, x):
            return Toil(clock, 4, 8)(self.inside(x))

    with mt.profile(show=False) as p:
        nn.Sequential(Block())(leaf(3)).backward(mt.ones(3))
    block, inside = named(p.layers, "layer")["0"], named(p.layers, "layer")["0.inside"]
    assert (block.ms, block.total_ms, inside.ms) == (12_000, 15_000, 3_000)


def test_a_path_is_the_one_that_an_error_names(backend, clock):
    class Fails(nn.Module):
        def forward(self, x):
            y = Work(clock, 1)(x)
            return y if self.well else y.reshape(7)

    model = nn.Sequential(nn.ReLU(), nn.Sequential(OrderedDict(odd=Fails())))
    model[1][0].well = False
    with pytest.raises(ValueError) as caught:
        model(leaf(3))
    model[1][0].well = True
    with mt.profile(show=False) as p:
        model(leaf(3))
    (record,) = [r for r in p.records if r.operation == "Work"]
    assert record.layer == "1.odd" and f"in layer '{record.layer}'" in caught.value.__notes__[0]


def test_a_layer_used_twice_is_one_layer(backend, clock):
    shared = WorkLayer(clock, 1, 2)
    model = nn.Sequential(shared, nn.Sequential(WorkLayer(clock, 4, 8)), shared)
    with mt.profile(show=False) as p:
        model(leaf(3)).backward(mt.ones(3))
        model(leaf(3))
    found = named(p.layers, "layer")
    assert set(found) == {"Sequential", "0", "1", "1.0"}
    assert (found["0"].calls, found["0"].forward_ms, found["0"].backward_ms) == (4, 4_000, 4_000)
    assert found["1.0"].calls == 2 and found["Sequential"].calls == 2


def test_layers_that_share_a_parameter_are_two_layers(backend, clock):
    weight = nn.Parameter(mt.ones(3))
    first, second = WorkLayer(clock, 1, 2, weight), WorkLayer(clock, 4, 8, weight)
    with mt.profile(show=False) as p:
        nn.Sequential(first, second)(leaf(3)).backward(mt.ones(3))
    found = named(p.layers, "layer")
    assert (found["0"].ms, found["1"].ms) == (3_000, 12_000)
    assert weight.grad is not None


def test_a_layer_that_calls_itself_is_one_layer(backend, clock):
    class Tree(nn.Module):
        def forward(self, x, depth=3):
            return self(Work(clock, 1)(x), depth - 1) if depth else x

    with mt.profile(show=False) as p:
        nn.Sequential(Tree())(leaf(3))
    tree = named(p.layers, "layer")["0"]
    assert (tree.calls, tree.ms, tree.total_ms) == (4, 3_000, 3_000)


def test_two_models_are_told_apart(backend, clock):
    class Critic(nn.Sequential):
        pass

    def layer(seconds):
        return WorkLayer(clock, seconds, 0, nn.Parameter(mt.ones(3)))

    models = [nn.Sequential(layer(8)), nn.Sequential(layer(4)), Critic(layer(2))]
    with mt.profile(show=False) as p:
        for _ in range(2):
            for model in models:
                loss = nn.MSELoss()(model(leaf(3)), mt.ones(3))  # a new one every time
    del loss
    layers = [r.layer for r in p.layers]
    expected = ["Sequential", "Sequential.0", "Sequential#2", "Sequential#2.0", "Critic"]
    assert layers == [*expected, "Critic.0", "MSELoss"]
    assert named(p.layers, "layer")["MSELoss"].calls == 6


def test_a_block_inside_a_forward_still_knows_the_layers_around_it(backend, clock):
    seen = []

    class Watching(nn.Module):
        def __init__(self):
            self.inside = WorkLayer(clock, 1, 0)

        def forward(self, x):
            with mt.profile(show=False) as p:
                y = self.inside(x)
            seen.append(p)
            return y

    nn.Sequential(nn.Sequential(Watching()))(leaf(3))
    rows = [(r.layer, r.depth, r.calls, r.total_ms) for r in seen[0].layers]
    around = [("Sequential", 0, 0, 1_000), ("0", 1, 0, 1_000), ("0.0", 2, 0, 1_000)]
    assert rows == [*around, ("0.0.inside", 3, 1, 1_000)]


# ----------------------------------------------------------------------------------------- bytes


def bytes_of(function, *inputs):
    """(forward_bytes, saved_bytes) of the only operation that the function runs."""
    with mt.profile(show=False) as p:
        function(*inputs)
    (cost,) = p.operations
    return cost.forward_bytes, cost.saved_bytes


def test_results_are_counted_and_views_are_not(backend):
    x = leaf(4, 6)
    size = 4 * 6 * 4
    assert bytes_of(mt.exp, x) == (size, size)  # it saves its result
    assert bytes_of(lambda t: t.reshape(8, 3), x)[0] == 0
    assert bytes_of(lambda t: t.permute(1, 0), x)[0] == 0
    assert bytes_of(lambda t: t[1:3], x)[0] == 0
    assert bytes_of(lambda t: t.expand(5, 4, 6), x)[0] == 0
    assert bytes_of(lambda t: mt.cat([t, t]), x)[0] == 2 * size
    assert bytes_of(lambda t: t.sum(), x)[0] == 4
    assert bytes_of(lambda t: t.double(), x)[0] == 2 * size


def test_a_view_of_fresh_memory_counts(backend):
    x, w = leaf(2, 3, 5, 5), leaf(4, 3, 3, 3)
    made, saved = bytes_of(F.conv2d, x, w)
    assert made == 2 * 4 * 3 * 3 * 4
    assert saved == (2 * 3 * 5 * 5 + 4 * 3 * 3 * 3) * 4  # x and w


def test_two_results_in_one_memory_count_once(backend):
    class Halves(mt.Function):
        def forward(self, xp, x):
            y = x * 2
            return y[:2], y[2:]

    class Corner(mt.Function):
        def forward(self, xp, x):
            return (x * 2)[:1]

    assert bytes_of(Halves(), mt.ones(4)) == (16, 0)
    assert bytes_of(Corner(), mt.ones(4)) == (16, 0)  # a part of it keeps the whole


def test_what_a_rule_reads_is_counted_once(backend):
    x, y = leaf(4, 6), leaf(4, 6)
    assert bytes_of(mt.Tensor.mul, x, y)[1] == 2 * 96
    assert bytes_of(mt.Tensor.mul, x, x)[1] == 96  # one array, saved twice
    assert bytes_of(mt.Tensor.mul, x.detach(), y.detach())[1] == 0
    assert bytes_of(mt.Tensor.add, x, y)[1] == 0


def test_arrays_kept_as_attributes_are_saved_too(backend):
    x = leaf(2, 3, 4, 4)
    function = []

    def pool(t):
        y = F.max_pool2d(t, 2)
        function.append(y.grad_fn)

    assert bytes_of(pool, x)[1] == function[0].taps.nbytes > 0


def test_views_are_saved_for_no_more_than_their_memory(backend):
    class Stretched(mt.Function):
        def forward(self, xp, x):
            self.save(xp.broadcast_to(x, (1000, 4)), x[:2], x[2:])
            return x * 2

    class Slice(mt.Function):
        def forward(self, xp, x):
            part = x[:1]
            self.save(part, part)
            return x * 2

    x = leaf(4)
    assert bytes_of(Stretched(), x)[1] == 16
    assert bytes_of(Slice(), x)[1] == 4  # the rest of x is not kept on its account


def test_bytes_made_in_backward(backend):
    x, y = leaf(4, 6), leaf(4, 6)
    with mt.profile(show=False) as p:
        z = x * y
        z.backward(mt.ones(4, 6))
    assert named(p.operations)["Mul"].backward_bytes == 2 * 96  # dz·y and dz·x
    assert named(p.operations)["Mul"].forward_bytes == 96


def test_create_graph_saves_in_backward_too(backend):
    x, y = leaf(4), leaf(4)
    with mt.profile(show=False) as p:
        mt.grad((x * y).sum(), x, create_graph=True)
    # the product's two factors; and in its rule those of dz·y, where dz is a stretched number
    assert named(p.operations)["Mul"].saved_bytes == 32 + 16 + 4


# ------------------------------------------------------------------------------ nothing changes


def trained(profiled):
    mt.manual_seed(1)
    blocks = [nn.conv_layer(1, 4, stride=2), nn.res_block(4), nn.Flatten(), nn.Linear(64, 3)]
    model = nn.Sequential(*blocks)
    opt = optim.AdamW(model.parameters(), lr=0.01)
    x, target = leaf(5, 1, 8, 8), mt.tensor(np.arange(5) % 3)
    losses = []
    for _ in range(3):
        opt.zero_grad()
        if profiled:
            with mt.profile(show=False):
                loss = F.cross_entropy(model(x), target)
                loss.backward()
                opt.step()
        else:
            loss = F.cross_entropy(model(x), target)
            loss.backward()
            opt.step()
        losses.append(loss.item())
    grads = [p.grad for p in model.parameters()]
    return losses, [mt.backend.to_numpy(t.data) for t in [*model.state_dict().values(), *grads]]


def test_results_and_gradients_are_the_same_bits(backend):
    (losses, arrays), (watched, others) = trained(False), trained(True)
    assert losses == watched
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_real_step_adds_up(backend):
    mt.manual_seed(0)
    model = nn.Sequential(nn.conv_layer(1, 4), nn.res_block(4), nn.Flatten(), nn.Linear(256, 3))
    x, target = leaf(5, 1, 8, 8).detach(), mt.tensor(np.arange(5) % 3)
    with mt.profile(show=False) as p:
        F.cross_entropy(model(x), target).backward()
    found = named(p.operations)
    assert found["Conv2d"].calls == found["Conv2d"].backward_calls == 3
    assert found["BatchNorm"].calls == 3 and "Conv2dGrads" not in found
    assert all(cost.ms > 0 for cost in p.operations) and p.other_ms > 0
    by_layer = sum(layer.ms for layer in p.layers)
    by_operation = sum(cost.ms for cost in p.operations)
    assert by_layer == pytest.approx(by_operation)
    assert by_operation + p.other_ms == pytest.approx(p.wall_ms)
    (root,) = [r for r in p.layers if r.layer == "Sequential"]
    assert root.total_ms == pytest.approx(sum(r.ms for r in p.layers if r.layer != "-"))


def test_nodes_and_arrays_live_no_longer(backend, clock):
    gc.collect()
    gc.disable()
    try:
        with mt.profile(show=False) as p:
            y = Work(clock, 1)(leaf(3))
            node, array = weakref.ref(y.grad_fn), weakref.ref(y.data)
            del y
            assert node() is None and array() is None
        model = nn.Sequential(nn.ReLU())
        with mt.profile(show=False) as p:
            model(leaf(3))
        gone = weakref.ref(model[0])
        del model
        assert gone() is None and p.layers[0].layer == "Sequential"
    finally:
        gc.enable()


def test_without_a_profile_none_of_its_code_runs(backend):
    ran = set()
    folder = str(Path(measure.__file__).parent)

    def note(frame, event, argument):
        ran.add(frame.f_code.co_filename)

    model, x = nn.Sequential(nn.Linear(3, 2)), leaf(4, 3)
    sys.setprofile(note)
    try:
        model(x).sum().backward()
    finally:
        sys.setprofile(None)
    assert ran and not any(name.startswith(folder) for name in ran)


def test_importing_the_package_imports_neither_the_measuring_nor_the_drawing():
    code = (
        "import sys, minitorch7; print(*(m for m in sys.modules if m.startswith('minitorch7.p')))"
    )
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    loaded = ["minitorch7.profile.memory", "minitorch7.profile"]
    assert sorted(done.stdout.split()) == sorted(loaded), done.stderr


# ------------------------------------------------------------------------------- the block's life


def test_an_exception_ends_the_block_quietly(backend, clock, capsys):
    class Fails(Work):
        def forward(self, xp, x):
            clock.pass_(8)
            raise ZeroDivisionError("on purpose")

    x = leaf(3)
    with pytest.raises(ZeroDivisionError), mt.profile() as p:
        Work(clock, 1)(x)
        nn.Sequential(nn.Lambda(lambda t: Fails(clock)(t)))(x)
    assert capsys.readouterr().out == "" and state.profile is None and state.layers == []
    assert [(c.operation, c.calls) for c in p.operations] == [("Work", 1)]
    assert (p.wall_ms, p.other_ms) == (9_000, 8_000) and "Work" in p.table()
    with mt.profile(show=False):
        pass


def test_an_exception_caught_inside_does_not_confuse_the_rest(backend, clock):
    class Fails(Work):
        def backward(self, grad):
            clock.pass_(8)
            raise ZeroDivisionError("on purpose")

    with mt.profile(show=False) as p:
        with pytest.raises(ZeroDivisionError):
            Fails(clock, 1)(leaf(3)).backward(mt.ones(3))
        Work(clock, 2, 4)(leaf(3)).backward(mt.ones(3))
    found = named(p.operations)
    assert times(found["Fails"]) == (1, 1_000, 0, 0) and p.other_ms == 8_000
    assert times(found["Work"]) == (1, 2_000, 1, 4_000)


def test_a_profile_in_a_profile_is_an_error(backend, clock):
    with mt.profile(show=False) as p:
        with pytest.raises(RuntimeError, match="running in this thread already.*end the outer"):
            with mt.profile():
                pass
        Work(clock, 1)(leaf(3))  # the outer one goes on
    assert p.operations[0].calls == 1


def test_one_profile_measures_one_block():
    with mt.profile(show=False) as p:
        pass
    with pytest.raises(RuntimeError, match="measured a block already.*make another"), p:
        pass


@pytest.mark.parametrize(
    "read",
    [
        lambda p: p.table(),
        lambda p: p.plot(),
        lambda p: p.operations,
        lambda p: p.layers,
        lambda p: p.records,
        lambda p: p.wall_ms,
        lambda p: p.other_ms,
    ],
)
def test_figures_are_read_after_the_block(read):
    p = mt.profile(show=False)
    with pytest.raises(RuntimeError, match="profile: the block has not begun.*read them below"):
        read(p)
    with p:
        with pytest.raises(RuntimeError, match="profile: the block is still running"):
            read(p)
    read(p)
    with pytest.raises(AttributeError, match="Profile has no attribute 'operation'"):
        _ = p.operation


def test_a_thread_counts_its_own_operations(backend, clock):
    others = []

    def elsewhere():
        assert state.profile is None
        with mt.profile(show=False) as p:
            Toil(clock, 1)(leaf(3))
        Toil(clock, 1)(leaf(3))
        others.append(p)

    with mt.profile(show=False) as p:
        Work(clock, 1)(leaf(3))
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert [(c.operation, c.calls) for c in p.operations] == [("Work", 1)]
    assert [(c.operation, c.calls) for c in others[0].operations] == [("Toil", 1)]


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "all"])
def test_rows_that_are_no_number_of_rows(rows):
    with mt.profile(show=False) as p:
        pass
    calls = {"profile": mt.profile, "profile.table": p.table, "profile.plot": p.plot}
    for name, call in calls.items():
        with pytest.raises(ValueError) as caught:
            call(rows=rows)
        assert str(caught.value) == f"{name}: rows must be an integer of at least 1, got {rows!r}"


# ------------------------------------------------------------------------------------ on a device


def test_only_a_device_is_waited_for(backend, clock, monkeypatch):
    waits = []
    monkeypatch.setattr(mt.backend, "synchronize", waits.append)
    with mt.profile(show=False) as p:
        Work(clock, 1, 2)(leaf(3)).backward(mt.ones(3))
    # the block's ends, the operation's and its rule's
    assert waits == ([] if backend == "numpy" else ["cupy"] * 6)
    assert ("the GPU was waited for" in p.table()) == p.waited == (backend == "cupy")


@on_cupy
def test_work_on_a_device_is_timed_where_it_was_asked_for(backend, clock, monkeypatch):
    class Queue:
        """A device that starts to work when it is waited for."""

        work = 0

        def pass_(self, seconds):
            self.work += seconds

        def wait(self, name):
            clock.pass_(self.work)
            self.work = 0

    queue = Queue()
    monkeypatch.setattr(mt.backend, "synchronize", queue.wait)
    queue.pass_(1000)  # asked for before the block
    with mt.profile(show=False) as p:
        queue.pass_(1)  # by the optimiser, say
        y = Work(queue, 10, 20)(leaf(3))
        queue.pass_(2)
        y.backward(mt.ones(3))
        queue.pass_(4)
    assert [times(c) for c in p.operations] == [(1, 10_000, 1, 20_000)]
    assert (p.wall_ms, p.other_ms) == (37_000, 7_000)


@on_cupy
def test_a_device_is_found_by_its_arrays(backend, clock, monkeypatch):
    """The tensors may live on a GPU while new ones go to the processor."""
    x = leaf(1)
    waits = []
    monkeypatch.setattr(mt.backend, "synchronize", waits.append)
    with mt.using("numpy"), mt.profile(show=False) as p:
        Work(clock, 1)(mt.ones(3))
        assert not waits
        Work(clock, 1)(x)
    assert len(waits) == 3 and p.waited
    y = Work(clock)(x)
    waits.clear()
    with mt.using("numpy"), mt.profile(show=False) as p:
        y.backward()
    assert len(waits) == 3 and p.waited
    with mt.using("numpy"), mt.profile(show=False) as p:
        x.cpu()
    assert p.waited
    host = x.detach().cpu()
    with mt.using("numpy"), mt.profile(show=False) as p:
        host.cuda()
    assert p.waited


@on_cupy
def test_a_broken_device_does_not_hide_the_error(backend, clock, monkeypatch):
    def broken(name):
        raise OSError("the device is gone")

    with pytest.raises(ZeroDivisionError, match="on purpose"), mt.profile():
        monkeypatch.setattr(mt.backend, "synchronize", broken)
        raise ZeroDivisionError("on purpose")


# --------------------------------------------------------------------------------------- the table

TABLE = """\
48000.00 ms: forward 14000.00, backward 28000.00, other 6000.00

operation                       calls   forward  backward     total  share   made   made  saved
                                             ms        ms        ms      %  fwd B  bwd B      B
-----------------------------------------------------------------------------------------------
Toil                                1   8000.00  16000.00  24000.00   50.0     12     12      0
Work                                2   6000.00  12000.00  18000.00   37.5     24     24      0
-----------------------------------------------------------------------------------------------
other: Python, data, optimiser                              6000.00   12.5
wall time                           3  14000.00  28000.00  48000.00  100.0     36     36      0

layer                           calls   forward  backward       own  share     total   made   made  saved
                                             ms        ms        ms      %        ms  fwd B  bwd B      B
---------------------------------------------------------------------------------------------------------
- (in no layer)                         8000.00  16000.00  24000.00   50.0  24000.00     12     12      0
Sequential                          1                                       18000.00
  1      Sequential                 1                                       12000.00
    1.0  WorkLayer                  1   4000.00   8000.00  12000.00   25.0  12000.00     12     12      0
  0      WorkLayer                  1   2000.00   4000.00   6000.00   12.5   6000.00     12     12      0
---------------------------------------------------------------------------------------------------------
other: Python, data, optimiser                              6000.00   12.5
wall time                              14000.00  28000.00  48000.00  100.0               36     36      0
"""  # noqa: E501


def small_profile(clock, **options):
    model = nn.Sequential(WorkLayer(clock, 2, 4), nn.Sequential(WorkLayer(clock, 4, 8)))
    with mt.profile(**options) as p:
        clock.pass_(6)
        Toil(clock, 8, 16)(model(leaf(3))).backward(mt.ones(3))
    return p


@on_numpy
def test_the_table_to_the_letter(backend, clock, capsys):
    p = small_profile(clock)
    printed = capsys.readouterr().out
    assert printed == p.table() + "\n"
    assert printed == TABLE


def test_nothing_is_printed_unless_wanted(clock, capsys):
    small_profile(clock, show=False)
    assert capsys.readouterr().out == ""


def lines_of(text, title):
    """The lines of one of the two tables, below the rule under its heading."""
    part = text.split(title + " ")[1].split("\n\n")[0]
    return [line for line in part.splitlines()[2:] if not line.startswith("---")]


def test_what_is_not_shown_is_summed_up(clock):
    names = "abcde"
    kinds = [type(name, (Work,), {}) for name in names]
    layers = [nn.Lambda(lambda t, k=k, n=n: k(clock, n, n)(t)) for n, k in enumerate(kinds, 1)]
    model = nn.Sequential(*layers[:2], nn.Sequential(nn.Sequential(*layers[2:4])), layers[4])
    with mt.profile(show=False) as p:
        model(leaf(3)).backward(mt.ones(3))
    operations = [line.split() for line in lines_of(p.table(rows=2), "operation")]
    assert [line[:6] for line in operations[:2]] == [
        ["e", "1", "5000.00", "5000.00", "10000.00", "33.3"],
        ["d", "1", "4000.00", "4000.00", "8000.00", "26.7"],
    ]
    assert operations[2][:7] == ["3", "more", "3", "6000.00", "6000.00", "12000.00", "40.0"]
    assert operations[4][:3] == ["wall", "time", "5"]
    assert operations[4][3:7] == ["15000.00", "15000.00", "30000.00", "100.0"]
    tree = [line.split() for line in lines_of(p.table(rows=2), "layer")]
    first = [line[0] for line in tree]
    assert first == ["Sequential", "2", "2.0", "2.0.1", "3", "3", "other:", "wall"]
    assert tree[1] == ["2", "Sequential", "1", "14000.00"]  # the layers around one that is shown
    assert tree[5][:6] == ["3", "more", "6000.00", "6000.00", "12000.00", "40.0"]
    assert "more" not in p.table() and "more" not in p.table(rows=5)
    assert p.table(rows=1).count("4 more") == 2


def test_layers_are_chosen_by_their_own_time(clock):
    class Block(nn.Module):
        def __init__(self):
            self.inside = nn.ModuleList([WorkLayer(clock, 4, 0) for _ in range(3)])

        def forward(self, x):
            for layer in self.inside:
                x = layer(x)
            return Toil(clock, 1, 0)(x)

    with mt.profile(show=False) as p:
        nn.Sequential(Block(), WorkLayer(clock, 8, 0))(leaf(3))
    first = [line.split()[0] for line in lines_of(p.table(rows=1), "layer")]
    assert first == ["Sequential", "1", "4", "other:", "wall"]


def test_rows_given_to_profile_are_those_printed(clock, capsys):
    p = small_profile(clock, rows=1)
    assert capsys.readouterr().out == p.table(rows=1) + "\n" != p.table(rows=2) + "\n"


@pytest.mark.parametrize(
    ("elements", "unit", "shown"),
    [(2499, "B", "9996"), (2500, "KiB", "9.77"), (2_600_000, "MiB", "9.92")],
)
def test_bytes_have_a_unit_that_fits(elements, unit, shown):
    x = mt.zeros(elements)
    with mt.profile(show=False) as p:
        x + 1
    assert p.table().count(f"fwd {unit}  bwd {unit}") == 2
    assert lines_of(p.table(), "operation")[0].split()[-3] == shown


def test_an_empty_block_has_tables_too(clock):
    with mt.profile(show=False) as p:
        pass
    assert p.operations == p.layers == p.records == [] and p.wall_ms == p.other_ms == 0
    assert "wall time" in p.table() and p.plot().axes


# ------------------------------------------------------------------------------------- the picture


def bars(figure):
    """{label: (length in each part)} as drawn, top to bottom, and the numbers beside the bars."""
    (ax,) = figure.axes
    labels = [t.get_text() for t in ax.get_yticklabels()]
    lengths = [[bar.get_width() for bar in part] for part in ax.containers]
    starts = [[bar.get_x() for bar in part] for part in ax.containers]
    for part, (at, long) in enumerate(zip(starts, lengths, strict=True)):
        before = [sum(column) for column in zip(*lengths[:part], strict=True)] or [0] * len(long)
        assert at == pytest.approx(before)  # end to end
    assert ax.yaxis_inverted()
    widths = zip(*lengths, strict=True)
    return dict(zip(labels, widths, strict=True)), [t.get_text() for t in ax.texts]


def test_the_picture_shows_the_operations(clock, tmp_path):
    figure = small_profile(clock, show=False).plot()
    found, numbers = bars(figure)
    other = "other: Python, data, optimiser"
    assert list(found.items()) == [
        ("Toil", (8000, 16000, 0)),
        ("Work", (6000, 12000, 0)),
        (other, (0, 0, 6000)),
    ]
    assert numbers == ["24000.00", "18000.00", "6000.00"]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["forward", "backward", "other"]
    (ax,) = figure.axes
    assert ax.get_xlabel() == "milliseconds" and "48000.0 ms" in ax.get_title()
    assert ax.get_xlim()[0] == 0 and ax.get_xlim()[1] > 24000
    path = plot.save(figure, tmp_path / "profile.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_picture_shows_the_layers(clock):
    p = small_profile(clock, show=False)
    found, _ = bars(p.plot(by="layer"))
    other = "other: Python, data, optimiser"
    assert list(found) == ["in no layer", "1.0  WorkLayer", "0  WorkLayer", other]
    found, _ = bars(p.plot(by="layer", rows=1))
    assert found["2 more"] == (6000, 12000, 0) and len(found) == 3
    assert sum(map(sum, found.values())) == p.wall_ms


def test_the_picture_is_by_operation_or_by_layer(clock):
    with pytest.raises(ValueError, match="by must be 'operation' or 'layer', got 'time'"):
        small_profile(clock, show=False).plot(by="time")


def test_stacked_bars_need_a_value_for_each_label():
    with pytest.raises(ValueError, match="stacked_bars: 2 labels but 1 values of 'forward'"):
        plot.stacked_bars(["a", "b"], {"forward": [1.0]})
    with pytest.raises(ValueError, match="stacked_bars: there are no parts to draw"):
        plot.stacked_bars(["a", "b"], {})
