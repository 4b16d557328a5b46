"""The lesson's six language models in PyTorch, and their training as minitorch7's Learner does it.

Written from the lesson's description with `torch.nn` and `torch.optim` alone. The layers have the
names of those in `minitorch7.text.models`, so weights cross over by name; the benchmark, though,
starts from what PyTorch itself draws.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from . import pytorch, start


class Loops(nn.Module):
    """Models 0 to 3: how far the loop is written out, and what of it is kept."""

    def __init__(self, kind: int, nv: int, nh: int, bs: int) -> None:
        super().__init__()
        self.kind = kind
        self.i_h = nn.Embedding(nv, nh)
        self.h_h = nn.Linear(nh, nh)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1d(nh)
        if kind == 3:
            self.register_buffer("h", torch.zeros(bs, nh))

    def forward(self, x: Any) -> Any:
        h = self.h if self.kind == 3 else torch.zeros_like(self.i_h(x[:, 0]))
        results = []
        for t in range(x.shape[1]):
            h = torch.relu(self.h_h(h + self.i_h(x[:, t])))
            if self.kind < 2:
                h = self.bn(h)
            results.append(self.h_o(h if self.kind < 2 else self.bn(h)))
        if self.kind == 3:
            self.h = h.detach()
        return results[-1] if self.kind < 2 else torch.stack(results, dim=1)


class Layers(nn.Module):
    """Models 4 and 5, and the same with an LSTM: PyTorch's layers, batch norm over all places."""

    def __init__(self, cell: Any, layers: int, nv: int, nh: int, bs: int) -> None:
        super().__init__()
        self.i_h = nn.Embedding(nv, nh)
        self.rnn = cell(nh, nh, layers, batch_first=True)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1d(nh)
        pair = [2] if cell is nn.LSTM else []
        self.register_buffer("h", torch.zeros(*pair, layers, bs, nh))

    def forward(self, x: Any) -> Any:
        state = (self.h[0], self.h[1]) if self.h.dim() == 4 else self.h
        output, state = self.rnn(self.i_h(x), state)
        self.h = (torch.stack(state) if isinstance(state, tuple) else state).detach()
        return self.h_o(self.bn(output.flatten(0, 1)).reshape(output.shape))


def make(model: int, nv: int = start.WORDS, nh: int = start.WIDTH, bs: int = 64) -> nn.Module:
    """Model 0 to 5, with PyTorch's own initial weights."""
    if model < 4:
        return Loops(model, nv, nh, bs)
    return Layers(*((nn.RNN, 1) if model == 4 else (nn.GRU, 2)), nv, nh, bs)


def fit(net: nn.Module, data: Any, cyc_len: int, max_lr: float, pct_start: float = 0.3) -> list:
    """Train on a DataBunch's batches with one cycle of AdamW; the accuracy after every epoch.

    What the Learner does on a processor: the same batches, the same rate and momentum before each,
    weights decayed by 1 − lr·wd, a state that goes on from training to validation and back.
    """
    from minitorch7.optim import OneCycle

    adamw = pytorch.optimizer(net.parameters())
    cycle = OneCycle(cyc_len * len(data.train_dl), max_lr, pct_start=pct_start)
    done, accuracies = 0, []
    for epoch in range(cyc_len):
        net.train()
        for x, y in data.train_dl.batches(epoch):
            for group in adamw.param_groups:
                group["lr"], momentum = cycle.at(done)
                group["betas"] = (momentum, start.BETAS[1])
            adamw.zero_grad()
            F.cross_entropy(*answers(net, x, y)).backward()
            adamw.step()
            done += 1
        accuracies.append(accuracy(net, data.valid_dl))
    return accuracies


def accuracy(net: nn.Module, loader: Any) -> float:
    """The share of right answers, in evaluation mode."""
    right = asked = 0
    net.eval()
    with torch.no_grad():  # not inference_mode: the state that is kept is used in training
        for x, y in loader.batches(0):
            scores, target = answers(net, x, y)
            right += int((scores.argmax(1) == target).sum())
            asked += len(target)
    return right / asked


def answers(net: nn.Module, x: Any, y: Any) -> tuple[Any, Any]:
    """Scores (n, nv) and their targets (n,): of every word, or of the last if that is all it says.

    x, y (bs, time) are minitorch7's.
    """
    scores, target = net(torch.from_numpy(x.numpy())), torch.from_numpy(y.numpy())
    if scores.dim() == 2:
        return scores, target[:, -1]
    return scores.flatten(0, 1), target.flatten()
