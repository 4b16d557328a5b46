"""Weights that are computed from other parameters before each call: weight norm, spectral norm.

A layer that is wrapped keeps its class and its forward. What was the parameter ``weight`` becomes a
computed tensor of that name, and the parameters are its parts. A hook computes it anew before each
forward, in ordinary operations, so that gradients of every order reach the parts; another lets go
of its history afterwards, so that the model can be copied and stored between two steps. The names
of the parts, and so the keys of ``state_dict``, are those of `torch.nn.utils`.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .. import backend
from ..autograd import Tensor, no_grad
from ..functional._arguments import check_integer
from .convolution import ConvTranspose2d
from .module import Module, Parameter

M = TypeVar("M", bound=Module)


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Direction and length apart: w = g · v/‖v‖ (Salimans & Kingma 2016, arXiv 1602.07868).

    dim  the axis that keeps a length of its own for each index, g then has length 1 in all others;
         0 is a convolution's outputs, and a *transposed* convolution's inputs. None: one length.

    ``name`` is replaced by the parameters ``name_g`` (starts at ‖w‖) and ``name_v`` (starts at w),
    so nothing changes until they are trained. Returns the module. ValueError where it has no
    parameter of that name, which is also so where it is wrapped already.
    """
    _wrap("weight_norm", module, name, WeightNorm(name, dim))
    return module


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> M:
    """w = W/σ, σ the largest singular value of W (Miyato et al. 2018, arXiv 1802.05957).

    W is read as a matrix with axis `dim` as its rows; by default the outputs: 1 for a transposed
    convolution, else 0. σ = uᵀWv, where the unit vectors u and v come from the power iteration

        v ← Wᵀu/‖Wᵀu‖,   u ← Wv/‖Wv‖

    run `n_power_iterations` times in each call while training, and not at all in evaluation. They
    are kept as the buffers ``name_u`` and ``name_v``, start at random, and count as constants for
    the gradient; the parameter is ``name_orig``. Returns the module; ValueError as `weight_norm`.
    """
    if dim is None:
        dim = 1 if isinstance(module, ConvTranspose2d) else 0
    _wrap("spectral_norm", module, name, SpectralNorm(name, n_power_iterations, eps, dim))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make ``name`` a parameter again, with the value it has now. ValueError where it is not one.

    Returns the module.
    """
    _unwrap("remove_weight_norm", module, name, WeightNorm)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make ``name`` a parameter again, with the value it has now. ValueError where it is not one.

    Returns the module.
    """
    _unwrap("remove_spectral_norm", module, name, SpectralNorm)
    return module


class Reparametrisation:
    """One computed weight of one layer: what runs before and after the layer's forward."""

    suffixes: tuple[str, ...] = ()  # of its parts; the first takes over the weight itself

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim
        self.parts = tuple(f"{name}_{suffix}" for suffix in self.suffixes)

    def split(self, module: Module, weight: Parameter) -> Tensor:
        """Register the parts of `weight`; returns what stands in its place until the first call."""
        raise NotImplementedError

    def join(self, module: Module, training: bool) -> Tensor:
        """The weight, computed from its parts."""
        raise NotImplementedError

    def before(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.join(module, module.training))

    def after(self, module: Module, inputs: Any, output: Any) -> None:
        setattr(module, self.name, getattr(module, self.name).detach())

    def fresh(self, module: Module) -> Tensor:
        """The weight as evaluation would compute it, without a history."""
        with no_grad():
            return self.join(module, training=False)


class WeightNorm(Reparametrisation):
    """w = g · v/‖v‖"""

    suffixes = ("v", "g")

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name, None if dim is None else check_integer("weight_norm", "dim", dim, 0))

    def split(self, module: Module, weight: Parameter) -> Tensor:
        g = Parameter(self.length(weight.detach()), weight.requires_grad)
        module.register_parameter(f"{self.name}_g", g)
        module.register_parameter(f"{self.name}_v", weight)
        return self.fresh(module)

    def length(self, v: Tensor) -> Tensor:
        """‖v‖ over all axes but `dim`, which stay with length 1."""
        if self.dim is None:
            return (v * v).sum().sqrt()
        axes = tuple(axis for axis in range(v.ndim) if axis != self.dim)
        squares = v * v
        return (squares.sum(axes, keepdim=True) if axes else squares).sqrt()

    def join(self, module: Module, training: bool) -> Tensor:
        v, g = (getattr(module, part) for part in self.parts)
        return v * (g / self.length(v))


