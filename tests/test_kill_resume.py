"""A real training run, killed with SIGKILL at twenty random moments, ends with the same bits.

The child process trains the lesson's residual network, with dropout so that the random stream
matters too, and writes its weights when it is done. One child is left alone. Another is killed
again and again, some time after it has begun to train, and started anew; what it ends with must be
the very bytes of the first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minitorch7

CHILD = """
import sys
sys.path.insert(0, {package!r})
import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import mnist, rand_pad
from minitorch7.learner import Learner, accuracy

mt.set_num_threads(1)
sets = mnist({data!r}, download=False).split_by_folder("training", "testing").label_from_folder()
sets.train, sets.valid = sets.train[::20], sets.valid[::20]
data = sets.transform((rand_pad(3, 28, mode="zeros"), [])).databunch(bs=128).normalize()
mt.manual_seed(0)
block = lambda ni, nf: nn.Sequential(nn.conv_layer(ni, nf, stride=2), nn.res_block(nf))
model = nn.Sequential(
    block(1, 8), block(8, 16), nn.Dropout(0.2), block(16, 32), block(32, 16),
    nn.conv_layer(16, 10, stride=2), nn.Flatten(),
)
learn = Learner(data, model, nn.CrossEntropyLoss(), metrics=accuracy, path={out!r}, progress=False)
print("training", flush=True)
learn.fit_one_cycle({epochs}, 0.05, checkpoint="run", checkpoint_every=3)
learn.save("done", with_opt=False)
"""


def start(out: Path, data: Path, epochs: int) -> subprocess.Popen:
    """The child, once it has said that it is about to train."""
    package = str(Path(minitorch7.__file__).parents[1])
    code = CHILD.format(package=package, data=str(data), out=str(out), epochs=epochs)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while child.stdout.readline().strip() != "training":
        assert child.poll() is None, "the child ended before it began to train"
    return child


def weights(out: Path) -> bytes:
    return (out / "models" / "done.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which Windows lacks")
def test_twenty_kills_leave_no_trace(tmp_path: Path, real_data: Path) -> None:
    kills, epochs, data = 20, 16, real_data / "mnist"
    calm, harried = tmp_path / "calm", tmp_path / "harried"
    began = time.monotonic()
    assert start(calm, data, epochs).wait() == 0
    training = time.monotonic() - began  # includes the start: an upper bound
    rng = np.random.default_rng()
    for _ in range(kills):
        child = start(harried, data, epochs)
        time.sleep(rng.uniform(0, training / kills))
        assert child.poll() is None, "the run was over before the last kill; train for longer"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        partial = [p.name for p in harried.rglob("*") if p.is_file() and "partial" not in p.name]
        assert set(partial) <= {"run.safetensors"}
    assert start(harried, data, epochs).wait() == 0
    assert weights(harried) == weights(calm)
