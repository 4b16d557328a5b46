"""Run all benchmarks of the GPU in under eight minutes, and write one report.

    python benchmarks/gpu_all.py
    python benchmarks/gpu_all.py --minutes 20                  # with more time for each part
    python benchmarks/gpu_all.py --only roofline train --out somewhere/gpu

The report is a folder (benchmarks/out/gpu/ unless --out names another): report.md, report.json and
report.png, and each part's own file and picture. A part that fails or runs out of time does not
stop the others: what it had measured is in the report, and the report says what is not. The exit
status is then 1. Close what else runs on the card and on the machine: they measure time.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gpu_memory
import gpu_ops
import gpu_roofline
import gpu_train
from rivals import gpu_card, gpu_pictures, gpu_script, machine, report, rounds
from rivals.gpu_crew import CAPTURED, COMPILED, EAGER, GRAPH, OURS, TITLES
from rivals.gpu_start import UNET34, WIDE
from rivals.start import GRU

from minitorch7.files import write_atomically

HERE = Path(__file__).resolve().parent
LARGEST = "resnet"


class Part(NamedTuple):
    """A script, its flags, and its share of the time."""

    title: str
    script: Any
    share: float
    flags: tuple[str, ...]
    standin: tuple[str, ...]  # flags instead, where there is no GPU and it has to be short


PARTS = {
    "roofline": Part("Ceilings", gpu_roofline, 0.1, (), ()),
    "train": Part(
        "Training steps",
        gpu_train,
        0.3,
        ("--rounds", "4", "--ways", OURS, CAPTURED, EAGER, GRAPH),
        ("--models", "basic"),
    ),
    "memory": Part(
        "Memory",
        gpu_memory,
        0.2,
        ("--models", LARGEST, UNET34, "--ways", OURS, CAPTURED, EAGER, GRAPH),
        ("--models", "basic"),
    ),
    "ops": Part("Operations", gpu_ops, 0.2, ("--rounds", "2"), ("--kinds", "relu")),
    "ops_tf32": Part(
        "Operations, TF32",
        gpu_ops,
        0.1,
        ("--rounds", "2", "--tf32", "on", "--net", WIDE),
        ("--kinds", "linear", "--tf32", "on"),
    ),
    "compiled": Part(  # the last, because compiling takes longest
        "Training steps beside torch.compile",
        gpu_train,
        0.2,
        ("--models", LARGEST, UNET34, "--rounds", "3", "--no-count", "--ways", OURS, COMPILED),
        ("--models", "basic", "--no-count", "--ways", OURS),
    ),
}
HEAD = ("what", "wanted", "measured", "")
Target = tuple[str, str, str, str, float]  # network, whose, over whose, what, the most
TARGETS: tuple[Target, ...] = (
    (LARGEST, CAPTURED, EAGER, "time", 0.5),
    (LARGEST, CAPTURED, GRAPH, "time", 1.0),
    (LARGEST, OURS, EAGER, "time", 1.5),
    (GRU, OURS, EAGER, "time", 1.5),
    (UNET34, OURS, EAGER, "time", 1.5),
    (UNET34, OURS, EAGER, "memory", 1.1),
)


def run_part(name: str, folder: Path, seconds: float, standin: bool) -> str | None:
    """Run one part for at most so long; None, or what went wrong."""
    part = PARTS[name]
    script = HERE / f"{part.script.NAME}.py"
    command = [sys.executable, str(script), "--out", str(folder / f"{name}.json")]
    command += ["--standin", *part.standin] if standin else part.flags
    # a session of its own, so that its workers end with it; what it prints the report has anyway
    process = subprocess.Popen(
        command, env=machine.environment(1), stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        status = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s: no time was left"
    finally:
        end(process)
    return f"ended with status {status}" if status else None


def time_for(name: str, names: Sequence[str], left: float) -> float:
    """A part's seconds of those that are left: its share among itself and those after it."""
    later = names[names.index(name) :]
    return left * PARTS[name].share / sum(PARTS[other].share for other in later)


