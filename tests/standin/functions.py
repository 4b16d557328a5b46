"""CuPy's functions by way of NumPy's: arguments checked against CuPy's signature, results wrapped.

`forwarded` makes one checked function. What NumPy's twin gets wrong or does not have is written
out in ``special.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .array import KINDS, check_dtype, launched, ndarray, window
from .names import TABLE, Entry, Parameters
from .tally import tally

# Parameters that stand for arrays: CuPy calls methods on them, or refuses what it cannot launch.
ARRAYS = frozenset(
    "a b x y m v arr ar ar1 ar2 array ary condition dst src out values indices weights xp fp "
    "a1 a2 A x1 x2 mask val filt fx sorter".split()
)
# Of these a number will do as well.
SCALARS_TOO = frozenset("b y v values x1 x2 src val indices".split())
# Parameters that are sequences of arrays, and nothing but arrays.
SEQUENCES = frozenset("tup arrays arys condlist choicelist xi".split())
# Functions that ask about values without touching a device.
HOST = frozenset(
    "ndim size shape result_type can_cast min_scalar_type isscalar iscomplexobj isrealobj "
    "common_type broadcast_shapes may_share_memory shares_memory base_repr binary_repr "
    "iterable get_printoptions set_printoptions printoptions typename".split()
)
# Functions that lay out their result as their input was; all the others use C order.
KEEPS_ORDER = frozenset(
    "copy zeros_like ones_like full_like empty_like asfortranarray zeros ones full".split()
)
# Where NumPy answers with a Python number, CuPy has a 0-d array.
NUMBERS = frozenset("allclose array_equal array_equiv count_nonzero".split())
# Documented to wait only in a case that `special.py` recognises, or not documented to wait at all.
NEVER_SYNCS = frozenset(("where", "average"))
ALSO_SYNCS = frozenset(
    "union1d intersect1d setdiff1d setxor1d trim_zeros argwhere linalg.cholesky linalg.det "
    "linalg.eigh linalg.eigvalsh linalg.inv linalg.lstsq linalg.matrix_rank linalg.pinv linalg.qr "
    "linalg.slogdet linalg.solve linalg.svd linalg.tensorinv linalg.tensorsolve".split()
)


def forwarded(path: str, entry: Entry, target: Callable[..., Any]) -> Callable[..., Any]:
    """`target` of NumPy behind the signature and the manners of CuPy's `path`."""
    plan = _Plan(entry.parameters, target)
    short = path.removeprefix("cupy.")
    syncs = (entry.syncs or short in ALSO_SYNCS) and short not in NEVER_SYNCS
    name = short.rpartition(".")[2]

    def call(*args: Any, **kwargs: Any) -> Any:
        if syncs:
            tally.sync(f"cupy.{short}()")
        values, options = plan.arrange(name, args, kwargs)
        with np.errstate(all="ignore"):
            result = target(*values, **options)
        if result is None:
            tally.launches += 1  # copyto, place, putmask: in place
            return None
        return wrapped(result, (args, kwargs), name)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"cupy.{short}{entry.detail}, answered by NumPy."
    return call


