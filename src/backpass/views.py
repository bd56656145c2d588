"""Test-time augmentation: the scores of a picture are the mean over several views of it.

Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", section 4.1 (mirrored and
shifted views); the weights of flip+translate: Jordan 2024, arXiv:2404.00498, section 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .basics import Array, require
from .errors import ShapeError

KINDS = ("none", "flip", "flip+translate")


def views(x: Array, tta: str) -> Iterator[tuple[float, Array]]:
    """Yield (weight, pictures) whose weighted scores are added; the weights add up to 1.

    Parameters
    ----------
    x : array (N, C, H, W)
        Of any shape for "none".
    tta : {"none", "flip", "flip+translate"}
        "flip" is the picture and its mirror image; "flip+translate" takes half of that, and half from the same of the picture
        moved by one pixel up and left, and down and right (what comes in is mirrored at the edge).

    Raises
    ------
    ArgumentError
        If there is no such kind.
    ShapeError
        If x does not hold pictures, or none of two pixels and more for "flip+translate".

    Examples
    --------
    >>> x = np.array([[[[1, 2, 3], [4, 5, 6]]]])
    >>> [(weight, view[0, 0].tolist()) for weight, view in views(x, "flip")]
    [(0.5, [[1, 2, 3], [4, 5, 6]]), (0.5, [[3, 2, 1], [6, 5, 4]])]
    """
    require(tta in KINDS, "predict", "tta", f"one of {', '.join(KINDS)}", tta)
    if tta == "none":
        yield 1.0, x
        return
    moves = tta == "flip+translate"
    if x.ndim != 4 or (moves and min(x.shape[2:]) < 2):
        raise ShapeError(f"predict: tta={tta!r}: expected pictures (N, C, H, W), got x of shape {x.shape}")
    yield from ((0.25 if moves else 0.5, view) for view in (x, x[..., ::-1]))
    if moves:
        H, W = x.shape[2:]
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
        for top, left in ((2, 2), (0, 0)):
            moved = padded[:, :, top : top + H, left : left + W]
            yield from ((0.125, view) for view in (moved, moved[..., ::-1]))
