"""``cupy.ndarray``, strictly: NumPy values inside, CuPy's refusals outside.

The NumPy array is held, not inherited from, so that NumPy cannot take it for its own. Operators
are bound in ``ufuncs.py``, and the methods that need no care of their own in ``functions.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import indexing
from .names import TABLE
from .tally import tally

IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)
KINDS = "biufc"  # booleans, integers, floats, complex numbers: all that CuPy's arrays may hold


class ndarray:
    """An array "on the device". ``_a`` holds its values; ``_base`` is the array it is a view of."""

    __slots__ = ("_a", "_base", "__weakref__")
    __array_ufunc__ = None  # makes NumPy's operators give way, so that ours can refuse
    __array_priority__ = 100
    __hash__ = None

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: Any = None,
        strides: Any = None,
        order: str = "C",
    ) -> None:
        if memptr is not None or strides is not None:
            raise NotImplementedError("the stand-in does not model ndarray(memptr=, strides=)")
        self._a = poisoned(np.empty(shape, check_dtype(dtype), order=order))
        self._base = None
        tally.hold(self._a.nbytes)

    def __del__(self) -> None:
        try:
            if self._base is None:
                tally.used -= self._a.nbytes
        except AttributeError:
            pass  # a constructor that raised left nothing to give back

    # ------------------------------------------------------------------ what needs no device

    @property
    def dtype(self) -> np.dtype:
        """The type of an element."""
        return self._a.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes; assigning reshapes without a copy or fails."""
        return self._a.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self._a = indexing.reshape_in_place(self._a, shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next, along each axis."""
        return self._a.strides

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._a.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._a.size

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self._a.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._a.nbytes

    @property
    def base(self) -> ndarray | None:
        """The array whose memory this one shows, or None where it owns its memory."""
        return self._base

    @property
    def flags(self) -> Flags:
        """Memory layout; CuPy knows only these three."""
        flags = self._a.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self._base is None)

    @property
    def data(self) -> Pointer:
        """Where the first element is."""
        return Pointer(self._a.__array_interface__["data"][0])

    @property
    def T(self) -> ndarray:
        """The axes in reverse order: a view."""
        return self if self._a.ndim < 2 else window(self._a.T, self)

    @property
    def real(self) -> ndarray:
        """The real part: a view, or the array itself where it is real already."""
        return window(self._a.real, self) if self._a.dtype.kind == "c" else self

    @property
    def imag(self) -> ndarray:
        """The imaginary part: a view, or zeros where the array is real."""
        return window(self._a.imag, self) if self._a.dtype.kind == "c" else launched(self._a.imag)

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator[ndarray]:
        if self._a.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._a)))

    # ---------------------------------------------------------------------- views and copies

    def __getitem__(self, key: Any) -> ndarray:
        if indexing.is_basic(key):
            return window(self._a[indexing.as_view_key(key)], self)
        key = indexing.advanced(self._a.shape, _unwrapped_key(key))
        return launched(indexing.gather(self._a, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        tally.launches += 1
        if indexing.is_basic(key):
            self._a[key] = _assignable(value)
            return
        key = indexing.advanced(self._a.shape, _unwrapped_key(key))
        indexing.scatter(self._a, key, _uploadable(value))

    def transpose(self, *axes: Any) -> ndarray:
        """The axes in another order: a view."""
        return window(self._a.transpose(*axes), self)

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        """Another shape: a view where the memory allows it, else a copy (one launch)."""
        result = self._a.reshape(*shape, order=order)
        return window(result, self) if np.may_share_memory(result, self._a) else launched(result)

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        """The same memory, perhaps read as another dtype."""
        if type is not None and type is not ndarray:
            raise ValueError("Type must be a sub-type of ndarray type")
        return window(self._a.view() if dtype is None else self._a.view(check_dtype(dtype)), self)

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> ndarray:
        """The values as another dtype; itself where ``copy=False`` and nothing changes."""
        for name, given in (("casting", casting), ("subok", subok)):
            if given is not None:
                raise TypeError(f"{name} is not supported yet")
        with np.errstate(all="ignore"):
            result = self._a.astype(check_dtype(dtype), order=order or "K", copy=copy)
        return self if result is self._a else launched(result)

    def copy(self, order: str = "C") -> ndarray:
        """A copy; unlike the function ``cupy.copy``, the method lays it out in C order."""
        return launched(self._a.copy(order=order))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ndarray:
        return self.copy(order="K")

    def fill(self, value: Any) -> None:
        """Set every element."""
        if isinstance(value, ndarray) and value.ndim:
            raise ValueError("non-scalar cupy.ndarray cannot be used for fill")
        tally.launches += 1
        self._a[...] = _assignable(value)

    def scatter_add(self, slices: Any, value: Any) -> None:
        """``self[slices] += value`` where repeated places each count."""
        self._scatter(np.add, slices, value)

    def scatter_max(self, slices: Any, value: Any) -> None:
        """``self[slices] = maximum(self[slices], value)``, repeated places included."""
        self._scatter(np.maximum, slices, value)

    def scatter_min(self, slices: Any, value: Any) -> None:
        """``self[slices] = minimum(self[slices], value)``, repeated places included."""
        self._scatter(np.minimum, slices, value)

    def _scatter(self, ufunc: np.ufunc, key: Any, value: Any) -> None:
        tally.launches += 1
        if indexing.is_basic(key):
            part = self._a[indexing.as_view_key(key)]
            ufunc(part, operand(value), out=part, casting="same_kind")
            return
        key = _unwrapped_key(key)
        indexing.check_atomic(ufunc, self._a.dtype, key)
        key = indexing.advanced(self._a.shape, key)
        values = np.asarray(_uploadable(value)).astype(self._a.dtype, copy=False)
        ufunc.at(self._a, key, values)

    # ------------------------------------------------------- what makes the host wait for it

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> np.ndarray:
        """The values as a NumPy array, in C order unless asked otherwise. Waits for the device."""
        if blocking:
            tally.sync("get()")
        if out is None:
            return np.array(self._a, order=order)
        if not isinstance(out, np.ndarray):
            raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
        if (out.dtype, out.shape) != (self._a.dtype, self._a.shape):
            raise ValueError(f"get: {self._a.dtype} {self.shape} does not fit {out.shape}")
        out[...] = self._a
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        """Overwrite the values with a NumPy array's."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self._a.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self._a.dtype} array")
        if arr.shape != self._a.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self._a.flags.c_contiguous or self._a.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        tally.uploads += 1
        self._a[...] = arr

    def item(self) -> Any:
        """The only element, as a Python scalar."""
        if self._a.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.get().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        """The values' bytes."""
        return self.get().tobytes(order)

    def __bool__(self) -> bool:
        if self._a.size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. "
                "Use a.any() or a.all()"
            )
        return bool(self._a.size) and bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get().item() if self._a.ndim == 0 else self.get(), spec)

    # ------------------------------------------------------------------------------ refusals

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(IMPLICIT)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # CuPy answers some of NumPy's functions itself; ours are called through `xp` alone.
        raise TypeError(f"numpy.{func.__name__} was given a cupy.ndarray. {IMPLICIT}")

    def __getattr__(self, name: str) -> Any:
        if f"cupy.ndarray.{name}" in TABLE:
            raise NotImplementedError(f"the stand-in does not model cupy.ndarray.{name}")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}")


