"""⟨A x, y⟩ = ⟨x, Aᵀ y⟩ for every linear operation A.

The left side is a forward pass, the right side a backward one: Aᵀ y is what autograd answers when
it starts from y. For random x and y one number catches every wrong element of either. Then the
gradient is differentiated in its turn: Aᵀ is linear too, and the transpose of Aᵀ is A.

Maxima, absolute values and the like belong here as well. They are not linear, but around almost
every point they are, and then f(x) = A x with the A of that point.

Each case below draws its arguments and gives (A, the shape of x).
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.checking import WAYS, batch_last, convolving, examples, many, normal, rngs, spread
from reference.convolution import output_length

import minitorch7 as mt
from minitorch7 import functional as F

CASES = {}
lengths = st.integers(1, 4)
shapes = st.lists(lengths, min_size=1, max_size=4).map(tuple)


def linear(case):
    """Enter `case(draw, rng)` in the table of cases."""
    CASES[case.__name__] = case
    return case


def constant(rng, *shape):
    """A tensor that is not differentiated."""
    return mt.tensor(normal(rng, *shape))


def draw_axis(draw, shape):
    """One of the axes, counted from either end."""
    return draw(st.integers(-len(shape), len(shape) - 1))


# ----------------------------------------------------------------------------------- convolutions


def draw_window(draw):
    """(size, kernel, stride, padding, dilation), each (rows, columns); the window fits."""
    axes = []
    for _ in range(2):
        k, s, d = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        p = draw(st.integers(0, 2))
        least = max(1, d * (k - 1) + 1 - 2 * p)
        axes.append((draw(st.integers(least, least + 3)), k, s, p, d))
    return tuple(zip(*axes, strict=True))


def draw_conv2d(draw):
    """(input shape, weight shape, options)"""
    size, kernel_size, stride, padding, dilation = draw_window(draw)
    groups, inputs, outputs = (draw(st.integers(1, 2)) for _ in range(3))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    input_shape = (draw(st.integers(1, 2)), groups * inputs, *size)
    return input_shape, (groups * outputs, inputs, *kernel_size), options


def draw_conv1d(draw):
    """(input shape, weight shape, options)"""
    input_shape, weight_shape, options = draw_conv2d(draw)
    options = {name: o if name == "groups" else o[0] for name, o in options.items()}
    return input_shape[:3], weight_shape[:3], options


def draw_conv_transpose2d(draw):
    """(input shape, weight shape, options)"""
    axes = []
    for _ in range(2):
        n, k = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        s, d = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        extra = draw(st.integers(0, max(s, d) - 1))
        full = (n - 1) * s + d * (k - 1) + extra + 1
        axes.append((n, k, s, draw(st.integers(0, min(2, (full - 1) // 2))), extra, d))
    size, kernel_size, stride, padding, extra, dilation = zip(*axes, strict=True)
    groups, inputs, outputs = (draw(st.integers(1, 2)) for _ in range(3))
    options = {"stride": stride, "padding": padding, "output_padding": extra}
    options |= {"dilation": dilation, "groups": groups}
    input_shape = (draw(st.integers(1, 2)), groups * inputs, *size)
    return input_shape, (groups * inputs, outputs, *kernel_size), options


@linear
def conv2d_in_the_input(draw, rng):
    input_shape, weight_shape, options = draw_conv2d(draw)
    w = constant(rng, *weight_shape)
    return lambda x: F.conv2d(x, w, **options), input_shape


@linear
def conv2d_in_the_weight(draw, rng):
    input_shape, weight_shape, options = draw_conv2d(draw)
    x = constant(rng, *input_shape)
    return lambda w: F.conv2d(x, w, **options), weight_shape


@linear
def conv2d_in_the_bias(draw, rng):
    input_shape, weight_shape, options = draw_conv2d(draw)
    x, w = mt.tensor(np.zeros(input_shape)), constant(rng, *weight_shape)
    return lambda b: F.conv2d(x, w, b, **options), weight_shape[:1]


@linear
def conv1d_in_the_input(draw, rng):
    input_shape, weight_shape, options = draw_conv1d(draw)
    w = constant(rng, *weight_shape)
    return lambda x: F.conv1d(x, w, **options), input_shape


@linear
def conv1d_in_the_weight(draw, rng):
    input_shape, weight_shape, options = draw_conv1d(draw)
    x = constant(rng, *input_shape)
    return lambda w: F.conv1d(x, w, **options), weight_shape


@linear
def conv_transpose2d_in_the_input(draw, rng):
    input_shape, weight_shape, options = draw_conv_transpose2d(draw)
    w = constant(rng, *weight_shape)
    return lambda x: F.conv_transpose2d(x, w, **options), input_shape


@linear
def conv_transpose2d_in_the_weight(draw, rng):
    input_shape, weight_shape, options = draw_conv_transpose2d(draw)
    x = constant(rng, *input_shape)
    return lambda w: F.conv_transpose2d(x, w, **options), weight_shape


@linear
def conv_transpose2d_in_the_bias(draw, rng):
    input_shape, weight_shape, options = draw_conv_transpose2d(draw)
    x, w = mt.tensor(np.zeros(input_shape)), constant(rng, *weight_shape)
    channels = weight_shape[1] * options["groups"]
    return lambda b: F.conv_transpose2d(x, w, b, **options), (channels,)


@linear
def conv_transpose2d_with_output_padding_of_a_stride_or_more(draw, rng):
    """A dilation above the stride allows it; the last rows may then be out of every tap's reach."""
    s, k = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    options = {
        "stride": s,
        "dilation": s + 1,
        "output_padding": s,
        "padding": draw(st.integers(0, 1)),
    }
    w = constant(rng, 2, 2, k + 1, k + 1)
    return lambda x: F.conv_transpose2d(x, w, **options), (1, 2, draw(lengths), 3)


