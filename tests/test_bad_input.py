"""Every public function given what it cannot use: which error, and what its message says.

A message names the function and the values met. What NumPy or Python say when something slips
through, such as "operands could not be broadcast" or "list index out of range", helps nobody who
called `conv2d`, so none of it may be what the reader meets. Nor may bad input pass in silence.
"""

import math

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.nn import init

on_cupy = pytest.mark.parametrize("_library", ["cupy"], indirect=True)

FOREIGN = (
    "operands could not be broadcast",
    "could not be broadcast together with",
    "matmul: Input operand",
    "cannot reshape array",
    "out of bounds for axis",
    "index out of range",
    "too many indices for array",
    "boolean index did not match",
    "shape mismatch",
    "non-empty take",
    "negative dimensions",
    "not understood",
    "inhomogeneous",
    "did not contain a loop",
    "einstein sum",
    "negative integer powers",
    "Implicit conversion",
    "Unsupported type",
    "Unsupported dtype",
    "memoryview",
    "zip()",
    "division by zero",
    "modulo by zero",
    "object has no attribute",
    "unsupported operand type",
    "is not iterable",
    "is not callable",
    "cannot be interpreted as an integer",
    "not supported between instances",
    "slice indices must be",
    "must be real number",
)


def x(*shape, dtype=np.float32):
    """A tensor of a shape, with different numbers in it."""
    n = math.prod(shape)
    return mt.tensor((np.arange(n) % 7 - 3).reshape(shape).astype(dtype))


def ids(*values):
    return mt.tensor(np.array(values, np.int64).reshape(-1))


def whole(*shape):
    return x(*shape, dtype=np.int64)


def double(*shape):
    return x(*shape, dtype=np.float64)


def array(*shape):
    return np.ones(shape, np.float32)


def refused(call, error, fragments):
    """Check that the call raises this kind of error, and that its message is one of ours."""
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    for fragment in fragments:
        assert fragment in text, f"{fragment!r} is not in {text!r}"
    for phrase in FOREIGN:
        assert phrase not in text, f"a foreign message: {text!r}"


def table(rows):
    """Parametrize over (call, error, fragment, fragment, …), named after the first fragments."""
    cases = [(call, error, fragments) for call, error, *fragments in rows]
    return pytest.mark.parametrize(
        ("call", "error", "fragments"), cases, ids=[" ".join(map(str, f)) for *_, f in cases]
    )


# ------------------------------------------------------------------------------- making tensors


@table(
    [
        (lambda: mt.tensor([[1, 2], [3]]), ValueError, "tensor:", "one shape"),
        (lambda: mt.tensor("abc"), TypeError, "tensor:", "'abc'"),
        (lambda: mt.tensor(None), TypeError, "tensor:", "None"),
        (lambda: mt.tensor([1, None]), TypeError, "tensor:", "[1, None]"),
        (lambda: mt.tensor({1: 2}), TypeError, "tensor:", "dict"),
        (lambda: mt.tensor([x(2), x(2)]), TypeError, "tensor:", "mt.stack"),
        (lambda: mt.tensor(np.array(["a"])), TypeError, "tensor:", "<U1"),
        (lambda: mt.tensor(np.array([None])), TypeError, "tensor:", "object"),
        (lambda: mt.tensor(np.array([1j])), TypeError, "tensor:", "complex"),
        (lambda: mt.tensor([1.0], dtype="floot"), TypeError, "tensor:", "'floot'"),
        (lambda: mt.tensor([1.0], backend="tpu"), mt.BackendError, "tensor:", "'tpu'", "'numpy'"),
        (lambda: mt.tensor([1], requires_grad=True), RuntimeError, "int64", ".float()"),
        (lambda: mt.Tensor([1.0]), TypeError, "list", "minitorch7.tensor(...)"),
        (lambda: mt.Tensor(np.float32(1)), TypeError, "float32", "minitorch7.tensor(...)"),
        (lambda: mt.zeros(-1), ValueError, "zeros:", "-1"),
        (lambda: mt.zeros(2.5), TypeError, "zeros:", "2.5"),
        (lambda: mt.ones((2, "a")), TypeError, "ones:", "'a'"),
        (lambda: mt.ones(2, -3), ValueError, "ones:", "-3"),
        (lambda: mt.rand(-1), ValueError, "rand:", "-1"),
        (lambda: mt.randn(2.5), TypeError, "randn:", "2.5"),
        (lambda: mt.randn(2, dtype=np.int64), TypeError, "randn:", "int64"),
        (lambda: mt.rand(2, dtype=np.int64), TypeError, "rand:", "int64"),
        (lambda: mt.full(3, 1.0), TypeError, "full:", "3"),
        (lambda: mt.full((2, -3), 1.0), ValueError, "full:", "-3"),
        (lambda: mt.eye(-1), ValueError, "eye:", "-1"),
        (lambda: mt.arange(0, 5, 0), ValueError, "arange:", "step"),
        (lambda: mt.zeros_like(array(2)), TypeError, "zeros_like:", "Tensor", "ndarray"),
        (lambda: mt.ones_like(5), TypeError, "ones_like:", "Tensor", "int"),
    ]
)
def test_creation(backend, call, error, fragments):
    refused(call, error, fragments)


@table(
    [
        (lambda: x(2).size(5), IndexError, "size:", "5"),
        (lambda: x(2).copy_(5), TypeError, "copy_:", "int"),
        (lambda: x(2).copy_([1, 2]), TypeError, "copy_:", "list"),
        (lambda: x(2).copy_(x(3)), ValueError, "copy_:", "(3,)", "(2,)"),
        (lambda: x(2).to("tpu"), mt.BackendError, "to:", "'tpu'", "'numpy'"),
        (lambda: F.to(5, "numpy"), TypeError, "to:", "int"),
        (lambda: F.clone(array(2)), TypeError, "clone:", "ndarray"),
        (lambda: mt.grad(5, [x(2)]), TypeError, "grad:", "int"),
        (lambda: mt.grad(x(2).requires_grad_().sum(), [1.0]), TypeError, "grad:", "float"),
        (lambda: mt.grad(x(2).sum(), [x(2)]), RuntimeError, "grad:", "requires_grad=True"),
    ]
)
def test_tensor_methods(backend, call, error, fragments):
    refused(call, error, fragments)


# ------------------------------------------------------------------------------------- arithmetic


