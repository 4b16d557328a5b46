"""The recorded graph as plain data: what to draw, or to print.

graph = graph_of(loss, model.named_parameters())
plot.draw_graph(graph)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .tensor import Tensor
from .walk import _check_roots, _key, _sorted_nodes


class Graph(NamedTuple):
    """What `graph_of` found.

    nodes  {key: (kind, text)}, each after those it depends on; the kinds are "leaf" (a tensor that
           was given), "operation" and "output"
    edges  [(from, to, shape)]: the tensors, by the keys of what made them and what they went into
    """

    nodes: dict[str, tuple[str, str]]
    edges: list[tuple[str, str, str]]


def graph_of(
    outputs: Tensor | Sequence[Tensor],
    names: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = (),
) -> Graph:
    """The operations that `outputs` were computed by, as the walk backward will see them.

    names  of tensors: ``model.named_parameters()``, or {"x": x, "loss": loss}

    What needs no gradient, such as a batch of data, was not recorded and is not there. RuntimeError
    where nothing was recorded, or a walk has freed it: look before `backward`.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    named = dict(names)
    for t in (*outputs, *named.values()):
        if not isinstance(t, Tensor):
            raise TypeError(f"graph_of: needs Tensors, got {type(t).__name__}")
    if not outputs:
        raise ValueError("graph_of: there is no output to look back from")
    _check_roots("graph_of", outputs)
    return _Reader({_key(t): name for name, t in named.items()}).read(outputs)


class _Reader:
    """Collects nodes and edges; `names` are by the keys that the walk uses."""

    def __init__(self, names: dict[Any, str]) -> None:
        self.names = names
        self.keys: dict[Any, str] = {}
        self.graph = Graph({}, [])

    def read(self, outputs: list[Tensor]) -> Graph:
        made = {_key(t) for t in outputs}
        for node in _sorted_nodes([t.grad_fn for t in outputs if t.grad_fn is not None]):
            inputs = [(self._source(t), t.shape) for t in node.inputs if t is not None]
            known = [self.names.get((node, i)) for i in range(len(node.output_like))]
            shown = [n for i, n in enumerate(known) if n is not None and (node, i) not in made]
            key = self.keys[node] = self._add("operation", "\n".join([node.name, *shown]))
            for source, shape in inputs:
                self.graph.edges.append((source, key, str(tuple(shape))))
        for t in outputs:
            source = self._source(t)
            key = self._add("output", self.names.get(_key(t), "output"))
            self.graph.edges.append((source, key, str(tuple(t.shape))))
        return self.graph

    def _source(self, t: Any) -> str:
        """The key of the node that a tensor or an edge comes from; a leaf is added when met."""
        if t.grad_fn is not None:
            return self.keys[t.grad_fn]
        if t not in self.keys:
            self.keys[t] = self._add("leaf", self.names.get(t, "leaf"))
        return self.keys[t]

    def _add(self, kind: str, text: str) -> str:
        key = f"{kind}{len(self.graph.nodes)}"
        self.graph.nodes[key] = (kind, text)
        return key
