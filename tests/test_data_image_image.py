"""Pictures as labels, and noise as inputs: pairs that meet, one scale for both, no lost chances."""

import numpy as np
import pytest
from PIL import Image

from minitorch7.data import (
    DataError,
    FlipLR,
    GANItemList,
    ImageImageList,
    ImageList,
    RandomCrop,
    Rotate,
    imagenet_stats,
    noop,
)

HALF = ([0.5] * 3, [0.5] * 3)
AS_HELD = {  # how the camera held so, by EXIF's number, stores the scene (H, W, 3)
    2: np.fliplr,
    3: lambda scene: np.rot90(scene, 2),
    4: np.flipud,
    5: lambda scene: scene.transpose(1, 0, 2),
    6: np.rot90,  # counterclockwise
    7: lambda scene: np.rot90(scene, 2).transpose(1, 0, 2),
    8: lambda scene: np.rot90(scene, -1),
}


@pytest.fixture
def folders(tmp_path):
    """Smooth pictures of odd shapes and their quarter-size copies: (originals, damaged)."""
    originals, damaged = tmp_path / "originals", tmp_path / "damaged"
    originals.mkdir()
    damaged.mkdir()
    rng = np.random.default_rng(0)
    for i, (h, w) in enumerate([(96, 127), (130, 96), (96, 96), (101, 150), (97, 200), (150, 111)]):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        whole = small.resize((w, h), Image.Resampling.BICUBIC)
        whole.save(originals / f"{i}.png")
        whole.resize((w // 2, h // 2), Image.Resampling.BOX).save(damaged / f"{i}.png")
    return originals, damaged


def labelled(folders, valid_pct=0.0):
    originals, damaged = folders
    lists = ImageImageList.from_folder(damaged).split_by_rand_pct(valid_pct, seed=1)
    return lists.label_from_func(lambda path: originals / path.name)


def test_both_are_made_one_size_and_meet(folders):
    data = labelled(folders).transform(size=64).databunch(bs=6)
    x, y = (t.numpy() for t in data.one_batch())
    assert x.shape == y.shape == (6, 3, 64, 64) and x.dtype == y.dtype == np.float32
    shifted = [np.abs(np.roll(x, d, 3) - y)[..., 8:-8].mean() for d in (-1, 0, 1)]
    assert shifted[1] < 0.03 and shifted[1] < 0.6 * min(shifted[0], shifted[2])


def test_the_original_decides_the_size_before_the_crop(folders):
    sets = labelled(folders).transform(size=64)
    wide = [i for i, item in enumerate(sets.train.x.items) if item.name == "4.png"]
    row = sets.train.x.rows[wide]
    kept = sets.train.x.pixels._picture(int(row[0]))
    target = sets.train.y.pixels._picture(int(sets.train.y.rows[wide][0]))
    assert kept.shape == target.shape == (3, 64, round(200 * 64 / 97))
    # by itself the 48x100 copy would become 64x133, not 64x132
    assert round(100 * 64 / 48) == 133 != kept.shape[2]


@pytest.mark.parametrize("tfms", [[RandomCrop(40)], [FlipLR(p=0.5)], [Rotate((-30, 30))]])
def test_the_same_draws_move_both(folders, tfms):
    originals, _ = folders
    lists = ImageImageList.from_folder(originals).split_none().label_from_func(noop)
    data = lists.transform((tfms, []), size=(64, 64), tfm_y=True).databunch(bs=6)
    x, y = (t.numpy() for t in data.one_batch())
    assert np.array_equal(x, y)
    still = lists.transform(None).databunch(bs=6).fix_dl.batch(0, 0)[0].numpy()
    seen = {picture.tobytes() for picture in x}
    assert len(seen - {picture.tobytes() for picture in still}) > 1  # some were moved


def test_the_original_may_keep_its_light_but_not_its_place(folders):
    from minitorch7.data import Brightness

    lists = labelled(folders)
    with pytest.raises(DataError, match="tfm_y=True to move both"):
        lists.transform(([FlipLR()], []), size=64)
    data = lists.transform(([Brightness((0.2, 0.3))], []), size=64).databunch(bs=6)
    x, y = (t.numpy() for t in data.one_batch())
    assert x.mean() < 0.7 * y.mean()


def test_one_scale_and_the_way_back(folders):
    plain = labelled(folders).transform(size=64).databunch(bs=6)
    data = labelled(folders).transform(size=64).databunch(bs=6)
    data.normalize(imagenet_stats, do_y=True)
    mean, std = (np.float32(part)[:, None, None] for part in imagenet_stats)
    for (raw, scaled), undo in zip(
        zip(plain.one_batch(), data.one_batch(), strict=True),
        (data.denorm, data.denorm_y),
        strict=True,
    ):
        assert np.allclose(scaled.numpy(), (raw.numpy() - mean) / std, atol=1e-5)
        assert np.allclose(undo(scaled).numpy(), raw.numpy(), atol=1e-5)
    inputs_only = labelled(folders).transform(size=64).databunch(bs=6).normalize(imagenet_stats)
    y = inputs_only.one_batch()[1]
    assert np.array_equal(y.numpy(), plain.one_batch()[1].numpy())
    assert inputs_only.denorm_y(y) is y


def test_channels_loss_and_items(folders):
    originals, _ = folders
    data = labelled(folders, 0.34).transform(size=64).databunch(bs=2)
    assert data.c == 3 and type(data.loss_func).__name__ == "MSELossFlat"
    assert data.classes == [] and len(data.valid_ds) == 2
    for part in (data.train_ds, data.valid_ds):
        assert [p.name for p in part.x.items] == [p.name for p in part.y.items]
        assert all(p.parent == originals for p in part.y.items)
    picture, wanted = data.valid_ds[0]
    assert picture.shape == wanted.shape == (3, 64, 64)
    assert wanted.dtype == np.float32 and 0 <= wanted.min() and 0.3 < wanted.max() <= 1


def test_targets_that_are_not_there_are_named(folders):
    originals, damaged = folders
    (originals / "3.png").unlink()
    with pytest.raises(DataError, match=r"1 of 6 targets are not there: .*3\.png.*damaged"):
        labelled(folders)
    lists = ImageImageList.from_folder(damaged).split_none()
    with pytest.raises(DataError, match="must be the path of a picture, got 7"):
        lists.label_from_func(lambda path: 7)
    with pytest.raises(DataError, match="no classes"):
        lists.label_from_func(noop, classes=["a"])


def test_grey_inputs_and_coloured_targets_share_no_scale(folders):
    originals, damaged = folders
    lists = ImageImageList.from_folder(damaged, convert_mode="L").split_none()
    data = lists.label_from_func(lambda path: originals / path.name).transform(size=64).databunch(2)
    assert data.c == 1  # targets are read as the inputs are
    with pytest.raises(DataError, match="pictures have 1 channels"):
        data.normalize(imagenet_stats, do_y=True)


def test_the_figure_of_a_batch(folders):
    data = labelled(folders).transform(size=64).databunch(bs=4).normalize(imagenet_stats, do_y=True)
    figure = data.show_batch(rows=3)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:2] == ["Input", "Target"] and len(figure.axes) == 6


# ------------------------------------------------------------------ inputs and targets of any kind


def batch_of(folders, convert_mode="RGB", **kwargs):
    """The first batch, in the order of the items, as arrays on the scale of 0..255."""
    originals, damaged = folders
    lists = ImageImageList.from_folder(damaged, convert_mode=convert_mode).split_none()
    sets = lists.label_from_func(lambda path: originals / path.name).transform(**kwargs)
    return [255 * t.numpy() for t in sets.databunch(bs=6).fix_dl.batch(0, 0)]


@pytest.mark.parametrize("turned", ["originals", "damaged"])
def test_a_turned_photo_meets_its_upright_pair(folders, tmp_path, turned):
    """Stored as a camera held in each way stores it, with the tag that says so."""
    expected = batch_of(folders, size=64)
    for number, orientation in enumerate([6, 8, 2, 5, 7, 3]):
        file = tmp_path / turned / f"{number}.png"
        with Image.open(file) as image:
            stored = np.ascontiguousarray(AS_HELD[orientation](np.asarray(image)))
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(file, exif=exif)
    for got, wanted in zip(batch_of(folders, size=64), expected, strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_pictures_are_laid_over_white(folders, mode):
    originals, damaged = folders
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (6, 40, 48, 4))
    for number, picture in enumerate(pixels):
        for folder in (originals, damaged):
            Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number}.png")
    colour, alpha = pixels[..., :3], pixels[..., 3:] / 255
    expected = alpha * colour + (1 - alpha) * 255
    if mode == "L":
        expected = expected @ [[0.299], [0.587], [0.114]]
    for got in batch_of(folders, mode):
        assert np.abs(got - expected.transpose(0, 3, 1, 2)).max() <= 1.5
    for got in batch_of(folders, "RGBA"):  # its opacity is a channel like the others
        assert np.abs(got - pixels.transpose(0, 3, 1, 2)).max() < 1e-3


