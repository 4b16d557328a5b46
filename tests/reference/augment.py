"""Pictures seen through homographies, and lit: one pixel after another, in Python's floats."""

import math

import numpy as np


def sample(batch, matrices, mode="reflection", nearest=False):
    """y[n, c, i, j] = x[n, c] at the place where matrices[n] looks for (i, j); float64"""
    n, channels, height, width = batch.shape
    y = np.zeros(batch.shape)
    for k, i, j in np.ndindex(n, height, width):
        y[k, :, i, j] = seen(batch[k], matrices[k], i, j, mode, nearest)
    return y


def seen(picture, matrix, i, j, mode="reflection", nearest=False):
    """What one output pixel shows: (C,) float64

    bilinear   Σ x[c, row, column] · (1 - |place's row - row|) · (1 - |place's column - column|)
               over the pixels less than 1 away on both axes
    nearest    the pixel with the row and the column closest to the place's
    """
    channels, height, width = picture.shape
    column, row = place(matrix, i, j, height, width)
    column, row = inside(column, width - 1, mode), inside(row, height - 1, mode)
    if nearest:
        near = [(math.floor(row + 0.5), math.floor(column + 0.5), 1.0)]
    else:
        near = [
            (r, c, (1 - abs(row - r)) * (1 - abs(column - c)))
            for r in (math.floor(row), math.floor(row) + 1)
            for c in (math.floor(column), math.floor(column) + 1)
        ]
    y = np.zeros(channels)
    for r, c, share in near:
        if 0 <= r < height and 0 <= c < width:  # beyond it, only zeros are met
            y += share * picture[:, r, c].astype(float)
    return y


def place(matrix, i, j, height, width):
    """(column, row) in pixels at which output pixel (i, j) looks."""
    x = 2 * j / (width - 1) - 1 if width > 1 else 0.0
    y = 2 * i / (height - 1) - 1 if height > 1 else 0.0
    x, y = through(matrix, x, y)
    return (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)


def through(matrix, x, y):
    """The point that the homography takes (x, y) to."""
    X, Y, W = (row[0] * x + row[1] * y + row[2] for row in matrix.tolist())
    return X / W, Y / W


def inside(t, last, mode):
    """A place along an axis whose pixels stand at 0, 1, ..., last."""
    if mode == "border":
        return min(max(t, 0.0), float(last))
    if mode == "zeros":
        return t
    if last == 0:
        return 0.0
    while not 0 <= t <= last:  # step by step, as light goes between two mirrors
        t = -t if t < 0 else 2 * last - t
    return t


def turned(i, j, degrees, height, width):
    """(column, row) about the middle at `degrees` clockwise from (i, j): rigid, in pixels."""
    right, down = j - (width - 1) / 2, i - (height - 1) / 2
    angle = math.radians(degrees)
    return (
        (width - 1) / 2 + math.cos(angle) * right - math.sin(angle) * down,
        (height - 1) / 2 + math.sin(angle) * right + math.cos(angle) * down,
    )


def moved_corners(right, left, lower, upper):
    """Where a symmetric warp puts the corners (-1, -1), (-1, 1), (1, -1), (1, 1)."""
    return [
        (-1 - upper, -1 - left),
        (-1 - lower, 1 + left),
        (1 + upper, -1 - right),
        (1 + lower, 1 + right),
    ]


def light(p, change=0.5, scale=1.0):
    """sigmoid((logit(p) + logit(change)) · scale), with p held to [1e-7, 1 - 1e-7]"""
    y = np.zeros(p.shape)
    for at in np.ndindex(p.shape):
        held = min(max(float(p[at]), 1e-7), 1 - 1e-7)
        z = (logit(held) + logit(change)) * scale
        y[at] = 1 / (1 + math.exp(-z))
    return y


def logit(p):
    """ln(p / (1 - p))"""
    return math.log(p / (1 - p))
