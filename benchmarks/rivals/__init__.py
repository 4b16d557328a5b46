"""The libraries that the benchmarks time, one file each; every file offers the same functions.

available()                 None, or the reason why the library cannot run here
set_threads(n)              what must be called, beside the environment, to use n processor threads
build(model, batch, seed)   a function step(): one training step, which returns the loss as
                            something `float` accepts; taking the float waits until the step is done

What they start from, and what a step is, stands in `start.py`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # time this checkout, not a copy installed elsewhere

OURS = "minitorch7"
NAMES = (OURS, "pytorch", "pytorch_compile", "jax_jit", "dezero")
TITLES = {
    OURS: "minitorch7",
    "pytorch": "PyTorch eager",
    "pytorch_compile": "PyTorch torch.compile",
    "jax_jit": "JAX jit",
    "dezero": "DeZero",
}


def load(name: str) -> ModuleType:
    """The rival's file; its library is imported only by what is called in it."""
    return importlib.import_module(f"{__name__}.{name}")
