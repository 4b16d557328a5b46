"""PyTorch's archives, written here byte by byte: what is read, and what is refused."""

import io
import os
import pickle
import random
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitorch7.pth import MAGIC, PROTOCOL, WeightsError, WeightsNotFound, read_pth

BASE = np.arange(24, dtype="<f4").reshape(4, 6)

# ------------------------------------------------------------------- a small assembler of pickles


def value(v):
    """The instructions for a plain value."""
    return pickle.dumps(v, 2)[2:-1]


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def call(function, *arguments):
    return function + b"(" + b"".join(arguments) + b"tR"


DICT = call(name("collections", "OrderedDict"))


def storage(key="0", numel=24, kind="FloatStorage", legacy=False, module="torch"):
    last = value(None) if legacy else b""
    note = [value("storage"), name(module, kind), value(key), value("cpu"), value(numel), last]
    return b"(" + b"".join(note) + b"tQ"


def tensor(where=None, offset=0, size=(4, 6), stride=(6, 1)):
    where = storage() if where is None else where
    parts = [where, *map(value, (offset, size, stride, False)), DICT]
    return call(name("torch._utils", "_rebuild_tensor_v2"), *parts)


def filled(target=DICT, **entries):
    pairs = b"".join(value(k) + v for k, v in entries.items())
    return target + b"(" + pairs + b"u"


def program(body):
    return b"\x80\x02" + body + b"."


def write_zip(path, body, storages=None, extra=(), compression=zipfile.ZIP_STORED):
    storages = {"0": BASE.tobytes()} if storages is None else storages
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program(body))
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        for member, data in extra:
            archive.writestr(member, data)
    return path


