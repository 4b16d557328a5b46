"""PyTorch on a GPU, for a worker of the GPU's benchmarks: eager, compiled, or as a CUDA graph.

Jobs are those of `gpu_ours.py`. Networks, AdamW and the rest are the ones that PyTorch's users
write: layers of torch.nn, fused AdamW, cuDNN wherever PyTorch takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import gpu_launches, gpu_start, grid, jobs, pytorch, start
from .gpu_ours import MIB, Job, _joined

WARM = 3  # steps on a stream of their own before a capture, as PyTorch's manual has it


class Torch:
    """The device as PyTorch offers it, and the jobs.

    mode    "eager", "compiled" (torch.compile over network and loss), or "graph": the whole step,
            optimiser included, captured once by torch.cuda.CUDAGraph and replayed
    device  "cuda"; the tests put "cpu" here, and something of their own for `cuda`
    """

    def __init__(
        self, mode: str = "eager", tf32: bool = False, device: str = "cuda", cuda: Any = None
    ) -> None:
        self.mode, self.device, self._cuda = mode, device, cuda
        if start.missing("torch") is None:
            import torch

            torch.backends.cuda.matmul.allow_tf32 = tf32
            torch.backends.cudnn.allow_tf32 = tf32  # PyTorch's own default is True
            self._cuda = cuda or torch.cuda

    def lacks(self) -> str | None:
        """None, or why this mode cannot run."""
        if start.missing("torch"):
            return "torch is not installed"
        if not self._cuda.is_available():
            return "this PyTorch finds no GPU: install its build for CUDA"
        return pytorch_compile_lacks() if self.mode == "compiled" else None

    def facts(self) -> dict[str, Any]:
        """Versions."""
        import torch

        found = {"torch": torch.__version__, "torch_cuda": torch.version.cuda}
        return {**found, "cudnn": torch.backends.cudnn.version()}

    # ---- the device

    def mark(self) -> Any:
        """An event at the end of what has been asked of the device so far."""
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed(self, first: Any, last: Any) -> float:
        """Milliseconds between two marks; waits for the second."""
        last.synchronize()
        return first.elapsed_time(last)

    def wait(self) -> None:
        """Until the device has done everything."""
        self._cuda.synchronize()

    def forget(self) -> None:
        """Give cached blocks back."""
        self._cuda.empty_cache()

    def free_mib(self) -> float | None:
        """What nobody on the card holds."""
        return self._cuda.mem_get_info()[0] / MIB

    def memory(self, run: Callable[[], Any]) -> dict[str, float | None]:
        """Peak of the live bytes in a run, and what the pool holds after it, in MiB.

        The allocator counts what is asked of it; a captured step asks for nothing when replayed.
        """
        self.wait()
        self._cuda.reset_peak_memory_stats()
        run()
        self.wait()
        peak = None if self.mode == "graph" else self._cuda.max_memory_allocated() / MIB
        return {"peak": peak, "reserved": self._cuda.memory_reserved() / MIB}

    def launches(self, run: Callable[[], Any]) -> dict[str, Any]:
        """Kernels and host synchronisations of a run."""
        return gpu_launches.profiled(run, self.wait)

    # ---- the jobs

    def train(self, model: str, batch: int, seed: int, tiny: bool = False) -> Job:
        """One training step on the same batch, again and again."""
        from torch.nn import functional as F

        net = self._net(model, seed, tiny)
        made = gpu_start.batch_of(model, batch, seed, tiny)
        x, target = (self._tensor(array) for array in made)
        adamw = self._optimizer(net.parameters())

        def loss_of(scores: Any, wanted: Any) -> Any:
            return F.cross_entropy(scores, wanted)

        if self.mode == "compiled":
            import torch

            whole = torch.compile(lambda x, wanted: loss_of(net(x), wanted))
            train = gpu_start.trainer(lambda x: x, adamw, whole)
        else:
            train = gpu_start.trainer(net, adamw, loss_of)
        run = (lambda: train(x, target)) if self.mode != "graph" else None
        run = run or self._captured(lambda: train(x, target), net, adamw)
        return run, lambda: [float(run()) for _ in range(gpu_start.checks(model)[0])]

    def _captured(self, step: Callable[[], Any], net: Any, adamw: Any) -> Callable[[], Any]:
        """The step as one graph, with weights and moments as before it was warmed up."""
        kept = {name: value.clone() for name, value in net.state_dict().items()}
        side = self._cuda.Stream()
        side.wait_stream(self._cuda.current_stream())
        with self._cuda.stream(side):
            for _ in range(WARM):
                step()
        self._cuda.current_stream().wait_stream(side)
        adamw.zero_grad(set_to_none=True)  # so that the gradients are made in the graph's memory
        graph = self._cuda.CUDAGraph()
        with self._cuda.graph(graph):
            loss = step()
        net.load_state_dict(kept)  # in place, and so are the moments
        for state in adamw.state.values():
            for value in state.values():
                value.zero_()

        def replay() -> Any:
            graph.replay()
            return loss

        return replay

    def _net(self, model: str, seed: int, tiny: bool) -> Any:
        import torch

        if model != gpu_start.UNET34:
            return pytorch.make(model, seed).to(self.device)
        from .pytorch_unet import unet

        net = unet("resnet34", gpu_start.spec(model).classes, bottle=True)
        values = gpu_start.parameters(model, seed, tiny)
        with torch.no_grad():
            for p, value in zip(net.parameters(), values, strict=True):
                p.copy_(torch.from_numpy(np.array(value, order="C")))
        return net.to(self.device)

    def _optimizer(self, parameters: Any) -> Any:
        import torch

        options = dict(lr=start.LR, betas=start.BETAS, eps=start.EPS)
        options |= dict(weight_decay=start.WEIGHT_DECAY, fused=True)
        return torch.optim.AdamW(parameters, **options, capturable=self.mode == "graph")

    def _tensor(self, array: Any) -> Any:
        import torch

        return torch.from_numpy(array).to(self.device)

    def operation(self, name: str, backward: bool, seed: int) -> Job:
        """One operation of `grid.py`, alone or with its gradients."""
        import torch
        from torch.nn import functional as F

        if self.device == "cuda":
            gpu_start.add_wide()
        case = grid.CASES[name]
        values, target = grid.inputs(case, seed)
        inputs = [self._tensor(value) for value in values]
        f = grid.function(F, case, None if target is None else self._tensor(target))
        wanted = inputs[case.first :]
        with torch.no_grad():
            shape = tuple(f(*inputs).shape)
        dy = self._tensor(grid.gradient(shape, seed)) if shape else None
        for t in wanted:
            t.requires_grad_(backward)

        def forward() -> list[Any]:
            with torch.no_grad():
                return [f(*inputs)]

        def both() -> list[Any]:
            y = f(*inputs)
            return [y, *torch.autograd.grad(y, wanted, dy)]

        run = both if backward else forward
        return run, lambda: jobs.fingerprints([t.detach().cpu().numpy() for t in run()])

    def adam(self, name: str, seed: int) -> Job:
        """A step of AdamW over a network's parameters."""
        values = start.parameters(grid.ADAM[name], seed)
        params = [self._tensor(value).requires_grad_() for value in values]
        for p, g in zip(params, grid.gradients_of(params, seed), strict=True):
            p.grad = self._tensor(g)
        adamw = self._optimizer(params)

        def check() -> list[float]:
            adamw.step()
            return jobs.fingerprints(_joined([p.detach().cpu().numpy() for p in params]))

        return adamw.step, check

    def copy(self, nbytes: int) -> Job:
        """From one array of the device to another."""
        import torch

        there = torch.zeros(nbytes // 4, device=self.device)
        here = torch.ones(nbytes // 4, device=self.device)
        return lambda: there.copy_(here), lambda: []

    def product(self, n: int, kind: str) -> Job:
        """n × n by n × n, of ones: any precision has every sum exactly."""
        import torch

        a = torch.ones((n, n), device=self.device, dtype=getattr(torch, kind))
        out = torch.zeros_like(a)

        def run() -> None:
            torch.matmul(a, a, out=out)

        def check() -> list[float]:
            run()
            return [float(out[0, 0]) / n, float(out[n - 1, n - 1]) / n]

        return run, check


def pytorch_compile_lacks() -> str | None:
    """None, or why torch.compile cannot run: on a GPU it writes its kernels with Triton."""
    from .pytorch_compile import available

    return available() or start.missing("triton")