@table(
    [
        (lambda: x(2) + x(3), ValueError, "add:", "(2,)", "(3,)"),
        (lambda: x(2) - x(3), ValueError, "sub:", "(2,)", "(3,)"),
        (lambda: x(2) * x(3), ValueError, "mul:", "(2,)", "(3,)"),
        (lambda: x(2) / x(3), ValueError, "div:", "(2,)", "(3,)"),
        (lambda: x(2) // x(3), ValueError, "div", "(2,)", "(3,)"),
        (lambda: x(2) ** x(3), ValueError, "pow:", "(2,)", "(3,)"),
        (lambda: x(2) < x(3), ValueError, "lt:", "(2,)", "(3,)"),
        (lambda: x(2) == x(3), ValueError, "eq:", "(2,)", "(3,)"),
        (lambda: x(2) == None, TypeError, "eq:", "NoneType"),  # noqa: E711
        (lambda: x(2) + None, TypeError, "add:", "NoneType"),
        (lambda: x(2) + "a", TypeError, "add:", "str"),
        (lambda: x(2) * [1, 2], TypeError, "mul:", "list", "minitorch7.tensor(...)"),
        (lambda: F.add(1, 2), TypeError, "add:", "Tensor"),
        (lambda: F.eq(1, 2), TypeError, "eq:", "Tensor"),
        (lambda: F.neg(5), TypeError, "neg:", "int"),
        (lambda: -mt.tensor([True]), TypeError, "neg:", "~input"),
        (lambda: ids(1, 2) ** -1, TypeError, "pow:", "-1", ".float()"),
        (lambda: array(2) ** x(2), TypeError, "pow:", "ndarray"),
        (lambda: F.div(x(2), 2, rounding_mode="up"), ValueError, "div:", "'up'", "'floor'"),
        (lambda: F.clamp(x(2)), ValueError, "clamp:", "min, max"),
        (lambda: F.clamp(x(2), min="a"), TypeError, "clamp:", "'a'"),
        (lambda: F.clamp(x(2), min=x(3)), ValueError, "clamp:", "(2,)", "(3,)"),
        (lambda: F.where(x(2), 1.0, 0.0), TypeError, "where:", "bool", "float32"),
        (lambda: F.where(5, 1, 2), TypeError, "where:", "int"),
        (lambda: F.where(x(2) > 0, x(3), 0.0), ValueError, "where:", "(2,)", "(3,)"),
        (lambda: F.maximum(x(2), 3), TypeError, "maximum:", "int"),
        (lambda: F.minimum(x(2), x(3)), ValueError, "minimum:", "(2,)", "(3,)"),
        (lambda: F.broadcast_to(x(3), (2,)), ValueError, "broadcast_to:", "(3,)", "(2,)"),
        (lambda: F.broadcast_to(5, (2,)), TypeError, "broadcast_to:", "int"),
        (lambda: F.sum_to(x(2, 3), (5,)), ValueError, "sum_to:", "(2, 3)", "(5,)"),
        (lambda: F.sum_to(5, ()), TypeError, "sum_to:", "int"),
        (lambda: F.isnan(5), TypeError, "isnan:", "int"),
        (lambda: F.isfinite(array(2)), TypeError, "isfinite:", "ndarray"),
        (lambda: F.logical_not(5), TypeError, "logical_not:", "int"),
        (lambda: F.logical_and(x(2), x(3)), ValueError, "logical_and:", "(2,)", "(3,)"),
    ]
)
def test_arithmetic(backend, call, error, fragments):
    refused(call, error, fragments)


@pytest.mark.numpy_only("looking at exponents would wait for a GPU")
def test_negative_integer_powers_are_seen_where_looking_is_free():
    """On a GPU the exponents are not looked at, since that would wait for the device."""
    refused(lambda: ids(1, 2) ** ids(-1, 1), TypeError, ("pow:", "negative"))


ONE_TENSOR = (
    "abs exp log sqrt sin cos relu leaky_relu elu gelu silu softplus tanh sigmoid erf dropout "
    "dropout2d sum mean var std max min argmax argmin any all logical_not isnan isfinite clone "
    "flatten squeeze one_hot"
).split()


@pytest.mark.parametrize("value", [5, [1.0], array(2, 2), None], ids=repr)
@pytest.mark.parametrize("name", ONE_TENSOR)
def test_what_is_no_tensor(backend, name, value):
    refused(lambda: getattr(F, name)(value), TypeError, [f"{name}:", type(value).__name__])


@pytest.mark.parametrize("name", ["mean", "var", "std", "softmax", "log_softmax"])
def test_integers_where_fractions_are_needed(backend, name):
    options = {"dim": 0} if "softmax" in name else {}
    call = lambda: getattr(F, name)(ids(1, 2), **options)  # noqa: E731
    refused(call, TypeError, [f"{name}:", "int64", ".float()"])


@table(
    [
        (lambda: F.gelu(x(2), "exact"), ValueError, "gelu:", "'exact'", "'tanh'"),
        (lambda: F.softplus(x(2), beta=0), ValueError, "softplus:", "beta", "0"),
        (lambda: F.dropout(x(2), 1.5), ValueError, "dropout:", "1.5"),
        (lambda: F.dropout(x(2), math.nan), ValueError, "dropout:", "nan"),
        (lambda: F.dropout2d(x(2, 2)), ValueError, "dropout2d:", "(2, 2)"),
        (lambda: nn.Dropout(-0.1), ValueError, "Dropout:", "-0.1"),
    ]
)
def test_activations(backend, call, error, fragments):
    refused(call, error, fragments)


# ------------------------------------------------------------------------------ reductions and dims


DIMS = {
    "sum": F.sum,
    "mean": F.mean,
    "std": F.std,
    "max": F.max,
    "min": F.min,
    "argmax": F.argmax,
    "any": F.any,
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "logsumexp": F.logsumexp,
    "cumsum": F.cumsum,
    "squeeze": F.squeeze,
    "flip": F.flip,
    "unbind": F.unbind,
    "flatten": F.flatten,
    "chunk": lambda t, dim: F.chunk(t, 2, dim),
    "split": lambda t, dim: F.split(t, 1, dim),
    "narrow": lambda t, dim: F.narrow(t, dim, 0, 1),
    "transpose": lambda t, dim: F.transpose(t, 0, dim),
    "cat": lambda t, dim: F.cat([t, t], dim),
    "gather": lambda t, dim: F.gather(t, dim, whole(2, 3)),
    "index_select": lambda t, dim: F.index_select(t, dim, ids(0)),
}


@pytest.mark.parametrize("dim", [2, -3])
@pytest.mark.parametrize("name", DIMS)
def test_dims_that_are_not_there(backend, name, dim):
    fragments = [f"{name}:", f"dim {dim}", "2 axes (-2 to 1)"]
    refused(lambda: DIMS[name](x(2, 3), dim), IndexError, fragments)


@pytest.mark.parametrize("name", [name for name in DIMS if name not in ("flip", "split")])
def test_dims_that_are_no_integers(backend, name):
    for dim in (1.0, "a"):
        refused(lambda dim=dim: DIMS[name](x(2, 3), dim), TypeError, ["dim", repr(dim)])


@table(
    [
        (lambda: F.sum(x(2, 2), (0, 0)), ValueError, "sum:", "(0, 0)", "twice"),
        (lambda: F.sum(x(2, 2), (0, -2)), ValueError, "sum:", "(0, -2)", "twice"),
        (lambda: F.max(x(0)), ValueError, "max:", "(0,)"),
        (lambda: F.min(x(2, 0), 1), ValueError, "min:", "(2, 0)"),
        (lambda: F.argmax(x(0)), ValueError, "argmax:", "(0,)"),
        (lambda: F.argmin(x(2, 0), dim=1), ValueError, "argmin:", "(2, 0)", "dim 1"),
        (lambda: F.max(x(2), (0,)), TypeError, "max:", "(0,)"),
    ]
)
def test_reductions(backend, call, error, fragments):
    refused(call, error, fragments)


# ------------------------------------------------------------------------------- shapes and indices


@table(
    [
        (lambda: x(2, 3).reshape(4, -1), ValueError, "reshape:", "(2, 3)", "(4, -1)"),
        (lambda: x(2, 3).reshape(-1, -1), ValueError, "reshape:", "(-1, -1)"),
        (lambda: x(2, 3).reshape(7), ValueError, "reshape:", "(2, 3)", "(7,)"),
        (lambda: x(2, 3).reshape(-2, -3), ValueError, "reshape:", "(-2, -3)"),
        (lambda: x(2).reshape(1.5), TypeError, "reshape:", "1.5"),
        (lambda: x(0, 2).reshape(0, -1), ValueError, "reshape:", "(0, 2)", "(0, -1)"),
        (lambda: x(2, 3).permute(0), ValueError, "permute:", "(0,)", "2 axes"),
        (lambda: x(2, 3).permute(0, 0), ValueError, "permute:", "(0, 0)"),
        (lambda: x(2, 3).permute(0, 5), IndexError, "permute:", "5"),
        (lambda: x(2, 3).unsqueeze(4), IndexError, "unsqueeze:", "4"),
        (lambda: x(2, 3).flatten(1, 0), ValueError, "flatten:", "start_dim 1", "end_dim 0"),
        (lambda: x(3).expand(4), ValueError, "expand:", "(3,)", "(4,)"),
        (lambda: x(2, 3).expand(3), ValueError, "expand:", "(2, 3)", "(3,)"),
        (lambda: x(3, 1).expand(3, -2), ValueError, "expand:", "(3, 1)", "(3, -2)"),
        (lambda: x(3).expand(-1, 3), ValueError, "expand:", "(3,)", "(-1, 3)"),
        (lambda: x(3, 3).repeat(2), ValueError, "repeat:", "(2,)", "(3, 3)"),
        (lambda: x(3).repeat(-1), ValueError, "repeat:", "(-1,)"),
        (lambda: x(3).repeat(1.5), TypeError, "repeat:", "1.5"),
        (lambda: x(4).split(0), ValueError, "split:", "0"),
        (lambda: x(4).split([1, 2]), ValueError, "split:", "[1, 2]", "4"),
        (lambda: x(4).split([5, -1]), ValueError, "split:", "[5, -1]"),
        (lambda: x(4).split(1.5), TypeError, "split:", "1.5"),
        (lambda: x(4).chunk(0), ValueError, "chunk:", "0"),
        (lambda: x(4).chunk(1.5), TypeError, "chunk:", "1.5"),
        (lambda: x(3).narrow(0, 2, 5), ValueError, "narrow:", "2 to 7", "0 to 3"),
        (lambda: x(3).narrow(0, -1, 1), ValueError, "narrow:", "-1"),
        (lambda: x(3).narrow(0, 0.5, 1), TypeError, "narrow:", "0.5"),
        (lambda: F.cat([]), ValueError, "cat:", "at least one"),
        (lambda: F.cat([x(2), 5]), TypeError, "cat:", "tensors[1]", "int"),
        (lambda: F.cat([x(2), x(2, 2)]), ValueError, "cat:", "(2, 2)", "(2,)"),
        (lambda: F.cat([x(2, 2), x(2, 3)]), ValueError, "cat:", "(2, 3)", "dim 0"),
        (lambda: F.cat(x(2, 2)), TypeError, "cat:", "list"),
        (lambda: F.cat(x(2)), TypeError, "cat:", "list"),
        (lambda: F.cat(5), TypeError, "cat:", "int"),
        (lambda: F.stack([]), ValueError, "stack:", "at least one"),
        (lambda: F.stack([x(2), x(3)]), ValueError, "stack:", "(3,)", "(2,)"),
        (lambda: F.stack([x(2)], 5), IndexError, "stack:", "5"),
        (lambda: F.pad(x(1, 1, 3, 3), 3), TypeError, "pad:", "3"),
        (lambda: F.pad(x(3), (1,)), ValueError, "pad:", "(1,)"),
        (lambda: F.pad(x(3), (1, 1, 1, 1)), ValueError, "pad:", "(1, 1, 1, 1)", "(3,)"),
        (lambda: F.pad(x(3), (1.5, 1)), TypeError, "pad:", "1.5"),
        (lambda: F.pad(x(3), (-2, -2)), ValueError, "pad:", "(-2, -2)", "3"),
        (lambda: F.pad(x(3), (1, 1), "circular"), ValueError, "pad:", "'circular'", "'reflect'"),
        (lambda: F.pad(x(3), (3, 0), "reflect"), ValueError, "pad:", "(3, 0)", "3"),
        (lambda: F.pad(x(0), (1, 0), "replicate"), ValueError, "pad:", "(1, 0)"),
        (lambda: F.pad(x(3), (1, 0), "reflect", 1.0), ValueError, "pad:", "'reflect'", "1.0"),
        (lambda: nn.ReflectionPad2d(3)(x(1, 1, 3, 3)), ValueError, "pad:", "(3, 3)"),
    ]
)
def test_shapes(backend, call, error, fragments):
    refused(call, error, fragments)


@table(
    [
        (lambda: x(3)[5], IndexError, "index:", "5", "axis 0", "length 3"),
        (lambda: x(3)[-4], IndexError, "index:", "-4"),
        (lambda: x(2, 3)[:, 3], IndexError, "index:", "3", "axis 1"),
        (lambda: x(2, 3)[..., 3], IndexError, "index:", "3", "axis 1"),
        (lambda: x(3)[None, None, 5], IndexError, "index:", "5", "axis 0"),
        (lambda: x(3)[1, 2], IndexError, "index:", "2 indices", "(3,)"),
        (lambda: mt.tensor(1.0)[0], IndexError, "index:", "()"),
        (lambda: x(3)["a"], TypeError, "index:", "'a'"),
        (lambda: x(3)[1.5], TypeError, "index:", "1.5"),
        (lambda: x(3)[x(3)], TypeError, "index:", "float32"),
        (lambda: x(3)[mt.tensor([True, False])], IndexError, "index:", "mask", "(2,)", "(3,)"),
        (lambda: x(3)[::0], ValueError, "index:", "step"),
        (lambda: x(3)[1.5:2], TypeError, "index:", "1.5"),
        (lambda: x(3, 3)[..., ...], IndexError, "index:", "..."),
        (lambda: x(3, 3)[[0, 1], [0, 1, 2]], IndexError, "index:", "(2,)", "(3,)"),
        (lambda: x(3)[[[0], [1, 2]]], (IndexError, ValueError, TypeError), "index:"),
        (lambda: F.gather(x(2, 3), 0, ids(0, 1)), ValueError, "gather:", "(2,)", "(2, 3)"),
        (lambda: F.gather(x(2, 3), 0, whole(2, 4) * 0), ValueError, "gather:", "(2, 4)", "(2, 3)"),
        (lambda: F.gather(x(2, 3), 0, x(2, 3)), TypeError, "gather:", "float32", ".long()"),
        (lambda: F.gather(5, 0, ids(0)), TypeError, "gather:", "int"),
        (lambda: F.index_select(x(3), 0, x(2)), TypeError, "index_select:", "float32"),
        (lambda: F.index_select(x(3), 0, whole(1, 1)), ValueError, "index_select:", "(1, 1)"),
        (lambda: F.embedding(x(2), x(5, 3)), TypeError, "embedding:", "float32", ".long()"),
        (lambda: F.embedding(ids(0), x(5)), ValueError, "embedding:", "(5,)"),
        (lambda: F.embedding([0], x(5, 3)), TypeError, "embedding:", "list"),
        (
            lambda: F.embedding(ids(0), x(5, 3), padding_idx=10),
            (IndexError, ValueError),
            "embedding:",
            "padding_idx",
            "10",
        ),
        (
            lambda: nn.Embedding(5, 3, padding_idx=10),
            (IndexError, ValueError),
            "mbedding:",
            "padding_idx",
            "10",
        ),
        (lambda: F.one_hot(x(2)), TypeError, "one_hot:", "float32"),
        (lambda: F.one_hot(whole(0)), ValueError, "one_hot:", "num_classes"),
        (lambda: F.one_hot(ids(0, 1), -5), ValueError, "one_hot:", "num_classes", "-5"),
    ]
)
def test_indices(backend, call, error, fragments):
    refused(call, error, fragments)


OUT_OF_RANGE = [
    (lambda: x(3)[ids(0, 7)], IndexError, "index:", "7", "length 3"),
    (lambda: x(3)[[0, -4]], IndexError, "index:", "-4", "length 3"),
    (lambda: F.gather(x(2, 3), 0, whole(2, 3) + 8), IndexError, "gather:", "0 to 1"),
    (lambda: F.index_select(x(2, 3), 0, ids(5)), IndexError, "index_select:", "5", "0 to 1"),
    (lambda: F.embedding(ids(0, 5), x(5, 3)), IndexError, "embedding:", "5", "0 to 4"),
    (lambda: F.embedding(ids(-1), x(5, 3)), IndexError, "embedding:", "-1", "0 to 4"),
    (lambda: F.one_hot(ids(0, 5), 3), IndexError, "one_hot:", "5", "0 to 2"),
    (lambda: F.one_hot(ids(0, -5)), IndexError, "one_hot:", "-5"),
    (lambda: F.cross_entropy(x(2, 3), ids(0, 3)), IndexError, "cross_entropy:", "3", "0 to 2"),
    (lambda: F.cross_entropy(x(2, 3), ids(0, -1)), IndexError, "cross_entropy:", "-1", "0 to 2"),
    (lambda: F.nll_loss(x(2, 3), ids(7, 0)), IndexError, "nll_loss:", "7", "0 to 2"),
    (
        lambda: F.cross_entropy(x(1, 3, 2), whole(1, 2) + 9),
        IndexError,
        "cross_entropy:",
        "0 to 2",
    ),
]


@table(OUT_OF_RANGE)
def test_values_out_of_range_on_the_host(call, error, fragments):
    with mt.using("numpy"):
        refused(call, error, fragments)


@on_cupy
def test_values_out_of_range_on_the_device(backend):
    """A look would wait for the device: labels give NaN, and indices wrap around. Documented."""
    for labels in (ids(0, 3), ids(0, -1), ids(99, 0)):
        for loss in (F.cross_entropy, F.nll_loss):
            assert math.isnan(loss(x(2, 3), labels).item())
            assert math.isnan(loss(x(2, 3), labels, reduction="sum").item())
    table = x(5, 3)
    assert F.embedding(ids(6, -1), table).tolist() == table[ids(1, 4)].tolist()
    assert not math.isnan(F.cross_entropy(x(2, 3), ids(0, -100)).item())  # ignore_index


# --------------------------------------------------------------------------------------- products


@table(
    [
        (lambda: x(2, 3) @ x(2, 3), ValueError, "matmul:", "(2, 3) @ (2, 3)"),
        (lambda: x(3) @ x(2), ValueError, "matmul:", "(3,) @ (2,)"),
        (lambda: x(2) @ mt.tensor(1.0), ValueError, "matmul:", "()"),
        (lambda: x(2, 2) @ double(2, 2), TypeError, "matmul:", "float32", "float64"),
        (lambda: x(2, 3, 4) @ x(3, 4, 5), ValueError, "matmul:", "(2,)", "(3,)"),
        (lambda: x(2, 2) @ array(2, 2), TypeError, "matmul:", "ndarray"),
        (lambda: array(2, 2) @ x(2, 2), TypeError, "matmul:", "ndarray"),
        (lambda: F.bmm(x(2, 3), x(2, 3)), ValueError, "bmm:", "(2, 3)"),
        (lambda: F.bmm(x(2, 3, 4), x(3, 4, 5)), ValueError, "bmm:", "(3, 4, 5)"),
        (lambda: F.bmm(x(2, 3, 4), x(2, 3, 4)), ValueError, "bmm:", "(2, 3, 4)"),
        (lambda: F.outer(x(2, 2), x(2)), ValueError, "outer:", "(2, 2)"),
        (lambda: F.linear(x(2, 3), x(4, 5)), ValueError, "linear:", "3 features", "5"),
        (lambda: F.linear(x(2, 3), x(3)), ValueError, "linear:", "(3,)"),
        (lambda: F.linear(x(2, 3), mt.tensor(1.0)), ValueError, "linear:", "()"),
        (lambda: F.linear(mt.tensor(1.0), x(3, 2)), ValueError, "linear:", "()"),
        (lambda: F.linear(x(2, 3), x(4, 3), x(5)), ValueError, "linear:", "bias", "(5,)"),
        (lambda: F.linear(x(2, 3), x(4, 3), 1.0), TypeError, "linear:", "bias", "float"),
        (lambda: F.linear(x(2, 3), x(4, 3), array(4)), TypeError, "linear:", "bias", "ndarray"),
        (lambda: F.linear(x(2, 3), double(4, 3)), TypeError, "linear:", "float32", "float64"),
        (lambda: F.linear(whole(2, 3), x(4, 3)), TypeError, "linear:", "int64", "float32"),
        (lambda: nn.Linear(3, 2)([1.0]), TypeError, "linear:", "list"),
        (lambda: F.einsum("ij,jk->ik", x(2, 3)), ValueError, "einsum:", "2 operands", "1 were"),
        (lambda: F.einsum("ij->i"), ValueError, "einsum:", "0 were"),
        (lambda: F.einsum("ij,jk->ik", x(2, 3), x(2, 3)), ValueError, "einsum:", "'j'", "3", "2"),
        (lambda: F.einsum("ij->ik", x(2, 3)), ValueError, "einsum:", "'ik'"),
        (lambda: F.einsum("ij->ii", x(2, 3)), ValueError, "einsum:", "'ii'"),
        (lambda: F.einsum("ijk->i", x(2, 3)), ValueError, "einsum:", "'ijk'", "(2, 3)"),
        (lambda: F.einsum("i$->i", x(2, 3)), ValueError, "einsum:", "i$->i"),
        (lambda: F.einsum(5, x(2, 3)), TypeError, "einsum:", "5"),
        (lambda: F.einsum("ij->i", array(2, 3)), TypeError, "einsum:", "ndarray"),
    ]
)
def test_products(backend, call, error, fragments):
    refused(call, error, fragments)


# -------------------------------------------------------------------------------------- convolution


def conv(weight=(2, 4, 3, 3), *rest, image=(1, 4, 5, 5), **options):
    return F.conv2d(x(*image), x(*weight), *rest, **options)


@table(
    [
        (
            lambda: F.conv2d(x(128, 8, 14, 14), x(16, 16, 3, 3)),
            ValueError,
            "conv2d: input has 8 channels but weight expects 16 "
            "(input (128, 8, 14, 14), weight (16, 16, 3, 3), groups 1)",
        ),
        (lambda: conv(image=(5, 5)), ValueError, "conv2d:", "(5, 5)", "(N, C, H, W)"),
        (lambda: conv((2, 4, 3)), ValueError, "conv2d:", "(2, 4, 3)", "4 axes"),
        (lambda: conv((2, 4, 7, 7)), ValueError, "conv2d:", "kernel (7, 7)", "(5, 5)"),
        (lambda: conv((2, 4, 0, 3)), ValueError, "conv2d:", "kernel_size", "(0, 3)"),
        (lambda: conv(dilation=3), ValueError, "conv2d:", "dilation (3, 3)", "(5, 5)"),
        (lambda: conv((2, 4, 3, 3), x(3)), ValueError, "conv2d:", "bias", "(2,)", "(3,)"),
        (lambda: conv((2, 4, 3, 3), 1.0), TypeError, "conv2d:", "bias", "float"),
        (lambda: conv((2, 4, 3, 3), array(2)), TypeError, "conv2d:", "bias", "ndarray"),
        (lambda: conv((2, 4, 3, 3), double(2)), TypeError, "conv2d:", "bias", "float64"),
        (lambda: conv(stride=0), ValueError, "conv2d:", "stride", "0"),
        (lambda: conv(stride=-1), ValueError, "conv2d:", "stride", "-1"),
        (lambda: conv(stride=1.5), TypeError, "conv2d:", "stride", "1.5"),
        (lambda: conv(stride=(1, 1, 1)), TypeError, "conv2d:", "stride", "(1, 1, 1)"),
        (lambda: conv(padding=-1), ValueError, "conv2d:", "padding", "-1"),
        (lambda: conv(padding="reflect"), ValueError, "conv2d:", "'reflect'", "'same'"),
        (lambda: conv(padding="same", stride=2), ValueError, "conv2d:", "'same'", "stride (2, 2)"),
        (lambda: conv(dilation=0), ValueError, "conv2d:", "dilation", "0"),
        (lambda: conv(groups=0), ValueError, "conv2d:", "groups", "0"),
        (lambda: conv(groups=True), ValueError, "conv2d:", "groups", "True"),
        (lambda: conv((3, 2, 3, 3), groups=2), ValueError, "conv2d:", "(=3)", "groups=2"),
        (lambda: conv(groups=2), ValueError, "conv2d:", "4 channels", "expects 8", "groups 2"),
        (
            lambda: F.conv2d(x(1, 4, 5, 5), double(2, 4, 3, 3)),
            TypeError,
            "conv2d:",
            "input is float32 but weight is float64",
        ),
        (
            lambda: F.conv2d(whole(1, 4, 5, 5), x(2, 4, 3, 3)),
            TypeError,
            "conv2d:",
            "int64",
            ".float()",
        ),
        (
            lambda: F.conv2d(array(1, 4, 5, 5), x(2, 4, 3, 3)),
            TypeError,
            "conv2d:",
            "ndarray",
            "minitorch7.tensor(...)",
        ),
        (lambda: F.conv2d(x(1, 4, 5, 5), None), TypeError, "conv2d:", "weight", "NoneType"),
    ]
)
def test_conv2d(backend, call, error, fragments):
    refused(call, error, fragments)


@table(
    [
        (lambda: F.conv1d(x(1, 4, 5), x(2, 3, 3)), ValueError, "conv1d:", "4 channels", "3"),
        (lambda: F.conv1d(x(1, 4, 5, 5), x(2, 4, 3)), ValueError, "conv1d:", "(1, 4, 5, 5)"),
        (lambda: F.conv1d(x(1, 4, 5), x(2, 4, 3, 3)), ValueError, "conv1d:", "(2, 4, 3, 3)"),
        (lambda: F.conv1d(x(1, 4, 5), x(2, 4, 7)), ValueError, "conv1d:", "7", "5"),
        (lambda: F.conv1d(x(1, 4, 5), x(2, 4, 3), x(3)), ValueError, "conv1d:", "bias", "(3,)"),
        (lambda: F.conv1d(x(1, 4, 5), x(2, 4, 3), stride=0), ValueError, "conv1d:", "stride"),
        (lambda: F.conv1d(x(1, 4, 5), x(2, 4, 3), stride=()), TypeError, "conv1d:", "stride"),
        (lambda: F.conv1d(x(1, 4, 5), x(2, 4, 3), padding="x"), ValueError, "conv1d:", "'x'"),
        (lambda: F.conv1d(x(1, 4, 5), x(3, 2, 3), groups=2), ValueError, "conv1d:", "(=3)"),
        (lambda: F.conv1d(whole(1, 4, 5), x(2, 4, 3)), TypeError, "conv1d:", "int64"),
        (
            lambda: F.conv_transpose2d(x(1, 4, 5, 5), x(3, 2, 3, 3)),
            ValueError,
            "conv_transpose2d:",
            "4 channels",
            "3",
        ),
        (
            lambda: F.conv_transpose2d(x(1, 4, 5, 5), x(4, 2, 3, 3), output_padding=1),
            ValueError,
            "conv_transpose2d:",
            "output_padding (1, 1)",
        ),
        (
            lambda: F.conv_transpose2d(x(1, 4, 5, 5), x(4, 2, 3, 3), x(3)),
            ValueError,
            "conv_transpose2d:",
            "bias",
            "(2,)",
        ),
        (
            lambda: F.conv_transpose2d(x(1, 4, 1, 1), x(4, 2, 1, 1), padding=1),
            ValueError,
            "conv_transpose2d:",
            "(-1, -1)",
        ),
        (
            lambda: F.conv_transpose2d(x(1, 4, 5, 5), x(4, 2, 3, 3), padding="same"),
            (TypeError, ValueError),
            "conv_transpose2d:",
            "'same'",
        ),
        (
            lambda: F.conv_transpose2d(x(1, 4, 5, 5), x(4, 2, 3, 3), groups=3),
            ValueError,
            "conv_transpose2d:",
            "groups 3",
        ),
        (lambda: F.unfold(x(3, 3), 2), ValueError, "unfold:", "(3, 3)"),
        (lambda: F.unfold(x(1, 1, 3, 3), 5), ValueError, "unfold:", "(5, 5)", "(1, 1, 3, 3)"),
        (lambda: F.unfold(whole(1, 1, 3, 3), 2), TypeError, "unfold:", "int64"),
        (lambda: F.fold(x(1, 4, 3), 3, 2), ValueError, "fold:", "4 places", "(1, 4, 3)"),
        (lambda: F.fold(x(1, 5, 4), 3, 2), ValueError, "fold:", "multiple of 4", "(1, 5, 4)"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "Conv2d:", "in_channels (=3)"),
        (lambda: nn.Conv2d(2, 3, 3, groups=2), ValueError, "Conv2d:", "out_channels (=3)"),
        (lambda: nn.Conv2d(0, 3, 3), ValueError, "Conv2d:", "in_channels (=0)"),
        (lambda: nn.Conv2d(3.0, 4, 3), TypeError, "Conv2d:", "3.0"),
        (lambda: nn.Conv2d(3, 4, 0), ValueError, "Conv2d:", "kernel_size", "0"),
        (lambda: nn.Conv2d(3, 4, "a"), TypeError, "Conv2d:", "kernel_size", "'a'"),
        (lambda: nn.Conv2d(3, 4, (1, 2, 3)), TypeError, "Conv2d:", "(1, 2, 3)"),
        (lambda: nn.Conv1d(3, 4, 0), ValueError, "Conv1d:", "kernel_size", "0"),
        (lambda: nn.Conv1d(3, 4, ()), TypeError, "Conv1d:", "kernel_size", "()"),
        (lambda: nn.ConvTranspose2d(3, 4, 0), ValueError, "ConvTranspose2d:", "kernel_size"),
    ]
)
def test_the_other_convolutions(backend, call, error, fragments):
    refused(call, error, fragments)


# --------------------------------------------------------------------------- pooling, resampling


@table(
    [
        (lambda: F.max_pool2d(x(3, 3), 2), ValueError, "max_pool2d:", "(3, 3)"),
        (lambda: F.max_pool2d(x(1, 1, 3, 3), 5), ValueError, "max_pool2d:", "(5, 5)"),
        (lambda: F.max_pool2d(x(1, 1, 3, 3), 2, padding=2), ValueError, "max_pool2d:", "half"),
        (lambda: F.max_pool2d(x(1, 1, 3, 3), 0), ValueError, "max_pool2d:", "kernel_size", "0"),
        (lambda: F.max_pool2d(x(1, 1, 3, 3), 2, 0), ValueError, "max_pool2d:", "stride", "0"),
        (lambda: F.max_pool2d(x(1, 1, 3, 3), "a"), TypeError, "max_pool2d:", "'a'"),
        (lambda: F.max_pool2d(x(1, 1, 3, 3) > 0, 2), TypeError, "max_pool2d:", "bool"),
        (lambda: F.max_pool2d(array(1, 1, 3, 3), 2), TypeError, "max_pool2d:", "ndarray"),
        (lambda: F.avg_pool2d(x(3), 2), ValueError, "avg_pool2d:", "(3,)"),
        (lambda: F.avg_pool2d(x(1, 1, 3, 3), 2, padding=-1), ValueError, "avg_pool2d:", "-1"),
        (
            lambda: F.avg_pool2d(x(1, 1, 3, 3), 2, divisor_override=0),
            ValueError,
            "avg_pool2d:",
            "divisor_override",
        ),
        (lambda: nn.MaxPool2d(5)(x(1, 1, 3, 3)), ValueError, "max_pool2d:", "(5, 5)"),
    ]
)
def test_pooling(backend, call, error, fragments):
    refused(call, error, fragments)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_adaptive_pooling(backend, name):
    pool = getattr(F, name)
    for size in ((1, 1, 1), (1,), "ab", 1.5):
        call = lambda size=size: pool(x(1, 1, 3, 3), size)  # noqa: E731
        refused(call, (TypeError, ValueError), [f"{name}:", "output_size"])
    refused(lambda: pool(x(1, 1, 3, 3), -1), ValueError, [f"{name}:", "output_size", "-1"])
    for shape in ((3, 3), (1, 1, 0, 3), (1, 1, 3, 0)):
        refused(lambda s=shape: pool(x(*s), 1), ValueError, [f"{name}:", str(shape)])
    refused(lambda: pool(whole(1, 1, 3, 3), 1), TypeError, [f"{name}:", "int64"])


@table(
    [
        (lambda: F.interpolate(x(1, 1, 3, 3)), ValueError, "size or scale_factor"),
        (lambda: F.interpolate(x(1, 1, 3, 3), 2, 2), ValueError, "size or scale_factor"),
        (lambda: F.interpolate(x(1, 3, 3), 2), ValueError, "(1, 3, 3)"),
        (lambda: F.interpolate(x(1, 1, 3, 3), 0), ValueError, "0"),
        (lambda: F.interpolate(x(1, 1, 3, 3), "a"), TypeError, "'a'"),
        (lambda: F.interpolate(x(1, 1, 3, 3), 2.5), TypeError, "2.5"),
        (lambda: F.interpolate(x(1, 1, 3, 3), (2, 2, 2)), ValueError, "(2, 2, 2)"),
        (lambda: F.interpolate(x(1, 1, 3, 3), scale_factor=0.1), ValueError, "0.1"),
        (lambda: F.interpolate(x(1, 1, 3, 3), scale_factor=-1), ValueError, "-1"),
        (lambda: F.interpolate(x(1, 1, 3, 3), 2, mode="bicubic"), ValueError, "'bicubic'"),
        (lambda: F.interpolate(x(1, 1, 3, 3), 2, align_corners=True), ValueError, "'bilinear'"),
        (lambda: F.interpolate(x(1, 1, 0, 3), 2), ValueError, "(1, 1, 0, 3)"),
        (lambda: F.interpolate(x(1, 1, 3, 0), 2, mode="bilinear"), ValueError, "(1, 1, 3, 0)"),
        (lambda: F.interpolate(whole(1, 1, 3, 3), 2), TypeError, "int64"),
    ]
)
def test_interpolate(backend, call, error, fragments):
    refused(call, error, ["interpolate:", *fragments])


@table(
    [
        (lambda: F.pixel_shuffle(x(1, 3, 2, 2), 2), ValueError, "pixel_shuffle:", "(1, 3, 2, 2)"),
        (lambda: F.pixel_shuffle(x(1, 4, 2, 2), 0), ValueError, "pixel_shuffle:", "0"),
        (lambda: F.pixel_shuffle(x(4, 2), 2), ValueError, "pixel_shuffle:", "(4, 2)"),
        (lambda: F.pixel_unshuffle(x(1, 1, 3, 4), 2), ValueError, "pixel_unshuffle:", "2"),
        (lambda: F.pixel_unshuffle(x(1, 1, 4, 4), 1.5), ValueError, "pixel_unshuffle:", "1.5"),
    ]
)
def test_pixel_shuffle(backend, call, error, fragments):
    refused(call, error, fragments)


# ------------------------------------------------------------------------------------ normalisation


def norm(*running, image=(4, 3), training=True, **options):
    return F.batch_norm(x(*image), *(running or (None, None)), training=training, **options)


@table(
    [
        (lambda: norm(image=(4,)), ValueError, "batch_norm:", "(4,)"),
        (lambda: norm(image=(1, 3)), ValueError, "batch_norm:", "(1, 3)", "more than one value"),
        (lambda: norm(training=False), ValueError, "batch_norm:", "running_mean", "training=True"),
        (lambda: norm(x(2), x(3)), ValueError, "batch_norm:", "running_mean", "(3,)", "(2,)"),
        (lambda: norm(weight=x(4)), ValueError, "batch_norm:", "weight", "(4,)", "3 channels"),
        (lambda: norm(bias=x(4)), ValueError, "batch_norm:", "bias", "(4,)"),
        (lambda: norm(double(3), double(3)), TypeError, "batch_norm:", "running_mean", "float64"),
        (lambda: norm(array(3), array(3)), TypeError, "batch_norm:", "running_mean", "ndarray"),
        (lambda: norm(weight=array(3)), TypeError, "batch_norm:", "weight", "ndarray"),
        (lambda: F.batch_norm(whole(4, 3), None, None), TypeError, "batch_norm:", "int64"),
        (lambda: nn.BatchNorm2d(3)(x(4, 3)), ValueError, "BatchNorm2d:", "4 axes", "(4, 3)"),
        (lambda: nn.BatchNorm2d(3)(x(4, 2, 2, 2)), ValueError, "batch_norm:", "(3,)", "(2,)"),
        (lambda: nn.BatchNorm2d(3)([1.0]), TypeError, "list", "Tensor"),
        (lambda: nn.BatchNorm2d(-3), ValueError, "-3"),
        (lambda: F.layer_norm(x(2, 3), 4), ValueError, "layer_norm:", "(2, 3)", "(4,)"),
        (lambda: F.layer_norm(x(2, 3), ()), ValueError, "layer_norm:", "()"),
        (lambda: F.layer_norm(x(2, 3), 3, x(2)), ValueError, "layer_norm:", "weight", "(2,)"),
        (lambda: F.layer_norm(x(2, 3), 3, double(3)), TypeError, "layer_norm:", "float64"),
        (lambda: F.group_norm(x(2, 3), 2), ValueError, "group_norm:", "(2, 3)", "2"),
        (lambda: F.group_norm(x(2, 4), 0), ValueError, "group_norm:", "0"),
        (lambda: F.group_norm(x(2, 4), 2.0), (TypeError, ValueError), "group_norm:", "2.0"),
        (lambda: F.group_norm(x(4), 2), ValueError, "group_norm:", "(4,)"),
        (lambda: F.group_norm(x(2, 4), 2, x(3)), ValueError, "group_norm:", "weight", "(3,)"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "GroupNorm:", "(=4)", "(=3)"),
        (lambda: nn.GroupNorm(0, 4), ValueError, "GroupNorm:", "0"),
        (lambda: nn.GroupNorm(-2, 4), ValueError, "GroupNorm:", "-2"),
        (lambda: F.instance_norm(x(2, 3)), ValueError, "instance_norm:", "(2, 3)"),
        (lambda: F.instance_norm(x(2, 3, 1)), ValueError, "instance_norm:", "(2, 3, 1)"),
        (lambda: F.instance_norm(x(2, 3, 4), weight=x(5)), ValueError, "instance_norm:", "(5,)"),
        (
            lambda: F.instance_norm(x(2, 3, 4), x(5), x(5)),
            ValueError,
            "instance_norm:",
            "running_mean",
            "(5,)",
        ),
        (
            lambda: F.instance_norm(x(2, 3, 4), x(5), x(5), use_input_stats=False),
            ValueError,
            "instance_norm:",
            "running_mean",
            "(5,)",
        ),
        (
            lambda: F.instance_norm(x(2, 3, 4), use_input_stats=False),
            ValueError,
            "instance_norm:",
            "running_mean",
        ),
    ]
)
def test_normalisation(backend, call, error, fragments):
    refused(call, error, fragments)


# ------------------------------------------------------------------------------------------ losses


def entropy(shape, labels, **options):
    return F.cross_entropy(x(*shape), labels, **options)


@table(
    [
        (lambda: entropy((2, 3), x(2)), (TypeError, ValueError), "integers", ".long()"),
        (lambda: entropy((2, 3), x(3, 2)), ValueError, "(2, 3)", "(3, 2)"),
        (lambda: entropy((2, 3), x(2) > 0), TypeError, "integers", "bool"),
        (lambda: entropy((2, 3), ids(0, 1, 2)), ValueError, "(2,)", "(3,)"),
        (lambda: entropy((2, 3), whole(2, 1)), ValueError, "(2,)", "(2, 1)"),
        (lambda: entropy((2, 3, 4), ids(0, 1)), ValueError, "(2, 4)", "(2,)"),
        (lambda: entropy((3,), ids(0, 1)), ValueError, "(3,)", "(2,)"),
        (lambda: entropy((2, 3), [0, 1]), TypeError, "target", "list"),
        (lambda: entropy((2, 3), ids(0, 1), weight=x(2)), ValueError, "weight", "(2,)", "3"),
        (lambda: entropy((2, 3), ids(0, 1), weight=double(3)), TypeError, "weight", "float64"),
        (lambda: entropy((2, 3), ids(0, 1), weight=array(3)), TypeError, "weight", "ndarray"),
        (lambda: entropy((2, 3), ids(0, 1), reduction="avg"), ValueError, "'avg'", "'mean'"),
        (lambda: entropy((2, 3), ids(0, 1), label_smoothing=2), ValueError, "label_smoothing", "2"),
        (lambda: F.cross_entropy(whole(2, 3), ids(0, 1)), TypeError, "input", "int64"),
        (lambda: F.cross_entropy(array(2, 3), ids(0, 1)), TypeError, "input", "ndarray"),
    ]
)
def test_cross_entropy(backend, call, error, fragments):
    refused(call, error, ["cross_entropy:", *fragments])


LOSSES = ["mse_loss", "l1_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"]


@pytest.mark.parametrize("name", LOSSES)
def test_distances(backend, name):
    loss = getattr(F, name)
    # (4, 1) beside (4,) would broadcast to (4, 4): the commonest silent mistake of all
    for a, b in (((2, 3), (2,)), ((4, 1), (4,)), ((1,), (4,)), ((2,), ())):
        call = lambda a=a, b=b: loss(x(*a), x(*b))  # noqa: E731
        refused(call, ValueError, [f"{name}:", str(a), str(b)])
    refused(lambda: loss(x(2), ids(0, 1)), TypeError, [f"{name}:", "target", "int64"])
    refused(lambda: loss(x(2), array(2)), TypeError, [f"{name}:", "target", "ndarray"])
    refused(lambda: loss(x(2), x(2), reduction="x"), ValueError, [f"{name}:", "'x'"])


@table(
    [
        (lambda: F.smooth_l1_loss(x(2), x(2), beta=-1), ValueError, "smooth_l1_loss:", "-1"),
        (
            lambda: F.binary_cross_entropy_with_logits(x(2), x(2), weight=x(3)),
            ValueError,
            "binary_cross_entropy_with_logits:",
            "weight",
            "(3,)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(x(3), x(3), weight=x(2, 3)),
            ValueError,
            "binary_cross_entropy_with_logits:",
            "weight",
            "(2, 3)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(x(2), x(2), pos_weight=x(3)),
            ValueError,
            "binary_cross_entropy_with_logits:",
            "pos_weight",
            "(3,)",
        ),
        (lambda: nn.CrossEntropyLoss(reduction="x"), ValueError, "CrossEntropyLoss:", "'x'"),
        (lambda: nn.BCEWithLogitsLoss(reduction="x"), ValueError, "BCEWithLogitsLoss:", "'x'"),
        (lambda: F.nll_loss(x(2, 3), x(2)), TypeError, "nll_loss:", "float32"),
        (lambda: F.nll_loss(x(2, 3), ids(0)), ValueError, "nll_loss:", "(2,)", "(1,)"),
    ]
)
def test_other_losses(backend, call, error, fragments):
    refused(call, error, fragments)


# ----------------------------------------------------------------------- modules and initial values


@table(
    [
        (lambda: nn.Sequential(5), TypeError, "Sequential:", "int", "nn.Lambda"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, "Sequential:", "list"),
        (lambda: nn.Sequential().append(5), TypeError, "Sequential", "int"),
        (lambda: nn.ModuleList([nn.ReLU(), 5]), TypeError, "ModuleList", "int"),
        (lambda: nn.ModuleList(5), TypeError, "ModuleList", "int"),
        (lambda: nn.Module().add_module("x", 5), TypeError, "add_module:", "int"),
        (lambda: nn.Module().register_buffer("x", 5), TypeError, "register_buffer:", "int"),
        (lambda: nn.Module().register_parameter("x", x(2)), TypeError, "register_parameter:"),
        (lambda: nn.ModuleList()(x(2)), NotImplementedError, "ModuleList", "forward"),
        (lambda: nn.Module()(x(2)), NotImplementedError, "Module", "forward"),
        (lambda: nn.Lambda(5), TypeError, "Lambda:", "int"),
        (lambda: nn.Sequential(nn.MergeLayer())(x(2)), TypeError, "MergeLayer", "SequentialEx"),
        (
            lambda: nn.SequentialEx(nn.Linear(2, 3), nn.MergeLayer())(x(1, 2)),
            ValueError,
            "MergeLayer:",
            "(1, 3)",
            "(1, 2)",
        ),
        (
            lambda: nn.SequentialEx(nn.AvgPool2d(2), nn.MergeLayer(True))(x(1, 2, 4, 4)),
            ValueError,
            "cat:",
            "(1, 2, 2, 2)",
            "(1, 2, 4, 4)",
        ),
        (lambda: nn.Linear(2.5, 3), TypeError, "Linear:", "2.5"),
        (lambda: nn.Linear(-1, 3), ValueError, "Linear:", "-1"),
        (lambda: nn.Embedding(-5, 3), ValueError, "Embedding:", "-5"),
        (lambda: nn.Linear(2, 2).nothing, AttributeError, "Linear", "'nothing'"),
        (lambda: nn.Linear(2, 2).load_state_dict(5), TypeError, "load_state_dict:", "int"),
        (lambda: nn.Parameter(5), TypeError, "int", "minitorch7.tensor(...)"),
        (lambda: nn.Parameter(ids(1)), RuntimeError, "int64", ".float()"),
        (lambda: nn.conv_layer(3, 4, norm_type="Batch"), TypeError, "conv_layer:", "'Batch'"),
        (lambda: nn.conv_layer(3, 4, is_1d=True, transpose=True), ValueError, "conv_layer:"),
        (lambda: nn.Upsample()(x(1, 1, 2, 2)), ValueError, "interpolate:", "scale_factor"),
        (lambda: nn.Softmax(5)(x(2)), IndexError, "softmax:", "5"),
        (lambda: init.kaiming_normal_(x(3)), ValueError, "two axes", "(3,)"),
        (lambda: init.xavier_uniform_(x(3)), ValueError, "two axes", "(3,)"),
        (lambda: init.kaiming_normal_(x(3, 2), mode="x"), ValueError, "kaiming_normal_:", "'x'"),
        (lambda: init.kaiming_uniform_(x(3, 2), nonlinearity="x"), ValueError, "'x'", "relu"),
        (lambda: init.normal_(x(3), std=-1), ValueError, "normal_:", "std", "-1"),
        (lambda: init.normal_(array(3)), TypeError, "normal_:", "ndarray"),
        (lambda: init.zeros_(5), TypeError, "zeros_:", "int"),
    ]
)
def test_modules(backend, call, error, fragments):
    def unwrapped():
        try:
            call()
        except AttributeError as e:  # "object has no attribute" is foreign only if Python says it
            raise type(e)(str(e)) from None

    refused(unwrapped, error, fragments)


# --------------------------------------------------------------------------------------- optimisers


@table(
    [
        (lambda: optim.SGD(5), TypeError, "SGD:", "int"),
        (lambda: optim.SGD([5]), TypeError, "SGD:", "int"),
        (lambda: optim.SGD([{"lr": 1.0}]), (KeyError, ValueError), "SGD:", "params"),
        (lambda: optim.SGD([{"params": [x(2)], "lr": -1}]), ValueError, "SGD:", "lr", "-1"),
        (lambda: optim.SGD([x(2)], lr="a"), TypeError, "SGD:", "lr", "'a'"),
        (lambda: optim.Adam([x(2)], betas=0.9), TypeError, "Adam:", "betas", "0.9"),
        (lambda: optim.Adam([x(2)], betas=(0.9,)), (TypeError, ValueError), "Adam:", "betas"),
        (lambda: optim.OneCycle(2.5, 0.1), (TypeError, ValueError), "OneCycle:", "2.5"),
        (lambda: optim.annealing_exp(0, 1, 0.5), ValueError, "annealing_exp:", "0"),
        (lambda: mt.set_num_threads(0), ValueError, "set_num_threads:", "0"),
        (lambda: mt.manual_seed("a"), ValueError, "manual_seed:", "'a'"),
        (lambda: mt.use("tpu"), mt.BackendError, "use:", "'tpu'", "'numpy'", "'cupy'"),
    ]
)
def test_optimisers_and_switches(backend, call, error, fragments):
    refused(call, error, fragments)


# ------------------------------------------------------------------- what is empty, and what is NaN

EMPTY = {
    "conv2d": lambda t: F.conv2d(t, x(3, 2, 3, 3), x(3), padding=1),
    "conv2d, groups and stride": lambda t: F.conv2d(t, x(4, 1, 3, 3), stride=2, groups=2),
    "conv_transpose2d": lambda t: F.conv_transpose2d(t, x(2, 3, 2, 2), x(3), stride=2),
    "max_pool2d": lambda t: F.max_pool2d(t, 3, 2, 1),
    "avg_pool2d": lambda t: F.avg_pool2d(t, 3, 2, 1, count_include_pad=False),
    "adaptive_avg_pool2d": lambda t: F.adaptive_avg_pool2d(t, 3),
    "adaptive_max_pool2d": lambda t: F.adaptive_max_pool2d(t, 3),
    "unfold": lambda t: F.unfold(t, 2),
    "interpolate": lambda t: F.interpolate(t, scale_factor=2),
    "interpolate, bilinear": lambda t: F.interpolate(t, 7, mode="bilinear"),
    "pixel_unshuffle": lambda t: F.pixel_unshuffle(t, 2),
    "linear": lambda t: F.linear(t, x(5, 4), x(5)),
    "matmul": lambda t: t @ x(4, 3),
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "softmax": lambda t: F.softmax(t, 1),
    "log_softmax over the batch": lambda t: F.log_softmax(t, 0),
    "logsumexp": lambda t: F.logsumexp(t, 1),
    "dropout2d": F.dropout2d,
    "flatten": lambda t: F.flatten(t, 1),
    "reshape": lambda t: t.reshape(-1, 32),
    "permute": lambda t: t.permute(1, 0, 2, 3),
    "cat": lambda t: F.cat([t, t], 1),
    "index": lambda t: t[:, 0],
    "split": lambda t: F.split(t, 1, 1)[1],
    "repeat": lambda t: t.repeat(2, 1, 1, 1),
    "pad": lambda t: F.pad(t, (1, 1), "reflect"),
    "sum over the batch": lambda t: t.sum(0),
    "max": lambda t: F.max(t, 1).values,
    "cumsum": lambda t: F.cumsum(t, 1),
    "var": lambda t: F.var(t, 1),
    "batch_norm, training": lambda t: F.batch_norm(t, x(2), mt.ones(2), x(2), training=True),
    "batch_norm, evaluating": lambda t: F.batch_norm(t, x(2), mt.ones(2), x(2), x(2)),
    "layer_norm": lambda t: F.layer_norm(t, 4, x(4), x(4)),
    "group_norm": lambda t: F.group_norm(t, 2, x(2)),
    "instance_norm": lambda t: F.instance_norm(t),
    "rnn_sweep": lambda t: F.rnn_sweep(t[:, 0].transpose(0, 1), x(0, 3), x(3, 4), x(3, 3))[0],
    "gru_sweep": lambda t: F.gru_sweep(t[:, 0].transpose(0, 1), x(0, 3), x(9, 4), x(9, 3))[0],
    "lstm_sweep": lambda t: F.lstm_sweep(
        t[:, 0].transpose(0, 1), (x(0, 3), x(0, 3)), x(12, 4), x(12, 3)
    )[0],
    "cross_entropy": lambda t: F.cross_entropy(t, whole(0, 4, 4), reduction="sum"),
    "mse_loss": lambda t: F.mse_loss(t, x(0, 2, 4, 4), reduction="sum"),
    "bce": lambda t: F.binary_cross_entropy_with_logits(t, x(0, 2, 4, 4), reduction="none"),
}


@pytest.mark.parametrize("operation", EMPTY.values(), ids=EMPTY)
def test_an_empty_batch_works_forward_and_backward(backend, operation):
    t = mt.zeros(0, 2, 4, 4, requires_grad=True)
    y = operation(t)
    assert y.requires_grad and (0 in y.shape or not y.detach().cpu().numpy().any())
    y.sum().backward()
    assert t.grad.shape == (0, 2, 4, 4) and t.grad.dtype == np.float32


def test_an_empty_batch_gives_weights_zero_gradients(backend):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5))
    F.cross_entropy(model(mt.zeros(0, 2, 4, 4)), whole(0), reduction="sum").backward()
    for name, p in model.named_parameters():
        assert p.grad.shape == p.shape and not p.grad.cpu().numpy().any(), name


