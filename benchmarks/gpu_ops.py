"""Time single operations on a GPU, beside PyTorch's and beside what the card can do at most.

    python benchmarks/gpu_ops.py                             # all, in float32
    python benchmarks/gpu_ops.py --kinds conv2d linear --tf32 on
    python benchmarks/gpu_ops.py --net "U-Net 360×480" --tf32 on
    python benchmarks/gpu_ops.py --convolutions              # which of our two ways is faster
    python benchmarks/gpu_ops.py --list

The operations of `operations.py`, and the convolutions of the lesson's CamVid U-Net at 360×480.
*forward* records no graph; *with gradients* is forward and backward to all that a network would
need. GB/s and GFLOP/s are bytes and operations counted from the shapes (`rivals/gpu_count.py`)
over the measured time. *share* is the time that the measured ceilings allow over the measured
time: 100 % is as fast as this card can be asked to be. What fits the card's cache is not read from
memory again and can go beyond. Where *issue* is near *ms*, the host sets the pace: the operation
is over before Python has asked for the next.

A convolution lays out columns for cuBLAS's product, or goes without (implicit GEMM): with
--convolutions each shape is timed both ways, and the table says which won and which
`without_columns` (``minitorch7/kernels/convolution.py``) would have chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from rivals import (
    gpu_card,
    gpu_ceilings,
    gpu_count,
    gpu_pictures,
    gpu_report,
    gpu_script,
    gpu_start,
    grid,
    jobs,
    report,
    rounds,
    start,
)
from rivals.gpu_crew import EAGER, FORCED, OURS, TITLES, Crew, WorkerError, crew

NAME = "gpu_ops"
FORWARD, BOTH, STEP = "forward", "with gradients", "step"
PRODUCTS = ("conv2d", "conv_transpose2d", "linear")  # which TF32 changes
CONVOLUTIONS = ("conv2d", "conv_transpose2d")
CHOICES = ("operation", "net", "pass", *(f"{way} ms" for way in FORCED.values()))
CHOICES += ("faster", "by", "chosen", "right")
HEAD = ("operation", "net", "pass", "by", "ms", "issue ms", "GB/s", "GFLOP/s", "share")
HEAD += ("minitorch7 takes",)
ON_OFF = ("off", "on")


def cases_of(chosen: argparse.Namespace) -> list[tuple[str, str]]:
    """(operation, pass) in the order of measuring."""
    wanted = [
        name
        for name, case in grid.CASES.items()
        if case.kind in chosen.kinds and chosen.net in (None, case.net)
    ]
    found = [(name, which) for name in wanted for which in (FORWARD, BOTH)]
    if "adam" in chosen.kinds and chosen.net is None:
        found += [(name, STEP) for name in list(grid.ADAM)[: 1 if chosen.standin else None]]
    return found


def work_of(name: str, which: str, seed: int) -> gpu_count.Work:
    """What the operation has to do."""
    if which == STEP:
        shapes = [p.shape for p in start.parameters(grid.ADAM[name], seed)]
        return gpu_count.adam(sum(map(prod, shapes)))
    return gpu_count.work(grid.CASES[name], which == BOTH)


def measure(team: Crew, chosen: argparse.Namespace, top: dict[str, float]) -> Iterator[list[dict]]:
    """The rows, an operation at a time."""
    rate = top.get(gpu_ceilings.kind_name("float32", team.tf32))
    for name, which in cases_of(chosen):
        what = f"{name}, {which}"
        rounds.say(what)
        if which == STEP:
            job, arguments = "adam", {"name": name, "seed": chosen.seed}
        else:
            backward = which == BOTH
            job, arguments = "operation", {"name": name, "backward": backward, "seed": chosen.seed}
        found = team.compete(what, job, arguments, chosen.rounds, tolerance(team.tf32))
        net = "" if which == STEP else grid.CASES[name].net
        about = {"operation": name, "net": net, "pass": which, "tf32": team.tf32}
        if chosen.convolutions:
            about["chosen"] = choice(team, name)
        rows = gpu_report.rows_of(about, found)
        for r in rows:
            add_rates(r, work_of(name, which, chosen.seed), top.get(gpu_ceilings.COPY), rate)
        yield rows


def tolerance(tf32: bool) -> float:
    """Between two libraries' numbers: TF32 keeps 10 bits of each factor."""
    return 10 * jobs.TOLERANCE if tf32 else jobs.TOLERANCE


def add_rates(
    r: dict[str, Any], work: gpu_count.Work, gbytes: float | None, gflops: float | None
) -> None:
    """To a row, what was counted, the rates, and the share of what the card allows."""
    ms = r["median_ms"] or None
    r |= {"nbytes": work.nbytes, "flops": work.flops, "gb_s": None, "gflop_s": None, "share": None}
    if ms is None:
        return
    r["gb_s"] = gpu_report.rounded(work.nbytes / (ms * 1e6))
    if work.flops:
        r["gflop_s"] = gpu_report.rounded(work.flops / (ms * 1e6))
    if gbytes and (gflops or not work.flops):
        r["share"] = round(work.least_ms(gbytes, gflops or 1.0) / ms, 4)


