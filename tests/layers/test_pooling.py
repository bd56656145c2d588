"""Pooling against PyTorch in float64; ties, NaN and infinities of max pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError, ShapeError
from backpass.layers import averagepool, global_averagepool, maxpool
from backpass.layers.windows import as_pair

from .kernels import run, scaled_errors

needs_kernels = pytest.mark.skipif(not native.available, reason="built without kernels")
EVERY_CASE = [
    *maxpool.CASES,
    *averagepool.CASES,
    *global_averagepool.CASES,
    (bp.MaxPool(2), (9, 20, 33, 35)),
    (bp.AveragePool(2), (9, 20, 33, 35)),
    (bp.GlobalAveragePool(), (9, 20, 33, 35)),
]


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


@needs_kernels
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("layer", "x_shape"), EVERY_CASE, ids=str)
def test_kernel_is_reference(layer, x_shape, dtype):
    rng = np.random.default_rng(0)
    given = {"x": rng.standard_normal(x_shape), "dout": rng.standard_normal(layer.declare(x_shape).out)}
    found = run(layer, given, dtype)
    wanted = run(layer, {k: v.astype(dtype) for k, v in given.items()}, "float64", kernels=False)
    assert max(scaled_errors(found, wanted).values()) < {"float64": 1e-14, "float32": 1e-6}[dtype]


@needs_kernels
@pytest.mark.parametrize(
    "layer",
    [bp.MaxPool(2), bp.MaxPool(3, stride=1, padding=1), bp.MaxPool((17, 16), stride=1), bp.MaxPool((19, 18))],
)
@pytest.mark.parametrize("kernels", [True, False])
def test_ties_nan_and_infinity(layer, kernels):
    """The first maximum wins, a NaN wins over all, and the padding loses even against minus infinity."""
    rng = np.random.default_rng(3)
    x = np.sign(np.round(rng.standard_normal((2, 3, 19, 18))))
    x[0, 0, 4, 5] = x[0, 0, 5, 5] = np.nan
    x[1] = -np.inf
    dout = rng.standard_normal(layer.declare(x.shape).out)
    found = run(layer, {"x": x, "dout": dout}, "float64", kernels=kernels)
    (HH, WW), (S, T) = as_pair(layer.size, layer, "size", 1), layer._sizes()[2:4]
    top, left = as_pair(layer.padding, layer, "padding", 0)
    wanted_out, wanted_dx = np.empty(dout.shape), np.zeros(x.shape)
    for at in np.ndindex(dout.shape):
        best, place = None, None
        for i in range(HH):
            for j in range(WW):
                row, col = at[2] * S + i - top, at[3] * T + j - left
                if 0 <= row < 19 and 0 <= col < 18:
                    value = x[at[0], at[1], row, col]
                    if best is None or value > best or (np.isnan(value) and not np.isnan(best)):
                        best, place = value, (at[0], at[1], row, col)
        wanted_out[at] = best
        wanted_dx[place] += dout[at]
    np.testing.assert_array_equal(found["out"], wanted_out)
    np.testing.assert_allclose(found["dx"], wanted_dx, rtol=1e-13, atol=1e-13)


@needs_kernels
@pytest.mark.parametrize("layer", [bp.MaxPool(3, stride=2, padding=1), bp.AveragePool(2), bp.GlobalAveragePool()])
def test_same_bits_for_any_number_of_threads(layer):
    x_shape = (40, 16, 16, 16)
    rng = np.random.default_rng(0)
    given = {"x": rng.standard_normal(x_shape), "dout": rng.standard_normal(layer.declare(x_shape).out)}
    before, results = bp.threads(), []
    try:
        for count in (1, 2, 3):
            bp.set_threads(count)
            results.append(run(layer, given, "float32"))
    finally:
        bp.set_threads(before)
    for other in results[1:]:
        for name, value in results[0].items():
            np.testing.assert_array_equal(value, other[name])


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
