"""What the processes of `test_distributed` do; started several times at once, with a task's name.

    mpiexec -n 2 python tests/distributed_runs.py mpi train result.npz
    python tests/distributed_runs.py pipes:0:2:/tmp/socket train result.npz    (and 1:2 beside it)

The engine "pipes" is a run over local sockets: rank 0 hears all, adds up, and answers. It needs
nothing but Python, so that what does not concern MPI is tested on machines without it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing.connection import Client, Listener

import numpy as np

import minitorch7 as mt
from minitorch7 import backend, distributed, nn, optim
from minitorch7 import functional as F
from minitorch7.data import DataLoader
from minitorch7.distributed.sync_batchnorm import AllReduce
from minitorch7.learner import Learner, accuracy
from minitorch7.learner.tally import Tally

N, BS, SIDE = 48, 8, 6


class PipeGroup(distributed.Group):
    """Processes that talk through sockets, by way of rank 0."""

    engine = "pipes"

    def __init__(self, rank, size, address):
        self.rank = self.local_rank = rank
        self.size = self.local_size = size
        self.lines = []
        if rank == 0:
            with Listener(address, "AF_UNIX", backlog=size) as listener:
                for _ in range(size - 1):
                    self.lines.append(listener.accept())
        else:
            self.lines.append(self._called(address))

    @staticmethod
    def _called(address):
        """The line to rank 0, who may not be there yet."""
        while True:
            try:
                return Client(address, "AF_UNIX")
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.01)

    def exchange(self, array, combine):
        host = backend.to_numpy(array)
        if self.rank == 0:
            answer = combine([host, *(line.recv() for line in self.lines)])
            for line in self.lines:
                line.send(answer)
        else:
            self.lines[0].send(host)
            answer = self.lines[0].recv()
        assert answer.dtype == host.dtype and answer.shape == host.shape
        array[...] = backend.to(answer, backend.name_of(array))
        return array

    def all_reduce(self, array):
        return self.exchange(array, lambda a: np.asarray(np.add.reduce(a), a[0].dtype))

    def broadcast(self, array, root=0):
        assert root == 0
        return self.exchange(array, lambda arrays: arrays[0])

    def barrier(self):
        self.exchange(np.zeros(1), lambda arrays: arrays[0])


# ------------------------------------------------------------------- a net, data, and training it


class Numbers:
    """A data set of fixed float64 pictures and classes."""

    kind = "class"

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.y = rng.integers(0, 3, n)
        self.x = rng.normal(size=(n, 2, SIDE, SIDE)) + self.y[:, None, None, None]

    def __len__(self):
        return len(self.y)

    def gather(self, indices, rng):
        shifts = rng.normal(0, 0.1, len(indices))  # a random transform
        return self.x[indices] + shifts[:, None, None, None], self.y[indices]


class Exact(DataLoader):
    """A loader that leaves float64 as it is; the rest of what a DataLoader does, it does."""

    def arrays(self, epoch, index):
        return self.raw(epoch, index)


class Data:
    loss_func = staticmethod(F.cross_entropy)
    fix_dl = test_dl = None

    def __init__(self, n_valid=27):
        self.train_dl = Exact(Numbers(N, 1), BS, shuffle=True, drop_last=True, seed=5)
        self.valid_dl = Exact(Numbers(n_valid, 2), 5)


class LongTail(nn.Module):
    """A batch norm over rows, and a parameter that is larger than a bucket."""

    def __init__(self):
        super().__init__()
        self.wide, self.norm = nn.Linear(6, 40), nn.BatchNorm1d(40)
        self.last = nn.Linear(40, 3)

    def forward(self, x):
        return self.last(F.relu(self.norm(self.wide(x))))


def net(seed=0, dropout=0.0):
    mt.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        LongTail(),
    ).double()


def squared_share(pred, target):
    """(right answers / all answers)², a score of a set that is no mean of its batches' scores."""
    right = (pred.data.argmax(-1) == target.data).sum()
    xp = backend.library(pred.backend)
    counts = xp.stack([right, xp.full((), len(target))]).astype("float64")
    return Tally(counts, lambda c: (c[0] / c[1]) ** 2)


