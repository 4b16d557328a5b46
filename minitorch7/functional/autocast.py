"""Mixed precision: float16 for the products, float32 for what must be exact.

    with mt.autocast():
        loss = F.cross_entropy(model(x), y)       # backward and step stand outside

A float16 takes half the memory of a float32, and a GPU's tensor cores multiply it several times as
fast. It has 11 significant bits and ends at 65504 and at 6·10⁻⁸. So the weights stay float32, and
inside the block each function takes its arguments as one of these tables says (they are PyTorch's,
to which the mean and the variance have been added):

    LOWER     float32 → float16: the products, which is where time and memory go
    FLOAT32   float16 → float32: sums over many elements, logarithms, powers, losses
    others    take what comes; where float16 and float32 meet, the wider wins

and an operation of the third table, wherever float16 reaches it, inside the block or outside, in
forward or in backward, computes in float32 and rounds its results to float16 once, at the end:

    WIDE      what tensor cores do (float32 sums of float16 products), and the same for the sums
              and spreads of normalisation and pooling, which store float16 nevertheless

Every cast is an operation of the graph, whose gradient is the cast back: gradients arrive in the
dtype of the parameter. Weights are cast once a block, however often they are used. float64 is never
touched. Gradients may be smaller than a float16 can be: see `optim.GradScaler`. (Micikevicius et
al. 2018, arXiv 1710.03740)
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from ..autograd import Function, Tensor, state
from ..autograd.function import FLOAT32 as WIDER
from ..autograd.function import HALF
from ._arguments import cast
from .convolution import Conv2d, Conv2dGrads, Conv2dInputGrad, Conv2dWeightGrad, Fold
from .normalisation import BatchNorm, BatchNormGrad, FixedNorm, Standardise, StandardiseGrad
from .pooling import SpreadSum, SumPool2d, UnpoolMax
from .products import AlongAxis, Einsum, MatMul
from .reductions import CumSum, Sum, Var
from .resampling import Bilinear, BilinearGrad

# ------------------------------------------------------------------------------------- the tables

LOWER = (
    "matmul bmm linear einsum conv1d conv2d conv_transpose2d rnn_cell gru_cell lstm_cell sweep"
).split()

FLOAT32 = (
    "exp log pow softplus sum mean var std cumsum softmax log_softmax logsumexp "
    "layer_norm group_norm instance_norm "
    "cross_entropy nll_loss binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss"
).split()

WIDE: dict[type[Function], tuple[int, ...]] = {  # and which of its results are rounded to float16
    MatMul: (0,),
    Einsum: (0,),
    AlongAxis: (0,),
    Conv2d: (0,),
    Conv2dInputGrad: (0,),
    Conv2dWeightGrad: (0,),
    Conv2dGrads: (0, 1),
    Fold: (0,),
    BatchNorm: (0,),
    BatchNormGrad: (0,),  # the gradients of γ and β, which are float32, stay so
    FixedNorm: (0,),
    Standardise: (0,),
    StandardiseGrad: (0,),
    Sum: (0,),
    Var: (0,),
    CumSum: (0,),
    SumPool2d: (0,),
    SpreadSum: (0,),
    UnpoolMax: (0,),
    Bilinear: (0,),
    BilinearGrad: (0,),
}

# CuPy's product takes float16 and adds up in float32 by itself, on tensor cores.
HALF_ON_GPU = (MatMul, Conv2d, Conv2dInputGrad, Conv2dWeightGrad, Conv2dGrads)

for _kind, _results in WIDE.items():
    _kind.wide = _results
for _kind in HALF_ON_GPU:
    _kind.half_on_gpu = True

_TARGETS = {**dict.fromkeys(LOWER, HALF), **dict.fromkeys(FLOAT32, WIDER)}
_SOURCES = {HALF: WIDER, WIDER: HALF}  # what is cast to each: nothing else is

# -------------------------------------------------------------------------------------- the block


class Casts:
    """What `state.autocast` holds inside a block: the casts, and the weights cast so far."""

    def __init__(self, remember: bool) -> None:
        self.remember = remember
        self.weights: dict[Tensor, tuple[Any, Tensor]] = {}

    def cast(self, function: str, t: Tensor) -> Tensor:
        """`t` as `function` is to take it."""
        target = _TARGETS.get(function)
        if target is None or t.data.dtype != _SOURCES[target]:
            return t
        if self.remember and target is HALF and t.requires_grad and t.grad_fn is None:
            return self._weight(t)
        return cast(t, target)

    def _weight(self, t: Tensor) -> Tensor:
        """A weight in float16, from the first use on; anew where it has changed since then, or
        where the graph that the cast belongs to has been walked and freed."""
        now = (id(t.data), t.version, state.recording)
        known = self.weights.get(t)
        if known is not None and known[0] == now:
            node = known[1].grad_fn
            if node is None or node._saved is not None:
                return known[1]
        made = cast(t, HALF)
        self.weights[t] = now, made
        return made

    def may_meet(self, a: np.dtype, b: np.dtype) -> bool:
        """Whether the two dtypes may come to one function: its table, or the wider, decides."""
        return {a, b} <= {HALF, WIDER}


class autocast(contextlib.ContextDecorator):
    """Mixed precision inside a ``with`` block or a decorated function, in this thread.

    dtype          'float16': what the products take; NumPy and CuPy have no bfloat16
    enabled        False switches it off inside an outer block; what comes from there may be
                   float16 and needs ``.float()`` before it meets a float32 weight
    cache_enabled  keep each weight's float16 copy until the block ends

    ValueError for another dtype, TypeError for switches that are no bools.
    """

    def __init__(
        self, dtype: Any = "float16", enabled: bool = True, cache_enabled: bool = True
    ) -> None:
        for name, value in (("enabled", enabled), ("cache_enabled", cache_enabled)):
            if not isinstance(value, bool):
                hint = "; the dtype comes first: autocast('float16', enabled=True)"
                raise TypeError(f"autocast: {name} must be True or False, got {value!r}{hint}")
        check_half("autocast", dtype)
        self.dtype, self.enabled, self.cache_enabled = dtype, enabled, cache_enabled
        self._before: list[Casts | None] = []

    def _recreate_cm(self) -> autocast:
        """A block of its own for every call of a decorated function, which threads may share."""
        return autocast(self.dtype, self.enabled, self.cache_enabled)

    def __enter__(self) -> autocast:
        outer = state.autocast
        self._before.append(outer)
        if not self.enabled:
            state.autocast = None
        elif outer is None or outer.remember != self.cache_enabled:
            state.autocast = Casts(self.cache_enabled)
        return self

    def __exit__(self, *exc: object) -> None:
        state.autocast = self._before.pop()


def is_autocast_enabled() -> bool:
    """Whether mixed precision is on in this thread."""
    return state.autocast is not None


def check_half(function: str, dtype: Any) -> None:
    """ValueError unless `dtype` is float16."""
    try:
        same = dtype is not None and np.dtype(dtype) == HALF
    except TypeError:
        same = False
    if not same:
        raise ValueError(
            f"{function}: dtype must be 'float16', got {dtype!r}: NumPy and CuPy have no bfloat16, "
            "and for float32 there is nothing to cast: leave the block out, or enabled=False"
        )
