"""What a loss is: a number for a batch of scores, and its gradient by the scores.

A loss object is a frozen dataclass of hyperparameters.  Every loss is a weighted mean over the samples of the batch,

    loss = Σ_n weights[n] losses[n],   weights[n] = v[n] / Σ v,   v[n] = class_weights[y[n]] · sample_weights[n]

(1/N without weights; a batch whose v are all zero has loss 0 and gradient 0).  The references take the normalised weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..layers.base import Array, Call, Shape


class Loss:
    """The base of every loss; a subclass is a frozen dataclass and is registered by its name.

    A subclass gives `check` and `reference`, and, where speed matters, `kernel`.
    """

    registry: ClassVar[dict[str, type[Loss]]] = {}
    wants: ClassVar[str] = "class labels"  # or "targets", real numbers

    def __init_subclass__(cls) -> None:
        Loss.registry[cls.__name__] = cls

    def check(self, scores_shape: Shape, y: Any, sample_weights: Any = None) -> Array:
        """Return the targets in the form that `reference` and `kernel` take; raise if they do not fit.

        Parameters
        ----------
        scores_shape : tuple of int
            (N, C): samples and classes (outputs).
        y : array
            Labels (N,) from 0 to C-1; for MSELoss targets of the shape of the scores.
        sample_weights : array (N,), optional
            At least one above zero, none negative.

        Returns
        -------
        ndarray
            Labels as int64, targets as float64.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
        """
        raise TypeError(f"{type(self).__name__} must define check(scores_shape, y, sample_weights)")

    def reference(self, scores: Array, y: Array, sample_weights: Array | None = None) -> tuple[float, Array]:
        """Return the loss and its gradient by the scores, in NumPy; the arguments are checked before."""
        raise TypeError(f"{type(self).__name__} must define reference(scores, y, sample_weights)")

    def kernel(self, loss: Array, dscores: Array, scores: Array, y: Array, sample_weights: Array | None = None) -> Call:
        """Return a bound call that does the same.

        Parameters
        ----------
        loss : array (1,) of float64
            Overwritten.
        dscores : array (N, C)
            Overwritten; float32 or float64, as scores.
        scores : array (N, C)
        y : array
            As `check` returns it.
        sample_weights : array (N,), optional
            In the dtype of the scores.
        """

        def call() -> None:
            loss[0], dscores[...] = self.reference(scores, y, sample_weights)

        return call


def mean_weights(
    labels: Array, dtype: Any, class_weights: Sequence[float] | None = None, sample_weights: Array | None = None
) -> Array:
    """Return the weights of the mean over the batch, (N,); they add up to 1.

    Examples
    --------
    >>> mean_weights(np.array([0, 1, 1]), np.float64, class_weights=(2.0, 1.0))
    array([0.5 , 0.25, 0.25])
    """
    weights = np.ones(len(labels)) if class_weights is None else np.array(class_weights)[labels]
    if sample_weights is not None:
        weights = weights * sample_weights
    total = weights.sum()
    return (weights / total if total > 0 else 0 * weights).astype(dtype)


def check_classes(owner: Loss, scores_shape: Shape, class_weights: Sequence[float] | None) -> tuple[int, int]:
    """Return N and C of the scores; raise ShapeError unless they are (N, C) and there are C class weights."""
    name = type(owner).__name__
    if len(scores_shape) != 2 or scores_shape[0] < 1 or scores_shape[1] < 2:
        raise ShapeError(
            f"{name}: expected scores of shape (N, C) with at least one sample and two classes, got {tuple(scores_shape)}"
        )
    N, C = scores_shape
    if class_weights is not None and len(class_weights) != C:
        raise ShapeError(f"{name}: class_weights: expected one for each of the {C} classes, got {len(class_weights)}")
    return N, C


def check_labels(owner: Loss, N: int, C: int, y: Any) -> Array:
    """Return labels as a contiguous int64 array (N,), or raise.

    Examples
    --------
    >>> from backpass.losses import SVMLoss
    >>> check_labels(SVMLoss(), 2, 3, [2, 0])
    array([2, 0])
    """
    name = type(owner).__name__
    y = np.asarray(y)
    if y.shape != (N,):
        hint = ""
        if y.shape == (N, C):
            hint = "; if they are one-hot rows, y.argmax(axis=1) makes labels of them"
        elif y.size == N:
            hint = "; y.reshape(-1) makes it so"
        raise ShapeError(f"{name}: y: expected one label for each sample, shape ({N},), got {y.shape}{hint}")
    if y.dtype.kind not in "iubf":
        raise DTypeError(
            f"{name}: y: expected labels as whole numbers, got dtype {y.dtype}; "
            "np.unique(y, return_inverse=True) numbers classes that have names"
        )
    # Compared as they came: a cast could turn NaN, 2.5 or 2**63 into a label.
    wrong = ~((y >= 0) & (y < C) & (y == np.floor(y))) if y.dtype.kind != "b" else np.zeros(N, bool)
    if wrong.any():
        n = int(wrong.argmax())
        raise ArgumentError(f"{name}: y: expected whole numbers from 0 to {C - 1}, got {y[n]} at sample {n}")
    return np.ascontiguousarray(y, dtype=np.int64)


def check_sample_weights(owner: Loss, N: int, sample_weights: Any) -> None:
    """Raise unless sample weights are missing or N numbers >= 0 with at least one above zero."""
    if sample_weights is None:
        return
    values = np.asarray(sample_weights)
    if values.shape != (N,):
        raise ShapeError(
            f"{type(owner).__name__}: sample_weights: expected one for each sample, shape ({N},), got {values.shape}"
        )
    check_weights(owner, "sample_weights", values)


def check_weights(owner: Loss, argument: str, values: Any) -> tuple[float, ...]:
    """Return weights as floats, or raise: they must be finite and >= 0, with at least one above zero."""
    name = type(owner).__name__
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iubf":
        raise DTypeError(f"{name}: {argument}: expected a list of numbers, got {values!r}")
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        n = int(wrong.argmax())
        raise ArgumentError(f"{name}: {argument}: expected finite numbers >= 0, got {array[n]} at index {n}")
    if not (array > 0).any():
        raise ArgumentError(f"{name}: {argument}: expected at least one above zero, got none")
    return tuple(float(value) for value in array)


def check_scores(owner: Loss, scores: Any) -> Array:
    """Return scores as a float32 or float64 array; raise unless they are finite numbers."""
    name = type(owner).__name__
    scores = np.asarray(scores)
    if scores.dtype.kind in "iub":
        scores = scores.astype(np.float64)
    if scores.dtype not in (np.float32, np.float64):
        raise DTypeError(f"{name}: scores: expected float32 or float64, got {scores.dtype}")
    if not np.isfinite(scores).all():
        bad = tuple(int(i) for i in np.argwhere(~np.isfinite(scores))[0])
        raise ArgumentError(f"{name}: scores: expected finite numbers, got {scores[bad]} at {bad}")
    return scores
