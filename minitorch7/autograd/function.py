"""`Function`: one operation, and one node of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import backend
from .anomaly import check_finite
from .out_of_memory import out_of_memory
from .state import state
from .tensor import Tensor

HALF, FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)


class Function:
    """One operation, and one node of the graph once it has been called.

    A subclass takes its options in ``__init__``, computes in `forward` and differentiates in
    `backward`::

        class Exp(Function):
            def forward(self, xp, x):       # arrays in, array (or tuple of arrays) out
                y = xp.exp(x)
                self.save(y)                # the one place that says what backward reads
                return y

            def backward(self, grad):       # tensors in, a tensor (or None) for each input out
                (y,) = self.saved
                return grad * y

    ``Exp()(x)`` runs it. Both methods may look at ``self.needs_input_grad[i]`` and leave out what
    nobody asked for. `backward` receives one gradient per output, zeros where none arrived.
    """

    needs_input_grad: tuple[bool, ...] = ()
    may_be_late: tuple[bool, ...] = ()  # in `backward`: which gradients nobody reads in this walk
    # Of float16: computed in float32, and these results rounded; see ``functional/autocast.py``.
    wide: tuple[int, ...] = ()
    half_on_gpu = False  # but on CuPy, `forward` takes float16 as it is

    @property
    def name(self) -> str:
        return type(self).__name__

    def forward(self, xp: Any, *arrays: Any) -> Any:
        """Arrays in, array or tuple of arrays out."""
        raise NotImplementedError(f"{self.name} defines no forward")

    def backward(self, *grads: Tensor) -> Any:
        """Gradients of the outputs in, gradients of the inputs out, as tensors."""
        raise NotImplementedError(f"{self.name} has no gradient")

    def __call__(self, *inputs: Tensor | float | None) -> Any:
        """Run `forward` on the inputs' arrays; numbers and None are handed on as they are."""
        profile = state.profile
        if profile is not None:
            started = profile.start(inputs)
        recording = state.recording
        arrays, needs, kind = [], [], None
        for t in inputs:
            if isinstance(t, Tensor):
                array = t.data
                arrays.append(array)
                needs.append(recording and t.requires_grad)
                if type(array) is not kind:
                    kind = type(array) if kind is None else self._common_kind(kind, array, inputs)
            else:
                arrays.append(t)
                needs.append(False)
        xp = self._library(kind)
        self.needs_input_grad = tuple(needs)
        self._to_save: tuple[Any, ...] = ()
        rounded = self.wide and self._widen(xp, arrays)
        with np.errstate(all="ignore"):  # as on a GPU, NaN and infinity are values, not warnings
            try:
                raw = self.forward(xp, *arrays)
            except MemoryError as error:
                raise out_of_memory(error, self.name, arrays) from error
        several = isinstance(raw, tuple)
        raw = raw if several else (raw,)
        if rounded:
            raw = _rounded(raw, rounded)
        outputs = [Tensor(self._result(xp, r)) for r in raw]
        if state.anomaly:
            check_finite(self, "output", outputs)
        if True in needs:
            self._record(inputs, arrays, raw, outputs)
        self._to_save = ()
        if profile is not None:
            profile.stop(self, inputs, outputs, started)
        return tuple(outputs) if several else outputs[0]

    def _widen(self, xp: Any, arrays: list[Any]) -> tuple[int, ...]:
        """Put float32 in the place of float16 arrays; which results are to be rounded, if any.

        What `forward` then saves of them is known by its place among the inputs (see `_keep`): kept
        are the float16 tensors, and the float32 arrays are gone when it returns. Results that are
        saved would not be known again; no wide operation saves any.
        """
        dtypes = [a.dtype for a in arrays if hasattr(a, "dtype")]
        if HALF not in dtypes or (self.half_on_gpu and xp is not np and set(dtypes) == {HALF}):
            return ()
        for i, a in enumerate(arrays):
            if getattr(a, "dtype", None) == HALF:
                arrays[i] = a.astype(FLOAT32)
        return self.wide

    def _library(self, kind: type | None) -> Any:
        """The array library of the tensors among the inputs, whose arrays are of this type."""
        if kind is None:
            raise TypeError(f"{self.name}: needs at least one Tensor among its inputs")
        return backend.library(backend.name_of_type(kind))

    def _common_kind(self, kind: type, array: Any, inputs: Sequence[Any]) -> type:
        """`kind`, if an array of another type is of the same library nevertheless."""
        if backend.name_of_type(kind) != backend.name_of(array):
            tensors = tuple(t.data for t in inputs if isinstance(t, Tensor))
            raise backend.BackendError(backend.mixed_message(self.name.lower(), tensors))
        return kind

    def _result(self, xp: Any, value: Any) -> Any:
        """One result as an array: NumPy answers with scalars where CuPy gives 0-d arrays."""
        if backend.is_array(value):
            return value
        if isinstance(value, np.generic | int | float):
            return xp.asarray(value)
        raise TypeError(
            f"{self.name}.forward must return an array or a tuple of arrays, "
            f"got {type(value).__name__}"
        )

    def _record(self, inputs: Any, arrays: Any, raw: Any, outputs: list[Tensor]) -> None:
        """Make this call a node: remember inputs, what was saved, and the outputs' shapes."""
        if hasattr(self, "inputs"):
            raise RuntimeError(
                f"{self.name}: this object is a node of a graph already; make a new one for each "
                f"call: {self.name}(...)(x)"
            )
        self.inputs = tuple(
            [
                None if not need else t if t.grad_fn is None else Edge(t.grad_fn, t.index, t.shape)
                for t, need in zip(inputs, self.needs_input_grad, strict=True)
            ]
        )
        self.output_like = [(o.shape, o.dtype, o.backend) for o in outputs]
        self.hooks: dict[int, dict[int, Any]] = {}
        self.retained: dict[int, Any] = {}  # weak references to outputs that want their .grad
        self.layers = tuple(state.layers) if state.anomaly else ()
        used: list[int] = []
        self._saved: list[Saved] | None = [
            self._keep(a, used, inputs, arrays, raw) for a in self._to_save
        ]
        for index, out in enumerate(outputs):
            if out.data.dtype.kind == "f":
                out.requires_grad, out.grad_fn, out.index = True, self, index
            _share_changes(out, inputs)

    # ---- what backward reads

    def save(self, *arrays: Any) -> None:
        """Keep these arrays for `backward`: inputs, outputs, or anything computed on the way.

        In `backward` they come back in the same order as ``self.saved``, as tensors: an input or an
        output with its history, so that second derivatives are right; anything else as a constant.
        """
        self._to_save = arrays

    def _keep(self, value: Any, used: list[int], inputs: Any, arrays: Any, raw: Any) -> Saved:
        """How to hold one saved value: as the input it is, the output it is, or a constant.

        Two inputs may share one array, as in ``x * x.detach()``: they are matched in order, `used`
        being those that have been.
        """
        found = None
        for i, array in enumerate(arrays):
            if array is value and isinstance(inputs[i], Tensor):
                if i not in used:
                    used.append(i)
                    return Saved(None, inputs[i], inputs[i].changes[0])
                found = inputs[i] if found is None else found
        if found is not None:
            return Saved(None, found, found.changes[0])
        for index, candidate in enumerate(raw):
            if candidate is value:
                return Saved(value, output=index)
        return Saved(value)

    @property
    def saved(self) -> list[Any]:
        """The saved arrays as tensors (see `save`); numbers and None as they are."""
        if self._saved is None:
            raise RuntimeError(
                f"{self.name}: the values saved for backward have been freed; to walk through the "
                "same graph twice, pass retain_graph=True the first time"
            )
        return [self._restore(kept) for kept in self._saved]

    def _restore(self, kept: Saved) -> Any:
        if kept.tensor is not None:
            if kept.tensor.version != kept.version:
                raise RuntimeError(
                    f"{self.name}: a tensor of shape {kept.tensor.shape} that backward needs was "
                    "changed in place after it was used (an optimiser's step or copy_ between "
                    "forward and backward); run forward again, or change a clone"
                )
            return kept.tensor
        if kept.value is None or type(kept.value) in (int, float, bool):
            return kept.value
        restored = Tensor(self._result(backend.library(self.output_like[0][2]), kept.value))
        if kept.output is not None and restored.data.dtype.kind == "f":
            restored.requires_grad, restored.grad_fn, restored.index = True, self, kept.output
        return restored

    def kept_arrays(self) -> list[Any]:
        """All arrays that the node holds for its backward: those saved, and those it has as
        attributes, such as the places of the maxima. Some may be there twice."""
        saved = getattr(self, "_saved", None) or ()
        found = [k.value if k.tensor is None else k.tensor.data for k in saved]
        for value in vars(self).values():
            found += value if isinstance(value, tuple | list) else [value]
        return [a for a in found if backend.is_array(a)]

    def release(self) -> None:
        """Drop everything but the node's identity, so that the memory can be used again."""
        kept = {name: getattr(self, name) for name in ("output_like", "hooks", "layers")}
        self.__dict__ = {**kept, "retained": {}, "inputs": (), "_saved": None}


def _rounded(results: tuple[Any, ...], which: tuple[int, ...]) -> tuple[Any, ...]:
    """The results, those of these numbers in float16; what it cannot hold becomes infinite."""
    with np.errstate(all="ignore"):
        return tuple([r.astype(HALF) if i in which else r for i, r in enumerate(results)])


def _share_changes(out: Tensor, inputs: Sequence[Any]) -> None:
    """A view shares its memory with an input, and so the count of changes in place."""
    base = out.data.base
    if base is not None:
        for t in inputs:
            if isinstance(t, Tensor) and (base is t.data or base is t.data.base):
                out.changes = t.changes
                return


class Edge(NamedTuple):
    """Where an input came from, if an operation made it: all that the walk needs to know.

    Were the input itself held, its array would live until the walk, though no rule reads it: the
    result of a convolution, say, of which ReLU keeps its own result only.
    """

    grad_fn: Function
    index: int
    shape: tuple[int, ...]


class Saved(NamedTuple):
    """One value that a Function keeps for its backward.

    Outputs are held as bare arrays and get their history back when they are read: the output tensor
    points to its node, and if the node pointed back the two would keep each other alive.
    """

    value: Any
    tensor: Tensor | None = None
    version: int = 0
    output: int | None = None
