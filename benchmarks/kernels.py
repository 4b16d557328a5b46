"""Time each fast kernel against its plain form: what was gained by what.

    python benchmarks/kernels.py                       # a minute or two on 2 idle cores
    python benchmarks/kernels.py --match conv --threads 1 2
    python benchmarks/kernels.py --out benchmarks/results/kernels.json

The plain forms are those of ``minitorch7/kernels/textbook.py``, and between them and what the
library runs stand the steps that lead from one to the other. All run in one process on the same
arrays and take turns; the medians' ratio is what counts. The plain forms always have one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
from rivals import machine
from tqdm import tqdm

import minitorch7 as mt
from minitorch7 import nn, optim
from minitorch7.files import write_atomically
from minitorch7.kernels import (
    columns,
    convolution,
    elementwise,
    indexing,
    normalisation,
    phases,
    pooling,
    taps,
    textbook,
)
from minitorch7.kernels.windows import Window, batch_first
from minitorch7.optim import pieces

NEVER = 10**12
# (channels, outputs, pixels, stride, batch): the lesson's ResNet, and larger nets
CONVOLUTIONS = [
    (8, 8, 14, 1, 128),
    (8, 16, 14, 2, 128),
    (16, 16, 7, 1, 128),
    (32, 32, 4, 1, 128),
    (64, 64, 64, 1, 8),
    (256, 256, 16, 1, 8),
    (512, 512, 4, 1, 8),
]
MAPS = [(8, 14, 128), (64, 64, 8)]  # (channels, pixels, batch)
Way = tuple[str, Callable[[], object]]


def random(*shape: int) -> np.ndarray:
    """Batch-last numbers under the shape (N, C, H, W) that is asked for as (C, H, W, N)."""
    return batch_first(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def cases() -> Iterator[tuple[str, list[Way]]]:
    """(what is computed, the ways to compute it: the plain one first, the library's last)."""
    for shape in CONVOLUTIONS:
        yield from convolutions(*shape)
    for channels, outputs, pixels in ((8, 16, 14), (16, 32, 7)):
        yield from strided(channels, outputs, pixels, 128)
    for channels, pixels, batch in MAPS:
        yield from maps(channels, pixels, batch)
    yield from optimisers()
    for kind in ("RNN", "GRU", "LSTM"):
        yield from recurrent(kind, 20, 64, 64)
    yield embedding(38, 64, 1280)


def convolutions(
    channels: int, outputs: int, pixels: int, stride: int, batch: int
) -> Iterator[tuple[str, list[Way]]]:
    """A 3×3 convolution with padding 1: forward, and both gradients."""
    window = Window((3, 3), (stride, stride), (1, 1))
    x = random(channels, pixels, pixels, batch)
    w = np.random.default_rng(1).standard_normal((outputs, channels, 3, 3), dtype=np.float32)
    y = textbook.conv2d(x, w, window)
    g = random(outputs, *y.shape[2:], batch)
    size = (pixels, pixels)
    label = f"{channels} to {outputs} channels, {pixels}×{pixels}, stride {stride}, batch {batch}"

    def in_blocks(f: Callable[..., object], *arguments: object) -> Callable[[], object]:
        def run() -> object:
            with mock.patch.object(columns, "LONG_ROW", NEVER):
                return f(*arguments)

        return run

    forward = (convolution.conv2d, np, x, w, None, window, 1)
    both = (convolution.conv2d_grads, np, g, x, w, window, 1)

    def plain() -> object:
        textbook.conv2d_input_grad(g, w, size, window)
        return textbook.conv2d_weight_grad(x, g, window)

    yield (
        f"conv2d, {label}",
        [
            ("plain", lambda: textbook.conv2d(x, w, window)),
            ("im2col in blocks, cut products", in_blocks(*forward)),
            ("the library's", lambda: forward[0](*forward[1:])),
        ],
    )
    yield (
        f"its gradients, {label}",
        [
            ("plain", plain),
            ("im2col in blocks, cut products", in_blocks(*both)),
            ("the library's", lambda: both[0](*both[1:])),
        ],
    )


def strided(
    channels: int, outputs: int, pixels: int, batch: int
) -> Iterator[tuple[str, list[Way]]]:
    """The two gradients of a 3×3 convolution of stride 2, each in two ways."""
    window = Window((3, 3), (2, 2), (1, 1))
    x = random(channels, pixels, pixels, batch)
    w = np.random.default_rng(1).standard_normal((outputs, channels, 3, 3), dtype=np.float32)
    g = random(outputs, *window.output_size((pixels, pixels)), batch)
    label = f"{channels} to {outputs} channels, {pixels}×{pixels}, stride 2, batch {batch}"

    def without(module: Any, f: Callable[..., object], *arguments: object) -> Callable[[], object]:
        def run() -> object:
            with mock.patch.object(module, "FEWEST_CHANNELS", NEVER):
                return f(np, *arguments)

        return run

    dx = convolution.conv2d_input_grad, g, w, (pixels, pixels), window, 1
    dw = convolution.conv2d_weight_grad, x, g, window, 1
    yield (
        f"input's gradient by phases, {label}",
        [("added back", without(phases, *dx)), ("phases", lambda: dx[0](np, *dx[1:]))],
    )
    yield (
        f"weight's gradient by taps, {label}",
        [("columns", without(taps, *dw)), ("taps", lambda: dw[0](np, *dw[1:]))],
    )


def recurrent(kind: str, steps: int, batch: int, size: int) -> Iterator[tuple[str, list[Way]]]:
    """One recurrent layer: the loop of cells, which is the plain form, and the sweep."""
    layer = getattr(nn, kind)(size, size)
    x = mt.tensor(np.random.default_rng(0).standard_normal((steps, batch, size), dtype=np.float32))
    g = mt.tensor(np.random.default_rng(1).standard_normal((steps, batch, size), dtype=np.float32))

    def way(sweep: bool, gradients: bool) -> Callable[[], object]:
        def run() -> object:
            layer.sweep = sweep
            with mt.set_grad_enabled(gradients):
                y, _ = layer(x)
            return mt.grad(y, list(layer.parameters()), g) if gradients else y

        return run

    label = f"{kind}, {steps} steps, batch {batch}, {size} features and units"
    for gradients, what in ((False, label), (True, f"{label}, with gradients")):
        yield what, [("plain", way(False, gradients)), ("the library's", way(True, gradients))]


def embedding(words: int, size: int, rows: int) -> tuple[str, list[Way]]:
    """The gradient of a table of vectors: rows added at indices, many of them at the same."""
    rng = np.random.default_rng(0)
    ids, g = rng.integers(0, words, rows), rng.standard_normal((rows, size), dtype=np.float32)

    def plain() -> object:
        y = np.zeros((words, size), np.float32)
        np.add.at(y, ids, g)
        return y

    def ours() -> object:
        return indexing.add_at(np, (words, size), (ids,), g)

    label = f"gradient of an embedding, {words} words of {size}, {rows} rows"
    return label, [("plain", plain), ("the library's", ours)]


def maps(channels: int, pixels: int, batch: int) -> Iterator[tuple[str, list[Way]]]:
    """What normalisation, activation and pooling do to one map."""
    x = random(channels, pixels, pixels, batch)
    label = f"{channels} channels, {pixels}×{pixels}, batch {batch}"
    rows = normalisation.channel_rows(np, x)
    g = normalisation.channel_rows(np, random(channels, pixels, pixels, batch)[..., ::-1])
    _, mean, _, inverse = normalisation.standardise(np, rows, 1e-5)
    window = Window((2, 2), (2, 2))
    size = (pixels // 2, pixels // 2)
    yield (
        f"standardise, {label}",
        [
            ("plain", lambda: textbook.standardise(rows, 1e-5)),
            ("the library's", lambda: normalisation.standardise(np, rows, 1e-5)),
        ],
    )
    yield (
        f"its gradient, {label}",
        [
            ("plain", lambda: textbook.standardise_grad(g, rows, 1e-5)),
            (
                "the library's",
                lambda: normalisation.standardise_grad(np, g, rows, mean, inverse, None),
            ),
        ],
    )
    yield (
        f"ReLU, {label}",
        [
            ("plain", lambda: textbook.relu(x)),
            ("the library's", lambda: elementwise.relu(np, x)),
        ],
    )
    yield (
        f"2×2 max pooling (the library's finds the places too), {label}",
        [
            ("plain", lambda: textbook.max_pool2d(x, window)),
            ("the library's", lambda: pooling.max_pool2d(np, x, window, size)),
        ],
    )


def optimisers() -> Iterator[tuple[str, list[Way]]]:
    """AdamW on many small parameters, and on one large one."""
    for label, shapes in (
        ("40 parameters of 100", [(100,)] * 40),
        ("one parameter of 10⁶", [(10**6,)]),
    ):
        params = [mt.zeros(*shape) for shape in shapes]
        for p in params:
            p.requires_grad, p.grad = True, mt.rand(*p.shape)
        opt = optim.AdamW(params)

        def one_by_one(opt: optim.AdamW = opt) -> None:
            with mock.patch.multiple(pieces, SMALL=0, PIECE=NEVER):
                opt.step()

        yield f"AdamW, {label}", [("one by one, whole", one_by_one), ("the library's", opt.step)]


def timed(ways: list[Way], rounds: int, threads: int) -> list[list[float]]:
    """Milliseconds of each way in each round; a round gives each way its turn."""
    found: list[list[float]] = [[] for _ in ways]
    for _, run in ways:
        run()
    for _ in range(rounds):
        for times, (name, run) in zip(found, ways, strict=True):
            mt.set_num_threads(1 if name == "plain" else threads)
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
    return found


def rounds_for(ways: list[Way], seconds: float) -> int:
    """As many rounds as fit into so many seconds, from 5 to 200."""
    for _, run in ways:
        run()
    start = time.perf_counter()
    for _, run in ways:
        run()
    return min(200, max(5, math.ceil(seconds / (time.perf_counter() - start))))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--match", default="", help="only what has this in its name")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each comparison")
    parser.add_argument("--out", type=Path, help="write a JSON file too")
    options = parser.parse_args()
    if min(options.threads) < 1 or not options.seconds > 0:
        parser.error("--threads and --seconds must be positive")
    chosen = [case for case in cases() if options.match in case[0]]
    if not chosen:
        parser.error(f"nothing has {options.match!r} in its name")
    rows = []
    for threads in options.threads:
        for name, ways in tqdm(chosen, unit="case", disable=None, desc=f"{threads} thread(s)"):
            mt.set_num_threads(threads)
            times = timed(ways, rounds_for(ways, options.seconds), threads)
            for (way, _), found in zip(ways, times, strict=True):
                ratio = median(a / b for a, b in zip(found, times[0], strict=True))
                ms = round(median(found), 3)
                rows.append(dict(case=name, threads=threads, way=way, ms=ms, ratio=round(ratio, 3)))
    command = f"python benchmarks/kernels.py --threads {' '.join(map(str, options.threads))}"
    print(f"{command}\n\n{table(rows)}")
    if options.out:
        result = {"command": command, "machine": machine.facts(), "rows": rows}
        text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        write_atomically(options.out, text.encode(), "kernels")
    return 0


def table(rows: list[dict]) -> str:
    """As Markdown; the first way of each case is what the others are compared with."""
    lines = ["| what | threads | way | median ms | of the first |", "|---|---|---|---|---|"]
    last = None
    for r in rows:
        key = (r["case"], r["threads"])
        head = f"{r['case']} | {r['threads']}" if key != last else " | "
        lines.append(f"| {head} | {r['way']} | {r['ms']} | {r['ratio']:.2f} × |")
        last = key
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
