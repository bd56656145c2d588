"""The course's pictures: images in a grid, and training curves.

Examples
--------
>>> import numpy as np
>>> visualize_grid(np.zeros((5, 4, 4, 3))).shape  # 3 x 3 places of 4 x 4, one pixel between
(14, 14, 3)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np

from ..errors import MissingExtraError, ShapeError
from ..layers.base import Array

__all__ = ["imshow_no_ax", "plot_training_history", "vis_grid", "vis_nn", "visualize_grid"]


def _stretched(image: Array, ubound: float) -> Array:
    """Return the image from 0 to ubound; a constant image is black."""
    low, high = image.min(), image.max()
    return np.zeros(image.shape) if high == low else ubound * (image - low) / (high - low)


def visualize_grid(Xs: Array, ubound: float = 255.0, padding: int = 1) -> Array:
    """Return images (N, H, W, C) side by side in a square grid, each stretched to 0 ... ubound."""
    if Xs.ndim != 4:
        raise ShapeError(f"visualize_grid: expected images (N, H, W, C), got {Xs.shape}")
    return _grid([_stretched(x, ubound) for x in Xs], Xs.shape[1:], padding, 0.0)


def _grid(images: Sequence[Array], shape: tuple[int, ...], padding: int, background: float) -> Array:
    H, W, C = shape
    side = ceil(sqrt(len(images)))
    grid = np.full((side * (H + padding) - padding, side * (W + padding) - padding, C), background)
    for n, image in enumerate(images):
        top, left = n // side * (H + padding), n % side * (W + padding)
        grid[top : top + H, left : left + W] = image
    return grid


def vis_grid(Xs: Array) -> Array:
    """Return images (N, H, W, C) in a square grid, all stretched together to 0 ... 1."""
    return _stretched(_grid(list(Xs), Xs.shape[1:], 1, float(Xs.max())), 1.0)


def vis_nn(rows: Sequence[Sequence[Array]]) -> Array:
    """Return rows of images (H, W, C), all stretched together to 0 ... 1."""
    H, W, C = rows[0][0].shape
    most = max(float(np.max(x)) for row in rows for x in row)
    grid = np.full((len(rows) * (H + 1) - 1, max(map(len, rows)) * (W + 1) - 1, C), most)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            grid[i * (H + 1) : i * (H + 1) + H, j * (W + 1) : j * (W + 1) + W] = image
    return _stretched(grid, 1.0)


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingExtraError("plots need matplotlib: pip install 'backpass[plots]'") from None
    return plt


def imshow_no_ax(img: Array, normalize: bool = True) -> None:
    """Show an image without axes, stretched to 0 ... 255."""
    plt = _pyplot()
    plt.imshow((_stretched(np.asarray(img), 255.0) if normalize else np.asarray(img)).astype(np.uint8))
    plt.gca().axis("off")


def plot_training_history(
    title: str,
    label: str,
    baseline: Any,
    bn_solvers: Sequence[Any],
    plot_fn: Callable[[Any], Any],
    bl_marker: str = ".",
    bn_marker: str = ".",
    labels: Sequence[Any] | None = None,
) -> None:
    """Plot `plot_fn` of a baseline solver (if any) and of others into the current axes."""
    plt = _pyplot()
    plt.title(title)
    plt.xlabel(label)
    for n, solver in enumerate(bn_solvers):
        plt.plot(plot_fn(solver), bn_marker, label=f"with_norm{'' if labels is None else labels[n]}")
    if baseline is not None:
        plt.plot(plot_fn(baseline), bl_marker, label=f"baseline{'' if labels is None else labels[0]}")
    plt.legend(loc="lower center", ncol=max(len(bn_solvers) + 1, 1))
