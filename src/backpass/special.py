"""The normal distribution and the error function, which NumPy lacks, in float64.

For t >= 0, erfc(t) = exp(-t²) erfcx(t), and (t + k) erfcx(t) is smooth over the whole half line: as a function of
q = (t - k) / (t + k), which runs over [-1, 1], 25 Chebyshev terms give it to 1e-17.  Written for the normal
distribution, Φ(-t) = erfc(t/√2) / 2, so that neither tail loses digits; erf follows from it, and near 0, where
1 - 2Φ would cancel, from its Taylor series.

Source: Shepherd and Laframboise 1981, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 <= x < ∞", Math. Comp. 36;
the coefficients are our own, computed with 60 digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CENTRE = 4.0
# (t + 4) exp(t²/2) Φ(-t) = Σ_i TAIL[i] T_i((t - 4) / (t + 4))
TAIL = [
    9.704512045660765449e-1,
    -7.517088168395705314e-1,
    2.22193555675251034e-1,
    -4.851775326044608611e-2,
    6.925920496242480404e-3,
    -3.205984743981499429e-4,
    -1.005473916321067741e-4,
    1.89033690197069727e-5,
    1.010356885474639244e-6,
    -6.14533474939775185e-7,
    -3.381020120063031875e-9,
    2.068650806174784953e-8,
    -1.128260363208620991e-10,
    -7.774015228362602418e-10,
    -9.941424190047253026e-12,
    3.174482949867444611e-11,
    1.842480683295366123e-12,
    -1.312861649099481316e-12,
    -1.741536301812491362e-13,
    4.907273547632199676e-14,
    1.293137835262851346e-14,
    -1.218073392990530406e-15,
    -8.052227682177582321e-16,
    -2.861387462910537269e-17,
    4.056090653420321887e-17,
]
# erf(x) = 2/√π Σ_i (-1)^i x^(2i+1) / (i! (2i+1)), enough terms for |x| < 1/2
TAYLOR = [2 / math.sqrt(math.pi) * (-1) ** i / (math.factorial(i) * (2 * i + 1)) for i in range(12)]


def normal_cdf(x: Any) -> Array:
    """Return Φ(x), the probability that a standard normal value is below x.

    Parameters
    ----------
    x : array of any shape
        Infinities and NaN included.

    Returns
    -------
    ndarray of float64, same shape
        Relative error below 1e-13 in the far left tail, 1e-15 elsewhere.

    Examples
    --------
    >>> normal_cdf(np.array([-np.inf, 0.0, 1.0]))
    array([0.        , 0.5       , 0.84134475])
    """
    x = np.asarray(x, np.float64)
    t = np.minimum(np.abs(x), 40.0)  # Φ(-40) is below the smallest float64
    q = (t - CENTRE) / (t + CENTRE)
    tail = np.exp(-0.5 * t**2) * np.polynomial.chebyshev.chebval(q, TAIL) / (t + CENTRE)
    return np.where(x > 0, 1 - tail, tail)


def erf(x: Any) -> Array:
    """Return the error function, 2/√π ∫₀ˣ exp(-t²) dt.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    ndarray of float64, same shape
        Relative error below 1e-15.

    Examples
    --------
    >>> erf(np.array([-1e30, 0.0, 0.5]))
    array([-1.        ,  0.        ,  0.52049988])
    """
    x = np.asarray(x, np.float64)
    small = np.clip(x, -0.5, 0.5)
    near = small * np.polynomial.polynomial.polyval(small**2, TAYLOR)
    far = np.copysign(1 - 2 * normal_cdf(-np.sqrt(2) * np.abs(x)), x)
    return np.where(np.abs(x) < 0.5, near, far)
