"""Hyperbolic tangent: squeezes every value into (-1, 1).

    out = tanh(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x))

Source
    LeCun, Bottou, Orr and Müller 1998, "Efficient BackProp", section 4.4 (why tanh rather than the sigmoid).

Derivation
    With sinh' = cosh and cosh' = sinh, the quotient rule gives (cosh² - sinh²) / cosh² = 1/cosh²: the staged form,
    written with exp(-2|x|) so that it never overflows: 1/cosh² = 4 e / (1 + e)², e = exp(-2|x|).
    Dividing by cosh² term by term it is also 1 - tanh², hence dx = dout·(1 - out²), from the output alone.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x.

Cost
    Forward reads x, computes an exponential and writes out; backward reads dout and out and writes dx.  Saves nothing
    besides out.

Errors
    ShapeError for an input without a batch dimension.

Conventions
    tanh(x) = 2 sigmoid(2x) - 1: the same curve, centred, with a derivative of 1 at 0.

Example
    >>> import numpy as np
    >>> from backpass.layers.tanh import tanh_backward, tanh_forward
    >>> out, cache = tanh_forward(np.array([[-1e4, 0.0, np.log(3) / 2]]))
    >>> out
    array([[-1. ,  0. ,  0.5]])
    >>> tanh_backward(np.array([[1.0, 1.0, 4.0]]), cache)
    array([[0., 1., 3.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect


def tanh_forward(x: Array) -> tuple[Array, Cache]:
    """Return tanh(x) and the cache."""
    out = np.tanh(x)
    return out, Cache(x=x, out=out)


def tanh_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back by the quotient rule: 1 / cosh²."""
    shrunk = np.exp(-2 * np.abs(cache.x))
    slope = 4 * shrunk / (1 + shrunk) ** 2
    return dout * slope


def tanh_backward(dout: Array, cache: Cache) -> Array:
    """Go back by the output alone: dout (1 - out²)."""
    return dout * (1 - cache.out**2)


@dataclass(frozen=True)
class Tanh(Layer):
    """Hyperbolic tangent; see `backpass.layers.tanh` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Tanh().declare((4, 3)).out
    (4, 3)
    """

    reference = Reference(tanh_forward, tanh_backward, tanh_backward_staged)
    in_place = True

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=("out",))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.tanh_forward(out, x)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.tanh_backward(dx, dout, out)


CASES = [
    (Tanh(), (5, 7)),
    (Tanh(), (1, 3)),
    (Tanh(), (2, 3, 4, 5)),
    (Tanh(), (33, 67)),
]
