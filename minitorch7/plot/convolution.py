"""What a sliding window reads, frame by frame."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from .canvas import BLUE, VERMILLION

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SHARP = 2  # frames are drawn so many times larger, and made smaller: smooth letters and edges

WHITE = np.full(3, 255.0)
PADDING, PADDING_READ = (247.0,) * 3, (205.0,) * 3  # outside the picture
EDGE, FAINT = (130, 130, 130), (205, 205, 205)


def draw_windows(
    reads: Any,
    size_in: tuple[int, int],
    size_out: tuple[int, int],
    padding: int | tuple[int, int] = 0,
    picture: Any = None,
    result: Any = None,
    writes: bool = False,
    title: str = "",
    cell: int = 28,
) -> list[np.ndarray]:
    """One frame for each place of a window: the pixels that it reads, and where its result goes.

    reads     (taps, places): the numbers of the pixels that each place reads. Pixels are counted
              from 0, row by row, those of the padding as well: what ``F.unfold`` makes of an array
              that holds its own pixels' numbers
    size_in   (H, W) of the picture without its padding
    size_out  (oh, ow) of the result; oh·ow are the places
    padding   pixels around the picture: a number, or (rows, columns)
    picture   numbers to write into the picture's pixels (H, W), or (places, H, W) for each frame
    result    the same for the result, (oh, ow) or (places, oh, ow)
    writes    the transposed convolution: the places are the source, and each *writes* a window
    title     a line above
    cell      the width of a pixel in dots

    → bytes (height, width, 3), one array a frame. Blue is what is read and vermillion what is
    written, strong in this frame and pale in an earlier one; written again it is less pale. Grey is
    padding, and a pixel that no window has read yet is white.
    """
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    wide = size_in[0] + 2 * rows, size_in[1] + 2 * columns
    reads = _checked(reads, wide, size_out)
    taps, places = reads.shape
    picture = _numbers("picture", picture, size_in, places)
    result = _numbers("result", result, size_out, places)
    if picture is not None:
        around = (0, 0), (rows, rows), (columns, columns)
        picture = np.pad(picture, around, constant_values=np.nan)
    inside = np.zeros(wide, bool)
    inside[rows : rows + size_in[0], columns : columns + size_in[1]] = True

    touched = np.zeros((places, *wide))  # how often, before each frame
    now = np.zeros((places, *wide), bool)
    for i in range(places):
        now[i].flat[reads[:, i]] = True
    touched[1:] = np.cumsum(now, axis=0)[:-1]
    most = max(1, int(now.sum(axis=0).max()))
    done = np.arange(places).reshape(size_out)
    large, small = (VERMILLION, BLUE) if writes else (BLUE, VERMILLION)
    frames = []
    for i in range(places):
        pale = 0.22 + (0.45 * touched[i] / most if writes else 0)
        fill = _mixed(large, np.where(now[i], 0.8, pale * (touched[i] > 0)))
        fill[~inside] = np.where(now[i][~inside, None], PADDING_READ, PADDING)
        strength = np.select([done == i, done < i], [1.0, 0.22], 0.0)
        panels = [
            (fill, None if picture is None else picture[i], now[i], inside),
            (
                _mixed(small, strength),
                _reached(result, i, done, writes),
                done == i,
                np.ones(size_out, bool),
            ),
        ]
        frames.append(_frame(panels[::-1] if writes else panels, title, cell))
    return frames


def _checked(reads: Any, wide: tuple[int, int], size_out: tuple[int, int]) -> np.ndarray:
    reads, pixels, places = np.asarray(reads), wide[0] * wide[1], size_out[0] * size_out[1]
    if reads.ndim != 2 or reads.shape[1] != places or not reads.size:
        raise ValueError(
            f"draw_windows: reads must be (taps, {places}) for a result of {size_out[0]} × "
            f"{size_out[1]}, got shape {reads.shape}"
        )
    numbers = np.rint(reads).astype(np.int64)
    if (numbers != reads).any() or numbers.min() < 0 or numbers.max() >= pixels:
        raise ValueError(
            f"draw_windows: reads must be whole numbers from 0 to {pixels - 1}, the pixels of "
            f"{wide[0]} × {wide[1]} with padding; they go from {reads.min()} to {reads.max()}"
        )
    return numbers


def _numbers(name: str, values: Any, size: tuple[int, int], places: int) -> np.ndarray | None:
    """(places, *size)"""
    if values is None:
        return None
    values = np.asarray(values, float)
    if values.shape not in (tuple(size), (places, *size)):
        raise ValueError(
            f"draw_windows: {name} must have shape {tuple(size)}, or {(places, *size)} for "
            f"a value in each frame, got {values.shape}"
        )
    return np.broadcast_to(values, (places, *size))


def _reached(
    result: np.ndarray | None, i: int, done: np.ndarray, writes: bool
) -> np.ndarray | None:
    """The result's numbers; those that are still to come are not yet known."""
    if result is None or writes:
        return None if result is None else result[i]
    return np.where(done <= i, result[i], np.nan)


