"""Photos to work on: read upright, the Pet photos found or fetched whole, and drawn ones."""

import gzip
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from minitorch7.data import DataError, DataNotFound
from minitorch7.data.decode import decode, height_width, picture_of
from minitorch7.data.drawn_photos import draw_photo, drawn_photos
from minitorch7.data.fetch_pets import fetch_pets, unpack
from minitorch7.data.pets import BREEDS, CATS, DOGS, breed_of, pets
from minitorch7.data.photo_page import tile
from minitorch7.data.photos import read_rgb, to_rgb, upright_size

places = sys.modules["minitorch7.data.places"]
fetch = sys.modules["minitorch7.data.fetch_pets"]


# ---------------------------------------------------------------------------------- reading photos


def turned(file, orientation, **options):
    """A photo stored 30 wide and 20 high, with its orientation; its upper left quarter is red."""
    pixels = np.full((20, 30, 3), 255, np.uint8)
    pixels[:10, :15] = 250, 0, 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, exif=exif, **options)
    return file


# where the red quarter is when the photo is upright: (top half, left half)
CORNERS = {1: (1, 1), 2: (1, 0), 3: (0, 0), 4: (0, 1), 5: (1, 1), 6: (1, 0), 7: (0, 0), 8: (0, 1)}


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_photos_are_upright_however_they_are_read(tmp_path, suffix, orientation):
    file = turned(tmp_path / f"a.{suffix}", orientation)
    height, width = (30, 20) if orientation >= 5 else (20, 30)
    assert height_width(file) == (height, width) and upright_size(file) == (width, height)
    top, left = CORNERS[orientation]
    rows = slice(0, height // 2) if top else slice(height // 2, None)
    columns = slice(0, width // 2) if left else slice(width // 2, None)
    once, decoded = read_rgb(file), decode(file, "RGB")
    for pixels in (np.asarray(once), np.asarray(to_rgb(once)), decoded.transpose(1, 2, 0)):
        red = pixels[..., 1] < 128
        assert red.shape == (height, width)
        assert red[rows, columns].mean() > 0.9 and red.mean() < 0.28
    with Image.open(file) as image:
        assert np.array_equal(picture_of(image, "RGB"), decoded)


def test_tags_after_the_pixels_of_a_png_count_too(tmp_path):
    file = turned(tmp_path / "a.png", 6)
    content = file.read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4])
    end = content.index(b"IEND") - 4
    tag = content[start:stop]
    file.write_bytes(content[:start] + content[stop:end] + tag + content[end:])
    assert height_width(file) == (30, 20) == read_rgb(file).size[::-1]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_tags_are_passed_over(tmp_path, suffix):
    """The pixels are whole, so the photo counts, as it is stored."""
    Image.new("RGB", (30, 20)).save(tmp_path / f"a.{suffix}", exif=b"Exif\0\0?? no tags")
    for file in (tmp_path / f"a.{suffix}", turned(tmp_path / f"nine.{suffix}", 9)):
        assert height_width(file) == (20, 30) and decode(file, "RGB").shape == (3, 20, 30)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_the_size_is_known_without_decoding(tmp_path, monkeypatch, suffix):
    file, decoded = tmp_path / f"a.{suffix}", []
    Image.new("RGB", (50, 40)).save(file)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append(image))
    assert height_width(file) == (40, 50) and not decoded


def test_a_grey_picture_wanted_grey_is_taken_as_it_is(tmp_path, monkeypatch):
    pixels = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
    Image.fromarray(pixels).save(tmp_path / "7.png")
    convert, modes = Image.Image.convert, []

    def noted(image, mode, *args, **kwargs):
        modes.append(mode)
        return convert(image, mode, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "convert", noted)
    assert np.array_equal(decode(tmp_path / "7.png", "L"), pixels[None]) and modes == ["L"]


# ------------------------------------------------------------------------------------ finding pets


