"""Spatial batch norm and group norm against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError, ShapeError
from backpass.layers import groupnorm, spatial_batchnorm

from .kernels import run, scaled_errors

needs_kernels = pytest.mark.skipif(not native.available, reason="built without kernels")
MORE_CASES = [
    (bp.SpatialBatchNorm(), (33, 9, 13, 11)),
    (bp.GroupNorm(3), (9, 12, 13, 11)),
]
CASES = spatial_batchnorm.CASES + groupnorm.CASES


def settings(layer):
    return {"eps": layer.eps} if isinstance(layer, bp.SpatialBatchNorm) else {"eps": layer.eps, "groups": layer.groups}


def by_torch(layer, x, gamma, beta, dout):
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    if isinstance(layer, bp.SpatialBatchNorm):
        out = torch.nn.functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=layer.eps)
    else:
        out = torch.nn.functional.group_norm(leaves[0], layer.groups, *leaves[1:], eps=layer.eps)
    out.backward(torch.tensor(dout))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def arrays(x_shape):
    rng = np.random.default_rng(0)
    x, dout = 2 * rng.standard_normal(x_shape) + 3, rng.standard_normal(x_shape)
    return x, rng.standard_normal(x_shape[1]), rng.standard_normal(x_shape[1]), dout


@pytest.mark.parametrize(("layer", "x_shape"), CASES, ids=str)
def test_reference_is_pytorch(layer, x_shape):
    x, gamma, beta, dout = arrays(x_shape)
    wanted = by_torch(layer, x, gamma, beta, dout)
    out, cache = layer.reference.forward(x, gamma, beta, **settings(layer))
    for backward in (layer.reference.backward, layer.reference.staged):
        for found, want in zip([out, *backward(dout, cache)], wanted, strict=True):
            np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-10)


@needs_kernels
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("layer", "x_shape"), CASES + MORE_CASES, ids=str)
def test_kernel_is_reference(layer, x_shape, dtype):
    x, gamma, beta, dout = arrays(x_shape)
    given = {"x": x, "gamma": gamma, "beta": beta, "dout": dout}
    found = run(layer, given, dtype)
    wanted = run(layer, {k: v.astype(dtype) for k, v in given.items()}, "float64", kernels=False)
    assert max(scaled_errors(found, wanted).values()) < {"float64": 1e-10, "float32": 2e-4}[dtype]
    part = run(layer, given, dtype, input_gradient=False)
    for name, value in part.items():
        np.testing.assert_array_equal(value, found[name])


@needs_kernels
@pytest.mark.parametrize("first", ["like the others", "zero"])
def test_sums_keep_float32_accuracy_far_from_zero(first):
    """A mean of 1000 and a deviation of 1: the variance must not drown, whatever the plane that the sums start from."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 3, 32, 32)) + 1000
    if first == "zero":
        x[0] = x[:, 0] = 0  # the first image, and each image's first channel
    for layer in (bp.SpatialBatchNorm(), bp.GroupNorm(1)):
        given = {"x": x.astype("f4"), "gamma": np.ones(3), "beta": np.zeros(3), "dout": rng.standard_normal(x.shape)}
        found, wanted = run(layer, given, "float32"), run(layer, given, "float64", kernels=False)
        assert scaled_errors(found, wanted)["out"] < 2e-4  # a value near 1000 is known to 3e-5 only
        assert scaled_errors(found, wanted)["cache rstd"] < 1e-5


@needs_kernels
@pytest.mark.parametrize("layer", [bp.SpatialBatchNorm(), bp.GroupNorm(4)])
def test_same_bits_for_any_number_of_threads(layer):
    x, gamma, beta, dout = arrays((40, 16, 16, 16))
    before, results = bp.threads(), []
    try:
        for count in (1, 2, 3):
            bp.set_threads(count)
            results.append(run(layer, {"x": x, "gamma": gamma, "beta": beta, "dout": dout}, "float32"))
    finally:
        bp.set_threads(before)
    for other in results[1:]:
        for name, value in results[0].items():
            np.testing.assert_array_equal(value, other[name])


