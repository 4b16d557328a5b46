"""Two processes that train one model, against one process with the whole batch.

The processes are those of `distributed_runs`, started here: by mpiexec where mpi4py and an MPI are
installed, and over local sockets everywhere.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import distributed_runs as runs
import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import backend, distributed, nn, text
from minitorch7 import functional as F
from minitorch7.data import DataLoader
from minitorch7.distributed import data_parallel, launcher, mpi, nccl, shard
from minitorch7.distributed import group as groups
from minitorch7.distributed.data_parallel import _move_stream
from minitorch7.distributed.shard import EveryNth, Shard

HERE = Path(__file__).resolve().parent
LIMIT = 60  # seconds: a run that hangs fails
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="no MPI: pip install mpi4py mpich",
)


def run(engine, task, result="result.npz", n=2, timeout=20):
    """(exit status, what was printed) of `n` processes that do one task."""
    script, environment = str(HERE / "distributed_runs.py"), dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE)])
    environment["OPENBLAS_NUM_THREADS"] = "1"
    rest = [task, str(result), str(timeout)]
    if engine == "mpi":
        commands = [[MPIEXEC, "-n", str(n), sys.executable, script, "mpi", *rest]]
    else:
        address = str(Path(result).parent / f"{task}.socket")
        places = [f"pipes:{rank}:{n}:{address}" for rank in range(n)]
        commands = [[sys.executable, script, place, *rest] for place in places]
    started = [
        subprocess.Popen(c, env=environment, stdout=-1, stderr=subprocess.STDOUT, text=True)
        for c in commands
    ]
    try:
        said = [process.communicate(timeout=LIMIT)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return max(abs(process.returncode) for process in started), "\n".join(said)


@pytest.fixture(params=["pipes", pytest.param("mpi", marks=needs_mpi)])
def engine(request):
    return request.param


def done(engine, task, tmp_path, **options):
    """The arrays that rank 0 wrote."""
    status, said = run(engine, task, tmp_path / "result.npz", **options)
    assert status == 0, said
    return dict(np.load(tmp_path / "result.npz")), said


def assert_same(found, expected, tolerance=1e-12):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.fixture(scope="module")
def alone():
    """What one process makes of the same program; the callback does nothing there."""
    with mt.using("numpy"):
        return runs.train()


# ------------------------------------------------------------------------- the same as one process


def test_two_processes_end_with_the_weights_of_one(engine, tmp_path, alone):
    found, said = done(engine, "train", tmp_path)
    assert len(alone["losses"]) == 24 and alone["losses"][-1] < 0.5 * alone["losses"][0]
    assert_same(found, alone)
    assert said.count("train_loss") == 1 and said.count("\n0  ") == 1, "rank 0 alone prints"


def test_four_processes(tmp_path, alone):
    assert_same(done("pipes", "train", tmp_path, n=4)[0], alone)


def test_the_callback_changes_nothing_in_a_run_of_one(alone):
    with mt.using("numpy"):
        found = runs.train(callbacks=[])
    for name, value in found.items():
        assert np.array_equal(value, alone[name]), name


def test_on_the_standin_for_cupy(tmp_path, alone):
    assert_same(done("pipes", "standin", tmp_path)[0], alone, 1e-11)


@needs_mpi
def test_on_the_standin_for_cupy_by_way_of_mpi(tmp_path, alone):
    assert_same(done("mpi", "standin", tmp_path)[0], alone, 1e-11)


def test_a_search_for_the_learning_rate_stops_all_together(tmp_path):
    learn = runs.learner()
    learn.lr_find(num_it=40, end_lr=1e4)
    found, _ = done("pipes", "search", tmp_path)
    assert 10 < len(found["lrs"]) < 40, "it should stop where the loss explodes"
    np.testing.assert_allclose(found["lrs"], learn.recorder.lrs, rtol=1e-12)
    before = runs.outcome(runs.learner())
    for name in before:
        if name.startswith("model."):
            assert np.array_equal(found[name], before[name]), name


def test_a_stopped_run_goes_on_from_the_first_process_s_checkpoint(tmp_path, alone):
    found, said = done("pipes", "resume", tmp_path)
    assert "going on at epoch 2, batch 0" in said
    assert "stopped 0" in said and "stopped 1" in said
    assert_same(found, alone)
    assert [f.name for f in (tmp_path / "models").iterdir()] == ["half.safetensors"]


def test_without_synchronised_batch_norm_the_weights_stay_together(tmp_path, alone):
    """`DataParallel` itself compares the processes at the end of every epoch."""
    found, _ = done("pipes", "local", tmp_path)
    moved = found["model.1.running_mean"] - alone["model.1.running_mean"]
    assert 1e-6 < np.abs(moved).max() < 1, "other statistics, but of the same data"
    mt.manual_seed(0)
    assert found["validation"].shape == (4, 3) and np.isfinite(found["losses"]).all()


# --------------------------------------------------------------------------------- its parts alone


def test_batch_norm_over_unequal_parts_to_second_order(tmp_path):
    status, said = run("pipes", "second_order", tmp_path / "r")
    assert status == 0, said
    parts = [dict(np.load(tmp_path / f"r.{rank}.npz")) for rank in range(2)]

    def whole(x, mean, var, weight, bias):
        return F.batch_norm(x, mean, var, weight, bias, training=True)

    with mt.using("numpy"):
        expected = runs.second_order(*runs.second_order_inputs(), whole, slice(0, 5))
    for name in ("y", "dx", "ddy", "ddx"):
        found = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(found, expected[name], rtol=1e-10, atol=1e-12, err_msg=name)
    for name in ("dgamma", "dbeta", "ddgamma"):
        found = parts[0][name] + parts[1][name]
        np.testing.assert_allclose(found, expected[name], rtol=1e-10, atol=1e-12, err_msg=name)
    for name in ("mean", "var"):
        assert np.array_equal(parts[0][name], parts[1][name])
        np.testing.assert_allclose(parts[0][name], expected[name], rtol=1e-12, err_msg=name)


def test_sums_and_means_of_many_arrays(engine, tmp_path):
    status, said = run(engine, "buckets", tmp_path / "r")
    assert status == 0, said
    given = [runs.bucket_arrays(rank) for rank in range(2)]
    floats = [[a for a in arrays if a.dtype.kind == "f"] for arrays in given]
    weights = {f"model.{k}": v.detach().numpy() for k, v in runs.net(seed=0).state_dict().items()}
    for rank in range(2):
        found = dict(np.load(tmp_path / f"r.{rank}.npz"))
        for i, (a, b) in enumerate(zip(*given, strict=True)):
            assert found[f"sum{i}"].dtype == a.dtype and found[f"sum{i}"].shape == a.shape
            np.testing.assert_array_equal(found[f"sum{i}"], a + b)
        for i, (a, b) in enumerate(zip(*floats, strict=True)):
            np.testing.assert_array_equal(found[f"mean{i}"], (a + b) * a.dtype.type(0.5))
        for name, value in weights.items():
            assert np.array_equal(found[name], value), f"{name} should be rank 0's"
        np.testing.assert_array_equal(found["grad"], [5, 5, 5])  # 2 from rank 0 and 3 from rank 1
        np.testing.assert_array_equal(found["table"], [[0, np.nan, 4], [1, np.nan, -np.inf]])


def test_arrays_are_laid_out_in_buckets():
    arrays = [np.zeros(n, dtype) for n, dtype in [(3, "f4"), (2, "f8"), (5, "f4"), (9, "f4")]]
    numbers = distributed.buckets.buckets
    assert numbers(arrays, 32) == [[0, 2], [1], [3]]
    assert numbers(arrays, 10**6) == [[0, 2, 3], [1]]
    assert numbers(arrays, 1) == [[0], [1], [2], [3]]
    assert numbers([], 32) == []


def test_averaging_leaves_what_it_was_given_alone():
    given = np.arange(6.0).reshape(2, 3)
    (mean,) = distributed.all_reduce([given])
    mean += 1
    assert np.array_equal(given, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("arrays", "op", "error", "message"),
    [
        ([np.ones(2)], "max", ValueError, "op must be 'mean' or 'sum', got 'max'"),
        ([np.ones(2), np.ones(2, int)], "mean", TypeError, "array 1 is int64, .* use op='sum'"),
    ],
)
def test_bad_arguments_of_all_reduce(arrays, op, error, message):
    with pytest.raises(error, match=message):
        distributed.all_reduce(arrays, op)


@pytest.mark.parametrize("same_draws", [True, False])
def test_the_parts_of_a_batch_are_the_batch(same_draws):
    loader = runs.Data().train_dl
    shards = [Shard(loader, rank, 4, same_draws) for rank in range(4)]
    assert {len(s) for s in shards} == {6} and shards[2].batch_size == 8
    for epoch in (0, 3):
        parts = [list(s.batches(epoch, start=2)) for s in shards]
        whole = list(loader.batches(epoch, start=2))
        assert len(whole) == 4
        for i, (x, y) in enumerate(whole):
            assert np.array_equal(np.concatenate([p[i][1].numpy() for p in parts]), y.numpy())
            glued = np.concatenate([p[i][0].numpy() for p in parts])
            assert np.array_equal(glued, x.numpy()) == same_draws
            assert np.abs(glued - x.numpy()).max() < 1, "the same items"
        again = list(Shard(loader, 1, 4, same_draws).batches(epoch, start=3))
        assert np.array_equal(again[0][0].numpy(), parts[1][1][0].numpy()), (
            "a function of epoch, number"
        )


def test_loaders_of_other_kinds_are_cut_as_they_come():
    from test_learner_toy import ToyData

    data = ToyData()
    halves = [list(Shard(data.train_dl, rank, 2).batches(1)) for rank in range(2)]
    for i, (x, y) in enumerate(data.train_dl.batches(1)):
        assert np.array_equal(np.concatenate([half[i][0].numpy() for half in halves]), x.numpy())
        assert np.array_equal(np.concatenate([half[i][1].numpy() for half in halves]), y.numpy())
    assert not shard.makes_parts(data.valid_dl)


def test_every_validation_batch_is_somebody_s():
    loader = runs.Data(n_valid=33).valid_dl  # 7 batches, the last of 3
    shares = [EveryNth(loader, rank, 3) for rank in range(3)]
    assert [len(s) for s in shares] == [3, 2, 2]
    seen = np.concatenate([y.numpy() for s in shares for _, y in s.batches(0)])
    everything = np.concatenate([y.numpy() for _, y in loader.batches(0)])
    assert len(seen) == 33 and np.array_equal(np.sort(seen), np.sort(everything))


@pytest.mark.parametrize(
    ("n", "bs", "drop_last", "size", "message"),
    [
        (48, 8, True, 3, "batch of 8 items .* 3 equal parts.*bs=6 or bs=9"),
        (48, 2, True, 4, "batch of 2 items .* use bs=4,"),
        (27, 8, False, 2, "batch of 3 items"),
    ],
)
def test_batches_that_cannot_be_cut(n, bs, drop_last, size, message):
    loader = DataLoader(runs.Numbers(n, 0), bs, drop_last=drop_last)
    with pytest.raises(ValueError, match=message):
        Shard(loader, 0, size)
    Shard(DataLoader(runs.Numbers(27, 0), 8, drop_last=True), 0, 2)  # the short one is left out


@pytest.mark.parametrize("drawn", [0, 5])
def test_each_process_draws_its_own_numbers_and_comes_back(drawn):
    def after(rank):
        mt.manual_seed(1)
        _move_stream(rank)
        first = backend.generator().random(drawn)
        _move_stream(-rank)
        return list(first), backend.generator().random()

    streams = [after(rank) for rank in range(3)]
    assert len({end for _, end in streams}) == 1
    assert drawn == 0 or len({tuple(first) for first, _ in streams}) == 3


# -------------------------------------------------------------------------------- converting layers


def test_conversion_keeps_the_layers_and_can_be_undone():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.InstanceNorm2d(2, affine=True))
    before, text = list(model.modules()), repr(model)
    held = copy.deepcopy(model.state_dict())
    assert distributed.convert_sync_batchnorm(model) is model
    assert list(model.modules()) == before and "SyncBatchNorm2d(2" in repr(model)
    assert isinstance(model[1], nn.BatchNorm2d) and type(model[2]) is nn.InstanceNorm2d
    assert model.state_dict().keys() == held.keys()
    distributed.revert_sync_batchnorm(model)
    assert repr(model) == text


@pytest.mark.parametrize(
    ("plain", "shape"),
    [
        (nn.BatchNorm1d, (7, 3)),
        (nn.BatchNorm1d, (4, 3, 5)),
        (nn.BatchNorm2d, (4, 3, 2, 5)),
        (nn.BatchNorm1dFlat, (4, 2, 3)),
    ],
)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_in_a_run_of_one_it_is_batch_norm(backend, plain, shape, momentum):
    rng = np.random.default_rng(0)
    layers = [plain(3, momentum=momentum).double() for _ in range(2)]
    distributed.convert_sync_batchnorm(layers[1])
    assert type(layers[1]) is not plain
    answers = []
    for layer in layers:
        rng = np.random.default_rng(0)
        for _ in range(2):
            x = mt.tensor(rng.normal(2, 3, shape)).to(backend)
            x.requires_grad_()
            layer.zero_grad()
            y = layer(x)
            y.backward(mt.tensor(rng.normal(size=shape)).to(backend))
        found = [y, x.grad, layer.weight.grad, layer.bias.grad, *layer.buffers()]
        found.append(layer.eval()(x))
        answers.append([t.detach().numpy() for t in found])
    for mine, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-11, atol=1e-12)


def test_no_wait_for_the_device_in_synchronised_batch_norm():
    with standin.installed(), mt.using("cupy"):
        layer = distributed.convert_sync_batchnorm(nn.BatchNorm2d(3))
        x = mt.randn(4, 3, 2, 2)
        x.requires_grad_()
        with standin.no_sync():
            layer(x).sum().backward()


def test_digits_survive_a_mean_that_is_large_beside_the_spread():
    rng = np.random.default_rng(0)
    x = (1000 + rng.normal(size=(64, 2, 4, 4))).astype(np.float32)
    y = distributed.sync_batch_norm(mt.tensor(x), None, None).numpy()
    exact = x.astype(np.float64)
    exact -= exact.mean((0, 2, 3), keepdims=True)
    exact /= np.sqrt((exact**2).mean((0, 2, 3), keepdims=True) + 1e-5)
    assert np.abs(y - exact).max() < 2e-5


def test_what_conversion_refuses():
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(ValueError, match="'0' is a Own, a class of its own"):
        distributed.convert_sync_batchnorm(nn.Sequential(Own(2)))
    with pytest.raises(ValueError, match=r"weight must be float32 of shape \(3,\).*got float32"):
        x = mt.zeros(2, 3, 4, 4)
        distributed.sync_batch_norm(x, None, None, mt.ones(2), mt.ones(3))
    layer = distributed.convert_sync_batchnorm(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="input must have 4 axes"):
        layer(mt.zeros(2, 3))


# ------------------------------------------------------------------------------ what can go wrong


def failed(engine, task, tmp_path, **options):
    status, said = run(engine, task, tmp_path / "result.npz", **options)
    assert status != 0, said
    return said


def test_processes_with_different_models(tmp_path):
    said = failed("pipes", "models", tmp_path)
    assert "the processes have different models: rank 0 has 23 tensors" in said
    assert "rank 1 has 25 tensors of 916 numbers" in said


def test_processes_that_freeze_different_layers(tmp_path):
    assert "the processes have different models" in failed("pipes", "frozen", tmp_path)


def test_weights_that_come_apart_are_noticed_at_the_end_of_the_epoch(tmp_path):
    said = failed("pipes", "drift", tmp_path)
    assert "weights have come apart: 1 of 23 tensors differ, first '3.weight'" in said


@needs_mpi
def test_an_exception_in_one_process_ends_all(tmp_path):
    said = failed("mpi", "error", tmp_path)
    assert "OSError: the disk of rank 1 is gone" in said
    assert "rank 1 of 2 has failed; all end with it" in said


@needs_mpi
def test_a_process_that_is_killed_ends_the_run(tmp_path):
    failed("mpi", "killed", tmp_path)


@needs_mpi
def test_a_process_that_does_not_come_is_waited_for_so_long_and_no_longer(tmp_path):
    said = failed("mpi", "stuck", tmp_path, timeout=1)
    assert "rank 0 of 2 has waited 1 s for the others in all_reduce of (3,) float64" in said


@needs_mpi
def test_started_without_a_launcher(tmp_path):
    command = [sys.executable, str(HERE / "distributed_runs.py"), "mpi", "train", "x"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 1
    assert "was started alone" in ended.stderr
    assert "mpiexec -n 2 python distributed_runs.py" in ended.stderr


def test_another_mpi_than_the_launcher_s():
    place = launcher.Place("Open MPI's mpiexec", 1, 2, 1, 2)
    with pytest.raises(distributed.DistributedError, match="began 2 processes, but mpi4py sees 1"):
        mpi.check_world(1, place, "MPICH Version: 5.0\nmore")
    with pytest.raises(distributed.DistributedError, match="started alone"):
        mpi.check_world(1, None, "MPICH")
    mpi.check_world(2, place, "Open MPI")
    mpi.check_world(3, None, "a launcher that this does not know")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(engine="gloo"), ValueError, "engine must be 'mpi' or 'nccl', got 'gloo'"),
        (dict(timeout=0), ValueError, "timeout must be above 0"),
        (dict(engine="nccl"), distributed.DistributedError, "started alone"),
    ],
)
def test_bad_arguments_of_init(arguments, error, message, monkeypatch):
    monkeypatch.setattr(groups, "place_in", lambda environment: None)
    with pytest.raises(error, match=message):
        distributed.init(**arguments)
    assert not distributed.is_initialized()


def test_a_second_init(monkeypatch):
    monkeypatch.setattr(groups, "_group", distributed.Group())
    with pytest.raises(distributed.DistributedError, match="called a second time"):
        distributed.init()


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_bad_arguments_of_the_callback(size):
    with pytest.raises(ValueError, match="bucket_bytes must be an integer above 0"):
        distributed.DataParallel(bucket_bytes=size)


# ---------------------------------------------------------------------------- launchers and threads


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, None),
        ({"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"},
         (1, 4, 1, 2)),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, (3, 4, 3, 4)),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1",
          "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, (5, 8, 1, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # a batch script: one process
        ({"RANK": "0", "WORLD_SIZE": "2"}, (0, 2, 0, 2)),
        ({"RANK": "2", "WORLD_SIZE": "2"}, None),
        ({"RANK": "x", "WORLD_SIZE": "2"}, None),
    ],
)  # fmt: skip
def test_what_launchers_say(environment, place):
    found = launcher.place_in(environment)
    assert (found and tuple(found[1:])) == place


@pytest.mark.parametrize(
    ("had", "local", "said", "each"),
    [(8, 2, {}, 4), (2, 4, {}, 1), (8, 2, {"OMP_NUM_THREADS": "8"}, 8), (8, 1, {}, 8)],
)
def test_the_processes_of_a_machine_share_its_threads(monkeypatch, had, local, said, each):
    monkeypatch.setattr(backend, "_threads", had)
    groups._share_threads(local, said)
    assert backend.get_num_threads() == each


# ------------------------------------------------------------------------------------------- NCCL


class Communicator:
    """What `cupyx.distributed.NCCLBackend` does, for two processes with the same numbers."""

    def __init__(self):
        self.asked = []

    def all_reduce(self, array, out, op):
        assert isinstance(array, standin.cupy.ndarray) and out is array and op == "sum"
        assert array.flags.c_contiguous
        self.asked.append(("all_reduce", array.shape, str(array.dtype)))
        out *= 2

    def broadcast(self, array, root):
        self.asked.append(("broadcast", array.shape, root))

    def stop(self):
        self.asked.append("stop")


def test_the_nccl_engine_hands_over_arrays_and_does_not_wait(monkeypatch):
    with standin.installed(), mt.using("cupy"):
        talk = Communicator()
        engine = nccl.NCCLGroup(launcher.Place("test", 1, 2, 1, 2), talk)
        monkeypatch.setattr(groups, "_group", engine)
        x = standin.cupy.arange(6, dtype="float32").reshape(2, 3)
        with standin.no_sync():
            engine.all_reduce(x)
            engine.all_reduce(x.T)  # which is not in one piece
            (mean,) = distributed.all_reduce([x])
            loss = mt.ones(3).sum()
            layer = distributed.convert_sync_batchnorm(nn.BatchNorm2d(3))
            layer(mt.randn(4, 3, 2, 2)).sum().backward()
        assert np.array_equal(backend.to_numpy(x), 4 * np.arange(6).reshape(2, 3))
        assert np.array_equal(backend.to_numpy(mean), backend.to_numpy(x))
        assert loss.item() == 3
        assert np.array_equal(distributed.gather([3.0]), [[0], [6]])  # from the host and back
        distributed.finish()
        assert talk.asked[-1] == "stop" and not distributed.is_initialized()


def test_more_processes_than_gpus():
    with standin.installed(), mt.using("cupy"):
        place = launcher.Place("test", 1, 2, 1, 2)
        with pytest.raises(distributed.DistributedError, match="2 processes .*, and 1 GPU; start"):
            nccl.NCCLGroup(place)


def test_cupy_without_nccl(monkeypatch):
    def missing(name):
        raise ImportError("No module named 'cupyx.distributed'")

    with standin.installed(), mt.using("cupy"):
        monkeypatch.setattr(nccl.importlib, "import_module", missing)
        with pytest.raises(distributed.DistributedError, match="NCCL is not usable.*doctor"):
            nccl.NCCLGroup(launcher.Place("test", 0, 2, 0, 2))


def test_how_processes_on_gpus_meet(monkeypatch):
    made = []
    module = SimpleNamespace(NCCLBackend=lambda *args, **named: made.append((args, named)) or 1)
    monkeypatch.setattr(nccl.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(nccl.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("CUPYX_DISTRIBUTED_HOST", "10.0.0.1")
    monkeypatch.setenv("CUPYX_DISTRIBUTED_PORT", "4321")
    with standin.installed(), mt.using("cupy"):
        nccl.NCCLGroup(launcher.Place("test", 2, 4, 0, 1))
    assert made == [((4, 2), {"use_mpi": False, "host": "10.0.0.1", "port": 4321})]


def test_a_model_that_keeps_a_state_is_trained_by_one_process():
    model = nn.Sequential(text.Model4(38, 8, 4))
    with pytest.raises(distributed.DistributedError, match="Model4 keeps a state .* start one"):
        data_parallel._check_no_state(model)
    data_parallel._check_no_state(nn.Sequential(nn.Linear(2, 2)))


@needs_mpi
def test_a_lesson_in_two_processes(tmp_path):
    """Once only is printed, by the first process, and the pictures are there."""
    lesson = HERE.parent / "lessons" / "03_resnet_mnist.py"
    command = [MPIEXEC, "-n", "2", sys.executable, str(lesson), "--quick", "--epochs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "MINITORCH7_OFFLINE": "1"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)}
    environment.pop("MINITORCH7_DATA", None)
    ended = subprocess.run(
        [*command, "--distributed", "--out", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=5 * LIMIT,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.count("44 rows, 41,132 parameters") == 1
    assert ended.stdout.count(": accuracy 0.") == 3
    assert len(list((tmp_path / "out").glob("*.png"))) == 9
