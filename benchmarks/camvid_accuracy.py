"""Train the U-Net around a ResNet-18 on CamVid from scratch, in minitorch7 and in PyTorch.

    python benchmarks/camvid_accuracy.py                     # both, 12 epochs, seed 0
    python benchmarks/camvid_accuracy.py --rivals minitorch7 --seeds 0 1 --threads 2
    python benchmarks/camvid_accuracy.py --varied --epochs 20  # the recipe of lesson 6
    python benchmarks/camvid_accuracy.py --quick             # few and small pictures, 2 epochs
    python benchmarks/camvid_accuracy.py --table             # only print what has been measured

Street scenes of 96×128 pixels in batches of 8, mirrored at random and not varied otherwise, unless
`--varied` asks for all of `get_transforms()`, as lesson 6 does for 20 epochs. ImageNet's scale, but
weights that have learned nothing. One cycle up to a learning rate of 2e-3, Adam's momentum between
0.95 and 0.85, true weight decay 0.01. The loss counts all 12 classes, Void too; the accuracy is the
share of right pixels among those of the validation pictures that are not Void. minitorch7 draws the
initial weights, which PyTorch copies, and its DataLoader feeds both.

Results are kept in a JSON file, a row a run, and a run that is in it is not repeated: a benchmark
that was interrupted begins again with the run it was at. Each run has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rivals
from rivals import machine, options, report, rounds, start
from rivals.pictures import COLORS, MARKERS

NAME, HERE = "camvid_accuracy", Path(__file__).resolve().parent
SIZE, QUICK_SIZE = (96, 128), (48, 64)
QUICK_EPOCHS, QUICK_PICTURES = 2, 6  # pictures of training and of validation each
MAX_LR, MOMENTUM = 2e-3, (0.95, 0.85)
ALIKE = (
    "epochs",
    "batch",
    "threads",
    "quick",
    "varied",
)  # what, beside rival and seed, makes a run
SAME = 1e-3  # what two libraries' first losses may differ by
HEAD = ("library", "threads", "runs", "pictures", "epochs", "accuracy", "best epoch", "s an epoch")
HEAD += ("minitorch7 takes",)


# -------------------------------------------------------------------------------- the street scenes


def scenes(data: str | None, batch: int, seed: int, quick: bool, varied: bool) -> Any:
    """The pictures with their masks behind loaders. DataNotFound where there is no CamVid."""
    from minitorch7.data import FlipLR, camvid, get_transforms, imagenet_stats

    lists = camvid(data, download=False).labelled()
    if quick:
        few = np.arange(QUICK_PICTURES)
        lists.train, lists.valid = lists.train.take(few), lists.valid.take(few)
    tfms = get_transforms() if varied else ([FlipLR()], [])
    lists.transform(tfms, size=QUICK_SIZE if quick else SIZE, tfm_y=True)
    return lists.databunch(bs=batch, seed=seed).normalize(imagenet_stats)


# -------------------------------------------------------------------------------------------- a run


def train(rival: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """One run; its losses, accuracies and seconds, epoch by epoch."""
    from minitorch7.optim.schedules import OneCycle

    rivals.load(rival).set_threads(chosen.threads)
    data = scenes(chosen.data, chosen.batch, seed, chosen.quick, chosen.varied)
    train_dl, valid_dl = data.train_dl, data.valid_dl
    step, classes, adamw = rivals.load(rival).build_segmenter(seed)
    cycle = OneCycle(chosen.epochs * len(train_dl), MAX_LR, MOMENTUM)
    losses, rows, done = [], [], 0
    with rounds.progress(chosen.epochs * (len(train_dl) + len(valid_dl))) as bar:
        for epoch in range(chosen.epochs):
            began = time.perf_counter()
            for x, y in train_dl.batches(epoch):
                for group in adamw.param_groups:
                    group["lr"], momentum = cycle.at(done)
                    group["betas"] = (momentum, start.BETAS[1])
                losses.append(step(x, y))
                done += 1
                rounds.show(bar, f"{rivals.TITLES[rival]}, epoch {epoch}, loss {losses[-1]:.3f}")
            seconds = time.perf_counter() - began
            share = accuracy(classes, valid_dl, bar)
            rows.append((float(np.mean(losses[-len(train_dl) :])), share, seconds))
            rounds.say(f"{rivals.TITLES[rival]}, epoch {epoch}: {share:.4f} in {seconds:.0f} s")
    train_loss, shares, seconds = zip(*rows, strict=True)
    return {
        **settings(rival, seed, chosen),
        "batches": len(train_dl),
        "first_loss": losses[0],
        "train_loss": [round(loss, 5) for loss in train_loss],
        "accuracy": [round(share, 5) for share in shares],
        "seconds": [round(s, 2) for s in seconds],
    }


def accuracy(classes: Callable[[Any], np.ndarray], loader: Any, bar: Any) -> float:
    """The share of right pixels among all that are not Void."""
    from minitorch7.data import VOID

    right = counted = 0
    for x, y in loader.batches(0):
        target = y.numpy()[:, 0]
        known = target != VOID
        right += int((classes(x) == target)[known].sum())
        counted += int(known.sum())
        bar.update()
    return right / counted


def settings(rival: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """What makes a run another run."""
    return {"rival": rival, "seed": seed, **{key: getattr(chosen, key) for key in ALIKE}}


# ----------------------------------------------------------------------------------------- all runs


def load(path: Path) -> list[dict[str, Any]]:
    """The runs measured so far."""
    return json.loads(path.read_text())["rows"] if path.exists() else []


def run_all(names: list[str], absent: dict[str, str], chosen: argparse.Namespace) -> None:
    """The runs still to do, each in a process of its own; the file is written after each."""
    for seed in chosen.seeds:
        for rival in names:
            wanted, found = settings(rival, seed, chosen), load(chosen.out)
            rows = [row for row in found if not wanted.items() <= row.items()]
            if len(rows) < len(found) and not chosen.quick:
                continue
            command = [sys.executable, __file__, "--one", rival, str(seed)]
            command += ["--epochs", str(chosen.epochs), "--batch", str(chosen.batch)]
            command += ["--threads", str(chosen.threads), *["--quick"] * chosen.quick]
            command += ["--varied"] * chosen.varied
            command += ["--data", str(chosen.data)] if chosen.data else []
            environment = machine.environment(chosen.threads)
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
            if done.returncode:
                raise RuntimeError(f"{rival}, seed {seed}: exit status {done.returncode}")
            row = json.loads(done.stdout.splitlines()[-1])
            report.save(chosen.out, command_of(chosen), absent, [*rows, row])


def differing(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each run whose first loss is not minitorch7's, whose weights and batch it had."""
    found = []
    ours = {
        (r["seed"], r["batch"], r["quick"], r["varied"]): r
        for r in rows
        if r["rival"] == rivals.OURS
    }
    for r in rows:
        mine = ours.get((r["seed"], r["batch"], r["quick"], r["varied"]))
        if mine and not abs(mine["first_loss"] - r["first_loss"]) <= SAME:
            found.append(
                f"seed {r['seed']}: first loss {mine['first_loss']:.5f} in minitorch7 but "
                f"{r['first_loss']:.5f} in {rivals.TITLES[r['rival']]}: not the same computation"
            )
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: means over the seeds of runs that are otherwise alike; the median of all epochs."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for r in rows:
        groups.setdefault((r["rival"], *(r[key] for key in ALIKE)), []).append(r)
    pace = {k: float(np.median([s for r in g for s in r["seconds"]])) for k, g in groups.items()}
    lines = []
    for (rival, *alike), group in groups.items():
        ours, seconds = pace.get((rivals.OURS, *alike)), pace[rival, *alike]
        last = np.mean([r["accuracy"][-1] for r in group])
        best = np.mean([max(r["accuracy"]) for r in group])
        kind = "varied" if group[0]["varied"] else "mirrored"
        cells = [rivals.TITLES[rival], group[0]["threads"], len(group), kind, group[0]["epochs"]]
        ratio = "-" if rival == rivals.OURS or ours is None else f"{ours / seconds:.2f} ×"
        lines.append([*cells, f"{last:.4f}", f"{best:.4f}", f"{seconds:.1f}", ratio])
    return report.table(HEAD, lines)


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Accuracy and training loss, epoch by epoch, a line a run."""
    from matplotlib.figure import Figure

    from minitorch7 import plot

    figure = Figure(figsize=(11, 4.6), layout="constrained", dpi=110)
    axes = figure.subplots(1, 2)
    labels = ("accuracy on validation, without Void", "training loss, mean of the epoch")
    for ax, key, label in zip(axes, ("accuracy", "train_loss"), labels, strict=True):
        known: set[str] = set()
        for r in rows:
            title = rivals.TITLES[r["rival"]] + (", varied" if r["varied"] else ", mirrored")
            style = {"color": COLORS[r["rival"]], "marker": MARKERS[r["rival"]], "markersize": 5}
            style["linestyle"] = "--" if r["varied"] else "-"
            style["label"] = None if title in known else title
            ax.plot(range(1, 1 + len(r[key])), r[key], **style)
            known.add(title)
        ax.set(xlabel="epochs", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(True, color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.suptitle("The U-Net around a ResNet-18 on CamVid, from scratch")
    plot.save(figure, path)


# ------------------------------------------------------------------------------------- command line


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the runs, without the places of files."""
    words = [f"python benchmarks/{NAME}.py --rivals", *chosen.rivals]
    words += ["--seeds", *map(str, chosen.seeds), "--epochs", str(chosen.epochs)]
    words += ["--batch", str(chosen.batch), "--threads", str(chosen.threads)]
    return " ".join([*words, *["--quick"] * chosen.quick, *["--varied"] * chosen.varied])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; --quick only changes what is not given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = options.known("build_segmenter")
    parser.add_argument("--rivals", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=options.natural, default=[0])
    parser.add_argument("--epochs", type=options.positive, help="default 12")
    parser.add_argument("--batch", type=options.positive, help="default 8")
    parser.add_argument("--threads", type=options.positive, help="default: all cores")
    parser.add_argument("--data", help="folder with CamVid; default: as camvid() looks")
    parser.add_argument("--out", type=Path, help="the JSON file (default: in results/)")
    parser.add_argument(
        "--picture", type=Path, help="the PNG file (default: pictures/, or by --out)"
    )
    parser.add_argument("--quick", action="store_true", help="a taste, in out/")
    parser.add_argument("--varied", action="store_true", help="all of get_transforms()")
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    parser.add_argument("--one", nargs=2, metavar=("RIVAL", "SEED"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    chosen.epochs = chosen.epochs or (QUICK_EPOCHS if chosen.quick else 12)
    chosen.batch = chosen.batch or (2 if chosen.quick else 8)
    chosen.threads = chosen.threads or machine.cores()
    chosen.rivals, chosen.seeds = (list(dict.fromkeys(v)) for v in (chosen.rivals, chosen.seeds))
    choose_files(parser, chosen)
    return chosen


def choose_files(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """Where the results go, if the command line does not say; a taste has a folder of its own."""
    results, pictures = ("out", "out") if chosen.quick else ("results", "pictures")
    if chosen.out is None:
        chosen.out = HERE / results / f"{NAME}.json"
        chosen.picture = chosen.picture or HERE / pictures / f"{NAME}.png"
    chosen.picture = chosen.picture or chosen.out.with_suffix(".png")
    for flag, path, suffix in (("out", chosen.out, ".json"), ("picture", chosen.picture, ".png")):
        if path.suffix.lower() != suffix:
            parser.error(f"argument --{flag}: must end in {suffix}, got {path.name!r}")


def main() -> int:
    """Run what is missing, print the table, draw; 1 where something failed or differs."""
    from minitorch7.data import DataNotFound, find_camvid

    chosen = parse()
    if chosen.one:
        try:
            print(json.dumps(train(chosen.one[0], int(chosen.one[1]), chosen)))
        except KeyboardInterrupt:
            return 130
        return 0
    if not chosen.table:
        try:
            find_camvid(chosen.data, download=False)
        except DataNotFound as error:
            rounds.say(f"skipped: {error}")
            return 0
        try:
            run_all(*options.present(chosen), chosen)
        except (RuntimeError, OSError) as error:
            rounds.say(f"{error}")
            return 1
        except KeyboardInterrupt:
            rounds.say("interrupted; the runs that were complete are kept")
            return 130
    rows = load(chosen.out)
    if not rows:
        rounds.say(f"nothing has been measured: {chosen.out.name} is not there")
        return 0
    picture(rows, chosen.picture)
    print(f"{command_of(chosen)}\n\n{table(rows)}")
    wrong = differing(rows)
    for line in wrong:
        rounds.say(line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
