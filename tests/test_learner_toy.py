"""The toy problem that the learner's tests train on: three clouds of points as 4×4 pictures.

An epoch takes a few milliseconds. The loader keeps the data room's promise that a batch is a pure
function of (seed, epoch, index). Run as a script, this file trains once and writes the weights;
`test_learner_resume` starts it, kills it, and starts it again.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

import numpy as np

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.learner import Learner, accuracy

CLASSES = ["ant", "bee", "cat"]


class ToyLoader:
    """Batches (x (n, 1, 4, 4), y (n,)) of fixed arrays."""

    def __init__(self, x, y, batch_size, seed=0, shuffle=False):
        self.x, self.y, self.batch_size, self.seed, self.shuffle = x, y, batch_size, seed, shuffle

    @property
    def n(self):
        return len(self.x)

    def __len__(self):
        whole, rest = divmod(self.n, self.batch_size)
        return whole + bool(rest and not self.shuffle)

    def batches(self, epoch, start=0):
        order = np.arange(self.n)
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.n)
        for i in range(start, len(self)):
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            yield mt.tensor(self.x[rows]), mt.tensor(self.y[rows])


class ToyData:
    """What a Learner asks of a DataBunch. The pictures are normalised by mean ½, deviation ¼."""

    loss_func = staticmethod(F.cross_entropy)

    def __init__(self, n_train=60, n_valid=25, batch_size=10, seed=0, valid=True):
        rng = np.random.default_rng(1)
        centres = rng.random((3, 1, 4, 4))
        y = rng.integers(0, 3, n_train + n_valid)
        pictures = np.clip(centres[y] + rng.normal(0, 0.15, (len(y), 1, 4, 4)), 0, 1)
        x = ((pictures - 0.5) / 0.25).astype(np.float32)
        train, held_out = (x[:n_train], y[:n_train]), (x[n_train:], y[n_train:])
        self.train_dl = ToyLoader(*train, batch_size, seed, shuffle=True)
        self.fix_dl = ToyLoader(*train, batch_size, seed)
        self.valid_dl = ToyLoader(*held_out, batch_size, seed) if valid else None
        self.test_dl = None
        self.classes, self.c = CLASSES, 3

    def one_batch(self):
        return next(self.train_dl.batches(0))

    def denorm(self, x):
        return x * 0.25 + 0.5

    def one_item(self, item):
        return mt.tensor((np.asarray(item, np.float32)[None] - 0.5) / 0.25)


def toy_model(seed=0):
    """A small net with everything that a checkpoint must hold: buffers, dropout's random draws."""
    mt.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, 3),
    )


def toy_learner(path=".", data=None, **options):
    options = {"metrics": accuracy, "progress": False, **options}
    return Learner(data or ToyData(), toy_model(), path=path, **options)


def weights_of(learn):
    """A copy of everything in the model's state, on the host."""
    state = learn.model.state_dict()
    return {name: mt.backend.to_numpy(value.data).copy() for name, value in state.items()}


def same_bits(a, b):
    """Whether two states are equal to the last bit."""
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


def test_batches_depend_on_seed_epoch_and_index_only():
    loader = ToyData().train_dl
    whole = [x.numpy() for x, _ in loader.batches(3)]
    rest = [x.numpy() for x, _ in loader.batches(3, start=4)]
    assert len(whole) == 6 and len(rest) == 2
    np.testing.assert_array_equal(whole[4], rest[0])
    assert not np.array_equal(whole[0], next(loader.batches(4))[0].numpy())


def main(folder, step=None, count=0):
    """Train with a checkpoint after every batch, and write the weights at the end.

    With `step`, the name of a function of `os`, die instead at its `count`-th call.
    """
    learn = toy_learner(folder)
    if step:
        setattr(os, step, deadly(getattr(os, step), int(count)))
    print("begin", flush=True)
    learn.fit_one_cycle(10, 0.1, checkpoint="toy", checkpoint_every=1)
    np.savez(Path(folder) / "weights.npz", **weights_of(learn))


def deadly(function, count):
    """`function`, but the `count`-th call kills this process before it does anything."""
    calls = itertools.count(1)

    def called(*arguments):
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)

    return called


if __name__ == "__main__":
    main(*sys.argv[1:])
