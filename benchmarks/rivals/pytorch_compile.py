"""PyTorch on the processor, with torch.compile over the network and the loss.

The optimiser is PyTorch's fused AdamW: already one kernel, which compiling would not shorten.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from . import large, pytorch, start

MODELS = (*start.MODELS, start.CAMVID_UNET, large.FAMILY)  # nn.GRU it runs as eager mode does
set_threads = pytorch.set_threads


def available() -> str | None:
    """None, or the reason why torch.compile cannot run here."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        return "torch.compile needs a C++ compiler"
    return pytorch.available()


def compiled(f: Any) -> Any:
    """`f` compiled for the shapes it meets first, with the default settings."""
    import torch

    torch.compiler.reset()  # what was compiled before counts against a limit, and is done with
    return torch.compile(f)


def build(model: str, batch: int, seed: int) -> Callable[[], Any]:
    """A function that performs one training step and returns the loss; the first call compiles."""
    return pytorch.build(model, batch, seed, compiled)


def build_inference(model: str, batch: int, seed: int) -> Callable[[], np.ndarray]:
    """A function that computes the scores of one batch; the first call compiles."""
    return pytorch.build_inference(model, batch, seed, compiled)


def build_operation(name: str, backward: bool, seed: int) -> tuple[Callable, Callable]:
    """(run, arrays): the operation once, and its results as NumPy arrays."""
    return pytorch.build_operation(name, backward, seed, compiled)
