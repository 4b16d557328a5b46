"""Break every backward rule, one at a time, and show that the checks notice.

    python tests/break_rules.py                  # everything, a few minutes on one core
    python tests/break_rules.py --match Conv2d   # the rules with this in their name
    python tests/break_rules.py --list           # the mutants, without running them

A gradient check that passes proves little until it is known to fail where it should. So this script
rewrites the source of one rule in one place (a factor left out, a sign turned, two arguments
exchanged: a *mutant*), puts it in place of the rule, and runs the checks that reach it. A mutant
that no check notices *survives*: either a case is missing, or the mutation changes nothing. The
latter are listed, each with its reason, in `EQUIVALENT`; any other survivor is an error.

The rules are the `backward` of every `Function` and the methods it calls, the `forward` of those
Functions that only a gradient needs, every kernel that runs inside a backward pass, and a few
helpers. They are found by running the checks once and recording what is called; a rule that nothing
calls is an error too.

Reading order: the mutations, the rules, the checks, the trial, the command line.
(Mutation testing: DeMillo, Lipton & Sayward 1978.)
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import inspect
import pkgutil
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import standin
from reference import convolution as ref_convolution
from reference import elementwise as ref_elementwise
from reference import pooling as ref_pooling
from reference import shape as ref_shape
from tqdm import tqdm

import minitorch7 as mt
from minitorch7 import backend
from minitorch7 import functional as F
from minitorch7.autograd import Function
from minitorch7.functional import broadcasting, normalisation
from minitorch7.functional.losses import Pick
from minitorch7.functional.shape import inner_part
from minitorch7.gradcheck import gradient_function, worst_place
from minitorch7.gradcheck.cases import CASES, Case
from minitorch7.kernels import convolution as convolution_kernel
from minitorch7.kernels import windows

# --------------------------------------------------------------------------------- the mutations


class Mutant(NamedTuple):
    """One rule with one change: `line` as it was and as it is now, and the code to run."""

    rule: Rule
    number: int  # of the line in the file
    line: str
    mutated: str
    scales: bool  # whether it multiplies a whole result, by 0 or by 1.01
    code: CodeType

    @property
    def place(self) -> str:
        """File and line, from the checkout's root."""
        path = Path(self.rule.function.__code__.co_filename)
        return f"{path.relative_to(Path(__file__).resolve().parents[1])}:{self.number}"


class Change(NamedTuple):
    """A node to put in place of another, and how to show it where its code would be long."""

    node: ast.AST
    shown: ast.AST | None = None
    scales: bool = False


OTHER_OPERATOR = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
NEGATED = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
SHIFTED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
SCALE = (  # a result is an array or a tensor, None where nobody asked, or several of them
    "(lambda one, all: type(all)([one(g) for g in all]) if type(all) in (tuple, list) else "
    "one(all))(lambda g: None if g is None else g * FACTOR, VALUE)"
)


def mutants(rule: Rule) -> list[Mutant]:
    """Every mutant of a rule, each different from the rule and from the others."""
    tree = rule.tree()
    found, seen = [], {ast.unparse(tree)}
    for parent, field, index, statement in _places(tree):
        node = _get(parent, field, index)
        before = _shown(statement)
        for change in _changes(node, parent):
            _set(parent, field, index, ast.copy_location(change.shown or change.node, node))
            whole = node is statement  # then what stands in its place is to be shown
            text, after = ast.unparse(tree), _shown(change.node if whole else statement)
            if whole and change.shown is not None:
                after = _shown(change.shown)
            if text not in seen:
                seen.add(text)
                if isinstance(change.node, ast.Pass):
                    after = f"(deleted) {before}"
                _set(parent, field, index, ast.copy_location(change.node, node))
                code = rule.compile(tree)
                found.append(Mutant(rule, node.lineno, before, after, change.scales, code))
        _set(parent, field, index, node)
    return found


def _get(parent: ast.AST, field: str, index: int | None) -> Any:
    held = getattr(parent, field)
    return held if index is None else held[index]


def _set(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _shown(statement: ast.stmt) -> str:
    """A statement on one line; of a compound one (if, for, def) its head."""
    return ast.unparse(ast.fix_missing_locations(statement)).split("\n")[0]


def _places(
    node: ast.AST, statement: ast.stmt | None = None
) -> Iterator[tuple[ast.AST, str, int | None, ast.stmt]]:
    """(parent, field, index, statement) of every node below that may be changed.

    Not docstrings, type hints, defaults or checks of arguments, which compute no gradient.
    """
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return  # −1 is one number
    for field, held in ast.iter_fields(node):
        if field in ("args", "decorator_list", "returns", "annotation", "ctx", "op", "ops") and (
            not isinstance(node, ast.Call)
        ):
            continue
        for index, child in enumerate(held) if isinstance(held, list) else [(None, held)]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Raise | ast.JoinedStr):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue
            if isinstance(child, ast.If) and isinstance(child.body[0], ast.Raise):
                continue
            around = child if isinstance(child, ast.stmt) else statement
            if hasattr(child, "lineno"):
                yield node, field, index, around
            yield from _places(child, around)


def _changes(node: ast.AST, parent: ast.AST) -> Iterator[Change]:
    """What may stand in place of `node`."""
    kind = CHANGES.get(type(node))
    if kind is not None:
        yield from (c if isinstance(c, Change) else Change(c) for c in kind(node))
    if isinstance(parent, ast.Return):
        yield from _result_changes(node)


