"""Recurrent layers: RNN, GRU and LSTM, whole sequences or one step at a time.

An RNN is an ordinary network refactored into a loop: the same layer for every step, which is given
the step's input and its own last result. The layers here take sequences; their cells take one step
of one, and are what a layer repeats. Names, arguments and results are PyTorch's.

A layer computes by sweeps (``kernels/recurrent.py``): one operation for all steps. With
``sweep=False`` it runs the loop of cells instead, which gives the same numbers more slowly, and a
graph in which every step can be seen.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import functional as F
from ..autograd import Tensor
from ..creation import zeros
from ..functional import recurrent
from ..functional._arguments import check_float, check_integer, check_same_dtype, is_number
from . import init
from .module import Module, Parameter

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # in the order of the parameters
PAD = (
    "pad the sequences to one length, and leave the padding out of the loss by ignore_index "
    "(F.cross_entropy(..., ignore_index=1))"
)


def _add_weights(
    module: Module, suffix: str, gates: int, width: int, hidden: int, bias: bool
) -> None:
    """weight_ih, weight_hh, bias_ih and bias_hh: U(−1/√H, 1/√H), as in PyTorch."""
    rows = gates * hidden
    for name, shape in (("weight_ih", (rows, width)), ("weight_hh", (rows, hidden))):
        module.register_parameter(name + suffix, Parameter(zeros(*shape)))
    for name in ("bias_ih", "bias_hh"):
        module.register_parameter(name + suffix, Parameter(zeros(rows)) if bias else None)
    bound = 1 / math.sqrt(hidden)
    for name in WEIGHTS:
        weight = getattr(module, name + suffix)
        if weight is not None:
            init.uniform_(weight, -bound, bound)


# ------------------------------------------------------------------------------------------ cells


class _Cell(Module):
    """One step: input (N, in) or (in,), and a state (N, H) or (H,); None for zeros."""

    gates = 1
    states = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        name = type(self).__name__
        self.input_size = check_integer(name, "input_size", input_size, 0)
        self.hidden_size = check_integer(name, "hidden_size", hidden_size, 1)
        self.bias = bool(bias)
        _add_weights(self, "", self.gates, input_size, hidden_size, self.bias)

    def step(self, input: Tensor, states: tuple[Tensor, ...]) -> Any:
        """One step of rows: input (N, in), states (N, H)."""
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        name = type(self).__name__
        x = check_float(name, "input", input)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input must be (N, {self.input_size}) or ({self.input_size},), one step "
                f"of a sequence, got shape {x.shape}"
            )
        states = _states(name, hx, self.states, x, (*x.shape[:-1], self.hidden_size))
        if x.ndim == 2:
            return self.step(x, states)
        found = self.step(x.unsqueeze(0), tuple(s.unsqueeze(0) for s in states))
        return tuple(s[0] for s in found) if self.states > 1 else found[0]

    def _weights(self) -> tuple[Tensor | None, ...]:
        return tuple(getattr(self, name) for name in WEIGHTS)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu(…); see `functional.rnn_cell`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = _check_nonlinearity("RNNCell", nonlinearity)

    def step(self, input: Tensor, states: tuple[Tensor, ...]) -> Tensor:
        return F.rnn_cell(input, *states, *self._weights(), self.nonlinearity)

    def extra_repr(self) -> str:
        kind = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + kind


class GRUCell(_Cell):
    """A gated recurrent unit, h' = (1 − z)·n + z·h; see `functional.gru_cell`."""

    gates = 3

    def step(self, input: Tensor, states: tuple[Tensor, ...]) -> Tensor:
        return F.gru_cell(input, *states, *self._weights())


