"""Convolution, transposed convolution, and the windows under them.

Three operations differentiate into one another. Write C(x, w) for the convolution; it is linear in
x and in w, so it has two adjoints: I(g, w), which is the transposed convolution, and W(x, g):

    ⟨g, C(x, w)⟩ = ⟨I(g, w), x⟩ = ⟨W(x, g), w⟩

Differentiating any of the three with respect to either argument gives another of the three, so
gradients of every order are written below, and nowhere else:

                first argument      second argument
    C(x, w)     I(dy, w)            W(x, dy)
    I(g, w)     C(dy, w)            W(dy, g)
    W(x, g)     I(g, dw)            C(x, dw)
"""

from __future__ import annotations

from typing import Any

from ..autograd import Function, Tensor
from ..kernels import columns, windows
from ..kernels import convolution as kernel
from ..kernels.windows import Window
from ._arguments import check_float, check_integer, check_same_dtype, check_tensor, pair
from .reductions import sum
from .shape import pad


class Conv2d(Function):
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n,c, i·s+u·d−p, j·s+v·d−p] · w[o,c,u,v]

    x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None → y (N, O, oh, ow)
    (Dumoulin & Visin 2016, §2)
    """

    def __init__(self, window: Window, groups: int = 1, places: Any = None) -> None:
        self.window, self.groups, self.places = window, groups, places

    def forward(self, xp, x, w, b):
        self.save(x, w)
        return kernel.conv2d(xp, x, w, b, self.window, self.groups, self.places)

    def backward(self, grad):
        x, w = self.saved
        need_x, need_w, need_b = self.needs_input_grad
        dx = dw = None
        if need_x and need_w:
            dx, dw = Conv2dGrads(self.window, self.groups, self.may_be_late[1])(grad, x, w)
        elif need_x:
            dx = Conv2dInputGrad(x.shape[2:], self.window, self.groups)(grad, w, None)
        elif need_w:
            dw = Conv2dWeightGrad(self.window, self.groups, self.may_be_late[1])(x, grad)
        return dx, dw, sum(grad, (0, 2, 3)) if need_b else None


class Conv2dInputGrad(Function):
    """I(g, w): x[n,c, i·s+u·d−p, j·s+v·d−p] = b[c] + Σ_{o,i,j,u,v} g[n,o,i,j] · w[o,c,u,v]

    The transposed convolution: g (N, O, oh, ow), w (O, C/groups, kh, kw) → (N, C, *size).
    """

    def __init__(self, size: tuple[int, int], window: Window, groups: int = 1) -> None:
        self.size, self.window, self.groups = tuple(size), window, groups

    def forward(self, xp, g, w, b):
        self.save(g, w)
        x = kernel.conv2d_input_grad(xp, g, w, self.size, self.window, self.groups)
        return x if b is None else x + b.reshape(-1, 1, 1)

    def backward(self, grad):
        g, w = self.saved
        need_g, need_w, need_b = self.needs_input_grad
        to_w = Conv2dWeightGrad(self.window, self.groups, self.may_be_late[1])
        return (
            Conv2d(self.window, self.groups, g.shape[2:])(grad, w, None) if need_g else None,
            to_w(grad, g) if need_w else None,
            sum(grad, (0, 2, 3)) if need_b else None,
        )


class Conv2dWeightGrad(Function):
    """W(x, g): w[o,c,u,v] = Σ_{n,i,j} x[n,c, i·s+u·d−p, j·s+v·d−p] · g[n,o,i,j]

    late  another thread may compute it while this one goes on (see ``kernels.threads.later``)
    """

    def __init__(self, window: Window, groups: int = 1, late: bool = False) -> None:
        self.window, self.groups, self.late = window, groups, late

    def forward(self, xp, x, g):
        self.save(x, g)
        return kernel.conv2d_weight_grad(xp, x, g, self.window, self.groups, self.late)

    def backward(self, grad):
        x, g = self.saved
        need_x, need_g = self.needs_input_grad
        dx = Conv2dInputGrad(x.shape[2:], self.window, self.groups)
        return (
            dx(g, grad, None) if need_x else None,
            Conv2d(self.window, self.groups, g.shape[2:])(x, grad, None) if need_g else None,
        )


class Conv2dGrads(Function):
    """(I(g, w), W(x, g)) at once: what a training step needs, from one set of columns.

    late  another thread may compute the second while this one goes on
    """

    def __init__(self, window: Window, groups: int = 1, late: bool = False) -> None:
        self.window, self.groups, self.late = window, groups, late

    def forward(self, xp, g, x, w):
        self.save(g, x, w)
        return kernel.conv2d_grads(xp, g, x, w, self.window, self.groups, self.late)

    def backward(self, grad_dx, grad_dw):
        g, x, w = self.saved
        need_g, need_x, need_w = self.needs_input_grad
        conv = Conv2d(self.window, self.groups, g.shape[2:])
        conv_too = Conv2d(self.window, self.groups, g.shape[2:])
        to_x = Conv2dInputGrad(x.shape[2:], self.window, self.groups)
        to_w = Conv2dWeightGrad(self.window, self.groups)
        return (
            conv(grad_dx, w, None) + conv_too(x, grad_dw, None) if need_g else None,
            to_x(g, grad_dw, None) if need_x else None,
            to_w(grad_dx, g) if need_w else None,
        )


# --------------------------------------------------------------------------------------- functions


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of pictures with a bank of filters.

    input   (N, C, H, W), or one picture (C, H, W)
    weight  (O, C/groups, kh, kw)
    bias    (O,) or None
    stride, dilation: int or (rows, columns); padding: the same, or 'valid' or 'same' (stride 1)
    →       (N, O, oh, ow),  oh = ⌊(H + 2p − d(kh−1) − 1)/s⌋ + 1

    Raises ValueError where channels, groups, bias or sizes do not fit, TypeError for dtypes.
    """
    x, w, bias = _checked("conv2d", input, weight, bias, groups, axes=2)
    return _conv2d("conv2d", x, w, bias, stride, padding, dilation, groups)


