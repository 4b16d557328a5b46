"""A trained U-Net for use: one file that holds all it needs, and photos of any size.

    save_restorer(learn.model, "superres.safetensors", "resnet34", imagenet_stats)
    load_restorer("superres.safetensors").restore("photo.jpg", enlarge=2).save("better.png")

A photo of many megapixels does not fit through the network at once, which keeps hundreds of numbers
for each pixel on the way. So it goes in tiles. Near its edge a tile knows less of what is around
than the network would like; tiles therefore overlap, and each fades out where the next fades in.

``python -m minitorch7.vision.restore`` does this from the command line.
"""

from __future__ import annotations

import warnings
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend as backends
from .. import nn
from ..autograd import no_grad, tensor
from ..data.decode import channels_first
from ..data.errors import DataError, check_path
from ..data.normalize import as_floats, checked_stats
from ..data.photos import read_rgb, to_rgb
from ..data.progress import progress
from ..functional._arguments import check_integer
from ..learner import checkpoints
from ..learner.checkpoints import CheckpointError
from ..learner.interpret import host
from ..learner.state import differences
from .body import create_body, output_shapes
from .resnet import resnet18, resnet34
from .unet import DynamicUnet

if TYPE_CHECKING:
    from PIL.Image import Image

BODIES = {"resnet18": resnet18, "resnet34": resnet34}
TILE, OVERLAP = 512, 64  # pixels; the overlap is two of the encoder's last cells


# ---------------------------------------------------------------------------------------- the file


def save_restorer(
    model: DynamicUnet, path: str | Path, arch: str | dict[str, Any], stats: Any, note: str = ""
) -> Path:
    """Write what it takes to run `model` without its data or its training; returns the path.

    arch   the body's name and width: 'resnet34', or {"name": "resnet18", "width": 32}
    stats  (means, standard deviations) that inputs and targets were normalised by
    note   a line about the model, such as what it was trained on

    The model is built anew from the description first: ValueError where that gives other weights,
    and nothing is written. OSError where the file cannot be written.
    """
    if not isinstance(model, DynamicUnet):
        hint = "; pass learn.model" if hasattr(model, "model") else ""
        raise TypeError(
            f"save_restorer: model must be a DynamicUnet, got {type(model).__name__}{hint}"
        )
    path = check_path("save_restorer", "path", path)
    arch, stats = _checked_arch("save_restorer", arch), checked_stats(stats, 3, "save_restorer")
    if model.options["n_classes"] != 3:
        raise ValueError(
            "save_restorer: the model answers with "
            f"{model.options['n_classes']} numbers a pixel; a restorer's answer is a picture of 3"
        )
    own, built = model.state_dict(), _build(arch, model.options).state_dict()
    if differences(own, built):
        raise ValueError(
            f"save_restorer: a U-Net over {arch['name']} of width {arch['width']} is not this "
            f"model: {differences(own, built)}; check arch"
        )
    state = {
        "restorer": {"arch": arch, "options": model.options, "note": str(note)},
        "stats": stats._asdict(),
        "model": dict(own),
    }
    checkpoints.write(path, state, "save_restorer")
    return path


def load_restorer(path: str | Path, backend: str | None = None) -> Restorer:
    """The model in a file of `save_restorer`, ready to run on `backend` (default: the active one).

    FileNotFoundError, or CheckpointError for a file that is damaged or something else.
    """
    path, name = check_path("load_restorer", "path", path), backend or backends.active()
    backends.library(name)  # a GPU that is not there is told before the work begins
    _check_kind(path)
    state = checkpoints.read(path, "load_restorer")
    if "restorer" not in state:
        raise CheckpointError(
            f"load_restorer: {path} holds a training's state, but not how to build the model; load "
            "it with learn.load, and write it with save_restorer(learn.model, ...)"
        )
    about = state["restorer"]
    model = _build(_checked_arch("load_restorer", about["arch"]), about["options"])
    model.load_state_dict(state["model"])
    stats = checked_stats(state["stats"].values(), 3)
    return Restorer(model.to(name), stats, about["arch"], about["note"])


