"""Reading the weights in PyTorch's .pth files without running anything that stands in them.

A .pth file describes its tensors in a pickle, and a pickle is a program for a small stack machine:
one of its instructions imports any name, another calls what was imported. That is why a stranger's
pickle can do anything. Here the machine is built once more, with the imports left out. A name
stays a name, and "calling" one means looking it up in a short list of things that a file of weights
needs: a dictionary, a tensor, a parameter. Everything else is an error. (Python's own Unpickler,
held to such a list, would refuse most tricks too. But one index of its memo can make it ask for
any amount of memory, and an object that is allowed can be given any attributes.)

Two layouts are read:

    since PyTorch 1.6  an uncompressed zip archive: X/data.pkl and the numbers in X/data/0, 1, …
    before             five pickles one after another (magic number, protocol, system, the object,
                       the storages' keys), then the numbers of each storage after their count
"""

from __future__ import annotations

import io
import math
import mmap
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
PROTOCOL = 1001  # the second
NESTED = ("state_dict", "model")  # where a checkpoint keeps its weights

KINDS = {  # PyTorch's names of storages: what NumPy calls the numbers in the file
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "u2",  # the upper half of a float32
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "u1",
}
STORAGES = {f"{m}.{k}Storage": k for m in ("torch", "torch.cuda") for k in KINDS}
CALLS = (
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.nn.parameter.Parameter",
    "torch.Size",
)


class WeightsError(ValueError):
    """A file of weights that cannot be read, or whose weights are not the model's."""


class WeightsNotFound(WeightsError, FileNotFoundError):
    """No weights in any of the places that the message lists."""


def read_pth(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays in a .pth file, by name, in their dtypes; bfloat16 becomes float32.

    A checkpoint that holds its weights under 'state_dict' or 'model' is taken apart, and a warning
    says so. Plain numbers beside the tensors (an epoch, an accuracy) are left out. Tensors that
    share a storage in the file share their memory here too.

    Raises WeightsNotFound for a path without a file, and WeightsError, which names the file, where
    it is cut short, damaged, no archive of PyTorch's, or asks for anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFound(f"read_pth: there is no file {path}; check the path")
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            return (_read_zip if is_zip else _read_legacy)(path, file)
    except WeightsError as error:
        raise WeightsError(f"read_pth: {path}: {error}") from None
    except Exception as error:  # zipfile and pickletools raise a dozen kinds at broken bytes
        raise WeightsError(
            f"read_pth: {path} is cut short, damaged or no .pth file "
            f"({type(error).__name__}: {error}); fetch it again"
        ) from error


# ------------------------------------------------------------------------------ the stack machine


@dataclass(frozen=True)
class _Name:
    """What a pickle would have imported."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """A run of numbers elsewhere in the file."""

    kind: str
    key: str
    numel: int


@dataclass(frozen=True)
class _View:
    """A tensor: a storage, the first element, and size and stride in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
)


