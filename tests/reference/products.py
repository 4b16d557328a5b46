"""Sums of products: matrices, batches of them, and any letters at all."""

import numpy as np


def outer(input, vec2):
    """y[i,j] = a[i] · b[j]; a (n,), b (m,) → y (n, m)"""
    y = np.zeros((len(input), len(vec2)), input.dtype)
    for i, j in np.ndindex(y.shape):
        y[i, j] = input[i] * vec2[j]
    return y


def mm(input, mat2):
    """y[i,j] = Σ_k a[i,k] · b[k,j]; a (n, k), b (k, m) → y (n, m)"""
    y = np.zeros((input.shape[0], mat2.shape[1]), input.dtype)
    for i, j in np.ndindex(y.shape):
        for k in range(input.shape[1]):
            y[i, j] += input[i, k] * mat2[k, j]
    return y


def bmm(input, mat2):
    """y[n] = a[n] b[n]; a (N, n, k), b (N, k, m) → y (N, n, m)"""
    y = np.zeros((input.shape[0], input.shape[1], mat2.shape[2]), input.dtype)
    for n in range(len(input)):
        y[n] = mm(input[n], mat2[n])
    return y


def matmul(input, other):
    """Matrix products over the last two axes; the axes before them are broadcast

    A vector on the left is a row, one on the right a column, and the axis added so is dropped.
    """
    a = input[None, :] if input.ndim == 1 else input
    b = other[:, None] if other.ndim == 1 else other
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, batch + a.shape[-2:])
    b = np.broadcast_to(b, batch + b.shape[-2:])
    y = np.zeros(batch + (a.shape[-2], b.shape[-1]), np.result_type(input, other))
    for place in np.ndindex(batch):
        y[place] = mm(a[place], b[place])
    if other.ndim == 1:
        y = y[..., 0]
    if input.ndim == 1:
        y = y[..., 0, :] if other.ndim > 1 else y[..., 0]
    return y


def linear(input, weight, bias=None):
    """y[..., o] = Σ_i x[..., i] · w[o,i] + b[o]; x (..., I), w (O, I), b (O,) → y (..., O)"""
    y = np.zeros(input.shape[:-1] + (len(weight),), input.dtype)
    for place in np.ndindex(input.shape[:-1]):
        for o in range(len(weight)):
            total = 0.0 if bias is None else bias[o]
            for i in range(input.shape[-1]):
                total += input[place][i] * weight[o, i]
            y[place][o] = total
    return y


def einsum(equation, *operands):
    """y[output letters] = Σ over all other letters of the product of the operands

    einsum("nij,njk->nik", a, b) is bmm. Without "->" the output has the letters that occur once,
    in alphabetical order.
    """
    left, arrow, output = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    letters = sorted(set(left) - {","})
    if not arrow:
        output = "".join(letter for letter in letters if left.count(letter) == 1)
    sizes = {}
    for names, operand in zip(inputs, operands, strict=True):
        sizes.update(zip(names, operand.shape, strict=True))
    y = np.zeros([sizes[letter] for letter in output], np.result_type(*operands))
    for place in np.ndindex(*(sizes[letter] for letter in letters)):
        at = dict(zip(letters, place, strict=True))
        product = 1.0
        for names, operand in zip(inputs, operands, strict=True):
            product *= operand[tuple(at[letter] for letter in names)]
        y[tuple(at[letter] for letter in output)] += product
    return y
