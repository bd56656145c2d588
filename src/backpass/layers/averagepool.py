"""Average pooling: each output is the mean of the inputs in its window.

    out[n, c, h, w] = Σ_{i, j} x[n, c, h·S + i - P, w·S + j - P] / count[h, w]

where count is how many elements of the window lie in the image.

Source
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B (sub-sampling).

Derivation
    An input enters every window that covers it with the factor 1/count of that window, so dx is the sum of dout/count over
    those windows.

Shapes
    x (N, C, H, W); out (N, C, H', W'), H' = floor((H + 2P - HH) / S) + 1.

Dtype
    That of x.

Cost
    Forward reads x and writes out; backward reads dout and writes dx.  Saves nothing.

Errors
    ShapeError for an input that is not (N, C, H, W) or is smaller than the window; ArgumentError for sizes below 1 and for
    padding as large as the window (a window must see something).

Conventions
    Padding is not counted, so that a constant image stays constant up to its border (as in Keras; in PyTorch that is
    count_include_pad=False).  Where windows do not end at the border, the last rows or columns are not seen.

Example
    >>> import numpy as np
    >>> from backpass.layers.averagepool import averagepool_backward, averagepool_forward
    >>> x = np.array([[[[1.0, 5.0, 2.0, 2.0], [3.0, 3.0, 0.0, 2.0]]]])
    >>> out, cache = averagepool_forward(x, size=2, stride=None, padding=0)
    >>> out
    array([[[[3. , 1.5]]]])
    >>> averagepool_backward(np.array([[[[4.0, 8.0]]]]), cache)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape
from .windows import add_windows, as_pair, check_pool, pooled_shape, sliding_windows


def averagepool_forward(x: Array, *, size: Any, stride: Any, padding: Any) -> tuple[Array, Cache]:
    """Return the mean of each window, and the cache."""
    window = as_pair(size, "AveragePool", "size", 1)
    step = window if stride is None else as_pair(stride, "AveragePool", "stride", 1)
    top, left = as_pair(padding, "AveragePool", "padding", 0)
    border = ((0, 0), (0, 0), (top, top), (left, left))
    xpad = np.pad(x, border)
    inside = np.pad(np.ones((1, 1, *x.shape[2:]), x.dtype), border)
    count = sliding_windows(inside, window, step).sum(axis=(4, 5))  # (1, 1, H', W')
    total = sliding_windows(xpad, window, step).sum(axis=(4, 5))  # (N, C, H', W')
    out = total / count
    return out, Cache(x=x, xpad=xpad, count=count, window=window, step=step, corner=(top, left))


def averagepool_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line: the mean shares dout out in equal parts, and overlaps add up."""
    dtotal = dout / cache.count
    dwindows = np.broadcast_to(dtotal[..., None, None], (*dout.shape, *cache.window))
    dxpad = add_windows(dwindows, cache.xpad.shape, cache.step)
    (top, left), (H, W) = cache.corner, cache.x.shape[2:]
    return dxpad[:, :, top : top + H, left : left + W]


def averagepool_backward(dout: Array, cache: Cache) -> Array:
    """Add each dout/count to the rectangle of inputs that its window covers."""
    (top, left), (S, T), (HH, WW), (H, W) = cache.corner, cache.step, cache.window, cache.x.shape[2:]
    share = dout / cache.count
    dx = np.zeros(cache.x.shape, dout.dtype)
    for h in range(dout.shape[2]):
        for w in range(dout.shape[3]):
            first_row, first_col = h * S - top, w * T - left
            rows = slice(max(first_row, 0), min(first_row + HH, H))
            cols = slice(max(first_col, 0), min(first_col + WW, W))
            dx[:, :, rows, cols] += share[:, :, h, w, None, None]
    return dx


@dataclass(frozen=True)
class AveragePool(Layer):
    """Average pooling over windows; see `backpass.layers.averagepool` for the mathematics.

    Parameters
    ----------
    size : int or pair of int
        The window (HH, WW).
    stride : int, pair of int or None
        Steps between windows; None for the window's size, so that windows lie side by side.
    padding : int or pair of int
        Rows above and below, columns left and right; smaller than the window; not counted in the mean.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.AveragePool(2).declare((4, 3, 32, 32)).out
    (4, 3, 16, 16)
    """

    size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0

    reference = Reference(averagepool_forward, averagepool_backward, averagepool_backward_staged)

    def __post_init__(self) -> None:
        check_pool(self)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=pooled_shape(self, x), reads=())

    def _sizes(self) -> tuple[int, ...]:
        """Window, stride and padding, vertical and horizontal each, as the kernels take them."""
        size = as_pair(self.size, self, "size", 1)
        step = size if self.stride is None else as_pair(self.stride, self, "stride", 1)
        return (*size, *step, *as_pair(self.padding, self, "padding", 0))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.averagepool_forward(out, x, *self._sizes())

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.averagepool_backward(dx, dout, *self._sizes())


CASES = [
    (AveragePool(2), (2, 3, 6, 8)),
    (AveragePool(2), (3, 5, 7, 5)),
    (AveragePool(3, stride=2, padding=1), (2, 7, 9, 8)),  # overlapping
    (AveragePool((2, 3), stride=(3, 4)), (1, 2, 8, 11)),  # strides larger than the window
    (AveragePool((5, 4)), (2, 3, 5, 4)),  # a window as large as the input
    (AveragePool(1), (2, 16, 1, 1)),
    (AveragePool(3, stride=1, padding=2), (1, 31, 1, 4)),
]
