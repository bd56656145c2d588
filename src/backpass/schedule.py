"""Learning-rate schedules: pure functions of the step, `schedule(step, total_steps)`, that multiply the learning rate.

`step` counts from 0; the last step of a run is total_steps - 1, and total_steps itself is allowed, as the point where
a schedule arrives.  Nothing is remembered, so a resumed run goes on exactly where it was, and a schedule can be plotted
by calling it:

>>> [round(Cosine()(step, 4), 3) for step in range(5)]
[1.0, 0.854, 0.5, 0.146, 0.0]

The course's lr_decay, which multiplies the rate after every epoch, is `Step(every=steps_per_epoch, gamma=lr_decay)`.

Where an argument is a length it is a whole number of steps, or a fraction of the run below 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .layers.base import is_number, require
from .names import build

Schedule = Callable[[int, int], float]


def _length(value: float, total_steps: int) -> int:
    """Return a length in steps: a whole number is one already, a fraction is one of the run (at least 1 step)."""
    return int(value) if value >= 1 else max(1, round(value * total_steps))


def _require_length(owner: object, name: str) -> None:
    value = getattr(owner, name)
    fits = is_number(value) and value > 0 and (value < 1 or float(value).is_integer())
    require(fits, owner, name, "a whole number of steps >= 1, or a fraction of the run in (0, 1)", value)


def _require_factor(owner: object, name: str, *, least: float = 0.0, most: float = 1.0) -> None:
    value = getattr(owner, name)
    require(is_number(value) and least <= value <= most, owner, name, f"a number in [{least:g}, {most:g}]", value)


def _require_step(owner: object, step: Any, total_steps: Any) -> None:
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in (step, total_steps))
    require(whole and total_steps >= 1, owner, "total_steps", "a whole number >= 1", total_steps)
    require(0 <= step <= total_steps, owner, "step", f"a whole number from 0 to {total_steps}", step)


@dataclass(frozen=True)
class Constant:
    """Always 1.

    Examples
    --------
    >>> Constant()(5, 10)
    1.0
    """

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        return 1.0


@dataclass(frozen=True)
class Step:
    """Multiplied by gamma again and again, each time `every` steps have passed: gamma^floor(step / every).

    Parameters
    ----------
    every : float
        Whole number of steps, or fraction of the run below 1.
    gamma : float
        In (0, 1].

    Examples
    --------
    >>> [Step(every=2, gamma=0.5)(step, 6) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    >>> Step(every=0.3, gamma=0.5)(30, 100)
    0.5
    """

    every: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        _require_length(self, "every")
        require(is_number(self.gamma) and 0 < self.gamma <= 1, self, "gamma", "a number in (0, 1]", self.gamma)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        return float(self.gamma ** (step // _length(self.every, total_steps)))


@dataclass(frozen=True)
class Exponential:
    """A smooth fall by the factor gamma in each `every` steps: gamma^(step / every).

    Parameters
    ----------
    gamma : float
        In (0, 1].
    every : float
        Whole number of steps, or fraction of the run below 1.

    Examples
    --------
    >>> [Exponential(gamma=0.25, every=2)(step, 4) for step in range(5)]
    [1.0, 0.5, 0.25, 0.125, 0.0625]
    """

    gamma: float
    every: float = 1

    def __post_init__(self) -> None:
        require(is_number(self.gamma) and 0 < self.gamma <= 1, self, "gamma", "a number in (0, 1]", self.gamma)
        _require_length(self, "every")

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        return float(self.gamma ** (step / _length(self.every, total_steps)))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to `floor` (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, without restarts).

    Parameters
    ----------
    floor : float
        In [0, 1]; reached at total_steps, one step after the last.

    Examples
    --------
    >>> Cosine(floor=0.1)(0, 10), Cosine(floor=0.1)(10, 10)
    (1.0, 0.1)
    """

    floor: float = 0.0

    def __post_init__(self) -> None:
        _require_factor(self, "floor")

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        return _cosine(1.0, self.floor, step / total_steps)


@dataclass(frozen=True)
class WarmUp:
    """A linear rise over the first steps, then another schedule over the rest of the run.

    The first step has 1/n of the rate, the n-th all of it (Goyal et al. 2017, arXiv:1706.02677, section 2.2).

    Parameters
    ----------
    steps : float
        n: whole number of steps, or fraction of the run below 1.
    then : schedule
        Counts its steps from the end of the warm-up.

    Examples
    --------
    >>> [WarmUp(4, then=Constant())(step, 10) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    steps: float = 0.05
    then: Any = field(default_factory=Cosine)

    def __post_init__(self) -> None:
        _require_length(self, "steps")
        require(callable(self.then), self, "then", "a schedule such as Cosine()", self.then)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        warm = _length(self.steps, total_steps)
        if step < warm:
            return (step + 1) / warm
        return float(self.then(step - warm, max(1, total_steps - warm)))


@dataclass(frozen=True)
class Triangular:
    """A straight line up from `start` to 1, then another down to `end` (Smith 2017, arXiv:1506.01186, one triangle).

    Parameters
    ----------
    peak : float
        Where the top is, as a fraction of the run in (0, 1).
    start, end : float
        Factors at step 0 and at total_steps, in [0, 1].

    Examples
    --------
    >>> [Triangular(peak=0.5, start=0.2)(step, 4) for step in range(5)]
    [0.2, 0.6, 1.0, 0.5, 0.0]
    """

    peak: float = 0.3
    start: float = 0.04
    end: float = 0.0

    def __post_init__(self) -> None:
        _require_peak(self)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        return _up_and_down(self, step / total_steps, _line)


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine up from `start` to 1, then half a cosine down to `end` (Smith and Topin 2018, arXiv:1708.07120).

    Parameters
    ----------
    peak : float
        Where the top is, as a fraction of the run in (0, 1).
    start, end : float
        Factors at step 0 and at total_steps, in [0, 1].

    Examples
    --------
    >>> [round(OneCycle(peak=0.5, start=0.2)(step, 4), 3) for step in range(5)]
    [0.2, 0.6, 1.0, 0.5, 0.0]
    """

    peak: float = 0.3
    start: float = 0.04
    end: float = 0.0

    def __post_init__(self) -> None:
        _require_peak(self)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor at a step."""
        _require_step(self, step, total_steps)
        return _up_and_down(self, step / total_steps, _cosine)


def _require_peak(owner: Triangular | OneCycle) -> None:
    require(is_number(owner.peak) and 0 < owner.peak < 1, owner, "peak", "a fraction in (0, 1)", owner.peak)
    _require_factor(owner, "start")
    _require_factor(owner, "end")


def _up_and_down(shape: Triangular | OneCycle, at: float, curve: Callable[[float, float, float], float]) -> float:
    """Return the height at a fraction `at` of the run: up along the curve until the peak, down along it after."""
    if at < shape.peak:
        return curve(shape.start, 1.0, at / shape.peak)
    return curve(1.0, shape.end, (at - shape.peak) / (1 - shape.peak))


def _line(first: float, last: float, at: float) -> float:
    """Return the value at a fraction `at` of the straight line from first to last; exact at both ends."""
    return float(first * (1 - at) + last * at)


def _cosine(first: float, last: float, at: float) -> float:
    """Return the value at a fraction `at` of half a cosine from first to last; exact at both ends."""
    return _line(first, last, (1 - math.cos(math.pi * at)) / 2)


BY_NAME: dict[str, type[Any]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "warm-up": WarmUp,
    "triangular": Triangular,
    "one-cycle": OneCycle,
}


def by_name(name: str, **options: Any) -> Any:
    """Return the schedule of a name, such as a command line gives it.

    Parameters
    ----------
    name : str
        constant, cosine, exponential, one-cycle, step, triangular or warm-up.
    **options
        Its arguments.

    Raises
    ------
    ArgumentError
        If there is no such schedule or option, or one is missing; the message lists what there is.

    Examples
    --------
    >>> by_name("step", every=10)
    Step(every=10, gamma=0.1)
    """
    return build("schedule", BY_NAME, name, options)
