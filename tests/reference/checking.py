"""Drawing arguments, and comparing the library with the references.

A reference runs once, in float64. The library runs on the same numbers in both precisions and with
its arrays in two orders of memory: as NumPy makes them, and batch-last, as the kernels hand them
on. No order of memory may change a value.
"""

import contextlib
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import backend
from minitorch7.kernels import columns, products

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}  # relative to the value, and absolute near 0

examples = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
many = settings(examples, max_examples=40)  # for arguments that interact: windows, paddings

rngs = st.builds(np.random.default_rng, st.integers(0, 2**32 - 1))
few = st.integers(0, 3)
some = st.integers(1, 4)
switch = st.booleans()


def normal(rng, *shape, scale=1):
    """Normal float64 numbers of mean 0, rounded so that float32 holds the same ones."""
    return np.asarray(rng.normal(0, scale, shape), np.float32).astype(np.float64)


def positive(rng, *shape):
    """Numbers from ½ to 2, the same in both precisions."""
    return np.asarray(rng.uniform(0.5, 2, shape), np.float32).astype(np.float64)


def spread(rng, *shape):
    """Numbers between -2 and 2 in random order, no two closer than 2/n: no ties in float32."""
    n = int(np.prod(shape))
    values = (rng.permutation(n) + rng.uniform(0.25, 0.75, n)) * (4 / max(n, 1)) - 2
    return values.reshape(shape).astype(np.float32).astype(np.float64)


def batch_last(array):
    """The same array, its first axis innermost in memory."""
    if array.ndim < 2:
        return array
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 0, -1)), -1, 0)


NEVER = 10**9
WAYS = {  # through the kernels of convolution: what columns.py and products.py decide by
    "taps": dict(LONG_ROW=NEVER),
    "taps, a block a row": dict(LONG_ROW=NEVER, BLOCK_BYTES=1, FEWEST_COLUMNS=1),
    "shared rows": dict(LONG_ROW=1),
    "shared rows, two threads": dict(LONG_ROW=1, BLOCK_BYTES=1, PART=1, FEWEST_ROWS=1),
}


@contextlib.contextmanager
def convolving(way):
    """Convolutions of any size take this way through the kernels, inside a ``with`` block."""
    with contextlib.ExitStack() as stack:
        for name, value in WAYS[way].items():
            for module in (columns, products):
                if hasattr(module, name):
                    stack.enter_context(mock.patch.object(module, name, value))
        threads = 2 if "threads" in way else 1
        stack.enter_context(mock.patch.object(backend, "_threads", threads))
        yield


def agree(backend, operation, reference, *arguments, **options):
    """Check operation(*arguments) against reference(*arguments) in every precision and order.

    Arrays among the arguments, also within lists, become tensors on `backend`; float64 ones are
    cast to the precision at hand. Values, shapes, dtypes and the backend of the results must
    agree, and the operation must leave its arguments alone.
    """
    expected = reference(*arguments, **options)
    for precision, tolerance in TOLERANCE.items():
        for order in (np.copy, batch_last):
            arrays = [_prepare(a, precision, order) for a in arguments]
            tensors = [_to_tensors(a) for a in arrays]
            got = operation(*tensors, **options)
            where = f"{precision}, {order.__name__} memory"
            compare(got, expected, precision, tolerance, backend, where)
            for array, tensor in zip(_flat(arrays), _flat(tensors), strict=True):
                np.testing.assert_array_equal(tensor.numpy(), array, f"argument changed ({where})")


def compare(got, expected, precision, tolerance, backend, where=""):
    """Check a tensor, or several, against what a reference made of float64 arrays."""
    if isinstance(expected, tuple):
        assert len(got) == len(expected), f"{len(got)} results, expected {len(expected)} ({where})"
        for one, other in zip(got, expected, strict=True):
            compare(one, other, precision, tolerance, backend, where)
        return
    expected = np.asarray(expected)
    dtype = precision if expected.dtype == np.float64 else str(expected.dtype)
    found = (got.backend, got.shape, str(got.dtype))
    wanted = (backend, expected.shape, dtype)
    assert found == wanted, f"result is {found}, expected {wanted} ({where})"
    got = got.detach().numpy()
    if dtype == precision:
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=where)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=where)


def _prepare(argument, precision, order):
    if isinstance(argument, list) and argument and isinstance(argument[0], np.ndarray):
        return [_prepare(a, precision, order) for a in argument]
    if not isinstance(argument, np.ndarray):
        return argument
    cast = argument.astype(precision) if argument.dtype == np.float64 else argument
    return order(cast)


def _to_tensors(argument):
    if isinstance(argument, list) and argument and isinstance(argument[0], np.ndarray):
        return [_to_tensors(a) for a in argument]
    if isinstance(argument, np.ndarray):
        return mt.tensor(argument.copy(order="K"))
    return argument


def _flat(arguments):
    """The arrays or tensors among the arguments, those in lists included."""
    for argument in arguments:
        if isinstance(argument, list):
            yield from _flat(argument)
        elif isinstance(argument, np.ndarray | mt.Tensor):
            yield argument