class SpectralNorm(Reparametrisation):
    """w = W/(uᵀWv)"""

    suffixes = ("orig", "u", "v")

    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        super().__init__(name, check_integer("spectral_norm", "dim", dim, 0))
        self.n = check_integer("spectral_norm", "n_power_iterations", n_power_iterations, 1)
        self.eps = eps

    def split(self, module: Module, weight: Parameter) -> Tensor:
        module.register_parameter(f"{self.name}_orig", weight)
        xp = backend.library(weight.backend)
        rows = weight.shape[self.dim]
        lengths = rows, weight.numel() // max(1, rows)
        for part, length in zip(self.parts[1:], lengths, strict=True):
            values = backend.normal(xp, (length,), weight.dtype)
            module.register_buffer(part, Tensor(self.unit(xp, values)))
        return weight.detach()  # u and v know nothing of W yet, so uᵀWv is no σ

    def unit(self, xp: Any, x: Any) -> Any:
        """x/max(‖x‖, eps)"""
        return x / xp.maximum(xp.sqrt((x * x).sum()), self.eps)

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as (rows, everything else)."""
        axes = [self.dim, *(axis for axis in range(weight.ndim) if axis != self.dim)]
        return weight.permute(*axes).reshape(weight.shape[self.dim], -1)

    def join(self, module: Module, training: bool) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        matrix = self.matrix(weight)
        u, v = self.further(module, matrix.data) if training else self.stored(module)
        return weight / (u @ (matrix @ v))

    def vectors(self, module: Module) -> list[Tensor]:
        """The buffers of u and v."""
        return [getattr(module, part) for part in self.parts[1:]]

    def further(self, module: Module, matrix: Any) -> tuple[Tensor, Tensor]:
        """u and v a few steps further, for this call and, as copies, in the buffers."""
        xp = backend.library(backend.name_of(matrix))
        buffers = self.vectors(module)
        u, v = (buffer.data for buffer in buffers)
        for _ in range(self.n):
            v = self.unit(xp, xp.matmul(matrix.T, u))  # by xp: a captured step has its own products
            u = self.unit(xp, xp.matmul(matrix, v))
        for buffer, values in zip(buffers, (u, v), strict=True):
            buffer.copy_(values)
        return Tensor(u), Tensor(v)

    def stored(self, module: Module) -> tuple[Tensor, Tensor]:
        """u and v as they are: copies, since a later call may overwrite them before backward."""
        u, v = self.vectors(module)
        return Tensor(u.data.copy()), Tensor(v.data.copy())


def _wrap(function: str, module: Module, name: str, how: Reparametrisation) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"{function}: needs a Module, got {type(module).__name__}")
    weight = module._parameters.get(name)
    if weight is None:
        have = ", ".join(repr(n) for n, p in module._parameters.items() if p is not None)
        raise ValueError(
            f"{function}: {type(module).__name__} has no parameter {name!r} of its own; "
            f"it has {have or 'none'}"
        )
    if how.dim is not None and how.dim >= weight.ndim:
        raise ValueError(f"{function}: dim {how.dim} is out of range for a weight {weight.shape}")
    delattr(module, name)
    setattr(module, name, how.split(module, weight))
    module.register_forward_pre_hook(how.before)
    module.register_forward_hook(how.after)


def _unwrap(function: str, module: Module, name: str, kind: type[Reparametrisation]) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"{function}: needs a Module, got {type(module).__name__}")
    owners = (getattr(hook, "__self__", None) for hook in module._forward_pre_hooks.values())
    found = [o for o in owners if isinstance(o, kind) and o.name == name]
    if not found:
        raise ValueError(f"{function}: {name!r} of this {type(module).__name__} is not wrapped")
    how = found[0]
    weight = Parameter(how.fresh(module), getattr(module, how.parts[0]).requires_grad)
    for hooks in (module._forward_pre_hooks, module._forward_hooks):
        for key in [k for k, hook in hooks.items() if getattr(hook, "__self__", None) is how]:
            del hooks[key]
    for part in how.parts:
        delattr(module, part)
    delattr(module, name)
    module.register_parameter(name, weight)