def _result_changes(value: ast.expr) -> Iterator[Change]:
    """Each result of a return multiplied by 0 and by 1.01, and neighbours exchanged."""
    if not isinstance(value, ast.Tuple):
        yield from _scaled(value)
        return
    for i, element in enumerate(value.elts):
        for change in _scaled(element):
            shown = _with(value.elts, i, [change.shown])
            yield Change(_tuple(_with(value.elts, i, [change.node])), _tuple(shown), True)
    yield from (Change(_tuple(elts)) for elts in _neighbours_exchanged(value.elts))


def _scaled(value: ast.expr) -> Iterator[Change]:
    if isinstance(value, ast.Compare | ast.BoolOp | ast.Constant):
        return  # a truth value, None or nought
    for factor in ("1.01", "0"):
        scale = ast.parse(SCALE.replace("FACTOR", factor), mode="eval").body
        scale.args[1] = value
        yield Change(scale, ast.Name(f"{factor} * ({ast.unparse(value)})"), True)


def _tuple(elements: list[ast.expr], context: ast.expr_context | None = None) -> ast.Tuple:
    return ast.Tuple(elements, context or ast.Load())


def _with(items: list[Any], index: int, new: list[Any]) -> list[Any]:
    return items[:index] + new + items[index + 1 :]


def _neighbours_exchanged(items: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for i in range(len(items) - 1):
        pair = items[i : i + 2]
        if not any(isinstance(e, ast.Starred) or _is_fixed(e) for e in pair):
            yield items[:i] + pair[::-1] + items[i + 2 :]


def _is_fixed(argument: ast.expr) -> bool:
    """The array library, which comes first, or a name in a message."""
    text = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return text or ast.unparse(argument) == "xp"


def _change_binary(node: ast.BinOp) -> Iterator[ast.expr]:
    """a + b: a, b, a − b"""
    yield node.left
    yield node.right
    if type(node.op) in OTHER_OPERATOR:
        yield ast.BinOp(node.left, OTHER_OPERATOR[type(node.op)](), node.right)


def _change_unary(node: ast.UnaryOp) -> Iterator[ast.expr]:
    """−a: a"""
    yield node.operand


def _change_constant(node: ast.Constant) -> Iterator[ast.expr]:
    """0: 1;  1: 2;  True: False"""
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)


def _change_comparison(node: ast.Compare) -> Iterator[ast.expr]:
    """a < b: a >= b, a <= b"""
    if len(node.ops) == 1:
        for table in (NEGATED, SHIFTED):
            if type(node.ops[0]) in table:
                yield ast.Compare(node.left, [table[type(node.ops[0])]()], node.comparators)


def _change_logical(node: ast.BoolOp) -> Iterator[ast.expr]:
    """a and b: a or b, a, b"""
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    yield from node.values


def _change_choice(node: ast.IfExp) -> Iterator[ast.expr]:
    """a if c else b: b if c else a, a, b;  a if needed else None: None if needed else a, None"""
    yield ast.IfExp(node.test, node.orelse, node.body)
    yield node.orelse
    if ast.unparse(node.orelse) != "None":  # what nobody asked for may be computed all the same
        yield node.body


def _change_if(node: ast.If) -> Iterator[ast.stmt]:
    """if c: if not c, if True, if False"""
    for test in (
        ast.UnaryOp(ast.Not(), node.test),
        ast.Constant(True),
        ast.Constant(False),
    ):
        yield ast.If(test, node.body, node.orelse)


def _change_comprehension(node: ast.ListComp | ast.GeneratorExp) -> Iterator[ast.expr]:
    """[… if c]: [… if not c]"""
    for i, loop in enumerate(node.generators):
        for k, test in enumerate(loop.ifs):
            ifs = _with(loop.ifs, k, [ast.UnaryOp(ast.Not(), test)])
            new = ast.comprehension(loop.target, loop.iter, ifs, loop.is_async)
            yield type(node)(node.elt, _with(node.generators, i, [new]))


def _change_call(node: ast.Call) -> Iterator[ast.expr]:
    """f(a, b): f(b, a), a;  a.m(b): a"""
    name = ast.unparse(node.func).rpartition(".")[2]
    if name not in SYMMETRIC:
        for args in _neighbours_exchanged(node.args):
            yield ast.Call(node.func, args, node.keywords)
    if name in ("tuple", "float"):
        return  # what it holds is as good
    inner = [a for a in node.args if ast.unparse(a) != "xp"]
    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) not in LIBRARIES:
        yield node.func.value
    elif inner and not isinstance(inner[0], ast.Starred):
        yield inner[0]


SYMMETRIC = ("min", "max", "minimum", "maximum", "vecdot", "row_dots")
LIBRARIES = ("self", "xp", "np", "math", "kernel", "windows", "indexing", "backend")


def _change_attribute(node: ast.Attribute) -> Iterator[ast.expr]:
    """a.T: a"""
    if node.attr in ("T", "mT"):
        yield node.value


def _change_targets(node: ast.Tuple) -> Iterator[ast.expr]:
    """a, b = …: b, a = …"""
    if isinstance(node.ctx, ast.Store):
        yield from (_tuple(elts, ast.Store()) for elts in _neighbours_exchanged(node.elts))


def _change_assignment(node: ast.Assign) -> Iterator[Any]:
    """deleted;  a[i] = b: a[i] = 0·b, a[i] = 1.01·b"""
    yield ast.Pass()
    if isinstance(node.targets[0], ast.Subscript):
        for change in _scaled(node.value):
            yield Change(
                ast.Assign(node.targets, change.node), ast.Assign(node.targets, change.shown), True
            )


def _change_update(node: ast.AugAssign) -> Iterator[Any]:
    """deleted;  a += b: a −= b, a += 0·b, a += 1.01·b"""
    yield ast.Pass()
    if type(node.op) in OTHER_OPERATOR:
        yield ast.AugAssign(node.target, OTHER_OPERATOR[type(node.op)](), node.value)
    for change in _scaled(node.value):
        yield Change(
            ast.AugAssign(node.target, node.op, change.node),
            ast.AugAssign(node.target, node.op, change.shown),
            True,
        )


