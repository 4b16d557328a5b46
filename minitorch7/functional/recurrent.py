"""Recurrent cells, and whole layers in one sweep.

A cell is one step, written as its formula: `rnn_cell`, `gru_cell`, `lstm_cell`. A sweep runs a cell
over a whole sequence as one operation, with the kernels of ``kernels/recurrent.py``; it gives what
the loop of cells gives, faster and with less to keep for backward. (Elman 1990; Cho et al. 2014,
arXiv 1406.1078; Hochreiter & Schmidhuber 1997. Formulas and the order of gates are PyTorch's.)

All take weights (gates·H, in) and (gates·H, H) and biases (gates·H,), which may both be None.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ..autograd import Function, Tensor, enable_grad, grad, state
from ..autograd.function import FLOAT32, HALF
from ..kernels import recurrent as kernel
from ._arguments import check_float, check_same_dtype
from .activations import relu, sigmoid, tanh
from .conversion import clone
from .products import linear
from .shape import chunk, stack, unbind

# ------------------------------------------------------------------------------- cells: one step


def rnn_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
) -> Tensor:
    """h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu(…).

    input (N, in), hx (N, H) → (N, H). ValueError for shapes that do not fit or a nonlinearity other
    than 'tanh' and 'relu'.
    """
    _check_cell("rnn_cell", 1, input, w_ih, w_hh, b_ih, b_hh, hx=hx)
    input, hx, w_ih, w_hh, b_ih, b_hh = _taken("rnn_cell", input, hx, w_ih, w_hh, b_ih, b_hh)
    squash = relu if _is_relu("rnn_cell", nonlinearity) else tanh
    return squash(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """The gated recurrent unit: h' = (1 − z)·n + z·h, where

        r = σ(W_ir·x + b_ir + W_hr·h + b_hr)          how much of the old state n gets to see
        z = σ(W_iz·x + b_iz + W_hz·h + b_hz)          how much of the old state stays
        n = tanh(W_in·x + b_in + r·(W_hn·h + b_hn))   what is new

    The rows of the weights and biases are r, z and n, one after the other.
    input (N, in), hx (N, H) → (N, H). ValueError for shapes that do not fit.
    """
    _check_cell("gru_cell", 3, input, w_ih, w_hh, b_ih, b_hh, hx=hx)
    input, hx, w_ih, w_hh, b_ih, b_hh = _taken("gru_cell", input, hx, w_ih, w_hh, b_ih, b_hh)
    x_r, x_z, x_n = chunk(linear(input, w_ih, b_ih), 3, -1)
    h_r, h_z, h_n = chunk(linear(hx, w_hh, b_hh), 3, -1)
    r = sigmoid(x_r + h_r)
    z = sigmoid(x_z + h_z)
    n = tanh(x_n + r * h_n)
    return (1 - z) * n + z * hx


def lstm_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Long short-term memory: c' = f·c + i·g,  h' = o·tanh(c'), where for each gate

        i, f, o = σ(W·x + b + W_h·h + b_h),  g = tanh(W·x + b + W_h·h + b_h)

    What to write (i), to keep (f) and to show (o) of the cell, and the new values (g). The rows of
    the weights and biases are i, f, g and o, one after the other.
    input (N, in), hx = (h, c), both (N, H) → (h', c'). ValueError for shapes that do not fit.
    """
    h, c = two_states("lstm_cell", hx)
    _check_cell("lstm_cell", 4, input, w_ih, w_hh, b_ih, b_hh, h=h, c=c)
    input, h, c, w_ih, w_hh, b_ih, b_hh = _taken("lstm_cell", input, h, c, w_ih, w_hh, b_ih, b_hh)
    i, f, g, o = chunk(linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


# --------------------------------------------------------------------------- sweeps: a whole layer


class Cell(NamedTuple):
    """One kind of recurrent layer.

    step     (x_t, w_ih, w_hh, b_ih, b_hh, *states) → the states after it, in ordinary operations
    forward  the kernel of the sweep
    grads    the kernel of its gradients
    scratch  how many arrays (T, N, H) that kernel works in
    """

    name: str
    step: Callable[..., tuple[Tensor, ...]]
    forward: Callable[..., Any]
    grads: Callable[..., list[Any]]
    scratch: int


def _rnn_step(nonlinearity: str, x: Tensor, *rest: Any) -> tuple[Tensor]:
    *weights, h = rest
    return (rnn_cell(x, h, *weights, nonlinearity),)


def _gru_step(x: Tensor, *rest: Any) -> tuple[Tensor]:
    *weights, h = rest
    return (gru_cell(x, h, *weights),)


def _lstm_step(x: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    *weights, h, c = rest
    return lstm_cell(x, (h, c), *weights)


RNN_TANH = Cell("RNNSweep", partial(_rnn_step, "tanh"), kernel.rnn, kernel.rnn_grads, 1)
RNN_RELU = Cell(
    "RNNSweep",
    partial(_rnn_step, "relu"),
    partial(kernel.rnn, relu=True),
    partial(kernel.rnn_grads, relu=True),
    1,
)
GRU = Cell("GRUSweep", _gru_step, kernel.gru, kernel.gru_grads, 4)
LSTM = Cell("LSTMSweep", _lstm_step, kernel.lstm, kernel.lstm_grads, 5)


def loop(step: Callable[..., Any], input: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """(output, *last states) of a cell run step by step: what a sweep computes, spelt out.

    step   (x_t, w_ih, w_hh, b_ih, b_hh, *states) → states
    input  (T, N, in); then the weights, biases and first states
    """
    weights, states = rest[:4], rest[4:]
    outputs = []
    for x in unbind(input):
        states = step(x, *weights, *states)
        outputs.append(states[0])
    return stack(outputs), *states


class Sweep(Function):
    """All steps of one layer in one direction; the formulas are the cells'.

    x (T, N, in), W_ih, W_hh, b_ih, b_hh, states (N, H) → output (T, N, H), last states (N, H)

    Kept for backward, beside the inputs: (T + 1)·N·H states, one of which is the initial one and
    the others the output, and for a GRU 4·T·N·H (r, z, n, W_hn·h + b_hn), for an LSTM 4·T·N·H gates
    and (T + 1)·N·H cells: 4, 20 or 24·T·N·H bytes in float32, and a little.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @property
    def name(self) -> str:
        return self.cell.name

    def __call__(self, *inputs: Tensor | None) -> Any:
        return super().__call__(*_taken("sweep", *inputs))

    def forward(self, xp, *inputs):
        self.save(*inputs)
        results, kept = self.cell.forward(xp, *_wide(inputs))
        dtype = inputs[0].dtype
        self.kept = tuple([k.astype(dtype, copy=False) for k in kept])
        return tuple([r.astype(dtype, copy=False) for r in results])

    def backward(self, *grads):
        wanted = self.needs_input_grad
        found = iter(SweepGrad(self.cell, self.kept, wanted)(*grads, *self.saved))
        return [next(found) if needed else None for needed in wanted]


class SweepGrad(Function):
    """The gradients of a sweep, those `wanted`, by its kernel

    dy, d(last states), and the sweep's inputs → the gradients of the inputs

    `scratch` are the bytes that the kernel works in: 1, 4 or 5·T·N·H floats for an RNN, GRU or
    LSTM, gone when it is done. Its own gradient is that of the loop of cells' gradient: the loop is
    run again, differentiated, and what comes out differentiated once more.
    """

    def __init__(self, cell: Cell, kept: tuple[Any, ...], wanted: tuple[bool, ...]) -> None:
        self.cell, self.kept, self.wanted = cell, kept, wanted
        self.scratch = cell.scratch * kept[0][1:].nbytes  # kept[0] are the states

    def forward(self, xp, *arrays):
        self.save(*arrays)
        count = len(arrays) - len(self.wanted)  # of the results of the sweep
        dtype, kept, arrays = arrays[count].dtype, _wide(self.kept), _wide(arrays)
        found = self.cell.grads(xp, self.wanted, kept, arrays[:count], arrays[count:])
        wanted = [g for g, needed in zip(found, self.wanted, strict=True) if needed]
        return tuple([g.astype(dtype, copy=False) for g in wanted])

    def backward(self, *cotangents):
        tensors = [_apart(t) for t in self.saved]
        count = len(tensors) - len(self.wanted)
        with enable_grad():
            results = loop(self.cell.step, *tensors[count:])
            wanted = [t for t, w in zip(tensors[count:], self.wanted, strict=True) if w]
            first = grad(results, wanted, tensors[:count], create_graph=True)
        needs = self.needs_input_grad
        asked = [t for t, needed in zip(tensors, needs, strict=True) if needed]
        found = iter(
            grad(first, asked, cotangents, create_graph=state.recording, allow_unused=True)
        )
        return [next(found) if needed else None for needed in needs]


def _wide(arrays: Any) -> Any:
    """float16 arrays in float32: a sweep computes in float32, and stores float16.

    What a step adds to the state would otherwise be rounded T times over.
    """
    return [a if a is None or a.dtype != HALF else a.astype(FLOAT32) for a in arrays]


def _taken(function: str, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    """The tensors as `function` is to take them: inside mt.autocast, in float16."""
    if state.autocast is None:
        return tensors
    return tuple([None if t is None else state.autocast.cast(function, t) for t in tensors])


def _apart(t: Tensor | None) -> Tensor | None:
    """`t` as a tensor to differentiate by, none of which is made from another.

    Where h₀ was made from x, say, the derivative with respect to x must hold h₀ fixed: hence a new
    tensor each. A clone keeps its history, for derivatives of higher order.
    """
    if t is None:
        return None
    return clone(t) if state.recording and t.requires_grad else t.detach().requires_grad_()


def rnn_sweep(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """`rnn_cell` over all steps of `input` (T, N, in), from hx (N, H) → (h₁ … h_T, h_T)."""
    cell = RNN_RELU if _is_relu("rnn_sweep", nonlinearity) else RNN_TANH
    _check_sweep("rnn_sweep", 1, input, w_ih, w_hh, b_ih, b_hh, hx=hx)
    return Sweep(cell)(input, w_ih, w_hh, b_ih, b_hh, hx)


def gru_sweep(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`gru_cell` over all steps of `input` (T, N, in), from hx (N, H) → (h₁ … h_T, h_T)."""
    _check_sweep("gru_sweep", 3, input, w_ih, w_hh, b_ih, b_hh, hx=hx)
    return Sweep(GRU)(input, w_ih, w_hh, b_ih, b_hh, hx)


def lstm_sweep(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`lstm_cell` over all steps of `input` (T, N, in), from hx = (h, c), both (N, H).

    → (h₁ … h_T, h_T, c_T)
    """
    h, c = two_states("lstm_sweep", hx)
    _check_sweep("lstm_sweep", 4, input, w_ih, w_hh, b_ih, b_hh, h=h, c=c)
    return Sweep(LSTM)(input, w_ih, w_hh, b_ih, b_hh, h, c)


# -------------------------------------------------------------------------------------- arguments


def _is_relu(function: str, nonlinearity: str) -> bool:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{function}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return nonlinearity == "relu"


def two_states(function: str, hx: Any) -> tuple[Tensor, Tensor]:
    """An LSTM's state as (h, c); TypeError, in the name of `function`, for anything else."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        got = f"{len(hx)} of them" if isinstance(hx, tuple | list) else type(hx).__name__
        raise TypeError(f"{function}: hx must be two tensors, (h, c), got {got}")
    return hx[0], hx[1]


def _check_sweep(function: str, gates: int, input: Any, *weights: Any, **states: Any) -> None:
    x = check_float(function, "input", input)
    if x.ndim != 3:
        raise ValueError(f"{function}: input must be (T, N, in), got shape {x.shape}")
    if len(x) == 0:
        raise ValueError(f"{function}: the sequence is empty: input {x.shape} has no steps")
    _check(function, gates, x, x.shape[1:], *weights, **states)


def _check_cell(function: str, gates: int, input: Any, *weights: Any, **states: Any) -> None:
    x = check_float(function, "input", input)
    if x.ndim != 2:
        raise ValueError(f"{function}: input must be (N, in), got shape {x.shape}")
    _check(function, gates, x, x.shape, *weights, **states)


def _check(
    function: str,
    gates: int,
    x: Tensor,
    rows: tuple[int, ...],
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    **states: Any,
) -> None:
    """Raise unless dtypes agree and every shape fits `rows`, the shape (N, in) of one step."""
    named = dict(w_ih=w_ih, w_hh=w_hh, **states)
    for name, t in named.items():
        check_float(function, name, t)
    check_same_dtype(function, x, b_ih=b_ih, b_hh=b_hh, **named)
    if (b_ih is None) != (b_hh is None):
        raise ValueError(f"{function}: give both biases or neither, b_ih and b_hh")
    (batch, width), size = rows, w_hh.shape[-1] if w_hh.ndim else 0
    fitting = dict(w_hh=(gates * size, size), w_ih=(gates * size, width))
    fitting |= dict(b_ih=(gates * size,), b_hh=(gates * size,))
    fitting |= dict.fromkeys(states, (batch, size))
    for name, shape in fitting.items():
        t = dict(b_ih=b_ih, b_hh=b_hh, **named)[name]
        if t is not None and t.shape != shape:
            raise ValueError(
                f"{function}: {name} must have shape {shape}, got {t.shape} (input {x.shape}, "
                f"{gates} gate{'s' * (gates > 1)}, hidden size {size} by w_hh {w_hh.shape})"
            )
