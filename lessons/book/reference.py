"""The reference of operations, as Markdown: a page for each file of `functional/`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path

from . import ROOT, formulas
from .operations import (
    WITHOUT_FORMULA,
    Operation,
    Rule,
    cut,
    families,
    is_gradient,
    title_of,
)


def pages() -> dict[str, str]:
    """Name → Markdown: the table of all operations, and a page a family."""
    found = {"index": _index()}
    for family, operations in families().items():
        parts = [
            f"# {name_of(family)}",
            f":::{{div}} lead\n{title_of(family)}.\n:::",
            _module_note(family),
        ]
        parts += [_section(operation) for operation in operations]
        found[family] = "\n\n".join(part for part in parts if part) + "\n"
    return found


def count() -> tuple[int, int, int]:
    """(formula lines, those set as mathematics whole, those set at their beginning)."""
    lines = {
        (line, operation.parameters)
        for operations in families().values()
        for operation in operations
        for line in _all_lines(operation)
    }
    split = [formulas.split(line, names) for line, names in lines]
    return (
        len(split),
        sum(s is not None and not s[1] for s in split),
        sum(s is not None and s[1] != "" for s in split),
    )


def _all_lines(operation: Operation) -> Iterable[str]:
    for rule in operation.rules:
        yield from rule.pieces
        yield from rule.gradient_lines
    for block in _blocks(operation.doc):
        if block.startswith("    "):
            yield from (_parted(line)[0] for line in block.strip().split("\n"))


def _index() -> str:
    total, whole, begun = count()
    lines = [
        "# Operations",
        "Every operation of `minitorch7.functional`, read from its docstring and its code: what it "
        "computes, its gradient, what it refuses, and where it stands.",
    ]
    for family, operations in families().items():
        lines.append(f"## [{name_of(family)}]({family}.md)\n\n{title_of(family)}.")
        rows = []
        for operation in operations:
            found = operation.formula
            words = WITHOUT_FORMULA.get(operation.name, "")
            cell = f'<span class="words">{html.escape(words)}</span>'
            if found:  # with the words that belong to the formula, without a sentence after it
                more = found[1] if re.match(formulas.CONTINUES, found[1]) else ""
                cell = f'{_math(found[0])} <span class="words">{_inline(more)}</span>'
            link = f"{family}.html#{anchor(operation.name)}"
            name = f'<a href="{link}"><code>{operation.name}</code></a>'
            rows.append(f"<tr><td>{name}</td><td>{cell}</td></tr>")
        lines.append(
            _raw(
                '<div class="table-wrapper"><table class="operations">'
                f"{''.join(rows)}</table></div>"
            )
        )
    lines.append(
        f"The formulas are those of the docstrings, which are typed on a line. Of {total} such "
        f"lines, {whole} are set as mathematics whole, {begun} up to where words begin, and "
        f"{total - whole - begun} stand as they were typed, because they are sentences."
    )
    return "\n\n".join(lines) + "\n"


def name_of(family: str) -> str:
    """A family's name, for headings."""
    return family.replace("_", " ").capitalize()


def anchor(name: str) -> str:
    """The name's place on its page."""
    return name.replace("_", "-")


def _module_note(family: str) -> str:
    """What the file's docstring says after its first line."""
    import ast

    path = ROOT / "minitorch7" / "functional" / f"{family}.py"
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    rest = doc.partition("\n\n")[2]
    return _body(rest, ()) + f"\n\n`{path.relative_to(ROOT)}`"


def _section(operation: Operation) -> str:
    first, _, rest = operation.doc.partition("\n\n")
    source = f"{_place(operation.file, operation.line)}"
    ways = ", ".join(f"`{way}`" for way in operation.spellings)
    parts = [
        f"({anchor(operation.name)})=\n## {operation.name}",
        f"```python\n{_wrapped(operation.signature)}\n```",
        _line_of_words(first, operation.parameters),
        _body(rest, operation.parameters),
        f"As a method or an operator: {ways}." if ways else "",
        *(_rule(rule) for rule in operation.rules),
        _composed(operation),
        _errors(operation),
        f"Source: {source}",
    ]
    return "\n\n".join(part for part in parts if part)


def _composed(operation: Operation) -> str:
    if operation.rules:
        return ""
    names = ", ".join(f"`{name}`" for name in operation.made_of if name != operation.name)
    if operation.name in ("isnan", "isfinite", "argmax", "argmin", "one_hot") or not names:
        return "**Gradient:** none; the result does not change smoothly, and nothing is recorded."
    return f"**Gradient:** that of the operations it is made of: {names}."


def _rule(rule: Rule) -> str:
    """A rule's formula and gradient, with the code of the gradient folded away."""
    ahead = "".join(_formula(line) for line in rule.forward_lines)
    back = "".join(_formula(line) for line in rule.gradient_lines)
    parts = [
        f"::::{{div}} rule\n**{rule.name}** {_place(rule.file, rule.line)}",
        _raw(ahead),
        _body(rule.notes, ()),
    ]
    if back:
        parts += ["Gradient:", _raw(back)]
    elif rule.then:
        parts.append("Gradient, by operations of their own:")
        for other in rule.then:
            lines = other.gradient_lines or other.forward_lines
            parts.append(f"`{other.name}` {_place(other.file, other.line)}")
            parts.append(_raw("".join(_formula(line) for line in lines)))
    if rule.backward:
        title = "The gradient in code" if back else "Gradient, in code"
        parts.append(
            f":::{{dropdown}} {title}\n```python\n{rule.backward}\n```\n"
            f"{_place(rule.file, rule.backward_line)}\n:::"
        )
    return "\n\n".join(part for part in parts if part) + "\n::::"


