"""Mean squared error, for targets that are numbers instead of classes.

    losses[n] = Σ_c (scores[n, c] - y[n, c])² / C,   loss = Σ_n weights[n] losses[n]

Source
    Gauss 1809, "Theoria motus corporum coelestium", section 179 (the method of least squares).

Derivation
    The derivative of (s - y)² by s is 2 (s - y), hence dscores = 2 (scores - y) weights[n] / C.

Shapes
    scores, y, dscores (N, d1, ..., dk), with C = d1·...·dk outputs for a sample; weights (N,).

Dtype
    dscores that of scores; the loss is summed in float64.

Cost
    One pass: reads scores and y, writes dscores.  Saves nothing.

Errors
    ShapeError if y has another shape than the scores (they are never broadcast); ArgumentError for targets, scores or
    weights that are not finite, for negative weights or none above zero.

Conventions
    The mean over outputs as well as samples, as in PyTorch (mse_loss) and Keras; textbooks often have the sum over outputs
    and a factor 1/2.

Example
    >>> import numpy as np
    >>> from backpass.losses import mse_loss
    >>> loss, dscores = mse_loss(np.array([[1.0, 5.0]]), np.array([[1.0, 2.0]]))
    >>> loss, dscores
    (4.5, array([[0., 3.]]))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..errors import ArgumentError, DTypeError, ShapeError
from ..layers.base import Array, Cache, Call, Shape
from .base import Loss, check_sample_weights, check_scores, mean_weights


def mse_forward(scores: Array, y: Array, weights: Array) -> tuple[float, Cache]:
    """Return the loss and the cache; `weights` add up to 1."""
    N = len(scores)
    error = scores - y  # (N, d1, ..., dk)
    squares = error.astype(np.float64) ** 2  # (N, d1, ..., dk); float32 would overflow at 2e19
    losses = squares.reshape(N, -1).mean(axis=1)  # (N,)
    loss = np.sum(weights * losses)
    return float(loss), Cache(scores=scores, weights=weights, error=error)


def mse_backward_staged(cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    N, C = len(cache.error), cache.error[0].size
    dlosses = cache.weights
    dsquares = (dlosses[:, None] / C * np.ones((N, C), cache.error.dtype)).reshape(cache.error.shape)
    return 2 * cache.error * dsquares  # derror, and error = scores - y


def mse_backward(cache: Cache) -> Array:
    """Go back by the simplified formula."""
    N, C = len(cache.error), cache.error[0].size
    return (cache.error.reshape(N, C) * (2 / C * cache.weights)[:, None]).reshape(cache.error.shape)


@dataclass(frozen=True)
class MSELoss(Loss):
    """Mean squared error; see `backpass.losses.mse` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.MSELoss().check((2, 1), [[1], [2]])
    array([[1.],
           [2.]])
    """

    wants = "targets"

    def check(self, scores_shape: Shape, y: Any, sample_weights: Any = None) -> Array:
        """Return the targets as float64; raise if targets or weights do not fit the scores."""
        if len(scores_shape) < 2 or min(scores_shape) < 1:
            raise ShapeError(f"MSELoss: expected scores of shape (N, C), at least (1, 1), got {tuple(scores_shape)}")
        y = np.asarray(y)
        if y.dtype.kind not in "iubf":
            raise DTypeError(f"MSELoss: y: expected numbers, got dtype {y.dtype}")
        if y.shape != tuple(scores_shape):
            hint = "; y.reshape(scores.shape) makes it so" if y.size == np.prod(scores_shape) else ""
            raise ShapeError(
                f"MSELoss: y: expected targets of the scores' shape {tuple(scores_shape)}, got {y.shape}{hint}"
            )
        if not np.isfinite(y).all():
            bad = tuple(int(i) for i in np.argwhere(~np.isfinite(y))[0])
            raise ArgumentError(f"MSELoss: y: expected finite targets, got {y[bad]} at {bad}")
        check_sample_weights(self, scores_shape[0], sample_weights)
        return np.ascontiguousarray(y, dtype=np.float64)

    def reference(self, scores: Array, y: Array, sample_weights: Array | None = None) -> tuple[float, Array]:
        """Return the loss and dscores."""
        weights = mean_weights(np.zeros(len(scores), np.int64), scores.dtype, None, sample_weights)
        loss, cache = mse_forward(scores, y.astype(scores.dtype, copy=False), weights)
        return loss, mse_backward(cache)

    def kernel(self, loss: Array, dscores: Array, scores: Array, y: Array, sample_weights: Array | None = None) -> Call:
        """Bind the kernel."""
        return native.mse_loss(dscores, scores, y, loss, sample_weights)


def mse_loss(scores: Any, y: Any, *, sample_weights: Any = None) -> tuple[float, Array]:
    """Return the mean squared error of a batch and its gradient by the scores.

    Parameters
    ----------
    scores : array (N, ...)
        Finite; float32 or float64 (whole numbers count as float64).
    y : array (N, ...)
        Targets, of the same shape.
    sample_weights : array (N,), optional
        The loss is the mean weighted by them; none may be negative.

    Returns
    -------
    loss : float
    dscores : ndarray (N, ...)
        In the dtype of the scores.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        If anything does not fit; the message says what.

    Examples
    --------
    >>> mse_loss([[3.0], [0.0]], [[1.0], [0.0]])
    (2.0, array([[2.],
           [0.]]))
    """
    kind = MSELoss()
    scores = check_scores(kind, scores)
    y = kind.check(scores.shape, y, sample_weights)
    return kind.reference(scores, y, None if sample_weights is None else np.asarray(sample_weights))


CASES = [
    (MSELoss(), (4, 3)),
    (MSELoss(), (1, 1)),
    (MSELoss(), (700, 33)),
    (MSELoss(), (5, 2, 3, 4)),
]
