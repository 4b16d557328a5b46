"""The seam to NumPy and CuPy: choosing, mixing, moving, random streams, threads, memory.

What happens at import is looked at in fresh processes, because in this one it has happened already.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import backend as seam
from minitorch7 import functional as F
from minitorch7 import nn

ROOT = Path(mt.__file__).resolve().parents[1]
on_cupy = pytest.mark.parametrize("_library", ["cupy"], indirect=True)
no_cupy = "import sys; sys.modules['cupy'] = None\n"  # `import cupy` now raises ImportError


def run(code, **environment):
    """What a fresh Python prints when it runs `code`, standard output and errors together."""
    kept = {k: v for k, v in os.environ.items() if k != "MINITORCH7_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


# ---------------------------------------------------------------------------------- the import


def test_import_prints_nothing():
    assert run("import minitorch7") == ""


def test_import_leaves_the_large_libraries_alone():
    code = "import sys, minitorch7; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = run(code)
    assert "'numpy'" in loaded and "'minitorch7'" in loaded
    for name in ("cupy", "matplotlib", "PIL", "torch", "tqdm", "pooch", "safetensors"):
        assert f"'{name}'" not in loaded


def test_import_leaves_cupy_alone_even_where_the_environment_asks_for_it():
    code = "import sys, minitorch7 as mt; print(mt.backend.active(), 'cupy' in sys.modules)"
    assert run(code, MINITORCH7_BACKEND="cupy") == "cupy False"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to count threads")
def test_import_starts_no_threads():
    code = (
        "import os, threading, numpy\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "import minitorch7\n"
        "print(len(os.listdir('/proc/self/task')) - before, threading.active_count())"
    )
    assert run(code) == "0 1"


def test_import_leaves_numpys_random_stream_and_error_state_alone():
    code = (
        "import numpy as np; np.random.seed(3); before = np.random.rand(); np.random.seed(3)\n"
        "errors = np.geterr(); import minitorch7; minitorch7.manual_seed(1); minitorch7.randn(3)\n"
        "print(np.random.rand() == before, np.geterr() == errors)"
    )
    assert run(code) == "True True"


# ------------------------------------------------------------------------------------- choosing


def test_use_stays_and_using_ends():
    before = seam.active()
    try:
        mt.use("numpy")
        assert seam.active() == "numpy"
        with pytest.raises(KeyError), mt.using("numpy"):
            raise KeyError
        assert seam.active() == "numpy"
    finally:
        mt.use(before)


@on_cupy
def test_using_nests_and_is_undone_by_an_error(backend):
    with mt.using("numpy"):
        assert mt.zeros(1).backend == "numpy"
        with pytest.raises(KeyError), mt.using("cupy"):
            assert mt.zeros(1).backend == "cupy"
            raise KeyError
        assert mt.zeros(1).backend == seam.active() == "numpy"
    assert mt.zeros(1).backend == "cupy"


def test_new_tensors_go_to_the_active_backend(backend):
    made = [
        mt.tensor([1.0]),
        mt.tensor(np.zeros(2)),
        mt.zeros(2),
        mt.ones(2),
        mt.full((2,), 3.0),
        mt.eye(2),
        mt.arange(3),
        mt.rand(2),
        mt.randn(2),
        nn.Linear(2, 2).weight,
        nn.BatchNorm2d(2).running_var,
    ]
    assert {t.backend for t in made} == {backend}
    assert mt.tensor([1.0], backend="numpy").backend == "numpy"


@pytest.mark.parametrize("choose", [mt.use, lambda name: mt.using(name).__enter__()])
def test_an_unknown_backend_is_refused_and_nothing_changes(choose):
    before = seam.active()
    with pytest.raises(mt.BackendError) as caught:
        choose("tpu")
    assert seam.active() == before
    text = str(caught.value)
    assert text.startswith("use: unknown backend 'tpu'") and "'numpy' and 'cupy'" in text


@pytest.mark.parametrize("value", ["numpy", "cupy"])
def test_the_environment_variable_chooses(value):
    code = "import minitorch7 as mt; print(mt.backend.active())"
    assert run(code, MINITORCH7_BACKEND=value) == value


def test_the_environment_variable_is_checked_at_import():
    text = run("import minitorch7", MINITORCH7_BACKEND="tpu")
    assert "BackendError: MINITORCH7_BACKEND: unknown backend 'tpu'" in text
    assert run("import minitorch7 as mt; print(mt.backend.active())") == "numpy"
    assert run("import minitorch7 as mt; print(mt.backend.active())", MINITORCH7_BACKEND="") == (
        "numpy"
    )


CALLS = {
    "use": "mt.use('cupy')",
    "using": "mt.using('cupy').__enter__()",
    "tensor.to": "mt.zeros(2).to('cupy')",
    "tensor.cuda": "mt.zeros(2).cuda()",
    "model.to": "mt.nn.Linear(2, 2).to('cupy')",
    "tensor": "mt.tensor([1.0], backend='cupy')",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_cupy_the_error_says_what_to_install(call):
    code = (
        f"{no_cupy}import minitorch7 as mt\ntry:\n    {call}\n"
        "except mt.BackendError as e:\n    print(e)\n"
        "print(mt.backend.active(), mt.zeros(2).backend)"
    )
    text, _, after = run(code).rpartition("\n")
    assert text.startswith("backend 'cupy': CuPy cannot be imported")
    assert "minitorch7[gpu12]" in text and "minitorch7[gpu13]" in text and "'numpy'" in text
    assert after == "numpy numpy"  # a refused choice is not half made


def test_without_cupy_the_environment_variable_fails_at_the_first_tensor():
    code = f"{no_cupy}import minitorch7 as mt\nprint('imported')\nmt.zeros(2)"
    text = run(code, MINITORCH7_BACKEND="cupy")
    assert text.startswith("imported") and "CuPy cannot be imported" in text


FAKE = """
import sys, types
cupy = types.ModuleType("cupy"); cupy.__version__ = "0.0"
def count():
    {body}
