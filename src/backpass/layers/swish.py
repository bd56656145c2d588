"""Swish, also called SiLU: each value times its own sigmoid.

    out = x sigmoid(x) = x / (1 + exp(-x))

Source
    Ramachandran, Zoph and Le 2017, "Searching for activation functions", arXiv:1710.05941, section 4, with beta = 1; as SiLU
    in Elfwing, Uchibe and Doya 2017, arXiv:1702.03118, eq. 4 (the derivative is eq. 5).

Derivation
    Staged: out = x·gate is a product, so dgate = dout·x and the direct part of dx is dout·gate; gate = sigmoid(x) has the
    derivative gate·(1 - gate).  Together
        dx = dout·(gate + x·gate·(1 - gate)) = dout·gate·(1 + x·(1 - gate)).
    The output alone is not enough to go back: out has a minimum near x = -1.28, and either side of it gives the same out.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x.

Cost
    Forward reads x, computes an exponential and writes out; backward reads dout and x, computes the exponential again, which
    is cheaper than a trip to memory, and writes dx.  Saves nothing besides x.

Errors
    ShapeError for an input without a batch dimension.

Conventions
    PyTorch calls it SiLU, Keras silu or swish.

Example
    >>> import numpy as np
    >>> from backpass.layers.swish import swish_backward, swish_forward
    >>> out, cache = swish_forward(np.array([[-1e4, 0.0, 100.0]]))
    >>> out
    array([[ -0.,   0., 100.]])
    >>> swish_backward(np.array([[1.0, 1.0, 3.0]]), cache)
    array([[-0. ,  0.5,  3. ]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect
from .sigmoid import sigmoid_forward


def swish_forward(x: Array) -> tuple[Array, Cache]:
    """Return x sigmoid(x) and the cache."""
    gate, _ = sigmoid_forward(x)
    out = x * gate
    return out, Cache(x=x, gate=gate)


def swish_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    dgate = dout * cache.x
    dx_of_gate = dgate * cache.gate * (1 - cache.gate)
    return dout * cache.gate + dx_of_gate


def swish_backward(dout: Array, cache: Cache) -> Array:
    """Go back in one expression: dout gate (1 + x (1 - gate))."""
    return dout * cache.gate * (1 + cache.x * (1 - cache.gate))


@dataclass(frozen=True)
class Swish(Layer):
    """Swish (SiLU), x sigmoid(x); see `backpass.layers.swish` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Swish().declare((4, 3)).out
    (4, 3)
    """

    reference = Reference(swish_forward, swish_backward, swish_backward_staged)
    in_place = True

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=("x",))

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.swish_forward(out, x)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.swish_backward(dx, dout, x)


CASES = [
    (Swish(), (5, 7)),
    (Swish(), (1, 3)),
    (Swish(), (2, 3, 4, 5)),
    (Swish(), (33, 67)),
]
