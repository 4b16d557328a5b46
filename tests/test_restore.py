"""A trained U-Net in a file, photos of any size and kind through it, and the command line."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import DataError, imagenet_stats
from minitorch7.functional import avg_pool2d
from minitorch7.learner import CheckpointError, Learner
from minitorch7.nn import NormType
from minitorch7.vision import DynamicUnet, create_body, resnet18
from minitorch7.vision.restore import main, side_by_side
from minitorch7.vision.restorer import Restorer, enlarged, load_restorer, save_restorer, shares

ROOT = Path(__file__).resolve().parents[1]
ARCH = {"name": "resnet18", "width": 4}
RNG = np.random.default_rng(0)


def tiny_unet(width=4, **options):
    mt.manual_seed(0)
    options = {"img_size": (64, 64), "norm_type": NormType.Weight, "blur": True, **options}
    return DynamicUnet(create_body(resnet18(width=width)), 3, **options).eval()


@pytest.fixture(scope="module")
def unet():
    return tiny_unet(self_attention=True)


@pytest.fixture(scope="module")
def model_file(unet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return save_restorer(unet, folder / "model.safetensors", ARCH, imagenet_stats, "for tests")


def noise(height, width):
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


class Darker(nn.Module):
    """Half of each value, on the scale [0, 1]; a function of single pixels."""

    def __init__(self):
        mean, std = (np.reshape(part, (3, 1, 1)).astype(np.float32) for part in imagenet_stats)
        self.register_buffer("mean", mt.tensor(mean))
        self.register_buffer("std", mt.tensor(std))

    def forward(self, x):
        return ((x * self.std + self.mean) / 2 - self.mean) / self.std


class Smoother(nn.Module):
    """The mean of 2r+1 by 2r+1 pixels, zeros beyond the edge; notes the sizes that it sees."""

    def __init__(self, radius=3, room=10**9):
        self.radius, self.room, self.seen = radius, room, []

    def forward(self, x):
        if x.shape[-1] * x.shape[-2] > self.room:
            raise MemoryError
        self.seen.append(x.shape[2:])
        return avg_pool2d(x, 2 * self.radius + 1, stride=1, padding=self.radius)


# ---------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("norm", [None, *NormType])
def test_a_model_comes_back_from_its_file(tmp_path, norm):
    model = tiny_unet(norm_type=norm, self_attention=True, bottle=True, y_range=(-3, 3))
    for buffer in model.buffers():  # running statistics, as training would leave them
        buffer.data[...] = abs(buffer.data) + 0.25
    save_restorer(model, tmp_path / "m.safetensors", ARCH, imagenet_stats, "three words here")
    before = mt.backend.get_rng_state()
    restorer = load_restorer(tmp_path / "m.safetensors")
    assert mt.backend.get_rng_state() == before
    assert restorer.note == "three words here" and restorer.arch == ARCH
    assert "resnet18, width 4" in repr(restorer) and repr(restorer).endswith(": three words here")
    assert restorer.model.options == model.options
    x = mt.tensor(RNG.standard_normal((1, 3, 64, 64)).astype(np.float32))
    with mt.no_grad():
        np.testing.assert_array_equal(restorer.model(x).numpy(), model(x).numpy())
    np.testing.assert_array_equal(restorer.stats, np.float32(imagenet_stats))


def test_saving_leaves_the_random_stream_alone(unet, tmp_path):
    before = mt.backend.get_rng_state()
    save_restorer(unet, tmp_path / "m.safetensors", ARCH, imagenet_stats)
    assert mt.backend.get_rng_state() == before


@pytest.mark.parametrize(
    ("arch", "error", "message"),
    [
        (
            "resnet18",
            ValueError,
            "width 64 is not this model: .* of another shape",
        ),
        ({"name": "resnet34", "width": 4}, ValueError, "is not this model: .*0.4.2.conv1.weight"),
        ("resnet50", ValueError, "'resnet50' is none of resnet18, resnet34"),
        ({"width": 4}, TypeError, "arch must be a name or"),
        ({"name": ["resnet18"]}, TypeError, "arch must be a name or"),
        ({"name": "resnet18", "depth": 4}, TypeError, "arch must be a name or"),
        ({"name": "resnet18", "width": 0}, ValueError, "width must be at least 1"),
    ],
)
def test_a_description_that_does_not_fit_writes_nothing(unet, tmp_path, arch, error, message):
    with pytest.raises(error, match=message):
        save_restorer(unet, tmp_path / "m.safetensors", arch, imagenet_stats)
    assert not list(tmp_path.iterdir())


def test_only_what_restores_is_saved(unet, tmp_path):
    file = tmp_path / "m.safetensors"
    mt.manual_seed(0)
    two = DynamicUnet(create_body(resnet18(width=4)), 2, img_size=(64, 64))
    with pytest.raises(ValueError, match="answers with 2 numbers a pixel"):
        save_restorer(two, file, ARCH, imagenet_stats)
    with pytest.raises(TypeError, match="got Learner; pass learn.model"):
        save_restorer(Learner(None, unet, loss_func=abs), file, ARCH, imagenet_stats)
    with pytest.raises(DataError, match="^save_restorer: pictures have 3 channels"):
        save_restorer(unet, file, ARCH, ([0.5], [0.5]))
    assert not file.exists()


def test_other_files_are_refused(model_file, tmp_path):
    with pytest.raises(FileNotFoundError, match="that folder has no checkpoints"):
        load_restorer(tmp_path / "m.safetensors")
    learn = Learner(None, nn.Linear(2, 2), loss_func=abs, path=tmp_path)
    with pytest.raises(CheckpointError, match="holds a training's state, .* save_restorer"):
        load_restorer(learn.save("training"))
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(model_file.read_bytes())
    content[-100] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_restorer(damaged)
    damaged.write_bytes(content[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        load_restorer(damaged)
    with pytest.raises(mt.BackendError, match="unknown backend 'tpu'"):
        load_restorer(model_file, "tpu")
    program = tmp_path / "x.py"
    program.write_text("print('mine')")
    with pytest.raises(
        CheckpointError, match=r"x\.py is no safetensors file; give the one"
    ) as said:
        load_restorer(program)
    assert "delete" not in str(said.value)
    renamed = tmp_path / "model.bin"
    renamed.write_bytes(model_file.read_bytes())
    assert load_restorer(renamed).note == "for tests"


@pytest.mark.parametrize("value", [None, 3])
def test_what_is_no_path_is_named(unet, value):
    with pytest.raises(TypeError, match=f"^load_restorer: path must be a path, .* got {value}"):
        load_restorer(value)
    with pytest.raises(TypeError, match=f"^save_restorer: path must be a path, .* got {value}"):
        save_restorer(unet, value, ARCH, imagenet_stats)


@pytest.mark.parametrize("model", ["model.safetensors", None, 3])
def test_a_restorer_wants_a_model(model):
    with pytest.raises(TypeError, match=r"^Restorer: model must be a model.*use load_restorer"):
        Restorer(model, imagenet_stats)
    for stats in (([0.5], [0.5]), None, ([0.5] * 3, [0] * 3)):
        with pytest.raises(DataError, match="^Restorer: "):
            Restorer(Darker(), stats)


# --------------------------------------------------------------------------------------- the tiles


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(2, 5), st.integers(0, 12))
def test_the_tiles_weights_sum_to_one_everywhere(n, overlap, times, more):
    tile = overlap * times + more
    total, last = np.zeros(n), -1
    for start, weight in shares(n, tile, overlap):
        assert 0 <= start and start + len(weight) <= n and start > last
        assert len(weight) == min(n, tile) and (weight >= 0).all()
        total[start : start + len(weight)] += weight
        last = start
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    if n > tile:  # no weight at an inner edge, where a tile lacks its surroundings
        margin = overlap // 4
        first, *_, end = shares(n, tile, overlap)
        assert (first[1][tile - margin :] == 0).all() and (end[1][:margin] == 0).all()


def test_tiles_of_whole_cells_begin_at_whole_cells():
    for n in (512, 544, 1024):
        for start, weight in shares(n, 256, 64):
            assert start % 32 == 0 and len(weight) == 256


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (70, 5), (48, 48), (61, 97)])
def test_pixel_by_pixel_tiles_make_no_difference(size):
    photo = noise(*size)
    whole = Restorer(Darker(), imagenet_stats).restore(photo)
    expected = np.asarray(photo) / 2
    assert np.abs(np.asarray(whole) - expected).max() <= 0.501
    tiled = Restorer(Darker(), imagenet_stats, tile=16, overlap=4).restore(photo)
    assert np.abs(np.asarray(tiled, int) - np.asarray(whole, int)).max() <= 1  # a rounding


def test_tiles_are_as_good_as_the_whole_where_the_model_looks_no_further_than_their_margin():
    photo, small, near = noise(150, 130), Smoother(4), Smoother(8)
    whole = np.asarray(Restorer(Smoother(4), imagenet_stats).restore(photo), int)
    tiled = np.asarray(Restorer(small, imagenet_stats, tile=48, overlap=16).restore(photo), int)
    assert np.abs(tiled - whole).max() <= 1
    assert len(small.seen) == 5 * 4 and set(small.seen) == {(48, 48)}
    # and looking further than the margin, edges of tiles do show: the test can tell
    whole = np.asarray(Restorer(Smoother(8), imagenet_stats).restore(photo), int)
    tiled = np.asarray(Restorer(near, imagenet_stats, tile=48, overlap=16).restore(photo), int)
    assert np.abs(tiled - whole).max() > 1


def test_where_memory_runs_out_tiles_are_halved():
    model = Smoother(1, room=20 * 20)
    photo = noise(50, 50)
    with pytest.warns(UserWarning) as said:
        tiled = Restorer(model, imagenet_stats, overlap=4).restore(photo)
    texts = [str(warning.message).partition("tiles of ")[2] for warning in said]
    assert texts == ["50 pixels; going on with 25", "25 pixels; going on with 12"]
    assert set(model.seen) == {(12, 12)}
    whole = Restorer(Smoother(1), imagenet_stats).restore(photo)
    assert np.abs(np.asarray(tiled, int) - np.asarray(whole, int)).max() <= 1
    with pytest.raises(MemoryError), pytest.warns(UserWarning):
        Restorer(Smoother(1, room=1), imagenet_stats).restore(photo)


@pytest.mark.parametrize("size", [(1, 1), (3, 150), (33, 47), (64, 96)])
def test_a_unet_takes_any_size(unet, size):
    """Reflected to whole cells of 32 pixels, on the scale of the statistics, cut again."""
    photo = noise(*size)
    restorer = Restorer(unet, imagenet_stats)
    assert restorer.stride == 32
    found = restorer.restore(photo)
    assert found.mode == "RGB" and found.size == photo.size
    high, wide = (-(-side // 32) * 32 for side in size)
    mean, std = (np.reshape(part, (3, 1, 1)).astype(np.float32) for part in imagenet_stats)
    pixels = np.asarray(photo).transpose(2, 0, 1)
    rows, columns = (reflected(n, to) for n, to in zip(size, (high, wide), strict=True))
    x = (pixels[:, rows][:, :, columns] / np.float32(255) - mean) / std
    with mt.no_grad():
        y = unet(mt.tensor(x[None].astype(np.float32))).numpy()[0]
    y = 255 * np.clip(y * std + mean, 0, 1)[:, : size[0], : size[1]]
    assert np.abs(np.asarray(found).transpose(2, 0, 1) - y).max() <= 0.51


def reflected(n, to):
    """Which of n pixels is seen at each of `to` places, mirrored at the outermost centres."""
    period = max(2 * n - 2, 1)
    return [min(i % period, period - i % period) if n > 1 else 0 for i in range(to)]


def test_a_unets_tiles_fade_into_each_other(unet):
    """Along a seam neighbours differ no more than elsewhere."""
    restorer = Restorer(unet, imagenet_stats)
    ramp = np.linspace(60, 200, 192).astype(np.uint8)
    photo = Image.fromarray(np.repeat(np.tile(ramp, (64, 1))[..., None], 3, 2))
    steps = np.abs(np.diff(np.asarray(restorer.restore(photo, tile=64), int), axis=1))
    whole = np.abs(np.diff(np.asarray(restorer.restore(photo), int), axis=1))
    assert steps.max() <= whole.max() + 4


def test_on_a_device_too(backend, model_file):
    photo = noise(40, 70)
    found = load_restorer(model_file).restore(photo, tile=64)
    host = load_restorer(model_file, "numpy")
    assert next(host.model.parameters()).backend == "numpy"
    expected = host.restore(photo, tile=64)
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).max() <= 1


def test_the_modes_and_the_history_stay_out_of_it(unet):
    restorer = Restorer(unet, imagenet_stats)
    unet.train()
    before = {name: value.data.copy() for name, value in unet.state_dict().items()}
    trained = np.asarray(restorer.restore(noise(8, 8)))
    assert unet.training
    unet.eval()
    assert all((before[name] == v.data).all() for name, v in unet.state_dict().items())
    assert trained.shape == (8, 8, 3)


def test_enlarged_first(unet):
    photo = noise(12, 20)
    assert enlarged(photo, 1) is photo
    doubled = Restorer(Darker(), imagenet_stats).restore(photo, enlarge=2.5)
    assert doubled.size == (50, 30)
    expected = np.asarray(photo.resize((50, 30), Image.Resampling.BILINEAR)) / 2
    assert np.abs(np.asarray(doubled) - expected).max() <= 0.501
    for factor in (0.5, 0, float("nan"), "2", True):
        with pytest.raises(ValueError, match="enlarge must be a number from 1 to 64"):
            Restorer(Darker(), imagenet_stats).restore(photo, enlarge=factor)


def test_what_is_no_answer_is_refused():
    photo = noise(16, 16)
    for model, message in (
        (nn.Conv2d(3, 3, 3, stride=2), r"answers \(1, 3, 7, 7\) to a picture \(1, 3, 16, 16\)"),
        (nn.Conv2d(3, 3, 1), "holds NaN"),
    ):
        model.weight.data[...] = np.nan
        with pytest.raises(ValueError, match=message):
            Restorer(model, imagenet_stats).restore(photo)
    with pytest.raises(TypeError, match="a path or a Pillow image, got ndarray"):
        Restorer(Darker(), imagenet_stats).restore(np.zeros((3, 3, 3)))
    with pytest.raises(ValueError, match="tile must be at least 1"):
        Restorer(Darker(), imagenet_stats).restore(photo, tile=0)


# ------------------------------------------------------------------------------- photos as they are


def kinds(folder):
    """Files of all kinds, each with the colour of its left upper pixel, as the model sees it."""
    grey = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) + 100
    made = {"grey.png": (Image.fromarray(grey), (100,) * 3)}
    palette = Image.new("P", (9, 6), 1)
    palette.putpalette([255, 0, 0, 10, 200, 30, 0, 0, 255])
    made["palette.png"] = (palette, (10, 200, 30))
    clear = Image.new("RGBA", (9, 6), (0, 0, 0, 0))
    made["clear.png"] = (clear, (255, 255, 255))
    made["half.png"] = (Image.new("LA", (9, 6), (0, 128)), (127,) * 3)
    made["deep.png"] = (Image.fromarray(grey.astype(np.uint16) * 257), (100,) * 3)
    made["press.jpg"] = (Image.new("CMYK", (9, 6), (0, 0, 0, 255)), (0, 0, 0))
    made["two.png"] = (Image.new("1", (9, 6), 1), (255, 255, 255))
    made["dot.png"] = (Image.new("RGB", (1, 1), (7, 8, 9)), (7, 8, 9))
    found = {}
    for name, (image, colour) in made.items():
        extra = {"transparency": 1} if name == "palette.png" else {}
        image.save(folder / name, **extra)
        found[folder / name] = (image.size, (255,) * 3 if extra else colour)
    turned = Image.new("RGB", (9, 6), (250, 0, 0))
    turned.paste((0, 0, 250), (0, 5, 9, 6))  # its last row comes to stand on the left
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.png", exif=exif)
    found[folder / "turned.png"] = ((6, 9), (0, 0, 250))
    return found


def test_photos_of_every_kind(tmp_path):
    restorer = Restorer(Darker(), imagenet_stats)
    for file, (size, colour) in kinds(tmp_path).items():
        found = restorer.restore(file)
        assert (found.mode, found.size) == ("RGB", size), file
        off = np.abs(np.array(found.getpixel((0, 0))) - np.array(colour) / 2)
        assert off.max() <= 1, (file, found.getpixel((0, 0)), colour)


def test_what_is_no_photo_is_said(tmp_path):
    noise(64, 64).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    files = {"empty.jpg": b"", "cut.jpg": content[: len(content) // 2], "text.png": b"no picture"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"restore: .*{name} cannot be read as an image"):
            Restorer(Darker(), imagenet_stats).restore(tmp_path / name)
    with pytest.raises(DataError, match="restore: .* is a folder; give one photo's file") as said:
        Restorer(Darker(), imagenet_stats).restore(tmp_path)
    assert "delete" not in str(said.value)
    with pytest.raises(DataError, match=r"restore: the image of size \(0, 5\) has no pixels"):
        Restorer(Darker(), imagenet_stats).restore(Image.new("RGB", (0, 5)))
    with pytest.raises(DataError, match=r"gone\.jpg is not there"):
        Restorer(Darker(), imagenet_stats).restore(tmp_path / "gone.jpg")


# -------------------------------------------------------------------------------- the command line


@pytest.fixture
def run(model_file, tmp_path, monkeypatch, capsys):
    """Runs the command line in tmp_path; (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*words, model=model_file):
        status = main([*map(str, words), "--model", str(model)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.fixture
def holidays(tmp_path):
    """Four photos below tmp_path/holidays, one in a subfolder, one of a kind that is not kept."""
    folder = tmp_path / "holidays"
    (folder / "sea").mkdir(parents=True)
    noise(20, 30).save(folder / "a.jpg")
    noise(10, 8).save(folder / "b.PNG")
    noise(10, 8).save(folder / "c.bmp")
    noise(9, 9).save(folder / "sea" / "d.png")
    return folder


def hashes(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_one_photo(run, holidays, unet, tmp_path):
    status, out, err = run("holidays/a.jpg", "--out", "new/better.png", "--enlarge", "2")
    assert (status, out, err) == (0, f"holidays/a.jpg -> {Path('new/better.png')}\n", "")
    expected = Restorer(unet, imagenet_stats).restore(holidays / "a.jpg", enlarge=2)
    found = Image.open(tmp_path / "new" / "better.png")
    assert found.size == (60, 40)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_folder_with_broken_photos(run, holidays, tmp_path):
    (holidays / "cut.jpg").write_bytes((holidays / "a.jpg").read_bytes()[:300])
    (holidays / "sea" / "empty.png").touch()
    (holidays / "notes.txt").write_text("not a photo")
    before = hashes(holidays)
    status, out, err = run("holidays", "--out", "better", "--compare")
    names = {"a.jpg", "b.PNG", "c.bmp.png", "sea/d.png"}
    strips = {"a_compare.jpg", "b_compare.PNG", "c.bmp_compare.png", "sea/d_compare.png"}
    assert set(hashes(tmp_path / "better")) == names | strips
    assert status == 1 and out.splitlines()[-1] == "4 restored, 2 failed"
    assert "cut.jpg cannot be read" in err and "empty.png cannot be read" in err
    assert len(err.splitlines()) == 2 and len(out.splitlines()) == 5
    assert hashes(holidays) == before
    strip = Image.open(tmp_path / "better" / "sea" / "d_compare.png")
    assert strip.size == (9 + 8 + 9, 9)
    original = np.asarray(Image.open(holidays / "sea" / "d.png"))
    np.testing.assert_array_equal(np.asarray(strip)[:, :9], original)
    restored = np.asarray(Image.open(tmp_path / "better" / "sea" / "d.png"))
    np.testing.assert_array_equal(np.asarray(strip)[:, 17:], restored)


def test_what_is_there_is_left_alone(run, holidays, tmp_path):
    assert run("holidays/a.jpg", "holidays/b.PNG", "--out", "better")[0] == 0
    (tmp_path / "better" / "a.jpg").write_bytes(b"mine")
    status, out, _ = run("holidays", "--out", "better")
    assert status == 0 and out.splitlines()[-1].startswith("2 restored, 2 left alone as they exist")
    assert (tmp_path / "better" / "a.jpg").read_bytes() == b"mine"
    before = hashes(tmp_path)
    status, _, err = run("holidays", "--out", "better")
    assert status == 2 and "already there: better/a.jpg and 3 more; use --force" in err
    assert hashes(tmp_path) == before
    assert run("holidays", "--out", "better", "--force")[0] == 0
    assert (tmp_path / "better" / "a.jpg").read_bytes() != b"mine"


def test_an_older_strip_is_left_alone_too(run, holidays, tmp_path):
    (tmp_path / "x_compare.png").write_bytes(b"mine")
    assert run("holidays/a.jpg", "--out", "x.png", "--compare")[0] == 0
    assert (tmp_path / "x.png").exists()
    assert (tmp_path / "x_compare.png").read_bytes() == b"mine"


def test_an_output_folder_within_is_no_input(run, holidays):
    assert run("holidays", "--out", "holidays/better")[0] == 0
    names = set(hashes(holidays / "better"))
    status, _, err = run("holidays", "--out", "holidays/better")
    assert status == 2 and "already there" in err and set(hashes(holidays / "better")) == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["holidays/a.jpg", "--out", "holidays/a.jpg"], "is one of the photos"),
        (["holidays/a.jpg", "--out", "link.jpg"], "is one of the photos"),
        (["holidays/a.jpg", "--out", "hard.jpg"], "is one of the photos"),
        (["holidays/a.jpg", "holidays/b.PNG", "--out", "holidays"], "is one of the photos"),
        (["holidays", "--out", "one.png"], "is one file, for one photo"),
        (["holidays/a.jpg", "holidays/b.PNG", "--out", "one.png"], "is one file, for one photo"),
        (["holidays/a.jpg", "--out", "model.txt"], "must be a folder, or end in .png"),
        (["holidays/a.jpg", "copy/a.jpg", "--out", "better"], "would both become better/a.jpg"),
        (["gone.jpg", "--out", "better"], "there is no file or folder gone.jpg"),
        (["nothing", "--out", "better"], "no image files below nothing"),
        (
            ["holidays/a.jpg", "--out", "x.png", "--enlarge", "0.5"],
            "--enlarge must be from 1 to 64",
        ),
        (["holidays/a.jpg", "--out", "x.png", "--tile", "0"], "--tile must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, holidays, tmp_path, words, message):
    os.symlink(holidays / "a.jpg", tmp_path / "link.jpg")
    os.link(holidays / "a.jpg", tmp_path / "hard.jpg")
    (tmp_path / "model.txt").touch()
    (tmp_path / "nothing").mkdir()
    shutil.copytree(holidays, tmp_path / "copy")
    before = hashes(tmp_path)
    status, out, err = run(*words, "--force")
    assert (status, out) == (2, "") and message in err and len(err.splitlines()) == 1
    assert hashes(tmp_path) == before


def test_a_model_that_is_none_is_one_line(run, holidays, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"12345678")
    for file, message in (("broken.safetensors", "cut short or damaged"), ("gone", "no file gone")):
        status, out, err = run("holidays/a.jpg", "--out", "x.png", model=file)
        assert (status, out) == (2, "") and message in err and len(err.splitlines()) == 1


def test_a_full_disk_is_one_line(run, holidays, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = hashes(tmp_path)
    status, _, err = run("holidays", "--out", "better")
    assert status == 2 and "No space left on device" in err and len(err.splitlines()) == 1
    assert hashes(tmp_path) == before


def test_ctrl_c_and_memory_are_lines_too(run, holidays, monkeypatch):
    def fails(error):
        def restore(self, image, **options):
            raise error

        monkeypatch.setattr(Restorer, "restore", restore)

    fails(MemoryError())
    status, out, err = run("holidays/a.jpg", "--out", "x.png")
    assert (status, out) == (1, "0 restored, 1 failed\n")
    assert err == "restore: no memory for holidays/a.jpg; try a smaller --tile\n"
    fails(KeyboardInterrupt())
    status, _, err = run("holidays/a.jpg", "--out", "x.png")
    assert status == 130 and "stopped; the same command goes on" in err


def test_before_and_after_side_by_side():
    strip = np.asarray(side_by_side(Image.new("RGB", (2, 3)), noise(3, 4), gap=2))
    assert strip.shape == (3, 8, 3) and not strip[:, :2].any() and (strip[:, 2:4] == 255).all()


def test_as_a_program(model_file, holidays, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}

    def python(*words):
        command = [sys.executable, "-m", "minitorch7.vision.restore", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    helped = python("--help")
    assert helped.returncode == 0 and helped.stderr == ""
    assert "examples:" in helped.stdout and "save_restorer" in helped.stdout
    done = python("holidays/a.jpg", "--model", str(model_file), "--out", "x.jpg", "--tile", "32")
    assert (done.returncode, done.stderr) == (0, "")
    assert Image.open(tmp_path / "x.jpg").size == (30, 20)