def write_legacy(path, body, storages=None):
    storages = [("0", 24, BASE.tobytes())] if storages is None else storages
    head = [MAGIC, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": True}]
    parts = [pickle.dumps(v, 2) for v in head]
    parts += [program(body), pickle.dumps([key for key, _, _ in storages], 2)]
    parts += [count.to_bytes(8, "little", signed=True) + data for _, count, data in storages]
    path.write_bytes(b"".join(parts))
    return path


def write(layout, path, make):
    """A file in either layout; `make(storage)` gives the pickle's instructions."""
    if layout == "zip":
        return write_zip(path, make(storage()))
    return write_legacy(path, make(storage(legacy=True)))


LAYOUTS = pytest.mark.parametrize("layout", ["zip", "legacy"])

# ---------------------------------------------------------------------------------- what is read


@LAYOUTS
def test_views_of_one_storage(tmp_path, layout):
    def make(where):
        part = tensor(where, offset=7, size=(3, 2), stride=(6, 3))
        across = tensor(where, size=(6, 4), stride=(1, 6))
        scalar = tensor(where, offset=23, size=(), stride=())
        nothing = tensor(where, offset=24, size=(0, 3), stride=(3, 1))
        return filled(whole=tensor(where), part=part, across=across, scalar=scalar, none=nothing)

    found = read_pth(write(layout, tmp_path / "a.pth", make))
    assert list(found) == ["whole", "part", "across", "scalar", "none"]
    assert all(a.dtype == np.float32 and a.dtype.isnative for a in found.values())
    np.testing.assert_array_equal(found["whole"], BASE)
    np.testing.assert_array_equal(found["part"], BASE[1:, 1::3])
    np.testing.assert_array_equal(found["across"], BASE.T)
    assert found["scalar"].shape == () and found["scalar"] == 23
    assert found["none"].shape == (0, 3)
    found["whole"][0, 0] = 99
    assert found["across"][0, 0] == 99, "one storage in the file is one memory here"


NUMBERS = {
    "DoubleStorage": np.array([0.1, -2, 1e300], "<f8"),
    "FloatStorage": np.array([0.1, -2, 1e30], "<f4"),
    "HalfStorage": np.array([0.1, -2, 6e4], "<f2"),
    "LongStorage": np.array([2**62, -1, 0], "<i8"),
    "IntStorage": np.array([2**31 - 1, -1, 0], "<i4"),
    "ShortStorage": np.array([2**15 - 1, -1, 0], "<i2"),
    "CharStorage": np.array([127, -128, 0], "i1"),
    "ByteStorage": np.array([255, 1, 0], "u1"),
    "BoolStorage": np.array([True, False, True]),
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("order", ["little", "big", None])
def test_kinds_of_numbers_in_either_order(tmp_path, kind, order):
    numbers = NUMBERS[kind]
    data = numbers.byteswap().tobytes() if order == "big" else numbers.tobytes()
    extra = [("archive/byteorder", order)] if order else []
    body = filled(a=tensor(storage(numel=3, kind=kind), size=(3,), stride=(1,)))
    found = read_pth(write_zip(tmp_path / "a.pth", body, {"0": data}, extra))["a"]
    assert found.dtype == numbers.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, numbers)


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    exact = np.array([1.5, -2.0, 0.0, 3.0e38, np.inf], "<f4")
    upper = (exact.view("<u4") >> 16).astype("<u2")
    body = filled(a=tensor(storage(numel=5, kind="BFloat16Storage"), size=(5,), stride=(1,)))
    found = read_pth(write_zip(tmp_path / "a.pth", body, {"0": upper.tobytes()}))["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (upper.astype("<u4") << 16).view("<f4"))
    np.testing.assert_array_equal(found[:3], exact[:3])


@LAYOUTS
def test_parameters_of_every_age(tmp_path, layout):
    """Today's, that of PyTorch 0.3 (a call of Parameter, then its flags), and Python 2's dict."""

    def make(where):
        old = call(name("torch._utils", "_rebuild_tensor"), where, *map(value, (0, (4, 6), (6, 1))))
        flags = value((True, False)) + b"b"
        oldest = call(name("torch.nn.parameter", "Parameter"), old) + flags
        today = call(name("torch._utils", "_rebuild_parameter"), tensor(where), value(True), DICT)
        pairs = b"](](" + value("a") + oldest + b"e](" + value("b") + today + b"ee"
        sized = call(name("torch", "Size"), value((4, 6)))
        parts = [where, value(0), sized, value((6, 1)), value(False), DICT]
        c = call(name("torch._utils", "_rebuild_tensor_v2"), *parts)
        body = filled(call(name("collections", "OrderedDict"), pairs), c=c)
        return body + value({"_metadata": {"": {"version": 2}}}) + b"b"

    found = read_pth(write(layout, tmp_path / "a.pth", make))
    assert list(found) == ["a", "b", "c"]
    for array in found.values():
        np.testing.assert_array_equal(array, BASE)


def test_from_a_gpu(tmp_path):
    body = filled(a=tensor(storage(module="torch.cuda")))
    np.testing.assert_array_equal(read_pth(write_zip(tmp_path / "a.pth", body))["a"], BASE)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_checkpoint_is_taken_apart_and_says_so(tmp_path, key):
    inner = filled(a=tensor())
    moments = filled(value({}), exp_avg=tensor())
    body = filled(epoch=value(3), **{key: inner}, optimizer=moments, arch=value("resnet34"))
    with pytest.warns(UserWarning, match=f"a checkpoint; its weights are under '{key}'") as seen:
        found = read_pth(write_zip(tmp_path / "a.pth", body))
    assert list(found) == ["a"] and seen[0].filename == __file__


def test_plain_numbers_are_left_out_and_other_things_are_errors(tmp_path):
    path = tmp_path / "a.pth"
    found = read_pth(write_zip(path, filled(a=tensor(), epoch=value(3), acc=value(0.5))))
    assert list(found) == ["a"]
    for thing, kind in (("x", "str"), ([1], "list"), ({"b": 1}, "dict"), (None, "NoneType")):
        write_zip(path, filled(a=tensor(), odd=value(thing)))
        with pytest.raises(WeightsError, match=f"entry 'odd' is a {kind}, not a tensor"):
            read_pth(path)
    for body in (value([1, 2]), tensor(), value(3)):
        with pytest.raises(WeightsError, match="holds no dictionary of tensors"):
            read_pth(write_zip(path, body))


# ------------------------------------------------------------------------------- what is refused


class Evil:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


def evils(marker):
    """(what the error has to name, instructions) for calls that would leave a file behind."""
    touch, code = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    for protocol in (2, 3, 4, 5):
        for function, argument in ((os.system, touch), (eval, code), (exec, code)):
            pickled = pickle.dumps(Evil(function, argument), protocol)
            yield f".{function.__name__},", pickled[:-1]  # of posix, nt, builtins, __builtin__
    nested = Evil(eval, Evil(str, code))
    yield ".eval,", pickle.dumps(nested, 2)[2:-1]
    inner = call(name("os", "system"), value(touch))
    parameter = name("torch.nn.parameter", "Parameter")
    ordered = name("collections", "OrderedDict")
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    yield "os.system", call(ordered, inner)
    yield "os.system", call(parameter, inner)
    yield "os.system", call(rebuild, storage(), inner)
    yield "os.system", inner + b"Q"
    yield "INST 'os system'", b"(" + value(touch) + b"ios\nsystem\n"
    yield "os.system", b"(" + name("os", "system") + value(touch) + b"o"
    yield "builtins.getattr", call(name("builtins", "getattr"), ordered, value("__class__"))
    yield "collections.OrderedDict.__reduce__", name("collections", "OrderedDict.__reduce__")
    yield "torch._utils.os.system", call(name("torch._utils", "os.system"), value(touch))
    dotted = value("torch._utils") + value("os.system") + b"\x93"
    yield "torch._utils.os.system", call(dotted, value(touch))
    yield "torch.load", call(name("torch", "load"), value(str(marker)))
    yield "torch.hub.load", call(name("torch.hub", "load"), value(touch))
    yield "torch._utils._rebuild_from_type_v2", name("torch._utils", "_rebuild_from_type_v2")
    # allowed names with arguments that are not theirs
    yield "torch.nn.parameter.Parameter", call(parameter, value(touch))
    yield "collections.OrderedDict", call(ordered, value(touch))
    yield "torch._utils._rebuild_tensor_v2", call(rebuild, ordered, *map(value, (0, (1,), (1,))))
    yield "torch.FloatStorage", call(name("torch", "FloatStorage"), value(10**12))
    yield "torch.Size", call(name("torch", "Size"), value(touch))
    yield "calls str", call(value("os.system"), value(touch))
    # ways of making an object that weights do not need
    yield "NEWOBJ", parameter + b")\x81"
    yield "EXT1", b"\x82\x01"


@LAYOUTS
@pytest.mark.parametrize("place", ["whole", "entry", "key", "storage"])
def test_nothing_runs(tmp_path, layout, place):
    marker = tmp_path / "marker"
    count = 0
    for named, evil in evils(marker):
        evil = evil.removeprefix(b"\x80\x02")
        forms = {
            "whole": evil,
            "entry": filled(a=tensor(), b=evil),
            "key": DICT + b"(" + evil + tensor() + b"u",
            "storage": filled(a=tensor(evil)),
        }
        path = write(layout, tmp_path / "evil.pth", lambda _, body=forms[place]: body)
        with pytest.raises(WeightsError) as caught:
            read_pth(path)
        text = str(caught.value)
        assert named in text and str(path) in text and not marker.exists()
        count += 1
    assert count > 30


def test_state_set_on_what_is_built_changes_nothing(tmp_path):
    """BUILD sets attributes in a common unpickler; here it has nothing to set them on."""
    state = value({"__class__": 1, "__init__": 2}) + b"b"
    evil = DICT + state + name("torch._utils", "_rebuild_tensor_v2") + state + b"0"
    for body in (filled(a=tensor()) + state, filled(a=tensor() + state)):
        np.testing.assert_array_equal(read_pth(write_zip(tmp_path / "a.pth", body))["a"], BASE)
    with pytest.raises(WeightsError, match="instruction POP"):
        read_pth(write_zip(tmp_path / "a.pth", evil))


OUTSIDE = {
    "offset": dict(offset=1),
    "far": dict(offset=2**62),
    "before": dict(offset=-1),
    "size": dict(size=(5, 6)),
    "stride": dict(stride=(7, 1)),
    "backwards": dict(offset=23, stride=(-6, -1)),
    "negative": dict(size=(-4, -6)),
    "blown up": dict(size=(2**20, 2**20), stride=(0, 0)),
    "wrapping": dict(size=(2**33, 2**33), stride=(2**33, 2**33)),
    "huge": dict(size=(10**5000,), stride=(1,)),
    "uneven": dict(size=(4, 6), stride=(1,)),
    "axes": dict(size=(1,) * 70, stride=(1,) * 70),
    "texts": dict(size=("4", 6), stride=(6, 1)),
}


@LAYOUTS
@pytest.mark.parametrize("what", OUTSIDE)
def test_no_tensor_reaches_outside_its_storage(tmp_path, layout, what):
    options = {"size": (4, 6), "stride": (6, 1)} | OUTSIDE[what]
    path = write(layout, tmp_path / "a.pth", lambda where: filled(a=tensor(where, **options)))
    with pytest.raises(WeightsError, match="a.pth: 'a' "):
        read_pth(path)


@given(
    offset=st.integers(0, 30),
    axes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=3),
)
@settings(max_examples=150, deadline=None)
def test_any_view_is_right_or_refused(tmp_path_factory, offset, axes):
    size, stride = tuple(n for n, _ in axes), tuple(s for _, s in axes)
    body = filled(a=tensor(offset=offset, size=size, stride=stride))
    path = write_zip(tmp_path_factory.getbasetemp() / "view.pth", body)
    places = offset + sum(
        np.arange(n).reshape(-1, *[1] * (len(axes) - i - 1)) * s for i, (n, s) in enumerate(axes)
    )
    places = np.broadcast_to(places, size)
    if places.size and (places.max() >= 24 or places.size > 24):
        with pytest.raises(WeightsError, match="outside its storage"):
            read_pth(path)
    else:
        np.testing.assert_array_equal(read_pth(path)["a"], places)


def test_archives_that_deceive(tmp_path):
    path, body = tmp_path / "a.pth", filled(a=tensor())
    for member in ("/etc/passwd", "../x", "archive/../../x", "\\x", "..\\x", "C:/x", "C:\\x"):
        write_zip(path, body, extra=[(member, b"x")])
        with pytest.raises(WeightsError, match="leads out of the archive"):
            read_pth(path)
    bomb = {"0": bytes(10**6)}
    write_zip(path, body, bomb, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="is compressed"):
        read_pth(path)
    with pytest.raises(WeightsError, match="should have 24 numbers and has 23"):
        read_pth(write_zip(path, body, {"0": BASE.tobytes()[:-4]}))
    with pytest.raises(WeightsError, match="should have 24 numbers and has 25"):
        read_pth(write_zip(path, body, {"0": bytes(100)}))
    with pytest.raises(WeightsError, match="archive/data/0"):
        read_pth(write_zip(path, body, {"1": BASE.tobytes()}))
    with pytest.raises(WeightsError, match="without one data.pkl"):
        read_pth(write_zip(path, body, extra=[("other/data.pkl", b"x")]))
    with pytest.raises(WeightsError, match="TorchScript"):
        read_pth(write_zip(path, body, extra=[("archive/constants.pkl", b"x")]))
    with pytest.raises(WeightsError, match="byteorder|damaged"):
        read_pth(write_zip(path, body, extra=[("archive/byteorder", b"middle")]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, about the two of one name
        write_zip(path, body, extra=[("archive/data/0", BASE.tobytes())])
    with pytest.raises(WeightsError, match="overlap"):
        read_pth(path)
    good = bytearray(write_zip(path, body).read_bytes())
    place = good.index(b"PK\x01\x02", good.index(b"PK\x01\x02") + 1)  # the storage's entry
    good[place + 20 : place + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(good)
    with pytest.raises(WeightsError, match="overlap|damaged"):
        read_pth(path)


def test_members_inside_one_another(tmp_path):
    """A small file whose members share their bytes would be large in memory."""
    inner = zipfile.ZipInfo("archive/data/1")
    inner.file_size = inner.compress_size = BASE.nbytes * 50
    data = BASE.tobytes() * 50
    inner.CRC = zlib.crc32(data)
    header = inner.FileHeader()
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program(filled(a=tensor())))
        archive.writestr("archive/data/0", header + data)
        outer = archive.getinfo("archive/data/0")
        inner.header_offset = outer.header_offset + len(outer.FileHeader())
        archive.filelist.append(inner)
        archive.NameToInfo[inner.filename] = inner
    assert sum(zipfile.ZipFile(path).getinfo(f"archive/data/{i}").file_size for i in "01") > 9000
    with pytest.raises(WeightsError, match="members overlap"):
        read_pth(path)


def test_storages_that_contradict(tmp_path):
    path = tmp_path / "a.pth"
    twice = filled(a=tensor(), b=tensor(storage(kind="IntStorage")))
    with pytest.raises(WeightsError, match="described twice"):
        read_pth(write_zip(path, twice))
    for where in (storage(numel=-1), storage(numel="24"), storage(key=0), value(("storage",))):
        with pytest.raises(WeightsError, match="storage"):
            read_pth(write_zip(path, filled(a=tensor(where))))
    body = filled(a=tensor(storage(legacy=True)))
    for count in (23, 25, -1, 2**62):
        with pytest.raises(WeightsError, match=f"should have 24 numbers and has {count}"):
            read_pth(write_legacy(path, body, [("0", count, BASE.tobytes())]))
    for storages in ([], [("1", 24, BASE.tobytes())]):
        with pytest.raises(WeightsError, match="damaged"):
            read_pth(write_legacy(path, body, storages))


def test_deep_tuples_cannot_break_the_machine(tmp_path):
    deep = value(()) + b"\x85" * 10**5  # TUPLE1, a tuple in a tuple: hashing it would overflow
    with pytest.raises(WeightsError, match="tuple is used as a name"):
        read_pth(write_zip(tmp_path / "a.pth", DICT + b"(" + deep + tensor() + b"u"))


def test_no_file_and_no_archive(tmp_path):
    with pytest.raises(WeightsNotFound, match="there is no file .*nowhere.pth"):
        read_pth(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsNotFound, match="there is no file"):
        read_pth(tmp_path)
    assert issubclass(WeightsNotFound, WeightsError | FileNotFoundError)
    page = b"<html>404 Not Found</html>"
    plain = pickle.dumps({"a": 1}, 2)
    for content in (b"", page, b"\x89PNG\r\n", plain, pickle.dumps(MAGIC, 2), b"PK\x03\x04"):
        path = tmp_path / "a.pth"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="a.pth"):
            read_pth(path)


# ------------------------------------------------------------------------------- damage by chance


def two_tensors(where):
    return filled(a=tensor(where), b=tensor(where, offset=6, size=(6,), stride=(1,)))


@LAYOUTS
def test_cut_short_anywhere(tmp_path, layout):
    path = write(layout, tmp_path / "a.pth", two_tensors)
    content = path.read_bytes()
    assert len(read_pth(path)) == 2
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError):
            read_pth(path)


@LAYOUTS
def test_flipped_bits(tmp_path, layout):
    """An archive has checksums, so what is read is right; the older layout has none."""
    path = write(layout, tmp_path / "a.pth", two_tensors)
    content, sound, rng = path.read_bytes(), read_pth(path), random.Random(7)
    refused = 0
    for _ in range(1500):
        broken = bytearray(content)
        for _ in range(rng.choice((1, 1, 4))):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            found = read_pth(path)
        except WeightsError:
            refused += 1
            continue
        if layout == "zip":
            assert list(found) == list(sound)
            for key, array in found.items():
                np.testing.assert_array_equal(array, sound[key])
    assert refused > 300


@given(content=st.binary(max_size=300), layout=st.sampled_from(["zip", "legacy", "pickle"]))
@settings(max_examples=300, deadline=None)
def test_any_bytes(tmp_path_factory, content, layout):
    path = tmp_path_factory.getbasetemp() / "bytes.pth"
    if layout == "zip":
        write_zip(path, content)
    elif layout == "legacy":
        write_legacy(path, content)
    else:
        path.write_bytes(content)
    try:
        assert isinstance(read_pth(path), dict)
    except WeightsError:
        pass


PIECES = [
    *(DICT, b"}", b"]", b")", b"(", b"t", b"u", b"s", b"e", b"a", b"R", b"b", b"Q", b"\x85", b"0"),
    *(value(x) for x in ("a", 1, (1,), None, 2.5)),
    *(storage(), tensor(), name("torch", "Size"), name("torch._utils", "_rebuild_parameter")),
    *(b"q\x01", b"h\x01", b"r\xff\xff\xff\xff", b"\x94", b"\x86", b"\x87"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
@settings(max_examples=400, deadline=None)
def test_any_program(tmp_path_factory, pieces):
    path = write_zip(tmp_path_factory.getbasetemp() / "program.pth", b"".join(pieces))
    try:
        found = read_pth(path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


def test_the_assembler_writes_what_pickle_reads():
    """A check of this file's own means: Python's machine builds the same dictionary."""

    class Plain(pickle.Unpickler):
        def find_class(self, module, attribute):
            return lambda *arguments: {} if attribute == "OrderedDict" else arguments

        def persistent_load(self, note):
            return note[0], *note[2:]

    found = Plain(io.BytesIO(program(filled(a=tensor())))).load()
    assert found == {"a": (("storage", "0", "cpu", 24), 0, (4, 6), (6, 1), False, {})}