def _conv2d(
    function: str,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    kernel_size = w.shape[2:]
    if x.shape[-3] != w.shape[1] * groups:
        raise ValueError(
            f"{function}: input has {x.shape[-3]} channels but weight expects "
            f"{w.shape[1] * groups} (input {x.shape}, weight {w.shape}, groups {groups})"
        )
    if w.shape[0] % groups:
        raise ValueError(f"{function}: out_channels (={w.shape[0]}) must be divisible by {groups=}")
    _check_bias(function, bias, w.shape[0])
    x, padding = _same_padding(function, x, padding, kernel_size, stride, dilation)
    window = _window(function, kernel_size, stride, padding, dilation)
    if min(window.output_size(x.shape[-2:])) <= 0:
        raise ValueError(
            f"{function}: the window (kernel {tuple(kernel_size)}, dilation {window.dilation}) is "
            f"larger than the padded input (size {x.shape[-2:]}, padding {window.padding})"
        )
    batched = x if x.ndim == 4 else x.unsqueeze(0)
    y = Conv2d(window, groups)(batched, w, bias)
    return y if x.ndim == 4 else y.squeeze(0)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of `conv2d`: each input element lays down a scaled copy of its filter.

    input   (N, C, H, W) or (C, H, W);  weight (C, O/groups, kh, kw): note the order
    →       (N, O, oh, ow),  oh = (H − 1)s − 2p + d(kh − 1) + output_padding + 1

    `output_padding` chooses among the sizes that a strided convolution maps to H; it must be
    smaller than the stride or the dilation. (Dumoulin & Visin 2016, §4)
    """
    x, w, bias = _checked("conv_transpose2d", input, weight, bias, groups, axes=2)
    padding = pair("conv_transpose2d", "padding", padding)
    window = _window("conv_transpose2d", w.shape[2:], stride, padding, dilation)
    extra = pair("conv_transpose2d", "output_padding", output_padding)
    if x.shape[-3] != w.shape[0] or w.shape[0] % groups:
        raise ValueError(
            f"conv_transpose2d: input has {x.shape[-3]} channels but weight expects {w.shape[0]}, "
            f"a multiple of groups (input {x.shape}, weight {w.shape}, groups {groups})"
        )
    for e, s, d in zip(extra, window.stride, window.dilation, strict=True):
        if e >= max(s, d):
            raise ValueError(
                f"conv_transpose2d: output_padding {extra} must be smaller than the stride "
                f"{window.stride} or the dilation {window.dilation}"
            )
    _check_bias("conv_transpose2d", bias, w.shape[1] * groups)
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, k, s, p, d, e in zip(x.shape[-2:], *window, extra, strict=True)
    )
    if min(size) <= 0:
        raise ValueError(
            f"conv_transpose2d: the output would have size {size} (input {x.shape}, {window})"
        )
    batched = x if x.ndim == 4 else x.unsqueeze(0)
    y = Conv2dInputGrad(size, window, groups)(batched, w, bias)
    return y if x.ndim == 4 else y.squeeze(0)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: Any = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of sequences: `conv2d` with a single row.

    input (N, C, L) or (C, L), weight (O, C/groups, k) → (N, O, length)
    """
    x, w, bias = _checked("conv1d", input, weight, bias, groups, axes=1)
    stride = (1, _one("conv1d", "stride", stride, 1))
    dilation = (1, _one("conv1d", "dilation", dilation, 1))
    if not isinstance(padding, str):
        padding = (0, _one("conv1d", "padding", padding, 0))
    y = _conv2d("conv1d", x.unsqueeze(-2), w.unsqueeze(-2), bias, stride, padding, dilation, groups)
    return y.squeeze(-2)


def _one(function: str, name: str, value: Any, least: int) -> int:
    """An int, or a tuple or list of one."""
    if isinstance(value, tuple | list):
        if len(value) != 1:
            raise TypeError(f"{function}: {name} must be an integer, got {value!r}")
        value = value[0]
    return check_integer(function, name, value, least)


def _checked(
    function: str, input: Any, weight: Any, bias: Any, groups: int, axes: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    x, w = check_float(function, "input", input), check_float(function, "weight", weight)
    bias = None if bias is None else check_tensor(function, "bias", bias)
    check_same_dtype(function, x, weight=w, bias=bias)
    places = "H, W" if axes == 2 else "L"
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"{function}: input must be (N, C, {places}) or (C, {places}), got shape {x.shape}"
        )
    if w.ndim != axes + 2:
        raise ValueError(f"{function}: weight must have {axes + 2} axes, got shape {w.shape}")
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{function}: groups must be an integer of at least 1, got {groups!r}")
    return x, w, bias


def _check_bias(function: str, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"{function}: bias must have shape ({channels},), got {bias.shape}")


def _window(function: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Window:
    return Window(
        pair(function, "kernel_size", tuple(kernel_size), least=1),
        pair(function, "stride", stride, least=1),
        pair(function, "padding", padding),
        pair(function, "dilation", dilation, least=1),
    )


def _same_padding(
    function: str, x: Tensor, padding: Any, kernel_size: Any, stride: Any, dilation: Any
) -> tuple[Tensor, Any]:
    """(x, padding) with the words 'valid' and 'same' turned into numbers.

    'same' needs d(k−1) more elements each way; an odd one goes to the far side, by padding x first.
    """
    if not isinstance(padding, str):
        return x, padding
    if padding == "valid":
        return x, 0
    if padding != "same":
        raise ValueError(
            f"{function}: padding must be a number, 'valid' or 'same', got {padding!r}"
        )
    d, s = pair(function, "dilation", dilation), pair(function, "stride", stride)
    if s != (1, 1):
        raise ValueError(f"{function}: padding='same' needs stride 1, got stride {s}")
    total = [step * (k - 1) for step, k in zip(d, kernel_size, strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, (0, total[1] % 2, 0, total[0] % 2))
    return x, tuple(t // 2 for t in total)


# ------------------------------------------------------------------------- the columns themselves


class Unfold(Function):
    """(N, C, H, W) → (N, C·kh·kw, L): im2col, one column a place;  dx = Fold of dy"""

    def __init__(self, window: Window) -> None:
        self.window = window

    def forward(self, xp, x):
        self.size = x.shape[2:]
        col = columns.im2col(xp, windows.batch_last(xp, x), self.window)
        rows = x.shape[1] * self.window.kernel[0] * self.window.kernel[1]
        return windows.batch_first(col.reshape(rows, col.shape[3] * col.shape[4], x.shape[0]))

    def backward(self, grad):
        return Fold(self.size, self.window)(grad)


class Fold(Function):
    """(N, C·kh·kw, L) → (N, C, H, W): each column added back to its window;  dx = Unfold of dy"""

    def __init__(self, size: tuple[int, int], window: Window) -> None:
        self.size, self.window = size, window

    def forward(self, xp, x):
        oh, ow = self.window.output_size(self.size)
        last = windows.batch_last(xp, x)
        channels = x.shape[1] // (self.window.kernel[0] * self.window.kernel[1])
        col = last.reshape(channels, *self.window.kernel, oh, ow, x.shape[0])
        onto = xp.zeros((channels, *self.size, x.shape[0]), dtype=x.dtype)
        columns.col2im(xp, col, self.window, range(oh), onto)
        return windows.batch_first(onto)

    def backward(self, grad):
        return Unfold(self.window)(grad)


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Every window of `input` (N, C, H, W) as a column: (N, C·kh·kw, number of places)."""
    x = check_float("unfold", "input", input)
    window = _window(
        "unfold", pair("unfold", "kernel_size", kernel_size), stride, padding, dilation
    )
    if x.ndim not in (3, 4) or min(window.output_size(x.shape[-2:])) <= 0:
        raise ValueError(f"unfold: {window} does not fit an input of shape {x.shape}")
    y = Unfold(window)(x if x.ndim == 4 else x.unsqueeze(0))
    return y if x.ndim == 4 else y.squeeze(0)


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns (N, C·kh·kw, L) added back to their windows of a picture (N, C, *output_size).

    The adjoint of `unfold`, not its inverse: what several windows share is added up.
    """
    x = check_float("fold", "input", input)
    window = _window("fold", pair("fold", "kernel_size", kernel_size), stride, padding, dilation)
    size = pair("fold", "output_size", output_size, least=1)
    oh, ow = window.output_size(size)
    taps = window.kernel[0] * window.kernel[1]
    if x.ndim not in (2, 3) or x.shape[-1] != oh * ow or x.shape[-2] % taps:
        raise ValueError(
            f"fold: an output of size {size} with {window} has {oh * ow} places and needs input "
            f"(N, a multiple of {taps}, {oh * ow}), got {x.shape}"
        )
    y = Fold(size, window)(x if x.ndim == 3 else x.unsqueeze(0))
    return y if x.ndim == 3 else y.squeeze(0)
