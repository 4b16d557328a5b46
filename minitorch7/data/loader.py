"""Serving batches that depend on the seed, the epoch and the batch number, and on nothing else.

Batch 300 of epoch 2 is the same whoever asks, in whatever process, whether or not batches 0 to 299
were made before it. So a run that was killed in the middle of an epoch goes on with the batches it
would have had.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..autograd import Tensor, as_tensor
from .errors import DataError, check_count
from .normalize import Stats, as_floats
from .prefetch import prefetched


class DataLoader:
    """Batches (x, y) of a set: x float32 (bs, C, H, W), y what its labels are, None without labels.

    Labels that are pictures come as x does, float32, on a scale of their own (`y_stats`).

    ``for xb, yb in dl`` is one epoch, and moves `epoch` on by one. With `shuffle`, each epoch has
    an order of its own; with `drop_last`, a last batch of fewer than `bs` items is left out. Up to
    `prefetch` batches are made ahead in a thread; 0 makes each when it is asked for.
    """

    def __init__(
        self,
        dataset: Any,
        bs: int = 64,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        prefetch: int = 2,
    ) -> None:
        self.dataset, self.shuffle, self.drop_last = dataset, shuffle, drop_last
        self.batch_size = check_count("DataLoader", "bs", bs, least=1)
        self.seed = check_count("DataLoader", "seed", seed)
        self.prefetch = check_count("DataLoader", "prefetch", prefetch)
        self.epoch = 0  # the epoch that the next `for` will serve
        self.stats: Stats | None = None  # what pictures are normalised by
        self.y_stats: Stats | None = None  # and labels that are pictures
        self._order: tuple[int, np.ndarray] | None = None  # the last epoch's, to draw it once
        if drop_last and self.batch_size > self.n:
            raise DataError(
                f"DataLoader: bs is {bs} but the training set has {self.n:,} items, and a last "
                "batch that is not full is left out, so there would be none; use "
                f"databunch(bs={self.n}) or fewer"
            )

    @property
    def n(self) -> int:
        """The number of items in the set."""
        return len(self.dataset)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        full, rest = divmod(self.n, self.batch_size)
        return full + bool(rest and not self.drop_last)

    def __repr__(self) -> str:
        return f"DataLoader ({len(self)} batches of {self.batch_size}, {self.n} items)"

    # ------------------------------------------------------------------------------------ serving

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self.batches(epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The batches of `epoch` from number `start` on; the loader's own `epoch` stays."""
        self._check("batches", epoch, start, len(self))
        return self._serve(epoch, start)

    def _serve(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        arrays = prefetched(partial(self.arrays, epoch), range(start, len(self)), self.prefetch)
        with contextlib.closing(arrays):  # a consumer that leaves early stops the thread
            for x, y in arrays:
                # here and not in the thread: a GPU's memory is the consumer's business
                yield as_tensor(x), None if y is None else as_tensor(y)

    def batch(self, epoch: int = 0, index: int = 0) -> tuple[Tensor, Tensor | None]:
        """Batch `index` of `epoch`, on its own."""
        self._check("batch", epoch, index, len(self) - 1)
        x, y = self.arrays(epoch, index)
        return as_tensor(x), None if y is None else as_tensor(y)

    # ------------------------------------------------------------------------------------- making

    def arrays(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Batch `index` of `epoch` as NumPy arrays, normalised."""
        x, y = self.raw(epoch, index)
        if getattr(self.dataset, "kind", None) == "picture":
            y = as_floats(y, self.y_stats)
        return as_floats(x, self.stats), y

    def raw(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Batch `index` of `epoch` as its set gives it, before normalising."""
        indices = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        return self.dataset.gather(indices, self._stream(epoch, 1 + index))

    def order(self, epoch: int) -> np.ndarray:
        """The items' numbers in the order in which `epoch` serves them."""
        if not self.shuffle:
            return np.arange(self.n)
        known = self._order
        if known is None or known[0] != epoch:
            known = self._order = epoch, self._stream(epoch, 0).permutation(self.n)
        return known[1]

    def _stream(self, epoch: int, number: int) -> np.random.Generator:
        """Stream 0 of an epoch shuffles; stream 1 + i draws the chances of batch i."""
        # a spawn key, because SeedSequence((1, 0)) and SeedSequence((1, 0, 0)) are the same
        sequence = np.random.SeedSequence(self.seed, spawn_key=(epoch, number))
        return np.random.Generator(np.random.PCG64(sequence))

    def _check(self, function: str, epoch: int, index: int, most: int) -> None:
        check_count(f"DataLoader.{function}", "epoch", epoch)
        if check_count(f"DataLoader.{function}", "the batch number", index) > most:
            raise DataError(
                f"DataLoader.{function}: there is no batch {index}; an epoch of {self.n:,} items "
                f"has {len(self)} batches of {self.batch_size}, counted from 0"
            )
