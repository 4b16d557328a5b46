"""Modules: what they register, copy, move and report; and the lesson's blocks."""

import copy
import math
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.nn import init

on_cupy = pytest.mark.parametrize("_library", ["cupy"], indirect=True)


def host(t):
    return t.detach().cpu().numpy()


def count(model):
    return sum(p.numel() for p in model.parameters())


class Scale(nn.Module):
    """y = a·x, and a running count of calls; assigned before super().__init__ on purpose."""

    def __init__(self):
        self.a = nn.Parameter(mt.ones(1))
        super().__init__()
        self.register_buffer("calls", mt.zeros(1))

    def forward(self, x):
        self.calls = self.calls + 1
        return x * self.a


def nested():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()),
        nn.ModuleList([nn.Linear(2, 2, bias=False), Scale()]),
    )


# -------------------------------------------------------------------------------- registration


def test_attributes_register_by_their_kind(backend):
    m = nn.Module()
    m.p, m.sub, m.plain, m.number = nn.Parameter(mt.ones(2)), nn.ReLU(), mt.ones(3), 5
    m.register_buffer("b", mt.zeros(2))
    m.register_buffer("none", None)
    m.register_parameter("absent", None)
    assert list(m.state_dict()) == ["p", "b"]
    assert [n for n, _ in m.named_parameters()] == ["p"]
    assert [n for n, _ in m.named_buffers()] == ["b"]
    assert [n for n, _ in m.named_children()] == ["sub"]
    assert m.absent is None and m.none is None and m.plain.shape == (3,) and m.number == 5


def test_assigning_again_replaces(backend):
    m = nn.Module()
    m.x = nn.Parameter(mt.ones(2))
    m.x = nn.ReLU()
    assert list(m.state_dict()) == [] and isinstance(m.x, nn.ReLU)
    m.x = 5
    assert list(m.children()) == [] and m.x == 5
    m.x = nn.Parameter(mt.ones(2))
    assert list(m.state_dict()) == ["x"] and isinstance(m.x, nn.Parameter)
    m.x = None
    assert m.x is None and list(m.state_dict()) == []
    m.x = nn.Parameter(mt.ones(2))
    del m.x
    with pytest.raises(AttributeError, match="Module has no attribute 'x'"):
        _ = m.x


def test_a_buffer_stays_a_buffer_when_assigned(backend):
    m = Scale()
    m(mt.ones(2))
    m(mt.ones(2))
    assert m.state_dict()["calls"].item() == 2.0 and list(m.state_dict()) == ["a", "calls"]


def test_registering_a_buffer_hides_no_value_of_that_name(backend):
    m = nn.Module()
    m.x = 1
    with pytest.raises(KeyError, match="register_buffer: 'x' is an attribute already"):
        m.register_buffer("x", mt.zeros(2))
    assert m.x == 1 and not list(m.buffers())


def test_a_parameter_is_not_lost_by_assigning_a_tensor(backend):
    """A plain tensor would be trained by nobody; PyTorch refuses it, and so must this."""
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="weight.*Parameter"):
        layer.weight = mt.zeros(2, 2)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_a_buffer_holds_a_tensor_or_nothing(backend):
    m = nn.BatchNorm1d(2)
    with pytest.raises(TypeError, match="running_mean"):
        m.running_mean = 5
    m.running_mean = None
    assert "running_mean" not in m.state_dict()


def test_parameters_and_modules_used_twice_are_listed_once(backend):
    layer = nn.Linear(2, 2)
    m = nn.Sequential(layer, nn.ReLU(), layer)
    assert [n for n, _ in m.named_parameters()] == ["0.weight", "0.bias"]
    assert [n for n, _ in m.named_modules()] == ["", "0", "1"]
    tied = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 3, bias=False))
    tied[1].weight = tied[0].weight
    assert len(list(tied.parameters())) == 1
    assert list(tied.state_dict()) == ["0.weight", "1.weight"]


