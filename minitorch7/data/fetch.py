"""Finding a data set on this machine, or fetching it: MNIST.

MNIST: 60,000 training and 10,000 test pictures of handwritten digits, grey, 28 x 28, made by Yann
LeCun, Corinna Cortes and Christopher J. C. Burges (http://yann.lecun.com/exdb/mnist/; licence CC
BY-SA 3.0).
"""

from __future__ import annotations

from pathlib import Path

from . import places
from .errors import DataNotFound
from .idx import missing_idx_files
from .items import ImageList

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SHA256 = {  # of the gzipped files
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
TIMEOUT = (5, 20)  # seconds to connect, and between two pieces of a file
SUBFOLDERS = ("", "mnist", "mnist_png")


def mnist(path: str | Path | None = None, download: bool | None = None) -> ImageList:
    """MNIST, from IDX files or a folder of PNG files, wherever it is found; fetched if it is not.

        mnist().split_by_folder(train="training", valid="testing").label_from_folder()...

    See `find_mnist` for the places and the errors.
    """
    folder = find_mnist(path, download)
    if missing_idx_files(folder):
        return ImageList.from_folder(folder, convert_mode="L")
    return ImageList.from_idx(folder)


def find_mnist(path: str | Path | None = None, download: bool | None = None) -> Path:
    """The folder that has MNIST, as IDX or as PNG files.

    IDX means its four files, gzipped or not; PNG means folders ``training/0`` to ``testing/9``.
    Looked for in `path`, in ``$MINITORCH7_DATA`` and in the user's cache, each with its subfolders
    ``mnist`` and ``mnist_png``; then fetched into the cache, unless `download` is False or, where
    it is not given, ``$MINITORCH7_OFFLINE`` is set. Raises DataNotFound, which names every place
    that was tried.
    """
    found = places.look_for("MNIST", path, SUBFOLDERS, _is_mnist)
    fix = "set MINITORCH7_DATA to a folder with MNIST's four .gz files, or use drawn_digits()"
    return places.found_or_fetched("MNIST", found, fetch_mnist, download, fix)


def fetch_mnist(folder: str | Path) -> Path:
    """Fetch MNIST's four files into `folder`, each checked before it gets its name (11.6 MB).

    Raises DataNotFound where no mirror gives a file with the published SHA-256.
    """
    import pooch

    folder = Path(folder)
    for stem, sha256 in SHA256.items():
        name, refusals = f"{stem}.gz", []
        for mirror in MIRRORS:
            fetcher = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
            try:
                pooch.retrieve(mirror + name, f"sha256:{sha256}", name, folder, downloader=fetcher)
                break
            except (OSError, ValueError) as error:  # no network, no such file; wrong content
                refusals.append(f"{mirror}{name}: {type(error).__name__}: {error}")
        else:
            raise DataNotFound("Tried to fetch\n  " + "\n  ".join(refusals))
    return folder


def _is_mnist(folder: Path) -> bool:
    return not missing_idx_files(folder) or _is_png_folder(folder)


def _is_png_folder(folder: Path) -> bool:
    return all(
        (folder / split / str(digit)).is_dir()
        for split in ("training", "testing")
        for digit in range(10)
    )
