"""What is switched on in this thread: a capture under way, and the library that it uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .library import CapturableLibrary
    from .record import Recording


class CaptureError(RuntimeError):
    """A step that cannot be captured, or a captured one that can no longer be replayed."""


class _Active(threading.local):
    recording: Recording | None = None
    library: CapturableLibrary | None = None
    addresses = False


switches = _Active()


def recording() -> Recording | None:
    """The capture whose warm-up or recording runs in this thread, or None."""
    return switches.recording


def active() -> bool:
    """Whether this thread's operations are being recorded rather than run."""
    return switches.recording is not None and switches.recording.capturing


@contextmanager
def addresses() -> Iterator[None]:
    """What is uploaded inside are addresses of the arrays, which belong to this very run."""
    before, switches.addresses = switches.addresses, True
    try:
        yield
    finally:
        switches.addresses = before
