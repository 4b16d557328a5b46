"""Finding MNIST: every place in its turn; fetching it: whole and checked, or not at all."""

import hashlib
import http.server
import sys
import threading

import pytest
from test_data_idx import write_mnist

from minitorch7.data import DataNotFound, ImageList, fetch_mnist, find_mnist, mnist
from minitorch7.data.idx import missing_idx_files

fetch = sys.modules["minitorch7.data.fetch"]
places = sys.modules["minitorch7.data.places"]


@pytest.fixture(autouse=True)
def nothing_else(tmp_path, monkeypatch):
    """No data in the environment, an empty cache, and no network."""
    monkeypatch.delenv("MINITORCH7_DATA", raising=False)
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(fetch, "MIRRORS", ("http://127.0.0.1:9/mnist/",))  # nobody listens there


def some_mnist(folder):
    folder.mkdir(parents=True)
    write_mnist(folder)
    return folder


def test_path_then_environment_then_cache(tmp_path, monkeypatch):
    cached = some_mnist(tmp_path / "cache" / "mnist")
    assert find_mnist() == cached
    named = some_mnist(tmp_path / "data" / "mnist")
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    assert find_mnist() == named
    monkeypatch.setenv("MINITORCH7_DATA", str(named))
    assert find_mnist() == named
    given = some_mnist(tmp_path / "given")
    assert find_mnist(given) == given
    assert len(mnist(given)) == 30


def test_png_folder_is_found_too(tmp_path):
    from minitorch7.data import write_png_folder

    arrays = ImageList.from_idx(some_mnist(tmp_path / "idx"))
    write_png_folder(arrays, tmp_path / "data" / "mnist_png")
    images = mnist(tmp_path / "data")
    assert len(images) == 30 and images[0].shape == (1, 28, 28)


def test_a_path_without_mnist_is_passed_over_with_a_warning(tmp_path):
    cached = some_mnist(tmp_path / "cache" / "mnist")
    (tmp_path / "empty").mkdir()
    with pytest.warns(UserWarning, match=r"no MNIST in .*empty: using .*cache"):
        assert find_mnist(tmp_path / "empty") == cached


def test_not_found_names_every_place(tmp_path, monkeypatch):
    monkeypatch.setenv("MINITORCH7_DATA", str(tmp_path / "data"))
    (tmp_path / "given").mkdir()
    with pytest.raises(DataNotFound) as caught:
        mnist(tmp_path / "given", download=False)
    for place in ("given", "given/mnist", "data", "data/mnist_png", "cache", "cache/mnist"):
        assert f"{tmp_path / place}\n" in str(caught.value)
    assert "downloads are off" in str(caught.value) and "drawn_digits()" in str(caught.value)
    with pytest.raises(DataNotFound, match="nowhere is not a folder"):
        mnist(tmp_path / "nowhere")
    assert isinstance(caught.value, FileNotFoundError) and isinstance(caught.value, ValueError)


def test_no_network_leaves_nothing(tmp_path):
    with pytest.raises(DataNotFound, match=r"(?s)Looked in.*Tried to fetch.*127\.0\.0\.1.*Mend"):
        mnist()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


@pytest.fixture
def server(tmp_path):
    """Two mirrors on this machine; the first has been tampered with."""
    good, bad = some_mnist(tmp_path / "www" / "good"), tmp_path / "www" / "bad"
    bad.mkdir()
    for file in good.iterdir():
        (bad / file.name).write_bytes(file.read_bytes()[:-1])

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=tmp_path / "www", **kwargs)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}", good
        served.shutdown()
        thread.join()


def test_fetching_skips_a_mirror_with_wrong_bytes(tmp_path, monkeypatch, server):
    url, good = server
    sums = {
        file.name.removesuffix(".gz"): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in good.iterdir()
    }
    monkeypatch.setattr(fetch, "SHA256", sums)
    monkeypatch.setattr(fetch, "MIRRORS", (f"{url}/bad/", f"{url}/gone/"))
    with pytest.raises(DataNotFound, match=r"(?s)/bad/.*does not match.*/gone/.*404"):
        fetch_mnist(tmp_path / "got")
    assert list((tmp_path / "got").iterdir()) == []
    monkeypatch.setattr(fetch, "MIRRORS", (f"{url}/bad/", f"{url}/good/"))
    assert len(mnist()) == 30
    assert not missing_idx_files(tmp_path / "cache" / "mnist")
    monkeypatch.setattr(fetch, "MIRRORS", ())
    assert find_mnist() == tmp_path / "cache" / "mnist"
