"""The checkpoint file: a tree of arrays, numbers and names, in one safetensors file.

A safetensors file is a table of named arrays and a dictionary of strings. It holds no code, so
opening one from a stranger can run nothing, and any language can read it: the model's weights stand
there under 'model.' and their own names.

What is to be stored is a tree, as `state_dict` gives them: dictionaries, lists, tuples, numbers,
strings, None, and here and there an array or a Tensor. `pack` takes the arrays out, naming each
by its path, and leaves a note in their place; the rest becomes JSON. JSON knows neither tuples nor
keys other than strings, so these leave notes too:

    {"$array": "model.0.weight"}    an array      {"$tensor": "..."}         a Tensor
    {"$tuple": [...]}               a tuple       {"$pairs": [[k, v], ...]}  other keys than strings
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..files import write_atomically

FORMAT = 1
KEY = "minitorch7"  # where in the file's dictionary of strings our JSON is
SUFFIX = ".safetensors"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, or that was made by something else than what reads it."""


# ---------------------------------------------------------------------------- trees and their notes


def pack(tree: Any, arrays: dict[str, np.ndarray], path: str = "") -> Any:
    """`tree` as JSON can hold it; its arrays are copied into `arrays`, on the host."""
    if isinstance(tree, Tensor) or backend.is_array(tree):
        if path in arrays:
            raise ValueError(f"checkpoint: two arrays would be called {path!r}; rename one")
        array = tree.data if isinstance(tree, Tensor) else tree
        arrays[path] = np.array(backend.to_numpy(array), order="C", copy=True)
        return {"$tensor" if isinstance(tree, Tensor) else "$array": path}
    if isinstance(tree, dict):
        inner = [[key, pack(value, arrays, _join(path, key))] for key, value in tree.items()]
        return dict(inner) if all(isinstance(key, str) for key in tree) else {"$pairs": inner}
    if isinstance(tree, list | tuple):
        items = [pack(value, arrays, _join(path, i)) for i, value in enumerate(tree)]
        return {"$tuple": items} if isinstance(tree, tuple) else items
    if isinstance(tree, np.generic):
        return tree.item()
    if tree is None or isinstance(tree, str | bool | int | float):
        return tree
    raise TypeError(
        f"checkpoint: {path or 'the state'} is a {type(tree).__name__}; a state may hold numbers, "
        "strings, lists, tuples, dictionaries, arrays and Tensors"
    )


def unpack(packed: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree that `pack` took apart. Arrays and Tensors come back on the host."""
    if isinstance(packed, list):
        return [unpack(value, arrays) for value in packed]
    if not isinstance(packed, dict):
        return packed
    match list(packed.items()):
        case [("$array", name)]:
            return arrays[name]
        case [("$tensor", name)]:
            return Tensor(arrays[name])
        case [("$tuple", items)]:
            return tuple(unpack(value, arrays) for value in items)
        case [("$pairs", pairs)]:
            return {key: unpack(value, arrays) for key, value in pairs}
    return {key: unpack(value, arrays) for key, value in packed.items()}


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


# ------------------------------------------------------------------------------------- the file


def write(path: Path, state: dict[str, Any], function: str = "save") -> None:
    """Store `state` in `path`, whole or not at all. OSError where the file cannot be written."""
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    packed = pack(state, arrays)
    note = {"format": FORMAT, "checksum": _checksum(arrays), "state": packed}
    write_atomically(path, save(arrays, metadata={KEY: json.dumps(note)}), function)


def read(path: Path, function: str = "load") -> dict[str, Any]:
    """The state stored in `path`.

    FileNotFoundError lists what is in the folder. CheckpointError for a file that is cut short,
    damaged, of a later format, or not a checkpoint of minitorch7.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise _missing(path, function)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise CheckpointError(
            f"{function}: {path} is cut short or damaged ({error}); it cannot be repaired: delete "
            "it, and train again or load another checkpoint"
        ) from error
    if KEY not in metadata:
        raise CheckpointError(
            f"{function}: {path} is a safetensors file, but no checkpoint of minitorch7 (it says "
            f"nothing under {KEY!r}); use a file that minitorch7 wrote"
        )
    note = json.loads(metadata[KEY])
    if note["format"] != FORMAT:
        raise CheckpointError(
            f"{function}: {path} has format {note['format']}, and this version of minitorch7 "
            f"reads format {FORMAT}; use the version that wrote it"
        )
    if note["checksum"] != _checksum(arrays):
        raise CheckpointError(
            f"{function}: {path} is damaged: its arrays do not have the checksum written with "
            "them; delete it, and train again or load another checkpoint"
        )
    return unpack(note["state"], arrays)


def _checksum(arrays: dict[str, np.ndarray]) -> int:
    """CRC-32 over all arrays; safetensors itself notices only a wrong length."""
    crc = 0
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]).data, crc)
    return crc


def _missing(path: Path, function: str) -> FileNotFoundError:
    names = sorted(p.name.removesuffix(SUFFIX) for p in path.parent.glob(f"*{SUFFIX}"))
    there = f"that folder has {', '.join(names)}" if names else "that folder has no checkpoints"
    return FileNotFoundError(f"{function}: there is no file {path}; {there}")
