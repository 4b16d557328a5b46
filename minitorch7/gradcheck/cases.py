"""One case for every operation and every branch of a backward rule: what `gradcheck` is run on.

Inputs are built free of ties and kinks, so that no tolerance has to be loosened: `apart` gives
numbers that all differ by at least 0.05 and keep that far from 0, where |x| and max(x, 0) bend.
Tests walk this table; so does the script that breaks every rule to see whether it is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from ..autograd import Tensor, grad, tensor
from ..backend import manual_seed
from .cases_recurrent import RECURRENT


class Case(NamedTuple):
    """A named function with a recipe for its inputs."""

    name: str
    func: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    second_order: bool = True

    def build(self) -> tuple[Callable[..., Any], list[Tensor]]:
        """The function and fresh float64 inputs on the active backend, the same every time."""
        rng = np.random.default_rng(sum(self.name.encode()))
        return self.func, [
            tensor(np.asarray(a, np.float64), requires_grad=True) for a in self.make(rng)
        ]


def apart(rng: np.random.Generator, *shape: int, step: float = 0.1) -> np.ndarray:
    """Numbers of both signs, all at least step/2 apart and at least step/2 away from 0."""
    n = int(np.prod(shape))
    ladder = (np.arange(n) - n // 2 + 0.5) * step
    return (rng.permutation(ladder) + rng.uniform(-0.2, 0.2, n) * step).reshape(shape)


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """A recipe: standard-normal arrays of the shapes."""
    return lambda rng: tuple(rng.standard_normal(s) for s in shapes)


def spread(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """A recipe: arrays whose elements are `apart`, all of them together."""

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        ends = np.cumsum([int(np.prod(s)) for s in shapes])
        flat = apart(rng, int(ends[-1]))
        return tuple(p.reshape(s) for p, s in zip(np.split(flat, ends[:-1]), shapes, strict=True))

    return make


def positive(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """A recipe: arrays of numbers between 0.5 and 2."""
    return lambda rng: tuple(rng.uniform(0.5, 2, s) for s in shapes)


def _mask(shape: tuple[int, ...], seed: int = 3) -> Tensor:
    """A fixed pattern of true and false."""
    return tensor(np.random.default_rng(seed).random(shape) < 0.5)


def _ids(*values: Any) -> Tensor:
    return tensor(np.asarray(values[0] if len(values) == 1 else values, np.int64))


def _seeded(func: Callable[..., Any]) -> Callable[..., Any]:
    """`func` drawing the same random numbers at every call."""

    def same(*args: Any) -> Any:
        manual_seed(7)
        return func(*args)

    return same


def _one_is_constant(func: Callable[..., Any], shape: tuple[int, ...]) -> Callable[..., Any]:
    """`func` with a constant as its second argument, so that only the first needs a gradient."""
    return lambda x: func(x, tensor(np.random.default_rng(5).uniform(0.5, 2, shape)))


ARITHMETIC = [
    Case("add", F.add, normal((3, 4), (4,))),
    Case(
        "add, number and alpha", lambda x, y: F.add(2.5, F.add(x, y, alpha=3)), normal((3,), (3,))
    ),
    Case("sub", F.sub, normal((2, 3), (2, 1))),
    Case("sub from a number", lambda x: 1.5 - x * x, normal((4,))),
    Case("mul", F.mul, normal((3, 1, 2), (4, 2))),
    Case("mul by itself", lambda x: x * x * x, normal((4,))),
    Case("mul by a constant", _one_is_constant(F.mul, (2, 3)), normal((2, 3))),
    Case("div", F.div, positive((2, 3), (3,))),
    Case("div of a number", lambda x: 2.0 / x, positive((4,))),
    Case("neg", F.neg, normal((3,))),
    Case("pow, number", lambda x: x**3, normal((4,))),
    Case("pow, zero", lambda x: x**0 * x, normal((4,))),
    Case("pow, root", lambda x: x**0.5, positive((4,))),
    Case("pow, tensor", F.pow, positive((2, 3), (3,))),
    Case("pow of a number", lambda x: 2.0**x, normal((4,))),
    Case("exp", F.exp, normal((3, 2))),
    Case("log", F.log, positive((3, 2))),
    Case("sqrt", F.sqrt, positive((3, 2))),
    Case("abs", lambda x: F.abs(x) * x, spread((3, 4))),
    Case("sin", F.sin, normal((3, 2))),
    Case("cos", F.cos, normal((3, 2))),
    Case("clamp", lambda x: F.clamp(x, -0.3, 0.4) * x, spread((3, 4))),
    Case("clamp, below only", lambda x: F.clamp(x, min=-0.2) * x, spread((3, 4))),
    Case("clamp, by tensors", lambda x, y: F.clamp(x, max=y), spread((3, 4), (4,))),
    Case("maximum", lambda a, b: F.maximum(a, b) * a, spread((3, 4), (4,))),
    Case("minimum", lambda a, b: F.minimum(a, b) * b, spread((3, 1), (2, 1, 4))),
    Case("where", lambda a, b: F.where(_mask((3, 4)), a, b) * a, normal((3, 4), (4,))),
    Case("where, number", lambda a: F.where(_mask((3, 4)), a * a, 0.5), normal((3, 4))),
    Case("masked_fill", lambda a: (a * a).masked_fill(_mask((3, 4)), 2.0), normal((3, 4))),
    Case("broadcast_to", lambda x: F.broadcast_to(x, (2, 3, 4)) ** 2, normal((3, 1))),
    Case("sum_to", lambda x: F.sum_to(x * x, (3, 1)), normal((2, 3, 4))),
]

ACTIVATIONS = [
    Case("relu", lambda x: F.relu(x) * x, spread((3, 4))),
    Case("leaky_relu", lambda x: F.leaky_relu(x, 0.2) * x, spread((3, 4))),
    Case("elu", lambda x: F.elu(x, 1.3), spread((3, 4))),
    Case("gelu", F.gelu, normal((3, 4))),
    Case("gelu, tanh", lambda x: F.gelu(x, "tanh"), normal((3, 4))),
    Case("erf", F.erf, normal((3, 4))),
    Case("silu", F.silu, normal((3, 4))),
    Case("softplus", lambda x: F.softplus(x, 2.0), normal((3, 4))),
    Case("softplus, linear part", lambda x: F.softplus(x, 3.0, 1.0) * x, spread((3, 4))),
    Case("tanh", F.tanh, normal((3, 4))),
    Case("sigmoid", F.sigmoid, normal((3, 4))),
    Case("sigmoid_range", lambda x: F.sigmoid_range(x, -1.0, 2.0), normal((3, 4))),
    Case("dropout", _seeded(lambda x: F.dropout(x * x, 0.4)), normal((4, 5))),
    Case("dropout2d", _seeded(lambda x: F.dropout2d(x * x, 0.4)), normal((3, 4, 2, 2))),
]

REDUCTIONS = [
    Case("sum", lambda x: F.sum(x * x), normal((3, 4))),
    Case("sum, dims", lambda x: F.sum(x * x, (0, 2)), normal((3, 2, 4))),
    Case("sum, keepdim", lambda x: x * F.sum(x, 1, True), normal((3, 4))),
    Case("mean", lambda x: F.mean(x * x, 0), normal((3, 4))),
    Case("var", lambda x: F.var(x, 1), normal((3, 4))),
    Case("std", lambda x: F.std(x, (0, 1), correction=0), normal((3, 4))),
    Case("max", lambda x: F.max(x) * x, spread((3, 4))),
    Case("max, dim", lambda x: F.max(x, 1).values ** 2, spread((3, 4))),
    Case("min, keepdim", lambda x: F.min(x, 0, True).values * x, spread((3, 4))),
    Case("logsumexp", lambda x: F.logsumexp(x, 1), normal((3, 4))),
    Case("logsumexp, dims", lambda x: F.logsumexp(x, (0, 2), True), normal((3, 2, 4))),
    Case("softmax", lambda x: F.softmax(x, 1), normal((3, 4))),
    Case("log_softmax", lambda x: F.log_softmax(x, 0), normal((3, 4))),
    Case("cumsum", lambda x: F.cumsum(x * x, 1), normal((3, 4))),
]

SHAPES = [
    Case("reshape", lambda x: F.reshape(x * x, (2, -1)), normal((3, 4))),
    Case("flatten", lambda x: F.flatten(x * x, 1), normal((2, 3, 2))),
    Case("permute", lambda x: F.permute(x * x, (2, 0, 1)), normal((2, 3, 4))),
    Case("transpose", lambda x: F.transpose(x, 0, 1) @ x, normal((2, 3))),
    Case("squeeze, unsqueeze", lambda x: F.unsqueeze(F.squeeze(x * x), 1), normal((2, 1, 3))),
    Case("expand", lambda x: F.expand(x, 2, -1, 4) ** 2, normal((3, 1))),
    Case("repeat", lambda x: F.repeat(x, 2, 1, 3) ** 2, normal((2, 3))),
    Case("flip", lambda x: F.flip(x, 0, 1) * x, normal((3, 4))),
    Case("cat", lambda a, b: F.cat([a * b[:, :2], b, a], 1), normal((2, 2), (2, 3))),
    Case("stack", lambda a, b: F.stack([a * b, b, a], 1), normal((2, 3), (2, 3))),
    Case("split", lambda x: F.split(x * x, [1, 3], 1), normal((2, 4))),
    Case("chunk", lambda x: F.chunk(x * x, 2, 1), normal((2, 5))),
    Case("unbind", lambda x: F.unbind(x * x), normal((2, 3))),
    Case("pad", lambda x: F.pad(x, (1, 2, 0, 1), value=2.0) ** 2, normal((2, 3, 4))),
    Case("pad, negative", lambda x: F.pad(x, (-1, 2)) ** 2, normal((2, 4))),
    Case("pad, reflect", lambda x: F.pad(x, (2, 1, 1, 0), "reflect") ** 2, normal((1, 1, 3, 4))),
    Case("pad, replicate", lambda x: F.pad(x, (2, 1), "replicate") ** 2, normal((1, 2, 3))),
]


def _padded(table: Tensor) -> Tensor:
    """Rows whose padding is constant by value too, as its gradient says it is."""
    rows = F.embedding(_ids([1, 2, 1]), table, 2) ** 2
    return rows - rows.detach() * tensor(np.array([[0.0], [1.0], [0.0]]))


LOOKUPS = [
    Case("index, slices", lambda x: x[1:, ::2, None] ** 2, normal((3, 4))),
    Case("index, repeated", lambda x: x[_ids([0, 2, 0])] ** 2, normal((3, 4))),
    Case("index, two tensors", lambda x: x[_ids([0, 1, 1]), _ids([2, 0, 0])] ** 2, normal((2, 3))),
    Case("index, mask", lambda x: x[_mask((3, 4))] ** 2, normal((3, 4))),
    Case("index_select", lambda x: F.index_select(x, 1, _ids([1, 1, 0])) ** 2, normal((2, 3))),
    Case("gather", lambda x: F.gather(x, 1, _ids([[0, 0], [2, 1]])) ** 2, normal((2, 3))),
    Case("embedding", lambda w: F.embedding(_ids([[1, 1], [0, 3]]), w) ** 2, normal((4, 3))),
    Case("embedding, padding", _padded, normal((3, 2))),
]


def _vectors(a: Tensor, b: Tensor, m: Tensor) -> Tensor:
    return (a @ b) * (a @ m) * (m.T @ b)


PRODUCTS = [
    Case("matmul", F.matmul, normal((3, 4), (4, 2))),
    Case("matmul, batches", F.matmul, normal((2, 1, 3, 4), (3, 4, 2))),
    Case("matmul, vectors", _vectors, normal((4,), (4,), (4, 4))),
    Case("bmm", F.bmm, normal((2, 3, 4), (2, 4, 2))),
    Case("outer", F.outer, normal((3,), (4,))),
    Case("linear", F.linear, normal((3, 4), (2, 4), (2,))),
    Case("linear, leading axes", lambda x, w: F.linear(x, w), normal((2, 3, 4), (2, 4))),
    Case("einsum", lambda a, b: F.einsum("bik,bkj->bj", a, b), normal((2, 3, 4), (2, 4, 2))),
    Case("einsum, three", lambda a, b, c: F.einsum("i,ij,j", a, b, c), normal((2,), (2, 3), (3,))),
    Case("einsum, diagonal", lambda a: F.einsum("ii->i", a) ** 2, normal((3, 3))),
    Case("einsum, dots", lambda a, b: F.einsum("...ij,jk", a, b), normal((2, 2, 3), (3, 2))),
]


def _conv(stride: Any, padding: Any, dilation: Any, groups: int) -> Callable[..., Tensor]:
    return lambda x, w, b: F.conv2d(x, w, b, stride, padding, dilation, groups)


def _convt(stride: Any, padding: Any, extra: Any, groups: int, dilation: Any) -> Callable[..., Any]:
    return lambda x, w, b: F.conv_transpose2d(x, w, b, stride, padding, extra, groups, dilation)


CONVOLUTIONS = [
    Case("conv2d", _conv(1, 1, 1, 1), normal((2, 2, 4, 3), (3, 2, 3, 3), (3,))),
    Case("conv2d, stride 2", _conv(2, 1, 1, 1), normal((2, 2, 5, 4), (2, 2, 3, 3), (2,))),
    Case("conv2d, dilation", _conv(1, 2, 2, 1), normal((1, 2, 4, 5), (2, 2, 3, 2), (2,))),
    Case("conv2d, groups", _conv((2, 1), (0, 1), 1, 2), normal((2, 4, 4, 3), (2, 2, 2, 3), (2,))),
    Case("conv2d, groups, stride 1", _conv(1, 1, 1, 2), normal((1, 4, 3, 3), (4, 2, 3, 3), (4,))),
    Case("conv2d, 1x1", _conv(1, 0, 1, 1), normal((2, 3, 2, 2), (2, 3, 1, 1), (2,))),
    Case("conv2d, wide padding", _conv(1, 3, 1, 1), normal((1, 1, 2, 2), (1, 1, 2, 2), (1,))),
    Case("conv2d in x", lambda x: _conv(2, 1, 1, 1)(x, _kernel(), None), normal((1, 2, 4, 4))),
    Case("conv2d in w", lambda w: F.conv2d(_kernel(), w, None, 1, 1), normal((3, 2, 2, 2))),
    Case("conv_transpose2d", _convt(2, 1, 1, 1, 1), normal((2, 2, 3, 2), (2, 3, 3, 3), (3,))),
    Case(
        "conv_transpose2d, groups", _convt(2, 0, 0, 2, 1), normal((1, 4, 2, 2), (4, 1, 2, 2), (2,))
    ),
    Case(
        "conv_transpose2d, dilation",
        _convt(1, 1, 0, 1, 2),
        normal((1, 2, 3, 3), (2, 2, 2, 2), (2,)),
    ),
    Case("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 1), normal((2, 2, 5), (3, 2, 3), (3,))),
    Case("unfold", lambda x: F.unfold(x, 2, 1, 1, 2) ** 2, normal((1, 2, 3, 4))),
    Case("fold", lambda x: F.fold(x, (4, 5), 3, 1, 1, 2) ** 2, normal((1, 9, 6))),
]


def _kernel() -> Tensor:
    return tensor(np.random.default_rng(4).standard_normal((2, 2, 3, 3)))


POOLS = [
    Case("max_pool2d", lambda x: F.max_pool2d(x, 2) ** 2, spread((1, 2, 4, 5))),
    Case("max_pool2d, overlapping", lambda x: F.max_pool2d(x, 3, 2, 1) ** 2, spread((1, 2, 5, 4))),
    Case(
        "max_pool2d, ceil", lambda x: F.max_pool2d(x, 2, ceil_mode=True) ** 2, spread((1, 1, 5, 3))
    ),
    Case("avg_pool2d", lambda x: F.avg_pool2d(x, 2, 1) ** 2, normal((1, 2, 3, 4))),
    Case("avg_pool2d, padding", lambda x: _avg_pool(x) ** 2, normal((2, 1, 5, 4))),
    Case(
        "adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (2, 3)) ** 2, normal((1, 2, 5, 4))
    ),
    Case(
        "adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (2, 3)) ** 2, spread((1, 2, 5, 4))
    ),
]


def _avg_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)


def _batch_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, w, b, training=True)


def _batch_norm_eval(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    mean, var = tensor(np.array([0.3, -0.2])), tensor(np.array([1.5, 0.7]))
    return F.batch_norm(x, mean, var, w, b) ** 2


NORMS = [
    Case("batch_norm", _batch_norm, normal((3, 2, 2, 3), (2,), (2,))),
    Case("batch_norm, 2-D", _batch_norm, normal((5, 3), (3,), (3,))),
    Case("batch_norm, no affine", lambda x: _batch_norm(x, None, None), normal((4, 2, 3))),
    Case("batch_norm, evaluation", _batch_norm_eval, normal((3, 2, 2), (2,), (2,))),
    Case(
        "layer_norm",
        lambda x, w, b: F.layer_norm(x, (2, 3), w, b),
        normal((2, 2, 3), (2, 3), (2, 3)),
    ),
    Case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), normal((2, 4, 3), (4,), (4,))),
    Case("instance_norm", lambda x, w: F.instance_norm(x, weight=w), normal((2, 2, 2, 3), (2,))),
]

RESAMPLING = [
    Case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2) ** 2, normal((1, 8, 2, 3))),
    Case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2) ** 2, normal((1, 2, 4, 2))),
    Case("interpolate, nearest", lambda x: F.interpolate(x, (5, 3)) ** 2, normal((1, 2, 3, 4))),
    Case("interpolate, bilinear", lambda x: _bilinear(x, False) ** 2, normal((1, 2, 3, 4))),
    Case("interpolate, aligned", lambda x: _bilinear(x, True) ** 2, normal((1, 2, 3, 4))),
]


def _bilinear(x: Tensor, align: bool) -> Tensor:
    return F.interpolate(x, (5, 7), mode="bilinear", align_corners=align)


def _labels() -> Tensor:
    return _ids([1, 0, 3, 1])


def _weights() -> Tensor:
    return tensor(np.array([0.5, 1.0, 2.0, 1.5]))


def _cross_entropy_all(x: Tensor) -> Tensor:
    return F.cross_entropy(x, _labels(), _weights(), ignore_index=0, label_smoothing=0.1)


def _bce(x: Tensor, y: Tensor) -> Tensor:
    weight = tensor(np.array([1.0, 2.0, 0.5]))
    return F.binary_cross_entropy_with_logits(x, y, weight, "none", weight + 1)


LOSSES = [
    Case("nll_loss", lambda x: F.nll_loss(x * x, _labels(), reduction="none"), normal((4, 4))),
    Case("cross_entropy", lambda x: F.cross_entropy(x, _labels()), normal((4, 5))),
    Case("cross_entropy, all options", _cross_entropy_all, normal((4, 4))),
    Case(
        "cross_entropy, pictures",
        lambda x: F.cross_entropy(x, _ids([[[0, 2], [1, 1]]])),
        normal((1, 3, 2, 2)),
    ),
    Case(
        "binary_cross_entropy_with_logits",
        _bce,
        lambda rng: (rng.standard_normal((2, 3)), rng.random((2, 3))),
    ),
    Case("mse_loss", F.mse_loss, normal((3, 2), (3, 2))),
    Case("l1_loss", lambda a, b: F.l1_loss(a * a, b, "sum"), spread((3, 2), (3, 2))),
    Case(
        "smooth_l1_loss", lambda a, b: F.smooth_l1_loss(a, b, "none", 0.25), spread((3, 3), (3, 3))
    ),
]


def third_order(func: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The gradient of Σ func(x)³, whose second derivatives are third ones of `func`."""

    def gradient(x: Tensor) -> Tensor:
        return grad((func(x) ** 3).sum(), x, create_graph=True)[0]

    return gradient


