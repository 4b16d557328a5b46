"""The CuPy stand-in keeps its promises: each refusal, each guarantee, and its table of names."""

from __future__ import annotations

import gc
import importlib.util
import warnings

import numpy as np
import pytest
import standin
from standin import make_names, names

cp = standin.cupy
cpx = standin.cupyx


def on_device(*shape: int, dtype: str = "float32") -> standin.cupy.ndarray:
    """0, 1, 2, ... in the given shape, on the "device"."""
    return cp.asarray(np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape))


def equal(array: standin.cupy.ndarray, expected: object) -> None:
    """`array` is a stand-in with exactly these values."""
    assert type(array) is cp.ndarray
    np.testing.assert_array_equal(array.get(), expected)


# ---------------------------------------------------------------- what CuPy refuses: mixing


BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "@": lambda a, b: a @ b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "divmod": divmod,
}


@pytest.mark.parametrize("symbol", BINARY)
@pytest.mark.parametrize("other", [np.ones(3, np.float32), [1.0, 1.0, 1.0], (1.0, 1.0, 1.0)])
def test_operators_refuse_host_arrays_and_lists(symbol, other):
    a = on_device(3)
    with pytest.raises(TypeError):
        BINARY[symbol](a, other)
    with pytest.raises(TypeError):
        BINARY[symbol](other, a)


def test_the_message_of_a_refusal_is_cupys():
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy.ndarray'>"):
        on_device(3) + np.ones(3)


def test_in_place_operators_refuse_host_arrays():
    a, host = on_device(3), np.ones(3, np.float32)
    with pytest.raises(TypeError):
        a += host
    with pytest.raises(TypeError):
        host += a


@pytest.mark.parametrize(
    "call",
    [
        lambda x: cp.exp(x),
        lambda x: cp.maximum(x, 0.0),
        lambda x: cp.maximum(on_device(3), x),
        lambda x: cp.sum(x),
        lambda x: cp.mean(x),
        lambda x: cp.argmax(x),
        lambda x: cp.where(x, 0.0, 1.0),
        lambda x: cp.where(on_device(3) > 0, x, 1.0),
        lambda x: cp.matmul(x, on_device(3)),
        lambda x: cp.dot(on_device(3), x),
        lambda x: cp.einsum("i,i->", on_device(3), x),
        lambda x: cp.concatenate([on_device(3), x]),
        lambda x: cp.stack([x, x]),
        lambda x: cp.take(x, on_device(3, dtype="int64")),
        lambda x: cp.pad(x, 1),
        lambda x: cp.transpose(x),
        lambda x: cp.broadcast_to(x, (2, 3)),
        lambda x: cp.zeros_like(x),
        lambda x: cp.sum(on_device(3), out=x),
        lambda x: cp.add(on_device(3), 1.0, out=x),
        lambda x: cp.copyto(on_device(3), x),
        lambda x: cp.clip(x, 0, 1),
        lambda x: cp.cumsum(x),
        lambda x: cp.tensordot(on_device(3), x, axes=1),
        lambda x: cp.linalg.norm(x),
        lambda x: cp.lib.stride_tricks.as_strided(x, (2, 2), (4, 4)),
    ],
)
@pytest.mark.parametrize("host", [np.ones(3, np.float32), [1.0, 1.0, 1.0]])
def test_functions_refuse_host_arrays_and_lists(call, host):
    with pytest.raises(TypeError):
        call(host)


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.exp,
        np.sum,
        lambda a: np.concatenate([a, a]),
        lambda a: np.zeros(3) + a,
        lambda a: np.testing.assert_allclose(a, [0, 1, 2]),
    ],
)
def test_numpy_cannot_take_an_array_for_its_own(convert):
    with pytest.raises(TypeError):
        convert(on_device(3))


def test_the_message_of_implicit_conversion_is_cupys():
    with pytest.raises(TypeError, match=r"Please use `.get\(\)` to construct a NumPy array"):
        np.asarray(on_device(3))


def test_an_array_is_neither_numpys_nor_an_index_nor_hashable():
    a = on_device(1, dtype="int64")[0]
    assert not isinstance(a, np.ndarray)
    with pytest.raises(TypeError):
        [10, 20][a]
    with pytest.raises(TypeError):
        hash(a)


def test_objects_and_text_cannot_go_to_the_device():
    for value in (["a", "b"], [object()], np.zeros(2, np.longdouble)):
        with pytest.raises(ValueError, match="Unsupported dtype"):
            cp.asarray(value)
    with pytest.raises(ValueError, match="Unsupported dtype"):
        on_device(2).astype("U3")


def test_scalars_of_python_and_numpy_are_welcome():
    a = on_device(3)
    for two in (2, 2.0, np.float32(2), np.int8(2), True + True):
        equal(a * two, [0, 2, 4])
        equal(two * a, [0, 2, 4])
        equal(cp.multiply(a, two), [0, 2, 4])


def test_other_types_may_take_over_an_operator():
    class Wrapper:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "mine"

    class Plain:
        def __radd__(self, other):
            return "mine"

    assert on_device(3) + Wrapper() == "mine"
    with pytest.raises(TypeError, match="Unsupported type"):  # CuPy does not ask further
        on_device(3) + Plain()


