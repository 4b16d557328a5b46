"""Training that survives: killed at any instant, stopped by Ctrl-C, taken up again."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import standin
from test_learner_toy import ToyData, same_bits, toy_learner, weights_of

from minitorch7 import backend, optim
from minitorch7.learner import Callback, CancelFit, CheckpointError
from minitorch7.learner.checkpoints import read

ROOT = Path(__file__).resolve().parent.parent


class Dies(Exception):
    """Stands for the death of the process."""


class At(Callback):
    """Raises when `done` training batches are done, at one event."""

    def __init__(self, event, done, exception, order=0):
        self.done, self.exception, self.order = done, exception, order
        setattr(self, f"on_{event}", self.act)

    def act(self):
        if self.learn.training and self.learn.done == self.done:
            raise self.exception


def fit(learn, **options):
    learn.fit_one_cycle(3, 0.1, checkpoint="toy", **{"checkpoint_every": 4, **options})
    return weights_of(learn)


@pytest.fixture
def undisturbed(tmp_path):
    learn = toy_learner(tmp_path / "undisturbed")
    return fit(learn), learn


# --------------------------------------------------------------------------- in the same process


def test_on_a_device_too(tmp_path):
    ends = []
    with standin.installed(), backend.using("cupy"):
        ends.append(fit(toy_learner(tmp_path / "whole", read_every=5)))
        with pytest.raises(Dies):
            fit(toy_learner(tmp_path, read_every=5), callbacks=[At("step_end", 9, Dies)])
        ends.append(fit(toy_learner(tmp_path, read_every=5)))
    assert same_bits(*ends)
    learn = toy_learner(tmp_path).load("toy")  # and on the host
    assert same_bits(weights_of(learn), ends[0])


@pytest.mark.parametrize("event", ["batch_begin", "backward_end", "step_end", "batch_end"])
@pytest.mark.parametrize("done", [3, 6, 11])
def test_a_run_that_died_ends_with_the_same_bits(tmp_path, undisturbed, event, done):
    expected, whole = undisturbed
    with pytest.raises(Dies):
        fit(toy_learner(tmp_path), callbacks=[At(event, done, Dies)])
    again = toy_learner(tmp_path)
    assert same_bits(fit(again), expected)
    for series in ("losses", "raw_losses", "lrs", "moms"):
        assert getattr(again.recorder, series) == getattr(whole.recorder, series)
    for row, other in zip(again.recorder.rows, whole.recorder.rows, strict=True):
        assert {**row, "time": 0} == {**other, "time": 0}


def test_a_run_that_died_goes_on_in_the_same_learner(tmp_path, undisturbed):
    learn = toy_learner(tmp_path)
    with pytest.raises(Dies):
        fit(learn, callbacks=[At("backward_end", 9, Dies)])
    assert same_bits(fit(learn), undisturbed[0])


def test_what_follows_a_resumed_fit_is_the_same_too(tmp_path, undisturbed):
    _, whole = undisturbed
    with pytest.raises(Dies):
        fit(toy_learner(tmp_path), callbacks=[At("batch_end", 9, Dies)])
    again = toy_learner(tmp_path)
    fit(again)
    end = []
    for learn in (whole, again):
        saved = read(learn.checkpoint_path("toy"))
        learn.opt.load_state_dict(saved["optimizer"])
        backend.set_rng_state(saved["rng"])
        learn.fit(1, 1e-2)
        end.append(weights_of(learn))
    assert same_bits(*end)


def test_a_finished_training_only_loads(tmp_path, undisturbed, capsys):
    expected, _ = undisturbed
    fit(toy_learner(tmp_path))
    again = toy_learner(tmp_path)
    seen = At("batch_begin", 0, Dies)
    assert same_bits(fit(again, callbacks=[seen]), expected)
    assert "toy.safetensors: training had finished" in capsys.readouterr().out
    assert len(again.recorder.rows) == 3 and again.first_epoch == 3


def test_restart_begins_again(tmp_path, undisturbed):
    fit(toy_learner(tmp_path))
    again = toy_learner(tmp_path)
    begun = At("batch_begin", 0, Dies)
    with pytest.raises(Dies):
        fit(again, restart=True, callbacks=[begun])


def test_a_fit_ended_by_a_callback_counts_as_finished(tmp_path, capsys):
    class Stop(Callback):
        def on_epoch_end(self):
            raise CancelFit

    ends = []
    for _ in range(2):
        learn = toy_learner(tmp_path)
        ends.append(fit(learn, callbacks=[Stop()]))
        assert len(learn.recorder.rows) == 1
    assert same_bits(*ends) and "training had finished" in capsys.readouterr().out


def test_constant_rate_and_discriminative_rates_resume(tmp_path):
    ends = []
    for folder, stop in (("whole", None), ("parts", 5), ("parts", None)):
        learn = toy_learner(tmp_path / folder, bn_wd=False)
        learn.split([learn.model[5]])
        options = {"checkpoint": "x", "checkpoint_every": 2}
        if stop:
            with pytest.raises(Dies):
                learn.fit(2, slice(1e-4, 1e-2), callbacks=[At("batch_end", stop, Dies)], **options)
        else:
            learn.fit(2, slice(1e-4, 1e-2), **options)
            ends.append(weights_of(learn))
    assert same_bits(*ends)


class Counter(Callback):
    """Remembers how many batches it has seen, validation batches among them."""

    def __init__(self):
        self.count, self.noise = 0, np.zeros(2)

    def on_batch_end(self):
        self.count += 1
        self.noise = self.noise + 0.1

    def state_dict(self):
        return {"count": self.count, "noise": self.noise}

    def load_state_dict(self, state):
        vars(self).update(state)


def test_callbacks_state_is_resumed(tmp_path):
    with pytest.raises(Dies):
        fit(toy_learner(tmp_path), callbacks=[Counter(), At("batch_end", 9, Dies, order=200)])
    counter = Counter()
    fit(toy_learner(tmp_path), callbacks=[counter])
    assert counter.count == 27  # 18 training and 9 validation batches, each once
    np.testing.assert_allclose(counter.noise, 2.7)


# ------------------------------------------------------------------------- when it is written


def writes(tmp_path, every):
    positions = []

    class Watch(Callback):
        order = 200

        def on_batch_end(self):
            path = self.learn.checkpoint_path("toy")
            if self.learn.training and path.exists():
                positions.append((self.learn.done, read(path)["position"][2]))

    fit(toy_learner(tmp_path), checkpoint_every=every, callbacks=[Watch()])
    return positions


def test_every_so_many_batches_and_at_each_epochs_end(tmp_path):
    written = writes(tmp_path, 4)  # 6 batches an epoch
    assert sorted({at for _, at in written}) == [4, 6, 8, 12, 16, 18]
    assert all(done - at < 4 for done, at in written)


def test_at_each_epochs_end_without_an_interval(tmp_path):
    assert sorted({at for _, at in writes(tmp_path, None)}) == [6, 12, 18]


def test_after_so_much_time(tmp_path):
    assert {at for _, at in writes(tmp_path, timedelta(0))} == set(range(1, 19))
    assert {at for _, at in writes(tmp_path / "b", timedelta(hours=1))} == {6, 12, 18}


# ----------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_lr": 0.2}, "max_lr was 0.1, now 0.2"),
        ({"cyc_len": 5}, "epochs was 3, now 5"),
        ({"wd": 0.5}, r"wd was \[0.01\], now \[0.5\]"),
        ({"pct_start": 0.5}, "pct_start was 0.3, now 0.5"),
    ],
)
def test_another_call_is_refused(tmp_path, change, message):
    fit(toy_learner(tmp_path))
    learn = toy_learner(tmp_path)
    before = weights_of(learn)
    with pytest.raises(
        CheckpointError, match=rf"belongs to another training: {message}\. Call fit"
    ):
        learn.fit_one_cycle(**{"cyc_len": 3, "max_lr": 0.1, "checkpoint": "toy", **change})
    assert same_bits(before, weights_of(learn))


def test_other_data_is_refused(tmp_path):
    fit(toy_learner(tmp_path))
    with pytest.raises(CheckpointError, match="data_seed was 0, now 7"):
        fit(toy_learner(tmp_path, ToyData(seed=7)))


def test_another_loss_is_refused(tmp_path):
    fit(toy_learner(tmp_path))
    learn = toy_learner(tmp_path)
    own = learn.loss_func
    learn.loss_func = lambda input, target: 2 * own(input, target)
    with pytest.raises(CheckpointError, match="loss was .*, now <lambda>"):
        fit(learn)


def test_another_optimiser_is_refused(tmp_path):
    fit(toy_learner(tmp_path))
    learn = toy_learner(tmp_path, opt_func=partial(optim.AdamW, betas=(0.0, 0.99)))
    with pytest.raises(CheckpointError, match=r"optimizer_options was .*, now {'betas': \(0.0, 0"):
        fit(learn)


def test_other_items_of_the_same_number_are_refused(tmp_path):
    class Named:
        def __init__(self, *items):
            self.x, self.items = self, items

    fit(with_items(toy_learner(tmp_path), Named("a.png", "b.png")))
    fit(with_items(toy_learner(tmp_path), Named("b.png", "a.png")))  # the order is no matter
    with pytest.raises(CheckpointError, match="items was 2, [0-9a-f]{8}, now 2, [0-9a-f]{8}"):
        fit(with_items(toy_learner(tmp_path), Named("a.png", "c.png")))


def with_items(learn, dataset):
    """The learner, whose loader says that it serves `dataset`."""
    learn.data.train_dl.dataset = dataset
    return learn


def test_a_callback_whose_state_was_kept_must_be_there(tmp_path):
    class Keeps(Callback):
        def state_dict(self):
            return {"number": 1}

    fit(toy_learner(tmp_path), callbacks=[Keeps(), Keeps()])
    with pytest.raises(CheckpointError, match="callbacks that are not here: Keeps 2; call fit"):
        fit(toy_learner(tmp_path), callbacks=[Keeps()])


def test_a_saved_model_is_no_training(tmp_path):
    learn = toy_learner(tmp_path)
    learn.save("toy")
    with pytest.raises(CheckpointError, match="written by learn.save, not by a training"):
        fit(learn)


def test_bad_intervals(tmp_path):
    with pytest.raises(ValueError, match="checkpoint_every: needs at least 1 batch, got 0"):
        fit(toy_learner(tmp_path), checkpoint_every=0)


def test_a_training_checkpoint_can_be_loaded_as_a_model(tmp_path, undisturbed):
    expected, whole = undisturbed
    learn = toy_learner(tmp_path / "undisturbed")
    assert same_bits(weights_of(learn.load("toy")), expected)


# ------------------------------------------------------------------------------------------ Ctrl-C


@pytest.fixture
def at_a_prompt(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)


def test_ctrl_c_at_a_prompt_returns_and_keeps_everything(
    tmp_path, undisturbed, capsys, at_a_prompt
):
    class Press(Callback):
        def on_backward_begin(self):
            if self.learn.done == 8:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)

    learn = toy_learner(tmp_path)
    fit(learn, callbacks=[Press()])
    out = capsys.readouterr().out
    assert "Stopped by Ctrl-C at epoch 1, batch 3." in out
    assert "toy.safetensors is written; the same call goes on from it." in out
    assert learn.done == len(learn.recorder.losses) == 9  # the batch under way was finished
    assert learn.model.training and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same_bits(fit(toy_learner(tmp_path)), undisturbed[0])


def test_ctrl_c_in_a_script_goes_on_upwards(tmp_path):
    class Press(Callback):
        def on_batch_begin(self):
            if self.learn.done == 4:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(toy_learner(tmp_path), callbacks=[Press()])
    assert read(tmp_path / "models" / "toy.safetensors")["position"] == (0, 5, 5)


def test_ctrl_c_in_the_middle_of_a_step_writes_nothing(tmp_path, capsys, at_a_prompt):
    learn = toy_learner(tmp_path)
    fit(learn, callbacks=[At("backward_end", 5, KeyboardInterrupt)])
    assert "toy.safetensors is as it was last written" in capsys.readouterr().out
    assert read(learn.checkpoint_path("toy"))["position"] == (0, 4, 4)


def test_a_second_ctrl_c_does_not_wait(tmp_path, at_a_prompt):
    class PressTwice(Callback):
        def on_backward_end(self):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
            raise AssertionError("not interrupted")

    learn = toy_learner(tmp_path)
    learn.fit(1, 1e-2, callbacks=[PressTwice()])
    assert learn.done == 0


def test_ctrl_c_during_validation(tmp_path, undisturbed, at_a_prompt):
    class Press(Callback):
        def on_loss_begin(self):
            if not self.learn.training and self.learn.epoch == 1 and len(self.learn.yb) < 10:
                raise KeyboardInterrupt  # in the last validation batch, the third

    learn = toy_learner(tmp_path)
    fit(learn, callbacks=[Press(), Counter()])
    assert read(learn.checkpoint_path("toy"))["position"] == (1, 6, 12)
    counter = Counter()  # sees that validation again from its beginning, as if for the first time
    assert same_bits(fit(toy_learner(tmp_path), callbacks=[counter]), undisturbed[0])
    assert counter.count == 27


def test_ctrl_c_in_the_last_validation_is_not_lost(tmp_path):
    class Press(Callback):
        def on_epoch_end(self):
            if self.learn.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(toy_learner(tmp_path), callbacks=[Press()])
    assert read(tmp_path / "models" / "toy.safetensors")["position"] == (3, 0, 18)


def test_training_goes_on_after_ctrl_c(at_a_prompt):
    learn = toy_learner()
    learn.fit(2, 1e-2, callbacks=[At("batch_begin", 3, KeyboardInterrupt)])
    learn.fit(1, 1e-2)
    assert len(learn.recorder.rows) == 1 and learn.validate()


# ------------------------------------------------------------------------------------------- killed


def start(folder, *arguments):
    """Begin the toy training in a process of its own; it has said 'begin' when this returns."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "test_learner_toy.py"), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begin\n"
    return process


