"""Yes or no for each element, or for all of them together."""

import math
import operator

import numpy as np

from .arguments import drop_axes, groups_of, kept_shape


def compare(relation, a, b):
    """y[i] = relation(a[i], b[i]) after the arrays are broadcast to one shape; bools"""
    a, b = np.broadcast_arrays(a, b)
    y = np.zeros(a.shape, bool)
    for place in np.ndindex(y.shape):
        y[place] = relation(a[place], b[place])
    return y


def eq(input, other):
    """a = b"""
    return compare(operator.eq, input, other)


def ne(input, other):
    """a ≠ b"""
    return compare(operator.ne, input, other)


def lt(input, other):
    """a < b"""
    return compare(operator.lt, input, other)


def le(input, other):
    """a ≤ b"""
    return compare(operator.le, input, other)


def gt(input, other):
    """a > b"""
    return compare(operator.gt, input, other)


def ge(input, other):
    """a ≥ b"""
    return compare(operator.ge, input, other)


def logical_and(input, other):
    """a and b, each true where it is not zero"""
    return compare(lambda a, b: bool(a) and bool(b), input, other)


def logical_or(input, other):
    """a or b, each true where it is not zero"""
    return compare(lambda a, b: bool(a) or bool(b), input, other)


def logical_not(input):
    """y = true where x is zero"""
    return compare(lambda a, _: not a, input, input)


def isnan(input):
    """y = true where x is not a number"""
    return compare(lambda a, _: math.isnan(a), input, input)


def isfinite(input):
    """y = true where x is neither NaN nor infinite"""
    return compare(lambda a, _: math.isfinite(a), input, input)


def any(input, dim=None, keepdim=False):
    """y = true where some x is not zero"""
    y = np.zeros(kept_shape(input, dim), bool)
    for place, values in groups_of(input, dim):
        for value in values:
            y[place] = y[place] or bool(value)
    return drop_axes(y, input, dim, keepdim)


def all(input, dim=None, keepdim=False):
    """y = true where no x is zero"""
    y = np.ones(kept_shape(input, dim), bool)
    for place, values in groups_of(input, dim):
        for value in values:
            y[place] = y[place] and bool(value)
    return drop_axes(y, input, dim, keepdim)