def _change_expression(node: ast.Expr) -> Iterator[ast.stmt]:
    """deleted"""
    yield ast.Pass()


CHANGES: dict[type, Callable[[Any], Iterator[Any]]] = {
    ast.BinOp: _change_binary,
    ast.UnaryOp: _change_unary,
    ast.Constant: _change_constant,
    ast.Compare: _change_comparison,
    ast.BoolOp: _change_logical,
    ast.IfExp: _change_choice,
    ast.If: _change_if,
    ast.ListComp: _change_comprehension,
    ast.GeneratorExp: _change_comprehension,
    ast.Call: _change_call,
    ast.Attribute: _change_attribute,
    ast.Tuple: _change_targets,
    ast.Assign: _change_assignment,
    ast.AugAssign: _change_update,
    ast.Expr: _change_expression,
}

# ------------------------------------------------------------------------------------- the rules


class Rule(NamedTuple):
    """A function whose source is changed, by a name such as ``Mul.backward``."""

    name: str
    function: FunctionType

    def tree(self) -> ast.FunctionDef:
        """Its definition, with the file's line numbers."""
        lines, first = inspect.getsourcelines(self.function)
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
        return ast.increment_lineno(tree, first - 1)

    def compile(self, tree: ast.FunctionDef) -> CodeType:
        """The code of the definition `tree`."""
        bare = ast.Module([ast.fix_missing_locations(tree)], [])
        path = self.function.__code__.co_filename
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mutant may well call a number
            module = compile(bare, path, "exec")
        return next(c for c in module.co_consts if isinstance(c, CodeType))

    @contextlib.contextmanager
    def broken(self, code: CodeType) -> Iterator[None]:
        """The rule runs `code` inside the block, wherever it has been imported."""
        right = self.function.__code__
        self.function.__code__ = code
        forget()
        try:
            yield
        finally:
            self.function.__code__ = right
            forget()


def forget() -> None:
    """Empty the kernels' caches."""
    for function in vars(windows).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


HELPERS = [broadcasting.sum_to, normalisation.standardised, normalisation._by_channel, inner_part]
NO_GRADIENT = {  # kernels that look at arguments, or have tests of their own
    "_axes_used",
    "_check_item",
    "_is_integer",
    "check_index",
    "erf",
    "integers_first",
    "_piece",  # this and the two below only choose how to cut: tests/test_kernel_products.py
    "product",
    "transposed_product",
}
KEEPS_A_SLOPE = {  # Functions whose forward computes what their gradient is multiplied by
    "activations.LeakyReLU",
    "arithmetic.Abs",
    "comparison.Clamp",
    "comparison.Extreme",
    "losses.Pick",
    "reductions.Extreme",
}
BOTH_WAYS = {"broadcasting.SumTo", "broadcasting.BroadcastTo", "convolution.Conv2dInputGrad"}


