"""Watching a network learn to make pictures: what it makes of one input, epoch after epoch.

    learn.fit(10, callbacks=[ProgressPictures(noise, "out/epochs")])      epoch_000.png, ...
    gif_of("out/epochs", "out/learning.gif")
    row_of("out/epochs", "out/learning.png")

The losses of a GAN say nothing about how good its pictures are, so one looks at them. And
`before_after` sets what a model was given, what it answered and what was wanted side by side.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend as backends
from .. import nn
from ..autograd import Tensor, no_grad, tensor
from ..data.errors import DataError
from ..files import write_atomically
from ..functional._arguments import check_integer
from ..learner import Callback
from ..learner.interpret import host
from ..learner.schedule import LRFinder
from ..plot.film import gif
from .gan_losses import is_finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = re.compile(r"epoch_(\d+)\.png")
GAP, CAPTION = 2, 18  # pixels between pictures, and for the line above them
SMALLEST = 64  # pictures with fewer pixels on a side are enlarged to about that


class ProgressPictures(Callback):
    """After every epoch, what the model makes of `x`, as ``folder/epoch_003.png``.

    x           a batch for the model, such as noise; it stays the same
    folder      ``epoch_000.png`` is from before the training; a later fit goes on counting, and so
                does a fit that goes on from a checkpoint. A new training goes on after the last
                picture that it finds, unless `restart`, which removes them
    rows        of the grid; default: about as many as columns
    denorm      answers (N, C, H, W) → values in [0, 1]; default: as the data has them
    train_mode  run the model as in training: batch norm then uses the statistics of `x`

    Of a GAN, the generator. The training does not notice: modes, running statistics and the random
    stream are put back. Where a picture cannot be written there is a warning, and training goes on.
    """

    order = 20  # before a checkpoint is written, which must know how many pictures there are

    def __init__(
        self,
        x: Any,
        folder: str | Path,
        rows: int | None = None,
        denorm: Callable[[Tensor], Any] | None = None,
        train_mode: bool = False,
        restart: bool = False,
    ) -> None:
        if not (isinstance(x, Tensor) or backends.is_array(x)) or x.ndim < 2 or not len(x):
            got = f"shape {tuple(x.shape)}" if hasattr(x, "shape") else type(x).__name__
            raise TypeError(
                f"ProgressPictures: x must be a Tensor or array (N, ...) of inputs, got {got}"
            )
        if rows is not None:
            check_integer("ProgressPictures", "rows", rows, 1)
        if denorm is not None and not callable(denorm):
            raise TypeError(
                "ProgressPictures: denorm must be a function of the model's answers, such as "
                f"data.denorm, or None; got {denorm!r}"
            )
        self.x, self.folder, self.rows = np.array(host(x)), Path(folder), rows
        self.denorm, self.train_mode, self.restart = denorm, train_mode, restart
        self.count: int | None = None  # epochs done; None until a training begins

    def state_dict(self) -> dict[str, Any]:
        return {} if self.count is None else {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]

    def on_train_begin(self) -> None:
        if self._searching():
            return
        if self.count is None:
            if self.restart:
                self._remove_after(-1)
            self.count = max(pictures_in(self.folder), default=0)
        if self.learn.batch == 0 and not self._file().exists():
            self.draw()

    def on_epoch_end(self) -> None:
        if self._searching():
            return
        self.count += 1
        self.draw()
        self._remove_after(self.count)  # of a training that this one repeats

    def draw(self) -> None:
        """Write the picture of the model as it is now."""
        try:
            content = _png(grid_of(self.pictures(), self.rows))
            write_atomically(self._file(), content, type(self).__name__)
        except OSError as error:
            warnings.warn(str(error.strerror), stacklevel=2)

    def pictures(self) -> np.ndarray:
        """What the model makes of `x`: (N, C, H, W) in [0, 1], on the host."""
        model = getattr(self.learn.model, "generator", self.learn.model)
        home = next((p.backend for p in model.parameters()), backends.active())
        kept = [(buffer, buffer.data.copy()) for buffer in model.buffers()] * self.train_mode
        stream = backends.get_rng_state()
        try:
            with nn.evaluating(model), no_grad():
                answers = model.train(self.train_mode)(tensor(self.x, backend=home))
        finally:
            backends.set_rng_state(stream)
            for buffer, before in kept:
                buffer.data[...] = before
                buffer.mark_changed()
        return self.learn.images_of(answers) if self.denorm is None else host(self.denorm(answers))

    def _searching(self) -> bool:
        """Whether this is lr_find, whose training comes to nothing."""
        return any(isinstance(callback, LRFinder) for callback in self.learn.running)

    def _file(self) -> Path:
        return self.folder / f"epoch_{self.count:03d}.png"

    def _remove_after(self, last: int) -> None:
        for number, file in pictures_in(self.folder).items():
            if number > last:
                file.unlink(missing_ok=True)


def pictures_in(folder: str | Path) -> dict[int, Path]:
    """The files ``epoch_NNN.png`` in a folder, by number and in their order."""
    found = ((NAME.fullmatch(file.name), file) for file in Path(folder).glob("epoch_*.png"))
    return dict(sorted((int(match[1]), file) for match, file in found if match))


# -------------------------------------------------------------------------------- made with Pillow


def grid_of(images: Any, rows: int | None = None) -> Any:
    """Pictures (N, 1 or 3, H, W) in [0, 1] (outside: clipped) in one Pillow image, row by row.

    Small ones are enlarged by a whole factor, pixel by pixel. ValueError for other shapes, and for
    NaN.
    """
    from PIL import Image

    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size:
        raise ValueError(
            f"grid_of: needs pictures (N, 1 or 3, H, W), got shape {images.shape}; is the model's "
            "answer a picture?"
        )
    if not np.isfinite(images).all():
        raise ValueError("grid_of: the pictures hold NaN or infinity")
    n, channels, height, width = images.shape
    rows = round(math.sqrt(n)) if rows is None else min(rows, n)
    columns = -(-n // rows)
    factor = max(1, SMALLEST // max(height, width))
    pixels = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    pixels = pixels.repeat(factor, axis=2).repeat(factor, axis=3)
    down, across = height * factor + GAP, width * factor + GAP
    page = np.full((channels, rows * down - GAP, columns * across - GAP), 255, np.uint8)
    for i, picture in enumerate(pixels):
        top, left = i // columns * down, i % columns * across
        page[:, top : top + down - GAP, left : left + across - GAP] = picture
    return Image.fromarray(page[0] if channels == 1 else np.moveaxis(page, 0, 2).copy())


def gif_of(folder: str | Path, path: str | Path, ms: int = 300, last_ms: int = 2000) -> Path:
    """The pictures that `ProgressPictures` left in a folder, as a film that begins again.

    ms, last_ms   how long each stays, and the last of them

    DataError where the folder has none, they differ in size or one cannot be read.
    """
    path = _path_of("gif_of", path, ".gif")
    for name, time in (("ms", ms), ("last_ms", last_ms)):
        if not is_finite(time) or not 10 <= time <= 655_350:
            raise ValueError(
                f"gif_of: {name} must be a number of milliseconds from 10 to 655350, which a GIF "
                f"counts in hundredths of a second; got {time!r}"
            )
    frames = [_captioned(image, text) for image, text in _opened("gif_of", folder)]
    if len({frame.size for frame in frames}) > 1:
        sizes = sorted({frame.size for frame in frames})
        raise DataError(f"gif_of: the pictures in {folder} differ in size: {sizes}; remove some")
    times = [ms] * (len(frames) - 1) + [last_ms]
    write_atomically(path, gif(frames, times), "gif_of")
    return path


def row_of(folder: str | Path, path: str | Path, n: int = 6) -> Path:
    """`n` of the pictures in a folder, spread evenly from first to last, in a row in one PNG.

    All of them where there are fewer. DataError where there is none, or one cannot be read.
    """
    from PIL import Image

    check_integer("row_of", "n", n, 1)
    path = _path_of("row_of", path, ".png")
    images = _opened("row_of", folder)
    chosen = np.unique(np.rint(np.linspace(len(images) - 1, 0, n)).astype(int)).tolist()
    shown = [_captioned(*images[i]) for i in chosen]
    gap = 4 * GAP
    size = sum(image.width + gap for image in shown) - gap, max(image.height for image in shown)
    row, left = Image.new("RGB", size, "white"), 0
    for image in shown:
        row.paste(image, (left, 0))
        left += image.width + gap
    write_atomically(path, _png(row), "row_of")
    return path


def _path_of(function: str, path: str | Path, ending: str) -> Path:
    path = Path(path)
    if path.suffix.lower() != ending:
        raise ValueError(
            f"{function}: writes a {ending[1:].upper()}, got {path.name!r}; use a {ending} name"
        )
    return path


def _opened(function: str, folder: str | Path) -> list[tuple[Any, str]]:
    """(Pillow image, what to write above it) of each picture in the folder."""
    from PIL import Image

    found = []
    for number, file in pictures_in(folder).items():
        try:
            with Image.open(file) as image:
                image.load()
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises
            raise DataError(
                f"{function}: cannot read {file} ({error}); remove it, or make it anew"
            ) from error
        found.append((image, f"epoch {number}"))
    if not found:
        raise DataError(
            f"{function}: there is no epoch_000.png or later in {folder}; train with "
            "callbacks=[ProgressPictures(x, folder)] first"
        )
    return found


def _captioned(image: Any, text: str) -> Any:
    """The image below a white strip with a line of text."""
    from PIL import Image, ImageDraw

    page = Image.new(image.mode, (max(image.width, SMALLEST), image.height + CAPTION), "white")
    page.paste(image, (0, CAPTION))
    ImageDraw.Draw(page).text((GAP, GAP), text, fill="black")
    return page


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


# ---------------------------------------------------------------------------- made with matplotlib


def before_after(
    images: Mapping[str, Any],
    zoom: tuple[float, float, float, float] | None = None,
    cmap: str | None = None,
    width: float = 3.0,
) -> Figure:
    """A column of pictures for each name: ``{"input": x, "prediction": p, "original": y}``.

    images  for each name as many pictures (C, H, W) or (H, W), with 1 channel or 3: floats in
            [0, 1] (outside: clipped) or bytes; in a row they may differ in size
    zoom    (top, left, height, width) of a detail, in parts of the picture's height and width: it
            is framed, and shown enlarged in a second row
    width   of a column, in inches
    """
    from .. import plot

    if not isinstance(images, Mapping):
        raise TypeError(
            "before_after: images must be a mapping of names to pictures, such as {'input': x, "
            f"'original': y}}, got {type(images).__name__}"
        )
    images = {name: _column(name, pictures) for name, pictures in images.items()}
    counts = {name: len(column) for name, column in images.items()}
    if len(set(counts.values())) != 1 or not all(counts.values()):
        raise ValueError(
            f"before_after: every column needs as many pictures, at least one, got {counts}"
        )
    rows: list[list[np.ndarray]] = []
    for row in zip(*images.values(), strict=True):
        if zoom is None:
            rows.append(row)
        else:
            boxes = [_box(picture.shape, zoom) for picture in row]
            rows.append([_framed(*pair) for pair in zip(row, boxes, strict=True)])
            rows.append([p[..., box[0], box[1]] for p, box in zip(row, boxes, strict=True)])
    height = sum(max(p.shape[-2] / p.shape[-1] for p in row) for row in rows)
    cells = [picture for row in rows for picture in row]
    titles = [*images, *[""] * (len(cells) - len(images))]
    size = width * len(images), width * height + 0.4
    return plot.image_grid(cells, titles, cols=len(images), figsize=size, cmap=cmap)


def _column(name: str, pictures: Any) -> list[np.ndarray]:
    """Pictures as arrays of float32, white = 1."""
    several = hasattr(pictures, "__len__") and getattr(pictures, "ndim", 1) > 0
    if not several or isinstance(pictures, str | Mapping):
        raise TypeError(
            f"before_after: column {name!r} must hold pictures (N, C, H, W) or a list of them, got "
            f"{pictures!r:.60}"
        )
    column = []
    for picture in pictures:
        known = isinstance(picture, Tensor) or backends.is_array(picture)
        array = host(picture) if known else np.empty(0)
        drawable = array.dtype.kind in "bf" or array.dtype == np.uint8
        flat = array.ndim == 2 or (array.ndim == 3 and len(array) in (1, 3))
        if not (drawable and flat and array.size):
            got = f"shape {array.shape} of {array.dtype}" if known else f"{picture!r:.60}"
            raise ValueError(
                "before_after: a picture is an array (H, W), (1, H, W) or (3, H, W) of floats in "
                f"[0, 1] or of bytes, but column {name!r} holds {got}"
            )
        column.append(array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1))
    return column


def _box(shape: tuple[int, ...], zoom: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of the detail, at least one of each."""
    four = isinstance(zoom, Sequence) and len(zoom) == 4 and all(map(is_finite, zoom))
    top, left, height, width = zoom if four else (-1,) * 4
    if min(top, left) < 0 or min(height, width) <= 0 or max(top + height, left + width) > 1:
        raise ValueError(
            "before_after: zoom is (top, left, height, width) in parts of the picture, within 0 "
            f"and 1, got {zoom!r}"
        )
    rows, columns = shape[-2:]
    first = min(round(top * rows), rows - 1), min(round(left * columns), columns - 1)
    end = round((top + height) * rows), round((left + width) * columns)
    return tuple(slice(a, max(a + 1, b)) for a, b in zip(first, end, strict=True))


def _framed(picture: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """The picture (3, H, W) with an orange frame along the inside of the box.

    A small picture is enlarged first, or the frame would cover what it is to show.
    """
    factor = max(1, 4 * SMALLEST // max(picture.shape[-2:]))
    large = picture.repeat(factor, axis=-2).repeat(factor, axis=-1)
    framed = np.array(np.broadcast_to(large, (3, *large.shape[-2:])))
    thick = max(1, max(framed.shape) // 120)
    outer = [slice(side.start * factor, side.stop * factor) for side in box]
    edge = np.zeros(framed.shape[1:], bool)
    edge[tuple(outer)] = True
    edge[tuple(slice(side.start + thick, side.stop - thick) for side in outer)] = False
    framed[:, edge] = np.array([[0.84], [0.37], [0.0]])  # the vermillion of `plot`
    return framed
