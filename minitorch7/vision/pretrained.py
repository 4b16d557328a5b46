"""Weights that others have trained: finding the files, fetching them, and filling a model.

The files are torchvision's, trained on ImageNet. Each carries the first eight hexadecimal digits of
its SHA-256 in its name. That guards against a broken or a stale download; against deceit stand the
encrypted connection and the reader, which runs nothing (see `minitorch7.pth`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .. import nn
from ..data import places
from ..pth import WeightsError, WeightsNotFound, decode, read_pth

URL = "https://download.pytorch.org/models/"
PUBLISHED = {  # the newest first; any of them will do
    "resnet18": ("resnet18-f37072fd.pth", "resnet18-5c106cde.pth"),
    "resnet34": ("resnet34-b627a593.pth", "resnet34-333f7ec4.pth"),
    "vgg16_bn": ("vgg16_bn-6c64b313.pth",),
}
TIMEOUT = (5, 20)  # seconds to connect, and between two pieces of a file
HEADS = ("fc.", "classifier.")  # what a body has lost
COUNTER = "num_batches_tracked"  # of batch norm: files before PyTorch 0.4.1 have none

M = TypeVar("M", bound=nn.Module)


def pretrain(model: M, name: str, pretrained: bool | str | Path) -> M:
    """`model` itself (False), with the weights published for `name` (True), or with a file's."""
    if pretrained is False:
        return model
    if pretrained is True:
        if name not in PUBLISHED:
            raise WeightsNotFound(
                f"{name}: no weights are published for it (only for {', '.join(PUBLISHED)}); use "
                "pretrained=False, or the path of a .pth or .safetensors file"
            )
        return load_weights(model, weights_of(name), name)
    if not isinstance(pretrained, str | Path):
        raise TypeError(
            f"{name}: pretrained must be True, False or the path of a .pth or .safetensors file, "
            f"got {pretrained!r}"
        )
    return load_weights(model, weights_of(pretrained), str(pretrained))


