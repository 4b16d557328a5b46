"""What a worker can be asked to do. Each job is prepared once and then run many times.

A job names its arguments; `start.py` says what stands behind a network's name, `grid.py` behind
an operation's.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .start import GRU, SMALL

TOLERANCE = 1e-3  # between the checked numbers of two rivals
PICTURES_TOLERANCE = 0.1  # between mean and deviation of pictures drawn at random
CHECKED_STEPS = 5  # the first losses, compared by all
# Adam's first step moves every weight by the learning rate in its gradient's direction. Where that
# gradient is rounding and nothing else, two libraries go opposite ways, and in a larger network
# enough weights do so to be seen in the loss. So of those, one step is looked at, less closely.
LARGE_STEPS, LARGE_TOLERANCE = 2, 1e-2


class Job(NamedTuple):
    """The work, and the numbers on which all rivals have to agree before anything is timed."""

    run: Callable[[], Any]  # once; returns when it is done
    check: Callable[[], list[float]]
    tolerance: float = TOLERANCE


def train(rival: ModuleType, model: str, batch: int, seed: int) -> Job:
    """One training step on the same batch, again and again."""
    step = rival.build(model, batch, seed)
    small = model in (*SMALL, GRU)
    count = CHECKED_STEPS if small else LARGE_STEPS
    close = TOLERANCE if small else LARGE_TOLERANCE
    return Job(lambda: float(step()), lambda: [float(step()) for _ in range(count)], close)


def inference(rival: ModuleType, model: str, batch: int, seed: int) -> Job:
    """One forward pass in evaluation mode."""
    forward = rival.build_inference(model, batch, seed)
    return Job(forward, lambda: fingerprints([forward()]))


def operation(rival: ModuleType, name: str, backward: bool, seed: int) -> Job:
    """One operation, alone or with its gradients."""
    run, arrays = rival.build_operation(name, backward, seed)
    return Job(run, lambda: fingerprints(arrays(run())))


def adam(rival: ModuleType, model: str, seed: int) -> Job:
    """One AdamW step."""
    run, arrays = rival.build_adam(model, seed)
    return Job(run, lambda: fingerprints([np.concatenate([a.ravel() for a in arrays(run())])]))


def load(rival: ModuleType, source: str, batch: int, seed: int, **how: Any) -> Job:
    """The next batch of digits."""
    following = rival.build_loader(source, batch, seed, **how)

    def check() -> list[float]:
        """Size, mean and deviation: the same pictures, on the same scale."""
        found = [np.asarray(following()[0]) for _ in range(20)]
        return [*found[0].shape, float(np.mean(found)), float(np.std(found))]

    return Job(following, check, PICTURES_TOLERANCE)


def fed(rival: ModuleType, source: str, batch: int, seed: int, **how: Any) -> Job:
    """The next batch of digits, and a training step of the lesson's ResNet on it."""
    following = rival.build_loader(source, batch, seed, **how)
    step = rival.trainer("resnet", seed)
    return Job(lambda: float(step(*following())), list)


JOBS = {job.__name__: job for job in (train, inference, operation, adam, load, fed)}


def fingerprints(arrays: list[np.ndarray]) -> list[float]:
    """Two numbers an array: ln of its root mean square, and its share along a random direction.

    The first is the same for two arrays if their sizes are, to a relative error; the second, which
    has mean 0 and variance 1 over directions, only if their elements are in the same places.
    """
    found = []
    for array in arrays:
        a = np.asarray(array, np.float64).ravel()
        size = np.sqrt(np.mean(a * a))
        direction = np.random.default_rng(a.size).standard_normal(a.size)
        found += [float(np.log(size)), float(a @ direction / (size * np.sqrt(a.size)))]
    return found
