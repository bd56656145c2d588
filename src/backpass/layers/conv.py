"""Convolution: small filters slide over the image, and every output is the product of a filter with what it covers.

    out[n, f, h, w] = b[f] + Σ_{c, i, j} x[n, c, h·S + i·D - P, w·S + j·D - P] w[f, c, i, j]

(zeros outside the image; S stride, D dilation, P padding).

Source
    LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.  im2col: Chellapilla, Puri and
    Simard 2006, "High performance convolutional neural networks for document processing", section 2.1.  AlexNet: Krizhevsky,
    Sutskever and Hinton 2012.  Winograd: Lavin and Gray 2015, arXiv:1509.09308, section 4.3.

Derivation
    How many outputs: windows of size F at steps of S over W inputs and P zeros on each side: (W - F + 2P) / S + 1
    (`backpass.layers.windows`).  AlexNet's first layer, 227 x 227 x 3 with 96 filters of 11 x 11 at stride 4 without
    padding, has (227 - 11) / 4 + 1 = 55, so 55 x 55 outputs per filter.
    The definition as loops is `conv_forward_naive`; going back, `conv_backward_naive` follows each product once.
    As one matrix product (im2col): write each window as a column of C·HH·WW numbers, each filter as a row of as many; then
    out = rows · columns.  AlexNet: the columns are 363 x 3025 (363 = 3·11·11, 3025 = 55·55), the weights 96 x 363.  A
    product has a known backward, drows = dout columnsᵀ and dcolumns = rowsᵀ dout, and a window goes back to where it was cut
    out; overlaps add up (col2im).  That is `conv_backward_staged`.
    As a correlation: x[u] enters out[h] wherever u = h + i - P, with the weight w[i].  So dx[u] = Σ_i dout[u - i + P] w[i]:
    again a sliding window, over dout, through the kernel rotated by 180 degrees, after HH - 1 - P zeros at each end ("full"
    correlation); a stride S puts S - 1 zeros between neighbours of dout.  A 3 x 3 input and a 2 x 2 kernel:
        dx[0,0] = dout[0,0] w[0,0]                           the corner lies in one window,
        dx[0,1] = dout[0,0] w[0,1] + dout[0,1] w[0,0]        an edge in two,
        dx[1,1] = dout[0,0] w[1,1] + dout[0,1] w[1,0] + dout[1,0] w[0,1] + dout[1,1] w[0,0]      the middle in all four.
    And dw[i] = Σ_h dout[h] x[h + i - P]: x correlated with dout.  That is `conv_backward`.

Shapes
    x (N, C, H, W); w (F, C/G, HH, WW) for G groups (outputs of group g see the inputs of group g only); b (F,);
    out (N, F, H', W').

Dtype
    That of x; w and b have the same.

Cost
    2·N·F·H'·W'·(C/G)·HH·WW operations forward, twice that backward.  Saves x and w, which exist anyway; the kernels read
    the columns where the image lies, or form those of a few pixels at a time, never the whole matrix.
    `Conv.describe_kernel` says which kernel runs: im2col for everything; 1x1 product, where x is its own column matrix;
    depthwise, one filter per channel; and at stride 1 Winograd's F(4x4, 3x3), which needs 36 products for 16 outputs
    instead of 144, F(3x3, 4x4), 36 for 9 instead of 144, and F(2x2, 5x5), 36 for 4 instead of 100.  Where outputs of 3x3
    kernels do not fill the last tiles of 4, those have 3: F(3x3, 3x3) needs 25 products for 9.  Kernels of 7 x 7 and
    6 x 6 are the sum of four of 4 x 4 that look at neighbouring tiles (native/winograd.cpp): 121 products for 9 outputs
    instead of 441 or 324.  3x3 at stride 2 is four convolutions at stride 1, of even and odd rows with even and odd
    columns; by Winograd they need 81 products for 16 outputs.

Errors
    ShapeError for an input that is not (N, C, H, W), that is smaller than the kernel, or whose channels the groups do not
    divide; ArgumentError for sizes below 1, filters that groups do not divide, or Winograd where it does not apply.

Conventions
    Correlation, as in every framework: the kernel is not rotated in the forward.  Weights as in the course and PyTorch.
    padding="same" puts D(HH - 1) zeros around (one more below and right where that is odd, as in PyTorch), so stride 1 keeps
    the size and stride S gives ceil(H / S), the size that TensorFlow gives, though TensorFlow pads less and so samples
    other pixels.  Where windows do not end at the border, the last rows or columns are not seen, as in PyTorch.
    Winograd rounds differently: in float32 its error is about 1e-5 of the largest output, 8e-6 for dx and dw (direct:
    1e-6, 4e-7, 3e-7; `python -m backpass.bench.conv`), at stride 2 8e-6, 4e-6 and 1e-6; algorithm="direct" leaves it out.
    It also mixes the pixels of a tile of 4 x 4 outputs, so that a NaN or infinity shows in all of a tile.

Example
    >>> import numpy as np
    >>> from backpass.layers.conv import conv_backward, conv_forward, im2col
    >>> from backpass.layers.windows import output_size, sliding_windows
    >>> output_size(227, 11, stride=4)
    55
    >>> image = np.zeros((1, 3, 227, 227), np.float32)
    >>> im2col(sliding_windows(image, (11, 11), (4, 4)), groups=1).shape  # one group; AlexNet's weights are (96, 363)
    (1, 363, 3025)

    The backward of a 2 x 2 kernel on a 3 x 3 input is the full correlation of dout with the rotated kernel:

    >>> x, w, b = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.zeros(1)
    >>> out, cache = conv_forward(x, w, b, stride=1, padding=0, dilation=1, groups=1)
    >>> out[0, 0]
    array([[27., 37.],
           [57., 67.]])
    >>> dout = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    >>> dx, dw, db = conv_backward(dout, cache)
    >>> dx[0, 0]
    array([[1.000e+00, 1.200e+01, 2.000e+01],
           [1.030e+02, 1.234e+03, 2.040e+03],
           [3.000e+02, 3.400e+03, 4.000e+03]])
    >>> rotated = w[..., ::-1, ::-1]
    >>> full, _ = conv_forward(dout, rotated, None, stride=1, padding=1, dilation=1, groups=1)
    >>> np.array_equal(full, dx)
    True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import native
from ..errors import ShapeError
from ..init import Constant, He
from .base import Array, Cache, Call, Declared, Init, Layer, Param, Reference, Shape, expect, require
from .windows import Pair, add_windows, as_pair, sliding_windows, windows_that_fit

Padding = int | Sequence[int] | str

# The kernels and strides that Winograd's algorithm computes, and how (native/winograd.cpp, winograd_strided.cpp).
WINOGRAD = {
    ((3, 3), (1, 1)): "F(4x4,3x3)",
    ((4, 4), (1, 1)): "F(3x3,4x4)",
    ((5, 5), (1, 1)): "F(2x2,5x5)",
    ((6, 6), (1, 1)): "4 F(3x3,4x4)",
    ((7, 7), (1, 1)): "4 F(3x3,4x4)",
    ((3, 3), (2, 2)): "F(4x4,3x3) stride 2",
}


def zeros_around(padding: Padding, kernel: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Return ((top, bottom), (left, right)).

    Examples
    --------
    >>> zeros_around(2, (3, 3), (1, 1)), zeros_around("same", (3, 4), (1, 1))
    (((2, 2), (2, 2)), ((1, 1), (1, 2)))
    """
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    vertical, horizontal = as_pair(padding, "Conv", "padding", 0)  # type: ignore[arg-type]
    return (vertical, vertical), (horizontal, horizontal)


