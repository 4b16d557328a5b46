"""Words drawn from models: from a trained one, and from one that is told what to answer."""

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import backend, nn
from minitorch7.data import ItemLists, TextList, Vocab
from minitorch7.text.generate import draw, generate, prompt_ids
from minitorch7.text.learner import LanguageLearner
from minitorch7.text.losses import acc4, loss4
from minitorch7.text.models import Model0, Model1, Model2, Model3, Model4, Model5, RecurrentModel

MODELS = {
    "model 0": Model0,
    "model 1": Model1,
    "model 2": Model2,
    "model 3": lambda nv, nh: Model3(nv, nh, 16),
    "model 4": lambda nv, nh: Model4(nv, nh, 16),
    "model 5": lambda nv, nh: Model5(nv, nh, 16),
    "lstm": lambda nv, nh: RecurrentModel("lstm", nv, nh, 16),
}
VOCAB = Vocab(["xxunk", "xxpad", "xxbos", "a", "b", "c", "d", "e"])


def bits_of(model):
    return {name: host(value).tobytes() for name, value in model.state_dict().items()}


def host(t):
    return backend.to_numpy(t.data)


def learner(name):
    """A learner whose text counts from one to six, over and over."""
    mt.manual_seed(0)
    text = "one two three four five six , " * 100
    lists = ItemLists(".", TextList([text]), TextList([text[:900]])).label_for_lm()
    early = name in ("model 0", "model 1")
    data = lists.databunch(bs=16, bptt=3 if early else 5)
    options = {"loss_func": loss4, "metrics": acc4} if early else {}
    return LanguageLearner(data, MODELS[name](data.c, 16), progress=False, **options)


class Told(nn.Module):
    """Answers with the same scores always; notes what it was shown."""

    def __init__(self, scores):
        self.scores = nn.Parameter(mt.tensor(np.asarray(scores, np.float32)))
        self.shown = []

    def forward(self, x):
        self.shown.append(host(x).tolist())
        return self.scores.reshape(1, -1)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_to_count_and_counts(name):
    learn = learner(name)
    learn.fit_one_cycle(10, 1e-2)
    loss, accuracy = learn.validation
    assert accuracy > 0.95 and loss < 0.2
    learn.model.train()
    before = bits_of(learn.model)
    said = learn.predict("two three four", 9, temperature=0).split()
    assert said == "two three four five six , one two three four five six".split()
    assert learn.predict("two three four", 5, top_k=1) == "two three four five six , one two"
    # its own state and mode are as they were
    assert bits_of(learn.model) == before and learn.model.training


def test_a_models_memory_is_not_the_texts():
    """A generated text begins with an empty state, whatever the model has read."""
    model = Model5(8, 6, 4)
    first = generate(model, VOCAB, "a b", 8, seed=1)
    model(mt.tensor(np.full((4, 9), 5)))
    model.eval()
    assert generate(model, VOCAB, "a b", 8, seed=1) == first


def test_a_state_stands_for_the_words_before():
    """Word by word with a state draws what the whole text shown again each time would."""
    model = Model3(8, 6, 4)
    text = generate(model, VOCAB, "a b", 6, temperature=0)
    ids = VOCAB.numericalize("a b".split())
    model.eval()
    for _ in range(6):
        model.reset(1)
        scores = host(model(mt.tensor([ids])))[0, -1]
        ids.append(draw(scores, np.random.default_rng(), 0, never=(0, 1)))
    assert VOCAB.textify(ids) == text


def test_what_a_model_without_a_state_is_shown():
    model = Told([0, 0, 0, 0, 0, 9, 0, 0])
    assert generate(model, VOCAB, ["a", "b"], 3, 0) == "a b c c c"
    assert model.shown == [[[3, 4]], [[3, 4, 5]], [[3, 4, 5, 5]]]
    model.shown.clear()
    generate(model, VOCAB, "a b", 3, 0, context=2)
    assert model.shown == [[[3, 4]], [[4, 5]], [[5, 5]]]
    assert generate(model, VOCAB, "xxbos", 0) == "xxbos"


def test_the_same_seed_draws_the_same_on_both_backends():
    model = Model4(8, 6, 4)
    mt.manual_seed(3)
    texts = [generate(model, VOCAB, "a", 30)]
    again = generate(model, VOCAB, "a", 30)
    own = generate(model, VOCAB, "a", 30, seed=3)
    mt.manual_seed(3)
    texts.append(generate(model, VOCAB, "a", 30))
    with standin.installed():
        model.to("cupy")
        mt.manual_seed(3)
        texts.append(generate(model, VOCAB, "a", 30))
        assert generate(model, VOCAB, "a", 30, seed=3) == own == texts[0]
    assert len(set(texts)) == 1 and again != texts[0]


# ----------------------------------------------------------------------------------- the drawing


