"""Every operation's gradient against finite differences, and the checker itself.

The cases are ``minitorch7/gradcheck/cases.py``: inputs free of ties and kinks, float64, random
cotangents, first and second order. Here they run on both backends, and what they leave out is
counted: a public function or a Function that no case reaches fails. ``break_rules.py`` turns the
question round and asks whether the cases notice a wrong rule.
"""

import inspect
import sys

import numpy as np
import pytest
from break_rules import (
    first_probe,
    function_classes,
    gradient_of_a_cast,
    gradient_of_a_move,
    second_probe,
)

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.autograd import Function, Walk
from minitorch7.gradcheck import (
    GradcheckError,
    cases,
    gradcheck,
    gradgradcheck,
    worst_place,
)
from minitorch7.gradcheck.__main__ import main

CASES = cases.CASES

# ----------------------------------------------------------------------------- every operation


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_first_order(backend, case):
    func, inputs = case.build()
    assert all(t.backend == backend for t in inputs)
    assert gradcheck(func, inputs)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.second_order], ids=lambda case: case.name
)
def test_second_order(backend, case):
    assert gradgradcheck(*case.build())


def test_names_differ():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def test_cast(backend):
    gradient_of_a_cast()


def test_move(backend):
    gradient_of_a_move()


TESTED_ABOVE = {"Cast", "Move"}


# --------------------------------------------------------------------------- nothing is left out

WITHOUT_GRADIENT = {
    "all",
    "any",
    "argmax",
    "argmin",
    "eq",
    "floor_divide",
    "ge",
    "gt",
    "isfinite",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "ne",
    "one_hot",
}
NOT_OPERATIONS = {"bind"}


@pytest.fixture(scope="module")
def seen():
    """What the cases reach: {"called": Functions, "differentiated": Functions, "code": all code}"""
    found = {"called": set(), "differentiated": set(), "code": set()}
    call, differentiate = Function.__call__, Walk._differentiate

    def noted_call(self, *inputs):
        found["called"].add(type(self))
        return call(self, *inputs)

    def noted_differentiate(self, node, grads):
        found["differentiated"].add(type(node))
        return differentiate(self, node, grads)

    def note_code(frame, event, argument):
        if event == "call":
            found["code"].add(frame.f_code)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Function, "__call__", noted_call)
        patch.setattr(Walk, "_differentiate", noted_differentiate)
        sys.setprofile(note_code)
        try:
            for case in CASES:
                first_probe(case)
                second_probe(case)
        finally:
            sys.setprofile(None)
    return found


@pytest.mark.parametrize("what", ["called", "differentiated"])
def test_every_function_class_has_a_case(seen, what):
    missing = {c.__name__ for c in set(function_classes()) - seen[what]} - TESTED_ABOVE
    assert not missing, f"never {what} by a case; add cases for them to gradcheck/cases.py"


def test_every_function_class_has_a_gradient():
    """The table asks for a backward of every class, so every class must define one."""
    assert all("backward" in vars(c) for c in function_classes())


def test_every_public_function_has_a_case(seen):
    public = {
        name: f
        for name, f in vars(F).items()
        if inspect.isfunction(f) and not name.startswith("_") and name not in NOT_OPERATIONS
    }
    missing = {name for name, f in public.items() if inspect.unwrap(f).__code__ not in seen["code"]}
    assert missing - WITHOUT_GRADIENT == set(), "public functions without a case"
    assert WITHOUT_GRADIENT <= public.keys()


def test_what_has_no_gradient_records_none(backend):
    x = mt.tensor(np.random.default_rng(0).standard_normal((2, 3)), requires_grad=True)
    for name in WITHOUT_GRADIENT - {"one_hot", "logical_not", "isnan", "isfinite"}:
        function = getattr(F, name)
        reduces = name in ("all", "any", "argmax", "argmin")
        assert not (function(x) if reduces else function(x, x)).requires_grad, name
    for name in ("logical_not", "isnan", "isfinite"):
        assert not getattr(F, name)(x).requires_grad, name


# ---------------------------------------------------------------------------- the checker itself


