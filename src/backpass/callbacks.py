"""Hooks into a training run.

A callback is a `Callback` with some hooks overridden, or a plain function of the run, called after each epoch.
`run.stop("reason")` in a hook ends the run after this step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .errors import ArgumentError

if TYPE_CHECKING:
    from .train import Run


class Callback:
    """Does nothing; override what you need.

    Examples
    --------
    >>> class Patience(Callback):
    ...     def epoch(self, run):
    ...         if run.history["val_accuracy"][-1] > 0.9:
    ...             run.stop("good enough")
    """

    def start(self, run: Run) -> None:
        """Prepare: called before the first step (also of a resumed run)."""

    def step(self, run: Run) -> None:
        """Look at a step: called after each."""

    def tick(self, run: Run) -> None:
        """Show something: called some ten times a second."""

    def epoch(self, run: Run) -> None:
        """Look at an epoch: called after each, when its row of the history is there."""

    def end(self, run: Run) -> None:
        """Finish: called after the last step; `run.status` says how it ended."""


class AfterEpoch(Callback):
    """Calls a function of the run after each epoch."""

    def __init__(self, function: Callable[[Run], object]) -> None:
        self.function = function

    def epoch(self, run: Run) -> None:
        """Call the function."""
        self.function(run)


def as_callbacks(callbacks: Sequence[Callback | Callable[[Run], object]]) -> list[Callback]:
    """Return callbacks with plain functions wrapped; anything else is an ArgumentError."""
    found: list[Callback] = []
    for callback in callbacks:
        if isinstance(callback, Callback):
            found.append(callback)
        elif callable(callback):
            found.append(AfterEpoch(callback))
        else:
            raise ArgumentError(
                f"Trainer: callbacks: expected bp.Callback objects or functions of the run, got {callback!r}"
            )
    return found
