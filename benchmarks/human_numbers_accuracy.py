"""Train the lesson's six language models over several seeds; print the accuracies as a table.

    python benchmarks/human_numbers_accuracy.py                  # 6 models, seeds 0 to 4
    python benchmarks/human_numbers_accuracy.py --models 5 --seeds 0 1
    python benchmarks/human_numbers_accuracy.py --rivals minitorch7 pytorch  # PyTorch's too
    python benchmarks/human_numbers_accuracy.py --table          # only print what has been measured

The text is made, not fetched: the names of the numbers 1 to 7999 to learn from, 8001 to 9999 to be
judged by. Models 0 and 1 answer for the fourth word after three; the others for every word.

PyTorch's models have the same layers, batches and course of training, but weights and an optimiser
of its own: a seed gives each library another start, so means are to be compared, not single runs.

Results are kept in a JSON file, a row a run, and a run that is in it is not repeated: a benchmark
that was interrupted goes on where it stopped. `--jobs` runs several at a time, one thread each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import rivals
from rivals import machine, options

from minitorch7.files import write_atomically

RESULTS = Path(__file__).parent / "results" / "human_numbers_accuracy.json"
BS, NH = 64, 64
NEAR = 0.02  # how far below the lesson's figure a mean may lie


class Recipe(NamedTuple):
    """How the lesson trains a model, and what its final notebook printed."""

    bptt: int
    fit: dict[str, Any]  # the arguments of fit_one_cycle
    last: float  # the accuracy after the last epoch
    peak: float  # and that of the best one


RECIPES = {
    0: Recipe(3, {"cyc_len": 6, "max_lr": 1e-4}, 0.408778, 0.415671),
    1: Recipe(3, {"cyc_len": 6, "max_lr": 1e-4}, 0.393153, 0.393153),
    2: Recipe(20, {"cyc_len": 10, "max_lr": 1e-4, "pct_start": 0.1}, 0.349787, 0.349787),
    3: Recipe(20, {"cyc_len": 20, "max_lr": 3e-3}, 0.442827, 0.467330),
    4: Recipe(20, {"cyc_len": 20, "max_lr": 3e-3}, 0.614702, 0.626065),
    5: Recipe(20, {"cyc_len": 10, "max_lr": 1e-2}, 0.807102, 0.813920),
}
RIVALS = (rivals.OURS, rivals.PYTORCH)
HEAD = ("model", "epochs", "runs", "mean", "std", "best", "mean of peaks", "lesson", "its peak")
HEAD += ("PyTorch",)

Run = tuple[str, int, int]  # rival, model and seed, which tell a run from all others


def train(rival: str, model: int, seed: int, threads: int, backend: str) -> dict[str, Any]:
    """One run of one recipe; its accuracy after every epoch and the seconds it took."""
    import minitorch7 as mt
    from minitorch7.data import ItemLists, TextList
    from minitorch7.text import human_numbers

    backend = backend if rival == rivals.OURS else "numpy"  # where the batches lie
    if backend == "numpy":
        rivals.load(rival).set_threads(threads)
    fit = fit_ours if rival == rivals.OURS else fit_pytorch
    with mt.using(backend):
        texts = [TextList([", ".join(lines)]) for lines in human_numbers()]
        bptt = RECIPES[model].bptt
        data = ItemLists(".", *texts).label_for_lm().databunch(bs=BS, bptt=bptt, seed=seed)
        start = time.perf_counter()
        accuracies = [round(share, 6) for share in fit(model, seed, data)]
        seconds = time.perf_counter() - start
    return {
        "rival": rival,
        "model": model,
        "seed": seed,
        "accuracy": accuracies[-1],
        "peak": max(accuracies),
        "by_epoch": accuracies,
        "seconds": round(seconds, 1),
        "backend": backend,
        "threads": threads,
    }


def fit_ours(model: int, seed: int, data: Any) -> list[float]:
    """The accuracies of minitorch7's model, epoch by epoch."""
    import minitorch7 as mt
    from minitorch7.learner import Learner, accuracy
    from minitorch7.text import acc4, loss4, models

    mt.manual_seed(seed)
    size = {"nv": data.c, "nh": NH, **({"bs": BS} if model > 2 else {})}
    made = getattr(models, f"Model{model}")(**size)
    loss, metric = (loss4, acc4) if model < 2 else (None, accuracy)
    learn = Learner(data, made, loss_func=loss, metrics=metric)
    with learn.no_bar():
        learn.fit_one_cycle(**RECIPES[model].fit)
    return [row[0] for row in learn.recorder.metrics]


def fit_pytorch(model: int, seed: int, data: Any) -> list[float]:
    """And those of PyTorch's."""
    import torch
    from rivals import pytorch_language

    torch.manual_seed(seed)
    net = pytorch_language.make(model, data.c, NH, BS)
    return pytorch_language.fit(net, data, **RECIPES[model].fit)


