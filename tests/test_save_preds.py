"""A model's answers as files: what is in them, where they go, and that a stopped run goes on."""

import errno
import hashlib
import importlib
import json
import os

import numpy as np
import pytest
from PIL import Image

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import ImageImageList, ImageList, imagenet_stats
from minitorch7.learner import Learner
from minitorch7.vision.save_preds import NOTE, SavedPreds, fingerprint, save_preds

N, BS = 7, 3
module = importlib.import_module("minitorch7.vision.save_preds")  # not the function of that name


class Dies(Exception):
    """Stands for the death of the process."""


@pytest.fixture
def photos(tmp_path):
    """Seven noisy pictures 8x8 below tmp_path/inputs, two of them in a subfolder."""
    rng = np.random.default_rng(0)
    for i in range(N):
        file = tmp_path / "inputs" / ("dogs" if i > 4 else "") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    return tmp_path / "inputs"


def bunch(photos, **options):
    lists = ImageImageList.from_folder(photos, **options).split_none().label_from_func(lambda p: p)
    stats = imagenet_stats if options.get("convert_mode") != "L" else ([0.5], [0.5])
    return lists.databunch(bs=BS).normalize(stats, do_y=True)


def learner(data, seed=0):
    mt.manual_seed(seed)
    return Learner(data, nn.Conv2d(data.c, data.c, 3, padding=1), progress=False)


