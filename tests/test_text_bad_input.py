"""Nonsense given to the text data and the text models: each is an error of ours, or done right."""

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import (
    DataError,
    ItemLists,
    LMDataBunch,
    LMLists,
    TextList,
    Tokenizer,
    TokenLoader,
    Vocab,
)
from minitorch7.data.lm_bunch import TextSet
from minitorch7.data.tokens import deal_caps
from minitorch7.learner import perplexity
from minitorch7.plot import Diagram
from minitorch7.text import drawing
from minitorch7.text.generate import generate
from minitorch7.text.learner import LanguageLearner
from minitorch7.text.losses import acc4, loss4
from minitorch7.text.models import Model0, Model2, Model4, RecurrentModel
from minitorch7.text.numbers import number_in_words
from minitorch7.text.reach import gradient_reach
from minitorch7.text.state import states

VOCAB = Vocab(["xxunk", "xxpad", "xxbos", "a", "b", "c"])


def ids():
    return mt.tensor([[3, 4, 5], [4, 5, 3]])


def lists(train="a b c " * 20, valid="a b", **options):
    sides = TextList([train], **options), TextList([valid], **options)
    return ItemLists(".", *sides).label_for_lm()


def labelled(tokenizer):
    return TextList(["a b"], tokenizer=tokenizer).split_none().label_for_lm()


def refused(*cases):
    return pytest.mark.parametrize(("call", "error", "message"), cases)


# ---------------------------------------------------------------------------- words and vocabulary


@refused(
    (
        lambda: Tokenizer(None),
        TypeError,
        "Tokenizer: pre_rules must be a list of functions, got No",
    ),
    (
        lambda: Tokenizer(post_rules=3),
        TypeError,
        "post_rules must be a list of functions, got int 3",
    ),
    (lambda: Tokenizer([lambda t: None])("a"), TypeError, "<lambda> must give a string, gave None"),
    (lambda: Tokenizer((), [lambda t: None])("a"), TypeError, "what <lambda> gives must be a list"),
    (lambda: Tokenizer((), [lambda t: [1]])("a"), TypeError, "list of strings, got 1 in it"),
    (lambda: Tokenizer((), (), lambda t: t)("ab"), TypeError, "a list of strings, got str 'ab'"),
    (lambda: Vocab(None), TypeError, "Vocab: itos must be a list of strings, got NoneType None"),
    (lambda: Vocab({"a", "b"}), TypeError, "itos must be a list of strings, got set"),
    (lambda: Vocab(["a", "\ud800"]), DataError, r"a token has '\\ud800', half a character"),
    (
        lambda: Vocab.create(3),
        TypeError,
        "token_lists must be a list of lists of tokens, got int 3",
    ),
    (lambda: Vocab.create([["a", None]]), TypeError, "must be a list of strings, got None in it"),
    (lambda: Vocab.create([b"ab"]), TypeError, "must be a list of strings, got bytes b'ab'"),
    (lambda: Vocab.create([["a", "b"]]), DataError, "no word occurs 2 times, the most frequent 1;"),
    (lambda: VOCAB.numericalize(None), TypeError, "Vocab.numericalize: tokens must be a list"),
    (lambda: VOCAB.numericalize(["a", 3]), TypeError, "tokens must be a list of strings, got 3"),
    (lambda: VOCAB.textify([1], sep=None), TypeError, "textify: sep must be a string, got None"),
    (
        lambda: VOCAB.textify([[1], [2, 3]]),
        DataError,
        "flat list of whole numbers, got .*row by row",
    ),
    (lambda: VOCAB.textify([True]), DataError, "flat list of whole numbers, got bool"),
    (lambda: VOCAB.save(""), DataError, "Vocab.save: path must be that of a file, got ''"),
    (lambda: VOCAB.save("a\0"), DataError, "Vocab.save: path must be that of a file"),
)
def test_words(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "content", ['["a", 1]', "[null]", '["\\ud800"]', "[" * 100_000, "3", '["a"']
)
def test_a_vocabulary_file_that_is_none_is_named(tmp_path, content):
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(DataError, match=r"Vocab.load: .*v\.json"):
        Vocab.load(tmp_path / "v.json")


def test_a_token_may_be_empty_and_a_rule_without_a_name():
    class Rule:
        def __call__(self, text):
            return text

        def __repr__(self):
            return "Rule()"

    assert deal_caps(["", "Ab"]) == ["", "xxmaj", "ab"]
    assert repr(Tokenizer([Rule()], [], str.split)) == "Tokenizer(Rule(), split)"


