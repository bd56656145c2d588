"""Convolution against PyTorch in float64, against the naive loops, and against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError, ShapeError
from backpass.layers import conv
from backpass.layers.windows import as_pair

IDS = [f"{i}: {layer.filters}x{layer.kernel_size} on {shape}" for i, (layer, shape) in enumerate(conv.CASES)]
needs_kernels = pytest.mark.skipif(not native.available, reason="built without kernels")


def arrays(layer, x_shape, seed=0):
    """x, w, b, dout in float64."""
    rng = np.random.default_rng(seed)
    declared = layer.declare(x_shape)
    x, dout = rng.standard_normal(x_shape), rng.standard_normal(declared.out)
    w = rng.standard_normal(declared.params["w"].shape)
    b = rng.standard_normal(layer.filters) if layer.bias else None
    return x, w, b, dout


def hyper(layer):
    return {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}


def by_torch(layer, x, w, b, dout):
    """out, dx, dw, db as PyTorch computes them; padding by hand, since its own knows no uneven one."""
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, w) + (() if b is None else (b,))]
    dilation = as_pair(layer.dilation, layer, "dilation", 1)
    (top, bottom), (left, right) = conv.zeros_around(layer.padding, layer.kernel, dilation)
    padded = torch.nn.functional.pad(leaves[0], (left, right, top, bottom))
    bias = leaves[2] if b is not None else None
    stride = as_pair(layer.stride, layer, "stride", 1)
    out = torch.nn.functional.conv2d(padded, leaves[1], bias, stride, 0, dilation, layer.groups)
    out.backward(torch.tensor(dout))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


def scaled_error(found, wanted):
    return np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30)


@pytest.mark.parametrize(("layer", "x_shape"), conv.CASES, ids=IDS)
def test_reference_is_pytorch(layer, x_shape):
    x, w, b, dout = arrays(layer, x_shape)
    wanted = by_torch(layer, x, w, b, dout)
    out, cache = conv.conv_forward(x, w, b, **hyper(layer))
    for backward in (conv.conv_backward, conv.conv_backward_staged):
        found = [out, *backward(dout, cache)]
        assert [f.shape for f in found] == [t.shape for t in wanted]
        assert max(scaled_error(f, t) for f, t in zip(found, wanted, strict=True)) < 1e-13


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 1), (3, 1, 1, 2), (2, 2, 2, 4)]
)
def test_naive_loops_are_im2col(stride, padding, dilation, groups):
    rng = np.random.default_rng(1)
    x, w, b = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((8, 4 // groups, 3, 2)), rng.standard_normal(8)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    naive, naive_cache = conv.conv_forward_naive(x, w, b, **settings)
    out, cache = conv.conv_forward(x, w, b, **settings)
    dout = rng.standard_normal(out.shape)
    np.testing.assert_allclose(naive, out, rtol=1e-13, atol=1e-13)
    wanted = conv.conv_backward_naive(dout, naive_cache)
    for found, want in zip(conv.conv_backward(dout, cache), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)


def test_a_convolution_by_hand():
    """An edge filter on a step: the answer can be read off."""
    x = np.array([[0.0, 0.0, 1.0, 1.0]] * 2).reshape(1, 1, 2, 4)
    edge = np.array([[[[-1.0, 1.0]]]])
    out, _ = conv.conv_forward(x, edge, np.array([10.0]), stride=1, padding=0, dilation=1, groups=1)
    np.testing.assert_array_equal(out[0, 0], [[10, 11, 10]] * 2)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"filters": 0, "kernel_size": 3}, "filters"),
        ({"filters": 4, "kernel_size": 0}, "kernel_size"),
        ({"filters": 4, "kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"filters": 4, "kernel_size": 3, "stride": 0}, "stride"),
        ({"filters": 4, "kernel_size": 3, "padding": -1}, "padding"),
        ({"filters": 4, "kernel_size": 3, "padding": "valid"}, "padding"),
        ({"filters": 4, "kernel_size": 3, "dilation": 0.5}, "dilation"),
        ({"filters": 4, "kernel_size": 3, "groups": 3}, "groups"),
        ({"filters": 4, "kernel_size": 3, "bias": 1}, "bias"),
        ({"filters": 4, "kernel_size": 3, "algorithm": "fft"}, "algorithm"),
        ({"filters": 4, "kernel_size": 5, "algorithm": "winograd"}, "algorithm"),
        ({"filters": 4, "kernel_size": 3, "stride": 2, "algorithm": "winograd"}, "algorithm"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    with pytest.raises(ArgumentError, match=f"Conv: {word}"):
        bp.Conv(**arguments)


def test_bad_shapes_are_told():
    with pytest.raises(ShapeError, match=r"expected x of shape \(N, C, H, W\), got \(2, 3\)"):
        bp.Conv(4, 3).declare((2, 3))
    with pytest.raises(ShapeError, match=r"at least as large as the window \(5, 5\), got \(3, 4\)"):
        bp.Conv(4, 3, dilation=2, padding=0).declare((1, 1, 3, 4))
    with pytest.raises(ShapeError, match="groups = 2 divides, got 3"):
        bp.Conv(4, 3, groups=2).declare((1, 3, 8, 8))


def test_lists_become_tuples():
    layer = bp.Conv(4, [3, 5], stride=[1, 2], padding=[0, 1])
    assert layer == bp.Conv(4, (3, 5), stride=(1, 2), padding=(0, 1))
    assert hash(layer) == hash(bp.Conv(4, (3, 5), stride=(1, 2), padding=(0, 1)))
