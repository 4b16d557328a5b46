"""Train lesson 4's plain 20, plain 56 and residual 56 layers over seeds and learning rates.

    python benchmarks/skip_connections.py                 # 3 networks, 4 rates, seeds 0 to 2
    python benchmarks/skip_connections.py --seeds 0 --rates 0.1
    python benchmarks/skip_connections.py --table         # only print what has been measured

All have the same digits, batches, initialisation and course of the learning rate; only its height
is tried out, and each network is judged at the height whose mean training loss is lowest. The
error counted is on the training digits: whether a network learns, not whether it generalises.

The landscape around what was reached is measured as in the lesson (`minitorch7.learner.landscape`).

Results are kept in a JSON file, a row a run, and a run that is in it is not repeated: a benchmark
that was interrupted goes on where it stopped. `--jobs` runs several at a time, one thread each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rivals import machine, options

from minitorch7.files import write_atomically

RESULTS = Path(__file__).parent / "results" / "skip_connections.json"

# the lesson's, number for number; a test compares them
NETS = {"plain 20": (20, False), "plain 56": (56, False), "residual 56": (56, True)}
DIGITS, EPOCHS, BATCH, WIDTH = 6400, 16, 128, 4
MOMENTUM, DECAY = 0.9, 1e-4
RATES = (0.03, 0.1, 0.3, 1.0)
LOOKED_AT = 256  # training digits that the landscape is measured on
LINES, STEPS = 8, 21  # directions through what was reached, and points on each

MEANS = ("train_error", "valid_error", "largest", "not_convex", "climb")

Run = tuple[str, float, int]


def train(net: str, rate: float, seed: int, data: str | None, threads: int) -> dict[str, Any]:
    """One run: training loss and error of every digit, and the landscape where it ended."""
    import minitorch7 as mt
    from minitorch7 import nn, optim
    from minitorch7.data import mnist
    from minitorch7.learner import Learner, error_rate
    from minitorch7.vision import cifar_resnet

    mt.set_num_threads(threads)
    sets = mnist(data).split_by_folder(train="training", valid="testing").label_from_folder()
    sets.train = sets.train[:: len(sets.train) // DIGITS][:DIGITS]
    bunch = sets.databunch(bs=BATCH, seed=seed).normalize()
    mt.manual_seed(seed)
    depth, shortcuts = NETS[net]
    model = nn.Sequential(nn.AvgPool2d(2), cifar_resnet(depth, shortcuts, WIDTH, ni=1))
    sgd = partial(optim.SGD, momentum=MOMENTUM)
    learn = Learner(bunch, model, opt_func=sgd, metrics=error_rate, wd=DECAY)
    start = time.perf_counter()
    with learn.no_bar():
        learn.fit_one_cycle(EPOCHS, max_lr=rate)
    seconds = time.perf_counter() - start
    loss, error = learn.validate(bunch.fix_dl)
    return {
        "net": net,
        "rate": rate,
        "seed": seed,
        "train_loss": round(loss, 6),
        "train_error": round(error, 6),
        "valid_error": round(learn.recorder.metrics[-1][0], 6),
        "losses": [round(row["train_loss"], 4) for row in learn.recorder.rows],
        **look_around(learn, seed),
        "seconds": round(seconds, 1),
        "threads": threads,
    }


def look_around(learn: Any, seed: int) -> dict[str, Any]:
    """The landscape around the weights reached, on some training digits, in evaluation mode.

    smallest, largest  eigenvalues of the Hessian in filter-normalised coordinates
    not_convex         share of a plane's points whose own Hessian has a negative eigenvalue
    climb              how much straight walks towards the weights reached go up, on the mean
    """
    import minitorch7 as mt
    from minitorch7 import functional as F
    from minitorch7 import nn
    from minitorch7.learner import landscape

    x, y = some_digits(learn.data)
    params = list(learn.model.parameters())
    at, middle = np.linspace(-1, 1, STEPS), STEPS // 2

    def loss() -> Any:
        return F.cross_entropy(learn.model(x), y)

    with nn.evaluating(learn.model):
        mt.manual_seed(seed)
        hessian = landscape.Hessian(loss(), params, landscape.filter_norms(params))
        smallest, largest = landscape.extreme_eigenvalues(hessian)
        del hessian  # and its graph
        plane = [landscape.random_direction(params) for _ in range(2)]
        surface = landscape.loss_on_grid(loss, params, plane, at)
        low, _ = landscape.slice_curvatures(surface, at[1] - at[0])
        climbs = []
        for _ in range(LINES):
            line = landscape.random_direction(params)
            heights = landscape.loss_on_grid(loss, params, [line], at)
            climbs += [landscape.climb(heights[: middle + 1])]
            climbs += [landscape.climb(heights[middle:][::-1])]
    found = {"smallest": smallest, "largest": largest, "climb": mean(climbs)}
    found["not_convex"] = float((low < 0).mean())
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def some_digits(bunch: Any) -> tuple[Any, Any]:
    """LOOKED_AT training digits and their labels, as training meets them first."""
    import minitorch7 as mt

    n = LOOKED_AT // BATCH
    batches = [batch for batch, _ in zip(bunch.train_dl.batches(0), range(n), strict=False)]
    return tuple(mt.cat(list(parts)) for parts in zip(*batches, strict=True))


def run_of(row: dict[str, Any]) -> Run:
    """What tells a row from all others."""
    return row["net"], row["rate"], row["seed"]


def load(path: Path) -> list[dict[str, Any]]:
    """The runs measured so far."""
    return json.loads(path.read_text()) if path.exists() else []


def keep(path: Path, row: dict[str, Any]) -> None:
    """Add one run to the file; the file is replaced in one step, so that it is never half there."""
    rows = [*(r for r in load(path) if run_of(r) != run_of(row)), row]
    rows.sort(key=lambda r: (list(NETS).index(r["net"]), r["rate"], r["seed"]))
    text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    write_atomically(path, text.encode(), "skip_connections")


def run_all(todo: list[Run], chosen: argparse.Namespace) -> None:
    """The runs still to do, `--jobs` at a time, each in a process of its own."""
    running: dict[subprocess.Popen, str] = {}
    environment = machine.environment(chosen.threads)
    while todo or running:
        while todo and len(running) < chosen.jobs:
            net, rate, seed = todo.pop(0)
            command = [sys.executable, __file__, "--one", net, str(rate), str(seed)]
            command += ["--threads", str(chosen.threads)]
            command += ["--data", chosen.data] if chosen.data else []
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            running[process] = f"{net}, rate {rate}, seed {seed}"
        for process in [p for p in running if p.poll() is not None]:
            name = running.pop(process)
            if process.returncode:
                for other in running:  # they would go on with nobody to read what they print
                    other.terminate()
                sys.exit(f"{name}: exit status {process.returncode}")
            row = json.loads(process.stdout.read().splitlines()[-1])
            keep(chosen.out, row)
            error = f"{100 * row['train_error']:.2f} % of the training digits wrong"
            print(f"{name}: {error}, {row['seconds']:.0f} s", flush=True)
        time.sleep(0.2)


def best_rate(rows: list[dict[str, Any]], net: str) -> float | None:
    """The learning rate at which a network's mean training loss is lowest."""
    losses: dict[float, list[float]] = {}
    for row in rows:
        if row["net"] == net:
            losses.setdefault(row["rate"], []).append(row["train_loss"])
    return min(losses, key=lambda rate: mean(losses[rate]), default=None)


