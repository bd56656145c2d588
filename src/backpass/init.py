"""First values of weights: objects that draw an array, `init(rng, shape) -> float64`.

The fans of a weight follow from its shape: an affine weight (D, M) has fan-in D and fan-out M; a convolution weight
(F, C, HH, WW) has fan-in C·HH·WW and fan-out F·HH·WW.

Why they differ: a sum of fan-in products has fan-in times the variance of one, so a weight of variance 1/fan-in keeps
the scale of what goes forward, one of 1/fan-out that of the gradient going back.  relu halves the mean square, hence
the 2 in He's.

Source: He et al. 2015, arXiv:1502.01852, eq. 10; Glorot and Bengio 2010, "Understanding the difficulty of training deep
feedforward neural networks", eq. 12 and 16; Saxe, McClelland and Ganguli 2014, arXiv:1312.6120.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .basics import Array, Shape, is_number, require
from .names import build


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


@dataclass(frozen=True)
class Glorot:
    """Variance gain²·2 / (fan-in + fan-out), between what forward and backward want (Glorot and Bengio 2010, eq. 12).

    Meant for tanh and other functions with slope 1 at zero; also called Xavier.

    Parameters
    ----------
    gain : float
        Multiplies the standard deviation.
    distribution : {"normal", "uniform"}
        Uniform is eq. 16: between ±gain·sqrt(6 / (fan-in + fan-out)), which has the same variance.

    Examples
    --------
    >>> round(float(Glorot()(np.random.default_rng(0), (1000, 500)).std()), 4)
    0.0366
    >>> round(float(Glorot(distribution="uniform")(np.random.default_rng(0), (1000, 500)).max()), 4)
    0.0632
    """

    gain: float = 1.0
    distribution: str = "normal"

    def __post_init__(self) -> None:
        require(is_number(self.gain) and self.gain > 0, self, "gain", "a finite number > 0", self.gain)
        fits = self.distribution in ("normal", "uniform")
        require(fits, self, "distribution", "'normal' or 'uniform'", self.distribution)

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Draw the array."""
        scale = self.gain * math.sqrt(2 / sum(fans(shape)))
        if self.distribution == "normal":
            return scale * rng.standard_normal(shape)
        return scale * math.sqrt(3) * rng.uniform(-1, 1, shape)


@dataclass(frozen=True)
class Orthogonal:
    """A random orthogonal matrix times gain: it turns its input and keeps its length (Saxe et al. 2014).

    A weight (D, M) that is not square has orthonormal columns if it is tall, rows if it is wide; a convolution weight
    (F, C, HH, WW) is treated as (F, C·HH·WW).  sqrt(2) is the gain for relu.

    Examples
    --------
    >>> w = Orthogonal()(np.random.default_rng(0), (5, 3))
    >>> bool(np.allclose(w.T @ w, np.eye(3)))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        require(is_number(self.gain) and self.gain > 0, self, "gain", "a finite number > 0", self.gain)

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Draw the array."""
        rows, cols = shape[0], math.prod(shape[1:])
        tall = rng.standard_normal((max(rows, cols), min(rows, cols)))
        q, r = np.linalg.qr(tall)
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # without it, q would not be uniform (Mezzadri 2007, eq. 5.12)
        return self.gain * (q if rows >= cols else q.T).reshape(shape)


@dataclass(frozen=True)
class Dirac:
    """Filters that pass their input on: filter c of a convolution copies channel c, as far as there are channels.

    The filters beyond are drawn by `rest`.  Deep nets of such layers start as shallow ones (Zagoruyko and Komodakis 2017,
    "DiracNets", arXiv:1706.00388).  For weights (F, C, HH, WW).

    Examples
    --------
    >>> w = Dirac()(np.random.default_rng(0), (4, 2, 3, 3))
    >>> w[1, 1]
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    >>> bool(w[1, 0].any()), bool(w[2].all())
    (False, True)
    """

    rest: Any = He(gain=6**-0.5)  # variance 1 / (3 fan-in)

    def __call__(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Return the array."""
        require(len(shape) == 4, self, "shape", "the weights (F, C, HH, WW) of a convolution", shape)
        w: Array = self.rest(rng, shape)
        channels = np.arange(min(shape[:2]))
        w[channels] = 0
        w[channels, channels, shape[2] // 2, shape[3] // 2] = 1
        return w


BY_NAME: dict[str, type[Any]] = {
    "constant": Constant,
    "normal": Normal,
    "he": He,
    "glorot": Glorot,
    "orthogonal": Orthogonal,
    "dirac": Dirac,
}


def by_name(name: str, **options: Any) -> Any:
    """Return the initialiser of a name, such as a command line gives it.

    Parameters
    ----------
    name : str
        constant, dirac, glorot, he, normal or orthogonal.
    **options
        Its arguments.

    Raises
    ------
    ArgumentError
        If there is no such initialiser or option; the message lists what there is.

    Examples
    --------
    >>> by_name("normal", scale=1e-3)
    Normal(scale=0.001)
    """
    return build("init", BY_NAME, name, options)
