"""Time one training step on a GPU: minitorch7 on CuPy beside PyTorch on the same card.

    python benchmarks/gpu_train.py                           # 5 networks, all ways
    python benchmarks/gpu_train.py --models resnet --rounds 10
    python benchmarks/gpu_train.py --models camvid_unet34 --ways minitorch7 pytorch

The lesson's three MNIST networks (batches of 128), the GRU for human numbers (64 sequences of 20
words), and the CamVid U-Net around a ResNet-34 (8 pictures of 360×480; its products through TF32
in both libraries, the others' in float32). A step is forward, cross entropy, backward and AdamW.

Ways: minitorch7 as it is, and captured by `mt.capture` where it has that; PyTorch eager, with
torch.compile over network and loss, and with the whole step as a CUDA graph. Before anything is
timed, the first losses are compared: who computes something else is left out. Nobody reads a loss
within the timed steps. Small networks take turns, A B C A B C …; the U-Net has the card to itself.

Of ours also: kernels started and waits for the device in a step, counted by PyTorch's profiler
where that is installed, and by the stand-in for CuPy: with our CUDA kernels, and (in brackets)
with CuPy's operations alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rivals import gpu_card, gpu_pictures, gpu_report, gpu_script, gpu_start, report, rounds
from rivals.gpu_crew import CAPTURED, COMPILED, OURS, TITLES, WAYS, Crew, WorkerError, crew
from rivals.start import GRU

NAME = "gpu_train"
HEAD = ("network", "by", "median ms", "least ms", "issue ms", "minitorch7 takes", "captured takes")
HEAD += ("kernels", "waits", "on the stand-in")
AUTO = "auto"


def ways_of(model: str, ways: list[str]) -> list[str]:
    """Those that take part: torch.compile runs an nn.GRU as eager mode does."""
    return [way for way in ways if (model, way) != (GRU, COMPILED)]


def with_tf32(model: str, wanted: str) -> bool:
    """Whether both libraries' products go through TF32."""
    return model in gpu_start.TF32 if wanted == AUTO else wanted == "on"


def compare(team: Crew, model: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one network."""
    batch = gpu_start.spec(model, chosen.standin).batch
    arguments = {"model": model, "batch": batch, "seed": chosen.seed}
    found = team.compete(
        f"{model}, batch {batch}",
        "train",
        arguments,
        chosen.rounds,
        gpu_start.checks(model)[1],
        alone=model in gpu_start.ALONE,
        extra=() if chosen.no_count else ("launches",),
        ways=ways_of(model, team.ways),
    )
    rows = gpu_report.rows_of({"model": model, "batch": batch, "tf32": team.tf32}, found)
    counted = {} if chosen.no_count else on_standin(model, chosen.seed)
    for r in rows:
        of = found[r["way"]]
        r |= {"losses": of["check"], "launches": of.get("launches", {})}
        r["on_standin"] = counted if r["way"] == OURS else {}
    return rows


def on_standin(model: str, seed: int) -> dict[str, Any]:
    """Our step's launches and waits as the stand-in counts them; {} where it cannot."""
    batch = gpu_start.spec(model, tiny=True).batch
    with crew([OURS], standin=True) as team:
        try:
            worker = team.worker(OURS)
            arguments = {"model": model, "batch": batch, "seed": seed}
            worker.ask("prepare", job="train", arguments=arguments)
            return worker.ask("launches")
        except WorkerError as error:
            rounds.say(f"{model}: not counted on the stand-in: {error}")
            return {}


def table(rows: gpu_report.Rows) -> str:
    """A line a network and a way."""
    lines = []
    for r in rows:
        tf32 = ", TF32" if r["tf32"] else ""
        cells = [f"{r['model']}, batch {r['batch']}{tf32}", TITLES[r["way"]]]
        cells += [f"{r[key]:.4g}" for key in ("median_ms", "min_ms", "issue_ms")]
        cells.append("-" if r["way"] == OURS else gpu_report.ratio(r["ratio"]))
        cells.append("-" if r["way"] == CAPTURED else gpu_report.ratio(r["captured_ratio"]))
        cells += [r["launches"].get("kernels", "-"), r["launches"].get("syncs", "-")]
        cells.append(standin_cell(r["on_standin"]))
        lines.append(cells)
    return report.table(HEAD, lines)


def standin_cell(counted: dict[str, Any]) -> str:
    """'312 (1521) launches, 0 waits': with our own kernels, and without."""
    if not counted:
        return "-"
    return f"{counted['kernels']} ({counted['plain']}) launches, {counted['syncs']} waits"


def panels(rows: gpu_report.Rows) -> dict[str, gpu_pictures.Panel]:
    """A panel a network, a bar a way."""
    found: dict[str, gpu_pictures.Panel] = {}
    for r in rows:
        panel = found.setdefault(f"{r['model']}, batch {r['batch']}: ms a step", {})
        bar = gpu_pictures.Bar(r["way"], r["median_ms"], f"{r['median_ms']:.3g}")
        panel[TITLES[r["way"]]] = [bar]
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    made = gpu_script.parser(__doc__, tuple(WAYS))
    made.add_argument(
        "--models", nargs="+", choices=gpu_start.MODELS, default=list(gpu_start.MODELS)
    )
    made.add_argument(
        "--tf32", choices=(AUTO, "off", "on"), default=AUTO, help="auto: on for the U-Net"
    )
    made.add_argument("--no-count", action="store_true", help="count no launches")
    return gpu_script.parse(made, NAME, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write file and picture; 1 where something failed, 2 without a GPU."""
    chosen = parse(arguments)
    command = gpu_script.command(chosen, "models", "tf32")
    rows: gpu_report.Rows = []
    clocks: dict[str, Any] = {}
    whole = Crew(chosen.ways, standin=chosen.standin)  # facts and failures of all
    for tf32 in (False, True):
        models = [m for m in chosen.models if with_tf32(m, chosen.tf32) == tf32]
        if not models:
            continue
        with crew(chosen.ways, tf32, chosen.standin) as team:
            team.facts, team.absent, team.failed = whole.facts, whole.absent, whole.failed
            for model in models:
                rounds.say(model)
                rows += compare(team, model, chosen)
                whole.facts = team.facts
                if not chosen.standin:
                    clocks[model] = gpu_card.clocks(team.facts.get("place"))
                gpu_report.save(chosen.out, command, whole, rows, clocks=clocks)
    title = "One training step (shorter is faster)"
    gpu_pictures.bars(chosen.picture, panels(rows), title, whole.facts)
    print(f"{gpu_report.head('Training steps', command, whole)}\n\n{table(rows)}")
    return gpu_script.status(whole, rows)


if __name__ == "__main__":
    sys.exit(main())
