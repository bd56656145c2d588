"""Pooling against PyTorch in float64; ties, NaN and infinities of max pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import backpass as bp
from backpass.errors import ArgumentError, ShapeError
from backpass.layers import averagepool, global_averagepool, maxpool
from backpass.layers.windows import as_pair


def settings(layer):
    return {"size": layer.size, "stride": layer.stride, "padding": layer.padding}


def by_torch(layer, x, dout):
    """out and dx as PyTorch computes them; its padding reaches half the window only, so pad by hand."""
    leaf = torch.tensor(x, requires_grad=True)
    size = as_pair(layer.size, layer, "size", 1)
    step = size if layer.stride is None else as_pair(layer.stride, layer, "stride", 1)
    top, left = as_pair(layer.padding, layer, "padding", 0)

    def pad(t, value):
        return torch.nn.functional.pad(t, (left, left, top, top), value=value)

    if isinstance(layer, bp.MaxPool):
        out = torch.nn.functional.max_pool2d(pad(leaf, -torch.inf), size, step)
    else:
        total = torch.nn.functional.avg_pool2d(pad(leaf, 0.0), size, step)
        out = total / torch.nn.functional.avg_pool2d(pad(torch.ones_like(leaf), 0.0), size, step)
    out.backward(torch.tensor(dout))
    return out.detach().numpy(), leaf.grad.numpy()


@pytest.mark.parametrize(("layer", "x_shape"), maxpool.CASES + averagepool.CASES, ids=str)
def test_reference_is_pytorch(layer, x_shape):
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal(x_shape), rng.standard_normal(layer.declare(x_shape).out)
    wanted_out, wanted_dx = by_torch(layer, x, dout)
    out, cache = layer.reference.forward(x, **settings(layer))
    np.testing.assert_allclose(out, wanted_out, rtol=1e-14, atol=1e-14)
    for backward in (layer.reference.backward, layer.reference.staged):
        np.testing.assert_allclose(backward(dout, cache), wanted_dx, rtol=1e-13, atol=1e-14)


def test_global_average_is_pytorch():
    x = np.random.default_rng(0).standard_normal((3, 5, 7, 4))
    leaf = torch.tensor(x, requires_grad=True)
    wanted = torch.nn.functional.adaptive_avg_pool2d(leaf, 1)[:, :, 0, 0]
    dout = np.random.default_rng(1).standard_normal((3, 5))
    wanted.backward(torch.tensor(dout))
    out, cache = global_averagepool.global_averagepool_forward(x)
    np.testing.assert_allclose(out, wanted.detach().numpy(), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(
        global_averagepool.global_averagepool_backward(dout, cache), leaf.grad.numpy(), rtol=1e-14
    )


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: bp.MaxPool(0), "MaxPool: size"),
        (lambda: bp.MaxPool(2, stride=0), "MaxPool: stride"),
        (lambda: bp.MaxPool(2, padding=2), "MaxPool: padding"),
        (lambda: bp.AveragePool((2, 3), padding=(1, 3)), "AveragePool: padding"),
        (lambda: bp.AveragePool("2"), "AveragePool: size"),
    ],
)
def test_bad_arguments_are_named(make, word):
    with pytest.raises(ArgumentError, match=word):
        make()


def test_bad_shapes_are_told():
    with pytest.raises(ShapeError, match=r"at least as large as the window \(3, 3\), got \(2, 5\)"):
        bp.MaxPool(3).declare((1, 1, 2, 5))
    with pytest.raises(ShapeError, match=r"expected x of shape \(N, C, H, W\)"):
        bp.GlobalAveragePool().declare((1, 3))