class _Machine:
    """Builds what a pickle describes out of dictionaries, lists, tuples, numbers and `_View`s."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}

    def run(self, file: BinaryIO) -> Any:
        """Follow the pickle at the file's place, and stay behind its end."""
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        for opcode, argument, _ in pickletools.genops(file):
            self.step(opcode.name, argument)
        return self.stack[-1]

    def step(self, name: str, argument: Any) -> None:
        push = self.stack.append
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                push(_MARK)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push(_CONSTANTS[name])
            case _ if name in _LITERALS:
                push(argument)
            case "EMPTY_DICT":
                push({})
            case "EMPTY_LIST":
                push([])
            case "EMPTY_TUPLE":
                push(())
            case "TUPLE":
                push(tuple(self.marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self.take(int(name[-1]))))
            case "APPEND" | "APPENDS":
                items = self.take(1) if name == "APPEND" else self.marked()
                self.last(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self.take(2) if name == "SETITEM" else self.marked()
                _fill(self.last(dict), zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "GLOBAL":
                push(_allowed(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                push(_allowed(".".join(map(str, self.take(2)))))
            case "REDUCE":
                push(_made(*self.take(2)))
            case "BUILD":
                self.take(1)  # an OrderedDict's metadata, a Parameter's flags: nothing to keep
            case "BINPERSID":
                push(self.storage(*self.take(1)))
            case _:
                shown = name if argument is None else f"{name} {argument!r}"
                raise WeightsError(f"the pickle's instruction {shown} has no place among weights")

    def take(self, n: int) -> list[Any]:
        """The last n things, off the stack."""
        taken = self.stack[len(self.stack) - n :]
        if len(taken) != n or any(thing is _MARK for thing in taken):
            raise WeightsError("the pickle takes more than it has put down; it is damaged")
        del self.stack[len(self.stack) - n :]
        return taken

    def marked(self) -> list[Any]:
        """All that came after the last mark, off the stack with it."""
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1  # an IndexError where there is no mark
        taken = self.stack[start + 1 :]
        del self.stack[start:]
        return taken

    def last(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise WeightsError(
                f"the pickle fills a {type(self.stack[-1]).__name__} as if it were a "
                f"{kind.__name__}; it is damaged"
            )
        return self.stack[-1]

    def storage(self, note: Any) -> _Storage:
        """('storage', kind, key, place, count), and None in the older layout."""
        match note:
            case ("storage", _Name(text), str(key), _, int(numel), *rest) if text in STORAGES:
                if numel < 0 or rest not in ([], [None]):
                    raise WeightsError(f"storage {key!r} is a part of another, or damaged")
                storage = _Storage(STORAGES[text], key, numel)
                if self.storages.setdefault(key, storage) != storage:
                    raise WeightsError(f"storage {key!r} is described twice, and differently")
                return storage
        raise WeightsError("a storage is described in a way that PyTorch does not use")


def _allowed(name: str) -> _Name:
    if name in CALLS or name in STORAGES:
        return _Name(name)
    raise WeightsError(
        f"asks for {name}, which weights do not need; nothing was run. Write the weights alone: "
        "torch.save(model.state_dict(), path)"
    )


def _made(function: Any, arguments: Any) -> Any:
    """What a call stands for."""
    match function, arguments:
        case _Name("collections.OrderedDict"), ():
            return {}
        case _Name("collections.OrderedDict"), (list(pairs),):  # as Python 2 wrote it
            return _fill({}, pairs)
        case _Name("torch.Size"), (tuple(size),):
            return size
        case (
            _Name("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2"),
            (_Storage() as storage, int(offset), tuple(size), tuple(stride), *_),
        ):
            return _View(storage, offset, size, stride)
        case (
            _Name("torch._utils._rebuild_parameter" | "torch.nn.parameter.Parameter"),
            (_View() as view, *_),
        ):
            return view
    name = function.text if isinstance(function, _Name) else type(function).__name__
    raise WeightsError(f"calls {name} with arguments that weights do not need; nothing was run")


def _fill(target: dict, pairs: Any) -> dict:
    for key, value in pairs:
        if not isinstance(key, str | int):  # a deep tuple could not even be hashed
            raise WeightsError(f"a {type(key).__name__} is used as a name; names are strings")
        target[key] = value
    return target


# ----------------------------------------------------------------------------- from notes to arrays


def _arrays(tree: Any, load: Callable[[_Storage], np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a state dictionary, or of the one inside a checkpoint."""
    for key in NESTED:
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            warnings.warn(f"read_pth: a checkpoint; its weights are under {key!r}", stacklevel=4)
            tree = tree[key]
            break
    if not isinstance(tree, dict):
        raise WeightsError("holds no dictionary of tensors by name; save model.state_dict()")
    arrays = {}
    for key, value in tree.items():
        if isinstance(value, _View) and isinstance(key, str):
            arrays[key] = _array(key, value, load(value.storage))
        elif not isinstance(value, int | float):
            kind = type(value).__name__.strip("_")
            raise WeightsError(
                f"entry {key!r} is a {kind}, not a tensor under a name; save model.state_dict()"
            )
    return arrays


def _array(name: str, view: _View, numbers: np.ndarray) -> np.ndarray:
    """The view's elements, after checking that all of them lie inside the storage."""
    size, stride, offset = view.size, view.stride, view.offset
    if len(size) != len(stride) or len(size) > 32:
        raise WeightsError(f"{name!r} has {len(size)} sizes and {len(stride)} strides")
    if not all(type(n) is int and 0 <= n < 2**63 for n in (offset, *size, *stride)):
        raise WeightsError(f"{name!r} has a size, a stride or an offset that no tensor has")
    count = math.prod(size)
    if count == 0:
        return np.empty(size, numbers.dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if last >= len(numbers) or count > len(numbers):
        raise WeightsError(
            f"{name!r} with {size=}, {stride=}, {offset=} reaches outside its storage of "
            f"{len(numbers)} numbers; the file is damaged or was made to deceive"
        )
    steps = [s * numbers.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps)


def decode(data: Any, kind: str, order: str = "<") -> np.ndarray:
    """Raw bytes as numbers in the host's order, in memory of their own; kind: a key of KINDS."""
    raw = np.frombuffer(data, order + KINDS[kind])
    if kind == "BFloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if kind == "Bool":
        return raw != 0
    return raw.astype(raw.dtype.newbyteorder("="))


# ------------------------------------------------------------------------------- the two layouts


def _read_zip(path: Path, file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        root = _checked_root(archive, path.stat().st_size)
        machine = _Machine()
        tree = machine.run(io.BytesIO(archive.read(f"{root}data.pkl")))
        order = "<"
        if f"{root}byteorder" in archive.namelist():
            order = {b"little": "<", b"big": ">"}[archive.read(f"{root}byteorder")]
        loaded: dict[str, np.ndarray] = {}

        def load(storage: _Storage) -> np.ndarray:
            if storage.key not in loaded:
                numbers = decode(archive.read(f"{root}data/{storage.key}"), storage.kind, order)
                loaded[storage.key] = _counted(storage, len(numbers), numbers)
            return loaded[storage.key]

        return _arrays(tree, load)


def _checked_root(archive: zipfile.ZipFile, file_size: int) -> str:
    """The folder in the archive that has data.pkl, once every member is known to be harmless."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if any(re.fullmatch("[^/]+/constants.pkl", name) for name in names):
        raise WeightsError(
            "a TorchScript program, not weights; write torch.save(model.state_dict(), path)"
        )
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
            raise WeightsError(f"the archive's member {member.filename!r} leads out of the archive")
        if member.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(
                f"the archive's member {member.filename!r} is compressed, which PyTorch never does"
            )
    if len(set(names)) != len(names) or sum(m.file_size for m in members) > file_size:
        raise WeightsError("the archive's members overlap; the file is damaged")
    roots = [n.removesuffix("data.pkl") for n in names if re.fullmatch("[^/]+/data.pkl", n)]
    if len(roots) != 1:
        raise WeightsError("a zip archive, but without one data.pkl it is not PyTorch's")
    return roots[0]


def _read_legacy(path: Path, file: BinaryIO) -> dict[str, np.ndarray]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        machine = _Machine()
        if machine.run(content) != MAGIC or machine.run(content) != PROTOCOL:
            raise WeightsError("does not begin as PyTorch's files do; is it a .pth file?")
        machine.run(content)  # about the system that wrote it; the numbers are little-endian
        tree = machine.run(content)
        loaded: dict[str, np.ndarray] = {}
        for key in machine.run(content):
            storage = machine.storages[key]
            count = struct.unpack("<q", content.read(8))[0]
            _counted(storage, count)
            data = content.read(count * np.dtype(KINDS[storage.kind]).itemsize)
            loaded[key] = _counted(storage, count, decode(data, storage.kind))
        return _arrays(tree, lambda storage: loaded[storage.key])


def _counted(storage: _Storage, count: int, numbers: np.ndarray | None = None) -> Any:
    """`numbers`, if there are as many as the pickle says."""
    found = count if numbers is None else len(numbers)
    if found != storage.numel:
        raise WeightsError(
            f"storage {storage.key!r} should have {storage.numel} numbers and has {found}; "
            "the file is cut short or damaged"
        )
    return numbers
