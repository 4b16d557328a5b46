"""Augmentation: matrices, one sampling, light, and get_transforms."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import augment as reference

from minitorch7.data import DataError, ImageList
from minitorch7.data.augment import get_transforms
from minitorch7.data.geometry import (
    CORNERS,
    Dihedral,
    FlipLR,
    RandZoom,
    Rotate,
    SymmetricWarp,
    homography,
)
from minitorch7.data.lighting import Brightness, Contrast
from minitorch7.data.resample import MODES, sample
from minitorch7.data.transforms import Transform, rand_pad, vary, vary_both

N = 20_000  # draws in a test of a law


def pictures(n=4, c=3, h=9, w=12, dtype=np.uint8, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (n, c, h, w))
    return values.astype(np.uint8) if dtype == np.uint8 else (values / 255).astype(np.float32)


def smooth(n=2, h=60, w=80):
    """Waves long enough for blending neighbours to change little."""
    i, j = np.mgrid[:h, :w] / 12
    wave = np.sin(i + 0.3 * j) + np.cos(j - 0.2 * i)
    return np.tile(((wave + 2) / 4).astype(np.float32), (n, 1, 1, 1))


def uniform(values, low, high):
    """Kolmogorov and Smirnov's test: passed with probability 0.999 by draws from U(low, high)."""
    values = np.sort(np.asarray(values))
    law = (values - low) / (high - low)
    steps = np.arange(len(values) + 1) / len(values)
    distance = max(np.abs(law - steps[1:]).max(), np.abs(law - steps[:-1]).max())
    assert 0 <= law[0] and law[-1] <= 1
    assert distance < 1.95 / math.sqrt(len(values))


def draws(transform, n=N, shape=(3, 36, 48), seed=0):
    return transform.draw(np.random.default_rng(seed), n, shape)


# ----------------------------------------------------------------------------------------- sampling


