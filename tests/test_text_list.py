"""Texts as items: the human numbers, files, splits, and the sets of a language model."""

from collections import Counter

import numpy as np
import pytest

from minitorch7 import nn
from minitorch7.data import DataError, DataNotFound, ImageList, ItemLists, TextList, Vocab
from minitorch7.text import acc4, human_numbers, loss4, number_in_words

TRAIN, VALID = human_numbers()
WORDS = (
    "one two three four five six seven eight nine twenty thirty forty fifty sixty seventy eighty"
)
WORDS += " ninety ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"


def numbers():
    """The lesson's lists."""
    lists = ItemLists(".", TextList([", ".join(TRAIN)]), TextList([", ".join(VALID)]))
    return lists.label_for_lm()


@pytest.fixture(scope="module")
def lists():
    return numbers()


# ------------------------------------------------------------------------------------ the corpus


def test_numbers_are_the_published_ones(real_data):
    folder = real_data / "human_numbers"
    if not folder.is_dir():
        pytest.skip(f"no human_numbers in {real_data}")
    for name, lines in (("train", TRAIN), ("valid", VALID)):
        assert (folder / f"{name}.txt").read_text() == "".join(f"{line} \n" for line in lines)


def value(words):
    """A number's words read back, by their meaning alone."""
    small = dict(
        zip(WORDS.split(), [*range(1, 10), *range(20, 100, 10), *range(10, 20)], strict=True)
    )
    found = 0
    for word in words.split():
        found = found * {"hundred": 1, "thousand": 1}.get(word, 1) + small.get(word, 0)
        if word == "thousand":
            found *= 1000
        if word == "hundred":
            found += (found % 1000) * 99
    return found


def test_every_number_reads_back():
    assert [value(number_in_words(n)) for n in range(1, 10000)] == list(range(1, 10000))
    assert number_in_words(np.int64(8021)) == "eight thousand twenty one"
    assert (len(TRAIN), len(VALID)) == (7999, 1999)
    assert TRAIN[-1].startswith("seven thousand nine") and VALID[0] == "eight thousand one"


@pytest.mark.parametrize("n", [0, -1, 10000])
def test_numbers_outside_the_corpus(n):
    with pytest.raises(ValueError, match=f"n must be from 1 to 9999, got {n}"):
        number_in_words(n)


def test_what_is_no_number():
    with pytest.raises(TypeError, match="n must be a whole number, got 1.5"):
        number_in_words(1.5)


def test_counts_and_vocabulary_are_the_lessons(lists):
    assert (lists.train.tokens, lists.valid.tokens) == (50079, 13017)
    special = ["xxunk", "xxpad", "xxbos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep"]
    assert lists.vocab.itos == [*special, ",", "hundred", "thousand", *WORDS.split()]
    ids = lists.train[0][0].data
    counts = Counter(lists.vocab.itos[i] for i in ids.tolist())
    assert [counts[w] for w in (",", "hundred", "thousand", "xxbos")] == [7998, 7200, 7000, 1]
    assert {counts[w] for w in WORDS.split()[:7]} == {2520}
    assert counts["eight"] == counts["nine"] == 1520
    assert ids.dtype == np.int64 and ids[:6].tolist() == [2, 11, 8, 12, 8, 13]
    assert str(lists.valid[0][0]).startswith("xxbos eight thousand one , eight thousand two ,")


# ------------------------------------------------------------------------------------------- files


@pytest.fixture
def folder(tmp_path):
    texts = {"train/10.txt": "last of all", "train/2.txt": "of the first", "valid/1.txt": "the new"}
    for name, text in {**texts, "train/.hidden.txt": "x", "train/readme.md": "y"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_folders_of_texts(folder):
    texts = TextList.from_folder(folder)
    assert list(texts) == ["of the first", "last of all", "the new"]
    assert [i.name for i in texts.items] == ["2.txt", "10.txt", "1.txt"]
    assert len(TextList.from_folder(folder, extensions={".TXT", ".md"})) == 4
    made = texts.split_by_folder().label_for_lm()
    assert [made.vocab.textify(d) for d in made.train.documents] == [
        "xxbos of xxunk xxunk",
        "xxbos xxunk of xxunk",
    ]
    assert made.path == folder and "(2 texts, 8 tokens)" in repr(made)


def test_the_files_of_a_list(folder):
    texts = TextList.from_files([folder / "valid/1.txt", str(folder / "train/2.txt")], folder)
    assert texts[-1] == "of the first" and texts[:1][0] == "the new"
    assert repr(texts).startswith("TextList (2 items)")
    with pytest.raises(IndexError, match="text 2 of 2"):
        texts[2]


def test_a_byte_order_mark_is_no_word(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone".encode())
    assert TextList.from_folder(tmp_path)[0] == "one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"caf\xe9", r"a\.txt is not UTF-8 \(byte 3 is 0xe9\); convert it"),
        (b" \n", r"a\.txt is empty; leave it out"),
        (None, r"a\.txt cannot be read \(FileNotFoundError: No such file"),
    ],
)
def test_files_that_are_no_texts(tmp_path, content, message):
    file = tmp_path / "a.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        TextList.from_files([file]).split_none().label_for_lm()


def test_folders_without_texts(tmp_path):
    with pytest.raises(DataNotFound, match="is not a folder"):
        TextList.from_folder(tmp_path / "none")
    (tmp_path / "a.md").write_text("x")
    with pytest.raises(DataError, match=r"no files ending in \.txt below .* \(1 others\)"):
        TextList.from_folder(tmp_path)


# ------------------------------------------------------------------------------------------ splits


