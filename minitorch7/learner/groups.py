"""Layer groups: which parts of a model learn, and how fast.

A pretrained body needs smaller steps than a new head, so a model is cut into groups of layers, the
first nearest the input. Each has a learning rate of its own, and the early ones can be frozen.

A group is a list of modules, and the parameters of a group are those that its modules hold
*themselves*. Parameters that belong to no layer, such as attention's γ, so have a place. (fastai
v1 lost them until 1.0.40, when it flattened a model into layers, and γ was never trained.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import nn
from ..autograd import Tensor
from ..capture import recording as current_recording
from ..optim.on_device import Numbers

Group = list[nn.Module]


def lr_range(lr: float | slice | Sequence[float], n_groups: int) -> float | list[float]:
    """The learning rate of each group, from the three ways to say it.

    a number             that one for all groups: a float
    slice(stop)          stop/10 for all groups but the last, which gets stop
    slice(start, stop)   start·(stop/start)^(i/(n−1)): 1e-6, 3.16e-5, 1e-3 for slice(1e-6, 1e-3)

    A list is taken as it is. ValueError where a list or a slice does not fit the groups.
    """
    if isinstance(lr, slice):
        if lr.stop is None or lr.step is not None:
            raise ValueError(f"lr_range: write slice(stop) or slice(start, stop), got {lr}")
        if lr.start is None:
            return [lr.stop / 10] * (n_groups - 1) + [lr.stop]
        if n_groups < 2:
            raise ValueError(
                f"lr_range: {lr} spreads learning rates over layer groups, but the model has one; "
                "give one number, or cut the model with learn.split(...)"
            )
        ratio = lr.stop / lr.start
        return [lr.start * ratio ** (i / (n_groups - 1)) for i in range(n_groups)]
    if isinstance(lr, Sequence):
        if len(lr) != n_groups:
            raise ValueError(f"lr_range: {len(lr)} learning rates for {n_groups} layer groups")
        return [float(one) for one in lr]
    return float(lr)


# ------------------------------------------------------------------------------ cutting a model


def split_model(model: nn.Module, split_on: Callable[[nn.Module], Any] | Sequence[Any]) -> list:
    """Cut `model` into groups: before each of the layers given, or as a function says.

    split_on is a list of layers, each the first of a group (what comes before the first of them is
    a group too), or a function that is given the model and answers with the groups: modules, or
    lists of modules.
    """
    if callable(split_on) and not isinstance(split_on, nn.Module):
        return as_groups(model, split_on(model))
    firsts = list(split_on) if isinstance(split_on, Sequence) else [split_on]
    groups: list[Group] = [[]]
    found = 0
    for module in model.modules():  # a parent comes before its children
        if any(module is first for first in firsts):
            found += 1
            groups.append([])
        groups[-1].append(module)
    if found != len(firsts):
        raise ValueError(
            f"split: {found} of the {len(firsts)} layers given are in {type(model).__name__}; "
            "pass layers of this very model, such as model[4]"
        )
    return _without_empty(groups)


def as_groups(model: nn.Module, groups: Sequence[Any]) -> list[Group]:
    """Each group as the list of all its modules; ValueError unless they cover the parameters."""
    expanded = []
    for group in groups:
        tops = [group] if isinstance(group, nn.Module) else list(group)
        expanded.append(_unique(module for top in tops for module in top.modules()))
    inside = {id(p) for group in expanded for p in group_parameters(group)}
    forgotten = [name for name, p in model.named_parameters() if id(p) not in inside]
    if forgotten:
        raise ValueError(
            f"split: {len(forgotten)} parameters are in no layer group, among them "
            f"{', '.join(forgotten[:3])}; together the groups must hold the whole model"
        )
    return expanded


def _without_empty(groups: list[Group]) -> list[Group]:
    """Drop a leading group without parameters: only containers came before the first cut."""
    if len(groups) > 1 and not group_parameters(groups[0]):
        groups[1] = groups[0] + groups[1]
        return groups[1:]
    return groups


def _unique(things: Any) -> list[Any]:
    return list({id(thing): thing for thing in things}.values())


def own_parameters(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that the module holds itself, by name, without those of its children."""
    return {name: p for name, p in module._parameters.items() if p is not None}


