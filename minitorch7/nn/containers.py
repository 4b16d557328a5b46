"""Modules made of modules, and the merges that turn a chain into a residual or dense block."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .. import functional as F
from ..autograd import Tensor
from .folding import run
from .module import Module


class Sequential(Module):
    """Layers one after another: ``Sequential(a, b)(x) = b(a(x))``."""

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], OrderedDict):
            named = layers[0].items()
        else:
            named = ((str(i), layer) for i, layer in enumerate(layers))
        for name, layer in named:
            if not isinstance(layer, Module):
                raise TypeError(
                    f"{type(self).__name__}: layer {name} is {type(layer).__name__}, not a Module; "
                    "wrap a function in nn.Lambda(function)"
                )
            self.add_module(name, layer)

    def forward(self, input: Any) -> Any:
        return run(list(self._modules.values()), input)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return list(self._modules.values())[index]

    def append(self, layer: Module) -> Sequential:
        """Put one more layer at the end; returns this container."""
        self.add_module(str(len(self)), layer)
        return self


class ModuleList(Module):
    """A list of modules that counts as one; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList: needs modules to list, got {type(modules).__name__}")
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> ModuleList:
        """Put one more module at the end; returns this list."""
        self.add_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        found = list(self._modules.values())[index]
        return ModuleList(found) if isinstance(index, slice) else found


class MergeLayer(Module):
    """Adds what entered the surrounding `SequentialEx` to what arrives here.

    dense=False  x + original: a residual block (He et al. 2015)
    dense=True   [x, original] along the channels: a dense block (Huang et al. 2016)
    """

    def __init__(self, dense: bool = False) -> None:
        self.dense = dense

    def forward(self, input: Tensor, original: Tensor | None = None) -> Tensor:
        if original is None:
            raise TypeError(
                "MergeLayer: nothing to merge with: it is given the block's input by "
                "nn.SequentialEx; put it into one instead of nn.Sequential"
            )
        if self.dense:
            return F.cat([input, original], dim=1)
        if input.shape != original.shape:
            raise ValueError(
                f"MergeLayer: cannot add {input.shape} to the block's input {original.shape}; "
                "a residual block must keep channels and size (or use dense=True)"
            )
        return input + original

    def extra_repr(self) -> str:
        return "dense=True" if self.dense else ""


class SequentialEx(Sequential):
    """Layers one after another, where each `MergeLayer` also sees what entered this container.

    fastai v1 hangs the input on the running tensor (``x.orig``); here it is passed to the layers
    that ask for it, so that nothing outlives the call. In nested containers each merge gets the
    input of the innermost one.
    """

    def forward(self, input: Any) -> Any:
        original = input
        for layer in self._modules.values():
            input = layer(input, original) if isinstance(layer, MergeLayer) else layer(input)
        return input


class Lambda(Module):
    """Any function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        if not callable(function):
            raise TypeError(f"Lambda: needs a function, got {type(function).__name__}")
        self.function = function

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class Flatten(Module):
    """(N, …) → (N, the rest in one axis)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