def conv_forward_naive(
    x: Array, w: Array, b: Array, *, stride: int, padding: int, dilation: int, groups: int
) -> tuple[Array, Cache]:
    """Return out and the cache by the definition: one product of a filter with a window at a time."""
    xpad = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, (F, K, HH, WW) = len(x), w.shape  # K = C/G channels in each window
    rows = (xpad.shape[2] - dilation * (HH - 1) - 1) // stride + 1
    cols = (xpad.shape[3] - dilation * (WW - 1) - 1) // stride + 1
    out = np.empty((N, F, rows, cols), x.dtype)
    for n in range(N):
        for f in range(F):
            first = f // (F // groups) * K  # the first channel of this filter's group
            for h in range(rows):
                for v in range(cols):
                    top, left = h * stride, v * stride
                    down, right = top + dilation * HH, left + dilation * WW
                    window = xpad[n, first : first + K, top:down:dilation, left:right:dilation]
                    out[n, f, h, v] = (window * w[f]).sum() + b[f]
    return out, Cache(x=x, w=w, xpad=xpad, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv_backward_naive(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Follow each product of the forward back: what multiplied the window goes to it, and the other way round."""
    xpad, w, stride, dilation = cache.xpad, cache.w, cache.stride, cache.dilation
    N, F, rows, cols = dout.shape
    _, K, HH, WW = w.shape
    dxpad, dw, db = np.zeros_like(xpad), np.zeros_like(w), np.zeros(F, w.dtype)
    for n in range(N):
        for f in range(F):
            first = f // (F // cache.groups) * K
            for h in range(rows):
                for v in range(cols):
                    top, left = h * stride, v * stride
                    down, right = top + dilation * HH, left + dilation * WW
                    window = (n, slice(first, first + K), slice(top, down, dilation), slice(left, right, dilation))
                    dxpad[window] += dout[n, f, h, v] * w[f]
                    dw[f] += dout[n, f, h, v] * xpad[window]
                    db[f] += dout[n, f, h, v]
    H, W = cache.x.shape[2:]
    return dxpad[:, :, cache.padding : cache.padding + H, cache.padding : cache.padding + W], dw, db


def im2col(windows: Array, groups: int) -> Array:
    """Write each window as a column: (N, C, H', W', HH, WW) becomes (G, C/G·HH·WW, N·H'·W')."""
    N, C, rows, cols, HH, WW = windows.shape
    return windows.transpose(1, 4, 5, 0, 2, 3).reshape(groups, C // groups * HH * WW, N * rows * cols)


def col2im(columns: Array, windows_shape: Shape) -> Array:
    """Read the windows (N, C, H', W', HH, WW) from columns again: the inverse of `im2col`."""
    N, C, rows, cols, HH, WW = windows_shape
    return columns.reshape(C, HH, WW, N, rows, cols).transpose(3, 0, 4, 5, 1, 2)


def conv_forward(
    x: Array, w: Array, b: Array | None, *, stride: Any, padding: Padding, dilation: Any, groups: int
) -> tuple[Array, Cache]:
    """Convolve by im2col and one matrix product for each group; return out and the cache."""
    step, spread = as_pair(stride, "Conv", "stride", 1), as_pair(dilation, "Conv", "dilation", 1)
    F, size = len(w), w.shape[2:]
    zeros = zeros_around(padding, size, spread)
    xpad = np.pad(x, ((0, 0), (0, 0), *zeros))  # (N, C, H + zeros, W + zeros)
    windows = sliding_windows(xpad, size, step, spread)  # (N, C, H', W', HH, WW)
    columns = im2col(windows, groups)  # (G, C/G·HH·WW, N·H'·W')
    rows = w.reshape(groups, F // groups, -1)  # (G, F/G, C/G·HH·WW)
    product = rows @ columns  # (G, F/G, N·H'·W')
    maps = product.reshape(F, len(x), *windows.shape[2:4]).transpose(1, 0, 2, 3)  # (N, F, H', W')
    out = maps if b is None else maps + b[:, None, None]
    return out, Cache(
        x=x, w=w, b=b, xpad=xpad, windows=windows, columns=columns, rows=rows, zeros=zeros, stride=step, dilation=spread
    )


def _crop(dxpad: Array, cache: Cache) -> Array:
    """Drop the gradient of the padding."""
    (top, _), (left, _) = cache.zeros
    H, W = cache.x.shape[2:]
    return dxpad[:, :, top : top + H, left : left + W]


def conv_backward_staged(dout: Array, cache: Cache) -> tuple[Array, ...]:
    """Go back line by line, bottom to top: the matrix product, then every column to its window, windows to the image.

    Returns dx, dw and, where the layer has a bias, db.
    """
    db = dout.sum(axis=(0, 2, 3))
    dmaps = dout
    dproduct = dmaps.transpose(1, 0, 2, 3).reshape(*cache.rows.shape[:2], -1)
    drows = dproduct @ cache.columns.transpose(0, 2, 1)
    dcolumns = cache.rows.transpose(0, 2, 1) @ dproduct
    dw = drows.reshape(cache.w.shape)
    dwindows = col2im(dcolumns, cache.windows.shape)
    dxpad = add_windows(dwindows, cache.xpad.shape, cache.stride, cache.dilation)
    dx = _crop(dxpad, cache)
    return (dx, dw) if cache.b is None else (dx, dw, db)


def conv_backward(dout: Array, cache: Cache) -> tuple[Array, ...]:
    """Go back by two correlations: dout with the rotated kernel gives dx, x with dout gives dw.

    Returns dx, dw and, where the layer has a bias, db.
    """
    groups, w = len(cache.rows), cache.w
    (N, F, rows, cols), (_, K, HH, WW) = dout.shape, w.shape
    (S, T), (D, E) = cache.stride, cache.dilation

    spread = np.zeros((N, F, (rows - 1) * S + 1, (cols - 1) * T + 1), dout.dtype)  # stride - 1 zeros between neighbours
    spread[:, :, ::S, ::T] = dout
    turned = w.reshape(groups, F // groups, K, HH, WW)[..., ::-1, ::-1].swapaxes(1, 2).reshape(groups * K, -1, HH, WW)
    seen, _ = conv_forward(
        spread, turned, None, stride=1, padding=(D * (HH - 1), E * (WW - 1)), dilation=(D, E), groups=groups
    )
    dxpad = np.zeros_like(cache.xpad)
    dxpad[:, :, : seen.shape[2], : seen.shape[3]] = seen  # what lies beyond is in no window
    dx = _crop(dxpad, cache)

    per_group = dout.reshape(N, groups, F // groups, rows, cols)
    windows = cache.windows.reshape(N, groups, K, rows, cols, HH, WW)
    dw = np.einsum("ngfhw,ngchwij->gfcij", per_group, windows, optimize=True).reshape(w.shape)
    return (dx, dw) if cache.b is None else (dx, dw, dout.sum(axis=(0, 2, 3)))


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution with `filters` filters; see `backpass.layers.conv` for the mathematics.

    Parameters
    ----------
    filters : int
        How many outputs channels, F.
    kernel_size : int or pair of int
        (HH, WW), or one number for both.
    stride, dilation : int or pair of int
        Steps between windows, and between the elements of one (vertical, horizontal).
    padding : "same", int or pair of int
        Zeros at each border; "same" keeps the size at stride 1.
    groups : int
        Outputs of a group see the channels of that group only; groups = C gives a depthwise convolution.
    bias : bool
        Whether b is added; leave it out before a batch norm, which takes it away again.
    init : callable (rng, shape) -> array
        Draws the weights; biases start at zero.
    algorithm : {"auto", "direct", "winograd"}
        "auto" takes Winograd where that is faster, "direct" never does, "winograd" always (3 x 3 to 7 x 7 at stride 1, and
        3 x 3 at stride 2).

    Examples
    --------
    >>> import backpass as bp
    >>> conv = bp.Conv(16, 3)
    >>> conv.declare((4, 3, 32, 32)).out
    (4, 16, 32, 32)
    >>> conv.declare((4, 3, 32, 32)).params["w"].shape
    (16, 3, 3, 3)
    """

    filters: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "same"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    bias: bool = True
    init: Init = field(default=He())
    algorithm: str = "auto"

    reference = Reference(conv_forward, conv_backward, conv_backward_staged)

    def __post_init__(self) -> None:
        for name, value, least in (("filters", self.filters, 1), ("groups", self.groups, 1)):
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            require(whole and value >= least, self, name, f"a whole number >= {least}", value)
        for name in ("kernel_size", "stride", "dilation"):
            value = getattr(self, name)
            both = as_pair(value, self, name, 1)
            if isinstance(value, list):
                object.__setattr__(self, name, both)  # comparable and hashable, as a frozen object should be
        if isinstance(self.padding, str):
            require(self.padding == "same", self, "padding", '"same", a number of zeros, or two', self.padding)
        else:
            both = as_pair(self.padding, self, "padding", 0)
            if isinstance(self.padding, list):
                object.__setattr__(self, "padding", both)
        require(self.filters % self.groups == 0, self, "groups", f"a divisor of filters = {self.filters}", self.groups)
        require(isinstance(self.bias, bool), self, "bias", "True or False", self.bias)
        require(callable(self.init), self, "init", "a function (rng, shape) -> array such as bp.init.He()", self.init)
        known = ("auto", "direct", "winograd")
        require(self.algorithm in known, self, "algorithm", f"one of {known}", self.algorithm)
        expected = "auto or direct (winograd is for 3x3 to 7x7 at stride 1, 3x3 at stride 2, undilated and ungrouped)"
        require(self.algorithm != "winograd" or self._is_winograd_shape(), self, "algorithm", expected, self.algorithm)

    @property
    def kernel(self) -> Pair:
        """(HH, WW)."""
        return as_pair(self.kernel_size, self, "kernel_size", 1)

    def _steps(self) -> tuple[Pair, Pair]:
        return as_pair(self.stride, self, "stride", 1), as_pair(self.dilation, self, "dilation", 1)

    def _is_winograd_shape(self) -> bool:
        stride, dilation = self._steps()
        return (self.kernel, stride) in WINOGRAD and dilation == (1, 1) and self.groups == 1

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, C, H, W = expect(self, x, "N C H W")
        if C % self.groups:
            raise ShapeError(f"Conv: expected channels that groups = {self.groups} divides, got {C} in x of shape {x}")
        stride, dilation = self._steps()
        (top, bottom), (left, right) = zeros_around(self.padding, self.kernel, dilation)
        padded = (H + top + bottom, W + left + right)
        rows, cols = windows_that_fit(self, padded, self.kernel, stride, dilation)
        params = {"w": Param((self.filters, C // self.groups, *self.kernel), self.init, "weight")}
        if self.bias:
            params["b"] = Param((self.filters,), Constant(0.0), "bias")
        return Declared(out=(N, self.filters, rows, cols), params=params)

    def describe_kernel(self, x_shape: Shape) -> str:
        """Return which algorithm convolves an input of this shape, in words.

        Examples
        --------
        >>> import backpass as bp
        >>> bp.Conv(64, 3).describe_kernel((64, 64, 32, 32)), bp.Conv(64, 3, stride=2).describe_kernel((64, 64, 32, 32))
        ('winograd F(4x4,3x3)', 'winograd F(4x4,3x3) stride 2')
        >>> bp.Conv(64, 7).describe_kernel((64, 64, 32, 32))  # the sum of four convolutions
        'winograd 4 F(3x3,4x4)'
        >>> bp.Conv(64, 1).describe_kernel((64, 64, 32, 32)), bp.Conv(64, 3, groups=64).describe_kernel((64, 64, 32, 32))
        ('1x1 product', 'depthwise')
        """
        kernel = self._kernel_name(x_shape)
        if kernel.startswith("winograd"):
            return f"winograd {WINOGRAD[self.kernel, self._steps()[0]]}"
        if kernel == "conv":
            stride, _ = self._steps()
            plain = self.kernel == (1, 1) and stride == (1, 1) and self.groups == 1
            return "1x1 product" if plain else "im2col"
        return kernel

    def runs_as(self, x: Shape) -> str:
        """Return what `Model.summary` says about this layer."""
        return self.describe_kernel(x)

    def _kernel_name(self, x: Shape) -> str:
        """Which native functions run: "winograd", "winograd_strided", "depthwise" or "conv".

        Measured on two cores of an EPYC with AVX-512: from 8 channels and filters on Winograd is faster, 1.1 to 3 times, for
        every size of image from 3 x 3 on; with 4 both are equal, with 3 columns are; on 2 x 2 they are equal on average.
        With 7 x 7, 3 channels are enough if there are 32 filters.  Three channels with 6 x 6 or 7 x 7 have kernels of their own,
        for which 16 filters are enough: forward and dw of 7 x 7 take 0.4 to 0.7 of the time that columns take, though dx, which
        the first layer of a net does not need, takes longer.
        One image of 4 x 4 with 512 channels would be better off with columns (1.0 against 2.5 ms, most of it for transforming
        weights), but a choice that depended on the batch would round a picture's prediction differently in another batch.
        At stride 2 Winograd is up to 3 times as fast, for outputs from 2 x 2 on; with 8 channels, and for outputs of 5 x 5, which
        fill two tiles of 4 x 4 along each side, both are equal.
        """
        C = x[1]
        if self.algorithm != "direct" and self._is_winograd_shape():
            strided = self._steps()[0] == (2, 2)
            rows, cols = self.declare(x).out[2:]
            wide = min(C, self.filters) >= 8 or (self.kernel == (7, 7) and C >= 3 and self.filters >= 32)
            wide |= self._is_of_pictures(C) and self.filters >= 16
            if self.algorithm == "winograd" or (wide and min(rows, cols) >= (2 if strided else 3)):
                return "winograd_strided" if strided else "winograd"
        if self.groups > 1 and self.groups == C:
            return "depthwise"
        return "conv"

    def goes_back_in_place(self, x: Shape) -> bool:
        """Whether the backward kernel may get one array as dx and dout: Winograd's has read the lines of dout that it writes."""
        return self._kernel_name(x) == "winograd" and self.declare(x).out == tuple(x)

    def can_leave_out(self, x: Shape, size: Pair) -> bool:
        """Return whether the kernels can compute the first outputs only, `size` rows and columns of them.

        Winograd's can, as long as every input is under a window that is left: where what is left out is no more than the zeros
        below and right.
        """
        (top, _), (left, _) = zeros_around(self.padding, self.kernel, (1, 1))
        covers = x[2] + top < size[0] + self.kernel[0] and x[3] + left < size[1] + self.kernel[1]
        return covers and self._kernel_name(x) == "winograd"

    def _is_of_pictures(self, C: int) -> bool:
        """Return whether Winograd has kernels of its own: 6 x 6 or 7 x 7 on three channels (native/winograd_few.hpp)."""
        return self.kernel in ((6, 6), (7, 7)) and C == 3

    def can_pool(self, x: Shape) -> bool:
        """Return whether the kernels can compute relu and max pooling of 2 x 2 windows along: Winograd's for three channels."""
        return self._is_of_pictures(x[1]) and self._kernel_name(x) == "winograd" and min(self.declare(x).out[2:]) > 2

    def _sizes(self) -> tuple[int, ...]:
        """Stride, dilation and the first zeros, vertical and horizontal each, as the kernels take them."""
        stride, dilation = self._steps()
        (top, _), (left, _) = zeros_around(self.padding, self.kernel, dilation)
        return (*stride, *dilation, top, left)

    def bind_forward(self, out: Array, x: Array, p: Any, *, relu: bool) -> Call:
        """Bind the forward kernel, with or without the relu behind it."""
        kernel = getattr(native, f"{self._kernel_name(x.shape)}_forward")
        call: Call = kernel(out, x, p.w, p.b if self.bias else None, *self._sizes(), int(relu))
        return call

    def bind_backward(self, dx: Array | None, dout: Array, x: Array, p: Any, g: Any, relu_out: Array | None) -> Call:
        """Bind the backward kernel; relu_out is the output of a relu that was fused behind."""
        kernel = getattr(native, f"{self._kernel_name(x.shape)}_backward")
        call: Call = kernel(dx, g.w, g.b if self.bias else None, dout, x, p.w, relu_out, *self._sizes())
        return call

    def bind_pooled_forward(self, out: Array, argmax: Array | None, x: Array, p: Any) -> Call:
        """Bind the forward kernel with relu and max pooling."""
        top, left = self._sizes()[-2:]
        return native.winograd_pool_forward(out, argmax, x, p.w, p.b if self.bias else None, top, left)

    def bind_pooled_backward(self, dout: Array, argmax: Array, x: Array, g: Any) -> Call:
        """Bind the kernel for dw and db from the gradient of what relu and max pooling left."""
        top, left = self._sizes()[-2:]
        return native.winograd_pool_backward(g.w, g.b if self.bias else None, dout, argmax, x, top, left)

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return self.bind_forward(out, x, p, relu=False)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return self.bind_backward(dx, dout, x, p, g, None)

    def reference_arguments(self, function: Any, *namespaces: Any) -> dict[str, Any]:
        """Return what the reference asks for; b is None where there is no bias."""
        return super().reference_arguments(function, *namespaces, Cache(b=None))


CASES = [
    (Conv(4, 3), (2, 3, 5, 7)),
    (Conv(2, 2, padding=0), (1, 1, 3, 3)),
    (Conv(16, 3), (3, 16, 8, 8)),
    (Conv(31, 3, algorithm="winograd"), (2, 7, 9, 6)),
    (Conv(5, 3, algorithm="winograd", padding=0, bias=False), (1, 31, 5, 11)),
    (Conv(3, 3, algorithm="winograd", padding=(2, 0)), (2, 1, 1, 3)),
    (Conv(17, 3, algorithm="winograd"), (3, 5, 7, 11)),  # tiles of 4 and of 3 outputs
    (Conv(5, 3, algorithm="direct", bias=False), (2, 16, 6, 9)),
    (Conv(17, 5, algorithm="winograd"), (2, 7, 9, 6)),
    (Conv(5, 5, algorithm="winograd", padding=(1, 4), bias=False), (1, 31, 5, 11)),
    (Conv(5, 4, algorithm="winograd"), (2, 3, 5, 8)),
    (Conv(4, 6, algorithm="winograd", padding=(1, 3)), (2, 3, 7, 4)),
    (Conv(17, 7, algorithm="winograd"), (2, 5, 9, 6)),
    (Conv(5, 7, algorithm="winograd", padding=(1, 6), bias=False), (1, 31, 6, 11)),
    (Conv(2, 7, algorithm="winograd", padding=0), (2, 1, 7, 10)),
    (Conv(31, 3, stride=2, algorithm="winograd"), (2, 7, 9, 12)),
    (Conv(5, 3, stride=2, algorithm="winograd", padding=0, bias=False), (1, 17, 20, 10)),  # a line that no window sees
    (Conv(3, 3, stride=2, algorithm="winograd", padding=(2, 0)), (2, 1, 1, 3)),
    (Conv(3, 1), (2, 5, 1, 1)),
    (Conv(16, 1, padding=0), (2, 31, 5, 7)),
    (Conv(7, 1, stride=2), (1, 3, 6, 7)),
    (Conv(4, 5, stride=2, padding=2), (2, 3, 11, 8)),
    (Conv(3, (2, 3), stride=(3, 4), padding=(1, 0)), (2, 2, 7, 9)),  # strides larger than the kernel
    (Conv(6, (7, 5), padding=0), (1, 3, 7, 5)),  # a kernel as large as the input
    (Conv(4, 4), (2, 3, 5, 4)),  # "same" of an even kernel: one more zero below and right
    (Conv(4, 3, dilation=2), (2, 3, 9, 8)),
    (Conv(4, (3, 2), dilation=(2, 3), stride=2, padding=3), (1, 5, 8, 7)),
    (Conv(6, 3, groups=3), (2, 9, 5, 6)),
    (Conv(8, 1, groups=2, bias=False), (3, 4, 4, 5)),
    (Conv(7, 3, groups=7), (2, 7, 6, 19)),  # depthwise
    (Conv(10, (3, 5), groups=5, stride=2, padding=(1, 2), dilation=(1, 2)), (2, 5, 9, 18)),
    (Conv(3, 3, groups=3, bias=False), (1, 3, 1, 1)),
]
