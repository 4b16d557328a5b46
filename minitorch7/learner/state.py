"""A learner's state: taken out of it, checked against it, and put back.

Model, optimiser, the host's random stream, and how many epochs have been drawn from the data: with
the same code and data, nothing else decides what the next batch does to the weights.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from .. import backend, nn
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


def restore_course(learn: Learner, state: dict[str, Any]) -> None:
    """Put back what decides the next steps: optimiser, random stream, count of epochs."""
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
        learn.create_opt()  # the old one may have taken over half of the state
        warnings.warn(
            f"load: the weights are loaded, but the optimiser starts afresh ({error}); that is "
            "right where other layers are frozen now than when the checkpoint was saved",
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
    given, own = state["model"], model.state_dict()
    fits = {
        name: value
        for name, value in given.items()
        if name in own and tuple(value.shape) == tuple(own[name].shape)
    }
    if not fits.keys() == given.keys() == own.keys():
        text = f"saved from {state['model_class']}, loaded into {type(model).__name__}; "
        text += differences(given, own)
        if strict:
            raise CheckpointError(
                f"{function}: the checkpoint is of another model; nothing was loaded. {text}. "
                "Build the model as it was when it was saved; or strict=False loads what fits"
            )
        warnings.warn(f"{function}: loaded only what fits. {text}", stacklevel=3)
    model.load_state_dict(fits, strict=strict)


def differences(given: dict[str, Any], own: dict[str, Any]) -> str:
    """``3 missing: a, b, c; 1 of another shape: d (4,) where the model has (8,)``"""
    kinds = {
        "missing": [name for name in own if name not in given],
        "unexpected": [name for name in given if name not in own],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} where the model has {tuple(own[name].shape)}"
            for name in own
            if name in given and tuple(given[name].shape) != tuple(own[name].shape)
        ],
    }
    return "; ".join(
        f"{len(found)} {kind}: {_listed(found)}" for kind, found in kinds.items() if found
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
