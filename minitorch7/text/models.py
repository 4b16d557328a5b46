"""The lesson's language models, 0 to 5: each is the one before, written better.

    0   three words in, the fourth out, every step written down
    1   the same as a loop
    2   an answer after every word
    3   the state kept from batch to batch
    4   the loop is a layer, `nn.RNN`
    5   two layers of a cell with gates, `nn.GRU`

All take word numbers x (bs, time) and answer with scores: models 0 and 1 (bs, nv) for the word
after the last, the others (bs, time, nv) for the word after each. nv words are known and the state
has nh numbers. The names are the lesson's: i_h leads from the input to the hidden state, h_h from
one state to the next, h_o from the state to the output.
"""

from __future__ import annotations

from .. import functional as F
from .. import nn
from ..autograd import Tensor
from .state import KeepsState, check_words


class Model0(nn.Module):
    """Three words in, one word out.

        h = BN(ReLU(W·E(x₀))),  then  h = BN(ReLU(W·(h + E(xₜ))))  for t = 1 and 2

    E is `i_h`, W is `h_h` (with its bias). In the lesson's published runs the first line lacked W;
    its authors mended that afterwards, and this is the mended one.
    """

    def __init__(self, nv: int = 38, nh: int = 64) -> None:
        self.i_h = nn.Embedding(nv, nh)
        self.h_h = nn.Linear(nh, nh)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1d(nh)

    def forward(self, x: Tensor) -> Tensor:
        check_words(self, x, 3)
        h = self.i_h(x[:, 0])  # (bs, nh)
        h = self.bn(F.relu(self.h_h(h)))
        h = h + self.i_h(x[:, 1])
        h = self.bn(F.relu(self.h_h(h)))
        h = h + self.i_h(x[:, 2])
        h = self.bn(F.relu(self.h_h(h)))
        return self.h_o(h)  # (bs, nv)


class Model1(Model0):
    """Model 0 as a loop: the same layers, the same answers, and texts of any length."""

    def forward(self, x: Tensor) -> Tensor:
        check_words(self, x)
        h = 0  # nothing has been read
        for t in range(x.shape[1]):
            h = h + self.i_h(x[:, t])
            h = self.bn(F.relu(self.h_h(h)))
        return self.h_o(h)  # (bs, nv)


class Model2(Model0):
    """An answer after every word, so that every word is a lesson.

    Batch norm has moved from the state to the way out, as in the lesson's final notebook.
    """

    def forward(self, x: Tensor) -> Tensor:
        check_words(self, x)
        h, scores = 0, []
        for t in range(x.shape[1]):
            h = h + self.i_h(x[:, t])
            h = F.relu(self.h_h(h))
            scores.append(self.h_o(self.bn(h)))
        return F.stack(scores, dim=1)  # (bs, time, nv)


class Model3(KeepsState):
    """Model 2 with a memory: each batch goes on from the state in which the last one ended."""

    def __init__(self, nv: int = 38, nh: int = 64, bs: int = 64) -> None:
        super().__init__(bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.h_h = nn.Linear(nh, nh)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1d(nh)

    def forward(self, x: Tensor) -> Tensor:
        h, outputs = self.kept(x), []
        for t in range(x.shape[1]):
            h = h + self.i_h(x[:, t])
            h = F.relu(self.h_h(h))
            outputs.append(self.bn(h))
        self.keep(h)
        return self.h_o(F.stack(outputs, dim=1))  # (bs, time, nv)


class Model4(KeepsState):
    """Model 3 with the loop inside a layer; it adds a weight for the word, and squashes by tanh."""

    def __init__(self, nv: int = 38, nh: int = 64, bs: int = 64) -> None:
        super().__init__(1, bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.rnn = nn.RNN(nh, nh, batch_first=True)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1dFlat(nh)

    def forward(self, x: Tensor) -> Tensor:
        output, h = self.rnn(self.i_h(x), self.kept(x))
        self.keep(h)
        return self.h_o(self.bn(output))  # (bs, time, nv)


class Model5(KeepsState):
    """Model 4 with two layers of GRU cells, whose gates decide what is kept and what is new."""

    def __init__(self, nv: int = 38, nh: int = 64, bs: int = 64) -> None:
        super().__init__(2, bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.rnn = nn.GRU(nh, nh, 2, batch_first=True)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1dFlat(nh)

    def forward(self, x: Tensor) -> Tensor:
        output, h = self.rnn(self.i_h(x), self.kept(x))
        self.keep(h)
        return self.h_o(self.bn(output))  # (bs, time, nv)


class RecurrentModel(KeepsState):
    """Models 4 and 5 with any cell and any number of layers, to compare them.

    cell  'rnn' (one layer: model 4), 'gru' (two layers: model 5) or 'lstm'

    An LSTM's state is a pair (h, c); it is kept as one tensor (2, layers, bs, nh).
    """

    def __init__(
        self, cell: str = "lstm", nv: int = 38, nh: int = 64, bs: int = 64, layers: int = 1
    ) -> None:
        cells = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
        if not isinstance(cell, str) or cell not in cells:
            known = ", ".join(map(repr, cells))
            raise ValueError(f"RecurrentModel: cell must be one of {known}, got {cell!r}")
        self.pair = cell == "lstm"
        super().__init__(*([2] if self.pair else []), layers, bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.rnn = cells[cell](nh, nh, layers, batch_first=True)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1dFlat(nh)

    def forward(self, x: Tensor) -> Tensor:
        h = self.kept(x)
        output, h = self.rnn(self.i_h(x), (h[0], h[1]) if self.pair else h)
        self.keep(F.stack(h) if self.pair else h)
        return self.h_o(self.bn(output))  # (bs, time, nv)
