"""minitorch7 on CuPy, for a worker of the GPU's benchmarks.

A job is (run, check): `run` does the work once and does not wait for the device, `check` returns
the numbers on which both libraries must agree, and takes the place of the first runs.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import ROOT, gpu_card, gpu_launches, gpu_start, grid, jobs, minitorch7

Job = tuple[Callable[[], Any], Callable[[], list[float]]]
MIB = 2**20


class Ours:
    """The device as CuPy offers it, and the jobs.

    mode     "eager", or "captured": the whole training step recorded once by `mt.capture`
    tf32     CuPy reads CUPY_TF32 when it is imported, so a process is for one of the two
    standin  NumPy behind CuPy's names (tests/standin), and tiny sizes: for tests, and for counting
    """

    def __init__(self, mode: str = "eager", tf32: bool = False, standin: bool = False) -> None:
        os.environ["CUPY_TF32"] = str(int(tf32))
        self.mode, self.standin = mode, standin
        self.counter: Any = None
        self.graph: Any = None
        if standin:
            sys.path.append(str(ROOT / "tests"))
            import standin as module

            module.install()
            self.counter = module
            gpu_start.make_tiny()
        import minitorch7 as mt

        mt.use("cupy")
        self.xp = mt.backend.library("cupy")

    def lacks(self) -> str | None:
        """None, or why this mode cannot run."""
        missing = self.mode == "captured" and capture_of() is None
        return "this minitorch7 has no mt.capture" if missing else None

    def facts(self) -> dict[str, Any]:
        """Card, driver, versions; on the stand-in that no GPU took part."""
        if self.standin:
            return {"card": "none: NumPy behind CuPy's names", "cupy": self.xp.__version__}
        device, runtime = self.xp.cuda.Device(), self.xp.cuda.runtime
        return {
            **gpu_card.facts(device.pci_bus_id),
            "place": device.pci_bus_id,
            "capability": f"{device.compute_capability[:-1]}.{device.compute_capability[-1]}",
            "processors": device.attributes["MultiProcessorCount"],
            "driver_cuda": gpu_card.version(runtime.driverGetVersion()),
            "cuda": gpu_card.version(runtime.runtimeGetVersion()),
            "cupy": self.xp.__version__,
        }

    # ---- the device

    def mark(self) -> Any:
        """An event at the end of what has been asked of the device so far."""
        event = self.xp.cuda.Event()
        event.record()
        return event

    def elapsed(self, first: Any, last: Any) -> float:
        """Milliseconds between two marks; waits for the second."""
        last.synchronize()
        return self.xp.cuda.get_elapsed_time(first, last)

    def wait(self) -> None:
        """Until the device has done everything."""
        self.xp.cuda.get_current_stream().synchronize()

    def forget(self) -> None:
        """Give the pool's free blocks back."""
        self.graph = None
        self.xp.get_default_memory_pool().free_all_blocks()

    def free_mib(self) -> float | None:
        """What nobody on the card holds."""
        return None if self.standin else self.xp.cuda.runtime.memGetInfo()[0] / MIB

    def memory(self, run: Callable[[], Any]) -> dict[str, float | None]:
        """Peak of the live bytes in a run, and what the pool holds after it, in MiB.

        The pool's hook sees what is asked of it; a captured step asks for nothing when replayed.
        """
        import minitorch7 as mt

        self.wait()
        with mt.memory_report(name="cupy") as report:
            run()
            self.wait()
        peak = None if self.mode == "captured" else report.peak / MIB
        reserved = mt.backend.memory("cupy")["reserved"]
        own = getattr(self.graph, "_pool", None)  # a graph's memory is in a pool of its own
        reserved += own.total_bytes() if own is not None else 0
        return {"peak": peak, "reserved": reserved / MIB}

    def launches(self, run: Callable[[], Any]) -> dict[str, Any]:
        """Kernels and host synchronisations of a run."""
        if self.standin:
            return gpu_launches.on_standin(run, self.counter)
        return gpu_launches.profiled(run, self.wait)

    def chooses(self, name: str) -> str:
        """ "implicit" or "columns": what `without_columns` says to an operation of `grid.py`."""
        from minitorch7.kernels.convolution import without_columns
        from minitorch7.kernels.windows import Window

        case = grid.CASES[name]
        stride, padding = ((case.options.get(key, default),) * 2
                           for key, default in (("stride", 1), ("padding", 0)))  # fmt: skip
        window = Window(case.w[2:], stride, padding)
        size = case.x[2:]
        places = size if case.kind == "conv_transpose2d" else window.output_size(size)
        x = self.xp.empty((1,), dtype="float32")  # only its library and dtype matter
        bare = without_columns(self.xp, x, case.w, case.x[0] * math.prod(places), window, 1)
        return "implicit" if bare else "columns"

    # ---- the jobs

    def train(self, model: str, batch: int, seed: int) -> Job:
        """One training step on the same batch, again and again."""
        import minitorch7 as mt
        from minitorch7 import functional as F

        net = self._net(model, seed)
        train = gpu_start.trainer(net, minitorch7.optimizer(net.parameters()), F.cross_entropy)
        made = gpu_start.batch_of(model, batch, seed, self.standin)
        x, target = (mt.tensor(array) for array in made)
        if self.mode == "captured":
            train = self.graph = capture_of()(train, x, target)
            x, target = getattr(train, "inputs", (x, target))  # no copy: PyTorch's has none either
        count = gpu_start.checks(model)[0]
        return (
            lambda: train(x, target),
            lambda: [float(train(x, target)) for _ in range(count)],
        )

    def _net(self, model: str, seed: int) -> Any:
        import minitorch7 as mt

        if model != gpu_start.UNET34:
            return minitorch7.make(model, seed)
        net = gpu_start.unet34(gpu_start.size(model, self.standin))
        values = gpu_start.parameters(model, seed, self.standin)
        for p, value in zip(net.parameters(), values, strict=True):
            p.copy_(mt.tensor(value))
        return net

    def operation(self, name: str, backward: bool, seed: int) -> Job:
        """One operation of `grid.py`, alone or with its gradients."""
        if not self.standin:
            gpu_start.add_wide()
        run, arrays = minitorch7.build_operation(name, backward, seed)
        return run, lambda: jobs.fingerprints(arrays(run()))

    def adam(self, name: str, seed: int) -> Job:
        """A step of AdamW over a network's parameters."""
        run, arrays = minitorch7.build_adam(grid.ADAM[name], seed)
        return run, lambda: jobs.fingerprints(_joined(arrays(run())))

    def copy(self, nbytes: int) -> Job:
        """From one array of the device to another."""
        there = self.xp.zeros(nbytes // 4, dtype="f4")
        here = self.xp.ones(nbytes // 4, dtype="f4")

        def run() -> None:
            there[...] = here

        return run, lambda: []

    def product(self, n: int, kind: str) -> Job:
        """n × n by n × n, of ones: any precision has every sum exactly."""
        a = self.xp.ones((n, n), dtype=kind)
        out = self.xp.zeros((n, n), dtype=kind)

        def run() -> None:
            self.xp.matmul(a, a, out=out)

        def check() -> list[float]:
            run()
            return [float(out[0, 0]) / n, float(out[n - 1, n - 1]) / n]

        return run, check


def capture_of() -> Callable[[Any], Any] | None:
    """`mt.capture`, which makes of a step's function one that is recorded; None where it is not."""
    import minitorch7 as mt

    found = getattr(mt, "capture", None)
    found = getattr(found, "capture", found)  # the module of that name, where it is not hidden
    return found if callable(found) else None


def _joined(arrays: list[Any]) -> list[Any]:
    return [np.concatenate([a.ravel() for a in arrays])]
