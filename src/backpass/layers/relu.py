"""Rectified linear unit: positive values pass, negative ones become zero.

    out = max(x, 0)

Source
    Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines", section 2.

Derivation
    Element by element, d max(x, 0) / dx is 1 where x > 0 and 0 where x < 0.  At x = 0 there is no derivative; 0 is
    taken, the choice that also leaves a unit that is exactly off alone.  Hence dx = dout · [x > 0], and since
    out > 0 exactly where x > 0, the output alone is enough to go back: nothing else has to be kept.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x.

Cost
    Forward reads x and writes out; backward reads dout and out and writes dx.  Saves nothing besides out.

Errors
    ShapeError for an input without a batch dimension.

Conventions
    NaN stays NaN (as in NumPy and PyTorch), so that a diverged net shows.  A unit whose input is never positive has a
    gradient of exactly zero and never recovers ("dead"); `LeakyReLU` and `ELU` keep a slope there.

Example
    >>> import numpy as np
    >>> from backpass.layers.relu import relu_backward, relu_forward
    >>> out, cache = relu_forward(np.array([[-1.0, 0.0, 2.0]]))
    >>> out
    array([[0., 0., 2.]])
    >>> relu_backward(np.array([[5.0, 6.0, 7.0]]), cache)
    array([[0., 0., 7.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect


def relu_forward(x: Array) -> tuple[Array, Cache]:
    """Return max(x, 0) and the cache."""
    out = np.maximum(x, 0)
    return out, Cache(out=out)


def relu_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back by the definition: the derivative is 1 or 0."""
    slope = (cache.out > 0).astype(dout.dtype)
    return dout * slope


def relu_backward(dout: Array, cache: Cache) -> Array:
    """Pass the gradient where the output is positive."""
    return np.where(cache.out > 0, dout, np.zeros_like(dout))


@dataclass(frozen=True)
class ReLU(Layer):
    """Rectified linear unit, max(x, 0); see `backpass.layers.relu` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.ReLU().declare((4, 3)).out
    (4, 3)
    """

    reference = Reference(relu_forward, relu_backward, relu_backward_staged)
    in_place = True

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=("out",))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.relu_forward(out, x)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.relu_backward(dx, dout, out)


CASES = [
    (ReLU(), (5, 7)),
    (ReLU(), (1, 3)),
    (ReLU(), (2, 3, 4, 5)),
]
