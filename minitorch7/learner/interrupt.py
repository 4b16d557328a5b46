"""Ctrl-C, obeyed between two batches.

Python answers Ctrl-C with a KeyboardInterrupt wherever the program happens to be, perhaps in the
middle of the optimiser's step, with half of the weights moved. During a fit the first Ctrl-C is
therefore only noted, and the loop stops after the batch it is in. A second Ctrl-C does not wait.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any


class Interruption:
    """Inside ``with Interruption() as ctrl_c:`` the first Ctrl-C sets ``ctrl_c.asked``."""

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> Interruption:
        # Signals belong to the main thread, and a handler that someone else chose is left alone.
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(self, *exc: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def obey(self) -> None:
        """KeyboardInterrupt if Ctrl-C was pressed; called where stopping is safe."""
        if self.asked:
            raise KeyboardInterrupt


def interactive() -> bool:
    """Whether a person types the next command: a Python prompt or a notebook, not a script."""
    return hasattr(sys, "ps1")