def group_parameters(group: Group) -> list[Tensor]:
    """The parameters of a group, each once."""
    return _unique(p for module in group for p in own_parameters(module).values())


# ------------------------------------------------------------------------ freezing and optimising


def is_norm(module: nn.Module) -> bool:
    """Whether `module` is a batch norm: such layers keep learning in a frozen group."""
    return isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)


def freeze_to(groups: list[Group], n: int, train_bn: bool) -> None:
    """Stop the groups before the n-th from learning, and let the others learn.

    Batch norm in the frozen groups goes on learning with `train_bn`: its statistics belong to the
    data seen now, and its γ and β must fit them.
    """
    for i, group in enumerate(groups):
        frozen = i < range(len(groups))[n]
        for module in group:
            learns = not frozen or (train_bn and is_norm(module))
            for p in own_parameters(module).values():
                p.requires_grad_(learns)


def param_groups(groups: list[Group], bn_wd: bool) -> list[dict[str, Any]]:
    """The optimiser's parameter groups: what can learn of each layer group, each tensor once.

    Without `bn_wd` a layer group becomes two, the second, of norms and biases, without decay.
    'layer_group' tells whose learning rate a parameter group has, 'decay' whether it decays.
    """
    found, seen = [], set()
    for i, group in enumerate(groups):
        parts: dict[bool, list[Tensor]] = {True: [], False: []}
        for module in group:
            for name, p in own_parameters(module).items():
                if p.requires_grad and id(p) not in seen:
                    seen.add(id(p))
                    parts[bn_wd or not _is_norm_or_bias(module, name)].append(p)
        found += [
            {"params": params, "layer_group": i, "decay": decay}
            for decay, params in parts.items()
            if params
        ]
    return found


def _is_norm_or_bias(module: nn.Module, name: str) -> bool:
    return name == "bias" or is_norm(module) or isinstance(module, nn.LayerNorm)


def set_hyper(opt: Any, lr: float | list[float] | None = None, mom: float | None = None) -> None:
    """Give the optimiser's groups a learning rate (one, or one a layer group) and a momentum."""
    for group in opt.param_groups:
        if lr is not None:
            group["lr"] = lr[group["layer_group"]] if isinstance(lr, list) else lr
        if mom is not None:
            if "betas" in group:
                group["betas"] = (mom, group["betas"][1])
            elif "momentum" in group:
                group["momentum"] = mom


# ------------------------------------------------------------------------------------ weight decay


def set_decay(opt: Any, wd: float) -> None:
    """Give the groups that decay the true weight decay `wd`, and the others none.

    AdamW decays truly by itself. For another optimiser its own decay, which would be added to the
    gradient, is set to 0, and `decay_weights` does the work.
    """
    itself = getattr(opt, "decoupled", False)
    for group in opt.param_groups:
        amount = wd if group["decay"] else 0.0
        group["weight_decay"] = amount if itself else 0.0
        group["true_wd"] = 0.0 if itself else amount


def decay_weights(opt: Any) -> None:
    """p ← p·(1 − lr·wd) for every parameter with a gradient, where the optimiser does not do it."""
    for number, group in enumerate(opt.param_groups):
        if group["true_wd"]:
            factor = _what_is_left(opt, number, group)
            for p in group["params"]:
                if p.grad is not None:
                    p.data *= factor if isinstance(factor, float) else factor.astype(p.dtype)
                    p.mark_changed()


def _what_is_left(opt: Any, number: int, group: dict[str, Any]) -> Any:
    """1 − lr·wd; in a captured step an array, which is brought up to date before each replay."""
    recording = current_recording()
    numbers = Numbers(
        "true weight decay", group, [{}], lambda g, _: [1 - g["lr"] * g["true_wd"]], ()
    )
    if recording is None:
        return float(numbers.values()[0])
    return recording.numbers((opt, "true weight decay", number), numbers)[0]
