"""From text to tokens: words, punctuation, and marks for what a vocabulary would otherwise lose.

"The END!!!!" becomes ``xxmaj the xxup end xxrep 4 !``: a model then knows `the` and `end`, however
they are written, and is told how. The marks and the rules are fastai v1's of the lesson's time;
words are cut by a regular expression, where fastai took a linguist's library.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

UNK, PAD, BOS, FLD = "xxunk", "xxpad", "xxbos", "xxfld"  # unknown, padding, beginning, field
MAJ, UP, REP, WREP = "xxmaj", "xxup", "xxrep", "xxwrep"
SPECIAL = (UNK, PAD, BOS, FLD, MAJ, UP, REP, WREP)  # ids 0 to 7 of every vocabulary

# a number with its points, a word with its apostrophes, or one sign that is not blank
_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['’]\w+)*|[^\w\s]")
_SAME_LETTER = re.compile(r"(\S)\1{3,}")
_SAME_WORD = re.compile(r"\b(\w+)(?:\s+\1\b){3,}")
_SIGNS = re.compile(r"([/#\n])")
_BLANKS = re.compile(r" {2,}")


# ----------------------------------------------------------------------- rules before the splitting


def fix_html(text: str) -> str:
    """Read what a web page left behind: ``"Tom &amp; Jo<br />" -> "Tom & Jo\\n"``."""
    return html.unescape(re.sub(r"<br\s*/?>", "\n", text)).replace("\xa0", " ")


def replace_rep(text: str) -> str:
    """A character four times or more becomes a count: ``"no!!!!" -> "no xxrep 4 ! "``."""
    return _SAME_LETTER.sub(lambda m: f" {REP} {len(m[0])} {m[1]} ", text)


def replace_wrep(text: str) -> str:
    """A word four times or more becomes a count: ``"no no no no" -> " xxwrep 4 no "``."""
    return _SAME_WORD.sub(lambda m: f" {WREP} {len(m[0].split())} {m[1]} ", text)


def spec_add_spaces(text: str) -> str:
    """Blanks around signs that stand inside words, and line ends: ``"and/or" -> "and / or"``."""
    return _SIGNS.sub(r" \1 ", text)


def rm_useless_spaces(text: str) -> str:
    """One blank where there are several: ``"a   b" -> "a b"``."""
    return _BLANKS.sub(" ", text)


# ------------------------------------------------------------------------ rules after the splitting


def replace_all_caps(tokens: list[str]) -> list[str]:
    """A word in capitals is marked and made small: ``["STOP"] -> ["xxup", "stop"]``."""
    return _marked(tokens, UP, lambda t: len(t) > 1 and t.isupper())


def deal_caps(tokens: list[str]) -> list[str]:
    """A capitalised word is marked, all are made small: ``["The", "I"] -> ["xxmaj", "the", "i"]``.

    A capital alone is not marked: it is mostly "I".
    """
    marked = _marked(tokens, MAJ, lambda t: t[:1].isupper() and t[1:].islower())
    return [token.lower() for token in marked]


def as_list(function: str, name: str, value: Any, of: str) -> list[Any]:
    """`value` as a list; TypeError for what is one text, has no order, or is no list at all."""
    try:
        if isinstance(value, str | bytes | os.PathLike | Set | Mapping):
            raise TypeError(f"one {type(value).__name__}")
        return list(value)
    except TypeError as error:
        raise TypeError(
            f"{function}: {name} must be a list of {of}, got {type(value).__name__} {value!r:.60}"
        ) from error


def check_tokens(function: str, name: str, value: Any) -> list[str]:
    """`value` as a list of strings, or a TypeError."""
    found = as_list(function, name, value, "strings")
    for token in found:
        if not isinstance(token, str):
            raise TypeError(
                f"{function}: {name} must be a list of strings, got {token!r:.60} in it"
            )
    return found


def _marked(tokens: list[str], mark: str, applies: Callable[[str], bool]) -> list[str]:
    found: list[str] = []
    for token in tokens:
        found += [mark, token.lower()] if applies(token) else [token]
    return found


PRE_RULES = (fix_html, replace_rep, replace_wrep, spec_add_spaces, rm_useless_spaces)
POST_RULES = (replace_all_caps, deal_caps)


def split_words(text: str) -> list[str]:
    """Words, numbers and single signs, in order: ``"one, two" -> ["one", ",", "two"]``."""
    return _TOKEN.findall(text)


class Tokenizer:
    """``Tokenizer()(text)`` is the list of a text's tokens.

    pre_rules   functions from text to text, in order, before `split`
    post_rules  functions from a list of tokens to a list of tokens, after it
    split       the function between them; default `split_words`
    """

    def __init__(
        self,
        pre_rules: Sequence[Callable[[str], str]] = PRE_RULES,
        post_rules: Sequence[Callable[[list[str]], list[str]]] = POST_RULES,
        split: Callable[[str], list[str]] = split_words,
    ) -> None:
        self.pre_rules = as_list("Tokenizer", "pre_rules", pre_rules, "functions")
        self.post_rules = as_list("Tokenizer", "post_rules", post_rules, "functions")
        self.split = split
        for rule in (*self.pre_rules, *self.post_rules, split):
            if not callable(rule):
                raise TypeError(f"Tokenizer: every rule must be a function, got {rule!r:.60}")

    def __call__(self, text: Any) -> list[str]:
        """The tokens of `text`; TypeError for what is no string."""
        if not isinstance(text, str):
            raise TypeError(
                f"Tokenizer: text must be a string, got {type(text).__name__} {text!r:.60}; "
                "call it for one text at a time"
            )
        for rule in self.pre_rules:
            text = rule(text)
            if not isinstance(text, str):
                raise TypeError(f"Tokenizer: {_name(rule)} must give a string, gave {text!r:.60}")
        tokens: Any = text
        for rule in (self.split, *self.post_rules):
            tokens = check_tokens("Tokenizer", f"what {_name(rule)} gives", rule(tokens))
        return tokens

    def __repr__(self) -> str:
        rules = (*self.pre_rules, self.split, *self.post_rules)
        return f"Tokenizer({', '.join(map(_name, rules))})"


def _name(rule: Any) -> str:
    return getattr(rule, "__name__", None) or repr(rule)
