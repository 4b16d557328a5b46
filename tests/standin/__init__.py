"""A strict stand-in for CuPy over NumPy, for machines that have no GPU.

``standin.cupy`` behaves like the module ``cupy`` and refuses what CuPy refuses: mixing with NumPy
arrays, implicit conversion, lists given to ufuncs, names and keywords that CuPy 13.6 or 14.2 does
not have. It wraps out-of-range indices, leaves open who wins a repeated assignment, lays results
out in C order, fills uninitialised memory with NaN, and counts what a GPU would have been asked:

    with standin.installed(), standin.count() as c:
        step()
    assert c.syncs == 0
    with standin.no_sync():
        step()

It cannot compile CUDA: minitorch7's own kernels are left out, unless a library that can is given,
``standin.installed(library)``, see ``kernels.py``.

Numbers come from NumPy, so they are exact to NumPy's rounding and say nothing about a GPU's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from .kernels import CountedKernels, WithKernels
from .namespace import cupy, cupyx
from .tally import Count, SyncError, count, no_sync

__all__ = [
    "Count",
    "CountedKernels",
    "SyncError",
    "WithKernels",
    "count",
    "cupy",
    "cupyx",
    "install",
    "installed",
    "no_sync",
    "uninstall",
]


KERNELS = "MINITORCH7_KERNELS"  # "0" in the environment leaves them out


def install(library: WithKernels | None = None) -> None:
    """Make the stand-in minitorch7's backend ``"cupy"``, in place of the real one.

    library  one that compiles kernels; without, they are left out
    """
    from minitorch7 import backend

    backend.register("cupy", cupy if library is None else library)
    _leave_out(library is None)


def uninstall() -> None:
    """Undo `install`: the next use of backend ``"cupy"`` imports the real one."""
    from minitorch7 import backend

    backend.unregister("cupy")
    _leave_out(False)


def _leave_out(kernels: bool) -> None:
    if kernels:
        os.environ[KERNELS] = "0"
    else:
        os.environ.pop(KERNELS, None)


@contextlib.contextmanager
def installed(library: WithKernels | None = None) -> Iterator[None]:
    """The stand-in is the backend ``"cupy"`` inside the block, and afterwards what was before."""
    from minitorch7 import backend

    before: Any = backend._libraries.get("cupy")
    install(library)
    try:
        yield
    finally:
        uninstall()
        if before is not None:
            install(None if before is cupy else before)