def weights_of(name_or_path: str | Path, download: bool | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file of weights, by name.

    name_or_path: a name in PUBLISHED, or the path of a .pth or .safetensors file. For places,
    download and errors see `find_weights`; a file that cannot be read is a WeightsError.
    """
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, str) and name_or_path in PUBLISHED:
        path = find_weights(name_or_path, download)
    elif not path.is_file():
        raise WeightsNotFound(
            f"weights_of: {str(name_or_path)!r} is neither a file nor one of "
            f"{', '.join(map(repr, PUBLISHED))}; check the path"
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_pth(path)


def find_weights(name: str, download: bool | None = None) -> Path:
    """The file with the weights published for `name`.

    Looked for in ``$MINITORCH7_DATA``, its subfolder ``models``, and the user's cache; then fetched
    into the cache, unless `download` is False or, where it is not given, ``$MINITORCH7_OFFLINE``
    is set. Raises WeightsNotFound, which names every place that was tried.
    """
    if name not in PUBLISHED:
        raise WeightsNotFound(f"find_weights: {name!r} is none of {', '.join(PUBLISHED)}")
    tried = [folder / file for folder in _places() for file in PUBLISHED[name]]
    for path in tried:
        if path.is_file():
            return path
    newest = PUBLISHED[name][0]
    try:
        if not places.downloads_allowed(download):
            raise WeightsNotFound("Downloads are off.")
        return fetch_weights(newest, places.cache_folder() / "models")
    except WeightsNotFound as error:
        looked = "\n  ".join(map(str, tried))
        raise WeightsNotFound(
            f"{name}: no pretrained weights. Looked for\n  {looked}\n{error}\n"
            f"Mend or allow the connection, give the path of a file (pretrained='.../{newest}'), "
            "or start from random weights (pretrained=False)."
        ) from error


def fetch_weights(file: str, folder: str | Path) -> Path:
    """Fetch one of torchvision's files into `folder`, checked before it gets its name.

    Raises WeightsNotFound where it cannot be had, or where its SHA-256 does not begin with the
    digits in its name.
    """
    import pooch

    digits = re.search(r"-([0-9a-f]{8})\.pth$", file)
    if digits is None:
        raise ValueError(f"fetch_weights: {file!r} has no eight digits of a SHA-256 before .pth")
    path = Path(folder) / file
    partial = path.with_name(f".{file}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fetcher = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
        fetcher(URL + file, str(partial), None)
        found = pooch.file_hash(str(partial))
        if not found.startswith(digits[1]):
            raise ValueError(f"its SHA-256 begins with {found[:8]}, not {digits[1]}: damaged")
        os.replace(partial, path)
    except (OSError, ValueError) as error:  # no network, no such file; wrong content
        raise WeightsNotFound(
            f"Tried to fetch\n  {URL}{file}: {type(error).__name__}: {error}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return path


def load_weights(model: M, weights: Mapping[str, Any], source: str = "these weights") -> M:
    """Copy `weights` (arrays or tensors) into `model` by torchvision's names; returns the model.

    A model without a classifier (no ``fc``, no ``classifier``) takes the rest and leaves that out;
    a batch norm's count of batches may be missing. Anything else missing, left over or of another
    shape is a WeightsError that lists it, and says whose weights they seem to be; the model is then
    as it was. source: what to call the weights in it.
    """
    own = model.state_dict()
    heads = tuple(h for h in HEADS if not any(k.startswith(h) for k in own))
    given = {k: v for k, v in weights.items() if not (heads and k.startswith(heads))}
    missing = [k for k in own if k not in given and not k.endswith(COUNTER)]
    unexpected = [k for k in given if k not in own]
    wrong = [
        f"{k} {np.shape(v)} for {own[k].shape}"
        for k, v in given.items()
        if k in own and np.shape(v) != own[k].shape
    ]
    if missing or unexpected or wrong:
        raise WeightsError(
            f"load_weights: {source} does not fit {type(model).__name__}"
            + "".join(
                f"\n  {what} ({len(keys)}): {_first(keys)}"
                for what, keys in (
                    ("missing", missing),
                    ("not in the model", unexpected),
                    ("another shape", wrong),
                )
                if keys
            )
            + f"\n{_advice(weights, missing, unexpected, wrong)}"
        )
    model.load_state_dict(given, strict=False)
    return model


def _advice(
    weights: Mapping[str, Any], missing: list[str], unexpected: list[str], wrong: list[str]
) -> str:
    """What is probably the matter, and what to do about it."""
    if unexpected and all(k.startswith("module.") for k in weights):
        return "Their names begin with 'module.', as DataParallel writes them: take that off."
    if not missing and not unexpected and all(k.startswith(HEADS) for k in wrong):
        return (
            "Only the classifier differs: load with the file's number of classes, and replace the "
            "classifier afterwards."
        )
    name = architecture_of(weights)
    if name is None:
        return "These are weights of another architecture."
    return f"These look like weights of {name}: build that model, or choose another file."


def architecture_of(weights: Mapping[str, Any]) -> str | None:
    """Which of torchvision's nets has such names: 'resnet50', 'vgg16_bn', 'densenet'; or None."""
    if any(k.startswith("features.denseblock") for k in weights):
        return "densenet"
    blocks = tuple(
        len({k.split(".")[1] for k in weights if re.match(rf"layer{i}\.\d", k)})
        for i in (1, 2, 3, 4)
    )
    deep = "layer1.0.conv3.weight" in weights
    resnets = {
        ((2, 2, 2, 2), False): "resnet18",
        ((3, 4, 6, 3), False): "resnet34",
        ((3, 4, 6, 3), True): "resnet50",
        ((3, 4, 23, 3), True): "resnet101",
        ((3, 8, 36, 3), True): "resnet152",
    }
    if (blocks, deep) in resnets:
        return resnets[blocks, deep]
    features = [k for k in weights if re.match(r"features\.\d+\.", k)]
    normed = any(k.endswith("running_mean") for k in features)
    convolutions = sum(k.endswith(".weight") and np.ndim(weights[k]) == 4 for k in features)
    vggs = {8: "vgg11", 10: "vgg13", 13: "vgg16", 16: "vgg19"}
    return vggs[convolutions] + "_bn" * normed if convolutions in vggs else None


def _first(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, as `read_pth` gives those of a .pth file."""
    from safetensors import SafetensorError, deserialize

    kinds = {"F64": "Double", "F32": "Float", "F16": "Half", "BF16": "BFloat16", "I64": "Long"}
    kinds |= {"I32": "Int", "I16": "Short", "I8": "Char", "U8": "Byte", "BOOL": "Bool"}
    try:
        entries = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise WeightsError(
            f"weights_of: {path} is cut short, damaged or no safetensors file ({error}); fetch it "
            "again"
        ) from error
    for name, entry in entries:
        if entry["dtype"] not in kinds:
            raise WeightsError(
                f"weights_of: {path}: {name!r} is of dtype {entry['dtype']}; known: "
                + ", ".join(kinds)
            )
    return {
        name: decode(entry["data"], kinds[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in entries
    }


def _places() -> list[Path]:
    data = os.environ.get("MINITORCH7_DATA")
    named = [Path(data).expanduser(), Path(data).expanduser() / "models"] if data else []
    return [*named, places.cache_folder() / "models"]
