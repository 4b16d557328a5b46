"""The `.cu` kernels compiled for the processor, behind CuPy's own interface.

``Library`` is the strict CuPy stand-in with a ``RawModule`` that works: it hands out kernels that
g++ compiled (``cuda_on_cpu.h``), which take a grid, a block and arguments as CuPy's do. So the
launchers in ``minitorch7/kernels/cuda`` run here as they run on a GPU, argument by argument.

Every array given to a kernel is copied between two stretches of guard bytes, which are NaN in any
floating-point type: reading beyond an array's end gives wrong numbers, writing there is an error.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from standin import WithKernels, cupy
from standin.tally import tally

from minitorch7.kernels.cuda import load

FOLDER = Path(__file__).parent
GUARD = 256  # bytes on either side of each array
FLAGS = ["-std=c++17", "-O1", "-g0", "-shared", "-fPIC", "-ffp-contract=off", "-w"]


def compiler() -> str | None:
    """The C++ compiler's path, or None."""
    return shutil.which("g++") or shutil.which("clang++")


class _Kernel(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("parameters", ctypes.c_int),
        ("sizes", ctypes.POINTER(ctypes.c_int)),
        ("launch", ctypes.CFUNCTYPE(ctypes.c_bool, *[ctypes.c_void_p] * 3)),
    ]


def compile_all(
    sources: Mapping[str, str], names: Mapping[str, tuple[str, ...]], folder: Path
) -> dict[str, dict[str, RawKernel]]:
    """Compile each text of `sources` with the kernels of `names`, by file; and by name in each."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(_compile, f, sources[f], names[f], folder) for f in sources]
        return {f: job.result() for f, job in zip(sources, jobs, strict=True)}


def _compile(file: str, text: str, names: tuple[str, ...], folder: Path) -> dict[str, RawKernel]:
    entries = "\n".join(f'    on_cpu::Entry<&{n}>::describe("{n}"),' for n in names)
    path, library = folder / f"{file}.cpp", folder / f"{file}.so"
    path.write_text(
        f'#include "cuda_on_cpu.h"\n{_with_cpu_parts(text)}\n'
        f'extern "C" on_cpu::Kernel kernels[] = {{\n{entries}\n}};\n'
        'extern "C" const char* why() { return on_cpu::error.c_str(); }\n'
    )
    own = ["-fno-gnu-unique"] if Path(compiler()).name == "g++" else []  # statics for each file
    command = [compiler(), *FLAGS, *own, f"-I{FOLDER}", "-o", str(library), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{file} does not compile as C++:\n{done.stderr[:4000]}")
    loaded = ctypes.CDLL(str(library))
    loaded.why.restype = ctypes.c_char_p
    table = (_Kernel * len(names)).in_dll(loaded, "kernels")
    return {k.name.decode(): RawKernel(k, loaded) for k in table}


def _with_cpu_parts(text: str) -> str:
    """Half's conversions after its struct, and the tensor cores where those of the GPU stand."""
    half = (
        "inline Half::Half(float value) : bits(float_to_half(value)) {}\n"
        "inline Half::operator float() const { return half_to_float(bits); }\n"
    )
    marker = "// What elements of type T are added up in."
    cores = "#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800"
    return text.replace(marker, f"{half}{marker}", 1).replace(
        cores, f'#include "tensor_cores_on_cpu.h"\n{cores}', 1
    )


class RawKernel:
    """One compiled kernel, called as CuPy's is."""

    def __init__(self, entry: _Kernel, loaded: ctypes.CDLL) -> None:
        self.name, self._launch, self._loaded = entry.name.decode(), entry.launch, loaded
        self._sizes = entry.sizes[: entry.parameters]

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple) -> None:
        tally.launches += 1
        grid, block = ((*sizes, 1, 1)[:3] for sizes in (grid, block))
        self._check(grid, block, args)
        guarded = _Guarded()
        values = [guarded.argument(a) for a in args]
        for number, (value, size) in enumerate(zip(values, self._sizes, strict=True)):
            if value.nbytes != size:
                raise TypeError(
                    f"{self.name}: argument {number} has {value.nbytes} bytes, its parameter {size}"
                )
        pointers = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))
        sizes = [(ctypes.c_uint * 3)(*map(int, s)) for s in (grid, block)]
        if not self._launch(*sizes, pointers):
            raise RuntimeError(f"{self.name}: {self._loaded.why().decode()}")
        guarded.give_back(self.name)

    def _check(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple) -> None:
        limits = (2**31 - 1, 65_535, 65_535)
        if not all(0 < n <= most for n, most in zip(grid, limits, strict=True)):
            raise ValueError(f"{self.name}: a GPU takes no grid of {grid} blocks")
        if not 0 < int(np.prod(block)) <= 1024:
            raise ValueError(f"{self.name}: a GPU takes no block of {block} threads")
        if len(args) != len(self._sizes):
            raise TypeError(f"{self.name}: {len(args)} arguments for {len(self._sizes)} parameters")


class _Guarded:
    """Copies of arrays between guard bytes; two arguments that are one array stay one."""

    def __init__(self) -> None:
        self.copies: dict[tuple[int, int], tuple[Any, np.ndarray]] = {}

    def argument(self, value: Any) -> np.ndarray:
        """What the kernel finds at this argument's place: an address, or the value itself."""
        if isinstance(value, cupy.ndarray):
            return np.array(self.copy(value._a).ctypes.data + GUARD, np.uint64)
        if type(value) in (int, float):  # as CuPy does: 64 bits
            return np.array(value)
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size == 1):
            return np.array(value)
        raise TypeError(f"a kernel takes arrays on the device and NumPy's scalars, not {value!r}")

    def copy(self, a: np.ndarray) -> np.ndarray:
        if not a.flags.c_contiguous:
            raise ValueError(f"a kernel was given an array {a.shape} that is not contiguous")
        key = (a.ctypes.data, a.nbytes)
        if key not in self.copies:
            for other, _ in self.copies.values():
                if np.may_share_memory(a, other):
                    raise ValueError("two arguments of a kernel overlap")
            buffer = np.full(a.nbytes + 2 * GUARD, 0xFF, np.uint8)
            buffer[GUARD:-GUARD] = a.reshape(-1).view(np.uint8)
            self.copies[key] = (a, buffer)
        return self.copies[key][1]

    def give_back(self, name: str) -> None:
        for a, buffer in self.copies.values():
            if (buffer[:GUARD] != 0xFF).any() or (buffer[-GUARD:] != 0xFF).any():
                raise RuntimeError(f"{name} wrote outside an array of shape {a.shape}")
            a.reshape(-1).view(np.uint8)[...] = buffer[GUARD:-GUARD]


class Library(WithKernels):
    """The stand-in, with a RawModule that knows its kernels by their text.

    kernels  by the text that asks for them, and there by name
    """

    def __init__(self, kernels: Mapping[str, Mapping[str, RawKernel]]) -> None:
        self.kernels = kernels

    def _kernel(self, code: str, name: str) -> RawKernel:
        return self.kernels[code][name]


def library(compiled: Mapping[str, Mapping[str, RawKernel]]) -> Library:
    """The library of all kernels that minitorch7 declares, from what `compile_all` gave."""
    kernels = {}
    for file, names in load.declared().items():
        for expression in names:
            name, types = expression.rstrip(">").split("<")
            text = load.specialised(file, name, *types.split(", "))
            kernels[text] = {name: compiled[file][expression]}
    return Library(kernels)
