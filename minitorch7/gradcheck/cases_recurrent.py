"""The cases of recurrent cells and sweeps: (name, function, the inputs' shapes).

Inputs are x, the weights, the biases, and the first states, as `Sweep` takes them: T = 2 steps of
N = 3 rows, with 1 feature and a state of 2, so that no two lengths of one array are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor, tensor

Shapes = tuple[tuple[int, ...], ...]


def _shapes(gates: int, states: int, length: int = 2, biases: bool = True) -> Shapes:
    """The shapes of a sweep's inputs; of a cell's where length is 0."""
    x = (length, 3, 1) if length else (3, 1)
    rows = 2 * gates
    return (x, (rows, 1), (rows, 2)) + ((rows,),) * (2 * biases) + ((3, 2),) * states


def _called(function: Callable[..., Any], states: int = 1, *options: Any) -> Callable[..., Any]:
    """`function` with its arguments in the order of `_shapes`, whether there are biases or not."""

    def call(x: Tensor, *rest: Tensor) -> Any:
        weights, first = rest[:-states], rest[-states:]
        biases = () if len(weights) == 4 or not options else (None, None)
        return function(x, first if states > 1 else first[0], *weights, *biases, *options)

    return call


def _only(result: Callable[[Any], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of which a part of the results is used."""
    return lambda *inputs: result(function(*inputs))


def _constants(function: Callable[..., Any], shapes: Shapes, *kept: int) -> Callable[..., Any]:
    """`function` of the inputs `kept`, the others being constants."""
    rng = np.random.default_rng(11)
    fixed = [rng.standard_normal(s) for s in shapes]

    def call(*given: Tensor) -> Any:
        places = dict(zip(kept, given, strict=True))
        return function(*[places[i] if i in places else tensor(a) for i, a in enumerate(fixed)])

    return call


RNN, RELU = _called(F.rnn_sweep), _called(F.rnn_sweep, 1, "relu")
GRU, LSTM = _called(F.gru_sweep), _called(F.lstm_sweep, 2)
SWEEPS = {"rnn_sweep": (RNN, 1, 1), "rnn_sweep, relu": (RELU, 1, 1)}
SWEEPS |= {"gru_sweep": (GRU, 3, 1), "lstm_sweep": (LSTM, 4, 2)}


def _of_every_sweep() -> Iterator[tuple[str, Callable[..., Any], Shapes]]:
    """Each sweep as a whole, without biases, and in one of its inputs at a time."""
    for name, (sweep, gates, states) in SWEEPS.items():
        shapes = _shapes(gates, states)
        yield name, sweep, shapes
        yield f"{name}, no bias", sweep, _shapes(gates, states, biases=False)
        parts = ("x", "W_ih", "W_hh", "b_ih", "b_hh", "h", "c")[: len(shapes)]
        for at, part in enumerate(parts):
            yield f"{name}, in {part}", _constants(sweep, shapes, at), (shapes[at],)


RECURRENT: list[tuple[str, Callable[..., Any], Shapes]] = [
    ("rnn_cell", _called(F.rnn_cell), _shapes(1, 1, 0)),
    ("rnn_cell, relu", _called(F.rnn_cell, 1, "relu"), _shapes(1, 1, 0, False)),
    ("gru_cell", _called(F.gru_cell), _shapes(3, 1, 0)),
    ("lstm_cell", _called(F.lstm_cell, 2), _shapes(4, 2, 0)),
    ("gru_sweep, one step", GRU, _shapes(3, 1, 1)),
    ("gru_sweep, the last state", _only(lambda found: found[1], GRU), _shapes(3, 1)),
    ("gru_sweep, one output", _only(lambda found: found[0][1], GRU), _shapes(3, 1)),
    ("lstm_sweep, the last cell", _only(lambda found: found[2], LSTM), _shapes(4, 2)),
    (
        "gru_sweep, the first state made of the input",
        lambda x, *weights: GRU(x, *weights, F.cat([x[0], x[1] * x[0]], 1)),
        _shapes(3, 0),
    ),
    *_of_every_sweep(),
]
