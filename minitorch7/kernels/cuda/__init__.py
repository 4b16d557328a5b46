"""CUDA kernels of our own, for what CuPy has none for or needs many launches for.

Each `.cu` file begins with its formulas; the Python file of the same family launches it, and takes
and gives what the NumPy function of the same name one floor up takes and gives. `load` compiles a
kernel when it is first used: importing this package imports no CuPy and compiles nothing.

    columns         im2col, col2im
    pooling         max_pool2d, unpool_max, pick_max, sum_pool2d, spread_sum
    normalisation   standardise, standardise_grad
    cross_entropy   losses and their slope in one launch
    adam            one launch for all parameters
    embedding       the gradient of the table, in an order that never changes
    resampling      nearest, bilinear, and their adjoints
    recurrent       the elementwise work of a time step: rnn, gru, lstm
    noise           uniform, normal, dropout from a counter (their twin on NumPy: kernels/philox.py)
    products        matmul and einsum for captured steps, where cuBLAS may not be called
    convolution     implicit GEMM: conv2d and both gradients without columns

A caller asks ``takes(xp, x)``, and does without where the answer is no: on NumPy, for types that
no kernel comes in, and where MINITORCH7_KERNELS=0 leaves the work to CuPy's own operations.
"""

from __future__ import annotations

from . import (
    adam,
    columns,
    convolution,
    cross_entropy,
    embedding,
    load,
    noise,
    normalisation,
    pooling,
    products,
    recurrent,
    resampling,
)
from .load import takes

__all__ = [
    "adam",
    "columns",
    "convolution",
    "cross_entropy",
    "embedding",
    "load",
    "noise",
    "normalisation",
    "pooling",
    "products",
    "recurrent",
    "resampling",
    "takes",
]
