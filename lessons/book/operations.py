"""What the docstrings and the code say of every operation, read without running anything.

An operation is a public function of `minitorch7.functional`. From it we follow the names that its
body mentions: through private helpers to the `Function` classes that compute and differentiate,
and to every ``raise`` on the way. Other operations end the walk: those have their own entry.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from . import ROOT, formulas

FUNCTIONAL = ROOT / "minitorch7" / "functional"
# what `functional/__init__.py` imports and is no operation
NO_OPERATION = {"bind": "ties operations to Tensor"}
_ASKED, _PLACED = (
    "a question asked of the elements",
    "elements change places, not values",
)
_CELLS = "the formulas are those of the cell, step after step"
WITHOUT_FORMULA = {
    **dict.fromkeys("isnan isfinite logical_and logical_not logical_or any all".split(), _ASKED),
    **dict.fromkeys("expand repeat cat stack narrow split chunk unbind".split(), _PLACED),
    **dict.fromkeys("unfold fold clone one_hot embedding index_select".split(), _PLACED),
    **dict.fromkeys("rnn_sweep gru_sweep lstm_sweep".split(), _CELLS),
    **dict.fromkeys("max min argmax argmin adaptive_max_pool2d".split(), "a name says it all"),
    **dict.fromkeys("cpu cuda".split(), "the array is moved, not changed"),
    "einsum": "the formula is the argument",
    "bmm": "the product of matmul, with one leading axis",
}


@dataclass(frozen=True)
class Rule:
    """A `Function` class: one formula and its gradient."""

    name: str
    file: Path
    line: int
    doc: str
    backward: str
    backward_line: int
    then: tuple[Rule, ...] = ()  # the rules that the gradient is computed by

    @property
    def pieces(self) -> list[str]:
        """The first paragraph cut where formulas end: ``y = …``, ``dx = …``."""
        return cut(self.doc.split("\n\n")[0])

    @property
    def forward_lines(self) -> list[str]:
        return [piece for piece in self.pieces if not is_gradient(piece)]

    @property
    def gradient_lines(self) -> list[str]:
        later = [piece for part in self.doc.split("\n\n")[1:] for piece in cut(part)]
        return [piece for piece in [*self.pieces, *later] if is_gradient(piece)]

    @property
    def notes(self) -> str:
        """What the docstring says after the first paragraph, but for gradients shown already."""
        rest = [p for p in self.doc.split("\n\n")[1:] if not is_gradient(p)]
        return "\n\n".join(rest)


@dataclass(frozen=True)
class Operation:
    """A public function, and what is reached from it."""

    name: str
    file: Path
    line: int
    doc: str
    signature: str
    parameters: tuple[str, ...]
    rules: tuple[Rule, ...]
    made_of: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]
    spellings: tuple[str, ...] = field(default=())

    @property
    def family(self) -> str:
        return self.file.stem

    @property
    def summary(self) -> str:
        """The docstring's first paragraph."""
        return " ".join(self.doc.split("\n\n")[0].split())

    @property
    def formula(self) -> tuple[str, str] | None:
        """(LaTeX, words after it) of the first line that can be set as mathematics, or None."""
        for line in self.formula_lines:
            found = formulas.split(line, self.parameters)
            if found:
                return found
        return None

    @property
    def formula_lines(self) -> list[str]:
        """The lines that say what is computed: the rules' first, then the docstring's own."""
        lines = [line.strip() for line in self.doc.split("\n")[1:]]
        own = [x for x in lines if re.match(r"[^→ ]\S* = |mode 'bilinear'", x)]
        ruled = [line for rule in self.rules[:1] for line in rule.forward_lines[:1]]
        first = self.doc.split("\n")[0]
        named = [part for part in first.split(": ")[1:2] if "=" in part]
        return [first, *named, *own, *[x for x in ruled if "=" in x]]


def cut(paragraph: str) -> list[str]:
    """``y = eˣ;  dx = dy·y`` in its parts: two spaces or a line's end after a comma divide."""
    flat = re.sub(r"([;,])\s*\n\s*", r"\1  ", paragraph)
    flat = re.sub(r"\s*\n\s*", " ", flat)
    parts = re.split(r"[;,:] {2,}|\. (?=[A-Z])", flat)
    return [part.strip().removesuffix(".") for part in parts if part.strip()]


def is_gradient(piece: str) -> bool:
    """Whether a piece of a docstring is a rule for a gradient."""
    return bool(
        re.match(
            r"(each )?d[\wα-ω]{1,5} = |each gets dy|dy goes|the gradient is|its gradient",
            piece,
        )
        or re.match(r"with s = ", piece)
    )


