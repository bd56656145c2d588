"""Logistic sigmoid: squeezes every value into (0, 1).

    out = 1 / (1 + exp(-x))

Source
    Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors", eq. 2.

Derivation
    To never overflow, the forward takes shrunk = exp(-|x|) <= 1: out is 1/(1 + shrunk) for x >= 0 and
    shrunk/(1 + shrunk) for x < 0, the same function.  Staged: the quotient sends dout/total to the numerator and
    -dout·out/total to the total; both reach shrunk, whose derivative by -|x| is itself.
    Simplified: with e = exp(-x), d/dx 1/(1+e) = e/(1+e)² = out·(1 - out), hence dx = dout·out·(1 - out), from the output alone.

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
    The derivative is at most 1/4 and vanishes for large |x| ("saturation"): deep nets of sigmoids learn slowly.

Example
    >>> import numpy as np
    >>> from backpass.layers.sigmoid import sigmoid_backward, sigmoid_forward
    >>> out, cache = sigmoid_forward(np.array([[-1e4, 0.0, np.log(3)]]))
    >>> out
    array([[0.  , 0.5 , 0.75]])
    >>> sigmoid_backward(np.array([[1.0, 1.0, 16.0]]), cache)
    array([[0.  , 0.25, 3.  ]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect


def sigmoid_forward(x: Array) -> tuple[Array, Cache]:
    """Return 1 / (1 + exp(-x)) and the cache."""
    shrunk = np.exp(-np.abs(x))
    numerator = np.where(x < 0, shrunk, np.ones_like(x))
    total = 1 + shrunk
    out = numerator / total
    return out, Cache(x=x, shrunk=shrunk, total=total, out=out)


def sigmoid_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    dnumerator = dout / cache.total
    dtotal = -dout * cache.out / cache.total
    dshrunk = dtotal + np.where(cache.x < 0, dnumerator, 0)
    return dshrunk * np.where(cache.x < 0, cache.shrunk, -cache.shrunk)


def sigmoid_backward(dout: Array, cache: Cache) -> Array:
    """Go back by the output alone: dout out (1 - out)."""
    return dout * cache.out * (1 - cache.out)


@dataclass(frozen=True)
class Sigmoid(Layer):
    """Logistic sigmoid; see `backpass.layers.sigmoid` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Sigmoid().declare((4, 3)).out
    (4, 3)
    """

    reference = Reference(sigmoid_forward, sigmoid_backward, sigmoid_backward_staged)
    in_place = True

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=("out",))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.sigmoid_forward(out, x)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.sigmoid_backward(dx, dout, out)


CASES = [
    (Sigmoid(), (5, 7)),
    (Sigmoid(), (1, 3)),
    (Sigmoid(), (2, 3, 4, 5)),
    (Sigmoid(), (33, 67)),
]
