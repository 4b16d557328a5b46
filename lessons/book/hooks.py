"""What the book adds to Sphinx.

- mathematics is set as MathML when the book is built: nothing is fetched, no script runs
- `minitorch7/nn/blocks.py:23` in any text becomes a link to that line's page
- a box with a class, and something folded away, as directives
"""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from . import formulas, sources

logger = logging.getLogger(__name__)
FILE = re.compile(r"^(?P<path>[\w./-]+\.(?:py|cuh?|h|cfg))(?::(?P<line>\d+))?$")
NAME = re.compile(r"^[\w.]+$")


def setup(app: Any) -> dict[str, Any]:
    """What the book adds to Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.add_post_transform(LinkSources)
    app.add_directive("div", Div)
    app.add_directive("dropdown", Dropdown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_set(node, display=False))
    raise nodes.SkipNode


def _display(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math-display">{_set(node, display=True)}</div>')
    raise nodes.SkipNode


def _set(node: nodes.Node, display: bool) -> str:
    try:
        return formulas.mathml(node.astext(), display)
    except ValueError as error:
        logger.warning("%s", error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


class LinkSources(SphinxPostTransform):
    """Makes a link of every file of the repository that is named as `code`."""

    default_priority = 200
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        known = set(sources.files())
        base = self.env.docname.split("/")[0]
        up = "../" * self.env.docname.count("/")
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, nodes.reference):
                continue
            match = FILE.match(literal.astext())
            if match is None:
                continue
            path = self.find(match["path"], base, known)
            if path is None:
                continue
            uri = up + sources.page_of(path, int(match["line"]) if match["line"] else None)
            self.link(literal, uri)
            if match["line"]:
                self.link_name(literal, uri)

    @staticmethod
    def find(path: str, base: str, known: set[str]) -> str | None:
        """The file meant, seen from the repository or from the folder that a page is about."""
        places = {
            "benchmarks": ["benchmarks/", "benchmarks/rivals/"],
            "house": ["minitorch7/"],
        }
        for start in ("", *places.get(base, ["minitorch7/"])):
            if start + path in known:
                return start + path
        return None

    @staticmethod
    def link(literal: nodes.literal, uri: str) -> None:
        reference = nodes.reference("", "", refuri=uri, internal=True, classes=["to-source"])
        literal.replace_self(reference)
        reference += literal

    def link_name(self, literal: nodes.literal, uri: str) -> None:
        """The name after a pointer leads to the same line."""
        reference = literal.parent
        siblings = reference.parent.children
        place = siblings.index(reference)
        after = siblings[place + 1 : place + 3]
        if len(after) == 2 and after[0].astext() == " " and isinstance(after[1], nodes.literal):
            if NAME.match(after[1].astext()):
                self.link(after[1], uri)


class Div(Directive):
    """A box with a class of its own."""

    required_arguments, has_content, final_argument_whitespace = 1, True, True

    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=self.arguments[0].split())
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class Dropdown(Directive):
    """Something folded away under a title."""

    required_arguments, has_content, final_argument_whitespace = 1, True, True

    def run(self) -> list[nodes.Node]:
        head = f"<details><summary>{html.escape(self.arguments[0])}</summary>"
        box = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, box)
        return [
            nodes.raw("", head, format="html"),
            box,
            nodes.raw("", "</details>", format="html"),
        ]
