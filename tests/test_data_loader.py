"""Batches: a pure function of seed, epoch and number; made ahead by a thread that never lingers."""

import gc
import threading
import time
import traceback

import numpy as np
import pytest
from PIL import Image

import minitorch7 as mt
from minitorch7.data import DataError, DataLoader, ImageList, imagenet_stats, rand_pad
from minitorch7.data.prefetch import prefetched


def digits(n_train=100, n_valid=30, channels=1):
    rng = np.random.default_rng(0)
    shape = (n_train + n_valid, channels, 28, 28)
    images = rng.integers(0, 256, shape).astype(np.uint8)
    labels = np.arange(n_train + n_valid) % 10
    parts = {
        "training": (images[:n_train], labels[:n_train]),
        "testing": (images[n_train:], labels[n_train:]),
    }
    return ImageList.from_arrays(parts)


def bunch(bs=16, n_train=100, channels=1, **kwargs):
    sets = digits(n_train, channels=channels).split_by_folder("training", "testing")
    sets = sets.label_from_folder().transform((rand_pad(3, 28, mode="zeros"), []))
    return sets.databunch(bs=bs, **kwargs)


def arrays(batches):
    return [(x.numpy().copy(), y.numpy().copy()) for x, y in batches]


def assert_same(ones, twos):
    assert len(ones) == len(twos)
    for (x, y), (u, v) in zip(ones, twos, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("minitorch7-prefetch")]


# -------------------------------------------------------------------------------- what a batch is


def test_shapes_counts_and_dtypes():
    data = bunch().normalize()
    assert len(data.train_dl) == 6 and data.train_dl.n == 100 and data.batch_size == 16
    assert len(data.valid_dl) == 2 and len(data.fix_dl) == 7 and data.test_dl is None
    for x, y in data.train_dl:
        assert x.shape == (16, 1, 28, 28) and x.dtype == np.float32
        assert y.shape == (16,) and y.dtype == np.int64
    assert [len(y.numpy()) for _, y in data.valid_dl] == [16, 14]


def test_memory_is_batch_last():
    x, _ = bunch().normalize().train_dl.arrays(0, 0)
    assert x.transpose(1, 2, 3, 0).flags["C_CONTIGUOUS"] and not x.flags["C_CONTIGUOUS"]


def test_values_are_bytes_over_255_then_normalised():
    data = bunch(channels=3)
    raw = data.valid_ds.x.gather(np.arange(16)) / 255
    np.testing.assert_allclose(data.one_batch("valid")[0].numpy(), raw, atol=1e-7)
    data.normalize(imagenet_stats)
    mean, std = (np.array(part)[:, None, None] for part in imagenet_stats)
    x, _ = data.one_batch("valid")
    np.testing.assert_allclose(x.numpy(), (raw - mean) / std, atol=2e-6)
    np.testing.assert_allclose(data.denorm(x).numpy(), raw, atol=1e-6)
    np.testing.assert_allclose(data.denorm(x.numpy()[0]), raw[0], atol=1e-6)


def test_an_epoch_serves_every_item_once_in_a_new_order():
    data = bunch(bs=10)
    epochs = []
    for _ in range(2):
        seen = np.concatenate([data.train_dl.order(data.train_dl.epoch)])
        assert sorted(seen) == list(range(100))
        list(data.train_dl)
        epochs.append(seen.tolist())
    assert epochs[0] != epochs[1]


def test_fix_dl_is_the_training_set_still_and_unvaried():
    data = bunch()
    x = np.concatenate([x.numpy() for x, _ in data.fix_dl])
    np.testing.assert_allclose(x, data.train_ds.x.gather(np.arange(100)) / 255, atol=1e-7)


# -------------------------------------------------------------------------------- reproducibility


def test_same_seed_same_batches_other_seed_others():
    one, two, three = (bunch(seed=seed).train_dl for seed in (5, 5, 6))
    for _ in range(2):
        first = arrays(one)
        assert_same(first, arrays(two))
        assert not np.array_equal(first[0][0], arrays(three)[0][0])


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
def test_prefetch_changes_nothing(prefetch):
    assert_same(arrays(bunch(prefetch=prefetch).train_dl), arrays(bunch(prefetch=0).train_dl))


def test_resume_in_the_middle_of_an_epoch():
    whole = bunch().normalize().train_dl
    epochs = [arrays(whole) for _ in range(3)]
    resumed = bunch().normalize().train_dl  # as a new process would make it
    assert_same(arrays(resumed.batches(epoch=1, start=4)), epochs[1][4:])
    assert resumed.epoch == 0
    resumed.epoch = 2
    assert_same(arrays(resumed), epochs[2])
    assert resumed.epoch == 3
    assert_same(arrays([resumed.batch(1, 3)]), epochs[1][3:4])
    assert list(resumed.batches(0, start=len(resumed))) == []


def test_streams_of_epochs_and_batches_all_differ():
    dl = bunch().train_dl
    draws = {
        tuple(dl._stream(epoch, number).integers(0, 2**60, 2))
        for epoch in range(6)
        for number in range(6)
    }
    assert len(draws) == 36


