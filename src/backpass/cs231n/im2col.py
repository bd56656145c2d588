"""Windows of images as the columns of a matrix, in the course's order: rows (c, i, j), columns (h, w, n), n fastest.

Examples
--------
>>> import numpy as np
>>> x = np.arange(9.0).reshape(1, 1, 3, 3)
>>> im2col_indices(x, 2, 2, padding=0)
array([[0., 1., 3., 4.],
       [1., 2., 4., 5.],
       [3., 4., 6., 7.],
       [4., 5., 7., 8.]])
"""

from __future__ import annotations

import numpy as np

from ..layers.base import Array, Shape
from ..layers.windows import add_windows, output_size, sliding_windows
from .layers import check_window

__all__ = ["col2im_indices", "get_im2col_indices", "im2col_indices"]


def get_im2col_indices(
    x_shape: Shape, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> tuple[Array, Array, Array]:
    """Return (k, i, j): channel (R, 1), row and column (R, P) in the padded image of each element of the matrix.

    R = C·field_height·field_width, P = H'·W'; `padded[:, k, i, j]` is (N, R, P).
    """
    _, C, H, W = x_shape
    rows = output_size(H, field_height, stride=stride, padding=padding)
    cols = output_size(W, field_width, stride=stride, padding=padding)
    k, i, j = (a.reshape(-1, 1) for a in np.indices((C, field_height, field_width)))
    top, left = (stride * a.reshape(1, -1) for a in np.indices((rows, cols)))
    return k, i + top, j + left


def im2col_indices(x: Array, field_height: int, field_width: int, padding: int = 1, stride: int = 1) -> Array:
    """Return the windows of x (N, C, H, W) as columns: (C·field_height·field_width, H'·W'·N)."""
    check_window(x, (field_height, field_width), padding, None)
    xpad = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_windows(xpad, (field_height, field_width), (stride, stride))  # (N, C, H', W', HH, WW)
    return windows.transpose(1, 4, 5, 2, 3, 0).reshape(x.shape[1] * field_height * field_width, -1)


def col2im_indices(
    cols: Array, x_shape: Shape, field_height: int = 3, field_width: int = 3, padding: int = 1, stride: int = 1
) -> Array:
    """Add the columns up where `im2col_indices` took them from: its adjoint, of shape `x_shape`."""
    N, C, H, W = x_shape
    rows = output_size(H, field_height, stride=stride, padding=padding)
    columns = output_size(W, field_width, stride=stride, padding=padding)
    windows = cols.reshape(C, field_height, field_width, rows, columns, N).transpose(5, 0, 3, 4, 1, 2)
    dxpad = add_windows(windows, (N, C, H + 2 * padding, W + 2 * padding), (stride, stride))
    return dxpad[:, :, padding : padding + H, padding : padding + W]
