"""Degraded photos: the lesson's recipe, the same bytes always, no original touched."""

import errno
import hashlib
import io
import json
import math
import os
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from minitorch7.data import DataError, DataNotFound
from minitorch7.data.parallel import parallel
from minitorch7.data.photos import read_rgb, upright_size
from minitorch7.vision.degrade import (
    Crappify,
    CutOut,
    LineDrawing,
    Recipe,
    ToGrey,
    crappify,
    original_of,
    resize_one,
    resize_to,
)
from minitorch7.vision.degrade_folder import degrade_folder


def photo(height, width, seed=0):
    """Smooth colours with an edge: what JPEG keeps well."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    rgb = np.stack([200 * x, 220 * y, 120 + 100 * (x > 0.5) * np.cos(seed + 3 * y)], -1)
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


@pytest.fixture
def originals(tmp_path):
    """Six photos in two folders."""
    root = tmp_path / "images"
    names = ["a.jpg", "b.JPG", "cats/a.jpg", "cats/d.jpeg", "cats/e.png", "f.jpg"]
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        photo(60 + 7 * i, 80, i).save(root / name)
    return root


def hashes(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


# ------------------------------------------------------------------------------------------- sizes


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 600), st.booleans())
def test_resize_to(width, height, target, use_min):
    w, h = resize_to(Image.new("1", (width, height)), target, use_min)
    side, other = (min, max) if use_min else (max, min)
    exact = Fraction(other(width, height) * target, side(width, height))
    assert side(w, h) == target and other(w, h) == max(1, math.floor(exact))
    assert w == h or (w > h) == (width > height)


def test_resize_to_is_the_lessons_but_for_its_rounding():
    assert resize_to(Image.new("1", (500, 375)), 96, use_min=True) == (128, 96)
    assert resize_to(Image.new("1", (500, 375)), 96) == (96, 72)
    assert int(47 * (96 / 47)) == 95  # the lesson's
    assert resize_to(Image.new("1", (47, 47)), 96) == (96, 96)
    with pytest.raises(DataError, match="resize_to: targ_sz must be a whole number of at least 1"):
        resize_to(Image.new("1", (5, 5)), 0)


# --------------------------------------------------------------------------------------- crappify


def test_crappify_is_the_lessons_steps(tmp_path, originals):
    """Resize, write the number, save at that quality: done here by hand."""
    recipe = crappify(tmp_path / "crappy", originals)
    for fn in sorted(originals.rglob("*.*")):
        recipe(fn, 0)
        x, y, q = recipe.number_of(fn)
        with Image.open(fn) as image:
            small = image.convert("RGB").resize(resize_to(image, 96, True), Image.BILINEAR)
        ImageDraw.Draw(small).text((x, y), str(q), fill=(255, 255, 255))
        expected = io.BytesIO()
        small.save(expected, "JPEG", quality=q)
        assert recipe.destination(fn).read_bytes() == expected.getvalue()
        assert min(small.size) == 96


def test_draws_cover_their_ranges(tmp_path):
    """x ~ U{0..w//2}, y ~ U{0..h//2}, q ~ U{10..70}, each with both its ends."""
    recipe = Crappify(tmp_path / "lr", tmp_path / "hr", size=8)
    draws = [recipe._drawn(recipe.rng(tmp_path / "hr" / f"{i}.jpg"), 12, 8) for i in range(4000)]
    for values, last, first in zip(zip(*draws, strict=True), (6, 4, 70), (0, 0, 10), strict=True):
        counts = np.bincount(values, minlength=last + 1)[first:]
        expected = 4000 / (last - first + 1)
        assert len(counts) == last - first + 1 and set(values) == set(range(first, last + 1))
        assert ((counts - expected) ** 2 / expected).sum() < 2 * len(counts) + 20  # chi squared


def test_number_mask_is_where_the_number_is(tmp_path, originals):
    """Without JPEG's blur, the pictures with and without the number differ there and only there."""
    fn = originals / "cats" / "e.png"
    recipe = Crappify(tmp_path / "lr", originals)
    before = recipe.resized(read_rgb(fn))
    after, _ = recipe.change(before.copy(), recipe.rng(fn))
    mask = recipe.number_mask(fn)
    assert not recipe.destination(fn).exists()
    changed = (np.asarray(before) != np.asarray(after)).any(-1)
    assert mask.shape == changed.shape and 10 < mask.sum() < 200
    assert (changed <= mask).all() and changed.sum() > 0.8 * mask.sum()
    assert not Crappify(tmp_path / "lr", originals, number=False).number_mask(fn).any()


def test_without_the_number_only_the_number_is_missing(tmp_path, originals):
    plain = Crappify(tmp_path / "plain", originals, number=False, quality=(95, 95))
    written = Crappify(tmp_path / "written", originals, quality=(95, 95))
    fn = originals / "a.jpg"
    for recipe in (plain, written):
        recipe(fn, 0)
    images = [read_rgb(recipe.destination(fn)) for recipe in (plain, written)]
    differs = np.abs(np.subtract(*[np.asarray(image, int) for image in images])).max(-1)
    mask = written.number_mask(fn)
    assert differs[mask].mean() > 50 and differs[~mask].mean() < 1


# ------------------------------------------------------------------------------- always the same


def test_the_same_bytes_by_any_number_of_workers_and_in_any_order(tmp_path, originals):
    files = sorted(originals.rglob("*.*"))
    before = hashes(originals)
    recipe = Crappify(tmp_path / "one", originals)
    for i, fn in enumerate(reversed(files)):
        recipe(fn, i)
    assert parallel(Crappify(tmp_path / "two", originals), files, max_workers=2) is None
    report = degrade_folder(originals, tmp_path / "three", max_workers=1)
    assert (report.done, report.skipped_existing, report.failed) == (6, 0, [])
    one, two, three = (hashes(tmp_path / name) for name in ("one", "two", "three"))
    three.pop("degraded.json")
    names = ["a.jpg", "b.JPG", "cats/a.jpg", "cats/d.jpeg", "cats/e.png.jpg", "f.jpg"]
    assert one == two == three and sorted(one) == names
    assert hashes(originals) == before
    assert recipe.number_of(originals / "a.jpg") != recipe.number_of(originals / "cats" / "a.jpg")
    other = Crappify(tmp_path / "one", originals, seed=1)
    assert any(recipe.number_of(fn) != other.number_of(fn) for fn in files)


def test_a_moved_folder_gives_the_same(tmp_path, originals):
    numbers = [Crappify(tmp_path / "x", originals).number_of(originals / "cats" / "e.png")]
    originals.rename(tmp_path / "moved")
    moved = Crappify(tmp_path / "y", tmp_path / "moved")
    assert numbers == [moved.number_of(tmp_path / "moved" / "cats" / "e.png")]


def test_original_of(tmp_path, originals):
    recipe = Crappify(tmp_path / "lr", originals)
    for fn in originals.rglob("*.*"):
        assert recipe.original_of(recipe.destination(fn)) == fn
    with pytest.raises(DataNotFound, match=r"z\.png\.jpg was made from .*z\.png\.jpg or z\.png"):
        recipe.original_of(tmp_path / "lr" / "z.png.jpg")
    with pytest.raises(DataError, match=r"original_of: .*a\.jpg is not below .*lr"):
        original_of(originals / "a.jpg", tmp_path / "lr", originals)


# ---------------------------------------------------------------------------------- other recipes


def test_resize_one(tmp_path, originals):
    fn = originals / "cats" / "a.jpg"
    make = partial(resize_one, path=tmp_path / "small", path_hr=originals, size=32)
    assert make(fn, 0) is None
    expected = io.BytesIO()
    with Image.open(fn) as image:
        small = image.resize(resize_to(image, 32, True), Image.BILINEAR)
    small.save(expected, "JPEG", quality=60)
    assert (tmp_path / "small" / "cats" / "a.jpg").read_bytes() == expected.getvalue()


def result(recipe, fn):
    recipe(fn, 0)
    return np.asarray(read_rgb(recipe.destination(fn)), int)


def test_to_grey(tmp_path, originals):
    fn = originals / "f.jpg"
    grey = result(ToGrey(tmp_path / "grey", originals), fn)
    with Image.open(fn) as image:
        assert np.abs(grey - np.asarray(image.convert("L"), int)[:, :, None]).mean() < 2
    assert np.ptp(grey, axis=2).max() <= 1  # no colour


def test_cut_out(tmp_path, originals):
    recipe = CutOut(tmp_path / "cut", originals, holes=(2, 3))
    for name in ("a.jpg", "f.jpg"):
        fn = originals / name
        mask, cut, whole = recipe.hole_mask(fn), result(recipe, fn), np.asarray(read_rgb(fn), int)
        assert mask.shape == cut.shape[:2] and 0.01 < mask.mean() < 0.48
        assert np.abs(cut[mask] - 128).mean() < 10 and np.abs(cut - whole)[~mask].mean() < 10
    assert not CutOut(tmp_path / "cut", originals, holes=(0, 0)).hole_mask(fn).any()


def test_line_drawing(tmp_path):
    """A black square on white becomes a dark outline of it, without a frame around the picture."""
    (tmp_path / "hr").mkdir()
    square = np.full((40, 50), 255, np.uint8)
    square[10:30, 15:35] = 0
    Image.fromarray(square).save(tmp_path / "hr" / "a.png")
    lines = result(LineDrawing(tmp_path / "lr", tmp_path / "hr"), tmp_path / "hr" / "a.png")
    dark = lines.max(-1) < 128
    assert dark[20, [14, 15, 16, 34]].any() and dark[[9, 10, 11], 25].any()
    assert not dark[16:24, 21:29].any()  # inside
    assert not dark[[0, -1]].any() and not dark[:, [0, -1]].any()  # the frame
    assert np.ptp(lines, axis=2).max() <= 1


class Upside(Recipe):
    """One of a reader's own."""

    def change(self, image, rng):
        return image.rotate(180), self.quality


def test_a_recipe_of_ones_own(tmp_path, originals):
    fn = originals / "a.jpg"
    turned = result(Upside(tmp_path / "lr", originals), fn)
    assert np.abs(turned[::-1, ::-1] - np.asarray(read_rgb(fn), int)).mean() < 2


# ------------------------------------------------------------------------------------ odd pictures


def save_odd(folder):
    """Pictures of every kind, by name, and what each looks like in its upper left corner."""
    folder.mkdir()
    red = Image.new("RGB", (24, 16), (250, 10, 10))
    grey = Image.new("L", (24, 16), 77)
    ramp = Image.fromarray(np.linspace(0, 65535, 24 * 16).reshape(16, 24).astype(np.uint16))
    clear = Image.new("RGBA", (24, 16), (0, 0, 200, 0))
    half = Image.new("LA", (24, 16), (0, 128))
    palette = red.quantize(8)
    see_through = Image.new("P", (24, 16), 0)
    see_through.putpalette([9, 9, 9, 200, 200, 200])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    turned = photo(20, 30)
    red.save(folder / "rgb.png")
    grey.save(folder / "grey.png")
    ramp.save(folder / "deep.png")
    clear.save(folder / "clear.png")
    half.save(folder / "half.png")
    palette.save(folder / "palette.png")
    see_through.save(folder / "holes.png", transparency=0)
    palette.save(folder / "moving.gif", save_all=True, append_images=[grey.quantize(8)])
    red.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    Image.new("1", (24, 16), 1).save(folder / "bits.png")
    Image.fromarray(np.full((16, 24), 0.25, np.float32)).save(folder / "floats.tif")
    red.save(folder / "really_png.jpg", "PNG")
    turned.save(folder / "turned.jpg", quality=95, exif=exif)
    red.resize((1, 1)).save(folder / "one.png")
    red.resize((3000, 3)).save(folder / "wide.png")
    red_pixel, white = (250, 10, 10), (255, 255, 255)
    return {
        "rgb.png": red_pixel,
        "grey.png": (77, 77, 77),
        "deep.png": (0, 0, 0),
        "clear.png": white,
        "half.png": (127, 127, 127),
        "palette.png": red_pixel,
        "holes.png": white,
        "moving.gif": red_pixel,
        "cmyk.jpg": red_pixel,
        "bits.png": white,
        "floats.tif": (64, 64, 64),
        "really_png.jpg": red_pixel,
        "turned.jpg": turned.getpixel((0, 19)),
        "one.png": red_pixel,
        "wide.png": red_pixel,
    }


def test_every_kind_of_picture(tmp_path):
    corners = save_odd(tmp_path / "hr")
    for name, corner in corners.items():
        image = read_rgb(tmp_path / "hr" / name)
        assert image.mode == "RGB" and image.size == upright_size(tmp_path / "hr" / name)
        assert np.abs(np.subtract(image.getpixel((0, 0)), corner)).max() <= 4, name
    deep = np.asarray(read_rgb(tmp_path / "hr" / "deep.png"))[:, :, 0]
    expected = np.linspace(0, 255, 24 * 16).reshape(16, 24)
    assert np.abs(deep - expected).max() <= 1  # all of the range, not its first 256 values
    assert read_rgb(tmp_path / "hr" / "turned.jpg").size == (20, 30)
    for how in (Crappify, ToGrey, CutOut, LineDrawing):
        report = degrade_folder(tmp_path / "hr", tmp_path / how.__name__, how, 1)
        assert (report.done, report.failed) == (len(corners), []), how
    for name in corners:
        recipe = Crappify(tmp_path / "Crappify", tmp_path / "hr")
        with Image.open(recipe.destination(tmp_path / "hr" / name)) as image:
            assert image.mode == "RGB" and min(image.size) == 96 and max(image.size) <= 65_500
            assert image.size[::-1] == recipe.number_mask(tmp_path / "hr" / name).shape


def damage(folder, monkeypatch):
    """Files that are no whole pictures, by name."""
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("a shopping list")
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    (folder / "script.png").write_text(program)  # which Pillow would have run
    whole = (folder / "f.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[:-100])
    Image.new("1", (400, 300)).save(folder / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    return {"zero.jpg", "text.jpg", "script.png", "cut.jpg", "bomb.png", "gone.jpg"}


def test_broken_pictures_are_listed_and_left_out(tmp_path, originals, monkeypatch):
    broken = damage(originals, monkeypatch)
    report = degrade_folder(originals, tmp_path / "lr", size=20, max_workers=1)
    assert report.done == 6 and {file.name for file, _ in report.failed} == broken
    reasons = {file.name: reason for file, reason in report.failed}
    for name, reason in reasons.items():
        assert str(originals / name) in reason
    assert "DecompressionBombError" in reasons["bomb.png"] and "truncated" in reasons["cut.jpg"]
    assert "not there" in reasons["gone.jpg"]
    text = str(report)
    assert text.startswith("6 pictures made, 6 failed\n") and text.count("\n") == 6
    again = degrade_folder(originals, tmp_path / "lr", size=20, max_workers=1)
    assert (again.done, again.skipped_existing, len(again.failed)) == (0, 6, 6)
    assert "0 pictures made, 6 there already, 6 failed" in str(again)
    again.failed *= 3
    assert str(again).endswith("\n  and 8 more in .failed")
    with pytest.raises(DataError, match=r"Crappify: .*zero\.jpg cannot be read as an image"):
        Crappify(tmp_path / "lr", originals)(originals / "zero.jpg")


# -------------------------------------------------------------------------------- going on, or not


def test_it_goes_on_after_a_full_disk(tmp_path, originals, monkeypatch):
    before, sync, calls = hashes(originals), os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 8:  # two a file; the note is one
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"Crappify: cannot write .*No space left") as caught:
            degrade_folder(originals, tmp_path / "lr", max_workers=1)
    assert caught.value.errno == errno.ENOSPC
    assert "3 of 6 pictures are finished" in caught.value.__notes__[-1]
    assert [file.suffix for file in (tmp_path / "lr").rglob("*.partial")] == []
    finished = hashes(tmp_path / "lr")
    assert len(finished) == 4
    report = degrade_folder(originals, tmp_path / "lr", max_workers=1)
    assert (report.done, report.skipped_existing, report.failed) == (3, 3, [])
    degrade_folder(originals, tmp_path / "at_once", max_workers=1)
    assert hashes(tmp_path / "lr") == hashes(tmp_path / "at_once")
    assert finished.items() <= hashes(tmp_path / "lr").items() and hashes(originals) == before


def test_what_is_there_is_not_made_again(tmp_path, originals):
    degrade_folder(originals, tmp_path / "lr", max_workers=1)
    (tmp_path / "lr" / "a.jpg").unlink()
    (tmp_path / "lr" / "f.jpg").write_bytes(b"mine")
    report = degrade_folder(originals, tmp_path / "lr", max_workers=1)
    assert str(report) == "1 pictures made, 5 there already, 0 failed"
    assert (tmp_path / "lr" / "f.jpg").read_bytes() == b"mine"


def test_a_folder_holds_one_recipe(tmp_path, originals):
    degrade_folder(originals, tmp_path / "lr", size=40, max_workers=1)
    note = tmp_path / "lr" / "degraded.json"
    assert json.loads(note.read_text()) == {
        "recipe": "Crappify",
        "size": 40,
        "quality": [10, 70],
        "number": True,
        "seed": 0,
    }
    before = hashes(tmp_path / "lr")
    for how, options in [
        (Crappify, {}),
        (Recipe, {"size": 40}),
        (Crappify, {"size": 40, "seed": 2}),
    ]:
        with pytest.raises(DataError, match=r"lr holds pictures made by .*'size': 40.*delete the"):
            degrade_folder(originals, tmp_path / "lr", how, 1, **options)
    note.write_text("{")
    with pytest.raises(DataError, match=r"degraded\.json cannot be read.*delete .*lr or choose"):
        degrade_folder(originals, tmp_path / "lr", size=40, max_workers=1)
    note.unlink()  # now they could be anyone's
    del before["degraded.json"]
    rule = (
        r"lr has no degraded\.json, but files .*'a\.jpg', 'b\.JPG'.* 3 more.*choose another folder"
    )
    with pytest.raises(DataError, match=rule):
        degrade_folder(originals, tmp_path / "lr", size=40, max_workers=1)
    assert hashes(tmp_path / "lr") == before


# -------------------------------------------------------------------------------------- refusals


def test_originals_and_results_are_kept_apart(tmp_path, originals):
    before = hashes(tmp_path)
    (tmp_path / "link").symlink_to(originals)
    for path_lr in (originals, originals / "small", originals / "cats" / "..", tmp_path, "link/x"):
        for make in (Crappify, ToGrey, partial(degrade_folder, max_workers=1)):
            args = (tmp_path / path_lr, originals)
            with pytest.raises(DataError, match="neither may be in the other"):
                make(*(args if isinstance(make, type) else args[::-1]))
    (tmp_path / "link").unlink()
    assert hashes(tmp_path) == before


def test_no_way_leads_back_to_an_original(tmp_path, originals):
    recipe = crappify(tmp_path / "lr", originals)
    (tmp_path / "lr").mkdir()
    photo(9, 9).save(tmp_path / "images2.jpg")
    before = hashes(tmp_path)
    for fn in (originals / ".." / "images2.jpg", originals / "cats" / ".." / "a.jpg"):
        with pytest.raises(DataError, match=r"Crappify: .* is not below .*without '\.\.'"):
            recipe(fn)
        with pytest.raises(DataError, match=r"resize_one: .* is not below .*without '\.\.'"):
            resize_one(fn, 0, tmp_path / "lr", originals, 9)
    assert hashes(tmp_path) == before


def test_two_photos_that_would_get_one_name(tmp_path, originals):
    photo(9, 9).save(originals / "cats" / "e.png.jpg")
    with pytest.raises(DataError, match=r"e\.png and .*e\.png\.jpg would both become .*rename one"):
        degrade_folder(originals, tmp_path / "lr", max_workers=1)
    assert not (tmp_path / "lr").exists()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"size": 0}, "Crappify: size must be a whole number of at least 1, got 0"),
        ({"size": 9.5}, "Crappify: size must be"),
        ({"seed": -1}, "Crappify: seed must be"),
        ({"quality": (70, 10)}, r"Crappify: quality must be two .* from 1 to 100, got \(70, 10\)"),
        ({"quality": 0}, "Crappify: quality must be"),
        ({"quality": "low"}, "Crappify: quality must be"),
        ({"quality": (1, 2, 3)}, "Crappify: quality must be"),
        ({"number": "no"}, "Crappify: number, .* must be True or False, got 'no'"),
    ],
)
def test_wrong_options(tmp_path, options, rule):
    with pytest.raises(DataError, match=rule):
        Crappify(tmp_path / "lr", tmp_path / "hr", **options)


