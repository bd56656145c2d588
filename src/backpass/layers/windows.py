"""Sliding windows: what convolution and pooling have in common.

A window of size F visits W inputs, P zeros on each side of them, S steps apart; its elements lie D inputs apart, so
it spans D(F - 1) + 1.  The first window starts at 0, the last at the largest multiple of S that leaves it inside:

    number of windows = floor((W + 2P - D(F - 1) - 1) / S) + 1,        with D = 1: (W - F + 2P) / S + 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .base import Array, Shape, expect, require

Pair = tuple[int, int]


def output_size(W: int, F: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Return how many windows of size F fit into W inputs with `padding` zeros on each side: (W - F + 2P) / S + 1.

    Examples
    --------
    >>> output_size(7, 3), output_size(7, 3, stride=2), output_size(7, 3, padding=1)
    (5, 3, 7)
    >>> output_size(227, 11, stride=4)  # the first layer of AlexNet
    55
    """
    return (W + 2 * padding - dilation * (F - 1) - 1) // stride + 1


def as_pair(value: int | Sequence[int], owner: object, argument: str, least: int) -> Pair:
    """Return (vertical, horizontal) from one whole number or two; raise ArgumentError below `least`.

    Examples
    --------
    >>> as_pair(3, "Conv", "kernel_size", 1), as_pair((3, 5), "Conv", "kernel_size", 1)
    ((3, 3), (3, 5))
    """
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in both)
    expected = f"a whole number >= {least}, or two of them (vertical, horizontal)"
    require(whole and len(both) == 2 and min(both) >= least, owner, argument, expected, value)
    return int(both[0]), int(both[1])


def windows_that_fit(owner: object, padded: Pair, size: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pair:
    """Return (H', W'), the number of windows in an image of `padded` size; raise ShapeError if not even one fits."""
    counts = [
        output_size(*each, stride=s, dilation=d) for *each, s, d in zip(padded, size, stride, dilation, strict=True)
    ]
    if min(counts) < 1:
        spans = tuple(d * (f - 1) + 1 for f, d in zip(size, dilation, strict=True))
        raise ShapeError(
            f"{type(owner).__name__}: expected an image at least as large as the window {spans}, got {padded} "
            "(padding included); use a smaller window or more padding"
        )
    return counts[0], counts[1]


def sliding_windows(x: Array, size: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Array:
    """Return a view (N, C, H', W', HH, WW) of an already padded x (N, C, H, W): all its windows, nothing copied.

    Examples
    --------
    >>> x = np.arange(9).reshape(1, 1, 3, 3)
    >>> sliding_windows(x, (2, 2), (1, 1))[0, 0, 1, 0]  # the window whose corner is at row 1, column 0
    array([[3, 4],
           [6, 7]])
    """
    spans = tuple(d * (f - 1) + 1 for f, d in zip(size, dilation, strict=True))
    every = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(2, 3))
    return every[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def add_windows(dwindows: Array, x_shape: Shape, stride: Pair, dilation: Pair = (1, 1)) -> Array:
    """Add the windows back where `sliding_windows` took them from: the adjoint, an x-shaped sum of overlaps.

    Examples
    --------
    >>> add_windows(np.ones((1, 1, 2, 2, 2, 2)), (1, 1, 3, 3), (1, 1))[0, 0]  # how many windows saw each input
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    _, _, rows, cols, HH, WW = dwindows.shape
    dx = np.zeros(x_shape, dwindows.dtype)
    for i in range(HH):
        for j in range(WW):
            top, left = i * dilation[0], j * dilation[1]
            seen = dx[:, :, top : top + rows * stride[0] : stride[0], left : left + cols * stride[1] : stride[1]]
            seen += dwindows[..., i, j]
    return dx


def check_pool(layer: Any) -> None:
    """Check the window of a pooling layer, and turn lists into tuples."""
    for name, least in (("size", 1), ("stride", 1), ("padding", 0)):
        value = getattr(layer, name)
        if name == "stride" and value is None:
            continue
        both = as_pair(value, layer, name, least)
        if isinstance(value, list):
            object.__setattr__(layer, name, both)  # comparable and hashable, as a frozen object should be
    size, padding = as_pair(layer.size, layer, "size", 1), as_pair(layer.padding, layer, "padding", 0)
    fits = padding[0] < size[0] and padding[1] < size[1]
    require(fits, layer, "padding", f"less than the window {size}, so that each window sees something", layer.padding)


def pooled_shape(layer: Any, x: Shape) -> Shape:
    """Return the output shape of a pooling layer."""
    N, C, H, W = expect(layer, x, "N C H W")
    size, (top, left) = as_pair(layer.size, layer, "size", 1), as_pair(layer.padding, layer, "padding", 0)
    step = size if layer.stride is None else as_pair(layer.stride, layer, "stride", 1)
    return (N, C, *windows_that_fit(layer, (H + 2 * top, W + 2 * left), size, step))
