"""Global average pooling: each channel of an image becomes its mean.

    out[n, c] = Σ_{h, w} x[n, c, h, w] / (H·W)

Source
    Lin, Chen and Yan 2013, "Network in network", arXiv:1312.4400, section 3.2.

Derivation
    Every pixel enters the mean of its channel with the factor 1/(H·W), so dx[n, c, h, w] = dout[n, c] / (H·W).

Shapes
    x (N, C, H, W); out (N, C).

Dtype
    That of x.

Cost
    Forward reads x; backward writes dx.  Saves nothing.

Errors
    ShapeError for an input that is not (N, C, H, W).

Conventions
    The output has no spatial dimensions, ready for `Affine`; PyTorch's AdaptiveAvgPool2d(1) keeps two of size 1.

Example
    >>> import numpy as np
    >>> from backpass.layers.global_averagepool import global_averagepool_backward, global_averagepool_forward
    >>> out, cache = global_averagepool_forward(np.array([[[[1.0, 2.0], [3.0, 6.0]]]]))
    >>> out
    array([[3.]])
    >>> global_averagepool_backward(np.array([[8.0]]), cache)
    array([[[[2., 2.],
             [2., 2.]]]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect


def global_averagepool_forward(x: Array) -> tuple[Array, Cache]:
    """Return the mean of each channel, and the cache."""
    total = x.sum(axis=(2, 3))  # (N, C)
    out = total / (x.shape[2] * x.shape[3])  # (N, C)
    return out, Cache(x=x)


def global_averagepool_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    H, W = cache.x.shape[2:]
    dtotal = dout / (H * W)
    return dtotal[:, :, None, None] * np.ones((H, W), dout.dtype)


def global_averagepool_backward(dout: Array, cache: Cache) -> Array:
    """Share each dout out to the pixels of its channel in equal parts."""
    H, W = cache.x.shape[2:]
    return np.repeat(dout / (H * W), H * W, axis=1).reshape(cache.x.shape)


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """The mean of each channel; see `backpass.layers.global_averagepool` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.GlobalAveragePool().declare((4, 64, 8, 8)).out
    (4, 64)
    """

    reference = Reference(global_averagepool_forward, global_averagepool_backward, global_averagepool_backward_staged)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, C, _, _ = expect(self, x, "N C H W")
        return Declared(out=(N, C), reads=())

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.global_averagepool_forward(out, x)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.global_averagepool_backward(dx, dout)


CASES = [
    (GlobalAveragePool(), (2, 3, 4, 5)),
    (GlobalAveragePool(), (1, 1, 1, 1)),
    (GlobalAveragePool(), (3, 31, 7, 7)),
]
