"""Tokens and the vocabulary: the rules one by one, round trips, and what misuse is told."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitorch7.data import DataError, Tokenizer, Vocab
from minitorch7.data import tokens as T

SPECIAL = ["xxunk", "xxpad", "xxbos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep"]

# ------------------------------------------------------------------------------------------- rules

RULES = [
    (T.fix_html, "Tom &amp; Jo&nbsp;said<br />hi<BR>", "Tom & Jo said\nhi<BR>"),
    (T.replace_rep, "no!!! noooo!!!!", "no!!! n xxrep 4 o  xxrep 4 ! "),
    (T.replace_wrep, "no no no, go go  go go\ngone", "no no no,  xxwrep 4 go \ngone"),
    (T.spec_add_spaces, "and/or #1", "and / or  # 1"),
    (T.rm_useless_spaces, "a   b c\n  d", "a b c\n d"),
    (T.replace_all_caps, ["STOP", "A", "Go", "U2"], ["xxup", "stop", "A", "Go", "xxup", "u2"]),
    (T.deal_caps, ["The", "I", "iPod", "x", ","], ["xxmaj", "the", "i", "ipod", "x", ","]),
]


@pytest.mark.parametrize(
    ("rule", "given_", "expected"), RULES, ids=lambda v: getattr(v, "__name__", "")
)
def test_each_rule(rule, given_, expected):
    assert rule(given_) == expected


def test_the_rules_together():
    text = "The END!!!! It isn't 3.50, i'd  say; ha ha ha ha &lt;<br />ÉTÉ"
    expected = "xxmaj the xxup end xxrep 4 ! xxmaj it isn't 3.50 , i'd say ; xxwrep 4 ha < xxup été"
    assert Tokenizer()(text) == expected.split()


def test_a_comma_is_a_token_of_its_own():
    assert Tokenizer()("one, twenty one,two") == ["one", ",", "twenty", "one", ",", "two"]
    assert Tokenizer()(" \n ") == []


def plain(text):
    """The same by hand: letters together, every other sign alone."""
    found, word = [], ""
    for sign in text + " ":
        if sign.isalpha():
            word += sign
            continue
        found += [word] if word else []
        found += [sign] if sign.strip() else []
        word = ""
    return found


@given(st.text(string.ascii_letters + " .,;?()-\n", max_size=60))
def test_words_and_signs_are_cut_as_by_hand(text):
    assert T.split_words(text) == plain(text)


@given(st.text(max_size=80))
def test_any_text_has_tokens_without_blanks_or_capitals(text):
    for token in Tokenizer()(text):
        assert token and token == token.lower() and not re.search(r"\s", token)


@given(
    st.sampled_from(".!o7"), st.integers(1, 9), st.sampled_from(["no", "yes"]), st.integers(1, 9)
)
def test_what_is_repeated_can_be_counted_back(sign, n, word, m):
    tokens = Tokenizer()("x" + sign * n if n < 4 else sign * n)
    if n >= 4:
        assert tokens == ["xxrep", str(n), sign]
    tokens = Tokenizer()(" ".join([word] * m))
    assert tokens == (["xxwrep", str(m), word] if m >= 4 else [word] * m)


def test_rules_of_ones_own():
    shout = Tokenizer([str.upper], [lambda tokens: tokens[::-1]], str.split)
    assert shout("a b, c") == ["C", "B,", "A"]
    assert repr(Tokenizer([], [], str.split)) == "Tokenizer(split)"


def test_misused_tokenizer():
    with pytest.raises(
        TypeError, match=r"text must be a string, got list \['a'\]; call it for one"
    ):
        Tokenizer()(["a"])
    with pytest.raises(TypeError, match="every rule must be a function, got 'lower'"):
        Tokenizer(["lower"])


# -------------------------------------------------------------------------------------- vocabulary


def test_frequent_tokens_come_first_and_ties_as_they_appeared():
    vocab = Vocab.create([["xxbos", "b", "a", "rare", "c"], ["xxbos", "a", "c", "b", "c"]])
    assert vocab.itos == [*SPECIAL, "c", "b", "a"]
    assert vocab.stoi["b"] == 9 and len(vocab) == 11
    assert Vocab.create([["b", "a", "a", "c"]], min_freq=1).itos[8:] == ["a", "b", "c"]
    assert Vocab.create([["b", "a", "a", "c"]], max_vocab=10, min_freq=1).itos[8:] == ["a", "b"]


def test_unknown_words_have_a_place():
    vocab = Vocab.create([["a", "b"]], min_freq=1)
    assert vocab.numericalize(["b", "new", "a"]) == [9, 0, 8]
    assert vocab.textify([9, 0, 8]) == "b xxunk a"
    assert vocab.textify([], sep="-") == "" and vocab.textify([8, 9], sep="-") == "a-b"


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=30))
def test_numbers_and_back(words):
    words = [word for word in words if word not in SPECIAL] or ["w"]
    vocab = Vocab.create([words], min_freq=1)
    ids = vocab.numericalize(words)
    assert [vocab.itos[i] for i in ids] == words and min(ids) >= 8
    counts = [words.count(word) for word in vocab.itos[8:]]
    assert counts == sorted(counts, reverse=True) and sum(counts) == len(words)


def test_on_the_disk_and_back(tmp_path):
    vocab = Vocab([*SPECIAL, "été", '"', "\n"])
    file = vocab.save(tmp_path / "new" / "vocab.json")
    assert Vocab.load(file).itos == vocab.itos
    assert [path.name for path in file.parent.iterdir()] == ["vocab.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "FileNotFoundError"),
        (b"\xff", "cannot be read"),
        (b"[1", "cannot be read"),
        (b'{"a": 1}', "must hold a list of tokens"),
        (b"[]", "itos is empty"),
        (b'["a", "a"]', "tokens twice: 'a'"),
    ],
)
def test_files_that_hold_no_vocabulary(tmp_path, content, message):
    file = tmp_path / "vocab.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Vocab.load(file)


MISUSED = [
    (lambda: Vocab("abc"), TypeError, "itos must be a list of strings"),
    (lambda: Vocab(["a", 1]), TypeError, "itos must be a list of strings"),
    (lambda: Vocab.create([]), DataError, "the texts have no words"),
    (lambda: Vocab.create([["xxbos"]]), DataError, "the texts have no words"),
    (lambda: Vocab.create(["a text"]), TypeError, "got the text 'a text'"),
    (lambda: Vocab.create([["a"]], max_vocab=8), DataError, "max_vocab must be .* at least 9"),
    (lambda: Vocab.create([["a"]], min_freq=0), DataError, "min_freq must be .* at least 1"),
    (lambda: Vocab(["a"]).numericalize("a"), TypeError, "got the text 'a'"),
    (lambda: Vocab(["a"]).numericalize(["b"]), DataError, "there is no xxunk to stand for it"),
    (lambda: Vocab(["a"]).textify([0, 1]), DataError, "no id 1; this vocabulary has 0 to 0"),
    (lambda: Vocab(["a"]).textify([-1]), DataError, "no id -1"),
    (
        lambda: Vocab(["a"]).textify([[0]]),
        DataError,
        r"int64 of shape \(1, 1\); call it row by row",
    ),
    (lambda: Vocab(["a"]).textify([0.0]), DataError, "float64"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISUSED)
def test_misused_vocabulary(call, error, message):
    with pytest.raises(error, match=message):
        call()
