"""What is switched on in this thread: recording, anomaly detection, and the layers that run."""

from __future__ import annotations

import contextlib
import threading
from typing import Any


class _State(threading.local):
    """What is switched on in this thread."""

    recording = True  # are operations recorded for a later backward()?
    anomaly = False  # is every result checked for NaN and infinity?
    profile: Any = None  # what measures every operation and layer, while minitorch7.profile runs
    autocast: Any = None  # what casts the arguments of functions, inside mt.autocast

    def __init__(self) -> None:
        self.layers: list[Any] = []  # the nn.Modules whose forward is running, outermost first


state = _State()


class _Switch(contextlib.ContextDecorator):
    """Sets one attribute of `state` inside a ``with`` block or a decorated function."""

    def __init__(self, name: str, value: bool) -> None:
        self.name, self.value, self.before = name, value, []

    def _recreate_cm(self) -> _Switch:
        """A switch of its own for every call of a decorated function, which threads may share."""
        return _Switch(self.name, self.value)

    def __enter__(self) -> None:
        self.before.append(getattr(state, self.name))
        setattr(state, self.name, self.value)

    def __exit__(self, *exc: object) -> None:
        setattr(state, self.name, self.before.pop())


def no_grad() -> _Switch:
    """Record nothing inside: ``with mt.no_grad(): ...`` or ``@mt.no_grad()``."""
    return _Switch("recording", False)


def enable_grad() -> _Switch:
    """Record inside, even where an outer `no_grad` switched recording off."""
    return _Switch("recording", True)


def set_grad_enabled(mode: bool) -> _Switch:
    """`enable_grad` or `no_grad`, as `mode` says."""
    return _Switch("recording", bool(mode))


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return state.recording


def detect_anomaly() -> _Switch:
    """Check every result, forward and backward, and stop at the first NaN or infinity.

    The FloatingPointError names the operation and, inside a model, the layer. Every check waits
    for the device, so switch it on to look for a fault and not for training.
    """
    return _Switch("anomaly", True)
