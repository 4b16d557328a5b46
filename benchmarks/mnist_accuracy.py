"""Train the lesson's three MNIST networks over several seeds; print the accuracies as a table.

    python benchmarks/mnist_accuracy.py                  # 3 networks, seeds 0 to 4
    python benchmarks/mnist_accuracy.py --model resnet --seeds 0 1
    python benchmarks/mnist_accuracy.py --table          # only print what has been measured

Results are kept in a JSON file, a row a run, and a run that is in it is not repeated: a benchmark
that was interrupted goes on where it stopped. `--jobs` runs several at a time, one thread each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, stdev

from models import RECIPES

from minitorch7.files import write_atomically

RESULTS = Path(__file__).parent / "results" / "mnist_accuracy.json"


def train(model: str, seed: int, data: str | None, threads: int, backend: str) -> dict:
    """One run of one recipe; its accuracy after every epoch and the seconds it took."""
    import minitorch7 as mt
    from minitorch7 import nn
    from minitorch7.data import mnist, rand_pad
    from minitorch7.learner import Learner, accuracy

    recipe = RECIPES[model]
    if backend == "numpy":
        mt.set_num_threads(threads)
    with mt.using(backend):
        bunch = (
            mnist(data)
            .split_by_folder(train="training", valid="testing")
            .label_from_folder()
            .transform((rand_pad(3, 28, mode="zeros"), []))
            .databunch(bs=128, seed=seed)
            .normalize()
        )
        mt.manual_seed(seed)
        learn = Learner(bunch, recipe.make(), loss_func=nn.CrossEntropyLoss(), metrics=accuracy)
        start = time.perf_counter()
        with learn.no_bar():
            learn.fit_one_cycle(recipe.epochs, max_lr=recipe.max_lr)
        seconds = time.perf_counter() - start
    accuracies = [round(row[0], 6) for row in learn.recorder.metrics]
    return {
        "model": model,
        "seed": seed,
        "accuracy": accuracies[-1],
        "by_epoch": accuracies,
        "seconds": round(seconds, 1),
        "backend": backend,
        "threads": threads,
    }


def load(path: Path) -> list[dict]:
    """The runs measured so far."""
    return json.loads(path.read_text()) if path.exists() else []


def keep(path: Path, row: dict) -> None:
    """Add one run to the file; the file is replaced in one step, so that it is never half there."""
    rows = [r for r in load(path) if (r["model"], r["seed"]) != (row["model"], row["seed"])]
    rows = sorted([*rows, row], key=lambda r: (list(RECIPES).index(r["model"]), r["seed"]))
    text = "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    write_atomically(path, text.encode(), "mnist_accuracy")


def run_all(todo: list[tuple[str, int]], options: argparse.Namespace) -> None:
    """The runs still to do, `--jobs` at a time, each in a process of its own."""
    running: dict[subprocess.Popen, tuple[str, int]] = {}
    while todo or running:
        while todo and len(running) < options.jobs:
            model, seed = todo.pop(0)
            command = [sys.executable, __file__, "--one", model, str(seed)]
            command += ["--threads", str(options.threads), "--backend", options.backend]
            command += ["--data", options.data] if options.data else []
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            running[process] = (model, seed)
        for process in [p for p in running if p.poll() is not None]:
            model, seed = running.pop(process)
            if process.returncode:
                sys.exit(f"{model}, seed {seed}: stopped with exit status {process.returncode}")
            row = json.loads(process.stdout.read().splitlines()[-1])
            keep(options.out, row)
            print(f"{model:11} seed {seed}: {row['accuracy']:.4f} in {row['seconds']:.0f} s")
            sys.stdout.flush()
        time.sleep(0.2)


def table(rows: list[dict]) -> str:
    """The results beside the lesson's and PyTorch's."""
    head = ("network", "epochs", "runs", "mean", "std", "best", "lesson", "notebook", "PyTorch")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, recipe in RECIPES.items():
        found = [r["accuracy"] for r in rows if r["model"] == name]
        if not found:
            continue
        spread = f"{stdev(found):.4f}" if len(found) > 1 else "-"
        lines.append(
            f"| {name} | {recipe.epochs} | {len(found)} | {mean(found):.4f} | {spread} | "
            f"{max(found):.4f} | {recipe.lesson[0]:.4f} | {recipe.lesson[1]:.4f} | "
            f"{recipe.pytorch[0]:.4f} (best {recipe.pytorch[1]:.4f}) |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run what is missing and print the table; 1 where a mean lies below its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--data", help="folder with MNIST; default: as minitorch7.data.mnist looks")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file of results")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads a run (default 1)")
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        model, seed = options.one
        row = train(model, int(seed), options.data, options.threads, options.backend)
        print(json.dumps(row))
        return 0
    done = {(r["model"], r["seed"]) for r in load(options.out)}
    if not options.table:
        wanted = [(m, s) for m in options.model for s in options.seeds]
        run_all([w for w in wanted if w not in done], options)
    rows = load(options.out)
    print(table(rows))
    means = {m: [r["accuracy"] for r in rows if r["model"] == m] for m in RECIPES}
    low = [m for m, found in means.items() if found and mean(found) < RECIPES[m].target]
    for m in low:
        print(f"{m}: the mean {mean(means[m]):.4f} is below the target {RECIPES[m].target}")
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