def table(rows: gpu_report.Rows) -> str:
    """A line an operation and a way."""
    lines = []
    for r in rows:
        rates = [report.shown(r["gb_s"], 1), report.shown(r["gflop_s"])]
        times = [f"{r[key]:.4g}" for key in ("median_ms", "issue_ms")]
        about = [r["operation"], r["net"], r["pass"], TITLES[r["way"]]]
        ratio = "-" if r["way"] == OURS else gpu_report.ratio(r["ratio"])
        lines.append([*about, *times, *rates, gpu_report.percent(r["share"]), ratio])
    return report.table(HEAD, lines)


def choice(team: Crew, name: str) -> str | None:
    """Which way the library takes by itself; None where its worker has failed."""
    try:
        return team.worker(OURS).ask("chooses", name=name)["way"]
    except WorkerError:
        return None


def choices(rows: gpu_report.Rows) -> str:
    """A line a convolution and a pass: both ways' times, which won, and which is chosen."""
    times: dict[tuple[str, ...], dict[str, Any]] = {}
    for r in rows:
        if r["way"] in FORCED and r["median_ms"]:
            about = times.setdefault((r["operation"], r["net"], r["pass"]), {})
            about |= {FORCED[r["way"]]: r["median_ms"], "chosen": r["chosen"]}
    lines, right = [], 0
    for about, of in times.items():
        if any(way not in of for way in FORCED.values()):
            continue  # one of them failed: the head says why
        first, second = sorted(FORCED.values(), key=lambda way, of=of: of[way])
        shown = [f"{of[way]:.4g}" for way in FORCED.values()]
        by = gpu_report.ratio(of[second] / of[first])
        right += of["chosen"] == first
        verdict = "yes" if of["chosen"] == first else "no"
        lines.append([*about, *shown, first, by, of["chosen"] or "-", verdict])
    said = f"`without_columns` chooses the faster way in {right} of {len(lines)} cases."
    return f"{report.table(CHOICES, lines)}\n\n{said}"


def panels(rows: gpu_report.Rows) -> dict[str, gpu_pictures.Panel]:
    """Each operation's share of what the card allows, in %, ours and PyTorch's."""
    found: dict[str, gpu_pictures.Panel] = {}
    for r in rows:
        if r["share"] is None:
            continue
        panel = found.setdefault(FORWARD if r["pass"] == FORWARD else BOTH, {})
        bar = gpu_pictures.Bar(r["way"], 100 * r["share"], gpu_report.percent(r["share"]))
        panel.setdefault(f"{r['operation']}  {r['net']}".strip(), []).append(bar)
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    made = gpu_script.parser(__doc__, (OURS, EAGER))
    made.add_argument("--kinds", nargs="+", choices=grid.KINDS)
    made.add_argument("--net", choices=(*_nets(), gpu_start.WIDE), help="one network's only")
    made.add_argument("--tf32", choices=ON_OFF, default="off", help="products through TF32")
    made.add_argument(
        "--convolutions", action="store_true", help="our two ways to convolve, and no other library"
    )
    made.add_argument("--list", action="store_true", help="print the operations and stop")
    if "--list" in (arguments if arguments is not None else sys.argv[1:]):
        chosen = made.parse_args(arguments)
        chosen.name = NAME
    else:
        chosen = gpu_script.parse(made, NAME, arguments)
    chosen.kinds = chosen.kinds or list(PRODUCTS if chosen.tf32 == "on" else grid.KINDS)
    if chosen.convolutions:
        chosen.kinds = [kind for kind in CONVOLUTIONS if kind in chosen.kinds]
        chosen.ways = [OURS, *FORCED]
        if not chosen.kinds:
            made.error("argument --convolutions: there is none among the --kinds given")
    return chosen


def _nets() -> list[str]:
    return list(dict.fromkeys(case.net for case in grid.CASES.values()))


def command_of(chosen: argparse.Namespace) -> str:
    """The command that repeats the run, without the place of the file."""
    net = f' --net "{chosen.net}"' if chosen.net else ""
    if not chosen.convolutions:
        return gpu_script.command(chosen, "kinds", "tf32") + net
    plain = argparse.Namespace(**{**vars(chosen), "ways": [OURS]})
    return gpu_script.command(plain, "kinds", "tf32") + net + " --convolutions"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write file and picture; 1 where something failed, 2 without a GPU."""
    chosen = parse(arguments)
    (gpu_start.make_tiny if chosen.standin else gpu_start.add_wide)()
    if chosen.list:
        print("\n".join(dict.fromkeys(name for name, _ in cases_of(chosen))))
        return 0
    rows: gpu_report.Rows = []
    command = command_of(chosen)
    with crew(chosen.ways, chosen.tf32 == "on", chosen.standin) as team:
        ceilings = gpu_ceilings.measure(team, ("float32",), min(3, chosen.rounds))
        more: dict[str, Any] = {"ceilings": ceilings}
        for found in measure(team, chosen, gpu_ceilings.best(ceilings)):
            rows += found
            gpu_report.save(chosen.out, command, team, rows, **more)
        more["clocks"] = {} if chosen.standin else gpu_card.clocks(team.facts.get("place"))
    gpu_report.save(chosen.out, command, team, rows, **more)
    title = "Single operations: % of the time that the measured ceilings allow"
    gpu_pictures.bars(chosen.picture, panels(rows), title, team.facts, line=100.0)
    print(f"{gpu_report.head('Operations', command, team)}\n\n{table(rows)}")
    if chosen.convolutions:
        print(f"\n{choices(rows)}")
    return gpu_script.status(team, rows)


if __name__ == "__main__":
    sys.exit(main())