def test_state_dict_lists_shared_modules_under_each_name(backend):
    """As PyTorch does: its checkpoints of such models must load."""
    layer = nn.Linear(2, 2)
    keys = list(nn.Sequential(layer, layer).state_dict())
    assert keys == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_parameters_require_gradients_unless_told_not_to(backend):
    assert nn.Parameter(mt.ones(2)).requires_grad
    assert not nn.Parameter(mt.ones(2), requires_grad=False).requires_grad
    m = nested().requires_grad_(False)
    assert not any(p.requires_grad for p in m.parameters())


# ------------------------------------------------------------------------- names, order, traversal


def test_names_and_order(backend):
    m = nested()
    assert list(m.state_dict()) == [
        "0.weight",
        "0.bias",
        "1.0.weight",
        "1.0.bias",
        "1.0.running_mean",
        "1.0.running_var",
        "1.0.num_batches_tracked",
        "2.0.weight",
        "2.1.a",
        "2.1.calls",
    ]
    assert [n for n, _ in m.named_modules()] == ["", "0", "1", "1.0", "1.1", "2", "2.0", "2.1"]
    assert [n for n, _ in m.named_children()] == ["0", "1", "2"]
    assert m.get_submodule("1.0") is m[1][0] and m.get_submodule("") is m
    with pytest.raises(AttributeError, match="Sequential has no module 'x' .'1.x.y'"):
        m.get_submodule("1.x.y")


def test_apply_visits_the_inside_first(backend):
    m = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    seen = []
    assert m.apply(lambda module: seen.append(type(module).__name__)) is m
    assert seen == ["ReLU", "Tanh", "Sequential", "Sequential"]


def test_train_eval_and_evaluating(backend):
    m = nested()
    assert all(x.training for x in m.modules())
    assert m.eval() is m and not any(x.training for x in m.modules())
    assert m.train() is m and all(x.training for x in m.modules())
    m[1].eval()
    before = [x.training for x in m.modules()]
    with nn.evaluating(m) as inside:
        assert inside is m and not any(x.training for x in m.modules())
    assert [x.training for x in m.modules()] == before
    with pytest.raises(KeyError), nn.evaluating(m):
        raise KeyError
    assert [x.training for x in m.modules()] == before


def test_zero_grad(backend):
    m = nn.Linear(2, 1)
    m(mt.ones(1, 2)).sum().backward()
    assert m.weight.grad is not None
    m.zero_grad()
    assert m.weight.grad is None and m.bias.grad is None


def test_containers(backend):
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    s = nn.Sequential(OrderedDict(first=a, second=b)).append(c)
    assert [n for n, _ in s.named_children()] == ["first", "second", "2"]
    assert len(s) == 3 and s[0] is a and s[-1] is c and list(s) == [a, b, c]
    assert list(s[1:]) == [b, c] and isinstance(s[:1], nn.Sequential)
    m = nn.ModuleList([a]).append(b)
    assert len(m) == 2 and m[1] is b and list(m) == [a, b] and isinstance(m[:1], nn.ModuleList)


# -------------------------------------------------------------------------------------- the state


def values(m):
    return {k: host(v).copy() for k, v in m.state_dict().items()}


def unchanged(m, before):
    return all(np.array_equal(before[k], v) for k, v in values(m).items())


@pytest.mark.parametrize("kind", ["tensors", "arrays"])
def test_load_state_dict_copies_values_in(backend, kind):
    a, b = nested(), nested()
    a[1][0].num_batches_tracked.data += 3
    identities = [id(p) for p in b.parameters()]
    state = a.state_dict()
    if kind == "arrays":
        state = {k: host(v) for k, v in state.items()}
    b.load_state_dict(state)
    assert unchanged(b, values(a)) and [id(p) for p in b.parameters()] == identities
    a[0].weight.data += 1
    assert not np.array_equal(host(a[0].weight), host(b[0].weight))


def test_load_state_dict_converts_dtype(backend):
    m = nn.Linear(2, 2)
    state = {k: v.double() + 1 for k, v in m.state_dict().items()}
    m.load_state_dict(state)
    assert m.weight.dtype == np.float32
    np.testing.assert_array_equal(host(m.weight), host(state["weight"]).astype(np.float32))