@pytest.fixture
def nothing_else(tmp_path, monkeypatch):
    """No data in the environment, an empty cache, and no network."""
    monkeypatch.delenv("MINITORCH7_DATA", raising=False)
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "ARCHIVES", ("http://127.0.0.1:9/images.tar.gz",))  # nobody listens


def some_pets(folder, names=("Bengal_1.jpg", "pug_12.jpg", "great_pyrenees_7.jpg")):
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        Image.new("RGB", (9, 7), (20 * i, 90, 30)).save(folder / name)
    return folder


def test_breeds():
    assert (len(CATS), len(DOGS), len(BREEDS)) == (12, 25, 37)
    assert all(name[0].isupper() for name in CATS) and all(name.islower() for name in DOGS)
    assert breed_of(Path("x/Egyptian_Mau_139.jpg")) == "Egyptian_Mau"
    for other in ("image_00001.jpg", "pug.jpg", "pug_1.png", "pug_a.jpg", "._pug_1.jpg", "_1.jpg"):
        assert breed_of(other) is None


def test_pets_are_found_in_path_then_environment_then_cache(tmp_path, monkeypatch, nothing_else):
    cached = some_pets(tmp_path / "cache" / "pets" / "images")
    assert pets() == cached
    named = some_pets(tmp_path / "data" / "oxford-iiit-pet" / "images")
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    assert pets() == named
    given_path = some_pets(tmp_path / "given" / "images")
    assert pets(tmp_path / "given") == given_path == pets(given_path)
    other = some_pets(tmp_path / "other" / "images", ["image_00001.jpg", "frame_1.jpg"])
    with pytest.warns(UserWarning, match=r"no Pets in .*other: using .*data"):
        assert pets(other.parent) == named


def test_not_found_names_every_place(tmp_path, nothing_else):
    for download, rule in ((False, "downloads are off"), (True, "not to be fetched")):
        with pytest.raises(DataNotFound, match=rule) as caught:
            pets(download=download)
        assert f"{tmp_path / 'cache' / 'pets' / 'images'}\n" in str(caught.value)
        assert "drawn_photos()" in str(caught.value)
    with pytest.raises(DataNotFound, match="pets: .*nowhere is not a folder"):
        pets(tmp_path / "nowhere")


# ----------------------------------------------------------------------------------- fetching pets


def packed(file, members):
    """A tar.gz with these (TarInfo or name, bytes)."""
    with tarfile.open(file, "w:gz") as archive:
        for info, content in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


GOOD = [(f"images/{name}", b"photo " + name.encode()) for name in ("Bengal_1.jpg", "pug_2.jpg")]
OTHERS = [("images/Bengal_1.mat", b"?"), ("images/._pug_2.jpg", b"?"), ("notes/pug_3.jpg", b"?")]


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


