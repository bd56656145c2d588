"""First values of weights: objects that draw an array, `init(rng, shape) -> float64`.

The fans of a weight follow from its shape: an affine weight (D, M) has fan-in D and fan-out M; a convolution weight
(F, C, HH, WW) has fan-in C·HH·WW and fan-out F·HH·WW.

Source: He et al. 2015, arXiv:1502.01852, eq. 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .layers.base import Array, Shape, is_number, require


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan-in, fan-out) of a weight.

    Examples
    --------
    >>> fans((100, 10)), fans((16, 3, 5, 5))
    ((100, 10), (75, 400))
    """
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


@dataclass(frozen=True)
class Constant:
    """Every element the same value.

    Examples
    --------
    >>> Constant(1.0)(np.random.default_rng(0), (2,))
    array([1., 1.])
    """

    value: float = 0.0

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Array:  # noqa: ARG002 (draws nothing)
        """Return the array."""
        return np.full(shape, float(self.value))


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0 and the given standard deviation (the course's weight_scale).

    Examples
    --------
    >>> Normal(1e-2)(np.random.default_rng(0), (3, 2)).shape
    (3, 2)
    """

    scale: float = 1e-2

    def __post_init__(self) -> None:
        require(is_number(self.scale) and self.scale >= 0, self, "scale", "a finite number >= 0", self.scale)

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Draw the array."""
        return self.scale * rng.standard_normal(shape)


@dataclass(frozen=True)
class He:
    """Normal with variance gain²·2 / fan-in: keeps the scale of activations through relu layers (He et al. 2015, eq. 10).

    Examples
    --------
    >>> round(float(He()(np.random.default_rng(0), (1000, 50)).std()), 3)
    0.045
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        require(is_number(self.gain) and self.gain > 0, self, "gain", "a finite number > 0", self.gain)

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Draw the array."""
        return self.gain * math.sqrt(2 / fans(shape)[0]) * rng.standard_normal(shape)
