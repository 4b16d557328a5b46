"""`Module`: what layers, containers and whole models have in common."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .. import backend
from ..autograd import HookHandle, Tensor, note_layer, state


class Parameter(Tensor):
    """A Tensor that a Module owns and an optimiser moves."""

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)


class Module:
    """A layer or a model: parameters, buffers, other modules, and a `forward`.

    Assigning a Parameter or a Module to an attribute registers it; `register_buffer` does so for a
    tensor that belongs to the state without being trained, such as a running mean. Names, and the
    keys of `state_dict`, are PyTorch's.
    """

    training = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Module:
        self = super().__new__(cls)
        # Made here, not in __init__, so that a subclass may assign before calling super().__init__.
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_forward_pre_hooks", {})
        object.__setattr__(self, "_forward_hooks", {})
        object.__setattr__(self, "_backward_hooks", {})
        return self

    # ------------------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        for registry, kind in ((self._parameters, Parameter), (self._buffers, Tensor)):
            if name in registry and not isinstance(value, kind | Module | None):
                raise TypeError(
                    f"{type(self).__name__}: cannot put {type(value).__name__} in the place of "
                    f"{name!r}, which holds a {kind.__name__}; use a {kind.__name__} or None, or "
                    f"{name}.copy_(values) to change its values"
                )
        owned = (self._parameters, self._buffers, self._modules)
        if isinstance(value, Parameter):
            home = self._parameters
        elif isinstance(value, Module):
            home = self._modules
        elif name in self._buffers:
            home = self._buffers
        elif name in self._parameters and value is None:
            home = self._parameters
        else:
            home = None
        for registry in owned:
            if registry is not home:
                registry.pop(name, None)
        if home is None:
            object.__setattr__(self, name, value)
        else:
            self.__dict__.pop(name, None)
            home[name] = value

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(registry, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                return
        object.__delattr__(self, name)

    def register_buffer(self, name: str, value: Tensor | None) -> None:
        """Keep a tensor in the state without training it."""
        self._register("register_buffer", self._buffers, name, value, Tensor)

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """Keep a parameter under `name`; None marks one that is absent, such as a bias."""
        self._register("register_parameter", self._parameters, name, value, Parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """Keep a module under `name`."""
        self._register("add_module", self._modules, name, module, Module)

    def _register(
        self, function: str, registry: dict[str, Any], name: str, value: Any, kind: type
    ) -> None:
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{type(self).__name__}.{function}: {name!r} must be a {kind.__name__} or None, "
                f"got {type(value).__name__}"
            )
        if name in self.__dict__:
            raise KeyError(f"{type(self).__name__}.{function}: {name!r} is an attribute already")
        registry[name] = value

    # --------------------------------------------------------------------------------- calling

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; each subclass says."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run the hooks and `forward`; an error on the way is told which layer it happened in."""
        state.layers.append(self)
        try:
            if state.profile is not None:
                state.profile.enter(state.layers)
            for hook in list(self._forward_pre_hooks.values()):
                replaced = hook(self, inputs)
                if replaced is not None:
                    inputs = replaced if isinstance(replaced, tuple) else (replaced,)
            output = self.forward(*inputs, **options)
            for hook in list(self._forward_hooks.values()):
                replaced = hook(self, inputs, output)
                output = output if replaced is None else replaced
            if self._backward_hooks:
                self._watch_gradient(output)
            return output
        except Exception as error:
            note_layer(error)
            raise
        finally:
            state.layers.pop()

    # ----------------------------------------------------------------------------------- hooks

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(module, inputs)`` before forward; what it returns replaces the inputs."""
        return HookHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(module, inputs, output)`` after forward; a result replaces the output.

        The handle removes it: ``handle.remove()``, or ``with m.register_forward_hook(f): ...``.
        """
        return HookHandle(self._forward_hooks, hook)

    def register_backward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(module, grad_output)`` when the gradient of the output is known.

        What it returns, unless None, is used instead of that gradient.
        """
        return HookHandle(self._backward_hooks, hook)

    def _watch_gradient(self, output: Any) -> None:
        for t in output if isinstance(output, tuple | list) else (output,):
            if isinstance(t, Tensor) and t.grad_fn is not None:
                for hook in list(self._backward_hooks.values()):
                    t.register_hook(lambda grad, hook=hook: hook(self, grad))

    # ------------------------------------------------------------------- looking at the contents

    def children(self) -> Iterator[Module]:
        """The modules directly inside."""
        return (module for _, module in self.named_children())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside, with their names; each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, in the order of registration, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = ""
    ) -> Iterator[tuple[str, Module]]:
        """This module (named ``""``) and all inside it, with dotted names."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        memo.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names, each once."""
        yield from self._named("_parameters")

    def buffers(self) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their dotted names, each once."""
        yield from self._named("_buffers")

    def _named(self, registry: str) -> Iterator[tuple[str, Any]]:
        seen = set()
        for prefix, module in self.named_modules():
            for name, value in getattr(module, registry).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name; AttributeError where there is none."""
        module = self
        for name in target.split(".") if target else []:
            if name not in module._modules:
                raise AttributeError(f"{type(module).__name__} has no module {name!r} ({target!r})")
            module = module._modules[name]
        return module

    # --------------------------------------------------------------------------------- the state

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and buffers by dotted name; they share memory with the module."""
        found: OrderedDict[str, Tensor] = OrderedDict()
        self._collect_state(found, "")
        return found

    def _collect_state(self, found: dict[str, Tensor], prefix: str) -> None:
        """A module that stands in two places is listed under both names, as PyTorch does."""
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None:
                found[prefix + name] = value
        for name, module in self._modules.items():
            if module is not None:
                module._collect_state(found, f"{prefix}{name}.")

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> None:
        """Copy values (tensors or arrays) in, by name. All are checked before the first is copied.

        Raises KeyError for missing or unexpected names (unless not strict), ValueError for shapes.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict: needs a dictionary of tensors, got {type(state_dict).__name__}"
            )
        own = self.state_dict()
        missing = [k for k in own if k not in state_dict]
        unexpected = [k for k in state_dict if k not in own]
        if strict and (missing or unexpected):
            raise KeyError(
                f"load_state_dict: the values are another model's: {type(self).__name__} misses "
                f"{_first(missing)} and does not know {_first(unexpected)}"
            )
        arrays = {
            k: v.data if isinstance(v, Tensor) else v for k, v in state_dict.items() if k in own
        }
        for name, array in arrays.items():
            if not backend.is_array(array) or array.dtype.kind not in "fiub":
                got = getattr(array, "dtype", type(array).__name__)
                raise TypeError(
                    f"load_state_dict: {name!r} must be a tensor or array of numbers, got {got}"
                )
        wrong = [
            f"{k} {tuple(a.shape)} for {own[k].shape}"
            for k, a in arrays.items()
            if tuple(a.shape) != own[k].shape
        ]
        if wrong:
            raise ValueError(f"load_state_dict: shapes do not fit: {_first(wrong)}")
        for name, array in arrays.items():
            target = own[name]
            target.data[...] = backend.to(array, target.backend).astype(target.dtype, copy=False)
            target.mark_changed()

    # ------------------------------------------------------------------------------ all at once

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call `function` on every module inside and then on this one; returns this one."""
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def train(self, mode: bool = True) -> Module:
        """Switch dropout and batch norm to training (or evaluation); returns this module."""
        for module in self.modules():
            object.__setattr__(module, "training", bool(mode))
        return self

    def eval(self) -> Module:
        """Switch to evaluation."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Ask, or stop asking, for the gradients of all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def to(self, target: Any) -> Module:
        """Move parameters and buffers to a backend ('numpy', 'cupy') or to a float dtype, in place.

        The Parameter objects stay the same, so that an optimiser made before still moves them.
        """
        from ..functional.conversion import to

        if _is_dtype(target):
            _check_float_dtype(type(self).__name__, target)
        for module in self.modules():
            for registry in (module._parameters, module._buffers):
                for t in registry.values():
                    if t is None or (_is_dtype(target) and not t.is_floating_point()):
                        continue
                    t.data = to(t.detach(), target).data
                    t.grad = None if t.grad is None else to(t.grad, target)
                    t.mark_changed()
        return self

    def cpu(self) -> Module:
        """Move to the processor."""
        return self.to("numpy")

    def cuda(self) -> Module:
        """Move to the GPU."""
        return self.to("cupy")

    def float(self) -> Module:
        """Parameters and buffers in float32."""
        return self.to("float32")

    def double(self) -> Module:
        """Parameters and buffers in float64."""
        return self.to("float64")

    # -------------------------------------------------------------------------------- appearance

    def extra_repr(self) -> str:
        """What the layer adds between its brackets."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        name, extra = type(self).__name__, self.extra_repr()
        if not lines:
            return f"{name}({extra})"
        return f"{name}({extra}\n  " + "\n  ".join(lines) + "\n)"


def _first(names: list[str], most: int = 4) -> str:
    """The first few names, and how many more there are."""
    if not names:
        return "nothing"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(n) for n in names[:most]) + more


def _is_dtype(target: Any) -> bool:
    return not (isinstance(target, str) and target in (*backend.NAMES, "cpu", "cuda"))


def _check_float_dtype(name: str, target: Any) -> None:
    try:
        kind = np.dtype(target).kind
    except TypeError:
        raise backend.BackendError(
            f"{name}.to: {target!r} is neither a backend ('numpy', 'cupy') nor a dtype"
        ) from None
    if kind != "f":
        raise TypeError(f"{name}.to: weights must be floating point, got {target!r}")


@contextlib.contextmanager
def evaluating(module: Module) -> Iterator[Module]:
    """Evaluation mode inside a ``with`` block; afterwards every module is as it was."""
    before = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for m, mode in before:
            object.__setattr__(m, "training", mode)
