"""``cupy.ufunc`` and the operators of ``cupy.ndarray``.

CuPy's ufuncs differ from NumPy's in four ways that code can trip over: they refuse everything but
their own arrays and scalars; they know ``out``, ``dtype`` and ``casting`` but no ``where``; a new
result is in C order whatever the order of the inputs; and nothing is ever a scalar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .array import check_dtype, fresh, launched, ndarray, operand
from .tally import tally


class Ufunc:
    """One elementwise function; ``cupy.ufunc``."""

    def __init__(self, name: str, function: Callable[..., Any], nin: int, nout: int) -> None:
        self.name = f"cupy_{name}"
        self.__name__ = name
        self.nin, self.nout, self.nargs = nin, nout, nin + nout
        self._function = function
        # CuPy allocates C order; NumPy would follow the inputs ('K').
        self._layout = {"order": "C"} if isinstance(function, np.ufunc) else {}

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value: a new array, or `out`."""
        if kwargs or len(args) != self.nin:
            return self._general(args, kwargs)
        values = [x._a if type(x) is ndarray else operand(x) for x in args]
        with np.errstate(all="ignore"):  # a GPU divides by zero in silence
            result = self._function(*values, **self._layout)
        if self.nout == 1:
            return launched(result)
        return launched(result[0]), *map(fresh, result[1:])

    def _general(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = self._outputs(args, kwargs.pop("out", None))
        options = {name: kwargs.pop(name) for name in ("dtype", "casting") if name in kwargs}
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if options.get("dtype") is not None:
            options["dtype"] = check_dtype(options["dtype"])
        values = [operand(x) for x in args[: self.nin]]
        if any(given is not None for given in out):
            options["out"] = tuple(None if given is None else given._a for given in out)
        with np.errstate(all="ignore"):
            results = self._function(*values, **self._layout, **options)
        results = (results,) if self.nout == 1 else results
        tally.launches += 1
        made = [
            fresh(result) if i >= len(out) or out[i] is None else out[i]
            for i, result in enumerate(results)
        ]
        return made[0] if self.nout == 1 else tuple(made)

    def _outputs(self, args: tuple[Any, ...], out: Any) -> tuple[ndarray | None, ...]:
        if not self.nin <= len(args) <= self.nargs:
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or "
                f"{self.nargs} (with outputs), but given {len(args)}."
            )
        given = args[self.nin :]
        if out is not None:
            if given:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            given = out if isinstance(out, tuple) else (out,)
        for array in given:
            if array is not None and type(array) is not ndarray:
                raise TypeError("Output arguments type must be cupy.ndarray")
        return given

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """``a[indices] = f(a[indices], b)``, where repeated places each count."""
        if self.__name__ not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        a._scatter(self._function, indices, b)

    def reduce(
        self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims=False
    ) -> ndarray:
        """The sum or the product: CuPy reduces by no other ufunc."""
        method = self._method("reduce", add="sum", multiply="prod")
        return getattr(array, method)(axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(
        self, array: ndarray, axis: int = 0, dtype: Any = None, out: Any = None
    ) -> ndarray:
        """The running sum or product: CuPy accumulates by no other ufunc."""
        method = self._method("accumulate", add="cumsum", multiply="cumprod")
        return getattr(array, method)(axis=axis, dtype=dtype, out=out)

    def _method(self, what: str, **known: str) -> str:
        if self.__name__ not in known:
            raise NotImplementedError(f"`{self.name}.{what}` is not supported yet")
        return known[self.__name__]

    def outer(self, a: ndarray, b: ndarray, **kwargs: Any) -> ndarray:
        """The function of every pair of an element of `a` and one of `b`."""
        column = a.reshape(a.shape + (1,) * b.ndim)
        return self(column, b.reshape((1,) * a.ndim + b.shape), **kwargs)


_ufuncs: dict[str, Ufunc] = {}


def ufunc(name: str, nin: int = 2, nout: int = 1) -> Ufunc:
    """The ufunc called `name`; the same object every time."""
    if name not in _ufuncs:
        _ufuncs[name] = Ufunc(name, _OWN.get(name) or getattr(np, name), nin, nout)
    return _ufuncs[name]


def _power(x: Any, p: Any, out: Any = None, **kwargs: Any) -> Any:
    """Of integers to negative powers NumPy makes an error, CuPy 1/xᵖ without its fraction."""
    try:
        return np.power(x, p, out=out, order="C", **kwargs)
    except ValueError:
        x, p = np.broadcast_arrays(x, np.asarray(p, np.result_type(x, p)))
        result = np.power(x, np.maximum(p, 0), order="C", **kwargs)
        signs = np.where(x == -1, 1 - 2 * (p & 1), x == 1)
        result = np.where(p < 0, signs, result).astype(result.dtype)
    if out is None:
        return result
    out[0][...] = result
    return out[0]


_OWN = {"power": _power}


def _rsqrt(x: Any, **kwargs: Any) -> Any:
    return np.reciprocal(np.sqrt(x, order="C"), order="C", **kwargs)


rsqrt = Ufunc("rsqrt", _rsqrt, 1, 1)


# ------------------------------------------------------------------------------- operators

_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "lshift": "left_shift",
    "rshift": "right_shift",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
_COMPARE = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "invert", "pos": "positive"}


def _gives_way(other: Any) -> bool:
    """Whether CuPy leaves the operation to the other operand (NEP 13, then array priority)."""
    if isinstance(other, ndarray | bool | int | float | np.generic):
        return False
    missing = object()
    protocol = getattr(type(other), "__array_ufunc__", missing)
    if protocol is not missing:
        return protocol is None
    return getattr(other, "__array_priority__", 0) > ndarray.__array_priority__


def _bind_binary(symbol: str, function: Callable[..., Any]) -> None:
    def forward(self: ndarray, other: Any) -> Any:
        return NotImplemented if _gives_way(other) else function(self, other)

    def backward(self: ndarray, other: Any) -> Any:
        return function(other, self)

    setattr(ndarray, f"__{symbol}__", forward)
    setattr(ndarray, f"__r{symbol}__", backward)


def _bind_in_place(symbol: str, function: Callable[..., Any]) -> None:
    def in_place(self: ndarray, other: Any) -> ndarray:
        return function(self, other, self)

    setattr(ndarray, f"__i{symbol}__", in_place)


def _bind_compare(symbol: str, function: Callable[..., Any]) -> None:
    def compare(self: ndarray, other: Any) -> Any:
        return NotImplemented if _gives_way(other) else function(self, other)

    def compare_equal(self: ndarray, other: Any) -> Any:
        if other is None:  # CuPy allows `a == None`, and answers for every element
            return launched(np.full(self.shape, symbol == "ne"))
        return compare(self, other)

    setattr(ndarray, f"__{symbol}__", compare_equal if symbol in ("eq", "ne") else compare)


def _bind_unary(symbol: str, function: Callable[..., Any]) -> None:
    setattr(ndarray, f"__{symbol}__", lambda self: function(self))


def bind_operators(matmul: Callable[..., Any]) -> None:
    """Give ``cupy.ndarray`` its operators; `matmul` is the function behind ``@``."""
    for symbol, name in _BINARY.items():
        _bind_binary(symbol, ufunc(name))
        _bind_in_place(symbol, ufunc(name))
    for symbol, name in _COMPARE.items():
        _bind_compare(symbol, ufunc(name))
    for symbol, name in _UNARY.items():
        _bind_unary(symbol, ufunc(name, 1))
    _bind_binary("divmod", ufunc("divmod", 2, 2))
    _bind_binary("matmul", matmul)
