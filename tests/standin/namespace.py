"""The objects that behave like the modules ``cupy``, ``cupy.linalg``, ``cupyx`` and so on.

A name is looked up in CuPy's own table first: what is not there is an AttributeError. What is
there but not modelled is a NotImplementedError, which says so.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import device, special
from .array import ndarray
from .functions import bind_methods, forwarded
from .names import TABLE
from .ufuncs import Ufunc, bind_operators, rsqrt, ufunc

# Reading and writing files, and text: hosts' business, or not worth modelling.
_NOT_MODELLED = frozenset(
    "apply_along_axis array2string array_repr array_str fromfile frombuffer fromfunction fromiter "
    "fromstring from_dlpack genfromtxt load loadtxt save savetxt savez savez_compressed "
    "show_config vectorize poly1d polynomial testing typing broadcast flatiter c_ r_ mgrid ogrid "
    "piecewise kaiser format_float_positional format_float_scientific".split()
)


_NOTHING = object()  # NumPy's `newaxis` is None


class Namespace(types.ModuleType):
    """A module-like object that makes its members the first time each is asked for."""

    def __init__(self, path: str, numpy_twin: Any, written: dict[str, Any]) -> None:
        super().__init__(path)
        self.__dict__["_twin"] = numpy_twin
        self.__dict__["_written"] = written

    def __getattr__(self, name: str) -> Any:
        path = f"{self.__name__}.{name}"
        written = self.__dict__["_written"]
        if path not in TABLE and not (name in written and name.startswith("__")):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        member = written[name] if name in written else self._make(path, name)
        self.__dict__[name] = member  # found without __getattr__ from now on
        return member

    def _make(self, path: str, name: str) -> Any:
        entry = TABLE[path]
        target = getattr(self.__dict__["_twin"], name, _NOTHING)
        if target is not _NOTHING and name not in _NOT_MODELLED:
            if entry.kind == "same":
                return target
            if entry.kind == "ufunc":
                return ufunc(name, *map(int, entry.detail.split()))
            if entry.kind == "function":
                return forwarded(path, entry, target)
            if name == "LinAlgError":
                return target
        raise NotImplementedError(f"the stand-in does not model {path}")

    def __dir__(self) -> list[str]:
        prefix = f"{self.__name__}."
        return sorted(p.removeprefix(prefix) for p in TABLE if p.startswith(prefix))


class _Refused:
    """A module of CuPy's that the library must not use."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{self._message} (asked for {name!r})")


def _kernel(name: str) -> type:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"the stand-in cannot compile CUDA: cupy.{name}")

    return type(name, (), {"__init__": refuse, "__doc__": f"cupy.{name}, which needs a GPU."})


@contextlib.contextmanager
def errstate(
    *,
    divide: Any = None,
    over: Any = None,
    under: Any = None,
    invalid: Any = None,
    linalg: Any = None,
) -> Iterator[None]:
    """Accepted and without effect: a GPU reports no floating-point errors."""
    yield


bind_operators(special.matmul)
bind_methods()
special.bind_special_methods()

_tricks = Namespace(
    "cupy.lib.stride_tricks",
    np.lib.stride_tricks,
    {"as_strided": special.as_strided, "sliding_window_view": special.sliding_window_view},
)
_lib = types.SimpleNamespace(stride_tricks=_tricks)

cupy = Namespace(
    "cupy",
    np,
    special.FUNCTIONS
    | {name: _kernel(name) for name in ("ElementwiseKernel", "RawKernel", "RawModule")}
    | {
        "ReductionKernel": _kernel("ReductionKernel"),
        "__version__": "14.2.0+standin",
        "cuda": Namespace("cupy.cuda", None, device.CUDA),
        "fft": Namespace("cupy.fft", np.fft, {}),
        "get_default_memory_pool": device.get_default_memory_pool,
        "is_available": device.is_available,
        "lib": _lib,
        "linalg": Namespace("cupy.linalg", np.linalg, {}),
        "ndarray": ndarray,
        "random": _Refused(
            "cupy.random is not used: numbers are drawn on the host (minitorch7.backend.uniform "
            "and normal), so that a seed means the same on either backend"
        ),
        "ufunc": Ufunc,
    },
)
cupyx = Namespace(
    "cupyx",
    None,
    {
        "errstate": errstate,
        "rsqrt": rsqrt,
        "scatter_add": special.scatter_add,
        "scatter_max": special.scatter_max,
        "scatter_min": special.scatter_min,
    },
)
