"""Break every backward rule, one at a time, and show that the checks notice.

    python tests/break_rules.py                  # everything, about a minute on one core
    python tests/break_rules.py --match Conv2d   # the rules with this in their name
    python tests/break_rules.py --list           # the mutants, without running them

A gradient check that passes proves little until it is known to fail where it should. So this script
rewrites the source of one rule in one place (a factor left out, a sign turned, two arguments
exchanged: a *mutant*), puts it in place of the rule, and runs the checks that reach it. A mutant
that no check notices *survives*: either a case is missing, or the mutation changes nothing. The
latter are listed, each with its reason, in `EQUIVALENT`; any other survivor is an error.

The rules are the `backward` of every `Function` and the methods it calls, the `forward` of those
Functions that only a gradient needs, every kernel but those of `NO_GRADIENT`, and a few helpers.
Which check reaches which rule is found by running the checks once and recording what is called; a
rule that nothing calls is an error too.

The cases are small, and small work takes the plainest way through the kernels. So the checks run a
second time with the kernels' limits changed (`ANOTHER_WAY`): in every way of convolving, and with
rows, pieces and channels cut as finely as they can be.

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
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import standin
import test_columns
from reference import convolution as ref_convolution
from reference import elementwise as ref_elementwise
from reference import normalisation as ref_normalisation
from reference import pooling as ref_pooling
from reference import resampling as ref_resampling
from reference import shape as ref_shape
from reference.checking import WAYS, convolving
from test_columns import columns_of, expected_columns, picture
from tqdm import tqdm

import minitorch7 as mt
from minitorch7 import backend
from minitorch7 import functional as F
from minitorch7.autograd import Function
from minitorch7.functional import broadcasting, normalisation
from minitorch7.functional.losses import Pick
from minitorch7.functional.shape import inner_part
from minitorch7.gradcheck import gradient_function, worst_place
from minitorch7.gradcheck.cases import CASES, Case, constant, normal
from minitorch7.kernels import (
    columns,
    elementwise,
    phases,
    pooling,
    products,
    taps,
    textbook,
    threads,
    windows,
)
from minitorch7.kernels import convolution as convolution_kernel
from minitorch7.kernels import normalisation as kernels_of_rows

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


TAKES_OVER = {"cuda.takes", "without_columns", "_fused"}  # conditions that hold on a GPU alone
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
        if before in NO_FORMULA.get(rule.name, ()):
            continue
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
                elif isinstance(change.node, ast.If) and isinstance(change.node.test, ast.Constant):
                    after += f"  # {before}"
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

    Not docstrings, type hints, defaults or checks of arguments, which compute no gradient; nor
    where a GPU's kernel takes over, which the checks do not reach: tests/test_cuda_wired.py.
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
            if isinstance(child, ast.If) and _takes_over(child.test):
                continue
            around = child if isinstance(child, ast.stmt) else statement
            if hasattr(child, "lineno"):
                yield node, field, index, around
            yield from _places(child, around)


def _takes_over(test: ast.expr) -> bool:
    """Whether a condition asks for nothing but a kernel for the GPU."""
    return isinstance(test, ast.Call) and ast.unparse(test.func) in TAKES_OVER


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


SYMMETRIC = ("min", "max", "minimum", "maximum", "multiply", "swapaxes", "vecdot", "row_dots")
LIBRARIES = ("self", "xp", "np", "math", "kernel", "windows", "indexing", "backend", "threads")


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


@functools.cache
def kernel_modules() -> list[ModuleType]:
    """Every file of ``minitorch7/kernels/``."""
    package = importlib.import_module("minitorch7.kernels")
    names = [info.name for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names]


def forget() -> None:
    """Empty the kernels' caches."""
    for module in kernel_modules():
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()


