"""Max pooling: each output is the largest input in its window.

    out[n, c, h, w] = max_{i, j} x[n, c, h·S + i - P, w·S + j - P]

Source
    Riesenhuber and Poggio 1999, "Hierarchical models of object recognition in cortex"; in conv nets: Ranzato et al. 2007,
    "Unsupervised learning of invariant feature hierarchies with applications to object recognition", section 2.

Derivation
    Near a point where one element of the window is the largest, out is that element: its derivative is 1, that of all others
    0.  So dout goes to the place of the maximum, and places that are the maximum of several windows add up.  Where two
    elements tie there is no derivative; the first one in reading order (row by row) is taken as the maximum.

Shapes
    x (N, C, H, W); out (N, C, H', W'), H' = floor((H + 2P - HH) / S) + 1.

Dtype
    That of x.

Cost
    Forward reads x and writes out; backward reads dout and writes dx.  Saves the place of each maximum in its window, a byte
    each for windows of up to 256 elements, eight for larger ones.

Errors
    ShapeError for an input that is not (N, C, H, W) or is smaller than the window; ArgumentError for sizes below 1 and for
    padding as large as the window (a window must see something).

Conventions
    The padding counts as minus infinity and never wins.  Ties: the first maximum gets all of dout, as in PyTorch; the
    course's fast version shares it out.  A NaN in a window is its maximum (the first NaN), so that a diverged net shows.
    Where windows do not end at the border, the last rows or columns are not seen (PyTorch's ceil_mode=False).

Example
    >>> import numpy as np
    >>> from backpass.layers.maxpool import maxpool_backward, maxpool_forward
    >>> x = np.array([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]])
    >>> out, cache = maxpool_forward(x, size=2, stride=None, padding=0)
    >>> out
    array([[[[5., 2.]]]])
    >>> maxpool_backward(np.array([[[[10.0, 20.0]]]]), cache)  # of the three twos the first one counts
    array([[[[ 0., 10., 20.,  0.],
             [ 0.,  0.,  0.,  0.]]]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape
from .windows import Pair, add_windows, as_pair, check_pool, pooled_shape, sliding_windows


def maxpool_forward(x: Array, *, size: Any, stride: Any, padding: Any) -> tuple[Array, Cache]:
    """Return the maximum of each window, and the cache."""
    window = as_pair(size, "MaxPool", "size", 1)
    step = window if stride is None else as_pair(stride, "MaxPool", "stride", 1)
    top, left = as_pair(padding, "MaxPool", "padding", 0)
    border = ((0, 0), (0, 0), (top, top), (left, left))
    xpad = np.pad(x, border, constant_values=-np.inf)
    inside = np.pad(np.ones(x.shape, bool), border)  # the padding is not an element, even beside minus infinity
    windows = sliding_windows(xpad, window, step)
    windows = windows.reshape(*windows.shape[:4], -1)  # (N, C, H', W', HH·WW)
    real = sliding_windows(inside, window, step).reshape(windows.shape)
    out = windows.max(axis=-1)  # NaN where there is one
    argmax = (real & ((windows == out[..., None]) | np.isnan(windows))).argmax(axis=-1)  # the first that equals it
    return out, Cache(x=x, xpad=xpad, argmax=argmax, window=window, step=step, corner=(top, left))


def maxpool_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back by the definition: each window's gradient is dout at the maximum and 0 elsewhere; overlaps add up."""
    count = cache.window[0] * cache.window[1]
    chosen = cache.argmax[..., None] == np.arange(count)  # (N, C, H', W', HH·WW)
    dwindows = np.where(chosen, dout[..., None], np.zeros((), dout.dtype)).reshape(*dout.shape, *cache.window)
    dxpad = add_windows(dwindows, cache.xpad.shape, cache.step)
    (top, left), (H, W) = cache.corner, cache.x.shape[2:]
    return dxpad[:, :, top : top + H, left : left + W]


def maxpool_backward(dout: Array, cache: Cache) -> Array:
    """Send each dout to the place of its maximum: one addition for each output."""
    (top, left), (S, T), WW = cache.corner, cache.step, cache.window[1]
    n, c, h, w = np.ix_(*map(np.arange, dout.shape))
    row = h * S + cache.argmax // WW - top  # in x
    col = w * T + cache.argmax % WW - left
    dx = np.zeros(cache.x.shape, dout.dtype)
    np.add.at(dx, (n, c, row, col), dout)
    return dx


@dataclass(frozen=True)
class MaxPool(Layer):
    """Max pooling over windows; see `backpass.layers.maxpool` for the mathematics.

    Parameters
    ----------
    size : int or pair of int
        The window (HH, WW).
    stride : int, pair of int or None
        Steps between windows; None for the window's size, so that windows lie side by side.
    padding : int or pair of int
        Rows above and below, columns left and right; smaller than the window.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.MaxPool(2).declare((4, 3, 32, 32)).out
    (4, 3, 16, 16)
    """

    size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: int | Sequence[int] = 0

    reference = Reference(maxpool_forward, maxpool_backward, maxpool_backward_staged)

    def __post_init__(self) -> None:
        check_pool(self)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        out = pooled_shape(self, x)
        return Declared(out=out, cache={"argmax": (out, "uint8" if self._fits_byte() else "int64")}, reads=())

    def read_size(self, x: Shape) -> Pair:
        """Return how many rows and columns of an input of shape `x` lie in some window: the first ones.

        Examples
        --------
        >>> MaxPool(2).read_size((4, 3, 7, 6))
        (6, 6)
        """
        HH, WW, S, T, top, left = self._sizes()
        rows, cols = pooled_shape(self, x)[2:]
        return min(x[2], (rows - 1) * S + HH - top), min(x[3], (cols - 1) * T + WW - left)

    def halves(self) -> bool:
        """Whether the windows are 2 x 2, side by side."""
        return self._sizes() == (2, 2, 2, 2, 0, 0)

    def _sizes(self) -> tuple[int, ...]:
        """Window, stride and padding, vertical and horizontal each, as the kernels take them."""
        size = as_pair(self.size, self, "size", 1)
        step = size if self.stride is None else as_pair(self.stride, self, "stride", 1)
        return (*size, *step, *as_pair(self.padding, self, "padding", 0))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        kernel = native.maxpool_forward if self._fits_byte() else native.maxpool_wide_forward
        return kernel(out, c.argmax, x, *self._sizes())

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        kernel = native.maxpool_backward if self._fits_byte() else native.maxpool_wide_backward
        return kernel(dx, dout, c.argmax, *self._sizes())

    def _fits_byte(self) -> bool:
        HH, WW = as_pair(self.size, self, "size", 1)
        return HH * WW <= 256


CASES = [
    (MaxPool(2), (2, 3, 6, 8)),
    (MaxPool(2), (1, 1, 2, 2)),
    (MaxPool(2), (3, 5, 7, 5)),
    (MaxPool(3, stride=2, padding=1), (2, 7, 9, 8)),  # overlapping
    (MaxPool((2, 3), stride=(3, 4)), (1, 2, 8, 11)),  # strides larger than the window
    (MaxPool((5, 4)), (2, 3, 5, 4)),  # a window as large as the input
    (MaxPool(1), (2, 16, 1, 1)),
    (MaxPool(3, stride=1, padding=2), (1, 31, 1, 4)),
    (MaxPool((17, 16), stride=1), (1, 2, 18, 17)),  # more places than a byte counts
]
