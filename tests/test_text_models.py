"""The lesson's language models: what they compute, what they keep, and that it survives."""

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import backend as seam
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.data import ItemLists, TextList
from minitorch7.learner import Callback, perplexity
from minitorch7.learner.metrics import WeightedMeans
from minitorch7.text.learner import LanguageLearner
from minitorch7.text.models import (
    Model0,
    Model1,
    Model2,
    Model3,
    Model4,
    Model5,
    RecurrentModel,
)
from minitorch7.text.state import KeepsState, fresh_state

KEEPING = {
    "model 3": Model3,
    "model 4": Model4,
    "model 5": Model5,
    "lstm": lambda *sizes: RecurrentModel("lstm", *sizes, layers=2),
}
COUNTS = {Model0: 9190, Model1: 9190, Model2: 9190, Model3: 9190, Model4: 13350, Model5: 54950}


def host(t):
    return seam.to_numpy(t.data)


def words(bs, time, nv=7, seed=0):
    return mt.tensor(np.random.default_rng(seed).integers(0, nv, (bs, time)))


def same_weights(model, other):
    model.load_state_dict(other.state_dict())
    return model


def bits_of(model):
    return {name: host(value).tobytes() for name, value in model.state_dict().items()}


# ------------------------------------------------------------------------------- what they compute


@pytest.mark.parametrize("kind", COUNTS)
def test_parameters_and_shapes(kind):
    model = kind()
    assert sum(p.numel() for p in model.parameters()) == COUNTS[kind]
    scores = model(words(64, 3, 38))
    assert scores.shape == ((64, 38) if kind in (Model0, Model1) else (64, 3, 38))
    assert scores.dtype == np.float32
    assert list(dict(model.named_children())) == (
        ["i_h", "rnn", "h_o", "bn"] if kind in (Model4, Model5) else ["i_h", "h_h", "h_o", "bn"]
    )


def test_the_state_has_the_lessons_shape():
    shapes = {Model3: (64, 64), Model4: (1, 64, 64), Model5: (2, 64, 64)}
    assert {kind: kind().h.shape for kind in shapes} == shapes
    assert RecurrentModel("lstm", 7, 5, 3, layers=2).h.shape == (2, 2, 3, 5)


def test_model_1_is_model_0():
    """The refactoring changes nothing: not a bit of scores, statistics or gradients."""
    first, x = Model0(), words(16, 3, 38)
    second = same_weights(Model1(), first)
    answers = [model(x) for model in (first, second)]
    for scores in answers:
        F.cross_entropy(scores, x[:, 0]).backward()
    assert np.array_equal(*map(host, answers))
    assert bits_of(first) == bits_of(second)
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert np.abs(host(p.grad)).max() > 0
        np.testing.assert_allclose(host(p.grad), host(q.grad), rtol=1e-6, atol=1e-9)


def by_hand(model, x, h, bn_inside):
    """Models 1 to 3 in evaluation mode, by their formula: scores (bs, time, nv), and the state."""
    p = {name: host(value) for name, value in model.state_dict().items()}

    def bn(h):
        scale = p["bn.weight"] / np.sqrt(p["bn.running_var"] + 1e-5)
        return (h - p["bn.running_mean"]) * scale + p["bn.bias"]

    scores = []
    for t in range(x.shape[1]):
        h = np.maximum((h + p["i_h.weight"][x[:, t]]) @ p["h_h.weight"].T + p["h_h.bias"], 0)
        h = bn(h) if bn_inside else h
        seen = h if bn_inside else bn(h)
        scores.append(seen @ p["h_o.weight"].T + p["h_o.bias"])
    return np.stack(scores, 1), h


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_the_loops_by_their_formula(bs, time, nh, seed):
    x = words(bs, time, seed=seed)
    for kind in (Model1, Model2, Model3):
        model = (kind(7, nh, bs) if kind is Model3 else kind(7, nh)).double().eval()
        rng = np.random.default_rng(seed)
        for name, value in model.state_dict().items():
            if name.startswith("bn.") and value.is_floating_point():
                value.copy_(mt.tensor(rng.uniform(0.5, 2, value.shape)))
        before = np.zeros((bs, nh))
        if kind is Model3:
            before = rng.standard_normal((bs, nh))
            model.keep(mt.tensor(before))
        scores, h = by_hand(model, host(x), before, kind is Model1)
        wanted = scores[:, -1] if kind is Model1 else scores
        np.testing.assert_allclose(host(model(x)), wanted, rtol=1e-10, atol=1e-12)
        if kind is Model3:
            np.testing.assert_allclose(host(model.h), h, rtol=1e-10, atol=1e-12)