@on_cupy
def test_load_state_dict_crosses_backends(backend):
    m = nn.Linear(2, 2)
    m.load_state_dict(
        {
            "weight": mt.tensor([[1.0, 2.0], [3.0, 4.0]], backend="numpy"),
            "bias": mt.ones(2),
        }
    )
    assert m.weight.backend == "cupy" and m.weight.tolist() == [[1.0, 2.0], [3.0, 4.0]]


WRONG = {
    "missing": (lambda s: s.pop("1.0.bias"), KeyError, ["misses '1.0.bias'"]),
    "unexpected": (lambda s: s.update(extra=mt.ones(1)), KeyError, ["does not know 'extra'"]),
    "a shape": (
        lambda s: s.update({"2.0.weight": mt.ones(2, 3)}),
        ValueError,
        ["2.0.weight", "(2, 3)", "(2, 2)"],
    ),
    "no array": (lambda s: s.update({"2.0.weight": [[1, 2], [3, 4]]}), TypeError, ["2.0.weight"]),
    "text": (
        lambda s: s.update({"2.0.weight": np.full((2, 2), "a")}),
        TypeError,
        ["2.0.weight", "<U1"],
    ),
    "None": (lambda s: s.update({"2.0.weight": None}), TypeError, ["2.0.weight", "None"]),
}


@pytest.mark.parametrize(("spoil", "error", "fragments"), WRONG.values(), ids=WRONG)
def test_load_state_dict_copies_all_or_nothing(backend, spoil, error, fragments):
    m = nested()
    before = values(m)
    state = OrderedDict((k, v.clone() + 1) for k, v in m.state_dict().items())
    spoil(state)
    with pytest.raises(error) as caught:
        m.load_state_dict(state)
    assert unchanged(m, before)
    for fragment in ["load_state_dict: ", *fragments]:
        assert fragment in str(caught.value)


def test_load_state_dict_leniently(backend):
    m = nn.Linear(2, 2)
    bias = host(m.bias).copy()
    m.load_state_dict({"weight": mt.ones(2, 2), "extra": mt.ones(1)}, strict=False)
    assert m.weight.tolist() == [[1.0, 1.0]] * 2 and np.array_equal(host(m.bias), bias)


def test_many_wrong_names_are_cut_short(backend):
    with pytest.raises(KeyError, match="and 6 more"):
        nested().load_state_dict({})


def test_copies_and_pickles_are_independent(backend):
    m = nested().eval()
    for twin in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert unchanged(twin, values(m)) and not twin.training
        twin[0].weight.data += 1
        assert not np.array_equal(host(twin[0].weight), host(m[0].weight))
        assert isinstance(twin[0].weight, nn.Parameter) and twin[0].weight.requires_grad


# -------------------------------------------------------------------------------------- moving


def train_once(model, optimiser, x):
    optimiser.zero_grad()
    (model(x) * 1.0).sum().backward()
    optimiser.step()


@on_cupy
@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
@pytest.mark.parametrize("stepped", [False, True])
def test_a_moved_model_keeps_its_optimiser(backend, kind, stepped):
    """Whether it was made before the move, or has momentum from before the move too."""
    options = {"momentum": 0.9} if kind is optim.SGD else {}
    with mt.using("numpy"):
        moved, stayed = nn.Linear(3, 2), nn.Linear(3, 2)
        stayed.load_state_dict(moved.state_dict())
    x = mt.tensor(np.arange(6, dtype=np.float32).reshape(2, 3), backend="numpy")
    pairs = [(m, kind(m.parameters(), lr=0.1, **options)) for m in (moved, stayed)]
    if stepped:
        for m, optimiser in pairs:
            train_once(m, optimiser, x)
    identities = [id(p) for p in moved.parameters()]
    assert moved.to("cupy") is moved and [id(p) for p in moved.parameters()] == identities
    assert {t.backend for t in moved.state_dict().values()} == {"cupy"}
    assert all(p.grad is None or p.grad.backend == "cupy" for p in moved.parameters())
    x_there = mt.tensor(x.data, backend="cupy")
    for _ in range(2):
        train_once(moved, pairs[0][1], x_there)
        train_once(stayed, pairs[1][1], x)
    moved.cpu()
    for name, expected in values(stayed).items():
        np.testing.assert_allclose(values(moved)[name], expected, rtol=1e-5, atol=1e-6)


