"""The one seam to NumPy and CuPy: which library an array belongs to, and everything that differs.

Every other room receives the array library as an argument called ``xp`` and calls ``xp.exp``,
``xp.matmul`` and so on; the two libraries agree on those names. What they do not agree on lives
here: finding a library by name, asking an array for its library, moving arrays, the host's random
stream, threads, waiting for the device, and memory figures.

Two names are known, ``"numpy"`` (the processor) and ``"cupy"`` (an NVIDIA GPU). CuPy is imported
the first time it is asked for and never before.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

NAMES = ("numpy", "cupy")
DEFAULT_FLOAT = np.dtype(np.float32)

_libraries: dict[str, Any] = {}  # by name, once the first operation has asked for them
_name_of_type: dict[type, str] = {np.ndarray: "numpy"}
_active = "numpy"


class BackendError(RuntimeError):
    """An array library that is unknown, missing, or mixed with another."""


# ------------------------------------------------------------------------- finding the library


def register(name: str, module: Any) -> None:
    """Use `module` as the array library `name`; it must have `ndarray`, `asarray` and `asnumpy`.

    This is how the tests put their strict CuPy stand-in where CuPy would be.
    """
    _check_name("register", name)
    unregister(name)
    _libraries[name] = module
    _name_of_type[module.ndarray] = name


def unregister(name: str) -> None:
    """Forget the library `name`, so that the next use imports the real one."""
    module = _libraries.pop(name, None)
    if module is not None:
        _name_of_type.pop(module.ndarray, None)


def library(name: str) -> Any:
    """The array library called `name`; imports CuPy on the first call that wants it.

    Raises BackendError where the name is unknown, CuPy is not installed, or no GPU answers.
    """
    try:
        return _libraries[name]
    except KeyError:
        pass
    _check_name("library", name)
    if name == "numpy":
        hold_blas()
        keep_memory()
        register("numpy", np)
    else:
        register(name, _import_cupy())
    return _libraries[name]


def _check_name(function: str, name: str) -> None:
    if name not in NAMES:
        raise BackendError(
            f"{function}: unknown backend {name!r}; the backends are "
            + " and ".join(repr(known) for known in NAMES)
        )


def _import_cupy() -> ModuleType:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendError(
            "backend 'cupy': CuPy cannot be imported "
            f"({error}); install the extra that fits the driver: pip install 'minitorch7[gpu12]' "
            "for CUDA 12 or 'minitorch7[gpu13]' for CUDA 13, or stay on backend 'numpy'"
        ) from error
    try:
        found = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own CUDARuntimeError, whatever the cause
        raise BackendError(
            f"backend 'cupy': CuPy {cupy.__version__} is installed but finds no usable GPU "
            f"({error}); check the driver with nvidia-smi, or stay on backend 'numpy'"
        ) from error
    if found == 0:
        raise BackendError("backend 'cupy': the driver lists no GPU; stay on backend 'numpy'")
    return cupy


# ------------------------------------------------------------------ the library new arrays go to


def use(name: str) -> None:
    """Put new tensors on the backend `name` from now on: ``mt.use("cupy")``."""
    global _active
    _check_name("use", name)
    library(name)
    _active = name


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """Put new tensors on the backend `name` inside a ``with`` block."""
    global _active
    before = _active
    use(name)
    try:
        yield
    finally:
        _active = before


def active() -> str:
    """The name of the backend that new tensors go to."""
    return _active


def use_from_environment() -> None:
    """Obey ``MINITORCH7_BACKEND``; called once, when the package is imported.

    The name is checked at once, but the library is loaded by the first tensor that needs it, so
    that importing the package never imports CuPy.
    """
    global _active
    name = os.environ.get("MINITORCH7_BACKEND")
    if name:
        _check_name("MINITORCH7_BACKEND", name)
        _active = name


# ------------------------------------------------------------------------------- asking an array


def name_of(array: Any) -> str:
    """``"numpy"`` or ``"cupy"``: the library `array` belongs to. TypeError for anything else."""
    return name_of_type(type(array))


def name_of_type(kind: type) -> str:
    """The same for the arrays of one type."""
    try:
        return _name_of_type[kind]
    except KeyError:
        pass
    if issubclass(kind, np.ndarray):
        return "numpy"
    raise TypeError(
        f"backend: {kind.__module__}.{kind.__qualname__} is not an array of "
        "NumPy or CuPy; make one with minitorch7.tensor(...)"
    )


def is_array(value: Any) -> bool:
    """Whether `value` is an array of a library that has been loaded."""
    return type(value) in _name_of_type or isinstance(value, np.ndarray)


def owner(array: Any) -> Any:
    """The array whose memory `array` shows: itself, unless it is a view."""
    while is_array(array.base):
        array = array.base
    return array


def of(*arrays: Any) -> Any:
    """The library (`xp`) that all the arrays belong to; they must agree."""
    name = name_of(arrays[0])
    for array in arrays[1:]:
        if name_of(array) != name:
            raise BackendError(mixed_message("operation", arrays))
    return library(name)


def mixed_message(operation: str, arrays: tuple[Any, ...]) -> str:
    """The text of the error for arrays of two libraries in one operation."""
    listed = ", ".join(
        f"argument {i} {tuple(a.shape)} on {name_of(a)!r}" for i, a in enumerate(arrays)
    )
    return (
        f"{operation}: tensors of different backends cannot meet ({listed}); "
        "move one with .to('numpy') or .to('cupy'), or a whole model with model.to(...)"
    )


# --------------------------------------------------------------------------------- moving arrays


def to_numpy(array: Any) -> np.ndarray:
    """`array` on the host: a NumPy array as it is, a CuPy array by a copy, which waits."""
    name = name_of(array)
    return array if name == "numpy" else _libraries[name].asnumpy(array)


def to(array: Any, name: str) -> Any:
    """`array` on the backend `name`; as it is where it is there already."""
    here = name_of(array)
    if here == name:
        return array
    if name == "numpy":
        return to_numpy(array)
    return library(name).asarray(array)


# ------------------------------------------------------------------------- the host's random stream

_generator: np.random.Generator | None = None
_noise: dict[str, int] = {}  # "seed", of 64 bits, and "draw", how many there have been under it


def manual_seed(seed: int) -> None:
    """Restart the random streams that initial weights, dropout and noise are drawn from.

    Weights and noise come from a stream on the host whatever the backend, dropout from a counter
    (`next_draw`), so one seed gives one set of numbers.
    """
    global _generator
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"manual_seed: seed must be an integer of at least 0, got {seed!r}")
    _generator = np.random.Generator(np.random.PCG64(int(seed)))
    _noise.update(_first_draw(int(seed)))


def _first_draw(seed: int | None) -> dict[str, int]:
    """From a seed of any length, or None for the system's entropy."""
    (word,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return {"seed": int(word), "draw": 0}


def generator() -> np.random.Generator:
    """The host's random stream; seeded from the system's entropy until `manual_seed` is called."""
    global _generator
    if _generator is None:
        _generator = np.random.Generator(np.random.PCG64())
    return _generator


def next_draw() -> tuple[int, int]:
    """(seed, draw) for a counter-based generator (``kernels/philox.py``), which fix its numbers.

    `manual_seed` sets the seed; draw is 0, 1, 2, … from call to call.
    """
    noise = _noise_state()
    draw = noise["draw"]
    noise["draw"] = (draw + 1) % 2**64
    return noise["seed"], draw


def _noise_state() -> dict[str, int]:
    if not _noise:
        _noise.update(_first_draw(None))
    return _noise


def get_rng_state() -> dict[str, Any]:
    """The random streams' state, as a dictionary that JSON can hold."""
    return {**generator().bit_generator.state, "noise": dict(_noise_state())}


def set_rng_state(state: dict[str, Any]) -> None:
    """Continue the random streams from a state that `get_rng_state` gave.

    A state without "noise", as older versions and NumPy's own generators give it, leaves
    `next_draw` as it is.
    """
    generator().bit_generator.state = state
    _noise.update(state.get("noise", {}))


def uniform(xp: Any, shape: tuple[int, ...], dtype: Any = DEFAULT_FLOAT) -> Any:
    """Uniform numbers in [0, 1) from the host's stream, on the library `xp`."""
    dtype = np.dtype(dtype)
    drawn = dtype if dtype in (np.float32, np.float64) else DEFAULT_FLOAT
    values = generator().random(shape, dtype=drawn).astype(dtype, copy=False)
    return values if xp is np else xp.asarray(values)


def normal(xp: Any, shape: tuple[int, ...], dtype: Any = DEFAULT_FLOAT) -> Any:
    """Standard-normal numbers from the host's stream, on the library `xp`."""
    dtype = np.dtype(dtype)
    drawn = dtype if dtype in (np.float32, np.float64) else DEFAULT_FLOAT
    values = np.asarray(generator().standard_normal(shape, dtype=drawn)).astype(dtype, copy=False)
    return values if xp is np else xp.asarray(values)


# ----------------------------------------------------------------- threads, waiting, memory figures

_threads: int | None = None  # as set_num_threads was told
_blas_threads = 1  # as many as BLAS had before it was held to one
_blas_limit: Any = None


def set_num_threads(n: int) -> None:
    """Let operations on the processor use `n` threads; results are the same bit by bit.

    The threads are minitorch7's own (``kernels/threads.py``): NumPy's products, BLAS, are held to
    one thread each, in this call and otherwise from the first operation on, in the whole process.
    Unless this is called, there are as many threads as BLAS would have used, which obeys
    ``OPENBLAS_NUM_THREADS`` and its like.
    """
    global _threads
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"set_num_threads: n must be an integer of at least 1, got {n!r}")
    hold_blas()
    _threads = n


