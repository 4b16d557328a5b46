"""Weight norm and spectral norm: what they compute, its gradients, and what survives them."""

import copy
import pickle

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.gradcheck import gradcheck, gradgradcheck
from minitorch7.learner.summary import summarize

on_cupy = pytest.mark.parametrize("_library", ["cupy"], indirect=True)
WRAPS = {"weight": nn.weight_norm, "spectral": nn.spectral_norm}
UNWRAPS = {"weight": nn.remove_weight_norm, "spectral": nn.remove_spectral_norm}
MAKES = {
    "Linear": (lambda: nn.Linear(5, 3), (4, 5)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, groups=2), (2, 4, 7)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, bias=False), (2, 4, 5, 6)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 2, 2), (2, 4, 3, 5)),
}
both = pytest.mark.parametrize("kind", WRAPS)
layers = pytest.mark.parametrize("layer", MAKES)


def host(t):
    return t.detach().cpu().numpy()


def wrapped(kind, layer="Conv2d", dtype="float32"):
    """A wrapped layer, and something to put in."""
    make, shape = MAKES[layer]
    return WRAPS[kind](make()).to(dtype), mt.randn(*shape).to(dtype)


def by_loops(kind, module):
    """The computed weight, from the parts, one row of the matrix after another."""
    if kind == "weight":
        g, v = host(module.weight_g), host(module.weight_v)
        return np.stack([g[i].item() * v[i] / np.sqrt((v[i] ** 2).sum()) for i in range(len(v))])
    w, u, v = (host(getattr(module, f"weight_{part}")) for part in ("orig", "u", "v"))
    rows = np.moveaxis(w, 1, 0) if isinstance(module, nn.ConvTranspose2d) else w
    sigma = sum(u[i] * (rows[i].ravel() @ v) for i in range(len(rows)))
    return w / sigma


# ------------------------------------------------------------------------------- what they compute


@both
@layers
def test_the_weight_is_that_of_the_formula(backend, kind, layer):
    module, x = wrapped(kind, layer, "float64")
    for training in (True, False):
        y = module.train(training)(x)
        expected = by_loops(kind, module)
        assert np.allclose(host(module.weight), expected, rtol=1e-12, atol=0)
        plain = MAKES[layer][0]().double()
        plain.load_state_dict({"weight": expected, **_bias(module)})
        assert np.allclose(host(y), host(plain(x)), rtol=1e-10, atol=1e-12)


def _bias(module):
    return {} if module.bias is None else {"bias": module.bias}


@layers
def test_weight_norm_changes_nothing_at_first(backend, layer):
    module = MAKES[layer][0]()
    x = mt.randn(*MAKES[layer][1])
    before, weight = host(module(x)), host(module.weight)
    nn.weight_norm(module)
    assert (host(module.weight) == weight).all()
    assert (host(module(x)) == before).all() and (host(module.weight) == weight).all()


def test_one_length_for_all_or_for_each_index_of_an_axis(backend):
    shapes = {None: (), 0: (6, 1, 1, 1), 1: (1, 4, 1, 1), 3: (1, 1, 1, 3)}
    for dim, shape in shapes.items():
        module = nn.weight_norm(nn.Conv2d(4, 6, 3), dim=dim)
        assert module.weight_g.shape == shape
        v = host(module.weight_v)
        axes = tuple(i for i in range(4) if i != dim)
        assert np.allclose(
            host(module.weight_g), np.sqrt((v * v).sum(axes, keepdims=dim is not None))
        )


def test_lengths_and_directions_are_apart(backend):
    """g alone sets the length: scaling v changes nothing."""
    module, x = wrapped("weight", dtype="float64")
    before = host(module(x))
    module.weight_v.data *= 7.0
    assert np.allclose(host(module(x)), before, rtol=1e-12)
    module.weight_g.data *= 2.0
    assert np.allclose(host(module(x)), 2 * before, rtol=1e-12)


@layers
def test_power_iteration_finds_the_largest_singular_value(backend, layer):
    module, x = wrapped("spectral", layer, "float64")
    for _ in range(500):
        module(x)
    axis = 1 if layer == "ConvTranspose2d" else 0
    matrix = np.moveaxis(host(module.weight), axis, 0)
    matrix = matrix.reshape(len(matrix), -1)
    assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, rel=1e-6)
    for part in ("u", "v"):
        assert np.linalg.norm(host(getattr(module, f"weight_{part}"))) == pytest.approx(
            1, rel=1e-12
        )


def test_more_iterations_a_call_go_as_far_as_more_calls(backend):
    one = nn.spectral_norm(nn.Linear(5, 4))
    three = nn.spectral_norm(nn.Linear(5, 4), n_power_iterations=3)
    three.load_state_dict(one.state_dict())
    x = mt.randn(2, 5)
    for _ in range(3):
        one(x)
    three(x)
    assert np.allclose(host(one.weight_u), host(three.weight_u), rtol=1e-5, atol=1e-6)


