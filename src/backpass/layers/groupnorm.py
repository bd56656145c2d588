"""Group normalisation: the channels of each image are cut into groups, and each group gets mean 0 and variance 1.

    mean[n, g] = Σ x / M,   var[n, g] = Σ (x - mean)² / M     over the M = C/G·H·W values of group g in image n
    xhat = (x - mean) rstd,   rstd = 1 / sqrt(var + eps),   out = gamma[c] xhat + beta[c]

Source
    Wu and He 2018, arXiv:1803.08494, equations 1, 2 and 7.  One group is layer normalisation (Ba et al. 2016), as many groups
    as channels is instance normalisation (Ulyanov et al. 2016).

Derivation
    As in `backpass.layers.batchnorm`, with the sums over a group of one image instead of over the batch, and gamma inside
    them, since it differs between the channels of a group: with dxhat = dout·gamma,
        dx = rstd·(dxhat - Σ dxhat / M - xhat·Σ (dxhat·xhat) / M),
    sums over the group; dbeta[c] = Σ_{n, h, w} dout and dgamma[c] = Σ_{n, h, w} dout·xhat as ever.

Shapes
    x, out (N, C, H, W); gamma, beta (C,); mean, var, rstd (N, G).

Dtype
    That of x; the kernel adds each channel's sum up in float64.

Cost
    Forward reads x and writes out; backward reads dout and x and writes dx; a group stays in the cache for its second pass.
    Saves mean and rstd; the mask of a relu behind is computed again from x.

Errors
    ShapeError for an input that is not (N, C, H, W) or whose channels the groups do not divide; ArgumentError for groups
    below 1.

Conventions
    The groups are neighbouring channels.  gamma and beta are per channel, shape (C,), as in PyTorch; the course's tests shape
    them (1, C, 1, 1).  Training and prediction are the same: nothing runs along.  A group of a single value (M = 1) is
    always normalised to 0, so out is beta and dx is 0.

Example
    >>> import numpy as np
    >>> from backpass.layers.groupnorm import groupnorm_forward
    >>> x = np.array([1.0, 3.0, 10.0, 30.0]).reshape(1, 4, 1, 1)
    >>> out, cache = groupnorm_forward(x, np.ones(4), np.zeros(4), groups=2, eps=0.0)
    >>> out.ravel()
    array([-1.,  1., -1.,  1.])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import native
from ..errors import ShapeError
from ..init import Constant
from .base import Array, Cache, Call, Declared, Layer, Param, Reference, Shape, expect, is_number, require


def groupnorm_forward(x: Array, gamma: Array, beta: Array, *, groups: int, eps: float) -> tuple[Array, Cache]:
    """Normalise each group of each image; return out and the cache."""
    grouped = x.reshape(len(x), groups, -1)  # (N, G, M)
    mean = grouped.mean(axis=2)  # (N, G)
    centered = grouped - mean[:, :, None]  # (N, G, M)
    var = (centered**2).mean(axis=2)  # (N, G)
    rstd = 1 / np.sqrt(var + eps)  # (N, G)
    xhat = centered * rstd[:, :, None]  # (N, G, M)
    out = gamma[:, None, None] * xhat.reshape(x.shape) + beta[:, None, None]  # (N, C, H, W)
    return out, Cache(gamma=gamma, mean=mean, centered=centered, var=var, rstd=rstd, xhat=xhat)


def groupnorm_backward_staged(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back line by line, bottom to top."""
    M = cache.xhat.shape[2]
    dbeta = dout.sum(axis=(0, 2, 3))
    dgamma = (dout * cache.xhat.reshape(dout.shape)).sum(axis=(0, 2, 3))
    dxhat = (dout * cache.gamma[:, None, None]).reshape(cache.xhat.shape)
    drstd = (dxhat * cache.centered).sum(axis=2)
    dvar = drstd * -0.5 * cache.rstd**3
    dcentered = dxhat * cache.rstd[:, :, None] + 2 / M * cache.centered * dvar[:, :, None]
    dmean = -dcentered.sum(axis=2)
    dgrouped = dcentered + dmean[:, :, None] / M
    dx = dgrouped.reshape(dout.shape)
    return dx, dgamma, dbeta


def groupnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back by the simplified formula: dxhat loses its mean and its component along xhat."""
    dbeta = dout.sum(axis=(0, 2, 3))
    dgamma = (dout * cache.xhat.reshape(dout.shape)).sum(axis=(0, 2, 3))
    dxhat = (dout * cache.gamma[:, None, None]).reshape(cache.xhat.shape)
    along = (dxhat * cache.xhat).mean(axis=2, keepdims=True)
    dgrouped = cache.rstd[:, :, None] * (dxhat - dxhat.mean(axis=2, keepdims=True) - cache.xhat * along)
    return dgrouped.reshape(dout.shape), dgamma, dbeta


@dataclass(frozen=True)
class GroupNorm(Layer):
    """Group normalisation of images; see `backpass.layers.groupnorm` for the mathematics.

    Parameters
    ----------
    groups : int
        How many groups the channels form; 1 is layer normalisation, C is instance normalisation.
    eps : float
        Added to the variance; positive.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.GroupNorm(4).declare((8, 16, 5, 5)).cache["rstd"]
    (8, 4)
    """

    groups: int
    eps: float = 1e-5

    reference = Reference(groupnorm_forward, groupnorm_backward, groupnorm_backward_staged)
    in_place = True

    def __post_init__(self) -> None:
        whole = isinstance(self.groups, (int, np.integer)) and not isinstance(self.groups, bool)
        require(whole and self.groups >= 1, self, "groups", "a whole number >= 1", self.groups)
        require(is_number(self.eps) and self.eps > 0, self, "eps", "a finite number > 0", self.eps)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, C, _, _ = expect(self, x, "N C H W", "use LayerNorm for features without pixels")
        if C % self.groups:
            raise ShapeError(
                f"GroupNorm: expected channels that groups = {self.groups} divides, got {C} in x of shape {x}"
            )
        return Declared(
            out=tuple(x),
            params={"gamma": Param((C,), Constant(1.0), "gamma"), "beta": Param((C,), Constant(0.0), "beta")},
            cache={"mean": (N, self.groups), "rstd": (N, self.groups)},
        )

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.groupnorm_forward(out, c.mean, c.rstd, x, p.gamma, p.beta, self.groups, self.eps, 0)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.groupnorm_backward(dx, g.gamma, g.beta, dout, x, p.gamma, p.beta, c.mean, c.rstd, 0)


CASES = [
    (GroupNorm(2), (2, 6, 4, 5)),
    (GroupNorm(1), (3, 5, 3, 2)),  # layer normalisation
    (GroupNorm(7, eps=1e-3), (2, 7, 5, 3)),  # instance normalisation
    (GroupNorm(4), (1, 16, 1, 1)),
    (GroupNorm(1), (2, 31, 7, 9)),
]