HELPERS = [broadcasting.sum_to, normalisation.standardised, normalisation._by_channel, inner_part]
LOOKS = "looks at an index and computes nothing: tests/test_bad_input.py"
PRODUCTS = "only chooses how a product is cut: tests/test_kernel_products.py"
COLUMNS = "only chooses how rows are cut: tests/test_columns.py"
THREADS = "only chooses how rows are cut: tests/test_threads.py"
ON_A_GPU = "is for a GPU alone: tests/test_cuda_wired.py"
NO_GRADIENT = {  # kernels, or whole files of them, that are not broken, and why
    "columns.col2im": ON_A_GPU,
    "columns.im2col": ON_A_GPU,
    "columns.Layout.blocks": "is what the layouts replace",
    "columns.Layout.most_parts": COLUMNS,
    "columns.SharedRows.most_parts": COLUMNS,
    "columns.rows_at_a_time": COLUMNS,
    "convolution._gradient_parts": THREADS,
    "convolution._parts": THREADS,
    "convolution._turning_costs_more": "only chooses between two ways, both of which are checked",
    "convolution.without_columns": ON_A_GPU,
    "convolution._places": ON_A_GPU,
    "convolution._worth_aside": "only chooses who computes: tests/test_threads.py",
    "convolution.column_bytes": "predicts memory: tests/test_memory.py",
    "convolution.workspace_bytes": "predicts memory: tests/test_memory.py",
    "indexing._axes_used": LOOKS,
    "indexing._check_item": LOOKS,
    "indexing._is_integer": LOOKS,
    "indexing.check_index": LOOKS,
    "indexing.integers_first": "computes no number: tests/test_reference_lookup.py",
    "philox": "holds no gradient: tests/test_cuda_kernels.py",
    "products._piece": PRODUCTS,
    "products._row_parts": PRODUCTS,
    "products.parts_of": PRODUCTS,
    "recurrent._fused": ON_A_GPU,
    "resampling.memory_order": "only chooses an order: tests/test_reference_resampling.py",
    "special": "has a value for every float: tests/test_reference_elementwise.py",
    "textbook": "is called by tests only: tests/test_textbook.py",
    "threads": "holds no formula, and waits for ever when broken: tests/test_threads.py",
}
NO_FORMULA = {  # statements of the others that only choose how the work is cut, or who does it when
    "kernels.columns.Taps._lay": {"parts = threads.cut(len(self.x), 1 + col.size // PART)"},
    "kernels.convolution._side_by_side": {
        "threads.share(gradient, 2, xp is not np or g.size * w[0].size < SIDE_BY_SIDE)",
    },
    "kernels.convolution.conv2d_input_grad": {
        "apart = turned is None and (not large) and phases.pay(xp, g, w.shape[1], window)",
        "found = phases.of(window, size) if apart else None",
    },
    "kernels.convolution.conv2d_grads": {"late = late and _worth_aside(xp, g, w.shape)"},
    "kernels.convolution.conv2d_weight_grad": {"late = late and _worth_aside(xp, g, w_shape)"},
    "kernels.convolution._gradients": {
        "parts = _gradient_parts(xp, lay, len(x), 1 if weights is None else 2)",
        "tall = weights is None and len(x) >= 256",
    },
    "kernels.convolution._scatter": {
        "step = rows_at_a_time(xp, len(matrix) * g.itemsize, oh, ow * batch)",
    },
    "kernels.elementwise.in_pieces": {
        "parts = threads.cut(len(pieces), min(8, 1 + size // LARGE))",
    },
    "kernels.normalisation.over_rows": {
        "blocks = threads.cut(len(x), -(-x.nbytes // BLOCK_BYTES) if xp is np else 1)",
    },
    "kernels.normalisation.row_sums": {
        "if xp is np and x.shape[1] > 64:",
        "ones = _ones if x.shape[1] > KEPT_ONES else _kept_ones",
    },
    "kernels.pooling._by_channels": {
        "parts = threads.cut(len(x), min(8, 1 + x.size // PART) if xp is np else 1)",
    },
    "kernels.recurrent._input_grad": {
        "parts = threads.cut(len(dx), products.parts_of(dx.size * w[:, :, 0].size) if xp is np else 1)",  # noqa: E501
    },
    "kernels.recurrent._products": {
        "alone = xp is not np or products.parts_of(found.size * len(by)) == 1",
    },
    "kernels.resampling.turns": {  # see tests/test_reference_resampling.py
        "rank = np.arange(len(source)) - np.searchsorted(source, source)",
        "return [np.flatnonzero(rank == r) for r in range(rank.max(initial=-1) + 1)]",
    },
    "kernels.products.product": {
        "piece = _piece(m * k, n, 64)",
        "parts = _row_parts(m, m * k * n * b.shape[0])",
        "if len(parts) <= 1:",
    },
    "kernels.products.transposed_product": {
        "piece = _piece(m * k, n, 128) if m < FEW else None",
        "if 2 * m >= FEW and k >= 4 * m:",
        "a = np.ascontiguousarray(a)",
        "parts = _row_parts(k, m * k * n * b.shape[0])",
    },
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
    """Every Function that the package defines, but those that look beyond one process.

    What several processes differentiate, several processes check: `tests/test_distributed.py`.
    """
    for module in pkgutil.walk_packages(mt.__path__, "minitorch7."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, open_ends = [], [Function]
    while open_ends:
        below = open_ends.pop().__subclasses__()
        open_ends += below
        found += [
            c
            for c in below
            if c.__module__.startswith("minitorch7.")
            and not c.__module__.startswith("minitorch7.distributed.")
        ]
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
    """Every function and method of the kernels but those of `NO_GRADIENT`, by its code."""
    found = {}
    for module in kernel_modules():
        room = module.__name__.rpartition(".")[2]
        for function in _defined_in(module):
            name = f"{room}.{function.__qualname__}"
            if not {room, name} & NO_GRADIENT.keys():
                found[function.__code__] = Rule(f"kernels.{name}", function)
    return found


def helper_functions() -> dict[CodeType, Rule]:
    """`HELPERS` by their codes."""
    return {f.__code__: Rule(f"{_module(f)}.{f.__name__}", f) for f in HELPERS}


def _defined_in(module: ModuleType) -> Iterator[FunctionType]:
    """The functions written in a file, and the methods of its classes."""
    for value in vars(module).values():
        for member in vars(value).values() if isinstance(value, type) else [value]:
            function = inspect.unwrap(member) if callable(member) else None
            if isinstance(function, FunctionType):
                if function.__code__.co_filename == module.__file__:
                    yield function


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


WRONG = ("Wrong: ", "AssertionError: ")  # how what a check says begins


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
    grads = [None] * len(inputs)
    if roots:
        grads = mt.grad(roots, inputs, cotangents, allow_unused=True)
    nought = (mt.tensor(np.zeros(t.shape, t.dtype)) for t in inputs)  # what no path leads to
    return results + [z if g is None else g for z, g in zip(nought, grads, strict=True)]


def numbers(tensors: list[mt.Tensor]) -> np.ndarray:
    """All their elements, one after another."""
    return np.concatenate([t.detach().cpu().numpy().ravel() for t in tensors])


def _compare(name: str, error: float) -> None:
    if not error <= 1:
        raise Wrong(f"{name}: {error:.3g} times the tolerance")


def agrees(found: mt.Tensor, expected: np.ndarray) -> None:
    """Raise unless a tensor holds the expected numbers."""
    if not _close(found.detach().numpy(), expected):
        raise Wrong("differs from the reference")


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    same = found.shape == expected.shape
    return same and np.allclose(found, expected, rtol=1e-10, atol=1e-12, equal_nan=True)


def convolutions_agree(*options: Any) -> None:
    """Convolution, transposed convolution and their columns, against the loops of the formulas."""
    kernel, stride, padding, dilation, groups = options
    (x, w, b), col, expected = _convolved(*options)
    tx, tw, tb, t_col = (mt.tensor(a) for a in (x, w, b, col))
    steps = (kernel, dilation, padding, stride)
    found = [
        F.conv2d(tx, tw, tb, stride, padding, dilation, groups),
        F.conv_transpose2d(tx, tw, tb, stride, padding, 0, groups, dilation),
        F.unfold(tx, *steps),
        F.fold(t_col, (6, 5), *steps),
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
    col = ref_convolution.unfold(x, kernel, dilation, padding, stride)
    expected = [
        ref_convolution.conv2d(x, w, b, stride, padding, dilation, groups),
        ref_convolution.conv_transpose2d(x, w, b, stride, padding, 0, groups, dilation),
        col,
        ref_convolution.fold(col, (6, 5), kernel, dilation, padding, stride),
    ]
    return (x, w, b), col, expected


CONVOLUTIONS = [
    ((3, 2), 1, 1, 1, 1),
    ((3, 2), 1, 0, 1, 2),
    ((3, 2), 2, 1, 1, 1),
    ((3, 2), 2, 2, 1, 1),
    ((3, 2), (2, 3), (0, 1), (1, 2), 2),
    ((2, 2), 1, 1, (2, 3), 1),
    ((1, 1), 1, 0, 1, 1),
    ((1, 1), 1, 0, 1, 2),
    ((1, 1), 2, 0, 1, 1),
    ((1, 1), 1, (1, 0), 1, 1),
]


def pools_agree(size: int, stride: int, padding: int) -> None:
    """Pooling against the loops of the formulas: any numbers, equals, none above −∞, and whole."""
    x, options = np.random.default_rng(0).standard_normal((2, 3, 6, 5)), (size, stride, padding)
    for name in ("max_pool2d", "avg_pool2d"):
        agrees(getattr(F, name)(mt.tensor(x), *options), getattr(ref_pooling, name)(x, *options))
    for values in (x, np.round(x), np.full_like(x, -np.inf), np.int64(10 * x) - 20):
        found = F.max_pool2d(mt.tensor(values), *options, return_indices=True)
        expected = ref_pooling.max_pool2d(values, *options, return_indices=True)
        for one, other in zip(found, expected, strict=True):
            agrees(one, other)


POOLS = [(2, 2, 0), (3, 2, 1)]


def norms_agree(function: str, affine: bool) -> None:
    """Normalisation and its running statistics against the loops of the formulas."""
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((3, 4, 2)) + 2, *rng.standard_normal((2, 4))
    train = {"training": True} if function == "batch_norm" else {}
    arrays = [np.zeros(4), np.ones(4), *([w, b] if affine else [])]
    tensors = [mt.tensor(a.copy()) for a in arrays]
    found = getattr(F, function)(mt.tensor(x), *tensors, **train)
    agrees(found, getattr(ref_normalisation, function)(x, *arrays, **train))
    for statistic, expected in zip(tensors[:2], arrays[:2], strict=True):
        agrees(statistic, expected)


NORMS = [("batch_norm", True), ("batch_norm", False), ("instance_norm", True)]


def resampling_agrees(size: tuple[int, int], mode: str, align_corners: bool | None) -> None:
    """Interpolation against the loops of the formula, smaller and larger."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    options = {"mode": mode, "align_corners": align_corners}
    agrees(
        F.interpolate(mt.tensor(x), size, **options), ref_resampling.interpolate(x, size, **options)
    )


RESAMPLING = [
    ((7, 5), "nearest", None),
    ((4, 8), "nearest", None),
    ((3, 9), "nearest", None),
    ((7, 3), "bilinear", False),
    ((3, 9), "bilinear", True),
    ((1, 5), "bilinear", True),
]


# The kernels alone, where their callers hide something, in the active library's arrays.


def library() -> Any:
    return backend.library(backend.active())


def there(*arrays: np.ndarray) -> list[Any]:
    """The arrays as the active library's."""
    return [mt.tensor(a).data for a in arrays]


def all_agree(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Raise unless arrays hold the expected numbers, each of them of any library."""
    for one, other in zip(found, expected, strict=True):
        agrees(mt.tensor(one), backend.to_numpy(other))


def sums_agree() -> None:
    """Sums along rows, which take another way where the rows are long."""
    for length in (64, 65):
        a, b = np.random.default_rng(length).standard_normal((2, 3, length))
        ta, tb = there(a, b)
        found = [
            kernels_of_rows.row_sums(library(), ta),
            kernels_of_rows.row_dots(library(), ta, tb),
        ]
        all_agree(found, [a.sum(1, keepdims=True), (a * b).sum(1, keepdims=True)])


def rounding_is_taken_out() -> None:
    """Numbers far from nought are standardised as those near it; a mean may be a little off."""
    rng = np.random.default_rng(0)
    x, g = rng.integers(-16, 17, (3, 7)) / 8, rng.standard_normal((3, 7))
    near, far, tg, *vectors = there(x, x + 2.0**26, g, *rng.standard_normal((2, 3)))
    for scale, shift in (vectors, (None, None)):

        def standardised(x: Any, scale: Any = scale, shift: Any = shift) -> tuple[Any, ...]:
            return kernels_of_rows.standardise(library(), x, 1e-5, scale, shift)

        right = standardised(near)
        with mock.patch.object(kernels_of_rows, "row_sums", _Poor(kernels_of_rows.row_sums)):
            all_agree(standardised(near), right)
        (out, _, *spread), (expected, mean, variance, inverse) = standardised(far), right
        all_agree([out, *spread], [expected, variance, inverse])
        grads, again = (
            kernels_of_rows.standardise_grad(library(), tg, near, m, inverse, scale)
            for m in (mean, mean + 0.1)
        )
        all_agree(again, grads)


class _Poor:
    """A function of which every other result, from the first on, is a little off."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.function(*args) * (1.01 if self.calls % 2 else 1)


def pieces_agree() -> None:
    """Arrays in one order of memory are worked on piece by piece, others as they are."""
    xp = library()
    x = xp.arange(24.0).reshape(2, 3, 4)
    for order, other, cut in (
        ((0, 1, 2), (0, 1, 2), True),
        ((2, 0, 1), (2, 0, 1), True),
        ((2, 1, 0), (2, 1, 0), True),
        ((0, 1, 2), (1, 0, 2), False),
        ((1, 2, 0), (0, 1, 2), False),
    ):
        a, b = (
            xp.ascontiguousarray(x.transpose(o)).transpose(np.argsort(o)) for o in (order, other)
        )
        sizes: list[int] = []
        y = xp.empty_like(a)

        def work(a: Any, b: Any, y: Any, sizes: list[int] = sizes) -> None:
            xp.add(a, 2 * b, out=y)
            sizes.append(a.size)

        with at_limits(PIECE=5, LARGE=1):
            elementwise.in_pieces(xp, work, a, b, y)
            all_agree([y], [3 * x])
            equal(sorted(sizes), [4, 5, 5, 5, 5] if cut and xp is np else [24])
        with at_limits(PIECE=24):
            sizes.clear()
            elementwise.in_pieces(xp, work, a, b, y)
            equal(sizes, [24])


def masks_agree() -> None:
    """What is let through, also where the mask is stretched; and arguments are left alone."""
    x, mask = np.arange(-3.0, 3.0).reshape(2, 3), np.array([1.0, 0.0, 0.5])
    for one, other in ((x, mask), (x, np.stack([mask, -mask])), (x[:, :1], x)):
        found = elementwise.masked(library(), *there(one, other))
        all_agree([found], [one * (other > 0)])
    for values in (x, np.int64(x)):
        (before,) = there(values)
        after = elementwise.relu(library(), before)
        all_agree([before, after], [values, values * (values > 0)])


def products_agree(stack: int, m: int, k: int, n: int, piece: int | None) -> None:
    """Both products of stacks: whole, cut into pieces of a length, and into a row each."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((stack, k, n))
    rows = rng.standard_normal((stack, m, n))
    ta, tb, t_rows, out = there(a, b, rows, np.zeros((stack, m, n)))
    with mock.patch.object(products, "_piece", lambda *size: piece):
        products.product(library(), ta, tb, out)
        found = products.transposed_product(library(), t_rows, tb)
    all_agree([out, found], [a @ b, (b @ rows.transpose(0, 2, 1)).sum(0)])


PRODUCTS = [(1, 3, 5, 12, None), (2, 3, 5, 12, 4), (3, 16, 64, 6, 3), (2, 32, 5, 4, 2)]


def layouts_agree(kind: Any, size: Any, window: windows.Window, oh: int, ow: int, n: int) -> None:
    """The columns of a layout against im2col's, and its weights there and back."""
    if kind is columns.SharedRows and library() is not np:
        return
    lay = kind(library(), picture(library(), 2, *size, n), window, oh, ow)
    for sizes in ({"BLOCK_BYTES": 1, "ROOM_BYTES": 1}, {"BLOCK_BYTES": 1}, {"PART": 1}):
        for rows in (range(oh), range(1, oh - 1)):
            with at_limits(FEWEST_COLUMNS=1, **sizes):
                found = columns_of(lay, rows)
            all_agree([found], [expected_columns(lay, rows)])
    w = picture(library(), 3, 2, *window.kernel)
    all_agree([lay.weights(lay.matrix(w))], [w])


LAYOUTS = [
    (columns.Picture, (4, 3), windows.Window((1, 1)), 4, 3, 2),
    (columns.Taps, (4, 3), windows.Window((2, 3), (2, 1), (1, 2), (1, 2)), 4, 3, 2),
    (columns.SharedRows, (5, 3), windows.Window((3, 2), (1, 1), (1, 1)), 5, 4, 2),
    (columns.SharedRows, (5, 3), windows.Window((3, 2), (2, 2), (2, 0), (1, 2)), 6, 3, 1),
    (columns.SharedRows, (3, 2), windows.Window((3, 3), (1, 1), (4, 1)), 9, 2, 128),
]


def columns_in_larger_memory() -> None:
    """im2col may be given more memory than it needs."""
    x, window = picture(library(), 2, 3, 3, 1), windows.Window((2, 2))
    memory = library().zeros(100)
    found = windows.im2col(library(), x, window, out=memory)
    all_agree([found], [windows.im2col(library(), x, window)])
    equal(int((memory != 0).sum()), found.size)


def many_outputs_agree() -> None:
    """The weights' gradient of so many outputs that it is added up the other way round."""
    rng, window = np.random.default_rng(0), windows.Window((2, 3))
    x, g = rng.standard_normal((2, 3, 4, 4)), rng.standard_normal((2, 256, 3, 2))
    found = convolution_kernel.conv2d_weight_grad(library(), *there(x, g), window, 1)
    seen = np.lib.stride_tricks.sliding_window_view(x, window.kernel, (2, 3))
    all_agree([found], [np.einsum("ncijuv,noij->ocuv", seen, g)])


SMALL_STEPS = [  # kernel, stride, padding, size
    ((3, 3), (2, 2), (1, 1), (5, 6)),
    ((3, 2), (2, 1), (0, 1), (6, 5)),
    ((2, 3), (3, 2), (1, 2), (7, 4)),
    ((2, 2), (3, 3), (0, 0), (7, 6)),
    ((2, 2), (3, 3), (1, 0), (6, 7)),
    ((4, 3), (1, 1), (2, 1), (4, 5)),
    ((5, 3), (2, 2), (2, 1), (6, 1)),
    ((1, 2), (1, 2), (1, 0), (3, 4)),
]


def phases_and_taps_agree() -> None:
    """The input's gradient by phases and the weight's by taps, also of windows far apart."""
    xp, limits = library(), {"FEWEST_CHANNELS": 1, "FEWEST_PLACES": 1}
    for kernel, stride, padding, size in SMALL_STEPS:
        for dilation in ((1, 1), (2, 1), (1, 2), (2, 3)):
            window = windows.Window(kernel, stride, padding, dilation)
            oh, ow = window.output_size(size)
            if min(oh, ow) < 1:
                continue
            x, w = picture(np, 2, 3, *size), picture(np, 4, 3, *kernel)
            g = picture(np, 2, 4, oh, ow)
            tx, tw, tg = there(x, w, g)
            with at_limits(**limits):
                found = [
                    convolution_kernel.conv2d_input_grad(xp, tg, tw, size, window, 1),
                    convolution_kernel.conv2d_weight_grad(xp, tx, tg, window, 1),
                ]
            wanted = textbook.conv2d_input_grad(g, w, size, window)
            all_agree(found, [wanted, textbook.conv2d_weight_grad(x, g, window)])


def phases_and_taps_are_chosen() -> None:
    """Where they pay, and what the phases of a window are."""
    xp, window = library(), windows.Window((3, 3), (2, 2), (1, 1))
    on_processor = xp is np
    for places, channels, kernel, pay in (
        ((4, 4), 8, (3, 3), on_processor),
        ((4, 3), 8, (3, 3), False),
        ((4, 4), 7, (3, 3), False),
        ((4, 4), 8, (1, 3), False),
        ((8, 2), 8, (2, 2), on_processor),
    ):
        g = xp.zeros((128, 8, *places), dtype=np.float32)
        equal(phases.pay(xp, g, channels, window._replace(kernel=kernel)), pay)
    for shape, channels, pay in (
        ((2, 4, 3, 5), 8, on_processor),
        ((2, 4, 3, 5), 7, False),
        ((1, 1, 1, 1), 8, on_processor),
        ((1, 50, 1, 25), 8, on_processor),
        ((0, 4, 3, 5), 8, False),
        ((100, 50, 1, 25), 8, on_processor),
        ((100, 50, 1, 26), 8, False),
    ):
        equal(taps.pay(xp, xp.zeros(shape), channels), pay)
    down, across = phases.of(window, (5, 1))
    even, odd = (slice(0, None, 2), slice(1, None, -2)), (slice(1, None, 2), slice(2, None, -2))
    equal([(p.elements, p.taps, p.count, p.padding) for p in down], [(*even, 1, 0), (*odd, 2, 0)])
    equal(len(across), 1)
    equal(phases.of(window._replace(dilation=(1, 2)), (5, 5)), None)
    equal(phases.of(windows.Window((1, 1), (1, 1), (1, 1)), (5, 5)), None)
    equal(
        taps.laid_shape((3, 9, 9, 7), windows.Window((3, 4), (2, 3), (0, 0), (2, 2)), 3, 2),
        (3, 9, 3, 4, 7),
    )


def a_late_gradient_is_the_same() -> None:
    """Left to another thread or not, to the last bit."""
    xp, w = library(), picture(np, 4, 2, 3, 3)
    for stride, groups in ((1, 1), (2, 1), (1, 2)):
        window = windows.Window((3, 3), (stride, stride), (1, 1))
        x, g = picture(np, 3, 2 * groups, 6, 6), picture(np, 3, 4, 6 // stride, 6 // stride)
        tx, tg, tw = there(x, g, w)
        arguments = xp, tg, tx, tw, window, groups
        early = convolution_kernel.conv2d_grads(*arguments)
        with at_limits(WORTH_ASIDE=1), mock.patch.object(backend, "_threads", 2):
            late = convolution_kernel.conv2d_grads(*arguments, late=True)
            threads.settle()
            alone = convolution_kernel.conv2d_weight_grad(xp, tx, tg, window, groups, late=True)
            threads.settle()
        all_agree(late, early)
        all_agree([alone], [early[1]])


def windows_are_turned() -> None:
    """At stride 1 the input's gradient is a convolution, unless its padding were negative."""
    for stride, padding, dilation, turned in (
        ((1, 1), (0, 1), (1, 1), (2, 1)),
        ((1, 1), (2, 0), (1, 2), (0, 4)),
        ((1, 1), (3, 0), (1, 1), None),
        ((2, 1), (0, 0), (1, 1), None),
    ):
        window = windows.Window((3, 3), stride, padding, dilation)
        expected = None if turned is None else window._replace(padding=turned)
        equal(convolution_kernel._turned_window(window), expected)


def equal(found: Any, expected: Any) -> None:
    """Raise unless both are the same."""
    if found != expected:
        raise Wrong(f"{found} instead of {expected}")


def columns_are_chosen_and_cut() -> None:
    """What tests/test_columns.py has to say about choosing a layout, and about memory."""
    for choice in test_columns.CHOICES:
        test_columns.test_the_layout_that_is_chosen(backend.active(), *choice)
    test_columns.test_a_block_of_taps_fits_its_bytes_unless_it_has_too_few_columns(backend.active())
    for stride in (1, 2, 3):
        test_columns.test_a_block_of_shared_rows_fits_its_bytes(stride)
    for case in test_columns.ROOMS:
        test_columns.test_shared_rows_are_laid_once_while_there_is_room(*case)
    test_columns.test_rows_a_power_of_two_long()
    test_columns.test_a_picture_is_one_block_of_its_own_memory()


# Where the formula leaves a choice, and where a gradient cannot tell.


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
    index = np.array([[0, 0], [2, 1]])
    agrees(F.gather(mt.tensor(x), 1, mt.tensor(index)), np.take_along_axis(x, index, 1))
    x = np.array([[[[0.0, np.nan, 1.0, np.nan, 2.0]]]])
    found = F.max_pool2d(mt.tensor(x), (1, 5), return_indices=True)
    agrees(found[0], np.full((1, 1, 1, 1), np.nan))
    agrees(found[1], np.full((1, 1, 1, 1), 3))
    x = np.arange(300.0).reshape(1, 1, 1, 300)
    found = F.max_pool2d(mt.tensor(x), (1, 300), return_indices=True)
    agrees(found[1], np.full((1, 1, 1, 1), 299))
    equal(pooling.lowest(np.dtype("int32")), -(2**31))
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
    x = mt.tensor(np.zeros((1, 2, 0, 2)), requires_grad=True)
    w = mt.tensor(np.ones((2, 1, 3, 3)), requires_grad=True)
    y = F.conv_transpose2d(x, w)
    dx, dw = mt.grad((y * y + y).sum(), [x, w])
    agrees(dx, np.zeros((1, 2, 0, 2)))
    agrees(dw, np.zeros((2, 1, 3, 3)))


def running_norm(x: mt.Tensor, *affine: mt.Tensor | None) -> mt.Tensor:
    """Batch norm in evaluation."""
    return F.batch_norm(x, constant(2), constant(2).abs() + 1, *affine)


def slope_of_cross_entropy(x: mt.Tensor) -> mt.Tensor:
    """Its gradient, as a training step asks for it: nobody asks for the cotangent's."""
    return mt.grad(F.cross_entropy(x, mt.tensor(np.array([1, 3, 0]))), x, create_graph=True)[0]


MORE_CASES = [  # where not everything is asked for, or given
    # along one axis only: along two, a wrong sign is made good
    Case("interpolate, rows", lambda x: F.interpolate(x, (5, 4)), normal((1, 2, 3, 4))),
    Case(
        "interpolate, batch last",
        lambda x: F.interpolate(x.permute(3, 0, 1, 2), (5, 4)).permute(1, 2, 3, 0) ** 2,
        normal((1, 3, 4, 2)),
    ),
    Case("batch_norm, evaluation, in x", lambda x: running_norm(x) ** 2, normal((3, 2, 2))),
    Case(
        "batch_norm, evaluation, in w",
        lambda w: running_norm(constant(3, 2, 2), w, constant(2)),
        normal((2,)),
    ),
    Case(
        "batch_norm, evaluation, in b",
        lambda b: running_norm(constant(3, 2, 2), None, b),
        normal((2,)),
    ),
    Case("cross_entropy, its slope", slope_of_cross_entropy, normal((3, 4))),
]


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


@contextlib.contextmanager
def at_limits(**values: int) -> Iterator[None]:
    """The kernels' limits have these values inside the block."""
    with contextlib.ExitStack() as stack:
        for module in kernel_modules():
            for name in values.keys() & vars(module).keys():
                stack.enter_context(mock.patch.object(module, name, values[name]))
        yield


@contextlib.contextmanager
def cut_finely() -> Iterator[None]:
    """Rows, pieces, channels and products are cut as finely as can be, for two threads."""
    finely = {"BLOCK_BYTES": 1, "PIECE": 5, "LARGE": 1, "PART": 1, "FEWEST_ROWS": 1}
    with at_limits(**finely), mock.patch.object(backend, "_threads", 2):
        yield


CUT = ("relu", "max_pool", "avg_pool", "pools", "norms", "batch_norm", "layer_norm", "products")
ANOTHER_WAY = {  # through the kernels, and how the names of the checks begin that take it
    "cut finely": (cut_finely, CUT),
    **{
        way: (functools.partial(convolving, way), ("conv",))
        for way in WAYS
        if way != "taps"  # that is the plain way of anything small
    },
}


def checks() -> list[Check]:
    """All of them, on the active backend."""
    found = [Check(f.__name__, f) for f in SINGLE_CHECKS]
    for function, arguments in TABLES.items():
        for given in arguments:
            run = functools.partial(function, *given)
            found.append(Check(f"{function.__name__} {given}", run))
    cases = [*CASES, *MORE_CASES]
    for case in cases:
        found += _checks_of(case)
    found += [
        _in_another_way(check, name, context)
        for name, (context, begins) in ANOTHER_WAY.items()
        for check in found
        if check.name.startswith(begins) and not check.name.endswith("1st order")
    ]
    for case in cases:
        if _can_keep_float32(case):
            found.append(Check(f"{case.name}, float32", functools.partial(keeps_float32, case)))
    return found


def _checks_of(case: Case) -> Iterator[Check]:
    orders = {"1st": (first_order, first_probe), "2nd": (second_order, second_probe)}
    for name, (run, probe) in orders.items():
        if name == "1st" or case.second_order:
            both = (functools.partial(function, case) for function in (run, probe))
            yield Check(f"{case.name}, {name} order", *both)


def _in_another_way(check: Check, name: str, context: Callable[[], Any]) -> Check:
    """The same check; where it has a probe, that the numbers are those of the plain way."""
    right: list[np.ndarray] = []  # what the probe gives at first, when nothing is broken

    def run() -> None:
        if check.probe is not None and not right:
            right.append(numbers(check.probe()))
        with context():
            if check.probe is None:
                check.run()
            elif not _close(numbers(check.probe()), right[0]):
                raise Wrong(f"{check.name} gives other numbers: {name}")

    return Check(f"{check.name}, {name}", run)


TABLES: dict[Callable[..., None], list[tuple[Any, ...]]] = {
    convolutions_agree: CONVOLUTIONS,
    pools_agree: POOLS,
    norms_agree: NORMS,
    products_agree: PRODUCTS,
    resampling_agrees: RESAMPLING,
    layouts_agree: LAYOUTS,
}
SINGLE_CHECKS = [
    columns_are_chosen_and_cut,
    columns_in_larger_memory,
    many_outputs_agree,
    masks_agree,
    pieces_agree,
    rounding_is_taken_out,
    sums_agree,
    phases_and_taps_agree,
    phases_and_taps_are_chosen,
    a_late_gradient_is_the_same,
    windows_are_turned,
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
    methods, kernels, helpers = method_rules(), kernel_functions(), helper_functions()
    by_code = {rule.function.__code__: rule for rule in methods} | kernels | helpers
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
                forget()
                with threads._busy, called:  # no helper takes part of the work, unnoticed
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
    rules += [*kernels.values(), *helpers.values()]
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
    """No warnings, and NaN in memory to be filled, so that what was forgotten is not there by luck.

    That memory is what `np.empty` and its like hand out, and the threads' workspaces, which hold
    what was laid out in them last.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for module, name in ((np, "empty"), (np, "empty_like"), (threads, "workspace")):
            spoiling = functools.partial(_spoilt, getattr(module, name))
            stack.enter_context(mock.patch.object(module, name, spoiling))
        yield


def _spoilt(allocate: Callable[..., np.ndarray], *args: Any, **options: Any) -> np.ndarray:
    memory = allocate(*args, **options)
    memory[...] = np.nan if memory.dtype.kind == "f" else 99
    return memory


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
        wrong += said.startswith(WRONG)
        raised += bool(said) and not said.startswith(WRONG)
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
LATE = "only who computes it, and when"
SLOWER = "only which of two ways is taken: the other gives the same numbers, more slowly"
UNASKED = "computes a gradient that nobody asked for, which the walk drops"
CAST_LATER = "an array of truth values is cast when it is multiplied"
EMPTY = "what is added or written here is empty"
OVERWRITTEN = "fresh memory: its contents are overwritten before they are read"
DISCARDED = "a branch that where() throws away; any finite number does"
NUMBER = "a Python number takes the array's dtype"
LAST_TWO = "the last two axes change places, or stay, either way"
FIRST_TWO = "only the first two lengths are read"
VECDOT = "every NumPy from 2.0 on has vecdot"
ALIKE = "all of them have one shape"
SHARED = "the last state is the output's memory then, and the same numbers"
SHAPED_NEXT = "the next reshape says which axis is which"
ON_THE_HOST = "an index is on the host already; on a GPU it is not, and the stand-in refuses it"
TRUNCATED = "a hundredth more is lost when it is cast to an integer"
UNREACHED = dict.fromkeys(
    (
        "if True:  # if i.stop and j.stop:",
        "if i.stop or j.stop:",
        "if i.stop:",
        "if j.stop:",
    ),
    EMPTY,
)

EQUIVALENT: dict[str, dict[str, str]] = {
    "activations.ReLU.backward": {
        "return Masked()(grad, y)": "Masked has no gradient for its mask; detach() spares the walk the visit",  # noqa: E501
    },
    "activations.Dropout.backward": dict.fromkeys(
        [
            "return Dropout(self.channels, self.p, self.seed, self.draw, self.mask)(grad)",
            "return Dropout(self.p, self.seed, self.channels, self.draw, self.mask)(grad)",
            "return Dropout(self.p, self.channels, self.draw, self.seed, self.mask)(grad)",
        ],
        "all is in the mask, but for a GPU: tests/test_cuda_wired.py",
    ),
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
        "if False:  # if t.shape == shape:": "a sum to its own shape adds nothing up",
    },
    "convolution.Conv2d.backward": {
        "if True:  # if need_x and need_w:": UNASKED,
        "if True:  # if need_w:": UNASKED,
        "if need_x or need_w:": UNASKED,
        "if need_x:": UNASKED,
        "if need_w:": UNASKED,
    },
    "lookup.EmbeddingGrad.backward": {
        "if False:  # if self.padding_idx is None:": "every id differs from None: all rows are kept",  # noqa: E501
        "kept = (self.ids != self.padding_idx)[..., None]": CAST_LATER,
        "return rows * Tensor(kept)": "the comparison of an array is an array of the same library already",  # noqa: E501
    },
    "losses.CrossEntropyGrad.backward": {
        "hot = Tensor(one_hot_places(xp, self.target, x.shape[1]))": CAST_LATER,
    },
    "losses.Pick.forward": {
        "return xp.where(valid, picked, float('nan'))": NUMBER,
    },
    "losses.Pick._one_hot": {
        "return one_hot_places(xp, self.target, classes)": CAST_LATER,
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
    "kernels.columns.Taps._lay": {
        "if True:  # if self.xp is not np:": SLOWER,
        "windows.im2col(np, self.x[part], self.window, rows, self.ow, col[part])": "im2col gives the memory a shape of its own",  # noqa: E501
    },
    "kernels.columns.SharedRows.blocks": {
        "laid = memory.reshape(kw, room, self.x.shape[0], apart)[..., :n]": SHAPED_NEXT,
        "laid = memory.reshape(room, self.x.shape[0], kw, apart)[..., :n]": SHAPED_NEXT,
    },
    "kernels.columns.SharedRows._lay": {
        "above = max(-top, 0)": "a slice ends where the memory does",
        **dict.fromkeys(
            [
                "if True:  # if above > 0:",
                "if True:  # if inside.stop < len(laid):",
                "if above >= 0:",
                "if inside.stop <= len(laid):",
            ],
            EMPTY,
        ),
    },
    "kernels.columns.across": {
        "found.append((places, read, [e for e in edges if e.start <= e.stop]))": EMPTY,
    },
    "kernels.convolution.conv2d_input_grad": {
        "turned = _turned_window(window) if large else None": SLOWER,
        "turned = _turned_window(window)": SLOWER,
        "turned = None": SLOWER,
        **dict.fromkeys(
            [
                "make = xp.zeros",
                "make = xp.zeros if turned is None else xp.empty",
                "make = xp.zeros if found is None else xp.empty",
                "make = xp.zeros if turned is None or found is None else xp.empty",
            ],
            "zeros that are overwritten",
        ),
    },
    "kernels.convolution.conv2d_grads": {
        "turned = None": SLOWER,
        "turned = _turned_window(window)": SLOWER,
        "turned = _turned_window(window) if _turning_costs_more(xp, g) else None": SLOWER,
        "if True:  # if turned is None:": SLOWER,
        **dict.fromkeys(["if not late:", "if True:  # if late:", "if False:  # if late:"], LATE),
    },
    "kernels.convolution.conv2d_weight_grad": {
        "if False:  # if by_taps:": SLOWER,
        "by_taps = taps.pay(xp, g, w_shape[2])": SLOWER,
        **dict.fromkeys(["if not late:", "if True:  # if late:", "if False:  # if late:"], LATE),
    },
    "kernels.convolution._side_by_side": {
        **dict.fromkeys(["if not late:", "if True:  # if late:", "if False:  # if late:"], LATE),
        **dict.fromkeys(
            ["if not i == 0:", "if i != 0:", "if i == 1:"],
            "the two are computed in the other order",
        ),
        "gradient(2)": "every number but 0 asks for the weight's",
    },
    "kernels.taps.pay": {"outputs, batch, _, ow = g.shape": "a product's factors, exchanged"},
    "kernels.taps._laid": {
        "down = reach(height, 0, 1, window.padding[0], 2, range(shape[1]))": "tap 0, however far",
    },
    "kernels.taps.weight_grad": {"at_once = 1": SLOWER},
    "kernels.phases.of": {"if place >= count:": SLOWER},
    "kernels.taps.laid_shape": {
        **dict.fromkeys(
            [
                "rows = oh * stride[0] + (kh - 1) * dilation[0] + 1",
                "rows = (oh + 1) * stride[0] + (kh - 1) * dilation[0] + 1",
                "rows = (oh - 1) * stride[0] + kh * dilation[0] + 1",
                "rows = (oh - 1) * stride[0] + (kh + 1) * dilation[0] + 1",
                "rows = (oh - 1) * stride[0] + (kh - 1) * dilation[0] + 2",
                "columns = ow + (kw - 1) * dilation[1]",
                "columns = ow + kw * dilation[1] // stride[1]",
                "columns = ow + (kw + 1) * dilation[1] // stride[1]",
            ],
            "more room than is needed",
        ),
    },
    "kernels.convolution._gradients": {
        "if not tall:": SLOWER,
        "if True:  # if tall:": SLOWER,
        "if False:  # if tall:": SLOWER,
    },
    "kernels.convolution._by_group": {
        "if False:  # if groups == 1:": "one group is the slice of everything",
    },
    "kernels.convolution._memory": {
        "if True:  # if xp is not np:": SLOWER,
        "return 1.01 * (xp.empty(shape, dtype=dtype))": OVERWRITTEN,
        "return 0 * (xp.empty(shape, dtype=dtype))": OVERWRITTEN,
        "return 1.01 * (threads.workspace(math.prod(shape), dtype).reshape(shape))": OVERWRITTEN,
        "return 0 * (threads.workspace(math.prod(shape), dtype).reshape(shape))": OVERWRITTEN,
    },
    "kernels.elementwise.in_pieces": {
        "flat = lines(arrays) if xp is np else None": "one piece, of all in one line",
        "flat = lines(arrays) if xp is np and arrays[0].size >= PIECE else None": "one piece, of all in one line",  # noqa: E501
        "flat = lines(arrays) if xp is np and arrays[1].size > PIECE else None": ALIKE,
        "size = arrays[1].size": ALIKE,
        "pieces = [(a, a + PIECE) for a in range(0, size, PIECE)]": "a slice ends where the array does",  # noqa: E501
    },
    "kernels.elementwise.lines": {
        "first = arrays[1]": "either all have this order or the answer is None",
    },
    "kernels.elementwise.masked": {
        "if True:  # if g.shape != mask.shape:": SLOWER,
    },
    "kernels.elementwise.relu": {
        "if True:  # if x.dtype.kind != 'f':": SLOWER,
    },
    "kernels.indexing.add_at": {
        "if True:  # if any((_is_integer_array(item) for item in where)):": SLOWER,
        "if (_is_integer_array(item) for item in where):": SLOWER,
    },
    "kernels.indexing._is_integer_array": {
        "return hasattr(item, 'dtype')": SLOWER,
    },
    "kernels.products.product": {
        "if True:  # if xp is not np:": SLOWER,
        "if False:  # if piece is not None:": SLOWER,
    },
    "kernels.products.transposed_product": {
        "if True:  # if xp is not np:": SLOWER,
        "if False:  # if piece is not None:": SLOWER,
    },
    "kernels.products._cut": {
        "return stack.reshape(*stack.shape[:2], piece, -1).swapaxes(1, 2)": "pieces of another length",  # noqa: E501
    },
    "kernels.recurrent.rnn": {
        "return ((states[1:], states[-1]), (states,))": SHARED,
    },
    "kernels.recurrent.gru": {
        "return ((states[1:], states[-1]), (states, gates, q))": SHARED,
    },
    "kernels.recurrent.lstm": {
        "return ((states[1:], states[-1], cells[-1].copy()), (states, cells, gates))": SHARED,
        "return ((states[1:], states[-1].copy(), cells[-1]), (states, cells, gates))": SHARED,
    },
    "kernels.recurrent._lstm_steps": {
        "c += xp.multiply(i, g, out=step[1])": "any part of the room for one step will do",
    },
    "kernels.recurrent.Gates.start": {
        "w_in, w = ((_by_gate(w, self.count) * slope).transpose(0, 2, 1) for w in (w_ih, w_hh))": LAYOUT,  # noqa: E501
    },
    "kernels.resampling.nearest": {
        "if True:  # if not _copies_all(along):": SLOWER,
        "x = take_along(xp, x, along.low, axis)": "take_along makes an array of it",
    },
    "kernels.resampling.nearest_grad": {
        "if True:  # if not _copies_all(along):": SLOWER,
    },
    "kernels.resampling._mix": {
        "last = xp.moveaxis(x, -1, axis)": LAST_TWO,
        "return xp.moveaxis(product, axis, -1)": LAST_TWO,
    },
    "kernels.resampling.take_along": {
        "y = xp.take(x.transpose(order), source, axis=order.index(axis))": ON_THE_HOST,
    },
    "kernels.resampling.add_along": {
        "dx[*before, source[places]] += laid[*before, xp.asarray(places)]": ON_THE_HOST,
        "dx[*before, xp.asarray(source[places])] += laid[*before, places]": ON_THE_HOST,
    },
    "kernels.windows.batch_last": {
        "return xp.ascontiguousarray(last)": "what is contiguous is not copied",
    },
    "kernels.windows.reach": dict.fromkeys(
        [
            "return Reach(slice(1, 0), slice(0, 0))",
            "return Reach(slice(0, 0), slice(1, 0))",
            "return Reach(slice(0, 0), slice(0, 1))",
        ],
        EMPTY,
    ),
    "kernels.windows.im2col": {
        **UNREACHED,
    },
    "kernels.normalisation.row_dots": {
        "if False:  # if xp is np and hasattr(np, 'vecdot'):": SLOWER,
        "if xp is np:": VECDOT,
        "if xp is np and np:": VECDOT,
    },
    "kernels.normalisation.standardise": {
        "variance, mean, inverse = (xp.empty((len(x), 1), dtype=x.dtype) for _ in range(3))": ALIKE,
        "mean, inverse, variance = (xp.empty((len(x), 1), dtype=x.dtype) for _ in range(3))": ALIKE,
    },
    "kernels.normalisation.standardise_grad": {
        "sum_g, sum_gx = (xp.empty((len(x), 1), dtype=x.dtype) for _ in range(2))": ALIKE,
        "sum_gx, sum_g = (xp.empty((len(x), 2), dtype=x.dtype) for _ in range(2))": "the second column holds the same, and nobody reads it",  # noqa: E501
    },
    "kernels.pooling.max_pool2d": {
        "taps = xp.empty(shape, dtype='int32')": "only more memory",
        "taps = xp.empty(shape, dtype='uint8' if len(window.taps()) <= 256 else 'int32')": "the last of 256 is number 255",  # noqa: E501
        "taps = xp.empty(shape, dtype='uint8' if len(window.taps()) < 257 else 'int32')": "the last of 256 is number 255",  # noqa: E501
        "taps[...] = 1.01 * (xp.asarray(_first_taps(window, tuple(size), out_size).astype(taps.dtype)))": TRUNCATED,  # noqa: E501
        "taps[...] = xp.asarray(_first_taps(window, tuple(size), out_size))": "cast as it is written",  # noqa: E501
        "best, candidate = (y[c, i, j], x[c, rows, columns])": LAYOUT,
        **dict.fromkeys(
            [
                "if False:  # if not (i.stop and j.stop):",
                "if not (i.stop or j.stop):",
                "if not i.stop:",
                "if not j.stop:",
            ],
            EMPTY,
        ),
    },
    "kernels.pooling._first_taps": {
        "first[i, j] = 1.01 * (number)": TRUNCATED,
        "return 1.01 * (first)": TRUNCATED,
    },
    "kernels.pooling.lowest": {
        "return -float('inf') if dtype.kind == 'f' else np.iinfo(dtype).min": "a Python integer already",  # noqa: E501
    },
    "kernels.pooling.unpool_max": {
        "(i, j), (rows, columns) = _slices(window, size, tap, g.shape[1:4])": FIRST_TWO,
        **UNREACHED,
    },
    "kernels.pooling.pick_max": {
        "(i, j), (r, c) = _slices(window, x.shape[1:3], tap, taps.shape[1:4])": FIRST_TWO,
        **UNREACHED,
    },
    "kernels.pooling.spread_sum": {
        "(i, j), (rows, columns) = _slices(window, size, tap, g.shape[1:4])": FIRST_TWO,
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
            "if True:  # if i.start > 0:",
            "if True:  # if i.stop < block.shape[1]:",
            "if True:  # if j.start > 0:",
            "if True:  # if j.stop < block.shape[2]:",
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
        every = [*method_rules(), *kernel_functions().values(), *helper_functions().values()]
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
