"""The matrix product against NumPy in float64: edges of every tile, transposed operands, the same bits for any threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from backpass import native

pytestmark = pytest.mark.skipif(not native.available, reason="built without kernels")

# Around the tiles' sizes (6, 12 and 14 rows; 8, 16 and 32 columns), one, and the shapes of small nets.
SIZES = [
    (1, 1, 1),
    (1, 10, 64),
    (5, 17, 3),
    (14, 32, 8),
    (15, 33, 9),
    (13, 31, 1),
    (64, 100, 65),
    (100, 100, 700),
    (257, 10, 130),
    (29, 20, 40),  # a vector of columns and a quarter of one, a half
    (15, 56, 8),
    (9, 18, 12),  # two vectors and a part of a quarter, of SSE; of AVX and AVX-512 the next ones
    (15, 35, 40),
    (31, 36, 1024),  # rows whose places in the cache clash, read in place
    (100, 12, 30),  # few columns, by vectors of rows
    (61, 9, 7),
    (47, 5, 64),
]
# The last four copy panels of B while those before them are computed, and A: rows side by side, rows that clash, and over
# two blocks of k with a last panel of few columns.
LARGE = [
    (100, 100, 3072),
    (300, 257, 300),
    (1030, 96, 100),
    (60, 1024, 40),
    (700, 1024, 200),
    (70, 200, 1024),
    (70, 165, 700),
]
HUGE = (130, 136, 33000)  # more packed operands than are kept at a time, but only if several threads share them


def product(m: int, n: int, k: int, dtype: str, ta: int, tb: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(m * n * k)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    a, b = a.astype(dtype), b.astype(dtype)
    out = np.full((m, n), np.nan, dtype)
    left = np.ascontiguousarray(a.T) if ta else a
    right = np.ascontiguousarray(b.T) if tb else b
    native.matrix_product(out, left, right, ta, tb)()
    return a.astype("f8"), b.astype("f8"), out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n", "k"), SIZES + LARGE)
def test_every_shape_and_transposition(m: int, n: int, k: int, dtype: str) -> None:
    for ta, tb in itertools.product((0, 1), repeat=2):
        a, b, out = product(m, n, k, dtype, ta, tb)
        # A sum of k rounded products is off by at most k eps of the sum of their sizes.
        bound = (k + 2) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b)) + np.finfo(dtype).tiny
        assert (np.abs(out - a @ b) <= bound).all(), (ta, tb)


@pytest.mark.parametrize(("m", "n", "k"), [*LARGE, HUGE])
def test_the_same_bits_for_one_two_and_three_threads(m: int, n: int, k: int) -> None:
    before = native.threads()
    bits = set()
    for threads in (1, 2, 3):
        native.set_threads(threads)
        bits.add(product(m, n, k, "float32", 1, 0)[2].tobytes())
    native.set_threads(before)
    assert len(bits) == 1


def test_small_whole_numbers_are_exact() -> None:
    rng = np.random.default_rng(0)
    for m, n, k in SIZES:
        a, b = (rng.integers(-8, 9, shape).astype("f4") for shape in ((m, k), (k, n)))
        out = np.empty((m, n), "f4")
        native.matrix_product(out, a, b, 0, 0)()
        np.testing.assert_array_equal(out, a @ b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize(("N", "D", "M"), [(64, 100, 10), (64, 47, 5), (3, 70, 12), (30, 20, 300)])
def test_gradients_of_affine_are_added_to_or_overwritten(N: int, D: int, M: int, accumulate: int, dtype: str) -> None:
    rng = np.random.default_rng(N)
    shapes = (N, D), (D, M), M, (N, M), (N, D), (D, M)
    dx, dw, db, dout, x, w = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    expected = dout @ w.T, accumulate * dw + x.T @ dout, db + dout.sum(0)
    native.affine_backward(dx, dw, db, dout, x, w, accumulate)()
    for got, want in zip((dx, dw, db), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(want).max())