@pytest.mark.parametrize("n", [True, mt.tensor([1, 2]), None, "one"])
def test_numbers_that_are_none(n):
    with pytest.raises(TypeError, match="number_in_words: n must be a whole number"):
        number_in_words(n)


# --------------------------------------------------------------------------------------- the lists


TEXTS = TextList(["a", "b", "c"])


@refused(
    (lambda: TextList(None), TypeError, "TextList: texts must be a list of strings, got NoneType"),
    (lambda: TextList({"a", "b"}), TypeError, "texts must be a list of strings, got set"),
    (lambda: TextList(["a"], tokenizer="x"), TypeError, "tokenizer must be a function, got 'x'"),
    (lambda: TextList(["a"], tokenizer=[]), TypeError, r"tokenizer must be a function, got \[\]"),
    (lambda: TextList.from_files(None), TypeError, "files must be a list of paths, got NoneType"),
    (lambda: TextList.from_files(["a", 3]), TypeError, "file 1 must be a path, .* got 3"),
    (lambda: TextList.from_files(["a\0"])[0], DataError, "cannot be read .*null byte"),
    (lambda: TextList.from_folder(".", ".txt"), TypeError, "extensions must be a set of strings"),
    (lambda: TextList.from_folder(".", {3}), TypeError, "extensions must be a set of strings"),
    (
        lambda: labelled(lambda t: None),
        TypeError,
        "tokenizer makes of text 0 must be a list of str",
    ),
    (lambda: labelled(lambda t: t), TypeError, "must be a list of strings, got str 'a b'"),
    (lambda: labelled(lambda t: [1, 1]), TypeError, "must be a list of strings, got 1 in it"),
    (lambda: TEXTS["x"], TypeError, "indices must be a flat list of whole numbers.* got 'x'"),
    (lambda: TEXTS[True], TypeError, "indices must be a flat list .* got True"),
    (lambda: TEXTS[[0.5]], TypeError, r"each of the 3 items, got \[0.5\]"),
    (lambda: TEXTS.take([True]), TypeError, "a True or False for each of the 3 items"),
    (lambda: TEXTS.take([0, 9]), IndexError, r"TextList: items \[0, 9\] of 3"),
)
def test_lists(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_mask_takes_the_texts_that_it_marks():
    assert list(TEXTS[[True, False, True]]) == list(TEXTS.take(np.array([0, 2]))) == ["a", "c"]


def test_both_sides_are_cut_and_numbered_alike():
    """What is given to the training texts holds for the others; what is not is an error."""
    letters = ItemLists(".", TextList(["abab"], tokenizer=list), TextList(["ba"])).label_for_lm()
    assert str(letters.valid[0][0]) == "xxbos b a"
    with pytest.raises(DataError, match="validation texts have a vocabulary of their own"):
        ItemLists(".", TextList(["a a"]), TextList(["a"], vocab=VOCAB)).label_for_lm()
    same = lists(vocab=VOCAB)
    assert same.vocab is VOCAB


IDS = np.arange(3)


@refused(
    (lambda: LMLists(None, None), TypeError, "LMLists: train must be a TextSet, .* got NoneType"),
    (lambda: LMDataBunch(3), TypeError, "LMDataBunch: lists must be LMLists, .* got int"),
    (lambda: TokenLoader(3), TypeError, "TokenLoader: dataset must be a TextSet, .* got int"),
    (lambda: TextSet(TEXTS, [IDS], None), TypeError, "TextSet: vocab must be a Vocab, got None"),
    (lambda: TextSet(TEXTS, [IDS + 9], VOCAB), DataError, "document 0 has ids from 9 to 11, but"),
    (lambda: TextSet(TEXTS, [IDS, IDS - 1], VOCAB), DataError, "document 1 has ids from -1 to 1"),
    (lambda: TextSet(TEXTS, [IDS / 2], VOCAB), TypeError, r"document 0 must be int64 \(tokens,\)"),
    (lambda: lists().train[9], IndexError, "TextSet: text 9 of 1"),
    (lambda: lists().train["a"], TypeError, "TextSet: the number of a text must be whole, got 'a'"),
    (lambda: lists().databunch(4, 2, path=3), TypeError, "databunch: path must be a path, .*got 3"),
    (lambda: lists().databunch(4, 2), DataError, "bs is 4, but the text has 3 tokens"),
    (lambda: lists().databunch(1, 2).dl([]), DataError, r"no loader \[\] here"),
)
def test_sets_and_loaders(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_epoch_that_is_none():
    loader = lists().databunch(bs=2, bptt=2).train_dl
    loader.epoch = "first"
    with pytest.raises(DataError, match="epoch must be a whole number of at least 0, got 'first'"):
        iter(loader)


# -------------------------------------------------------------------------------------- the models


def told(answer):
    class Told(nn.Module):
        def __init__(self):
            self.i_h, self.h_h, self.h_o = nn.Embedding(6, 4), nn.Linear(4, 4), nn.Linear(4, 6)

        def forward(self, x):
            return answer(x)

    return Told()


def drawn(rnn):
    model = Model4(6, 4, 2)
    model.rnn = rnn
    return drawing.loop(model)


@refused(
    (lambda: states(None), TypeError, "states: model must be an nn.Module, got None"),
    (lambda: RecurrentModel([]), ValueError, r"cell must be one of .* got \[\]"),
    (
        lambda: Model2(6, 4)(ids()[:0]),
        ValueError,
        r"Model2: needs .* 1 text or more.*shape \(0, 3\)",
    ),
    (lambda: generate(None, VOCAB, "a"), TypeError, "generate: model must be an nn.Module with w"),
    (lambda: generate(nn.ReLU(), VOCAB, "a"), TypeError, "an nn.Module with weights, got ReLU"),
    (lambda: generate(Model2(6, 4), None, "a"), TypeError, "vocab must be a Vocab, got None"),
    (lambda: generate(Model2(6, 4), VOCAB, None), TypeError, "prompt must be a list of strings"),
    (lambda: generate(Model2(6, 4), VOCAB, [3]), TypeError, "list of strings, got 3 in it"),
    (
        lambda: generate(Model2(6, 4), VOCAB, "a", tokenizer=3),
        TypeError,
        "generate: tokenizer must be a function, got 3",
    ),
    (
        lambda: generate(told(lambda x: None), VOCAB, "a"),
        TypeError,
        "model's answer must be a Tens",
    ),
    (lambda: gradient_reach(Model2(6, 4), ids() + 3), IndexError, "x holds 6 to 8, outside 0 to 5"),
    (
        lambda: gradient_reach(Model2(6, 4), ids().float()),
        TypeError,
        "x must be word numbers, integers",
    ),
    (
        lambda: gradient_reach(Model2(6, 4), ids(), ids() - 5),
        IndexError,
        "y holds -2 to 0, outside 0 to 5",
    ),
    (lambda: gradient_reach(Model2(6, 4), ids()[:0]), ValueError, "1 text or more"),
    (lambda: loss4(None, ids()), TypeError, "loss4: input must be a Tensor"),
    (lambda: acc4(mt.zeros(2, 6), None), TypeError, "acc4: target must be a Tensor"),
    (
        lambda: acc4(mt.zeros(2, 6), ids().float()),
        TypeError,
        "acc4: target must be word numbers, int",
    ),
    (
        lambda: acc4(mt.zeros(2, 6), ids()[:, :0]),
        ValueError,
        r"acc4: needs .* \(2, 6\) and \(2, 0\)",
    ),
    (lambda: acc4(mt.zeros(0, 6), ids()[:0]), ValueError, r"acc4: needs .* \(0, 6\) and \(0, 3\)"),
    (
        lambda: perplexity(mt.zeros(2, 3, 0), ids()),
        ValueError,
        r"perplexity: predictions \(2, 3, 0\)",
    ),
    (lambda: drawing.loop(told(lambda x: None)), TypeError, "parts_of: the model's answer must be"),
    (lambda: drawing.loop(told(lambda x: x)), ValueError, r"made \(1, 3\); it must .* \(1, 3, 6\)"),
    (lambda: drawn(nn.GRUCell(4, 4)), TypeError, "rnn must be nn.RNN, nn.GRU or nn.LSTM, got GRUC"),
    (lambda: drawn(nn.RNN(4, 2, bidirectional=True)), ValueError, "rnn is bidirectional"),
    (lambda: drawing.unrolled(Model0(), 2.5), TypeError, "words must be an integer, got 2.5"),
    (lambda: drawing.unrolled(Model0(), True), TypeError, "words must be an integer, got True"),
    (lambda: drawing.unrolled(Model0(), 0), ValueError, "words must be at least 1, got 0"),
    (lambda: drawing.unrolled(Model0(), [3]), TypeError, "words must be a list of strings, got 3"),
)
def test_models(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_numbers_of_words_are_looked_at_on_a_device_too():
    with standin.installed(), mt.using("cupy"):
        model, x = Model4(6, 4, 2), mt.tensor([[3, 4], [5, 6]])
        with pytest.raises(IndexError, match="gradient_reach: x holds 3 to 6, outside 0 to 5"):
            gradient_reach(model, x)


def test_reach_where_gradients_are_off():
    mt.manual_seed(0)  # in so small a network other weights may leave no ReLU open
    model = Model4(6, 4, 2)
    with mt.no_grad():
        np.testing.assert_array_equal(gradient_reach(model, ids()), gradient_reach(model, ids()))
    assert gradient_reach(model, ids()).all()


def test_perplexity_leaves_out_what_the_loss_leaves_out(backend):
    scores = np.log([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]])
    found = perplexity(mt.tensor(scores), mt.tensor([[-100, 1]]))
    assert float(found) == pytest.approx(5, rel=1e-12)


def test_learners():
    data = lists("a b c " * 20, "a b c " * 5).databunch(bs=2, bptt=4)
    with pytest.raises(TypeError, match="LanguageLearner: model must be an nn.Module, got None"):
        LanguageLearner(data, None)
    with pytest.raises(ValueError, match=r"the model knows 3 words, the data has 11; .*nv=11"):
        LanguageLearner(data, Model2(3, 4))
    turned = lists("a b c " * 20, "a b c " * 5).databunch(bs=2, bptt=4, lesson_time=True)
    with pytest.raises(ValueError, match=r"reads \(bs, time\), but these batches are \(time, bs\)"):
        LanguageLearner(turned, Model2(11, 4))


def test_a_prompt_is_cut_as_the_training_texts_were():
    data = lists("ab" * 40, "ab" * 20, tokenizer=list).databunch(bs=2, bptt=4)
    learn = LanguageLearner(data, Model2(data.c, 4), progress=False)
    assert learn.predict("ab", 0) == "a b"


# ------------------------------------------------------------------------------------- the drawings


def small():
    d = Diagram()
    d.box("x", (0, 0))
    d.circle("h", (0, 2))
    return d


def keyed(key):
    d = small()
    d.key = key
    return d.figure()


@refused(
    (
        lambda: small().box(["y"], (0, 0)),
        TypeError,
        r"Diagram.box: name must be a string, got \['y",
    ),
    (
        lambda: small().box("y", None),
        ValueError,
        "box: a place must be two finite numbers, got None",
    ),
    (lambda: small().circle("y", (0, np.nan)), ValueError, r"circle: a place .* got \(0, nan\)"),
    (lambda: small().triangle("y", (0,)), ValueError, "triangle: a place must be two finite"),
    (
        lambda: small().box("y", (0, 0), width=-1),
        ValueError,
        "width must be inches above 0, got -1",
    ),
    (lambda: small().circle("y", (0, 0), radius="a"), ValueError, "radius must be inches above 0"),
    (lambda: small().triangle("y", (0, 0), size=0), ValueError, "size must be inches above 0"),
    (lambda: small().arrow("x", 3), ValueError, "arrow: a place must be two finite numbers, got 3"),
    (lambda: small().arrow((0, 1), (0, 1)), ValueError, r"ends where it starts, at \(0, 1\); loop"),
    (lambda: small().arrow("x", "h", side=[]), ValueError, "arrow: side must be one of"),
    (lambda: small().loop(["x"]), ValueError, r"loop: there is no node \['x'\]"),
    (lambda: small().frame(None), TypeError, "frame: around must be names of nodes, got None"),
    (
        lambda: small().frame(["x"], room=3),
        ValueError,
        "room must be four numbers of inches, got 3",
    ),
    (lambda: small().note((0, np.inf), "t"), ValueError, "note: a place must be two finite"),
    (lambda: keyed([("nocolor", "t")]), ValueError, "'nocolor' is no colour that matplotlib knows"),
    (lambda: keyed([3]), ValueError, r"key must be pairs \(colour, text\): \[3\]"),
)
def test_drawings(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_word_with_a_dollar_is_a_word():
    figure = drawing.draw_unrolled(Model0(), ["$x_$", "a", "$\\bad{$"])
    assert "word 1\n“$x_$”" in [text.get_text() for text in figure.axes[0].texts]
    assert figure._repr_png_().startswith(b"\x89PNG")
