"""What all tests share: the two backends, the real data, and quiet reproducible randomness."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

# so that tests find `standin`, `reference` and `answers`, and the lessons' `exercises`
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[1] / "lessons"))

import cuda_on_cpu
import standin
from graphs import compiled, dropout, gpu, plain  # noqa: F401 - fixtures

import minitorch7 as mt
from minitorch7.kernels.cuda import load

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """Ctrl-C is part of what is tested, and a shell's background jobs are started without it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--gpu",
        action="store_true",
        help="run the 'cupy' half of the suite on CuPy and a GPU, instead of on the stand-in",
    )

    parser.addoption(
        "--standin",
        action="store_true",
        help="run on the stand-in also the tests that do not ask for a backend, such as training",
    )

    parser.addoption(
        "--kernels",
        action="store_true",
        help="on the stand-in, run the CUDA kernels too, compiled for the processor: slow",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is about NumPy alone where NumPy is not what runs."""
    alone = item.get_closest_marker("numpy_only")
    if alone is not None and item.config.getoption("--standin"):
        (reason,) = alone.args
        pytest.skip(f"about NumPy alone: {reason}")


@pytest.fixture(scope="module", autouse=True)
def _standin_for_modules(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --standin, the active backend of what a module's tests share is the stand-in."""
    if not request.config.getoption("--standin"):
        yield
        return
    with standin.installed(_with_kernels(request)), mt.using("cupy"):
        yield


@pytest.fixture(autouse=True)
def _standin_everywhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --standin, the active backend of every test is the stand-in."""
    if not request.config.getoption("--standin") or "backend" in request.fixturenames:
        yield
        return
    with standin.installed(_with_kernels(request)), mt.using("cupy"):
        yield


def _with_kernels(request: pytest.FixtureRequest) -> standin.WithKernels | None:
    asked = request.config.getoption("--kernels")
    return request.getfixturevalue("library_with_kernels") if asked else None


@pytest.fixture(scope="session")
def compiled_kernels(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, cuda_on_cpu.RawKernel]]:
    """Every CUDA kernel compiled for the processor, by file and name expression."""
    if cuda_on_cpu.compiler() is None:
        pytest.skip("no C++ compiler: g++ or clang++ would compile the kernels for the processor")
    names = load.declared()
    sources = {file: load.source(file) for file in names}
    return cuda_on_cpu.compile_all(sources, names, tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def library_with_kernels(
    compiled_kernels: dict[str, dict[str, cuda_on_cpu.RawKernel]],
) -> cuda_on_cpu.Library:
    """The stand-in with these kernels: for ``standin.installed(library_with_kernels)``."""
    return cuda_on_cpu.library(compiled_kernels)


@pytest.fixture(scope="session", params=["numpy", "cupy"])
def _library(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each backend in turn; the GPU's is the stand-in unless --gpu is given."""
    if request.param == "numpy" or request.config.getoption("--gpu"):
        yield request.param
        return
    with standin.installed(_with_kernels(request)):
        yield request.param


@pytest.fixture
def backend(_library: str) -> Iterator[str]:
    """The active backend's name, ``"numpy"`` or ``"cupy"``; new tensors go there."""
    with mt.using(_library):
        mt.manual_seed(0)
        yield _library


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets: $MINITORCH7_DATA, or shared/data beside the checkout."""
    for place in (os.environ.get("MINITORCH7_DATA"), ROOT.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real data: set MINITORCH7_DATA to a folder that has mnist/ in it")
