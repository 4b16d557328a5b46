"""What the device's memory holds: live, cached and at its peak, and layer by layer.

    with memory_report(model, opt) as report:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
    print(report)

On a GPU the figures are CuPy's pool's. It keeps freed memory for the next array: *live* bytes are
in arrays, *cached* ones are kept. CuPy counts no peak, so a hook on its allocations does, inside
the block. On the processor the block counts what is made in it, the model not included, by
`tracemalloc`: NumPy tells it of its arrays and Python of its objects, which makes Python slower.
Outside a block the figures are the whole process's, as the operating system counts them.
"""

from __future__ import annotations

import contextlib
import tracemalloc
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import backend
from ..autograd import Function, Tensor, state
from ..autograd.out_of_memory import size_text
from .table import _aligned

ELSEWHERE = "(no layer)"  # where operations ran that no layer of the model called
MIB = 2**20


class LayerMemory(NamedTuple):
    """Bytes of one layer's own, without the layers inside it."""

    layer: str  # its path, '3.conv1'; the model's own is its class
    class_name: str
    weights: int  # parameters and buffers
    gradients: int
    optimizer: int  # what the optimiser remembers of the parameters
    activations: int  # held for backward, at the moment when all layers together held most


class MemoryReport:
    """Bytes in the device's memory now; in a ``with`` block, also the most there were.

    live         in arrays
    cached       in the pool without being in use; None on the processor
    peak         the most live bytes of the block; None outside one, the process's on the processor
    activations  the most bytes held for backward at one moment of the block
    layers       a `LayerMemory` for each layer that has something, in the model's order
    """

    def __init__(self, model: Any = None, optimizer: Any = None, name: str | None = None) -> None:
        self.name = name or _backend_of(model)
        self.model, self.optimizer = model, optimizer
        self._watch = _Watch(model, self.name)
        self._inside = contextlib.ExitStack()
        self._read()

    def __enter__(self) -> MemoryReport:
        if state.profile is not None:
            raise RuntimeError(
                "memory_report: a profile or a report is running in this thread already, and an "
                "operation cannot be counted by two; end the outer with block first"
            )
        self._watch = _Watch(self.model, self.name)
        self._inside.enter_context(_peak_of(self.name, self._watch))
        if self.model is not None:
            for p in self.model.parameters():
                if p.requires_grad:
                    handle = p.register_hook(self._watch.gradient(p))
                    self._inside.callback(handle.remove)
        state.profile = self._watch
        return self

    def __exit__(self, *error: Any) -> None:
        state.profile = None
        self._read()
        self._inside.close()

    def _read(self) -> None:
        figures = _figures(self.name)
        self.live, self.cached = figures["live"], figures["cached"]
        peaks = (self._watch.peak, figures["peak"])
        self.peak = max((p for p in peaks if p is not None), default=None)
        self.activations = self._watch.most
        self.layers = self._by_layer() if self.model is not None else []

    def _by_layer(self) -> list[LayerMemory]:
        counted: set[int] = set()
        remembered = getattr(self.optimizer, "state", {})
        found = []
        for path, module in self.model.named_modules():
            own = [p for p in module._parameters.values() if p is not None and _new(p, counted)]
            kept = [b for b in module._buffers.values() if b is not None and _new(b, counted)]
            row = LayerMemory(
                path or type(module).__name__,
                type(module).__name__,
                sum(t.data.nbytes for t in own + kept),
                sum(max(_gradient(p), self._watch.gradients.get(id(p), 0)) for p in own),
                sum(_remembered(remembered.get(p, {})) for p in own),
                self._watch.at_most.get(path, 0),
            )
            found.append(row)
        outside = self._watch.at_most.get(ELSEWHERE, 0)
        found.append(LayerMemory(ELSEWHERE, "", 0, 0, 0, outside))
        return [row for row in found if any(row[2:])]

    def __str__(self) -> str:
        """The figures, and a table by layer, in MiB."""
        parts = {"live": self.live, "cached": self.cached, "peak": self.peak}
        said = ", ".join(f"{k} {size_text(v)}" for k, v in parts.items() if v is not None)
        head = f"memory on {self.name!r}: {said}"
        if not self.layers:
            return head
        lines: list[list[str]] = [
            ["layer", "weights", "gradients", "optimiser", "activations"],
            ["", "MiB", "MiB", "MiB", "MiB"],
        ]
        for row in self.layers:
            name = f"{row.layer}  {row.class_name}" if row.layer != row.class_name else row.layer
            lines.append([name, *(f"{n / MIB:.2f}" if n else "" for n in row[2:])])
        sums = [sum(row[i] for row in self.layers) for i in range(2, 6)]
        lines.append(["", "", "", "", ""])
        lines.append(["together", *(f"{n / MIB:.2f}" for n in sums)])
        return "\n".join([head, *(line for line in _aligned(lines) if line)])

    __repr__ = __str__


# ------------------------------------------------------------------------------------ the figures


def _backend_of(model: Any) -> str:
    first = next(iter(model.parameters()), None) if model is not None else None
    return backend.active() if first is None else first.backend


