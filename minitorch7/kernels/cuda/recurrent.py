"""The elementwise work of one time step on the GPU in one launch (``recurrent.cu``).

`rnn`, `gru` and `lstm` are the loops of the sweeps of ``kernels/recurrent.py``, `rnn_grad` and so
on those of their gradients: a product and a launch a step. They work in place in that file's
arrays: gates (G, T, N, H), and states (T + 1, N, H) with the initial one in front. Each ``…_step``
is what follows the product (forward) or goes before it (backward).
"""

from __future__ import annotations

from typing import Any

from . import load

FILE = "recurrent.cu"
for _name in ("rnn", "gru", "lstm"):
    load.declare(FILE, f"{_name}_step", load.FLOATS)
    load.declare(FILE, f"{_name}_step_grad", load.FLOATS)


def rnn(xp: Any, gate: Any, w: Any, states: Any, relu: bool) -> None:
    """Fills states[1:]; gate (T, N, H), w (1, H, H)."""
    through = xp.empty((1, *states.shape[1:]), dtype=gate.dtype)
    for t in range(len(gate)):
        _multiply(xp, states[t], w, through)
        rnn_step(xp, t, gate, through, states, relu)


def rnn_grad(xp: Any, states: Any, dy: Any, dh: Any, w: Any, da: Any, relu: bool) -> Any:
    """Fills da (T, N, H); → the gradient of the first state. w (1, H, H), and dh is changed."""
    dy, room, through = xp.ascontiguousarray(dy), xp.empty((1, *dh.shape), dtype=dh.dtype), None
    for t in reversed(range(len(dy))):
        rnn_step_grad(xp, t, states, dy, through, dh, da, relu)
        through = _multiply(xp, da[t], w, room)
    return dh if through is None else through[0]


def gru(xp: Any, gates: Any, w: Any, inner_bias: Any, states: Any, q: Any) -> None:
    """Fills states[1:] and q, and makes gates r, z, n; w (3, H, H)."""
    through = xp.empty((3, *states.shape[1:]), dtype=gates.dtype)
    for t in range(len(q)):
        _multiply(xp, states[t], w, through)
        gru_step(xp, t, gates, through, inner_bias, states, q)


def gru_grad(xp: Any, gates: Any, q: Any, states: Any, dy: Any, dh: Any, w: Any, d: Any) -> Any:
    """Fills d (4, T, N, H); → the gradient of the first state. w (3, H, H), and dh is changed."""
    dy, room, through = xp.ascontiguousarray(dy), xp.empty((3, *dh.shape), dtype=dh.dtype), None
    for t in reversed(range(len(q))):
        gru_step_grad(xp, t, gates, q, states, dy, through, dh, d)
        through = _multiply(xp, d[:3, t], w, room)
    return dh if through is None else dh + xp.sum(through, axis=0)


def lstm(xp: Any, gates: Any, w: Any, cells: Any, states: Any) -> None:
    """Fills cells[1:] and states[1:], and makes gates i, f, g, o; w (4, H, H)."""
    through = xp.empty((4, *states.shape[1:]), dtype=gates.dtype)
    for t in range(len(states) - 1):
        _multiply(xp, states[t], w, through)
        lstm_step(xp, t, gates, through, cells, states)


def lstm_grad(
    xp: Any, gates: Any, cells: Any, dy: Any, dh: Any, dc: Any, w: Any, d: Any
) -> tuple[Any, Any]:
    """Fills d (4, T, N, H); → the gradients of the first h and c. dh and dc are changed."""
    dy, room, through = xp.ascontiguousarray(dy), xp.empty((4, *dh.shape), dtype=dh.dtype), None
    for t in reversed(range(len(dy))):
        lstm_step_grad(xp, t, gates, cells, dy, through, dh, dc, d)
        through = _multiply(xp, d[:, t], w, room)
    return (dh if through is None else xp.sum(through, axis=0)), dc


def _multiply(xp: Any, a: Any, b: Any, out: Any) -> Any:
    return xp.matmul(a, b, out=out)


def rnn_step(xp: Any, t: int, a: Any, through: Any, states: Any, relu: bool) -> None:
    """states[t + 1] = tanh(a[t] + through), or max(…, 0); a (T, N, H), through (1, N, H)."""
    _over(xp, "rnn_step", a[t], through, states[t + 1], relu, a[t].size)


def rnn_step_grad(
    xp: Any, t: int, states: Any, dy: Any, through: Any, dh: Any, da: Any, relu: bool
) -> None:
    """da[t] from dh, dy[t] and `through` (1, N, H), None at the last step; dh becomes 0."""
    arrays = (states[t + 1], dy[t], through, dh, da[t])
    _over(xp, "rnn_step_grad", *arrays, relu, dh.size)


def gru_step(
    xp: Any, t: int, gates: Any, through: Any, inner_bias: Any, states: Any, q: Any
) -> None:
    """gates[:, t] become r, z, n; q[t] = W_hn·h + b_hn; states[t + 1] follows.

    through     h_{t−1} @ the weights (3, N, H), those of r and z halved
    inner_bias  b_hn (H,), or None
    """
    arrays = (gates, through, inner_bias, states[t], q[t], states[t + 1])
    size, width = q[t].size, q.shape[2]
    _over(xp, "gru_step", *arrays, t, len(q), size, width)


def gru_step_grad(
    xp: Any, t: int, gates: Any, q: Any, states: Any, dy: Any, through: Any, dh: Any, d: Any
) -> None:
    """d[:, t] = da_r, da_z, dq, da_n; dh becomes what does not go through the weights.

    through  d[:3, t + 1] @ the weights (3, N, H); None at the last step
    """
    arrays = (gates, q[t], states[t], dy[t], through, dh, d)
    _over(xp, "gru_step_grad", *arrays, t, len(q), dh.size)


def lstm_step(xp: Any, t: int, gates: Any, through: Any, cells: Any, states: Any) -> None:
    """gates[:, t] become i, f, g, o; cells[t + 1] and states[t + 1] follow.

    through  h_{t−1} @ the weights (4, N, H), those of i, f and o halved
    """
    arrays = (gates, through, cells[t], cells[t + 1], states[t + 1])
    _over(xp, "lstm_step", *arrays, t, gates.shape[1], cells[t].size)


def lstm_step_grad(
    xp: Any, t: int, gates: Any, cells: Any, dy: Any, through: Any, dh: Any, dc: Any, d: Any
) -> None:
    """d[:, t] = da_i, da_f, da_g, da_o; dc becomes what c_{t−1} receives, dh becomes 0.

    through  d[:, t + 1] @ the weights (4, N, H); None at the last step
    """
    arrays = (gates, cells[t], cells[t + 1], dy[t], through, dh, dc, d)
    _over(xp, "lstm_step_grad", *arrays, t, gates.shape[1], dh.size)


def _over(xp: Any, name: str, *args: Any) -> None:
    arrays = [a for a in args if hasattr(a, "flags")]
    if not all(a.flags.c_contiguous for a in arrays):
        raise ValueError(f"{name}: all arrays must be contiguous, since some change in place")
    size = next(a for a in arrays if a.ndim == 2).size
    load.over(load.kernel(xp, FILE, name, arrays[0].dtype), (size,), *args)
