"""The cut products of ``kernels/products.py`` against plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch7.kernels import products

# (groups, m, k, n): shorter than a piece, no multiple of one, cut, cut smaller, too tall to cut
SHAPES = [
    (1, 8, 72, 100),
    (1, 8, 72, 600),
    (1, 8, 72, 2048),
    (1, 16, 144, 1024),
    (1, 16, 300, 512),
    (1, 40, 288, 512),
    (2, 4, 36, 512),
    (1, 3, 5, 0),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cut_product_is_the_product(shape: tuple[int, ...], dtype: str) -> None:
    groups, m, k, n = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((groups, m, k)).astype(dtype)
    b = rng.standard_normal((groups, k, n)).astype(dtype)
    wide = np.full((groups, m, n + 7), np.nan, dtype)  # out is part of a larger array
    products.product(np, a, b, wide[:, :, 3 : 3 + n])
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(wide[:, :, 3 : 3 + n], a @ b, tolerance, tolerance)
    assert np.isnan(wide[:, :, :3]).all() and np.isnan(wide[:, :, 3 + n :]).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cut_transposed_product_is_the_product(shape: tuple[int, ...], dtype: str) -> None:
    groups, m, k, n = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((groups, m, n + 5)).astype(dtype)[:, :, 2 : 2 + n]
    b = rng.standard_normal((groups, k, n)).astype(dtype)
    found = products.transposed_product(np, a, b)
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(found, a @ b.transpose(0, 2, 1), tolerance, tolerance)
    assert found.shape == (groups, m, k) and found.dtype == dtype


def test_the_shapes_above_take_every_way() -> None:
    pieces = [
        products._piece(m * k, n, (512, 256, 128, 64)) for groups, m, k, n in SHAPES if groups == 1
    ]
    assert pieces == [None, None, 256, 64, None, None, None]
    sums = [products._piece(m * k, n, (256, 128)) for groups, m, k, n in SHAPES if groups == 1]
    assert sums == [None, None, 256, None, None, None, None]
