"""What is on this machine: `examine` asks it, and writes the answers down as `Facts`."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import backend


class Card(NamedTuple):
    """One GPU, as nvidia-smi lists it."""

    name: str
    mib: int
    capability: float


@dataclass
class Facts:
    """What was found on the machine; None or empty for what is not there."""

    python: str = platform.python_version()
    system: str = f"{platform.system()} {platform.machine()}"
    numpy: str = np.__version__
    blas: list[str] = field(default_factory=lambda: ["openblas 0.3"])
    cores: int = 1
    threads: int = 1
    product_error: str = ""  # what is wrong with NumPy's products
    driver: str | None = None  # "550.54"
    driver_cuda: int | None = None  # 12040: the newest CUDA that the driver runs, 12.4
    cards: list[Card] = field(default_factory=list)
    wheels: dict[str, str] = field(default_factory=dict)  # {"cupy-cuda12x": "13.6.0"}
    cupy: str | None = None  # the version that is imported
    cupy_error: str = ""
    cupy_cuda: int | None = None  # 12090: the CUDA that this CuPy brings
    headers: str | None = None  # the folder with cuda_fp16.h
    tf32: str | None = None  # the variable CUPY_TF32
    card_error: str = ""  # what is wrong with the card's products
    nccl: str | None = None
    mpi4py: str | None = None
    mpi_library: str | None = None  # what mpi4py loads
    mpiexec: str | None = None  # what `mpiexec --version` says


def examine() -> Facts:
    """The facts of this machine."""
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    facts = Facts(
        blas=[f"{pool['internal_api']} {pool['version']}" for pool in pools],
        cores=_cores(),
        threads=backend.get_num_threads(),
        product_error=product_error(np),
        driver_cuda=_driver_cuda(),
        wheels=_wheels(),
        headers=_headers(),
        tf32=os.environ.get("CUPY_TF32"),
        mpi4py=_version_of("mpi4py"),
        mpiexec=_said("mpiexec", "--version"),
    )
    listed = _said(
        "nvidia-smi",
        "--query-gpu=driver_version,name,memory.total,compute_cap",
        "--format=csv,noheader,nounits",
    )
    facts.driver, facts.cards = cards_in(listed or "")
    if facts.mpi4py:
        script = "from mpi4py import MPI; print(MPI.Get_library_version())"
        said = _said(sys.executable, "-c", script)  # in a process of its own: it begins an MPI run
        facts.mpi_library = " ".join(said.splitlines()[0].strip("\0").split()) if said else None
    if facts.wheels:
        _ask_cupy(facts)
    return facts


def product_error(xp: Any) -> str:
    """What is wrong with a product of small whole numbers, which any precision has exactly."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 9, (2, 64, 64))
    try:
        product = backend.to_numpy(xp.asarray(a, dtype="f4") @ xp.asarray(b, dtype="f4"))
    except Exception as error:  # CuPy and the driver have many of their own
        return f"a product fails: {type(error).__name__}: {error}"
    wrong = int((product != a @ b).sum())
    return f"{wrong:,} of {product.size:,} numbers of a product are wrong" if wrong else ""


def cards_in(listed: str) -> tuple[str | None, list[Card]]:
    """(driver's version, cards) from nvidia-smi's lines 'version, name, MiB, capability'."""
    driver, cards = None, []
    for line in listed.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4 and cells[0][:1].isdecimal():
            driver = cells[0]
            mib = int(cells[2]) if cells[2].isdecimal() else 0  # '[N/A]' where memory is shared
            cards.append(Card(cells[1], mib, float(cells[3])))
    return driver, cards


def _cores() -> int:
    """Cores that this process may run on, which a container may have made fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _driver_cuda() -> int | None:
    """cuDriverGetVersion: 12040 for CUDA 12.4; None where there is no driver."""
    name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    version = ctypes.c_int(0)
    try:
        failed = ctypes.CDLL(name).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else version.value or None


def _wheels() -> dict[str, str]:
    """Every distribution that brings the package `cupy`, and its version."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name == "cupy" or name.startswith(("cupy-cuda", "cupy-rocm")):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def _headers() -> str | None:
    """The first folder with cuda_fp16.h of those where CuPy looks."""
    places = [os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME")]
    places += [os.environ.get("CONDA_PREFIX"), "/usr/local/cuda"]
    folders = [Path(place) / "include" for place in places if place]
    spec = importlib.util.find_spec("nvidia")  # what the wheels of the extra [ctk] bring
    for root in (spec.submodule_search_locations or []) if spec else []:
        folders += [Path(root) / part / "include" for part in ("cuda_runtime", "cu12", "cu13")]
    return next((str(f) for f in folders if (f / "cuda_fp16.h").is_file()), None)


def _ask_cupy(facts: Facts) -> None:
    """What CuPy says of itself, and a product on the card."""
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # a wheel that misses a library fails in many ways
        facts.cupy_error = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        return
    facts.cupy = cupy.__version__
    try:
        facts.cupy_cuda = cupy.cuda.runtime.runtimeGetVersion()
        nccl = importlib.import_module("cupy.cuda.nccl")
        facts.nccl = str(nccl.get_version()) if nccl.available else None
        facts.cards = facts.cards or _cards_of(cupy.cuda.runtime)
    except Exception as error:
        facts.cupy_error = str(error)
    if facts.driver_cuda is not None:
        try:
            facts.card_error = product_error(backend.library("cupy"))
        except backend.BackendError as error:
            facts.card_error = str(error)


def _cards_of(runtime: Any) -> list[Card]:
    """The cards as CUDA's runtime has them, for containers without nvidia-smi."""
    properties = map(runtime.getDeviceProperties, range(runtime.getDeviceCount()))
    return [
        Card(p["name"].decode(), p["totalGlobalMem"] >> 20, p["major"] + p["minor"] / 10)
        for p in properties
    ]


def _version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _said(command: str, *arguments: str) -> str | None:
    """What a program printed; None where it is not there, fails, or takes over half a minute."""
    place = shutil.which(command, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH')}")
    if place is None:
        return None
    try:
        ended = subprocess.run([place, *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() or None if ended.returncode == 0 else None
