"""The lesson's pictures of a recurrent network, drawn from the model itself.

A rectangle is a word, a circle a state, a triangle the scores of the next word, as in the lesson.
Arrows are layers, and arrows of one colour are the same weights. What meets in a circle is added;
ReLU, tanh, gates and batch norm belong to the circles and are not drawn.

Models 0 to 3 compute W·(h + E(x)), drawn as W·E(x) + W·h: so `h_h` stands on two arrows, that from
the word and that from the state. An `nn.RNN` has a weight for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from .. import nn
from ..autograd import Tensor, no_grad, tensor
from ..data.tokens import check_tokens
from ..functional._arguments import check_integer, check_tensor
from ..plot import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION
from ..plot.diagram import Diagram
from .state import fresh_state, states

WORD_COLORS, STATE_COLORS = (PURPLE, SKY, "#B8A900"), (ORANGE, VERMILLION, "#7A4B1E")
STEP, STOREY = 1.65, 1.4  # inches from word to word, from layer to layer
WORD, EMBEDDED, HIDDEN = 0.0, 0.95, 2.05  # heights
PAPER = "#F2F2F2"


@dataclass(frozen=True)
class Layer:
    """An arrow's meaning: weights by the name they have, their sizes, their colour."""

    name: str
    sizes: str
    kind: str
    color: str


@dataclass(frozen=True)
class Parts:
    """What a model's picture shows.

    into, again   for each layer of states: the weights for what comes from below, and for the state
    every_word    an answer after every word, not only after the last
    kept          a state kept between batches
    """

    i_h: Layer
    into: list[Layer]
    again: list[Layer]
    h_o: Layer
    every_word: bool
    kept: bool
    nh: int
    nv: int


def parts_of(model: nn.Module) -> Parts:
    """The names and sizes of a model's layers: i_h, h_h or rnn, and h_o.

    TypeError where one of them is missing, or is another kind of layer.
    """
    i_h = _layer_named(model, "i_h", nn.Embedding)
    h_o = _layer_named(model, "h_o", nn.Linear)
    into, again = _state_layers(model)
    first = Layer("i_h", f"{i_h.num_embeddings}→{i_h.embedding_dim}", "Embedding", GREEN)
    last = Layer("h_o", f"{h_o.in_features}→{h_o.out_features}", "Linear", BLUE)
    kept = bool(states(model))
    every = _answers(model, h_o.out_features).ndim == 3
    return Parts(first, into, again, last, every, kept, h_o.in_features, h_o.out_features)


def _layer_named(model: nn.Module, name: str, kind: type) -> Any:
    layer = getattr(model, name, None)
    if not isinstance(layer, kind):
        raise TypeError(
            f"parts_of: {type(model).__name__} needs a layer {name} that is {kind.__name__}, got "
            f"{type(layer).__name__}; the drawing knows the layers by the lesson's names, i_h, "
            "h_h or rnn, h_o"
        )
    return layer


def _state_layers(model: nn.Module) -> tuple[list[Layer], list[Layer]]:
    rnn = getattr(model, "rnn", None)
    if rnn is None:
        h_h = _layer_named(model, "h_h", nn.Linear)
        one = Layer("h_h", f"{h_h.in_features}→{h_h.out_features}", "Linear", ORANGE)
        return [one], [one]
    if not isinstance(rnn, nn.RNN | nn.GRU | nn.LSTM):
        raise TypeError(f"parts_of: rnn must be nn.RNN, nn.GRU or nn.LSTM, got {rnn!r:.60}")
    if rnn.bidirectional:
        raise ValueError("parts_of: draws layers that read forwards, and rnn is bidirectional")
    if not 1 <= rnn.num_layers <= len(WORD_COLORS):
        raise ValueError(
            f"parts_of: draws up to {len(WORD_COLORS)} layers, each weight with a colour of its "
            f"own, and rnn has {rnn.num_layers}"
        )
    numbers = range(rnn.num_layers)
    into = [_recurrent(rnn, f"weight_ih_l{k}", WORD_COLORS[k]) for k in numbers]
    return into, [_recurrent(rnn, f"weight_hh_l{k}", STATE_COLORS[k]) for k in numbers]


def _recurrent(rnn: Any, name: str, color: str) -> Layer:
    n_out, n_in = getattr(rnn, name).shape
    gates = n_out // rnn.hidden_size
    out = f"{n_out}" if gates == 1 else f"{gates}·{rnn.hidden_size}"
    return Layer(name, f"{n_in}→{out}", f"of {type(rnn).__name__}", color)


def _answers(model: nn.Module, nv: int) -> Tensor:
    """The scores of three words, of which the model remembers nothing."""
    x = tensor(np.zeros((1, 3), np.int64), backend=next(iter(model.parameters())).backend)
    with fresh_state(model, 1), nn.evaluating(model), no_grad():
        scores = check_tensor("parts_of", "the model's answer", model(x))
    if scores.shape not in ((1, 3, nv), (1, nv)):
        raise ValueError(
            f"parts_of: of words (1, 3) the model made {scores.shape}; it must answer with scores "
            f"(1, 3, {nv}) after each word, or (1, {nv}) after the last"
        )
    return scores


# ------------------------------------------------------------------------------ word after word