@on_cupy
def test_buffers_move_too(backend):
    with mt.using("numpy"):
        m = nested()
    m.cuda()
    assert {t.backend for t in m.state_dict().values()} == {"cupy"}
    m.cpu()
    assert {t.backend for t in m.state_dict().values()} == {"numpy"}


def test_to_a_dtype(backend):
    m = nested()
    optimiser = optim.SGD(m.parameters(), lr=0.1)
    identities = [id(p) for p in m.parameters()]
    assert m.double() is m and [id(p) for p in m.parameters()] == identities
    for name, t in m.state_dict().items():
        assert t.dtype == (np.int64 if "tracked" in name else np.float64)
    before = values(m)
    m[0](mt.ones(1, 1, 3, 3, dtype=np.float64)).sum().backward()
    optimiser.step()
    assert not np.array_equal(host(m[0].weight), before["0.weight"])
    assert m.float()[0].weight.dtype == np.float32
    for target in ("float64", np.float64, np.dtype("float64")):
        assert nn.Linear(1, 1).to(target).weight.dtype == np.float64


def test_to_nonsense(backend):
    m = nn.Linear(2, 2)
    with pytest.raises(mt.BackendError, match="to: 'tpu' is neither a backend"):
        m.to("tpu")
    with pytest.raises(TypeError, match="floating point, got .int64"):
        m.to("int64")
    assert m.weight.dtype == np.float32 and m.weight.requires_grad


# ---------------------------------------------------------------------------------------- hooks


def test_forward_hooks_as_contexts(backend):
    m, x, seen = nn.ReLU(), mt.tensor([-1.0, 2.0]), []

    def before(module, inputs):
        seen.append("before")
        assert module is m and inputs == (x,)

    def after(module, inputs, output):
        seen.append("after")
        assert module is m and output.tolist() == [0.0, 2.0]

    with m.register_forward_pre_hook(before), m.register_forward_hook(after):
        m(x)
        assert seen == ["before", "after"]
    m(x)
    assert seen == ["before", "after"]


def test_hooks_may_replace_inputs_and_outputs(backend):
    m, x = nn.ReLU(), mt.tensor([-1.0, 2.0])
    with m.register_forward_pre_hook(lambda module, inputs: -inputs[0]):
        assert m(x).tolist() == [1.0, 0.0]
    with m.register_forward_pre_hook(lambda module, inputs: (-inputs[0],)):
        assert m(x).tolist() == [1.0, 0.0]
    with (
        m.register_forward_hook(lambda module, inputs, output: output + 1),
        m.register_forward_hook(lambda module, inputs, output: output * 2),
    ):
        assert m(x).tolist() == [2.0, 6.0]
    assert m(x).tolist() == [0.0, 2.0]


def test_backward_hooks_as_contexts(backend):
    m, seen = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), []
    x = mt.ones(1, 2, requires_grad=True)

    def look(module, grad):
        seen.append((module, grad.shape))

    with m[0].register_backward_hook(look):
        m(x).sum().backward()
    assert seen == [(m[0], (1, 2))]
    m(x).sum().backward()
    assert len(seen) == 1
    x.grad = None
    with m[0].register_backward_hook(lambda module, grad: grad * 0.0):
        m(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0]]
    with mt.no_grad(), m[0].register_backward_hook(look):
        m(x)
    assert len(seen) == 1


def test_a_hook_ends_with_an_error(backend):
    m = nn.ReLU()
    with pytest.raises(KeyError), m.register_forward_hook(lambda *a: 1 / 0):
        raise KeyError
    assert m(mt.ones(1)).tolist() == [1.0]