def end(process: subprocess.Popen) -> None:
    """End a part and its workers."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # all of them have ended
        pass
    process.wait()


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """What a part has written; None where that is nothing."""
    try:
        return json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def target_lines(found: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A line a target: what was wanted, what was measured, whether it is met."""
    lines = []
    for model, way, other, what, most in TARGETS:
        part = found.get("train" if what == "time" else "memory", {"rows": []})
        key = "median_ms" if what == "time" else "peak_mib"
        of = {r["way"]: r[key] for r in part["rows"] if r["model"] == model}
        known = of.get(way) and of.get(other)
        got = of[way] / of[other] if known else None
        text = f"{model}: {what} of {TITLES[way]} over {TITLES[other]}'s"
        said = "not measured" if got is None else ("met" if got <= most else "missed")
        measured = "-" if got is None else f"{got:.2f}"
        lines.append([text, f"at most {most:g}", measured, said])
    rows = [r for r in found.get("train", {"rows": []})["rows"] if r["way"] == OURS]
    waits = [r["launches"]["syncs"] for r in rows if "syncs" in r["launches"]]
    said = "not measured" if not waits else ("met" if not any(waits) else "missed")
    measured = str(max(waits)) if waits else "-"
    lines.append(["waits for the device in a step", "0", measured, said])
    return lines


def markdown(found: dict[str, dict[str, Any]], problems: dict[str, str], took: float) -> str:
    """The report."""
    card = card_of(found)
    lines = ["# minitorch7 on a GPU", "", gpu_card.line(card) + ".", ""]
    lines += [report.table(("fact", "value"), [[k, v] for k, v in card.items()]), ""]
    if any("standin" in part for part in found.values()):
        lines += ["**Made on the stand-in for CuPy with tiny sizes: no figure of a GPU.**", ""]
    lines += [f"The whole run took {took:.0f} s.", ""]
    lines += [f"- **{PARTS[name].title}: {why}**" for name, why in problems.items()]
    lines += ["", "## Targets", "", report.table(HEAD, target_lines(found)), ""]
    for name, part in found.items():
        lines += [f"## {PARTS[name].title}", "", f"    {part['command']}", ""]
        for kind in ("absent", "failed"):
            lines += [f"- {kind}: {what}: {why}" for what, why in part[kind].items()]
        if part.get("clocks"):
            lines += [f"- clocks: {json.dumps(part['clocks'])}"]
        lines += ["", PARTS[name].script.table(part["rows"]), ""]
    return "\n".join(lines)


def card_of(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The facts of all parts together."""
    card: dict[str, Any] = {}
    for part in found.values():
        card |= part["card"]
    return card


def write(
    folder: Path, found: dict[str, dict[str, Any]], problems: dict[str, str], took: float
) -> None:
    """report.md, report.json, report.png."""
    text = markdown(found, problems, took)
    write_atomically(folder / "report.md", text.encode(), "gpu_all")
    whole = {"took_s": round(took, 1), "problems": problems, "parts": found}
    write_atomically(folder / "report.json", json.dumps(whole, indent=1).encode(), "gpu_all")
    panels: dict[str, gpu_pictures.Panel] = {}
    for name in ("train", "memory", "roofline"):
        if name in found:
            panels |= PARTS[name].script.panels(found[name]["rows"])
    title = "minitorch7 on a GPU"
    gpu_pictures.bars(folder / "report.png", panels, title, card_of(found))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--minutes", type=float, default=7.5, help="for all parts together")
    made.add_argument("--out", type=Path, default=gpu_script.OUT / "gpu", help="a folder")
    made.add_argument("--standin", action="store_true", help=argparse.SUPPRESS)
    chosen = made.parse_args(arguments)
    if not chosen.minutes > 0:
        made.error(f"argument --minutes: must be above 0, got {chosen.minutes:g}")
    if not chosen.standin:
        gpu_script.need_gpu("gpu_all")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts and write the report; 1 where one failed, 2 without a GPU."""
    chosen = parse(arguments)
    began, whole = time.perf_counter(), chosen.minutes * 60
    found: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    names = list(dict.fromkeys(chosen.only))
    for name in names:
        (chosen.out / f"{name}.json").unlink(missing_ok=True)  # an older run's
        limit = time_for(name, names, whole - (time.perf_counter() - began))
        rounds.say(f"\n{PARTS[name].title}: at most {limit:.0f} s")
        why = run_part(name, chosen.out, limit, chosen.standin) if limit > 0 else "no time was left"
        if why:
            problems[name] = why
            rounds.say(f"{PARTS[name].title}: {why}")
        part = read(chosen.out, name)
        if part is not None:
            found[name] = part
    write(chosen.out, found, problems, time.perf_counter() - began)
    print((chosen.out / "report.md").read_text())
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