def test_logsumexp_over_an_empty_batch_stays_in_the_graph(backend):
    t = mt.zeros(0, 2, requires_grad=True)
    y = F.logsumexp(t, 0)
    assert y.tolist() == [-math.inf] * 2
    y.sum().backward()
    assert t.grad.shape == (0, 2)


@pytest.mark.filterwarnings("error")
def test_the_mean_over_nothing_is_nan_without_a_warning(backend):
    """As in PyTorch. NumPy's RuntimeWarning would point into this library, not at the caller."""
    for value in (
        F.mean(x(0)),
        F.mse_loss(x(0), x(0)),
        F.cross_entropy(x(0, 3), whole(0)),
        F.cross_entropy(x(2, 3), ids(-100, -100)),
        F.var(x(1)),
        F.std(x(0)),
    ):
        assert math.isnan(value.item())


@pytest.mark.filterwarnings("error")
def test_infinite_and_undefined_results_come_without_a_warning(backend):
    """As in PyTorch, where detect_anomaly is the tool for finding them."""
    zero, big = mt.zeros(2, requires_grad=True), mt.full((2,), 1e30)
    assert F.log(zero).tolist() == [-math.inf] * 2
    assert (1 / zero).tolist() == [math.inf] * 2
    assert (big * big).tolist() == [math.inf] * 2
    assert F.exp(big).tolist() == [math.inf] * 2
    assert all(map(math.isnan, F.sqrt(zero - 1).tolist()))
    F.sqrt(zero).sum().backward()
    assert zero.grad.tolist() == [math.inf] * 2


def test_nan_passes_through(backend):
    bad = mt.tensor([1.0, math.nan, 2.0])
    for y in (bad + 1, F.relu(bad), F.exp(bad), F.clamp(bad, 0, 1), F.maximum(bad, x(3))):
        found = [math.isnan(v) for v in y.tolist()]
        assert found == [False, True, False]
    for y in (bad.sum(), F.max(bad), F.min(bad), F.logsumexp(bad, 0), F.softmax(bad, 0).sum()):
        assert math.isnan(y.item())
    assert F.isnan(bad).tolist() == [False, True, False]
    picture = mt.tensor(np.where(np.arange(16) == 5, np.nan, 1.0).reshape(1, 1, 4, 4))
    assert [math.isnan(v) for v in F.max_pool2d(picture, 2).flatten().tolist()] == [
        True,
        False,
        False,
        False,
    ]
