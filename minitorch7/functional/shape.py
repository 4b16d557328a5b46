"""Functions that rearrange elements without changing them.

Each is a permutation or a copy of elements, so each one's gradient is another of them: what was cut
is put back, what was stacked is cut, what was repeated is added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from .. import backend
from ..autograd import Function, Tensor
from ..kernels.windows import batch_first
from ._arguments import axes_of, axis_of, cast, check_integer, check_tensor, common_dtype
from .broadcasting import broadcast_to
from .lookup import IndexSelect, index

# ----------------------------------------------------------------------------- the same elements


class Reshape(Function):
    """y = x in another shape;  dx = dy in the old one"""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, xp, x):
        self.source = x.shape
        if min(x.ndim, len(self.shape)) > 1 and self.shape[0] == x.shape[0]:
            if x.strides[0] == x.itemsize:  # batch-last memory (``kernels/windows.py``) stays so
                last = x.transpose(*range(1, x.ndim), 0)
                return batch_first(last.reshape(*self.shape[1:], x.shape[0]))
        return x.reshape(self.shape)

    def backward(self, grad):
        return Reshape(self.source)(grad)


class Permute(Function):
    """y = x with its axes in another order;  dx = dy with the order undone"""

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, xp, x):
        return xp.transpose(x, self.axes)

    def backward(self, grad):
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return Permute(tuple(inverse))(grad)


class Flip(Function):
    """y = x in reverse order along the axes;  dx = dy reversed"""

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, xp, x):
        return xp.flip(x, self.axes)

    def backward(self, grad):
        return Flip(self.axes)(grad)


def _shape_argument(function: str, shape: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3) from ``f(x, 2, 3)`` as well as from ``f(x, (2, 3))``."""
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    return tuple(check_integer(function, f"each number of {shape!r}", n) for n in shape)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements, in the same order, in another shape; one length may be −1."""
    t = check_tensor("reshape", "input", input)
    wanted = _shape_argument("reshape", shape)
    count = 1
    for n in wanted:
        count *= n if n != -1 else 1
    unknown = wanted.count(-1)
    fits = count > 0 and t.numel() % count == 0 if unknown else count == t.numel()
    if unknown > 1 or min(wanted, default=0) < -1 or not fits:
        raise ValueError(
            f"reshape: {t.shape} has {t.numel()} elements and cannot take the shape {wanted} "
            "(at most one length may be -1, and the product must agree)"
        )
    return Reshape(wanted)(t)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim, both included, made one."""
    t = check_tensor("flatten", "input", input)
    if t.ndim == 0:
        return reshape(t, 1)
    first, last = axis_of("flatten", start_dim, t.ndim), axis_of("flatten", end_dim, t.ndim)
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    length = 1
    for n in t.shape[first : last + 1]:
        length *= n
    return Reshape(t.shape[:first] + (length,) + t.shape[last + 1 :])(t)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The axes in the order `dims`; a view, no copy."""
    t = check_tensor("permute", "input", input)
    axes = axes_of("permute", _shape_argument("permute", dims), t.ndim)
    if len(axes) != t.ndim:
        raise ValueError(f"permute: dims {dims} must name each of the {t.ndim} axes once")
    return Permute(axes)(t)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes dim0 and dim1 exchanged; a view, no copy."""
    t = check_tensor("transpose", "input", input)
    a, b = axis_of("transpose", dim0, t.ndim), axis_of("transpose", dim1, t.ndim)
    axes = list(range(t.ndim))
    if t.ndim:
        axes[a], axes[b] = b, a
    return Permute(tuple(axes))(t)


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of length 1, or without those of `dim` that have length 1."""
    t = check_tensor("squeeze", "input", input)
    axes = () if dim == () else axes_of("squeeze", dim, t.ndim)
    return Reshape(tuple(n for i, n in enumerate(t.shape) if not (i in axes and n == 1)))(t)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of length 1 at `dim`."""
    t = check_tensor("unsqueeze", "input", input)
    axis = axis_of("unsqueeze", dim, t.ndim + 1)
    return Reshape(t.shape[:axis] + (1,) + t.shape[axis:])(t)


def flip(input: Tensor, *dims: Any) -> Tensor:
    """In reverse order along each of `dims`."""
    t = check_tensor("flip", "input", input)
    wanted = _shape_argument("flip", dims)
    return Flip(axes_of("flip", wanted, t.ndim) if wanted else ())(t)


# --------------------------------------------------------------------------- more of the elements


