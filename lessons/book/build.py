"""Builds the book: runs the lessons, and makes pages of them and of all around them.

    python -m pip install -e '.[book]'
    python lessons/book/build.py                  # every lesson in --quick: a few minutes
    python lessons/book/build.py --full --jobs 2  # the whole lessons: hours without a GPU
    python lessons/book/build.py --only 03 05     # runs these; the others as they ran before

The pages are in out/book: open index.html, no server is needed. A lesson that has run is kept in
out/book_cache until it or the package changes. Data is found as by the lessons themselves: in
MINITORCH7_DATA or the cache, else fetched, but not with MINITORCH7_OFFLINE=1; else drawn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

if not __package__:
    sys.path[:0] = [
        str(Path(__file__).resolve().parents[1]),
        str(Path(__file__).resolve().parents[2]),
    ]
    __package__ = "book"

from . import ROOT

NEEDED = "sphinx furo myst_nb jupytext nbclient ipykernel latex2mathml ziamath".split()


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where a lesson fails or a page is faulty."""
    options = _options(arguments)
    missing = [name for name in NEEDED if not _there(name)]
    if missing:
        print(f"The book needs {', '.join(missing)}:  python -m pip install -e '.[book]'")
        return 2
    from .running import LessonFailed, clock

    started = time.monotonic()
    try:
        say(build(options))
    except (LessonFailed, BadPages, ValueError) as error:
        print(f"\nThe book was not built.\n\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; what had been built before is unchanged.", file=sys.stderr)
        return 130
    say(f"built in {clock(time.monotonic() - started)}")
    return 0


class BadPages(Exception):
    """Sphinx found something wrong: a link that leads nowhere, a formula that cannot be set."""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--quick", action="store_true", help="a taste of each lesson (the default)")
    group.add_argument("--full", action="store_true", help="the whole lessons")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="LESSON",
        help="run these; others from their last run, or bare",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="lessons at a time (1)")
    parser.add_argument("--again", action="store_true", help="run also what has not changed")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "out" / "book",
        metavar="DIR",
        help="(out/book)",
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    options.out = options.out.resolve()  # the kernels work elsewhere
    return options


def build(options: argparse.Namespace) -> str:
    """Builds the book as the options ask; what was built, in a line."""
    from . import chapters, pages, pointers, running, sources

    lessons = chapters.lessons()
    wanted = chapters.chosen(options.only, lessons) if options.only else lessons
    for lesson in lessons:
        for pointer in pointers.pointers(lesson.path):
            problem = pointers.fault(pointer)
            if problem:
                say(f"warning: {pointer}: {problem}")
    runner = running.Runner(
        cache=options.out.parent / f"{options.out.name}_cache",
        options="" if options.full else "--quick",
        jobs=options.jobs,
        again=options.again,
        say=say,
    )
    say(f"running {len(wanted)} lessons{' --quick' if not options.full else ''}")
    runs = {run.lesson.name: run for run in runner.run(wanted)}
    for lesson in lessons:
        kept = runner.kept(lesson)
        if kept is not None:
            runs.setdefault(lesson.name, kept)
    book = pages.Book(lessons, runs, sources.revision())

    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=".book-") as name:
        folder = Path(name)
        say("writing the pages")
        pages.write(book, folder / "src")
        sphinx(folder / "src", folder / "html", folder / "doctrees", options.jobs)
        finish(book, folder / "html")
        swap(folder / "html", options.out, folder / "old")
    count = len(list(options.out.rglob("*.html")))
    shown = os.path.relpath(options.out / "index.html")
    return f"{shown}: {len(runs)} of {len(lessons)} lessons ran, {count} pages"


def sphinx(source: Path, out: Path, doctrees: Path, jobs: int) -> None:
    """Runs Sphinx on the folder of sources; BadPages says what it complained of."""
    from io import StringIO

    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    complaints = StringIO()
    conf = Path(__file__).parent
    with patch_docutils(str(conf)), docutils_namespace():
        app = Sphinx(
            str(source),
            str(conf),
            str(out),
            str(doctrees),
            "html",
            status=None,
            warning=complaints,
            parallel=jobs,
            freshenv=True,
        )
        app.build()
    found = [line for line in complaints.getvalue().splitlines() if line.strip()]
    if found:
        raise BadPages("\n".join(line.replace(f"{source}/", "") for line in found))


def finish(book: object, out: Path) -> None:
    """What stands beside Sphinx's pages: the code, the notebooks, the cards' pictures, the font."""
    import nbformat

    from . import fonts, notebooks, pages, sources

    assert isinstance(book, pages.Book)
    sources.write(out, sources.files())
    for folder in ("notebooks", "cards"):
        (out / folder).mkdir()
    for lesson in book.lessons:
        run = book.runs.get(lesson.name)
        notebook = run.notebook if run else notebooks.of_lesson(lesson.path)
        nbformat.write(notebook, out / "notebooks" / f"{lesson.name}.ipynb")
        (out / "cards" / f"{lesson.name}.png").write_bytes(pages.card_picture(lesson, run))
    style = out / "_static" / "book.css"
    style.write_text(fonts.css() + style.read_text("utf-8"), "utf-8")
    shutil.rmtree(out / ".doctrees", ignore_errors=True)


def swap(new: Path, out: Path, old: Path) -> None:
    """The new book in the place of the old one; a reader never finds half of it."""
    if out.exists():
        out.rename(old)
    new.rename(out)


def say(line: str) -> None:
    """A line of progress, at once also where nobody watches."""
    print(line, flush=True)


def _there(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


if __name__ == "__main__":
    raise SystemExit(main())
