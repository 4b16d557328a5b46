"""Masks as labels: checked, resized, cropped and moved as their pictures are, never averaged."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import (
    DataError,
    ImageList,
    ResizeMethod,
    SegmentationItemList,
    Transform,
    imagenet_stats,
)
from minitorch7.data.decode import in_threads
from minitorch7.data.pixels import ArrayPixels
from minitorch7.data.sizes import checked_size
from minitorch7.learner import Learner

CODES = ["sky", "road", "tree", "car"]


def write_pairs(root, shapes, n_classes=4, seed=0):
    """Pictures whose red channel is 60 times the class, and the masks of those classes."""
    rng = np.random.default_rng(seed)
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for i, (height, width) in enumerate(shapes):
        few = rng.integers(0, n_classes, (height // 8 + 1, width // 8 + 1)).astype(np.uint8)
        mask = np.repeat(np.repeat(few, 8, 0), 8, 1)[:height, :width]
        picture = np.stack([60 * mask, np.full_like(mask, 10 * i), 255 - 60 * mask], -1)
        Image.fromarray(picture).save(root / "images" / f"{i:02d}.png")
        Image.fromarray(mask).save(root / "labels" / f"{i:02d}.png")
    return root


def labelled(root, valid=("06", "07"), classes=CODES, **kwargs):
    return (
        SegmentationItemList.from_folder(root / "images", **kwargs)
        .split_by_files(valid)
        .label_from_func(lambda file: root / "labels" / file.name, classes=classes)
    )


@pytest.fixture
def root(tmp_path):
    return write_pairs(tmp_path, [(32, 48)] * 8)


def classes_seen(x):
    """The classes that pictures (n, 3, H, W) uint8 or floats show by their red channel."""
    red = x[:, :1] * (255 if x.dtype != np.uint8 else 1)
    return np.rint(red / 60).astype(np.int64)


# ------------------------------------------------------------------------------------------ batches


def test_batches_are_pictures_and_class_numbers(root, backend):
    data = labelled(root).databunch(bs=3).normalize(imagenet_stats)
    x, y = data.one_batch()
    assert x.shape == (3, 3, 32, 48) and x.dtype == np.float32 and x.backend == backend
    assert y.shape == (3, 1, 32, 48) and y.dtype == np.int64 and y.backend == backend
    seen = classes_seen(data.denorm(x).to("numpy").numpy())
    np.testing.assert_array_equal(seen, y.to("numpy").numpy())
    assert data.c == 4 and data.classes == CODES and len(data.valid_ds) == 2
    one, mask = data.valid_ds[0]
    assert one.shape == (3, 32, 48) and mask.shape == (1, 32, 48) and mask.dtype == np.int64
    assert data.train_ds[2:4][1][1].shape == (1, 32, 48)


def test_reprs_name_the_classes(root):
    text = repr(labelled(root))
    assert "SegmentationLabelList of 4 classes\nsky, road, tree, car" in text


def test_masks_in_memory_are_the_same_as_in_files(root):
    known = {f.name: np.array(Image.open(f)) for f in (root / "labels").iterdir()}
    split = SegmentationItemList.from_folder(root / "images").split_by_files(["06", "07"])
    arrays = split.label_from_func(lambda f: known[f.name], classes=CODES).transform(size=(16, 20))
    from_files = labelled(root).transform(size=(16, 20)).databunch(bs=3, seed=4)
    for (x, y), (u, v) in zip(
        from_files.train_dl, arrays.databunch(bs=3, seed=4).train_dl, strict=True
    ):
        np.testing.assert_array_equal(x.numpy(), u.numpy())
        np.testing.assert_array_equal(y.numpy(), v.numpy())


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_palettes_are_read_as_numbers_not_as_colours(root, mode):
    values = (np.arange(32 * 48).reshape(32, 48) % 2).astype(np.uint8)
    mask = Image.fromarray(values)
    if mode == "P":
        mask.putpalette([255, 0, 0, 0, 255, 0])
    elif mode == "1":
        mask = Image.fromarray(values.astype(bool))
    assert mask.mode == mode
    mask.save(root / "labels" / "06.png")
    np.testing.assert_array_equal(labelled(root).valid[0][1][0], values)


def test_learner_trains_with_the_datas_own_loss(root):
    data = labelled(root).databunch(bs=3).normalize(imagenet_stats)
    assert repr(data.loss_func) == "CrossEntropyFlat(axis=1)"
    mt.manual_seed(0)
    learn = Learner(data, nn.Conv2d(3, 4, 1), progress=False)
    before = learn.validate()[0]
    learn.fit(4, 0.1)
    assert learn.validate()[0] < 0.6 * before
    predictions, targets = learn.get_preds()
    np.testing.assert_allclose(predictions.numpy().sum(1), 1, atol=1e-5)
    assert targets.shape == (2, 1, 32, 48)


def test_show_batch_and_results_have_a_legend(root, tmp_path):
    data = labelled(root).databunch(bs=4).normalize(imagenet_stats)
    figure = data.show_batch(rows=2, out=tmp_path / "batch.png")
    assert (tmp_path / "batch.png").stat().st_size > 1000
    assert [text.get_text() for text in figure.legends[0].get_texts()] == CODES
    assert [len(ax.get_images()) for ax in figure.axes] == [2] * 4  # a picture and its mask
    Learner(data, nn.Conv2d(3, 4, 1), progress=False).show_results(rows=2)


# -------------------------------------------------------------------------------------------- sizes


def test_squished_masks_have_only_classes_that_were_there(root):
    sets = labelled(root).transform(size=(11, 13))
    for x, y in (sets.train[i] for i in range(6)):
        assert x.shape == (3, 11, 13) and y.shape == (1, 11, 13)
    mask = np.array(Image.open(root / "labels" / "06.png"))
    expected = np.array(Image.fromarray(mask).resize((13, 11), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(sets.valid[0][1][0], expected)


def test_one_number_is_a_square_cut_out_of_what_covers_it(tmp_path):
    shapes = [(32, 48), (48, 32), (16, 64), (24, 24), (100, 30), (33, 47), (32, 48), (48, 32)]
    data = labelled(write_pairs(tmp_path, shapes)).transform(size=24).databunch(bs=3)
    for x, y in data.train_dl:
        assert x.shape == (3, 3, 24, 24) and y.shape == (3, 1, 24, 24)
        # nearest and bilinear differ on the edges between classes and nowhere else
        assert (classes_seen(x.numpy()) == y.numpy()).mean() > 0.75
    x, y = data.valid_dl.raw(0, 0)
    for row, name in enumerate(("06", "07")):
        with Image.open(tmp_path / "images" / f"{name}.png") as image:
            size = (36, 24) if name == "06" else (24, 36)
            whole = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        top, left = ((whole.shape[1] - 24 + 1) // 2, (whole.shape[2] - 24 + 1) // 2)
        np.testing.assert_array_equal(x[row], whole[:, top : top + 24, left : left + 24])


def test_crops_are_random_in_training_alone_and_the_same_for_picture_and_mask(root):
    data = labelled(root).transform(size=(32, 16), resize_method=ResizeMethod.CROP).databunch(bs=6)
    first, second = ({x.tobytes() for x in data.train_dl.raw(epoch, 0)[0]} for epoch in (0, 1))
    assert len(first - second) >= 4
    for epoch in range(3):
        x, y = data.train_dl.raw(epoch, 0)
        np.testing.assert_array_equal(classes_seen(x), y)
        (a, b), (c, d) = data.valid_dl.raw(epoch, 0), data.valid_dl.raw(0, 0)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
        np.testing.assert_array_equal(a, data.valid_ds.x.gather(np.arange(2)))
    again = labelled(root).transform(size=(32, 16), resize_method="crop").databunch(bs=6)
    np.testing.assert_array_equal(data.train_dl.raw(2, 0)[0], again.train_dl.raw(2, 0)[0])
    assert data.one_item(root / "images" / "06.png").shape == (1, 3, 32, 16)
    np.testing.assert_allclose(
        data.one_item(root / "images" / "06.png").numpy()[0], data.valid_ds[0][0], atol=1e-6
    )


def test_every_place_is_as_likely_as_any_other():
    size, u = checked_size((3, 3), "crop"), np.linspace(0, 1, 3000, endpoint=False)
    picture = np.arange(25).reshape(1, 5, 5)
    corners = [int(size.cut(picture, down, 0.999)[0, 0, 0]) for down in u]
    assert {c: corners.count(c) for c in set(corners)} == {2: 1000, 7: 1000, 12: 1000}


@settings(max_examples=200, deadline=None)
@given(*[st.integers(1, 90)] * 4)
def test_what_is_cropped_covers_the_size_and_no_more(h, w, height, width):
    before = checked_size((height, width), ResizeMethod.CROP).before_crop(h, w)
    assert before[0] >= height and before[1] >= width
    assert before[0] == height or before[1] == width
    # proportions are kept to half a pixel
    ratio = min(h / height, w / width)
    assert abs(before[0] - h / ratio) <= 0.5 + 1e-9 and abs(before[1] - w / ratio) <= 0.5 + 1e-9


def test_crops_of_pictures_in_memory():
    images = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
    sets = ImageList.from_arrays({"train": (images, np.arange(4)), "valid": (images, np.arange(4))})
    sets = sets.split_by_folder().label_from_folder().transform(size=6)
    x, _ = sets.databunch(bs=4).valid_dl.raw(0, 0)
    np.testing.assert_array_equal(x[:, 0], images[:, :, 1:7])
    assert sets.train.x.shape() == (1, 6, 6)


def test_a_second_size_is_made_from_the_originals(root):
    known = {f.name: np.array(Image.open(f)) for f in (root / "labels").iterdir()}
    pixels = np.stack([np.array(Image.open(f)) for f in sorted((root / "images").iterdir())])
    items = sorted((root / "images").iterdir())
    memory = SegmentationItemList(items, ArrayPixels(pixels.transpose(0, 3, 1, 2)))
    for images in (memory, SegmentationItemList.from_folder(root / "images")):
        sets = images.split_by_files(["06"])
        sets = sets.label_from_func(lambda f: known[f.name], classes=CODES)
        plain = [sets.train[i] for i in range(7)]
        again = sets.transform(size=(5, 5)).transform(size=4).transform(size=(32, 48))
        for (x, y), (u, v) in zip(plain, [again.train[i] for i in range(7)], strict=True):
            np.testing.assert_array_equal(x, u)
            np.testing.assert_array_equal(y, v)


def test_masks_are_checked_once(root):
    sets = labelled(root, cache_bytes=0)
    opened = []
    check = sets.train.y.pixels.size_of
    sets.train.y.pixels.size_of = lambda row: opened.append(row) or check(row)
    for _ in range(3):
        list(sets.databunch(bs=6).train_dl)
    assert sorted(opened) == list(range(6))


def test_a_test_set_is_made_the_same_size(root):
    sets = labelled(root).transform(size=20).add_test(sorted((root / "images").iterdir())[:3])
    x, y = sets.databunch(bs=2).one_batch("test")
    assert x.shape == (2, 3, 20, 20) and y is None


# --------------------------------------------------------------------------------------- transforms


class Roll(Transform):
    """Shift each picture by columns of its own; masks too."""

    def draw(self, rng, n, shape):
        return rng.integers(1, shape[2], n)

    def apply(self, batch, params):
        rolled = zip(batch, params, strict=True)
        return np.stack([np.roll(one, by, axis=2) for one, by in rolled])

    apply_mask = apply


class Cut(Roll):
    """Make pictures smaller than they were."""

    def draw(self, rng, n, shape):
        return None

    def apply(self, batch, params):
        return batch[:, :, 2:, 2:]

    apply_mask = apply


def test_the_same_draws_move_a_picture_and_its_mask(root):
    data = labelled(root).transform(([Roll(), Cut()], [Cut()]), tfm_y=True).databunch(bs=6)
    plain = labelled(root).databunch(bs=6)
    x, y = data.train_dl.raw(0, 0)
    assert x.shape == (6, 3, 30, 46) and y.dtype == np.int64
    np.testing.assert_array_equal(classes_seen(x), y)
    assert not np.array_equal(x, plain.train_dl.raw(0, 0)[0][:, :, 2:, 2:])
    x, y = data.valid_dl.raw(0, 0)
    np.testing.assert_array_equal(x, plain.valid_dl.raw(0, 0)[0][:, :, 2:, 2:])
    x, y = data.fix_dl.raw(0, 0)
    np.testing.assert_array_equal(classes_seen(x), y)
    one, mask = data.train_ds[3]
    np.testing.assert_array_equal(classes_seen(one[None]), mask[None])


def test_masks_left_behind_are_an_error(root):
    with pytest.raises(DataError, match=r"would vary the pictures and leave their masks.*tfm_y=Tr"):
        labelled(root).transform(([Roll()], []))
    classes = SegmentationItemList.from_folder(root / "images").split_by_files(["06"])
    classes.train.label_class = ImageList.label_class
    with pytest.raises(DataError, match="tfm_y=True moves labels that are pictures"):
        classes.label_from_func(lambda f: "a").transform(([Roll()], []), tfm_y=True)
    sets = labelled(root)
    sets.train.tfms = [Cut()]
    with pytest.raises(DataError, match=r"pictures \(30, 46\) beside masks \(32, 48\)"):
        sets.train[0]


def test_real_transforms_move_masks_too(root):
    from minitorch7.data.augment import get_transforms

    sets = labelled(root).transform(get_transforms(), size=(24, 36), tfm_y=True)
    x, y = sets.databunch(bs=6).train_dl.raw(0, 0)
    assert (
        x.shape == (6, 3, 24, 36) and y.shape == (6, 1, 24, 36) and set(np.unique(y)) <= {*range(4)}
    )
    border = labelled(root).transform(get_transforms(), tfm_y=True, padding_mode="border")
    assert {getattr(t, "mode", "border") for t in border.train.tfms} == {"border"}
    assert {getattr(t, "mode", "none") for t in sets.train.tfms} == {"reflection", "none"}
    with pytest.raises(DataError, match="mode must be one of"):
        labelled(root).transform(get_transforms(), tfm_y=True, padding_mode="mirror")


# ------------------------------------------------------------------------------------------- faults


def faulty(root, values, name="03", **save):
    (root / "labels" / f"{name}.png").unlink()
    Image.fromarray(values).save(root / "labels" / f"{name}.png", **save)
    return labelled(root).train


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.zeros((32, 47), np.uint8),
            r"03\.png is 32 high and 47 wide, but its picture is 32 high a",
        ),
        (
            np.zeros((32, 48, 3), np.uint8),
            r"03\.png is a picture of mode RGB, .*grey PNG of class n",
        ),
        (np.zeros((32, 48, 4), np.uint8), r"03\.png is a picture of mode RGBA"),
        (
            np.where(np.arange(32 * 48).reshape(32, 48) == 5 * 48 + 7, 9, 0).astype(np.uint8),
            r"03\.png has the value 9 at row 5, column 7, but the 4 classes are 0 to 3",
        ),
    ],
)
@pytest.mark.parametrize("size", [None, (8, 12), 8])
def test_wrong_masks_are_named(root, values, message, size):
    faulty(root, values)
    sets = labelled(root)
    if size is not None:
        sets = sets.transform(size=size)
    with pytest.raises(DataError, match=message):
        list(sets.databunch(bs=6).train_dl)


def test_a_corrupt_mask_is_named(root):
    file = root / "labels" / "02.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(DataError, match=r"mask .*02\.png cannot be read as an image"):
        labelled(root).train[2]


def test_missing_masks_are_named_at_once(root):
    for name in ("01", "05"):
        (root / "labels" / f"{name}.png").unlink()
    with pytest.raises(
        DataError, match=r"no mask .*01\.png for the picture .*01\.png \(2 of 8 mas"
    ):
        labelled(root)
    (root / "labels" / "01.png").mkdir()
    with pytest.raises(DataError, match=r"no mask .*01\.png"):
        labelled(root)


@pytest.mark.parametrize(
    ("classes", "met"),
    [(None, "none"), ([], "0, 0"), (["a", "a"], "2, 1 different"), ([*range(257)], "257")],
)
def test_classes_must_be_named(root, classes, met):
    with pytest.raises(DataError, match=rf"pass classes= with 1 to 256 .*\(got {met}"):
        labelled(root, classes=classes)


def test_wrong_arrays(root):
    split = SegmentationItemList.from_folder(root / "images").split_by_files(["06"])
    good = np.zeros((32, 48), np.uint8)
    for wrong, message in [
        (good / 2.0, r"path of its file or an array \(H, W\) of whole numbers"),
        (good[None], r"got uint8 of shape \(1, 32, 48\)"),
        ("nowhere.png", "and all of one kind, got 'nowhere.png'"),
        (good[1:], r"mask of .*03\.png is 31 high and 48 wide, but its picture is 32 high"),
        (good.astype(int) - 1, r"has the value -1 at row 0, column 0"),
    ]:
        masks = {f.name: good for f in (root / "images").iterdir()} | {"03.png": wrong}
        with pytest.raises(DataError, match=message):
            split.label_from_func(lambda f, masks=masks: masks[f.name], classes=CODES)


def test_splits_by_names(tmp_path):
    for name in ("train/1.png", "train/2.png", "val/2.png", "val/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (2, 2)).save(tmp_path / name)
    images = ImageList.from_folder(tmp_path)
    (tmp_path / "valid.txt").write_text("val/2\n\n3.png\n")
    for split in (
        images.split_by_files(["val/2", "3"]),
        images.split_by_files([tmp_path / "val" / "3.png", "val/2.png"]),
        images.split_by_fname_file("valid.txt"),
        images.split_by_fname_file("valid.txt", tmp_path),
    ):
        assert [item.name for item in split.valid.items] == ["2.png", "3.png"]
        assert [item.parent.name for item in split.train.items] == ["train", "train"]
    with pytest.raises(DataError, match=r"'2' must name one of the 4 items, but fits 2 \(train/2"):
        images.split_by_files(["2"])
    with pytest.raises(DataError, match=r"'9\.png' must name .* fits 0 \(none\)"):
        images.split_by_files(["9.png"])
    with pytest.raises(DataError, match=r"nope\.txt cannot be read as a text of names"):
        images.split_by_fname_file("nope.txt")


# -------------------------------------------------------------------------------- threads, memory


@pytest.mark.parametrize("cache_bytes", [1 << 30, 20_000, 0])
@pytest.mark.parametrize("size", [None, (20, 30), 16])
def test_threads_and_caches_change_nothing(root, cache_bytes, size):
    def batches(workers, prefetch, cache_bytes):
        sets = labelled(root, cache_bytes=cache_bytes)
        if size is not None:
            sets = sets.transform(([Roll()], []), size=size, tfm_y=True)
        data = sets.databunch(bs=3, seed=3, num_workers=workers, prefetch=prefetch)
        return [(x.numpy().copy(), y.numpy().copy()) for _ in range(2) for x, y in data.train_dl]

    expected = batches(0, 0, 1 << 30)
    for workers, prefetch in ((1, 2), (2, 0), (7, 3), (None, 2)):
        found = batches(workers, prefetch, cache_bytes)
        assert len(found) == len(expected) == 4
        for (x, y), (u, v) in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, u)
            np.testing.assert_array_equal(y, v)


def test_decoding_uses_as_many_threads_as_asked_for_and_ends_them():
    together, seen = threading.Barrier(3, timeout=10), set()

    def meet(i):
        together.wait()  # passes only if three threads are at it at once
        seen.add(threading.current_thread().name)
        return i

    assert in_threads(meet, [5, 3, 4], workers=3) == [5, 3, 4]
    assert len(seen) == 3 and all(name.startswith("minitorch7-decode") for name in seen)
    assert not [t for t in threading.enumerate() if t.name.startswith("minitorch7-decode")]
    assert in_threads(lambda _: threading.current_thread(), [1, 2], 1) == (
        [threading.current_thread()] * 2
    )


def test_the_first_fault_in_order_is_raised_whatever_the_threads():
    def fail(i):
        if i in (3, 11):
            raise DataError(f"item {i}")
        return i

    for workers in (1, 4):
        with pytest.raises(DataError, match="item 3"):
            in_threads(fail, list(range(20)), workers)


def test_num_workers_reaches_pictures_and_masks(root):
    sets = labelled(root)
    sets.databunch(bs=2, num_workers=3)
    assert sets.train.x.pixels.workers == sets.valid.y.pixels.workers == 3
    with pytest.raises(DataError, match="num_workers must be a whole number of at least 0, got -1"):
        sets.databunch(bs=2, num_workers=-1)


def test_caches_stay_within_their_bytes(root):
    room = 3 * 3 * 32 * 48 + 100
    sets = labelled(root, cache_bytes=room)
    for _ in range(2):
        list(sets.databunch(bs=2).train_dl)
    kept = [p for p in sets.train.x.pixels._kept if p is not None]
    assert len(kept) == 3 and sum(p.nbytes for p in kept) == sets.train.x.pixels._used <= room
    assert sets.train.y.pixels._used <= room
