"""Gaussian error linear unit: each value times the chance that a standard normal one is below it.

    out = x Φ(x),   Φ(x) = (1 + erf(x / √2)) / 2

Source
    Hendrycks and Gimpel 2016, "Gaussian error linear units (GELUs)", arXiv:1606.08415, section 2.

Derivation
    Staged: out = x·cdf is a product, so dcdf = dout·x and the direct part of dx is dout·cdf; cdf = Φ(x) has the normal
    density φ(x) = exp(-x²/2) / √(2π) as its derivative, which sends dcdf·φ(x) back.  Together
        dx = dout·(Φ(x) + x φ(x)).
    The output alone is not enough to go back: out has a minimum near x = -0.75, and either side of it gives the same out.

Shapes
    x, out, dx, dout: any shape (N, ...).

Dtype
    That of x; the reference computes Φ in float64.

Cost
    Forward reads x, computes Φ and φ (an exponential, which both share, and a polynomial), and writes out and the slope
    Φ(x) + x φ(x); backward is one product.  Saves the slope, and not x, which takes as much: Φ costs more than a trip to memory.

Errors
    ShapeError for an input without a batch dimension.

Conventions
    The exact form, as PyTorch's default; the tanh approximation of the paper (approximate="tanh" there) differs from it by up
    to 5e-4 and would be no faster here.

Example
    >>> import numpy as np
    >>> from backpass.layers.gelu import gelu_backward, gelu_forward
    >>> out, cache = gelu_forward(np.array([[-100.0, 0.0, 1.0, 100.0]]))
    >>> out.round(4)
    array([[ -0.    ,   0.    ,   0.8413, 100.    ]])
    >>> gelu_backward(np.ones((1, 4)), cache).round(4)
    array([[0.    , 0.5   , 1.0833, 1.    ]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..special import normal_cdf
from .base import Array, Cache, Call, Declared, Layer, Reference, Shape, expect


def normal_density(x: Array) -> Array:
    """Return exp(-x²/2) / √(2π)."""
    t = np.minimum(np.abs(x), 40)  # the density is 0 beyond; x² might overflow
    return np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi).astype(x.dtype)


def gelu_forward(x: Array) -> tuple[Array, Cache]:
    """Return x Φ(x) and the cache."""
    cdf = normal_cdf(x).astype(x.dtype)
    out = x * cdf
    return out, Cache(x=x, cdf=cdf, slope=cdf + x * normal_density(x))


def gelu_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back line by line, bottom to top."""
    dcdf = dout * cache.x
    dx_of_cdf = dcdf * normal_density(cache.x)
    return dout * cache.cdf + dx_of_cdf


def gelu_backward(dout: Array, cache: Cache) -> Array:
    """Go back in one expression: dout (Φ(x) + x φ(x))."""
    return dout * cache.slope


@dataclass(frozen=True)
class GELU(Layer):
    """Gaussian error linear unit, x Φ(x); see `backpass.layers.gelu` for the mathematics.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.GELU().declare((4, 3)).out
    (4, 3)
    """

    reference = Reference(gelu_forward, gelu_backward, gelu_backward_staged)
    in_place = True

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        out = expect(self, x, "N ...")
        return Declared(out=out, cache={"slope": out}, reads=())

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.gelu_forward(out, c.slope, x)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.gelu_backward(dx, dout, c.slope)


CASES = [
    (GELU(), (5, 7)),
    (GELU(), (1, 3)),
    (GELU(), (2, 3, 4, 5)),
    (GELU(), (33, 67)),
]
