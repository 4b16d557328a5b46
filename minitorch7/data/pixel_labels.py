"""What labels have in common that are pixels themselves: masks and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np


class PixelLabels:
    """``labels[i]`` is the label of item i, uint8 (C, H, W): row ``rows[i]`` of `pixels`."""

    pixels: Any
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.gather(np.array([index]))[0]

    def gather(self, indices: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """The labels at `indices` (n,) as uint8 (n, C, H, W), cropped as their items are."""
        return self.pixels.gather(self.rows[indices], places)
