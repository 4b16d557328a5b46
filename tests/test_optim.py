"""Optimisers: groups, states, refusals, the same steps on both backends; and the one-cycle policy.

The trajectories are compared with PyTorch's elsewhere; here, with the formulas.
"""

import copy
import math

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import nn, optim

on_cupy = pytest.mark.parametrize("_library", ["cupy"], indirect=True)
KINDS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "dampened": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: optim.Adam(p, lr=0.1),
    "Adam, decay": lambda p: optim.Adam(p, lr=0.1, betas=(0.8, 0.99), weight_decay=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
}
all_kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def parameter(*values):
    return nn.Parameter(mt.tensor(np.array(values, np.float32)))


def set_grad(p, *values):
    p.grad = mt.tensor(np.array(values, np.float32))


def host(t):
    return t.detach().cpu().numpy()


def close(t, *expected):
    np.testing.assert_allclose(host(t), expected, rtol=1e-5, atol=1e-7)


def steps(optimiser, p, count, start=0):
    for i in range(start, start + count):
        set_grad(p, *(np.sin(np.arange(p.numel()) + i)))
        optimiser.step()


# ---------------------------------------------------------------------------------- single steps


def test_sgd_by_hand(backend):
    p = parameter(1.0, 2.0)
    o = optim.SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5)
    set_grad(p, 1.0, 0.0)
    o.step()  # g = (1.5, 1), v = g
    close(p, 0.85, 1.9)
    set_grad(p, 0.0, 0.0)
    o.step()  # g = (.425, .95), v = .9·(1.5, 1) + g
    close(p, 0.85 - 0.1 * 1.775, 1.9 - 0.1 * 1.85)


def test_adams_first_step_is_the_learning_rate(backend):
    for gradient in (1e-3, 1.0, 1e3):
        p = parameter(1.0)
        o = optim.Adam([p], lr=0.1)
        set_grad(p, gradient)
        o.step()
        close(p, 0.9)


def test_true_weight_decay_is_not_divided_by_the_spread(backend):
    p = parameter(2.0)
    o = optim.AdamW([p], lr=0.1, weight_decay=0.5)
    set_grad(p, 0.0)
    o.step()
    close(p, 2.0 * (1 - 0.1 * 0.5))


def test_parameters_without_a_gradient_stay(backend):
    p, q = parameter(1.0), parameter(1.0)
    o = optim.SGD([p, q], lr=0.1, weight_decay=0.5)
    set_grad(p, 1.0)
    o.step()
    close(q, 1.0)
    assert p.item() != 1.0 and o.state.get(q) is None
    o.zero_grad()
    assert p.grad is None and q.grad is None


def test_a_step_changes_arrays_in_place_and_leaves_gradients_alone(backend):
    for make in KINDS.values():
        p = parameter(1.0, 2.0)
        array, o = p.data, make([p])
        set_grad(p, 1.0, -1.0)
        for _ in range(3):
            o.step()
        assert p.data is array
        close(p.grad, 1.0, -1.0)


@on_cupy
@all_kinds
def test_the_same_steps_on_both_backends_without_waiting(backend, kind):
    found = []
    for name in ("numpy", "cupy"):
        with mt.using(name):
            p = parameter(1.0, -2.0, 3.0)
            o = kind([p])
            steps(o, p, 1)
            set_grad(p, 0.5, -0.5, 0.0)
            with standin.no_sync():
                o.step()
            steps(o, p, 3, start=2)
            assert p.backend == name
            found.append(host(p))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


# ----------------------------------------------------------------------------------------- groups


def test_groups_have_their_own_options(backend):
    p, q = parameter(1.0), parameter(1.0)
    o = optim.SGD([{"params": [p]}, {"params": q, "lr": 1.0, "weight_decay": 0.5}], lr=0.1)
    assert [g["lr"] for g in o.param_groups] == [0.1, 1.0]
    assert [g["weight_decay"] for g in o.param_groups] == [0, 0.5]
    for t in (p, q):
        set_grad(t, 1.0)
    o.step()
    close(p, 0.9)
    close(q, 1.0 - 1.5)
    o.param_groups[0]["lr"] = 0.0
    o.step()
    close(p, 0.9)


