"""Reading rows and elements by index."""

import numpy as np


def embedding(input, weight, padding_idx=None):
    """y[..., :] = weight[input[...], :]; input (...) of integers, weight (V, D) → y (..., D)

    padding_idx does not change the output: it keeps that row's gradient at zero.
    """
    y = np.zeros(input.shape + weight.shape[1:], weight.dtype)
    for place in np.ndindex(input.shape):
        y[place] = weight[input[place]]
    return y


def embedding_weight_grad(grad, input, weight_shape, padding_idx=None):
    """Σ of grad[place] over the places that read row v, for each v but padding_idx: (V, D)"""
    total = np.zeros(weight_shape, grad.dtype)
    for place in np.ndindex(input.shape):
        if input[place] != padding_idx:
            total[input[place]] += grad[place]
    return total


def one_hot(input, num_classes=-1):
    """y[..., k] = 1 where input[...] = k, else 0; -1 classes: one more than the largest"""
    if num_classes == -1:
        num_classes = int(input.max()) + 1
    y = np.zeros(input.shape + (num_classes,), np.int64)
    for place in np.ndindex(input.shape):
        y[place][input[place]] = 1
    return y


def gather(input, dim, index):
    """y[i, j, ...] = x with coordinate `dim` of (i, j, ...) replaced by index[i, j, ...]"""
    dim %= input.ndim
    y = np.zeros(index.shape, input.dtype)
    for place in np.ndindex(index.shape):
        y[place] = input[place[:dim] + (index[place],) + place[dim + 1 :]]
    return y


def index_select(input, dim, index):
    """y[..., k, ...] = x[..., index[k], ...] on the axis `dim`"""
    dim %= input.ndim
    y = np.zeros(input.shape[:dim] + index.shape + input.shape[dim + 1 :], input.dtype)
    for place in np.ndindex(y.shape):
        y[place] = input[place[:dim] + (index[place[dim]],) + place[dim + 1 :]]
    return y
