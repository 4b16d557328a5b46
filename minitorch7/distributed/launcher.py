"""What a launcher tells each process it starts, in environment variables: which of how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Place(NamedTuple):
    """Which process this is: `rank` of `size`, and `local_rank` of `local_size` on its machine."""

    launcher: str
    rank: int
    size: int
    local_rank: int
    local_size: int


# launcher, then its variables for rank, size, local rank, local size
_VARIABLES = (
    (
        "Open MPI's mpiexec",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    (
        "MPICH's or Intel MPI's mpiexec",
        "PMI_RANK",
        "PMI_SIZE",
        "MPI_LOCALRANKID",
        "MPI_LOCALNRANKS",
    ),
    (  # not SLURM_NTASKS: a batch script, which is one process, has that too
        "srun",
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_LOCALID",
        "SLURM_STEP_TASKS_PER_NODE",
    ),
    ("the environment", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
)


def place_in(environment: Mapping[str, str]) -> Place | None:
    """The process's place as its launcher gives it; None where no launcher has started it.

    Without a word about the machine, all processes are taken to be on this one.
    """
    for launcher, *names in _VARIABLES:
        rank, size, local_rank, local_size = (_number(environment.get(name)) for name in names)
        if rank is not None and size is not None and 0 <= rank < size:
            local_size = local_size or size
            local = rank % local_size if local_rank is None else local_rank
            return Place(launcher, rank, size, local, local_size)
    return None


def _number(text: str | None) -> int | None:
    """'2' → 2, and Slurm's '2(x3)', two on each of three machines, → 2."""
    digits = (text or "").split("(")[0].split(",")[0]
    return int(digits) if digits.isdecimal() else None