def test_greys_of_sixteen_bits_keep_their_range(folders):
    originals, damaged = folders
    ramp = np.linspace(0, 65535, 64 * 48).reshape(64, 48)
    for number in range(6):
        Image.fromarray(ramp.astype(np.uint16)).save(originals / f"{number}.png")
        Image.fromarray((ramp / 257).round().astype(np.uint8)).save(damaged / f"{number}.png")
    for mode in ("L", "RGB"):
        for got in batch_of(folders, mode):
            assert np.abs(got - ramp / 257).max() <= 1.01


# ------------------------------------------------------------------------------------------- noise


def noisy(folders, noise_sz=7, **kwargs):
    lists = GANItemList.from_folder(folders[0], noise_sz=noise_sz).split_none()
    lists = lists.label_from_func(noop).transform(size=32, tfm_y=True, **kwargs)
    return lists.databunch(bs=4).normalize(HALF, do_x=False, do_y=True)


def test_noise_in_and_pictures_out(folders):
    data = noisy(folders)
    x, y = (t.numpy() for t in data.one_batch())
    assert x.shape == (4, 7, 1, 1) and y.shape == (4, 3, 32, 32)
    assert x.dtype == y.dtype == np.float32 and -1 <= y.min() < -0.2 and 0.2 < y.max() <= 1
    assert data.c == 3 and data.empty_val and data.denorm(x) is x
    assert np.allclose(data.denorm_y(y), y / 2 + 0.5)


