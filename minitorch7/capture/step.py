"""`capture`, and the steps it gives out: a graph to replay, or on NumPy a function to run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from .. import backend
from ..autograd import Tensor
from .record import Recording, detached
from .state import CaptureError, switches


def capture(
    step: Callable[..., Any], *example_inputs: Tensor, warmup: int = 3
) -> UncapturedStep | CapturedStep:
    """`step`, a function of tensors that returns tensors, as a graph that a call replays.

    example_inputs  tensors like those of later calls, all on one backend
    warmup          how often the step is run beforehand, to compile kernels and fill caches

    A call copies its inputs into the captured ones' places and returns the captured outputs,
    detached: **the next call overwrites them**; ``loss.clone()`` keeps one. Neither warming up nor
    recording leaves a trace: weights, running statistics, what optimisers remember and the random
    state are put back. They are found by what runs: the modules that are called and the optimisers
    that step. Other tensors that the step changes in place are not put back.

    Models, optimisers and whatever else the step uses stay where they are from then on; capture
    again after ``model.to``, `load_state_dict` of an optimiser, freezing layers. The model's mode
    is the one that it was captured in.

    On NumPy there is nothing to record: a call runs the step.

    TypeError or ValueError for wrong arguments, CaptureError where the step cannot be recorded.
    """
    if not callable(step):
        raise TypeError(f"capture: step must be a function of tensors, got {step!r:.60}")
    if isinstance(warmup, bool) or not isinstance(warmup, int) or warmup < 1:
        raise ValueError(f"capture: warmup must be an integer of at least 1, got {warmup!r}")
    for i, t in enumerate(example_inputs):
        if not isinstance(t, Tensor):
            raise TypeError(f"capture: input {i} must be a Tensor, got {type(t).__name__}")
    names = {t.backend for t in example_inputs} or {backend.active()}
    if len(names) > 1:
        arrays = tuple(t.data for t in example_inputs)
        raise backend.BackendError(backend.mixed_message("capture", arrays))
    if switches.recording is not None:
        raise CaptureError("capture: a step is being captured already; capture one at a time")
    kind = UncapturedStep if names == {"numpy"} else CapturedStep
    return kind(step, example_inputs, warmup)


class UncapturedStep:
    """What `capture` gives on NumPy: the step, with its inputs checked as on a GPU."""

    def __init__(self, step: Callable[..., Any], inputs: Sequence[Tensor], warmup: int) -> None:
        self.step = step
        self.like = [(t.shape, t.dtype, t.backend) for t in inputs]

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the step. TypeError, ValueError, BackendError for inputs unlike the examples."""
        self._check(inputs)
        return detached(self.step(*inputs))

    def bring_back(self) -> None:
        """Bring what other code gave a module's state new memory for back to where the graph reads.

        Such as the state of a recurrent model that has read a validation set meanwhile.
        CaptureError where it has another shape now.
        """

    def _check(self, inputs: Sequence[Any]) -> None:
        if len(inputs) != len(self.like):
            raise TypeError(
                f"captured step: takes {len(self.like)} inputs, as it was captured with, "
                f"got {len(inputs)}"
            )
        for i, (t, (shape, dtype, name)) in enumerate(zip(inputs, self.like, strict=True)):
            if not isinstance(t, Tensor):
                raise TypeError(f"captured step: input {i} must be a Tensor, got {type(t)}")
            if t.backend != name:
                raise backend.BackendError(
                    f"captured step: input {i} is on {t.backend!r}, but the step was captured with "
                    f"one on {name!r}; move it with .to({name!r})"
                )
            if (t.shape, t.dtype) != (shape, dtype):
                raise ValueError(
                    f"captured step: input {i} is {t.shape} {t.dtype}, but the step was captured "
                    f"with {shape} {dtype}; capture another for this one, or leave out a last "
                    "batch that is smaller"
                )


class CapturedStep(UncapturedStep):
    """A recorded step, its graph, and the memory that both need."""

    def __init__(self, step: Callable[..., Any], inputs: Sequence[Tensor], warmup: int) -> None:
        super().__init__(step, inputs, warmup)
        self.xp = xp = backend.library(inputs[0].backend if inputs else backend.active())
        self._pool = xp.cuda.MemoryPool()
        self._stream = xp.cuda.Stream(non_blocking=True)
        xp.cuda.get_current_stream().synchronize()  # the new stream waits for nothing by itself
        self._recording = Recording(xp)
        with self._stream, xp.cuda.using_allocator(self._pool.malloc):
            self.inputs = [Tensor(t.data.copy(), t.requires_grad) for t in inputs]
            with self._recording.watching():
                for _ in range(warmup):
                    self._recording.run(step, self.inputs)
                self._recording.put_back()
                self._graph = self._record()
            self._graph.upload()
        self._stream.synchronize()

    def _record(self) -> Any:
        recording = self._recording
        recording.lay_out()
        gc.collect()  # nothing large should be given back to the driver meanwhile
        self._stream.begin_capture()
        recording.capturing = True
        try:
            self.outputs = recording.run(self.step, self.inputs)
        except BaseException:
            with suppress(Exception):  # the capture has failed: this is the way out of it
                self._stream.end_capture()
            raise
        finally:
            recording.capturing = False
        graph = self._stream.end_capture()
        recording.finish()
        return graph

    def bring_back(self) -> None:
        self._recording.settle()

    def __call__(self, *inputs: Tensor) -> Any:
        """Replay with these inputs. CaptureError where what the graph uses was moved meanwhile."""
        self._check(inputs)
        self._recording.check_places()
        for mine, given in zip(self.inputs, inputs, strict=True):
            if mine.data is not given.data:
                mine.data[...] = given.data
        self._recording.before_replay()
        self._graph.launch()
        self._recording.after_replay()
        return self.outputs