def test_gradients_of_model_3():
    model, x = Model3(5, 4, 3).double(), words(3, 4, 5)
    state = mt.tensor(np.random.default_rng(1).standard_normal((3, 4)))

    def scores(*parameters):
        model.keep(state)
        return model(x)

    assert mt.gradcheck(scores, list(model.parameters()))


# ---------------------------------------------------------------------------------- what they keep


@pytest.mark.parametrize("kind", KEEPING)
def test_a_text_in_pieces_is_the_text(kind):
    model = KEEPING[kind](7, 5, 3).double().eval()
    x = words(3, 11)
    whole = host(model(x))
    h = host(model.h)
    model.reset()
    pieces = [host(model(part)) for part in (x[:, :4], x[:, 4:5], x[:, 5:])]
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(host(model.h), h, rtol=1e-12, atol=1e-14)
    assert np.abs(h).max() > 0


@pytest.mark.parametrize("kind", KEEPING)
def test_no_gradient_reaches_the_batch_before(kind):
    """Through the state kept; it would through one that is not detached."""
    model = KEEPING[kind](7, 5, 3)
    for cut in (True, False):
        if not cut:
            model.keep = lambda h: setattr(model, "h", h)
        model.reset()
        leaves = []

        def as_leaf(module, inputs, output, leaves=leaves):
            leaves.append(output.detach().requires_grad_())
            return leaves[-1]

        with model.i_h.register_forward_hook(as_leaf):
            model(words(3, 2))
            n = len(leaves)
            loss = (model(words(3, 2, seed=1)) ** 2).sum()
        before = mt.grad(loss, leaves[:n], allow_unused=True)
        assert [g is None for g in before] == [cut] * n


def test_reset():
    model = Model5(7, 5, 3).double()
    model(words(3, 2))
    assert host(model.h).any()
    model.reset()
    assert model.h.shape == (2, 3, 5) and not host(model.h).any()
    model.reset(bs=2)
    assert model(words(2, 4)).shape == (2, 4, 7) and model.h.dtype == np.float64
    with fresh_state(model, 9):
        model(words(9, 1))
        inside = model.h
    assert inside.shape == (2, 9, 5) and model.h.shape == (2, 2, 5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Model3(7, 5, 3)(words(4, 2)),
            ValueError,
            r"state kept is that of 3 .*reset\(bs=4",
        ),
        (
            lambda: Model3(7, 5, 3)(words(4, 2)[0]),
            ValueError,
            r"Model3: needs word numbers \(bs, ti",
        ),
        (lambda: Model2(7, 5)(words(4, 0)), ValueError, "with at least 1 word in each text"),
        (lambda: Model0(7, 5)(words(4, 2)), ValueError, r"exactly 3 words .*got shape \(4, 2\)"),
        (lambda: Model3(7, 5, 3)([[1]]), TypeError, "Model3: x must be a Tensor, got list"),
        (lambda: Model3(7, 5, 3).keep(mt.zeros(3, 4)), ValueError, r"is \(3, 5\), but .*\(3, 4\)"),
        (
            lambda: Model3(7, 5, 3).keep(mt.zeros(3, 5, dtype="float64")),
            TypeError,
            "state is float32 .* forward gave float64",
        ),
        (
            lambda: Model3(7, 5, 3).reset(0),
            ValueError,
            "Model3.reset: bs must be at least 1, got 0",
        ),
        (lambda: KeepsState(4), ValueError, r"needs the shape \(..., bs, nh\), got \(4,\)"),
        (
            lambda: RecurrentModel("rrn"),
            ValueError,
            "cell must be one of 'rnn', 'gru', 'lstm', got",
        ),
    ],
)
def test_what_they_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_state_moves_with_the_model():
    with mt.using("numpy"):
        model, x = Model4(7, 5, 3), words(3, 4)
    model(x)
    before = host(model.h)
    with standin.installed():
        model.to("cupy")
        assert model.h.backend == "cupy"
        np.testing.assert_array_equal(host(model.h), before)
        model(x.to("cupy"))
        assert model.h.backend == "cupy"
        with pytest.raises(seam.BackendError, match="Model4"):
            model(x)


