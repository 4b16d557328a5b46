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

Numbers come from NumPy, so they are exact to NumPy's rounding and say nothing about a GPU's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .namespace import cupy, cupyx
from .tally import Count, SyncError, count, no_sync

__all__ = [
    "Count",
    "SyncError",
    "count",
    "cupy",
    "cupyx",
    "install",
    "installed",
    "no_sync",
    "uninstall",
]


def install() -> None:
    """Make the stand-in minitorch7's backend ``"cupy"``, in place of the real one."""
    from minitorch7 import backend

    backend.register("cupy", cupy)


def uninstall() -> None:
    """Undo `install`: the next use of backend ``"cupy"`` imports the real one."""
    from minitorch7 import backend

    backend.unregister("cupy")


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """The stand-in is the backend ``"cupy"`` inside the block."""
    install()
    try:
        yield
    finally:
        uninstall()
