"""The pages' sources: a folder of Markdown and notebooks, from which Sphinx makes the book."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import dedent

import nbformat
from nbformat import NotebookNode
from PIL import Image

from . import LESSONS, ROOT, house, measured, notebooks, reference, sources
from .chapters import Lesson
from .running import Run, clock

CARD = 720  # pixels that a card's picture is wide, for dense screens


@dataclass(frozen=True)
class Book:
    """What the book is made of: all lessons, and the runs of those that have run."""

    lessons: list[Lesson]
    runs: dict[str, Run]
    revision: str = ""


def write(book: Book, folder: Path) -> None:
    """All pages' sources into `folder`."""
    for lesson in book.lessons:
        notebook = lesson_page(lesson, book.runs.get(lesson.name))
        _put(folder / "lessons" / f"{lesson.name}.ipynb", nbformat.writes(notebook))
    pages = {
        "index": home(book),
        "exercises": exercises(book.lessons),
        "house": house.page(),
        "benchmarks/index": benchmarks(),
        **{f"operations/{name}": text for name, text in reference.pages().items()},
        **{f"benchmarks/{name}": text for name, text in measured.pages().items()},
    }
    pages["operations/index"] += _tree([name for name in reference.pages() if name != "index"])
    contributing = ROOT / "CONTRIBUTING.md"
    if contributing.is_file():
        pages["contributing"] = relinked(contributing.read_text("utf-8"), "", "")
    for name, text in pages.items():
        _put(folder / f"{name}.md", text)
    for picture in (ROOT / "benchmarks" / "pictures").glob("*.png"):
        target = folder / "benchmarks" / "pictures" / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture.read_bytes())


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _tree(names: Iterable[str], caption: str = "") -> str:
    head = f":caption: {caption}\n" if caption else ""
    return f"\n```{{toctree}}\n:hidden:\n{head}\n" + "\n".join(names) + "\n```\n"


# --------------------------------------------------------------------------------------- a lesson


def lesson_page(lesson: Lesson, run: Run | None) -> NotebookNode:
    """The notebook with what this page is under its heading, and its pictures described."""
    notebook = nbformat.from_dict(run.notebook if run else notebooks.of_lesson(lesson.path))
    first = notebook.cells[0]
    heading, _, rest = first.source.partition("\n")
    first.source = f"{heading}\n\n{_facts(lesson, run)}\n{rest}"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            names = re.findall(r'options, f?"([\w{}]+)"\)', cell.source)
            about = ", ".join(re.sub(r"^\d+_", "", name).replace("_", " ") for name in names)
            alt = f"Picture made by the code above: {about}" if about else "Made by the code above"
            cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return notebook


def _facts(lesson: Lesson, run: Run | None) -> str:
    code = "../" + sources.page_of(f"lessons/{lesson.path.name}")
    links = (
        f'<a class="button" href="../notebooks/{lesson.name}.ipynb" download>Notebook</a>'
        f'<a class="button" href="{code}">Code</a>'
    )
    command = f"python lessons/{lesson.path.name}"
    if run is None:
        words = "The code alone: this lesson was not run for this copy of the book."
    elif "--quick" in run.options.split():
        words = (
            f"A taste: outputs and pictures are those of <code>{command} {run.options}</code>, "
            f"which took {clock(run.seconds)}. Without <code>--quick</code> it trains for longer, "
            "and its figures are those that the text tells of."
        )
    else:
        words = (
            f"Outputs and pictures are those of <code>{command} {run.options}</code>".rstrip()
            + f", which took {clock(run.seconds)}."
        )
    return f'<div class="facts"><p>{words}</p><p class="buttons">{links}</p></div>\n'


# ----------------------------------------------------------------------------------- the home page


def home(book: Book) -> str:
    """Cards for the lessons, and ways into the rest."""
    readme = (ROOT / "README.md").read_text("utf-8")
    about = " ".join(readme.split("\n\n")[1].split())
    about = re.sub(r"\s*\(Unrelated.*?\)", "", about)
    cards = "".join(_card(lesson) for lesson in book.lessons)
    count = sum(len(list(room.files)) for room in house.rooms())
    operations = len(reference.families()), sum(map(len, reference.families().values()))
    ways = [
        (
            "house.html",
            "The house",
            f"{count} files on eight floors, and who imports whom",
        ),
        (
            "operations/index.html",
            "Operations",
            f"{operations[1]} of them: formula, gradient, errors",
        ),
        ("exercises.html", "Exercises", "answers that can be checked"),
        (
            "benchmarks/index.html",
            "Benchmarks",
            "beside PyTorch, JAX and DeZero, with all figures",
        ),
    ]
    if (ROOT / "CONTRIBUTING.md").is_file():
        ways.append(("contributing.html", "Contributing", "how to build in this house"))
    links = "".join(
        f'<a class="way" href="{href}"><strong>{name}</strong><span>{words}</span></a>'
        for href, name, words in ways
    )
    made = f"Made from revision {book.revision}. " if book.revision else ""
    tree = _tree([f"lessons/{lesson.name}" for lesson in book.lessons], "Lessons")
    rest = ["exercises", "house", "operations/index", "benchmarks/index"]
    rest += ["contributing"] if (ROOT / "CONTRIBUTING.md").is_file() else []
    return (
        dedent(
            """\
        # minitorch7

        :::{{div}} lead
        {about}
        :::

        ```{{raw}} html
        <div class="cards">{cards}</div>
        ```

        ## Around the lessons

        ```{{raw}} html
        <div class="ways">{links}</div>
        ```

        ## On your own machine

            python3 -m venv .venv && .venv/bin/pip install -q -e .
            .venv/bin/python lessons/03_resnet_mnist.py --quick

        Each lesson is a script and, by the button at its head, a notebook: put it into `lessons/`,
        where it finds what it imports. This book is made by `python lessons/book/build.py`, which
        runs the lessons and takes every picture and figure from their runs. It needs no network
        to be read. {made}
        """
        ).format(about=about, cards=cards, links=links, made=made)
        + tree
        + _tree(rest, "Around them")
    )


