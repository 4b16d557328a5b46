"""A progress bar for the few things here that can take a while."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any


def progress(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
    """Go through `items` with a bar on stderr that appears after a second and then goes away."""
    from tqdm import tqdm

    hidden = not watched(sys.stderr)
    return iter(tqdm(items, desc=what, total=total, delay=1.0, leave=False, disable=hidden))


def watched(stream: Any) -> bool:
    """Whether a bar written to `stream` can be drawn over: a terminal or a notebook.

    In a file or a pipe every update of the bar would stay as a line of its own.
    """
    return stream.isatty() or "ipykernel" in sys.modules
