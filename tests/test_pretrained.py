"""Finding, fetching and loading weights, with small files in the places of the published ones."""

import hashlib
import http.server
import threading

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_pth import DICT, filled, storage, tensor, value, write_zip

from minitorch7 import nn
from minitorch7.pth import WeightsError, WeightsNotFound
from minitorch7.vision import pretrained as module
from minitorch7.vision.pretrained import (
    PUBLISHED,
    architecture_of,
    fetch_weights,
    find_weights,
    load_weights,
    pretrain,
    weights_of,
)
from minitorch7.vision.resnet import resnet18, resnet34
from minitorch7.vision.vgg import VGG


@pytest.fixture(autouse=True)
def nothing_else(tmp_path, monkeypatch):
    """No data in the environment, an empty cache, and no network."""
    monkeypatch.delenv("MINITORCH7_DATA", raising=False)
    monkeypatch.delenv("MINITORCH7_OFFLINE", raising=False)
    monkeypatch.setattr(module.places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(module, "URL", "http://127.0.0.1:9/")  # nobody listens there


class Tiny(nn.Module):
    """A stem with a batch norm, and perhaps a classifier."""

    def __init__(self, head=True, classes=3):
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        if head:
            self.fc = nn.Linear(4, classes)


def some_weights(seed=0, **changes):
    rng = np.random.default_rng(seed)
    weights = {k: rng.standard_normal(t.shape).astype("f4") for k, t in Tiny().state_dict().items()}
    weights["bn1.num_batches_tracked"] = np.array(5)
    return {k: v for k, v in (weights | changes).items() if v is not None}


def write_pth(path, weights):
    """A .pth file of float32 arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body, storages = [], {}
    for i, (key, array) in enumerate(weights.items()):
        array = np.array(array, "<f4", order="C")
        steps = tuple(s // 4 for s in array.strides)
        where = storage(str(i), array.size)
        body.append(value(key) + tensor(where, size=array.shape, stride=steps))
        storages[str(i)] = array.tobytes()
    return write_zip(path, DICT + b"(" + b"".join(body) + b"u", storages)


def same(model, weights):
    return all(
        np.array_equal(t.detach().numpy(), weights[k]) for k, t in model.state_dict().items()
    )


# ---------------------------------------------------------------------------------------- finding


def test_environment_then_cache_and_the_older_file(tmp_path, monkeypatch):
    newest, older = PUBLISHED["resnet34"]
    cached = write_pth(tmp_path / "cache" / "models" / older, {"a": np.ones(2)})
    assert find_weights("resnet34") == cached
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    assert find_weights("resnet34") == cached
    below = write_pth(tmp_path / "data" / "models" / newest, {"a": np.full(2, 2)})
    assert find_weights("resnet34") == below
    beside = write_pth(tmp_path / "data" / older, {"a": np.full(2, 3)})
    assert find_weights("resnet34") == beside
    np.testing.assert_array_equal(weights_of("resnet34")["a"], [3, 3])
    np.testing.assert_array_equal(weights_of(below)["a"], [2, 2])
    np.testing.assert_array_equal(weights_of(str(cached))["a"], [1, 1])


def test_not_found_names_every_place_and_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    with pytest.raises(WeightsNotFound, match=r"(?s)Tried to fetch.*127\.0\.0\.1") as tried:
        resnet18(pretrained=True)
    monkeypatch.setenv("MINITORCH7_OFFLINE", "1")
    with pytest.raises(WeightsNotFound, match="Downloads are off") as off:
        resnet18(pretrained=True)
    with pytest.raises(WeightsNotFound, match="Downloads are off"):
        weights_of("vgg16_bn", download=False)
    for caught in (tried, off):
        text = str(caught.value)
        for place in ("data", "data/models", "cache/models"):
            for file in PUBLISHED["resnet18"]:
                assert str(tmp_path / place / file) in text
        for way in ("connection", f"pretrained='.../{PUBLISHED['resnet18'][0]}'", "=False"):
            assert way in text
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_what_is_neither_a_name_nor_a_file(tmp_path):
    with pytest.raises(WeightsNotFound, match="'alexnet' is neither a file nor one of 'resnet18'"):
        weights_of("alexnet")
    with pytest.raises(WeightsNotFound, match="nowhere.pth"):
        resnet18(pretrained=tmp_path / "nowhere.pth")
    with pytest.raises(WeightsNotFound, match="alexnet"):
        find_weights("alexnet")
    with pytest.raises(WeightsNotFound, match="no weights are published for it.*=False"):
        pretrain(Tiny(), "densenet", True)
    with pytest.raises(TypeError, match="pretrained must be True, False or the path"):
        pretrain(Tiny(), "resnet18", 1)


# --------------------------------------------------------------------------------------- fetching


@pytest.fixture
def server(tmp_path):
    """download.pytorch.org on this machine."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=folder, **kwargs)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/", folder
        served.shutdown()
        thread.join()


def test_fetched_once_and_checked_before_it_has_its_name(tmp_path, monkeypatch, server):
    url, folder = server
    plain = write_pth(folder / "plain", some_weights())
    digits = hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
    good, bad, gone = f"tiny-{digits}.pth", "tiny-00000000.pth", "tiny-11111111.pth"
    (folder / good).write_bytes(plain.read_bytes())
    (folder / bad).write_bytes(plain.read_bytes())
    monkeypatch.setattr(module, "URL", url)
    monkeypatch.setitem(PUBLISHED, "tiny", (good,))
    model = pretrain(Tiny(), "tiny", True)
    assert same(model, some_weights())
    cache = tmp_path / "cache" / "models"
    assert [file.name for file in cache.iterdir()] == [good]
    monkeypatch.setattr(module, "URL", "http://127.0.0.1:9/")
    assert same(pretrain(Tiny(), "tiny", True), some_weights()), "the second time from the cache"
    monkeypatch.setattr(module, "URL", url)
    with pytest.raises(WeightsNotFound, match=f"begins with {digits}, not 00000000"):
        fetch_weights(bad, cache)
    with pytest.raises(WeightsNotFound, match=f"{gone}.*404"):
        fetch_weights(gone, cache)
    assert [file.name for file in cache.iterdir()] == [good], "nothing half-fetched stays"
    with pytest.raises(ValueError, match="no eight digits"):
        fetch_weights("tiny.pth", cache)


def test_published_names_carry_their_digits():
    for files in PUBLISHED.values():
        for file in files:
            assert file.rpartition("-")[2].removesuffix(".pth").isalnum() and file.endswith(".pth")


# ---------------------------------------------------------------------------------------- loading


def test_by_name_into_a_model(backend):
    weights = some_weights()
    model = Tiny()
    parameters = list(model.parameters())
    assert load_weights(model, weights) is model
    assert same(model, weights)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert all(t.backend == backend for t in model.state_dict().values())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_by_path(tmp_path, suffix):
    weights, path = some_weights(), tmp_path / f"tiny{suffix}"
    if suffix == ".pth":
        write_pth(path, weights)
    else:
        save_file(weights, path)
    assert same(pretrain(Tiny(), "tiny", path), weights)
    assert same(pretrain(Tiny(), "tiny", str(path)), weights)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"tiny{suffix}.*(damaged|cut short)"):
        pretrain(Tiny(), "tiny", path)


