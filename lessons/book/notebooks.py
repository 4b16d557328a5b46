"""A lesson as a notebook, and a notebook that has run as something to read.

A lesson is a script in the percent format, which jupytext reads. What it prints while it runs was
meant for a terminal: paths of pictures, bars that draw over themselves. On a page the picture
stands where its path was printed, and the bars are gone.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

# what a script prints when it has made a picture: "picture: out/05_upsampling/1_places.png"
PICTURE = re.compile(r"^(?P<what>[a-z]+): (?P<path>\S+\.(?P<kind>png|gif))\n?$")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
BAR = re.compile(r"\d+%\|")
KINDS = {"png": "image/png", "gif": "image/gif"}


def of_lesson(path: Path) -> NotebookNode:
    """The lesson as a notebook that has not run; the same file gives the same bytes."""
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    notebook = nbformat.v4.upgrade(notebook)
    notebook.metadata = NotebookNode(
        kernelspec={
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        },
        language_info={"name": "python", "pygments_lexer": "ipython3"},
    )
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
        cell.metadata = NotebookNode()
    return notebook


def tidied(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """A notebook that ran in `folder`, its outputs as a page shows them; a copy."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            cell.outputs = _without_doubles(_tidied(cell.outputs, folder))
    return notebook


def _tidied(outputs: Iterable[Any], folder: Path) -> list[NotebookNode]:
    """Text in one piece, a picture where its path was printed, warnings last."""
    tidy: list[NotebookNode] = []
    complaints = ""
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            complaints += output.text
        elif output.output_type == "stream":
            for line in _at_home(drawn_over(output.text)).splitlines(keepends=True):
                match = PICTURE.match(line)
                if match:
                    tidy += _picture(match, folder)
                elif tidy and tidy[-1].output_type == "stream":
                    tidy[-1].text += line
                else:
                    tidy.append(new_output("stream", name="stdout", text=line))
        else:
            tidy.append(output)
    complaints = re.sub(r"(/[\w.+-]+)+/(site-packages|minitorch7|lessons)/", r"\2/", complaints)
    complaints = "\n".join(line for line in _erased(complaints) if not BAR.search(line))
    if complaints.strip():
        tidy.append(new_output("stream", name="stderr", text=complaints))
    return [o for o in tidy if o.output_type != "stream" or o.text.strip()]


def _at_home(text: str) -> str:
    """Without the places of this machine: where the data lies, and whose home it is."""
    data = os.environ.get("MINITORCH7_DATA")
    text = text.replace(data, "$MINITORCH7_DATA") if data else text
    return text.replace(f"{Path.home()}/", "~/")


def _erased(text: str) -> list[str]:
    """The lines without what was drawn over, the last drawing included: bars are for who waits."""
    lines = ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return [line.rpartition("\r")[2].rstrip() for line in lines]


def _picture(match: re.Match[str], folder: Path) -> list[NotebookNode]:
    file = folder / match["path"]
    if match["what"] == "picture" or not file.is_file():  # `lesson.show` displays it as well
        return []
    data = base64.b64encode(file.read_bytes()).decode()
    return [new_output("display_data", data={KINDS[match["kind"]]: data})]


def _without_doubles(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Without the name of an object whose picture is shown, and without a picture twice."""
    seen: set[str] = set()
    kept = []
    for output in outputs:
        data = output.get("data", {})
        shown = next((data[kind] for kind in KINDS.values() if kind in data), None)
        if shown is not None:
            data.pop("text/plain", None)
            if shown in seen:
                continue
            seen.add(shown)
        kept.append(output)
    return kept


def drawn_over(text: str) -> str:
    """What a terminal shows in the end: a carriage return starts the line again."""
    lines = ESCAPES.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines)


def said(outputs: Iterable[Any]) -> str:
    """All text of a cell's outputs, as it would stand in a terminal."""
    parts = []
    for output in outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append("\n".join(output.traceback) + "\n")
        else:
            parts.append(output.get("data", {}).get("text/plain", ""))
    return drawn_over("".join(parts))


def pictures(notebook: NotebookNode) -> list[bytes]:
    """The PNG pictures in the notebook's outputs, in order."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png")
            if png:
                found.append(base64.b64decode(png))
    return found
