"""Many arrays in few messages.

A message costs a fixed time besides that of its bytes, and a network has hundreds of small
parameters. So arrays are laid end to end in buckets of a few MB, one message each.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import backend, nn
from .group import DistributedError, current, gather

BUCKET_BYTES = 4 * 1024 * 1024


def buckets(arrays: Sequence[Any], most: int = BUCKET_BYTES) -> list[list[int]]:
    """The numbers of the arrays that go together: one dtype, one library, `most` bytes.

    An array of more bytes has a bucket of its own. The same in every process, as it follows from
    the order, the shapes and the dtypes alone.
    """
    found: list[list[int]] = []
    open_one: dict[Any, tuple[list[int], int]] = {}
    for i, array in enumerate(arrays):
        kind = (str(array.dtype), backend.name_of(array))
        numbers, size = open_one.get(kind, ([], 0))
        if not numbers or size + array.nbytes > most:
            numbers, size = [], 0
            found.append(numbers)
        numbers.append(i)
        open_one[kind] = (numbers, size + array.nbytes)
    return found


def all_reduce(
    arrays: Iterable[Any], op: str = "mean", bucket_bytes: int = BUCKET_BYTES
) -> list[Any]:
    """The mean (or sum) over all processes of each array, as new arrays.

    Every process gives arrays of the same shapes and dtypes in the same order; those of integers
    can only be summed. The results of one bucket share its memory.
    """
    if op not in ("mean", "sum"):
        raise ValueError(f"all_reduce: op must be 'mean' or 'sum', got {op!r}")
    arrays, group = list(arrays), current()
    whole = [i for i, a in enumerate(arrays) if a.dtype.kind != "f"]
    if op == "mean" and whole:
        raise TypeError(
            f"all_reduce: array {whole[0]} is {arrays[whole[0]].dtype}, and a mean of integers is "
            "none; use op='sum', or floats"
        )
    results: list[Any] = [None] * len(arrays)
    for numbers in buckets(arrays, bucket_bytes):
        flat = _laid_out([arrays[i] for i in numbers])
        group.all_reduce(flat)
        if op == "mean" and group.size > 1:
            flat *= 1 / group.size
        for i, piece in zip(numbers, _cut(flat, [arrays[i] for i in numbers]), strict=True):
            results[i] = piece
    return results


def broadcast(model: nn.Module, root: int = 0, bucket_bytes: int = BUCKET_BYTES) -> None:
    """Give every process the parameters and buffers that process `root` has."""
    group = current()
    tensors = [*model.parameters(), *model.buffers()]
    for numbers in buckets([t.data for t in tensors], bucket_bytes):
        together = [tensors[i] for i in numbers]
        flat = _laid_out([t.data for t in together])
        group.broadcast(flat, root)
        for t, piece in zip(together, _cut(flat, [t.data for t in together]), strict=True):
            t.data[...] = piece
            t.mark_changed()


def _laid_out(arrays: Sequence[Any]) -> Any:
    """The arrays end to end: a new array (elements,)."""
    xp = backend.of(*arrays)
    return xp.concatenate([a.ravel() for a in arrays])  # copies, also where there is one only


def _cut(flat: Any, like: Sequence[Any]) -> list[Any]:
    """`_laid_out` undone: views of `flat` of the arrays' shapes."""
    ends = np.cumsum([a.size for a in like]).tolist()
    return [flat[end - a.size : end].reshape(a.shape) for end, a in zip(ends, like, strict=True)]


# ---------------------------------------------------------------------------------- the same model?


def check_same_model(model: nn.Module) -> None:
    """DistributedError unless all processes have a model of the same names, shapes and dtypes.

    Gradients are averaged by their order alone, so those of two different models would be added up
    without a word, or the processes would wait for each other for ever.
    """
    state = [(n, t.shape, str(t.dtype), t.requires_grad) for n, t in _named(model)]
    own = zlib.crc32(repr(state).encode())
    numbers = sum(int(np.prod(shape)) for _, shape, _, _ in state)
    table = gather([own, len(state), numbers])
    different = [r for r in range(len(table)) if (table[r] != table[0]).any()]
    if different:
        listed = "; ".join(
            f"rank {r} has {int(table[r, 1])} tensors of {int(table[r, 2]):,} numbers"
            for r in (0, *different[:3])
        )
        raise DistributedError(
            f"DataParallel: the processes have different models: {listed} (checksums of names, "
            "shapes, dtypes and of which parameters learn). Every process must build the same "
            "model and freeze the same layers; look for what depends on the rank"
        )


def check_same_weights(model: nn.Module) -> None:
    """DistributedError, with the first name, unless all processes have the same numbers.

    Reads every parameter and buffer, so it waits for the device.
    """
    named = _named(model)
    sums = [zlib.crc32(np.ascontiguousarray(backend.to_numpy(t.data)).data) for _, t in named]
    table = gather(sums)
    apart = np.flatnonzero((table != table[0]).any(axis=0))
    if len(apart):
        raise DistributedError(
            f"DataParallel: the processes' weights have come apart: {len(apart)} of {len(named)} "
            f"tensors differ, first {named[apart[0]][0]!r}. Something besides the averaged "
            "gradients moves them: a callback that draws its own random numbers, or a change made "
            "in one process only"
        )


def _named(model: nn.Module) -> list[tuple[str, Any]]:
    return [*model.named_parameters(), *model.named_buffers()]