# ------------------------------------------------------- what CuPy refuses: names and keywords


@pytest.mark.parametrize("name", ["vecdot", "put_along_axis", "errstate", "block", "erf", "concat"])
def test_a_function_that_cupy_lacks_is_missing(name):
    with pytest.raises(AttributeError):
        getattr(cp, name)
    assert not hasattr(cp, name)


@pytest.mark.parametrize("name", ["mT", "__index__", "ctypes", "newbyteorder", "setflags"])
def test_a_method_that_cupy_lacks_is_missing(name):
    assert not hasattr(on_device(2, 2), name)


def test_what_is_not_modelled_says_so():
    with pytest.raises(NotImplementedError, match="does not model cupy.fromfile"):
        cp.fromfile  # noqa: B018
    with pytest.raises(NotImplementedError, match="does not model cupy.ndarray.toDlpack"):
        on_device(2).toDlpack()
    with pytest.raises(NotImplementedError, match="cannot compile CUDA"):
        cp.RawKernel("", "f")


@pytest.mark.parametrize(
    "call",
    [
        lambda a: cp.exp(a, where=a > 0),
        lambda a: cp.add(a, a, order="K"),
        lambda a: cp.add(a, a, subok=False),
        lambda a: cp.sum(a, initial=0.0),
        lambda a: cp.sum(a, where=a > 0),
        lambda a: a.sum(where=a > 0),
        lambda a: a.max(initial=0.0),
        lambda a: cp.max(a, where=a > 0),
        lambda a: cp.mean(a, where=a > 0),
        lambda a: cp.var(a, correction=1),
        lambda a: cp.take(a, 0, mode="clip"),
        lambda a: cp.asarray(a, copy=True),
        lambda a: cp.reshape(a, (3,), copy=False),
        lambda a: cp.empty(3, device="cpu"),
        lambda a: cp.zeros_like(a, device="cpu"),
        lambda a: cp.einsum("i->", a, out=a),
        lambda a: cp.broadcast_to(a, (2, 3), subok=True),
        lambda a: cp.matmul(a, a, where=True),
        lambda a: cp.std(a, mean=a),
        lambda a: cp.clip(a, min=0, max=1),
        lambda a: cp.sort(a, stable=True),
        lambda a: a.copy(order="C", deep=True),
        lambda a: a.item(0),
        lambda a: a.reshape(3, copy=False),
        lambda a: a.sort(kind="quicksort"),
    ],
)
def test_keywords_that_cupy_lacks_are_refused(call):
    with pytest.raises(TypeError):
        call(on_device(3))


def test_values_that_cupy_refuses():
    a = on_device(3)
    with pytest.raises(ValueError, match="stable"):
        cp.sort(a, kind="quicksort")
    with pytest.raises(ValueError, match="not supported"):
        cp.pad(a, 1, mode="median")
    with pytest.raises(TypeError, match="not supported yet"):
        a.astype("int32", casting="safe")
    with pytest.raises(ValueError, match="C-contiguous"):
        m = on_device(2, 2)
        cp.dot(m, m, out=cp.empty((2, 2), "float32").T)
    with pytest.raises(ValueError, match="repeats"):
        cp.repeat(a, on_device(3, dtype="int64"))


@pytest.mark.parametrize("name", ["maximum", "logaddexp", "logical_or", "minimum"])
def test_ufuncs_reduce_only_by_sum_and_product(name):
    for method in ("reduce", "accumulate"):
        with pytest.raises(NotImplementedError):
            getattr(getattr(cp, name), method)(on_device(3))
    equal(cp.add.reduce(on_device(2, 3)), [3, 5, 7])
    equal(cp.multiply.reduce(on_device(2, 3), axis=1, keepdims=True), [[0], [60]])
    equal(cp.add.accumulate(on_device(3)), [0, 1, 3])
    equal(cp.multiply.outer(on_device(2), on_device(2)), [[0, 0], [0, 1]])


def test_a_ufunc_takes_its_own_arguments_only():
    a = on_device(3)
    with pytest.raises(TypeError, match="Wrong number of arguments"):
        cp.add(a)
    with pytest.raises(ValueError, match="both a positional and keyword"):
        cp.add(a, a, a, out=a)
    with pytest.raises(TypeError):
        cp.add(on_device(3, dtype="int64"), 0.5, out=on_device(3, dtype="int64"))
    with pytest.raises(TypeError, match="positional"):
        cp.sum(a, None, None, None, False, 0)


def test_random_numbers_come_from_the_host():
    with pytest.raises(RuntimeError, match="drawn on the host"):
        cp.random.rand(3)


# ------------------------------------------------------------------- results: values and types


