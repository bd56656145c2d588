"""Flatten: each sample becomes one row of features; nothing is computed.

    out[n] = x[n], read in C order

Source
    A change of shape; no paper.

Derivation
    Every element of out is one element of x, so the gradient goes back to where the value came from: dx is dout in the
    shape of x.

Shapes
    x, dx (N, d1, ..., dk); out, dout (N, D), D = d1·...·dk.

Dtype
    That of x.

Cost
    None: out is a view of x.  Saves nothing.

Errors
    ShapeError for an input without a batch dimension.

Conventions
    C order (the last index runs fastest), as in PyTorch and NumPy: of (N, C, H, W) all of channel 0 comes first.
    `Affine` flattens by itself; this layer is for those that do not, such as BatchNorm.

Example
    >>> import numpy as np
    >>> from backpass.layers.flatten import flatten_backward, flatten_forward
    >>> out, cache = flatten_forward(np.arange(8.0).reshape(2, 2, 2))
    >>> out
    array([[0., 1., 2., 3.],
           [4., 5., 6., 7.]])
    >>> flatten_backward(out, cache).shape
    (2, 2, 2)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Array, Cache, Declared, Layer, Reference, Shape, expect


def flatten_forward(x: Array) -> tuple[Array, Cache]:
    """Return the rows and the cache."""
    out = x.reshape(len(x), -1)
    return out, Cache(shape=x.shape)


def flatten_backward_staged(dout: Array, cache: Cache) -> Array:
    """Go back element by element: every value came from one place."""
    places = np.arange(dout.size).reshape(cache.shape)
    return dout.reshape(-1)[places]


def flatten_backward(dout: Array, cache: Cache) -> Array:
    """Give dout the shape of x."""
    return dout.reshape(cache.shape)


@dataclass(frozen=True)
class Flatten(Layer):
    """Each sample as one row; see `backpass.layers.flatten`.

    Examples
    --------
    >>> import backpass as bp
    >>> bp.Flatten().declare((4, 3, 2)).out
    (4, 6)
    """

    reference = Reference(flatten_forward, flatten_backward, flatten_backward_staged)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        N, *features = expect(self, x, "N ...")
        return Declared(out=(N, int(np.prod(features))), reads=())

    def is_view(self, *, training: bool) -> bool:
        """Return True: no element moves."""
        return True


CASES = [
    (Flatten(), (2, 3, 4, 5)),
    (Flatten(), (3, 7)),
    (Flatten(), (1, 1, 1)),
]
