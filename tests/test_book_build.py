"""The book built from one small lesson: run in a kernel, set by Sphinx, linked to the code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

for _name in "sphinx furo myst_nb jupytext nbclient ipykernel latex2mathml ziamath".split():
    pytest.importorskip(_name, reason=f"the book's extra is not installed: {_name} is missing")

from book import (  # noqa: E402
    build,
    chapters,
    measured,
    notebooks,
    pages,
    reference,
    running,
    sources,
)
from nbformat.v4 import new_code_cell, new_notebook, new_output  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

LESSON = """# %% [markdown]
# # 1. A small lesson
#
# At the end you can add: $a + b$. See `minitorch7/nn/blocks.py:1` `NormType`.
#
# $$y = \\\\frac{1}{2}$$

# %%
import sys

import lesson
from minitorch7 import plot

options = lesson.options_of("A small lesson.", "out/01_small")
print("quick:", options.quick)

# %%
figure = plot.plot_multi(lambda i, j, ax: ax.plot([1, 2]))
lesson.show(figure, options, "1_first")
lesson.show(plot.plot_multi(lambda i, j, ax: ax.plot([2, 1])), options, "2_second")
print(f"bar {5 + 5} %\\\\rbar {99 + 1} %\\\\r", end="", file=sys.stderr)
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> chapters.Lesson:
    folder = tmp_path / "lessons"
    folder.mkdir()
    (tmp_path / "README.md").write_text("")
    path = folder / "01_small.py"
    path.write_text(LESSON.replace("\\\\", "\\"))
    monkeypatch.setenv("MINITORCH7_OFFLINE", "1")
    return chapters.Lesson(path)


@pytest.mark.parametrize("lesson", chapters.lessons(), ids=lambda lesson: lesson.name)
def test_a_lesson_becomes_a_notebook_and_loses_nothing(lesson: chapters.Lesson) -> None:
    notebook = notebooks.of_lesson(lesson.path)
    text = lesson.path.read_text("utf-8")
    assert len(notebook.cells) == text.count("\n# %%") + 1
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    compile(code, lesson.name, "exec")
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            assert line in text or f"# {line}" in text
    assert json.dumps(notebook) == json.dumps(notebooks.of_lesson(lesson.path))


def test_outputs_as_a_page_shows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINITORCH7_DATA", "/mine/data")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "film.gif").write_bytes(b"GIF89a")
    printed = "one\npicture: out/a.png\nfilm: out/film.gif\nabc\rxyz /mine/data/a\n"
    outputs = [
        new_output("stream", name="stderr", text="\x1b[31m10 %\r100 %\r"),
        new_output("stream", name="stdout", text=printed),
        new_output("display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"}),
        new_output("display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"}),
        new_output("stream", name="stderr", text="/home/x/site-packages/tool.py:1: Warning\n"),
    ]
    notebook = new_notebook(cells=[new_code_cell("f()", outputs=outputs)])
    tidy = notebooks.tidied(notebook, tmp_path).cells[0].outputs
    assert [o.output_type for o in tidy] == [
        "stream",
        "display_data",
        "stream",
        "display_data",
        "stream",
    ]
    assert (
        tidy[0].text == "one\n"
        and "image/gif" in tidy[1].data
        and tidy[2].text == "xyz $MINITORCH7_DATA/a\n"
    )
    assert dict(tidy[3].data) == {"image/png": "AAAA"}
    assert tidy[4].text.strip().endswith("site-packages/tool.py:1: Warning")
    assert "/home" not in tidy[4].text


def test_a_lesson_that_fails_says_which_and_why(small: chapters.Lesson, tmp_path: Path) -> None:
    small.path.write_text("# %% [markdown]\n# # 1. Broken\n\n# %%\nprint('so far')\n1 / 0\n")
    runner = running.Runner(tmp_path / "cache", say=lambda line: None, package="x")
    with pytest.raises(running.LessonFailed) as error:
        runner.run([small])
    text = str(error.value)
    assert text.startswith("01_small failed in cell 2 of 2")
    assert "so far" in text and "ZeroDivisionError: division by zero" in text
    assert not list((tmp_path / "cache").glob("*.ipynb"))


def test_a_book_of_one_small_lesson(
    small: chapters.Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chapters, "lessons", lambda: [small])
    monkeypatch.setattr(sources, "files", lambda: ["minitorch7/nn/blocks.py"])
    monkeypatch.setattr(reference, "pages", lambda: {"index": "# Operations\n"})
    monkeypatch.setattr(measured, "pages", lambda: {})
    monkeypatch.setattr(pages, "benchmarks", lambda: "# Benchmarks\n")
    said: list[str] = []
    monkeypatch.setattr(build, "say", said.append)
    out = tmp_path / "out" / "book"
    options = argparse.Namespace(full=False, only=None, jobs=1, again=False, out=out)

    assert "1 of 1 lessons ran" in build.build(options)
    page = (out / "lessons" / "01_small.html").read_text("utf-8")
    assert "quick: True" in page and "A taste" in page
    assert page.count("<img") >= 2 and "picture: out" not in page and "bar 1" not in page
    assert page.count("<math ") == 2 and "$$" not in page
    assert 'href="../source/minitorch7/nn/blocks.py.html#L1"' in page
    assert 'href="../notebooks/01_small.ipynb"' in page
    assert str(tmp_path) not in page
    notebook = json.loads((out / "notebooks" / "01_small.ipynb").read_text("utf-8"))
    assert notebook["cells"][2]["outputs"]
    code = (out / "source" / "minitorch7" / "nn" / "blocks.py.html").read_text("utf-8")
    assert 'id="L23"' in code
    for file in out.rglob("*.html"):
        text = file.read_text("utf-8")
        assert 'src="http' not in text and '<link rel="stylesheet" href="http' not in text
    assert (out / "cards" / "01_small.png").stat().st_size > 1000
    assert "Book Math" in (out / "_static" / "book.css").read_text("utf-8")

    said.clear()
    small.path.write_text(small.path.read_text().replace("$$y =", "$$\\begin{nowhere} y ="))
    with pytest.raises(build.BadPages, match="cannot|not LaTeX"):
        build.build(options)
    assert (out / "lessons" / "01_small.html").read_text("utf-8") == page  # the old book stands
    assert not list(out.parent.glob(".book-*"))


def test_the_command_explains_itself(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        build.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in ("--full", "--only", "--jobs", "--quick"))
    assert build.main(["--only", "77"]) == 1
    assert "there is no lesson '77'" in capsys.readouterr().err