def learner(path=".", model=None, data=None, **options):
    """20 batches are 3⅓ epochs of 6; weight decay and momentum are on."""
    callbacks = options.pop("callbacks", [distributed.DataParallel(bucket_bytes=256)])
    options = {"metrics": [accuracy, squared_share], "progress": True, **options}
    optimiser = options.pop("opt_func", lambda params, lr: optim.SGD(params, lr, momentum=0.9))
    return Learner(
        data or Data(),
        model or net(),
        opt_func=optimiser,
        callbacks=callbacks,
        path=path,
        **options,
    )


def outcome(learn):
    """Everything that a fit leaves, as arrays by name."""
    recorder = learn.recorder
    return {
        **{f"model.{k}": backend.to_numpy(v.data) for k, v in learn.model.state_dict().items()},
        "losses": np.array(recorder.raw_losses),
        "validation": np.array([[r["valid_loss"], *m] for r, m in _rows(recorder)], float),
        "stream": np.array([backend.generator().random()]),
    }


def _rows(recorder):
    return zip(recorder.rows, recorder.metrics, strict=True)


def train(**options):
    """Four epochs of 6 batches: 24 steps."""
    learn = learner(**options)
    learn.fit_one_cycle(4, 0.05)
    return outcome(learn)


# --------------------------------------------------------------------------------------- the tasks


def task_train(result):
    found = train()
    drawn = distributed.gather(found["stream"])  # dropout's streams have come together again
    assert (drawn == drawn[0]).all()
    save(result, found)


def task_standin(result):
    """The same on the CuPy stand-in, by way of the host."""
    import standin

    with standin.installed(), mt.using("cupy"):
        save(result, train())


def task_search(result):
    """A search for the learning rate: all must stop after the same batch."""
    learn = learner()
    learn.lr_find(num_it=40, end_lr=1e4)
    save(result, {**outcome(learn), "lrs": np.array(learn.recorder.lrs)})


def task_local(result):
    """Batch norm by each process on its own; dropout; draws of its own."""
    parallel = distributed.DataParallel(sync_batchnorm=False, same_draws=False)
    data = Data(n_valid=5)  # one batch only: both go through it
    save(result, train(model=net(dropout=0.3), data=data, callbacks=[parallel]))


def task_resume(result):
    """Two of four epochs, then the whole call again from its checkpoint."""
    from minitorch7.learner import Callback

    class Stop(Callback):
        def on_batch_begin(self):
            if self.learn.epoch == 2 and self.learn.training:
                raise Stopped

    learn = learner(os.path.dirname(result), callbacks=[distributed.DataParallel(), Stop()])
    try:
        learn.fit_one_cycle(4, 0.05, checkpoint="half")
    except Stopped:
        print("stopped", distributed.rank())
    distributed.barrier()
    learn = learner(os.path.dirname(result), callbacks=[distributed.DataParallel()])
    learn.fit_one_cycle(4, 0.05, checkpoint="half")
    save(result, outcome(learn))


class Stopped(Exception):
    pass


def task_second_order(result):
    """y, first and second derivatives of batch norm over parts of unequal size."""
    rank = distributed.rank()
    x, g, gamma, beta = second_order_inputs()
    part = slice(0, 2) if rank == 0 else slice(2, 5)
    answers = second_order(x[part], g[part], gamma, beta, distributed.sync_batch_norm, part)
    save(f"{result}.{rank}.npz", answers, every=True)


def second_order_inputs():
    rng = np.random.default_rng(7)
    x = rng.normal(3, 2, (5, 3, 2, 2))
    return x, rng.normal(size=x.shape), rng.normal(1, 0.3, 3), rng.normal(size=3)


