"""Functions of one number, or of two or three, applied to every element by a loop."""

import math

import numpy as np


def each(function, *arrays):
    """y[i] = function(a[i], b[i], ...) after the arrays are broadcast to one shape."""
    kind = np.result_type(*arrays)
    arrays = np.broadcast_arrays(*arrays)
    y = np.zeros(arrays[0].shape, kind)
    for place in np.ndindex(y.shape):
        y[place] = function(*(float(a[place]) for a in arrays))
    return y


def exp(input):
    """y = eˣ"""
    return each(math.exp, input)


def log(input):
    """y = ln x, for x > 0"""
    return each(math.log, input)


def sqrt(input):
    """y = √x, for x ≥ 0"""
    return each(math.sqrt, input)


def sin(input):
    """y = sin x"""
    return each(math.sin, input)


def cos(input):
    """y = cos x"""
    return each(math.cos, input)


def tanh(input):
    """y = tanh x"""
    return each(math.tanh, input)


def erf(input):
    """y = 2/√π ∫₀ˣ e^(-t²) dt"""
    return each(math.erf, input)


def neg(input):
    """y = -x"""
    return each(lambda x: -x, input)


def abs(input):
    """y = |x|"""
    return each(lambda x: x if x >= 0 else -x, input)


def add(input, other):
    """y = a + b"""
    return each(lambda a, b: a + b, input, other)


def sub(input, other):
    """y = a - b"""
    return each(lambda a, b: a - b, input, other)


def mul(input, other):
    """y = a·b"""
    return each(lambda a, b: a * b, input, other)


def div(input, other):
    """y = a/b"""
    return each(lambda a, b: a / b, input, other)


def floor_divide(input, other):
    """y = ⌊a/b⌋"""
    return each(lambda a, b: math.floor(a / b), input, other)


def trunc_divide(input, other):
    """y = a/b without its fraction"""
    return each(lambda a, b: math.trunc(a / b), input, other)


def pow(input, exponent):
    """y = aᵇ"""
    return each(lambda a, b: a**b, input, exponent)


def maximum(input, other):
    """y = the larger of a and b"""
    return each(lambda a, b: a if a > b else b, input, other)


def minimum(input, other):
    """y = the smaller of a and b"""
    return each(lambda a, b: a if a < b else b, input, other)


def where(condition, input, other):
    """y = a where the condition holds, b elsewhere"""
    condition, input, other = np.broadcast_arrays(condition, input, other)
    y = np.zeros(condition.shape, np.result_type(input, other))
    for place in np.ndindex(y.shape):
        y[place] = input[place] if condition[place] else other[place]
    return y


def clamp(input, min=None, max=None):
    """y = min where x < min, max where x > max, x elsewhere"""

    def one(x):
        if min is not None and x < min:
            x = min
        if max is not None and x > max:
            x = max
        return x

    return each(one, input)


def sigmoid(input):
    """y = 1 / (1 + e⁻ˣ)"""
    return each(lambda x: 1 / (1 + math.exp(-x)), input)


def relu(input):
    """y = max(x, 0)"""
    return each(lambda x: x if x > 0 else 0.0, input)


def leaky_relu(input, negative_slope=0.01):
    """y = x where x > 0, negative_slope·x elsewhere"""
    return each(lambda x: x if x > 0 else negative_slope * x, input)


def elu(input, alpha=1.0):
    """y = x where x > 0, alpha·(eˣ - 1) elsewhere"""
    return each(lambda x: x if x > 0 else alpha * math.expm1(x), input)


def gelu(input, approximate="none"):
    """y = x·Φ(x), Φ the normal distribution's function; or its tanh approximation

    Φ(x) = ½(1 + erf(x/√2)) ≈ ½(1 + tanh(√(2/π)(x + 0.044715 x³)))       (Hendrycks & Gimpel 2016)
    """

    def exact(x):
        return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))

    def with_tanh(x):
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    return each({"none": exact, "tanh": with_tanh}[approximate], input)


def silu(input):
    """y = x / (1 + e⁻ˣ)"""
    return each(lambda x: x / (1 + math.exp(-x)), input)


def softplus(input, beta=1.0, threshold=20.0):
    """y = ln(1 + e^(beta·x)) / beta; x itself where beta·x > threshold"""

    def one(x):
        return x if beta * x > threshold else math.log1p(math.exp(beta * x)) / beta

    return each(one, input)