def shares(scores, n=20000, **options):
    rng = np.random.default_rng(0)
    counts = np.bincount([draw(scores, rng, **options) for _ in range(n)], minlength=len(scores))
    return counts / n


def softmax(scores):
    p = np.exp(np.asarray(scores) - np.max(scores))
    return p / p.sum()


def test_words_are_drawn_as_often_as_the_model_believes():
    scores = np.array([2.0, 0.5, -1.0, 1.0])
    np.testing.assert_allclose(shares(scores), softmax(scores), atol=0.015)
    np.testing.assert_allclose(shares(scores, temperature=2), softmax(scores / 2), atol=0.015)
    kept = softmax(np.array([2.0, -np.inf, -np.inf, 1.0]))
    np.testing.assert_allclose(shares(scores, top_k=2), kept, atol=0.015)
    never = softmax(np.array([-np.inf, 0.5, -1.0, 1.0]))
    np.testing.assert_allclose(shares(scores, never=(0,)), never, atol=0.015)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-50, 50), min_size=3, max_size=9),
    st.sampled_from([0, 1e-300, 0.3, 1, 1e6]),
    st.integers(1, 12),
    st.integers(0, 9),
)
def test_what_may_be_drawn(scores, temperature, top_k, seed):
    """One of the top_k largest that are allowed, with u anywhere in [0, 1)."""
    never = {seed % len(scores)}
    allowed = [i for i in range(len(scores)) if i not in never]
    best = sorted(allowed, key=lambda i: (-scores[i], i))
    rng = np.random.default_rng(seed)
    place = draw(np.array(scores), rng, temperature, top_k, tuple(never))
    assert place in (best[:top_k] if temperature else best[:1])
    if temperature == 1e-300:
        assert scores[place] == scores[best[0]]


class Always:
    """A stream that gives one number."""

    def __init__(self, u):
        self.u = u

    def random(self):
        return self.u


def test_the_ends_of_the_stream():
    scores = np.log([0.25, 0.25, 0.5])
    drawn = [draw(scores, Always(u)) for u in (0, 0.2499, 0.2501, 0.4999, 0.5001, 1 - 2**-53)]
    assert drawn == [0, 0, 1, 1, 2, 2]
    assert draw(np.array([1.0, -2000.0]), Always(1 - 2**-53)) == 0  # a word with p = 0


def test_marks_are_never_drawn():
    model = Told([50, 50, 1, 1, 1, 1, 1, 1])
    text = generate(model, VOCAB, "a", 60, seed=0)
    assert "xxunk" not in text and "xxpad" not in text and "xxbos" in text
    assert generate(model, VOCAB, "a", 1, 0) == "a xxbos"


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prompt": ""}, ValueError, "prompt is empty, .* 'xxbos' begins a text"),
        ({"prompt": []}, ValueError, "prompt is empty"),
        ({"prompt": "a z q z"}, ValueError, "vocabulary of 8 words lacks 'z', 'q' in the prompt"),
        ({"prompt": "a xxunk"}, ValueError, "lacks 'xxunk'"),
        ({"temperature": -1}, ValueError, "temperature must be a number of at least 0, got -1"),
        ({"temperature": float("nan")}, ValueError, "temperature must be .* got nan"),
        ({"temperature": float("inf")}, ValueError, "temperature must be .* got inf"),
        ({"temperature": "hot"}, ValueError, "temperature must be .* got 'hot'"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
        ({"top_k": 1.5}, TypeError, "top_k must be an integer, got 1.5"),
        ({"n_words": -1}, ValueError, "n_words must be at least 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"context": 0}, ValueError, "context must be at least 1"),
        ({"model": Told([1, 2])}, ValueError, r"scores \(2,\) words, the vocabulary has 8"),
        ({"model": Told([np.nan] * 8)}, ArithmeticError, "scores are not all finite"),
        ({"model": Model0(8, 4)}, ValueError, "Model0: needs .* exactly 3 words"),
    ],
)
def test_what_is_refused(options, error, message):
    arguments = {"model": Told([0] * 8), "vocab": VOCAB, "prompt": "a", **options}
    with pytest.raises(error, match=message):
        generate(**arguments)


def test_a_prompt_is_cut_by_the_tokenizer():
    assert prompt_ids(VOCAB, "a b, a".replace(",", "")) == [3, 4, 3]
    assert prompt_ids(VOCAB, "a-b", tokenizer=lambda text: text.split("-")) == [3, 4]
    assert prompt_ids(VOCAB, ("e", "xxbos")) == [7, 2]


def test_a_learner_for_language():
    with pytest.raises(TypeError, match="LanguageLearner: data must have a vocab"):
        LanguageLearner(object(), Model2())
    learn = learner("model 3")
    assert [metric.__name__ for metric in learn.metrics] == ["accuracy"]
    learn.model(mt.tensor(np.full((16, 3), 9)))
    learn.reset()
    assert not host(learn.model.h).any()
    learner("model 2").reset()  # nothing to forget
