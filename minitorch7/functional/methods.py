"""The one place that gives `Tensor` its operators and methods.

``a + b`` must find `add`, which is written on a higher floor than `Tensor`. So the class is written
first, the functions on top of it, and this table ties the two together when the package is
imported. Whoever wonders what ``t.something()`` does finds the name here, and beside it the
function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import Tensor
from ..autograd.tensor import iterate
from . import (
    activations,
    arithmetic,
    broadcasting,
    comparison,
    conversion,
    lookup,
    products,
    reductions,
    resampling,
    shape,
)

OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": arithmetic.add,
    "__radd__": lambda a, b: arithmetic.add(b, a),
    "__sub__": arithmetic.sub,
    "__rsub__": lambda a, b: arithmetic.sub(b, a),
    "__mul__": arithmetic.mul,
    "__rmul__": lambda a, b: arithmetic.mul(b, a),
    "__truediv__": arithmetic.div,
    "__rtruediv__": lambda a, b: arithmetic.div(b, a),
    "__floordiv__": arithmetic.floor_divide,
    "__pow__": arithmetic.pow,
    "__rpow__": lambda a, b: arithmetic.pow(b, a),
    "__rfloordiv__": lambda a, b: arithmetic.floor_divide(b, a),
    "__matmul__": products.matmul,
    "__rmatmul__": lambda a, b: products.matmul(b, a),
    "__neg__": arithmetic.neg,
    "__abs__": arithmetic.abs,
    "__invert__": comparison.logical_not,
    "__and__": comparison.logical_and,
    "__or__": comparison.logical_or,
    "__eq__": comparison.eq,
    "__ne__": comparison.ne,
    "__lt__": comparison.lt,
    "__le__": comparison.le,
    "__gt__": comparison.gt,
    "__ge__": comparison.ge,
    "__getitem__": lookup.index,
    "__iter__": iterate,
}

METHODS: dict[Any, str] = {
    arithmetic: "add sub mul div neg pow exp log sqrt abs sin cos",
    broadcasting: "sum_to broadcast_to",
    comparison: "clamp maximum minimum eq ne lt le gt ge isnan isfinite",
    activations: "relu tanh sigmoid softplus erf",
    reductions: "sum mean var std max min argmax argmin any all logsumexp softmax log_softmax "
    "cumsum",
    shape: "reshape flatten permute transpose squeeze unsqueeze flip expand repeat split chunk "
    "narrow unbind",
    lookup: "gather index_select",
    products: "matmul bmm outer",
    resampling: "pixel_shuffle pixel_unshuffle",
    conversion: "clone to cpu cuda float double half long bool",
}


def _view_as_other(tensor: Tensor, other: Tensor) -> Tensor:
    """This tensor's elements in the shape of `other`."""
    return shape.reshape(tensor, other.shape)


def _expand_as(tensor: Tensor, other: Tensor) -> Tensor:
    """This tensor stretched to the shape of `other`."""
    return shape.expand(tensor, other.shape)


def _masked_fill(tensor: Tensor, mask: Tensor, value: float) -> Tensor:
    """`value` where the mask is true, this tensor elsewhere."""
    return comparison.where(mask, value, tensor)


def _transposed(tensor: Tensor) -> Tensor:
    """The axes in reverse order."""
    return shape.permute(tensor, *reversed(range(tensor.ndim)))


def _matrix_transposed(tensor: Tensor) -> Tensor:
    """The last two axes exchanged."""
    return shape.transpose(tensor, -2, -1)


def _no_assignment(tensor: Tensor, where: Any, value: Any) -> None:
    raise TypeError(
        "tensors cannot be assigned to in place (the graph would keep the old values); "
        "use mt.where(mask, value, t) or build a new tensor, or t.data[...] outside any graph"
    )


def bind() -> None:
    """Put every operator and method on the class."""
    for name, function in OPERATORS.items():
        setattr(Tensor, name, function)
    for module, names in METHODS.items():
        for name in names.split():
            setattr(Tensor, name, getattr(module, name))
    Tensor.view = shape.reshape
    Tensor.view_as = Tensor.reshape_as = _view_as_other
    Tensor.expand_as = _expand_as
    Tensor.masked_fill = _masked_fill
    Tensor.T = property(_transposed)
    Tensor.mT = property(_matrix_transposed)
    Tensor.__setitem__ = _no_assignment
