"""The table of a model's layers, as fastai's ``learn.summary()`` printed it in the lesson."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Any

from .. import nn
from ..autograd import Tensor, no_grad
from .groups import own_parameters

WIDTH = 70


@dataclass(frozen=True)
class Row:
    """One layer: its place, its class, the shape it gave out, its parameters."""

    index: int
    layer: str
    shape: list[int]
    params: int
    trainable: bool


@dataclass(frozen=True)
class Summary:
    """The rows and the totals; ``str(summary)`` is the table."""

    rows: list[Row]

    @property
    def total(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.params for row in self.rows if row.trainable)

    @property
    def non_trainable(self) -> int:
        return self.total - self.trainable

    def __str__(self) -> str:
        rule, thin = "=" * WIDTH, "_" * WIDTH
        head = f"{'Layer (type)':<20} {'Output Shape':<20} {'Param #':<10} {'Trainable':<10}"
        lines = [rule, head, rule]
        for row in self.rows:
            shape, learns = str(row.shape), str(row.trainable)
            lines += [f"{row.layer:<20} {shape:<20} {row.params:<10} {learns:<10}", thin]
        lines += [
            "",
            f"Total params:  {self.total}",
            f"Total trainable params:  {self.trainable}",
            f"Total non-trainable params:  {self.non_trainable}",
        ]
        return "\n".join(lines)

    __repr__ = __str__  # so that a notebook shows the table


def summarize(model: nn.Module, *inputs: Tensor) -> Summary:
    """Run `inputs` through `model` in evaluation mode and list what each layer gave out.

    One row a layer that has no layers inside and was used, in the order in which the model
    registered them, with its last output. Parameters are those of its weight and its bias, so that
    weight norm's g and attention's γ do not count; of a layer without a weight (an LSTM has several
    under other names) they are all it holds, where fastai counted none.
    """
    shapes: dict[nn.Module, list[int]] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        shapes[module] = list(first.shape)

    leaves = [m for m in model.modules() if not any(True for _ in m.children())]
    with ExitStack() as stack:
        for leaf in leaves:
            stack.enter_context(leaf.register_forward_hook(note))
        stack.enter_context(nn.evaluating(model))
        stack.enter_context(no_grad())
        model(*inputs)
    used = [leaf for leaf in leaves if leaf in shapes]
    return Summary([_row(i, leaf, shapes[leaf]) for i, leaf in enumerate(used)])


def _row(index: int, layer: nn.Module, shape: list[int]) -> Row:
    own = own_parameters(layer)
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if isinstance(weight, Tensor):
        counted = [weight] + [bias] * isinstance(bias, Tensor)
        # under weight norm the weight is computed, and what learns are its parts
        trainable = any(p.requires_grad for name, p in own.items() if name.startswith("weight"))
    else:
        counted = list(own.values())
        trainable = any(p.requires_grad for p in counted)
    n = sum(prod(p.shape) for p in counted)
    return Row(index, type(layer).__name__, shape, n, trainable)
