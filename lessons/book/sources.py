"""The code itself as pages: highlighted, every line a place that a link can point to.

They are written beside Sphinx's pages and not by it: six hundred files would fill its search and
its table of contents. A page is a head, a list of what the file defines, and the code.
"""

from __future__ import annotations

import ast
import html
import os
import re
import subprocess
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from . import ROOT

FOLDER = "source"
LEXERS = {
    ".py": "python",
    ".cu": "cuda",
    ".cuh": "cuda",
    ".h": "cpp",
    ".toml": "toml",
    ".cfg": "ini",
}
SHOWN = ("minitorch7", "lessons", "benchmarks", "tests")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{path}</title>
<link rel="stylesheet" href="{up}_static/pygments.css">
<link rel="stylesheet" href="{up}_static/source.css">
</head><body>
<script>document.body.dataset.theme = localStorage.getItem("theme") || "auto"</script>
<header><a href="{up}index.html">The book</a> · {crumbs}</header>
{outline}
<main>{code}</main>
</body></html>
"""


def files() -> list[str]:
    """The paths of all files shown, relative to the repository."""
    found = []
    for folder in SHOWN:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in LEXERS and "__pycache__" not in path.parts:
                found.append(path.relative_to(ROOT).as_posix())
    return sorted(path for path in found if not _ignored(path))


def _ignored(path: str) -> bool:
    return bool({"out", "models"} & set(path.split("/")))


def page_of(path: str, line: int | None = None) -> str:
    """Where a file's page is, from the book's first page: ``source/a/b.py.html#L23``."""
    return f"{FOLDER}/{path}.html" + (f"#L{line}" if line else "")


def write(out: Path, paths: list[str]) -> None:
    """All pages under `out`/source."""
    formatter = HtmlFormatter(
        linenos="table",
        lineanchors="L",
        anchorlinenos=True,
        cssclass="highlight",
        wrapcode=True,
    )
    known = set(paths)
    for path in paths:
        text = (ROOT / path).read_text("utf-8")
        code = highlight(
            text, get_lexer_by_name(LEXERS[Path(path).suffix], stripnl=False), formatter
        )
        code = re.sub(r'(id|name|href)="(#?)L-(\d+)"', r'\1="\2L\3"', code)
        up = "../" * (path.count("/") + 1)
        page = PAGE.format(
            path=html.escape(path),
            up=up,
            crumbs=_crumbs(path, known),
            outline=_outline(path, text),
            code=code,
        )
        target = out / page_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, "utf-8")


def _crumbs(path: str, known: set[str]) -> str:
    """The file's path; each folder leads to the file that introduces it, where there is one."""
    parts = path.split("/")
    found = []
    for i, part in enumerate(parts[:-1]):
        front = "/".join([*parts[: i + 1], "__init__.py"])
        if front in known and front != path:
            href = os.path.relpath(page_of(front), os.path.dirname(page_of(path)))
            found.append(f'<a href="{href}">{part}</a>')
        else:
            found.append(part)
    return " / ".join([*found, f"<strong>{parts[-1]}</strong>"])


def _outline(path: str, text: str) -> str:
    if not path.endswith(".py"):
        return ""
    names = [
        f'<a href="#L{node.lineno}">{node.name}</a>'
        for node in ast.parse(text).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
    ]
    return f"<nav>{' '.join(names)}</nav>" if names else ""


def revision() -> str:
    """The commit's short name, or nothing outside a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    except OSError:
        return ""
    return done.stdout.strip()
