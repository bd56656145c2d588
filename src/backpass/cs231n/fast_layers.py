"""Convolution and pooling by the native kernels, in the course's names; without kernels, by im2col in NumPy.

`conv_*_fast` and `max_pool_*_fast` run a bound kernel call; there is nothing to compile.  `conv_*_im2col` and
`conv_*_strides` are the reference of `backpass.layers.conv`: windows as a strided view, written as columns, one product.

Examples
--------
>>> import numpy as np
>>> from backpass.cs231n.fast_layers import conv_backward_fast, conv_forward_fast
>>> x, w, b = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), np.zeros(1)
>>> out, cache = conv_forward_fast(x, w, b, {"stride": 1, "pad": 0})
>>> out[0, 0]
array([[4., 4.],
       [4., 4.]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import native
from ..errors import ArgumentError, MissingExtraError
from ..layers import conv, maxpool
from ..layers.base import Array, Cache
from ._arrays import reals
from .layers import Gradients3, check_window, pool_settings, window_settings

__all__ = [
    "conv_backward_fast",
    "conv_backward_im2col",
    "conv_backward_pytorch",
    "conv_backward_strides",
    "conv_forward_fast",
    "conv_forward_im2col",
    "conv_forward_pytorch",
    "conv_forward_strides",
    "max_pool_backward_fast",
    "max_pool_backward_im2col",
    "max_pool_backward_reshape",
    "max_pool_forward_fast",
    "max_pool_forward_im2col",
    "max_pool_forward_reshape",
]


def _contiguous(*arrays: Array) -> list[Array]:
    return [np.ascontiguousarray(array) for array in reals(*arrays)]


def _conv_of(w: Array, conv_param: dict[str, Any]) -> conv.Conv:
    stride, pad = window_settings(conv_param)
    return conv.Conv(len(w), w.shape[2:], stride=stride, padding=pad)


def conv_forward_im2col(x: Array, w: Array, b: Array, conv_param: dict[str, Any]) -> tuple[Array, Any]:
    """Convolve by im2col and one matrix product; arguments as in `conv_forward_naive`, the cache is opaque."""
    stride, pad = window_settings(conv_param)
    check_window(x, w.shape[2:], pad, w.shape[1])
    x, w, b = reals(x, w, b)
    return conv.conv_forward(x, w, b, stride=stride, padding=pad, dilation=1, groups=1)


def conv_backward_im2col(dout: Array, cache: Any) -> Gradients3:
    """Return dx, dw and db by the same product and col2im."""
    dx, dw, db = conv.conv_backward_staged(dout, cache)
    return dx, dw, db


def conv_forward_strides(x: Array, w: Array, b: Array, conv_param: dict[str, Any]) -> tuple[Array, Any]:
    """Do what `conv_forward_im2col` does: its windows are a strided view already, in any memory order of x."""
    return conv_forward_im2col(x, w, b, conv_param)


def conv_backward_strides(dout: Array, cache: Any) -> Gradients3:
    """Do what `conv_backward_im2col` does."""
    return conv_backward_im2col(dout, cache)


def conv_forward_fast(x: Array, w: Array, b: Array, conv_param: dict[str, Any]) -> tuple[Array, Any]:
    """Convolve by the native kernel; arguments as in `conv_forward_naive`, the cache is opaque."""
    if not native.available:
        return conv_forward_im2col(x, w, b, conv_param)
    _, pad = window_settings(conv_param)
    check_window(x, w.shape[2:], pad, w.shape[1])
    x, w, b = _contiguous(x, w, b)
    layer = _conv_of(w, conv_param)
    out = np.empty(layer.declare(x.shape).out, x.dtype)
    layer.bind_forward(out, x, Cache(w=w, b=b), relu=False)()
    return out, (x, w, b, conv_param)


def conv_backward_fast(dout: Array, cache: Any) -> Gradients3:
    """Return dx, dw and db by the native kernel."""
    if not native.available:
        return conv_backward_im2col(dout, cache)
    x, w, b, conv_param = cache
    dout = np.ascontiguousarray(dout, dtype=x.dtype)
    dx, dw, db = np.empty_like(x), np.zeros_like(w), np.zeros_like(b)
    _conv_of(w, conv_param).bind_backward(dx, dout, x, Cache(w=w), Cache(w=dw, b=db), None)()
    return dx, dw, db


def conv_forward_pytorch(x: Array, w: Array, b: Array, conv_param: dict[str, Any]) -> tuple[Array, Any]:
    """Convolve by PyTorch, where it is installed (2019 only)."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError("conv_forward_pytorch needs PyTorch: pip install torch") from None
    stride, pad = window_settings(conv_param)
    leaves = [torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in reals(x, w, b)]
    out = torch.nn.functional.conv2d(leaves[0], leaves[1], leaves[2], stride=stride, padding=pad)
    return out.detach().numpy().copy(), (leaves, out)


def conv_backward_pytorch(dout: Array, cache: Any) -> Gradients3:
    """Return dx, dw and db by PyTorch; the cache can be used again."""
    import torch

    leaves, out = cache
    upstream = torch.tensor(np.ascontiguousarray(dout), dtype=out.dtype)
    dx, dw, db = torch.autograd.grad(out, leaves, upstream, retain_graph=True)
    return dx.numpy(), dw.numpy(), db.numpy()


def max_pool_forward_fast(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Any]:
    """Return the maxima by the native kernel: any window, any stride; arguments as in `max_pool_forward_naive`."""
    height, width, stride = pool_settings(pool_param)
    check_window(x, (height, width), 0, None)
    if not native.available:
        (x,) = reals(x)
        return maxpool.maxpool_forward(x, size=(height, width), stride=(stride, stride), padding=0)
    (x,) = _contiguous(x)
    layer = maxpool.MaxPool((height, width), stride=stride)
    declared = layer.declare(x.shape)
    argmax_shape, argmax_dtype = declared.cache["argmax"]
    out, cache = np.empty(declared.out, x.dtype), Cache(argmax=np.empty(argmax_shape, argmax_dtype))
    layer.forward_kernel(out, x, None, None, cache)()
    return out, (layer, x, cache)


def max_pool_backward_fast(dout: Array, cache: Any) -> Array:
    """Return dx: each dout at its maximum, the first one where values tie, as in the naive version."""
    if not native.available:
        return maxpool.maxpool_backward(dout, cache)
    layer, x, saved = cache
    dx = np.empty_like(x)
    dout = np.ascontiguousarray(dout, dtype=x.dtype)
    layer.backward_kernel(dx, dout, x, None, None, None, saved)()
    return dx


def max_pool_forward_reshape(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Any]:
    """Do what `max_pool_forward_fast` does, for square windows that tile x (others are an ArgumentError)."""
    height, width, stride = pool_settings(pool_param)
    if not height == width == stride or x.shape[2] % height or x.shape[3] % width:
        raise ArgumentError(
            f"max_pool_forward_reshape: expected square windows that tile the image, got {pool_param} on {x.shape}; "
            "max_pool_forward_fast takes any"
        )
    return max_pool_forward_fast(x, pool_param)


def max_pool_backward_reshape(dout: Array, cache: Any) -> Array:
    """Do what `max_pool_backward_fast` does: of values that tie, the first gets the gradient."""
    return max_pool_backward_fast(dout, cache)


def max_pool_forward_im2col(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Any]:
    """Do what `max_pool_forward_fast` does, for any window and stride."""
    return max_pool_forward_fast(x, pool_param)


def max_pool_backward_im2col(dout: Array, cache: Any) -> Array:
    """Do what `max_pool_backward_fast` does."""
    return max_pool_backward_fast(dout, cache)