def table(rows: list[dict[str, Any]]) -> str:
    """Training errors in per cent, seed by seed: all rates, the best one marked."""
    seeds = sorted({row["seed"] for row in rows})
    head = ["network", "rate", *(f"seed {seed}" for seed in seeds), "mean", "valid"]
    head += ["λmax", "not convex", "climb"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for net in NETS:
        best = best_rate(rows, net)
        for rate in sorted({row["rate"] for row in rows if row["net"] == net}):
            found = {r["seed"]: r for r in rows if (r["net"], r["rate"]) == (net, rate)}
            errors = [f"{100 * found[s]['train_error']:.2f}" if s in found else "-" for s in seeds]
            means = {k: mean(r[k] for r in found.values()) for k in MEANS}
            cells = [net, f"**{rate}**" if rate == best else str(rate), *errors]
            cells += [f"{100 * means[k]:.2f}" for k in ("train_error", "valid_error")]
            cells += [f"{means['largest']:.3g}", f"{100 * means['not_convex']:.0f} %"]
            cells += [f"{means['climb']:.2g}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ordered(rows: list[dict[str, Any]]) -> list[str]:
    """Where the order residual 56 < plain 56 > plain 20 of training errors does not hold."""
    error = {
        (net, row["seed"]): row["train_error"]
        for net in NETS
        for row in rows
        if (row["net"], row["rate"]) == (net, best_rate(rows, net))
    }
    wrong = []
    for seed in sorted({seed for _, seed in error}):
        shallow, deep, residual = (error.get((net, seed)) for net in NETS)
        if None not in (shallow, deep, residual) and not deep > max(shallow, residual):
            wrong.append(f"seed {seed}: plain 56 is not the worst ({deep}, {shallow}, {residual})")
    return wrong


def main() -> int:
    """Run what is missing and print the table; 1 where plain 56 is not the worst."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--seeds", nargs="+", type=options.natural, default=[0, 1, 2])
    parser.add_argument("--data", help="folder with MNIST; default: as minitorch7.data.mnist looks")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file of results")
    parser.add_argument(
        "--jobs", type=options.positive, default=1, help="runs at a time (default 1)"
    )
    parser.add_argument("--threads", type=options.positive, default=1, help="of a run (default 1)")
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    parser.add_argument("--one", nargs=3, metavar=("NET", "RATE", "SEED"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        net, rate, seed = chosen.one
        print(json.dumps(train(net, float(rate), int(seed), chosen.data, chosen.threads)))
        return 0
    if not chosen.table:
        done = set(map(run_of, load(chosen.out)))
        wanted = [(n, r, s) for s in chosen.seeds for n in chosen.nets for r in chosen.rates]
        run_all([run for run in wanted if run not in done], chosen)
    rows = load(chosen.out)
    print(table(rows))
    wrong = ordered(rows)
    for line in wrong:
        print(line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
