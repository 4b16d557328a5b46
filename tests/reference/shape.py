"""Moving elements about: each output element is one input element, or a constant."""

import numpy as np


def pad(input, pad, mode="constant", value=0.0):
    """y[i] = x[i - before], where i - before lies in x; otherwise what `mode` says

    pad lists (before, after) from the last axis backwards: (left, right, top, bottom, ...).
    constant: value. reflect: the mirror image, the edge not repeated (x₂ x₁ | x₀ x₁ x₂).
    replicate: the edge (x₀ x₀ | x₀ x₁). In constant mode a negative amount cuts elements away.
    """
    before, after = [0] * input.ndim, [0] * input.ndim
    for k in range(len(pad) // 2):
        before[-1 - k], after[-1 - k] = pad[2 * k], pad[2 * k + 1]
    shape = [b + n + a for b, n, a in zip(before, input.shape, after, strict=True)]
    y = np.zeros(shape, input.dtype)
    for place in np.ndindex(y.shape):
        source = []
        for at, start, length in zip(place, before, input.shape, strict=True):
            source.append(_source(at - start, length, mode))
        y[place] = value if None in source else input[tuple(source)]
    return y


def _source(at, length, mode):
    """The index within 0..length-1 that stands for `at`, or None where a constant does."""
    if 0 <= at < length:
        return at
    if mode == "constant":
        return None
    if mode == "replicate":
        return 0 if at < 0 else length - 1
    return -at if at < 0 else 2 * (length - 1) - at  # reflect


def flip(input, dims):
    """y[..., i, ...] = x[..., n - 1 - i, ...] on each axis of dims"""
    dims = [d % input.ndim for d in dims]
    y = np.zeros_like(input)
    for place in np.ndindex(input.shape):
        source = tuple(
            input.shape[axis] - 1 - at if axis in dims else at for axis, at in enumerate(place)
        )
        y[place] = input[source]
    return y


def permute(input, dims):
    """y[i[dims[0]], i[dims[1]], ...] = x[i]"""
    y = np.zeros([input.shape[d] for d in dims], input.dtype)
    for place in np.ndindex(input.shape):
        y[tuple(place[d] for d in dims)] = input[place]
    return y


def transpose(input, dim0, dim1):
    """y = x with the axes dim0 and dim1 exchanged"""
    dims = list(range(input.ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(input, dims)


def expand(input, shape):
    """y[..., i, ...] = x[..., i or 0, ...]: axes of size 1, and new ones in front, are repeated

    -1 keeps an axis as it is.
    """
    new = len(shape) - input.ndim
    sizes = [input.shape[a - new] if size == -1 else size for a, size in enumerate(shape)]
    y = np.zeros(sizes, input.dtype)
    for place in np.ndindex(y.shape):
        source = (0 if n == 1 else at for at, n in zip(place[new:], input.shape, strict=True))
        y[place] = input[tuple(source)]
    return y


def sum_to(input, shape):
    """y[i or 0, ...] += x[..., i, ...]: expand's transpose, from x's shape back to `shape`"""
    new = input.ndim - len(shape)
    y = np.zeros(shape, input.dtype)
    for place in np.ndindex(input.shape):
        y[tuple(0 if n == 1 else at for at, n in zip(place[new:], shape, strict=True))] += input[
            place
        ]
    return y


def repeat(input, sizes):
    """y[i, j, ...] = x[i mod n, j mod m, ...]: the whole array laid out sizes[axis] times"""
    x = input.reshape((1,) * (len(sizes) - input.ndim) + input.shape)
    y = np.zeros([n * times for n, times in zip(x.shape, sizes, strict=True)], input.dtype)
    for place in np.ndindex(y.shape):
        y[place] = x[tuple(at % n for at, n in zip(place, x.shape, strict=True))]
    return y


def cat(tensors, dim=0):
    """The arrays one after another on the axis `dim`"""
    dim %= tensors[0].ndim
    shape = list(tensors[0].shape)
    shape[dim] = sum(t.shape[dim] for t in tensors)
    y = np.zeros(shape, np.result_type(*tensors))
    start = 0
    for t in tensors:
        for place in np.ndindex(t.shape):
            y[place[:dim] + (start + place[dim],) + place[dim + 1 :]] = t[place]
        start += t.shape[dim]
    return y


def stack(tensors, dim=0):
    """y[..., k, ...] = the k-th array, on a new axis `dim`"""
    dim %= tensors[0].ndim + 1
    shape = list(tensors[0].shape)
    shape.insert(dim, len(tensors))
    y = np.zeros(shape, np.result_type(*tensors))
    for place in np.ndindex(y.shape):
        y[place] = tensors[place[dim]][place[:dim] + place[dim + 1 :]]
    return y
