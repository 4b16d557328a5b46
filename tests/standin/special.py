"""The CuPy functions that NumPy's twin cannot answer for: other arguments, other waits, uploads."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import check_dtype, fresh, launched, ndarray, operand, poisoned, window
from .functions import plain, wrapped
from .indexing import scatter
from .tally import tally
from .ufuncs import ufunc

# ---------------------------------------------------------------- between the host and the device


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool | None = True,
    order: str | None = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """An array of the device. From the host only C and Fortran order survive the journey."""
    if subok:
        raise NotImplementedError("array(subok=True)")
    if type(obj) is ndarray:
        return _from_device(obj, dtype, copy, order or "K", ndmin)
    if isinstance(obj, list | tuple) and _holds_arrays(obj):
        parts = np.array(_values(obj), dtype=dtype, order="F" if order == "F" else "C", ndmin=ndmin)
        return launched(parts)
    values = np.asarray(obj)
    if order in (None, "K", "A"):
        order = "F" if values.flags.fnc else "C"
    values = np.array(values, dtype=dtype, order=order, ndmin=ndmin)
    check_dtype(values.dtype)
    if values.ndim == 0:
        return launched(values)  # a number travels in the arguments of a fill kernel
    tally.uploads += 1
    if blocking:
        tally.sync("array(blocking=True)")
    return fresh(values)


def _from_device(obj: ndarray, dtype: Any, copy: Any, order: str, ndmin: int) -> ndarray:
    dtype = obj.dtype if dtype is None else check_dtype(dtype)
    made = obj.astype(dtype, order=order, copy=bool(copy))
    if copy is False and made is not obj:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    if ndmin > made.ndim:
        made = window(made._a.reshape((1,) * (ndmin - made.ndim) + made.shape), made)
    return made


def _holds_arrays(obj: Any) -> bool:
    if type(obj) in (list, tuple):
        return any(map(_holds_arrays, obj))
    return type(obj) is ndarray


def _values(obj: Any) -> Any:
    if type(obj) in (list, tuple):
        return [_values(item) for item in obj]
    if type(obj) is not ndarray:
        raise TypeError(f"array: Unsupported type {type(obj)} among cupy arrays")
    return obj._a


def asarray(a: Any, dtype: Any = None, order: Any = None, *, blocking: bool = False) -> ndarray:
    """`a` itself where it is an array of the device already, else an upload."""
    return array(a, dtype, copy=None, order=order, blocking=blocking)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """`a` in C order; itself where it is so already."""
    return array(a, dtype, copy=None, order="C", ndmin=1)


def asfortranarray(a: Any, dtype: Any = None) -> ndarray:
    """`a` in Fortran order; itself where it is so already."""
    return array(a, dtype, copy=None, order="F", ndmin=1)


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> np.ndarray:
    """A NumPy array with the values of `a`, in C order unless asked otherwise. Waits."""
    if type(a) is ndarray:
        return a.get(stream, order, out, blocking)
    values = np.asarray(a, order=order)
    if out is not None:
        out[...] = values
    return values if out is None else out


def get_array_module(*args: Any) -> Any:
    """The stand-in's ``cupy`` where an argument is an array of the device, else NumPy."""
    from . import cupy

    return cupy if any(type(arg) is ndarray for arg in args) else np


def _device_only(function: str, value: Any) -> np.ndarray:
    if type(value) is not ndarray:
        raise TypeError(f"{function}: Unsupported type {type(value)}")
    return value._a


