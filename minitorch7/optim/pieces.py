"""Many small parameters updated as one, and large ones in pieces.

An update is a dozen array operations. For a bias of eight numbers each costs its start and hardly
anything else, and a network has dozens of such parameters: laid end to end, they are updated by one
dozen operations, not by dozens of dozens. On a GPU each operation saved is a launch saved.

For a million numbers each operation walks through all of memory. Cut into pieces that stay in the
processor's cache, the parameter is walked through once, and threads share the pieces.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor
from ..kernels import threads

SMALL = 16_384  # elements up to which a parameter is bundled
PIECE = 128 * 1024  # elements: what an update reads and writes of a piece stays in the caches


class Bundle:
    """Parameters of one dtype on one backend, whose rules remember alike things.

    What an optimiser remembers, `state`, is one long array for each name. The parameters' own
    states are views of its pieces, for whoever looks at one parameter.
    """

    def __init__(self, params: list[Tensor], states: list[dict[str, Any]]) -> None:
        self.params = params
        self.xp = backend.library(params[0].backend)
        edges = list(itertools.accumulate((p.numel() for p in params), initial=0))
        self.places = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self.state = {
            name: self._joined([s[name] for s in states]) if backend.is_array(value) else value
            for name, value in states[0].items()
        }
        self.views = [self._views(i) for i in range(len(params))]

    def _joined(self, arrays: list[Any]) -> Any:
        return self.xp.concatenate([a.reshape(-1) for a in arrays])

    def _views(self, i: int) -> dict[str, Any]:
        """The arrays of the state, as parameter i sees them."""
        place, shape = self.places[i], self.params[i].shape
        return {
            name: value[place].reshape(shape)
            for name, value in self.state.items()
            if backend.is_array(value)
        }

    def holds(self, params: list[Tensor], states: list[dict[str, Any]]) -> bool:
        """Whether these are the parameters, and their states still the ones that this shares."""
        if len(params) != len(self.params):
            return False
        for p, mine, state, views in zip(params, self.params, states, self.views, strict=True):
            if p is not mine or state.keys() != self.state.keys():
                return False
            for name, value in self.state.items():
                if state[name] is not views.get(name, state[name]):
                    return False
                if name not in views and state[name] != value:
                    return False
        return True

    def follow(self, state: dict[str, Any]) -> None:
        """Take over the numbers, such as a count of steps, that one parameter's state now has."""
        for name in self.state:
            if name not in self.views[0] and name in state:
                self.state[name] = state[name]

    def update(self, optimizer: Any, group: dict[str, Any], states: list[dict[str, Any]]) -> None:
        """One step of `optimizer` on all of them."""
        known = len(self.state)
        p = self._joined([p.data for p in self.params])
        g = self._joined([p.grad.data for p in self.params])
        optimizer.update(self.xp, p, g, group, self.state)
        if len(self.state) != known:  # the first step makes what the rule will remember
            self.views = [self._views(i) for i in range(len(self.params))]
        plain = {k: v for k, v in self.state.items() if k not in self.views[0]}
        for param, place, state, views in zip(
            self.params, self.places, states, self.views, strict=True
        ):
            param.data[...] = p[place].reshape(param.shape)
            state.update(plain)
            state.update(views)


def alike(params: list[Tensor], states: dict[Tensor, dict[str, Any]]) -> list[Tensor]:
    """Of these parameters, those that can be bundled with the first small one."""
    small = [p for p in params if p.numel() <= SMALL]
    if not small:
        return []
    kind = _kind(small[0], states[small[0]])
    return [p for p in small if _kind(p, states[p]) == kind]


def _kind(p: Tensor, state: dict[str, Any]) -> tuple[Any, ...]:
    plain = [(k, None if backend.is_array(v) else v) for k, v in state.items()]
    return (p.backend, p.dtype, p.grad.dtype == p.dtype, *plain)


# ---------------------------------------------------------------------------------------- pieces


def can_be_cut(p: Any, g: Any, state: dict[str, Any]) -> bool:
    """Whether an update of the array p can run on pieces: NumPy, large, all in p's order."""
    arrays = [p, g, *(v for v in state.values() if backend.is_array(v))]
    return (
        isinstance(p, np.ndarray)
        and p.size > PIECE
        and all(a.shape == p.shape and a.flags.c_contiguous for a in arrays)
    )


def update_in_pieces(
    optimizer: Any, p: Any, g: Any, group: dict[str, Any], state: dict[str, Any]
) -> None:
    """The same as ``optimizer.update(np, p, g, group, state)``, a piece after the other."""
    flat = {k: v.reshape(-1) if backend.is_array(v) else v for k, v in state.items()}
    p, g = p.reshape(-1), g.reshape(-1)
    spans = threads.cut(p.size, -(-p.size // PIECE))
    parts = threads.cut(len(spans), 8)
    plain = [k for k, v in state.items() if not backend.is_array(v)]

    def part(i: int) -> None:
        for number in parts[i]:
            piece = slice(spans[number].start, spans[number].stop)
            own = {k: v if k in plain else v[piece] for k, v in flat.items()}
            optimizer.update(np, p[piece], g[piece], group, own)
            if number == 0:  # a count of steps, say: every piece counts the same
                state.update({k: own[k] for k in plain})

    threads.share(part, len(parts))
