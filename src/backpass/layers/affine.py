"""Affine (fully connected) layer: every output is a weighted sum of all inputs plus a bias.

    out = x w + b

Source
    Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors", eq. 1 and 4-6.

Derivation
    out[n, m] = Σ_d x[n, d] w[d, m] + b[m].  A weight w[d, m] enters out[n, m] for every sample n with the factor
    x[n, d], so dw[d, m] = Σ_n x[n, d] dout[n, m], that is dw = xᵀ dout.  An input x[n, d] enters out[n, m] for every m
    with the factor w[d, m]: dx = dout wᵀ.  A bias enters every sample with the factor 1: db = Σ_n dout[n].
    The shapes alone nearly decide this: (D, N)(N, M) is the only product of x and dout that has the shape of w.

Shapes
    x (N, d1, ..., dk), flattened in C order to (N, D), D = d1·...·dk; w (D, M); b (M,); out (N, M).

Dtype
    That of x; w and b have the same.

Cost
    2·N·D·M operations forward, twice that backward.  Saves x and w, which exist anyway.

Errors
    ShapeError for an input without a batch dimension; ArgumentError for a width below 1.

Conventions
    w is (D, M), as in the course and Keras; PyTorch's Linear stores its transpose (M, D).

Example
    >>> import numpy as np
    >>> from backpass.layers.affine import affine_backward, affine_forward
    >>> x, w, b = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]]), np.zeros(3)
    >>> out, cache = affine_forward(x, w, b)
    >>> out
    array([[ 1.,  2., 11.]])
    >>> dx, dw, db = affine_backward(np.array([[1.0, 1.0, 1.0]]), cache)
    >>> dx
    array([[4., 5.]])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import native
from ..init import Constant, He
from .base import Array, Cache, Call, Declared, Init, Layer, Param, Reference, Shape, expect, require


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, Cache]:
    """Return x w + b and the cache."""
    rows = x.reshape(len(x), -1)  # (N, D)
    product = rows @ w  # (N, M)
    out = product + b  # (N, M)
    return out, Cache(x=x, w=w, rows=rows)


def affine_backward_staged(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back line by line, bottom to top."""
    db = dout.sum(axis=0)
    dproduct = dout
    dw = cache.rows.T @ dproduct
    drows = dproduct @ cache.w.T
    dx = drows.reshape(cache.x.shape)
    return dx, dw, db


def affine_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back in one expression each: dx = dout wᵀ, dw = xᵀ dout, db = Σ dout."""
    return (dout @ cache.w.T).reshape(cache.x.shape), cache.rows.T @ dout, dout.sum(axis=0)


@dataclass(frozen=True)
class Affine(Layer):
    """Fully connected layer of `width` outputs; see `backpass.layers.affine` for the mathematics.

    Parameters
    ----------
    width : int
        How many outputs, M.
    init : callable (rng, shape) -> array
        Draws the weights; biases start at zero.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Affine(10).declare((4, 3, 2)).params["w"].shape
    (6, 10)
    """

    width: int
    init: Init = field(default=He())

    reference = Reference(affine_forward, affine_backward, affine_backward_staged)
    overwrites = ("w",)

    def __post_init__(self) -> None:
        whole = isinstance(self.width, (int, np.integer)) and not isinstance(self.width, bool)
        require(whole and self.width >= 1, self, "width", "a whole number of outputs >= 1", self.width)
        require(callable(self.init), self, "init", "a function (rng, shape) -> array such as bp.init.He()", self.init)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, *features = expect(self, x, "N ...")
        D, M = int(np.prod(features)), int(self.width)
        return Declared(
            out=(N, M),
            params={"w": Param((D, M), self.init, "weight"), "b": Param((M,), Constant(0.0), "bias")},
        )

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.affine_forward(out, x, p.w, p.b, 0)

    def backward_kernel(
        self,
        dx: Array | None,
        dout: Array,
        x: Array,
        out: Array,
        p: Any,
        g: Any,
        c: Any,
        *,
        accumulate: bool = True,
    ) -> Call:
        """Bind the backward kernel."""
        return native.affine_backward(dx, g.w, g.b, dout, x, p.w, int(accumulate))


CASES = [
    (Affine(5), (4, 3)),
    (Affine(1), (1, 1)),
    (Affine(7), (3, 2, 5)),
    (Affine(33), (17, 65)),
]
