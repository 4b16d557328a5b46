"""Losses: one number for each prediction, then their mean, their sum, or none of these."""

import math

import numpy as np

from .reductions import log_softmax


def reduce(losses, reduction, divisor=None):
    """Σ / divisor for "mean" (the divisor is the count unless given), Σ, or the losses as they are

    The mean of nothing is NaN.
    """
    if reduction == "none":
        return losses
    total = 0.0
    for place in np.ndindex(losses.shape):
        total += float(losses[place])
    if reduction == "mean":
        divisor = losses.size if divisor is None else divisor
        total = total / divisor if divisor else math.nan
    return np.array(total, losses.dtype)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """l[n,...] = -w[t] · x[n, t, ...] with t = target[n,...]; 0 where t = ignore_index

    x (N, C, d₁, ...) of log-probabilities, target (N, d₁, ...) of classes, w (C,) or None. The
    mean divides by Σ w[t] over the targets that are not ignored.
    """
    losses = np.zeros(target.shape, input.dtype)
    divisor = 0.0
    for place in np.ndindex(target.shape):
        t = int(target[place])
        if t == ignore_index:
            continue
        w = 1.0 if weight is None else float(weight[t])
        losses[place] = -w * input[place[:1] + (t,) + place[1:]]
        divisor += w
    return reduce(losses, reduction, divisor)


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """l[n,...] = -Σ_c w[c] · q[c] · log_softmax(x[n])[c, ...], with q the smoothed target

    q[c] = (1 - ε)·[c = t] + ε/C, ε = label_smoothing, t = target[n,...]   (Szegedy et al. 2016, §7)

    x (N, C, d₁, ...), target (N, d₁, ...) of classes. Ignored targets give 0, and the mean divides
    by Σ w[t] over the others.
    """
    logp = log_softmax(input, 1)
    channels = input.shape[1]
    losses = np.zeros(target.shape, input.dtype)
    divisor = 0.0
    for place in np.ndindex(target.shape):
        t = int(target[place])
        if t == ignore_index:
            continue
        for c in range(channels):
            q = (1 - label_smoothing) * (c == t) + label_smoothing / channels
            w = 1.0 if weight is None else weight[c]
            losses[place] -= w * q * logp[place[:1] + (c,) + place[1:]]
        divisor += 1.0 if weight is None else float(weight[t])
    return reduce(losses, reduction, divisor)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """l = -w·(p·t·ln σ(x) + (1 - t)·ln(1 - σ(x))), σ(x) = 1/(1 + e⁻ˣ), p = pos_weight"""
    x, t = input, target
    w = np.broadcast_to(1.0 if weight is None else weight, x.shape)
    p = np.broadcast_to(1.0 if pos_weight is None else pos_weight, x.shape)
    losses = np.zeros(x.shape, x.dtype)
    for place in np.ndindex(x.shape):
        yes, no = _log_sigmoid(float(x[place])), _log_sigmoid(-float(x[place]))
        losses[place] = -w[place] * (p[place] * t[place] * yes + (1 - t[place]) * no)
    return reduce(losses, reduction)


def mse_loss(input, target, reduction="mean"):
    """l = (x - t)²"""
    return reduce(_each(lambda e: e * e, input, target), reduction)


def l1_loss(input, target, reduction="mean"):
    """l = |x - t|"""
    return reduce(_each(abs, input, target), reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """l = ½(x - t)²/beta where |x - t| < beta, |x - t| - ½beta elsewhere      (Girshick 2015)"""

    def one(e):
        return 0.5 * e * e / beta if abs(e) < beta else abs(e) - 0.5 * beta

    return reduce(_each(one, input, target), reduction)


def _each(function, input, target):
    losses = np.zeros(input.shape, input.dtype)
    for place in np.ndindex(input.shape):
        losses[place] = function(float(input[place]) - float(target[place]))
    return losses


def _log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))