def _errors(operation: Operation) -> str:
    if not operation.errors:
        return ""
    rows = "\n".join(f"- `{kind}`: {escaped(text)}" for kind, text in operation.errors)
    return f":::{{dropdown}} Errors ({len(operation.errors)})\n{rows}\n:::"


def _formula(line: str, names: tuple[str, ...] = ()) -> str:
    """One line, its formula set as mathematics where it can be, else as it was typed."""
    found = formulas.split(line, names)
    if found is None:
        inside = f"<code>{html.escape(line)}</code>" if "=" in line else _inline(line)
    else:
        inside = _math(found[0]) + (f" <span>{_inline(found[1])}</span>" if found[1] else "")
    return f'<p class="formula">{inside}</p>'


def _math(latex: str) -> str:
    return formulas.mathml(r"\displaystyle " + latex)


def _line_of_words(text: str, names: tuple[str, ...]) -> str:
    """A docstring's first paragraph: a sentence, or a formula and words."""
    flat = " ".join(text.split())
    found = formulas.split(flat, names)
    return _raw(_formula(flat, names)) if found else escaped(flat)


def _body(text: str, names: tuple[str, ...]) -> str:
    """The rest of a docstring: paragraphs, formulas that stand indented, lists of arguments."""
    parts = []
    for block in _blocks(text):
        lines = block.split("\n")
        if block.startswith("    "):
            parts.append(_indented(lines, names))
        elif any(_is_row(line) for line in lines):
            parts.append(_rows(lines, names))
        elif is_gradient(lines[0]):
            parts.append(_raw("".join(_formula(piece, names) for piece in cut(block))))
        elif re.match(r"\S+ = ", lines[0]) and formulas.split(lines[0], names):
            parts.append(_raw("".join(_formula(line, names) for line in lines)))
        else:
            parts.append(escaped(" ".join(line.strip() for line in lines)))
    return "\n\n".join(parts)


def _blocks(text: str) -> list[str]:
    return [block for block in re.split(r"\n\s*\n", text) if block.strip()]


def _indented(lines: list[str], names: tuple[str, ...]) -> str:
    """Formulas, if all of the lines are; else the block as it stands."""
    parted = [_parted(line) for line in lines]
    if not all(formulas.split(formula, names) for formula, _ in parted):
        text = "\n".join(line[4:] for line in lines)
        return f"```text\n{text}\n```"
    rows = []
    for formula, words in parted:
        rows.append(_formula(formula, names).removesuffix("</p>"))
        found = formulas.split(words, names) if "=" in words else None
        words = _math(found[0]) + _inline(found[1]) if found else _inline(words)
        rows.append(f' <span class="aside">{words}</span></p>' if words else "</p>")
    return _raw("".join(rows))


def _parted(line: str) -> tuple[str, str]:
    """``r = σ(…)     what it is`` in its two parts."""
    parts = re.split(r" {3,}", line.strip(), maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _is_row(line: str) -> bool:
    return bool(re.match(r"(→|[\w', ]+?) {2,}\S", line))


def _rows(lines: list[str], names: tuple[str, ...]) -> str:
    """``weight  (O, C, kh, kw)``: a table of arguments and what is said of them."""
    rows: list[tuple[str, str]] = []
    for line in lines:
        if _is_row(line):
            name, words = re.split(r" {2,}", line, maxsplit=1)
            rows.append((name, words))
        elif rows and line.startswith(" "):
            rows[-1] = rows[-1][0], f"{rows[-1][1]} {line.strip()}"
        else:
            rows.append(("", line))
    cells = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{_sized(words)}</td></tr>"
        if name
        else f'<tr><td colspan="2">{_inline(words)}</td></tr>'
        for name, words in rows
    )
    return _raw(f'<div class="table-wrapper"><table class="arguments">{cells}</table></div>')


def _sized(words: str) -> str:
    """What is said of an argument; of the result, how large it is, as mathematics."""
    latex = formulas.to_latex(words) if " = " in words else None
    return _math(latex) if latex else _inline(words)


def _place(file: Path, line: int) -> str:
    return f"`{file.relative_to(ROOT)}:{line}`"


def _raw(markup: str) -> str:
    return f"```{{raw}} html\n{markup}\n```" if markup else ""


def _inline(text: str) -> str:
    """Words for HTML: `code` as code."""
    text = html.escape(text, quote=False)
    return re.sub(r"``(.+?)``|`(.+?)`", lambda m: f"<code>{m[1] or m[2]}</code>", text)


def escaped(text: str) -> str:
    """Words for Markdown: what it would take for marks stands as it is, but for `code`."""
    parts = re.split(r"(``.+?``|`.+?`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]$|{}#~])", r"\\\1", part)
        for part in parts
    )


def _wrapped(signature: str) -> str:
    """A signature on one line if it fits, else an argument a line."""
    if len(signature) <= 80:
        return signature
    name, _, inside = signature.removesuffix(")").partition("(")
    depth, start, arguments = 0, 0, []
    for i, sign in enumerate(inside):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            arguments.append(inside[start:i].strip())
            start = i + 1
    arguments.append(inside[start:].strip())
    return f"{name}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"
