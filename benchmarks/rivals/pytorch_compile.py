"""PyTorch on the processor, with torch.compile over the network and the loss.

The optimiser is PyTorch's fused AdamW: already one kernel, which compiling would not shorten.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from . import pytorch

set_threads = pytorch.set_threads


def available() -> str | None:
    """None, or the reason why torch.compile cannot run here."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        return "torch.compile needs a C++ compiler"
    return pytorch.available()


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss; the first call compiles."""
    return pytorch.build(model, batch, seed, compiled=True)
