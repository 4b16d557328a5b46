"""Transforms that move pixels: flips, turns, zooms and changes of viewpoint, and their matrices.

The draw of each is a batch of homographies (n, 3, 3), which say where an output pixel looks (see
`resample`). A picture seen through A and the result seen through B is the picture seen through
A B, so neighbours in a list of transforms are multiplied, and the pixels sampled once: blurred
once, and reflected at the edge of the original instead of at an edge inside it.

Running order is by `order`: flips, turns and zooms (5), then changes of viewpoint (6). fastai v1
numbers its warps 4, before its affine 5, but counts the way of the coordinates, which run from the
output back to the input: its picture, too, is turned, then zoomed, then warped.
"""

from __future__ import annotations

import numpy as np

from .resample import check_mode, sample
from .transforms import Sometimes, check_range

Range = float | tuple[float, float]

# the horizon of a stronger warp can run through the picture: (√3 - 1) / 2, rounded down
STRONGEST_WARP = 0.366


class Geometric(Sometimes):
    """Draws are homographies (n, 3, 3); pictures are sampled bilinearly, masks to the nearest.

    p: the probability for each picture. mode: what lies beyond the edge, 'reflection', 'zeros' (of
    masks: class 0) or 'border'.
    """

    order = 5
    unchanged = np.eye(3)

    def __init__(self, p: float = 1.0, mode: str = "reflection") -> None:
        super().__init__(p)
        self.mode = check_mode(type(self).__name__, mode)

    @property
    def family(self) -> tuple[str, str]:  # type: ignore[override]
        """Those with the same world beyond the edge are sampled together."""
        return "geometry", self.mode

    @staticmethod
    def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """first · second: `second` says where to look in the result of `first`."""
        return first @ second

    def apply(self, batch: np.ndarray, params: np.ndarray) -> np.ndarray:
        """Pictures (n, C, H, W), each through its own matrix."""
        return sample(batch, params, self.mode)

    def apply_mask(self, masks: np.ndarray, params: np.ndarray) -> np.ndarray:
        """Class maps (n, 1, H, W): each pixel takes the class of the one it looks at."""
        return sample(masks, params, self.mode, nearest=True)

    def _repr(self, **arguments: object) -> str:
        more = {"mode": self.mode} if self.mode != "reflection" else {}
        shown = ", ".join(f"{k}={v!r}" for k, v in {**arguments, "p": self.p, **more}.items())
        return f"{type(self).__name__}({shown})"

    def __repr__(self) -> str:
        return self._repr()


class FlipLR(Geometric):
    """Mirror left and right, exactly.

    Part of the one matrix, where it costs nothing. As turns, zooms and warps are as likely to
    either side, it makes no difference whether a picture is mirrored before or after them.
    """

    def __init__(self, p: float = 0.5, mode: str = "reflection") -> None:
        super().__init__(p, mode)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 3, 3), all the same."""
        return np.tile(np.diag([-1.0, 1.0, 1.0]), (n, 1, 1))


class Dihedral(Geometric):
    """One of the 8 ways to lay a square on itself, each as likely, exactly.

    Pictures that are not square take the 4 ways that keep their shape: mirrorings and half a turn.
    fastai v1 turns them on their side all the same, and then cannot stack the batch.
    """

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 3, 3) of zeros, ones and minus ones."""
        k = rng.integers(8, size=n)
        swap = (k >= 4) & (shape[1] == shape[2])
        columns, rows = 1 - 2 * (k & 1), 1 - (k & 2)
        matrices = np.zeros((n, 3, 3))
        matrices[:, 0, 0], matrices[:, 1, 1] = columns * ~swap, rows * ~swap
        matrices[:, 0, 1], matrices[:, 1, 0] = columns * swap, rows * swap
        matrices[:, 2, 2] = 1
        return matrices


