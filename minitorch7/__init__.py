"""minitorch7: fast.ai's 2019 lesson 7 rebuilt from arrays, NumPy on the processor, CuPy on a GPU.

    import minitorch7 as mt
    from minitorch7 import nn, optim, functional as F

Unrelated to Cornell's course project of a similar name.
"""

from . import backend, functional, nn, optim
from .autograd import (
    Function,
    OutOfMemoryError,
    Tensor,
    as_tensor,
    detect_anomaly,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    tensor,
)
from .backend import (
    BackendError,
    get_num_threads,
    manual_seed,
    set_num_threads,
    use,
    using,
)
from .capture import capture
from .creation import arange, eye, full, ones, ones_like, rand, randn, zeros, zeros_like
from .functional import (
    cat,
    einsum,
    exp,
    flip,
    gather,
    log,
    matmul,
    maximum,
    minimum,
    sqrt,
    stack,
    where,
)
from .functional.autocast import autocast, is_autocast_enabled
from .gradcheck import gradcheck, gradgradcheck
from .profile import memory_report, predict_memory, profile

__version__ = "0.1.0"

backend.use_from_environment()
