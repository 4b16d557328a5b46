"""What a step touches, how it was before, and what the host writes before each replay."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..autograd import state as running
from ..kernels.cuda import load
from .library import CapturableLibrary, substituted
from .state import CaptureError, switches


def detached(value: Any) -> Any:
    """The result of a step without history: tensors, None, and tuples, lists, dicts of them."""
    if isinstance(value, Tensor):
        return value.detach()
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: detached(v) for k, v in value.items()}
    if type(value) in (tuple, list):
        return type(value)(detached(v) for v in value)
    raise TypeError(
        f"captured step: returned {type(value).__name__}, which a replay could not bring up to "
        "date; return tensors, None, or tuples, lists, dicts of them"
    )


class _Stale(Tensor):
    """A gradient that an earlier run left, to be forgotten and not to be added to."""

    def __init__(self) -> None:
        pass

    @property
    def data(self) -> Any:
        raise CaptureError(
            "capture: the step uses gradients that an earlier call left behind; every call must "
            "begin without any: opt.zero_grad() at its beginning or at its end"
        )


class Recording:
    """What a step touches, how it was before, and what the host writes before each replay.

    It stands where `minitorch7.profile` would, and so hears of every module that runs.
    """

    def __init__(self, xp: Any) -> None:
        self.xp, self.capturing = xp, False
        self._modules: dict[Any, bool] = {}  # and whether each was training
        self._tensors: list[tuple[dict[str, Any], str, Tensor, Any]] = []  # who has it, as what
        self._before: dict[Tensor, Any] = {}  # copies of their values
        self._kept: dict[Any, Any] = {}  # states of optimisers and scalers, by whose they are
        self._units: dict[Any, Any] = {}  # sets of numbers, by whose they are
        self._places: dict[Any, slice] = {}
        self._table: Any = None  # all of them in the GPU's memory, and the counter of draws
        self._constants: list[tuple[Any, np.ndarray]] = []
        self._uploaded: set[bytes] = set()
        self._grads: list[tuple[Tensor, Tensor | None]] = []
        self._random = backend.get_rng_state()
        self._draws, self._draws_read = 0, False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hear of what runs, and give it the library of `CapturableLibrary`."""
        if running.profile is not None:
            raise CaptureError("capture: mt.profile is running; capture outside its block")
        switches.recording, running.profile = self, self
        try:
            with substituted(CapturableLibrary(self.xp, self)):
                yield
        finally:
            switches.recording = running.profile = None
            backend.set_rng_state(self._random)

    def run(self, step: Callable[..., Any], inputs: Sequence[Tensor]) -> Any:
        """One run of the step, whose end is as its beginning: the next one can follow."""
        for p in self._before:
            p.grad = None if p.grad is None else _Stale()
        started = backend.get_rng_state()
        try:
            outputs = detached(step(*inputs))
        except (CaptureError, load.KernelError, backend.BackendError):
            raise
        except RuntimeError as error:  # CuPy's refusals and CUDA's errors are such
            if not self.capturing:
                raise
            raise CaptureError(_why(error)) from error
        for p in self._before:
            p.grad = None if isinstance(p.grad, _Stale) else p.grad
        self.settle()
        self._check_draws(started)
        return outputs

    # ---- what the profile of a step would hear

    def enter(self, layers: Sequence[Any]) -> None:
        """A module begins: the first time, remember the values of its parameters and buffers."""
        module = layers[-1]
        if module in self._modules:
            return
        self._not_new(f"the module {type(module).__name__}")
        self._modules[module] = module.training
        for registry in (module._parameters, module._buffers):
            for name, t in registry.items():
                if t is not None and t.backend != "numpy":
                    self._tensors.append((registry, name, t, t.data))
                    self.remember(t)

    def start(self, inputs: Any) -> None:
        """An operation begins."""

    def stop(self, *figures: Any) -> None:
        """It has ended."""

    def backward(self, node: Any, grads: Any, differentiate: Callable[..., None]) -> None:
        """The walk backward is at a node."""
        differentiate(node, grads)

    def _not_new(self, what: str) -> None:
        if self.capturing:
            raise CaptureError(
                f"capture: the step used {what} while it was recorded, but in no run before; a "
                "graph always does the same: capture one step for each case, or warm up longer"
            )

    # ---- state

    def remember(self, t: Tensor) -> None:
        """Keep the tensor's values as they are now, unless they are kept already."""
        if t not in self._before:
            self._before[t] = t.data.copy()

    def optimizer(self, optimizer: Any, keep: Callable[[], Any]) -> None:
        """An optimiser is about to step: the first time, remember its state by ``keep()``."""
        if optimizer not in self._kept:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    self.remember(p)
            self.keep(optimizer, keep)

    def keep(self, owner: Any, keep: Callable[[], Any]) -> None:
        """`owner` is about to change its own state: the first time, remember it by ``keep()``.

        What `keep` gives has `put_back`, `recorded` and `check`, see ``optim/on_device.py``.
        """
        if owner not in self._kept:
            self._not_new(f"the {type(owner).__name__}")
            self._kept[owner] = keep()

    def kept(self, owner: Any) -> Any:
        """What was remembered of it."""
        return self._kept[owner]

    def put_back(self) -> None:
        """Everything as it was before the first run."""
        for t, values in self._before.items():
            t.data[...] = values
            t.mark_changed()
            t.grad = None
        for kept in self._kept.values():
            kept.put_back()
        backend.set_rng_state(self._random)

    def settle(self) -> None:
        """Bring what was put into new memory, such as a kept state, back to where it was."""
        for registry, name, t, array in self._tensors:
            now = registry.get(name)
            if now is None or (now.shape, now.dtype) != (array.shape, array.dtype):
                raise CaptureError(
                    f"capture: the step removed {name!r} of a module or gave it another shape"
                )
            if now.data is not array:
                array[...] = now.data
                t.data, registry[name] = array, t
                t.mark_changed()

    def _check_draws(self, before: dict[str, Any]) -> None:
        after = backend.get_rng_state()
        self._draws = (_draws(after)[1] - _draws(before)[1]) % 2**64
        if _without_draws(before) != _without_draws(after) or (
            self.capturing and self._draws and not self._draws_read
        ):
            raise CaptureError(
                "capture: the step draws random numbers on the host (weights, noise, or dropout "
                "without our kernels), and every replay would use the same ones; draw them outside "
                "and pass them in, and leave MINITORCH7_KERNELS unset for dropout"
            )

    # ---- numbers, constants and draws in the GPU's memory

    def numbers(self, key: Any, unit: Any) -> Any:
        """``unit.values()`` in float64 on the GPU; on replays, those of the step to come."""
        if not self.capturing:
            self._units[key] = unit
            return self.xp.asarray(np.array(unit.values(), dtype=np.float64))
        if key not in self._places:
            self._not_new(f"{unit.name} for other parameters")
        self._units[key] = unit
        return self._table[self._places[key]]

    def lay_out(self) -> None:
        """Memory for the numbers that the warm-up has shown, and one place for the draws."""
        end = 0
        for key, unit in self._units.items():
            begin, end = end, end + len(unit.values())
            self._places[key] = slice(begin, end)
        self._units = {}
        self._table = self.xp.zeros(end + 1, dtype=np.float64)

    def draws_base(self) -> Any:
        """What is added to the number of each draw: an array (1,) of uint64, while recording."""
        if not self.capturing:
            return None
        self._draws_read = True
        return self._table[-1:].view(np.uint64)

    def upload(self, host: np.ndarray) -> Any:
        """A host array on the GPU: a constant of the graph, written there when it is recorded."""
        key = hashlib.sha256(f"{host.dtype}{host.shape}".encode() + host.tobytes()).digest()
        if not self.capturing:
            self._uploaded.add(key)
            return self.xp.asarray(host)
        if key not in self._uploaded and not switches.addresses:
            raise CaptureError(
                f"capture: the step uploads an array {host.shape} {host.dtype} that is another in "
                "each run, and every replay would use the same one; make it outside, and pass it in"
            )
        array = self.xp.empty(host.shape, dtype=host.dtype)
        self._constants.append((array, host.copy()))
        return array

    def finish(self) -> None:
        """The graph is recorded but has not run: fill its constants, note where gradients lie."""
        for array, host in self._constants:
            array[...] = self.xp.asarray(host)
        self._grads = [(p, p.grad) for p in self._before]
        for kept in self._kept.values():
            kept.recorded()
        backend.set_rng_state(self._random)

    # ---- replays

    def check_places(self) -> None:
        """CaptureError where the graph would read or write memory that is no longer used."""
        for registry, name, t, array in self._tensors:
            if registry.get(name) is not t or t.data is not array:
                raise _moved(f"{name!r} of a module lies elsewhere")
        for module, training in self._modules.items():
            if module.training != training:
                raise _moved(f"a {type(module).__name__} was switched to training={not training}")
        for kept in self._kept.values():
            kept.check(_moved)
        if self._draws and _draws(backend.get_rng_state())[0] != _draws(self._random)[0]:
            raise _moved("mt.manual_seed was called, and the seed is part of the graph")

    def before_replay(self) -> None:
        """Write what this step has of its own: one upload, which does not wait."""
        host = np.zeros(self._table.size)
        for key, unit in self._units.items():
            host[self._places[key]] = unit.values()
        if self._draws:
            base = _draws(backend.get_rng_state())[1] - _draws(self._random)[1]
            host[-1:].view(np.uint64)[0] = base % 2**64
        if host.size > 1 or self._draws:
            self._table[...] = self.xp.asarray(host)

    def after_replay(self) -> None:
        """What Python would have done in the step: count steps and draws, note what changed."""
        for unit in self._units.values():
            unit.advance()
        if self._draws:
            now = backend.get_rng_state()
            now["noise"]["draw"] = (now["noise"]["draw"] + self._draws) % 2**64
            backend.set_rng_state(now)
        for p, grad in self._grads:
            p.grad = grad
            p.mark_changed()


def _draws(random: dict[str, Any]) -> tuple[int, int]:
    """(seed, how many draws there were) of the counter-based generator."""
    noise = random.get("noise", {})
    return noise.get("seed", 0), noise.get("draw", 0)


def _without_draws(random: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in random.items() if k != "noise"}


def _moved(what: str) -> CaptureError:
    return CaptureError(f"captured step: {what} since it was captured; capture it again")


def _why(error: Exception) -> str:
    """What CuPy's or CUDA's error means here."""
    text = f"{type(error).__name__}: {error}"
    if "cuBLAS" in text:
        why = "a product by the operator @ or by .dot on arrays; use mt.matmul, or xp.matmul"
    elif "cuRAND" in text:
        why = "CuPy's random numbers; draw them outside, and pass them in"
    else:
        why = (
            "reading values on the host (float(t), .item(), print, if t), a shape that depends on "
            "values, or sorting; return the tensor, and read it after the call"
        )
    return f"capture: the step cannot be recorded ({text}). What is refused is {why}"
