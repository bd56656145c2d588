"""Dropout: in training, each value is zeroed with a given probability and the others are scaled up.

    out = x factor,   factor = 0 with probability drop_prob, else 1 / (1 - drop_prob)

Source
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov 2014, "Dropout: a simple way to prevent neural networks from
    overfitting", JMLR 15, sections 4 and 10 ("inverted": the scaling happens in training).

Derivation
    The factor does not depend on x, so dx = dout·factor: a zeroed value gets no gradient, the others a larger one.
    E[factor] = (1 - drop_prob) / (1 - drop_prob) = 1, so that the mean of out is x and prediction leaves x as it is.

Shapes
    x, out, dx, dout: any shape (N, ...).  Cache: kept, uint8 of the same shape, 1 where a value stays.

Dtype
    That of x.

Cost
    Forward reads x, draws a random word per element and writes out and kept; backward reads dout and kept and writes dx.
    Reading a byte is four to five times faster than drawing again.  Prediction, and drop_prob = 0, cost nothing.

Errors
    ShapeError for an input without a batch dimension; ArgumentError for a drop_prob outside [0, 1).

Conventions
    `drop_prob` is the chance of being zeroed, as PyTorch's p and Keras' rate; the course's p is the chance of being kept.
    What is drawn is a function of seed, layer, step and element (`backpass.philox`): the same for any number of threads,
    for float32 and float64, for kernel and reference, and after a resume.  An element is zeroed when its 32-bit word is
    below drop_prob·2^32, rounded.  NaN and infinity are not hidden: a zeroed NaN is NaN, as in PyTorch.

Example
    >>> import numpy as np
    >>> from backpass.layers.dropout import dropout_backward, dropout_forward
    >>> seed_layer_step = np.array([0, 1, 0], np.uint64)
    >>> out, cache = dropout_forward(np.ones((2, 4)), seed_layer_step, drop_prob=0.5)
    >>> out
    array([[0., 2., 0., 0.],
           [0., 2., 2., 0.]])
    >>> dropout_backward(np.full((2, 4), 3.0), cache)
    array([[0., 6., 0., 0.],
           [0., 6., 6., 0.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import native
from ..philox import random_words
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect, is_number, require


def drop_threshold(drop_prob: float) -> int:
    """Return the 32-bit word below which an element is zeroed.

    Examples
    --------
    >>> drop_threshold(0.25) == 2**30
    True
    """
    return min(round(drop_prob * 2**32), 2**32 - 1)


def dropout_forward(x: Array, random: Array, *, drop_prob: float) -> tuple[Array, Cache]:
    """Zero some values by the words drawn for `random` = (seed, layer, step); return out and the cache."""
    words = random_words(random, x.size).reshape(x.shape)
    kept = words >= drop_threshold(drop_prob)
    factor = kept.astype(x.dtype) / x.dtype.type(1 - drop_prob)
    out = x * factor
    return out, Cache(kept=kept, factor=factor, scale=1 / (1 - drop_prob))


def dropout_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back through the product; the factor is constant."""
    return dout * cache.factor


def dropout_backward(dout: Array, cache: Cache) -> Array:
    """Go back by one bit per element."""
    return dout * (cache.kept * dout.dtype.type(cache.scale))


def dropout_infer(x: Array) -> Array:
    """Return x: prediction drops nothing."""
    return x


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout; see `backpass.layers.dropout` for the mathematics.

    Parameters
    ----------
    drop_prob : float
        The chance of being zeroed, in [0, 1).

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Dropout(0.2).declare((4, 3)).cache
    {'kept': ((4, 3), 'uint8')}
    """

    drop_prob: float = 0.5

    reference = Reference(dropout_forward, dropout_backward, dropout_backward_staged, dropout_infer)
    in_place = True

    def __post_init__(self) -> None:
        fits = is_number(self.drop_prob) and 0 <= self.drop_prob < 1
        require(fits, self, "drop_prob", "a chance of being zeroed in [0, 1)", self.drop_prob)

    @property
    def scale(self) -> float:
        """What a value that stays is multiplied by."""
        return 1 / (1 - self.drop_prob)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        shape = expect(self, x, "N ...")
        return Declared(out=shape, cache={"kept": (shape, "uint8")}, reads=(), random=True)

    def is_view(self, *, training: bool) -> bool:
        """Whether nothing is dropped: in prediction, and for drop_prob = 0."""
        return not training or self.drop_prob == 0

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.dropout_forward(out, c.kept, x, c.random, drop_threshold(self.drop_prob), self.scale)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.dropout_backward(dx, dout, c.kept, self.scale)

    def infer_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
        """Return None: prediction is a view, no kernel runs."""


CASES = [
    (Dropout(), (5, 7)),
    (Dropout(drop_prob=0.9), (1, 3)),
    (Dropout(drop_prob=0.25), (2, 3, 4, 5)),
    (Dropout(drop_prob=0.1), (33, 67)),
    (Dropout(drop_prob=0.0), (4, 6)),
]
