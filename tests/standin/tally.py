"""What a real device would have been asked to do: launches, waits, uploads, bytes held.

The figures are lower bounds. Each elementwise call, reduction, product, copy or gather counts as
one kernel launch, though CuPy needs several for some of them (``var``, ``einsum``, ``pad``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class SyncError(RuntimeError):
    """The host waited for the device inside ``no_sync()``."""


class _Tally:
    """Running totals of the process. Plain integers, because every array operation adds to them."""

    __slots__ = ("launches", "syncs", "uploads", "used", "reserved", "forbidden")

    def __init__(self) -> None:
        self.launches = self.syncs = self.uploads = 0
        self.used = self.reserved = 0  # bytes; `reserved` only grows, as a memory pool's does
        self.forbidden = 0  # how many no_sync() blocks are open

    def sync(self, what: str) -> None:
        """Record that `what` makes the host wait; an error where that is forbidden."""
        self.syncs += 1
        if self.forbidden:
            raise SyncError(f"{what} waits for the device, inside standin.no_sync()")

    def hold(self, nbytes: int) -> None:
        """Record that a new array of `nbytes` bytes lives on the device."""
        self.used += nbytes
        if self.used > self.reserved:
            self.reserved = self.used


tally = _Tally()


class Count:
    """The launches, syncs and uploads since the ``with`` block began; frozen when it ends."""

    def __init__(self) -> None:
        self._start = self._now()
        self._end: tuple[int, int, int] | None = None

    @staticmethod
    def _now() -> tuple[int, int, int]:
        return tally.launches, tally.syncs, tally.uploads

    def _stop(self) -> None:
        self._end = self._now()

    def _figure(self, i: int) -> int:
        return (self._end or self._now())[i] - self._start[i]

    @property
    def launches(self) -> int:
        """Kernels started (at least this many on a real device)."""
        return self._figure(0)

    @property
    def syncs(self) -> int:
        """Times that the host waited for the device."""
        return self._figure(1)

    @property
    def uploads(self) -> int:
        """Copies from host to device."""
        return self._figure(2)

    def __repr__(self) -> str:
        return f"Count(launches={self.launches}, syncs={self.syncs}, uploads={self.uploads})"


@contextlib.contextmanager
def count() -> Iterator[Count]:
    """Count inside a block: ``with count() as c: step()``, then ``c.launches``. Blocks may nest."""
    counted = Count()
    try:
        yield counted
    finally:
        counted._stop()


@contextlib.contextmanager
def no_sync() -> Iterator[None]:
    """Raise SyncError at anything inside the block that would make the host wait."""
    tally.forbidden += 1
    try:
        yield
    finally:
        tally.forbidden -= 1
