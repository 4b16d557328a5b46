"""Where an error happened: the path of the layer, and the first NaN or infinity."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from .state import state


def layer_names(layers: Sequence[Any]) -> list[str]:
    """What each running layer but the outermost is called in the one around it: [3, conv1]."""
    names = []
    for outer, inner in zip(layers, layers[1:], strict=False):
        found = [name for name, module in outer.named_modules() if module is inner]
        names.append(found[0] if found else type(inner).__name__)
    return names


def layer_path(layers: Sequence[Any]) -> str:
    """``'3.conv1' (Conv2d(16, 16, ...)) of Sequential``: the innermost of the running layers."""
    names = layer_names(layers)
    described = repr(layers[-1]).split("\n")[0]
    if described.endswith("("):  # a layer with layers inside: its name will do
        described = type(layers[-1]).__name__
    if not names:
        return described
    return f"'{'.'.join(names)}' ({described}) of {type(layers[0]).__name__}"


def note_layer(error: BaseException) -> None:
    """Add ``in layer '3.conv1' (...)`` to an error, once: the innermost layer knows best."""
    if state.layers and not getattr(error, "_layer_noted", False):
        with contextlib.suppress(AttributeError):  # an exception class may forbid new attributes
            error._layer_noted = True  # type: ignore[attr-defined]
        error.add_note(f"in layer {layer_path(state.layers)}")


def check_finite(node: Any, what: str, tensors: Sequence[Any]) -> None:
    """FloatingPointError at the first NaN or infinity, naming the operation and the layer.

    what  "output", or "gradient": what the node answered for its inputs
    """
    for index, t in enumerate(tensors):
        if t is None or t.data.dtype.kind != "f":
            continue
        array = backend.to_numpy(t.data)
        if np.isfinite(array).all():
            continue
        nans, infs = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        place = "output" if what == "output" else "the gradient of input"
        name = node.name if what == "output" else f"{node.name}.backward"
        error = FloatingPointError(
            f"{name}: {place} {index} of shape {t.shape} holds {nans} NaN and {infs} infinite "
            "values"
        )
        if what == "gradient" and node.layers:
            error.add_note(f"in layer {layer_path(node.layers)}")
        raise error