def test_wrong_paths(tmp_path, originals):
    with pytest.raises(DataNotFound, match=r"degrade_folder: .*nowhere is not a folder"):
        degrade_folder(tmp_path / "nowhere", tmp_path / "lr")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"degrade_folder: no image files below .*check the path$"):
        degrade_folder(tmp_path / "none", tmp_path / "lr")
    with pytest.raises(DataError, match=r"Crappify: .*x\.jpg is not below .*images"):
        Crappify(tmp_path / "lr", originals).destination(Path("x.jpg"))
    with pytest.raises(DataError, match="CutOut: holes must be two whole numbers"):
        CutOut(tmp_path / "lr", originals, holes=(3, 1))


@pytest.mark.parametrize("value", [None, 3])
def test_what_is_no_path_is_named(tmp_path, originals, value):
    lr, photo_file = tmp_path / "lr", originals / "a.jpg"
    for call, said in [
        (lambda: Crappify(value, originals), "Crappify: path_lr"),
        (lambda: ToGrey(lr, value), "ToGrey: path_hr"),
        (lambda: Crappify(lr, originals)(value), "Crappify: fn"),
        (lambda: Crappify(lr, originals).number_of(value), "Crappify: fn"),
        (lambda: degrade_folder(value, lr), "degrade_folder: path_hr"),
        (lambda: degrade_folder(originals, value), "Crappify: path_lr"),
        (lambda: resize_one(photo_file, 0, value, originals, 9), "resize_one: path"),
        (lambda: original_of(lr / "a.jpg", lr, value), "original_of: path_hr"),
    ]:
        with pytest.raises(TypeError, match=f"^{said} must be a path, .* got {value}"):
            call()
    assert not lr.exists()