def get_num_threads() -> int:
    """How many processor threads an operation may use."""
    hold_blas()
    return _threads or _blas_threads


def hold_blas() -> None:
    """Hold BLAS to one thread from now on, and remember its own number for ours."""
    global _blas_threads, _blas_limit
    if _blas_limit is not None:
        return
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController().select(user_api="blas")
    _blas_threads = max((pool["num_threads"] for pool in controller.info()), default=1)
    _blas_limit = controller.limit(limits=1)


def keep_memory() -> None:
    """Ask the C library to keep freed memory for the next array; once, and on Linux's glibc only.

    Left alone, it gives memory at the end of its heap back to the system, and arrays above some
    size always. The next array is then built anew from pages that the system must clear and hand
    out one by one, which takes longer than to fill them. ``MINITORCH7_KEEP_MEMORY=0`` in the
    environment leaves it alone, and so does glibc's own ``MALLOC_TRIM_THRESHOLD_``.
    """
    import ctypes
    import sys

    left_alone = os.environ.get("MINITORCH7_KEEP_MEMORY") == "0"
    if left_alone or "MALLOC_TRIM_THRESHOLD_" in os.environ or sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_threshold = -1, -3  # from glibc's malloc.h
    mallopt(mmap_threshold, 32 * 1024 * 1024)  # the most that glibc takes
    mallopt(trim_threshold, 512 * 1024 * 1024)


def synchronize(name: str | None = None) -> None:
    """Wait until the device has done all it was asked to; NumPy has nothing to wait for."""
    if (name or _active) != "numpy":
        library(name or _active).cuda.get_current_stream().synchronize()


def memory(name: str | None = None) -> dict[str, int]:
    """Bytes of memory: ``used`` and ``reserved`` by CuPy's pool, or ``resident`` and ``peak``.

    The last two are the whole process's on the host, as the operating system counts them.
    """
    name = name or _active
    if name != "numpy":
        pool = library(name).get_default_memory_pool()
        return {"used": pool.used_bytes(), "reserved": pool.total_bytes()}
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    resident = peak
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"resident": resident, "peak": peak}
