"""Sums, means, extremes and their relatives: one number for every group of elements.

`dim` is one axis, several, or None for all; with `keepdim` the reduced axes stay, of size 1.
"""

import math

import numpy as np

from .arguments import drop_axes, fibres, groups_of, kept_shape


def reduce(function, input, dim, keepdim, kind=None):
    """y[place] = function(the list of values that the place gathers)"""
    y = np.zeros(kept_shape(input, dim), kind or input.dtype)
    for place, values in groups_of(input, dim):
        y[place] = function([float(value) for value in values])
    return drop_axes(y, input, dim, keepdim)


def sum(input, dim=None, keepdim=False):
    """y = Σ x"""
    return reduce(_sum, input, dim, keepdim)


def mean(input, dim=None, keepdim=False):
    """y = Σ x / n; the mean of nothing is NaN"""
    return reduce(_mean, input, dim, keepdim)


def var(input, dim=None, *, correction=1, keepdim=False):
    """y = Σ (x - mean)² / (n - correction); a divisor below 0 counts as 0, as in PyTorch"""
    return reduce(lambda values: _var(values, correction), input, dim, keepdim)


def std(input, dim=None, *, correction=1, keepdim=False):
    """y = √var"""
    return reduce(lambda values: math.sqrt(_var(values, correction)), input, dim, keepdim)


def logsumexp(input, dim, keepdim=False):
    """y = ln Σ eˣ"""

    def one(values):
        largest = values[0]
        for value in values:
            largest = value if value > largest else largest
        return largest + math.log(_sum([math.exp(value - largest) for value in values]))

    return reduce(one, input, dim, keepdim)


def amax(input, dim=None, keepdim=False):
    """y = the largest x"""
    return reduce(lambda values: values[_first_best(values, 1)], input, dim, keepdim)


def amin(input, dim=None, keepdim=False):
    """y = the smallest x"""
    return reduce(lambda values: values[_first_best(values, -1)], input, dim, keepdim)


def argmax(input, dim=None, keepdim=False):
    """The place of the first largest x, on the axis `dim`, or in the flattened array"""
    return reduce(lambda values: _first_best(values, 1), input, dim, keepdim, np.int64)


def argmin(input, dim=None, keepdim=False):
    """The place of the first smallest x, on the axis `dim`, or in the flattened array"""
    return reduce(lambda values: _first_best(values, -1), input, dim, keepdim, np.int64)


def max(input, dim=None, keepdim=False):
    """The largest x; with one axis `dim`, the pair (largest values, their places)"""
    if dim is None:
        return amax(input)
    return amax(input, dim, keepdim), argmax(input, dim, keepdim)


def min(input, dim=None, keepdim=False):
    """The smallest x; with one axis `dim`, the pair (smallest values, their places)"""
    if dim is None:
        return amin(input)
    return amin(input, dim, keepdim), argmin(input, dim, keepdim)


def softmax(input, dim):
    """y[i] = e^x[i] / Σ_k e^x[k] along the axis `dim`"""
    y = np.zeros_like(input)
    for (_, x), (_, out) in zip(fibres(input, dim), fibres(y, dim), strict=True):
        largest = _largest(x)
        total = _sum([math.exp(value - largest) for value in x])
        for i in range(len(x)):
            out[i] = math.exp(x[i] - largest) / total
    return y


def log_softmax(input, dim):
    """y[i] = x[i] - ln Σ_k e^x[k] along the axis `dim`"""
    y = np.zeros_like(input)
    for (_, x), (_, out) in zip(fibres(input, dim), fibres(y, dim), strict=True):
        largest = _largest(x)
        total = _sum([math.exp(value - largest) for value in x])
        for i in range(len(x)):
            out[i] = x[i] - largest - math.log(total)
    return y


def cumsum(input, dim):
    """y[i] = x[0] + ... + x[i] along the axis `dim`"""
    y = np.zeros_like(input)
    for (_, x), (_, out) in zip(fibres(input, dim), fibres(y, dim), strict=True):
        total = 0.0
        for i in range(len(x)):
            total += float(x[i])
            out[i] = total
    return y


def _sum(values):
    total = 0.0
    for value in values:
        total += value
    return total


def _mean(values):
    return _sum(values) / len(values) if len(values) else math.nan


def _var(values, correction):
    mean = _mean(values)
    squares = _sum([(value - mean) ** 2 for value in values])
    divisor = len(values) - correction
    if divisor > 0:
        return squares / divisor
    return math.inf if squares > 0 else math.nan


def _first_best(values, sign):
    best = 0
    for i in range(len(values)):
        if sign * values[i] > sign * values[best]:
            best = i
    return best


def _largest(values):
    return values[_first_best(values, 1)] if len(values) else 0.0