def test_add_param_group(backend):
    p, q = parameter(1.0), parameter(1.0)
    o = optim.Adam([p], lr=0.1)
    o.add_param_group({"params": [q], "lr": 0.5})
    assert o.param_groups[1]["betas"] == (0.9, 0.999)
    set_grad(q, 1.0)
    o.step()
    close(q, 0.5)


def test_a_generator_of_parameters_will_do(backend):
    model = nn.Linear(2, 3)
    assert len(optim.SGD(model.parameters(), lr=0.1).param_groups[0]["params"]) == 2
    assert len(optim.SGD([{"params": model.parameters()}]).param_groups[0]["params"]) == 2


def test_a_parameter_stands_in_one_place_only(backend):
    p, q = parameter(1.0), parameter(2.0)
    for groups in ([p, q, p], [{"params": [p]}, {"params": [q, p]}]):
        with pytest.raises(ValueError, match="SGD: a parameter stands in two groups"):
            optim.SGD(groups)
    o = optim.SGD([p])
    with pytest.raises(ValueError, match="two groups"):
        o.add_param_group({"params": [q, p]})
    assert len(o.param_groups) == 1
    o.add_param_group({"params": [q]})


# -------------------------------------------------------------------------------------- refusals

BAD = {
    "lr": (lambda p: optim.SGD(p, lr=-0.1), "SGD: lr must be at least 0, got -0.1"),
    "nan": (lambda p: optim.Adam(p, lr=math.nan), "Adam: lr must be at least 0, got nan"),
    "momentum": (lambda p: optim.SGD(p, momentum=-1), "SGD: momentum must be at least 0"),
    "decay": (lambda p: optim.AdamW(p, weight_decay=-1), "AdamW: weight_decay must be at least 0"),
    "eps": (lambda p: optim.Adam(p, eps=-1e-8), "Adam: eps must be at least 0"),
    "β₁": (lambda p: optim.Adam(p, betas=(1.0, 0.9)), r"Adam: betas\[0\] must be .* below 1"),
    "β₂": (lambda p: optim.AdamW(p, betas=(0.9, -0.1)), r"AdamW: betas\[1\] must be .* got -0.1"),
    "nesterov": (lambda p: optim.SGD(p, nesterov=True), "SGD: nesterov needs momentum"),
    "nesterov, dampened": (
        lambda p: optim.SGD(p, momentum=0.9, dampening=0.1, nesterov=True),
        "SGD: nesterov needs momentum above 0 and no dampening",
    ),
    "no parameters": (lambda p: optim.SGD([]), "SGD: got no parameters"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_bad_hyperparameters(backend, make, message):
    with pytest.raises(ValueError, match=message):
        make([parameter(1.0)])


def test_what_cannot_be_moved(backend):
    p = parameter(1.0)
    with pytest.raises(TypeError, match="SGD: can only move leaf tensors, got a computed tensor"):
        optim.SGD([p * 2])
    with pytest.raises(TypeError, match="Adam: can only move leaf tensors, got ndarray"):
        optim.Adam([np.ones(2)])


def test_a_single_tensor_is_not_a_list_of_parameters(backend):
    """Taken as a sequence it would be cut into rows, and none of the rows trained."""
    for t in (mt.ones(2, 2), parameter(1.0, 2.0)):
        with pytest.raises(TypeError, match="SGD: .*(list|iterable|several)"):
            optim.SGD(t, lr=0.1)


def test_a_gradient_of_another_shape_is_refused(backend):
    """(1,) would be stretched over the parameter without a word."""
    for wrong in ([1.0], [1.0] * 3):
        p = parameter(1.0, 2.0)
        with pytest.raises((ValueError, RuntimeError), match=r"\(\d,\).*\(\d,\)") as caught:
            set_grad(p, *wrong)
            optim.SGD([p], lr=0.1).step()
        assert "could not be broadcast" not in str(caught.value)
        close(p, 1.0, 2.0)


# -------------------------------------------------------------------------------------- the state


@all_kinds
@pytest.mark.parametrize("form", ["tensors", "arrays", "text keys"])
def test_a_state_continues_the_same_trajectory(backend, kind, form):
    p = parameter(1.0, -2.0, 3.0)
    first = kind([p])
    steps(first, p, 3)
    state, q = copy.deepcopy(first.state_dict()), nn.Parameter(p.clone().detach())
    if form == "arrays":
        for kept in state["state"].values():
            kept.update({k: host(v) for k, v in kept.items() if isinstance(v, mt.Tensor)})
    elif form == "text keys":  # as after JSON
        state["state"] = {str(k): v for k, v in state["state"].items()}
    second = optim.SGD([q]) if type(first) is optim.SGD else type(first)([q])
    second.load_state_dict(state)
    steps(first, p, 3, start=3)
    steps(second, q, 3, start=3)
    np.testing.assert_array_equal(host(p), host(q))


def test_a_loaded_state_is_a_copy(backend):
    p, q = parameter(1.0), parameter(1.0)
    first, second = (optim.SGD([t], lr=0.1, momentum=0.9) for t in (p, q))
    steps(first, p, 1)
    second.load_state_dict(first.state_dict())
    before = second.state[q]["momentum_buffer"].tolist()
    steps(first, p, 2)
    assert second.state[q]["momentum_buffer"].tolist() == before


def test_state_dict_numbers_the_parameters(backend):
    p, q, r = parameter(1.0), parameter(1.0), parameter(1.0)
    o = optim.Adam([{"params": [p, q]}, {"params": [r], "lr": 0.5}], lr=0.1)
    set_grad(r, 1.0)
    o.step()
    state = o.state_dict()
    assert [g["params"] for g in state["param_groups"]] == [[0, 1], [2]]
    assert list(state["state"]) == [2] and state["state"][2]["step"] == 1
    assert state["param_groups"][1]["lr"] == 0.5


MISMATCHES = {
    "groups": (lambda s: s["param_groups"].append({"params": [9]}), ["[1, 1]", "[1]"]),
    "sizes": (lambda s: s["param_groups"][0]["params"].append(1), ["[2]", "[1]"]),
    "shape": (
        lambda s: s["state"][0].update(momentum_buffer=mt.ones(3)),
        ["momentum_buffer", "(3,)", "(2,)"],
    ),
    "number": (lambda s: s["state"].update({7: {}}), ["7"]),
}


@pytest.mark.parametrize(("spoil", "fragments"), MISMATCHES.values(), ids=MISMATCHES)
def test_a_state_that_does_not_fit_is_refused_whole(backend, spoil, fragments):
    p = parameter(1.0, 2.0)
    o = optim.SGD([p], lr=0.1, momentum=0.9)
    steps(o, p, 1)
    state = copy.deepcopy(o.state_dict())
    state["param_groups"][0]["lr"] = 77.0
    spoil(state)
    with pytest.raises((ValueError, KeyError)) as caught:
        o.load_state_dict(state)
    for fragment in ["SGD.load_state_dict: ", *fragments]:
        assert fragment in str(caught.value)
    assert o.param_groups[0]["lr"] == 0.1 and "momentum_buffer" in o.state[p]


# --------------------------------------------------------------------------------------- clipping


def test_clip_grad_norm(backend):
    p, q = parameter(0.0, 0.0), parameter(0.0)
    set_grad(p, 3.0, 0.0)
    set_grad(q, 4.0)
    norm = optim.clip_grad_norm_([p, q, parameter(1.0)], 10.0)
    assert isinstance(norm, mt.Tensor) and norm.item() == 5.0
    close(p.grad, 3.0, 0.0)
    assert optim.clip_grad_norm_(iter([p, q]), 1.0).item() == 5.0
    np.testing.assert_allclose(host(p.grad), [0.6, 0.0], rtol=1e-5)
    np.testing.assert_allclose(host(q.grad), [0.8], rtol=1e-5)


def test_clip_grad_norm_takes_a_single_tensor(backend):
    """As PyTorch's does; cut into rows it would find no gradient."""
    p = parameter(0.0, 0.0)
    set_grad(p, 3.0, 4.0)
    assert optim.clip_grad_norm_(p, 1.0).item() == 5.0
    np.testing.assert_allclose(host(p.grad), [0.6, 0.8], rtol=1e-5)


def test_the_norm_of_no_gradients_is_zero(backend):
    assert optim.clip_grad_norm_([parameter(1.0)], 1.0).item() == 0.0


def test_clip_grad_value(backend):
    p = parameter(0.0, 0.0, 0.0)
    set_grad(p, 3.0, -4.0, 0.5)
    optim.clip_grad_value_([p, parameter(1.0)], 1.0)
    close(p.grad, 1.0, -1.0, 0.5)


@on_cupy
def test_clipping_does_not_wait(backend):
    p = parameter(0.0, 0.0)
    set_grad(p, 3.0, 4.0)
    with standin.no_sync():
        optim.clip_grad_norm_([p], 1.0)
        optim.clip_grad_value_([p], 0.5)


def test_clipping_refuses(backend):
    p = parameter(1.0)
    for limit in (0, -1, math.nan):
        set_grad(p, 1.0)
        with pytest.raises(
            ValueError, match=f"clip_grad_norm_: max_norm .*must be positive, got {limit}"
        ):
            optim.clip_grad_norm_([p], limit)
        with pytest.raises(ValueError, match="clip_grad_value_: clip_value must be positive"):
            optim.clip_grad_value_([p], limit)
        close(p.grad, 1.0)


# -------------------------------------------------------------------------------------- schedules

RATES = [
    0.004, 0.028, 0.076, 0.1, 0.095048463,
    0.081174565, 0.061126202, 0.038874198, 0.018825835, 0.0049519368,
]  # fmt: skip
MOMENTA = [0.95, 0.925, 0.875, 0.85, 0.854952, 0.868826, 0.888874, 0.911126, 0.931174, 0.945048]


def test_one_cycle_check_vector():
    """LESSON7.md §6.3: ten batches, highest rate 0.1."""
    cycle = optim.OneCycle(10, 0.1)
    rates, momenta = zip(*[cycle.at(k) for k in range(10)], strict=True)
    np.testing.assert_allclose(rates, RATES, rtol=1e-7)
    np.testing.assert_allclose(momenta, MOMENTA, atol=5e-7)
    assert cycle.at(10) == pytest.approx((4e-7, 0.95), rel=1e-9)


def test_one_cycle_scales_groups_together():
    rates, momentum = optim.OneCycle(10, [0.1, 0.01]).at(1)
    assert rates == pytest.approx([0.028, 0.0028]) and momentum == pytest.approx(0.925)


def test_one_cycle_options():
    cycle = optim.OneCycle(100, 1.0, moms=(0.9, 0.8), div_factor=10.0, pct_start=0.5)
    assert cycle.at(0) == pytest.approx((0.1, 0.9)) and cycle.at(50) == pytest.approx((1.0, 0.8))
    assert cycle.at(25) == pytest.approx((0.55, 0.85))
    assert cycle.at(100) == pytest.approx((1e-5, 0.9))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("pct_start", [0.0, 0.3, 1.0])
def test_short_cycles_stay_within_their_bounds(n, pct_start):
    cycle = optim.OneCycle(n, 0.1, pct_start=pct_start)
    for k in range(n + 1):
        rate, momentum = cycle.at(k)
        assert 0.1 / 25e4 * (1 - 1e-9) <= rate <= 0.1 * (1 + 1e-9)
        assert 0.85 - 1e-9 <= momentum <= 0.95 + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.1), "OneCycle: needs at least 1 step, got 0"),
        ((10, 0.1, (0.95, 0.85), 25.0, 1.5), "OneCycle: pct_start must be between 0 and 1"),
        ((10, 0.1, (0.95, 0.85), 25.0, math.nan), "OneCycle: pct_start must be between 0 and 1"),
        ((10, 0.1, (0.95, 0.85), 0.0), "OneCycle: div_factor must be"),
        ((10, -0.1), "OneCycle: max_lr must be"),
    ],
)
def test_one_cycle_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        optim.OneCycle(*arguments)


def test_annealings_begin_and_end_where_they_should():
    for anneal in (optim.annealing_linear, optim.annealing_exp, optim.annealing_cos):
        assert anneal(2.0, 8.0, 0.0) == pytest.approx(2.0)
        assert anneal(2.0, 8.0, 1.0) == pytest.approx(8.0)
    assert optim.annealing_linear(2.0, 8.0, 0.5) == 5.0
    assert optim.annealing_exp(2.0, 8.0, 0.5) == pytest.approx(4.0)
    assert optim.annealing_cos(2.0, 8.0, 1 / 3) == pytest.approx(3.5)
