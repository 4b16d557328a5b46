"""Texts as a list of items, and the labelled sets of a language model made from them.

    ItemLists(path, TextList(train), TextList(valid))      what there is
        .label_for_lm()                                    tokens, the vocabulary, ids
        .databunch(bs=64, bptt=20)                         streams of them in batches

A language model needs no labels: at each word, the next one is what it should have said. The
training texts alone make the vocabulary; what else a validation text has becomes xxunk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, DataNotFound, check_path, check_places
from .folders import natural_key
from .lm_bunch import LMLists, TextSet
from .progress import progress
from .splits import ItemLists, by_chance, by_folder, by_index
from .tokens import BOS, Tokenizer, as_list, check_tokens
from .vocab import Vocab

TEXT_EXTENSIONS = frozenset({".txt"})
DEFAULT = Tokenizer()


class TextList:
    """Texts, or files of text; ``tl[i]`` is text i, a string.

    vocab      numbers the tokens; default: made of the training texts
    tokenizer  a function from a text to a list of tokens; default: `Tokenizer()`
    """

    def __init__(
        self,
        texts: Sequence[str | Path],
        path: str | Path = ".",
        vocab: Vocab | None = None,
        tokenizer: Callable[[str], list[str]] | None = None,
    ) -> None:
        if isinstance(texts, str | os.PathLike):
            raise TypeError(
                f"TextList: texts must be a list, got one text {str(texts)!r:.40}; pass [text]"
            )
        self.items = as_list("TextList", "texts", texts, "strings")
        self.path = check_path("TextList", "path", path)
        for i, item in enumerate(self.items):
            if not isinstance(item, str | Path):
                raise TypeError(f"TextList: text {i} must be a string, got {item!r:.60}")
        if vocab is not None and not isinstance(vocab, Vocab):
            raise TypeError(f"TextList: vocab must be a Vocab, got {vocab!r:.60}")
        self.vocab, self.tokenizer = vocab, DEFAULT if tokenizer is None else tokenizer
        if not callable(self.tokenizer):
            raise TypeError(f"TextList: tokenizer must be a function, got {tokenizer!r:.60}")

    @classmethod
    def from_folder(
        cls,
        path: str | Path = ".",
        extensions: set[str] | None = None,
        recurse: bool = True,
        vocab: Vocab | None = None,
        tokenizer: Callable[[str], list[str]] | None = None,
    ) -> TextList:
        """The text files below `path` (default: .txt), by name, numbers by value.

        DataNotFound where there is no such folder, DataError where it has no such files.
        """
        return cls(find_texts(path, extensions, recurse), path, vocab, tokenizer)

    @classmethod
    def from_files(
        cls,
        files: Sequence[str | Path],
        path: str | Path = ".",
        vocab: Vocab | None = None,
        tokenizer: Callable[[str], list[str]] | None = None,
    ) -> TextList:
        """A list of these text files, UTF-8, in this order; they are read when they are needed."""
        if isinstance(files, str | os.PathLike):
            raise TypeError(
                f"TextList.from_files: files must be a list, got {str(files)!r:.40}; pass [file]"
            )
        names = as_list("TextList.from_files", "files", files, "paths")
        paths = [check_path("TextList.from_files", f"file {i}", f) for i, f in enumerate(names)]
        return cls(paths, path, vocab, tokenizer)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if isinstance(index, bool) or not isinstance(index, int | np.integer):
            return self.take(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"TextList: text {index} of {len(self):,}")
        item = self.items[index]
        return read_text(item) if isinstance(item, Path) else item

    def take(self, indices: Sequence[int] | np.ndarray) -> TextList:
        """The texts at `indices`, in that order, or those where a mask of all is True."""
        places = check_places("TextList", indices, len(self))
        items = [self.items[i] for i in places.tolist()]
        return type(self)(items, self.path, self.vocab, self.tokenizer)

    def __repr__(self) -> str:
        first = f"{str(self.items[0])[:60]!r}" if self.items else "none"
        more = ", ..." if len(self) > 1 else ""
        return f"TextList ({len(self)} items)\n{first}{more}\nPath: {self.path}"

    # -------------------------------------------------------------------------------- the next link

    def split_by_rand_pct(self, valid_pct: float = 0.2, seed: int | None = None) -> ItemLists:
        """Validate on a random part of the texts; the same as fastai's for a seed and an order."""
        valid, train = by_chance("split_by_rand_pct", len(self), valid_pct, seed)
        return self._split(train, valid)

    def split_by_idx(self, valid_idx: Sequence[int]) -> ItemLists:
        """Validate on the texts at `valid_idx`, train on all others."""
        return self._split(*by_index(len(self), valid_idx))

    def split_by_folder(self, train: str = "train", valid: str = "valid") -> ItemLists:
        """Train on the files in folder `train`, validate on those in `valid`; leave out others."""
        if not all(isinstance(item, Path) for item in self.items):
            raise DataError("split_by_folder: these texts are no files; use split_by_idx")
        names = [i.relative_to(self.path) if i.is_relative_to(self.path) else i for i in self.items]
        return self._split(*by_folder(names, self.path, train, valid))

    def split_none(self) -> ItemLists:
        """Train on everything; the validation set is empty."""
        return self._split(np.arange(len(self)), np.arange(0))

    def _split(self, train: np.ndarray, valid: np.ndarray) -> ItemLists:
        return ItemLists(self.path, self.take(train), self.take(valid))

    # --------------------------------------------------------------------------------- into tokens

    def label_for_lm(self, valid: TextList) -> LMLists:
        """These texts to learn from and those to be judged by, in ids of one vocabulary.

        The texts of `valid` are cut by these texts' tokenizer, unless they have one of their own.
        DataError where they have another vocabulary.
        """
        if not isinstance(valid, TextList):
            raise TypeError(f"label_for_lm: valid must be a TextList, got {type(valid).__name__}")
        if not len(self):
            raise DataError("label_for_lm: there is no text to learn from; pass at least one")
        if valid.vocab is not None and (self.vocab is None or valid.vocab.itos != self.vocab.itos):
            raise DataError(
                f"label_for_lm: the validation texts have a vocabulary of their own, "
                f"{valid.vocab!r:.60}; give it to the training texts, or to both"
            )
        tokens = self.tokenized("the training texts")
        vocab = self.vocab or Vocab.create(tokens)
        cut = self.tokenizer if valid.tokenizer is DEFAULT else valid.tokenizer
        held_out = valid.tokenized("the validation texts", cut)
        sets = [
            TextSet(side, [np.array(vocab.numericalize(t), np.int64) for t in lists], vocab)
            for side, lists in ((self, tokens), (valid, held_out))
        ]
        return LMLists(*sets)

    def tokenized(
        self, what: str = "texts", tokenizer: Callable[[str], list[str]] | None = None
    ) -> list[list[str]]:
        """The tokens of each text, xxbos in front. DataError, naming it, for one without any."""
        known: dict[str, str] = {}  # each word's string once, not once for each time it occurs
        found = []
        for i in progress(range(len(self)), f"splitting {what} into words"):
            tokens = (tokenizer or self.tokenizer)(self[i])
            tokens = check_tokens("TextList", f"what the tokenizer makes of {self.name(i)}", tokens)
            if not tokens:
                raise DataError(
                    f"label_for_lm: {self.name(i)} of {what} has no words; leave it out of the list"
                )
            found.append([BOS, *(known.setdefault(token, token) for token in tokens)])
        return found

    def name(self, index: int) -> str:
        """The file's path, or "text 3"."""
        item = self.items[index]
        return str(item) if isinstance(item, Path) else f"text {index}"


