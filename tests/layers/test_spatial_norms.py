"""Spatial batch norm and group norm against PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import backpass as bp
from backpass.errors import ArgumentError, ShapeError
from backpass.layers import groupnorm, spatial_batchnorm

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