def finish(process):
    """(how it ended, what it printed)"""
    with process.stdout:
        out = process.stdout.read()  # not communicate(), which overlooks what readline() buffered
    return process.wait(timeout=60), out


def final_weights(folder):
    with np.load(Path(folder) / "weights.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory):
    """The weights of a process that was left alone."""
    folder = tmp_path_factory.mktemp("alone")
    assert finish(start(folder))[0] == 0
    return final_weights(folder)


def inode(path):
    """What changes when a file is replaced; None where there is no file."""
    return path.stat().st_ino if path.exists() else None


def test_killed_at_random_instants(tmp_path, never_killed):
    """Each process lives until it has written once, and a random while longer."""
    path, instants = tmp_path / "models" / "toy.safetensors", random.Random(7)
    for life in range(4):
        before, process = inode(path), start(tmp_path)
        while inode(path) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(instants.uniform(0, 0.03))
        process.kill()
        out = finish(process)[1]
        assert not life or re.search("going on at epoch|training had finished", out)
    assert finish(start(tmp_path))[0] == 0
    assert same_bits(final_weights(tmp_path), never_killed)


@pytest.mark.parametrize(("step", "count"), [("fsync", 12), ("replace", 9)])
def test_killed_while_writing(tmp_path, never_killed, step, count):
    code, _ = finish(start(tmp_path, step, str(count)))
    assert code == -signal.SIGKILL
    assert finish(start(tmp_path))[0] == 0
    assert same_bits(final_weights(tmp_path), never_killed)
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["toy.safetensors"]