class Rotate(Geometric):
    """Turn about the middle by an angle ~ U(degrees), in degrees, anticlockwise if positive.

    [[cos, -r sin, 0], [sin / r, cos, 0], [0, 0, 1]], where r = (H - 1) / (W - 1) makes up for x and
    y being counted in units of different length. fastai v1 takes r = H / W, though its coordinates
    too run between pixel centres, and leaves out r for the focus of a zoom that follows; both bend
    right angles, or shift the picture, by a little. One number is one angle for all.
    """

    def __init__(
        self, degrees: Range = (-10.0, 10.0), p: float = 1.0, mode: str = "reflection"
    ) -> None:
        super().__init__(p, mode)
        self.degrees = check_range("Rotate", "degrees", degrees)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 3, 3) from n angles."""
        angle = np.deg2rad(rng.uniform(*self.degrees, n))
        r = max(shape[1] - 1, 1) / max(shape[2] - 1, 1)
        matrices = np.tile(np.eye(3), (n, 1, 1))
        matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
        matrices[:, 0, 1], matrices[:, 1, 0] = -r * np.sin(angle), np.sin(angle) / r
        return matrices

    def __repr__(self) -> str:
        return self._repr(degrees=self.degrees)


class RandZoom(Geometric):
    """Enlarge by a factor ~ U(scale) about a random focus, which stays where it is.

    [[1/scale, 0, s (2u - 1)], [0, 1/scale, s (2v - 1)], [0, 0, 1]] with s = 1 - 1/scale and the
    focus u, v ~ U(0, 1) of the way across and down. A scale below 1 shows what is beyond the edge.
    """

    def __init__(self, scale: Range = (1.0, 1.1), p: float = 1.0, mode: str = "reflection") -> None:
        super().__init__(p, mode)
        self.scale = check_range("RandZoom", "scale", scale, 0.01)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 3, 3) from n scales and n foci."""
        share = 1 / rng.uniform(*self.scale, n)  # of the width and height that is still seen
        focus = 2 * rng.random((n, 2)) - 1  # column, row
        matrices = np.tile(np.eye(3), (n, 1, 1))
        matrices[:, 0, 0] = matrices[:, 1, 1] = share
        matrices[:, :2, 2] = (1 - share)[:, None] * focus
        return matrices

    def __repr__(self) -> str:
        return self._repr(scale=self.scale)


class SymmetricWarp(Geometric):
    """Look from another side: two opposite corners move outward together, by m ~ U(magnitude) each.

    Four draws for the ends of the right, left, lower and upper edge, in that order; the upper edge,
    say, grows to 1 + m times its length about its middle, and the picture becomes a trapezium. The
    matrix is the homography that takes the moved corners to (-1, -1), (-1, 1), (1, -1), (1, 1).
    Magnitudes must be within ±0.366: beyond, the horizon may run through the picture.
    """

    order = 6

    def __init__(
        self, magnitude: Range = (-0.2, 0.2), p: float = 1.0, mode: str = "reflection"
    ) -> None:
        super().__init__(p, mode)
        most = STRONGEST_WARP
        self.magnitude = check_range("SymmetricWarp", "magnitude", magnitude, -most, most)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 3, 3) from four magnitudes each."""
        right, left, lower, upper = 1 + rng.uniform(*self.magnitude, (4, n))
        corners = [(-upper, -left), (-lower, left), (upper, -right), (lower, right)]
        return homography(np.array(corners).transpose(2, 0, 1), CORNERS)

    def __repr__(self) -> str:
        return self._repr(magnitude=self.magnitude)


CORNERS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])


def homography(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The matrices (n, 3, 3) that take four points `start` (n, 4, 2) to `end` (4, 2).

    With h the matrix in rows, its last value 1, each point gives two of eight linear equations:
    h₁x + h₂y + h₃ - h₇xX - h₈yX = X and h₄x + h₅y + h₆ - h₇xY - h₈yY = Y   (Heckbert 1989, §2.2.3)
    """
    n = len(start)
    equations = np.zeros((n, 4, 2, 8))  # point, X or Y, unknown
    equations[:, :, 0, 0:2] = equations[:, :, 1, 3:5] = start
    equations[:, :, 0, 2] = equations[:, :, 1, 5] = 1
    equations[:, :, :, 6:] = -end[:, :, None] * start[:, :, None, :]
    values = np.broadcast_to(end.reshape(8, 1), (n, 8, 1))
    h = np.linalg.solve(equations.reshape(n, 8, 8), values)[..., 0]
    return np.concatenate([h, np.ones((n, 1))], axis=1).reshape(n, 3, 3)