def test_noise_is_normal_and_never_the_same(folders):
    loader = noisy(folders, noise_sz=500).train_dl
    drawn = np.concatenate([loader.arrays(epoch, 0)[0] for epoch in range(20)])
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.02
    assert len({row.tobytes() for row in drawn}) == 80
    again = noisy(folders, noise_sz=500).train_dl.arrays(3, 0)[0]
    assert np.array_equal(again, loader.arrays(3, 0)[0])


def test_the_places_of_the_crops_are_drawn(folders):
    loader = noisy(folders).train_dl
    seen = {
        loader.arrays(epoch, 0)[1][list(loader.order(epoch)[:4]).index(4)].tobytes()
        for epoch in range(12)
        if 4 in loader.order(epoch)[:4]
    }
    assert len(seen) > 3


def test_pictures_of_any_list(folders):
    grey = np.arange(5 * 28 * 28, dtype=np.uint8).reshape(5, 28, 28)
    digits = ImageList.from_arrays({"training": (grey, np.arange(5))})
    lists = GANItemList.from_pictures(digits[[3, 1]], noise_sz=3).split_none().label_from_func(noop)
    data = lists.databunch(bs=2).normalize(([0.5], [0.5]), do_x=False, do_y=True)
    x, y = data.fix_dl.batch(0, 0)
    assert x.shape == (2, 3, 1, 1)
    assert np.allclose(y.numpy()[:, 0], grey[[3, 1]] / 127.5 - 1, atol=1e-6)
    with pytest.raises(DataError, match=r"label_from_func\(noop\)"):
        GANItemList.from_pictures(digits).split_none().label_from_folder()
    with pytest.raises(DataError, match="noise_sz must be a whole number of at least 1, got 0"):
        GANItemList.from_pictures(digits, noise_sz=0)


def test_batches_made_of_noise_are_shown_as_their_targets(folders):
    figure = noisy(folders).show_batch(rows=2)
    assert len(figure.axes) == 4


def test_noise_is_never_normalised(folders):
    lists = GANItemList.from_folder(folders[0]).split_none().label_from_func(noop)
    data = lists.transform(size=32).databunch(bs=4)
    for stats in (None, HALF):
        with pytest.raises(DataError, match="inputs are noise.*pass do_x=False, do_y=True"):
            data.normalize(stats)
        with pytest.raises(DataError, match="inputs are noise"):
            data.normalize(stats, do_y=True)
    assert data.stats is None and data.normalize(HALF, do_x=False, do_y=True).stats is not None


def test_noise_has_no_test_set(folders):
    lists = GANItemList.from_folder(folders[0]).split_none().label_from_func(noop)
    for items in (sorted(folders[1].iterdir()), ImageList.from_folder(folders[1])):
        with pytest.raises(DataError, match="add_test: the inputs of a GANItemList are noise"):
            lists.add_test(items)
    assert lists.test is None


@pytest.mark.parametrize("wrong", [None, 3, "pictures"])
def test_chains_want_lists_and_functions(folders, wrong):
    with pytest.raises(
        TypeError, match="from_pictures: pictures must be an ImageList.*from_folder"
    ):
        GANItemList.from_pictures(wrong)
    with pytest.raises(TypeError, match="label_from_func: func must be a function"):
        ImageImageList.from_folder(folders[0]).split_none().label_from_func(wrong)
