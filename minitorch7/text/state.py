"""Models that go on reading where they stopped: a state kept from one batch to the next.

Row k of every batch continues row k of the batch before, so a recurrent model need not begin with
an empty mind each time. What it keeps is a plain value, cut off from the graph: gradients reach
back to the beginning of the batch and no further (truncated backpropagation through time, Williams
& Peng 1990). Otherwise the graph of the hundredth batch would contain the ninety-nine before it.

Nothing resets the state by itself, and the lesson never does. So the first words of a validation
set are read with the memory of where training stopped, which is not what stands before them; a
model forgets it after a few words, and those count for little among many. It follows that a
validation after training and another after that one differ a little. ``reset()`` beforehand makes
a clean start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import backend, nn
from ..autograd import Tensor
from ..autograd import state as autograd_state
from ..creation import zeros
from ..functional._arguments import check_integer, check_tensor

BATCH = -2  # the state's axis of the texts: (bs, nh) or (layers, bs, nh)


class KeepsState(nn.Module):
    """A model with a state `h`, zeros at first: of shape (…, bs, nh), in the model's dtype.

    `h` is a buffer: checkpoints hold it, ``model.to(...)`` moves it, the optimiser leaves it alone.
    A forward begins with ``h = self.kept(x)`` and ends with ``self.keep(h)``.
    """

    def __init__(self, *shape: int) -> None:
        if len(shape) < 2:
            raise ValueError(
                f"{type(self).__name__}: a state needs the shape (..., bs, nh), got {shape}"
            )
        for n in shape:
            check_integer(type(self).__name__, f"each length of the state {shape}", n, 1)
        self.register_buffer("h", zeros(*shape))

    def kept(self, x: Tensor) -> Tensor:
        """The state in which the batch x (bs, time) finds the model.

        ValueError where x has another number of texts; BackendError where it lies elsewhere.
        """
        check_words(self, x)
        name, bs = type(self).__name__, self.h.shape[BATCH]
        if x.shape[0] != bs:
            raise ValueError(
                f"{name}: the state kept is that of {bs} texts, but the batch {x.shape} has "
                f"{x.shape[0]}; call model.reset(bs={x.shape[0]}) to begin with so many (or turn "
                "the batch, x.T, where time is its first axis)"
            )
        if x.backend != self.h.backend:
            raise backend.BackendError(backend.mixed_message(name, (x.data, self.h.data)))
        return self.h

    def keep(self, h: Tensor) -> None:
        """Keep h for the next batch, without its history.

        ValueError or TypeError where it is no state like the one before.
        """
        name = type(self).__name__
        check_tensor(f"{name}.keep", "h", h)
        if h.shape != self.h.shape:
            raise ValueError(
                f"{name}.keep: the state is {self.h.shape}, but forward gave {h.shape}; "
                "model.reset(bs=...) changes the number of texts, nothing changes the rest"
            )
        if autograd_state.autocast is not None:
            h = h.to(self.h.dtype)  # mixed precision: the model is float32 and its answer float16
        if (h.dtype, h.backend) != (self.h.dtype, self.h.backend):
            raise TypeError(
                f"{name}.keep: the state is {self.h.dtype} on {self.h.backend!r}, but forward gave "
                f"{h.dtype} on {h.backend!r}; move the whole model with model.to(...)"
            )
        self.h = h.detach()

    def reset(self, bs: int | None = None) -> None:
        """Forget: the state is zeros again, of `bs` texts from now on (default: as many)."""
        shape = list(self.h.shape)
        if bs is not None:
            shape[BATCH] = check_integer(f"{type(self).__name__}.reset", "bs", bs, 1)
        xp = backend.library(self.h.backend)
        self.h = Tensor(xp.zeros(tuple(shape), dtype=self.h.dtype))


def check_words(model: nn.Module, x: Tensor, time: int | None = None) -> None:
    """ValueError unless x is (bs, time): a text or more, a word or more (just `time`) in each."""
    name = type(model).__name__
    check_tensor(name, "x", x)
    wanted = "at least 1 word" if time is None else f"exactly {time} words"
    if x.ndim != 2 or 0 in x.shape or (time is not None and x.shape[1] != time):
        raise ValueError(
            f"{name}: needs word numbers (bs, time), 1 text or more, with {wanted} in each text, "
            f"got shape {x.shape}"
        )


def states(model: nn.Module) -> list[KeepsState]:
    """The parts of `model` that keep a state, itself included."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"states: model must be an nn.Module, got {model!r:.60}")
    return [module for module in model.modules() if isinstance(module, KeepsState)]


@contextmanager
def fresh_state(model: nn.Module, bs: int) -> Iterator[nn.Module]:
    """`bs` new texts inside the ``with`` block; afterwards the model goes on with its own."""
    before = [(module, module.h) for module in states(model)]
    try:
        for module, _ in before:
            module.reset(bs)
        yield model
    finally:
        for module, h in before:
            module.h = h