@linear
def unfold(draw, rng):
    size, kernel_size, stride, padding, dilation = draw_window(draw)
    return lambda x: F.unfold(x, kernel_size, dilation, padding, stride), (2, 2, *size)


@linear
def fold(draw, rng):
    window = draw_window(draw)
    size, kernel_size, stride, padding, dilation = window
    places = 1
    for n, k, s, p, d in zip(*window, strict=True):
        places *= output_length(n, k, s, p, d)
    shape = (2, 2 * kernel_size[0] * kernel_size[1], places)
    return lambda x: F.fold(x, size, kernel_size, dilation, padding, stride), shape


CONVOLUTIONS = list(CASES)


# ------------------------------------------------------------------------- pooling and resampling


def draw_pool(draw):
    """(size, kernel, stride, padding), each (rows, columns)"""
    axes = []
    for _ in range(2):
        k, s = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        p = draw(st.integers(0, k // 2))
        least = max(1, k - 2 * p)
        axes.append((draw(st.integers(least, least + 4)), k, s, p))
    return tuple(zip(*axes, strict=True))


@linear
def avg_pool2d(draw, rng):
    size, *window = draw_pool(draw)
    ceil_mode, count_include_pad = draw(st.booleans()), draw(st.booleans())
    divisor = draw(st.none() | st.integers(1, 5))
    options = (*window, ceil_mode, count_include_pad, divisor)
    return lambda x: F.avg_pool2d(x, *options), (2, 2, *size)


@linear
def max_pool2d(draw, rng):
    size, *window = draw_pool(draw)
    ceil_mode = draw(st.booleans())
    return lambda x: F.max_pool2d(x, *window, 1, ceil_mode), (2, 2, *size)


@linear
def adaptive_avg_pool2d(draw, rng):
    size, wanted = (draw(st.tuples(st.integers(1, 6), st.integers(1, 6))) for _ in range(2))
    return lambda x: F.adaptive_avg_pool2d(x, wanted), (2, 2, *size)


@linear
def adaptive_max_pool2d(draw, rng):
    size, wanted = (draw(st.tuples(st.integers(1, 6), st.integers(1, 6))) for _ in range(2))
    return lambda x: F.adaptive_max_pool2d(x, wanted), (2, 2, *size)


@linear
def pixel_shuffle(draw, rng):
    r, channels = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    return lambda x: F.pixel_shuffle(x, r), (2, channels * r * r, draw(lengths), draw(lengths))


@linear
def pixel_unshuffle(draw, rng):
    r, channels = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    return lambda x: F.pixel_unshuffle(x, r), (2, channels, draw(lengths) * r, draw(lengths) * r)


def draw_resize(draw):
    """(shape, {size or scale_factor})"""
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(lengths), draw(lengths))
    if draw(st.booleans()):
        return shape, {"size": (draw(st.integers(1, 7)), draw(st.integers(1, 7)))}
    return shape, {"scale_factor": draw(st.sampled_from([1, 1.5, 2, 3]))}


@linear
def interpolate_nearest(draw, rng):
    shape, options = draw_resize(draw)
    return partial(F.interpolate, **options), shape


@linear
def interpolate_bilinear(draw, rng):
    shape, options = draw_resize(draw)
    corners = draw(st.booleans())
    return partial(F.interpolate, **options, mode="bilinear", align_corners=corners), shape


# ---------------------------------------------------------------------------------- shape, lookup


@linear
def pad_with_zeros(draw, rng):
    shape, widths = draw(shapes), []
    for n in shape[::-1][: draw(st.integers(1, len(shape)))]:
        before = draw(st.integers(1 - n, 3))
        widths += [before, draw(st.integers(1 - min(n, n + before), 3))]
    return lambda x: F.pad(x, widths), shape


def draw_picture_pad(draw, reflect):
    """(shape, widths) for the last one or two axes"""
    shape, widths = draw(st.lists(lengths, min_size=2, max_size=4)), []
    for n in shape[::-1][: draw(st.integers(1, 2))]:
        most = st.integers(0, n - 1 if reflect else 3)
        widths += [draw(most), draw(most)]
    return tuple(shape), widths


@linear
def pad_by_reflection(draw, rng):
    shape, widths = draw_picture_pad(draw, reflect=True)
    return lambda x: F.pad(x, widths, "reflect"), shape


@linear
def pad_by_replication(draw, rng):
    shape, widths = draw_picture_pad(draw, reflect=False)
    return lambda x: F.pad(x, widths, "replicate"), shape


@linear
def permute(draw, rng):
    shape = draw(shapes)
    dims = draw(st.permutations(range(len(shape))))
    return lambda x: F.permute(x, dims), shape


@linear
def transpose(draw, rng):
    shape = draw(shapes)
    first, second = draw_axis(draw, shape), draw_axis(draw, shape)
    return lambda x: F.transpose(x, first, second), shape


@linear
def flip(draw, rng):
    shape = draw(shapes)
    dims = draw(st.lists(st.sampled_from(range(len(shape))), unique=True))
    return lambda x: F.flip(x, dims), shape


@linear
def reshape(draw, rng):
    shape = draw(shapes)
    return lambda x: F.reshape(x, shape[-1], -1), shape


@linear
def flatten(draw, rng):
    shape = draw(shapes)
    start = draw(st.integers(0, len(shape) - 1))
    return lambda x: F.flatten(x, start), shape


@linear
def unsqueeze(draw, rng):
    shape = draw(shapes)
    dim = draw(st.integers(-len(shape) - 1, len(shape)))
    return lambda x: F.unsqueeze(x, dim), shape


@linear
def squeeze(draw, rng):
    shape = tuple(draw(st.sampled_from([n, 1])) for n in draw(shapes))
    return F.squeeze, shape


def draw_stretch(draw):
    """(a shape with some axes of length 1, what it broadcasts to)"""
    whole = draw(shapes)
    front = draw(st.lists(st.integers(1, 3), max_size=2))
    return tuple(draw(st.sampled_from([n, 1])) for n in whole), (*front, *whole)


@linear
def expand(draw, rng):
    short, whole = draw_stretch(draw)
    return lambda x: F.expand(x, whole), short


@linear
def broadcast_to(draw, rng):
    short, whole = draw_stretch(draw)
    return lambda x: F.broadcast_to(x, whole), short


@linear
def sum_to(draw, rng):
    short, whole = draw_stretch(draw)
    return lambda x: F.sum_to(x, short), whole


@linear
def repeat(draw, rng):
    shape = draw(shapes)
    times = [draw(st.integers(1, 3)) for _ in shape]
    return lambda x: F.repeat(x, 2, *times), shape


@linear
def cat_with_itself_and_zeros(draw, rng):
    shape = draw(shapes)
    dim = draw_axis(draw, shape)
    zeros = mt.tensor(np.zeros(shape))
    return lambda x: F.cat([x, zeros, 2 * x], dim), shape


@linear
def stack_with_itself(draw, rng):
    shape = draw(shapes)
    dim = draw(st.integers(-len(shape) - 1, len(shape)))
    return lambda x: F.stack([x, -x, x], dim), shape


@linear
def narrow(draw, rng):
    shape = draw(shapes)
    dim = draw_axis(draw, shape)
    start = draw(st.integers(0, shape[dim] - 1))
    length = draw(st.integers(1, shape[dim] - start))
    return lambda x: F.narrow(x, dim, start, length), shape


@linear
def split_with_weights(draw, rng):
    shape = draw(shapes)
    dim, size = draw_axis(draw, shape), draw(lengths)
    return lambda x: F.cat([k * p for k, p in enumerate(F.split(x, size, dim), 1)], dim), shape


@linear
def chunk_first(draw, rng):
    shape = draw(shapes)
    dim, count = draw_axis(draw, shape), draw(lengths)
    return lambda x: F.chunk(x, count, dim)[0], shape


@linear
def unbind_last(draw, rng):
    shape = draw(shapes)
    dim = draw_axis(draw, shape)
    return lambda x: F.unbind(x, dim)[-1], shape


@linear
def index(draw, rng):
    places = [
        (1,),
        (..., slice(None, None, 2)),
        (slice(1, None), None, -1),
        (np.array([2, 0, 2]),),
        (slice(None), np.array([[1, 3], [1, -1]])),
        (np.array([2, 2, 0]), np.array([3, 3, 1])),
        (np.arange(12).reshape(3, 4) % 5 == 1,),
    ]
    where = draw(st.sampled_from(places))
    return lambda x: x[where], (3, 4, 2)


@linear
def index_select(draw, rng):
    shape = draw(shapes)
    dim = draw_axis(draw, shape)
    picked = mt.tensor(rng.integers(0, shape[dim], draw(st.integers(1, 6))))
    return lambda x: F.index_select(x, dim, picked), shape


@linear
def gather(draw, rng):
    shape = draw(shapes)
    dim = draw_axis(draw, shape)
    wanted = [draw(st.integers(1, n)) for n in shape]
    wanted[dim] = draw(st.integers(1, 6))
    picked = mt.tensor(rng.integers(0, shape[dim], wanted))
    return lambda x: F.gather(x, dim, picked), shape


@linear
def embedding_in_the_weight(draw, rng):
    rows, width = draw(lengths), draw(lengths)
    ids = mt.tensor(rng.integers(0, rows, draw(shapes)))
    return lambda w: F.embedding(ids, w), (rows, width)


# --------------------------------------------------------------------------- arithmetic, products


@linear
def clone(draw, rng):
    return F.clone, draw(shapes)


@linear
def negation(draw, rng):
    return F.neg, draw(shapes)


@linear
def addition_to_itself(draw, rng):
    short, whole = draw_stretch(draw)
    return lambda x: F.add(x, F.broadcast_to(x, whole), alpha=3), short


@linear
def subtraction_from_itself(draw, rng):
    short, whole = draw_stretch(draw)
    return lambda x: F.sub(F.broadcast_to(x, whole), x, alpha=3), short


@linear
def multiplication(draw, rng):
    short, whole = draw_stretch(draw)
    factor = constant(rng, *whole)
    return (lambda x: F.mul(x, factor)) if draw(st.booleans()) else (lambda x: factor * x), short


@linear
def division(draw, rng):
    short, whole = draw_stretch(draw)
    divisor = mt.tensor(2 + np.abs(normal(rng, *whole)))
    return lambda x: F.div(x, divisor), short


@linear
def where_chosen(draw, rng):
    short, whole = draw_stretch(draw)
    condition = mt.tensor(normal(rng, *whole) > 0)
    return lambda x: F.where(condition, x, -2 * x), short


@linear
def matmul_in_the_first(draw, rng):
    (short, whole), n, k, m = draw_stretch(draw), draw(lengths), draw(lengths), draw(lengths)
    other = constant(rng, *whole[-2:], k, m)
    return lambda x: F.matmul(x, other), (*short[-1:], n, k)


@linear
def matmul_in_the_second(draw, rng):
    (short, whole), n, k, m = draw_stretch(draw), draw(lengths), draw(lengths), draw(lengths)
    other = constant(rng, *whole[-2:], n, k)
    return lambda x: F.matmul(other, x), (*short[-1:], k, m)


@linear
def matmul_with_vectors(draw, rng):
    k, other_first = draw(lengths), draw(st.booleans())
    shape = draw(st.sampled_from([(k,), (3, k, 2) if other_first else (3, 2, k)]))
    other = constant(rng, k)
    return (lambda x: F.matmul(other, x)) if other_first else (lambda x: F.matmul(x, other)), shape


@linear
def bmm(draw, rng):
    n, k, m = draw(lengths), draw(lengths), draw(lengths)
    other = constant(rng, 2, k, m)
    return lambda x: F.bmm(x, other), (2, n, k)


@linear
def linear_in_the_input(draw, rng):
    shape = draw(shapes)
    w = constant(rng, draw(lengths), shape[-1])
    return lambda x: F.linear(x, w), shape


@linear
def linear_in_the_weight(draw, rng):
    x = constant(rng, *draw(shapes))
    return lambda w: F.linear(x, w), (draw(lengths), x.shape[-1])


@linear
def linear_in_the_bias(draw, rng):
    x, out = mt.tensor(np.zeros(draw(shapes))), draw(lengths)
    w = constant(rng, out, x.shape[-1])
    return lambda b: F.linear(x, w, b), (out,)


@linear
def outer_in_the_second(draw, rng):
    other = constant(rng, draw(lengths))
    return lambda x: F.outer(other, x), (draw(lengths),)


EQUATIONS = ["nij,njk->nik", "nij,nkj->ik", "ij->ji", "ij->i", "ii->i", "ii->", "ij,jk,kl->il"]


@linear
def einsum_in_each_operand(draw, rng):
    equation = draw(st.sampled_from(EQUATIONS))
    names = equation.split("->")[0].split(",")
    length = {letter: draw(lengths) for letter in "ijkln"}
    operand_shapes = [tuple(length[letter] for letter in name) for name in names]
    at = draw(st.integers(0, len(names) - 1))
    others = [constant(rng, *shape) for shape in operand_shapes]
    return lambda x: F.einsum(equation, *others[:at], x, *others[at + 1 :]), operand_shapes[at]


# ------------------------------------------------------------------------------------- reductions


def draw_dims(draw, shape):
    """None, one axis, or several."""
    several = st.lists(st.sampled_from(range(len(shape))), min_size=1, unique=True).map(tuple)
    return draw(st.none() | st.integers(-len(shape), len(shape) - 1) | several)


@linear
def sum_over_axes(draw, rng):
    shape, keepdim = draw(shapes), draw(st.booleans())
    dim = draw_dims(draw, shape)
    return lambda x: F.sum(x, dim, keepdim), shape


@linear
def mean_over_axes(draw, rng):
    shape, keepdim = draw(shapes), draw(st.booleans())
    dim = draw_dims(draw, shape)
    return lambda x: F.mean(x, dim, keepdim), shape


@linear
def cumsum(draw, rng):
    shape = draw(shapes)
    dim = draw_axis(draw, shape)
    return lambda x: F.cumsum(x, dim), shape


@linear
def max_over_an_axis(draw, rng):
    shape, keepdim = draw(shapes), draw(st.booleans())
    dim = draw_axis(draw, shape)
    return lambda x: F.max(x, dim, keepdim)[0], shape


@linear
def min_of_all(draw, rng):
    return F.min, draw(shapes)


@linear
def maximum_with_its_opposite(draw, rng):
    return lambda x: F.maximum(x, -0.5 * x), draw(shapes)


@linear
def absolute_value(draw, rng):
    return F.abs, draw(shapes)


@linear
def relu(draw, rng):
    return F.relu, draw(shapes)


@linear
def leaky_relu(draw, rng):
    return F.leaky_relu, draw(shapes)


# ----------------------------------------------------------------------------------------- losses


@linear
def nll_loss(draw, rng):
    classes, places = draw(st.integers(2, 4)), draw(st.lists(lengths, min_size=1, max_size=3))
    target = rng.integers(0, classes, places)
    target.flat[1::3] = -100
    weight = mt.tensor(1 + np.abs(normal(rng, classes)))
    reduction = draw(st.sampled_from(["none", "mean", "sum"]))
    target = mt.tensor(target)
    operation = partial(F.nll_loss, target=target, weight=weight, reduction=reduction)
    return operation, (places[0], classes, *places[1:])


@linear
def batch_norm_without_a_shift_in_evaluation(draw, rng):
    shape = (2, draw(lengths), *draw(st.lists(lengths, max_size=2)))
    mean, var = mt.tensor(np.zeros(shape[1])), mt.tensor(1 + np.abs(normal(rng, shape[1])))
    weight = constant(rng, shape[1])
    return lambda x: F.batch_norm(x, mean, var, weight), shape


# -------------------------------------------------------------------------------------- the tests


def inner(a, b):
    """⟨a, b⟩ = Σ a·b of two tensors, as a Python number."""
    return float((a.detach().numpy() * b.detach().numpy()).sum())


def rounding(a, b):
    """By how much ⟨a, b⟩ may be off: 1e-12 ‖a‖ ‖b‖."""
    return 1e-12 * np.sqrt(inner(a, a) * inner(b, b)) + 1e-300


def check_adjoint(case, draw, rng):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩ and (Aᵀ)ᵀ x = A x, for a random y, in either order of memory."""
    operation, shape = case(draw, rng)
    order = draw(st.sampled_from([np.copy, batch_last]))
    x = mt.tensor(order(spread(rng, *shape)), requires_grad=True)
    ax = operation(x)
    assert ax.numel() > 0, "an empty result would prove nothing"
    y = mt.tensor(order(normal(rng, *ax.shape)), requires_grad=True)
    (aty,) = mt.grad(ax, x, grad_outputs=y, create_graph=True)
    assert abs(inner(ax, y) - inner(x, aty)) <= rounding(ax, y) + rounding(x, aty)
    (attx,) = mt.grad(aty, y, grad_outputs=x.detach())
    np.testing.assert_allclose(attx.numpy(), ax.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name not in CONVOLUTIONS])
@examples
@given(data=st.data(), rng=rngs)
def test_adjoint(backend, name, data, rng):
    check_adjoint(CASES[name], data.draw, rng)


# Long rows, large pictures and much work take other ways through the kernels: take all of them.
ways = pytest.mark.parametrize("way", WAYS)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@ways
@many
@given(data=st.data(), rng=rngs)
def test_adjoint_of_convolutions(backend, way, name, data, rng):
    with convolving(way):
        check_adjoint(CASES[name], data.draw, rng)


@ways
@many
@given(data=st.data(), rng=rngs)
def test_both_gradients_of_a_convolution_at_once(backend, way, data, rng):
    """⟨C(x, w), y⟩ = ⟨x, dx⟩ = ⟨w, dw⟩: asked for together, they come from one kernel."""
    with convolving(way):
        input_shape, weight_shape, options = draw_conv2d(data.draw)
        x = mt.tensor(normal(rng, *input_shape), requires_grad=True)
        w = mt.tensor(normal(rng, *weight_shape), requires_grad=True)
        c = F.conv2d(x, w, **options)
        y = mt.tensor(normal(rng, *c.shape))
        dx, dw = mt.grad(c, [x, w], grad_outputs=y, retain_graph=True)
        assert abs(inner(c, y) - inner(x, dx)) <= rounding(c, y) + rounding(x, dx)
        assert abs(inner(c, y) - inner(w, dw)) <= rounding(c, y) + rounding(w, dw)
        for alone, together in ((x, dx), (w, dw)):
            (expected,) = mt.grad(c, alone, grad_outputs=y, retain_graph=True)
            np.testing.assert_allclose(together.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)
