"""Every `.cu` kernel compiled for real GPUs by NVIDIA's compiler, which needs no GPU.

NVRTC is what CuPy compiles with. Here it comes from the package nvidia-cuda-nvrtc-cu12, and goes
all the way to machine code, so that the inline instructions of ``tensor_cores.cuh`` are assembled.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
from pathlib import Path

import pytest

from minitorch7.kernels.cuda import load

ARCHITECTURES = ("sm_70", "sm_80", "sm_90")
OLD = "nvrtc: warning: Architectures prior to"  # what NVRTC 12.9 says of sm_70 itself


@pytest.fixture(scope="module")
def nvrtc() -> ctypes.CDLL:
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).glob("cuda_nvrtc/lib/libnvrtc.so.12")):
            return ctypes.CDLL(str(path))
    pytest.skip("no NVRTC: pip install nvidia-cuda-nvrtc-cu12")


class Program:
    """One text, compiled; `log` holds errors and warnings."""

    def __init__(
        self, nvrtc: ctypes.CDLL, text: str, names: tuple[str, ...], *options: str
    ) -> None:
        self.nvrtc, self.handle = nvrtc, ctypes.c_void_p()
        created = ctypes.byref(self.handle), text.encode(), b"text.cu", 0, None, None
        self._call("CreateProgram", *created)
        options = (*options, *load.OPTIONS, "-ftz=true")  # the last is CuPy's own
        for name in names:
            self._call("AddNameExpression", self.handle, name.encode())
        listed = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
        self.ok = nvrtc.nvrtcCompileProgram(self.handle, len(options), listed) == 0
        lines = self._bytes("ProgramLog").rstrip(b"\0").decode().splitlines()
        self.log = "\n".join(line for line in lines if line.strip() and OLD not in line)

    def _call(self, name: str, *args: object) -> None:
        code = getattr(self.nvrtc, f"nvrtc{name}")(*args)
        assert code == 0, f"nvrtc{name} returned {code}"

    def _bytes(self, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", self.handle, ctypes.byref(size))
        room = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", self.handle, room)
        return room.raw

    def result(self, kind: str) -> bytes:
        """ "CUBIN", machine code, or "PTX", a text."""
        return self._bytes(kind)

    def lowered(self, name: str) -> bytes:
        """The mangled name of a kernel."""
        found = ctypes.c_char_p()
        self._call("GetLoweredName", self.handle, name.encode(), ctypes.byref(found))
        return found.value

    def __del__(self) -> None:
        self.nvrtc.nvrtcDestroyProgram(ctypes.byref(self.handle))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", load.declared())
def test_compiles_without_a_warning(nvrtc, file: str, architecture: str) -> None:
    names = load.declared()[file]
    program = Program(nvrtc, load.source(file), names, f"-arch={architecture}")
    assert program.ok, program.log
    assert not program.log, program.log
    code = program.result("CUBIN")
    assert all(program.lowered(name) in code for name in names)


@pytest.mark.parametrize("file", load.declared())
def test_each_kernel_alone_as_cupy_compiles_it(nvrtc, file: str) -> None:
    for expression in load.declared()[file]:
        name, types = expression.rstrip(">").split("<")
        text = load.specialised(file, name, *types.split(", "))
        program = Program(nvrtc, text, (), "-arch=compute_80")
        assert program.ok and not program.log, f"{expression}: {program.log}"
        assert re.findall(rb"\.entry (\w+)\(", program.result("PTX")) == [name.encode()]


def test_a_warning_would_be_seen(nvrtc) -> None:
    text = "template <class T> __global__ void f(T* x) { int unused = 1; *x = 0; }"
    program = Program(nvrtc, text, ("f<float>",), "-arch=sm_80")
    assert program.ok and "unused" in program.log


@pytest.mark.parametrize(
    "architecture, tf32, half", [(70, False, True), (80, True, True), (90, True, True)]
)
def test_tensor_cores_where_there_are_some(nvrtc, architecture, tf32, half) -> None:
    def instructions(kind: str, arithmetic: str) -> int:
        name = f"conv2d<{kind}, {arithmetic}>"
        text, option = load.source("implicit_gemm.cu"), f"-arch=compute_{architecture}"
        return Program(nvrtc, text, (name,), option).result("PTX").count(b"wmma.mma")

    assert instructions("float", "Plain") == instructions("Half", "Plain") == 0
    assert (instructions("float", "Cores") > 0, instructions("Half", "Cores") > 0) == (tf32, half)