# ---------------------------------------------------------------------------- appearance and errors


def test_repr(backend):
    model = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.Sequential(nn.ReLU()))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Linear(2, 3, bias=False)) == "Linear(2, 3, bias=False)"
    assert repr(nn.Sequential()) == "Sequential()"


class Broken(nn.Module):
    """A layer with a layer inside, that fails itself."""

    def __init__(self):
        self.inner = nn.ReLU()

    def forward(self, x):
        raise RuntimeError("broken: on purpose")


class Lists(nn.Module):
    def __init__(self):
        self.stages = nn.ModuleList([nn.ModuleList([nn.ReLU(), nn.Linear(2, 3)])])

    def forward(self, x):
        return self.stages[0][1](self.stages[0][0](x))


ERRORS = {
    "conv in a block": (
        lambda: nn.Sequential(nn.ReLU(), nn.Sequential(OrderedDict(conv1=nn.Conv2d(16, 16, 3)))),
        (2, 8, 14, 14),
        "conv2d: input has 8 channels but weight expects 16 "
        "(input (2, 8, 14, 14), weight (16, 16, 3, 3), groups 1)",
        "in layer '1.conv1' (Conv2d(16, 16, kernel_size=(3, 3), stride=(1, 1))) of Sequential",
    ),
    "lists in a module": (
        lambda: nn.Sequential(nn.ReLU(), Lists()),
        (1, 5),
        "linear: input has 5 features but weight expects 2 (input (1, 5), weight (3, 2))",
        "in layer '1.stages.0.1' (Linear(2, 3, bias=True)) of Sequential",
    ),
    "a layer alone": (
        lambda: nn.Linear(2, 3),
        (1, 5),
        "linear: input has 5 features but weight expects 2 (input (1, 5), weight (3, 2))",
        "in layer Linear(2, 3, bias=True)",
    ),
    "a residual block": (
        lambda: nn.Sequential(nn.SequentialEx(nn.Linear(5, 3), nn.MergeLayer())),
        (1, 5),
        "MergeLayer: cannot add (1, 3) to the block's input (1, 5); "
        "a residual block must keep channels and size (or use dense=True)",
        "in layer '0.1' (MergeLayer()) of Sequential",
    ),
    "a layer with layers inside": (
        lambda: nn.Sequential(nn.ReLU(), Broken()),
        (1,),
        "broken: on purpose",
        "in layer '1' (Broken) of Sequential",
    ),
}


@pytest.mark.parametrize(("model", "shape", "text", "note"), ERRORS.values(), ids=ERRORS)
def test_an_error_carries_the_path_of_its_layer_once(backend, model, shape, text, note):
    with pytest.raises((ValueError, RuntimeError)) as caught:
        model()(mt.ones(*shape))
    assert str(caught.value) == text
    assert caught.value.__notes__ == [note]
    with pytest.raises(ValueError) as caught:  # and no path is left over for the next error
        F.linear(mt.ones(2), mt.ones(3, 4))
    assert not hasattr(caught.value, "__notes__")


def test_an_error_in_a_hook_carries_the_path_too(backend):
    m = nn.Sequential(nn.ReLU())
    m[0].register_forward_hook(lambda *a: {}["nothing"])
    with pytest.raises(KeyError) as caught:
        m(mt.ones(1))
    assert caught.value.__notes__ == ["in layer '0' (ReLU()) of Sequential"]


# ------------------------------------------------------------------------------ the lesson's blocks


class Add(nn.Module):
    def __init__(self, amount):
        self.amount = amount

    def forward(self, x):
        return x + self.amount


def test_each_merge_sees_what_entered_its_own_container(backend):
    x = mt.full((1, 1), 1.0)
    inner = nn.SequentialEx(Add(10.0), nn.MergeLayer())  # 2x + 10
    outer = nn.SequentialEx(Add(100.0), inner, nn.MergeLayer(), nn.MergeLayer())
    assert inner(x).item() == 12.0
    assert outer(x).item() == (2 * 101 + 10) + 1 + 1
    between = nn.SequentialEx(nn.Sequential(Add(1.0)), nn.MergeLayer())
    assert between(x).item() == 3.0


