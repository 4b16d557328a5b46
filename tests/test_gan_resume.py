"""A GAN's training that dies and is taken up again: weights, turns, columns, to the last bit.

Run as a script, this file trains once and writes the weights; a test below starts it, kills it, and
starts it again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import standin
from test_gan_training import PictureData, toy_gan, toy_wgan
from test_learner_toy import same_bits, weights_of

import minitorch7 as mt
from minitorch7 import backend
from minitorch7.learner import Callback, CheckpointError
from minitorch7.learner.checkpoints import read
from minitorch7.vision.gan_switchers import (
    AdaptiveGANSwitcher,
    FixedGANSwitcher,
    GANDiscriminativeLR,
)

ROOT = Path(__file__).resolve().parent.parent
EVENTS = ("batch_begin", "loss_begin", "backward_begin", "backward_end", "step_end", "batch_end")


class Dies(Exception):
    """Stands for the death of the process."""


class At(Callback):
    """Raises when `done` training batches are done, at one event."""

    def __init__(self, event, done, training=True):
        self.done, self.training = done, training
        setattr(self, f"on_{event}", self.act)

    def act(self):
        if self.learn.training == self.training and self.learn.done == self.done:
            raise Dies


def pretrained(path, switcher=None, **options):
    """7 batches an epoch: epochs end at different places of a turn."""
    switcher = switcher or partial(FixedGANSwitcher, 3, 2)
    callbacks = [GANDiscriminativeLR()]
    return toy_gan(path, PictureData(7), callbacks=callbacks, switcher=switcher, **options)


def penalised(path, **options):
    data = PictureData(7, 0, pairs=False)
    options = {"norm_free": True, "gradient_penalty": 10.0, **options}
    return toy_wgan(data, path=path, switcher=FixedGANSwitcher(2, 1), **options)


def clipped(path):
    growing = partial(FixedGANSwitcher, n_crit=lambda n: 1 + n, n_gen=1)
    return toy_wgan(PictureData(7, 0, pairs=False), path=path, switcher=growing)


def adaptive(path):
    return pretrained(path, partial(AdaptiveGANSwitcher, critic_thresh=0.72), gen_first=True)


KINDS = (pretrained, adaptive, penalised, clipped)


def fit(learn, epochs=3, **options):
    learn.fit(epochs, 3e-3, checkpoint="gan", **{"checkpoint_every": 2, **options})
    return learn


def everything(learn):
    """All that must be the same at the end."""
    optimizer = learn.opt.state_dict()
    moments = {
        f"{number}.{name}": np.asarray(backend.to_numpy(getattr(value, "data", value)))
        for number, kept in optimizer["state"].items()
        for name, value in kept.items()
        if name != "step"
    }
    steps = {number: kept["step"] for number, kept in optimizer["state"].items()}
    rows = [{**row, "time": 0} for row in learn.recorder.rows]
    trainer = learn.gan_trainer
    return {
        "weights": weights_of(learn),
        "moments": moments,
        "exact": (
            steps,
            [{k: v for k, v in g.items() if k != "params"} for g in optimizer["param_groups"]],
            learn.recorder.raw_losses,
            rows,
            trainer.log,
            trainer.gen_losses,
            trainer.disc_losses,
            learn.switcher.state_dict(),
            backend.get_rng_state(),
        ),
    }


def assert_same(one, other):
    assert same_bits(one["weights"], other["weights"])
    assert same_bits(one["moments"], other["moments"])
    assert one["exact"] == other["exact"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    found = {}

    def ends(kind):
        if kind not in found:
            learn = fit(kind(tmp_path_factory.mktemp("undisturbed")))
            found[kind] = everything(learn)
            assert set(found[kind]["exact"][4]) == {"critic", "generator"}
            if kind is pretrained:
                log = found[kind]["exact"][4]
                assert (log[8], log[20]) == ("generator", "critic")
        return found[kind]

    return ends


# --------------------------------------------------------------------------- in the same process


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("done", [8, 20])
def test_a_run_that_died_ends_with_the_same_bits(tmp_path, undisturbed, event, done):
    """In a generator's batch in the second epoch, and in a critic's in the last."""
    with pytest.raises(Dies):
        fit(pretrained(tmp_path), callbacks=[At(event, done)])
    again = fit(pretrained(tmp_path))
    assert_same(everything(again), undisturbed(pretrained))
    assert again.model.gen_mode and all(p.requires_grad for p in again.model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gan_resumes(tmp_path, undisturbed, kind):
    for event, done in (("backward_end", 3), ("step_end", 9), ("batch_end", 15)):
        with pytest.raises(Dies):
            fit(kind(tmp_path), callbacks=[At(event, done)])
    assert_same(everything(fit(kind(tmp_path))), undisturbed(kind))


def test_a_run_that_died_in_validation(tmp_path, undisturbed):
    with pytest.raises(Dies):
        fit(pretrained(tmp_path), callbacks=[At("loss_begin", 14, training=False)])
    assert read(tmp_path / "models" / "gan.safetensors")["position"] == (1, 7, 14)
    assert_same(everything(fit(pretrained(tmp_path))), undisturbed(pretrained))


def test_a_run_that_died_in_the_same_learner(tmp_path, undisturbed):
    """Rates, modes and what requires a gradient are put back by the failure itself."""
    learn = pretrained(tmp_path)
    with pytest.raises(Dies):
        fit(learn, callbacks=[At("backward_end", 8)])
    assert_same(everything(fit(learn)), undisturbed(pretrained))


def test_what_follows_a_resumed_fit_is_the_same_too(tmp_path):
    ends = []
    for folder, dies in (("whole", False), ("parts", True)):
        if dies:
            with pytest.raises(Dies):
                fit(pretrained(tmp_path / folder), callbacks=[At("step_end", 10)])
        learn = fit(pretrained(tmp_path / folder))
        learn.fit(2, 1e-3)
        ends.append(everything(learn))
    assert_same(*ends)


def test_a_finished_training_only_loads(tmp_path, undisturbed):
    fit(pretrained(tmp_path))
    again = fit(pretrained(tmp_path), callbacks=[At("batch_begin", 0)])
    assert_same(everything(again), undisturbed(pretrained))
    assert again.model.gen_mode and all(p.requires_grad for p in again.model.parameters())


@pytest.mark.parametrize("kind", [pretrained, penalised])
def test_on_a_device_too(tmp_path, kind):
    ends = []
    with standin.installed(), mt.using("cupy"):
        ends.append(everything(fit(kind(tmp_path / "whole", read_every=5))))
        for event, done in (("step_end", 5), ("backward_begin", 12)):
            with pytest.raises(Dies):
                fit(kind(tmp_path, read_every=5), callbacks=[At(event, done)])
        ends.append(everything(fit(kind(tmp_path, read_every=5))))
    assert_same(*ends)


def test_the_checkpoint_is_small_in_what_it_adds(tmp_path):
    fit(pretrained(tmp_path))
    state = read(tmp_path / "models" / "gan.safetensors")["callbacks"]
    assert state.keys() == {"GANTrainer", "FixedGANSwitcher"}
    log = state["GANTrainer"]["log"]
    assert log.dtype == np.int8 and log.tolist()[:6] == [0, 0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"switcher": FixedGANSwitcher(3, 1)}, r"n_gen=2\), .* n_gen=1\)"),
        ({"clip": 0.1}, "clip=None.*clip=0.1"),
        ({"switch_eval": False}, "switch_eval=True.*switch_eval=False"),
        ({"gen_first": True}, "gen_first=False.*gen_first=True"),
    ],
)
def test_another_game_is_refused(tmp_path, options, message):
    fit(pretrained(tmp_path))
    with pytest.raises(CheckpointError, match=f"belongs to another training: gan was .*{message}"):
        fit(pretrained(tmp_path, **options))


def test_another_penalty_is_refused(tmp_path):
    fit(penalised(tmp_path), 1)
    with pytest.raises(CheckpointError, match=r"penalty 10\.0, now .* penalty 5\.0"):
        fit(penalised(tmp_path, gradient_penalty=5.0), 1)


# ------------------------------------------------------------------------- in a process of its own


def main(folder):
    """Train with a checkpoint after every batch, and write the weights at the end."""
    learn = pretrained(folder)
    fit(learn, 6, checkpoint_every=1)
    np.savez(Path(folder) / "weights.npz", **weights_of(learn))


def start(folder):
    command = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def final_weights(folder):
    with np.load(Path(folder) / "weights.npz") as saved:
        return dict(saved)


def inode(path):
    """What changes when a file is replaced; None where there is no file."""
    return path.stat().st_ino if path.exists() else None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which Windows lacks")
def test_killed_at_random_instants(tmp_path):
    """Each process lives until it has written once, and a random while longer."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start(whole).wait() == 0
    path, instants = parts / "models" / "gan.safetensors", random.Random(3)
    for _ in range(2):
        before, process = inode(path), start(parts)
        while inode(path) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(instants.uniform(0, 0.05))
        process.kill()
        process.wait()
        assert not (parts / "weights.npz").exists(), "the run was over before it was killed"
    assert start(parts).wait() == 0
    assert same_bits(final_weights(parts), final_weights(whole))


if __name__ == "__main__":
    main(*sys.argv[1:])