def test_fetching_passes_over_wrong_archives(tmp_path, monkeypatch, server, nothing_else):
    www = tmp_path / "www"
    whole = packed(www / "good.tar.gz", GOOD + OTHERS).read_bytes()
    (www / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(fetch, "COUNT", 2)
    monkeypatch.setattr(fetch, "MD5", hashlib.md5(whole).hexdigest())
    wrong = [f"{server}/{name}.tar.gz" for name in ("gone", "cut")]
    monkeypatch.setattr(fetch, "ARCHIVES", wrong)
    with pytest.raises(DataNotFound, match=r"(?s)gone\.tar\.gz: .*404.*cut\.tar\.gz: .*MD5"):
        pets()
    monkeypatch.setattr(fetch, "ARCHIVES", [*wrong, f"{server}/good.tar.gz"])
    found = pets()
    assert found == tmp_path / "cache" / "pets" / "images"
    assert {f"images/{file.name}": file.read_bytes() for file in found.iterdir()} == dict(GOOD)
    assert [file.name for file in found.parent.iterdir()] == ["images"]
    monkeypatch.setattr(fetch, "ARCHIVES", ())
    assert pets() == found


def test_a_wrong_archive_of_the_right_sum_leaves_nothing(
    tmp_path, monkeypatch, server, nothing_else
):
    """Were the sum wrong in this file, or MD5 broken: the count decides."""
    content = packed(tmp_path / "www" / "a.tar.gz", GOOD).read_bytes()
    monkeypatch.setattr(fetch, "MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(fetch, "ARCHIVES", [f"{server}/a.tar.gz"])
    with pytest.raises(DataNotFound, match="it has 2 photos of pets, where there should be 7,390"):
        pets()
    assert list((tmp_path / "cache" / "pets").iterdir()) == []


def test_fetching_touches_no_other_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_text("x")
    with pytest.raises(DataNotFound, match="images is there and has no photos of pets"):
        fetch_pets(tmp_path)
    assert (tmp_path / "images" / "holiday.jpg").read_text() == "x"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_cache_that_cannot_be_written_is_data_not_found(
    tmp_path, monkeypatch, nothing_else, below
):
    (tmp_path / "file").touch()
    with pytest.raises(DataNotFound, match=r"cannot write .*file.* \(\w+Error: "):
        fetch_pets(tmp_path / "file" / below)
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "file" / below)
    with pytest.raises(DataNotFound, match=r"(?s)pets: not found.*cannot write .*drawn_photos"):
        pets()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("trap", "message"),
    [
        ("/etc/pug_1.jpg", "leads elsewhere"),
        ("images/../../pug_1.jpg", "leads elsewhere"),
        ("images\\..\\pug_1.jpg", "leads elsewhere"),
        ("C:pug_1.jpg", "leads elsewhere"),
        (special("images/pug_1.jpg", tarfile.SYMTYPE, "/etc/passwd"), "a link or a device"),
        (special("images/pug_1.jpg", tarfile.LNKTYPE, "images/Bengal_1.jpg"), "a link or a device"),
        (special("images/pug_1.jpg", tarfile.FIFOTYPE), "a link or a device"),
    ],
)
def test_archives_with_traps_are_refused(tmp_path, trap, message):
    archive = packed(tmp_path / "a.tar.gz", [*GOOD, (trap, b"x" if isinstance(trap, str) else b"")])
    with pytest.raises(ValueError, match=message):
        unpack(archive, tmp_path / "inner" / "out")
    assert {file.name for file in tmp_path.rglob("*.jpg")} <= {"Bengal_1.jpg", "pug_2.jpg"}
    assert {file.parent.name for file in tmp_path.rglob("*.jpg")} == {"out"}


def test_archives_that_would_fill_the_disk_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MOST_BYTES", 1000)
    archive = packed(tmp_path / "a.tar.gz", [*GOOD, ("images/pug_9.jpg", bytes(1001))])
    with pytest.raises(ValueError, match=r"would unpack to 1,\d+ bytes and more"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "pug_9.jpg").exists()