def test_a_dense_merge_puts_the_running_tensor_first(backend):
    x = mt.full((1, 2, 1, 1), 1.0)
    y = nn.SequentialEx(Add(5.0), nn.MergeLayer(dense=True))(x)
    assert host(y).ravel().tolist() == [6.0, 6.0, 1.0, 1.0]


def test_a_merge_differentiates_into_both(backend):
    x = mt.full((1, 2), 3.0, requires_grad=True)
    nn.SequentialEx(nn.Lambda(lambda t: t * t), nn.MergeLayer())(x).sum().backward()
    assert x.grad.tolist() == [[7.0, 7.0]]


def kinds(m):
    return [type(layer).__name__ for layer in m]


def test_conv_layer(backend):
    assert kinds(nn.conv_layer(1, 2)) == ["Conv2d", "ReLU", "BatchNorm2d"]
    assert kinds(nn.conv_layer(1, 2, use_activ=False)) == ["Conv2d", "BatchNorm2d"]
    assert kinds(nn.conv_layer(1, 2, norm_type=None)) == ["Conv2d", "ReLU"]
    assert kinds(nn.conv_layer(1, 2, is_1d=True)) == ["Conv1d", "ReLU", "BatchNorm1d"]
    leaky = nn.conv_layer(1, 2, transpose=True, leaky=0.2)
    assert kinds(leaky) == ["ConvTranspose2d", "LeakyReLU", "BatchNorm2d"]
    assert leaky[1].negative_slope == 0.2
    for ks, padding in ((1, 0), (3, 1), (4, 1), (5, 2)):
        assert nn.conv_layer(1, 2, ks=ks)[0].padding == (padding, padding)
    assert nn.conv_layer(1, 2, transpose=True)[0].padding == (0, 0)
    assert nn.conv_layer(1, 2, padding=2)[0].padding == (2, 2)
    assert nn.conv_layer(1, 2, stride=2)(mt.ones(2, 1, 28, 28)).shape == (2, 2, 14, 14)


def test_conv_layer_has_a_bias_only_without_batch_norm(backend):
    assert nn.conv_layer(1, 2)[0].bias is None
    assert nn.conv_layer(1, 2, norm_type=nn.NormType.BatchZero)[0].bias is None
    assert nn.conv_layer(1, 2, bias=True)[0].bias is not None
    bias = nn.conv_layer(1, 2, norm_type=None)[0].bias
    assert bias.tolist() == [0.0, 0.0]
    assert nn.conv_layer(1, 2, norm_type=None, bias=False)[0].bias is None


def test_conv_layers_start_with_kaimings_spread(backend):
    weight = host(nn.conv_layer(64, 64)[0].weight)
    assert abs(weight.mean()) < 0.01 * weight.std() + 1e-3
    assert weight.std() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    transposed = host(nn.conv_layer(16, 64, ks=4, transpose=True)[0].weight)
    assert transposed.std() == pytest.approx(math.sqrt(2 / (64 * 16)), rel=0.03)


def test_batch_norms_start_as_the_identity(backend):
    for norm in (nn.NormType.Batch, nn.NormType.BatchZero):
        layer = nn.conv_layer(1, 3, norm_type=norm)[-1]
        assert layer.weight.tolist() == [1.0] * 3 and layer.bias.tolist() == [0.0] * 3


def test_res_block(backend):
    x = mt.randn(2, 8, 4, 4)
    assert nn.res_block(8)(x).shape == (2, 8, 4, 4)
    assert nn.res_block(8, dense=True)(x).shape == (2, 16, 4, 4)
    bottle = nn.res_block(8, bottle=True)
    assert bottle(x).shape == (2, 8, 4, 4) and bottle[0][0].out_channels == 4
    assert kinds(nn.res_block(8)) == ["Sequential", "Sequential", "MergeLayer"]
    assert [count(nn.res_block(n)) for n in (8, 16, 32)] == [1184, 4672, 18560]
    dense = nn.res_block(8, dense=True).eval()
    np.testing.assert_array_equal(host(dense(x))[:, 8:], host(x))


