"""What a value of the backward should have been, where no value of the forward answers to it.

Many a slip sits in a value without a counterpart: a mask, a size, a factor of the user's own.  But what follows from it
is known: the gradient that it leads to.  A backward is linear in nearly all of its values, so the value is nudged,
element by element, the gradient watched, and the equations solved for the value that makes the gradient right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.instrument import Event
from backpass.check.locate import Key
from backpass.check.numeric import relative_error
from backpass.check.subject import Subject

Array = NDArray[np.float64]

LARGEST = 150  # elements up to which a value is solved for
SOLVED = 1e-6


@dataclass
class Target:
    """The value that is known to be wrong, and what it should be."""

    key: Key
    right: Array


def needed(subject: Subject, event: Event, target: Target, overrides: dict[Key, Any]) -> Any:
    """Return what the value of an event should have been for the target to come out right, or None."""
    value = np.asarray(event.value)
    if value.dtype.kind == "b":
        return _mask(subject, event, target, overrides)
    if value.ndim == 0:
        return _number(subject, event, target, overrides)
    if value.dtype.kind not in "fiu" or not 0 < value.size <= LARGEST:
        return None
    base = value.astype(np.float64)
    start = _run(subject, event, base, target, overrides)
    if start is None or not np.isfinite(start).all():
        return None
    columns = []
    step = float(np.abs(base).max()) or 1.0
    for index in np.ndindex(base.shape):
        nudged = base.copy()
        nudged[index] += step
        moved = _run(subject, event, nudged, target, overrides)
        if moved is None:
            return None
        columns.append((moved - start).ravel() / step)
    jacobian = np.stack(columns, axis=1)
    if not np.isfinite(jacobian).all() or not jacobian.any():
        return None
    change, *_ = np.linalg.lstsq(jacobian, (target.right - start).ravel(), rcond=1e-9)
    solved = base + change.reshape(base.shape)
    return solved if _right(subject, event, solved, target, overrides) else None


def _run(subject: Subject, event: Event, value: Any, target: Target, overrides: dict[Key, Any]) -> Array | None:
    """Return the target with another value in the place of an event's."""
    recorder = subject.program.recorder
    with subject.program.watched("values"), np.errstate(all="ignore"):
        try:
            put = np.array(value) if np.ndim(value) else value  # a copy: the user's code may change it in place
            subject.backward(lambda: recorder.reset(record=True, overrides={**overrides, event.key: put}))
        except Exception:  # the user's code may do anything with a value that it did not expect
            return None
        found = next((e.value for e in recorder.events or [] if e.key == target.key), None)
        recorder.reset()
    if found is None or np.shape(found) != target.right.shape:
        return None
    return np.asarray(found, dtype=np.float64)


def _right(subject: Subject, event: Event, value: Any, target: Target, overrides: dict[Key, Any]) -> bool:
    got = _run(subject, event, value, target, overrides)
    return got is not None and relative_error(got, target.right) < SOLVED


def _mask(subject: Subject, event: Event, target: Target, overrides: dict[Key, Any]) -> NDArray[np.bool_] | None:
    """All on, and all off: each element of the right gradient comes from one of the two."""
    shape = np.shape(event.value)
    ends = [_run(subject, event, np.full(shape, on), target, overrides) for on in (False, True)]
    off, on = ends
    if off is None or on is None or shape != target.right.shape:
        return None
    near = SOLVED * float(np.abs(target.right).max())
    solved = np.where(np.abs(on - off) > near, np.abs(on - target.right) < near, np.asarray(event.value))
    return solved if _right(subject, event, solved, target, overrides) else None


def _number(subject: Subject, event: Event, target: Target, overrides: dict[Key, Any]) -> float | int | None:
    """A size or a factor: the gradient is some power of it too large, everywhere by the same amount."""
    value = event.value
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number) or not value:
        return None
    start = _run(subject, event, value, target, overrides)
    square = 0.0 if start is None else float(np.sum(start * start))
    if start is None or not square:
        return None
    ratio = float(np.sum(target.right * start)) / square
    for power in (1, -1, 0.5, -0.5):
        if power != int(power) and ratio <= 0:
            continue
        solved = float(value) * ratio**power
        solved = round(solved) if abs(solved - round(solved)) < SOLVED * abs(solved) else solved
        if solved != value and _right(subject, event, solved, target, overrides):
            return solved
    return None
