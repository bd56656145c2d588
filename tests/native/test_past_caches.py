"""Arrays beyond the caches are stored past them: they hold what smaller ones do, to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.arena import aligned_bytes

pytestmark = pytest.mark.skipif(not native.available, reason="no kernels")

ROWS, WIDTH = 7000, 1024  # 29 MB of float32; halves are within what a cache may hold


def aligned(*shape: int, offset: int = 0) -> np.ndarray:
    """Return an array of NaN that begins `offset` values behind a cache line."""
    found = aligned_bytes(4 * (int(np.prod(shape)) + offset)).view(np.float32)[offset:].reshape(shape)
    found[...] = np.nan
    return found


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def leaky_relu(out, x) -> Callable[[], None]:
    return native.leaky_relu_forward(out, x, 0.01)


def layernorm(out, x) -> Callable[[], None]:
    width = x.shape[1]
    return native.layernorm_forward(out, None, None, x, numbers(width), numbers(width), 1e-5, 0)


def layernorm_backward(out, x) -> Callable[[], None]:
    width = x.shape[1]
    sums, gamma = np.zeros((2, width), np.float32), numbers(width)
    mean, rstd = x.mean(axis=1), 1 / x.std(axis=1)
    return native.layernorm_backward(out, sums[0], sums[1], np.cos(x), x, gamma, mean, rstd, None)


def gather(out, x) -> Callable[[], None]:
    width = x.shape[1]
    samples = np.random.default_rng(0).integers(0, 256, (256, width), np.uint8)
    indices = (np.abs(x[:, 0]) * 50).astype(np.int64)
    return native.gather_bytes(out, samples, indices, numbers(width), numbers(width))


@pytest.mark.parametrize("width", [WIDTH, WIDTH + 3])
@pytest.mark.parametrize("offset", [0, 4])
@pytest.mark.parametrize("kernel", [leaky_relu, layernorm, layernorm_backward, gather])
def test_large_arrays_hold_what_their_halves_do(kernel, offset, width) -> None:
    x, large = numbers(ROWS, width), aligned(ROWS, width, offset=offset)
    found = []
    for threads in (1, 2, 3):
        bp.set_threads(threads)
        large[...] = np.nan
        kernel(large, x)()
        found.append(large.tobytes())
    assert found[0] == found[1] == found[2]
    half = ROWS // 2
    for rows in (slice(0, half), slice(half, ROWS)):
        small = aligned(half, width)
        kernel(small, x[rows])()
        np.testing.assert_array_equal(large[rows], small)


def test_a_large_array_may_be_changed_in_place() -> None:
    x = aligned(ROWS, WIDTH)
    x[...] = numbers(ROWS, WIDTH)
    expected = np.where(x > 0, x, x * np.float32(0.01))
    leaky_relu(x, x)()
    np.testing.assert_array_equal(x, expected)
