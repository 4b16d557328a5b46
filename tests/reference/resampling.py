"""Changing the size of a picture: pixel shuffles, nearest and bilinear interpolation."""

import math

import numpy as np

from .arguments import pair


def pixel_shuffle(input, upscale_factor):
    """y[n, c, i·r + a, j·r + b] = x[n, c·r² + a·r + b, i, j]                  (Shi et al. 2016)

    x (N, C·r², H, W) → y (N, C, H·r, W·r) with r = upscale_factor
    """
    r = upscale_factor
    batch, channels, height, width = input.shape
    y = np.zeros((batch, channels // r**2, height * r, width * r), input.dtype)
    for n, c, a, b, i, j in np.ndindex(batch, channels // r**2, r, r, height, width):
        y[n, c, i * r + a, j * r + b] = input[n, c * r**2 + a * r + b, i, j]
    return y


def pixel_unshuffle(input, downscale_factor):
    """y[n, c·r² + a·r + b, i, j] = x[n, c, i·r + a, j·r + b]: pixel_shuffle's inverse

    x (N, C, H·r, W·r) → y (N, C·r², H, W) with r = downscale_factor
    """
    r = downscale_factor
    batch, channels, height, width = input.shape
    y = np.zeros((batch, channels * r**2, height // r, width // r), input.dtype)
    for n, c, a, b, i, j in np.ndindex(batch, channels, r, r, height // r, width // r):
        y[n, c * r**2 + a * r + b, i, j] = input[n, c, i * r + a, j * r + b]
    return y


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """x (N, C, H, W) → y (N, C, oh, ow) with (oh, ow) = size, or ⌊H·scale⌋ and ⌊W·scale⌋

    Output pixel i stands at a place of the input, which `nearest` rounds down and `bilinear`
    interpolates between its two neighbours on either axis:

    nearest                   i / scale
    bilinear                  (i + ½) / scale - ½, at least 0: pixels are squares
    bilinear, align_corners   i · (H - 1) / (oh - 1): pixels are points

    `scale` is the scale_factor where that was given, and oh / H otherwise.
    """
    batch, channels, height, width = input.shape
    if size is not None:
        oh, ow = pair(size)
        scale_h, scale_w = oh / height, ow / width
    else:
        scale_h, scale_w = pair(scale_factor)
        oh, ow = math.floor(height * scale_h), math.floor(width * scale_w)
    y = np.zeros((batch, channels, oh, ow), input.dtype)
    for i, j in np.ndindex(oh, ow):
        if mode == "nearest":
            row, col = nearest(i, scale_h, height), nearest(j, scale_w, width)
            y[:, :, i, j] = input[:, :, row, col]
            continue
        for row, row_share in neighbours(i, height, oh, scale_h, align_corners):
            for col, col_share in neighbours(j, width, ow, scale_w, align_corners):
                y[:, :, i, j] += row_share * col_share * input[:, :, row, col]
    return y


def nearest(i, scale, length):
    """The input pixel that output pixel i shows; the 1e-9 lets exact quotients stay exact."""
    return min(math.floor(i / scale + 1e-9), length - 1)


def neighbours(i, length, out, scale, align_corners):
    """The two input pixels that output pixel i lies between, each with its share."""
    if align_corners:
        place = i * (length - 1) / (out - 1) if out > 1 else 0.0
    else:
        place = max((i + 0.5) / scale - 0.5, 0.0)
    low = min(math.floor(place), length - 1)
    high = min(low + 1, length - 1)
    share = min(place - low, 1.0)
    return (low, 1 - share), (high, share)
