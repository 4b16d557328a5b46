"""Optimiser steps on a GPU: one launch for all parameters, and numbers that a graph can replay.

A captured step (see ``minitorch7/capture.py``) is replayed as it was recorded, numbers included. So
what changes from step to step, such as the learning rate and Adam's corrections, must be read from
the GPU's memory, where the host writes it before each replay. `Numbers` is one such set: those of
one update, and how they follow from the group's options and the count of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import backend
from ..autograd import Tensor
from ..capture import CaptureError, addresses
from ..kernels import cuda

Make = Callable[[dict[str, Any], int], Sequence[float]]


class Numbers:
    """The numbers of one update, step after step.

    states    what the rule remembers of the parameters that are updated together
    make      (group, number of the step) → the numbers
    branches  which of the rule's cases apply, such as "there is weight decay": fixed once captured
    """

    def __init__(
        self,
        name: str,
        group: dict[str, Any],
        states: Sequence[dict[str, Any]],
        make: Make,
        branches: tuple[Any, ...],
    ) -> None:
        self.name, self.group, self.states, self.make = name, group, states, make
        self.branches, self.first = branches, False

    def values(self) -> Sequence[float]:
        """Those of the step to come. The first step is number 1; a rule that counts none, 2."""
        step = 1 if self.first else self.states[0].get("step", 1) + 1
        return self.make(self.group, step)

    def advance(self) -> None:
        """A step was made."""
        self.first = False
        for state in self.states:
            if "step" in state:
                state["step"] += 1


def with_numbers(
    recording: Any,
    optimizer: Any,
    key: tuple[Any, ...],
    group: dict[str, Any],
    states: Sequence[dict[str, Any]],
    dtype: Any,
) -> dict[str, Any]:
    """The group with its rule's numbers in device memory, as arrays without axes of `dtype`."""
    name = type(optimizer).__name__
    if getattr(optimizer, "numbers", None) is None:
        raise CaptureError(
            f"capture: {name} defines no numbers(group, step), which a captured step reads from "
            "the GPU's memory instead of using them as Python numbers; see SGD"
        )
    branches = optimizer.branches(group)
    unit = Numbers(name, group, states, optimizer.numbers, branches)
    unit.first = not states[0] or recording.kept(optimizer).began_empty(states[0])
    values = recording.numbers((optimizer, *key), unit).astype(dtype)
    return {**group, "on_device": [values[i] for i in range(len(unit.values()))]}


class Kept:
    """An optimiser's state before a capture, and where it lies from then on."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.before = {
            p: {k: v.copy() if backend.is_array(v) else v for k, v in state.items()}
            for p, state in optimizer.state.items()
        }
        self.places: list[tuple[dict[Tensor, Any], Tensor, str, Any]] = []
        self.branches: list[tuple[Any, ...]] = []

    def began_empty(self, state: dict[str, Any]) -> bool:
        """Whether the rule remembered nothing of this state's parameter before the capture."""
        states = self.optimizer.state
        return not any(states.get(p) is state and kept for p, kept in self.before.items())

    def put_back(self) -> None:
        """Values as they were, in the places where they are now; zeros where there were none."""
        for p, state in self.optimizer.state.items():
            before = self.before.get(p, {})
            for name, value in state.items():
                if backend.is_array(value):
                    value[...] = before.get(name, 0)
                else:
                    state[name] = before.get(name, type(value)())
        for bundle in self.optimizer.bundles():
            bundle.follow(self.optimizer.state[bundle.params[0]])

    def recorded(self) -> None:
        """The step was recorded but has not run: counts as they were, and note the places."""
        for p, state in self.optimizer.state.items():
            for name, value in state.items():
                if backend.is_array(value):
                    self.places.append((self.optimizer.state, p, name, value))
                else:
                    state[name] = self.before.get(p, {}).get(name, type(value)())
        for bundle in self.optimizer.bundles():
            bundle.follow(self.optimizer.state[bundle.params[0]])
        self.branches = self._branches()

    def _branches(self) -> list[tuple[Any, ...]]:
        return [self.optimizer.branches(group) for group in self.optimizer.param_groups]

    def check(self, moved: Callable[[str], Exception]) -> None:
        """Raise ``moved(what)`` where a replay would not do what the optimiser now would."""
        name = type(self.optimizer).__name__
        for states, p, key, array in self.places:
            if self.optimizer.state is not states or states.get(p, {}).get(key) is not array:
                raise moved(f"{key!r} of {name} lies elsewhere (load_state_dict?)")
        if self._branches() != self.branches:
            raise moved(f"an option of {name} became zero, or is zero no longer,")


# ------------------------------------------------------------------------------- Adam in one launch


def adam_together(
    recording: Any, optimizer: Any, number: int, group: dict[str, Any], params: list[Tensor]
) -> list[Tensor]:
    """One launch of ``adam.cu`` for those of `params` that it takes; which they were.

    It takes float32 and float64 in C order on a GPU: all of one dtype and one count of steps.
    """
    states, taken, xp, first = [], [], None, None
    for p in params:
        library, state = backend.library(p.backend), optimizer.state[p]
        if not cuda.takes(library, p.data, p.grad.data, types=cuda.load.FLOATS):
            continue
        kind = (p.dtype, p.grad.dtype, state.get("step", 0))
        xp, first = (library, kind) if first is None else (xp, first)
        if kind == first and p.dtype == p.grad.dtype and p.data.flags.c_contiguous:
            taken.append(p)
            states.append(state)
    if not taken:
        return []
    for p, state in zip(taken, states, strict=True):
        if not state:
            state.update(step=0, exp_avg=xp.zeros_like(p.data), exp_avg_sq=xp.zeros_like(p.data))

    def make(group: dict[str, Any], step: int) -> Sequence[float]:
        lr, betas, eps, decay = (group[k] for k in ("lr", "betas", "eps", "weight_decay"))
        return cuda.adam.options_of(lr, betas, eps, decay, step)

    unit = Numbers(type(optimizer).__name__, group, states, make, ())
    if recording is None:
        options = xp.asarray(unit.values())
    else:
        options = recording.numbers((optimizer, number, "together"), unit)
    lists = [[p.data for p in taken], [xp.ascontiguousarray(p.grad.data) for p in taken]]
    lists += [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")]
    with addresses():
        cuda.adam.adam(xp, *lists, options, optimizer.decoupled)
    unit.advance()
    return taken
