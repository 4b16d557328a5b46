"""An out-of-memory error that says what was being made, what holds the memory, and what to try."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from .. import backend


class OutOfMemoryError(MemoryError):
    """There was no memory for an operation; the message says how much it wanted and what to try."""


def out_of_memory(error: MemoryError, operation: str, arrays: Sequence[Any]) -> MemoryError:
    """The same error, with what was being done and what can be done about it.

    operation, arrays  its name, and the inputs of its forward, of which the arrays are listed
    """
    if isinstance(error, OutOfMemoryError):
        return error
    given = [a for a in arrays if backend.is_array(a)]
    inputs = ", ".join(f"{tuple(a.shape)} {a.dtype} ({size_text(a.nbytes)})" for a in given)
    wanted = bytes_asked_for(str(error))
    asked = f"{size_text(wanted)} more" if wanted is not None else f"more memory ({error})"
    name = backend.name_of(given[0]) if given else backend.active()
    lines = [f"{operation}: out of memory: it asked for {asked}; its inputs are {inputs or 'none'}"]
    with contextlib.suppress(Exception):  # the device may be too ill to be asked
        lines.append(_state_of(name, str(error)))
    lines.append(_ADVICE[name])
    return OutOfMemoryError("\n".join(lines))


_TRY = (
    "Try a smaller batch, or smaller pictures; del what is no longer needed (a loss that is kept "
)
_TRY += "keeps its whole graph: keep loss.detach()); "
_MORE = " predict_memory says beforehand what a step takes, memory_report which layers hold it."
_ADVICE = {
    "cupy": f"{_TRY}give cached blocks back with "
    "cupy.get_default_memory_pool().free_all_blocks(), which helps where they are in small pieces; "
    f"look for other processes on the card with nvidia-smi.{_MORE}",
    "numpy": f"{_TRY}look for other processes with top.{_MORE}",
}


def _state_of(name: str, said: str) -> str:
    """Where the memory is now."""
    if name == "numpy":
        whole = backend.memory("numpy")
        return (
            f"The process holds {size_text(whole['resident'])}, at most {size_text(whole['peak'])}."
        )
    pool = backend.memory(name)
    text = (
        f"Live are {size_text(pool['used'])}, cached {size_text(pool['reserved'] - pool['used'])}"
    )
    limit = re.search(r"limit set to: ([\d,]+) bytes", said)
    if limit:
        text += f"; the pool's limit is {size_text(int(limit[1].replace(',', '')))}"
    with contextlib.suppress(Exception):
        free, total = backend.library(name).cuda.runtime.memGetInfo()
        others = max(total - free - pool["reserved"], 0)
        text += (
            f"; of the card's {size_text(total)}, {size_text(free)} are free, and "
            f"{size_text(others)} are held by CUDA itself and by other processes"
        )
    return text + "."


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def bytes_asked_for(said: str) -> int | None:
    """The bytes in CuPy's 'allocating 1,024 bytes' or NumPy's 'allocate 1.5 GiB'; None elsewhere.

    NumPy rounds to three digits.
    """
    found = re.search(r"allocat(?:ing|e) ([\d,.]+) (\w+)", said)
    if not found or found[2] not in _UNITS:
        return None
    return round(float(found[1].replace(",", "")) * 1024 ** _UNITS.index(found[2]))


def size_text(count: int) -> str:
    """1536 → '1.5 KiB'; the unit in which the number has one to four digits."""
    power = 0
    while count >= 1000 * 1024**power and power < len(_UNITS) - 1:
        power += 1
    return f"{count / 1024**power:.{1 if power else 0}f} {_UNITS[power]}"
