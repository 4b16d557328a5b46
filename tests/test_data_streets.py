"""Drawn streets: the same by seed, with masks that fit what is drawn, and learnable."""

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import CAMVID_CODES, DataError, drawn_streets, imagenet_stats
from minitorch7.data.street_page import CAR, ROAD, SKY, Page
from minitorch7.data.street_traffic import car
from minitorch7.learner import Learner
from minitorch7.learner.segmentation import acc_camvid


@pytest.fixture(scope="module")
def streets():
    return drawn_streets(24, seed=5)


def arrays(source):
    images = source.images()
    x = images.gather(np.arange(len(images)))
    return x, np.stack([source.mask_of(item) for item in images.items])


def test_shapes_names_and_split(streets):
    x, masks = arrays(streets)
    assert x.shape == (30, 3, 90, 120) and masks.shape == (30, 90, 120)
    assert x.dtype == masks.dtype == np.uint8
    sets = streets.labelled()
    assert (len(sets.train), len(sets.valid)) == (24, 6)
    assert sets.classes == list(CAMVID_CODES)
    assert {item.parent.name for item in sets.valid.x.items} == {"valid"}
    data = sets.transform(size=(45, 60)).databunch(bs=4).normalize(imagenet_stats)
    x, y = data.one_batch()
    assert x.shape == (4, 3, 45, 60) and y.shape == (4, 1, 45, 60)


def test_a_picture_depends_on_seed_and_number_alone():
    a, m = arrays(drawn_streets(3, (30, 40), seed=7, n_valid=2))
    b, k = arrays(drawn_streets(2, (30, 40), seed=7, n_valid=3))
    np.testing.assert_array_equal(a[[0, 1, 3, 4]], b[[0, 1, 2, 3]])
    np.testing.assert_array_equal(m[[0, 1, 3, 4]], k[[0, 1, 2, 3]])
    c, _ = arrays(drawn_streets(3, (30, 40), seed=8, n_valid=2))
    assert len({one.tobytes() for one in [*a, *c]}) == 10  # all differ, training and validation too


def test_all_classes_are_there_in_a_streets_proportions(streets):
    _, masks = arrays(streets)
    share = np.bincount(masks.ravel(), minlength=12) / masks.size
    assert (share > 0).all() and share[ROAD] > 0.15 and share[1] > 0.1 and share[SKY] > 0.05
    assert share[[2, 6, 7, 9, 10, 11]].max() < 0.1  # poles, signs, fences, people, bicycles, void
    # the sky is above, the road below
    rows = np.arange(90)[:, None]
    assert (rows * (masks == SKY)).sum() / (masks == SKY).sum() < 35
    assert (rows * (masks == ROAD)).sum() / (masks == ROAD).sum() > 55


def test_masks_lie_where_things_are_drawn():
    """A car on an empty page changes the picture inside its mask, and nowhere but its shadow."""
    page = Page(np.random.default_rng(0), 180, 240)
    page.image.paste((250, 0, 250), (0, 0, 240, 180))
    car(page, 1.0, 6.0, True, 1.0)
    changed = (np.asarray(page.image) != (250, 0, 250)).any(-1)
    mask = np.asarray(page.mask)
    assert set(np.unique(mask)) == {0, CAR}
    assert changed[mask == CAR].all() and (mask == CAR).sum() > 1000
    shadow = changed & (mask != CAR)
    assert shadow.sum() < 0.3 * (mask == CAR).sum()


def test_colours_alone_tell_something_but_not_all(streets):
    """A net that sees single pixels beats the commonest class, and leaves much to be learned."""
    data = streets.labelled().transform(size=(45, 60)).databunch(bs=4).normalize(imagenet_stats)
    mt.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 24, 1), nn.ReLU(), nn.Conv2d(24, 12, 1))
    learn = Learner(data, net, metrics=acc_camvid, progress=False)
    learn.fit(6, 2e-2)
    _, masks = arrays(streets)
    commonest = np.bincount(masks.ravel()).max() / masks.size
    assert commonest + 0.05 < learn.validate()[1] < 0.85


def test_wrong_arguments():
    with pytest.raises(DataError, match="drawn_streets: n must be a whole number of at least 1"):
        drawn_streets(0)
    with pytest.raises(DataError, match="n_valid must be a whole number of at least 0, got -1"):
        drawn_streets(1, n_valid=-1)
    with pytest.raises(DataError, match="seed must be"):
        drawn_streets(1, seed=None)
    with pytest.raises(DataError, match="size must be a pair"):
        drawn_streets(1, size=(0, 3))
    assert arrays(drawn_streets(1, (1, 1), n_valid=0))[0].shape == (1, 3, 1, 1)
