"""What every benchmark does around its measuring: rows to a file as they come, table, picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from . import machine, options, report, rounds

BUSY = 0.3  # cores at work before we are: from here on a line says so
Rows = list[dict[str, Any]]


def run(
    chosen: argparse.Namespace,
    command: str,
    measure: Callable[[list[str], argparse.Namespace, Any], Iterator[Rows]],
    turns: Callable[[list[str], argparse.Namespace], int],
    table: Callable[[Rows], str],
    picture: Callable[[Rows, argparse.Namespace], None],
    **more: Any,
) -> int:
    """Measure, print the table, write file and picture; the exit status.

    measure  (rivals, options, bar) → the rows, a comparison at a time; each time the file is
             written anew, so that what was measured survives what comes after
    turns    (rivals, options) → how many turns and preparations that will be, for the bar
    more     goes into the file, with how busy the machine was before
    """
    names, absent = options.present(chosen)
    more["cores_busy_before"] = busy = machine.busy_cores()
    if busy is not None and busy > BUSY:
        rounds.say(f"other work keeps {busy:.1f} cores busy: the figures will not tell much")
    rows: Rows = []
    try:
        with rounds.progress(turns(names, chosen)) as bar:
            for found in measure(names, chosen, bar):
                rows += found
                report.save(chosen.out, command, absent, rows, **more)
        picture(rows, chosen)
    except (RuntimeError, OSError) as error:  # a rival that stopped or differs; a full disk
        rounds.say(f"{error}")
        return 1
    except KeyboardInterrupt:
        rounds.say(f"interrupted; {chosen.out} has what was measured" if rows else "interrupted")
        return 130
    print(f"{command}\n\n{table(rows)}")
    return 0
