"""CUDA graphs on the stand-in: ``with standin.capture.installed():`` streams can be captured.

What a stream records is each call that would have launched a kernel, with its arguments as they
were; a graph's ``launch`` makes the same calls again and writes the results where the first ones
lay. As with a GPU's graph

* nothing has happened when the recording ends: arrays written meanwhile are as they were before,
  and new ones are full of NaN;
* Python numbers are frozen, and so is which array is read and written: an array from outside that
  has been freed in the meantime is an error, since its memory could be anybody's;
* cuBLAS, sorting, uploads, and anything that waits are refused while it runs;
* arrays made meanwhile must come from a pool of the graph's own.

Lines that a real GPU runs and this does not: the pool's reuse of freed memory.
"""

from __future__ import annotations

import contextlib
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import device
from .array import ndarray, poisoned, window
from .namespace import cupy
from .tally import tally
from .ufuncs import Ufunc

CAPTURING = "the current stream is capturing, so synchronous API calls are disallowed"
CUBLAS = frozenset("matmul __matmul__ __rmatmul__ dot einsum tensordot inner vdot".split())
SORTS = frozenset("sort argsort lexsort partition argpartition unique".split())
KERNEL = "a kernel of RawModule's"
_PLAIN = frozenset("__init__ __del__ __len__ __iter__ __getattr__ __array__ __copy__".split())


class CaptureViolation(AssertionError):
    """Something in a captured step that a GPU would do wrongly, and in silence."""


class _Now:
    tape: Tape | None = None
    depth = 0  # of recorded calls in one another
    streams: list[Any] = []  # current ones, the innermost last
    pools: list[Any] = []


class Tape:
    """The calls that a stream has recorded."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.made: dict[int, ndarray] = {}  # arrays made meanwhile; the tape keeps them alive
        self.before: dict[int, tuple[ndarray, np.ndarray]] = {}  # others, as they were
        self.pools: set[Any] = set()

    def record(self, call: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
        """Run the call, and keep it if it launched something."""
        self._refuse(name, args)
        for array in _arrays((args, kwargs)):
            owner = _owner(array)
            if id(owner) not in self.made and id(owner) not in self.before:
                self.before[id(owner)] = owner, owner._a.copy()
        if name == KERNEL:  # it may follow addresses that are written after the recording
            self.calls.append((call, self._packed(args), self._packed(kwargs), None))
            return None
        start = tally.launches, tally.uploads, tally.syncs
        result = call(*args, **kwargs)
        if tally.syncs != start[2]:
            raise RuntimeError(f"{CAPTURING} ({name})")
        if tally.uploads != start[1]:
            raise CaptureViolation(f"{name} uploads from the host inside a capture")
        for array in _arrays(result):
            owner = _owner(array)
            if id(owner) not in self.before and id(owner) not in self.made:
                self.made[id(owner)] = owner
                self.pools.add(_Now.pools[-1] if _Now.pools else None)
        if tally.launches != start[0]:
            self.calls.append((call, self._packed(args), self._packed(kwargs), result))
        return result

    def _refuse(self, name: str, args: Any) -> None:
        if name in CUBLAS and any(a.dtype.kind == "f" for a in _arrays(args)):
            if name != "einsum" or len(list(_arrays(args))) > 1:
                raise NotImplementedError(
                    "calling cuBLAS API during stream capture is currently unsupported"
                )
        if name in SORTS:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted")

    def _packed(self, value: Any) -> Any:
        """Arguments to be used again: arrays from outside are not kept alive by the graph."""
        if type(value) is ndarray:
            owner = _owner(value)
            return value if id(owner) in self.made else _Outside(owner, value._a)
        if type(value) in (list, tuple):
            return type(value)(map(self._packed, value))
        if type(value) is dict:
            return {k: self._packed(v) for k, v in value.items()}
        return value.copy() if isinstance(value, np.ndarray) else value

    def undo(self) -> None:
        """Nothing has happened yet."""
        for owner, values in self.before.values():
            owner._a[...] = values
        for owner in self.made.values():
            poisoned(owner._a)
        self.before = {}

    def play(self) -> None:
        """All calls again, as one launch."""
        launches, _Now.depth = tally.launches, _Now.depth + 1
        try:
            for call, args, kwargs, result in self.calls:
                again = call(*_unpacked(args), **_unpacked(kwargs))
                for old, new in zip(_arrays(result), _arrays(again), strict=True):
                    if old is not new and not np.may_share_memory(old._a, new._a):
                        old._a[...] = new._a
        finally:
            tally.launches, _Now.depth = launches + 1, _Now.depth - 1


class _Outside:
    """An array that the graph uses and somebody else owns."""

    def __init__(self, owner: ndarray, values: np.ndarray) -> None:
        self.owner, self.values = weakref.ref(owner), values
        self.shape = owner.shape

    def array(self) -> ndarray:
        owner = self.owner()
        if owner is None:
            raise CaptureViolation(
                f"the graph uses an array of shape {self.shape} from outside that has been freed"
            )
        return owner if owner._a is self.values else window(self.values, owner)


def _owner(array: ndarray) -> ndarray:
    return array if array._base is None else array._base


def _arrays(value: Any) -> Iterator[ndarray]:
    if type(value) is ndarray:
        yield value
    elif type(value) is dict:
        for item in value.values():
            yield from _arrays(item)
    elif type(value) in (list, tuple):
        for item in value:
            yield from _arrays(item)


def _unpacked(value: Any) -> Any:
    if isinstance(value, _Outside):
        return value.array()
    if type(value) in (list, tuple):
        return type(value)(map(_unpacked, value))
    if type(value) is dict:
        return {k: _unpacked(v) for k, v in value.items()}
    return value


def _recorded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, kept by the tape that runs, if it is not part of another call that is."""

    def outer(*args: Any, **kwargs: Any) -> Any:
        tape = _Now.tape
        if tape is None or _Now.depth:
            return call(*args, **kwargs)
        _Now.depth += 1
        try:
            return tape.record(call, name, args, kwargs)
        finally:
            _Now.depth -= 1

    outer.__name__ = name
    return outer


