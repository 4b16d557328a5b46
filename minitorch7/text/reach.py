"""How far back a model's answer depends on what it read: the picture of vanishing gradients.

An RNN multiplies the gradient by the same matrix at every step back, so after twenty steps little
is left of it, or far too much (Bengio, Simard & Frasconi 1994). Gates let more of it pass from the
start; training opens a way in all cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, nn
from .. import functional as F
from ..autograd import Tensor, enable_grad, grad
from ..functional._arguments import check_tensor
from .state import check_words, fresh_state


def gradient_reach(model: nn.Module, x: Tensor, y: Tensor | None = None) -> np.ndarray:
    """reach[k] = mean over the texts of ‖∂L/∂eₖ‖, eₖ the embedded word k steps before the last.

    L is the cross entropy of the scores after the last word, of one text; (time,) float64. Index 0
    is the last word itself.

    model  its embedding is `i_h`; one that keeps a state begins with zeros, and goes on afterwards
           with its own. It is in evaluation mode meanwhile, so that no text sees another
    x      word numbers (bs, time)
    y      the words that followed, (bs, time), of which the last counts, or (bs,); default: those
           that the model itself holds for likeliest
    """
    if not isinstance(getattr(model, "i_h", None), nn.Module):
        raise TypeError(
            f"gradient_reach: {type(model).__name__} has no layer i_h that embeds the words; give "
            "its embedding that name"
        )
    check_tensor("gradient_reach", "x", x)
    check_words(model, x)
    if isinstance(model.i_h, nn.Embedding):
        _check_ids("x", x, model.i_h.num_embeddings)
    embedded: list[Tensor] = []

    def as_leaf(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    hook = model.i_h.register_forward_hook(as_leaf)
    with hook, fresh_state(model, len(x)), nn.evaluating(model), enable_grad():
        scores = model(x)
        scores = scores[:, -1] if scores.ndim == 3 else scores  # (bs, nv)
        # a sum over texts that do not see one another: each gradient is that of its own loss
        loss = F.cross_entropy(scores, _targets(x, y, scores), reduction="sum")
        gradients = grad(loss, embedded)
    return _norms(gradients, x.shape)[::-1].copy()


def _targets(x: Tensor, y: Tensor | None, scores: Tensor) -> Tensor:
    if y is None:
        return scores.detach().argmax(1)
    check_tensor("gradient_reach", "y", y)
    if y.shape not in (x.shape, x.shape[:1]):
        raise ValueError(
            f"gradient_reach: y must be {x.shape} or {x.shape[:1]} like the texts x, got {y.shape}"
        )
    y = y[:, -1] if y.ndim == 2 else y
    _check_ids("y", y, scores.shape[1])
    return y


def _check_ids(name: str, ids: Tensor, nv: int) -> None:
    """Word numbers there are none of; looked at here, as the operations do not on a GPU."""
    numbers = backend.to_numpy(ids.data)
    if numbers.dtype.kind not in "iu":
        raise TypeError(f"gradient_reach: {name} must be word numbers, integers, got {ids.dtype}")
    low, high = numbers.min(), numbers.max()
    if low < 0 or high >= nv:
        raise IndexError(f"gradient_reach: {name} holds {low} to {high}, outside 0 to {nv - 1}")


def _norms(gradients: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The mean norm at each word (time,); the words were embedded together or one by one."""
    arrays = [backend.to_numpy(g.data).astype(np.float64) for g in gradients]
    arrays = [a if a.ndim == 3 else a[:, None] for a in arrays]  # (bs, words, nh)
    norms = np.sqrt((np.concatenate(arrays, axis=1) ** 2).sum(2))
    if norms.shape != shape:
        raise ValueError(
            f"gradient_reach: the model embedded {norms.shape} words of {shape}; it must embed "
            "each word once, from first to last"
        )
    return norms.mean(0)