def test_evaluation_iterates_not_at_all_and_training_does_even_without_gradients(backend):
    module, x = wrapped("spectral")
    before = host(module.weight_u).copy()
    module.eval()(x)
    assert (host(module.weight_u) == before).all()
    with mt.no_grad():
        module.train()(x)
    assert not np.allclose(host(module.weight_u), before)


def test_a_weight_of_zeros_does_not_divide_the_vectors_by_zero(backend):
    module, x = wrapped("spectral")
    module.weight_orig.data[...] = 0
    module(x)
    assert np.isfinite(host(module.weight_u)).all()


# ---------------------------------------------------------------------------------------- gradients


@both
@layers
def test_gradients_of_both_orders(kind, layer):
    mt.manual_seed(0)
    module, x = wrapped(kind, layer, "float64")
    module.eval()  # u and v stay, so that the function is the same each time
    parts = [p for name, p in module.named_parameters() if name.startswith("weight")]
    x.requires_grad_()

    def f(*_):
        return F.tanh(module(x))

    assert gradcheck(f, [*parts, x])
    assert gradgradcheck(f, [*parts, x])


@both
def test_two_calls_before_one_backward_add_their_gradients(backend, kind):
    """The second call moves u and v; the first must be differentiated with its own."""
    module, x = wrapped(kind, dtype="float64")
    twin = copy.deepcopy(module)
    (module(x).sum() + (module(2 * x) * module(x)).sum()).backward()
    separate = []
    for f in (
        lambda m: m(x).sum(),
        lambda m: (m(2 * x) * m(x)).sum(),
    ):
        twin.zero_grad()
        f(twin).backward()
        separate.append({n: host(p.grad) for n, p in twin.named_parameters()})
    for name, p in module.named_parameters():
        assert np.allclose(host(p.grad), separate[0][name] + separate[1][name], rtol=1e-10)


def test_a_training_call_between_an_evaluation_and_its_backward(backend):
    module, x = wrapped("spectral", dtype="float64")
    module.eval()
    module(x).sum().backward()
    expected = host(module.weight_orig.grad).copy()
    module.zero_grad()
    y = module(x).sum()
    module.train()
    with mt.no_grad():
        module(x)
    y.backward()
    assert np.allclose(host(module.weight_orig.grad), expected, rtol=1e-12)


@both
def test_it_learns(backend, kind):
    module, x = wrapped(kind, "Linear")
    opt = optim.SGD(list(module.parameters()), lr=0.05)
    target = mt.randn(4, 3) * 0.3
    losses = []
    for _ in range(30):
        loss = F.mse_loss(module(x), target)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@on_cupy
@both
def test_a_step_waits_for_nothing(request, backend, kind):
    if request.config.getoption("--gpu"):
        pytest.skip("the stand-in counts what the host waits for")
    module, x = wrapped(kind)
    with standin.no_sync():
        module(x).sum().backward()
        module.eval()(x)


def test_what_is_written_into_the_computed_weight_is_lost(backend):
    """As in PyTorch; fastai v1 wrote ICNR there. The parts are the place for it."""
    module, x = wrapped("weight")
    y = host(module(x))
    for wait in (False, True):
        again = nn.weight_norm(nn.Conv2d(4, 6, 3, bias=False))
        again.load_state_dict(module.state_dict())
        if wait:
            again(x)
        again.weight.data[...] = 0
        assert (host(again(x)) == y).all()


def test_the_gradient_of_a_direction_is_orthogonal_to_it(backend):
    """w does not change when v grows, so the gradient has no part along v."""
    module, x = wrapped("weight", dtype="float64")
    (module(x) ** 2).sum().backward()
    v, grad = host(module.weight_v), host(module.weight_v.grad)
    assert np.abs((v * grad).sum((1, 2, 3))).max() < 1e-12 * np.abs(grad).max() * np.abs(v).sum()


# ------------------------------------------------------------------------------- copies and storing


@both
@layers
def test_names_in_the_state_are_pytorchs(kind, layer):
    module, _ = wrapped(kind, layer)
    parts = {
        "weight": ["weight_g", "weight_v"],
        "spectral": ["weight_orig", "weight_u", "weight_v"],
    }[kind]
    bias = [] if module.bias is None else ["bias"]
    assert list(module.state_dict()) == bias + parts
    trained = parts if kind == "weight" else parts[:1]
    assert [n for n, _ in module.named_parameters()] == bias + trained


@both
def test_copies_live_their_own_life(backend, kind):
    module, x = wrapped(kind)
    module(x).sum().backward()  # a computed weight exists
    y = host(module.eval()(x))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert (host(twin(x)) == y).all()
        for p in twin.parameters():
            p.data *= 0.0
        twin.weight_v.data[...] = 1.0
        twin(x)
        assert (host(module(x)) == y).all()
        assert not (host(twin(x)) == y).all()