def hashes(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def counting(learn):
    """The number of items in each batch that the model sees from now on."""
    seen = []
    learn.model.register_forward_hook(lambda m, inputs, output: seen.append(len(inputs[0])))
    return seen


def dies_after(monkeypatch, n, error=Dies):
    """Writing the (n+1)-th picture fails; notes are written all the same."""
    real, done = module.write_atomically, []

    def write(path, content, function):
        if path.name != NOTE:
            if len(done) == n:
                raise error
            done.append(path)
        real(path, content, function)

    monkeypatch.setattr(module, "write_atomically", write)


# ------------------------------------------------------------------------------- what is in them


def test_each_file_is_the_answer_for_the_photo_of_its_name(photos, tmp_path):
    learn = learner(bunch(photos))
    report = save_preds(learn, tmp_path / "out")
    names = [f"{i}.png" for i in range(5)] + ["dogs/5.png", "dogs/6.png"]
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in report.files) == names
    assert sorted(hashes(tmp_path / "out")) == [*names, NOTE]
    weight, bias = (p.detach().numpy() for p in learn.model.parameters())
    mean, std = (np.reshape(part, (3, 1, 1)) for part in imagenet_stats)
    for name in names:
        pixels = np.asarray(Image.open(photos / name)).transpose(2, 0, 1)
        x = np.pad((pixels / 255 - mean) / std, [(0, 0), (1, 1), (1, 1)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
        y = np.einsum("ocij,chwij->ohw", weight, windows) + bias.reshape(3, 1, 1)
        expected = 255 * np.clip(y * std + mean, 0, 1)
        found = np.asarray(Image.open(tmp_path / "out" / name)).transpose(2, 0, 1)
        assert np.abs(found - expected).max() <= 0.501  # rounded, not cut off
    assert (report.written, report.kept) == (N, 0)
    assert str(report) == f"7 predictions written to {tmp_path / 'out'}"


def test_jpeg_and_grey(photos, tmp_path):
    save_preds(learner(bunch(photos)), tmp_path / "png")
    save_preds(learner(bunch(photos)), tmp_path / "jpg", suffix=".jpg", quality=100)
    save_preds(learner(bunch(photos)), tmp_path / "poor", suffix=".jpg", quality=10)

    def off(name):
        a = np.asarray(Image.open(tmp_path / "png" / "0.png"), float)
        return np.abs(a - np.asarray(Image.open(tmp_path / name / "0.jpg"), float)).mean()

    assert off("jpg") < 1 < 5 < off("poor")
    save_preds(learner(bunch(photos, convert_mode="L")), tmp_path / "grey")
    assert Image.open(tmp_path / "grey" / "0.png").mode == "L"


def test_on_a_device_too(backend, photos, tmp_path):
    save_preds(learner(bunch(photos)), tmp_path / "out")
    with mt.using("numpy"):
        save_preds(learner(bunch(photos)), tmp_path / "numpy")
    for name in ("0.png", "dogs/6.png"):
        a, b = (np.asarray(Image.open(tmp_path / f / name), int) for f in ("out", "numpy"))
        assert np.abs(a - b).max() <= 1


def test_the_validation_set_joins_the_training_set(photos, tmp_path):
    lists = ImageImageList.from_folder(photos).split_by_idx([1, 3]).label_from_func(lambda p: p)
    learn = learner(lists.databunch(bs=BS).normalize(imagenet_stats, do_y=True))
    assert save_preds(learn, tmp_path / "out").written == 5
    report = save_preds(learn, tmp_path / "out", dl="valid")
    assert report == SavedPreds(tmp_path / "out", report.files, 2, 0)
    assert [file.name for file in report.files] == ["1.png", "3.png"]
    assert len(hashes(tmp_path / "out")) == N + 1
    assert str(save_preds(learn, tmp_path / "out")).endswith("; 5 were there already")


def test_items_outside_the_lists_folder_keep_their_last_name(photos, tmp_path):
    files = sorted(photos.glob("*.png"))
    items = ImageImageList.from_files(files, path=tmp_path / "elsewhere")
    data = items.split_none().label_from_func(lambda p: p).databunch(bs=BS)
    report = save_preds(learner(data), tmp_path / "out")
    assert [file.relative_to(tmp_path) for file in report.files][0].as_posix() == "out/0.png"


# ------------------------------------------------------------------------------ stopped, gone on


@pytest.mark.parametrize("done", [1, 3, 5])
def test_a_stopped_run_goes_on_to_the_same_bytes(photos, tmp_path, monkeypatch, done):
    before = hashes(photos)
    save_preds(learner(bunch(photos)), tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Dies):
        dies_after(patch, done)
        save_preds(learner(bunch(photos)), tmp_path / "out")
    learn = learner(bunch(photos))
    seen = counting(learn)
    report = save_preds(learn, tmp_path / "out")
    assert (report.written, report.kept) == (N - done, done)
    assert seen == [3, 3, 1][done // BS :]  # whole batches, and only those with something missing
    assert hashes(tmp_path / "out") == hashes(tmp_path / "whole")
    assert hashes(photos) == before


def test_a_finished_run_asks_the_model_nothing(photos, tmp_path):
    learn = learner(bunch(photos))
    save_preds(learn, tmp_path / "out")
    (tmp_path / "out" / "3.png").unlink()
    seen = counting(learn)
    assert save_preds(learn, tmp_path / "out").written == 1
    assert save_preds(learn, tmp_path / "out").written == 0
    assert seen == [3]  # the one batch that the lost picture was in


def test_a_full_disk_stops_it_in_order(photos, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(1)
        if len(calls) > 8:  # two for each file: its bytes, and its folder's entry
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="3 predictions, and 4 are left; the same call") as caught:
        save_preds(learner(bunch(photos)), tmp_path / "out")
    assert caught.value.errno == errno.ENOSPC and "No space left" in str(caught.value)
    assert len(hashes(tmp_path / "out")) == 1 + 3  # and nothing half written
    monkeypatch.setattr(os, "fsync", real)
    assert save_preds(learner(bunch(photos)), tmp_path / "out").written == 4


# ------------------------------------------------------------------------------- nothing is mixed


def test_another_models_predictions_are_not_mixed_in(photos, tmp_path):
    save_preds(learner(bunch(photos)), tmp_path / "out")
    (tmp_path / "out" / "3.png").unlink()
    before = hashes(tmp_path / "out")
    other = learner(bunch(photos), seed=1)
    with pytest.raises(ValueError, match="made otherwise .weights: .*restart=True"):
        save_preds(other, tmp_path / "out")
    assert hashes(tmp_path / "out") == before
    save_preds(other, tmp_path / "out", restart=True)
    save_preds(other, tmp_path / "other")
    assert hashes(tmp_path / "out") == hashes(tmp_path / "other") != before


def test_a_restart_removes_what_it_does_not_write_again(photos, tmp_path, monkeypatch):
    save_preds(learner(bunch(photos)), tmp_path / "out")
    (tmp_path / "out" / "mine.png").write_bytes(b"mine")
    few = ImageImageList.from_folder(photos, recurse=False)
    data = few.split_none().label_from_func(lambda p: p).databunch(bs=BS)
    with monkeypatch.context() as patch, pytest.raises(Dies):
        dies_after(patch, 2)
        save_preds(learner(data, seed=1), tmp_path / "out", restart=True)
    save_preds(learner(data, seed=1), tmp_path / "out")
    assert sorted(hashes(tmp_path / "out")) == [*(f"{i}.png" for i in range(5)), "mine.png", NOTE]


def test_size_scale_and_quality_are_part_of_whose_they_are(photos, tmp_path):
    lists = ImageImageList.from_folder(photos).split_none().label_from_func(lambda p: p)
    learn = learner(lists.databunch(bs=BS))
    save_preds(learn, tmp_path / "out")
    for changed, data, options in (
        ("size", lists.transform(size=6).databunch(bs=BS), {}),
        ("stats", lists.databunch(bs=BS).normalize(imagenet_stats), {}),
        ("quality", lists.databunch(bs=BS), {"quality": 80}),
    ):
        learn.data = data
        with pytest.raises(ValueError, match=f"made otherwise .*{changed}: "):
            save_preds(learn, tmp_path / "out", **options)


def test_a_folder_of_other_pictures_is_left_alone(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "2.png").write_bytes(b"a photo")
    for restart in (False, True):
        with pytest.raises(ValueError, match="that it did not write .'2.png'.; choose another"):
            save_preds(learner(bunch(photos)), tmp_path / "out", restart=restart)
    assert list(hashes(tmp_path / "out")) == ["2.png"]


def test_a_note_that_says_nothing_is_an_error(photos, tmp_path):
    save_preds(learner(bunch(photos)), tmp_path / "out")
    for content in ("", "[]", json.dumps({"files": []})):
        (tmp_path / "out" / NOTE).write_text(content)
        with pytest.raises(ValueError, match="does not say whose"):
            save_preds(learner(bunch(photos)), tmp_path / "out")


@pytest.mark.parametrize(
    ("out", "what"),
    [
        ("inputs", "inputs"),
        ("inputs/new", "inputs"),
        ("inputs/dogs", "inputs"),
        ("link", "inputs"),
        ("targets/new", "targets"),
        ("inputs/../targets", "targets"),
    ],
)
def test_never_where_the_inputs_or_targets_are(photos, tmp_path, out, what):
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "targets").mkdir()
    for i in range(N):
        Image.new("RGB", (8, 8)).save(tmp_path / "targets" / f"{i}.png")
    lists = ImageImageList.from_folder(photos).split_by_idx([0])
    data = lists.label_from_func(lambda p: tmp_path / "targets" / p.name).databunch(bs=BS)
    before = hashes(tmp_path)
    with pytest.raises(ValueError, match=f"save_preds: .* where the {what} are"):
        save_preds(learner(data), tmp_path / out)
    assert hashes(tmp_path) == before
    save_preds(learner(data), tmp_path / "inputs2")  # beside them, it may


def test_nor_beside_the_subfolders_that_they_are_in(photos, tmp_path):
    for file in photos.glob("*.png"):
        (photos / "cats").mkdir(exist_ok=True)
        file.rename(photos / "cats" / file.name)
    with pytest.raises(ValueError, match="where the inputs are"):
        save_preds(learner(bunch(photos)), photos / "new")
    apart = ImageImageList.from_files(sorted(photos.rglob("*.png")), path=tmp_path / "elsewhere")
    data = apart.split_none().label_from_func(lambda p: p).databunch(bs=BS)
    assert save_preds(learner(data), photos / "new").written == N  # files named one by one


def test_two_items_of_one_name_are_refused(photos, tmp_path):
    Image.new("RGB", (8, 8)).save(photos / "0.jpg")
    with pytest.raises(ValueError, match=r"0\.jpg and .*0\.png would both be .*out.0\.png"):
        save_preds(learner(bunch(photos)), tmp_path / "out", suffix=".png")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_done_is_said_first(photos, tmp_path):
    learn, out = learner(bunch(photos)), tmp_path / "out"
    with pytest.raises(ValueError, match="shuffles its items or leaves some out; use dl='train'"):
        save_preds(learn, out, dl=learn.data.train_dl)
    with pytest.raises(TypeError, match="needs a DataLoader, .* got list"):
        save_preds(learn, out, dl=[])
    with pytest.raises(ValueError, match="no 'test' part"):
        save_preds(learn, out, dl="test")
    with pytest.raises(ValueError, match=r"suffix must be one of .png, .* got '.gif'"):
        save_preds(learn, out, suffix=".gif")
    with pytest.raises(ValueError, match="quality must be .* got 0"):
        save_preds(learn, out, quality=0)
    Image.new("RGB", (8, 8)).save(photos / "7.bmp")
    with pytest.raises(ValueError, match=r"7\.bmp has a name .* pass suffix='.png'"):
        save_preds(learner(bunch(photos)), out)
    assert not out.exists()


def test_answers_that_are_no_pictures_are_refused(photos, tmp_path):
    learn = learner(bunch(photos))
    learn.model.weight.data[...] = np.nan
    with pytest.raises(ValueError, match=r"answer for 0\.png holds NaN"):
        save_preds(learn, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    learn.model = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 2))
    learn.data = ImageList.from_folder(photos).split_none().label_from_func(len_of).databunch(bs=BS)
    with pytest.raises(ValueError, match=r"gives \(3, 2\) for a batch \(3, 3, 8, 8\)"):
        save_preds(learn, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_restart_that_fails_at_once_leaves_what_was_there(photos, tmp_path):
    learn = learner(bunch(photos))
    save_preds(learn, tmp_path / "out")
    before = hashes(tmp_path / "out")
    learn.model.weight.data[...] = np.nan
    with pytest.raises(ValueError, match="holds NaN"):
        save_preds(learn, tmp_path / "out", restart=True)
    assert hashes(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("learn", "options", "kind", "said"),
    [
        (None, {}, TypeError, "learn must be a Learner, got NoneType"),
        (nn.Conv2d(3, 3, 1), {}, TypeError, "got Conv2d; pass the Learner"),
        ("ours", {"out": None}, TypeError, "out must be a path, .* got None"),
        ("ours", {"out": 3}, TypeError, "out must be a path, .* got 3"),
        ("ours", {"suffix": 3}, ValueError, "suffix must be one of .png, .* got 3"),
    ],
)
def test_arguments_that_are_something_else(photos, tmp_path, learn, options, kind, said):
    learn = learner(bunch(photos)) if learn == "ours" else learn
    with pytest.raises(kind, match=f"^save_preds: .*{said}"):
        save_preds(learn, **{"out": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


def len_of(path):
    return len(path.name)


def test_the_fingerprint_sees_every_number_and_name():
    def model(seed=0, kind=nn.BatchNorm2d):
        mt.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 1), kind(4))

    assert fingerprint(model()) == fingerprint(model())
    assert fingerprint(model()) != fingerprint(model(1))
    changed = model()
    changed[1].running_var.data[2] += 1e-6
    assert fingerprint(model()) != fingerprint(changed)
    assert fingerprint(model()) != fingerprint(nn.Sequential(nn.Sequential(*model())))
