"""The processes of a run: which is this one, and the two things they ask of one another.

Everything in this room is made of two operations on one array, both in place and both called by all
processes in the same order: `Group.all_reduce` puts the sum over all processes into each, and
`Group.broadcast` puts one process's numbers into all. The engines, `mpi` and `nccl`, supply them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import backend
from .launcher import Place, place_in

TIMEOUT = 600.0  # seconds that a process waits for the others before it gives up
LAST_WORDS = 0.5  # seconds in which the launcher passes them on; it ends with the processes


class DistributedError(RuntimeError):
    """Processes that cannot find, hear, or understand one another."""


class Group:
    """A run of `size` processes, of which this is number `rank`; this class is a run of one."""

    rank, size, local_rank, local_size = 0, 1, 0, 1
    engine = "no engine"

    def all_reduce(self, array: Any) -> Any:
        """Put Σ over all processes of `array` (same shape and dtype in each) into it; returns it.

        Processes on GPUs do not wait for it: it is queued after the work that is there.
        """
        return array

    def broadcast(self, array: Any, root: int = 0) -> Any:
        """Put the numbers that process `root` has in `array` into every process's; returns it."""
        return array

    def barrier(self) -> None:
        """Wait here until every process has come here."""

    def abort(self) -> None:
        """End all processes of the run; here by ending this one, which the launcher sees."""
        os._exit(1)

    def close(self) -> None:
        """Leave the run in peace; called by every process."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank {self.rank} of {self.size}, {self.engine})"


_group: Group | None = None


def init(engine: str | None = None, timeout: float = TIMEOUT) -> Group:
    """Join the run that the launcher began; call it first, once, in every process.

    engine   "mpi" or "nccl"; default: "nccl" where the active backend is CuPy, else "mpi"
    timeout  seconds after which a process that waits for the others in vain gives up (MPI's only)

    On GPUs each process takes the card of its number on its machine. On processors those of one
    machine share its threads evenly, unless ``OMP_NUM_THREADS`` or ``OPENBLAS_NUM_THREADS`` is set.

    An exception in one process from here on ends them all, with its message. A process that is
    killed ends the run too: the launcher sees it, and ends the others. A process that lives and
    does not come is what `timeout` is for.

    DistributedError where the program was started alone, where mpi4py or NCCL is missing, and where
    mpi4py belongs to another MPI than the mpiexec that started it.
    """
    global _group
    if _group is not None:
        raise DistributedError(f"distributed.init: called a second time; this is {_group!r}")
    chosen = engine or ("nccl" if backend.active() == "cupy" else "mpi")
    if chosen not in ("mpi", "nccl"):
        raise ValueError(f"distributed.init: engine must be 'mpi' or 'nccl', got {engine!r}")
    if not timeout > 0:
        raise ValueError(f"distributed.init: timeout must be above 0 seconds, got {timeout!r}")
    place = place_in(os.environ)
    if chosen == "nccl":
        from .nccl import NCCLGroup

        made: Group = NCCLGroup(_required(place))
    else:
        from .mpi import MPIGroup

        made = MPIGroup(place, timeout)
        _share_threads(made.local_size, os.environ)
    use_group(made)
    return made


def _required(place: Place | None) -> Place:
    if place is None:
        raise DistributedError(started_alone())
    return place


def started_alone() -> str:
    """The text of the error for a program that no launcher started."""
    return (
        "distributed.init: this process was started alone, and there is nobody to share the work "
        f"with; start several: mpiexec -n 2 python {os.path.basename(sys.argv[0]) or 'train.py'}"
    )


def _share_threads(local_size: int, environment: Mapping[str, str]) -> None:
    """Several processes with all the machine's threads each would be in one another's way."""
    said = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} & environment.keys()
    if local_size > 1 and not said:
        backend.set_num_threads(max(1, backend.get_num_threads() // local_size))


def use_group(group: Group | None) -> None:
    """Make `group` the run that this process is in; None for none. `init` does it for the engines.

    From then on an exception that nobody catches ends all processes of the run.
    """
    global _group
    _group = group
    sys.excepthook = sys.__excepthook__ if group is None or group.size == 1 else _end_all


def _end_all(kind: type[BaseException], error: BaseException, where: Any) -> None:
    """What happens to an exception that nobody catches: the others would wait for ever."""
    group = current()
    lines = traceback.format_exception(kind, error, where)
    lines.append(f"rank {group.rank} of {group.size} has failed; all end with it\n")
    sys.stderr.write("".join(lines))
    sys.stderr.flush()
    time.sleep(LAST_WORDS)
    group.abort()


def finish() -> None:
    """Leave the run, all together; afterwards the process is alone."""
    if _group is not None:
        _group.barrier()
        _group.close()
        use_group(None)


def current() -> Group:
    """The run that this process is in; a run of one before `init`."""
    return _group if _group is not None else Group()


def is_initialized() -> bool:
    """Whether `init` has been called."""
    return _group is not None


def rank() -> int:
    """The number of this process, from 0; 0 before `init`."""
    return current().rank


def world_size() -> int:
    """How many processes there are; 1 before `init`."""
    return current().size


def barrier() -> None:
    """Wait here until every process has come here."""
    current().barrier()


@contextlib.contextmanager
def rank_zero_first() -> Iterator[None]:
    """Rank 0 goes through the ``with`` block first, then the others: for files made once.

    The others find what it has made. Without this they would look into a folder that is being
    filled, and see half of it.
    """
    if rank():
        barrier()
    yield
    if not rank():
        barrier()


def gather(values: Sequence[float]) -> np.ndarray:
    """The numbers of all processes, as many from each: float64 (processes, len(values)), on all."""
    group = current()
    table = np.zeros((group.size, len(values)))
    table[group.rank] = values
    # a process adds zeros to the others' rows, so sums are their numbers, NaN and ±∞ included
    return group.all_reduce(table)
