"""A progress bar for the few things here that can take a while."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def progress(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
    """Go through `items` with a bar on stderr that appears after a second and then goes away."""
    from tqdm import tqdm

    return iter(tqdm(items, desc=what, total=total, delay=1.0, leave=False))
