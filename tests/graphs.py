"""Fixtures for tests of captured steps: stand-ins that record graphs, with kernels and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cuda_on_cpu
import numpy as np
import pytest
import standin
import standin.capture
from standin.array import launched

import minitorch7 as mt
from minitorch7.capture import CapturableLibrary
from minitorch7.functional import activations
from minitorch7.kernels import philox
from minitorch7.kernels.cuda import load, products


class Compiled(standin.WithKernels):
    """Kernels that g++ compiles one by one, when they are asked for."""

    def __init__(self, folder: Any) -> None:
        self.folder, self.found = folder, {}
        self.texts = {}
        for file, names in load.declared().items():
            for expression in names:
                name, types = expression.rstrip(">").split("<")
                self.texts[load.specialised(file, name, *types.split(", "))] = file, expression

    def _kernel(self, code: str, name: str) -> Callable[..., None]:
        file, expression = self.texts[code]
        if expression not in self.found:
            folder = self.folder / str(len(self.found))
            folder.mkdir()
            made = cuda_on_cpu.compile_all({file: load.source(file)}, {file: (expression,)}, folder)
            self.found[expression] = made[file][expression]
        return self.found[expression]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Compiled:
    if cuda_on_cpu.compiler() is None:
        pytest.skip("no C++ compiler: g++ or clang++ would compile the kernels for the processor")
    return Compiled(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def gpu(compiled, monkeypatch) -> Iterator[standin.capture.Library]:
    """The backend "cupy": a stand-in with kernels and graphs."""
    monkeypatch.delenv("MINITORCH7_KERNELS", raising=False)
    with standin.capture.installed(compiled) as library, mt.using("cupy"):
        mt.manual_seed(0)
        yield library


@pytest.fixture
def plain(monkeypatch) -> Iterator[standin.capture.Library]:
    """A stand-in with graphs and without kernels but one: products, by NumPy."""
    monkeypatch.setenv("MINITORCH7_KERNELS", "0")
    monkeypatch.setattr(CapturableLibrary, "_need_kernels", lambda self, name: None)
    multiply = standin.capture._recorded("product", standin.cupy.matmul)
    monkeypatch.setattr(products, "matmul", lambda xp, a, b, out=None: multiply(a, b, out=out))
    with standin.capture.installed() as library, mt.using("cupy"):
        mt.manual_seed(0)
        yield library


@pytest.fixture
def dropout(monkeypatch) -> None:
    """`F.dropout` on `plain` by a kernel that does what ``noise.cu`` does: it reads the base."""

    def kernel(x: Any, p: float, seed: int, draw: int, base: Any) -> Any:
        number = draw + (0 if base is None else int(base._a[0]))
        keep = philox.uniform(x.shape, seed, number) >= p
        with np.errstate(all="ignore"):
            return launched(x._a * (keep / np.float32(1 - p)))

    recorded = standin.capture._recorded("dropout", kernel)

    def forward(self: Any, xp: Any, x: Any) -> Any:
        return recorded(x, self.p, self.seed, self.draw, getattr(xp, "draws_base", None))

    monkeypatch.setattr(activations.Dropout, "forward", forward)
