"""Spatial batch normalisation: each channel gets mean 0 and variance 1 over the batch and all pixels, then scale and shift.

    mean[c] = Σ_{n, h, w} x / M,   var[c] = Σ (x - mean)² / M,   M = N·H·W
    xhat = (x - mean) rstd,   rstd = 1 / sqrt(var + eps),   out = gamma xhat + beta

Source
    Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.2: a filter is the same at every pixel, so its statistics are too.

Derivation
    With the pixels written as rows, x (N·H·W, C), this is `backpass.layers.batchnorm` and nothing else: the same stages,
    the same simplified form
        dx = gamma·rstd·(dout - dbeta/M - xhat·dgamma/M),   dbeta = Σ_{n, h, w} dout,   dgamma = Σ_{n, h, w} dout·xhat.

Shapes
    x, out (N, C, H, W); gamma, beta, mean, var, rstd (C,).  State: running mean and var (C,).

Dtype
    That of x; the kernel adds each image's sum up in float64.

Cost
    Forward reads x twice, for the sums and to normalise, and writes out; backward reads dout and x twice and writes dx, each
    time in the order of memory.  Saves mean, var and rstd; xhat, and the mask of a relu behind, are computed again from x,
    cheaper than a trip to memory.

Errors
    ShapeError for an input that is not (N, C, H, W), and for training on a single value per channel.

Conventions
    Those of `BatchNorm`: the variance is biased (1/M) both for normalising and for the running value (PyTorch's running
    variance is the unbiased one), and `decay` is the weight of the old running value (PyTorch's momentum is 1 - decay).

Example
    >>> import numpy as np
    >>> from backpass.layers.spatial_batchnorm import spatial_batchnorm_forward
    >>> x = np.array([1.0, 3.0, 5.0, 7.0]).reshape(2, 1, 1, 2)
    >>> out, cache = spatial_batchnorm_forward(x, np.ones(1), np.zeros(1), eps=0.0)
    >>> cache.mean, cache.var
    (array([4.]), array([5.]))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import native
from ..errors import ShapeError
from ..init import Constant
from .base import Array, Cache, Call, Declared, Layer, Param, Reference, Shape, expect, is_number, require
from .batchnorm import batchnorm_backward, batchnorm_backward_staged, batchnorm_forward, batchnorm_infer


def _pixels_as_rows(x: Array) -> Array:
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])  # (N·H·W, C)


def _rows_as_pixels(rows: Array, shape: Shape) -> Array:
    N, C, H, W = shape
    return rows.reshape(N, H, W, C).transpose(0, 3, 1, 2)


def spatial_batchnorm_forward(x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
    """Normalise over batch and pixels; return out and the cache."""
    rows, cache = batchnorm_forward(_pixels_as_rows(x), gamma, beta, eps=eps)
    return _rows_as_pixels(rows, x.shape), cache


def spatial_batchnorm_backward_staged(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back line by line, as in batch normalisation."""
    drows, dgamma, dbeta = batchnorm_backward_staged(_pixels_as_rows(dout), cache)
    return _rows_as_pixels(drows, dout.shape), dgamma, dbeta


def spatial_batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Go back by the simplified formula."""
    drows, dgamma, dbeta = batchnorm_backward(_pixels_as_rows(dout), cache)
    return _rows_as_pixels(drows, dout.shape), dgamma, dbeta


def spatial_batchnorm_infer(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float) -> Array:
    """Normalise with the running mean and variance."""
    return _rows_as_pixels(batchnorm_infer(_pixels_as_rows(x), gamma, beta, mean, var, eps=eps), x.shape)


@dataclass(frozen=True)
class SpatialBatchNorm(Layer):
    """Batch normalisation of images, channel by channel; see `backpass.layers.spatial_batchnorm` for the mathematics.

    Parameters
    ----------
    eps : float
        Added to the variance; positive.
    decay : float
        Weight of the old running value, in [0, 1].

    Examples
    --------
    >>> import backpass as bp
    >>> bp.SpatialBatchNorm().declare((8, 5, 4, 4)).params["gamma"].shape
    (5,)
    """

    eps: float = 1e-5
    decay: float = 0.9

    reference = Reference(
        spatial_batchnorm_forward,
        spatial_batchnorm_backward,
        spatial_batchnorm_backward_staged,
        spatial_batchnorm_infer,
    )
    in_place = True

    def __post_init__(self) -> None:
        require(is_number(self.eps) and self.eps > 0, self, "eps", "a finite number > 0", self.eps)
        require(is_number(self.decay) and 0 <= self.decay <= 1, self, "decay", "a number in [0, 1]", self.decay)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        _, C, _, _ = expect(self, x, "N C H W", "use BatchNorm for features without pixels")
        return Declared(
            out=tuple(x),
            params={"gamma": Param((C,), Constant(1.0), "gamma"), "beta": Param((C,), Constant(0.0), "beta")},
            state={"mean": ((C,), 0.0), "var": ((C,), 1.0)},
            cache={"mean": (C,), "var": (C,), "rstd": (C,)},
        )

    def check_batch(self, x: Shape) -> None:
        """Raise ShapeError for a single value per channel: its variance is zero and every output would be beta."""
        N, _, H, W = x
        if N * H * W < 2:
            raise ShapeError(
                f"SpatialBatchNorm: expected at least 2 values per channel to train on (N·H·W), got x of shape {x}; a single "
                "one has no variance: choose another batch_size (the last batch of an epoch counts), or GroupNorm"
            )

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the forward kernel."""
        return native.spatial_batchnorm_forward(out, c.mean, c.var, c.rstd, x, p.gamma, p.beta, self.eps, 0)

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward kernel."""
        return native.spatial_batchnorm_backward(dx, g.gamma, g.beta, dout, x, p.gamma, p.beta, c.mean, c.rstd, 0)

    def infer_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the kernel that normalises with the running statistics."""
        return native.spatial_batchnorm_infer(out, x, p.gamma, p.beta, s.mean, s.var, self.eps, 0)

    def update(self, s: Any, c: Any) -> None:
        """Fold the batch's mean and variance into the running ones."""
        s.mean[...] = self.decay * s.mean + (1 - self.decay) * c.mean
        s.var[...] = self.decay * s.var + (1 - self.decay) * c.var

    def update_kernel(self, s: Any, c: Any) -> Call:
        """Bind the kernel that does the same."""
        return native.running_statistics(s.mean, s.var, c.mean, c.var, self.decay)


CASES = [
    (SpatialBatchNorm(), (2, 3, 4, 5)),
    (SpatialBatchNorm(eps=1e-3, decay=0.5), (1, 1, 1, 2)),
    (SpatialBatchNorm(), (5, 16, 1, 1)),
    (SpatialBatchNorm(), (3, 31, 7, 9)),
]
