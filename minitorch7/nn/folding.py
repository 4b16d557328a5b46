"""Runs layers one after another; in evaluation, convolution, batch norm and ReLU in one go.

`run` is a loop over the layers. Where nothing can see the difference, it hands a `Conv2d` together
with the `BatchNorm2d` and `ReLU` layers right after it to `folded_conv2d`, which saves calls and
walks over memory. What could see it is: recording for a backward pass, a profile, anomaly
detection, hooks on one of these layers, and training, where a batch norm needs the whole map's
statistics first. Anything unusual goes through the layers one by one, and raises their errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd import Tensor, state
from ..functional.folding import RELU, Norm, folded_conv2d
from ..kernels.windows import Window
from .activation import ReLU
from .convolution import Conv2d
from .module import Module
from .normalisation import BatchNorm2d

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")


def run(layers: Sequence[Module], x: Any) -> Any:
    """``layers[-1](… layers[1](layers[0](x)))``."""
    may_fold = not (state.recording or state.anomaly) and state.profile is None
    done = 0
    while done < len(layers):
        end = _end_of_chain(layers, done) if may_fold else done
        folded = _folded(layers[done], layers[done + 1 : end], x) if end > done + 1 else None
        if folded is None:
            x, done = layers[done](x), done + 1
        else:
            x, done = folded, end
    return x


def _end_of_chain(layers: Sequence[Module], first: int) -> int:
    """Where the batch norms and ReLUs after a convolution at `first` end; `first` without one."""
    if type(layers[first]) is not Conv2d or not _foldable(layers[first]):
        return first
    end = first + 1
    while end < len(layers) and type(layers[end]) in (BatchNorm2d, ReLU) and _foldable(layers[end]):
        end += 1
    return end


def _foldable(layer: Module) -> bool:
    """Whether the layer is as it was made, and nobody would miss its call."""
    own = vars(layer)
    if "forward" in own or any([own[hooks] for hooks in HOOKS]):
        return False
    if type(layer) is BatchNorm2d and (layer.training or not layer.track_running_stats):
        return False
    return type(layer) is ReLU or own["_parameters"].keys() == {"weight", "bias"}


def _folded(conv: Module, then: Sequence[Module], x: Any) -> Tensor | None:
    """The layers' result, or None where they do not go together or do not fit x."""
    w, bias = _arrays(conv._parameters, "weight", "bias")
    if w is None or conv.groups != 1:
        return None
    norms = [RELU if type(layer) is ReLU else _norm(layer) for layer in then]
    if any([norm is not RELU and (norm.mean is None or norm.variance is None) for norm in norms]):
        return None
    vectors = [bias] + [a for norm in norms if norm is not RELU for a in norm[1:]]
    window = Window(w.shape[2:], conv.stride, conv.padding, conv.dilation)
    return folded_conv2d(x, w, bias, window, norms) if _fits(window, w, vectors, x) else None


def _norm(layer: Module) -> Norm:
    statistics = _arrays(layer._buffers, "running_mean", "running_var")
    return Norm(layer.eps, *statistics, *_arrays(layer._parameters, "weight", "bias"))


def _arrays(registry: dict[str, Any], *names: str) -> list[Any]:
    return [None if registry[name] is None else registry[name].data for name in names]


def _fits(window: Window, w: Any, vectors: Sequence[Any], x: Any) -> bool:
    """Whether all are arrays of the input's kind, with as many channels as they should have."""
    if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != w.shape[1]:
        return False
    kind, dtype, channels = type(x.data), x.data.dtype, w.shape[:1]
    if dtype.kind != "f" or w.dtype != dtype or type(w) is not kind:
        return False
    for a in vectors:
        if a is not None and (a.shape != channels or a.dtype != dtype or type(a) is not kind):
            return False
    as_made = all([type(n) is tuple and len(n) == 2 for n in window])  # not a number, nor 'same'
    return as_made and min(window.output_size(x.shape[2:])) > 0
