"""The labelled sets of a language model, and the last link: streams of them behind loaders."""

from __future__ import annotations

import html
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor, as_tensor
from .errors import DataError, check_count, check_path
from .streams import MAX_LEN, P_BPTT, LessonTokenLoader, TokenLoader
from .tokens import BOS, as_list
from .vocab import Vocab

if TYPE_CHECKING:
    from .text_list import TextList


@dataclass(frozen=True)
class Text:
    """One text: its ids `data` (tokens,) int64, which the model sees, and its words."""

    data: np.ndarray
    text: str

    def __str__(self) -> str:
        return self.text


class TextSet:
    """Texts as ids: `documents` are arrays (tokens,) int64, `x` the list that they come from.

    ``ds[i]`` is (Text, None): the label of a word is the next word. DataError for ids that `vocab`
    lacks.
    """

    def __init__(self, x: TextList, documents: list[np.ndarray], vocab: Vocab) -> None:
        if not isinstance(vocab, Vocab):
            raise TypeError(f"TextSet: vocab must be a Vocab, got {vocab!r:.60}")
        for i, ids in enumerate(as_list("TextSet", "documents", documents, "arrays")):
            if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype != np.int64:
                raise TypeError(f"TextSet: document {i} must be int64 (tokens,), got {ids!r:.60}")
            if len(ids) and not 0 <= ids.min() <= ids.max() < len(vocab):
                raise DataError(
                    f"TextSet: document {i} has ids from {ids.min()} to {ids.max()}, but the "
                    f"vocabulary 0 to {len(vocab) - 1}; take the one that made them"
                )
        self.x, self.y, self.documents, self.vocab = x, None, documents, vocab
        self.tokens = sum(map(len, documents))  # of all texts together

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, index: int) -> tuple[Text, None]:
        if isinstance(index, bool) or not isinstance(index, int | np.integer):
            raise TypeError(f"TextSet: the number of a text must be whole, got {index!r:.60}")
        if not -len(self) <= index < len(self):
            raise IndexError(f"TextSet: text {index} of {len(self):,}")
        ids = self.documents[index]
        return Text(ids, self.vocab.textify(ids)), None

    def checksum(self) -> str:
        """What tells this text in this vocabulary from another, as a few letters and digits."""
        found = zlib.crc32("\n".join(self.vocab.itos).encode())
        for ids in self.documents:
            found = zlib.crc32(ids.astype("<i8").tobytes(), found)
        return f"{found:08x}"

    def __repr__(self) -> str:
        return f"TextSet ({len(self)} texts, {self.tokens:,} tokens)"


class LMLists:
    """The sets of a language model: `train` and `valid`, in ids of the same `vocab`."""

    def __init__(self, train: TextSet, valid: TextSet) -> None:
        for name, side in (("train", train), ("valid", valid)):
            if not isinstance(side, TextSet):
                raise TypeError(
                    f"LMLists: {name} must be a TextSet, as label_for_lm() makes it, got "
                    f"{type(side).__name__}"
                )
        self.train, self.valid, self.vocab = train, valid, train.vocab
        self.path = train.x.path

    @property
    def classes(self) -> list[str]:
        """The tokens by number: a language model chooses among them."""
        return self.vocab.itos

    @property
    def c(self) -> int:
        """The number of tokens in the vocabulary."""
        return len(self.vocab)

    def __repr__(self) -> str:
        return f"LMLists;\n\nTrain: {self.train!r};\n\nValid: {self.valid!r};\n\n{self.vocab!r}"

    def databunch(
        self,
        bs: int = 64,
        bptt: int = 70,
        path: str | Path | None = None,
        seed: int = 0,
        lesson_time: bool = False,
        max_len: int | None = None,
        p_bptt: float | None = None,
    ) -> LMDataBunch:
        """The sets behind loaders of `bs` streams, `bptt` tokens of each a batch; see `streams`.

        `seed` fixes every batch. `lesson_time` serves them as the library did when the lesson was
        given: time first, in lengths that vary; `max_len` and `p_bptt` are for that alone. `path`
        is where a learner keeps its models; the texts' folder unless given.
        """
        return LMDataBunch(self, bs, bptt, path, seed, lesson_time, max_len, p_bptt)


