"""How much memory a training step will take, from the shapes: without running it at its size.

A step makes arrays and lets go of them in an order that does not depend on the batch, and the size
of each is a line in the batch: α + β·n bytes. So the step is run with two rows and with three,
every array's birth and death is noted, each line is drawn through its two sizes, and the largest
sum of living arrays on the way is the peak at n rows.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import backend
from ..autograd import Function, Tensor, state
from ..functional._arguments import check_integer, check_tensor
from ..functional.convolution import Conv2d, Conv2dGrads, Conv2dInputGrad, Conv2dWeightGrad
from ..kernels import threads
from ..kernels.convolution import column_bytes, workspace_bytes
from ..kernels.convolution import trial as convolution_trial

CONVOLUTIONS = (Conv2d, Conv2dInputGrad, Conv2dWeightGrad, Conv2dGrads)
FEW = (2, 3)  # rows; one alone has no variance for batch norm


class MemoryPlan(NamedTuple):
    """The bytes of one training step at its peak, and what they are."""

    parameters: int  # the model's, with its buffers
    optimizer: int  # what the rule remembers of each parameter
    batch: int  # inputs and targets
    workspace: int  # in which convolutions lay out their columns
    graph: int  # activations, gradients, and what passes between, at the worst moment
    peak: int  # all together

    def __str__(self) -> str:
        lines = [f"{name:12}{value / 2**20:10.2f} MiB" for name, value in self._asdict().items()]
        return "\n".join(lines)


def predict_memory(
    model: Any,
    loss_func: Callable[[Any, Any], Tensor],
    input: Tensor,
    target: Tensor,
    states: int = 2,
) -> MemoryPlan:
    """What ``loss_func(model(input), target).backward()`` and an optimiser's step will take.

    input, target  the batch; only their shapes and dtypes count, and the first three rows
    states         arrays that the optimiser keeps for each parameter: 2 for Adam, 1 for SGD with
                   momentum, 0 without

    Counted are the arrays that operations make and keep; what a kernel makes and drops inside one
    operation is not, but for the columns of convolutions (on the processor one thread's, and under
    `workspace`; on a GPU, which lays them out anew, under `graph`) and what the gradient of a
    recurrent sweep works in. Nor are Python's own objects, a few hundred KiB. A
    copy of the model is run, and the random stream is put back: nothing is changed.

    ValueError for a batch of fewer than three rows, or of different numbers of rows.
    """
    check_tensor("predict_memory", "input", input)
    check_tensor("predict_memory", "target", target)
    check_integer("predict_memory", "states", states, 0)
    rows = input.shape[0] if input.ndim else 0
    if rows < max(FEW) or target.ndim == 0 or target.shape[0] != rows:
        raise ValueError(
            f"predict_memory: input {input.shape} and target {target.shape} must have the same "
            f"number of rows, at least {max(FEW)}: the step is tried with {FEW[0]} and {FEW[1]}"
        )
    if state.profile is not None:
        raise RuntimeError(
            "predict_memory: a profile is running in this thread, and the trial steps would be "
            "counted in it; call predict_memory outside the with block"
        )
    trials = [_trial(model, loss_func, input, target, n) for n in FEW]
    names = [[name for name, _ in t.events] for t in trials]
    if names[0] != names[1]:
        raise ValueError(
            "predict_memory: with two rows the step makes other arrays than with three, so those "
            "that a whole batch makes cannot be foretold; does the model look at the batch's size?"
        )
    params = sum(p.data.nbytes for p in model.parameters())
    buffers = sum(b.data.nbytes for b in model.buffers())
    batch = input.data.nbytes + target.data.nbytes
    sizes = [[size for _, size in t.events] for t in trials]
    graph = _peak(_at(rows, low, high) for low, high in zip(*sizes, strict=True))
    work = [workspace_bytes(*shape, rows, dtype) for *shape, dtype in trials[0].convolutions]
    parts = (params + buffers, params * states, batch, max(work, default=0), graph)
    return MemoryPlan(*parts, sum(parts))


def _at(rows: int, low: int, high: int) -> int:
    """The line through (2, low) and (3, high), at `rows`."""
    return low + (high - low) * (rows - FEW[0]) // (FEW[1] - FEW[0])


def _peak(changes: Any) -> int:
    living = most = 0
    for change in changes:
        living += change
        most = max(most, living)
    return most


def _trial(model: Any, loss_func: Any, input: Tensor, target: Tensor, rows: int) -> _Trial:
    """One step of a copy of the model with so many rows, watched."""
    times = input.shape[0] / rows
    input, target = input[:rows].detach(), target[:rows].detach()
    trial, before = _Trial(), backend.get_rng_state()
    watched = copy.deepcopy(model)
    for p in watched.parameters():
        p.grad = None  # as zero_grad leaves it
        if p.requires_grad:
            p.register_hook(trial.finished)
    trial.known(input, target, *watched.parameters(), *watched.buffers())
    state.profile, convolution_trial.times = trial, times
    try:
        with threads.unshared():  # another thread lets go of its last part a little later
            loss = loss_func(watched(input), target)
            loss.backward()
    finally:
        state.profile, convolution_trial.times = None, 1.0
        backend.set_rng_state(before)
    trial.closed = True  # what dies from here on dies after the step
    return trial


class _Trial:
    """Notes births and deaths of arrays; stands in the slot that a profile stands in."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []  # ("+" or "-" and the operation, bytes)
        self.convolutions: list[tuple[Any, ...]] = []  # what `workspace_bytes` needs
        self.closed = False
        self._living: set[int] = set()  # identities of the arrays seen

    def known(self, *tensors: Tensor) -> None:
        """These were there before: they are no part of the step."""
        self._living.update(id(backend.owner(t.data)) for t in tensors)

    def _note(self, operation: str, array: Any) -> None:
        owner = backend.owner(array)
        identity, size = id(owner), owner.nbytes
        if identity in self._living:
            return
        self._living.add(identity)
        self.events.append((f"+{operation}", size))
        weakref.finalize(owner, self._died, identity, operation, size)

    def _died(self, identity: int, operation: str, size: int) -> None:
        self._living.discard(identity)
        if not self.closed:
            self.events.append((f"-{operation}", -size))

    def finished(self, gradient: Tensor) -> None:
        """A parameter's hook: the walk will copy a gradient that is a view of something else."""
        if gradient.data.base is not None:
            self.events.append(("+gradient", gradient.data.nbytes))

    # ---- what the library calls, as for a profile

    def enter(self, layers: Sequence[Any]) -> None:
        """A layer begins."""

    def start(self, inputs: Sequence[Any]) -> None:
        """An operation begins."""

    def stop(self, node: Function, inputs: Any, outputs: Sequence[Tensor], started: None) -> None:
        """An operation ends: its results are new, and what it keeps for its backward may be."""
        scratch = getattr(node, "scratch", 0)  # what the gradient of a sweep works in
        if isinstance(node, CONVOLUTIONS) and inputs[0].backend != "numpy":
            scratch += _columns(node, inputs)
        self.events.append(("+scratch", scratch))
        for t in outputs:
            self._note(node.name, t.data)
        for array in node.kept_arrays():
            self._note(node.name, array)
        if isinstance(node, Conv2d | Conv2dInputGrad) and inputs[0].backend == "numpy":
            x, w, groups = inputs[0], inputs[1], node.groups
            size = x.shape[2:] if isinstance(node, Conv2d) else node.size
            picture = (w.shape[1], *size)
            self.convolutions.append((picture, w.shape[0] // groups, node.window, x.dtype))
        self.events.append(("-scratch", -scratch))

    def backward(self, node: Function, grads: list[Tensor], differentiate: Any) -> None:
        """The walk: the rule runs, and its operations report for themselves."""
        differentiate(node, grads)


def _columns(node: Function, inputs: Sequence[Any]) -> int:
    """Bytes of the columns that a convolution, or a gradient of one, lays out on a GPU."""
    first, second = inputs[:2]
    window, groups = node.window, node.groups
    if isinstance(node, Conv2d):
        size, w_shape = first.shape[2:], second.shape
        places = tuple(node.places or window.output_size(size))
    elif isinstance(node, Conv2dWeightGrad):
        size, places = first.shape[2:], second.shape[2:]
        w_shape = (second.shape[1], first.shape[1] // groups, *window.kernel)
    else:  # dy, and the weights
        places, w_shape = first.shape[2:], inputs[2 if isinstance(node, Conv2dGrads) else 1].shape
        size = second.shape[2:] if isinstance(node, Conv2dGrads) else node.size
    turned = isinstance(node, Conv2dGrads | Conv2dInputGrad)
    xp = backend.library(first.backend)
    return column_bytes(xp, first.data, w_shape, size, places, window, groups, turned)