def _figures(name: str) -> dict[str, int | None]:
    if name != "numpy":
        pool = backend.memory(name)
        used, reserved = pool["used"], pool["reserved"]
        return {"live": used, "cached": reserved - used, "peak": None}
    if tracemalloc.is_tracing():
        live, peak = tracemalloc.get_traced_memory()
    else:
        whole = backend.memory("numpy")
        live, peak = whole["resident"], max(whole["peak"], whole["resident"])
    return {"live": live, "cached": None, "peak": peak}


@contextlib.contextmanager
def _peak_of(name: str, watch: _Watch) -> Any:
    """Let the most live bytes of the block be counted."""
    if name == "numpy":
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        tracemalloc.reset_peak()
        try:
            yield
        finally:
            if not tracing:
                tracemalloc.stop()
        return
    library = backend.library(name)
    watch.live = watch.peak = backend.memory(name)["used"]
    try:
        hook = _hook(library.cuda.MemoryHook, watch)
    except (AttributeError, NotImplementedError):  # a pool without hooks
        watch.looks = True  # after every operation: what comes and goes inside one is missed
        hook = contextlib.nullcontext()
    with hook:
        yield


def _hook(base: type, watch: _Watch) -> Any:
    """CuPy's own kind of hook: it is told of every block that the pool hands out or takes back."""

    class PeakHook(base):  # type: ignore[misc, valid-type]
        name = "minitorch7 peak"

        def malloc_postprocess(self, **told: Any) -> None:
            if told["mem_ptr"]:  # 0 where there was no memory left
                watch.moved(told["mem_size"])

        def free_postprocess(self, **told: Any) -> None:
            watch.moved(-told["mem_size"])

    return PeakHook()


def _new(t: Tensor, counted: set[int]) -> bool:
    """Whether `t` has not been counted: a parameter that two layers share is the first's."""
    fresh = id(t) not in counted
    counted.add(id(t))
    return fresh


def _gradient(p: Tensor) -> int:
    return p.grad.data.nbytes if p.grad is not None else 0


def _remembered(kept: dict[str, Any]) -> int:
    return sum(v.nbytes for v in kept.values() if backend.is_array(v))


class _Watch:
    """Counts what operations keep for backward; stands in the slot that a profile stands in."""

    def __init__(self, model: Any, name: str) -> None:
        self.name = name
        self.live = self.total = self.most = 0
        self.peak: int | None = None
        self.looks = False
        self.gradients: dict[int, int] = {}  # bytes, by the parameter's identity
        self.at_most: dict[str, int] = {}  # bytes by layer when `total` was `most`
        self._now: dict[str, int] = {}
        self._held: set[int] = set()
        self._paths: dict[int, str] = {}
        self._outside: set[int] = set()  # the owners of weights and buffers
        if model is not None:
            self._paths = {id(module): path for path, module in model.named_modules()}
            for t in [*model.parameters(), *model.buffers()]:
                self._outside.add(id(backend.owner(t.data)))

    def moved(self, size: int) -> None:
        """The pool has handed out `size` bytes, or taken back as many."""
        self.live += size
        self.peak = max(self.peak or 0, self.live)

    def gradient(self, p: Tensor) -> Any:
        """A hook that notes how large p's gradient is when it comes."""

        def note(grad: Tensor) -> None:
            self.gradients[id(p)] = grad.data.nbytes

        return note

    # ---- what the library calls, as for a profile

    def enter(self, layers: Sequence[Any]) -> None:
        """A layer begins."""

    def start(self, inputs: Sequence[Any]) -> None:
        """An operation begins."""

    def stop(self, node: Function, inputs: Sequence[Any], outputs: Any, started: None) -> None:
        """An operation ends: what it keeps is held from here on."""
        if self.looks:
            self.moved(backend.memory(self.name)["used"] - self.live)
        if not hasattr(node, "inputs"):  # it is not recorded, and keeps nothing
            return
        # what the user gave, the batch, was there before and is no activation
        given = {id(backend.owner(t.data)) for t in inputs if _is_given(t)}
        path = self._place()
        for array in node.kept_arrays():
            owner = backend.owner(array)
            if id(owner) not in given | self._held | self._outside:
                self._hold(owner, path)

    def backward(self, node: Function, grads: list[Tensor], differentiate: Any) -> None:
        """The walk: the rule runs, and its operations report for themselves."""
        differentiate(node, grads)

    def _place(self) -> str:
        """The path of the innermost running layer that belongs to the model."""
        for layer in reversed(state.layers):
            if id(layer) in self._paths:
                return self._paths[id(layer)]
        return ELSEWHERE

    def _hold(self, owner: Any, path: str) -> None:
        identity, size = id(owner), owner.nbytes
        self._held.add(identity)
        self._now[path] = self._now.get(path, 0) + size
        self.total += size
        if self.total > self.most:
            self.most, self.at_most = self.total, dict(self._now)
        weakref.finalize(owner, self._let_go, identity, path, size)

    def _let_go(self, identity: int, path: str, size: int) -> None:
        self._held.discard(identity)
        self._now[path] -= size
        self.total -= size


def _is_given(t: Any) -> bool:
    return isinstance(t, Tensor) and t.grad_fn is None
