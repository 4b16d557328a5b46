"""Pooling: the largest value or the mean of each window."""

import math

import numpy as np

from .arguments import pair


def output_length(length, kernel, stride, padding, dilation=1, ceil_mode=False):
    """How many windows: (L + 2p - d(k - 1) - 1) / s + 1, rounded down, or up with ceil_mode.

    A last window that would start in the right padding, or beyond it, is left out.
    """
    steps = (length + 2 * padding - dilation * (kernel - 1) - 1) / stride
    out = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    if ceil_mode and (out - 1) * stride >= length + padding:
        out -= 1
    return out


def max_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """y[n,c,i,j] = max_{u,v} x[n, c, i·s+u·d-p, j·s+v·d-p]; padding counts as -∞

    x (N, C, H, W) → y (N, C, oh, ow), and with return_indices the place row·W + col of each
    largest value, the first in reading order where several are equal.
    """
    (kh, kw), (sh, sw) = pair(kernel_size), pair(stride if stride is not None else kernel_size)
    (ph, pw), (dh, dw) = pair(padding), pair(dilation)
    batch, channels, height, width = input.shape
    oh = output_length(height, kh, sh, ph, dh, ceil_mode)
    ow = output_length(width, kw, sw, pw, dw, ceil_mode)
    y = np.zeros((batch, channels, oh, ow), input.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        best, place = -math.inf, -1
        for u, v in np.ndindex(kh, kw):
            row = i * sh + u * dh - ph
            col = j * sw + v * dw - pw
            inside = 0 <= row < height and 0 <= col < width
            if inside and (place < 0 or input[n, c, row, col] > best):
                best, place = input[n, c, row, col], row * width + col
        y[n, c, i, j], indices[n, c, i, j] = best, place
    return (y, indices) if return_indices else y


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """y[n,c,i,j] = Σ_{u,v} x[n, c, i·s+u-p, j·s+v-p] / divisor; padding counts as 0

    x (N, C, H, W) → y (N, C, oh, ow). The divisor is divisor_override, or the window's places
    within the padded input (a window of ceil_mode may stick out of it), or, without
    count_include_pad, its places within the input itself.
    """
    (kh, kw), (sh, sw) = pair(kernel_size), pair(stride if stride is not None else kernel_size)
    ph, pw = pair(padding)
    batch, channels, height, width = input.shape
    oh = output_length(height, kh, sh, ph, 1, ceil_mode)
    ow = output_length(width, kw, sw, pw, 1, ceil_mode)
    y = np.zeros((batch, channels, oh, ow), input.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        total, within_padded, within_input = 0.0, 0, 0
        for u, v in np.ndindex(kh, kw):
            row, col = i * sh + u - ph, j * sw + v - pw
            if row < height + ph and col < width + pw:
                within_padded += 1
            if 0 <= row < height and 0 <= col < width:
                within_input += 1
                total += input[n, c, row, col]
        divisor = divisor_override or (within_padded if count_include_pad else within_input)
        y[n, c, i, j] = total / divisor
    return y


def adaptive_window(i, length, out):
    """The places that output i of `out` takes from `length`: ⌊i·L/out⌋ up to ⌈(i+1)·L/out⌉"""
    return range((i * length) // out, -((-(i + 1) * length) // out))


def adaptive_avg_pool2d(input, output_size):
    """y[n,c,i,j] = mean of x[n,c] over the rows and columns of adaptive_window

    x (N, C, H, W) → y (N, C, oh, ow); None in output_size keeps that side's length.
    """
    batch, channels, height, width = input.shape
    oh, ow = _adaptive_size(output_size, height, width)
    y = np.zeros((batch, channels, oh, ow), input.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        total, count = 0.0, 0
        for row in adaptive_window(i, height, oh):
            for col in adaptive_window(j, width, ow):
                total += input[n, c, row, col]
                count += 1
        y[n, c, i, j] = total / count
    return y


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """y[n,c,i,j] = max of x[n,c] over the rows and columns of adaptive_window

    x (N, C, H, W) → y (N, C, oh, ow), and with return_indices the places row·W + col.
    """
    batch, channels, height, width = input.shape
    oh, ow = _adaptive_size(output_size, height, width)
    y = np.zeros((batch, channels, oh, ow), input.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        best, place = -math.inf, -1
        for row in adaptive_window(i, height, oh):
            for col in adaptive_window(j, width, ow):
                if place < 0 or input[n, c, row, col] > best:
                    best, place = input[n, c, row, col], row * width + col
        y[n, c, i, j], indices[n, c, i, j] = best, place
    return (y, indices) if return_indices else y


def _adaptive_size(output_size, height, width):
    oh, ow = pair(output_size)
    return (height if oh is None else oh), (width if ow is None else ow)