class Flags:
    """``ndarray.flags``, by attribute or by NumPy's capital name."""

    __slots__ = ("c_contiguous", "f_contiguous", "owndata")

    def __init__(self, c_contiguous: bool, f_contiguous: bool, owndata: bool) -> None:
        self.c_contiguous = c_contiguous
        self.f_contiguous = f_contiguous
        self.owndata = owndata

    @property
    def fnc(self) -> bool:
        """In Fortran order and not in C order."""
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        """In Fortran order or in C order."""
        return self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        if name not in ("C_CONTIGUOUS", "F_CONTIGUOUS", "OWNDATA"):
            raise KeyError(f"{name} is not defined for cupy.ndarray.flags")
        return getattr(self, name.lower())


class Pointer:
    """``ndarray.data``: only its address, which tells whether two arrays begin at one place."""

    __slots__ = ("ptr",)

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


# --------------------------------------------------------------------------- making stand-ins

_new = object.__new__


def fresh(values: Any) -> ndarray:
    """A stand-in that owns `values` (a NumPy scalar becomes a 0-d array: CuPy has no scalars)."""
    made = _new(ndarray)
    made._a = values = values if type(values) is np.ndarray else np.asarray(values)
    made._base = None
    tally.hold(values.nbytes)
    return made


def launched(values: Any) -> ndarray:
    """A stand-in for what one kernel computed; an empty result needs no kernel."""
    made = fresh(values)
    if made._a.size:
        tally.launches += 1
    return made


def window(values: np.ndarray, owner: ndarray) -> ndarray:
    """A stand-in that shows `owner`'s memory."""
    made = _new(ndarray)
    made._a = values
    made._base = owner if owner._base is None else owner._base
    return made


def poisoned(values: np.ndarray) -> np.ndarray:
    """Fill memory that CuPy leaves uninitialised, so that nobody can rely on finding zeros."""
    kind = values.dtype.kind
    values.fill(np.nan if kind in "fc" else True if kind == "b" else np.iinfo(values.dtype).max)
    return values


# ------------------------------------------------------------------------ taking them apart


def check_dtype(dtype: Any) -> np.dtype:
    """`dtype` as NumPy's object; ValueError for what CuPy's arrays cannot hold."""
    dtype = np.dtype(dtype)
    if dtype.kind not in KINDS or dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def operand(value: Any) -> Any:
    """What a ufunc may be given: an array of the device or a scalar. TypeError for the rest."""
    if type(value) is ndarray:
        return value._a
    if isinstance(value, bool | int | float | complex | np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _assignable(value: Any) -> Any:
    """What ``a[1:3] = value`` takes: a host array must be a single number."""
    if type(value) is ndarray:
        return value._a
    if np.ndim(value):
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    return value


def _uploadable(value: Any) -> Any:
    """What ``a[indices] = value`` takes: CuPy copies a host array to the device by itself."""
    if type(value) is ndarray:
        return value._a
    if np.ndim(value):
        tally.uploads += 1
    return value


def _unwrapped_key(key: Any) -> list[Any]:
    items = key if type(key) is tuple else (key,)
    return [item._a if type(item) is ndarray else indexing.OnHost(item) for item in items]
