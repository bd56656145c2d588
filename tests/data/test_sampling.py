from __future__ import annotations

import hashlib

import numpy as np
import pytest

from backpass.data import Preprocess, batches, gather, order, preprocess
from backpass.errors import ArgumentError, DTypeError, ShapeError


def philox4x64(counter, key):
    """Philox4x64-10 written out from the paper (Salmon et al. 2011): an implementation that NumPy has no part in."""
    x = [counter, 0, 0, 0]
    k = list(key)
    mask = 2**64 - 1
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(b >> 64) ^ x[1] ^ k[0], b & mask, (a >> 64) ^ x[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return x


@pytest.mark.parametrize(("n", "seed", "epoch"), [(1, 0, 0), (10, 3, 7), (1001, 2**64 - 1, 5)])
def test_order_against_the_paper(n, seed, epoch):
    # NumPy's counter is at 1 for the first block
    words = [w for block in range(1, n // 4 + 2) for w in philox4x64(block, (seed, epoch))][:n]
    assert order(n, seed=seed, epoch=epoch).tolist() == sorted(range(n), key=words.__getitem__)


def test_order_is_the_same_for_ever():
    sha = hashlib.sha256(order(50_000, seed=231, epoch=12).astype("<i8").tobytes()).hexdigest()
    assert sha == "1e2516acf8f9ae2c8f01cbbc636840843338b91d0cd026597877724b286d1259"


def test_order_is_a_permutation_and_depends_on_both_numbers():
    orders = [order(500, seed=s, epoch=e) for s in range(3) for e in range(3)]
    for each in orders:
        assert each.dtype == np.int64
        assert sorted(each) == list(range(500))
    assert len({each.tobytes() for each in orders}) == 9


def test_order_is_uniform():
    # Where does sample 0 go in orders of 6?  Chi-square with 5 degrees of freedom, 99.9 % point 20.5
    places = [int(np.flatnonzero(order(6, seed=0, epoch=e) == 0)[0]) for e in range(3000)]
    chi2 = ((np.bincount(places, minlength=6) - 500) ** 2 / 500).sum()
    assert chi2 < 20.5


def test_batches_cover_each_sample_once():
    for n, size in ((10, 4), (12, 4), (3, 8), (1, 1)):
        pieces = batches(n, size)
        assert [i for piece in pieces for i in range(n)[piece]] == list(range(n))
        assert all(p.stop - p.start == size for p in pieces[:-1])
        assert all(p.stop <= n for p in pieces)


@pytest.mark.parametrize("kind", preprocess.KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gather(kind, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (50, 3, 2, 2), dtype=np.uint8)
    x.flags.writeable = False
    fitted = Preprocess.fit(kind, x)
    indices = order(50, seed=0, epoch=0)[:7]
    out = np.full((10, *fitted.output_shape((3, 2, 2))), 77, dtype)
    gather(out, x, indices, fitted)
    np.testing.assert_array_equal(out[:7], fitted.apply(x[indices], out=np.empty_like(out[:7])))
    assert (out[7:] == 77).all()
    gather(out, x, indices[:0], fitted)


def test_bad_input():
    x = np.zeros((5, 2), np.uint8)
    fitted = Preprocess.fit("none", x)
    out = np.full((3, 2), 7, np.float32)
    for indices, error in (
        (np.array([0, 5]), ArgumentError),
        (np.array([-1]), ArgumentError),
        (np.arange(4), ShapeError),
        (np.array([[0]]), DTypeError),
        (np.array([0.0]), DTypeError),
        (np.array([True, False]), DTypeError),
    ):
        with pytest.raises(error):
            gather(out, x, indices, fitted)
    with pytest.raises(ShapeError):
        gather(np.zeros((3, 3), np.float32), x, np.array([0]), fitted)
    assert (out == 7).all()
    for bad in ({"seed": -1}, {"epoch": -1}, {"seed": 2**64}, {"epoch": 1.5}, {"seed": True}):
        with pytest.raises(ArgumentError):
            order(5, **{"seed": 0, "epoch": 0, **bad})
    for n, size in ((0, 1), (5, 0), (5, 2.0), (-1, 1)):
        with pytest.raises(ArgumentError):
            batches(n, size)
    with pytest.raises(ArgumentError):
        order(0, seed=0, epoch=0)
