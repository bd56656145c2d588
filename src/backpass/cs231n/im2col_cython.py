"""The names of the course's compiled columns, as NumPy: nothing is built, and oblong windows come out right.

Examples
--------
>>> import numpy as np
>>> cols = im2col_cython(np.ones((2, 1, 4, 5)), 2, 3, 0, 1)
>>> cols.shape, col2im_cython(cols, 2, 1, 4, 5, 2, 3, 0, 1).shape
((6, 18), (2, 1, 4, 5))
"""

from __future__ import annotations

from ..errors import ShapeError
from ..layers.base import Array
from ..layers.windows import add_windows
from .im2col import col2im_indices, im2col_indices

__all__ = ["col2im_6d_cython", "col2im_cython", "im2col_cython"]


def im2col_cython(x: Array, field_height: int, field_width: int, padding: int, stride: int) -> Array:
    """Return the windows of x (N, C, H, W) as columns (C·field_height·field_width, H'·W'·N), as `im2col_indices` does."""
    return im2col_indices(x, field_height, field_width, padding, stride)


def col2im_cython(
    cols: Array, N: int, C: int, H: int, W: int, field_height: int, field_width: int, padding: int, stride: int
) -> Array:
    """Add the columns of `im2col_cython` up where they came from: (N, C, H, W)."""
    return col2im_indices(cols, (N, C, H, W), field_height, field_width, padding, stride)


def col2im_6d_cython(
    cols: Array, N: int, C: int, H: int, W: int, field_height: int, field_width: int, padding: int, stride: int
) -> Array:
    """Add up columns of the shape (C, field_height, field_width, N, H', W'): (N, C, H, W)."""
    if cols.ndim != 6 or cols.shape[:4] != (C, field_height, field_width, N):
        wanted = (C, field_height, field_width, N)
        raise ShapeError(f"col2im_6d_cython: expected columns that begin with {wanted}, got {cols.shape}")
    windows = cols.transpose(3, 0, 4, 5, 1, 2)  # (N, C, H', W', field_height, field_width)
    padded = add_windows(windows, (N, C, H + 2 * padding, W + 2 * padding), (stride, stride))
    return padded[:, :, padding : padding + H, padding : padding + W]
