"""The engine for processors: MPI, through mpi4py.

Arrays on a GPU go by way of the host, which is slow but right: for a look at the same run on two
backends, and for machines without NCCL.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .. import backend
from .group import DistributedError, Group, started_alone
from .launcher import Place

SPIN = 1e-3  # seconds of looking without a pause: most waits are shorter


class MPIGroup(Group):
    """The processes of MPI's COMM_WORLD.

    A wait is a question asked again and again, not a call that blocks: so it can end after
    `timeout` seconds with an error that says where, and Ctrl-C is heard meanwhile.
    """

    def __init__(self, place: Place | None, timeout: float) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:  # RuntimeError: no MPI library to load
            raise DistributedError(
                f"distributed.init: MPI is not usable from Python ({error}); install both halves: "
                "pip install 'minitorch7[distributed]' mpich"
            ) from error
        world = MPI.COMM_WORLD
        check_world(world.Get_size(), place, MPI.Get_library_version())
        self._mpi, self._world, self.timeout = MPI, world, timeout
        self.rank, self.size = world.Get_rank(), world.Get_size()
        here = world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.Get_rank(), here.Get_size()
        here.Free()
        self.engine = "MPI"
        self.calls = 0  # collective operations so far: the same number in every process

    def all_reduce(self, array: Any) -> Any:
        host = _sendable(array)
        request = self._world.Iallreduce(self._mpi.IN_PLACE, host, op=self._mpi.SUM)
        self._wait(request, f"all_reduce of {tuple(array.shape)} {array.dtype}")
        return _put(array, host)

    def broadcast(self, array: Any, root: int = 0) -> Any:
        host = _sendable(array)
        self._wait(self._world.Ibcast(host, root), f"broadcast of {tuple(array.shape)}")
        return _put(array, host)

    def barrier(self) -> None:
        self._wait(self._world.Ibarrier(), "barrier")

    def _wait(self, request: Any, what: str) -> None:
        self.calls += 1
        began = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - began
            if waited > self.timeout:
                raise DistributedError(
                    f"rank {self.rank} of {self.size} has waited {waited:.0f} s for the others in "
                    f"{what}, operation {self.calls} since init. One of them is stuck, has ended "
                    "early, or takes another path through the program: look for work done under "
                    "`if rank() == 0` that the others must take part in. If they are slow, raise "
                    "init(timeout=...)"
                )
            time.sleep(0 if waited < SPIN else 5e-5)

    def abort(self) -> None:
        self._world.Abort(1)


def check_world(size: int, place: Place | None, library: str) -> None:
    """DistributedError unless MPI counts as many processes as the launcher began.

    An mpi4py that loads another MPI than the launcher's finds itself alone: each process would
    train on its own, and nobody would notice.
    """
    if place is None and size == 1:
        raise DistributedError(started_alone())
    if place is not None and place.size != size:
        raise DistributedError(
            f"distributed.init: {place.launcher} began {place.size} processes, but mpi4py sees "
            f"{size}: it has loaded another MPI ({library.split(chr(10))[0].strip()}). Start with "
            "the mpiexec of that MPI, or install mpi4py for this one: "
            "pip install --force-reinstall --no-binary mpi4py mpi4py"
        )


def _sendable(array: Any) -> np.ndarray:
    """The array itself where MPI can work in its memory, else a copy that it can."""
    host = backend.to_numpy(array)
    if host.dtype == np.float16:  # which MPI does not know
        host = host.astype(np.float32)
    if not host.flags.c_contiguous or not host.flags.writeable:
        host = host.copy(order="C")
    return host


def _put(array: Any, host: np.ndarray) -> Any:
    """`array`, with the numbers of `host` in it."""
    if array is not host:
        array[...] = backend.to(host.astype(array.dtype, copy=False), backend.name_of(array))
    return array
