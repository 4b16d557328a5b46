"""Convolutions, their transposes, and the two halves they are made of: unfold and fold.

Every formula counts in *padded* coordinates and leaves out what falls in the padding, which is
zero. s is the stride, p the padding, d the dilation; g is the output channel's group.
"""

import numpy as np

from .arguments import pair


def output_length(length, kernel, stride, padding, dilation):
    """How many places a kernel fits: ⌊(L + 2p - d(k - 1) - 1) / s⌋ + 1"""
    return (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n,o,i] = b[o] + Σ_{c,u} x[n, g·C/groups + c, i·s + u·d - p] · w[o,c,u]

    x (N, C, L), w (O, C/groups, k), b (O,) or None → y (N, O, ol)
    """
    batch, channels, length = input.shape
    out_channels, group_channels, kernel = weight.shape
    out_length = output_length(length, kernel, stride, padding, dilation)
    y = np.zeros((batch, out_channels, out_length), input.dtype)
    for n, o, i in np.ndindex(y.shape):
        group = o // (out_channels // groups)
        total = 0.0 if bias is None else bias[o]
        for c, u in np.ndindex(group_channels, kernel):
            at = i * stride + u * dilation - padding
            if 0 <= at < length:
                total += input[n, group * group_channels + c, at] * weight[o, c, u]
        y[n, o, i] = total
    return y


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n,o,i,j] = b[o] + Σ_{c,u,v} x[n, g·C/groups + c, i·s+u·d-p, j·s+v·d-p] · w[o,c,u,v]

    x (N, C, H, W), w (O, C/groups, kh, kw), b (O,) or None → y (N, O, oh, ow)
    """
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    batch, channels, height, width = input.shape
    out_channels, group_channels, kh, kw = weight.shape
    oh = output_length(height, kh, sh, ph, dh)
    ow = output_length(width, kw, sw, pw, dw)
    y = np.zeros((batch, out_channels, oh, ow), input.dtype)
    for n, o, i, j in np.ndindex(y.shape):
        group = o // (out_channels // groups)
        total = 0.0 if bias is None else bias[o]
        for c, u, v in np.ndindex(group_channels, kh, kw):
            row = i * sh + u * dh - ph
            col = j * sw + v * dw - pw
            if 0 <= row < height and 0 <= col < width:
                total += input[n, group * group_channels + c, row, col] * weight[o, c, u, v]
        y[n, o, i, j] = total
    return y


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """y[n, o, i·s+u·d-p, j·s+v·d-p] += x[n,c,i,j] · w[c,o,u,v] for every index; then + b[o]

    x (N, C, H, W), w (C, O/groups, kh, kw), b (O,) or None → y (N, O, oh, ow)
    with oh = (H - 1)·s - 2p + d(kh - 1) + output_padding + 1
    """
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    extra_h, extra_w = pair(output_padding)
    batch, channels, height, width = input.shape
    _, group_out, kh, kw = weight.shape
    oh = (height - 1) * sh - 2 * ph + dh * (kh - 1) + extra_h + 1
    ow = (width - 1) * sw - 2 * pw + dw * (kw - 1) + extra_w + 1
    y = np.zeros((batch, group_out * groups, oh, ow), input.dtype)
    for n, c, i, j in np.ndindex(input.shape):
        group = c // (channels // groups)
        for o, u, v in np.ndindex(group_out, kh, kw):
            row = i * sh + u * dh - ph
            col = j * sw + v * dw - pw
            if 0 <= row < oh and 0 <= col < ow:
                y[n, group * group_out + o, row, col] += input[n, c, i, j] * weight[c, o, u, v]
    return _add_bias(y, bias)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """y[n, (c·kh + u)·kw + v, i·ow + j] = x[n, c, i·s+u·d-p, j·s+v·d-p], 0 in the padding

    x (N, C, H, W) → y (N, C·kh·kw, oh·ow)
    """
    (kh, kw), (sh, sw) = pair(kernel_size), pair(stride)
    (ph, pw), (dh, dw) = pair(padding), pair(dilation)
    batch, channels, height, width = input.shape
    oh = output_length(height, kh, sh, ph, dh)
    ow = output_length(width, kw, sw, pw, dw)
    y = np.zeros((batch, channels * kh * kw, oh * ow), input.dtype)
    for n, c, u, v, i, j in np.ndindex(batch, channels, kh, kw, oh, ow):
        row = i * sh + u * dh - ph
        col = j * sw + v * dw - pw
        if 0 <= row < height and 0 <= col < width:
            y[n, (c * kh + u) * kw + v, i * ow + j] = input[n, c, row, col]
    return y


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """y[n, c, i·s+u·d-p, j·s+v·d-p] += x[n, (c·kh + u)·kw + v, i·ow + j]: unfold's transpose

    x (N, C·kh·kw, oh·ow) → y (N, C, H, W) with (H, W) = output_size
    """
    (kh, kw), (sh, sw) = pair(kernel_size), pair(stride)
    (ph, pw), (dh, dw) = pair(padding), pair(dilation)
    height, width = pair(output_size)
    oh = output_length(height, kh, sh, ph, dh)
    ow = output_length(width, kw, sw, pw, dw)
    batch, columns, _ = input.shape
    channels = columns // (kh * kw)
    y = np.zeros((batch, channels, height, width), input.dtype)
    for n, c, u, v, i, j in np.ndindex(batch, channels, kh, kw, oh, ow):
        row = i * sh + u * dh - ph
        col = j * sw + v * dw - pw
        if 0 <= row < height and 0 <= col < width:
            y[n, c, row, col] += input[n, (c * kh + u) * kw + v, i * ow + j]
    return y


def _add_bias(y, bias):
    if bias is not None:
        for n, o in np.ndindex(y.shape[:2]):
            y[n, o] += bias[o]
    return y
