"""Words drawn from a trained model, one after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from .. import backend, nn
from ..autograd import Tensor, no_grad, tensor
from ..data.tokens import PAD, UNK, Tokenizer, check_tokens
from ..data.vocab import Vocab
from ..functional._arguments import check_integer, check_tensor
from .state import fresh_state, states

NEVER_DRAWN = (UNK, PAD)  # marks for the reader, no words


def generate(
    model: nn.Module,
    vocab: Any,
    prompt: str | Sequence[str],
    n_words: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
    context: int | None = None,
    tokenizer: Callable[[str], list[str]] | None = None,
) -> str:
    """The prompt and `n_words` more, each drawn with p = softmax(scores / temperature).

    prompt       a text, or its words; ``"xxbos"`` begins one from nothing
    temperature  below 1 the likely words become likelier still; 0 always takes the likeliest
    top_k        draw among so many of the likeliest words only
    seed         a random stream of its own for this text; default: that of `mt.manual_seed`
    context      how many of the last words a model without a state is shown each time (default:
                 all); model 0 takes 3
    tokenizer    cuts a text into words; default: ``Tokenizer()``

    A model with a state reads the prompt into an empty one and then word by word; its own state,
    and its mode, are as before afterwards. The marks xxunk and xxpad are never drawn.

    ValueError for a prompt that is empty or has words that the vocabulary lacks, and for settings
    out of range; ArithmeticError where the model's scores are no numbers.
    """
    if not isinstance(model, nn.Module) or not any(True for _ in model.parameters()):
        raise TypeError(f"generate: model must be an nn.Module with weights, got {model!r:.60}")
    check_integer("generate", "n_words", n_words, 0)
    _check_settings(temperature, top_k)
    if context is not None:
        check_integer("generate", "context", context, 1)
    ids = prompt_ids(vocab, prompt, tokenizer)
    rng = backend.generator() if seed is None else _stream(seed)
    never = [vocab.stoi[word] for word in NEVER_DRAWN if word in vocab.stoi]
    remembers = bool(states(model))
    shown = ids
    with fresh_state(model, 1), nn.evaluating(model), no_grad():
        for _ in range(n_words):
            shown = shown if remembers or context is None else ids[-context:]
            scores = _next_scores(model, shown, len(vocab))
            ids = [*ids, draw(scores, rng, temperature, top_k, never)]
            shown = ids[-1:] if remembers else ids
    return vocab.textify(ids)


def prompt_ids(
    vocab: Any,
    prompt: str | Sequence[str],
    tokenizer: Callable[[str], list[str]] | None = None,
) -> list[int]:
    """The prompt's word numbers; ValueError where it is empty or has words never seen."""
    if not isinstance(vocab, Vocab):
        raise TypeError(f"generate: vocab must be a Vocab, got {vocab!r:.60}")
    if tokenizer is not None and not callable(tokenizer):
        raise TypeError(f"generate: tokenizer must be a function, got {tokenizer!r:.60}")
    if isinstance(prompt, str):
        prompt = (tokenizer or Tokenizer())(prompt)
    words = check_tokens("generate", "prompt", prompt)
    if not words:
        raise ValueError(
            "generate: the prompt is empty, and a model needs a word to go on from; 'xxbos' "
            "begins a text"
        )
    unknown = list(dict.fromkeys(w for w in words if w not in vocab.stoi or w == UNK))
    if unknown:
        raise ValueError(
            f"generate: the vocabulary of {len(vocab)} words lacks {', '.join(map(repr, unknown))}"
            f" in the prompt; use words of vocab.itos"
        )
    return [vocab.stoi[word] for word in words]


def draw(
    scores: np.ndarray,
    rng: np.random.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    never: Sequence[int] = (),
) -> int:
    """A place in `scores` (nv,), with p = softmax(scores / temperature), never one of `never`.

    One number u of the stream decides: the place where the sum of p first exceeds u. At
    temperature 0 none is drawn, and the first of the largest scores wins.
    """
    scores = np.array(scores, np.float64)
    scores[list(never)] = -np.inf
    allowed = len(scores) - len(set(never))
    if allowed < 1:
        raise ValueError(f"generate: none of {len(scores)} words may be drawn")
    if temperature == 0:
        return int(scores.argmax())
    if top_k is not None and top_k < allowed:
        least = np.partition(scores, -top_k)[-top_k]
        kept = np.flatnonzero(scores >= least)
        if len(kept) > top_k:  # of equal scores the first words are kept
            kept = kept[np.argsort(-scores[kept], kind="stable")[:top_k]]
        others = np.ones(len(scores), bool)
        others[kept] = False
        scores[others] = -np.inf
    with np.errstate(over="ignore"):  # at a tiny temperature all but the largest become −∞
        p = np.exp((scores - scores.max()) / temperature)
    sums = np.cumsum(p)
    place = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
    return min(place, int(np.flatnonzero(p)[-1]))  # rounding may carry u to the very end


def _next_scores(model: nn.Module, ids: Sequence[int], nv: int) -> np.ndarray:
    """The scores (nv,) of the word after `ids`, on the host."""
    where = next(iter(model.parameters())).backend
    x = tensor(np.array([ids], np.int64), backend=where)  # (1, time)
    scores: Tensor = check_tensor("generate", "the model's answer", model(x))
    if scores.ndim == 3:
        scores = scores[:, -1]  # the answer after the last word
    found = backend.to_numpy(scores.data)[0]
    if found.shape != (nv,):
        raise ValueError(
            f"generate: the model scores {found.shape} words, the vocabulary has {nv}; use the one "
            "that the model was trained with"
        )
    if not np.isfinite(found).all():
        raise ArithmeticError(
            "generate: the model's scores are not all finite, so there is nothing to draw from; "
            "train it at a lower rate, or load better weights"
        )
    return found


def _check_settings(temperature: Any, top_k: Any) -> None:
    number = isinstance(temperature, Real) and not isinstance(temperature, bool)
    if not number or not 0 <= temperature < math.inf:
        raise ValueError(
            f"generate: temperature must be a number of at least 0, got {temperature!r}; 1 draws "
            "as the model believes, 0 takes the likeliest word"
        )
    if top_k is not None:
        check_integer("generate", "top_k", top_k, 1)


def _stream(seed: int) -> np.random.Generator:
    check_integer("generate", "seed", seed, 0)
    return np.random.Generator(np.random.PCG64(int(seed)))
