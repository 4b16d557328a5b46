"""The book's parts, without building all of it: formulas, reference, pointers, house, notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from book import chapters, formulas, house, operations, pointers

ROOT = Path(__file__).resolve().parents[1]
LESSONS = chapters.lessons()
# Lessons whose table "What the library does" has not come to point at lines yet are the only
# reason for 0: then set it to 1.
POINTERS_A_LESSON = 1


# ---------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    ("typed", "latex"),
    [
        ("y = 1/(1 + e⁻ˣ)", r"y = \frac{1}{1 + e^{-x}}"),
        ("db = −dy·a/b²", r"\text{d}b = -\frac{\text{d}y \cdot a}{b^{2}}"),
        ("y = ln(1 + e^(βx))/β", r"y = \frac{\mathrm{ln}( 1 + e^{\beta \,x} )}{\beta }"),
        ("√(2/π)(x + 1)", r"\sqrt{\frac{2}{\pi }}\,( x + 1 )"),
        ("y = |x|", r"y = \left| x \right|"),
        ("b_ih + W_hh·h'", r"b_{\mathrm{ih}} + W_{\mathrm{hh}} \cdot h'"),
        ("yᵢ = Σ xⱼ over j ≤ i", r"y_{i} = \sum x_{j}\;\text{over}\; j \le i"),
        ("Σ_{c,u} x[c, i·s+u]·w[c,u]", r"\sum_{c, u} x[ c, i \cdot s + u ] \cdot w[ c, u ]"),
        (
            "oh = ⌊(H + 2p)/s⌋ + 1",
            r"\mathrm{oh} = \left\lfloor \frac{H + 2\,p}{s} \right\rfloor + 1",
        ),
        ("a/b·c", r"\frac{a}{b} \cdot c"),
        ("(a)(b)/c", r"\frac{( a )( b )}{c}"),
        ("x̂·s", r"\hat{x} \cdot s"),
        ("P(dŷ)", r"P( \text{d}\hat{y} )"),
        ("dγ = Σ dy", r"\text{d}\gamma  = \sum \text{d}y"),
    ],
)
def test_a_typed_formula_becomes_latex(typed: str, latex: str) -> None:
    assert formulas.to_latex(typed) == latex


@pytest.mark.parametrize(
    "text",
    ["", "The hyperbolic tangent", "y = x in another shape", "y = (a", "a + ", "x's slices", "y ="],
)
def test_what_is_no_formula_is_left_alone(text: str) -> None:
    assert formulas.to_latex(text) is None


def test_a_formula_ends_where_words_begin() -> None:
    assert formulas.split("max(x, 0); the slope at 0 is taken as 0.") == (
        r"\mathrm{max}( x, 0 )",
        "the slope at 0 is taken as 0.",
    )
    assert formulas.split("dx = dy in the old one") == (r"\text{d}x = \text{d}y", "in the old one")
    assert formulas.split("input where it is positive", ("input",)) is None  # a name is no formula


def test_parameters_are_variables_only_where_they_are_named() -> None:
    assert formulas.to_latex("alpha·other") is None
    found = formulas.to_latex("alpha·other", ("alpha", "other"))
    assert found == r"\mathrm{alpha} \cdot \mathrm{other}"


def test_mathml_is_set_for_every_formula_of_the_reference() -> None:
    pytest.importorskip("latex2mathml", reason="the book's extra is not installed")
    for operation in operations.operations():
        if operation.formula:
            found = formulas.mathml(operation.formula[0], display=True)
            assert found.startswith("<math ") and "alttext=" in found, operation.name
            assert "merror" not in found and "\\" not in re.sub(r'alttext="[^"]*"', "", found)


def test_latex_that_cannot_be_set_is_an_error_that_shows_it() -> None:
    pytest.importorskip("latex2mathml", reason="the book's extra is not installed")
    with pytest.raises(ValueError, match="not LaTeX that can be set"):
        formulas.mathml(r"\frac{1}{")


# ------------------------------------------------------------------------- the reference, from code


def test_every_operation_has_a_formula_or_a_reason() -> None:
    found = operations.operations()
    assert len({o.name for o in found}) == len(found) > 100
    without = {o.name for o in found if o.formula is None}
    assert without == set(operations.WITHOUT_FORMULA)
    assert all(o.doc for o in found)


def test_every_public_function_is_in_the_reference() -> None:
    import minitorch7.functional as F

    public = {name for name, value in vars(F).items() if callable(value) and name[0] != "_"}
    assert public - {o.name for o in operations.operations()} == set(operations.NO_OPERATION)


def test_lines_and_rules_are_those_of_the_code() -> None:
    for operation in operations.operations():
        text = operation.file.read_text("utf-8").splitlines()
        assert text[operation.line - 1].startswith(f"def {operation.name}(")
        for rule in operation.rules:
            lines = rule.file.read_text("utf-8").splitlines()
            assert lines[rule.line - 1].startswith(f"class {rule.name}(Function)")
            assert rule.backward.startswith("def backward(")


def test_what_the_reference_says_of_some_operations() -> None:
    by_name = {o.name: o for o in operations.operations()}
    assert [r.name for r in by_name["conv2d"].rules] == ["Conv2d"]
    assert {r.name for r in by_name["conv2d"].rules[0].then} >= {"Conv2dWeightGrad", "Conv2dGrads"}
    assert by_name["relu"].rules[0].gradient_lines == ["dx = dy where x > 0, else 0"]
    assert "a + b" in by_name["add"].spellings and "a.add(…)" in by_name["add"].spellings
    assert by_name["conv1d"].signature.startswith("conv1d(input, weight, bias=None, stride=1")
    kinds = {kind for kind, _ in by_name["softplus"].errors}
    assert {"TypeError", "ValueError"} <= kinds
    assert ("ValueError", "beta must be positive, got …") in by_name["softplus"].errors
    assert "softplus" in by_name["binary_cross_entropy_with_logits"].made_of


# ---------------------------------------------------------------------------------------- pointers


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_the_pointers_of_a_lesson_are_right(lesson: chapters.Lesson) -> None:
    found = pointers.pointers(lesson.path)
    wrong = [f"{p}: {pointers.fault(p)}" for p in found if pointers.fault(p)]
    assert not wrong, "python lessons/book/pointers.py --mend\n" + "\n".join(wrong)
    assert len(found) >= POINTERS_A_LESSON, "the table `What the library does` points at no line"


LIBRARY = """LIMIT: int = 3
first, second = 1, 2