@both
def test_a_stored_state_brings_everything_back(backend, kind):
    module, x = wrapped(kind)
    module(x)
    state = copy.deepcopy(module.state_dict())
    y = host(module.eval()(x))
    other, _ = wrapped(kind)
    other.load_state_dict(state)
    assert (host(other.eval()(x)) == y).all()


@both
def test_it_moves_and_changes_its_dtype(backend, kind):
    module, x = wrapped(kind)
    y = host(module.eval()(x))
    other = "cupy" if backend == "numpy" else "numpy"
    if backend == "cupy":
        module.to(other)
        moved = module(x.to(other))
        assert moved.backend == "numpy" and np.allclose(host(moved), y, atol=1e-6)
        module.to("cupy")
    module.double()
    z = module(x.double())
    assert z.dtype == np.float64 and np.allclose(host(z), y, atol=1e-6)


@both
def test_nothing_of_the_graph_stays_on_the_layer(backend, kind):
    module, x = wrapped(kind)
    y = module(x)
    assert module.weight.grad_fn is None and not module.weight.requires_grad
    y.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


@both
def test_a_call_that_fails_leaves_a_layer_that_works(backend, kind):
    module, x = wrapped(kind)
    y = host(module.eval()(x))
    with pytest.raises(ValueError, match="channels"):
        module(mt.zeros(1, 3, 5, 5))
    assert (host(copy.deepcopy(module)(x)) == y).all()


@both
def test_the_summary_counts_the_weight_and_the_bias(kind):
    """As fastai did: weight norm's lengths are not in its figures."""
    model = nn.Sequential(WRAPS[kind](nn.Conv2d(4, 6, 3)), nn.ReLU())
    summary = summarize(model, mt.zeros(1, 4, 5, 5))
    assert summary.total == 6 * 4 * 9 + 6 and summary.trainable == summary.total
    model.requires_grad_(False)
    assert summarize(model, mt.zeros(1, 4, 5, 5)).trainable == 0


# ----------------------------------------------------------------------------------------- removing


@both
@layers
def test_removing_keeps_the_function(backend, kind, layer):
    module, x = wrapped(kind, layer)
    module(x)
    y = host(module.eval()(x))
    assert UNWRAPS[kind](module) is module
    assert sorted(module.state_dict()) == sorted(MAKES[layer][0]().state_dict())
    assert isinstance(module.weight, nn.Parameter) and module.weight.requires_grad
    assert np.allclose(host(module(x)), y, atol=1e-6)
    assert not module._forward_pre_hooks and not module._forward_hooks
    WRAPS[kind](module)  # and once more


def test_both_at_once_on_two_parameters_of_one_module(backend):
    module = nn.Module()
    module.a, module.b = nn.Parameter(mt.randn(3, 4)), nn.Parameter(mt.randn(3, 4))
    module.forward = lambda x: F.linear(x, module.a) + F.linear(x, module.b)
    nn.spectral_norm(nn.weight_norm(module, "a"), "b")
    x = mt.randn(2, 4)
    y = host(module.eval()(x))
    nn.remove_weight_norm(module, "a")
    assert np.allclose(host(module(x)), y, atol=1e-6) and len(module._forward_pre_hooks) == 1


@both
def test_a_frozen_weight_stays_frozen(kind):
    module = nn.Linear(3, 2).requires_grad_(False)
    WRAPS[kind](module)
    assert not any(p.requires_grad for p in module.parameters())
    UNWRAPS[kind](module)
    assert not module.weight.requires_grad


# ---------------------------------------------------------------------------------------- mistakes


@both
def test_mistakes_are_explained(kind):
    wrap, unwrap = WRAPS[kind], UNWRAPS[kind]
    name = wrap.__name__
    with pytest.raises(TypeError, match=f"{name}: needs a Module, got int"):
        wrap(3)
    with pytest.raises(ValueError, match=f"{name}: Linear has no parameter 'w'.*'weight', 'bias'"):
        wrap(nn.Linear(2, 2), "w")
    with pytest.raises(ValueError, match=f"{name}: ReLU has no parameter 'weight'.*none"):
        wrap(nn.ReLU())
    with pytest.raises(ValueError, match=f"{name}: Linear has no parameter 'weight'.*'weight_"):
        wrap(wrap(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="dim 2 is out of range"):
        wrap(nn.Linear(2, 2), dim=2)
    with pytest.raises(ValueError, match=f"{name}: dim must be at least 0, got -1"):
        wrap(nn.Linear(2, 2), dim=-1)
    with pytest.raises(ValueError, match=f"{unwrap.__name__}: 'weight' of this Linear is not"):
        unwrap(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=f"{unwrap.__name__}: needs a Module"):
        unwrap(None)
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="dim 2"):
        wrap(layer, dim=2)
    assert list(layer.state_dict()) == ["weight", "bias"] and not layer._forward_pre_hooks


def test_no_iterations_are_refused():
    with pytest.raises(ValueError, match="n_power_iterations must be at least 1, got 0"):
        nn.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
