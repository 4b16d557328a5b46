"""How many kernels a step starts, and how often the host waits for the device in it.

CuPy has no hook for launches. PyTorch's profiler, where PyTorch is installed, sees all that a
process asks of CUDA, whoever asks: it counts CuPy's kernels as well. Without PyTorch the count of
the stand-in for CuPy (tests/standin), which stands beside it in the table, is all there is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

WAITS = ("Synchronize", "cuMemcpyDtoH", "cuMemcpyHtoD")  # in the names of CUDA's functions
NO_WAIT = ("Async", "StreamIsCapturing")
COPIES = ("Memcpy", "Memset")  # in the names of what the device did


def counts(names: Iterable[tuple[str, bool]]) -> dict[str, int]:
    """{kernels, copies, syncs} of (name, whether the device did it) pairs."""
    found = {"kernels": 0, "copies": 0, "syncs": 0}
    for name, on_device in names:
        if on_device:
            found["copies" if name.startswith(COPIES) else "kernels"] += 1
        elif name.startswith("cu"):
            waits = any(word in name for word in WAITS) or name == "cudaMemcpy"
            found["syncs"] += waits and not any(word in name for word in NO_WAIT)
    return found


def profiled(run: Callable[[], Any], wait: Callable[[], None]) -> dict[str, Any]:
    """The counts of one run, less those of a profile of nothing; {} where there is no PyTorch.

    The wait at the end of the profile is in both, and so not in the difference.
    """
    if importlib.util.find_spec("torch") is None:
        return {}
    _names(lambda: None, wait)  # the first profile sets the profiler up
    nothing = counts(_names(lambda: None, wait))
    found = counts(_names(run, wait))
    if not found["kernels"]:
        return {}  # a profiler that sees no device
    less = {key: max(0, found[key] - nothing[key]) for key in found}
    return {**less, "by": "torch.profiler"}


def on_standin(run: Callable[[], Any], standin: Any) -> dict[str, Any]:
    """What the stand-in counts in a run; `kernels` with ours, `plain` where CuPy's do all.

    Ours are counted and not run: what they should have written is anything. So that comes last.
    """
    with standin.count() as plain:
        run()
    with standin.installed(standin.CountedKernels()):
        run()  # the first run makes what is kept
        with standin.count() as ours:
            run()
    found = {"kernels": ours.launches, "plain": plain.launches}
    return {**found, "syncs": max(ours.syncs, plain.syncs), "by": "stand-in"}


def _names(run: Callable[[], Any], wait: Callable[[], None]) -> list[tuple[str, bool]]:
    import torch
    from torch.profiler import ProfilerActivity, profile

    wait()
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        run()
        wait()
    cpu = torch.autograd.DeviceType.CPU
    return [(event.name, event.device_type != cpu) for event in profiler.events()]