# ------------------------------------------------------------------------------- new memory


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Uninitialised memory: full of NaN or the largest integer here."""
    return ndarray(shape, dtype, order=order or "C")


def empty_like(
    prototype: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    """Uninitialised memory laid out as `prototype` is."""
    if subok is not None:
        raise TypeError("subok is not supported yet")
    like = _device_only("empty_like", prototype)
    return fresh(poisoned(np.empty_like(like, dtype, order, shape=shape)))


# -------------------------------------------------------------------- choosing and gathering


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """`x` or `y` by `condition`, in C order; with one argument it is `nonzero`, which waits."""
    chosen = _device_only("where", condition)
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        tally.sync("where() with one argument")
        return tuple(map(launched, np.nonzero(chosen)))
    return launched(np.asarray(np.where(chosen, operand(x), operand(y)), order="C"))


def take(a: Any, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
    """Elements at `indices`, wrapped into range."""
    values = _device_only("take", a)
    if type(indices) is not ndarray and np.ndim(indices):
        indices = array(indices, dtype=int)
    places = operand(indices)
    if out is None:
        return launched(np.asarray(np.take(values, places, axis, mode="wrap"), order="C"))
    if out.dtype != a.dtype:
        raise TypeError("Output dtype mismatch")
    np.take(values, places, axis, out=out._a, mode="wrap")
    tally.launches += 1
    return out


def take_along_axis(a: Any, indices: Any, axis: int | None) -> ndarray:
    """Elements at `indices` along an axis, wrapped into range."""
    values, places = _device_only("take_along_axis", a), _device_only("take_along_axis", indices)
    if places.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if axis is None:
        values, axis = values.ravel(), 0
    if values.shape[axis]:
        places = places % values.shape[axis]
    return launched(np.asarray(np.take_along_axis(values, places, axis), order="C"))


def put(a: Any, ind: Any, v: Any, mode: str = "wrap") -> None:
    """Write `v` at flat places; among values for one place, a drawn one wins."""
    target = _device_only("put", a)
    places = np.asarray(operand(ind) if type(ind) is ndarray else array(ind)._a).ravel()
    values = np.resize(operand(v) if type(v) is ndarray else array(v)._a, places.shape)
    if mode == "raise":
        tally.sync("put(mode='raise')")
        if ((places < -a.size) | (places >= a.size)).any():
            raise IndexError("invalid entry in indices array")
    places = np.clip(places, 0, a.size - 1) if mode == "clip" else places % a.size
    tally.launches += 1
    scatter(target, np.unravel_index(places, target.shape), values)


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    """Write `src` into `dst`, where `where` is true."""
    condition = True if where is None else operand(where)
    np.copyto(_device_only("copyto", dst), operand(src), casting=casting, where=condition)
    tally.launches += 1


def repeat(a: Any, repeats: Any, axis: int | None = None) -> ndarray:
    """Each element again and again; a different number for each comes as a list of the host."""
    values = _device_only("repeat", a)
    if type(repeats) is ndarray or isinstance(repeats, np.ndarray):
        raise ValueError("repeat: `repeats` must be an integer or a list in every version of CuPy")
    return launched(np.asarray(np.repeat(values, repeats, axis), order="C"))


# --------------------------------------------------------------------------------- products


def matmul(*args: Any, **kwargs: Any) -> ndarray:
    """``a @ b`` in C order. Batches are copied first where they are not in C order, as in CuPy."""
    out, dtype = kwargs.pop("out", None), kwargs.pop("dtype", None)
    if kwargs:
        raise TypeError(f"matmul() got unexpected keyword arguments {sorted(kwargs)}")
    a, b = (operand(value) for value in args)
    tally.launches += _copies_for_product(a) + _copies_for_product(b)
    with np.errstate(all="ignore"):
        result = np.matmul(a, b, order="C", dtype=dtype)
    if out is None:
        return launched(result)
    if np.shape(result) != out.shape:
        raise ValueError("Output array has an invalid size")
    if not np.can_cast(result.dtype, out.dtype, "same_kind"):
        raise TypeError(f"matmul: cannot cast {result.dtype} to the output's {out.dtype}")
    tally.launches += 1 if out._a.flags.c_contiguous else 2
    out._a[...] = result
    return out


def _copies_for_product(x: Any) -> int:
    """1 where cuBLAS cannot read `x` as it lies: matrices in either order, batches in C order."""
    flags = np.asarray(x).flags
    readable = flags.c_contiguous or (np.ndim(x) <= 2 and flags.f_contiguous)
    return 0 if readable else 1


def dot(a: Any, b: Any, out: Any = None) -> ndarray:
    """The product over the last axis of `a` and the last but one of `b`."""
    left, right = _device_only("dot", a), _device_only("dot", b)
    if out is not None:
        if np.result_type(left, right) != out.dtype:
            raise ValueError("Not supported dtype combination.")
        if not out.flags.c_contiguous:
            raise ValueError("Output array must be C-contiguous")
    tally.launches += _copies_for_product(left) + _copies_for_product(right)
    with np.errstate(all="ignore"):
        result = np.asarray(np.dot(left, right), order="C")
    if out is None:
        return launched(result)
    out._a[...] = result
    tally.launches += 1
    return out


def _dot_method(self: ndarray, b: Any, out: Any = None) -> ndarray:
    return dot(self, b, out)


def einsum(*operands: Any, **kwargs: Any) -> ndarray:
    """Einstein's summation; CuPy knows `dtype` and `optimize` and no other option."""
    unknown = set(kwargs) - {"dtype", "optimize"}
    if unknown:
        raise TypeError(f"Did not understand the following kwargs: {sorted(unknown)}")
    sublists = not isinstance(operands[0], str)  # einsum(a, [0, 1], b, [1, 2]) instead of text
    values = [
        x if isinstance(x, str) or (sublists and i % 2) else _device_only("einsum", x)
        for i, x in enumerate(operands)
    ]
    with np.errstate(all="ignore"):
        return wrapped(np.einsum(*values, **kwargs), (operands,), "einsum")


