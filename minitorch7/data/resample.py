"""Sampling a batch of pictures anew, each through a homography of its own.

A homography M (3, 3) says where an output pixel looks: (x, y, 1) becomes M (x, y, 1)ᵀ, and the
first two values divided by the third are the place in the input. x is the column and y the row,
both from -1 at the centres of the first pixels to 1 at the centres of the last, as in PyTorch's
grid_sample with align_corners=True (Jaderberg et al. 2015, §3.2 and §3.3). A picture that is one
pixel high or wide has that pixel at 0, and everything on that axis looks at it.

Places are made and pixels blended in blocks of rows that stay in the second-level cache, in a
workspace that is allocated once a batch. The same thing as loops is in tests/reference/augment.py.
"""

from __future__ import annotations

import numpy as np

from .errors import DataError

MODES = ("reflection", "zeros", "border")
BLOCK = 32 * 1024  # pixels worked on at once
HORIZON = 1e-3  # smaller third values, at the horizon or behind it, count as this: far outside


def sample(
    batch: np.ndarray, matrices: np.ndarray, mode: str = "reflection", nearest: bool = False
) -> np.ndarray:
    """The pictures (n, C, H, W), uint8 or float32, as seen through `matrices` (n, 3, 3).

    Bilinear between the four pixels around a place, rounded for uint8; or, with `nearest`, the
    pixel that is closest. Beyond the edge, `mode` says what is met: 'reflection' about the
    outermost pixel centres, 'zeros', or 'border', the outermost pixel repeated. An identity gives
    an exact copy; so do mirrorings and, of square pictures, quarter turns.

    The output is as large as the input, so nothing is averaged first: fastai does that where the
    output has less than half the pixels of the input on both axes.
    """
    if batch.dtype not in (np.uint8, np.float32) or batch.ndim != 4 or 0 in batch.shape[2:]:
        raise DataError(
            "sample: pictures must be uint8 or float32 (n, C, H, W), of a pixel or more, got "
            f"{batch.dtype} of shape {batch.shape}"
        )
    if matrices.shape != (len(batch), 3, 3):
        raise DataError(
            f"sample: {len(batch)} pictures need as many matrices, (n, 3, 3), got {matrices.shape}"
        )
    if not np.isfinite(matrices).all():
        raise DataError("sample: matrices must be finite, got nan or inf in them")
    check_mode("sample", mode)
    out = np.empty(batch.shape, batch.dtype)
    sampler: _Sampler | None = None
    for picture, matrix, seen in zip(batch, matrices, out, strict=True):
        exact = _rearranged(picture, matrix)
        if exact is not None:
            seen[...] = exact
            continue
        if sampler is None:  # only if any picture needs its workspace
            sampler = _Sampler(batch.shape[1:], mode, nearest)
        sampler(picture, matrix, seen)
    return out


def check_mode(function: str, mode: str) -> str:
    """`mode`, if it is one that `sample` knows."""
    if mode not in MODES:
        raise DataError(f"{function}: mode must be one of {', '.join(MODES)}, got {mode!r}")
    return mode


