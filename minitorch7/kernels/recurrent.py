"""Recurrent layers, one layer in one direction: all steps forward in a sweep, all steps back.

A recurrent layer is a loop, but not all of its work has to wait for the step before. What the
inputs add to the gates, W_ih·x + b_ih, is one product for all T·N rows before the first step; only
W_hh·h stays in the loop. Backward likewise: what a step multiplies its gradient by is known
beforehand, for all steps at once; the walk back finds the gradients of the gates; and what follows
from those, dx and both dW, is one product a gate over all T·N rows.

**Memory.** Gates come first: (gates, T, N, H), so that one gate of one step, (N, H), is one stretch
of memory, which NumPy goes through faster than through a part of each row. States are kept as
(T + 1, N, H) with the initial one in front, so that h_t and h_{t−1} for all t are two views of one
array. All that a step writes to is there before the loop.

On a GPU a step is a product and one launch for all the rest: ``cuda/recurrent.cu``.

The sigmoid is σ(a) = ½ + ½·tanh(a/2), which overflows nowhere and takes one pass. The ½ inside is
put into the weights, where it is exact: see `Gates`.

A sweep returns ((output, the last states), what its gradients need); `inputs` are the arguments of
the forward sweep from x on, and gradients come in their order, None for those not `wanted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import cuda, products, threads


def rnn(
    xp: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h: Any, relu: bool = False
) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
    """h_t = tanh(W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh), or max(…, 0), for t = 1 … T.

    x (T, N, in), weights (H, in) and (H, H), biases (H,) or both None, h (N, H)
    → ((h_1 … h_T as (T, N, H), h_T), kept for `rnn_grads`: the states)
    """
    bias = None if b_ih is None else b_ih + b_hh
    (gate,), (w,) = Gates(1, ()).start(xp, x, w_ih, w_hh, bias)
    states = _with_first(xp, h, len(x))
    _rnn_steps(xp, gate, w, states, relu)
    return (states[1:], states[-1].copy()), (states,)


def _rnn_steps(xp: Any, gate: Any, w: Any, states: Any, relu: bool) -> None:
    """Fill states[1:], from what x gives to the gate (T, N, H) and W_hhᵀ."""
    if _fused(xp, gate):
        return cuda.recurrent.rnn(xp, gate, w[None], states, relu)
    for t in range(len(gate)):
        h = xp.matmul(states[t], w, out=states[t + 1])
        h += gate[t]
        if relu:
            xp.maximum(h, 0, out=h)
        else:
            xp.tanh(h, out=h)


def _fused(xp: Any, a: Any) -> bool:
    """Whether each step's elementwise work is one launch."""
    return cuda.takes(xp, a, types=cuda.load.FLOATS)


def rnn_grads(
    xp: Any, wanted: Any, kept: Any, grads: Any, inputs: Any, relu: bool = False
) -> list[Any]:
    """da_t = dh_t·(1 − h_t²), or dh_t where h_t > 0;  dh_{t−1} = da_t·W_hh + dy_{t−1}.

    The walk starts from dh_T = dy_T + d(last state).
    """
    (states,), (dy, dh), w_hh = kept, grads, inputs[2]
    da, dh = _rnn_steps_back(xp, states, dy, dh.copy(), w_hh, relu)
    return [*_weight_grads(xp, wanted, [da], [da], states, inputs), dh]


def _rnn_steps_back(xp: Any, states: Any, dy: Any, dh: Any, w: Any, relu: bool) -> tuple[Any, Any]:
    """(da, the gradient of the first state)."""
    y = states[1:]
    if _fused(xp, y):
        da = xp.empty(y.shape, dtype=y.dtype)
        return da, cuda.recurrent.rnn_grad(xp, states, dy, dh, w[None], da, relu)
    da = (y > 0).astype(y.dtype) if relu else 1 - y * y
    for t in reversed(range(len(y))):
        dh += dy[t]
        da[t] *= dh
        xp.matmul(da[t], w, out=dh)
    return da, dh