# -------------------------------------------------------------------- reductions and sorting


def _extreme(name: str, a: Any, axis: Any, dtype: Any, out: Any, keepdims: bool) -> ndarray:
    values = _device_only(name, a)
    result = np.asarray(getattr(np, name)(values, axis=axis, keepdims=keepdims))
    result = result if dtype is None else result.astype(check_dtype(dtype))
    if out is None:
        return launched(result)
    tally.launches += 1
    out._a[...] = result
    return out


def argmax(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> ndarray:
    """Where the largest element is; `dtype` is CuPy's own option."""
    return _extreme("argmax", a, axis, dtype, out, keepdims)


def argmin(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> ndarray:
    """Where the smallest element is; `dtype` is CuPy's own option."""
    return _extreme("argmin", a, axis, dtype, out, keepdims)


def _argmax_method(
    self: ndarray, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False
) -> ndarray:
    return argmax(self, axis, dtype, out, keepdims)


def _argmin_method(
    self: ndarray, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False
) -> ndarray:
    return argmin(self, axis, dtype, out, keepdims)


def _check_kind(kind: Any) -> None:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")


def sort(a: Any, axis: int | None = -1, kind: Any = None) -> ndarray:
    """Sorted, always stably."""
    _check_kind(kind)
    return launched(np.sort(_device_only("sort", a), axis, kind="stable"))


def argsort(a: Any, axis: int | None = -1, kind: Any = None) -> ndarray:
    """The order that sorts, always stable."""
    _check_kind(kind)
    return launched(np.argsort(_device_only("argsort", a), axis, kind="stable"))


def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims=False
) -> Any:
    """The mean; with weights it waits, to see whether they sum to zero."""
    if weights is not None:
        tally.sync("average(weights=)")
        weights = _device_only("average", weights)
    result = np.average(_device_only("average", a), axis, weights, returned, keepdims=keepdims)
    return wrapped(result, ((a,),), "average")


def pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> ndarray:
    """Padded; CuPy has every mode of NumPy's but the median."""
    values = _device_only("pad", array)
    if mode == "median" or callable(mode):
        raise ValueError(f"mode '{mode}' is not supported")
    widths = pad_width if isinstance(pad_width, np.ndarray) else plain("pad", "", pad_width)
    if type(pad_width) is ndarray or any(type(x) is ndarray for x in kwargs.values()):
        raise TypeError("pad: cupy.ndarray cannot be given for widths or values")
    return launched(np.asarray(np.pad(values, widths, mode, **kwargs), order="C"))


def clip(a: Any, a_min: Any, a_max: Any, out: Any = None) -> ndarray:
    """Values kept between two bounds, of which one may be None."""
    low = None if a_min is None else operand(a_min)
    high = None if a_max is None else operand(a_max)
    values = _device_only("clip", a)
    if out is None:
        return launched(np.asarray(np.clip(values, low, high), order="C"))
    np.clip(values, low, high, out=_device_only("clip", out))
    tally.launches += 1
    return out


# ------------------------------------------------------------------------------ stride tricks


def as_strided(x: Any, shape: Any = None, strides: Any = None) -> ndarray:
    """A view with any strides. CuPy checks nothing; memory outside `x`'s own is refused here."""
    values = _device_only("as_strided", x)
    shape = values.shape if shape is None else tuple(shape)
    strides = values.strides if strides is None else tuple(strides)
    made = np.lib.stride_tricks.as_strided(values, shape, strides)
    if made.size:
        owner = values if x.base is None else x.base._a
        first, last = np.lib.array_utils.byte_bounds(owner)
        low, high = np.lib.array_utils.byte_bounds(made)
        if low < first or high > last:
            raise ValueError(
                f"as_strided: shape {shape} and strides {strides} reach outside the array's memory"
            )
    return window(made, x)


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> ndarray:
    """Windows as a view. CuPy copies `window_shape` to the device and waits for each number."""
    if writeable:
        raise NotImplementedError("Writeable views are not supported.")
    if subok:
        raise NotImplementedError("sliding_window_view(subok=True)")
    values = _device_only("sliding_window_view", x)
    lengths = tuple(window_shape) if np.iterable(window_shape) else (window_shape,)
    tally.uploads += 1
    for _ in lengths:
        tally.launches += 1
        tally.sync("sliding_window_view()")
    return window(np.lib.stride_tricks.sliding_window_view(values, lengths, axis), x)


# ------------------------------------------------------------------------------------ cupyx


def scatter_add(a: ndarray, slices: Any, value: Any) -> None:
    """``a[slices] += value`` where repeated places each count."""
    a.scatter_add(slices, value)


def scatter_max(a: ndarray, slices: Any, value: Any) -> None:
    """``a[slices] = maximum(a[slices], value)``, repeated places included."""
    a.scatter_max(slices, value)


def scatter_min(a: ndarray, slices: Any, value: Any) -> None:
    """``a[slices] = minimum(a[slices], value)``, repeated places included."""
    a.scatter_min(slices, value)


def bind_special_methods() -> None:
    """Give ``cupy.ndarray`` the methods that need one of the functions above."""
    ndarray.dot = _dot_method
    ndarray.argmax, ndarray.argmin = _argmax_method, _argmin_method
    ndarray.take = lambda self, indices, axis=None, out=None: take(self, indices, axis, out)
    ndarray.put = lambda self, indices, values, mode="wrap": put(self, indices, values, mode)
    ndarray.repeat = lambda self, repeats, axis=None: repeat(self, repeats, axis)
    ndarray.argsort = lambda self, axis=-1: argsort(self, axis)
    ndarray.clip = lambda self, min=None, max=None, out=None: clip(self, min, max, out)
    ndarray.ptp = _ptp_method


def _ptp_method(
    self: ndarray, axis: Any = None, out: Any = None, keepdims: bool = False
) -> ndarray:
    # NumPy 2 has no such method; the difference of two reductions is what CuPy computes, too.
    high, low = (getattr(self, name)(axis=axis, keepdims=keepdims) for name in ("max", "min"))
    return ufunc("subtract")(high, low, out=out)


FUNCTIONS = {
    f.__name__: f
    for f in (
        array, asarray, ascontiguousarray, asfortranarray, asnumpy, get_array_module, empty,
        empty_like, where, take, take_along_axis, put, copyto, repeat, matmul, dot, einsum, argmax,
        argmin, sort, argsort, average, pad, clip,
    )
}  # fmt: skip
FUNCTIONS["asanyarray"] = asarray