def test_abandoned_epochs_still_count():
    dl = bunch().train_dl
    for _ in dl:
        break
    assert dl.epoch == 1


# ---------------------------------------------------------------------------------------- faults


def test_wrong_batch_sizes():
    for bs in (0, -3, 2.5, True, "64"):
        with pytest.raises(
            DataError, match=rf"bs must be a whole number of at least 1, got {bs!r}"
        ):
            bunch(bs=bs)
    with pytest.raises(
        DataError, match=r"bs is 128 but the training set has 100 items.*databunch\(bs=100\)"
    ):
        bunch(bs=128)
    assert len(bunch(bs=100).train_dl) == 1
    with pytest.raises(DataError, match="prefetch must be a whole number of at least 0, got -1"):
        bunch(prefetch=-1)
    with pytest.raises(DataError, match="seed must be a whole number"):
        bunch(seed=None)


def test_batches_that_are_not_there():
    dl = bunch().train_dl
    with pytest.raises(DataError, match="no batch 7; an epoch of 100 items has 6 batches of 16"):
        dl.batches(0, start=7)
    with pytest.raises(DataError, match="no batch 6"):
        dl.batch(0, 6)
    with pytest.raises(DataError, match="epoch must be a whole number of at least 0, got -1"):
        dl.batches(-1)


# ---------------------------------------------------------------------------------------- threads


class Failing:
    """A set whose third batch cannot be made."""

    def __len__(self):
        return 10

    def gather(self, indices, rng):
        if 4 in indices:
            raise RuntimeError("the disk is gone")
        return np.zeros((len(indices), 1, 2, 2), np.uint8), np.zeros(len(indices), np.int64)


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_errors_reach_the_consumer_in_turn_with_their_traceback(prefetch):
    got = []
    with pytest.raises(RuntimeError, match="the disk is gone") as caught:
        for x, _ in DataLoader(Failing(), bs=2, prefetch=prefetch):
            got.append(x)
    assert len(got) == 2
    lines = traceback.extract_tb(caught.value.__traceback__)
    assert any(frame.name == "gather" for frame in lines)
    assert not threads()


def test_thread_ends_with_the_epoch_a_break_an_error_or_the_garbage():
    data = bunch(bs=4)
    for _ in data.train_dl:
        assert len(threads()) <= 1
    assert not threads()
    for _ in data.train_dl:
        break
    assert not threads()
    with pytest.raises(ZeroDivisionError):
        for _ in data.train_dl:
            _ = 1 / 0
    assert not threads()
    batches = iter(data.train_dl)
    next(batches)
    assert len(threads()) == 1
    batches.close()
    assert not threads()
    batches = iter(data.train_dl)
    next(batches)
    cycle = [batches]
    cycle.append(cycle)
    del batches, cycle
    gc.collect()
    assert not threads()


def test_an_iterator_that_is_never_used_starts_nothing():
    batches = iter(bunch().train_dl)
    assert not threads()
    del batches


def test_prefetch_stays_within_its_depth():
    made = []

    def make(i):
        made.append(i)
        return i

    results = prefetched(make, range(20), depth=3)
    assert next(results) == 0
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    assert list(results) == list(range(1, 20))


def test_collected_in_its_own_thread():
    """The collector may run in the loader's thread, where waiting for that thread would hang."""
    holder, errors = [], []

    def make(i):
        if i == 3:
            holder.clear()  # the last reference to the iterator that runs this
        return i

    before = threading.excepthook
    threading.excepthook = errors.append
    try:
        holder.append(prefetched(make, range(10), depth=5))
        assert next(holder[0]) == 0
        deadline = time.monotonic() + 5
        while threads() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        threading.excepthook = before
    assert not threads() and not errors


def test_two_loaders_at_once():
    data = bunch(bs=4)
    expected = arrays(bunch(bs=4, prefetch=0).train_dl), arrays(bunch(bs=4, prefetch=0).fix_dl)
    pairs = list(zip(data.train_dl, data.fix_dl, strict=True))
    for side in (0, 1):
        assert_same(arrays(pair[side] for pair in pairs), expected[side])
    assert not threads()


# ------------------------------------------------------------------------------------- databunch