def load(path: Path) -> list[dict[str, Any]]:
    """The runs measured so far; one that does not say whose it is is minitorch7's."""
    rows = json.loads(path.read_text()) if path.exists() else []
    return [{"rival": rivals.OURS, **row} for row in rows]


def run_of(row: dict[str, Any]) -> Run:
    """What tells a row from all others."""
    return row.get("rival", rivals.OURS), row["model"], row["seed"]


def keep(path: Path, row: dict[str, Any]) -> None:
    """Add one run to the file; the file is replaced in one step, so that it is never half there."""
    rows = [*(r for r in load(path) if run_of(r) != run_of(row)), row]
    text = "[\n" + ",\n".join(json.dumps(r) for r in sorted(rows, key=run_of)) + "\n]\n"
    write_atomically(path, text.encode(), "human_numbers_accuracy")


def run_all(todo: list[Run], chosen: argparse.Namespace) -> None:
    """The runs still to do, `--jobs` at a time, each in a process of its own."""
    running: dict[subprocess.Popen, str] = {}
    environment = machine.environment(chosen.threads)
    while todo or running:
        while todo and len(running) < chosen.jobs:
            rival, model, seed = todo.pop(0)
            command = [sys.executable, __file__, "--one", rival, str(model), str(seed)]
            command += ["--threads", str(chosen.threads), "--backend", chosen.backend]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            running[process] = f"{rivals.TITLES[rival]}, model {model}, seed {seed}"
        for process in [p for p in running if p.poll() is not None]:
            name = running.pop(process)
            if process.returncode:
                for other in running:  # they would go on with nobody to read what they print
                    other.terminate()
                sys.exit(f"{name}: exit status {process.returncode}")
            row = json.loads(process.stdout.read().splitlines()[-1])
            keep(chosen.out, row)
            print(
                f"{name}: {row['accuracy']:.4f} (peak {row['peak']:.4f}) in {row['seconds']:.0f} s",
                flush=True,
            )
        time.sleep(0.2)


def table(rows: list[dict[str, Any]]) -> str:
    """minitorch7's results beside the lesson's and, mean ± std over its runs, PyTorch's."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for model, recipe in RECIPES.items():
        found, theirs = (of(rows, rival, model, "accuracy") for rival in RIVALS)
        if not found and not theirs:
            continue
        peaks = of(rows, rivals.OURS, model, "peak")
        cells = [str(model), str(recipe.fit["cyc_len"]), str(len(found))]
        cells += [figure(mean, found), spread(found), figure(max, found), figure(mean, peaks)]
        cells += [f"{recipe.last:.4f}", f"{recipe.peak:.4f}"]
        cells.append(f"{figure(mean, theirs)} ± {spread(theirs)}" if theirs else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def of(rows: list[dict[str, Any]], rival: str, model: int, key: str) -> list[float]:
    """One number of each of a rival's runs of a model."""
    return [row[key] for row in rows if run_of(row)[:2] == (rival, model)]


def figure(f: Callable[[list[float]], float], values: list[float]) -> str:
    """f of the values, or a dash where there are none."""
    return f"{f(values):.4f}" if values else "-"


def spread(values: list[float]) -> str:
    """The standard deviation, or a dash where a single run has none."""
    return figure(stdev, values if len(values) > 1 else [])


def main() -> int:
    """Run what is missing and print the table; 1 where a mean lies well below the lesson's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rivals", nargs="+", choices=RIVALS, default=[rivals.OURS])
    parser.add_argument("--models", nargs="+", type=int, choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=options.natural, default=list(range(5)))
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file of results")
    parser.add_argument(
        "--jobs", type=options.positive, default=1, help="runs at a time (default 1)"
    )
    parser.add_argument("--threads", type=options.positive, default=1, help="of a run (default 1)")
    parser.add_argument(
        "--backend", choices=["numpy", "cupy"], default="numpy", help="minitorch7's (default numpy)"
    )
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    parser.add_argument(
        "--one", nargs=3, metavar=("RIVAL", "MODEL", "SEED"), help=argparse.SUPPRESS
    )
    chosen = parser.parse_args()
    if chosen.one:
        rival, model, seed = chosen.one
        print(json.dumps(train(rival, int(model), int(seed), chosen.threads, chosen.backend)))
        return 0
    if not chosen.table:
        names, _ = options.present(chosen)
        wanted = [(n, m, s) for n in names for m in chosen.models for s in chosen.seeds]
        done = set(map(run_of, load(chosen.out)))
        run_all([run for run in wanted if run not in done], chosen)
    rows = load(chosen.out)
    print(table(rows))
    means = {m: of(rows, rivals.OURS, m, "accuracy") for m in RECIPES}
    low = [m for m, found in means.items() if found and mean(found) < RECIPES[m].last - NEAR]
    for m in low:
        print(f"model {m}: the mean {mean(means[m]):.4f} is far below {RECIPES[m].last:.4f}")
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
