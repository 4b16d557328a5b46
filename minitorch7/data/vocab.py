"""The vocabulary: which number stands for which token, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_atomically
from .errors import DataError, check_count, check_path, listed
from .tokens import SPECIAL, UNK, as_list, check_tokens


class Vocab:
    """`itos[id]` is a token, ``stoi[token]`` its id; a token that is not there becomes xxunk."""

    def __init__(self, itos: Sequence[str]) -> None:
        self.itos = check_tokens("Vocab", "itos", itos)
        self.stoi = {token: i for i, token in enumerate(self.itos)}
        if not self.itos:
            raise DataError("Vocab: itos is empty; Vocab.create(token_lists) makes one of a text")
        if len(self.stoi) < len(self.itos):
            twice = [token for token, n in Counter(self.itos).items() if n > 1]
            raise DataError(f"Vocab: itos has tokens twice: {listed(twice)}; each needs one id")
        try:
            "".join(self.itos).encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"Vocab: a token has {error.object[error.start]!r}, half a character, which no "
                "file can hold; read the text in its own encoding, or drop such characters"
            ) from error

    @classmethod
    def create(
        cls, token_lists: Iterable[Sequence[str]], max_vocab: int = 60000, min_freq: int = 2
    ) -> Vocab:
        """The special tokens, then what occurs `min_freq` times or more, most frequent first.

        Ties are in order of first appearance. At most `max_vocab` entries in all. DataError where
        that leaves not one token beside the special ones.
        """
        check_count("Vocab.create", "min_freq", min_freq, least=1)
        check_count("Vocab.create", "max_vocab", max_vocab, least=len(SPECIAL) + 1)
        count: Counter[str] = Counter()
        for tokens in as_list("Vocab.create", "token_lists", token_lists, "lists of tokens"):
            if isinstance(tokens, str):
                raise TypeError(
                    f"Vocab.create: expected lists of tokens, got the text {tokens!r:.40}; pass "
                    "[Tokenizer()(text)]"
                )
            count.update(check_tokens("Vocab.create", "a text in token_lists", tokens))
        for token in SPECIAL:
            count.pop(token, None)
        if not count:
            raise DataError("Vocab.create: the texts have no words; pass at least one text of some")
        frequent = [token for token, n in count.most_common() if n >= min_freq]
        if not frequent:
            raise DataError(
                f"Vocab.create: no word occurs {min_freq} times, the most frequent "
                f"{max(count.values())}; pass a smaller min_freq (to a list of texts, "
                "vocab=Vocab.create(..., min_freq=1)), or more text"
            )
        return cls([*SPECIAL, *frequent][:max_vocab])

    def __len__(self) -> int:
        return len(self.itos)

    def __repr__(self) -> str:
        return f"Vocab of {len(self):,} tokens: {', '.join(self.itos[:12])}" + (
            ", ..." if len(self) > 12 else ""
        )

    def numericalize(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; unknown ones get that of xxunk, or are a DataError where it lacks."""
        if isinstance(tokens, str):
            raise TypeError(
                f"Vocab.numericalize: expected a list of tokens, got the text {tokens!r:.40}; pass "
                "Tokenizer()(text)"
            )
        unknown = self.stoi.get(UNK)
        words = check_tokens("Vocab.numericalize", "tokens", tokens)
        ids = [self.stoi.get(token, unknown) for token in words]
        if unknown is None and None in ids:
            raise DataError(
                f"Vocab.numericalize: a token is not among the {len(self):,} and there is no {UNK} "
                f"to stand for it; put {UNK!r} into itos"
            )
        return ids  # type: ignore[return-value]

    def textify(self, ids: Any, sep: str = " ") -> str:
        """The tokens of ids (a list, an array or a Tensor, one axis) as one text."""
        if not isinstance(sep, str):
            raise TypeError(f"Vocab.textify: sep must be a string, got {sep!r:.60}")
        try:
            numbers = np.asarray(ids.numpy() if hasattr(ids, "numpy") else ids)
        except ValueError as error:  # rows of several lengths
            raise DataError(
                f"Vocab.textify: ids must be a flat list of whole numbers, got {ids!r:.60}; call "
                "it row by row"
            ) from error
        if numbers.size == 0:
            return ""
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise DataError(
                "Vocab.textify: ids must be a flat list of whole numbers, got "
                f"{numbers.dtype} of shape {numbers.shape}; call it row by row"
            )
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high >= len(self):
            wrong = low if low < 0 else high
            raise DataError(
                f"Vocab.textify: there is no id {wrong}; this vocabulary has 0 to {len(self) - 1}"
            )
        return sep.join(self.itos[i] for i in numbers.tolist())

    # ------------------------------------------------------------------------------- on the disk

    def save(self, path: str | Path) -> Path:
        """Write the tokens as a JSON list, whole or not at all; returns the file's path."""
        file = check_path("Vocab.save", "path", path)
        if not file.name or "\0" in str(file):
            raise DataError(f"Vocab.save: path must be that of a file, got {str(path)!r}")
        text = json.dumps(self.itos, ensure_ascii=False, indent=0) + "\n"
        write_atomically(file, text.encode(), "Vocab.save")
        return file

    @classmethod
    def load(cls, path: str | Path) -> Vocab:
        """Read what `save` wrote; DataError, naming the file, where it is something else."""
        file = check_path("Vocab.load", "path", path)
        try:
            itos = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON
            raise DataError(
                f"Vocab.load: {file} cannot be read ({type(error).__name__}: {error}); name a file "
                "that Vocab.save wrote"
            ) from error
        if not isinstance(itos, list):
            raise DataError(f"Vocab.load: {file} must hold a list of tokens, got {itos!r:.60}")
        try:
            return cls(itos)
        except (TypeError, DataError) as error:
            raise DataError(f"Vocab.load: {file} holds no vocabulary: {error}") from error