runtime = types.SimpleNamespace(getDeviceCount=count)
cupy.cuda = types.SimpleNamespace(runtime=runtime); cupy.ndarray = list
sys.modules["cupy"] = cupy
import minitorch7 as mt
try:
    mt.use("cupy")
except mt.BackendError as e:
    print(e)
"""


def test_with_cupy_but_without_a_gpu():
    text = run(FAKE.format(body="raise OSError('no driver here')"))
    assert "CuPy 0.0 is installed but finds no usable GPU (no driver here)" in text
    assert "nvidia-smi" in text
    assert "the driver lists no GPU" in run(FAKE.format(body="return 0"))


# ------------------------------------------------------------------------------ mixing and moving


MIXED = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "eq": lambda a, b: a == b,
    "lt": lambda a, b: a < b,
    "maximum": mt.maximum,
    "floor_divide": lambda a, b: a // b,
    "matmul": lambda a, b: a @ b,
    "linear": F.linear,
    "cat": lambda a, b: mt.cat([a, b]),
    "stack": lambda a, b: mt.stack([a, b]),
    "einsum": lambda a, b: mt.einsum("ij,jk->ik", a, b),
    "where": lambda a, b: mt.where(a > 0, a, b),
    "where's mask": lambda a, b: mt.where(b > 0, a, a),
    "clamp": lambda a, b: a.clamp(min=b),
    "mse_loss": F.mse_loss,
    "bce": F.binary_cross_entropy_with_logits,
    "gather": lambda a, b: mt.gather(a, 0, b.long()),
    "index": lambda a, b: a[b.long()],
    "index_select": lambda a, b: F.index_select(a, 0, b.long()[0]),
    "embedding": lambda a, b: F.embedding(b.long(), a),
    "cross_entropy": lambda a, b: F.cross_entropy(a, b.long()[0]),
    "cross_entropy's weight": lambda a, b: F.cross_entropy(a, a.long()[0], weight=b[0]),
    "conv2d": lambda a, b: F.conv2d(a.reshape(1, 1, 2, 2), b.reshape(1, 1, 2, 2)),
    "conv2d's bias": lambda a, b: F.conv2d(
        a.reshape(1, 1, 2, 2), a.reshape(1, 1, 2, 2), b.reshape(4)[:1]
    ),
    "batch_norm's weight": lambda a, b: F.batch_norm(a, None, None, b[0], training=True),
    "batch_norm's running_mean": lambda a, b: F.batch_norm(a, b[0], b[1], training=True),
    "batch_norm, evaluating": lambda a, b: F.batch_norm(a, b[0], b[1]),
    "layer_norm": lambda a, b: F.layer_norm(a, 2, b[0]),
}


@on_cupy
@pytest.mark.parametrize("order", ["numpy first", "cupy first"])
@pytest.mark.parametrize("operation", MIXED.values(), ids=MIXED)
def test_mixing_names_both_backends(backend, operation, order):
    a, b = mt.tensor(np.eye(2)), mt.tensor(np.eye(2), backend="numpy")
    with pytest.raises(mt.BackendError) as caught:
        operation(*((a, b) if order == "cupy first" else (b, a)))
    text = str(caught.value)
    assert "'numpy'" in text and "'cupy'" in text and ".to(" in text


@on_cupy
def test_moving_there_and_back_keeps_values_dtype_and_gradient(backend):
    for dtype in (np.float16, np.float32, np.float64, np.int64, np.bool_):
        values = np.array([[0, 1], [1, 0]], dtype)
        t = mt.tensor(values, backend="numpy").to("cupy")
        assert t.backend == "cupy" and t.dtype == dtype
        np.testing.assert_array_equal(t.cpu().numpy(), values)
    x = mt.tensor([1.0, 2.0], requires_grad=True, backend="numpy")
    y = (x.cuda() * 3).to("numpy")
    assert x.to("numpy") is x and y.backend == "numpy"
    y.sum().backward()
    assert x.grad.backend == "numpy" and x.grad.tolist() == [3.0, 3.0]


def test_what_is_not_an_array_is_refused():
    for value in ([1.0], 1.0, "a", None, np.float32(1)):
        with pytest.raises(TypeError, match=r"minitorch7\.tensor\(\.\.\.\)"):
            seam.name_of(value)
        assert not seam.is_array(value)


# --------------------------------------------------------------------------------- random numbers

DRAWS = {
    "rand": lambda: mt.rand(3, 4),
    "randn": lambda: mt.randn(3, 4),
    "randn, float64": lambda: mt.randn(3, 4, dtype=np.float64),
    "linear": lambda: nn.Linear(5, 3).weight,
    "conv": lambda: nn.Conv2d(3, 4, 3).bias,
    "embedding": lambda: nn.Embedding(4, 3).weight,
    "dropout": lambda: F.dropout(mt.ones(5, 7), 0.4),
    "dropout2d": lambda: F.dropout2d(mt.ones(5, 7, 2, 2), 0.4),
}


@on_cupy
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_one_seed_gives_one_set_of_numbers_on_either_backend(backend, draw):
    drawn = []
    for name in ("numpy", "cupy", "numpy"):
        with mt.using(name):
            mt.manual_seed(7)
            t = draw()
            assert t.backend == name
            drawn.append(t.detach().numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    mt.manual_seed(8)
    assert not np.array_equal(draw().detach().numpy(), drawn[0])


def test_rng_state_survives_json():
    mt.manual_seed(3)
    mt.randn(5)
    state = json.loads(json.dumps(seam.get_rng_state()))
    first = mt.randn(4).tolist() + mt.rand(3).tolist()
    assert mt.randn(4).tolist() + mt.rand(3).tolist() != first
    seam.set_rng_state(state)
    assert mt.randn(4).tolist() + mt.rand(3).tolist() == first


def test_reading_the_state_does_not_move_the_stream():
    mt.manual_seed(3)
    expected = mt.rand(3).tolist()
    mt.manual_seed(3)
    seam.get_rng_state()
    assert mt.rand(3).tolist() == expected


def test_without_a_seed_two_processes_differ():
    code = "import minitorch7 as mt; print(mt.rand(4).tolist())"
    assert run(code) != run(code)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="manual_seed: seed must be an integer of at least 0"):
        mt.manual_seed(seed)


def test_numpy_integers_are_seeds():
    mt.manual_seed(np.int64(5))
    first = mt.rand(3).tolist()
    mt.manual_seed(5)
    assert mt.rand(3).tolist() == first


# --------------------------------------------------------------------- threads, waiting and memory


def test_set_num_threads_holds_blas_to_one():
    from threadpoolctl import threadpool_info

    before = mt.get_num_threads()
    try:
        for n in (1, 2, 1):
            mt.set_num_threads(n)
            pools = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
            assert mt.get_num_threads() == n and set(pools) <= {1}
    finally:
        mt.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2", None])
def test_bad_thread_counts(n):
    with pytest.raises(ValueError, match="set_num_threads: n must be an integer of at least 1"):
        mt.set_num_threads(n)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_on_the_host_sees_an_array():
    before = seam.memory("numpy")
    held = np.ones(2**23)  # 64 MiB, written to
    after = seam.memory("numpy")
    assert after["resident"] - before["resident"] > 2**25
    assert after["peak"] >= before["peak"] > 0 and held.size


@on_cupy
def test_memory_on_the_device_sees_a_tensor(backend):
    before = seam.memory()
    held = mt.zeros(1000)
    assert seam.memory()["used"] >= before["used"] + 4000
    assert seam.memory()["reserved"] >= seam.memory()["used"]
    del held
    assert seam.memory()["used"] == before["used"]


@on_cupy
def test_synchronize_waits_for_the_device_only(backend):
    if seam.library("cupy") is not standin.cupy:
        pytest.skip("only the stand-in counts how often the host waits")
    with standin.count() as counted:
        seam.synchronize("numpy")
        assert counted.syncs == 0
        seam.synchronize()
    assert counted.syncs == 1


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is asked on Linux only")
def test_freed_memory_is_kept_for_the_next_array():
    """Building the same arrays again meets no new pages, unless the switch says so."""
    code = (
        "import resource, numpy as np, minitorch7 as mt; mt.zeros(1) + 1\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    arrays = [np.ones(2**19) for _ in range(8)]\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults(); print(faults())"
    )

    def second_time(**switch):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **switch},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    if second_time(MINITORCH7_KEEP_MEMORY="0") < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert second_time() < 100
