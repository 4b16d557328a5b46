"""Write ``cupy_names.txt``: the names and parameters that two versions of CuPy have in common.

    python make_names.py PYTHON_WITH_CUPY_13 PYTHON_WITH_CUPY_14

Each argument is an interpreter that can import CuPy; CuPy imports without a GPU. A line is

    cupy.sum function (a, axis=, dtype=, out=, keepdims=)
    cupy.add ufunc 2 1
    cupy.float32 same

`same` means that CuPy hands out NumPy's own object; ``+sync`` after a kind, that CuPy's
documentation warns that the function waits for the device. A parameter that only one of the two
versions has is left out, so the stand-in refuses what either version would refuse.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("cupy_names.txt")
NAMESPACES = (
    "cupy",
    "cupy.ndarray",
    "cupy.linalg",
    "cupy.fft",
    "cupy.lib.stride_tricks",
    "cupy.cuda",
    "cupyx",
)
WARNS_OF_SYNC = "may synchronize the device"


def describe() -> dict[str, str]:
    """Every public name of the installed CuPy, with its kind and parameters."""
    import cupy
    import cupyx

    roots = {"cupy": cupy, "cupyx": cupyx}
    found = {}
    for space in NAMESPACES:
        first, *rest = space.split(".")
        owner: Any = roots[first]
        for part in rest:
            owner = getattr(owner, part)
        for name in dir(owner):
            # A stand-in for the operators is written by hand: only plain names are listed.
            if not name.startswith("_"):
                found[f"{space}.{name}"] = _entry(cupy, owner, name)
    return found


def _entry(cupy: Any, owner: Any, name: str) -> str:
    import numpy

    value = getattr(owner, name)
    if owner is cupy.ndarray:
        return f"method {_parameters(value)}" if callable(value) else "property"
    if value is getattr(numpy, name, owner) or isinstance(value, int | float):
        return "same"
    if isinstance(value, cupy.ufunc):
        return f"ufunc {value.nin} {value.nout}"
    if inspect.ismodule(value):
        return "module"
    if inspect.isclass(value):
        return "class"
    if callable(value):
        sync = "+sync" if WARNS_OF_SYNC in (value.__doc__ or "") else ""
        return f"function{sync} {_parameters(value)}"
    return "value"


def _parameters(function: Any) -> str:
    """``(a, axis=, *, dtype=)``: names, order and which may be left out; no default values."""
    try:
        listed = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return _from_docstring(function)
    parts, star = [], False
    for parameter in listed:
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            parts.append(f"*{parameter.name}")
            star = True
        elif parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
        else:
            if parameter.kind is parameter.KEYWORD_ONLY and not star:
                parts.append("*")
                star = True
            optional = parameter.default is not parameter.empty
            parts.append(parameter.name + ("=" if optional else ""))
    return f"({', '.join(parts)})"


def _from_docstring(function: Any) -> str:
    """Parameters of a compiled method, whose signature Cython writes into its docstring."""
    line = (function.__doc__ or "").split("\n")[0]
    match = re.search(r"\((.*)\)", line)
    parts = []
    for part in match[1].split(", ") if match else []:
        name, _, default = part.partition("=")
        name = name.rpartition(" ")[2]  # drop the C type in front: "_ndarray_base b"
        if name not in ("", "self"):
            parts.append(name + ("=" if default else ""))
    return f"({', '.join(parts)})"


def common(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """The names in both descriptions; parameters that only one of them has are left out."""
    merged = {}
    for path in sorted(one.keys() & other.keys()):
        a, b = one[path], other[path]
        if "(" in a and "(" in b:
            kind = max(a.split()[0], b.split()[0], key=len)  # keeps a "+sync" of either version
            merged[path] = f"{kind} {_shared(a[a.index('(') :], b[b.index('(') :])}"
        elif a.split()[0] == b.split()[0]:
            merged[path] = b
        else:
            merged[path] = "value"
    return merged


def _shared(a: str, b: str) -> str:
    ours, theirs = a[1:-1].split(", "), b[1:-1].split(", ")
    if ours == theirs:
        return a
    if "**kwargs" in ours or "**kwargs" in theirs:  # one version hides its names
        return b if "**kwargs" in ours else a
    pairs = zip(_before_star(ours), _before_star(theirs), strict=False)
    positional = [x for x, y in pairs if x == y]
    keyword = [x for x in ours if x in theirs and x not in positional and not x.startswith("*")]
    stars = [x for x in ours if x in theirs and x.startswith("*") and x != "*"]
    return f"({', '.join(positional + (stars or ['*'] if keyword else stars) + keyword)})"


def _before_star(parts: list[str]) -> list[str]:
    stars = [i for i, part in enumerate(parts) if part.startswith("*")]
    return parts[: stars[0]] if stars else parts


def _ask(python: str) -> tuple[str, dict[str, str]]:
    command = [python, __file__, "--dump"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    return lines[0], dict(line.split(" ", 1) for line in lines[1:] if line)


def main(arguments: list[str]) -> None:
    """Print this interpreter's names (``--dump``), or merge two interpreters' into the table."""
    if arguments == ["--dump"]:
        import cupy

        print(cupy.__version__)
        for path, entry in describe().items():
            print(path, entry)
        return
    versions, tables = zip(*map(_ask, arguments), strict=True)
    merged = common(*tables)
    head = f"# Made by make_names.py from CuPy {' and '.join(versions)}; do not edit.\n"
    TABLE.write_text(head + "".join(f"{path} {entry}\n" for path, entry in merged.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