@settings(max_examples=120, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
    dtype=st.sampled_from([np.uint8, np.float32]),
    mode=st.sampled_from(MODES),
    nearest=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_sampling_is_the_loops(size, dtype, mode, nearest, seed):
    rng = np.random.default_rng(seed)
    x = pictures(*size, dtype=dtype, seed=seed)
    n, _, h, w = size
    matrices = np.tile(np.eye(3), (n, 1, 1))  # from far inside the picture to far beyond its edge
    for transform in (SymmetricWarp((-0.3, 0.3)), RandZoom((0.3, 3)), Rotate((-180, 180))):
        matrices = transform.draw(rng, n, size[1:]) @ matrices
    y, expected = sample(x, matrices, mode, nearest), reference.sample(x, matrices, mode, nearest)
    assert y.dtype == dtype
    whole = 255 if dtype == np.uint8 else 1
    error = np.abs(y - expected) / whole
    if not nearest:
        assert error.max() <= (0.5 / 255 if dtype == np.uint8 else 0) + 2e-4
        return
    for k, i, j in np.ndindex(n, h, w):  # halfway between two pixels, either will do
        column, row = reference.place(matrices[k], i, j, h, w)
        ties = abs(column % 1 - 0.5), abs(row % 1 - 0.5)
        assert min(ties) < 1e-4 or error[k, :, i, j].max() < 1e-6


@pytest.mark.parametrize("mode", MODES)
def test_blocks_of_rows_meet(mode):
    x = pictures(1, 2, 83, 1021)  # 32 rows a block, and 19 in the last
    matrix = draws(Rotate(7), 1, x.shape[1:]) @ draws(SymmetricWarp(), 1, x.shape[1:])
    y = sample(x, matrix, mode)
    for i in (0, 31, 32, 63, 64, 82):
        for j in (0, 500, 1020):
            expected = reference.seen(x[0], matrix[0], i, j, mode)
            np.testing.assert_allclose(y[0, :, i, j], expected, atol=0.6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_identity_and_mirrorings_are_exact(dtype):
    x = pictures(3, dtype=dtype)
    matrices = np.stack([np.eye(3), np.diag([-1.0, 1, 1]), np.diag([-1.0, -1, 1])])
    y = sample(x, matrices)
    np.testing.assert_array_equal(y[0], x[0])
    np.testing.assert_array_equal(y[1], x[1, :, :, ::-1])
    np.testing.assert_array_equal(y[2], x[2, :, ::-1, ::-1])
    assert not np.shares_memory(x, y)


def test_dihedral_is_the_eight_symmetries_of_the_square():
    x = pictures(1, h=6, w=6)
    matrices = draws(Dihedral(), 64, x.shape[1:])
    found = sample(np.repeat(x, 64, 0), matrices)
    turns = [np.rot90(x[0], k, axes=(1, 2)) for k in range(4)]
    expected = {y.tobytes() for turn in turns for y in (turn, turn[:, :, ::-1])}
    assert {y.tobytes() for y in found} == expected and len(expected) == 8
    for k in range(64):  # what is done by views is what the matrix says
        np.testing.assert_allclose(
            found[k : k + 1], reference.sample(x, matrices[k : k + 1]), atol=1e-6
        )
    counts = np.unique(draws(Dihedral(), 8000, (3, 6, 6)), axis=0, return_counts=True)[1]
    assert len(counts) == 8
    assert ((counts - 1000) ** 2 / 1000).sum() < 24.3  # 7 degrees of freedom, probability 0.999


def test_dihedral_keeps_the_shape_of_what_is_not_square():
    x = pictures(1, h=6, w=7)
    found = sample(np.repeat(x, 64, 0), draws(Dihedral(), 64, x.shape[1:]))
    expected = [x[0], x[0, :, ::-1], x[0, :, :, ::-1], x[0, :, ::-1, ::-1]]
    assert {y.tobytes() for y in found} == {y.tobytes() for y in expected}


def test_at_the_horizon_and_behind_it_some_pixel_is_met():
    matrix = np.array([[[1.0, 0, 0], [0, 1, 0], [2, 0, 1]]])  # third values -1, 0, 1, 2, 3
    x = pictures(1, h=8, w=5, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = {mode: sample(x, matrix, mode) for mode in MODES}
    for mode, y in seen.items():
        assert x.min() <= y.min() + (mode == "zeros") and y.max() <= x.max()
        for i, j in np.ndindex(8, 3):  # before it, all is in order
            expected = reference.seen(x[0], matrix[0], i, j + 2, mode)
            np.testing.assert_allclose(y[0, :, i, j + 2], expected, atol=1e-5)
    assert not seen["zeros"][..., 0].any()  # behind it, the pixel is far outside


# ----------------------------------------------------------------------------------------- matrices


@pytest.mark.parametrize(("h", "w"), [(9, 12), (12, 9), (5, 5), (1, 4), (1, 1)])
def test_a_turn_is_rigid_in_pixels(h, w):
    matrix = draws(Rotate(33), 1, (3, h, w))[0]
    for i, j in np.ndindex(h, w):
        if h > 1 and w > 1:
            expected = reference.turned(i, j, 33, h, w)
            np.testing.assert_allclose(reference.place(matrix, i, j, h, w), expected, atol=1e-9)
        else:  # a line has nowhere to turn to but itself
            assert np.isfinite(reference.place(matrix, i, j, h, w)).all()


def test_positive_degrees_turn_anticlockwise():
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 2, 4] = 1  # on the right
    y = vary(x, [Rotate(90)], np.random.default_rng(0))
    assert y[0, 0, 0, 2] == pytest.approx(1, abs=1e-5)  # now on top
    assert y.sum() == pytest.approx(1, abs=1e-4)


def test_the_focus_of_a_zoom_stays():
    zooms = draws(RandZoom((1.5, 3)), 50)
    for matrix in zooms:
        share, focus = matrix[0, 0], matrix[:2, 2] / (1 - matrix[0, 0])
        assert matrix[1, 1] == share and np.abs(focus).max() <= 1
        np.testing.assert_allclose(reference.through(matrix, *focus), focus, atol=1e-12)
        for x, y in CORNERS:  # all that is seen is inside
            assert np.abs(reference.through(matrix, x, y)).max() <= 1 + 1e-12


def test_a_warp_takes_the_moved_corners_to_the_corners():
    matrices = draws(SymmetricWarp((-0.3, 0.3)), 50)
    rng = np.random.default_rng(0)
    rng.random(50)  # whether
    magnitudes = rng.uniform(-0.3, 0.3, (4, 50))
    for matrix, four in zip(matrices, magnitudes.T, strict=True):
        for moved, corner in zip(reference.moved_corners(*four), CORNERS, strict=True):
            np.testing.assert_allclose(reference.through(matrix, *moved), corner, atol=1e-9)


def test_a_warp_with_all_corners_alike_is_an_enlargement():
    np.testing.assert_allclose(draws(SymmetricWarp(0.25), 1)[0], np.diag([0.8, 0.8, 1]), atol=1e-12)


def test_no_warp_sees_its_horizon():
    most = 0.366
    ends = np.array(np.meshgrid(*[[-most, most]] * 4)).reshape(4, -1).T
    for four in ends:
        start = np.array(reference.moved_corners(*four))[None]
        third = homography(start, CORNERS)[0, 2]
        assert 1 - abs(third[0]) - abs(third[1]) > 0


# ------------------------------------------------------------------------------------- one sampling


@pytest.mark.parametrize("mode", MODES)
def test_a_list_is_sampled_once_through_the_product(mode):
    x = pictures(5)
    tfms = [FlipLR(mode=mode), Rotate(mode=mode), RandZoom((1, 2), mode=mode)]
    tfms.append(SymmetricWarp(mode=mode))
    y = vary(x, tfms, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    flip, turn, zoom, warp = (t.draw(rng, 5, x.shape[1:]) for t in tfms)
    products = np.stack([f @ r @ z @ m for f, r, z, m in zip(flip, turn, zoom, warp, strict=True)])
    assert np.abs(y - reference.sample(x, products, mode)).max() <= 0.51
    # coordinates go the other way: from the output through warp, zoom, turn and flip
    corner = reference.through(products[0], 1.0, -1.0)
    point = 1.0, -1.0
    for matrix in (warp[0], zoom[0], turn[0], flip[0]):
        point = reference.through(matrix, *point)
    np.testing.assert_allclose(corner, point, atol=1e-12)


def test_at_once_is_one_after_another_but_for_the_blur():
    x = smooth()
    tfms = [Rotate((5, 10)), RandZoom((1.3, 1.5)), SymmetricWarp((0.1, 0.2))]
    together = vary(x, tfms, np.random.default_rng(0))
    rng, alone = np.random.default_rng(0), x
    for transform in tfms:
        alone = transform.apply(alone, transform.draw(rng, len(x), x.shape[1:]))
    middle = np.s_[:, :, 15:45, 20:60]  # where no step has met the edge
    assert np.abs(together - alone)[middle].max() < 0.01
    assert np.abs(together - x)[middle].max() > 0.1


def test_only_neighbours_with_the_same_edge_are_put_together():
    x = pictures(2)
    tfms = [Rotate(20, mode="zeros"), RandZoom(1.5, mode="border")]
    rng = np.random.default_rng(0)
    expected = x
    for transform in tfms:
        expected = transform.apply(expected, transform.draw(rng, 2, x.shape[1:]))
    np.testing.assert_array_equal(vary(x, tfms, np.random.default_rng(0)), expected)


# ----------------------------------------------------------------------------------- both together


def test_masks_move_with_one_hot_pictures():
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 5, (4, 1, 6, 8)).astype(np.uint8)
    masks = blocks.repeat(6, 2).repeat(6, 3)  # (4, 1, 36, 48)
    one_hot = (masks == np.arange(5)[:, None, None]).astype(np.float32)
    tfms, _ = get_transforms(max_zoom=1.5, max_lighting=0, flip_vert=True)
    seen, moved = vary_both(one_hot, masks, tfms, np.random.default_rng(1), mask=True)
    assert moved.dtype == np.uint8 and not (moved == masks).all()
    pure = seen.max(1) > 0.999  # all four neighbours are of one class
    assert pure.mean() > 0.6
    np.testing.assert_array_equal(seen.argmax(1)[pure], moved[:, 0][pure])
    stream = np.random.default_rng(1)
    product = np.tile(np.eye(3), (4, 1, 1))
    for transform in tfms:
        product = product @ transform.draw(stream, 4, masks.shape[1:])
    near = sample(one_hot, product, nearest=True)
    np.testing.assert_array_equal(near.argmax(1), moved[:, 0])
    np.testing.assert_array_equal(near.sum(1), 1)


def test_pictures_are_what_vary_alone_makes_of_them():
    x, masks = pictures(6), pictures(6, c=1)
    tfms = get_transforms(xtra_tfms=rand_pad(2, 8))[0]
    alone = vary(x, tfms, np.random.default_rng(5))
    both, _ = vary_both(x, masks, tfms, np.random.default_rng(5), mask=True)
    np.testing.assert_array_equal(both, alone)
    again, twin = vary_both(x, x.copy(), tfms, np.random.default_rng(5), mask=False)
    np.testing.assert_array_equal(again, alone)
    np.testing.assert_array_equal(twin, alone)


def test_light_changes_pictures_and_no_masks():
    x, masks = pictures(2), pictures(2, c=1)
    y, same = vary_both(x, masks, [Brightness(0.8)], np.random.default_rng(0), mask=True)
    np.testing.assert_array_equal(same, masks)
    assert (y >= x).all() and (y > x).mean() > 0.9


# -------------------------------------------------------------------------------------------- light


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_light_is_the_formula(dtype):
    x = pictures(2, 1, 16, 16, dtype)
    x[0, 0, 0, :2] = 0, (255 if dtype == np.uint8 else 1)
    y = vary(x, [Brightness(0.6), Contrast(0.8)], np.random.default_rng(0))
    unit = x / 255 if dtype == np.uint8 else x
    expected = reference.light(unit, change=0.6, scale=0.8)
    if dtype == np.uint8:
        np.testing.assert_array_equal(y, np.rint(255 * expected))
    else:
        np.testing.assert_allclose(y, expected, atol=2e-6)
    assert y.dtype == dtype


def test_light_is_computed_once_from_exact_logits():
    x = pictures(1, h=40, w=40)
    there_and_back = [Brightness(0.99), Brightness(0.01), Contrast(0.1), Contrast(10.0)]
    y = vary(x, there_and_back, np.random.default_rng(0))
    np.testing.assert_array_equal(y, x)  # two roundings to uint8 would have lost most of it


def test_no_light_is_an_exact_copy_and_much_of_it_no_overflow():
    x = pictures(2, dtype=np.float32)
    tfms = [Brightness(0.5), Contrast(1.0)]
    np.testing.assert_array_equal(vary(x, tfms, np.random.default_rng(0)), x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = vary(x, [Contrast(1e6)], np.random.default_rng(0))
    np.testing.assert_array_equal(y, x > 0.5)


# --------------------------------------------------------------------------------------------- laws


def test_laws_of_the_draws():
    angles = np.arctan2(draws(Rotate(), shape=(3, 9, 9))[:, 1, 0], draws(Rotate())[:, 0, 0])
    uniform(np.rad2deg(angles), -10, 10)
    zooms = draws(RandZoom((1.0, 2.0)))
    share = zooms[:, 0, 0]
    uniform(1 / share, 1, 2)
    for axis in (0, 1):
        uniform(zooms[:, axis, 2] / (1 - share), -1, 1)
    x_focus, y_focus = (zooms[:, :2, 2] / (1 - share)[:, None]).T
    assert abs(np.corrcoef([share, x_focus, y_focus])[np.triu_indices(3, 1)]).max() < 4 / N**0.5
    shift = draws(Brightness())[:, 1]
    uniform(1 / (1 + np.exp(-shift)), 0.4, 0.6)
    uniform(np.log(draws(Contrast())[:, 0]), math.log(0.8), math.log(1.25))


def test_law_of_the_warp():
    inverse = np.linalg.inv(draws(SymmetricWarp(), 4000))
    corners = np.concatenate([CORNERS, np.ones((4, 1))], 1) @ inverse.swapaxes(1, 2)
    x, y = np.moveaxis(corners[:, :, :2] / corners[:, :, 2:], 2, 0)  # (4000, 4) each
    four = np.stack([y[:, 3], y[:, 1], x[:, 3], x[:, 2]]) - 1  # right, left, lower, upper
    for magnitude in four:
        uniform(magnitude, -0.2, 0.2)
    assert abs(np.corrcoef(four)[np.triu_indices(4, 1)]).max() < 4 / 4000**0.5


@pytest.mark.parametrize("kind", [FlipLR, Dihedral, Rotate, RandZoom, SymmetricWarp])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_p_of_the_pictures_are_moved(kind, p):
    n = 4000
    moved = (draws(kind(p=p), n) != np.eye(3)).any(axis=(1, 2))
    p = p * 3 / 4 if kind is Dihedral else p  # of a picture that is not square, 4 ways; one stays
    assert abs(moved.mean() - p) <= 4 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("kind", [Brightness, Contrast])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_p_of_the_pictures_are_lit(kind, p):
    lit = (draws(kind(p=p), 4000) != [1, 0]).any(axis=1)
    assert abs(lit.mean() - p) <= 4 * math.sqrt(p * (1 - p) / 4000)


def test_each_picture_has_chances_of_its_own():
    x = np.repeat(pictures(1), 40, 0)
    made = {y.tobytes() for y in vary(x, get_transforms()[0], np.random.default_rng(0))}
    assert len(made) > 35
    turned = draws(Rotate(p=0.5), 4000) != np.eye(3)
    zoomed = draws(RandZoom(p=0.5), 4000, seed=1) != np.eye(3)
    both = turned.any((1, 2)) & zoomed.any((1, 2))
    assert abs(both.mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)


def test_how_much_is_drawn_depends_on_the_number_of_pictures_alone():
    after = set()
    for seed, p, size in ((0, 0.0, (9, 12)), (1, 1.0, (9, 12)), (2, 0.5, (10, 10))):
        rng = np.random.default_rng(7)
        tfms = get_transforms(flip_vert=True, p_affine=p, p_lighting=p)[0]
        vary(pictures(5, 3, *size, seed=seed), tfms, rng)
        after.add(rng.integers(2**62))
    assert len(after) == 1


# ----------------------------------------------------------------------------------- get_transforms


def test_the_lessons_list():
    train, valid = get_transforms()
    assert valid == []
    assert list(map(repr, train)) == [
        "FlipLR(p=0.5)",
        "Rotate(degrees=(-10.0, 10.0), p=0.75)",
        "RandZoom(scale=(1.0, 1.1), p=0.75)",
        "SymmetricWarp(magnitude=(-0.2, 0.2), p=0.75)",
        "Brightness(change=(0.4, 0.6), p=0.75)",
        "Contrast(scale=(0.8, 1.25), p=0.75)",
    ]


def test_arguments_leave_out_and_add():
    off = dict(do_flip=False, max_rotate=0, max_zoom=1, max_lighting=0, max_warp=0)
    assert get_transforms(**off) == ([], [])
    pad, crop = rand_pad(2, 9)
    assert get_transforms(**off, xtra_tfms=[crop, pad])[0] == [pad, crop]
    assert get_transforms(**off, xtra_tfms=crop)[0] == [crop]
    train, _ = get_transforms(flip_vert=True, max_zoom=2.0, p_affine=1, p_lighting=0.5)
    assert type(train[0]) is Dihedral and train[0].p == 1
    assert train[2].scale == (1.0, 2.0) and train[2].p == 1 and train[4].p == 0.5
    assert get_transforms(do_flip=False, flip_vert=True)[0][0].degrees == (-10.0, 10.0)


def test_running_order_is_the_lists():
    for argument in (False, True):
        train, _ = get_transforms(flip_vert=argument)
        assert sorted(train, key=lambda t: t.order) == train


def test_in_the_data_block():
    pixels = pictures(6, 1, 28, 28)[:, 0]
    sets = ImageList.from_arrays({"training": (pixels, np.arange(6) % 2)}).split_none()
    data = sets.label_from_folder().transform(get_transforms()).databunch(bs=3)
    (first, _), (second, _) = data.train_dl.batch(0, 0), data.train_dl.batch(1, 0)
    assert first.shape == (3, 1, 28, 28) and first.numpy().dtype == np.float32
    assert 0 <= first.numpy().min() and first.numpy().max() <= 1
    assert not (first.numpy() == second.numpy()).all()
    again, _ = data.train_dl.batch(0, 0)
    np.testing.assert_array_equal(again.numpy(), first.numpy())


# ------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FlipLR(p=1.5), "FlipLR: p must be a finite number from 0 to 1, got 1.5"),
        (lambda: Rotate(p="often"), "Rotate: p must be a finite number from 0 to 1, got 'often'"),
        (lambda: Rotate((10, -10)), r"Rotate: degrees must be a pair \(low, high\), the lower"),
        (lambda: Rotate((1, 2, 3)), r"Rotate: degrees must be one number or a pair \(low, high\)"),
        (lambda: Rotate(math.nan), "Rotate: degrees must be a finite number, got nan"),
        (lambda: RandZoom(0), "RandZoom: scale must be a finite number from 0.01 to inf, got 0"),
        (lambda: SymmetricWarp(0.5), "magnitude must be a finite number from -0.366 to 0.366, got"),
        (lambda: Rotate(mode="reflect"), "Rotate: mode must be one of reflection, zeros, border,"),
        (
            lambda: Brightness((0, 0.5)),
            "Brightness: change must be a finite number from 1e-07 to 1",
        ),
        (lambda: Contrast(-1), "Contrast: scale must be a finite number from 1e-07 to inf, got -1"),
        (lambda: get_transforms(max_zoom=0.9), "get_transforms: max_zoom must be .* from 1 to inf"),
        (lambda: get_transforms(max_rotate=(0, 5)), r"max_rotate must be a finite .*got \(0, 5\)"),
        (lambda: get_transforms(max_lighting=1), "max_lighting must be .* from 0 to 0.99, got 1"),
        (lambda: get_transforms(p_affine=-1), "p_affine must be .* from 0 to 1, got -1"),
        (lambda: get_transforms(xtra_tfms=["flip"]), "must be Transform objects, got 'flip'"),
        (lambda: sample(np.zeros((1, 3, 4, 4)), np.eye(3)[None]), "must be uint8 or float32"),
        (lambda: sample(pictures(2), np.eye(3)[None]), "2 pictures need as many matrices"),
        (lambda: sample(pictures(1), np.full((1, 3, 3), math.nan)), "matrices must be finite"),
        (lambda: sample(pictures(1), np.eye(3)[None], "wrap"), "sample: mode must be one of"),
        (lambda: sample(pictures(1, h=0), np.eye(3)[None]), "of a pixel or more, got uint8 of"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_bad_targets():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"pictures of shape \(4, 3, 9, 12\) and targets of shape"):
        vary_both(pictures(), pictures(h=8), [], rng, mask=False)
    with pytest.raises(DataError, match="targets must be .* with the pictures' n, H and W"):
        vary_both(pictures(), pictures(3, c=1), [], rng, mask=True)
    with pytest.raises(DataError, match=r"uint8 \(n, 1, H, W\), got float32 .*mask=False"):
        vary_both(pictures(), pictures(c=1, dtype=np.float32), [], rng, mask=True)

    class Invert(Transform):
        def apply(self, batch, params):
            return 255 - batch

    with pytest.raises(DataError, match="does not say what it does to masks; give Invert a method"):
        vary_both(pictures(), pictures(c=1), [Invert()], rng, mask=True)
