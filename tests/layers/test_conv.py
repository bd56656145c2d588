"""Convolution against PyTorch in float64, against the naive loops, and against finite differences."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError, ShapeError
from backpass.layers import conv
from backpass.layers.windows import as_pair

from .kernels import run, scaled_errors

IDS = [f"{i}: {layer.filters}x{layer.kernel_size} on {shape}" for i, (layer, shape) in enumerate(conv.CASES)]
# Larger than the layer's own cases: several blocks of pixels, chunks of channels and pieces of work.
MORE_CASES = [
    (bp.Conv(40, 3, algorithm="direct"), (3, 19, 13, 17)),
    (bp.Conv(33, 3, algorithm="direct", bias=False), (2, 200, 5, 6)),  # several chunks of rows
    (bp.Conv(20, 5, stride=2, padding=2), (9, 17, 15, 14)),
    (bp.Conv(24, 3, groups=2, algorithm="direct"), (5, 34, 9, 10)),
    (bp.Conv(18, 2, padding=0), (70, 5, 2, 2)),  # one output pixel: blocks of many images
    (bp.Conv(17, 3, stride=2, padding=1), (40, 6, 5, 5)),
    (bp.Conv(64, 1, padding=0), (3, 64, 12, 11)),
    (bp.Conv(30, 1), (9, 70, 32, 32)),  # images whose rows clash in the cache
    (bp.Conv(70, 1, groups=2), (5, 60, 8, 9)),
    (bp.Conv(36, 3, groups=18), (4, 18, 20, 21)),
    (bp.Conv(20, 5, groups=20, stride=3, padding=2), (3, 20, 16, 31)),
    *(
        (bp.Conv(3, 3, groups=3, stride=2, padding=zeros), (9, 3, *size))  # rows and columns in pairs
        for zeros in (0, 1, 2, (1, 2), (2, 0), 3)
        for size in ((7, 34), (10, 33), (5, 8), (4, 66))
    ),
    (bp.Conv(40, 3, algorithm="winograd"), (3, 19, 13, 17)),
    (bp.Conv(70, 3, algorithm="winograd"), (20, 33, 4, 5)),
    (bp.Conv(16, 3, algorithm="winograd", padding=0), (2, 16, 70, 41)),
    (bp.Conv(130, 3, algorithm="winograd"), (2, 140, 8, 8)),
    (bp.Conv(160, 3, algorithm="winograd"), (3, 170, 30, 33)),  # threads share planes; blocks of parts of images
    (bp.Conv(170, 5, algorithm="winograd"), (3, 165, 9, 5)),
    (bp.Conv(20, 3, algorithm="winograd"), (40, 18, 7, 11)),  # tiles of 4 and of 3 outputs, blocks of many images
    (bp.Conv(20, 3, algorithm="winograd"), (3, 18, 63, 31)),  # blocks of parts of images
    (bp.Conv(20, 4, algorithm="winograd"), (40, 18, 8, 11)),  # tiles of 3 and of 2 outputs
    (bp.Conv(40, 3, algorithm="winograd"), (1, 40, 15, 7)),  # one block: threads share the filters
    (bp.Conv(40, 7, algorithm="winograd"), (1, 20, 9, 9)),
    (bp.Conv(40, 5, algorithm="winograd"), (3, 19, 13, 17)),
    (bp.Conv(70, 5, algorithm="winograd", padding=(0, 3)), (20, 33, 5, 3)),
    (bp.Conv(16, 5, algorithm="winograd", padding=0), (2, 16, 70, 41)),
    (bp.Conv(40, 4, algorithm="winograd"), (3, 19, 13, 17)),
    (bp.Conv(33, 6, algorithm="winograd"), (3, 19, 13, 17)),
    (bp.Conv(40, 7, algorithm="winograd"), (3, 19, 13, 17)),
    (bp.Conv(70, 7, algorithm="winograd", padding=(0, 3)), (20, 33, 7, 3)),  # blocks of many images
    (bp.Conv(16, 7, algorithm="winograd", padding=0), (2, 16, 90, 51)),  # blocks of parts of images
    (bp.Conv(40, 7, algorithm="winograd"), (3, 3, 19, 13)),  # three channels
    (bp.Conv(70, 6, algorithm="winograd", padding=(0, 3)), (20, 3, 16, 33)),  # more filters than a panel has
    (bp.Conv(16, 7, algorithm="winograd", padding=0), (1, 3, 90, 131)),  # blocks of parts of an image
    (bp.Conv(40, 3, stride=2, algorithm="winograd"), (3, 19, 26, 33)),
    (bp.Conv(70, 3, stride=2, algorithm="winograd", padding=0), (20, 33, 10, 12)),
    (bp.Conv(16, 3, stride=2, algorithm="winograd", padding=(0, 2)), (2, 16, 71, 150)),
    (bp.Conv(130, 3, stride=2, algorithm="winograd"), (2, 140, 16, 15)),
]
THREADED_CASES = [*MORE_CASES, (bp.Conv(32, 3), (16, 16, 16, 16))]
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
        ({"filters": 4, "kernel_size": 8, "algorithm": "winograd"}, "algorithm"),
        ({"filters": 4, "kernel_size": 5, "stride": 2, "algorithm": "winograd"}, "algorithm"),
        ({"filters": 4, "kernel_size": 3, "stride": (2, 1), "algorithm": "winograd"}, "algorithm"),
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


@needs_kernels
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("layer", "x_shape"), conv.CASES + MORE_CASES, ids=str)
def test_kernel_is_pytorch(layer, x_shape, dtype):
    x, w, b, dout = arrays(layer, x_shape)
    wanted = dict(zip(("out", "dx", "dw", "db"), by_torch(layer, x, w, b, dout), strict=False))
    found = run(layer, {"x": x, "w": w, "b": b, "dout": dout}, dtype)
    winograd = "winograd" in layer.describe_kernel(x_shape)
    limit = {"float64": 1e-12 if winograd else 1e-13, "float32": 2e-5 if winograd else 3e-6}[dtype]
    assert max(scaled_errors(found, wanted).values()) < limit


@needs_kernels
@pytest.mark.parametrize(("layer", "x_shape"), conv.CASES + MORE_CASES, ids=str)
def test_without_input_gradient_the_rest_is_the_same(layer, x_shape):
    x, w, b, dout = arrays(layer, x_shape)
    given = {"x": x, "w": w, "b": b, "dout": dout}
    whole, part = run(layer, given, "float32"), run(layer, given, "float32", input_gradient=False)
    for name, value in part.items():
        np.testing.assert_array_equal(value, whole[name])


@needs_kernels
@pytest.mark.parametrize(
    ("layer", "x_shape"),
    [
        (bp.Conv(16, 3), (3, 16, 70, 41)),  # blocks of parts of images
        (bp.Conv(20, 3), (40, 20, 7, 11)),  # tiles of 4 and of 3 outputs, blocks of many images
        (bp.Conv(20, 3, bias=False), (3, 20, 63, 31)),
        (bp.Conv(160, 3), (3, 160, 30, 33)),  # threads share planes
        (bp.Conv(24, 4), (5, 24, 21, 17)),
        (bp.Conv(24, 5), (5, 24, 21, 17)),
        (bp.Conv(24, 6), (5, 24, 21, 17)),
        (bp.Conv(24, 7), (5, 24, 21, 17)),
        (bp.Conv(24, 7), (2, 24, 90, 61)),  # blocks of parts of images
    ],
    ids=str,
)
def test_input_gradient_in_the_memory_of_dout(layer, x_shape):
    x, w, b, dout = arrays(layer, x_shape)
    given = {"x": x, "w": w, "b": b, "dout": dout}
    assert layer.goes_back_in_place(x_shape)
    apart, shared = run(layer, given, "float32"), run(layer, given, "float32", in_place=True)
    for name, value in apart.items():
        np.testing.assert_array_equal(shared[name], value)


def test_goes_back_in_place_only_where_dx_has_the_shape_of_dout():
    assert bp.Conv(16, 3).goes_back_in_place((2, 16, 8, 8))
    assert not bp.Conv(17, 3).goes_back_in_place((2, 16, 8, 8))
    assert not bp.Conv(16, 3, padding=0).goes_back_in_place((2, 16, 8, 8))
    assert not bp.Conv(16, 3, algorithm="direct").goes_back_in_place((2, 16, 8, 8))


@needs_kernels
@pytest.mark.parametrize(("layer", "x_shape"), THREADED_CASES, ids=str)
def test_same_bits_for_any_number_of_threads(layer, x_shape):
    x, w, b, dout = arrays(layer, x_shape)
    given = {"x": x, "w": w, "b": b, "dout": dout}
    before = bp.threads()
    try:
        results = []
        for count in (1, 2, 3):
            bp.set_threads(count)
            results.append(run(layer, given, "float32"))
    finally:
        bp.set_threads(before)
    for other in results[1:]:
        for name, value in results[0].items():
            np.testing.assert_array_equal(value, other[name])


@needs_kernels
@pytest.mark.parametrize("layer", [bp.Conv(40, 3), bp.Conv(20, 3, stride=2), bp.Conv(40, 7), bp.Conv(20, 4)], ids=str)
def test_an_image_alone_gives_the_same_bits(layer):
    x, w, b, _ = arrays(layer, (30, 20, 15, 14))
    model = bp.Model([layer], x.shape[1:])
    for name, value in (("0.w", w), ("0.b", b)):
        model.named_params()[name][...] = value
    together = model.infer(x.astype(np.float32))
    for n in (0, 17):
        np.testing.assert_array_equal(model.infer(x[n : n + 1].astype(np.float32))[0], together[n])


@needs_kernels
@pytest.mark.parametrize(("layer", "x_shape"), conv.CASES[:2] + conv.CASES[3:21] + conv.CASES[25:29], ids=str)
def test_fused_relu_is_relu_after_conv(layer, x_shape):
    x, w, b, dout = arrays(layer, x_shape)
    results = []
    for fuse in (True, False):
        model = bp.Model([layer, bp.ReLU()], x_shape[1:], dtype="float64")
        plan = model.plan(len(x)) if fuse else model.inspection_plan(len(x))
        assert (plan.outs[0] is None) == fuse
        for name, value in (("0.w", w), ("0.b", b)):
            if value is not None:
                model.named_params()[name][...] = value
        plan.x[...] = x
        for call in plan.forward:
            call()
        plan.dscores[...] = dout
        for call in plan.backward:
            call()
        results.append({"out": plan.scores.copy(), "dx": plan.dx.copy(), "grads": model.grads.copy()})
    assert max(scaled_errors(*results).values()) < 1e-12
    assert (results[0]["out"] == 0).any()


def test_summary_tells_the_algorithm():
    kernels = {
        bp.Conv(16, 3): "winograd F(4x4,3x3)",
        bp.Conv(16, 5): "winograd F(2x2,5x5)",
        bp.Conv(16, 7): "winograd 4 F(3x3,4x4)",
        bp.Conv(16, 3, algorithm="direct"): "im2col",
        bp.Conv(16, 3, groups=16): "depthwise",
        bp.Conv(4, 1): "1x1 product",
        bp.Conv(16, 1): "1x1 product",
        bp.Conv(16, 3, stride=2): "winograd F(4x4,3x3) stride 2",
        bp.Conv(16, 3, stride=(1, 2)): "im2col",
    }
    lines = bp.Model(list(kernels), (16, 8, 8)).summary().splitlines()[1 : 1 + len(kernels)]
    wanted = list(kernels.values()) if native.available else ["NumPy reference"] * len(kernels)
    assert [line.split("  ")[-1].strip() for line in lines] == wanted


@pytest.mark.parametrize("kernel", [3, 2, (4, 3), (5, 6)])
def test_same_padding_is_pytorchs(kernel):
    """Even kernels need one zero more on one side: below and right."""
    rng = np.random.default_rng(0)
    size = as_pair(kernel, "Conv", "kernel_size", 1)
    x, w = rng.standard_normal((2, 3, 7, 8)), rng.standard_normal((4, 3, *size))
    out, _ = conv.conv_forward(x, w, None, stride=1, padding="same", dilation=1, groups=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that it copies the input for an uneven padding
        wanted = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(w), padding="same")
    np.testing.assert_allclose(out, wanted.numpy(), rtol=1e-12, atol=1e-12)
