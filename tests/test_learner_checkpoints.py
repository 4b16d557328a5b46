"""Checkpoint files: what they hold, that they are whole or absent, and what is refused."""

import errno
import json
import os
import stat

import numpy as np
import pytest
from test_learner_toy import ToyData, same_bits, toy_learner, weights_of

import minitorch7 as mt
from minitorch7 import files, nn
from minitorch7.learner import CheckpointError, Learner
from minitorch7.learner.checkpoints import pack, read, unpack, write


@pytest.fixture
def trained(tmp_path):
    learn = toy_learner(tmp_path)
    learn.fit(1, 1e-2)
    return learn


# ---------------------------------------------------------------------------------------- the trees


def test_a_tree_survives_the_journey_through_json():
    tree = {
        "tensor": mt.tensor([1.5, 2.5]),
        "array": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "scalar array": np.array(3.0, np.float32),
        "empty": np.zeros((0, 2), np.float32),
        "state": {0: {"step": 3, "m": np.ones(2)}, 7: None},
        "betas": (0.9, 0.99),
        "list": [1, "two", 3.0, True, [None]],
        "number": np.float64(0.1),
        "large": 2**127 + 1,
    }
    arrays = {}
    packed = json.loads(json.dumps(pack(tree, arrays)))
    back = unpack(packed, arrays)
    assert isinstance(back["tensor"], mt.Tensor) and back["tensor"].tolist() == [1.5, 2.5]
    for name in ("array", "scalar array", "empty"):
        assert back[name].dtype == tree[name].dtype and back[name].shape == tree[name].shape
        np.testing.assert_array_equal(back[name], tree[name])
    assert back["state"][0]["step"] == 3 and back["state"][7] is None
    assert back["betas"] == (0.9, 0.99) and isinstance(back["betas"], tuple)
    for name in ("list", "number", "large"):
        assert back[name] == tree[name]


def test_packed_arrays_share_no_memory():
    array, arrays = np.zeros(3), {}
    pack({"a": array}, arrays)
    array[:] = 1
    assert (arrays["a"] == 0).all()


def test_what_a_tree_cannot_hold():
    with pytest.raises(TypeError, match="state.0 is a set"):
        pack({"state": [{1, 2}]}, {})
    with pytest.raises(ValueError, match="two arrays would be called 'a.b'"):
        pack({"a.b": np.ones(1), "a": {"b": np.ones(1)}}, {})


def test_names_in_the_file_are_the_models(trained, tmp_path):
    from safetensors.numpy import load_file

    arrays = load_file(trained.save("one"))
    weight = trained.model[5].weight.detach().numpy()
    np.testing.assert_array_equal(arrays["model.5.weight"], weight)
    assert "model.1.running_mean" in arrays


# ---------------------------------------------------------------------------------- save and load


def test_save_and_load_restore_weights_and_optimiser(trained, tmp_path):
    path = trained.save("stage-1")
    assert path == tmp_path / "models" / "stage-1.safetensors"
    other = toy_learner(tmp_path, ToyData(seed=9))
    assert other.load("stage-1") is other
    assert same_bits(weights_of(trained), weights_of(other))
    for a, b in zip(trained.opt.state.values(), other.opt.state.values(), strict=True):
        assert a["step"] == b["step"]
        assert a["exp_avg"].tobytes() == b["exp_avg"].tobytes()
    for learn in (trained, other):
        learn.data = ToyData()
        mt.manual_seed(5)
        learn.first_epoch = 1
        learn.fit(1, 1e-2)
    assert same_bits(weights_of(trained), weights_of(other))


def test_save_without_optimiser(trained, tmp_path):
    small, large = trained.save("small", with_opt=False), trained.save("large")
    assert small.stat().st_size < large.stat().st_size
    other = toy_learner(tmp_path)
    other.load("small")
    assert other.opt is None and same_bits(weights_of(trained), weights_of(other))


def test_the_optimiser_starts_afresh_where_other_layers_are_frozen(trained, tmp_path):
    trained.save("all")
    other = toy_learner(tmp_path).split(lambda m: [m[:5], m[5]])
    other.freeze()
    with pytest.warns(UserWarning, match="weights are loaded, but the optimiser starts afresh"):
        other.load("all")
    assert same_bits(weights_of(trained), weights_of(other))
    assert not other.opt.state


def test_loading_keeps_the_training_mode_and_the_random_stream(trained):
    trained.save("one")
    mt.manual_seed(3)
    expected = mt.backend.get_rng_state()
    trained.model.eval()
    trained.load("one")
    assert mt.backend.get_rng_state() == expected and not trained.model.training


