"""Batch normalisation: each feature gets mean 0 and variance 1 over the batch, then a learned scale and shift.

    mean = Σ_n x / N,   var = Σ_n (x - mean)² / N,   rstd = 1 / sqrt(var + eps)
    xhat = (x - mean) rstd,   out = gamma xhat + beta

Source
    Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1 and the equations of section 3.

Derivation
    Staged: out = gamma·xhat + beta gives dgamma = Σ dout·xhat, dbeta = Σ dout, dxhat = dout·gamma.  xhat = centered·rstd
    has two factors; rstd = (var + eps)^-1/2 has the derivative -1/2 rstd³; var = Σ centered²/N sends 2/N·centered·dvar
    back; centered = x - mean sends its gradient to x and, summed with a minus sign, to mean, and mean = Σ x/N shares it
    out again in N equal parts.  (The path from var to mean is Σ centered·... = 0, since centered sums to zero.)
    Simplified: put the stages into each other with centered = xhat / rstd.  dvar's part of dcentered is
    -(rstd/N)·xhat·Σ dxhat·xhat = -(gamma rstd/N)·xhat·dgamma, and dmean's part is -(gamma rstd/N)·dbeta, hence
        dx = gamma·rstd·(dout - dbeta/N - xhat·dgamma/N):
    the gradient loses its mean and its component along xhat, the two directions that normalisation takes from x.

Shapes
    x, out (N, D); gamma, beta, mean, var, rstd (D,).  State: running mean and var (D,).

Dtype
    That of x; the kernel's sums are in the same dtype: blocks of 64 rows, merged in order, each less the mean of those before.

Cost
    Forward reads x twice and writes out; backward reads dout and x twice and writes dx.  Saves mean, var and rstd; xhat
    is computed again from x, which is cheaper than a trip to memory.

Errors
    ShapeError for an input that is not (N, D), and for training on a batch of one (its variance is zero).

Conventions
    The variance is biased (1/N) both for normalising and for the running value, as in the course; PyTorch's running
    variance is the unbiased one (1/(N-1)).  running = decay·running + (1 - decay)·batch: `decay` is the weight of the old
    value, PyTorch's momentum is 1 - decay.  The running mean starts at 0, the running variance at 1.

Example
    >>> import numpy as np
    >>> from backpass.layers.batchnorm import batchnorm_backward, batchnorm_forward
    >>> out, cache = batchnorm_forward(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0)
    >>> out
    array([[-1.],
           [ 1.]])
    >>> dx, dgamma, dbeta = batchnorm_backward(np.array([[1.0], [0.0]]), cache)
    >>> dx  # two samples are always normalised to -1 and 1, so nothing that happens to x changes out
    array([[0.],
           [0.]])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..errors import ShapeError
from ..init import Constant
from .base import Array, Cache, Call, Declared, Layer, Param, Reference, Shape, expect, is_number, require


def batchnorm_forward(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
    """Normalise over the batch; return out and the cache."""
    mean = x.mean(axis=0)  # (D,)
    centered = x - mean  # (N, D)
    var = (centered**2).mean(axis=0)  # (D,)
    rstd = 1 / np.sqrt(var + eps)  # (D,)
    xhat = centered * rstd  # (N, D)
    out = gamma * xhat + beta  # (N, D)
    return out, Cache(gamma=gamma, mean=mean, centered=centered, var=var, rstd=rstd, xhat=xhat)


def batchnorm_backward_staged(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back line by line, bottom to top."""
    N = len(dout)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * cache.xhat).sum(axis=0)
    dxhat = dout * cache.gamma
    drstd = (dxhat * cache.centered).sum(axis=0)
    dvar = drstd * -0.5 * cache.rstd**3
    dcentered = dxhat * cache.rstd + 2 / N * cache.centered * dvar
    dmean = -dcentered.sum(axis=0)
    dx = dcentered + dmean / N
    return dx, dgamma, dbeta


def batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back by the simplified formula, dx = gamma rstd (dout - mean dout - xhat mean(dout xhat)), in one array of its own."""
    N = len(dout)
    dbeta = np.ones(N, dout.dtype) @ dout  # a sum over axis 0, the fastest way in NumPy
    dgamma = np.einsum("nd,nd->d", dout, cache.xhat)  # the sum of products without the products in memory
    dx = cache.xhat * (dgamma / -N)  # half of the time would go into new arrays for the three terms
    dx += dout
    dx -= dbeta / N
    dx *= cache.gamma * cache.rstd
    return dx, dgamma, dbeta


def batchnorm_infer(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float) -> Array:
    """Normalise with the running mean and variance."""
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation of features; see `backpass.layers.batchnorm` for the mathematics.

    Parameters
    ----------
    eps : float
        Added to the variance; positive.
    decay : float
        Weight of the old running value, in [0, 1].

    Examples
    --------
    >>> import backpass as bp
    >>> sorted(bp.BatchNorm().declare((8, 5)).state)
    ['mean', 'var']
    """

    eps: float = 1e-5
    decay: float = 0.9

    reference = Reference(batchnorm_forward, batchnorm_backward, batchnorm_backward_staged, batchnorm_infer)
    in_place = True

    def __post_init__(self) -> None:
        require(is_number(self.eps) and self.eps > 0, self, "eps", "a finite number > 0", self.eps)
        require(is_number(self.decay) and 0 <= self.decay <= 1, self, "decay", "a number in [0, 1]", self.decay)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, D = expect(self, x, "N D", "use SpatialBatchNorm for images")
        return Declared(
            out=(N, D),
            params={"gamma": Param((D,), Constant(1.0), "gamma"), "beta": Param((D,), Constant(0.0), "beta")},
            state={"mean": ((D,), 0.0), "var": ((D,), 1.0)},
            cache={"mean": (D,), "var": (D,), "rstd": (D,)},
        )

    def check_batch(self, x: Shape) -> None:
        """Raise ShapeError for a batch of one: its variance is zero and every output would be beta."""
        if x[0] < 2:
            raise ShapeError(
                f"BatchNorm: expected a training batch of at least 2 samples, got {x[0]}; a batch of one has no variance: "
                "choose another batch_size (the last batch of an epoch counts), or LayerNorm"
            )

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.batchnorm_forward(out, c.mean, c.var, c.rstd, x, p.gamma, p.beta, self.eps, 0)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.batchnorm_backward(dx, g.gamma, g.beta, dout, x, p.gamma, c.mean, c.rstd, None, 1.0)

    def infer_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the kernel that normalises with the running statistics."""
        return native.batchnorm_infer(out, x, p.gamma, p.beta, s.mean, s.var, self.eps, 0)

    def update(self, s: Any, c: Any) -> None:
        """Fold the batch's mean and variance into the running ones."""
        s.mean[...] = self.decay * s.mean + (1 - self.decay) * c.mean
        s.var[...] = self.decay * s.var + (1 - self.decay) * c.var

    def update_kernel(self, s: Any, c: Any) -> Call:
        """Bind the kernel that does the same."""
        return native.running_statistics(s.mean, s.var, c.mean, c.var, self.decay)


CASES = [
    (BatchNorm(), (6, 4)),
    (BatchNorm(eps=1e-3, decay=0.5), (2, 1)),
    (BatchNorm(), (65, 35)),
    (BatchNorm(), (300, 3)),
    (BatchNorm(), (130, 530)),
]
