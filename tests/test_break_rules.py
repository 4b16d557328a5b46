"""Every backward rule, broken, is noticed: `break_rules` as a test.

By default each rule is broken a few times: its whole result multiplied by 1.01 and by 0.
``pytest -m slow tests/test_break_rules.py`` breaks each in every way the script knows.
"""

import break_rules
import numpy as np
import pytest
from break_rules import EQUIVALENT, Rule, main, mutants, notice, recorded, trial

from minitorch7 import functional as F
from minitorch7.functional import arithmetic
from minitorch7.gradcheck.cases import CASES


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
        "kernels.convolution.conv2d_grads",
        "kernels.convolution._turned_weights",
        "kernels.windows.col2im",
        "kernels.indexing.add_at",
    ):
        assert expected in names


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
    with break_rules.quiet():
        assert np.isnan(np.empty((2, 3))).all()
        assert np.empty(3, int).tolist() == [99] * 3
    assert np.empty is not break_rules._empty


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