def constant(*shape: int) -> Tensor:
    """A tensor that is not differentiated."""
    return tensor(np.random.default_rng(6).standard_normal(shape))


def _grads(x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    """Both gradients of a convolution, whichever of its arguments is being differentiated."""
    y = F.conv2d(x.requires_grad_(), w.requires_grad_())
    return grad(y, [x, w], constant(*y.shape), create_graph=True)


def given(*values: float) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """A recipe: one array of these numbers."""
    return lambda rng: (np.array(values),)


EDGES = [
    Case("add, first stretched", F.add, normal((4,), (3, 4))),
    Case("sub, first stretched", F.sub, normal((2, 1), (2, 3))),
    Case("div, first stretched", F.div, positive((3,), (2, 3))),
    Case("pow, first stretched", F.pow, positive((3,), (2, 3))),
    Case("where, first stretched", lambda a, b: F.where(b > 0, a, b) * b, normal((4,), (3, 4))),
    Case("pow, of nought", lambda p: F.pow(tensor(np.arange(3.0)), p), positive((3,))),
    Case("pow, zero at nought", lambda x: x**0 * x, given(0.0, -0.5, 2.0)),
    Case(
        "pow, by a tensor with nought",
        lambda x: F.pow(x, tensor(np.array([0.0, 0.0, 1.0, 3.0]))) * x,
        given(0.0, 0.5, -0.5, 1.5),
    ),
    Case("clamp, above only", lambda x: F.clamp(x, max=0.2) * x, spread((3, 4))),
    Case("maximum with a constant", lambda a: F.maximum(a, constant(3, 4)) * a, spread((3, 4))),
    Case("elu, large", lambda x: F.elu(x * 3, 1.3), spread((3, 4))),
    Case("matmul by a constant", lambda a: a @ constant(4, 2), normal((3, 4))),
    Case("matmul of a constant", lambda a: constant(2, 3) @ a, normal((3, 4))),
    Case("clone", lambda x: F.clone(x) * x, normal((2, 3))),
    Case("to", lambda x: F.to(x, "float64") ** 2, normal((3,))),
    Case("pad, first axis", lambda x: F.pad(x, (0, 1, 2, 0)) ** 2, normal((2, 3))),
    Case(
        "max_pool2d, third order",
        third_order(lambda x: F.max_pool2d(x, 2)),
        spread((1, 1, 4, 3)),
    ),
    Case(
        "conv2d, 1x1, stride 2",
        lambda x, w: F.conv2d(x, w, None, 2, 0),
        normal((1, 2, 4, 3), (2, 2, 1, 1)),
    ),
    Case(
        "conv2d, 1x1, padding",
        lambda x, w: F.conv2d(x, w, None, 1, (1, 0)),
        normal((1, 2, 2, 3), (2, 2, 1, 1)),
    ),
    Case("conv2d, 1x1, one column", F.conv2d, normal((2, 2, 3, 1), (2, 2, 1, 1))),
    Case(
        "conv_transpose2d, 1x1, larger",
        lambda x, w: F.conv_transpose2d(x, w, None, 1, 0, 1, 1, 2),
        normal((4, 2, 2, 3), (2, 2, 1, 1)),
    ),
    Case(
        "conv_transpose2d, 1x1, more rows",
        lambda x, w: F.conv_transpose2d(x, w, None, 1, 0, (1, 0), 1, 2),
        normal((1, 2, 2, 3), (2, 2, 1, 1)),
    ),
    Case(
        "conv_transpose2d, larger",
        lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 1),
        normal((1, 1, 2, 2), (1, 2, 3, 3)),
    ),
    Case("conv2d, dx in w", lambda w: _grads(constant(1, 2, 3, 3), w)[0], normal((2, 2, 2, 2))),
    Case("conv2d, dw in x", lambda x: _grads(x, constant(2, 2, 2, 2))[1], normal((1, 2, 3, 3))),
    Case("sum_to, leading 1", lambda x: F.sum_to(x * x, (1, 4)), normal((1, 3, 4))),
    Case("pow of numbers", lambda p: 0.0**p + 0.5**p + 1.0**p, positive((3,))),
    Case("layer_norm, width 1", lambda x: F.layer_norm(x, 1) * x, normal((3, 1))),
    Case(
        "index, integer beside a tensor",
        lambda x: x[1, :, tensor(np.array([2, 0, 2]))] ** 2,
        normal((2, 3, 4)),
    ),
    Case(
        "conv2d, in b",
        lambda b: F.conv2d(constant(1, 2, 3, 3), constant(2, 2, 2, 2), b) ** 2,
        normal((2,)),
    ),
]


CASES: list[Case] = [
    *ARITHMETIC,
    *ACTIVATIONS,
    *REDUCTIONS,
    *SHAPES,
    *LOOKUPS,
    *PRODUCTS,
    *CONVOLUTIONS,
    *POOLS,
    *NORMS,
    *[Case(name, func, normal(*shapes)) for name, func, shapes in RECURRENT],
    *RESAMPLING,
    *LOSSES,
    *EDGES,
]
