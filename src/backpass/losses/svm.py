"""Multiclass support vector machine (hinge) loss: the right class must win by a margin.

    losses[n] = Σ_{c ≠ y[n]} max(0, scores[n, c] - scores[n, y[n]] + margin),   loss = Σ_n weights[n] losses[n]

Source
    Weston and Watkins 1999, "Support vector machines for multi-class pattern recognition", eq. 4-5.

Derivation
    Only wrong classes whose gap = scores[c] - scores[y] + margin is above zero count.  Each has the derivative 1 by its
    own score and -1 by the right class's, so dscores[n, c] = weights[n] [gap > 0] for the wrong classes, and
    dscores[n, y[n]] is minus their sum: how many classes break the margin.

Shapes
    scores, dscores (N, C); y (N,) whole numbers in [0, C); weights (N,).

Dtype
    dscores that of scores; the loss is summed in float64.

Cost
    One pass over scores and one over dscores.  Saves nothing.

Errors
    ShapeError, DTypeError, ArgumentError for labels out of range, not whole or one-hot, for negative weights or none above
    zero, an empty batch, scores that are not finite.

Conventions
    The sum over wrong classes and the mean over the batch, as in the course (`svm_loss`); PyTorch's multi_margin_loss
    divides by C besides.  At a gap of exactly zero, where there is no derivative, the gradient is 0, as in relu.

Example
    >>> import numpy as np
    >>> from backpass.losses import svm_loss
    >>> loss, dscores = svm_loss(np.array([[3.0, 2.5, -1.0]]), np.array([0]))
    >>> loss, dscores  # class 1 is within the margin by 0.5
    (0.5, array([[-1.,  1.,  0.]]))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..layers.base import Array, Cache, Call, Shape, is_number, require
from .base import Loss, check_classes, check_labels, check_sample_weights, check_scores, check_weights, mean_weights


def svm_forward(scores: Array, y: Array, weights: Array, *, margin: float) -> tuple[float, Cache]:
    """Return the loss and the cache; `weights` add up to 1."""
    N, C = scores.shape
    wrong = 1 - np.eye(C, dtype=scores.dtype)[y]  # (N, C)
    right = scores[np.arange(N), y]  # (N,)
    gaps = scores - right[:, None] + margin  # (N, C)
    hinges = np.maximum(gaps, 0)  # (N, C)
    losses = (wrong * hinges).sum(axis=1)  # (N,)
    loss = np.sum(weights * losses, dtype=np.float64)
    return float(loss), Cache(y=y, weights=weights, wrong=wrong, gaps=gaps)


def svm_backward_staged(cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    dlosses = cache.weights
    dhinges = cache.wrong * dlosses[:, None]
    dgaps = dhinges * (cache.gaps > 0)
    dright = -dgaps.sum(axis=1)
    dscores = dgaps.copy()
    dscores[np.arange(len(dscores)), cache.y] += dright
    return dscores


def svm_backward(cache: Cache) -> Array:
    """Go back by counting: 1 for every class that breaks the margin, minus their number for the right one."""
    broken = cache.wrong * (cache.gaps > 0)
    onehot = 1 - cache.wrong
    return (broken - onehot * broken.sum(axis=1, keepdims=True)) * cache.weights[:, None]


@dataclass(frozen=True)
class SVMLoss(Loss):
    """Multiclass hinge loss; see `backpass.losses.svm` for the mathematics.

    Parameters
    ----------
    margin : float
        By how much the right score must be above the others; positive.
    class_weights : sequence of C floats, optional
        How much samples of each class count; none negative.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.SVMLoss().margin
    1.0
    """

    margin: float = 1.0
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        require(is_number(self.margin) and self.margin > 0, self, "margin", "a finite number > 0", self.margin)
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", check_weights(self, "class_weights", self.class_weights))

    def check(self, scores_shape: Shape, y: Any, sample_weights: Any = None) -> Array:
        """Return the labels as int64; raise if labels or weights do not fit the scores."""
        N, C = check_classes(self, scores_shape, self.class_weights)
        check_sample_weights(self, N, sample_weights)
        return check_labels(self, N, C, y)

    def reference(self, scores: Array, y: Array, sample_weights: Array | None = None) -> tuple[float, Array]:
        """Return the loss and dscores."""
        weights = mean_weights(y, scores.dtype, self.class_weights, sample_weights)
        loss, cache = svm_forward(scores, y, weights, margin=self.margin)
        return loss, svm_backward(cache)

    def kernel(self, loss: Array, dscores: Array, scores: Array, y: Array, sample_weights: Array | None = None) -> Call:
        """Bind the kernel."""
        class_weights = None if self.class_weights is None else np.array(self.class_weights, scores.dtype)
        return native.svm_loss(dscores, scores, y, loss, sample_weights, class_weights, float(self.margin))


def svm_loss(
    scores: Any,
    y: Any,
    *,
    margin: float = 1.0,
    class_weights: Sequence[float] | None = None,
    sample_weights: Any = None,
) -> tuple[float, Array]:
    """Return the multiclass hinge loss of a batch and its gradient by the scores.

    Parameters
    ----------
    scores : array (N, C)
        Finite; float32 or float64 (whole numbers count as float64).
    y : array (N,)
        Labels, from 0 to C-1.
    margin : float
        By how much the right score must be above the others; positive.
    class_weights : sequence of C floats, optional
    sample_weights : array (N,), optional
        The loss is the mean weighted by both; none may be negative.

    Returns
    -------
    loss : float
    dscores : ndarray (N, C)
        In the dtype of the scores.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If anything does not fit; the message says what.

    Examples
    --------
    >>> svm_loss([[0, 0, 0]], [1])
    (2.0, array([[ 1., -2.,  1.]]))
    """
    kind = SVMLoss(margin, class_weights)
    scores = check_scores(kind, scores)
    y = kind.check(scores.shape, y, sample_weights)
    return kind.reference(scores, y, None if sample_weights is None else np.asarray(sample_weights))


CASES = [
    (SVMLoss(), (4, 3)),
    (SVMLoss(), (1, 2)),
    (SVMLoss(margin=0.3), (17, 10)),
    (SVMLoss(class_weights=(1.0, 0.5, 0.0, 2.0)), (9, 4)),
    (SVMLoss(), (700, 33)),
]
