"""What a figure was measured on: processor, cores, versions. No host name, no path."""

from __future__ import annotations

import functools
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from . import ROOT

PACKAGES = ("numpy", "torch", "jax", "jaxlib", "dezero")


@functools.cache
def facts() -> dict[str, Any]:
    """Everything about the machine that a reader needs beside a figure."""
    import minitorch7 as mt

    versions = {"python": platform.python_version(), "minitorch7": mt.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": _blas(),
        "versions": versions,
    }


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with every library's number of threads in it."""
    from .jax_jit import environment as for_jax

    names = ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMEXPR")
    limits = {f"{name}_NUM_THREADS": str(threads) for name in names}
    limits["VECLIB_MAXIMUM_THREADS"] = str(threads)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **limits, **for_jax(threads), "PYTHONPATH": path}


def busy_cores(seconds: float = 0.3) -> float | None:
    """How many cores are at work now, whoever's work it is; None where the system does not say."""
    before, began = _idle_seconds(), time.perf_counter()
    if before is None:
        return None
    time.sleep(seconds)
    passed = time.perf_counter() - began
    return round(max(0.0, (os.cpu_count() or 1) - (_idle_seconds() - before) / passed), 2)


def _idle_seconds() -> float | None:
    """Time that all cores together have been idle since the start, waiting for disks included."""
    try:
        line = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return None
    return sum(map(int, line.split()[4:6])) / os.sysconf("SC_CLK_TCK")


def resident() -> float | None:
    """The memory this process holds now, in MiB; None where the system does not say."""
    return _status("VmRSS")


def peak() -> float | None:
    """The most this process has held since it started, or since `forget_peak`, in MiB."""
    return _status("VmHWM")


def forget_peak() -> bool:
    """Start counting the peak anew; False where that cannot be done (it can on Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return None


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _blas() -> list[str]:
    from threadpoolctl import threadpool_info

    found = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    keys = ("internal_api", "version", "architecture")
    return [" ".join(str(p[k]) for k in keys if p.get(k)) for p in found]
