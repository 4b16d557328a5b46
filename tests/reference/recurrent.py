"""Recurrent layers: every step, every sample, every unit of the state, one sum at a time."""

import math

import numpy as np


def sigma(a):
    """1/(1 + e⁻ᵃ)"""
    return 1 / (1 + math.exp(-a)) if a > -700 else 0.0


def total(row, values, bias, k):
    """Σ_i row[i] · values[i] + bias[k]"""
    found = 0.0 if bias is None else float(bias[k])
    for weight, value in zip(row, values, strict=True):
        found += float(weight) * float(value)
    return found


def rnn_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    """h'[n,j] = tanh(Σ_i W_ih[j,i]·x[n,i] + b_ih[j] + Σ_k W_hh[j,k]·h[n,k] + b_hh[j]), or relu"""
    squash = {"tanh": math.tanh, "relu": lambda a: max(a, 0.0)}[nonlinearity]
    new = np.zeros_like(hx)
    for n, j in np.ndindex(hx.shape):
        inside = total(w_ih[j], input[n], b_ih, j) + total(w_hh[j], hx[n], b_hh, j)
        new[n, j] = squash(inside)
    return new


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """h' = (1 − z)·n + z·h with r, z and n from rows j, H + j and 2H + j"""
    size, new = hx.shape[1], np.zeros_like(hx)
    for n, j in np.ndindex(hx.shape):
        at_x = [total(w_ih[g * size + j], input[n], b_ih, g * size + j) for g in range(3)]
        at_h = [total(w_hh[g * size + j], hx[n], b_hh, g * size + j) for g in range(3)]
        r, z = sigma(at_x[0] + at_h[0]), sigma(at_x[1] + at_h[1])
        candidate = math.tanh(at_x[2] + r * at_h[2])
        new[n, j] = (1 - z) * candidate + z * hx[n, j]
    return new


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c') with i, f, g, o from rows j, H + j, …"""
    h, c = hx
    size, new_h, new_c = h.shape[1], np.zeros_like(h), np.zeros_like(c)
    for n, j in np.ndindex(h.shape):
        i, f, g, o = (
            total(w_ih[row], input[n], b_ih, row) + total(w_hh[row], h[n], b_hh, row)
            for row in (j, size + j, 2 * size + j, 3 * size + j)
        )
        new_c[n, j] = sigma(f) * c[n, j] + sigma(i) * math.tanh(g)
        new_h[n, j] = sigma(o) * math.tanh(new_c[n, j])
    return new_h, new_c


def rnn_sweep(input, hx, *weights):
    """`rnn_cell` for each step of x (T, N, in) → all h (T, N, H), the last h"""
    seen = []
    for x in input:
        hx = rnn_cell(x, hx, *weights)
        seen.append(hx)
    return np.stack(seen), hx


def gru_sweep(input, hx, *weights):
    """`gru_cell` for each step of x (T, N, in) → all h (T, N, H), the last h"""
    seen = []
    for x in input:
        hx = gru_cell(x, hx, *weights)
        seen.append(hx)
    return np.stack(seen), hx


def lstm_sweep(input, hx, *weights):
    """`lstm_cell` for each step of x (T, N, in) → all h (T, N, H), the last h and c"""
    seen = []
    for x in input:
        hx = lstm_cell(x, hx, *weights)
        seen.append(hx[0])
    return np.stack(seen), *hx
