"""Data-parallel training: several processes, each with the whole model and a part of each batch.

    mpiexec -n 2 python train.py

where train.py says, once, before the data and the model are made:

    from minitorch7 import distributed
    distributed.init()
    learn = Learner(data, model, callbacks=[distributed.DataParallel()])

Every process runs the same program from the same seed. A batch of N items is cut into K parts of
N/K; each process computes the gradient of its part's mean loss; and since

    1/N Σᵢ ∇ℓᵢ  =  1/K Σᵣ ( K/N Σ_{i in part r} ∇ℓᵢ )

the mean of those K gradients is the gradient of the whole batch. All processes then take the same
step, and so stay the same without ever sending a weight. Batch norm alone looks beyond one item;
`sync_batchnorm` gives it the statistics of the whole batch. What comes out is what one process
would have come to with the same program, but for rounding: the batch size is that of all parts
together.

    group          who is in the run; sum and broadcast of one array; init
    mpi, nccl      the two engines: MPI (mpi4py) on processors, NCCL (CuPy) on GPUs
    launcher       what mpiexec and its like say in the environment
    buckets        many arrays in few messages
    sync_batchnorm statistics over all processes
    shard          a loader's part of each batch
    data_parallel  the Learner's callback that puts all of it together

Only the first process, rank 0, draws the progress bar and writes the checkpoints of a fit. What
else a program prints or saves, each process does, unless it asks ``if distributed.rank() == 0``.
"""

from .buckets import all_reduce, broadcast, check_same_model
from .data_parallel import DataParallel
from .group import (
    DistributedError,
    Group,
    barrier,
    finish,
    gather,
    init,
    is_initialized,
    rank,
    rank_zero_first,
    use_group,
    world_size,
)
from .shard import Shard
from .sync_batchnorm import (
    SyncBatchNorm1d,
    SyncBatchNorm2d,
    convert_sync_batchnorm,
    revert_sync_batchnorm,
    sync_batch_norm,
)

__all__ = [
    "DataParallel",
    "DistributedError",
    "Group",
    "Shard",
    "SyncBatchNorm1d",
    "SyncBatchNorm2d",
    "all_reduce",
    "barrier",
    "broadcast",
    "check_same_model",
    "convert_sync_batchnorm",
    "finish",
    "gather",
    "init",
    "is_initialized",
    "rank",
    "rank_zero_first",
    "revert_sync_batchnorm",
    "sync_batch_norm",
    "use_group",
    "world_size",
]