def find_texts(
    path: str | Path, extensions: set[str] | frozenset[str] | None = None, recurse: bool = True
) -> list[Path]:
    """The text files below `path`, sorted; names that start with a dot are skipped."""
    root = check_path("TextList.from_folder", "path", path)
    if not root.is_dir():
        raise DataNotFound(f"TextList.from_folder: {root} is not a folder; check the path")
    wanted = TEXT_EXTENSIONS if extensions is None else extensions
    if not isinstance(wanted, set | frozenset | list | tuple) or not all(
        isinstance(e, str) for e in wanted
    ):
        raise TypeError(
            'TextList.from_folder: extensions must be a set of strings, such as {".txt"}, got '
            f"{extensions!r:.60}"
        )
    wanted = {e.lower() for e in wanted}
    files = (file for file in (root.rglob("*") if recurse else root.glob("*")) if file.is_file())
    shown = [f for f in files if not any(p.startswith(".") for p in f.relative_to(root).parts)]
    found = [str(file) for file in shown if file.suffix.lower() in wanted]
    if not found:
        raise DataError(
            f"TextList.from_folder: no files ending in {' '.join(sorted(wanted))} below {root} "
            f"({len(shown):,} others); check the path, or pass extensions="
        )
    return [Path(name) for name in sorted(found, key=natural_key)]


def read_text(file: Path) -> str:
    """A file's text; DataError, naming it, where it cannot be read, is not UTF-8 or has none."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is 0x{error.object[error.start]:02x}"
        raise DataError(
            f"TextList: {file} is not UTF-8 ({byte}); convert it, such as with iconv -t UTF-8, or "
            "leave it out"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null in it
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"TextList: {file} cannot be read ({type(error).__name__}: {why}); check the path"
        ) from error
    if not text.strip():
        raise DataError(f"TextList: {file} is empty; leave it out of the list")
    return text