class WrongSine(Function):
    """sin x with 0.99·cos x for a gradient"""

    def forward(self, xp, x):
        self.save(x)
        return xp.sin(x)

    def backward(self, grad):
        (x,) = self.saved
        return grad * x.cos() * 0.99


class WrongTwice(Function):
    """x² whose gradient is right but does not depend on x: only a second derivative sees it"""

    def forward(self, xp, x):
        self.save(x)
        return x * x

    def backward(self, grad):
        (x,) = self.saved
        return grad * 2 * x.detach()


class NoGradient(Function):
    """3x that forgets its gradient"""

    def forward(self, xp, x):
        return 3 * x

    def backward(self, grad):
        return grad * float("nan")


class Held(Function):
    """func(x) with the gradient 0"""

    def __call__(self, x, func):
        self.func = func
        return super().__call__(x)

    def forward(self, xp, x):
        return self.func(mt.Tensor(x)).data

    def backward(self, grad):
        return grad * 0


def numbers(*shape, seed=0):
    return mt.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def test_it_raises_on_a_wrong_rule_and_says_where(backend):
    a, x = numbers(2, 3), numbers(2, 3, seed=1)
    a.requires_grad_(False)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, x: WrongSine()(x) + a, (a, x))
    report = worst_place(lambda a, x: WrongSine()(x) + a, (a, x))
    message = str(caught.value)
    assert report.input == 1
    assert report.analytic == pytest.approx(0.99 * report.numeric, rel=1e-6)
    assert report.value == float(x.detach().numpy()[report.place])
    for part in (
        f"input 1 at {report.place}",
        f"{report.analytic:.10g} by backward",
        f"{report.numeric:.10g} by finite differences",
        f"the input is {report.value:.10g}",
        "shape (2, 3)",
        np.array2string(x.detach().numpy(), precision=5),
    ):
        assert part in message
    assert not gradcheck(lambda x: WrongSine()(x), x, raise_exception=False)


def test_only_the_second_order_sees_a_gradient_without_history(backend):
    x = numbers(4)
    assert gradcheck(lambda x: WrongTwice()(x), x)
    with pytest.raises(GradcheckError):
        gradgradcheck(lambda x: WrongTwice()(x), x)
    assert not gradgradcheck(lambda x: WrongTwice()(x), x, raise_exception=False)


def test_nan_is_never_right(backend):
    x = numbers(3)
    assert worst_place(lambda x: NoGradient()(x), x).error == float("inf")
    with pytest.raises(GradcheckError, match="nan by backward"):
        gradcheck(lambda x: NoGradient()(x), x)


@pytest.mark.parametrize(
    "func",
    [lambda x: F.softmax(x, 1), lambda x: F.batch_norm(x, None, None, training=True)],
    ids=["softmax", "batch_norm"],
)
def test_a_deleted_gradient_is_noticed(backend, func, monkeypatch):
    """With a cotangent of ones both gradients are 0, and nothing would be missed."""

    def deleted(x):
        return Held()(x, func)

    x = numbers(5, 3)
    assert gradcheck(func, x)
    with pytest.raises(GradcheckError, match="is -?0 by backward"):
        gradcheck(deleted, x)
    checker = sys.modules[worst_place.__module__]  # mt.gradcheck is the function of that name
    monkeypatch.setattr(checker, "_cotangent", lambda rng, t: mt.tensor(np.ones(t.shape)))
    assert gradcheck(deleted, x), "a random cotangent is what notices"


def test_a_result_that_depends_on_nothing_has_gradient_zero(backend):
    x, y = numbers(2), numbers(2, seed=1)
    assert gradcheck(lambda x, y: x * x, (x, y))
    assert gradcheck(lambda x: (x > 0).double(), x)
    with pytest.raises(GradcheckError, match="is 0 by backward"):
        gradcheck(lambda x, y: x * y.detach(), (x, y))


def test_several_results_are_all_checked(backend):
    x = numbers(3)
    assert gradcheck(lambda x: (x.exp(), x.sin()), x)
    for results in (lambda x: (x.exp(), WrongSine()(x)), lambda x: [WrongSine()(x), x.exp()]):
        with pytest.raises(GradcheckError):
            gradcheck(results, x)


