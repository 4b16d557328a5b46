"""Random numbers from a counter: the NumPy twin of ``cuda/noise.cu``, number for number.

A counter-based generator has no state: word number i of draw number d under a seed is a function
of (i, d, seed), so that threads need not take turns, and backward can make again what forward made
instead of keeping it. Philox4x64-10 makes four words of 64 bits at a time from a counter of four
words, by ten rounds of two multiplications whose high halves are mixed with the key's two words.
(Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", §3.3)

It is this one of the family because NumPy has it, in C: here it is only set to the right place.
Uniform numbers are the GPU's bit for bit; normal ones to rounding, since the two libraries' log,
sin and cos differ in the last place.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

_WORD = 2**64 - 1
_NOTHING_LEFT = dict(buffer=np.zeros(4, np.uint64), buffer_pos=4, has_uint32=0, uinteger=0)
_own = threading.local()  # a generator for each thread: it is set, and then drawn from


def stream(seed: int, draw: int) -> np.random.Generator:
    """The words of draw number `draw` under `seed`, from the first on.

    They are Philox of the counters (0, draw, 0, 0), (1, draw, 0, 0), … under the key (seed, 0). The
    generator is this thread's own, and good until the thread asks for another.

    ValueError unless both are whole numbers of at most 64 bits.
    """
    check(seed, draw)
    generator = getattr(_own, "generator", None)
    if generator is None:
        generator = _own.generator = np.random.Generator(np.random.Philox(key=0))
    before = ((draw << 64) - 1) % 2**256  # it counts one further before it makes its first words
    counter = np.array([before >> shift & _WORD for shift in (0, 64, 128, 192)], np.uint64)
    state = {"counter": counter, "key": np.array([seed, 0], np.uint64)}
    generator.bit_generator.state = {"bit_generator": "Philox", "state": state, **_NOTHING_LEFT}
    return generator


def check(seed: int, draw: int) -> None:
    """ValueError unless both are whole numbers of at most 64 bits."""
    for name, value in (("seed", seed), ("draw", draw)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
            raise ValueError(f"philox: {name} must be a whole number below 2⁶⁴, got {value!r}")


def uniform(shape: tuple[int, ...], seed: int, draw: int, dtype: Any = "float32") -> np.ndarray:
    """Uniform numbers in [0, 1): 24 bits of half a word, or for float64 53 bits of a word.

    float16 is rounded from float32, and may be 1.
    """
    drawn = np.float64 if np.dtype(dtype) == np.float64 else np.float32
    return stream(seed, draw).random(shape, dtype=drawn).astype(dtype, copy=False)


def normal(shape: tuple[int, ...], seed: int, draw: int, dtype: Any = "float32") -> np.ndarray:
    """Standard-normal numbers by Box & Muller (1958), from pairs (u, v) of uniform ones:

    √(−2 ln(1 − u))·cos 2πv and √(−2 ln(1 − u))·sin 2πv. 1 − u is exact, and never 0.
    """
    count = math.prod(shape)
    drawn = np.float64 if np.dtype(dtype) == np.float64 else np.float32
    pairs = uniform((-(-count // 2), 2), seed, draw, drawn).astype(np.float64)
    turn = 2 * math.pi * pairs[:, 1]
    radius = np.sqrt(-2 * np.log(1 - pairs[:, 0]))
    both = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    return both.reshape(-1)[:count].astype(dtype).reshape(shape)
