"""The cut products of ``kernels/products.py`` against plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch7.kernels import products

# (stack, m, k, n): shorter than a piece, no multiple of one, cut in two, cut in many, too tall to
# cut, tall enough for threads to share, a stack of each, and nothing at all
SHAPES = [
    (1, 8, 72, 60),
    (1, 8, 72, 601),
    (1, 8, 72, 1792),
    (1, 16, 144, 1024),
    (1, 40, 300, 512),
    (1, 520, 40, 300),
    (3, 16, 72, 1024),
    (3, 20, 700, 96),
    (2, 520, 530, 32),
    (1, 3, 5, 0),
]


@pytest.fixture(params=["one thread", "two threads"])
def threads(request, monkeypatch):
    monkeypatch.setattr(products.threads.backend, "_threads", 1 + (request.param[:3] == "two"))
    monkeypatch.setattr(products, "PART", 1000)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cut_product_is_the_product(threads, shape: tuple[int, ...], dtype: str) -> None:
    stack, m, k, n = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((m, k)).astype(dtype)
    b = rng.standard_normal((stack, k, n)).astype(dtype)
    wide = np.full((m, stack, n + 7), np.nan, dtype)  # out is part of a larger array
    out = wide[:, :, 3 : 3 + n].transpose(1, 0, 2)
    products.product(np, a, b, out)
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    np.testing.assert_allclose(out, a @ b, tolerance, tolerance)
    assert np.isnan(wide[:, :, :3]).all() and np.isnan(wide[:, :, 3 + n :]).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cut_transposed_product_is_the_product(
    threads, shape: tuple[int, ...], dtype: str
) -> None:
    stack, m, k, n = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((m, stack, n + 5)).astype(dtype)[:, :, 2 : 2 + n].transpose(1, 0, 2)
    b = rng.standard_normal((stack, k, n)).astype(dtype)
    found = products.transposed_product(np, a, b)
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    expected = sum(b[i] @ a[i].T for i in range(stack))
    np.testing.assert_allclose(found, expected, tolerance, tolerance)
    assert found.shape == (k, m) and found.dtype == dtype


def test_overlapping_columns_multiply_like_any_others() -> None:
    """The stacks that `SharedRows` makes: each matrix begins inside the one before."""
    memory = np.random.default_rng(0).standard_normal(6 * 40 * 128)
    strides = (40 * 128 * 8, 128 * 8, 8)
    b = np.ndarray((4, 3 * 40, 128), float, memory, strides=strides)
    a = np.random.default_rng(1).standard_normal((8, 120))
    out = np.empty((4, 8, 128))
    products.product(np, a, b, out)
    np.testing.assert_allclose(out, a @ b.copy(), 1e-11, 1e-11)
    rows = np.random.default_rng(2).standard_normal((4, 8, 128))
    expected = sum(b[i].copy() @ rows[i].T for i in range(4))
    np.testing.assert_allclose(products.transposed_product(np, rows, b), expected, 1e-11, 1e-11)


def test_the_longest_piece_that_is_small() -> None:
    """m·k·piece ≤ 10⁶, a divisor of n and a multiple of 16, not shorter than asked."""
    assert products._piece(576, 1792, 64) == 896
    assert products._piece(2304, 896, 64) == 224
    assert products._piece(9216, 512, 64) == 64
    assert products._piece(9216, 512, 128) is None
    assert products._piece(10, 600, 64) is None  # 600 is no multiple of 16
    assert products._piece(10, 608, 64) == 608
    assert products._piece(10, 0, 64) is None


def test_parts_grow_with_the_work_alone() -> None:
    unit = products.PART
    assert [products.parts_of(unit * w) for w in (0, 1, 2, 15, 16, 63, 64, 1000)] == [
        1, 1, 2, 2, 4, 4, 8, 8,
    ]  # fmt: skip
