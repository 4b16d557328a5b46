"""Normalisations: subtract a mean, divide by a deviation, then scale and shift.

They differ in the set of elements that one mean and one variance are taken over. The variance that
normalises is the biased one (divided by n); the one kept as a running statistic is unbiased
(divided by n - 1). Running statistics are changed in place, as PyTorch does.
"""

import math

import numpy as np


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """y[n,c,...] = w[c] · (x[n,c,...] - mean[c]) / √(var[c] + eps) + b[c]    (Ioffe & Szegedy 2015)

    x (N, C, ...); the mean and variance of channel c are taken over every other axis when
    training, and are the running ones otherwise. When training and where they are given,
    running ← (1 - momentum) · running + momentum · (the batch's).
    """
    y = np.zeros_like(input)
    for c in range(input.shape[1]):
        if training or running_mean is None:
            mean, var, count = _statistics(input[:, c])
            if training and running_mean is not None:
                _keep(running_mean, c, mean, momentum)
                _keep(running_var, c, var * count / (count - 1), momentum)
        else:
            mean, var = running_mean[c], running_var[c]
        _normalise(input[:, c], y[:, c], mean, var, eps)
        _scale(y[:, c], weight, bias, c)
    return y


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y[i..., k...] = w[k] · (x[i, k] - mean[i]) / √(var[i] + eps) + b[k]        (Ba et al. 2016)

    k runs over the last axes, whose shape is normalized_shape; w and b have that shape.
    """
    y = np.zeros_like(input)
    for i in np.ndindex(input.shape[: input.ndim - len(normalized_shape)]):
        mean, var, _ = _statistics(input[i])
        for k in np.ndindex(tuple(normalized_shape)):
            value = (input[i + k] - mean) / math.sqrt(var + eps)
            value = value if weight is None else value * weight[k]
            y[i + k] = value if bias is None else value + bias[k]
    return y


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """One mean and variance for each sample and group of C/num_groups channels (Wu & He 2018)

    x (N, C, ...), w and b (C,)
    """
    batch, channels = input.shape[:2]
    size = channels // num_groups
    y = np.zeros_like(input)
    for n in range(batch):
        for group in range(num_groups):
            members = slice(group * size, (group + 1) * size)
            mean, var, _ = _statistics(input[n, members])
            _normalise(input[n, members], y[n, members], mean, var, eps)
        for c in range(channels):
            _scale(y[n, c : c + 1], weight, bias, c)
    return y


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """One mean and variance for each sample and channel                       (Ulyanov et al. 2016)

    x (N, C, ...), w and b (C,). The running statistics take the mean over the samples.
    """
    batch, channels = input.shape[:2]
    y = np.zeros_like(input)
    for c in range(channels):
        means, variances = [], []
        for n in range(batch):
            if use_input_stats:
                mean, var, count = _statistics(input[n, c])
                means.append(mean)
                variances.append(var * count / (count - 1))
            else:
                mean, var = running_mean[c], running_var[c]
            _normalise(input[n, c], y[n, c], mean, var, eps)
            _scale(y[n, c : c + 1], weight, bias, c)
        if use_input_stats and running_mean is not None:
            _keep(running_mean, c, sum(means) / batch, momentum)
            _keep(running_var, c, sum(variances) / batch, momentum)
    return y


def _statistics(values):
    """(mean, biased variance, how many) of all the values."""
    count, total, squares = values.size, 0.0, 0.0
    for place in np.ndindex(values.shape):
        total += float(values[place])
    mean = total / count if count else math.nan
    for place in np.ndindex(values.shape):
        squares += (float(values[place]) - mean) ** 2
    return mean, (squares / count if count else math.nan), count


def _normalise(x, y, mean, var, eps):
    for place in np.ndindex(x.shape):
        y[place] = (x[place] - mean) / math.sqrt(var + eps)


def _scale(y, weight, bias, channel):
    for place in np.ndindex(y.shape):
        if weight is not None:
            y[place] *= weight[channel]
        if bias is not None:
            y[place] += bias[channel]


def _keep(running, channel, value, momentum):
    running[channel] = (1 - momentum) * running[channel] + momentum * value