@pytest.mark.parametrize("how", [None, "crappify", 3, print])
def test_a_folder_wants_a_recipes_class(tmp_path, originals, how):
    with pytest.raises(TypeError, match="degrade_folder: how must be a recipe's class"):
        degrade_folder(originals, tmp_path / "lr", how)
    recipe = crappify(tmp_path / "lr", originals)
    with pytest.raises(TypeError, match=r"recipe's class.*got Crappify\(path_lr"):
        degrade_folder(originals, tmp_path / "lr", recipe)
    assert not (tmp_path / "lr").exists()


def test_a_file_is_no_folder(tmp_path, originals):
    (tmp_path / "file").write_bytes(b"mine")
    for path_lr in (tmp_path / "file", tmp_path / "file" / "lr"):
        with pytest.raises(DataError, match="degrade_folder: .* it or one above it is a file"):
            degrade_folder(originals, path_lr, max_workers=1)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_messages_name_the_function_that_was_called(tmp_path, originals):
    for img in (None, np.zeros((4, 4, 3)), Image.new("1", (0, 5))):
        with pytest.raises(DataError, match="resize_to: img must be a Pillow image of at least"):
            resize_to(img, 9)
    with pytest.raises(DataError, match="^resize_one: size must be"):
        resize_one(originals / "a.jpg", 0, tmp_path / "lr", originals, 0)
    with pytest.raises(DataError, match="^resize_one: .* is not below"):
        resize_one(tmp_path / "a.jpg", 0, tmp_path / "lr", originals, 9)


def test_real_photos(tmp_path, real_data):
    if not (real_data / "pets" / "images").is_dir():
        pytest.skip("no photos: set MINITORCH7_DATA to a folder that has pets/images/ in it")
    path_hr = tmp_path / "images"
    path_hr.mkdir()
    for file in sorted((real_data / "pets" / "images").iterdir())[::20]:
        (path_hr / file.name).write_bytes(file.read_bytes())
    report = degrade_folder(path_hr, tmp_path / "lr", max_workers=2)
    assert (report.done, report.failed) == (15, [])
    recipe = Crappify(tmp_path / "lr", path_hr)
    for fn in path_hr.iterdir():
        small = read_rgb(recipe.destination(fn))
        number, rest = recipe.number_mask(fn), np.asarray(recipe.resized(read_rgb(fn)), int)
        assert min(small.size) == 96
        error = np.abs(np.asarray(small, int) - rest).mean(-1)
        assert error[~number].mean() < 30 and np.asarray(small)[number].mean() > 90
