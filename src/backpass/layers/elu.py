"""Exponential linear unit: positive values pass, negative ones approach -alpha smoothly.

    out = x where x > 0, alpha (exp(x) - 1) elsewhere

Source
    Clevert, Unterthiner and Hochreiter 2016, "Fast and accurate deep network learning by exponential linear units (ELUs)",
    arXiv:1511.07289, eq. 16.

Derivation
    Above 0 the derivative is 1.  Below, growth = exp(negative) - 1 has the derivative exp(negative) = growth + 1, so
    dx = dout·alpha·(growth + 1) = dout·(out + alpha): the output knows its own derivative, and x is not needed.
    For alpha > 0, out > 0 exactly where x > 0, so the output also tells the branch.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x.

Cost
    Forward reads x, computes an exponential and writes out; backward reads dout and out and writes dx.  Saves nothing
    besides out.

Errors
    ShapeError for an input without a batch dimension; ArgumentError for an alpha that is not positive and finite.

Conventions
    At 0 the derivative is alpha, as in PyTorch.  exp(x) - 1 is computed without cancellation, so that tiny negative
    values keep their digits, and only for x <= 0, so that it never overflows.

Example
    >>> import numpy as np
    >>> from backpass.layers.elu import elu_backward, elu_forward
    >>> out, cache = elu_forward(np.array([[-np.log(2), 0.0, 2.0]]), alpha=1.0)
    >>> out
    array([[-0.5,  0. ,  2. ]])
    >>> elu_backward(np.array([[4.0, 6.0, 7.0]]), cache)
    array([[2., 6., 7.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect, is_number, require


def elu_forward(x: Array, *, alpha: float) -> tuple[Array, Cache]:
    """Return x or alpha (exp(x) - 1), and the cache."""
    negative = np.minimum(x, 0)
    growth = np.expm1(negative)
    out = np.where(x > 0, x, alpha * growth)
    return out, Cache(alpha=alpha, x=x, growth=growth, out=out)


def elu_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    dgrowth = np.where(cache.x > 0, 0, cache.alpha * dout)
    dnegative = dgrowth * (cache.growth + 1)
    return np.where(cache.x > 0, dout, dnegative)


def elu_backward(dout: Array, cache: Cache) -> Array:
    """Go back by the output alone: the derivative is 1, or out + alpha."""
    return np.where(cache.out > 0, dout, dout * (cache.out + cache.alpha))


@dataclass(frozen=True)
class ELU(Layer):
    """Exponential linear unit; see `backpass.layers.elu` for the mathematics.

    Parameters
    ----------
    alpha : float
        What large negative inputs approach, with a minus sign; positive.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.ELU().declare((4, 3)).out
    (4, 3)
    """

    alpha: float = 1.0

    reference = Reference(elu_forward, elu_backward, elu_backward_staged)
    in_place = True

    def __post_init__(self) -> None:
        require(is_number(self.alpha) and self.alpha > 0, self, "alpha", "a finite number > 0", self.alpha)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=("out",))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.elu_forward(out, x, float(self.alpha))

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.elu_backward(dx, dout, out, float(self.alpha))


CASES = [
    (ELU(), (5, 7)),
    (ELU(alpha=0.5), (1, 3)),
    (ELU(alpha=2.0), (2, 3, 4, 5)),
    (ELU(), (33, 67)),
]
