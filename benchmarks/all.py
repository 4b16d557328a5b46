"""Run all the benchmarks of speed, one after the other, with their own defaults.

    python benchmarks/all.py                             # an hour or more; much of it compiling
    python benchmarks/all.py --quick                     # a taste of each: some minutes
    python benchmarks/all.py --only operations scaling --rivals minitorch7 pytorch --threads 2

Each writes its JSON file to benchmarks/results/ and its picture to benchmarks/pictures/, or, with
--quick, both to benchmarks/out/. One that fails does not stop the others, and the exit status is 1.
Close what else runs on the machine: they measure time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rivals
from rivals import machine, options, rounds
from rivals.large import FAMILY

HERE = Path(__file__).resolve().parent
SCRIPTS: dict[str, tuple[str, ...]] = {  # what the rivals of each must offer
    "train_step": ("build",),
    "inference": ("build_inference",),
    "operations": ("build_operation",),
    "scaling": ("build", FAMILY),
    "pipeline": ("build_loader",),
    "import_time": (),
}


def command_of(script: str, chosen: argparse.Namespace) -> list[str] | None:
    """The command line of one script; None where no rival is left for it."""
    command = [sys.executable, str(HERE / f"{script}.py")]
    if script == "import_time":  # it knows neither rivals nor threads
        out = HERE / ("out" if chosen.quick else "results") / "import_time.json"
        return [*command, "--out", str(out), *(["--runs", "3"] if chosen.quick else [])]
    names = chosen.rivals or rivals.NAMES
    names = [name for name in names if rivals.takes_part(name, *SCRIPTS[script])]
    if not names:
        return None
    command += ["--rivals", *names]
    if chosen.threads:
        command += ["--threads", *map(str, chosen.threads)]
    if chosen.rounds:
        command += ["--rounds", str(chosen.rounds)]
    return command + ["--quick"] * chosen.quick


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; each script has defaults of its own for what is not given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--rivals", nargs="+", choices=rivals.NAMES)
    parser.add_argument("--threads", nargs="+", type=options.positive, help="default: 1 2")
    parser.add_argument("--rounds", type=options.positive, help="turns of each rival")
    parser.add_argument("--quick", action="store_true", help="a taste of each")
    return parser.parse_args(arguments)


def main() -> int:
    """Run them; 1 where one failed."""
    chosen = parse()
    failed = []
    for k, script in enumerate(chosen.only, start=1):
        command = command_of(script, chosen)
        rounds.say(f"\n[{k} of {len(chosen.only)}] {script}")
        if command is None:
            rounds.say("no rival that was asked for takes part in it: left out")
            continue
        began = time.perf_counter()
        done = subprocess.run(command, env=machine.environment(1), check=False)
        rounds.say(f"{script}: {time.perf_counter() - began:.0f} s")
        if done.returncode:
            failed.append(script)
    if failed:
        rounds.say(f"failed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