# ------------------------------------------------------------------------------- what is refused


def learner_of(model, path):
    return Learner(ToyData(), model, path=path, progress=False)


def test_a_checkpoint_of_another_model_loads_nothing(trained, tmp_path):
    trained.save("one")
    other = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(64, 3))
    learn = learner_of(other, tmp_path)
    before = weights_of(learn)
    with pytest.raises(CheckpointError) as caught:
        learn.load("one")
    text = str(caught.value)
    assert "saved from Sequential, loaded into Sequential" in text
    assert "2 missing: 3.weight, 3.bias" in text
    assert "2 unexpected: 5.weight, 5.bias" in text
    assert "1.weight (4,) where the model has (8,)" in text
    assert "nothing was loaded" in text and "strict=False" in text
    assert same_bits(before, weights_of(learn))


def test_strict_false_loads_what_fits(trained, tmp_path):
    trained.save("one")
    other = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(8))
    learn = learner_of(other, tmp_path)
    with pytest.warns(UserWarning, match="loaded only what fits"):
        learn.load("one", with_opt=False, strict=False)
    loaded, saved = (m[0].weight.detach().cpu().numpy() for m in (other, trained.model))
    np.testing.assert_array_equal(loaded, saved)


def test_many_names_are_counted(tmp_path):
    learn = learner_of(nn.Sequential(nn.Linear(2, 2)), tmp_path)
    learn.save("small")
    big = learner_of(nn.Sequential(*[nn.Linear(2, 2) for _ in range(9)]), tmp_path)
    with pytest.raises(CheckpointError, match=r"16 missing: 1.weight, .* and 11 more"):
        big.load("small")


def test_a_missing_file_names_its_neighbours(trained):
    with pytest.raises(FileNotFoundError, match=r"no file .*none.safetensors.*no checkpoints"):
        trained.load("none")
    trained.save("stage-1")
    with pytest.raises(FileNotFoundError, match="that folder has stage-1"):
        trained.load("none")


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_file(trained, keep):
    path = trained.save("one")
    path.write_bytes(path.read_bytes()[:keep])
    before = weights_of(trained)
    with pytest.raises(CheckpointError, match=r"one.safetensors is cut short or damaged.*delete"):
        trained.load("one")
    assert same_bits(before, weights_of(trained))


def test_a_flipped_bit(trained):
    path = trained.save("one")
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged: its arrays do not have the checksum"):
        trained.load("one")


def test_files_of_others(trained, tmp_path):
    from safetensors.numpy import save_file

    trained.save("one")
    save_file({"w": np.ones(2)}, trained.checkpoint_path("w"))
    with pytest.raises(CheckpointError, match="no checkpoint of minitorch7"):
        trained.load("w")
    trained.checkpoint_path("pickle").write_bytes(b"\x80\x04K*.")
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        trained.load("pickle")


def test_a_later_format(trained, monkeypatch):
    monkeypatch.setattr("minitorch7.learner.checkpoints.FORMAT", 2)
    trained.save("new")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 2, and this version .* reads format 1"):
        trained.load("new")


# --------------------------------------------------------------------------------- whole or absent


def failing(code):
    def function(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return function


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, OSError), (errno.EACCES, PermissionError)]
)
def test_a_write_that_fails_leaves_the_old_file(trained, monkeypatch, step, code, kind):
    path = trained.save("one")
    before = path.read_bytes()
    trained.fit(1, 1e-2)
    monkeypatch.setattr(files.os, step, failing(code))
    with pytest.raises(kind, match=r"save: cannot write .*one.safetensors .*unchanged; choose"):
        trained.save("one")
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["one.safetensors"]


def test_a_file_that_cannot_be_opened(trained, monkeypatch):
    monkeypatch.setattr("builtins.open", failing(errno.EROFS))
    with pytest.raises(OSError, match="save: cannot write") as caught:
        trained.save("one")
    assert caught.value.errno == errno.EROFS


def test_a_folder_that_is_a_file(trained, tmp_path):
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(OSError, match=r"save: cannot write .*models"):
        trained.save("one")


def test_an_interrupted_write_leaves_nothing(trained, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trained.save("one")
    assert not list(trained.checkpoint_path("one").parent.iterdir())


def test_files_have_the_usual_permissions(tmp_path):
    write(tmp_path / "a.safetensors", {"x": np.ones(2)})
    (tmp_path / "b").write_text("")
    mode = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.safetensors", "b")]
    assert mode[0] == mode[1]
    assert list(read(tmp_path / "a.safetensors")) == ["x"]
