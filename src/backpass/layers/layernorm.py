"""Layer normalisation: the features of each sample get mean 0 and variance 1, then a learned scale and shift each.

    mean = Σ_d x / D,   var = Σ_d (x - mean)² / D,   rstd = 1 / sqrt(var + eps)
    xhat = (x - mean) rstd,   out = gamma xhat + beta

Source
    Ba, Kiros and Hinton 2016, arXiv:1607.06450, equations 3 and 4.

Derivation
    As in batch normalisation, with sums over the features of one sample instead of over the batch, and with gamma inside
    those sums, since it differs from feature to feature.  Staged: out = gamma·xhat + beta gives dgamma = Σ_n dout·xhat,
    dbeta = Σ_n dout, dxhat = dout·gamma; xhat = centered·rstd, rstd = (var + eps)^-1/2, var = Σ centered²/D and
    centered = x - mean send it back one after another.
    Simplified: putting the stages into each other with centered = xhat / rstd,
        dx = rstd·(dxhat - mean_d(dxhat) - xhat·mean_d(dxhat·xhat)):
    the gradient loses its mean and its component along xhat, the two directions that normalisation takes from x.

Shapes
    x, out (N, d1, ..., dk), all features of a sample normalised together, D = d1·...·dk; gamma, beta (d1, ..., dk);
    mean, rstd (N,).

Dtype
    That of x; the kernel's sums are in the same dtype, in an order that depends on D only.

Cost
    A row stays in the cache: forward reads x once from memory and writes out; backward reads dout and x and writes dx.
    Saves mean and rstd; xhat is computed again.

Errors
    ShapeError for an input without a batch dimension; ArgumentError for an eps that is not positive and finite.

Conventions
    As PyTorch's LayerNorm(normalized_shape=x.shape[1:]): of images all channels and pixels are normalised together; Keras
    normalises the last axis only.  The variance is biased (1/D).  Training and prediction are the same.
    A sample with a single feature is always normalised to 0, and out is beta.

Example
    >>> import numpy as np
    >>> from backpass.layers.layernorm import layernorm_backward, layernorm_forward
    >>> out, cache = layernorm_forward(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), eps=1e-12)
    >>> out.round(6)
    array([[-1.,  1.]])
    >>> dx, dgamma, dbeta = layernorm_backward(np.array([[5.0, 7.0]]), cache)
    >>> dgamma.round(6), dbeta
    (array([-5.,  7.]), array([5., 7.]))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..init import Constant
from .base import Array, Cache, Call, Declared, Layer, Param, Reference, Shape, expect, is_number, require


def layernorm_forward(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
    """Normalise each sample; return out and the cache."""
    rows = x.reshape(len(x), -1)  # (N, D)
    mean = rows.mean(axis=1)  # (N,)
    centered = rows - mean[:, None]  # (N, D)
    var = (centered**2).mean(axis=1)  # (N,)
    rstd = 1 / np.sqrt(var + eps)  # (N,)
    xhat = (centered * rstd[:, None]).reshape(x.shape)  # (N, d1, ..., dk)
    out = gamma * xhat + beta
    return out, Cache(gamma=gamma, mean=mean, centered=centered, var=var, rstd=rstd, xhat=xhat)


def layernorm_backward_staged(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back line by line, bottom to top."""
    N, D = cache.centered.shape
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache.xhat).sum(axis=0)
    dxhat = (dout * cache.gamma).reshape(N, D)
    drstd = (dxhat * cache.centered).sum(axis=1)
    dvar = drstd * -0.5 * cache.rstd**3
    dcentered = dxhat * cache.rstd[:, None] + 2 / D * cache.centered * dvar[:, None]
    dmean = -dcentered.sum(axis=1)
    drows = dcentered + dmean[:, None] / D
    dx = drows.reshape(dout.shape)
    return dx, dgamma, dbeta


def layernorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back by the simplified formula: two means per sample and one expression."""
    xhat = cache.xhat.reshape(len(dout), -1)
    dxhat = (dout * cache.gamma).reshape(xhat.shape)
    shift = dxhat.mean(axis=1, keepdims=True)
    tilt = (dxhat * xhat).mean(axis=1, keepdims=True)
    dx = cache.rstd[:, None] * (dxhat - shift - xhat * tilt)
    return dx.reshape(dout.shape), (dout * cache.xhat).sum(axis=0), dout.sum(axis=0)


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalisation; see `backpass.layers.layernorm` for the mathematics.

    Parameters
    ----------
    eps : float
        Added to the variance; positive.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.LayerNorm().declare((8, 5)).params["gamma"].shape
    (5,)
    """

    eps: float = 1e-5

    reference = Reference(layernorm_forward, layernorm_backward, layernorm_backward_staged)

    def __post_init__(self) -> None:
        require(is_number(self.eps) and self.eps > 0, self, "eps", "a finite number > 0", self.eps)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, *features = expect(self, x, "N ...")
        shape = tuple(features)
        return Declared(
            out=x,
            params={"gamma": Param(shape, Constant(1.0), "gamma"), "beta": Param(shape, Constant(0.0), "beta")},
            cache={"mean": (N,), "rstd": (N,)},
        )

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.layernorm_forward(out, c.mean, c.rstd, x, p.gamma, p.beta, self.eps, 0)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.layernorm_backward(dx, g.gamma, g.beta, dout, x, p.gamma, c.mean, c.rstd, None)


CASES = [
    (LayerNorm(), (6, 4)),
    (LayerNorm(eps=1e-3), (1, 2)),
    (LayerNorm(), (35, 65)),
    (LayerNorm(), (2, 3, 4, 5)),
    (LayerNorm(), (3, 300)),
]
