"""Every backward rule, broken, is noticed: `break_rules` as a test.

By default each rule is broken a few times: its whole result multiplied by 1.01 and by 0.
``pytest -m slow tests/test_break_rules.py`` breaks each in every way the script knows.
"""

import break_rules
import numpy as np
import pytest
from break_rules import (
    EQUIVALENT,
    NO_FORMULA,
    NO_GRADIENT,
    Rule,
    main,
    mutants,
    notice,
    recorded,
    trial,
)
from reference.checking import WAYS

from minitorch7 import functional as F
from minitorch7.functional import arithmetic
from minitorch7.functional.convolution import Conv2d
from minitorch7.gradcheck.cases import CASES
from minitorch7.kernels import threads

pytestmark = pytest.mark.numpy_only("the rules and kernels that are broken run on the processor")


@pytest.fixture(scope="module")
def suite():
    return recorded()


def test_nothing_fails_while_nothing_is_broken(suite):
    assert suite.failing == []


def test_every_rule_is_reached(suite):
    assert [rule.name for rule in suite.rules if rule.name not in suite.checks] == []


def test_rules_have_names_of_their_own(suite):
    names = [rule.name for rule in suite.rules]
    assert len(set(names)) == len(names)
    for expected in (
        "arithmetic.Mul.backward",
        "products.Einsum._operand_grad",
        "activations.Masked.forward",
        "normalisation.BatchNormGrad.forward",
        "kernels.columns.Layout.matrix",
        "kernels.columns.SharedRows.blocks",
        "kernels.convolution.conv2d_grads",
        "kernels.windows.Window.output_size",
        "kernels.windows.col2im",
        "kernels.indexing.add_at",
    ):
        assert expected in names


def test_what_is_left_unbroken_is_there():
    """No exception outlives what it excepts."""
    modules = {m.__name__.rpartition(".")[2]: m for m in break_rules.kernel_modules()}
    functions = {
        f"{room}.{f.__qualname__}"
        for room, module in modules.items()
        for f in break_rules._defined_in(module)
    }
    assert NO_GRADIENT.keys() <= functions | modules.keys()
    rules = {rule.name: rule for rule in break_rules.kernel_functions().values()}
    for name, statements in NO_FORMULA.items():
        places = break_rules._places(rules[name].tree())
        assert statements <= {break_rules._shown(statement) for *_, statement in places}


@pytest.mark.parametrize(
    ("rule", "ways"),
    [
        ("kernels.columns.Taps.blocks", ["taps, a block a row"]),
        ("kernels.columns.SharedRows.blocks", ["shared rows", "shared rows, two threads"]),
        ("kernels.convolution._gradients", set(WAYS) - {"taps"}),
        ("kernels.elementwise.lines", ["cut finely"]),
        ("kernels.normalisation.over_rows", ["cut finely"]),
        ("kernels.pooling._by_channels", ["cut finely"]),
    ],
)
def test_kernels_are_checked_in_their_other_ways(suite, rule, ways):
    for way in ways:
        assert any(check.name.endswith(f"order, {way}") for check in suite.checks[rule])


def test_a_scaled_result_of_every_rule_is_noticed(suite):
    """One mutant of each kind of factor, or the first of all where no result can be scaled."""
    survivors, broken = [], 0
    for rule in suite.rules:
        every = mutants(rule)
        scaled = [m for m in every if m.scales]
        chosen = [next((m for m in scaled if f"{f} * (" in m.mutated), None) for f in ("1.01", "0")]
        result = trial(suite, rule, [m for m in chosen if m] or every[:1])
        broken += result.wrong + result.raised + len(result.equivalent)
        survivors += [f"{m.place}: {m.mutated}" for m in result.survivors]
    assert survivors == []
    assert broken >= len(suite.rules)


