"""Loss scaling: gradients too small for float16 are made larger, and the step is not.

float16 ends at 6·10⁻⁸, and gradients of activations are often smaller: they would be 0. The loss
is therefore multiplied by a scale S before backward, all gradients with it by the chain rule, and
those of the weights, which are float32, are divided by S before the step. S is as large as it can
be: where a gradient overflows, the step is left out and S is halved; after 2000 good steps in a row
it is doubled. (Micikevicius et al. 2018, arXiv 1710.03740, §3.2)

    scaler = optim.GradScaler()
    with mt.autocast():
        loss = F.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(opt)               # divides, looks for infinities, moves the weights or does not
    scaler.update()                # chooses the next scale

**Nothing waits for a GPU.** The scale, the count of good steps and the flag "some gradient is
infinite" are arrays beside the gradients. On NumPy the flag is looked at, which costs nothing. On
CuPy a look would wait for the whole backward pass, once a step (as PyTorch's scaler does). Instead
the step is made in any case, and where the flag is set every array that it changed gets its values
from before back, on the device. The price is a copy of the weights and of what the optimiser
remembers while the step runs, and two launches an array. What an optimiser keeps as numbers on the
host, Adam's count of steps, also counts the steps undone; its correction forgets that soon.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..capture import recording as current_recording
from .optimizer import Optimizer

UNSCALED, STEPPED = "unscaled", "stepped"


class GradScaler:
    """Multiplies losses by a scale and divides gradients by it, and keeps the scale in range.

    init_scale       the first scale; the first few steps may be left out until it fits
    growth_factor    by which it grows after `growth_interval` steps without an infinity
    backoff_factor   by which it shrinks after a step with one
    enabled          False makes every method do what it would without scaling

    TypeError or ValueError for numbers out of range.
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _check("init_scale", init_scale, lambda v: v > 0, "above 0")
        _check("growth_factor", growth_factor, lambda v: v > 1, "above 1")
        _check("backoff_factor", backoff_factor, lambda v: 0 < v < 1, "between 0 and 1")
        _check("growth_interval", growth_interval, lambda v: v >= 1, "at least 1", int)
        self.init_scale, self.growth_factor = float(init_scale), float(growth_factor)
        self.backoff_factor, self.growth_interval = float(backoff_factor), growth_interval
        self.enabled = bool(enabled)
        self._scale: Any = None  # once a loss has shown where: float32, no axes
        self._good_steps: Any = None  # in a row: int32, no axes
        self._first_good_steps = 0
        self._stage: dict[Optimizer, str] = {}  # since the last update
        self._found: dict[Optimizer, Any] = {}  # is a gradient infinite or NaN? bool, no axes

    # ------------------------------------------------------------------------ the steps of a step

    def scale(self, outputs: Any) -> Any:
        """The loss (or a list or tuple of losses) times the scale, in float32."""
        if not self.enabled:
            return outputs
        if isinstance(outputs, list | tuple):
            return type(outputs)(self.scale(loss) for loss in outputs)
        if not isinstance(outputs, Tensor):
            raise TypeError(
                f"GradScaler.scale: needs a Tensor or a list of them, got {type(outputs).__name__}"
            )
        self._go_to(outputs.backend)
        wide = outputs.float() if outputs.dtype == np.float16 else outputs
        return wide * Tensor(self._scale)

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of the optimiser's parameters by the scale, and look for infinities.

        `step` does it where it has not been done. Call it yourself before the gradients are
        clipped. RuntimeError for a second call before `update`; ValueError without gradients.
        """
        if not self.enabled:
            return
        if optimizer in self._stage:
            raise RuntimeError(
                f"GradScaler.unscale_: the gradients have been {self._stage[optimizer]} since the "
                "last update() already; call update() at the end of every step"
            )
        grads = _gradients(optimizer)
        name = grads[0].backend
        self._go_to(name)
        xp = backend.library(name)
        with np.errstate(all="ignore"):
            inverse = 1 / self._scale
            for g in grads:
                g.data *= inverse
            # A sum is finite only if all its elements are; one launch a parameter.
            sums = xp.stack([xp.asarray(xp.sum(g.data, dtype="float64")) for g in grads])
            self._found[optimizer] = xp.asarray(~xp.isfinite(sums).all())
        self._stage[optimizer] = UNSCALED

    def step(self, optimizer: Optimizer) -> None:
        """``optimizer.step()``, unless a gradient is infinite or NaN.

        RuntimeError for a second call before `update`.
        """
        with self.watch(optimizer) as moves:
            if moves:
                optimizer.step()

    def watch(self, optimizer: Optimizer) -> Step:
        """``with scaler.watch(opt) as moves:`` around whatever moves the weights, if `moves`.

        What `step` does, for those who do more than ``optimizer.step()``: after the block the
        weights and the optimiser's memory are as before it where a gradient is infinite. `moves`
        is False where that is known, and the block should then do nothing.
        """
        if not self.enabled:
            return Step(optimizer, None)
        if self._stage.get(optimizer) == STEPPED:
            raise RuntimeError(
                "GradScaler.step: this optimiser has made its step since the last update() "
                "already; call update() at the end of every step"
            )
        if optimizer not in self._stage:
            self.unscale_(optimizer)
        self._stage[optimizer] = STEPPED
        return Step(optimizer, self._found[optimizer])

    def discard(self, optimizer: Optimizer) -> None:
        """No step follows after all: the gradients stay, to be added to, divided as they are."""
        self._stage.pop(optimizer, None)
        self._found.pop(optimizer, None)

    def update(self, new_scale: float | None = None) -> None:
        """Choose the next scale, or set it to `new_scale`; once, after all optimisers' steps.

        S ← S·backoff_factor after an infinity; S·growth_factor after `growth_interval` good steps.
        RuntimeError where there has been no step.
        """
        if not self.enabled:
            return
        if new_scale is not None:
            _check("new_scale", new_scale, lambda v: v > 0, "above 0")
            self.init_scale = float(new_scale)
            if self._scale is not None:
                self._scale[...] = new_scale
        elif not self._found:
            raise RuntimeError(
                "GradScaler.update: no optimiser has made a step since the last update(); call "
                "scaler.step(optimizer) first"
            )
        else:
            self._choose()
        self._stage, self._found = {}, {}

    def _choose(self) -> None:
        xp = backend.of(self._scale)
        flags = list(self._found.values())
        bad = flags[0]
        for flag in flags[1:]:
            bad = bad | flag
        good = self._good_steps + 1
        with np.errstate(all="ignore"):
            grown = self._scale * self.growth_factor
        due = ~bad & (good >= self.growth_interval)
        larger = xp.where(due & xp.isfinite(grown), grown, self._scale)
        scale = xp.where(bad, self._scale * self.backoff_factor, larger)
        self._scale[...] = scale  # in place, so that a captured step finds it where it was
        self._good_steps[...] = xp.where(bad | due, 0, good)

    def _go_to(self, name: str) -> None:
        """The scale as an array on this backend: made there, or moved, which is rare and waits."""
        if self._scale is None:
            xp = backend.library(name)
            self._scale = xp.full((), self.init_scale, dtype="float32")
            self._good_steps = xp.full((), self._first_good_steps, dtype="int32")
        elif backend.name_of(self._scale) != name:
            self._scale = backend.to(self._scale, name)
            self._good_steps = backend.to(self._good_steps, name)
        recording = current_recording()
        if recording is not None:
            recording.keep(self, partial(_KeptScale, self))

    # ------------------------------------------------------------------------------- the state

    def get_scale(self) -> float:
        """The scale as a number, 1 where scaling is off; on a GPU this waits."""
        if not self.enabled:
            return 1.0
        return self.init_scale if self._scale is None else float(self._scale)

    def is_enabled(self) -> bool:
        """Whether losses are scaled at all."""
        return self.enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale and count of good steps, with the factors; empty where scaling is off."""
        if not self.enabled:
            return {}
        good = self._first_good_steps if self._scale is None else int(self._good_steps)
        return {
            "scale": self.get_scale(),
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": good,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict`. KeyError, naming them, where entries are missing."""
        if not self.enabled:
            return
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
        missing = [name for name in names if name not in state_dict]
        if missing:
            raise KeyError(
                f"GradScaler.load_state_dict: the state lacks {', '.join(missing)}; it may be that "
                "of a scaler with enabled=False"
            )
        values = [state_dict[name] for name in names]
        self.init_scale, self.growth_factor, self.backoff_factor = map(float, values[:3])
        self.growth_interval, self._first_good_steps = int(values[3]), int(values[4])
        self._scale = self._good_steps = None
        self._stage, self._found = {}, {}


class Step:
    """One step that may turn out never to have happened; see `GradScaler.watch`.

    found  whether a gradient is infinite, a bool without axes on the device; None for no
    """

    def __init__(self, optimizer: Optimizer, found: Any) -> None:
        self.optimizer, self.found = optimizer, found
        self.on_host = found is None or backend.name_of(found) == "numpy"
        self.before: dict[Tensor, tuple[Any, dict[str, Any]]] = {}

    def __enter__(self) -> bool:
        if self.on_host:
            return self.found is None or not bool(self.found)
        for p in _with_gradients(self.optimizer):
            state = self.optimizer.state.get(p, {})
            arrays = {k: v.copy() for k, v in state.items() if backend.is_array(v)}
            self.before[p] = p.data.copy(), arrays
        return True

    def __exit__(self, *exc: object) -> None:
        for p, (data, arrays) in self.before.items():
            xp = backend.library(p.backend)
            xp.copyto(p.data, data, where=self.found)
            for name, value in self.optimizer.state.get(p, {}).items():
                if backend.is_array(value):  # what was not there before began with zeros
                    xp.copyto(value, arrays.get(name, 0), where=self.found)
        self.before = {}


class _KeptScale:
    """Scale and count of good steps before a capture, and where they lie from then on."""

    def __init__(self, scaler: GradScaler) -> None:
        self.scaler, self.places = scaler, self._places(scaler)
        self.before = [array.copy() for array in self.places]

    @staticmethod
    def _places(scaler: GradScaler) -> list[Any]:
        return [scaler._scale, scaler._good_steps]

    def put_back(self) -> None:
        """Values as they were."""
        for array, values in zip(self.places, self.before, strict=True):
            array[...] = values

    def recorded(self) -> None:
        """Nothing of it lies on the host."""

    def check(self, moved: Callable[[str], Exception]) -> None:
        """Raise ``moved(what)`` where a replay would scale by what is no longer the scale."""
        if any(a is not b for a, b in zip(self.places, self._places(self.scaler), strict=True)):
            raise moved("the scale of a GradScaler lies elsewhere (load_state_dict?)")


def _with_gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    grads = [p.grad for p in _with_gradients(optimizer)]
    if not grads:
        raise ValueError(
            "GradScaler.unscale_: none of the optimiser's parameters has a gradient; call "
            "scaler.scale(loss).backward() first"
        )
    if any(g.dtype == np.float16 for g in grads):
        raise ValueError(
            "GradScaler.unscale_: a gradient is float16, where the quotient would be lost again; "
            "keep the weights in float32 and leave the casting to mt.autocast"
        )
    return grads


def _check(
    name: str, value: Any, fits: Callable[[Any], bool], rule: str, kind: Any = (int, float)
) -> None:
    if isinstance(value, bool) or not isinstance(value, kind):
        what = "an integer" if kind is int else "a number"
        raise TypeError(f"GradScaler: {name} must be {what}, got {value!r}")
    if not fits(value) or value == float("inf"):
        raise ValueError(f"GradScaler: {name} must be {rule}, got {value}")
