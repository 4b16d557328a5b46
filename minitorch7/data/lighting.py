"""Transforms of light: brightness and contrast, as shifts and stretches of a pixel's logit.

A pixel p in [0, 1] becomes sigmoid(scale · logit(p) + shift), where logit(p) = ln(p / (1 - p)). So
it never leaves [0, 1], and black, white and everything between keep their order. p is first held
to [1e-7, 1 - 1e-7]. Neighbours in a list of transforms act together, in one pass.
"""

from __future__ import annotations

import numpy as np

from .transforms import Sometimes, check_range

EDGE = 1e-7  # the logits of 0 and 1 are infinite
Range = float | tuple[float, float]


class Lighting(Sometimes):
    """Draws are (n, 2), scale and shift of the logits; masks are not touched.

    uint8 pictures stay uint8, rounded: each has a table of its own for the 256 values. A scale of 1
    and a shift of 0 give an exact copy.
    """

    order = 8
    family = "lighting"
    unchanged = np.array([1.0, 0.0])

    @staticmethod
    def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """s₂ (s₁ z + t₁) + t₂ = s₁ s₂ z + (t₁ s₂ + t₂): the logits are not held in between."""
        (s1, t1), (s2, t2) = first.T, second.T
        return np.stack([s1 * s2, t1 * s2 + t2], axis=1)

    def apply(self, batch: np.ndarray, params: np.ndarray) -> np.ndarray:
        """Pictures (n, C, H, W), each with its own scale and shift."""
        out = np.empty(batch.shape, batch.dtype)
        for picture, (scale, shift), lit in zip(batch, params.tolist(), out, strict=True):
            if (scale, shift) == (1.0, 0.0):
                lit[...] = picture
            elif batch.dtype == np.uint8:
                light(np.arange(256) / 255, scale, shift, out=(table := np.empty(256)))
                np.rint(255 * table).astype(np.uint8).take(picture, out=lit, mode="clip")
            else:
                light(picture, scale, shift, out=lit)
        return out

    def apply_mask(self, masks: np.ndarray, params: np.ndarray) -> np.ndarray:
        """The masks: light changes no class."""
        return masks


def light(p: np.ndarray, scale: float, shift: float, out: np.ndarray) -> None:
    """out = sigmoid(scale · logit(p) + shift), of p's shape and dtype."""
    p = np.clip(p, EDGE, 1 - EDGE)
    np.subtract(1, p, out=out)
    np.divide(out, p, out=out)
    np.log(out, out=out)  # -logit
    out *= scale
    out -= shift
    with np.errstate(over="ignore"):  # 1 / (1 + infinity) is the 0 it should be
        np.exp(out, out=out)
    out += 1
    np.divide(1, out, out=out)


class Brightness(Lighting):
    """Shift the logits by logit(change), change ~ U(change): 0.5 keeps, 1 is white, 0 is black."""

    def __init__(self, change: Range = (0.4, 0.6), p: float = 1.0) -> None:
        super().__init__(p)
        self.change = check_range("Brightness", "change", change, EDGE, 1 - EDGE)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 2) from n changes."""
        change = rng.uniform(*self.change, n)
        return np.stack([np.ones(n), np.log(change / (1 - change))], axis=1)

    def __repr__(self) -> str:
        return f"Brightness(change={self.change}, p={self.p})"


class Contrast(Lighting):
    """Stretch the logits by scale, ln(scale) ~ U(ln low, ln high): 1 keeps, more tells apart."""

    def __init__(self, scale: Range = (0.8, 1.25), p: float = 1.0) -> None:
        super().__init__(p)
        self.scale = check_range("Contrast", "scale", scale, EDGE)

    def draw_all(self, rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 2) from n scales."""
        scale = np.exp(rng.uniform(*np.log(self.scale), n))
        return np.stack([scale, np.zeros(n)], axis=1)

    def __repr__(self) -> str:
        return f"Contrast(scale={self.scale}, p={self.p})"
