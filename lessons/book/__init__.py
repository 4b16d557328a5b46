"""The book: every lesson run, with the house, the operations and the measurements, as pages.

python -m pip install -e '.[book]'
python lessons/book/build.py            # → out/book/index.html

build        the command: what it takes, what it says, and the order of the steps
chapters     which lessons there are, what they are called, and in what order
notebooks    a lesson as a notebook, and a notebook that has run as a page
running      lessons run in a kernel, several at a time, what has not changed not again
pages        the pages' sources, as Markdown and notebooks, in a temporary folder
conf         Sphinx's settings, with the few hooks that are our own
formulas     the docstrings' notation as LaTeX, and LaTeX as MathML
operations   what the docstrings and the code say of every operation
house        the rooms and who imports whom, drawn
sources      the code itself as pages with a place for every line
measured     the benchmarks' results as tables
pointers     "minitorch7/nn/blocks.py:23": is that line still there?
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ROOT / "lessons"