CHANNELS = [1, 8, 16, 32, 16, 10]
STAGES = list(zip(CHANNELS, CHANNELS[1:], strict=False))


def basic_net():
    layers = []
    for ni, nf in STAGES:
        layers += [nn.Conv2d(ni, nf, 3, stride=2, padding=1), nn.BatchNorm2d(nf), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Flatten())


def refactored_net():
    return nn.Sequential(*[nn.conv_layer(ni, nf, stride=2) for ni, nf in STAGES], nn.Flatten())


def res_net():
    layers = []
    for ni, nf in STAGES[:-1]:
        layers += [nn.conv_layer(ni, nf, stride=2), nn.res_block(nf)]
    return nn.Sequential(*layers, nn.conv_layer(16, 10, stride=2), nn.Flatten())


@pytest.mark.parametrize(
    ("net", "parameters"), [(basic_net, 12_126), (refactored_net, 12_044), (res_net, 41_132)]
)
def test_the_lessons_networks(backend, net, parameters):
    model = net()
    assert count(model) == parameters
    y = model(mt.randn(4, 1, 28, 28))
    assert y.shape == (4, 10)
    F.cross_entropy(y, mt.tensor([0, 1, 2, 9])).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.shape == p.shape, name


def test_the_resnet_has_44_layers_that_are_no_containers(backend):
    assert sum(not list(m.children()) for m in res_net().modules()) == 44


# ----------------------------------------------------------------------------------------- dropout


def test_dropout_keeps_the_expectation(backend):
    x, layer = mt.ones(100, 200), nn.Dropout(0.25)
    y = host(layer(x))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / 0.75, rtol=1e-6)
    assert kept.mean() == pytest.approx(0.75, abs=0.015) and y.mean() == pytest.approx(1, abs=0.02)
    assert not np.array_equal(host(layer(x)), y)
    layer.eval()
    np.testing.assert_array_equal(host(layer(x)), 1)


def test_dropout_2d_takes_whole_channels(backend):
    y = host(nn.Dropout2d(0.4)(mt.ones(30, 40, 3, 2)))
    flat = y.reshape(1200, 6)
    assert (flat == flat[:, :1]).all()
    np.testing.assert_allclose(flat[flat != 0], 1 / 0.6, rtol=1e-6)
    assert (flat[:, 0] != 0).mean() == pytest.approx(0.6, abs=0.06)
    one = host(nn.Dropout2d(0.5)(mt.ones(50, 2, 2))).reshape(50, 4)
    assert (one == one[:, :1]).all() and 0 < one.mean() < 2


def test_dropout_of_everything_and_of_nothing(backend):
    x = mt.ones(20, requires_grad=True)
    assert F.dropout(x, 0.0).tolist() == [1.0] * 20
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.tolist() == [0.0] * 20 and x.grad.tolist() == [0.0] * 20


def test_dropouts_gradient_uses_the_same_mask(backend):
    x = mt.ones(200, requires_grad=True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), host(y))


# ----------------------------------------------------------------------- the state of batch norms