def draw_unrolled(model: nn.Module, words: Sequence[str] | int = 2) -> Any:
    """A figure of `model` reading some words, a column for each: see `unrolled`."""
    return unrolled(model, words).figure()


def unrolled(model: nn.Module, words: Sequence[str] | int = 2) -> Diagram:
    """The network that reading `words` (or so many) amounts to; one word: the basic network.

    Nodes are named x1, e1, h1.1 (word 1, layer 1), y1, and so on.
    """
    words = _words(words)
    parts, diagram = parts_of(model), Diagram()
    for t, word in enumerate(words, 1):
        _column(diagram, parts, t, word)
        last = t == len(words)
        if parts.every_word or last:
            _answer(diagram, parts, t, f"word {t + 1}?")
        for k, layer in enumerate(parts.again, 1):
            if t > 1:
                diagram.arrow(f"h{t - 1}.{k}", f"h{t}.{k}", layer.name, layer.color, side="above")
            elif parts.kept:
                _kept(diagram, t, k, layer)
            if last and parts.kept:
                x, y = diagram.nodes[f"h{t}.{k}"].at
                diagram.arrow(f"h{t}.{k}", (x + 0.85, y), "kept", GREY, dashed=True, side="above")
    diagram.key = _key(parts, recurs=len(words) > 1 or parts.kept)
    return diagram


def _words(words: Sequence[str] | int) -> list[str]:
    if isinstance(words, str):
        raise TypeError(f"unrolled: words must be a list of words, got {words!r}; split it")
    if isinstance(words, Real):
        return [""] * check_integer("unrolled", "words", words, 1)
    words = check_tokens("unrolled", "words", words)
    if not words:
        raise ValueError("unrolled: there are no words to draw; give at least one")
    return words


def _column(diagram: Diagram, parts: Parts, t: int | str, word: str) -> None:
    """A word, what it is embedded as, and the states above it."""
    x = STEP * ((t if isinstance(t, int) else 1) - 1)
    diagram.box(f"x{t}", (x, WORD), f"word {t}" + (f"\n“{word}”" if word else ""), PAPER)
    diagram.circle(f"e{t}", (x, EMBEDDED), str(parts.into[0].sizes.split("→")[0]), PAPER, 0.2)
    _layer_arrow(diagram, f"x{t}", f"e{t}", parts.i_h)
    below = f"e{t}"
    for k, layer in enumerate(parts.into, 1):
        name = f"h{t}.{k}"
        diagram.circle(name, (x, HIDDEN + STOREY * (k - 1)), f"h\n{parts.nh}", "#FDF3DC")
        _layer_arrow(diagram, below, name, layer)
        below = name


def _answer(diagram: Diagram, parts: Parts, t: int | str, asked: str) -> None:
    x, y = diagram.nodes[f"h{t}.{len(parts.into)}"].at
    diagram.triangle(f"y{t}", (x, y + STOREY), str(parts.nv), "#E1EEF7")
    _layer_arrow(diagram, f"h{t}.{len(parts.into)}", f"y{t}", parts.h_o)
    diagram.note((x, y + STOREY + 0.36), asked)


def _layer_arrow(diagram: Diagram, start: str, end: str, layer: Layer) -> None:
    diagram.arrow(start, end, f"{layer.name}\n{layer.sizes}", layer.color)


def _kept(diagram: Diagram, t: int, k: int, again: Layer) -> None:
    """Before the first word: what the batch before has left."""
    x, y = diagram.nodes[f"h{t}.{k}"].at
    diagram.circle(f"h{t - 1}.{k}", (x - 1.6, y), "h\nkept", PAPER, 0.28)
    diagram.arrow(f"h{t - 1}.{k}", f"h{t}.{k}", again.name, again.color, side="above")


def _key(parts: Parts, recurs: bool) -> list[tuple[str, str]]:
    """Each weight once, in the order in which the words meet them."""
    layers = [parts.i_h, *parts.into, *(parts.again if recurs else []), parts.h_o]
    return [
        (layer.color, f"{layer.name}   {layer.kind} {layer.sizes}")
        for layer in dict.fromkeys(layers)
    ]


# ------------------------------------------------------------------------------------- the loop


def draw_loop(model: nn.Module) -> Any:
    """A figure of `model` with its words in a loop: see `loop`."""
    return loop(model).figure()


def loop(model: nn.Module) -> Diagram:
    """The same network in one column: each state leads to itself, and a frame says what repeats.

    Nodes are named xt, et, ht.1, yt.
    """
    parts, diagram = parts_of(model), Diagram()
    _column(diagram, parts, "t", "")
    for k, layer in enumerate(parts.again, 1):
        diagram.loop(f"ht.{k}", f"{layer.name}\n{layer.sizes}", layer.color, side="left")
    inside = list(diagram.nodes)
    _answer(diagram, parts, "t", "word t + 1?" if parts.every_word else "word n + 1?")
    if parts.every_word:
        inside.append("yt")
    begins = "the state is kept\nfrom batch to batch" if parts.kept else "h starts as zeros"
    top = 0.45 if parts.every_word else 0.15
    diagram.frame(inside, f"for t = 1 … n\n{begins}", room=(1.75, 1.0, 0.2, top))
    diagram.key = _key(parts, recurs=True)
    return diagram