def _mixed(colour: str, strength: np.ndarray) -> np.ndarray:
    """WHITE with so much of a colour in it: (H, W) → (H, W, 3)"""
    full = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
    return WHITE + strength[..., None] * (full - WHITE)


Panel = tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]  # fill, numbers, now, inside


def _frame(panels: list[Panel], title: str, cell: int) -> np.ndarray:
    """Two grids side by side, and a ray from what is read to what is written."""
    from PIL import Image, ImageDraw

    side = cell * SHARP
    shapes = [panel[0].shape[:2] for panel in panels]
    top = side // 2 + (side if title else 0)
    height = top + max(rows for rows, _ in shapes) * side + side // 2
    lefts = side // 2, side // 2 + (shapes[0][1] + 2) * side
    width = lefts[1] + shapes[1][1] * side + side // 2
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image, "RGBA")
    if title:
        draw.text((side // 2, side // 2), title, "black", _font(round(0.5 * side)))
    tops = [top + (height - top - side // 2 - rows * side) // 2 for rows, _ in shapes]
    boxes = []
    for panel, x, y in zip(panels, lefts, tops, strict=True):
        _grid(draw, panel, x, y, side)
        rows, columns = np.nonzero(panel[2])
        boxes.append(
            (
                x + int(columns.min()) * side,
                y + int(rows.min()) * side,
                x + (int(columns.max()) + 1) * side,
                y + (int(rows.max()) + 1) * side,
            )
        )
    (_, top_a, right, bottom_a), (left, top_b, _, bottom_b) = boxes
    ray = [(right, top_a), (left, top_b), (left, bottom_b), (right, bottom_a)]
    draw.polygon(ray, fill=(90, 90, 90, 26))
    for box in boxes:
        draw.rectangle(box, outline=(0, 0, 0), width=2 * SHARP)
    return np.asarray(image.reduce(SHARP))


def _grid(draw: ImageDraw, panel: Panel, x: int, y: int, side: int) -> None:
    """Cells from the corner (x, y) on, with their numbers; those outside the picture fainter."""
    fill, numbers, _, inside = panel
    for within in (False, True):  # the picture's own edges over the padding's
        for r, c in np.argwhere(inside == within).tolist():
            box = [x + c * side, y + r * side, x + (c + 1) * side, y + (r + 1) * side]
            colour = tuple(np.rint(fill[r, c]).astype(int).tolist())
            draw.rectangle(box, colour, EDGE if within else FAINT, SHARP)
            if numbers is not None and not np.isnan(numbers[r, c]):
                text = f"{numbers[r, c]:.3g}"
                size = 0.5 if len(text) < 3 else 0.42 if len(text) < 4 else 0.32
                ink = "white" if np.mean(colour) < 130 else "black"
                middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
                draw.text(middle, text, ink, _font(round(size * side)), anchor="mm")


@functools.lru_cache(8)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
