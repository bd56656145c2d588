"""What is special to batch and layer normalisation: accuracy far from zero, long batches, views of each other."""

from __future__ import annotations

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.layers.base import Cache
from backpass.layers.batchnorm import batchnorm_forward
from backpass.layers.layernorm import layernorm_backward, layernorm_forward

needs_kernels = pytest.mark.skipif(not native.available, reason="built without kernels")


def statistics(x):
    D = x.shape[1]
    layer, out = bp.BatchNorm(), np.empty_like(x)
    p = Cache(gamma=np.ones(D, x.dtype), beta=np.zeros(D, x.dtype))
    c = Cache(mean=np.empty(D, x.dtype), var=np.empty(D, x.dtype), rstd=np.empty(D, x.dtype))
    layer.forward_kernel(out, x, p, Cache(), c)()
    return out, c


@needs_kernels
@pytest.mark.parametrize("shape", [(64, 100), (5000, 3), (20_000, 17), (1000, 1100)])
@pytest.mark.parametrize("centre", [0.0, 100.0, 1e4])
def test_float32_statistics_stay_accurate(shape, centre):
    x = (np.random.default_rng(0).normal(size=shape) + centre).astype(np.float32)
    _, c = statistics(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(c.mean, exact.mean(axis=0), rtol=2e-7, atol=1e-6)
    np.testing.assert_allclose(c.var, exact.var(axis=0), rtol=1e-5)  # Σ x² - (Σ x)²/N would have no digit at 1e4


@needs_kernels
def test_an_outlier_in_the_first_row_does_no_harm():
    x = np.random.default_rng(0).normal(size=(128, 20)).astype(np.float32)
    x[0] = 1e3
    _, c = statistics(x)
    np.testing.assert_allclose(c.var, x.astype(np.float64).var(axis=0), rtol=2e-5)


@needs_kernels
def test_a_constant_feature_has_no_variance():
    x = np.full((777, 5), np.float32(0.1))
    out, c = statistics(x)
    assert (c.var == 0).all()
    assert (out == 0).all()


@needs_kernels
@pytest.mark.parametrize("D", [2, 15, 16, 17, 64, 100, 1000])
def test_layer_norm_of_a_constant_sample_is_beta(D):
    x, out = np.full((3, D), np.float32(0.1)), np.empty((3, D), np.float32)
    beta = np.arange(D, dtype=np.float32)
    p, c = Cache(gamma=np.ones(D, np.float32), beta=beta), Cache(mean=np.empty(3, "f"), rstd=np.empty(3, "f"))
    bp.LayerNorm().forward_kernel(out, x, p, Cache(), c)()
    assert (out == beta).all()


def test_layer_norm_is_batch_norm_of_the_transpose():
    x = np.random.default_rng(0).normal(size=(6, 9))
    ones, zeros = np.ones(9), np.zeros(9)
    out, _ = layernorm_forward(x, ones, zeros, eps=1e-5)
    twin, _ = batchnorm_forward(x.T, np.ones(6), np.zeros(6), eps=1e-5)
    np.testing.assert_allclose(out, twin.T, rtol=1e-13)


def test_layer_norm_takes_mean_and_scale_from_the_gradient():
    rng = np.random.default_rng(0)
    x, gamma = rng.normal(size=(4, 3, 5)), rng.normal(size=(3, 5))
    _, cache = layernorm_forward(x, gamma, np.zeros((3, 5)), eps=1e-12)
    dx, _, _ = layernorm_backward(rng.normal(size=x.shape), cache)
    assert np.abs(dx.sum(axis=(1, 2))).max() < 1e-13  # moving a sample changes nothing
    assert np.abs((dx * x).sum(axis=(1, 2))).max() < 1e-10  # nor does scaling it


@needs_kernels
@pytest.mark.parametrize("norm", [bp.BatchNorm(), bp.LayerNorm()], ids=["batch", "layer"])
@pytest.mark.parametrize("shape", [(9, 7), (70, 40), (200, 300)])
def test_fused_relu_gives_the_same_bits(norm, shape):
    N, D = shape
    rng = np.random.default_rng(0)
    x, dscores = rng.normal(size=shape), rng.normal(size=shape)
    model = bp.Model([norm, bp.ReLU()], input_shape=(D,), seed=0)
    model.params[...] = rng.normal(size=model.params.size)
    scores = model.forward(x)
    dx = model.backward(dscores)
    grads = model.grads.copy()
    plain = model.inspection_plan(N)
    plain.x[...] = x
    plain.dscores[...] = dscores
    model.grads[...] = 0
    for call in [*plain.forward, *plain.backward]:
        call()
    assert (plain.scores == scores).all()
    assert (plain.dx == dx).all()
    assert (model.grads == grads).all()