def second_order(x, g, gamma, beta, norm, part):
    """The gradient of Σ g·y, and that of ⟨its answers, random numbers⟩.

    The random numbers for dγ and dβ are the same in all processes, whose dγ and dβ add up.
    """
    rng = np.random.default_rng(8)
    u, v, w = rng.normal(size=(5, 3, 2, 2))[part], rng.normal(size=3), rng.normal(size=3)
    inputs = [mt.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    mean, var = mt.zeros(3, dtype="float64"), mt.ones(3, dtype="float64")
    y = norm(inputs[0], mean, var, inputs[1], inputs[2])
    cotangent = mt.tensor(g, requires_grad=True)
    first = mt.grad(y, inputs, cotangent, create_graph=True)
    inner = sum((a * mt.tensor(b)).sum() for a, b in zip(first, (u, v, w), strict=True))
    second = mt.grad(inner, [cotangent, inputs[0], inputs[1]])
    names = ("dx", "dgamma", "dbeta", "ddy", "ddx", "ddgamma")
    found = {n: t.data for n, t in zip(names, [*first, *second], strict=True)}
    return {"y": y.data, "mean": mean.data, "var": var.data, **found}


def task_buckets(result):
    """Sums and means of arrays of many sizes and dtypes."""
    rank = distributed.rank()
    arrays = bucket_arrays(rank)
    floats = [a for a in arrays if a.dtype.kind == "f"]
    means = distributed.all_reduce(floats, bucket_bytes=100)
    sums = distributed.all_reduce(arrays, "sum", bucket_bytes=100)
    model = net(seed=rank)
    distributed.broadcast(model, bucket_bytes=1000)
    x = mt.tensor(np.arange(3.0), requires_grad=True)
    (AllReduce()(x) * (rank + 2.0)).sum().backward()
    table = distributed.gather([rank, np.nan, -np.inf if rank else 4])
    found = {f"mean{i}": a for i, a in enumerate(means)} | {
        f"sum{i}": a for i, a in enumerate(sums)
    }
    weights = {f"model.{k}": v.data for k, v in model.state_dict().items()}
    save(
        f"{result}.{rank}.npz",
        {**found, **weights, "table": table, "grad": x.grad.data},
        every=True,
    )


def bucket_arrays(rank):
    rng = np.random.default_rng(rank)
    shapes = [(3,), (), (40,), (2, 2), (0, 5), (1,), (5, 4)]
    kinds = ["f4", "f8", "f4", "f4", "f8", "i8", "f2"]
    made = [
        np.asarray(10 * rng.normal(size=s)).astype(k) for s, k in zip(shapes, kinds, strict=True)
    ]
    return [*made, np.asfortranarray(rng.normal(size=(3, 4))), rng.normal(size=(4, 6)).T[::2]]


def task_models(result):
    """Rank 1 has built another model: all are told."""
    model = net() if distributed.rank() == 0 else nn.Sequential(*net(), nn.Linear(3, 3).double())
    learner(model=model).fit(1, 0.01)


def task_frozen(result):
    """The same model, but rank 1 has frozen a layer."""
    model = net()
    model[0].requires_grad_(distributed.rank() == 0)
    learner(model=model).fit(1, 0.01)


def task_drift(result):
    """Rank 1 moves a weight on its own."""
    from minitorch7.learner import Callback

    class Nudge(Callback):
        def on_step_end(self):
            if distributed.rank() == 1 and self.learn.batch == 3:
                self.learn.model[3].weight.data[0] += 1e-9

    learn = learner(callbacks=[distributed.DataParallel(), Nudge()])
    learn.fit(1, 0.01)


def task_error(result):
    """Rank 1 fails in the middle of an epoch while rank 0 waits for its gradients."""
    _fail_at(lambda: (_ for _ in ()).throw(OSError("the disk of rank 1 is gone")))


def task_killed(result):
    """Rank 1 is killed in the middle of an epoch."""
    _fail_at(lambda: os.kill(os.getpid(), signal.SIGKILL))


def task_stuck(result):
    """Rank 1 goes another way, and never comes to rank 0's collective operation."""
    if distributed.rank() == 0:
        distributed.all_reduce([np.ones(3)])
    else:
        time.sleep(60)


def _fail_at(what):
    from minitorch7.learner import Callback

    class Fail(Callback):
        def on_backward_end(self):
            if self.learn.done == 2 and distributed.rank() == 1:
                what()

    learner(callbacks=[Fail(), distributed.DataParallel()]).fit(4, 0.01)
    time.sleep(60)


def save(path, arrays, every=False):
    """Only rank 0 writes, unless each process has a file of its own."""
    if every or distributed.rank() == 0:
        np.savez(path, **{k: backend.to_numpy(v) for k, v in arrays.items()})


def main(engine, task, result, timeout="60"):
    if engine == "mpi":
        distributed.init("mpi", timeout=float(timeout))
    else:
        _, rank, size, address = engine.split(":")
        distributed.use_group(PipeGroup(int(rank), int(size), address))
    globals()[f"task_{task}"](result)
    distributed.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