PARITY = {
    "exp": lambda xp, a, b, i: xp.exp(a),
    "maximum": lambda xp, a, b, i: xp.maximum(a, 1.5),
    "power": lambda xp, a, b, i: a**2 - 2**a,
    "negative": lambda xp, a, b, i: -a + abs(-a),
    "compare": lambda xp, a, b, i: (a > 1) & ~(b <= 2) | (a == b),
    "integers": lambda xp, a, b, i: (i // 2 + i % 3) ^ (i << 1),
    "modf": lambda xp, a, b, i: xp.modf(a / 3)[0],
    "sum": lambda xp, a, b, i: a.sum(axis=(0, 2), keepdims=True),
    "sum int": lambda xp, a, b, i: xp.sum(i.astype("int8")),
    "mean": lambda xp, a, b, i: xp.mean(a, axis=-1),
    "var": lambda xp, a, b, i: a.var(axis=0, ddof=1),
    "std": lambda xp, a, b, i: xp.std(a, axis=1),
    "max": lambda xp, a, b, i: a.max(axis=1),
    "ptp": lambda xp, a, b, i: xp.ptp(a, axis=0),
    "prod": lambda xp, a, b, i: xp.prod(a + 1, axis=2),
    "any": lambda xp, a, b, i: (a > 3).any(axis=0),
    "all": lambda xp, a, b, i: xp.all(a > 3),
    "argmax": lambda xp, a, b, i: a.argmax(axis=1),
    "argmin": lambda xp, a, b, i: xp.argmin(b, axis=0),
    "cumsum": lambda xp, a, b, i: xp.cumsum(a, axis=1),
    "matmul": lambda xp, a, b, i: a @ a.transpose(0, 2, 1),
    "matmul 1-d": lambda xp, a, b, i: a @ xp.ones(4, "float32"),
    "dot": lambda xp, a, b, i: a[0].dot(a[1].T),
    "tensordot": lambda xp, a, b, i: xp.tensordot(a, b, axes=((0, 1), (0, 1))),
    "einsum": lambda xp, a, b, i: xp.einsum("nij,nkj->nik", a, b),
    "einsum transposes": lambda xp, a, b, i: xp.einsum("nij->jin", a),
    "outer": lambda xp, a, b, i: xp.outer(a, b),
    "where": lambda xp, a, b, i: xp.where(a > b, a, 0.0),
    "clip": lambda xp, a, b, i: xp.clip(a, 1, 3),
    "clip one side": lambda xp, a, b, i: xp.clip(a, None, 3),
    "concatenate": lambda xp, a, b, i: xp.concatenate([a, b], axis=1),
    "stack": lambda xp, a, b, i: xp.stack((a, b), axis=-1),
    "split": lambda xp, a, b, i: xp.split(a, 2, axis=2)[1],
    "pad": lambda xp, a, b, i: xp.pad(a, ((0, 0), (1, 2), (3, 0)), constant_values=7),
    "pad reflect": lambda xp, a, b, i: xp.pad(a, [(0, 0), (1, 1), (2, 2)], mode="reflect"),
    "reshape": lambda xp, a, b, i: xp.reshape(a, (-1, 2), order="F"),
    "ravel": lambda xp, a, b, i: a.T.ravel(),
    "transpose": lambda xp, a, b, i: xp.transpose(a, (2, 0, 1)),
    "moveaxis": lambda xp, a, b, i: xp.moveaxis(a, 0, -1),
    "swapaxes": lambda xp, a, b, i: a.swapaxes(0, 2),
    "expand_dims": lambda xp, a, b, i: xp.expand_dims(a, (0, 2)),
    "squeeze": lambda xp, a, b, i: xp.squeeze(a[:1]),
    "broadcast_to": lambda xp, a, b, i: xp.broadcast_to(a, (2, 2, 3, 4)),
    "flip": lambda xp, a, b, i: xp.flip(a, axis=(1, 2)),
    "roll": lambda xp, a, b, i: xp.roll(a, 1, axis=1),
    "tile": lambda xp, a, b, i: xp.tile(a, (1, 2, 1)),
    "repeat": lambda xp, a, b, i: xp.repeat(a, 2, axis=1),
    "repeat method": lambda xp, a, b, i: a.repeat([1, 2, 3], axis=1),
    "diagonal": lambda xp, a, b, i: a[0].diagonal(1),
    "triu": lambda xp, a, b, i: xp.triu(a[0], k=1),
    "sort": lambda xp, a, b, i: xp.sort(b, axis=1),
    "argsort": lambda xp, a, b, i: xp.argsort(b, axis=None, kind="stable"),
    "unique": lambda xp, a, b, i: xp.unique(i, return_counts=True)[1],
    "bincount": lambda xp, a, b, i: xp.bincount(i, minlength=9),
    "nonzero": lambda xp, a, b, i: xp.nonzero(a > 4)[2],
    "searchsorted": lambda xp, a, b, i: xp.searchsorted(a.ravel(), b),
    "take": lambda xp, a, b, i: xp.take(a, i[:3], axis=2),
    "take_along_axis": lambda xp, a, b, i: xp.take_along_axis(a, a.argmax(1, keepdims=True), 1),
    "fancy": lambda xp, a, b, i: a[i[:2] % 2, :, i[:2]],
    "mask": lambda xp, a, b, i: a[a > 2],
    "mask and int": lambda xp, a, b, i: a[1, a[1, :, 0] > 2, ::2],
    "count_nonzero": lambda xp, a, b, i: xp.count_nonzero(a),
    "array_equal": lambda xp, a, b, i: xp.array_equal(a, b),
    "zeros_like": lambda xp, a, b, i: xp.zeros_like(a, dtype="int16"),
    "full": lambda xp, a, b, i: xp.full((2, 3), 7, dtype=xp.float32),
    "eye": lambda xp, a, b, i: xp.eye(3, 4, k=1),
    "linspace": lambda xp, a, b, i: xp.linspace(0, 1, 5),
    "arange": lambda xp, a, b, i: xp.arange(2, 8, 3, dtype="float32"),
    "meshgrid": lambda xp, a, b, i: xp.meshgrid(i, i, indexing="ij")[1],
    "tri": lambda xp, a, b, i: xp.tri(3),
    "isfinite": lambda xp, a, b, i: xp.isfinite(a / b),
    "newaxis": lambda xp, a, b, i: a[:, xp.newaxis, ..., -1],
    "astype": lambda xp, a, b, i: a.astype(xp.float16),
    "view": lambda xp, a, b, i: a.view("int32"),
    "round": lambda xp, a, b, i: (a / 3).round(2),
    "trace": lambda xp, a, b, i: xp.trace(a[0]),
    "norm": lambda xp, a, b, i: xp.linalg.norm(a, axis=1),
    "inv": lambda xp, a, b, i: xp.linalg.inv(a[0, :, :3] + 9 * xp.eye(3, dtype="float32")),
    "rfft": lambda xp, a, b, i: xp.fft.rfft(a, axis=-1),
    "pi": lambda xp, a, b, i: xp.sin(a + xp.pi),
    "percentile": lambda xp, a, b, i: xp.percentile(a, 50, axis=0),
}


@pytest.mark.parametrize("name", PARITY)
def test_values_and_dtypes_are_numpys(name):
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 4
    b = np.random.default_rng(0).permuted(a) + 1
    i = np.array([3, 0, 2, 3, 1])
    expected = np.asarray(PARITY[name](np, a, b, i))
    result = PARITY[name](cp, cp.asarray(a), cp.asarray(b), cp.asarray(i))
    equal(result, expected)
    assert result.dtype == expected.dtype


def test_promotion_follows_nep_50():
    a = on_device(3, dtype="float32")
    assert (a * 2.5).dtype == np.float32
    assert (a * np.float64(2.5)).dtype == np.float64
    assert (on_device(3, dtype="int8") + 1).dtype == np.int8
    with pytest.raises(OverflowError):
        on_device(3, dtype="uint8") + 300


def test_nothing_is_ever_a_scalar():
    a = on_device(2, 3)
    for value in (a.sum(), cp.max(a), a[0, 0], a.mean(), cp.dot(a[0], a[0]), cp.add(1, 2)):
        assert type(value) is cp.ndarray
        assert value.shape == ()
    assert type(cp.allclose(a, a)) is cp.ndarray
    assert type(cp.count_nonzero(a)) is cp.ndarray


def test_a_gpu_divides_by_zero_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = on_device(2) / 0
        assert np.isinf(cp.log(on_device(1)).item())
        assert np.isnan((a - a).sum().item())


def test_out_arguments_are_written_and_returned():
    a, out = on_device(2, 2), cp.empty((2, 2), "float32")
    rows = on_device(2, dtype="int64")
    for call in (
        lambda: cp.exp(a, out=out),
        lambda: cp.exp(a, out),
        lambda: cp.exp(a, out=(out,)),
        lambda: cp.matmul(a, a, out=out),
        lambda: cp.dot(a, a, out),
        lambda: cp.clip(a, 0, 1, out=out),
        lambda: cp.take(a, rows, axis=0, out=out),
        lambda: cp.cumsum(a, axis=0, out=out),
        lambda: cp.concatenate([a[:1], a[:1]], out=out),
    ):
        out.fill(-1)
        with standin.count() as c:
            assert call() is out
        assert c.launches == 1
        assert out.get().min() >= 0
    total = cp.empty((2,), "float32")
    assert a.sum(axis=0, out=total) is total
    equal(total, [2, 4])


def test_in_place_operators_keep_the_array():
    a = on_device(3)
    same, memory = a, a.data.ptr
    a += 1
    a *= a
    a -= 1
    a /= 2
    assert a is same
    assert a.data.ptr == memory
    equal(a, [0, 1.5, 4])


# ------------------------------------------------------------------------------ memory layout


def batch_last() -> standin.cupy.ndarray:
    """A (5, 2, 3, 4) array whose batch axis is the innermost in memory."""
    return on_device(2, 3, 4, 5).transpose(3, 0, 1, 2)


def test_a_new_result_of_a_ufunc_is_in_c_order_whatever_its_input():
    a = batch_last()
    for result in (a + a, a * 2, cp.exp(a), -a, a > 0, cp.where(a > 0, a, 0.0), cp.maximum(a, a)):
        assert result.flags.c_contiguous
    assert cp.asarray(np.ones((2, 3), order="F")).flags.fnc
    assert (cp.asarray(np.ones((2, 3), order="F")) + 1).flags.c_contiguous


def test_out_and_in_place_keep_another_order():
    a = batch_last()
    out = cp.empty_like(a)
    assert out.strides == a.strides
    cp.sqrt(a, out=out)
    out += 1
    assert out.strides == a.strides
    np.testing.assert_array_equal(out.get(), np.sqrt(a.get()) + 1)


def test_which_copies_keep_the_order():
    a = batch_last()
    for kept in (cp.empty_like(a), cp.zeros_like(a), cp.full_like(a, 2), cp.copy(a), a.copy("K")):
        assert kept.strides == a.strides
    assert a.astype("float64").strides == tuple(2 * s for s in a.strides)
    for flat in (a.copy(), cp.ascontiguousarray(a), cp.concatenate([a, a]), a[a > -1], a.sum(1)):
        assert flat.flags.c_contiguous


def test_only_c_and_fortran_order_survive_an_upload():
    host = np.zeros((2, 3, 4, 5), np.float32).transpose(3, 0, 1, 2)
    assert cp.asarray(host).flags.c_contiguous
    assert cp.asarray(np.asfortranarray(np.zeros((2, 3)))).flags.fnc
    assert batch_last().get().flags.c_contiguous
    assert cp.asnumpy(on_device(2, 3).T, order="A").flags.f_contiguous


def test_views_share_memory_and_know_their_base():
    a = on_device(2, 3, 4)
    views = {
        "slice": a[1:, ::2],
        "integer": a[0, 1],
        "element": a[1, 2, 3],
        "newaxis": a[None, ..., None],
        "numpy integer": a[np.int64(1)],
        "transpose": a.transpose(2, 0, 1),
        "T": a.T,
        "reshape": a.reshape(6, 4),
        "function reshape": cp.reshape(a, -1),
        "ravel": a.ravel(),
        "squeeze": a[:1].squeeze(0),
        "moveaxis": cp.moveaxis(a, 0, 2),
        "swapaxes": a.swapaxes(0, 1),
        "expand_dims": cp.expand_dims(a, 0),
        "broadcast_to": cp.broadcast_to(a, (2, 2, 3, 4)),
        "view": a.view("int32"),
        "diagonal": a[0].diagonal(),
        "split": cp.split(a, 2)[0],
        "flip": cp.flip(a, 0),
    }
    for name, view in views.items():
        assert view.base is a, name
        assert not view.flags.owndata, name
    a.fill(9)
    for name, view in views.items():
        if name != "view":
            assert (view.get() == 9).all(), name
    assert a.base is None
    assert a.flags.owndata
    assert (a + 1).base is None


def test_writing_to_a_view_writes_to_its_base():
    a = on_device(2, 3)
    a[0][1:] = 7
    a.T[0, 1] = 8
    a.reshape(-1)[5] += 1
    equal(a, [[0, 7, 7], [8, 4, 6]])


def test_metadata():
    a = on_device(2, 3).T
    assert (a.shape, a.strides, a.ndim, a.size) == ((3, 2), (4, 12), 2, 6)
    assert (a.itemsize, a.nbytes, a.dtype, len(a)) == (4, 24, np.dtype("float32"), 3)
    assert (a.flags.c_contiguous, a.flags.f_contiguous, a.flags["OWNDATA"]) == (False, True, False)
    with pytest.raises(AttributeError):
        a.flags.writeable  # noqa: B018
    with pytest.raises(AttributeError):
        a.note = "arrays carry no attributes"
    a = on_device(6)
    a.shape = (2, 3)
    equal(a, [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(AttributeError):
        a.T.shape = (6,)


def test_asarray_and_astype_return_the_array_itself_where_nothing_changes():
    a = on_device(2, 3)
    assert cp.asarray(a) is a
    assert cp.ascontiguousarray(a) is a
    assert a.astype("float32", copy=False) is a
    assert cp.array(a) is not a
    assert a.astype("float32") is not a
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        cp.array(a, dtype="float64", copy=False)


def test_uninitialised_memory_holds_nothing_useful():
    assert np.isnan(cp.empty((2, 2)).get()).all()
    assert np.isnan(cp.empty_like(on_device(2)).get()).all()
    assert np.isnan(cp.ndarray((2,), "float16").get()).all()
    assert (cp.empty(3, "int8").get() == 127).all()


# ----------------------------------------------------------------------------------- indexing


def test_indices_out_of_range_wrap_around():
    a = on_device(4)
    far = cp.asarray(np.array([4, -5, 9, -1]))
    wrapped = [0, 3, 1, 3]
    equal(a[far], wrapped)
    equal(a[[4, -5, 9, -1]], wrapped)
    equal(cp.take(a, far), wrapped)
    equal(a.take(far), wrapped)
    equal(cp.take_along_axis(a, far, 0), wrapped)
    equal(on_device(2, 4)[cp.asarray(np.array([2, 3])), 1], [1, 5])
    a[far[:1]] = 10
    equal(a, [10, 1, 2, 3])
    cp.put(a, far[1:2], 11)
    equal(a, [10, 1, 2, 11])
    with pytest.raises(IndexError):  # a plain integer is checked, by CuPy too
        a[4]


def test_indices_must_be_integers_or_a_mask_of_the_right_shape():
    a = on_device(4)
    for wrong in (on_device(2), [0.5], "x", np.ones(2)):
        with pytest.raises(IndexError):
            a[wrong]
    with pytest.raises(IndexError):
        a[cp.asarray(np.ones(3, bool))]
    with pytest.raises(IndexError, match="too many indices"):
        a[[0], [0]]


def test_host_lists_and_arrays_as_indices_are_uploaded():
    a = on_device(2, 3)
    with standin.count() as c:
        equal(a[[1, 0]], [[3, 4, 5], [0, 1, 2]])
        equal(a[:, np.array([2])], [[2], [5]])
        assert a[[]].shape == (0, 3)
    assert c.uploads == 3


def test_an_array_as_an_index_copies():
    a = on_device(3)
    one = on_device(2, dtype="int64")[1]
    taken = a[one]
    a.fill(5)
    equal(taken, 1.0)
    assert taken.base is None


def test_assignments_take_device_arrays_and_numbers():
    a = on_device(2, 3)
    a[0] = on_device(3) + 10
    a[1, 1:] = 4
    equal(a, [[10, 11, 12], [3, 4, 4]])
    for host in (np.ones(3, np.float32), [1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match="non-scalar"):
            a[0] = host
        with pytest.raises(ValueError, match="non-scalar"):
            a[:] = host
    a[a > 10] = -1
    equal(a, [[10, -1, -1], [3, 4, 4]])
    with standin.count() as c:
        a[:, [0, 2]] = np.array([[1, 2], [3, 4]], np.float32)
    assert c.uploads == 2
    equal(a, [[1, -1, 2], [3, 4, 4]])


def test_nobody_can_rely_on_who_wins_a_repeated_assignment():
    winners = set()
    for _ in range(20):
        a = cp.zeros(2)
        a[cp.zeros(50, dtype="int64")] = cp.arange(50.0)
        assert a[1].item() == 0
        winners.add(a[0].item())
        cp.put(a, cp.zeros(50, dtype="int64"), cp.arange(50.0))
        winners.add(a[0].item())
    assert winners <= set(range(50))
    assert len(winners) > 5


def test_repeated_assignment_writes_whole_views_correctly():
    a = on_device(3, 4).T
    a[cp.asarray(np.array([1, 1, 3]))] = cp.full((3, 3), 7, dtype="float32")
    equal(a, [[0, 4, 8], [7, 7, 7], [2, 6, 10], [7, 7, 7]])


def test_scatter_accumulates_at_repeated_places():
    places = cp.asarray(np.array([0, 0, 5, 2]))
    for scatter in (cp.add.at, cpx.scatter_add, lambda a, i, v: a.scatter_add(i, v)):
        a = cp.zeros(3, dtype="float32")
        scatter(a, places, cp.asarray(np.array([1, 2, 3, 4], np.float32)))
        equal(a, [3, 0, 7])
    cpx.scatter_max(a, places, 5.0)
    equal(a, [5, 0, 7])
    cpx.scatter_min(a, (slice(1, 3),), 1.0)
    equal(a, [5, 0, 1])
    with pytest.raises(TypeError, match="does not support int64"):
        cp.add.at(cp.zeros(3, dtype="int64"), places, 1)
    with pytest.raises(NotImplementedError):
        cp.multiply.at(a, places, 1)


# ------------------------------------------------------------------------------ stride tricks


def test_as_strided_is_a_view_and_stays_inside():
    a = on_device(4)
    windows = cp.lib.stride_tricks.as_strided(a, (3, 2), (4, 4))
    equal(windows, [[0, 1], [1, 2], [2, 3]])
    assert windows.base is a
    nested = cp.lib.stride_tricks.as_strided(a[1:3], (3,), (4,))  # inside the owner's memory
    equal(nested, [1, 2, 3])
    with pytest.raises(ValueError, match="outside"):
        cp.lib.stride_tricks.as_strided(a, (4, 2), (4, 4))
    with pytest.raises(ValueError, match="outside"):
        cp.lib.stride_tricks.as_strided(a, (2,), (-4,))


def test_sliding_window_view_waits_for_each_length_as_cupys_does():
    a = on_device(3, 4)
    with standin.count() as c:
        windows = cp.lib.stride_tricks.sliding_window_view(a, (2, 2))
    assert (c.syncs, c.uploads) == (2, 1)
    assert windows.base is a
    expected = np.lib.stride_tricks.sliding_window_view(a.get(), (2, 2))
    equal(windows, expected)


# ----------------------------------------------------------------------------------- counting


def test_launches():
    a, m, i = on_device(2, 3), on_device(3, 3), on_device(2, dtype="int64")
    cases = [
        (lambda: a + 1, 1),
        (lambda: cp.exp(a), 1),
        (lambda: divmod(a, 2), 1),
        (lambda: a.sum(), 1),
        (lambda: cp.max(a, axis=0), 1),
        (lambda: a.reshape(3, 2), 0),
        (lambda: a.T.reshape(6), 1),
        (lambda: a.T, 0),
        (lambda: a[0], 0),
        (lambda: a[i], 1),
        (lambda: cp.broadcast_to(a, (4, 2, 3)), 0),
        (lambda: cp.concatenate([a, a]), 1),
        (lambda: a.astype("float64"), 1),
        (lambda: a.astype("float32", copy=False), 0),
        (lambda: cp.ascontiguousarray(a), 0),
        (lambda: cp.ascontiguousarray(a.T), 1),
        (lambda: cp.empty(3), 0),
        (lambda: cp.empty_like(a), 0),
        (lambda: cp.zeros(3), 1),
        (lambda: a.fill(0), 1),
        (lambda: a.__setitem__(0, 1.0), 1),
        (lambda: a.__setitem__(i, 1.0), 1),
        (lambda: a.__iadd__(1), 1),
        (lambda: a @ m, 1),
        (lambda: a @ m.T, 1),
        (lambda: on_device(2, 3, 3) @ m, 1),
        (lambda: m[::2, ::2] @ m[::2, ::2], 3),  # strided operands are copied for cuBLAS
        (lambda: on_device(2, 3, 3).transpose(0, 2, 1) @ on_device(2, 3, 3), 2),
        (lambda: cp.matmul(a, m, out=cp.empty((3, 2), "float32").T), 2),
        (lambda: m.sort(), 1),
        (lambda: cp.zeros((0, 3)) + 1, 0),
        (lambda: (a.shape, a.dtype, a.strides, a.flags, a.nbytes), 0),
    ]
    for number, (call, expected) in enumerate(cases):
        with standin.count() as c:
            call()
        assert c.launches == expected, f"case {number}"
        assert c.syncs == 0, f"case {number}"


SYNCS = {
    "float": lambda a: float(a[0]),
    "int": lambda a: int(a[0]),
    "complex": lambda a: complex(a[0]),
    "bool": lambda a: bool(a[0]),
    "if": lambda a: 1 if a.sum() > 2 else 0,
    "item": lambda a: a[0].item(),
    "get": lambda a: a.get(),
    "asnumpy": lambda a: cp.asnumpy(a),
    "tolist": lambda a: a.tolist(),
    "tobytes": lambda a: a.tobytes(),
    "repr": repr,
    "str": str,
    "format": lambda a: f"{a.sum():.2f}",
    "mask": lambda a: a[a > 1],
    "assigning by mask": lambda a: a.__setitem__(a > 1, 0),
    "nonzero": lambda a: cp.nonzero(a),
    "nonzero method": lambda a: a.nonzero(),
    "one-argument where": lambda a: cp.where(a > 1),
    "argwhere": lambda a: cp.argwhere(a),
    "flatnonzero": lambda a: cp.flatnonzero(a),
    "unique": lambda a: cp.unique(a),
    "bincount": lambda a: cp.bincount(a.astype("int64")),
    "extract": lambda a: cp.extract(a > 1, a),
    "compress": lambda a: a.compress(a > 1),
    "inv": lambda a: cp.linalg.inv(cp.eye(2)),
    "stream": lambda a: cp.cuda.get_current_stream().synchronize(),
    "null stream": lambda a: cp.cuda.Stream.null.synchronize(),
    "device": lambda a: cp.cuda.Device().synchronize(),
    "runtime": lambda a: cp.cuda.runtime.deviceSynchronize(),
    "event": lambda a: cp.cuda.Event().synchronize(),
}


@pytest.mark.parametrize("name", SYNCS)
def test_syncs_are_counted_and_can_be_forbidden(name):
    with standin.count() as c:
        SYNCS[name](on_device(3))
    assert c.syncs == 1
    with standin.no_sync(), pytest.raises(standin.SyncError, match="waits for the device"):
        SYNCS[name](on_device(3))


def test_iterating_gives_arrays_and_waits_only_where_each_is_read():
    with standin.count() as c:
        rows = list(on_device(3))
        assert c.syncs == 0
        assert [float(x) for x in rows] == [0, 1, 2]
    assert c.syncs == 3
    with pytest.raises(TypeError, match="0-d"):
        iter(on_device(1)[0])


def test_a_training_step_without_waiting_is_allowed():
    with standin.no_sync():
        a = on_device(4, 3)
        loss = cp.where(a > 2, a, 0.0).mean()
        a -= 0.1 * loss
        cp.allclose(a, a)
    with standin.count() as c:
        float(loss)  # allowed again after the block
    assert c.syncs == 1


def test_no_sync_ends_with_its_block_even_after_an_error():
    with pytest.raises(standin.SyncError), standin.no_sync():
        float(on_device(1)[0])
    assert float(on_device(1)[0]) == 0


def test_the_truth_of_many_elements_is_an_error():
    with pytest.raises(ValueError, match="ambiguous"):
        bool(on_device(2))


def test_uploads():
    with standin.count() as c:
        a = cp.asarray(np.ones(3))
        cp.array([1, 2, 3])
        a.set(np.zeros(3))
        cp.asarray(a)
        cp.asarray([a[0], a[1]])
    assert c.uploads == 3
    equal(a, [0, 0, 0])


def test_an_upload_copies():
    host = np.zeros(3)
    a = cp.asarray(host)
    host += 1
    equal(a, [0, 0, 0])
    back = a.get()
    back += 1
    equal(a, [0, 0, 0])


def test_counts_nest_and_freeze():
    a = on_device(3)
    with standin.count() as outer:
        a + 1
        with standin.count() as inner:
            a + 1
        a + 1
    a + 1
    assert (inner.launches, outer.launches) == (1, 3)


def test_the_memory_pool_knows_what_is_alive():
    gc.collect()
    pool = cp.get_default_memory_pool()
    before = pool.used_bytes()
    a = cp.zeros(1000, dtype="float32")
    view = a[10:]
    assert pool.used_bytes() - before == 4000
    del a
    assert pool.used_bytes() - before == 4000  # the view keeps its memory
    del view
    assert pool.used_bytes() == before
    assert pool.total_bytes() >= before + 4000
    pool.free_all_blocks()
    assert pool.total_bytes() == before


# ------------------------------------------------------------------------ cuda, cupyx, plug-in


def test_the_device_answers():
    assert cp.cuda.runtime.getDeviceCount() == 1
    assert cp.cuda.Device(0).id == 0
    with cp.cuda.Stream(non_blocking=True) as stream:
        start, end = stream.record(), cp.cuda.Event()
        end.record()
    assert cp.cuda.get_elapsed_time(start, end) >= 0
    with pytest.raises(ValueError, match="one device"):
        cp.cuda.Device(1)
    with pytest.raises(AttributeError):
        cp.cuda.no_such_thing  # noqa: B018


def test_get_array_module():
    assert cp.get_array_module(np.ones(2), on_device(2)) is cp
    assert cp.get_array_module(np.ones(2), 3.0) is np


def test_cupyx():
    equal(cpx.rsqrt(cp.asarray(np.array([4.0, 16.0]))), [0.5, 0.25])
    with cpx.errstate(invalid="ignore"):
        pass
    with pytest.raises(AttributeError):
        cpx.relu  # noqa: B018


def test_installing():
    from minitorch7 import backend

    with standin.installed():
        assert backend.library("cupy") is cp
        assert backend.name_of(on_device(2)) == "cupy"
        np.testing.assert_array_equal(backend.to_numpy(on_device(2)), [0, 1])


def test_installing_again_ends_with_what_was_there():
    from minitorch7 import backend
    from minitorch7.kernels import cuda

    before, counted = backend._libraries.get("cupy"), standin.CountedKernels()
    with standin.installed():
        assert not cuda.load.usable(cp)
        with standin.installed(counted):
            assert backend.library("cupy") is counted and cuda.load.usable(counted)
        assert backend.library("cupy") is cp and not cuda.load.usable(cp)
    assert backend._libraries.get("cupy") is before
    if before is None:
        with pytest.raises(TypeError):
            backend.name_of(on_device(2))


def test_counted_kernels_only_count():
    x = on_device(3)
    module = standin.CountedKernels().RawModule(code="", options=())
    with standin.count() as c, standin.no_sync():
        module.get_function("double_it")((1,), (32,), (x,))
    assert (c.launches, c.syncs) == (1, 0)
    equal(x, [0, 1, 2])


def test_nothing_poses_as_cupy_in_the_import_system():
    import sys

    assert sys.modules.get("cupy") is not cp
    assert sys.modules.get("cupyx") is not cpx


# --------------------------------------------------------------------------- the table of names


def test_every_listed_name_is_answered_or_declared_unmodelled():
    spaces = {"cupy": cp, "cupyx": cpx, "cupy.linalg": cp.linalg, "cupy.fft": cp.fft}
    answered = 0
    for path in names.TABLE:
        space, _, name = path.rpartition(".")
        if space in spaces:
            try:
                getattr(spaces[space], name)
                answered += 1
            except NotImplementedError as error:
                assert path in str(error)
    assert answered > 350


def test_signatures_common_to_two_versions():
    merged = make_names.common(
        {
            "cupy.f": "function (a, b=, c=)",
            "cupy.g": "function (*args, **kwargs)",
            "cupy.h": "function (a, b=, *, k=)",
            "cupy.only_old": "ufunc 1 1",
        },
        {
            "cupy.f": "function+sync (a, c=, b=, *, new=)",
            "cupy.g": "function (*args, out=)",
            "cupy.h": "function (a, b=, *, k=)",
        },
    )
    assert merged == {
        "cupy.f": "function+sync (a, *, b=, c=)",
        "cupy.g": "function (*args, out=)",
        "cupy.h": "function (a, b=, *, k=)",
    }


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_the_table_agrees_with_the_installed_cupy():
    real = make_names.describe()
    missing = sorted(set(names.TABLE) - set(real))
    assert not missing
    for path, entry in names.TABLE.items():
        if "(" in entry.detail:
            ours, theirs = entry.parameters, names.Parameters(real[path].split(" ", 1)[1])
            assert theirs.double_star or ours.accepted <= theirs.accepted, path
            if not theirs.star and not ours.star:
                assert ours.positional == theirs.positional[: len(ours.positional)], path