def test_it_refuses_float32(backend):
    x = mt.tensor(np.ones(3, np.float32), requires_grad=True)
    for check in (gradcheck, gradgradcheck):
        with pytest.raises(ValueError, match="inputs must be float64, got float32"):
            check(F.exp, x)


def test_it_refuses_a_random_function(backend):
    with pytest.raises(ValueError, match="another result each time.*manual_seed"):
        gradcheck(lambda x: F.dropout(x, 0.5), numbers(20))


def test_it_refuses_to_check_nothing(backend):
    constant = mt.tensor(np.ones(2))
    with pytest.raises(ValueError, match="no input is a float64 tensor with requires_grad"):
        gradcheck(F.exp, constant)


def test_constants_and_other_arguments_are_handed_on(backend):
    ids = mt.tensor(np.array([0, 2]))
    assert gradcheck(lambda x, ids, power: x[ids] ** power, (numbers(3), ids, 2))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("func", [F.exp, lambda x: WrongSine()(x)], ids=["right", "wrong"])
def test_inputs_are_restored_bit_for_bit(backend, check, func):
    """Adding ε and taking it away again would leave a rounding error: values of every size"""
    values = np.random.default_rng(3).standard_normal((4, 5)) * 10.0 ** np.arange(-3, 2)
    x = mt.tensor(values.copy(), requires_grad=True)
    data = x.data
    check(func, x, raise_exception=False)
    assert x.data is data
    assert x.detach().numpy().tobytes() == values.tobytes()
    assert x.grad is None


# -------------------------------------------------------------------------------- the command line


def test_the_command_line_prints_a_table(backend, capsys):
    assert main(["softmax", "--backend", backend]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["operation", "1st", "order", "2nd", "order", "seconds"]
    assert [line.split()[0] for line in lines[1:-1]] == ["softmax", "log_softmax"]
    assert all(float(n) < 1 for line in lines[1:-1] for n in line.split()[1:3])
    assert lines[-1] == "2 operations checked, 0 failed"


def test_the_command_line_fails_on_a_broken_rule(backend, capsys, monkeypatch):
    cosine = type(numbers(1).cos().grad_fn)
    monkeypatch.setattr(cosine, "backward", lambda self, grad: grad * self.saved[0].sin())
    assert main(["cos"]) == 1
    out = capsys.readouterr().out
    assert "FAILS" in out and "1 failed" in out


def test_the_command_line_refuses_an_unknown_name(capsys):
    with pytest.raises(SystemExit):
        main(["no such operation"])
    assert "no operation has 'no such operation' in its name" in capsys.readouterr().err


# ---------------------------------------------------------------------------------- whole networks


def in_float64(model):
    """The model with its parameters as float64, drawn anew so that no shift is 0, no scale 1."""
    rng = np.random.default_rng(1)
    for p in model.parameters():
        p.data = mt.tensor(rng.normal(0.2, 0.5, p.shape)).data
    for b in model.buffers():
        if b.is_floating_point():
            b.data = b.double().data
    return model


def residual_net():
    return nn.Sequential(
        nn.conv_layer(1, 2, stride=2),
        nn.res_block(2),
        nn.conv_layer(2, 2, ks=1, leaky=0.1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def dense_net():
    return nn.Sequential(
        nn.res_block(2, dense=True),
        nn.conv_layer(4, 2, transpose=True, ks=2, stride=2, norm_type=None),
        nn.Lambda(lambda x: x.mean((2, 3))),
    )


def evaluated_net():
    return nn.Sequential(nn.conv_layer(1, 2), nn.res_block(2, bottle=True)).eval()


NETWORKS = [(residual_net, (3, 1, 4, 4)), (dense_net, (2, 2, 2, 2)), (evaluated_net, (2, 1, 3, 2))]


@pytest.mark.parametrize("make, shape", NETWORKS, ids=lambda v: getattr(v, "__name__", None))
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_a_whole_network(backend, make, shape, check):
    """Convolution, ReLU, batch norm and merge together, in the input and in every parameter"""
    model = in_float64(make())
    labels = mt.tensor(np.arange(shape[0]) % 2)

    def loss(x, *parameters):
        return F.cross_entropy(model(x).flatten(1), labels)

    assert check(loss, [numbers(*shape), *model.parameters()], atol=1e-6)
