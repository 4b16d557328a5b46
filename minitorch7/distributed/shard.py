"""A loader's part of each batch: rows r·n/K to (r + 1)·n/K for process r of K."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor, as_tensor
from ..data import DataLoader
from ..data.prefetch import prefetched


class Shard:
    """`loader` as process `rank` of `size` sees it: the same batches, of each its own part.

    Everything but the batches' contents is the loader's own: its length, and `batch_size`, which is
    that of all parts together. So schedules, checkpoints and the order of the items are those of
    one process, whatever the number of processes.

    same_draws  make each batch whole and keep a part: the random transforms are then those of one
                process too. Without, a process makes only its part, K times as fast, and draws for
                it from its own stream, which follows from seed, epoch, batch and rank.

    ValueError where the batches cannot be cut into equal parts.
    """

    def __init__(self, loader: Any, rank: int, size: int, same_draws: bool = True) -> None:
        _check_divisible(loader, size)
        self.loader, self.rank, self.size = loader, rank, size
        self._own = self._with_own_draws() if makes_parts(loader) and not same_draws else loader

    def __getattr__(self, name: str) -> Any:
        if name in ("loader", "rank", "size"):  # not there while it is being copied or unpickled
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        epoch, self.loader.epoch = self.loader.epoch, self.loader.epoch + 1
        return self.batches(epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """This process's part of the batches of `epoch`, from number `start` on."""
        if makes_parts(self.loader):
            return self._made(epoch, start)
        return (tuple(map(self.part, batch)) for batch in self.loader.batches(epoch, start))

    def _made(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        numbers = range(start, len(self))
        made = prefetched(partial(self.arrays, epoch), numbers, self.loader.prefetch)
        with contextlib.closing(made) as arrays:
            for x, y in arrays:
                yield as_tensor(x), None if y is None else as_tensor(y)

    def arrays(self, epoch: int, index: int) -> tuple[Any, Any]:
        """This process's part of batch `index` of `epoch`, as NumPy arrays."""
        made = self._own.arrays(epoch, index)
        return made if self._own is not self.loader else tuple(map(self.part, made))

    def _with_own_draws(self) -> Any:
        """The loader, but that its batches have this process's items alone."""
        own = copy.copy(self.loader)
        own.raw = self._raw  # which its own `arrays` calls
        return own

    def _raw(self, epoch: int, index: int) -> tuple[Any, Any]:
        loader, bs = self.loader, self.loader.batch_size
        indices = self.part(loader.order(epoch)[index * bs : (index + 1) * bs])
        key = (epoch, 1 + index, self.rank)  # one longer than any of the loader's own
        sequence = np.random.SeedSequence(loader.seed, spawn_key=key)
        return loader.dataset.gather(indices, np.random.Generator(np.random.PCG64(sequence)))

    def part(self, batch: Any) -> Any:
        """This process's rows of a tensor or array (n, …); None of None."""
        return None if batch is None else batch[self.rows(len(batch))]

    def rows(self, n: int) -> slice:
        """Which of n rows are this process's."""
        if n % self.size:
            raise _indivisible(n, self.size)
        each = n // self.size
        return slice(self.rank * each, (self.rank + 1) * each)


class EveryNth:
    """Whole batches r, r + K, r + 2K, … of a loader: process r's share of a validation set.

    For loaders whose items have nothing to do with one another. Nothing is lost where the number of
    batches cannot be divided: a process has one more than another.
    """

    def __init__(self, loader: DataLoader, rank: int, size: int) -> None:
        self.loader, self.rank, self.size = loader, rank, size

    def __getattr__(self, name: str) -> Any:
        if name in ("loader", "rank", "size"):
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(range(self.rank, len(self.loader), self.size))

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """This process's batches of `epoch`, but for its first `start`."""
        numbers = range(self.rank, len(self.loader), self.size)[start:]
        made = prefetched(partial(self.loader.arrays, epoch), numbers, self.loader.prefetch)
        with contextlib.closing(made) as arrays:
            for x, y in arrays:
                yield as_tensor(x), None if y is None else as_tensor(y)


def makes_parts(loader: Any) -> bool:
    """Whether any batch of `loader` can be made alone: a DataLoader that serves as they all do."""
    return isinstance(loader, DataLoader) and type(loader).batches is DataLoader.batches


def _check_divisible(loader: Any, size: int) -> None:
    bs = getattr(loader, "batch_size", None)
    if bs is None:
        return  # each batch is looked at when it comes
    if bs % size:
        raise _indivisible(bs, size)
    n, full = getattr(loader, "n", 0), len(loader)
    last = n - (full - 1) * bs  # of a loader that keeps a last batch that is not full
    if 0 < last < bs and last % size:
        raise _indivisible(last, size)


def _indivisible(n: int, size: int) -> ValueError:
    low, high = n - n % size, n - n % size + size
    near = f"bs={low} or bs={high}" if low else f"bs={high}"
    return ValueError(
        f"DataParallel: a batch of {n} items cannot be cut into {size} equal parts, one a process; "
        f"use {near}, or another number of processes. The batch size is that of all together"
    )
