"""Human numbers: the lesson's corpus, written rather than fetched.

It is a language with a grammar that everyone knows, so that one can see what a model has learnt:
what comes after "seven thousand nine hundred" is easy to say, and what comes after "," needs the
whole number before it. No "and", no hyphens, and 8000 is in neither half: the published files have
it so.
"""

from __future__ import annotations

import operator

UNITS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
UNITS += ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen")
UNITS += ("eighteen", "nineteen")
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
LAST = 9999


def number_in_words(n: int) -> str:
    """``number_in_words(8021) == "eight thousand twenty one"``, for 1 to 9999.

    TypeError for what is no whole number, ValueError outside that range.
    """
    try:
        if isinstance(n, bool):
            raise TypeError("True and False are no numbers")
        n = operator.index(n)
    except (TypeError, ValueError) as error:
        raise TypeError(f"number_in_words: n must be a whole number, got {n!r:.60}") from error
    if not 1 <= n <= LAST:
        raise ValueError(
            f"number_in_words: n must be from 1 to {LAST}, got {n}; the corpus has words for these"
        )
    thousands, rest = divmod(n, 1000)
    hundreds, rest = divmod(rest, 100)
    words = [UNITS[thousands], "thousand"] if thousands else []
    words += [UNITS[hundreds], "hundred"] if hundreds else []
    if rest >= len(UNITS):
        words.append(TENS[rest // 10])
        rest %= 10
    return " ".join([*words, UNITS[rest]] if rest else words)


def human_numbers() -> tuple[list[str], list[str]]:
    """The lesson's lines: (1 to 7999 to learn from, 8001 to 9999 to be judged by)."""
    train, valid = range(1, 8000), range(8001, 10000)
    return [number_in_words(n) for n in train], [number_in_words(n) for n in valid]
