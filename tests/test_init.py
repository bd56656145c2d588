"""Initialisers: variances and bounds, orthogonality, what they are for, and clear errors."""

from __future__ import annotations

import doctest
import math
import pickle

import numpy as np
import pytest

from backpass import init
from backpass.errors import ArgumentError
from backpass.init import Constant, Dirac, Glorot, He, Normal, Orthogonal, by_name, fans

ALL = [Constant(0.5), Normal(0.02), He(), He(0.5), Glorot(), Glorot(2.0, "uniform"), Orthogonal(), Orthogonal(1.4)]


def rng(seed=0):
    return np.random.Generator(np.random.Philox(key=[seed, 1]))


@pytest.mark.parametrize("one", ALL, ids=repr)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (4, 3, 2, 2), (2, 3, 5, 1)])
def test_shape_dtype_and_repetition(one, shape):
    drawn = one(rng(), shape)
    assert drawn.shape == shape
    assert drawn.dtype == np.float64
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, one(rng(), shape))
    if not isinstance(one, Constant):
        assert not np.array_equal(drawn, one(rng(1), shape)) or drawn.size == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one), vars(init)) == one


@pytest.mark.parametrize("shape", [(400, 300), (40, 30, 5, 5)])
@pytest.mark.parametrize(
    ("make", "variance"),
    [
        (Normal(0.03), lambda fan_in, fan_out: 0.03**2),
        (He(), lambda fan_in, fan_out: 2 / fan_in),
        (He(gain=3.0), lambda fan_in, fan_out: 9 * 2 / fan_in),
        (Glorot(), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (Glorot(distribution="uniform"), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (Glorot(gain=0.5, distribution="uniform"), lambda fan_in, fan_out: 0.25 * 2 / (fan_in + fan_out)),
    ],
)
def test_variances(make, variance, shape):
    w = make(rng(), shape)
    wanted = variance(*fans(shape))
    # The estimate from n numbers is within sqrt(2/n) of the truth in two of three draws; 4 of those are allowed.
    assert np.var(w) == pytest.approx(wanted, rel=4 * math.sqrt(2 / w.size))
    assert abs(w.mean()) < 4 * math.sqrt(wanted / w.size)


def test_uniform_is_uniform():
    w = Glorot(distribution="uniform")(rng(), (500, 700))
    bound = math.sqrt(6 / 1200)
    assert np.abs(w).max() <= bound
    counts, _ = np.histogram(w, bins=20, range=(-bound, bound))
    assert np.abs(counts / w.size - 1 / 20).max() < 0.001


def test_fans():
    assert fans((3, 7)) == (3, 7)
    assert fans((16, 3, 5, 4)) == (3 * 20, 16 * 20)


@pytest.mark.parametrize("shape", [(50, 50), (80, 30), (30, 80), (1, 9), (40, 3, 2, 2), (8, 3, 5, 5)])
def test_orthogonal(shape):
    w = Orthogonal(gain=1.5)(rng(), shape).reshape(shape[0], -1)
    short = min(w.shape)
    product = w @ w.T if w.shape[0] == short else w.T @ w
    np.testing.assert_allclose(product, 1.5**2 * np.eye(short), atol=1e-12)


def test_orthogonal_favours_no_direction():
    """The diagonal of LAPACK's q alone is mostly negative; that of ours has the mean 0."""
    means = [np.trace(Orthogonal()(rng(seed), (10, 10))) for seed in range(400)]
    assert abs(np.mean(means)) < 0.2  # a trace has variance 1: four standard errors


def test_he_keeps_the_scale_through_relus_and_glorot_through_tanhs():
    x = rng(7).standard_normal((60, 100))
    scale = np.sqrt(np.mean(x**2))
    deep = x
    for layer in range(20):
        deep = np.maximum(deep @ He()(rng(layer), (100, 100)), 0)
    assert 0.3 < np.sqrt(np.mean(deep**2)) / scale < 3
    small = 1e-3 * x
    for layer in range(20):
        small = np.tanh(small @ Glorot()(rng(layer), (100, 100)))
    assert 0.3 < np.sqrt(np.mean(small**2)) / (1e-3 * scale) < 3
    turned = x
    for layer in range(20):
        turned = turned @ Orthogonal()(rng(layer), (100, 100))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(x, axis=1), rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Glorot(gain=0), "Glorot: gain: expected a finite number > 0, got 0"),
        (lambda: Glorot(distribution="flat"), "Glorot: distribution: expected 'normal' or 'uniform', got 'flat'"),
        (lambda: Orthogonal(gain=float("nan")), "Orthogonal: gain"),
        (lambda: He(gain=-1), "He: gain"),
        (lambda: Normal(scale=-1), "Normal: scale"),
        (
            lambda: by_name("xavier"),
            "init: expected one of constant, dirac, glorot, he, normal, orthogonal, got 'xavier'",
        ),
        (lambda: by_name("he", scale=1), "init he: expected options among gain, got 'scale'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_names():
    assert by_name("glorot", distribution="uniform") == Glorot(distribution="uniform")
    assert {*(type(one) for one in ALL), Dirac} == set(init.BY_NAME.values())  # Dirac draws convolutions only


def test_the_examples_run():
    failed, tried = doctest.testmod(init)
    assert failed == 0
    assert tried > 0


def test_dirac_filters_copy_their_channels():
    for F, C in ((6, 4), (4, 6), (5, 5)):
        w = Dirac()(rng(), (F, C, 3, 3))
        x = np.random.default_rng(0).standard_normal((2, C, 5, 4))
        seen = np.einsum("nchw,fc->nfhw", x, w[:, :, 1, 1])
        few = min(F, C)
        np.testing.assert_array_equal(seen[:, :few], x[:, :few])
        assert np.count_nonzero(w[:few]) == few
        assert F <= C or np.var(w[few:]) == pytest.approx(1 / (3 * 9 * C), rel=0.3)
    assert not Dirac(rest=Constant(0.0))(rng(), (3, 2, 1, 1))[2].any()
    with pytest.raises(ArgumentError, match="shape: expected the weights"):
        Dirac()(rng(), (3, 4))
