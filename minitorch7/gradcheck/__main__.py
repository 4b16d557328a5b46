"""``python -m minitorch7.gradcheck``: every operation, first and second order, as a table."""

from __future__ import annotations

import argparse
import sys
import time

from .. import backend
from . import gradient_function, worst_place
from .cases import CASES, Case


def check(case: Case) -> tuple[float, float]:
    """The worst error of a case, first and second order, in units of the tolerance."""
    func, inputs = case.build()
    first = worst_place(func, inputs).error
    if not case.second_order:
        return first, 0.0
    func, inputs = case.build()
    return first, worst_place(*gradient_function(func, inputs)).error


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit status is the number of operations that fail (at most 99)."""
    parser = argparse.ArgumentParser(
        prog="python -m minitorch7.gradcheck",
        description="Check the gradient of every operation against finite differences in float64. "
        "Errors are in units of the tolerance 1e-7 + 1e-5·|gradient|: at most 1 passes.",
    )
    parser.add_argument(
        "match", nargs="?", default="", help="only operations with this in the name"
    )
    parser.add_argument("--backend", choices=backend.NAMES, default=backend.active())
    options = parser.parse_args(arguments)
    chosen = [case for case in CASES if options.match in case.name]
    if not chosen:
        parser.error(f"no operation has {options.match!r} in its name")
    print(f"{'operation':38} {'1st order':>10} {'2nd order':>10} {'seconds':>8}")
    failed = 0
    with backend.using(options.backend):
        for case in chosen:
            start = time.perf_counter()
            try:
                first, second = check(case)
            except Exception as error:  # whatever a broken rule raises is a row of the table
                first = second = float("inf")
                print(f"{case.name}: {type(error).__name__}: {error}")
            good = first <= 1 and second <= 1
            failed += not good
            second_text = f"{second:10.2g}" if case.second_order else f"{'none':>10}"
            seconds = time.perf_counter() - start
            mark = "" if good else "   FAILS"
            print(f"{case.name:38} {first:10.2g} {second_text} {seconds:8.2f}{mark}")
    print(f"{len(chosen)} operations checked, {failed} failed")
    return min(failed, 99)


if __name__ == "__main__":
    sys.exit(main())