def test_running_statistics(backend):
    layer, x = nn.BatchNorm1d(2), mt.tensor([[1.0, 2.0], [3.0, 6.0]])
    layer(x)
    np.testing.assert_allclose(host(layer.running_mean), [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(host(layer.running_var), [0.9 + 0.2, 0.9 + 0.8], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 1
    before = values(layer)
    layer.eval()(x)
    assert unchanged(layer, before)


def test_a_refused_batch_leaves_the_statistics_alone(backend):
    layer = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(mt.ones(1, 2))
    with pytest.raises(ValueError, match="BatchNorm1d: input must have 2 or 3 axes"):
        layer(mt.ones(2, 2, 2, 2))
    assert layer.running_mean.tolist() == [0.0, 0.0] and layer.running_var.tolist() == [1.0, 1.0]


# ---------------------------------------------------------------------------------- initial values

BIG = (200, 30, 3, 3)  # fan_in 270, fan_out 1800
SPREADS = {
    "kaiming_normal_": (lambda t: init.kaiming_normal_(t), math.sqrt(2 / 270)),
    "kaiming_normal_, fan_out, relu": (
        lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
        math.sqrt(2 / 1800),
    ),
    "kaiming_normal_, a=1": (lambda t: init.kaiming_normal_(t, a=1), math.sqrt(1 / 270)),
    "kaiming_normal_, tanh": (
        lambda t: init.kaiming_normal_(t, nonlinearity="tanh"),
        5 / 3 / math.sqrt(270),
    ),
    "xavier_normal_": (lambda t: init.xavier_normal_(t), math.sqrt(2 / 2070)),
    "normal_": (lambda t: init.normal_(t, 0.0, 0.02), 0.02),
}
BOUNDS = {
    "kaiming_uniform_": (lambda t: init.kaiming_uniform_(t), math.sqrt(6 / 270)),
    "kaiming_uniform_, √5": (
        lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)),
        1 / math.sqrt(270),
    ),
    "xavier_uniform_": (lambda t: init.xavier_uniform_(t, 2.0), 2 * math.sqrt(6 / 2070)),
    "default_": (lambda t: init.default_(t, None) or t, 1 / math.sqrt(270)),
    "uniform_": (lambda t: init.uniform_(t, -0.3, 0.3), 0.3),
}


@pytest.mark.parametrize(("fill", "spread"), SPREADS.values(), ids=SPREADS)
def test_normal_initialisers(backend, fill, spread):
    w = fill(mt.zeros(*BIG))
    assert w.backend == backend and host(w).std() == pytest.approx(spread, rel=0.02)
    assert abs(host(w).mean()) < 0.02 * spread


@pytest.mark.parametrize(("fill", "bound"), BOUNDS.values(), ids=BOUNDS)
def test_uniform_initialisers(backend, fill, bound):
    w = host(fill(mt.zeros(*BIG)))
    assert w.min() >= -bound and w.max() <= bound * (1 + 1e-6)
    assert w.min() < -0.99 * bound and w.max() > 0.99 * bound
    assert w.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_constant_initialisers(backend):
    w = nn.Parameter(mt.randn(2, 2))
    assert init.ones_(w) is w and w.tolist() == [[1.0, 1.0]] * 2
    assert init.zeros_(w).tolist() == [[0.0, 0.0]] * 2
    assert init.constant_(w, 3.5).tolist() == [[3.5, 3.5]] * 2


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: nn.Linear(300, 80), 300),
        (lambda: nn.Conv2d(20, 60, 3), 180),
        (lambda: nn.Conv2d(20, 60, 3, groups=2), 90),
        (lambda: nn.Conv1d(40, 90, 5), 200),
        (lambda: nn.ConvTranspose2d(60, 20, 3), 180),
    ],
)
def test_layers_start_as_pytorchs_do(backend, layer, fan_in):
    made = layer()
    bound = 1 / math.sqrt(fan_in)
    weight, bias = host(made.weight), host(made.bias)
    assert 0.98 * bound < abs(weight).max() <= bound * (1 + 1e-6)
    assert 0.7 * bound < abs(bias).max() <= bound * (1 + 1e-6)


def test_a_layer_without_inputs_can_be_made(backend):
    """As in PyTorch: there is no weight to fill, and the bias is all that comes out."""
    assert nn.Linear(0, 3)(mt.zeros(2, 0)).shape == (2, 3)


def test_embeddings_start_normal_with_a_zero_row_for_padding(backend):
    table = host(nn.Embedding(500, 40, padding_idx=3).weight)
    assert (table[3] == 0).all() and table.std() == pytest.approx(1, abs=0.02)
