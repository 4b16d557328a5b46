"""Optimisers: how a gradient becomes a step.

Every step is a few in-place operations on each parameter's array, in the array's own library.
Learning rates, momenta and step counts are Python numbers on the host, so that nothing waits for a
GPU; in a captured step their values are read from the GPU's memory (see ``on_device.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

from .. import backend
from ..autograd import Tensor
from ..capture import recording as current_recording
from .on_device import Kept, adam_together, with_numbers
from .pieces import Bundle, alike, can_be_cut, update_in_pieces


class Optimizer:
    """Parameter groups, each a dictionary of options; and what each parameter's rule remembers.

    params  tensors, or dictionaries ``{"params": tensors, "lr": ..., ...}``, one a group, whose
            options override the defaults. As in PyTorch.
    """

    elementwise = False  # does an update treat each element alone? Then parameters can be bundled

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(
                f"{type(self).__name__}: params must be a list of tensors or of groups, "
                f"got one {type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._bundles: dict[int, Bundle] = {}  # by the number of the group
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """One more group; options it does not give come from the defaults."""
        if "params" not in group:
            raise ValueError(f"{type(self).__name__}: a group needs 'params', got {list(group)}")
        params = group["params"]
        group = {**self.defaults, **group}
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor) or not p.is_leaf:
                what = type(p).__name__ if not isinstance(p, Tensor) else "a computed tensor"
                raise TypeError(f"{type(self).__name__}: can only move leaf tensors, got {what}")
            if id(p) in taken:
                raise ValueError(f"{type(self).__name__}: a parameter stands in two groups")
            taken.add(id(p))
        self.check_options(group)
        self.param_groups.append(group)

    def check_options(self, group: dict[str, Any]) -> None:
        """ValueError or TypeError where an option of the group makes no sense."""
        name = type(self).__name__
        for option in ("lr", "momentum", "weight_decay", "eps"):
            value = group.get(option, 0)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name}: {option} must be a number, got {value!r}")
            if not value >= 0:
                raise ValueError(f"{name}: {option} must be at least 0, got {value}")

    def zero_grad(self) -> None:
        """Forget all gradients; call it between two backward passes that should not add up."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        recording = current_recording()
        if recording is not None:
            recording.optimizer(self, partial(Kept, self))
        for number, group in enumerate(self.param_groups):
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                self._make_ready(p)
            moved = set(self._move_at_once(recording, number, group, params))
            rest = [p for p in params if p not in moved]
            alone = set(rest).difference(self._move_bundle(recording, number, group, rest))
            for p in rest:
                if p in alone:
                    self._move_alone(recording, number, p, group)
            for p in params:
                p.mark_changed()

    def _move_at_once(
        self, recording: Any, number: int, group: dict[str, Any], params: list[Tensor]
    ) -> list[Tensor]:
        """Move those parameters for which there is a kernel that moves all; which they were."""
        return []

    def _move_bundle(
        self, recording: Any, number: int, group: dict[str, Any], params: list[Tensor]
    ) -> list[Tensor]:
        """Move the small parameters, laid end to end; which they were."""
        together = alike(params, self.state) if self.elementwise else []
        if len(together) < 2:
            return []
        states = [self.state[p] for p in together]
        bundle = self._bundles.get(number)
        if bundle is None or not bundle.holds(together, states):
            bundle = self._bundles[number] = Bundle(together, states)
        if recording is not None:
            key, both = (number, *together), [*states, bundle.state]
            group = with_numbers(recording, self, key, group, both, together[0].dtype)
        bundle.update(self, group, states)
        return together

    def _move_alone(self, recording: Any, number: int, p: Tensor, group: dict[str, Any]) -> None:
        xp, g, state = backend.library(p.backend), p.grad.data, self.state[p]
        if self.elementwise and state and can_be_cut(p.data, g, state):
            update_in_pieces(self, p.data, g, group, state)
            return
        if recording is not None:
            group = with_numbers(recording, self, (number, p), group, [state], p.dtype)
        self.update(xp, p.data, g, group, state)

    def _make_ready(self, p: Tensor) -> None:
        """Check the gradient's shape, and follow a parameter that was moved to another backend."""
        if p.grad.shape != p.shape:
            raise ValueError(
                f"{type(self).__name__}.step: a gradient of shape {p.grad.shape} for a parameter "
                f"of shape {p.shape}"
            )
        for name, value in self.state.setdefault(p, {}).items():
            if backend.is_array(value) and backend.name_of(value) != p.backend:
                self.state[p][name] = backend.to(value, p.backend)

    def bundles(self) -> Iterable[Bundle]:
        """The small parameters that are moved as one, a bundle a group."""
        return self._bundles.values()

    def update(self, xp: Any, p: Any, g: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Change the array `p` in place, given its gradient `g`.

        A rule that can be captured takes the numbers it computes with from
        ``group.get("on_device")``, or where that is None from ``self.numbers(group, step)``.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    def branches(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """What `update` asks about the group's options with ``if``: fixed in a captured step."""
        return ()

    # ------------------------------------------------------------------------------- the state

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {number: {...}}, "param_groups": [...]}`` with parameters by number."""
        numbers = self._numbers()
        state = {
            numbers[p]: {k: Tensor(v) if backend.is_array(v) else v for k, v in kept.items()}
            for p, kept in self.state.items()
        }
        groups = [
            {**{k: v for k, v in g.items() if k != "params"}, "params": self._of(g, numbers)}
            for g in self.param_groups
        ]
        return {"state": state, "param_groups": groups}

    def _numbers(self) -> dict[Tensor, int]:
        params = [p for g in self.param_groups for p in g["params"]]
        return {p: i for i, p in enumerate(params)}

    def _of(self, group: dict[str, Any], numbers: dict[Tensor, int]) -> list[int]:
        return [numbers[p] for p in group["params"]]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict` of an optimiser over the same parameters."""
        groups = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in groups]
        own = [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: the state has groups of {sizes} "
                f"parameters, this optimiser of {own}"
            )
        by_number = {i: p for p, i in self._numbers().items()}
        restored = {}
        for number, kept in state_dict["state"].items():
            if int(number) not in by_number:
                raise ValueError(
                    f"{type(self).__name__}.load_state_dict: there is no parameter {number} among "
                    f"{len(by_number)}"
                )
            p = by_number[int(number)]
            restored[p] = {k: self._restored(p, k, v) for k, v in kept.items()}
        self.state = restored  # only now: all of it fits
        for mine, saved in zip(self.param_groups, groups, strict=True):
            mine.update({k: v for k, v in saved.items() if k != "params"})

    def _restored(self, p: Tensor, name: str, value: Any) -> Any:
        value = value.data if isinstance(value, Tensor) else value
        if not backend.is_array(value):
            return value
        if tuple(value.shape) != p.shape:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: {name} of shape {tuple(value.shape)} "
                f"for a parameter of shape {p.shape}"
            )
        return backend.to(value, p.backend).copy()


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum as PyTorch defines it.

    g ← g + weight_decay·p
    v ← momentum·v + (1 − dampening)·g          (the first v is g itself)
    p ← p − lr·v,  or with nesterov  p ← p − lr·(g + momentum·v)
    """

    elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs momentum above 0 and no dampening")
        super().__init__(
            params,
            dict(
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
            ),
        )

    def numbers(self, group, step):
        """(weight_decay, momentum, 1 − dampening, lr), the third 1 in the first step"""
        rest = 1.0 if step == 1 else 1 - group["dampening"]
        return group["weight_decay"], group["momentum"], rest, group["lr"]

    def branches(self, group):
        return bool(group["weight_decay"]), bool(group["momentum"]), group["nesterov"]

    def update(self, xp, p, g, group, state):
        step = 2 if state else 1
        decay, momentum, rest, lr = group.get("on_device") or self.numbers(group, step)
        if group["weight_decay"]:
            g = g + decay * p
        if group["momentum"]:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = g.copy()
            else:
                state["momentum_buffer"] *= momentum
                state["momentum_buffer"] += rest * g
            v = state["momentum_buffer"]
            g = g + momentum * v if group["nesterov"] else v
        p -= lr * g


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1).

    m ← β₁m + (1 − β₁)g,   v ← β₂v + (1 − β₂)g²
    p ← p − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + eps)

    weight_decay is added to the gradient (L2), g ← g + weight_decay·p. `AdamW` decays truly.
    """

    decoupled = False
    elementwise = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
    ) -> None:
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def check_options(self, group):
        super().check_options(group)
        name, betas = type(self).__name__, group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise TypeError(f"{name}: betas must be two numbers (β₁, β₂), got {betas!r}")
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"{name}: betas[{i}] must be at least 0 and below 1, got {beta}")

    def _move_at_once(self, recording, number, group, params):
        return adam_together(recording, self, number, group, params)

    def numbers(self, group, step):
        """(1 − lr·decay, decay, β₁, 1 − β₁, β₂, 1 − β₂, eps·√c₂, lr·√c₂/c₁), cᵢ = 1 − βᵢᵗ

        lr·m/c₁ / (√(v/c₂) + eps) = lr·√c₂/c₁ · m / (√v + eps·√c₂): two walks over memory fewer
        """
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        root = math.sqrt(1 - beta2**step)
        averages = beta1, 1 - beta1, beta2, 1 - beta2
        return 1 - lr * decay, decay, *averages, group["eps"] * root, lr * root / (1 - beta1**step)

    def branches(self, group):
        return (bool(group["weight_decay"]),)

    def update(self, xp, p, g, group, state):
        if not state:
            state.update(step=0, exp_avg=xp.zeros_like(p), exp_avg_sq=xp.zeros_like(p))
        state["step"] += 1
        numbers = group.get("on_device") or Adam.numbers(self, group, state["step"])
        shrink, decay, beta1, rest1, beta2, rest2, eps, rate = numbers
        if group["weight_decay"] and self.decoupled:
            p *= shrink
        elif group["weight_decay"]:
            g = g + decay * p
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m *= beta1
        m += rest1 * g
        v *= beta2
        move = g * g
        move *= rest2
        v += move
        xp.sqrt(v, out=move)
        move += eps
        xp.divide(m, move, out=move)
        move *= rate
        p -= move


