"""Pictures of a training: one an epoch, whatever interrupts it; films and rows of them."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from test_learner_toy import ToyLoader, same_bits, weights_of

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import DataError
from minitorch7.learner import Callback, Learner
from minitorch7.vision.progress_pictures import (
    GAP,
    ProgressPictures,
    before_after,
    gif_of,
    grid_of,
    pictures_in,
    row_of,
)

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((4, 2, 1, 1)).astype(np.float32)


class NoiseData:
    """Noise (2, 1, 1) in, pictures (1, 8, 8) on the scale [-1, 1] out; no validation set."""

    loss_func = staticmethod(lambda pred, target: ((pred - target) * (pred - target)).mean())
    valid_dl = None

    def __init__(self):
        rng = np.random.default_rng(1)
        x = rng.standard_normal((24, 2, 1, 1)).astype(np.float32)
        y = rng.uniform(-1, 1, (24, 1, 8, 8)).astype(np.float32)
        self.train_dl = ToyLoader(x, y, 8, shuffle=True)

    def denorm_y(self, y):
        return (y + 1) / 2


class Dies(Exception):
    """Stands for the death of the process."""


class At(Callback):
    """Raises at an event of an epoch."""

    def __init__(self, event, epoch, order=0):
        self.epoch, self.order = epoch, order
        setattr(self, f"on_{event}", self.act)

    def act(self):
        if self.learn.epoch == self.epoch:
            raise Dies


def generator():
    """With all that a look could disturb: dropout, running statistics, power iteration."""
    return nn.Sequential(
        nn.ConvTranspose2d(2, 4, 4),
        nn.BatchNorm2d(4),
        nn.Dropout(0.3),
        nn.spectral_norm(nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)),
        nn.Tanh(),
    )


def learner(tmp_path, **options):
    mt.manual_seed(0)
    return Learner(NoiseData(), generator(), path=tmp_path, progress=False, **options)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def numbered(*numbers):
    return [f"epoch_{number:03d}.png" for number in numbers]


# ----------------------------------------------------------------------------------- after an epoch


def test_a_picture_before_and_after_every_epoch(tmp_path):
    learn = learner(tmp_path)
    learn.fit(2, 0.01, callbacks=[ProgressPictures(NOISE, tmp_path / "p")])
    assert names(tmp_path / "p") == numbered(0, 1, 2)
    with nn.evaluating(learn.model), mt.no_grad():
        made = np.clip((learn.model(mt.tensor(NOISE)).numpy() + 1) / 2, 0, 1)
    last = np.asarray(Image.open(tmp_path / "p" / "epoch_002.png"))
    assert last.shape == (2 * 64 + GAP, 2 * 64 + GAP)  # a square of pictures, 8 times as large
    second = last[:64, 64 + GAP :]
    np.testing.assert_array_equal(second[::8, ::8], np.rint(255 * made[1, 0]))
    np.testing.assert_array_equal(second, second[::8, ::8].repeat(8, 0).repeat(8, 1))
    assert (last[64 : 64 + GAP] == 255).all()
    assert len(set(hashes(tmp_path / "p").values())) == 3


@pytest.mark.parametrize("train_mode", [False, True])
def test_the_training_does_not_notice(tmp_path, train_mode):
    alone = learner(tmp_path)
    alone.fit(2, 0.01)
    watched = learner(tmp_path)
    pictures = ProgressPictures(NOISE, tmp_path / "p", train_mode=train_mode)
    watched.fit(2, 0.01, callbacks=[pictures])
    assert same_bits(weights_of(alone), weights_of(watched))
    assert all(m.training for m in watched.model.modules())


def test_train_mode_uses_the_statistics_of_the_batch(tmp_path):
    for mode in (False, True):
        learn = learner(tmp_path)
        learn.model[2].p = 0  # no chance in it
        pictures = ProgressPictures(NOISE, tmp_path / str(mode), train_mode=mode)
        pictures.learn = learn
        made = pictures.pictures()
        with mt.no_grad():
            expected = (learn.model.train(mode)(mt.tensor(NOISE)).numpy() + 1) / 2
        np.testing.assert_allclose(made, expected, atol=1e-6)


def test_the_generator_of_two_networks_and_another_scale(tmp_path):
    class Both(nn.Module):
        def __init__(self):
            self.generator, self.critic = generator(), nn.Linear(2, 1)

        def forward(self, x):
            return self.generator(x)

    mt.manual_seed(0)
    learn = Learner(NoiseData(), Both(), progress=False)
    pictures = ProgressPictures(mt.tensor(NOISE), tmp_path / "p", rows=1, denorm=lambda y: 0 * y)
    learn.model.forward = None  # a critic's turn: the whole is not what makes pictures
    pictures.learn, pictures.count = learn, 0
    pictures.draw()
    page = np.asarray(Image.open(tmp_path / "p" / "epoch_000.png"))
    assert page.shape == (64, 4 * 64 + 3 * GAP) and set(np.unique(page)) == {0, 255}


def test_on_a_device_too(backend, tmp_path):
    learn = learner(tmp_path)
    learn.fit(1, 0.01, callbacks=[ProgressPictures(learn.data.train_dl.x[:4], tmp_path / "p")])
    assert names(tmp_path / "p") == numbered(0, 1)


# -------------------------------------------------------------------------------- numbers go on


def test_later_fits_and_later_trainings_go_on_counting(tmp_path):
    folder = tmp_path / "p"
    learn, pictures = learner(tmp_path), ProgressPictures(NOISE, folder)
    learn.fit(2, 0.01, callbacks=[pictures])
    with pytest.raises(Dies):  # stopped in its first epoch: no number is left out
        learn.fit(3, 0.01, callbacks=[pictures, At("batch_end", 0)])
    learn.fit(1, 0.01, callbacks=[pictures])
    assert names(folder) == numbered(0, 1, 2, 3)
    learner(tmp_path).fit(1, 0.01, callbacks=[ProgressPictures(NOISE, folder)])
    assert names(folder) == numbered(0, 1, 2, 3, 4)
    (folder / "epoch_mine.png").touch()
    learner(tmp_path).fit(1, 0.01, callbacks=[ProgressPictures(NOISE, folder, restart=True)])
    assert names(folder) == [*numbered(0, 1), "epoch_mine.png"]


@pytest.mark.parametrize(
    ("event", "epoch", "order"),
    [
        ("batch_end", 0, 0),
        ("batch_end", 1, 0),
        ("epoch_end", 1, 10),  # before the picture
        ("epoch_end", 1, 50),  # after it, before the checkpoint
        ("epoch_begin", 2, 0),
    ],
)
def test_a_resumed_training_leaves_the_same_pictures(tmp_path, event, epoch, order):
    def train(folder, *others):
        learn = learner(folder)
        pictures = ProgressPictures(NOISE, folder / "p")
        learn.fit(3, 0.01, checkpoint="c", checkpoint_every=2, callbacks=[pictures, *others])
        learn.fit(1, 0.01, checkpoint="d", callbacks=[pictures])
        return hashes(folder / "p")

    expected = train(tmp_path / "whole")
    assert sorted(expected) == numbered(0, 1, 2, 3, 4)
    with pytest.raises(Dies):
        train(tmp_path / "again", At(event, epoch, order))
    assert train(tmp_path / "again") == expected
    assert train(tmp_path / "again") == expected  # finished: read from the checkpoints


def test_a_lost_picture_is_made_again_only_of_the_same_weights(tmp_path):
    def train(*others):
        callbacks = [ProgressPictures(NOISE, tmp_path / "p"), *others]
        learner(tmp_path).fit(3, 0.01, checkpoint="c", checkpoint_every=1, callbacks=callbacks)

    with pytest.raises(Dies):
        train(At("batch_end", 1, order=200))
    (tmp_path / "p" / "epoch_001.png").unlink()
    train()
    assert names(tmp_path / "p") == numbered(0, 2, 3)
    (tmp_path / "p" / "epoch_003.png").unlink()
    train()
    assert names(tmp_path / "p") == numbered(0, 2, 3)


def test_a_shorter_repetition_removes_what_came_later(tmp_path):
    def train(epochs, **options):
        pictures = ProgressPictures(NOISE, tmp_path / "p")
        learn = learner(tmp_path)
        learn.fit(1, 0.01, checkpoint="c", callbacks=[pictures])
        learn.fit(epochs, 0.01, checkpoint="d", callbacks=[pictures], **options)

    train(3)
    assert names(tmp_path / "p") == numbered(0, 1, 2, 3, 4)
    train(1, restart=True)
    assert names(tmp_path / "p") == numbered(0, 1, 2)


def test_a_search_for_the_rate_leaves_no_pictures(tmp_path):
    learn = learner(tmp_path, callbacks=[ProgressPictures(NOISE, tmp_path / "p")])
    learn.lr_find(num_it=7, stop_div=False)
    assert not (tmp_path / "p").exists()
    learn.fit(1, 0.01)
    assert names(tmp_path / "p") == numbered(0, 1)


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "p").touch()
    learn = learner(tmp_path)
    with pytest.warns(UserWarning, match="ProgressPictures: cannot write .*epoch_00[01].png"):
        learn.fit(1, 0.01, callbacks=[ProgressPictures(NOISE, tmp_path / "p")])
    assert len(learn.recorder.rows) == 1


def test_what_cannot_be_shown_is_refused(tmp_path):
    for x in (None, 3, np.float32(2), np.zeros((0, 2, 1, 1)), [[1, 2]]):
        with pytest.raises(TypeError, match="x must be a Tensor or array"):
            ProgressPictures(x, tmp_path)
    with pytest.raises(ValueError, match="rows must be at least 1"):
        ProgressPictures(NOISE, tmp_path, rows=0)
    with pytest.raises(TypeError, match="ProgressPictures: denorm must be a function.* got 'x'"):
        ProgressPictures(NOISE, tmp_path, denorm="x")
    learn = learner(tmp_path)
    learn.model.append(nn.Flatten())
    with pytest.raises(ValueError, match=r"shape \(4, 64\); is the model's answer a picture"):
        learn.fit(1, 0.01, callbacks=[ProgressPictures(NOISE, tmp_path)])


# ---------------------------------------------------------------------------- grids, films and rows


def test_a_grid_has_every_picture_in_its_place():
    images = RNG.random((5, 3, 100, 70))
    page = np.asarray(grid_of(images, rows=2)) / 255
    assert page.shape == (2 * 100 + GAP, 3 * 70 + 2 * GAP, 3)
    for i, (top, left) in enumerate([(0, 0), (0, 72), (0, 144), (102, 0), (102, 72)]):
        cell = page[top : top + 100, left : left + 70].transpose(2, 0, 1)
        assert np.abs(cell - images[i]).max() <= 0.501 / 255
    assert (page[102:, 144:] == 1).all()
    assert grid_of(np.array([-1.0, 2.0]).reshape(2, 1, 1, 1), rows=9).size == (64, 130)
    assert grid_of(np.full((1, 1, 64, 64), -1.0)).getextrema() == (0, 0)


def test_a_grid_of_anything_else_is_refused():
    for shape in ((3, 8, 8), (1, 2, 8, 8), (0, 3, 8, 8)):
        with pytest.raises(ValueError, match="needs pictures"):
            grid_of(np.zeros(shape))
    with pytest.raises(ValueError, match="NaN"):
        grid_of(np.full((1, 1, 8, 8), np.nan))


def album(folder, numbers, channels=3, side=70):
    """Pictures from dark to bright, and what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        images = np.full((1, channels, side, side), number / 12)
        images[..., : side // 2] *= np.linspace(0, 1, channels).reshape(1, -1, 1, 1)
        grid_of(images).save(folder / f"epoch_{number:03d}.png")
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_of_the_pictures(tmp_path, channels):
    folder = album(tmp_path / "p", [2, 0, 10, 9], channels)
    assert list(pictures_in(folder)) == [0, 2, 9, 10]
    path = gif_of(folder, tmp_path / "new" / "film.gif", ms=150, last_ms=900)
    film = Image.open(path)
    assert film.n_frames == 4 and film.info["loop"] == 0
    times, brightness = [], []
    for i in range(4):
        film.seek(i)
        times.append(film.info["duration"])
        shown = np.asarray(film.convert("RGB"), int)
        brightness.append(shown[30:, 40:60].mean())
    assert times == [150, 150, 150, 900]
    np.testing.assert_allclose(brightness, np.array([0, 2, 9, 10]) / 12 * 255, atol=4)


def test_a_row_of_the_pictures(tmp_path):
    folder = album(tmp_path / "p", range(11))
    for n, expected in ((3, [0, 5, 10]), (2, [0, 10]), (1, [10]), (40, list(range(11)))):
        row = np.asarray(Image.open(row_of(folder, tmp_path / "row.png", n=n)))
        assert row.shape == (70 + 18, 70 * len(expected) + 8 * (len(expected) - 1), 3)
        shown = [row[60, left + 60, 2] for left in range(0, row.shape[1], 78)]
        np.testing.assert_allclose(shown, np.array(expected) / 12 * 255, atol=1)
        assert (row[:18] < 128).any()  # something is written above


def test_no_pictures_or_unlike_ones_are_said(tmp_path):
    for function, name in ((gif_of, "film.gif"), (row_of, "row.png")):
        with pytest.raises(DataError, match=f"{function.__name__}: there is no epoch_000.png"):
            function(tmp_path, tmp_path / name)
    album(tmp_path, [0], side=70)
    album(tmp_path, [1], side=90)
    with pytest.raises(DataError, match="differ in size: .*70, 88.*90, 108"):
        gif_of(tmp_path, tmp_path / "film.gif")
    assert Image.open(row_of(tmp_path, tmp_path / "row.png")).size == (70 + 8 + 90, 108)


def test_names_of_other_formats_and_impossible_times_are_refused(tmp_path):
    album(tmp_path, [0, 1])
    with pytest.raises(ValueError, match="row_of: writes a PNG, got 'x.jpg'; use a .png name"):
        row_of(tmp_path, tmp_path / "x.jpg")
    with pytest.raises(ValueError, match="gif_of: writes a GIF, got 'x.png'; use a .gif name"):
        gif_of(tmp_path, tmp_path / "x.png")
    for time in (0, -5, 9, "a", None, np.nan, 1e6):
        for name in ("ms", "last_ms"):
            with pytest.raises(ValueError, match=f"gif_of: {name} must be a number of millisec"):
                gif_of(tmp_path, tmp_path / "x.gif", **{name: time})
    assert names(tmp_path) == numbered(0, 1)


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "header"])
def test_damaged_pictures_are_named(tmp_path, damage):
    album(tmp_path, [0, 1])
    file = tmp_path / "epoch_001.png"
    whole = file.read_bytes()
    header = whole[:20] + b"\0\0\0\0" + whole[24:]
    damaged = {"cut": whole[: len(whole) // 2], "other": b"hello", "empty": b"", "header": header}
    file.write_bytes(damaged[damage])
    for function, path in ((gif_of, "x.gif"), (row_of, "x.png")):
        with pytest.raises(DataError, match=f"{function.__name__}: cannot read .*epoch_001.png"):
            function(tmp_path, tmp_path / path)


# --------------------------------------------------------------------------------- before and after


def drawn(figure):
    """The arrays in the figure's cells, row by row, and their titles."""
    cells = [ax for ax in figure.axes if ax.images]
    return [np.asarray(ax.images[0].get_array()) for ax in cells], [ax.get_title() for ax in cells]


def test_columns_of_pictures_of_any_kind():
    small, large = RNG.random((2, 3, 20, 30)), RNG.random((2, 80, 120)).astype(np.float32)
    cells, titles = drawn(before_after({"input": mt.tensor(small), "original": large}))
    assert titles == ["input", "original", "", ""]
    assert [cell.shape for cell in cells] == [(20, 30, 3), (80, 120)] * 2
    np.testing.assert_allclose(cells[2], small[1].transpose(1, 2, 0), atol=1e-6)


def test_a_detail_is_framed_and_shown_below():
    small, large = RNG.random((1, 3, 300, 400)) / 2, RNG.random((1, 1, 30, 40)) / 2
    images = {"input": small, "original": large}
    cells, _ = drawn(before_after(images, zoom=(0.5, 0.25, 0.3, 0.5)))
    np.testing.assert_allclose(
        cells[2], small[0, :, 150:240, 100:300].transpose(1, 2, 0), atol=1e-6
    )
    np.testing.assert_allclose(cells[3], large[0, 0, 15:24, 10:30], atol=1e-6)
    for cell, factor, (top, bottom, left, right) in (
        (cells[0], 1, (150, 240, 100, 300)),
        (cells[1], 6, (90, 144, 60, 180)),
    ):
        orange = (cell == np.float32([0.84, 0.37, 0.0])).all(2)
        found = np.argwhere(orange)
        assert (*found.min(0), *(found.max(0) + 1)) == (top, left, bottom, right)
        assert not orange[top + 10 : bottom - 10, left + 10 : right - 10].any()
        original = (small if factor == 1 else np.broadcast_to(large, (1, 3, 30, 40)))[0]
        seen = original.repeat(factor, 1).repeat(factor, 2).transpose(1, 2, 0)
        np.testing.assert_allclose(cell[~orange], seen[~orange], atol=1e-6)


def test_columns_that_do_not_match_are_refused():
    three, two = np.zeros((3, 1, 8, 8)), np.zeros((2, 1, 8, 8))
    for images in ({"a": three, "b": two}, {"a": three[:0]}, {}):
        with pytest.raises(ValueError, match="before_after: every column needs as many pictures"):
            before_after(images)
    wrong = (0, 0, 0, 1), (0.5, 0, 0.6, 1), (-0.1, 0, 1, 1), (0, 0, 1), "0011", (0, 0, np.nan, 1), 5
    for zoom in wrong:
        with pytest.raises(ValueError, match="zoom is .top, left, height, width. in parts"):
            before_after({"a": three}, zoom=zoom)


def test_bytes_are_shown_as_they_are():
    picture = RNG.integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    cells, _ = drawn(before_after({"a": picture, "b": picture / 255}))
    np.testing.assert_allclose(cells[0], cells[1], atol=1e-6)
    np.testing.assert_allclose(cells[0], picture[0].transpose(1, 2, 0) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "images must be a mapping .* got NoneType"),
        ([np.zeros((1, 8, 8))], "images must be a mapping .* got list"),
        ({"a": None}, "column 'a' must hold pictures .* got None"),
        ({"a": np.array(1.0)}, "column 'a' must hold pictures"),
        ({"a": "photo"}, "column 'a' must hold pictures .* got 'photo'"),
        ({"a": ["photo"]}, "column 'a' holds 'photo'"),
        ({"a": np.zeros((1, 4, 8, 8))}, r"column 'a' holds shape \(4, 8, 8\) of float64"),
        ({"a": np.zeros((1, 8))}, r"column 'a' holds shape \(8,\)"),
        ({"a": np.zeros((1, 8, 8), int)}, "column 'a' holds .* int64"),
    ],
)
@pytest.mark.parametrize("zoom", [None, (0, 0, 1, 1)])
def test_what_is_no_picture_is_refused(images, message, zoom):
    with pytest.raises((TypeError, ValueError), match=f"before_after: .*{message}"):
        before_after(images, zoom)
