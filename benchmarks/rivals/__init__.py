"""The libraries that the benchmarks time, one file each; every file offers the same functions.

available()                 None, or the reason why the library cannot run here
set_threads(n)              what must be called, beside the environment, to use n processor threads
build(model, batch, seed)   a function step(): one training step, which returns the loss as
                            something `float` accepts; taking the float waits until the step is done

and, where the library takes part in it,

build_inference(model, batch, seed)       a function that returns the scores as a NumPy array
build_operation(name, backward, seed)     (run, arrays): a case of `grid.py` done once, and its
                                          results, which `arrays` makes NumPy's, in PyTorch's order
build_adam(model, seed)                   (run, arrays) likewise: a step of AdamW on its own
build_loader(source, batch, seed, …)      a function that returns the next batch of digits
trainer(model, seed)                      a function of such a batch: one training step, the loss
build_segmenter(seed)                     (step, classes, AdamW): fast.ai's U-Net, trained on
                                          batches of our loader; see `camvid_accuracy.py`

What they start from, and what a step is, stands in `start.py`. `worker.py` runs one library in a
process of its own, `rounds.py` lets such processes take turns, `report.py` and `pictures.py` make
tables, files and pictures of what was found.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # time this checkout, not a copy installed elsewhere

OURS, PYTORCH = "minitorch7", "pytorch"
NAMES = (OURS, PYTORCH, "pytorch_compile", "jax_jit", "dezero")
TITLES = {
    OURS: "minitorch7",
    PYTORCH: "PyTorch eager",
    "pytorch_compile": "PyTorch torch.compile",
    "jax_jit": "JAX jit",
    "dezero": "DeZero",
}


def load(name: str) -> ModuleType:
    """The rival's file; its library is imported only by what is called in it."""
    return importlib.import_module(f"{__name__}.{name}")


def takes_part(name: str, function: str, model: str | None = None) -> bool:
    """Whether a rival offers a function, and for this network."""
    module = load(name)
    return hasattr(module, function) and model in (None, *getattr(module, "MODELS", (model,)))
