"""Text in batches: `bs` places in it are read at the same time, `bptt` tokens a batch.

    the text, 24 tokens       a b c d e f g h i j k l m n o p q r s t u v w x
    as bs = 3 streams         a b c d e f g h
                              i j k l m n o p
                              q r s t u v w x
    batch 0, bptt = 4         x = a b c d        y = b c d e
                                  i j k l            j k l m
                                  q r s t            r s t u
    batch 1                   x = e f g h        y = f g h i   ...

Row k of a batch goes on where row k of the batch before ended, so a model may carry what it
remembers from one batch to the next. `TokenLoader` serves this, as fastai did from early 2019 on.
`LessonTokenLoader` serves what the lesson's own recording shows, a month earlier: time first, and
lengths that vary.

As in `loader`, a batch depends on the seed, the epoch and its number, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autograd import Tensor, as_tensor
from .errors import DataError, check_count

MAX_LEN, P_BPTT = 25, 0.95  # what the lesson's library took
SHORTEST, SPREAD = 5, 5.0  # its least length, and the standard deviation of its lengths


class TokenLoader:
    """Batches (x, y), int64 (bs, bptt): y is x one token on.

    Stream k of bs starts at token ⌊k · total / bs⌋; batch b has tokens bptt·b to bptt·(b+1) of
    each. What lies beyond the end is the text's beginning: all ⌈total / (bptt · bs)⌉ batches are
    full. With `shuffle`, each epoch has the texts in another order (fastai: from the second on).
    """

    def __init__(
        self, dataset: Any, bs: int = 64, bptt: int = 70, shuffle: bool = False, seed: int = 0
    ) -> None:
        if not hasattr(dataset, "documents"):
            raise TypeError(
                f"{type(self).__name__}: dataset must be a TextSet, as label_for_lm() makes it, "
                f"got {type(dataset).__name__}"
            )
        self.dataset, self.shuffle = dataset, shuffle
        self.batch_size = check_count("databunch", "bs", bs, least=1)
        self.bptt = check_count("databunch", "bptt", bptt, least=1)
        self.seed = check_count("databunch", "seed", seed)
        self.epoch = 0  # the epoch that the next `for` will serve
        self._text: tuple[int, np.ndarray] | None = None  # the last epoch's, to join it once
        if self.n:
            self._check_size()

    def _check_size(self) -> None:
        """There must be a token for each stream, and more than one sequence can show."""
        if self.n < self.batch_size:
            raise DataError(
                f"databunch: bs is {self.batch_size}, but the text has {self.n:,} tokens, and each "
                f"stream needs one to start at; use bs={self.n} or less, or more text"
            )
        if self.n <= self.bptt:
            raise DataError(
                f"databunch: bptt is {self.bptt}, but the text has {self.n:,} tokens, and bptt + 1 "
                f"of them make a sequence and its targets; use bptt={self.n - 1} or less"
            )

    @property
    def n(self) -> int:
        """The number of tokens in the set."""
        return self.dataset.tokens

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.n // (self.bptt * self.batch_size))

    def __repr__(self) -> str:
        shape = f"{self.batch_size} × {self.bptt}"
        return f"{type(self).__name__} ({len(self)} batches of {shape}, {self.n:,} tokens)"

    def described(self) -> str:
        """What makes these batches others than another loader's, in one line."""
        kind = f"bptt {self.bptt}, {len(self.dataset.vocab)} in the vocabulary"
        return f"{kind}, {self.n:,} tokens, {self.dataset.checksum()}"

    # ------------------------------------------------------------------------------------ serving

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        found = self.batches(self.epoch)
        self.epoch += 1
        return found

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `epoch` from number `start` on; the loader's own `epoch` stays."""
        self._check("batches", epoch, start, len(self))
        return self._serve(epoch, start)

    def _serve(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(start, self.count(epoch)):
            x, y = self.arrays(epoch, index)
            yield as_tensor(x), as_tensor(y)

    def batch(self, epoch: int = 0, index: int = 0) -> tuple[Tensor, Tensor]:
        """Batch `index` of `epoch`, on its own."""
        self._check("batch", epoch, index, None)
        x, y = self.arrays(epoch, index)
        return as_tensor(x), as_tensor(y)

    def count(self, epoch: int) -> int:
        """The number of batches in this very epoch."""
        return len(self)

    # ------------------------------------------------------------------------------------- making

    def arrays(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index` of `epoch` as NumPy arrays."""
        starts = np.arange(self.batch_size) * self.n // self.batch_size
        places = starts[:, None] + self.bptt * index + np.arange(self.bptt + 1)
        taken = self.text(epoch)[places % self.n]  # (bs, bptt + 1)
        return np.ascontiguousarray(taken[:, :-1]), np.ascontiguousarray(taken[:, 1:])

    def text(self, epoch: int) -> np.ndarray:
        """All tokens in the order of `epoch`: (n,) int64."""
        known = self._text
        if known is None or (self.shuffle and known[0] != epoch):
            documents = self.dataset.documents
            order = range(len(documents))
            if self.shuffle:
                order = self._stream(epoch, 0).permutation(len(documents)).tolist()
            joined = np.concatenate([documents[i] for i in order])
            known = self._text = epoch, joined
        return known[1]

    def _stream(self, epoch: int, number: int) -> np.random.Generator:
        """Stream 0 of an epoch shuffles the texts; stream 1 draws the lengths."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(epoch, number))
        return np.random.Generator(np.random.PCG64(sequence))

    def _check(self, function: str, epoch: int, index: int, most: int | None) -> None:
        name = f"{type(self).__name__}.{function}"
        check_count(name, "epoch", epoch)
        most = self.count(epoch) - 1 if most is None else most
        if check_count(name, "the batch number", index) > most:
            raise DataError(
                f"{name}: there is no batch {index}; epoch {epoch} of {self.n:,} tokens has "
                f"{self.count(epoch)} batches of {self.batch_size} × {self.bptt}, counted from 0"
            )


class LessonTokenLoader(TokenLoader):
    """Batches (x, y), int64 (time, bs), of lengths that vary: the layout of the lesson's recording.

    Stream k is tokens ⌊total / bs⌋ · k to ⌊total / bs⌋ · (k+1), and what is left over is left out.
    The first batch of all has bptt + max_len tokens; others a normal draw around bptt, or with
    chance 1 − p_bptt around its half, of standard deviation 5, at least 5, at most bptt + max_len.
    So a word does not stand at the same place of a sequence in every epoch, with the same few
    words before it to learn from. An epoch has `len` batches at the most; it may end one or two
    earlier.

    The library of that time flattened y; here it has the shape of x.
    """

    def __init__(
        self,
        dataset: Any,
        bs: int = 64,
        bptt: int = 70,
        shuffle: bool = False,
        seed: int = 0,
        max_len: int = MAX_LEN,
        p_bptt: float = P_BPTT,
    ) -> None:
        self.max_len = check_count("databunch", "max_len", max_len)
        number = isinstance(p_bptt, int | float | np.number) and not isinstance(p_bptt, bool)
        if not number or not 0 <= p_bptt <= 1:
            raise DataError(f"databunch: p_bptt must be a chance between 0 and 1, got {p_bptt!r}")
        self.p_bptt = float(p_bptt)
        self._bounds: tuple[int, np.ndarray] | None = None  # the last epoch's, to draw them once
        super().__init__(dataset, bs, bptt, shuffle, seed)

    def _check_size(self) -> None:
        if self.rows < 2:
            raise DataError(
                f"databunch: bs is {self.batch_size}, but the text has {self.n:,} tokens, and each "
                f"stream needs two in a row; use bs={max(self.n // 2, 1)} or less, or more text"
            )
        super()._check_size()

    @property
    def rows(self) -> int:
        """The number of tokens in a stream."""
        return self.n // self.batch_size

    def __len__(self) -> int:
        return max(-(-(self.rows - 1) // self.bptt), 0)

    def described(self) -> str:
        return f"{super().described()}, time first, max_len {self.max_len}, p_bptt {self.p_bptt}"

    def count(self, epoch: int) -> int:
        return len(self.bounds(epoch)) - 1

    def bounds(self, epoch: int) -> np.ndarray:
        """Where the batches of `epoch` begin in each stream, and where the last one ends."""
        known = self._bounds
        if known is None or known[0] != epoch:
            known = self._bounds = epoch, self._drawn(epoch)
        return known[1]

    def _drawn(self, epoch: int) -> np.ndarray:
        rng = self._stream(epoch, 1)
        middle = np.where(rng.random(len(self)) < self.p_bptt, self.bptt, self.bptt / 2)
        lengths = np.maximum(rng.normal(middle, SPREAD).astype(int), SHORTEST)
        if epoch == 0:
            lengths[:1] = self.bptt + self.max_len
        lengths = np.minimum(lengths, self.bptt + self.max_len)
        ends = np.minimum(np.cumsum(lengths), max(self.rows - 1, 0))
        return np.unique(np.append(0, ends))  # once at the end of the text there is no more

    def arrays(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index` of `epoch` as NumPy arrays."""
        first, last = self.bounds(epoch)[index : index + 2]
        streams = self.text(epoch)[: self.rows * self.batch_size].reshape(self.batch_size, -1).T
        x, y = streams[first:last], streams[first + 1 : last + 1]  # (time, bs)
        return np.ascontiguousarray(x), np.ascontiguousarray(y)
