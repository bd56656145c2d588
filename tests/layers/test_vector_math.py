"""The functions that kernels and references are made of, in units of the last place, against Python's math."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backpass import native
from backpass.special import erf, normal_cdf

needs_kernels = pytest.mark.skipif(not native.available, reason="built without kernels")

RNG = np.random.default_rng(0)
NEAR_ZERO = RNG.normal(size=300) * np.logspace(-8, 0, 300)


def normal_cdf_exact(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


FUNCTIONS = {
    "vector_exp_of_negative": (math.exp, np.concatenate([RNG.uniform(-87, 0, 3000), -np.abs(NEAR_ZERO)]), 1.5),
    "vector_log": (math.log, np.concatenate([np.exp(RNG.uniform(-87, 88, 3000)), 1 + NEAR_ZERO.clip(-0.5)]), 1.5),
    "vector_tanh": (math.tanh, np.concatenate([RNG.uniform(-20, 20, 3000), NEAR_ZERO]), 4),
    "vector_normal_cdf": (normal_cdf_exact, np.concatenate([RNG.uniform(-12.5, 8, 3000), NEAR_ZERO]), 6),
}


def call(name, x):
    out = np.empty_like(x)
    getattr(native, name)(out, x)()
    return out


@needs_kernels
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_right_to_a_few_units(name):
    exact, x, units = FUNCTIONS[name]
    x = x.astype(np.float32)
    truth = np.array([exact(float(v)) for v in x])
    error = np.abs(call(name, x) - truth) / np.spacing(np.abs(truth).astype(np.float32))
    assert error.max() < units


@needs_kernels
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_right_to_a_few_units(name):
    exact, x, units = FUNCTIONS[name]
    if name == "vector_normal_cdf":
        x = x[x > -1]  # math.erfc of a rounded x / √2 is not exact further out; test_special has the tail
    truth = np.array([exact(float(v)) for v in x])
    error = np.abs(call(name, x) - truth) / np.spacing(np.abs(truth))
    assert error.max() < units + 1  # Python's own functions may be one off


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([0, -0.0, inf, -inf, nan, 1e30, -1e30], dtype)
    expected = {
        "vector_exp_of_negative": [1, 1, 0, nan, 0],
        "vector_log": [-inf, -inf, inf, nan, nan, np.log(dtype_of(dtype)(1e30)), nan],
        "vector_tanh": [0, -0.0, 1, -1, nan, 1, -1],
        "vector_normal_cdf": [0.5, 0.5, 1, 0, nan, 1, 0],
        "vector_normal_density": [1 / np.sqrt(2 * np.pi)] * 2 + [0, 0, nan, 0, 0],
    }
    for name, values in expected.items():
        found = call(name, x[[0, 1, 3, 4, 6]] if name == "vector_exp_of_negative" else x)
        np.testing.assert_allclose(found, values, rtol=2 * np.finfo(dtype).eps, err_msg=name)
        assert (np.signbit(found[:2]) == np.signbit(values[:2])).all(), name


def dtype_of(name):
    return np.dtype(name).type


@needs_kernels
def test_position_in_the_array_does_not_matter():
    x = RNG.normal(size=83).astype(np.float32)
    for name in FUNCTIONS:
        sign = -1 if name == "vector_exp_of_negative" else 1
        whole = call(name, sign * np.abs(x))
        for count in (1, 7, 17, 33):  # the last, partly filled vector computes the same
            assert (call(name, sign * np.abs(x[:count])) == whole[:count]).all(), name


def test_erf_of_the_reference():
    x = np.concatenate([RNG.uniform(-6.5, 6.5, 3000), NEAR_ZERO, [-0.5, 0.5, 0.0, 30.0, -1e300, np.inf]])
    truth = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), truth, rtol=1e-15, atol=0)
    assert np.isnan(erf(np.nan))


def test_normal_distribution_of_the_reference():
    x = np.concatenate([RNG.uniform(-37, 9, 3000), NEAR_ZERO])
    truth = np.array([normal_cdf_exact(v) for v in x])
    np.testing.assert_allclose(normal_cdf(x), truth, rtol=1e-12, atol=0)  # the truth's own x / √2 is rounded
    near = np.abs(x) < 2
    np.testing.assert_allclose(normal_cdf(x[near]), truth[near], rtol=2e-15)
    assert (normal_cdf([-np.inf, np.inf, -1e30]) == [0, 1, 0]).all()