# ------------------------------------------------------------------------------------ in training


class Dies(Exception):
    """Stands for the death of the process."""


class DiesAt(Callback):
    def __init__(self, batch):
        self.batch = batch

    def on_batch_end(self):
        if self.learn.training and self.learn.done == self.batch:
            raise Dies


def small_data(bptt=5):
    text = "one two three four five six , " * 12
    lists = ItemLists(".", TextList([text]), TextList([text[:200]])).label_for_lm()
    return lists.databunch(bs=4, bptt=bptt)


def learner(folder, kind="model 3"):
    mt.manual_seed(1)
    data = small_data()
    model = KEEPING[kind](data.c, 6, 4)
    return LanguageLearner(data, model, path=folder, progress=False)


@pytest.mark.parametrize("kind", KEEPING)
def test_a_run_that_died_ends_with_the_same_bits_and_state(tmp_path, kind):
    options = {"checkpoint": "lm", "checkpoint_every": 2}
    whole = learner(tmp_path / "whole", kind)
    whole.fit_one_cycle(3, 1e-2, **options)
    with pytest.raises(Dies):
        learner(tmp_path, kind).fit_one_cycle(3, 1e-2, callbacks=[DiesAt(7)], **options)
    again = learner(tmp_path, kind)
    again.fit_one_cycle(3, 1e-2, **options)
    assert host(again.model.h).any()
    assert bits_of(again.model) == bits_of(whole.model)


def test_saved_and_loaded_with_its_state(tmp_path):
    learn = learner(tmp_path)
    learn.fit(1)
    learn.save("a")
    before = bits_of(learn.model)
    learn.fit(1)
    assert bits_of(learn.model)["h"] != before["h"]
    learn.load("a")
    assert bits_of(learn.model) == before


def test_searching_and_summing_up_leave_the_state_alone(tmp_path):
    learn = learner(tmp_path)
    learn.fit(1)
    before = bits_of(learn.model)
    learn.lr_find(num_it=12)
    assert learn.summary().total == sum(p.numel() for p in learn.model.parameters())
    assert bits_of(learn.model) == before


def test_validation_goes_on_with_the_state(tmp_path):
    """So what comes first matters, unless the state is reset: what the module says."""
    learn = learner(tmp_path)
    learn.fit(1)
    after_training, after_validating = learn.validation, learn.validate()
    assert after_training != after_validating
    learn.reset()
    from_zeros = learn.validate()
    assert from_zeros != after_validating
    learn.reset()
    assert learn.validate() == from_zeros


# ------------------------------------------------------------------------------------- perplexity


def test_perplexity_is_of_all_positions(backend):
    """Not the mean of the batches'; exp of the mean cross entropy, by its definition."""
    rng = np.random.default_rng(0)
    scores = [rng.normal(0, 3, (n, 5, 9)).astype(np.float32) for n in (4, 1)]
    targets = [rng.integers(0, 9, (n, 5)) for n in (4, 1)]
    means, nats = WeightedMeans(), []
    for s, y in zip(scores, targets, strict=True):
        means.add([perplexity(mt.tensor(s), mt.tensor(y))], len(y))
        p = np.exp(s.astype(float)) / np.exp(s.astype(float)).sum(-1, keepdims=True)
        nats += [-np.log(p[i, t, y[i, t]]) for i in range(len(y)) for t in range(5)]
    assert means.read() == [pytest.approx(np.exp(np.mean(nats)), rel=1e-12)]


def test_perplexity_at_its_ends():
    y = mt.tensor([[3, 1]])
    assert float(perplexity(mt.zeros(1, 2, 7), y)) == pytest.approx(7)
    sure = np.full((1, 2, 7), -200.0)
    sure[0, [0, 1], [3, 1]] = 200
    assert float(perplexity(mt.tensor(sure), y)) == 1
    assert np.isfinite(float(perplexity(mt.tensor(-sure * 5), y)))
    with pytest.raises(ValueError, match=r"perplexity: predictions \(2, 7\) and targets \(1, 2\)"):
        perplexity(mt.zeros(2, 7), y)
    assert perplexity.__name__ == "perplexity"  # the column's heading
    assert nn.CrossEntropyFlat()(mt.zeros(1, 2, 7), y).item() == pytest.approx(np.log(7))
