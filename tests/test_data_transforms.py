"""Transforms: draws first, then whole batches at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitorch7.data import DataError, ImageList, Pad, RandomCrop, Transform, rand_pad
from minitorch7.data.transforms import PAD_MODES, vary, vary_both


def batch(n=6, c=2, h=9, w=7, dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, 256, (n, c, h, w))
    return values.astype(np.uint8) if dtype == np.uint8 else (values / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("mode", "numpys"), [("zeros", "constant"), ("reflection", "reflect"), ("border", "edge")]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pad_is_numpys(mode, numpys, dtype):
    x = batch(dtype=dtype)
    padded = Pad(3, mode).apply(x, None)
    np.testing.assert_array_equal(padded, np.pad(x, [(0, 0), (0, 0), (3, 3), (3, 3)], mode=numpys))
    assert padded.dtype == dtype


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 5),
    c=st.integers(1, 3),
    h=st.integers(3, 9),
    w=st.integers(3, 9),
    padding=st.integers(0, 2),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_pad_and_crop_against_a_loop(n, c, h, w, padding, seed, data):
    size = data.draw(st.integers(1, min(h, w) + 2 * padding))
    x = batch(n, c, h, w)
    pad, crop = rand_pad(padding, size, mode="zeros")
    padded = pad.apply(x, pad.draw(np.random.default_rng(seed), n, x.shape[1:]))
    rows, columns = crop.draw(np.random.default_rng(seed), n, padded.shape[1:])
    cropped = crop.apply(padded, (rows, columns))
    for i in range(n):  # the twin: one picture after another
        top, left = rows[i], columns[i]
        expected = padded[i, :, top : top + size, left : left + size]
        np.testing.assert_array_equal(cropped[i], expected)
    np.testing.assert_array_equal(
        vary(x, [pad, crop], np.random.default_rng(seed)), cropped
    )  # Pad draws nothing, so the stream is the crop's


def test_all_49_places_are_equally_likely():
    rows, columns = RandomCrop(28).draw(np.random.default_rng(0), 49_000, (1, 34, 34))
    assert rows.min() == columns.min() == 0 and rows.max() == columns.max() == 6
    counts = np.bincount(rows * 7 + columns, minlength=49)
    assert len(counts) == 49
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert chi2 < 84  # 48 degrees of freedom: passed with probability 0.999


def test_same_draws_move_a_picture_and_its_mask_alike():
    x = batch(c=1)
    crop = RandomCrop(4)
    drawn = crop.draw(np.random.default_rng(0), len(x), x.shape[1:])
    np.testing.assert_array_equal(crop.apply(255 - x, drawn), 255 - crop.apply(x, drawn))


def test_order_decides_not_the_place_in_the_list():
    sets = ImageList.from_arrays({"training": (batch(c=1)[:, 0], np.zeros(6, int))}).split_none()
    pad, crop = rand_pad(3, 7)
    sets = sets.label_from_folder().transform(([crop, pad], None))
    assert sets.train.tfms == [pad, crop] and sets.valid.tfms == []


def test_each_look_at_a_training_item_is_a_new_version():
    pixels = np.zeros((1, 28, 28), np.uint8)
    pixels[0, 14, 14] = 255
    sets = ImageList.from_arrays({"training": (pixels, [0])}).split_none().label_from_folder()
    sets.transform((rand_pad(3, 28, mode="zeros"), []))
    places = {int(sets.train[0][0].argmax()) for _ in range(60)}
    assert 20 < len(places) <= 49


def test_faults():
    with pytest.raises(DataError, match="Pad: mode must be one of zeros, reflection, border, got"):
        rand_pad(3, 28, mode="reflect")
    with pytest.raises(DataError, match="padding must be a whole number of at least 0, got -1"):
        Pad(-1)
    with pytest.raises(DataError, match="size must be a whole number of at least 1, got 0"):
        RandomCrop(0)
    with pytest.raises(DataError, match="cannot reflect 7 pixels of pictures 9 high and 7 wide"):
        Pad(7).apply(batch(), None)
    with pytest.raises(DataError, match="size 8 does not fit in pictures 9 high and 7 wide; pad"):
        vary(batch(), [RandomCrop(8)], np.random.default_rng(0))
    sets = ImageList.from_arrays({"training": (batch(c=1)[:, 0], np.zeros(6, int))}).split_none()
    sets = sets.label_from_folder()
    with pytest.raises(DataError, match=r"tfms must be a pair .*rand_pad\(3, 28\), \[\]\), got"):
        sets.transform([Pad(1), Pad(1), Pad(1)])
    with pytest.raises(DataError, match="'flip' is not a Transform"):
        sets.transform((["flip"], []))


def test_a_transform_that_changes_the_dtype_is_named():
    class Halve(Transform):
        def apply(self, batch, params):
            return batch / 2

        def __repr__(self):
            return "Halve()"

    with pytest.raises(DataError, match=r"Halve\(\) made a batch of float64 and shape \(6, 2"):
        vary(batch(), [Halve()], np.random.default_rng(0))


@pytest.mark.parametrize("mode", ["zeros", "reflection", "border"])
def test_pad_and_crop_move_masks_with_pictures(mode):
    masks = batch(c=1)
    tfms = rand_pad(2, 7, mode)
    x, y = vary_both(255 - masks, masks, tfms, np.random.default_rng(0), mask=True)
    padded = np.pad(masks, [(0, 0), (0, 0), (2, 2), (2, 2)], mode=PAD_MODES[mode])
    rows, columns = tfms[1].draw(np.random.default_rng(0), 6, padded.shape[1:])
    for i in range(6):
        expected = padded[i, :, rows[i] : rows[i] + 7, columns[i] : columns[i] + 7]
        np.testing.assert_array_equal(y[i], expected)
    if mode != "zeros":  # zeros are put around the picture and around its opposite
        np.testing.assert_array_equal(x, 255 - y)


def test_runs_are_neighbours_of_one_family():
    class Add(Transform):
        def __init__(self, amount, family):
            self.amount, self.family, self.calls = amount, family, 0

        def draw(self, rng, n, shape):
            return self.amount

        @staticmethod
        def compose(first, second):
            return first + second

        def apply(self, batch, params):
            self.calls += 1
            return batch + np.uint8(params)

    tfms = [Add(1, "a"), Add(2, "a"), Add(3, None), Add(4, None), Add(5, "b"), Add(6, "a")]
    y = vary(np.zeros((1, 1, 2, 2), np.uint8), tfms, np.random.default_rng(0))
    assert (y == 21).all()
    assert [t.calls for t in tfms] == [1, 0, 1, 1, 1, 1]
