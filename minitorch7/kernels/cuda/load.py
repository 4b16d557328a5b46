"""The `.cu` files beside this module: found, compiled the first time they are used, and launched.

CuPy compiles with NVRTC and keeps what it compiled in a folder of its own
(``~/.cupy/kernel_cache``), so that only the very first use of a kernel on a machine takes a moment.
Kernels are templates, but CuPy is given one with its types put in, not the template and a name
expression: for those it leaves its folder aside, and every process would compile anew (CuPy 13.6,
``cuda/compiler.py``: it has not kept the mangled names).

Nothing here waits for the GPU: a launch is put into the current stream, and the host goes on.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
OPTIONS = ("-std=c++17",)
BLOCK = 256  # threads of a block, where a kernel does not say otherwise
MOST_BLOCKS = 65_535  # along a grid's y and z axes
MOST_ELEMENTS = 2**31 - 1  # what an int counts

FLOATS = ("float32", "float64")
STORED = ("float16", *FLOATS)  # 16-bit floats are stored so, and added up as float32

_C_NAMES = {
    "float16": "Half",
    "float32": "float",
    "float64": "double",
    "uint8": "unsigned char",
    "int32": "int",
}
_KERNEL = re.compile(  # its types, its bounds, its name
    r"template <class (\w+)(?:, class (\w+))?>\s+"
    r"__global__ void\s+(__launch_bounds__\(\w+\)\s+)?(\w+)\("
)
_INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)

_declared: dict[str, set[str]] = {}  # name expressions, by file
_compiled: dict[tuple[Any, ...], Any] = {}


class KernelError(RuntimeError):
    """A CUDA kernel that could not be compiled or loaded."""


def declare(file: str, name: str, *choices: Sequence[str]) -> None:
    """Say that `file` has the kernel `name`, and with which types each of its parameters comes.

    The tests compile every combination; `kernel` refuses any other.
    """
    names = [""]
    for types in choices:
        names = [f"{n}, {c_name(t)}" if n else c_name(t) for n in names for t in types]
    _declared.setdefault(file, set()).update(f"{name}<{n}>" for n in names)


def declared() -> dict[str, tuple[str, ...]]:
    """By file, all name expressions such as ``"im2col<float>"``."""
    return {file: tuple(sorted(names)) for file, names in sorted(_declared.items())}


def c_name(kind: Any) -> str:
    """The C++ name of a dtype; any other name stands for itself."""
    name = kind if isinstance(kind, str) else np.dtype(kind).name
    return _C_NAMES.get(name, name)


@functools.cache
def source(file: str) -> str:
    """The text of a `.cu` file with its own headers put in, each once.

    They are put in here because CuPy's cache of compiled kernels does not look into headers: it
    would go on using what an older header made. ``#line`` lets errors name the right file.
    """
    return _with_headers(file, set())


def _with_headers(file: str, seen: set[str]) -> str:
    path = FOLDER / file
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KernelError(
            f"kernel: cannot read {path} ({error}); the package's installation is incomplete: "
            "install it again"
        ) from error
    seen.add(file)

    def put_in(match: re.Match[str]) -> str:
        after = text.count("\n", 0, match.start()) + 2
        if match[1] in seen:
            return ""
        return f'{_with_headers(match[1], seen)}\n#line {after} "{file}"'

    body = _INCLUDE.sub(put_in, text.replace("#pragma once", ""))
    return f'#line 1 "{file}"\n{body}'


def specialised(file: str, name: str, *types: str) -> str:
    """The text of a file with the template ``name<types…>`` made a plain kernel called `name`.

    The other kernels of the file stay templates that nobody uses, and so cost nothing.
    """

    def plain(match: re.Match[str]) -> str:
        *parameters, bounds, found = match.groups()
        if found != name:
            return match[0]
        pairs = zip([p for p in parameters if p], types, strict=True)
        using = "".join(f"using {parameter} = {kind}; " for parameter, kind in pairs)
        lines = "\n" * match[0].count("\n")  # the lines below keep their numbers
        return f'{using}{lines}extern "C" __global__ void {(bounds or "").strip()} {found}('

    return _KERNEL.sub(plain, source(file))


def usable(xp: Any) -> bool:
    """Whether arrays of the library `xp` can be given to these kernels.

    ``MINITORCH7_KERNELS=0`` in the environment leaves the work to CuPy's own operations.
    """
    return xp is not np and os.environ.get("MINITORCH7_KERNELS") != "0"


def takes(xp: Any, *arrays: Any, types: Sequence[str] = STORED) -> bool:
    """Whether `xp` is CuPy and the arrays are of one of `types`: whether to call a kernel here."""
    return usable(xp) and all(a.dtype.name in types for a in arrays)


def kernel(xp: Any, file: str, name: str, *types: Any) -> Callable[..., None]:
    """The kernel ``name<types…>`` of a `.cu` file, compiled for the current device.

    types  dtypes, or C++ names

    Compiled on first use, then kept by file, types and device. TypeError for types that the kernel
    does not come in; KernelError where it cannot be compiled.
    """
    names = tuple(c_name(t) for t in types)
    key = (xp, file, name, names, xp.cuda.runtime.getDevice())
    found = _compiled.get(key)
    if found is None:
        expression = f"{name}<{', '.join(names)}>"
        if expression not in _declared.get(file, ()):
            known = ", ".join(n for n in declared().get(file, ()) if n.startswith(f"{name}<"))
            raise TypeError(f"kernel: {file} has no {expression}; it has {known or 'no ' + name}")
        found = _compiled[key] = _compile(xp, file, name, names)
    return found


def _compile(xp: Any, file: str, name: str, types: tuple[str, ...]) -> Callable[..., None]:
    try:
        module = xp.RawModule(code=specialised(file, name, *types), options=OPTIONS)
        return module.get_function(name)
    except KernelError:
        raise
    except Exception as error:  # CuPy's CompileException, or whatever the driver says
        raise KernelError(
            f"kernel: {name}<{', '.join(types)}> of {FOLDER / file} cannot be compiled for this "
            f"GPU:\n{error}\n"
            "Does the CuPy wheel fit the driver? python -c 'import cupy; cupy.show_config()' shows "
            "both. MINITORCH7_KERNELS=0 in the environment does without these kernels."
        ) from error


# ------------------------------------------------------------------------------------- launching


def launch(
    function: Callable[..., None], grid: tuple[int, ...], block: tuple[int, ...], *args: Any
) -> None:
    """Start a kernel with these arguments; nothing where the grid is empty.

    Arrays are passed as their addresses, and must be contiguous; Python integers as int, floats
    as double, None as a null pointer, NumPy's scalars and arrays of one element as they are.
    """
    if 0 in grid:
        return
    function(grid, block, tuple(_argument(a) for a in args))


def over(function: Callable[..., None], extent: tuple[int, ...], *args: Any) -> None:
    """Start a kernel of grid-stride loops over `extent` elements: along x, and perhaps y."""
    x, *y = extent
    check_count(x)
    launch(function, (blocks(x), *(min(n, MOST_BLOCKS) for n in y)), (BLOCK,), *args)


def blocks(count: int, each: int = BLOCK) -> int:
    """How many blocks of `each` elements there are; at most 2²⁰, which then walk on."""
    return min(-(-count // each), 1 << 20)


def check_count(count: int) -> None:
    """ValueError where an index would not fit an int."""
    if count > MOST_ELEMENTS:
        raise ValueError(
            f"CUDA kernel: {count} elements to count through, and a kernel's indices end at "
            f"{MOST_ELEMENTS}; use a smaller batch"
        )


def _argument(value: Any) -> Any:
    if value is None:
        return np.int64(0)  # CuPy 13.6 would pass no argument at all for None
    if isinstance(value, bool):
        return np.int32(value)
    if isinstance(value, int):
        check_count(abs(value))
        return np.int32(value)
    return value


def sum_type(dtype: Any) -> np.dtype:
    """What elements of `dtype` are added up in: float32 for float16, else itself."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype == np.float16 else dtype