def gru(
    xp: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h: Any
) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
    """r, z = σ(…), n = tanh(W_in·x + b_in + r·q), h_t = (1 − z)·n + z·h_{t−1};  q = W_hn·h + b_hn.

    x (T, N, in), weights (3H, in) and (3H, H), biases (3H,) or both None, h (N, H)
    → ((h_1 … h_T, h_T), kept for `gru_grads`: the states, the gates r, z, n, and q)
    """
    first = 2 * h.shape[1]  # row of n
    bias = None
    if b_ih is not None:
        bias = b_ih.copy()
        bias[:first] += b_hh[:first]  # b_hn is inside r·q
    gates, w = Gates(3, (0, 1)).start(xp, x, w_ih, w_hh, bias)
    states, q = _with_first(xp, h, len(x)), xp.empty(gates.shape[1:], dtype=h.dtype)
    _gru_steps(xp, gates, w, None if b_hh is None else b_hh[first:], states, q)
    return (states[1:], states[-1].copy()), (states, gates, q)


def _gru_steps(xp: Any, gates: Any, w: Any, inner_bias: Any, states: Any, q: Any) -> None:
    """Fill states[1:] and q, and make gates r, z, n from what x gives to them."""
    if _fused(xp, gates):
        return cuda.recurrent.gru(xp, gates, w, inner_bias, states, q)
    step = xp.empty((3, *q.shape[1:]), dtype=q.dtype)
    for t in range(len(q)):
        h, rz, n, new = states[t], gates[:2, t], gates[2, t], states[t + 1]
        xp.matmul(h, w, out=step)
        rz += step[:2]
        xp.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        if inner_bias is not None:
            step[2] += inner_bias
        q[t] = step[2]
        n += xp.multiply(rz[0], step[2], out=step[2])
        xp.tanh(n, out=n)
        xp.subtract(h, n, out=new)  # h_t = n + z·(h_{t−1} − n)
        new *= rz[1]
        new += n


def gru_grads(xp: Any, wanted: Any, kept: Any, grads: Any, inputs: Any) -> list[Any]:
    """The gradients of `gru`, where a stands for a gate before its σ or tanh:

    da_n = dh·(1 − z)·(1 − n²)          dq = da_n·r
    da_r = da_n·q·r·(1 − r)             da_z = dh·(h_{t−1} − n)·z·(1 − z)
    dh_{t−1} = dh·z + (da_r, da_z, dq)·W_hh + dy_{t−1}
    """
    (states, gates, q), (dy, dh) = kept, grads
    d = xp.empty((4, *q.shape), dtype=q.dtype)
    dh = _gru_steps_back(xp, gates, q, states, dy, dh.copy(), _by_gate(inputs[2], 3), d)
    da_r, da_z, dq, da_n = d
    return [*_weight_grads(xp, wanted, [da_r, da_z, da_n], [da_r, da_z, dq], states, inputs), dh]


def _gru_steps_back(
    xp: Any, gates: Any, q: Any, states: Any, dy: Any, dh: Any, w: Any, d: Any
) -> Any:
    """Fill d with da_r, da_z, dq, da_n; → the gradient of the first state."""
    if _fused(xp, q):
        return cuda.recurrent.gru_grad(xp, gates, q, states, dy, dh, w, d)
    (r, z, n), (da_r, da_z, dq, da_n) = gates, d
    # what does not depend on dh, for all steps at once; dq is scratch until it is filled
    _sigmoid_slope(xp, r, da_r)
    da_r *= q
    _sigmoid_slope(xp, z, da_z)
    da_z *= xp.subtract(states[:-1], n, out=dq)
    _tanh_slope(xp, n, da_n)
    da_n *= xp.subtract(1, z, out=dq)
    dq[...] = r
    through = xp.empty((3, *dh.shape), dtype=dh.dtype)
    for t in reversed(range(len(q))):
        dh += dy[t]
        da_n[t] *= dh
        da_z[t] *= dh
        da_r[t] *= da_n[t]
        dq[t] *= da_n[t]
        dh *= z[t]
        xp.matmul(d[:3, t], w, out=through)
        for part in through:
            dh += part
    return dh


def lstm(
    xp: Any, x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, h: Any, c: Any
) -> tuple[tuple[Any, Any, Any], tuple[Any, ...]]:
    """i, f, o = σ(…), g = tanh(…), c_t = f·c_{t−1} + i·g, h_t = o·tanh(c_t).

    x (T, N, in), weights (4H, in) and (4H, H), biases (4H,) or both None, h and c (N, H)
    → ((h_1 … h_T, h_T, c_T), kept for `lstm_grads`: the states, the cells, the gates i, f, g, o)
    """
    which = Gates(4, (0, 1, 3))
    bias = None if b_ih is None else b_ih + b_hh
    gates, w = which.start(xp, x, w_ih, w_hh, bias)
    states, cells = _with_first(xp, h, len(x)), _with_first(xp, c, len(x))
    _lstm_steps(xp, gates, w, cells, states, which)
    return (states[1:], states[-1].copy(), cells[-1].copy()), (states, cells, gates)