@pytest.mark.slow
def test_every_mutant_of_every_rule_is_noticed(suite):
    results = [trial(suite, rule) for rule in suite.rules]
    unknown = [f"{m.place}: {m.rule.name}: {m.mutated}" for r in results for m in r.survivors]
    assert unknown == []
    met = {(r.rule.name, m.mutated) for r in results for m in r.equivalent}
    stale = {(name, line) for name, lines in EQUIVALENT.items() for line in lines} - met
    assert not stale, f"EQUIVALENT lists mutations that are noticed or no longer made: {stale}"


# --------------------------------------------------------------------------- the script itself


def test_mutants_differ_and_leave_the_rule_as_it_was():
    rule = Rule("arithmetic.Div.backward", arithmetic.Div.backward)
    code = rule.function.__code__
    found = mutants(rule)
    assert rule.function.__code__ is code
    lines = {m.mutated for m in found}
    statement = (
        "return (sum_to({}, a.shape) if need_a else None, sum_to({}, b.shape) if need_b else None)"
    )
    for a, b in (
        ("grad * b", "-grad * a / (b * b)"),  # an operator
        ("grad", "-grad * a / (b * b)"),  # a side
        ("grad / b", "grad * a / (b * b)"),  # a minus
    ):
        assert statement.format(a, b) in lines
    assert "need_b, need_a = self.needs_input_grad" in lines
    assert "(deleted) a, b = self.saved" in lines
    assert all(m.place.startswith("minitorch7/functional/arithmetic.py:") for m in found)


def test_a_condition_that_always_holds_is_shown_with_what_it_was():
    """A function may have several, and one of them being equivalent excuses no other."""
    lines = {m.mutated for m in mutants(Rule("convolution.Conv2d.backward", Conv2d.backward))}
    assert {"if True:  # if need_x and need_w:", "if True:  # if need_w:"} <= lines


def test_a_broken_rule_is_mended_again(suite):
    rule = next(r for r in suite.rules if r.name == "arithmetic.Mul.backward")
    code = rule.function.__code__
    broken = next(m for m in mutants(rule) if m.scales)
    with rule.broken(broken.code):
        assert arithmetic.Mul.backward.__code__ is broken.code
    assert arithmetic.Mul.backward.__code__ is code
    assert notice(suite, broken).startswith("Wrong: ")
    assert arithmetic.Mul.backward.__code__ is code


def test_fresh_memory_holds_nothing_useful():
    empty, workspace = np.empty, threads.workspace
    with break_rules.quiet():
        assert np.isnan(np.empty((2, 3))).all()
        assert np.empty(3, int).tolist() == [99] * 3
        assert np.isnan(np.empty_like(np.zeros(2))).all()
        threads.workspace(4, np.float32)[:] = 1
        assert np.isnan(threads.workspace(4, np.float32)).all()
    assert np.empty is empty and threads.workspace is workspace


def test_the_command_line(suite, capsys, monkeypatch):
    monkeypatch.setattr(break_rules, "recorded", lambda: suite)
    assert main(["--match", "arithmetic.Sin"]) == 0
    header, row, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["rule", "mutants", "wrong", "raised", "same", "survive"]
    assert row.split()[0] == "arithmetic.Sin.backward" and row.split()[-1] == "0"
    assert total.startswith("1 rules")
    assert main(["--match", "arithmetic.Sin", "--list"]) == 0
    assert "+ return grad * x" in capsys.readouterr().out


def test_a_survivor_is_shown_and_fails(capsys, monkeypatch):
    """Without the cases that take a sine, nobody notices that its gradient is wrong."""
    kept = [case for case in CASES if case.name in ("exp", "neg")]
    monkeypatch.setattr(break_rules, "CASES", kept)
    assert main(["--match", "arithmetic.Sin"]) == 1
    out = capsys.readouterr().out
    assert "arithmetic.Sin.backward is reached by no check" in out
    assert "arithmetic.py:" in out and "  - return grad * cos(x)" in out
    assert F.sin is arithmetic.sin
