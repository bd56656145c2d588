"""Averages of the parameters over the steps of a run: less noise than the last step has, for next to nothing.

    average ← average + weight (parameters - average)          after every step, parameters and running statistics alike

A Trainer with an average evaluates, keeps as best, and predicts with the average; only its steps use the parameters.

Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Zhang, Lucas, Hinton and Ba 2019,
"Lookahead optimizer: k steps forward, 1 step back", arXiv:1907.08610, algorithm 1.
"""

# ruff: noqa: ARG002 (an average may need the step, the total, or neither)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .basics import Array, is_number, require
from .names import build


class Average:
    """The base of every average; a subclass is a frozen dataclass and is registered by its name."""

    registry: ClassVar[dict[str, type[Average]]] = {}
    writes_back: ClassVar[bool] = False  # whether training goes on from the average

    def __init_subclass__(cls) -> None:
        Average.registry[cls.__name__] = cls

    def weight(self, step: int, total_steps: int) -> float:
        """Return how far the average moves to the parameters after so many steps (the first is 1); 0 leaves it."""
        raise TypeError(f"{type(self).__name__} must define weight(step, total_steps)")


@dataclass(frozen=True)
class EMA(Average):
    """The exponential moving average: the parameters of about the last 1 / (1 - decay) steps.

    Early in the run, when that is more steps than there were, the old average counts (1 + step) / (10 + step).

    Parameters
    ----------
    decay : float
        Weight of the old average, in [0, 1).

    Examples
    --------
    >>> import backpass as bp
    >>> [round(bp.EMA(decay=0.9).weight(step, 1000), 3) for step in (1, 10, 100, 1000)]
    [0.818, 0.45, 0.1, 0.1]
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        require(is_number(self.decay) and 0 <= self.decay < 1, self, "decay", "a number in [0, 1)", self.decay)

    def weight(self, step: int, total_steps: int) -> float:
        """Return 1 - decay, or more in the first steps."""
        return 1 - min(self.decay, (1 + step) / (10 + step))


@dataclass(frozen=True)
class Lookahead(Average):
    """Every few steps the average moves towards the parameters, and training goes on from there.

    Parameters
    ----------
    every : int
        Steps between.
    decay : float
        Weight of the old average, in [0, 1), at the end of the run.
    power : float
        At step t of T it is decay (t / T)^power: 0 keeps it constant, as in the paper.

    Examples
    --------
    >>> import backpass as bp
    >>> [bp.Lookahead(every=2, decay=0.8, power=1).weight(step, 8) for step in (1, 2, 3, 4, 8)]
    [0.0, 0.8, 0.0, 0.6, 0.19999999999999996]
    """

    every: int = 5
    decay: float = 0.5
    power: float = 0.0

    writes_back: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole = isinstance(self.every, (int, np.integer)) and not isinstance(self.every, bool)
        require(whole and self.every >= 1, self, "every", "a whole number of steps >= 1", self.every)
        require(is_number(self.decay) and 0 <= self.decay < 1, self, "decay", "a number in [0, 1)", self.decay)
        require(is_number(self.power) and self.power >= 0, self, "power", "a number >= 0", self.power)

    def weight(self, step: int, total_steps: int) -> float:
        """Return 1 - decay (step / total_steps)^power at every so many steps, 0 between them."""
        return 1 - self.decay * (step / total_steps) ** self.power if step % self.every == 0 else 0.0


def move_average_reference(average: Array, value: Array, weight: Array, *, back: bool) -> None:
    """Do in NumPy what the kernel does, in place; weight is (1,), read when it runs.

    Examples
    --------
    >>> average, value = np.array([1.0]), np.array([3.0])
    >>> move_average_reference(average, value, np.array([0.25]), back=True)
    >>> average, value
    (array([1.5]), array([1.5]))
    """
    average += average.dtype.type(weight[0]) * (value - average)
    if back:
        value[...] = average


BY_NAME: dict[str, type[Average]] = {"ema": EMA, "lookahead": Lookahead}


def by_name(name: str, **options: Any) -> Average:
    """Return the average of a name, such as a command line gives it.

    Parameters
    ----------
    name : str
        ema or lookahead.
    **options
        Its arguments.

    Raises
    ------
    ArgumentError
        If there is no such average or option; the message lists what there is.

    Examples
    --------
    >>> by_name("ema", decay=0.99)
    EMA(decay=0.99)
    """
    return build("average", BY_NAME, name, options)
