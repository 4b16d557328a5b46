"""The running profile: what operations, layers and the walk backward report to it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import backend
from ..autograd import Function, Tensor, state
from . import table
from .costs import (
    Cost,
    LayerCost,
    Names,
    OperationCost,
    Record,
    Stack,
    as_tree,
    bytes_kept,
    layer_paths,
    layer_places,
    new_bytes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

clock = time.perf_counter  # wall time in seconds: kernels may use several threads


class Profile:
    """What `minitorch7.profile` returns. Its figures can be read when the block has ended.

    If an exception ended it, they are those of the operations that had finished.

    wall_ms     milliseconds that the block took
    other_ms    those of them spent outside operations
    operations  an OperationCost each, the slowest first
    layers      a LayerCost each; a layer stands before those inside it, the slowest first
    records     one for each operation in each layer, in the order of their first run
    """

    wall_ms: float
    other_ms: float
    operations: list[OperationCost]
    layers: list[LayerCost]
    records: list[Record]

    def __init__(self, show: bool = True, rows: int = 20) -> None:
        table.check_rows("profile", rows)
        self.show, self.rows = show, rows
        self.waited = False  # has a CuPy array been met, and been waited for?
        self._began: float | None = None
        self._counted = 0.0  # seconds of all operations so far
        self._rule: Cost | None = None  # of the operation whose backward is running
        self._costs: dict[tuple[str, Stack], Cost] = {}
        self._layers: dict[Stack, tuple[Any, ...]] = {}  # the layers themselves: ids stay theirs
        self._calls: dict[Stack, int] = {}
        # A node is looked up when its backward runs, and must not live longer for being listed.
        self._nodes: weakref.WeakKeyDictionary[Function, Cost] = weakref.WeakKeyDictionary()

    # ------------------------------------------------------------------------------- the block

    def __enter__(self) -> Profile:
        if self._began is not None:
            raise RuntimeError(
                "profile: this object has measured a block already, and one object measures one; "
                "make another: with mt.profile() as p: ..."
            )
        if state.profile is not None:
            raise RuntimeError(
                "profile: a profile is running in this thread already, and an operation cannot be "
                "counted by two; end the outer with block first, or remove one of the two"
            )
        if backend.active() != "numpy":
            self.waited = True  # for what the GPU was asked to do before the block
        self._began = self._now()
        state.profile = self
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        state.profile = None
        ended = self._now() if kind is None else clock()  # a broken GPU must not hide the error
        self.wall_ms = (ended - self._began) * 1e3
        self.other_ms = self.wall_ms - self._counted * 1e3
        self._add_up()
        if self.show and kind is None:
            print(self.table())

    def _now(self) -> float:
        """The time, once the GPU (if one is in use) has done all it was asked to."""
        if self.waited:
            backend.synchronize("cupy")
        return clock()

    def _look_at(self, tensors: Sequence[Any]) -> None:
        """From the first CuPy array on, the clock waits for the GPU."""
        if not self.waited:
            self.waited = any(isinstance(t, Tensor) and t.backend != "numpy" for t in tensors)

    # --------------------------------------------------- what the library calls inside the block

    def enter(self, layers: Sequence[Any]) -> None:
        """`Module.__call__`: the last of these layers begins."""
        if self._rule is None:
            stack = self._stack(layers)
            self._calls[stack] = self._calls.get(stack, 0) + 1

    def start(self, inputs: Sequence[Any]) -> tuple[float, float]:
        """`Function.__call__` begins: the time, and the seconds counted by then."""
        if self._rule is not None:
            return 0.0, 0.0
        self._look_at(inputs)
        return self._now(), self._counted

    def stop(
        self,
        node: Function,
        inputs: Sequence[Any],
        outputs: Sequence[Tensor],
        started: tuple[float, float],
    ) -> None:
        """`Function.__call__` ends."""
        if self._rule is not None:  # a part of the rule: its time is in the rule's time
            cost = self._rule
            cost.backward_bytes += new_bytes(inputs, outputs)
        else:
            self._look_at(outputs)
            began, counted = started
            # A forward that calls another Function does not count that one's time again.
            seconds = self._now() - began - (self._counted - counted)
            self._counted += seconds
            cost = self._cost(node.name, self._stack(state.layers))
            cost.calls += 1
            cost.forward_ms += seconds * 1e3
            cost.forward_bytes += new_bytes(inputs, outputs)
        if hasattr(node, "inputs"):  # it was recorded
            cost.saved_bytes += bytes_kept(node)
            self._nodes[node] = cost

    def backward(
        self,
        node: Function,
        grads: list[Tensor],
        differentiate: Callable[[Function, list[Tensor]], None],
    ) -> None:
        """The walk: run ``differentiate(node, grads)`` on behalf of the operation it belongs to."""
        if self._rule is not None:  # a walk inside a rule
            differentiate(node, grads)
            return
        self._rule = self._nodes.get(node)
        if self._rule is None:  # it ran before the block
            self._rule = self._cost(node.name, self._stack(()))
        cost = self._rule
        self._look_at(grads)
        began = self._now()
        try:
            differentiate(node, grads)
        finally:
            self._rule = None
        seconds = self._now() - began
        self._counted += seconds
        cost.backward_calls += 1
        cost.backward_ms += seconds * 1e3

    def _cost(self, operation: str, stack: Stack) -> Cost:
        return self._costs.setdefault((operation, stack), Cost())

    def _stack(self, layers: Sequence[Any]) -> Stack:
        """The key of these running layers; they, and those around each, are noted."""
        stack = tuple(map(id, layers))
        if stack not in self._layers:
            for n in range(min(1, len(stack)), len(stack) + 1):
                self._layers.setdefault(stack[:n], tuple(layers[:n]))
        return stack

    # ------------------------------------------------------------------------------ the figures

    def _add_up(self) -> None:
        """Make the figures of what was noted by stack, and let go of nodes and layers."""
        places = layer_places(self._layers)
        paths = layer_paths(places.values())
        layers: dict[Names, LayerCost] = {}
        for stack, modules in self._layers.items():
            names = places[stack]
            kind, depth = (type(modules[-1]).__name__, len(names) - 1) if stack else ("", 0)
            layers.setdefault(names, LayerCost(layer=paths[names], class_name=kind, depth=depth))
        operations: dict[str, OperationCost] = {}
        self.records = []
        for (operation, stack), cost in self._costs.items():
            layer = layers[places[stack]]
            self.records.append(Record(**vars(cost), operation=operation, layer=layer.layer))
            operations.setdefault(operation, OperationCost(operation=operation)).add(cost)
            layer.add(cost)
        for layer in layers.values():
            layer.calls = 0  # from here on: of the layer, no longer of its operations
        for stack, calls in self._calls.items():
            layers[places[stack]].calls += calls
        self.operations = sorted(operations.values(), key=lambda cost: -cost.ms)
        self.layers = as_tree(layers)
        self._costs, self._layers, self._calls = {}, {}, {}
        self._nodes.clear()

    def __getattr__(self, name: str) -> Any:
        """Asked only for what is not there, such as the figures of a block that has not ended."""
        if name not in Profile.__annotations__:
            raise AttributeError(f"Profile has no attribute {name!r}")
        now = "has not begun" if self._began is None else "is still running"
        raise RuntimeError(
            f"profile: the block {now}, and its {name} can be read when it has ended; "
            "read them below the block: with mt.profile() as p: ..."
        )

    def table(self, rows: int | None = None) -> str:
        """The figures as text: a table by operation and one by layer, slowest first.

        At most `rows` operations, and as many layers with operations of their own; the rest are
        summed up in a line. A layer's milliseconds and bytes are its own, and its total has those
        of the layers inside it, which are indented under it. Forward, backward and "other" add up
        to the wall time. Bytes are as in `Cost`: made by forward, made by backward, saved.
        """
        rows = self.rows if rows is None else rows
        table.check_rows("profile.table", rows)
        return table.text(self, rows)

    def plot(self, by: str = "operation", rows: int = 15) -> Figure:
        """Milliseconds as bars, forward and backward, of operations or (by="layer") of layers.

        A layer's bar is its own operations, without the layers inside it. At most `rows` bars; the
        rest are one more, and the time outside operations the last, so that all together are the
        wall time. ``minitorch7.plot.save(p.plot(), "profile.png")`` writes the picture.
        """
        table.check_rows("profile.plot", rows)
        if by not in ("operation", "layer"):
            raise ValueError(f"profile.plot: by must be 'operation' or 'layer', got {by!r}")
        from .. import plot  # its imports would make importing the package slower

        labels, parts = table.bars(self, by, rows)
        title = f"Time by {by}: {self.wall_ms:.1f} ms in all"
        return plot.stacked_bars(labels, parts, "milliseconds", title)