# ------------------------------------------------------------------------------- what CuPy has


class Stream(device.Stream):
    """A stream that can be captured, if it is not the default one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ptr, self._tape = id(self), None

    def synchronize(self) -> None:
        if self._tape is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")
        super().synchronize()

    def begin_capture(self, mode: int | None = None) -> None:
        """Record what follows."""
        if _Now.tape is not None or not _Now.streams or _Now.streams[-1] is not self:
            raise RuntimeError("begin_capture: needs a current stream that is not capturing")
        self._tape = _Now.tape = Tape()

    def end_capture(self) -> Graph:
        """What was recorded."""
        if self._tape is None:
            raise RuntimeError("cudaErrorIllegalState: end_capture without begin_capture")
        tape, self._tape, _Now.tape = self._tape, None, None
        tape.undo()
        return Graph(tape)

    def is_capturing(self) -> bool:
        """Whether it records."""
        return self._tape is not None

    def __enter__(self) -> Stream:
        _Now.streams.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _Now.streams.pop()


class Graph:
    """A recorded tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def upload(self, stream: Any = None) -> None:
        """Nothing to do here."""

    def launch(self, stream: Any = None) -> None:
        """Do all of it."""
        self.tape.play()


class MemoryPool(device.MemoryPool):
    """A pool; who uses its `malloc` is known, though all memory is the process's."""

    def malloc(self, size: int) -> None:
        """Stands for the pool: never called."""


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Arrays made inside come from the allocator's pool."""
    _Now.pools.append(getattr(allocator, "__self__", None))
    try:
        yield
    finally:
        _Now.pools.pop()


def get_current_stream(device_id: int = -1) -> Any:
    """The innermost stream in use."""
    return _Now.streams[-1] if _Now.streams else device.Stream.null


class Library:
    """A stand-in whose functions are recorded: of ``standin.cupy``, or of one with kernels."""

    def __init__(self, base: Any = cupy) -> None:
        self.base = base
        self.cuda = types.SimpleNamespace(
            Stream=Stream,
            MemoryPool=MemoryPool,
            using_allocator=using_allocator,
            get_current_stream=get_current_stream,
            Graph=Graph,
            runtime=device.runtime,
        )

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.base, name)
        if isinstance(member, types.FunctionType):
            member = _recorded(name, member)
        self.__dict__[name] = member
        return member

    def RawModule(self, **options: Any) -> Any:
        """A module whose kernels are recorded."""
        module = self.base.RawModule(**options)

        def get_function(name: str) -> Callable[..., None]:
            return _recorded(KERNEL, module.get_function(name))

        return types.SimpleNamespace(get_function=get_function)


@contextlib.contextmanager
def installed(base: Any = cupy) -> Iterator[Library]:
    """Such a library is the backend ``"cupy"`` inside the block.

    base  a stand-in that compiles kernels, see ``kernels.py``
    """
    from minitorch7 import backend

    kept: list[tuple[type, str, Any]] = []
    for owner in (ndarray, Ufunc):
        for name, member in list(vars(owner).items()):
            if isinstance(member, types.FunctionType) and name not in _PLAIN:
                kept.append((owner, name, member))
                setattr(owner, name, _recorded(_spoken(owner, name), member))
    library, before = Library(base), backend._libraries.get("cupy")
    backend.register("cupy", library)
    try:
        yield library
    finally:
        backend.unregister("cupy")
        if before is not None:
            backend.register("cupy", before)
        for owner, name, member in kept:
            setattr(owner, name, member)


def _spoken(owner: type, name: str) -> str:
    return "ufunc" if owner is Ufunc else name