def expand(input: Tensor, *shape: Any) -> Tensor:
    """Axes of length 1 stretched to `shape` without copying; −1 keeps a length."""
    t = check_tensor("expand", "input", input)
    wanted = _shape_argument("expand", shape)
    lead = len(wanted) - t.ndim
    if lead < 0 or any(n == -1 for n in wanted[:lead]):
        raise ValueError(f"expand: {t.shape} cannot be expanded to {wanted}")
    full = tuple(t.shape[i - lead] if n == -1 else n for i, n in enumerate(wanted))
    for n, stretched in zip(t.shape, full[lead:], strict=True):
        if n not in (1, stretched) or stretched < 0:
            raise ValueError(
                f"expand: {t.shape} cannot be expanded to {wanted}: only axes of length 1 stretch"
            )
    return broadcast_to(t, full)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Laid out side by side, `repeats` times along each axis (more axes may be added in front)."""
    t = check_tensor("repeat", "input", input)
    times = _shape_argument("repeat", repeats)
    if len(times) < t.ndim or min(times, default=0) < 0:
        raise ValueError(
            f"repeat: {times} must give a count of at least 0 for each of the {t.ndim} axes "
            f"of shape {t.shape}"
        )
    shape = (1,) * (len(times) - t.ndim) + t.shape
    alternating = tuple(v for n in shape for v in (1, n))  # (1, n₀, 1, n₁, …)
    stretched = tuple(v for r, n in zip(times, shape, strict=True) for v in (r, n))
    tiled = broadcast_to(reshape(t, alternating), stretched)
    return reshape(tiled, tuple(r * n for r, n in zip(times, shape, strict=True)))


# ------------------------------------------------------------------------------- joining, cutting


class Cat(Function):
    """y = the inputs one after another along an axis;  each dx = its stretch of dy"""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, xp, *arrays):
        self.lengths = [a.shape[self.axis] for a in arrays]
        return xp.concatenate(arrays, axis=self.axis)

    def backward(self, grad):
        grads, start = [], 0
        for needed, length in zip(self.needs_input_grad, self.lengths, strict=True):
            grads.append(narrow(grad, self.axis, start, length) if needed else None)
            start += length
        return grads


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after another along `dim`; all other lengths must agree."""
    tensors = _tensor_list("cat", tensors)
    first = next((t.shape for t in tensors if t.shape != (0,)), tensors[0].shape)
    axis = axis_of("cat", dim, len(first))
    nothing = first[:axis] + (0,) + first[axis + 1 :]
    # PyTorch lets tensors of shape (0,) stand for nothing, whatever the others' axes
    tensors = [reshape(t, nothing) if t.shape == (0,) else t for t in tensors]
    for i, t in enumerate(tensors):
        others = t.shape[:axis] + t.shape[axis + 1 :]
        if t.ndim != len(first) or others != first[:axis] + first[axis + 1 :]:
            raise ValueError(
                f"cat: tensor {i} has shape {t.shape} and tensor 0 has {first}; "
                f"all lengths but that of dim {dim} must agree"
            )
    return Cat(axis)(*tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, side by side along a new axis `dim`."""
    tensors = _tensor_list("stack", tensors)
    for i, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            raise ValueError(
                f"stack: tensor {i} has shape {t.shape} and tensor 0 has {tensors[0].shape}; "
                "all shapes must agree"
            )
    axis = axis_of("stack", dim, tensors[0].ndim + 1)
    return Cat(axis)(*[unsqueeze(t, axis) for t in tensors])


def _tensor_list(function: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors as a list in one dtype."""
    if not isinstance(tensors, tuple | list):
        what = type(tensors).__name__
        raise TypeError(f"{function}: needs a list or tuple of tensors, got {what}")
    tensors = [check_tensor(function, f"tensors[{i}]", t) for i, t in enumerate(tensors)]
    if not tensors:
        raise ValueError(f"{function}: needs at least one tensor")
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = common_dtype(cast(tensors[0], dtype), t) if t.dtype != dtype else dtype
    return [cast(t, dtype) for t in tensors]


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The `length` elements from `start` on along `dim`; a view."""
    t = check_tensor("narrow", "input", input)
    axis = axis_of("narrow", dim, t.ndim)
    start = check_integer("narrow", "start", start)
    length = check_integer("narrow", "length", length)
    if not 0 <= start <= start + length <= t.shape[axis]:
        raise ValueError(
            f"narrow: {start} to {start + length} is outside 0 to {t.shape[axis]} (dim {dim})"
        )
    return index(t, (slice(None),) * axis + (slice(start, start + length),))


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """Pieces of the given length along `dim` (the last may be shorter), or of the given lengths."""
    t = check_tensor("split", "tensor", tensor)
    n = t.shape[axis_of("split", dim, t.ndim)]
    if isinstance(split_size_or_sections, Integral):
        size = int(split_size_or_sections)
        if size <= 0:
            raise ValueError(f"split: the size of a piece must be positive, got {size}")
        lengths = [min(size, n - start) for start in range(0, n, size)] or [0]
    else:
        if not isinstance(split_size_or_sections, Sequence):
            check_integer("split", "split_size_or_sections", split_size_or_sections)
        given = split_size_or_sections
        lengths = [check_integer("split", f"each length of {given}", k, 0) for k in given]
        if sum(lengths) != n:
            raise ValueError(f"split: lengths {lengths} must add up to {n}, the length of {dim=}")
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    return tuple(narrow(t, dim, s, k) for s, k in zip(starts, lengths, strict=True))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal length along `dim`; the last may be shorter."""
    t = check_tensor("chunk", "input", input)
    check_integer("chunk", "chunks", chunks, 1)
    n = t.shape[axis_of("chunk", dim, t.ndim)]
    if n == 0:
        return tuple(narrow(t, dim, 0, 0) for _ in range(chunks))
    return split(t, max(1, -(-n // chunks)), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without that axis."""
    t = check_tensor("unbind", "input", input)
    axis = axis_of("unbind", dim, t.ndim)
    return tuple(index(t, (slice(None),) * axis + (i,)) for i in range(t.shape[axis]))


# --------------------------------------------------------------------------------------- padding


class Pad(Function):
    """y = x with `value` around it;  dx = the inner part of dy"""

    def __init__(self, widths: list[tuple[int, int]], value: float) -> None:
        self.widths, self.value = widths, value

    def forward(self, xp, x):
        shape = [n + a + b for n, (a, b) in zip(x.shape, self.widths, strict=True)]
        y = xp.full(shape, self.value, dtype=x.dtype)
        y[inner_part(self.widths, y.shape)] = x
        return y

    def backward(self, grad):
        return index(grad, inner_part(self.widths, grad.shape))


def inner_part(widths: list[tuple[int, int]], shape: Sequence[int]) -> tuple[slice, ...]:
    """The slices that cut `widths` off the ends of each axis of `shape`."""
    return tuple(slice(a, n - b) for n, (a, b) in zip(shape, widths, strict=True))


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """`input` with more elements around it.

    pad     (left, right, top, bottom, …): the last axis first, as in PyTorch; negative widths crop
    mode    'constant' (filled with `value`, default 0), 'reflect' (mirrored without repeating the
            edge) or 'replicate' (the edge repeated)
    """
    t = check_tensor("pad", "input", input)
    widths = _pad_widths(t, pad)
    if mode == "constant":
        cropped = [(min(a, 0), min(b, 0)) for a, b in widths]
        t = index(t, inner_part([(-a, -b) for a, b in cropped], t.shape))
        grown = [(max(a, 0), max(b, 0)) for a, b in widths]
        return Pad(grown, 0 if value is None else value)(t)
    if mode not in ("reflect", "replicate"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect' or 'replicate', got {mode!r}")
    if value is not None:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value!r}")
    for axis, (before, after) in enumerate(widths):
        if before or after:
            places = _mirrored if mode == "reflect" else _held
            at = places(t.shape[axis], max(before, 0), max(after, 0))
            at = at[max(-before, 0) : len(at) - max(-after, 0)]  # negative widths crop
            t = IndexSelect(axis, backend.library(t.backend).asarray(at))(t)
    return t


def _pad_widths(t: Tensor, pad: Sequence[int]) -> list[tuple[int, int]]:
    """One (before, after) for each axis, the first axis first."""
    if not isinstance(pad, Sequence):
        raise TypeError(f"pad: widths must be a list such as (left, right), got {pad!r}")
    pad = _shape_argument("pad", tuple(pad))
    if len(pad) % 2 or len(pad) > 2 * t.ndim:
        raise ValueError(
            f"pad: {pad} must hold two widths for each padded axis, at most {t.ndim} axes "
            f"for shape {t.shape}"
        )
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (t.ndim - len(pairs)) + pairs
    for n, (a, b) in zip(t.shape, widths, strict=True):
        if n + a + b < 0:
            raise ValueError(f"pad: widths {(a, b)} crop more than the length {n} of an axis")
    return widths


def _mirrored(n: int, before: int, after: int) -> list[int]:
    if max(before, after) >= n:
        raise ValueError(
            f"pad: reflect needs widths of at most {n - 1} on an axis of length {n}, "
            f"got {(before, after)}"
        )
    return [*range(before, 0, -1), *range(n), *range(n - 2, n - 2 - after, -1)]


def _held(n: int, before: int, after: int) -> list[int]:
    if n == 0 and (before or after):
        raise ValueError(
            f"pad: replicate has no edge to repeat on an axis of length 0, got {(before, after)}"
        )
    return [0] * before + [*range(n)] + [n - 1] * after
