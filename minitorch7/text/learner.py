"""A Learner for language models."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..learner import Learner, accuracy
from ..learner.summary import Summary
from .generate import generate
from .state import fresh_state, states


class LanguageLearner(Learner):
    """A `Learner` whose model goes on writing: ``learn.predict("one thousand", n_words=20)``.

    data   an LMDataBunch: loaders of x and y (bs, bptt), a vocab
    model  one of the lesson's, or any other that turns (bs, time) into scores

    The other arguments are the Learner's; metrics are accuracy unless given.
    """

    def __init__(
        self, data: Any, model: nn.Module, *, metrics: Any = accuracy, **learn_kwargs: Any
    ) -> None:
        if not hasattr(data, "vocab"):
            raise TypeError(
                "LanguageLearner: data must have a vocab, as label_for_lm().databunch() gives it; "
                f"got {type(data).__name__}"
            )
        if getattr(data, "lesson_time", False):
            raise ValueError(
                "LanguageLearner: the model reads (bs, time), but these batches are (time, bs); "
                "make the data without lesson_time=True, or take a Learner for such a model"
            )
        if not isinstance(model, nn.Module):
            raise TypeError(f"LanguageLearner: model must be an nn.Module, got {model!r:.60}")
        words = getattr(model, "i_h", None)  # on a GPU a number beyond its table reads another row
        if isinstance(words, nn.Embedding) and words.num_embeddings < len(data.vocab):
            raise ValueError(
                f"LanguageLearner: the model knows {words.num_embeddings} words, the data has "
                f"{len(data.vocab)}; make the model with nv={len(data.vocab)} (data.c)"
            )
        super().__init__(data, model, metrics=metrics, **learn_kwargs)

    def predict(
        self,
        text: str,
        n_words: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> str:
        """`text` and `n_words` more; see `generate`.

        A model without a state is shown as many words as it was trained on, `data.bptt`.
        """
        context = None if states(self.model) else getattr(self.data, "bptt", None)
        cut = getattr(self.data, "tokenizer", None)
        return generate(
            self.model, self.data.vocab, text, n_words, temperature, top_k, seed, context, cut
        )

    def reset(self) -> None:
        """Let the model forget what it has read, where it keeps a state."""
        for part in states(self.model):
            part.reset()

    def summary(self) -> Summary:
        """The table of layers, from one batch, which the model does not remember."""
        with fresh_state(self.model, len(self.data.one_batch()[0])):
            return super().summary()
