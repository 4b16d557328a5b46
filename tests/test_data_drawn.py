"""Drawn digits: the names and shapes of MNIST, varied, and recognisable."""

import numpy as np
import pytest

from minitorch7.data import DataError, drawn_digits


def arrays(images, part):
    sets = images.split_by_folder("training", "testing").label_from_folder()
    chosen = getattr(sets, part)
    return chosen.x.gather(np.arange(len(chosen)))[:, 0], chosen.y.codes


def test_shapes_names_and_classes():
    images = drawn_digits(205, 50)
    x, y = arrays(images, "train")
    assert x.shape == (205, 28, 28) and x.dtype == np.uint8
    assert np.bincount(y).tolist() == [21] * 5 + [20] * 5
    assert np.bincount(arrays(images, "valid")[1]).tolist() == [5] * 10
    assert str(images.items[-1]).startswith("training/9/00")
    data = images.split_by_folder("training", "testing").label_from_folder().databunch(bs=50)
    assert data.normalize().one_batch()[0].shape == (50, 1, 28, 28)


def test_the_seed_decides():
    one, two, three = (drawn_digits(60, 10, seed=seed).pixels.array for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_ink_on_a_dark_ground_and_no_two_alike():
    x, y = arrays(drawn_digits(2000, 10), "train")
    assert 0.1 < x.mean() / 255 < 0.25
    assert (x.reshape(len(x), -1).max(1) > 120).all()
    edge = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], axis=1)
    assert edge.mean() < 12  # digits lie inside
    for digit in range(10):
        same = x[y == digit].reshape(-1, 784) / 255
        assert len(np.unique(same, axis=0)) == len(same)
        assert same.std(0).max() > 0.3  # places that are ink in some and ground in others


def test_a_plain_rule_can_tell_them_apart_but_not_trivially():
    images = drawn_digits(3000, 500)
    (x, y), (u, v) = (arrays(images, part) for part in ("train", "valid"))
    x, u = (a.reshape(len(a), -1).astype(np.float32) / 255 for a in (x, u))
    distances = (x**2).sum(1) - 2 * u @ x.T  # squared, less what is the same for all
    nearest = (y[distances.argmin(1)] == v).mean()
    means = np.stack([x[y == digit].mean(0) for digit in range(10)])
    to_mean = ((means**2).sum(1) - 2 * u @ means.T).argmin(1)
    assert nearest > 0.7  # one nearest neighbour
    assert (to_mean == v).mean() < 0.9  # ten average digits do not do


def test_faults():
    with pytest.raises(DataError, match="n_train must be a whole number of at least 1, got 0"):
        drawn_digits(0, 10)
    with pytest.raises(DataError, match="seed must be a whole number of at least 0, got -1"):
        drawn_digits(10, 10, seed=-1)