@cache
def operations() -> tuple[Operation, ...]:
    """Every public function of `minitorch7.functional`, in the order of its families."""
    modules = {path.stem: _Module(path) for path in sorted(FUNCTIONAL.glob("*.py"))}
    spellings = _spellings(modules["methods"])
    found = []
    for family in _families(modules["__init__"]):
        names = _public(modules["__init__"], family) + _only_methods(modules["methods"], family)
        module = modules[family]
        for name in sorted(set(names) - set(NO_OPERATION), key=lambda n: module.defs[n].lineno):
            found.append(_operation(modules, module, name, spellings.get(name, ())))
    return tuple(found)


def families() -> dict[str, list[Operation]]:
    """The operations by file."""
    found: dict[str, list[Operation]] = {}
    for operation in operations():
        found.setdefault(operation.family, []).append(operation)
    return found


def title_of(family: str) -> str:
    """The first line of a family's docstring, without its full stop."""
    doc = ast.get_docstring(ast.parse((FUNCTIONAL / f"{family}.py").read_text("utf-8"))) or family
    return doc.split("\n")[0].removesuffix(".")


class _Module:
    """A file's classes and functions by name, and what its other names stand for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text("utf-8")
        self.tree = ast.parse(self.text)
        self.defs: dict[str, ast.ClassDef | ast.FunctionDef] = {}
        self.imports: dict[str, tuple[str, str]] = {}  # name → (module of this package, its name)
        self.values: dict[str, ast.expr] = {}
        for node in self.tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                self.defs[node.name] = node
            elif isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = node.module, alias.name
            elif isinstance(node, ast.ImportFrom) and node.level == 1:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = alias.name, ""
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.values[node.targets[0].id] = node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.values[node.target.id] = node.value or ast.Constant(None)


def _operation(
    modules: dict[str, _Module], module: _Module, name: str, spellings: tuple[str, ...]
) -> Operation:
    node = module.defs[name]
    assert isinstance(node, ast.FunctionDef)
    rules, made_of, errors = _reached(modules, module, node)
    return Operation(
        name=name,
        file=module.path,
        line=node.lineno,
        doc=ast.get_docstring(node) or "",
        signature=f"{name}({ast.unparse(_bare(node.args))})",
        parameters=tuple(a.arg for a in (*node.args.args, *node.args.kwonlyargs)),
        rules=tuple(rules),
        made_of=tuple(made_of),
        errors=tuple(errors),
        spellings=spellings,
    )


def _bare(arguments: ast.arguments) -> ast.arguments:
    """The parameters without their types."""
    copied = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0].args  # type: ignore[attr-defined]
    for argument in ast.walk(copied):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return copied


def _reached(
    modules: dict[str, _Module], module: _Module, start: ast.FunctionDef
) -> tuple[list[Rule], list[str], list[tuple[str, str]]]:
    """(the rules, the other operations, the errors) that the body of `start` leads to."""
    rules: dict[str, Rule] = {}
    made_of: dict[str, None] = {}
    errors: dict[tuple[str, str], None] = {}
    public = {name for family in _families(modules["__init__"]) for name in modules[family].defs}
    public = {n for n in public if n in modules["__init__"].imports}
    methods = {name for line in _methods(modules["methods"]).values() for name in line}
    waiting: list[tuple[_Module, ast.AST]] = [(module, start)]
    seen: set[tuple[str, str]] = {(module.path.stem, start.name)}
    while waiting:
        here, node = waiting.pop(0)
        for error in _raised(node, start.name):
            errors[error] = None
        for name, is_method in _mentioned(node):
            if is_method:
                if name in methods:
                    made_of[name] = None
                continue
            where, known = _resolve(modules, here, name)
            if where is None or (where.path.stem, known) in seen:
                continue
            seen.add((where.path.stem, known))
            target = where.defs.get(known) or where.values.get(known)
            if target is None:
                continue
            if isinstance(target, ast.ClassDef) and _is_rule(target):
                if known == "Cast" and module.path.stem != "conversion":
                    continue  # a number's or a mask's dtype made to fit
                rules[known] = _rule(modules, where, target)
            elif known in public and where.path.stem != "_arguments":
                made_of[known] = None
            elif not isinstance(target, ast.ClassDef):
                waiting.append((where, target))
    return list(rules.values()), list(made_of), sorted(errors)


def _resolve(modules: dict[str, _Module], here: _Module, name: str) -> tuple[_Module | None, str]:
    if name in here.defs or name in here.values:
        return here, name
    home, known = here.imports.get(name, ("", ""))
    module = modules.get(home)
    return (module, known) if module is not None and known else (None, name)


def _mentioned(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """(name, whether it is called as a method) for all names that a body reads."""
    body = node.body if isinstance(node, ast.FunctionDef) else [node]
    for part in body:
        for inner in ast.walk(part):
            if isinstance(inner, ast.Name):
                yield inner.id, False
            elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
                if not any(word.arg in ("axis", "ddof") for word in inner.keywords):  # an array's
                    yield inner.func.attr, True


def _raised(node: ast.AST, function: str) -> Iterator[tuple[str, str]]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call):
            kind = ast.unparse(inner.exc.func)
            if kind != "AssertionError" and inner.exc.args:
                yield kind, message(inner.exc.args[0], function)


def message(node: ast.expr, function: str) -> str:
    """An error's text, with … for what is filled in, without the function's name before it."""
    if isinstance(node, ast.JoinedStr):
        parts = [v.value if isinstance(v, ast.Constant) else "…" for v in node.values]
        text = "".join(str(part) for part in parts)
    elif isinstance(node, ast.Constant):
        text = str(node.value)
    else:
        text = ast.unparse(node)
    return re.sub(rf"^(…|{function}): ", "", text)


def _is_rule(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Function" for base in node.bases)


def _rule(
    modules: dict[str, _Module], module: _Module, node: ast.ClassDef, deep: bool = True
) -> Rule:
    backward = next(
        (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "backward"),
        None,
    )
    then = {}
    for name, is_method in _mentioned(backward) if backward and deep else ():
        where, known = _resolve(modules, module, name) if not is_method else (None, name)
        target = where.defs.get(known) if where else None
        if where and isinstance(target, ast.ClassDef) and target is not node and _is_rule(target):
            then[known] = _rule(modules, where, target, deep=False)
    return Rule(
        name=node.name,
        file=module.path,
        line=node.lineno,
        doc=ast.get_docstring(node) or "",
        backward=_source(module, backward) if backward else "",
        backward_line=backward.lineno if backward else node.lineno,
        then=tuple(then.values()),
    )


def _source(module: _Module, node: ast.AST) -> str:
    lines = module.text.split("\n")[node.lineno - 1 : node.end_lineno]  # type: ignore[attr-defined]
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


def _families(init: _Module) -> list[str]:
    """The modules that `__init__` imports from, in the order of its docstring."""
    listed = re.findall(r"^ *(\w+)  ", ast.get_docstring(init.tree) or "", re.M)
    homes = {home for home, _ in init.imports.values()} - {"methods"}
    return [m for m in listed if m in homes] + sorted(homes - set(listed))


def _public(init: _Module, family: str) -> list[str]:
    return [name for home, name in init.imports.values() if home == family]


def _methods(methods: _Module) -> dict[str, list[str]]:
    """The table METHODS: module → names."""
    table = methods.values["METHODS"]
    assert isinstance(table, ast.Dict)
    return {
        ast.unparse(key): ast.literal_eval(value).split()
        for key, value in zip(table.keys, table.values, strict=True)
        if key is not None
    }


def _only_methods(methods: _Module, family: str) -> list[str]:
    return _methods(methods).get(family, [])


def _spellings(methods: _Module) -> dict[str, tuple[str, ...]]:
    """For each operation how it is written with tensors: ``a + b``, ``a.add(b)``."""
    signs = {
        "add": "+", "sub": "−", "mul": "*", "truediv": "/", "floordiv": "//", "pow": "**",
        "matmul": "@", "and": "&", "or": "|", "eq": "==", "ne": "!=", "lt": "<", "le": "<=",
        "gt": ">", "ge": ">=",
    }  # fmt: skip
    one = {"neg": "-a", "abs": "abs(a)", "invert": "~a", "getitem": "a[…]"}
    found: dict[str, list[str]] = {}
    table = methods.values["OPERATORS"]
    assert isinstance(table, ast.Dict)
    for key, value in zip(table.keys, table.values, strict=True):
        operator = ast.literal_eval(key).strip("_") if key is not None else ""  # type: ignore[arg-type]
        if isinstance(value, ast.Attribute):
            sign = f"a {signs[operator]} b".replace("−", "-") if operator in signs else None
            found.setdefault(value.attr, []).append(sign or one.get(operator, ""))
    for names in _methods(methods).values():
        for name in names:
            found.setdefault(name, []).append(f"a.{name}(…)")
    return {name: tuple(x for x in ways if x) for name, ways in found.items()}