def _lstm_steps(xp: Any, gates: Any, w: Any, cells: Any, states: Any, which: Gates) -> None:
    """Fill cells[1:] and states[1:], and make gates i, f, g, o from what x gives to them."""
    if _fused(xp, gates):
        return cuda.recurrent.lstm(xp, gates, w, cells, states)
    step = xp.empty((4, *states.shape[1:]), dtype=states.dtype)
    slope = which.slope(xp, states.dtype)
    shift = 1 - slope
    for t in range(gates.shape[1]):
        a = gates[:, t]
        a += xp.matmul(states[t], w, out=step)
        xp.tanh(a, out=a)
        a *= slope
        a += shift
        i, f, g, o = a
        c = xp.multiply(f, cells[t], out=cells[t + 1])
        c += xp.multiply(i, g, out=step[0])
        h = xp.tanh(c, out=states[t + 1])
        h *= o


def lstm_grads(xp: Any, wanted: Any, kept: Any, grads: Any, inputs: Any) -> list[Any]:
    """The gradients of `lstm`, where a stands for a gate before its σ or tanh:

    da_o = dh·tanh(c)·o·(1 − o)         dc += dh·o·(1 − tanh(c)²)
    da_i = dc·g·i·(1 − i)               da_f = dc·c_{t−1}·f·(1 − f)
    da_g = dc·i·(1 − g²)                dc_{t−1} = dc·f
    dh_{t−1} = (da_i, da_f, da_g, da_o)·W_hh + dy_{t−1}
    """
    (states, cells, gates), (dy, dh, dc) = kept, grads
    d = xp.empty_like(gates)
    w = _by_gate(inputs[2], 4)
    dh, dc = _lstm_steps_back(xp, gates, cells, dy, dh.copy(), dc.copy(), w, d)
    return [*_weight_grads(xp, wanted, d, d, states, inputs), dh, dc]


def _lstm_steps_back(
    xp: Any, gates: Any, cells: Any, dy: Any, dh: Any, dc: Any, w: Any, d: Any
) -> tuple[Any, Any]:
    """Fill d with da_i, da_f, da_g, da_o; → the gradients of the first h and c."""
    if _fused(xp, gates):
        return cuda.recurrent.lstm_grad(xp, gates, cells, dy, dh, dc, w, d)
    (i, f, g, o), (da_i, da_f, da_g, da_o) = gates, d
    inward = xp.tanh(cells[1:])
    _sigmoid_slope(xp, i, da_i)
    da_i *= g
    _sigmoid_slope(xp, f, da_f)
    da_f *= cells[:-1]
    _tanh_slope(xp, g, da_g)
    da_g *= i
    _sigmoid_slope(xp, o, da_o)
    da_o *= inward
    _tanh_slope(xp, inward, inward)
    inward *= o
    through = xp.empty((4, *dh.shape), dtype=dh.dtype)
    for t in reversed(range(len(dy))):
        dh += dy[t]
        da_o[t] *= dh
        dh *= inward[t]
        dc += dh
        d[:3, t] *= dc
        dc *= f[t]
        xp.matmul(d[:, t], w, out=through)
        xp.sum(through, axis=0, out=dh)
    return dh, dc


def _sigmoid_slope(xp: Any, s: Any, out: Any) -> None:
    """s·(1 − s): the slope of a sigmoid whose value is s."""
    xp.subtract(1, s, out=out)
    out *= s


def _tanh_slope(xp: Any, t: Any, out: Any) -> None:
    """1 − t²: the slope of a tanh whose value is t."""
    xp.multiply(t, t, out=out)
    xp.subtract(1, out, out=out)