def test_a_damaged_archive_is_one_that_does_not_count(tmp_path, monkeypatch, server, nothing_else):
    """Flipped bytes in the middle, with the sum of the damaged file."""
    raw = gzip.decompress(packed(tmp_path / "a.tar.gz", GOOD * 40).read_bytes())
    content = bytearray(gzip.compress(raw, compresslevel=0))
    content[2000:2600] = os.urandom(600)
    (tmp_path / "www" / "a.tar.gz").write_bytes(content)
    monkeypatch.setattr(fetch, "MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(fetch, "ARCHIVES", [f"{server}/a.tar.gz"])
    with pytest.raises(DataNotFound, match=r"a\.tar\.gz: \w+"):
        pets()
    assert list((tmp_path / "cache" / "pets").iterdir()) == []


def test_real_pets(real_data):
    if not (real_data / "pets" / "images").is_dir():
        pytest.skip("no photos: set MINITORCH7_DATA to a folder that has pets/images/ in it")
    found = pets(real_data)
    breeds = [breed_of(file.name) for file in found.iterdir()]
    assert set(breeds) == BREEDS and sum(breed in CATS for breed in breeds) == 98


# ------------------------------------------------------------------------------------ drawn photos


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_drawn_photos_are_the_same_for_the_same_seed(tmp_path):
    first = drawn_photos(tmp_path / "a", n=4, size=(40, 56), seed=3)
    again = drawn_photos(tmp_path / "b", n=5, size=(40, 56), seed=3, max_workers=2)
    assert first == tmp_path / "a" / "40x56-seed-3-4"
    assert sorted(contents(first)) == ["00000.jpg", "00001.jpg", "00002.jpg", "00003.jpg"]
    assert contents(first).items() <= contents(again).items() and len(contents(again)) == 5
    assert len(set(contents(again).values())) == 5
    other = drawn_photos(tmp_path / "a", n=1, size=(40, 56), seed=4)
    assert contents(other)["00000.jpg"] != contents(first)["00000.jpg"]
    for file in first.iterdir():
        with Image.open(file) as image:
            assert (image.mode, image.size, image.format) == ("RGB", (56, 40), "JPEG")


def test_drawing_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    whole = contents(drawn_photos(tmp_path / "whole", n=4, size=24))
    real, calls = os.replace, []

    def full(*args):
        calls.append(args)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="drawn_photos: cannot write .*No space left"):
            drawn_photos(tmp_path / "part", n=4, size=24)
    part = tmp_path / "part" / "24x24-seed-0-4"
    assert contents(part) == {name: whole[name] for name in ("00000.jpg", "00001.jpg")}
    stamps = {file: file.stat().st_mtime_ns for file in part.iterdir()}
    time.sleep(0.01)
    assert contents(drawn_photos(tmp_path / "part", n=4, size=24)) == whole
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_any_size_can_be_drawn(height, width, seed):
    with np.errstate(all="raise", under="ignore"):
        picture = draw_photo(np.random.default_rng(seed), height, width)
    assert picture.shape == (height, width, 3) and picture.dtype == np.uint8


def test_drawn_photos_have_detail_at_every_scale():
    """Amplitudes fall as about 1/f, as photos' do; flat drawings' fall faster, noise's not."""
    power, bright = 0.0, []
    for i in range(24):
        picture = draw_photo(np.random.default_rng([5, i]), 128, 128)
        grey = picture.mean(2) - picture.mean()
        window = np.hanning(128)
        power = power + np.abs(np.fft.fft2(grey * window[:, None] * window)) ** 2
        bright.append((picture.mean(), picture.std(), np.ptp(picture.astype(int), axis=2).mean()))
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    band = (f > 0.02) & (f < 0.4)
    slope = np.polyfit(np.log(f[band]), np.log(power[band]) / 2, 1)[0]
    assert -1.7 < slope < -0.9
    mean, contrast, colour = np.mean(bright, axis=0)
    assert 70 < mean < 150 and contrast > 35 and colour > 20
    assert np.std([mean for mean, _, _ in bright]) > 8  # they differ from one another


def test_the_noise_has_no_seams():
    noise = tile(1.0, 1.5).astype(float)
    assert abs(noise.mean()) < 1e-3 and abs(noise.std() - 1) < 1e-3
    inside = np.abs(np.diff(noise, axis=0)).mean()
    assert abs(np.abs(noise[0] - noise[-1]).mean() / inside - 1) < 0.2


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"n": 0}, "drawn_photos: n must be a whole number of at least 1"),
        ({"seed": -1}, "drawn_photos: seed must be"),
        ({"size": (0, 4)}, "^drawn_photos: size must be a pair"),
        ({"max_workers": -1}, "max_workers must be"),
    ],
)
def test_wrong_options(tmp_path, options, rule):
    with pytest.raises(DataError, match=rule):
        drawn_photos(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [None, 3])
def test_drawn_photos_want_a_folder(folder):
    with pytest.raises(TypeError, match=f"drawn_photos: folder must be a path, .* got {folder}"):
        drawn_photos(folder)
