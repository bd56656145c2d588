"""Leaky rectified linear unit: positive values pass, negative ones shrink.

    out = x where x > 0, slope x elsewhere

Source
    Maas, Hannun and Ng 2013, "Rectifier nonlinearities improve neural network acoustic models", eq. 2.

Derivation
    Element by element the derivative is 1 where x > 0 and slope where x < 0; at x = 0, where it jumps, slope is taken.
    Staged, the forward picks one of two factors, factor = 1 or slope, and multiplies: dx = dout·factor.  For slope >= 0,
    out > 0 exactly where x > 0, so the output alone is enough to go back.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x.

Cost
    Forward reads x and writes out; backward reads dout and out and writes dx.  Saves nothing besides out.

Errors
    ShapeError for an input without a batch dimension; ArgumentError for a slope that is negative or not finite.

Conventions
    The slope is 0.01, as in the paper and PyTorch; Keras calls it negative_slope and takes 0.3.  At 0 the derivative is
    slope, as in PyTorch.  NaN stays NaN.

Example
    >>> import numpy as np
    >>> from backpass.layers.leaky_relu import leaky_relu_backward, leaky_relu_forward
    >>> out, cache = leaky_relu_forward(np.array([[-2.0, 0.0, 2.0]]), slope=0.1)
    >>> out
    array([[-0.2,  0. ,  2. ]])
    >>> leaky_relu_backward(np.array([[5.0, 6.0, 7.0]]), cache)
    array([[0.5, 0.6, 7. ]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect, is_number, require


def leaky_relu_forward(x: Array, *, slope: float) -> tuple[Array, Cache]:
    """Return x or slope x, and the cache."""
    factor = np.where(x > 0, 1, slope).astype(x.dtype)
    out = x * factor
    return out, Cache(slope=slope, factor=factor, out=out)


def leaky_relu_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back through the product; the factor is constant on either side of 0."""
    return dout * cache.factor


def leaky_relu_backward(dout: Array, cache: Cache) -> Array:
    """Go back by the sign of the output alone."""
    return np.where(cache.out > 0, dout, cache.slope * dout)


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """Leaky rectified linear unit; see `backpass.layers.leaky_relu` for the mathematics.

    Parameters
    ----------
    slope : float
        The derivative below zero, at least 0.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.LeakyReLU(0.2).declare((4, 3)).out
    (4, 3)
    """

    slope: float = 0.01

    reference = Reference(leaky_relu_forward, leaky_relu_backward, leaky_relu_backward_staged)
    in_place = True

    def __post_init__(self) -> None:
        require(is_number(self.slope) and self.slope >= 0, self, "slope", "a finite number >= 0", self.slope)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=("out",))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.leaky_relu_forward(out, x, float(self.slope))

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.leaky_relu_backward(dx, dout, out, float(self.slope))


CASES = [
    (LeakyReLU(), (5, 7)),
    (LeakyReLU(slope=0.3), (1, 3)),
    (LeakyReLU(slope=1.5), (2, 3, 4, 5)),
    (LeakyReLU(slope=0.0), (33, 67)),
]
