from __future__ import annotations

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.layers.dropout import drop_threshold, dropout_forward

needs_kernels = pytest.mark.skipif(not native.available, reason="built without kernels")


def kernel_mask(random, count, drop_prob, dtype="float32"):
    x, out, kept = np.ones(count, dtype), np.empty(count, dtype), np.empty(count, np.uint8)
    random = np.array(random, np.uint64)
    native.dropout_forward(out, kept, x, random, drop_threshold(drop_prob), 1 / (1 - drop_prob))()
    assert ((out != 0) == kept).all()
    return kept.astype(bool)


def reference_mask(random, count, drop_prob, dtype="float32"):
    return dropout_forward(np.ones(count, dtype), np.array(random, np.uint64), drop_prob=drop_prob)[1].kept


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 3, 4, 63, 64, 65, 1000, 4096, 4097, 20_001])
@pytest.mark.parametrize("random", [(0, 0, 0), (2**63 - 1, 1000, 2**40 + 5), (2**33, 1, 2**32 - 1)])
def test_kernel_and_reference_draw_the_same(random, count, dtype):
    for drop_prob in (0.3, 1e-9, 1 - 1e-12):
        assert (kernel_mask(random, count, drop_prob, dtype) == reference_mask(random, count, drop_prob)).all()


@needs_kernels
def test_mask_does_not_depend_on_threads():
    before = bp.threads()
    try:
        masks = []
        for count in (1, 2, 3):
            bp.set_threads(count)
            masks.append(kernel_mask((5, 1, 9), 100_003, 0.5))
    finally:
        bp.set_threads(before)
    assert (masks[0] == masks[1]).all()
    assert (masks[0] == masks[2]).all()


@pytest.mark.parametrize("drop_prob", [0.01, 0.25, 0.5, 0.9])
def test_share_and_mean(drop_prob):
    count = 200_000
    out, cache = dropout_forward(np.ones(count), np.array([1, 2, 3], np.uint64), drop_prob=drop_prob)
    deviation = np.sqrt(drop_prob * (1 - drop_prob) / count)
    assert abs(np.mean(~cache.kept) - drop_prob) < 5 * deviation
    assert abs(out.mean() - 1) < 5 * deviation / (1 - drop_prob)


def test_masks_of_seeds_layers_and_steps_are_unrelated():
    count = 50_000
    base = reference_mask((1, 1, 1), count, 0.5)
    for other in [(2, 1, 1), (1, 2, 1), (1, 1, 2), (1, 0, 2)]:
        agreement = (reference_mask(other, count, 0.5) == base).mean()
        assert abs(agreement - 0.5) < 5 * 0.5 / np.sqrt(count)


def test_threshold_is_exact():
    assert drop_threshold(0.0) == 0
    assert drop_threshold(0.5) == 2**31
    assert drop_threshold(np.nextafter(1.0, 0.0)) == 2**32 - 1  # still fits 32 bits


def net(drop_prob, **options):
    layers = [bp.Affine(40), bp.Dropout(drop_prob), bp.Affine(3)]
    return bp.Model(layers, input_shape=(7,), seed=3, **options)


@pytest.mark.parametrize("kernels", [True, False])
def test_steps_differ_and_come_back(kernels):
    model = net(0.5, kernels=kernels)
    x = np.random.default_rng(0).normal(size=(4, 7))
    first = model.forward(x)
    assert (model.forward(x) == first).all()  # the same step draws the same
    model.update()
    assert (model.forward(x) != first).any()
    model.step = 0
    assert (model.forward(x) == first).all()


@pytest.mark.parametrize("kernels", [True, False])
def test_prediction_drops_nothing(kernels):
    x = np.random.default_rng(0).normal(size=(4, 7))
    assert (net(0.5, kernels=kernels).infer(x) == net(0.0, kernels=kernels).infer(x)).all()
    assert (net(0.0, kernels=kernels).forward(x) == net(0.0, kernels=kernels).infer(x)).all()


def test_dropped_units_get_no_gradient():
    plan = net(0.5).inspection_plan(6)
    rng = np.random.default_rng(1)
    plan.x[...] = rng.normal(size=plan.x.shape)
    plan.dscores[...] = rng.normal(size=plan.dscores.shape)
    for call in [*plan.forward, *plan.backward]:
        call()
    dropped = plan.caches[1].kept == 0
    assert 0 < dropped.sum() < dropped.size
    assert (plan.douts[0][dropped] == 0).all()
    assert np.allclose(plan.douts[0][~dropped], 2 * plan.douts[1][~dropped])


@pytest.mark.parametrize("bad", [1, 1.0, -0.1, 2, float("nan"), "0.5", None, True])
def test_bad_drop_prob(bad):
    with pytest.raises(bp.errors.ArgumentError, match=r"Dropout: drop_prob: expected .* \[0, 1\)"):
        bp.Dropout(bad)
