"""What is counted of an operation, and which layer it is counted for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import backend
from ..autograd import Function, Tensor, layer_names

OUTSIDE = "-"  # the path of operations that ran in no layer


@dataclass
class Cost:
    """Time, calls and bytes.

    calls           how often forward ran
    backward_calls  how often the gradient's rule ran
    forward_ms      milliseconds of wall time in forward, recording for backward included
    backward_ms     milliseconds in the rule, and in adding its answers to other uses' gradients
    forward_bytes   new memory that forward's results hold; a view of an input holds none
    backward_bytes  the same for the operations that the rule is made of
    saved_bytes     what was kept for backward, as `bytes_kept` counts it
    """

    calls: int = 0
    backward_calls: int = 0
    forward_ms: float = 0.0
    backward_ms: float = 0.0
    forward_bytes: int = 0
    backward_bytes: int = 0
    saved_bytes: int = 0

    @property
    def ms(self) -> float:
        """Milliseconds, forward and backward."""
        return self.forward_ms + self.backward_ms

    def add(self, other: Cost) -> None:
        """Add another's figures to these."""
        for name in Cost.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Record(Cost):
    """One operation in one layer: what the other two sums are made of."""

    operation: str = ""
    layer: str = OUTSIDE


@dataclass
class OperationCost(Cost):
    """One operation, wherever it ran, under the name that error messages give it."""

    operation: str = ""


@dataclass
class LayerCost(Cost):
    """One layer: the figures are its own operations', without the layers inside it.

    layer       its path as errors give it, '3.conv1'; a model's own is its class; '-' is no layer
    class_name  'Conv2d'
    depth       how many layers were running around it
    calls       how often the layer was called
    total_ms    its own milliseconds and those of the layers inside it
    """

    layer: str = OUTSIDE
    class_name: str = ""
    depth: int = 0
    total_ms: float = 0.0


# ------------------------------------------------------------------------------------------ bytes


def new_bytes(inputs: Iterable[Any], outputs: Sequence[Tensor]) -> int:
    """Bytes of the memory that the outputs brought into being.

    A result may be a view of something fresh (convolutions keep the batch last and hand out a
    transposed view), so what counts is who owns the memory: an input, or nobody before.
    """
    known = {id(backend.owner(t.data)) for t in inputs if isinstance(t, Tensor)}
    fresh = {id(owner): owner.nbytes for owner in (backend.owner(t.data) for t in outputs)}
    return sum(size for identity, size in fresh.items() if identity not in known)


def bytes_kept(node: Function) -> int:
    """Bytes of all arrays that a node holds for its backward.

    They are those it passed to `save`, inputs and weights included, and those it keeps as
    attributes, such as the places of the maxima. An array that two operations keep (ReLU its
    output, the next layer its input) counts in both, so a sum over operations is no measure of the
    memory in use. A graph also holds the tensors on its edges, which are not counted here.
    """
    arrays = {id(a): a for a in node.kept_arrays()}
    by_owner: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for array in arrays.values():
        owner = backend.owner(array)
        by_owner[id(owner)] = by_owner.get(id(owner), 0) + array.nbytes
        sizes[id(owner)] = owner.nbytes
    # Two views of one memory are no more than that memory; a stretched view is less than it seems.
    return sum(min(seen, sizes[identity]) for identity, seen in by_owner.items())


# ----------------------------------------------------------------------------------------- layers

Stack = tuple[int, ...]  # the identities of the running layers, outermost first
Names = tuple[str, ...]  # a layer's place: the model's label, then its name in the layer around it


def layer_places(stacks: Mapping[Stack, Sequence[Any]]) -> dict[Stack, Names]:
    """Where the innermost layer of each stack stands.

    The second model of a class is labelled 'Sequential#2', except where nothing tells the two
    apart: losses and activations have no parameters and may be made anew for every call.
    """
    labels: dict[int, str] = {}
    used: dict[str, int] = {}
    places: dict[Stack, Names] = {}
    for stack, layers in stacks.items():
        if stack and stack[0] not in labels:
            label = type(layers[0]).__name__
            if any(True for _ in layers[0].parameters()):
                used[label] = used.get(label, 0) + 1
                label += f"#{used[label]}" if used[label] > 1 else ""
            labels[stack[0]] = label
        # a layer that calls itself is called "" in itself, and is one layer all the same
        names = filter(None, layer_names(layers))
        places[stack] = (labels[stack[0]], *names) if stack else ()
    return places


def layer_paths(places: Iterable[Names]) -> dict[Names, str]:
    """The text for each place: '3.conv1', or 'Critic.3.conv1' where several models ran."""
    places = list(places)
    several = len({names[0] for names in places if len(names) > 1}) > 1
    paths = {names: ".".join(names if several else names[1:] or names) for names in places}
    return {**paths, (): OUTSIDE}


def as_tree(layers: Mapping[Names, LayerCost]) -> list[LayerCost]:
    """Each layer before those inside it, the slowest (with its inside) first; fills in total_ms."""
    inside: dict[Names | None, list[Names]] = {}
    for names in layers:
        inside.setdefault(names[:-1] if len(names) > 1 else None, []).append(names)

    def branch(names: Names) -> list[LayerCost]:
        layer = layers[names]
        below = [branch(child) for child in inside.get(names, [])]
        layer.total_ms = layer.ms + sum(b[0].total_ms for b in below)
        return [layer, *_slowest_first(below)]

    return _slowest_first([branch(names) for names in inside.get(None, [])])


def _slowest_first(branches: list[list[LayerCost]]) -> list[LayerCost]:
    ordered = sorted(branches, key=lambda b: -b[0].total_ms)
    return [layer for b in ordered for layer in b]
