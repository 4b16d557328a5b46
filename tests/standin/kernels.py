"""The stand-in as a library that can compile CUDA: where its kernels come from is up to others.

``cuda_on_cpu.Library`` runs kernels that g++ compiled. ``CountedKernels`` runs nothing: its kernels
are counted and leave memory as it is, which is enough to ask how many a training step starts.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from .namespace import cupy
from .tally import tally


class WithKernels:
    """``standin.cupy`` with a RawModule that works; a subclass says what a kernel is."""

    def __getattr__(self, name: str) -> Any:
        return getattr(cupy, name)

    def RawModule(self, *, code: str, options: tuple[str, ...]) -> SimpleNamespace:
        """A module of CUDA kernels; its `get_function` gives one by its name."""
        return SimpleNamespace(get_function=lambda name: self._kernel(code, name))

    def _kernel(self, code: str, name: str) -> Callable[..., None]:
        raise NotImplementedError


class CountedKernels(WithKernels):
    """Kernels that do nothing but count as launched. What they should have written is NaN."""

    def _kernel(self, code: str, name: str) -> Callable[..., None]:
        def launch(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            tally.launches += 1

        return launch