def test_safetensors_in_other_dtypes(tmp_path):
    import json

    half = np.arange(4, dtype="f2")
    raw = half.astype("f4").view("u4") >> 16  # small whole numbers are exact in bfloat16
    entries = [("F16", half), ("BF16", raw.astype("u2")), ("BOOL", half > 1), ("I64", half > 1)]
    for name, array in entries:
        array = array.astype("i8") if name == "I64" else array
        data = array.tobytes()
        head = {"a": {"dtype": name, "shape": [2, 2], "data_offsets": [0, len(data)]}}
        head = json.dumps(head).encode()
        path = tmp_path / "a.safetensors"
        path.write_bytes(len(head).to_bytes(8, "little") + head + data)
        expected = half.astype("f4") if name == "BF16" else array
        found = weights_of(path)["a"]
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected.reshape(2, 2))
    path.write_bytes(path.read_bytes().replace(b'"I64"', b'"U64"'))
    with pytest.raises(WeightsError, match="'a' is of dtype U64"):
        weights_of(path)


def test_half_precision_fills_a_float32_model():
    weights = {k: v.astype("f2") for k, v in some_weights().items()}
    model = load_weights(Tiny(), weights)
    assert model.conv1.weight.dtype == np.float32 and same(model, weights)


def test_a_body_leaves_the_classifier_out():
    weights = some_weights()
    assert same(load_weights(Tiny(head=False), weights), weights)
    with pytest.raises(WeightsError, match=r"not in the model \(1\): tail.weight"):
        load_weights(Tiny(head=False), weights | {"tail.weight": np.zeros(2)})
    with pytest.raises(WeightsError, match=r"missing \(2\): fc.weight, fc.bias"):
        load_weights(Tiny(), some_weights(**{"fc.weight": None, "fc.bias": None}))


