"""``cupy.cuda`` and the memory pool, as far as a library needs them to ask after the device."""

from __future__ import annotations

import time
from typing import Any

from .tally import tally


class Stream:
    """A queue of work. There is one here, and whoever waits for it is counted."""

    ptr = 0
    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.non_blocking = non_blocking

    def synchronize(self) -> None:
        """Wait for all the work."""
        tally.sync("Stream.synchronize()")

    def record(self, event: Event | None = None) -> Event:
        """Note when the work so far is done."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let later work wait for `event`, on the device: the host goes on."""

    def use(self) -> Stream:
        """Make this the current stream."""
        return self

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        return None


Stream.null = Stream(null=True)


class Event:
    """A mark in a stream, with the time at which it was reached."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.seconds: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Mark this point of the stream."""
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        """Wait until the mark is reached."""
        tally.sync("Event.synchronize()")


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two marks."""
    if start_event.seconds is None or end_event.seconds is None:
        raise ValueError("get_elapsed_time: both events must have been recorded")
    return (end_event.seconds - start_event.seconds) * 1e3


class Device:
    """The only device."""

    compute_capability = "90"

    def __init__(self, device: int | None = None) -> None:
        if device not in (None, 0):
            raise ValueError(f"the stand-in has one device, 0, and no {device}")
        self.id = 0

    def use(self) -> None:
        """Make this the current device."""

    def synchronize(self) -> None:
        """Wait for all the device's work."""
        tally.sync("Device.synchronize()")

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return 0


class runtime:
    """``cupy.cuda.runtime``: how many devices there are, and waiting for them."""

    @staticmethod
    def getDeviceCount() -> int:
        """One."""
        return 1

    @staticmethod
    def getDevice() -> int:
        """The current device's number."""
        return 0

    @staticmethod
    def deviceSynchronize() -> None:
        """Wait for all the device's work."""
        tally.sync("deviceSynchronize()")


class MemoryPool:
    """Bytes that live arrays hold, and the most they ever held: a pool gives nothing back."""

    def used_bytes(self) -> int:
        """Bytes of the arrays alive."""
        return tally.used

    def total_bytes(self) -> int:
        """Bytes taken from the device."""
        return tally.reserved

    def free_bytes(self) -> int:
        """Bytes taken and not in use."""
        return tally.reserved - tally.used

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give back what is not in use."""
        tally.reserved = tally.used


_pool = MemoryPool()


def get_default_memory_pool() -> MemoryPool:
    """The pool that all arrays come from."""
    return _pool


def get_current_stream(device_id: int = -1) -> Stream:
    """The only stream."""
    return Stream.null


def is_available() -> bool:
    """Whether a device answers: always, here."""
    return True


CUDA = {
    "Device": Device,
    "Event": Event,
    "MemoryPool": MemoryPool,
    "Stream": Stream,
    "get_current_stream": get_current_stream,
    "get_device_id": runtime.getDevice,
    "get_elapsed_time": get_elapsed_time,
    "is_available": is_available,
    "runtime": runtime,
}
