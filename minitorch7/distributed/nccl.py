"""The engine for GPUs: NVIDIA's NCCL, through CuPy's `cupyx.distributed`.

An operation is queued on the current stream, so the host does not wait, and neither does it see
when another process has died: then the launcher, which does, ends them all.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np

from .. import backend
from .group import DistributedError, Group
from .launcher import Place


class NCCLGroup(Group):
    """One GPU a process, the card whose number is the process's on its machine.

    The processes find one another through MPI where mpi4py is installed; else through CuPy's own
    server, which rank 0 runs at ``CUPYX_DISTRIBUTED_HOST``:``CUPYX_DISTRIBUTED_PORT`` (127.0.0.1,
    13333). `communicator` takes the place of CuPy's, for tests.
    """

    def __init__(self, place: Place, communicator: Any = None) -> None:
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self.engine = "NCCL"
        self._xp = backend.library("cupy")
        self._comm = communicator or self._connected()

    def _connected(self) -> Any:
        cards = self._xp.cuda.runtime.getDeviceCount()
        if self.local_rank >= cards:
            raise DistributedError(
                f"distributed.init: {self.local_size} processes on this machine, and {cards} GPU"
                f"{'s' * (cards != 1)}; start at most {cards} a machine: mpiexec -n {cards} ..."
            )
        self._xp.cuda.Device(self.local_rank).use()
        try:
            module = importlib.import_module("cupyx.distributed")
            return module.NCCLBackend(self.size, self.rank, **self._rendezvous())
        except (ImportError, RuntimeError, AttributeError) as error:
            raise DistributedError(
                f"distributed.init: NCCL is not usable from CuPy ({error}); python -m "
                "minitorch7.doctor says what is missing. init('mpi') works without, through the "
                "host's memory, and slower"
            ) from error

    @staticmethod
    def _rendezvous() -> dict[str, Any]:
        """How the processes meet: `init_process_group` reads the two variables in this way too."""
        import os

        meet: dict[str, Any] = {"use_mpi": importlib.util.find_spec("mpi4py") is not None}
        if host := os.environ.get("CUPYX_DISTRIBUTED_HOST"):
            meet["host"] = host
        if port := os.environ.get("CUPYX_DISTRIBUTED_PORT"):
            meet["port"] = int(port)
        return meet

    def all_reduce(self, array: Any) -> Any:
        sent = self._sendable(array)
        self._comm.all_reduce(sent, sent, "sum")
        return _put(array, sent)

    def broadcast(self, array: Any, root: int = 0) -> Any:
        sent = self._sendable(array)
        self._comm.broadcast(sent, root)
        return _put(array, sent)

    def barrier(self) -> None:
        """Through the GPUs: it also waits for the work that they have been given."""
        self.all_reduce(np.zeros(1, dtype=np.float32))

    def _sendable(self, array: Any) -> Any:
        """The array itself where NCCL can work in its memory, else a copy that it can."""
        if backend.name_of(array) == "numpy" or not array.flags.c_contiguous:
            return self._xp.array(array, order="C")
        return array

    def close(self) -> None:
        stop = getattr(self._comm, "stop", None)  # CuPy's server, on rank 0
        if stop is not None:
            stop()


def _put(array: Any, sent: Any) -> Any:
    if array is not sent:
        array[...] = backend.to(sent, backend.name_of(array))
    return array
