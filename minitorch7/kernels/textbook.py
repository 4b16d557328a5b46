"""The kernels in their plain form: what the fast ones beside this file compute, and nothing else.

Read these first. Nothing in the library calls them; the tests compare each fast kernel with the one
of the same name here (``tests/test_textbook.py``), and ``python benchmarks/kernels.py`` measures
what the difference is worth. Shapes are PyTorch's, and memory may lie in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import Window, batch_first, batch_last, col2im, im2col


def conv2d(x: Any, w: Any, window: Window) -> Any:
    """x (N, C, H, W), w (O, C, kh, kw) → y (N, O, oh, ow):  y = w @ im2col(x)"""
    col = im2col(np, batch_last(np, x), window)  # (C, kh, kw, oh, ow, N)
    oh, ow, batch = col.shape[3:]
    y = w.reshape(len(w), -1) @ col.reshape(w[0].size, -1)
    return batch_first(y.reshape(len(w), oh, ow, batch))


def conv2d_input_grad(g: Any, w: Any, size: tuple[int, int], window: Window) -> Any:
    """dy (N, O, oh, ow), w (O, C, kh, kw) → dx (N, C, *size):  dx = col2im(wᵀ @ dy)"""
    g = batch_last(np, g)
    outputs, oh, ow, batch = g.shape
    dcol = w.reshape(outputs, -1).T @ g.reshape(outputs, -1)
    dx = np.zeros((w.shape[1], *size, batch), g.dtype)
    col2im(np, dcol.reshape(*w.shape[1:], oh, ow, batch), window, range(oh), dx)
    return batch_first(dx)


def conv2d_weight_grad(x: Any, g: Any, window: Window) -> Any:
    """x (N, C, H, W), dy (N, O, oh, ow) → dw (O, C, kh, kw):  dw = dy @ im2col(x)ᵀ"""
    x, g = batch_last(np, x), batch_last(np, g)
    rows = x.shape[0] * window.kernel[0] * window.kernel[1]
    col = im2col(np, x, window).reshape(rows, -1)
    dw = g.reshape(len(g), -1) @ col.T
    return dw.reshape(len(g), x.shape[0], *window.kernel)


def standardise(x: Any, eps: float) -> Any:
    """x (R, M) → (x − mean)/√(variance + eps), row by row."""
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + eps)


def standardise_grad(g: Any, x: Any, eps: float) -> Any:
    """dx = (g − mean(g) − x̂·mean(g·x̂))/√(variance + eps), row by row."""
    x_hat = standardise(x, eps)
    projected = g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True)
    return projected / np.sqrt(x.var(axis=1, keepdims=True) + eps)


def max_pool2d(x: Any, window: Window) -> Any:
    """x (N, C, H, W) → (N, C, oh, ow): the largest of each window, over its taps laid out."""
    ph, pw = window.padding
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
    bare = window._replace(padding=(0, 0))
    col = im2col(np, batch_last(np, padded), bare)  # (C, kh, kw, oh, ow, N)
    return batch_first(col.max(axis=(1, 2)))


def relu(x: Any) -> Any:
    """max(x, 0)"""
    return np.maximum(x, 0)


def masked(g: Any, mask: Any) -> Any:
    """g where the mask is positive, else 0."""
    return g * (mask > 0)