class Layer:
    def forward(self):
        return 0


class Other:
    def forward(self):
        return 1


def build():
    return Layer()
"""


def test_pointers_are_checked_and_mended(tmp_path: Path) -> None:
    (tmp_path / "lib.py").write_text(LIBRARY)
    lesson = tmp_path / "01_x.py"
    lesson.write_text(
        "# | a | `lib.py:1` `LIMIT`, `lib.py:2` `second`, `lib.py:15` `build` |\n"
        "# | b | `lib.py:6` `Layer.forward`, `lib.py:2` `Other.forward` |\n"
        "# | c | `lib.py:3` `build`, `lib.py:1` `nothing`, `gone.py:1` `x` |\n"
    )
    found = pointers.pointers(lesson)
    faults = [pointers.fault(p, tmp_path) for p in found]
    assert faults == [
        None,
        None,
        None,
        None,
        "it is defined in line 11",
        "it is defined in line 15",
        "nothing there defines nothing",
        "there is no such file",
    ]
    after = pointers.mended(lesson.read_text(), tmp_path)
    assert "`lib.py:11` `Other.forward`" in after and after.count("`lib.py:15` `build`") == 2
    assert "`lib.py:1` `nothing`, `gone.py:1` `x`" in after  # what is lost is not guessed


# --------------------------------------------------------------------------------------- the house


def test_the_house_stands() -> None:
    rooms = house.rooms()
    edges = house.imports(rooms)
    assert house.faults(rooms, edges) == []
    assert ("nn", "functional") in edges and ("functional", "nn") not in edges
    drawing = house.svg(rooms, edges)
    for room in rooms:
        assert f'id="box-{room.name}"' in drawing
    assert drawing.count('class="edge') == len(edges)


def test_the_house_notices_what_is_wrong() -> None:
    table = "| 0 | `nn/` | x |\n| 1 | `functional/`, `autograd/` | y |\n| 2 | `cellar/` | z |\n"
    rooms = [room for room in house.rooms(table) if room.name != "cellar"]
    found = house.faults(rooms, house.imports(rooms))
    assert "nn (floor 0) imports from functional (floor 1)" in found
    assert "learner is a room, and not in the README's table" in found
    assert "the README's table has a room cellar, which is not there" in house.faults(
        house.rooms(table), {}
    )


def test_only_direct_imports_are_drawn_strong() -> None:
    assert house.direct({("c", "b"): 1, ("b", "a"): 1, ("c", "a"): 1}) == {("c", "b"), ("b", "a")}


# ----------------------------------------------------------------------------------- the lessons


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_has_a_title_and_says_what_it_is_about(lesson: chapters.Lesson) -> None:
    assert lesson.title and not lesson.title[0].isdigit()
    assert len(lesson.summary) > 20


def test_lessons_are_chosen_by_number_or_name() -> None:
    assert [x.name for x in chapters.chosen(["5", "03"], LESSONS)] == [
        "03_resnet_mnist",
        "05_upsampling",
    ]
    with pytest.raises(ValueError, match="there is no lesson '77'; there are .*05_upsampling"):
        chapters.chosen(["77"], LESSONS)


def test_a_claim_that_does_not_hold_stops_the_lesson(capsys: pytest.CaptureFixture) -> None:
    from argparse import Namespace

    import lesson

    lesson.claim("one is one", 1 == 1)
    assert capsys.readouterr().out == "✓ one is one\n"
    with pytest.raises(lesson.NoLongerHolds, match="this no longer holds: one is two"):
        lesson.claim("one is two", 1 == 2)
    taste, whole = Namespace(quick=True, epochs=None), Namespace(quick=False, epochs=None)
    lesson.claim("one is two", 1 == 2, whole=taste)
    assert "not judged by a taste" in capsys.readouterr().out
    with pytest.raises(lesson.NoLongerHolds):
        lesson.claim("one is two", 1 == 2, whole=whole)


def test_a_notebook_takes_its_flags_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import lesson

    monkeypatch.setattr(lesson, "in_notebook", lambda: True)
    monkeypatch.setenv("MINITORCH7_LESSON", "--quick --seed 3 --out 'a b'")
    options = lesson.options_of("", "out/x")
    assert options.quick and options.seed == 3 and str(options.out) == "a b"
    monkeypatch.delenv("MINITORCH7_LESSON")
    assert not lesson.options_of("", "out/x").quick
