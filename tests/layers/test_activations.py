"""What is special to single activations: saturation, dead units, signs, arguments."""

from __future__ import annotations

import numpy as np
import pytest

import backpass as bp
from backpass.layers.base import Cache

ACTIVATIONS = [bp.ReLU(), bp.LeakyReLU(), bp.ELU(), bp.GELU(), bp.Sigmoid(), bp.Tanh(), bp.Swish()]
NAMES = [type(layer).__name__ for layer in ACTIVATIONS]
PATHS = ["reference", pytest.param("kernel", marks=pytest.mark.skipif(not bp.native.available, reason="no kernels"))]


def run(layer, x, path):
    """Return out and the derivative."""
    out, dx, ones = np.empty_like(x), np.empty_like(x), np.ones_like(x)
    none = Cache()
    if path == "kernel":
        saved = Cache(**{name: np.empty(shape, x.dtype) for name, shape in layer.declare(x.shape).cache.items()})
        layer.forward_kernel(out, x, none, none, saved)()
        layer.backward_kernel(dx, ones, x, out, none, none, saved)()
    else:
        cache = Cache()
        layer.reference_forward(out, x, none, none, cache)
        layer.reference_backward(dx, ones, none, none, cache)
    return out, dx


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=NAMES)
def test_far_out_everything_is_a_straight_line(layer, dtype, path):
    for size in (100.0, 1e4, 1e30):
        out, dx = run(layer, np.array([[-size, size]], dtype), path)
        left, right = {
            "LeakyReLU": (-0.01 * size, size),
            "ELU": (-1, size),
            "Sigmoid": (0, 1),
            "Tanh": (-1, 1),
        }.get(type(layer).__name__, (0, size))
        np.testing.assert_allclose(out, [[left, right]], rtol=1e-6, atol=1e-30)
        slopes = {"LeakyReLU": (0.01, 1), "Sigmoid": (0, 0), "Tanh": (0, 0)}.get(type(layer).__name__, (0, 1))
        np.testing.assert_allclose(dx, [slopes], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=NAMES)
def test_value_and_slope_at_zero(layer, path):
    out, dx = run(layer, np.zeros((1, 1)), path)
    value, slope = {
        "ReLU": (0, 0),
        "LeakyReLU": (0, 0.01),
        "ELU": (0, 1),
        "GELU": (0, 0.5),
        "Sigmoid": (0.5, 0.25),
        "Tanh": (0, 1),
        "Swish": (0, 0.5),
    }[type(layer).__name__]
    assert out == value
    assert dx == pytest.approx(slope, rel=1e-15)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("layer", [bp.ELU(), bp.Tanh()], ids=["ELU", "Tanh"])
def test_tiny_values_keep_their_digits(layer, path):
    x = -np.logspace(-35, -4, 50, dtype=np.float32)[:, None]
    np.testing.assert_allclose(run(layer, x, path)[0], x, rtol=6e-5)  # exp(x) - 1 would give 0 for most


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=NAMES)
def test_who_can_die(layer):
    """A unit far below zero gets no gradient from relu; leaky relu always leaves some."""
    _, dx = run(layer, np.full((4, 1), -3.0), "reference")
    assert (dx == 0).all() == isinstance(layer, bp.ReLU)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=NAMES)
def test_slope_is_that_of_the_curve(layer, path):
    x = np.linspace(-8, 8, 641)[:, None] + 1e-3  # not at the kinks
    _, dx = run(layer, x, path)
    h = 1e-6
    numeric = (run(layer, x + h, path)[0] - run(layer, x - h, path)[0]) / (2 * h)
    np.testing.assert_allclose(dx, numeric, atol=2e-9)


@pytest.mark.parametrize(
    ("make", "bad"),
    [(bp.LeakyReLU, b) for b in (-0.1, float("nan"), float("inf"), "1", None, True)]
    + [(bp.ELU, b) for b in (0, -1.0, float("nan"), float("inf"), "1", None)]
    + [(bp.LayerNorm, b) for b in (0, -1e-5, float("nan"), "1", None)],
)
def test_bad_arguments(make, bad):
    with pytest.raises(bp.errors.ArgumentError, match=rf"{make.__name__}: \w+: expected a finite number"):
        make(bad)