def test_splits_are_those_of_other_lists():
    texts = TextList([f"{c} {c}" for c in "abcdefghij"])
    split = texts.split_by_rand_pct(0.3, seed=42)
    order = np.random.RandomState(42).permutation(10)
    assert list(split.valid) == [texts[int(i)] for i in order[:3]]
    assert list(split.train) == [texts[i] for i in sorted(order[3:])]
    assert list(texts.split_by_idx([1, 4]).valid) == ["b b", "e e"]
    assert len(texts.split_none().valid) == 0
    with pytest.raises(DataError, match="these texts are no files; use split_by_idx"):
        texts.split_by_folder()


def test_the_path_is_handed_on(tmp_path):
    lists = ItemLists(tmp_path, TextList(["a a"]), TextList(["a"]))
    assert lists.path == lists.label_for_lm().databunch(bs=1, bptt=1).path == tmp_path


# --------------------------------------------------------------------------------------------- sets


def test_only_training_texts_make_the_vocabulary():
    lists = ItemLists(".", TextList(["a a b b"]), TextList(["a c c c"])).label_for_lm()
    assert lists.vocab.itos[8:] == ["a", "b"] and lists.c == 10
    assert str(lists.valid[0][0]) == "xxbos a xxunk xxunk xxunk"
    given = Vocab([*lists.vocab.itos, "c"])
    lists = ItemLists(".", TextList(["a a"], vocab=given), TextList(["a c"])).label_for_lm()
    assert lists.vocab is given and lists.valid.documents[0].tolist() == [2, 8, 10]


def test_a_tokenizer_of_ones_own():
    letters = TextList(["abba"], tokenizer=list)
    made = ItemLists(".", letters, letters.take([])).label_for_lm()
    assert made.train.documents[0].tolist() == [2, 8, 9, 9, 8] and made.valid.tokens == 0


def test_the_checksum_knows_text_and_vocabulary(lists):
    again = numbers()
    assert lists.train.checksum() == again.train.checksum() != lists.valid.checksum()
    again.vocab.itos[30] = "other"
    assert lists.train.checksum() != again.train.checksum()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TextList("one text"), TypeError, "got one text 'one text'; pass"),
        (lambda: TextList.from_files("a.txt"), TypeError, "files must be a list"),
        (lambda: TextList(["a", 3]), TypeError, "text 1 must be a string, got 3"),
        (lambda: TextList(["a"], vocab=["a"]), TypeError, "vocab must be a Vocab"),
        (lambda: TextList([]).split_none().label_for_lm(), DataError, "no text to learn from"),
        (lambda: TextList(["a", " "]).split_none().label_for_lm(), DataError, "text 1 .* no words"),
        (
            lambda: ItemLists(".", TextList(["a"]), 3).label_for_lm(),
            TypeError,
            "valid must be a TextLi",
        ),
        (
            lambda: ItemLists(".", ImageList([], []), ImageList([], [])).label_for_lm(),
            DataError,
            "learns from texts, got ImageList; pass two TextLists",
        ),
    ],
)
def test_misused_lists(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ------------------------------------------------------------------------------------------- bunch


def test_what_a_databunch_tells(lists, backend):
    data = lists.databunch(bs=64, bptt=20)
    assert (data.c, data.bptt, data.batch_size, data.empty_val) == (38, 20, 64, False)
    assert data.classes == data.vocab.itos and isinstance(data.loss_func, nn.CrossEntropyFlat)
    assert data.test_dl is None and len(data.valid_ds[0][0].data) == 13017
    assert repr(data).startswith("LMDataBunch;\n\nTrain: TextSet (1 texts, 50,079 tokens)")
    x, y = data.one_batch("valid")
    assert x.shape == y.shape == (64, 20) and x.dtype == np.int64 and x.backend == backend
    assert data.one_item("Two, new").numpy().tolist() == [[2, 4, 12, 8, 0]]
    assert lists.databunch(bs=9, bptt=2, lesson_time=True).one_item("one").shape == (2, 1)


def test_a_batch_is_shown_in_words(lists):
    for lesson_time in (False, True):
        table = lists.databunch(bptt=20, lesson_time=lesson_time, path="p").show_batch(2, "valid")
        lines = str(table).splitlines()
        assert len(lines) == 3 and lines[1].startswith("  0  xxbos eight thousand one , eight")
        assert lines[2].split()[1:] != lines[1].split()[1:]
    table.rows = [("0", "a < b")]
    assert "<td>a &lt; b</td>" in table._repr_html_()


def test_misused_databunch(lists):
    data = lists.databunch()
    with pytest.raises(DataError, match="no loader 'test' here; it has 'train', 'valid', 'fix'"):
        data.one_batch("test")
    with pytest.raises(DataError, match="rows must be a whole number of at least 1, got 0"):
        data.show_batch(0)
    with pytest.raises(DataError, match="pass lesson_time=True, or leave them out"):
        lists.databunch(max_len=0)


# ------------------------------------------------------------------------------ loss4 and acc4


def test_the_last_word_alone_counts(backend):
    import minitorch7 as mt

    scores = mt.tensor(np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], np.float32)))
    target = mt.tensor(np.array([[2, 2, 0], [2, 2, 1]]))
    expected = -(np.log(0.5) + np.log(0.2)) / 2
    np.testing.assert_allclose(loss4(scores, target).numpy(), expected, rtol=1e-6)
    assert float(acc4(scores, target)) == 0.5
    for function in (loss4, acc4):
        with pytest.raises(ValueError, match="takes nn.CrossEntropyFlat and accuracy"):
            function(scores, target[:, 0])
