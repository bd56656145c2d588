"""L2 regularisation and clipping: reference and kernel, exact sums, thread counts, what is not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError
from backpass.optim.base import BAD, FACTOR
from backpass.optim.gradients import add_l2, clip_norm

KINDS = [pytest.param(True, id="kernel", marks=pytest.mark.skipif(not native.available, reason="no kernels")), False]
SIZES = [0, 1, 15, 17, 1000, 100_003]


def fresh_control():
    return np.array([0.1, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_l2(n, dtype, kernels):
    rng = np.random.default_rng(n)
    w, before = (rng.standard_normal(n + 3).astype(dtype)[1 : 1 + n] for _ in range(2))
    kept, dw, loss = w.copy(), before.copy(), np.array([1.5])
    add_l2(loss, dw, w, 0.3, kernels=kernels)()
    exact = 1.5 + 0.15 * math.fsum(float(x) ** 2 for x in w)
    assert loss[0] == pytest.approx(exact, rel=1e-14)  # float64 sums, also of float32 weights
    np.testing.assert_allclose(dw, before + 0.3 * w.astype(np.float64), rtol=0, atol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(w, kept)


def test_l2_gives_the_gradient_of_its_loss():
    rng = np.random.default_rng(0)
    w, direction, h = rng.standard_normal(50), rng.standard_normal(50), 1e-6
    losses = []
    for sign in (-1, 1):
        loss = np.zeros(1)
        add_l2(loss, np.zeros(50), w + sign * h * direction, 0.7)()
        losses.append(loss[0])
    dw = np.zeros(50)
    add_l2(np.zeros(1), dw, w, 0.7)()
    assert (losses[1] - losses[0]) / (2 * h) == pytest.approx(dw @ direction, rel=1e-8)


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 15, 17, 1000, 100_003])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_clipping(n, dtype, scale, kernels):
    grads = (scale * np.random.default_rng(n).standard_normal(n)).astype(dtype)
    exact = math.sqrt(math.fsum(float(x) ** 2 for x in grads))
    for limit, factor in ((0.25 * exact, 0.25), (exact * 1.01, 1.0), (math.inf, 1.0)):
        control, norm = fresh_control(), np.zeros(1)
        clip_norm(control, norm, grads, limit, kernels=kernels)()
        assert norm[0] == pytest.approx(exact, rel=1e-14)
        assert control[FACTOR] == pytest.approx(factor, rel=1e-14)
        assert control[BAD] == 0


@pytest.mark.parametrize("kernels", KINDS)
def test_nothing_is_clipped_by_an_empty_or_zero_gradient(kernels):
    for n in (0, 5):
        control, norm = fresh_control(), np.ones(1)
        clip_norm(control, norm, np.zeros(n), 1.0, kernels=kernels)()
        np.testing.assert_array_equal(control, fresh_control())
        assert norm[0] == 0


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_reported_and_left_alone(value, kernels):
    grads = np.ones(50_000, np.float32)
    grads[-1] = value
    control, norm = fresh_control(), np.zeros(1)
    clip_norm(control, norm, grads, 1.0, kernels=kernels)()
    assert not np.isfinite(norm[0])
    assert control[FACTOR] == 1
    assert control[BAD] == 1


def test_clipped_sgd_is_pytorchs():
    """PyTorch divides by norm + 1e-6; the norm here is large enough to tell nothing else apart."""
    rng = np.random.default_rng(0)
    w, dw = rng.standard_normal(500), 1e6 * rng.standard_normal(500)
    peer = torch.tensor(w.copy(), requires_grad=True)
    peer.grad = torch.tensor(dw.copy())
    torch.nn.utils.clip_grad_norm_([peer], 2.0)
    torch.optim.SGD([peer], lr=0.1).step()
    control = fresh_control()
    clip_norm(control, np.zeros(1), dw, 2.0)()
    bp.SGD(lr=0.1).reference_step(w, dw, {}, control, bp.SGD().options("weight"))
    np.testing.assert_allclose(w, peer.detach().numpy(), rtol=1e-12)


@pytest.mark.skipif(not native.available, reason="no kernels")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_change_a_bit(dtype):
    rng = np.random.default_rng(0)
    w = rng.standard_normal(100_003).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        bp.set_threads(threads)
        loss, norm, control, dw = np.zeros(1), np.zeros(1), fresh_control(), w[::-1].copy()
        add_l2(loss, dw, w, 0.1)()
        clip_norm(control, norm, dw, 1.0)()
        results.append((loss[0], norm[0], control[FACTOR], dw.tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("reg", [-1.0, float("nan"), float("inf"), "1", None])
def test_bad_reg(reg):
    with pytest.raises(ArgumentError, match="add_l2: reg: expected"):
        add_l2(np.zeros(1), np.zeros(3), np.zeros(3), reg)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), "1", None])
def test_bad_limit(limit):
    with pytest.raises(ArgumentError, match="clip_norm: limit: expected a number > 0, or infinity"):
        clip_norm(fresh_control(), np.zeros(1), np.zeros(3), limit)
