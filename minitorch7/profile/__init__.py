"""Where the time and the memory of a block of code go: by operation and by layer.

    with mt.profile() as p:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()

prints two tables when the block ends; ``p.plot()`` draws one of them. A running profile fills the
slot ``state.profile``, and operations, layers and the walk backward report to what is there.
Outside such a block the slot is empty, and looking is all that it costs.

`predict_memory` says beforehand what a step will take, and `memory_report` what it has taken,
layer by layer.

Reading order: `measure` (the clock), `costs` (what is added up), `table` (how it is printed);
`memory` (the prediction), `device_memory` (the report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .memory import MemoryPlan, predict_memory

if TYPE_CHECKING:
    from .device_memory import MemoryReport
    from .measure import Profile

__all__ = ["MemoryPlan", "memory_report", "predict_memory", "profile"]


def profile(show: bool = True, rows: int = 20) -> Profile:
    """Measure the operations and layers of a ``with`` block: ``with mt.profile() as p: ...``.

    show  print the tables when the block ends (not where an exception ends it)
    rows  how many operations, and how many layers, are printed; the rest are summed up in a line

    Counted are the operations (Functions) of the thread that opened the block, from the call of
    one to its return: the arithmetic, and the library's own bookkeeping for it. The backward of an
    operation is everything that its rule does, and belongs to the layer that ran the operation,
    also under `create_graph` and in a second backward. What is left of the wall time is "other":
    Python, data, the optimiser, a profile's own work. Adding to a ``.grad`` that is there already
    is an Add outside any layer.

    A GPU works behind Python's back, so with CuPy every operation is waited for before the clock is
    read. That is the only way to know whose time it was, and it makes the block slower, on purpose:
    use it to compare operations, and a stopwatch around many steps for speed.

    RuntimeError where a profile is running in this thread already.
    """
    from .measure import Profile  # whoever imports the package and measures nothing need not wait

    return Profile(show, rows)


def memory_report(
    model: Any = None, optimizer: Any = None, name: str | None = None
) -> MemoryReport:
    """What memory holds: ``print(memory_report(model))``, or ``with memory_report(model) as r:``.

    model, optimizer  whose layers, and whose state, are listed
    name              "numpy" or "cupy"; default: the model's backend, else the active one

    Outside a block there are no activations, and no peak on a GPU. In one, activations are the
    arrays that operations keep for their backward, each counted once, at the first layer that keeps
    it; weights, and the batch itself, are not among them. RuntimeError where a profile is running.
    """
    from .device_memory import MemoryReport

    return MemoryReport(model, optimizer, name)
