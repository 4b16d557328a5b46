"""Lists, splits, labels: the data block's first three links, and what they say when misused."""

import numpy as np
import pytest
from PIL import Image

from minitorch7.data import DataError, DataNotFound, ImageList, rand_pad, write_png_folder


def pictures(n=40, side=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, side, side)).astype(np.uint8), np.arange(n) % 10


def digits():
    return ImageList.from_arrays({"training": pictures(40), "testing": pictures(20, seed=1)})


def labelled(images):
    return images.split_by_folder("training", "testing").label_from_folder()


# ------------------------------------------------------------------------------------------- lists


def test_png_folder_gives_the_batches_of_the_arrays(tmp_path):
    arrays = digits()
    out = write_png_folder(arrays, tmp_path / "png")
    folder = ImageList.from_folder(out, convert_mode="L")
    assert [folder.name(i) for i in range(60)] == [arrays.name(i) for i in range(60)]
    tfms = (rand_pad(2, 8, mode="zeros"), [])
    one, two = (labelled(il).transform(tfms).databunch(bs=7).normalize() for il in (arrays, folder))
    for ds_type in ("train", "valid", "fix"):
        for (x, y), (u, v) in zip(one.dl(ds_type), two.dl(ds_type), strict=True):
            np.testing.assert_array_equal(x.numpy(), u.numpy())
            np.testing.assert_array_equal(y.numpy(), v.numpy())


def test_real_mnist_as_png_folder_gives_the_same_batches(real_data, tmp_path):
    mnist = ImageList.from_idx(real_data / "mnist").use_partial_data(0.01, seed=1)
    mnist = mnist.take(sorted(range(len(mnist)), key=lambda i: str(mnist.items[i])))
    folder = ImageList.from_folder(write_png_folder(mnist, tmp_path / "png"), convert_mode="L")
    one, two = (labelled(il).databunch(bs=32).normalize() for il in (mnist, folder))
    assert one.classes == two.classes == [str(d) for d in range(10)]
    for (x, y), (u, v) in zip(one.train_dl, two.train_dl, strict=True):
        np.testing.assert_array_equal(x.numpy(), u.numpy())
        np.testing.assert_array_equal(y.numpy(), v.numpy())


def test_from_folder_skips_dots_and_other_files_and_sorts_by_number(tmp_path):
    names = ["b/10.png", "b/2.PNG", "b/007.png", "b/7.png", "a/x.jpg", ".hidden/1.png", "b/.1.png"]
    for name in names + ["notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.lower().endswith(("png", "jpg")):
            with open(tmp_path / name, "wb") as file:
                Image.new("RGB", (3, 2)).save(file, "PNG")
        else:
            (tmp_path / name).write_text("x")
    images = ImageList.from_folder(tmp_path)
    assert [str(images.name(i)) for i in range(len(images))] == [
        "a/x.jpg",
        "b/2.PNG",
        "b/007.png",
        "b/7.png",
        "b/10.png",
    ]
    assert images[0].shape == (3, 2, 3) and images[0].dtype == np.float32
    assert len(ImageList.from_folder(tmp_path, extensions={".jpg"})) == 1
    with pytest.raises(DataError, match=r"no image files below .*there: 1 \.txt"):
        ImageList.from_folder(tmp_path, recurse=False)


def test_folder_faults(tmp_path):
    with pytest.raises(DataError, match=r"no image files below .* \(there: no files; .*\.png"):
        ImageList.from_folder(tmp_path)
    with pytest.raises(DataNotFound, match="from_folder: .*nowhere is not a folder"):
        ImageList.from_folder(tmp_path / "nowhere")
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="convert_mode must be one of L, RGB, RGBA, got 'grey'"):
        ImageList.from_folder(tmp_path, convert_mode="grey")