def test_old_files_do_not_count_batches():
    weights = some_weights(**{"bn1.num_batches_tracked": None})
    model = load_weights(Tiny(), weights)
    assert model.bn1.num_batches_tracked.item() == 0
    assert same(model, weights | {"bn1.num_batches_tracked": 0})


BROKEN = {
    "missing": ({"bn1.running_var": None}, r"missing \(1\): bn1.running_var"),
    "left over": ({"extra": np.zeros(1)}, r"not in the model \(1\): extra"),
    "shape": ({"conv1.weight": np.zeros((4, 3, 5, 5))}, r"conv1.weight \(4, 3, 5, 5\) for \(4, 3"),
    "classes": ({"fc.weight": np.zeros((9, 4)), "fc.bias": np.zeros(9)}, "Only the classifier"),
    "all": (
        {"bn1.bias": None, "extra": np.zeros(1), "fc.bias": np.zeros(9)},
        r"(?s)the file does not fit Tiny\n  missing \(1\): bn1.bias\n"
        r"  not in the model \(1\): extra\n  another shape \(1\): fc.bias \(9,\) for \(3,\)\n"
        "These are weights of another architecture",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_does_not_fit_is_listed_and_nothing_changes(what):
    changes, message = BROKEN[what]
    model = Tiny()
    before = {k: t.detach().numpy().copy() for k, t in model.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_weights(model, some_weights(**changes), "the file")
    assert same(model, before)


def test_values_that_are_no_numbers_change_nothing():
    model = Tiny()
    before = {k: t.detach().numpy().copy() for k, t in model.state_dict().items()}
    with pytest.raises(TypeError, match="bn1.bias.*array of numbers"):
        load_weights(model, some_weights(**{"bn1.bias": np.array(list("abcd"))}))
    assert same(model, before)


def test_names_of_data_parallel_are_recognised():
    weights = {f"module.{k}": v for k, v in some_weights().items()}
    with pytest.raises(WeightsError, match="begin with 'module.'"):
        load_weights(Tiny(), weights)


def test_another_architecture_is_named():
    eighteen, thirty_four = resnet18().state_dict(), resnet34().state_dict()
    with pytest.raises(WeightsError, match="look like weights of resnet18"):
        load_weights(resnet34(), eighteen, "the file")
    with pytest.raises(WeightsError, match="look like weights of resnet34"):
        load_weights(resnet18(), thirty_four, "the file")
    deep = {k: 0 for k in thirty_four} | {"layer1.0.conv3.weight": 0}
    assert architecture_of(deep) == "resnet50"
    vgg = VGG([[2, 2], [2, 2], [2] * 3, [2] * 3, [2] * 3], 2, 2).state_dict()
    assert architecture_of(vgg) == "vgg16_bn"
    plain = {k: v for k, v in vgg.items() if "running" not in k}
    assert architecture_of(plain) == "vgg16_bn"[:5]
    assert architecture_of({"features.denseblock1.denselayer1.norm1.weight": 0}) == "densenet"
    assert architecture_of({}) is None and architecture_of(some_weights()) is None


def test_filled_from_the_pth_tests_is_a_dictionary(tmp_path):
    """One array under one name, to be sure that this file's writer and the reader agree."""
    path = write_zip(tmp_path / "a.pth", filled(a=tensor()))
    np.testing.assert_array_equal(weights_of(path)["a"], np.arange(24).reshape(4, 6))