class AdamW(Adam):
    """Adam with true weight decay: p ← p·(1 − lr·weight_decay) before the step.

    Added to the gradient, a decay would be divided by √v with everything else, and weights with
    large gradients would hardly decay. (Loshchilov & Hutter 2019)
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


# ---------------------------------------------------------------------------------------- clipping


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients by min(1, max_norm/‖g‖), ‖g‖ over all of them; returns ‖g‖ as a tensor.

    norm_type  p of the p-norm; float("inf") takes the largest magnitude

    The scale is computed where the gradients are: nothing waits for the device.
    """
    grads = [p.grad for p in _listed(parameters) if p.grad is not None]
    if not max_norm > 0 or not norm_type > 0:
        raise ValueError(
            f"clip_grad_norm_: max_norm and norm_type must be positive, got {max_norm} and "
            f"{norm_type}"
        )
    if not grads:
        return Tensor(backend.library(backend.active()).zeros((), dtype=backend.DEFAULT_FLOAT))
    xp = backend.library(grads[0].backend)
    sizes = [xp.abs(g.data) for g in grads]
    if norm_type == float("inf"):
        norm = xp.max(xp.stack([xp.asarray(a.max()) for a in sizes]))
    else:
        norm = sum((a**norm_type).sum() for a in sizes) ** (1 / norm_type)
    scale = xp.minimum(max_norm / (norm + 1e-6), 1.0)
    for g in grads:
        g.data *= scale.astype(g.dtype)
    return Tensor(xp.asarray(norm))


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient to [−clip_value, clip_value]."""
    if not clip_value > 0:
        raise ValueError(f"clip_grad_value_: clip_value must be positive, got {clip_value}")
    for p in _listed(parameters):
        if p.grad is not None:
            xp = backend.library(p.backend)
            p.grad.data[...] = xp.clip(p.grad.data, -clip_value, clip_value)