@pytest.mark.parametrize("fault", ["cut", "not an image", "empty", "gone"])
def test_damaged_image_is_named(tmp_path, fault):
    file = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    Image.fromarray(noise).save(file)
    images = ImageList.from_folder(tmp_path, convert_mode="L")
    whole = file.read_bytes()
    if fault == "gone":
        file.unlink()
    else:
        content = {"cut": whole[: len(whole) // 2], "not an image": b"hello" * 50, "empty": b""}
        file.write_bytes(content[fault])
    with pytest.raises(DataError, match=r"a\.png (cannot be read as an image|is not there)"):
        images[0]


@pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
def test_pictures_of_two_sizes(tmp_path, cache_bytes):
    for part in ("train", "valid"):
        for i, side in enumerate((6, 6, 8)):
            (tmp_path / part / "k").mkdir(parents=True, exist_ok=True)
            Image.new("L", (side, 6), i).save(tmp_path / part / "k" / f"{i}.png")
    images = ImageList.from_folder(tmp_path, convert_mode="L", cache_bytes=cache_bytes)
    sets = images.split_by_folder().label_from_folder()
    rule = r"0\.png is 6 high and 6 wide, and .*2\.png is 6 high and 8 wide; .*size=\(6, 6\)"
    with pytest.raises(DataError, match=rule):
        sets.train.x.gather(np.arange(3))
    data = sets.transform(size=(5, 4)).databunch(bs=3)
    assert data.one_batch()[0].shape == (3, 1, 5, 4)
    assert sets.train.x.pixels is sets.valid.x.pixels
    for wrong in (0, (5, -1), (5,), "28", True, 2.5):
        with pytest.raises(DataError, match=r"size must be a pair \(height, width\) or one number"):
            sets.transform(size=wrong)
    with pytest.raises(DataError, match=r"resize_method must be .*SQUISH, got 'pad'"):
        sets.transform(size=28, resize_method="pad")


def test_pictures_are_cached_only_if_they_fit(tmp_path):
    for i in range(3):
        Image.new("RGB", (4, 5), (i, 2 * i, 3 * i)).save(tmp_path / f"{i}.png")
    kept = ImageList.from_folder(tmp_path).load()
    again = ImageList.from_folder(tmp_path, cache_bytes=3 * 3 * 4 * 5 - 1).load()
    np.testing.assert_array_equal(kept.gather(np.arange(3)), again.gather(np.arange(3)))
    assert kept.gather(np.arange(3))[:, :, 0, 0].tolist() == [[0, 0, 0], [1, 2, 3], [2, 4, 6]]
    for file in tmp_path.iterdir():
        file.unlink()
    assert kept[2].shape == (3, 5, 4)
    with pytest.raises(DataError, match="is not there"):  # one of the three, whichever came last
        again.gather(np.arange(3))
    assert again.pixels._used == 2 * 3 * 4 * 5


def test_wrong_arrays():
    images, labels = pictures()
    with pytest.raises(DataError, match="must be a NumPy array of uint8 .* got float64"):
        ImageList.from_arrays({"training": (images / 255, labels)})
    with pytest.raises(DataError, match=r"shape \(N, H, W\) or \(N, C, H, W\).* got \(40,\)"):
        ImageList.from_arrays({"training": (images[:, 0, 0], labels)})
    with pytest.raises(DataError, match=r"'training' has 40 images but labels of shape \(39,\)"):
        ImageList.from_arrays({"training": (images, labels[1:])})
    with pytest.raises(DataError, match=r"one shape, got \{'a': \(40, 8, 8\), 'b': \(40, 7, 7\)"):
        ImageList.from_arrays({"a": (images, labels), "b": pictures(side=7)})


def test_taking_parts_shares_the_pixels():
    images = digits()
    part = images[10:20][::3]
    assert part.pixels is images.pixels and part.items == images.items[10:20:3]
    np.testing.assert_array_equal(part[1], images[13])
    np.testing.assert_array_equal(images[-1], images[59])
    assert len(images[np.array([True] + [False] * 59)]) == 1
    with pytest.raises(IndexError, match="item 60 of 60"):
        images[60]
    assert len(images.use_partial_data(0.5, seed=3)) == 30


def test_reprs_say_what_is_there():
    images = digits()
    assert repr(images).startswith("ImageList (60 items)\nImage (1, 8, 8): testing/0/00000.png, ")
    assert "Train: ImageList (40 items)" in repr(images.split_by_folder("training", "testing"))
    sets = labelled(images).transform((rand_pad(2, 8), []))
    for piece in (
        "LabelLists;\n\nTrain: LabelList (40 items)",
        "y: CategoryList of 10 classes\n0,0,0,0,1,...",
        "transforms: [Pad(2, mode='reflection'), RandomCrop(8)]",
        "Test: None",
    ):
        assert piece in repr(sets)
    assert repr(sets.databunch(bs=8)).startswith("DataBunch;\n\nTrain: LabelList (40 items)")


# ------------------------------------------------------------------------------------------ splits


def test_split_by_folder():
    sets = digits().split_by_folder(train="training", valid="testing")
    assert len(sets.train) == 40 and len(sets.valid) == 20
    assert {item.parts[0] for item in sets.train.items} == {"training"}
    with pytest.raises(
        DataError,
        match=r"no items in a folder 'train' .*'testing' \(20 items\), 'training' \(40 items\)",
    ):
        digits().split_by_folder()


def test_split_by_rand_pct_is_fastais():
    sets = digits().split_by_rand_pct(0.15, seed=42)
    np.random.seed(42)
    order = np.random.permutation(60)
    items = digits().items
    assert sets.valid.items == [items[i] for i in order[:9]]
    assert sets.train.items == [items[i] for i in sorted(order[9:])]


def test_split_by_rand_pct_leaves_the_programs_stream_alone():
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    digits().split_by_rand_pct(seed=1)
    assert np.random.rand() == expected


@pytest.mark.parametrize("pct", [-0.1, 1.5, 20, True, "0.2", float("nan")])
def test_split_by_rand_pct_wrong_part(pct):
    with pytest.raises(DataError, match="split_by_rand_pct: the part must be between 0 and 1"):
        digits().split_by_rand_pct(pct)


def test_split_by_idx():
    sets = digits().split_by_idx([3, 1])
    assert sets.valid.items == [digits().items[3], digits().items[1]] and len(sets.train) == 58
    for wrong, message in [
        ([60], r"has 60; it must name items 0\.\.59"),
        ([-1], "has -1"),
        ([1, 1], "the same index twice"),
        ([0.5], "must be a flat list of whole numbers, got float64"),
    ]:
        with pytest.raises(DataError, match=message):
            digits().split_by_idx(wrong)
    assert len(digits().split_by_idx([]).valid) == 0


def test_split_none_has_nothing_to_validate_on():
    data = digits().split_none().label_from_folder().databunch(bs=10)
    assert data.empty_val and len(data.valid_dl) == 0 and list(data.valid_dl) == []
    assert len(data.train_dl) == 6


def test_splits_that_leave_nothing_to_learn_from():
    with pytest.raises(DataError, match=r"training set is empty \(60 validation items\)"):
        digits().split_by_rand_pct(1.0).label_from_folder()


# ------------------------------------------------------------------------------------------ labels


def test_labels():
    sets = labelled(digits())
    assert sets.classes == [str(d) for d in range(10)] and sets.c == 10
    for i in range(0, 40, 7):
        x, y = sets.train[i]
        assert str(y) == sets.train.x.items[i].parts[1] and sets.classes[int(y)] == str(y)
        assert x.shape == (1, 8, 8) and x.dtype == np.float32 and 0 <= x.min() <= x.max() <= 1
    assert len(sets.train[5:9]) == 4 and sets.train[5:9][0][1] == sets.train[5][1]
    with pytest.raises(IndexError):
        sets.train[40]


def test_given_classes_fix_the_ids():
    order = [str(d) for d in reversed(range(10))]
    sets = digits().split_by_folder("training", "testing").label_from_folder(classes=order)
    assert sets.classes == order and sets.train.y.codes[0] == 9


def test_label_from_func_numbers_and_parts():
    split = digits().split_by_folder("training", "testing")
    sets = split.label_from_func(lambda path: int(path.stem) % 3)
    assert sets.classes == [0, 1, 2] and str(sets.train.y[0]) == "0"


def test_a_class_that_only_validation_has_is_kept():
    images = digits()
    nines = [i for i, item in enumerate(images.items) if item.parts[1] == "9"]
    sets = images.split_by_idx(nines).label_from_folder()
    assert sets.c == 10 and len(sets.valid) == len(nines)


def test_wrong_labels():
    split = digits().split_by_folder("training", "testing")
    with pytest.raises(
        DataError, match=r"label '2' of training/2/0000\d\.png is not among classes \('0', '1'\)"
    ):
        split.label_from_folder(classes=["0", "1"])
    with pytest.raises(DataError, match="classes has a name twice"):
        split.label_from_folder(classes=["0", "0"])
    with pytest.raises(DataError, match="all strings or all whole numbers, got float"):
        split.label_from_func(lambda path: 0.5)
    with pytest.raises(DataError, match="got int and str"):
        split.label_from_func(lambda path: int(path.stem) or "zero")


# ---------------------------------------------------------------------------------------- test set


def test_add_test_is_a_third_set_without_labels(tmp_path):
    test = ImageList.from_arrays({"unknown": pictures(5, seed=2)})
    sets = labelled(digits()).add_test(test).transform((rand_pad(2, 8), []))
    data = sets.databunch(bs=4).normalize()
    assert len(data.valid_dl.dataset) == 20 and len(data.test_dl) == 2
    batches = list(data.test_dl)
    assert [x.shape for x, _ in batches] == [(4, 1, 8, 8), (1, 1, 8, 8)]
    assert all(y is None for _, y in batches)
    np.testing.assert_allclose(data.denorm(batches[0][0]).numpy()[0], test[0], atol=1e-6)
    assert data.test_ds[0][1] is None and data.test_ds.tfms == []


def test_add_test_folder_reads_as_the_training_set_was_read(tmp_path):
    out = write_png_folder(digits(), tmp_path / "png")
    (out / "test").mkdir()
    Image.new("RGB", (8, 8), (255, 255, 255)).save(out / "test" / "1.png")
    sets = labelled(ImageList.from_folder(out, convert_mode="L")).add_test_folder()
    assert sets.databunch(bs=4).one_batch("test")[0].shape == (1, 1, 8, 8)
    with pytest.raises(DataNotFound, match="nope is not a folder"):
        sets.add_test_folder("nope")
    with pytest.raises(DataError, match="add_test: the list is empty"):
        sets.add_test([])


def test_test_set_of_other_channels(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    sets = labelled(digits()).add_test(ImageList.from_folder(tmp_path))
    with pytest.raises(DataError, match="1 channels but test pictures have 3; .*convert_mode"):
        sets.databunch(bs=4)


# -------------------------------------------------------------------------------------- png folder


def test_write_png_folder_is_all_or_nothing(tmp_path):
    out = tmp_path / "png"
    write_png_folder(digits(), out)
    with pytest.raises(DataError, match="png exists already"):
        write_png_folder(digits(), out)
    images = digits()
    images.items[30] = images.items[3]
    with pytest.raises(DataError, match=r"item 30 .* cannot be written as .*name of its own"):
        write_png_folder(images, tmp_path / "two")
    images.items[30] = tmp_path / "elsewhere.png"
    with pytest.raises(DataError, match="item 30 "):
        write_png_folder(images, tmp_path / "two")
    assert [file.name for file in tmp_path.iterdir()] == ["png"]


def test_pictures_of_two_sizes_can_be_looked_at_but_not_stacked(tmp_path):
    for name, size in (("a", (4, 3)), ("b", (6, 5))):
        Image.new("L", size).save(tmp_path / f"{name}.png")
    images = ImageList.from_folder(tmp_path, convert_mode="L")
    assert [images[i].shape for i in (0, 1, 0)] == [(1, 3, 4), (1, 5, 6), (1, 3, 4)]
    with pytest.raises(DataError, match=r"a\.png is 3 high and 4 wide, and .*b\.png is 5 high"):
        images.gather(np.array([0, 1]))
