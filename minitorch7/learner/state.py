"""A learner's state: taken out of it, checked against it, and put back.

Model, optimiser, the host's random stream, and how many epochs have been drawn from the data: with
the same code and data, nothing else decides what the next batch does to the weights.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from .. import backend, nn
from ..autograd import Tensor
from .checkpoints import CheckpointError, pack, unpack

if TYPE_CHECKING:
    from .learner import Learner

SHOWN = 5  # how many names an error lists of each kind


def learner_state(learn: Learner) -> dict[str, Any]:
    """The state as it is now: a tree for `checkpoints.write`, sharing memory with the learner."""
    return {
        "model_class": type(learn.model).__name__,
        "model": dict(learn.model.state_dict()),
        "optimizer": learn.opt.state_dict() if learn.opt is not None else None,
        "rng": backend.get_rng_state(),
        "first_epoch": learn.first_epoch,
    }


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """The same state in memory of its own, on the host."""
    arrays: dict[str, Any] = {}
    return unpack(pack(state, arrays), arrays)


def restore_learner(learn: Learner, state: dict[str, Any], function: str = "load") -> None:
    """Put a whole state back. Nothing changes where the model's part does not fit."""
    load_model(learn.model, state, function)
    if state["optimizer"] is None:
        learn.opt = None
    else:
        if learn.opt is None:
            learn.create_opt()
        learn.opt.load_state_dict(state["optimizer"])
    backend.set_rng_state(state["rng"])
    learn.first_epoch = state["first_epoch"]


def load_optimizer(learn: Learner, optimizer_state: dict[str, Any]) -> None:
    """Give the optimiser its state back where it is one for the same parameters; else warn."""
    if learn.opt is None:
        learn.create_opt()
    try:
        learn.opt.load_state_dict(optimizer_state)
    except (ValueError, KeyError, RuntimeError) as error:
        warnings.warn(
            f"load: the weights are loaded, but the optimiser keeps its own state ({error}); that "
            "is right where other layers are frozen now than when it was saved",
            stacklevel=3,
        )


# ------------------------------------------------------------------------------------- the model


def load_model(
    model: nn.Module, state: dict[str, Any], function: str = "load", strict: bool = True
) -> None:
    """Copy the weights in `state` into `model`, after checking every name and shape.

    CheckpointError, with nothing copied, where the state is another model's. Without `strict` what
    fits by name and shape is copied, and a warning says what was left.
    """
    given = {name: value for name, value in state["model"].items()}
    faults = differences(model, given)
    if any(faults.values()):
        text = _described(model, state["model_class"], faults)
        if strict:
            raise CheckpointError(
                f"{function}: the checkpoint is of another model; nothing was loaded. {text}. "
                "Build the model as it was when it was saved; or strict=False loads what fits"
            )
        warnings.warn(f"{function}: loaded only what fits. {text}", stacklevel=3)
        left_out = {line.split(" ")[0] for line in faults["of another shape"]}
        own = model.state_dict()
        given = {n: v for n, v in given.items() if n in own and n not in left_out}
    model.load_state_dict(given, strict=strict)


def differences(model: nn.Module, given: dict[str, Tensor]) -> dict[str, list[str]]:
    """What keeps `given` from being this model's state: names missing, unexpected, mis-shaped."""
    own = model.state_dict()
    return {
        "missing": [name for name in own if name not in given],
        "unexpected": [name for name in given if name not in own],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} where the model has {tuple(own[name].shape)}"
            for name in own
            if name in given and tuple(given[name].shape) != tuple(own[name].shape)
        ],
    }


def _described(model: nn.Module, saved_class: str, faults: dict[str, list[str]]) -> str:
    """``saved from Sequential, loaded into UNet; 3 missing: a, b, c; ...``"""
    parts = [f"saved from {saved_class}, loaded into {type(model).__name__}"]
    for kind, names in faults.items():
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            parts.append(f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{more}")
    return "; ".join(parts)
