"""CuPy as a captured step sees it: what cannot be recorded is replaced, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from ..kernels.cuda import load, products
from .state import CaptureError, switches

if TYPE_CHECKING:
    from .record import Recording

_REFUSED = {
    "asnumpy": "reads values on the host",
    **dict.fromkeys(
        "nonzero flatnonzero argwhere unique extract compress".split(),
        "makes a result whose shape depends on values",
    ),
    **dict.fromkeys(
        "partition argpartition lexsort median percentile quantile".split(), "sorts, and waits"
    ),
    **dict.fromkeys("tensordot inner vdot".split(), "calls cuBLAS; use matmul or einsum"),
}


class CapturableLibrary:
    """CuPy, as functions receive it (``xp``) in a captured step: what it refuses there is replaced.

    Products go through ``kernels/cuda/products.cu``, uploads become constants of the graph, a sort
    counts how many elements are smaller. Other threads see CuPy as it is.
    """

    def __init__(self, xp: Any, recording: Recording | None) -> None:
        self._xp, self._recording = xp, recording

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED and self.capturing:
            raise CaptureError(
                f"capture: xp.{name} {_REFUSED[name]}, which a graph cannot; do it outside the step"
            )
        return getattr(self._xp, name)

    def __eq__(self, other: Any) -> bool:  # caches keyed by the library find what they have
        return other is self._xp or (type(other) is type(self) and other._xp is self._xp)

    def __hash__(self) -> int:
        return hash(self._xp)

    @property
    def _here(self) -> bool:
        return switches.library is self

    @property
    def capturing(self) -> bool:
        """Whether what is asked of it is being recorded."""
        return self._here and self._recording is not None and self._recording.capturing

    @property
    def draws_base(self) -> Any:
        """See `Recording.draws_base`; None outside a capture."""
        return self._recording.draws_base() if self.capturing else None

    # ---- products

    def matmul(self, a: Any, b: Any, out: Any = None, **options: Any) -> Any:
        """``xp.matmul``."""
        if not self._here or a.dtype.kind != "f" or options:
            return self._xp.matmul(a, b, out=out, **options)
        self._need_kernels("matmul")
        return products.matmul(self._xp, a, b, out)

    def dot(self, a: Any, b: Any, out: Any = None) -> Any:
        """``xp.dot`` of vectors and matrices."""
        if max(a.ndim, b.ndim) > 2 or min(a.ndim, b.ndim) == 0:
            return self._xp.dot(a, b, out)
        return self.matmul(a, b, out)

    def einsum(self, subscripts: str, *operands: Any, **options: Any) -> Any:
        """``xp.einsum``."""
        if not self._here or len(operands) < 2 or operands[0].dtype.kind != "f":
            return self._xp.einsum(subscripts, *operands, **options)
        self._need_kernels("einsum")
        return products.einsum(self._xp, subscripts, *operands)

    def _need_kernels(self, name: str) -> None:
        if not load.usable(self._xp):
            raise CaptureError(
                f"capture: {name} needs the package's own CUDA kernels in a captured step; leave "
                "MINITORCH7_KERNELS unset"
            )

    # ---- from the host

    def asarray(self, a: Any, dtype: Any = None, order: Any = None, **options: Any) -> Any:
        """``xp.asarray``; a host array becomes a constant of the graph."""
        if not self._here or self._recording is None or not _on_host(a, self._xp):
            return self._xp.asarray(a, dtype=dtype, order=order, **options)
        return self._recording.upload(np.asarray(a, dtype=dtype, order="C"))

    def array(self, a: Any, dtype: Any = None, *args: Any, **options: Any) -> Any:
        """``xp.array``; likewise."""
        if not self._here or not _on_host(a, self._xp):
            return self._xp.array(a, dtype, *args, **options)
        return self.asarray(a, dtype)

    # ---- values that decide

    def where(self, condition: Any, *choices: Any) -> Any:
        """``xp.where`` with three arguments."""
        if not choices and self.capturing:
            raise CaptureError("capture: xp.where(condition) makes a shape that depends on values")
        return self._xp.where(condition, *choices)

    def argsort(self, a: Any, axis: int = -1, **options: Any) -> Any:
        """``xp.argsort`` of one axis, stably."""
        if not self._here or a.ndim != 1:
            return self._xp.argsort(a, axis=axis, **options)
        order = self._xp.empty(a.shape, dtype=np.int64)
        order[_ranks(self._xp, a)] = self._xp.arange(a.size)
        return order

    def sort(self, a: Any, axis: int = -1, **options: Any) -> Any:
        """``xp.sort`` of one axis."""
        if not self._here or a.ndim != 1:
            return self._xp.sort(a, axis=axis, **options)
        found = self._xp.empty_like(a)
        found[_ranks(self._xp, a)] = a
        return found


_ROWS = 2048  # elements that are compared with all others at a time


def _ranks(xp: Any, a: Any) -> Any:
    """How many elements stand before each one: smaller ones, and equal ones further left."""
    found, at = xp.empty(a.shape, dtype=np.int64), xp.arange(a.size)
    for begin in range(0, a.size, _ROWS):
        rows = slice(begin, begin + _ROWS)
        mine = a[rows, None]
        before = (a < mine) | ((a == mine) & (at < at[rows, None]))
        found[rows] = before.sum(axis=1)
    return found


def _on_host(a: Any, xp: Any) -> bool:
    """Whether `a` is an array or a list whose values the host has; numbers travel by themselves."""
    if isinstance(a, list | tuple):
        return bool(a) and not any(isinstance(item, xp.ndarray) for item in a)
    return isinstance(a, np.ndarray) and a.ndim > 0


@contextmanager
def substituted(library: CapturableLibrary) -> Iterator[None]:
    """`library` stands in the place of the one it was made of inside the ``with`` block."""
    name = backend.name_of_type(library.ndarray)
    before, switches.library = switches.library, library
    backend.register(name, library)
    try:
        yield
    finally:
        switches.library = before
        backend.register(name, library._xp)


@contextmanager
def as_captured(name: str = "cupy") -> Iterator[None]:
    """Operations inside compute as in a captured step, product by product, but run at once.

    So that a run without graphs can be compared with one with them, bit by bit.
    """
    xp = backend.library(name)
    if name == "numpy" or switches.library is not None:
        yield
        return
    with substituted(CapturableLibrary(xp, None)):
        yield