def _rearranged(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
    """A view of the picture where the matrix does no more than mirror or turn it; else None."""
    (a, b, s), (c, d, t), last = matrix.tolist()
    if s or t or last != [0.0, 0.0, 1.0]:
        return None
    if b == c == 0 and abs(a) == abs(d) == 1:
        return picture[:, :: int(d), :: int(a)]
    if a == d == 0 and abs(b) == abs(c) == 1 and picture.shape[1] == picture.shape[2]:
        return picture[:, :: int(c), :: int(b)].swapaxes(1, 2)
    return None


class _Sampler:
    """The workspace for pictures of one shape (C, H, W), and the steps that use it."""

    def __init__(self, shape: tuple[int, ...], mode: str, nearest: bool) -> None:
        self.mode, self.nearest = mode, nearest
        c, self.height, self.width = shape
        # a rim of zeros makes mode 'zeros' the same as 'border': what is beyond it is zero
        self.rim = int(mode == "zeros")
        h, w = self.height + 2 * self.rim, self.width + 2 * self.rim
        self.planes = np.zeros((c, h, w), np.float32)
        self.last = w - 1, h - 1  # the highest column and row
        self.rows = max(1, min(self.height, BLOCK // self.width))
        block = self.rows, self.width
        self.floats = np.empty((7, *block), np.float32)
        self.wholes = np.empty((2, *block), np.int32)
        self.index = np.empty(block, np.intp)

    def __call__(self, picture: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
        """Write what `matrix` sees of `picture` to `out`, both (C, H, W)."""
        inside = slice(self.rim, self.planes.shape[1] - self.rim)
        self.planes[:, inside, self.rim : self.planes.shape[2] - self.rim] = picture
        to_pixels = _pixel_matrix(matrix, self.height, self.width, self.rim)
        extent = _extent(to_pixels, self.height, self.width)
        for top in range(0, self.height, self.rows):
            n = min(self.rows, self.height - top)
            x, y = self._places(to_pixels.astype(np.float32), top, n)
            for place, last, (low, high) in zip((x, y), self.last, extent, strict=True):
                self._bring_inside(place, last, low, high)
            self._read(x, y, out[:, top : top + n])

    def _places(self, matrix: np.ndarray, top: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Column x and row y at which the pixels of n rows from `top` on look, (n, W) each."""
        j = np.arange(self.width, dtype=np.float32)
        i = np.arange(top, top + n, dtype=np.float32)[:, None]
        x, y, w = self.floats[:3, :n]
        for place, (a, b, c) in zip((x, y, w), matrix, strict=True):
            np.add(a * j, b * i + c, out=place)
        if matrix[2, 0] or matrix[2, 1] or matrix[2, 2] != 1:
            np.maximum(w, np.float32(HORIZON), out=w)
            np.divide(x, w, out=x)
            np.divide(y, w, out=y)
        return x, y

    def _bring_inside(self, place: np.ndarray, last: int, low: float, high: float) -> None:
        """Places from `low` to `high` brought to 0..last, in place."""
        if 0 <= low and high <= last:
            return
        if self.mode != "reflection" or last == 0:
            np.clip(place, 0, last, out=place)
            return
        if low < -last or high > 2 * last:  # more than one reflection: there and back is a period
            np.mod(place, np.float32(2 * last), out=place)
        np.abs(place, out=place)  # about 0
        np.subtract(last, place, out=place)  # and, counted from the other end, about `last`
        np.abs(place, out=place)
        np.subtract(last, place, out=place)

    def _read(self, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        """out (C, n, W) = the planes at columns x and rows y, which lie inside."""
        n, w = len(x), self.planes.shape[2]
        index, (left, up) = self.index[:n], self.wholes[:, :n]
        if self.nearest:
            x += np.float32(0.5)
            y += np.float32(0.5)
        np.copyto(left, x, casting="unsafe")  # rounds down
        np.copyto(up, y, casting="unsafe")
        np.multiply(up, w, out=index)
        np.add(index, left, out=index)
        if self.nearest:
            for plane, seen in zip(self.planes, out, strict=True):
                np.copyto(seen, plane.take(index), casting="unsafe")
            return
        # now the shares of the neighbours to the right and below: none for places on the last
        # pixel, where take's mode 'clip' may read anything
        x -= left.astype(np.float32)
        y -= up.astype(np.float32)
        step = [min(last, 1) for last in self.last]
        for plane, seen in zip(self.planes, out, strict=True):
            upper = self._between(plane.reshape(-1), index, step[0], x, self.floats[3:5, :n])
            below = plane.reshape(-1)[step[1] * w :]
            lower = self._between(below, index, step[0], x, self.floats[5:7, :n])
            lower -= upper
            lower *= y
            upper += lower
            if out.dtype == np.uint8:
                upper += np.float32(0.5)  # so that cutting off rounds
            np.copyto(seen, upper, casting="unsafe")

    @staticmethod
    def _between(
        plane: np.ndarray, index: np.ndarray, step: int, share: np.ndarray, work: np.ndarray
    ) -> np.ndarray:
        """p + share · (q - p), where p are the pixels at `index` and q those `step` further on."""
        p, q = work
        plane.take(index, out=p, mode="clip")  # the mode that writes to `out` without a copy
        plane[step:].take(index, out=q, mode="clip")
        q -= p
        q *= share
        p += q
        return p


def _pixel_matrix(matrix: np.ndarray, height: int, width: int, rim: int) -> np.ndarray:
    """The homography from output pixels (j, i) to input pixels, counted from the rim's corner."""
    right, down = width - 1, height - 1
    to_unit = np.diag([2 / max(right, 1), 2 / max(down, 1), 1.0])
    to_unit[:2, 2] = -(right > 0), -(down > 0)  # a single pixel stands at 0
    to_pixels = np.diag([right / 2, down / 2, 1.0])
    to_pixels[:2, 2] = right / 2 + rim, down / 2 + rim
    return to_pixels @ matrix @ to_unit


def _extent(matrix: np.ndarray, height: int, width: int) -> list[tuple[float, float]]:
    """Lowest and highest column, lowest and highest row that any output pixel looks at.

    A homography takes a rectangle to a polygon with the corners' images as its corners, unless the
    horizon, where the third value is 0, runs through it.
    """
    corners = [[j, i, 1] for j in (0, width - 1) for i in (0, height - 1)]
    x, y, w = matrix @ np.array(corners, float).T
    if w.min() < 2 * HORIZON:
        return [(-np.inf, np.inf)] * 2
    slack = 1e-2  # places are float32
    return [(v.min() - slack, v.max() + slack) for v in (x / w, y / w)]