class Gates(NamedTuple):
    """How many gates a cell has, and which of them are sigmoids.

    A sigmoid's rows of the weights and biases are halved, σ(a) being ½ + ½·tanh(a/2).
    """

    count: int
    sigmoids: tuple[int, ...]

    def slope(self, xp: Any, dtype: Any) -> Any:
        """½ for a sigmoid, 1 for a tanh: (gates, 1, 1)."""
        slope = xp.ones((self.count, 1, 1), dtype=dtype)
        for i in self.sigmoids:
            slope[i] = 0.5
        return slope

    def start(self, xp: Any, x: Any, w_ih: Any, w_hh: Any, bias: Any) -> tuple[Any, Any]:
        """What x and the bias give to the gates, (gates, T, N, H), and W_hhᵀ, (gates, H, H)."""
        (length, batch), size = x.shape[:2], w_hh.shape[1]
        slope = self.slope(xp, x.dtype)
        w_in, w = (
            xp.ascontiguousarray((_by_gate(w, self.count) * slope).transpose(0, 2, 1))
            for w in (w_ih, w_hh)
        )
        gates = xp.empty((self.count, length * batch, size), dtype=x.dtype)
        products.product(xp, _rows(x), w_in, gates)
        if bias is not None:
            gates += bias.reshape(self.count, 1, size) * slope
        return gates.reshape(self.count, length, batch, size), w


def _with_first(xp: Any, first: Any, length: int) -> Any:
    """Room for `length` states behind the initial one: (T + 1, N, H)."""
    states = xp.empty((length + 1, *first.shape), dtype=first.dtype)
    states[0] = first
    return states


def _weight_grads(
    xp: Any, wanted: Sequence[bool], d_ih: Any, d_hh: Any, states: Any, inputs: Any
) -> list[Any]:
    """(dx, dW_ih, dW_hh, db_ih, db_hh) from the gradients of the gates, each (T, N, H).

    d_ih, d_hh  with respect to W_ih·x + b_ih and to W_hh·h + b_hh
    """
    x, w_ih = inputs[:2]
    d_ih, d_hh = [[_rows(d) for d in gates] for gates in (d_ih, d_hh)]
    rows = [_rows(x), _rows(states[:-1])]
    need_x, *need_w = wanted[:3]
    found = [_input_grad(xp, d_ih, w_ih).reshape(x.shape) if need_x else None]
    for needed, d, by in zip(need_w, (d_ih, d_hh), rows, strict=True):
        found.append(_products(xp, d, by) if needed else None)
    for needed, d in zip(wanted[3:5], (d_ih, d_hh), strict=True):
        found.append(_sums(xp, d) if needed else None)
    return found


def _rows(a: Any) -> Any:
    """(T, N, C) → (T·N, C)"""
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])


def _by_gate(w: Any, count: int) -> Any:
    """(gates·H, C) → (gates, H, C)"""
    return w.reshape(count, len(w) // count, w.shape[1])


def _input_grad(xp: Any, gates: list[Any], w: Any) -> Any:
    """Σ over the gates of d @ W: (T·N, in); rows are shared among threads where they are many."""
    w = _by_gate(w, len(gates))
    dx = xp.empty((len(gates[0]), w.shape[2]), dtype=w.dtype)
    parts = threads.cut(len(dx), products.parts_of(dx.size * w[:, :, 0].size) if xp is np else 1)

    def rows(i: int) -> None:
        part = slice(parts[i].start, parts[i].stop)
        xp.matmul(gates[0][part], w[0], out=dx[part])
        for d, w_gate in zip(gates[1:], w[1:], strict=True):
            dx[part] += xp.matmul(d[part], w_gate)

    threads.share(rows, len(parts))
    return dx


def _products(xp: Any, gates: list[Any], by: Any) -> Any:
    """dᵀ @ by, gate after gate: (gates·H, C); a gate a thread where there is much to do."""
    size = gates[0].shape[1]
    found = xp.empty((len(gates) * size, by.shape[1]), dtype=by.dtype)
    alone = xp is not np or products.parts_of(found.size * len(by)) == 1

    def gate(i: int) -> None:
        xp.matmul(gates[i].T, by, out=found[i * size : (i + 1) * size])

    threads.share(gate, len(gates), alone)
    return found


def _sums(xp: Any, gates: list[Any]) -> Any:
    """Σ over all rows, gate after gate: (gates·H,)."""
    ones = xp.ones(len(gates[0]), dtype=gates[0].dtype)  # a product adds up faster than a sum
    return xp.concatenate([xp.matmul(ones, d) for d in gates])