def test_normalize_without_stats_takes_one_training_batch():
    data = bunch(channels=3)
    x, _ = data.train_dl.raw(0, 0)
    values = x.astype(np.float64) / 255
    data.normalize()
    np.testing.assert_allclose(data.stats.mean, values.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(data.stats.std, values.std((0, 2, 3), ddof=1), rtol=1e-5)
    first = next(iter(data.train_dl))[0].numpy()
    np.testing.assert_allclose(first.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(first.std((0, 2, 3), ddof=1), 1, atol=1e-5)
    assert bunch(channels=3).normalize().stats.mean.tolist() == data.stats.mean.tolist()


def test_normalize_faults():
    data = bunch().normalize()
    with pytest.raises(
        DataError, match=r"normalised already \(mean \[0\.\d+\], std .*call it once"
    ):
        data.normalize()
    with pytest.raises(DataError, match=r"1 channels, but stats has means of shape \(3,\)"):
        bunch().normalize(imagenet_stats)
    with pytest.raises(DataError, match=r"stats must be a pair .*got \(1, 2, 3\)"):
        bunch().normalize((1, 2, 3))
    with pytest.raises(DataError, match=r"cannot divide by the standard deviations \[0\.0\]"):
        bunch().normalize(([0.5], [0]))
    with pytest.raises(DataError, match=r"expected shape .* C = 1 .* got \(3, 28, 28\)"):
        data.denorm(np.zeros((3, 28, 28), np.float32))


def test_normalize_with_do_x_false_leaves_the_pictures():
    data, plain = bunch(), bunch()
    data.normalize(([0.5], [0.5]), do_x=False)
    x, _ = data.one_batch()
    np.testing.assert_array_equal(x.numpy(), plain.one_batch()[0].numpy())
    assert data.denorm(x) is x


def test_one_batch_is_the_first_of_the_epoch_and_moves_nothing():
    data = bunch().normalize()
    x, y = data.one_batch()
    again, _ = data.one_batch()
    first, labels = next(iter(data.train_dl))
    np.testing.assert_array_equal(x.numpy(), again.numpy())
    np.testing.assert_array_equal(x.numpy(), first.numpy())
    np.testing.assert_array_equal(y.numpy(), labels.numpy())
    shown, _ = bunch().normalize().one_batch(denorm=True)
    assert shown.numpy().min() >= -1e-6 and shown.numpy().max() <= 1 + 1e-6
    with pytest.raises(DataError, match="no loader 'test' here; it has train, valid, fix"):
        data.one_batch("test")


def test_data_bunch_names():
    data = bunch()
    assert data.c == 10 and data.classes[3] == "3" and str(data.path) == "."
    assert len(data.train_ds) == 100 and len(data.valid_ds) == 30 and data.test_ds is None
    x, y = data.valid_ds[2]
    assert x.shape == (1, 28, 28) and x.dtype == np.float32 and str(y) == "0"
    assert bunch(path="elsewhere").path.name == "elsewhere"
    assert len(bunch(val_bs=30).valid_dl) == 1


def test_one_item_is_treated_as_a_validation_item(tmp_path):
    data = bunch().normalize()
    expected = data.one_batch("valid")[0].numpy()[:1]
    pixels = data.valid_ds.x.gather(np.array([0]))[0]
    picture = Image.fromarray(pixels[0])
    picture.save(tmp_path / "item.png")
    items = [pixels, pixels[0], data.valid_ds[0][0], picture, tmp_path / "item.png"]
    for item in [*items, str(items[-1])]:
        np.testing.assert_allclose(data.one_item(item).numpy(), expected, atol=1e-6)
    for wrong, message in [
        (3, "a path, a Pillow image or an array .* got 3"),
        (pixels[None], r"got an array of shape \(1, 1, 28, 28\)"),
        (pixels / 2.0, r"floats in \[0, 1\], got float64 from 0\.0 to 127\.5"),
        (np.zeros((28, 28, 3), np.uint8), r"have 1 channels, got shape \(28, 28, 3\)"),
        (tmp_path / "none.png", r"none\.png is not there"),
    ]:
        with pytest.raises(DataError, match=message):
            data.one_item(wrong)


def test_loss_func_is_cross_entropy():
    from minitorch7 import functional

    assert bunch().loss_func is functional.cross_entropy


def test_batches_live_on_the_active_backend(backend):
    data = bunch().normalize()
    for x, y in data.train_dl:
        assert x.backend == y.backend == backend
    shown = data.denorm(x)
    assert shown.backend == backend and shown.dtype == np.float32
    with mt.using("numpy"):
        expected = arrays(bunch().normalize().train_dl)[-1]
    assert_same(arrays([(x, y)]), [expected])


def test_show_batch(backend, tmp_path):
    data = bunch().normalize()
    figure = data.show_batch(rows=3, figsize=(5, 5), out=tmp_path / "batch.png")
    assert (tmp_path / "batch.png").stat().st_size > 1000
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [data.classes[k] for k in data.one_batch()[1].numpy()[:9]]


def test_real_mnist(real_data):
    sets = ImageList.from_idx(real_data / "mnist").split_by_folder("training", "testing")
    sets = sets.label_from_folder().transform((rand_pad(3, 28, mode="zeros"), []))
    data = sets.databunch(bs=128).normalize()
    assert len(data.train_dl) == 468 and len(data.valid_dl) == 79
    assert data.classes == list("0123456789")
    x, y = data.valid_dl.batch(0, 78)
    assert x.shape == (16, 1, 28, 28) and y.shape == (16,)
    assert abs(data.stats.mean[0] - 0.1307) < 0.01 and abs(data.stats.std[0] - 0.3081) < 0.01
    images, start = 0, time.perf_counter()
    for xb, _ in data.train_dl:
        images += len(xb)
    assert images == 468 * 128
    assert images / (time.perf_counter() - start) > 60_000  # some ten times that on an idle core
