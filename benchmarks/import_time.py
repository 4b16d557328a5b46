"""Time `import minitorch7` in fresh processes, against `import numpy` alone.

    python benchmarks/import_time.py
    python benchmarks/import_time.py --runs 30 --out benchmarks/results/import_time.json

Each run starts a new interpreter for every module in turn, so that all meet the same machine. The
time is taken inside the process, around the import. One run goes before, so that files are in the
system's cache and compiled to bytecode. Below the table: our own slowest files, by `-X importtime`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from rivals import machine

from minitorch7.files import write_atomically

MODULES = ("numpy", "minitorch7", "minitorch7.data", "minitorch7.learner")
CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def once(module: str) -> float:
    """Milliseconds that one import takes in a process of its own."""
    command = [sys.executable, "-c", CODE.format(module)]
    done = subprocess.run(
        command, env=machine.environment(1), capture_output=True, text=True, check=True
    )
    return float(done.stdout) * 1e3


def measure(runs: int) -> dict[str, list[float]]:
    """All times in ms by module, the modules taking turns; the first turn is not counted."""
    turns = [{module: once(module) for module in MODULES} for _ in range(runs + 1)]
    return {module: [round(t[module], 2) for t in turns[1:]] for module in MODULES}


def table(times: dict[str, list[float]]) -> str:
    """Medians, and what each import adds to NumPy's: the median of the difference in each turn."""
    head = ("import", "median ms", "least ms", "more than numpy, ms")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for module, found in times.items():
        more = median(a - b for a, b in zip(found, times["numpy"], strict=True))
        extra = "-" if module == "numpy" else f"{more:.1f}"
        lines.append(f"| {module} | {median(found):.1f} | {min(found):.1f} | {extra} |")
    return "\n".join(lines)


def own_files(report: str) -> list[tuple[str, float]]:
    """(module, ms in the module itself) of minitorch7's modules, slowest first.

    report  what ``python -X importtime`` writes: ``import time: self [us] | cumulative | name``
    """
    found = []
    for line in report.splitlines():
        parts = [part.strip() for part in line.removeprefix("import time:").split("|")]
        if len(parts) == 3 and parts[0].isdigit() and parts[2].split(".")[0] == "minitorch7":
            found.append((parts[2], int(parts[0]) / 1e3))
    return sorted(found, key=lambda pair: -pair[1])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="processes a module (default 10)")
    parser.add_argument("--slowest", type=int, default=8, help="own files listed (default 8)")
    parser.add_argument("--out", type=Path, help="write a JSON file too")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    times = measure(options.runs)
    command = f"python benchmarks/import_time.py --runs {options.runs}"
    print(f"{command}\n\n{table(times)}")
    traced = [sys.executable, "-X", "importtime", "-c", f"import {', '.join(MODULES)}"]
    environment = machine.environment(1)
    report = subprocess.run(traced, env=environment, capture_output=True, text=True, check=True)
    slowest = own_files(report.stderr)[: options.slowest]
    print("\nOwn files, ms in the file itself:\n")
    print("\n".join(f"{ms:7.1f}  {module}" for module, ms in slowest))
    if options.out:
        result = {"command": command, "machine": machine.facts(), "ms": times, "own": slowest}
        text = json.dumps(result, indent=1) + "\n"
        write_atomically(options.out, text.encode(), "import_time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