class LSTMCell(_Cell):
    """Long short-term memory; the state is two tensors, (h, c). See `functional.lstm_cell`."""

    gates = 4
    states = 2

    def step(self, input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        return F.lstm_cell(input, states, *self._weights())


# ----------------------------------------------------------------------------------------- layers


class _Recurrent(Module):
    """What the three layers share; their arguments are explained in `RNN`."""

    gates = 1
    states = 1
    cell: recurrent.Cell  # what a layer repeats

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        sweep: bool = True,
    ) -> None:
        name = type(self).__name__
        self.input_size = check_integer(name, "input_size", input_size, 0)
        self.hidden_size = check_integer(name, "hidden_size", hidden_size, 1)
        self.num_layers = check_integer(name, "num_layers", num_layers, 1)
        if proj_size:
            raise ValueError(
                f"{name}: proj_size (={proj_size}) must be 0: put nn.Linear({hidden_size}, "
                f"{proj_size}) behind the layer instead"
            )
        self.bias, self.batch_first = bool(bias), bool(batch_first)
        self.dropout = _check_dropout(name, dropout, num_layers)
        self.bidirectional, self.sweep = bool(bidirectional), bool(sweep)
        self.suffixes = [  # of the weights' names, a layer and direction each
            f"_l{layer}{way}"
            for layer in range(num_layers)
            for way in (("", "_reverse") if bidirectional else ("",))
        ]
        width, directions = input_size, 1 + self.bidirectional
        for i, suffix in enumerate(self.suffixes):
            width = input_size if i < directions else directions * hidden_size
            _add_weights(self, suffix, self.gates, width, hidden_size, self.bias)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        x = self._check_input(input)
        batched = x.ndim == 3
        rows = () if not batched else (x.shape[0 if self.batch_first else 1],)
        shape = (len(self.suffixes), *rows, self.hidden_size)
        states = _states(type(self).__name__, hx, self.states, x, shape)
        if not batched:
            x, states = x.unsqueeze(1), tuple(s.unsqueeze(1) for s in states)
        elif self.batch_first:
            x = x.transpose(0, 1)
        y, last = self._stacked(x, states)
        if not batched:
            y, last = y.squeeze(1), tuple(s.squeeze(1) for s in last)
        elif self.batch_first:
            y = y.transpose(0, 1)
        return y, last if self.states > 1 else last[0]

    def _stacked(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers: x (T, N, in), states (layers·directions, N, H)."""
        directions, last = 1 + self.bidirectional, []
        for i in range(0, len(self.suffixes), directions):
            if i and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for k in range(i, i + directions):
                y, *after = self._one(x, self.suffixes[k], [s[k] for s in states])
                outputs.append(y)
                last.append(after)
            x = outputs[0] if directions == 1 else F.cat(outputs, -1)
        return x, tuple(F.stack(s) for s in zip(*last, strict=True))

    def _one(self, x: Tensor, suffix: str, states: list[Tensor]) -> tuple[Tensor, ...]:
        """One layer in one direction → (output (T, N, H), *last states)."""
        weights = [getattr(self, name + suffix) for name in WEIGHTS]
        cell, back = self.cell, suffix.endswith("_reverse")
        x = F.flip(x, 0) if back else x
        if self.sweep:
            y, *last = recurrent.Sweep(cell)(x, *weights, *states)
        else:
            y, *last = recurrent.loop(cell.step, x, *weights, *states)
        return F.flip(y, 0) if back else y, *last

    def _check_input(self, input: Any) -> Tensor:
        name = type(self).__name__
        if isinstance(input, list | tuple) or hasattr(input, "batch_sizes"):
            what = "packed sequences" if hasattr(input, "batch_sizes") else "lists of sequences"
            raise TypeError(f"{name}: cannot take {what}; {PAD}")
        x = check_float(name, "input", input)
        axes = "(N, T, in)" if self.batch_first else "(T, N, in)"
        if x.ndim not in (2, 3):
            raise ValueError(f"{name}: input must be {axes} or (T, in), got shape {x.shape}")
        if x.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input has {x.shape[-1]} features a step but the layer takes "
                f"{self.input_size} (input {x.shape}, {axes})"
            )
        if x.shape[1 if self.batch_first and x.ndim == 3 else 0] == 0:
            raise ValueError(f"{name}: the sequence is empty: input {x.shape}, {axes}")
        check_same_dtype(name, x, weight_hh_l0=self.weight_hh_l0)
        return x

    def flatten_parameters(self) -> None:
        """Nothing to do: there is no order of the weights in memory that would be faster.

        PyTorch's code calls it to lay the weights out for cuDNN.
        """

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, usual in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
            ("sweep", True),
        ):
            if getattr(self, name) != usual:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(_Recurrent):
    """The plain recurrent layer, h_t = tanh(W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh), or relu(…).

    input_size, hidden_size  features of a step and of a state
    num_layers               layers on top of each other: each takes the outputs of the one below
    nonlinearity             'tanh' or 'relu'
    bias                     False leaves both biases out
    batch_first              input and output are (N, T, …) instead of (T, N, …); states never are
    dropout                  the chance with which each output of a layer but the last is dropped
                             before the next layer sees it, while training
    bidirectional            a second set of layers reads the sequence from its end, and the outputs
                             are both, one after the other: (…, 2·H)
    sweep                    False runs the loop of cells (ours, not PyTorch's)

    input (T, N, in), or one sequence (T, in) without a batch, and a first state
    (num_layers·directions, N, H), or None for zeros → (output, last state).

    ValueError for an input or a state that does not fit, or an empty sequence. Sequences of several
    lengths have to be padded to one, with the padding left out of the loss by ignore_index.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        sweep: bool = True,
    ) -> None:
        self.nonlinearity = _check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            sweep=sweep,
        )  # fmt: skip

    @property
    def cell(self) -> recurrent.Cell:
        return recurrent.RNN_RELU if self.nonlinearity == "relu" else recurrent.RNN_TANH