def _check_kind(path: Path) -> None:
    """CheckpointError for some other file, which nobody should be told to delete as damaged."""
    if path.suffix == checkpoints.SUFFIX or not path.is_file():
        return
    with open(path, "rb") as file:
        start = file.read(9)
    if start[8:] != b"{":  # after eight bytes of its length, JSON
        raise CheckpointError(
            f"load_restorer: {path} is no safetensors file; give the one that save_restorer wrote"
        )


def _checked_arch(function: str, arch: Any) -> dict[str, Any]:
    arch = {"name": arch} if isinstance(arch, str) else arch
    right = isinstance(arch, dict) and {"name"} <= arch.keys() <= {"name", "width"}
    if not right or not isinstance(arch["name"], str):
        raise TypeError(
            f"{function}: arch must be a name or {{'name': ..., 'width': ...}}, got {arch!r:.80}"
        )
    if arch["name"] not in BODIES:
        raise ValueError(f"{function}: arch {arch['name']!r} is none of {', '.join(BODIES)}")
    width = check_integer(function, "width", arch.get("width", 64), 1)
    return {"name": arch["name"], "width": width}


def _build(arch: dict[str, Any], options: dict[str, Any]) -> DynamicUnet:
    """A new U-Net on the host. Its first weights are drawn, and the random stream put back."""
    norm = options["norm_type"]
    before = backends.get_rng_state()
    try:
        with backends.using("numpy"):
            body = create_body(BODIES[arch["name"]](width=arch["width"]))
            return DynamicUnet(body, **{**options, "norm_type": norm and nn.NormType[norm]})
    finally:
        backends.set_rng_state(before)


# ------------------------------------------------------------------------------------- the pictures