def function_classes() -> list[type[Function]]:
    """Every Function that the package defines."""
    for module in pkgutil.walk_packages(mt.__path__, "minitorch7."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, open_ends = [], [Function]
    while open_ends:
        below = open_ends.pop().__subclasses__()
        open_ends += below
        found += [c for c in below if c.__module__.startswith("minitorch7.")]
    return sorted(found, key=lambda c: (c.__module__, inspect.getsourcelines(c)[1]))


def method_rules() -> list[Rule]:
    """Every method of every Function but those that hold no formula."""
    return [
        Rule(f"{_module(cls)}.{cls.__name__}.{name}", method)
        for cls in function_classes()
        for name, method in vars(cls).items()
        if isinstance(method, FunctionType) and name not in ("__init__", "__call__")
    ]


def _module(thing: Any) -> str:
    return thing.__module__.rpartition(".")[2]


def kernel_functions() -> dict[CodeType, Rule]:
    """Every function of the kernels, and the helpers, by its code."""
    found = {}
    package = importlib.import_module("minitorch7.kernels")
    for info in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            function = inspect.unwrap(value) if callable(value) else None
            own = isinstance(function, FunctionType) and function.__module__ == info.name
            if own and name not in NO_GRADIENT:
                found[function.__code__] = Rule(f"kernels.{_module(function)}.{name}", function)
    for function in HELPERS:
        found[function.__code__] = Rule(f"{_module(function)}.{function.__name__}", function)
    return found


# ------------------------------------------------------------------------------------ the checks


class Check(NamedTuple):
    """Something that raises where a gradient is wrong.

    `probe` gives the numbers that the check is about. It takes far less time than the check, which
    need not be run with a mutant that leaves these numbers as they were.
    """

    name: str
    run: Callable[[], None]
    probe: Callable[[], list[mt.Tensor]] | None = None


class Wrong(AssertionError):
    """A check's answer: the numbers differ."""


def first_order(case: Case, **options: float) -> None:
    """Raise unless the case's gradient agrees with finite differences."""
    _compare(case.name, worst_place(*case.build(), **options).error)


def second_order(case: Case, **options: float) -> None:
    """Raise unless the gradient of the case's gradient agrees with finite differences."""
    _compare(case.name, worst_place(*gradient_function(*case.build()), **options).error)


def first_probe(case: Case) -> list[mt.Tensor]:
    """The case's results and their gradients, for a cotangent without pattern."""
    func, inputs = case.build()
    return _with_gradients(func(*inputs), inputs)


def second_probe(case: Case) -> list[mt.Tensor]:
    """The case's gradients and their gradients."""
    first, arguments = gradient_function(*case.build())
    return _with_gradients(first(*arguments), arguments)


def _with_gradients(results: Any, inputs: list[mt.Tensor]) -> list[mt.Tensor]:
    results = [results] if isinstance(results, mt.Tensor) else list(results)
    roots = [t for t in results if t.requires_grad]
    cotangents = [
        mt.tensor(np.random.default_rng(k).standard_normal(t.shape)) for k, t in enumerate(roots)
    ]
    grads = mt.grad(roots, inputs, cotangents, allow_unused=True) if roots else ()
    return results + [g for g in grads if g is not None]


def numbers(tensors: list[mt.Tensor]) -> np.ndarray:
    """All their elements, one after another."""
    return np.concatenate([t.detach().cpu().numpy().ravel() for t in tensors])


def _compare(name: str, error: float) -> None:
    if not error <= 1:
        raise Wrong(f"{name}: {error:.3g} times the tolerance")


def agrees(found: mt.Tensor, expected: np.ndarray) -> None:
    """Raise unless a tensor holds the expected numbers."""
    found = found.detach().numpy()
    close = functools.partial(np.allclose, rtol=1e-10, atol=1e-12, equal_nan=True)
    if found.shape != expected.shape or not close(found, expected):
        raise Wrong("differs from the reference")


def convolutions_agree(*options: Any) -> None:
    """Convolution, transposed convolution and their columns, against the loops of the formulas."""
    kernel, stride, padding, dilation, groups = options
    (x, w, b), columns, expected = _convolved(*options)
    tx, tw, tb, t_columns = (mt.tensor(a) for a in (x, w, b, columns))
    steps = (kernel, dilation, padding, stride)
    found = [
        F.conv2d(tx, tw, tb, stride, padding, dilation, groups),
        F.conv_transpose2d(tx, tw, tb, stride, padding, 0, groups, dilation),
        F.unfold(tx, *steps),
        F.fold(t_columns, (6, 5), *steps),
    ]
    for one, other in zip(found, expected, strict=True):
        agrees(one, other)


@functools.cache
def _convolved(
    kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[Any, np.ndarray, list[np.ndarray]]:
    """Arguments, and what the loops make of them."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 2 * groups, 6, 5)), rng.standard_normal((2 * groups, 2, *kernel))
    b = rng.standard_normal(2 * groups)
    columns = ref_convolution.unfold(x, kernel, dilation, padding, stride)
    expected = [
        ref_convolution.conv2d(x, w, b, stride, padding, dilation, groups),
        ref_convolution.conv_transpose2d(x, w, b, stride, padding, 0, groups, dilation),
        columns,
        ref_convolution.fold(columns, (6, 5), kernel, dilation, padding, stride),
    ]
    return (x, w, b), columns, expected


CONVOLUTIONS = [
    ((3, 2), 1, 1, 1, 1),
    ((3, 2), 1, 0, 1, 2),
    ((3, 2), 2, 1, 1, 1),
    ((3, 2), 2, 2, 1, 1),
    ((3, 2), (2, 3), (0, 1), (1, 2), 2),
    ((1, 1), 1, 0, 1, 1),
    ((1, 1), 1, 0, 1, 2),
    ((1, 1), 2, 0, 1, 1),
    ((1, 1), 1, (1, 0), 1, 1),
]


def pools_agree(**options: Any) -> None:
    """Pooling against the loops of the formulas."""
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5))
    for name in ("max_pool2d", "avg_pool2d"):
        agrees(getattr(F, name)(mt.tensor(x), **options), getattr(ref_pooling, name)(x, **options))


POOLS = [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}]


def blocks_are_right() -> None:
    """`_row_blocks`: all rows once, in order, each block within BLOCK_BYTES or one row long."""
    xp = backend.library(backend.active())
    full, window = xp.zeros((3, 5, 4, 2)), windows.Window((3, 3))
    row = 3 * 9 * 4 * 2 * 8  # bytes of the columns of one output row of 4 places

    def blocks(rows: int, limit: int, x: Any = full) -> list[Any]:
        lay_out = functools.partial(convolution_kernel._row_blocks, xp, x, window, rows, 4)
        return in_blocks(limit, lambda: list(lay_out()))

    def expect(found: list[Any], lengths: list[int], memory: int | None) -> None:
        rows = [i for block, _ in found for i in block]
        sizes = [m if m is None else (m.size, str(m.dtype)) for _, m in found]
        wanted = [memory if memory is None else (memory, "float64")] * len(lengths)
        same = len({id(m) for _, m in found}) <= 1
        if not same or [len(b) for b, _ in found] != lengths or sizes != wanted:
            raise Wrong(f"blocks are {found}, expected lengths {lengths}")
        if rows != list(range(sum(lengths))):
            raise Wrong(f"the blocks' rows are {rows}")

    expect(blocks(7, 7 * row), [7], None)
    expect(blocks(0, row), [], None)
    expect(blocks(7, 1, full[..., :0]), [7], None)
    if xp is not np:  # one launch, however large
        expect(blocks(7, 1), [7], None)
        return
    expect(blocks(7, 7 * row - 1), [6, 1], 6 * row // 8)
    expect(blocks(7, 2 * row), [2, 2, 2, 1], 2 * row // 8)
    expect(blocks(7, 1), [1] * 7, row // 8)


def shortcuts_are_right() -> None:
    """The kernels' short cuts are taken where they hold, and nowhere else."""
    plain = windows.Window((1, 1))
    others = [
        plain._replace(**{field: value})
        for field in ("kernel", "stride", "padding")
        for value in ((1, 2), (2, 1), (2, 2), (0, 1), (1, 0))
        if field == "padding" or min(value)
    ]
    if not convolution_kernel._is_pointwise(plain):
        raise Wrong("a 1×1 window that visits every place is pointwise")
    if any(convolution_kernel._is_pointwise(w) for w in others):
        raise Wrong("another window is not")
    for padding in (0, 1, 2):
        window = windows.Window((3, 3), padding=(padding, padding))
        if convolution_kernel._turned_window(window) != window._replace(padding=(2 - padding,) * 2):
            raise Wrong("at stride 1 the input's gradient is a convolution")


def slopes_at_kinks() -> None:
    """The slopes that the operations' docstrings promise where the formula leaves a choice."""
    at_zero = {
        F.relu: 0,
        F.abs: 0,
        lambda x: F.leaky_relu(x, 0.2): 0.2,
        lambda x: F.elu(x, 1.5): 1.5,
        lambda x: F.clamp(x, 0, 1): 1,
        lambda x: F.clamp(x, -1, 0): 1,
        lambda x: F.maximum(x, 0 * x.detach()): 0.5,
        lambda x: F.minimum(x, 0 * x.detach()): 0.5,
        lambda x: F.maximum(0 * x.detach(), x): 0.5,
        lambda x: F.minimum(0 * x.detach(), x): 0.5,
        lambda x: F.max(x): 0.5,
        lambda x: F.min(x): 0.5,
        lambda x: F.softplus(x, 1.0, 0.0): 0.5,
        lambda x: 0.0**x: 0,
        lambda x: F.pow(0 * x.detach(), x): 0,
        lambda x: (-2.0) ** x: float("nan"),
    }
    for function, slope in at_zero.items():
        x = mt.tensor(np.zeros(2), requires_grad=True)
        agrees(mt.grad(function(x).sum(), x)[0], np.array([slope, slope]))
    x = mt.tensor(np.zeros(2), requires_grad=True)
    (slope,) = mt.grad(F.elu(x, 1.5).sum(), x, create_graph=True)
    agrees(mt.grad(slope.sum(), x)[0], np.zeros(2))
    x = mt.tensor(np.array([1.0, np.nan]), requires_grad=True)
    agrees(mt.grad(F.max(x), x)[0], np.array([0.0, 1.0]))


def values_agree() -> None:
    """Operations whose gradient is right even where the operation itself is wrong."""
    x = np.array([-2.0, -0.0, 0.0, 0.5, 3.0])
    agrees(F.leaky_relu(mt.tensor(x), 0.2), ref_elementwise.leaky_relu(x, 0.2))
    x, w, options = np.arange(12.0).reshape(1, 2, 2, 3), np.ones((2, 2, 1, 1)), (1, 0, 1, 1, 2)
    expected = ref_convolution.conv_transpose2d(x, w, None, *options)
    agrees(F.conv_transpose2d(mt.tensor(x), mt.tensor(w), None, *options), expected)
    x = np.arange(6.0).reshape(2, 3)
    agrees(F.pad(mt.tensor(x), (1, 2, 0, 1)), ref_shape.pad(x, (1, 2, 0, 1)))
    x, classes = np.arange(8.0).reshape(4, 2), mt.tensor(np.array([-1, 0, 1, 2]))
    agrees(Pick(classes.data)(mt.tensor(x)), np.array([np.nan, 2, 5, np.nan]))


def nothing_passes() -> None:
    """The gradient of an empty batch is empty, and that of its weights nought."""
    for shape, function in (((0, 2, 3), "batch_norm"), ((0, 2), "batch_norm")):
        x = mt.tensor(np.zeros(shape), requires_grad=True)
        w = mt.tensor(np.ones(2), requires_grad=True)
        y = getattr(F, function)(x, None, None, w, training=True)
        dx, dw = mt.grad((y * y).sum(), [x, w], create_graph=True)
        agrees(dx, np.zeros(shape))
        agrees(dw, np.zeros(2))
        agrees(mt.grad((dx * dx).sum(), x)[0], np.zeros(shape))


def eighths() -> mt.Tensor:
    """Numbers that float32 holds exactly, and so it holds them an eighth aside."""
    values = np.random.default_rng(0).integers(-16, 17, (2, 3)) / 8
    return mt.tensor(values, requires_grad=True)


def through_float32(x: mt.Tensor) -> mt.Tensor:
    """x², x being float32 on the way."""
    return x.float().double() ** 2


def gradient_of_a_cast() -> None:
    """float32 is too coarse for small steps; but the differences of a square are exact in any."""
    x = eighths()
    _compare("cast", worst_place(through_float32, x, eps=1 / 8).error)
    _compare("cast", worst_place(*gradient_function(through_float32, x), eps=1 / 8).error)
    narrow = x.float()
    (grad,) = mt.grad(narrow.sum(), x)
    if (narrow.dtype, grad.dtype) != (np.float32, np.float64):
        raise Wrong(f"float() gives {narrow.dtype}, and its gradient is {grad.dtype}")


def over_there(x: mt.Tensor) -> mt.Tensor:
    """x⁴, squared once on the other backend and once here."""
    other = "cupy" if x.backend == "numpy" else "numpy"
    moved = x.to(other)
    if moved.backend != other:
        raise Wrong(f"to({other!r}) stays on {moved.backend}")
    return (moved * moved).to(x.backend) ** 2


def gradient_of_a_move() -> None:
    """First and second order, between the backends."""
    with the_stand_in():
        x = eighths()
        _compare("move", worst_place(over_there, x).error)
        _compare("move", worst_place(*gradient_function(over_there, x)).error)


def keeps_float32(case: Case) -> None:
    """Raise unless float32 inputs have float32 results and gradients."""
    inputs = [t.detach().float().requires_grad_() for t in case.build()[1]]
    results = case.func(*inputs)
    found = _with_gradients(results, inputs)
    if any(t.dtype != np.float32 for t in found):
        raise Wrong(f"dtypes are {[str(t.dtype) for t in found]}")


def _can_keep_float32(case: Case) -> bool:
    """Whether the case has no float64 constants of its own."""
    try:
        keeps_float32(case)
    except (TypeError, ValueError, Wrong):
        return False
    return True


def in_blocks(limit: int, action: Callable[[], Any]) -> Any:
    """`action` with the convolutions cut into blocks of at most `limit` bytes, or of one row."""
    before = convolution_kernel.BLOCK_BYTES
    convolution_kernel.BLOCK_BYTES = limit
    try:
        return action()
    finally:
        convolution_kernel.BLOCK_BYTES = before


def checks() -> list[Check]:
    """All of them, on the active backend."""
    part = functools.partial
    found = [Check(f.__name__, f) for f in SINGLE_CHECKS]
    found += [Check(f"convolutions {o}", part(convolutions_agree, *o)) for o in CONVOLUTIONS]
    for case in CASES:
        run, probe = part(first_order, case), part(first_probe, case)
        found.append(Check(f"{case.name}, 1st order", run, probe))
        if case.second_order:
            run, probe = part(second_order, case), part(second_probe, case)
            found.append(Check(f"{case.name}, 2nd order", run, probe))
    for check in [c for c in found if c.name.startswith("conv")]:
        run, probe = (f and part(in_blocks, 1, f) for f in (check.run, check.probe))
        found.append(Check(f"{check.name}, a row a block", run, probe))
    for options in CONVOLUTIONS:
        run = part(in_blocks, 5000, part(convolutions_agree, *options))
        found.append(Check(f"convolutions {options}, some rows a block", run))
    found += [Check(f"pools {o}", part(pools_agree, **o)) for o in POOLS]
    found += [
        Check(f"{case.name}, float32", part(keeps_float32, case))
        for case in CASES
        if _can_keep_float32(case)
    ]
    return found


SINGLE_CHECKS = [
    blocks_are_right,
    shortcuts_are_right,
    slopes_at_kinks,
    values_agree,
    nothing_passes,
    gradient_of_a_cast,
    gradient_of_a_move,
]

# ------------------------------------------------------------------------------------- the trial


class Suite(NamedTuple):
    """The rules, and for each the checks that reach it, the quickest first."""

    rules: list[Rule]
    checks: dict[str, list[Check]]  # by the name of the rule
    right: dict[str, np.ndarray]  # what each probe gives while nothing is broken
    failing: list[str]  # the checks that fail although nothing is broken, which are of no use


def recorded() -> Suite:
    """Run every check once, right as the rules are, and record what each calls."""
    methods, kernels = method_rules(), kernel_functions()
    by_code = {rule.function.__code__: rule for rule in methods} | kernels
    backward = {r.function.__code__ for r in methods if r.name.endswith(".backward")}
    reached: dict[str, list[tuple[float, Check]]] = {}
    in_gradients: set[CodeType] = set()
    elsewhere: set[CodeType] = set()
    failing: list[str] = []
    right: dict[str, np.ndarray] = {}
    for check in checks():
        called, start = _Calls(backward), time.perf_counter()
        forget()
        try:
            with quiet():
                check.run()
                seconds = time.perf_counter() - start
                with called:
                    if check.probe is None:
                        check.run()
                    else:
                        right[check.name] = numbers(check.probe())
        except Exception as error:
            failing.append(f"{check.name}: {type(error).__name__}: {error}")
            continue
        in_gradients |= called.in_backward
        elsewhere |= called.elsewhere
        for code in (called.in_backward | called.elsewhere) & by_code.keys():
            reached.setdefault(by_code[code].name, []).append((seconds, check))
    rules = [
        rule
        for rule in methods
        if not rule.name.endswith(".forward")
        or rule.name.removesuffix(".forward") in KEEPS_A_SLOPE | BOTH_WAYS
        or rule.function.__code__ in in_gradients - elsewhere
    ]
    rules += [rule for code, rule in kernels.items() if code in in_gradients]
    ordered = {
        name: [check for _, check in sorted(timed, key=lambda pair: pair[0])]
        for name, timed in reached.items()
    }
    return Suite(rules, ordered, right, failing)


@contextlib.contextmanager
def the_stand_in() -> Iterator[None]:
    """The CuPy stand-in, or what is installed as CuPy already."""
    with contextlib.nullcontext() if "cupy" in backend._libraries else standin.installed():
        yield


class _Calls:
    """What is called inside the block: while a backward rule runs, and otherwise."""

    def __init__(self, backward: set[CodeType]) -> None:
        self.backward, self.depth = backward, 0
        self.elsewhere: set[CodeType] = set()
        self.in_backward: set[CodeType] = set()

    def __enter__(self) -> None:
        sys.setprofile(self._notice)

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)

    def _notice(self, frame: Any, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call":
            (self.in_backward if self.depth else self.elsewhere).add(code)
            self.depth += code in self.backward
        elif event == "return":
            self.depth -= code in self.backward


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, and NaN in fresh memory, so that what was forgotten is not there by luck."""
    right = np.empty
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.empty = _empty
        try:
            yield
        finally:
            np.empty = right


def _empty(shape: Any, dtype: Any = float, **options: Any) -> np.ndarray:
    kind = np.dtype(dtype).kind
    return np.full(shape, np.nan if kind == "f" else 99, dtype, **options)


def notice(suite: Suite, mutant: Mutant) -> str:
    """What the first check that fails says; empty where none does."""
    with mutant.rule.broken(mutant.code), quiet():
        for check in suite.checks.get(mutant.rule.name, []):
            try:
                if _may_notice(suite, check):
                    check.run()
            except Exception as error:  # a wrong shape or a lost name is noticed too
                return f"{type(error).__name__}: {error}"
    return ""


def _may_notice(suite: Suite, check: Check) -> bool:
    """Whether the broken rule changes what the check is about."""
    if check.probe is None:
        return True
    found, right = numbers(check.probe()), suite.right[check.name]
    return found.shape != right.shape or not np.allclose(found, right, rtol=1e-9, atol=1e-12)


class Result(NamedTuple):
    """How the mutants of one rule fared."""

    rule: Rule
    wrong: int  # noticed by another number
    raised: int  # noticed by another error
    equivalent: list[Mutant]  # unnoticed, and rightly so
    survivors: list[Mutant]


def trial(suite: Suite, rule: Rule, tried: Sequence[Mutant] | None = None) -> Result:
    """Break a rule in every way, or in the ways given."""
    tried = mutants(rule) if tried is None else tried
    wrong = raised = 0
    unnoticed = []
    for mutant in tried:
        said = notice(suite, mutant)
        if not said:
            said = _notice_on_the_stand_in(suite, mutant)
        wrong += said.startswith(Wrong.__name__)
        raised += bool(said) and not said.startswith(Wrong.__name__)
        if not said:
            unnoticed.append(mutant)
    known = [m for m in unnoticed if m.mutated in EQUIVALENT.get(rule.name, {})]
    return Result(rule, wrong, raised, known, [m for m in unnoticed if m not in known])


def _notice_on_the_stand_in(suite: Suite, mutant: Mutant) -> str:
    """`notice` with the arrays of the CuPy stand-in, which is stricter and takes other branches."""
    with the_stand_in(), mt.using("cupy"):
        return notice(suite, mutant)


# Mutations that change no result: {rule: {mutated line: reason}}.

LAYOUT = "only where numbers lie in memory: what follows copies where it must"
SLOWER = "only which of two ways is taken: the other gives the same numbers, more slowly"
UNASKED = "computes a gradient that nobody asked for, which the walk drops"
CAST_LATER = "an array of truth values is cast when it is multiplied"
EMPTY = "what is added or written here is empty"
OVERWRITTEN = "fresh memory: its contents are overwritten before they are read"
DISCARDED = "a branch that where() throws away; any finite number does"
NUMBER = "a Python number takes the array's dtype"
FIRST_TWO = "only the first two lengths are read"
VECDOT = "every NumPy from 2.0 on has vecdot"
UNREACHED = dict.fromkeys(("if True:", "if i.stop or j.stop:", "if i.stop:", "if j.stop:"), EMPTY)

EQUIVALENT: dict[str, dict[str, str]] = {
    "activations.ReLU.backward": {
        "return Masked()(grad, y)": "Masked has no gradient for its mask; detach() spares the walk the visit",  # noqa: E501
    },
    "activations.LeakyReLU.forward": {
        "steepness = xp.where(x > 0, 1, xp.asarray(self.slope, x.dtype))": NUMBER,
        "steepness = xp.where(x > 0, xp.asarray(1, x.dtype), self.slope)": NUMBER,
    },
    "broadcasting.SumTo.forward": {
        "stretched = [lead + i for i, n in enumerate(self.shape) if n == 1]": "the sum over an axis of length 1 is the element",  # noqa: E501
        "return xp.sum(x, axis=axes, keepdims=False).reshape(self.shape)": "the reshape puts the axes of length 1 back",  # noqa: E501
    },
    "arithmetic.Pow._log": {
        "return 0.0 if x == 0 else float(np.log(x))": "NumPy's logarithm of a negative number is NaN too, with a warning",  # noqa: E501
        "return 0.0 if x == 0 else float(np.log(x)) if x >= 0 else float('nan')": "0 has been answered before",  # noqa: E501
    },
    "arithmetic.Pow._slope": {
        "return 0.0 if p == 0 else p * x ** (p - 1)": "0 with x's history and without: both have the derivative 0",  # noqa: E501
        "return where(p == 0, 0.0, p * x ** where(p == 0, 1.0, p - 1))": DISCARDED,
    },
    "comparison.Clamp.forward": {
        "self.save(inside)": CAST_LATER,
    },
    "broadcasting.sum_to": {
        "if False:": "a sum to its own shape adds nothing up",
    },
    "convolution.Conv2d.backward": {
        "if True:": UNASKED,
        "if need_x or need_w:": UNASKED,
        "if need_x:": UNASKED,
        "if need_w:": UNASKED,
    },
    "lookup.EmbeddingGrad.backward": {
        "if False:": "every id differs from None: all rows are kept",
        "kept = (self.ids != self.padding_idx)[..., None]": CAST_LATER,
        "return rows * Tensor(kept)": "the comparison of an array is an array of the same library already",  # noqa: E501
    },
    "losses.Pick.forward": {
        "return xp.where(valid, picked, float('nan'))": NUMBER,
    },
    "losses.Pick._one_hot": {
        "return xp.expand_dims(self.target, 1) == steps": CAST_LATER,
    },
    "normalisation.BatchNormGrad.backward": {
        "count = x.numel() // x.shape[1]": "without elements the quotient is multiplied with an empty x̂",  # noqa: E501
        "count = max(x.numel() // x.shape[1], 2)": "a channel of one element is refused, and one of none has an empty x̂",  # noqa: E501
    },
    "normalisation.StandardiseGrad.forward": {
        "(deleted) g, x = (xp.ascontiguousarray(g), xp.ascontiguousarray(x))": LAYOUT,
        "g, x = (g, xp.ascontiguousarray(x))": LAYOUT,
        "g, x = (xp.ascontiguousarray(g), x)": LAYOUT,
    },
    "kernels.convolution.conv2d_input_grad": {
        "if False:": SLOWER,
    },
    "kernels.convolution.conv2d_grads": {
        "if True:": SLOWER,
        "return (batch_first(dx), _turned_weights(dw, groups))": LAYOUT,
    },
    "kernels.convolution._turned_window": {
        "if window.stride != (1, 1):": "a negative padding crops, and the way through the turned window is as right",  # noqa: E501
    },
    "kernels.convolution._turned_weights": {
        "turned = w.reshape(groups, outputs // groups, inputs, kw, kh)[..., ::-1, ::-1]": "both axes in reverse order are the elements in reverse order, whatever the two lengths",  # noqa: E501
    },
    "kernels.convolution._columns": {
        "if False:": SLOWER,
        "if _is_pointwise(window) and ow == x.shape[2] and (rows.stop < x.shape[1]):": SLOWER,
        "return xp.ascontiguousarray(x[:, rows.start:rows.stop])": SLOWER,
        "return x if rows == x.shape[1] else xp.ascontiguousarray(x[:, rows.start:rows.stop])": SLOWER,  # noqa: E501
        "return x if len(rows) == x.shape[1] else x[:, rows.start:rows.stop]": LAYOUT,
    },
    "kernels.convolution._workspace": {
        "if True:": OVERWRITTEN,
        "return 1.01 * (xp.empty(shape, dtype=dtype))": OVERWRITTEN,
        "return 0 * (xp.empty(shape, dtype=dtype))": OVERWRITTEN,
        "return 1.01 * (memory[:n].reshape(shape))": OVERWRITTEN,
        "return 0 * (memory[:n].reshape(shape))": OVERWRITTEN,
    },
    "kernels.indexing.add_at": {
        "if True:": SLOWER,
        "if (_is_integer_array(item) for item in where):": SLOWER,
    },
    "kernels.indexing._is_integer_array": {
        "return hasattr(item, 'dtype')": SLOWER,
    },
    "kernels.normalisation.channel_rows": {
        "last = xp.moveaxis(x, 0, -1)": LAYOUT,
    },
    "kernels.normalisation.row_dots": {
        "if False:": SLOWER,
        "if xp is np:": VECDOT,
        "if xp is np and np:": VECDOT,
    },
    "kernels.pooling.unpool_max": {
        "(i, j), (r, c) = _slices(window, size, tap, g.shape[1:4])": FIRST_TWO,
        **UNREACHED,
    },
    "kernels.pooling.pick_max": {
        "(i, j), (r, c) = _slices(window, x.shape[1:3], tap, taps.shape[1:4])": FIRST_TWO,
        **UNREACHED,
    },
    "kernels.pooling.spread_sum": {
        "(i, j), (r, c) = _slices(window, size, tap, g.shape[1:4])": FIRST_TWO,
        **UNREACHED,
    },
    "kernels.windows.batch_last": {
        "return xp.moveaxis(x, 0, -1)": LAYOUT,
    },
    "kernels.windows.im2col": {
        "col = xp.empty(shape, dtype=x.dtype)": OVERWRITTEN,
        **UNREACHED,
    },
    "kernels.pooling.sum_pool2d": {
        **UNREACHED,
    },
    "kernels.windows.col2im": {
        **UNREACHED,
    },
    "kernels.windows._zero_outside": dict.fromkeys(
        [
            "if True:",
            "if i.start >= 0:",
            "if i.stop <= block.shape[1]:",
            "if j.start >= 0:",
            "if j.stop <= block.shape[2]:",
        ],
        EMPTY,
    ),
}

# -------------------------------------------------------------------------------- the command line


def main(arguments: list[str] | None = None) -> int:
    """Break the rules and print the table; the exit status is 1 where a mutant survives."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--match", default="", help="only rules with this in their name")
    parser.add_argument("--list", action="store_true", help="show the mutants, run nothing")
    options = parser.parse_args(arguments)
    if options.list:
        every = method_rules() + list(kernel_functions().values())
        for mutant in (m for r in every if options.match in r.name for m in mutants(r)):
            print(f"{mutant.place}  {mutant.rule.name}\n  - {mutant.line}\n  + {mutant.mutated}")
        return 0
    suite = recorded()
    rules = [rule for rule in suite.rules if options.match in rule.name]
    if not rules:
        parser.error(f"no rule has {options.match!r} in its name")
    results = [trial(suite, rule) for rule in tqdm(rules, unit="rule", disable=None)]
    unreached = [rule.name for rule in rules if rule.name not in suite.checks]
    report(results)
    for name in suite.failing:
        print(f"fails although no rule is broken: {name}")
    for name in unreached:
        print(f"{name} is reached by no check")
    return int(bool(suite.failing or unreached or any(r.survivors for r in results)))


def report(results: Sequence[Result]) -> None:
    """Print the table, then whatever is amiss."""
    print(f"{'rule':38} {'mutants':>8} {'wrong':>6} {'raised':>7} {'same':>5} {'survive':>8}")
    totals = np.zeros(5, int)
    for r in results:
        counts = [r.wrong, r.raised, len(r.equivalent), len(r.survivors)]
        totals += [sum(counts), *counts]
        print(f"{r.rule.name:38} {sum(counts):8} " + "{:6} {:7} {:5} {:8}".format(*counts))
    sums = "{:8} {:6} {:7} {:5} {:8}".format(*totals)
    print(f"{f'{len(results)} rules':38} {sums}")
    for mutant in (m for r in results for m in r.survivors):
        print(f"{mutant.place}: {mutant.rule.name} survives\n  - {mutant.line}")
        print(f"  + {mutant.mutated}")


if __name__ == "__main__":
    sys.exit(main())
