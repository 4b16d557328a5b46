"""The IDX reader: right on sound files, and clear about every way a file can be damaged."""

import gzip
import struct

import numpy as np
import pytest

from minitorch7.data import DataError, DataNotFound, ImageList
from minitorch7.data.idx import FILES, IMAGES, LABELS, read_idx, read_mnist_idx


def idx_bytes(magic, array):
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def write_mnist(folder, n_train=20, n_test=10, zipped=True, seed=0):
    """Four small IDX files of random pictures; returns {split: (images, labels)}."""
    rng = np.random.default_rng(seed)
    parts = {}
    for (split, stems), n in zip(FILES.items(), (n_train, n_test), strict=True):
        images = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        labels = rng.permutation(np.arange(n) % 10).astype(np.uint8)
        for stem, magic, array in zip(stems, (IMAGES, LABELS), (images, labels), strict=True):
            content = idx_bytes(magic, array)
            if zipped:
                (folder / f"{stem}.gz").write_bytes(gzip.compress(content, 1))
            else:
                (folder / stem).write_bytes(content)
        parts[split] = images, labels
    return parts


@pytest.mark.parametrize("zipped", [True, False])
def test_reads_what_was_written(tmp_path, zipped):
    written = write_mnist(tmp_path, zipped=zipped)
    read = read_mnist_idx(tmp_path)
    for split, (images, labels) in written.items():
        np.testing.assert_array_equal(read[split][0], images)
        np.testing.assert_array_equal(read[split][1], labels)


def test_from_idx_gives_the_paths_of_a_png_folder(tmp_path):
    written = write_mnist(tmp_path)
    images = ImageList.from_idx(tmp_path)
    names = [str(item) for item in images.items]
    assert len(names) == 30 and names == sorted(names)
    for i, name in enumerate(names):
        split, label, number = name.removesuffix(".png").split("/")
        assert len(number) == 5 and written[split][1][int(number)] == int(label)
        np.testing.assert_array_equal(
            images.gather(np.array([i]))[0, 0], written[split][0][int(number)]
        )


def test_dotted_names_are_found(tmp_path):
    write_mnist(tmp_path, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").rename(tmp_path / "train-images.idx3-ubyte")
    assert len(ImageList.from_idx(tmp_path)) == 30


def whole():
    return idx_bytes(LABELS, np.arange(10, dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has 0 bytes, too few for its 4-byte magic"),
        (b"\0\0\x08", r"has 3 bytes, too few"),
        (idx_bytes(IMAGES, np.zeros((1, 2, 2), np.uint8)), r"magic 2051 \(a file of images\), exp"),
        (b"\x89PNG1234567", r"magic 2303741511 \(no IDX file.*expected 2049 \(a file of labels\)"),
        (whole()[:6], r"cut short: 6 bytes, but its header alone has 8"),
        (whole()[:-1], r"cut short: 17 bytes, but its header \(10,\) asks for 18; delete it"),
        (whole() + b"!!", r"goes on after its end: 20 bytes, but its header \(10,\) asks for 18"),
        (struct.pack(">2I", LABELS, 0), r"is empty: its header says \(0,\)"),
        (struct.pack(">2I", LABELS, 2**32 - 1), r"cut short: 8 bytes.*asks for 4,294,967,303"),
    ],
)
def test_damaged_content(tmp_path, content, message):
    plain, zipped = tmp_path / "labels", tmp_path / "labels.gz"
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content))
    for file in (plain, zipped):
        with pytest.raises(DataError, match=message) as caught:
            read_idx(file, LABELS)
        assert str(file) in str(caught.value)


def test_header_of_images_cannot_overflow(tmp_path):
    (tmp_path / "images").write_bytes(struct.pack(">4I", IMAGES, *[2**32 - 1] * 3))
    with pytest.raises(DataError, match="cut short: 16 bytes"):
        read_idx(tmp_path / "images", IMAGES)


@pytest.mark.parametrize("fault", ["cut", "not gzip", "bit flip", "checksum"])
def test_damaged_gzip(tmp_path, fault):
    random = np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8)
    zipped = bytearray(gzip.compress(idx_bytes(LABELS, random)))
    if fault == "cut":
        zipped = zipped[:-20]
    elif fault == "not gzip":
        zipped[:2] = b"PK"
    elif fault == "bit flip":
        zipped[10] ^= 0xFF
    else:
        zipped[-6] ^= 1
    file = tmp_path / "labels.gz"
    file.write_bytes(zipped)
    with pytest.raises(DataError, match=r"labels\.gz is not a whole gzip file \(\w+: .*delete it"):
        read_idx(file, LABELS)


def test_counts_that_differ(tmp_path):
    write_mnist(tmp_path)
    stem = FILES["training"][1]
    labels = np.zeros(19, np.uint8)
    (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(idx_bytes(LABELS, labels)))
    with pytest.raises(DataError, match="has 20 images but .*train-labels.* has 19 labels"):
        read_mnist_idx(tmp_path)


def test_label_that_is_no_digit(tmp_path):
    write_mnist(tmp_path)
    labels = np.zeros(10, np.uint8)
    labels[4] = 10
    stem = FILES["testing"][1]
    (tmp_path / f"{stem}.gz").write_bytes(gzip.compress(idx_bytes(LABELS, labels)))
    with pytest.raises(DataError, match=r"t10k-labels.*label 10 of item 4 is not a digit 0\.\.9"):
        read_mnist_idx(tmp_path)


def test_missing_files_are_named(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataNotFound, match="lacks t10k-labels-idx1-ubyte.gz"):
        ImageList.from_idx(tmp_path)


def test_real_mnist(real_data):
    parts = read_mnist_idx(real_data / "mnist")
    assert {k: v[0].shape for k, v in parts.items()} == {
        "training": (60000, 28, 28),
        "testing": (10000, 28, 28),
    }
    images, labels = parts["training"]
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert round(images.mean() / 255, 4) == 0.1307 and round(images.std() / 255, 4) == 0.3081
