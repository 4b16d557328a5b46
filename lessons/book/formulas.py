"""The docstrings' notation as LaTeX, and LaTeX as MathML.

The code writes formulas on a line, as one types them: ``y = (x − μ)/√(σ² + ε)``. `to_latex` reads
that notation and gives LaTeX, or None for what is not a formula: prose, or a word it does not
know. It never guesses. The grammar, lowest first:

    line     expressions, between them = ≤ → , ; : and words such as "where"
    sum      terms with + and −
    term     factors side by side, with · or with /, which becomes a fraction
    factor   a number, a name, a group in brackets, a function and its argument, Σ and what it
             sums, √; each with what follows it: ² ᵀ ^(…) _t ₁ ′ [i, j] (x)

`mathml` sets LaTeX as MathML, which browsers draw by themselves: no script, no network.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

FUNCTIONS = set(
    "max min ln exp log sin cos tanh erf softmax log_softmax onehot mean relu sign softplus".split()
)
WORDS = set("where else for over along with and or if of by from to the an in at axis axes".split())
NAMES = set("oh ow kh kw table groups in out at low high slope threshold momentum index".split())
GREEK = dict(
    zip(
        "αβγδεζηθλμνπρστφψωΓΔΘΛΠΣΦΨΩ",
        r"\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \lambda \mu \nu \pi \rho \sigma "
        r"\tau \varphi \psi \omega "
        r"\Gamma \Delta \Theta \Lambda \Pi \Sigma \Phi \Psi \Omega".split(),
        strict=True,
    )
)
SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ᵖˣʸⁿⁱ", "0123456789+-()pxyni", strict=True)) | {"ᵀ": r"\top "}
SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖₙₜ", "0123456789+-ijknt", strict=True))
ACCENTS = {"\u0302": r"\hat", "\u0304": r"\bar", "\u0303": r"\tilde"}
RELATIONS = {
    "=": "=",
    "≤": r"\le",
    "≥": r"\ge",
    "<": "<",
    ">": ">",
    "≠": r"\ne",
    "≈": r"\approx",
    "→": r"\to",
    "←": r"\gets",
    "∈": r"\in",
}
PRODUCTS = {"·": r"\cdot ", "×": r"\times ", "⊙": r"\odot ", "*": r"\cdot "}
SIGNS = {"+": "+", "−": "-", "-": "-", "±": r"\pm "}
OPEN = {"(": ")", "[": "]", "{": "}", "⌊": "⌋", "⌈": "⌉", "|": "|", "‖": "‖", "⟨": "⟩"}
DELIMITERS = {
    "{": r"\{",
    "}": r"\}",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⌈": r"\lceil",
    "⌉": r"\rceil",
    "‖": r"\|",
    "⟨": r"\langle",
    "⟩": r"\rangle",
}
CONSTANTS = {"∞": r"\infty", "…": r"\dots", "½": r"\tfrac{1}{2}", "∇": r"\nabla "}
LETTERS = re.compile(r'(?:<mi mathvariant="normal">[^<]+</mi>){2,}')
# around a group's brackets until it is known whether they must be tall
BEGIN, END = "\ue000", "\ue001"
TALL = (r"\frac", r"\sum", r"\int", r"\tfrac")

_greek = "".join(GREEK)
TOKEN = re.compile(
    rf"""(?P<number>\d+(?:\.\d+)?)
    |(?P<name>(?:[A-Za-z]{{2,}}(?:_[a-z]{{2,}})+|[A-Za-z]{{2,}}\d|[A-Za-z]+|[{_greek}])[\u0302\u0303\u0304]?)
    |(?P<sup>[{"".join(SUPER)}]+)
    |(?P<sub>[{"".join(SUB)}]+)
    |(?P<prime>['′]+)
    |(?P<dots>\.\.\.)
    |(?P<sign>\S)""",
    re.VERBOSE,
)


# where a formula may end and words begin
CONTINUES = r"(?:where|over|along|for|in|with|by|at|on|or|added|read|summed|stretched)\b"
ENDS = re.compile(rf"[,;:.]? {{2,}}|[,;:.] | (?=\()| (?={CONTINUES})")
# what makes a formula of some names
SIGNIFICANT = re.compile(r"[=<>+^(|-]|\\(frac|cdot|le|ge|ne|sum|int|sqrt|to|gets|lfloor|lceil)\b")


class NoFormula(Exception):
    """The text is not in the notation."""


class Token(NamedTuple):
    kind: str
    text: str
    spaced: bool  # whether a space stands before it


def to_latex(text: str, names: Iterable[str] = ()) -> str | None:
    """The line as LaTeX, or None where it is not a formula in this notation.

    names  words that are variables here, such as a function's parameters
    """
    try:
        return _Parser(_tokens(text), {*NAMES, *names}).whole()
    except NoFormula:
        return None


def split(text: str, names: Iterable[str] = ()) -> tuple[str, str] | None:
    """(the formula that the text begins with as LaTeX, the words after it), or None.

    ``max(input, 0); the slope at 0 is taken as 0`` is a formula and some words. A name or a number
    alone is no formula.
    """
    text, names = text.strip(), tuple(names)
    cuts = [match.start() for match in ENDS.finditer(text)]
    for cut in [len(text), *reversed(cuts)]:
        latex = to_latex(text[:cut], names)
        if latex is not None and SIGNIFICANT.search(re.sub(r"\\(text|mathrm)\{[^}]*\}", "", latex)):
            return latex, re.sub(r"^[,;:.]?\s+", "", text[cut:])
    return None


def mathml(latex: str, display: bool = False) -> str:
    """MathML of the LaTeX; the LaTeX itself, as code, where it cannot be set."""
    from latex2mathml.converter import convert

    try:
        found = convert(latex, display="block" if display else "inline")
    except Exception as error:  # whatever a parser may raise for what it cannot read
        raise ValueError(f"this is not LaTeX that can be set: {latex!r} ({error})") from error
    found = LETTERS.sub(_joined, found)
    label = html.escape(" ".join(latex.split()), quote=True)
    return found.replace("<math ", f'<math alttext="{label}" ', 1)


def _joined(match: re.Match[str]) -> str:
    """An upright name as one identifier, where the converter made one of each letter."""
    letters = re.sub(r"<[^>]+>", "", match[0])
    return f"<mi>{letters}</mi>"


def _tokens(text: str) -> list[Token]:
    text = text.strip().rstrip(".")
    apart = (unicodedata.normalize("NFD", c) if c.isalpha() else c for c in text)
    text = "".join(apart)  # ŷ is a y and an accent
    found, place = [], 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        match = TOKEN.match(text, place)
        if match is None:
            raise NoFormula(text)
        found.append(
            Token(match.lastgroup or "", match[0], place > 0 and text[place - 1].isspace())
        )
        place = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[Token], names: set[str]) -> None:
        self.tokens, self.names, self.place = tokens, names, 0
        self.bars = 0  # inside |…|, where a bar ends and does not begin

    def whole(self) -> str:
        if not self.tokens:
            raise NoFormula
        found = self.line(())
        if self.place < len(self.tokens):
            raise NoFormula(self.tokens[self.place])
        return sized(found)

    # ------------------------------------------------------------------------------- looking ahead

    @property
    def next(self) -> Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else Token("end", "", False)

    def take(self) -> Token:
        token = self.next
        self.place += 1
        return token

    def is_word(self) -> bool:
        """Whether a word stands here and not a variable: ``in`` is one in ``(in, out)``."""
        kind, text, _ = self.next
        if kind != "name" or text not in WORDS:
            return False
        before = self.tokens[self.place - 1].text if self.place else ""
        after = self.tokens[self.place + 1].text if self.place + 1 < len(self.tokens) else ""
        listed = before in ("(", "[", ",") and after in (")", "]", ",")
        return not (text in self.names and (listed or after == "["))

    def begins_factor(self) -> bool:
        kind, text, _ = self.next
        if kind == "name":
            return not self.is_word()
        if text in ("|", "‖"):
            return not self.bars
        return (
            kind in ("number", "dots") or text in ("√", "Σ", "∂", "∫", *CONSTANTS) or text in OPEN
        )

    # ------------------------------------------------------------------------------ the four floors

    def line(self, until: tuple[str, ...]) -> str:
        parts: list[str] = []
        hanging = False  # what stands last asks for something after it
        while self.next.kind != "end" and self.next.text not in until:
            text = self.next.text
            hanging = text in RELATIONS or self.is_word()
            if text in RELATIONS:
                self.take()
                parts.append(f" {RELATIONS[text]} ")
            elif text in (",", ":") or (text == ";" and until):
                self.take()
                parts.append(text + " " if until else rf"{text}\; ")
            elif self.is_word():
                self.take()
                before = "" if parts and parts[-1].endswith(r"\; ") else r"\;"
                parts.append(rf"{before}\text{{{text}}}\; ")
            else:
                parts.append(self.sum())
        if hanging:
            raise NoFormula
        return "".join(parts)

    def sum(self) -> str:
        parts = [self.term()]
        while self.next.text in SIGNS:
            parts.append(f" {SIGNS[self.take().text]} ")
            parts.append(self.term())
        return "".join(parts)

    def term(self, division: bool = True) -> str:
        """Factors side by side; what stands before a / is its numerator."""
        if self.next.text in SIGNS:
            return SIGNS[self.take().text] + self.term(division)
        product = self.factor()
        while True:
            if self.next.text in PRODUCTS:
                between = PRODUCTS[self.take().text]
                sign = SIGNS[self.take().text] if self.next.text in SIGNS else ""
                product = f"{product} {between}{sign}{self.factor()}"
            elif self.next.text == "/" and division:
                self.take()
                product = rf"\frac{{{bare(product)}}}{{{bare(self.factor())}}}"
            elif self.begins_factor():
                product = rf"{product}\,{self.factor()}"
            else:
                return product

    def factor(self) -> str:
        kind, text, _ = token = self.take()
        if kind == "number":
            return self.followed(text)
        if kind == "dots":
            return r"\dots"
        if kind == "name":
            return self.named(token)
        if text in CONSTANTS:
            return self.followed(CONSTANTS[text])
        if text == "√":
            opening = self.take().text if self.next.text == "(" else ""
            return rf"\sqrt{{{bare(self.group(opening) if opening else self.factor())}}}"
        if text in ("Σ", "∫"):
            big = self.scripts(r"\sum" if text == "Σ" else r"\int")
            return f"{big} {self.term(division=False)}"
        if text == "∂":
            return rf"\partial {self.factor()}"
        if text in OPEN:
            return self.followed(self.group(text))
        raise NoFormula(token)

    def named(self, token: Token) -> str:
        text = token.text
        if text == "Σ":  # a Greek letter like any other for the tokens
            return f"{self.scripts(chr(92) + 'sum')} {self.term(division=False)}"
        if text in FUNCTIONS:
            name = self.scripts(upright(text))
            if self.next.text == "(" and not self.next.spaced:
                return self.followed(name + self.group(self.take().text))
            return rf"{name}\, {self.factor()}" if self.begins_factor() else name
        if text == "d" and self.next.text[:1] in GREEK and not self.next.spaced:
            return rf"\text{{d}}{self.factor()}"
        return self.followed(self.letter(text))

    def letter(self, text: str) -> str:
        """A variable: one letter as it is, a longer name upright, dx as a differential."""
        accent = ACCENTS.get(text[-1])
        if accent and text[0] == "d" and len(text) == 3:
            return rf"\text{{d}}{accent}{{{self.letter(text[1:-1])}}}"
        if accent:
            return rf"{accent}{{{self.letter(text[:-1])}}}"
        if text in GREEK:
            return GREEK[text] + " "
        if len(text) == 1 or text in self.names:
            return text if len(text) == 1 else upright(text)
        if text == "d" or (text[0] == "d" and (len(text) == 2 or text[1:] in self.names)):
            return rf"\text{{d}}{self.letter(text[1:])}"
        raise NoFormula(text)

    def followed(self, base: str) -> str:
        """A base and what belongs to it: powers, indices, primes, arguments."""
        base = self.scripts(base)
        while self.next.text in ("[", "(") and not self.next.spaced:
            base = self.scripts(base + self.group(self.take().text))
        return base

    def scripts(self, base: str) -> str:
        above, below, primes = "", "", ""
        while True:
            kind, text, _ = self.next
            if kind == "prime":
                primes += "'" * len(self.take().text)
                if self.next.kind == "name" and not self.next.spaced:  # a genitive: x's
                    raise NoFormula
            elif kind == "sup":
                above += "".join(SUPER[c] for c in self.take().text)
            elif kind == "sub":
                below += "".join(SUB[c] for c in self.take().text)
            elif text == "^":
                self.take()
                sign = SIGNS[self.take().text] if self.next.text in SIGNS else ""
                above += sign + bare(self.factor())
            elif text == "_":
                self.take()
                below += self.index()
            else:
                break
        if base == "d" and self.next.kind == "name":
            return base
        return (
            base + primes + (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")
        )

    def index(self) -> str:
        """What follows an underscore: a letter, some letters, or a list in braces."""
        kind, text, _ = self.take()
        if text == "{":
            return bare(self.group("{"))
        if kind == "name":
            return text if len(text) == 1 else upright(text)
        if kind == "number":
            return text
        raise NoFormula(text)

    def group(self, opening: str) -> str:
        """What stands in brackets, with them; the opening one has been taken."""
        closing = OPEN[opening]
        bars = self.bars
        self.bars = bars + 1 if opening == closing else 0
        inside = self.line((closing,))
        self.bars = bars
        if self.take().text != closing:
            raise NoFormula(opening)
        left, right = (DELIMITERS.get(sign, sign) for sign in (opening, closing))
        return f"{BEGIN}{left} {inside}{END} {right}"


def upright(name: str) -> str:
    """A name of several letters."""
    return rf"\mathrm{{{name}}}".replace("_", r"\_")


def bare(latex: str) -> str:
    """Without brackets around all of it: over a fraction's line they say nothing."""
    whole = re.fullmatch(rf"{BEGIN}(?:\(|\\\{{) (.*){END} (?:\)|\\\}})", latex, re.DOTALL)
    if whole is None:
        return latex
    depth = 0
    for mark in re.findall(f"[{BEGIN}{END}]", whole[1]):
        depth += 1 if mark == BEGIN else -1
        if depth < 0:  # the first bracket ends before the last: (a)(b)
            return latex
    return whole[1]


def sized(latex: str) -> str:
    """Brackets as tall as what they hold where that is tall; innermost first."""
    group = re.compile(rf"{BEGIN}(\S+) ([^{BEGIN}{END}]*){END} (\\(?:[a-z]+|.)|\S)")
    while BEGIN in latex:
        latex = group.sub(_sized, latex)
    return latex


def _sized(match: re.Match[str]) -> str:
    left, inside, right = match.groups()
    if left in ("|", r"\|") or any(mark in inside for mark in TALL):
        return rf"\left{left} {inside} \right{right}"
    return f"{left} {inside} {right}"
