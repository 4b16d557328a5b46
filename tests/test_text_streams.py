"""Running text in batches, in both layouts, and training on it: fits, checkpoints, resumed runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_learner_resume import At, Dies
from test_learner_toy import same_bits, weights_of
from test_text_list import numbers

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import (
    DataError,
    ItemLists,
    LessonTokenLoader,
    TextList,
    TokenLoader,
    Vocab,
)
from minitorch7.learner import CheckpointError, Learner, accuracy

FIRST_COLUMN = [2, 8, 10, 11, 12, 10, 9, 8, 9, 13, 18, 24, 18, 14, 15, 10, 18, 8, 9, 8, 18, 24, 18]
FIRST_COLUMN += [10, 18, 10, 9, 8, 18, 19, 10, 25, 19, 22, 19, 19, 23, 19, 10, 13, 10, 10, 8, 13, 8]
FIRST_COLUMN += [19, 9, 19, 34, 16, 10, 9, 8, 16, 8, 19, 9, 19, 10, 19, 10, 19, 19, 19]


@pytest.fixture(scope="module")
def lists():
    return numbers()


class Texts:
    """A set of documents whose tokens are numbered through: token i is the number i."""

    vocab = Vocab(["a"])

    def __init__(self, *lengths):
        self.tokens = sum(lengths)
        ends = np.cumsum(lengths)
        self.documents = [np.arange(e - n, e) for e, n in zip(ends, lengths, strict=True)]

    def __len__(self):
        return len(self.documents)


def batches(loader, epoch=0, start=0):
    return [(x.numpy(), y.numpy()) for x, y in loader.batches(epoch, start)]


# --------------------------------------------------------------------------------- the final layout


@pytest.mark.parametrize(("bptt", "train", "valid"), [(70, 12, 3), (20, 40, 11), (3, 261, 68)])
def test_as_many_batches_as_published(lists, bptt, train, valid):
    data = lists.databunch(bs=64, bptt=bptt)
    assert [len(dl) for dl in (data.train_dl, data.fix_dl, data.valid_dl)] == [train, train, valid]
    found = batches(data.valid_dl)
    assert len(found) == valid and all(x.shape == y.shape == (64, bptt) for x, y in found)


def test_the_published_first_column(lists):
    data = lists.databunch(bs=64, bptt=70)
    x, _ = data.one_batch("valid")
    assert x.numpy()[:, 0].tolist() == FIRST_COLUMN
    assert sum(x.size for x, _ in batches(data.valid_dl)) == 13440


@given(st.data())
def test_streams_are_the_formula(data):
    total = data.draw(st.integers(2, 200))
    bs = data.draw(st.integers(1, min(total, 12)))
    bptt = data.draw(st.integers(1, min(total - 1, 30)))
    found = batches(TokenLoader(Texts(total), bs, bptt))
    assert len(found) == -(-total // (bs * bptt))
    for b, (x, y) in enumerate(found):
        for k in range(bs):
            start = k * total // bs + b * bptt
            assert x[k].tolist() == [(start + i) % total for i in range(bptt)]
            assert y[k].tolist() == [(start + i + 1) % total for i in range(bptt)]
    seen = {int(i) for x, _ in found for i in x.ravel()}
    assert seen == set(range(total))  # nothing is left out


# ------------------------------------------------------------------------------ the lesson's layout


def test_three_validation_batches_of_the_lesson(lists):
    data = lists.databunch(bs=64, bptt=70, lesson_time=True)
    found = batches(data.valid_dl)
    assert [len(x) for x, _ in found][0] == 95 and len(found) == 3 == len(data.valid_dl)
    assert sum(x.size for x, _ in found) == 12928
    rows = lists.valid.documents[0][: 203 * 64].reshape(64, 203)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in found]).T, rows[:, :-1])
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]).T, rows[:, 1:])


def test_one_length_for_the_single_word_models(lists):
    data = lists.databunch(bptt=3, lesson_time=True, max_len=0, p_bptt=1)
    lengths = [len(x) for x, _ in data.train_dl]
    assert lengths == [3] * 260 + [1] and len(data.valid_dl) == 68  # 781 = 3 · 260 + 1


def test_lengths_follow_their_rule():
    loader = LessonTokenLoader(Texts(40_000), bs=2, bptt=60, seed=3)
    drawn = [np.diff(loader.bounds(epoch))[:-1] for epoch in range(12)]
    assert drawn[0][0] == 85 and drawn[1][0] != 85
    later = np.concatenate([d[1:] for d in drawn])
    halves = later < 45
    assert 0.03 < halves.mean() < 0.07 and later.min() >= 5 and later.max() <= 85
    assert abs(later[~halves].mean() - 59.5) < 0.3 and abs(later[~halves].std() - 5) < 0.3
    assert abs(later[halves].mean() - 29.5) < 1.5


@given(st.data())
def test_the_lessons_batches_are_one_text(data):
    bs = data.draw(st.integers(1, 6))
    rows = data.draw(st.integers(2, 60))
    total = rows * bs + data.draw(st.integers(0, bs - 1))
    bptt = data.draw(st.integers(1, min(total - 1, 40)))
    options = {"max_len": data.draw(st.integers(0, 30)), "p_bptt": data.draw(st.floats(0, 1))}
    loader = LessonTokenLoader(Texts(total), bs, bptt, seed=data.draw(st.integers(0, 5)), **options)
    epoch = data.draw(st.integers(0, 3))
    found = batches(loader, epoch)
    assert len(found) == loader.count(epoch) <= len(loader) == -(-(rows - 1) // bptt)
    assert all(1 <= len(x) <= bptt + options["max_len"] for x, _ in found)
    x, y = (np.concatenate(side) for side in zip(*found, strict=True))
    expected = np.arange(len(x))[:, None] + rows * np.arange(bs)
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, expected + 1)


# ----------------------------------------------------------------------- epochs, and texts in turn

LOADERS = [TokenLoader, LessonTokenLoader]


@pytest.mark.parametrize("kind", LOADERS)
def test_a_batch_depends_on_seed_epoch_and_number(kind):
    def loader(seed=7):
        return kind(Texts(*range(20, 60)), bs=4, bptt=9, shuffle=True, seed=seed)

    whole = batches(loader(), 3)
    other = loader()
    for index in (5, 0, len(whole) - 1):
        np.testing.assert_array_equal(other.batch(3, index)[0].numpy(), whole[index][0])
    rest = batches(loader(), 3, start=5)
    assert len(rest) == len(whole) - 5
    for ours, theirs in zip(whole[5:], rest, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(whole[0][0], loader().batch(4, 0)[0].numpy()[: len(whole[0][0])])
    assert not np.array_equal(whole[0][0], loader(8).batch(3, 0)[0].numpy()[: len(whole[0][0])])


@pytest.mark.parametrize("kind", LOADERS)
def test_texts_are_shuffled_whole(kind):
    texts = Texts(10, 20, 30, 40)
    loader = kind(texts, bs=1, bptt=5, shuffle=True)
    orders = set()
    for epoch in range(6):
        text = loader.text(epoch)
        assert sorted(text) == list(range(100))
        cuts = np.flatnonzero(np.diff(text) != 1) + 1
        pieces = np.split(text, cuts)
        assert {(p[0], len(p)) for p in pieces} <= {
            (documents[0], sum(map(len, texts.documents[i:j])))
            for i, documents in enumerate(texts.documents)
            for j in range(i + 1, 5)
        }
        orders.add(tuple(text[[0, *cuts]]))
    assert len(orders) > 2
    still = kind(texts, bs=1, bptt=5)
    np.testing.assert_array_equal(still.text(5), np.arange(100))


@pytest.mark.parametrize("kind", LOADERS)
def test_a_for_loop_is_an_epoch(kind):
    loader = kind(Texts(30, 30), bs=2, bptt=10, shuffle=True)
    first, second = list(loader), list(loader)
    assert loader.epoch == 2 and len(first) <= len(loader) == 3
    np.testing.assert_array_equal(second[0][0].numpy(), batches(loader, 1)[0][0])


@pytest.mark.parametrize("kind", LOADERS)
def test_no_texts_are_no_batches(kind):
    loader = kind(Texts(), bs=4, bptt=3)
    assert (
        len(loader) == 0 and list(loader) == [] and "0 batches of 4 × 3, 0 tokens" in repr(loader)
    )


BAD = [
    (TokenLoader, {"bs": 11}, "bs is 11, but the text has 10 tokens.*bs=10 or less"),
    (TokenLoader, {"bptt": 10}, "bptt is 10, but the text has 10 tokens.*bptt=9 or less"),
    (TokenLoader, {"bs": 0}, "bs must be a whole number of at least 1, got 0"),
    (TokenLoader, {"bptt": 2.5}, "bptt must be a whole number of at least 1, got 2.5"),
    (TokenLoader, {"seed": -1}, "seed must be"),
    (LessonTokenLoader, {"bs": 6}, "bs is 6, .*10 tokens, and each stream needs two.*bs=5 or less"),
    (LessonTokenLoader, {"bptt": 10}, "bptt is 10, but the text has 10 tokens.*bptt=9 or less"),
    (LessonTokenLoader, {"max_len": -1}, "max_len must be"),
    (LessonTokenLoader, {"p_bptt": 1.5}, "p_bptt must be a chance between 0 and 1, got 1.5"),
    (LessonTokenLoader, {"p_bptt": "x"}, "p_bptt must be a chance between 0 and 1, got 'x'"),
]


@pytest.mark.parametrize(("kind", "options", "message"), BAD)
def test_bad_arguments(kind, options, message):
    with pytest.raises(DataError, match=message):
        kind(Texts(10), **{"bs": 2, "bptt": 2, **options})


@pytest.mark.parametrize("kind", LOADERS)
def test_there_is_no_such_batch(kind):
    loader = kind(Texts(40), bs=2, bptt=10)
    count = loader.count(0)
    message = f"no batch {count}; epoch 0 of 40 tokens has {count} batches of 2 × 10"
    with pytest.raises(DataError, match=message):
        loader.batch(0, count)
    with pytest.raises(DataError, match="no batch 9"):
        loader.batches(0, start=9)
    with pytest.raises(DataError, match="epoch must be"):
        loader.batches(-1)


# ----------------------------------------------------------------------------------------- training


def bunch(text="", **options):
    """Three short texts to learn from and one to be judged by."""
    words = "a b c d e f g".split()
    lines = [" ".join(words[i % 7] for i in range(start, start + 90)) + text for start in (0, 3, 5)]
    lists = ItemLists(".", TextList(lines), TextList([lines[0][:60]])).label_for_lm()
    return lists.databunch(**{"bs": 4, "bptt": 7, **options})


class Remembers(nn.Module):
    """What comes next, from the word and a fading memory of those before: kept in a buffer."""

    def __init__(self, nv, time_axis):
        self.embedding, self.out, self.axis = nn.Embedding(nv, 8), nn.Linear(8, nv), time_axis
        self.drop = nn.Dropout(0.1)
        self.register_buffer("memory", mt.zeros(8))

    def forward(self, x):
        words = self.drop(self.embedding(x))
        self.memory = (0.5 * self.memory + words.mean(dim=(0, 1))).detach()
        return self.out(words + self.memory)


def learner(path=".", **options):
    data = bunch(**options)
    mt.manual_seed(0)
    model = Remembers(data.c, 0 if data.lesson_time else 1)
    return Learner(data, model, metrics=accuracy, path=path, progress=False)


def fit(learn, **options):
    learn.fit_one_cycle(4, 0.1, checkpoint="lm", checkpoint_every=2, **options)
    return weights_of(learn)


@pytest.mark.parametrize("lesson_time", [False, True])
def test_a_learner_learns_to_count_letters(lesson_time):
    learn = learner(lesson_time=lesson_time)
    learn.fit_one_cycle(10, 0.05)
    loss, share = learn.validate()
    assert share > 0.9 and loss < learn.recorder.raw_losses[0] / 3
    predictions, targets = learn.get_preds()
    assert predictions.shape == (*targets.shape, learn.data.c)
    np.testing.assert_allclose(predictions.numpy().sum(-1), 1, rtol=1e-5)
    assert "Embedding" in str(learn.summary())


def test_lr_find_leaves_the_learner_as_it_was():
    learn = learner()
    before = weights_of(learn)
    learn.lr_find(num_it=30)
    assert same_bits(before, weights_of(learn)) and len(learn.recorder.losses) > 10


@pytest.mark.parametrize("lesson_time", [False, True])
@pytest.mark.parametrize("done", [1, 7, 10, 21])
def test_a_run_that_died_ends_with_the_same_bits(tmp_path, lesson_time, done):
    expected = fit(learner(tmp_path / "whole", lesson_time=lesson_time))
    with pytest.raises(Dies):
        fit(learner(tmp_path, lesson_time=lesson_time), callbacks=[At("step_end", done, Dies)])
    again = fit(learner(tmp_path, lesson_time=lesson_time))
    assert same_bits(again, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bptt": 6}, "bptt 7, 15 in the vocabulary, 273 tokens, .*now bptt 6, 15"),
        ({"lesson_time": True}, "data was bptt 7.*, time first, max_len 25, p_bptt 0.95"),
        ({"text": " g"}, "273 tokens, .*now bptt 7, 15 in the vocabulary, 276 tokens"),
        ({"seed": 1}, "data_seed was 0, now 1"),
    ],
)
def test_other_text_is_refused(tmp_path, change, message):
    fit(learner(tmp_path))
    with pytest.raises(CheckpointError, match=message):
        fit(learner(tmp_path, **change))


def test_another_vocabulary_of_the_same_size_is_refused(tmp_path):
    fit(learner(tmp_path))
    learn = learner(tmp_path)
    learn.data.vocab.itos[10] = "other"
    with pytest.raises(CheckpointError, match="data was bptt 7, 15 in the vocabulary, 273 tokens,"):
        fit(learn)