@needs_kernels
@pytest.mark.parametrize("layer", [bp.SpatialBatchNorm(), bp.GroupNorm(3)])
def test_fused_relu_is_relu_after_norm(layer):
    x, gamma, beta, dout = arrays((5, 9, 7, 6))
    results = []
    for fuse in (True, False):
        model = bp.Model([layer, bp.ReLU()], x.shape[1:], dtype="float64")
        plan = model.plan(len(x)) if fuse else model.inspection_plan(len(x))
        assert (plan.outs[0] is None) == fuse
        model.named_params()["0.gamma"][...] = gamma
        model.named_params()["0.beta"][...] = beta
        plan.x[...] = x
        for call in plan.forward:
            call()
        out = plan.scores.copy()  # the backward may use its memory
        plan.dscores[...] = dout
        for call in plan.backward + plan.update:
            call()
        results.append({"out": out, "dx": plan.dx.copy(), "grads": model.grads.copy()})
        results[-1]["infer"] = model.infer(x)
        reference = bp.Model([layer, bp.ReLU()], x.shape[1:], dtype="float64", kernels=False)
        reference.params[...], reference.state[...] = model.params, model.state
        np.testing.assert_allclose(results[-1]["infer"], reference.infer(x), rtol=1e-12, atol=1e-13)
    assert max(scaled_errors(*results).values()) < 1e-13
    assert (results[0]["out"] == 0).any()


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pixels", [(8, 8), (7, 9), (1, 3)])
@pytest.mark.parametrize("layer", [bp.SpatialBatchNorm(), bp.GroupNorm(5)])
def test_fused_relu_masks_where_its_output_is_zero(layer, pixels, dtype):
    """The backward computes the mask again: on values that are 0 but for their rounding, it has to round alike."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (40, 5, *pixels)) / 3
    model = bp.Model([layer, bp.ReLU()], x.shape[1:], dtype=dtype)
    plan = model.plan(len(x))
    found = []
    for _ in range(2):
        plan.x[...] = x
        for call in plan.forward:
            call()
        passes = plan.scores > 0
        plan.dscores[...] = dout = rng.integers(1, 9, x.shape)
        for call in plan.backward:
            call()
        np.testing.assert_array_equal(model.named_grads()["0.beta"], (dout * passes).sum(axis=(0, 2, 3)))
        found.append(passes)
        mean, rstd = (np.atleast_2d(getattr(plan.caches[0], name))[0] for name in ("mean", "rstd"))
        model.named_params()["0.beta"][...] = (mean - x.dtype.type(1 / 3)) * rstd  # x = 1/3 becomes nearly 0
    assert (found[0] != found[1]).any()


def test_spatial_prediction_is_pytorch():
    x, gamma, beta, _ = arrays((3, 5, 4, 2))
    mean, var = np.linspace(-1, 1, 5), np.linspace(0.5, 2, 5)
    wanted = torch.nn.functional.batch_norm(*(torch.tensor(a) for a in (x, mean, var, gamma, beta)), eps=1e-5)
    found = spatial_batchnorm.spatial_batchnorm_infer(x, gamma, beta, mean, var, eps=1e-5)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-12)


def test_group_norm_of_one_group_is_layer_norm():
    x, gamma, beta, _ = arrays((2, 4, 3, 5))
    wanted = torch.nn.functional.layer_norm(torch.tensor(x), x.shape[1:]).numpy()
    out, _ = groupnorm.groupnorm_forward(x, gamma, beta, groups=1, eps=1e-5)
    np.testing.assert_allclose(out, wanted * gamma[:, None, None] + beta[:, None, None], rtol=1e-10)


def test_bad_input_is_told():
    with pytest.raises(ArgumentError, match="GroupNorm: groups"):
        bp.GroupNorm(0)
    with pytest.raises(ShapeError, match="groups = 3 divides, got 4"):
        bp.GroupNorm(3).declare((1, 4, 2, 2))
    with pytest.raises(ShapeError, match="use BatchNorm"):
        bp.SpatialBatchNorm().declare((4, 3))
    with pytest.raises(ShapeError, match="at least 2 values per channel"):
        bp.SpatialBatchNorm().check_batch((1, 3, 1, 1))
    bp.SpatialBatchNorm().check_batch((1, 3, 1, 2))