class GRU(_Recurrent):
    """Gated recurrent units, h_t = (1 − z)·n + z·h_{t−1}: see `functional.gru_cell`.

    Arguments and results are those of `RNN`, without a nonlinearity.
    """

    gates = 3
    cell = recurrent.GRU


class LSTM(_Recurrent):
    """Long short-term memory: see `functional.lstm_cell`.

    Arguments are those of `RNN`, without a nonlinearity; the state is two tensors, (h, c), both
    (num_layers·directions, N, H), and so is the last state: output, (h_n, c_n).
    """

    gates = 4
    states = 2
    cell = recurrent.LSTM


# ----------------------------------------------------------------------------------------- checks


def _states(
    name: str, hx: Any, count: int, x: Tensor, shape: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """The first states as tensors of `shape`: those given, or zeros."""
    if hx is None:
        first = zeros(*shape, dtype=x.dtype).to(x.backend)
        return (first,) * count
    if count == 2:
        hx = recurrent.two_states(name, hx)
    elif isinstance(hx, tuple | list):
        raise TypeError(f"{name}: hx must be one tensor {shape}, got {len(hx)} in a tuple")
    else:
        hx = (hx,)
    labels = ("h", "c") if count == 2 else ("hx",)
    for label, t in zip(labels, hx, strict=True):
        check_float(name, label, t)
        check_same_dtype(name, x, **{label: t})
        if t.shape != shape:
            raise ValueError(
                f"{name}: {label} must have shape {shape}, got {t.shape} (input {x.shape})"
            )
    return hx


def _check_nonlinearity(name: str, nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return nonlinearity


def _check_dropout(name: str, dropout: float, num_layers: int) -> float:
    if not is_number(dropout) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(f"{name}: dropout must be a probability between 0 and 1, got {dropout!r}")
    if dropout and num_layers == 1:
        warnings.warn(
            f"{name}: dropout (={dropout}) acts between layers, and there is one layer only: "
            "set num_layers above 1, or leave dropout out",
            stacklevel=3,
        )
    return float(dropout)