class LMDataBunch:
    """Three loaders of a language model's texts.

    | loader     | texts      | order of the texts |
    |------------|------------|--------------------|
    | `train_dl` | training   | another each epoch |
    | `valid_dl` | validation | as is              |
    | `fix_dl`   | training   | as is              |

    A batch is (x, y) of token ids, int64 (bs, bptt); with `lesson_time`, (time, bs). See `streams`.
    """

    def __init__(
        self,
        lists: LMLists,
        bs: int = 64,
        bptt: int = 70,
        path: str | Path | None = None,
        seed: int = 0,
        lesson_time: bool = False,
        max_len: int | None = None,
        p_bptt: float | None = None,
    ) -> None:
        if not isinstance(lists, LMLists):
            raise TypeError(
                f"LMDataBunch: lists must be LMLists, as label_for_lm() makes them, got "
                f"{type(lists).__name__}"
            )
        kind: Callable[..., TokenLoader] = TokenLoader
        options: dict[str, Any] = {"bs": bs, "bptt": bptt, "seed": seed}
        if lesson_time:
            kind = LessonTokenLoader
            options["max_len"] = MAX_LEN if max_len is None else max_len
            options["p_bptt"] = P_BPTT if p_bptt is None else p_bptt
        elif max_len is not None or p_bptt is not None:
            raise DataError(
                "databunch: max_len and p_bptt are about lengths that vary, but these are all "
                f"bptt={bptt!r}; pass lesson_time=True, or leave them out"
            )
        self.label_lists, self.lesson_time = lists, bool(lesson_time)
        self.path = lists.path if path is None else check_path("databunch", "path", path)
        self.train_dl = kind(lists.train, shuffle=True, **options)
        self.valid_dl = kind(lists.valid, **options)
        self.fix_dl = kind(lists.train, **options)
        self.test_dl = self.test_ds = None  # a Learner asks

    @property
    def train_ds(self) -> TextSet:
        """The training texts."""
        return self.label_lists.train

    @property
    def valid_ds(self) -> TextSet:
        """The validation texts."""
        return self.label_lists.valid

    @property
    def vocab(self) -> Vocab:
        """Which number stands for which token."""
        return self.label_lists.vocab

    @property
    def classes(self) -> list[str]:
        """The tokens by number."""
        return self.label_lists.classes

    @property
    def c(self) -> int:
        """The number of tokens in the vocabulary."""
        return self.label_lists.c

    @property
    def tokenizer(self) -> Callable[[str], list[str]]:
        """What cuts a text into tokens as the training texts were."""
        return self.train_ds.x.tokenizer

    @property
    def bptt(self) -> int:
        """Tokens of each stream in a batch: how far back in time a gradient goes."""
        return self.train_dl.bptt

    @property
    def batch_size(self) -> int:
        """Streams in a batch."""
        return self.train_dl.batch_size

    @property
    def empty_val(self) -> bool:
        """Whether there is nothing to validate on."""
        return self.valid_dl.n == 0

    @property
    def loss_func(self) -> Callable[..., Tensor]:
        """Cross entropy at every position."""
        from .. import nn

        return nn.CrossEntropyFlat()

    def __repr__(self) -> str:
        return repr(self.label_lists).replace("LMLists", type(self).__name__, 1)

    def dl(self, ds_type: str = "train") -> TokenLoader:
        """The loader called 'train', 'valid' or 'fix'."""
        loaders = {"train": self.train_dl, "valid": self.valid_dl, "fix": self.fix_dl}
        if not isinstance(ds_type, str) or ds_type not in loaders:
            raise DataError(
                f"LMDataBunch: no loader {ds_type!r} here; it has {', '.join(map(repr, loaders))}"
            )
        return loaders[ds_type]

    # ------------------------------------------------------------------------------------- looking

    def one_batch(self, ds_type: str = "train") -> tuple[Tensor, Tensor]:
        """The first batch of a loader's current epoch; the epoch does not move on."""
        loader = self.dl(ds_type)
        return loader.batch(loader.epoch)

    def one_item(self, item: str) -> Tensor:
        """One text as a batch of one, as the training texts are: ids (1, tokens), xxbos first.

        With `lesson_time`, (tokens, 1).
        """
        tokens = [BOS, *self.tokenizer(item)]
        ids = as_tensor(self.vocab.numericalize(tokens))
        return ids.unsqueeze(1 if self.lesson_time else 0)

    def show_batch(self, rows: int = 5, ds_type: str = "train") -> TextTable:
        """The first rows of a batch, read as words: a table to print, or for a notebook to show."""
        check_count("show_batch", "rows", rows, least=1)
        x = self.one_batch(ds_type)[0].numpy()
        streams = (x.T if self.lesson_time else x)[:rows]
        return TextTable([(str(k), self.vocab.textify(row)) for k, row in enumerate(streams)])


class TextTable:
    """A table of rows ("idx", "text"); ``print`` it, or end a notebook's cell with it."""

    head = ("idx", "text")

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return "\n".join(f"{idx:>3}  {text}" for idx, text in [self.head, *self.rows])

    def _repr_html_(self) -> str:
        def row(tag: str, cells: tuple[str, str]) -> str:
            inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inside}</tr>"

        body = "".join(row("td", cells) for cells in self.rows)
        return f'<table style="text-align: left">{row("th", self.head)}{body}</table>'