def _card(lesson: Lesson) -> str:
    title, words = (
        re.sub(r"`(.+?)`", r"<code>\1</code>", html.escape(text))
        for text in (lesson.title, lesson.summary)
    )
    return (
        f'<a class="card" href="lessons/{lesson.name}.html">'
        f'<span class="picture"><img src="cards/{lesson.name}.png" alt="" loading="lazy"></span>'
        f'<span class="number">{lesson.number}</span>'
        f"<strong>{title}</strong><span>{words}</span></a>"
    )


def card_picture(lesson: Lesson, run: Run | None) -> bytes:
    """A picture of the lesson's: one that the repository keeps, or the last that it made."""
    kept = sorted((LESSONS / "pictures").glob(f"{lesson.name[:2]}_*.png"))
    kept.sort(key=lambda path: path.stem != lesson.name)
    made = notebooks.pictures(run.notebook) if run else []
    if kept:
        image = Image.open(kept[0])
    elif made:
        image = Image.open(BytesIO(made[-1]))
    else:
        image = Image.new("RGB", (CARD, CARD // 2), "white")
    image = image.convert("RGB")
    if image.width < 1.3 * image.height:  # a tall picture: its upper part, large enough to see
        image = image.crop((0, 0, image.width, int(image.width / 1.7)))
    image.thumbnail((CARD, CARD))
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


# --------------------------------------------------------------------------- exercises, benchmarks


def exercises(lessons: list[Lesson]) -> str:
    """All exercises that can be checked, and how."""
    parts = [
        "# Exercises",
        "Most exercises have an answer that can be checked: a function to write, a number to "
        "predict, a layer to build. Write it in a cell of the notebook, or in `python -i` after "
        "the lesson, and ask:",
        '```python\nfrom exercises import check\n\ncheck("2.1", your_answer)\n```',
        "An answer is tried on several cases, of which some are random, against the library "
        "itself. Where it fails you are told on which case, and what was expected: "
        "`lessons/exercises/__init__.py`.",
    ]
    for lesson in lessons:
        asked = checkable(lesson)
        parts.append(f"## {lesson.number}. {lesson.title}")
        page = f"lessons/{lesson.name}.html#try-it"
        if asked:
            parts += [f"{text}" for text in asked]
            parts.append(f'<a href="{page}">Where they are asked</a>')
        else:
            parts.append(f'<a href="{page}">Experiments to run</a>, without a check.')
    return "\n\n".join(parts) + "\n"


def checkable(lesson: Lesson) -> list[str]:
    """The numbered exercises of a lesson, as Markdown."""
    lines = lesson.path.read_text("utf-8").splitlines()
    found: list[list[str]] = []
    inside = False
    for line in lines:
        if re.match(r"# \*\*\d+\.\d+\*\*", line):
            found.append([])
            inside = True
        elif inside and (line == "#" or not line.startswith("# ") or line.startswith("# %%")):
            follows = line == "#"
            inside = False
            if follows:
                found[-1].append("")
            continue
        if inside:
            found[-1].append(line[2:])
    return ["\n".join(text).strip() for text in found]


def benchmarks() -> str:
    """The benchmarks' own page, then the charts and the tables."""
    text = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    parts = [relinked(text, "benchmarks/", "../"), "## The charts"]
    for picture in sorted((ROOT / "benchmarks" / "pictures").glob("*.png")):
        name = picture.stem
        parts.append(f"### {name.replace('_', ' ').capitalize()}")
        parts.append(f"![Chart of {name.replace('_', ' ')}](pictures/{picture.name})")
        if (measured.RESULTS / f"{name}.json").is_file():
            parts.append(f"The figures: [`{name}.json`]({name}.md)")
    names = [path.stem for path in sorted(measured.RESULTS.glob("*.json"))]
    parts.append("## The figures")
    parts.append("\n".join(f"- [`{name}.json`]({name}.md)" for name in names))
    return "\n\n".join(parts) + "\n" + _tree(names)


def relinked(text: str, base: str, up: str) -> str:
    """Markdown of the repository whose links to files lead to those files' pages here."""
    known = set(sources.files())
    pages = {
        "CONTRIBUTING.md": "contributing.html",
        "benchmarks/README.md": "benchmarks/index.html",
    }

    def link(match: re.Match[str]) -> str:
        words, target = match["words"], match["target"].split("#")[0]
        if re.match(r"[a-z]+:", target) or not target:
            return match[0]
        path = re.sub(r"^\./", "", base + target).rstrip("/")
        page = pages.get(path) or (sources.page_of(path) if path in known else None)
        front = f"{path}/__init__.py"
        if page is None and front in known:
            page = sources.page_of(front)
        return f'<a href="{up}{page}">{words}</a>' if page else words

    return re.sub(r"(?<!!)\[(?P<words>[^\]]+)\]\((?P<target>[^)\s]+)\)", link, text)
