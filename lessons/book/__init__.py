"""The book: every lesson run, with the house, the operations and the measurements, as pages.

    python -m pip install -e '.[book]'
    python lessons/book/build.py            # → out/book/index.html

Its rooms, the command first:

    build        what the command takes, what it says, and the order of the steps
    chapters     which lessons there are, what they are called, and in what order
    notebooks    a lesson as a notebook, and a notebook that has run as a page
    running      lessons run in a kernel, several at a time, what has not changed not again
    pages        the pages' sources, as Markdown and notebooks, in a temporary folder
    conf, hooks  Sphinx's settings, and what is our own of Sphinx
    formulas     the docstrings' notation as LaTeX, and LaTeX as MathML
    fonts        the font that they are set in, cut down and carried in the style sheet
    operations   what the docstrings and the code say of every operation
    reference    that as Markdown
    house        the rooms and who imports whom, drawn
    sources      the code itself as pages, with a place for every line
    measured     the benchmarks' results as tables
    pointers     "minitorch7/nn/blocks.py:23": is that line still there?

`tests/browser/check_book.py` opens every page in a browser, wide and narrow, light and dark.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ROOT / "lessons"