class Restorer:
    """A model that makes pictures of pictures, for photos of any size.

    model    (1, 3, H, W) → (1, 3, H, W), both on the scale of `stats`
    tile     pixels on a side of what goes through the model at once
    overlap  pixels that two tiles share
    """

    def __init__(
        self,
        model: nn.Module,
        stats: Any,
        arch: dict[str, Any] | None = None,
        note: str = "",
        tile: int = TILE,
        overlap: int = OVERLAP,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"Restorer: model must be a model, got {model!r:.60}; of a file that save_restorer "
                "wrote use load_restorer(path)"
            )
        self.stats = checked_stats(stats, 3, "Restorer")
        self.model = model.eval()
        self.arch, self.note = arch, note
        self.tile = check_integer("Restorer", "tile", tile, 1)
        self.overlap = check_integer("Restorer", "overlap", overlap, 0)
        self.stride = _stride(model)

    def __repr__(self) -> str:
        weights = sum(p.numel() for p in self.model.parameters())
        over = f" over {self.arch['name']}, width {self.arch['width']}" if self.arch else ""
        note = f": {self.note}" if self.note else ""
        return f"{type(self.model).__name__}{over}, {weights:,} parameters{note}"

    def restore(
        self, image: str | Path | Image, enlarge: float = 1, tile: int | None = None
    ) -> Image:
        """The model's version of one photo: RGB, `enlarge` times as high and wide.

        image    a file, or a Pillow image; see `photos.to_rgb` for what becomes of each kind
        enlarge  1 or more; bilinear, as the training pictures were, before the model sees it
        tile     instead of the restorer's own; where memory runs out it is halved, with a warning

        DataError for what cannot be read as an image.
        """
        photo = enlarged(opened(image), enlarge)
        size = self.tile if tile is None else check_integer("restore", "tile", tile, 1)
        pixels = channels_first(np.asarray(photo))
        size = min(size, max(pixels.shape))
        while True:
            try:
                return _as_image(self._by_tiles(pixels, size))
            except MemoryError:
                if size <= 2 * self.stride:
                    raise
                warnings.warn(
                    f"restore: no memory for tiles of {size} pixels; going on with {size // 2}",
                    stacklevel=2,
                )
                size //= 2

    def _by_tiles(self, pixels: np.ndarray, tile: int) -> np.ndarray:
        """uint8 (3, H, W) → float32 (3, H, W), about [0, 1]."""
        height, width = pixels.shape[1:]
        stride = self.stride
        # whole cells of the encoder's last grid, so that all tiles cut the photo into the same
        pixels = np.pad(pixels, [(0, 0), (0, -height % stride), (0, -width % stride)], "reflect")
        tile = max(-(-tile // stride), 2) * stride
        overlap = max(min(self.overlap, tile // 2) // stride, 1) * stride
        rows, columns = (shares(n, tile, overlap) for n in pixels.shape[1:])
        out = np.zeros(pixels.shape, np.float32)
        for (top, down), (left, across) in progress(list(product(rows, columns)), "restoring"):
            place = (slice(None), slice(top, top + len(down)), slice(left, left + len(across)))
            out[place] += self._answer(pixels[place]) * (down[:, None] * across)
        return out[:, :height, :width]

    def _answer(self, pixels: np.ndarray) -> np.ndarray:
        """The model's answer to one tile (3, h, w), back on the scale of [0, 1]."""
        x = tensor(as_floats(pixels[None], self.stats), backend=_backend_of(self.model))
        with nn.evaluating(self.model), no_grad():
            y = host(self.model(x))
        if y.shape != x.shape:
            raise ValueError(
                f"restore: the model answers {y.shape} to a picture {x.shape}; it must answer with "
                "a picture of the same size"
            )
        if not np.isfinite(y).all():
            raise ValueError("restore: the model's answer holds NaN or infinity; its weights may")
        mean, std = (part.reshape(3, 1, 1) for part in self.stats)
        return y[0] * std + mean


def _stride(model: nn.Module) -> int:
    """Pixels on a side of one cell of the encoder's last grid: 32 for a ResNet."""
    if not isinstance(model, DynamicUnet):
        return 1
    ((_, _, height, _),) = output_shapes([model[0]], model[0], (128, 128))
    return 128 // height


def _backend_of(model: nn.Module) -> str:
    first = next(iter(model.parameters()), None)
    return backends.active() if first is None else first.backend


def shares(n: int, tile: int, overlap: int) -> list[tuple[int, np.ndarray]]:
    """Tiles along an axis of n pixels: (first pixel, weight of each pixel), weights summing to 1.

    Weights are 0 in the outermost quarter of an overlap, where a tile lacks its surroundings, and
    rise linearly over the middle half.
    """
    if n <= tile:
        return [(0, np.ones(n, np.float32))]
    starts = [*range(0, n - tile, tile - overlap), n - tile]
    margin = overlap // 4
    ramp = np.clip((np.arange(overlap) + 0.5 - margin) / (overlap - 2 * margin), 0, 1)
    weights = np.ones((len(starts), tile))
    weights[1:, :overlap] *= ramp
    weights[:-1, tile - overlap :] *= ramp[::-1]
    total = np.zeros(n)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + tile] += weight
    return [
        (start, (weight / total[start : start + tile]).astype(np.float32))
        for start, weight in zip(starts, weights, strict=True)
    ]


# ------------------------------------------------------------------------------------ Pillow images


def opened(image: str | Path | Image) -> Image:
    """A photo in RGB, upright, laid over white. DataError for a file that is no image."""
    if isinstance(image, str | Path):
        if Path(image).is_dir():
            raise DataError(
                f"restore: {image} is a folder; give one photo's file, or use python -m "
                "minitorch7.vision.restore, which takes folders"
            )
        return read_rgb(image, "restore")
    if not hasattr(image, "convert"):
        raise TypeError(
            f"restore: needs a path or a Pillow image, got {type(image).__name__}; of an array make"
            " one with PIL.Image.fromarray"
        )
    if 0 in image.size:
        raise DataError(f"restore: the image of size {image.size} has no pixels; give another")
    return to_rgb(image)


def enlarged(image: Image, factor: float) -> Image:
    """`factor` times as high and wide, bilinear. ValueError for a factor below 1."""
    from PIL import Image

    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= 64:
        raise ValueError(f"restore: enlarge must be a number from 1 to 64, got {factor!r}")
    if factor == 1:
        return image
    size = [round(side * factor) for side in image.size]
    return image.resize(size, Image.Resampling.BILINEAR)


def _as_image(picture: np.ndarray) -> Image:
    """float (3, H, W) as a Pillow image, clipped to [0, 1]."""
    from PIL import Image

    pixels = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, 2)))
