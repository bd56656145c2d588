"""Softmax cross-entropy: scores become probabilities, and the loss is the surprise at the right class.

    p[n, c] = exp(scores[n, c]) / Σ_k exp(scores[n, k])
    losses[n] = -Σ_c target[n, c] log p[n, c],   loss = Σ_n weights[n] losses[n]
    target[n] = 1 at y[n], 0 elsewhere; with smoothing ε: (1 - ε)·that + ε/C

Source
    Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs", eq. 10 and 17-18; label
    smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.

Derivation
    log p[c] = scores[c] - log Σ_k exp(scores[k]), so ∂ log p[c] / ∂ scores[j] = [c = j] - p[j].  Hence
    ∂ losses / ∂ scores[j] = -Σ_c target[c] ([c = j] - p[j]) = p[j] Σ_c target[c] - target[j] = p[j] - target[j], since the
    targets of a sample add up to 1: the gradient is what was predicted minus what was wanted, times weights[n].
    Stable: p does not change when the same number is taken from all scores of a row; with the largest taken away no
    exponent is above 0, nothing overflows, and the sum is at least 1, so its logarithm is never that of 0.

Shapes
    scores, dscores (N, C); y (N,) whole numbers in [0, C); weights (N,).

Dtype
    dscores that of scores; the loss is summed in float64.

Cost
    One pass over scores and one over dscores; N·C exponentials.  Saves nothing.

Errors
    ShapeError, DTypeError, ArgumentError for labels out of range, not whole or one-hot, for negative weights or none above
    zero, an empty batch, scores that are not finite.

Conventions
    The mean over the batch, as in the course (`softmax_loss`) and PyTorch (cross_entropy).  Weights as in PyTorch: the
    weighted mean.  With class weights and smoothing together, a sample counts with the weight of its label; PyTorch
    weighs every class in the smoothed target by its own instead.

Example
    >>> import numpy as np
    >>> from backpass.losses import softmax_loss
    >>> loss, dscores = softmax_loss(np.array([[0.0, 0.0], [1e4, 0.0]]), np.array([0, 0]))
    >>> print(round(loss, 6))  # the mean of log 2 and 0
    0.346574
    >>> dscores
    array([[-0.25,  0.25],
           [ 0.  ,  0.  ]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..layers.base import Array, Cache, Call, Shape, is_number, require
from .base import Loss, check_classes, check_labels, check_sample_weights, check_scores, check_weights, mean_weights


def softmax_forward(scores: Array, y: Array, weights: Array, *, label_smoothing: float) -> tuple[float, Cache]:
    """Return the loss and the cache; `weights` add up to 1."""
    C = scores.shape[1]
    onehot = np.eye(C, dtype=scores.dtype)[y]  # (N, C)
    target = (1 - label_smoothing) * onehot + label_smoothing / C  # (N, C)
    shifted = scores - scores.max(axis=1, keepdims=True)  # (N, C)
    exps = np.exp(shifted)  # (N, C)
    total = exps.sum(axis=1, keepdims=True)  # (N, 1)
    logp = shifted - np.log(total)  # (N, C)
    losses = -(target * logp).sum(axis=1)  # (N,)
    loss = np.sum(weights * losses, dtype=np.float64)
    return float(loss), Cache(target=target, weights=weights, exps=exps, total=total)


def softmax_backward_staged(cache: Cache) -> Array:
    """Go back line by line, bottom to top (the row's maximum is a constant: no choice of it changes the loss)."""
    dlosses = cache.weights
    dlogp = -cache.target * dlosses[:, None]
    dtotal = -dlogp.sum(axis=1, keepdims=True) / cache.total
    dexps = dtotal * np.ones_like(cache.exps)
    return dlogp + dexps * cache.exps  # dshifted, and shifted = scores - a constant


def softmax_backward(cache: Cache) -> Array:
    """Go back by the simplified formula: prediction minus target."""
    p = cache.exps / cache.total
    return (p - cache.target) * cache.weights[:, None]


@dataclass(frozen=True)
class SoftmaxLoss(Loss):
    """Softmax cross-entropy; see `backpass.losses.softmax` for the mathematics.

    Parameters
    ----------
    label_smoothing : float
        How much of the target is spread over all classes, in [0, 1).
    class_weights : sequence of C floats, optional
        How much samples of each class count; none negative.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.SoftmaxLoss(class_weights=[1, 2]).class_weights
    (1.0, 2.0)
    """

    label_smoothing: float = 0.0
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        fits = is_number(self.label_smoothing) and 0 <= self.label_smoothing < 1
        require(fits, self, "label_smoothing", "a number in [0, 1)", self.label_smoothing)
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
        loss, cache = softmax_forward(scores, y, weights, label_smoothing=self.label_smoothing)
        return loss, softmax_backward(cache)

    def kernel(self, loss: Array, dscores: Array, scores: Array, y: Array, sample_weights: Array | None = None) -> Call:
        """Bind the kernel."""
        class_weights = None if self.class_weights is None else np.array(self.class_weights, scores.dtype)
        smoothing = float(self.label_smoothing)
        return native.softmax_loss(dscores, scores, y, loss, sample_weights, class_weights, smoothing)


def softmax_loss(
    scores: Any,
    y: Any,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    sample_weights: Any = None,
) -> tuple[float, Array]:
    """Return the softmax cross-entropy of a batch and its gradient by the scores.

    Parameters
    ----------
    scores : array (N, C)
        Finite; float32 or float64 (whole numbers count as float64).
    y : array (N,)
        Labels, from 0 to C-1.
    label_smoothing : float
        How much of the target is spread over all classes, in [0, 1).
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
    >>> loss, dscores = softmax_loss([[0, 0, 0]], [1])
    >>> print(round(loss, 4), dscores.round(4))  # log 3, and 1/3 - target
    1.0986 [[ 0.3333 -0.6667  0.3333]]
    """
    kind = SoftmaxLoss(label_smoothing, class_weights)
    scores = check_scores(kind, scores)
    y = kind.check(scores.shape, y, sample_weights)
    return kind.reference(scores, y, None if sample_weights is None else np.asarray(sample_weights))


CASES = [
    (SoftmaxLoss(), (4, 3)),
    (SoftmaxLoss(), (1, 2)),
    (SoftmaxLoss(label_smoothing=0.1), (17, 10)),
    (SoftmaxLoss(class_weights=(1.0, 0.5, 0.0, 2.0)), (9, 4)),
    (SoftmaxLoss(label_smoothing=0.2), (700, 33)),
]
