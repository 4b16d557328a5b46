"""PyTorch's side is on the processor, so ours is too; one thread keeps small work quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import minitorch7 as mt


@pytest.fixture(autouse=True)
def _on_the_processor() -> Iterator[None]:
    with mt.using("numpy"):
        mt.manual_seed(0)
        yield
