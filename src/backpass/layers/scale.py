"""Multiplication by a constant: scores that start small, or another temperature of the softmax behind.

    out = factor x

Source
    None is needed; Jordan 2024, arXiv:2404.00498, divides its scores by 9 (section 3.1).

Derivation
    out is linear in x with slope factor, so dx = factor dout.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x.

Cost
    One pass each way; saves nothing.

Errors
    ShapeError for an input without a batch dimension; ArgumentError for a factor that is not finite.

Conventions
    The factor is a hyperparameter, not learned.

Example
    >>> import numpy as np
    >>> from backpass.layers.scale import scale_backward, scale_forward
    >>> out, cache = scale_forward(np.array([[1.0, -2.0]]), factor=0.5)
    >>> out, scale_backward(np.ones((1, 2)), cache)
    (array([[ 0.5, -1. ]]), array([[0.5, 0.5]]))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import native
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect, is_number, require


def scale_forward(x: Array, *, factor: float) -> tuple[Array, Cache]:
    """Return factor x and the cache."""
    out = x * x.dtype.type(factor)
    return out, Cache(factor=x.dtype.type(factor))


def scale_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line: there is one."""
    dx = dout * cache.factor
    return dx  # noqa: RET504 (the stage has a name)


def scale_backward(dout: Array, cache: Cache) -> Array:
    """Go back in one expression."""
    return dout * cache.factor


@dataclass(frozen=True)
class Scale(Layer):
    """Multiplication by a constant factor; see `backpass.layers.scale`.

    Parameters
    ----------
    factor : float

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Scale(1 / 9).declare((4, 10)).out
    (4, 10)
    """

    factor: float

    reference = Reference(scale_forward, scale_backward, scale_backward_staged)
    in_place = True

    def __post_init__(self) -> None:
        require(is_number(self.factor), self, "factor", "a finite number", self.factor)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        return Declared(out=expect(self, x, "N ..."), reads=())

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.scale(out, x, self.factor)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.scale(dx, dout, self.factor)


CASES = [
    (Scale(0.125), (5, 7)),
    (Scale(-3.0), (1, 3)),
    (Scale(1 / 9), (2, 3, 4, 5)),
    (Scale(0.3), (33, 67)),
]