class _Plan:
    """How arguments in CuPy's order reach a NumPy function, whose order may be another."""

    def __init__(self, parameters: Parameters, target: Callable[..., Any]) -> None:
        self.parameters = parameters
        self.renamed: dict[str, str] = {}
        self.leading = len(parameters.positional)  # how many go by position
        try:
            theirs = list(inspect.signature(target).parameters.values())
        except (TypeError, ValueError):
            return  # an older NumPy hides a compiled function's signature: trust the order
        theirs = [p for p in theirs if p.name != "self"]
        for i, name in enumerate(parameters.positional):
            their = theirs[i] if i < len(theirs) else None
            if their is None or their.kind is their.KEYWORD_ONLY:
                self.leading = i
                return
            if their.kind is their.VAR_POSITIONAL:
                return
            if their.name != name:
                if name not in parameters.required:
                    self.leading = i
                    return
                self.renamed[name] = their.name

    def arrange(
        self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        self.parameters.check(function, args, kwargs)
        names = self.parameters.positional
        free = function in HOST
        values, options = [], {}
        for i, arg in enumerate(args):
            name = names[i] if i < len(names) else ""
            value = arg._a if type(arg) is ndarray else plain(function, name, arg, free)
            if i < self.leading or i >= len(names):
                values.append(value)
            else:
                options[name] = value
        for name, arg in kwargs.items():
            value = arg._a if type(arg) is ndarray else plain(function, name, arg, free)
            options[self.renamed.get(name, name)] = value
        return values, options


def plain(function: str, name: str, value: Any, free: bool = False) -> Any:
    """`value`, an argument that is no array of the device, for NumPy; TypeError if CuPy refuses."""
    if value is None or free:
        return _inside(value)
    if isinstance(value, np.ndarray):
        raise TypeError(f"{function}: Unsupported type {type(value)}")
    if isinstance(value, list | tuple):
        if name in ARRAYS:
            raise TypeError(f"{function}: Unsupported type {type(value)} for {name!r}")
        if name in SEQUENCES and not all(type(item) is ndarray for item in value):
            raise TypeError(f"{function}: Only cupy arrays can be in {name!r}")
        return type(value)(plain(function, "", item) for item in value)
    if type(value) is ndarray:
        return value._a
    if name in ARRAYS and name not in SCALARS_TOO:
        raise TypeError(f"{function}: Unsupported type {type(value)} for {name!r}")
    if name == "dtype":
        return check_dtype(value)
    return value


def _inside(value: Any) -> Any:
    """`value` with every stand-in, however deep in lists and tuples, replaced by its values."""
    if type(value) is ndarray:
        return value._a
    if type(value) in (list, tuple):
        return type(value)(map(_inside, value))
    return value


def wrapped(result: Any, given: Any, name: str = "") -> Any:
    """What NumPy answered, as CuPy would hand it out: 0-d arrays for scalars, views for views."""
    if type(result) in (list, tuple) or hasattr(result, "_fields"):
        made = [wrapped(item, given, name) for item in result]
        return type(result)(made) if type(result) in (list, tuple) else type(result)(*made)
    if isinstance(result, np.ndarray):
        return _wrapped_array(result, given, name)
    if isinstance(result, np.generic) or name in NUMBERS:
        return launched(result) if np.asarray(result).dtype.kind in KINDS else result
    return result


def _wrapped_array(result: np.ndarray, given: Any, name: str) -> ndarray:
    for i, array in enumerate(_arrays_in(given)):
        if array._a is result:
            tally.launches += i > 0  # an `out`; the first is an input that needed no change
            return array
        if result.base is not None and np.may_share_memory(result, array._a):
            return window(result, array)
    if name not in KEEPS_ORDER:
        result = np.asarray(result, order="C")
    return launched(result)


def _arrays_in(given: Any) -> list[ndarray]:
    if type(given) is ndarray:
        return [given]
    if type(given) is dict:
        given = given.values()
    elif type(given) not in (list, tuple):
        return []
    return [array for item in given for array in _arrays_in(item)]


def bind_methods() -> None:
    """Give ``cupy.ndarray`` those of its methods that NumPy's can answer for."""
    for path, entry in TABLE.items():
        space, _, name = path.rpartition(".")
        if space != "cupy.ndarray" or entry.kind != "method" or name in vars(ndarray):
            continue
        target = getattr(np.ndarray, name, None)
        if target is not None and name not in ("dump", "dumps", "tofile"):
            setattr(ndarray, name, _method(name, entry, target))


def _method(name: str, entry: Entry, target: Callable[..., Any]) -> Callable[..., Any]:
    plan = _Plan(entry.parameters, target)
    syncs = name in ("nonzero", "compress", "choose")

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        if syncs:
            tally.sync(f"ndarray.{name}()")
        values, options = plan.arrange(name, args, kwargs)
        with np.errstate(all="ignore"):
            result = target(self._a, *values, **options)
        if result is None:
            tally.launches += 1  # sort, put, partition: in place
            return None
        return wrapped(result, (self, args, kwargs), name)

    call.__name__ = call.__qualname__ = name
    return call
