"""Numerical derivatives that can be believed.

A derivative along a line is measured by centred differences at two steps (Richardson's extrapolation removes the h^2
term), in float64.  The step is retried, smaller, while the function takes another branch at one of the points than in
the
middle (another element is positive, another index holds the maximum) or while the two steps disagree.  Where no step
helps, the point is a kink: there is no derivative to compare with, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIGHT = 1e-6  # relative error up to which a gradient is called right
STEPS = (1e-3, 1e-4, 1e-5, 3e-7)  # relative to the size of what is moved


@dataclass(frozen=True)
class Derivative:
    """A measured derivative: its value, how far the last two steps disagreed, and whether a kink was in the way."""

    value: float
    error: float
    kink: bool
    left: float = 0.0
    right: float = 0.0


def derivative_along(
    function: Callable[[float], float],
    branches: Callable[[], int],
    scale: float = 1.0,
    steps: tuple[float, ...] = STEPS,
) -> Derivative:
    """Measure the derivative of `function(t)` at t = 0.

    `branches()` is a fingerprint of the branches that the last call took.

    >>> d = derivative_along(lambda t: (2.0 + t) ** 3, lambda: 0)
    >>> round(d.value, 9), d.kink
    (12.0, False)
    >>> derivative_along(abs, lambda: 0).kink
    True
    """
    middle = function(0.0)
    branch = branches()
    best: Derivative | None = None
    last: Derivative | None = None
    for step in (*steps, 1e-2, 5e-2):  # the last two only for functions as noisy as float32 makes them
        if step > steps[0] and (best is None or best.error <= 1e-7 * abs(best.value)):
            break
        h = step * scale
        values, same = [], True
        for t in (h, -h, h / 2, -h / 2):
            values.append(function(t))
            same = same and branches() == branch
        up, down, half_up, half_down = values
        if not np.isfinite(values).all():
            continue
        wide, narrow = (up - down) / (2 * h), (half_up - half_down) / h
        value = (4 * narrow - wide) / 3
        rounding = 1e-15 * (abs(middle) + abs(up)) / h
        # One-sided slopes from h and h/2: they differ by a jump at a kink, by curvature (which shrinks with h)
        # elsewhere.
        right, left = (4 * half_up - up - 3 * middle) / h, (down - 4 * half_down + 3 * middle) / h
        error = abs(value - narrow) / 16 + rounding
        if same and (best is None or error < best.error):
            best = Derivative(value, error, False, left, right)
        size = abs(value) + abs(wide)
        jump = abs(right - left)
        if same and abs(value - narrow) <= 1e-5 * size + 10 * rounding and jump <= 1e-3 * size + 1e2 * rounding:
            return Derivative(value, error, False, left, right)
        last = Derivative(value, error, True, left, right)
    if best is not None:
        jump = abs(best.right - best.left)
        if jump <= 1e-2 * (abs(best.right) + abs(best.left)) + 1e3 * best.error:
            return best
        return Derivative(best.value, best.error, True, best.left, best.right)
    if not np.isfinite(middle):
        return Derivative(np.nan, np.inf, False)
    return last or Derivative(np.nan, np.inf, False)


@dataclass
class NumericGradient:
    """A whole gradient by differences: values, and for each element whether it was left out because of a kink."""

    value: Array
    error: float
    kink: NDArray[np.bool_]
    left: Array
    right: Array


def gradient(
    loss: Callable[[Array], float], branches: Callable[[], int], at: Array, elements: NDArray[np.intp] | None = None
) -> NumericGradient:
    """Gradient of `loss(array)` at an array, element by element (all of them, or the flat indices given.

    Others are NaN).
    """
    base = np.asarray(at, dtype=np.float64)
    typical = float(np.sqrt(np.mean(base**2))) or 1.0
    value, left, right = (np.full(base.shape, np.nan) for _ in range(3))
    kink = np.zeros(base.shape, dtype=bool)
    error = 0.0
    for flat in range(base.size) if elements is None else elements:
        index = np.unravel_index(int(flat), base.shape)

        def moved(t: float, index: tuple[np.intp, ...] = index) -> float:
            nudged = base.copy()
            nudged[index] += t
            return loss(nudged)

        d = derivative_along(moved, branches, scale=max(abs(float(base[index])), typical))
        value[index], left[index], right[index], kink[index] = d.value, d.left, d.right, d.kink
        if not d.kink:
            error = max(error, d.error)
    return NumericGradient(value, error, kink, left, right)


def differences(loss: Callable[[Array], float], branches: Callable[[], int], at: Array) -> tuple[Array, bool]:
    """Gradient of `loss(array)` at an array by as few runs as will do, and whether one branch was kept to throughout.

    One run for each element where the loss is linear (which two runs along a fixed direction tell), else two.  Nothing is
    retried: whoever wants more digits than five must compare with a derivative measured with care.

    >>> value, same = differences(lambda a: float(a @ a), lambda: 0, np.array([1.0, -3.0]))
    >>> np.allclose(value, [2.0, -6.0], rtol=1e-9), same
    (True, True)
    """
    base = np.asarray(at, dtype=np.float64)
    typical = float(np.sqrt(np.mean(base**2))) or 1.0
    middle = loss(base)
    branch = branches()
    far = 0.1 * typical * np.cos(1.0 + np.arange(base.size)).reshape(base.shape)
    up, down, straight = loss(base + far), loss(base - far), branches() == branch
    slack = 1e-13 * (abs(up) + abs(down) + 2 * abs(middle))
    straight = straight and abs(up - 2 * middle + down) <= slack + 1e-10 * abs(up - down)
    step = 0.1 * typical if straight else 1e-5 * typical
    value, same = np.empty(base.shape), True
    for index in np.ndindex(base.shape):
        nudged = base.copy()
        nudged[index] += step
        ahead, behind, width = loss(nudged), middle, step
        same = same and branches() == branch
        if not straight:
            nudged[index] = base[index] - step
            behind, width = loss(nudged), 2 * step
            same = same and branches() == branch
        value[index] = (ahead - behind) / width
    return value, same


def smooth_gradient(
    loss: Callable[[Array], float], branches: Callable[[], int], at: Array, known: list[tuple[Array, Derivative]]
) -> NumericGradient | None:
    """Whole gradient by few runs, where it agrees with the derivatives known along directions; None where it does not."""
    if not known or any(d.kink for _, d in known) or not np.asarray(at).size:
        return None
    value, same = differences(loss, branches, at)
    near = 1e-8 * float(np.sqrt(np.sum(value**2)))
    agrees = all(abs(float(np.sum(value * u)) - d.value) <= near + 20 * d.error for u, d in known)
    if not same or not agrees:
        return None
    error = max(d.error for _, d in known)
    return NumericGradient(value, error, np.zeros(value.shape, dtype=bool), value, value)


def relative_error(yours: Array, true: Array) -> float:
    """Largest difference, relative to the largest element of the two; zero where both are zero.

    >>> relative_error(np.array([1.0, 2.0]), np.array([1.0, 2.002]))  # doctest: +ELLIPSIS
    0.00099...
    """
    yours, true = np.asarray(yours, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if yours.size == 0:
        return 0.0
    if not np.isfinite(yours).all():
        return np.inf
    scale = max(float(np.abs(yours).max()), float(np.abs(true).max()))
    return float(np.abs(yours - true).max()) / scale if scale > 0 else 0.0


def band(error: float) -> str:
    """Words for a relative error, as the course's notes read it.

    >>> band(1e-9), band(3e-5), band(0.2)
    ('right', 'close, but not as close as float64 allows', 'wrong')
    """
    if error <= RIGHT:
        return "right"
    if error <= 1e-4:
        return "close, but not as close as float64 allows"
    return "doubtful" if error <= 1e-2 else "wrong"
